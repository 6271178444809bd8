//! Every trigger, level and scope of a stop, with the real binary (C30, C32, C34; I20, I21, I22, G25): after the act nothing that
//! could increase risk reaches the venue, the latch outlives a restart and the loss or spoiling of either of its stores, and
//! trading begins again by a re-arm alone.
//!
//! The judge is the venue's own record of what arrived at its door, in order and by the machine's clock. With every test a
//! selection runs that contains every pair of trigger, level, scope and fault of a store; `cargo xtask stop-matrix` runs all cells.

mod act;
mod cell;
mod check;
mod rearm;
mod refused;
mod world;

use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use domain::Seed;

use cell::Cell;
use world::World;

const SEED: u64 = 0x570b;
/// Cells in one world: its parents have work for 24 minutes.
const CELLS_PER_WORLD: usize = 40;

fn number(name: &str) -> Option<usize> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Whether all cells are meant and not a selection.
fn every() -> bool {
    ["PLIMSOLL_STOP_CELLS", "PLIMSOLL_STOP_ONLY"].iter().any(|name| std::env::var_os(name).is_some())
}

/// What the lanes share.
#[derive(Default)]
struct Shared {
    left: Mutex<Vec<Cell>>,
    lines: Mutex<Vec<String>>,
    faults: Mutex<Vec<String>>,
}

#[test]
fn i20_i21_after_any_stop_nothing_grows_and_it_stays_stopped() {
    let mut chance = Seed(SEED).fork("cells");
    let lanes = number("PLIMSOLL_STOP_LANES").unwrap_or(2).max(1);
    let mut cells = if every() { cell::shuffled(&mut chance) } else { cell::pairwise(&mut chance) };
    if let Ok(only) = std::env::var("PLIMSOLL_STOP_ONLY") {
        cells.retain(|cell| only.split_whitespace().all(|word| cell.to_string().split_whitespace().any(|w| w == word)));
    }
    cells.truncate(number("PLIMSOLL_STOP_CELLS").unwrap_or(usize::MAX));
    let count = cells.len();
    let shared = Shared { left: Mutex::new(cells), ..Shared::default() };
    thread::scope(|scope| (0..lanes.min(count)).for_each(|_| drop(scope.spawn(|| lane(&shared)))));
    let (lines, faults) = (shared.lines.lock().unwrap(), shared.faults.lock().unwrap());
    println!("{}\n{} of {count} cells", lines.join("\n"), lines.len());
    assert!(faults.is_empty(), "{} cells went wrong:\n{}", faults.len(), faults.join("\n\n"));
    assert_eq!(lines.len(), count);
}

/// Cell after cell, until none is left; a world that went wrong is replaced by a new one.
fn lane(shared: &Shared) {
    let mut world = None;
    let mut lived = 0;
    loop {
        let Some(cell) = shared.left.lock().unwrap().pop() else { return };
        let began = Instant::now();
        let done = live(&mut world, cell);
        let took = began.elapsed().as_secs_f32();
        match done {
            Ok(found) => {
                let line = format!("{cell} ok {took:5.1} s  {found}");
                println!("{line}");
                shared.lines.lock().unwrap().push(line);
                lived += 1;
            }
            Err(error) => {
                let words = world.as_ref().map(World::last_words).unwrap_or_default();
                let text = format!("{cell} WRONG after {took:.1} s: {error:#}\n{words}");
                println!("{text}");
                shared.faults.lock().unwrap().push(text);
                world = None;
            }
        }
        if lived >= CELLS_PER_WORLD {
            world = None;
            lived = 0;
        }
    }
}

fn live(world: &mut Option<World>, cell: Cell) -> anyhow::Result<check::Found> {
    let mut here = match world.take() {
        Some(world) => world,
        None => World::start()?,
    };
    let found = check::live(&mut here, cell);
    *world = Some(here);
    found
}
