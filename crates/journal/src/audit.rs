//! Replays a journal and checks the invariants that can be read off it (`plimsoll audit`).

use std::path::Path;

use crate::{Head, OpenError};

/// A breach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The record; 0 if it is not about one.
    pub seq: u64,
    /// The invariant's number, such as `I02`.
    pub invariant: &'static str,
    /// What is wrong.
    pub what: String,
}

/// What an audit found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditReport {
    /// Records read.
    pub records: u64,
    /// Tenures seen.
    pub epochs: u32,
    /// Intents seen.
    pub intents: u64,
    /// Fills seen.
    pub fills: u64,
    /// Fills that came after their order had ended; not a breach.
    pub late_fills: u64,
    /// The end of the chain.
    pub head: Head,
    /// Breaches, in order.
    pub findings: Vec<Finding>,
}

impl AuditReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Audits the journal in `dir`. Reads only; a daemon may be running on it.
///
/// # Errors
/// If there is no journal or it cannot be read at all.
pub fn audit(_dir: &Path) -> Result<AuditReport, OpenError> {
    todo!()
}
