use serde::{Deserialize, Serialize};

use crate::{InstrumentId, Px, Qty, Side, Stamp};

/// One price level of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// Price.
    pub px: Px,
    /// Quantity resting there.
    pub qty: Qty,
}

/// The visible book of one instrument, best levels first. A snapshot: it replaces what was known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    /// Which instrument.
    pub instrument: InstrumentId,
    /// Bids, highest first.
    pub bids: Vec<Level>,
    /// Asks, lowest first.
    pub asks: Vec<Level>,
    /// The venue's time of it, UTC milliseconds.
    pub venue_ms: u64,
    /// When we received it.
    pub at: Stamp,
}

impl Book {
    /// The best bid.
    #[must_use]
    pub fn bid(&self) -> Option<Level> {
        self.bids.first().copied()
    }

    /// The best ask.
    #[must_use]
    pub fn ask(&self) -> Option<Level> {
        self.asks.first().copied()
    }

    /// Best level of the side that an order of `side` joins.
    #[must_use]
    pub fn near(&self, side: Side) -> Option<Level> {
        match side {
            Side::Buy => self.bid(),
            Side::Sell => self.ask(),
        }
    }

    /// Best level of the side that an order of `side` takes.
    #[must_use]
    pub fn far(&self, side: Side) -> Option<Level> {
        self.near(side.flip())
    }

    /// Twice the mid price in ticks, exact.
    #[must_use]
    pub fn mid_x2(&self) -> Option<i64> {
        Some(self.bid()?.px.0 + self.ask()?.px.0)
    }

    /// Best ask minus best bid in ticks; zero or less when locked or crossed.
    #[must_use]
    pub fn spread(&self) -> Option<i64> {
        Some(self.ask()?.px.0 - self.bid()?.px.0)
    }

    /// Whether both sides exist and do not touch.
    #[must_use]
    pub fn is_sane(&self) -> bool {
        self.spread().is_some_and(|s| s > 0)
    }
}

/// The venue's reference prices of one instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Which instrument.
    pub instrument: InstrumentId,
    /// The price the venue margins with (Hyperliquid: mark; dYdX: oracle), nearest tick.
    pub mark: Px,
    /// The oracle price, nearest tick.
    pub oracle: Px,
    /// Current funding rate per hour; positive: longs pay. `None` if the venue did not say.
    pub funding_hourly: Option<crate::Ratio>,
    /// Open interest in lots. `None` if the venue did not say.
    pub open_interest: Option<Qty>,
    /// When we received it.
    pub at: Stamp,
}

/// A public trade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketTrade {
    /// Which instrument.
    pub instrument: InstrumentId,
    /// The aggressor's side.
    pub side: Side,
    /// Price.
    pub px: Px,
    /// Quantity.
    pub qty: Qty,
    /// The venue's id of it, as text.
    pub trade: String,
    /// Whether one of our own orders took part: own volume is never market volume (POV).
    pub own: bool,
    /// The venue's time, UTC milliseconds.
    pub venue_ms: u64,
    /// When we received it.
    pub at: Stamp,
}
