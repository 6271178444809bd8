//! The rules that read the last look, each at its boundary.

use domain::{ClientKey, Lots, ProfitMark, Px, Qty, Ratio, RejectKind, Side, StopLevel};

use crate::world::{
    BTC_PX, allow, at, btc, child, known, limits, look, parent, profit, reducing, refuse, see, see_only, t0, usd, world,
    world_with,
};
use crate::{Datum, Guard, Refusal};

/// The largest position that sizing allows here, in lots worth a dollar each.
fn allowed(guard: &Guard) -> i64 {
    let sizing = guard.sizing(t0(), btc(), Side::Buy).unwrap_or_else(|| panic!("known"));
    i64::try_from(sizing.notional.decimal().trunc()).unwrap_or(i64::MAX)
}

/// A world in which sizing binds before anything else: a portfolio of 100,000, of which a tenth may be held.
fn tight() -> Guard {
    world_with(limits(|raw| {
        raw.sizing.other_equity_usd = None;
        raw.sizing.tier = None;
        raw.sizing.tier_leverage = Some("1".into());
        raw.sizing.v_max = Some("1".into());
        raw.sizing.share_instrument = Some("0.1".into());
    }))
}

#[test]
fn c11_one_lot_more_than_sizing_allows_is_refused_with_the_cap_and_the_room() {
    let mut guard = tight();
    let most = allowed(&guard);
    assert_eq!(most, 10_000, "a tenth of 100,000 at a leverage of one");
    let refusal = refuse(&mut guard, t0(), child(1, 1, most + 1, BTC_PX));
    let Refusal::Sizing { cap, max, room, .. } = &refusal else { panic!("{refusal}") };
    assert_eq!((*cap, *max, *room), ("rule", usd("10000"), Qty(most)));
    drop(allow(&mut guard, t0(), child(1, 2, most, BTC_PX)));
    assert_eq!(refuse(&mut guard, t0(), child(1, 3, 10, BTC_PX)).room(), Some(Qty::ZERO));
}

#[test]
fn c11_a_parent_that_could_not_be_held_whole_is_refused_with_the_number() {
    let mut guard = tight();
    let most = allowed(&guard);
    let spec = |qty| parent(20, btc(), Side::Buy, qty);
    let refusal = guard.admit_parent(t0(), &spec(most + 1), Px(BTC_PX)).err();
    assert_eq!(refusal.and_then(|r| r.room()), Some(Qty(most)));
    assert_eq!(guard.admit_parent(t0(), &spec(most), Px(BTC_PX)), Ok(()));
    let refusal = guard.amend_parent(t0(), &spec(most), Qty(most + 1), Px(BTC_PX)).err();
    assert_eq!(refusal.map(|r| (r.kind(), r.room())), Some(("sizing", Some(Qty(most)))));
}

#[test]
fn i34_a_look_that_is_old_or_missed_something_supports_no_increase() {
    let mut guard = world();
    see_only(&mut guard, at(5_000));
    drop(allow(&mut guard, at(5_000), child(1, 1, 100, BTC_PX)));
    let expected = Refusal::Stale { datum: Datum::Size, of: btc().to_string(), age_ms: 5_001, max_ms: 5_000 };
    assert_eq!(refuse(&mut guard, at(5_001), child(1, 2, 100, BTC_PX)), expected);
    // profit that nobody told for ten seconds
    see_only(&mut guard, at(10_001));
    guard.assess(at(10_001));
    let expected = Refusal::Missing { datum: Datum::Profit, of: "the portfolio".into() };
    assert_eq!(refuse(&mut guard, at(10_001), child(1, 2, 100, BTC_PX)), expected);
    see(&mut guard, at(10_001));
    drop(allow(&mut guard, at(10_001), child(1, 2, 100, BTC_PX)));
}

