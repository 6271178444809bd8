//! The open orders that the venue told of unasked: what the kill path cancels before it has read anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Orders remembered. The venue lets an account have no more open (fact sheet §2.3).
const OPEN_MAX: usize = 5_000;

/// Orders that streams, answers and reads say are open, those of strangers included. It may lag behind the venue either way: it
/// saves the kill path a round trip, and never proves that nothing is open.
#[derive(Debug, Default)]
pub(in crate::hyperliquid) struct Known {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By the venue's number: the market's number, and when it was told of.
    open: BTreeMap<u64, (u32, Moment)>,
    now: Moment,
}

/// A place in the order in which things were told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::hyperliquid) struct Moment(u64);

impl Known {
    /// `oid` is open.
    pub(in crate::hyperliquid) fn open(&self, oid: u64, asset: u32) {
        let mut state = self.lock();
        let now = state.now;
        state.open.insert(oid, (asset, now));
        if state.open.len() > OPEN_MAX {
            // numbers rise, so the lowest is the oldest
            state.open.pop_first();
        }
    }

    /// `oid` is over.
    pub(in crate::hyperliquid) fn over(&self, oid: u64) {
        self.lock().open.remove(&oid);
    }

    /// The present moment, to be taken before a read of all open orders.
    pub(in crate::hyperliquid) fn now(&self) -> Moment {
        let mut state = self.lock();
        state.now.0 += 1;
        state.now
    }

    /// A read that began at `since` shows these orders, number and market, and no others.
    pub(in crate::hyperliquid) fn read(&self, since: Moment, rows: impl Iterator<Item = (u64, u32)>) {
        let rows: BTreeMap<u64, u32> = rows.collect();
        let shown: BTreeSet<u64> = rows.keys().copied().collect();
        // what was told of after the read began may be missing from it
        self.lock().open.retain(|oid, (_, told)| *told >= since || shown.contains(oid));
        rows.into_iter().for_each(|(oid, asset)| self.open(oid, asset));
    }

    /// All of them, number and market.
    pub(super) fn all(&self) -> Vec<(u64, u32)> {
        self.lock().open.iter().map(|(oid, (asset, _))| (*oid, *asset)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_drops_what_it_does_not_show_but_nothing_that_was_told_of_since() {
        let known = Known::default();
        known.open(1, 0);
        known.open(2, 0);
        let before = known.now();
        known.open(3, 1);
        known.over(2);
        known.read(before, [(4, 1)].into_iter());
        assert_eq!(known.all(), [(3, 1), (4, 1)]);
        let later = known.now();
        known.read(later, std::iter::empty());
        assert_eq!(known.all(), []);
    }

    #[test]
    fn the_oldest_give_way() {
        let known = Known::default();
        (0..6_000).for_each(|oid| known.open(oid, 0));
        assert_eq!((known.all().len(), known.all()[0]), (OPEN_MAX, (1_000, 0)));
    }
}
