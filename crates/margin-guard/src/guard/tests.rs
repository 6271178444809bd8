//! Each rule by its id, with numbers that one can check by hand: one lot of BTC is worth 1 dollar at the mark.

use std::sync::Arc;

use domain::margin::MarginTable;
use domain::{
    ClientKey, Lots, MarketStatus, Marks, ParentId, PriceRule, Px, Qty, ReportedState, Side, Stamp, Stop, StopLevel, Stops,
    StreamHealth, StreamKind, Tif, Trigger, Usd, Venue, VenueOrderId,
};

use crate::refusal::{Datum, Scope};
use crate::world::*;
use crate::{Guard, RawMarketLimits, Refusal};

fn btc_market(change: impl FnOnce(&mut RawMarketLimits)) -> Guard {
    world_with(limits(|raw| {
        let mut market = RawMarketLimits::default();
        change(&mut market);
        raw.market.insert("hyperliquid:BTC".into(), market);
    }))
}

/// A long position of `lots` of BTC that books and venue agree on.
fn long(guard: &mut Guard, lots: i64) {
    guard.observe_account(&account(100_000, &[(btc(), lots)], t0()));
    guard.set_position(btc(), Lots(lots));
}

#[test]
fn an_order_inside_the_line_is_cleared_with_its_numbers() {
    let mut guard = world();
    let cleared = allow(&mut guard, at(500), child(1, 1, 1_000, BTC_PX));
    let basis = cleared.basis();
    assert_eq!(basis.limits, guard.limits().id());
    assert_eq!(basis.reference, Px(BTC_PX));
    assert_eq!(basis.book_age_ms, 500);
    assert_eq!(basis.equity, Usd::whole(100_000));
    assert_eq!(basis.position, Lots(0));
    assert_eq!(basis.worst, (Lots(1_000), Lots(0)));
    // maintenance of 1,000 dollars at 40x is 12.5
    assert_eq!(basis.cover.map(|c| c.to_string()), Some("8000".into()));
    assert_eq!(cleared.intent(), &child(1, 1, 1_000, BTC_PX));
}

#[test]
fn i14_nothing_is_cleared_before_reconciliation() {
    let mut guard = world();
    long(&mut guard, 1_000);
    guard.set_ready(false);
    assert_eq!(refuse(&mut guard, t0(), child(1, 1, 100, BTC_PX)), Refusal::NotReady);
    assert_eq!(refuse(&mut guard, t0(), reducing(child(2, 1, 100, BTC_PX))), Refusal::NotReady);
    assert_eq!(refuse(&mut blank(limits(|_| ())), t0(), child(1, 1, 100, BTC_PX)), Refusal::NotReady);
}

#[test]
fn stop_levels() {
    let mut guard = world();
    long(&mut guard, 1_000);
    let stops = |scope: &str, level| {
        let mut stops = Stops::default();
        stops.raise(&Stop { scope: scope.parse().unwrap(), ..Stop::all(level, Trigger::Operator, "test") });
        stops
    };
    guard.set_stops(stops("all", StopLevel::ReduceOnly));
    assert_eq!(refuse(&mut guard, t0(), child(1, 1, 100, BTC_PX)).kind(), "stopped");
    drop(allow(&mut guard, t0(), child(2, 1, 100, BTC_PX + 10)));
    for level in [StopLevel::Block, StopLevel::Cancel, StopLevel::Flatten, StopLevel::Sever] {
        for scope in ["all", "venue:hyperliquid", "market:hyperliquid:BTC", "parent:P2"] {
            guard.set_stops(stops(scope, level));
            assert_eq!(refuse(&mut guard, t0(), child(2, 2, 100, BTC_PX + 10)), Refusal::Stopped { level }, "{scope}");
        }
    }
}

#[test]
fn c01_collar_around_the_median() {
    let mut guard = world();
    // 3 % of 1,000,000 ticks
    drop(allow(&mut guard, t0(), child(1, 1, 100, 970_000)));
    assert_eq!(refuse(&mut guard, t0(), child(1, 2, 100, 969_990)).kind(), "collar");
    drop(allow(&mut guard, t0(), child(2, 1, 100, 1_030_000)));
    let refusal = refuse(&mut guard, t0(), child(2, 2, 100, 1_030_100));
    assert!(matches!(refusal, Refusal::Collar { reference: Px(BTC_PX), .. }), "{refusal}");
    assert_eq!(refusal.room(), None);

    // one wild reference of three does not move the median
    guard.observe_marks(&Marks { oracle: Px(2 * BTC_PX), ..marks(btc(), BTC_PX + 100, t0()) });
    let view = guard.projection(t0(), btc()).unwrap_or_else(|| panic!("known"));
    assert_eq!((view.reference, view.references_fresh), (Some(Px(BTC_PX + 100)), 3));
}

#[test]
fn c01_needs_two_fresh_references() {
    let mut guard = world();
    // marks give two; the book alone gives one
    let now = at(15_000);
    guard.observe_book(&book(btc(), BTC_PX - 10, BTC_PX + 10, now));
    guard.observe_account(&account(100_000, &[], now));
    assert_eq!(refuse(&mut guard, now, child(1, 1, 100, BTC_PX)), Refusal::NoReference { instrument: btc(), fresh: 1 });
    guard.observe_marks(&marks(btc(), BTC_PX, now));
    look(&mut guard, now);
    drop(allow(&mut guard, now, child(1, 1, 100, BTC_PX)));
}

#[test]
fn c01_reductions_are_held_to_whatever_reference_exists() {
    let mut guard = world();
    long(&mut guard, 1_000);
    let late = at(3_600_000);
    // an hour later nothing is fresh: 10 % around the old reference, and none at all without a reference
    drop(allow(&mut guard, late, reducing(child(2, 1, 100, 900_000))));
    assert_eq!(refuse(&mut guard, late, reducing(child(2, 2, 100, 899_990))).kind(), "collar");

    let mut guard = blank(limits(|_| ()));
    guard.set_instrument(&btc_rules());
    guard.set_ready(true);
    guard.set_position(btc(), Lots(1_000));
    let cleared = allow(&mut guard, late, reducing(child(2, 1, 100, 500_000)));
    assert_eq!(cleared.basis().reference, Px(0), "no reference");
    assert_eq!(cleared.basis().book_age_ms, u64::MAX, "no book");
}

