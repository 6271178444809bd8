//! `[alerts]`: who is told, and how insistently. What is secret of a target stands in a file beside the configuration, never in it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use alerts::{Channel, Plan, Secret, Sender, Target};
use domain::{Severity, Span, SpecFault};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::checked::{BOOL, Faults, duration, word};
use super::raw::{Scalar, Unknown, quoted, section, table};

/// More people than this are told by a tool made for that.
const TARGETS_MAX: usize = 16;
/// Names stand in messages and logs.
const NAME_MAX: usize = 32;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// Telegram's and Slack's own limit for one chat or channel.
const CHAT_PACE: Span = Span::secs(1);
/// Where Telegram serves its Bot API.
const TELEGRAM: &str = "https://api.telegram.org";

/// `[alerts]`
#[derive(Debug, Default)]
pub struct RawAlerts {
    /// What stands in it itself.
    pub keys: RawAlertsKeys,
    /// `[alerts.target.NAME]`, in the order of names.
    pub targets: Vec<(String, RawTarget)>,
}

/// The keys of `[alerts]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawAlertsKeys {
    /// Whether anybody is told.
    pub enabled: Option<Scalar>,
    /// The daemon's name in messages.
    pub name: Option<Scalar>,
    /// The same warning within this time is counted.
    pub dedupe: Option<Scalar>,
    /// An unacknowledged alert to act on is told again after this time.
    pub repeat_every: Option<Scalar>,
    /// After so long without anybody told positions may only shrink.
    pub unattended_after: Option<Scalar>,
    /// Anything else.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// `[alerts.target.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawTarget {
    /// `webhook`, `telegram` or `slack`.
    pub kind: Option<Scalar>,
    /// `warn` or `act`.
    pub severity: Option<Scalar>,
    /// How long an alert must have been unacknowledged.
    pub after: Option<Scalar>,
    /// For one message and its answer.
    pub timeout: Option<Scalar>,
    /// File with the address (webhook, slack).
    pub url_file: Option<Scalar>,
    /// File with a bearer token (webhook).
    pub bearer_file: Option<Scalar>,
    /// File with the bot's token (telegram).
    pub token_file: Option<Scalar>,
    /// The chat (telegram).
    pub chat: Option<Scalar>,
    /// The forum's topic (telegram).
    pub thread: Option<Scalar>,
    /// Base of the Bot API (telegram).
    pub api: Option<Scalar>,
    /// Anything else.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// Reads the section key by key.
pub(super) fn read(value: Value, faults: &mut Vec<SpecFault>) -> RawAlerts {
    let mut keys = table("alerts", value, faults);
    let targets = table("alerts.target", keys.remove("target").unwrap_or(Value::Null), faults);
    let targets = targets.into_iter().map(|(name, target)| {
        let read = section(&format!("alerts.target.{}", quoted(&name)), target, faults);
        (name, read)
    });
    let targets = targets.collect();
    RawAlerts { keys: section("alerts", Value::Object(Map::from_iter(keys)), faults), targets }
}

/// How a target is spoken to, and in which files its secrets are.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Road {
    Webhook { url_file: PathBuf, bearer_file: Option<PathBuf> },
    Telegram { api: String, token_file: PathBuf, chat: String, thread: Option<i64> },
    Slack { url_file: PathBuf },
}

/// `[alerts.target.NAME]`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TargetPart {
    name: String,
    least: Severity,
    after: Span,
    timeout: Duration,
    road: Road,
}

/// `[alerts]`, checked and switched on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertsPart {
    /// The daemon's name in messages.
    pub name: String,
    dedupe: Span,
    repeat_every: Span,
    unattended_after: Span,
    targets: Vec<TargetPart>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Webhook,
    Telegram,
    Slack,
}

