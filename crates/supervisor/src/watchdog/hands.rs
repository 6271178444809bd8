//! How a process beside the daemon gets at the venue: address, account, key.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{Stamp, StopLevel};
use tokio::sync::oneshot;
use venue_connector::hyperliquid::{Canceller, Config, StartError};
use wire::hyperliquid::Address;
use wire::hyperliquid::sign::Key;

use crate::config::{Beside, VenueBeside};
use crate::wall::Wall;
use crate::{Failure, embedded, exit, sentinel, venue};

/// How long STOP may take to write. Cancels wait for it so that a daemon that comes back in between stays stopped; they do not wait
/// for a disk that hangs.
const STOP_MAX: Duration = Duration::from_secs(2);

/// The venue as it can be reached now.
pub struct Reached {
    /// What cancels there.
    pub canceller: Canceller,
    /// Base of its `/exchange`.
    pub http: String,
    /// For whom.
    pub account: Address,
}

/// Opens the venue of `beside` with the key in `key_file`, or without one with the embedded venue's own. Tried for `patience`.
///
/// # Errors
/// What keeps it from being opened, with the exit code that says so.
pub async fn reach(beside: &Beside, key_file: Option<(&str, &Path)>, patience: Duration) -> Result<Reached, Failure> {
    let (http, account, sub_account, key) = match &beside.venue {
        VenueBeside::Embedded => {
            let ready = embedded::last(&beside.state_dir).ok_or_else(|| Failure {
                code: exit::VENUE,
                why: "no embedded paper venue has been started here yet".to_owned(),
            })?;
            let key_of_venue = beside.state_dir.join(embedded::KEY_FILE);
            let own = venue::read_key("the embedded venue's key", &key_of_venue)?;
            let account = own.address();
            let key = key_file.map(|(field, file)| venue::read_key(field, file)).transpose()?.unwrap_or(own);
            (ready.http, account, false, key)
        }
        VenueBeside::External { http, account, sub_account, .. } => {
            let (field, file) = key_file.ok_or_else(|| no_key("watchdog.key_file", "(absent)"))?;
            (http.clone(), *account, *sub_account, venue::read_key(field, file)?)
        }
    };
    let mut config = Config::new(beside.network, Some(&http), account, Vec::new());
    config.sub_account = sub_account;
    let wall = Wall::resume(Stamp::default());
    let canceller = open(config, key, wall, patience).await.map_err(|e| Failure::new(exit::VENUE, &e))?;
    Ok(Reached { canceller, http, account })
}

async fn open(config: Config, key: Key, wall: Wall, patience: Duration) -> Result<Canceller, StartError> {
    Canceller::open(config, key, Arc::new(move || wall.stamp()), patience).await
}

/// A key is missing.
#[must_use]
pub fn no_key(field: &str, value: &str) -> Failure {
    let expected = "the path of a file with an agent key of the watchdog's own, which the account approved at the venue";
    Failure { code: exit::CONFIG, why: format!("{field} = {value}: expected {expected}") }
}

/// Leaves STOP in `dir`, so that a daemon that comes back stays stopped. Gives up on a disk that does not answer.
///
/// # Errors
/// In words, if it may not be there.
pub async fn leave_stop(dir: &Path, cause: &str) -> Result<(), String> {
    let (dir, cause) = (dir.to_owned(), cause.to_owned());
    let (to, done) = oneshot::channel();
    // a thread of its own, which nobody waits for: the runtime would wait for one of its own when the process ends
    let write = move || {
        if to.send(write_stop(&dir, &cause)).is_err() {
            tracing::warn!("STOP was written late");
        }
    };
    std::thread::Builder::new().name("stop file".to_owned()).spawn(write).map_err(|e| e.to_string())?;
    match tokio::time::timeout(STOP_MAX, done).await {
        Ok(Ok(written)) => written.map_err(|e| e.to_string()),
        Ok(Err(_)) => Err("writing it panicked".to_owned()),
        Err(_) => Err(format!("the disk did not answer within {STOP_MAX:?}")),
    }
}

fn write_stop(dir: &Path, cause: &str) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    sentinel::write(dir, StopLevel::Cancel, cause)?;
    // the daemon's user is another one, of the same group
    let mode = std::fs::Permissions::from_mode(0o640);
    if let Err(e) = std::fs::set_permissions(sentinel::path(dir), mode) {
        tracing::debug!("STOP keeps its mode: {e}");
    }
    Ok(())
}

/// The canceller at hand, made and checked before it is needed.
#[derive(Clone, Debug, Default)]
pub struct AtHand {
    slot: Arc<Mutex<Option<Canceller>>>,
}

impl AtHand {
    /// What was put here last.
    #[must_use]
    pub fn get(&self) -> Option<Canceller> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts one here.
    pub fn put(&self, canceller: Canceller) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(canceller);
    }

    /// Away with one that does not work.
    pub fn drop_it(&self) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The key file of a watchdog: its own. With the daemon's key it would still cancel, but a key that is taken back or has run out
/// would then silence both at once.
///
/// # Errors
/// If an external venue is watched without one, or with the daemon's.
pub fn own_key(beside: &Beside) -> Result<Option<PathBuf>, Failure> {
    let own = beside.watchdog.key_file.clone();
    match &beside.venue {
        VenueBeside::Embedded => Ok(own),
        VenueBeside::External { key_file, .. } => match own {
            None => Err(no_key("watchdog.key_file", "(absent)")),
            Some(own) if key_file.as_ref() == Some(&own) => Err(no_key("watchdog.key_file", &own.display().to_string())),
            Some(own) => Ok(Some(own)),
        },
    }
}