#[test]
fn c03_order_size_is_absolute() {
    let mut guard = btc_market(|m| m.order_size_max = Some("0.00500".into()));
    let refusal = refuse(&mut guard, t0(), child(1, 1, 501, BTC_PX));
    assert_eq!(refusal, Refusal::OrderSize { instrument: btc(), asked: Qty(501), max: Qty(500), room: Qty(500) });
    drop(allow(&mut guard, t0(), child(1, 1, 500, BTC_PX)));
    // a true reduction is not held to it
    long(&mut guard, 5_000);
    drop(allow(&mut guard, t0(), child(2, 1, 5_000, BTC_PX + 10)));
}

#[test]
fn c04_order_notional_at_the_worse_of_limit_and_reference() {
    let mut guard = btc_market(|m| m.order_notional_max_usd = Some("1000".into()));
    // a buy far below the reference counts at the reference
    let refusal = refuse(&mut guard, t0(), child(1, 1, 1_001, 980_000));
    assert_eq!(refusal, Refusal::OrderNotional { notional: usd("1001"), max: usd("1000"), room: Qty(1_000) });
    // a sell above it counts at its limit: 1000 / 1.02 = 980.39
    assert_eq!(refuse(&mut guard, t0(), child(2, 1, 1_000, 1_020_000)).room(), Some(Qty(980)));
    drop(allow(&mut guard, t0(), child(2, 1, 980, 1_020_000)));
}

#[test]
fn c05_parent_cap_and_sum_of_an_hour() {
    let mut guard = world();
    let btc_parent = |no: u32, qty: i64| parent(no, btc(), Side::Buy, qty);
    // 100,000 a parent, 250,000 an hour
    let refusal = guard.admit_parent(t0(), &btc_parent(11, 100_001), Px(BTC_PX)).unwrap_err();
    assert_eq!(refusal.room(), Some(Qty(100_000)));
    assert_eq!(guard.admit_parent(t0(), &btc_parent(11, 100_000), Px(BTC_PX)), Ok(()));
    assert_eq!(guard.admit_parent(t0(), &btc_parent(11, 1), Px(BTC_PX)).unwrap_err().kind(), "duplicate_parent");
    assert_eq!(guard.admit_parent(at(1_000), &btc_parent(12, 90_000), Px(BTC_PX)), Ok(()));
    let refusal = guard.admit_parent(at(2_000), &btc_parent(13, 60_001), Px(BTC_PX)).unwrap_err();
    assert_eq!((refusal.kind(), refusal.room()), ("parents_per_hour", Some(Qty(60_000))));
    // its own limit price counts if that is worth more
    let mut dear = btc_parent(13, 60_000);
    dear.limit_px = Some(Px(BTC_PX + 10));
    assert_eq!(guard.admit_parent(at(2_000), &dear, Px(BTC_PX)).unwrap_err().kind(), "parents_per_hour");
    assert_eq!(guard.admit_parent(at(2_000), &btc_parent(13, 60_000), Px(BTC_PX)), Ok(()));
    // what only reduces is capped by the position instead
    let mut close = btc_parent(14, 900_000);
    close.reduce_only = true;
    assert_eq!(guard.admit_parent(at(2_000), &close, Px(BTC_PX)), Ok(()));
    // an hour after the first, the first no longer counts
    see(&mut guard, at(3_600_000));
    assert!(guard.admit_parent(at(3_600_000), &btc_parent(15, 100_000), Px(BTC_PX)).is_err());
    assert_eq!(guard.admit_parent(at(3_600_001), &btc_parent(15, 100_000), Px(BTC_PX)), Ok(()));
    // an amendment counts by what it adds
    see(&mut guard, at(9_000_000));
    assert_eq!(
        guard.amend_parent(at(9_000_000), &btc_parent(13, 60_000), Qty(100_001), Px(BTC_PX)).unwrap_err().kind(),
        "parent_notional"
    );
    assert_eq!(guard.amend_parent(at(9_000_000), &btc_parent(13, 60_000), Qty(100_000), Px(BTC_PX)), Ok(()));
    assert_eq!(guard.status(at(9_000_000)).parents_hour_usd, Some(usd("40000")));
    assert_eq!(guard.admit_parent(t0(), &parent(16, id("DOGE"), Side::Buy, 1), Px(1)).unwrap_err().kind(), "unknown_instrument");
}

#[test]
fn c05_a_folded_parent_is_valued_once_its_market_is_known() {
    let mut guard = Guard::new(limits(|_| ()));
    guard.register_parent(t0(), &parent(1, btc(), Side::Buy, 100_000), Px(BTC_PX));
    guard.set_instrument(&eth_rules());
    let next = parent(2, eth(), Side::Buy, 500_000);
    assert_eq!(guard.admit_parent(t0(), &next, Px(ETH_PX)).unwrap_err().kind(), "unknown_instrument");
    guard.set_instrument(&btc_rules());
    see(&mut guard, t0());
    assert_eq!(guard.admit_parent(t0(), &next, Px(ETH_PX)), Ok(()));
    assert_eq!(guard.status(t0()).parents_hour_usd, Some(usd("200000")));
}

#[test]
fn c06_open_orders_per_market_and_venue() {
    let mut guard = world_with(limits(|raw| {
        raw.open_orders_per_market_max = Some("2".into());
        raw.open_orders_per_venue_max = Some("3".into());
    }));
    drop(allow(&mut guard, t0(), child(1, 1, 100, BTC_PX)));
    guard.adopt_foreign(&foreign(1, btc(), Side::Buy, BTC_PX - 100, 5));
    let refusal = refuse(&mut guard, t0(), child(1, 2, 100, BTC_PX - 10));
    assert_eq!(refusal, Refusal::OpenOrders { scope: Scope::Market(btc()), open: 2, max: 2 });
    drop(allow(&mut guard, t0(), child(3, 1, 100, ETH_PX)));
    let refusal = refuse(&mut guard, t0(), child(3, 2, 100, ETH_PX - 10));
    assert_eq!(refusal, Refusal::OpenOrders { scope: Scope::Venue(HL), open: 3, max: 3 });
    guard.gone(child(1, 1, 0, 0).key);
    drop(allow(&mut guard, t0(), child(3, 2, 100, ETH_PX - 10)));
}

