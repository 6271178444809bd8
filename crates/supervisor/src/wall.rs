//! The only clock of the process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use domain::Stamp;
use rustix::time::{ClockId, clock_gettime};

/// A daemon that was away for longer than this goes on as if it had been away for this long.
const AWAY_MAX_MS: u64 = 30 * 24 * 3_600_000;

/// Makes [`Stamp`]s. Desk time goes on from the journal's last stamp and counts time spent suspended; it never repeats and
/// never runs backwards, whatever happens to the wall clock (I39, F76, F78).
#[derive(Debug)]
pub struct Wall {
    base_mono: u64,
    base_boot: u64,
    last_mono: AtomicU64,
    last_wall: AtomicU64,
}

impl Wall {
    /// A clock that goes on from `last`, the stamp of the journal's last entry.
    #[must_use]
    pub fn resume(last: Stamp) -> Wall {
        let away_ms = wall_ms().saturating_sub(last.wall_ms);
        let away_ms = if last.wall_ms == 0 { 0 } else { away_ms.min(AWAY_MAX_MS) };
        let base_mono = last.mono.saturating_add(away_ms.saturating_mul(1_000_000));
        Wall { base_mono, base_boot: boot_ns(), last_mono: AtomicU64::new(base_mono), last_wall: AtomicU64::new(last.wall_ms) }
    }

    /// Now: later than every stamp before.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        let mono = self.base_mono.saturating_add(boot_ns().saturating_sub(self.base_boot));
        let mono = raise(&self.last_mono, mono, 1);
        let wall_ms = raise(&self.last_wall, wall_ms(), 0);
        Stamp { mono, wall_ms }
    }

    /// How long until `at`; nothing if it has passed.
    #[must_use]
    pub fn until(&self, at: Stamp) -> std::time::Duration {
        let mono = self.base_mono.saturating_add(boot_ns().saturating_sub(self.base_boot));
        std::time::Duration::from_nanos(at.mono.saturating_sub(mono))
    }
}

/// Raises `cell` to `value`, or to `step` above what it holds if that is more, and returns the result.
fn raise(cell: &AtomicU64, value: u64, step: u64) -> u64 {
    let before = cell.fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| Some(value.max(last + step)));
    value.max(before.unwrap_or(value).saturating_add(step))
}

/// The UTC day, counted from 1970-01-01.
#[must_use]
pub fn today() -> u32 {
    u32::try_from(wall_ms() / 86_400_000).unwrap_or(u32::MAX)
}

/// Nanoseconds since the machine booted, suspended time included: the same in every process, and no step of the wall clock moves it.
#[must_use]
pub fn boot_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or(0).saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_never_repeat_and_go_on_from_the_journal() {
        let last = Stamp { mono: 5_000_000_000, wall_ms: wall_ms() };
        let wall = Wall::resume(last);
        let mut before = last;
        for _ in 0..10_000 {
            let now = wall.stamp();
            assert!(now.mono > before.mono && now.wall_ms >= before.wall_ms);
            before = now;
        }
    }

    #[test]
    fn a_wall_clock_in_the_past_moves_nothing_back() {
        // F76: the journal was written by a clock that ran a day ahead
        let ahead = wall_ms() + 86_400_000;
        let wall = Wall::resume(Stamp { mono: 7, wall_ms: ahead });
        let now = wall.stamp();
        assert!(now.mono > 7 && now.wall_ms == ahead);
    }

    #[test]
    fn time_away_counts() {
        let hour_ago = Stamp { mono: 1, wall_ms: wall_ms() - 3_600_000 };
        assert!(Wall::resume(hour_ago).stamp().mono >= 3_600_000_000_000);
    }
}
