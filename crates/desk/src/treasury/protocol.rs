//! What the desk owes the judge of transfers and the wallet: every record is folded, transfers of earlier tenures are taken up again
//! before anything new, and nothing is sent that was not cleared.

use domain::{
    Attempt, Entry, Route, Span, SpecFault, Stamp, StopLevel, Transfer, TransferEvent, TransferId, TransferIntent,
    TransferOutcome, TransferState, Usd,
};
use margin_guard::{ClearedTransfer, TransferRefusal, TreasuryFault};

use super::account::at_work;
use super::plan::settles;
use super::{REFUSALS_KEPT, RefusedTransfer, Treasurer};
use crate::{Desk, Effect, Severity, Topic};

/// The same trouble is told again after this long.
pub(super) const TELL_AGAIN: Span = Span::secs(600);
/// A verdict on signed bytes that the wallet has not heard of after this long is lost, and they are judged again.
const UNHEARD: Span = Span::secs(10);
/// A cause is read by people, and signed by nobody.
const CAUSE_MAX: usize = 300;
/// Kinds of trouble that are remembered.
const TOLD_MAX: usize = 256;
/// A transfer at the venue that nobody answered for is sent again, with the same nonce, after this long at first …
const AGAIN: Span = Span::secs(10);
/// … then after twice as long each time, up to this: it costs a record and a request.
const AGAIN_MAX: Span = Span::secs(600);

impl Treasurer {
    /// Takes in a record.
    pub(crate) fn fold(&mut self, at: Stamp, entry: &Entry) -> Result<(), TreasuryFault> {
        self.judge.fold(at, entry)?;
        if let Entry::Epoch { .. } = entry {
            self.resumed.clear();
            self.worded = None;
        } else if let Entry::TransferRefused { what, why } = entry {
            self.refuse(at, what.clone(), why.clone());
        } else if let Entry::TreasuryDecided(decision) = entry {
            self.cascade = decision.cascade;
            self.begun = at_work(decision.action);
            if self.cascade.is_some() {
                self.low = Some(at);
            }
            self.decision = decision.clone();
            self.worded = Some(at);
            self.decided = Some(at);
        } else if let Entry::Transfer { id, event } = entry {
            if settles(event) {
                self.moved_at = Some(at);
            }
            if let TransferEvent::Credited { amount, venue_ms } = event {
                if let Some((route, took)) = self.judge.transfer(*id).map(|t| (t.intent.route, at.since(t.at))) {
                    self.measure(&route, took);
                }
                self.book(domain::DepositSeen { venue_ms: *venue_ms, amount: *amount });
            }
            if let Some(transfer) = self.judge.transfer(*id).cloned() {
                self.note_failure(at, &transfer);
            }
            if self.judge.transfer(*id).is_some_and(Transfer::open) {
                self.newest.insert(*id, event.clone());
            } else {
                self.newest.remove(id);
                self.signed.remove(id);
                self.resumed.remove(id);
                self.again.remove(id);
            }
        }
        Ok(())
    }

    /// Whether trouble of this name may be told.
    pub(super) fn may_tell(&mut self, now: Stamp, what: &str) -> bool {
        if self.told.get(what).is_some_and(|at| now.since(*at) < TELL_AGAIN) {
            return false;
        }
        if self.told.len() >= TOLD_MAX {
            self.told.retain(|_, at| now.since(*at) < TELL_AGAIN);
            if self.told.len() >= TOLD_MAX {
                self.told.pop_first();
            }
        }
        self.told.insert(what.to_owned(), now);
        true
    }

    fn refuse(&mut self, at: Stamp, what: String, why: String) {
        if self.refusals.len() == REFUSALS_KEPT {
            self.refusals.pop_front();
        }
        self.refusals.push_back(RefusedTransfer { at, what, why });
    }
}

impl Desk {
    /// Puts the limits in force, if the journal names others. Called when a tenure opens, after the older records were folded.
    pub(crate) fn open_treasury(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        if let Some(entry) = self.treasurer.as_ref().and_then(|t| t.judge.record()) {
            self.record(now, entry, out);
        }
    }

    /// Takes in a record that was just made.
    pub(crate) fn fold_treasury(&mut self, at: Stamp, entry: &Entry, out: &mut Vec<Effect>) {
        let Some(treasurer) = &mut self.treasurer else { return };
        let Err(fault) = treasurer.fold(at, entry) else { return };
        let why = format!("the ledger of transfers does not add up, and no money is moved: {fault}");
        treasurer.broken = Some(why.clone());
        self.alert(Severity::Act, Topic::Treasury, why, out);
    }