#[test]
fn c07_i10_reserves_for_cancels_and_reductions() {
    let mut guard = world_with(limits(|raw| {
        raw.venue_messages_per_min_max = Some("60".into());
        raw.venue_burst_max = Some("10".into());
    }));
    long(&mut guard, 1_000);
    let mut no = 0;
    let mut place = |guard: &mut Guard, of: u32, now: Stamp| {
        no += 1;
        let px = if of == 1 { BTC_PX } else { BTC_PX + 10 };
        try_clear(guard, now, child(of, no, 50, px)).map(drop)
    };
    for _ in 0..6 {
        assert_eq!(place(&mut guard, 1, t0()), Ok(()));
    }
    let refusal = place(&mut guard, 1, t0()).unwrap_err();
    assert_eq!(refusal, Refusal::Throttled { scope: Scope::Venue(HL), retry_ms: 1_000 });
    assert_eq!(place(&mut guard, 2, t0()), Ok(()), "a reduction has a share of its own");
    assert_eq!(place(&mut guard, 2, t0()).unwrap_err().kind(), "throttled", "the rest is for cancels");
    assert_eq!(place(&mut guard, 2, at(1_000)), Ok(()));
    for _ in 0..5 {
        guard.cancel_sent(at(1_000), child(1, 1, 0, 0).key, HL);
    }
    let refusal = place(&mut guard, 2, at(1_000)).unwrap_err();
    assert_eq!(refusal, Refusal::Throttled { scope: Scope::Venue(HL), retry_ms: 4_000 });
}

#[test]
fn c07_one_parent_cannot_spend_the_others_messages() {
    let mut guard = world_with(limits(|raw| {
        raw.parent_messages_per_min_max = Some("60".into());
        raw.parent_burst_max = Some("5".into());
    }));
    for no in 1..=3 {
        drop(allow(&mut guard, t0(), child(1, no, 50, BTC_PX)));
    }
    let refusal = refuse(&mut guard, t0(), child(1, 4, 50, BTC_PX));
    assert_eq!(refusal, Refusal::Throttled { scope: Scope::Parent(ParentId(1)), retry_ms: 1_000 });
    drop(allow(&mut guard, t0(), child(5, 1, 51, BTC_PX)));
}

#[test]
fn c09_keys_are_used_once() {
    let mut guard = world();
    drop(allow(&mut guard, t0(), child(1, 1, 100, BTC_PX)));
    let key = child(1, 1, 0, 0).key;
    assert_eq!(refuse(&mut guard, t0(), child(1, 1, 200, BTC_PX)), Refusal::DuplicateKey { key });
    guard.gone(key);
    assert_eq!(refuse(&mut guard, at(1_500), child(1, 1, 200, BTC_PX)), Refusal::DuplicateKey { key }, "also after its end");
    // numbers need not come in order
    for no in [5, 3, 4, 2] {
        drop(allow(&mut guard, t0(), child(1, no, 100, BTC_PX)));
    }
    for no in 1..=5 {
        assert_eq!(refuse(&mut guard, t0(), child(1, no, 100, BTC_PX)).kind(), "duplicate_key");
    }
    let mut borrowed = child(1, 6, 100, BTC_PX);
    borrowed.key = child(5, 6, 0, 0).key;
    assert_eq!(refuse(&mut guard, t0(), borrowed).kind(), "wrong_key");
}

#[test]
fn c09_equal_orders_of_different_parents() {
    let mut guard = world();
    drop(allow(&mut guard, t0(), child(1, 1, 100, BTC_PX)));
    let refusal = refuse(&mut guard, at(999), child(5, 1, 100, BTC_PX));
    assert_eq!(refusal, Refusal::Duplicate { other: ParentId(1), age_ms: 999, window_ms: 1_000 });
    drop(allow(&mut guard, at(999), child(5, 1, 101, BTC_PX)));
    drop(allow(&mut guard, at(999), child(1, 2, 100, BTC_PX)));
    assert_eq!(refuse(&mut guard, at(1_998), child(5, 2, 100, BTC_PX)).kind(), "duplicate");
    drop(allow(&mut guard, at(1_999), child(5, 2, 100, BTC_PX)));
}

#[test]
fn c09_what_is_remembered_is_bounded_but_never_forgotten_early() {
    let mut guard = world_with(limits(|raw| {
        raw.open_orders_per_market_max = Some("1000".into());
        raw.open_orders_per_venue_max = Some("1000".into());
    }));
    // 150 orders of sizes never seen before, a millisecond apart
    let burst = |guard: &mut Guard, second: u64| {
        for n in 0..150 {
            let now = at(second * 1_000 + n);
            let no = u32::try_from(second * 150 + n).unwrap_or(0);
            drop(allow(guard, now, child(1, no, 100 + i64::from(no), BTC_PX)));
            guard.gone(child(1, no, 0, 0).key);
        }
    };
    burst(&mut guard, 0);
    assert_eq!(refuse(&mut guard, at(999), child(5, 1, 100, BTC_PX)).kind(), "duplicate", "the first of many");
    for second in 1..20 {
        see(&mut guard, at(second * 1_000));
        burst(&mut guard, second);
    }
    let slot = guard.projection.slot(btc()).unwrap_or_else(|| panic!("known"));
    let kept = guard.projection.markets[slot].recent.len();
    assert!((150..450).contains(&kept), "{kept} of 3000");
}

