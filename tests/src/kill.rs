//! Stops with many open orders, measured where nobody can flatter himself: on the wire and in the venue's own memory (C31, G20 to
//! G22).
//!
//! The daemon has orders of its own, and strangers have placed as many more in its account. It is told to stop by SIGUSR1. When its
//! gate closed it says itself, by the machine's monotonic clock; when each cancel was on the wire the wire says; when each order was
//! over the venue says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde::Deserialize;
use serde_json::{Value, json};
use wire::hyperliquid::sign::{Key, Network, sign};

use crate::rig::Rig;
use crate::{ACCOUNT, Action, Client, KEY, Missing, SlowWire, Witness, http, monotonic_ns};

/// Between two looks at something that changes by itself.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// For whatever comes before and after a stop: a bound, never waited out when all is well.
const PATIENCE: Duration = Duration::from_secs(180);
/// After a stop everything must be over by then, or the trial has failed (G22: 30 s).
const OVER_MAX: Duration = Duration::from_secs(60);
/// News of the last order that was placed has reached the daemon by then.
const SETTLE: Duration = Duration::from_millis(300);
/// Strangers place and the SDK cancels so many in one action; the venue takes 200.
const BATCH: u32 = 100;
/// Request weight of the last minute below which a daemon is let trade again: what its parents place then, and what the next stop
/// needs, stays clear of the share of the minute's 1,200 that is not for placing.
const WEIGHT_MAX: u64 = 740;
/// The address of the key that the SDK's script uses.
const SDK_ACCOUNT: &str = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a";
/// Limits that a stop with many orders must not meet, and marks of a market that stands still.
const ROOMY: [&str; 7] = [
    "guard.parents_per_hour_max_usd=100000000",
    "guard.venue_messages_per_min_max=60000",
    "guard.venue_burst_max=10000",
    "guard.open_orders_per_market_max=1000",
    "guard.open_orders_per_venue_max=2000",
    "guard.marks_age_max_ms=600000",
    // what a stop needs of the request budget is measured; comparing the books more often would only slow the trials down
    "daemon.reconcile_every=60s",
];

/// What goes wrong during a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Nothing.
    Fair,
    /// One answer in five is 429, a server error or none, whether the request was served or lost, and the account's stream has
    /// stalled before half of the orders were placed.
    Foul,
}

impl Weather {
    /// Faults of requests. Each is drawn by itself: together they meet one request in five.
    #[must_use]
    pub fn of_requests(self) -> Value {
        match self {
            Weather::Fair => json!([]),
            Weather::Foul => json!([
                { "fault": "too-many-requests", "percent": 6, "scope": "all" },
                { "fault": "error-before", "percent": 4, "scope": "all" },
                { "fault": "error-after", "percent": 4, "scope": "all" },
                { "fault": "timeout-after", "percent": 4, "scope": "all" },
                { "fault": "lost-request", "percent": 4, "scope": "all" },
            ]),
        }
    }

    fn of_streams(self) -> Value {
        match self {
            Weather::Fair => json!([]),
            Weather::Foul => json!([{ "fault": "stall-user" }]),
        }
    }
}

/// What one stop took, nanoseconds after it was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Took {
    /// Until nothing could be placed any more; nothing where there is no gate.
    pub gate: Option<u64>,
    /// Until the first cancel was on the wire.
    pub first: u64,
    /// Until each order had been named by a cancel on the wire; nothing if one never was.
    pub all: Option<u64>,
    /// Until each order was over at the venue, to the millisecond; nothing if one is open still.
    pub over: Option<u64>,
    /// Orders that are open still.
    pub left: usize,
    /// Requests with cancels.
    pub requests: usize,
}

/// A daemon at the end of a slow wire, with orders of its own.
pub struct KillRig {
    /// Files, venue and daemon.
    pub rig: Rig,
    /// What the daemon speaks through.
    pub wire: SlowWire,
    socket: PathBuf,
    own: u32,
    foreign: u32,
    _market: Breath,
}

