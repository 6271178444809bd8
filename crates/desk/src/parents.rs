//! Live parents: what they propose, and what becomes of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{
    Book, Child, ClientKey, Entry, Expiry, InstrumentId, Intent, ParentChange, ParentId, ParentOutcome, ParentSpec, Px, Schedule,
    Span, SpecFault, Stamp, Tif, Venue,
};
use execution::{ChildEvent, Progress, Proposal, Worker};
use margin_guard::Refusal;
use serde::Serialize;

use crate::holds::Class;
use crate::{BootError, Desk, Effect};

/// Orders that share a nonce travel as one action; more than this would cost a second unit of the venue's weight.
const BATCH_MAX: usize = 40;
/// Refusals of one kind within this time are counted, not recorded.
const REFUSAL_QUIET: Span = Span::secs(1);

/// A parent that has not ended.
#[derive(Debug)]
pub(crate) struct Live {
    /// Its number and market, beside the worker: a walk over thousands reads nothing else.
    pub id: ParentId,
    instrument: InstrumentId,
    pub worker: Worker,
    pub spec: Box<ParentSpec>,
    /// When its clock started, and twice the mid price then.
    pub start: Stamp,
    pub arrival_x2: i64,
    last_refusal: Option<(&'static str, Stamp)>,
    refusals_uncounted: u32,
    /// When it wants to be stepped without news, as [`Wakes`] has it.
    wake: Option<Stamp>,
    /// Refusals in earlier tenures, which the worker has not seen.
    refusals_before: u32,
}

impl Live {
    pub fn progress(&self, at: Stamp) -> Progress {
        let progress = self.worker.progress(at);
        Progress { refusals: progress.refusals + self.refusals_before, ..progress }
    }

    fn change(&mut self, at: Stamp, change: &ParentChange) -> Result<(), Vec<SpecFault>> {
        self.worker.change(at, change)?;
        if let ParentChange::Amend { qty, horizon } = change {
            self.spec.qty = qty.unwrap_or(self.spec.qty);
            self.spec.horizon = horizon.unwrap_or(self.spec.horizon);
        }
        Ok(())
    }

    fn follows_volume(&self) -> bool {
        matches!(self.spec.schedule, Schedule::Pov { .. })
    }
}

/// A parent that has ended.
#[derive(Clone, Debug, Serialize)]
pub struct Ended {
    /// How.
    pub outcome: ParentOutcome,
    /// When.
    pub at: Stamp,
    /// Where it stood then.
    pub progress: Progress,
    /// What it was.
    pub spec: ParentSpec,
}

/// When parents want to be stepped, earliest first. Each parent remembers its own place in here ([`Live::wake`]), so that one
/// whose wish did not change costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Wakes(BTreeMap<(u64, ParentId), Stamp>);

impl Wakes {
    fn set(&mut self, live: &mut Live, at: Option<Stamp>) {
        let before = live.wake.map(|w| w.mono);
        if before == at.map(|a| a.mono) {
            return;
        }
        let id = live.id;
        if let Some(before) = before {
            self.0.remove(&(before, id));
        }
        if let Some(at) = at {
            self.0.insert((at.mono, id), at);
        }
        live.wake = at;
    }

    pub fn first(&self) -> Option<(Stamp, &'static str)> {
        self.0.first_key_value().map(|(_, at)| (*at, "parent"))
    }

