//! Trust in a venue from six questions (quant §1.9). *Unknown* is a legal answer: it scores nothing and makes the buffer larger.

mod parse;

use domain::{Ratio, Usd};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

pub use parse::{BadAnswer, day_number};

use crate::exact::{add, allowed, div, mul, ramp, ratio, ratio_down};

/// The questions, in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// How fast and how steadily trades become final.
    Settlement,
    /// Whether money gets out, tried lately.
    Exit,
    /// The insurance fund against open interest.
    Insurance,
    /// Whether winners had to pay for losers.
    LossSharing,
    /// What the oracle rests on.
    Oracle,
    /// Whether solvency can be verified on chain.
    Transparency,
}

impl Question {
    /// All of them.
    pub const ALL: [Question; 6] = [
        Question::Settlement,
        Question::Exit,
        Question::Insurance,
        Question::LossSharing,
        Question::Oracle,
        Question::Transparency,
    ];

    /// The name used in configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Question::Settlement => "settlement",
            Question::Exit => "exit",
            Question::Insurance => "insurance",
            Question::LossSharing => "loss_sharing",
            Question::Oracle => "oracle",
            Question::Transparency => "transparency",
        }
    }

    /// Its weight; all weights sum to one.
    #[must_use]
    pub fn weight(self) -> Ratio {
        match self {
            Question::Settlement | Question::Exit | Question::Insurance => Ratio::scaled(20, 2),
            Question::LossSharing | Question::Oracle => Ratio::scaled(15, 2),
            Question::Transparency => Ratio::scaled(10, 2),
        }
    }
}

/// What is known about one question. Written in configuration as text; see [`Answer::parse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Nothing.
    Unknown,
    /// `finality_s=1, halts_90d=0`.
    Settlement {
        /// Seconds until a trade is final.
        finality_s: u32,
        /// Halts in the last 90 days.
        halts_90d: u32,
    },
    /// `drill=2026-10-01, took_min=5, expected_min=4`.
    Exit(Drill),
    /// `share=0.03`: fund over open interest.
    Insurance {
        /// The share.
        share: Ratio,
    },
    /// `last=2025-10-10`, or `never`.
    LossSharing {
        /// Day of the last automatic deleveraging or forced settlement.
        last_day: Option<u32>,
    },
    /// `sources=8, staleness_s=3, deviation_bps=5`.
    Oracle {
        /// Independent sources.
        sources: u32,
        /// Usual age, seconds.
        staleness_s: u32,
        /// Median deviation from the market, basis points.
        deviation_bps: u32,
    },
    /// `on_chain`, or `no`.
    Transparency {
        /// Whether solvency and collateral can be verified on chain.
        on_chain: bool,
    },
}

/// A withdrawal that was made to see whether money gets out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Drill {
    /// Its day, counted from 1970-01-01.
    pub day: u32,
    /// How long it took, minutes.
    pub took_min: u32,
    /// How long it should have taken, minutes.
    pub expected_min: u32,
}

/// What drills of our own say of the way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Drilled {
    /// The last one brought money out.
    Out(Drill),
    /// The last one did not, or the one under way is late: whether money gets out is not known.
    Failed {
        /// When that was found, in days from 1970-01-01.
        day: u32,
        /// Where it broke.
        why: String,
    },
    /// None was made when one should have been: unknown, unless something newer is stated.
    Overdue {
        /// The day by which it should have been made, counted from 1970-01-01.
        day: u32,
    },
}

impl Drilled {
    /// The day from which it counts: what is stated of a later one is newer.
    #[must_use]
    pub const fn day(&self) -> u32 {
        match self {
            Drilled::Out(Drill { day, .. }) | Drilled::Failed { day, .. } | Drilled::Overdue { day } => *day,
        }
    }
}

/// One answer with what it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reviewed {
    /// The answer.
    pub answer: Answer,
    /// Where it comes from: a link, a measurement.
    pub evidence: String,
    /// Day of the review, counted from 1970-01-01.
    pub reviewed_day: u32,
}

