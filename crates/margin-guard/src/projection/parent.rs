//! Parents as the gate counts them.

use domain::{ClientKey, InstrumentId, Qty, Side};

use crate::bucket::Bucket;
use crate::pace::{RejectWatch, RepeatWatch};

/// One parent as the gate counts it. The slicer's own count plays no part here (C12).
#[derive(Clone, Debug, Default)]
pub(crate) struct Parent {
    /// Absent while only orders of it have been adopted.
    pub(crate) wish: Option<Wish>,
    pub(crate) total: Qty,
    pub(crate) filled: Qty,
    pub(crate) working: Qty,
    pub(super) live: u32,
    pub(crate) ended: bool,
    pub(crate) messages: Bucket,
    pub(crate) rejects: RejectWatch,
    pub(crate) repeat: RepeatWatch,
    pub(super) seen: Seen,
}

/// What every child of a parent must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) instrument: InstrumentId,
    pub(crate) side: Side,
    pub(crate) reduce_only: bool,
}

/// Keys used, as ranges in order: children are numbered in order, so a parent has few, and the last one grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen(pub(super) Vec<(u128, u128)>);

impl Seen {
    /// How many ranges begin at or before `bits`.
    fn before(&self, bits: u128) -> usize {
        match self.0.last() {
            Some((start, _)) if *start <= bits => self.0.len(),
            Some(_) | None => self.0.partition_point(|(start, _)| *start <= bits),
        }
    }

    pub(super) fn contains(&self, bits: u128) -> bool {
        let before = self.before(bits);
        before > 0 && bits <= self.0[before - 1].1
    }

    pub(super) fn insert(&mut self, bits: u128) {
        let before = self.before(bits);
        if before > 0 && bits <= self.0[before - 1].1 {
            return;
        }
        let follows = before > 0 && self.0[before - 1].1.checked_add(1) == Some(bits);
        let precedes = self.0.get(before).is_some_and(|(start, _)| bits.checked_add(1) == Some(*start));
        match (follows, precedes) {
            (true, true) => self.0[before - 1].1 = self.0.remove(before).1,
            (true, false) => self.0[before - 1].1 = bits,
            (false, true) => self.0[before].0 = bits,
            (false, false) => self.0.insert(before, (bits, bits)),
        }
    }
}

impl Parent {
    /// Whether `key` was used for it before (C09).
    pub(crate) fn has_seen(&self, key: ClientKey) -> bool {
        self.seen.contains(key.bits())
    }
}
