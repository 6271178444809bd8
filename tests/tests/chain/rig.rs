//! A real chain (Anvil) with the real USDC contract on it, a desk in miniature around a wallet, and an endpoint that can lie.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use chain::{Key, Wallet, WalletConfig};
use domain::{
    AttemptKind, ChainLeg, Entry, Epoch, EvmAddress, Fact, JournalTag, Receipt, Route, Seed, Span, Stamp, Stamped, TransferEvent,
    TransferId, TransferIntent, TransferState, Usd, Venue, Wei, WriteAhead,
};
use margin_guard::{
    ClearedTransfer, RawDestination, RawTreasury, RawWallet, TransferStep, Treasury, TreasuryLimits, release_all,
};
pub use plimsoll_tests::anvil::{Arg, RICH, call};
use plimsoll_tests::anvil::{SOME_GAS, USDC};
use plimsoll_tests::{Anvil, AnvilSpec, Missing, Node};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::block_in_place;

pub const CHAIN: u64 = 421_614;
/// A throwaway key, and where its deposits go.
pub const SECRET: &str = "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc5b1d6f2a1d0f5a3b6c7d8e9f";
pub const BRIDGE: EvmAddress = EvmAddress([0xb1; 20]);
/// Deeper than any reorganisation of the tests (F85).
const SAFE_DEPTH: u64 = 70;

/// A running chain. Ends with its process.
pub struct Chain {
    anvil: Anvil,
    pub url: String,
    pub token: EvmAddress,
    /// The CCTP extension, once it is there.
    pub extension: Option<EvmAddress>,
}

impl Chain {
    /// Starts Anvil and puts USDC on it, with 1,000 of it and a little gas in the wallet. Blocks come when the test says so.
    pub async fn start() -> Result<Result<Chain, Missing>> {
        // another test of this process may have installed it
        rustls::crypto::ring::default_provider().install_default().ok();
        let spec = AnvilSpec { chain_id: CHAIN, safe_depth: SAFE_DEPTH, block_time_s: None };
        let anvil = match block_in_place(|| Anvil::start(spec))? {
            Ok(anvil) => anvil,
            Err(missing) => return Ok(Err(missing)),
        };
        let chain = Chain { url: anvil.url.clone(), token: anvil.token, anvil, extension: None };
        let wallet = Key::from_hex(SECRET)?.address();
        chain.admin("mint(address,uint256)", &[Arg::Address(wallet), Arg::Number(1_000 * USDC)]).await?;
        block_in_place(|| chain.anvil.set_gas(wallet, SOME_GAS))?;
        Ok(Ok(chain))
    }

    pub async fn rpc(&self, method: &str, params: Value) -> Result<Value> {
        block_in_place(|| self.anvil.rpc(method, params))
    }

    pub async fn mine(&self, blocks: u64) -> Result<()> {
        block_in_place(|| self.anvil.mine(blocks))
    }

    pub async fn base_fee(&self, gwei: u64) -> Result<()> {
        block_in_place(|| self.anvil.base_fee(gwei))
    }

