//! Actions that move money or change settings.

use domain::{Lots, Ratio, Usd};
use rust_decimal::{Decimal, RoundingStrategy};

use super::{Exchange, VAULT};
use crate::account::{Account, CENTS};
use crate::event::{LedgerDelta, OrderStatus};
use crate::op::{AccountKey, Asset, Op};
use crate::reference::HOUR_MS;
use crate::spec::MarginMode;
use crate::view::LeverageSetting;

/// A scheduled cancel must lie this far ahead (fact sheet §4.5).
const SCHEDULE_AHEAD_MS: u64 = 5_000;
/// How often a day it may fire (fact sheet §4.5).
const SCHEDULE_FIRES_PER_DAY: u32 = 10;
/// The largest single amount: a typing error above it is refused rather than believed.
const AMOUNT_MAX: i32 = 1_000_000_000;

const TOO_LITTLE_TO_WITHDRAW: &str = "Insufficient balance for withdrawal";
const TOO_LITTLE_TO_TRANSFER: &str = "Insufficient balance for token transfer";
const BAD_DECIMALS: &str = "Invalid number of decimals";

type Done = Result<(), String>;

fn no(text: &str) -> Done {
    Err(text.to_owned())
}

fn check_amount(amount: Usd) -> Done {
    if amount <= Usd::ZERO || amount > Usd::whole(AMOUNT_MAX) {
        return Err(format!("Invalid amount {amount}: expected more than 0 and at most {AMOUNT_MAX}."));
    }
    if amount.round(CENTS) != amount { no(BAD_DECIMALS) } else { Ok(()) }
}

impl Exchange {
    pub(super) fn move_money(&mut self, account: AccountKey, op: Op) -> Done {
        match op {
            Op::UpdateLeverage { asset, is_cross, leverage } => self.update_leverage(account, asset, is_cross, leverage),
            Op::UpdateIsolatedMargin { asset, amount } => self.update_isolated_margin(account, asset, amount),
            Op::TopUpIsolatedOnlyMargin { asset, leverage } => self.top_up_isolated(account, asset, leverage),
            Op::ScheduleCancel { at_ms } => self.schedule_cancel(account, at_ms),
            Op::ClassTransfer { amount, to_perp } => self.class_transfer(account, amount, to_perp),
            Op::UsdSend { destination, amount } => {
                let row = LedgerDelta::InternalTransfer { usdc: amount, user: account, destination };
                self.send(account, destination, amount, row)
            }
            Op::SubAccountTransfer { sub_account, is_deposit, amount } => {
                let (user, destination) = if is_deposit { (account, sub_account) } else { (sub_account, account) };
                let row = LedgerDelta::SubAccountTransfer { usdc: amount, user, destination };
                self.send(user, destination, amount, row)
            }
            Op::Deposit { amount } => self.deposit(account, amount),
            Op::Withdraw { amount, nonce } => self.withdraw(account, amount, nonce),
            Op::Place { .. }
            | Op::Cancel { .. }
            | Op::CancelByCloid { .. }
            | Op::Modify { .. }
            | Op::BatchModify { .. }
            | Op::Twap
            | Op::Noop => Ok(()),
        }
    }

    fn deposit(&mut self, key: AccountKey, amount: Usd) -> Done {
        check_amount(amount)?;
        self.accounts.entry(key).or_insert_with(|| Account::new(key)).cash += amount;
        self.pools.net_deposits += amount;
        self.ledger_row(key, LedgerDelta::Deposit { usdc: amount });
        Ok(())
    }

    fn withdraw(&mut self, key: AccountKey, amount: Usd, nonce: u64) -> Done {
        check_amount(amount)?;
        let fee = self.rules.withdraw_fee;
        if amount <= fee || self.withdrawable(key) < amount {
            return no(TOO_LITTLE_TO_WITHDRAW);
        }
        if let Some(owner) = self.accounts.get_mut(&key) {
            owner.cash -= amount;
        }
        self.pools.withdraw_fees += fee;
        self.pools.net_deposits -= amount - fee;
        self.ledger_row(key, LedgerDelta::Withdraw { usdc: amount, nonce, fee });
        Ok(())
    }

