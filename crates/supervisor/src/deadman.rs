//! The venue's own dead-man (C24): while orders rest, the venue is told to cancel everything soon, again and again; when that stops,
//! it does.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tracing::{info, warn};
use venue_connector::hyperliquid::{Connector, DeadManError};

use crate::heartbeat::Pulse;

/// How far ahead it is set: the loop may be silent for half of it before the venue acts.
const LEAD: Duration = Duration::from_secs(20);
/// How often it is moved on: one try may be lost.
const EVERY: Duration = Duration::from_secs(10);
/// How often it is looked at whether orders rest.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A loop that has not turned for this long is not vouched for any more.
const TURN_MAX: Duration = Duration::from_secs(5);
/// Volume grows and days end: what was refused is tried again this often.
const AGAIN: Duration = Duration::from_secs(3_600);

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum DeadMan {
    /// The configuration does not want it.
    Off,
    /// Nothing rests, so it is not set.
    Idle,
    /// Set to fire.
    Set {
        /// When, by the venue's clock, UTC milliseconds.
        fires_ms: u64,
    },
    /// The venue does not allow it.
    Refused {
        /// In its words.
        why: String,
    },
    /// Whether it is set is not known.
    Unknown {
        /// What happened last.
        why: String,
    },
}

impl DeadMan {
    /// For a person.
    #[must_use]
    pub fn said(&self) -> String {
        match self {
            DeadMan::Off => "venue's dead-man: off (venue.hyperliquid.dead_man)".to_owned(),
            DeadMan::Idle => "venue's dead-man: not set, nothing rests".to_owned(),
            DeadMan::Set { .. } => {
                "venue's dead-man: set; if this daemon stops, the venue cancels all orders, stops included".to_owned()
            }
            DeadMan::Refused { why } => format!("venue's dead-man: NONE, {why}"),
            DeadMan::Unknown { why } => format!("venue's dead-man: not known, {why}"),
        }
    }
}

/// Sets it and keeps it. Clones share everything.
#[derive(Clone, Debug)]
pub struct Keeper {
    state: Arc<Mutex<DeadMan>>,
}

impl Keeper {
    /// One that has set nothing.
    #[must_use]
    pub fn new(on: bool) -> Keeper {
        Keeper { state: Arc::new(Mutex::new(if on { DeadMan::Idle } else { DeadMan::Off })) }
    }

    /// What became of it.
    #[must_use]
    pub fn state(&self) -> DeadMan {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, state: DeadMan) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Keeps it set while orders rest and the loop turns. Ends never, or at once if it is not wanted.
    pub async fn keep(self, connector: Connector, pulse: Pulse) {
        if self.state() == DeadMan::Off {
            return;
        }
        let mut wait = Duration::ZERO;
        loop {
            tokio::time::sleep(wait).await;
            wait = LOOK_EVERY;
            if pulse.age() > TURN_MAX {
                // the venue is to see that nobody answers
                continue;
            }
            if pulse.open_orders() > 0 {
                wait = self.step(connector.schedule_cancel(Some(LEAD)).await);
            } else if !matches!(self.state(), DeadMan::Idle | DeadMan::Refused { .. }) {
                // ten firings a day are all there are: none for an empty book
                wait = self.step(connector.schedule_cancel(None).await);
            }
        }
    }

    /// Takes it off the venue's hands, for a daemon that leaves on purpose and knows that nothing rests.
    pub async fn clear(&self, connector: &Connector) {
        if matches!(self.state(), DeadMan::Set { .. } | DeadMan::Unknown { .. }) {
            self.step(connector.schedule_cancel(None).await);
        }
    }

    /// Takes note of an answer; how long to wait before the next try.
    fn step(&self, answer: Result<Option<u64>, DeadManError>) -> Duration {
        let (state, wait) = match answer {
            Ok(Some(fires_ms)) => (DeadMan::Set { fires_ms }, EVERY),
            Ok(None) => (DeadMan::Idle, LOOK_EVERY),
            Err(e @ DeadManError::Refused(_)) => (DeadMan::Refused { why: e.to_string() }, AGAIN),
            Err(e @ (DeadManError::Throttled(_) | DeadManError::Nonce(_) | DeadManError::NoAnswer(_))) => {
                (DeadMan::Unknown { why: e.to_string() }, LOOK_EVERY)
            }
        };
        let before = self.state();
        if std::mem::discriminant(&before) != std::mem::discriminant(&state) {
            match &state {
                DeadMan::Refused { .. } | DeadMan::Unknown { .. } => warn!("{}", state.said()),
                DeadMan::Off | DeadMan::Idle | DeadMan::Set { .. } => info!("{}", state.said()),
            }
        }
        self.set(state);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c24_what_the_venue_says_decides_when_to_ask_again() {
        let keeper = Keeper::new(true);
        assert_eq!(keeper.state(), DeadMan::Idle);
        assert_eq!(keeper.step(Ok(Some(5))), EVERY);
        assert_eq!(keeper.state(), DeadMan::Set { fires_ms: 5 });
        assert_eq!(keeper.step(Err(DeadManError::NoAnswer("status 502".to_owned()))), LOOK_EVERY);
        assert!(keeper.state().said().contains("not known") && keeper.state().said().contains("status 502"));
        let words = "Cannot set scheduled cancel time until enough volume traded. Required: $1000000. Traded: $12.5.";
        assert_eq!(keeper.step(Err(DeadManError::Refused(words.to_owned()))), AGAIN);
        assert!(
            keeper.state().said().contains("NONE, refused by the venue: Cannot set") && keeper.state().said().contains("12.5")
        );
        assert_eq!(keeper.step(Ok(None)), LOOK_EVERY);
        assert_eq!(keeper.state(), DeadMan::Idle);
        assert_eq!(Keeper::new(false).state(), DeadMan::Off);
    }
}
