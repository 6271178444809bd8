//! The guard: observes, judges, reserves.

use std::sync::Arc;

use domain::{
    AccountView, Basis, Book, ClientKey, Instrument, InstrumentId, Intent, Lots, MarginLevel, Marks, Measure, OrderReport,
    ParentId, ParentSpec, ProfitMark, Px, Qty, Side, Stamp, StopLevel, Stops, StreamHealth, StreamKind, Usd, Venue, VenueOrderId,
};
use risk::drawdown::Velocity;

use crate::care::usable;
use crate::limits::Limits;
use crate::money::Money;
use crate::projection::{Drift, Market, Projection, VenueState};
use crate::proof::Cleared;
use crate::refusal::Refusal;
use crate::rules::{Ask, RULES, Reference, is_pinhole, projected_cover};
use crate::status::{AccountStatus, GuardStatus, MarketView};

/// Limits and the projection they are held against. One per desk.
///
/// The desk tells it everything it observes, in the order in which it happened, and asks before every order. A new guard is
/// not ready and knows nothing, so it clears nothing.
#[derive(Debug)]
pub struct Guard {
    pub(crate) limits: Limits,
    pub(crate) projection: Projection,
    /// The newest profit and when it was told (C16).
    pub(crate) profit: Option<(Stamp, ProfitMark)>,
    /// How profit moved of late (C52).
    pub(crate) velocity: Velocity,
    /// The configuration in force, for the record.
    config: u64,
}

/// Halving this often reaches one lot from any size.
const BISECT_MAX: u32 = 64;

