use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use crate::margin::MarginModel;
use crate::{InstrumentId, Lots, OutOfRange, Px, Qty, Side, Usd};

/// What a venue asks of a price beyond lying on the tick grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceRule {
    /// Nothing (dYdX: subticks per tick).
    Grid,
    /// At most this many significant figures, whole numbers always allowed (Hyperliquid: 5).
    SignificantFigures(u8),
}

/// Whether and how a market trades.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarketStatus {
    /// Everything is allowed.
    #[default]
    Open,
    /// The venue takes post-only orders alone (Hyperliquid after an upgrade; dYdX `POST_ONLY`).
    PostOnly,
    /// The venue takes cancels alone.
    CancelOnly,
    /// Delisted, settling or halted: positions may only shrink, and only if the venue lets them.
    Closed,
}

/// A perpetual with the rules its venue publishes. Read from the venue at start and on change, never hard-coded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instrument {
    /// Its name.
    pub id: InstrumentId,
    /// The number by which orders name it: Hyperliquid's asset id, dYdX's clob pair id.
    pub venue_asset: u32,
    /// Quote currency per unit of [`Px`].
    pub tick: Decimal,
    /// Base units per unit of [`Qty`].
    pub lot: Decimal,
    /// What a price must satisfy besides the tick.
    pub price_rule: PriceRule,
    /// Smallest order in lots.
    pub qty_min: Qty,
    /// Smallest order value; an order that closes a whole position is exempt.
    pub notional_min: Usd,
    /// Highest leverage at the first tier.
    pub leverage_max: u32,
    /// Initial and maintenance margin by notional.
    pub margin: MarginModel,
    /// Whether it trades.
    pub status: MarketStatus,
    /// Whether cross margin is refused for it.
    pub isolated_only: bool,
}

impl Instrument {
    /// Value of `qty` lots at `px`, exact.
    ///
    /// # Panics
    /// If the product leaves the decimal's range, which bounded prices and quantities cannot reach.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a programmer's error: prices and quantities are bounded on entry")]
    pub fn notional(&self, px: Px, qty: Qty) -> Usd {
        let units = i128::from(px.0) * i128::from(qty.0);
        let value = Decimal::try_from_i128_with_scale(units, 0)
            .ok()
            .and_then(|u| u.checked_mul(self.tick_lot()))
            .expect("invariant: price times quantity fits");
        Usd::new(value).expect("invariant: a notional stays below 10^15")
    }

    /// Signed value of a position at `px`.
    #[must_use]
    pub fn value(&self, px: Px, position: Lots) -> Usd {
        let value = self.notional(px, position.abs());
        if position.0 < 0 { -value } else { value }
    }

    /// What one lot changes in value when the price moves by one tick.
    #[must_use]
    pub fn tick_lot(&self) -> Decimal {
        self.tick * self.lot
    }

    /// The price as a decimal in quote currency.
    #[must_use]
    pub fn px_decimal(&self, px: Px) -> Decimal {
        Decimal::from(px.0) * self.tick
    }

    /// The quantity as a decimal in base units.
    #[must_use]
    pub fn qty_decimal(&self, qty: Qty) -> Decimal {
        Decimal::from(qty.0) * self.lot
    }

    /// The position as a decimal in base units.
    #[must_use]
    pub fn lots_decimal(&self, lots: Lots) -> Decimal {
        Decimal::from(lots.0) * self.lot
    }

    /// The price `value`, which must lie on the tick grid exactly (the significant-figures rule is not asked).
    ///
    /// # Errors
    /// If it is off the grid, not positive, or too large.
    pub fn px_exact(&self, value: Decimal) -> Result<Px, OutOfRange> {
        on_grid(value, self.tick)
            .filter(|ticks| *ticks > 0)
            .map(Px)
            .ok_or_else(|| OutOfRange { text: value.to_string(), expected: "a positive price on the instrument's tick grid" })
    }

    /// The quantity `value`, which must lie on the lot grid exactly.
    ///
    /// # Errors
    /// If it is off the grid, negative, or too large.
    pub fn qty_exact(&self, value: Decimal) -> Result<Qty, OutOfRange> {
        on_grid(value, self.lot).filter(|lots| *lots >= 0).map(Qty).ok_or_else(|| OutOfRange {
            text: value.to_string(),
            expected: "a quantity on the instrument's lot grid, zero or more",
        })
    }

    /// The position `value`, which must lie on the lot grid exactly.
    ///
    /// # Errors
    /// If it is off the grid or too large.
    pub fn lots_exact(&self, value: Decimal) -> Result<Lots, OutOfRange> {
        on_grid(value, self.lot)
            .map(Lots)
            .ok_or_else(|| OutOfRange { text: value.to_string(), expected: "a position on the instrument's lot grid" })
    }

