//! The way back: by a re-arm alone, once the cause is gone and the venue has been read (C33, I23).

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use domain::StopLevel;
use plimsoll_tests::Rig;
use serde_json::{Value, json};

use super::act;
use super::cell::{Cell, Scope, Trigger};
use super::world::{MARKET, SOON, World};

/// Between two tries of a re-arm. Each has the venue read again, and the minute's request budget is not for that alone.
const TRY_EVERY: Duration = Duration::from_secs(1);
const REARM: [&str; 3] = ["rearm", "--reason", "the matrix has looked"];

/// Lets everything trade again, and sees that nothing less would have.
pub fn again(world: &mut World, cell: Cell) -> Result<()> {
    match cell.trigger {
        // a cause that stands is in the way of a re-arm, and the refusal names it
        Trigger::Hangup | Trigger::FileChange => refused_until(&world.rig, &REARM, "engaged").map(drop)?,
        Trigger::Cli | Trigger::Api | Trigger::Usr1 | Trigger::Usr2 | Trigger::Term | Trigger::Sentinel | Trigger::Watchdog => {}
    }
    act::clear_cause(world, cell)?;
    if std::mem::take(&mut world.shown.differs) {
        let words = refused_until(&world.rig, &REARM, "frozen")?;
        ensure!(words.contains(MARKET), "a re-arm on books that differ from the venue: {words}");
        if cell.level < StopLevel::Cancel {
            // a milder stop leaves orders where they are, and a market with orders of ours does not thaw
            world.rig.ok(&["kill", "--level", "cancel", "--scope", &Scope::Market.text(0), "--cause", "to look"])?;
        }
        granted_until(&world.rig, &["unfreeze", MARKET, "--reason", "it was the matrix, by hand"])?;
    }
    if cell.level == StopLevel::Flatten && cell.scope != Scope::All && stands_anywhere(&world.rig.status()?, "all") {
        // a store that could not be read stopped everything at cancel, and beneath that nothing can be closed
        granted_until(&world.rig, &[&REARM[..], &["--scope", "all"]].concat())?;
    }
    granted_until(&world.rig, &REARM)?;
    let status = world.rig.status()?;
    ensure!(status["desk"]["stops"] == json!([]), "still stopped after a re-arm of everything: {}", status["desk"]["stops"]);
    Ok(())
}

fn stands_anywhere(status: &Value, scope: &str) -> bool {
    status["desk"]["stops"].as_array().is_some_and(|stops| stops.iter().any(|stop| stop["scope"] == scope))
}

/// Tries until it is taken: what was stopped must first be read, swept or flattened.
fn granted_until(rig: &Rig, args: &[&str]) -> Result<String> {
    let until = Instant::now() + SOON;
    loop {
        let (code, out, err) = rig.run(args)?;
        if code == Some(0) {
            return Ok(out);
        }
        ensure!(Instant::now() < until, "not taken within {SOON:?}: {code:?} {out}{err}");
        thread::sleep(TRY_EVERY);
    }
}

/// Tries until it is refused with `word` in the reasons: whatever else is in the way is told besides, or comes first.
fn refused_until(rig: &Rig, args: &[&str], word: &str) -> Result<String> {
    let until = Instant::now() + SOON;
    loop {
        let (code, out, err) = rig.run(args)?;
        ensure!(code == Some(1), "re-armed although {word:?} stands: {code:?} {out}{err}");
        if err.contains(word) {
            return Ok(err);
        }
        ensure!(Instant::now() < until, "refused, but {word:?} is not among the reasons: {err}");
        thread::sleep(TRY_EVERY);
    }
}
