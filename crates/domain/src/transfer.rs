//! Moving collateral: what a transfer is, what can happen to it, and how its record is folded (reliability §3.6).
//!
//! A transfer is exactly one intent with one nonce. On a chain at most one transaction per wallet and nonce is ever mined, so every
//! attempt of an intent (the first, its replacements, a burn) carries the nonce of the intent, and whichever is mined closes it.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Epoch, InstrumentId, Stamp, Usd, Venue};

/// Why a text is not hexadecimal of the right length.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct BadHex {
    /// What was given, cut to 80 characters.
    pub text: String,
    /// What would be right.
    pub expected: &'static str,
}

fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    hex::decode(text.strip_prefix("0x")?).ok()
}

macro_rules! fixed_hex {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $bytes]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "0x{}", hex::encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = BadHex;
            fn from_str(text: &str) -> Result<Self, BadHex> {
                let bytes = hex_bytes(text).and_then(|bytes| bytes.try_into().ok());
                bytes.map($name).ok_or_else(|| BadHex { text: text.chars().take(80).collect(), expected: $expected })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

fixed_hex! {
    /// An account on an EVM chain. Read in any letter case, written in lower case.
    EvmAddress, 20, "an address: 0x and 40 hexadecimal digits"
}

fixed_hex! {
    /// A hash of a transaction or a block.
    TxHash, 32, "a hash: 0x and 64 hexadecimal digits"
}

/// The signed bytes of a transaction, as they go to an endpoint. Sending the same bytes again is the same transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawTx(pub Vec<u8>);

impl fmt::Display for RawTx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(&self.0))
    }
}

impl Serialize for RawTx {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RawTx {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        hex_bytes(&text).map(RawTx).ok_or_else(|| de::Error::custom("signed bytes are 0x and pairs of hexadecimal digits"))
    }
}

/// An amount of the chain's own coin in its smallest unit (10^-18 ether). Arithmetic saturates: a cost that does not fit is refused
/// by every cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wei(pub u128);

impl Wei {
    /// Nothing.
    pub const ZERO: Wei = Wei(0);

    /// `n` thousand millions of the smallest unit, the unit in which gas prices are quoted.
    #[must_use]
    pub const fn gwei(n: u64) -> Wei {
        Wei(n as u128 * 1_000_000_000)
    }

    /// The sum.
    #[must_use]
    pub const fn plus(self, other: Wei) -> Wei {
        Wei(self.0.saturating_add(other.0))
    }

    /// The difference, or nothing if `other` is larger.
    #[must_use]
    pub const fn minus(self, other: Wei) -> Wei {
        Wei(self.0.saturating_sub(other.0))
    }

    /// `n` times this: the price of `n` units of gas.
    #[must_use]
    pub const fn times(self, n: u64) -> Wei {
        Wei(self.0.saturating_mul(n as u128))
    }

    /// This amount of ether, read from a plain decimal with at most 18 decimals.
    #[must_use]
    pub fn from_ether(ether: Decimal) -> Option<Wei> {
        let ether = ether.normalize();
        let missing = 18_u32.checked_sub(ether.scale())?;
        u128::try_from(ether.mantissa()).ok()?.checked_mul(10_u128.pow(missing)).map(Wei)
    }
}

impl fmt::Display for Wei {
    /// In ether, exactly.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ETHER: u128 = 1_000_000_000_000_000_000;
        let (whole, rest) = (self.0 / ETHER, self.0 % ETHER);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{rest:018}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

// As text: the tagged records of the journal are buffered while they are read, and such a buffer holds no 128-bit numbers.
impl Serialize for Wei {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Wei {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let value = digits.then(|| text.parse().ok()).flatten();
        value.map(Wei).ok_or_else(|| de::Error::custom("an amount of wei is a whole number in quotes"))
    }
}

impl Usd {
    /// The amount in units of 10^-6, as USDC counts on every chain; nothing if it is negative, finer than that, or above 64 bits.
    #[must_use]
    pub fn micros(self) -> Option<u64> {
        let value = self.decimal().normalize();
        let missing = 6_u32.checked_sub(value.scale())?;
        u64::try_from(value.mantissa().checked_mul(10_i128.pow(missing))?).ok()
    }

