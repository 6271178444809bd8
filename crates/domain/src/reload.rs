use serde::{Deserialize, Serialize};

/// What a change of a configuration key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeClass {
    /// Less is allowed than before: taken at once.
    Tighten,
    /// More is allowed than before, or it cannot be told: held until an operator applies it.
    Loosen,
    /// Read at start alone: it waits for a restart.
    Fixed,
}

impl std::fmt::Display for ChangeClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            ChangeClass::Tighten => "tighten",
            ChangeClass::Loosen => "loosen",
            ChangeClass::Fixed => "fixed",
        })
    }
}

/// One key whose value differs from the configuration in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigChange {
    /// Its path, such as `guard.order_notional_max_usd`.
    pub key: String,
    /// The value in force; `(absent)` if there is none.
    pub from: String,
    /// The value in the file; `(absent)` if there is none.
    pub to: String,
    /// What the change does.
    pub class: ChangeClass,
    /// Whether it loosens beyond twice of what was allowed, or by as much as cannot be measured: two operators must agree (F96).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub beyond_double: bool,
    /// Why it is of this class, where the value alone does not say it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

impl std::fmt::Display for ConfigChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ConfigChange { key, from, to, class, beyond_double, why } = self;
        write!(f, "{class} {key}: {from} -> {to}")?;
        if *beyond_double {
            f.write_str(" (beyond double)")?;
        }
        if why.is_empty() { Ok(()) } else { write!(f, " ({why})") }
    }
}

/// A configuration that can be put in force while the daemon runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigText {
    /// Hash of what the daemon does by it.
    pub hash: String,
    /// The guard's limits, as JSON with every default filled in.
    pub limits: String,
    /// All other keys as they were written, as JSON: path to value. Secrets are not in it.
    pub keys: String,
}

/// What a look at the configuration file found, and what of it is to be done. Nothing in here clears a stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reload {
    /// The daemon starts with this configuration.
    Started {
        /// Hash of the file's bytes.
        file: String,
        /// The configuration.
        config: Box<ConfigText>,
        /// What differs from the one that was in force last.
        changes: Vec<ConfigChange>,
    },
    /// The file checks clean.
    Read {
        /// Hash of the file's bytes.
        file: String,
        /// Hash of the configuration that it was compared with. If another is in force by now, the file is to be read again.
        base: String,
        /// With the tightened keys alone; absent if nothing is tightened.
        now: Option<Box<ConfigText>>,
        /// With the loosened keys as well; absent if nothing is loosened.
        held: Option<Box<ConfigText>>,
        /// Every key that differs.
        changes: Vec<ConfigChange>,
    },
    /// Nothing is taken from the file.
    Refused {
        /// Hash of the file's bytes, if it could be read.
        file: Option<String>,
        /// Every reason, with the key that it is about.
        why: Vec<String>,
    },
}

/// How a look at the configuration file ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// The daemon started with it.
    Started,
    /// It says what is in force.
    Unchanged,
    /// What it tightens is in force; what it loosens is held, what is fixed waits for a restart.
    Tightened,
    /// It tightens nothing: what it loosens is held, what is fixed waits for a restart.
    Held,
    /// What was held is in force by an operator's word.
    Applied,
    /// Nothing was taken from it.
    Refused,
}

impl ReloadOutcome {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            ReloadOutcome::Started => "started",
            ReloadOutcome::Unchanged => "unchanged",
            ReloadOutcome::Tightened => "tightened",
            ReloadOutcome::Held => "held",
            ReloadOutcome::Applied => "applied",
            ReloadOutcome::Refused => "refused",
        }
    }
}

/// The record of a look at the configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// How it ended.
    pub outcome: ReloadOutcome,
    /// Hash of the file's bytes; absent if it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Hash of the configuration in force from here on.
    pub config: String,
    /// Every key that differs from what was in force before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ConfigChange>,
    /// Why it was refused, or in whose words it was applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
    /// All keys but the guard's from here on, where they changed: see [`ConfigText::keys`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<String>,
}

/// The first 8 bytes of a configuration's hash, as a number: what an order's basis carries.
#[must_use]
pub fn config_number(hash: &str) -> u64 {
    hash.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default()
}
