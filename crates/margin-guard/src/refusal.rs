//! Why an order or a parent was refused, in numbers and in plain words.

use domain::{
    ClientKey, InstrumentId, MarginLevel, MarketStatus, ParentId, Px, Qty, Ratio, Side, StopLevel, StreamKind, Usd, Venue,
};
use serde::Serialize;

use crate::oracle::OracleTrouble;

/// What a count or a rate is limited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One market.
    Market(InstrumentId),
    /// One venue.
    Venue(Venue),
    /// One parent.
    Parent(ParentId),
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scope::Market(m) => write!(f, "{m}"),
            Scope::Venue(v) => write!(f, "{v}"),
            Scope::Parent(p) => write!(f, "parent {p}"),
        }
    }
}

/// A piece of data that a decision needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Datum {
    /// The book, by the time we received it.
    Book,
    /// The book, by the venue's time.
    BookVenueTime,
    /// Mark and oracle price.
    Marks,
    /// The venue's report of the account.
    Account,
    /// The booked position.
    Position,
    /// The market's rules.
    Instrument,
    /// The offset between the venue's clock and ours.
    ClockOffset,
    /// Profit and loss, by which drawdown is reckoned.
    Profit,
    /// The allowed size, worked out about once a second.
    Size,
}

impl std::fmt::Display for Datum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Datum::Book => "book",
            Datum::BookVenueTime => "book (by venue time)",
            Datum::Marks => "mark and oracle price",
            Datum::Account => "account report",
            Datum::Position => "position",
            Datum::Instrument => "market rules",
            Datum::ClockOffset => "clock offset",
            Datum::Profit => "profit and loss",
            Datum::Size => "allowed size",
        })
    }
}

