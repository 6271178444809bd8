//! One cell from the act to the re-arm, and what must be so at every step.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use domain::StopLevel;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::client;

use super::act::{self, Acknowledged, ends, stands};
use super::cell::{Cell, Scope, Store};
use super::rearm;
use super::world::{LOOK_EVERY, MARKET, SOON, World};

/// An order whose bytes were written before the gate closed may be read by the venue after the act was acknowledged: it waits in a
/// socket while the venue's process waits for a processor. `cargo xtask bench kill` measures how soon the gate closes; here the
/// machine may be starved. Where the daemon's own count of sent orders says more, it is held to that instead.
const IN_FLIGHT: Duration = Duration::from_secs(2);
/// For so long a stopped daemon whose parents all have orders due is watched.
const WATCHED: Duration = Duration::from_millis(1_500);

/// Rounds of half a minute are tried five times.
const FLAT_MAX: Duration = Duration::from_secs(180);

/// What was found in a cell, for the table.
#[derive(Debug, Default)]
pub struct Found {
    /// Orders that arrived between the act and its acknowledgement, or were in flight then.
    in_flight: usize,
    /// Milliseconds from the act to its acknowledgement.
    acknowledged_ms: u64,
    /// Reductions that arrived while stopped.
    reductions: usize,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Found { in_flight, acknowledged_ms, reductions } = self;
        write!(f, "acknowledged in {acknowledged_ms:>5} ms, {in_flight} in flight, 0 after, {reductions} reductions")
    }
}

/// One cell.
pub fn live(world: &mut World, cell: Cell) -> Result<Found> {
    world.staff()?;
    world.wait_flow("before the stop", |_, _| true)?;
    let older = fs::read(world.latch()).context("the latch file")?;
    let had = held(&world.rig.truth()?, &["BTC"]);
    let began = world.look()?;
    let ack = act::carry_out(world, cell)?;
    stopped(world, cell, &ack).context("while the daemon that was stopped lives on")?;
    kept(world, cell, &older).with_context(|| format!("after {}", cell.store.name()))?;
    if cell.level == StopLevel::Flatten {
        flat(world, cell, began, had)?;
    }
    watched(world, cell)?;
    let found = judge(world, cell, began, &ack)?;
    rearm::again(world, cell)?;
    if cell.store == Store::Reload {
        // what reads of this tenure have spent of the minute's request budget is not the next cell's
        world.rig.daemon().proc.kill9();
        world.rig.start()?;
    }
    Ok(found)
}

/// What the act promises, by the daemon that it was asked of.
fn stopped(world: &mut World, cell: Cell, ack: &Acknowledged) -> Result<()> {
    let stopped = world.parents[0];
    let covered = |asset, parent| cell.scope.covers(asset, parent, stopped);
    if cell.level >= StopLevel::Cancel {
        // at flatten reductions may rest there
        let until = Instant::now() + SOON;
        loop {
            let mut open = world.open(covered)?;
            world.look()?;
            open.retain(|order| cell.level != StopLevel::Flatten || !is_reduction(world, order));
            if open.is_empty() {
                break;
            }
            ensure!(Instant::now() < until, "I22: still open at the venue: {open:?}");
            thread::sleep(LOOK_EVERY);
        }
    }
    if ack.status.is_none() {
        return Ok(());
    }
    if matches!(cell.scope, Scope::Market | Scope::Parent) {
        world.wait_flow("outside the scope of the stop", |asset, parent| !covered(asset, parent))?;
    }
    if cell.level == StopLevel::ReduceOnly && held(&world.rig.truth()?, &["BTC"]) && world.shown.reduced.insert(cell.level) {
        reduce(world)?;
    }
    if cell.level >= StopLevel::Block && cell.scope != Scope::Parent {
        let words = world.rig.refused(&[
            "submit",
            "--instrument",
            MARKET,
            "--side",
            "buy",
            "--quantity",
            "0.01",
            "--slippage-bps",
            "500",
        ])?;
        ensure!(words.contains("stopped"), "refused, but not because it is stopped: {words}");
    }
    Ok(())
}