    /// Something happened to a transfer.
    pub(crate) fn on_transfer(&mut self, now: Stamp, id: TransferId, event: &TransferEvent, out: &mut Vec<Effect>) {
        let Some(treasurer) = &mut self.treasurer else {
            self.alert(Severity::Act, Topic::Treasury, format!("{id}: news of a transfer, and no treasury is configured"), out);
            return;
        };
        let Some(known) = treasurer.judge.transfer(id) else {
            if treasurer.may_tell(now, &format!("unknown {id}")) {
                self.alert(
                    Severity::Act,
                    Topic::Treasury,
                    format!("{id}: news of a transfer that the journal does not know"),
                    out,
                );
            }
            return;
        };
        if let TransferEvent::Signed(attempt) = event {
            // the wallet repeats it until the released step reaches it
            let cleared = known.attempt(attempt.hash).and_then(|_| treasurer.signed.get(&id));
            if cleared.is_none_or(|at| now.since(*at) >= UNHEARD) {
                self.on_signed(now, id, attempt, out);
            }
            return;
        }
        let decides = matches!(event, TransferEvent::Intended(_) | TransferEvent::Resumed { .. });
        let mut next = known.clone();
        let applied = next.apply(now, event).map_err(|e| e.to_string());
        if decides || applied.is_err() {
            let fault = applied.err().unwrap_or_else(|| "only the desk decides on transfers".to_owned());
            if treasurer.may_tell(now, &format!("impossible {id}")) {
                self.alert(Severity::Act, Topic::Treasury, format!("{id}: {fault}"), out);
            }
            return;
        }
        if next == *known && treasurer.newest.get(&id) == Some(event) {
            return;
        }
        self.record(now, Entry::Transfer { id, event: event.clone() }, out);
        self.tell_of(now, id, event, out);
    }

    fn tell_of(&mut self, now: Stamp, id: TransferId, event: &TransferEvent, out: &mut Vec<Effect>) {
        let Some(treasurer) = &mut self.treasurer else { return };
        let Some(intent) = treasurer.judge.transfer(id).map(|t| &t.intent) else { return };
        let what = format!("{id}, {} of {}", intent.route.name(), intent.amount);
        let (severity, text) = match event {
            TransferEvent::Dropped { hash } => {
                (Severity::Warn, format!("no endpoint knows its transaction {hash} any more; the same bytes are sent again"))
            }
            TransferEvent::Reorged { hash, .. } => {
                (Severity::Warn, format!("the block of its transaction {hash} is gone; the same bytes are sent again"))
            }
            TransferEvent::Overdue { why } => {
                (Severity::Act, format!("is overdue: {why}; it stays reserved and is not sent twice"))
            }
            TransferEvent::Ended(outcome) => match outcome {
                TransferOutcome::Arrived | TransferOutcome::WrittenOff { .. } | TransferOutcome::Burnt => return,
                TransferOutcome::Refused { why } => (Severity::Warn, format!("was refused before anything left: {why}")),
                TransferOutcome::Rejected { why } => (Severity::Act, format!("was refused by the venue: {why}")),
                TransferOutcome::Reverted => (Severity::Act, "was mined and reverted: its gas is spent, nothing moved".into()),
                TransferOutcome::Foreign => (
                    Severity::Act,
                    "lost its nonce to a transaction that is not ours: the wallet is frozen; is its key safe?".into(),
                ),
            },
            TransferEvent::Intended(_)
            | TransferEvent::Resumed { .. }
            | TransferEvent::Signed(_)
            | TransferEvent::Sent { .. }
            | TransferEvent::Included(_)
            | TransferEvent::Confirmed { .. }
            | TransferEvent::Final(_)
            | TransferEvent::Accepted
            | TransferEvent::Credited { .. } => return,
        };
        let kind = std::mem::discriminant(event);
        if treasurer.may_tell(now, &format!("{id} {kind:?}")) {
            self.alert(severity, Topic::Treasury, format!("{what}: {text}"), out);
        }
    }

    fn on_signed(&mut self, now: Stamp, id: TransferId, attempt: &Attempt, out: &mut Vec<Effect>) {
        let Some(treasurer) = &mut self.treasurer else { return };
        match treasurer.judge.clear_signed(now, id, attempt) {
            Ok(cleared) => {
                treasurer.signed.insert(id, now);
                self.carry(now, cleared, out);
            }
            Err(refusal) => {
                let first = treasurer.judge.transfer(id).is_some_and(|t| matches!(t.state, TransferState::Intended));
                let what = format!("{id}: a signed transaction ({})", attempt.hash);
                if first {
                    // nothing left: the budget is free again, and so is the nonce
                    self.journal_refusal(now, what, &refusal, out);
                    let event = TransferEvent::Ended(TransferOutcome::Refused { why: refusal.to_string() });
                    self.record(now, Entry::Transfer { id, event }, out);
                    out.push(Effect::ForgetTransfer(id));
                } else if treasurer.may_tell(now, &format!("replacement of {id}")) {
                    self.journal_refusal(now, what, &refusal, out);
                }
            }
        }
    }

