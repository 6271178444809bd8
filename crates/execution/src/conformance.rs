//! Published cases against the formulas: files of the form `{"version", "cases": [{"id", "topic", "inputs", "expected", "tol"}]}`.
//!
//! Each topic computes every figure it knows from the inputs; every expected key must be among them and agree within its
//! tolerance. A case that expects nothing, or something unknown here, fails: it must not pass for want of being looked at.
#![expect(clippy::float_arithmetic, reason = "compares published figures within their printed tolerance")]

use std::collections::{BTreeMap, BTreeSet};

use domain::margin::{MarginTable, liquidation_price};
use domain::{Side, Usd};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Map, Value, json};

use crate::almgren_chriss::Problem;
use crate::stats::{self, Bar, PowerLaw};
use crate::tca::Execution;

/// What became of a file of cases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Cases whose every expected figure was reached.
    pub passed: usize,
    /// Cases that were not, with what differed.
    pub failed: Vec<Failure>,
    /// Topics that do not exist here, once each, in alphabetical order.
    pub skipped: Vec<String>,
}

/// One failed case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its id, or its place in the file.
    pub case: String,
    /// What differed.
    pub why: String,
}

type Figures = BTreeMap<&'static str, Value>;
type Topic = fn(&Inputs) -> Result<Figures, String>;

const TOPICS: &[(&str, Topic)] = &[
    ("almgren_chriss", almgren_chriss),
    ("market_impact", market_impact),
    ("tca_is", tca_is),
    ("obizhaeva_wang", obizhaeva_wang),
    ("cont_kukanov", cont_kukanov),
    ("var_backtest", var_backtest),
    ("volatility", volatility),
    ("funding_hyperliquid", funding_hyperliquid),
    ("margin_hyperliquid", margin_hyperliquid),
];

/// Tolerance of a case that names none.
const REL_DEFAULT: f64 = 1e-9;

/// Runs every case of `json_text`. A text that is not such a file is one failure.
#[must_use]
pub fn quant(json_text: &str) -> Outcome {
    let mut outcome = Outcome::default();
    let fail = |case: &str, why: String| Failure { case: case.to_owned(), why };
    let file: Value = match serde_json::from_str(json_text) {
        Ok(file) => file,
        Err(e) => {
            outcome.failed.push(fail("file", format!("not JSON: {e}")));
            return outcome;
        }
    };
    let Some(cases) = file["cases"].as_array() else {
        outcome.failed.push(fail("file", "no array \"cases\"".into()));
        return outcome;
    };
    let mut skipped = BTreeSet::new();
    for (i, case) in cases.iter().enumerate() {
        let id = case["id"].as_str().map_or_else(|| format!("case {}", i + 1), str::to_owned);
        let Some(topic) = case["topic"].as_str() else {
            outcome.failed.push(fail(&id, "no \"topic\"".into()));
            continue;
        };
        let Some((_, compute)) = TOPICS.iter().find(|(name, _)| *name == topic) else {
            skipped.insert(topic.to_owned());
            continue;
        };
        match judge(case, *compute) {
            Ok(()) => outcome.passed += 1,
            Err(why) => outcome.failed.push(fail(&id, why)),
        }
    }
    outcome.skipped = skipped.into_iter().collect();
    outcome
}

