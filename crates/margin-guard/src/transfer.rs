//! Judges transfers: budgets, destinations, one open nonce (I11–I13). The ledger of transfers is folded from the journal alone.

mod limits;
mod refusal;
mod stamps;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use domain::{
    Attempt, AttemptKind, BadStep, ChainLeg, Entry, Epoch, EvmAddress, Route, Span, Stamp, StopLevel, Stops, Transfer,
    TransferEvent, TransferId, TransferIntent, TransferOutcome, TransferState, Usd, Venue, WalletView, Wei,
};

pub use limits::{
    Destination, DestinationKind, RawDestination, RawTreasury, RawWallet, TreasuryLimits, WalletLimits, least_deposit,
    withdrawal_fee,
};
pub use refusal::TransferRefusal;
pub(crate) use stamps::mismatch;
pub use stamps::{ClearedTransfer, ReleasedTransfer, TransferStep};

const HOUR: Span = Span::secs(3_600);
const DAY: Span = Span::secs(86_400);
const WEEK: Span = Span::secs(604_800);
/// Transfers that are over are kept for reports; those of the longest window are kept for the budgets in any case.
const KEPT: usize = 256;
/// Transactions signed for one transfer: fees raised by an eighth that often are twelve times the first.
const ATTEMPTS_MAX: usize = 24;

/// A record that cannot follow what was folded before: a damaged journal, or a programmer's error.
#[derive(Debug, thiserror::Error)]
pub enum TreasuryFault {
    /// A transfer's event does not follow its state.
    #[error("the record of a transfer does not follow the one before")]
    Step(#[from] BadStep),
    /// A transfer that was never decided.
    #[error("a record of {0}, which was never decided")]
    Unknown(TransferId),
    /// The treasury limits in the journal cannot be read.
    #[error("the treasury limits in the journal cannot be read: {0}")]
    Limits(String),
}

/// How much of a budget is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Spent {
    /// The budget.
    pub max: Usd,
    /// Spent in the window, and reserved by open transfers of any age.
    pub spent: Usd,
}

impl Spent {
    /// What is left.
    #[must_use]
    pub fn room(&self) -> Usd {
        (self.max - self.spent).max(Usd::ZERO)
    }
}

/// All budgets at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Budgets {
    /// Between chains and venues, within an hour.
    pub hour: Spent,
    /// The same within 24 hours.
    pub day: Spent,
    /// The same within 7 days.
    pub week: Spent,
    /// Inside venues, within 24 hours.
    pub inside_day: Spent,
    /// Most of one transfer between chain and venue.
    pub transfer_max: Usd,
    /// Most of one transfer inside a venue.
    pub inside_transfer_max: Usd,
    /// Gas within 24 hours: the budget.
    pub gas_max: Wei,
    /// Gas within 24 hours: spent, and reserved by open transfers.
    pub gas_spent: Wei,
}

impl Budgets {
    /// The largest transfer between chain and venue that the budgets allow.
    #[must_use]
    pub fn room(&self) -> Usd {
        self.transfer_max.min(self.hour.room()).min(self.day.room()).min(self.week.room())
    }

    /// The largest transfer inside a venue that the budgets allow.
    #[must_use]
    pub fn room_inside(&self) -> Usd {
        self.inside_transfer_max.min(self.inside_day.room())
    }
}

/// One wallet's nonces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Nonces {
    /// The next one, once a transfer of ours has used one.
    next: Option<u64>,
    /// Why nothing may be sent from it.
    frozen: Option<String>,
}

/// The judge of transfers, and the ledger of those under way.
#[derive(Clone, Debug)]
pub struct Treasury {
    limits: TreasuryLimits,
    /// Limits of the newest record; what is judged must rest on those that the journal names.
    recorded: Option<TreasuryLimits>,
    /// Since when each destination is listed, and how long it had to wait by the stricter of the limits before and after.
    listed: BTreeMap<(DestinationKind, EvmAddress), (Stamp, Span)>,
    /// The longest delay of earlier limits that still counts for new entries, and until when: one that is lowered holds for as long
    /// as it was.
    lowered: Option<(Span, Stamp)>,
    transfers: BTreeMap<TransferId, Transfer>,
    newest: TransferId,
    nonces: BTreeMap<(u64, EvmAddress), Nonces>,
    wallet: Result<WalletView, String>,
    epoch: Epoch,
    reconciled: bool,
    stops: Stops,
}

