//! The configuration in force, and what a changed file does to it.
//!
//! The supervisor reads the file and says of every changed key what the change does; here it is put in force, held, or refused.
//! What tightens applies at once, what loosens waits for [`domain::Command::Apply`], what is fixed waits for a restart. No reload
//! clears a stop.

use domain::{
    Act, Approval, ChangeClass, CommandReply, ConfigChange, ConfigText, Entry, Reload, ReloadOutcome, Reloaded, SpecFault, Stamp,
    config_number,
};
use margin_guard::{Limits, RawLimits};
use serde::{Deserialize, Serialize};

use crate::approvals::check_reason;
use crate::operator::fault;
use crate::{ApprovalVerdict, Desk, Effect, Severity, Topic};

/// Keys that an alert names; the rest is counted. The journal names all.
const KEYS_TOLD: usize = 12;

/// What is known of the configuration file beside what is in force.
#[derive(Debug, Default)]
pub(crate) struct Configuration {
    held: Option<Held>,
    /// Changes that wait for a restart.
    fixed: Vec<ConfigChange>,
    last: Option<(Stamp, Reloaded)>,
}

/// What a file loosens, until somebody applies it or the file changes.
#[derive(Debug)]
struct Held {
    file: String,
    config: Box<ConfigText>,
    changes: Vec<ConfigChange>,
}

/// The configuration as an operator sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConfigView {
    /// Hash of what is in force.
    pub hash: String,
    /// The guard's limits in force, as JSON with every default filled in.
    pub limits: String,
    /// All other keys in force, as JSON: path to value.
    pub keys: String,
    /// Hash of the file whose changes are held; absent if nothing is.
    pub held_file: Option<String>,
    /// What it loosens, held until `plimsoll apply`.
    pub held: Vec<ConfigChange>,
    /// What it changes that waits for a restart.
    pub fixed: Vec<ConfigChange>,
    /// The last look at the file, and when.
    pub last: Option<(Stamp, Reloaded)>,
}

impl Desk {
    /// The configuration in force and what is held beside it.
    #[must_use]
    pub fn configuration(&self) -> ConfigView {
        let Configuration { held, fixed, last } = &self.configuration;
        ConfigView {
            hash: self.books.config.clone(),
            limits: self.guard.limits().text().to_owned(),
            keys: self.books.config_keys.clone(),
            held_file: held.as_ref().map(|held| held.file.clone()),
            held: held.as_ref().map(|held| held.changes.clone()).unwrap_or_default(),
            fixed: fixed.clone(),
            last: last.clone(),
        }
    }

    /// Takes in a look at the file.
    ///
    /// # Errors
    /// If what it says cannot be put in force. Nothing changes then.
    pub(crate) fn on_reload(&mut self, now: Stamp, reload: &Reload, out: &mut Vec<Effect>) -> Result<(), Vec<SpecFault>> {
        match reload {
            Reload::Started { file, config, changes } => {
                let loosened = count(changes, ChangeClass::Loosen);
                if loosened > 0 {
                    let text =
                        format!("started with a configuration that loosens {loosened} keys of the last one: {}", told(changes));
                    self.alert(Severity::Warn, Topic::Reload, text, out);
                }
                let keys = Some(config.keys.clone());
                self.note_reload(now, ReloadOutcome::Started, Some(file), changes.clone(), Vec::new(), keys, &config.hash, out);
                Ok(())
            }
            Reload::Read { file, base, now: tightened, held, changes } => {
                if *base != self.books.config {
                    return Err(vec![fault("config", base, format!("compared with the one in force, {}", self.books.config))]);
                }
                self.read_file(now, file, tightened.as_deref(), held.as_deref(), changes, out)
            }
            Reload::Refused { file, why } => {
                self.configuration.held = None;
                self.configuration.fixed.clear();
                let text = format!("the configuration file is refused, and nothing changes: {}", why.join("; "));
                self.alert(Severity::Act, Topic::Reload, text, out);
                let config = self.books.config.clone();
                self.note_reload(now, ReloadOutcome::Refused, file.as_ref(), Vec::new(), why.clone(), None, &config, out);
                Ok(())
            }
        }
    }

    fn read_file(
        &mut self,
        now: Stamp,
        file: &str,
        tightened: Option<&ConfigText>,
        held: Option<&ConfigText>,
        changes: &[ConfigChange],
        out: &mut Vec<Effect>,
    ) -> Result<(), Vec<SpecFault>> {
        let of = |class| changes.iter().filter(move |c| c.class == class).cloned().collect::<Vec<_>>();
        let (fixed, loosened) = (of(ChangeClass::Fixed), of(ChangeClass::Loosen));
        // both before either: a file is taken as a whole or not at all
        let held = held.map(|config| self.checked(config).map(|_| config.clone())).transpose()?;
        let outcome = match tightened {
            Some(config) => {
                let limits = self.checked(config)?;
                self.note_reload(
                    now,
                    ReloadOutcome::Tightened,
                    Some(file),
                    changes.to_vec(),
                    Vec::new(),
                    Some(config.keys.clone()),
                    &config.hash,
                    out,
                );
                self.enforce(now, limits, out);
                ReloadOutcome::Tightened
            }
            None => {
                let outcome = if changes.is_empty() { ReloadOutcome::Unchanged } else { ReloadOutcome::Held };
                let config = self.books.config.clone();
                self.note_reload(now, outcome, Some(file), changes.to_vec(), Vec::new(), None, &config, out);
                outcome
            }
        };
        if outcome == ReloadOutcome::Tightened {
            let tight = of(ChangeClass::Tighten);
            self.alert(
                Severity::Warn,
                Topic::Reload,
                format!("the configuration file tightens, in force now: {}", told(&tight)),
                out,
            );
        }
        if !loosened.is_empty() {
            let text = format!("the configuration file loosens, held until plimsoll apply: {}", told(&loosened));
            self.alert(Severity::Act, Topic::Reload, text, out);
        }
        if !fixed.is_empty() {
            let text = format!("the configuration file changes what only a restart can: {}", told(&fixed));
            self.alert(Severity::Warn, Topic::Reload, text, out);
        }
        let held = held.map(|config| Held { file: file.to_owned(), config: Box::new(config), changes: loosened });
        (self.configuration.held, self.configuration.fixed) = (held, fixed);
        Ok(())
    }