impl AlertsPart {
    /// Checks `raw`; its faults go to `faults`. Nothing if nobody is to be told.
    pub(super) fn check(faults: &mut Faults, raw: &RawAlerts, base: &Path) -> Option<AlertsPart> {
        let keys = &raw.keys;
        faults.unknown("alerts", &keys.unknown);
        let enabled = faults.read("alerts.enabled", keys.enabled.as_ref(), false, "true or false", word(BOOL));
        let name =
            faults.read("alerts.name", keys.name.as_ref(), "plimsoll".to_owned(), "1 to 32 printable characters", |text| {
                let printable = (1..=NAME_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
                printable.then(|| text.to_owned())
            });
        let mut span = |key: &str, value, default, low, said: &str| {
            Span::millis(faults.read(&format!("alerts.{key}"), value, default, said, duration(low, DAY_MS)))
        };
        let part = AlertsPart {
            name,
            dedupe: span("dedupe", keys.dedupe.as_ref(), 300_000, 0, "a duration of 0s to 24h"),
            repeat_every: span("repeat_every", keys.repeat_every.as_ref(), 900_000, 60_000, "a duration of 1m to 24h"),
            unattended_after: span("unattended_after", keys.unattended_after.as_ref(), 900_000, 1_000, "a duration of 1s to 24h"),
            targets: raw.targets.iter().filter_map(|(name, target)| check_target(faults, name, target, base)).collect(),
        };
        if raw.targets.len() > TARGETS_MAX {
            faults.add("alerts.target", raw.targets.len(), format!("at most {TARGETS_MAX} targets"));
        }
        let at_once = |target: &TargetPart| target.after == Span::ZERO;
        if enabled && part.targets.len() == raw.targets.len() && !part.targets.iter().any(at_once) {
            let expected = "a section [alerts.target.NAME] whose after is 0s: somebody must be told at once";
            faults.add("alerts.target", if raw.targets.is_empty() { "(absent)" } else { "(none)" }, expected);
        }
        enabled.then_some(part)
    }

    /// Whom to tell, and when.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let target = |t: &TargetPart| Target {
            name: t.name.clone(),
            least: t.least,
            after: t.after,
            pace: match t.road {
                Road::Webhook { .. } => Span::ZERO,
                Road::Telegram { .. } | Road::Slack { .. } => CHAT_PACE,
            },
        };
        Plan {
            targets: self.targets.iter().map(target).collect(),
            dedupe: self.dedupe,
            repeat_every: self.repeat_every,
            unattended_after: self.unattended_after,
        }
    }

    /// One sender per target of the plan. Reads the files with secrets.
    ///
    /// # Errors
    /// Every file that cannot be used and every address that is none. No secret is in any of them.
    pub fn senders(&self) -> Result<Vec<Sender>, Vec<SpecFault>> {
        let mut faults = Faults(Vec::new());
        let senders: Vec<Sender> = self.targets.iter().filter_map(|target| self.sender(target, &mut faults)).collect();
        if faults.0.is_empty() { Ok(senders) } else { Err(faults.0) }
    }

    fn sender(&self, target: &TargetPart, faults: &mut Faults) -> Option<Sender> {
        let path = format!("alerts.target.{}", target.name);
        let mut secret = |key: &str, file: &Path| {
            let read = Secret::from_file(file);
            read.map_err(|e| faults.add(format!("{path}.{key}"), file.display(), e.to_string())).ok()
        };
        let (key, channel) = match &target.road {
            Road::Webhook { url_file, bearer_file } => {
                let url = secret("url_file", url_file);
                let bearer = bearer_file.as_ref().map(|file| secret("bearer_file", file));
                let bearer = match bearer {
                    Some(None) => return None,
                    Some(bearer) => bearer,
                    None => None,
                };
                ("url_file", Channel::Webhook { url: url?, bearer })
            }
            Road::Telegram { api, token_file, chat, thread } => {
                let token = secret("token_file", token_file)?;
                ("api", Channel::Telegram { api: api.clone(), token, chat: chat.clone(), thread: *thread })
            }
            Road::Slack { url_file } => ("url_file", Channel::Slack { url: secret("url_file", url_file)? }),
        };
        let made = Sender::new(channel, &self.name, target.timeout);
        made.map_err(|e| faults.add(format!("{path}.{key}"), "(not shown)", e.to_string())).ok()
    }

    /// What of it decides what the daemon does, for the configuration's hash.
    pub(super) fn said(&self) -> Value {
        json!([self.unattended_after])
    }

    /// The section in plain words, one a line.
    pub(super) fn describe(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "Alerts, as {}: the same warning is counted for {}; one to act on is told again every {} until acknowledged; if it reaches \
             nobody for {}, positions may only shrink.",
            self.name, self.dedupe, self.repeat_every, self.unattended_after
        )];
        for target in &self.targets {
            let how = match &target.road {
                Road::Webhook { url_file, bearer_file } => {
                    let bearer = bearer_file.as_ref().map(|file| format!(", bearer token in {}", file.display()));
                    format!("webhook, address in {}{}", url_file.display(), bearer.unwrap_or_default())
                }
                Road::Telegram { api, token_file, chat, thread } => {
                    let thread = thread.map(|n| format!(" topic {n}")).unwrap_or_default();
                    format!("Telegram chat {chat}{thread} by {api}, token in {}", token_file.display())
                }
                Road::Slack { url_file } => format!("Slack, address in {}", url_file.display()),
            };
            let when = match (target.least, target.after) {
                (_, after) if after > Span::ZERO => format!("what is to be acted on and unacknowledged for {after}"),
                (Severity::Warn, _) => "everything, at once".to_owned(),
                (Severity::Act, _) => "what is to be acted on, at once".to_owned(),
            };
            lines.push(format!("  {} ({how}) is told {when}.", target.name));
        }
        lines
    }
}

