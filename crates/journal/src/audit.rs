//! Replays a journal and checks the invariants that can be read off it (`plimsoll audit`).
//!
//! It shares no code with the desk: it is a second opinion on what the daemon did.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use domain::{
    Act, ClientKey, Entry, Epoch, Expiry, Fill, Intent, JournalTag, OrderOutcome, ParentChange, ParentId, ParentOutcome, Qty,
    Stamp, Stamped, Stop, StopLevel, Stops, TradeId, VenueOrderId, config_number,
};

use crate::journal::{fail, root};
use crate::record::{Hash, Head, Record};
use crate::store::{Meta, SCHEMA, Sqlite, owner};
use crate::{OpenError, head};

/// The longest time for which a venue may still accept what we signed (I33).
const EXPIRES_AFTER_MS_MAX: u64 = 15_000;
/// More findings than this say nothing new; the rest are counted.
const FINDINGS_MAX: usize = 1_000;

/// A breach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The record; 0 if it is not about one.
    pub seq: u64,
    /// The invariant's number, such as `I02`.
    pub invariant: &'static str,
    /// What is wrong.
    pub what: String,
}

/// What an audit found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditReport {
    /// Records read.
    pub records: u64,
    /// Tenures seen.
    pub epochs: u32,
    /// Parents admitted.
    pub parents: u32,
    /// Intents seen.
    pub intents: u64,
    /// Fills seen.
    pub fills: u64,
    /// Fills that came after their order had ended; not a breach.
    pub late_fills: u64,
    /// Orders that are not known to be over.
    pub open: u64,
    /// The end of the chain.
    pub head: Head,
    /// Breaches, in order; at most 1,000.
    pub findings: Vec<Finding>,
    /// Breaches beyond those.
    pub more: u64,
}

impl AuditReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.findings.is_empty() && self.more == 0
    }
}

/// Audits the journal in `dir`. Reads only; a daemon may be running on it.
///
/// # Errors
/// If there is no journal, or nothing in it can be read at all.
pub fn audit(dir: &Path) -> Result<AuditReport, OpenError> {
    let cannot = |e| fail(dir, "cannot read", e);
    // before the database: a daemon that runs on may only add to it
    let witness = head::read(dir);
    let store = Sqlite::open_read_only(dir).map_err(cannot)?;
    let found = store.schema().map_err(cannot)?;
    if found > SCHEMA {
        return Err(OpenError::Newer { dir: dir.to_owned(), found, known: SCHEMA });
    }
    let text = store.meta().map_err(cannot)?;
    let meta: Result<Meta, _> = serde_json::from_str(&text);
    let root = root(&text);
    let mut auditor = Auditor::new(meta.as_ref().map_or(JournalTag(0), |m| m.tag), root);
    if let Err(e) = meta {
        auditor.find("I25", format!("its identity cannot be read: {e}"));
    }
    if let Err(e) = store.check_structure() {
        auditor.find("I25", format!("its structure: {e}"));
    }
    match store.marks() {
        Ok(marks) => auditor.owner = owner(&marks),
        Err(e) => auditor.find("I25", e.to_string()),
    }
    let known = witness.as_ref().ok().copied().flatten();
    let mut acknowledged = known.is_none_or(|k| k.seq != 0 || k.hash == root);
    let scanned = store.scan(root, |record, entry| {
        acknowledged &= known.is_none_or(|k| k.seq != record.seq || k.hash == record.hash);
        auditor.see(&record, entry);
        Ok(())
    });
    auditor.at = 0;
    if let Err(e) = scanned {
        auditor.find("I25", format!("after record {} it cannot be read: {e}", auditor.report.head.seq));
    }
    match witness {
        Err(e) => auditor.find("I26", format!("the witness of what was acknowledged: {e}")),
        Ok(None) => auditor.find("I26", "the witness of what was acknowledged is missing".to_owned()),
        Ok(Some(w)) if w.seq > auditor.report.head.seq => {
            auditor.find("I26", format!("{} records were acknowledged, but only {} are there", w.seq, auditor.report.head.seq));
        }
        Ok(Some(w)) if !acknowledged => auditor.find("I26", format!("record {} is not the one that was acknowledged", w.seq)),
        Ok(Some(_)) => {}
    }
    Ok(auditor.finish())
}

