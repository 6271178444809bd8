//! Cases in turn, ratios within a round, the median over rounds.

use std::fmt;
use std::time::{Duration, Instant};

/// How long one case is measured in one round: long against a scheduler tick, short against the machine's drift.
const SLICE: Duration = Duration::from_millis(60);

/// What was aimed at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// The result should not be above this.
    AtMost(f64),
    /// The result should not be below this.
    AtLeast(f64),
    /// For scale only.
    None,
}

/// One line of a duel.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What was measured.
    pub what: String,
    /// The median.
    pub value: f64,
    /// The smallest and the largest round.
    pub range: (f64, f64),
    /// `x` for a ratio, else `ns`, `us`, `MiB`, `/s`.
    pub unit: &'static str,
    /// What was aimed at.
    pub goal: Goal,
}

impl Outcome {
    /// The median of one value per round.
    pub fn of(what: impl Into<String>, unit: &'static str, goal: Goal, mut per_round: Vec<f64>) -> Outcome {
        per_round.sort_by(f64::total_cmp);
        let range = (per_round.first().copied().unwrap_or(f64::NAN), per_round.last().copied().unwrap_or(f64::NAN));
        Outcome { what: what.into(), value: median_of_sorted(&per_round), range, unit, goal }
    }

    /// Whether there was a goal and the result is on its wrong side.
    pub fn missed(&self) -> bool {
        match self.goal {
            // written so that a result that is no number is a miss
            Goal::AtMost(goal) => {
                !matches!(self.value.partial_cmp(&goal), Some(std::cmp::Ordering::Less | std::cmp::Ordering::Equal))
            }
            Goal::AtLeast(goal) => {
                !matches!(self.value.partial_cmp(&goal), Some(std::cmp::Ordering::Greater | std::cmp::Ordering::Equal))
            }
            Goal::None => false,
        }
    }

    /// For machines.
    pub fn json(&self, duel: &str) -> serde_json::Value {
        let (kind, goal) = match self.goal {
            Goal::AtMost(goal) => ("at_most", Some(goal)),
            Goal::AtLeast(goal) => ("at_least", Some(goal)),
            Goal::None => ("none", None),
        };
        serde_json::json!({
            "duel": duel, "what": self.what, "median": self.value, "min": self.range.0, "max": self.range.1, "unit": self.unit,
            "goal": { "kind": kind, "value": goal }, "passed": goal.map(|_| !self.missed()),
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.value.abs() < 0.1 {
            4
        } else if self.value.abs() < 20.0 {
            2
        } else {
            0
        };
        let number = |value: f64| format!("{value:.digits$}");
        let (low, high) = self.range;
        write!(f, "{:66} {:>9} {:3} ({} to {})", self.what, number(self.value), self.unit, number(low), number(high))?;
        let verdict = if self.missed() { "MISS" } else { "pass" };
        match self.goal {
            Goal::AtMost(goal) => write!(f, "  goal <= {goal}: {verdict}"),
            Goal::AtLeast(goal) => write!(f, "  goal >= {goal}: {verdict}"),
            Goal::None => Ok(()),
        }
    }
}

fn median_of_sorted(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// The median of samples in any order.
pub fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    median_of_sorted(&samples)
}

/// One side of a duel: a call does `operations` of them and returns how long the measured part took.
pub struct Case<'a> {
    operations: u32,
    call: Box<dyn FnMut() -> Duration + 'a>,
}

impl<'a> Case<'a> {
    /// A call that is measured whole and does one operation.
    pub fn whole(mut call: impl FnMut() + 'a) -> Case<'a> {
        // The clock is read once per batch, not once per call, or it would be measured too.
        const BATCH: u32 = 16;
        let timed = move || {
            let start = Instant::now();
            for _ in 0..BATCH {
                call();
            }
            start.elapsed()
        };
        Case { operations: BATCH, call: Box::new(timed) }
    }

    /// A call that sets itself up, measures `operations` of them itself, and cleans up.
    pub fn timed(operations: u32, call: impl FnMut() -> Duration + 'a) -> Case<'a> {
        Case { operations, call: Box::new(call) }
    }

    /// Nanoseconds of an operation: the median over the calls of one slice, so that an interruption is not counted.
    fn slice(&mut self) -> f64 {
        let start = Instant::now();
        let mut samples = Vec::new();
        while start.elapsed() < SLICE || samples.len() < 5 {
            samples.push((self.call)().as_secs_f64() * 1e9 / f64::from(self.operations));
        }
        median(samples)
    }
}

/// Runs all cases in turn, `rounds` times after a first one that only warms up; nanoseconds per operation, by case and round.
pub fn in_turn(rounds: usize, cases: &mut [Case<'_>]) -> Vec<Vec<f64>> {
    for case in cases.iter_mut() {
        case.slice();
    }
    let mut all = vec![Vec::new(); cases.len()];
    for round in 0..rounds {
        // Who goes first changes, so that nobody always runs in another's wake.
        for step in 0..cases.len() {
            let at = (round + step) % cases.len();
            all[at].push(cases[at].slice());
        }
    }
    all
}

/// `a` over `b`, round by round.
pub fn ratios(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a / b).collect()
}
