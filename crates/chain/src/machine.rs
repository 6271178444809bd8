//! What to do next for one transfer, from what the chain shows: sign, send, tell, wait. No I/O and no clock, so that every order of
//! events and every crash can be tried (reliability §3.6).
//!
//! ```text
//!  intended ─sign─> signed ─send─> sent ─────────> included ──> confirmed ──> final: landed, reverted or burnt
//!     │                             │ ↑ ^ dropped:    │             │
//!     └> refused                    │ │ same bytes    └─ reorged ───┘
//!        (nothing was signed)       │ └ underpriced or stuck: same nonce, fees an eighth higher; given up: empty transaction
//!                                   └> foreign: the nonce was used by a transaction that we did not make
//! ```
//!
//! A crash at any place loses what was not journaled, which is never more than what the chain shows again: bytes leave only after
//! the journal holds them.

mod look;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    Attempt, AttemptKind, Inclusion, Route, Span, Stamp, Transfer, TransferEvent, TransferIntent, TransferOutcome, TransferState,
    TxHash, Wei,
};
use margin_guard::raised;

pub use look::{Agreed, Glance, Look, MinedTx, Preflight, Rules, Sight, merge};

/// When to do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Blocks on top of ours after which it is called confirmed. Arbitrum makes four a second.
    pub depth: u64,
    /// The same bytes are sent again after this long without an inclusion.
    pub resend: Span,
    /// Fees are raised after this long without an inclusion.
    pub stuck: Span,
    /// The nonce is burnt after this long without an inclusion.
    pub give_up: Span,
    /// Offered to the block's maker per unit of gas. Arbitrum ignores it, other chains want some.
    pub tip: Wei,
    /// Most gas of one transaction.
    pub gas_limit_max: u64,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            depth: 20,
            resend: Span::secs(5),
            stuck: Span::secs(30),
            give_up: Span::secs(600),
            tip: Wei(10_000_000),
            // a token transfer takes 62,000 and a CCTP deposit 300,000; Arbitrum adds the posting to Ethereum as gas
            gas_limit_max: 3_000_000,
        }
    }
}

/// Fees may double this often before a transaction is underpriced.
const FEE_HEADROOM: u64 = 2;
/// Plain transfer of the chain's coin.
const BURN_GAS_MIN: u64 = 21_000;
/// As many as the judge lets pass.
const ATTEMPTS_MAX: usize = 24;
/// A CCTP authorisation must hold this much longer, or the deposit would only revert.
const AUTHORISATION_LEFT_S: u64 = 60;

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Tell the desk. The machine has taken it in already.
    Tell(TransferEvent),
    /// Sign, and hand the result to [`Machine::signed`].
    Sign(Plan),
    /// Hand these bytes to every endpoint. The journal holds them.
    Send(Attempt),
}

/// A transaction to be signed for the transfer's nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The transfer, or nothing at all.
    pub kind: AttemptKind,
    /// Most gas.
    pub gas_limit: u64,
    /// Highest price of a unit of gas.
    pub fee_max: Wei,
    /// What of that goes to the block's maker.
    pub tip: Wei,
}

/// One transfer's machine.
#[derive(Clone, Debug)]
pub struct Machine {
    transfer: Transfer,
    policy: Policy,
    /// What may be sent: the journal holds it.
    released: BTreeSet<TxHash>,
    /// Signed and told; the verdict is awaited since then.
    pending: Option<(Attempt, Stamp)>,
    /// Released when an earlier attempt was in a block already: sent only if that block goes.
    spare: Option<Attempt>,
    /// When each was last sent.
    sent: BTreeMap<TxHash, Stamp>,
    /// When the first attempt of this tenure, and the newest, became free to be sent.
    first: Option<Stamp>,
    newest: Option<Stamp>,
    /// An endpoint knew one of our transactions at the last look.
    known: bool,
    waits: String,
}

impl Machine {
    /// A machine for a transfer that was just decided.
    #[must_use]
    pub fn start(intent: TransferIntent, now: Stamp, policy: Policy) -> Machine {
        Machine::resume(Transfer::new(intent, now), now, policy)
    }