    /// `units` of 10^-6. Amounts above the domain's largest are cut to it; no token balance is that large.
    #[must_use]
    pub fn from_micros(units: u64) -> Usd {
        Usd::new(Decimal::from_i128_with_scale(i128::from(units), 6)).unwrap_or_else(|_| Usd::whole(i32::MAX))
    }
}

/// A transfer, numbered from 1 within one journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TransferId(pub u32);

impl fmt::Display for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T{}", self.0)
    }
}

impl FromStr for TransferId {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix('T').unwrap_or(text).parse().map(TransferId)
    }
}

/// The part of a transfer that a wallet does on its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainLeg {
    /// Which chain. Part of what is signed.
    pub chain_id: u64,
    /// The wallet that signs and pays. Hyperliquid credits the sender, so it is also the account.
    pub wallet: EvmAddress,
    /// The token.
    pub token: EvmAddress,
    /// The contract that takes the token: the venue's bridge, or the CCTP extension.
    pub contract: EvmAddress,
    /// Most that gas may cost, over all attempts: only one transaction with a nonce is ever mined, so it bounds each of them.
    pub gas_cost_max: Wei,
}

/// Terms of a deposit by Circle's cross-chain transfer to HyperCore (the fee's cap is [`TransferIntent::fee_max`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CctpTerms {
    /// CCTP domain of the destination: 19 is HyperEVM.
    pub destination_domain: u32,
    /// The contract on the destination that mints and forwards.
    pub forwarder: EvmAddress,
    /// HyperCore balance that is credited: 0 perpetuals, `u32::MAX` spot.
    pub dex: u32,
    /// Finality that the burn must have reached: 1000 is the fast path.
    pub min_finality_threshold: u32,
    /// The authorisation holds after this second of Unix time.
    pub valid_after_s: u64,
    /// The authorisation holds before this second of Unix time; a transaction mined later reverts.
    pub valid_before_s: u64,
}

/// By which way collateral moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "route", rename_all = "snake_case")]
pub enum Route {
    /// From the account's spot balance to its perpetuals balance.
    SpotToPerp,
    /// From the account's perpetuals balance to its spot balance.
    PerpToSpot,
    /// Between the master account and a sub-account.
    SubAccount {
        /// The sub-account.
        sub: EvmAddress,
        /// True: from the master to the sub-account.
        deposit: bool,
    },
    /// Adds margin to an isolated position of the account.
    IsolatedMargin {
        /// The market.
        instrument: InstrumentId,
    },
    /// Token transfer from the wallet to the venue's bridge.
    Bridge(ChainLeg),
    /// Burn on the wallet's chain and mint at the venue, by Circle's CCTP.
    Cctp {
        /// What the wallet does.
        leg: ChainLeg,
        /// What was agreed for the rest of the way.
        terms: CctpTerms,
    },
    /// Withdrawal from the venue to a chain. Needs the operator's own signer.
    Withdrawal {
        /// Who receives it.
        destination: EvmAddress,
    },
}

impl Route {
    /// What the wallet does, if this route begins on a chain.
    #[must_use]
    pub const fn leg(&self) -> Option<&ChainLeg> {
        match self {
            Route::Bridge(leg) | Route::Cctp { leg, .. } => Some(leg),
            Route::SpotToPerp
            | Route::PerpToSpot
            | Route::SubAccount { .. }
            | Route::IsolatedMargin { .. }
            | Route::Withdrawal { .. } => None,
        }
    }

    /// Whether money stays inside the venue.
    #[must_use]
    pub const fn inside(&self) -> bool {
        match self {
            Route::SpotToPerp | Route::PerpToSpot | Route::SubAccount { .. } | Route::IsolatedMargin { .. } => true,
            Route::Bridge(_) | Route::Cctp { .. } | Route::Withdrawal { .. } => false,
        }
    }

    /// Where money arrives, if not in the account itself: what the allow-list is asked about.
    #[must_use]
    pub const fn destination(&self) -> Option<EvmAddress> {
        match self {
            Route::SpotToPerp | Route::PerpToSpot | Route::IsolatedMargin { .. } => None,
            Route::SubAccount { sub, .. } => Some(*sub),
            Route::Bridge(leg) | Route::Cctp { leg, .. } => Some(leg.contract),
            Route::Withdrawal { destination } => Some(*destination),
        }
    }

