//! Where a daemon keeps its state and listens to operators.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Checked, file, scan};

/// Where a daemon is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Journal, latch, `STOP`.
    pub state_dir: PathBuf,
    /// Operator socket.
    pub socket: PathBuf,
}

impl Places {
    /// As written in a file in the directory `base`; what is absent has a default.
    pub(super) fn new(base: &Path, state_dir: Option<String>, socket: Option<String>) -> Places {
        let state_dir = base.join(state_dir.as_deref().unwrap_or("../var/plimsoll"));
        let socket = socket.map_or_else(|| state_dir.join("plimsoll.sock"), |socket| base.join(socket));
        Places { state_dir, socket }
    }

    /// Those of a checked configuration.
    pub fn of(config: &Checked) -> Places {
        Places { state_dir: config.state_dir.clone(), socket: config.socket.clone() }
    }

    /// As far as they can be read of `path`, environment and `--set`, whatever else is wrong there.
    pub(super) fn scan(path: &Path, set: &[String], environment: &BTreeMap<String, String>) -> Places {
        let bytes = file::peek(path);
        let value = |key: &str| {
            let (flag, variable) = (format!("daemon.{key}="), format!("PLIMSOLL__DAEMON__{}", key.to_ascii_uppercase()));
            let said = set.iter().rev().find_map(|pair| pair.strip_prefix(&flag).map(str::to_owned));
            said.or_else(|| environment.get(&variable).cloned()).or_else(|| scan::scan_for_daemon(&bytes, key))
        };
        Places::new(path.parent().unwrap_or(Path::new(".")), value("state_dir"), value("socket"))
    }
}