/// A refusal: which rule, on which numbers, and (for matters of size) the largest size that would be allowed now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Refusal {
    /// The stop level forbids it.
    #[error("the stop level is {}", level_words(*level))]
    Stopped {
        /// The level in force.
        level: StopLevel,
    },
    /// Reconciliation is not complete (I14).
    #[error("reconciliation with the venue is not complete")]
    NotReady,
    /// The market's rules are not known, so nothing about the order can be checked (C19).
    #[error("the rules of {instrument} are not known yet")]
    UnknownInstrument {
        /// Which.
        instrument: InstrumentId,
    },
    /// The market is not on the allow-list (C20).
    #[error("{instrument} is not on the allow-list: positions there may only shrink")]
    NotAllowed {
        /// Which.
        instrument: InstrumentId,
    },
    /// The market does not take this order in its present state (C19, C20).
    #[error("{instrument} is {}: it takes no such order", status_words(*status))]
    MarketState {
        /// Which.
        instrument: InstrumentId,
        /// Its state.
        status: MarketStatus,
    },
    /// The market is frozen by a break.
    #[error("{instrument} is frozen: {why}")]
    Frozen {
        /// Which.
        instrument: InstrumentId,
        /// In the desk's words.
        why: String,
    },
    /// The order's key does not name its parent and number.
    #[error("key {key} does not belong to child {no} of {parent}")]
    WrongKey {
        /// The key.
        key: ClientKey,
        /// The order's parent.
        parent: ParentId,
        /// Its number.
        no: u32,
    },
    /// The key was used before (C09).
    #[error("key {key} was used before")]
    DuplicateKey {
        /// The key.
        key: ClientKey,
    },
    /// Another parent sent the same order a moment ago (C09).
    #[error(
        "the same order for {other} was cleared {age_ms} ms ago; equal orders of different parents must be {window_ms} ms apart"
    )]
    Duplicate {
        /// The other parent.
        other: ParentId,
        /// How long ago.
        age_ms: u64,
        /// How far apart they must be.
        window_ms: u64,
    },
    /// The parent was never admitted, or has ended.
    #[error("{parent} is not a live parent")]
    UnknownParent {
        /// Which.
        parent: ParentId,
    },
    /// The order is not one that its parent may send.
    #[error("the order's {field} is not that of {parent}")]
    NotOfParent {
        /// Which.
        parent: ParentId,
        /// What differs.
        field: &'static str,
    },
    /// The order would carry its parent past its quantity (C12, I06).
    #[error("{parent} wants {total} lots, {filled} are filled and {working} may still fill: {asked} more is too much, {room} would do", total = total.0, filled = filled.0, working = working.0, asked = asked.0, room = room.0)]
    ParentExceeded {
        /// Which parent.
        parent: ParentId,
        /// Its quantity.
        total: Qty,
        /// What has filled.
        filled: Qty,
        /// What is open, in flight or unknown.
        working: Qty,
        /// What was asked.
        asked: Qty,
        /// The largest size that would be allowed.
        room: Qty,
    },
    /// The price is not on the market's grid (C19).
    #[error("price {px} ticks of {instrument} is off the grid: steps of {step} ticks there", px = px.0)]
    OffGrid {
        /// The market.
        instrument: InstrumentId,
        /// The price.
        px: Px,
        /// Distance between acceptable prices there, in ticks.
        step: i64,
    },
    /// Smaller than the venue takes (C19).
    #[error("{qty} lots of {instrument} are below the venue's minimum of {min}", qty = qty.0, min = min.0)]
    TooSmall {
        /// The market.
        instrument: InstrumentId,
        /// What was asked.
        qty: Qty,
        /// The venue's minimum.
        min: Qty,
    },
    /// Worth less than the venue takes (C19).
    #[error("an order worth {notional} is below {instrument}'s minimum of {min} and does not close a whole position")]
    NotionalTooSmall {
        /// The market.
        instrument: InstrumentId,
        /// What it is worth at its limit price.
        notional: Usd,
        /// The venue's minimum.
        min: Usd,
    },
    /// It could trade with an order of our own (C10, I08).
    #[error("{} at {px} could trade with our own {} at {own} (ticks)", side_words(*side), side_words(side.flip()), px = px.0, own = own.0)]
    SelfMatch {
        /// The order's side.
        side: Side,
        /// Its price.
        px: Px,
        /// Price of our own order on the other side.
        own: Px,
    },
    /// Reduce-only, but it could grow or flip the position together with what is already working (C13, I07).
    #[error("reduce-only: of {} lots that may still be closed {asked} is too much, {room} would do", closable.0, asked = asked.0, room = room.0)]
    NotReducing {
        /// Lots of the position that no working order is closing yet.
        closable: Qty,
        /// What was asked.
        asked: Qty,
        /// The largest size that would be allowed.
        room: Qty,
    },
    /// It would outgrow the position on the side on which reduce-only orders still work, so that they could flip it (I07).
    #[error("reduce-only orders of {reducing} lots work on this side and {closable} more may be closed: {asked} would let them flip the position", reducing = reducing.0, closable = closable.0, asked = asked.0)]
    Overtakes {
        /// Lots of our reduce-only orders on this side.
        reducing: Qty,
        /// Lots of the position that no working order is closing yet.
        closable: Qty,
        /// What was asked.
        asked: Qty,
        /// The largest size that would be allowed.
        room: Qty,
    },
    /// A stream is not up, or was never seen up.
    #[error("the {} stream of {venue} is not up", stream_words(*stream))]
    StreamDown {
        /// Whose.
        venue: Venue,
        /// Which.
        stream: StreamKind,
    },
    /// The venue's clock and ours are too far apart (F76).
    #[error("the clock of {venue} is {offset_ms} ms from ours, more than {max_ms} ms")]
    ClockOffset {
        /// Whose.
        venue: Venue,
        /// Venue minus ours.
        offset_ms: i64,
        /// The largest distance allowed.
        max_ms: u64,
    },
    /// Data was never seen.
    #[error("not known: the {datum} of {of}")]
    Missing {
        /// What.
        datum: Datum,
        /// Of what.
        of: String,
    },
    /// Data is too old (C17).
    #[error("too old: the {datum} of {of} is from {age_ms} ms ago; at most {max_ms} ms are allowed")]
    Stale {
        /// What.
        datum: Datum,
        /// Of what.
        of: String,
        /// Its age.
        age_ms: u64,
        /// The greatest age allowed.
        max_ms: u64,
    },
    /// The book is empty on a side, locked or crossed (C17).
    #[error("the book of {instrument} is empty, one-sided, locked or crossed")]
    BadBook {
        /// Whose.
        instrument: InstrumentId,
    },
    /// Too few fresh reference prices (C01).
    #[error("{instrument} has {fresh} fresh reference prices of oracle, mark and mid; 2 are needed")]
    NoReference {
        /// Whose.
        instrument: InstrumentId,
        /// How many are fresh.
        fresh: u8,
    },
    /// The price is too far from the reference (C01).
    #[error("price {px} is further than a share of {collar} from the reference {reference} (ticks)", px = px.0, reference = reference.0)]
    Collar {
        /// The order's price.
        px: Px,
        /// Median of the references.
        reference: Px,
        /// Greatest distance allowed, as a share of the reference.
        collar: Ratio,
    },
    /// Larger than one order may be (C03).
    #[error("{asked} lots in one order of {instrument}; at most {max}, now {room}", asked = asked.0, max = max.0, room = room.0)]
    OrderSize {
        /// The market.
        instrument: InstrumentId,
        /// What was asked.
        asked: Qty,
        /// The limit.
        max: Qty,
        /// The largest size that would be allowed.
        room: Qty,
    },
    /// Worth more than one order may be (C04).
    #[error("an order of {notional}; at most {max}, now {room} lots", room = room.0)]
    OrderNotional {
        /// At the worse of limit and reference price.
        notional: Usd,
        /// The limit.
        max: Usd,
        /// The largest size that would be allowed.
        room: Qty,
    },
    /// Too many working orders (C06).
    #[error("{open} orders are working for {scope}; at most {max}")]
    OpenOrders {
        /// Where.
        scope: Scope,
        /// How many are working.
        open: u32,
        /// The limit.
        max: u32,
    },
    /// Too many messages (C07).
    #[error("message budget of {scope} is spent down to its reserve; next in {retry_ms} ms")]
    Throttled {
        /// Whose budget.
        scope: Scope,
        /// When one more would be allowed.
        retry_ms: u64,
    },
    /// The market's worst case would be too large (C11).
    #[error("{instrument} could reach {would_be} {}; at most {max}, which leaves {room} lots", way_words(*side), room = room.0)]
    MarketExposure {
        /// The market.
        instrument: InstrumentId,
        /// Which way.
        side: Side,
        /// Value of the worst case with this order.
        would_be: Usd,
        /// The limit.
        max: Usd,
        /// The largest size that would be allowed.
        room: Qty,
    },
    /// The venue's worst case would be too large (C11).
    #[error("{venue} could reach {would_be} in all markets; at most {max}, which leaves {room} lots", room = room.0)]
    VenueExposure {
        /// The venue.
        venue: Venue,
        /// Value of the worst case with this order.
        would_be: Usd,
        /// The limit.
        max: Usd,
        /// The largest size that would be allowed.
        room: Qty,
    },
    /// The worst case over all venues would be too large for the equity (C11).
    #[error("all positions could reach {would_be} on equity of {equity}: more than {max} times, which leaves {room} lots", room = room.0)]
    Leverage {
        /// Value of the worst case of all venues with this order.
        would_be: Usd,
        /// Equity of all venues after the worst fills.
        equity: Usd,
        /// The limit.
        max: Ratio,
        /// The largest size that would be allowed.
        room: Qty,
    },
    /// Equity would be too little for the maintenance margin of the worst case (C14).
    #[error("{venue} equity of {equity} would face maintenance of {maintenance}: below {min} times, which leaves {room} lots", room = room.0)]
    Cover {
        /// The venue.
        venue: Venue,
        /// Equity after the worst fills.
        equity: Usd,
        /// Maintenance of the worst case.
        maintenance: Usd,
        /// The least allowed.
        min: Ratio,
        /// The largest size that would be allowed.
        room: Qty,
    },
    /// An isolated position's own margin would be too little for its worst case (C14).
    #[error("the isolated margin {margin} of {instrument} would face maintenance of {maintenance}: below {min} times, which leaves {room} lots", room = room.0)]
    IsolatedCover {
        /// The market.
        instrument: InstrumentId,
        /// Margin of the position alone.
        margin: Usd,
        /// Maintenance of the worst case.
        maintenance: Usd,
        /// The least allowed.
        min: Ratio,
        /// The largest size that would be allowed.
        room: Qty,
    },
    /// The margin level forbids growth (quant §4.3).
    #[error("{venue} is at margin level {level}: positions there may only shrink")]
    Level {
        /// The venue.
        venue: Venue,
        /// Its level.
        level: MarginLevel,
    },
    /// A shock would leave too little equity (C14, quant §4.4).
    #[error("{scenario}: {venue} equity of {equity} would face maintenance of {maintenance}: below {min} times, which leaves {room} lots", room = room.0)]
    Shocked {
        /// The venue.
        venue: Venue,
        /// The scenario; of one market moving alone, that too.
        scenario: String,
        /// Equity after the worst fills, the shock and its funding.
        equity: Usd,
        /// Maintenance at the shocked prices.
        maintenance: Usd,
        /// The least cover under a shock.
        min: Ratio,
        /// The largest size that would be allowed.
        room: Qty,
    },
    /// A liquidation price would be too near (C14, quant §4.1).
    #[error("{instrument} would be liquidated within a move of {min}: equity of {equity} against maintenance of {maintenance} before it, which leaves {room} lots", room = room.0)]
    LiquidationNear {
        /// The market whose liquidation price is near.
        instrument: InstrumentId,
        /// Least distance of the mark from it, as a share of the mark.
        min: Ratio,
        /// Equity after the worst fills.
        equity: Usd,
        /// Maintenance of the worst case.
        maintenance: Usd,
        /// The largest size that would be allowed.
        room: Qty,
    },
    /// The same-chain buffer would be used up (quant §1.10).
    #[error("{venue} would have {free} of free collateral and needs a buffer of {required}, which leaves {room} lots", room = room.0)]
    Buffer {
        /// The venue.
        venue: Venue,
        /// Equity less the least cover under a shock times maintenance, both in the worst case.
        free: Usd,
        /// The buffer.
        required: Usd,
        /// The largest size that would be allowed.
        room: Qty,
    },
    /// Free collateral would not last long enough (quant §1.10).
    #[error("{venue} would have {free} of free collateral and needs {required} to last {hours} hours, which leaves {room} lots", room = room.0)]
    Runway {
        /// The venue.
        venue: Venue,
        /// The hours it must last.
        hours: Ratio,
        /// Equity less the least cover under a shock times maintenance, both in the worst case.
        free: Usd,
        /// What lasts that long.
        required: Usd,
        /// The largest size that would be allowed.
        room: Qty,
    },
    /// The position could outgrow what sizing allows (C11, quant §1).
    #[error("{instrument} could reach {would_be} {}; sizing allows {max} by {cap} ({why}), which leaves {room} lots", way_words(*side), room = room.0)]
    Sizing {
        /// The market.
        instrument: InstrumentId,
        /// Which way.
        side: Side,
        /// Value of the worst case with this order, or of the whole parent.
        would_be: Usd,
        /// What sizing allows.
        max: Usd,
        /// The cap that binds.
        cap: &'static str,
        /// The numbers that it follows from.
        why: String,
        /// The largest size that would be allowed.
        room: Qty,
    },
    /// Funding is out of the ordinary, or not known well enough (C15).
    #[error("funding of {instrument} forbids growth: {why}")]
    Funding {
        /// The market.
        instrument: InstrumentId,
        /// Which flag, with its numbers.
        why: String,
    },
    /// A drawdown budget is spent (C16).
    #[error("{scope} has lost {loss} of a budget of {max}: nothing there may grow")]
    Drawdown {
        /// What the budget is for.
        scope: String,
        /// What was lost.
        loss: Usd,
        /// The budget.
        max: Usd,
    },
    /// Markets that move together would be held too large (C11, quant §1.8).
    #[error("group {group} could reach {would_be} {what}, weighted by beta; at most {max}, which leaves {room} lots", room = room.0)]
    GroupExposure {
        /// The group.
        group: String,
        /// `net` or `gross`.
        what: &'static str,
        /// The sum with this order.
        would_be: Usd,
        /// The limit.
        max: Usd,
        /// The largest size that would be allowed.
        room: Qty,
    },
    /// The Layer-2 share of the portfolio would be too large (quant §1.1).
    #[error("positions on layer 2 could reach {would_be}; at most {max} by the portfolio's share, which leaves {room} lots", room = room.0)]
    Layer2Share {
        /// Value of the worst case of all venues with this order.
        would_be: Usd,
        /// The limit.
        max: Usd,
        /// The largest size that would be allowed.
        room: Qty,
    },
    /// More would be held at a venue than it is trusted with (quant §1.9).
    #[error("{venue} could reach {would_be}; at a trust of {trust} at most {max}, which leaves {room} lots", room = room.0)]
    VenueTrust {
        /// The venue.
        venue: Venue,
        /// Trust in it, 0.2 to 1.
        trust: Ratio,
        /// Value of the worst case with this order.
        would_be: Usd,
        /// The limit.
        max: Usd,
        /// The largest size that would be allowed.
        room: Qty,
    },
    /// The oracle is not believed (C18).
    #[error("oracle of {instrument}: {trouble}{}", quarantine_words(*quarantine_ms))]
    Oracle {
        /// The market.
        instrument: InstrumentId,
        /// What is, or was, wrong.
        trouble: OracleTrouble,
        /// What is left of the time for which it must be seen fresh and agreeing again; absent while it is not.
        quarantine_ms: Option<u64>,
    },
    /// The venue keeps refusing (C50).
    #[error("the venue refused {refusals} of {answers} orders of {scope}: paused until it was quiet for another {quiet_ms} ms")]
    RejectStorm {
        /// Whose orders.
        scope: Scope,
        /// Refusals in a row, or within a minute.
        refusals: u32,
        /// Answers they are out of.
        answers: u32,
        /// How long it must still be quiet.
        quiet_ms: u64,
    },
    /// The parent repeats itself (C08).
    #[error("{parent} repeats itself: {why}; it stays stopped until the operator resumes it")]
    Repeating {
        /// The parent.
        parent: ParentId,
        /// In what way.
        why: String,
    },
    /// The parent is too large (C05).
    #[error("a parent worth {notional}; at most {max}, which leaves {room} lots", room = room.0)]
    ParentNotional {
        /// At the mid or its own limit price, whichever is worth more.
        notional: Usd,
        /// The limit.
        max: Usd,
        /// The largest size that would be allowed.
        room: Qty,
    },
    /// All parents of the last hour together are too large (C05).
    #[error("parents of the last hour are worth {hour}; {notional} more is above {max}, which leaves {room} lots", room = room.0)]
    ParentsPerHour {
        /// This parent.
        notional: Usd,
        /// Admitted in the last hour.
        hour: Usd,
        /// The limit.
        max: Usd,
        /// The largest size that would be allowed.
        room: Qty,
    },
    /// A parent of this number is already known.
    #[error("{parent} is already known")]
    DuplicateParent {
        /// Which.
        parent: ParentId,
    },
}

