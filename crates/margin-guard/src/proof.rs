//! The two stamps an order must carry before it may leave the process.

use std::collections::BTreeMap;

use domain::{Basis, ClientKey, Entry, Intent, Receipt, Stamped, WriteAhead};

use crate::transfer::{self, ClearedTransfer, ReleasedTransfer};

/// An order inside the load line, and the numbers that say so. Its margin is reserved.
///
/// Only [`crate::Guard::clear`] makes one. It cannot be cloned, copied, defaulted, converted or read from bytes, so one
/// verdict is one order. Dropping it leaks the reservation until the venue's answer or [`crate::Guard::gone`].
#[must_use = "a dropped Cleared is reserved margin lost; release it or call Guard::gone"]
#[derive(Debug)]
pub struct Cleared {
    intent: Intent,
    basis: Basis,
}

impl Cleared {
    pub(crate) fn mint(intent: Intent, basis: Basis) -> Cleared {
        Cleared { intent, basis }
    }

    /// The order.
    #[must_use]
    pub fn intent(&self) -> &Intent {
        &self.intent
    }

    /// The numbers it was cleared on.
    #[must_use]
    pub fn basis(&self) -> &Basis {
        &self.basis
    }
}

/// An order that is cleared and durable: what an order port takes.
///
/// Only [`release`] makes one, after the append returned. As with [`Cleared`] there is no second way to one.
#[must_use = "a dropped Released is an order that the journal says may have been sent"]
#[derive(Debug)]
pub struct Released {
    intent: Intent,
    receipt: Receipt,
}

impl Released {
    /// The order.
    #[must_use]
    pub fn intent(&self) -> &Intent {
        &self.intent
    }

    /// The order, giving up the right to send it.
    #[must_use]
    pub fn into_intent(self) -> Intent {
        self.intent
    }

    /// Where the journal holds it: the whole group that it was appended with.
    #[must_use]
    pub fn receipt(&self) -> Receipt {
        self.receipt
    }
}

/// Why nothing was released. In every case the cleared orders are used up and must be treated as never sent: free each
/// with [`crate::Guard::gone`]. After [`ReleaseError::Log`] and [`ReleaseError::Receipt`] the log may hold them all the
/// same; it accepts nothing more, and the next boot asks the venue about them.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError<E: std::error::Error + 'static> {
    /// A programmer's error: the entries and the cleared orders differ. Nothing was appended.
    #[error("the entries to append do not match the cleared orders: {fault}")]
    Mismatch {
        /// What differs.
        fault: String,
        /// The orders that were used up.
        intents: Vec<Intent>,
    },
    /// The append failed.
    #[error("{} cleared orders were not made durable", intents.len())]
    Log {
        /// Why.
        #[source]
        source: E,
        /// The orders that were used up.
        intents: Vec<Intent>,
    },
    /// The log answered for another number of entries than it was given.
    #[error("the log confirmed entries {} to {} for a group of {entries}", receipt.first, receipt.last)]
    Receipt {
        /// What it answered.
        receipt: Receipt,
        /// How many entries it was given.
        entries: usize,
        /// The orders that were used up.
        intents: Vec<Intent>,
    },
}

impl<E: std::error::Error + 'static> ReleaseError<E> {
    /// The orders that were used up without being released.
    #[must_use]
    pub fn intents(&self) -> &[Intent] {
        match self {
            Self::Mismatch { intents, .. } | Self::Log { intents, .. } | Self::Receipt { intents, .. } => intents,
        }
    }
}

/// Appends `entries` as one durable group and mints one [`Released`] per [`Cleared`], in the order of `cleared`.
///
/// `entries` are the desk's, in the desk's order, and contain exactly one [`Entry::Intent`] per cleared order, with the
/// same order and the same numbers. Without any entry nothing is appended.
///
/// # Errors
/// If the entries do not match (nothing is appended then) or the log does not confirm them.
pub async fn release<W: WriteAhead>(
    cleared: Vec<Cleared>,
    entries: Vec<Stamped>,
    log: &W,
) -> Result<Vec<Released>, ReleaseError<W::Error>> {
    release_all(cleared, Vec::new(), entries, log).await.map(|(orders, _)| orders)
}

/// [`release`] for a step that also moves collateral: one group, one receipt. `entries` contain exactly one record per cleared
/// transfer, with the same event, and no other of the events that need a verdict.
///
/// # Errors
/// As for [`release`]. Transfers that were not released are used up as well; the treasury keeps their reservations.
pub async fn release_all<W: WriteAhead>(
    cleared: Vec<Cleared>,
    transfers: Vec<ClearedTransfer>,
    entries: Vec<Stamped>,
    log: &W,
) -> Result<(Vec<Released>, Vec<ReleasedTransfer>), ReleaseError<W::Error>> {
    let fault = mismatch(&cleared, &entries).or_else(|| transfer::mismatch(&transfers, &entries));
    if let Some(fault) = fault {
        return Err(ReleaseError::Mismatch { fault, intents: used_up(cleared) });
    }
    if entries.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let count = entries.len();
    let receipt = match log.append(entries).await {
        Ok(receipt) => receipt,
        Err(source) => return Err(ReleaseError::Log { source, intents: used_up(cleared) }),
    };
    let confirmed = receipt.last.checked_sub(receipt.first).and_then(|n| n.checked_add(1));
    if confirmed != u64::try_from(count).ok() {
        return Err(ReleaseError::Receipt { receipt, entries: count, intents: used_up(cleared) });
    }
    let orders = cleared.into_iter().map(|c| Released { intent: c.intent, receipt }).collect();
    Ok((orders, transfers.into_iter().map(|c| c.stamp(receipt)).collect()))
}

fn used_up(cleared: Vec<Cleared>) -> Vec<Intent> {
    cleared.into_iter().map(|c| c.intent).collect()
}

fn mismatch(cleared: &[Cleared], entries: &[Stamped]) -> Option<String> {
    let mut open: BTreeMap<ClientKey, &Cleared> = BTreeMap::new();
    for one in cleared {
        if open.insert(one.intent.key, one).is_some() {
            return Some(format!("order {} was cleared twice", one.intent.key));
        }
    }
    for stamped in entries {
        if let Entry::Intent { intent, basis, .. } = &stamped.entry {
            match open.remove(&intent.key) {
                None => return Some(format!("order {} is to be recorded but was not cleared, or twice", intent.key)),
                Some(one) if one.intent != *intent => {
                    return Some(format!("order {} is to be recorded differently from how it was cleared", intent.key));
                }
                Some(one) if one.basis != *basis => {
                    return Some(format!("order {} is to be recorded on other numbers than it was cleared on", intent.key));
                }
                Some(_) => {}
            }
        }
    }
    open.keys().next().map(|key| format!("order {key} was cleared but is not to be recorded"))
}

#[cfg(test)]
mod tests;
