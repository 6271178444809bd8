use domain::Venue;
use domain::margin::MarginTable;
use proptest::prelude::*;

use super::*;

fn id(name: &str) -> InstrumentId {
    InstrumentId::new(Venue::Hyperliquid, name).unwrap_or_else(|e| panic!("{e}"))
}

fn held(name: &str, lots: i64, rate: &str, cost_bps: Option<i64>) -> Held<'static> {
    Held {
        instrument: id(name),
        lots: Lots(lots),
        lot_value: Decimal::from(100),
        maintenance: Maintenance::Rate(rate.parse().unwrap_or_else(|e| panic!("{e}"))),
        qty_min: Qty(1),
        cost: cost_bps.map(Ratio::bps),
    }
}

fn account(equity: i32, target: &str) -> Account {
    Account {
        equity: Usd::whole(equity),
        maintenance_other: Usd::ZERO,
        target: target.parse().unwrap_or_else(|e| panic!("{e}")),
        level: MarginLevel::Reduce,
        runway_hours: Some(Ratio::ONE),
    }
}

#[test]
fn relief_per_cost_decides_the_order_and_the_last_one_is_as_small_as_it_can_be() {
    // maintenance 50 + 100 + 100 = 250, cover 2 at 500
    let book = [held("CHEAP", 10, "0.05", Some(5)), held("DEAR", -20, "0.05", Some(50)), held("THICK", 10, "0.10", Some(5))];
    let plan = plan(&book, &account(500, "3"));
    // 3 · (250 − 10 n) <= 500 − 0.05 n from n = 9 lots of THICK on, which frees 10 a lot at 5 bp
    let picked: Vec<_> = plan.reductions.iter().map(|r| (r.instrument, r.side, r.qty)).collect();
    assert_eq!(picked, [(id("THICK"), Side::Sell, Qty(9))]);
    assert_eq!((plan.reductions[0].relief, plan.reductions[0].cost), (Usd::whole(90), "0.45".parse().unwrap()));
    assert_eq!((plan.cover_after.map(|c| c.to_string()), plan.restores), (Some("3.1221875".into()), true));
    assert_eq!(plan.horizon, Span::secs(900), "a quarter of the hour that is left");
}

#[test]
fn a_short_is_bought_back_and_a_market_without_a_book_goes_last() {
    let book = [held("BLIND", 10, "0.5", None), held("SHORT", -10, "0.05", Some(20))];
    let plan = plan(&book, &account(100, "3"));
    let picked: Vec<_> = plan.reductions.iter().map(|r| (r.instrument, r.side, r.qty)).collect();
    assert_eq!(picked[0], (id("SHORT"), Side::Buy, Qty(10)), "whole, as it does not suffice");
    assert_eq!((picked[1].0, picked[1].1), (id("BLIND"), Side::Sell));
    assert!(plan.restores);
}

#[test]
fn nothing_is_done_above_the_target_and_everything_without_equity() {
    let book = [held("A", 10, "0.05", Some(5)), held("FLAT", 0, "0.05", Some(5))];
    assert!(plan(&book, &account(150, "3")).reductions.is_empty(), "cover is the target");
    let broke = plan(&book, &account(-10, "3"));
    assert_eq!(broke.reductions.iter().map(|r| r.qty).collect::<Vec<_>>(), [Qty(10)]);
    assert_eq!((broke.cover_after, broke.restores), (None, true), "flat: nothing left to cover");
    let elsewhere = Account { maintenance_other: Usd::whole(100), ..account(100, "3") };
    assert!(!plan(&book, &elsewhere).restores, "what cannot be reduced here is still there");
}

#[test]
fn a_reduction_is_at_least_an_order_and_at_most_the_position() {
    let book = [Held { qty_min: Qty(7), ..held("A", 10, "0.05", Some(0)) }];
    assert_eq!(plan(&book, &account(149, "3")).reductions[0].qty, Qty(7));
    let small = [Held { qty_min: Qty(70), ..held("A", 10, "0.05", Some(0)) }];
    assert_eq!(plan(&small, &account(149, "3")).reductions[0].qty, Qty(10));
}

#[test]
fn horizons() {
    let at = |level, hours: Option<&str>| horizon(level, hours.map(|h| h.parse().unwrap_or_else(|e| panic!("{e}"))));
    assert_eq!(at(MarginLevel::Reduce, Some("100000")), Span::secs(1_800));
    assert_eq!(at(MarginLevel::Reduce, Some("0.2")), Span::secs(180));
    assert_eq!(at(MarginLevel::Reduce, Some("0")), Span::secs(30));
    assert_eq!(at(MarginLevel::Reduce, None), Span::secs(30), "an unknown runway is a short one");
    assert_eq!(at(MarginLevel::Kill, Some("100")), Span::secs(60));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_target_is_restored_or_everything_is_closed_and_nothing_flips(
        equity in -5_000_i32..50_000, other in 0_i32..500, target in 100_i64..600,
        book in prop::collection::vec((-2_000_i64..2_000, 1_i64..5_000, 0_usize..3, 1_i64..50, prop::option::of(0_i64..300)), 0..6)
    ) {
        let table = MarginTable::new(&[(Usd::ZERO, 40), (Usd::whole(5_000), 10), (Usd::whole(20_000), 3)]).unwrap_or_else(|e| panic!("{e}"));
        let positions: Vec<_> = book.iter().enumerate().map(|(k, (lots, cents, kind, qty_min, cost))| Held {
            instrument: id(&format!("M{k}")),
            lots: Lots(*lots),
            lot_value: Decimal::new(*cents, 2),
            maintenance: match kind {
                0 => Maintenance::Rate(Ratio::scaled(3, 2)),
                1 => Maintenance::Rate(Ratio::scaled(10, 2)),
                _ => Maintenance::Tiers(&table),
            },
            qty_min: Qty(*qty_min),
            cost: cost.map(Ratio::bps),
        }).collect();
        let owner = Account { maintenance_other: Usd::whole(other), target: Ratio::scaled(target, 2), ..account(equity, "1") };
        let plan = plan(&positions, &owner);
        let mut left: std::collections::BTreeMap<_, _> = positions.iter().map(|h| (h.instrument, *h)).collect();
        let mut paid = Usd::ZERO;
        for reduction in &plan.reductions {
            let position = left.get_mut(&reduction.instrument).unwrap_or_else(|| panic!("reduced twice or never held"));
            let against = if position.lots.0 > 0 { Side::Sell } else { Side::Buy };
            prop_assert_eq!(reduction.side, against);
            prop_assert!(reduction.qty.0 > 0 && reduction.qty <= position.lots.abs(), "never beyond flat");
            prop_assert!(reduction.qty.0 >= position.qty_min.0 || reduction.qty == position.lots.abs());
            position.lots += Lots(reduction.qty.0 * against.sign());
            paid += reduction.cost;
        }
        let maintenance = left.values().fold(Decimal::from(other), |sum, h| {
            sum + h.maintenance.of(h.lot_value * Decimal::from(h.lots.abs().0))
        });
        let equity = Decimal::from(equity) - paid.decimal();
        // costs are rounded up one by one in the result and exact in the choice
        let slack = Decimal::new(1, 9);
        let covered = maintenance.is_zero() || equity + slack >= owner.target.decimal() * maintenance;
        prop_assert!(covered == plan.restores || (covered && maintenance <= slack), "{covered} {plan:?}");
        prop_assert!(plan.restores || left.values().all(|h| h.lots == Lots::ZERO), "restored or flat: {plan:?}");
    }
}
