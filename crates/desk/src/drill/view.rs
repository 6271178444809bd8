//! What an operator sees of drills. Reading it changes nothing.

use domain::{DrillId, DrillPath, DrillReceipt, Seed, Span, Stamp, Usd};
use margin_guard::ExitSeen;
use serde::Serialize;

use super::{DrillPlan, Drills, OpenDrill};

/// One path and when it is tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DrillLine {
    /// Which.
    pub path: DrillPath,
    /// How much a drill moves.
    pub amount: Usd,
    /// How long each hop should take at most.
    pub expected: Span,
    /// Seconds until the next one is due; zero if it is. Absent before money may move at all.
    pub due_in_s: Option<u64>,
    /// Seconds for which it is overdue; absent if it is not.
    pub overdue_s: Option<u64>,
    /// Whether somebody must sign who is not there without being asked.
    pub needs_signer: bool,
    /// Why it is not begun although it is due; absent if it is not due.
    pub waits: Option<String>,
    /// The last drill that is over.
    pub last: Option<DrillReceipt>,
    /// The last that passed.
    pub passed: Option<DrillReceipt>,
}

/// All about drills.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DrillView {
    /// Whether drills are configured.
    pub configured: bool,
    /// The paths in use.
    pub paths: Vec<DrillLine>,
    /// The drill under way, with the moment at which this was looked at.
    pub open: Option<(OpenDrill, Stamp)>,
    /// Why the way back of the drill under way does not begin; absent if it has, or nothing has arrived yet.
    pub back: Option<String>,
    /// The last that are over, oldest first.
    pub recent: Vec<(DrillId, DrillReceipt)>,
    /// What follows for buffer and trust.
    pub exit: ExitSeen,
}

impl Drills {
    /// What there is to see `now`. `waits` tells why a path that is due is not tried.
    #[must_use]
    pub fn view(&self, plan: Option<(&DrillPlan, Seed)>, now: Stamp, waits: impl Fn(DrillPath) -> Option<String>) -> DrillView {
        let line = |(path, terms): (&DrillPath, &super::DrillTerms), (plan, seed): (&DrillPlan, Seed)| {
            let due = self.due(plan, seed, *path);
            let (last, passed) = self.last(*path);
            let is_due = due.is_some_and(|due| due.from.mono <= now.mono);
            DrillLine {
                path: *path,
                amount: terms.amount,
                expected: terms.expected,
                due_in_s: due.map(|due| due.from.since(now).as_millis().div_ceil(1_000)),
                overdue_s: due.filter(|due| due.deadline.mono <= now.mono).map(|due| now.since(due.deadline).as_millis() / 1_000),
                needs_signer: plan.needs_signer(*path),
                waits: if is_due { waits(*path) } else { None },
                last: last.cloned(),
                passed: passed.cloned(),
            }
        };
        DrillView {
            configured: plan.is_some(),
            paths: plan.iter().flat_map(|given| given.0.paths.iter().map(|one| line(one, *given))).collect(),
            open: self.open().map(|open| (open.clone(), now)),
            back: None,
            recent: self.recent().cloned().collect(),
            exit: self.exit_seen(plan, now),
        }
    }
}