#[test]
fn c10_i08_own_orders_never_meet() {
    let mut guard = world();
    drop(allow(&mut guard, t0(), child(1, 1, 100, BTC_PX - 10)));
    let refusal = refuse(&mut guard, t0(), child(2, 1, 100, BTC_PX - 10));
    assert_eq!(refusal, Refusal::SelfMatch { side: Side::Sell, px: Px(BTC_PX - 10), own: Px(BTC_PX - 10) });
    drop(allow(&mut guard, t0(), child(2, 1, 100, BTC_PX)));
    assert_eq!(refuse(&mut guard, t0(), child(5, 1, 100, BTC_PX)).kind(), "self_match");

    // a foreign order of the account, and one whose answer was lost in an earlier life, count alike
    guard.adopt_foreign(&foreign(9, btc(), Side::Sell, BTC_PX - 5_000, 1));
    assert_eq!(refuse(&mut guard, t0(), child(1, 2, 100, BTC_PX - 5_000)).kind(), "self_match");
    guard.foreign_gone(HL, &VenueOrderId::Number(9));
    guard.adopt(&child(6, 1, 100, BTC_PX - 5_000), Qty(100));
    assert_eq!(refuse(&mut guard, t0(), child(1, 2, 100, BTC_PX - 5_000)).kind(), "self_match");
    guard.filled(child(6, 1, 0, 0).key, Qty(100));
    drop(allow(&mut guard, t0(), child(1, 2, 100, BTC_PX - 5_000)));
}

#[test]
fn c11_i04_worst_case_counts_every_working_order_until_it_is_gone() {
    let mut guard = world_with(limits(|raw| raw.market_notional_max_usd = Some("10000".into())));
    long(&mut guard, 4_000);
    guard.adopt_foreign(&foreign(1, btc(), Side::Buy, 900_000, 1_000));
    guard.adopt(&child(5, 1, 3_000, 990_000), Qty(2_000));
    drop(allow(&mut guard, t0(), child(1, 1, 1_000, 990_000)));
    // 4,000 + 1,000 + 2,000 + 1,000
    let refusal = refuse(&mut guard, t0(), child(1, 2, 2_001, 990_000));
    let would_be = usd("10001");
    let expected = Refusal::MarketExposure { instrument: btc(), side: Side::Buy, would_be, max: usd("10000"), room: Qty(2_000) };
    assert_eq!(refusal, expected);
    // asking for a cancel frees nothing; a fill moves it from order to position
    guard.cancel_sent(t0(), child(1, 1, 0, 0).key, HL);
    guard.filled(child(5, 1, 0, 0).key, Qty(500));
    guard.set_position(btc(), Lots(4_500));
    assert_eq!(refuse(&mut guard, t0(), child(1, 2, 2_001, 990_000)).room(), Some(Qty(2_000)));
    guard.gone(child(1, 1, 0, 0).key);
    assert_eq!(refuse(&mut guard, t0(), child(1, 2, 3_001, 990_000)).room(), Some(Qty(3_000)));
    // the other way the position and all of the long side count as room
    assert_eq!(refuse(&mut guard, t0(), child(2, 1, 14_501, BTC_PX + 10)).room(), Some(Qty(14_500)));
}

#[test]
fn c11_venue_and_global_leverage() {
    let mut guard = world_with(limits(|raw| {
        raw.order_notional_max_usd = Some("1000000".into());
        raw.market_notional_max_usd = Some("1000000".into());
        raw.venue_notional_max_usd = Some("150000".into());
        raw.leverage_max = Some("2".into());
    }));
    drop(allow(&mut guard, t0(), child(1, 1, 100_000, BTC_PX)));
    // ETH lots are worth 0.2
    let refusal = refuse(&mut guard, t0(), child(3, 1, 250_005, ETH_PX));
    assert_eq!(refusal, Refusal::VenueExposure { venue: HL, would_be: usd("150001"), max: usd("150000"), room: Qty(250_000) });
    guard.observe_account(&account(60_000, &[], t0()));
    let refusal = refuse(&mut guard, t0(), child(3, 1, 200_000, ETH_PX));
    let (would_be, equity) = (usd("140000"), usd("60000"));
    assert_eq!(refusal, Refusal::Leverage { would_be, equity, max: domain::Ratio::scaled(2, 0), room: Qty(100_000) });
}

#[test]
fn c11_two_venues_share_one_leverage() {
    let dydx = Venue::Dydx;
    let there = domain::InstrumentId::new(dydx, "BTC-USD").unwrap_or_else(|e| panic!("{e}"));
    let mut guard = world_with(limits(|raw| {
        raw.allow.push(there.to_string());
        raw.leverage_max = Some("1".into());
    }));
    // a position at the other venue stops increases here until that account can be valued and read
    guard.set_position(there, Lots(50_000));
    assert_eq!(refuse(&mut guard, t0(), child(1, 1, 100, BTC_PX)).kind(), "missing");
    guard.set_instrument(&domain::Instrument { id: there, ..btc_rules() });
    guard.observe_marks(&marks(there, BTC_PX, t0()));
    let expected = Refusal::Missing { datum: Datum::Account, of: "dydx".into() };
    assert_eq!(refuse(&mut guard, t0(), child(1, 1, 100, BTC_PX)), expected);
    let other = |equity| domain::AccountView { venue: dydx, ..account(equity, &[], t0()) };
    guard.observe_account(&other(0));
    drop(allow(&mut guard, t0(), child(1, 1, 25_000, BTC_PX)));
    drop(allow(&mut guard, t0(), child(1, 2, 25_000, BTC_PX)));
    assert_eq!(refuse(&mut guard, t0(), child(1, 3, 100, BTC_PX)).kind(), "leverage");
    // negative equity there is no credit here, and takes nothing either
    guard.observe_account(&other(-5_000));
    assert_eq!(refuse(&mut guard, t0(), child(1, 3, 100, BTC_PX)).kind(), "leverage");
    guard.observe_account(&other(100));
    drop(allow(&mut guard, t0(), child(1, 3, 100, BTC_PX)));
}