    /// Appends the parents whose time has come. They stay in here until they are stepped.
    fn due(&self, now: Stamp, due: &mut Vec<ParentId>) {
        due.extend(self.0.keys().take_while(|(mono, _)| *mono <= now.mono).map(|(_, id)| *id));
    }
}

impl Desk {
    /// Applies one journal entry at boot: books, and the workers that live on them.
    pub(crate) fn fold(&mut self, at: Stamp, entry: &Entry) -> Result<(), BootError> {
        self.books.fold(at, entry);
        match entry {
            Entry::Instrument(rules) => {
                self.guard.set_instrument(rules);
                let live: Vec<ParentId> = self.markets.get(&rules.id).map(|m| m.parents.clone()).unwrap_or_default();
                for id in live {
                    if let Some(live) = self.live.get_mut(id) {
                        live.worker.set_instrument(rules);
                    }
                }
            }
            Entry::Parent { spec, start, arrival } => {
                self.begin(spec, *start, arrival)?;
                self.guard.register_parent(*start, spec, Px(arrival.mid_x2 / 2));
            }
            Entry::Intent { intent, .. } => {
                self.guard.adopt(intent, intent.child.qty);
                if let Some(live) = self.live.get_mut(intent.child.parent) {
                    live.worker.placed(at, &intent.child);
                }
            }
            Entry::Refused { child, count, .. } => {
                if let Some(live) = self.live.get_mut(child.parent) {
                    live.refusals_before += count;
                }
            }
            Entry::Acked { key, .. } => self.tell_worker(at, *key, ChildEvent::Acked),
            Entry::Unknown { key, .. } => self.tell_worker(at, *key, ChildEvent::Unknown),
            Entry::CancelAsked { key } => self.tell_worker(at, *key, ChildEvent::CancelAsked),
            Entry::Done { key, outcome, reject } => {
                self.guard.gone(*key);
                let event = reject.as_ref().map_or(ChildEvent::Done(*outcome), |r| ChildEvent::Rejected(r.kind));
                self.tell_worker(at, *key, event);
            }
            Entry::Fill(fill) => {
                if let Some(key) = self.books.key_of(fill) {
                    self.guard.filled(key, fill.qty);
                    let event =
                        ChildEvent::Filled { qty: fill.qty, px: fill.px, role: fill.role, fee: fill.fee, at_mid_x2: None };
                    self.tell_worker(at, key, event);
                }
            }
            Entry::Changed { parent, change, .. } => {
                if let Some(live) = self.live.get_mut(*parent) {
                    // it was accepted when it was recorded
                    live.change(at, change).map_err(|faults| BootError::Parent { parent: *parent, faults })?;
                    self.guard.set_parent_total(*parent, live.spec.qty);
                }
            }
            Entry::Ended { parent, outcome, .. } => {
                self.guard.end_parent(*parent);
                self.end(at, *parent, outcome.clone());
            }
            Entry::Epoch { .. }
            | Entry::Limits { .. }
            | Entry::Funding(_)
            | Entry::Latch(_)
            | Entry::Rearm { .. }
            | Entry::Approved(_)
            | Entry::Frozen { .. }
            | Entry::Unfrozen { .. }
            | Entry::Opening { .. }
            | Entry::Stranger { .. }
            | Entry::Measured(_)
            | Entry::Level(_)
            | Entry::Profit(_)
            | Entry::Treasury { .. }
            | Entry::Reloaded(_)
            | Entry::Transfer { .. }
            | Entry::TransferRefused { .. }
            | Entry::TreasuryDecided(_)
            | Entry::WalletAccepted { .. }
            | Entry::Drill { .. }
            | Entry::Reconciled { .. } => {}
        }
        Ok(())
    }

    pub(crate) fn begin(&mut self, spec: &ParentSpec, start: Stamp, arrival: &domain::Arrival) -> Result<(), BootError> {
        let rules = self.books.instruments.get(&spec.instrument);
        let rules = rules.ok_or(BootError::NoRules { parent: spec.id, instrument: spec.instrument })?;
        let seed = self.books.seed.unwrap_or(domain::Seed(0));
        let worker =
            Worker::start(spec, rules, start, arrival, seed).map_err(|faults| BootError::Parent { parent: spec.id, faults })?;
        let mut live = Live {
            id: spec.id,
            instrument: spec.instrument,
            spec: Box::new(spec.clone()),
            worker,
            start,
            arrival_x2: arrival.mid_x2,
            last_refusal: None,
            refusals_uncounted: 0,
            wake: None,
            refusals_before: 0,
        };
        if let Some(market) = self.markets.get_mut(&spec.instrument) {
            // numbers only rise, so these stay sorted
            market.parents.push(spec.id);
            if live.follows_volume() {
                market.followers.push(spec.id);
            }
            let class = Class::of(&live.spec, self.books.positions.get(&spec.instrument).copied().unwrap_or_default());
            live.worker.hold(start, market.holds.of(class));
        }
        self.live.insert(live);
        self.due.push(spec.id);
        Ok(())
    }

    fn end(&mut self, at: Stamp, id: ParentId, outcome: ParentOutcome) {
        let Some(mut live) = self.live.remove(id) else { return };
        live.worker.end(at, &outcome);
        self.wakes.set(&mut live, None);
        if let Some(market) = self.markets.get_mut(&live.spec.instrument) {
            for list in [&mut market.parents, &mut market.followers] {
                if let Ok(at) = list.binary_search(&id) {
                    list.remove(at);
                }
            }
        }
        self.ended.insert(id, Ended { outcome, at, progress: live.progress(at), spec: *live.spec });
        // what a report needs is in the journal; this is for the live view alone
        while self.ended.len() > 1_000 {
            self.ended.pop_first();
        }
    }

