//! A venue for tests: it answers like Hyperliquid, records what it was sent, and misbehaves on demand.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use domain::{Fact, Seed, Stamp, StreamHealth, StreamKind, Venue};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use wire::hyperliquid::Address;
use wire::hyperliquid::action::{Action, Signed};
use wire::hyperliquid::sign::{Key, Network};

use super::{Config, Market, Resume, StartError, Started};
use crate::hyperliquid::Connector;
use crate::port::Clock;

/// How the next matching request is answered.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Json(Value),
    Status(u16, &'static str),
    /// Accepts the request and never answers.
    Hang,
    /// Half a body, then the connection breaks (F09).
    Cut,
    /// One byte at a time, for ever (F10).
    Trickle,
    /// More than eight megabytes.
    Flood,
}

/// Which scripted answers are used up by a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Order,
    Cancel,
    Noop,
    DeadMan,
    Leverage,
    Transfer,
}

/// How a socket behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Normal,
    /// The peer is there and says nothing at all (F02).
    Mute,
    /// Subscriptions are refused.
    Refusing,
}

#[derive(Clone, Debug)]
enum Push {
    Text(String),
    Close,
}

#[derive(Clone, Debug)]
pub(super) struct Request {
    pub signed: Signed,
    pub body: String,
    /// Whether it came as a post on a socket.
    pub posted: bool,
}

#[derive(Default)]
struct Inner {
    scripts: BTreeMap<Kind, VecDeque<Answer>>,
    info: BTreeMap<String, Value>,
    info_scripts: BTreeMap<String, VecDeque<Answer>>,
    info_seen: Vec<Value>,
    requests: Vec<Request>,
    subscribed: Vec<Value>,
    nonces: BTreeSet<u64>,
    oid: u64,
    connections: usize,
    pings: usize,
    clock_offset_ms: i64,
}

/// A running stub.
#[derive(Clone)]
pub(super) struct Stub {
    inner: Arc<Mutex<Inner>>,
    push: broadcast::Sender<Push>,
    manner: watch::Sender<Manner>,
    pub base: String,
}

pub(super) fn wall_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(0)
}

/// The process clock of a test.
pub(super) fn clock() -> Clock {
    let zero = Instant::now();
    Arc::new(move || Stamp { mono: u64::try_from(zero.elapsed().as_nanos()).unwrap_or(0), wall_ms: wall_ms() })
}

pub(super) fn key() -> Key {
    Key::from_hex("0123456789012345678901234567890123456789012345678901234567890123").unwrap_or_else(|e| panic!("{e}"))
}

pub(super) const ACCOUNT: Address = Address([0xab; 20]);

