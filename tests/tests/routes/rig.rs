//! A venue, a recorder before it, and the part of the desk that a transfer at the venue needs: treasury, log, connector.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use domain::{
    Entry, Epoch, EvmAddress, Fact, JournalTag, Receipt, Route, Seed, Stamp, Stamped, TransferEvent, TransferId, TransferIntent,
    Usd, Venue, WriteAhead,
};
use margin_guard::{ClearedTransfer, RawDestination, RawTreasury, Treasury, TreasuryLimits, release_all};
use paper::control::MarketPush;
use paper::{Accounts, Market, Paper, PaperHandle, PaperSpec, VenueLimits};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use venue_connector::hyperliquid::{Config, Connector, Market as Traded, Network, Resume};
use wire::hyperliquid::Address;
use wire::hyperliquid::action::Action;
use wire::hyperliquid::sign::{Key, sign};

/// The account's own key, which stays with its operator, and the agent's, with which the connector works.
pub const FUNDS: &str = "7777777777777777777777777777777777777777777777777777777777777777";
pub const AGENT: &str = "a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6";
/// Who receives withdrawals, and who is no sub-account of anybody.
pub const COLD: EvmAddress = EvmAddress([0xc0; 20]);
pub const STRANGER: EvmAddress = EvmAddress([0x5a; 20]);
/// Longer than anything waits on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn funds() -> Key {
    Key::from_hex(FUNDS).unwrap()
}

pub fn agent() -> Key {
    Key::from_hex(AGENT).unwrap()
}

pub fn master() -> EvmAddress {
    EvmAddress(funds().address().0)
}

/// Nonces of everything that a test signs: the host's milliseconds, each used once; even, as the connector's own are odd.
pub fn nonce() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap() & !1;
    LAST.fetch_max(now, Ordering::SeqCst);
    LAST.fetch_add(2, Ordering::SeqCst)
}

pub fn dec(text: &str) -> Decimal {
    Decimal::from_str_exact(text).unwrap()
}

/// A venue with the master's account of 100,000 and its agent, and a sub-account of it with 1,000.
pub struct Exchange {
    pub paper: PaperHandle,
    http: reqwest::Client,
    pub sub: EvmAddress,
}

impl Exchange {
    pub async fn start() -> Result<Exchange> {
        rustls::crypto::ring::default_provider().install_default().ok();
        let accounts = Accounts {
            open: None,
            listed: [(funds().address(), Usd::whole(100_000))].into(),
            agents: [(agent().address(), funds().address())].into(),
        };
        let limits = VenueLimits::unlimited();
        let spec = PaperSpec { market: Market::Still, limits, accounts, ..PaperSpec::default() };
        let paper = Paper::start(spec).await?;
        let mut venue = Exchange { paper, http: reqwest::Client::builder().no_proxy().build()?, sub: STRANGER };
        for (coin, bid, ask) in [("BTC", "61799", "61800"), ("PURR", "0.17199", "0.172"), ("PEOPLE", "0.07259", "0.0726")] {
            let push = MarketPush {
                coin: coin.into(),
                bids: vec![(dec(bid), dec("1000000"))],
                asks: vec![(dec(ask), dec("1000000"))],
                replace: true,
                // what is held then neither gains nor loses to speak of
                oracle: Some(dec(ask)),
                ..MarketPush::default()
            };
            venue.paper.push(push).await?.map_err(|why| anyhow::anyhow!(why))?;
        }
        // volume is what sub-accounts are made of
        let early = venue.act(&funds(), json!({"type": "createSubAccount", "name": "plimsoll"}), None).await?;
        ensure!(text_of(&early).starts_with("Cannot create sub-accounts until enough volume traded."), "{early}");
        for (buys, px) in [(true, "61800"), (false, "61799")] {
            venue.take("BTC", buys, px, "1").await?;
        }
        let created = venue.act(&funds(), json!({"type": "createSubAccount", "name": "plimsoll"}), None).await?;
        venue.sub = created["response"]["data"].as_str().context("an address")?.parse()?;
        let usd = json!({"type": "subAccountTransfer", "subAccountUser": venue.sub.to_string(), "isDeposit": true, "usd": 1_000_000_000_u64});
        ensure!(venue.act(&funds(), usd, None).await?["status"] == "ok");
        Ok(venue)
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.http.post(format!("{}{path}", self.paper.url())).json(body).send().await?.text().await?;
        serde_json::from_str(&answer).with_context(|| answer)
    }

    /// Signs an action by hand and posts it, with a vault written beside the signature if one is named.
    pub async fn act(&self, key: &Key, mut action: Value, vault: Option<EvmAddress>) -> Result<Value> {
        let at = nonce();
        for own in ["nonce", "time"] {
            if action.get(own).is_some() {
                action[own] = json!(at);
            }
        }
        let mut body = signed(key, action, at, Network::Testnet)?;
        if let Some(vault) = vault {
            body["vaultAddress"] = json!(vault.to_string());
        }
        self.post("/exchange", &body).await
    }

