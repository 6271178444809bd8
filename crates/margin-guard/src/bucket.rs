//! A message budget in desk time (C07).

use domain::{Span, Stamp};

/// A budget's rate and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Desk time that one message costs, nanoseconds, rounded up so that the rate is never exceeded.
    cost: u64,
    /// Cost of a full burst, nanoseconds.
    size: u64,
}

const NANOS_PER_MIN: u64 = 60_000_000_000;

impl Rate {
    /// `per_min` messages a minute, at most `burst` at once. Both at least 1.
    pub(crate) fn new(per_min: u32, burst: u32) -> Rate {
        let cost = NANOS_PER_MIN.div_ceil(u64::from(per_min.max(1)));
        Rate { cost, size: cost.saturating_mul(u64::from(burst.max(1))) }
    }
}

/// A token bucket, kept as debt: time that must pass until it is full again. Exact, without fractions of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    debt: u64,
    at: u64,
}

impl Bucket {
    fn debt_at(self, now: Stamp) -> u64 {
        self.debt.saturating_sub(now.mono.saturating_sub(self.at))
    }

    /// Whether one more message leaves at least `reserve_ppm` millionths of the burst unspent; if not, how long until it does.
    pub(crate) fn ask(self, now: Stamp, rate: Rate, reserve_ppm: i64) -> Result<(), Span> {
        let share = 1_000_000_u64.saturating_sub(reserve_ppm.unsigned_abs());
        let line = Span(rate.size).scale(share, 1_000_000).0;
        let after = self.debt_at(now).saturating_add(rate.cost);
        if after <= line { Ok(()) } else { Err(Span(after - line)) }
    }

    /// Spends one message, into the reserve if need be; what is spent below empty is forgiven.
    pub(crate) fn spend(&mut self, now: Stamp, rate: Rate) {
        self.debt = self.debt_at(now).saturating_add(rate.cost).min(rate.size);
        self.at = self.at.max(now.mono);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Stamp {
        Stamp { mono: ms * 1_000_000, wall_ms: ms }
    }

    #[test]
    fn c07_reserve_is_never_spent_by_those_who_keep_it() {
        let rate = Rate::new(600, 10);
        let mut bucket = Bucket::default();
        let mut placed = 0;
        while bucket.ask(at(0), rate, 300_000).is_ok() {
            bucket.spend(at(0), rate);
            placed += 1;
        }
        assert_eq!(placed, 7, "three of ten are reserved");
        assert_eq!(bucket.ask(at(0), rate, 300_000), Err(Span::millis(100)), "one message per 100 ms comes back");
        assert!(bucket.ask(at(0), rate, 0).is_ok(), "cancels may still go");
        assert!(bucket.ask(at(100), rate, 300_000).is_ok());
    }

    #[test]
    fn time_that_stands_still_or_steps_back_gives_nothing() {
        let rate = Rate::new(60, 1);
        let mut bucket = Bucket::default();
        bucket.spend(at(5_000), rate);
        assert!(bucket.ask(at(5_000), rate, 0).is_err());
        assert!(bucket.ask(at(0), rate, 0).is_err());
        bucket.spend(at(0), rate);
        assert!(bucket.ask(at(5_999), rate, 0).is_err());
        assert!(bucket.ask(at(6_000), rate, 0).is_ok());
    }
}
