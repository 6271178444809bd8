//! Covariance, its shrinkage, and the risk of a portfolio.
#![expect(clippy::float_arithmetic, reason = "compares published figures within their printed tolerance")]

use domain::cases::{Figures, Inputs};
use serde_json::{Value, json};

use crate::stats::covariance::{Matrix, STRESS_SHARE, Target, covariance as sample_of, ewma_weights, shrink};

/// `returns` as one row per observation. With `lambda` weights fall off and returns are taken about zero; without, all weigh
/// alike and returns are centred (divisor n).
pub(super) fn covariance(inputs: &Inputs) -> Result<Figures, String> {
    let lambda = inputs.any(&["lambda"]).is_some().then(|| inputs.number(&["lambda"])).transpose()?;
    let mut rows = rows(inputs)?;
    let weights = ewma_weights(rows.len(), lambda.unwrap_or(1.0));
    if inputs.any(&["centred", "centered", "demean"]).and_then(Value::as_bool).unwrap_or(lambda.is_none()) {
        for column in 0..rows[0].len() {
            let mean: f64 = rows.iter().zip(&weights).map(|(row, w)| w * row[column]).sum();
            rows.iter_mut().for_each(|row| row[column] -= mean);
        }
    }
    let target = match inputs.word("target").or_else(|| inputs.word("shrinkage_target")) {
        None | Some("scaled_identity" | "identity" | "scaled-identity") => Target::ScaledIdentity,
        Some("constant_correlation" | "constant-correlation" | "const_corr") => Target::ConstantCorrelation,
        Some(other) => {
            return Err(format!("inputs.target = {other:?}: expected \"scaled_identity\" or \"constant_correlation\""));
        }
    };
    let sample = sample_of(&rows, &weights);
    let shrunk = shrink(&rows, &weights, target);
    let mut all = Figures::new();
    all.alias(["sample", "S", "sample_cov", "cov_sample", "ewma_cov"], &json!(sample));
    all.alias(["shrinkage", "delta"], &json!(shrunk.shrinkage));
    all.alias(["cov", "shrunk", "cov_shrunk", "sigma"], &json!(shrunk.matrix));
    let correlation = each(&shrunk.matrix, |m, i, j| m[i][j] / (m[i][i] * m[j][j]).sqrt());
    all.alias(["correlation", "corr"], &json!(correlation));
    let stressed = each(&correlation, |rho, i, j| rho[i][j] + STRESS_SHARE * (1.0 - rho[i][j]));
    all.alias(["stress_correlation", "corr_stress", "correlation_stressed"], &json!(stressed));
    all.alias(["beta", "betas"], &json!(sample.iter().map(|row| row[0] / sample[0][0]).collect::<Vec<_>>()));
    if inputs.any(&["x", "notionals", "positions", "weights"]).is_some() {
        let x = inputs.numbers(&["x", "notionals", "positions", "weights"])?;
        if x.len() != sample.len() {
            return Err(format!("inputs.x: {} exposures for {} columns of returns", x.len(), sample.len()));
        }
        let periods = inputs.number_or(&["periods_per_year", "periods"], 1.0)?;
        let product: Vec<f64> = shrunk.matrix.iter().map(|row| row.iter().zip(&x).map(|(s, x)| s * x * periods).sum()).collect();
        let sigma = product.iter().zip(&x).map(|(p, x)| p * x).sum::<f64>().max(0.0).sqrt();
        all.alias(["portfolio_vol", "portfolio_volatility", "sigma_p"], &json!(sigma));
        let components: Vec<f64> = product.iter().zip(&x).map(|(p, x)| if sigma > 0.0 { x * p / sigma } else { 0.0 }).collect();
        all.alias(["components", "component_risk"], &json!(components));
    }
    Ok(all)
}

fn each(matrix: &Matrix, entry: impl Fn(&Matrix, usize, usize) -> f64) -> Matrix {
    let n = matrix.len();
    (0..n).map(|i| (0..n).map(|j| entry(matrix, i, j)).collect()).collect()
}

fn rows(inputs: &Inputs) -> Result<Vec<Vec<f64>>, String> {
    let list = inputs.any(&["returns", "r"]).and_then(Value::as_array).ok_or("inputs.returns: expected a list of rows")?;
    let row = |row: &Value| row.as_array().and_then(|row| row.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>());
    let rows: Vec<Vec<f64>> = list.iter().filter_map(row).collect();
    let width = rows.first().map_or(0, Vec::len);
    let regular = rows.len() == list.len() && width > 0 && rows.iter().all(|row| row.len() == width);
    if regular { Ok(rows) } else { Err("inputs.returns: expected rows of numbers of one length".into()) }
}
