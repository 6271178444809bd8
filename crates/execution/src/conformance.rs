//! Published cases against the formulas of this crate; see [`domain::cases`].
#![expect(clippy::float_arithmetic, reason = "compares published figures within their printed tolerance")]

use domain::Side;
use domain::cases::{Figures, Inputs, Topic, decimal, figures, float};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::almgren_chriss::Problem;
use crate::stats::{self, PowerLaw};
use crate::tca::Execution;

/// The topics this crate knows.
#[must_use]
pub fn topics() -> Vec<Topic<'static>> {
    vec![
        Topic::new("almgren_chriss", almgren_chriss),
        Topic::new("market_impact", market_impact),
        Topic::new("tca_is", tca_is),
        Topic::new("obizhaeva_wang", obizhaeva_wang),
        Topic::new("cont_kukanov", cont_kukanov),
    ]
}

fn almgren_chriss(inputs: &Inputs) -> Result<Figures, String> {
    let lambda = inputs.number_or(&["lambda_per_usd", "lambda", "lambda_per_quote", "risk_aversion"], 0.0)?;
    let problem = Problem {
        quantity: inputs.number(&["X", "quantity"])?,
        horizon: inputs.number(&["T", "horizon"])?,
        slices: inputs.count(&["N", "slices"])?,
        sigma: inputs.number(&["sigma"])?,
        epsilon: inputs.number_or(&["epsilon"], 0.0)?,
        gamma: inputs.number_or(&["gamma"], 0.0)?,
        eta: inputs.number(&["eta"])?,
        lambda,
    };
    let solve = |p: Problem| p.solve().ok_or("no trajectory for these inputs");
    let best = solve(problem)?;
    let line = solve(Problem { lambda: 0.0, ..problem })?;
    let Problem { quantity: x, horizon, slices, sigma, epsilon, gamma, .. } = problem;
    let tau = horizon / f64::from(slices);
    let at_once = gamma * x * x / 2.0 + epsilon * x.abs() + best.eta_tilde / tau * x * x;
    let (cost, variance) = (best.cost, best.variance);
    let sd = variance.sqrt();
    let utility = cost + lambda * variance;
    let per_million = |v: f64| v / 1e6;
    let mut all = figures([
        ("E", json!(cost)),
        ("V", json!(variance)),
        ("sd", json!(sd)),
        ("U", json!(utility)),
        ("E_musd", json!(per_million(cost))),
        ("V_musd2", json!(variance / 1e12)),
        ("U_musd", json!(per_million(utility))),
        ("sd_musd", json!(per_million(sd))),
        ("eta_tilde", json!(best.eta_tilde)),
        ("kappa", json!(best.kappa)),
        ("kappa_T", json!(best.kappa * horizon)),
        ("kappaT", json!(best.kappa * horizon)),
        ("holdings", json!(best.holdings)),
        ("slices", json!(best.slices())),
        ("trades", json!(best.slices())),
        ("straight_line", json!({ "E": line.cost, "V": line.variance, "sd": line.variance.sqrt() })),
        ("E_straight", json!(line.cost)),
        ("V_straight", json!(line.variance)),
        ("sd_straight", json!(line.variance.sqrt())),
        ("one_shot", json!({ "E": at_once, "V": 0.0, "sd": 0.0 })),
        ("E_one_shot", json!(at_once)),
        ("V_one_shot", json!(0.0)),
    ]);
    if let Some(constant) = best.time_constant() {
        // the published files call 1/κ the half-life, as the paper does
        all.extend([("half_life", json!(constant)), ("time_constant", json!(constant)), ("inv_kappa", json!(constant))]);
    }
    if let Ok(z) = inputs.number(&["lambda_v", "z"]) {
        let var = cost + z * sd;
        all.extend([("VaR", json!(var)), ("value_at_risk", json!(var)), ("VaR_musd", json!(per_million(var)))]);
    }
    if let Ok(alpha) = inputs.number(&["alpha", "drift"]) {
        let holding = alpha / (2.0 * lambda * sigma * sigma);
        all.extend([("drift_holding", json!(holding)), ("x_bar", json!(holding))]);
    }
    Ok(all)
}

