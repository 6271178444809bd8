//! How markets move together: weighted covariance, shrunk, and the risk of a portfolio under it (quant §1.8).
#![expect(clippy::float_arithmetic, reason = "statistics: an amount enters as a weight and leaves rounded up")]

mod shrinkage;

pub use shrinkage::{Matrix, Shrunk, Target, covariance, ewma_weights, shrink};

use domain::{InstrumentId, Usd};
use rust_decimal::prelude::ToPrimitive;

use super::{HOURS_PER_YEAR, away_from_zero};

/// How far correlations go towards one under stress: ρ' = ρ + 0.75(1 − ρ).
pub const STRESS_SHARE: f64 = 0.75;
/// Annual volatility of a market without enough history; it is also taken to move against the rest of the portfolio. Twice
/// what large coins show in a year of crises.
pub const UNKNOWN_VOLATILITY: f64 = 2.0;

/// Covariance of the hourly returns of some markets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Covariance {
    /// The markets, in the order of the matrix.
    pub instruments: Vec<InstrumentId>,
    /// Per hour, after shrinkage.
    pub matrix: Matrix,
    /// Weight δ of the target.
    pub shrinkage: f64,
    /// Hours that all markets share.
    pub hours: usize,
    /// End of the newest of them, hours since 1970; 0 without one.
    pub newest_hour: u64,
}

/// A position as its risk is counted: signed notional in quote currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// Of which market.
    pub instrument: InstrumentId,
    /// Signed notional.
    pub notional: Usd,
}

/// Risk of a portfolio. Amounts are standard deviations of one year in quote currency, rounded up to cents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortfolioRisk {
    /// √(x'Σx).
    pub volatility: Usd,
    /// The same with correlations moved towards one; lower than `volatility` for hedged portfolios.
    pub stressed: Usd,
    /// What each exposure contributes: x_i(Σx)_i/σ, negative for a hedge. Their sum is `volatility` but for rounding.
    pub components: Vec<(InstrumentId, Usd)>,
    /// Exposures without enough history. They count with a volatility of 200 % and as moving against all others.
    pub unknown: Vec<InstrumentId>,
}

impl PortfolioRisk {
    /// The larger of the two volatilities.
    #[must_use]
    pub fn worst(&self) -> Usd {
        self.volatility.max(self.stressed)
    }
}

impl Covariance {
    /// Risk of `exposures`; several of one market are taken together.
    #[must_use]
    pub fn portfolio(&self, exposures: &[Exposure]) -> PortfolioRisk {
        let mut x = vec![0.0; self.instruments.len()];
        let (mut unknown, mut unknown_sum) = (std::collections::BTreeMap::new(), 0.0);
        for exposure in exposures {
            // an amount beyond f64's exact range is still right to 15 digits
            let notional = exposure.notional.decimal().to_f64().unwrap_or(f64::MAX);
            match self.instruments.iter().position(|id| *id == exposure.instrument) {
                Some(place) => x[place] += notional,
                None => *unknown.entry(exposure.instrument).or_insert(0.0) += notional,
            }
        }
        unknown.retain(|_, notional: &mut f64| *notional != 0.0);
        unknown.values().for_each(|notional| unknown_sum += notional.abs() * UNKNOWN_VOLATILITY);
        let annual = f64::from(HOURS_PER_YEAR);
        let times = |matrix: &dyn Fn(usize, usize) -> f64, i: usize| -> f64 {
            x.iter().enumerate().map(|(j, xj)| matrix(i, j) * xj).sum()
        };
        let plain = |i: usize, j: usize| self.matrix[i][j] * annual;
        let moved = |i: usize, j: usize| {
            let product = (plain(i, i) * plain(j, j)).sqrt();
            plain(i, j) + STRESS_SHARE * (product - plain(i, j))
        };
        let variance =
            |matrix: &dyn Fn(usize, usize) -> f64| -> f64 { x.iter().enumerate().map(|(i, xi)| xi * times(matrix, i)).sum() };
        let sigma = variance(&plain).max(0.0).sqrt();
        let stressed = variance(&moved).max(0.0).sqrt();
        let share = |i: usize| if sigma > 0.0 { x[i] * times(&plain, i) / sigma } else { 0.0 };
        let known = self.instruments.iter().enumerate().filter(|(i, _)| x[*i] != 0.0).map(|(i, id)| (*id, usd(share(i))));
        let others = unknown.iter().map(|(id, notional)| (*id, usd(notional.abs() * UNKNOWN_VOLATILITY)));
        PortfolioRisk {
            volatility: usd(sigma + unknown_sum),
            stressed: usd(stressed + unknown_sum),
            components: known.chain(others).collect(),
            unknown: unknown.keys().copied().collect(),
        }
    }

    /// Slope of the returns of `of` on those of `on`.
    #[must_use]
    pub fn beta(&self, of: InstrumentId, on: InstrumentId) -> Option<f64> {
        let (i, j) = (self.place(of)?, self.place(on)?);
        Some(self.matrix[i][j] / self.matrix[j][j]).filter(|beta| beta.is_finite())
    }

    /// Correlation of the returns of two markets.
    #[must_use]
    pub fn correlation(&self, a: InstrumentId, b: InstrumentId) -> Option<f64> {
        let (i, j) = (self.place(a)?, self.place(b)?);
        Some(self.matrix[i][j] / (self.matrix[i][i] * self.matrix[j][j]).sqrt()).filter(|rho| rho.is_finite())
    }

    fn place(&self, instrument: InstrumentId) -> Option<usize> {
        self.instruments.iter().position(|id| *id == instrument)
    }
}

/// Away from zero to cents; what no amount holds is the largest that a limit will ever be held against.
fn usd(value: f64) -> Usd {
    let amount = away_from_zero(value, 2).and_then(|ratio| Usd::new(ratio.decimal()).ok());
    amount.unwrap_or(if value < 0.0 { -Usd::whole(i32::MAX) } else { Usd::whole(i32::MAX) })
}

#[cfg(test)]
mod tests;
