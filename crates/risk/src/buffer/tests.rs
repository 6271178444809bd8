use proptest::prelude::*;

use super::*;

fn usd(text: &str) -> Usd {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

fn rat(text: &str) -> Ratio {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

fn dec(text: &str) -> Decimal {
    Decimal::from_str_exact(text).unwrap_or_else(|e| panic!("{e}"))
}

/// Hyperliquid BTC 2024 (quant §1.4), from 1e-4.
fn btc() -> FundingView {
    FundingView {
        rate: Some(rat("0.0001")),
        mean: Some(rat("0.000028")),
        phi: Some(rat("0.864")),
        sigma: Some(rat("0.0000185")),
        hours: 720,
        newest_ms: 1,
        ..FundingView::default()
    }
}

const FOUR_PERCENT: i64 = 4;

fn cost(view: &FundingView, side: Side, hours: u32) -> FundingCost {
    funding_cost(&FundingParams::default(), view, side, hours, Ratio::scaled(FOUR_PERCENT, 2))
}

#[test]
fn the_buffer_of_the_reference() {
    // quant §1.10: N 200,000, σ .60
    let risk = market_risk(&BufferParams::default(), usd("-200000"), Some(rat("0.6")));
    assert_eq!(risk, usd("120000"));
    let at = |hours: Decimal, tail: &str| excursion(risk, hours, rat("0.99"), rat(tail)).round(2).to_string();
    let twenty_minutes = Decimal::ONE / Decimal::from(3);
    assert_eq!((at(twenty_minutes, "1"), at(twenty_minutes, "1.6")), ("1906.71".into(), "3050.74".into()));
    assert_eq!((at(dec("153.6"), "1"), at(dec("153.6"), "1.6")), ("40930.01".into(), "65488.02".into()));
    let hours = runway_hours(&BufferParams::default(), usd("20000"), risk).map(|h| h.decimal().round_dp(2));
    assert_eq!(hours, Some(dec("14.33")));
    assert_eq!(runway_hours(&BufferParams::default(), usd("20000"), Usd::ZERO), None);
    assert_eq!(runway_hours(&BufferParams::default(), usd("-1"), risk), Some(Ratio::ZERO));
}

#[test]
fn the_whole_buffer_takes_the_worse_of_excursion_and_scenario_and_grows_with_what_is_unknown() {
    let params = BufferParams::default();
    let risk = market_risk(&params, usd("200000"), Some(rat("0.6")));
    let inputs = BufferInputs { risk, scenario_loss: usd("5000"), funding_bound: usd("266.38"), fees: usd("90"), unknown: false };
    let known = buffer(&params, &inputs);
    assert_eq!(known.required, usd("5356.38"));
    assert_eq!(buffer(&params, &BufferInputs { unknown: true, ..inputs }).required, usd("8034.57"), "1.5 times");
    let calm = buffer(&params, &BufferInputs { scenario_loss: usd("-10"), funding_bound: usd("-3"), ..inputs });
    assert_eq!((calm.scenario_loss, calm.funding), (Usd::ZERO, Usd::ZERO), "a gain is no margin");
    assert_eq!(calm.required, calm.excursion + usd("90"));
    assert_eq!(market_risk(&params, usd("100"), None), usd("160"), "without statistics: 160 % a year");
}

#[test]
fn the_funding_bound_of_the_reference() {
    // quant §1.4: h 24 → E 1.115714e-3, sd 5.2006e-4, bound 1.971220e-3; on 135,135.14: 150.77 and 266.38
    let long = cost(&btc(), Side::Buy, 24);
    let at = |r: Ratio| r.decimal().round_dp(9).to_string();
    assert_eq!((at(long.expected), at(long.bound)), ("0.001115714".into(), "0.001971220".into()));
    assert_eq!(long.sd.decimal().round_dp(8), dec("0.00052006"));
    assert_eq!(long.bound_without_receipts, long.bound, "nothing is received");
    let on = |share: Ratio| funding_amount(usd("135135.14"), share).round(2);
    assert_eq!((on(long.expected), on(long.bound)), (usd("150.77"), usd("266.38")));
    let short = cost(&btc(), Side::Sell, 24);
    assert!(short.expected < Ratio::ZERO && short.bound < Ratio::ZERO, "a short receives");
    assert!(short.bound_without_receipts >= short.sd, "which is no margin");
}

#[test]
fn the_path_stays_within_the_venues_limit() {
    let wild = FundingView { rate: Some(rat("1")), mean: Some(rat("0.5")), phi: Some(rat("7")), ..btc() };
    assert_eq!(cost(&wild, Side::Buy, 24).bound, rat("0.96"), "24 h at 4 %");
    assert_eq!(cost(&wild, Side::Buy, u32::MAX).bound.to_string(), "171798691.8");
    let none = FundingView::default();
    assert_eq!(cost(&none, Side::Buy, 24), cost(&none, Side::Sell, 24), "nothing known: assumed against either side");
    assert_eq!((cost(&none, Side::Buy, 24).bound, cost(&none, Side::Buy, 24).fitted), (rat("0.024"), false));
    let rate_alone = FundingView { rate: Some(rat("0.01")), ..none };
    assert_eq!(cost(&rate_alone, Side::Buy, 24).bound, rat("0.24"), "what is paid now is more than what is assumed");
    assert_eq!(cost(&rate_alone, Side::Sell, 24).bound, rat("0.024"), "what is received is not");
}

#[test]
fn one_issuer_above_half_is_cut() {
    let params = BufferParams::default();
    assert_eq!(after_haircut(&params, &[usd("100")]), usd("97"));
    assert_eq!(after_haircut(&params, &[usd("50"), usd("50")]), usd("100"), "half is not above half");
    assert_eq!(after_haircut(&params, &[usd("60"), usd("40"), usd("-5")]), usd("98.2"));
    assert_eq!(after_haircut(&params, &[]), Usd::ZERO);
}

#[test]
fn funding_hours_end_when_free_margin_does() {
    assert_eq!(funding_hours(usd("100"), usd("8")), Some(rat("12.5")));
    assert_eq!(funding_hours(usd("100"), usd("-8")), None);
    assert_eq!(funding_hours(usd("-100"), usd("8")), Some(Ratio::ZERO));
}

proptest! {
    #[test]
    fn a_worse_rate_never_costs_less_and_a_receipt_saves_nothing(
        a in -400_i64..400, b in -400_i64..400, mean in -50_i64..50, phi in -1_500_i64..1_500, sigma in 0_i64..100, hours in 0_u32..200, short: bool
    ) {
        let side = if short { Side::Sell } else { Side::Buy };
        let view = |rate: i64| FundingView {
            rate: Some(Ratio::scaled(rate * side.sign(), 4)),
            mean: Some(Ratio::scaled(mean, 5)),
            phi: Some(Ratio::scaled(phi, 3)),
            sigma: Some(Ratio::scaled(sigma, 6)),
            ..FundingView::default()
        };
        let at = |rate: i64| cost(&view(rate), side, hours);
        let (better, worse) = (at(a.min(b)), at(a.max(b)));
        prop_assert!(better.bound <= worse.bound && better.bound_without_receipts <= worse.bound_without_receipts);
        prop_assert_eq!(at(-a.abs()).bound_without_receipts, at(0).bound_without_receipts, "receiving is not better than nothing");
        prop_assert!(better.bound <= better.bound_without_receipts && better.bound_without_receipts >= Ratio::ZERO);
    }

    #[test]
    fn the_buffer_is_monotone_and_runway_is_its_inverse(
        risk in 1_i32..1_000_000, minutes in 1_u32..10_000, more in 0_u32..10_000, alpha in 500_i64..1_000
    ) {
        let params = BufferParams { exit_minutes: minutes, alpha: Ratio::scaled(alpha, 3), ..BufferParams::default() };
        let zero = BufferInputs { risk: Usd::whole(risk), scenario_loss: Usd::ZERO, funding_bound: Usd::ZERO, fees: Usd::ZERO, unknown: false };
        let needed = buffer(&params, &zero).required;
        let later = buffer(&BufferParams { exit_minutes: minutes + more, ..params.clone() }, &zero).required;
        prop_assert!(later >= needed);
        let hours = runway_hours(&params, needed, zero.risk).map_or(Decimal::ZERO, Ratio::decimal);
        prop_assert!((hours - params.exit_hours()).abs() <= params.exit_hours() * dec("0.000001") + dec("0.000001"), "{hours}");
    }

    #[test]
    fn extremes_do_not_panic(a in any::<i64>(), b in any::<i64>(), scale in 0_u32..10, hours in any::<u32>()) {
        let ratio = |n: i64| Ratio::scaled(n % 1_000_000_000, scale);
        let view = FundingView { rate: Some(ratio(a)), mean: Some(ratio(b)), phi: Some(ratio(a)), sigma: Some(ratio(b)), ..FundingView::default() };
        let of = |n: i64| Usd::new(Decimal::new(n % 1_000_000_000_000_000, 0)).unwrap_or_default();
        let got = funding_cost(&FundingParams::default(), &view, Side::Buy, hours % 1_000, ratio(a));
        prop_assert!(got.bound_without_receipts >= got.bound);
        let params = BufferParams::default();
        prop_assert!(excursion(of(a), Decimal::from(hours), ratio(b), ratio(a).abs()) >= Usd::ZERO);
        prop_assert!(runway_hours(&params, of(a), of(b)).is_none_or(|h| h >= Ratio::ZERO));
    }
}
