//! A small chain with a pool, reorganisations and two endpoints that can be down, stale or lying, a venue that credits, a desk with
//! its journal, and crashes at any place between them. Everything is drawn from a seed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use domain::{
    Attempt, AttemptKind, ChainLeg, Entry, Epoch, EvmAddress, Inclusion, JournalTag, Prng, RawTx, Route, Seed, Span, Stamp,
    TransferEvent, TransferId, TransferIntent, TransferOutcome, TransferState, TxHash, Usd, Venue, WalletView, Wei,
};
use margin_guard::{RawDestination, RawTreasury, RawWallet, TransferRefusal, TransferStep, Treasury, TreasuryLimits};

use super::{Glance, Machine, MinedTx, Move, Plan, Policy, Preflight, Rules, merge};

const CHAIN: u64 = 421_614;
const WALLET: EvmAddress = EvmAddress([1; 20]);
const TOKEN: EvmAddress = EvmAddress([2; 20]);
const BRIDGE: EvmAddress = EvmAddress([3; 20]);
const HOUR_MAX: i32 = 120;
const GAS_USED: u64 = 60_000;
const RULES: Rules = Rules { chain_id: CHAIN, head_age_max_s: 60, lag_max: 8 };
/// Deeper than any reorganisation here: what is safe stays (F85 asks for depths up to 64).
const SAFE_DEPTH: usize = 70;

#[derive(Clone)]
struct Tx {
    nonce: u64,
    /// What it moves; nothing for a burn or a foreign transaction.
    amount: u64,
    gas_limit: u64,
    fee_max: Wei,
    ours: Option<TransferId>,
}

#[derive(Clone)]
struct Block {
    hash: TxHash,
    time_s: u64,
    /// The transaction in it, with whether it succeeded and the price of gas: the wallet sends at most one per block.
    tx: Option<(TxHash, bool, Wei)>,
    /// The wallet's next nonce after it.
    nonce: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Fine,
    Down,
    /// Shows the chain up to this height.
    Stale(usize),
    OtherChain,
    NoReceipts,
    FakeReceipts,
    NonceAhead,
}

pub(super) struct World {
    prng: Prng,
    now: Stamp,
    blocks: Vec<Block>,
    made: u64,
    /// Height of the newest safe block; it stays.
    safe: usize,
    txs: BTreeMap<TxHash, Tx>,
    /// At which height.
    mined: BTreeMap<TxHash, usize>,
    pool: BTreeSet<TxHash>,
    base_fee: Wei,
    paused: bool,
    moods: [Mood; 2],
    calm: bool,
    journal: Vec<(Stamp, Entry)>,
    treasury: Treasury,
    epoch: u32,
    machine: Option<Machine>,
    facts: VecDeque<(TransferId, TransferEvent)>,
    releases: VecDeque<(TransferId, Attempt)>,
    credits: BTreeSet<TxHash>,
    pub(super) met: BTreeMap<&'static str, u32>,
    pub(super) faults: Vec<String>,
}

fn limits() -> TreasuryLimits {
    let wallet =
        RawWallet { chain_id: Some(CHAIN.to_string().as_str().into()), address: WALLET.to_string(), token: TOKEN.to_string() };
    let bridge = RawDestination { kind: "bridge".into(), address: BRIDGE.to_string() };
    let raw = RawTreasury {
        transfer_max_usd: Some("100".into()),
        hour_max_usd: Some(HOUR_MAX.to_string().as_str().into()),
        destination_delay_hours: Some("0".into()),
        wallet: Some(wallet),
        destination: [("bridge".to_owned(), bridge)].into(),
        ..RawTreasury::default()
    };
    TreasuryLimits::check(&raw).unwrap_or_else(|faults| panic!("{faults:?}"))
}

impl World {
    pub(super) fn new(seed: u64) -> World {
        let mut world = World {
            prng: Seed(seed).fork("chain"),
            now: Stamp { mono: 1_000_000_000, wall_ms: 1_700_000_000_000 },
            blocks: Vec::new(),
            made: 0,
            safe: 0,
            txs: BTreeMap::new(),
            mined: BTreeMap::new(),
            pool: BTreeSet::new(),
            base_fee: Wei::gwei(1),
            paused: false,
            moods: [Mood::Fine; 2],
            calm: false,
            journal: Vec::new(),
            treasury: Treasury::new(limits()),
            epoch: 0,
            machine: None,
            facts: VecDeque::new(),
            releases: VecDeque::new(),
            credits: BTreeSet::new(),
            met: BTreeMap::new(),
            faults: Vec::new(),
        };
        for _ in 0..=SAFE_DEPTH {
            world.mine();
        }
        world.boot();
        world
    }

