//! Where a parent stands, in numbers and words.

use std::fmt::Write as _;

use domain::{Qty, Ratio, RejectKind, Span, Stamp};
use rust_decimal::{Decimal, RoundingStrategy};

use super::ticket::{Level, Order, Standing};
use super::{Body, CHILDREN_MAX, Obstacle, STALE};
use crate::{Progress, State};

impl Body {
    pub(super) fn progress(&self, at: Stamp) -> Progress {
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
        if self.canceling || now >= self.deadline || self.last_stretch().is_some_and(|from| now >= from) {
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

    pub(super) fn why_left(&self, residual: Qty) -> String {
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
        RejectKind::NotSent => "never sent: the gate was closed",
        RejectKind::Other => "another reason",
    }
}

/// `part / whole`, 4 decimals, halves away from zero.
fn share(part: i128, whole: i128) -> Ratio {
    let tenths_of_bp = (part * 20_000 + whole) / (whole * 2);
    Ratio::scaled(i64::try_from(tenths_of_bp).unwrap_or(0), 4)
}
