use domain::{ParentId, Prng, Seed, Span};

use crate::schedule::{ONE, Shape};

/// The slices of one leg of a parent: when each starts and what is due once it has, in whole lots.
///
/// Slices are never below the smallest order given, and sum to the leg exactly. Jitter is drawn from a stream per slice,
/// so that no state has to survive a crash.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    qty: i64,
    horizon: Span,
    smallest: i64,
    /// Number of equal intervals of the leg.
    intervals: u32,
    steps: Steps,
    seed: Seed,
    parent: ParentId,
    leg: u32,
}

#[derive(Clone, Debug, PartialEq)]
enum Steps {
    /// Every interval has a slice, all alike: nothing needs to be stored.
    Even,
    /// The interval in which each slice starts, and what is due once it has.
    Table(Box<[(u32, i64)]>),
}

/// Shortest interval between slices: a venue's block and our own round trip fit in, and a parent cannot become a stream of messages.
const INTERVAL_MIN: Span = Span::millis(500);

impl Plan {
    /// Cuts `qty` lots over `horizon` into at most `wanted` slices of at least `smallest` lots (one slice if `qty` is below two of them).
    pub(crate) fn new(
        shape: &Shape,
        (qty, smallest): (i64, i64),
        (wanted, horizon): (u32, Span),
        (seed, parent, leg): (Seed, ParentId, u32),
    ) -> Plan {
        let by_time = u32::try_from(horizon.0 / INTERVAL_MIN.0).unwrap_or(u32::MAX);
        let by_size = u32::try_from(qty / smallest.max(1)).unwrap_or(u32::MAX);
        let plan = |intervals, steps| Plan { qty, horizon, smallest, intervals, steps, seed, parent, leg };
        if *shape == Shape::Even {
            return plan(wanted.min(by_time).min(by_size).max(1), Steps::Even);
        }
        let intervals = wanted.min(by_time).max(1);
        let mut steps: Vec<(u32, i64)> = Vec::new();
        let mut done = 0;
        for i in 0..intervals {
            let end = Span(u64::try_from(u128::from(horizon.0) * u128::from(i + 1) / u128::from(intervals)).unwrap_or(u64::MAX));
            let due = lots(qty, if i + 1 == intervals { ONE } else { shape.share(end, horizon) });
            if due - done >= smallest {
                steps.push((i, due));
                done = due;
            }
        }
        match steps.last_mut() {
            Some(last) => last.1 = qty,
            None => steps.push((0, qty)),
        }
        plan(intervals, Steps::Table(steps.into()))
    }

    pub(crate) fn len(&self) -> u32 {
        match &self.steps {
            Steps::Even => self.intervals,
            Steps::Table(steps) => u32::try_from(steps.len()).unwrap_or(u32::MAX),
        }
    }

    /// The size of slice `i` before jitter.
    pub(crate) fn size(&self, i: u32) -> i64 {
        self.nominal(i) - if i == 0 { 0 } else { self.nominal(i - 1) }
    }

    /// What is due once slice `i` has started: the sum of slices 0 to `i`, sizes jittered by up to a fifth.
    pub(crate) fn due(&self, i: u32) -> i64 {
        if i + 1 >= self.len() {
            return self.qty;
        }
        let (here, next) = (self.size(i), self.size(i + 1));
        let room = here.min(next);
        // each boundary moves by at most a tenth, and two boundaries together leave the smallest order whole
        let reach = (room / 10).min((room - self.smallest) / 2).max(0);
        self.nominal(i) + self.stream(i, "size").between(-reach, reach)
    }

    /// When slice `i` starts, from the start of the leg: in the first half of its interval; the first one at once.
    pub(crate) fn starts(&self, i: u32) -> Span {
        let interval = self.horizon.0 / u64::from(self.intervals);
        let at = self.interval_start(self.interval_of(i));
        if i == 0 && self.interval_of(0) == 0 {
            return Span::ZERO;
        }
        Span(at.0 + self.stream(i, "start").below(interval / 2 + 1))
    }

    /// When the life of slice `i` ends: where the next one's interval starts.
    pub(crate) fn ends(&self, i: u32) -> Span {
        if i + 1 >= self.len() { self.horizon } else { self.interval_start(self.interval_of(i + 1)) }
    }

