//! What is told, to whom, when, and how often: a machine without I/O and without a clock.
//!
//! Alerts come in by [`Outbox::raise`], deliveries that are due go out by [`Outbox::due`], what became of them comes back by
//! [`Outbox::answered`]. A target gets one message at a time, the gravest and oldest first, and is left alone for a while after each
//! failure. An alert that somebody must act on is told again, and to further targets, until a person acknowledges it.

mod record;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use domain::{Alert, Prng, Severity, Span, Stamp, Topic};
use serde::{Deserialize, Serialize};

pub(crate) use record::cut;
pub use record::{Ack, AlertId, Record, Told};

/// Alerts remembered, open and settled. The desk has a dozen topics and counts repetitions, so this is days of trouble.
const RECORDS_MAX: usize = 512;
/// The longest that a failing target is left alone, milliseconds: once it works again, an alert is late by no more than this.
const BACKOFF_MAX_MS: u64 = 60_000;
/// The first bound of the jitter, milliseconds; it doubles with each failure in a row.
const BACKOFF_MS: u64 = 1_000;
/// The shortest wait after a failure, milliseconds: chance may draw almost nothing.
const BACKOFF_MIN_MS: u64 = 100;
/// A target that asks for more patience than this gets this much: a server's mistake must not silence an alert for a day.
const RETRY_AFTER_MAX: Span = Span::secs(15 * 60);
/// A warning that nobody could be told for so long is dropped: it is history.
const WARN_KEPT: Span = Span::secs(24 * 3_600);
/// An alert to act on is told no longer than this.
const ACT_KEPT: Span = Span::secs(7 * 24 * 3_600);
/// After so many messages about one alert to one target they come at a quarter of the pace.
const REPEATS_BRISK: u32 = 8;
/// An alert that was raised so little before what it is about was recorded is about that, milliseconds.
const REMIND_SLACK_MS: u64 = 1_000;
/// An alert to act on that nobody has heard of for so long turns the light red.
const RED_AFTER: Span = Span::secs(60);
/// Characters of a cause that are kept; a message to a telephone is short.
const CAUSE_MAX: usize = 1_200;

/// Where alerts go, and how insistently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The targets. Without any nothing is ever due.
    pub targets: Vec<Target>,
    /// The same warning within this time is counted, not told again.
    pub dedupe: Span,
    /// An alert to act on is told again after this time, until it is acknowledged.
    pub repeat_every: Span,
    /// An alert to act on that reached nobody for this long is unattended (F105).
    pub unattended_after: Span,
}

/// One target, as far as deciding goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name in the configuration.
    pub name: String,
    /// Alerts below this are not for it.
    pub least: Severity,
    /// Zero: it is told at once. Otherwise it is told of an alert to act on that is unacknowledged for this long, and of nothing else.
    pub after: Span,
    /// Between two messages to it.
    pub pace: Span,
}

/// A message to be sent now.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// To which target, counted as in the plan.
    pub target: usize,
    /// The alert.
    pub record: Record,
    /// How often this target was told of it before.
    pub before: u32,
    /// How long the alert has been open.
    pub open_for: Span,
    /// Alerts that were lost for want of room, ever.
    pub lost: u64,
}

impl Delivery {
    /// A message that stands in no outbox, to try whether `target` takes it.
    #[must_use]
    pub fn trial(target: usize, alert: Alert, now: Stamp) -> Delivery {
        let record = Record::new(AlertId(0), alert, now, 0);
        Delivery { target, record, before: 0, open_for: Span::ZERO, lost: 0 }
    }
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The target has it.
    Delivered {
        /// In the target's words.
        words: String,
    },
    /// Not now: no answer, a fault of the target's, or too many messages.
    Later {
        /// How long the target wants to be left alone, if it said so.
        after: Option<Span>,
        /// Why.
        words: String,
    },
    /// The target will not have this message; trying others is worth more than trying this one again.
    Refused {
        /// Why.
        words: String,
    },
}

