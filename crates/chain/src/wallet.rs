//! The wallet's task: looks at the chain, lets the machine decide, signs, sends, tells.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use domain::{EvmAddress, Fact, Route, Stamp, Transfer, TransferEvent, TransferId, TransferIntent, TransferOutcome};
use margin_guard::{ReleasedTransfer, TransferStep};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tracing::{error, info, warn};

use crate::abi;
use crate::key::{Key, SignError};
use crate::machine::{self, Glance, Machine, Move, Policy, Rules};
use crate::rpc::{Endpoint, Question, Trial};

/// Where the wallet gets the time: the supervisor's clock.
pub type Clock = Arc<dyn Fn() -> Stamp + Send + Sync>;

/// One transfer is open at a time; the rest are its attempts.
const INBOX: usize = 32;
/// Endpoints that are compared. More than a few only make agreement rarer.
const ENDPOINTS_MAX: usize = 4;

/// What a wallet needs to know.
#[derive(Clone, Debug)]
pub struct WalletConfig {
    /// Addresses of JSON-RPC endpoints: two for real money, so that one that is stale or lies is noticed.
    pub endpoints: Vec<String>,
    /// The chain that every one of them must be of.
    pub chain_id: u64,
    /// The token.
    pub token: EvmAddress,
    /// When to do what.
    pub policy: Policy,
    /// How often the chain is looked at.
    pub every: Duration,
    /// Longest time for one request.
    pub deadline: Duration,
    /// Greatest age of an endpoint's newest block, in seconds.
    pub head_age_max_s: u64,
    /// Most blocks that an endpoint may be behind another.
    pub lag_max: u64,
}

impl WalletConfig {
    /// The usual settings for a wallet on `chain_id` that moves `token`.
    #[must_use]
    pub fn new(endpoints: Vec<String>, chain_id: u64, token: EvmAddress) -> WalletConfig {
        WalletConfig {
            endpoints,
            chain_id,
            token,
            policy: Policy::default(),
            every: Duration::from_secs(1),
            deadline: Duration::from_secs(5),
            head_age_max_s: 60,
            // ten seconds of Arbitrum
            lag_max: 40,
        }
    }
}

/// Why a wallet does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No endpoint, or too many.
    #[error("{0} endpoints: expected 1 to 4")]
    Endpoints(usize),
    /// An endpoint's address cannot be used.
    #[error("endpoint {at} cannot be used: {why}")]
    Endpoint {
        /// Its place in the configuration, from 1.
        at: usize,
        /// Why.
        why: String,
    },
    /// An endpoint is of another chain.
    #[error("endpoint {at} is of chain {have}, configured is {want}")]
    Chain {
        /// Its place in the configuration, from 1.
        at: usize,
        /// Its chain.
        have: u64,
        /// The chain wanted.
        want: u64,
    },
    /// The token does not count in millionths.
    #[error("the token counts {0} decimals, expected 6")]
    Decimals(u64),
    /// No endpoint answered.
    #[error("no endpoint answers: {0}")]
    Silent(String),
}

/// Why the wallet did not take a step.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// Its task has ended.
    #[error("the wallet's task has ended")]
    Closed,
    /// The transfer is not one that a wallet does.
    #[error("not a step for a wallet")]
    Unfit(#[from] SignError),
}

/// What the wallet is doing, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WalletStatus {
    /// The transfer that it works on.
    pub open: Option<TransferId>,
    /// What that waits for.
    pub waits: String,
    /// Endpoints left out at the last look, from 1, and why.
    pub out: Vec<(usize, String)>,
}

enum Job {
    Step(Box<TransferStep>),
    Forget(TransferId),
}

/// A running wallet. Dropping it ends its task; the journal holds all that another one needs to go on.
#[derive(Debug)]
pub struct Wallet {
    address: EvmAddress,
    jobs: mpsc::Sender<Job>,
    status: watch::Receiver<WalletStatus>,
    task: JoinHandle<()>,
}

impl Drop for Wallet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wallet {
    /// Checks endpoints, chain and token, and starts the wallet's task. What happens comes out as [`Fact::Transfer`],
    /// [`Fact::Wallet`] and [`Fact::WalletDoubt`].
    ///
    /// A [`TransferEvent::Signed`] among them asks for a verdict ([`margin_guard::Treasury::clear_signed`]); nothing is sent before
    /// the released step comes back by [`Wallet::take`]. It is told again until then.
    ///
    /// # Errors
    /// If an endpoint is of another chain, none answers, or the token does not count in millionths.
    pub async fn start(config: WalletConfig, key: Key, clock: Clock, facts: mpsc::Sender<Fact>) -> Result<Wallet, StartError> {
        let endpoints = checked(&config).await?;
        let address = key.address();
        let (jobs, inbox) = mpsc::channel(INBOX);
        let (shown, status) = watch::channel(WalletStatus::default());
        let task = Task { config, endpoints, key: Arc::new(key), clock, facts, machine: None, shown };
        Ok(Wallet { address, jobs, status, task: tokio::spawn(task.run(inbox)) })
    }