impl KillRig {
    /// A venue, a wire that takes `one_way` each way, and a daemon with `own` parents, whose orders rest; each stop finds `foreign`
    /// orders beside them.
    ///
    /// # Errors
    /// If it does not come about.
    pub fn start(dir: &Path, own: u32, foreign: u32, one_way: Duration, more: &[&str]) -> Result<KillRig> {
        let set: Vec<&str> = ROOMY.iter().chain(more).copied().collect();
        let rig = Rig::still(dir, &set)?;
        let wire = SlowWire::start(rig.venue.address, one_way)?;
        rig.setup.write_daemon(&wire.url())?;
        let market = Breath::start(rig.venue.url())?;
        let mut this = KillRig { rig, wire, _market: market, socket: dir.join("state/plimsoll.sock"), own, foreign };
        this.rig.start()?;
        for no in 0..own {
            // each of a size of its own: equal orders of different parents are refused as duplicates
            let parent = json!({
                "instrument": "hyperliquid:BTC", "side": "buy", "quantity": format!("0.{:05}", 500 + no), "schedule": "twap",
                "slices": 1, "placement": "passive", "horizon": "24h", "slippage_bps": 500, "end": "cancel",
            });
            http::post_unix(&this.socket, "/parents", &parent).with_context(|| format!("parent {no}"))?;
        }
        Ok(this)
    }

    /// One stop, from all orders open to the end of the sweep. While it is measured it holds `alone`: stops
    /// of several daemons on one machine are measured one at a time.
    ///
    /// # Errors
    /// If an order is placed after the gate closed, or the trial does not come to its end.
    pub fn trial(&mut self, weather: Weather, alone: &Mutex<()>) -> Result<Took> {
        let own = |open: &BTreeMap<u64, Open>| open.values().filter(|order| order.coin == "BTC").count();
        self.wait_open("the parents' orders", |open| own(open) == self.own as usize)?;
        self.rig.fault(&weather.of_streams())?;
        let venue = self.rig.venue.url();
        strangers(&venue, self.foreign)?;
        let targets = self.wait_open("everybody's orders", |open| open.len() == (self.own + self.foreign) as usize)?;
        thread::sleep(SETTLE);
        let measuring = alone.lock().unwrap_or_else(PoisonError::into_inner);
        self.rig.fault(&weather.of_requests())?;
        self.wire.take()?;
        let asked = Asked::now();
        self.rig.daemon().proc.signal(Signal::USR1);
        let over = wait_over(&venue, ACCOUNT, asked, &targets)?;
        drop(measuring);
        self.rig.clear_faults()?;
        let swept = |status: &Value| status["gate"]["closed"] == true && status["gate"]["sweeping"] == false;
        let status = self.rig.wait("the end of the sweep", PATIENCE, swept)?;
        let closed = status["gate"]["closed_ns"].as_u64().context("when the gate closed")?;
        let actions = self.wire.take()?;
        let late = actions.iter().filter(|action| places(action) && action.at_ns > closed.max(asked.ns) + GATE_GRACE_NS).count();
        ensure!(late == 0, "{late} actions with orders were on the wire after the gate had closed");
        Ok(Took { gate: Some(closed.saturating_sub(asked.ns)), ..took(asked, &targets, &actions, &over) })
    }

    /// Lets the daemon trade again, as an operator would who has looked.
    ///
    /// # Errors
    /// If it is refused for long.
    pub fn rearm(&mut self) -> Result<()> {
        self.rig.wait("room in the request budget", PATIENCE, |s| s["connector"]["weight"][0].as_u64() <= Some(WEIGHT_MAX))?;
        let until = Instant::now() + PATIENCE;
        loop {
            let status = self.rig.status()?;
            for frozen in status["desk"]["frozen"].as_array().into_iter().flatten() {
                let name = frozen[0].as_str().context("a frozen market")?;
                self.rig.run(&["unfreeze", name, "--reason", "strangers of the bench"])?;
            }
            let (code, _, why) = self.rig.run(&["rearm", "--reason", "the bench has looked"])?;
            if code == Some(0) {
                return Ok(());
            }
            ensure!(Instant::now() < until, "not re-armed: {why}");
            thread::sleep(LOOK_EVERY);
        }
    }

