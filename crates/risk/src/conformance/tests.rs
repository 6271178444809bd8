//! The published file, and cases in other words.

use std::io::Read as _;

use domain::cases::{Outcome, run};

use super::*;

/// Published figures, recomputed by whoever put the sheet together; see the `source` of each case.
const CASES: &str = include_str!("../../../execution/tests/data/quant_cases.json");
const RATES: &[u8] = include_bytes!("../../tests/fixtures/multi_venue_2020_2022.csv.gz");

fn load(name: &str) -> Result<String, String> {
    assert_eq!(name, "multi_venue_2020_2022.csv.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(RATES).read_to_string(&mut text).map_err(|e| e.to_string())?;
    Ok(text)
}

#[test]
fn the_published_cases_pass() {
    let outcome = run(CASES, &topics(&load));
    assert_eq!(outcome.failed, []);
    let elsewhere = ["almgren_chriss", "cont_kukanov", "market_impact", "obizhaeva_wang", "tca_is"].map(str::to_owned);
    assert_eq!((outcome.passed, outcome.skipped), (19, elsewhere.to_vec()));
}

#[test]
fn every_published_figure_is_looked_at() {
    // each expected number, moved by a twentieth and beyond any absolute tolerance, must be told as a fault
    let file: Value = serde_json::from_str(CASES).unwrap();
    let mut moved_figures = 0;
    for case in file["cases"].as_array().unwrap() {
        if topics(&load).iter().all(|topic| case["topic"] != *topic.name) {
            continue;
        }
        let mut moved = case.clone();
        let mut figures = 0;
        for (key, want) in case["expected"].as_object().unwrap() {
            let Some(want) = want.as_f64() else { continue };
            moved["expected"][key] = json!(want * 1.05 + 0.01);
            figures += 1;
        }
        if figures == 0 {
            continue;
        }
        let outcome = run(&json!({ "cases": [moved] }).to_string(), &topics(&load));
        let told = outcome.failed.first().map_or(0, |failure| failure.why.split("; ").count());
        assert_eq!((outcome.passed, told), (0, figures), "{} {:?}", case["id"], outcome.failed);
        moved_figures += figures;
    }
    assert!(moved_figures > 25, "{moved_figures}");
}

fn one(topic: &str, inputs: &Value, expected: &Value) -> Outcome {
    let case = json!({ "topic": topic, "inputs": inputs, "expected": expected, "tol": { "rel": 5e-6 } });
    run(&json!({ "cases": [case] }).to_string(), &topics(&load))
}

#[test]
fn the_sheets_margin_and_funding_examples() {
    let tiers = json!([[0, 40], [150_000_000, 20]]);
    for (inputs, price) in [
        (json!({ "size": 1, "mark": 100, "isolated_margin": 20, "max_leverage": 10 }), 84.210_526_3),
        (json!({ "size": 3000, "mark": 64706, "equity": 10_000_000, "tiers": tiers }), 62_305.299_1),
        (json!({ "size": 1, "mark": 64706, "equity": 8000, "maintenance_other": 373.86, "max_leverage": 40 }), 57_802.389_9),
    ] {
        assert_eq!(one("margin_hyperliquid", &inputs, &json!({ "liq_price": price })).failed, []);
    }
    let inputs = json!({ "premium": 0.000_994_392_6 });
    assert_eq!(one("funding_hyperliquid", &inputs, &json!({ "rate_hourly": 0.000_061_799_1 })).failed, []);
}

#[test]
fn the_sheets_volatility_and_covariance_examples() {
    let inputs = json!({ "returns": [0.01, -0.02, 0.015, -0.005, 0.03], "lambda": 0.94 });
    let expected = json!({ "variance": 1.653_475_1e-4, "annual": 0.245_666_2 });
    assert_eq!(one("volatility", &inputs, &expected).failed, []);

    let returns = json!([[0.01, 0.012], [-0.02, -0.03], [0.015, 0.02], [-0.005, 0.001], [0.03, 0.045], [-0.01, -0.02]]);
    let sample = json!([[2.805_556e-4, 4.119_444e-4], [4.119_444e-4, 6.232_222e-4]]);
    assert_eq!(one("covariance", &json!({ "returns": returns }), &json!({ "sample": sample })).failed, []);
    // two markets have one correlation: it is its own mean, the target is the sample and nothing is drawn anywhere
    let inputs = json!({ "returns": returns, "target": "constant_correlation" });
    assert_eq!(one("covariance", &inputs, &json!({ "cov": sample, "shrinkage": 0 })).failed, []);
}

#[test]
fn close_to_close_and_ranges_of_several_bars() {
    let inputs = json!({ "bars": [[100, 103, 98, 101], { "o": 101, "h": 102, "l": 100, "c": 100 }], "periods_per_year": 365 });
    let square = (100.0_f64 / 101.0).ln().powi(2);
    let second = (1.02_f64).ln().powi(2) / 2.0 - (2.0 * 2.0_f64.ln() - 1.0) * square;
    let expected = json!({
        "realised": square, "close_to_close": (square * 365.0).sqrt(),
        "garman_klass": f64::midpoint(0.001_199_857_265_9, second),
    });
    assert_eq!(one("volatility", &inputs, &expected).failed, []);
    assert_eq!(one("volatility", &json!({ "bars": [[1, 2, 3]] }), &expected).failed.len(), 1);
    assert_eq!(one("volatility", &json!({}), &json!({ "realised": 1 })).failed.len(), 1);
}

#[test]
fn inline_rates_and_a_flat_stretch() {
    // 300 hours at one rate, then one hour at ten times that: the mean of eight moves by 9/8 of it, and the scale is the floor
    let mut rates = vec![0.000_012_5; 300];
    rates.push(0.000_125);
    let z = 0.000_112_5 / 8.0 / 2.5e-6;
    let expected = json!({ "z": z, "hours": 126, "share_abs_z_gt5": 1.0 / 126.0 });
    assert_eq!(one("funding_z", &json!({ "rates": rates }), &expected).failed, []);
    let wide = one("funding_z", &json!({ "rates": rates, "window_h": 1_000 }), &expected);
    assert!(wide.failed[0].why.contains("inputs.window_h"), "{:?}", wide.failed);
    let unnamed = one("funding_z", &json!({ "venue": "dydx_v3", "coin": "BTC" }), &expected);
    assert!(unnamed.failed[0].why.contains("inputs.dataset"), "{:?}", unnamed.failed);
}

#[test]
fn the_sheets_sizing_example() {
    let inputs = json!({ "E_total": 1_000_000, "alloc_l2": 0.30, "share_instrument": 0.50, "tier_leverage": 2.5,
        "sigma_target": 0.40, "sigma_forecast": 0.60, "z": 3.5, "p": 0.6, "z_x": 0, "rho": 2 });
    let expected = json!({ "base_risk_cap": 375_000, "volatility_adjuster": 2.0 / 3.0, "m": 1.85, "max_notional": 135_135.14 });
    assert_eq!(one("sizing", &inputs, &expected).failed, []);
    let mut short = inputs.clone();
    short["history_hours"] = json!(100);
    assert_eq!(one("sizing", &short, &json!({ "m": 2 })).failed, [], "fewer than 168 h: m = 2");
}

#[test]
fn a_loss_budget_is_the_root_of_its_equation() {
    let inputs = json!({ "base_risk_cap": 375_000, "sigma_forecast": 0.8, "z": 0, "D_trade": 5_000, "k_loss": 2.33, "k_s": 3,
        "h": 24, "fee_rate": 0.00045, "levels": [[50_000, 0.0001], [100_000, 0.0004], [1_000_000, 0.002]] });
    let per_unit = 2.33 * 0.8 * (24.0_f64 / 8_760.0).sqrt() + 0.00045;
    // where the second level is being taken: N·per_unit + 3·(5 + 0.0004·(N − 50,000)) = 5,000
    let in_second = (5_000.0 - 3.0 * (5.0 - 20.0)) / (per_unit + 3.0 * 0.0004);
    assert!((50_000.0..150_000.0).contains(&in_second), "{in_second}");
    let base_drawdown = 5_000.0 / (2.33 * 0.4 * (24.0_f64 / 8_760.0).sqrt());
    let expected = json!({ "loss_budget": in_second, "B_dd": base_drawdown, "max_notional": base_drawdown / 2.0,
        "notional": in_second.min(base_drawdown / 2.0) });
    assert_eq!(one("sizing", &inputs, &expected).failed, []);
}

#[test]
fn the_sheets_buffers_and_runway() {
    for (hours, tail, want) in [
        (json!({ "minutes": 20 }), 1.0, 1_906.71),
        (json!({ "minutes": 20 }), 1.6, 3_050.74),
        (json!({ "days": 6.4 }), 1.0, 40_930.01),
        (json!({ "hours": 153.6 }), 1.6, 65_488.02),
    ] {
        let mut inputs = json!({ "notional": 200_000, "sigma_ann": 0.6, "confidence": 0.99, "tail_mult": tail });
        inputs.as_object_mut().unwrap().extend(hours.as_object().unwrap().clone());
        assert_eq!(one("buffer", &inputs, &json!({ "buffer": want })).failed, [], "{inputs}");
    }
    let runway = json!({ "notional": 200_000, "sigma_ann": 0.6, "tail_mult": 1.6, "free": 20_000 });
    let outcome = run(
        &json!({ "cases": [{ "topic": "buffer", "inputs": runway, "expected": { "runway_hours": 14.33 }, "tol": { "abs": 0.005 } }] })
            .to_string(),
        &topics(&load),
    );
    assert_eq!(outcome.failed, []);
    for (confidence, z) in [(0.95, 1.960), (0.99, 2.576), (0.999, 3.291)] {
        let inputs = json!({ "notional": 1, "sigma_ann": 1, "hours": 8760, "confidence": confidence });
        let case = json!({ "topic": "buffer", "inputs": inputs, "expected": { "buffer": z }, "tol": { "abs": 0.0005 } });
        assert_eq!(run(&json!({ "cases": [case] }).to_string(), &topics(&load)).failed, []);
    }
}

#[test]
fn the_sheets_dydx_topup_and_the_worst_of_scenarios() {
    let positions = json!([{ "market": "ETH", "size": -1.5, "oracle": 3000, "mmf": 0.05, "shock": 0.10 },
        { "market": "STRK", "size": 1000, "oracle": 1.75, "mmf": 0.1 }]);
    let inputs = json!({ "venue": "dydx", "equity": 1000, "positions": positions, "target_multiple": 2 });
    let expected = json!({ "equity_after": 550, "mmr_after": 422.5, "topup": 295, "amount": 295 });
    assert_eq!(one("topup", &inputs, &expected).failed, []);

    let mut several = inputs.clone();
    several["scenarios"] = json!([{ "ETH": -0.1 }, [0.10, 0], { "STRK": -0.1 }]);
    several["transfer_fee"] = json!(1);
    let mut expected = expected.clone();
    expected["amount"] = json!(296);
    assert_eq!(one("topup", &several, &expected).failed, []);
}

#[test]
fn dydx_collateral_open_interest_and_the_users_own_fraction() {
    // quant §4.2: 5 %, 55 M between 40 M and 100 M
    let crowded = json!({ "imf": 0.05, "maintenance_fraction": 0.6, "oi_lower_cap": 40_000_000, "oi_upper_cap": 100_000_000,
        "oi_notional": 55_000_000 });
    assert_eq!(one("margin_dydx", &crowded, &json!({ "effective_imf": 0.2875, "mmf_ppm": 30_000 })).failed, []);
    let mut own = crowded.clone();
    own["user_imf_ppm"] = json!(500_000);
    assert_eq!(one("margin_dydx", &own, &json!({ "effective_imf_ppm": 500_000, "mmf_ppm": 30_000 })).failed, []);
    own["user_imf_ppm"] = json!(100_000);
    assert_eq!(one("margin_dydx", &own, &json!({ "effective_imf_ppm": 287_500 })).failed, [], "the higher applies");

    // quant §4.4: free collateral 1,000 − 450 − 350 with initial fractions of 10 % and 20 %
    let account = json!({ "equity": 1000, "target": { "size": -1.5, "oracle": 3000, "imf": 0.1, "mmf": 0.05 },
        "others": [{ "size": 1000, "oracle": 1.75, "imf": 0.2, "mmf": 0.1 }] });
    let expected = json!({ "free_collateral": 200, "imr": 800, "mmr": 400, "liquidatable": false });
    assert_eq!(one("margin_dydx", &account, &expected).failed, []);
    let mut ten = account.clone();
    ten["target"]["leverage"] = json!(2);
    assert_eq!(one("margin_dydx", &ten, &json!({ "imr": 2600 })).failed, []);

    let clamp = json!({ "imf": 0.02, "maintenance_fraction": 0.6, "premium": 0.5, "isolated": true });
    let expected = json!({ "cap_8h": 0.048, "rate_hourly": 0.006 });
    assert_eq!(one("funding_dydx", &clamp, &expected).failed, []);
    let calm = json!({ "premium": 0.0004, "isolated": true, "size": 2, "oracle": 100 });
    assert_eq!(one("funding_dydx", &calm, &json!({ "rate_hourly": 0.000_062_5, "payment": 0.0125 })).failed, []);
}
