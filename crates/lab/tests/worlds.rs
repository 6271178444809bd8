//! Seeded worlds: everything goes wrong for a while, then nothing does, and then the books must agree with the venue.
//!
//! A failing seed is printed; put it into `FOUND`, where it stays. `PLIMSOLL_LAB_SEEDS=5000..9000` runs others.

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use common::{instrument, market, merged};
use domain::{
    Command, CommandReply, EndPolicy, Entry, Fact, FundingRate, InstrumentId, ParentChange, ParentId, ParentOutcome, ParentSpec,
    Placement, Prng, Px, Qty, Ratio, Schedule, Seed, Side, Span, Stop, StopLevel, StopScope, Topic, Trigger, Usd,
};
use exchange::{Asset, ExchangeSpec, SyntheticFlow, SyntheticParams};
use margin_guard::{Limits, RawLimits};
use plimsoll_lab::{Faults, World, WorldSpec};

const START_MS: u64 = 1_790_000_000_000;
/// How long things go wrong, seconds.
const WILD: u64 = 90;
/// Whole pulls that the venue's weight budget has room for beside the orders themselves, with half of it to spare.
const READS_PER_MINUTE: u64 = 20;
/// Seeds that once failed: an order left open after a kill (1168, 1280), orders asked about without end (1224, 1308), a parent
/// that never came to its end (1199, 1373).
const FOUND: &[u64] = &[1_168, 1_199, 1_224, 1_280, 1_308, 1_373];

