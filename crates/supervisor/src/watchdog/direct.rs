//! `plimsoll kill --direct`: a person cancels everything at the venue when the daemon cannot be asked (C36, G24).

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use domain::{StopLevel, StopScope};
use venue_connector::Sweep;

use super::hands::{self, Reached};
use crate::cli::KillArgs;
use crate::config::{Beside, VenueBeside};
use crate::{Failure, exit};

/// One pass until what it found is said.
const PASS: Duration = Duration::from_secs(15);
/// Beyond the expiry of what the daemon signed: the venue's block time may trail (I33).
const SLACK: Duration = Duration::from_secs(1);

/// Cancels everything of the account and looks until nothing that the daemon signed can arrive any more. Works without a daemon, a
/// journal or a disk that can be written.
///
/// # Errors
/// If the venue was not seen empty twice in the end; what is left is said.
pub async fn kill(beside: &Beside, args: &KillArgs) -> Result<ExitCode, Failure> {
    if args.level != StopLevel::Cancel || args.scope != StopScope::All {
        let why = format!(
            "level = {}, scope = {}: with --direct expected cancel and all; other levels need the daemon, its guard and its journal",
            args.level, args.scope
        );
        return Err(Failure::other(why));
    }
    // what keeps it from getting on is said while it tries
    super::start_logs(beside.log, "warn")?;
    let began = Instant::now();
    let until = began + args.within.map_or(Duration::from_secs(300), Into::into);
    match hands::leave_stop(&beside.watchdog.dir, &format!("kill --direct: {}", args.cause)).await {
        Ok(()) => {
            say!("STOP is in {}: a daemon that comes back stays stopped until it is removed", beside.watchdog.dir.display())
        }
        Err(e) => eprintln!("plimsoll: STOP could not be written to {} ({e}); going on without", beside.watchdog.dir.display()),
    }
    let daemons = match &beside.venue {
        VenueBeside::Embedded => None,
        VenueBeside::External { key_file, .. } => key_file.as_deref(),
    };
    let own = beside.watchdog.key_file.as_deref().filter(|file| file.is_file());
    let key_file: Option<(&str, &Path)> = (args.key_file.as_deref().map(|file| ("--key-file", file)))
        .or(own.map(|file| ("watchdog.key_file", file)))
        .or(daemons.map(|file| ("venue.hyperliquid.key_file", file)));
    let Reached { canceller, http, account } =
        hands::reach(beside, key_file, until.saturating_duration_since(Instant::now())).await?;
    say!("cancelling everything of {account} at {http}, signed by {}", canceller.signer());
    let mut total = Sweep::default();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match canceller.sweep(left.min(PASS)).await {
            Ok(swept) => {
                total.canceled += swept.canceled;
                total.gone += swept.gone;
                let took = began.elapsed().as_millis();
                say!("cancelled {}, gone already {}; seen empty twice after {took} ms", total.canceled, total.gone);
                let certain = beside.expires_after + SLACK;
                let more = certain.saturating_sub(began.elapsed());
                if more.is_zero() {
                    return Ok(ExitCode::SUCCESS);
                }
                say!("what the daemon signed before may still arrive: looking again in {} ms", more.as_millis());
                tokio::time::sleep(more).await;
            }
            Err(e) if left <= PASS => {
                return Err(Failure {
                    code: exit::VENUE,
                    why: format!("NOT EMPTY, do it at the venue itself: {e} (cancelled {} so far)", total.canceled),
                });
            }
            Err(e) => eprintln!("plimsoll: {e}; going on"),
        }
    }
}