    /// Its name in reports.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Route::SpotToPerp => "spot to perp",
            Route::PerpToSpot => "perp to spot",
            Route::SubAccount { .. } => "sub-account",
            Route::IsolatedMargin { .. } => "isolated margin",
            Route::Bridge(_) => "bridge deposit",
            Route::Cctp { .. } => "CCTP deposit",
            Route::Withdrawal { .. } => "withdrawal",
        }
    }
}

/// A transfer as it was decided. Everything that is signed for it is a pure function of this record (and, on a chain, of the fees of
/// the attempt).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferIntent {
    /// Which.
    pub id: TransferId,
    /// At or for which venue.
    pub venue: Venue,
    /// The venue account that receives or gives.
    pub account: EvmAddress,
    /// By which way.
    pub route: Route,
    /// How much leaves the source; at most 6 decimals.
    pub amount: Usd,
    /// Most that may be kept from it on the way.
    pub fee_max: Usd,
    /// On a chain: the wallet's nonce. At a venue: the nonce of the signed action.
    pub nonce: u64,
    /// Treasury limits that it was judged on.
    pub limits: u64,
    /// Why, in words.
    pub cause: String,
}

/// What an attempt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptKind {
    /// The transfer itself, at first or at higher fees.
    Send,
    /// Nothing, from the wallet to itself: makes the nonce useless for the transfer.
    Burn,
}

/// One signed transaction for a transfer's nonce.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// What for.
    pub kind: AttemptKind,
    /// Its hash.
    pub hash: TxHash,
    /// Its bytes.
    pub raw: RawTx,
    /// Most gas that it may use.
    pub gas_limit: u64,
    /// Highest price of one unit of gas.
    pub fee_max: Wei,
    /// What of that goes to the block's maker.
    pub tip: Wei,
}

impl Attempt {
    /// Most that it may cost in gas.
    #[must_use]
    pub const fn gas_cost_max(&self) -> Wei {
        self.fee_max.times(self.gas_limit)
    }
}

/// Where a transaction was included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inclusion {
    /// Which transaction.
    pub hash: TxHash,
    /// Height of the block.
    pub block: u64,
    /// Hash of the block: another one at the same height is another history.
    pub block_hash: TxHash,
    /// False: it reverted, and only its gas was spent.
    pub success: bool,
    /// What its gas cost.
    pub gas_cost: Wei,
}

/// How a transfer ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum TransferOutcome {
    /// Final where it left and credited where it arrived.
    Arrived,
    /// Refused before anything was signed: nothing left, the nonce is free.
    Refused {
        /// Why.
        why: String,
    },
    /// The venue refused it: nothing moved.
    Rejected {
        /// The venue's words.
        why: String,
    },
    /// Mined and reverted: gas was spent, nothing moved.
    Reverted,
    /// The nonce was used by our own empty transaction: gas was spent, nothing moved.
    Burnt,
    /// The nonce was used by a transaction that we did not make: the wallet is frozen and its key in doubt (F84).
    Foreign,
    /// The operator closed it.
    WrittenOff {
        /// In whose words.
        reason: String,
    },
}

/// What happened to a transfer, or what was decided about it. Each is a journal record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum TransferEvent {
    /// It was judged and may be worked on once this is durable: its budget is reserved and its nonce pinned.
    Intended(TransferIntent),
    /// A later tenure takes up its work again.
    Resumed {
        /// Which tenure.
        epoch: Epoch,
    },
    /// A transaction was signed, and may be sent once this is durable.
    Signed(Attempt),
    /// Bytes were handed to at least one endpoint, or to the venue. Whether they arrived is not known.
    Sent {
        /// Which transaction; absent at a venue.
        hash: Option<TxHash>,
    },
    /// No endpoint knows the transaction any more, and its nonce is still free (F82). The same bytes are sent again.
    Dropped {
        /// Which.
        hash: TxHash,
    },
    /// It is in a block.
    Included(Inclusion),
    /// Its block has the configured number of blocks on top.
    Confirmed {
        /// How many.
        depth: u64,
    },
    /// Its block is no longer part of the chain (F85). The same bytes are sent again.
    Reorged {
        /// Which transaction.
        hash: TxHash,
        /// Which block.
        block_hash: TxHash,
    },
    /// Its block is safe by the chain's own word; the nonce is spent for good.
    Final(Inclusion),
    /// The venue accepted it: it happened.
    Accepted,
    /// The venue credited it.
    Credited {
        /// How much.
        amount: Usd,
        /// When, venue time in UTC milliseconds.
        venue_ms: u64,
    },
    /// It is under way for longer than it may be. It stays reserved, and no other is sent for its sake (I12).
    Overdue {
        /// Where it is stuck.
        why: String,
    },
    /// It is over.
    Ended(TransferOutcome),
}