    /// A call of the token by whoever may do everything with it.
    pub async fn admin(&self, signature: &str, arguments: &[Arg<'_>]) -> Result<()> {
        block_in_place(|| self.anvil.admin(signature, arguments))
    }

    /// Puts CCTP on the chain and returns its messenger.
    pub async fn cctp(&mut self) -> Result<EvmAddress> {
        let (messenger, extension) = block_in_place(|| self.anvil.put_cctp())?;
        self.extension = Some(extension);
        Ok(messenger)
    }

    /// What a call of the token from `from` would return, or the reason for which it would revert.
    pub async fn ask(&self, from: EvmAddress, data: &str) -> Result<Result<String, String>> {
        block_in_place(|| self.anvil.ask(from, data))
    }

    /// Sends a call of the token from an account without a key, and mines it.
    pub async fn impersonate(&self, from: EvmAddress, data: &str) -> Result<()> {
        block_in_place(|| self.anvil.impersonate(from, data))
    }

    /// The newest block's time, seconds of Unix time.
    pub async fn time(&self) -> Result<u64> {
        block_in_place(|| self.anvil.time_s())
    }

    /// A second Anvil that has this chain up to now, and never a block more unless it catches up.
    pub async fn follower(&self) -> Result<Node> {
        let spec = self.anvil.spec;
        let more = ["--no-mining", "--fork-url", &self.url];
        block_in_place(|| Node::start(spec.chain_id, spec.safe_depth, &more))?.map_err(|missing| anyhow::anyhow!(missing.0))
    }

    /// An Anvil without any history, of another chain.
    pub async fn stranger(&self, chain_id: u64) -> Result<Node> {
        block_in_place(|| Node::start(chain_id, SAFE_DEPTH, &[]))?.map_err(|missing| anyhow::anyhow!(missing.0))
    }

    /// Lets a follower have what this chain has now.
    pub async fn share(&self, follower: &Node) -> Result<()> {
        let now = json!([{"forking": {"jsonRpcUrl": self.url}}]);
        block_in_place(|| follower.rpc("anvil_reset", now)).map(|_| ())
    }

    /// A token that keeps one millionth of every transfer comes in the place of USDC.
    pub async fn keeps_a_fee(&self, owner: EvmAddress, units: u64) -> Result<()> {
        block_in_place(|| self.anvil.keeps_a_fee(&[(owner, units)]))
    }

    /// Millionths of the token that `owner` has.
    pub async fn balance(&self, owner: EvmAddress) -> Result<u64> {
        block_in_place(|| self.anvil.balance(owner))
    }

    pub async fn height(&self) -> Result<u64> {
        block_in_place(|| self.anvil.height())
    }

    pub async fn nonce(&self) -> Result<u64> {
        let wallet = Key::from_hex(SECRET)?.address();
        block_in_place(|| self.anvil.nonce(wallet))
    }
}

/// What the endpoint in the middle does to the chain's answers.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Lie {
    Honest,
    Down,
    NoReceipts,
    OtherChain,
    OldHead,
    /// A transaction that succeeded is said to have reverted.
    Reverted,
    /// Its receipt is said to be of another block.
    OtherBlock,
    /// What is not mined is said to be, in the newest block and with its true hash.
    Mined,
}

/// An endpoint that passes everything on, or lies about it.
pub struct Liar {
    pub url: String,
    lie: Arc<AtomicU8>,
    target: Arc<Mutex<String>>,
}

impl Liar {
    pub async fn start(chain: &Chain) -> Result<Liar> {
        let lie = Arc::new(AtomicU8::new(0));
        let target = Arc::new(Mutex::new(chain.url.clone()));
        let (turned, said) = (Arc::clone(&target), Arc::clone(&lie));
        let client = reqwest::Client::builder().no_proxy().build()?;
        let handler = move |body: String| {
            let (target, client, lie) = (turned.lock().unwrap().clone(), client.clone(), said.load(Ordering::SeqCst));
            async move {
                if lie == Lie::Down as u8 {
                    return "upstream is gone".to_owned();
                }
                let content = ("content-type", "application/json");
                let sent = client.post(target).header(content.0, content.1).body(body.clone()).send().await;
                let Ok(answer) = sent else { return String::new() };
                let text = answer.text().await.unwrap_or_default();
                twisted(lie, &body, &text).unwrap_or(text)
            }
        };
        let app = axum::Router::new().route("/", axum::routing::post(handler));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Liar { url, lie, target })
    }

    /// Passes on to this one from now on.
    pub fn turn(&self, url: &str) {
        url.clone_into(&mut self.target.lock().unwrap());
    }

    pub fn now(&self, lie: Lie) {
        self.lie.store(lie as u8, Ordering::SeqCst);
    }
}

fn twisted(lie: u8, asked: &str, answered: &str) -> Option<String> {
    let asked: Value = serde_json::from_str(asked).ok()?;
    let mut answers: Value = serde_json::from_str(answered).ok()?;
    let all = asked.as_array()?;
    let asked_of = |id: &Value| all.iter().find(|one| one["id"] == *id).cloned().unwrap_or_default();
    // the newest block is asked for last
    let last = all.last()?["id"].clone();
    let newest = answers.as_array()?.iter().find(|one| one["id"] == last)?["result"].clone();
    for one in answers.as_array_mut()? {
        let method = asked_of(&one["id"])["method"].as_str().unwrap_or_default().to_owned();
        if lie == Lie::NoReceipts as u8 && method.starts_with("eth_getTransactionReceipt") {
            one["result"] = Value::Null;
        }
        let is_receipt = method == "eth_getTransactionReceipt";
        if lie == Lie::Reverted as u8 && is_receipt && !one["result"].is_null() {
            one["result"]["status"] = json!("0x0");
        }
        if lie == Lie::OtherBlock as u8 && is_receipt && !one["result"].is_null() {
            one["result"]["blockHash"] = json!(format!("0x{}", "ab".repeat(32)));
        }
        if lie == Lie::Mined as u8 && is_receipt && one["result"].is_null() {
            one["result"] = json!({
                "transactionHash": asked_of(&one["id"])["params"][0], "blockNumber": newest["number"], "blockHash": newest["hash"],
                "status": "0x1", "effectiveGasPrice": "0x1", "gasUsed": "0xc350",
            });
        }
        if lie == Lie::OtherChain as u8 && method == "eth_chainId" {
            one["result"] = json!("0x1");
        }
        if lie == Lie::OldHead as u8 && method == "eth_getBlockByNumber" {
            one["result"]["timestamp"] = json!("0x65000000");
        }
    }
    Some(answers.to_string())
}

