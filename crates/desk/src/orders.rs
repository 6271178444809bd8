//! The life of an order after it was sent.

use domain::{
    ClientKey, Entry, Fill, Lost, OrderOutcome, OrderReport, Qty, Reject, RejectKind, ReportedState, SendOutcome, Span, Stamp,
    Venue,
};
use execution::ChildEvent;

use crate::order::Working;
use crate::{Cancel, Desk, Effect, Severity};

/// How long after a send, a cancel or a closing report the desk waits for the streams before it asks.
const PATIENCE: Span = Span::millis(400);
/// How long a send may go without any answer before the desk asks. Connectors answer within their own deadline, which is shorter.
const SEND_PATIENCE: Span = Span::secs(20);
/// Between two questions about the same order.
const ASK_AGAIN: Span = Span::millis(900);
/// An order unresolved for this long is a person's business (§3.4).
const ALARM_AFTER: Span = Span::secs(120);
/// Reads without the order, begun after its expiry had passed at the venue, that prove that it never landed.
const CLEAN_READS: u8 = 2;
/// Clocks and block times may differ by this much.
const EXPIRY_SKEW_MS: u64 = 2_000;

/// What is being found out about an order.
#[derive(Clone, Debug)]
pub(crate) struct Doubt {
    pub due: Stamp,
    since: Stamp,
    clean_reads: u8,
    /// The venue says that it is over, and how much it says was filled.
    closing: Option<(OrderOutcome, Qty)>,
    closing_reads: u8,
    burn_asked: bool,
    pub cancel_again: Option<Stamp>,
    alarmed: bool,
}

impl Desk {
    /// Makes sure that the venue is asked about `key`, `after` from now at the latest.
    pub(crate) fn doubt(&mut self, now: Stamp, key: ClientKey, after: Span) -> &mut Doubt {
        let due = now + after;
        let doubt = self.doubts.entry(key).or_insert(Doubt {
            due,
            since: now,
            clean_reads: 0,
            closing: None,
            closing_reads: 0,
            burn_asked: false,
            cancel_again: None,
            alarmed: false,
        });
        doubt.due = doubt.due.min(due);
        doubt
    }

    /// Forgets the doubt about an order that is known to rest, unless it is being closed or cancelled.
    fn calm(&mut self, key: ClientKey) {
        if self.doubts.get(&key).is_some_and(|d| d.closing.is_none() && d.cancel_again.is_none()) {
            self.doubts.remove(&key);
        }
    }

    pub(crate) fn on_intent(&mut self, now: Stamp, key: ClientKey) {
        self.doubt(now, key, SEND_PATIENCE);
    }

    pub(crate) fn on_sent(&mut self, now: Stamp, key: ClientKey, outcome: &SendOutcome, out: &mut Vec<Effect>) {
        let Some(order) = self.books.orders.get(&key) else { return };
        if order.state.is_done() {
            return;
        }
        let (state, named, tif) = (order.state, order.order.is_some(), order.intent.child.tif);
        match outcome {
            SendOutcome::Acked { order: id, done } => {
                if matches!(state, Working::Sent | Working::Unknown(_)) || (!named && id.is_some()) {
                    self.record(now, Entry::Acked { key, order: id.clone() }, out);
                    self.tell_worker(now, key, ChildEvent::Acked);
                }
                if *done || tif == domain::Tif::ImmediateOrCancel {
                    self.doubt(now, key, PATIENCE);
                } else {
                    self.calm(key);
                }
                self.conclude(now, key, out);
            }
            SendOutcome::Rejected(reject) => self.finish(now, key, OrderOutcome::Rejected, Some(reject.clone()), out),
            SendOutcome::Unknown(cause) => {
                if state == Working::Sent {
                    self.record(now, Entry::Unknown { key, cause: *cause }, out);
                    self.tell_worker(now, key, ChildEvent::Unknown);
                    self.rehold(now);
                }
                self.doubt(now, key, PATIENCE);
            }
        }
    }

    pub(crate) fn on_cancel_answered(&mut self, now: Stamp, key: ClientKey, gone: bool) {
        if self.books.orders.get(&key).is_none_or(|o| o.state.is_done()) {
            return;
        }
        // neither answer says whether it filled; a report or a pull does
        let doubt = self.doubt(now, key, PATIENCE);
        if gone {
            doubt.cancel_again = None;
        }
    }