    /// A machine for a transfer as the journal holds it: every attempt in it may be sent.
    #[must_use]
    pub fn resume(transfer: Transfer, now: Stamp, policy: Policy) -> Machine {
        let released: BTreeSet<TxHash> = transfer.attempts.iter().map(|attempt| attempt.hash).collect();
        let since = (!released.is_empty()).then_some(now);
        Machine {
            released,
            policy,
            pending: None,
            spare: None,
            sent: BTreeMap::new(),
            first: since,
            newest: since,
            known: false,
            waits: "for a look at the chain".into(),
            transfer,
        }
    }

    /// The transfer as this machine has told it.
    #[must_use]
    pub fn transfer(&self) -> &Transfer {
        &self.transfer
    }

    /// Whether nothing is left to do: its nonce is settled.
    #[must_use]
    pub fn done(&self) -> bool {
        !self.transfer.working()
    }

    /// What it waits for, in words.
    #[must_use]
    pub fn waits(&self) -> &str {
        &self.waits
    }

    /// Whether the driver should look whether the transfer could succeed: before anything is signed.
    #[must_use]
    pub fn wants_preflight(&self) -> bool {
        self.transfer.state == TransferState::Intended && self.pending.is_none()
    }

    /// Takes a signed transaction. It is told, and sent only after [`Machine::release`].
    pub fn signed(&mut self, now: Stamp, attempt: Attempt) -> Vec<Move> {
        self.pending = Some((attempt.clone(), now));
        self.waits = "for the journal to hold the signed bytes".into();
        vec![Move::Tell(TransferEvent::Signed(attempt))]
    }

    /// The transaction that was asked for cannot be signed: another key, or an amount that the token does not count. Without bytes that
    /// may have left, the transfer is refused and its nonce free again; with some, they are still followed.
    pub fn unsigned(&mut self, now: Stamp, why: &str) -> Vec<Move> {
        self.waits = format!("for a signature: {why}");
        match self.transfer.state {
            TransferState::Intended => self.refuse(now, format!("it cannot be signed: {why}")),
            TransferState::Signed
            | TransferState::Sent
            | TransferState::Included(_)
            | TransferState::Confirmed(_)
            | TransferState::Landed
            | TransferState::Ended(_) => Vec::new(),
        }
    }

    /// The journal holds the attempt: it may be sent from here on, now and again.
    pub fn release(&mut self, now: Stamp, attempt: &Attempt) -> Vec<Move> {
        if self.pending.as_ref().is_some_and(|(pending, _)| pending.hash == attempt.hash) {
            self.pending = None;
        }
        let event = TransferEvent::Signed(attempt.clone());
        if self.transfer.apply(now, &event).is_err() {
            // included meanwhile by an earlier attempt: this one may stay unsent
            self.spare = Some(attempt.clone());
            return Vec::new();
        }
        self.released.insert(attempt.hash);
        self.first.get_or_insert(now);
        self.newest = Some(now);
        self.send(now)
    }

    /// What to do after a look at the chain.
    pub fn look(&mut self, now: Stamp, look: &Look) -> Vec<Move> {
        match self.transfer.state.clone() {
            TransferState::Intended => self.before_signing(now, look),
            TransferState::Signed | TransferState::Sent => self.outside(now, look),
            TransferState::Included(found) => self.inside(now, look, found, false),
            TransferState::Confirmed(found) => self.inside(now, look, found, true),
            TransferState::Landed | TransferState::Ended(_) => Vec::new(),
        }
    }

    fn tell(&mut self, now: Stamp, event: TransferEvent) -> Vec<Move> {
        match self.transfer.apply(now, &event) {
            Ok(()) => vec![Move::Tell(event)],
            Err(fault) => {
                self.waits = fault.to_string();
                Vec::new()
            }
        }
    }

    fn refuse(&mut self, now: Stamp, why: String) -> Vec<Move> {
        self.tell(now, TransferEvent::Ended(TransferOutcome::Refused { why }))
    }

    fn retold(&mut self, now: Stamp) -> Option<Vec<Move>> {
        let (attempt, told) = self.pending.as_mut()?;
        if now.since(*told) < self.policy.resend {
            return Some(Vec::new());
        }
        *told = now;
        Some(vec![Move::Tell(TransferEvent::Signed(attempt.clone()))])
    }

