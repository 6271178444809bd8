//! `[kill]`: how the daemon stops.

use serde::{Deserialize, Serialize};

use super::checked::{Faults, word};
use super::raw::{Scalar, Unknown};

/// `[kill]` as written.
#[derive(Debug, Default, Deserialize)]
pub struct RawKill {
    /// `drain`, `cancel` or `leave`.
    pub on_stop: Option<Scalar>,
    /// Anything else.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// What an orderly stop (SIGTERM, SIGINT) does with orders at the venue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnStop {
    /// Cancels what is ours and leaves when every answer is there; a restart goes on. The default: nothing works while nobody
    /// watches it, and nobody has to re-arm after a restart.
    #[default]
    Drain,
    /// Cancels everything, that of others included, until the venue has shown none twice, and latches: a restart stays stopped.
    Cancel,
    /// Waits for answers to what is under way and leaves what rests; a restart takes it up again.
    Leave,
}

/// `[kill]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KillPart {
    /// What an orderly stop does.
    pub on_stop: OnStop,
}

impl KillPart {
    pub(super) fn check(faults: &mut Faults, raw: &RawKill) -> KillPart {
        const ON_STOP: &[(&str, OnStop)] = &[("drain", OnStop::Drain), ("cancel", OnStop::Cancel), ("leave", OnStop::Leave)];
        faults.unknown("kill", &raw.unknown);
        KillPart {
            on_stop: faults.read(
                "kill.on_stop",
                raw.on_stop.as_ref(),
                OnStop::Drain,
                "drain (cancel what is ours), cancel (cancel everything and latch) or leave (leave what rests)",
                word(ON_STOP),
            ),
        }
    }

    /// For `plimsoll check`.
    pub fn describe(self) -> &'static str {
        match self.on_stop {
            OnStop::Drain => "On SIGTERM: orders of ours are cancelled; a restart goes on.",
            OnStop::Cancel => {
                "On SIGTERM: every order is cancelled, that of others included; a restart stays stopped until re-armed."
            }
            OnStop::Leave => {
                "On SIGTERM: resting orders STAY at the venue and nobody watches them; a restart takes them up again."
            }
        }
    }
}
