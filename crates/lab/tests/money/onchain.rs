//! A small chain with a pool, reorganisations, prices and two endpoints that can be down, stale or lying; a wallet that drives
//! `chain::machine` as the real one does; and the venue's eye, which credits what can no longer be taken back.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chain::machine::{Glance, Machine, MinedTx, Move, Plan, Policy, Preflight, Rules, merge};
use domain::{
    Attempt, AttemptKind, EvmAddress, Fact, Inclusion, Prng, RawTx, Seed, Stamp, TransferEvent, TransferId, TransferIntent,
    TransferOutcome, TxHash, Usd, Wei,
};
use margin_guard::{ReleasedTransfer, TransferStep};
use plimsoll_lab::{Outside, Passed};

pub const CHAIN: u64 = 421_614;
pub const WALLET: EvmAddress = EvmAddress([0xAC; 20]);
pub const TOKEN: EvmAddress = EvmAddress([2; 20]);
pub const BRIDGE: EvmAddress = EvmAddress([3; 20]);
/// What a token transfer takes.
pub const GAS_USED: u64 = 60_000;
/// Deeper than any reorganisation here, which go to depth 64 (F85).
const SAFE_DEPTH: usize = 70;
const RULES: Rules = Rules { chain_id: CHAIN, head_age_max_s: 60, lag_max: 8 };

/// How the venue treats deposits in a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credit {
    /// Within a minute.
    Prompt,
    /// Up to twenty-five minutes late, beyond the timeout (F91).
    Late,
    /// One in three never.
    Never,
    /// One in three twice.
    Twice,
}

#[derive(Clone, Debug)]
pub struct Tx {
    pub nonce: u64,
    /// What it moves, in millionths; nothing for a burn or a stranger's.
    pub amount: u64,
    pub to: EvmAddress,
    pub fee_max: Wei,
    /// Whose it is, and what kind; nothing: a stranger's.
    pub ours: Option<(TransferId, AttemptKind)>,
    /// When its bytes left first.
    pub sent: Stamp,
}

#[derive(Clone, Debug)]
pub struct Mined {
    pub tx: TxHash,
    pub success: bool,
}

#[derive(Clone)]
struct Block {
    hash: TxHash,
    time_s: u64,
    mined: Option<Mined>,
    /// After it: the wallet's next nonce, its token and its coin.
    nonce: u64,
    balance: u64,
    gas: Wei,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Fine,
    Down,
    Stale(usize),
    OtherChain,
    NoReceipts,
    FakeReceipts,
    NonceAhead,
    Refuses,
}

/// What is certain of the chain afterwards.
#[derive(Clone, Debug)]
pub struct Landed {
    pub time_s: u64,
    pub hash: TxHash,
    pub tx: Tx,
    pub success: bool,
    pub gas: Wei,
}

pub struct Chain {
    prng: Prng,
    calm: bool,
    blocks: Vec<Block>,
    made: u64,
    safe: usize,
    pub txs: BTreeMap<TxHash, Tx>,
    mined: BTreeMap<TxHash, usize>,
    pool: BTreeSet<TxHash>,
    base_fee: Wei,
    paused: bool,
    moods: [Mood; 2],
    credit: Credit,
    /// Seen by the venue in a safe block, and when it credits them.
    due: BTreeMap<TxHash, Vec<u64>>,
    /// What the venue credited, with how often.
    pub credited: BTreeMap<TxHash, u32>,
    machine: Option<Machine>,
    facts: Vec<Fact>,
    pub met: BTreeMap<&'static str, u32>,
    pub faults: Vec<String>,
    start: u64,
}

/// The world and the test share the chain.
#[derive(Clone)]
pub struct Shared(pub Rc<RefCell<Chain>>);

impl Outside for Shared {
    fn take(&mut self, now: Stamp, released: ReleasedTransfer) {
        self.0.borrow_mut().take(now, released.into_step());
    }

    fn forget(&mut self, id: TransferId) {
        self.0.borrow_mut().machine.take_if(|machine| machine.transfer().intent.id == id);
    }

