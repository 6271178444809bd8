//! One chain, one venue, one journal, and daemons that come and go.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use domain::{EvmAddress, Prng, Seed};
use plimsoll_tests::anvil::{SOME_GAS, USDC};
use plimsoll_tests::rpc_proxy::SEND;
use plimsoll_tests::{ACCOUNT, Anvil, AnvilSpec, Daemon, Fate, KEY, Missing, PaperProc, Proc, RpcProxy, Setup, http};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tempfile::TempDir;
use wire::hyperliquid::action::Action;
use wire::hyperliquid::sign::{Key, Network, sign};

use super::Tally;
use super::cell::{Cell, Fault};
use super::tail::{Deal, Tail, holds};
use crate::client::now_ms;

pub const CHAIN: u64 = 421_614;
pub const BRIDGE: EvmAddress = EvmAddress([0xb1; 20]);
/// Deeper than any reorganisation of the matrix.
pub const SAFE_DEPTH: u64 = 70;
/// The venue credits below this many blocks: deeper than any reorganisation, and before the chain calls the block safe.
pub const CREDIT_DEPTH: u64 = 66;
/// Blocks on top after which the daemon calls a transaction confirmed.
pub const CONFIRMATIONS: u64 = 3;
/// Most of one transfer, in dollars; those of the runs are of eight or nine.
const TRANSFER_MAX: u64 = 40;
/// Cover below which the account is topped up, as configured. It is far from being reduced, and the position small enough for a
/// transfer to be worth little more than the bridge's minimum.
const TOP_UP: u64 = 36;
/// Cover that the rig leaves the account before a run, in hundredths: one small transfer is needed.
pub const LITTLE: i64 = 3_550;
/// The same when a budget is to be spent.
pub const MUCH: i64 = 3_000;
/// What a run of top-ups is meant for: more than the rig takes out of the account, which looks like a fall of the market.
const CRASH: &str = "[guard.scenario.crash]\nshock = { \"*\" = \"-0.40\" }\n";
/// Failed transfers in a row: the next one comes half a minute after the first, and a minute after the second.
const FAILED_MAX: usize = 2;
/// Between two looks at the journal.
const LOOK_EVERY: Duration = Duration::from_millis(3);
/// For anything that the daemon does in a second or two on an idle machine.
pub const SOON: Duration = Duration::from_secs(60);
/// What is waited for longest.
pub const NEW: &str = "a new transfer";
/// For a transfer after one that failed: the planner's pause, and a minute.
const LATER: Duration = Duration::from_secs(90);

/// Everything of one world.
pub struct World {
    pub chain: Anvil,
    pub ends: [RpcProxy; 2],
    pub venue: PaperProc,
    pub daemon: Option<Proc>,
    pub tail: Tail,
    pub chance: Prng,
    pub dir: TempDir,
    setup: Setup,
    set: Vec<String>,
    /// Bytes that left before the journal held them.
    pub early: Arc<Mutex<Vec<String>>>,
    pub kills: usize,
    pub gas_before: u128,
    /// What the venue's ledger shows as deposited from the beginning, in millionths.
    pub credited_before: u64,
    /// A snapshot of the chain and its height: what came since can be undone.
    pub mark: Option<(String, u64)>,
    /// Most that may be moved within the hour, in dollars.
    pub budget: u64,
    words: String,
}

pub fn wallet() -> EvmAddress {
    ACCOUNT.parse().unwrap()
}

fn secret(path: PathBuf) -> Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(file.write_all(KEY.as_bytes())?)
}

impl World {
    pub fn start(seed: Seed, runs: usize) -> Result<Result<World, Missing>> {
        let spec = AnvilSpec { chain_id: CHAIN, safe_depth: SAFE_DEPTH, block_time_s: None };
        let chain = match Anvil::start(spec)? {
            Ok(chain) => chain,
            Err(missing) => return Ok(Err(missing)),
        };
        chain.mint(wallet(), 1_000 * USDC)?;
        chain.set_gas(wallet(), SOME_GAS)?;
        let dir = tempfile::tempdir()?;
        let ends = [RpcProxy::start(&chain.url)?, RpcProxy::start(&chain.url)?];
        let journal = dir.path().join("state/journal/journal.db");
        let early: Arc<Mutex<Vec<String>>> = Arc::default();
        for end in &ends {
            let (journal, early) = (journal.clone(), Arc::clone(&early));
            end.watch(move |raw| {
                if !holds(&journal, raw).unwrap_or(false) {
                    early.lock().unwrap().push(raw.to_owned());
                }
            });
        }
        let setup = Setup::new(dir.path(), CRASH)?;
        secret(dir.path().join("wallet.key"))?;
        let venue =
            PaperProc::spawn(dir.path(), &setup.paper_args(&venue_set(&chain).iter().map(String::as_str).collect::<Vec<_>>()))?;
        setup.write_daemon(&venue.url())?;
        // every run may arrive, and one of the largest
        let budget = 9 * runs as u64 + TRANSFER_MAX;
        let set = daemon_set(&chain, &ends, budget);
        let mut world = World {
            tail: Tail::new(journal),
            chance: seed.fork("world"),
            gas_before: 0,
            credited_before: 0,
            mark: None,
            chain,
            ends,
            venue,
            daemon: None,
            dir,
            setup,
            set,
            early,
            kills: 0,
            budget,
            words: String::new(),
        };
        world.gas_before = world.gas()?;
        world.credited_before = world.credited()?;
        world.open_position()?;
        Ok(Ok(world))
    }

