//! Whether the machine's clocks can be trusted (F76, F78).
//!
//! Three clocks that should advance alike are read together and compared with the last time: the wall clock, which only steps when
//! somebody sets it; the one since boot, by which everything is timed; and the one that stands still while the machine sleeps.

use std::time::{SystemTime, UNIX_EPOCH};

use domain::{Stop, StopLevel, Trigger};
use rustix::time::{ClockId, clock_gettime};

/// A wall clock that moves by more than this against the clock since boot was set by somebody. What we sign carries its time, and
/// the venue's tolerance is of this order; what is smaller shows as an offset from the venue's clock and is judged there.
const STEP_MAX_NS: i128 = 1_000_000_000;
/// The clocks of one reading were read within this time, or the reading says nothing: the process may have been stopped between
/// them (D12).
const READ_WITHIN_NS: i128 = 20_000_000;

/// The clocks at one moment, nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Since boot, sleep included; read first …
    pub boot: i128,
    /// UTC.
    pub wall: i128,
    /// Since boot, without sleep.
    pub awake: i128,
    /// … and last.
    pub boot_after: i128,
}

impl Reading {
    /// The clocks now.
    #[must_use]
    pub fn now() -> Reading {
        let read = |clock| {
            let now = clock_gettime(clock);
            i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
        };
        let wall = || match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i128::try_from(since.as_nanos()).unwrap_or(i128::MAX),
            Err(before) => -i128::try_from(before.duration().as_nanos()).unwrap_or(i128::MAX),
        };
        let boot = read(ClockId::Boottime);
        Reading { boot, wall: wall(), awake: read(ClockId::Monotonic), boot_after: read(ClockId::Boottime) }
    }

    fn is_tight(self) -> bool {
        self.boot_after - self.boot <= READ_WITHIN_NS
    }
}

/// Remembers the last reading.
#[derive(Debug, Default)]
pub struct Clocks {
    last: Option<Reading>,
}

impl Clocks {
    /// Compares `now` with the last reading that was good for it: what must be stopped, and why.
    ///
    /// A clock that runs backwards although it cannot means that nothing here is timed any more, so nothing is placed. A wall clock
    /// that was set leaves timing alone, and positions may shrink.
    pub fn look(&mut self, now: Reading) -> Option<Stop> {
        let Some(last) = self.last else {
            self.last = Some(now).filter(|now| now.is_tight());
            return None;
        };
        let (boot, awake, wall) = (now.boot - last.boot, now.awake - last.awake, now.wall - last.wall);
        if now.boot_after < now.boot || boot < 0 || awake < 0 {
            self.last = Some(now);
            let stop = Stop::all(StopLevel::Block, Trigger::Clock, "the machine's clock since boot ran backwards");
            return Some(stop.with("boot_ms", boot / 1_000_000).with("awake_ms", awake / 1_000_000));
        }
        if !now.is_tight() {
            return None;
        }
        self.last = Some(now);
        let step = wall - boot;
        if step.abs() <= STEP_MAX_NS {
            return None;
        }
        let (ms, way) = (step / 1_000_000, if step > 0 { "forwards" } else { "backwards" });
        let cause = format!("the wall clock was set {way} by {} ms", ms.abs());
        let stop = Stop::all(StopLevel::ReduceOnly, Trigger::Clock, cause);
        Some(stop.with("step_ms", ms).with("step_max_ms", STEP_MAX_NS / 1_000_000).with("since_last_look_ms", boot / 1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i128 = 1_000_000;

    fn at(boot: i128, wall: i128, slept: i128) -> Reading {
        let boot = boot * MS;
        Reading { boot, wall: 1_700_000_000_000 * MS + wall * MS, awake: boot - slept * MS, boot_after: boot + 1_000 }
    }

    /// What a second reading, `after` a first one, is taken for.
    fn second(after: Reading) -> Option<(StopLevel, String)> {
        let mut clocks = Clocks::default();
        assert_eq!(clocks.look(at(10_000, 10_000, 0)), None, "one reading compares with nothing");
        clocks.look(after).map(|stop| (stop.level, stop.cause))
    }

    #[test]
    fn f76_a_wall_clock_that_is_set_lets_positions_only_shrink() {
        let reduce = |cause: &str| Some((StopLevel::ReduceOnly, cause.to_owned()));
        assert_eq!(second(at(10_250, 10_250 + 3_600_000, 0)), reduce("the wall clock was set forwards by 3600000 ms"));
        assert_eq!(second(at(10_250, 10_250 - 3_600_000, 0)), reduce("the wall clock was set backwards by 3600000 ms"));
        assert_eq!(second(at(10_250, 10_250 - 1_001, 0)), reduce("the wall clock was set backwards by 1001 ms"));
        assert_eq!(second(at(10_250, 10_250 + 999, 0)), None, "an offset, for the venue's clock to show");
    }

    #[test]
    fn f78_sleep_and_a_busy_machine_are_no_step() {
        assert_eq!(second(at(610_000, 610_000, 600_000)), None, "ten minutes of sleep");
        assert_eq!(second(at(70_000, 70_000, 0)), None, "a minute without a look");
    }

    #[test]
    fn d12_a_reading_that_was_interrupted_says_nothing_and_the_next_one_does() {
        let mut clocks = Clocks::default();
        assert_eq!(clocks.look(at(10_000, 10_000, 0)), None);
        // stopped for five seconds after the first clock was read
        let torn = Reading { boot_after: 15_250 * MS, ..at(10_250, 15_250, 0) };
        assert_eq!(clocks.look(torn), None);
        assert_eq!(clocks.look(at(15_500, 15_500, 0)), None);
        let stop = clocks.look(at(15_750, 25_750, 0)).unwrap();
        assert_eq!(stop.trigger, Trigger::Clock);
        assert_eq!(stop.inputs.get("step_ms").map(String::as_str), Some("10000"));
        assert_eq!(clocks.look(at(16_000, 26_000, 0)), None, "told once");
    }

    #[test]
    fn a_clock_that_cannot_run_backwards_and_does_stops_everything() {
        let back = Some((StopLevel::Block, "the machine's clock since boot ran backwards".to_owned()));
        assert_eq!(second(at(9_999, 10_250, 0)), back);
        let torn = Reading { boot_after: 10_000 * MS, ..at(10_250, 10_250, 0) };
        assert_eq!(second(torn), back);
    }

    #[test]
    fn this_machine_s_clocks_agree() {
        let mut clocks = Clocks::default();
        for _ in 0..100 {
            assert_eq!(clocks.look(Reading::now()), None);
        }
    }
}