    pub(crate) fn tell_worker(&mut self, at: Stamp, key: ClientKey, event: ChildEvent) {
        let id = key.parent();
        if let Some(live) = self.live.get_mut(id) {
            live.worker.event(at, key.child(), event);
            self.due.push(id);
        }
    }

    pub(crate) fn mid_x2(&self, instrument: InstrumentId) -> Option<i64> {
        self.markets.get(&instrument)?.book.as_ref()?.mid_x2()
    }

    pub(crate) fn step_parents(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        let mut due = std::mem::take(&mut self.due);
        self.wakes.due(now, &mut due);
        // stable, because it sees that the parents of a whole market are in order already
        due.sort();
        due.dedup();
        let mut batches = Batches::default();
        let mut proposals = std::mem::take(&mut self.proposals);
        let mut at = 0;
        let mut seen: Option<(InstrumentId, Option<Arc<Book>>)> = None;
        for id in due.drain(..) {
            let Some(live) = self.live.seek_mut(&mut at, id) else { continue };
            let instrument = live.instrument;
            if seen.as_ref().is_none_or(|(market, _)| *market != instrument) {
                seen = Some((instrument, self.markets.get(&instrument).and_then(|m| m.book.clone())));
            }
            let book = seen.as_ref().and_then(|(_, book)| book.as_deref());
            live.worker.step(now, book, &mut proposals);
            if proposals.is_empty() {
                self.wakes.set(live, live.worker.wake().map(|(at, _)| at));
                continue;
            }
            for proposal in proposals.drain(..) {
                self.carry_out(now, id, proposal, &mut batches, out);
            }
            if let Some(live) = self.live.seek_mut(&mut at, id) {
                self.wakes.set(live, live.worker.wake().map(|(at, _)| at));
            }
        }
        self.proposals = proposals;
        // what the proposals themselves made due waits for the next call; reuse the buffer unless something is in it
        if self.due.is_empty() {
            self.due = due;
        } else {
            for id in std::mem::take(&mut self.due) {
                if let Some(live) = self.live.get_mut(id) {
                    self.wakes.set(live, Some(now));
                }
            }
        }
    }

    fn carry_out(&mut self, now: Stamp, id: ParentId, proposal: Proposal, batches: &mut Batches, out: &mut Vec<Effect>) {
        match proposal {
            Proposal::Place(child) => self.place(now, child, batches, out),
            Proposal::Cancel(no) => {
                if let Some(key) = self.books.live_child(id, no) {
                    self.cancel_order(now, key, out);
                }
            }
            Proposal::Ended(outcome) => {
                let mid_x2 = self.live.get(id).and_then(|l| self.mid_x2(l.spec.instrument));
                self.flush_refusals(now, id, out);
                self.record(now, Entry::Ended { parent: id, outcome: outcome.clone(), mid_x2 }, out);
                self.guard.end_parent(id);
                self.end(now, id, outcome);
            }
        }
    }

    fn place(&mut self, now: Stamp, child: Child, batches: &mut Batches, out: &mut Vec<Effect>) {
        let Some(tag) = self.books.tag else { return };
        let key = ClientKey::derive(tag, self.books.epoch, child.parent, child.no);
        let class = (child.instrument.venue(), child.tif == Tif::PostOnly);
        let nonce = batches.nonce(class, now, self.books.nonce);
        let expiry = Expiry::AtMs(now.wall_ms + self.config.expires_after_ms);
        match self.guard.clear(now, Intent { key, child, nonce, expiry }) {
            Ok(cleared) => {
                batches.used(class, nonce);
                let entry =
                    Entry::Intent { intent: *cleared.intent(), basis: *cleared.basis(), mid_x2: self.mid_x2(child.instrument) };
                self.record(now, entry, out);
                self.on_intent(now, key);
                if let Some(live) = self.live.get_mut(child.parent) {
                    live.worker.placed(now, &child);
                }
                out.push(Effect::Place(cleared));
            }
            Err(refusal) => self.refuse(now, &child, &refusal, out),
        }
    }