fn check_target(faults: &mut Faults, name: &str, raw: &RawTarget, base: &Path) -> Option<TargetPart> {
    const KINDS: &[(&str, Kind)] = &[("webhook", Kind::Webhook), ("telegram", Kind::Telegram), ("slack", Kind::Slack)];
    const SEVERITIES: &[(&str, Severity)] = &[("warn", Severity::Warn), ("act", Severity::Act)];
    let before = faults.0.len();
    let path = format!("alerts.target.{}", quoted(name));
    let at = |key: &str| format!("{path}.{key}");
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    if name.is_empty() || name.len() > NAME_MAX || !plain {
        faults.add(&path, name, format!("a name of 1 to {NAME_MAX} letters, digits, - and _"));
    }
    for key in raw.unknown.keys() {
        let expected = match key.as_str() {
            "url" => "nothing: an address can be a secret and belongs into a file, which url_file names",
            "token" | "bot_token" => "nothing: a token is a secret and belongs into a file, which token_file names",
            "bearer" => "nothing: a token is a secret and belongs into a file, which bearer_file names",
            _ => "no such key; see config/default.toml for those that exist",
        };
        faults.add(at(key), "(set)", expected);
    }
    let least = faults.read(&at("severity"), raw.severity.as_ref(), Severity::Warn, "warn or act", word(SEVERITIES));
    let after = faults.read(&at("after"), raw.after.as_ref(), 0, "a duration of 0s to 24h", duration(0, DAY_MS));
    let timeout = faults.read(&at("timeout"), raw.timeout.as_ref(), 5_000, "a duration of 500ms to 30s", duration(500, 30_000));
    let kind = faults.needed(&at("kind"), raw.kind.as_ref(), "webhook, telegram or slack", word(KINDS))?;
    let own: &[&str] = match kind {
        Kind::Webhook => &["url_file", "bearer_file"],
        Kind::Telegram => &["token_file", "chat", "thread", "api"],
        Kind::Slack => &["url_file"],
    };
    let given = [
        ("url_file", &raw.url_file),
        ("bearer_file", &raw.bearer_file),
        ("token_file", &raw.token_file),
        ("chat", &raw.chat),
        ("thread", &raw.thread),
        ("api", &raw.api),
    ];
    for (key, _) in given.iter().filter(|(key, value)| value.is_some() && !own.contains(key)) {
        faults.add(at(key), "(set)", format!("nothing: a target of this kind has {}", own.join(", ")));
    }
    let file = |text: &str| (!text.is_empty() && !text.contains("://")).then(|| base.join(text));
    let needed = |faults: &mut Faults, key: &str, value: &Option<Scalar>, what: &str| {
        let expected = format!("a file of mode 600 with {what} in it");
        match value {
            // an address or a token in the wrong place is not shown
            Some(Scalar(text)) if file(text).is_none() => {
                faults.add(at(key), "(not shown)", expected);
                None
            }
            Some(Scalar(text)) => file(text),
            None => {
                faults.add(at(key), "(absent)", expected);
                None
            }
        }
    };
    let road = match kind {
        Kind::Webhook => {
            let url_file = needed(faults, "url_file", &raw.url_file, "the address");
            let bearer = raw.bearer_file.as_ref().map(|_| needed(faults, "bearer_file", &raw.bearer_file, "the token"));
            url_file.map(|url_file| Road::Webhook { url_file, bearer_file: bearer.flatten() })
        }
        Kind::Slack => needed(faults, "url_file", &raw.url_file, "the address").map(|url_file| Road::Slack { url_file }),
        Kind::Telegram => {
            let token_file = needed(faults, "token_file", &raw.token_file, "the bot's token");
            let chat = faults.needed(&at("chat"), raw.chat.as_ref(), "the number of a chat, or @ and a channel's name", chat);
            let thread = faults.read(&at("thread"), raw.thread.as_ref(), None, "a topic's number", |t| t.parse().ok().map(Some));
            let api = "an https:// address without a path, or http:// on loopback";
            let api = faults.read(&at("api"), raw.api.as_ref(), TELEGRAM.to_owned(), api, base_address);
            token_file.zip(chat).map(|(token_file, chat)| Road::Telegram { api, token_file, chat, thread })
        }
    };
    let road = road.filter(|_| faults.0.len() == before)?;
    Some(TargetPart { name: name.to_owned(), least, after: Span::millis(after), timeout: Duration::from_millis(timeout), road })
}

fn chat(text: &str) -> Option<String> {
    let channel = text
        .strip_prefix('@')
        .is_some_and(|name| (4..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
    (channel || text.parse::<i64>().is_ok()).then(|| text.to_owned())
}

fn base_address(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let host = rest.trim_end_matches('/');
    let loopback = host.split(':').next().is_some_and(|name| matches!(name, "127.0.0.1" | "localhost"));
    let plain = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:".contains(&b));
    (plain && (scheme == "https" || (scheme == "http" && loopback))).then(|| format!("{scheme}://{host}"))
}