impl Treasury {
    /// A judge with an empty ledger.
    #[must_use]
    pub fn new(limits: TreasuryLimits) -> Treasury {
        Treasury {
            limits,
            recorded: None,
            listed: BTreeMap::new(),
            lowered: None,
            transfers: BTreeMap::new(),
            newest: TransferId(0),
            nonces: BTreeMap::new(),
            wallet: Err("it has not been looked at yet".into()),
            epoch: Epoch(0),
            reconciled: false,
            stops: Stops::default(),
        }
    }

    /// The record to append when these limits come into force; nothing if the journal names them already.
    #[must_use]
    pub fn record(&self) -> Option<Entry> {
        let in_force = self.recorded.as_ref().is_some_and(|recorded| recorded.id() == self.limits.id());
        (!in_force).then(|| Entry::Treasury { id: self.limits.id(), text: self.limits.text().to_owned() })
    }

    /// Takes in a record. Every record of the journal is folded, in order; nothing else changes the ledger.
    ///
    /// # Errors
    /// If it cannot follow those before; nothing is changed then.
    pub fn fold(&mut self, at: Stamp, entry: &Entry) -> Result<(), TreasuryFault> {
        if let Entry::Epoch { epoch, .. } = entry {
            (self.epoch, self.reconciled) = (*epoch, false);
        } else if let Entry::Reconciled { epoch, .. } = entry {
            self.reconciled = *epoch == self.epoch;
        } else if let Entry::Latch(stop) = entry {
            self.stops.raise(stop);
        } else if let Entry::Rearm { scope, .. } = entry {
            self.stops.clear(*scope);
        } else if let Entry::Treasury { text, .. } = entry {
            self.list(at, text)?;
        } else if let Entry::WalletAccepted { chain_id, wallet, nonce, .. } = entry {
            self.nonces.insert((*chain_id, *wallet), Nonces { next: Some(*nonce), frozen: None });
        } else if let Entry::Transfer { id, event } = entry {
            self.step(at, *id, event)?;
        }
        Ok(())
    }