/// Positions are closed, by a daemon that was killed meanwhile as well. It takes half a minute at most, so that in a selection of
/// cells it is waited for once per scope.
fn flat(world: &mut World, cell: Cell, began: u64, had: bool) -> Result<()> {
    static SHOWN: Mutex<BTreeSet<Scope>> = Mutex::new(BTreeSet::new());
    let coins: &[&str] = match cell.scope {
        Scope::All | Scope::Venue => &["BTC", "ETH"],
        Scope::Market => &["BTC"],
        // what is its own of a position that others share is the desk's to know
        Scope::Parent => return Ok(()),
    };
    if !SHOWN.lock().unwrap_or_else(PoisonError::into_inner).insert(cell.scope) && !super::every() {
        return Ok(());
    }
    world.rig.wait_venue("flat positions", FLAT_MAX, |truth| !held(truth, coins)).with_context(|| {
        let status = world.rig.status().unwrap_or_default();
        format!("{}\n{}", status["desk"]["parents"], world.last_words())
    })?;
    world.look()?;
    let reduced = world.seen.iter().any(|seen| seen.no >= began && !seen.increases);
    ensure!(reduced || !had, "flat without a reduction");
    Ok(())
}

/// Whether the venue knows of a position in one of `coins`.
fn held(truth: &Value, coins: &[&str]) -> bool {
    let net = |coin: &&str| truth["net"][*coin].as_str().and_then(|net| net.parse().ok()).unwrap_or(Decimal::ZERO);
    coins.iter().any(|coin| !net(coin).is_zero())
}

/// Where positions may only shrink, they may.
fn reduce(world: &mut World) -> Result<()> {
    let next = world.look()?;
    let sell = ["submit", "--instrument", MARKET, "--side", "sell", "--quantity", "0.001", "--reduce-only"];
    let out = world.rig.ok(&[&sell[..], &["--horizon", "60s", "--placement", "passive"]].concat())?;
    let parent: u32 = out.trim().trim_start_matches('P').parse().with_context(|| format!("{out:?}"))?;
    let until = Instant::now() + SOON;
    while !world.seen.iter().any(|seen| seen.no >= next && seen.parent == parent && !seen.increases) {
        ensure!(Instant::now() < until, "I20: a reduction does not pass: {}", world.rig.status()?["desk"]["parents"]);
        thread::sleep(LOOK_EVERY);
        world.look()?;
    }
    world.rig.ok(&["cancel", &parent.to_string()]).map(drop)
}

fn is_reduction(world: &World, order: &Value) -> bool {
    let parent = order["cloid"].as_str().and_then(|name| u32::from_str_radix(name.get(18..26)?, 16).ok());
    let mine = world.seen.iter().rev().find(|seen| Some(seen.parent) == parent);
    mine.is_some_and(|seen| !seen.increases)
}

/// The stop outlives what happens to the latch.
fn kept(world: &mut World, cell: Cell, older: &[u8]) -> Result<()> {
    let scope = cell.scope.text(world.parents[0]);
    if cell.store == Store::Reload {
        // a file that says nothing of a stop clears none (C32)
        world.configure("# read again\n")?;
        world.rig.daemon().proc.signal(rustix::process::Signal::HUP);
        return Ok(());
    }
    if !ends(cell) {
        world.rig.daemon().proc.kill9();
    }
    spoil(world, cell.store, older)?;
    if cell.level != StopLevel::Flatten && world.shown.dirty.insert(cell.level) {
        // somebody trades while nobody looks: the venue and the books differ from here on
        let by_hand = client::place(&world.rig, true, "80000", "0.003", "Ioc", None);
        ensure!(by_hand["filled"].is_object(), "a trade by hand: {by_hand}");
        world.shown.differs = true;
    }
    world.rig.spawn()?;
    let status = world.rig.wait("a stopped daemon that has read its venue", SOON, |s| {
        s["desk"]["ready"] == true && stands_at_least(s, &scope, cell.level)
    })?;
    if cell.store.makes_unreadable() {
        ensure!(all_is_cancelled(&status), "I21: an unreadable store counts as set: {}", status["desk"]["stops"]);
    }
    Ok(())
}

fn all_is_cancelled(status: &Value) -> bool {
    stands_at_least(status, "all", StopLevel::Cancel)
}

/// A store that cannot be read counts as a stop of everything at cancel, which may be further than what was asked for.
fn stands_at_least(status: &Value, scope: &str, level: StopLevel) -> bool {
    StopLevel::ALL.iter().filter(|other| **other >= level).any(|other| stands(status, scope, *other))
}

/// Does to the dead daemon's latch what the cell says.
fn spoil(world: &mut World, store: Store, older: &[u8]) -> Result<()> {
    let file = world.latch();
    match store {
        Store::Whole | Store::Reload => {}
        Store::FileGone => fs::remove_file(file)?,
        Store::FileEmpty => fs::write(file, "")?,
        Store::FileFlipped => {
            let mut bytes = fs::read(&file)?;
            let middle = bytes.len() / 2;
            *bytes.get_mut(middle).context("a byte")? ^= 0x04;
            fs::write(file, bytes)?;
        }
        Store::FileOlder => fs::write(file, older)?,
        Store::DatabaseGone | Store::DatabaseFlipped | Store::WitnessGone => spoil_journal(world, store)?,
    }
    Ok(())
}