    fn meet(&mut self, what: &'static str) {
        *self.met.entry(what).or_default() += 1;
    }

    fn fault(&mut self, what: String) {
        self.faults.push(what);
    }

    fn record(&mut self, entry: Entry) {
        if let Err(error) = self.treasury.fold(self.now, &entry) {
            self.fault(format!("the ledger refuses {entry:?}: {error}"));
        }
        self.journal.push((self.now, entry));
    }

    /// The process ends and begins anew: what was not journaled is gone.
    fn boot(&mut self) {
        (self.machine, self.epoch) = (None, self.epoch + 1);
        self.facts.clear();
        self.releases.clear();
        let mut treasury = Treasury::new(limits());
        for (at, entry) in &self.journal {
            if let Err(error) = treasury.fold(*at, entry) {
                self.faults.push(format!("the journal does not fold: {error}"));
            }
        }
        let alike = self.treasury.transfers().eq(treasury.transfers());
        if !alike {
            self.fault("I25: the folded journal is not the ledger that wrote it".into());
        }
        self.treasury = treasury;
        let epoch = Epoch(self.epoch);
        let entry = Entry::Epoch { epoch, tag: JournalTag(1), seed: Seed(1), binary: String::new(), config: String::new() };
        self.record(entry);
        if let Some(entry) = self.treasury.record() {
            self.record(entry);
        }
        self.record(Entry::Reconciled { epoch, state: String::new(), repairs: 0 });
        let open = self.treasury.transfers().find(|t| t.working()).map(|t| t.intent.id);
        if let Some(id) = open {
            let cleared = self.treasury.clear_resumed(self.now, id).unwrap_or_else(|e| panic!("{e}"));
            let TransferStep::Resume(transfer) = cleared.step().clone() else { panic!("not a resumption") };
            self.record(cleared.entry());
            self.machine = Some(Machine::resume(*transfer, self.now, policy()));
        }
    }

    fn nonce_at(&self, height: usize) -> u64 {
        self.blocks.get(height).map_or(0, |block| block.nonce)
    }

    fn head(&self) -> usize {
        self.blocks.len() - 1
    }

    fn safe(&self, head: usize) -> usize {
        self.safe.min(head)
    }

