//! Drills: when one is due, where the one under way is, and what the finished ones say (quant §1.9, §1.10).
//!
//! [`Drills`] is folded from the journal and changes by nothing else, so a restart goes on where the last record left it. A drill is
//! out and back by one path, each hop an ordinary transfer. One drill is open at a time. `run` carries it: it looks at what was
//! folded, takes one step, records it, and looks again.

mod run;
mod schedule;
mod view;

use std::collections::{BTreeMap, VecDeque};

use domain::{
    DrillCause, DrillEvent, DrillId, DrillOutcome, DrillPath, DrillReceipt, Entry, Hop, HopReceipt, Span, Stamp, TransferEvent,
    TransferId, TransferOutcome, Usd, Venue,
};
use serde::{Deserialize, Serialize};

pub(crate) use run::Drilling;
pub use schedule::{DrillPlan, DrillTerms, Due};
pub use view::{DrillLine, DrillView};

/// Receipts kept for reports.
const RECENT_KEPT: usize = 32;
/// Paths remembered: one each for chain and spot, and as many sub-accounts as may be listed, several times over.
const PATHS_KEPT: usize = 64;

/// What the journal says of drills.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Drills {
    newest: DrillId,
    /// When money was first allowed to move: a path that was never tried is due from then on.
    since: Option<Stamp>,
    open: Option<OpenDrill>,
    /// The last drill of each path, and the last that passed.
    last: BTreeMap<DrillPath, DrillReceipt>,
    passed: BTreeMap<DrillPath, DrillReceipt>,
    recent: VecDeque<(DrillId, DrillReceipt)>,
}

/// A drill under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenDrill {
    /// Which.
    pub id: DrillId,
    /// Which venue is left.
    pub venue: Venue,
    /// By which path.
    pub path: DrillPath,
    /// Who wanted it.
    pub cause: DrillCause,
    /// When it began.
    pub began: Stamp,
    /// Hops that are over.
    pub done: Vec<HopReceipt>,
    /// The hop under way, or the one that ended last; absent only before the first.
    pub hop: Option<OpenHop>,
}

/// A hop of the drill under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenHop {
    /// Which half.
    pub hop: Hop,
    /// The transfer that does it.
    pub transfer: TransferId,
    /// By which way.
    pub route: String,
    /// How much left.
    pub amount: Usd,
    /// What the wallet held before.
    pub wallet_before: Option<Usd>,
    /// When it was decided.
    pub began: Stamp,
    /// What has become of it.
    pub seen: Seen,
}

/// What has become of a hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "seen", rename_all = "snake_case")]
pub enum Seen {
    /// Under way.
    Waiting,
    /// The money can be used where it arrived.
    Arrived {
        /// Since when.
        at: Stamp,
        /// How much.
        amount: Usd,
    },
    /// It is over and the money did not arrive.
    Failed {
        /// Since when.
        at: Stamp,
        /// Why.
        why: String,
        /// What may be gone.
        lost: Usd,
        /// Whether venue or chain was asked: otherwise it says nothing about the path.
        tried: bool,
    },
}

impl OpenHop {
    /// Its receipt, as far as it is known `now`.
    fn receipt(&self, now: Stamp) -> HopReceipt {
        let (ended, fee) = match &self.seen {
            Seen::Waiting => (now, Usd::ZERO),
            Seen::Arrived { at, amount } => (*at, (self.amount - *amount).max(Usd::ZERO)),
            Seen::Failed { at, lost, .. } => (*at, *lost),
        };
        HopReceipt {
            hop: self.hop,
            route: self.route.clone(),
            transfer: self.transfer,
            began: self.began,
            ended,
            amount: self.amount,
            fee,
        }
    }

    /// How long it has been, or was, under way.
    #[must_use]
    pub fn elapsed(&self, now: Stamp) -> Span {
        self.receipt(now).took()
    }