    fn before_signing(&mut self, now: Stamp, look: &Look) -> Vec<Move> {
        if let Some(again) = self.retold(now) {
            return again;
        }
        let nonce = self.transfer.intent.nonce;
        let Some(have) = look.nonce else {
            self.waits = "for the endpoints to agree on the wallet's nonce".into();
            return Vec::new();
        };
        if have > nonce {
            return if look.complete {
                self.tell(now, TransferEvent::Ended(TransferOutcome::Foreign))
            } else {
                self.waits = format!("for every endpoint to confirm that nonce {nonce} is used");
                Vec::new()
            };
        }
        if have < nonce {
            self.waits = format!("for nonce {have}, which is before this transfer's {nonce}, to be used");
            return Vec::new();
        }
        let Some(preflight) = look.preflight.clone() else {
            self.waits = "for a trial run of the transfer".into();
            return Vec::new();
        };
        match preflight {
            Preflight::Refused(why) => self.refuse(now, why),
            Preflight::Unknown(why) => {
                self.waits = format!("for a trial run of the transfer: {why}");
                Vec::new()
            }
            Preflight::Passed { gas, balance } => match self.first_plan(look, gas, balance) {
                Ok(plan) => vec![Move::Sign(plan)],
                Err(why) => self.refuse(now, why),
            },
        }
    }

    fn cap(&self) -> Wei {
        self.transfer.intent.route.leg().map_or(Wei::ZERO, |leg| leg.gas_cost_max)
    }

    fn first_plan(&self, look: &Look, gas: u64, balance: Wei) -> Result<Plan, String> {
        let gas_limit = gas.saturating_add(gas / 4);
        if gas_limit > self.policy.gas_limit_max {
            return Err(format!("it would take {gas_limit} units of gas, of at most {}", self.policy.gas_limit_max));
        }
        let cap = self.cap();
        let dearest = Wei(cap.0.checked_div(u128::from(gas_limit)).unwrap_or(0));
        let least = raised(look.base_fee).plus(self.policy.tip);
        if least > dearest {
            let cost = least.times(gas_limit);
            return Err(format!("gas would cost {cost} ether, of at most {cap}"));
        }
        let fee_max = look.base_fee.times(FEE_HEADROOM).plus(self.policy.tip).min(dearest);
        let needs = fee_max.times(gas_limit);
        if balance < needs {
            return Err(format!("the wallet has {balance} ether of the {needs} that gas may cost"));
        }
        Ok(Plan { kind: AttemptKind::Send, gas_limit, fee_max, tip: self.policy.tip })
    }

    /// Signed, and in no block that we know of.
    fn outside(&mut self, now: Stamp, look: &Look) -> Vec<Move> {
        let nonce = self.transfer.intent.nonce;
        match &look.found {
            Agreed::Yes(Some(found)) => {
                self.waits = "for blocks on top".into();
                return self.tell(now, TransferEvent::Included(*found));
            }
            Agreed::Yes(None) if look.complete && look.nonce_safe.is_some_and(|safe| safe > nonce) => {
                return self.tell(now, TransferEvent::Ended(TransferOutcome::Foreign));
            }
            Agreed::Yes(None) | Agreed::No => {}
        }
        if look.nonce.is_some_and(|have| have > nonce) {
            self.waits = format!("nonce {nonce} is used, by which transaction is not certain yet");
            return Vec::new();
        }
        let mut moves = Vec::new();
        if self.known
            && !look.known
            && let Some(newest) = self.newest_released()
        {
            moves.extend(self.tell(now, TransferEvent::Dropped { hash: newest.hash }));
        }
        self.known = look.known;
        if let Some(again) = self.retold(now) {
            moves.extend(again);
        } else if let Some(plan) = self.replacement(now, look, &mut moves) {
            moves.push(Move::Sign(plan));
        }
        moves.extend(self.send(now));
        moves
    }

    fn newest_released(&self) -> Option<&Attempt> {
        self.transfer.attempts.iter().rev().find(|attempt| self.released.contains(&attempt.hash))
    }

    /// Sends the newest bytes that may be sent, unless that was done a moment ago. Older attempts need no sending: a node keeps one
    /// transaction per nonce, and the newest pays most.
    fn send(&mut self, now: Stamp) -> Vec<Move> {
        let Some(attempt) = self.newest_released().cloned() else { return Vec::new() };
        if self.sent.get(&attempt.hash).is_some_and(|last| now.since(*last) < self.policy.resend) {
            return Vec::new();
        }
        let first = self.sent.insert(attempt.hash, now).is_none();
        self.waits = "to be included in a block".into();
        let mut moves = if first { self.tell(now, TransferEvent::Sent { hash: Some(attempt.hash) }) } else { Vec::new() };
        moves.push(Move::Send(attempt));
        moves
    }