    /// Runs of this world, and what must hold at its end; how many of `cells` were run. Two failed transfers in a row end it early: the
    /// planner leaves a source that fails alone for longer each time.
    pub fn live(&mut self, cells: &[Cell], mut told: impl FnMut(Cell, Tally)) -> Result<usize> {
        let mut failed = 0;
        for (at, cell) in cells.iter().enumerate() {
            let tally = self.run(*cell).with_context(|| format!("run {at}, {} with {}", cell.point.name(), cell.fault.name()))?;
            told(*cell, tally);
            failed = if tally.finals == 0 { failed + 1 } else { 0 };
            if failed == FAILED_MAX {
                self.close()?;
                return Ok(at + 1);
            }
        }
        if failed == 0 {
            self.spend_all()?;
        }
        self.close()?;
        Ok(cells.len())
    }

    fn run(&mut self, cell: Cell) -> Result<Tally> {
        let (kills, sent) = (self.kills, self.sent());
        let started = Instant::now();
        let newest = self.tail.deals.keys().next_back().copied().unwrap_or(0);
        if cell.fault == Fault::Late {
            let order = json!({"fault": "credit-late", "delay_ms": 4_000});
            http::post(&self.venue.url(), "/control/faults", &order)?;
        }
        self.mark = None;
        let id = self.steer(cell, newest)?;
        self.kill();
        let at = self.deal(id).events.join(" ");
        self.release();
        self.strike(cell.fault)?;
        self.spawn(&[])?;
        if self.chance.chance(1, 3) {
            // while it takes up its work again
            sleep(Duration::from_millis(self.chance.below(2_500)));
            self.kill();
            self.spawn(&[])?;
        }
        if self.deal(id).over() {
            // nothing of it may move any more
            let before = self.tail.tenures;
            self.until("a tenure that has reconciled", |tail| tail.tenures > before && tail.reconciled)?;
            sleep(Duration::from_millis(1_500));
        } else {
            self.settle(id, cell.fault)?;
        }
        self.kill();
        self.calm()?;
        http::delete(&self.venue.url(), "/control/faults")?;
        let finals = self.check(newest)?;
        let deal = self.deal(id);
        let took = started.elapsed().as_secs_f32();
        eprintln!(
            "{:>10} / {:<11} T{id} nonce {:?} {took:.1} s: killed after [{at}], in all [{}] {}",
            cell.point.name(),
            cell.fault.name(),
            deal.nonce,
            deal.events.join(" "),
            deal.outcome.unwrap_or_default()
        );
        Ok(Tally { runs: 1, kills: self.kills - kills, sends: self.sent() - sent, finals })
    }

    /// The chain as it was before, and no transfer under way.
    fn calm(&mut self) -> Result<()> {
        self.ends.iter().for_each(RpcProxy::honest);
        if self.paused()? {
            self.chain.admin("unpause()", &[])?;
        }
        self.chain.base_fee(1)?;
        self.chain.mine(SAFE_DEPTH + 2)?;
        while let Some(open) = self.tail.deals.iter().find(|(_, deal)| !deal.over()).map(|(id, _)| *id) {
            self.spawn(&[])?;
            self.settle(open, Fault::None)?;
            self.kill();
        }
        Ok(())
    }

    /// Different transactions that reached one of the endpoints so far.
    pub fn sent(&self) -> usize {
        let all: std::collections::BTreeSet<String> = self.ends.iter().flat_map(RpcProxy::sent).collect();
        all.len()
    }

    /// What is known of a transfer.
    pub fn deal(&self, id: u64) -> Deal {
        self.tail.deals.get(&id).cloned().unwrap_or_default()
    }

