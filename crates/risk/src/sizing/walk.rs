//! What it costs to leave a position through the visible book (quant §1.5).

use domain::{Book, Instrument, Side, Span, Usd};
use rust_decimal::Decimal;
use serde::Serialize;

use crate::exact::{add, div, mul, needed, sqrt_up};

/// Levels of a book that are walked: venues show 20 to 100, and a deeper one adds no more than a tighter tail.
const LEVELS_MAX: usize = 200;

/// One level, seen from the mid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct WalkStep {
    /// Its quantity valued at the mid.
    pub notional: Decimal,
    /// `|price/mid − 1|`.
    pub offset: Decimal,
}

/// One side of a book as cost by notional: `N·s(N)`, piecewise linear, convex.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Walk {
    steps: Vec<WalkStep>,
}

/// What sizing needs of a book: the side that a position would be closed through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Depth {
    /// Cost by notional.
    pub walk: Walk,
    /// Depth within [`super::SizingParams::depth_bps`] of the mid: a low quantile of the last minute, so that one thick second
    /// raises nothing.
    pub near: Usd,
    /// Age of the book.
    pub age: Span,
}

impl Walk {
    /// The side of `book` that closes a position of side `position`: a long is sold into the bids. `None` for a book that is
    /// empty on a side, locked or crossed.
    #[must_use]
    pub fn of(book: &Book, instrument: &Instrument, position: Side) -> Option<Walk> {
        if !book.is_sane() {
            return None;
        }
        let mid_x2 = Decimal::from(book.mid_x2()?);
        let levels = match position {
            Side::Buy => &book.bids,
            Side::Sell => &book.asks,
        };
        let lot_at_mid = mul(div(mid_x2, Decimal::TWO), instrument.tick_lot());
        let step = |level: &domain::Level| WalkStep {
            notional: mul(Decimal::from(level.qty.0), lot_at_mid),
            offset: add(div(mul(Decimal::from(level.px.0), Decimal::TWO), mid_x2), Decimal::NEGATIVE_ONE).abs(),
        };
        Walk::new(levels.iter().take(LEVELS_MAX).map(step).collect())
    }

    /// A walk over `steps`, nearest first. `None` without depth.
    #[must_use]
    pub fn new(mut steps: Vec<WalkStep>) -> Option<Walk> {
        steps.retain(|step| step.notional > Decimal::ZERO);
        // a level behind one that is worse costs as much as that one: keeps the cost convex on a book that is not in order
        let mut worst = Decimal::ZERO;
        for step in &mut steps {
            worst = worst.max(step.offset);
            step.offset = worst;
        }
        (!steps.is_empty()).then_some(Walk { steps })
    }

    /// The visible notional.
    #[must_use]
    pub fn visible(&self) -> Decimal {
        self.steps.iter().fold(Decimal::ZERO, |sum, step| add(sum, step.notional))
    }

    /// The notional within `bps` basis points of the mid.
    #[must_use]
    pub fn within(&self, bps: u32) -> Usd {
        let reach = Decimal::new(i64::from(bps), 4);
        let near = self.steps.iter().filter(|step| step.offset <= reach);
        crate::exact::allowed(near.fold(Decimal::ZERO, |sum, step| add(sum, step.notional)))
    }

    /// `N·s(N)` in money, and whether `N` exceeds the visible depth `D`: then `s(N) = s(D)·√(N/D)`.
    #[must_use]
    pub fn cost(&self, notional: Decimal) -> (Decimal, bool) {
        let (mut left, mut cost) = (notional.max(Decimal::ZERO), Decimal::ZERO);
        for step in &self.steps {
            let taken = left.min(step.notional);
            cost = add(cost, mul(taken, step.offset));
            left -= taken;
            if left.is_zero() {
                return (cost, false);
            }
        }
        let visible = self.visible();
        let share = div(notional, visible);
        (mul(mul(cost, share), sqrt_up(share)), true)
    }

    /// `s(N)`: distance of the average price from the mid, as a share of the mid.
    #[must_use]
    pub fn slippage(&self, notional: Usd) -> (Decimal, bool) {
        let (cost, extrapolated) = self.cost(notional.decimal());
        (div(needed(cost).decimal(), notional.decimal()), extrapolated)
    }
}