#[test]
fn c12_i06_children_never_exceed_their_parent() {
    let mut guard = world();
    guard.register_parent(t0(), &parent(7, btc(), Side::Buy, 100), Px(BTC_PX));
    let of_seven = |no: u32, qty: i64| {
        let mut intent = child(1, no, qty, BTC_PX);
        intent.child.parent = ParentId(7);
        intent.key = ClientKey::derive(intent.key.tag(), intent.key.epoch(), ParentId(7), intent.child.no);
        intent
    };
    drop(allow(&mut guard, t0(), of_seven(1, 60)));
    let (parent, total, filled, working) = (ParentId(7), Qty(100), Qty(0), Qty(60));
    let expected = Refusal::ParentExceeded { parent, total, filled, working, asked: Qty(41), room: Qty(40) };
    assert_eq!(refuse(&mut guard, t0(), of_seven(2, 41)), expected);
    guard.filled(of_seven(1, 0).key, Qty(20));
    guard.gone(of_seven(1, 0).key);
    assert_eq!(refuse(&mut guard, t0(), of_seven(2, 81)).room(), Some(Qty(80)));
    // a fill after the end counts all the same (F25)
    guard.filled(of_seven(1, 0).key, Qty(10));
    assert_eq!(refuse(&mut guard, t0(), of_seven(2, 71)).room(), Some(Qty(70)));
    drop(allow(&mut guard, t0(), of_seven(2, 70)));
    guard.set_parent_total(ParentId(7), Qty(150));
    drop(allow(&mut guard, t0(), of_seven(3, 50)));
    // an ended parent sends nothing more, and is forgotten with its last order
    guard.end_parent(ParentId(7));
    assert_eq!(refuse(&mut guard, t0(), of_seven(4, 10)), Refusal::UnknownParent { parent: ParentId(7) });
    guard.gone(of_seven(2, 0).key);
    assert!(guard.projection.parents.contains_key(&ParentId(7)));
    guard.gone(of_seven(3, 0).key);
    assert!(!guard.projection.parents.contains_key(&ParentId(7)));
}

#[test]
fn c12_fold_at_boot_restores_the_count() {
    let mut guard = Guard::new(limits(|_| ()));
    // orders may be told before their parent
    guard.adopt(&child(1, 1, 100, BTC_PX), Qty(60));
    guard.register_parent(Stamp::default(), &parent(1, btc(), Side::Buy, 150), Px(BTC_PX));
    guard.filled(child(1, 1, 0, 0).key, Qty(0));
    guard.adopt(&child(1, 2, 30, BTC_PX), Qty(30));
    guard.adopt(&child(1, 2, 30, BTC_PX), Qty(30));
    guard.set_instrument(&btc_rules());
    see(&mut guard, t0());
    guard.set_clock_offset(HL, 0);
    guard.set_stream(HL, StreamKind::Market, StreamHealth::Up);
    guard.set_stream(HL, StreamKind::Account, StreamHealth::Up);
    guard.set_ready(true);
    guard.verify().unwrap_or_else(|drift| panic!("{drift}"));
    assert_eq!(refuse(&mut guard, t0(), child(1, 3, 61, BTC_PX)).room(), Some(Qty(60)));
    assert_eq!(refuse(&mut guard, t0(), child(1, 2, 10, BTC_PX)).kind(), "duplicate_key");
}

#[test]
fn children_are_what_their_parent_says() {
    let mut guard = world();
    let mut stray = child(1, 1, 100, BTC_PX);
    stray.child.side = Side::Sell;
    assert_eq!(refuse(&mut guard, t0(), stray), Refusal::NotOfParent { parent: ParentId(1), field: "side" });
    let mut stray = child(1, 1, 100, ETH_PX);
    stray.child.instrument = eth();
    assert_eq!(refuse(&mut guard, t0(), stray), Refusal::NotOfParent { parent: ParentId(1), field: "instrument" });
    let mut spec = parent(8, btc(), Side::Buy, 100);
    spec.reduce_only = true;
    guard.register_parent(t0(), &spec, Px(BTC_PX));
    let mut stray = child(1, 1, 100, BTC_PX);
    stray.child.parent = ParentId(8);
    stray.key = ClientKey::derive(stray.key.tag(), stray.key.epoch(), ParentId(8), stray.child.no);
    assert_eq!(refuse(&mut guard, t0(), stray), Refusal::NotOfParent { parent: ParentId(8), field: "reduce_only" });
}

#[test]
fn c13_i07_two_reductions_make_no_flip() {
    let mut guard = world();
    long(&mut guard, 1_000);
    drop(allow(&mut guard, t0(), reducing(child(2, 1, 600, BTC_PX + 10))));
    let refusal = refuse(&mut guard, t0(), reducing(child(6, 1, 401, BTC_PX + 20)));
    assert_eq!(refusal, Refusal::NotReducing { closable: Qty(400), asked: Qty(401), room: Qty(400) });
    drop(allow(&mut guard, t0(), reducing(child(6, 1, 400, BTC_PX + 20))));
    assert_eq!(refuse(&mut guard, t0(), reducing(child(1, 1, 100, BTC_PX))).kind(), "not_reducing", "wrong way");
    // a plain sell that would fill before them would let them flip the position
    let refusal = refuse(&mut guard, t0(), child(2, 2, 50, BTC_PX + 30));
    assert_eq!(refusal.kind(), "overtakes");
    assert_eq!(refusal.room(), Some(Qty(0)));
    guard.gone(child(2, 1, 0, 0).key);
    guard.gone(child(6, 1, 0, 0).key);
    drop(allow(&mut guard, t0(), child(2, 2, 1_050, BTC_PX + 30)));
    assert_eq!(refuse(&mut guard, t0(), reducing(child(6, 2, 10, BTC_PX + 20))).kind(), "not_reducing", "all is being closed");
}

#[test]
fn c13_in_a_frozen_market_only_what_both_sides_say_can_be_closed() {
    let mut guard = world();
    guard.observe_account(&account(100_000, &[(btc(), 300)], t0()));
    guard.set_position(btc(), Lots(1_000));
    guard.freeze(btc(), "position break");
    assert_eq!(
        refuse(&mut guard, t0(), child(1, 1, 100, BTC_PX)),
        Refusal::Frozen { instrument: btc(), why: "position break".into() }
    );
    assert_eq!(refuse(&mut guard, t0(), reducing(child(2, 1, 301, BTC_PX + 10))).room(), Some(Qty(300)));
    drop(allow(&mut guard, t0(), reducing(child(2, 1, 300, BTC_PX + 10))));
    guard.observe_account(&account(100_000, &[(btc(), -300)], t0()));
    guard.gone(child(2, 1, 0, 0).key);
    assert_eq!(refuse(&mut guard, t0(), reducing(child(2, 2, 10, BTC_PX + 10))).room(), Some(Qty(0)));
    guard.unfreeze(btc());
    drop(allow(&mut guard, t0(), reducing(child(2, 2, 1_000, BTC_PX + 10))));
}