    /// Starts the daemon, with further settings.
    pub fn spawn(&mut self, more: &[&str]) -> Result<()> {
        self.kill();
        let mut args = self.setup.args(&[]);
        for pair in self.set.iter().map(String::as_str).chain(more.iter().copied()) {
            args.extend(["--set".to_owned(), pair.to_owned()]);
        }
        args.push("run".to_owned());
        self.daemon = Some(Daemon::spawn(self.dir.path(), &args, &[])?.proc);
        Ok(())
    }

    /// `plimsoll ARGS` with the daemon's settings; standard output and error.
    pub fn command(&self, args: &[&str]) -> Result<(Option<i32>, String, String)> {
        let mut all = self.setup.args(&[]);
        for pair in &self.set {
            all.extend(["--set".to_owned(), pair.clone()]);
        }
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        Daemon::run(self.dir.path(), &all, SOON)
    }

    /// SIGKILL. What it wrote last is kept for a failure's message.
    pub fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill9();
            self.kills += 1;
            self.words = daemon.last_words();
        }
        // nothing is written any more: what is there now is all
        self.tail.read().ok();
    }

    /// Held bytes go on or are lost, by chance; everything else passes again.
    fn release(&mut self) {
        let lost = self.chance.chance(1, 2);
        for end in &self.ends {
            if lost {
                end.set(SEND, Fate::Lose);
            } else {
                end.pass(SEND);
            }
        }
        // long enough for the threads that held them
        sleep(Duration::from_millis(60));
        self.ends.iter().for_each(RpcProxy::honest);
    }

    /// Reads the journal until `wanted`. A daemon that ends by itself is a failure.
    pub fn until(&mut self, what: &str, wanted: impl Fn(&Tail) -> bool) -> Result<()> {
        let deadline = Instant::now() + if what == NEW { LATER } else { SOON };
        loop {
            self.tail.read()?;
            if wanted(&self.tail) {
                return Ok(());
            }
            self.alive()?;
            ensure!(Instant::now() < deadline, "{what} did not come; {}", self.story());
            sleep(LOOK_EVERY);
        }
    }

    pub fn alive(&mut self) -> Result<()> {
        let ended = self.daemon.as_mut().and_then(|daemon| daemon.ended());
        if let Some(status) = ended {
            bail!("the daemon ended by itself with {status}");
        }
        Ok(())
    }

    pub fn story(&self) -> String {
        let newest: Vec<String> = self.tail.deals.iter().rev().take(3).map(|(id, deal)| format!("T{id} {deal:?}")).collect();
        let refused: Vec<_> = self.tail.refused.iter().rev().take(3).collect();
        format!("{} tenures, decided {}, refused {refused:?}, newest {}", self.tail.tenures, self.tail.decided, newest.join("; "))
    }

    pub fn last_words(&mut self) -> String {
        let log = self.daemon.as_ref().map_or_else(|| self.words.clone(), |daemon| daemon.last_words());
        let treasury = self.command(&["treasury", "--json"]).map(|(_, out, err)| format!("{out}{err}")).unwrap_or_default();
        format!("{}\n{log}\ntreasury: {treasury}", self.story())
    }

    /// Wei of the wallet.
    pub fn gas(&self) -> Result<u128> {
        let balance = self.chain.rpc("eth_getBalance", json!([ACCOUNT, "latest"]))?;
        Ok(u128::from_str_radix(balance.as_str().context("a balance")?.trim_start_matches("0x"), 16)?)
    }

    /// Transactions in the chain's pool.
    pub fn pooled(&self) -> Result<bool> {
        let status = self.chain.rpc("txpool_status", json!([]))?;
        Ok(status["pending"] != "0x0" || status["queued"] != "0x0")
    }

    pub fn paused(&self) -> Result<bool> {
        // paused(): 0x5c975abb
        let word = self.chain.rpc("eth_call", json!([{"to": self.chain.token.to_string(), "data": "0x5c975abb"}, "latest"]))?;
        Ok(word.as_str().is_some_and(|word| word.ends_with('1')))
    }
}

fn venue_set(chain: &Anvil) -> Vec<String> {
    vec![
        format!("paper.chain.rpc={}", chain.url),
        format!("paper.chain.token={}", chain.token),
        format!("paper.chain.bridge={BRIDGE}"),
        format!("paper.chain.confirmations={CREDIT_DEPTH}"),
        "paper.chain.credit_after=100ms".to_owned(),
        "paper.balance_usd=400".to_owned(),
    ]
}

