mod check;
mod decide;
mod quantities;
mod tell;
#[cfg(test)]
mod tests;
mod ticket;

use domain::{
    Arrival, Book, Child, ChildNo, Instrument, MarketTrade, ParentChange, ParentOutcome, ParentSpec, Px, Qty, RejectKind,
    Schedule, Seed, Side, Span, SpecFault, Stamp, Usd,
};

use crate::grid::Grid;
use crate::plan::Plan;
use crate::{ChildEvent, Progress, Proposal};
use quantities::worst_px;
use ticket::Ticket;

/// Age at which a book no longer says what the market is (C17).
const STALE: Span = Span::secs(2);
/// Blind for that long, resting orders are a gift to whoever sees: they are cancelled. Shorter gaps keep their queue position.
const BLIND: Span = Span::secs(5);
/// A spread of more than 1 % of the mid is no market to trade in.
const THIN_SPREAD_BPS: i64 = 100;
/// A child that catches up is at most this many slices (quant §2.1, c).
const CATCH_UP: i64 = 3;
/// Slices worked at the same time, each by at most one order.
const TICKETS: usize = 4;
/// The smallest order is planned with 10 % to spare, so that a price that moves does not strand the last slice …
const PLAN_MARGIN_BPS: i64 = 1_000;
/// … and placed with 1 %.
const PLACE_MARGIN_BPS: i64 = 100;
/// Re-peg at most this often, and only for a quarter of the spread (quant §2.3).
const REPEG_EVERY: Span = Span::millis(500);
/// Children: at most this many at once, then one per `TOKEN_EVERY` (C07).
const TOKENS: u8 = 6;
const TOKEN_EVERY: Span = Span::millis(400);
/// A parent that has sent this many is out of control, whatever its horizon (C08).
const CHILDREN_MAX: u32 = 20_000;
/// A cancel that had no effect is proposed again.
const CANCEL_AGAIN: Span = Span::secs(10);
/// Venue or guard refuse: wait this long, doubling, at most `BACK_OFF_MAX`.
const BACK_OFF: Span = Span::millis(500);
const BACK_OFF_MAX: Span = Span::secs(30);
/// A venue that takes post-only orders alone does so for about ten seconds after an upgrade.
const POST_ONLY_FOR: Span = Span::secs(10);
/// Between two tries of one ticket.
const RETRY: Span = Span::millis(250);
/// How far an immediate-or-cancel reaches behind the touch, doubling with each miss up to `REACH_DOUBLINGS`.
const REACH_BPS: i64 = 2;
const REACH_DOUBLINGS: u8 = 3;
/// Guard price: distance from the ticket's arrival mid within which it crosses, or three spreads if that is more (quant §2.3).
const GUARD_BPS: i64 = 25;
/// Participation: shortest and longest life of a child, and shortest time between two.
const POV_LIFE: (Span, Span) = (Span::secs(5), Span::secs(60));
const POV_EVERY: Span = Span::secs(1);
/// … and the number of slices by which its size is measured.
const POV_SLICES: u32 = 100;

/// One live parent.
///
/// After a crash the same worker is made by [`Worker::start`] with the journaled spec, start and arrival, and a replay of
/// `placed`, `refused`, `event` and `change` in journal order: its quantities are then exact. How far a child had escalated,
/// the market volume seen and back-offs start anew.
#[derive(Clone, Debug)]
pub struct Worker {
    hot: Hot,
    body: Box<Body>,
}

/// What a step without anything due reads: one cache line with the pointer to the rest, so that ten thousand workers stay close.
#[derive(Clone, Copy, Debug)]
struct Hot {
    /// Nothing to do before, unless the prices leave the ranges below.
    due: u64,
    near: (i64, i64),
    mid_x2: (i64, i64),
    /// UTC milliseconds minus desk milliseconds, at the start.
    wall_ms: i64,
    why: Due,
    side: Side,
    /// Whether public trades matter.
    follows_volume: bool,
}