fn market_impact(inputs: &Inputs) -> Result<Figures, String> {
    let sigma_daily = match inputs.any(&["sigma_ann", "sigma_annual"]) {
        Some(_) => inputs.number(&["sigma_ann", "sigma_annual"])? / 365.0_f64.sqrt(),
        None => inputs.number(&["sigma_daily", "sigma"])?,
    };
    if inputs.any(&["T_days", "T"]).is_none() {
        let share = match inputs.any(&["X_over_V"]) {
            Some(_) => inputs.number(&["X_over_V"])?,
            None => inputs.number(&["Q", "X"])? / inputs.number(&["adv", "ADV", "V"])?,
        };
        let cost = stats::square_root_impact(inputs.number_or(&["Y"], 1.0)?, sigma_daily, share) * 1e4;
        return Ok(figures([("cost_bp", json!(cost)), ("cost_bps", json!(cost)), ("impact_bp", json!(cost))]));
    }
    let adv = inputs.number(&["adv", "ADV", "V"])?;
    let volume_share = match inputs.any(&["X_over_V"]) {
        Some(_) => inputs.number(&["X_over_V"])?,
        None => inputs.number(&["X", "Q"])? / adv,
    };
    let law = PowerLaw {
        sigma_daily,
        volume_share,
        days: inputs.number(&["T_days", "T"])?,
        turnover_inverse: inputs.number(&["shares_out", "theta"])? / adv,
        gamma: inputs.number_or(&["gamma"], 0.314)?,
        eta: inputs.number_or(&["eta"], 0.142)?,
        beta: inputs.number_or(&["beta"], 0.6)?,
        delta: inputs.number_or(&["delta"], 0.25)?,
    };
    let (i, k, j) = (law.permanent() * 1e4, law.temporary() * 1e4, law.cost() * 1e4);
    Ok(figures([
        ("I_bp", json!(i)),
        ("K_bp", json!(k)),
        ("J_bp", json!(j)),
        ("paper_I_bp", json!(i)),
        ("paper_K_bp", json!(k)),
        ("paper_J_bp", json!(j)),
    ]))
}

fn tca_is(inputs: &Inputs) -> Result<Figures, String> {
    let side = match inputs.word("side") {
        Some("buy") => Side::Buy,
        Some("sell") => Side::Sell,
        other => return Err(format!("inputs.side = {other:?}: expected \"buy\" or \"sell\"")),
    };
    let range = || "a product is out of range".to_owned();
    let fills = inputs.any(&["fills"]).and_then(Value::as_array).ok_or("inputs.fills: expected a list of [quantity, price]")?;
    let (mut filled, mut spent) = (Decimal::ZERO, Decimal::ZERO);
    for fill in fills {
        let pair = fill.as_array().filter(|pair| pair.len() == 2).and_then(|pair| decimal(&pair[0]).zip(decimal(&pair[1])));
        let (qty, px) = pair.ok_or_else(|| format!("inputs.fills: {fill} is not [quantity, price]"))?;
        filled = filled.checked_add(qty).ok_or_else(range)?;
        spent = qty.checked_mul(px).and_then(|v| spent.checked_add(v)).ok_or_else(range)?;
    }
    let optional = |names: &[&str]| inputs.any(names).is_some().then(|| inputs.decimal(names)).transpose();
    let execution = Execution {
        side,
        quantity: inputs.decimal(&["qty", "quantity"])?,
        decision: inputs.decimal(&["decision", "mid0"])?,
        arrival: optional(&["arrival", "mid1"])?,
        filled,
        spent,
        end: optional(&["end", "mid_end", "cancel", "cancelled", "close", "final"])?,
        fees: inputs.decimal_or(&["fee", "fees"], Decimal::ZERO)?,
        funding: optional(&["funding", "funding_paid"])?,
    };
    let parts = execution.shortfall().ok_or_else(range)?;
    let bps = |money: Decimal| execution.bps(money).map_or(Value::Null, float);
    let mut all = figures([
        ("delay_usd", float(parts.delay)),
        ("execution_usd", float(parts.execution)),
        ("fees_usd", float(parts.fees)),
        ("delay_bps", bps(parts.delay)),
        ("execution_bps", bps(parts.execution)),
        ("trading_bps", bps(parts.execution)),
        ("fees_bps", bps(parts.fees)),
        ("fee_bps", bps(parts.fees)),
        ("filled", float(filled)),
    ]);
    if let Some(funding) = parts.funding {
        all.extend([("funding_usd", float(funding)), ("funding_bps", bps(funding))]);
    }
    if let Some(missed) = parts.opportunity {
        all.extend([("opportunity_usd", float(missed)), ("opportunity_bps", bps(missed))]);
    }
    if let Some(total) = parts.total {
        all.extend([
            ("shortfall_usd", float(total)),
            ("shortfall_bps", bps(total)),
            ("total_usd", float(total)),
            ("total_bps", bps(total)),
            ("is_bps", bps(total)),
            ("shortfall_per_share", total.checked_div(execution.quantity).map_or(Value::Null, float)),
        ]);
    }
    if let Some(average) = spent.checked_div(filled) {
        all.insert("average_price", float(average));
        let from = execution.arrival.unwrap_or(execution.decision);
        let worse = Decimal::from(side.sign()) * (average - from) * Decimal::from(10_000);
        all.insert("slippage_bps", worse.checked_div(from).map_or(Value::Null, float));
    }
    Ok(all)
}

