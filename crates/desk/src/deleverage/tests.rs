use domain::Usd;

use super::*;

fn held(name: &str, lots: i64, value: i32, maintenance: i32, bps: i64) -> Held {
    let instrument = InstrumentId::new(Venue::Hyperliquid, name).unwrap_or_else(|e| panic!("{e}"));
    let (value, maintenance) = (Usd::whole(value), Usd::whole(maintenance));
    Held { instrument, lots: Qty(lots), value, maintenance, cost_bps: Some(Decimal::from(bps)) }
}

fn chosen(held: &[Held], equity: i32, target: i64) -> Vec<(String, i64)> {
    let maintenance = held.iter().map(|h| h.maintenance).sum();
    let chosen = choose(held, Usd::whole(equity), maintenance, Ratio::scaled(target, 0));
    chosen.into_iter().map(|(id, qty)| (id.name().to_owned(), qty.0)).collect()
}

#[test]
fn as_much_as_the_target_needs_rounded_up() {
    // 1,000 of maintenance and 1,500 of equity: for a cover of 3 half of it must go, and what that costs
    let btc = held("BTC", 10_000, 80_000, 1_000, 0);
    assert_eq!(chosen(&[btc], 1_500, 3), [("BTC".to_owned(), 5_000)]);
    let dear = Held { cost_bps: Some(Decimal::from(10)), ..btc };
    assert_eq!(chosen(&[dear], 1_500, 3), [("BTC".to_owned(), 5_137)], "1500 ÷ (3000 − 80) of 10,000, up");
    assert!(chosen(&[btc], 3_000, 3).is_empty());
}

#[test]
fn most_margin_per_cost_goes_first_and_never_beyond_flat() {
    let (btc, alt) = (held("BTC", 100, 80_000, 1_000, 1), held("ALT", 100, 20_000, 1_000, 2));
    assert_eq!(chosen(&[btc, alt], 4_000, 3)[0].0, "ALT", "the same margin for half of the cost");
    assert_eq!(chosen(&[btc, alt], 1, 3), [("ALT".to_owned(), 100), ("BTC".to_owned(), 100)]);
}

#[test]
fn time_comes_from_the_runway_and_no_runway_means_no_time() {
    assert_eq!(horizon(Some(Ratio::scaled(1, 0)), HORIZON), Span::secs(360));
    assert_eq!(horizon(Some(Ratio::scaled(500, 0)), HORIZON), HORIZON.1);
    assert_eq!(horizon(None, HORIZON), HORIZON.0);
    assert_eq!(horizon(Some(Ratio::scaled(5, 3)), HORIZON_KILL), HORIZON_KILL.0);
}
