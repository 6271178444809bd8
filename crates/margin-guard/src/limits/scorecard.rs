//! `[guard.scorecard.VENUE]`: what is known of a venue, by whom and since when (quant §1.9).

use std::collections::BTreeMap;

use domain::{Ratio, Venue};
use serde::{Deserialize, Serialize};

use super::VENUES;
use super::faults::Faults;
use super::number::{Figure, RawNumber};

/// One answer as written: `{ value = "0.8", evidence = "…", reviewed = "2026-10-01" }`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawAnswer {
    /// 0 (bad) to 1 (full mark), or `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<RawNumber>,
    /// What it rests on.
    pub evidence: String,
    /// The day of the review, `YYYY-MM-DD`. Not asked of an unknown answer.
    pub reviewed: String,
}

/// What is asked of a venue. The weights are those of quant §1.9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// Settlement cadence: finality and halts.
    Settlement,
    /// The way out, and when it was last tried.
    Exit,
    /// Insurance fund against open interest.
    Insurance,
    /// Loss sharing: deleveraging of winners, forced settlement.
    LossSharing,
    /// The oracle's sources and staleness.
    Oracle,
    /// Whether solvency can be verified.
    Transparency,
}

impl Aspect {
    /// All, in the order of their weights.
    pub const ALL: [Aspect; 6] =
        [Aspect::Settlement, Aspect::Exit, Aspect::Insurance, Aspect::LossSharing, Aspect::Oracle, Aspect::Transparency];

    /// The word in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Aspect::Settlement => "settlement",
            Aspect::Exit => "exit",
            Aspect::Insurance => "insurance",
            Aspect::LossSharing => "loss_sharing",
            Aspect::Oracle => "oracle",
            Aspect::Transparency => "transparency",
        }
    }
}

/// A known answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 0 to 1.
    pub score: Ratio,
    /// What it rests on.
    pub evidence: String,
    /// Day of the review, counted from 1970-01-01.
    pub reviewed: u32,
}

/// What is known of one venue. What is absent is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scorecard {
    /// The known answers.
    pub answers: BTreeMap<Aspect, Answer>,
    /// Evidence noted beside unknown answers.
    notes: BTreeMap<Aspect, String>,
}

impl Scorecard {
    pub(super) const fn nothing() -> Scorecard {
        Scorecard { answers: BTreeMap::new(), notes: BTreeMap::new() }
    }

    pub(super) fn written(&self) -> BTreeMap<String, RawAnswer> {
        let one = |aspect: Aspect| match (self.answers.get(&aspect), self.notes.get(&aspect)) {
            (Some(answer), _) => RawAnswer {
                value: Some(answer.score.write()),
                evidence: answer.evidence.clone(),
                reviewed: date_of(answer.reviewed),
            },
            (None, note) => {
                RawAnswer { value: Some("unknown".into()), evidence: note.cloned().unwrap_or_default(), reviewed: String::new() }
            }
        };
        Aspect::ALL.into_iter().map(|aspect| (aspect.word().to_owned(), one(aspect))).collect()
    }
}

pub(super) fn read(
    faults: &mut Faults,
    raw: &BTreeMap<String, BTreeMap<String, RawAnswer>>,
    today: Option<u32>,
) -> BTreeMap<Venue, Scorecard> {
    let mut cards: BTreeMap<Venue, Scorecard> = VENUES.into_iter().map(|v| (v, Scorecard::default())).collect();
    for (name, answers) in raw {
        let path = format!("scorecard.{name}");
        let Some(venue) = VENUES.into_iter().find(|v| v.to_string() == *name) else {
            faults.add(&path, name, VENUES.map(|v| v.to_string()).join(" or "));
            continue;
        };
        let card = cards.entry(venue).or_default();
        for (word, raw) in answers {
            let path = format!("{path}.{word}");
            match Aspect::ALL.into_iter().find(|a| a.word() == word) {
                Some(aspect) => answer(faults, &path, aspect, raw, today, card),
                None => faults.add(&path, word, Aspect::ALL.map(Aspect::word).join(", ")),
            }
        }
    }
    cards
}

/// Longest evidence, so that the limits' text stays readable.
const EVIDENCE_MAX: usize = 200;

fn answer(faults: &mut Faults, path: &str, aspect: Aspect, raw: &RawAnswer, today: Option<u32>, card: &mut Scorecard) {
    let evidence = raw.evidence.trim().to_owned();
    if evidence.chars().count() > EVIDENCE_MAX {
        faults.add(&format!("{path}.evidence"), &evidence, format!("at most {EVIDENCE_MAX} characters"));
    }
    let value = format!("{path}.value");
    let Some(number) = &raw.value else {
        faults.add(&value, "(nothing)", "a number from 0 to 1, or unknown");
        return;
    };
    if number.text == "unknown" {
        if !evidence.is_empty() {
            card.notes.insert(aspect, evidence);
        }
        return;
    }
    let score = Ratio::read(faults, &value, Some(number), "0", "0", "1");
    if evidence.is_empty() {
        faults.add(&format!("{path}.evidence"), "(nothing)", "what the value rests on");
    }
    let reviewed = format!("{path}.reviewed");
    match day_of(&raw.reviewed) {
        None => {
            let given = if raw.reviewed.is_empty() { "(nothing)" } else { &raw.reviewed };
            faults.add(&reviewed, given, "the day of the review as YYYY-MM-DD");
        }
        Some(day) if today.is_some_and(|today| day > today) => {
            faults.add(&reviewed, &raw.reviewed, "a day that is not in the future");
        }
        Some(day) => {
            card.answers.insert(aspect, Answer { score, evidence, reviewed: day });
        }
    }
}

/// Days from 1970-01-01 to the first of March of year 0, in the civil calendar that is counted from there.
const DAYS_TO_EPOCH: u32 = 719_468;

/// The day number of `YYYY-MM-DD` in the Gregorian calendar, from 1970 on.
fn day_of(text: &str) -> Option<u32> {
    let mut parts = text.split('-');
    let mut next = |len: usize| {
        let part = parts.next()?;
        (part.len() == len && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<u32>().ok())?
    };
    let (year, month, day) = (next(4)?, next(2)?, next(2)?);
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if parts.next().is_some() || !(1..=days).contains(&day) || year < 1970 {
        return None;
    }
    // years begin in March, so that the leap day is the last of its year
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_year = (153 * month + 2) / 5 + day - 1;
    (year * 365 + year / 4 - year / 100 + year / 400 + of_year).checked_sub(DAYS_TO_EPOCH)
}

/// The inverse of [`day_of`].
fn date_of(day: u32) -> String {
    let days = day.saturating_add(DAYS_TO_EPOCH);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (era * 400 + year, month + 3) } else { (era * 400 + year + 1, month - 9) };
    format!("{year:04}-{month:02}-{date:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_as_the_calendar_does() {
        for (text, day) in [("1970-01-01", 0), ("1972-03-01", 790), ("2000-02-29", 11_016), ("2026-10-01", 20_727)] {
            assert_eq!(day_of(text), Some(day), "{text}");
        }
        for day in 0..60_000 {
            assert_eq!(day_of(&date_of(day)), Some(day));
        }
        for bad in
            ["", "2026-10", "2026-13-01", "2026-02-29", "2026-10-1", "2026-10-00", "1969-12-31", "2026-10-01-1", "+026-10-01"]
        {
            assert_eq!(day_of(bad), None, "{bad}");
        }
    }
}