#[test]
fn c14_cover_of_the_worst_case() {
    let wide = |raw: &mut crate::RawLimits| {
        for field in [&mut raw.order_notional_max_usd, &mut raw.market_notional_max_usd, &mut raw.venue_notional_max_usd] {
            *field = Some("1000000".into());
        }
        raw.leverage_max = Some("100".into());
        raw.cover_min = Some("4".into());
        calm(raw);
    };
    let mut guard = world_with(limits(wide));
    guard.observe_account(&account(10_000, &[], t0()));
    // 40x: maintenance is 1/80, and four times that may be 10,000: 200,000 dollars
    let refusal = refuse(&mut guard, t0(), child(1, 1, 200_001, BTC_PX));
    assert_eq!((refusal.kind(), refusal.room()), ("cover", Some(Qty(200_000))));
    drop(allow(&mut guard, t0(), child(1, 1, 100_000, BTC_PX)));
    // each market at its worse side: a sell adds nothing until it is larger than the buys
    drop(allow(&mut guard, t0(), child(2, 1, 100_000, BTC_PX + 10)));
    // ETH at 25x: 1/50 of x is at most 2,500 − 1,250 dollars
    assert_eq!(refuse(&mut guard, t0(), child(3, 1, 400_000, ETH_PX)).room(), Some(Qty(312_500)));

    // what is lost at once on a buy through the mark is not there to cover it: equity − 1 % of x ≥ 4/80 of x
    let mut guard = world_with(limits(wide));
    guard.observe_account(&account(10_000, &[], t0()));
    assert_eq!(refuse(&mut guard, t0(), child(1, 1, 200_000, 1_010_000)).room(), Some(Qty(166_666)));

    // maintenance that the venue reports and that our books do not explain counts on top
    let mut view = account(10_000, &[], t0());
    view.maintenance = usd("1500");
    guard.observe_account(&view);
    assert_eq!(refuse(&mut guard, t0(), child(1, 1, 200_000, BTC_PX)).room(), Some(Qty(80_000)));
}

#[test]
fn c14_tiers_and_the_positions_own_leverage() {
    let tiers = MarginTable::new(&[(Usd::ZERO, 40), (usd("10000"), 25), (usd("50000"), 10)]).unwrap_or_else(|e| panic!("{e}"));
    let mut guard = world();
    guard.set_instrument(&domain::Instrument { margin: tiers.into(), ..btc_rules() });
    guard.set_position(btc(), Lots(12_000));
    let worst = |guard: &Guard| guard.status(t0()).accounts[&HL].maintenance_worst;
    // fact sheet §8.2: 12,000/50 − 75
    assert_eq!(worst(&guard), usd("165"));
    let own = |leverage_max: u32| {
        let mut view = account(100_000, &[(btc(), 12_000)], t0());
        view.positions[0].leverage_max = leverage_max;
        view
    };
    // 50x in the first tier; 25x from 10,000: 12,000/50 − 100
    guard.observe_account(&own(50));
    assert_eq!(worst(&guard), usd("140"));
    // 5x caps all tiers
    guard.observe_account(&own(5));
    assert_eq!(worst(&guard), usd("1200"));
    // no leverage at all is not believed
    for nonsense in [0, 1_001] {
        guard.observe_account(&own(nonsense));
        assert_eq!(worst(&guard), usd("165"));
    }
    guard.verify().unwrap_or_else(|drift| panic!("{drift}"));
}

#[test]
fn c14_isolated_positions_need_cover_of_their_own() {
    let mut guard = world_with(limits(calm));
    let mut view = account(100_000, &[(btc(), 10_000)], t0());
    view.positions[0].isolated_margin = Some(usd("500"));
    guard.observe_account(&view);
    guard.set_position(btc(), Lots(10_000));
    // 3/80 of x at most 500: 13,333
    let refusal = refuse(&mut guard, t0(), child(1, 1, 4_000, BTC_PX));
    assert_eq!((refusal.kind(), refusal.room()), ("isolated_cover", Some(Qty(3_333))));
    drop(allow(&mut guard, t0(), child(1, 1, 3_333, BTC_PX)));
}

#[test]
fn c17_g32_stale_and_broken_books() {
    let mut guard = world();
    drop(allow(&mut guard, at(2_000), child(1, 1, 100, BTC_PX)));
    let of = btc().to_string();
    let expected = Refusal::Stale { datum: Datum::Book, of: of.clone(), age_ms: 2_001, max_ms: 2_000 };
    assert_eq!(refuse(&mut guard, at(2_001), child(1, 2, 100, BTC_PX)), expected);
    // received just now, but old by the venue's clock
    let mut old = book(btc(), BTC_PX - 10, BTC_PX + 10, at(2_001));
    Arc::make_mut(&mut old).venue_ms -= 2_001;
    guard.observe_book(&old);
    let expected = Refusal::Stale { datum: Datum::BookVenueTime, of, age_ms: 2_001, max_ms: 2_000 };
    assert_eq!(refuse(&mut guard, at(2_001), child(1, 2, 100, BTC_PX)), expected);
    guard.set_clock_offset(HL, -1);
    drop(allow(&mut guard, at(2_001), child(1, 2, 100, BTC_PX)));
    // F36: crossed, locked, empty, one-sided; F40: no price
    let crossed = book(btc(), BTC_PX + 10, BTC_PX - 10, at(2_001));
    let locked = book(btc(), BTC_PX, BTC_PX, at(2_001));
    let mut empty = book(btc(), BTC_PX - 10, BTC_PX + 10, at(2_001));
    Arc::make_mut(&mut empty).bids.clear();
    let nothing = book(btc(), 0, BTC_PX, at(2_001));
    for bad in [crossed, locked, empty, nothing] {
        guard.observe_book(&bad);
        assert_eq!(refuse(&mut guard, at(2_001), child(1, 3, 100, BTC_PX)), Refusal::BadBook { instrument: btc() });
    }
    // a true reduction passes
    long(&mut guard, 1_000);
    drop(allow(&mut guard, at(60_000), child(2, 1, 100, BTC_PX + 10)));
}

