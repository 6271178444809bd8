//! What must hold of a world afterwards: the ledgers of chain, venue and journal, compared.

use std::collections::BTreeMap;

use domain::{
    Entry, MarginLevel, Route, Span, Stamp, Transfer, TransferEvent, TransferId, TransferOutcome, TransferState, Usd, Venue,
};
use exchange::LedgerDelta;
use margin_guard::Treasury;
use rust_decimal::Decimal;

use super::onchain::BRIDGE;
use super::{ACCOUNT_USD, CALM, LISTED, Run, START_MS, plan};

impl Run {
    /// The judge's ledger, folded from the journal anew.
    fn ledger(&mut self) -> Treasury {
        let mut ledger = Treasury::new(self.terms.treasury.clone());
        for stamped in self.world.log() {
            if let Err(fault) = ledger.fold(stamped.at, &stamped.entry) {
                self.said.push(format!("I25: the journal does not fold: {fault}"));
            }
        }
        ledger
    }

    /// Compares chain, venue and journal.
    pub fn verdict(&mut self) {
        self.said.extend(std::mem::take(&mut self.chain.borrow_mut().faults));
        let ledger = self.ledger();
        self.transfers();
        self.chain_and_journal(&ledger);
        self.budgets();
        self.conserved();
        self.covered(&ledger);
        for fault in self.world.verdict().faults {
            self.said.push(fault);
        }
    }

    /// The journal by itself: I12, I13, states.
    fn transfers(&mut self) {
        let decided = |s: &&domain::Stamped| matches!(s.entry, Entry::Transfer { event: TransferEvent::Intended(_), .. });
        let decisions = self.world.log().iter().filter(decided).count();
        let minutes = usize::try_from(self.world.now().mono / 60_000_000_000).unwrap_or(0);
        if decisions > 20 + 2 * minutes {
            self.said.push(format!("{decisions} transfers were decided on in {minutes} minutes"));
        }
        let mut open: BTreeMap<TransferId, Transfer> = BTreeMap::new();
        let mut said = Vec::new();
        for stamped in self.world.log() {
            let Entry::Transfer { id, event } = &stamped.entry else { continue };
            if let TransferEvent::Intended(intent) = event {
                if open.values().any(|t| t.intent.route.leg().is_some()) && intent.route.leg().is_some() {
                    said.push(format!("I12: {id} is decided while another deposit is open"));
                }
                if intent.route.destination().is_some_and(|to| !LISTED.contains(&to)) {
                    said.push(format!("I13: {id} goes to {:?}", intent.route.destination()));
                }
                if matches!(intent.route, Route::Bridge(_)) && intent.amount < Usd::whole(5) {
                    said.push(format!("F92: {id} moves {}", intent.amount));
                }
                open.insert(*id, Transfer::new(intent.clone(), stamped.at));
            } else if let Some(transfer) = open.get_mut(id) {
                if let Err(fault) = transfer.apply(stamped.at, event) {
                    said.push(fault.to_string());
                }
                if !transfer.open() {
                    open.remove(id);
                }
            } else {
                said.push(format!("{id} is told {event:?} after its end"));
            }
        }
        self.said.extend(said);
    }