/// Checks `entries` as if they were the records of a journal with the mark `tag`, each in the tenure of the last
/// [`Entry::Epoch`]: for simulated worlds, which have no files.
#[must_use]
pub fn audit_entries(tag: JournalTag, entries: &[Stamped]) -> AuditReport {
    let mut auditor = Auditor::new(tag, Hash([0; 32]));
    let mut epoch = Epoch(0);
    for (seq, stamped) in (1..).zip(entries) {
        if let Entry::Epoch { epoch: next, .. } = &stamped.entry {
            epoch = *next;
        }
        auditor.owner = epoch;
        auditor.see(&Record { seq, epoch, hash: Hash([0; 32]), payload: String::new() }, Ok(stamped.clone()));
    }
    auditor.finish()
}

/// How far an order has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Durable; no answer yet.
    Sent,
    /// Its answer was lost.
    Unknown,
    /// The venue has it.
    Acked,
    /// Over.
    Done(OrderOutcome),
}

struct Order {
    intent: Intent,
    stage: Stage,
    venue_order: Option<VenueOrderId>,
    filled: Qty,
}

impl Order {
    /// What may still fill, as far as its parent must reserve it.
    fn open(&self) -> Qty {
        if matches!(self.stage, Stage::Done(_)) { Qty::ZERO } else { self.intent.child.qty.minus(self.filled) }
    }
}

struct Parent {
    qty: Qty,
    filled: Qty,
    open: Qty,
    ended: bool,
}

struct Auditor {
    report: AuditReport,
    /// The record at hand.
    at: u64,
    tag: JournalTag,
    /// The tenure that owns the journal.
    owner: Epoch,
    /// The tenure of the last `Epoch` entry.
    epoch: Epoch,
    last: Stamp,
    reconciled: Option<Epoch>,
    stops: Stops,
    /// Who has approved of a re-arm since the last stop or re-arm.
    approved: BTreeSet<String>,
    limits: Option<u64>,
    config: u64,
    nonce: (u64, Stamp),
    orders: BTreeMap<ClientKey, Order>,
    by_venue_order: BTreeMap<VenueOrderId, ClientKey>,
    trades: BTreeSet<TradeId>,
    parents: BTreeMap<ParentId, Parent>,
}

impl Auditor {
    fn new(tag: JournalTag, root: Hash) -> Auditor {
        Auditor {
            report: AuditReport {
                records: 0,
                epochs: 0,
                parents: 0,
                intents: 0,
                fills: 0,
                late_fills: 0,
                open: 0,
                head: Head { seq: 0, hash: root },
                findings: Vec::new(),
                more: 0,
            },
            at: 0,
            tag,
            owner: Epoch(0),
            epoch: Epoch(0),
            last: Stamp::default(),
            reconciled: None,
            stops: Stops::default(),
            approved: BTreeSet::new(),
            limits: None,
            config: 0,
            nonce: (0, Stamp::default()),
            orders: BTreeMap::new(),
            by_venue_order: BTreeMap::new(),
            trades: BTreeSet::new(),
            parents: BTreeMap::new(),
        }
    }

    fn finish(mut self) -> AuditReport {
        self.report.open = self.orders.values().filter(|o| !matches!(o.stage, Stage::Done(_))).count() as u64;
        self.report
    }

