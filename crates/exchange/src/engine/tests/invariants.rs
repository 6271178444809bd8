//! Laws that hold under any interleaving: random actions of three accounts against a moving background.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Act {
    Limit { who: usize, buy: bool, offset: i64, qty: i64, tif: TimeInForce, reduce_only: bool },
    Trigger { who: usize, buy: bool, offset: i64, qty: i64, tp: bool },
    CancelOne { who: usize, nth: usize },
    ModifyOne { who: usize, nth: usize, offset: i64, qty: i64 },
    Leverage { who: usize, cross: bool, leverage: u32 },
    Isolated { who: usize, cents: i64 },
    Book { bid: i64, spread: i64, qty: i64 },
    Level { buy: bool, offset: i64, qty: i64 },
    Trade { buy: bool, offset: i64, qty: i64 },
    Shock { percent: i64 },
    Deleverage { who: usize, qty: i64 },
    Wait { ms: u64 },
}

fn act() -> impl Strategy<Value = Act> {
    let tif = prop_oneof![Just(TimeInForce::Alo), Just(TimeInForce::Gtc), Just(TimeInForce::Ioc)];
    prop_oneof![
        8 => (0..3_usize, any::<bool>(), -40..40_i64, 11..20_000_i64, tif, any::<bool>())
            .prop_map(|(who, buy, offset, qty, tif, reduce_only)| Act::Limit { who, buy, offset, qty, tif, reduce_only }),
        1 => (0..3_usize, any::<bool>(), 1..60_i64, 11..9_000_i64, any::<bool>())
            .prop_map(|(who, buy, offset, qty, tp)| Act::Trigger { who, buy, offset, qty, tp }),
        2 => (0..3_usize, 0..6_usize).prop_map(|(who, nth)| Act::CancelOne { who, nth }),
        2 => (0..3_usize, 0..6_usize, -40..40_i64, 11..20_000_i64)
            .prop_map(|(who, nth, offset, qty)| Act::ModifyOne { who, nth, offset, qty }),
        1 => (0..3_usize, any::<bool>(), 1..11_u32).prop_map(|(who, cross, leverage)| Act::Leverage { who, cross, leverage }),
        1 => (0..3_usize, -90_000..90_000_i64).prop_map(|(who, cents)| Act::Isolated { who, cents }),
        2 => (9_800..10_200_i64, 1..20_i64, 1..9_000_i64).prop_map(|(bid, spread, qty)| Act::Book { bid, spread, qty }),
        4 => (any::<bool>(), -30..30_i64, 0..9_000_i64).prop_map(|(buy, offset, qty)| Act::Level { buy, offset, qty }),
        4 => (any::<bool>(), -30..30_i64, 1..9_000_i64).prop_map(|(buy, offset, qty)| Act::Trade { buy, offset, qty }),
        1 => (-12..12_i64).prop_map(|percent| Act::Shock { percent }),
        1 => (0..3_usize, 1..9_000_i64).prop_map(|(who, qty)| Act::Deleverage { who, qty }),
        2 => (1..4_000_000_u64).prop_map(|ms| Act::Wait { ms }),
    ]
}

const WHO: [AccountKey; 3] = [A, B, C];

