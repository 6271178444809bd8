//! The configuration file of a running daemon: looked at once a second and at SIGHUP, compared with what is in force, handed to the
//! desk. docs/reload.md is the operator's side of it.
//!
//! This task decides nothing: `config::compare` says what each changed key does, the desk puts it in force, holds or refuses it.
//! Only a stop does not wait for the desk: the gate is closed as soon as the file says so.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use desk::ConfigView;
use domain::{Command, CommandReply, ConfigChange, Entry, Reload, SpecFault, Stamped, Stop, StopLevel, Trigger};
use margin_guard::{Limits, RawLimits};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use tracing::{error, warn};

use crate::api;
use crate::config::{self, Checked, ConfigError, Diff, Keys, Seen};
use crate::daemon::Request;
use crate::gate::Gate;
use crate::triggers::Tripwire;
use crate::{Failure, wall};

/// How often the file is looked at from outside.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A file is compared anew if the configuration in force changed meanwhile; more than a few times in a row it does not.
const COMPARE_MAX: u32 = 5;
/// Reasons of one refusal that are told; a file of nothing but faults has thousands.
const REASONS_MAX: usize = 50;

/// SIGHUP, heard from the moment the process starts: unheard it would end it.
///
/// # Errors
/// If the signal cannot be listened for.
pub fn listen() -> Result<Signal, Failure> {
    signal(SignalKind::hangup()).map_err(|e| Failure::other(format!("signals: {e}")))
}

/// Everything it takes to read the configuration again as it was read at start.
pub struct Reloader {
    /// As the daemon started with it.
    pub started: Checked,
    /// `--set`.
    pub set: Vec<String>,
    /// The environment of the start.
    pub environment: Vec<(String, String)>,
    /// To the loop.
    pub requests: mpsc::Sender<Request>,
    /// Pulled at once when the file says stop.
    pub wire: Arc<Tripwire>,
    /// Where it can be seen whether somebody has re-armed while the file still says so.
    pub gate: Arc<Gate>,
}

