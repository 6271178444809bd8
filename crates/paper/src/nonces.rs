//! Replay protection (fact sheet §5.4): per signer the 100 highest nonces are kept; a new one must be unused, above the
//! smallest kept, and between two days before and one day after now.

use std::collections::{BTreeMap, BTreeSet};

use wire::hyperliquid::Address;

/// How many nonces the venue keeps per signer.
const KEPT: usize = 100;
const DAY_MS: u64 = 86_400_000;

#[derive(Debug, Default)]
pub(crate) struct Nonces {
    by_signer: BTreeMap<Address, BTreeSet<u64>>,
}

impl Nonces {
    /// Whether `signer` may use `nonce` now; the text is the venue's refusal.
    pub(crate) fn check(&self, signer: Address, nonce: u64, now_ms: u64) -> Result<(), String> {
        if nonce.saturating_add(2 * DAY_MS) <= now_ms || nonce >= now_ms + DAY_MS {
            return Err(format!("Invalid nonce: {nonce} is not within the allowed window of {now_ms}"));
        }
        let Some(kept) = self.by_signer.get(&signer) else { return Ok(()) };
        if kept.contains(&nonce) {
            return Err(format!("Invalid nonce: duplicate nonce {nonce}"));
        }
        match kept.first() {
            Some(lowest) if kept.len() >= KEPT && nonce < *lowest => {
                Err(format!("Invalid nonce: {nonce} is too low, lowest kept {lowest}"))
            }
            _ => Ok(()),
        }
    }

    /// Marks `nonce` used.
    pub(crate) fn burn(&mut self, signer: Address, nonce: u64) {
        let kept = self.by_signer.entry(signer).or_default();
        kept.insert(nonce);
        if kept.len() > KEPT {
            kept.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;
    const SIGNER: Address = Address([7; 20]);

    #[test]
    fn a_nonce_is_used_once_in_any_order() {
        let mut nonces = Nonces::default();
        for nonce in [NOW, NOW + 5, NOW + 3] {
            assert_eq!(nonces.check(SIGNER, nonce, NOW), Ok(()));
            nonces.burn(SIGNER, nonce);
        }
        assert_eq!(nonces.check(SIGNER, NOW + 3, NOW), Err(format!("Invalid nonce: duplicate nonce {}", NOW + 3)));
        assert_eq!(nonces.check(Address([8; 20]), NOW + 3, NOW), Ok(()), "another key has its own set");
    }

    #[test]
    fn the_hundred_highest_are_the_floor() {
        let mut nonces = Nonces::default();
        for n in 0..101 {
            nonces.burn(SIGNER, NOW + n * 10);
        }
        assert!(nonces.check(SIGNER, NOW + 5, NOW).is_err(), "below the smallest of the hundred kept");
        assert_eq!(nonces.check(SIGNER, NOW + 15, NOW), Ok(()));
    }

    #[test]
    fn the_window_is_two_days_back_and_one_ahead() {
        let nonces = Nonces::default();
        for (nonce, ok) in [
            (NOW - 2 * DAY_MS, false),
            (NOW - 2 * DAY_MS + 1, true),
            (NOW + DAY_MS - 1, true),
            (NOW + DAY_MS, false),
            (0, false),
            (u64::MAX, false),
        ] {
            assert_eq!(nonces.check(SIGNER, nonce, NOW).is_ok(), ok, "{nonce}");
        }
    }
}