impl Answer {
    /// In words.
    #[must_use]
    pub fn words(&self) -> &str {
        match self {
            Answer::Delivered { words } | Answer::Later { words, .. } | Answer::Refused { words } => words,
        }
    }
}

/// There is no such alert.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: no such alert; open: {}", id, if open.is_empty() { "none".to_owned() } else { open.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ") })]
pub struct NoAlert {
    /// Which was asked for.
    pub id: AlertId,
    /// Those that wait for an acknowledgement.
    pub open: Vec<AlertId>,
}

/// How the telling goes, as a colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Light {
    /// No target is configured.
    #[default]
    Off,
    /// Alerts arrive, as far as is known.
    Green,
    /// A target fails, something was lost, or the outbox would not survive a crash.
    Yellow,
    /// Nobody can be told.
    Red,
}

impl Light {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Light::Off => "off",
            Light::Green => "green",
            Light::Yellow => "YELLOW",
            Light::Red => "RED",
        }
    }
}

/// How a target does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetHealth {
    /// Its name.
    pub name: String,
    /// When it last took a message, UTC milliseconds; absent: not in this tenure.
    pub delivered_ms: Option<u64>,
    /// Since when it fails, UTC milliseconds; absent: it does not.
    pub failing_since_ms: Option<u64>,
    /// Failures in a row.
    pub failures: u32,
    /// What it said last.
    pub words: String,
    /// Alerts that it should have had by now.
    pub waiting: usize,
}

/// How the telling goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// In one word.
    pub light: Light,
    /// Why it is not green.
    pub why: Vec<String>,
    /// Every target.
    pub targets: Vec<TargetHealth>,
    /// Alerts to act on that nobody has acknowledged.
    pub unacknowledged: usize,
    /// Alerts lost for want of room, in this tenure.
    pub lost: u64,
}

/// Everything that the outbox knows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Listing {
    /// How the telling goes.
    pub health: Health,
    /// The alerts, newest first.
    pub alerts: Vec<Record>,
}

/// A target's state between two messages.
#[derive(Debug, Default)]
struct Lane {
    flying: Option<AlertId>,
    failures: u32,
    failing_since: Option<Stamp>,
    not_before: Stamp,
    delivered: Option<Stamp>,
    words: String,
    /// How often it would not have an alert: such wait behind the others.
    refusals: BTreeMap<AlertId, u32>,
}

type Key = (Severity, Topic, String);

/// The outbox.
#[derive(Debug)]
pub struct Outbox {
    plan: Plan,
    chance: Prng,
    records: BTreeMap<AlertId, Record>,
    /// The newest record of each cause.
    known: BTreeMap<Key, AlertId>,
    lanes: Vec<Lane>,
    next: u64,
    changed: BTreeSet<AlertId>,
    lost: u64,
}

impl Outbox {
    /// An outbox that goes on with `records` of an earlier tenure: what they do not show as told is told again. `chance` spreads
    /// retries.
    #[must_use]
    pub fn resume(plan: Plan, chance: Prng, now: Stamp, records: Vec<Record>) -> Outbox {
        let lanes = plan.targets.iter().map(|_| Lane::default()).collect();
        let mut this = Outbox {
            plan,
            chance,
            records: BTreeMap::new(),
            known: BTreeMap::new(),
            lanes,
            next: 1,
            changed: BTreeSet::new(),
            lost: 0,
        };
        for mut record in records {
            record.rebase(now);
            this.next = this.next.max(record.id.0.saturating_add(1));
            this.known.insert(key_of(&record.alert), record.id);
            this.records.insert(record.id, record);
        }
        while this.records.len() > RECORDS_MAX && this.drop_one() {}
        this
    }

