use std::fmt;

use crate::Asset;
use crate::event::OrderStatus;

/// Why an order or a cancel was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OrderRefusalKind {
    /// No such market.
    UnknownAsset,
    /// Price not positive or with too many decimals.
    InvalidPrice,
    /// More than five significant figures.
    Tick,
    /// Size off the lot grid or negative.
    InvalidSize,
    /// Size zero.
    ZeroSize,
    /// Worth less than the venue's minimum.
    MinNotional,
    /// Too far from the reference price.
    PriceBand,
    /// Worth more than the venue's maximum for one order.
    MaxNotional,
    /// Not enough margin.
    Margin,
    /// The leverage is too high for the position's tier.
    MarginTier,
    /// Reduce-only without a position on the other side.
    ReduceOnly,
    /// Post-only that would take.
    PostOnly,
    /// Immediate-or-cancel that found nothing.
    NothingToTake,
    /// Market order that found nothing.
    NoLiquidity,
    /// Trigger price that is not positive, off the grid, or already reached.
    TriggerPrice,
    /// Open interest is at its cap.
    OpenInterest,
    /// Too many open orders.
    TooManyOrders,
    /// The venue takes post-only orders alone for now.
    PostOnlyWindow,
    /// The market does not trade.
    Halted,
    /// A live order has this client name.
    DuplicateCloid,
    /// Nothing to cancel.
    UnknownOrder,
    /// Nothing to modify.
    CannotModify,
    /// A batch whose grouping does not fit its orders.
    Grouping,
}

impl OrderRefusalKind {
    /// The status word of an order that died of it, for kinds that the venue records.
    #[must_use]
    pub const fn status(self) -> Option<OrderStatus> {
        use OrderRefusalKind as K;
        Some(match self {
            K::Tick => OrderStatus::TickRejected,
            K::MinNotional => OrderStatus::MinTradeNtlRejected,
            K::Margin => OrderStatus::PerpMarginRejected,
            K::MarginTier => OrderStatus::PerpMaxPositionRejected,
            K::ReduceOnly => OrderStatus::ReduceOnlyRejected,
            K::PostOnly => OrderStatus::BadAloPxRejected,
            K::NothingToTake => OrderStatus::IocCancelRejected,
            K::NoLiquidity => OrderStatus::MarketOrderNoLiquidityRejected,
            K::TriggerPrice => OrderStatus::BadTriggerPxRejected,
            K::PriceBand => OrderStatus::OracleRejected,
            K::OpenInterest => OrderStatus::PositionIncreaseAtOpenInterestCapRejected,
            K::TooManyOrders => OrderStatus::TooManyOpenOrdersRejected,
            K::MaxNotional | K::PostOnlyWindow | K::Halted => OrderStatus::Rejected,
            K::UnknownAsset
            | K::InvalidPrice
            | K::InvalidSize
            | K::ZeroSize
            | K::DuplicateCloid
            | K::UnknownOrder
            | K::CannotModify
            | K::Grouping => return None,
        })
    }
}

/// A refused order or cancel. Displays as the venue's text, the asset at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRefusal {
    /// The kind.
    pub kind: OrderRefusalKind,
    /// The market asked for.
    pub asset: Asset,
    /// The venue's words without the asset.
    pub text: String,
}

impl OrderRefusal {
    pub(crate) fn new(kind: OrderRefusalKind, asset: Asset) -> OrderRefusal {
        OrderRefusal { kind, asset, text: fixed_text(kind).to_owned() }
    }

    pub(crate) fn worded(kind: OrderRefusalKind, asset: Asset, text: String) -> OrderRefusal {
        OrderRefusal { kind, asset, text }
    }
}

impl fmt::Display for OrderRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} asset={}", self.text, self.asset.0)
    }
}

/// The venue's words (fact sheet §2.2, §4.4). Those marked "ours" are not known from the venue; a client that only trusts known
/// texts must treat them as unknown outcomes, which errs on the safe side.
const fn fixed_text(kind: OrderRefusalKind) -> &'static str {
    use OrderRefusalKind as K;
    match kind {
        K::UnknownAsset => "Unknown asset.", // ours
        K::InvalidPrice => "Order has invalid price.",
        K::Tick => "Price must be divisible by tick size.",
        K::InvalidSize => "Order has invalid size.",
        K::ZeroSize => "Order has zero size.",
        K::MinNotional => "Order must have minimum value of $10.",
        K::PriceBand => "Order price cannot be more than 80% away from the reference price",
        K::MaxNotional => "Order value exceeds the maximum for one order.", // ours
        K::Margin => "Insufficient margin to place order.",
        K::MarginTier => "Order would cause position to exceed margin tier limit at current leverage",
        K::ReduceOnly => "Reduce only order would increase position.",
        K::PostOnly => "Post only order would have immediately matched.",
        K::NothingToTake => "Order could not immediately match against any resting orders.",
        K::NoLiquidity => "No liquidity available for market order.",
        K::TriggerPrice => "Invalid TP/SL price.",
        K::OpenInterest => "Order would increase open interest while open interest is capped",
        K::TooManyOrders => "Too many open orders.", // ours
        K::PostOnlyWindow => "Only post-only orders allowed immediately after a network upgrade",
        K::Halted => "Trading is halted.",
        K::DuplicateCloid => "Client order id is already in use by an open order.", // ours
        K::UnknownOrder => "Order was never placed, already canceled, or filled.",
        K::CannotModify => "Cannot modify canceled or filled order",
        K::Grouping => "Order grouping does not fit the orders.", // ours
    }
}
