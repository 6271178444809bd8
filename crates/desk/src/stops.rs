//! What is stopped, for people: why, since when, and what to do next.

use domain::{Stop, StopLevel, StopScope, Trigger};
use serde::Serialize;

use crate::Desk;

/// One stop in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StopLine {
    /// Level, scope, trigger, cause and the numbers it was decided on.
    #[serde(flatten)]
    pub stop: Stop,
    /// Since when, UTC milliseconds.
    pub since_ms: u64,
    /// What a person is to do.
    pub next: String,
}

impl Desk {
    /// Everything that is stopped, by scope.
    #[must_use]
    pub fn stop_lines(&self) -> Vec<StopLine> {
        let line = |stop: &Stop| StopLine {
            stop: stop.clone(),
            since_ms: self.books.stopped_at.get(&stop.scope).map_or(0, |at| at.wall_ms),
            next: next_step(stop),
        };
        self.books.stops.iter().map(line).collect()
    }
}

/// What a person is to do about `stop`: first about its cause, then to let it trade again.
fn next_step(stop: &Stop) -> String {
    let first = match stop.trigger {
        Trigger::Operator | Trigger::Signal => "when whoever stopped it agrees",
        Trigger::Reload => "set [kill] engaged to false and reload",
        Trigger::Sentinel => "remove the file STOP",
        Trigger::Watchdog => "see the log for what kept the loop from turning",
        Trigger::Latch => "find out why one of the two stores of the latch said nothing",
        Trigger::Guard => "see plimsoll margin: add collateral or close positions",
        Trigger::Loss => "see plimsoll report and plimsoll margin for what was lost, and where",
        Trigger::Rejects => "see plimsoll explain for what the venue says: key, margin, limits of the account",
        Trigger::Reconcile => {
            "see plimsoll status and the venue's own page; if the daemon counted wrongly, keep the journal and report it"
        }
        Trigger::Clock => "set the machine's clock and keep it set (chronyc tracking)",
        Trigger::Journal => "see the log: space and health of the disk; then plimsoll audit",
        Trigger::Disk => "make room on the disk",
        Trigger::Panic | Trigger::Connector => "keep the log and the journal, and report the fault",
        Trigger::Alerts => "see that somebody can be told: plimsoll alerts test",
    };
    let scope = if stop.scope == StopScope::All { String::new() } else { format!(" --scope {}", stop.scope) };
    let look = if stop.level >= StopLevel::Cancel { "; look at the venue" } else { "" };
    format!("{first}{look}; then plimsoll rearm --reason …{scope}")
}
