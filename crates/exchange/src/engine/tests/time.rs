//! Marks, funding, scheduled cancels and faults over time.

use super::*;

const HOUR: u64 = 3_600_000;

#[test]
fn funding_is_paid_on_the_hour_from_the_oracle_notional() {
    let mut w = World::new();
    w.put(B, Side::Sell, 10_000, 10_000);
    w.market(A, Side::Buy, 10_000);
    w.x.fault(w.now, Fault::FundingOverride { asset: T, rate: Some(Ratio::bps(2)) });
    let before = w.state(A).margin.account_value;
    let next = (w.now / HOUR + 1) * HOUR;
    w.x.drain_events();
    w.wait(next - w.now);
    let paid: Vec<_> = w.x.fundings(A, 0).iter().map(|f| (f.at_ms, f.usdc, f.szi, f.rate)).collect();
    assert_eq!(paid, [(next, usd("-2"), Lots(10_000), Ratio::bps(2))], "10 units at oracle 1,000");
    assert_eq!(w.x.fundings(B, 0)[0].usdc, usd("2"));
    assert_eq!(w.state(A).margin.account_value, before - usd("2"));
    let funding = w.state(A).positions[0].cum_funding;
    assert_eq!((funding.all_time, funding.since_open, funding.since_change), (usd("2"), usd("2"), usd("2")), "positive is paid");
    let told = w.x.drain_events().into_iter().filter(|e| matches!(e, Event::Funding(_))).count();
    assert_eq!(told, 2);
    assert_eq!(w.x.funding_rates(T, 0).iter().map(|r| (r.at_ms, r.rate)).collect::<Vec<_>>(), [(next, Ratio::bps(2))]);
    w.check();
}

#[test]
fn isolated_positions_pay_funding_from_their_own_margin() {
    let mut w = World::new();
    w.leverage(A, false, 10);
    w.market(A, Side::Sell, 1_000);
    let (raw, cash) = (w.state(A).positions[0].raw_usd, w.state(A).cross.account_value);
    w.x.fault(w.now, Fault::FundingOverride { asset: T, rate: Some(Ratio::bps(100)) });
    w.wait(HOUR);
    assert_eq!(w.state(A).positions[0].raw_usd, raw.map(|raw| raw + usd("10")), "a short receives");
    assert_eq!(w.state(A).cross.account_value, cash);
    w.check();
}

#[test]
fn the_rate_is_the_mean_premium_of_the_hour() {
    let mut w = World::new();
    w.x.background(w.now, BackgroundEvent::Oracle { asset: T, px: Px(10_000) });
    w.book(&[(10_020, 100_000)], &[(10_030, 100_000)]);
    w.wait(2 * HOUR);
    let rates = w.x.funding_rates(T, 0);
    let last = rates.last().unwrap_or_else(|| panic!("no rate"));
    // premium 0.002: (0.002 + clamp(0.0001 − 0.002, ±0.0005)) / 8
    assert_eq!((last.premium.to_string().as_str(), last.rate.to_string().as_str()), ("0.002", "0.0001875"));
    let context = w.x.context(T).unwrap_or_else(|| panic!("no context"));
    assert_eq!(context.impact_pxs, Some((dec("1002"), dec("1003"))));
    assert_eq!(context.premium.map(|p| p.to_string()), Some("0.002".to_owned()));
}

#[test]
fn a_funding_spike_is_capped_at_four_percent() {
    let mut w = World::new();
    w.market(A, Side::Buy, 1_000);
    w.x.fault(w.now, Fault::FundingOverride { asset: T, rate: Some(Ratio::ONE) });
    w.wait(HOUR);
    assert_eq!(w.x.fundings(A, 0)[0].rate, Ratio::bps(400));
}

#[test]
fn many_hours_at_once_are_settled_one_by_one() {
    let mut once = World::new();
    let mut often = World::new();
    for w in [&mut once, &mut often] {
        w.market(A, Side::Buy, 1_000);
    }
    once.wait(6 * HOUR);
    for _ in 0..360 {
        often.wait(60_000);
    }
    assert_eq!(once.x.fundings(A, 0).len(), 6);
    assert_eq!(once.x.fundings(A, 0), often.x.fundings(A, 0));
    assert_eq!(once.state(A), often.state(A));
}

#[test]
fn oracle_and_mark_follow_the_background_unless_frozen() {
    let mut w = World::new();
    let prices = |w: &World| w.x.context(T).map(|c| (c.oracle.0, c.mark.0)).unwrap_or_default();
    assert_eq!(prices(&w), (10_000, 10_000));
    w.x.fault(w.now, Fault::FreezeOracle { asset: T, frozen: true });
    w.book(&[(10_090, 10_000)], &[(10_110, 10_000)]);
    w.wait(3_000);
    assert_eq!(prices(&w).0, 10_000);
    w.x.fault(w.now, Fault::FreezeOracle { asset: T, frozen: false });
    w.wait(3_000);
    assert_eq!(prices(&w).0, 10_100);
    w.put(A, Side::Buy, 10_100, 100);
    w.wait(3_000);
    assert_eq!(prices(&w).0, 10_100, "an account's own bid does not move the oracle");
}