impl Stub {
    pub(super) async fn serve() -> Stub {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap_or_else(|e| panic!("{e}"));
        let address = listener.local_addr().unwrap_or_else(|e| panic!("{e}"));
        let stub = Stub {
            inner: Arc::new(Mutex::new(Inner { oid: 1_000, ..Inner::default() })),
            push: broadcast::channel(1_024).0,
            manner: watch::channel(Manner::Normal).0,
            base: format!("http://{address}"),
        };
        stub.defaults();
        let router = Router::new()
            .route("/info", post(info))
            .route("/exchange", post(exchange))
            .route("/ws", get(upgrade))
            .with_state(stub.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        stub
    }

    fn defaults(&self) {
        let account = ACCOUNT.to_string();
        self.info("meta", json!({"universe":[
            {"name":"BTC","szDecimals":5,"maxLeverage":40,"marginTableId":56},
            {"name":"ETH","szDecimals":4,"maxLeverage":25,"marginTableId":25},
            {"name":"OLD","szDecimals":0,"maxLeverage":3,"marginTableId":3,"isDelisted":true},
            {"name":"HYPE","szDecimals":2,"maxLeverage":10,"marginTableId":10,"onlyIsolated":true}],
            "marginTables":[[56,{"description":"t","marginTiers":[{"lowerBound":"0.0","maxLeverage":40},{"lowerBound":"150000000.0","maxLeverage":20}]}]],
            "collateralToken":0}));
        self.info("userAbstraction", json!("default"));
        self.info("userRateLimit", json!({"cumVlm":"100.0","nRequestsUsed":5,"nRequestsCap":10_100}));
        self.info("extraAgents", json!([]));
        self.info("frontendOpenOrders", json!([]));
        self.info("userFillsByTime", json!([]));
        self.info("orderStatus", json!({"status":"unknownOid"}));
        self.info("candleSnapshot", json!([]));
        self.info("fundingHistory", json!([]));
        self.info("predictedFundings", json!([]));
        self.info("activeAssetData", json!({"user":account,"coin":"BTC","leverage":{"type":"cross","value":20},"maxTradeSzs":["1.0","1.0"],"availableToTrade":["1.0","1.0"],"markPx":"50000.0"}));
        self.info("clearinghouseState", state_json("1000.0", json!([])));
        self.role(ACCOUNT, json!({"role":"user"}));
        self.role(key().address(), json!({"role":"agent","data":{"user":account}}));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The standing answer to a read.
    pub(super) fn info(&self, kind: &str, answer: Value) {
        self.lock().info.insert(kind.to_owned(), answer);
    }

    pub(super) fn role(&self, user: Address, answer: Value) {
        self.info(&format!("userRole {user}"), answer);
    }

    /// The answer to the next read of this kind alone.
    pub(super) fn next_info(&self, kind: &str, answer: Answer) {
        self.lock().info_scripts.entry(kind.to_owned()).or_default().push_back(answer);
    }

    /// The answer to the next action of this kind alone.
    pub(super) fn next(&self, kind: Kind, answer: Answer) {
        self.lock().scripts.entry(kind).or_default().push_back(answer);
    }

    pub(super) fn shift_clock(&self, offset_ms: i64) {
        self.lock().clock_offset_ms = offset_ms;
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.lock().requests.clone()
    }

    /// Actions after the connector's own start-up.
    pub(super) fn actions(&self) -> Vec<Request> {
        self.requests().into_iter().skip_while(|r| matches!(r.signed.action, Action::Noop | Action::UpdateLeverage(_))).collect()
    }

    pub(super) fn infos(&self, kind: &str) -> Vec<Value> {
        self.lock().info_seen.iter().filter(|v| v["type"] == kind).cloned().collect()
    }

    pub(super) fn subscribed(&self, kind: &str) -> usize {
        self.lock().subscribed.iter().filter(|v| v["type"] == kind).count()
    }

    pub(super) fn connections(&self) -> usize {
        self.lock().connections
    }

    /// Sends a frame on every open socket that subscribed to anything.
    pub(super) fn push(&self, frame: &Value) {
        self.push_text(&frame.to_string());
    }

    pub(super) fn push_text(&self, frame: &str) {
        // no open socket is a fault of the test
        self.push.send(Push::Text(frame.to_owned())).unwrap_or_else(|e| panic!("{e}"));
    }

    pub(super) fn close_all(&self) {
        self.push.send(Push::Close).unwrap_or_else(|e| panic!("{e}"));
    }

    pub(super) fn manner(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }

    fn scripted(&self, kind: Kind) -> Option<Answer> {
        self.lock().scripts.get_mut(&kind).and_then(VecDeque::pop_front)
    }

    fn record(&self, body: &[u8], posted: bool) -> (Signed, Kind) {
        let signed: Signed = serde_json::from_slice(body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(body)));
        if signed.action.signed_network().is_none() {
            assert_eq!(signed.signer(Network::Testnet), Ok(key().address()), "signed by the key, for the network");
        }
        let kind = match &signed.action {
            Action::Order(_) | Action::BatchModify(_) => Kind::Order,
            Action::Cancel(_) | Action::CancelByCloid(_) => Kind::Cancel,
            Action::Noop => Kind::Noop,
            Action::ScheduleCancel(_) => Kind::DeadMan,
            Action::UpdateLeverage(_) => Kind::Leverage,
            Action::UsdClassTransfer(_)
            | Action::Withdraw3(_)
            | Action::SubAccountTransfer(_)
            | Action::UpdateIsolatedMargin(_) => Kind::Transfer,
            other => panic!("unexpected action {other:?}"),
        };
        let request = Request { signed: signed.clone(), body: String::from_utf8_lossy(body).into_owned(), posted };
        self.lock().requests.push(request);
        (signed, kind)
    }

    /// What a well-behaved venue answers.
    fn answer(&self, signed: &Signed) -> Value {
        let mut inner = self.lock();
        if !inner.nonces.insert(signed.nonce) {
            return json!({"status":"err","response":format!("Invalid nonce: duplicate nonce {}", signed.nonce)});
        }
        let statuses = |n: usize, inner: &mut Inner| -> Vec<Value> {
            (0..n)
                .map(|_| {
                    inner.oid += 1;
                    json!({"resting":{"oid":inner.oid}})
                })
                .collect()
        };
        match &signed.action {
            Action::Order(order) => {
                json!({"status":"ok","response":{"type":"order","data":{"statuses":statuses(order.orders.len(), &mut inner)}}})
            }
            Action::BatchModify(modify) => {
                json!({"status":"ok","response":{"type":"order","data":{"statuses":statuses(modify.modifies.len(), &mut inner)}}})
            }
            Action::Cancel(cancel) => {
                json!({"status":"ok","response":{"type":"cancel","data":{"statuses":vec!["success"; cancel.cancels.len()]}}})
            }
            Action::CancelByCloid(cancel) => {
                json!({"status":"ok","response":{"type":"cancel","data":{"statuses":vec!["success"; cancel.cancels.len()]}}})
            }
            _ => json!({"status":"ok","response":{"type":"default"}}),
        }
    }
}

pub(super) fn state_json(value: &str, positions: Value) -> Value {
    json!({"marginSummary":{"accountValue":value,"totalNtlPos":"0.0","totalRawUsd":value,"totalMarginUsed":"0.0"},
        "crossMarginSummary":{"accountValue":value,"totalNtlPos":"0.0","totalRawUsd":value,"totalMarginUsed":"0.0"},
        "crossMaintenanceMarginUsed":"0.0","withdrawable":value,"assetPositions":positions,"time":wall_ms()})
}

async fn write(answer: Answer) -> Response<Body> {
    match answer {
        Answer::Json(value) => axum::Json(value).into_response(),
        Answer::Status(status, text) => {
            (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), text).into_response()
        }
        Answer::Hang => std::future::pending().await,
        Answer::Cut => {
            let half = Ok(Bytes::from_static(br#"{"status":"ok","response":{"type":"or"#));
            let cut = Err(std::io::Error::other("cut"));
            Response::new(Body::from_stream(stream::iter([half, cut])))
        }
        Answer::Trickle => Response::new(Body::from_stream(stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ()))
        }))),
        Answer::Flood => Response::new(Body::from(vec![b' '; 9 * 1024 * 1024])),
    }
}