    fn mine(&mut self) {
        self.made += 1;
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&self.made.to_be_bytes());
        let mut block = Block { hash: TxHash(hash), time_s: self.now.wall_ms / 1_000, tx: None, nonce: 0 };
        let next = self.blocks.last().map_or(0, |block| block.nonce);
        block.nonce = next;
        let ready: Vec<TxHash> = self.pool.iter().copied().collect();
        let mut ready: Vec<(TxHash, Tx)> =
            ready.into_iter().filter_map(|hash| Some((hash, self.txs.get(&hash)?.clone()))).collect();
        ready.sort_by_key(|(hash, tx)| (std::cmp::Reverse(tx.fee_max), *hash));
        self.pool.retain(|hash| self.txs.get(hash).is_some_and(|tx| tx.nonce >= next));
        if let Some((hash, tx)) = ready.into_iter().find(|(_, tx)| tx.nonce == next && tx.fee_max >= self.base_fee)
            && (self.calm || self.prng.chance(2, 3))
        {
            let fails = tx.ours.is_some() && tx.amount > 0 && (self.paused || (!self.calm && self.prng.chance(1, 12)));
            (block.tx, block.nonce) = (Some((hash, !fails, self.base_fee)), next + 1);
            self.pool.retain(|other| self.txs.get(other).is_none_or(|one| one.nonce != tx.nonce));
        }
        if let Some((hash, _, _)) = block.tx {
            self.mined.insert(hash, self.blocks.len());
        }
        self.blocks.push(block);
        self.safe = self.safe.max(self.head().saturating_sub(SAFE_DEPTH));
    }

    fn reorg(&mut self) {
        let depth = 1 + usize::try_from(self.prng.below(64)).unwrap_or(0);
        for _ in 0..depth.min(self.head() - self.safe) {
            let Some(block) = self.blocks.pop() else { return };
            if let Some((hash, _, _)) = block.tx {
                self.mined.remove(&hash);
                if self.prng.chance(1, 2) {
                    self.pool.insert(hash);
                }
            }
            self.meet("a block is reorganised");
        }
        // the other history has as many blocks or fewer
        for _ in 0..self.prng.below(depth as u64 + 1) {
            self.mine();
        }
    }

    fn mined(&self, head: usize, wanted: &[TxHash]) -> Option<Inclusion> {
        wanted.iter().find_map(|hash| {
            let at = *self.mined.get(hash).filter(|at| **at <= head)?;
            let block = &self.blocks[at];
            let (_, success, price) = block.tx?;
            let gas_cost = price.times(GAS_USED);
            Some(Inclusion { hash: *hash, block: at as u64, block_hash: block.hash, success, gas_cost })
        })
    }

    fn glance(&mut self, at: usize, machine: &Machine) -> Result<Glance, String> {
        let mood = if self.calm { Mood::Fine } else { self.moods[at] };
        let head = match mood {
            Mood::Down => return Err("no answer".into()),
            Mood::Stale(height) => height.min(self.head()),
            Mood::Fine | Mood::OtherChain | Mood::NoReceipts | Mood::FakeReceipts | Mood::NonceAhead => self.head(),
        };
        let wanted: Vec<TxHash> = machine.transfer().attempts.iter().map(|attempt| attempt.hash).collect();
        let fake = wanted.first().map(|hash| Inclusion {
            hash: *hash,
            block: head as u64,
            block_hash: self.blocks[head].hash,
            success: true,
            gas_cost: Wei(1),
        });
        let mined = match mood {
            Mood::NoReceipts => None,
            Mood::FakeReceipts => fake,
            Mood::Fine | Mood::Down | Mood::Stale(_) | Mood::OtherChain | Mood::NonceAhead => self.mined(head, &wanted),
        };
        let ahead = u64::from(mood == Mood::NonceAhead);
        let preflight = if self.paused {
            Preflight::Refused("Pausable: paused".into())
        } else {
            Preflight::Passed { gas: GAS_USED, balance: Wei::gwei(1_000_000_000) }
        };
        Ok(Glance {
            chain_id: if mood == Mood::OtherChain { 1 } else { CHAIN },
            head: head as u64,
            head_time_s: self.blocks[head].time_s,
            safe: self.safe(head) as u64,
            nonce: self.nonce_at(head) + ahead,
            nonce_safe: self.nonce_at(self.safe(head)) + ahead,
            base_fee: self.base_fee,
            mined: mined.map(|inclusion| MinedTx { inclusion, canonical: inclusion.block_hash }),
            known: wanted.iter().any(|hash| self.pool.contains(hash)),
            gas: Wei::gwei(1_000_000_000),
            balance: 10_000_000_000,
            burn_gas: Some(21_000),
            preflight: machine.wants_preflight().then_some(preflight),
        })
    }

    fn wallet_looks(&mut self) {
        let Some(mut machine) = self.machine.take() else { return };
        let glances = [self.glance(0, &machine), self.glance(1, &machine)];
        let sight = merge(RULES, self.now.wall_ms / 1_000, &glances);
        if !sight.out.is_empty() {
            self.meet("an endpoint is left out");
        }
        if let Some(look) = sight.look {
            let moves = machine.look(self.now, &look);
            self.act(&mut machine, moves);
        }
        if !machine.done() {
            self.machine = Some(machine);
        }
    }

    fn act(&mut self, machine: &mut Machine, moves: Vec<Move>) {
        let id = machine.transfer().intent.id;
        for one in moves {
            match one {
                Move::Tell(event) => self.facts.push_back((id, event)),
                Move::Sign(plan) => {
                    let attempt = sign(&machine.transfer().intent, plan);
                    let again = machine.signed(self.now, attempt);
                    self.act(machine, again);
                }
                Move::Send(attempt) => self.send(&machine.transfer().intent, &attempt),
            }
        }
    }

    fn send(&mut self, intent: &TransferIntent, attempt: &Attempt) {
        let event = TransferEvent::Signed(attempt.clone());
        let entry = Entry::Transfer { id: intent.id, event };
        if !self.journal.iter().any(|(_, have)| *have == entry) {
            self.fault(format!("bytes of {} leave before the journal holds them", intent.id));
        }
        let amount = if attempt.kind == AttemptKind::Send { intent.amount.micros().unwrap_or(0) } else { 0 };
        let tx =
            Tx { nonce: intent.nonce, amount, gas_limit: attempt.gas_limit, fee_max: attempt.fee_max, ours: Some(intent.id) };
        self.txs.insert(attempt.hash, tx);
        if self.nonce_at(self.head()) <= intent.nonce && (self.calm || self.prng.chance(3, 4)) {
            self.pool.insert(attempt.hash);
        }
    }

    /// The desk takes in one fact, as far as it gets.
    fn desk(&mut self) {
        let Some((id, event)) = self.facts.pop_front() else { return };
        let TransferEvent::Signed(attempt) = &event else {
            let what = if let TransferEvent::Dropped { .. } = &event {
                Some("dropped")
            } else if let TransferEvent::Reorged { .. } = &event {
                Some("reorged")
            } else if let TransferEvent::Overdue { .. } = &event {
                Some("overdue")
            } else if let TransferEvent::Ended(TransferOutcome::Refused { .. }) = &event {
                Some("refused")
            } else if let TransferEvent::Ended(TransferOutcome::Foreign) = &event {
                Some("foreign")
            } else {
                None
            };
            what.into_iter().for_each(|what| self.meet(what));
            return self.record(Entry::Transfer { id, event });
        };
        match self.treasury.clear_signed(self.now, id, attempt) {
            Ok(cleared) => {
                let replaces = self.treasury.transfer(id).is_some_and(|t| !t.attempts.is_empty());
                if attempt.kind == AttemptKind::Burn {
                    self.meet("a burn is signed");
                } else if replaces {
                    self.meet("a replacement is signed");
                }
                self.record(cleared.entry());
                self.releases.push_back((id, attempt.clone()));
            }
            // included meanwhile
            Err(TransferRefusal::Attempt(_) | TransferRefusal::Number(_)) => {}
            Err(old @ TransferRefusal::Old { .. }) => {
                self.meet("the judge refuses what is old");
                let outcome = TransferOutcome::Refused { why: old.to_string() };
                self.record(Entry::Transfer { id, event: TransferEvent::Ended(outcome) });
                self.machine.take_if(|machine| machine.transfer().intent.id == id);
            }
            Err(other) => self.fault(format!("a signed transaction is refused: {other}")),
        }
    }

    fn release(&mut self) {
        let Some((id, attempt)) = self.releases.pop_front() else { return };
        let Some(mut machine) = self.machine.take() else { return };
        if machine.transfer().intent.id == id {
            let moves = machine.release(self.now, &attempt);
            self.act(&mut machine, moves);
        }
        self.machine = Some(machine);
    }

    fn venue(&mut self) {
        let waiting: Vec<(TransferId, Vec<TxHash>)> = self
            .treasury
            .transfers()
            .filter(|t| t.open() && t.credited.is_none())
            .map(|t| (t.intent.id, t.attempts.iter().map(|attempt| attempt.hash).collect()))
            .collect();
        let depth = if self.calm { 0 } else { usize::try_from(self.prng.below(100)).unwrap_or(0) };
        for (id, hashes) in waiting {
            let Some(found) = self.mined(self.head().saturating_sub(depth), &hashes) else { continue };
            let amount = self.txs.get(&found.hash).map_or(0, |tx| tx.amount);
            // a venue credits what cannot be taken back any more
            let safe = found.block <= self.safe(self.head()) as u64;
            let told = self.treasury.transfer(id).is_some_and(|t| t.state != TransferState::Intended);
            if amount > 0 && found.success && safe && told && self.credits.insert(found.hash) {
                let event = TransferEvent::Credited { amount: Usd::from_micros(amount), venue_ms: self.now.wall_ms };
                self.record(Entry::Transfer { id, event });
            }
        }
    }

    fn plan(&mut self) {
        if self.machine.is_some() {
            return;
        }
        let nonce = self.nonce_at(self.head());
        self.treasury.observe(WalletView {
            chain_id: CHAIN,
            wallet: WALLET,
            token: TOKEN,
            balance: Usd::whole(10_000),
            gas: Wei::gwei(1_000_000_000),
            nonce,
            nonce_safe: self.nonce_at(self.safe),
            base_fee: self.base_fee,
            head: self.head() as u64,
            safe: self.safe(self.head()) as u64,
            at: self.now,
        });
        let leg = ChainLeg {
            chain_id: CHAIN,
            wallet: WALLET,
            token: TOKEN,
            contract: BRIDGE,
            gas_cost_max: self.treasury.limits().gas_transfer_max(),
        };
        let intent = TransferIntent {
            id: self.treasury.next_id(),
            venue: Venue::Hyperliquid,
            account: WALLET,
            route: Route::Bridge(leg),
            amount: Usd::whole(i32::try_from(self.prng.between(40, 100)).unwrap_or(40)),
            fee_max: Usd::ZERO,
            nonce,
            limits: self.treasury.limits().id(),
            cause: "test".into(),
        };
        match self.treasury.clear(self.now, intent.clone()) {
            Ok(cleared) => {
                self.record(cleared.entry());
                self.meet("a transfer is decided");
                if self.prng.chance(1, 10) {
                    self.meet("a crash right after the decision");
                    self.boot();
                } else {
                    self.machine = Some(Machine::start(intent, self.now, policy()));
                }
            }
            Err(TransferRefusal::Budget { .. }) => self.meet("the budget refuses"),
            Err(TransferRefusal::GasBudget { .. }) => self.meet("the gas budget refuses"),
            Err(TransferRefusal::WalletFrozen(_)) => self.meet("the wallet is frozen"),
            // an older block than the ledger's last nonce is shown, or the credit is awaited
            Err(
                TransferRefusal::Nonce { .. }
                | TransferRefusal::NonceUnsafe { .. }
                | TransferRefusal::InFlight { .. }
                | TransferRefusal::WalletBusy { .. },
            ) => {}
            Err(other) => self.fault(format!("a transfer is refused: {other}")),
        }
    }

    fn weather(&mut self) {
        match self.prng.below(24) {
            0 => self.reorg(),
            1 => {
                let spike = [1_u64, 2, 10, 100][usize::try_from(self.prng.below(4)).unwrap_or(0)];
                self.base_fee = Wei::gwei(1).times(spike);
                self.meet("the price of gas changes");
                if self.prng.chance(1, 2) {
                    let base = self.base_fee;
                    self.pool.retain(|hash| self.txs.get(hash).is_some_and(|tx| tx.fee_max >= base));
                }
            }
            2 => {
                self.pool.pop_first();
                self.meet("a transaction is dropped");
            }
            3 => self.paused = !self.paused && self.prng.chance(1, 2),
            4..8 => {
                let at = usize::try_from(self.prng.below(2)).unwrap_or(0);
                // at most one of the two lies: what both say cannot be told from the truth
                self.moods[1 - at] = if self.prng.chance(1, 4) { Mood::Down } else { Mood::Fine };
                self.moods[at] = match self.prng.below(8) {
                    0 => Mood::Down,
                    1 => Mood::Stale(self.head()),
                    2 => Mood::OtherChain,
                    3 => Mood::NoReceipts,
                    4 => Mood::FakeReceipts,
                    5 => Mood::NonceAhead,
                    _ => Mood::Fine,
                };
            }
            8 if self.prng.chance(1, 40) => {
                let nonce = self.nonce_at(self.head());
                let mut hash = [0xff; 32];
                hash[..8].copy_from_slice(&self.now.mono.to_be_bytes());
                let hash = TxHash(hash);
                let tx = Tx { nonce, amount: 0, gas_limit: 21_000, fee_max: Wei::gwei(5_000), ours: None };
                self.txs.insert(hash, tx);
                self.pool.insert(hash);
                self.meet("somebody else uses the wallet");
            }
            _ => {}
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now + Span::millis(ms);
    }

    pub(super) fn storm(&mut self, steps: u32) {
        for _ in 0..steps {
            let ms = [50, 1_000, 6_000, 40_000][usize::try_from(self.prng.below(4)).unwrap_or(0)];
            self.pass(ms);
            self.weather();
            match self.prng.below(16) {
                0..4 => self.wallet_looks(),
                4..7 => self.desk(),
                7..9 => self.release(),
                9..12 => (0..=self.prng.below(30)).for_each(|_| self.mine()),
                12 => self.venue(),
                13 | 14 => self.plan(),
                _ => {
                    self.meet("a crash");
                    self.boot();
                }
            }
            self.judge();
        }
    }

    /// The weather clears: everything that was begun must end.
    pub(super) fn calm(&mut self) {
        (self.calm, self.paused, self.base_fee) = (true, false, Wei::gwei(1));
        for _ in 0..400 {
            self.pass(2_000);
            self.mine();
            self.wallet_looks();
            while !self.facts.is_empty() {
                self.desk();
            }
            self.release();
            self.venue();
            if self.treasury.transfers().all(|t| !t.open()) {
                break;
            }
        }
        self.judge();
        let left: Vec<String> = self
            .treasury
            .transfers()
            .filter(|t| t.open())
            .map(|t| format!("{} is {} ({:?})", t.intent.id, t.state.name(), self.machine.as_ref().map(Machine::waits)))
            .collect();
        if !left.is_empty() {
            self.fault(format!("in calm weather {left:?}"));
        }
        self.verdict();
    }

    /// Oldest first.
    fn landed(&self) -> Vec<(&Tx, bool, Wei)> {
        self.landed_at().into_iter().map(|(_, tx, success, price)| (tx, success, price)).collect()
    }

    /// Oldest first, with the second in which each was mined.
    fn landed_at(&self) -> Vec<(u64, &Tx, bool, Wei)> {
        let mut all: Vec<_> = self.mined.iter().map(|(hash, at)| (*at, *hash)).collect();
        all.sort_unstable();
        let tx = |(at, hash): (usize, TxHash)| {
            let (_, success, price) = self.blocks[at].tx?;
            Some((self.blocks[at].time_s, self.txs.get(&hash)?, success, price))
        };
        all.into_iter().filter_map(tx).collect()
    }

    /// Holds at every moment, on the chain itself.
    fn judge(&mut self) {
        // every window of an hour on the chain, wherever it begins: the windows that end with a transaction are enough
        let moved: Vec<(u64, u64)> =
            self.landed_at().into_iter().filter(|(_, _, success, _)| *success).map(|(at, tx, _, _)| (at, tx.amount)).collect();
        for (end, _) in &moved {
            let within = moved.iter().filter(|(at, _)| at <= end && end - at < 3_600);
            let sum: u64 = within.map(|(_, amount)| amount).sum();
            if sum > u64::from(HOUR_MAX.unsigned_abs()) * 1_000_000 {
                self.faults.push(format!("I11: {sum} were moved within an hour, over its budget of {HOUR_MAX}"));
            }
        }
        let gas = self.landed().into_iter().filter(|(tx, _, _)| tx.ours.is_some()).map(|(_, _, price)| price.times(GAS_USED));
        let gas = gas.fold(Wei::ZERO, Wei::plus);
        if gas > self.treasury.budgets(self.now).gas_max {
            self.fault(format!("I11: gas cost {gas}"));
        }
        let dear =
            self.landed().into_iter().any(|(tx, _, price)| tx.ours.is_some() && price.times(tx.gas_limit) > Wei::gwei(500_000));
        if dear {
            self.fault("a transaction cost more gas than its cap".into());
        }
    }

    /// Holds at the end, between the journal and the chain.
    fn verdict(&mut self) {
        let mut moved: BTreeMap<TransferId, u32> = BTreeMap::new();
        let mut nonces: Vec<u64> = Vec::new();
        for (tx, success, _) in self.landed() {
            nonces.push(tx.nonce);
            if let (Some(id), true) = (tx.ours, success && tx.amount > 0) {
                *moved.entry(id).or_default() += 1;
            }
        }
        if nonces.iter().copied().ne(0..nonces.len() as u64) {
            self.fault(format!("I12: the nonces {nonces:?} have gaps"));
        }
        let mut faults = Vec::new();
        for transfer in self.treasury.transfers() {
            let id = transfer.intent.id;
            let times = moved.get(&id).copied().unwrap_or(0);
            let expected = u32::from(transfer.state == TransferState::Ended(TransferOutcome::Arrived));
            if times != expected {
                faults.push(format!("I12: {id} moved {times} times and is {:?}", transfer.state));
            }
        }
        self.faults.extend(faults);
        let named =
            [(TransferOutcome::Arrived, "arrived"), (TransferOutcome::Reverted, "reverted"), (TransferOutcome::Burnt, "burnt")];
        let name = |state: &TransferState| {
            let found = named.iter().find(|(outcome, _)| *state == TransferState::Ended(outcome.clone()));
            found.map(|(_, name)| *name)
        };
        let outcomes: Vec<&'static str> = self.treasury.transfers().filter_map(|t| name(&t.state)).collect();
        outcomes.into_iter().for_each(|what| self.meet(what));
    }
}

fn policy() -> Policy {
    Policy::default()
}

/// A stand-in for a signature: the hash tells the fields apart, as a real one does.
fn sign(intent: &TransferIntent, plan: Plan) -> Attempt {
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&intent.id.0.to_be_bytes());
    hash[4] = u8::from(plan.kind == AttemptKind::Burn);
    hash[5..21].copy_from_slice(&plan.fee_max.0.to_be_bytes());
    hash[21..29].copy_from_slice(&plan.gas_limit.to_be_bytes());
    let raw = RawTx(hash.to_vec());
    Attempt { kind: plan.kind, hash: TxHash(hash), raw, gas_limit: plan.gas_limit, fee_max: plan.fee_max, tip: plan.tip }
}