    /// How many slices have started after `elapsed`, knowing that at least `from` have.
    pub(crate) fn started(&self, elapsed: Span, from: u32) -> u32 {
        let interval = (self.horizon.0 / u64::from(self.intervals)).max(1);
        let mut n = match &self.steps {
            Steps::Even => u32::try_from(elapsed.0 / interval).unwrap_or(u32::MAX).saturating_sub(1).clamp(from, self.len()),
            Steps::Table(_) => from,
        };
        while n < self.len() && self.starts(n) <= elapsed {
            n += 1;
        }
        n
    }

    fn nominal(&self, i: u32) -> i64 {
        match &self.steps {
            Steps::Even => {
                let part = i128::from(self.qty) * i128::from(i + 1) / i128::from(self.intervals);
                i64::try_from(part).unwrap_or(self.qty).min(self.qty)
            }
            Steps::Table(steps) => steps[i as usize].1,
        }
    }

    fn interval_of(&self, i: u32) -> u32 {
        match &self.steps {
            Steps::Even => i,
            Steps::Table(steps) => steps[i as usize].0,
        }
    }

    fn interval_start(&self, k: u32) -> Span {
        self.horizon.scale(u64::from(k), u64::from(self.intervals))
    }

    fn stream(&self, i: u32, of: &str) -> Prng {
        self.seed.fork(&format!("parent.{}.leg.{}.slice.{i}.{of}", self.parent.0, self.leg))
    }
}

/// `qty` times a share, rounded down.
pub(crate) fn lots(qty: i64, share: u64) -> i64 {
    i64::try_from(i128::from(qty) * i128::from(share) / i128::from(ONE)).unwrap_or(qty)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    use super::*;

    fn shapes() -> impl Strategy<Value = Shape> {
        prop_oneof![
            Just(Shape::Even),
            (proptest::collection::vec(0_u32..1_000, 1..300), 0_u64..86_400_000).prop_map(|(mut curve, wall_ms)| {
                curve.push(1);
                Shape::curve(&curve, wall_ms)
            }),
            (0_i64..1_000_000, 1_u32..200).prop_map(|(lambda, slices)| {
                let parameters = [Decimal::new(lambda, 6), Decimal::new(3, 2), Decimal::new(1, 3)];
                Shape::shortfall(parameters, slices, Span::secs(3_600), Decimal::from(1_000_000))
            }),
        ]
    }

    proptest! {
        #[test]
        fn slices_sum_to_the_leg_and_none_is_too_small(
            shape in shapes(), qty in 1_i64..10_000_000, smallest in 1_i64..2_000, wanted in 1_u32..300, secs in 1_u64..200_000,
            seed in any::<u64>(),
        ) {
            let horizon = Span::secs(secs);
            let plan = Plan::new(&shape, (qty, smallest), (wanted, horizon), (Seed(seed), ParentId(1), 1));
            prop_assert!((1..=wanted).contains(&plan.len()));
            let (mut done, mut last_start) = (0, Span::ZERO);
            for i in 0..plan.len() {
                let size = plan.due(i) - done;
                prop_assert!(size >= smallest.min(qty), "slice {} of {} is {}, at least {}", i, plan.len(), size, smallest);
                prop_assert!(plan.len() == 1 || size <= plan.size(i) * 12 / 10 + 2, "jitter of a fifth: {} for {}", size, plan.size(i));
                prop_assert!(plan.starts(i) >= last_start && plan.starts(i) <= plan.ends(i) && plan.ends(i) <= horizon);
                prop_assert!(plan.started(plan.starts(i), 0) > i, "a slice has started when it starts");
                prop_assert!(i == 0 || plan.starts(i).0 == 0 || plan.started(Span(plan.starts(i).0 - 1), 0) <= i);
                (done, last_start) = (plan.due(i), plan.starts(i));
            }
            prop_assert_eq!(done, qty);
        }
    }

    #[test]
    fn fewer_slices_when_they_would_be_too_small() {
        let plan = |qty, smallest| Plan::new(&Shape::Even, (qty, smallest), (100, Span::secs(3_600)), (Seed(1), ParentId(1), 1));
        assert_eq!(plan(100_000, 10).len(), 100);
        assert_eq!(plan(95, 10).len(), 9);
        assert_eq!(plan(19, 10).len(), 1);
        assert_eq!(plan(5, 10).len(), 1, "a whole position may be closed by less");
    }
}
