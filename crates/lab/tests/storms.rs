//! Markets that turn against the account: crashes, funding that spikes, an oracle that stands still, while everything else goes
//! wrong too. Afterwards the account must have been brought back by the desk itself, and by nothing that a person would regret.
//!
//! A failing seed is printed; put it into `FOUND`, where it stays. `PLIMSOLL_LAB_SEEDS=5000..9000` runs others.

mod common;
mod reckless;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use common::{instrument, market, merged};
use desk::{Books, Desk, DeskConfig, Effect, ForeignPolicy, Tenure};
use domain::{
    Bar, Command, EndPolicy, Entry, Epoch, FIVE_MINUTES, Fact, FundingRate, HOURLY, InstrumentId, Lots, MarginLevel,
    ParentChange, ParentId, ParentSpec, Placement, Prng, Px, Qty, Ratio, Schedule, Seed, Side, Span, StopLevel, Usd, Venue,
};
use exchange::{Asset, ExchangeSpec, Fault, SyntheticFlow, SyntheticParams};
use plimsoll_lab::{Faults, World, WorldSpec};

const START_MS: u64 = 1_790_000_400_000;
const HOUR_MS: u64 = 3_600_000;
/// Seconds in which positions are built, before the market turns.
const BUILD: u64 = 60;
/// How long after the fall the account has to be brought back.
const BACK_WITHIN: u64 = 400;
/// Seeds that once failed.
const FOUND: &[u64] = &[];

fn world(seed: u64, faults: Faults, balance: i32) -> World {
    let markets = vec![market(0, "BTC", 5, 60_000), market(1, "ETH", 4, 3_000)];
    let params = SyntheticParams {
        levels: 20,
        half_spread_steps: 1,
        mean_gap_ms: 200,
        trades_per_100: 40,
        level_lots: 200_000,
        trade_lots: 40_000,
        move_steps_max: 2,
        reversion: 100,
    };
    let thinner = SyntheticParams { mean_gap_ms: 400, level_lots: 100_000, trade_lots: 20_000, ..params.clone() };
    let btc = SyntheticFlow::new(&markets[0].instrument, Px(600_000), START_MS, params, Seed(seed));
    let eth = SyntheticFlow::new(&markets[1].instrument, Px(300_000), START_MS, thinner, Seed(seed ^ 0xE74));
    let spec = WorldSpec {
        seed: Seed(seed),
        exchange: ExchangeSpec::hyperliquid(START_MS, markets),
        markets: vec![Asset(0), Asset(1)],
        balance: Usd::whole(balance),
        limits: reckless::limits(&["hyperliquid:BTC", "hyperliquid:ETH"]),
        latency: (Span::millis(5), Span::millis(120)),
        clock_offset_ms: 0,
        faults,
        money: None,
    };
    let mut world = World::new(spec, merged(btc, eth)).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    world.learn(history("BTC", 600_000, calm_rate));
    world.learn(history("ETH", 300_000, calm_rate));
    world
}

/// Funding that rests at the venue's base rate and moves a little.
fn calm_rate(hour: u64) -> i64 {
    125 + if hour.is_multiple_of(3) { i64::try_from(hour % 7).unwrap_or(0) * 5 } else { 0 }
}

/// Thirty-two days of hourly bars and funding, two days of five-minute bars, with an annual volatility of about a third.
fn history(name: &str, px: i64, rate: fn(u64) -> i64) -> Vec<Fact> {
    let mut chance = Seed(7).fork(name);
    let mut bars = |count: u64, span: Span, widest: i64| -> Arc<[Bar]> {
        let (mut last, length) = (px, span.as_millis());
        let first = START_MS - START_MS % length - count * length;
        let bar = |at: u64| {
            let open = last;
            // drawn back to where the market starts, so that it arrives there
            last += chance.between(-widest, widest) * px / 10_000 + (px - last) / 20;
            let (high, low) = (Px(open.max(last)), Px(open.min(last)));
            Bar { start_ms: first + at * length, open: Px(open), high, low, close: Px(last) }
        };
        (0..count).map(bar).collect()
    };
    let (hourly, five) = (bars(32 * 24, HOURLY, 60), bars(600, FIVE_MINUTES, 15));
    let id = instrument(name);
    vec![
        Fact::Bars { instrument: id, span: HOURLY, bars: hourly },
        Fact::Bars { instrument: id, span: FIVE_MINUTES, bars: five },
        rates(name, START_MS / HOUR_MS - 32 * 24..START_MS / HOUR_MS, rate),
    ]
}

