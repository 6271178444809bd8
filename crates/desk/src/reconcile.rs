//! What a pull from the venue changes (reliability §3.5). Running it twice on the same answer changes nothing the second
//! time (I15): every repair is an entry with a key of its own, and a repeated key is not recorded.

use domain::{
    Entry, InstrumentId, Lots, OrderReport, ReportedState, Span, Stamp, Stop, StopLevel, StreamHealth, Trigger, Venue,
    VenueOrderId, VenueSnapshot,
};

use crate::order::Working;
use crate::{Cancel, Desk, Effect, ForeignPolicy, Severity, Topic, VenueState};

/// Orders asked for by key in one pull; each costs weight at the venue.
const ASK_MAX: usize = 40;
/// Between two pulls, however much is in doubt.
const PULL_GAP: Span = Span::millis(400);
/// After a pull failed.
const RETRY: Span = Span::secs(1);
/// A pull without any answer for this long is given up.
const PULL_LOST: Span = Span::secs(30);
/// Fills are read again from this far before the newest one booked.
const OVERLAP_MS: u64 = 10 * 60_000;
/// An order that ended this long before a pull began is not open in it.
const PICTURE_AGE: Span = Span::secs(5);
/// The venue's picture of a position may be this much older than it says.
const POSITION_LAG_MS: u64 = 2_000;
/// Pulls in a row that must disagree about a position before the market is frozen: one may be read across a fill.
const BREAK_AFTER: u32 = 3;

/// A pull under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pull {
    asked: Stamp,
}

impl Desk {
    /// When the venue is to be read next: because it is time, or because an order there is in doubt; never while it is being
    /// read, and never too soon after.
    pub(crate) fn next_pull(&self, state: &VenueState) -> Option<Stamp> {
        let due = state.pull_due.into_iter().chain(self.doubts.next_ask(state.venue)).min()?;
        let earliest = match (state.pull, state.last_pull) {
            (Some(pull), _) => pull.asked + PULL_LOST,
            (None, Some(last)) => last + PULL_GAP,
            (None, None) => due,
        };
        Some(due.max(earliest))
    }

    pub(crate) fn pull_if_due(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        for at in 0..self.venues.len() {
            let Some(state) = self.venues.get(at) else { continue };
            let venue = state.venue;
            if self.next_pull(state).is_none_or(|due| due.mono > now.mono) {
                continue;
            }
            let keys = self.doubts.take_asks(now, venue, ASK_MAX);
            let fills_since_ms = state.fills_read_ms.saturating_sub(OVERLAP_MS);
            if let Some(state) = self.venues.get_mut(at) {
                state.pull = Some(Pull { asked: now });
                state.last_pull = Some(now);
                state.pull_due = Some(now + self.config.reconcile_every);
            }
            out.push(Effect::Pull { venue, keys, fills_since_ms });
        }
    }

    pub(crate) fn on_pull_failed(&mut self, now: Stamp, venue: Venue, why: &str, out: &mut Vec<Effect>) {
        let Some(state) = self.venues.iter_mut().find(|v| v.venue == venue) else { return };
        state.pull = None;
        state.pull_due = Some(now + RETRY);
        state.pull_failures += 1;
        if state.pull_failures == 3 {
            let text = format!("{venue} could not be read three times in a row: {why}; the books are not being checked");
            self.alert(Severity::Warn, Topic::Reconcile, text, out);
        }
    }

    pub(crate) fn on_snapshot(&mut self, now: Stamp, snapshot: &VenueSnapshot, out: &mut Vec<Effect>) {
        let venue = snapshot.venue;
        let Some(state) = self.venues.iter_mut().find(|v| v.venue == venue) else { return };
        if state.pull.is_some_and(|pull| pull.asked.mono <= snapshot.asked.mono) {
            state.pull = None;
        }
        state.pull_failures = 0;
        if state.read.is_some_and(|read| read.mono > snapshot.asked.mono) {
            return; // overtaken by a pull that began later
        }
        state.read = Some(snapshot.asked);
        let entries_before = records(out);
        self.on_account(&snapshot.account);
        self.open_positions(now, snapshot, out);
        for fill in &snapshot.fills {
            self.on_fill(now, fill, out);
        }
        if let Some(state) = self.venues.iter_mut().find(|v| v.venue == venue) {
            state.fills_read_ms = state.fills_read_ms.max(snapshot.account.venue_ms);
        }
        for (key, report) in &snapshot.asked_orders {
            self.on_asked(now, *key, report.as_ref(), (snapshot.asked, snapshot.account.venue_ms), out);
        }
        for report in &snapshot.open {
            self.on_open_order(now, report, snapshot.asked, out);
        }
        self.forget_gone_foreign(snapshot);
        self.suspect_missing(now, snapshot);
        let settled = self.compare_positions(now, snapshot, out);
        if let Some(state) = self.venues.iter_mut().find(|v| v.venue == venue) {
            state.settled = settled.then_some(snapshot.asked);
            state.open = snapshot.open.iter().filter(|r| r.state == ReportedState::Open).count();
        }
        self.trust(now, snapshot, settled, records(out) - entries_before, out);
    }

