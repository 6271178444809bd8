use domain::margin::MarginModel;
use domain::{InstrumentId, MarketStatus, PriceRule, Px, Qty, Usd, Venue};
use proptest::prelude::*;

use super::*;

fn dec(text: &str) -> Decimal {
    domain::plain_decimal(text).expect("a decimal")
}

#[test]
fn the_refusal_is_the_venues_own_text() {
    let say = |px: &str, sz_decimals| check_px(dec(px), sz_decimals, Market::Perp).expect_err("refused").to_string();
    assert_eq!(say("1.23", 5), "Order has invalid price.");
    assert_eq!(say("97123.5", 0), "Price must be divisible by tick size.");
    assert_eq!(say("0", 0), "Order has invalid price.");
    assert_eq!(check_sz(Decimal::ZERO, 3), Err(RuleFault::ZeroSize));
    assert_eq!(check_sz(dec("-1"), 3), Err(RuleFault::Size));
}

#[test]
fn ticks_grow_with_the_price() {
    for (px, sz_decimals, market, tick) in [
        ("97123", 5, Market::Perp, "1"),
        ("10000", 0, Market::Perp, "1"),
        ("9999.9", 0, Market::Perp, "0.1"),
        ("1.5", 0, Market::Perp, "0.0001"),
        ("1.5", 4, Market::Perp, "0.01"),
        ("0.05", 0, Market::Perp, "0.000001"),
        ("0.05", 0, Market::Spot, "0.000001"),
        ("0.005", 0, Market::Spot, "0.0000001"),
    ] {
        assert_eq!(tick_at(dec(px), sz_decimals, market), dec(tick), "{px} {sz_decimals}");
    }
}

#[test]
fn rounding_never_makes_a_price_worse() {
    assert_eq!(round_px(dec("97123.7"), 5, Market::Perp, Side::Buy), dec("97123"));
    assert_eq!(round_px(dec("97123.2"), 5, Market::Perp, Side::Sell), dec("97124"));
    assert_eq!(round_px(dec("9999.99"), 1, Market::Perp, Side::Sell), dec("10000"));
    assert_eq!(round_sz(dec("1.23456"), 3), dec("1.234"));
}

#[test]
fn asset_ids() {
    assert_eq!(perp_asset(0, 3), Some(3));
    assert_eq!(perp_asset(1, 2), Some(110_002));
    assert_eq!(perp_asset(0, 10_000), None);
    assert_eq!(perp_asset(u32::MAX, 1), None);
    assert_eq!(spot_asset(107), Some(10_107));
}

#[test]
fn weights() {
    assert_eq!(InfoRequest::AllMids { dex: None }.weight(), 2);
    assert_eq!(InfoRequest::Meta { dex: None }.weight(), 20);
    let fills = InfoRequest::UserFills { user: crate::hyperliquid::Address::ZERO.into(), aggregate_by_time: None };
    assert_eq!(fills.weight_of_items(2_000), 100);
    assert_eq!((Action::Noop.items(), Action::Noop.weight()), (1, 1));
}

fn instrument(sz_decimals: u32) -> Instrument {
    Instrument {
        id: InstrumentId::new(Venue::Hyperliquid, "T").expect("a name"),
        venue_asset: 0,
        tick: Decimal::new(1, 6 - sz_decimals),
        lot: Decimal::new(1, sz_decimals),
        price_rule: PriceRule::SignificantFigures(5),
        qty_min: Qty(1),
        notional_min: Usd::whole(10),
        leverage_max: 40,
        margin: MarginModel::flat(40),
        status: MarketStatus::Open,
        isolated_only: false,
    }
}

proptest! {
    #[test]
    fn rounded_prices_are_accepted_and_near(units in 1_i64..10_000_000_000_000, sz_decimals in 0_u32..6, buy: bool) {
        let px = Decimal::new(units, 7);
        let side = if buy { Side::Buy } else { Side::Sell };
        let rounded = round_px(px, sz_decimals, Market::Perp, side);
        let no_worse = if buy { rounded <= px } else { rounded >= px };
        prop_assert!(no_worse);
        prop_assert!((rounded - px).abs() < tick_at(px, sz_decimals, Market::Perp));
        prop_assert!(rounded.is_zero() || check_px(rounded, sz_decimals, Market::Perp).is_ok(), "{px} -> {rounded}");
    }

    /// The domain's grid, by which orders are made, and the venue's rule are the same.
    #[test]
    fn the_domain_and_the_venue_agree(ticks in 1_i64..1_000_000_000_000, sz_decimals in 0_u32..6) {
        let instrument = instrument(sz_decimals);
        let accepted = check_px(instrument.px_decimal(Px(ticks)), sz_decimals, Market::Perp).is_ok();
        prop_assert_eq!(instrument.allows_px(Px(ticks)), accepted, "{} ticks", ticks);
    }
}