/// Settled hourly rates, in units of 1e-7.
fn rates(name: &str, hours: std::ops::Range<u64>, rate: fn(u64) -> i64) -> Fact {
    let rates = hours.map(|h| FundingRate { until_ms: (h + 1) * HOUR_MS, hours: 1, hourly: Ratio::scaled(rate(h), 7) });
    Fact::FundingRates { instrument: instrument(name), source: Arc::from("hyperliquid"), rates: rates.collect() }
}

fn buy(name: &str, side: Side, lots: i64) -> ParentSpec {
    ParentSpec {
        id: ParentId(0),
        instrument: instrument(name),
        side,
        qty: Qty(lots),
        schedule: Schedule::Twap { slices: 3 },
        placement: Placement::LimitToMarket,
        display: None,
        horizon: Span::secs(30),
        limit_px: None,
        slippage_max: Ratio::bps(200),
        end: EndPolicy::Force,
        reduce_only: false,
        note: String::new(),
    }
}

/// A parent as large as the desk admits, at most `lots`, as soon as there is a daemon to ask.
fn build(world: &mut World, name: &str, side: Side, lots: i64) -> Result<(), String> {
    let mut lots = lots;
    for _ in 0..60 {
        match world.submit(buy(name, side, lots)) {
            Ok(_) => return Ok(()),
            Err(faults) if faults.iter().any(|f| f.field == "quantity") => lots = lots * 3 / 4,
            // dead, or not read yet
            Err(_) => pass(world, 1)?,
        }
    }
    Err("nothing was admitted within a minute".to_owned())
}

/// Moves a market by `percent` within `seconds`, second by second.
fn fall(world: &mut World, asset: u32, percent: i64, seconds: u64) -> Result<(), String> {
    let mid = world.exchange().mid_x2(Asset(asset)).unwrap_or(0) / 2;
    let whole = mid * percent / 100;
    let part = whole / i64::try_from(seconds).unwrap_or(1) / 10 * 10;
    for _ in 0..seconds {
        world.strike(Fault::Shift { asset: Asset(asset), ticks: part });
        pass(world, 1)?;
    }
    Ok(())
}

fn pass(world: &mut World, seconds: u64) -> Result<(), String> {
    let until = Span(world.now().mono) + Span::secs(seconds);
    world.run(until, |_| false).map_err(|e| e.to_string())
}