fn limits() -> Limits {
    let raw = RawLimits { allow: vec!["hyperliquid:BTC".into(), "hyperliquid:ETH".into()], ..RawLimits::wide() };
    Limits::check(raw).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn world(seed: u64, faults: Faults, clock_offset_ms: i64) -> World {
    let markets = vec![market(0, "BTC", 5, 60_000), market(1, "ETH", 4, 3_000)];
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
    // a thin market, where what crosses finds too little
    let thin = SyntheticParams { mean_gap_ms: 400, levels: 5, level_lots: 2_500, trade_lots: 2_000, ..params.clone() };
    let btc = SyntheticFlow::new(&markets[0].instrument, Px(600_000), START_MS, params, Seed(seed));
    let eth = SyntheticFlow::new(&markets[1].instrument, Px(300_000), START_MS, thin, Seed(seed ^ 0xE74));
    let spec = WorldSpec {
        seed: Seed(seed),
        exchange: ExchangeSpec::hyperliquid(START_MS, markets),
        markets: vec![Asset(0), Asset(1)],
        balance: Usd::whole(100_000),
        limits: limits(),
        latency: (Span::millis(5), Span::millis(120)),
        clock_offset_ms,
        faults,
        money: None,
    };
    let mut world = World::new(spec, merged(btc, eth)).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    world.learn(["BTC", "ETH"].map(funding).into());
    world
}

/// Thirty days of funding in which nothing happened.
fn funding(name: &str) -> Fact {
    let rate = |n: u64| FundingRate {
        until_ms: START_MS / 3_600_000 * 3_600_000 - n * 3_600_000,
        hours: 1,
        hourly: Ratio::scaled(125, 7),
    };
    Fact::FundingRates { instrument: instrument(name), source: "hyperliquid".into(), rates: (0..720).rev().map(rate).collect() }
}

fn pick<T: Clone>(chance: &mut Prng, of: &[T]) -> T {
    let at = usize::try_from(chance.below(of.len() as u64)).unwrap_or(0);
    of[at].clone()
}

fn lots(chance: &mut Prng, least: i64, more: u64) -> Qty {
    Qty(least + i64::try_from(chance.below(more)).unwrap_or(0))
}

fn parent(chance: &mut Prng, wild: bool) -> ParentSpec {
    let schedule = match chance.below(3) {
        0 => Schedule::Twap { slices: 6 },
        1 => Schedule::Vwap { slices: 6, curve: vec![3, 1, 2] },
        _ => Schedule::Pov { rate: Ratio::bps(1_000), complete: true },
    };
    let horizon = Span::secs(20 + chance.below(40));
    ParentSpec {
        id: ParentId(0),
        instrument: instrument(if chance.chance(2, 3) { "BTC" } else { "ETH" }),
        side: pick(chance, &[Side::Buy, Side::Sell]),
        qty: lots(chance, 20_000, 40_000),
        schedule,
        placement: pick(chance, &[Placement::Passive, Placement::Pegged, Placement::LimitToMarket]),
        display: (wild && chance.chance(1, 5)).then_some(Qty(5_000)),
        horizon,
        limit_px: None,
        slippage_max: Ratio::bps(100),
        end: if wild {
            pick(chance, &[EndPolicy::Force, EndPolicy::Force, EndPolicy::Extend, EndPolicy::Cancel])
        } else {
            EndPolicy::Force
        },
        reduce_only: wild && chance.chance(1, 6),
        note: String::new(),
    }
}

/// What an operator does while things go wrong: nothing most of the time, and now and then anything.
fn meddle(world: &mut World, chance: &mut Prng) {
    let parents: Vec<(ParentId, Qty)> =
        world.desk().map(|d| d.status(world.now()).parents.iter().map(|p| (p.spec.id, p.spec.qty)).collect()).unwrap_or_default();
    let change = |world: &mut World, id, change| world.command(Command::Change(id, change));
    match chance.below(60) {
        0 => {
            let level = pick(chance, &[StopLevel::ReduceOnly, StopLevel::Block, StopLevel::Cancel]);
            world.command(Command::Kill(Stop::all(level, Trigger::Operator, "the operator is nervous")));
        }
        1..=5 => {
            world.command(Command::rearm("all is well"));
        }
        n @ 6..=13 if !parents.is_empty() => {
            let (id, qty) = pick(chance, &parents);
            let more = lots(chance, qty.0 / 2, 40_000);
            let horizon = Some(Span::secs(30 + chance.below(90)));
            match n {
                6 | 7 => change(world, id, ParentChange::Pause),
                8 | 9 => change(world, id, ParentChange::Resume),
                10 => change(world, id, ParentChange::Cancel),
                11 => change(world, id, ParentChange::Amend { qty: Some(more), horizon: None }),
                12 => change(world, id, ParentChange::Amend { qty: None, horizon }),
                _ => change(world, id, ParentChange::Amend { qty: Some(more), horizon }),
            };
        }
        14 | 15 => unfreeze(world),
        _ => {}
    }
}

/// What a person does about frozen markets: pause what works there, wait, let them go, resume.
fn unfreeze(world: &mut World) {
    let Some(desk) = world.desk() else { return };
    let frozen: Vec<InstrumentId> = desk.books().frozen.keys().copied().collect();
    let parents: Vec<ParentId> =
        desk.status(world.now()).parents.iter().filter(|p| frozen.contains(&p.spec.instrument)).map(|p| p.spec.id).collect();
    let mut thawed = true;
    for instrument in frozen {
        let reply = world.command(Command::Unfreeze { instrument, reason: "I have looked".into() });
        thawed &= reply == Some(CommandReply::Done);
    }
    for id in parents {
        world.command(Command::Change(id, if thawed { ParentChange::Resume } else { ParentChange::Pause }));
    }
}

/// After the storm a person clears up.
fn clear_up(world: &mut World) {
    unfreeze(world);
    if world.desk().is_some_and(|d| d.books().stops.is_set()) {
        world.command(Command::rearm("the storm is over"));
    }
    let ids: Vec<ParentId> = world
        .desk()
        .filter(|d| d.books().frozen.is_empty())
        .map(|d| d.status(world.now()).parents.iter().map(|p| p.spec.id).collect())
        .unwrap_or_default();
    for id in ids {
        world.command(Command::Change(id, ParentChange::Resume));
    }
}

/// Runs one seed to its end and returns every complaint.
fn run(seed: u64, faults: Faults) -> (World, String) {
    let wild = faults != Faults::default();
    let mut chance = Seed(seed).fork("test.parents");
    let offset = if wild { i64::try_from(chance.below(401)).unwrap_or(0) - 200 } else { 0 };
    let mut world = world(seed, faults, offset);
    let mut complaints = String::new();
    let mut say = |words: String| writeln!(complaints, "seed {seed}: {words}").unwrap_or_else(|e| panic!("{e}"));
    let mut wanted = if wild { 6 } else { 3 };
    for second in 1..=WILD {
        if let Err(e) = world.run(Span::secs(second), |_| false) {
            say(e.to_string());
            return (world, complaints);
        }
        if wanted > 0 && chance.chance(1, 4) && world.submit(parent(&mut chance, wild)).is_ok() {
            wanted -= 1;
        }
        if wild {
            meddle(&mut world, &mut chance);
        }
    }
    if wild && chance.chance(1, 2) {
        // L4, I22: told to cancel in the middle of the storm, and whatever was on its way then, nothing stays open
        world.command(Command::Kill(Stop::all(StopLevel::Cancel, Trigger::Operator, "enough")));
        let told = world.desk().is_some();
        world.calm();
        if let Err(e) = world.run(Span::secs(WILD + 45), |_| false) {
            say(e.to_string());
        }
        let open = world.exchange().open_orders(world.account()).len();
        if told && open > 0 {
            say(format!("I22: {open} orders are open 45 s after everything was to be cancelled"));
        }
    }
    world.calm();
    let calm_from = (world.now(), world.reads());
    let over = |w: &World| w.desk().is_some_and(|d| d.is_ready() && d.is_idle() && d.is_quiet() && d.books().frozen.is_empty());
    for minute in 0..=15 {
        // the first pulls of the calm may still find what the storm left
        let (until, may_end) = if minute == 0 { (20, false) } else { (60 * minute, true) };
        clear_up(&mut world);
        if let Err(e) = world.run(Span(calm_from.0.mono) + Span::secs(until), |w| may_end && over(w)) {
            say(e.to_string());
            return (world, complaints);
        }
    }
    // what was told late must have arrived before the books are compared
    let end = Span(world.now().mono) + Span::secs(40);
    if let Err(e) = world.run(end, |_| false) {
        say(e.to_string());
    }
    if let Some(desk) = world.desk().filter(|d| !(d.is_idle() && d.is_quiet())) {
        let status = desk.status(world.now());
        let parents: Vec<_> = status.parents.iter().map(|p| (p.spec.id, &p.progress)).collect();
        say(format!("not over after fifteen calm minutes: {parents:?} {:?} {:?}", status.orders, status.stop));
    }
    let (minutes, reads) = (world.now().since(calm_from.0).0 / 60_000_000_000 + 1, world.reads() - calm_from.1);
    if reads > READS_PER_MINUTE * minutes {
        say(format!("I10: {reads} reads of the venue in {minutes} calm minutes"));
    }
    for fault in world.verdict().faults {
        say(fault);
    }
    for finding in journal::audit::audit_entries(World::TAG, world.log()).findings {
        say(format!("audit: {} record {}: {}", finding.invariant, finding.seq, finding.what));
    }
    (world, complaints)
}

/// `from..to` of the environment, or the seeds that every run takes.
fn seeds() -> std::ops::Range<u64> {
    let given = std::env::var("PLIMSOLL_LAB_SEEDS").ok();
    let given = given.as_deref().and_then(|text| text.split_once(".."));
    given.and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?)).unwrap_or(1_000..1_080)
}