    /// Takes from the book at once.
    pub async fn take(&self, coin: &str, buys: bool, px: &str, size: &str) -> Result<()> {
        let order =
            json!({"a": self.asset(coin).await?, "b": buys, "p": px, "s": size, "r": false, "t": {"limit": {"tif": "Ioc"}}});
        let answer = self.act(&agent(), json!({"type": "order", "orders": [order], "grouping": "na"}), None).await?;
        ensure!(answer["response"]["data"]["statuses"][0]["filled"]["totalSz"].is_string(), "{answer}");
        Ok(())
    }

    pub async fn asset(&self, coin: &str) -> Result<usize> {
        let meta = self.post("/info", &json!({"type": "meta"})).await?;
        let universe = meta["universe"].as_array().context("markets")?;
        universe.iter().position(|one| one["name"] == coin).context("a market")
    }

    async fn of(&self, kind: &str, user: EvmAddress) -> Result<Value> {
        self.post("/info", &json!({"type": kind, "user": user.to_string()})).await
    }

    pub async fn ledger(&self, user: EvmAddress) -> Result<Vec<Value>> {
        let asked = json!({"type": "userNonFundingLedgerUpdates", "user": user.to_string(), "startTime": 0});
        Ok(self.post("/info", &asked).await?.as_array().cloned().unwrap_or_default())
    }

    /// What of an account no price moves.
    pub async fn money(&self, user: EvmAddress) -> Result<Money> {
        let (perps, spot) = (self.of("clearinghouseState", user).await?, self.of("spotClearinghouseState", user).await?);
        let amount = |value: &Value| value.as_str().map_or(Decimal::ZERO, dec);
        let positions = perps["assetPositions"].as_array().cloned().unwrap_or_default();
        let margin = positions.iter().map(|one| &one["position"]);
        let usdc = spot["balances"].as_array().and_then(|all| all.iter().find(|one| one["coin"] == "USDC")).cloned();
        Ok(Money {
            perps: amount(&perps["marginSummary"]["totalRawUsd"]),
            spot: amount(&usdc.unwrap_or_default()["total"]),
            margin: margin
                .map(|one| (one["coin"].as_str().unwrap_or_default().to_owned(), amount(&one["leverage"]["rawUsd"])))
                .collect(),
        })
    }
}

/// What an account has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Money {
    /// Cash less what positions cost, those margined in isolation included.
    pub perps: Decimal,
    /// USDC of the spot balance.
    pub spot: Decimal,
    /// By market: collateral of the isolated position less what it cost.
    pub margin: BTreeMap<String, Decimal>,
}

impl Money {
    pub fn margin(&self, coin: &str) -> Decimal {
        self.margin.get(coin).copied().unwrap_or_default()
    }
}

pub fn text_of(answer: &Value) -> String {
    answer["response"].as_str().unwrap_or_default().to_owned()
}

/// The body of an action.
pub fn signed(key: &Key, action: Value, nonce: u64, network: Network) -> Result<Value> {
    let action: Action = serde_json::from_value(action)?;
    Ok(serde_json::to_value(sign(key, action, nonce, None, None, network)?)?)
}

#[derive(Clone)]
struct Recorder {
    target: String,
    client: reqwest::Client,
    posts: Arc<Mutex<Vec<Value>>>,
}