fn judge(case: &Value, compute: Topic) -> Result<(), String> {
    let inputs = case["inputs"].as_object().ok_or("no object \"inputs\"")?;
    let expected = case["expected"].as_object().filter(|e| !e.is_empty()).ok_or("nothing is expected")?;
    let empty = Map::new();
    let tol = match case.get("tol").filter(|t| !t.is_null()) {
        None => &empty,
        Some(tol) => tol.as_object().ok_or_else(|| format!("\"tol\" is {tol}, not an object"))?,
    };
    let figures = compute(&Inputs(inputs))?;
    let mut faults = Vec::new();
    for (key, want) in expected {
        match figures.get(key.as_str()) {
            Some(got) => compare(key, got, want, &Tolerance::of(tol, key), &mut faults),
            None => faults.push(format!("{key}: no such figure here")),
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
}

/// How far a figure may be off: any one of the bounds is enough.
struct Tolerance {
    abs: Option<f64>,
    rel: Option<f64>,
    exact: bool,
}

impl Tolerance {
    /// `<prefix>_abs` and `<prefix>_rel` of the longest prefix of `key` go before `abs`, `rel` and `exact`.
    fn of(tol: &Map<String, Value>, key: &str) -> Tolerance {
        let own = |suffix: &str| {
            tol.iter()
                .filter_map(|(name, value)| Some((name.strip_suffix(suffix)?, value.as_f64()?)))
                .filter(|(prefix, _)| !prefix.is_empty() && key.starts_with(*prefix))
                .max_by_key(|(prefix, _)| prefix.len())
                .map(|(_, value)| value)
        };
        let (abs, rel) = (own("_abs"), own("_rel"));
        if abs.is_some() || rel.is_some() {
            return Tolerance { abs, rel, exact: false };
        }
        let number = |name: &str| tol.get(name).and_then(Value::as_f64);
        let exact = tol.get("exact").and_then(Value::as_bool).unwrap_or(false);
        let (abs, rel) = (number("abs"), number("rel"));
        let rel = if abs.is_none() && rel.is_none() && !exact { Some(REL_DEFAULT) } else { rel };
        Tolerance { abs, rel, exact }
    }

    fn holds(&self, got: f64, want: f64) -> bool {
        let off = (got - want).abs();
        if self.exact {
            return off == 0.0;
        }
        // a hair more than the printed tolerance: the tolerance itself is a rounded binary number
        let within = |bound: Option<f64>| bound.is_some_and(|b| off <= b * (1.0 + 1e-9));
        within(self.abs) || within(self.rel.map(|r| r * want.abs()))
    }
}

fn compare(path: &str, got: &Value, want: &Value, tol: &Tolerance, faults: &mut Vec<String>) {
    match (got, want) {
        (Value::Array(g), Value::Array(w)) if g.len() == w.len() => {
            for (i, (g, w)) in g.iter().zip(w).enumerate() {
                compare(&format!("{path}[{i}]"), g, w, tol, faults);
            }
        }
        (Value::Object(g), Value::Object(w)) => {
            for (key, w) in w {
                let path = format!("{path}.{key}");
                match g.get(key) {
                    Some(g) => compare(&path, g, w, tol, faults),
                    None => faults.push(format!("{path}: no such figure here")),
                }
            }
        }
        (Value::Number(g), Value::Number(w)) => {
            let (g, w) = (g.as_f64().unwrap_or(f64::NAN), w.as_f64().unwrap_or(f64::NAN));
            if !tol.holds(g, w) {
                faults.push(format!("{path} = {g}, expected {w}"));
            }
        }
        _ if got == want => {}
        _ => faults.push(format!("{path} = {got}, expected {want}")),
    }
}

/// The inputs of a case, by any of the names a figure goes by.
struct Inputs<'a>(&'a Map<String, Value>);

impl Inputs<'_> {
    fn any(&self, names: &[&str]) -> Option<&Value> {
        names.iter().find_map(|name| self.0.get(*name)).filter(|v| !v.is_null())
    }

    fn number(&self, names: &[&str]) -> Result<f64, String> {
        let value = self.any(names).ok_or_else(|| format!("inputs.{}: missing", names[0]))?;
        value.as_f64().filter(|n| n.is_finite()).ok_or_else(|| format!("inputs.{} = {value}: expected a number", names[0]))
    }

    fn number_or(&self, names: &[&str], otherwise: f64) -> Result<f64, String> {
        if self.any(names).is_some() { self.number(names) } else { Ok(otherwise) }
    }

    fn count(&self, names: &[&str]) -> Result<u32, String> {
        let n = self.number(names)?;
        let whole = n.to_u32().filter(|w| f64::from(*w) == n && *w <= 1_000_000);
        whole.ok_or_else(|| format!("inputs.{} = {n}: expected a whole number of at most 1,000,000", names[0]))
    }

    fn decimal(&self, names: &[&str]) -> Result<Decimal, String> {
        let value = self.any(names).ok_or_else(|| format!("inputs.{}: missing", names[0]))?;
        decimal(value).ok_or_else(|| format!("inputs.{} = {value}: expected a decimal number", names[0]))
    }

    fn decimal_or(&self, names: &[&str], otherwise: Decimal) -> Result<Decimal, String> {
        if self.any(names).is_some() { self.decimal(names) } else { Ok(otherwise) }
    }

    fn numbers(&self, names: &[&str]) -> Result<Vec<f64>, String> {
        let list = self.any(names).and_then(Value::as_array).ok_or_else(|| format!("inputs.{}: expected a list", names[0]))?;
        list.iter().map(|v| v.as_f64().ok_or_else(|| format!("inputs.{}: {v} is not a number", names[0]))).collect()
    }

    fn word(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }
}

