//! What drills say of the way out of a venue, and what follows for the buffer and the trust (quant §1.9, §1.10).

use domain::Venue;
use risk::scorecard::{Drilled, Trust};

use crate::Guard;

/// Longest exit that is reckoned with, minutes: as much as may be configured.
pub const EXIT_MINUTES_MAX: u32 = 100_000;

/// What drills say of the way out of a venue.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ExitSeen {
    /// How long leaving or refilling took, or has taken so far, minutes, rounded up. Counts where it is more than
    /// `guard.buffer.exit_minutes`; a short one makes nothing smaller.
    pub delay_min: u32,
    /// What it means for the scorecard; nothing without drills.
    pub drilled: Option<Drilled>,
}

impl Guard {
    /// What drills say of the way out of `venue`. It changes the buffer at once and the trust at the next look.
    pub fn observe_exit(&mut self, venue: Venue, seen: ExitSeen) {
        let delay_min = seen.delay_min.min(EXIT_MINUTES_MAX);
        self.projection.venue_mut(venue).exit = ExitSeen { delay_min, ..seen };
        self.projection.set_exit(&self.limits, venue, delay_min);
    }

    /// What drills said last of the way out of `venue`.
    #[must_use]
    pub fn exit_seen(&self, venue: Venue) -> &ExitSeen {
        &self.projection.venue(venue).exit
    }

    /// Trust in `venue` on the UTC day `today`, counted from 1970-01-01: what was stated, and what drills showed.
    #[must_use]
    pub fn venue_trust(&self, venue: Venue, today: u32) -> Trust {
        self.limits.venue_trust(venue, today, self.exit_seen(venue).drilled.as_ref())
    }
}

#[cfg(test)]
mod tests;
