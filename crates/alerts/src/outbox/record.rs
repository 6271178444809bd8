//! One alert and what became of it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use domain::{Alert, Severity, Span, Stamp};
use serde::{Deserialize, Serialize};

/// An alert's number, unique in its store. Written `A12`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AlertId(pub u64);

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "A{}", self.0)
    }
}

impl FromStr for AlertId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix(['A', 'a']).unwrap_or(text);
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let id = plain.then(|| digits.parse().ok()).flatten();
        id.map(AlertId).ok_or_else(|| format!("id = {}: the number of an alert, such as A12", cut(text, 40)))
    }
}

/// A target was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When last.
    pub at: Stamp,
    /// How often.
    pub times: u32,
}

/// A person has seen it and acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// When.
    pub at: Stamp,
    /// Who, in his own words.
    pub by: String,
}

/// One alert and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its number.
    pub id: AlertId,
    /// What is told. Until somebody has been told, the newest words of this cause.
    pub alert: Alert,
    /// When it was raised first.
    pub raised: Stamp,
    /// When it was raised last.
    pub last: Stamp,
    /// How often it was raised.
    pub count: u32,
    /// How often the same had been raised and not told before this record began.
    #[serde(default)]
    pub before: u32,
    /// Which targets were told, by name.
    #[serde(default)]
    pub told: BTreeMap<String, Told>,
    /// Who has acknowledged it.
    #[serde(default)]
    pub ack: Option<Ack>,
    /// It grew too old to be told.
    #[serde(default)]
    pub expired: bool,
}

impl Record {
    pub(super) fn new(id: AlertId, alert: Alert, now: Stamp, before: u32) -> Record {
        Record { id, alert, raised: now, last: now, count: 1, before, told: BTreeMap::new(), ack: None, expired: false }
    }

    /// Whether somebody may still be told.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.ack.is_none() && !self.expired
    }

    /// Whether the same cause at `now` is this alert once more rather than a new one.
    pub(super) fn counts_again(&self, now: Stamp, dedupe: Span) -> bool {
        match self.alert.severity {
            // after an acknowledgement it is news again
            Severity::Act => self.is_open(),
            Severity::Warn => self.is_open() && now.since(self.raised) < dedupe,
        }
    }

    /// Desk time of another tenure may lie ahead of ours (a new journal begins at zero): ages are what wall time says.
    pub(super) fn rebase(&mut self, now: Stamp) {
        let rebase = |at: &mut Stamp| {
            let age = Span::millis(now.wall_ms.saturating_sub(at.wall_ms));
            at.mono = now.mono.saturating_sub(age.0);
        };
        rebase(&mut self.raised);
        rebase(&mut self.last);
        self.told.values_mut().for_each(|told| rebase(&mut told.at));
        if let Some(ack) = &mut self.ack {
            rebase(&mut ack.at);
        }
    }
}

/// The first `max` characters of `text`.
pub(crate) fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// `cause` without its figures, so that the same trouble with other numbers is the same trouble. Names keep theirs: P7, T3, 0x12….
pub(super) fn fingerprint(cause: &str) -> String {
    let figure = |word: &str| {
        let digits = word.trim_start_matches(['-', '+', '±', '$', '(', '~']);
        digits.starts_with(|c: char| c.is_ascii_digit()) && !digits.starts_with("0x")
    };
    let words = cause.split_whitespace().map(|word| if figure(word) { "#" } else { word });
    words.collect::<Vec<_>>().join(" ")
}