#[test]
fn without_faults_every_parent_is_filled_exactly() {
    let mut complaints = String::new();
    for seed in 0..10 {
        let (world, more) = run(seed, Faults::default());
        complaints.push_str(&more);
        assert_eq!(world.crashes(), 0);
        let ended = |s: &&domain::Stamped| matches!(s.entry, Entry::Ended { outcome: ParentOutcome::Filled, .. });
        assert_eq!(world.log().iter().filter(ended).count(), 3, "seed {seed}");
    }
    assert!(complaints.is_empty(), "{complaints}");
}

#[test]
fn with_faults_the_books_agree_with_the_venue_in_the_end() {
    let (mut complaints, mut met) = (String::new(), BTreeMap::new());
    for seed in FOUND.iter().copied().chain(seeds()) {
        let (world, more) = run(seed, Faults::draw(Seed(seed)));
        complaints.push_str(&more);
        for (what, times) in world.met() {
            *met.entry(what).or_insert(0) += times;
        }
    }
    println!("{met:#?}");
    assert!(complaints.is_empty(), "{complaints}");
    // a world that was too kind proves little: each of these came about (reliability: fault matrix, reconciliation table)
    let must = [
        "a burn comes second",
        "a cancel overtakes its order",
        "a fill after the cancel was asked for",
        "a fill before the acknowledgement",
        "a fill of an unknown order",
        "a fill of nobody's order",
        "a market is frozen",
        "a market is unfrozen",
        "a parent is changed",
        "a placement arrives burnt",
        "a placement arrives expired",
        "a placement lands when nobody expects it",
        "a post-only order would have taken",
        "a restart finds an order on its way",
        "a stranger trades",
        "a stranger's order is counted",
        "an immediate-or-cancel fills in part",
        "an orphan is cancelled",
        "an unknown order expires",
        "an unknown order is burnt",
        "an unknown order is found",
        "dies again before it has reconciled",
        "dies before an intent is durable",
        "dies between an intent and its sending",
        "re-armed",
        "stopped at block",
        "stopped at cancel",
        "stopped at reduce-only",
        "the guard refuses",
        "the venue takes post-only orders alone",
    ];
    let missed: Vec<_> = must.iter().filter(|what| !met.contains_key(*what)).collect();
    assert!(missed.is_empty(), "the worlds were too kind, never met: {missed:?}");
}

