use domain::{Child, ChildNo, LiquidityRole, OrderOutcome, ParentId, ParentOutcome, Px, Qty, Ratio, RejectKind, Span, Usd};
use rust_decimal::Decimal;
use serde::Serialize;

/// What a worker wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposal {
    /// Send this order. Answered by `placed` or `refused`, before the next `step`.
    Place(Child),
    /// Cancel this child. Answered by `ChildEvent::CancelAsked`, and later by `Done`.
    Cancel(ChildNo),
    /// The parent ended. Emitted once, when nothing of it is live or unknown.
    Ended(ParentOutcome),
}

/// What became of a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildEvent {
    /// The venue has it.
    Acked,
    /// The venue definitely refused it. `Done` follows or has been given; either alone frees the quantity.
    Rejected(RejectKind),
    /// Its answer was lost: its quantity stays reserved until `Acked`, `Rejected` or `Done`.
    Unknown,
    /// The venue was asked to cancel it.
    CancelAsked,
    /// A fill was booked, also after `Done`.
    Filled {
        /// How much.
        qty: Qty,
        /// At what price.
        px: Px,
        /// Maker or taker.
        role: LiquidityRole,
        /// Fee paid.
        fee: Usd,
        /// Twice the mid price in ticks at the booking, if there was a book.
        at_mid_x2: Option<i64>,
    },
    /// It is no longer working. `Filled`: fills that have not been booked yet stay reserved until they are.
    Done(OrderOutcome),
}

/// What a parent is doing, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing is due yet.
    Scheduled,
    /// Joining the best price.
    Passive,
    /// Following the best price.
    Pegged,
    /// Bidding inside the spread.
    Mid,
    /// Taking, with a bounded price.
    Cross,
    /// Something is due and something stands in the way: see the reason.
    Paused,
    /// Its end is being brought about: crossing, or cancelling what is left.
    Ending,
    /// Over.
    Done,
}

/// Where a parent stands. Quantities in lots; prices in quote currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// The parent.
    pub id: ParentId,
    /// Total quantity now asked for.
    pub quantity: Qty,
    /// Filled.
    pub filled: Qty,
    /// Working or on its way at the venue.
    pub live: Qty,
    /// In children whose answer was lost.
    pub unknown: Qty,
    /// Neither filled nor working nor unknown.
    pub remaining: Qty,
    /// What the schedule wants filled or working by now.
    pub target_now: Qty,
    /// What it is doing.
    pub state: State,
    /// Why, in words; empty when the state says it all.
    pub reason: String,
    /// Average fill price, rounded to 12 decimals; absent before the first fill.
    pub average_price: Option<Decimal>,
    /// Mid price at admission.
    pub arrival_price: Decimal,
    /// Average price against arrival, positive is cost, 4 decimals, halves away from zero; absent before the first fill.
    pub slippage_bps: Option<Decimal>,
    /// Share of the filled notional that was maker, 4 decimals, halves away from zero; absent before the first fill.
    pub maker_share: Option<Ratio>,
    /// Fees paid.
    pub fees: Usd,
    /// Children sent.
    pub children: u32,
    /// Children the venue refused.
    pub rejects: u32,
    /// Proposals the guard refused.
    pub refusals: u32,
    /// Since the start.
    pub elapsed: Span,
    /// From start to deadline.
    pub horizon: Span,
    /// Base units per lot, for display.
    pub lot: Decimal,
}
