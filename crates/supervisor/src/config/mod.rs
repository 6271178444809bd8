//! Configuration: what was written (`raw`), and what it means (`checked`).
//!
//! File, then environment (`PLIMSOLL__SECTION__KEY`), then `--set section.key=value`; the later wins. Every fault is reported,
//! with its path, its value and what would be right, before any socket opens.

mod alerts;
mod checked;
mod drill;
mod kill;
mod parent;
mod raw;
#[cfg(test)]
mod tests;
mod treasury;
mod watchdog;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use domain::SpecFault;

pub use alerts::AlertsPart;
pub use checked::{Checked, Endpoint, LogStyle, PaperMarket};
pub use kill::OnStop;
pub use parent::plan_to_spec;
pub use raw::RawParent;
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
    /// Everyone may write to the file, so anyone may trade with it (F99).
    #[error("{} may be written by everyone (mode {mode:o}): chmod o-w it", path.display())]
    WorldWritable {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
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
    let Merged { path, base, raw, mut faults } = merge(file, set, environment)?;
    match Checked::check(raw, &base, today) {
        Ok(checked) if faults.is_empty() => Ok(checked),
        outcome => {
            faults.extend(outcome.err().unwrap_or_default());
            Err(ConfigError::Faults { path, faults })
        }
    }
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
    let Merged { path, base, raw, faults } = merge(file, set, environment)?;
    Beside::check(&raw, &faults, &base).map_err(|faults| ConfigError::Faults { path, faults })
}

/// The sources as one, read key by key.
struct Merged {
    path: PathBuf,
    base: PathBuf,
    raw: Raw,
    faults: Vec<SpecFault>,
}

fn merge(
    file: Option<&Path>,
    set: &[String],
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Merged, ConfigError> {
    let path = match file {
        Some(path) => path.to_owned(),
        None if Path::new(DEFAULT_FILE).is_file() => PathBuf::from(DEFAULT_FILE),
        None => return Err(ConfigError::Missing),
    };
    let unreadable = |why: String| ConfigError::Unreadable { path: path.clone(), why };
    let meta = std::fs::metadata(&path).map_err(|e| unreadable(e.to_string()))?;
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o002 != 0 {
        return Err(ConfigError::WorldWritable { path, mode });
    }
    let source = config::File::from(path.as_path()).format(config::FileFormat::Toml).required(true);
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
    let base = path.parent().unwrap_or(Path::new(".")).to_owned();
    let (raw, faults) = Raw::read(tree);
    Ok(Merged { path, base, raw, faults })
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