fn obizhaeva_wang(inputs: &Inputs) -> Result<Figures, String> {
    let (x, horizon) = (inputs.number(&["X", "quantity"])?, inputs.number(&["T", "horizon"])?);
    let (first, last, rate) = stats::obizhaeva_wang(x, inputs.number(&["rho"])?, horizon);
    Ok(figures([("first", json!(first)), ("last", json!(last)), ("rate", json!(rate)), ("continuous", json!(rate * horizon))]))
}

fn cont_kukanov(inputs: &Inputs) -> Result<Figures, String> {
    let (size, queue) = (inputs.number(&["S", "size"])?, inputs.number(&["Q", "queue"])?);
    let (half_spread, rebate) = (inputs.number(&["half_spread", "h"])?, inputs.number(&["rebate", "r"])?);
    let fraction = stats::limit_fraction(half_spread, inputs.number(&["fee", "f"])?, rebate, inputs.number(&["lambda_u"])?);
    // F⁻¹ of the queue outflow until the deadline
    let reached = match inputs.word("outflow") {
        Some("exponential") => -inputs.number(&["mean_outflow", "mean"])? * (1.0 - fraction).ln(),
        Some("uniform") => {
            let low = inputs.number_or(&["min_outflow", "low"], 0.0)?;
            low + fraction * (inputs.number(&["max_outflow", "high"])? - low)
        }
        other => return Err(format!("inputs.outflow = {other:?}: expected \"exponential\" or \"uniform\"")),
    };
    let limit = (reached - queue).clamp(0.0, size);
    Ok(figures([("fraction", json!(fraction)), ("L", json!(limit)), ("M", json!(size - limit))]))
}

#[cfg(test)]
mod tests {
    use domain::cases::{Outcome, run};

    use super::*;

    /// Published figures, recomputed by whoever put the sheet together; see the `source` of each case.
    const CASES: &str = include_str!("../tests/data/quant_cases.json");

    #[test]
    fn the_published_cases_pass() {
        let outcome = run(CASES, &topics());
        assert_eq!(outcome.failed, []);
        assert_eq!(outcome.passed, 10);
    }

    #[test]
    fn every_published_figure_is_looked_at() {
        // each expected number, moved by a twentieth, must fail its case
        let file: Value = serde_json::from_str(CASES).unwrap();
        let mut moved_figures = 0;
        for case in file["cases"].as_array().unwrap() {
            if topics().iter().all(|topic| case["topic"] != *topic.name) {
                continue;
            }
            for (key, want) in case["expected"].as_object().unwrap() {
                let Some(want) = want.as_f64() else { continue };
                let mut moved = case.clone();
                moved["expected"][key] = json!(want * 1.05);
                let outcome = run(&json!({ "cases": [moved] }).to_string(), &topics());
                assert_eq!((outcome.passed, outcome.failed.len()), (0, 1), "{} {key}", case["id"]);
                moved_figures += 1;
            }
        }
        assert!(moved_figures > 25, "{moved_figures}");
    }

    fn one(topic: &str, inputs: &Value, expected: &Value) -> Outcome {
        let case = json!({ "topic": topic, "inputs": inputs, "expected": expected, "tol": { "rel": 5e-6 } });
        run(&json!({ "cases": [case] }).to_string(), &topics())
    }

    #[test]
    fn the_papers_table_in_its_own_words() {
        let inputs = json!({ "X": 1e6, "T": 5, "N": 5, "sigma": 0.95, "alpha": 0.02, "epsilon": 0.0625, "gamma": 2.5e-7,
            "eta": 2.5e-6, "lambda": 1e-6, "lambda_v": 1.645 });
        let expected = json!({
            "eta_tilde": 2.375e-6, "kappa": 0.607_076, "kappa_T": 3.035_38, "E": 911_226.99, "V": 3.641_286e11, "sd": 603_430.67,
            "straight_line": { "E": 662_500, "V": 1.083e12, "sd": 1_040_672.86 }, "one_shot": { "E": 2_562_500, "V": 0 },
            "holdings": [1_000_000, 541_955.55, 289_854.22, 147_897.49, 62_141.80, 0],
            "slices": [458_044.45, 252_101.33, 141_956.73, 85_755.69, 62_141.80], "drift_holding": 11_080.332,
        });
        assert_eq!(one("almgren_chriss", &inputs, &expected), Outcome { passed: 1, ..Outcome::default() });
    }

    #[test]
    fn the_sheets_shortfall() {
        let inputs = json!({ "side": "buy", "qty": 1000, "decision": 10.00, "arrival": 10.05, "fills": [[700, 10.07]], "fee": 14,
            "end": 10.08 });
        let expected =
            json!({ "delay_bps": 35, "execution_bps": 14, "opportunity_bps": 24, "fees_bps": 14, "shortfall_bps": 87 });
        assert_eq!(one("tca_is", &inputs, &expected).failed, []);
    }
}
