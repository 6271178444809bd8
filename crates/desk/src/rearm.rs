//! Letting what was stopped trade again (C33, I23): with a reason, a clean reading of the venue begun after the stop, a cleared
//! cause, and the approvals that the level asks for. It ends stops and does nothing else: no budget, count or window begins anew.

use domain::{
    Act, Approval, CommandReply, Entry, InstrumentId, MarginLevel, Span, SpecFault, Stamp, Stop, StopLevel, StopScope, Trigger,
    Venue,
};

use crate::approvals::{Verdict, check_reason};
use crate::operator::fault;
use crate::{Desk, Effect, VenueState};

/// Between two readings of a venue that only refused re-arms ask for: whoever repeats himself must not eat the budget for reads.
const READ_AGAIN: Span = Span::secs(2);
/// Profit and loss that were worked out no longer ago than this say whether a loss stands.
const JUDGED_AGE: Span = Span::secs(5);

impl Desk {
    /// The venues are to be read at `at`: what holds after a stop is the first thing that anybody wants to know.
    pub(crate) fn read_at(&mut self, at: Stamp) {
        for state in &mut self.venues {
            state.pull_due = Some(at);
        }
    }

    /// The stops that a re-arm of `scope` ends.
    ///
    /// # Errors
    /// If there are none.
    pub(crate) fn stopped_in(&self, scope: Option<StopScope>) -> Result<Vec<Stop>, Vec<SpecFault>> {
        let stops: Vec<Stop> = self.books.stops.iter().filter(|s| scope.is_none_or(|scope| scope == s.scope)).cloned().collect();
        if !stops.is_empty() {
            return Ok(stops);
        }
        let scopes: Vec<String> = self.books.stops.iter().map(|s| s.scope.to_string()).collect();
        let expected = if scopes.is_empty() {
            "something that is stopped; nothing is".to_owned()
        } else {
            format!("one of what is stopped: {}", scopes.join(", "))
        };
        Err(vec![fault("scope", scope.unwrap_or_default(), expected)])
    }

    /// Ends the stops of `scope`, once nothing speaks against it and enough operators approve.
    ///
    /// # Errors
    /// Everything that speaks against it, at once. What the venue must be read for is read again right away.
    pub(crate) fn rearm(
        &mut self,
        now: Stamp,
        reason: &str,
        scope: Option<StopScope>,
        approval: Option<&Approval>,
        standing: &[SpecFault],
        out: &mut Vec<Effect>,
    ) -> Result<CommandReply, Vec<SpecFault>> {
        let stops = self.stopped_in(scope)?;
        let mut faults: Vec<SpecFault> = check_reason(reason, "why it is safe to trade again").into_iter().collect();
        faults.extend_from_slice(standing);
        faults.extend(self.unreconciled(now, &stops));
        faults.extend(self.uncleared(now, &stops));
        if !faults.is_empty() {
            return Err(faults);
        }
        let (act, needed) = (Act::Rearm { scope }, self.approvals_needed(self.is_grave(scope)));
        let by = match self.approve(now, &act, reason, approval, needed, out)? {
            Verdict::Waiting { have, needed, until_ms } => return Ok(CommandReply::Waiting { have, needed, until_ms }),
            Verdict::Granted { by } => by,
        };
        self.record(now, Entry::Rearm { reason: reason.to_owned(), scope, by }, out);
        self.guard.set_stops(self.books.stops.clone());
        self.holds_due = true;
        Ok(CommandReply::Done)
    }

    /// What keeps books and venues from agreeing about what `stops` cover.
    fn unreconciled(&mut self, now: Stamp, stops: &[Stop]) -> Vec<SpecFault> {
        let mut faults = Vec::new();
        let grave = stops.iter().any(|s| s.level >= StopLevel::Cancel);
        let since = stops.iter().filter_map(|s| self.books.stopped_at.get(&s.scope)).max_by_key(|at| at.mono).copied();
        let venues: Vec<Venue> = self.config.venues.iter().copied().filter(|v| self.touches_venue(stops, *v)).collect();
        for state in self.venues.iter_mut().filter(|state| venues.contains(&state.venue)) {
            let clean = state.settled.filter(|asked| since.is_none_or(|since| asked.mono >= since.mono));
            if !state.trusted || clean.is_none() {
                let expected = "a reading of the venue begun after the stop, in which nothing differs from the books; \
                                it is being read again: try again in a few seconds";
                faults.push(fault("reconcile", state.venue, expected));
                read_again(state, now);
            } else if grave && state.open > 0 {
                let expected = format!("none open at {} in its last reading; it is being read again", state.venue);
                faults.push(fault("orders", state.open, expected));
                read_again(state, now);
            }
        }
        if self.books.reconciled != Some(self.books.epoch) && faults.is_empty() {
            faults.push(fault("reconcile", "not yet", "a completed reconciliation of every venue since this start"));
        }
        for (instrument, why) in &self.books.frozen {
            if self.touches(stops, *instrument) {
                let expected = format!("a market that is not frozen: plimsoll unfreeze {instrument} --reason …; {why}");
                faults.push(fault("frozen", instrument, expected));
            }
        }
        for scope in self.unflattened().into_iter().filter(|scope| stops.iter().any(|s| s.scope == *scope)) {
            let wider = |s: &&Stop| match (s.scope, scope) {
                (StopScope::All, _) | (StopScope::Venue(_) | StopScope::Market(_), StopScope::Parent(_)) => true,
                (StopScope::Venue(venue), StopScope::Market(id)) => venue == id.venue(),
                (StopScope::Venue(_) | StopScope::Market(_) | StopScope::Parent(_), _) => false,
            };
            let blocks = |s: &&Stop| s.scope != scope && wider(s) && s.level >= StopLevel::Block && s.level != StopLevel::Flatten;
            let expected = match self.books.stops.iter().find(blocks) {
                Some(wider) => format!("a re-arm of {} by itself first: nothing can be closed under it", wider.scope),
                None => "a flatten that has come to its end: positions are still being closed".to_owned(),
            };
            faults.push(fault("flatten", scope, expected));
        }
        let within = |o: &&crate::Order| self.touches(stops, o.intent.child.instrument);
        let unknown = self.books.live().filter(within).filter(|o| o.state.is_unknown()).count();
        let live = self.books.live().filter(within).count() - unknown;
        if unknown > 0 {
            faults.push(fault("orders", unknown, "no unresolved orders: these await the venue's word"));
        }
        if grave && live > 0 {
            faults.push(fault("orders", live, "none of ours that is not over: these are being cancelled"));
        }
        faults
    }

