//! SIGKILL of the real daemon at every named state of a transfer, each with every fault of the chain (F82, F85, F86, F89, F91; I11, I12).
//!
//! The daemon, the chain (Anvil with Circle's token) and the venue are real processes; a proxy stands before each of the two
//! endpoints, so that the chain can be held at the state wanted, or lose what was sent. Nothing in the daemon knows of it: a state
//! is recognised by its record in the journal. A few runs are made with every test; `cargo xtask treasury-crash 500` makes the rest.

mod cell;
mod check;
mod steer;
mod tail;
mod world;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::thread;

use domain::Seed;
use plimsoll_tests::{Missing, skip};

use cell::{Cell, Fault, Point};
use world::World;

/// Runs in one world, which ends with a budget that is spent.
const RUNS_PER_WORLD: usize = 12;
/// Runs with every test, half of them in each of two worlds: under three minutes on two cores.
const RUNS: usize = 10;
const SEED: u64 = 0x7a11;

/// What happened in the runs of one cell.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    runs: usize,
    kills: usize,
    sends: usize,
    finals: usize,
}

fn number(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn i12_killed_at_any_state_of_a_transfer_it_is_sent_at_most_once() {
    const TEST: &str = "i12_killed_at_any_state_of_a_transfer_it_is_sent_at_most_once";
    let runs = number("PLIMSOLL_TREASURY_CRASHES", RUNS);
    let lanes = number("PLIMSOLL_TREASURY_LANES", 2).max(1);
    let cells = cell::matrix(runs, Seed(SEED));
    let each = runs.div_ceil(lanes).clamp(1, RUNS_PER_WORLD);
    let worlds: Vec<(usize, Vec<Cell>)> = cells.chunks(each).map(<[Cell]>::to_vec).enumerate().collect();
    let shared = Shared { left: Mutex::new(worlds), ..Shared::default() };
    thread::scope(|scope| (0..lanes).for_each(|_| drop(scope.spawn(|| lane(&shared)))));
    if let Some(missing) = shared.missing.lock().unwrap().take() {
        return skip(TEST, &missing);
    }
    let done = shared.done.lock().unwrap();
    println!("{}", table(&done));
    let faults = shared.faults.lock().unwrap();
    assert!(faults.is_empty(), "{} of the worlds went wrong:\n{}", faults.len(), faults.join("\n\n"));
    assert_eq!(done.values().map(|tally| tally.runs).sum::<usize>(), runs);
}

/// What the lanes share.
#[derive(Default)]
struct Shared {
    /// The runs of each world that is still to be made.
    left: Mutex<Vec<(usize, Vec<Cell>)>>,
    done: Mutex<BTreeMap<(Point, Fault), Tally>>,
    faults: Mutex<Vec<String>>,
    missing: Mutex<Option<Missing>>,
}

/// World after world, until none is left. One that goes wrong is reported, and its other runs are not made.
fn lane(shared: &Shared) {
    loop {
        let next = shared.left.lock().unwrap().pop();
        let Some((at, mut cells)) = next else { return };
        while !cells.is_empty() {
            let seed = Seed(SEED.wrapping_add((at * RUNS_PER_WORLD + cells.len()) as u64));
            let mut world = match World::start(seed, cells.len()) {
                Ok(Ok(world)) => world,
                Ok(Err(why)) => {
                    *shared.missing.lock().unwrap() = Some(why);
                    return;
                }
                Err(error) => {
                    shared.faults.lock().unwrap().push(format!("world {at} does not start: {error:#}"));
                    return;
                }
            };
            let outcome = world.live(&cells, |cell, tally| {
                let mut done = shared.done.lock().unwrap();
                let sum = done.entry((cell.point, cell.fault)).or_default();
                sum.runs += 1;
                sum.kills += tally.kills;
                sum.sends += tally.sends;
                sum.finals += tally.finals;
            });
            match outcome {
                Ok(ran) => drop(cells.drain(..ran)),
                Err(error) => {
                    let text = format!("world {at}: {error:#}\n{}", world.last_words());
                    eprintln!("{text}");
                    shared.faults.lock().unwrap().push(text);
                    break;
                }
            }
        }
    }
}

/// Point by fault: runs, different transactions sent, transfers that arrived.
fn table(done: &BTreeMap<(Point, Fault), Tally>) -> String {
    let mut text = format!("{:<12}", "killed at");
    for fault in Fault::ALL {
        write!(text, " {:>13}", fault.name()).unwrap();
    }
    text.push_str("   (runs/transactions sent/final transfers)\n");
    for point in Point::ALL {
        write!(text, "{:<12}", point.name()).unwrap();
        for fault in Fault::ALL {
            let cell = done.get(&(point, fault)).map(|t| format!("{}/{}/{}", t.runs, t.sends, t.finals));
            write!(text, " {:>13}", cell.unwrap_or_else(|| "-".into())).unwrap();
        }
        text.push('\n');
    }
    let sum = |value: fn(&Tally) -> usize| done.values().map(value).sum::<usize>();
    let (runs, kills, sends, finals) = (sum(|t| t.runs), sum(|t| t.kills), sum(|t| t.sends), sum(|t| t.finals));
    writeln!(text, "{runs} runs, {kills} times SIGKILL, {sends} transactions sent, {finals} final transfers").unwrap();
    text
}
