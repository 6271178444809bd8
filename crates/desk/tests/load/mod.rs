//! What the desk looks at once a second: statistics, profit, the load of the account, and what it does about it.

mod deleverage;

use std::sync::Arc;

use crate::rig::{Rig, market, passive};
use domain::{
    Bar, Command, CommandReply, Entry, Fact, FundingRate, HOURLY, Lots, Measure, ProfitMark, Px, Ratio, Side, Span, Stamped,
    StopLevel, Usd,
};
use plimsoll_desk::{Asked, Verdict, explain};

const HOUR_MS: u64 = 3_600_000;

/// So many closed hours up to now, each moving by `bps` up or down in turn.
fn bars(rig: &Rig, hours: u64, bps: i64) -> Fact {
    let end = rig.now.wall_ms / HOUR_MS;
    let bar = |h: u64| {
        let (open, close) = if h.is_multiple_of(2) {
            (618_000, 618_000 + 618_000 * bps / 10_000)
        } else {
            (618_000 + 618_000 * bps / 10_000, 618_000)
        };
        let (high, low) = (Px(open.max(close)), Px(open.min(close)));
        Bar { start_ms: h * HOUR_MS, open: Px(open), high, low, close: Px(close) }
    };
    Fact::Bars { instrument: market(), span: HOURLY, bars: (end - hours..end).map(bar).collect() }
}

/// So many settled hours up to now at the base rate, the last `spiked` of them at `spike` (in 1e-7 per hour).
fn rates(rig: &Rig, hours: u64, spiked: u64, spike: i64) -> Fact {
    let end = rig.now.wall_ms / HOUR_MS;
    let rate = |h: u64| {
        let hourly = Ratio::scaled(if h + spiked > end { spike } else { 125 }, 7);
        FundingRate { until_ms: h * HOUR_MS, hours: 1, hourly }
    };
    let rates: Arc<[FundingRate]> = (end - hours + 1..=end).map(rate).collect();
    Fact::FundingRates { instrument: market(), source: Arc::from("hyperliquid"), rates }
}

fn measures(log: &[Stamped]) -> Vec<Measure> {
    log.iter().filter_map(|s| if let Entry::Measured(m) = &s.entry { Some(*m) } else { None }).collect()
}

fn profits(log: &[Stamped]) -> Vec<ProfitMark> {
    log.iter().filter_map(|s| if let Entry::Profit(m) = &s.entry { Some(m.clone()) } else { None }).collect()
}

#[test]
fn history_becomes_a_measure_that_is_journaled_whenever_more_is_known_and_then_when_it_matters() {
    let mut rig = Rig::without_history();
    assert!(measures(&rig.log).is_empty(), "nothing is known");
    rig.apply(&[bars(&rig, 800, 20)]);
    rig.tick(Span::secs(1));
    let first = measures(&rig.log);
    assert_eq!(first.len(), 1);
    assert!(first[0].volatility.forecast.is_some() && first[0].funding.z.is_none());
    rig.apply(&[rates(&rig, 800, 0, 0)]);
    rig.tick(Span::secs(1));
    let second = measures(&rig.log);
    assert!(second.len() == 2 && second[1].funding.z.is_some());
    rig.pass(Span::secs(300), &[]);
    assert_eq!(measures(&rig.log).len(), 2, "nothing new, nothing written");
}

#[test]
fn a_daemon_whose_venue_serves_no_history_goes_on_from_the_last_measure() {
    let mut rig = Rig::without_history();
    rig.apply(&[bars(&rig, 800, 20), rates(&rig, 800, 0, 0)]);
    rig.tick(Span::secs(1));
    let known = measures(&rig.log)[0];
    rig.crash();
    rig.connect();
    assert_eq!(rig.desk.books().measures.get(&market()), Some(&known), "with the age it has");
    assert_eq!(measures(&rig.log).len(), 1);
}

#[test]
fn funding_that_stands_out_raises_the_red_flag_and_nothing_is_admitted() {
    // C15
    let mut rig = Rig::new();
    rig.apply(&[bars(&rig, 800, 20), rates(&rig, 800, 0, 0)]);
    rig.tick(Span::secs(1));
    let calm = rig.desk.sizing(rig.now, market(), Side::Buy).unwrap_or_else(|| panic!("no sizing"));
    assert!(calm.no_increase.is_empty() && calm.notional > Usd::ZERO, "{calm:?}");
    rig.apply(&[rates(&rig, 800, 8, 9_000)]);
    rig.tick(Span::secs(1));
    for side in [Side::Buy, Side::Sell] {
        let red = rig.desk.sizing(rig.now, market(), side).unwrap_or_else(|| panic!("no sizing"));
        assert!(!red.no_increase.is_empty(), "paying or receiving alike: {red:?}");
    }
}

#[test]
fn profit_is_journaled_when_a_trade_begins_and_ends_and_its_peak_outlives_a_crash() {
    // C16
    let mut rig = Rig::new();
    rig.tick(Span::secs(1));
    assert_eq!(profits(&rig.log).len(), 1, "the first mark");
    let intent = rig.place();
    rig.ack(intent.key, 1);
    rig.filled(&intent, 1, intent.child.qty.0);
    rig.tick(Span::secs(1));
    let opened = profits(&rig.log);
    assert!(opened.len() == 2 && opened[1].trades.len() == 1, "{opened:?}");
    // 0.1 coins at a price 20 % higher: about 1,236, more than a hundredth of a percent of equity
    rig.px += 123_600;
    rig.pass(Span::secs(12), &[]);
    let high = profits(&rig.log).pop().unwrap_or_default();
    assert!(high.peak > Usd::whole(1_200), "{high:?}");
    rig.px -= 100_000;
    rig.crash();
    rig.connect();
    rig.pass(Span::secs(2), &[]);
    let now = rig.desk.books().ledger.last().cloned().unwrap_or_default();
    assert_eq!((now.peak, now.trades[0].2), (high.peak, high.trades[0].2));
}

