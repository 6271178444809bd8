//! Money that comes from the chain and goes to it.

use domain::Usd;
use exchange::{AccountKey, LedgerDelta, LedgerRow, Op, OpResult};
use wire::hyperliquid::Address;

use super::Venue;
use crate::chain::{Arrival, Payout, Road};
use crate::control::DepositOrder;
use crate::fault::{ActiveFault, Fault};

/// The bridge keeps smaller deposits and credits nobody (fact sheet §11).
const DEPOSIT_MIN: i32 = 5;
/// Withdrawals that are between their action and its ledger row: those of one block.
const WITHDRAWALS_MAX: usize = super::ASKS_MAX;

impl Venue {
    /// Credits an account from outside, which comes into being if it is new.
    pub(super) fn deposit(&mut self, order: &DepositOrder) -> Result<(), String> {
        let account = self.directory.sight(order.user).unwrap_or_else(|| self.directory.adopt(order.user));
        self.credit();
        self.submit(account, Op::Deposit { amount: order.usd })?;
        if order.spot { self.submit(account, Op::ClassTransfer { amount: order.usd, to_perp: false }) } else { Ok(()) }
    }

    fn submit(&mut self, account: AccountKey, op: Op) -> Result<(), String> {
        match self.exchange.submit(self.now_ms, account, op) {
            OpResult::Refused(text) => Err(text),
            OpResult::Default | OpResult::Orders(_) | OpResult::Cancels(_) => Ok(()),
        }
    }

    /// A deposit from the chain is due.
    pub(super) fn arrived(&mut self, arrival: Arrival) {
        let now = self.now_ms;
        self.bridge.arrived += 1;
        let lost = match arrival.road {
            Road::Bridge => (arrival.amount < Usd::whole(DEPOSIT_MIN)).then_some("it is below the bridge's minimum"),
            Road::Cctp { .. } => None,
            Road::Stranded(why) => Some(why),
        };
        if let Some(why) = lost {
            self.bridge.swallowed += 1;
            tracing::warn!(user = %arrival.user, amount = %arrival.amount, why, "a deposit is lost");
            return;
        }
        if self.faults.happens(now, Fault::CreditNever).is_some() {
            return;
        }
        let copies = if self.faults.happens(now, Fault::CreditTwice).is_some() { 2 } else { 1 };
        let late = self.faults.happens(now, Fault::CreditLate).map(|f| ActiveFault::delay_ms(&f));
        for _ in 0..copies {
            match late {
                Some(delay_ms) => self.late_credits.push((now + delay_ms, arrival)),
                None => self.give(arrival),
            }
        }
    }

    /// Gives the credits whose delay is over.
    pub(super) fn credit_late(&mut self) {
        let now = self.now_ms;
        let due: Vec<Arrival> = self.late_credits.extract_if(.., |(at, _)| *at <= now).map(|(_, arrival)| arrival).collect();
        for arrival in due {
            self.give(arrival);
        }
    }

    fn give(&mut self, arrival: Arrival) {
        let spot = arrival.road == Road::Cctp { spot: true };
        match self.deposit(&DepositOrder { user: arrival.user, usd: arrival.amount, spot }) {
            Ok(()) => self.bridge.credited += 1,
            Err(why) => tracing::warn!(user = %arrival.user, why, "a deposit could not be credited"),
        }
    }

    /// An action asks to withdraw to `to`; whether it may, its ledger row says.
    pub(super) fn withdrawing(&mut self, account: AccountKey, nonce: u64, to: Address) {
        if self.payouts.is_none() {
            return;
        }
        // one that was refused leaves no row
        if self.withdrawals.len() >= WITHDRAWALS_MAX {
            self.withdrawals.pop_first();
        }
        self.withdrawals.insert((account, nonce), to);
    }

    /// A ledger row was written: a withdrawal goes to the chain.
    pub(super) fn note_withdrawal(&mut self, row: &LedgerRow) {
        let LedgerDelta::Withdraw { usdc, nonce, fee } = &row.delta else { return };
        let Some(to) = self.withdrawals.remove(&(row.account, *nonce)) else { return };
        let payout = Payout { to, amount: *usdc - *fee };
        match self.payouts.as_ref().map(|payouts| payouts.try_send(payout)) {
            Some(Ok(())) => self.bridge.payouts += 1,
            Some(Err(_)) => tracing::warn!(%to, "too many withdrawals wait for the chain: this one is not paid"),
            None => {}
        }
    }
}
