//! A message budget in desk time (C07).

use domain::{Span, Stamp};

use crate::money::Share;

/// A budget's rate and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Desk time that one message costs, nanoseconds, rounded up so that the rate is never exceeded.
    cost: u64,
    /// Cost of a full burst, nanoseconds.
    size: u64,
    /// What of that reductions may have spent, and increases.
    reducing: u64,
    increasing: u64,
}

const NANOS_PER_MIN: u64 = 60_000_000_000;

impl Rate {
    /// `per_min` messages a minute, at most `burst` at once, both at least 1. Placements leave `cancels` millionths of the
    /// burst unspent, and increases `reductions` millionths more.
    pub(crate) fn new(per_min: u32, burst: u32, cancels: Share, reductions: Share) -> Rate {
        let cost = NANOS_PER_MIN.div_ceil(u64::from(per_min.max(1)));
        let size = cost.saturating_mul(u64::from(burst.max(1)));
        let beside = |reserve: i64| Span(size).scale(1_000_000_u64.saturating_sub(reserve.unsigned_abs()), 1_000_000).0;
        Rate { cost, size, reducing: beside(cancels.0), increasing: beside(cancels.0 + reductions.0) }
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

    /// Whether one more placement leaves the reserve that it must; if not, how long until it does.
    pub(crate) fn ask(self, now: Stamp, rate: Rate, increasing: bool) -> Result<(), Span> {
        let line = if increasing { rate.increasing } else { rate.reducing };
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
    fn c07_reserves_are_not_spent_by_those_who_must_leave_them() {
        let rate = Rate::new(600, 10, Share(300_000), Share(100_000));
        let mut bucket = Bucket::default();
        let spend_all = |bucket: &mut Bucket, increasing: bool| {
            let mut placed = 0;
            while bucket.ask(at(0), rate, increasing).is_ok() {
                bucket.spend(at(0), rate);
                placed += 1;
            }
            placed
        };
        assert_eq!(spend_all(&mut bucket, true), 6, "four of ten are not for increases");
        assert_eq!(spend_all(&mut bucket, false), 1, "one is for reductions");
        assert_eq!(bucket.ask(at(0), rate, false), Err(Span::millis(100)), "one message per 100 ms comes back");
        assert_eq!(bucket.ask(at(0), rate, true), Err(Span::millis(200)));
        assert!(bucket.ask(at(100), rate, false).is_ok());
    }

    #[test]
    fn time_that_stands_still_or_steps_back_gives_nothing() {
        let rate = Rate::new(60, 1, Share(0), Share(0));
        let mut bucket = Bucket::default();
        bucket.spend(at(5_000), rate);
        assert!(bucket.ask(at(5_000), rate, true).is_err());
        assert!(bucket.ask(at(0), rate, true).is_err());
        bucket.spend(at(0), rate);
        assert!(bucket.ask(at(5_999), rate, true).is_err());
        assert!(bucket.ask(at(6_000), rate, true).is_ok());
    }
}
