//! Checks recorded payloads and signing vectors against this module's types.

/// How one case went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseResult {
    /// Which case.
    pub name: String,
    /// Keys of the recording that no type claims to know, as paths; informative.
    pub ignored: Vec<String>,
    /// What is wrong; empty: it passed.
    pub faults: Vec<String>,
}

impl CaseResult {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.faults.is_empty()
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