    fn class_transfer(&mut self, key: AccountKey, amount: Usd, to_perp: bool) -> Done {
        check_amount(amount)?;
        let spot = self.accounts.get(&key).map_or(Usd::ZERO, |a| a.spot);
        if to_perp && spot < amount {
            return no(TOO_LITTLE_TO_TRANSFER);
        }
        if !to_perp && self.withdrawable(key) < amount {
            return no(TOO_LITTLE_TO_WITHDRAW);
        }
        if let Some(owner) = self.accounts.get_mut(&key) {
            let change = if to_perp { amount } else { -amount };
            owner.cash += change;
            owner.spot -= change;
        }
        self.ledger_row(key, LedgerDelta::AccountClassTransfer { usdc: amount, to_perp });
        Ok(())
    }

    fn send(&mut self, from: AccountKey, to: AccountKey, amount: Usd, row: LedgerDelta) -> Done {
        check_amount(amount)?;
        if from == to || from == VAULT || to == VAULT {
            return Err(format!("Invalid sub-account transfer from {from} to {to}"));
        }
        if self.withdrawable(from) < amount {
            return no(TOO_LITTLE_TO_WITHDRAW);
        }
        if let Some(owner) = self.accounts.get_mut(&from) {
            owner.cash -= amount;
        }
        self.accounts.entry(to).or_insert_with(|| Account::new(to)).cash += amount;
        self.ledger_row(from, row.clone());
        self.ledger_row(to, row);
        Ok(())
    }

    /// Cross value above the initial margin of positions and resting orders, and above a tenth of the notional, 6 decimals.
    pub(super) fn withdrawable(&self, key: AccountKey) -> Usd {
        let Some(owner) = self.accounts.get(&key) else { return Usd::ZERO };
        let sums = self.cross_sums(owner);
        let floor = sums.notional.times(self.rules.withdraw_floor);
        let free = sums.value - (sums.initial + sums.reserved).max(floor);
        let free = free.decimal().round_dp_with_strategy(CENTS, RoundingStrategy::ToNegativeInfinity);
        Usd::new(free).unwrap_or(Usd::ZERO).max(Usd::ZERO)
    }

    fn update_leverage(&mut self, key: AccountKey, asset: Asset, is_cross: bool, leverage: u32) -> Done {
        let (Some(market), Some(owner)) = (self.markets.get(&asset), self.accounts.get(&key)) else {
            return no("Unknown asset.");
        };
        let instrument = market.instrument();
        if leverage == 0 || leverage > instrument.leverage_max {
            return no("Invalid leverage value");
        }
        if is_cross && !market.cross_allowed() {
            return no("Cross margin is not allowed for this asset.");
        }
        let new = LeverageSetting { is_cross, value: leverage };
        let old = owner.leverage(asset, instrument, market.cross_allowed());
        if let Some(position) = owner.positions.get(&asset).filter(|p| p.szi != Lots::ZERO) {
            if position.isolated.is_none() != is_cross {
                return no("Cannot switch leverage type with open position.");
            }
            let notional = instrument.notional(market.mark(), position.szi.abs());
            if leverage > instrument.margin.tier(notional).leverage_max {
                return no("Invalid leverage value");
            }
            let more = self.initial_margin(market, notional, leverage) - self.initial_margin(market, notional, old.value);
            if is_cross && leverage < old.value && self.cross_sums(owner).free() < more {
                return no(
                    "Cross position does not have sufficient margin available to decrease leverage. To decrease leverage, deposit more collateral.",
                );
            }
            let (value, _) = Exchange::isolated_sums(market, position);
            if !is_cross && leverage < old.value && value < self.initial_margin(market, notional, leverage) {
                return no(
                    "Isolated position does not have sufficient margin available to decrease leverage. To decrease leverage, add margin to the position.",
                );
            }
        }
        if let Some(owner) = self.accounts.get_mut(&key) {
            owner.leverage.insert(asset, new);
        }
        Ok(())
    }