/// What is known of a transfer: the fold of its events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// What was decided.
    pub intent: TransferIntent,
    /// When.
    pub at: Stamp,
    /// All transactions signed for it, oldest first. Any one of them may be mined, and only one can be.
    pub attempts: Vec<Attempt>,
    /// Where it is.
    pub state: TransferState,
    /// What gas cost, once that is final; nothing was or will be spent beyond it.
    pub gas: Option<Wei>,
    /// What the venue credited.
    pub credited: Option<Usd>,
    /// Why it is overdue.
    pub overdue: Option<String>,
    /// When the state last changed.
    pub since: Stamp,
}

/// Where a transfer is (reliability §3.6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum TransferState {
    /// Budget reserved, nonce pinned, nothing signed.
    Intended,
    /// The bytes are durable; whether they left is not known to the journal.
    Signed,
    /// Sent; the answer is open.
    Sent,
    /// In a block.
    Included(Inclusion),
    /// In a block with enough blocks on top.
    Confirmed(Inclusion),
    /// Left the source for good; not yet credited.
    Landed,
    /// Over.
    Ended(TransferOutcome),
}

impl TransferState {
    /// Its name in reports.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            TransferState::Intended => "intended",
            TransferState::Signed => "signed",
            TransferState::Sent => "sent",
            TransferState::Included(_) => "included",
            TransferState::Confirmed(_) => "confirmed",
            TransferState::Landed => "landed",
            TransferState::Ended(_) => "ended",
        }
    }
}

/// An event that cannot follow the state: a programmer's error, or a damaged journal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{id} is {state} and cannot take {event}")]
pub struct BadStep {
    /// Which transfer.
    pub id: TransferId,
    /// Where it is.
    pub state: &'static str,
    /// What was to be applied.
    pub event: String,
}

impl Transfer {
    /// A transfer that was just decided.
    #[must_use]
    pub fn new(intent: TransferIntent, at: Stamp) -> Transfer {
        let (attempts, state) = (Vec::new(), TransferState::Intended);
        Transfer { intent, at, attempts, state, gas: None, credited: None, overdue: None, since: at }
    }

    /// Whether its wallet's nonce, or its action at the venue, is still open.
    #[must_use]
    pub const fn working(&self) -> bool {
        match &self.state {
            TransferState::Intended
            | TransferState::Signed
            | TransferState::Sent
            | TransferState::Included(_)
            | TransferState::Confirmed(_) => true,
            TransferState::Landed | TransferState::Ended(_) => false,
        }
    }

    /// Whether money of it may still be under way.
    #[must_use]
    pub const fn open(&self) -> bool {
        !matches!(self.state, TransferState::Ended(_))
    }

