//! The life of an order after it was sent.

use domain::{
    ClientKey, Entry, Fill, Lost, OrderOutcome, OrderReport, Reject, RejectKind, ReportedState, SendOutcome, Span, Stamp, Venue,
    VenueOrderId,
};
use execution::ChildEvent;

use crate::doubts::{ASK_AGAIN, Doubt};
use crate::order::Working;
use crate::{Cancel, Desk, Effect, Severity, Topic};

/// How long after a send, a cancel or a closing report the desk waits for the streams before it asks.
const PATIENCE: Span = Span::millis(400);
/// How long a send may go without any answer before the desk asks. Connectors answer within their own deadline, which is shorter.
const SEND_PATIENCE: Span = Span::secs(20);
/// An order unresolved for this long is a person's business (§3.4).
const ALARM_AFTER: Span = Span::secs(120);
/// How often the ages of doubts are looked at.
const AGE_EVERY: Span = Span::secs(1);
/// Reads without the order, begun after its expiry had passed at the venue, that prove that it never landed.
const CLEAN_READS: u32 = 2;
/// Reads that call an order over and show fewer fills than its status: then the fills are the truth. A reduce-only order that ran
/// out of position ends that way (fact sheet §3.2); of any other, fills must be late.
const CLOSING_READS_REDUCING: u32 = 2;
const CLOSING_READS: u32 = 8;
/// Clocks and block times may differ by this much.
const EXPIRY_SKEW_MS: u64 = 2_000;
/// A pull that began this much after a cancel was sent shows what became of it.
const CANCEL_SEEN: Span = Span::millis(500);
/// No fill has this many lots. Sums of such fills stay far from the end of the numbers.
const FILL_LOTS_MAX: i64 = 1 << 53;

impl Desk {
    /// Makes sure that the venue is asked about `key`, `after` from now at the latest.
    pub(crate) fn doubt(&mut self, now: Stamp, key: ClientKey, after: Span) -> Option<&mut Doubt> {
        let venue = self.books.orders.get(&key)?.intent.child.instrument.venue();
        Some(self.doubts.raise(now, venue, key, now + after))
    }

    /// Forgets the doubt about an order that is known to rest, unless it is being closed or cancelled.
    fn calm(&mut self, key: ClientKey) {
        let rests = self.books.orders.get(&key).is_some_and(|o| o.state == Working::Resting);
        if rests && self.doubts.get(key).is_some_and(Doubt::is_plain) {
            self.doubts.forget(key);
        }
    }

    pub(crate) fn on_intent(&mut self, now: Stamp, key: ClientKey) {
        self.doubt(now, key, SEND_PATIENCE);
    }

    pub(crate) fn on_sent(&mut self, now: Stamp, key: ClientKey, outcome: &SendOutcome, out: &mut Vec<Effect>) {
        let Some(order) = self.books.orders.get(&key) else { return };
        let (state, shown, tif) = (order.state, order.acked || !order.filled.is_zero(), order.intent.child.tif);
        if let Working::Done(ended) = state {
            if let SendOutcome::Acked { order: id, .. } = outcome
                && never_worked(ended)
            {
                self.contradicted(now, key, id.clone(), "was acknowledged by the venue", out);
            }
            return;
        }
        match outcome {
            SendOutcome::Acked { order: id, done } => {
                self.acknowledge(now, key, id.clone(), out);
                if *done || tif == domain::Tif::ImmediateOrCancel {
                    self.doubt(now, key, PATIENCE);
                } else {
                    self.works(now, key, state, out);
                }
                self.conclude(now, key, out);
            }
            // the venue cannot have refused what it showed to us: it must say what became of it
            SendOutcome::Rejected(_) if shown => {
                self.doubt(now, key, PATIENCE);
            }
            SendOutcome::Rejected(reject) => self.finish(now, key, OrderOutcome::Rejected, Some(reject.clone()), out),
            SendOutcome::Unknown(cause) => {
                if state == Working::Sent {
                    self.lose_sight(now, key, *cause, out);
                }
                self.doubt(now, key, PATIENCE);
            }
        }
    }

