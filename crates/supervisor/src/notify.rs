//! What the service manager is told (systemd's notification protocol). Without one, nothing.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tracing::debug;

/// The manager's words for what the daemon is doing change at most this often.
const STATUS_EVERY: Duration = Duration::from_secs(2);

/// The way to the service manager, if there is one.
#[derive(Debug)]
pub struct Manager {
    /// It restarts us if it hears no life sign for this long.
    watchdog: Option<Duration>,
    alive_at: Option<Instant>,
    ready: bool,
    said: Option<(Instant, String)>,
}

impl Manager {
    /// As `NOTIFY_SOCKET` and `WATCHDOG_USEC` say.
    #[must_use]
    pub fn from_environment() -> Manager {
        Manager { watchdog: sd_notify::watchdog_enabled(), alive_at: None, ready: false, said: None }
    }

    /// The loop has turned. Passed on four times per limit.
    pub fn alive(&mut self) {
        let Some(limit) = self.watchdog else { return };
        if self.alive_at.is_none_or(|at| at.elapsed() >= limit / 4) {
            self.alive_at = Some(Instant::now());
            send(&[NotifyState::Watchdog]);
        }
    }

    /// READY once the venue has been read and compared; the state in words when it changes.
    pub fn tell(&mut self, ready: bool, stop: &str, open: usize) {
        if ready && !self.ready {
            self.ready = true;
            send(&[NotifyState::Ready]);
        }
        let words = match (stop, ready) {
            ("run", true) => format!("trading; {open} orders open"),
            ("run", false) => "reading the venue".to_owned(),
            (level, _) => format!("STOPPED ({level}); {open} orders open"),
        };
        self.status(words);
    }

    /// READY for a process without a venue to compare.
    pub fn ready(&mut self) {
        self.ready = true;
        send(&[NotifyState::Ready]);
    }

    /// The state in words, when it changes.
    pub fn status(&mut self, words: String) {
        let due = self.said.as_ref().is_none_or(|(at, said)| *said != words && at.elapsed() >= STATUS_EVERY);
        if due {
            send(&[NotifyState::Status(&words)]);
            self.said = Some((Instant::now(), words));
        }
    }
}

/// The process is on its way out.
pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

fn send(states: &[NotifyState<'_>]) {
    // whoever started us reads it or does not; nothing here depends on it
    if let Err(e) = sd_notify::notify(states) {
        debug!("the service manager could not be told: {e}");
    }
}