    fn take(&mut self, at: Stamp, inside: bool, event: &TransferEvent) {
        let failed = |why: &str, lost: Usd, tried: bool| Seen::Failed { at, why: why.to_owned(), lost, tried };
        let seen = match event {
            TransferEvent::Credited { amount, .. } => Seen::Arrived { at, amount: *amount },
            TransferEvent::Accepted if inside => Seen::Arrived { at, amount: self.amount },
            TransferEvent::Ended(outcome) => match outcome {
                TransferOutcome::Arrived => Seen::Arrived { at, amount: self.amount },
                TransferOutcome::Refused { why } => failed(&format!("not sent: {why}"), Usd::ZERO, false),
                TransferOutcome::Rejected { why } => failed(&format!("the venue refused it: {why}"), Usd::ZERO, true),
                TransferOutcome::Reverted => failed("its transaction reverted", Usd::ZERO, true),
                TransferOutcome::Burnt => failed("its transaction was not mined in time", Usd::ZERO, true),
                TransferOutcome::Foreign => failed("its nonce was used by somebody else", Usd::ZERO, true),
                TransferOutcome::WrittenOff { reason } => failed(&format!("written off: {reason}"), self.amount, true),
            },
            TransferEvent::Accepted
            | TransferEvent::Intended(_)
            | TransferEvent::Resumed { .. }
            | TransferEvent::Signed(_)
            | TransferEvent::Sent { .. }
            | TransferEvent::Dropped { .. }
            | TransferEvent::Included(_)
            | TransferEvent::Confirmed { .. }
            | TransferEvent::Reorged { .. }
            | TransferEvent::Final(_)
            | TransferEvent::Overdue { .. } => return,
        };
        // the first word stands: a deposit is credited long before its block is safe
        if self.seen == Seen::Waiting {
            self.seen = seen;
        }
    }
}

impl OpenDrill {
    /// Its receipt if it ended `now` like this. A hop for which nobody was asked is left out: it says nothing about the path.
    fn receipt(&self, now: Stamp, outcome: DrillOutcome) -> DrillReceipt {
        let asked = |hop: &&OpenHop| !matches!(hop.seen, Seen::Failed { tried: false, .. });
        let last = self.hop.as_ref().filter(asked).map(|hop| hop.receipt(now));
        DrillReceipt {
            venue: self.venue,
            path: self.path,
            cause: self.cause,
            began: self.began,
            ended: now,
            hops: self.done.iter().cloned().chain(last).collect(),
            outcome,
        }
    }
}

impl Drills {
    /// Takes in a record. Every record of the journal is folded, in order; nothing else changes it.
    pub fn fold(&mut self, at: Stamp, entry: &Entry) {
        if let Entry::Treasury { .. } = entry {
            self.since.get_or_insert(at);
        } else if let Entry::Transfer { id, event } = entry {
            if let Some(open) = &mut self.open
                && let Some(hop) = open.hop.as_mut().filter(|hop| hop.transfer == *id)
            {
                let inside = match open.path {
                    DrillPath::Chain => false,
                    DrillPath::Spot | DrillPath::SubAccount(_) => true,
                };
                hop.take(at, inside, event);
            }
        } else if let Entry::Drill { id, event } = entry {
            self.step(at, *id, event);
        }
    }

    fn step(&mut self, at: Stamp, id: DrillId, event: &DrillEvent) {
        match event {
            DrillEvent::Begun { venue, path, cause } => {
                self.newest = self.newest.max(id);
                let (venue, path, cause) = (*venue, *path, *cause);
                self.open = Some(OpenDrill { id, venue, path, cause, began: at, done: Vec::new(), hop: None });
            }
            DrillEvent::Hop { hop, transfer, route, amount, wallet_before } => {
                let Some(open) = self.open.as_mut().filter(|open| open.id == id) else { return };
                open.done.extend(open.hop.take().map(|hop| hop.receipt(at)));
                open.hop = Some(OpenHop {
                    hop: *hop,
                    transfer: *transfer,
                    route: route.clone(),
                    amount: *amount,
                    wallet_before: *wallet_before,
                    began: at,
                    seen: Seen::Waiting,
                });
            }
            DrillEvent::Ended(receipt) => {
                self.open.take_if(|open| open.id == id);
                for (kept, counts) in [(&mut self.last, true), (&mut self.passed, receipt.passed())] {
                    if counts && (kept.len() < PATHS_KEPT || kept.contains_key(&receipt.path)) {
                        kept.insert(receipt.path, receipt.clone());
                    }
                }
                if self.recent.len() == RECENT_KEPT {
                    self.recent.pop_front();
                }
                self.recent.push_back((id, receipt.clone()));
            }
        }
    }

    /// The drill under way.
    #[must_use]
    pub const fn open(&self) -> Option<&OpenDrill> {
        self.open.as_ref()
    }

    /// The number of the next drill.
    #[must_use]
    pub const fn next_id(&self) -> DrillId {
        DrillId(self.newest.0.saturating_add(1))
    }

    /// The last drills that are over, oldest first.
    pub fn recent(&self) -> impl Iterator<Item = &(DrillId, DrillReceipt)> {
        self.recent.iter()
    }

    /// The last drill of `path` that is over, and the last that passed.
    #[must_use]
    pub fn last(&self, path: DrillPath) -> (Option<&DrillReceipt>, Option<&DrillReceipt>) {
        (self.last.get(&path), self.passed.get(&path))
    }
}
