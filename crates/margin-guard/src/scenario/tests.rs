//! The integers against the exact formulas, and the numbers of the quant reference.

use domain::Usd;
use domain::margin::MarginTable;
use proptest::prelude::*;

use super::*;

fn ratio(text: &str) -> Ratio {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

fn usd(text: &str) -> Usd {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

/// Slopes of a market whose lot is worth `mark` and whose funding is `rate` on either side.
fn slopes(table: &MarginTable, shifts: &[&str], hours: u32, rate: &str, mark: &str, oracle: &str) -> Slopes {
    let shocks = shifts.iter().map(|s| Shock { shift: ratio(s), hours }).collect();
    let mut shape = Shape::new(shocks);
    shape.set_tiers(&Tiers::of(table));
    let paid = Ratio::new(ratio(rate).decimal() * Decimal::from(hours)).unwrap_or_else(|e| panic!("{e}"));
    shape.set_funding(|_, _| [paid; 2]);
    let mut out = Slopes::default();
    shape.slopes(Money::from_usd(usd(mark)), Money::from_usd(usd(oracle)), &mut out);
    out
}

/// The figure is never below the exact one, and above it by less than one part in 10^11 of the position's value.
#[track_caller]
fn just_above(figure: Money, exact: Decimal, value: Decimal) {
    let over = figure.usd().decimal() - exact;
    assert!(
        over >= Decimal::ZERO && over < value * Decimal::new(1, 11) + Decimal::new(1, 11),
        "{} against {exact}",
        figure.usd()
    );
}

#[test]
fn the_worked_projection_of_the_reference() {
    // quant §4.4: A 8,000, long 1 BTC at 64,706 (oracle 64,716), short 10 ETH at 1,869.3, f 1.25e-5, 24 h, shocks −15 % and −20 %
    let btc = slopes(&MarginTable::flat(40), &["-0.15"], 24, "0.0000125", "64706", "64716").burden(0, 1);
    let eth = slopes(&MarginTable::flat(25), &["-0.20"], 24, "0", "1869.3", "1869.3").burden(0, -10);
    let all = btc.plus(eth);
    just_above(all.loss, Decimal::from(8_000) - usd("2013.2852").decimal(), Decimal::from(83_000));
    just_above(all.maintenance, usd("986.58925").decimal(), Decimal::from(83_000));
    // T = b·MMR' − A' with b 3
    let needed = all.weighed(Share(3_000_000)) - Money::from_usd(usd("8000")).0 * SHARE_UNIT;
    let top_up = Money(needed / SHARE_UNIT).usd().round(5);
    assert_eq!(top_up, usd("946.48255"));
}

#[test]
fn nothing_known_weighs_more_than_any_account() {
    assert_eq!(Slopes::default().burden(CALM, 1), Burden::ABSURD);
    assert_eq!(Slopes::default().burden(CALM, 0), Burden::default());
    let all = slopes(&MarginTable::flat(40), &["-0.15"], 24, "0", "64706", "64716");
    assert_eq!(all.burden(0, i64::MAX), Burden::ABSURD);
    assert_eq!(all.burden(0, i64::MIN), Burden::ABSURD);
    assert_eq!(all.cushions(i64::MAX), [Money::MAX; 2]);
}

#[test]
fn funding_to_count() {
    let of = |now: Option<&str>, bound: Option<[&str; 2]>, hours| {
        funding(now.map(ratio), bound.map(|b| b.map(ratio)), hours).map(|r| r.to_string())
    };
    // without a rate the venue's cap applies; without statistics the floor doubles
    assert_eq!(of(None, Some(["0", "0"]), 24), ["0.96", "0.96"]);
    assert_eq!(of(Some("0.002"), None, 24), ["0.048", "0.024"]);
    assert_eq!(of(Some("-0.0007"), Some(["0", "0"]), 10), ["0.005", "0.007"]);
    // the bound of quant §1.4 where it is the worst, and never more than the cap
    assert_eq!(of(Some("0.0001"), Some(["0.0197122", "0"]), 24), ["0.0197122", "0.012"]);
    assert_eq!(of(Some("0.05"), Some(["2", "0"]), 1), ["0.04", "0.0005"]);
}

fn tables() -> impl Strategy<Value = MarginTable> {
    (1_u32..=50, 0_u32..=30, 0_u32..=30).prop_map(|(top, less, lesser)| {
        let (middle, low) = (top.saturating_sub(less).max(1), top.saturating_sub(less + lesser).max(1));
        let steps = [(Usd::ZERO, top), (Usd::whole(10_000), middle), (Usd::whole(50_000), low)];
        MarginTable::new(&steps).unwrap_or_else(|e| panic!("{e}"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_096, ..ProptestConfig::default() })]

    /// Maintenance at the shocked price in the tier where its value lies, loss and funding: against the domain's own decimals.
    #[test]
    fn burdens_equal_the_formula(
        table in tables(), shift in -990_000_i64..2_000_000, hours in 0_u32..100, rate in 0_i64..400_000,
        mark in 1_i64..100_000_000, skew in 900_i64..1_100, lots in -100_000_i64..100_000,
    ) {
        let (shift, rate) = (Ratio::scaled(shift, 6), Ratio::scaled(rate, 7));
        let (mark, oracle) = (Decimal::new(mark, 6), Decimal::new(mark * skew, 9));
        let one = |d: Decimal| Usd::new(d).unwrap_or_else(|e| panic!("{e}"));
        let of = slopes(&table, &[&shift.to_string()], hours, &rate.to_string(), &one(mark).to_string(), &one(oracle).to_string());
        let burden = of.burden(0, lots);
        let size = Decimal::from(lots.abs());
        let value = one(size * mark * (Decimal::ONE + shift.decimal()));
        let exact = if lots == 0 { Decimal::ZERO } else { value.decimal() * table.tier(value).rate.decimal() - table.tier(value).deduction.decimal() };
        just_above(burden.maintenance, exact, size * mark);
        let lost = -Decimal::from(lots) * mark * shift.decimal();
        just_above(burden.loss, lost + size * oracle * rate.decimal() * Decimal::from(hours), size * (mark + oracle));
    }

    /// Convex in the position: between two positions it never weighs more than the heavier of them.
    #[test]
    fn the_ends_are_the_worst(
        table in tables(), shift in -990_000_i64..2_000_000, cover in 1_000_000_i64..4_000_000,
        ends in (-100_000_i64..100_000, -100_000_i64..100_000), between in 0_i64..=1_000,
    ) {
        let shift = Ratio::scaled(shift, 6).to_string();
        let of = slopes(&table, &[&shift], 24, "0.0005", "0.731", "0.73");
        let (low, high) = (ends.0.min(ends.1), ends.0.max(ends.1));
        let inside = low + (high - low) * between / 1_000;
        let weight = |lots: i64| of.burden(0, lots).weighed(Share(cover));
        // rounding up may lift a figure by a unit of each part
        prop_assert!(weight(inside) <= weight(low).max(weight(high)) + 2 * i128::from(cover));
    }

    /// The largest without one slot, against looking at all of them.
    #[test]
    fn peaks_equal_a_look_at_all(
        changes in prop::collection::vec((0_usize..40, prop::option::of(-1_000_i128..1_000)), 1..200), without in 0_usize..70,
    ) {
        let (mut peaks, mut plain) = (Peaks::default(), std::collections::BTreeMap::new());
        for (slot, value) in changes {
            peaks.set(slot, value);
            plain.insert(slot, value);
            prop_assert_eq!(peaks.max(), plain.values().copied().max().flatten());
            let others = plain.iter().filter(|(at, _)| **at != without).filter_map(|(_, v)| *v).max();
            prop_assert_eq!(peaks.max_without(without), others);
        }
    }
}