fn perform(w: &mut World, act: &Act) {
    let mark = w.x.context(T).map_or(10_000, |c| c.mark.0) / 10 * 10;
    let side = |buy: bool| if buy { Side::Buy } else { Side::Sell };
    match *act {
        Act::Limit { who, buy, offset, qty, tif, reduce_only } => {
            let order = w.order(side(buy), mark + offset * 10, qty, tif);
            let order = if reduce_only { order.reduce_only() } else { order };
            w.place_all(WHO[who], vec![order], Grouping::Na);
        }
        Act::Trigger { who, buy, offset, qty, tp } => {
            let tpsl = if tp { Tpsl::Tp } else { Tpsl::Sl };
            let above = matches!((tpsl, buy), (Tpsl::Tp, false) | (Tpsl::Sl, true));
            let at = if above { mark + offset * 10 + 10 } else { mark - offset * 10 };
            let order = w.trigger(side(buy), at, tpsl, qty);
            w.place_all(WHO[who], vec![order], Grouping::Na);
        }
        Act::CancelOne { who, nth } => {
            if let Some(order) = w.x.open_orders(WHO[who]).get(nth).cloned() {
                assert_eq!(w.cancel(WHO[who], order.oid), Ok(()), "an open order can be cancelled");
            }
        }
        Act::ModifyOne { who, nth, offset, qty } => {
            if let Some(order) = w.x.open_orders(WHO[who]).get(nth).cloned() {
                let new =
                    NewOrder { reduce_only: order.reduce_only, ..w.order(order.side, mark + offset * 10, qty, TimeInForce::Gtc) };
                w.send(WHO[who], Op::Modify { order: OrderRef::Oid(order.oid), new, always_place: false });
            }
        }
        Act::Leverage { who, cross, leverage } => {
            w.leverage(WHO[who], cross, leverage);
        }
        Act::Isolated { who, cents } => {
            let amount = Usd::new(Decimal::new(cents, 2)).unwrap_or_default();
            w.send(WHO[who], Op::UpdateIsolatedMargin { asset: T, amount });
        }
        Act::Book { bid, spread, qty } => {
            w.book(&[(bid, qty), (bid - 10, qty)], &[(bid + spread, qty), (bid + spread + 10, qty)])
        }
        Act::Level { buy, offset, qty } => {
            let change = vec![LevelChange { px: Px(mark + offset * 10), qty: Qty(qty) }];
            let (bids, asks) = if buy { (change, vec![]) } else { (vec![], change) };
            w.x.background(w.now, BackgroundEvent::Levels { asset: T, bids, asks });
        }
        Act::Trade { buy, offset, qty } => w.trade(side(buy), mark + offset * 10, qty),
        Act::Shock { percent } => w.x.fault(w.now, Fault::PriceShock { asset: T, change: Ratio::scaled(percent, 2) }),
        Act::Deleverage { who, qty } => {
            w.x.fault(w.now, Fault::AutoDeleverage { account: WHO[who], asset: T, qty: Qty(qty) });
        }
        Act::Wait { ms } => w.wait(ms),
    }
}

/// What must be true of every fill of one step, seen from outside.
fn check_fills(w: &World, fills: &[FillRecord], prints: &[PublicTrade]) -> Result<(), TestCaseError> {
    let mut sides: BTreeMap<u64, Vec<&FillRecord>> = BTreeMap::new();
    for fill in fills {
        sides.entry(fill.tid).or_default().push(fill);
        let order = w.x.order_status(fill.account, OrderRef::Oid(fill.oid)).map(|u| u.order);
        let Some(order) = order else { return Err(TestCaseError::fail("a fill without an order")) };
        prop_assert_eq!(order.side, fill.side);
        if order.reduce_only {
            let end = fill.start_position.0 + fill.side.sign() * fill.qty.0;
            prop_assert!(fill.start_position.0.signum() * end >= 0, "I07: flipped: {:?}", fill);
            prop_assert!(end.abs() < fill.start_position.0.abs(), "I07: grew: {:?}", fill);
        }
        let by_venue = fill.liquidation.is_some_and(|l| l.liquidated_user == fill.account);
        let within = (order.px.0 - fill.px.0) * fill.side.sign() >= 0;
        prop_assert!(within || by_venue, "filled beyond its limit: {:?} {:?}", order, fill);
    }
    for print in prints {
        prop_assert!(print.buyer.is_none() || print.buyer != print.seller, "self-trade: {:?}", print);
        let ours = sides.get(&print.tid).map_or(&[][..], Vec::as_slice);
        let of = |side: Side| ours.iter().filter(|f| f.side == side).map(|f| f.qty).sum::<Qty>();
        let named = |who: Option<AccountKey>| if who.is_some() { print.qty } else { Qty::ZERO };
        prop_assert_eq!((of(Side::Buy), of(Side::Sell)), (named(print.buyer), named(print.seller)), "both sides of {:?}", print);
    }
    Ok(())
}