/// What the journal says that must never be.
fn complaints(log: &[domain::Stamped]) -> Vec<String> {
    let mut said = Vec::new();
    let (mut level, mut positions) = (MarginLevel::Ok, BTreeMap::<InstrumentId, Lots>::new());
    let mut reductions: BTreeMap<ParentId, InstrumentId> = BTreeMap::new();
    let mut flagged: BTreeMap<InstrumentId, bool> = BTreeMap::new();
    for stamped in log {
        #[expect(clippy::wildcard_enum_match_arm, reason = "a checker names what it judges")]
        match &stamped.entry {
            Entry::Level(change) => level = change.to,
            Entry::Measured(measure) => {
                let z = measure.funding.z.is_some_and(|z| z.abs() >= Ratio::scaled(5, 0));
                flagged.insert(measure.instrument, z);
            }
            Entry::Parent { spec, .. } if spec.note.starts_with("deleverage:") => {
                let position = positions.get(&spec.instrument).copied().unwrap_or_default();
                if !spec.reduce_only || position.0.signum() != -spec.side.sign() || spec.qty > position.abs() {
                    said.push(format!("{} reduces {} lots with {spec:?}", spec.id, position.0));
                }
                reductions.insert(spec.id, spec.instrument);
            }
            Entry::Intent { intent, .. } => {
                let child = &intent.child;
                let position = positions.get(&child.instrument).copied().unwrap_or_default();
                let shrinks = position.0.signum() == -child.side.sign() && child.qty <= position.abs();
                let grows = !child.reduce_only && !shrinks;
                if grows && level >= MarginLevel::Reduce {
                    said.push(format!("{} grows at level {level:?}", intent.key));
                }
                if grows && flagged.get(&child.instrument) == Some(&true) {
                    said.push(format!("{} grows under a red flag", intent.key));
                }
            }
            Entry::Fill(fill) => {
                let position = positions.entry(fill.instrument).or_default();
                let before = *position;
                *position += Lots(fill.side.sign() * fill.qty.0);
                let turned = before.0.signum() == -position.0.signum() && position.0 != 0;
                if turned && fill.key.is_some_and(|key| reductions.contains_key(&key.parent())) {
                    said.push(format!("a reduction turned {} lots into {}", before.0, position.0));
                }
            }
            Entry::Opening { instrument, position, .. } | Entry::Unfrozen { instrument, position, .. } => {
                positions.insert(*instrument, *position);
            }
            _ => {}
        }
    }
    said
}

/// After a crash at any entry the books are those of the journal (I25), and the desk boots.
fn every_prefix_boots(world: &World) -> Result<(), String> {
    let log = world.log();
    let mut books = Books::default();
    for (at, stamped) in log.iter().enumerate() {
        books.fold(stamped.at, &stamped.entry);
        // each boot folds all before it: some hundred of them say as much as all
        if at % (log.len() / 150 + 1) != 0 {
            continue;
        }
        let config = DeskConfig {
            venues: vec![Venue::Hyperliquid],
            instruments: vec![instrument("BTC"), instrument("ETH")],
            expires_after_ms: 10_000,
            reconcile_every: Span::secs(15),
            foreign: ForeignPolicy::Freeze,
            unknown_max: 3,
            operators: Vec::new(),
            flatten: desk::FlattenTerms::default(),
            treasury: None,
        };
        let tenure = Tenure { epoch: Epoch(9_999), tag: World::TAG, seed: Seed(1), binary: String::new(), config: String::new() };
        let mut out = Vec::new();
        let desk = Desk::boot(
            config,
            reckless::limits(&["hyperliquid:BTC", "hyperliquid:ETH"]),
            &tenure,
            stamped.at,
            &log[..=at],
            &mut out,
        )
        .map_err(|e| format!("entry {at}: {e}"))?;
        let mut expected = books.clone();
        for effect in &out {
            if let Effect::Record(new) = effect {
                expected.fold(new.at, &new.entry);
            }
        }
        if desk.books().hash() != expected.hash() {
            return Err(format!("I25: books differ after entry {at}"));
        }
    }
    Ok(())
}

/// What came about in a storm.
#[derive(Default)]
struct Seen {
    reductions: usize,
    levels: Vec<MarginLevel>,
    liquidated: bool,
}

fn seen(world: &World) -> Seen {
    let mut seen = Seen::default();
    for stamped in world.log() {
        if let Entry::Level(change) = &stamped.entry {
            seen.levels.push(change.to);
        } else if let Entry::Parent { spec, .. } = &stamped.entry {
            seen.reductions += usize::from(spec.note.starts_with("deleverage:"));
        } else if let Entry::Fill(fill) = &stamped.entry {
            seen.liquidated |= fill.forced;
        }
    }
    seen
}