    /// Records that the venue has the order, and under which name, if either is news.
    fn acknowledge(&mut self, now: Stamp, key: ClientKey, id: Option<VenueOrderId>, out: &mut Vec<Effect>) {
        let Some(order) = self.books.orders.get(&key) else { return };
        if let (Some(before), Some(id)) = (&order.order, &id)
            && before != id
        {
            let what = format!("is the venue's order {before} and also its order {id}");
            self.contradicted(now, key, Some(id.clone()), &what, out);
            return;
        }
        if order.state.is_unanswered() || (order.order.is_none() && id.is_some()) {
            let instrument = order.intent.child.instrument;
            self.record(now, Entry::Acked { key, order: id }, out);
            self.guard.acked(now, key, instrument);
            self.tell_worker(now, key, ChildEvent::Acked);
            self.holds_due = true;
        }
    }

    /// The order works at the venue, as was just learnt; before, it stood at `before`.
    fn works(&mut self, now: Stamp, key: ClientKey, before: Working, out: &mut Vec<Effect>) {
        if before == Working::CancelAsked {
            // the cancel overtook the order and found nothing
            self.doubt(now, key, PATIENCE);
            self.doubts.cancel_at(key, Some(now));
        } else if before.is_unanswered() && self.books.orders.get(&key).is_some_and(|order| self.must_go(order)) {
            // it landed after everything was cancelled
            self.cancel_order(now, key, out);
        } else {
            self.calm(key);
        }
    }

    pub(crate) fn lose_sight(&mut self, now: Stamp, key: ClientKey, cause: Lost, out: &mut Vec<Effect>) {
        self.record(now, Entry::Unknown { key, cause }, out);
        self.tell_worker(now, key, ChildEvent::Unknown);
        self.holds_due = true;
    }

    /// The venue says what cannot be. The order is cancelled in case it lives, and its market frozen.
    fn contradicted(&mut self, now: Stamp, key: ClientKey, id: Option<VenueOrderId>, what: &str, out: &mut Vec<Effect>) {
        let Some(order) = self.books.orders.get(&key) else { return };
        let (instrument, state) = (order.intent.child.instrument, order.state);
        out.push(Effect::Cancel(Cancel { key, instrument, order: id }));
        self.freeze(now, instrument, format!("order {key}, which stands at {state:?}, {what}"), out);
    }

    pub(crate) fn on_cancel_answered(&mut self, now: Stamp, key: ClientKey, gone: bool) {
        if self.books.orders.get(&key).is_none_or(|o| o.state.is_done()) {
            return;
        }
        // neither answer says whether it filled; a report or a pull does
        self.doubt(now, key, PATIENCE);
        if gone {
            self.doubts.cancel_at(key, None);
        }
    }

    /// Our key of the order that `report` is about, if our books hold it.
    pub(crate) fn key_of_report(&self, report: &OrderReport) -> Option<ClientKey> {
        let key = report.key.filter(|k| self.books.is_ours(*k)).or_else(|| self.books.key_of_order(&report.order));
        key.filter(|k| self.books.orders.contains_key(k))
    }

    pub(crate) fn on_report(&mut self, now: Stamp, report: &OrderReport, out: &mut Vec<Effect>) {
        let Some(order) = self.key_of_report(report).and_then(|key| self.books.orders.get(&key)) else { return };
        let (key, state, filled) = (order.key(), order.state, order.filled);
        if let Working::Done(ended) = state {
            if never_worked(ended) && matches!(report.state, ReportedState::Open | ReportedState::Filled) {
                if report.state == ReportedState::Open {
                    self.count_as_foreign(report);
                }
                self.contradicted(now, key, Some(report.order.clone()), &format!("is {} at the venue", report.status), out);
            }
            return;
        }
        let closing = match report.state {
            ReportedState::Open => {
                self.acknowledge(now, key, Some(report.order.clone()), out);
                if state.is_unanswered() || state == Working::Resting {
                    self.works(now, key, state, out);
                }
                return;
            }
            ReportedState::Unrecognised => {
                self.doubt(now, key, PATIENCE);
                return;
            }
            ReportedState::Rejected if filled.is_zero() => {
                let reject = Reject { kind: reject_kind(&report.status), text: report.status.chars().take(200).collect() };
                self.finish(now, key, OrderOutcome::Rejected, Some(reject), out);
                return;
            }
            ReportedState::Rejected | ReportedState::Canceled => OrderOutcome::Canceled,
            ReportedState::Filled => OrderOutcome::Filled,
        };
        self.acknowledge(now, key, Some(report.order.clone()), out);
        let expected = report.qty.minus(report.remaining);
        if let Some(doubt) = self.doubt(now, key, PATIENCE) {
            doubt.closing = Some((closing, expected));
        }
        self.conclude(now, key, out);
    }

