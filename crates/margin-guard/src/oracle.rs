//! Whether an oracle can be believed (C18): it moves when the market moves, agrees with mark and mid, and after it did not, has
//! proven itself again for a while (F37 to F39).

use domain::{Marks, Px, Span, Stamp};
use serde::Serialize;

use crate::limits::Limits;

/// What is wrong with an oracle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum OracleTrouble {
    /// Nothing was heard for too long.
    Silent {
        /// How long.
        gap_ms: u64,
        /// The longest allowed.
        max_ms: u64,
    },
    /// The very same price again and again while the mid moved (F37).
    Frozen {
        /// Updates with that price.
        updates: u32,
        /// Move of the mid meanwhile, basis points.
        moved_bps: u64,
    },
    /// Too far from mark or mid (F38).
    Apart {
        /// How far, basis points.
        basis_bps: u64,
        /// The furthest allowed.
        max_bps: u64,
    },
}

impl std::fmt::Display for OracleTrouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            OracleTrouble::Silent { gap_ms, max_ms } => write!(f, "silent for {gap_ms} ms, at most {max_ms} are allowed"),
            OracleTrouble::Frozen { updates, moved_bps } => {
                write!(f, "the same price for {updates} updates while the mid moved by {moved_bps} bp")
            }
            OracleTrouble::Apart { basis_bps, max_bps } => {
                write!(f, "{basis_bps} bp from mark or mid, at most {max_bps} are allowed")
            }
        }
    }
}

/// One market's oracle over time. Bounded: it keeps extremes, not observations.
#[derive(Clone, Debug, Default)]
pub(crate) struct OracleWatch {
    last: Option<(Px, Stamp)>,
    /// Updates in a row with the same price, and the range of the mid (twice, in ticks) over them.
    same: u32,
    mid_x2: Option<(i64, i64)>,
    /// The newest trouble; it stands until the quarantine behind it is over.
    trouble: Option<OracleTrouble>,
    /// Since when the oracle has been good again.
    good_since: Option<Stamp>,
}

/// What an oracle is good for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Doubt {
    pub(crate) trouble: OracleTrouble,
    /// What is left of the quarantine; nothing while the trouble lasts.
    pub(crate) left: Option<Span>,
}

/// Basis points between two positive figures, of the second, rounded down.
fn bps_between(a: i64, b: i64) -> u64 {
    let apart = u128::from(a.abs_diff(b)) * 10_000;
    u64::try_from(apart / u128::from(b.unsigned_abs().max(1))).unwrap_or(u64::MAX)
}

/// Distance of the oracle from the mark or the mid, whichever is further, in basis points.
pub(crate) fn basis_bps(marks: &Marks, mid_x2: Option<i64>) -> u64 {
    let of_mark = bps_between(marks.mark.0, marks.oracle.0);
    let of_mid = mid_x2.map_or(0, |mid| bps_between(mid, marks.oracle.0.saturating_mul(2)));
    of_mark.max(of_mid)
}

/// Distance of the mark from whichever of oracle and mid is nearer, in basis points: two of three that agree are believed.
pub(crate) fn mark_alone_bps(marks: &Marks, mid_x2: Option<i64>) -> u64 {
    let of_oracle = bps_between(marks.mark.0, marks.oracle.0);
    mid_x2.map_or(of_oracle, |mid| of_oracle.min(bps_between(marks.mark.0.saturating_mul(2), mid)))
}

fn whole(bps: domain::Ratio) -> u64 {
    u64::try_from(bps.decimal().trunc()).unwrap_or_default()
}

impl OracleWatch {
    /// Marks arrived; `mid_x2` is twice the mid of a fresh and sane book.
    pub(crate) fn observe(&mut self, limits: &Limits, marks: &Marks, mid_x2: Option<i64>) {
        let rule = limits.oracle();
        let silent = self.last.map(|(_, at)| marks.at.since(at)).filter(|gap| *gap > rule.age_max_ms);
        if self.last.is_some_and(|(px, _)| px == marks.oracle) {
            self.same = self.same.saturating_add(1);
        } else {
            self.same = 1;
            self.mid_x2 = None;
        }
        self.last = Some((marks.oracle, marks.at));
        if let Some(mid) = mid_x2 {
            let (low, high) = self.mid_x2.unwrap_or((mid, mid));
            self.mid_x2 = Some((low.min(mid), high.max(mid)));
        }
        let moved_bps = self.mid_x2.map_or(0, |(low, high)| bps_between(high, low));
        let basis = basis_bps(marks, mid_x2);
        let (frozen_move, basis_max) = (whole(rule.frozen_move_bps), rule.basis_max());
        let trouble = match silent {
            Some(gap) => Some(OracleTrouble::Silent { gap_ms: gap.as_millis(), max_ms: rule.age_max_ms.as_millis() }),
            None if self.same >= rule.frozen_updates && moved_bps >= frozen_move => {
                Some(OracleTrouble::Frozen { updates: self.same, moved_bps })
            }
            None if basis >= basis_max => Some(OracleTrouble::Apart { basis_bps: basis, max_bps: basis_max }),
            None => None,
        };
        match trouble {
            // the update that ends a silence is fresh: it begins the proof
            Some(OracleTrouble::Silent { .. }) => (self.trouble, self.good_since) = (trouble, Some(marks.at)),
            Some(OracleTrouble::Frozen { .. } | OracleTrouble::Apart { .. }) => (self.trouble, self.good_since) = (trouble, None),
            None if self.trouble.is_some() => self.good_since = Some(self.good_since.unwrap_or(marks.at)),
            None => {}
        }
        if self.good_since.is_some_and(|since| marks.at.since(since) >= rule.quarantine_ms) {
            (self.trouble, self.good_since) = (None, None);
        }
    }

    /// Why the oracle is not believed at `at`, if it is not.
    pub(crate) fn doubt(&self, limits: &Limits, at: Stamp) -> Option<Doubt> {
        let rule = limits.oracle();
        let age = at.since(self.last?.1);
        if age > rule.age_max_ms {
            let (gap_ms, max_ms) = (age.as_millis(), rule.age_max_ms.as_millis());
            return Some(Doubt { trouble: OracleTrouble::Silent { gap_ms, max_ms }, left: None });
        }
        let trouble = self.trouble?;
        // the end of the quarantine is an observation, not the mere passing of time
        let left = self.good_since.map(|since| {
            let passed = at.since(since);
            Span(rule.quarantine_ms.0.saturating_sub(passed.0).max(1))
        });
        Some(Doubt { trouble, left })
    }
}

#[cfg(test)]
mod tests;