/// A venue's card. A question without an answer is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Scorecard {
    /// The answers.
    pub answers: Vec<(Question, Reviewed)>,
    /// A review older than this many days counts as unknown.
    pub review_days: u32,
    /// What our own drills say: replaces the stated exit answer unless that is newer.
    pub drilled: Option<Drilled>,
}

/// One line of the result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// The question.
    pub question: Question,
    /// `s`, 0 to 1; `None` is unknown, which counts as nothing.
    pub score: Option<Ratio>,
    /// In words.
    pub why: String,
}

/// What a card says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trust {
    /// `τ = 0.2 + 0.8·Σ w·s`, 0.2 to 1, rounded down.
    pub tau: Ratio,
    /// All questions.
    pub marks: Vec<Mark>,
    /// Whether any answer is unknown: the buffer is then multiplied by [`crate::buffer::BufferParams::unknown_factor`].
    pub unknown: bool,
}

impl Trust {
    /// Notional that a venue may carry: `τ · share · E_total`.
    #[must_use]
    pub fn venue_cap(&self, share: Ratio, equity_total: Usd) -> Usd {
        allowed(mul(mul(self.tau.decimal(), share.decimal()), equity_total.decimal()))
    }

    /// The questions that are not answered.
    #[must_use]
    pub fn unknown_questions(&self) -> Vec<Question> {
        self.marks.iter().filter(|mark| mark.score.is_none()).map(|mark| mark.question).collect()
    }
}

/// Days that a drill keeps its full mark, and days after which it has none.
const DRILL_FRESH_DAYS: u32 = 30;
const DRILL_STALE_DAYS: u32 = 90;
/// Days without loss sharing for the full mark.
const LOSS_SHARING_DAYS: u32 = 180;
/// Seconds of finality for the full mark, and for none.
const FINALITY_FULL_S: u32 = 5;
const FINALITY_NONE_S: u32 = 3_600;

impl Scorecard {
    /// A card on which nothing is known, as of a venue that nobody reviewed.
    #[must_use]
    pub fn unknown() -> Scorecard {
        Scorecard { answers: Vec::new(), review_days: 180, drilled: None }
    }

    /// What the card says on day `today`, counted from 1970-01-01.
    #[must_use]
    pub fn trust(&self, today: u32) -> Trust {
        let marks: Vec<Mark> = Question::ALL.iter().map(|question| self.mark(*question, today)).collect();
        let sum = marks.iter().fold(Decimal::ZERO, |sum, mark| {
            add(sum, mul(mark.question.weight().decimal(), mark.score.unwrap_or(Ratio::ZERO).decimal()))
        });
        let tau = add(Decimal::new(2, 1), mul(Decimal::new(8, 1), sum));
        Trust { tau: ratio_down(tau), unknown: marks.iter().any(|mark| mark.score.is_none()), marks }
    }

    fn mark(&self, question: Question, today: u32) -> Mark {
        let stated = self.answers.iter().find(|(q, _)| *q == question).map(|(_, reviewed)| reviewed);
        let drilled = self.drilled.as_ref().filter(|_| question == Question::Exit).filter(|drill| drill.day() <= today);
        let newer = match (drilled, stated.map(|s| s.answer)) {
            (Some(drill), Some(Answer::Exit(said))) => (drill.day() >= said.day).then_some(drill),
            (drill, Some(_) | None) => drill,
        };
        if let Some(drill) = newer {
            return drilled_mark(drill, today);
        }
        let unknown = |why: String| Mark { question, score: None, why };
        let Some(stated) = stated else { return unknown("no answer".into()) };
        if stated.reviewed_day > today {
            return unknown("reviewed on a day that is yet to come".into());
        }
        let age = today - stated.reviewed_day;
        if age > self.review_days {
            return unknown(format!("reviewed {age} days ago, more than {}", self.review_days));
        }
        match score(question, &stated.answer, today) {
            Some((score, why)) => Mark { question, score: Some(ratio(score)), why },
            None => unknown("stated as unknown".into()),
        }
    }
}