    fn die(&mut self) {
        let mut chain = self.0.borrow_mut();
        (chain.machine, chain.facts) = (None, Vec::new());
    }

    fn pass(&mut self, now: Stamp, is_alive: bool) -> Passed {
        self.0.borrow_mut().pass(now, is_alive)
    }
}

impl Chain {
    /// A chain on which the wallet has `balance` whole units of the token.
    pub fn new(seed: Seed, credit: Credit, balance: u64, start: Stamp) -> Chain {
        let mut chain = Chain {
            prng: seed.fork("money.chain"),
            calm: false,
            blocks: Vec::new(),
            made: 0,
            safe: 0,
            txs: BTreeMap::new(),
            mined: BTreeMap::new(),
            pool: BTreeSet::new(),
            base_fee: Wei::gwei(1),
            paused: false,
            moods: [Mood::Fine; 2],
            credit,
            due: BTreeMap::new(),
            credited: BTreeMap::new(),
            machine: None,
            facts: Vec::new(),
            met: BTreeMap::new(),
            faults: Vec::new(),
            start: balance * 1_000_000,
        };
        for _ in 0..=SAFE_DEPTH {
            chain.mine(start.wall_ms / 1_000);
        }
        chain
    }

    fn meet(&mut self, what: &'static str) {
        *self.met.entry(what).or_default() += 1;
    }

    /// From here on nothing goes wrong any more.
    pub fn calm(&mut self) {
        (self.calm, self.paused, self.base_fee) = (true, false, Wei::gwei(1));
        self.moods = [Mood::Fine; 2];
        if self.credit == Credit::Late {
            self.credit = Credit::Prompt;
        }
    }

    pub fn open(&self) -> Option<String> {
        self.machine.as_ref().map(|machine| format!("{} waits {}", machine.transfer().intent.id, machine.waits()))
    }

    fn head(&self) -> usize {
        self.blocks.len() - 1
    }

