//! The acts: each pulls the switch in its own way and waits for its own acknowledgement.

use std::fs;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use domain::StopLevel;
use plimsoll_tests::http;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::cell::{Cell, Trigger};
use super::world::{LOOK_EVERY, SOON, World, monotonic_ns};
use crate::watchdog::Watchdog;

/// What the daemon said to a stop.
pub struct Acknowledged {
    /// When the act was begun and when its acknowledgement was there, on the machine's monotonic clock.
    pub asked_ns: u64,
    pub at_ns: u64,
    /// The daemon's status right after it; none if it has ended.
    pub status: Option<Value>,
}

/// Carries out `cell`'s act and waits until the daemon says that it stands.
pub fn carry_out(world: &mut World, cell: Cell) -> Result<Acknowledged> {
    let asked_ns = monotonic_ns();
    let (level, scope) = (cell.level.name(), cell.scope.text(world.parents[0]));
    let cause = "the matrix";
    match cell.trigger {
        Trigger::Cli => drop(world.rig.ok(&["kill", "--level", level, "--scope", &scope, "--cause", cause])?),
        Trigger::Api => {
            let word = serde_json::to_value(cell.level)?;
            let body = json!({ "level": word, "scope": scope, "cause": cause });
            drop(http::post_unix(&world.state().join("plimsoll.sock"), "/kill", &body)?);
        }
        Trigger::Usr1 => world.rig.daemon().proc.signal(Signal::USR1),
        Trigger::Usr2 => world.rig.daemon().proc.signal(Signal::USR2),
        Trigger::Term => world.rig.daemon().proc.signal(Signal::TERM),
        Trigger::Sentinel => fs::write(world.state().join("STOP"), format!("{level} {cause}\n"))?,
        Trigger::Hangup | Trigger::FileChange => {
            world.configure(&format!("engaged = true\nlevel = \"{level}\"\n"))?;
            if cell.trigger == Trigger::Hangup {
                world.rig.daemon().proc.signal(Signal::HUP);
            }
        }
        Trigger::Watchdog => fall_silent(world)?,
    }
    if ends(cell) {
        let status = world.rig.daemon().proc.wait_exit(SOON)?;
        let at_ns = monotonic_ns();
        let wanted = if cell.level == StopLevel::Sever { 76 } else { 0 };
        ensure!(status.code() == Some(wanted), "ended with {status}, not {wanted}\n{}", world.last_words());
        return Ok(Acknowledged { asked_ns, at_ns, status: None });
    }
    let status = world.rig.wait("the stop", SOON, |status| stands(status, &scope, cell.level))?;
    Ok(Acknowledged { asked_ns, at_ns: monotonic_ns(), status: Some(status) })
}

/// The daemon stands still until its watchdog has emptied the venue and left word; then it goes on, and nobody watches any more.
fn fall_silent(world: &mut World) -> Result<()> {
    let mut watchdog = Watchdog::start(world.dir.path());
    watchdog.wait("the daemon is alive");
    world.rig.wait("a daemon that knows it is watched", SOON, |s| s["watched"] == true)?;
    world.rig.daemon().proc.signal(Signal::STOP);
    let stopped = world.state().join("STOP");
    let until = Instant::now() + SOON;
    while !(stopped.exists() && world.rig.open_orders()?.is_empty()) {
        ensure!(Instant::now() < until, "the watchdog has not emptied the venue within {SOON:?}");
        thread::sleep(LOOK_EVERY);
    }
    drop(watchdog);
    world.rig.daemon().proc.signal(Signal::CONT);
    Ok(())
}

/// Whether the daemon ends by it.
pub fn ends(cell: Cell) -> bool {
    cell.level == StopLevel::Sever || cell.trigger == Trigger::Term
}

/// Whether `scope` is stopped at `level`, by the daemon's own word.
pub fn stands(status: &Value, scope: &str, level: StopLevel) -> bool {
    let stops = status["desk"]["stops"].as_array().map(Vec::as_slice).unwrap_or_default();
    let word = serde_json::to_value(level).unwrap_or_default();
    stops.iter().any(|stop| stop["scope"] == scope && stop["level"] == word)
}

/// Takes back what would stop the daemon again, and sees that it has noticed.
pub fn clear_cause(world: &mut World, cell: Cell) -> Result<()> {
    match cell.trigger {
        Trigger::Sentinel | Trigger::Watchdog => {
            fs::remove_file(world.state().join("STOP")).context("the file STOP, which only a person removes")
        }
        Trigger::Hangup | Trigger::FileChange => {
            world.configure("engaged = false\n")?;
            world.rig.daemon().proc.signal(Signal::HUP);
            Ok(())
        }
        Trigger::Cli | Trigger::Api | Trigger::Usr1 | Trigger::Usr2 | Trigger::Term => Ok(()),
    }
}
