//! When a drill is due, when it is overdue, and what the finished and the missing ones mean for buffer and trust.

use std::collections::BTreeMap;

use domain::{DrillPath, DrillReceipt, Hop, Seed, Span, Stamp, Usd};
use margin_guard::ExitSeen;
use risk::scorecard::{Drill, Drilled};
use serde::Serialize;

use super::{Drills, Seen};

/// Drills begin up to this part of their interval early, by chance: not every daemon leaves at the same hour.
const JITTER_PART: u64 = 10;
/// After a drill that failed the next attempt waits for this part of the interval: a day of a month.
const RETRY_PART: u64 = 30;
/// A hop that takes more than this multiple of its expected time counts as failed while it lasts: the scorecard gives nothing for it
/// (quant §1.9).
const LATE_TIMES: u64 = 4;
const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 86_400_000;

/// How and how often paths are tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrillPlan {
    /// At most so long between two drills of a path that passed.
    pub every: Span,
    /// A drill that is so long past that is overdue.
    pub grace: Span,
    /// Whether the operator's own signer is at hand without him.
    pub unattended: bool,
    /// The paths in use.
    pub paths: BTreeMap<DrillPath, DrillTerms>,
}

/// How one path is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrillTerms {
    /// How much leaves the account: what arrives must be enough for the way back.
    pub amount: Usd,
    /// How long each hop should take at most.
    pub expected: Span,
}

impl DrillPlan {
    /// Whether somebody must sign a drill of `path` who is not there without being asked.
    #[must_use]
    pub const fn needs_signer(&self, path: DrillPath) -> bool {
        match path {
            DrillPath::Chain => !self.unattended,
            DrillPath::Spot | DrillPath::SubAccount(_) => false,
        }
    }
}

/// When a path is to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Due {
    /// Not before.
    pub from: Stamp,
    /// From then on it is overdue.
    pub deadline: Stamp,
}

fn minutes_up(span: Span) -> u32 {
    u32::try_from(span.as_millis().div_ceil(MINUTE_MS)).unwrap_or(u32::MAX)
}

fn day(at: Stamp) -> u32 {
    u32::try_from(at.wall_ms / DAY_MS).unwrap_or(u32::MAX)
}

/// Whether the receipt says something about the path: a drill that was stopped before anybody was asked does not.
fn tells(receipt: &DrillReceipt) -> bool {
    !receipt.hops.is_empty()
}

impl Drills {
    /// When `path` is to be tried next; nothing before money may move at all.
    #[must_use]
    pub fn due(&self, plan: &DrillPlan, seed: Seed, path: DrillPath) -> Option<Due> {
        let (last, passed) = self.last(path);
        let (from, deadline) = match passed {
            // never tried: at once
            None => (self.since?, self.since?),
            Some(passed) => {
                // the number keeps the draw the same over restarts and different from drill to drill
                let mut chance = seed.fork(&format!("drill.{path}.{}", passed.began.mono));
                let early = Span(chance.below(plan.every.0 / JITTER_PART + 1));
                (passed.ended + plan.every - early, passed.ended + plan.every)
            }
        };
        let failed = last.filter(|last| !last.passed()).map(|last| last.ended + plan.every.scale(1, RETRY_PART));
        let from = failed.into_iter().chain([from]).max_by_key(|at| at.mono).unwrap_or(from);
        Some(Due { from, deadline: deadline + plan.grace })
    }

    /// Paths that are overdue, with the moment from which they are.
    #[must_use]
    pub fn overdue(&self, plan: &DrillPlan, seed: Seed, now: Stamp) -> Vec<(DrillPath, Stamp)> {
        let late = |path: &DrillPath| {
            let due = self.due(plan, seed, *path)?;
            (due.deadline.mono <= now.mono).then_some((*path, due.deadline))
        };
        plan.paths.keys().filter_map(late).collect()
    }

    /// What all of it means for the buffer and for the trust in the venue. `plan` is absent if no drills are configured: what was
    /// measured counts all the same.
    #[must_use]
    pub fn exit_seen(&self, plan: Option<(&DrillPlan, Seed)>, now: Stamp) -> ExitSeen {
        let of_path = |path: &DrillPath| {
            // a drill that went wrong takes the place of one that passed: it showed how long it can take
            let (last, passed) = self.last(*path);
            let last = last.filter(|last| tells(last)).or(passed)?;
            last.hops.iter().map(domain::HopReceipt::took).max()
        };
        let under_way = self.open().and_then(|open| open.hop.as_ref()).map(|hop| hop.elapsed(now));
        let in_use = |path: &&DrillPath| plan.is_none_or(|(plan, _)| plan.paths.contains_key(path));
        let slowest = self.last.keys().filter(in_use).filter_map(of_path).chain(under_way).max();
        ExitSeen { delay_min: slowest.map_or(0, minutes_up), drilled: self.drilled(plan, now) }
    }

    /// What is known of the way out to the chain.
    fn drilled(&self, plan: Option<(&DrillPlan, Seed)>, now: Stamp) -> Option<Drilled> {
        let path = DrillPath::Chain;
        let terms = plan.and_then(|(plan, _)| plan.paths.get(&path));
        let hop = self.open().filter(|open| open.path == path).and_then(|open| open.hop.as_ref());
        if let (Some(terms), Some(hop)) = (terms, hop.filter(|hop| hop.hop == Hop::Out && hop.seen == Seen::Waiting)) {
            let (elapsed, expected) = (hop.elapsed(now), terms.expected);
            if elapsed > expected.scale(LATE_TIMES, 1) {
                let why = format!("under way for {elapsed}, expected in {expected}");
                return Some(Drilled::Failed { day: day(now), why });
            }
        }
        let (last, passed) = self.last(path);
        let overdue = plan.and_then(|(plan, seed)| {
            let due = plan.paths.contains_key(&path).then(|| self.due(plan, seed, path)).flatten()?;
            (due.deadline.mono <= now.mono).then(|| Drilled::Overdue { day: day(due.deadline) })
        });
        let last = last.filter(|last| tells(last)).or(passed);
        let expected = terms.map(|terms| minutes_up(terms.expected));
        let made = last.map(|last| match (last.out(), &last.outcome) {
            (Some(out), _) => {
                let took_min = minutes_up(out);
                Drilled::Out(Drill { day: day(last.ended), took_min, expected_min: expected.unwrap_or(took_min) })
            }
            (None, domain::DrillOutcome::Failed { why }) => Drilled::Failed { day: day(last.ended), why: why.clone() },
            (None, domain::DrillOutcome::Passed) => Drilled::Failed { day: day(last.ended), why: "no hop was measured".into() },
        });
        match (made, overdue) {
            // both are unknown to the scorecard; a failure says more
            (Some(Drilled::Failed { day, why }), _) => Some(Drilled::Failed { day, why }),
            (_, Some(overdue)) => Some(overdue),
            (made, None) => made,
        }
    }
}
