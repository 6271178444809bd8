//! What it costs to leave a position through the visible book (quant §1.5).

use domain::{Book, Instrument, Side, Span, Usd};
use rust_decimal::Decimal;
use serde::Serialize;

use crate::exact::{mul, needed};
use crate::stats::DepthWalk;

/// The side of a book that a position is closed through, as cost by notional.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk(DepthWalk);

/// What sizing needs of a book: the side that a position would be closed through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depth {
    /// Cost by notional.
    pub walk: Walk,
    /// Depth within [`super::SizingParams::depth_bps`] of the mid: a low quantile of the last minute, so that one thick second
    /// raises nothing ([`crate::stats::DepthRing`]).
    pub near: Usd,
    /// Age of the book.
    pub age: Span,
}

/// `N·s(N)` for one N.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ExitCost {
    /// Distance of the average price from the mid, as a share of the mid.
    pub share: Decimal,
    /// In money.
    pub usd: Decimal,
    /// Whether N exceeds the visible depth `D`: then `s(N) = s(D)·√(N/D)`.
    pub extrapolated: bool,
}

impl Walk {
    /// The side of `book` that closes a position of side `position`: a long is sold into the bids. `None` for a book that is
    /// empty on a side, locked or crossed.
    #[must_use]
    pub fn of(book: &Book, instrument: &Instrument, position: Side) -> Option<Walk> {
        DepthWalk::of(book, instrument, position.flip()).map(Walk)
    }

    /// The visible notional.
    #[must_use]
    pub fn visible(&self) -> Usd {
        self.0.visible()
    }

    /// The notional within `bps` basis points of the mid.
    #[must_use]
    pub fn within(&self, bps: u32) -> Usd {
        self.0.within(bps)
    }

    /// What closing `notional` costs; `None` if that leaves every range, which no budget covers.
    #[must_use]
    pub fn exit(&self, notional: Decimal) -> Option<ExitCost> {
        let slip = self.0.slip(needed(notional.max(Decimal::ZERO)))?;
        let share = slip.share.decimal();
        Some(ExitCost { share, usd: mul(notional, share), extrapolated: slip.extrapolated })
    }

    /// `s(N)` and whether it is extrapolated; 100 % where it leaves every range.
    #[must_use]
    pub fn slippage(&self, notional: Usd) -> (Decimal, bool) {
        self.exit(notional.decimal()).map_or((Decimal::ONE, true), |exit| (exit.share, exit.extrapolated))
    }
}