/// Spoils a file of the journal, sees that no daemon starts on it and that nothing leaves, and puts the file back.
fn spoil_journal(world: &mut World, store: Store) -> Result<()> {
    let dir = world.rig.journal_dir();
    let flips = store == Store::DatabaseFlipped;
    let names: &[&str] = match (flips, store == Store::WitnessGone) {
        (true, _) => &["journal.db", "journal.db-wal"],
        (false, true) => &["head"],
        (false, false) => &["journal.db"],
    };
    let mut good = Vec::new();
    let mut flipped = 0;
    for name in names {
        let path = dir.join(name);
        let Ok(bytes) = fs::read(&path) else { continue };
        if flips {
            let mut bad = bytes.clone();
            flipped += flip(&mut bad, FIRST_TENURE);
            fs::write(&path, bad)?;
        } else {
            fs::remove_file(&path)?;
        }
        good.push((path, bytes));
    }
    ensure!(!flips || flipped > 0, "no record of the first tenure in the journal's files");
    let before = world.look()?;
    let (code, _, err) = world.rig.run(&["run"])?;
    ensure!(code == Some(65) && err.contains("Do not trade on it"), "started on a spoilt journal: {code:?} {err}");
    ensure!(world.look()? == before, "something was sent without a journal");
    let latch: Value = serde_json::from_slice(&fs::read(world.latch())?)?;
    let seen = json!({ "desk": { "stops": latch["stops"] } });
    ensure!(all_is_cancelled(&seen), "I21: a journal that cannot be read counts as set: {latch}");
    good.into_iter().try_for_each(|(path, bytes)| Ok(fs::write(path, bytes)?))
}

/// In the record of the first tenure, which was acknowledged long ago.
const FIRST_TENURE: &[u8] = br#""kind":"epoch","epoch":1,"#;

/// Flips a bit in every copy of `text`, of which pages leave stale ones; how many there were.
fn flip(bytes: &mut [u8], text: &[u8]) -> usize {
    let places: Vec<usize> = (0..bytes.len().saturating_sub(text.len())).filter(|at| bytes[*at..].starts_with(text)).collect();
    for at in &places {
        bytes[at + 9] ^= 0x01;
    }
    places.len()
}

/// Watches a daemon that is stopped and whose parents all have orders due.
fn watched(world: &mut World, cell: Cell) -> Result<()> {
    let scope = cell.scope.text(world.parents[0]);
    thread::sleep(WATCHED);
    let status = world.rig.status()?;
    ensure!(stands_at_least(&status, &scope, cell.level), "no longer stopped: {}", status["desk"]["stops"]);
    Ok(())
}

/// I20, by the venue's record.
fn judge(world: &mut World, cell: Cell, began: u64, ack: &Acknowledged) -> Result<Found> {
    world.look()?;
    let stopped = world.parents[0];
    let covered = |seen: &&super::world::Seen| cell.scope.covers(seen.asset, seen.parent, stopped);
    let until = ack.at_ns + u64::try_from(IN_FLIGHT.as_nanos())?;
    let late: Vec<_> = world.increases(began).filter(covered).filter(|seen| seen.at_ns > until).collect();
    ensure!(
        late.is_empty(),
        "I20: {} orders that increase risk arrived after the stop: {late:?} (acknowledged at {})",
        late.len(),
        ack.at_ns
    );
    if let Some(status) = &ack.status
        && matches!(cell.scope, Scope::All | Scope::Venue)
        && matches!(cell.level, StopLevel::Block | StopLevel::Cancel)
    {
        // the daemon's own count, at the moment of the acknowledgement, of what it had handed to a connection
        let sent = status["connector"]["orders_sent"].as_u64().context("a count")?;
        let epoch = status["desk"]["epoch"].as_u64().context("a tenure")?;
        let arrived = world.seen.iter().filter(|seen| u64::from(seen.epoch) == epoch).count();
        ensure!(
            arrived as u64 <= sent,
            "I20: {arrived} orders of tenure {epoch} arrived, but {sent} were sent when it was stopped"
        );
    }
    let in_flight = world.increases(began).filter(covered).filter(|seen| seen.at_ns > ack.asked_ns).count();
    let reductions = world.seen.iter().filter(|seen| seen.no >= began && !seen.increases).count();
    Ok(Found { in_flight, acknowledged_ms: (ack.at_ns - ack.asked_ns) / 1_000_000, reductions })
}
