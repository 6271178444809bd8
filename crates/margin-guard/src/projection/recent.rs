//! Orders that were cleared a moment ago.

use std::collections::BTreeMap;

use domain::{Child, ParentId, Px, Qty, Side, Stamp};

use crate::limits::Limits;

/// Orders cleared of late, for C09: when and for whom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recent {
    last: BTreeMap<(Px, Qty, Side), (u64, ParentId)>,
    /// Records that are too old are dropped when there are more than this.
    tidy_above: usize,
}

/// Records per market that are kept without looking: a second's worth of most venues' budgets.
const RECENT_MIN: usize = 64;

impl Recent {
    /// When the same order was last cleared, and for whom.
    pub(crate) fn last(&self, side: Side, px: Px, qty: Qty) -> Option<(u64, ParentId)> {
        self.last.get(&(px, qty, side)).copied()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.last.len()
    }

    pub(super) fn note(&mut self, limits: &Limits, at: Stamp, child: &Child) {
        if self.last.len() > self.tidy_above.max(RECENT_MIN) {
            self.last.retain(|_, (when, _)| at.mono.saturating_sub(*when) < limits.duplicate_window.0);
            // what is left is younger than the window, so the message budget bounds it; doubling makes tidying cheap on average
            self.tidy_above = self.last.len() * 2;
        }
        self.last.insert((child.px, child.qty, child.side), (at.mono, child.parent));
    }
}