fn daemon_set(chain: &Anvil, ends: &[RpcProxy; 2], budget: u64) -> Vec<String> {
    vec![
        "guard.cover.watch=40".to_owned(),
        format!("guard.cover.top_up={TOP_UP}"),
        "guard.cover.hysteresis=0.02".to_owned(),
        "treasury.enabled=true".to_owned(),
        "treasury.spot=false".to_owned(),
        "treasury.isolated=false".to_owned(),
        format!("treasury.transfer_max_usd={TRANSFER_MAX}"),
        format!("treasury.hour_max_usd={budget}"),
        format!("treasury.day_max_usd={budget}"),
        format!("treasury.week_max_usd={budget}"),
        "treasury.gas_transfer_max_ether=0.002".to_owned(),
        "treasury.gas_day_max_ether=0.09".to_owned(),
        "treasury.destination_delay_hours=0".to_owned(),
        "treasury.destination.bridge.kind=bridge".to_owned(),
        format!("treasury.destination.bridge.address={BRIDGE}"),
        "treasury.route.bridge.delay=5m".to_owned(),
        "treasury.route.bridge.cost_usd=0".to_owned(),
        format!("treasury.wallet.chain_id={CHAIN}"),
        format!("treasury.wallet.address={ACCOUNT}"),
        format!("treasury.wallet.token={}", chain.token),
        "treasury.wallet.key_file=wallet.key".to_owned(),
        format!("treasury.wallet.rpc={},{}", ends[0].url(), ends[1].url()),
        format!("treasury.wallet.confirmations={CONFIRMATIONS}"),
        "treasury.wallet.replace_after=1s".to_owned(),
        "treasury.wallet.look_every=100ms".to_owned(),
    ]
}

impl World {
    /// A position for the account, by the hand of a stranger.
    fn open_position(&mut self) -> Result<()> {
        let mids = http::post(&self.venue.url(), "/info", &json!({"type": "allMids"}))?;
        let mid: Decimal = mids["BTC"].as_str().context("a price of BTC")?.parse()?;
        let (price, size) = ((mid * Decimal::new(102, 2)).trunc(), (Decimal::from(500) / mid).round_dp(5));
        let order = json!({ "a": 0, "b": true, "p": price.to_string(), "s": size.to_string(), "r": false, "t": { "limit": { "tif": "Ioc" } } });
        let answer = self.act(json!({ "type": "order", "orders": [order], "grouping": "na" }), None)?;
        ensure!(!answer["response"]["data"]["statuses"][0]["filled"].is_null(), "{answer}");
        Ok(())
    }

    /// Takes so much out of the account that this cover, in hundredths, is left.
    pub fn need(&mut self, left: i64) -> Result<()> {
        let state = http::post(&self.venue.url(), "/info", &json!({"type": "clearinghouseState", "user": ACCOUNT}))?;
        let amount = |value: &Value| -> Result<Decimal> { Ok(value.as_str().context("an amount")?.parse()?) };
        let equity = amount(&state["marginSummary"]["accountValue"])?;
        let maintenance = amount(&state["crossMaintenanceMarginUsed"])?;
        ensure!(maintenance > Decimal::ONE, "the position is gone: {state}; {}", self.story());
        let out = (equity - maintenance * Decimal::new(left, 2)).round_dp(2);
        if out < Decimal::TWO {
            return Ok(());
        }
        let time = now_ms();
        let withdrawal = json!({
            "type": "withdraw3", "hyperliquidChain": "Testnet", "signatureChainId": "0x66eee",
            "destination": "0x9999999999999999999999999999999999999999", "amount": out.normalize().to_string(), "time": time,
        });
        self.act(withdrawal, Some(time)).map(|_| ())
    }

    fn act(&self, action: Value, nonce: Option<u64>) -> Result<Value> {
        let action: Action = serde_json::from_value(action)?;
        let nonce = nonce.unwrap_or_else(now_ms);
        let signed = sign(&Key::from_hex(KEY)?, action, nonce, None, None, Network::Testnet)?;
        let answer = http::post(&self.venue.url(), "/exchange", &serde_json::to_value(signed)?)?;
        ensure!(answer["status"] == "ok", "{answer}");
        Ok(answer)
    }

    /// The venue's own word on the account's deposits, in millionths.
    pub fn credited(&self) -> Result<u64> {
        let ask = json!({"type": "userNonFundingLedgerUpdates", "user": ACCOUNT, "startTime": 0});
        let ledger = http::post(&self.venue.url(), "/info", &ask)?;
        let rows = ledger.as_array().context("a ledger")?;
        let deposit = |row: &Value| -> Option<Decimal> {
            (row["delta"]["type"] == "deposit").then(|| row["delta"]["usdc"].as_str()?.parse().ok())?
        };
        let sum: Decimal = rows.iter().filter_map(deposit).sum();
        u64::try_from(sum * Decimal::from(USDC)).context("a sum")
    }
}
