//! Transaction-cost analysis from the journal alone (quant §2.4).

use domain::{ParentId, Stamped};
use serde::Serialize;

/// Folds journal entries into reports.
#[derive(Clone, Debug, Default)]
pub struct ReportBuilder {}

/// One report per parent, in order of admission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The parents.
    pub parents: Vec<ParentReport>,
}

/// What one parent did and cost. Serializes as the JSON object that `run --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ParentReport {
    /// The parent.
    pub parent: ParentId,
}

impl ReportBuilder {
    /// Nothing folded yet.
    #[must_use]
    pub fn new() -> ReportBuilder {
        ReportBuilder::default()
    }

    /// Takes one journal entry, in journal order.
    pub fn fold(&mut self, _entry: &Stamped) {}

    /// The reports so far; parents still open are reported as of the last entry.
    #[must_use]
    pub fn report(&self) -> Report {
        Report { parents: Vec::new() }
    }
}

impl Report {
    /// Plain text for a terminal.
    #[must_use]
    pub fn render(&self) -> String {
        String::new()
    }
}