    /// The wallet's address.
    #[must_use]
    pub const fn address(&self) -> EvmAddress {
        self.address
    }

    /// Takes a step that is cleared and durable: begins a transfer, goes on with one, or sends what was signed for it.
    ///
    /// # Errors
    /// If the task has ended, or the transfer is not one that a wallet does.
    pub async fn take(&self, released: ReleasedTransfer) -> Result<(), TakeError> {
        let step = released.into_step();
        let route = match &step {
            TransferStep::Start(intent) => Some(intent.route),
            TransferStep::Resume(transfer) => Some(transfer.intent.route),
            TransferStep::Send { .. } => None,
        };
        if let Some(route) = route.filter(|route| route.leg().is_none()) {
            return Err(SignError::Route(route.name()).into());
        }
        self.jobs.send(Job::Step(Box::new(step))).await.map_err(|_| TakeError::Closed)
    }

    /// Drops a transfer that the journal says is over: its first transaction was refused by the judge, or the operator wrote it off.
    /// Nothing of it is sent again. Without this the wallet would hold its nonce against every later transfer.
    ///
    /// # Errors
    /// If the task has ended.
    pub async fn forget(&self, id: TransferId) -> Result<(), TakeError> {
        self.jobs.send(Job::Forget(id)).await.map_err(|_| TakeError::Closed)
    }

    /// What it is doing.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<WalletStatus> {
        self.status.clone()
    }
}

async fn checked(config: &WalletConfig) -> Result<Vec<Endpoint>, StartError> {
    let count = config.endpoints.len();
    if !(1..=ENDPOINTS_MAX).contains(&count) {
        return Err(StartError::Endpoints(count));
    }
    let mut endpoints = Vec::with_capacity(count);
    let mut answered = None;
    let mut last = String::new();
    for (at, url) in config.endpoints.iter().enumerate() {
        let at = at + 1;
        let endpoint = Endpoint::new(url, config.deadline).map_err(|why| StartError::Endpoint { at, why })?;
        match endpoint.chain_id().await {
            Ok(have) if have != config.chain_id => return Err(StartError::Chain { at, have, want: config.chain_id }),
            Ok(_) => answered = answered.or_else(|| Some(endpoint.clone())),
            // it may come back: until then nothing is called final
            Err(fault) => last = format!("endpoint {at}: {fault}"),
        }
        endpoints.push(endpoint);
    }
    let answered = answered.ok_or(StartError::Silent(last))?;
    match answered.decimals(config.token).await {
        Ok(6) => Ok(endpoints),
        Ok(other) => Err(StartError::Decimals(other)),
        Err(fault) => Err(StartError::Silent(format!("the token's decimals: {fault}"))),
    }
}

struct Task {
    config: WalletConfig,
    endpoints: Vec<Endpoint>,
    key: Arc<Key>,
    clock: Clock,
    facts: mpsc::Sender<Fact>,
    machine: Option<Machine>,
    shown: watch::Sender<WalletStatus>,
}

