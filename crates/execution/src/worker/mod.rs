mod check;
#[cfg(test)]
mod tests;
mod ticket;

use std::fmt::Write as _;

use domain::{
    Arrival, Book, Child, ChildNo, EndPolicy, Instrument, LiquidityRole, MarketTrade, OrderOutcome, ParentChange, ParentOutcome,
    ParentSpec, Placement, Px, Qty, Ratio, RejectKind, Schedule, Seed, Side, Span, SpecFault, Stamp, Tif, Usd,
};
use rust_decimal::{Decimal, RoundingStrategy};

use crate::grid::Grid;
use crate::plan::Plan;
use crate::schedule::Shape;
use crate::{ChildEvent, Progress, Proposal, State};
use ticket::{Level, Order, Standing, Ticket};

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

    /// New rules of its market: minimum and price grid. Tick and lot must be the same as before.
    pub fn set_instrument(&mut self, instrument: &Instrument) {
        self.body.grid = Grid::new(instrument);
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

    /// The desk's own pause: kill latch, frozen market, reconciliation running. `None`: go on.
    pub fn hold(&mut self, at: Stamp, why: Option<&str>) {
        if self.body.held.as_deref() != why {
            self.body.held = why.map(Box::from);
            self.hot.wake(at.mono, Due::Asked);
        }
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

// Durable part: quantities. A replay of the journal calls only what stands here.
impl Body {
    fn placed(&mut self, now: u64, child: &Child) {
        self.next_no = self.next_no.max(child.no.0.saturating_add(1));
        self.children += 1;
        self.back_off.0 = 0;
        self.room = None;
        let level = match child.tif {
            Tif::PostOnly => self.first_level(),
            Tif::GoodTilCancel | Tif::ImmediateOrCancel => Level::Cross,
        };
        let (qty, px, tif) = (child.qty.0, child.px.0, child.tif);
        let order = Order { no: child.no, qty, filled: 0, px, tif, level, standing: Standing::Sent, since: now };
        if let Some(ticket) = self.ticket_of(child.no) {
            ticket.order = Some(Order { level: ticket.level, ..order });
            return;
        }
        // a replay: which slice it belonged to is forgotten, what it may fill is not
        let ends = now.saturating_add(self.interval()).min(self.deadline);
        let mut ticket = Ticket::new(qty, (now, ends), (0, 0), level);
        ticket.order = Some(order);
        self.tickets.push(ticket);
    }

    fn refused(&mut self, now: u64, child: &Child, kind: &'static str, room: Option<Qty>) {
        self.next_no = self.next_no.max(child.no.0.saturating_add(1));
        self.refusals += 1;
        if let Some(ticket) = self.ticket_of(child.no) {
            ticket.order = None;
        }
        let smallest = self.grid.smallest(child.px, PLACE_MARGIN_BPS);
        let room = room.filter(|r| *r >= smallest && *r < child.qty).map(|r| r.0);
        // the first time that there is room for less, less is tried soon; every other refusal waits longer than the one before
        self.not_before = match (room, self.room) {
            (Some(_), None) => now + RETRY.0,
            _ => now + back_off(&mut self.back_off.0),
        };
        self.room = room;
        self.meet(Obstacle::Refused { kind });
    }

    fn event(&mut self, now: u64, no: ChildNo, event: ChildEvent) {
        match event {
            ChildEvent::Acked => {
                self.back_off.1 = 0;
                if let Some(ticket) = self.ticket_of(no) {
                    ticket.would_take = 0;
                    enter(ticket, now, Standing::Acked, &[Standing::Proposed, Standing::Sent, Standing::Unknown]);
                }
            }
            ChildEvent::Unknown => {
                let known = [Standing::Proposed, Standing::Sent, Standing::Acked, Standing::Leaving];
                if let Some(ticket) = self.ticket_of(no) {
                    enter(ticket, now, Standing::Unknown, &known);
                }
            }
            ChildEvent::CancelAsked => {
                if let Some(ticket) = self.ticket_of(no) {
                    enter(ticket, now, Standing::Leaving, &[Standing::Sent, Standing::Acked]);
                }
            }
            ChildEvent::Rejected(kind) => self.rejected(now, no, kind),
            ChildEvent::Filled { qty, px, role, fee, .. } => self.filled(now, no, (qty.0, px.0), role, fee),
            ChildEvent::Done(outcome) => self.done(now, no, outcome),
        }
    }

    fn filled(&mut self, now: u64, no: ChildNo, (qty, px): (i64, i64), role: LiquidityRole, fee: Usd) {
        let qty = qty.max(0);
        let value = i128::from(px) * i128::from(qty);
        self.filled += qty;
        self.value += value;
        if role == LiquidityRole::Maker {
            self.maker_value += value;
        }
        self.fees += fee;
        self.back_off.1 = 0;
        self.last_obstacle = Obstacle::None;
        let pause = self.refresh_delay(no);
        if let Some(at) = self.tickets.iter().position(|t| t.order.is_some_and(|o| o.no == no)) {
            let ticket = &mut self.tickets[at];
            ticket.want = (ticket.want - qty).max(0);
            ticket.misses = 0;
            if let Some(order) = &mut ticket.order {
                order.filled += qty;
                if order.open() == 0 {
                    ticket.order = None;
                    ticket.not_before = now.saturating_add(pause);
                }
            }
            self.drop_if_over(at);
        }
        self.shed();
    }

    fn done(&mut self, now: u64, no: ChildNo, outcome: OrderOutcome) {
        let Some(at) = self.tickets.iter().position(|t| t.order.is_some_and(|o| o.no == no)) else { return };
        if outcome == OrderOutcome::Rejected {
            self.rejected(now, no, RejectKind::Other);
            return;
        }
        let ticket = &mut self.tickets[at];
        let Some(order) = &mut ticket.order else { return };
        if outcome == OrderOutcome::Filled && order.open() > 0 {
            order.standing = Standing::Owed;
            order.since = now;
            return;
        }
        if (order.tif == Tif::ImmediateOrCancel && order.open() > 0) || outcome == OrderOutcome::NeverLanded {
            ticket.misses = ticket.misses.saturating_add(1);
            ticket.not_before = now + retry(ticket.misses);
        }
        ticket.order = None;
        self.drop_if_over(at);
    }

    fn rejected(&mut self, now: u64, no: ChildNo, kind: RejectKind) {
        let Some(at) = self.tickets.iter().position(|t| t.order.is_some_and(|o| o.no == no)) else { return };
        self.rejects += 1;
        let ticket = &mut self.tickets[at];
        ticket.order = None;
        match kind {
            // the market moved between our look and its arrival: look again
            RejectKind::WouldTake => {
                ticket.would_take = ticket.would_take.saturating_add(1);
                ticket.not_before = now + retry(ticket.would_take);
            }
            RejectKind::NothingToTake => {
                ticket.misses = ticket.misses.saturating_add(1);
                ticket.not_before = now + retry(ticket.misses);
            }
            RejectKind::PostOnlyWindow => {
                self.no_take_until = now + POST_ONLY_FOR.0;
                self.meet(Obstacle::PostOnlyWindow);
            }
            RejectKind::Malformed
            | RejectKind::Margin
            | RejectKind::ReduceOnly
            | RejectKind::Throttled
            | RejectKind::Expired
            | RejectKind::Auth
            | RejectKind::Other => {
                self.not_before = now + back_off(&mut self.back_off.1);
                self.meet(Obstacle::Rejected { kind });
            }
        }
        self.drop_if_over(at);
    }

    /// A ticket without an order goes when there is nothing left of it, when it makes way, and during a replay: what it still
    /// wanted is then due again.
    fn drop_if_over(&mut self, at: usize) {
        let ticket = &self.tickets[at];
        if ticket.order.is_none() && (ticket.want == 0 || ticket.retiring || !self.stepped) {
            self.tickets.remove(at);
        }
    }

    /// After a late fill, tickets want no more than is left of the parent.
    fn shed(&mut self) {
        let mut excess = self.filled + self.wanted() - self.spec.qty.0;
        for ticket in self.tickets.iter_mut().rev() {
            let spare = (ticket.want - ticket.open()).clamp(0, excess.max(0));
            ticket.want -= spare;
            excess -= spare;
        }
        self.tickets.retain(|t| t.want > 0 || t.order.is_some());
    }

    fn amend(&mut self, now: u64, qty: Option<Qty>, horizon: Option<Span>) -> Result<(), Vec<SpecFault>> {
        self.extend_if_due(now);
        let mut faults = Vec::new();
        let mut fault = |field: &str, value: String, expected: String| {
            faults.push(SpecFault { field: field.to_owned(), value, expected });
        };
        let busy = self.filled + self.open();
        let total = qty.unwrap_or(self.spec.qty);
        let rest = total.0 - busy;
        if self.ended || self.canceling {
            fault("parent", self.spec.id.to_string(), "a parent that is not over".into());
        }
        if rest < 0 {
            fault("qty", format!("{} lots", total.0), format!("at least what is filled, working or unknown, {busy} lots"));
        } else if qty.is_some() && rest > 0 && rest < self.smallest && !self.spec.reduce_only {
            let expected = format!("{busy} lots, or at least {} more: the venue's smallest order", self.smallest);
            fault("qty", format!("{} lots", total.0), expected);
        }
        let deadline = match horizon {
            None => self.deadline,
            Some(horizon) => {
                if let Some(expected) = check::bad_horizon(horizon) {
                    fault("horizon", horizon.to_string(), expected);
                }
                (self.start + horizon).mono
            }
        };
        if horizon.is_some() && deadline <= now {
            let passed = Span(now.saturating_sub(self.start.mono));
            fault(
                "horizon",
                Span(deadline.saturating_sub(self.start.mono)).to_string(),
                format!("more than the {passed} that have passed"),
            );
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        self.spec.qty = total;
        if let Some(horizon) = horizon {
            self.spec.horizon = horizon;
        }
        self.deadline = deadline;
        self.give_up = None;
        self.shed();
        // past its deadline, what is left is due at once
        self.begin_leg(self.filled + self.wanted(), now, Span(deadline.saturating_sub(now)).max(Span::secs(1)));
        Ok(())
    }

    /// The one extension, planned over one more horizon.
    fn extend_if_due(&mut self, now: u64) {
        if now < self.deadline || self.spec.end != EndPolicy::Extend || self.extended {
            return;
        }
        self.extended = true;
        let (start, horizon, volume_base) = (self.deadline, self.spec.horizon, self.leg.volume_base);
        self.deadline = self.deadline.saturating_add(horizon.0);
        self.begin_leg(self.filled + self.wanted(), start, horizon);
        // the volume count goes on
        self.leg.volume_base = volume_base;
    }

    /// Plans what is not yet in hand, from `start` over `horizon`.
    fn begin_leg(&mut self, base: i64, start: u64, horizon: Span) {
        let qty = (self.spec.qty.0 - base).max(0);
        let wanted = match &self.spec.schedule {
            Schedule::Twap { slices } | Schedule::Vwap { slices, .. } | Schedule::Shortfall { slices, .. } => *slices,
            Schedule::Pov { .. } => 1,
        };
        // a shorter leg has proportionally fewer slices
        let wanted = u64::from(wanted) * horizon.0.min(self.spec.horizon.0) / self.spec.horizon.0.max(1);
        let wanted = u32::try_from(wanted).unwrap_or(check::SLICES_MAX).max(1);
        let wall_ms = (self.start + Span(start.saturating_sub(self.start.mono))).wall_ms;
        let lots_value = self.arrival.tick_lot.decimal().checked_mul(Decimal::from(self.arrival.mid_x2)).unwrap_or(Decimal::ZERO);
        let notional = lots_value.checked_mul(Decimal::from(qty)).map_or(Decimal::ZERO, |n| n / Decimal::TWO);
        let number = self.leg.number + 1;
        let plan = Shape::of(&self.spec, wanted, wall_ms, horizon, notional)
            .map(|shape| Plan::new(&shape, (qty, self.smallest), (wanted, horizon), (self.seed, self.spec.id, number)));
        let next_start = plan.as_ref().map_or(u64::MAX, |p| start.saturating_add(p.starts(0).0));
        self.leg = Leg {
            number,
            start,
            base,
            qty,
            horizon,
            plan,
            started: 0,
            next_start,
            target: base,
            pending: false,
            ticket_at: 0,
            volume_base: base,
        };
    }

    fn ticket_of(&mut self, no: ChildNo) -> Option<&mut Ticket> {
        self.tickets.iter_mut().find(|t| t.order.is_some_and(|o| o.no == no))
    }

    /// What children may still fill: live, on their way, unknown or owed.
    fn open(&self) -> i64 {
        self.tickets.iter().map(Ticket::open).sum()
    }

    /// What tickets still want, with an order or without.
    fn wanted(&self) -> i64 {
        self.tickets.iter().map(|t| t.want.max(t.open())).sum()
    }

    /// Neither filled nor in any child: what may be placed.
    fn free(&self) -> i64 {
        (self.spec.qty.0 - self.filled - self.open()).max(0)
    }

    /// Time of one slice.
    fn interval(&self) -> u64 {
        match &self.leg.plan {
            Some(plan) => self.leg.horizon.0 / u64::from(plan.len().max(1)),
            None => (self.leg.horizon.0 / 20).clamp(POV_LIFE.0.0, POV_LIFE.1.0),
        }
    }

    fn meet(&mut self, obstacle: Obstacle) {
        self.obstacle = obstacle;
        self.last_obstacle = obstacle;
    }

    /// An iceberg shows its next part after 0.2 to 2 s; everything else may go on at once.
    fn refresh_delay(&self, no: ChildNo) -> u64 {
        if self.spec.display.is_none() {
            return 0;
        }
        let mut stream = self.seed.fork(&format!("parent.{}.child.{}.refresh", self.spec.id.0, no.0));
        Span::millis(200 + stream.below(1_801)).0
    }
}

/// How long to wait after one more refusal in a row.
fn back_off(row: &mut u8) -> u64 {
    let wait = BACK_OFF.0.saturating_mul(1 << (*row).min(16)).min(BACK_OFF_MAX.0);
    *row = row.saturating_add(1);
    wait
}

/// How long a ticket waits after `misses` in a row: a quarter of a second, doubling up to four seconds.
fn retry(misses: u8) -> u64 {
    RETRY.0 << misses.saturating_sub(1).min(4)
}

fn enter(ticket: &mut Ticket, now: u64, standing: Standing, from: &[Standing]) {
    if let Some(order) = ticket.order.as_mut().filter(|o| from.contains(&o.standing)) {
        order.standing = standing;
        order.since = now;
    }
}

/// The tighter of the price band and the slippage cap, in ticks.
fn worst_px(spec: &ParentSpec, arrival: &Arrival) -> i64 {
    let cap = spec.slippage_max.decimal();
    let reach_x2 = if cap.is_zero() {
        guard_reach_x2(arrival.mid_x2, arrival.spread)
    } else {
        // rounded down: never beyond the cap
        let reach = cap.checked_mul(Decimal::from(arrival.mid_x2)).map(|r| r.floor());
        reach.and_then(|r| i64::try_from(r).ok()).unwrap_or(0)
    };
    let band = spec.limit_px.map(|px| px.0);
    match spec.side {
        Side::Buy => (arrival.mid_x2 + reach_x2).div_euclid(2).min(band.unwrap_or(i64::MAX)),
        Side::Sell => (arrival.mid_x2 - reach_x2 + 1).div_euclid(2).max(band.unwrap_or(0)),
    }
}

/// Twice the distance of the guard price from a mid: 25 bp or three spreads, whichever is more.
fn guard_reach_x2(mid_x2: i64, spread: i64) -> i64 {
    let by_price = i128::from(mid_x2) * i128::from(GUARD_BPS) / 10_000;
    i64::try_from(by_price).unwrap_or(i64::MAX).max(spread.saturating_mul(6))
}

// What follows decides; nothing of it needs to survive a crash.
impl Body {
    fn work(&mut self, hot: &mut Hot, at: Stamp, market: Option<&Book>, out: &mut Vec<Proposal>) {
        let now = at.mono;
        self.stepped = true;
        let mut next = Next { now, due: u64::MAX, why: Due::Nothing };
        hot.near = ANY_PRICE;
        hot.mid_x2 = ANY_PRICE;
        if !self.ended {
            self.obstacle = Obstacle::None;
            self.decide(hot, now, market, &mut next, out);
        }
        hot.due = next.due;
        hot.why = next.why;
    }

    fn decide(&mut self, hot: &mut Hot, now: u64, market: Option<&Book>, next: &mut Next, out: &mut Vec<Proposal>) {
        if self.over(now, next, out) {
            return;
        }
        if self.paused || self.held.is_some() {
            // the operator wants its children gone; the desk, which holds for reasons of its own, cancels what it must
            if self.paused {
                self.cancel_all(now, next, out);
            }
            self.give_up = None;
            self.meet(if self.paused { Obstacle::Operator } else { Obstacle::Held });
            return;
        }
        let book = match self.judge(now, market) {
            Ok(book) => book,
            Err(obstacle) => {
                self.give_up = None;
                self.meet(obstacle);
                let since = *self.blind_since.get_or_insert(now);
                let blind = since.saturating_add(BLIND.0);
                if now >= blind {
                    self.clear_market(now, next, out);
                } else if self.open() > 0 {
                    next.at(blind, Due::Blind);
                }
                (hot.near, hot.mid_x2) = (NO_PRICE, NO_PRICE);
                return;
            }
        };
        self.blind_since = None;
        let look = Look::new(book, self.spec.side);
        let ending = self.ending(now, next);
        self.age(now, next);
        for i in 0..self.tickets.len() {
            self.tend(i, now, &look, ending, next, out);
        }
        self.tickets.retain(|t| t.order.is_some() || (t.want > 0 && !t.retiring));
        self.open_ticket(now, &look, ending, next);
        self.place(now, book, &look, ending, next, out);
        self.watch(hot, &look, ending);
        if self.open() > 0 {
            next.at(book.at.mono.saturating_add(STALE.0 + 1_000_000), Due::Stale);
        }
    }

    /// Whether the parent is over or being brought to an end, in which case everything has been said.
    fn over(&mut self, now: u64, next: &mut Next, out: &mut Vec<Proposal>) -> bool {
        let residual = Qty((self.spec.qty.0 - self.filled).max(0));
        let outcome = if residual.is_zero() {
            ParentOutcome::Filled
        } else if self.canceling {
            ParentOutcome::Canceled { residual }
        } else {
            self.extend_if_due(now);
            next.at(self.deadline, Due::Deadline);
            let expired = now >= self.deadline && (self.spec.end != EndPolicy::Force || self.gives_up(now, next));
            if !expired && self.children < CHILDREN_MAX {
                return false;
            }
            if self.children >= CHILDREN_MAX {
                self.meet(Obstacle::TooMany);
            }
            ParentOutcome::Expired { residual, why: self.why_left(residual) }
        };
        self.cancel_all(now, next, out);
        if self.tickets.iter().all(|t| t.order.is_none()) {
            self.tickets.clear();
            self.ended = true;
            next.due = u64::MAX;
            out.push(Proposal::Ended(outcome));
        }
        true
    }

    /// Whether a forced parent past its deadline has had its time: as long again as it was given, at least a minute and at most
    /// an hour, in which it could have traded; or nothing is left that any order could carry.
    fn gives_up(&mut self, now: u64, next: &mut Next) -> bool {
        if self.paused || self.held.is_some() {
            return false;
        }
        let grace = self.spec.horizon.0.clamp(Span::secs(60).0, Span::secs(3_600).0);
        let at = *self.give_up.get_or_insert(now.saturating_add(grace));
        next.at(at, Due::GiveUp);
        let free = self.free();
        let dust = self.open() == 0 && free < self.smallest_now() && (!self.spec.reduce_only || self.last_obstacle_is_final());
        if dust {
            self.meet(Obstacle::Small { qty: free, smallest: self.smallest_now() });
        }
        now >= at || dust
    }

    fn last_obstacle_is_final(&self) -> bool {
        matches!(self.last_obstacle, Obstacle::Rejected { kind: RejectKind::Malformed | RejectKind::ReduceOnly })
    }

    /// The smallest order at the worst price, so that no smaller one would do anywhere in the band when buying.
    fn smallest_now(&self) -> i64 {
        self.grid.smallest(Px(self.arrival.mid_x2 / 2), PLACE_MARGIN_BPS).0
    }

    /// Proposes to cancel everything that rests, and looks again for what does not yet.
    fn cancel_all(&mut self, now: u64, next: &mut Next, out: &mut Vec<Proposal>) {
        let mut unknown = 0;
        for ticket in &mut self.tickets {
            ticket.retiring = true;
            let Some(order) = &mut ticket.order else { continue };
            unknown += u32::from(order.standing == Standing::Unknown);
            cancel(order, now, next, out);
        }
        self.tickets.retain(|t| t.order.is_some());
        if unknown > 0 {
            self.meet(Obstacle::Unknown { children: unknown });
        }
    }

    /// Cancels what rests unseen, except what would come back too small for any order: that little is no gift.
    fn clear_market(&mut self, now: u64, next: &mut Next, out: &mut Vec<Proposal>) {
        let mut free = self.free();
        let smallest = self.smallest;
        for ticket in &mut self.tickets {
            let Some(order) = &mut ticket.order else { continue };
            free += order.open();
            if free >= smallest {
                ticket.retiring = true;
                cancel(order, now, next, out);
            }
        }
    }

    fn judge<'b>(&self, now: u64, market: Option<&'b Book>) -> Result<&'b Book, Obstacle> {
        let book = market.ok_or(Obstacle::NoBook)?;
        let age = now.saturating_sub(book.at.mono);
        if age > STALE.0 {
            return Err(Obstacle::Stale { ms: Span(age).as_millis() });
        }
        let (Some(bid), Some(ask)) = (book.bid(), book.ask()) else { return Err(Obstacle::Thin) };
        let spread = ask.px.0 - bid.px.0;
        if spread <= 0 || bid.px.0 <= 0 {
            return Err(Obstacle::Crossed);
        }
        let wide = i128::from(spread) * 20_000 > i128::from(THIN_SPREAD_BPS) * i128::from(bid.px.0 + ask.px.0);
        let smallest = self.grid.smallest(bid.px, 0).0;
        let deep = |levels: &[domain::Level]| {
            let mut seen = 0_i64;
            levels.iter().any(|l| {
                seen = seen.saturating_add(l.qty.0);
                seen >= smallest
            })
        };
        if wide || !deep(&book.bids) || !deep(&book.asks) {
            return Err(Obstacle::Thin);
        }
        Ok(book)
    }

    /// Whether a forced parent is in its last stretch: 5 % of the horizon or a minute, but at most a tenth of it.
    fn ending(&self, now: u64, next: &mut Next) -> bool {
        if self.spec.end != EndPolicy::Force {
            return false;
        }
        let horizon = self.deadline.saturating_sub(self.start.mono);
        let stretch = (horizon / 20).max(Span::secs(60).0).min(horizon / 10);
        let from = self.deadline.saturating_sub(stretch);
        next.at(from, Due::LastStretch);
        now >= from
    }

    /// Starts the slices whose time has come.
    fn age(&mut self, now: u64, next: &mut Next) {
        let leg = &mut self.leg;
        if let Some(plan) = &leg.plan {
            if now >= leg.next_start {
                leg.started = plan.started(Span(now.saturating_sub(leg.start)), leg.started);
                leg.pending = true;
                leg.target = leg.base + leg.started.checked_sub(1).map_or(0, |i| plan.due(i));
                leg.next_start =
                    if leg.started < plan.len() { leg.start.saturating_add(plan.starts(leg.started).0) } else { u64::MAX };
            }
            next.at(leg.next_start, Due::Slice);
        } else {
            self.leg.target = self.participation(now);
            self.leg.pending = true;
            self.volume_due = self.volume_for(self.filled + self.wanted() + self.slice());
            if matches!(self.spec.schedule, Schedule::Pov { complete: true, .. }) {
                next.at(now.saturating_add(self.leg.horizon.0 / 100), Due::Pace);
            }
        }
        if now >= self.deadline {
            self.leg.target = self.spec.qty.0;
        }
    }

    /// What participation asks for: ρ/(1−ρ) of what others traded, since own volume counts in the total (quant §2.1).
    fn participation(&self, now: u64) -> i64 {
        let Schedule::Pov { rate, complete } = &self.spec.schedule else { return self.leg.target };
        let rest = (Decimal::ONE - rate.decimal()).max(Decimal::new(5, 1));
        let own = Decimal::from(self.volume).checked_mul(rate.decimal()).map(|v| (v / rest).floor());
        let own = own.and_then(|v| i64::try_from(v).ok()).unwrap_or(0);
        let by_volume = self.leg.volume_base.saturating_add(own);
        let even = if *complete {
            let elapsed = Span(now.saturating_sub(self.leg.start));
            self.leg.base + crate::plan::lots(self.leg.qty, Shape::Even.share(elapsed, self.leg.horizon))
        } else {
            0
        };
        by_volume.max(even).min(self.spec.qty.0)
    }

    /// The market volume at which participation asks for `own` lots in all.
    fn volume_for(&self, own: i64) -> i64 {
        let Schedule::Pov { rate, .. } = &self.spec.schedule else { return i64::MAX };
        let own = Decimal::from((own - self.leg.volume_base).max(0));
        let volume = own.checked_mul(Decimal::ONE - rate.decimal()).and_then(|v| v.checked_div(rate.decimal()));
        volume.and_then(|v| i64::try_from(v.ceil()).ok()).unwrap_or(i64::MAX)
    }

    /// Size of one slice, the measure of what may be caught up at once.
    fn slice(&self) -> i64 {
        let size = match &self.leg.plan {
            Some(plan) => plan.size(self.leg.started.saturating_sub(1)),
            None => self.spec.qty.0 / 100,
        };
        size.max(self.smallest)
    }

    /// Between two tickets that catch up.
    fn catch_up_every(&self) -> u64 {
        match &self.leg.plan {
            Some(_) => (self.interval() / 2).clamp(Span::secs(1).0, Span::secs(30).0),
            None => POV_EVERY.0,
        }
    }

    /// Opens a ticket for what is due: at the start of a slice, and later for what was not done, when nothing else is worked.
    fn open_ticket(&mut self, now: u64, look: &Look, ending: bool, next: &mut Next) {
        let wanted = self.wanted();
        let left = self.spec.qty.0 - self.filled - wanted;
        let due = self.leg.target - self.filled - wanted;
        if left <= 0 || due <= 0 {
            self.leg.pending = false;
            return;
        }
        let smallest = self.grid.smallest(look.near_px(), PLACE_MARGIN_BPS).0;
        let slice = self.slice();
        let mut want = due.min(slice.saturating_mul(CATCH_UP));
        if left - want < smallest {
            // what remained would be too small for any order
            want = left;
        }
        // a whole position may be closed by an order of any size
        let whole = self.spec.reduce_only && want == left && wanted == 0;
        if want < smallest && !whole {
            self.leg.pending = false;
            if left < smallest && wanted == 0 {
                self.meet(Obstacle::Small { qty: left, smallest });
            }
            return;
        }
        let steady = self.leg.plan.is_some();
        let crumbs = match &self.leg.plan {
            // a little that is late waits for the next slice, if there is one
            Some(plan) => !self.leg.pending && self.leg.started < plan.len() && due < slice / 2,
            None => due < slice && due < left,
        };
        if crumbs {
            return;
        }
        let again = self.leg.ticket_at.saturating_add(if ending { self.last_step() } else { self.catch_up_every() });
        let fresh = self.leg.pending && (steady || now >= again || self.leg.ticket_at == 0);
        let catching = wanted == 0 || ending;
        let may = fresh || (catching && now >= again);
        if !may {
            if catching || !steady {
                next.at(again, Due::CatchUp);
            }
            return;
        }
        if self.tickets.len() >= TICKETS {
            if self.make_way() {
                next.at(now, Due::MakeWay);
            }
            return;
        }
        let ends = match &self.leg.plan {
            Some(plan) => self.leg.start.saturating_add(plan.ends(self.leg.started.saturating_sub(1)).0),
            None => now.saturating_add(self.interval()),
        };
        // a ticket that catches up lives as long as it would have, had it come in time
        let ends = ends.max(now.saturating_add(self.catch_up_every()));
        let ends = if now < self.deadline { ends.min(self.deadline) } else { ends };
        let level = if ending { Level::Cross } else { self.first_level() };
        self.tickets.push(Ticket::new(want, (now, ends), (look.mid_x2, look.spread), level));
        self.leg.pending = false;
        self.leg.ticket_at = now;
    }

    /// Between two crossings of the last stretch.
    fn last_step(&self) -> u64 {
        let horizon = self.deadline.saturating_sub(self.start.mono);
        (horizon / 40).clamp(RETRY.0, Span::secs(1).0)
    }

    /// All places are taken: the resting order furthest from the market goes, its quantity is due again.
    fn make_way(&mut self) -> bool {
        if self.tickets.iter().any(|t| t.retiring) {
            return false;
        }
        let sign = self.spec.side.sign();
        let furthest = self.tickets.iter_mut().filter(|t| t.order.is_none_or(|o| o.rests()));
        let Some(ticket) = furthest.min_by_key(|t| t.order.map_or(i64::MIN, |o| o.px * sign)) else { return false };
        ticket.retiring = true;
        true
    }

    fn first_level(&self) -> Level {
        match self.spec.placement {
            Placement::Passive | Placement::LimitToMarket => Level::Passive,
            Placement::Pegged => Level::Pegged,
        }
    }

    /// Decides how eagerly ticket `i` is worked now, and cancels its order if that means another one.
    fn tend(&mut self, i: usize, now: u64, look: &Look, ending: bool, next: &mut Next, out: &mut Vec<Proposal>) {
        let level = self.level(i, now, look, ending, next);
        let free = self.free();
        let (side, placement, deadline) = (self.spec.side, self.spec.placement, self.deadline);
        let (reduce_only, left) = (self.spec.reduce_only, self.spec.qty.0 - self.filled);
        let smallest = self.grid.smallest(look.near_px(), PLACE_MARGIN_BPS).0;
        let (mid_px, best) = (self.mid_px(look), self.grid.inward(Px(self.inside(look.near)), side).0);
        let over = self.filled + self.open() > self.spec.qty.0;
        let whole = self.spec.reduce_only && free == 0 && self.tickets.iter().filter(|t| t.order.is_some()).count() == 1;
        let ticket = &mut self.tickets[i];
        ticket.level = level;
        if ticket.mid_x2 == 0 {
            (ticket.mid_x2, ticket.spread) = (look.mid_x2, look.spread);
        }
        let Some(order) = &mut ticket.order else {
            // its time is over and nothing of it works: what it wanted is due again
            let ended = placement == Placement::LimitToMarket && now >= ticket.ends && now < deadline;
            // crumbs of several tickets make one order together, none alone
            let crumb = ticket.want < smallest && !(reduce_only && ticket.want == left);
            ticket.retiring |= ended || crumb;
            return;
        };
        if order.standing == Standing::Leaving {
            cancel(order, now, next, out);
            return;
        }
        if !order.rests() {
            return;
        }
        let sign = side.sign();
        let behind = (look.near - order.px) * sign;
        let settled = now.saturating_sub(order.since) >= REPEG_EVERY.0;
        let away = behind >= 1 && behind.saturating_mul(4) >= look.spread;
        let wants_another = match level {
            _ if over || ticket.retiring => true,
            Level::Passive => false,
            Level::Pegged => away && settled,
            // at the mid it stays: our own order moves the mid, and following it would be following ourselves
            Level::Mid => order.level < Level::Mid && (mid_px - order.px) * sign > 0,
            Level::Cross if order.level < Level::Cross => true,
            // a crossing that rests was priced to trade; it goes only when the market has left it behind and a better price is allowed
            Level::Cross => settled && (best - order.px) * sign > 0,
        };
        if level == Level::Pegged && away && !settled {
            next.at(order.since.saturating_add(REPEG_EVERY.0), Due::Repeg);
        }
        // if too little for any order might come back, it stays where it is: no order could carry it
        let recoverable = over || whole || free >= smallest || order.open() >= smallest;
        if wants_another && recoverable {
            cancel(order, now, next, out);
        }
    }

    fn level(&mut self, i: usize, now: u64, look: &Look, ending: bool, next: &mut Next) -> Level {
        let behind = self.behind();
        let (side, placement) = (self.spec.side, self.spec.placement);
        let sigma = match &self.spec.schedule {
            Schedule::Shortfall { sigma_daily, .. } => Some(*sigma_daily),
            Schedule::Twap { .. } | Schedule::Vwap { .. } | Schedule::Pov { .. } => None,
        };
        let ticket = &mut self.tickets[i];
        if ending {
            return Level::Cross;
        }
        let stubborn = if ticket.would_take >= 6 { Level::Mid } else { Level::Passive };
        match placement {
            Placement::Passive => return stubborn,
            Placement::Pegged => return stubborn.max(Level::Pegged),
            Placement::LimitToMarket => {}
        }
        let life = ticket.ends.saturating_sub(ticket.born).max(1);
        let lived = now.saturating_sub(ticket.born);
        let share = u128::from(lived) * 100 / u128::from(life);
        let mut level = match share {
            0..40 => Level::Passive,
            40..75 => Level::Pegged,
            75..90 => Level::Mid,
            _ => Level::Cross,
        };
        let drift_x2 = if ticket.mid_x2 == 0 { 0 } else { (look.mid_x2 - ticket.mid_x2) * side.sign() };
        let bps = |n: i64| i64::try_from(i128::from(ticket.mid_x2) * i128::from(n) / 10_000).unwrap_or(i64::MAX).max(1);
        if level > Level::Passive && ticket.level == Level::Passive && !ticket.reset && drift_x2 <= -bps(3) {
            ticket.reset = true;
            ticket.born = now;
            level = Level::Passive;
        }
        if drift_x2 >= bps(8) {
            level = Level::Cross;
        } else if drift_x2 >= bps(3) || sigma.is_some_and(|s| beyond_half_sigma(drift_x2, ticket.mid_x2, s, lived)) {
            level = level.up();
        }
        if behind {
            level = level.up();
        }
        for (percent, why) in [(40, Due::Peg), (75, Due::Mid), (90, Due::Cross), (100, Due::SliceEnd)] {
            next.at(ticket.born.saturating_add(life / 100 * percent + 99), why);
        }
        level.max(ticket.level).max(stubborn)
    }

    /// Whether more than a fifth of the parent that should be filled is not: the slices before the one now worked.
    fn behind(&self) -> bool {
        let Some(plan) = &self.leg.plan else { return false };
        let earlier = self.leg.started.checked_sub(2).map_or(0, |i| plan.due(i));
        (self.leg.base + earlier - self.filled).saturating_mul(5) > self.spec.qty.0
    }

    /// The mid, rounded to our own side and kept inside the worst price.
    fn mid_px(&self, look: &Look) -> i64 {
        let sign = self.spec.side.sign();
        let mid = match self.spec.side {
            Side::Buy => look.mid_x2.div_euclid(2),
            Side::Sell => (look.mid_x2 + 1).div_euclid(2),
        };
        let px = self.grid.inward(Px(mid), self.spec.side).0;
        let px = if (px - look.near) * sign < 0 { look.near } else { px };
        self.inside(px)
    }

    /// `px`, or the worst price if that is better for us.
    fn inside(&self, px: i64) -> i64 {
        match self.spec.side {
            Side::Buy => px.min(self.worst),
            Side::Sell => px.max(self.worst),
        }
    }

    /// Places at most one child.
    fn place(&mut self, now: u64, book: &Book, look: &Look, ending: bool, next: &mut Next, out: &mut Vec<Proposal>) {
        if self.tickets.iter().all(|t| t.order.is_some() || t.retiring) {
            return;
        }
        if now < self.not_before {
            // what was met keeps standing in the way until the next try
            self.obstacle = self.last_obstacle;
            next.at(self.not_before, Due::BackOff);
            return;
        }
        self.refill(now);
        if self.tokens == 0 {
            next.at(self.token_at.saturating_add(TOKEN_EVERY.0), Due::Rate);
            return;
        }
        for i in 0..self.tickets.len() {
            let ticket = &self.tickets[i];
            if ticket.order.is_some() || ticket.retiring {
                continue;
            }
            if now < ticket.not_before {
                next.at(ticket.not_before, Due::Retry);
                continue;
            }
            let Some((qty, px, tif)) = self.order_for(i, now, book, look, ending, next) else { continue };
            let level = self.tickets[i].level;
            if tif != Tif::PostOnly {
                self.crossed_at = now;
            }
            let no = ChildNo(self.next_no);
            self.next_no += 1;
            self.tokens -= 1;
            let order = Order { no, qty, filled: 0, px, tif, level, standing: Standing::Proposed, since: now };
            self.tickets[i].order = Some(order);
            out.push(Proposal::Place(Child {
                parent: self.spec.id,
                no,
                instrument: self.spec.instrument,
                side: self.spec.side,
                qty: Qty(qty),
                px: Px(px),
                tif,
                reduce_only: self.spec.reduce_only,
            }));
            if self.tickets.iter().any(|t| t.order.is_none() && !t.retiring) {
                next.at(now, Due::Another);
            }
            return;
        }
    }

    fn refill(&mut self, now: u64) {
        let earned = now.saturating_sub(self.token_at) / TOKEN_EVERY.0;
        if earned > 0 {
            self.tokens = u8::try_from(earned.saturating_add(u64::from(self.tokens)).min(u64::from(TOKENS))).unwrap_or(TOKENS);
            self.token_at += earned * TOKEN_EVERY.0;
        }
    }

    /// Size, price and lifetime of the next order of ticket `i`, if it can have one now.
    fn order_for(
        &mut self,
        i: usize,
        now: u64,
        book: &Book,
        look: &Look,
        ending: bool,
        next: &mut Next,
    ) -> Option<(i64, i64, Tif)> {
        let ticket = self.tickets[i];
        let taking = ticket.level == Level::Cross && now >= self.no_take_until;
        if ticket.level == Level::Cross && !taking {
            next.at(self.no_take_until, Due::PostOnlyWindow);
            self.meet(Obstacle::PostOnlyWindow);
        }
        let step = self.crossed_at.saturating_add(self.last_step());
        if taking && ending && now < step {
            next.at(step, Due::Crossing);
            return None;
        }
        if taking { self.crossing(&ticket, now, book, look, ending, next) } else { self.resting(&ticket, look, ending) }
    }

    fn resting(&mut self, ticket: &Ticket, look: &Look, ending: bool) -> Option<(i64, i64, Tif)> {
        let side = self.spec.side;
        let best = if ticket.level >= Level::Mid { self.mid_px(look) } else { look.near };
        let back = if (3..6).contains(&ticket.would_take) { -1 } else { 0 };
        let px = self.grid.inward(Px(self.inside(self.grid.shift(Px(best), side, back).0)), side);
        if px.0 <= 0 {
            return None;
        }
        if px.0 != best && back == 0 {
            self.meet(Obstacle::Band { px: self.worst });
        }
        let tif = if ticket.would_take >= 6 { Tif::GoodTilCancel } else { Tif::PostOnly };
        let smallest = self.grid.smallest(px, PLACE_MARGIN_BPS).0;
        let free = self.free();
        let room = self.room.unwrap_or(i64::MAX).min(self.spec.display.map_or(i64::MAX, |d| d.0));
        let mut qty = ticket.want.min(free).min(room);
        if let Some(display) = self.spec.display {
            qty = qty.min(self.display(display.0, smallest));
        }
        if self.spec.end == EndPolicy::Force && !ending {
            // the last of a forced parent is kept for the crossing at its end: a rest too small for any order must not be left
            let tail = self.smallest.max(smallest);
            qty = qty.min((free - tail).max(0));
        }
        let qty = self.sized(qty, free, smallest, room)?;
        Some((qty, px.0, tif))
    }

    fn crossing(
        &mut self,
        ticket: &Ticket,
        now: u64,
        book: &Book,
        look: &Look,
        ending: bool,
        next: &mut Next,
    ) -> Option<(i64, i64, Tif)> {
        let (side, sign) = (self.spec.side, self.spec.side.sign());
        let reach = i64::try_from(i128::from(look.far) * i128::from(REACH_BPS) / 10_000).unwrap_or(0);
        let reach = (reach << ticket.misses.min(REACH_DOUBLINGS)).max(self.grid.step(Px(look.far)));
        // measured from the ticket's arrival; the last stretch has left that behind and asks only that the book is not torn open
        let (mid_x2, spread) = if ending { (look.mid_x2, look.spread) } else { (ticket.mid_x2, ticket.spread) };
        let guard_x2 = mid_x2 + sign * guard_reach_x2(mid_x2, spread);
        let guard = match side {
            Side::Buy => guard_x2.div_euclid(2),
            Side::Sell => (guard_x2 + 1).div_euclid(2),
        };
        let reached = look.far + sign * reach;
        let bounded = |px: i64, bound: i64| if (px - bound) * sign > 0 { bound } else { px };
        let px = self.grid.inward(Px(bounded(bounded(reached, guard), self.worst)), side);
        let free = self.free();
        let smallest = self.grid.smallest(px, PLACE_MARGIN_BPS).0;
        if (px.0 - look.far) * sign < 0 {
            let banded = (look.far - self.worst) * sign > 0;
            self.meet(if banded { Obstacle::Band { px: self.worst } } else { Obstacle::Guard { px: guard } });
            // past the deadline a forced parent waits in the market, at the worst price it may have
            if banded && ending && now >= self.deadline && px.0 > 0 {
                let room = self.room.unwrap_or(i64::MAX);
                let qty = self.sized(ticket.want.min(free).min(room), free, smallest, room)?;
                return Some((qty, px.0, Tif::GoodTilCancel));
            }
            next.at(now.saturating_add(RETRY.0), Due::Guard);
            return None;
        }
        let levels = match side {
            Side::Buy => &book.asks,
            Side::Sell => &book.bids,
        };
        let depth =
            levels.iter().take_while(|l| (px.0 - l.px.0) * sign >= 0).fold(0_i64, |sum, l| sum.saturating_add(l.qty.0.max(0)));
        let room = self.room.unwrap_or(i64::MAX);
        let mut qty = ticket.want.min(free).min(room);
        if depth < qty {
            // never more than the book shows; less than the smallest order is not worth a message
            qty = depth.max(smallest.min(qty));
        }
        let qty = self.sized(qty, free, smallest, room)?;
        match free - qty {
            // a partial fill would leave a rest too small for any order: all but the smallest order goes first …
            0 if qty >= 2 * smallest => Some((qty - smallest, px.0, Tif::ImmediateOrCancel)),
            // … and the last one rests where it is priced, should it not fill at once
            0 => Some((qty, px.0, Tif::GoodTilCancel)),
            _ => Some((qty, px.0, Tif::ImmediateOrCancel)),
        }
    }

    /// `qty`, changed as little as possible so that neither it nor what stays free is too small for an order.
    fn sized(&self, qty: i64, free: i64, smallest: i64, room: i64) -> Option<i64> {
        let rest = free - qty;
        let qty = match rest {
            _ if qty <= 0 => return None,
            0 => qty,
            _ if rest >= smallest => qty,
            _ if free - smallest >= smallest => free - smallest,
            _ => free,
        };
        // a whole position may be closed by an order of any size
        let whole = self.spec.reduce_only && qty == free && self.open() == 0;
        (qty <= room && (qty >= smallest || whole)).then_some(qty)
    }

    /// What is shown of an iceberg: 70 to 100 % of the largest part.
    fn display(&self, largest: i64, smallest: i64) -> i64 {
        let mut stream = self.seed.fork(&format!("parent.{}.child.{}.display", self.spec.id.0, self.next_no));
        stream.between(largest - largest * 3 / 10, largest).max(smallest)
    }

    /// Which prices would change anything before the next moment that is due.
    fn watch(&self, hot: &mut Hot, look: &Look, ending: bool) {
        if self.tickets.is_empty() {
            return;
        }
        let sign = self.spec.side.sign();
        let waits = self.tickets.iter().any(|t| t.order.is_none());
        if waits || ending {
            (hot.near, hot.mid_x2) = ((look.near, look.near), (look.mid_x2, look.mid_x2));
            return;
        }
        for ticket in &self.tickets {
            let Some(order) = ticket.order.filter(Order::rests) else { continue };
            if ticket.level == Level::Pegged && (look.near - order.px) * sign >= 0 {
                let far_enough = order.px + sign * (look.spread + 3).div_euclid(4).max(1);
                match self.spec.side {
                    Side::Buy => hot.near.1 = hot.near.1.min(far_enough - 1).max(look.near),
                    Side::Sell => hot.near.0 = hot.near.0.max(far_enough + 1).min(look.near),
                }
            }
            if self.spec.placement == Placement::LimitToMarket && ticket.mid_x2 > 0 {
                // drift thresholds lie at whole basis points: a move of one is enough to look again
                let step = (ticket.mid_x2 / 10_000).max(1);
                hot.mid_x2 = (hot.mid_x2.0.max(look.mid_x2 - step), hot.mid_x2.1.min(look.mid_x2 + step));
            }
            if ticket.level == Level::Cross {
                (hot.near, hot.mid_x2) = ((look.near, look.near), (look.mid_x2, look.mid_x2));
            }
        }
    }
}

/// Proposes to cancel `order` once, and again when nothing came of it.
fn cancel(order: &mut Order, now: u64, next: &mut Next, out: &mut Vec<Proposal>) {
    match order.standing {
        Standing::Acked if order.tif != Tif::ImmediateOrCancel => {}
        Standing::Leaving if now >= order.since.saturating_add(CANCEL_AGAIN.0) => {}
        Standing::Leaving => {
            next.at(order.since.saturating_add(CANCEL_AGAIN.0), Due::CancelAgain);
            return;
        }
        // nothing to cancel yet, or nothing left: an event follows
        Standing::Acked | Standing::Proposed | Standing::Sent | Standing::Unknown | Standing::Owed => return,
    }
    order.standing = Standing::Leaving;
    order.since = now;
    out.push(Proposal::Cancel(order.no));
    next.at(now.saturating_add(CANCEL_AGAIN.0), Due::CancelAgain);
}

/// drift ≥ ½·σ·√t, compared in squares: (drift/mid)² · 4 · day ≥ σ² · t.
fn beyond_half_sigma(drift_x2: i64, mid_x2: i64, sigma_daily: Ratio, lived_ns: u64) -> bool {
    if drift_x2 <= 0 || mid_x2 <= 0 || lived_ns == 0 {
        return false;
    }
    let drift = Decimal::from(drift_x2) / Decimal::from(mid_x2);
    let days = Decimal::from(lived_ns / 1_000_000) / Decimal::from(86_400_000_u64);
    let sigma = sigma_daily.decimal();
    drift * drift * Decimal::from(4) >= sigma * sigma * days
}

/// The touch, seen from our side.
struct Look {
    near: i64,
    far: i64,
    mid_x2: i64,
    spread: i64,
}

impl Look {
    fn new(book: &Book, side: Side) -> Look {
        let (bid, ask) = (book.bids[0].px.0, book.asks[0].px.0);
        let (near, far) = match side {
            Side::Buy => (bid, ask),
            Side::Sell => (ask, bid),
        };
        Look { near, far, mid_x2: bid + ask, spread: ask - bid }
    }

    fn near_px(&self) -> Px {
        Px(self.near)
    }
}

/// The next moment at which something may be due.
struct Next {
    now: u64,
    due: u64,
    why: Due,
}

impl Next {
    /// Not later than `at`, and not now: whoever steps again at the same moment must not find work for ever.
    fn at(&mut self, at: u64, why: Due) {
        if at > self.now.saturating_sub(1) && at != u64::MAX {
            let at = at.max(self.now + 1_000_000);
            if at < self.due {
                self.due = at;
                self.why = why;
            }
        }
    }
}

// What is told.
impl Body {
    fn progress(&self, at: Stamp) -> Progress {
        let unknown: i64 = self.orders().filter(|o| o.standing == Standing::Unknown).map(|o| o.open()).sum();
        let live = self.open() - unknown;
        let average = (self.filled > 0).then(|| self.average());
        let arrival = Decimal::from(self.arrival.mid_x2) / Decimal::TWO;
        let slippage = average.map(|avg| {
            let sign = Decimal::from(self.spec.side.sign());
            (sign * (avg - arrival) / arrival * Decimal::from(10_000))
                .round_dp_with_strategy(4, RoundingStrategy::MidpointAwayFromZero)
        });
        let maker = (self.value > 0).then(|| share(self.maker_value, self.value));
        let target = match &self.leg.plan {
            Some(plan) => {
                let started = plan.started(Span(at.mono.saturating_sub(self.leg.start)), self.leg.started);
                self.leg.base + started.checked_sub(1).map_or(0, |i| plan.due(i))
            }
            None => self.participation(at.mono),
        };
        Progress {
            id: self.spec.id,
            quantity: self.spec.qty,
            filled: Qty(self.filled),
            live: Qty(live),
            unknown: Qty(unknown),
            remaining: Qty(self.free()),
            target_now: Qty(if at.mono >= self.deadline { self.spec.qty.0 } else { target }),
            state: self.state(at.mono),
            reason: self.reason(self.obstacle),
            average_price: average
                .map(|avg| (avg * self.grid.tick).round_dp_with_strategy(12, RoundingStrategy::MidpointAwayFromZero)),
            arrival_price: arrival * self.grid.tick,
            slippage_bps: slippage,
            maker_share: maker,
            fees: self.fees,
            children: self.children,
            rejects: self.rejects,
            refusals: self.refusals,
            elapsed: at.since(self.start),
            horizon: Span(self.deadline.saturating_sub(self.start.mono)),
            lot: self.grid.lot,
        }
    }

    fn orders(&self) -> impl Iterator<Item = &Order> {
        self.tickets.iter().filter_map(|t| t.order.as_ref())
    }

    /// Average fill price in ticks.
    fn average(&self) -> Decimal {
        let value = Decimal::try_from_i128_with_scale(self.value, 0).unwrap_or(Decimal::MAX);
        value / Decimal::from(self.filled.max(1))
    }

    fn state(&self, now: u64) -> State {
        if self.ended {
            return State::Done;
        }
        let mut quiet = Next { now, due: u64::MAX, why: Due::Nothing };
        if self.canceling || now >= self.deadline || self.ending(now, &mut quiet) {
            return State::Ending;
        }
        if self.paused || self.held.is_some() || self.blind_since.is_some() {
            return State::Paused;
        }
        let working = self.tickets.iter().filter(|t| t.order.is_some()).map(|t| t.level).max();
        match working {
            Some(Level::Passive) => State::Passive,
            Some(Level::Pegged) => State::Pegged,
            Some(Level::Mid) => State::Mid,
            Some(Level::Cross) => State::Cross,
            None if self.obstacle != Obstacle::None => State::Paused,
            None => State::Scheduled,
        }
    }

    fn why_left(&self, residual: Qty) -> String {
        match self.last_obstacle {
            Obstacle::None => format!("{} lots were not taken at its limit prices by the deadline", residual.0),
            obstacle @ (Obstacle::Operator
            | Obstacle::Held
            | Obstacle::NoBook
            | Obstacle::Stale { .. }
            | Obstacle::Crossed
            | Obstacle::Thin
            | Obstacle::Band { .. }
            | Obstacle::Guard { .. }
            | Obstacle::Refused { .. }
            | Obstacle::Rejected { .. }
            | Obstacle::PostOnlyWindow
            | Obstacle::Unknown { .. }
            | Obstacle::Small { .. }
            | Obstacle::TooMany) => self.reason(obstacle),
        }
    }

    fn reason(&self, obstacle: Obstacle) -> String {
        let px = |ticks: i64| (Decimal::from(ticks) * self.grid.tick).normalize();
        let mut text = String::new();
        let written = match obstacle {
            Obstacle::None => Ok(()),
            Obstacle::Operator => write!(text, "paused by the operator"),
            Obstacle::Held => write!(text, "{}", self.held.as_deref().unwrap_or("held by the desk")),
            Obstacle::NoBook => write!(text, "no book"),
            Obstacle::Stale { ms } => write!(text, "the book is {ms} ms old, at most {} ms", STALE.as_millis()),
            Obstacle::Crossed => write!(text, "the book is crossed"),
            Obstacle::Thin => {
                write!(text, "the book is thin: a side shows less than the smallest order, or the spread is above 1 %")
            }
            Obstacle::Band { px: worst } => write!(text, "the market is beyond the worst price allowed, {}", px(worst)),
            Obstacle::Guard { px: guard } => write!(text, "the market is beyond the guard price of this slice, {}", px(guard)),
            Obstacle::Refused { kind } => write!(text, "the guard refuses: {kind}"),
            Obstacle::Rejected { kind } => write!(text, "the venue refuses: {}", words(kind)),
            Obstacle::PostOnlyWindow => write!(text, "the venue takes post-only orders alone"),
            Obstacle::Unknown { children } => write!(text, "waiting for {children} children whose answer was lost"),
            Obstacle::Small { qty, smallest } => {
                write!(text, "{qty} lots are below the smallest order of {smallest} lots")
            }
            Obstacle::TooMany => write!(text, "{CHILDREN_MAX} children were sent"),
        };
        debug_assert!(written.is_ok(), "invariant: writing to a string does not fail");
        text
    }
}

fn words(kind: RejectKind) -> &'static str {
    match kind {
        RejectKind::WouldTake => "post-only would take",
        RejectKind::NothingToTake => "nothing to take",
        RejectKind::Malformed => "price or size off its rules",
        RejectKind::Margin => "not enough margin",
        RejectKind::ReduceOnly => "reduce-only would grow the position",
        RejectKind::PostOnlyWindow => "post-only orders alone",
        RejectKind::Throttled => "request budget spent",
        RejectKind::Expired => "expired on arrival",
        RejectKind::Auth => "key or signature",
        RejectKind::Other => "another reason",
    }
}

/// `part / whole`, 4 decimals, halves away from zero.
fn share(part: i128, whole: i128) -> Ratio {
    let tenths_of_bp = (part * 20_000 + whole) / (whole * 2);
    Ratio::scaled(i64::try_from(tenths_of_bp).unwrap_or(0), 4)
}