#[test]
fn stale_marks_of_any_exposed_market_stop_increases() {
    let mut guard = world();
    guard.set_position(eth(), Lots(10));
    let now = at(10_001);
    guard.observe_book(&book(btc(), BTC_PX - 10, BTC_PX + 10, now));
    guard.observe_marks(&marks(btc(), BTC_PX, now));
    let expected = Refusal::Stale { datum: Datum::Marks, of: eth().to_string(), age_ms: 10_001, max_ms: 10_000 };
    assert_eq!(refuse(&mut guard, now, child(1, 1, 100, BTC_PX)), expected);
    guard.set_position(eth(), Lots(0));
    look(&mut guard, now);
    drop(allow(&mut guard, now, child(1, 1, 100, BTC_PX)));
    // F40: a mark that is no price is ignored, and the last one grows old
    let now = at(20_002);
    guard.observe_marks(&marks(btc(), 0, now));
    guard.observe_book(&book(btc(), BTC_PX - 10, BTC_PX + 10, now));
    assert_eq!(refuse(&mut guard, now, child(1, 2, 100, BTC_PX)).kind(), "no_reference");
}

#[test]
fn account_report_and_positions_must_be_known() {
    let mut guard = world();
    let now = at(60_001);
    guard.observe_book(&book(btc(), BTC_PX - 10, BTC_PX + 10, now));
    guard.observe_marks(&marks(btc(), BTC_PX, now));
    let expected = Refusal::Stale { datum: Datum::Account, of: "hyperliquid".into(), age_ms: 60_001, max_ms: 60_000 };
    assert_eq!(refuse(&mut guard, now, child(1, 1, 100, BTC_PX)), expected);
    // the venue reports a position that the books were never told of: even in a market we have never seen
    guard.observe_account(&account(100_000, &[(id("DOGE"), 5)], now));
    let expected = Refusal::Missing { datum: Datum::Instrument, of: "hyperliquid:DOGE".into() };
    assert_eq!(refuse(&mut guard, now, child(1, 1, 100, BTC_PX)), expected);
    guard.observe_account(&account(100_000, &[(btc(), 5)], now));
    let expected = Refusal::Missing { datum: Datum::Position, of: btc().to_string() };
    assert_eq!(refuse(&mut guard, now, child(1, 1, 100, BTC_PX)), expected);
    assert_eq!(guard.projection(now, btc()).map(|v| (v.position, v.blind)), Some((None, true)));
    guard.set_position(btc(), Lots(5));
    look(&mut guard, now);
    drop(allow(&mut guard, now, child(1, 1, 100, BTC_PX)));
}

#[test]
fn c19_instrument_sanity() {
    let mut guard = world();
    long(&mut guard, 15);
    assert_eq!(
        refuse(&mut guard, t0(), child(1, 1, 100, BTC_PX + 1)),
        Refusal::OffGrid { instrument: btc(), px: Px(BTC_PX + 1), step: 10 }
    );
    assert_eq!(refuse(&mut guard, t0(), child(1, 1, 100, -10)).kind(), "off_grid");
    assert_eq!(refuse(&mut guard, t0(), reducing(child(2, 1, 10, BTC_PX + 1))).kind(), "off_grid", "reductions too");
    for none in [0, -5] {
        assert_eq!(
            refuse(&mut guard, t0(), child(1, 1, none, BTC_PX)),
            Refusal::TooSmall { instrument: btc(), qty: Qty(none), min: Qty(1) }
        );
    }
    // 9 dollars and something
    let refusal = refuse(&mut guard, t0(), child(1, 1, 9, BTC_PX));
    assert_eq!(refusal, Refusal::NotionalTooSmall { instrument: btc(), notional: usd("9"), min: usd("10") });
    assert_eq!(refuse(&mut guard, t0(), reducing(child(2, 1, 9, BTC_PX + 10))).kind(), "notional_too_small", "a partial close");
    drop(allow(&mut guard, t0(), child(1, 1, 10, BTC_PX)));
    long(&mut guard, 9);
    drop(allow(&mut guard, t0(), reducing(child(2, 1, 9, BTC_PX + 10))));
    let mut coarse = btc_rules();
    coarse.qty_min = Qty(50);
    guard.set_instrument(&coarse);
    assert_eq!(refuse(&mut guard, t0(), child(1, 2, 49, BTC_PX)).kind(), "too_small");
    coarse.price_rule = PriceRule::Grid;
    guard.set_instrument(&coarse);
    drop(allow(&mut guard, t0(), child(1, 2, 50, BTC_PX + 1)));
    // a market whose values are finer than our money can be judged by nobody
    coarse.lot = rust_decimal::Decimal::new(1, 13);
    guard.set_instrument(&coarse);
    assert_eq!(refuse(&mut guard, t0(), child(1, 3, 100, BTC_PX)), Refusal::UnknownInstrument { instrument: btc() });
}

#[test]
fn room_knows_that_closing_a_whole_position_may_be_small() {
    let mut guard = world();
    long(&mut guard, 5);
    guard.set_parent_total(ParentId(2), Qty(8));
    // 8 dollars are too little for the venue, but 5 close the position
    assert_eq!(refuse(&mut guard, t0(), child(2, 1, 12, BTC_PX + 10)).room(), Some(Qty(5)));
    drop(allow(&mut guard, t0(), child(2, 1, 5, BTC_PX + 10)));
    // and a size that would look like another parent's order is stepped over
    guard.set_parent_total(ParentId(6), Qty(300));
    guard.set_parent_total(ParentId(2), Qty(1_000));
    drop(allow(&mut guard, t0(), child(2, 2, 300, BTC_PX + 10)));
    assert_eq!(refuse(&mut guard, t0(), child(6, 1, 301, BTC_PX + 10)).room(), Some(Qty(299)));
}