    /// Takes in an alert. A repetition is counted: of a warning within [`Plan::dedupe`], of an alert to act on until it is
    /// acknowledged. `None`: there was no room, and it is counted as lost.
    pub fn raise(&mut self, now: Stamp, mut alert: Alert) -> Option<AlertId> {
        alert.cause = record::cut(&alert.cause, CAUSE_MAX);
        let key = key_of(&alert);
        let mut before = 0;
        if let Some(record) = self.known.get(&key).and_then(|id| self.records.get_mut(id)) {
            if record.counts_again(now, self.plan.dedupe) {
                record.count = record.count.saturating_add(1);
                record.last = now;
                if record.told.is_empty() {
                    record.alert = alert;
                }
                // a flood writes the store a few dozen times, whatever its length
                if record.count.is_power_of_two() {
                    self.changed.insert(record.id);
                }
                return Some(record.id);
            }
            before = record.count.saturating_sub(1);
        }
        if self.records.len() >= RECORDS_MAX && !self.drop_one() {
            self.lose(1);
            return None;
        }
        let id = AlertId(self.next);
        self.next += 1;
        self.records.insert(id, Record::new(id, alert, now, before));
        self.known.insert(key, id);
        self.changed.insert(id);
        Some(id)
    }

    /// Takes in an alert about what lasts since `began`, as an earlier tenure may or may not have done: known since then, acknowledged
    /// or not, it is left as it is.
    pub fn remind(&mut self, now: Stamp, alert: Alert, began: Stamp) -> Option<AlertId> {
        let cut = Alert { cause: record::cut(&alert.cause, CAUSE_MAX), ..alert };
        let known = self.known.get(&key_of(&cut)).and_then(|id| self.records.get(id));
        match known.filter(|r| r.last.wall_ms.saturating_add(REMIND_SLACK_MS) >= began.wall_ms) {
            Some(record) => Some(record.id),
            None => self.raise(now, cut),
        }
    }

    /// `count` alerts were lost before they came here.
    pub fn lose(&mut self, count: u64) {
        self.lost = self.lost.saturating_add(count);
    }

    /// A person has seen the alert and acts: nobody is told of it any more.
    ///
    /// # Errors
    /// If there is no such alert.
    pub fn acknowledge(&mut self, now: Stamp, id: AlertId, by: &str) -> Result<(), NoAlert> {
        let open = || self.open().map(|r| r.id).collect();
        let no_alert = NoAlert { id, open: open() };
        let record = self.records.get_mut(&id).ok_or(no_alert)?;
        if record.ack.is_none() {
            record.ack = Some(Ack { at: now, by: record::cut(by, 80) });
            self.changed.insert(id);
        }
        Ok(())
    }

    /// Messages to send now, at most one per target. Each must be answered with [`Outbox::answered`].
    pub fn due(&mut self, now: Stamp) -> Vec<Delivery> {
        self.expire(now);
        let mut due = Vec::new();
        for at in 0..self.lanes.len() {
            let Some((target, lane)) = self.plan.targets.get(at).zip(self.lanes.get(at)) else { continue };
            if lane.flying.is_some() || lane.not_before.mono > now.mono {
                continue;
            }
            let rank = |r: &&Record| (Reverse(r.alert.severity), lane.refusals.get(&r.id).copied().unwrap_or(0), r.id);
            let ripe = self.records.values().filter(|r| self.wanted(target, r).is_some_and(|at| at.mono <= now.mono));
            let Some(record) = ripe.min_by_key(rank).cloned() else { continue };
            let before = record.told.get(&target.name).map_or(0, |told| told.times);
            let open_for = now.since(record.raised);
            if let Some(lane) = self.lanes.get_mut(at) {
                lane.flying = Some(record.id);
            }
            due.push(Delivery { target: at, record, before, open_for, lost: self.lost });
        }
        due
    }