    fn mine(&mut self, time_s: u64) {
        self.made += 1;
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&self.made.to_be_bytes());
        let last = self.blocks.last();
        let (nonce, balance, gas) = last.map_or((0, self.start, Wei::gwei(100_000_000)), |b| (b.nonce, b.balance, b.gas));
        let mut block = Block { hash: TxHash(hash), time_s, mined: None, nonce, balance, gas };
        self.pool.retain(|hash| self.txs.get(hash).is_some_and(|tx| tx.nonce >= nonce));
        let ready = self.pool.iter().filter_map(|hash| Some((*hash, self.txs.get(hash)?)));
        let ready = ready.filter(|(_, tx)| tx.nonce == nonce && tx.fee_max >= self.base_fee);
        let best = ready.max_by_key(|(hash, tx)| (tx.fee_max, *hash)).map(|(hash, tx)| (hash, tx.clone()));
        if let Some((hash, tx)) = best
            && (self.calm || self.prng.chance(2, 3))
        {
            let moves = tx.amount > 0;
            let fails = moves && (self.paused || balance < tx.amount || (!self.calm && self.prng.chance(1, 25)));
            let used = if moves { GAS_USED } else { 21_000 };
            block.mined = Some(Mined { tx: hash, success: !fails });
            block.nonce = nonce + 1;
            block.gas = gas.minus(self.base_fee.times(used));
            block.balance = if fails { balance } else { balance - tx.amount };
            self.pool.retain(|other| self.txs.get(other).is_some_and(|one| one.nonce != tx.nonce));
            self.mined.insert(hash, self.blocks.len());
        }
        self.blocks.push(block);
        self.safe = self.safe.max(self.head().saturating_sub(SAFE_DEPTH));
    }

    fn reorg(&mut self, time_s: u64) {
        let depth = 1 + usize::try_from(self.prng.below(64)).unwrap_or(0);
        let depth = depth.min(self.head() - self.safe);
        for _ in 0..depth {
            let Some(block) = self.blocks.pop() else { return };
            if let Some(mined) = block.mined {
                self.meet("a transaction's block is reorganised");
                self.mined.remove(&mined.tx);
                if self.prng.chance(1, 2) {
                    self.pool.insert(mined.tx);
                }
            }
        }
        for _ in 0..depth {
            self.mine(time_s);
        }
    }

    fn inclusion(&self, head: usize, wanted: &[TxHash]) -> Option<Inclusion> {
        wanted.iter().find_map(|hash| {
            let at = *self.mined.get(hash).filter(|at| **at <= head)?;
            let block = &self.blocks[at];
            let mined = block.mined.as_ref()?;
            let gas_cost = self.blocks[at - 1].gas.minus(block.gas);
            Some(Inclusion { hash: *hash, block: at as u64, block_hash: block.hash, success: mined.success, gas_cost })
        })
    }

    fn glance(&self, at: usize) -> Result<Glance, String> {
        let mood = self.moods[at];
        let head = match mood {
            Mood::Down => return Err("no answer".into()),
            Mood::Stale(height) => height.min(self.head()),
            Mood::Fine | Mood::OtherChain | Mood::NoReceipts | Mood::FakeReceipts | Mood::NonceAhead | Mood::Refuses => {
                self.head()
            }
        };
        let safe = self.safe.min(head);
        let machine = self.machine.as_ref();
        let wanted: Vec<TxHash> =
            machine.map(|m| m.transfer().attempts.iter().map(|attempt| attempt.hash).collect()).unwrap_or_default();
        let (newest, safest) = (&self.blocks[head], &self.blocks[safe]);
        let mined = match mood {
            Mood::NoReceipts => None,
            Mood::FakeReceipts => wanted.first().map(|hash| Inclusion {
                hash: *hash,
                block: head as u64,
                block_hash: newest.hash,
                success: true,
                gas_cost: Wei(1),
            }),
            Mood::Fine | Mood::Down | Mood::Stale(_) | Mood::OtherChain | Mood::NonceAhead | Mood::Refuses => {
                self.inclusion(head, &wanted)
            }
        };
        let ahead = u64::from(mood == Mood::NonceAhead);
        let preflight = machine.filter(|m| m.wants_preflight()).map(|m| {
            let amount = m.transfer().intent.amount.micros().unwrap_or(u64::MAX);
            if self.paused {
                Preflight::Refused("Pausable: paused".into())
            } else if mood == Mood::Refuses {
                Preflight::Refused("the endpoint says no".into())
            } else if newest.balance < amount {
                Preflight::Refused("transfer amount exceeds balance".into())
            } else {
                Preflight::Passed { gas: GAS_USED, balance: newest.gas }
            }
        });
        Ok(Glance {
            chain_id: if mood == Mood::OtherChain { 1 } else { CHAIN },
            head: head as u64,
            head_time_s: newest.time_s,
            safe: safe as u64,
            nonce: newest.nonce + ahead,
            nonce_safe: safest.nonce + ahead,
            base_fee: self.base_fee,
            mined: mined.map(|inclusion| MinedTx { inclusion, canonical: inclusion.block_hash }),
            known: wanted.iter().any(|hash| self.pool.contains(hash)),
            gas: newest.gas,
            balance: newest.balance,
            burn_gas: Some(21_000),
            preflight,
        })
    }

    fn take(&mut self, now: Stamp, step: TransferStep) {
        match step {
            TransferStep::Start(intent) => {
                self.meet("a deposit begins");
                self.put(Machine::start(intent, now, Policy::default()));
            }
            TransferStep::Resume(transfer) => {
                self.meet("a deposit goes on after a restart");
                self.put(Machine::resume(*transfer, now, Policy::default()));
            }
            TransferStep::Send { id, attempt } => {
                if let Some(mut machine) = self.machine.take() {
                    if machine.transfer().intent.id == id {
                        let moves = machine.release(now, &attempt);
                        self.act(now, &mut machine, moves);
                    }
                    self.machine = Some(machine);
                }
            }
        }
    }

    fn put(&mut self, machine: Machine) {
        if let Some(open) = &self.machine {
            let (open, new) = (open.transfer().intent.id, machine.transfer().intent.id);
            self.faults.push(format!("I12: {new} is given to the wallet while it works on {open}"));
        }
        self.machine = Some(machine);
    }

    fn act(&mut self, now: Stamp, machine: &mut Machine, moves: Vec<Move>) {
        for one in moves {
            match one {
                Move::Tell(event) => {
                    let what = match &event {
                        TransferEvent::Dropped { .. } => Some("a transaction is dropped"),
                        TransferEvent::Reorged { .. } => Some("a reorganisation is told"),
                        TransferEvent::Overdue { .. } => Some("the wallet is stuck"),
                        TransferEvent::Signed(attempt) if attempt.kind == AttemptKind::Burn => Some("a burn is signed"),
                        TransferEvent::Signed(_) if !machine.transfer().attempts.is_empty() => Some("a replacement is signed"),
                        TransferEvent::Ended(TransferOutcome::Refused { .. }) => Some("the wallet refuses"),
                        TransferEvent::Ended(TransferOutcome::Foreign) => Some("a nonce is lost to a stranger"),
                        TransferEvent::Ended(_)
                        | TransferEvent::Signed(_)
                        | TransferEvent::Intended(_)
                        | TransferEvent::Resumed { .. }
                        | TransferEvent::Sent { .. }
                        | TransferEvent::Included(_)
                        | TransferEvent::Confirmed { .. }
                        | TransferEvent::Final(_)
                        | TransferEvent::Accepted
                        | TransferEvent::Credited { .. } => None,
                    };
                    what.into_iter().for_each(|what| self.meet(what));
                    self.facts.push(Fact::Transfer { id: machine.transfer().intent.id, event: Box::new(event) });
                }
                Move::Sign(plan) => {
                    let attempt = sign(&machine.transfer().intent, plan);
                    let again = machine.signed(now, attempt);
                    self.act(now, machine, again);
                }
                Move::Send(attempt) => self.send(now, &machine.transfer().intent, &attempt),
            }
        }
    }

    fn send(&mut self, now: Stamp, intent: &TransferIntent, attempt: &Attempt) {
        let to = intent.route.leg().map_or(EvmAddress([0; 20]), |leg| leg.contract);
        let amount = if attempt.kind == AttemptKind::Send { intent.amount.micros().unwrap_or(0) } else { 0 };
        let sent = self.txs.get(&attempt.hash).map_or(now, |tx| tx.sent);
        let tx = Tx { nonce: intent.nonce, amount, to, fee_max: attempt.fee_max, ours: Some((intent.id, attempt.kind)), sent };
        self.txs.insert(attempt.hash, tx);
        if self.blocks[self.head()].nonce <= intent.nonce && (self.calm || self.prng.chance(3, 4)) {
            self.pool.insert(attempt.hash);
        }
    }

    fn look(&mut self, now: Stamp) {
        let glances = [self.glance(0), self.glance(1)];
        let sight = merge(RULES, now.wall_ms / 1_000, &glances);
        let fact = sight.told(now, CHAIN, WALLET, TOKEN);
        if matches!(fact, Fact::WalletDoubt(_)) {
            self.meet("the wallet is in doubt");
        }
        self.facts.push(fact);
        let Some(mut machine) = self.machine.take() else { return };
        if let Some(look) = sight.look {
            let moves = machine.look(now, &look);
            self.act(now, &mut machine, moves);
        }
        if !machine.done() {
            self.machine = Some(machine);
        }
    }

    fn weather(&mut self, now: Stamp) {
        match self.prng.below(240) {
            0 | 1 => self.reorg(now.wall_ms / 1_000),
            2..5 => {
                let spike = [1_u64, 1, 2, 10, 100][usize::try_from(self.prng.below(5)).unwrap_or(0)];
                self.base_fee = Wei::gwei(spike);
                if spike > 2 {
                    self.meet("gas is dear");
                    let base = self.base_fee;
                    self.pool.retain(|hash| self.txs.get(hash).is_some_and(|tx| tx.fee_max >= base));
                }
            }
            5..8 => {
                self.pool.pop_first();
            }
            8 => self.paused = !self.paused && self.prng.chance(1, 2),
            9..20 => {
                let at = usize::try_from(self.prng.below(2)).unwrap_or(0);
                // at most one of the two lies: what both say cannot be told from the truth
                self.moods[1 - at] = if self.prng.chance(1, 6) { Mood::Down } else { Mood::Fine };
                self.moods[at] = match self.prng.below(12) {
                    0 => Mood::Down,
                    1 => Mood::Stale(self.head()),
                    2 => Mood::OtherChain,
                    3 => Mood::NoReceipts,
                    4 => Mood::FakeReceipts,
                    5 => Mood::NonceAhead,
                    6 => Mood::Refuses,
                    _ => Mood::Fine,
                };
            }
            20 if self.prng.chance(1, 30) => {
                let nonce = self.blocks[self.head()].nonce;
                let mut hash = [0xff; 32];
                hash[..8].copy_from_slice(&now.mono.to_be_bytes());
                let tx = Tx { nonce, amount: 0, to: EvmAddress([9; 20]), fee_max: Wei::gwei(5_000), ours: None, sent: now };
                self.txs.insert(TxHash(hash), tx);
                self.pool.insert(TxHash(hash));
                self.meet("somebody else uses the wallet");
            }
            _ => {}
        }
    }

    fn pass(&mut self, now: Stamp, is_alive: bool) -> Passed {
        if !self.calm {
            self.weather(now);
        }
        // a block a second, now and then none
        if self.calm || self.prng.chance(9, 10) {
            self.mine(now.wall_ms / 1_000);
        }
        if is_alive {
            self.look(now);
        }
        Passed { facts: std::mem::take(&mut self.facts), credits: self.credits(now) }
    }

    fn credits(&mut self, now: Stamp) -> Vec<Usd> {
        let height = self.safe;
        let moved = self.blocks[height].mined.clone().filter(|mined| mined.success).map(|mined| mined.tx);
        let fresh = moved.filter(|hash| !self.due.contains_key(hash) && self.txs.get(hash).is_some_and(|tx| tx.amount > 0));
        if let Some(hash) = fresh {
            let soon = now.mono + 1_000_000_000 * self.prng.below(60);
            let odd = self.prng.chance(1, 3);
            let due = match self.credit {
                Credit::Never if odd => {
                    self.meet("a credit never comes");
                    Vec::new()
                }
                Credit::Twice if odd => {
                    self.meet("a credit comes twice");
                    vec![soon, soon + 1_000_000_000 * (1 + self.prng.below(120))]
                }
                Credit::Late => {
                    self.meet("a credit comes late");
                    vec![soon + 1_000_000_000 * self.prng.below(1_500)]
                }
                Credit::Prompt | Credit::Never | Credit::Twice => vec![soon],
            };
            self.due.insert(hash, due);
        }
        let mut credits = Vec::new();
        for (hash, times) in &mut self.due {
            let ripe = times.iter().filter(|at| **at <= now.mono).count();
            times.retain(|at| *at > now.mono);
            for _ in 0..ripe {
                *self.credited.entry(*hash).or_default() += 1;
                credits.push(Usd::from_micros(self.txs.get(hash).map_or(0, |tx| tx.amount)));
            }
        }
        credits
    }

    /// What is in blocks, oldest first.
    pub fn landed(&self) -> Vec<Landed> {
        let one = |(at, block): (usize, &Block)| {
            let mined = block.mined.as_ref()?;
            let tx = self.txs.get(&mined.tx)?.clone();
            let gas = self.blocks[at - 1].gas.minus(block.gas);
            Some(Landed { time_s: block.time_s, hash: mined.tx, tx, success: mined.success, gas })
        };
        self.blocks.iter().enumerate().filter_map(one).collect()
    }

    /// What the wallet has, and what it began with.
    pub fn balance(&self) -> (u64, u64) {
        (self.blocks[self.head()].balance, self.start)
    }

    /// Moved to the bridge for good and not credited.
    pub fn uncredited(&self) -> u64 {
        let open = |one: &&Landed| one.success && !self.credited.contains_key(&one.hash);
        self.landed().iter().filter(open).map(|one| one.tx.amount).sum()
    }
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