    /// On a fresh market the venue's position is where our books start.
    fn open_positions(&mut self, now: Stamp, snapshot: &VenueSnapshot, out: &mut Vec<Effect>) {
        let fresh: Vec<InstrumentId> = self
            .markets
            .keys()
            .filter(|id| id.venue() == snapshot.venue && !self.books.opened_ms.contains_key(id))
            .copied()
            .collect();
        for instrument in fresh {
            let position = position_at_venue(snapshot, instrument);
            let venue_ms = snapshot.account.venue_ms;
            self.record(now, Entry::Opening { instrument, position, venue_ms }, out);
            self.guard.set_position(instrument, position);
        }
    }

    fn on_open_order(&mut self, now: Stamp, report: &OrderReport, asked: Stamp, out: &mut Vec<Effect>) {
        let Some(order) = self.key_of_report(report).and_then(|key| self.books.orders.get(&key)) else {
            self.on_stranger(now, report, out);
            return;
        };
        let Working::Done(outcome) = order.state else {
            self.seen_open(now, report, asked, out);
            return;
        };
        // it may have ended after the venue took this picture
        if asked.mono > (order.since + PICTURE_AGE).mono {
            let key = order.key();
            let why = format!("order {key} is open at the venue although it ended as {outcome:?}");
            out.push(Effect::Cancel(Cancel { key, instrument: report.instrument, order: Some(report.order.clone()) }));
            self.count_as_foreign(report);
            self.freeze(now, report.instrument, why, out);
        }
    }

    /// An order that our books do not count as working takes part in the exposure all the same.
    pub(crate) fn count_as_foreign(&mut self, report: &OrderReport) {
        self.guard.adopt_foreign(report);
        self.foreign.insert(report.order.clone(), report.instrument.venue());
    }

    fn on_stranger(&mut self, now: Stamp, report: &OrderReport, out: &mut Vec<Effect>) {
        let orphan = report.key.filter(|k| self.books.is_ours(*k));
        if !self.markets.contains_key(&report.instrument) {
            return;
        }
        if let Some(key) = orphan {
            // from our key space but not in the journal: it was never durable, so it may not stand
            out.push(Effect::Cancel(Cancel { key, instrument: report.instrument, order: Some(report.order.clone()) }));
        } else {
            self.count_as_foreign(report);
        }
        if self.books.strangers.contains(&report.order) {
            return;
        }
        let freezes = orphan.is_some() || self.config.foreign == ForeignPolicy::Freeze;
        let action = match (orphan, freezes) {
            (Some(_), _) => "cancelled, market frozen",
            (None, true) => "counted in the exposure, market frozen",
            (None, false) => "counted in the exposure",
        };
        let what = if orphan.is_some() {
            "an order of our key space that the journal does not know"
        } else {
            "an order that is not ours"
        };
        let text = format!(
            "{what}: {:?} {} lots of {} at {} ticks (venue order {}); {action}",
            report.side, report.remaining.0, report.instrument, report.px.0, report.order
        );
        let entry = Entry::Stranger {
            order: report.order.clone(),
            key: orphan,
            instrument: report.instrument,
            action: action.to_owned(),
        };
        self.record(now, entry, out);
        if freezes {
            self.freeze(now, report.instrument, text, out);
        } else {
            self.alert(Severity::Warn, Topic::Stranger, text, out);
        }
    }

