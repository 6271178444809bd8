//! Seeded worlds: everything goes wrong for a while, then nothing does, and then the books must agree with the venue.
//!
//! A failing seed is printed; put it into `FOUND`, where it stays.

use std::fmt::Write as _;

use domain::margin::MarginTable;
use domain::{EndPolicy, InstrumentId, ParentId, ParentSpec, Placement, Px, Qty, Ratio, Schedule, Seed, Side, Span, Usd, Venue};
use exchange::{Asset, ExchangeSpec, MarketSpec, SyntheticFlow, SyntheticParams};
use margin_guard::{Limits, RawLimits};
use plimsoll_lab::{Faults, World, WorldSpec};
use rust_decimal::Decimal;

const START_MS: u64 = 1_790_000_000_000;
/// Seeds that once failed.
const FOUND: &[u64] = &[];

fn limits() -> Limits {
    let raw = RawLimits { allow: vec!["hyperliquid:BTC".into()], ..RawLimits::default() };
    Limits::check(raw).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn world(seed: u64, faults: Faults) -> World {
    let oracle = Decimal::from(60_000);
    let market = MarketSpec::hyperliquid("BTC", 0, 5, MarginTable::flat(40), oracle).unwrap_or_else(|e| panic!("{e}"));
    let params = SyntheticParams {
        levels: 10,
        half_spread_steps: 1,
        mean_gap_ms: 150,
        trades_per_100: 40,
        level_lots: 50_000,
        trade_lots: 8_000,
        move_steps_max: 2,
        reversion: 100,
    };
    let mut flow = SyntheticFlow::new(&market.instrument, Px(600_000), START_MS, params, Seed(seed));
    let spec = WorldSpec {
        seed: Seed(seed),
        exchange: ExchangeSpec::hyperliquid(START_MS, vec![market]),
        markets: vec![Asset(0)],
        balance: Usd::whole(100_000),
        limits: limits(),
        latency: (Span::millis(5), Span::millis(120)),
        faults,
    };
    World::new(spec, std::iter::from_fn(move || Some(flow.next_event()))).unwrap_or_else(|e| panic!("seed {seed}: {e}"))
}

fn parent(side: Side, lots: i64, schedule: Schedule, placement: Placement, seconds: u64) -> ParentSpec {
    ParentSpec {
        id: ParentId(0),
        instrument: InstrumentId::new(Venue::Hyperliquid, "BTC").unwrap_or_else(|e| panic!("{e}")),
        side,
        qty: Qty(lots),
        schedule,
        placement,
        display: None,
        horizon: Span::secs(seconds),
        limit_px: None,
        slippage_max: Ratio::bps(100),
        end: EndPolicy::Force,
        reduce_only: false,
        note: String::new(),
    }
}

/// Runs one seed to its end and returns every complaint.
fn run(seed: u64, faults: Faults) -> (World, String) {
    let mut world = world(seed, faults);
    let mut complaints = String::new();
    let mut say = |words: String| writeln!(complaints, "seed {seed}: {words}").unwrap_or_else(|e| panic!("{e}"));
    let mut chance = Seed(seed).fork("test.parents");
    let mut wanted = 3;
    for second in 1..=60 {
        if let Err(e) = world.run(Span::secs(second), |_| false) {
            say(e.to_string());
            return (world, complaints);
        }
        if wanted > 0 && chance.chance(1, 4) {
            let side = if chance.chance(1, 2) { Side::Buy } else { Side::Sell };
            let schedule = match chance.below(3) {
                0 => Schedule::Twap { slices: 6 },
                1 => Schedule::Vwap { slices: 6, curve: vec![3, 1, 2] },
                _ => Schedule::Pov { rate: Ratio::bps(1_000), complete: true },
            };
            let placement =
                [Placement::Passive, Placement::Pegged, Placement::LimitToMarket][usize::try_from(chance.below(3)).unwrap_or(0)];
            let lots = 20_000 + i64::try_from(chance.below(40_000)).unwrap_or(0);
            let spec = parent(side, lots, schedule, placement, 20 + chance.below(40));
            if world.submit(spec).is_ok() {
                wanted -= 1;
            }
        }
    }
    world.calm();
    let over = |w: &World| w.desk().is_some_and(|d| d.is_ready() && d.is_idle() && d.is_quiet());
    if let Err(e) = world.run(Span::secs(600), over) {
        say(e.to_string());
    }
    // what was told late must have arrived before the books are compared
    if let Err(e) = world.run(Span::secs(640), |_| false) {
        say(e.to_string());
    }
    if let Some(desk) = world.desk().filter(|d| !(d.is_idle() && d.is_quiet())) {
        let status = desk.status(world.now());
        let parents: Vec<_> = status.parents.iter().map(|p| (p.spec.id, &p.progress)).collect();
        say(format!("not over after nine calm minutes: {parents:?} {:?}", status.orders));
    }
    for fault in world.verdict().faults {
        say(fault);
    }
    (world, complaints)
}

#[test]
fn without_faults_every_parent_is_filled_exactly() {
    let mut complaints = String::new();
    for seed in 0..10 {
        let (world, more) = run(seed, Faults::default());
        complaints.push_str(&more);
        assert_eq!(world.crashes(), 0);
    }
    assert!(complaints.is_empty(), "{complaints}");
}

#[test]
fn with_faults_the_books_agree_with_the_venue_in_the_end() {
    let (mut complaints, mut crashes) = (String::new(), 0);
    for seed in FOUND.iter().copied().chain(1_000..1_060) {
        let (world, more) = run(seed, Faults::draw(Seed(seed)));
        complaints.push_str(&more);
        crashes += world.crashes();
    }
    assert!(complaints.is_empty(), "{complaints}");
    assert!(crashes > 20, "the worlds were too kind: {crashes} crashes");
}

#[test]
fn the_same_seed_writes_the_same_journal() {
    for seed in [7, 8, 9] {
        let (one, _) = run(seed, Faults::draw(Seed(seed)));
        let (two, _) = run(seed, Faults::draw(Seed(seed)));
        assert!(one.log().len() > 50, "seed {seed}: the world did nothing");
        assert_eq!(one.log(), two.log(), "seed {seed} (I38)");
    }
}
