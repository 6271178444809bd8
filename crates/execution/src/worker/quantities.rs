//! The durable part of a parent: what was asked, filled, is out. A replay of the journal calls only what stands here.

use domain::{
    Arrival, Child, ChildNo, EndPolicy, LiquidityRole, MarketStatus, OrderOutcome, ParentSpec, Qty, RejectKind, Schedule, Side,
    Span, SpecFault, Tif, Usd,
};
use rust_decimal::Decimal;

use super::check;
use super::ticket::{Level, Order, Standing, Ticket};
use super::{BACK_OFF, BACK_OFF_MAX, Body, GUARD_BPS, Leg, Obstacle, PLACE_MARGIN_BPS, POST_ONLY_FOR, POV_LIFE, RETRY};
use crate::ChildEvent;
use crate::plan::Plan;
use crate::schedule::Shape;

impl Body {
    pub(super) fn placed(&mut self, now: u64, child: &Child) {
        self.next_no = self.next_no.max(child.no.0.saturating_add(1));
        self.children += 1;
        self.back_off.0 = 0;
        self.room = None;
        // it went on: a pause of whatever kind no longer explains what is left
        if !matches!(self.last_obstacle, Obstacle::Band { .. } | Obstacle::Guard { .. } | Obstacle::Rejected { .. }) {
            self.last_obstacle = Obstacle::None;
        }
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

    pub(super) fn refused(&mut self, now: u64, child: &Child, kind: &'static str, room: Option<Qty>) {
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

    /// A venue may take post-only orders alone for as long as it says so.
    pub(super) fn market_status(&mut self, status: MarketStatus) {
        match status {
            MarketStatus::PostOnly => self.no_take_until = u64::MAX,
            MarketStatus::Open | MarketStatus::CancelOnly | MarketStatus::Closed => {
                if self.no_take_until == u64::MAX {
                    self.no_take_until = 0;
                }
            }
        }
    }

    pub(super) fn event(&mut self, now: u64, no: ChildNo, event: ChildEvent) {
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
                self.no_take_until = self.no_take_until.max(now + POST_ONLY_FOR.0);
                self.meet(Obstacle::PostOnlyWindow);
            }
            RejectKind::Malformed
            | RejectKind::Margin
            | RejectKind::ReduceOnly
            | RejectKind::Throttled
            | RejectKind::Expired
            | RejectKind::Auth
            | RejectKind::NotSent
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

    pub(super) fn amend(&mut self, now: u64, qty: Option<Qty>, horizon: Option<Span>) -> Result<(), Vec<SpecFault>> {
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
        // past its deadline what is left is due at once, in the slices of a whole horizon
        let left = if now < deadline { Span(deadline - now) } else { self.spec.horizon };
        self.begin_leg(self.filled + self.wanted(), now, left);
        Ok(())
    }

    /// The one extension, planned over one more horizon.
    pub(super) fn extend_if_due(&mut self, now: u64) {
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
    pub(super) fn begin_leg(&mut self, base: i64, start: u64, horizon: Span) {
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
    pub(super) fn open(&self) -> i64 {
        self.tickets.iter().map(Ticket::open).sum()
    }

    /// What tickets still want, with an order or without.
    pub(super) fn wanted(&self) -> i64 {
        self.tickets.iter().map(|t| t.want.max(t.open())).sum()
    }

    /// Neither filled nor in any child: what may be placed.
    pub(super) fn free(&self) -> i64 {
        (self.spec.qty.0 - self.filled - self.open()).max(0)
    }

    /// Time of one slice.
    pub(super) fn interval(&self) -> u64 {
        match &self.leg.plan {
            Some(plan) => self.leg.horizon.0 / u64::from(plan.len().max(1)),
            None => (self.leg.horizon.0 / 20).clamp(POV_LIFE.0.0, POV_LIFE.1.0),
        }
    }

    pub(super) fn meet(&mut self, obstacle: Obstacle) {
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
pub(super) fn worst_px(spec: &ParentSpec, arrival: &Arrival) -> i64 {
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
pub(super) fn guard_reach_x2(mid_x2: i64, spread: i64) -> i64 {
    let by_price = i128::from(mid_x2) * i128::from(GUARD_BPS) / 10_000;
    i64::try_from(by_price).unwrap_or(i64::MAX).max(spread.saturating_mul(6))
}