/// As printed: the shortest text of a number, or a text.
fn decimal(value: &Value) -> Option<Decimal> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let value = Decimal::from_str_exact(&text).or_else(|_| Decimal::from_scientific(&text)).ok()?;
    // far beyond any account, and small enough that sums of products stay in range
    (value.abs() <= Decimal::from(1_000_000_000_000_i64)).then_some(value)
}

fn float(value: Decimal) -> Value {
    json!(value.to_f64())
}

fn figures<const N: usize>(all: [(&'static str, Value); N]) -> Figures {
    all.into_iter().collect()
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

fn var_backtest(inputs: &Inputs) -> Result<Figures, String> {
    let (trials, p) = (inputs.count(&["T", "trials"])?, inputs.number(&["p"])?);
    if !(p > 0.0 && p < 1.0) {
        return Err(format!("inputs.p = {p}: expected a probability"));
    }
    let confidence = inputs.number_or(&["confidence"], 0.95)?;
    let critical = stats::chi_square_1(confidence);
    let (first, last) = stats::kupiec_accepts(trials, p, critical).ok_or("every number of breaches is rejected")?;
    // printed tables leave the lower bound out where only zero breaches, or none at all, lie below it
    let lower = first.checked_sub(1).filter(|bound| *bound > 0);
    let mut all = figures([
        ("non_rejection", json!({ "lower_exclusive": lower, "upper_exclusive": last + 1 })),
        ("accept", json!([first, last])),
        ("accept_min", json!(first)),
        ("accept_max", json!(last)),
        ("critical", json!(critical)),
    ]);
    if inputs.any(&["n", "breaches", "exceptions"]).is_some() {
        let ratio = stats::kupiec(trials, inputs.count(&["n", "breaches", "exceptions"])?.min(trials), p);
        all.extend([("LR", json!(ratio)), ("reject", json!(ratio >= critical)), ("accepted", json!(ratio < critical))]);
    }
    Ok(all)
}

fn volatility(inputs: &Inputs) -> Result<Figures, String> {
    let mut all = Figures::new();
    if inputs.any(&["h", "high"]).is_some() {
        let bar = Bar {
            open: inputs.number(&["o", "open"])?,
            high: inputs.number(&["h", "high"])?,
            low: inputs.number(&["l", "low"])?,
            close: inputs.number(&["c", "close"])?,
        };
        all.extend([
            ("garman_klass", json!(bar.garman_klass())),
            ("parkinson", json!(bar.parkinson())),
            ("rogers_satchell", json!(bar.rogers_satchell())),
        ]);
    }
    if inputs.any(&["returns", "r"]).is_some() {
        let returns = inputs.numbers(&["returns", "r"])?;
        let realised = stats::realised_variance(&returns);
        all.extend([("realised", json!(realised)), ("realised_variance", json!(realised))]);
        if inputs.any(&["lambda"]).is_some() {
            let variance = stats::ewma_variance(&returns, inputs.number(&["lambda"])?).ok_or("inputs.returns: empty")?;
            let periods = inputs.number_or(&["periods_per_year", "periods"], 365.0)?;
            let annual = (variance * periods).sqrt();
            all.extend([("ewma", json!(variance)), ("ewma_variance", json!(variance)), ("s2", json!(variance))]);
            all.extend([("variance", json!(variance)), ("annual", json!(annual)), ("ewma_annual", json!(annual))]);
        }
    }
    if all.is_empty() { Err("inputs: neither a bar nor returns".into()) } else { Ok(all) }
}

fn funding_hyperliquid(inputs: &Inputs) -> Result<Figures, String> {
    let premium = inputs.decimal(&["premium", "P"])?;
    let interest = inputs.decimal_or(&["interest", "I"], Decimal::new(1, 4))?;
    let clamp = inputs.decimal_or(&["clamp"], Decimal::new(5, 4))?;
    let cap = inputs.decimal_or(&["cap"], Decimal::new(4, 2))?;
    // F = P + clamp(I − P, ±0.0005) is an eight-hour rate, paid by the hour and capped there (quant §3)
    let rate = ((premium + (interest - premium).clamp(-clamp, clamp)) / Decimal::from(8)).clamp(-cap, cap);
    let mut all =
        figures([("rate_hourly", float(rate)), ("hourly_rate", float(rate)), ("rate", float(rate)), ("funding_h", float(rate))]);
    if inputs.any(&["size"]).is_some() && inputs.any(&["oracle"]).is_some() {
        let payment = inputs.decimal(&["size"])?.checked_mul(inputs.decimal(&["oracle"])?).and_then(|n| n.checked_mul(rate));
        all.insert("payment", payment.map_or(Value::Null, float));
    }
    Ok(all)
}

fn margin_hyperliquid(inputs: &Inputs) -> Result<Figures, String> {
    let range = || "a product is out of range".to_owned();
    let size = inputs.decimal(&["size", "szi"])?;
    let mark = match inputs.any(&["mark", "price", "px"]) {
        Some(_) => inputs.decimal(&["mark", "price", "px"])?,
        None => inputs.decimal(&["position_value", "notional"])?.checked_div(size.abs()).ok_or("inputs.size = 0")?,
    };
    let table = margin_table(inputs)?;
    let notional = size.abs().checked_mul(mark).and_then(|n| Usd::new(n).ok()).ok_or_else(range)?;
    let own = table.maintenance(notional).decimal();
    let value = inputs.decimal(&["isolated_margin", "margin", "cross_account_value", "account_value", "equity"])?;
    let other = match inputs.any(&["cross_maintenance_used", "maintenance_used"]) {
        Some(_) => inputs.decimal(&["cross_maintenance_used", "maintenance_used"])? - own,
        None => inputs.decimal_or(&["maintenance_other", "mmr_other", "other_maintenance"], Decimal::ZERO)?,
    };
    let price = liquidation_price(&table, size, mark, value, other);
    let tier = table.tiers().iter().position(|t| t == table.tier(notional)).unwrap_or(0);
    Ok(figures([
        ("liq_price", price.map_or(Value::Null, float)),
        ("liquidation_price", price.map_or(Value::Null, float)),
        ("maintenance", float(own)),
        ("maintenance_margin", float(own)),
        ("mmr", float(own)),
        ("tier", json!(tier)),
    ]))
}

/// Tiers as `[[from, leverage], …]` or `[{"lower_bound", "max_leverage"}, …]`, or one leverage for all sizes.
fn margin_table(inputs: &Inputs) -> Result<MarginTable, String> {
    let Some(tiers) = inputs.any(&["tiers", "margin_tiers"]).and_then(Value::as_array) else {
        let leverage = inputs.count(&["max_leverage", "leverage_max"])?;
        return MarginTable::new(&[(Usd::ZERO, leverage)]).map_err(|e| e.to_string());
    };
    let steps = tiers.iter().map(|tier| {
        let field = |place: usize, names: [&str; 3]| {
            tier.get(place).or_else(|| names.iter().find_map(|n| tier.get(*n))).and_then(decimal)
        };
        let from = field(0, ["lower_bound", "lowerBound", "from"]).and_then(|d| Usd::new(d).ok());
        let leverage = field(1, ["max_leverage", "maxLeverage", "leverage_max"]).and_then(|d| d.to_u32());
        from.zip(leverage).ok_or_else(|| format!("inputs.tiers: {tier} is not a lower bound and a leverage"))
    });
    MarginTable::new(&steps.collect::<Result<Vec<_>, _>>()?).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published figures, recomputed by whoever put the sheet together; see the `source` of each case.
    const CASES: &str = include_str!("../tests/data/quant_cases.json");

    #[test]
    fn the_published_cases_pass() {
        let outcome = quant(CASES);
        assert_eq!(outcome.failed, []);
        assert_eq!(outcome.passed, 18);
        let later = ["buffer", "covariance", "funding_dydx", "funding_z", "margin_dydx", "sizing", "topup"].map(str::to_owned);
        assert_eq!(outcome.skipped, later);
    }

    #[test]
    fn every_published_figure_is_looked_at() {
        // each expected number, moved by a hundredth, must fail its case
        let file: Value = serde_json::from_str(CASES).unwrap();
        let mut moved_figures = 0;
        for case in file["cases"].as_array().unwrap() {
            if TOPICS.iter().all(|(name, _)| case["topic"] != *name) {
                continue;
            }
            for (key, want) in case["expected"].as_object().unwrap() {
                let Some(want) = want.as_f64() else { continue };
                let mut moved = case.clone();
                moved["expected"][key] = json!(want * 1.05);
                let outcome = quant(&json!({ "cases": [moved] }).to_string());
                assert_eq!((outcome.passed, outcome.failed.len()), (0, 1), "{} {key}", case["id"]);
                moved_figures += 1;
            }
        }
        assert!(moved_figures > 35, "{moved_figures}");
    }

    fn one(topic: &str, inputs: &Value, expected: &Value) -> Outcome {
        quant(
            &json!({ "cases": [{ "topic": topic, "inputs": inputs, "expected": expected, "tol": { "rel": 5e-6 } }] }).to_string(),
        )
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
        let inputs = json!({ "side": "buy", "qty": 1000, "decision": 10.00, "arrival": 10.05, "fills": [[700, 10.07]], "fee": 14,
            "end": 10.08 });
        let expected =
            json!({ "delay_bps": 35, "execution_bps": 14, "opportunity_bps": 24, "fees_bps": 14, "shortfall_bps": 87 });
        assert_eq!(one("tca_is", &inputs, &expected).failed, []);
    }

    #[test]
    fn what_cannot_be_judged_does_not_pass() {
        let failures = |text: &str| quant(text).failed.len();
        assert_eq!(failures("{"), 1);
        assert_eq!(failures("{}"), 1);
        assert_eq!(failures(r#"{"cases": [{"id": "x"}]}"#), 1);
        assert_eq!(failures(r#"{"cases": [{"topic": "volatility", "inputs": {"r": [1]}, "expected": {}}]}"#), 1);
        assert_eq!(failures(r#"{"cases": [{"topic": "volatility", "inputs": {"r": [1]}, "expected": {"magic": 1}}]}"#), 1);
        assert_eq!(failures(r#"{"cases": [{"topic": "volatility", "inputs": {}, "expected": {"realised": 1}}]}"#), 1);
        assert_eq!(failures(r#"{"cases": [{"topic": "volatility", "inputs": {"r": [1]}, "expected": {"realised": "1"}}]}"#), 1);
        assert_eq!(quant(r#"{"cases": []}"#), Outcome::default());
    }
}