    /// What became of the message about `id` to `target`.
    pub fn answered(&mut self, now: Stamp, target: usize, id: AlertId, answer: &Answer) {
        let Some((lane, name)) = self.lanes.get_mut(target).zip(self.plan.targets.get(target)) else { return };
        lane.flying = None;
        answer.words().clone_into(&mut lane.words);
        let asked = match answer {
            Answer::Delivered { .. } => {
                lane.failures = 0;
                lane.failing_since = None;
                lane.delivered = Some(now);
                lane.not_before = now + name.pace;
                lane.refusals.remove(&id);
                if let Some(record) = self.records.get_mut(&id) {
                    let told = record.told.entry(name.name.clone()).or_insert(Told { at: now, times: 0 });
                    *told = Told { at: now, times: told.times.saturating_add(1) };
                    self.changed.insert(id);
                }
                return;
            }
            Answer::Later { after, .. } => after.unwrap_or(Span::ZERO).min(RETRY_AFTER_MAX),
            Answer::Refused { .. } => {
                *lane.refusals.entry(id).or_insert(0) += 1;
                Span::ZERO
            }
        };
        lane.failures = lane.failures.saturating_add(1);
        lane.failing_since.get_or_insert(now);
        let bound = BACKOFF_MS.checked_shl(lane.failures.min(16) - 1).unwrap_or(BACKOFF_MAX_MS).min(BACKOFF_MAX_MS);
        let jitter = Span::millis(self.chance.below(bound).max(BACKOFF_MIN_MS));
        lane.not_before = now + asked.max(jitter);
    }

    /// When [`Outbox::due`] or [`Outbox::unattended`] may next have something new to say without further news.
    #[must_use]
    pub fn wake(&self, now: Stamp) -> Option<Stamp> {
        let lanes = self.plan.targets.iter().zip(&self.lanes).filter(|(_, lane)| lane.flying.is_none());
        let sends = lanes.filter_map(|(target, lane)| {
            let first = self.records.values().filter_map(|r| self.wanted(target, r)).min_by_key(|at| at.mono)?;
            Some(if first.mono > lane.not_before.mono { first } else { lane.not_before })
        });
        let silent = self.open().filter(|r| r.told.is_empty()).map(|r| r.raised + self.plan.unattended_after);
        sends.chain(silent.filter(|at| at.mono > now.mono)).min_by_key(|at| at.mono)
    }

    /// The oldest alert to act on that reached nobody for [`Plan::unattended_after`] and that nobody has acknowledged (F105).
    #[must_use]
    pub fn unattended(&self, now: Stamp) -> Option<&Record> {
        if self.plan.targets.is_empty() {
            return None;
        }
        self.open().find(|r| r.told.is_empty() && now.since(r.raised) >= self.plan.unattended_after)
    }