/// A person looks at what only a person may end.
fn tend(world: &mut World) {
    let Some(desk) = world.desk() else { return };
    let frozen: Vec<InstrumentId> = desk.books().frozen.keys().copied().collect();
    let blocked = desk.books().stops.worst().is_some_and(|stop| stop.level >= StopLevel::Block);
    let parents: Vec<ParentId> =
        desk.status(world.now()).parents.iter().filter(|p| frozen.contains(&p.spec.instrument)).map(|p| p.spec.id).collect();
    for instrument in frozen {
        for id in &parents {
            world.command(Command::Change(*id, ParentChange::Pause));
        }
        world.command(Command::Unfreeze { instrument, reason: "I have looked".into() });
        for id in &parents {
            world.command(Command::Change(*id, ParentChange::Resume));
        }
    }
    if blocked {
        world.command(Command::rearm("the market fell"));
    }
}

/// One storm; returns the world and every complaint.
fn storm(seed: u64) -> (World, Seen, String) {
    let mut chance = Seed(seed).fork("test.storm");
    let faults = Faults { strangers: 0, orphans: 0, ..Faults::draw(Seed(seed)) };
    let mut world = world(seed, faults, 100_000);
    let mut words = String::new();
    let mut say = |text: String| writeln!(words, "seed {seed}: {text}").unwrap_or_else(|e| panic!("{e}"));
    if let Err(e) = run(&mut world, &mut chance) {
        say(e);
    }
    for text in complaints(world.log()).into_iter().chain(world.verdict().faults) {
        say(text);
    }
    for finding in journal::audit::audit_entries(World::TAG, world.log()).findings {
        say(format!("audit: {} record {}: {}", finding.invariant, finding.seq, finding.what));
    }
    if let Err(text) = every_prefix_boots(&world) {
        say(text);
    }
    let seen = seen(&world);
    (world, seen, words)
}

fn run(world: &mut World, chance: &mut Prng) -> Result<(), String> {
    pass(world, 5)?;
    let side = if chance.chance(2, 3) { Side::Buy } else { Side::Sell };
    let size = chance.between(10, 40);
    let percent = -side.sign() * size;
    // loaded so that the fall uses up most of the equity, or a little more than all of it
    let notional = 100_000 * chance.between(70, 105) / size;
    let share = chance.between(0, 100);
    for (name, lot_milli, share) in [("BTC", 600, share), ("ETH", 300, 100 - share)] {
        let lots = notional * share / 100 * 1_000 / lot_milli;
        if lots > 0 {
            build(world, name, side, lots)?;
        }
    }
    pass(world, BUILD)?;
    let seconds = 10 + chance.below(110);
    for asset in [0, 1] {
        fall(world, asset, percent, seconds)?;
    }
    if chance.chance(1, 2) {
        // a bounce, on which nothing may be bought back
        fall(world, 0, -percent / 3, 20)?;
    }
    world.calm();
    for _ in 0..BACK_WITHIN / 20 {
        tend(world);
        pass(world, 20)?;
    }
    let Some(desk) = world.desk() else { return Err("the daemon is dead".to_owned()) };
    let level = desk.books().levels.get(&Venue::Hyperliquid).copied().unwrap_or_default();
    let flat = desk.books().positions.values().all(|lots| lots.0 == 0);
    if level >= MarginLevel::Reduce && !flat {
        let lines = desk.load_line(world.now());
        return Err(format!("level {level:?} {BACK_WITHIN} s after the fall: {lines:?}"));
    }
    Ok(())
}

/// `from..to` of the environment, or the seeds that every run takes.
fn seeds() -> std::ops::Range<u64> {
    let given = std::env::var("PLIMSOLL_LAB_SEEDS").ok();
    let given = given.as_deref().and_then(|text| text.split_once(".."));
    given.and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?)).unwrap_or(2_000..2_010)
}

#[test]
fn a_falling_market_finds_the_account_brought_back_and_never_turned() {
    let (mut words, mut met) = (String::new(), BTreeMap::<String, usize>::new());
    for seed in FOUND.iter().copied().chain(seeds()) {
        let (_, seen, more) = storm(seed);
        words.push_str(&more);
        *met.entry("reductions".into()).or_default() += seen.reductions;
        *met.entry("liquidated".into()).or_default() += usize::from(seen.liquidated);
        for level in seen.levels {
            *met.entry(format!("{level:?}")).or_default() += 1;
        }
    }
    println!("{met:#?}");
    assert!(words.is_empty(), "{words}");
    for what in ["reductions", "Reduce"] {
        assert!(met.get(what).is_some_and(|n| *n > 0), "the storms were too kind, never met: {what}");
    }
}