/// A log in memory: what is in it is durable.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Stamped>>>);

impl WriteAhead for Log {
    type Error = std::convert::Infallible;
    async fn append(&self, entries: Vec<Stamped>) -> Result<Receipt, Self::Error> {
        let mut all = self.0.lock().unwrap();
        let first = all.len() as u64 + 1;
        all.extend(entries);
        Ok(Receipt { first, last: all.len() as u64, epoch: Epoch(1) })
    }
}

fn limits(token: EvmAddress, extension: Option<EvmAddress>) -> TreasuryLimits {
    let wallet = RawWallet {
        chain_id: Some(CHAIN.to_string().as_str().into()),
        address: Key::from_hex(SECRET).unwrap().address().to_string(),
        token: token.to_string(),
    };
    let bridge = RawDestination { kind: "bridge".into(), address: BRIDGE.to_string() };
    let cctp = extension.map(|at| ("cctp".to_owned(), RawDestination { kind: "cctp".into(), address: at.to_string() }));
    let destination = [("bridge".to_owned(), bridge)].into_iter().chain(cctp);
    let raw = RawTreasury {
        destination_delay_hours: Some("0".into()),
        gas_transfer_max_ether: Some("0.01".into()),
        gas_day_max_ether: Some("0.05".into()),
        wallet: Some(wallet),
        destination: destination.collect(),
        ..RawTreasury::default()
    };
    TreasuryLimits::check(&raw).unwrap()
}

fn clock() -> chain::Clock {
    let start = Instant::now();
    Arc::new(move || {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mono = 1_000_000_000 + u64::try_from(start.elapsed().as_nanos()).unwrap_or(0);
        Stamp { mono, wall_ms: u64::try_from(wall.as_millis()).unwrap_or(0) }
    })
}

/// The part of the desk that a transfer needs: treasury, journal, wallet.
pub struct Desk {
    log: Log,
    pub treasury: Treasury,
    token: EvmAddress,
    extension: Option<EvmAddress>,
    config: WalletConfig,
    clock: chain::Clock,
    wallet: Wallet,
    facts: mpsc::Receiver<Fact>,
    epoch: u32,
    /// Names of the events taken in, in order.
    pub told: Vec<&'static str>,
    pub doubts: u32,
}

impl Desk {
    pub async fn start(chain: &Chain, more: &[&str]) -> Result<Desk> {
        let mut endpoints = vec![chain.url.clone()];
        endpoints.extend(more.iter().map(ToString::to_string));
        let mut config = WalletConfig::new(endpoints, CHAIN, chain.token);
        config.every = Duration::from_millis(30);
        config.policy.depth = 3;
        config.policy.resend = Span::millis(300);
        config.policy.stuck = Span::millis(600);
        config.policy.give_up = Span::secs(60);
        Desk::with(chain, config).await
    }

    pub async fn with(chain: &Chain, config: WalletConfig) -> Result<Desk> {
        let (sender, facts) = mpsc::channel(1_024);
        let clock = clock();
        let wallet = Wallet::start(config.clone(), Key::from_hex(SECRET)?, Arc::clone(&clock), sender).await?;
        let mut desk = Desk {
            log: Log::default(),
            treasury: Treasury::new(limits(chain.token, chain.extension)),
            token: chain.token,
            extension: chain.extension,
            config,
            clock,
            wallet,
            facts,
            epoch: 0,
            told: Vec::new(),
            doubts: 0,
        };
        desk.boot().await?;
        Ok(desk)
    }

    fn now(&self) -> Stamp {
        (self.clock)()
    }

    async fn record(&mut self, entry: Entry) -> Result<()> {
        self.treasury.fold(self.now(), &entry)?;
        self.log.append(vec![Stamped { at: self.now(), entry }]).await?;
        Ok(())
    }