    fn wait_open(&self, what: &str, wanted: impl Fn(&BTreeMap<u64, Open>) -> bool) -> Result<BTreeMap<u64, Open>> {
        let until = Instant::now() + PATIENCE;
        loop {
            let open = open_orders(&self.rig.venue.url(), ACCOUNT)?;
            if wanted(&open) {
                return Ok(open);
            }
            if Instant::now() >= until {
                let status = self.rig.status().unwrap_or_default();
                bail!(
                    "waited for {what}, but {} are open after {PATIENCE:?}; a parent: {}; sizes: {}; connector: {}",
                    open.len(),
                    status["desk"]["parents"][0]["progress"],
                    status["sizes"],
                    status["connector"]
                );
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

/// Moves the market's ask and its oracle a little, again and again: oracle and marks of a market that never moves are not trusted for
/// long. The bid, where the parents' orders rest, stays.
struct Breath {
    over: Arc<AtomicBool>,
}

impl Breath {
    /// Between two moves.
    const EVERY: Duration = Duration::from_secs(1);

    fn start(venue: String) -> Result<Breath> {
        let over = Arc::new(AtomicBool::new(false));
        let breathe = move |no: i64| {
            let (ask, oracle) = ((62_010 + no % 7).to_string(), (61_995 + no % 5).to_string());
            let push =
                json!({ "coin": "BTC", "bids": [["61980", "50"]], "asks": [[ask, "50"]], "replace": true, "oracle": oracle });
            http::post(&venue, "/control/market", &push)
        };
        breathe(0)?;
        let ended = Arc::clone(&over);
        thread::spawn(move || {
            // a venue that has gone has no market
            (1..)
                .take_while(|no| !ended.load(Ordering::Relaxed) && breathe(*no).is_ok())
                .for_each(|_| thread::sleep(Breath::EVERY));
        });
        Ok(Breath { over })
    }
}

impl Drop for Breath {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// An action that was written before the gate closed may be read from the wire this much later on a busy machine.
const GATE_GRACE_NS: u64 = 250_000_000;

fn places(action: &Action) -> bool {
    matches!(action.kind(), "order" | "modify" | "batchModify")
}

/// When a stop was asked for, by both clocks.
#[derive(Clone, Copy, Debug)]
struct Asked {
    ns: u64,
    ms: u64,
}

impl Asked {
    fn now() -> Asked {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Asked { ns: monotonic_ns(), ms: u64::try_from(wall.as_millis()).unwrap_or(0) }
    }
}

/// An open order.
#[derive(Debug, Deserialize)]
struct Open {
    coin: String,
    oid: u64,
    #[serde(default)]
    cloid: Option<String>,
}

/// Orders open at the venue, by number.
fn open_orders(venue: &str, user: &str) -> Result<BTreeMap<u64, Open>> {
    let rows = http::post(venue, "/info", &json!({ "type": "openOrders", "user": user }))?;
    let rows: Vec<Open> = serde_json::from_value(rows).context("openOrders")?;
    Ok(rows.into_iter().map(|row| (row.oid, row)).collect())
}

/// Waits until none of `targets` is open; when each was over, venue time. Some may be missing in the end.
fn wait_over(venue: &str, user: &str, asked: Asked, targets: &BTreeMap<u64, Open>) -> Result<BTreeMap<u64, u64>> {
    let until = Instant::now() + OVER_MAX;
    loop {
        thread::sleep(LOOK_EVERY);
        let over = over_since(venue, user, asked, targets)?;
        if over.len() == targets.len() || Instant::now() >= until {
            return Ok(over);
        }
    }
}

fn over_since(venue: &str, user: &str, asked: Asked, targets: &BTreeMap<u64, Open>) -> Result<BTreeMap<u64, u64>> {
    #[derive(Deserialize)]
    struct Row {
        oid: u64,
        status: String,
        at_ms: u64,
    }
    let mut truth = http::get(venue, &format!("/control/fills?user={user}&since_ms={}", asked.ms))?;
    let rows: Vec<Row> = serde_json::from_value(truth["orders"].take()).context("the venue's memory")?;
    let over = rows.into_iter().filter(|row| row.status != "open" && targets.contains_key(&row.oid));
    Ok(over.map(|row| (row.oid, row.at_ms)).collect())
}

/// Places `n` orders in ETH far below the market with the daemon's own key, as a person at a screen could.
fn strangers(venue: &str, n: u32) -> Result<()> {
    let key = Key::from_hex(KEY)?;
    let mut left = n;
    while left > 0 {
        let batch = left.min(BATCH);
        left -= batch;
        let order = json!({ "a": 1, "b": true, "p": "1500", "s": "0.01", "r": false, "t": { "limit": { "tif": "Gtc" } } });
        let orders = vec![order; batch as usize];
        let action = serde_json::from_value(json!({ "type": "order", "orders": orders, "grouping": "na" }))?;
        let signed = sign(&key, action, strange_nonce(), None, None, Network::Testnet)?;
        let answer = http::post(venue, "/exchange", &serde_json::to_value(signed)?)?;
        let statuses = answer["response"]["data"]["statuses"].as_array().cloned().unwrap_or_default();
        ensure!(statuses.len() == batch as usize && statuses.iter().all(|s| s["resting"].is_object()), "not all rest: {answer}");
    }
    Ok(())
}

/// Ahead of the daemon's, which are the present millisecond: both count in the same account.
fn strange_nonce() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_max(Asked::now().ms + 30_000, Ordering::SeqCst);
    LAST.fetch_add(1, Ordering::SeqCst)
}

/// From what was seen to what it took.
fn took(asked: Asked, targets: &BTreeMap<u64, Open>, actions: &[Action], over: &BTreeMap<u64, u64>) -> Took {
    let by_cloid: BTreeMap<&str, u64> = targets.values().filter_map(|order| Some((order.cloid.as_deref()?, order.oid))).collect();
    let cancels: Vec<&Action> =
        actions.iter().filter(|a| a.at_ns >= asked.ns && matches!(a.kind(), "cancel" | "cancelByCloid")).collect();
    let mut named: BTreeMap<u64, u64> = BTreeMap::new();
    for action in &cancels {
        for one in action.action["cancels"].as_array().into_iter().flatten() {
            let oid = one["o"].as_u64().or_else(|| by_cloid.get(one["cloid"].as_str()?).copied());
            if let Some(oid) = oid.filter(|oid| targets.contains_key(oid)) {
                named.entry(oid).or_insert(action.at_ns);
            }
        }
    }
    let after = |ns: u64| ns.saturating_sub(asked.ns);
    let whole = |map: &BTreeMap<u64, u64>| map.len() == targets.len();
    let last = |map: &BTreeMap<u64, u64>| map.values().copied().max().unwrap_or(0);
    Took {
        gate: None,
        first: cancels.first().map_or(u64::MAX, |action| after(action.at_ns)),
        all: whole(&named).then(|| after(last(&named))),
        over: whole(over).then(|| last(over).saturating_sub(asked.ms) * 1_000_000),
        left: targets.len() - over.len(),
        requests: cancels.len(),
    }
}

/// How a script with the official Python SDK cancels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sdk {
    /// `cancel` for one order after the other.
    OneByOne,
    /// `bulk_cancel` for as many as the venue takes.
    Bulk,
}

/// The same with the SDK instead of the daemon: through the same wire, from the numbers that the script remembered when it placed
/// them, so without a read. A call that raises is passed over, as a script that goes on does.
///
/// # Errors
/// The outer one if the SDK is not there, the inner one if the script fails.
pub fn sdk_trials(rig: &KillRig, how: Sdk, weather: Weather, orders: u32, trials: u32) -> Result<Result<Vec<Took>>, Missing> {
    let script = Witness::find(Client::Python, "python_kill.py")?;
    Ok((0..trials).map(|_| sdk_trial(rig, &script, how, weather, orders)).collect())
}

fn sdk_trial(rig: &KillRig, script: &Witness, how: Sdk, weather: Weather, orders: u32) -> Result<Took> {
    #[derive(Deserialize)]
    struct Said {
        ns: u64,
        ms: u64,
        oids: BTreeSet<u64>,
    }
    let venue = rig.rig.venue.url();
    let mode = match how {
        Sdk::OneByOne => "one-by-one",
        Sdk::Bulk => "bulk",
    };
    rig.wire.take()?;
    let faults = weather.of_requests().to_string();
    let lines = script.run_on(&[&rig.wire.url(), &venue, mode, &orders.to_string(), &faults])?;
    let line = lines.last().context("what the script says")?;
    let said: Said = serde_json::from_str(line).with_context(|| line.clone())?;
    let asked = Asked { ns: said.ns, ms: said.ms };
    let targets = said.oids.into_iter().map(|oid| (oid, Open { coin: "BTC".into(), oid, cloid: None })).collect();
    let over = over_since(&venue, SDK_ACCOUNT, asked, &targets)?;
    Ok(took(asked, &targets, &rig.wire.take()?, &over))
}