fn check_accounts(w: &World) -> Result<(), TestCaseError> {
    for account in WHO {
        let signed: i64 = w.x.fills(account, 0).iter().map(|f| f.side.sign() * f.qty.0).sum();
        prop_assert_eq!(signed, w.szi(account), "position = Σ signed fills of {}", account);
        let reducing: i64 =
            w.x.open_orders(account)
                .iter()
                .filter(|o| o.reduce_only && (o.trigger.is_none_or(|t| t.fired)))
                .map(|o| o.qty.0)
                .sum();
        prop_assert!(reducing <= w.szi(account).abs(), "reduce-only orders exceed the position");
        let (state, owner) = (w.state(account), &w.x.accounts[&account]);
        let isolated: Usd = state.positions.iter().filter(|p| p.raw_usd.is_some()).map(|p| p.margin_used).sum();
        let split = (state.margin.account_value - state.cross.account_value - isolated).abs();
        prop_assert!(split <= usd("0.000002"), "total = cross + isolated: {:?}", state);
        let mut resting: BTreeMap<Side, (i64, i128)> = BTreeMap::new();
        for order in w.x.open_orders(account).iter().filter(|o| !o.reduce_only && o.trigger.is_none_or(|t| t.fired)) {
            let sum = resting.entry(order.side).or_default();
            *sum = (sum.0 + order.qty.0, sum.1 + i128::from(order.px.0) * i128::from(order.qty.0));
        }
        for side in [Side::Buy, Side::Sell] {
            let kept = owner.resting.get(&(T, side)).copied().unwrap_or_default();
            prop_assert_eq!(resting.get(&side).copied().unwrap_or_default(), (kept.lots, kept.value), "margin reserve");
        }
    }
    Ok(())
}

proptest! {
        #[test]
    fn money_positions_books_and_reduce_only_hold_under_any_interleaving(acts in prop::collection::vec(act(), 1..120)) {
        let mut w = World::new();
        for act in &acts {
            perform(&mut w, act);
            check(&w.x).map_err(|e| TestCaseError::fail(format!("{e} after {act:?}")))?;
            let (mut fills, mut prints) = (Vec::new(), Vec::new());
            for event in w.x.drain_events() {
                match event {
                    Event::Fill(fill) => fills.push(fill),
                    Event::Trade(print) => prints.push(print),
                    Event::Order(_) | Event::Book(_) | Event::Context(_) | Event::Funding(_) | Event::Ledger(_)
                    | Event::Liquidation(_) => {}
                }
            }
            check_fills(&w, &fills, &prints)?;
            check_accounts(&w)?;
        }
    }

    /// Against a naive book of three accounts without background: the same fills in the same order.
    #[test]
    fn matching_is_price_time(orders in prop::collection::vec((0..3_usize, any::<bool>(), -5..5_i64, 11..60_i64), 1..60)) {
        let mut w = World::empty(spec_with(MarginTable::flat(10)));
        let mut naive: Vec<(usize, Side, i64, i64, u64)> = Vec::new();
        let mut expected: Vec<(AccountKey, i64, i64)> = Vec::new();
        for (who, buy, offset, qty) in orders {
            let side = if buy { Side::Buy } else { Side::Sell };
            let px = 10_000 + offset * 10;
            let oid = {
                let order = w.order(side, px, qty, TimeInForce::Gtc);
                oid(&w.place(WHO[who], order))
            };
            let mut left = qty;
            loop {
                // the naive best: lowest price in the taker's terms, then the earliest
                let best = naive
                    .iter()
                    .enumerate()
                    .filter(|(_, o)| o.1 != side && (px - o.2) * side.sign() >= 0)
                    .min_by_key(|(at, o)| (o.2 * side.sign(), *at))
                    .map(|(at, _)| at);
                let Some(at) = best.filter(|_| left > 0) else { break };
                if naive[at].0 == who {
                    naive.remove(at);
                    continue;
                }
                let take = left.min(naive[at].3);
                expected.push((WHO[naive[at].0], naive[at].2, take));
                left -= take;
                naive[at].3 -= take;
                if naive[at].3 == 0 {
                    naive.remove(at);
                }
            }
            if left > 0 {
                naive.push((who, side, px, left, oid));
            }
        }
        let makers: Vec<(AccountKey, i64, i64)> = w
            .x
            .drain_events()
            .into_iter()
            .filter_map(|e| if let Event::Fill(f) = e { Some(f) } else { None })
            .filter(|f| !f.crossed)
            .map(|f| (f.account, f.px.0, f.qty.0))
            .collect();
        prop_assert_eq!(makers, expected);
        let resting: BTreeSet<(u64, i64)> = naive.iter().map(|o| (o.4, o.3)).collect();
        let open: BTreeSet<(u64, i64)> =
            WHO.iter().flat_map(|who| w.x.open_orders(*who)).map(|o| (o.oid, o.qty.0)).collect();
        prop_assert_eq!(open, resting);
    }
}