    /// What of the file of hash `file` is held, a line per key, and whether it is grave: something grows beyond double (F96).
    ///
    /// # Errors
    /// If nothing of that file is held.
    pub(crate) fn held_lines(&self, file: &str) -> Result<(Vec<String>, bool), Vec<SpecFault>> {
        let held = self.held_of(file)?;
        Ok((held.changes.iter().map(ToString::to_string).collect(), held.changes.iter().any(|c| c.beyond_double)))
    }

    fn held_of(&self, file: &str) -> Result<&Held, Vec<SpecFault>> {
        let Some(held) = self.configuration.held.as_ref() else {
            return Err(vec![fault("file", file, "a configuration file that loosens something; nothing is held")]);
        };
        if held.file == file {
            Ok(held)
        } else {
            Err(vec![fault("file", file, format!("the file whose changes are held, {}", held.file))])
        }
    }

    /// Puts in force what the file of hash `file` loosens, once enough operators approve.
    ///
    /// # Errors
    /// If nothing of that file is held, no reason is given, or `approval` is missing or void.
    pub(crate) fn apply_held(
        &mut self,
        now: Stamp,
        file: &str,
        reason: &str,
        approval: Option<&Approval>,
        out: &mut Vec<Effect>,
    ) -> Result<CommandReply, Vec<SpecFault>> {
        if let Some(bad) = check_reason(reason, "why more is allowed from here on") {
            return Err(vec![bad]);
        }
        let (_, grave) = self.held_lines(file)?;
        let limits = self.checked(&self.held_of(file)?.config)?;
        let (act, needed) = (Act::Apply { file: file.to_owned() }, self.approvals_needed(grave));
        if let ApprovalVerdict::Waiting { have, needed, until_ms } = self.approve(now, &act, reason, approval, needed, out)? {
            return Ok(CommandReply::Waiting { have, needed, until_ms });
        }
        let Some(Held { file, config, changes }) = self.configuration.held.take() else { return Ok(CommandReply::Done) };
        let ConfigText { hash, keys, .. } = *config;
        let (outcome, why) = (ReloadOutcome::Applied, vec![reason.to_owned()]);
        let text = format!("in force by an operator's word ({reason}): {}", told(&changes));
        self.note_reload(now, outcome, Some(&file), changes, why, Some(keys), &hash, out);
        self.enforce(now, limits, out);
        self.alert(Severity::Warn, Topic::Reload, text, out);
        Ok(CommandReply::Done)
    }

    /// The limits of `config`, if they can be put in force.
    fn checked(&self, config: &ConfigText) -> Result<Limits, Vec<SpecFault>> {
        let raw: RawLimits = serde_json::from_str(&config.limits).map_err(|e| vec![fault("guard", "(text)", e.to_string())])?;
        let limits = Limits::check(raw)?;
        let faults = self.treasurer.as_ref().map(|treasurer| treasurer.faults_under(limits.cover())).unwrap_or_default();
        if faults.is_empty() { Ok(limits) } else { Err(faults) }
    }

    /// From here on `limits` apply. What rests and could make a position larger was cleared under others, so it is taken back and
    /// proposed anew.
    fn enforce(&mut self, now: Stamp, limits: Limits, out: &mut Vec<Effect>) {
        if limits.id() == self.guard.limits().id() {
            return;
        }
        self.record(now, Entry::Limits { id: limits.id(), text: limits.text().to_owned() }, out);
        if let Some(treasurer) = &mut self.treasurer {
            treasurer.follow(limits.cover());
        }
        self.guard.set_limits(limits);
        for venue in self.config.venues.clone() {
            self.cancel_growing(now, venue, out);
        }
        // sizes are worked out in this very step, not at the next look
        if self.watch.next().is_some() {
            self.watch.look_at(now);
        }
        self.holds_due = true;
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one record")]
    fn note_reload(
        &mut self,
        now: Stamp,
        outcome: ReloadOutcome,
        file: Option<impl Into<String>>,
        changes: Vec<ConfigChange>,
        why: Vec<String>,
        keys: Option<String>,
        config: &str,
        out: &mut Vec<Effect>,
    ) {
        let keys = keys.filter(|keys| *keys != self.books.config_keys);
        let note = Reloaded { outcome, file: file.map(Into::into), config: config.to_owned(), changes, why, keys };
        // a file that is looked at again and says the same is no news
        let again =
            outcome == ReloadOutcome::Unchanged || self.configuration.last.as_ref().is_some_and(|(_, last)| *last == note);
        self.configuration.last = Some((now, note.clone()));
        if !again {
            self.record(now, Entry::Reloaded(note), out);
        }
        self.guard.set_config(config_number(config));
    }
}

fn count(changes: &[ConfigChange], class: ChangeClass) -> usize {
    changes.iter().filter(|c| c.class == class).count()
}

/// The changes in words, cut where they are many.
fn told(changes: &[ConfigChange]) -> String {
    let mut text = changes.iter().take(KEYS_TOLD).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if changes.len() > KEYS_TOLD {
        text.push_str(&format!("; and {} more", changes.len() - KEYS_TOLD));
    }
    text
}