/// Why a worker wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    Asked,
    Slice,
    SliceEnd,
    CatchUp,
    MakeWay,
    Pace,
    Volume,
    Peg,
    Mid,
    Cross,
    Repeg,
    Retry,
    Another,
    Rate,
    BackOff,
    PostOnlyWindow,
    Guard,
    CancelAgain,
    Stale,
    Blind,
    LastStretch,
    Crossing,
    Deadline,
    GiveUp,
}

impl Due {
    const fn words(self) -> &'static str {
        match self {
            Due::Nothing => "nothing",
            Due::Asked => "something happened",
            Due::Slice => "next slice",
            Due::SliceEnd => "end of slice",
            Due::CatchUp => "catching up",
            Due::MakeWay => "a place for the next slice",
            Due::Pace => "even pace",
            Due::Volume => "market volume",
            Due::Peg => "passive to pegged",
            Due::Mid => "pegged to mid",
            Due::Cross => "mid to cross",
            Due::Repeg => "re-peg",
            Due::Retry => "retry",
            Due::Another => "another ticket",
            Due::Rate => "rate of children",
            Due::BackOff => "back-off",
            Due::PostOnlyWindow => "end of the post-only window",
            Due::Guard => "price guard",
            Due::CancelAgain => "cancel again",
            Due::Stale => "stale book",
            Due::Blind => "blind for too long",
            Due::LastStretch => "last stretch",
            Due::Crossing => "next crossing",
            Due::Deadline => "deadline",
            Due::GiveUp => "end of forcing",
        }
    }
}

const ANY_PRICE: (i64, i64) = (i64::MIN, i64::MAX);
const NO_PRICE: (i64, i64) = (i64::MAX, i64::MIN);

impl Hot {
    fn wake(&mut self, at: u64, why: Due) {
        if at < self.due {
            self.due = at;
            self.why = why;
        }
    }

    fn moved(&self, book: &Book) -> bool {
        let (Some(bid), Some(ask)) = (book.bid(), book.ask()) else { return self.mid_x2 != ANY_PRICE };
        let near = match self.side {
            Side::Buy => bid.px.0,
            Side::Sell => ask.px.0,
        };
        let mid_x2 = bid.px.0 + ask.px.0;
        near < self.near.0 || near > self.near.1 || mid_x2 < self.mid_x2.0 || mid_x2 > self.mid_x2.1
    }
}

#[derive(Clone, Debug)]
struct Body {
    grid: Grid,
    spec: ParentSpec,
    start: Stamp,
    arrival: Arrival,
    seed: Seed,
    /// Worst price at which any child may trade, in ticks.
    worst: i64,
    /// Smallest order at arrival, with the plan's margin.
    smallest: i64,
    deadline: u64,
    extended: bool,

    leg: Leg,
    filled: i64,
    /// Σ price·quantity of fills, in tick·lots; and the maker part of it.
    value: i128,
    maker_value: i128,
    fees: Usd,
    tickets: Vec<Ticket>,
    /// What others traded since the count began, and how much of it makes the next child due.
    volume: i64,
    volume_due: i64,
    next_no: u32,
    children: u32,
    rejects: u32,
    refusals: u32,

    paused: bool,
    held: Option<Box<str>>,
    canceling: bool,
    ended: bool,
    /// Whether `step` was called: before that, events are a replay.
    stepped: bool,

    tokens: u8,
    token_at: u64,
    /// Refusals in a row, by the guard and by the venue.
    back_off: (u8, u8),
    not_before: u64,
    /// Largest size the guard allows, after it said so.
    room: Option<i64>,
    no_take_until: u64,
    /// When it last crossed: the last stretch crosses in steps, not at once.
    crossed_at: u64,
    blind_since: Option<u64>,
    /// When a forced parent gives up, once past its deadline and able to trade.
    give_up: Option<u64>,
    obstacle: Obstacle,
    last_obstacle: Obstacle,
}