impl Guard {
    /// A guard that knows nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Guard {
        let projection = Projection::new(&limits);
        Guard { limits, projection, profit: None, velocity: Velocity::default(), config: 0 }
    }

    /// The limits in force.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// From here on `limits` apply: to every order asked for next, and to all that is known (I28). What was observed stays, and so
    /// do orders that work; whether they may go on working is for the desk to say. Nothing may grow until the next
    /// [`Guard::assess`], since the sizes of the last one were those of other limits.
    pub fn set_limits(&mut self, limits: Limits) {
        self.projection.set_limits(&limits);
        self.limits = limits;
    }

    /// The configuration in force, as orders' records name it: see [`domain::config_number`].
    pub fn set_config(&mut self, config: u64) {
        self.config = config;
    }

    // ---- observations

    /// A market's rules, at start and when they change.
    pub fn set_instrument(&mut self, instrument: &Instrument) {
        self.projection.set_instrument(&self.limits, instrument);
    }

    /// A book snapshot. A locked, crossed or one-sided book is remembered as that.
    pub fn observe_book(&mut self, book: &Arc<Book>) {
        self.projection.observe_book(&self.limits, book);
    }

    /// A wide look at the book. While it is fresh, depth is walked in it instead of in the stream's few levels.
    pub fn observe_depth(&mut self, book: &Arc<Book>) {
        let slot = self.projection.open_slot(&self.limits, book.instrument);
        self.projection.markets[slot].wide = book.is_sane().then(|| Arc::clone(book));
    }

    /// Mark and oracle price. A price that is not above zero is ignored, so that the last good one grows old (F40).
    pub fn observe_marks(&mut self, marks: &Marks) {
        self.projection.observe_marks(&self.limits, marks);
    }

    /// The venue's report of the account: equity, maintenance, and per position its margin mode and own highest leverage.
    /// Its positions are not booked; they are compared with what is.
    pub fn observe_account(&mut self, account: &AccountView) {
        self.projection.observe_account(&self.limits, account);
    }

    /// What is measured of a market. Until it is told, the conservative figures apply (quant §1.2, §1.3).
    pub fn observe_measure(&mut self, measure: &Measure) {
        self.projection.observe_measure(&self.limits, measure);
    }

    /// The booked position. A market that the venue's report lists and whose position was never set stops every increase.
    pub fn set_position(&mut self, instrument: InstrumentId, position: Lots) {
        self.projection.set_position(&self.limits, instrument, position);
    }

    /// Venue clock minus ours, milliseconds.
    pub fn set_clock_offset(&mut self, venue: Venue, ms: i64) {
        self.projection.venue_mut(venue).clock_offset_ms = Some(ms);
    }

    /// The venue's clock was not read for so long that the last reading says nothing. Nothing may grow there until it is.
    pub fn forget_clock_offset(&mut self, venue: Venue) {
        self.projection.venue_mut(venue).clock_offset_ms = None;
    }

    /// A stream's health. Until both streams of a venue are up, nothing may grow there.
    pub fn set_stream(&mut self, venue: Venue, kind: StreamKind, health: StreamHealth) {
        self.projection.set_stream(venue, kind, health);
    }

    /// The stops in force.
    pub fn set_stops(&mut self, stops: Stops) {
        self.projection.stops = stops;
    }

    /// Stops increases in a market. Reductions stay allowed as far as both the books and the venue say there is a position.
    pub fn freeze(&mut self, instrument: InstrumentId, why: &str) {
        let slot = self.projection.open_slot(&self.limits, instrument);
        self.projection.markets[slot].frozen = Some(why.to_owned());
    }

    /// Ends a freeze.
    pub fn unfreeze(&mut self, instrument: InstrumentId) {
        if let Some(slot) = self.projection.slot(instrument) {
            self.projection.markets[slot].frozen = None;
        }
    }

    /// Whether reconciliation is complete. Until then nothing at all is cleared (I14).
    pub fn set_ready(&mut self, ready: bool) {
        self.projection.ready = ready;
    }

    // ---- levels

    /// Fold at boot: the margin level that was recorded last.
    pub fn restore_level(&mut self, venue: Venue, level: MarginLevel) {
        self.projection.venue_mut(venue).level = level;
    }

    /// The margin level in force.
    #[must_use]
    pub fn level(&self, venue: Venue) -> MarginLevel {
        self.projection.venue(venue).level
    }

    // ---- parents

    /// Admits a parent: C05 caps it and the sum of one hour, at `mid` or its own limit price, whichever is worth more.
    /// A parent that may only reduce is not capped: the position caps it.
    ///
    /// # Errors
    /// If the market is unknown or not allowed, the number is taken, or a cap would be exceeded.
    pub fn admit_parent(&mut self, at: Stamp, spec: &ParentSpec, mid: Px) -> Result<(), Refusal> {
        if self.projection.is_registered(spec.id) {
            return Err(Refusal::DuplicateParent { parent: spec.id });
        }
        self.judge_parent(at, spec, spec.qty, Qty::ZERO, mid)?;
        self.register_parent(at, spec, mid);
        Ok(())
    }

    /// Fold at boot: a parent that was admitted at `at` with that `mid`, without judging. Tell the guard of its orders with
    /// [`Guard::adopt`] and of its fills with [`Guard::filled`] afterwards.
    pub fn register_parent(&mut self, at: Stamp, spec: &ParentSpec, mid: Px) {
        if !self.projection.is_registered(spec.id) {
            self.count_admission(at, spec, spec.qty, mid);
        }
        self.projection.add_parent(spec);
    }

    /// A new total for a live parent (C05): what it grows by counts as admitted now.
    ///
    /// # Errors
    /// As [`Guard::admit_parent`], or if the parent is not live. Nothing changes then.
    pub fn amend_parent(&mut self, at: Stamp, spec: &ParentSpec, qty: Qty, mid: Px) -> Result<(), Refusal> {
        let before = self.projection.parents.get(&spec.id).ok_or(Refusal::UnknownParent { parent: spec.id })?.total;
        if qty > before {
            self.judge_parent(at, spec, qty, before, mid)?;
            self.count_admission(at, spec, qty.minus(before), mid);
        }
        self.set_parent_total(spec.id, qty);
        Ok(())
    }

    /// Fold at boot: an amendment that was admitted before, without judging.
    pub fn set_parent_total(&mut self, parent: ParentId, qty: Qty) {
        if let Some(parent) = self.projection.parents.get_mut(&parent) {
            parent.total = qty;
        }
    }

    /// The parent ended: nothing more is cleared for it. Orders of it that may still live stay reserved.
    pub fn end_parent(&mut self, parent: ParentId) {
        self.projection.end_parent(parent);
    }

    fn count_admission(&mut self, at: Stamp, spec: &ParentSpec, qty: Qty, mid: Px) {
        if !spec.reduce_only {
            self.projection.count_admission(at, spec.instrument, parent_px(spec, mid), qty);
        }
    }

    /// C05 for a parent that grows from `before` to `qty`.
    fn judge_parent(&self, at: Stamp, spec: &ParentSpec, qty: Qty, before: Qty, mid: Px) -> Result<(), Refusal> {
        let instrument = spec.instrument;
        let Some(rules) = self.projection.market(instrument).and_then(|m| m.rules.as_ref()) else {
            return Err(Refusal::UnknownInstrument { instrument });
        };
        if spec.reduce_only {
            return Ok(());
        }
        if !self.limits.allows(instrument) {
            return Err(Refusal::NotAllowed { instrument });
        }
        let value = |qty: Qty| Money::value(parent_px(spec, mid).0, qty.0, rules.unit);
        let hour = self.projection.hour_total(at).map_err(|instrument| Refusal::UnknownInstrument { instrument })?;
        let lots_in = |money: Money| {
            let lots = money.at_least_zero().0.checked_div(value(Qty(1)).0).unwrap_or(0);
            i64::try_from(lots).unwrap_or(i64::MAX)
        };
        let (cap, hour_cap) = (self.limits.parent_notional, self.limits.parents_per_hour);
        let room = Qty(lots_in(cap).min(lots_in(hour_cap.minus(hour)).saturating_add(before.0)));
        let (notional, more) = (value(qty), value(qty.minus(before)));
        if notional > cap {
            return Err(Refusal::ParentNotional { notional: notional.usd(), max: cap.usd(), room });
        }
        if hour.plus(more) > hour_cap {
            let (notional, hour, max) = (more.usd(), hour.usd(), hour_cap.usd());
            return Err(Refusal::ParentsPerHour { notional, hour, max, room });
        }
        self.judge_whole(at, spec, qty, mid)
    }

    /// Whether the position could be held if all of the parent were filled on top of today's worst case (C11, quant §1).
    fn judge_whole(&self, at: Stamp, spec: &ParentSpec, qty: Qty, mid: Px) -> Result<(), Refusal> {
        let instrument = spec.instrument;
        let unknown = Refusal::UnknownInstrument { instrument };
        let Some(market) = self.projection.market(instrument) else { return Err(unknown) };
        let Some(rules) = &market.rules else { return Err(unknown) };
        let allowance = usable(&self.projection.care, &market.care, instrument, at)?.of(spec.side);
        let counted = self.projection.parents.get(&spec.id).map_or(Qty::ZERO, |p| p.filled + p.working);
        let standing = match spec.side {
            Side::Buy => market.now.long,
            Side::Sell => market.now.short.saturating_neg(),
        };
        let px = parent_px(spec, mid).0;
        let would_be = Money::value(px, standing.saturating_add(qty.0).saturating_sub(counted.0), rules.unit);
        if would_be <= allowance.max {
            return Ok(());
        }
        let whole = allowance.max.at_least_zero().0.checked_div(Money::value(px, 1, rules.unit).0).unwrap_or(0);
        let held = i64::try_from(whole).unwrap_or(i64::MAX);
        let room = Qty(held.saturating_sub(standing).saturating_add(counted.0).max(0));
        Err(Refusal::Sizing {
            instrument,
            side: spec.side,
            would_be: would_be.usd(),
            max: allowance.max.usd(),
            cap: allowance.cap,
            why: allowance.why.clone(),
            room,
        })
    }

    // ---- orders

    /// Judges an order; if it lies inside the load line, reserves its margin, its parent's quantity and its message.
    ///
    /// # Errors
    /// The first rule it breaks. If that is a matter of size, [`Refusal::room`] is the largest size that every rule would
    /// allow now: one lot more would be refused.
    pub fn clear(&mut self, at: Stamp, intent: Intent) -> Result<Cleared, Refusal> {
        let ask = self.gate().and_then(|()| Ask::new(&self.limits, &self.projection, at, &intent, intent.child.qty))?;
        if let Err(refusal) = self.judge(&ask) {
            return Err(if refusal.room().is_some() { refusal.with_room(self.room(&ask)) } else { refusal });
        }
        let (equity, maintenance) = projected_cover(&ask);
        let basis = Basis {
            limits: self.limits.id(),
            config: self.config,
            reference: ask.reference.px().unwrap_or_default(),
            book_age_ms: ask.market.book.map_or(u64::MAX, |b| at.since(b.at).as_millis()),
            equity: ask.venue.account.map_or(Usd::ZERO, |a| a.reported),
            position: self.projection.position(ask.market).unwrap_or_default(),
            worst: (Lots(ask.after.long), Lots(ask.after.short)),
            cover: equity.over(maintenance),
        };
        let (slot, after) = (ask.slot, ask.after);
        self.projection.reserve(&self.limits, at, slot, &intent, after);
        Ok(Cleared::mint(intent, basis))
    }

    /// What stops every order, whatever it is.
    fn gate(&self) -> Result<(), Refusal> {
        match self.projection.stops.level() {
            StopLevel::Sever => return Err(Refusal::Stopped { level: StopLevel::Sever }),
            // a part of it may be flattened meanwhile: the rules know which
            StopLevel::Run | StopLevel::ReduceOnly | StopLevel::Block | StopLevel::Cancel | StopLevel::Flatten => {}
        }
        if self.projection.ready { Ok(()) } else { Err(Refusal::NotReady) }
    }

    fn judge(&self, ask: &Ask<'_>) -> Result<(), Refusal> {
        RULES.iter().try_for_each(|rule| rule(&self.limits, &self.projection, ask))
    }

    /// The largest size below the one asked that every rule would allow now.
    fn room(&self, ask: &Ask<'_>) -> Qty {
        let verdict = |lots: i64| self.judge(&ask.sized(Qty(lots)));
        let fits = |lots: i64| match verdict(lots) {
            Ok(()) => true,
            Err(refusal) => is_pinhole(&refusal),
        };
        // rules of size are monotone: bisect between a size that fits and one that does not
        let (mut low, mut high) = (0, ask.qty.0.max(1));
        for _ in 0..BISECT_MAX {
            if high - low <= 1 {
                break;
            }
            let middle = low + (high - low) / 2;
            if fits(middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        // what is left are sizes that look like another order, or that are too small unless they close a whole position
        let whole = self.projection.position(ask.market).unwrap_or_default().0.saturating_abs();
        while low > 0 {
            match verdict(low) {
                Ok(()) => return Qty(low),
                Err(Refusal::Duplicate { .. }) => low -= 1,
                Err(_) if whole < low => low = whole,
                Err(_) => break,
            }
        }
        Qty::ZERO
    }

    /// Fold at boot: an order that may live, reserved without judging. Telling it again replaces its remaining quantity.
    pub fn adopt(&mut self, intent: &Intent, remaining: Qty) {
        self.projection.adopt(&self.limits, intent, remaining);
    }

    /// A working order that is not ours, or that our journal does not know: it counts in exposure and in self-match. A report
    /// that it has ended frees it. Reports about orders that are reserved as ours change nothing.
    pub fn adopt_foreign(&mut self, report: &OrderReport) {
        self.projection.adopt_foreign(&self.limits, report);
    }

    /// A foreign order is no longer open.
    pub fn foreign_gone(&mut self, venue: Venue, order: &VenueOrderId) {
        self.projection.foreign_gone(venue, order);
    }

    /// A fill was booked: the order's reservation shrinks by `qty` and its parent's filled quantity grows by it, also when the
    /// order is already gone. Set the position as well before anything more is cleared: between the two the order counts as
    /// neither.
    pub fn filled(&mut self, key: ClientKey, qty: Qty) {
        self.projection.filled(key, qty);
    }

    /// The venue said that the order can no longer fill beyond what has been booked: its reservation is freed. Asking for a
    /// cancel is no reason to call this, and neither is a fill report that is not booked yet.
    pub fn gone(&mut self, key: ClientKey) {
        self.projection.gone(key);
    }

    /// A cancel is being sent: it needs no permission, but it uses up message budget (C07).
    pub fn cancel_sent(&mut self, at: Stamp, key: ClientKey, venue: Venue) {
        self.projection.spend_message(&self.limits, at, venue, key.parent());
    }

    // ---- views

    /// One market as the guard sees it; `None` if it never heard of it.
    #[must_use]
    pub fn projection(&self, at: Stamp, instrument: InstrumentId) -> Option<MarketView> {
        self.projection.market(instrument).map(|market| self.market_view(at, market))
    }

    /// Everything the guard sees.
    #[must_use]
    pub fn status(&self, at: Stamp) -> GuardStatus {
        let markets = self.projection.markets.iter().map(|m| (m.id, self.market_view(at, m))).collect();
        let seen = self.projection.venues().filter(|(_, v)| v.account.is_some() || v.open > 0 || v.gross > Money::ZERO);
        GuardStatus {
            at,
            stop: self.projection.stops.level(),
            ready: self.projection.ready,
            limits: self.limits.id(),
            markets,
            accounts: seen.map(|(venue, state)| (venue, account_status(at, state))).collect(),
            parents_hour_usd: self.projection.hour_total(at).ok().map(Money::usd),
        }
    }

    fn market_view(&self, at: Stamp, market: &Market) -> MarketView {
        let reference = Reference::of(&self.limits, market, at);
        MarketView {
            position: self.projection.position(market),
            working_long: Qty(market.buys.lots),
            working_short: Qty(market.sells.lots),
            worst: (Lots(market.now.long), Lots(market.now.short)),
            worst_usd: market.now.gross.usd(),
            open_orders: market.open,
            reference: reference.px(),
            references_fresh: reference.fresh,
            book_age_ms: market.book.map(|b| at.since(b.at).as_millis()),
            marks_age_ms: market.marks.map(|m| at.since(m.at).as_millis()),
            funding_hourly: market.marks.and_then(|m| m.funding_hourly),
            allowed: market.allowed,
            blind: market.now.blind,
            frozen: market.frozen.clone(),
        }
    }

    /// Recomputes the running totals from scratch and compares (I28). For reconciliation and tests: it visits everything.
    ///
    /// # Errors
    /// If they differ, which is a programmer's error.
    pub fn verify(&self) -> Result<(), Drift> {
        let (running, recomputed) = (self.projection.totals(), self.projection.from_scratch());
        if running == recomputed {
            return Ok(());
        }
        Err(Drift { running: Box::new(running), recomputed: Box::new(recomputed) })
    }
}

/// The price at which a parent is valued: the mid, or its own limit if that is worth more.
fn parent_px(spec: &ParentSpec, mid: Px) -> Px {
    spec.limit_px.unwrap_or(mid).max(mid)
}

fn account_status(at: Stamp, state: &VenueState) -> AccountStatus {
    let maintenance_worst = state.maintenance.plus(state.maintenance_unexplained());
    let after = state.equity_marked().map(|equity| equity.minus(state.adverse));
    AccountStatus {
        equity: state.account.map(|a| a.equity.usd()),
        age_ms: state.account.map(|a| at.since(a.at).as_millis()),
        maintenance: state.account.map(|a| a.maintenance.usd()),
        maintenance_worst: maintenance_worst.usd(),
        worst_usd: state.gross.usd(),
        adverse_usd: state.adverse.usd(),
        cover: after.and_then(|equity| equity.over(maintenance_worst)),
        leverage: after.filter(|equity| *equity > Money::ZERO).and_then(|equity| state.gross.over(equity)),
        open_orders: state.open,
        clock_offset_ms: state.clock_offset_ms,
    }
}

#[cfg(test)]
mod tests;