    fn replacement(&mut self, now: Stamp, look: &Look, moves: &mut Vec<Move>) -> Option<Plan> {
        let last = self.transfer.attempts.last()?.clone();
        let waited = now.since(self.newest?);
        if waited < self.policy.stuck {
            return None;
        }
        let given_up = now.since(self.first?) >= self.policy.give_up || self.authorisation_over(now);
        let burning = self.transfer.attempts.iter().any(|attempt| attempt.kind == AttemptKind::Burn);
        let underpriced = last.fee_max < look.base_fee;
        if !(given_up && !burning || underpriced || look.known) {
            return None;
        }
        let kind = if given_up || burning { AttemptKind::Burn } else { AttemptKind::Send };
        let gas_limit = match kind {
            AttemptKind::Send => last.gas_limit,
            AttemptKind::Burn => look.burn_gas.map_or(BURN_GAS_MIN, |gas| gas.saturating_add(gas / 4)).max(BURN_GAS_MIN),
        };
        let (fee, tip) = (raised(last.fee_max), raised(last.tip));
        let wanted = look.base_fee.times(FEE_HEADROOM).plus(tip).max(fee);
        let dearest = Wei(self.cap().0 / u128::from(gas_limit.max(1)));
        let why = if self.transfer.attempts.len() >= ATTEMPTS_MAX {
            Some(format!("{ATTEMPTS_MAX} transactions were signed for it, and none was included"))
        } else if fee > dearest {
            let price = fee.0;
            Some(format!(
                "a replacement needs {price} wei per unit of gas, of at most {} by its cap of {} ether",
                dearest.0,
                self.cap()
            ))
        } else {
            None
        };
        if let Some(why) = why {
            if self.transfer.overdue.is_none() {
                moves.extend(self.tell(now, TransferEvent::Overdue { why }));
            }
            return None;
        }
        Some(Plan { kind, gas_limit, fee_max: wanted.min(dearest), tip })
    }

    fn authorisation_over(&self, now: Stamp) -> bool {
        match &self.transfer.intent.route {
            Route::Cctp { terms, .. } => now.wall_ms / 1_000 + AUTHORISATION_LEFT_S >= terms.valid_before_s,
            Route::SpotToPerp
            | Route::PerpToSpot
            | Route::SubAccount { .. }
            | Route::IsolatedMargin { .. }
            | Route::Bridge(_)
            | Route::Withdrawal { .. } => false,
        }
    }

    /// In a block, as far as we know.
    fn inside(&mut self, now: Stamp, look: &Look, was: Inclusion, confirmed: bool) -> Vec<Move> {
        let Agreed::Yes(seen) = look.found else {
            self.waits = "for the endpoints to agree on its block".into();
            return Vec::new();
        };
        if seen.is_none() && look.head < was.block {
            self.waits = "for the endpoints to reach its block".into();
            return Vec::new();
        }
        if seen != Some(was) {
            let lost = TransferEvent::Reorged { hash: was.hash, block_hash: was.block_hash };
            let mut moves = self.tell(now, lost);
            // whatever was sent before that block may be forgotten by the nodes
            self.sent.clear();
            self.known = false;
            self.newest = Some(now);
            if let Some(spare) = self.spare.take() {
                // the ledger counts it: the next replacement must offer more than this one
                moves.extend(self.release(now, &spare));
            }
            moves.extend(self.outside(now, look));
            return moves;
        }
        let mut moves = Vec::new();
        let depth = look.head.saturating_sub(was.block);
        if !confirmed && depth >= self.policy.depth {
            moves.extend(self.tell(now, TransferEvent::Confirmed { depth }));
        }
        if look.complete && look.safe.is_some_and(|safe| safe >= was.block) {
            moves.extend(self.tell(now, TransferEvent::Final(was)));
        }
        self.waits = if look.complete { "for its block to be safe" } else { "for every endpoint to answer" }.into();
        moves
    }
}