/// A stretch of the parent under one plan: from its start, from an amendment, or from an extension.
#[derive(Clone, Debug)]
struct Leg {
    number: u32,
    start: u64,
    /// Filled or working when it began; the plan adds to it.
    base: i64,
    qty: i64,
    horizon: Span,
    /// `None` for participation.
    plan: Option<Plan>,
    /// Slices that have started.
    started: u32,
    next_start: u64,
    /// What is due by those slices, `base` included.
    target: i64,
    /// A slice has started for which no ticket has been opened.
    pending: bool,
    /// When the last ticket was opened.
    ticket_at: u64,
    /// Filled or working when the volume count began.
    volume_base: i64,
}

/// What stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    None,
    Operator,
    Held,
    NoBook,
    Stale { ms: u64 },
    Crossed,
    Thin,
    Band { px: i64 },
    Guard { px: i64 },
    Refused { kind: &'static str },
    Rejected { kind: RejectKind },
    PostOnlyWindow,
    Unknown { children: u32 },
    Small { qty: i64, smallest: i64 },
    TooMany,
}

impl Worker {
    /// A worker for `spec`, whose `id` is set. `start` is when its clock starts, `arrival` the market then, `seed` the root of
    /// chance.
    ///
    /// # Errors
    /// Every fault of the spec.
    pub fn start(
        spec: &ParentSpec,
        instrument: &Instrument,
        start: Stamp,
        arrival: &Arrival,
        seed: Seed,
    ) -> Result<Worker, Vec<SpecFault>> {
        let grid = Grid::new(instrument);
        let smallest = grid.smallest(Px(arrival.mid_x2 / 2), PLAN_MARGIN_BPS);
        // admitted with the margin with which it will be placed, planned with more
        let faults = check::faults(spec, instrument, arrival, grid.smallest(Px(arrival.mid_x2 / 2), PLACE_MARGIN_BPS));
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut body = Body {
            worst: worst_px(spec, arrival),
            smallest: smallest.0,
            deadline: (start + spec.horizon).mono,
            extended: false,
            leg: Leg {
                number: 0,
                start: start.mono,
                base: 0,
                qty: 0,
                horizon: spec.horizon,
                plan: None,
                started: 0,
                next_start: 0,
                target: 0,
                pending: false,
                ticket_at: 0,
                volume_base: 0,
            },
            filled: 0,
            value: 0,
            maker_value: 0,
            fees: Usd::ZERO,
            tickets: Vec::new(),
            volume: 0,
            volume_due: 0,
            next_no: 1,
            children: 0,
            rejects: 0,
            refusals: 0,
            paused: false,
            held: None,
            canceling: false,
            ended: false,
            stepped: false,
            tokens: TOKENS,
            token_at: start.mono,
            back_off: (0, 0),
            crossed_at: 0,
            not_before: 0,
            room: None,
            no_take_until: 0,
            blind_since: None,
            give_up: None,
            obstacle: Obstacle::None,
            last_obstacle: Obstacle::None,
            grid,
            spec: spec.clone(),
            start,
            arrival: *arrival,
            seed,
        };
        body.begin_leg(0, start.mono, spec.horizon);
        body.market_status(instrument.status);
        let desk_ms = i64::try_from(start.mono / 1_000_000).unwrap_or(i64::MAX);
        let hot = Hot {
            due: start.mono,
            near: ANY_PRICE,
            mid_x2: ANY_PRICE,
            wall_ms: i64::try_from(start.wall_ms).unwrap_or(i64::MAX).saturating_sub(desk_ms),
            why: Due::Slice,
            side: spec.side,
            follows_volume: matches!(spec.schedule, Schedule::Pov { .. }),
        };
        Ok(Worker { hot, body: Box::new(body) })
    }

    /// A public trade in its market: participation follows the volume of others.
    pub fn observe_trade(&mut self, trade: &MarketTrade) {
        if trade.own || !self.hot.follows_volume {
            return;
        }
        let body = &mut self.body;
        if body.volume == 0 {
            body.leg.volume_base = body.filled + body.wanted();
        }
        body.volume = body.volume.saturating_add(trade.qty.0.max(0));
        if body.volume >= body.volume_due {
            self.hot.wake(body.leg.ticket_at.saturating_add(POV_EVERY.0), Due::Volume);
        }
    }

