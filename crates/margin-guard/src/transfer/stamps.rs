//! The two stamps of a transfer, as [`crate::Cleared`] and [`crate::Released`] are of an order.

use std::collections::BTreeMap;

use domain::{Attempt, Entry, Receipt, Stamped, Transfer, TransferEvent, TransferId, TransferIntent};

/// What a verdict allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransferStep {
    /// To work on a transfer: to sign it, and at a venue to send it.
    Start(TransferIntent),
    /// To go on with one of an earlier tenure, from what the journal holds of it.
    Resume(Box<Transfer>),
    /// To send these bytes, once or again.
    Send {
        /// Of which transfer.
        id: TransferId,
        /// The bytes.
        attempt: Attempt,
    },
}

impl TransferStep {
    /// Of which transfer.
    #[must_use]
    pub fn id(&self) -> TransferId {
        match self {
            TransferStep::Start(intent) => intent.id,
            TransferStep::Resume(transfer) => transfer.intent.id,
            TransferStep::Send { id, .. } => *id,
        }
    }
}

/// A step of a transfer inside its limits. Only [`crate::Treasury`] makes one; it cannot be cloned, copied, defaulted, converted or
/// read from bytes.
#[must_use = "a dropped ClearedTransfer is a reserved budget lost"]
#[derive(Debug)]
pub struct ClearedTransfer {
    step: TransferStep,
    event: TransferEvent,
}

impl ClearedTransfer {
    pub(super) fn mint(step: TransferStep, event: TransferEvent) -> ClearedTransfer {
        ClearedTransfer { step, event }
    }

    /// What is allowed.
    #[must_use]
    pub fn step(&self) -> &TransferStep {
        &self.step
    }

    /// The record that has to be durable before it is done.
    #[must_use]
    pub fn entry(&self) -> Entry {
        Entry::Transfer { id: self.step.id(), event: self.event.clone() }
    }

    pub(crate) fn stamp(self, receipt: Receipt) -> ReleasedTransfer {
        ReleasedTransfer { step: self.step, receipt }
    }
}

/// A step of a transfer that is cleared and durable: what a wallet takes, and what a connector takes for a transfer at a venue. Only
/// [`crate::release_all`] makes one.
#[must_use = "a dropped ReleasedTransfer is a step that the journal says may have been done"]
#[derive(Debug)]
pub struct ReleasedTransfer {
    step: TransferStep,
    receipt: Receipt,
}

impl ReleasedTransfer {
    /// What is allowed.
    #[must_use]
    pub fn step(&self) -> &TransferStep {
        &self.step
    }

    /// What was allowed, giving up the right to do it.
    #[must_use]
    pub fn into_step(self) -> TransferStep {
        self.step
    }

    /// Where the journal holds it: the whole group that it was appended with.
    #[must_use]
    pub fn receipt(&self) -> Receipt {
        self.receipt
    }
}

/// Whether an event may be recorded only with a verdict.
fn needs_verdict(event: &TransferEvent) -> bool {
    matches!(event, TransferEvent::Intended(_) | TransferEvent::Resumed { .. } | TransferEvent::Signed(_))
}

/// What differs between the verdicts and the records of one group.
pub(crate) fn mismatch(cleared: &[ClearedTransfer], entries: &[Stamped]) -> Option<String> {
    let mut open: BTreeMap<TransferId, &ClearedTransfer> = BTreeMap::new();
    for one in cleared {
        if open.insert(one.step.id(), one).is_some() {
            return Some(format!("transfer {} has two steps in one group", one.step.id()));
        }
    }
    for stamped in entries {
        if let Entry::Transfer { id, event } = &stamped.entry
            && needs_verdict(event)
        {
            match open.remove(id) {
                None => return Some(format!("a step of transfer {id} is to be recorded but was not cleared, or twice")),
                Some(one) if one.event != *event => {
                    return Some(format!("a step of transfer {id} is to be recorded differently from how it was cleared"));
                }
                Some(_) => {}
            }
        }
    }
    open.keys().next().map(|id| format!("a step of transfer {id} was cleared but is not to be recorded"))
}