async fn pass(
    State(recorder): State<Recorder>,
    uri: Uri,
    body: String,
) -> Result<([(header::HeaderName, &'static str); 1], String), StatusCode> {
    if uri.path() == "/exchange" {
        let post = serde_json::from_str(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
        recorder.posts.lock().unwrap().push(post);
    }
    let content = (header::CONTENT_TYPE, "application/json");
    let sent = recorder.client.post(format!("{}{}", recorder.target, uri.path())).header(content.0.clone(), content.1).body(body);
    let answer = sent.send().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok(([content], answer.text().await.map_err(|_| StatusCode::BAD_GATEWAY)?))
}

/// A log in memory: what is in it is durable.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<u64>>);

impl WriteAhead for Log {
    type Error = std::convert::Infallible;
    async fn append(&self, entries: Vec<Stamped>) -> Result<Receipt, Self::Error> {
        let mut length = self.0.lock().unwrap();
        let first = *length + 1;
        *length += entries.len() as u64;
        Ok(Receipt { first, last: *length, epoch: Epoch(1) })
    }
}

/// A connector for one account, with what clears its transfers.
pub struct Desk {
    pub connector: Connector,
    facts: mpsc::Receiver<Fact>,
    treasury: Treasury,
    log: Log,
    clock: venue_connector::Clock,
    account: EvmAddress,
    posts: Arc<Mutex<Vec<Value>>>,
}

impl Desk {
    /// For the master account, or for its sub-account.
    pub async fn start(venue: &Exchange, network: Network, account: EvmAddress) -> Result<Desk> {
        let posts = Arc::new(Mutex::new(Vec::new()));
        let client = reqwest::Client::builder().no_proxy().build()?;
        let recorder = Recorder { target: venue.paper.url(), client, posts: Arc::clone(&posts) };
        let app = axum::Router::new().fallback(axum::routing::post(pass)).with_state(recorder);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, app).await });
        let mut config = Config::new(network, Some(&base), Address(account.0), vec![Traded::named("BTC")]);
        config.ws = venue.paper.ws_url();
        config.sub_account = account != master();
        config.timing.place = Duration::from_secs(2);
        let start = Instant::now();
        let clock: venue_connector::Clock = Arc::new(move || {
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let mono = 1_000_000_000 + u64::try_from(start.elapsed().as_nanos()).unwrap_or(0);
            Stamp { mono, wall_ms: u64::try_from(wall.as_millis()).unwrap_or(0) }
        });
        let started = Connector::start(config, agent(), Arc::clone(&clock), Seed(1).fork("test"), Resume::default()).await?;
        let to = |kind: &str, address: EvmAddress| RawDestination { kind: kind.into(), address: address.to_string() };
        let raw = RawTreasury {
            destination_delay_hours: Some("0".into()),
            transfer_max_usd: Some("1000000".into()),
            hour_max_usd: Some("1000000".into()),
            day_max_usd: Some("1000000".into()),
            week_max_usd: Some("1000000".into()),
            inside_transfer_max_usd: Some("1000000".into()),
            inside_day_max_usd: Some("10000000".into()),
            destination: BTreeMap::from([
                ("sub".to_owned(), to("sub_account", venue.sub)),
                ("stranger".to_owned(), to("sub_account", STRANGER)),
                ("cold".to_owned(), to("withdrawal", COLD)),
            ]),
            ..RawTreasury::default()
        };
        let treasury = Treasury::new(TreasuryLimits::check(&raw).map_err(|faults| anyhow::anyhow!("{faults:?}"))?);
        let log = Log::default();
        let mut desk = Desk { connector: started.connector, facts: started.account, treasury, log, clock, account, posts };
        let epoch = Epoch(1);
        let begun = Entry::Epoch { epoch, tag: JournalTag(1), seed: Seed(1), binary: String::new(), config: String::new() };
        desk.fold(&begun)?;
        if let Some(limits) = desk.treasury.record() {
            desk.fold(&limits)?;
        }
        desk.fold(&Entry::Reconciled { epoch, state: String::new(), repairs: 0 })?;
        Ok(desk)
    }

    fn fold(&mut self, entry: &Entry) -> Result<()> {
        Ok(self.treasury.fold((self.clock)(), entry)?)
    }

    /// Decides on a transfer, does it, and tells all that was told of it. What ends at the venue's door is credited by hand.
    pub async fn transfer(
        &mut self,
        route: Route,
        amount: &str,
        key: Option<&Key>,
    ) -> Result<(TransferIntent, Vec<TransferEvent>)> {
        let intent = TransferIntent {
            id: self.treasury.next_id(),
            venue: Venue::Hyperliquid,
            account: self.account,
            route,
            amount: amount.parse()?,
            fee_max: if matches!(route, Route::Withdrawal { .. }) { Usd::whole(1) } else { Usd::ZERO },
            nonce: nonce(),
            limits: self.treasury.limits().id(),
            cause: "a test".into(),
        };
        let cleared = self.treasury.clear((self.clock)(), intent.clone())?;
        let events = self.step(intent.id, cleared, key).await?;
        if events.last() == Some(&TransferEvent::Accepted) && !route.inside() {
            self.credit(intent.id, intent.amount)?;
        }
        Ok((intent, events))
    }

    /// Does again what may have been done before, as a later tenure would.
    pub async fn resume(&mut self, id: TransferId, key: Option<&Key>) -> Result<Vec<TransferEvent>> {
        let cleared = self.treasury.clear_resumed((self.clock)(), id)?;
        self.step(id, cleared, key).await
    }

    async fn step(&mut self, id: TransferId, cleared: ClearedTransfer, key: Option<&Key>) -> Result<Vec<TransferEvent>> {
        let entry = cleared.entry();
        self.fold(&entry)?;
        let entries = vec![Stamped { at: (self.clock)(), entry }];
        let (_, released) = release_all(Vec::new(), vec![cleared], entries, &self.log).await?;
        for one in released {
            self.connector.transfer(one, key).await;
        }
        let mut events = Vec::new();
        loop {
            let fact = tokio::time::timeout(PATIENCE, self.facts.recv()).await?.context("the connector ended")?;
            let Fact::Transfer { id: of, event } = fact else { continue };
            ensure!(of == id, "{of} is told of, not {id}");
            self.fold(&Entry::Transfer { id, event: (*event).clone() })?;
            let is_last = *event != TransferEvent::Sent { hash: None };
            events.push(*event);
            if is_last {
                return Ok(events);
            }
        }
    }

    /// Says that what left has arrived.
    pub fn credit(&mut self, id: TransferId, amount: Usd) -> Result<()> {
        self.fold(&Entry::Transfer { id, event: TransferEvent::Credited { amount, venue_ms: 1 } })
    }

    /// The last action that went to the venue.
    pub fn posted(&self) -> Result<Value> {
        match self.posts.lock().unwrap().last() {
            Some(post) => Ok(post.clone()),
            None => bail!("nothing was posted"),
        }
    }

    /// How many actions went to the venue.
    pub fn posts(&self) -> usize {
        self.posts.lock().unwrap().len()
    }
}
