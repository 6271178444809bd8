//! Published cases against the formulas of this crate and of the margin models; see [`domain::cases`].
#![expect(clippy::float_arithmetic, reason = "compares published figures within their printed tolerance")]

mod funding;
mod margin;
mod portfolio;
mod sizing;
mod topup;

use domain::cases::{Figures, Inputs, Topic, figures};
use serde_json::{Value, json};

use crate::stats::HOURS_PER_YEAR;
use crate::stats::backtest::{chi_square_1, kupiec, kupiec_accepts};
use crate::stats::funding::{mean, sample_sd};
use crate::stats::volatility::{PriceBar, ewma_variance, realised_variance};

/// Reads a data set that a case names: its file name in, its text out, or why not.
pub type Load<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// The topics this crate knows.
#[must_use]
pub fn topics(load: Load) -> Vec<Topic> {
    vec![
        Topic::new("volatility", volatility),
        Topic::new("var_backtest", var_backtest),
        Topic::new("covariance", portfolio::covariance),
        Topic::new("funding_z", move |inputs| funding::z(inputs, load)),
        Topic::new("funding_hyperliquid", funding::hyperliquid),
        Topic::new("funding_dydx", margin::funding_dydx),
        Topic::new("margin_dydx", margin::dydx),
        Topic::new("margin_hyperliquid", margin::hyperliquid),
        Topic::new("topup", topup::topup),
        Topic::new("sizing", sizing::size),
        Topic::new("buffer", sizing::buffer),
    ]
}

fn var_backtest(inputs: &Inputs) -> Result<Figures, String> {
    let (trials, p) = (inputs.count(&["T", "trials"])?, inputs.number(&["p"])?);
    if !(p > 0.0 && p < 1.0) {
        return Err(format!("inputs.p = {p}: expected a probability"));
    }
    let confidence = inputs.number_or(&["confidence"], 0.95)?;
    let critical = chi_square_1(confidence);
    let (first, last) = kupiec_accepts(trials, p, critical).ok_or("every number of breaches is rejected")?;
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
        let ratio = kupiec(trials, inputs.count(&["n", "breaches", "exceptions"])?.min(trials), p);
        all.extend([("LR", json!(ratio)), ("reject", json!(ratio >= critical)), ("accepted", json!(ratio < critical))]);
    }
    Ok(all)
}

fn volatility(inputs: &Inputs) -> Result<Figures, String> {
    let periods = inputs.number_or(&["periods_per_year", "periods"], f64::from(HOURS_PER_YEAR))?;
    let mut all = Figures::new();
    let bars = match inputs.any(&["bars", "candles"]).and_then(Value::as_array) {
        Some(list) => list.iter().map(bar).collect::<Result<Vec<_>, _>>()?,
        None if inputs.any(&["h", "high"]).is_some() => vec![PriceBar {
            open: inputs.number(&["o", "open"])?,
            high: inputs.number(&["h", "high"])?,
            low: inputs.number(&["l", "low"])?,
            close: inputs.number(&["c", "close"])?,
        }],
        None => Vec::new(),
    };
    for (name, annual, estimate) in [
        ("garman_klass", "garman_klass_annual", PriceBar::garman_klass as fn(&PriceBar) -> f64),
        ("parkinson", "parkinson_annual", PriceBar::parkinson),
        ("rogers_satchell", "rogers_satchell_annual", PriceBar::rogers_satchell),
    ] {
        if let Some(variance) = mean(&bars.iter().map(estimate).collect::<Vec<_>>()) {
            all.extend([(name, json!(variance)), (annual, json!((variance * periods).sqrt()))]);
        }
    }
    let closes = match inputs.any(&["closes", "prices"]) {
        Some(_) => inputs.numbers(&["closes", "prices"])?,
        None => bars.iter().map(|bar| bar.close).collect(),
    };
    let returns = match inputs.any(&["returns", "r"]) {
        Some(_) => inputs.numbers(&["returns", "r"])?,
        None => closes.windows(2).map(|pair| (pair[1] / pair[0]).ln()).collect(),
    };
    if let Some(square) = mean(&returns.iter().map(|r| r * r).collect::<Vec<_>>()) {
        let sum = realised_variance(&returns);
        let annual = json!((square * periods).sqrt());
        all.alias(["realised", "realised_variance", "realized", "realized_variance"], &json!(sum));
        all.alias(["mean_square", "close_to_close_variance"], &json!(square));
        all.alias(["realised_annual", "realized_annual", "close_to_close", "close_to_close_annual"], &annual);
    }
    if let Some(deviation) = sample_sd(&returns) {
        all.alias(["sd", "std"], &json!(deviation));
        all.alias(["sd_annual", "std_annual"], &json!(deviation * periods.sqrt()));
    }
    if inputs.any(&["lambda"]).is_some() {
        let variance = ewma_variance(&returns, inputs.number(&["lambda"])?).ok_or("inputs.returns: empty")?;
        // returns of unstated length are daily, as in the worked example
        let periods = inputs.number_or(&["periods_per_year", "periods"], 365.0)?;
        all.alias(["ewma", "ewma_variance", "s2", "variance"], &json!(variance));
        all.alias(["annual", "ewma_annual", "sigma_ann"], &json!((variance * periods).sqrt()));
    }
    if all.is_empty() { Err("inputs: neither bars, closes nor returns".into()) } else { Ok(all) }
}

/// `[open, high, low, close]` or an object with these or their first letters.
fn bar(value: &Value) -> Result<PriceBar, String> {
    let field = |place: usize, names: [&str; 2]| {
        value.get(place).or_else(|| names.iter().find_map(|name| value.get(*name))).and_then(Value::as_f64)
    };
    let bar = field(0, ["open", "o"]).zip(field(1, ["high", "h"])).zip(field(2, ["low", "l"]).zip(field(3, ["close", "c"])));
    let ((open, high), (low, close)) = bar.ok_or_else(|| format!("inputs.bars: {value} is not open, high, low, close"))?;
    Ok(PriceBar { open, high, low, close })
}

#[cfg(test)]
mod tests;
