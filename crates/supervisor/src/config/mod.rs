//! Configuration: what was written (`raw`), and what it means (`checked`).
//!
//! File, then environment (`PLIMSOLL__SECTION__KEY`), then `--set section.key=value`; the later wins. Every fault is reported,
//! with its path, its value and what would be right, before any socket opens.

mod alerts;
mod change;
mod checked;
mod drill;
mod file;
mod kill;
mod operators;
mod parent;
mod places;
mod raw;
mod scan;
#[cfg(test)]
mod tests;
mod treasury;
mod watchdog;

use std::path::{Path, PathBuf};

use domain::SpecFault;

pub use alerts::AlertsPart;
pub use change::{Diff, Keys, compare};
pub use checked::{Checked, Endpoint, LogStyle, PaperMarket};
pub use file::{Origin, Seen, peek, seen};
pub use kill::OnStop;
pub use parent::plan_to_spec;
pub use places::Places;
pub use raw::RawParent;
pub use scan::scan_for_stop;
pub use treasury::TreasuryPart;
pub use watchdog::{Beside, Venue as VenueBeside};

use raw::Raw;

/// The configuration of a checkout: the embedded paper venue.
const DEFAULT_FILE: &str = "config/default.toml";

/// Hexadecimal digits of a private key.
const KEY_DIGITS: u32 = 64;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No file was named and the default one is not there.
    #[error("no configuration: {DEFAULT_FILE} is not in this directory; name a file with --config FILE")]
    Missing,
    /// Others than the daemon's user may have written it, so anyone may trade with it (F99, T06).
    #[error("{} is not taken: {why}", path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The file cannot be read or is not TOML, or a value is no value at all.
    #[error("{}: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// It can be read and is wrong.
    #[error("{} {} in {}:{}", faults.len(), if faults.len() == 1 { "fault" } else { "faults" }, path.display(),
        faults.iter().map(|f| format!("\n  {f}")).collect::<String>())]
    Faults {
        /// The file.
        path: PathBuf,
        /// All of them.
        faults: Vec<SpecFault>,
    },
}

/// Reads and checks the configuration on the UTC day `today`, counted from 1970-01-01: nothing can have been reviewed later.
/// `environment` is given, so that tests need not touch the process's own.
///
/// # Errors
/// See [`ConfigError`]; all faults of a readable file are reported together.
pub fn load(
    file: Option<&Path>,
    set: &[String],
    environment: impl IntoIterator<Item = (String, String)>,
    today: u32,
) -> Result<Checked, ConfigError> {
    checked(merge(file::read(&named(file)?, None)?, set, environment)?, today)
}

/// Reads and checks the file of a running daemon again, from where it began. See [`load`].
///
/// # Errors
/// See [`ConfigError`].
pub fn load_again(
    origin: &Origin,
    set: &[String],
    environment: impl IntoIterator<Item = (String, String)>,
    today: u32,
) -> Result<Checked, ConfigError> {
    checked(merge(file::read(&origin.path, Some(origin))?, set, environment)?, today)
}

fn checked(merged: Merged, today: u32) -> Result<Checked, ConfigError> {
    let Merged { origin, keys, raw, mut faults } = merged;
    let path = origin.path.clone();
    match Checked::check(raw, origin, keys, today) {
        Ok(checked) if faults.is_empty() => Ok(checked),
        outcome => {
            faults.extend(outcome.err().unwrap_or_default());
            Err(ConfigError::Faults { path, faults })
        }
    }
}

/// Where the running daemon is to be found, read from a file that is no valid configuration: an edit that went wrong must not keep
/// anybody from stopping it.
///
/// # Errors
/// If no file was named and there is none at the usual place.
pub fn places(
    file: Option<&Path>,
    set: &[String],
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Places, ConfigError> {
    Ok(Places::scan(&named(file)?, set, &environment.into_iter().collect()))
}

/// Reads as much of the configuration as it takes to cancel everything.
///
/// # Errors
/// See [`ConfigError`]; faults elsewhere in the file are none here.
pub fn load_beside(
    file: Option<&Path>,
    set: &[String],
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Beside, ConfigError> {
    let Merged { origin, raw, faults, keys: _ } = merge(file::read(&named(file)?, None)?, set, environment)?;
    let base = origin.path.parent().unwrap_or(Path::new("."));
    Beside::check(&raw, &faults, base).map_err(|faults| ConfigError::Faults { path: origin.path.clone(), faults })
}

/// The sources as one, read key by key.
struct Merged {
    origin: Origin,
    keys: Keys,
    raw: Raw,
    faults: Vec<SpecFault>,
}

fn named(file: Option<&Path>) -> Result<PathBuf, ConfigError> {
    match file {
        Some(path) => Ok(path.to_owned()),
        None if Path::new(DEFAULT_FILE).is_file() => Ok(PathBuf::from(DEFAULT_FILE)),
        None => Err(ConfigError::Missing),
    }
}

fn merge(
    source: file::Source,
    set: &[String],
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Merged, ConfigError> {
    let file::Source { origin, text } = source;
    let path = origin.path.clone();
    let unreadable = |why: String| ConfigError::Unreadable { path: path.clone(), why: unquoted(&why) };
    let source = config::File::from_str(&text, config::FileFormat::Toml);
    let prefixed: config::Map<String, String> =
        environment.into_iter().filter(|(key, _)| key.to_ascii_uppercase().starts_with("PLIMSOLL__")).collect();
    let environment = config::Environment::with_prefix("PLIMSOLL").prefix_separator("__").separator("__").source(Some(prefixed));
    let mut builder = config::Config::builder().add_source(source).add_source(environment);
    for pair in set {
        let (key, value) = pair.split_once('=').ok_or_else(|| unreadable(format!("--set {pair}: expected KEY=VALUE")))?;
        builder = builder.set_override(key, value).map_err(|e| unreadable(format!("--set {pair}: {e}")))?;
    }
    let merged = builder.build().map_err(|e| unreadable(e.to_string()))?;
    let tree: serde_json::Value = merged.try_deserialize().map_err(|e| unreadable(e.to_string()))?;
    let keys = change::keys_of(&tree);
    let (raw, faults) = Raw::read(tree);
    Ok(Merged { origin, keys, raw, faults })
}

/// What a parser says, without the lines of the file that it quotes: there may be a secret in them (I31).
fn unquoted(why: &str) -> String {
    let quotes = |line: &&str| line.trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit()).starts_with('|');
    why.lines().filter(|line| !quotes(line)).collect::<Vec<_>>().join(": ")
}

/// `text` as it may be shown: what looks like a private key is not, wherever someone pasted it (I31).
fn shown(text: &str) -> String {
    let mut run = 0;
    let key = text.bytes().any(|b| {
        run = if b.is_ascii_hexdigit() { run + 1 } else { 0 };
        run >= KEY_DIGITS
    });
    if key { "(not shown: it looks like a private key, which belongs into a file)".to_owned() } else { text.to_owned() }
}
