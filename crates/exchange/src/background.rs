use domain::{Px, Qty, Side};

use crate::Asset;

/// The new absolute quantity of one background level; zero removes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelChange {
    /// Price.
    pub px: Px,
    /// Quantity there now.
    pub qty: Qty,
}

/// What the background market does: a recorded tape or a [`crate::SyntheticFlow`].
///
/// How accounts live in it:
/// - A resting order joins behind the displayed background of its level. Trades at its price eat that queue from the front.
///   When the level shrinks without a trade, the quantity ahead shrinks in proportion, rounded up (conservative). New quantity
///   joins behind. A trade beyond its price fills it, up to the trade's quantity. Below the last level that the tape shows the
///   queue is unknown: what is shown there first is taken to be ahead.
/// - A taker consumes displayed quantity. What is consumed stays consumed until the tape shows a different quantity there.
/// - A background level that crosses a resting order trades against it at the order's price.
/// - Of background levels that cross each other the older one is dropped.
///
/// Feed a trade before the level changes that it caused, else the queue advances twice for it. Prices that are not positive or
/// beyond a thousand times the market's specified oracle, and quantities above 10^12 lots, are ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackgroundEvent {
    /// Some levels changed.
    Levels {
        /// The market.
        asset: Asset,
        /// Changed bids.
        bids: Vec<LevelChange>,
        /// Changed asks.
        asks: Vec<LevelChange>,
    },
    /// The whole background book: levels not named are gone.
    Snapshot {
        /// The market.
        asset: Asset,
        /// All bids.
        bids: Vec<LevelChange>,
        /// All asks.
        asks: Vec<LevelChange>,
    },
    /// A trade between others, unless our resting orders stand in its way.
    Trade {
        /// The market.
        asset: Asset,
        /// Price.
        px: Px,
        /// Quantity.
        qty: Qty,
        /// The aggressor's side.
        aggressor: Side,
    },
    /// The oracle's price. From the first one on, the oracle no longer follows the background's mid.
    Oracle {
        /// The market.
        asset: Asset,
        /// Price, nearest tick.
        px: Px,
    },
}