impl Task {
    async fn run(mut self, mut inbox: mpsc::Receiver<Job>) {
        let mut tick = tokio::time::interval(self.config.every);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                job = inbox.recv() => match job {
                    Some(job) => self.job(job).await,
                    None => return,
                },
                _ = tick.tick() => {
                    if self.facts.is_closed() {
                        // without a judge nothing could be sent
                        warn!("nobody takes the wallet's facts any more: it ends");
                        return;
                    }
                    self.look().await;
                }
            }
        }
    }

    fn now(&self) -> Stamp {
        (self.clock)()
    }

    async fn tell(&self, fact: Fact) {
        // a closed channel ends the task at its next look
        let _told = self.facts.send(fact).await;
    }

    async fn job(&mut self, job: Job) {
        let now = self.now();
        let step = match job {
            Job::Step(step) => *step,
            Job::Forget(id) => return self.forget(id),
        };
        match step {
            TransferStep::Start(intent) => {
                if let Some(why) = self.unfit(&intent) {
                    self.turn_away(&Transfer::new(intent, now), why).await;
                } else if self.free_for(intent.id) {
                    info!(transfer = %intent.id, amount = %intent.amount, route = intent.route.name(), "transfer begins");
                    self.machine = Some(Machine::start(intent, now, self.config.policy));
                }
            }
            TransferStep::Resume(transfer) => {
                let verify = |one| self.key.verify(&transfer.intent, one).err().map(|fault| fault.to_string());
                let why = self.unfit(&transfer.intent).or_else(|| transfer.attempts.iter().find_map(verify));
                if let Some(why) = why {
                    self.turn_away(&transfer, why).await;
                } else if self.free_for(transfer.intent.id) {
                    info!(transfer = %transfer.intent.id, state = transfer.state.name(), "transfer goes on");
                    self.machine = Some(Machine::resume(*transfer, now, self.config.policy));
                }
            }
            TransferStep::Send { id, attempt } => {
                let Some(machine) = self.machine.as_mut().filter(|machine| machine.transfer().intent.id == id) else {
                    warn!(transfer = %id, "bytes for a transfer that is not open; nothing is sent");
                    return;
                };
                if let Err(fault) = self.key.verify(&machine.transfer().intent, &attempt) {
                    error!(transfer = %id, %fault, "released bytes are not this transfer's; nothing is sent");
                    return;
                }
                let moves = machine.release(now, &attempt);
                self.act(moves).await;
            }
        }
    }

    /// Why the transfer is not one for this wallet: its nonce on this chain would say nothing about the transfer.
    fn unfit(&self, intent: &TransferIntent) -> Option<String> {
        let leg = intent.route.leg()?;
        let other = |what: &str, asked: &dyn fmt::Display, have: &dyn fmt::Display| {
            Some(format!("it is for the {what} {asked}, and this wallet's is {have}"))
        };
        if leg.chain_id != self.config.chain_id {
            return other("chain", &leg.chain_id, &self.config.chain_id);
        }
        if leg.wallet != self.key.address() {
            return other("address", &leg.wallet, &self.key.address());
        }
        if leg.token != self.config.token {
            return other("token", &leg.token, &self.config.token);
        }
        None
    }

    /// Nothing is sent for it by this wallet. Without signed bytes it is over; with some, whether they left is for a person to find out.
    async fn turn_away(&self, transfer: &Transfer, why: String) {
        let id = transfer.intent.id;
        error!(transfer = %id, "nothing is sent: {why}");
        let event = if transfer.attempts.is_empty() {
            TransferEvent::Ended(TransferOutcome::Refused { why })
        } else {
            TransferEvent::Overdue { why: format!("nothing is sent: {why}") }
        };
        self.tell(Fact::Transfer { id, event: Box::new(event) }).await;
    }

    fn forget(&mut self, id: TransferId) {
        if let Some(machine) = self.machine.take_if(|machine| machine.transfer().intent.id == id) {
            info!(transfer = %id, state = machine.transfer().state.name(), "the wallet gives the transfer up");
        }
    }

    fn free_for(&self, id: TransferId) -> bool {
        let open = self.machine.as_ref().map(|machine| machine.transfer().intent.id);
        if let Some(open) = open.filter(|open| *open != id) {
            error!(%open, transfer = %id, "a transfer is open; no other begins");
        }
        open.is_none()
    }

    async fn look(&mut self) {
        let now = self.now();
        let question = self.question();
        let glances = self.glances(question).await;
        let rules =
            Rules { chain_id: self.config.chain_id, head_age_max_s: self.config.head_age_max_s, lag_max: self.config.lag_max };
        let sight = machine::merge(rules, now.wall_ms / 1_000, &glances);
        self.tell(sight.told(now, self.config.chain_id, self.key.address(), self.config.token)).await;
        if let (Some(look), Some(machine)) = (&sight.look, self.machine.as_mut()) {
            let moves = machine.look(now, look);
            self.act(moves).await;
        }
        let status = WalletStatus {
            open: self.machine.as_ref().map(|machine| machine.transfer().intent.id),
            waits: self.machine.as_ref().map(|machine| machine.waits().to_owned()).unwrap_or_default(),
            out: sight.out.into_iter().map(|(at, why)| (at + 1, why)).collect(),
        };
        self.shown.send_if_modified(|shown| {
            for (at, why) in status.out.iter().filter(|one| !shown.out.iter().any(|was| was.0 == one.0)) {
                warn!(endpoint = at, "endpoint left out: {why}");
            }
            let changed = *shown != status;
            *shown = status;
            changed
        });
    }

    fn question(&self) -> Question {
        let (chain_id, token) = (self.config.chain_id, self.config.token);
        let mut question = Question { chain_id, wallet: self.key.address(), token, attempts: Vec::new(), trial: None };
        if let Some(machine) = &self.machine {
            question.attempts = machine.transfer().attempts.iter().map(|attempt| attempt.hash).collect();
            if machine.wants_preflight() {
                question.trial = self.trial(&machine.transfer().intent);
            }
        }
        question
    }

    fn trial(&self, intent: &TransferIntent) -> Option<Trial> {
        let leg = intent.route.leg()?;
        let (to, data) = self.key.call(intent, leg).ok()?;
        let domain = matches!(intent.route, Route::Cctp { .. }).then(|| abi::usdc_domain(leg.chain_id, leg.token));
        Some(Trial { receiver: leg.contract, amount: intent.amount.micros()?, to, data, domain })
    }

    /// All endpoints at once; the answers in the configuration's order.
    async fn glances(&self, question: Question) -> Vec<Result<Glance, String>> {
        let question = Arc::new(question);
        let mut asked = JoinSet::new();
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            let (endpoint, question) = (endpoint.clone(), Arc::clone(&question));
            asked.spawn(async move { (at, endpoint.glance(&question).await) });
        }
        let mut all: Vec<Result<Glance, String>> = vec![Err("not asked".into()); self.endpoints.len()];
        while let Some(done) = asked.join_next().await {
            if let Ok((at, glance)) = done {
                all[at] = glance.map_err(|fault| fault.to_string());
            }
        }
        all
    }

    async fn act(&mut self, moves: Vec<Move>) {
        // signing leads to one more round, of what is told
        let mut left: std::collections::VecDeque<Move> = moves.into();
        while let Some(next) = left.pop_front() {
            let Some(id) = self.machine.as_ref().map(|machine| machine.transfer().intent.id) else { return };
            match next {
                Move::Tell(event) => {
                    told(id, &event);
                    self.tell(Fact::Transfer { id, event: Box::new(event) }).await;
                }
                Move::Sign(plan) => {
                    let now = self.now();
                    let Some(machine) = self.machine.as_mut() else { return };
                    match self.key.attempt(&machine.transfer().intent, plan) {
                        Ok(attempt) => left.extend(machine.signed(now, attempt)),
                        Err(fault) => {
                            error!(transfer = %id, %fault, "the transfer cannot be signed");
                            left.extend(machine.unsigned(now, &fault.to_string()));
                        }
                    }
                }
                Move::Send(attempt) => self.send(id, &attempt).await,
            }
        }
        if self.machine.as_ref().is_some_and(Machine::done) {
            self.machine = None;
        }
    }

    /// To every endpoint at once: the same bytes are the same transaction, however many take them.
    async fn send(&self, id: TransferId, attempt: &domain::Attempt) {
        let mut asked = JoinSet::new();
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            let (endpoint, raw) = (endpoint.clone(), attempt.raw.clone());
            asked.spawn(async move { (at, endpoint.send(&raw).await) });
        }
        while let Some(done) = asked.join_next().await {
            // whether it is taken shows in the next look; an answer here says little (F82)
            if let Ok((at, Err(fault))) = done {
                info!(transfer = %id, endpoint = at + 1, hash = %attempt.hash, %fault, "an endpoint did not take the transaction");
            }
        }
    }
}

