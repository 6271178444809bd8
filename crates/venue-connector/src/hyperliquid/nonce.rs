//! Nonces for what the connector signs of its own accord: cancels, leverage, proofs. Orders carry the desk's nonces, which are
//! even; these are odd, so the two sources share one signer without a lock between them.

use std::sync::Mutex;
use std::sync::PoisonError;

/// The venue takes nonces up to one day ahead of its time; we stay an hour below.
const AHEAD_MS_MAX: u64 = 23 * 3_600_000;

/// Strictly increasing odd nonces (I32), whatever the wall clock does.
///
/// A nonce follows the clock while the clock runs ahead of the last nonce, and counts on by two while it does not: after a
/// step back, in a burst, or after a restart with a floor in the future.
#[derive(Debug)]
pub struct NonceSource {
    last: Mutex<u64>,
}

/// A nonce that the venue would refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nonce {nonce} is more than 23 hours ahead of the clock at {now_ms}: the clock was set back, or the floor is wrong")]
pub struct NonceAhead {
    /// The nonce that would have been next.
    pub nonce: u64,
    /// The clock, UTC milliseconds.
    pub now_ms: u64,
}

impl NonceSource {
    /// Nonces above `floor_ms`: the highest that may ever have been used with this key.
    #[must_use]
    pub fn new(floor_ms: u64) -> NonceSource {
        NonceSource { last: Mutex::new(floor_ms) }
    }

    /// Raises the floor; a lower one changes nothing.
    pub fn raise(&self, floor_ms: u64) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = (*last).max(floor_ms);
    }

    /// The next nonce at `now_ms`.
    ///
    /// # Errors
    /// If it would lie so far ahead of the clock that the venue refuses it. Nothing is used up then.
    pub fn next(&self, now_ms: u64) -> Result<u64, NonceAhead> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let above = last.saturating_add(1).max(now_ms);
        let nonce = above | 1;
        if nonce > now_ms.saturating_add(AHEAD_MS_MAX) {
            return Err(NonceAhead { nonce, now_ms });
        }
        *last = nonce;
        Ok(nonce)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn i32_nonces_rise_over_clock_steps_and_restarts(
            start in 1_700_000_000_000_u64..1_900_000_000_000,
            steps in prop::collection::vec((-40_000_000_i64..40_000_000, any::<bool>(), 1_usize..40), 1..60),
        ) {
            let mut now = start;
            let mut source = NonceSource::new(start);
            let mut last = 0;
            for (step, restart, burst) in steps {
                now = now.saturating_add_signed(step).max(start - 40_000_000);
                if restart {
                    source = NonceSource::new(last.max(start));
                }
                for _ in 0..burst {
                    match source.next(now) {
                        Ok(nonce) => {
                            prop_assert!(nonce > last, "{nonce} after {last}");
                            prop_assert!(nonce % 2 == 1);
                            prop_assert!(nonce >= now && nonce < now + 86_400_000);
                            last = nonce;
                        }
                        Err(ahead) => prop_assert!(ahead.nonce > now + AHEAD_MS_MAX),
                    }
                }
            }
        }
    }

    #[test]
    fn a_raised_floor_counts_and_a_lower_one_does_not() {
        let source = NonceSource::new(1_000);
        source.raise(2_000);
        source.raise(5);
        assert_eq!(source.next(1_500), Ok(2_001));
        assert_eq!(source.next(1_500), Ok(2_003));
        assert_eq!(source.next(3_000), Ok(3_001));
        assert_eq!(source.next(3_002), Ok(3_003));
    }

    #[test]
    fn a_clock_set_back_by_a_day_is_an_error_not_a_refused_cancel() {
        let source = NonceSource::new(200_000_000);
        assert!(source.next(100_000_000).is_err());
        assert_eq!(source.next(150_000_000), Ok(200_000_001), "nothing was used up");
    }
}