    pub(crate) fn on_fill(&mut self, now: Stamp, fill: &Fill, out: &mut Vec<Effect>) {
        let opened = self.books.opened_ms.get(&fill.instrument).copied();
        let key = self.books.key_of(fill);
        let not_ours_to_book =
            key.is_none() && (opened.is_none_or(|ms| fill.venue_ms <= ms) || !self.markets.contains_key(&fill.instrument));
        if not_ours_to_book || self.books.has_trade(fill) {
            return;
        }
        if fill.qty.0 <= 0 || fill.qty.0 > FILL_LOTS_MAX {
            let why = format!("the venue told of a fill of {} lots (trade {}), which cannot be", fill.qty.0, fill.id.trade);
            self.freeze(now, fill.instrument, why, out);
            return;
        }
        self.record(now, Entry::Fill(fill.clone()), out);
        self.guard.set_position(fill.instrument, self.books.position(fill.instrument));
        let Some(key) = key else {
            let what =
                if fill.forced { "the venue closed part of the position" } else { "a fill that is not from one of our orders" };
            let text = format!("{what}: {:?} {} lots at {} ticks (trade {})", fill.side, fill.qty.0, fill.px.0, fill.id.trade);
            self.freeze(now, fill.instrument, text, out);
            return;
        };
        self.guard.filled(key, fill.qty);
        let mid_x2 = self.mid_x2(fill.instrument);
        let event = ChildEvent::Filled { qty: fill.qty, px: fill.px, role: fill.role, fee: fill.fee, at_mid_x2: mid_x2 };
        self.tell_worker(now, key, event);
        if let Some(why) = self.impossible(key, fill) {
            self.freeze(now, fill.instrument, why, out);
        }
        self.conclude(now, key, out);
    }

    /// What is wrong with a fill that has just been booked, if anything.
    fn impossible(&self, key: ClientKey, fill: &Fill) -> Option<String> {
        let Some(order) = self.books.orders.get(&key) else {
            return Some(format!("trade {} filled order {key}, which the journal does not hold", fill.id.trade));
        };
        let child = &order.intent.child;
        if (fill.instrument, fill.side) != (child.instrument, child.side) {
            let what = format!("trade {} of order {key} is a {:?} of {}", fill.id.trade, fill.side, fill.instrument);
            return Some(format!("{what}, and the order a {:?} of {}", child.side, child.instrument));
        }
        if let Working::Done(outcome) = order.state
            && never_worked(outcome)
        {
            return Some(format!("order {key} filled {} lots although it ended as {outcome:?}", order.filled.0));
        }
        // F26
        (order.filled > child.qty).then(|| format!("order {key} filled {} of {} lots", order.filled.0, child.qty.0))
    }

    /// Ends an order once its fills account for what the venue says, never before: its quantity is free afterwards.
    fn conclude(&mut self, now: Stamp, key: ClientKey, out: &mut Vec<Effect>) {
        let Some(order) = self.books.orders.get(&key).filter(|o| !o.state.is_done()) else { return };
        if order.filled >= order.intent.child.qty {
            self.finish(now, key, OrderOutcome::Filled, None, out);
            return;
        }
        let Some(doubt) = self.doubts.get(key) else { return };
        let Some((_, expected)) = doubt.closing else { return };
        let reducing = order.intent.child.reduce_only;
        let reads = if reducing { CLOSING_READS_REDUCING } else { CLOSING_READS };
        if order.filled < expected && doubt.closing_reads < reads {
            return;
        }
        if order.filled < expected && !reducing {
            let text = format!(
                "order {key} is over; the venue says that {} lots filled and its fills add up to {}: the fills are believed",
                expected.0, order.filled.0
            );
            self.alert(Severity::Act, Topic::FillsMissing, text, out);
        }
        self.finish(now, key, OrderOutcome::Canceled, None, out);
    }