#[test]
fn a_price_shock_moves_the_market_and_all_that_follows() {
    let mut w = World::new();
    let bid = w.put(A, Side::Buy, 9_500, 1_000);
    w.x.fault(w.now, Fault::PriceShock { asset: T, change: Ratio::scaled(-10, 2) });
    assert_eq!((w.status(A, bid), w.fills(A)), ("filled", vec![(9_500, 1_000)]), "the falling asks crossed it");
    let context = w.x.context(T).unwrap_or_else(|| panic!("no context"));
    assert_eq!((context.oracle, context.mark), (Px(9_000), Px(9_000)));
    w.trade(Side::Buy, 10_010, 5);
    assert_eq!(w.x.last_trade(T), Some(Px(9_010)), "the tape goes on, shifted");
    w.check();
}

#[test]
fn absurd_feeds_and_faults_are_ignored() {
    let mut w = World::new();
    w.market(A, Side::Buy, 1_000);
    let before = (w.state(A), w.x.book(T, 5));
    let wild = i64::MAX;
    for px in [wild, 0, -5, wild / 2] {
        let change = vec![LevelChange { px: Px(px), qty: Qty(5) }, LevelChange { px: Px(10_010), qty: Qty(wild) }];
        w.x.background(w.now, BackgroundEvent::Levels { asset: T, bids: change.clone(), asks: change });
        w.x.background(w.now, BackgroundEvent::Oracle { asset: T, px: Px(px) });
        w.trade(Side::Buy, px, 5);
        w.trade(Side::Buy, 10_010, px);
        w.pin(px);
    }
    assert_eq!((w.state(A), w.x.book(T, 5)), before);
    for _ in 0..40 {
        w.x.fault(w.now, Fault::PriceShock { asset: T, change: Ratio::scaled(500, 0) });
    }
    w.x.background(w.now, BackgroundEvent::Oracle { asset: Asset(99), px: Px(5) });
    w.check();
    assert!(w.x.context(T).is_some_and(|c| c.mark.0 <= 10_000_000), "at most a thousandfold");
}

#[test]
fn the_dead_mans_switch() {
    let mut spec = spec_with(MarginTable::flat(10));
    spec.rules.schedule_cancel_volume_min = usd("1000");
    let mut w = World::with(spec);
    let at = |w: &World, ms: u64| Op::ScheduleCancel { at_ms: Some(w.now + ms) };
    let op = at(&w, 5_000);
    let gate = "Cannot set scheduled cancel time until enough volume traded. Required: $1000. Traded: $0.";
    assert_eq!(w.send(A, op), OpResult::Refused(gate.to_owned()));
    w.market(A, Side::Buy, 1_000);
    let early = at(&w, 4_999);
    assert!(matches!(w.send(A, early), OpResult::Refused(_)));
    for fired in 0..10 {
        let resting = w.put(A, Side::Buy, 9_900, 100);
        let op = at(&w, 6_000);
        assert_eq!(w.send(A, op), OpResult::Default, "{fired}");
        let op = at(&w, 5_000);
        assert_eq!(w.send(A, op), OpResult::Default, "setting again moves the time");
        w.wait(4_999);
        assert_eq!(w.status(A, resting), "open");
        w.wait(1);
        assert_eq!((w.status(A, resting), w.szi(A)), ("scheduledCancel", 1_000), "orders only");
    }
    let op = at(&w, 5_000);
    assert!(matches!(w.send(A, op), OpResult::Refused(_)), "ten a day");
    w.wait(24 * HOUR);
    let op = at(&w, 5_000);
    assert_eq!(w.send(A, op), OpResult::Default);
    assert_eq!(w.send(A, Op::ScheduleCancel { at_ms: None }), OpResult::Default);
    let resting = w.put(A, Side::Buy, 9_900, 100);
    w.wait(60_000);
    assert_eq!(w.status(A, resting), "open");
}

#[test]
fn specifications_that_make_no_exchange() {
    let says = |change: &dyn Fn(&mut ExchangeSpec)| {
        let mut spec = spec_with(MarginTable::flat(10));
        change(&mut spec);
        Exchange::new(spec, Seed(1)).map(|_| ()).map_err(|e| e.to_string())
    };
    let why = "not a valid exchange specification: ";
    assert_eq!(says(&|s| s.markets.clear()), Err(format!("{why}there is no market")));
    assert_eq!(says(&|s| s.markets.push(s.markets[0].clone())), Err(format!("{why}market hyperliquid:T: asset 4 is used twice")));
    assert_eq!(
        says(&|s| s.markets[0].oracle = Px(0)),
        Err(format!("{why}market hyperliquid:T: oracle is 0 ticks, expected at least 1"))
    );
    assert!(says(&|s| s.rules.mark_every_ms = 0).is_err());
}