    async fn released(&mut self, cleared: ClearedTransfer) -> Result<()> {
        let entry = cleared.entry();
        self.treasury.fold(self.now(), &entry)?;
        let entries = vec![Stamped { at: self.now(), entry }];
        let (_, released) = release_all(Vec::new(), vec![cleared], entries, &self.log).await?;
        for one in released {
            self.wallet.take(one).await?;
        }
        Ok(())
    }

    async fn boot(&mut self) -> Result<()> {
        self.epoch += 1;
        let epoch = Epoch(self.epoch);
        let entry = Entry::Epoch { epoch, tag: JournalTag(1), seed: Seed(1), binary: String::new(), config: String::new() };
        self.record(entry).await?;
        if let Some(entry) = self.treasury.record() {
            self.record(entry).await?;
        }
        self.record(Entry::Reconciled { epoch, state: String::new(), repairs: 0 }).await?;
        let open = self.treasury.transfers().find(|t| t.working()).map(|t| t.intent.id);
        if let Some(id) = open {
            let cleared = self.treasury.clear_resumed(self.now(), id)?;
            assert!(matches!(cleared.step(), TransferStep::Resume(_)));
            self.released(cleared).await?;
        }
        Ok(())
    }

    /// The process dies and begins anew: the journal is all that is left of it.
    pub async fn crash(&mut self) -> Result<()> {
        let (sender, facts) = mpsc::channel(1_024);
        let key = Key::from_hex(SECRET)?;
        self.wallet = Wallet::start(self.config.clone(), key, Arc::clone(&self.clock), sender).await?;
        self.facts = facts;
        let mut treasury = Treasury::new(limits(self.token, self.extension));
        let journal = self.log.0.lock().unwrap().clone();
        for stamped in &journal {
            treasury.fold(stamped.at, &stamped.entry)?;
        }
        self.treasury = treasury;
        self.boot().await
    }

    /// What the wallet does with this contract.
    pub fn leg(&self, contract: EvmAddress) -> ChainLeg {
        ChainLeg {
            chain_id: CHAIN,
            wallet: self.wallet.address(),
            token: self.token,
            contract,
            gas_cost_max: self.treasury.limits().gas_transfer_max(),
        }
    }

    /// Decides on a deposit over the bridge, once the wallet is known.
    pub async fn deposit(&mut self, usd: i32) -> Result<TransferId> {
        self.deposit_by(Route::Bridge(self.leg(BRIDGE)), usd, Usd::ZERO).await
    }

    /// Tries to decide on a deposit over the bridge with what is known now.
    pub async fn deposit_now(&mut self, usd: i32) -> Result<TransferId> {
        self.decide(Route::Bridge(self.leg(BRIDGE)), usd, Usd::ZERO).await
    }

    /// Decides on a deposit by this route, of which at most `fee_max` may be kept.
    pub async fn deposit_by(&mut self, route: Route, usd: i32, fee_max: Usd) -> Result<TransferId> {
        self.until("a view of the wallet", |desk| desk.treasury.next_nonce(desk.now()).is_ok()).await?;
        self.decide(route, usd, fee_max).await
    }

    async fn decide(&mut self, route: Route, usd: i32, fee_max: Usd) -> Result<TransferId> {
        let now = self.now();
        let intent = TransferIntent {
            id: self.treasury.next_id(),
            venue: Venue::Hyperliquid,
            account: self.wallet.address(),
            route,
            amount: Usd::whole(usd),
            fee_max,
            nonce: self.treasury.next_nonce(now)?,
            limits: self.treasury.limits().id(),
            cause: "test".into(),
        };
        let id = intent.id;
        let cleared = self.treasury.clear(now, intent)?;
        self.released(cleared).await?;
        Ok(id)
    }

    /// Takes in one fact, if one comes soon.
    pub async fn step(&mut self) -> Result<bool> {
        let Ok(Some(fact)) = tokio::time::timeout(Duration::from_millis(40), self.facts.recv()).await else { return Ok(false) };
        if let Fact::Wallet(view) = fact {
            self.treasury.observe(*view);
        } else if let Fact::WalletDoubt(why) = fact {
            self.doubts += 1;
            self.treasury.doubt(why);
        } else if let Fact::Transfer { id, event } = fact {
            self.told.push(name(&event));
            if let TransferEvent::Signed(attempt) = &*event {
                if let Ok(cleared) = self.treasury.clear_signed(self.now(), id, attempt) {
                    self.released(cleared).await?;
                }
            } else {
                self.record(Entry::Transfer { id, event: *event }).await?;
            }
            return Ok(true);
        } else {
            bail!("a wallet tells only of itself");
        }
        Ok(false)
    }