    fn update_isolated_margin(&mut self, key: AccountKey, asset: Asset, amount: Usd) -> Done {
        let (Some(market), Some(owner)) = (self.markets.get(&asset), self.accounts.get(&key)) else {
            return no("Unknown asset.");
        };
        if amount == Usd::ZERO {
            return no("Update to isolated margin cannot be zero.");
        }
        check_amount(amount.abs())?;
        let Some(position) = owner.positions.get(&asset).filter(|p| p.szi != Lots::ZERO) else {
            return no("Cannot update margin for empty position.");
        };
        if position.isolated.is_none() {
            return no("Position does not use isolated margin.");
        }
        if amount > Usd::ZERO {
            if self.cross_sums(owner).free() < amount {
                return no("Account does not have sufficient margin available for increase.");
            }
        } else {
            if market.spec.margin_mode == MarginMode::StrictIsolated {
                return no("Cannot remove isolated margin for this asset. To remove margin, reduce the position.");
            }
            let notional = market.instrument().notional(market.mark(), position.szi.abs());
            let setting = owner.leverage(asset, market.instrument(), market.cross_allowed());
            let floor = self.initial_margin(market, notional, setting.value).max(notional.times(self.rules.withdraw_floor));
            let (value, _) = Exchange::isolated_sums(market, position);
            if value + amount < floor {
                return no("Position does not have sufficient margin for reduction.");
            }
        }
        self.add_isolated(key, asset, amount);
        Ok(())
    }

    fn top_up_isolated(&mut self, key: AccountKey, asset: Asset, leverage: Ratio) -> Done {
        let (Some(market), Some(owner)) = (self.markets.get(&asset), self.accounts.get(&key)) else {
            return no("Unknown asset.");
        };
        if market.spec.margin_mode != MarginMode::StrictIsolated {
            return no("Asset not strict isolated");
        }
        let highest = Ratio::scaled(i64::from(market.instrument().leverage_max), 0);
        if leverage <= Ratio::ZERO || leverage > highest {
            return no("Invalid leverage value");
        }
        let Some(position) = owner.positions.get(&asset).filter(|p| p.szi != Lots::ZERO) else {
            return no("Cannot update margin for empty position.");
        };
        let notional = market.instrument().notional(market.mark(), position.szi.abs());
        let (value, _) = Exchange::isolated_sums(market, position);
        let target = notional.decimal().checked_div(leverage.decimal()).unwrap_or(Decimal::ZERO);
        let missing = (Usd::new(target).map_err(|e| e.to_string())? - value).ceil(CENTS);
        if missing > Usd::ZERO {
            if self.cross_sums(owner).free() < missing {
                return no("Account does not have sufficient margin available for increase.");
            }
            self.add_isolated(key, asset, missing);
        }
        Ok(())
    }

    fn add_isolated(&mut self, key: AccountKey, asset: Asset, amount: Usd) {
        if let Some(owner) = self.accounts.get_mut(&key)
            && let Some(raw) = owner.positions.get_mut(&asset).and_then(|p| p.isolated.as_mut())
        {
            *raw += amount;
            owner.cash -= amount;
            self.touched.insert(key);
        }
    }

    fn schedule_cancel(&mut self, key: AccountKey, at_ms: Option<u64>) -> Done {
        let Some(owner) = self.accounts.get_mut(&key) else { return no("Unknown account.") };
        let needed = self.rules.schedule_cancel_volume_min;
        if owner.volume < needed {
            return Err(format!(
                "Cannot set scheduled cancel time until enough volume traded. Required: ${needed}. Traded: ${}.",
                owner.volume.round(2)
            ));
        }
        if at_ms.is_some_and(|at| at < self.now_ms + SCHEDULE_AHEAD_MS) {
            return no("Scheduled cancel time too early, must be at least 5 seconds from now."); // the wording is ours
        }
        let today = self.now_ms / (24 * HOUR_MS);
        if at_ms.is_some() && owner.cancels_fired.0 == today && owner.cancels_fired.1 >= SCHEDULE_FIRES_PER_DAY {
            return no("Too many scheduled cancels triggered today."); // the wording is ours
        }
        if let Some(old) = owner.cancel_at_ms.take() {
            self.schedule.remove(&(old, key));
        }
        owner.cancel_at_ms = at_ms;
        self.schedule.extend(at_ms.map(|at| (at, key)));
        Ok(())
    }

    pub(super) fn fire_scheduled_cancel(&mut self, key: AccountKey) {
        let today = self.now_ms / (24 * HOUR_MS);
        if let Some(owner) = self.accounts.get_mut(&key) {
            owner.cancel_at_ms = None;
            owner.cancels_fired = if owner.cancels_fired.0 == today { (today, owner.cancels_fired.1 + 1) } else { (today, 1) };
        }
        self.end_all(key, None, OrderStatus::ScheduledCancel);
    }
}
