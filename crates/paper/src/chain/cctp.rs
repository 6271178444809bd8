//! Deposits by Circle's CCTP: what a burn on the chain says about who is credited at the venue (fact sheet §11).
//!
//! On the real chains the token messenger burns the USDC, Circle attests it, and a forwarder on HyperEVM mints and credits the
//! account that the burn's hook names. Here the burn is read from the messenger's log, and the rest of the way is a delay and a fee.
//! What would not come out of the real forwarder does not come out here: another domain, another recipient or caller, a hook
//! that it cannot read, or a cap below the fee.

use std::time::Duration;

use domain::Usd;
use wire::hyperliquid::Address;

use super::{Arrival, Road};

/// CCTP domain of HyperEVM.
const HYPER_EVM: u64 = 19;
/// First word of a hook for the forwarder, padded to 24 bytes with zeros.
const TAG: &[u8; 12] = b"cctp-forward";
/// A hook: tag 24, version 4, length of the rest 4, account 20, dex 4.
const HOOK_BYTES: usize = 56;
/// The hook's number of the spot balance; 0 is the perpetuals' main dex.
const SPOT: u32 = u32::MAX;

/// CCTP's contracts on a local chain, and how the way from there to the venue is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CctpSpec {
    /// The token messenger, whose `DepositForBurn` logs are read.
    pub messenger: Address,
    /// The forwarder on the other side: burns for anybody else are not the venue's.
    pub forwarder: Address,
    /// Kept of each deposit: Circle's fee for forwarding. A burn whose cap (`maxFee`) is lower is not forwarded.
    pub fee: Usd,
    /// From the burn's confirmations to the credit.
    pub credit_after: Duration,
}

impl CctpSpec {
    /// Contracts whose deposits cost 0.20 USDC (the fee of October 2026) and are credited after two seconds.
    #[must_use]
    pub fn new(messenger: Address, forwarder: Address) -> CctpSpec {
        CctpSpec { messenger, forwarder, fee: Usd::from_micros(200_000), credit_after: Duration::from_secs(2) }
    }

    /// What becomes of a burn.
    pub(super) fn arrival(&self, burn: &Burn) -> Arrival {
        let lost = |why| Arrival { user: burn.depositor, amount: Usd::from_micros(burn.units), road: Road::Stranded(why) };
        let fee = self.fee.micros().unwrap_or(u64::MAX);
        if burn.domain != HYPER_EVM {
            return lost("the burn is for another domain");
        }
        if burn.recipient != self.forwarder || burn.caller != self.forwarder {
            return lost("the burn is not for the forwarder");
        }
        if burn.fee_max < fee {
            return lost("the burn's cap is below the fee");
        }
        let Some(net) = burn.units.checked_sub(fee).filter(|net| *net > 0) else { return lost("the fee takes all of it") };
        match hook(&burn.hook) {
            Some((user, 0)) => Arrival { user, amount: Usd::from_micros(net), road: Road::Cctp { spot: false } },
            Some((user, SPOT)) => Arrival { user, amount: Usd::from_micros(net), road: Road::Cctp { spot: true } },
            Some(_) => lost("the hook names a dex that does not exist"),
            None => lost("the forwarder cannot read the hook"),
        }
    }
}

/// A `DepositForBurn` of the token messenger, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Burn {
    /// Who called the messenger: a contract, if the deposit came through one.
    pub(super) depositor: Address,
    /// Millionths.
    pub(super) units: u64,
    pub(super) recipient: Address,
    pub(super) domain: u64,
    pub(super) caller: Address,
    /// Millionths; what does not fit is no cap.
    pub(super) fee_max: u64,
    pub(super) hook: Vec<u8>,
}

/// Words of the event's data before the hook's bytes.
const HEAD_WORDS: usize = 7;

impl Burn {
    /// Signature of the event (CCTP V2). Token, depositor and finality are its topics; the rest is its data.
    pub(super) const EVENT: &[u8] =
        b"DepositForBurn(address,uint256,address,bytes32,uint32,bytes32,bytes32,uint256,uint32,bytes)";

    /// Reads the event's data; `None` if it is not of that event, or moves more than 64 bits hold.
    pub(super) fn read(depositor: Address, data: &[u8]) -> Option<Burn> {
        let word = |at: usize| data.get(at..at + 32)?.try_into().ok();
        let head = |n: usize| word(32 * n);
        let number = |word: [u8; 32]| {
            let (high, low) = word.split_at(24);
            high.iter().all(|b| *b == 0).then(|| u64::from_be_bytes(low.try_into().unwrap_or_default()))
        };
        let address = |word: [u8; 32]| {
            let mut address = Address::ZERO;
            address.0.copy_from_slice(&word[12..]);
            // a recipient that is no EVM address is nobody here
            if word[..12].iter().all(|b| *b == 0) { address } else { Address::ZERO }
        };
        let at = usize::try_from(number(head(HEAD_WORDS - 1)?)?).ok().filter(|at| *at <= data.len())?;
        let length = usize::try_from(number(word(at)?)?).ok().filter(|length| *length <= data.len())?;
        Some(Burn {
            depositor,
            units: number(head(0)?)?,
            recipient: address(head(1)?),
            domain: number(head(2)?)?,
            caller: address(head(4)?),
            fee_max: number(head(5)?).unwrap_or(u64::MAX),
            hook: data.get(at + 32..at + 32 + length)?.to_vec(),
        })
    }
}

/// The account and the dex that a hook names.
fn hook(data: &[u8]) -> Option<(Address, u32)> {
    let whole: &[u8; HOOK_BYTES] = data.try_into().ok()?;
    let number = |at: usize| u32::from_be_bytes([whole[at], whole[at + 1], whole[at + 2], whole[at + 3]]);
    let is_tagged = whole.starts_with(TAG) && whole[TAG.len()..24].iter().all(|b| *b == 0);
    if !is_tagged || number(24) != 0 || number(28) != 24 {
        return None;
    }
    let mut user = Address::ZERO;
    user.0.copy_from_slice(&whole[32..52]);
    Some((user, number(52)))
}

#[cfg(test)]
mod tests;