impl Reloader {
    /// Watches the file until the loop ends.
    pub async fn watch(self, mut hangup: Signal) {
        let mut every = tokio::time::interval(LOOK_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let path = self.started.origin.path.clone();
        // between the start's reading and this line the file may have changed: the first look is free
        let (mut read, mut before): (Option<Option<Seen>>, Option<Seen>) = (None, None);
        let mut engaged = self.started.kill.engaged;
        while !self.requests.is_closed() {
            let asked = tokio::select! {
                _ = every.tick() => false,
                Some(()) = hangup.recv() => true,
            };
            let now = config::seen(&path);
            let settled = std::mem::replace(&mut before, now) == now;
            if !asked && read == Some(now) {
                if engaged.is_some_and(|level| level >= StopLevel::Block) && !self.gate.is_closed() {
                    engaged.into_iter().for_each(|level| self.stop(level));
                }
                continue;
            }
            engaged = config::scan_for_stop(&config::peek(&path));
            engaged.into_iter().for_each(|level| self.stop(level));
            // half a file that somebody is still writing says nothing of the other half
            if settled || asked {
                read = Some(now);
                engaged = self.look().await.or(engaged);
            }
        }
    }

    /// Stops by the file's word. The gate waits for nobody; the desk makes the latch durable.
    fn stop(&self, level: StopLevel) {
        self.wire.pull(&engaged(&self.started, level));
    }

    /// Reads the file and has the desk take it in. Answers with the level at which it stops, if it does.
    async fn look(&self) -> Option<StopLevel> {
        let (origin, set, environment) = (self.started.origin.clone(), self.set.clone(), self.environment.clone());
        let loaded = tokio::task::spawn_blocking(move || config::load_again(&origin, &set, environment, wall::today())).await;
        let mut engaged = None;
        let reload = match loaded {
            Ok(Ok(checked)) => {
                engaged = checked.kill.engaged;
                engaged.into_iter().for_each(|level| self.stop(level));
                self.take(&checked).await
            }
            Ok(Err(e)) => Some(refused(None, e)),
            Err(e) => {
                error!("reading the configuration file panicked: {e}");
                None
            }
        };
        if let Some(reload) = reload
            && let Some(CommandReply::Refused(faults)) = api::ask(&self.requests, Command::Reload(reload)).await
        {
            warn!("the desk refused to hear of the configuration file: {}", in_words(&faults).join("; "));
        }
        engaged
    }

    /// Has the desk put `checked` in force as far as it goes. Answers with the refusal to record, if it does not go.
    async fn take(&self, checked: &Checked) -> Option<Reload> {
        let file = checked.origin.hash.clone();
        for _ in 0..COMPARE_MAX {
            let view = in_force(&self.requests).await?;
            let reload = match self.compare(&view, checked) {
                Ok(reload) => reload,
                Err(faults) => return Some(Reload::Refused { file: Some(file), why: in_words(&faults) }),
            };
            match api::ask(&self.requests, Command::Reload(reload)).await? {
                CommandReply::Refused(faults) if faults.iter().any(|fault| fault.field == "config") => {}
                CommandReply::Refused(faults) => return Some(Reload::Refused { file: Some(file), why: in_words(&faults) }),
                CommandReply::Done | CommandReply::Accepted(_) | CommandReply::Drilling(_) | CommandReply::Waiting { .. } => {
                    return None;
                }
            }
        }
        Some(Reload::Refused {
            file: Some(file),
            why: vec!["the configuration in force changed while it was compared".to_owned()],
        })
    }

    fn compare(&self, view: &ConfigView, checked: &Checked) -> Result<Reload, Vec<SpecFault>> {
        let Diff { changes, tightened, loosened } = differs(view, checked)?;
        // what a restart alone can change stays as it is, so the hash is that of the start with other limits
        let text = |limits: Limits| {
            let mut text = self.started.under(limits).text();
            text.keys.clone_from(&view.keys);
            Box::new(text)
        };
        Ok(Reload::Read {
            file: checked.origin.hash.clone(),
            base: view.hash.clone(),
            now: tightened.map(text),
            held: loosened.map(text),
            changes,
        })
    }
}

/// The stop that `[kill] engaged = true` is.
#[must_use]
pub fn engaged(config: &Checked, level: StopLevel) -> Stop {
    Stop::all(level, Trigger::Reload, format!("{}: [kill] engaged = true", config.origin.path.display()))
}

/// Why a re-arm has to wait for somebody to change the file: it says stop as it stands (C33).
#[must_use]
pub fn standing(config: &Path) -> Option<SpecFault> {
    let level = config::scan_for_stop(&config::peek(config))?;
    let expected = format!("false: {} asks for {level} as long as it says otherwise", config.display());
    Some(SpecFault { field: "kill.engaged".into(), value: "true".into(), expected })
}

/// What is in force, by the loop's word; nothing if it has ended.
pub async fn in_force(requests: &mpsc::Sender<Request>) -> Option<ConfigView> {
    let (to, from) = oneshot::channel();
    requests.send(Request::Config(to)).await.ok()?;
    from.await.ok().map(|view| *view)
}

/// What `checked` changes of what is in force.
///
/// # Errors
/// As [`config::compare`], or if what is in force cannot be read.
pub fn differs(view: &ConfigView, checked: &Checked) -> Result<Diff, Vec<SpecFault>> {
    config::compare(&limits_of(&view.limits)?, &keys_of(&view.keys), &checked.limits, &checked.keys)
}

fn limits_of(text: &str) -> Result<Limits, Vec<SpecFault>> {
    let fault = |why: String| vec![SpecFault { field: "guard".into(), value: "(in force)".into(), expected: why }];
    Limits::check(serde_json::from_str::<RawLimits>(text).map_err(|e| fault(e.to_string()))?)
}

fn keys_of(text: &str) -> Keys {
    serde_json::from_str(text).unwrap_or_default()
}

fn in_words(faults: &[SpecFault]) -> Vec<String> {
    let mut words: Vec<String> = faults.iter().take(REASONS_MAX).map(ToString::to_string).collect();
    if faults.len() > REASONS_MAX {
        words.push(format!("and {} more", faults.len() - REASONS_MAX));
    }
    words
}

fn refused(file: Option<String>, error: ConfigError) -> Reload {
    let why = match error {
        ConfigError::Faults { faults, .. } => in_words(&faults),
        other @ (ConfigError::Missing | ConfigError::Untrusted { .. } | ConfigError::Unreadable { .. }) => {
            vec![other.to_string()]
        }
    };
    Reload::Refused { file, why }
}

/// The configuration that was in force last, by the journal alone; nothing if it names none.
#[must_use]
pub fn journaled(entries: &[Stamped]) -> Option<ConfigView> {
    let (mut limits, mut keys, mut hash) = (None, None, String::new());
    for stamped in entries {
        if let Entry::Epoch { config, .. } = &stamped.entry {
            hash.clone_from(config);
        } else if let Entry::Limits { text, .. } = &stamped.entry {
            limits = Some(text.clone());
        } else if let Entry::Reloaded(reloaded) = &stamped.entry {
            hash.clone_from(&reloaded.config);
            if reloaded.keys.is_some() {
                keys.clone_from(&reloaded.keys);
            }
        }
    }
    let (limits, keys) = (limits?, keys?);
    Some(ConfigView { hash, limits, keys, held_file: None, held: Vec::new(), fixed: Vec::new(), last: None })
}

/// What a daemon that starts with `config` over `entries` tells its desk: a start is an operator's act and applies the file, and the
/// journal says what that changed.
#[must_use]
pub fn started(config: &Checked, entries: &[Stamped]) -> Reload {
    let changes = journaled(entries).map(|view| differs(&view, config));
    let changes = match changes {
        None => Vec::new(),
        Some(Ok(diff)) => diff.changes,
        Some(Err(faults)) => {
            warn!("what the file changes cannot be told: {}", in_words(&faults).join("; "));
            Vec::new()
        }
    };
    Reload::Started { file: config.origin.hash.clone(), config: Box::new(config.text()), changes }
}

/// A comparison in lines for a person: what would happen at once, what would be held, what needs a restart.
#[must_use]
pub fn describe(against: &str, changes: &[ConfigChange]) -> Vec<String> {
    use domain::ChangeClass::{Fixed, Loosen, Tighten};
    let mut lines = vec![format!("compared with {against}:")];
    if changes.is_empty() {
        lines.push("  nothing differs".to_owned());
    }
    for (class, head) in
        [(Tighten, "would apply at once:"), (Loosen, "would be held until plimsoll apply:"), (Fixed, "would wait for a restart:")]
    {
        let of: Vec<&ConfigChange> = changes.iter().filter(|c| c.class == class).collect();
        if !of.is_empty() {
            lines.push(format!("  {head}"));
            lines.extend(of.iter().map(|change| format!("    {change}")));
        }
    }
    lines
}