    /// The nearest tick to `value`, halves away from zero: for marks and oracles, which do not lie on the grid.
    ///
    /// # Errors
    /// If it is not positive or too large.
    pub fn px_nearest(&self, value: Decimal) -> Result<Px, OutOfRange> {
        value
            .checked_div(self.tick)
            .map(|t| t.round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero))
            .and_then(|t| i64::try_from(t).ok())
            .filter(|ticks| (1..=TICKS_MAX).contains(ticks))
            .map(Px)
            .ok_or_else(|| OutOfRange { text: value.to_string(), expected: "a positive price" })
    }

    /// The whole lots in `value` base units, rounded down.
    #[must_use]
    pub fn floor_to_lot(&self, value: Decimal) -> Qty {
        let lots = value.checked_div(self.lot).map(|l| l.floor()).and_then(|l| i64::try_from(l).ok());
        Qty(lots.unwrap_or(0).clamp(0, LOTS_MAX))
    }

    /// Whether the venue accepts `px` as a limit price.
    #[must_use]
    pub fn allows_px(&self, px: Px) -> bool {
        px.0 > 0 && px.0 <= TICKS_MAX && px.0 % self.step_at(px) == 0
    }

    /// The nearest acceptable price that is no worse for us than `px`: not higher when buying, not lower when selling.
    #[must_use]
    pub fn round_passive(&self, px: Px, side: Side) -> Px {
        match side {
            Side::Buy => self.floor_px(px),
            Side::Sell => self.ceil_px(px),
        }
    }

    /// The largest acceptable price that is not above `px`.
    #[must_use]
    pub fn floor_px(&self, px: Px) -> Px {
        let step = self.step_at(px);
        Px((px.0 - px.0.rem_euclid(step)).max(0))
    }

    /// The smallest acceptable price that is not below `px`.
    #[must_use]
    pub fn ceil_px(&self, px: Px) -> Px {
        let step = self.step_at(px);
        let up = px.0 + (step - px.0.rem_euclid(step)) % step;
        // a carry into the next power of ten lands on a coarser grid, on which that power lies
        Px(up)
    }

    /// Distance between neighbouring acceptable prices around `px`, in ticks.
    #[must_use]
    pub fn step_at(&self, px: Px) -> i64 {
        let PriceRule::SignificantFigures(figures) = self.price_rule else { return 1 };
        let one = self.ticks_per_unit();
        let mut step = 1_i64;
        let limit = 10_i64.saturating_pow(u32::from(figures));
        // with ticks of 10^-k the number of digits of `px` counts significant figures; whole units are always allowed
        while px.0 / step >= limit && step < one {
            step *= 10;
        }
        step
    }

    fn ticks_per_unit(&self) -> i64 {
        // every venue's tick is a power of ten below one: asked for each order, so without a decimal division
        if self.tick.mantissa() == 1 && self.tick.scale() <= 18 {
            return 10_i64.pow(self.tick.scale());
        }
        Decimal::ONE.checked_div(self.tick).and_then(|t| i64::try_from(t.floor()).ok()).unwrap_or(1).max(1)
    }
}

/// Largest price in ticks and quantity in lots: their product stays far inside 128 bits and 10^15 of money is reached earlier.
const TICKS_MAX: i64 = 1_000_000_000_000_000;
const LOTS_MAX: i64 = 1_000_000_000_000_000;

fn on_grid(value: Decimal, step: Decimal) -> Option<i64> {
    let steps = value.checked_div(step)?;
    if !steps.fract().is_zero() || steps.checked_mul(step)? != value {
        return None;
    }
    i64::try_from(steps).ok().filter(|n| n.abs() <= TICKS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InstrumentId, Venue};

    fn perp(sz_decimals: u32) -> Instrument {
        Instrument {
            id: InstrumentId::new(Venue::Hyperliquid, "T").unwrap_or_else(|e| panic!("{e}")),
            venue_asset: 0,
            tick: Decimal::new(1, 6 - sz_decimals),
            lot: Decimal::new(1, sz_decimals),
            price_rule: PriceRule::SignificantFigures(5),
            qty_min: Qty(1),
            notional_min: Usd::whole(10),
            leverage_max: 40,
            margin: MarginModel::flat(40),
            status: MarketStatus::Open,
            isolated_only: false,
        }
    }

    #[test]
    fn five_significant_figures_and_whole_numbers() {
        let btc = perp(5); // ticks of 0.1
        assert!(btc.allows_px(Px(971_230)), "97123 is whole");
        assert!(!btc.allows_px(Px(971_235)), "97123.5 has six figures");
        assert!(btc.allows_px(Px(99_995)), "9999.5 has five figures");
        assert_eq!(btc.floor_px(Px(971_239)), Px(971_230));
        assert_eq!(btc.ceil_px(Px(971_231)), Px(971_240));
        assert_eq!(btc.ceil_px(Px(999_999)), Px(1_000_000));
        let million = perp(0);
        assert!(million.allows_px(Px(5_000_001_000_000)), "whole numbers are always allowed");
        assert_eq!(btc.notional(Px(971_230), Qty(1)).to_string(), "0.97123");
    }

    #[test]
    fn off_grid_is_refused_not_rounded() {
        let btc = perp(5);
        assert!(btc.px_exact(Decimal::new(9712355, 2)).is_err());
        assert!(btc.qty_exact(Decimal::new(15, 6)).is_err());
        assert_eq!(btc.floor_to_lot(Decimal::new(15, 6)), Qty(1));
        assert!(btc.px_exact(Decimal::ZERO).is_err());
    }
}