    fn list(&mut self, at: Stamp, text: &str) -> Result<(), TreasuryFault> {
        let raw: RawTreasury = serde_json::from_str(text).map_err(|e| TreasuryFault::Limits(e.to_string()))?;
        let limits = TreasuryLimits::check(&raw)
            .map_err(|faults| TreasuryFault::Limits(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
        let before = self.recorded.as_ref();
        let held = [before.map(|was| (was.delay, at + was.delay)), self.lowered.filter(|(_, until)| *until > at)];
        self.lowered = held.into_iter().flatten().filter(|(delay, _)| *delay > limits.delay).max();
        let delay = self.lowered.map_or(limits.delay, |(delay, _)| delay);
        // the same address on another chain, or for another token, is another place
        let moved = |kind: DestinationKind| match kind {
            DestinationKind::Bridge | DestinationKind::Cctp => {
                let coin = |of: &TreasuryLimits| of.wallet.map(|wallet| (wallet.chain_id, wallet.token));
                before.is_some_and(|was| coin(was) != coin(&limits))
            }
            DestinationKind::SubAccount | DestinationKind::Withdrawal => false,
        };
        let known = std::mem::take(&mut self.listed);
        for destination in limits.destination.values() {
            let key = (destination.kind, destination.address);
            let since = known.get(&key).filter(|_| !moved(destination.kind));
            self.listed.insert(key, since.copied().unwrap_or((at, delay)));
        }
        self.recorded = Some(limits);
        Ok(())
    }

    fn step(&mut self, at: Stamp, id: TransferId, event: &TransferEvent) -> Result<(), TreasuryFault> {
        if let TransferEvent::Intended(intent) = event {
            // cleared here a moment ago, or read from the journal
            if self.transfers.get(&id).is_none_or(|known| known.intent != *intent) {
                if id <= self.newest {
                    return Err(TreasuryFault::Unknown(id));
                }
                self.admit(at, intent.clone());
            }
            return Ok(());
        }
        let transfer = self.transfers.get_mut(&id).ok_or(TreasuryFault::Unknown(id))?;
        let was_working = transfer.working();
        transfer.apply(at, event)?;
        if was_working && !transfer.working() {
            self.settle_nonce(id);
        }
        self.forget(at);
        Ok(())
    }

    fn admit(&mut self, at: Stamp, intent: TransferIntent) {
        if let Some(leg) = intent.route.leg() {
            self.nonces.entry((leg.chain_id, leg.wallet)).or_default().next = Some(intent.nonce);
        }
        self.newest = self.newest.max(intent.id);
        self.transfers.insert(intent.id, Transfer::new(intent, at));
    }

    /// The transfer no longer works on its nonce: whose is it?
    fn settle_nonce(&mut self, id: TransferId) {
        let Some(transfer) = self.transfers.get(&id) else { return };
        let Some(leg) = transfer.intent.route.leg() else { return };
        let nonce = transfer.intent.nonce;
        let nonces = self.nonces.entry((leg.chain_id, leg.wallet)).or_default();
        match &transfer.state {
            TransferState::Landed
            | TransferState::Ended(TransferOutcome::Arrived | TransferOutcome::Reverted | TransferOutcome::Burnt) => {
                nonces.next = Some(nonce.saturating_add(1));
            }
            TransferState::Ended(TransferOutcome::Refused { .. } | TransferOutcome::Rejected { .. }) => {}
            TransferState::Ended(TransferOutcome::Foreign) => {
                let why =
                    format!("its nonce {nonce}, pinned by {id}, was used by a transaction that is not ours: is its key safe?");
                nonces.frozen = Some(why);
            }
            TransferState::Ended(TransferOutcome::WrittenOff { .. }) => {
                nonces.frozen = Some(format!("{id} was closed by the operator while its nonce {nonce} was open"));
            }
            TransferState::Intended
            | TransferState::Signed
            | TransferState::Sent
            | TransferState::Included(_)
            | TransferState::Confirmed(_) => {}
        }
    }

    fn forget(&mut self, now: Stamp) {
        let old = |t: &Transfer| !t.open() && now.since(t.since) > WEEK;
        while self.transfers.len() > KEPT {
            let Some(id) = self.transfers.values().find(|t| old(t)).map(|t| t.intent.id) else { return };
            self.transfers.remove(&id);
        }
    }

    /// Takes in what the wallet's endpoints agree on.
    pub fn observe(&mut self, view: WalletView) {
        self.wallet = Ok(view);
    }

    /// Takes in that they do not.
    pub fn doubt(&mut self, why: String) {
        self.wallet = Err(why);
    }

    /// The limits it judges by.
    #[must_use]
    pub const fn limits(&self) -> &TreasuryLimits {
        &self.limits
    }

    /// Transfers under way and those of the last week, oldest first.
    pub fn transfers(&self) -> impl Iterator<Item = &Transfer> {
        self.transfers.values()
    }

    /// One of them.
    #[must_use]
    pub fn transfer(&self, id: TransferId) -> Option<&Transfer> {
        self.transfers.get(&id)
    }

    /// The number of the next transfer.
    #[must_use]
    pub const fn next_id(&self) -> TransferId {
        TransferId(self.newest.0.saturating_add(1))
    }

    /// What is known of the wallet, if that is fresh enough.
    ///
    /// # Errors
    /// [`TransferRefusal::WalletUnknown`] with the reason; [`TransferRefusal::NoWallet`] if none is configured.
    pub fn wallet(&self, now: Stamp) -> Result<&WalletView, TransferRefusal> {
        if self.limits.wallet.is_none() {
            return Err(TransferRefusal::NoWallet);
        }
        let view = self.wallet.as_ref().map_err(|why| TransferRefusal::WalletUnknown(why.clone()))?;
        let age = now.since(view.at);
        if age > self.limits.wallet_age {
            let why = format!("last seen {age} ago, of at most {}", self.limits.wallet_age);
            return Err(TransferRefusal::WalletUnknown(why));
        }
        Ok(view)
    }

    /// The nonce of the wallet's next transfer.
    ///
    /// # Errors
    /// If the wallet is not known, is frozen, was used beside us, or has an open nonce.
    pub fn next_nonce(&self, now: Stamp) -> Result<u64, TransferRefusal> {
        let view = self.wallet(now)?;
        let key = (view.chain_id, view.wallet);
        if let Some(open) = self.transfers.values().find(|t| t.working() && wallet_of(&t.intent) == Some(key)) {
            return Err(TransferRefusal::WalletBusy { open: open.intent.id, state: open.state.name() });
        }
        let nonces = self.nonces.get(&key).cloned().unwrap_or_default();
        if let Some(why) = nonces.frozen {
            return Err(TransferRefusal::WalletFrozen(why));
        }
        match nonces.next {
            Some(next) if view.nonce > next => Err(TransferRefusal::WalletFrozen(format!(
                "its nonce is {} on the chain and {next} in the journal: it sent something that is not ours",
                view.nonce
            ))),
            // whatever was sent beside us could be taken back, and a transfer behind it would wait for ever
            Some(_) | None if view.nonce_safe < view.nonce => {
                Err(TransferRefusal::NonceUnsafe { nonce: view.nonce, safe: view.nonce_safe })
            }
            Some(next) if view.nonce < next => Err(TransferRefusal::Nonce { asked: view.nonce, expected: next }),
            Some(_) | None => Ok(view.nonce),
        }
    }

    /// All budgets. A transfer counts while it is open and for the length of the window from its end on: its money moved at some
    /// moment in between, so whatever the chain shows within one window was within the budget when it was decided.
    #[must_use]
    pub fn budgets(&self, now: Stamp) -> Budgets {
        self.budgets_but(now, self.next_id())
    }

    /// The budgets without what one transfer takes of them.
    fn budgets_but(&self, now: Stamp, but: TransferId) -> Budgets {
        let others = || self.transfers.values().filter(|t| t.intent.id != but);
        let spent = |window: Span, inside: bool, max: Usd| {
            let counts = |t: &&Transfer| t.intent.route.inside() == inside && (t.open() || now.since(t.since) < window);
            Spent { max, spent: others().filter(counts).map(debit).sum() }
        };
        let limits = &self.limits;
        let gas_counts = |t: &&Transfer| t.working() || now.since(t.since) < DAY;
        Budgets {
            hour: spent(HOUR, false, limits.hour),
            day: spent(DAY, false, limits.day),
            week: spent(WEEK, false, limits.week),
            inside_day: spent(DAY, true, limits.inside_day),
            transfer_max: limits.transfer,
            inside_transfer_max: limits.inside_transfer,
            gas_max: limits.gas_day,
            gas_spent: others().filter(gas_counts).map(gas_debit).fold(Wei::ZERO, Wei::plus),
        }
    }

    /// Judges a new transfer. If it is cleared, its budget is reserved and its nonce pinned from here on.
    ///
    /// # Errors
    /// The first rule that it breaks, with the numbers.
    pub fn clear(&mut self, now: Stamp, intent: TransferIntent) -> Result<ClearedTransfer, TransferRefusal> {
        self.may_move(&intent)?;
        self.amount(now, &intent)?;
        self.destination(now, &intent)?;
        self.in_flight(&intent)?;
        self.leg(now, &intent)?;
        self.admit(now, intent.clone());
        Ok(ClearedTransfer::mint(TransferStep::Start(intent.clone()), TransferEvent::Intended(intent)))
    }

    /// I20: what stops a venue as a whole stops its money.
    fn not_halted(&self, intent: &TransferIntent) -> Result<(), TransferRefusal> {
        let level = self.stops.venue_level(intent.venue);
        if level >= StopLevel::Block { Err(TransferRefusal::Halted(level)) } else { Ok(()) }
    }

    fn may_move(&self, intent: &TransferIntent) -> Result<(), TransferRefusal> {
        self.not_halted(intent)?;
        if !self.reconciled {
            return Err(TransferRefusal::NotReconciled);
        }
        if intent.id != self.next_id() {
            return Err(TransferRefusal::Number(intent.id));
        }
        let in_force = self.recorded.as_ref().map_or(0, TreasuryLimits::id);
        if intent.limits != in_force || self.limits.id() != in_force {
            return Err(TransferRefusal::Limits { asked: intent.limits, in_force });
        }
        Ok(())
    }

    fn amount(&self, now: Stamp, intent: &TransferIntent) -> Result<(), TransferRefusal> {
        let amount = intent.amount;
        if amount.micros().is_none_or(|micros| micros == 0) || intent.fee_max.micros().is_none() {
            return Err(TransferRefusal::Amount(amount));
        }
        let least = limits::least(intent.venue, kind_of(&intent.route));
        let arrives = amount - intent.fee_max.max(least.fee);
        if arrives < least.arrives {
            let route = intent.route.name();
            return Err(TransferRefusal::BelowMinimum { amount, arrives, least: least.arrives, route });
        }
        let budgets = self.budgets_but(now, intent.id);
        let (max, windows) = if intent.route.inside() {
            (budgets.inside_transfer_max, vec![("day inside the venue", budgets.inside_day)])
        } else {
            (budgets.transfer_max, vec![("hour", budgets.hour), ("day", budgets.day), ("week", budgets.week)])
        };
        if amount > max {
            return Err(TransferRefusal::Cap { amount, max });
        }
        match windows.into_iter().find(|(_, one)| amount > one.room()) {
            Some((window, one)) => {
                Err(TransferRefusal::Budget { window, amount, max: one.max, spent: one.spent, room: one.room() })
            }
            None => Ok(()),
        }
    }

    fn destination(&self, now: Stamp, intent: &TransferIntent) -> Result<(), TransferRefusal> {
        let (Some(address), Some(kind)) = (intent.route.destination(), kind_of(&intent.route)) else { return Ok(()) };
        let named = self.limits.destination.iter().find(|(_, one)| one.kind == kind && one.address == address);
        let since = self.listed.get(&(kind, address));
        let (Some((name, _)), Some((since, delay))) = (named, since) else {
            return Err(TransferRefusal::Destination { address, route: intent.route.name() });
        };
        let (listed, delay) = (now.since(*since), (*delay).max(self.limits.delay));
        if listed < delay {
            return Err(TransferRefusal::DestinationNew { name: name.clone(), listed, delay });
        }
        Ok(())
    }

    /// Money on the way counts once and is not sent twice: of an account one open transfer that comes in, one that goes out, and one
    /// inside. A withdrawal that hangs must not keep out what would save the account.
    fn in_flight(&self, intent: &TransferIntent) -> Result<(), TransferRefusal> {
        let direction = |intent: &TransferIntent| (intent.route.inside(), matches!(intent.route, Route::Withdrawal { .. }));
        let alike = |t: &&Transfer| {
            t.open()
                && (t.intent.venue, t.intent.account) == (intent.venue, intent.account)
                && direction(&t.intent) == direction(intent)
        };
        match self.transfers.values().find(alike) {
            Some(open) => Err(TransferRefusal::InFlight { open: open.intent.id, state: open.state.name() }),
            None => Ok(()),
        }
    }

    fn leg(&self, now: Stamp, intent: &TransferIntent) -> Result<(), TransferRefusal> {
        let Some(leg) = intent.route.leg() else { return Ok(()) };
        let wallet = self.settings(now, intent, leg)?;
        let expected = self.next_nonce(now)?;
        if intent.nonce != expected {
            return Err(TransferRefusal::Nonce { asked: intent.nonce, expected });
        }
        let view = self.wallet(now)?;
        setting("the chain looked at", view.chain_id, wallet.chain_id)?;
        setting("the wallet looked at", view.wallet, wallet.address)?;
        setting("the token looked at", view.token, wallet.token)?;
        if view.balance < intent.amount {
            return Err(TransferRefusal::Short { has: view.balance, needs: intent.amount });
        }
        if view.gas < leg.gas_cost_max {
            return Err(TransferRefusal::NoGas { has: view.gas, needs: leg.gas_cost_max });
        }
        Ok(())
    }

    /// Whether the leg is the configured wallet's, for its own account, and its gas within the budgets.
    fn settings(&self, now: Stamp, intent: &TransferIntent, leg: &ChainLeg) -> Result<WalletLimits, TransferRefusal> {
        let wallet = self.limits.wallet.ok_or(TransferRefusal::NoWallet)?;
        setting("the chain", leg.chain_id, wallet.chain_id)?;
        setting("the wallet", leg.wallet, wallet.address)?;
        setting("the token", leg.token, wallet.token)?;
        if leg.wallet != intent.account {
            return Err(TransferRefusal::Sender { wallet: leg.wallet, account: intent.account });
        }
        if leg.gas_cost_max > self.limits.gas_transfer {
            return Err(TransferRefusal::GasCap { asked: leg.gas_cost_max, max: self.limits.gas_transfer });
        }
        let budgets = self.budgets_but(now, intent.id);
        if budgets.gas_spent.plus(leg.gas_cost_max) > budgets.gas_max {
            return Err(TransferRefusal::GasBudget { asked: leg.gas_cost_max, max: budgets.gas_max, spent: budgets.gas_spent });
        }
        Ok(wallet)
    }

    /// Whether a transfer of which nothing has left may still begin. Between its decision and now there may be a restart with other
    /// limits, a kill switch, or so much time that its reason is gone.
    fn still(&self, now: Stamp, transfer: &Transfer) -> Result<(), TransferRefusal> {
        let intent = &transfer.intent;
        self.not_halted(intent)?;
        let (age, max) = (now.since(transfer.at), self.limits.credit_timeout);
        if age > max {
            return Err(TransferRefusal::Old { age, max });
        }
        if let Some(leg) = intent.route.leg() {
            self.settings(now, intent, leg)?;
        }
        self.amount(now, intent)?;
        self.destination(now, intent)
    }

    /// Judges a signed transaction before its bytes may be sent. A second look at what the wallet made: its cost, its place among the
    /// other attempts, and at the first one whether money may still move by the limits in force. One that the ledger holds already is
    /// cleared again: whoever asks has not heard the verdict.
    ///
    /// # Errors
    /// If it may not be sent. Before the first was recorded, the transfer can still be ended as refused.
    pub fn clear_signed(&self, now: Stamp, id: TransferId, attempt: &Attempt) -> Result<ClearedTransfer, TransferRefusal> {
        let transfer = self.transfers.get(&id).ok_or(TransferRefusal::Number(id))?;
        let bad = |why: String| Err(TransferRefusal::Attempt(why));
        let event = TransferEvent::Signed(attempt.clone());
        if let Err(fault) = transfer.clone().apply(now, &event) {
            return bad(fault.to_string());
        }
        let Some(leg) = transfer.intent.route.leg() else { return bad("belongs to no chain".into()) };
        if transfer.attempt(attempt.hash) == Some(attempt) {
            return Ok(ClearedTransfer::mint(TransferStep::Send { id, attempt: attempt.clone() }, event));
        }
        if transfer.attempts.is_empty() {
            self.still(now, transfer)?;
        }
        if transfer.attempts.len() >= ATTEMPTS_MAX {
            return bad(format!("would be number {}, of at most {ATTEMPTS_MAX}", transfer.attempts.len() + 1));
        }
        if attempt.gas_cost_max() > leg.gas_cost_max {
            return bad(format!("may cost {} ether in gas, of at most {}", attempt.gas_cost_max(), leg.gas_cost_max));
        }
        if attempt.tip > attempt.fee_max {
            return bad("gives more to the block's maker than it pays".into());
        }
        let burning = transfer.attempts.iter().any(|one| one.kind == AttemptKind::Burn);
        match (transfer.attempts.last(), attempt.kind) {
            (None, AttemptKind::Burn) => return bad("burns a nonce for which nothing was signed".into()),
            (Some(_), AttemptKind::Send) if burning => return bad("sends what is being burnt".into()),
            (Some(last), AttemptKind::Send | AttemptKind::Burn) => {
                let (fee, tip) = (raised(last.fee_max), raised(last.tip));
                if attempt.fee_max < fee || attempt.tip < tip {
                    return bad(format!(
                        "offers {} wei and {} to the block's maker, where a replacement needs {} and {}",
                        attempt.fee_max.0, attempt.tip.0, fee.0, tip.0
                    ));
                }
            }
            (None, AttemptKind::Send) => {}
        }
        let step = TransferStep::Send { id, attempt: attempt.clone() };
        Ok(ClearedTransfer::mint(step, event))
    }

    /// Lets this tenure go on with a transfer of an earlier one. Its record follows the older ones in the same log, so that it can be
    /// durable only if they are.
    ///
    /// On a chain nothing new leaves without [`Treasury::clear_signed`]. At a venue the same action is sent again, which may be the
    /// first time that it arrives: so it must still be one that may move.
    ///
    /// # Errors
    /// If it is not known, if nothing is left to do for it, or if it would be sent to the venue and is stopped, or no longer inside
    /// the limits in force. It stays open then: whether it was sent before is not known.
    pub fn clear_resumed(&self, now: Stamp, id: TransferId) -> Result<ClearedTransfer, TransferRefusal> {
        let transfer = self.transfers.get(&id).filter(|t| t.working()).ok_or(TransferRefusal::Number(id))?;
        if transfer.intent.route.leg().is_none() {
            self.not_halted(&transfer.intent)?;
            self.amount(now, &transfer.intent)?;
            self.destination(now, &transfer.intent)?;
        }
        let step = TransferStep::Resume(Box::new(transfer.clone()));
        Ok(ClearedTransfer::mint(step, TransferEvent::Resumed { epoch: self.epoch }))
    }

    /// Transfers that wait for the venue's credit for longer than they may and are not reported as such yet (F91).
    #[must_use]
    pub fn overdue(&self, now: Stamp) -> Vec<(TransferId, String)> {
        let timeout = self.limits.credit_timeout;
        let late = |t: &&Transfer| t.open() && t.overdue.is_none() && now.since(t.at) > timeout;
        let why =
            |t: &Transfer| format!("{} for {}, of at most {timeout} from decision to credit", t.state.name(), now.since(t.at));
        self.transfers.values().filter(late).map(|t| (t.intent.id, why(t))).collect()
    }
}

/// What must at least arrive by a way, and what the way itself keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minimum {
    /// The least that arrives.
    pub arrives: Usd,
    /// What is kept on the way at any rate.
    pub fee: Usd,
}

/// The least that `venue` credits by `route` (F92).
#[must_use]
pub fn minimum(venue: Venue, route: &Route) -> Minimum {
    let least = limits::least(venue, kind_of(route));
    Minimum { arrives: least.arrives, fee: least.fee }
}

/// What a replacement must offer at least: an eighth more, the most that nodes are known to ask for.
#[must_use]
pub const fn raised(fee: Wei) -> Wei {
    fee.plus(Wei(fee.0.div_ceil(8)))
}

fn setting(what: &'static str, asked: impl ToString, configured: impl ToString) -> Result<(), TransferRefusal> {
    let (asked, configured) = (asked.to_string(), configured.to_string());
    if asked == configured { Ok(()) } else { Err(TransferRefusal::Setting { what, asked, configured }) }
}

fn wallet_of(intent: &TransferIntent) -> Option<(u64, EvmAddress)> {
    intent.route.leg().map(|leg| (leg.chain_id, leg.wallet))
}

const fn kind_of(route: &Route) -> Option<DestinationKind> {
    match route {
        Route::SpotToPerp | Route::PerpToSpot | Route::IsolatedMargin { .. } => None,
        Route::SubAccount { .. } => Some(DestinationKind::SubAccount),
        Route::Bridge(_) => Some(DestinationKind::Bridge),
        Route::Cctp { .. } => Some(DestinationKind::Cctp),
        Route::Withdrawal { .. } => Some(DestinationKind::Withdrawal),
    }
}

/// What counts of a transfer against the budgets: all of it, unless it is certain that nothing moved.
fn debit(transfer: &Transfer) -> Usd {
    match &transfer.state {
        TransferState::Ended(
            TransferOutcome::Refused { .. }
            | TransferOutcome::Rejected { .. }
            | TransferOutcome::Reverted
            | TransferOutcome::Burnt,
        ) => Usd::ZERO,
        TransferState::Ended(TransferOutcome::Arrived | TransferOutcome::Foreign | TransferOutcome::WrittenOff { .. })
        | TransferState::Intended
        | TransferState::Signed
        | TransferState::Sent
        | TransferState::Included(_)
        | TransferState::Confirmed(_)
        | TransferState::Landed => transfer.intent.amount,
    }
}

/// What counts of its gas: what was spent once that is final, until then all that may be.
fn gas_debit(transfer: &Transfer) -> Wei {
    let Some(leg) = transfer.intent.route.leg() else { return Wei::ZERO };
    if let TransferState::Ended(TransferOutcome::Refused { .. }) = transfer.state {
        return Wei::ZERO;
    }
    transfer.gas.unwrap_or(leg.gas_cost_max)
}