    /// I12: one final transfer per intent, none without its record, nonces without gaps.
    fn chain_and_journal(&mut self, ledger: &Treasury) {
        let chain = self.chain.borrow();
        let mut moved: BTreeMap<TransferId, u32> = BTreeMap::new();
        let mut signed: BTreeMap<domain::TxHash, Stamp> = BTreeMap::new();
        let mut said = Vec::new();
        for stamped in self.world.log() {
            if let Entry::Transfer { event: TransferEvent::Signed(attempt), .. } = &stamped.entry {
                signed.entry(attempt.hash).or_insert(stamped.at);
            }
        }
        for (hash, tx) in chain.txs.iter().filter(|(_, tx)| tx.ours.is_some()) {
            if signed.get(hash).is_none_or(|at| at.mono > tx.sent.mono) {
                said.push(format!("the bytes {hash} left before the journal held them"));
            }
        }
        let landed = chain.landed();
        if landed.iter().map(|one| one.tx.nonce).ne(0..landed.len() as u64) {
            said.push("I12: the wallet's nonces have gaps".to_owned());
        }
        for one in &landed {
            if let (Some((id, _)), true) = (one.tx.ours, one.success && one.tx.amount > 0) {
                *moved.entry(id).or_default() += 1;
                let intent = ledger.transfer(id).map(|t| &t.intent);
                if one.tx.to != BRIDGE || intent.and_then(|i| i.amount.micros()) != Some(one.tx.amount) {
                    said.push(format!("I13: {id} moved {} to {}", one.tx.amount, one.tx.to));
                }
            }
            if one.tx.ours.is_some() && one.gas > self.terms.treasury.gas_transfer_max() {
                said.push(format!("I11: {} cost {} of gas", one.hash, one.gas));
            }
        }
        for transfer in ledger.transfers().filter(|t| t.intent.route.leg().is_some()) {
            let (id, times) = (transfer.intent.id, moved.get(&transfer.intent.id).copied().unwrap_or(0));
            let (least, most) = match &transfer.state {
                TransferState::Ended(TransferOutcome::Arrived) | TransferState::Landed => (1, 1),
                // it may have landed before or after
                TransferState::Ended(TransferOutcome::WrittenOff { .. }) => (0, 1),
                TransferState::Ended(
                    TransferOutcome::Refused { .. }
                    | TransferOutcome::Rejected { .. }
                    | TransferOutcome::Reverted
                    | TransferOutcome::Burnt
                    | TransferOutcome::Foreign,
                ) => (0, 0),
                TransferState::Intended
                | TransferState::Signed
                | TransferState::Sent
                | TransferState::Included(_)
                | TransferState::Confirmed(_) => {
                    // begun in the last minutes, when its source was tried again
                    if self.world.now().since(transfer.at) < Span::secs(240) {
                        continue;
                    }
                    said.push(format!("{id} is {} after {CALM} calm seconds: {:?}", transfer.state.name(), chain.open()));
                    (0, 1)
                }
            };
            if times < least || times > most {
                said.push(format!("I12: {id} moved {times} times and is {:?}", transfer.state));
            }
        }
        drop(chain);
        self.said.extend(said);
    }

    /// I11: no window of any length on the chain or in the venue's ledger is over its budget.
    fn budgets(&mut self) {
        let budgets = Treasury::new(self.terms.treasury.clone()).budgets(self.world.now());
        let mut said = Vec::new();
        let mut window = |what: &str, of: &[(u64, Decimal)], length_s: u64, max: Decimal| {
            for (end, _) in of {
                let sum: Decimal = of.iter().filter(|(at, _)| at <= end && end - at < length_s).map(|(_, usd)| *usd).sum();
                if sum > max {
                    said.push(format!("I11: {sum} {what} within {length_s} s, over {max}"));
                }
            }
        };
        let landed = self.chain.borrow().landed();
        let ours = landed.iter().filter(|one| one.tx.ours.is_some());
        let gas: Vec<(u64, Decimal)> =
            ours.clone().map(|one| (one.time_s, Decimal::from(u64::try_from(one.gas.0).unwrap_or(u64::MAX)))).collect();
        let moved: Vec<(u64, Decimal)> =
            ours.filter(|one| one.success).map(|one| (one.time_s, Usd::from_micros(one.tx.amount).decimal())).collect();
        window("moved", &moved, 3_600, budgets.hour.max.decimal());
        window("moved", &moved, 86_400, budgets.day.max.decimal());
        window("moved", &moved, 604_800, budgets.week.max.decimal());
        window("spent on gas", &gas, 86_400, Decimal::from(u64::try_from(budgets.gas_max.0).unwrap_or(u64::MAX)));
        let ledger = self.world.exchange().ledger(self.world.account(), START_MS + 1);
        let inside: Vec<(u64, Decimal)> = ledger
            .iter()
            .filter_map(|row| match &row.delta {
                LedgerDelta::AccountClassTransfer { usdc, .. } | LedgerDelta::SubAccountTransfer { usdc, .. } => {
                    Some((row.at_ms / 1_000, usdc.decimal()))
                }
                LedgerDelta::Deposit { .. }
                | LedgerDelta::Withdraw { .. }
                | LedgerDelta::InternalTransfer { .. }
                | LedgerDelta::Liquidation { .. } => None,
            })
            .collect();
        window("moved inside", &inside, 86_400, budgets.inside_day.max.decimal());
        self.said.extend(said);
    }

