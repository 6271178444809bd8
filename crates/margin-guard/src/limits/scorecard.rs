//! `[guard.scorecard.VENUE]`: what is known of a venue, by whom and since when (quant §1.9).

use std::collections::BTreeMap;

use domain::Venue;
use risk::scorecard::{Answer, Question, Reviewed, Scorecard, day_number};
use serde::{Deserialize, Serialize};

use super::VENUES;
use super::faults::Faults;

/// One answer as written: `{ value = "finality_s=1, halts_90d=0", evidence = "…", reviewed = "2026-10-01" }`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawAnswer {
    /// The answer in the question's form, or `unknown`.
    pub value: String,
    /// What it rests on.
    pub evidence: String,
    /// The day of the review, `YYYY-MM-DD`. Not asked of an unknown answer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reviewed: String,
}

/// Answers by the question's name.
pub(super) type RawCard = BTreeMap<String, RawAnswer>;

/// Longest evidence, so that the limits' text stays readable.
const EVIDENCE_MAX: usize = 200;

/// A card per venue, empty where nothing is written.
pub(super) fn read(
    faults: &mut Faults,
    raw: &BTreeMap<String, RawCard>,
    review_days: u32,
    today: Option<u32>,
) -> BTreeMap<Venue, Scorecard> {
    let empty = || Scorecard { answers: Vec::new(), review_days, drilled: None };
    let mut cards: BTreeMap<Venue, Scorecard> = VENUES.into_iter().map(|venue| (venue, empty())).collect();
    for (name, answers) in raw {
        let path = format!("scorecard.{name}");
        let Some(venue) = VENUES.into_iter().find(|v| v.to_string() == *name) else {
            faults.add(&path, name, VENUES.map(|v| v.to_string()).join(" or "));
            continue;
        };
        let card = cards.entry(venue).or_insert_with(empty);
        for (word, raw) in answers {
            let path = format!("{path}.{word}");
            match Question::ALL.into_iter().find(|question| question.name() == word) {
                Some(question) => {
                    card.answers.extend(answer(faults, &path, question, raw, today).map(|answer| (question, answer)));
                }
                None => faults.add(&path, word, Question::ALL.map(Question::name).join(", ")),
            }
        }
    }
    cards
}

fn answer(faults: &mut Faults, path: &str, question: Question, raw: &RawAnswer, today: Option<u32>) -> Option<Reviewed> {
    let given = |text: &str| if text.is_empty() { "(nothing)".to_owned() } else { text.to_owned() };
    let evidence = raw.evidence.trim().to_owned();
    if evidence.chars().count() > EVIDENCE_MAX {
        faults.add(&format!("{path}.evidence"), &evidence, format!("at most {EVIDENCE_MAX} characters"));
    }
    let answer = Answer::parse(question, &raw.value);
    if answer == Ok(Answer::Unknown) {
        return None;
    }
    if answer.is_err() {
        faults.add(&format!("{path}.value"), given(&raw.value), format!("{}, or \"unknown\"", question.form()));
    }
    if evidence.is_empty() {
        faults.add(&format!("{path}.evidence"), "(nothing)", "what the value rests on");
    }
    let reviewed = format!("{path}.reviewed");
    let day = day_number(&raw.reviewed);
    match day {
        None => faults.add(&reviewed, given(&raw.reviewed), "the day of the review as YYYY-MM-DD"),
        Some(day) if today.is_some_and(|today| day > today) => {
            faults.add(&reviewed, &raw.reviewed, "a day that is not in the future");
        }
        Some(_) => {}
    }
    Some(Reviewed { answer: answer.ok()?, evidence, reviewed_day: day? })
}