    fn find(&mut self, invariant: &'static str, what: String) {
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(Finding { seq: self.at, invariant, what });
        } else {
            self.report.more += 1;
        }
    }

    fn see(&mut self, record: &Record, entry: Result<Stamped, String>) {
        self.at = record.seq;
        self.report.records += 1;
        self.report.head = Head { seq: record.seq, hash: record.hash };
        if record.epoch > self.owner {
            self.find("I24", format!("tenure {} wrote it, but the owner is {}", record.epoch.0, self.owner.0));
        }
        match entry {
            Err(why) => self.find("I25", why),
            Ok(Stamped { at, entry }) => {
                if at.mono < self.last.mono {
                    self.find("I39", format!("desk time runs backwards by {}", self.last.since(at)));
                }
                self.last = self.last.max(at);
                self.tenure(record.epoch, &entry);
                self.entry(at, entry);
            }
        }
    }

    fn tenure(&mut self, wrote: Epoch, entry: &Entry) {
        if let Entry::Epoch { epoch, tag, config, .. } = entry {
            self.config = config_number(config);
            if *epoch <= self.epoch {
                self.find("I24", format!("tenure {} follows {}", epoch.0, self.epoch.0));
            }
            if *tag != self.tag {
                self.find("I02", format!("the mark of its keys is {:08x}, the journal's {:08x}", tag.0, self.tag.0));
            }
            self.epoch = *epoch;
            self.report.epochs += 1;
        }
        // the writer itself records the latch when the disk is full, be it before a tenure has opened
        if wrote != self.epoch && !matches!(entry, Entry::Latch(_)) {
            self.find("I24", format!("tenure {} wrote it, but the one that was opened last is {}", wrote.0, self.epoch.0));
        }
    }

    fn entry(&mut self, at: Stamp, entry: Entry) {
        match entry {
            Entry::Limits { id, text } => {
                let digest = blake3::hash(text.as_bytes());
                let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
                if id != u64::from_be_bytes([a, b, c, d, e, f, g, h]) {
                    self.find("I29", format!("limits {id} do not carry the hash of their text"));
                }
                self.limits = Some(id);
            }
            Entry::Parent { spec, .. } => {
                self.report.parents += 1;
                let parent = Parent { qty: spec.qty, filled: Qty::ZERO, open: Qty::ZERO, ended: false };
                if self.parents.insert(spec.id, parent).is_some() {
                    self.find("I06", format!("parent {} was admitted twice", spec.id));
                }
            }
            Entry::Changed { parent, change, .. } => self.change(parent, &change),
            Entry::Ended { parent, outcome, .. } => self.end(parent, &outcome),
            Entry::Intent { intent, basis, .. } => {
                self.configured(basis.config);
                self.intent(at, intent, basis.limits);
            }
            Entry::Reloaded(reloaded) => self.config = config_number(&reloaded.config),
            Entry::Acked { key, order } => self.ack(key, order),
            Entry::Unknown { key, .. } => self.step(key, "lost", |stage| (stage == Stage::Sent).then_some(Stage::Unknown)),
            Entry::CancelAsked { key } => {
                self.step(key, "asked to be cancelled", |stage| (!matches!(stage, Stage::Done(_))).then_some(stage));
            }
            Entry::Fill(fill) => self.fill(&fill),
            Entry::Done { key, outcome, .. } => {
                self.step(key, "over", |stage| (!matches!(stage, Stage::Done(_))).then_some(Stage::Done(outcome)));
            }
            Entry::Latch(stop) => {
                let before = self.stops.of(stop.scope).map_or(StopLevel::Run, |s| s.level);
                if stop.level < before {
                    let Stop { scope, level, .. } = stop;
                    self.find("I20", format!("the stop level of {scope} fell from {before} to {level} without a rearm"));
                }
                self.stops.raise(&stop);
                self.approved.clear();
            }
            Entry::Approved(approved) => {
                if let Act::Rearm { .. } = approved.act {
                    self.approved.insert(approved.approval.by.name);
                }
            }
            Entry::Rearm { reason, scope, by } => {
                if reason.trim().is_empty() {
                    self.find("I23", "a rearm without a reason".to_owned());
                }
                for name in by {
                    if !self.approved.remove(&name) {
                        self.find("I23", format!("re-armed in the name of {name}, who did not approve of it"));
                    }
                }
                self.approved.clear();
                self.stops.clear(scope);
            }
            Entry::Reconciled { epoch, .. } => {
                if epoch != self.epoch {
                    self.find("I14", format!("reconciled in the name of tenure {}, in tenure {}", epoch.0, self.epoch.0));
                }
                self.reconciled = Some(epoch);
            }
            Entry::Epoch { .. }
            | Entry::Instrument(_)
            | Entry::Refused { .. }
            | Entry::Funding(_)
            | Entry::Frozen { .. }
            | Entry::Unfrozen { .. }
            | Entry::Measured(_)
            | Entry::Level(_)
            | Entry::Profit(_)
            | Entry::Treasury { .. }
            | Entry::Transfer { .. }
            | Entry::TransferRefused { .. }
            | Entry::TreasuryDecided(_)
            | Entry::WalletAccepted { .. }
            | Entry::Drill { .. }
            | Entry::Opening { .. }
            | Entry::Stranger { .. } => {}
        }
    }

    /// An order names the configuration that it was cleared under; 0 is the word of journals that name none.
    fn configured(&mut self, config: u64) {
        if config != 0 && config != self.config {
            self.find("I29", format!("an order was cleared under configuration {config:016x}, which is not the one in force"));
        }
    }

    fn intent(&mut self, at: Stamp, intent: Intent, limits: u64) {
        self.report.intents += 1;
        let (key, child) = (intent.key, intent.child);
        if self.reconciled != Some(self.epoch) {
            self.find("I14", format!("{key} before tenure {} had reconciled", self.epoch.0));
        }
        let level = self.stops.parent(child.parent, child.instrument).map_or(StopLevel::Run, |s| s.level);
        let allowed = match level {
            StopLevel::Run | StopLevel::ReduceOnly => true,
            StopLevel::Flatten => child.reduce_only,
            StopLevel::Block | StopLevel::Cancel | StopLevel::Sever => false,
        };
        if !allowed {
            self.find("I20", format!("{key} while the stop level is {level}"));
        }
        if self.limits != Some(limits) {
            self.find("I29", format!("{key} was cleared on limits {limits}, which are not those in force"));
        }
        if key != ClientKey::derive(self.tag, self.epoch, child.parent, child.no) {
            self.find("I02", format!("{key} is not the key of tenure {}, {}, child {}", self.epoch.0, child.parent, child.no.0));
        }
        if let Expiry::AtMs(ms) = intent.expiry
            && ms > at.wall_ms.saturating_add(EXPIRES_AFTER_MS_MAX)
        {
            self.find("I33", format!("{key} expires {} ms after it was signed", ms.saturating_sub(at.wall_ms)));
        }
        // orders of one step travel together under one nonce
        let (nonce, when) = self.nonce;
        if intent.nonce < nonce || intent.nonce == nonce && when != at {
            self.find("I32", format!("{key} has nonce {} after {nonce}", intent.nonce));
        }
        self.nonce = self.nonce.max((intent.nonce, at));
        if self.orders.contains_key(&key) {
            self.find("I02", format!("{key} was used before"));
            return;
        }
        self.orders.insert(key, Order { intent, stage: Stage::Sent, venue_order: None, filled: Qty::ZERO });
        match self.parents.get_mut(&child.parent) {
            None => self.find("I06", format!("{key} is for {}, which was never admitted", child.parent)),
            Some(parent) => {
                parent.open += child.qty;
                if parent.ended {
                    self.find("I06", format!("{key} is for {}, which had ended", child.parent));
                }
                self.within_parent(child.parent);
            }
        }
    }

    /// I06: filled and still open never exceed what was asked for.
    fn within_parent(&mut self, id: ParentId) {
        let Some(Parent { qty, filled, open, .. }) = self.parents.get(&id) else { return };
        if *filled + *open > *qty {
            let what = format!("{id} asked for {} lots; {} are filled and {} may still fill", qty.0, filled.0, open.0);
            self.find("I06", what);
        }
    }

    fn ack(&mut self, key: ClientKey, venue_order: Option<VenueOrderId>) {
        self.step(key, "acknowledged", |stage| (!matches!(stage, Stage::Done(_))).then_some(Stage::Acked));
        let Some(order) = self.orders.get_mut(&key) else { return };
        let Some(named) = venue_order else { return };
        let before = order.venue_order.replace(named.clone()).filter(|b| *b != named);
        if let Some(before) = before {
            self.find("I02", format!("{key} is the venue's order {named} and was {before}"));
        }
        if let Some(other) = self.by_venue_order.insert(named.clone(), key).filter(|k| *k != key) {
            self.find("I02", format!("the venue's order {named} is {key} and was {other}"));
        }
    }

    /// Moves an order along, if `to` allows it (I19), and frees what its parent need not reserve any more.
    fn step(&mut self, key: ClientKey, what: &str, to: impl FnOnce(Stage) -> Option<Stage>) {
        let Some(order) = self.orders.get_mut(&key) else {
            self.find("I01", format!("{key} is {what}, but there was no intent"));
            return;
        };
        let (before, open) = (order.stage, order.open());
        let Some(stage) = to(before) else {
            self.find("I19", format!("{key} is {what}, but it was {before:?}"));
            return;
        };
        order.stage = stage;
        let freed = open.minus(order.open());
        if let Some(parent) = self.parents.get_mut(&key.parent()) {
            parent.open = parent.open.minus(freed);
        }
    }

    fn fill(&mut self, fill: &Fill) {
        self.report.fills += 1;
        if !self.trades.insert(fill.id.clone()) {
            self.find("I17", format!("trade {} of order {} is booked twice", fill.id.trade, fill.id.order));
            return;
        }
        let named = fill.key.filter(|k| k.tag() == self.tag);
        let Some(key) = named.or_else(|| self.by_venue_order.get(&fill.id.order).copied()) else { return };
        let Some(order) = self.orders.get_mut(&key) else {
            self.find("I01", format!("trade {} filled {key}, but there was no intent", fill.id.trade));
            return;
        };
        let open = order.open();
        order.filled += fill.qty;
        let freed = open.minus(order.open());
        let (stage, filled, wanted, child) = (order.stage, order.filled, order.intent.child.qty, order.intent.child);
        match stage {
            Stage::Done(OrderOutcome::Rejected | OrderOutcome::NeverLanded) => {
                self.find("I05", format!("{key} was {stage:?}, yet trade {} filled it", fill.id.trade));
            }
            Stage::Done(OrderOutcome::Filled | OrderOutcome::Canceled) => self.report.late_fills += 1,
            Stage::Sent | Stage::Unknown | Stage::Acked => {}
        }
        if filled > wanted {
            self.find("I06", format!("{key} was for {} lots and filled {}", wanted.0, filled.0));
        }
        if (fill.instrument, fill.side) != (child.instrument, child.side) {
            let what =
                format!("{key} is a {:?} of {}, its fill a {:?} of {}", child.side, child.instrument, fill.side, fill.instrument);
            self.find("I17", what);
        }
        if let Some(parent) = self.parents.get_mut(&child.parent) {
            parent.filled += fill.qty;
            parent.open = parent.open.minus(freed);
            self.within_parent(child.parent);
        }
    }

    fn change(&mut self, id: ParentId, change: &ParentChange) {
        let Some(parent) = self.parents.get_mut(&id) else {
            self.find("I06", format!("{id} was changed, but never admitted"));
            return;
        };
        if let ParentChange::Amend { qty: Some(qty), .. } = change {
            parent.qty = *qty;
            self.within_parent(id);
        }
    }

    fn end(&mut self, id: ParentId, outcome: &ParentOutcome) {
        let Some(parent) = self.parents.get_mut(&id) else {
            self.find("I06", format!("{id} ended, but was never admitted"));
            return;
        };
        let twice = std::mem::replace(&mut parent.ended, true);
        let residual = match outcome {
            ParentOutcome::Filled => Qty::ZERO,
            ParentOutcome::Expired { residual, .. } | ParentOutcome::Canceled { residual } => *residual,
        };
        let sums = parent.filled + residual == parent.qty;
        let (qty, filled) = (parent.qty, parent.filled);
        if twice {
            self.find("I19", format!("{id} ended twice"));
        }
        if !sums {
            let what = format!("{id} ended with {} lots undone, but it asked for {} and filled {}", residual.0, qty.0, filled.0);
            self.find("I06", what);
        }
    }
}

#[cfg(test)]
mod tests;