#[test]
fn c15_funding_that_stands_out_either_way_or_is_stale_forbids_growth() {
    let refused = |change: fn(&mut domain::Measure)| {
        let mut guard = world();
        let mut measure = known(btc(), t0());
        change(&mut measure);
        guard.observe_measure(&measure);
        guard.assess(t0());
        guard.clear(t0(), child(1, 1, 100, BTC_PX)).err().map(|r| r.kind())
    };
    assert_eq!(refused(|m| m.funding.z = Some(Ratio::scaled(499, 2))), None);
    assert_eq!(refused(|m| m.funding.z = Some(Ratio::scaled(5, 0))), Some("funding"));
    assert_eq!(refused(|m| m.funding.z = Some(Ratio::scaled(-5, 0))), Some("funding"), "receiving is no excuse");
    assert_eq!(refused(|m| m.funding.persistence = Some(Ratio::scaled(9, 1))), Some("funding"));
    assert_eq!(refused(|m| m.funding.newest_ms -= 3 * 3_600_000), None);
    assert_eq!(refused(|m| m.funding.newest_ms -= 3 * 3_600_000 + 1), Some("funding"));
    assert_eq!(refused(|m| m.funding = domain::FundingView::default()), Some("funding"), "nothing is known");
}

#[test]
fn c16_a_spent_day_stops_growth_and_asks_for_the_stop() {
    let mut guard = world_with(limits(|raw| {
        raw.sizing.other_equity_usd = None;
        raw.drawdown = crate::RawDrawdown::default();
        // speed is another test's
        raw.drawdown.velocity_1m = Some("1".into());
        raw.drawdown.velocity_5m = Some("1".into());
        raw.drawdown.velocity_15m = Some("1".into());
    }));
    let lost = |loss: &str| ProfitMark { profit: -usd(loss), ..profit(100_000) };
    // 3 % of what there was when the day began
    guard.observe_profit(t0(), &lost("3000"));
    assert_eq!(guard.assess(t0()).stop(), None, "equity when the day began was 103,000");
    guard.observe_profit(t0(), &lost("3100"));
    let found = guard.assess(t0());
    assert_eq!(found.stop().map(|stop| stop.level), Some(StopLevel::ReduceOnly));
    assert_eq!(refuse(&mut guard, t0(), child(1, 1, 100, BTC_PX)).kind(), "drawdown");
}

#[test]
fn reductions_pass_under_every_flag_at_once() {
    let mut guard = world_with(limits(|raw| raw.drawdown = crate::RawDrawdown::default()));
    guard.set_position(btc(), Lots(1_000));
    guard.observe_measure(&domain::Measure { funding: domain::FundingView::default(), ..known(btc(), t0()) });
    guard.observe_profit(t0(), &ProfitMark { profit: -usd("90000000"), ..profit(100_000) });
    guard.assess(t0());
    let key = |no| ClientKey::derive(domain::JournalTag(7), domain::Epoch(1), domain::ParentId(2), domain::ChildNo(no));
    for no in 100..110 {
        guard.rejected(t0(), key(no), btc(), RejectKind::Margin);
    }
    assert!(guard.clear(t0(), child(5, 1, 100, BTC_PX)).is_err());
    drop(allow(&mut guard, t0(), reducing(child(2, 1, 500, BTC_PX))));
    // and with no look at all
    drop(allow(&mut guard, at(60_000), reducing(child(2, 2, 500, BTC_PX))));
}

#[test]
fn c50_a_storm_pauses_the_market_until_the_operator_or_quiet_ends_it() {
    let mut guard = world();
    for no in 1..=5 {
        let key = child(1, no, 100, BTC_PX).key;
        guard.rejected(t0(), key, btc(), RejectKind::Margin);
    }
    assert_eq!(refuse(&mut guard, t0(), child(5, 1, 100, BTC_PX)).kind(), "reject_storm", "every parent of the market");
    guard.touch_parent(domain::ParentId(1));
    look(&mut guard, t0());
    drop(allow(&mut guard, t0(), child(1, 6, 100, BTC_PX)));
}
