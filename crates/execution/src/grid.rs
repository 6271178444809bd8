use domain::{Instrument, PriceRule, Px, Qty, Side};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// What a worker needs of an instrument, without its margin table: ten thousand workers hold one each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub tick: Decimal,
    pub lot: Decimal,
    /// Significant figures of a price; 0: the tick grid alone.
    figures: u8,
    ticks_per_unit: i64,
    qty_min: i64,
    /// Smallest order value in tick·lots, rounded up.
    value_min: i128,
}

impl Grid {
    pub(crate) fn new(instrument: &Instrument) -> Grid {
        let ticks_per_unit = Decimal::ONE.checked_div(instrument.tick).and_then(|t| t.floor().to_i64()).unwrap_or(1).max(1);
        let value_min = instrument.notional_min.decimal().checked_div(instrument.tick_lot()).and_then(|v| v.ceil().to_i128());
        Grid {
            tick: instrument.tick,
            lot: instrument.lot,
            figures: match instrument.price_rule {
                PriceRule::Grid => 0,
                PriceRule::SignificantFigures(n) => n,
            },
            ticks_per_unit,
            qty_min: instrument.qty_min.0.max(1),
            // an instrument without a usable tick or lot gets a minimum that nothing reaches, not one that everything does
            value_min: value_min.unwrap_or(i128::MAX),
        }
    }

    /// Smallest order at `px`, with `margin_bps` on its value for a price that moves meanwhile.
    pub(crate) fn smallest(&self, px: Px, margin_bps: i64) -> Qty {
        if px.0 <= 0 {
            return Qty(i64::MAX);
        }
        let value = self.value_min.saturating_mul(i128::from(10_000 + margin_bps));
        let by_value = value.checked_add(i128::from(px.0) * 10_000 - 1).map_or(i128::MAX, |v| v / (i128::from(px.0) * 10_000));
        Qty(i64::try_from(by_value).unwrap_or(i64::MAX).max(self.qty_min))
    }

    /// Distance between neighbouring acceptable prices around `px`, in ticks.
    pub(crate) fn step(&self, px: Px) -> i64 {
        if self.figures == 0 {
            return 1;
        }
        let limit = 10_i64.saturating_pow(u32::from(self.figures));
        let mut step = 1_i64;
        while px.0 / step >= limit && step < self.ticks_per_unit {
            step *= 10;
        }
        step
    }

    /// The nearest acceptable price that is no worse for us than `px`.
    pub(crate) fn inward(&self, px: Px, side: Side) -> Px {
        let step = self.step(px);
        let down = px.0 - px.0.rem_euclid(step);
        match side {
            Side::Buy => Px(down.max(0)),
            Side::Sell if down == px.0 => px,
            Side::Sell => Px(down + step),
        }
    }

    /// `steps` acceptable prices away from `px`: towards the other side of the book if positive.
    pub(crate) fn shift(&self, px: Px, side: Side, steps: i64) -> Px {
        Px(px.0 + side.sign() * steps * self.step(px))
    }
}

#[cfg(test)]
mod tests {
    use domain::margin::MarginModel;
    use domain::{InstrumentId, MarketStatus, Usd, Venue};
    use proptest::prelude::*;

    use super::*;

    fn instrument(sz_decimals: u32, rule: PriceRule) -> Instrument {
        Instrument {
            id: InstrumentId::new(Venue::Hyperliquid, "T").unwrap(),
            venue_asset: 0,
            tick: Decimal::new(1, 6 - sz_decimals),
            lot: Decimal::new(1, sz_decimals),
            price_rule: rule,
            qty_min: Qty(3),
            notional_min: Usd::whole(10),
            leverage_max: 40,
            margin: MarginModel::flat(40),
            status: MarketStatus::Open,
            isolated_only: false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_instrument(sz_decimals in 0_u32..6, px in 1_i64..100_000_000_000, figures in any::<bool>()) {
            let rule = if figures { PriceRule::SignificantFigures(5) } else { PriceRule::Grid };
            let instrument = instrument(sz_decimals, rule);
            let (grid, px) = (Grid::new(&instrument), Px(px));
            for side in [Side::Buy, Side::Sell] {
                prop_assert_eq!(grid.inward(px, side), instrument.round_passive(px, side));
            }
            prop_assert_eq!(grid.step(px), instrument.step_at(px));
            let smallest = grid.smallest(px, 0);
            let enough = |qty: Qty| qty.0 >= 3 && instrument.notional(px, qty) >= Usd::whole(10);
            prop_assert!(enough(smallest) && !enough(Qty(smallest.0 - 1)));
            prop_assert!(grid.smallest(px, 1_000) >= smallest);
        }
    }
}