    /// New rules of its market: minimum, price grid and whether takers are let in. Tick and lot must be the same as before.
    pub fn set_instrument(&mut self, instrument: &Instrument) {
        self.body.grid = Grid::new(instrument);
        self.body.market_status(instrument.status);
        self.hot.wake(0, Due::Asked);
    }

    /// Appends what the worker wants now. May be called at any time; at most one [`Proposal::Place`] a call, and each live child
    /// is cancelled once.
    #[inline]
    pub fn step(&mut self, at: Stamp, market: Option<&Book>, out: &mut Vec<Proposal>) {
        if let Some(book) = market {
            if at.mono < self.hot.due && !self.hot.moved(book) {
                return;
            }
        } else if at.mono < self.hot.due {
            return;
        }
        self.body.work(&mut self.hot, at, market, out);
    }

    /// The next moment at which `step` could want something without a new book, and why.
    #[must_use]
    pub fn wake(&self) -> Option<(Stamp, &'static str)> {
        if self.hot.due == u64::MAX {
            return None;
        }
        let desk_ms = i64::try_from(self.hot.due / 1_000_000).unwrap_or(i64::MAX);
        let wall_ms = u64::try_from(self.hot.wall_ms.saturating_add(desk_ms)).unwrap_or(0);
        Some((Stamp { mono: self.hot.due, wall_ms }, self.hot.why.words()))
    }

    /// The guard cleared it; its intent is durable or about to be.
    pub fn placed(&mut self, at: Stamp, child: &Child) {
        self.body.placed(at.mono, child);
        self.hot.wake(at.mono, Due::Asked);
    }

    /// The guard refused it; `room` is the largest size it would have allowed.
    pub fn refused(&mut self, at: Stamp, child: &Child, kind: &'static str, room: Option<Qty>) {
        self.body.refused(at.mono, child, kind, room);
        self.hot.wake(at.mono, Due::Asked);
    }

    /// What became of a child. Events of children that are not known or over change nothing, except fills.
    pub fn event(&mut self, at: Stamp, no: ChildNo, event: ChildEvent) {
        self.body.event(at.mono, no, event);
        self.hot.wake(at.mono, Due::Asked);
    }

    /// An operator's change.
    ///
    /// # Errors
    /// Every fault of an amendment; then nothing changed.
    pub fn change(&mut self, at: Stamp, change: &ParentChange) -> Result<(), Vec<SpecFault>> {
        self.hot.wake(at.mono, Due::Asked);
        match change {
            ParentChange::Pause => self.body.paused = true,
            ParentChange::Resume => self.body.paused = false,
            ParentChange::Cancel => self.body.canceling = true,
            ParentChange::Amend { qty, horizon } => {
                self.body.amend(at.mono, *qty, *horizon)?;
                self.body.volume = 0;
            }
        }
        Ok(())
    }

    /// The desk's own pause: kill latch, frozen market, reconciliation running. `None`: go on. Whether that is news.
    pub fn hold(&mut self, at: Stamp, why: Option<&str>) -> bool {
        let news = self.body.held.as_deref() != why;
        if news {
            self.body.held = why.map(Box::from);
            self.hot.wake(at.mono, Due::Asked);
        }
        news
    }

    /// The parent ended, as the journal says: nothing is proposed any more. Late fills are still booked.
    pub fn end(&mut self, at: Stamp, outcome: &ParentOutcome) {
        self.body.ended = true;
        self.body.canceling |= matches!(outcome, ParentOutcome::Canceled { .. });
        self.hot.wake(at.mono, Due::Asked);
    }

    /// Where it stands.
    #[must_use]
    pub fn progress(&self, at: Stamp) -> Progress {
        self.body.progress(at)
    }
}