    /// Records a verdict and lets it be carried out once it is durable.
    fn carry(&mut self, now: Stamp, cleared: ClearedTransfer, out: &mut Vec<Effect>) {
        self.record(now, cleared.entry(), out);
        out.push(Effect::Transfer(cleared));
    }

    fn journal_refusal(&mut self, now: Stamp, what: String, refusal: &TransferRefusal, out: &mut Vec<Effect>) {
        let why = refusal.to_string();
        self.alert(Severity::Warn, Topic::Treasury, format!("{what}: {why}"), out);
        self.record(now, Entry::TransferRefused { what, why }, out);
    }

    /// Decides on a new transfer by `route`: the one way for planner and drills alike. What is refused is journaled, the same words
    /// at most once in ten minutes.
    ///
    /// # Errors
    /// The judge's refusal; [`TransferRefusal::NotReconciled`] also while transfers of an earlier tenure wait to be taken up.
    pub(crate) fn start_transfer(
        &mut self,
        now: Stamp,
        route: Route,
        amount: Usd,
        fee_max: Usd,
        cause: &str,
        out: &mut Vec<Effect>,
    ) -> Result<TransferId, TransferRefusal> {
        let highest = self.books.nonce;
        let draining = self.draining;
        let Some(treasurer) = self.treasurer.as_mut().filter(|_| !draining) else { return Err(TransferRefusal::NotReconciled) };
        let name = route.name();
        let what = format!("{name} of {amount}");
        let cleared = treasurer.clear(now, highest, route, amount, fee_max, cause);
        match cleared {
            Ok(cleared) => {
                let id = cleared.step().id();
                treasurer.resumed.insert(id);
                self.carry(now, cleared, out);
                Ok(id)
            }
            Err(refusal) => {
                if treasurer.may_tell(now, &format!("refused {name} {:?}", std::mem::discriminant(&refusal))) {
                    self.journal_refusal(now, what, &refusal, out);
                }
                Err(refusal)
            }
        }
    }

    /// Takes up transfers of earlier tenures, reports what is late, and sends again what nobody answered for.
    pub(super) fn tend_transfers(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        let Some(treasurer) = &mut self.treasurer else { return };
        let stopped = self.books.stops.venue_level(treasurer.plan.venue) >= StopLevel::Block;
        // while stopped the venue is asked for nothing that moves money; what is on a chain must be watched to its end
        let inside = |t: &Transfer| t.intent.route.leg().is_none();
        let due: Vec<TransferId> = treasurer.unresumed().filter(|t| !(stopped && inside(t))).map(|t| t.intent.id).collect();
        for id in due {
            self.resume(now, id, out);
        }
        self.send_again(now, stopped, out);
        let Some(treasurer) = &mut self.treasurer else { return };
        for (id, why) in treasurer.judge.overdue(now) {
            let event = TransferEvent::Overdue { why };
            self.record(now, Entry::Transfer { id, event: event.clone() }, out);
            self.tell_of(now, id, &event, out);
        }
        let Some(treasurer) = &mut self.treasurer else { return };
        let late: Vec<(TransferId, String)> =
            treasurer.judge.transfers().filter(|t| t.open()).filter_map(|t| Some((t.intent.id, t.overdue.clone()?))).collect();
        for (id, why) in late {
            self.tell_of(now, id, &TransferEvent::Overdue { why }, out);
        }
    }

    pub(crate) fn resume(&mut self, now: Stamp, id: TransferId, out: &mut Vec<Effect>) {
        let Some(treasurer) = &mut self.treasurer else { return };
        treasurer.resumed.insert(id);
        match treasurer.judge.clear_resumed(now, id) {
            Ok(cleared) => self.carry(now, cleared, out),
            // it is over
            Err(TransferRefusal::Number(_)) => {}
            // it stays open, and is tried again once it is overdue
            Err(refusal) => {
                if treasurer.may_tell(now, &format!("going on with {id}")) {
                    self.journal_refusal(now, format!("going on with {id}"), &refusal, out);
                }
            }
        }
    }

