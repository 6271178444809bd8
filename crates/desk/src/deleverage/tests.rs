use domain::{MarketStatus, PriceRule, margin};

use super::*;

/// A lot is worth 0.6 at 60,000: seven make the venue's smallest order of 4 with a tenth to spare.
fn rules() -> Instrument {
    Instrument {
        id: InstrumentId::new(Venue::Hyperliquid, "BTC").unwrap_or_else(|e| panic!("{e}")),
        venue_asset: 0,
        tick: Decimal::new(1, 1),
        lot: Decimal::new(1, 5),
        price_rule: PriceRule::Grid,
        qty_min: Qty(1),
        notional_min: Usd::whole(4),
        leverage_max: 40,
        margin: margin::MarginModel::flat(40),
        status: MarketStatus::Open,
        isolated_only: false,
    }
}

#[test]
fn a_reduction_is_an_order_that_the_venue_takes_and_leaves_no_dust() {
    let check = |wanted: i64, whole: i64, qty: i64| {
        assert_eq!(workable(&rules(), Px(600_000), Qty(wanted), Qty(whole)), Qty(qty), "{wanted} of {whole}");
    };
    check(100, 1_000, 100);
    check(1, 1_000, 8);
    check(0, 1_000, 0);
    check(995, 1_000, 1_000);
    check(2_000, 1_000, 1_000);
    check(3, 5, 5);
}

#[test]
fn only_what_reduces_and_says_so_is_the_desks_own() {
    let note = format!("{NOTE} cover 1.93, margin level reduce");
    let spec = reduction(rules().id, Side::Sell, Qty(1), Span::secs(60), MarginLevel::Reduce, note);
    assert!(is_reduction(&spec) && spec.note.chars().count() <= 64);
    assert!(!is_reduction(&ParentSpec { note: "by hand".into(), ..spec.clone() }));
    assert!(!is_reduction(&ParentSpec { reduce_only: false, ..spec }));
}