async fn info(State(stub): State<Stub>, body: Bytes) -> Response<Body> {
    let request: Value = serde_json::from_slice(&body).unwrap_or_else(|e| panic!("{e}"));
    let kind = request["type"].as_str().unwrap_or_default().to_owned();
    let answer = {
        let mut inner = stub.lock();
        inner.info_seen.push(request.clone());
        let scripted = inner.info_scripts.get_mut(&kind).and_then(VecDeque::pop_front);
        scripted.unwrap_or_else(|| match kind.as_str() {
            "exchangeStatus" => {
                Answer::Json(json!({"time": wall_ms().saturating_add_signed(inner.clock_offset_ms), "specialStatuses": null}))
            }
            "userRole" => {
                let of = format!("userRole {}", request["user"].as_str().unwrap_or_default());
                Answer::Json(inner.info.get(&of).cloned().unwrap_or_else(|| json!({"role":"missing"})))
            }
            kind => inner
                .info
                .get(&format!("{kind} {}", request["req"]["interval"].as_str().unwrap_or_default()))
                .or_else(|| inner.info.get(kind))
                .cloned()
                .map_or(Answer::Status(422, "Failed to deserialize the JSON body into the target type"), Answer::Json),
        })
    };
    write(answer).await
}

async fn exchange(State(stub): State<Stub>, body: Bytes) -> Response<Body> {
    let (signed, kind) = stub.record(&body, false);
    let answer = match stub.scripted(kind) {
        Some(scripted) => scripted,
        None => Answer::Json(stub.answer(&signed)),
    };
    write(answer).await
}