    pub(crate) fn on_report(&mut self, now: Stamp, report: &OrderReport, out: &mut Vec<Effect>) {
        let key = report.key.filter(|k| self.books.is_ours(*k)).or_else(|| self.books.key_of_order(&report.order));
        let Some(order) = key.and_then(|k| self.books.orders.get(&k)) else { return };
        let (key, state, named, filled) = (order.key(), order.state, order.order.is_some(), order.filled);
        if state.is_done() {
            return;
        }
        if report.state != ReportedState::Unrecognised && report.state != ReportedState::Rejected && (!named || unanswered(state))
        {
            self.record(now, Entry::Acked { key, order: Some(report.order.clone()) }, out);
            self.tell_worker(now, key, ChildEvent::Acked);
        }
        let closing = match report.state {
            ReportedState::Open => {
                if unanswered(state) {
                    self.calm(key);
                    self.rehold(now);
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
        let expected = report.qty.minus(report.remaining);
        let doubt = self.doubt(now, key, PATIENCE);
        doubt.closing = Some((closing, expected));
        self.conclude(now, key, out);
    }

    pub(crate) fn on_fill(&mut self, now: Stamp, fill: &Fill, out: &mut Vec<Effect>) {
        let opened = self.books.opened_ms.get(&fill.instrument).copied();
        let key = self.books.key_of(fill);
        let before_our_time = opened.is_none_or(|ms| fill.venue_ms <= ms) && key.is_none();
        if before_our_time || self.books.has_trade(fill) || !self.markets.contains_key(&fill.instrument) {
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
        if self.books.orders.get(&key).is_some_and(|o| o.filled > o.intent.child.qty) {
            self.freeze(now, fill.instrument, format!("order {key} filled more than was sent"), out); // F26
        }
        self.conclude(now, key, out);
    }

    /// Ends an order once its fills account for what the venue says, never before: its quantity is free afterwards.
    fn conclude(&mut self, now: Stamp, key: ClientKey, out: &mut Vec<Effect>) {
        let Some(order) = self.books.orders.get(&key).filter(|o| !o.state.is_done()) else { return };
        if order.filled >= order.intent.child.qty {
            self.finish(now, key, OrderOutcome::Filled, None, out);
            return;
        }
        let Some(doubt) = self.doubts.get(&key) else { return };
        let Some((_, expected)) = doubt.closing else { return };
        if order.filled >= expected {
            self.finish(now, key, OrderOutcome::Canceled, None, out);
        } else if doubt.closing_reads >= CLEAN_READS {
            // a reduce-only order that ran out of position reports more than it filled (fact sheet §3.2): fills are the truth
            self.finish(now, key, OrderOutcome::Canceled, None, out);
        }
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
        self.record(now, Entry::Done { key, outcome, reject }, out);
        self.guard.gone(key);
        self.doubts.remove(&key);
        if let Some(kind) = kind {
            self.tell_worker(now, key, ChildEvent::Rejected(kind));
        } else {
            self.tell_worker(now, key, ChildEvent::Done(outcome));
        }
        self.rehold(now);
    }

    pub(crate) fn cancel_order(&mut self, now: Stamp, key: ClientKey, out: &mut Vec<Effect>) {
        let Some(order) = self.books.orders.get(&key).filter(|o| !o.state.is_done()) else { return };
        let cancel = Cancel { key, instrument: order.intent.child.instrument, order: order.order.clone() };
        // an unknown order stays unknown: asking to cancel it is no evidence that it exists
        if matches!(order.state, Working::Sent | Working::Resting) {
            self.record(now, Entry::CancelAsked { key }, out);
            self.tell_worker(now, key, ChildEvent::CancelAsked);
        }
        self.guard.cancel_sent(now, key, cancel.instrument.venue());
        out.push(Effect::Cancel(cancel));
        let again = now + Span::secs(3);
        let doubt = self.doubt(now, key, Span::secs(1));
        doubt.cancel_again = Some(again);
    }

    pub(crate) fn cancel_all_ours(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        let keys: Vec<ClientKey> = self.books.live().map(crate::Order::key).collect();
        for key in keys {
            self.cancel_order(now, key, out);
        }
    }

    /// What a pull that asked for `key` by name says about it.
    pub(crate) fn on_asked(
        &mut self,
        now: Stamp,
        key: ClientKey,
        report: Option<&OrderReport>,
        venue_ms: u64,
        out: &mut Vec<Effect>,
    ) {
        let Some(order) = self.books.orders.get(&key).filter(|o| !o.state.is_done()) else { return };
        let (intent, state) = (order.intent, order.state);
        if let Some(report) = report {
            self.on_report(now, report, out);
            if let Some(doubt) = self.doubts.get_mut(&key)
                && doubt.closing.is_some()
            {
                doubt.closing_reads += 1;
                self.conclude(now, key, out);
            }
            return;
        }
        if !unanswered(state) && state != Working::CancelAsked {
            return; // it was acknowledged: not being found is the venue's lag, and proves nothing
        }
        let expired = match intent.expiry {
            domain::Expiry::AtMs(ms) => venue_ms > ms + EXPIRY_SKEW_MS,
            domain::Expiry::AtBlock(_) => false,
        };
        let acked = order.order.is_some();
        let doubt = self.doubt(now, key, ASK_AGAIN);
        if acked {
            return;
        }
        if expired {
            doubt.clean_reads += 1;
            if doubt.clean_reads >= CLEAN_READS {
                self.finish(now, key, OrderOutcome::NeverLanded, None, out);
            }
        } else if !doubt.burn_asked && matches!(state, Working::Unknown(_)) {
            self.burn(now, intent.child.instrument.venue(), intent.nonce, out);
        }
    }

    /// Asks for the nonce to be used up, once, and only if every order signed with it is unknown.
    fn burn(&mut self, now: Stamp, venue: Venue, nonce: u64, out: &mut Vec<Effect>) {
        let batch: Vec<(ClientKey, Working)> =
            self.books.live().filter(|o| o.intent.nonce == nonce).map(|o| (o.key(), o.state)).collect();
        if batch.iter().any(|(_, state)| !matches!(state, Working::Unknown(_))) {
            return;
        }
        for (key, _) in batch {
            self.doubt(now, key, ASK_AGAIN).burn_asked = true;
        }
        out.push(Effect::Burn { venue, nonce });
    }

    pub(crate) fn on_burnt(&mut self, now: Stamp, venue: Venue, nonce: u64, burnt: bool, out: &mut Vec<Effect>) {
        if !burnt {
            return; // used before: by the order, or by a burn whose answer was lost. Only the venue's word on the order tells.
        }
        let batch: Vec<ClientKey> = self
            .books
            .live()
            .filter(|o| {
                o.intent.nonce == nonce && o.intent.child.instrument.venue() == venue && matches!(o.state, Working::Unknown(_))
            })
            .map(crate::Order::key)
            .collect();
        for key in batch {
            self.finish(now, key, OrderOutcome::NeverLanded, None, out);
        }
    }

    /// Repeats cancels that had no effect and raises the alarm for what stays unresolved too long.
    pub(crate) fn resolve_doubts(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        if self.doubts.values().all(|d| d.due.mono > now.mono && d.cancel_again.is_none_or(|c| c.mono > now.mono)) {
            return;
        }
        let late: Vec<ClientKey> = self.doubts.iter().filter(|(_, d)| d.due.mono <= now.mono).map(|(k, _)| *k).collect();
        for key in late {
            let Some(state) = self.books.orders.get(&key).map(|o| o.state).filter(|s| !s.is_done()) else {
                self.doubts.remove(&key);
                continue;
            };
            if state == Working::Sent && self.doubts.get(&key).is_some_and(|d| now.since(d.since) >= SEND_PATIENCE) {
                self.record(now, Entry::Unknown { key, cause: Lost::Timeout }, out);
                self.tell_worker(now, key, ChildEvent::Unknown);
            }
            let alarm = self.doubts.get(&key).is_some_and(|d| !d.alarmed && now.since(d.since) >= ALARM_AFTER);
            if alarm {
                let text = format!(
                    "order {key} is {state:?} and the venue has not settled it for {ALARM_AFTER}; its margin stays reserved"
                );
                self.alert(Severity::Act, "unresolved", text, out);
            }
            if let Some(doubt) = self.doubts.get_mut(&key) {
                doubt.alarmed |= alarm;
            }
        }
        let again: Vec<ClientKey> = self
            .doubts
            .iter()
            .filter(|(_, d)| d.cancel_again.is_some_and(|at| at.mono <= now.mono))
            .map(|(key, _)| *key)
            .collect();
        for key in again {
            self.cancel_order(now, key, out);
        }
    }

    /// Orders to ask the venue about now; each is asked again later until it is settled.
    pub(crate) fn doubts_to_ask(&mut self, now: Stamp, venue: Venue, max: usize) -> Vec<ClientKey> {
        let books = &self.books;
        let at = |key: &ClientKey| books.orders.get(key).is_some_and(|o| o.intent.child.instrument.venue() == venue);
        let keys: Vec<ClientKey> =
            self.doubts.iter().filter(|(key, d)| d.due.mono <= now.mono && at(key)).map(|(key, _)| *key).take(max).collect();
        for key in &keys {
            if let Some(doubt) = self.doubts.get_mut(key) {
                doubt.due = now + ASK_AGAIN;
            }
        }
        keys
    }
}

const fn unanswered(state: Working) -> bool {
    matches!(state, Working::Sent | Working::Unknown(_))
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
