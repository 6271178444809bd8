//! Planner and judge together, in random worlds: what moves is needed, affordable, listed, and moves once.

mod world;

use std::sync::LazyLock;

use domain::{InstrumentId, Seed, Venue};
use margin_guard::{AccountLine, Limits, RawLimits, RawTreasury, ScenarioLine};

use super::plan::{Decision, Inputs, decide};
use super::sources::Source;
use super::*;
use world::World;

const WORLDS: u64 = 10_000;
const STEPS: u32 = 25;

fn usd(text: &str) -> Usd {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn rat(text: &str) -> Ratio {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn address(byte: u8) -> EvmAddress {
    EvmAddress([byte; 20])
}

fn btc() -> InstrumentId {
    InstrumentId::new(Venue::Hyperliquid, "BTC").unwrap_or_else(|e| panic!("{e}"))
}

fn cover() -> Cover {
    COVER.clone()
}

static COVER: LazyLock<Cover> = LazyLock::new(|| {
    let raw = RawLimits { allow: vec![btc().to_string()], ..RawLimits::default() };
    Limits::check(raw).unwrap_or_else(|faults| panic!("{faults:?}")).cover().clone()
});

/// An account of one market: `fall` is what the one scenario costs.
fn line(level: domain::MarginLevel, equity: Usd, maintenance: Usd, fall: Usd) -> AccountLine {
    let shocked = ScenarioLine {
        name: "crash".into(),
        equity: equity - fall,
        maintenance,
        cover: (equity - fall).over(maintenance),
        margin: equity - fall - maintenance,
    };
    AccountLine {
        venue: Venue::Hyperliquid,
        level,
        doubt: None,
        equity: Some(equity),
        maintenance,
        cover: equity.over(maintenance),
        free: None,
        buffer: Usd::ZERO,
        buffer_why: Vec::new(),
        runway_hours: Some(rat("1000")),
        scenarios: vec![shocked],
        worst: Some(0),
        funding_hourly: Usd::ZERO,
        funding_hours: None,
        positions: Vec::new(),
    }
}

fn limits(raw: &RawTreasury) -> TreasuryLimits {
    TreasuryLimits::check(raw).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn plan() -> TreasuryPlan {
    PLAN.clone()
}

static PLAN: LazyLock<TreasuryPlan> =
    LazyLock::new(|| TreasuryPlan::new(limits(&RawTreasury::default()), Venue::Hyperliquid, address(1), &COVER));

fn source(free: &str) -> Source {
    Source {
        name: "spot".into(),
        balance: None,
        floor: Usd::ZERO,
        at: None,
        free: Ok(usd(free)),
        route: Ok(domain::Route::SpotToPerp),
        least: usd("0.01"),
        fee: Usd::ZERO,
        terms: plan().inside,
        dear: false,
        inside: true,
        pending: false,
    }
}

fn bridge(free: &str) -> Source {
    let leg =
        domain::ChainLeg { chain_id: 1, wallet: address(1), token: address(2), contract: address(3), gas_cost_max: Wei::gwei(1) };
    Source {
        name: "wallet".into(),
        route: Ok(domain::Route::Bridge(leg)),
        least: usd("5"),
        terms: plan().bridge,
        inside: false,
        ..source(free)
    }
}

/// Decides for an account at the top-up level whose target is 3.3 as it stands and 1.4 under a crash.
fn decided(line: &AccountLine, sources: &[Source], change: impl FnOnce(&mut Inputs<'_>)) -> Decision {
    decided_by(&plan(), line, sources, change)
}

fn decided_by(plan: &TreasuryPlan, line: &AccountLine, sources: &[Source], change: impl FnOnce(&mut Inputs<'_>)) -> Decision {
    let cover = cover();
    let mut inputs = Inputs {
        plan,
        cover: &cover,
        line,
        withdrawable: line.equity,
        unsettled: None,
        isolated: Vec::new(),
        isolating: Ok(()),
        equity_all: line.equity.unwrap_or_default(),
        sources,
        under_way: Vec::new(),
        room: usd("1000"),
        room_inside: usd("10000"),
        begun: false,
        cascade: None,
        arrived: Usd::ZERO,
        unwinding: None,
        reading: false,
        may_sweep: true,
    };
    change(&mut inputs);
    decide(&inputs)
}

fn low(equity: &str) -> AccountLine {
    line(domain::MarginLevel::TopUp, usd(equity), usd("100"), usd("50"))
}

fn amount(decision: &Decision) -> Option<String> {
    decision.step.as_ref().map(|step| format!("{} by {}", step.amount, step.route.name()))
}

#[test]
fn the_amount_restores_the_target_in_the_scenario_that_needs_most() {
    // 3.3·100 − 290 = 40 as it stands; under the crash 1.4·100 − (290 − 50) < 0
    let found = decided(&low("290"), &[source("1000")], |_| {});
    assert_eq!(amount(&found).as_deref(), Some("40 by spot to perp"), "{}", found.why);
    // a crash that costs 180: 1.4·100 − (290 − 180) = 30; one that costs 260: 110
    let deep = line(domain::MarginLevel::TopUp, usd("290"), usd("100"), usd("260"));
    assert_eq!(amount(&decided(&deep, &[source("1000")], |_| {})).as_deref(), Some("110 by spot to perp"));
}

#[test]
fn the_ladder_is_climbed_in_order_and_cut_to_what_is_there() {
    let both = [source("15.129"), bridge("500")];
    assert_eq!(amount(&decided(&low("290"), &both, |_| {})).as_deref(), Some("15.12 by spot to perp"));
    let empty = [source("0.001"), bridge("500")];
    assert_eq!(amount(&decided(&low("290"), &empty, |_| {})).as_deref(), Some("40 by bridge deposit"));
    let budget = decided(&low("290"), &empty, |i| i.room = usd("12.5"));
    assert_eq!(amount(&budget).as_deref(), Some("12.5 by bridge deposit"));
}

#[test]
fn hysteresis_starts_below_the_trigger_and_stops_at_the_target() {
    let fine = line(domain::MarginLevel::Watch, usd("320"), usd("100"), usd("50"));
    assert_eq!(decided(&fine, &[source("1000")], |_| {}).action, TreasuryAction::Rest, "above the trigger nothing begins");
    let going = decided(&fine, &[source("1000")], |i| i.begun = true);
    assert_eq!(amount(&going).as_deref(), Some("10 by spot to perp"), "what was begun goes on to the target");
    let there = line(domain::MarginLevel::Ok, usd("330"), usd("100"), usd("50"));
    assert_eq!(decided(&there, &[source("1000")], |i| i.begun = true).action, TreasuryAction::Rest);
}

#[test]
fn i12_money_under_way_counts_once() {
    let way = |arrives: &str, age| plan::UnderWay {
        id: TransferId(7),
        name: "bridge deposit",
        state: "sent",
        inside: false,
        withdrawal: false,
        arrives: usd(arrives),
        age: Span::secs(age),
        delay: Span::secs(120),
        overdue: None,
    };
    let enough = [way("40", 10)];
    let waits = decided(&low("290"), &[source("1000")], |i| i.under_way.extend(enough.clone()));
    assert_eq!(waits.action, TreasuryAction::Wait, "{}", waits.why);
    let part = [way("25", 10)];
    let rest = decided(&low("290"), &[source("1000")], |i| i.under_way.extend(part.clone()));
    assert_eq!(amount(&rest).as_deref(), Some("15 by spot to perp"));
    let none = decided(&low("290"), &[bridge("1000")], |i| i.under_way.extend(part.clone()));
    assert_eq!(none.action, TreasuryAction::Wait, "no second deposit: {}", none.why);
    let late = [way("40", 600)];
    let reduces = decided(&low("290"), &[bridge("1000")], |i| i.under_way.extend(late.clone()));
    assert_eq!(reduces.action, TreasuryAction::Reduce, "F91: {}", reduces.why);
    let out = [plan::UnderWay { withdrawal: true, arrives: Usd::ZERO, ..way("0", 600) }];
    let deposit = decided(&low("290"), &[bridge("1000")], |i| i.under_way.extend(out.clone()));
    assert_eq!(amount(&deposit).as_deref(), Some("40 by bridge deposit"), "a withdrawal keeps no deposit back");
}

#[test]
fn f92_the_venues_minimum_is_sent_unless_it_overshoots() {
    // 4 are needed, 5 must arrive: 5 % of 330 is 16.5, so that 5 is allowed
    let near = line(domain::MarginLevel::TopUp, usd("326"), usd("100"), usd("50"));
    assert_eq!(amount(&decided(&near, &[bridge("500")], |_| {})).as_deref(), Some("5 by bridge deposit"));
    // a tenth of it: 0.4 are needed, 5 % of 33 is 1.65
    let tiny = line(domain::MarginLevel::TopUp, usd("32.6"), usd("10"), usd("5"));
    let refused = decided(&tiny, &[bridge("500")], |_| {});
    assert_eq!(refused.action, TreasuryAction::Stuck, "{}", refused.why);
    assert!(refused.why.contains("above its target"), "{}", refused.why);
}

#[test]
fn reduces_where_a_transfer_is_too_slow_too_dear_or_beyond_a_budget() {
    let acts = |line: &AccountLine, change: &dyn Fn(&mut Inputs<'_>)| {
        let found = decided(line, &[bridge("500")], |i| change(i));
        (found.action, found.why)
    };
    let short = AccountLine { runway_hours: Some(rat("0.02")), ..low("290") };
    let (action, why) = acts(&short, &|_| {});
    assert_eq!(action, TreasuryAction::Reduce, "72 s of runway: {why}");
    assert!(why.contains("the runway is"), "{why}");
    let unknown = AccountLine { runway_hours: None, ..low("290") };
    assert_eq!(acts(&unknown, &|_| {}).0, TreasuryAction::Reduce, "I34: an unknown runway is a short one");
    let (action, why) = acts(&low("290"), &|i| i.unwinding = Some(usd("0.01")));
    assert_eq!(action, TreasuryAction::Reduce, "{why}");
    assert!(why.contains("reducing to the target costs"), "{why}");
    let (action, why) = acts(&low("290"), &|i| i.room = usd("3"));
    assert_eq!(action, TreasuryAction::Reduce, "{why}");
    assert!(why.contains("the budgets leave 3"), "{why}");
    let stale = [Source { free: Err("it was read 1m00s ago".into()), pending: true, ..source("1") }];
    let waits = decided(&low("290"), &stale, |i| i.reading = true);
    assert_eq!(waits.action, TreasuryAction::Wait, "{}", waits.why);
    let gives_up = decided(&low("290"), &stale, |_| {});
    assert_eq!((gives_up.action, gives_up.step), (TreasuryAction::Stuck, None), "hours are left: {}", gives_up.why);
    let gone = [Source { free: Err("the endpoints are away".into()), ..bridge("500") }];
    assert_eq!(decided(&low("290"), &gone, |_| {}).action, TreasuryAction::Stuck, "nothing is sold for an endpoint");
    assert_eq!(decided(&short, &gone, |_| {}).action, TreasuryAction::Reduce, "if it came back now it would be too late");
    assert_eq!(decided(&unknown, &gone, |_| {}).action, TreasuryAction::Reduce, "I34: an unknown runway is a short one");
    let both = [source("0"), bridge("500")];
    assert_eq!(decided(&low("290"), &both, |i| i.room = usd("3")).action, TreasuryAction::Reduce, "a spent budget beside it");
    let doubted = AccountLine { doubt: Some("the mark is old".into()), ..low("290") };
    let stuck = decided(&doubted, &[source("500")], |_| {});
    assert_eq!((stuck.action, stuck.step), (TreasuryAction::Stuck, None), "I34: {}", stuck.why);
}

#[test]
fn no_top_up_goes_into_a_cascade() {
    let cascade = Cascade { since: Stamp::default(), equity: usd("290"), meant_for: usd("50") };
    // 290 + 40 arrived − 285 = 45 lost: what it was meant for
    let meant = decided(&low("285"), &[source("1000")], |i| (i.cascade, i.arrived) = (Some(cascade), usd("40")));
    assert_eq!(meant.action, TreasuryAction::TopUp, "{}", meant.why);
    let beyond = decided(&low("279.99"), &[source("1000")], |i| (i.cascade, i.arrived) = (Some(cascade), usd("40")));
    assert_eq!((beyond.action, beyond.step), (TreasuryAction::Reduce, None), "{}", beyond.why);
}

#[test]
fn sweeps_down_to_the_ceiling_only_when_enabled() {
    let rich = line(domain::MarginLevel::Ok, usd("1000"), usd("100"), usd("50"));
    assert_eq!(decided(&rich, &[], |_| {}).action, TreasuryAction::Rest);
    let plan = TreasuryPlan { sweep: Some(Sweep { ceiling: rat("8"), least: usd("10") }), ..plan() };
    assert_eq!(plan.faults(&cover()), Vec::new());
    let swept = decided_by(&plan, &rich, &[], |_| {});
    assert_eq!(amount(&swept).as_deref(), Some("200 by perp to spot"));
    let close = line(domain::MarginLevel::Ok, usd("870"), usd("100"), usd("50"));
    assert_eq!(decided_by(&plan, &close, &[], |_| {}).action, TreasuryAction::Rest, "8.7 is within the hysteresis of 8");
    // the crash would leave 1000 − 800 = 200 of the 1.54·100 that it must: 46 may go
    let frail = line(domain::MarginLevel::Ok, usd("1000"), usd("100"), usd("800"));
    assert_eq!(amount(&decided_by(&plan, &frail, &[], |_| {})).as_deref(), Some("46 by perp to spot"));
    let low = TreasuryPlan { sweep: Some(Sweep { ceiling: rat("4"), least: usd("10") }), ..plan };
    assert_eq!(low.faults(&cover()).len(), 1, "a ceiling below the watch level");
}

#[test]
fn isolated_margin_comes_from_what_the_account_can_spare() {
    let calm = line(domain::MarginLevel::Ok, usd("350"), usd("100"), usd("50"));
    let needy = [plan::Isolated { instrument: btc(), cover: rat("2.5"), short: usd("30") }];
    let spares = decided(&calm, &[source("1000")], |i| i.isolated.extend(needy));
    assert_eq!(amount(&spares).as_deref(), Some("20 by isolated margin"), "{}", spares.why);
    // nothing to spare: spot comes first, for the account's 40 and the position's 30
    let fetches = decided(&low("290"), &[source("1000")], |i| i.isolated.extend(needy));
    assert_eq!(amount(&fetches).as_deref(), Some("70 by spot to perp"), "{}", fetches.why);
}

/// Needing more never sends less from the same source, and is never answered with something milder.
#[test]
fn monotone_in_need() {
    let mut chance = Seed(41).fork("monotone");
    let mut grew = 0;
    for _ in 0..20_000 {
        let maintenance = Usd::whole(100);
        let equity = Usd::from_micros(chance.below(340_000_000));
        let less = equity - Usd::from_micros(chance.below(50_000_000));
        let fall = Usd::from_micros(chance.below(300_000_000));
        let spot = Usd::from_micros(chance.below(100_000_000)).to_string();
        let wallet = Usd::from_micros(chance.below(100_000_000)).to_string();
        let sources = [source(&spot), bridge(&wallet)];
        let at = |equity: Usd| {
            let line = line(domain::MarginLevel::TopUp, equity, maintenance, fall);
            decided(&line, &sources, |_| {})
        };
        let (mild, grave) = (at(equity), at(less));
        let sum = |d: &Decision| d.step.as_ref().map_or(Usd::ZERO, |s| s.amount);
        assert!(grave.action >= mild.action || mild.action == TreasuryAction::Stuck, "{mild:?} {grave:?}");
        if mild.step.as_ref().map(|s| s.source) == grave.step.as_ref().map(|s| s.source) {
            assert!(sum(&grave) >= sum(&mild), "{mild:?} {grave:?}");
            grew += u32::from(sum(&grave) > sum(&mild));
        }
    }
    assert!(grew > 1_000, "{grew} of the pairs sent more");
}

#[test]
fn ten_thousand_worlds() {
    let mut met = world::Met::default();
    for seed in 0..WORLDS {
        let mut one = World::new(Seed(seed));
        one.run(STEPS);
        met.add(&one.met);
        // every hundredth is run again: the same seed gives the same journal (I38)
        if seed % 100 == 0 {
            let mut again = World::new(Seed(seed));
            again.run(STEPS);
            assert_eq!(again.log, one.log, "seed {seed}");
        }
    }
    met.check();
}
