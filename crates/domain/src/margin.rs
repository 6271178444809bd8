//! Margin models, shared by the guard and the simulated exchange. Start with [`MarginModel`].

mod dydx;

pub use dydx::{BadTier, DydxMargin, DydxTier, PPM};

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use crate::{Ratio, Usd};

/// How a market's margin follows from a position's notional: which venue's rules, with the numbers that it publishes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MarginModel {
    /// Hyperliquid: tiers by notional, margined at the mark.
    Hyperliquid(MarginTable),
    /// dYdX v4: one maintenance rate, an initial rate that grows with open interest, margined at the oracle.
    Dydx(DydxMargin),
}

impl From<MarginTable> for MarginModel {
    fn from(table: MarginTable) -> MarginModel {
        MarginModel::Hyperliquid(table)
    }
}

impl From<DydxMargin> for MarginModel {
    fn from(margin: DydxMargin) -> MarginModel {
        MarginModel::Dydx(margin)
    }
}

impl MarginModel {
    /// Hyperliquid's model with one tier.
    ///
    /// # Panics
    /// If `leverage_max` is 0 or above 1000.
    #[must_use]
    pub fn flat(leverage_max: u32) -> MarginModel {
        MarginModel::Hyperliquid(MarginTable::flat(leverage_max))
    }

    /// Maintenance by notional as a table; dYdX's has one tier.
    #[must_use]
    pub fn table(&self) -> &MarginTable {
        match self {
            MarginModel::Hyperliquid(table) => table,
            MarginModel::Dydx(margin) => margin.table(),
        }
    }

    /// The table for a position whose own highest leverage is `own`, where the venue reports one (quant §4.1): it replaces the
    /// first tier's and caps the higher ones. `None` if that makes no table. dYdX's maintenance knows no leverage of a position.
    #[must_use]
    pub fn table_at(&self, own: u32) -> Option<MarginTable> {
        match self {
            MarginModel::Hyperliquid(table) => {
                let at = |(k, tier): (usize, &Tier)| (tier.from, if k == 0 { own } else { own.min(tier.leverage_max) });
                MarginTable::new(&table.tiers().iter().enumerate().map(at).collect::<Vec<_>>()).ok()
            }
            MarginModel::Dydx(margin) => Some(margin.table().clone()),
        }
    }

    /// All tiers, lowest first.
    #[must_use]
    pub fn tiers(&self) -> &[Tier] {
        self.table().tiers()
    }

    /// The tier of a position worth `notional` (its magnitude).
    #[must_use]
    pub fn tier(&self, notional: Usd) -> &Tier {
        self.table().tier(notional)
    }

    /// Maintenance margin of a position worth `notional` (its magnitude).
    #[must_use]
    pub fn maintenance(&self, notional: Usd) -> Usd {
        match self {
            MarginModel::Hyperliquid(table) => table.maintenance(notional),
            MarginModel::Dydx(margin) => margin.maintenance(notional),
        }
    }

    /// Initial margin of a position worth `notional` at the account's `leverage`. `open_interest` is the market's, valued at
    /// the oracle; Hyperliquid does not ask it, and for dYdX an unknown one counts as full: the whole notional is asked.
    #[must_use]
    pub fn initial(&self, notional: Usd, leverage: u32, open_interest: Option<Usd>) -> Usd {
        match self {
            MarginModel::Hyperliquid(table) => table.initial(notional, leverage),
            MarginModel::Dydx(margin) => margin.initial_at(notional, leverage, open_interest),
        }
    }

    /// The price at which account value equals maintenance ([`liquidation_price`]).
    #[must_use]
    pub fn liquidation_price(
        &self,
        size: Decimal,
        price: Decimal,
        value: Decimal,
        maintenance_other: Decimal,
    ) -> Option<Decimal> {
        liquidation_price(self.table(), size, price, value, maintenance_other)
    }

    /// The venue's limit of the funding rate per hour, either way: 4 % on Hyperliquid, `6·(IMF − MMF)/8` on dYdX (quant §3).
    #[must_use]
    pub fn funding_cap_hourly(&self) -> Ratio {
        match self {
            MarginModel::Hyperliquid(_) => Ratio::scaled(4, 2),
            MarginModel::Dydx(margin) => margin.funding_cap_hourly(),
        }
    }
}

/// One margin tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// Smallest position notional in this tier, inclusive.
    pub from: Usd,
    /// Highest leverage in this tier.
    pub leverage_max: u32,
    /// Maintenance rate: on Hyperliquid `1/(2·leverage_max)`.
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

    /// A table of one tier with a maintenance rate of its own.
    fn of_rate(leverage_max: u32, rate: Ratio) -> MarginTable {
        MarginTable { tiers: vec![Tier { from: Usd::ZERO, leverage_max, rate, deduction: Usd::ZERO }] }
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
mod tests;
