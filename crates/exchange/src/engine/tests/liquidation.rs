//! What happens to an account that cannot hold what it has.

use super::*;

/// A is long 90 units at 10x of 10,000: maintenance 5 % of 90,000.
fn loaded() -> World {
    let mut w = World::new();
    w.book(&[(9_990, 200_000)], &[(10_000, 200_000)]);
    w.market(A, Side::Buy, 90_000);
    w
}

fn liquidations(w: &mut World) -> Vec<Event> {
    w.x.drain_events().into_iter().filter(|e| matches!(e, Event::Liquidation(_) | Event::Ledger(_))).collect()
}

#[test]
fn below_maintenance_the_position_is_sold_on_the_book_and_the_rest_stays_with_the_account() {
    let mut w = loaded();
    let ask = w.put(A, Side::Sell, 10_100, 10);
    let liq = w.state(A).positions[0].liquidation_px.unwrap_or_default();
    assert_eq!(liq.round_dp(3), dec("936.146"), "(90,000 − 9,959.5)/90/0.95");
    w.book(&[(9_400, 200_000)], &[(9_410, 200_000)]);
    w.pin(9_362);
    assert_eq!(w.szi(A), 90_000, "just above");
    w.x.drain_events();
    w.pin(9_361);
    assert_eq!((w.szi(A), w.status(A, ask)), (0, "liquidatedCanceled"));
    let fill = w.fill_records(A).pop().unwrap_or_else(|| panic!("no fill"));
    assert_eq!((fill.px, fill.qty, fill.dir), (Px(9_400), Qty(90_000), Direction::LiquidatedCrossLong));
    let info = fill.liquidation.unwrap_or_else(|| panic!("no liquidation"));
    assert_eq!((info.liquidated_user, info.mark_px, info.method), (A, Px(9_361), LiquidationMethod::Market));
    let order = w.view(A, fill.oid);
    assert_eq!((order.tif, order.reduce_only, order.order_type()), (Some(TimeInForce::LiquidationMarket), true, "Market"));
    assert!(w.state(A).margin.account_value > usd("4000"), "{:?}", w.state(A).margin);
    let told = liquidations(&mut w);
    assert!(matches!(&told[..], [Event::Liquidation(l), Event::Ledger(_)] if l.liquidated_user == A && l.liquidator == A));
    w.check();
}

#[test]
fn a_counterparty_sees_the_liquidation_that_is_not_its_own() {
    let mut w = World::empty(spec_with(MarginTable::flat(10)));
    w.put(B, Side::Sell, 10_000, 90_000);
    w.market(A, Side::Buy, 90_000);
    w.put(C, Side::Buy, 9_400, 90_000);
    w.pin(9_356);
    let fill = w.fill_records(C).pop().unwrap_or_else(|| panic!("no fill"));
    assert_eq!(fill.liquidation.map(|l| l.liquidated_user), Some(A));
    assert_eq!((fill.dir, fill.crossed), (Direction::OpenLong, false));
    w.check();
}

#[test]
fn a_large_position_goes_one_fifth_first_and_whole_after_the_pause() {
    let mut w = World::new();
    w.send(A, Op::Deposit { amount: usd("10000") });
    w.book(&[(9_990, 400_000)], &[(10_000, 400_000)]);
    w.market(A, Side::Buy, 180_000);
    w.book(&[(9_360, 400_000)], &[(9_410, 400_000)]);
    w.pin(9_356);
    assert_eq!(w.szi(A), 144_000, "168,408 of notional: one fifth");
    let before = w.szi(A);
    w.pin(9_230);
    assert_eq!(w.szi(A), before, "below maintenance again, but in the pause");
    w.wait(29_000);
    assert_eq!(w.szi(A), before);
    w.wait(3_000);
    assert_eq!(w.szi(A), 0, "after it the whole position");
    w.check();
}

#[test]
fn below_two_thirds_the_vault_takes_position_and_margin() {
    let mut w = loaded();
    w.pin(9_200); // value 2,759.5 of maintenance 4,140
    assert_eq!(w.szi(A), 0);
    let state = w.state(A);
    assert_eq!((state.margin.account_value, state.withdrawable), (Usd::ZERO, Usd::ZERO), "maintenance is not returned");
    let fill = w.fill_records(A).pop().unwrap_or_else(|| panic!("no fill"));
    assert_eq!((fill.px, fill.fee, fill.closed_pnl), (Px(9_200), Usd::ZERO, usd("-7200")));
    assert_eq!(fill.liquidation.map(|l| l.method), Some(LiquidationMethod::Backstop));
    let row = w.x.ledger(A, 0).pop().map(|row| row.delta);
    let Some(LedgerDelta::Liquidation { liquidated_ntl_pos, account_value, is_cross: true, liquidated_positions }) = row else {
        panic!("{row:?}")
    };
    assert_eq!((liquidated_ntl_pos, account_value), (usd("82800"), usd("2759.5")));
    assert_eq!(liquidated_positions, [(T, Lots(90_000))]);
    assert_eq!(w.x.net_position(T), Lots::ZERO);
    w.check();
}

#[test]
fn a_jump_through_zero_is_the_vaults_loss() {
    let mut w = loaded();
    w.x.fault(w.now, Fault::PriceShock { asset: T, change: Ratio::scaled(-30, 2) });
    assert_eq!(w.state(A).margin.account_value, Usd::ZERO);
    assert!(w.x.pools().vault > Usd::whole(-90_000), "{:?}", w.x.pools());
    w.check();
}

#[test]
fn an_isolated_position_dies_alone() {
    let mut w = World::new();
    w.leverage(A, false, 10);
    w.book(&[(9_990, 20_000)], &[(10_000, 20_000)]);
    w.market(A, Side::Buy, 10_000);
    let cash = w.state(A).cross.account_value;
    let liq = w.state(A).positions[0].liquidation_px.unwrap_or_default();
    assert_eq!(liq.round_dp(2), dec("947.84"), "(1,000 − 99.55)/0.95");
    w.pin(9_200);
    assert_eq!((w.szi(A), w.state(A).cross.account_value), (0, cash), "cross margin is untouched");
    let fill = w.fill_records(A).pop().unwrap_or_else(|| panic!("no fill"));
    assert_eq!(fill.dir, Direction::LiquidatedIsolatedLong);
    w.check();
}

#[test]
fn shorts_are_liquidated_upwards() {
    let mut w = World::new();
    w.book(&[(10_000, 200_000)], &[(10_010, 200_000)]);
    w.market(A, Side::Sell, 90_000);
    w.book(&[(10_500, 200_000)], &[(10_560, 200_000)]);
    w.pin(10_590);
    assert_eq!(w.szi(A), 0);
    assert_eq!(w.fill_records(A).pop().map(|f| f.dir), Some(Direction::LiquidatedCrossShort));
    w.check();
}

#[test]
fn automatic_deleveraging_is_a_fill_that_nobody_ordered() {
    let mut w = loaded();
    w.pin(10_100);
    w.x.fault(w.now, Fault::AutoDeleverage { account: A, asset: T, qty: Qty(40_000) });
    let fill = w.fill_records(A).pop().unwrap_or_else(|| panic!("no fill"));
    assert_eq!((fill.px, fill.qty, fill.dir, fill.fee), (Px(10_100), Qty(40_000), Direction::AutoDeleveraging, Usd::ZERO));
    assert_eq!(w.szi(A), 50_000);
    w.check();
}