    /// Records that changed since the last call, to be made durable.
    pub fn take_changed(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.changed).iter().filter_map(|id| self.records.get(id)).cloned().collect()
    }

    /// All records, oldest first.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// How the telling goes.
    #[must_use]
    pub fn health(&self, now: Stamp) -> Health {
        let ripe = |target: &Target| {
            let due = |r: &&Record| self.wanted(target, r).is_some_and(|at| at.mono <= now.mono);
            self.records.values().filter(due).count()
        };
        let targets: Vec<TargetHealth> = self
            .plan
            .targets
            .iter()
            .zip(&self.lanes)
            .map(|(target, lane)| TargetHealth {
                name: target.name.clone(),
                delivered_ms: lane.delivered.map(|at| at.wall_ms),
                failing_since_ms: lane.failing_since.map(|at| at.wall_ms),
                failures: lane.failures,
                words: lane.words.clone(),
                waiting: ripe(target),
            })
            .collect();
        let mut health = Health {
            light: if targets.is_empty() { Light::Off } else { Light::Green },
            why: Vec::new(),
            unacknowledged: self.open().count(),
            lost: self.lost,
            targets,
        };
        for target in health.targets.clone().iter().filter(|t| t.failing_since_ms.is_some()) {
            let (name, failures, words) = (&target.name, target.failures, &target.words);
            health.worsen(Light::Yellow, format!("{name} fails, {failures} times in a row: {words}"));
        }
        if self.lost > 0 {
            health.worsen(Light::Yellow, format!("{} alerts were lost for want of room", self.lost));
        }
        if !self.lanes.is_empty() && self.lanes.iter().all(|lane| lane.failing_since.is_some()) {
            health.worsen(Light::Red, "no target takes messages".to_owned());
        }
        let silent = self.open().find(|r| r.told.is_empty() && now.since(r.raised) >= RED_AFTER);
        if let Some(record) = silent.filter(|_| !self.lanes.is_empty()) {
            health.worsen(Light::Red, format!("{} has reached nobody for {}", record.id, now.since(record.raised)));
        }
        health
    }

    /// Everything, newest alerts first.
    #[must_use]
    pub fn listing(&self, now: Stamp) -> Listing {
        Listing { health: self.health(now), alerts: self.records.values().rev().cloned().collect() }
    }

    /// Whether every alert has reached every target that should have it by now.
    #[must_use]
    pub fn is_quiet(&self, now: Stamp) -> bool {
        let quiet = |(target, lane): (&Target, &Lane)| {
            lane.flying.is_none() && !self.records.values().any(|r| self.wanted(target, r).is_some_and(|at| at.mono <= now.mono))
        };
        self.plan.targets.iter().zip(&self.lanes).all(quiet)
    }

    fn open(&self) -> impl Iterator<Item = &Record> {
        self.records.values().filter(|r| r.is_open() && r.alert.severity == Severity::Act)
    }

    /// When `target` wants to hear of `record` next; `None`: never again.
    fn wanted(&self, target: &Target, record: &Record) -> Option<Stamp> {
        let act = record.alert.severity == Severity::Act;
        if !record.is_open() || record.alert.severity < target.least || (!act && target.after > Span::ZERO) {
            return None;
        }
        match record.told.get(&target.name) {
            None => Some(record.raised + target.after),
            Some(told) if act => {
                let pace = if told.times < REPEATS_BRISK { 1 } else { 4 };
                Some(told.at + self.plan.repeat_every.scale(pace, 1))
            }
            Some(_) => None,
        }
    }

    fn is_settled(&self, record: &Record) -> bool {
        self.plan.targets.iter().all(|target| self.wanted(target, record).is_none())
    }

    fn expire(&mut self, now: Stamp) {
        let old = |r: &Record| now.since(r.last) >= if r.alert.severity == Severity::Act { ACT_KEPT } else { WARN_KEPT };
        let expired: Vec<AlertId> = self.records.values().filter(|r| r.is_open() && old(r)).map(|r| r.id).collect();
        for id in expired {
            if let Some(record) = self.records.get_mut(&id) {
                record.expired = true;
                self.changed.insert(id);
            }
        }
    }

    /// Drops the oldest settled record, or the oldest warning, which is then lost; false if there is neither.
    fn drop_one(&mut self) -> bool {
        let settled = self.records.values().find(|r| self.is_settled(r)).map(|r| r.id);
        let warning = || self.records.values().find(|r| r.alert.severity == Severity::Warn).map(|r| r.id);
        let Some(id) = settled.or_else(warning) else { return false };
        if settled.is_none() {
            self.lose(1);
        }
        if let Some(record) = self.records.remove(&id) {
            let key = key_of(&record.alert);
            if self.known.get(&key) == Some(&id) {
                self.known.remove(&key);
            }
        }
        self.changed.remove(&id);
        self.lanes.iter_mut().for_each(|lane| {
            lane.refusals.remove(&id);
        });
        true
    }
}

impl Health {
    /// Turns the light to `light` if that is worse, and says why.
    pub fn worsen(&mut self, light: Light, why: String) {
        self.light = self.light.max(light);
        self.why.push(why);
    }
}

fn key_of(alert: &Alert) -> Key {
    (alert.severity, alert.topic, record::fingerprint(&alert.cause))
}
