use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};

/// The root of all chance in a run. Streams are forked by name, so a new stream moves no other stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream called `name`. The same seed and name always give the same numbers.
    #[must_use]
    pub fn fork(self, name: &str) -> Prng {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0.to_be_bytes());
        hasher.update(name.as_bytes());
        Prng(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
    }
}

/// A deterministic stream of integers (ChaCha8). It has no floats in its interface.
#[derive(Clone, Debug)]
pub struct Prng(ChaCha8Rng);

impl Prng {
    /// Uniform over the whole range.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `0..bound` without modulo bias; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        let zone = u64::MAX - u64::MAX % bound;
        loop {
            let draw = self.0.next_u64();
            if draw < zone {
                return draw % bound;
            }
        }
    }

    /// Uniform in `low..=high`; `low` if the range is empty.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        if high <= low {
            return low;
        }
        let width = u64::try_from(i128::from(high) - i128::from(low) + 1).unwrap_or(u64::MAX);
        let draw = i128::from(low) + i128::from(self.below(width));
        i64::try_from(draw).unwrap_or(high)
    }

    /// True with probability `num / den`.
    pub fn chance(&mut self, num: u64, den: u64) -> bool {
        self.below(den) < num
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forks_are_named_and_independent() {
        let a: Vec<u64> = std::iter::repeat_with({
            let mut p = Seed(7).fork("a");
            move || p.next_u64()
        })
        .take(4)
        .collect();
        let mut again = Seed(7).fork("a");
        let mut other = Seed(7).fork("b");
        assert_eq!(a[0], again.next_u64());
        assert_ne!(a[1], other.next_u64());
    }

    #[test]
    fn draws_stay_in_range() {
        let mut p = Seed(1).fork("range");
        for _ in 0..1_000 {
            assert!(p.below(7) < 7);
            assert!((-3..=5).contains(&p.between(-3, 5)));
        }
        assert_eq!(p.below(0), 0);
        assert_eq!(p.between(4, 4), 4);
    }
}
