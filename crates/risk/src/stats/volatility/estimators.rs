//! Estimators of variance from bars and returns (quant §1.2). Each is per bar; annualise with the number of bars in a year.
#![expect(clippy::float_arithmetic, reason = "statistics: none of these becomes a price or a size")]

use domain::Bar;

/// A bar's prices as numbers: only their ratios matter, so any unit will do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PriceBar {
    /// Open.
    pub open: f64,
    /// High.
    pub high: f64,
    /// Low.
    pub low: f64,
    /// Close.
    pub close: f64,
}

impl PriceBar {
    /// The bar in ticks.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "ticks beyond 2^53 lose less than a part in 10^15")]
    pub fn of(bar: &Bar) -> PriceBar {
        PriceBar { open: bar.open.0 as f64, high: bar.high.0 as f64, low: bar.low.0 as f64, close: bar.close.0 as f64 }
    }

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
