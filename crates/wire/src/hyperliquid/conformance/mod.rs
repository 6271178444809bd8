//! Checks recorded payloads and signing vectors against this module's types.
//!
//! [`signing`] takes a file of signing vectors: each case is recomputed from its action, by the typed path where the sheet
//! knows the action and by a generic one in any case. [`payload`] takes one recorded payload of any shape in the sheet: it is
//! decoded strictly, encoded again, and nothing that a type claims to know may have been lost or changed on the way. Nothing
//! here goes by the name of a case; a file's name only helps where its content leaves the type open, such as an empty list.

mod eip712;
mod payload;
mod signing;

pub use payload::payload;
pub use signing::signing;

/// How one case went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseResult {
    /// Which case.
    pub name: String,
    /// Paths of keys in the recording that no type claims to know; informative.
    pub ignored: Vec<String>,
    /// What is wrong; empty: it passed.
    pub faults: Vec<String>,
}

impl CaseResult {
    fn new(name: impl Into<String>) -> CaseResult {
        CaseResult { name: name.into(), ignored: Vec::new(), faults: Vec::new() }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.faults.is_empty()
    }

    fn fault(&mut self, text: impl Into<String>) {
        self.faults.push(text.into());
    }

    /// Notes a fault if the computed value is not the expected one.
    fn same<T: PartialEq + std::fmt::Display>(&mut self, what: &str, computed: T, expected: T) {
        if computed != expected {
            self.fault(format!("{what}: computed {computed}, expected {expected}"));
        }
    }
}

/// How the cases of one file went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// One by one.
    pub cases: Vec<CaseResult>,
}

impl Outcome {
    /// How many passed.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.cases.iter().filter(|case| case.passed()).count()
    }

    /// How many failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.cases.len() - self.passed()
    }
}

#[cfg(test)]
mod tests;