    /// Causes that stand.
    fn uncleared(&self, now: Stamp, stops: &[Stop]) -> Vec<SpecFault> {
        let mut faults = Vec::new();
        for (venue, level) in &self.books.levels {
            if *level >= MarginLevel::Kill && self.touches_venue(stops, *venue) {
                let expected = format!(
                    "a level below {}: add collateral, or close positions with plimsoll kill --level flatten",
                    MarginLevel::Kill
                );
                faults.push(fault("margin", format!("{level} at {venue}"), expected));
            }
        }
        let max_ms = self.guard.limits().clock_offset_max_ms();
        let by_clock = stops.iter().any(|s| s.trigger == Trigger::Clock);
        for state in self.venues.iter().filter(|state| self.touches_venue(stops, state.venue)) {
            let good = state.offset_ms.map_or(!by_clock, |ms| ms.unsigned_abs() <= max_ms);
            if !good {
                let value = state.offset_ms.map_or_else(|| "not measured yet".to_owned(), |ms| format!("{ms} ms"));
                faults.push(fault("clock", value, format!("within {max_ms} ms of the clock of {}", state.venue)));
            }
        }
        if let Some(standing) = self.watch.standing() {
            faults.push(fault("loss", &standing.cause, format!("a loss within its budget: {}", standing.ends)));
        } else if self.watch.judged().is_none_or(|at| now.since(at) > JUDGED_AGE) {
            faults.push(fault("loss", "not known", format!("profit and loss worked out within the last {JUDGED_AGE}")));
        }
        for stop in stops.iter().filter(|s| s.trigger == Trigger::Loss) {
            let Some(at) = self.books.stopped_at.get(&stop.scope) else { continue };
            let limits = &self.guard.limits().drawdown_params().velocity;
            let named = limits.iter().find(|l| stop.inputs.get("within").is_some_and(|w| *w == l.within.to_string()));
            let Some(within) = named.map(|l| l.within).or_else(|| limits.iter().map(|l| l.within).max()) else { continue };
            let passed = now.since(*at);
            if passed < within && self.watch.standing().is_none() {
                let left = Span(within.0 - passed.0);
                let expected = format!("a stop older than the {within} within which it was lost; {left} are left");
                faults.push(fault("loss", &stop.cause, expected));
            }
        }
        faults
    }

    /// Whether any of `stops` is about `instrument`.
    fn touches(&self, stops: &[Stop], instrument: InstrumentId) -> bool {
        stops.iter().any(|s| match s.scope {
            StopScope::All | StopScope::Venue(_) | StopScope::Market(_) => s.scope.covers(instrument),
            StopScope::Parent(id) => self.live.get(id).is_some_and(|live| live.spec.instrument == instrument),
        })
    }

    /// Whether any of `stops` is about a market of `venue`.
    fn touches_venue(&self, stops: &[Stop], venue: Venue) -> bool {
        stops.iter().any(|s| match s.scope {
            StopScope::All => true,
            StopScope::Venue(of) => of == venue,
            StopScope::Market(instrument) => instrument.venue() == venue,
            StopScope::Parent(id) => self.live.get(id).is_none_or(|live| live.spec.instrument.venue() == venue),
        })
    }
}

fn read_again(state: &mut VenueState, now: Stamp) {
    let earliest = state.last_pull.map_or(now, |last| last + READ_AGAIN);
    let at = if earliest.mono > now.mono { earliest } else { now };
    if state.pull_due.is_none_or(|due| due.mono > at.mono) {
        state.pull_due = Some(at);
    }
}