    fn refuse(&mut self, now: Stamp, child: &Child, refusal: &Refusal, out: &mut Vec<Effect>) {
        let Some(live) = self.live.get_mut(child.parent) else { return };
        live.worker.refused(now, child, refusal.kind(), refusal.room());
        let quiet = live.last_refusal.is_some_and(|(kind, at)| kind == refusal.kind() && now.since(at) < REFUSAL_QUIET);
        live.refusals_uncounted += 1;
        if !quiet {
            live.last_refusal = Some((refusal.kind(), now));
            let count = std::mem::take(&mut live.refusals_uncounted);
            self.record(now, Entry::Refused { child: *child, why: refusal.to_string(), count }, out);
        }
    }

    /// Records what was counted since the last refusal, so that the journal's counts are complete when a parent ends.
    fn flush_refusals(&mut self, now: Stamp, id: ParentId, out: &mut Vec<Effect>) {
        let Some(live) = self.live.get_mut(id) else { return };
        let count = std::mem::take(&mut live.refusals_uncounted);
        if count > 0 {
            let child = Child {
                parent: id,
                no: domain::ChildNo(0),
                instrument: live.spec.instrument,
                side: live.spec.side,
                qty: domain::Qty::ZERO,
                px: domain::Px(0),
                tif: Tif::PostOnly,
                reduce_only: live.spec.reduce_only,
            };
            let why = format!("{count} more of the same kind as before");
            self.record(now, Entry::Refused { child, why, count }, out);
        }
    }

    /// Applies an operator's change to a live parent.
    pub(crate) fn change_parent(
        &mut self,
        now: Stamp,
        id: ParentId,
        change: &ParentChange,
        why: &str,
        out: &mut Vec<Effect>,
    ) -> Result<(), Vec<SpecFault>> {
        let fault = |field: &str, value: String, expected: String| vec![SpecFault { field: field.into(), value, expected }];
        let Some(live) = self.live.get(id) else {
            let expected =
                if self.ended.contains_key(&id) { "a parent that has not ended" } else { "the number of a live parent" };
            return Err(fault("parent", id.to_string(), expected.into()));
        };
        let before = &live.spec;
        // both the worker and the guard must agree before either changes
        let mut changed = live.worker.clone();
        changed.change(now, change)?;
        if let ParentChange::Amend { qty: Some(qty), .. } = change {
            let mid = self.mid_x2(before.instrument).map(|x2| Px(x2 / 2));
            let expected = "no more than before: without a book, nobody can say what more is worth";
            let rules = self.books.instruments.get(&before.instrument);
            let asked = rules.map_or_else(|| format!("{} lots", qty.0), |rules| rules.qty_decimal(*qty).normalize().to_string());
            let mid = mid.or((*qty <= before.qty).then_some(Px(0)));
            let mid = mid.ok_or_else(|| fault("quantity", asked.clone(), expected.into()))?;
            self.guard.amend_parent(now, before, *qty, mid).map_err(|refusal| fault("quantity", asked, refusal.to_string()))?;
        }
        if let Some(live) = self.live.get_mut(id) {
            live.change(now, change)?;
        }
        self.due.push(id);
        self.record(now, Entry::Changed { parent: id, change: change.clone(), why: why.to_owned() }, out);
        Ok(())
    }
}

/// Nonces handed out within one step. Orders of one venue and kind that follow each other share one and travel as one action;
/// another kind in between begins a new one, so that nonces never fall from one intent to the next (I32).
#[derive(Debug, Default)]
struct Batches {
    open: Option<Batch>,
}

#[derive(Clone, Copy, Debug)]
struct Batch {
    class: (Venue, bool),
    nonce: u64,
    orders: usize,
}

impl Batches {
    /// The nonce for one more order of `class`; `highest` was the last of all. Even numbers only: odd ones are the connector's
    /// own (cancels, leverage).
    fn nonce(&self, class: (Venue, bool), now: Stamp, highest: u64) -> u64 {
        if let Some(batch) = self.open.filter(|b| b.class == class && b.orders < BATCH_MAX) {
            return batch.nonce;
        }
        let even = |n: u64| n + n % 2;
        even(now.wall_ms).max(even(highest + 1))
    }

    fn used(&mut self, class: (Venue, bool), nonce: u64) {
        let before = self.open.filter(|b| b.nonce == nonce).map_or(0, |b| b.orders);
        self.open = Some(Batch { class, nonce, orders: before + 1 });
    }
}