#[test]
fn the_same_storm_writes_the_same_journal() {
    // I38
    for seed in [3, 4] {
        let (one, _, _) = storm(seed);
        let (two, _, _) = storm(seed);
        assert!(one.log() == two.log(), "seed {seed}");
    }
}

/// Intents since `from` that make a position larger.
fn growing(world: &World, from: u64) -> Vec<String> {
    let mut positions = BTreeMap::<InstrumentId, Lots>::new();
    let mut growing = Vec::new();
    for stamped in world.log() {
        if let Entry::Fill(fill) = &stamped.entry {
            *positions.entry(fill.instrument).or_default() += Lots(fill.side.sign() * fill.qty.0);
        } else if let Entry::Intent { intent, .. } = &stamped.entry {
            let position = positions.get(&intent.child.instrument).copied().unwrap_or_default();
            let shrinks = position.0.signum() == -intent.child.side.sign() && intent.child.qty <= position.abs();
            if stamped.at.mono >= from && !intent.child.reduce_only && !shrinks {
                growing.push(intent.key.to_string());
            }
        }
    }
    growing
}

/// A parent that buys for five minutes.
fn buying(seed: u64) -> World {
    let mut world = world(seed, Faults::default(), 1_000_000);
    pass(&mut world, 5).unwrap_or_else(|e| panic!("{e}"));
    let spec = ParentSpec { horizon: Span::secs(300), schedule: Schedule::Twap { slices: 60 }, ..buy("BTC", Side::Buy, 600_000) };
    world.submit(spec).unwrap_or_else(|faults| panic!("seed {seed}: {faults:?}"));
    pass(&mut world, 60).unwrap_or_else(|e| panic!("{e}"));
    assert!(growing(&world, 0).len() > 5, "seed {seed}: it buys");
    world
}

#[test]
fn funding_that_stands_out_stops_what_buys_and_lets_it_sell() {
    // C15, I34: rates that are many times the usual for eight hours, then a person who wants out
    for seed in 0..3 {
        let mut world = buying(seed);
        let now = START_MS / HOUR_MS;
        world.learn(vec![rates("BTC", now - 32 * 24..now, |h| {
            calm_rate(h) + if h + 8 >= START_MS / HOUR_MS { 9_000 } else { 0 }
        })]);
        pass(&mut world, 3).unwrap_or_else(|e| panic!("{e}"));
        let from = world.now().mono;
        pass(&mut world, 60).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(growing(&world, from), Vec::<String>::new(), "seed {seed}");
        let out = ParentSpec { reduce_only: true, ..buy("BTC", Side::Sell, 50_000) };
        let id = world.submit(out).unwrap_or_else(|faults| panic!("seed {seed}: {faults:?}"));
        pass(&mut world, 60).unwrap_or_else(|e| panic!("{e}"));
        let ended = |s: &&domain::Stamped| matches!(&s.entry, Entry::Ended { parent, .. } if *parent == id);
        assert!(world.log().iter().any(|s| ended(&s)), "seed {seed}: what shrinks passes");
    }
}

#[test]
fn an_oracle_that_stands_still_while_the_market_moves_stops_what_buys() {
    // C18, F37
    for seed in 0..3 {
        let mut world = buying(seed);
        world.strike(Fault::FreezeOracle { asset: Asset(0), frozen: true });
        for _ in 0..90 {
            // the market drifts 90 basis points away, a little at a time
            world.strike(Fault::Shift { asset: Asset(0), ticks: 60 });
            pass(&mut world, 1).unwrap_or_else(|e| panic!("{e}"));
        }
        let from = world.now().mono;
        pass(&mut world, 60).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(growing(&world, from), Vec::<String>::new(), "seed {seed}");
    }
}
