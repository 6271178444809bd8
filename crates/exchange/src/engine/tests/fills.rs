//! Matching, queue position, self-trade prevention, reduce-only, modification.

use super::*;

#[test]
fn price_then_time_among_accounts() {
    let mut w = World::empty(spec_with(MarginTable::flat(10)));
    let first = w.put(A, Side::Sell, 10_000, 100);
    let second = w.put(B, Side::Sell, 10_000, 100);
    let better = w.put(A, Side::Sell, 9_990, 50);
    let taker = w.order(Side::Buy, 10_000, 200, TimeInForce::Ioc);
    let Placed::Filled { total, avg_px, .. } = w.place(C, taker) else { panic!("not filled") };
    assert_eq!((total, avg_px), (Qty(200), dec("999.75")));
    assert_eq!(w.fills(C), [(9_990, 50), (10_000, 100), (10_000, 50)]);
    assert_eq!((w.status(A, first), w.status(A, better), w.status(B, second)), ("filled", "filled", "open"));
    assert_eq!(w.view(B, second).qty, Qty(50));
    let (mine, theirs) = (&w.fill_records(C)[0], &w.fill_records(A)[0]);
    assert_eq!((mine.tid, mine.crossed, theirs.crossed), (theirs.tid, true, false));
    assert_eq!((mine.fee, theirs.fee), (usd("0.022478"), usd("0.007493")), "49.95 at 4.5 and 1.5 bp, 6 decimals");
    assert_eq!((mine.dir, theirs.dir), (Direction::OpenLong, Direction::OpenShort));
    w.check();
}

#[test]
fn a_taker_walks_the_background_to_its_limit_and_what_it_took_stays_taken() {
    let mut w = World::new();
    let taker = w.order(Side::Buy, 10_015, 15_000, TimeInForce::Ioc);
    let rich = Op::Deposit { amount: usd("100000") };
    w.send(A, rich);
    let placed = w.place(A, taker);
    assert!(matches!(placed, Placed::Filled { total: Qty(10_000), .. }), "only the level within the limit: {placed:?}");
    assert_eq!(w.status(A, oid(&placed)), "canceled", "the rest of an immediate-or-cancel dies");
    assert_eq!(w.view(A, oid(&placed)).qty, Qty(5_000), "and is reported");
    w.book(&[(9_990, 10_000)], &[(10_010, 10_000), (10_020, 10_000)]);
    let again = w.order(Side::Buy, 10_010, 1_000, TimeInForce::Ioc);
    assert_eq!(w.refusal(A, again.clone()), "Order could not immediately match against any resting orders. asset=4");
    w.book(&[(9_990, 10_000)], &[(10_010, 9_000), (10_020, 10_000)]);
    assert!(matches!(w.place(A, again), Placed::Filled { total: Qty(1_000), .. }), "the tape showed the level anew");
    w.check();
}

#[test]
fn gtc_fills_then_rests_with_the_remainder() {
    let mut w = World::new();
    w.send(A, Op::Deposit { amount: usd("100000") });
    let order = w.order(Side::Buy, 10_010, 12_000, TimeInForce::Gtc);
    let placed = w.place(A, order);
    assert!(matches!(placed, Placed::Resting { .. }));
    assert_eq!((w.view(A, oid(&placed)).qty, w.view(A, oid(&placed)).orig_qty), (Qty(2_000), Qty(12_000)));
    let book = w.x.book(T, 1).unwrap_or_else(|| panic!("no book"));
    assert_eq!((book.bids[0].px, book.asks[0].px), (Px(10_010), Px(10_020)));
}

#[test]
fn a_resting_order_waits_for_the_queue_that_it_joined() {
    let mut w = World::new();
    let order = w.put(A, Side::Buy, 9_990, 500);
    w.trade(Side::Sell, 9_990, 9_999);
    assert_eq!(w.fills(A), [], "one lot is still ahead");
    w.trade(Side::Sell, 9_990, 100);
    assert_eq!(w.fills(A), [(9_990, 99)]);
    w.trade(Side::Sell, 9_980, 50);
    assert_eq!(w.fills(A).last(), Some(&(9_990, 50)), "a trade beyond our price fills us at our price, up to its quantity");
    w.trade(Side::Sell, 9_980, 10_000);
    assert_eq!(w.status(A, order), "filled");
    assert!(w.fill_records(A).iter().all(|f| !f.crossed));
    w.check();
}