    /// Goes on until `done`, for as long as a busy machine may take.
    pub async fn until(&mut self, what: &str, done: impl Fn(&Desk) -> bool) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !done(self) {
            self.step().await?;
            if Instant::now() > deadline {
                let states: Vec<_> = self.treasury.transfers().map(|t| t.state.clone()).collect();
                bail!("{what} did not come; told {:?}, states {states:?}, {:?}", self.told, self.wallet.status().borrow());
            }
        }
        Ok(())
    }

    pub fn state(&self, id: TransferId) -> TransferState {
        self.treasury.transfer(id).unwrap().state.clone()
    }

    /// Until the transfer is in the state of this name.
    pub async fn reaches(&mut self, id: TransferId, state: &str) -> Result<()> {
        self.until(state, |desk| desk.state(id).name() == state).await
    }

    /// Until it is in a block. That it was sent is told before its bytes leave, so that more than one block may be needed; returns how
    /// many there are from its own on.
    pub async fn included(&mut self, chain: &Chain, id: TransferId) -> Result<u64> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let TransferState::Included(found) | TransferState::Confirmed(found) = self.state(id) {
                return Ok(chain.height().await? + 1 - found.block);
            }
            chain.mine(1).await?;
            for _ in 0..6 {
                self.step().await?;
            }
            if Instant::now() > deadline {
                bail!("{id} is not included; told {:?}", self.told);
            }
        }
    }

    /// Until it is over or landed, with a block every step.
    pub async fn finish(&mut self, chain: &Chain, id: TransferId) -> Result<TransferState> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.treasury.transfer(id).is_some_and(|t| t.working()) {
            chain.mine(if self.state(id).name() == "sent" { 1 } else { 15 }).await?;
            for _ in 0..4 {
                self.step().await?;
            }
            if Instant::now() > deadline {
                bail!("{id} does not end; told {:?}, {:?}, {:?}", self.told, self.state(id), self.wallet.status().borrow());
            }
        }
        Ok(self.state(id))
    }

    pub async fn credit(&mut self, id: TransferId, usd: i32) -> Result<()> {
        self.note(id, TransferEvent::Credited { amount: Usd::whole(usd), venue_ms: 1 }).await
    }

    /// Records what others than the wallet know of a transfer.
    pub async fn note(&mut self, id: TransferId, event: TransferEvent) -> Result<()> {
        self.record(Entry::Transfer { id, event }).await
    }

    pub fn config(&self) -> WalletConfig {
        self.config.clone()
    }

    /// Transactions signed for it.
    pub fn attempts(&self, id: TransferId) -> usize {
        self.treasury.transfer(id).map_or(0, |t| t.attempts.len())
    }

    /// Burns among them.
    pub fn burns(&self, id: TransferId) -> usize {
        let burn = |t: &domain::Transfer| t.attempts.iter().filter(|one| one.kind == AttemptKind::Burn).count();
        self.treasury.transfer(id).map_or(0, burn)
    }

    /// Endpoints that the wallet leaves out, from 1, and why.
    pub fn left_out(&self) -> Vec<(usize, String)> {
        self.wallet.status().borrow().out.clone()
    }

    /// Why nothing can be sent.
    pub fn frozen(&self) -> String {
        self.treasury.next_nonce(self.now()).map(|nonce| nonce.to_string()).unwrap_or_else(|why| why.to_string())
    }

    pub fn gas_left(&self) -> Wei {
        let budgets = self.treasury.budgets(self.now());
        budgets.gas_max.minus(budgets.gas_spent)
    }
}

fn name(event: &TransferEvent) -> &'static str {
    match event {
        TransferEvent::Intended(_) => "intended",
        TransferEvent::Resumed { .. } => "resumed",
        TransferEvent::Signed(_) => "signed",
        TransferEvent::Sent { .. } => "sent",
        TransferEvent::Dropped { .. } => "dropped",
        TransferEvent::Included(_) => "included",
        TransferEvent::Confirmed { .. } => "confirmed",
        TransferEvent::Reorged { .. } => "reorged",
        TransferEvent::Final(_) => "final",
        TransferEvent::Accepted => "accepted",
        TransferEvent::Credited { .. } => "credited",
        TransferEvent::Overdue { .. } => "overdue",
        TransferEvent::Ended(_) => "ended",
    }
}
