//! Margin models, shared by the guard and the simulated exchange.

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use crate::{Ratio, Usd};

/// One margin tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// Smallest position notional in this tier, inclusive.
    pub from: Usd,
    /// Highest leverage in this tier.
    pub leverage_max: u32,
    /// Maintenance rate `1/(2·leverage_max)`.
    pub rate: Ratio,
    /// Deduction that makes maintenance continuous over tier bounds.
    pub deduction: Usd,
}

/// Hyperliquid's maintenance margin by notional: `N·r_k − d_k`, `d_k = d_{k−1} + L_k·(r_k − r_{k−1})` (quant §4.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarginTable {
    tiers: Vec<Tier>,
}

/// Why tiers make no margin table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("margin tiers must start at 0, rise, and have a leverage of 1 to 1000 that never grows: {0}")]
pub struct BadTiers(String);

impl MarginTable {
    /// A table from `(lower bound, highest leverage)` pairs, the first bound 0.
    ///
    /// # Errors
    /// If the bounds do not start at zero and rise, or a leverage is 0, above 1000 or grows.
    pub fn new(steps: &[(Usd, u32)]) -> Result<MarginTable, BadTiers> {
        let bad = || BadTiers(format!("{steps:?}"));
        if steps.first().is_none_or(|(from, _)| *from != Usd::ZERO) {
            return Err(bad());
        }
        let mut tiers: Vec<Tier> = Vec::with_capacity(steps.len());
        for &(from, leverage_max) in steps {
            if !(1..=1_000).contains(&leverage_max) {
                return Err(bad());
            }
            let rate = maintenance_rate(leverage_max);
            let deduction = match tiers.last() {
                None => Usd::ZERO,
                Some(below) if below.from < from && below.leverage_max >= leverage_max => {
                    let step = Ratio::new(rate.decimal() - below.rate.decimal()).map_err(|_| bad())?;
                    below.deduction + from.times(step)
                }
                Some(_) => return Err(bad()),
            };
            tiers.push(Tier { from, leverage_max, rate, deduction });
        }
        Ok(MarginTable { tiers })
    }

    /// A table with one tier.
    ///
    /// # Panics
    /// If `leverage_max` is 0 or above 1000.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a programmer's error: callers check the leverage they were given")]
    pub fn flat(leverage_max: u32) -> MarginTable {
        MarginTable::new(&[(Usd::ZERO, leverage_max)]).expect("invariant: a flat table's leverage is 1 to 1000")
    }

    /// All tiers, lowest first.
    #[must_use]
    pub fn tiers(&self) -> &[Tier] {
        &self.tiers
    }

    /// The tier of a position worth `notional` (its magnitude).
    #[must_use]
    pub fn tier(&self, notional: Usd) -> &Tier {
        let at = self.tiers.partition_point(|t| t.from <= notional);
        &self.tiers[at.saturating_sub(1)]
    }

    /// Maintenance margin of a position worth `notional` (its magnitude).
    #[must_use]
    pub fn maintenance(&self, notional: Usd) -> Usd {
        let tier = self.tier(notional);
        notional.times(tier.rate) - tier.deduction
    }

    /// Initial margin of a position worth `notional` at `leverage`, which is capped by the tier's.
    #[must_use]
    pub fn initial(&self, notional: Usd, leverage: u32) -> Usd {
        let leverage = leverage.clamp(1, self.tier(notional).leverage_max);
        let rate = Decimal::ONE / Decimal::from(leverage);
        let rate = rate.round_dp_with_strategy(12, RoundingStrategy::ToPositiveInfinity);
        Ratio::new(rate).map_or(notional, |r| notional.times(r))
    }
}

/// `1/(2·leverage)`, rounded up at 12 decimals so that a third never understates.
fn maintenance_rate(leverage: u32) -> Ratio {
    let rate = Decimal::ONE / Decimal::from(2 * leverage);
    let rate = rate.round_dp_with_strategy(12, RoundingStrategy::ToPositiveInfinity);
    Ratio::new(rate).unwrap_or(Ratio::ONE)
}

/// Hyperliquid's liquidation price of one position, the rest of the account frozen (fact sheet §8.3):
/// the price at which account value equals maintenance, solved in the tier where it lies.
///
/// `size` is signed base units, `value` the account value (isolated: the position's margin) at `mark`, and
/// `maintenance_other` the maintenance of all other positions. `None` if no positive price liquidates it.
#[must_use]
pub fn liquidation_price(
    table: &MarginTable,
    size: Decimal,
    mark: Decimal,
    value: Decimal,
    maintenance_other: Decimal,
) -> Option<Decimal> {
    // value + size·(x − mark) = maintenance_other + |size|·x·r − d, per tier
    let steps = table.tiers();
    for (k, tier) in steps.iter().enumerate() {
        let slope = size.checked_sub(size.abs().checked_mul(tier.rate.decimal())?)?;
        let level =
            maintenance_other.checked_sub(tier.deduction.decimal())?.checked_sub(value)?.checked_add(size.checked_mul(mark)?)?;
        let Some(x) = level.checked_div(slope) else { continue };
        let notional = size.abs().checked_mul(x)?;
        let below_next = steps.get(k + 1).is_none_or(|next| notional < next.from.decimal());
        if x > Decimal::ZERO && notional >= tier.from.decimal() && below_next {
            return Some(x);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Usd {
        text.parse().unwrap_or_else(|e| panic!("{e}"))
    }

    fn dec(text: &str) -> Decimal {
        Decimal::from_str_exact(text).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn tiers_measured_on_the_testnet() {
        // fact sheet §8.2: 12,073.655 under tiers 40x/0, 25x/10,000, 10x/50,000
        let table =
            MarginTable::new(&[(Usd::ZERO, 40), (usd("10000"), 25), (usd("50000"), 10)]).unwrap_or_else(|e| panic!("{e}"));
        let deductions: Vec<_> = table.tiers().iter().map(|t| t.deduction).collect();
        assert_eq!(deductions, [usd("0"), usd("75"), usd("1575")]);
        assert_eq!(table.maintenance(usd("12073.655")), usd("166.4731"));
        assert_eq!(table.maintenance(usd("5873.49")), usd("73.418625"));
        assert!(MarginTable::new(&[(usd("1"), 40)]).is_err());
        assert!(MarginTable::new(&[(Usd::ZERO, 10), (usd("5"), 20)]).is_err());
    }

    #[test]
    fn liquidation_prices_of_the_sheet() {
        let at = |lev: u32, size: &str, mark: &str, value: &str, other: &str| {
            liquidation_price(&MarginTable::flat(lev), dec(size), dec(mark), dec(value), dec(other)).map(|p| p.round_dp(4))
        };
        assert_eq!(at(10, "1", "100", "20", "0"), Some(dec("84.2105")));
        assert_eq!(at(40, "1", "64706", "8000", "373.86"), Some(dec("57802.3899")));
        assert_eq!(at(10, "1", "100", "200", "0"), None);
        let tiered = MarginTable::new(&[(Usd::ZERO, 40), (usd("150000000"), 20)]).unwrap_or_else(|e| panic!("{e}"));
        let liq = liquidation_price(&tiered, dec("3000"), dec("64706"), dec("10000000"), Decimal::ZERO);
        assert_eq!(liq.map(|p| p.round_dp(4)), Some(dec("62305.2991")));
    }
}
