//! Money that moves by itself: transfers inside the venue, reads of what lies idle there, and a door to what lies outside.

use domain::{
    DepositSeen, EvmAddress, Fact, IdleBalance, IdlePlace, Route, Span, Stamp, TransferEvent, TransferId, TransferIntent,
    TransferOutcome, Usd, UsdcRoads, Venue,
};
use exchange::{AccountKey, LedgerDelta, Op, OpResult};
use margin_guard::{ReleasedTransfer, TransferStep};

use crate::world::{ANSWER_DEADLINE, Travel, World};

/// What the venue's own key signs is refused when it arrives later than this many milliseconds after its nonce.
const EXPIRY_MS: u64 = 10_000;

/// What the venue's ledger does not show so long after a transfer's nonce did not happen, milliseconds.
const ROW_DUE_MS: u64 = 60_000;

/// What lies outside of the venue: a wallet, its chain, and the venue's eye on that chain. The world takes it along: it is told when
/// the daemon dies, and asked once in every second of virtual time what has happened.
pub trait Outside {
    /// A step for the wallet that is cleared and durable.
    fn take(&mut self, now: Stamp, released: ReleasedTransfer);
    /// A transfer that is over by the journal's word.
    fn forget(&mut self, id: TransferId);
    /// The daemon dies: what the wallet had in memory is gone, the chain goes on.
    fn die(&mut self);
    /// A second passes.
    fn pass(&mut self, now: Stamp, is_alive: bool) -> Passed;
}

/// What happened outside in a second.
#[derive(Debug, Default)]
pub struct Passed {
    /// What the wallet tells the desk.
    pub facts: Vec<Fact>,
    /// Deposits that the venue credits to the account.
    pub credits: Vec<Usd>,
}

/// What a world has besides the perpetuals balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Money {
    /// How the desk looks after it.
    pub plan: desk::TreasuryPlan,
    /// The account's spot balance.
    pub spot: Usd,
    /// Balances of sub-accounts.
    pub subs: Vec<(EvmAddress, Usd)>,
    /// By which road the venue says that USDC comes in and goes out.
    pub road: domain::UsdcRoad,
}

impl World {
    /// Puts the account's money where the specification says.
    pub(crate) fn fund(&mut self) {
        let Some(money) = self.spec.money.clone() else { return };
        let now_ms = self.venue_ms();
        let mut funded = Vec::new();
        if money.spot > Usd::ZERO {
            funded.push((self.account, Op::Deposit { amount: money.spot }));
            funded.push((self.account, Op::ClassTransfer { amount: money.spot, to_perp: false }));
        }
        funded.extend(money.subs.iter().map(|(sub, amount)| (AccountKey(sub.0), Op::Deposit { amount: *amount })));
        for (account, op) in funded {
            let done = self.exchange.submit(now_ms, account, op);
            assert_eq!(done, OpResult::Default, "invariant: a deposit into a new world is accepted");
        }
        self.exchange.drain_events();
    }

    /// Hands steps to who carries them out.
    pub(crate) fn carry_transfers(&mut self, released: Vec<ReleasedTransfer>) {
        for one in released {
            let (intent, is_again) = match one.step() {
                TransferStep::Start(intent) => (intent.clone(), false),
                TransferStep::Resume(transfer) => (transfer.intent.clone(), true),
                TransferStep::Send { .. } => {
                    self.wallet_takes(one);
                    continue;
                }
            };
            if intent.route.leg().is_some() {
                self.wallet_takes(one);
                continue;
            }
            let id = intent.id;
            self.post_late(Travel::Fact(told(id, TransferEvent::Sent { hash: None })));
            if self.bad_luck(self.spec.faults.request_lost) {
                self.note("a transfer never reaches the venue");
                self.post(ANSWER_DEADLINE, Travel::Fact(unanswered(id)));
            } else if self.bad_luck(self.spec.faults.held_up) {
                let after = ANSWER_DEADLINE + Span::millis(self.chance.below(15_000));
                self.note("a transfer is held up on its way");
                self.post(ANSWER_DEADLINE, Travel::Fact(unanswered(id)));
                self.post(after, Travel::Transfer(intent, is_again, false));
            } else {
                self.post_late(Travel::Transfer(intent, is_again, true));
            }
        }
    }

    fn wallet_takes(&mut self, released: ReleasedTransfer) {
        let now = self.now();
        if let Some(outside) = &mut self.outside {
            outside.take(now, released);
        }
    }

