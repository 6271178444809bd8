//! Statistics that the execution crate's formulas and the reports' reader use: volatility of bars and returns, the test of a
//! quantile against what happened, impact models (quant §1.2, §2.1–2.3, §5).
#![expect(clippy::float_arithmetic, reason = "statistics: none of these becomes a price or a size")]

/// Price bar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// Open.
    pub open: f64,
    /// High.
    pub high: f64,
    /// Low.
    pub low: f64,
    /// Close.
    pub close: f64,
}

impl Bar {
    /// Parkinson 1980: variance of one bar from its range.
    #[must_use]
    pub fn parkinson(&self) -> f64 {
        (self.high / self.low).ln().powi(2) / (4.0 * std::f64::consts::LN_2)
    }

    /// Garman & Klass 1980: variance of one bar, zero drift, no gaps.
    #[must_use]
    pub fn garman_klass(&self) -> f64 {
        let range = (self.high / self.low).ln().powi(2);
        range / 2.0 - (2.0 * std::f64::consts::LN_2 - 1.0) * (self.close / self.open).ln().powi(2)
    }

    /// Rogers & Satchell 1991: variance of one bar, whatever its drift.
    #[must_use]
    pub fn rogers_satchell(&self) -> f64 {
        let ln = |a: f64, b: f64| (a / b).ln();
        ln(self.high, self.close) * ln(self.high, self.open) + ln(self.low, self.close) * ln(self.low, self.open)
    }
}

/// Exponentially weighted variance per bar: s² ← λ·s² + (1−λ)·r², seeded with the first r². `None` without returns.
#[must_use]
pub fn ewma_variance(returns: &[f64], lambda: f64) -> Option<f64> {
    let (first, rest) = returns.split_first()?;
    Some(rest.iter().fold(first * first, |s, r| lambda * s + (1.0 - lambda) * r * r))
}

/// Realised variance: the sum of squared returns.
#[must_use]
pub fn realised_variance(returns: &[f64]) -> f64 {
    returns.iter().map(|r| r * r).sum()
}

/// Kupiec's likelihood ratio for `breaches` in `trials` at probability `p`: compare with χ²(1).
#[must_use]
pub fn kupiec(trials: u32, breaches: u32, p: f64) -> f64 {
    let (t, n) = (f64::from(trials), f64::from(breaches));
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
fn normal_cdf(x: f64) -> f64 {
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

/// Almgren, Thum, Hauptmann & Li 2005: what trading X of an average daily volume V in T days moves and costs, as shares of price.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PowerLaw {
    /// Daily volatility.
    pub sigma_daily: f64,
    /// X/V.
    pub volume_share: f64,
    /// T in days.
    pub days: f64,
    /// Θ/V, shares outstanding per daily volume.
    pub turnover_inverse: f64,
    /// γ, permanent coefficient (0.314).
    pub gamma: f64,
    /// η, temporary coefficient (0.142).
    pub eta: f64,
    /// β, temporary exponent (0.6).
    pub beta: f64,
    /// δ, exponent of Θ/V (¼).
    pub delta: f64,
}

impl PowerLaw {
    /// I, the permanent move.
    #[must_use]
    pub fn permanent(&self) -> f64 {
        self.gamma * self.sigma_daily * self.volume_share * self.turnover_inverse.powf(self.delta)
    }

    /// K, the temporary move.
    #[must_use]
    pub fn temporary(&self) -> f64 {
        self.eta * self.sigma_daily * (self.volume_share / self.days).abs().powf(self.beta) * self.volume_share.signum()
    }

    /// J = I/2 + K, the cost.
    #[must_use]
    pub fn cost(&self) -> f64 {
        self.permanent() / 2.0 + self.temporary()
    }
}

/// Square-root law: cost ≈ Y·σ_d·√(Q/ADV), a share of price.
#[must_use]
pub fn square_root_impact(y: f64, sigma_daily: f64, volume_share: f64) -> f64 {
    y * sigma_daily * volume_share.sqrt()
}

/// Obizhaeva & Wang 2013: the block at the start, the block at the end, and the rate between, for resilience ρ.
#[must_use]
pub fn obizhaeva_wang(quantity: f64, rho: f64, horizon: f64) -> (f64, f64, f64) {
    let block = quantity / (rho * horizon + 2.0);
    (block, block, rho * block)
}

/// Cont & Kukanov 2017 with one venue: the fraction of the outflow distribution that the queue and our limit order reach,
/// (2h+f+r)/(λ_u+h+r), clamped to what a distribution can give.
#[must_use]
pub fn limit_fraction(half_spread: f64, fee: f64, rebate: f64, lambda_u: f64) -> f64 {
    ((2.0 * half_spread + fee + rebate) / (lambda_u + half_spread + rebate)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, want: f64, tol: f64) {
        assert!((got - want).abs() <= tol, "{got} is not {want} ± {tol}");
    }

    #[test]
    fn the_sheets_examples() {
        let s2 = ewma_variance(&[0.01, -0.02, 0.015, -0.005, 0.03], 0.94).unwrap();
        near(s2, 1.653_475_1e-4, 1e-11);
        near((s2 * 365.0).sqrt(), 0.2457, 5e-5);
        assert_eq!(ewma_variance(&[], 0.94), None);
        near(square_root_impact(1.0, 0.6 / 365.0_f64.sqrt(), 0.005) * 1e4, 22.2, 0.05);
        assert_eq!(kupiec_accepts(1_000, 0.01, 3.841), Some((5, 16)));
        near(chi_square_1(0.95), 3.841_458_820_694, 1e-9);
        near(chi_square_1(0.99), 6.634_896_601, 1e-8);
        near(normal_cdf(6.0), 1.0 - 9.865_876e-10, 1e-15);
    }
}
