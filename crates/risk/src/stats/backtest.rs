//! Whether a quantile was breached as often as it claims: Kupiec 1995 (quant §5).
#![expect(clippy::float_arithmetic, reason = "statistics: none of these becomes a price or a size")]

/// Kupiec's likelihood ratio for `breaches` in `trials` at probability `p`: compare with χ²(1). `breaches` above `trials` count
/// as `trials`.
#[must_use]
pub fn kupiec(trials: u32, breaches: u32, p: f64) -> f64 {
    let (t, n) = (f64::from(trials), f64::from(breaches.min(trials)));
    // k·ln q with 0·ln 0 = 0
    let term = |k: f64, q: f64| if k == 0.0 { 0.0 } else { k * q.ln() };
    let restricted = term(t - n, 1.0 - p) + term(n, p);
    let free = term(t - n, 1.0 - n / t) + term(n, n / t);
    -2.0 * (restricted - free)
}

/// Smallest and largest number of breaches that Kupiec's test does not reject; `None` if it rejects all.
#[must_use]
pub fn kupiec_accepts(trials: u32, p: f64, critical: f64) -> Option<(u32, u32)> {
    let accepts = |n: &u32| kupiec(trials, *n, p) < critical;
    Some(((0..=trials).find(accepts)?, (0..=trials).rev().find(accepts)?))
}

/// The critical value of χ²(1) at `confidence`: z² at (1+confidence)/2, found by bisection of the normal distribution.
#[must_use]
pub fn chi_square_1(confidence: f64) -> f64 {
    let target = f64::midpoint(1.0, confidence);
    let (mut low, mut high) = (0.0_f64, 40.0_f64);
    for _ in 0..200 {
        let mid = f64::midpoint(low, high);
        if normal_cdf(mid) < target { low = mid } else { high = mid }
    }
    low * low
}

/// Φ(x) for x ≥ 0: series for small, continued fraction for large arguments; about 1e-15 absolute.
#[must_use]
pub fn normal_cdf(x: f64) -> f64 {
    let density = (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    if x < 5.0 {
        let (mut term, mut sum) = (x, x);
        for k in 1..200 {
            term *= x * x / f64::from(2 * k + 1);
            sum += term;
        }
        return 0.5 + density * sum;
    }
    let fraction = (1..=60).rev().fold(x, |f, k| x + f64::from(k) / f);
    1.0 - density / fraction
}