    /// The attempt with this hash.
    #[must_use]
    pub fn attempt(&self, hash: TxHash) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| attempt.hash == hash)
    }

    /// Applies what happened. Applying the same event twice changes nothing.
    ///
    /// # Errors
    /// If the event cannot follow the state; nothing is changed then.
    pub fn apply(&mut self, at: Stamp, event: &TransferEvent) -> Result<(), BadStep> {
        let next = self.next(event).ok_or_else(|| BadStep {
            id: self.intent.id,
            state: self.state.name(),
            event: format!("{event:?}").chars().take(120).collect(),
        })?;
        if let TransferEvent::Signed(attempt) = event
            && self.attempt(attempt.hash).is_none()
        {
            self.attempts.push(attempt.clone());
        }
        if let TransferEvent::Credited { amount, .. } = event {
            self.credited = Some(*amount);
        }
        if let TransferEvent::Final(found) = event {
            self.gas = Some(found.gas_cost);
        }
        if let TransferEvent::Overdue { why } = event {
            self.overdue = Some(why.clone());
        }
        if self.state != next {
            self.state = next;
            self.since = at;
        }
        Ok(())
    }

    /// The table of transitions; nothing where there is none.
    fn next(&self, event: &TransferEvent) -> Option<TransferState> {
        use TransferState::{Confirmed, Ended, Included, Intended, Landed, Sent, Signed};
        let on_chain = self.intent.route.leg().is_some();
        let arrived = |credited: bool| if credited { Ended(TransferOutcome::Arrived) } else { Landed };
        let ours = |inclusion: &Inclusion| self.attempt(inclusion.hash).is_some();
        match (event, &self.state) {
            (TransferEvent::Resumed { .. } | TransferEvent::Overdue { .. }, state) if self.open() => Some(state.clone()),
            (TransferEvent::Signed(_), Intended | Signed) if on_chain => Some(Signed),
            (TransferEvent::Signed(_), Sent) if on_chain => Some(Sent),
            (TransferEvent::Sent { hash: Some(hash) }, Signed | Sent) if self.attempt(*hash).is_some() => Some(Sent),
            (TransferEvent::Sent { hash: None }, Intended | Sent) if !on_chain => Some(Sent),
            (TransferEvent::Dropped { hash }, Sent) if self.attempt(*hash).is_some() => Some(Sent),
            // a crash can come between sending and its record
            (TransferEvent::Included(found), Signed | Sent) if ours(found) => Some(Included(*found)),
            (TransferEvent::Included(found), Included(was) | Confirmed(was)) if found == was => Some(self.state.clone()),
            (TransferEvent::Confirmed { .. }, Included(was) | Confirmed(was)) => Some(Confirmed(*was)),
            (TransferEvent::Reorged { hash, block_hash }, Included(was) | Confirmed(was))
                if (*hash, *block_hash) == (was.hash, was.block_hash) =>
            {
                Some(Sent)
            }
            (TransferEvent::Final(found), Included(was) | Confirmed(was)) if found == was => {
                let kind = self.attempt(found.hash)?.kind;
                Some(match (kind, found.success) {
                    (AttemptKind::Burn, _) => Ended(TransferOutcome::Burnt),
                    (AttemptKind::Send, false) => Ended(TransferOutcome::Reverted),
                    (AttemptKind::Send, true) => arrived(self.credited.is_some()),
                })
            }
            (TransferEvent::Accepted, Intended | Sent) if !on_chain => {
                Some(arrived(self.intent.route.inside() || self.credited.is_some()))
            }
            // venues credit a deposit long before its block is safe
            (TransferEvent::Credited { .. }, Signed | Sent | Included(_) | Confirmed(_)) if on_chain => Some(self.state.clone()),
            (TransferEvent::Credited { .. }, Sent | Landed) => Some(Ended(TransferOutcome::Arrived)),
            (TransferEvent::Ended(outcome @ TransferOutcome::Refused { .. }), Intended) => Some(Ended(outcome.clone())),
            (TransferEvent::Ended(outcome @ TransferOutcome::Rejected { .. }), Intended | Sent) if !on_chain => {
                Some(Ended(outcome.clone()))
            }
            (TransferEvent::Ended(TransferOutcome::Foreign), Intended | Signed | Sent) if on_chain => {
                Some(Ended(TransferOutcome::Foreign))
            }
            (TransferEvent::Ended(outcome @ TransferOutcome::WrittenOff { .. }), _) if self.open() => {
                Some(Ended(outcome.clone()))
            }
            (TransferEvent::Ended(outcome), Ended(was)) if outcome == was => Some(self.state.clone()),
            _ => None,
        }
    }
}

/// A wallet as its endpoints agree on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalletView {
    /// Which chain.
    pub chain_id: u64,
    /// The wallet.
    pub wallet: EvmAddress,
    /// The token it moves.
    pub token: EvmAddress,
    /// How much of the token it has.
    pub balance: Usd,
    /// How much of the chain's coin it has for gas.
    pub gas: Wei,
    /// Its next nonce in the newest block.
    pub nonce: u64,
    /// Its next nonce in the newest safe block. As long as it is behind, a reorganisation can take a transaction back.
    pub nonce_safe: u64,
    /// Price of one unit of gas in the next block.
    pub base_fee: Wei,
    /// Height of the newest block.
    pub head: u64,
    /// Height of the newest safe block.
    pub safe: u64,
    /// When it was read.
    pub at: Stamp,
}

#[cfg(test)]
mod tests;