    fn forget_gone_foreign(&mut self, snapshot: &VenueSnapshot) {
        let is_open = |id: &VenueOrderId| snapshot.open.iter().any(|r| r.order == *id && r.state == ReportedState::Open);
        let gone: Vec<VenueOrderId> = self
            .foreign
            .iter()
            .filter(|(id, venue)| **venue == snapshot.venue && !is_open(id))
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            self.guard.foreign_gone(snapshot.venue, &id);
            self.foreign.remove(&id);
        }
    }

    /// An order that should rest but is not among the open ones is asked for by name; absence alone proves nothing.
    fn suspect_missing(&mut self, now: Stamp, snapshot: &VenueSnapshot) {
        let open_key = |key| snapshot.open.iter().any(|r| r.key == Some(key));
        let missing: Vec<_> = self
            .books
            .live()
            .filter(|o| o.intent.child.instrument.venue() == snapshot.venue)
            .filter(|o| matches!(o.state, Working::Resting | Working::CancelAsked))
            .filter(|o| snapshot.asked.mono > (o.since + Span::millis(500)).mono)
            .filter(|o| !open_key(o.key()) && !snapshot.open.iter().any(|r| Some(&r.order) == o.order.as_ref()))
            .filter(|o| !snapshot.asked_orders.iter().any(|(k, _)| *k == o.key()))
            .map(crate::Order::key)
            .collect();
        for key in missing {
            self.doubt(now, key, Span::ZERO);
        }
    }

    /// Freezes a market whose venue position differs from our fills in several pulls. True if nothing differs unexplained.
    fn compare_positions(&mut self, now: Stamp, snapshot: &VenueSnapshot, out: &mut Vec<Effect>) -> bool {
        let ids: Vec<InstrumentId> = self.books.opened_ms.keys().filter(|id| id.venue() == snapshot.venue).copied().collect();
        let mut settled = true;
        for instrument in ids {
            let (ours, theirs) = (self.books.position(instrument), position_at_venue(snapshot, instrument));
            // fills that were booked while the picture was on its way are no difference
            let since_ms = snapshot.account.venue_ms.saturating_sub(POSITION_LAG_MS);
            let agrees = ours == theirs || self.books.positions_before(instrument, since_ms).any(|before| before == theirs);
            if agrees || self.books.frozen.contains_key(&instrument) {
                self.breaks.remove(&instrument);
                continue;
            }
            let seen = self.breaks.entry(instrument).or_insert(0);
            *seen += 1;
            if *seen < BREAK_AFTER {
                settled = false;
                continue;
            }
            let why = format!(
                "our fills make a position of {} lots and the venue says {}: a manual trade, a liquidation, deleveraging or a fill we never saw",
                ours.0, theirs.0
            );
            self.freeze(now, instrument, why, out); // C27, I16
        }
        if !settled && let Some(state) = self.venues.iter_mut().find(|v| v.venue == snapshot.venue) {
            state.pull_due = Some(now + RETRY);
        }
        settled
    }

    fn trust(&mut self, now: Stamp, snapshot: &VenueSnapshot, settled: bool, repairs: u32, out: &mut Vec<Effect>) {
        self.repairs += repairs;
        let heard_all =
            |state: &VenueState| state.account == StreamHealth::Up && snapshot.asked.mono >= state.listening_since.mono;
        let state = self.venues.iter().position(|v| v.venue == snapshot.venue && !v.trusted && heard_all(v));
        let Some(at) = state.filter(|_| settled) else { return };
        if let Err(drift) = self.guard.verify() {
            // I28: its running totals are not what its own orders and positions add up to
            let cause = format!("the guard's totals do not add up: {drift}");
            self.raise(now, &Stop::all(StopLevel::Block, Trigger::Reconcile, cause).with("drift", drift), out);
        }
        if let Some(state) = self.venues.get_mut(at) {
            state.trusted = true;
        }
        if self.venues.iter().all(|v| v.trusted) {
            if self.books.reconciled != Some(self.books.epoch) {
                let (epoch, state, repairs) = (self.books.epoch, self.books.hash(), self.repairs);
                self.record(now, Entry::Reconciled { epoch, state, repairs }, out);
            }
            self.guard.set_ready(true);
        }
        self.holds_due = true;
    }
}

fn position_at_venue(snapshot: &VenueSnapshot, instrument: InstrumentId) -> Lots {
    snapshot.account.positions.iter().find(|p| p.instrument == instrument).map(|p| p.lots).unwrap_or_default()
}

fn records(out: &[Effect]) -> u32 {
    u32::try_from(out.iter().filter(|e| matches!(e, Effect::Record(_))).count()).unwrap_or(u32::MAX)
}
