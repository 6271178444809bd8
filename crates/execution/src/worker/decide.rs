//! What a parent wants next. Nothing here needs to survive a crash.

use domain::{
    Book, Child, ChildNo, EndPolicy, ParentOutcome, Placement, Px, Qty, Ratio, RejectKind, Schedule, Side, Span, Stamp, Tif,
};
use rust_decimal::Decimal;

use super::quantities::guard_reach_x2;
use super::ticket::{Level, Order, Standing, Ticket};
use super::{
    ANY_PRICE, BLIND, Body, CANCEL_AGAIN, CATCH_UP, CHILDREN_MAX, Due, Hot, NO_PRICE, Obstacle, PLACE_MARGIN_BPS, POV_EVERY,
    POV_SLICES, REACH_BPS, REACH_DOUBLINGS, REPEG_EVERY, RETRY, STALE, THIN_SPREAD_BPS, TICKETS, TOKEN_EVERY, TOKENS,
};
use crate::Proposal;
use crate::schedule::Shape;

impl Body {
    pub(super) fn work(&mut self, hot: &mut Hot, at: Stamp, market: Option<&Book>, out: &mut Vec<Proposal>) {
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
        let ending = self.last_stretch().is_some_and(|from| {
            next.at(from, Due::LastStretch);
            now >= from
        });
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
        let dust = self.open() == 0 && free < self.smallest_ever() && (!self.spec.reduce_only || self.last_obstacle_is_final());
        if dust {
            self.meet(Obstacle::Small { qty: free, smallest: self.smallest_ever() });
        }
        now >= at || dust
    }

    fn last_obstacle_is_final(&self) -> bool {
        matches!(self.last_obstacle, Obstacle::Rejected { kind: RejectKind::Malformed | RejectKind::ReduceOnly })
    }

    /// Below this no order is possible even if the price rose by a tenth since arrival.
    fn smallest_ever(&self) -> i64 {
        self.grid.smallest(Px(self.arrival.mid_x2 / 20 * 11), 0).0
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

    /// When a forced parent enters its last stretch: 5 % of the horizon or a minute before the deadline, but at most a tenth of it.
    pub(super) fn last_stretch(&self) -> Option<u64> {
        let horizon = self.deadline.saturating_sub(self.start.mono);
        let stretch = (horizon / 20).max(Span::secs(60).0).min(horizon / 10);
        (self.spec.end == EndPolicy::Force).then(|| self.deadline.saturating_sub(stretch))
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
    pub(super) fn participation(&self, now: u64) -> i64 {
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

    /// Size of one slice, the measure of what may be caught up at once: the present one, or the parent's average if that is more,
    /// so that what a steep schedule or an amendment left over can still be done at the flat end.
    fn slice(&self) -> i64 {
        let slices = match &self.spec.schedule {
            Schedule::Twap { slices } | Schedule::Vwap { slices, .. } | Schedule::Shortfall { slices, .. } => *slices,
            Schedule::Pov { .. } => POV_SLICES,
        };
        let present = self.leg.plan.as_ref().map_or(0, |plan| plan.size(self.leg.started.saturating_sub(1)));
        (self.spec.qty.0 / i64::from(slices.max(1))).max(present).max(self.smallest)
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

    pub(super) fn first_level(&self) -> Level {
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
        let no_take_until = self.no_take_until;
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
            Level::Cross if order.level < Level::Cross || (order.tif == Tif::PostOnly && now >= no_take_until) => true,
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
        if self.spec.end == EndPolicy::Force && self.open() > 0 {
            // what comes back from the others may be too small for an order of its own: the last one waits for it
            qty = qty.min((free - smallest).max(0));
        }
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