#[test]
fn leaving_writes_profit_down() {
    let mut rig = Rig::new();
    let intent = rig.place();
    rig.ack(intent.key, 1);
    rig.filled(&intent, 1, intent.child.qty.0);
    rig.tick(Span::secs(1));
    // too little to be written while running
    rig.px += 100;
    rig.pass(Span::secs(5), &[]);
    let before = profits(&rig.log).len();
    let mut out = Vec::new();
    rig.desk.drain(rig.now, &mut out);
    let written = out.iter().any(|e| matches!(e, plimsoll_desk::Effect::Record(Stamped { entry: Entry::Profit(_), .. })));
    assert!(written && before > 0);
}

/// A position of 10 coins, worth 618,000, that was there when the journal began.
fn loaded() -> Rig {
    let mut rig = Rig::unconnected();
    rig.position = Lots(1_000_000);
    rig.connect();
    rig.pass(Span::secs(2), &[]);
    assert_eq!(rig.desk.books().position(market()), Lots(1_000_000));
    rig
}

#[test]
fn a_loss_that_runs_too_fast_lets_positions_only_shrink_and_blocks_everything_once_flat() {
    // C52: 1 % of a million within a minute
    let mut rig = loaded();
    rig.px -= 9_000;
    rig.pass(Span::secs(2), &[]);
    assert_eq!(rig.desk.books().stops.level(), StopLevel::Run, "9,000 lost");
    rig.px -= 2_000;
    rig.pass(Span::secs(2), &[]);
    assert_eq!(rig.desk.books().stops.level(), StopLevel::ReduceOnly, "{}", rig.desk.books().stops.cause());
    assert!(rig.desk.books().stops.cause().contains("too fast"));
    let mut out = passive(Side::Sell, 1_000_000);
    out.reduce_only = true;
    rig.submit(out);
    let mut left = 1_000_000;
    while left > 0 {
        let intent = rig.next_placed();
        rig.ack(intent.key, 5);
        rig.filled(&intent, 5, intent.child.qty.0);
        left -= intent.child.qty.0;
    }
    rig.pass(Span::secs(2), &[]);
    assert_eq!(rig.desk.books().stops.level(), StopLevel::Block, "{}", rig.desk.books().stops.cause());
    rig.crash();
    assert_eq!(rig.desk.books().stops.level(), StopLevel::Block, "I21");
}

#[test]
fn a_spent_day_lets_positions_only_shrink_also_after_a_restart() {
    // C16: 3 % of a million, lost too slowly for C52
    let mut rig = loaded();
    for _ in 0..8 {
        rig.px -= 4_000;
        rig.pass(Span::secs(240), &[]);
    }
    assert_eq!(rig.desk.books().stops.level(), StopLevel::ReduceOnly, "{}", rig.desk.books().stops.cause());
    rig.crash();
    rig.connect();
    rig.command(Command::rearm("I want to go on"));
    rig.pass(Span::secs(2), &[]);
    assert_eq!(rig.desk.books().stops.level(), StopLevel::ReduceOnly, "the budget is still spent");
}

#[test]
fn the_journal_alone_explains_an_order_that_was_cleared_and_one_that_was_refused() {
    let mut rig = Rig::new();
    rig.apply(&[bars(&rig, 800, 20), rates(&rig, 800, 0, 0)]);
    rig.tick(Span::secs(1));
    let intent = rig.place();
    rig.ack(intent.key, 77);
    rig.filled(&intent, 77, intent.child.qty.0);
    for asked in [intent.key.to_string(), format!("{}/{}", intent.child.parent, intent.child.no.0), "oid:77".to_owned()] {
        let asked: Asked = asked.parse().unwrap_or_else(|e| panic!("{e}"));
        let told = explain(&rig.log, &asked).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(told.parent.id, intent.child.parent);
        let judged = &told.verdicts[0];
        assert!(matches!(judged.verdict, Verdict::Cleared { intent: of, .. } if of == intent));
        assert_eq!(judged.background.measure, measures(&rig.log).pop());
        assert!(judged.background.limits.is_some() && judged.background.profit.is_some());
        assert_eq!(told.fates.len(), 3, "acknowledged, filled, done: {:?}", told.fates);
    }
    let error = explain(&rig.log, &"P1/99".parse().unwrap_or_else(|e| panic!("{e}"))).map(|_| ()).expect_err("no such child");
    assert!(error.to_string().contains("P1/1"), "{error}");
    // a market that is frozen still clears what shrinks; what grows is refused with numbers
    rig.submit(passive(Side::Buy, 10_000));
    rig.equity = Usd::whole(10);
    rig.pass(Span::secs(5), &[]);
    let asked: Asked = "P2".parse().unwrap_or_else(|e| panic!("{e}"));
    let told = explain(&rig.log, &asked).unwrap_or_else(|e| panic!("{e}"));
    assert!(told.verdicts.iter().any(|j| matches!(&j.verdict, Verdict::Refused { why, .. } if !why.is_empty())), "{told:?}");
}

#[test]
fn notes_of_the_desks_own_reductions_are_reserved() {
    let mut rig = Rig::new();
    let mut spec = passive(Side::Buy, 10_000);
    spec.note = "deleverage: by me".into();
    let CommandReply::Refused(faults) = rig.command(Command::Submit(Box::new(spec))) else { panic!("admitted") };
    assert_eq!(faults[0].field, "note");
}
