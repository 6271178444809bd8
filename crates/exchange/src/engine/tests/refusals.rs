//! What is refused, in the venue's words.

use super::*;

#[test]
fn grid_size_value_and_band() {
    let mut w = World::new();
    let base = w.order(Side::Buy, 9_990, 100, TimeInForce::Gtc);
    let mut say = |change: &dyn Fn(&mut NewOrder)| {
        let mut order = base.clone();
        change(&mut order);
        w.refusal(A, order)
    };
    assert_eq!(say(&|o| o.px = dec("999.123")), "Order has invalid price. asset=4");
    assert_eq!(say(&|o| o.px = dec("0")), "Order has invalid price. asset=4");
    assert_eq!(say(&|o| o.px = dec("-999")), "Order has invalid price. asset=4");
    assert_eq!(say(&|o| o.qty = dec("0.0001")), "Order has invalid size. asset=4");
    assert_eq!(say(&|o| o.qty = dec("-1")), "Order has invalid size. asset=4");
    assert_eq!(say(&|o| o.qty = dec("0")), "Order has zero size. asset=4");
    assert_eq!(say(&|o| o.qty = dec("0.01")), "Order must have minimum value of $10. asset=4");
    assert_eq!(say(&|o| o.px = dec("199.9")), "Order price cannot be more than 80% away from the reference price asset=4");
    assert_eq!(say(&|o| o.asset = Asset(9)), "Unknown asset. asset=9");
    assert_eq!(say(&|o| o.qty = dec("1000000000000")), "Order value exceeds the maximum for one order. asset=4");
    assert_eq!(say(&|o| o.qty = dec("101")), "Insufficient margin to place order. asset=4");
}

#[test]
fn five_significant_figures() {
    let market = MarketSpec::hyperliquid("BTC", 4, 4, MarginTable::flat(40), Decimal::from(3_000));
    let mut w = World::empty(ExchangeSpec::hyperliquid(START_MS, vec![market.unwrap_or_else(|e| panic!("{e}"))]));
    let order = NewOrder { px: dec("3000.55"), ..w.order(Side::Buy, 300_000, 100, TimeInForce::Gtc) };
    assert_eq!(w.refusal(A, order.clone()), "Price must be divisible by tick size. asset=4");
    let rows = w.x.historical_orders(A);
    assert_eq!(rows.first().map(|row| row.status.word()), Some("tickRejected"), "a readable order leaves a row");
    let fine = NewOrder { px: dec("3000.5"), ..order };
    assert!(matches!(w.place(A, fine), Placed::Resting { .. }));
}

#[test]
fn closing_a_whole_position_has_no_minimum() {
    let mut w = World::new();
    w.market(A, Side::Buy, 15);
    let partial = w.order(Side::Sell, 9_990, 9, TimeInForce::Ioc);
    assert_eq!(w.refusal(A, partial.clone()), "Order must have minimum value of $10. asset=4");
    assert_eq!(w.refusal(A, partial.reduce_only()), "Order must have minimum value of $10. asset=4");
    let most = w.order(Side::Sell, 9_990, 11, TimeInForce::Ioc);
    assert!(matches!(w.place(A, most), Placed::Filled { .. }), "worth 10.989");
    let whole = w.order(Side::Sell, 9_990, 4, TimeInForce::Ioc);
    assert!(matches!(w.place(A, whole), Placed::Filled { total: Qty(4), .. }));
}

#[test]
fn windows_halts_and_empty_books() {
    let mut w = World::new();
    let until_ms = w.now + 60_000;
    w.x.fault(w.now, Fault::PostOnlyWindow { until_ms });
    let gtc = w.order(Side::Buy, 9_990, 100, TimeInForce::Gtc);
    assert_eq!(w.refusal(A, gtc.clone()), "Only post-only orders allowed immediately after a network upgrade asset=4");
    let alo = w.order(Side::Buy, 9_990, 100, TimeInForce::Alo);
    let resting = oid(&w.place(A, alo));
    w.wait(60_000);
    assert!(matches!(w.place(A, gtc.clone()), Placed::Resting { .. }));
    w.x.fault(w.now, Fault::Halt { asset: T, halted: true });
    assert_eq!(w.refusal(A, gtc), "Trading is halted. asset=4");
    assert_eq!(w.cancel(A, resting), Ok(()), "cancels work");
    w.x.fault(w.now, Fault::Halt { asset: T, halted: false });
    w.book(&[], &[]);
    let frontend = w.order(Side::Buy, 11_000, 100, TimeInForce::FrontendMarket);
    assert_eq!(w.refusal(B, frontend), "No liquidity available for market order. asset=4");
}

#[test]
fn whole_actions() {
    let mut w = World::new();
    let order = w.order(Side::Buy, 9_990, 100, TimeInForce::Gtc);
    let op = Op::Place { orders: vec![order; 201], grouping: Grouping::Na };
    assert_eq!(text(&w.send(A, op)), "Signed action over weight limit of 200.");
    assert_eq!(w.x.open_orders(A), []);
    let stranger = AccountKey([0xdd; 20]);
    assert_eq!(
        text(&w.send(stranger, Op::ScheduleCancel { at_ms: None })),
        "Must deposit before performing actions. User: 0xdddddddddddddddddddddddddddddddddddddddd"
    );
    assert_eq!(text(&w.send(A, Op::Twap)), "TWAP orders are not supported by this exchange.");
    assert_eq!(w.send(A, Op::Noop), OpResult::Default);
}

#[test]
fn a_live_client_name_is_not_given_twice() {
    let mut w = World::new();
    let order = w.order(Side::Buy, 9_900, 100, TimeInForce::Gtc).cloid(5);
    let first = oid(&w.place(A, order.clone()));
    assert_eq!(w.refusal(A, order.clone()), "Client order id is already in use by an open order. asset=4");
    assert_eq!(w.x.order_status(A, OrderRef::Cloid(5)).map(|u| u.order.oid), Some(first));
    assert!(matches!(w.place(B, order.clone()), Placed::Resting { .. }), "another account may");
    assert_eq!(w.cancel(A, first), Ok(()));
    assert!(matches!(w.place(A, order), Placed::Resting { .. }));
}

#[test]
fn open_order_and_open_interest_limits() {
    let mut spec = spec_with(MarginTable::flat(10));
    spec.rules.open_orders_max = 2;
    spec.markets[0].open_interest_cap = Some(Qty(150));
    let mut w = World::with(spec);
    w.market(A, Side::Buy, 100);
    let order = w.order(Side::Buy, 9_900, 100, TimeInForce::Gtc);
    assert_eq!(w.refusal(B, order), "Order would increase open interest while open interest is capped asset=4");
    let small = w.order(Side::Buy, 9_900, 20, TimeInForce::Gtc);
    w.place_all(A, vec![small.clone(), small.clone()], Grouping::Na);
    assert_eq!(w.refusal(A, small), "Too many open orders. asset=4");
    let last = w.x.historical_orders(A).remove(0);
    assert_eq!(last.status.word(), "tooManyOpenOrdersRejected");
}
