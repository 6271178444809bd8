use std::collections::BTreeMap;

use domain::{ClientKey, Entry, InstrumentId, Lots, OrderOutcome, ParentChange, ParentId, ParentOutcome, Qty};

use crate::venue;
use crate::world::{ORPHAN_EPOCH, World};

/// What desk, journal and venue say afterwards, compared. Empty means that they agree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Every disagreement, with the invariant it breaks.
    pub faults: Vec<String>,
}

impl World {
    /// Compares desk, journal and venue. Meant for a world at rest: nothing open, nothing on its way.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let mut faults = self.passed.clone();
        let fills = self.exchange().fills(self.account(), 0);
        let mut at_venue: BTreeMap<ParentId, i64> = BTreeMap::new();
        let mut positions: BTreeMap<InstrumentId, Lots> = BTreeMap::new();
        for fill in &fills {
            if let Some(id) = venue::id(self.exchange(), fill.asset) {
                *positions.entry(id).or_default() += Lots(fill.side.sign() * fill.qty.0);
            }
            if let Some(key) = fill.cloid.map(ClientKey::from_bits).filter(|k| k.epoch() != ORPHAN_EPOCH) {
                *at_venue.entry(key.parent()).or_default() += fill.qty.0;
            }
        }
        let mut asked: BTreeMap<ParentId, Qty> = BTreeMap::new();
        let mut booked: BTreeMap<ParentId, i64> = BTreeMap::new();
        let mut keys: BTreeMap<ClientKey, u32> = BTreeMap::new();
        let mut landed: BTreeMap<ClientKey, i64> = BTreeMap::new();
        for stamped in self.log() {
            match &stamped.entry {
                Entry::Parent { spec, .. } => {
                    asked.insert(spec.id, spec.qty);
                }
                Entry::Changed { parent, change: ParentChange::Amend { qty: Some(qty), .. }, .. } => {
                    asked.insert(*parent, *qty);
                }
                Entry::Intent { intent, .. } => *keys.entry(intent.key).or_default() += 1,
                Entry::Fill(fill) => {
                    if let Some(key) = fill.key {
                        *booked.entry(key.parent()).or_default() += fill.qty.0;
                        *landed.entry(key).or_default() += fill.qty.0;
                    }
                }
                Entry::Done { key, outcome: OrderOutcome::NeverLanded, .. } if landed.contains_key(key) => {
                    faults.push(format!("I05: {key} was declared never landed and had filled"));
                }
                Entry::Ended { parent, outcome: ParentOutcome::Filled, .. } => {
                    let (want, have) = (asked.get(parent).map_or(0, |q| q.0), at_venue.get(parent).copied().unwrap_or(0));
                    if want != have {
                        faults.push(format!("I06: {parent} ended as filled with {want} lots, and the venue filled {have}"));
                    }
                }
                Entry::Epoch { .. }
                | Entry::Limits { .. }
                | Entry::Instrument(_)
                | Entry::Changed { .. }
                | Entry::Ended { .. }
                | Entry::Refused { .. }
                | Entry::Acked { .. }
                | Entry::Unknown { .. }
                | Entry::CancelAsked { .. }
                | Entry::Done { .. }
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
        }
        for (key, times) in keys.iter().filter(|(_, times)| **times > 1) {
            faults.push(format!("I02: {key} was used {times} times"));
        }
        for (parent, filled) in &at_venue {
            let want = asked.get(parent).map_or(0, |q| q.0);
            if *filled > want {
                faults.push(format!("I06: the venue filled {filled} lots of {parent}, which asked for {want}"));
            }
            let ours = booked.get(parent).copied().unwrap_or(0);
            if ours != *filled {
                faults.push(format!("I17: {ours} lots of {parent} are booked, and the venue filled {filled}"));
            }
        }
        if let Some(desk) = self.desk() {
            for (id, theirs) in &positions {
                let ours = desk.books().position(*id);
                if ours != *theirs {
                    faults.push(format!("I16: our position in {id} is {} lots, the venue's {}", ours.0, theirs.0));
                }
            }
            for (id, why) in &desk.books().frozen {
                faults.push(format!("I16: {id} is frozen: {why}"));
            }
        } else {
            faults.push("the daemon is dead".to_owned());
        }
        Verdict { faults }
    }
}