async fn upgrade(State(stub): State<Stub>, upgrade: WebSocketUpgrade) -> Response<Body> {
    upgrade.on_upgrade(move |socket| serve_socket(stub, socket))
}

async fn serve_socket(stub: Stub, mut socket: WebSocket) {
    stub.lock().connections += 1;
    let mut pushed = stub.push.subscribe();
    let mut manner = stub.manner.subscribe();
    let mut subscribed = false;
    if *manner.borrow() != Manner::Mute && socket.send(Message::text("Websocket connection established.")).await.is_err() {
        return;
    }
    loop {
        tokio::select! {
            frame = socket.recv() => {
                let Some(Ok(frame)) = frame else { return };
                let Message::Text(text) = frame else { continue };
                let request: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}"));
                let now = *manner.borrow();
                let reply = match request["method"].as_str() {
                    Some("ping") => {
                        stub.lock().pings += 1;
                        json!({"channel":"pong"})
                    }
                    Some("subscribe") if now == Manner::Refusing => json!({"channel":"error","data":format!("Invalid subscription {}", request["subscription"])}),
                    Some("subscribe") => {
                        subscribed = true;
                        stub.lock().subscribed.push(request["subscription"].clone());
                        json!({"channel":"subscriptionResponse","data":{"method":"subscribe","subscription":request["subscription"]}})
                    }
                    Some("post") => {
                        let body = request["request"]["payload"].to_string();
                        let (signed, kind) = stub.record(body.as_bytes(), true);
                        let response = match stub.scripted(kind) {
                            Some(Answer::Hang) => continue,
                            Some(Answer::Cut) => return,
                            Some(Answer::Json(value)) => json!({"type":"action","payload":value}),
                            Some(Answer::Status(_, text)) => json!({"type":"error","payload":text}),
                            Some(other) => panic!("{other:?} is no answer to a post"),
                            None => json!({"type":"action","payload":stub.answer(&signed)}),
                        };
                        json!({"channel":"post","data":{"id":request["id"],"response":response}})
                    }
                    _ => panic!("unexpected frame {request}"),
                };
                if now != Manner::Mute && socket.send(Message::text(reply.to_string())).await.is_err() {
                    return;
                }
            }
            push = pushed.recv() => match push {
                Ok(Push::Text(text)) if subscribed && *manner.borrow() != Manner::Mute => {
                    if socket.send(Message::text(text)).await.is_err() {
                        return;
                    }
                }
                Ok(Push::Text(_)) => {}
                Ok(Push::Close) | Err(_) => return,
            },
            _ = manner.changed() => {}
        }
    }
}

/// Short times, so that a test of a deadline is short; where a test waits for an answer, long enough for a busy machine.
pub(super) fn config(stub: &Stub) -> Config {
    let mut config = Config::new(Network::Testnet, Some(&stub.base), ACCOUNT, vec![Market::named("BTC"), Market::named("ETH")]);
    let ms = Duration::from_millis;
    config.timing.place = ms(1_000);
    config.timing.cancel_attempt = ms(700);
    config.timing.cancel_deadline = ms(8_000);
    config.timing.read = ms(3_000);
    config.timing.snapshot = ms(8_000);
    config.timing.stale = ms(250);
    config.timing.ping = ms(150);
    config.timing.pong = ms(5_000);
    config.timing.silent = ms(60_000);
    config.timing.mention = ms(60_000);
    config.timing.backoff = ms(20);
    config.timing.backoff_max = ms(100);
    config.timing.throttled = ms(50);
    config.timing.account_poll = Duration::from_secs(3_600);
    config.timing.sweep_pause = ms(100);
    config
}

