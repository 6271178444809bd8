//! `[kill]`: how the daemon stops, and that it does.
//!
//! `engaged` is an act and no setting: a file that says so stops, one that stops saying so lets nothing go on (C32, C34).

use desk::FlattenTerms;
use domain::{Ratio, Span, StopLevel};
use serde::{Deserialize, Serialize};

use super::checked::{BOOL, Faults, duration, within, word};
use super::raw::{Scalar, Unknown};

/// [`FlattenTerms`]' own, as it is written.
const SLIPPAGE_BPS: i64 = 200;

/// `[kill]` as written.
#[derive(Debug, Default, Deserialize)]
pub struct RawKill {
    /// Whether trading is stopped by this file.
    pub engaged: Option<Scalar>,
    /// How far.
    pub level: Option<Scalar>,
    /// `drain`, `cancel` or `leave`.
    pub on_stop: Option<Scalar>,
    /// Within which time one round of a flatten closes what it can.
    pub flatten_horizon: Option<Scalar>,
    /// How far from the mid at its beginning a round may trade, basis points.
    pub flatten_slippage_bps: Option<Scalar>,
    /// After so many rounds the rest is left to a person.
    pub flatten_rounds: Option<Scalar>,
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
    /// What the file asks for, if it says `engaged`.
    pub engaged: Option<StopLevel>,
    /// How positions are closed.
    pub flatten: FlattenTerms,
}

const LEVELS: [StopLevel; 5] = [StopLevel::ReduceOnly, StopLevel::Block, StopLevel::Cancel, StopLevel::Flatten, StopLevel::Sever];

/// A level that stops something, by its word.
pub(super) fn level(text: &str) -> Option<StopLevel> {
    LEVELS.into_iter().find(|level| level.name() == text)
}

impl KillPart {
    pub(super) fn check(faults: &mut Faults, raw: &RawKill) -> KillPart {
        const ON_STOP: &[(&str, OnStop)] = &[("drain", OnStop::Drain), ("cancel", OnStop::Cancel), ("leave", OnStop::Leave)];
        faults.unknown("kill", &raw.unknown);
        let engaged = faults.read("kill.engaged", raw.engaged.as_ref(), false, "true or false", word(BOOL));
        let expected = "reduce-only, block, cancel, flatten or sever";
        let asked = faults.read("kill.level", raw.level.as_ref(), StopLevel::Cancel, expected, level);
        let usual = FlattenTerms::default();
        // a round shorter than a few seconds cannot rest; one longer than ten minutes is no flatten
        let horizon = faults.read(
            "kill.flatten_horizon",
            raw.flatten_horizon.as_ref(),
            usual.horizon.as_millis(),
            "5s to 10m",
            duration(5_000, 600_000),
        );
        // beyond five percent the guard's collar would refuse anyway
        let slippage = faults.read(
            "kill.flatten_slippage_bps",
            raw.flatten_slippage_bps.as_ref(),
            SLIPPAGE_BPS,
            "a whole number of basis points from 1 to 500",
            within(1, 500),
        );
        let rounds = faults.read("kill.flatten_rounds", raw.flatten_rounds.as_ref(), usual.rounds, "1 to 100", within(1, 100));
        KillPart {
            engaged: engaged.then_some(asked),
            flatten: FlattenTerms { horizon: Span::millis(horizon), slippage_max: Ratio::bps(slippage), rounds },
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