    /// The venue decides on a transfer. A nonce is used once, whatever comes of it.
    pub(crate) fn transfer_at_venue(&mut self, intent: &TransferIntent, is_again: bool, is_awaited: bool) {
        let now_ms = self.venue_ms();
        let owner_signs = matches!(intent.route, Route::SpotToPerp | Route::PerpToSpot | Route::Withdrawal { .. });
        let is_expired = !owner_signs && now_ms > intent.nonce + EXPIRY_MS;
        let lost = self.bad_luck(self.spec.faults.answer_lost);
        let event = if is_expired || !self.used_nonces.insert(intent.nonce) {
            self.note(if is_expired { "a transfer arrives expired" } else { "a transfer's nonce is used" });
            // the connector looks into the venue's ledger
            if !is_again {
                TransferEvent::Overdue { why: "its nonce is used".into() }
            } else if self.moved.get(&intent.nonce) == Some(&true) {
                TransferEvent::Accepted
            } else if now_ms > intent.nonce + ROW_DUE_MS {
                self.note("a transfer is over because the ledger is silent");
                TransferEvent::Ended(TransferOutcome::Rejected { why: "the venue's ledger does not show it".into() })
            } else {
                TransferEvent::Overdue { why: "the venue's ledger does not show it".into() }
            }
        } else {
            let done = self.exchange.submit(now_ms, self.account, self.op_of(intent));
            self.moved.insert(intent.nonce, done == OpResult::Default);
            match done {
                OpResult::Default => TransferEvent::Accepted,
                OpResult::Refused(why) => {
                    self.note("the venue refuses a transfer");
                    TransferEvent::Ended(TransferOutcome::Rejected { why })
                }
                OpResult::Orders(_) | OpResult::Cancels(_) => TransferEvent::Overdue { why: "an answer of another kind".into() },
            }
        };
        if !is_awaited {
            self.note("a transfer lands when nobody expects it");
        } else if lost {
            self.note("the answer to a transfer is lost");
            self.post(ANSWER_DEADLINE, Travel::Fact(unanswered(intent.id)));
        } else {
            self.post_late(Travel::Fact(told(intent.id, event)));
        }
    }

    fn op_of(&self, intent: &TransferIntent) -> Op {
        let amount = intent.amount;
        match &intent.route {
            Route::SpotToPerp => Op::ClassTransfer { amount, to_perp: true },
            Route::PerpToSpot => Op::ClassTransfer { amount, to_perp: false },
            Route::SubAccount { sub, deposit } => {
                Op::SubAccountTransfer { sub_account: AccountKey(sub.0), is_deposit: *deposit, amount }
            }
            Route::IsolatedMargin { instrument } => {
                let asset = self.exchange.asset(instrument).unwrap_or(exchange::Asset(u32::MAX));
                Op::UpdateIsolatedMargin { asset, amount }
            }
            Route::Withdrawal { .. } => Op::Withdraw { amount, nonce: intent.nonce },
            // a wallet's, which does not come here
            Route::Bridge(_) | Route::Cctp { .. } => Op::Noop,
        }
    }

    /// Answers a read of collateral with what is true now.
    pub(crate) fn collateral_at_venue(&mut self, read: &desk::CollateralRead, asked: Stamp) {
        if self.bad_luck(self.spec.faults.read_fails) {
            return;
        }
        let venue = Venue::Hyperliquid;
        let free = |place: &IdlePlace| match place {
            IdlePlace::Spot => self.exchange.account_state(self.account).spot_usdc,
            IdlePlace::SubAccount(sub) => self.exchange.account_state(AccountKey(sub.0)).withdrawable,
            IdlePlace::Master => Usd::ZERO,
        };
        let mut facts: Vec<Fact> =
            read.places.iter().map(|p| Fact::Idle(IdleBalance { venue, place: *p, free: free(p), at: asked })).collect();
        if let Some(money) = self.spec.money.as_ref().filter(|_| read.roads) {
            facts.push(Fact::Roads(UsdcRoads { venue, deposit: money.road, withdrawal: money.road, at: asked }));
        }
        if let Some(since_ms) = read.deposits_since_ms {
            let rows = self.exchange.ledger(self.account, since_ms);
            let seen = rows.into_iter().filter_map(|row| match row.delta {
                LedgerDelta::Deposit { usdc } => Some(DepositSeen { venue_ms: row.at_ms, amount: usdc }),
                LedgerDelta::AccountClassTransfer { .. }
                | LedgerDelta::Withdraw { .. }
                | LedgerDelta::InternalTransfer { .. }
                | LedgerDelta::SubAccountTransfer { .. }
                | LedgerDelta::Liquidation { .. } => None,
            });
            facts.push(Fact::Deposits(venue, seen.collect()));
        }
        let late = if self.bad_luck(self.spec.faults.read_late) { Span::millis(self.chance.below(8_000)) } else { Span::ZERO };
        let after = self.one_way() + late;
        for fact in facts {
            self.post(after, Travel::Fact(fact));
        }
    }

    /// A second passes outside.
    pub(crate) fn pass_outside(&mut self, facts: &mut Vec<Fact>) {
        let (now, is_alive) = (self.now(), self.desk.is_some());
        let Some(outside) = &mut self.outside else { return };
        let passed = outside.pass(now, is_alive);
        for amount in passed.credits {
            let done = self.exchange.submit(self.venue_ms(), self.account, Op::Deposit { amount });
            assert_eq!(done, OpResult::Default, "invariant: the venue credits what its bridge received");
        }
        if is_alive {
            facts.extend(passed.facts);
        }
    }
}

fn told(id: TransferId, event: TransferEvent) -> Fact {
    Fact::Transfer { id, event: Box::new(event) }
}

fn unanswered(id: TransferId) -> Fact {
    told(id, TransferEvent::Overdue { why: "no usable answer: within 5 s".into() })
}
