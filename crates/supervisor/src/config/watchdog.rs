//! `[watchdog]`, and what a process beside the daemon reads of the configuration.

use std::path::{Path, PathBuf};
use std::time::Duration;

use venue_connector::hyperliquid::Network;
use wire::hyperliquid::Address;

use super::checked::{Endpoint, Faults, LogStyle, check_daemon, check_hyperliquid, duration};
use super::raw::{Raw, RawWatchdog};
use domain::SpecFault;

/// `[watchdog]`: what the daemon and the process that watches it agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchdogPart {
    /// Where the heartbeat is, and where a watchdog leaves STOP: the one directory that both may write to.
    pub dir: PathBuf,
    /// The oldest life sign that is one.
    pub limit: Duration,
    /// How long a watchdog that has just begun waits for the first fresh one.
    pub first_beat: Duration,
    /// The watchdog's own agent key.
    pub key_file: Option<PathBuf>,
    /// Whether the section is there: then the daemon, too, holds itself to the limit.
    pub on: bool,
}

pub(super) fn check(faults: &mut Faults, raw: Option<&RawWatchdog>, base: &Path, state_dir: &Path) -> WatchdogPart {
    const PATH: &str = "watchdog";
    let none = RawWatchdog::default();
    let on = raw.is_some();
    let raw = raw.unwrap_or(&none);
    faults.unknown(PATH, &raw.unknown);
    let limit = faults.read(
        "watchdog.limit",
        raw.limit.as_ref(),
        10_000,
        "a duration of 2s to 60s: shorter, and a busy machine looks dead",
        duration(2_000, 60_000),
    );
    let first_beat =
        faults.read("watchdog.first_beat", raw.first_beat.as_ref(), 30_000, "a duration of 2s to 10m", duration(2_000, 600_000));
    WatchdogPart {
        dir: raw.dir.as_ref().map_or_else(|| state_dir.to_owned(), |dir| base.join(&dir.0)),
        limit: Duration::from_millis(limit),
        first_beat: Duration::from_millis(first_beat),
        key_file: raw.key_file.as_ref().map(|file| base.join(&file.0)),
        on,
    }
}

/// Where the venue is for a process beside the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Venue {
    /// The paper venue that the daemon started and left the address of.
    Embedded,
    /// At this address.
    External {
        /// Base of `/info` and `/exchange`.
        http: String,
        /// The account.
        account: Address,
        /// Whether it is a sub-account or vault.
        sub_account: bool,
        /// The daemon's key, if it is configured and there.
        key_file: Option<PathBuf>,
    },
}

/// As much of the configuration as it takes to cancel everything. A fault anywhere else in the file is the daemon's to report and
/// keeps nobody from cancelling (C36).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    /// Journal, latch, STOP, and the embedded venue's address.
    pub state_dir: PathBuf,
    /// How logs are written.
    pub log: LogStyle,
    /// How long the venue may still accept what the daemon signed before it fell silent.
    pub expires_after: Duration,
    /// Mainnet or testnet.
    pub network: Network,
    /// The venue.
    pub venue: Venue,
    /// `[watchdog]`
    pub watchdog: WatchdogPart,
}

/// Keys without which nothing could be cancelled, or the wrong account's orders would be.
const NEEDED: [&str; 7] = [
    "daemon.state_dir",
    "venue.hyperliquid",
    "venue.hyperliquid.mode",
    "venue.hyperliquid.network",
    "venue.hyperliquid.http",
    "venue.hyperliquid.account",
    "venue.hyperliquid.sub_account",
];

impl Beside {
    /// Reads what it needs from `raw`.
    ///
    /// # Errors
    /// Faults in what it needs.
    pub fn check(raw: &Raw, read: &[SpecFault], base: &Path) -> Result<Beside, Vec<SpecFault>> {
        let mut faults = Faults(read.to_vec());
        let daemon = check_daemon(&mut faults, &raw.daemon, base);
        let watchdog = check(&mut faults, raw.watchdog.as_ref(), base, &daemon.state_dir);
        let none = super::raw::RawHyperliquid::default();
        let written = raw.venue.hyperliquid.as_ref().unwrap_or(&none);
        let venue = check_hyperliquid(&mut faults, written, base);
        faults.0.retain(|fault| NEEDED.contains(&fault.field.as_str()) || fault.field.starts_with("watchdog"));
        if !faults.0.is_empty() {
            return Err(faults.0);
        }
        let key_file = written.key_file.as_ref().map(|file| base.join(&file.0));
        Ok(Beside {
            state_dir: daemon.state_dir,
            log: daemon.log,
            expires_after: Duration::from_millis(daemon.expires_after_ms),
            network: venue.network,
            venue: match venue.endpoint {
                Endpoint::Embedded => Venue::Embedded,
                Endpoint::External { http, account, sub_account, .. } => Venue::External { http, account, sub_account, key_file },
            },
            watchdog,
        })
    }
}
