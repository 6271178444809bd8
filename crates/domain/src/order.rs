use serde::{Deserialize, Serialize};

use crate::{ChildNo, ClientKey, InstrumentId, ParentId, Px, Qty, TradeId, Usd, VenueOrderId};

/// Direction of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Bid.
    Buy,
    /// Ask.
    Sell,
}

impl Side {
    /// The other side.
    #[must_use]
    pub const fn flip(self) -> Side {
        match self {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        }
    }

    /// +1 for a buy, −1 for a sell.
    #[must_use]
    pub const fn sign(self) -> i64 {
        match self {
            Side::Buy => 1,
            Side::Sell => -1,
        }
    }
}

/// How long an order works and whether it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tif {
    /// Rests only; refused if it would take (Hyperliquid `Alo`, dYdX post-only).
    PostOnly,
    /// Takes what it can and rests with the remainder.
    GoodTilCancel,
    /// Takes what it can; the remainder dies.
    ImmediateOrCancel,
}

/// What execution asks for: one order, before the guard has judged it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// Its parent.
    pub parent: ParentId,
    /// Its number within the parent.
    pub no: ChildNo,
    /// The market.
    pub instrument: InstrumentId,
    /// The side.
    pub side: Side,
    /// Quantity, above zero.
    pub qty: Qty,
    /// Limit price. There are no market orders: crossing is an immediate-or-cancel with a bounded price.
    pub px: Px,
    /// Lifetime.
    pub tif: Tif,
    /// Whether it may only shrink a position.
    pub reduce_only: bool,
}

/// Until when a venue may still accept the signed bytes of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expiry {
    /// Venue time, UTC milliseconds (Hyperliquid `expiresAfter`).
    AtMs(u64),
    /// Block height (dYdX `good_til_block`).
    AtBlock(u32),
}

/// A child with everything that its signed bytes depend on. The bytes are a pure function of it (§3.2), so sending it again
/// is the same order, not another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The client's name of it, used once in all of history.
    pub key: ClientKey,
    /// The order.
    pub child: Child,
    /// The venue's replay guard: Hyperliquid's nonce. Intents of one batch share it and travel as one action.
    pub nonce: u64,
    /// When the venue stops accepting it.
    pub expiry: Expiry,
}

/// The numbers on which the guard cleared an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// Which limits were in force: the first 8 bytes of their hash, as a number.
    pub limits: u64,
    /// Which configuration was in force: the first 8 bytes of its hash, as a number; 0 in journals that do not say it.
    #[serde(default)]
    pub config: u64,
    /// Reference price.
    pub reference: Px,
    /// Age of the book, milliseconds.
    pub book_age_ms: u64,
    /// Account equity.
    pub equity: Usd,
    /// Position before, in lots.
    pub position: crate::Lots,
    /// Worst-case long and short positions with this order filled, in lots.
    pub worst: (crate::Lots, crate::Lots),
    /// Equity ÷ maintenance of the projected account, absent when the projection is flat.
    pub cover: Option<crate::Ratio>,
}

/// Why a venue definitely did not take an order, from an allow-list of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectKind {
    /// A post-only order would have taken.
    WouldTake,
    /// An immediate-or-cancel found nothing to take.
    NothingToTake,
    /// Price or size off the grid, out of the band, or below the minimum.
    Malformed,
    /// Not enough margin.
    Margin,
    /// Reduce-only would have grown the position.
    ReduceOnly,
    /// The venue takes post-only orders alone for now.
    PostOnlyWindow,
    /// Request budget spent.
    Throttled,
    /// Expired on arrival.
    Expired,
    /// Key or signature refused.
    Auth,
    /// It never left this process: the venue was not asked.
    NotSent,
    /// Any other text on the allow-list.
    Other,
}

/// A definite rejection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// Its kind.
    pub kind: RejectKind,
    /// The venue's own words, cut to 200 characters.
    pub text: String,
}

/// How an answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lost {
    /// No answer within the deadline.
    Timeout,
    /// Connection failed or broke.
    Disconnected,
    /// A 5xx answer.
    ServerError,
    /// A 429 answer: whether the action ran is not established.
    Throttled,
    /// An answer that could not be read, or whose refusal is not on the allow-list.
    Unreadable,
    /// The daemon stopped between the durable intent and the answer.
    Restart,
}

/// How a send ended (C23).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SendOutcome {
    /// The venue has it. Fills that the answer mentions are not booked from it: fills are booked from fill records alone.
    Acked {
        /// The venue's name of it, if the answer gave one.
        order: Option<VenueOrderId>,
        /// Whether the answer says that it is already done (immediate-or-cancel, or filled at once).
        done: bool,
    },
    /// The venue definitely does not have it.
    Rejected(Reject),
    /// Nobody knows yet.
    Unknown(Lost),
}

/// What the venue says about one of our orders, by stream or by query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderReport {
    /// The client's name, when the venue gave it.
    pub key: Option<ClientKey>,
    /// The venue's name.
    pub order: VenueOrderId,
    /// The market.
    pub instrument: InstrumentId,
    /// The side.
    pub side: Side,
    /// Limit price.
    pub px: Px,
    /// Original quantity.
    pub qty: Qty,
    /// Quantity still open.
    pub remaining: Qty,
    /// Whether it may only reduce.
    pub reduce_only: bool,
    /// Its state.
    pub state: ReportedState,
    /// The venue's own status word.
    pub status: String,
    /// Venue time of the status, UTC milliseconds.
    pub venue_ms: u64,
}

/// The venue's status words, sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportedState {
    /// Working.
    Open,
    /// Done with fills; how many, the fills say.
    Filled,
    /// Cancelled, by us or by the venue.
    Canceled,
    /// Refused on arrival.
    Rejected,
    /// A word we do not know: nothing follows from it.
    Unrecognised,
}

/// How an order's life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderOutcome {
    /// Everything filled.
    Filled,
    /// Cancelled, with or without fills before.
    Canceled,
    /// Refused by the venue.
    Rejected,
    /// Positively never reached the book: expired unseen, or its nonce was burnt.
    NeverLanded,
}

/// Which side of the trade we were on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LiquidityRole {
    /// Resting.
    Maker,
    /// Crossing.
    Taker,
}

/// One of our fills.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// The key under which it is booked once.
    pub id: TradeId,
    /// The client's name of the order, when the venue gave it.
    pub key: Option<ClientKey>,
    /// The market.
    pub instrument: InstrumentId,
    /// Our side.
    pub side: Side,
    /// Price.
    pub px: Px,
    /// Quantity.
    pub qty: Qty,
    /// Fee paid; negative is a rebate.
    pub fee: Usd,
    /// Maker or taker.
    pub role: LiquidityRole,
    /// Whether the venue did it to us: liquidation, automatic deleveraging, settlement.
    pub forced: bool,
    /// Our position before it, in lots, as the venue says.
    pub position_before: Option<crate::Lots>,
    /// Venue time, UTC milliseconds.
    pub venue_ms: u64,
}

/// One funding payment of one position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FundingPayment {
    /// The market.
    pub instrument: InstrumentId,
    /// Money received; negative was paid.
    pub amount: Usd,
    /// The hourly rate; positive: longs pay.
    pub rate: crate::Ratio,
    /// The position it was paid on, as the venue says.
    pub position: crate::Lots,
    /// Venue time, UTC milliseconds; with the instrument, the key under which it is booked once.
    pub venue_ms: u64,
}
