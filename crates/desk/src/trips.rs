//! What the desk stops for besides the load of an account: a venue's clock that stays away from ours, and refusals without end.
//!
//! A trip needs inputs that are fresh, complete and agree (D12): several readings over a time, answers that the venue gave. What is
//! missing trips nothing; it lets nothing grow for as long as it is missing, which the guard sees to.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Entry, InstrumentId, ParentId, Severity, Span, Stamp, Stop, StopLevel, StopScope, Topic, Trigger, Venue};
use margin_guard::Refused;

use crate::deleverage::is_reduction;
use crate::{Desk, Effect};

/// A venue's clock that is too far from ours for this long is no passing matter …
const CLOCK_OFF_FOR: Span = Span::secs(60);
/// … if so many readings say so: one or two may have met a slow network.
const CLOCK_READINGS: u32 = 3;
/// It is read every thirty seconds; after ten readings failed nobody knows the offset.
const CLOCK_SILENT: Span = Span::secs(300);
/// Refusals in so many markets, or of so many parents, at once are the account's (its key, its margin, its limits) …
const MARKETS_REFUSED_MAX: usize = 2;
/// … and no strategy's.
const STORMS_MAX: usize = 3;

/// What was seen of a venue's clock.
#[derive(Clone, Copy, Debug)]
struct Clock {
    read: Stamp,
    /// Since when it has been too far away, in how many readings, and whether that was acted on.
    off: Option<(Stamp, u32, bool)>,
    silent: bool,
}

/// What trips remember from one look to the next.
#[derive(Debug, Default)]
pub(crate) struct Trips {
    clocks: BTreeMap<Venue, Clock>,
    /// What was stopped for the storm of refusals that it is in.
    refused: BTreeSet<StopScope>,
}

impl Desk {
    /// F76, F80.
    pub(crate) fn on_clock_offset(&mut self, now: Stamp, venue: Venue, ms: i64, out: &mut Vec<Effect>) {
        self.guard.set_clock_offset(venue, ms);
        if let Some(state) = self.venues.iter_mut().find(|v| v.venue == venue) {
            state.offset_ms = Some(ms);
        }
        let max_ms = self.guard.limits().clock_offset_max_ms();
        let clock = self.trips.clocks.entry(venue).or_insert(Clock { read: now, off: None, silent: false });
        (clock.read, clock.silent) = (now, false);
        if ms.unsigned_abs() <= max_ms {
            clock.off = None;
            return;
        }
        let (since, readings, done) = clock.off.unwrap_or((now, 0, false));
        let readings = readings.saturating_add(1);
        let persists = now.since(since) >= CLOCK_OFF_FOR && readings >= CLOCK_READINGS;
        clock.off = Some((since, readings, done || persists));
        if persists && !done {
            let seconds = now.since(since).as_millis() / 1_000;
            let cause = format!("the clock of {venue} is {ms} ms from ours, for {seconds} s, at most {max_ms} ms");
            let stop = Stop { scope: StopScope::Venue(venue), ..Stop::all(StopLevel::ReduceOnly, Trigger::Clock, cause) };
            let stop = stop.with("offset_ms", ms).with("offset_max_ms", max_ms).with("readings", readings).with("for_s", seconds);
            self.raise(now, &stop, out);
            self.cancel_growing(now, venue, out);
        }
    }

    /// An offset that nobody has read for long is none.
    pub(crate) fn forget_silent_clocks(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        let silent = |clock: &Clock| !clock.silent && now.since(clock.read) >= CLOCK_SILENT;
        let venues: Vec<Venue> = self.trips.clocks.iter().filter(|(_, clock)| silent(clock)).map(|(venue, _)| *venue).collect();
        for venue in venues {
            if let Some(clock) = self.trips.clocks.get_mut(&venue) {
                (clock.silent, clock.off) = (true, None);
            }
            self.guard.forget_clock_offset(venue);
            let text = format!(
                "the clock of {venue} was not read for {} s; nothing may grow there until it is",
                CLOCK_SILENT.0 / 1_000_000_000
            );
            self.alert(Severity::Warn, Topic::Data, text, out);
        }
    }

    /// C50: a parent that the venue keeps refusing is stopped. Where several are refused in turn it is no parent's fault: their market,
    /// and when it is several markets or parents, the venue, lets positions only shrink.
    pub(crate) fn stop_refused(&mut self, now: Stamp, refused: &[Refused], out: &mut Vec<Effect>) {
        let mut storms: Vec<(Stop, InstrumentId)> = Vec::new();
        for Refused { parent, instrument, refusals, answers } in refused {
            let alone = refused.iter().any(|r| r.parent.is_some() && r.instrument == *instrument);
            let (level, scope, whose) = match parent {
                // its own reductions bring cover back: they are refused again or they are not, and nobody would let them go on
                Some(id) if self.live.get(*id).is_none_or(|live| is_reduction(&live.spec)) => continue,
                Some(id) => (StopLevel::Block, StopScope::Parent(*id), format!("of {id} in {instrument}")),
                None if alone => continue,
                None => (StopLevel::ReduceOnly, StopScope::Market(*instrument), format!("of several parents in {instrument}")),
            };
            let cause = format!("the venue refused {refusals} of {answers} orders {whose}");
            let stop = Stop { scope, ..Stop::all(level, Trigger::Rejects, cause) };
            storms.push((stop.with("refusals", refusals).with("answers", answers), *instrument));
        }
        for venue in self.venues.iter().map(|state| state.venue) {
            let here: Vec<&Stop> = storms.iter().filter(|(_, market)| market.venue() == venue).map(|(stop, _)| stop).collect();
            let markets: BTreeSet<InstrumentId> =
                refused.iter().map(|r| r.instrument).filter(|market| market.venue() == venue).collect();
            if markets.len() >= MARKETS_REFUSED_MAX || here.len() >= STORMS_MAX {
                let names: Vec<String> = here.iter().take(10).map(|stop| stop.scope.to_string()).collect();
                let cause = format!("{venue} refuses orders everywhere: {}", names.join(", "));
                let stop = Stop { scope: StopScope::Venue(venue), ..Stop::all(StopLevel::ReduceOnly, Trigger::Rejects, cause) };
                let stop = stop.with("markets", markets.len()).with("storms", here.len());
                if let Some(market) = markets.first() {
                    storms.push((stop, *market));
                }
            }
        }
        self.trips.refused.retain(|scope| storms.iter().any(|(stop, _)| stop.scope == *scope));
        for (stop, market) in storms {
            if self.trips.refused.insert(stop.scope) {
                self.raise(now, &stop, out);
                if stop.level == StopLevel::ReduceOnly {
                    self.cancel_growing(now, market.venue(), out);
                }
            }
        }
    }

    /// Who lets a stopped thing trade again has looked at it: what its parents were stopped for is forgiven (C08, C50).
    pub(crate) fn forgive_rearmed(&mut self, entry: &Entry) {
        let Entry::Rearm { scope, .. } = entry else { return };
        let covered: Vec<ParentId> = self
            .live
            .iter()
            .filter(|live| match scope {
                None | Some(StopScope::All) => true,
                Some(StopScope::Parent(id)) => *id == live.spec.id,
                Some(scope @ (StopScope::Venue(_) | StopScope::Market(_))) => scope.covers(live.spec.instrument),
            })
            .map(|live| live.spec.id)
            .collect();
        for parent in covered {
            self.touched(parent);
        }
    }
}