    pub(crate) fn finish(
        &mut self,
        now: Stamp,
        key: ClientKey,
        outcome: OrderOutcome,
        reject: Option<Reject>,
        out: &mut Vec<Effect>,
    ) {
        let kind = reject.as_ref().map(|r| r.kind);
        if let Some((kind, order)) = kind.zip(self.books.orders.get(&key)) {
            self.guard.rejected(now, key, order.intent.child.instrument, kind);
        }
        self.record(now, Entry::Done { key, outcome, reject }, out);
        self.guard.gone(key);
        self.doubts.forget(key);
        self.holds_due = true;
        if let Some(kind) = kind {
            self.tell_worker(now, key, ChildEvent::Rejected(kind));
        } else {
            self.tell_worker(now, key, ChildEvent::Done(outcome));
        }
    }

    pub(crate) fn cancel_order(&mut self, now: Stamp, key: ClientKey, out: &mut Vec<Effect>) {
        let Some(order) = self.books.orders.get(&key).filter(|o| !o.state.is_done()) else {
            self.doubts.forget(key);
            return;
        };
        let cancel = Cancel { key, instrument: order.intent.child.instrument, order: order.order.clone() };
        // an unknown order stays unknown: asking to cancel it is no evidence that it exists
        if matches!(order.state, Working::Sent | Working::Resting) {
            self.record(now, Entry::CancelAsked { key }, out);
            self.tell_worker(now, key, ChildEvent::CancelAsked);
        }
        self.guard.cancel_sent(now, key, cancel.instrument.venue());
        out.push(Effect::Cancel(cancel));
        self.doubt(now, key, Span::secs(1));
        self.doubts.cancel_sent(now, key);
    }

    pub(crate) fn cancel_all_ours(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        let keys: Vec<ClientKey> = self.books.live().map(crate::Order::key).collect();
        for key in keys {
            self.cancel_order(now, key, out);
        }
    }

    /// An order that a pull begun at `asked` found open.
    pub(crate) fn seen_open(&mut self, now: Stamp, report: &OrderReport, asked: Stamp, out: &mut Vec<Effect>) {
        self.on_report(now, report, out);
        let Some(order) = self.key_of_report(report).and_then(|key| self.books.orders.get(&key)) else { return };
        if order.state == Working::CancelAsked && asked.mono > (order.since + CANCEL_SEEN).mono {
            // whatever the cancel was answered with, the order is there
            let key = order.key();
            if self.doubt(now, key, ASK_AGAIN).is_some_and(|d| d.is_plain()) {
                self.doubts.cancel_at(key, Some(now));
            }
        }
    }

    /// What a pull begun at `asked` that asked for `key` by name says about it.
    pub(crate) fn on_asked(
        &mut self,
        now: Stamp,
        key: ClientKey,
        report: Option<&OrderReport>,
        (asked, venue_ms): (Stamp, u64),
        out: &mut Vec<Effect>,
    ) {
        if let Some(report) = report {
            match report.state {
                ReportedState::Open => self.seen_open(now, report, asked, out),
                ReportedState::Filled | ReportedState::Canceled | ReportedState::Rejected | ReportedState::Unrecognised => {
                    self.on_report(now, report, out);
                    if let Some(doubt) = self.doubts.get_mut(key).filter(|d| d.closing.is_some()) {
                        doubt.closing_reads += 1;
                        self.conclude(now, key, out);
                    }
                }
            }
            return;
        }
        let Some(order) = self.books.orders.get(&key).filter(|o| !o.state.is_done()) else { return };
        let (intent, state) = (order.intent, order.state);
        if order.acked {
            return; // it was acknowledged: not being found is the venue's lag, and proves nothing
        }
        let expired = match intent.expiry {
            domain::Expiry::AtMs(ms) => venue_ms > ms.saturating_add(EXPIRY_SKEW_MS),
            domain::Expiry::AtBlock(_) => false,
        };
        let Some(doubt) = self.doubt(now, key, ASK_AGAIN) else { return };
        if expired {
            doubt.clean_reads += 1;
            if doubt.clean_reads >= CLEAN_READS {
                self.finish(now, key, OrderOutcome::NeverLanded, None, out);
            }
        } else if !doubt.burn_asked && state.is_unknown() {
            self.burn(now, intent.child.instrument.venue(), intent.nonce, out);
        }
    }