#[test]
fn c19_c20_market_states() {
    let mut guard = world();
    long(&mut guard, 1_000);
    let state = |guard: &mut Guard, status: MarketStatus| guard.set_instrument(&domain::Instrument { status, ..btc_rules() });
    state(&mut guard, MarketStatus::PostOnly);
    let mut taking = child(1, 1, 100, BTC_PX);
    taking.child.tif = Tif::ImmediateOrCancel;
    assert_eq!(refuse(&mut guard, t0(), taking), Refusal::MarketState { instrument: btc(), status: MarketStatus::PostOnly });
    drop(allow(&mut guard, t0(), child(1, 1, 100, BTC_PX)));
    // delisted: positions may only shrink
    state(&mut guard, MarketStatus::Closed);
    assert_eq!(refuse(&mut guard, t0(), child(1, 2, 100, BTC_PX)).kind(), "market_state");
    drop(allow(&mut guard, t0(), child(2, 1, 100, BTC_PX + 10)));
    state(&mut guard, MarketStatus::CancelOnly);
    assert_eq!(refuse(&mut guard, t0(), child(2, 2, 100, BTC_PX + 10)).kind(), "market_state");
}

#[test]
fn c20_allow_list() {
    let mut guard = world_with(limits(|raw| raw.allow = vec!["hyperliquid:ETH".into()]));
    long(&mut guard, 1_000);
    assert_eq!(refuse(&mut guard, t0(), child(1, 1, 100, BTC_PX)), Refusal::NotAllowed { instrument: btc() });
    drop(allow(&mut guard, t0(), child(2, 1, 1_000, BTC_PX + 10)));
    assert_eq!(
        guard.admit_parent(t0(), &parent(9, btc(), Side::Buy, 10), Px(BTC_PX)),
        Err(Refusal::NotAllowed { instrument: btc() })
    );
}

#[test]
fn f01_f04_streams_and_f76_clocks() {
    let mut guard = world();
    long(&mut guard, 1_000);
    for stream in [StreamKind::Market, StreamKind::Account] {
        for health in [StreamHealth::Stale, StreamHealth::Down] {
            guard.set_stream(HL, stream, health);
            assert_eq!(refuse(&mut guard, t0(), child(1, 1, 100, BTC_PX)), Refusal::StreamDown { venue: HL, stream });
        }
        guard.set_stream(HL, stream, StreamHealth::Up);
    }
    for offset_ms in [501, -501, i64::MIN] {
        guard.set_clock_offset(HL, offset_ms);
        assert_eq!(
            refuse(&mut guard, t0(), child(1, 1, 100, BTC_PX)),
            Refusal::ClockOffset { venue: HL, offset_ms, max_ms: 500 }
        );
        drop(allow(&mut guard, t0(), child(2, u32::try_from(offset_ms.rem_euclid(1_000)).unwrap_or(0), 100, BTC_PX + 10)));
    }
    guard.set_clock_offset(HL, 500);
    drop(allow(&mut guard, t0(), child(1, 1, 100, BTC_PX)));
}

#[test]
fn foreign_orders_come_and_go() {
    let mut guard = world();
    guard.adopt_foreign(&foreign(1, btc(), Side::Buy, 900_000, 500));
    let mut half = foreign(1, btc(), Side::Buy, 900_000, 500);
    half.remaining = Qty(200);
    guard.adopt_foreign(&half);
    let view = |guard: &Guard| guard.projection(t0(), btc()).map(|v| (v.working_long, v.open_orders));
    assert_eq!(view(&guard), Some((Qty(200), 1)));
    half.state = ReportedState::Unrecognised;
    guard.adopt_foreign(&half);
    assert_eq!(view(&guard), Some((Qty(200), 1)), "nothing follows from an unknown word");
    half.state = ReportedState::Canceled;
    guard.adopt_foreign(&half);
    assert_eq!(view(&guard), Some((Qty(0), 0)));
    // a report about one of ours is not counted twice
    drop(allow(&mut guard, t0(), child(1, 1, 100, BTC_PX)));
    let mut ours = foreign(2, btc(), Side::Buy, BTC_PX, 100);
    ours.key = Some(child(1, 1, 0, 0).key);
    guard.adopt_foreign(&ours);
    assert_eq!(view(&guard), Some((Qty(100), 1)));
}

#[test]
fn unknown_things_change_nothing() {
    let mut guard = world();
    let before = guard.projection.totals();
    let stray = child(1, 77, 0, 0).key;
    guard.gone(stray);
    guard.foreign_gone(HL, &VenueOrderId::Text("none".into()));
    guard.end_parent(ParentId(99));
    guard.set_parent_total(ParentId(99), Qty(5));
    guard.unfreeze(id("NONE"));
    guard.cancel_sent(t0(), stray, HL);
    assert_eq!(before, guard.projection.totals());
}

#[test]
fn status_tells_what_the_guard_sees() {
    let mut guard = world();
    long(&mut guard, 1_000);
    drop(allow(&mut guard, t0(), child(1, 1, 500, BTC_PX)));
    drop(allow(&mut guard, t0(), child(2, 1, 2_000, 1_010_000)));
    guard.freeze(btc(), "why");
    let status = guard.status(at(700));
    let market = &status.markets[&btc()];
    assert_eq!(market.position, Some(Lots(1_000)));
    assert_eq!((market.working_long, market.working_short), (Qty(500), Qty(2_000)));
    assert_eq!(market.worst, (Lots(1_500), Lots(-1_000)));
    assert_eq!(market.worst_usd, usd("1500"));
    assert_eq!((market.book_age_ms, market.marks_age_ms), (Some(700), Some(700)));
    assert_eq!(market.frozen.as_deref(), Some("why"));
    assert_eq!(market.funding_hourly.map(|r| r.to_string()), Some("0.0000125".into()));
    let account = &status.accounts[&HL];
    assert_eq!(account.equity, Some(Usd::whole(100_000)));
    assert_eq!(account.maintenance_worst, usd("18.75"));
    assert_eq!(account.cover.map(|c| c.to_string()), Some("5333.333333".into()));
    assert_eq!(account.leverage.map(|c| c.to_string()), Some("0.015".into()));
    assert!(serde_json::to_string(&status).is_ok_and(|json| json.contains("\"hyperliquid:BTC\"")));
}
