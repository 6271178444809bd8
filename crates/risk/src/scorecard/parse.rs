//! Answers as the operator writes them.

use domain::{Ratio, plain_decimal};

use super::{Answer, Drill, Question};

/// Why a text answers nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no answer: expected {expected}, or \"unknown\"")]
pub struct BadAnswer {
    text: String,
    expected: &'static str,
}

/// The day number, counted from 1970-01-01, of a date written `2026-10-01`. `None` for what is no date from 1970 to 9999.
#[must_use]
pub fn day_number(text: &str) -> Option<u32> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |part: &str, len: usize| (part.len() == len).then(|| whole(part)).flatten();
    let (year, month, day) = (digits(year, 4)?, digits(month, 2)?, digits(day, 2)?);
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = *lengths.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
    if parts.next().is_some() || year < 1970 || day == 0 || day > length {
        return None;
    }
    let before: u32 = lengths.iter().take(usize::try_from(month).ok()? - 1).sum();
    let last = year - 1;
    let leaps = last / 4 - last / 100 + last / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400);
    Some((year - 1970) * 365 + leaps + before + day - 1)
}

fn whole(text: &str) -> Option<u32> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

impl Question {
    /// What an answer to it looks like.
    #[must_use]
    pub const fn form(self) -> &'static str {
        match self {
            Question::Settlement => "\"finality_s=1, halts_90d=0\"",
            Question::Exit => "\"drill=2026-10-01, took_min=5, expected_min=4\"",
            Question::Insurance => "\"share=0.02\" (fund over open interest, 0 or more)",
            Question::LossSharing => "\"never\" or \"last=2025-10-10\"",
            Question::Oracle => "\"sources=8, staleness_s=3, deviation_bps=5\"",
            Question::Transparency => "\"on_chain\" or \"no\"",
        }
    }
}

impl Answer {
    /// Reads the answer to `question` from the form of [`Question::form`], or `unknown`.
    ///
    /// # Errors
    /// If the text has another form; the error shows the right one.
    pub fn parse(question: Question, text: &str) -> Result<Answer, BadAnswer> {
        let bad = || BadAnswer { text: text.chars().take(80).collect(), expected: question.form() };
        if text == "unknown" {
            return Ok(Answer::Unknown);
        }
        let answer = match question {
            Question::Settlement => named(text, ["finality_s", "halts_90d"])
                .and_then(|[f, h]| Some(Answer::Settlement { finality_s: whole(f)?, halts_90d: whole(h)? })),
            Question::Exit => named(text, ["drill", "took_min", "expected_min"]).and_then(|[day, took, expected]| {
                let drill = Drill { day: day_number(day)?, took_min: whole(took)?, expected_min: whole(expected)? };
                (drill.expected_min > 0).then_some(Answer::Exit(drill))
            }),
            Question::Insurance => named(text, ["share"]).and_then(|[share]| {
                let share = plain_decimal(share).and_then(|value| Ratio::new(value).ok())?;
                (share >= Ratio::ZERO).then_some(Answer::Insurance { share })
            }),
            Question::LossSharing if text == "never" => Some(Answer::LossSharing { last_day: None }),
            Question::LossSharing => {
                named(text, ["last"]).and_then(|[day]| Some(Answer::LossSharing { last_day: Some(day_number(day)?) }))
            }
            Question::Oracle => {
                named(text, ["sources", "staleness_s", "deviation_bps"]).and_then(|[sources, staleness, deviation]| {
                    Some(Answer::Oracle {
                        sources: whole(sources)?,
                        staleness_s: whole(staleness)?,
                        deviation_bps: whole(deviation)?,
                    })
                })
            }
            Question::Transparency => match text {
                "on_chain" => Some(Answer::Transparency { on_chain: true }),
                "no" => Some(Answer::Transparency { on_chain: false }),
                _ => None,
            },
        };
        answer.ok_or_else(bad)
    }
}

/// The values of exactly these names, in this order.
fn named<'t, const N: usize>(text: &'t str, names: [&str; N]) -> Option<[&'t str; N]> {
    let mut values = [""; N];
    let mut parts = text.split(',');
    for (value, name) in values.iter_mut().zip(names) {
        let (key, given) = parts.next()?.split_once('=')?;
        if key.trim() != name {
            return None;
        }
        *value = given.trim();
    }
    parts.next().is_none().then_some(values)
}
