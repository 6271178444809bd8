//! Take-profit and stop-loss: on the mark, grouped, bound to parents and positions.

use super::*;

#[test]
fn triggers_fire_on_the_mark_and_not_on_the_book() {
    let mut w = World::new();
    w.pin(10_000);
    w.market(A, Side::Buy, 1_000);
    let stop = w.trigger(Side::Sell, 9_900, Tpsl::Sl, 1_000);
    let stop = oid(&w.place(A, stop));
    assert_eq!(w.view(A, stop).order_type(), "Stop Market");
    assert_eq!(w.view(A, stop).trigger_condition(w.x.instrument(T).unwrap_or_else(|| panic!("none"))), "Price below 990");
    w.book(&[(9_800, 10_000)], &[(9_810, 10_000)]);
    w.wait(10_000);
    assert_eq!((w.status(A, stop), w.szi(A)), ("open", 1_000), "the mark is pinned");
    w.told();
    w.pin(9_900);
    assert_eq!(w.told(), [(stop, "triggered"), (stop, "filled")]);
    assert_eq!((w.szi(A), w.fills(A).last()), (0, Some(&(9_800, -1_000))));
}

#[test]
fn a_trigger_that_is_already_reached_is_refused() {
    let mut w = World::new();
    w.pin(10_000);
    w.market(A, Side::Buy, 1_000);
    for (side, at, tpsl) in [(Side::Sell, 10_000, Tpsl::Sl), (Side::Sell, 9_990, Tpsl::Tp), (Side::Buy, 10_010, Tpsl::Tp)] {
        let order = w.trigger(side, at, tpsl, 1_000);
        assert_eq!(w.refusal(A, order), "Invalid TP/SL price. asset=4");
    }
    for (side, at, tpsl) in [(Side::Buy, 10_010, Tpsl::Sl), (Side::Sell, 10_010, Tpsl::Tp)] {
        let order = w.trigger(side, at, tpsl, 1_000);
        assert!(matches!(w.place(A, order), Placed::Resting { .. }));
    }
}

#[test]
fn children_wait_for_their_parent_and_one_ends_the_other() {
    let mut w = World::new();
    w.pin(10_000);
    let parent = w.order(Side::Buy, 9_990, 1_000, TimeInForce::Gtc);
    let (tp, sl) = (w.trigger(Side::Sell, 10_200, Tpsl::Tp, 1_000), w.trigger(Side::Sell, 9_800, Tpsl::Sl, 1_000));
    let placed = w.place_all(A, vec![parent, tp, sl], Grouping::NormalTpsl);
    let [Placed::Resting { oid: parent, .. }, Placed::WaitingForFill { oid: tp }, Placed::WaitingForFill { oid: sl }] =
        placed[..]
    else {
        panic!("{placed:?}")
    };
    let open = w.x.open_orders(A);
    assert_eq!(open.iter().map(|o| (o.oid, o.children.len())).collect::<Vec<_>>(), [(parent, 2)]);
    w.trade(Side::Sell, 9_990, 10_500);
    w.pin(10_300);
    assert_eq!((w.szi(A), w.status(A, tp)), (500, "open"), "a partly filled parent wakes nobody");
    w.pin(10_000);
    w.trade(Side::Sell, 9_990, 500);
    assert_eq!(w.x.open_orders(A).len(), 2);
    w.book(&[(10_190, 10_000)], &[(10_210, 10_000)]);
    w.told();
    w.pin(10_200);
    assert_eq!(w.told(), [(tp, "triggered"), (sl, "siblingFilledCanceled"), (tp, "filled")]);
    assert_eq!(w.szi(A), 0);
    w.check();
}