/// Pulls a stop in the middle of a storm, lets the storm go on for a while, and returns every complaint about what came of it.
fn stop_in_a_storm(seed: u64) -> (World, String) {
    let mut chance = Seed(seed).fork("test.stops");
    let offset = i64::try_from(chance.below(401)).unwrap_or(0) - 200;
    // strangers rest and trade on; they would open again what was closed
    let faults = Faults { strangers: 0, orphans: 0, ..Faults::draw(Seed(seed)) };
    let mut world = world(seed, faults, offset);
    let mut complaints = String::new();
    let mut say = |words: String| writeln!(complaints, "seed {seed}: {words}").unwrap_or_else(|e| panic!("{e}"));
    let pulled_at = 15 + chance.below(30);
    let mut wanted = 6;
    let run = |world: &mut World, second: u64| world.run(Span::secs(second), |_| false).map_err(|e| e.to_string());
    for second in 1..=pulled_at {
        if let Err(e) = run(&mut world, second) {
            say(e);
            return (world, complaints);
        }
        if wanted > 0 && chance.chance(1, 3) && world.submit(parent(&mut chance, true)).is_ok() {
            wanted -= 1;
        }
    }
    let level = pick(&mut chance, &[StopLevel::Cancel, StopLevel::Flatten, StopLevel::Flatten, StopLevel::Sever]);
    let scope = match (level, chance.below(4)) {
        (StopLevel::Sever, _) | (_, 0) => StopScope::All,
        (_, 1) => StopScope::Venue(domain::Venue::Hyperliquid),
        (_, 2) => StopScope::Market(instrument("BTC")),
        _ => StopScope::Parent(ParentId(1)),
    };
    let stop = Stop { scope, ..Stop::all(level, Trigger::Operator, "enough") };
    // F100: lower before, again, and lower after; the daemon may be dead at any of these
    let lower = Stop { level: StopLevel::Block, ..stop.clone() };
    if chance.chance(1, 2) {
        world.command(Command::Kill(lower.clone()));
    }
    world.command(Command::Kill(stop.clone()));
    for second in pulled_at + 1..=pulled_at + 40 {
        if let Err(e) = run(&mut world, second) {
            say(e);
            return (world, complaints);
        }
        if chance.chance(1, 15) {
            world.command(Command::Kill(if chance.chance(1, 2) { stop.clone() } else { lower.clone() }));
        }
    }
    world.calm();
    if world.desk().is_some_and(|d| d.books().stops.of(scope).is_none_or(|s| s.level < level)) {
        // it was dead each time
        world.command(Command::Kill(stop));
    }
    // what the storm froze stays frozen; at most five rounds, the wait before them and the time that unknown orders take
    let calm_from = pulled_at + 40;
    let over = |world: &World| {
        let settled = world.now().mono > (calm_from + 45) * 1_000_000_000;
        settled && world.desk().is_some_and(|d| d.unflattened().is_empty() && d.is_quiet())
    };
    if let Err(e) = world.run(Span::secs(calm_from + 600), over) {
        say(e.to_string());
    }
    let Some(desk) = world.desk() else {
        say("dead in the calm".to_owned());
        return (world, complaints);
    };
    let kept = desk.books().stops.of(scope).map(|s| s.level);
    if kept != Some(level) {
        say(format!("I20: {scope} was stopped at {level} and is at {kept:?}"));
    }
    let of_scope = |asset: Asset, key: Option<u128>| match scope {
        StopScope::Parent(id) => key.is_some_and(|bits| domain::ClientKey::from_bits(bits).parent() == id),
        StopScope::All | StopScope::Venue(_) | StopScope::Market(_) => {
            world.instrument(asset).is_some_and(|rules| scope.covers(rules.id))
        }
    };
    let open = world.exchange().open_orders(world.account());
    let open = open.iter().filter(|o| of_scope(o.asset, o.cloid)).count();
    if open > 0 {
        say(format!("I22: {open} orders of {scope} are open at {level}"));
    }
    if level == StopLevel::Flatten && !matches!(scope, StopScope::Parent(_)) {
        let said = world.told().iter().any(|alert| alert.topic == Topic::Flatten && alert.cause.contains("left"));
        for name in ["BTC", "ETH"].map(instrument) {
            let lots = desk.books().position(name);
            let frozen = desk.books().frozen.contains_key(&name);
            if scope.covers(name) && lots.0 != 0 && !frozen && !said {
                say(format!("{name} is not flat ({} lots) and nobody was told: {:?}", lots.0, desk.unflattened()));
            }
        }
        if !desk.unflattened().is_empty() {
            say(format!("flatten did not come to its end: {:?} {:?}", desk.unflattened(), world.told().last()));
        }
    }
    for flip in flips(&world) {
        say(flip);
    }
    for fault in world.verdict().faults.into_iter().filter(|fault| !fault.contains("frozen")) {
        say(fault);
    }
    (world, complaints)
}