#[test]
fn a_level_that_shrinks_without_trades_advances_us_in_proportion() {
    let mut w = World::new();
    w.book(&[(9_990, 10_000)], &[(10_010, 10_000)]);
    w.put(A, Side::Buy, 9_990, 500);
    w.book(&[(9_990, 30_000)], &[(10_010, 10_000)]);
    w.book(&[(9_990, 15_000)], &[(10_010, 10_000)]);
    w.trade(Side::Sell, 9_990, 5_000);
    assert_eq!(w.fills(A), [], "half of what was ahead is still ahead");
    w.trade(Side::Sell, 9_990, 1);
    assert_eq!(w.fills(A), [(9_990, 1)]);
}

#[test]
fn a_trade_and_the_level_change_it_caused_advance_the_queue_once() {
    let mut w = World::new();
    w.book(&[(9_990, 10_000)], &[(10_010, 10_000)]);
    w.put(A, Side::Buy, 9_990, 500);
    w.trade(Side::Sell, 9_990, 4_000);
    w.book(&[(9_990, 6_000)], &[(10_010, 10_000)]);
    w.trade(Side::Sell, 9_990, 6_000);
    assert_eq!(w.fills(A), []);
    w.trade(Side::Sell, 9_990, 7);
    assert_eq!(w.fills(A), [(9_990, 7)]);
}

#[test]
fn background_that_arrives_across_a_resting_order_trades_with_it() {
    let mut w = World::new();
    let bid = w.put(A, Side::Buy, 10_000, 500);
    w.book(&[(9_980, 10_000)], &[(9_990, 300), (10_010, 1_000)]);
    assert_eq!(w.fills(A), [(10_000, 300)], "at our price");
    w.book(&[(9_980, 10_000)], &[(9_990, 300), (10_010, 1_000)]);
    assert_eq!(w.fills(A), [(10_000, 300)], "the same snapshot brings nothing new");
    w.book(&[(9_980, 10_000)], &[(9_990, 900), (10_010, 1_000)]);
    assert_eq!((w.status(A, bid), w.szi(A)), ("filled", 500));
    let book = w.x.book(T, 5).unwrap_or_else(|| panic!("no book"));
    assert_eq!((book.asks[0].px, book.asks[0].qty), (Px(9_990), Qty(700)), "900 shown anew, 200 traded");
    w.check();
}

#[test]
fn own_resting_orders_are_cancelled_and_the_aggressor_goes_on() {
    let mut w = World::empty(spec_with(MarginTable::flat(10)));
    let own = w.put(A, Side::Sell, 10_000, 100);
    let other = w.put(B, Side::Sell, 10_000, 100);
    w.x.drain_events();
    let taker = w.put(A, Side::Buy, 10_000, 150);
    assert_eq!(w.status(A, own), "selfTradeCanceled");
    assert_eq!((w.status(B, other), w.view(A, taker).qty), ("filled", Qty(50)));
    let prints = w.x.drain_events().into_iter().filter(|e| matches!(e, Event::Trade(_))).count();
    assert_eq!(prints, 1, "a prevented self-trade is not in the feed");
}

#[test]
fn post_only_rests_or_names_the_touch() {
    let mut w = World::new();
    let crossing = w.order(Side::Buy, 10_010, 100, TimeInForce::Alo);
    assert_eq!(w.refusal(A, crossing), "Post only order would have immediately matched, bbo was 999@1001. asset=4");
    let joining = w.order(Side::Buy, 10_000, 100, TimeInForce::Alo);
    assert!(matches!(w.place(A, joining), Placed::Resting { .. }));
}

#[test]
fn reduce_only_shrinks_to_the_position_and_never_flips_i07() {
    let mut w = World::new();
    w.market(A, Side::Buy, 1_000);
    let larger = w.order(Side::Sell, 9_990, 5_000, TimeInForce::Ioc).reduce_only();
    let Placed::Filled { total, oid, .. } = w.place(A, larger) else { panic!("not filled") };
    assert_eq!((total, w.szi(A), w.status(A, oid)), (Qty(1_000), 0, "filled"));
    assert_eq!((w.view(A, oid).orig_qty, w.view(A, oid).qty), (Qty(5_000), Qty::ZERO));
    let flat = w.order(Side::Sell, 9_990, 500, TimeInForce::Ioc).reduce_only();
    assert_eq!(w.refusal(A, flat.clone()), "Reduce only order would increase position. asset=4");
    w.market(A, Side::Sell, 1_000);
    assert_eq!(w.refusal(A, flat), "Reduce only order would increase position. asset=4");
}