/// The score of an answer and the words for it; `None` for unknown and for an answer to another question.
fn score(question: Question, answer: &Answer, today: u32) -> Option<(Decimal, String)> {
    let whole = |n: u32| Decimal::from(n);
    // 1 up to `full`, falling as full/x beyond
    let within = |x: u32, full: u32| if x <= full { Decimal::ONE } else { div(whole(full), whole(x)) };
    match (question, answer) {
        (Question::Settlement, Answer::Settlement { finality_s, halts_90d }) => {
            let pace = add(Decimal::ONE, -ramp(whole(*finality_s), whole(FINALITY_FULL_S), whole(FINALITY_NONE_S)));
            // "no halt" is part of the full mark: the first halt halves it, the second quarters it, and so on
            let steady = div(Decimal::ONE, whole(2_u32.saturating_pow((*halts_90d).min(16))));
            Some((mul(pace, steady), format!("final after {finality_s} s, {halts_90d} halts in 90 days")))
        }
        (Question::Exit, Answer::Exit(drill)) => Some(drill_score(*drill, today)),
        (Question::Insurance, Answer::Insurance { share }) => {
            let score = div(share.decimal(), Decimal::new(2, 2)).clamp(Decimal::ZERO, Decimal::ONE);
            Some((score, format!("fund is {share} of open interest, full mark at 0.02")))
        }
        (Question::LossSharing, Answer::LossSharing { last_day }) => Some(match last_day {
            None => (Decimal::ONE, "no forced closing of winners known".into()),
            Some(day) => {
                let days = today.saturating_sub(*day);
                let score = div(whole(days), whole(LOSS_SHARING_DAYS)).min(Decimal::ONE);
                (score, format!("winners were closed by force {days} days ago, full mark after {LOSS_SHARING_DAYS}"))
            }
        }),
        (Question::Oracle, Answer::Oracle { sources, staleness_s, deviation_bps }) => {
            let score = div(whole(*sources), whole(5)).min(Decimal::ONE);
            let score = score.min(within(*staleness_s, 10)).min(within(*deviation_bps, 20));
            Some((score, format!("{sources} sources, {staleness_s} s old, {deviation_bps} bp off")))
        }
        (Question::Transparency, Answer::Transparency { on_chain }) => Some(if *on_chain {
            (Decimal::ONE, "solvency can be verified on chain".into())
        } else {
            (Decimal::ZERO, "solvency cannot be verified on chain".into())
        }),
        (
            _,
            Answer::Unknown
            | Answer::Settlement { .. }
            | Answer::Exit(_)
            | Answer::Insurance { .. }
            | Answer::LossSharing { .. }
            | Answer::Oracle { .. }
            | Answer::Transparency { .. },
        ) => None,
    }
}

fn drilled_mark(drilled: &Drilled, today: u32) -> Mark {
    let (score, why) = match drilled {
        Drilled::Out(drill) => {
            let (score, why) = drill_score(*drill, today);
            (Some(ratio(score)), format!("own drill: {why}"))
        }
        Drilled::Failed { day, why } => (None, format!("own drill failed {} days ago: {why}", today.saturating_sub(*day))),
        Drilled::Overdue { day } => (None, format!("own drill overdue for {} days", today.saturating_sub(*day))),
    };
    Mark { question: Question::Exit, score, why }
}

/// Fresh within 30 days and within twice its expected time: full mark. Falls to nothing at 90 days and at four times.
fn drill_score(drill: Drill, today: u32) -> (Decimal, String) {
    let days = today.saturating_sub(drill.day);
    let whole = |n: u32| Decimal::from(n);
    let age = add(Decimal::ONE, -ramp(whole(days), whole(DRILL_FRESH_DAYS), whole(DRILL_STALE_DAYS)));
    let times = div(whole(drill.took_min), whole(drill.expected_min.max(1)));
    let pace = add(Decimal::ONE, -ramp(times, whole(2), whole(4)));
    (mul(age, pace), format!("{days} days ago, took {} of {} min expected", drill.took_min, drill.expected_min))
}

#[cfg(test)]
mod tests;