fn told(id: TransferId, event: &TransferEvent) {
    match event {
        TransferEvent::Signed(attempt) => {
            info!(transfer = %id, hash = %attempt.hash, kind = ?attempt.kind, fee_max = attempt.fee_max.0, "signed; waits for the journal");
        }
        TransferEvent::Dropped { hash } => {
            warn!(transfer = %id, %hash, "no endpoint knows the transaction; the same bytes go again")
        }
        TransferEvent::Reorged { hash, block_hash } => {
            warn!(transfer = %id, %hash, %block_hash, "its block is gone; the same bytes go again");
        }
        TransferEvent::Overdue { why } => error!(transfer = %id, "overdue: {why}"),
        TransferEvent::Ended(outcome) => warn!(transfer = %id, ?outcome, "over"),
        TransferEvent::Included(found) => {
            info!(transfer = %id, hash = %found.hash, block = found.block, success = found.success, "in a block")
        }
        TransferEvent::Final(found) => info!(transfer = %id, hash = %found.hash, block = found.block, "safe"),
        TransferEvent::Intended(_)
        | TransferEvent::Resumed { .. }
        | TransferEvent::Sent { .. }
        | TransferEvent::Confirmed { .. }
        | TransferEvent::Accepted
        | TransferEvent::Credited { .. } => tracing::debug!(transfer = %id, ?event, "told"),
    }
}