#[test]
fn resting_reduce_only_orders_shrink_with_the_position_and_end_with_it() {
    let mut w = World::new();
    w.market(A, Side::Buy, 1_000);
    let order = w.order(Side::Sell, 10_100, 800, TimeInForce::Gtc).reduce_only();
    let resting = oid(&w.place(A, order));
    w.market(A, Side::Sell, 600);
    assert_eq!((w.view(A, resting).qty, w.view(A, resting).orig_qty), (Qty(400), Qty(800)));
    w.told();
    w.market(A, Side::Sell, 400);
    assert_eq!(w.status(A, resting), "reduceOnlyCanceled");
    assert!(w.told().contains(&(resting, "reduceOnlyCanceled")));
    w.check();
}

#[test]
fn younger_reduce_only_orders_displace_older_ones() {
    let mut w = World::new();
    w.market(A, Side::Buy, 1_000);
    let mut put = |px: i64, qty: i64| {
        let order = w.order(Side::Sell, px, qty, TimeInForce::Gtc).reduce_only();
        oid(&w.place(A, order))
    };
    let (first, second, third) = (put(10_100, 600), put(10_110, 400), put(10_120, 300));
    assert_eq!(
        (w.status(A, first), w.status(A, second), w.status(A, third)),
        ("reduceOnlyCanceled", "open", "open"),
        "600 + 400 fit the position, another 300 does not"
    );
}

#[test]
fn modify_is_cancel_and_replace_under_the_same_client_name() {
    let mut w = World::new();
    let order = w.order(Side::Buy, 9_900, 100, TimeInForce::Gtc).cloid(77);
    let old = oid(&w.place(A, order));
    w.told();
    let new = w.order(Side::Buy, 9_910, 300, TimeInForce::Gtc);
    let op = Op::BatchModify { modifies: vec![(OrderRef::Cloid(77), new.clone())], always_place: false };
    let OpResult::Orders(placed) = w.send(A, op) else { panic!("no statuses") };
    let Placed::Resting { oid: fresh, cloid: Some(77) } = placed[0] else { panic!("{placed:?}") };
    assert_ne!(fresh, old);
    assert_eq!(w.told(), [(old, "canceled"), (fresh, "open")]);
    assert_eq!(w.x.order_status(A, OrderRef::Cloid(77)).map(|u| u.order.oid), Some(fresh));
    let op = Op::Modify { order: OrderRef::Oid(old), new: new.clone(), always_place: false };
    assert_eq!(w.send(A, op), OpResult::Refused("Cannot modify canceled or filled order asset=4".to_owned()));
    let op = Op::Modify { order: OrderRef::Oid(old), new, always_place: true };
    assert_eq!(w.send(A, op), OpResult::Default);
    let off_grid = NewOrder { px: dec("991.123"), ..w.order(Side::Buy, 9_910, 300, TimeInForce::Gtc) };
    let op = Op::Modify { order: OrderRef::Oid(fresh), new: off_grid, always_place: false };
    assert_eq!(w.send(A, op), OpResult::Refused("Order has invalid price. asset=4".to_owned()));
    assert_eq!(w.status(A, fresh), "open", "a replacement that no grid holds costs nothing");
}

#[test]
fn cancels_by_both_names() {
    let mut w = World::new();
    let order = w.order(Side::Buy, 9_900, 100, TimeInForce::Gtc).cloid(5);
    let first = oid(&w.place(A, order));
    let gone = "Order was never placed, already canceled, or filled. asset=4";
    assert_eq!(w.cancel(B, first).map_err(|e| e.to_string()), Err(gone.to_owned()), "another account's order");
    assert_eq!(w.send(A, Op::CancelByCloid { orders: vec![(T, 5)] }), OpResult::Cancels(vec![Ok(())]));
    assert_eq!(w.cancel(A, first).map_err(|e| e.to_string()), Err(gone.to_owned()));
    assert_eq!(w.status(A, first), "canceled");
    assert_eq!(w.x.open_orders(A), []);
}

#[test]
fn in_a_block_a_cancel_beats_a_taker() {
    let mut w = World::empty(spec_with(MarginTable::flat(10)));
    let ask = w.put(B, Side::Sell, 10_000, 100);
    let taker = w.order(Side::Buy, 10_000, 100, TimeInForce::Ioc);
    let passive = w.order(Side::Sell, 10_050, 100, TimeInForce::Alo);
    let answers = w.x.apply_block(
        w.now,
        vec![
            (A, Op::Place { orders: vec![taker], grouping: Grouping::Na }),
            (B, Op::Cancel { orders: vec![(T, ask)] }),
            (B, Op::Place { orders: vec![passive], grouping: Grouping::Na }),
        ],
    );
    let OpResult::Orders(taken) = &answers[0] else { panic!("{answers:?}") };
    assert!(matches!(taken[0], Placed::Error(_)));
    assert_eq!(answers[1], OpResult::Cancels(vec![Ok(())]));
    assert_eq!(w.szi(A), 0);
}