/// Fills of reduce-only orders that made a position larger or turned it (I07).
fn flips(world: &World) -> Vec<String> {
    let reducing: std::collections::BTreeSet<u128> = world
        .log()
        .iter()
        .filter_map(|stamped| if let Entry::Intent { intent, .. } = &stamped.entry { Some(intent) } else { None })
        .filter(|intent| intent.child.reduce_only)
        .map(|intent| intent.key.bits())
        .collect();
    let mut positions: BTreeMap<Asset, i64> = BTreeMap::new();
    let mut found = Vec::new();
    for fill in world.exchange().fills(world.account(), 0) {
        let position = positions.entry(fill.asset).or_default();
        let after = *position + fill.side.sign() * fill.qty.0;
        let reduces = after.abs() < position.abs() && (after == 0 || after.signum() == position.signum());
        if fill.cloid.is_some_and(|cloid| reducing.contains(&cloid)) && !reduces {
            found.push(format!("I07: a reduce-only fill took a position from {position} to {after} lots"));
        }
        *position = after;
    }
    found
}

#[test]
fn a_stop_of_every_level_and_scope_is_kept_in_a_storm() {
    let (mut complaints, mut met) = (String::new(), BTreeMap::new());
    for seed in seeds().take(12) {
        let (world, more) = stop_in_a_storm(seed);
        complaints.push_str(&more);
        for (what, times) in world.met() {
            *met.entry(what).or_insert(0) += times;
        }
        for alert in world.told().iter().filter(|alert| alert.topic == Topic::Flatten) {
            let how = if alert.cause.contains("no position is left") { "flattened" } else { "flatten meets trouble" };
            *met.entry(how).or_insert(0) += 1;
        }
    }
    println!("{met:#?}");
    assert!(complaints.is_empty(), "{complaints}");
    let must = ["stopped at block", "stopped at cancel", "stopped at flatten", "stopped at sever", "severed", "flattened"];
    let missed: Vec<_> = must.iter().filter(|what| !met.contains_key(*what)).collect();
    assert!(missed.is_empty(), "the worlds were too kind, never met: {missed:?}");
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