#[test]
fn children_of_a_filled_parent_watch_at_once_and_die_with_a_cancelled_one() {
    let mut w = World::new();
    let sl = w.trigger(Side::Sell, 9_800, Tpsl::Sl, 1_000);
    let taker = w.order(Side::Buy, 10_010, 1_000, TimeInForce::Ioc);
    let placed = w.place_all(A, vec![taker, sl.clone()], Grouping::NormalTpsl);
    assert!(matches!(placed[..], [Placed::Filled { .. }, Placed::WaitingForTrigger { .. }]), "{placed:?}");
    let rests = w.order(Side::Buy, 9_900, 1_000, TimeInForce::Gtc);
    let placed = w.place_all(B, vec![rests, sl.clone()], Grouping::NormalTpsl);
    let (parent, child) = (oid(&placed[0]), oid(&placed[1]));
    assert_eq!(w.cancel(B, parent), Ok(()));
    assert_eq!((w.status(B, parent), w.status(B, child)), ("canceled", "canceled"));
    let refused = NewOrder { qty: dec("900"), ..w.order(Side::Buy, 9_990, 1, TimeInForce::Gtc) };
    let placed = w.place_all(C, vec![refused, sl], Grouping::NormalTpsl);
    assert!(placed.iter().all(|p| matches!(p, Placed::Error(r) if r.text == "Insufficient margin to place order.")));
}

#[test]
fn position_protection_follows_the_position() {
    let mut w = World::new();
    w.pin(10_000);
    let protect = |w: &World| vec![w.trigger(Side::Sell, 10_200, Tpsl::Tp, 0), w.trigger(Side::Sell, 9_800, Tpsl::Sl, 0)];
    let orders = protect(&w);
    let placed = w.place_all(A, orders, Grouping::PositionTpsl);
    assert!(placed.iter().all(|p| matches!(p, Placed::Error(r) if r.text == "Reduce only order would increase position.")));
    w.market(A, Side::Buy, 1_000);
    let orders = protect(&w);
    let placed = w.place_all(A, orders, Grouping::PositionTpsl);
    let (tp, sl) = (oid(&placed[0]), oid(&placed[1]));
    assert!(w.view(A, sl).is_position_tpsl);
    w.market(A, Side::Buy, 500);
    w.pin(9_790);
    assert_eq!((w.szi(A), w.status(A, sl), w.status(A, tp)), (0, "filled", "siblingFilledCanceled"), "all 1,500");
    w.pin(10_000);
    w.book(&[(9_990, 10_000)], &[(10_010, 9_999)]);
    w.market(A, Side::Buy, 700);
    let orders = protect(&w);
    let placed = w.place_all(A, orders, Grouping::PositionTpsl);
    w.market(A, Side::Sell, 700);
    assert!(placed.iter().all(|p| w.status(A, oid(p)) == "reduceOnlyCanceled"), "they end with the position");
    w.check();
}

#[test]
fn a_market_trigger_that_finds_nothing_dies_with_its_own_word() {
    let mut w = World::new();
    w.pin(10_000);
    w.market(A, Side::Buy, 1_000);
    let stop = w.trigger(Side::Sell, 9_900, Tpsl::Sl, 1_000);
    let stop = oid(&w.place(A, stop));
    w.book(&[], &[(10_010, 10_000)]);
    w.pin(9_900);
    assert_eq!((w.status(A, stop), w.szi(A)), ("iocCancelRejected", 1_000));
}

#[test]
fn a_limit_trigger_comes_to_rest() {
    let mut w = World::new();
    w.pin(10_000);
    w.market(A, Side::Buy, 1_000);
    let mut order = w.trigger(Side::Sell, 10_200, Tpsl::Tp, 1_000);
    order.px = dec("1025");
    if let OrderKind::Trigger { is_market, .. } = &mut order.kind {
        *is_market = false;
    }
    let tp = oid(&w.place(A, order));
    w.told();
    w.pin(10_200);
    assert_eq!(w.told(), [(tp, "triggered"), (tp, "open")]);
    let book = w.x.book(T, 20).unwrap_or_else(|| panic!("no book"));
    assert!(book.asks.iter().any(|l| l.px == Px(10_250) && l.qty == Qty(1_000)));
    assert_eq!(w.cancel(A, tp), Ok(()));
    w.check();
}