fn level_words(level: StopLevel) -> &'static str {
    match level {
        StopLevel::Run => "run",
        StopLevel::ReduceOnly => "reduce-only: positions may only shrink",
        StopLevel::Block => "block: no new orders",
        StopLevel::Cancel => "cancel: no new orders",
        StopLevel::Flatten => "flatten: positions are being closed",
        StopLevel::Sever => "sever: nothing is sent",
    }
}

fn status_words(status: MarketStatus) -> &'static str {
    match status {
        MarketStatus::Open => "open",
        MarketStatus::PostOnly => "post-only",
        MarketStatus::CancelOnly => "cancel-only",
        MarketStatus::Closed => "closed (positions may only shrink)",
    }
}

fn stream_words(stream: StreamKind) -> &'static str {
    match stream {
        StreamKind::Market => "market",
        StreamKind::Account => "account",
    }
}

fn way_words(side: Side) -> &'static str {
    match side {
        Side::Buy => "long",
        Side::Sell => "short",
    }
}

fn quarantine_words(left_ms: Option<u64>) -> String {
    left_ms.map_or_else(String::new, |ms| format!("; it is good again and must stay so for another {ms} ms"))
}

fn side_words(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

impl Refusal {
    /// A stable name for counting, the same as the `kind` in its JSON.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Refusal::Stopped { .. } => "stopped",
            Refusal::NotReady => "not_ready",
            Refusal::UnknownInstrument { .. } => "unknown_instrument",
            Refusal::NotAllowed { .. } => "not_allowed",
            Refusal::MarketState { .. } => "market_state",
            Refusal::Frozen { .. } => "frozen",
            Refusal::WrongKey { .. } => "wrong_key",
            Refusal::DuplicateKey { .. } => "duplicate_key",
            Refusal::Duplicate { .. } => "duplicate",
            Refusal::UnknownParent { .. } => "unknown_parent",
            Refusal::NotOfParent { .. } => "not_of_parent",
            Refusal::ParentExceeded { .. } => "parent_exceeded",
            Refusal::OffGrid { .. } => "off_grid",
            Refusal::TooSmall { .. } => "too_small",
            Refusal::NotionalTooSmall { .. } => "notional_too_small",
            Refusal::SelfMatch { .. } => "self_match",
            Refusal::NotReducing { .. } => "not_reducing",
            Refusal::Overtakes { .. } => "overtakes",
            Refusal::StreamDown { .. } => "stream_down",
            Refusal::ClockOffset { .. } => "clock_offset",
            Refusal::Missing { .. } => "missing",
            Refusal::Stale { .. } => "stale",
            Refusal::BadBook { .. } => "bad_book",
            Refusal::NoReference { .. } => "no_reference",
            Refusal::Collar { .. } => "collar",
            Refusal::OrderSize { .. } => "order_size",
            Refusal::OrderNotional { .. } => "order_notional",
            Refusal::OpenOrders { .. } => "open_orders",
            Refusal::Throttled { .. } => "throttled",
            Refusal::MarketExposure { .. } => "market_exposure",
            Refusal::VenueExposure { .. } => "venue_exposure",
            Refusal::Leverage { .. } => "leverage",
            Refusal::Cover { .. } => "cover",
            Refusal::IsolatedCover { .. } => "isolated_cover",
            Refusal::Level { .. } => "level",
            Refusal::Shocked { .. } => "shocked",
            Refusal::LiquidationNear { .. } => "liquidation_near",
            Refusal::Buffer { .. } => "buffer",
            Refusal::Runway { .. } => "runway",
            Refusal::Sizing { .. } => "sizing",
            Refusal::Funding { .. } => "funding",
            Refusal::Drawdown { .. } => "drawdown",
            Refusal::GroupExposure { .. } => "group_exposure",
            Refusal::Layer2Share { .. } => "layer2_share",
            Refusal::VenueTrust { .. } => "venue_trust",
            Refusal::Oracle { .. } => "oracle",
            Refusal::RejectStorm { .. } => "reject_storm",
            Refusal::Repeating { .. } => "repeating",
            Refusal::ParentNotional { .. } => "parent_notional",
            Refusal::ParentsPerHour { .. } => "parents_per_hour",
            Refusal::DuplicateParent { .. } => "duplicate_parent",
        }
    }

    /// The largest size that would be allowed now; zero if none. `None`: not a matter of size.
    #[must_use]
    pub const fn room(&self) -> Option<Qty> {
        match self {
            Refusal::ParentExceeded { room, .. }
            | Refusal::NotReducing { room, .. }
            | Refusal::Overtakes { room, .. }
            | Refusal::OrderSize { room, .. }
            | Refusal::OrderNotional { room, .. }
            | Refusal::MarketExposure { room, .. }
            | Refusal::VenueExposure { room, .. }
            | Refusal::Leverage { room, .. }
            | Refusal::Cover { room, .. }
            | Refusal::IsolatedCover { room, .. }
            | Refusal::Shocked { room, .. }
            | Refusal::LiquidationNear { room, .. }
            | Refusal::Buffer { room, .. }
            | Refusal::Runway { room, .. }
            | Refusal::Sizing { room, .. }
            | Refusal::GroupExposure { room, .. }
            | Refusal::Layer2Share { room, .. }
            | Refusal::VenueTrust { room, .. }
            | Refusal::ParentNotional { room, .. }
            | Refusal::ParentsPerHour { room, .. } => Some(*room),
            Refusal::Stopped { .. }
            | Refusal::NotReady
            | Refusal::Level { .. }
            | Refusal::UnknownInstrument { .. }
            | Refusal::NotAllowed { .. }
            | Refusal::MarketState { .. }
            | Refusal::Frozen { .. }
            | Refusal::WrongKey { .. }
            | Refusal::DuplicateKey { .. }
            | Refusal::Duplicate { .. }
            | Refusal::UnknownParent { .. }
            | Refusal::NotOfParent { .. }
            | Refusal::OffGrid { .. }
            | Refusal::TooSmall { .. }
            | Refusal::NotionalTooSmall { .. }
            | Refusal::SelfMatch { .. }
            | Refusal::StreamDown { .. }
            | Refusal::ClockOffset { .. }
            | Refusal::Missing { .. }
            | Refusal::Stale { .. }
            | Refusal::BadBook { .. }
            | Refusal::NoReference { .. }
            | Refusal::Collar { .. }
            | Refusal::OpenOrders { .. }
            | Refusal::Throttled { .. }
            | Refusal::Funding { .. }
            | Refusal::Drawdown { .. }
            | Refusal::Oracle { .. }
            | Refusal::RejectStorm { .. }
            | Refusal::Repeating { .. }
            | Refusal::DuplicateParent { .. } => None,
        }
    }

    pub(crate) fn with_room(mut self, size: Qty) -> Refusal {
        if let Refusal::ParentExceeded { room, .. }
        | Refusal::NotReducing { room, .. }
        | Refusal::Overtakes { room, .. }
        | Refusal::OrderSize { room, .. }
        | Refusal::OrderNotional { room, .. }
        | Refusal::MarketExposure { room, .. }
        | Refusal::VenueExposure { room, .. }
        | Refusal::Leverage { room, .. }
        | Refusal::Cover { room, .. }
        | Refusal::IsolatedCover { room, .. }
        | Refusal::Shocked { room, .. }
        | Refusal::LiquidationNear { room, .. }
        | Refusal::Buffer { room, .. }
        | Refusal::Runway { room, .. }
        | Refusal::Sizing { room, .. }
        | Refusal::GroupExposure { room, .. }
        | Refusal::Layer2Share { room, .. }
        | Refusal::VenueTrust { room, .. }
        | Refusal::ParentNotional { room, .. }
        | Refusal::ParentsPerHour { room, .. } = &mut self
        {
            *room = size;
        }
        self
    }
}

#[cfg(test)]
mod tests;