    /// Money is conserved to the millionth: wallet, bridge, venue, and what is still on its way.
    fn conserved(&mut self) {
        let chain = self.chain.borrow();
        let moved: u64 = chain.landed().iter().filter(|one| one.success).map(|one| one.tx.amount).sum();
        let (has, began) = chain.balance();
        let mut said = Vec::new();
        if has + moved != began {
            said.push(format!("the wallet has {has} of {began} after {moved} left it"));
        }
        let credited: u64 =
            chain.credited.iter().map(|(hash, n)| u64::from(*n) * chain.txs.get(hash).map_or(0, |tx| tx.amount)).sum();
        let once: u64 = chain.credited.keys().filter_map(|hash| chain.txs.get(hash)).map(|tx| tx.amount).sum();
        if once + chain.uncredited() != moved {
            said.push(format!("{moved} left, {once} is credited and {} is not", chain.uncredited()));
        }
        let exchange = self.world.exchange();
        let deposits: Usd = exchange
            .ledger(self.world.account(), 0)
            .iter()
            .filter_map(|row| if let LedgerDelta::Deposit { usdc } = row.delta { Some(usdc) } else { None })
            .sum();
        let given = Usd::whole(ACCOUNT_USD) + Usd::from_micros(self.terms.spot * 1_000_000);
        if deposits != given + Usd::from_micros(credited) {
            said.push(format!("the venue took in {deposits}, which is not {given} and {credited} millionths"));
        }
        drop(chain);
        self.said.extend(said);
    }

    /// The account is covered, if that was possible.
    fn covered(&mut self, ledger: &Treasury) {
        let Some(desk) = self.world.desk() else { return self.said.push("the daemon is dead".to_owned()) };
        let now = self.world.now();
        let level = desk.books().levels.get(&Venue::Hyperliquid).copied().unwrap_or_default();
        let flat = desk.books().positions.values().all(|lots| lots.0 == 0);
        let view = desk.treasury(now);
        let why = view.map(|v| format!("{:?}: {}", v.action, v.why)).unwrap_or_default();
        // a reduction takes its time, up to half an hour where there is no hurry
        let reducing = desk.status(now).parents.iter().any(|p| p.spec.note.starts_with("deleverage:"));
        if flat || level < MarginLevel::TopUp || reducing {
            return;
        }
        let (equity, maintenance) = self.standing();
        if level >= MarginLevel::Reduce {
            return self.said.push(format!("level {level:?} after {CALM} calm seconds, {equity} for {maintenance}: {why}"));
        }
        let plan = plan(&self.terms);
        let need = maintenance * plan.target.decimal() - equity;
        let budgets = ledger.budgets(now);
        let (wallet, _) = self.chain.borrow().balance();
        let wallet = Usd::from_micros(wallet) - Usd::whole(self.terms.reserve);
        let open = ledger.transfers().any(|t| t.open());
        let outside = wallet.min(budgets.room()).decimal();
        let gas = budgets.gas_spent.plus(self.terms.treasury.gas_transfer_max()) <= budgets.gas_max;
        if !open && gas && outside >= need.max(Decimal::from(5)) + Decimal::ONE {
            self.said.push(format!("not topped up although {outside} of the {need} needed could be sent: {why}"));
        }
    }

    pub fn count(&mut self) {
        let mut met: BTreeMap<&'static str, u32> = BTreeMap::new();
        let mut meet = |what: &'static str| *met.entry(what).or_default() += 1;
        for stamped in self.world.log() {
            if let Entry::Transfer { event, .. } = &stamped.entry {
                match event {
                    TransferEvent::Intended(intent) => meet(intent.route.name()),
                    TransferEvent::Ended(TransferOutcome::WrittenOff { .. }) => meet("written off"),
                    TransferEvent::Ended(TransferOutcome::Reverted) => meet("reverted"),
                    TransferEvent::Ended(TransferOutcome::Burnt) => meet("burnt"),
                    TransferEvent::Ended(TransferOutcome::Foreign) => meet("foreign"),
                    TransferEvent::Ended(TransferOutcome::Refused { .. }) => meet("refused"),
                    TransferEvent::Ended(TransferOutcome::Rejected { .. }) => meet("rejected by the venue"),
                    TransferEvent::Final(_) => meet("final"),
                    TransferEvent::Ended(TransferOutcome::Arrived)
                    | TransferEvent::Resumed { .. }
                    | TransferEvent::Signed(_)
                    | TransferEvent::Sent { .. }
                    | TransferEvent::Dropped { .. }
                    | TransferEvent::Included(_)
                    | TransferEvent::Confirmed { .. }
                    | TransferEvent::Reorged { .. }
                    | TransferEvent::Accepted
                    | TransferEvent::Credited { .. } => {}
                    TransferEvent::Overdue { .. } => meet("overdue"),
                }
            } else if let Entry::Level(change) = &stamped.entry {
                meet(if change.to == MarginLevel::TopUp { "the top-up level" } else { "another level" });
            } else if let Entry::Parent { spec, .. } = &stamped.entry
                && spec.note.starts_with("deleverage:")
            {
                meet("a reduction");
            }
        }
        for (what, times) in met.into_iter().chain(self.chain.borrow().met.clone()).chain(self.world.met()) {
            *self.met.entry(what).or_default() += times;
        }
    }
}