    /// Asks for the nonce to be used up, once, and only if every order signed with it is unknown.
    fn burn(&mut self, now: Stamp, venue: Venue, nonce: u64, out: &mut Vec<Effect>) {
        let batch: Vec<(ClientKey, Working)> =
            self.books.live().filter(|o| signed_with(o, venue, nonce)).map(|o| (o.key(), o.state)).collect();
        if batch.iter().any(|(_, state)| !state.is_unknown()) {
            return;
        }
        for (key, _) in batch {
            if let Some(doubt) = self.doubt(now, key, ASK_AGAIN) {
                doubt.burn_asked = true;
            }
        }
        out.push(Effect::Burn { venue, nonce });
    }

    pub(crate) fn on_burnt(&mut self, now: Stamp, venue: Venue, nonce: u64, burnt: bool, out: &mut Vec<Effect>) {
        if !burnt {
            return; // used before: by the order, or by a burn whose answer was lost. Only the venue's word on the order tells.
        }
        let batch: Vec<ClientKey> =
            self.books.live().filter(|o| signed_with(o, venue, nonce) && o.state.is_unknown()).map(crate::Order::key).collect();
        for key in batch {
            self.finish(now, key, OrderOutcome::NeverLanded, None, out);
        }
    }

    /// Repeats cancels that had no effect, gives up on answers that do not come, and raises the alarm for what stays unresolved.
    pub(crate) fn resolve_doubts(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        for key in self.doubts.cancels_due(now) {
            self.cancel_order(now, key, out);
        }
        if now.since(self.doubts_aged) < AGE_EVERY {
            return;
        }
        self.doubts_aged = now;
        let silent: Vec<ClientKey> = self.doubts.older_than(now, SEND_PATIENCE).map(|(key, _)| key).collect();
        for key in silent {
            if self.books.orders.get(&key).is_some_and(|o| o.state == Working::Sent) {
                self.lose_sight(now, key, Lost::Timeout, out);
                self.doubt(now, key, Span::ZERO);
            }
        }
        let old: Vec<ClientKey> =
            self.doubts.older_than(now, ALARM_AFTER).filter(|(_, d)| !d.alarmed).map(|(key, _)| key).collect();
        for key in old {
            if let Some(doubt) = self.doubts.get_mut(key) {
                doubt.alarmed = true;
            }
            let Some(state) = self.books.orders.get(&key).map(|o| o.state) else { continue };
            let text =
                format!("order {key} is {state:?} and the venue has not settled it for {ALARM_AFTER}; its margin stays reserved");
            self.alert(Severity::Act, Topic::Unresolved, text, out);
        }
    }
}

fn signed_with(order: &crate::Order, venue: Venue, nonce: u64) -> bool {
    order.intent.nonce == nonce && order.intent.child.instrument.venue() == venue
}

/// Whether an order that ended so can never have worked at the venue.
const fn never_worked(outcome: OrderOutcome) -> bool {
    matches!(outcome, OrderOutcome::NeverLanded | OrderOutcome::Rejected)
}

/// The kind behind a venue's `…Rejected` status word (fact sheet §3.2).
fn reject_kind(status: &str) -> RejectKind {
    match status {
        "badAloPxRejected" => RejectKind::WouldTake,
        "iocCancelRejected" | "marketOrderNoLiquidityRejected" => RejectKind::NothingToTake,
        "tickRejected" | "minTradeNtlRejected" | "minTradeSpotNtlRejected" | "badTriggerPxRejected" | "oracleRejected" => {
            RejectKind::Malformed
        }
        "perpMarginRejected" | "insufficientSpotBalanceRejected" => RejectKind::Margin,
        "reduceOnlyRejected" => RejectKind::ReduceOnly,
        _ => RejectKind::Other,
    }
}