    fn send_again(&mut self, now: Stamp, stopped: bool, out: &mut Vec<Effect>) {
        let Some(treasurer) = &mut self.treasurer else { return };
        let unanswered: Vec<TransferId> = treasurer
            .judge
            .transfers()
            .filter(|t| t.working() && t.intent.route.leg().is_none() && t.overdue.is_some())
            .map(|t| t.intent.id)
            .collect();
        for id in unanswered {
            let Some(treasurer) = &mut self.treasurer else { return };
            let (due, times) = *treasurer.again.entry(id).or_insert((now + AGAIN, 0));
            if stopped || due.mono > now.mono {
                continue;
            }
            let pause = Span(AGAIN.0.saturating_mul(1 << times.min(16))).min(AGAIN_MAX);
            treasurer.again.insert(id, (now + pause, times + 1));
            self.resume(now, id, out);
        }
    }

    /// The operator closes a transfer whose fate cannot be found out.
    pub(crate) fn close_transfer(
        &mut self,
        now: Stamp,
        id: TransferId,
        reason: &str,
        out: &mut Vec<Effect>,
    ) -> Result<(), Vec<SpecFault>> {
        let fault =
            |expected: &str| vec![SpecFault { field: "transfer".into(), value: id.to_string(), expected: expected.to_owned() }];
        let open = self.treasurer.as_ref().and_then(|t| t.judge.transfer(id)).is_some_and(Transfer::open);
        if !open {
            return Err(fault("a transfer that is under way"));
        }
        if reason.trim().is_empty() {
            return Err(fault("a reason, in a few words"));
        }
        let event = TransferEvent::Ended(TransferOutcome::WrittenOff { reason: reason.to_owned() });
        self.record(now, Entry::Transfer { id, event }, out);
        out.push(Effect::ForgetTransfer(id));
        Ok(())
    }

    /// The operator accepts what was done with the wallet beside us.
    pub(crate) fn accept_wallet(&mut self, now: Stamp, reason: &str, out: &mut Vec<Effect>) -> Result<(), Vec<SpecFault>> {
        let fault =
            |value: String, expected: &str| vec![SpecFault { field: "wallet".into(), value, expected: expected.to_owned() }];
        if reason.trim().is_empty() {
            return Err(fault(reason.to_owned(), "a reason, in a few words"));
        }
        let Some(treasurer) = &self.treasurer else {
            return Err(fault("(none)".into(), "a configured treasury"));
        };
        if let Some(open) = treasurer.judge.transfers().find(|t| t.working() && t.intent.route.leg().is_some()) {
            return Err(fault(open.intent.id.to_string(), "a wallet without a transfer under way"));
        }
        let view = match treasurer.judge.wallet(now) {
            Ok(view) if view.nonce == view.nonce_safe => view,
            Ok(view) => {
                let value = format!("next nonce {}, {} in the newest safe block", view.nonce, view.nonce_safe);
                return Err(fault(value, "a wallet whose transactions are all in safe blocks"));
            }
            Err(refusal) => return Err(fault(refusal.to_string(), "a wallet that was looked at of late")),
        };
        let (chain_id, wallet, nonce) = (view.chain_id, view.wallet, view.nonce);
        self.record(now, Entry::WalletAccepted { chain_id, wallet, nonce, reason: reason.to_owned() }, out);
        Ok(())
    }
}

impl Treasurer {
    /// Has the judge look at a new transfer; `highest` is the highest nonce given out at the venue. A transfer of an earlier tenure
    /// that was not taken up comes first.
    pub(super) fn clear(
        &mut self,
        now: Stamp,
        highest: u64,
        route: Route,
        amount: Usd,
        fee_max: Usd,
        cause: &str,
    ) -> Result<ClearedTransfer, TransferRefusal> {
        if self.unresumed().next().is_some() || self.broken.is_some() {
            return Err(TransferRefusal::NotReconciled);
        }
        let nonce = if route.leg().is_some() {
            self.judge.next_nonce(now)?
        } else {
            // even ones are the desk's (ADR 3), above all that it gave out
            let even = |n: u64| n + n % 2;
            even(now.wall_ms).max(even(highest + 1))
        };
        let intent = TransferIntent {
            id: self.judge.next_id(),
            venue: self.plan.venue,
            account: self.plan.account,
            route,
            amount,
            fee_max,
            nonce,
            limits: self.plan.limits.id(),
            cause: cause.chars().take(CAUSE_MAX).collect(),
        };
        self.judge.clear(now, intent)
    }

    /// Transfers of earlier tenures that this one has not taken up yet.
    pub(super) fn unresumed(&self) -> impl Iterator<Item = &Transfer> {
        self.judge.transfers().filter(|t| t.working() && !self.resumed.contains(&t.intent.id))
    }
}