#[derive(Clone, Debug)]
enum Queue {
    Join(i64),
    Cancel(usize),
    Grow(i64),
    Trade(i64),
}

fn queue() -> impl Strategy<Value = Queue> {
    prop_oneof![
        3 => (11..400_i64).prop_map(Queue::Join),
        1 => (0..8_usize).prop_map(Queue::Cancel),
        2 => (1..500_i64).prop_map(Queue::Grow),
        4 => (1..600_i64).prop_map(Queue::Trade),
    ]
}

proptest! {
    /// Against a naive queue of one level, lot by lot in the order of arrival: who is filled, when and how much.
    #[test]
    fn queue_position_is_the_order_of_arrival(steps in prop::collection::vec(queue(), 1..60)) {
        let mut w = World::empty(spec_with(MarginTable::flat(10)));
        w.book(&[(9_990, 100)], &[(10_010, 100)]);
        let mut line: Vec<(Option<u64>, i64)> = vec![(None, 100)];
        let mut expected: Vec<(u64, i64)> = Vec::new();
        for step in steps {
            match step {
                Queue::Join(qty) => {
                    let oid = w.put(A, Side::Buy, 9_990, qty);
                    line.push((Some(oid), qty));
                }
                Queue::Cancel(nth) => {
                    if let Some(at) = line.iter().enumerate().filter(|(_, l)| l.0.is_some()).map(|(at, _)| at).nth(nth) {
                        prop_assert_eq!(w.cancel(A, line.remove(at).0.unwrap_or(0)), Ok(()));
                    }
                }
                Queue::Grow(more) => {
                    line.push((None, more));
                    let background: i64 = line.iter().filter(|l| l.0.is_none()).map(|l| l.1).sum();
                    w.book(&[(9_990, background)], &[(10_010, 100)]);
                }
                Queue::Trade(qty) => {
                    w.trade(Side::Sell, 9_990, qty);
                    let mut left = qty;
                    while left > 0 && !line.is_empty() {
                        let eaten = left.min(line[0].1);
                        expected.extend(line[0].0.map(|oid| (oid, eaten)));
                        line[0].1 -= eaten;
                        left -= eaten;
                        if line[0].1 == 0 {
                            line.remove(0);
                        }
                    }
                }
            }
            w.check();
        }
        let fills: Vec<(u64, i64)> = w.fill_records(A).iter().map(|f| (f.oid, f.qty.0)).collect();
        prop_assert_eq!(fills, expected);
    }
}

#[test]
fn a_day_of_synthetic_market_is_reproducible_and_conserves_everything() {
    let run = || {
        let mut w = World::empty(spec_with(MarginTable::flat(10)));
        let instrument = w.x.instrument(T).cloned().unwrap_or_else(|| panic!("no market"));
        let params = crate::SyntheticParams::usual(&instrument, Px(10_000));
        let mut flow = crate::SyntheticFlow::new(&instrument, Px(10_000), w.now, params, Seed(9));
        let mut chance = Seed(9).fork("test.accounts");
        let mut told = 0_usize;
        for n in 0..30_000_u32 {
            let timed = flow.next_event();
            w.now = timed.at_ms + u64::from(n / 10) * 1_000;
            w.x.background(w.now, timed.event);
            if n % 20 == 0 {
                let who = WHO[usize::try_from(chance.below(3)).unwrap_or(0)];
                let side = if chance.chance(1, 2) { Side::Buy } else { Side::Sell };
                let mid = w.x.mid_x2(T).unwrap_or(20_000) / 2;
                let px = mid + chance.between(-30, 30);
                let order = w.order(side, px, chance.between(20, 3_000), TimeInForce::Gtc);
                w.place_all(who, vec![order], Grouping::Na);
                if w.x.open_orders(who).len() > 50 {
                    w.x.open_orders(who)
                        .iter()
                        .for_each(|o| drop(w.x.submit(w.now, who, Op::Cancel { orders: vec![(T, o.oid)] })));
                }
                w.check();
            }
            told += w.x.drain_events().len();
        }
        (told, WHO.map(|who| (w.state(who), w.fills(who).len())), w.x.pools())
    };
    let (first, second) = (run(), run());
    assert_eq!(first, second, "same seed, same history");
    assert!(first.1.iter().all(|(_, fills)| *fills > 50), "{:?}", first.1.map(|(_, fills)| fills));
    assert!(first.2.funding != Usd::ZERO, "funding was settled");
}
