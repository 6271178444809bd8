//! Sample covariance with weights and its shrinkage towards a simple target: Ledoit & Wolf 2004, "A well-conditioned estimator
//! for large-dimensional covariance matrices" (scaled identity) and "Honey, I shrunk the sample covariance matrix" (constant
//! correlation).
//!
//! With weights w (Σw = 1) in place of 1/T, sums over observations become weighted sums and the factor 1/T before the error of
//! the sample matrix becomes Σw²; equal weights give the published formulas.
#![expect(clippy::float_arithmetic, reason = "statistics: none of these becomes a price or a size")]
#![expect(clippy::needless_range_loop, reason = "matrices are read by row and column")]

/// Rows of a square symmetric matrix.
pub type Matrix = Vec<Vec<f64>>;

/// What a sample covariance is drawn towards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// The mean variance on the diagonal, nothing beside it.
    ScaledIdentity,
    /// The sample's variances, all correlations equal to their mean. The default: coins differ in variance and move together.
    #[default]
    ConstantCorrelation,
}

/// A shrunk covariance.
#[derive(Clone, Debug, PartialEq)]
pub struct Shrunk {
    /// δF + (1 − δ)S.
    pub matrix: Matrix,
    /// δ in [0, 1].
    pub shrinkage: f64,
}

/// Weights of `count` observations, oldest first: each weighs λ times the next. They sum to one.
#[must_use]
pub fn ewma_weights(count: usize, lambda: f64) -> Vec<f64> {
    let mut weights = vec![1.0; count];
    for i in (1..count).rev() {
        weights[i - 1] = weights[i] * lambda;
    }
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= sum);
    weights
}

/// Σ w·x·x' of `rows` (one row per observation, as many columns as markets).
#[must_use]
pub fn covariance(rows: &[Vec<f64>], weights: &[f64]) -> Matrix {
    let n = rows.first().map_or(0, Vec::len);
    let mut sum = vec![vec![0.0; n]; n];
    for (row, w) in rows.iter().zip(weights) {
        for i in 0..n {
            let wx = w * row[i];
            for j in 0..=i {
                sum[i][j] += wx * row[j];
            }
        }
    }
    for i in 0..n {
        for j in 0..i {
            sum[j][i] = sum[i][j];
        }
    }
    sum
}

/// The covariance of `rows` shrunk towards `target`. Rows must be centred, if they are to be, beforehand.
#[must_use]
pub fn shrink(rows: &[Vec<f64>], weights: &[f64], target: Target) -> Shrunk {
    let sample = covariance(rows, weights);
    let (goal, error) = match target {
        Target::ScaledIdentity => scaled_identity(rows, weights, &sample),
        Target::ConstantCorrelation => constant_correlation(rows, weights, &sample),
    };
    let distance: f64 = entries(&sample).map(|(i, j)| (goal[i][j] - sample[i][j]).powi(2)).sum();
    let shrinkage = if distance > 0.0 { (error / distance).clamp(0.0, 1.0) } else { 0.0 };
    let mut matrix = sample.clone();
    for (i, j) in entries(&sample) {
        matrix[i][j] = shrinkage * goal[i][j] + (1.0 - shrinkage) * sample[i][j];
    }
    Shrunk { matrix, shrinkage }
}

fn entries(matrix: &Matrix) -> impl Iterator<Item = (usize, usize)> {
    let n = matrix.len();
    (0..n).flat_map(move |i| (0..n).map(move |j| (i, j)))
}

/// The target, and the expected squared error of the sample: Σ w²‖xx' − S‖².
fn scaled_identity(rows: &[Vec<f64>], weights: &[f64], sample: &Matrix) -> (Matrix, f64) {
    let n = sample.len();
    #[expect(clippy::cast_precision_loss, reason = "a count of markets")]
    let mean = (0..n).map(|i| sample[i][i]).sum::<f64>() / n.max(1) as f64;
    let mut goal = vec![vec![0.0; n]; n];
    (0..n).for_each(|i| goal[i][i] = mean);
    let mut error = 0.0;
    for (row, w) in rows.iter().zip(weights) {
        error += w * w * entries(sample).map(|(i, j)| (row[i] * row[j] - sample[i][j]).powi(2)).sum::<f64>();
    }
    (goal, error)
}

/// The target, and the error of the sample less its part that the target shares: π − ρ of the paper, times Σw² for 1/T.
fn constant_correlation(rows: &[Vec<f64>], weights: &[f64], sample: &Matrix) -> (Matrix, f64) {
    let n = sample.len();
    let sd: Vec<f64> = (0..n).map(|i| sample[i][i].sqrt()).collect();
    let product = |i: usize, j: usize| sd[i] * sd[j];
    let pairs = || entries(sample).filter(|(i, j)| i != j);
    let correlation = |i: usize, j: usize| if product(i, j) > 0.0 { sample[i][j] / product(i, j) } else { 0.0 };
    let sum: f64 = pairs().map(|(i, j)| correlation(i, j)).sum();
    #[expect(clippy::cast_precision_loss, reason = "a count of markets")]
    let mean = if n > 1 { sum / (n * (n - 1)) as f64 } else { 0.0 };
    let mut goal = sample.clone();
    pairs().for_each(|(i, j)| goal[i][j] = mean * product(i, j));
    // π_ij and θ_ii,ij by one pass over the observations
    let (mut pi, mut theta) = (0.0, vec![vec![0.0; n]; n]);
    let mut pi_diagonal = 0.0;
    for (row, w) in rows.iter().zip(weights) {
        for (i, j) in entries(sample) {
            let off = row[i] * row[j] - sample[i][j];
            pi += w * off * off;
            if i == j {
                pi_diagonal += w * off * off;
            } else {
                theta[i][j] += w * (row[i] * row[i] - sample[i][i]) * off;
            }
        }
    }
    let shared: f64 = pairs().filter(|(i, _)| sd[*i] > 0.0).map(|(i, j)| mean * sd[j] / sd[i] * theta[i][j]).sum();
    let squares: f64 = weights.iter().map(|w| w * w).sum();
    (goal, squares * (pi - pi_diagonal - shared))
}
