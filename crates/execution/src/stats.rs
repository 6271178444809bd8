//! Models of impact and of queues (quant §2.2, §2.3).
#![expect(clippy::float_arithmetic, reason = "statistics: none of these becomes a price or a size")]

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

    #[test]
    fn the_sheets_example() {
        let cost = square_root_impact(1.0, 0.6 / 365.0_f64.sqrt(), 0.005) * 1e4;
        assert!((cost - 22.2).abs() <= 0.05, "{cost}");
    }
}