pub(super) fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // an error means that another test was first
        drop(rustls::crypto::ring::default_provider().install_default());
    });
}

pub(super) async fn try_start(config: Config) -> Result<Started, StartError> {
    install_tls();
    Connector::start(config, key(), clock(), Seed(7).fork("test"), Resume::default()).await
}

/// A started connector, and the market facts that were taken from its feed but not asked for yet.
#[derive(Debug)]
pub(super) struct Rig {
    started: Started,
    stash: VecDeque<Fact>,
}

impl From<Started> for Rig {
    fn from(started: Started) -> Rig {
        Rig { started, stash: VecDeque::new() }
    }
}

impl std::ops::Deref for Rig {
    type Target = Started;
    fn deref(&self) -> &Started {
        &self.started
    }
}

impl std::ops::DerefMut for Rig {
    fn deref_mut(&mut self) -> &mut Started {
        &mut self.started
    }
}

/// Starts, without waiting for the streams.
pub(super) async fn launch(config: Config) -> Rig {
    Rig::from(try_start(config).await.unwrap_or_else(|e| panic!("{e}")))
}

/// Starts and waits until both streams are up.
pub(super) async fn start(config: Config) -> Rig {
    let mut started = launch(config).await;
    wait_account(&mut started, |f| *f == Fact::Stream(Venue::Hyperliquid, StreamKind::Account, StreamHealth::Up)).await;
    let (_, before) =
        wait_market(&mut started, |f| *f == Fact::Stream(Venue::Hyperliquid, StreamKind::Market, StreamHealth::Up)).await;
    // history is read beside the streams, and may have come first
    let history = before.into_iter().filter(|f| matches!(f, Fact::Bars { .. } | Fact::FundingRates { .. }));
    for fact in history.rev() {
        started.stash.push_front(fact);
    }
    started
}

/// Longer than anything waits on a loaded machine; a test that meets it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// The first account fact that `wanted` takes; everything before it is skipped and returned.
pub(super) async fn wait_account(started: &mut Rig, wanted: impl Fn(&Fact) -> bool) -> (Fact, Vec<Fact>) {
    let mut skipped = Vec::new();
    let search = async {
        while let Some(fact) = started.account.recv().await {
            if wanted(&fact) {
                return Some(fact);
            }
            skipped.push(fact);
        }
        None
    };
    match tokio::time::timeout(PATIENCE, search).await {
        Ok(Some(fact)) => (fact, skipped),
        Ok(None) => panic!("the account feed ended"),
        Err(_) => panic!("the fact did not come; these did: {skipped:?}"),
    }
}

pub(super) async fn wait_market(rig: &mut Rig, wanted: impl Fn(&Fact) -> bool) -> (Fact, Vec<Fact>) {
    let mut skipped = Vec::new();
    let search = async {
        loop {
            while let Some(fact) = rig.stash.pop_front() {
                if wanted(&fact) {
                    return Some(fact);
                }
                skipped.push(fact);
            }
            let mut batch = Vec::new();
            if rig.started.market.recv_many(&mut batch).await == 0 {
                return None;
            }
            rig.stash.extend(batch);
        }
    };
    match tokio::time::timeout(PATIENCE, search).await {
        Ok(Some(fact)) => (fact, skipped),
        Ok(None) => panic!("the market feed ended"),
        Err(_) => panic!("the fact did not come; these did: {skipped:?}"),
    }
}

/// Waits until `done` holds of the stub.
pub(super) async fn until(what: &str, done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what} did not happen"));
}
