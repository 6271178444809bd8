//! What a stop does besides being remembered: how far it reaches, what is cancelled, and who is told.

use domain::{Entry, ParentChange, ParentId, Severity, SpecFault, Stamp, Stop, StopLevel, StopScope, Topic, Trigger, Venue};

use crate::flatten::is_flatten;
use crate::operator::fault;
use crate::{Desk, Effect};

impl Desk {
    /// A stop that somebody asks for.
    ///
    /// # Errors
    /// What is wrong with it, if a person asks: nothing is stopped then. What a trigger asks for is never refused.
    pub(crate) fn kill(&mut self, now: Stamp, stop: &Stop, out: &mut Vec<Effect>) -> Result<(), Vec<SpecFault>> {
        let faults = if stop.trigger == Trigger::Operator { self.faults_of(stop) } else { Vec::new() };
        if !faults.is_empty() {
            return Err(faults);
        }
        self.raise(now, stop, out);
        Ok(())
    }

    fn faults_of(&self, stop: &Stop) -> Vec<SpecFault> {
        let mut faults = Vec::new();
        match stop.level {
            StopLevel::Run => {
                let levels: Vec<&str> = StopLevel::ALL.iter().skip(1).map(|level| level.name()).collect();
                faults.push(fault("level", stop.level, format!("one of {}; plimsoll rearm lets it run", levels.join(", "))));
            }
            StopLevel::Sever if stop.scope != StopScope::All => {
                let narrower: Vec<&str> = StopLevel::ALL[1..5].iter().map(|level| level.name()).collect();
                let expected = format!("all, since it ends the process; of less there is {}", narrower.join(", "));
                faults.push(fault("scope", stop.scope, expected));
            }
            StopLevel::ReduceOnly | StopLevel::Block | StopLevel::Cancel | StopLevel::Flatten | StopLevel::Sever => {}
        }
        let venues = || self.venues.iter().map(|v| format!("venue:{}", v.venue)).collect::<Vec<_>>().join(", ");
        match stop.scope {
            StopScope::Venue(venue) if !self.has_venue(venue) => faults.push(fault("scope", stop.scope, venues())),
            StopScope::Market(id) if !self.has_venue(id.venue()) => {
                faults.push(fault("scope", stop.scope, format!("a market of {}", venues())));
            }
            StopScope::Parent(id) if id.0 == 0 || id.0 > self.books.parents => {
                let expected = match self.books.parents {
                    0 => "a parent that was admitted; there is none yet".to_owned(),
                    last => format!("parent:P1 to parent:P{last}"),
                };
                faults.push(fault("scope", stop.scope, expected));
            }
            StopScope::All | StopScope::Venue(_) | StopScope::Market(_) | StopScope::Parent(_) => {}
        }
        faults
    }

    fn has_venue(&self, venue: Venue) -> bool {
        self.venues.iter().any(|v| v.venue == venue)
    }

    /// Latches `stop` if it goes further than what is in force for its scope, and does what it asks for. Asked for again, it does it
    /// again; a lower one lowers nothing (F100).
    pub(crate) fn raise(&mut self, now: Stamp, stop: &Stop, out: &mut Vec<Effect>) {
        let level = |desk: &Desk| desk.books.stops.of(stop.scope).map_or(StopLevel::Run, |s| s.level);
        let rises = stop.level > level(self);
        if rises {
            self.record(now, Entry::Latch(stop.clone()), out);
            self.read_at(now);
            self.tell(self.stop_alert(stop), out);
        }
        // one scope too many stops everything instead
        let scope = if rises && level(self) < stop.level { StopScope::All } else { stop.scope };
        if rises && stop.level == StopLevel::Flatten {
            self.end_parents(now, scope, out);
        }
        if stop.level >= StopLevel::Block {
            let begins = rises && stop.level == StopLevel::Flatten;
            if (level(self) >= StopLevel::Cancel || scope != stop.scope) && !begins {
                self.cancel_in(now, scope, out);
            }
            self.flatten_anew(now, scope, out);
        }
        // of an earlier sever a process has ended already: this one was started to cancel, to show and to be re-armed. A person who
        // says it again means it
        let means_it = stop.trigger != Trigger::Latch && (rises || stop.trigger == Trigger::Operator);
        if stop.level == StopLevel::Sever && scope == StopScope::All && means_it {
            out.push(Effect::Sever);
        }
    }

    /// The stops in force are others now.
    pub(crate) fn stops_changed(&mut self) {
        self.guard.set_stops(self.books.stops.clone());
        self.holds_due = true;
        self.holds_afresh = true;
        self.flattening.look();
    }

    /// Cancels what `scope` covers: at a venue or in a market also what is not ours; of a parent what we know.
    pub(crate) fn cancel_in(&mut self, now: Stamp, scope: StopScope, out: &mut Vec<Effect>) {
        for venue in self.venues.iter().map(|state| state.venue) {
            match scope {
                StopScope::All => out.push(Effect::CancelAll { venue, markets: Vec::new() }),
                StopScope::Venue(of) if of == venue => out.push(Effect::CancelAll { venue, markets: Vec::new() }),
                StopScope::Market(id) if id.venue() == venue => out.push(Effect::CancelAll { venue, markets: vec![id] }),
                StopScope::Venue(_) | StopScope::Market(_) | StopScope::Parent(_) => {}
            }
        }
        let of_scope = |order: &&crate::Order| match scope {
            StopScope::Parent(id) => order.key().parent() == id,
            StopScope::All | StopScope::Venue(_) | StopScope::Market(_) => scope.covers(order.intent.child.instrument),
        };
        let keys: Vec<_> = self.books.live().filter(of_scope).map(crate::Order::key).collect();
        for key in keys {
            self.cancel_order(now, key, out);
        }
    }

    /// Cancels again whatever is stopped that far: the tenure that was told to may have died of it (L4). A flatten cancels when it
    /// begins again.
    pub(crate) fn cancel_stopped(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        self.flattening.look();
        let stops = self.books.stops.iter().filter(|stop| matches!(stop.level, StopLevel::Cancel | StopLevel::Sever));
        let scopes: Vec<StopScope> = stops.map(|stop| stop.scope).collect();
        for scope in scopes {
            self.cancel_in(now, scope, out);
        }
    }

    /// Whether an order of ours that is found at the venue is to be cancelled there.
    pub(crate) fn must_go(&self, order: &crate::Order) -> bool {
        let (parent, instrument) = (order.key().parent(), order.intent.child.instrument);
        let stopped = self.books.stops.parent_level(parent, instrument) >= StopLevel::Cancel;
        let flattens = || self.flattens_in(instrument) && self.live.get(parent).is_some_and(|live| is_flatten(&live.spec));
        self.draining || (stopped && !flattens())
    }

    /// Ends what would build the position again after a re-arm.
    fn end_parents(&mut self, now: Stamp, scope: StopScope, out: &mut Vec<Effect>) {
        let covered = |id: ParentId, live: &crate::parents::Live| match scope {
            StopScope::Parent(of) => of == id,
            StopScope::All | StopScope::Venue(_) | StopScope::Market(_) => scope.covers(live.spec.instrument),
        };
        let ids: Vec<ParentId> =
            self.live.iter().filter(|live| covered(live.id, live) && !is_flatten(&live.spec)).map(|live| live.id).collect();
        for id in ids {
            if let Err(faults) = self.change_parent(now, id, &ParentChange::Cancel, "flatten", out) {
                let text = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                self.alert(Severity::Act, Topic::Flatten, format!("{id} could not be ended: {text}"), out);
            }
        }
    }
}
