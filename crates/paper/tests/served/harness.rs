use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt, StreamExt};
use plimsoll_paper::control::{MarketPush, TradePush};
use plimsoll_paper::{Market, Paper, PaperHandle, PaperSpec, VenueLimits};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use wire::hyperliquid::Address;
use wire::hyperliquid::action::Action;
use wire::hyperliquid::sign::{Key, Network, sign};

/// Longer than anything waits on a loaded machine; a test that meets it has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Times and nonces of all tests: the host's milliseconds, each used once.
pub fn nonce() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = now_ms();
    LAST.fetch_max(now, Ordering::SeqCst);
    LAST.fetch_add(1, Ordering::SeqCst)
}

pub fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis()).expect("fits")
}

/// Waits, if need be, until the hour cannot turn within [`PATIENCE`]: on the full hour the venue settles funding by itself, and
/// a test that counts settlements would count one more.
pub async fn clear_of_the_hour() {
    const HOUR_MS: u64 = 3_600_000;
    let left = Duration::from_millis(HOUR_MS - now_ms() % HOUR_MS);
    if left < PATIENCE {
        tokio::time::sleep(left + Duration::from_millis(100)).await;
    }
}

pub fn key(n: u8) -> Key {
    Key::from_hex(&format!("{n:02x}").repeat(32)).expect("a valid key")
}

pub fn dec(text: &str) -> Decimal {
    Decimal::from_str_exact(text).expect("a decimal")
}

/// A venue in which nothing moves by itself, with budgets nobody meets.
pub fn still() -> PaperSpec {
    PaperSpec { market: Market::Still, limits: VenueLimits::unlimited(), ..PaperSpec::default() }
}

/// A running venue and a client of it.
pub struct Venue {
    pub paper: PaperHandle,
    pub http: reqwest::Client,
    pub key: Key,
}

impl Venue {
    pub async fn start(spec: PaperSpec) -> Venue {
        // a venue on a chain has a client of its own, which wants the provider as well
        let http = client();
        let paper = Paper::start(spec).await.expect("starts");
        Venue { paper, http, key: key(0x11) }
    }

    /// A still venue whose BTC book is bid 60,000 and 59,990, ask 60,010 and 60,020, one coin each.
    pub async fn with_book() -> Venue {
        let venue = Venue::start(still()).await;
        venue.book(&[("60000", "1"), ("59990", "1")], &[("60010", "1"), ("60020", "1")]).await;
        venue
    }

    pub async fn book(&self, bids: &[(&str, &str)], asks: &[(&str, &str)]) {
        let side = |levels: &[(&str, &str)]| levels.iter().map(|(p, q)| (dec(p), dec(q))).collect();
        self.push(MarketPush { bids: side(bids), asks: side(asks), replace: true, ..btc() }).await;
    }

    pub async fn print(&self, side: domain::Side, px: &str, sz: &str) {
        self.push(MarketPush { trades: vec![TradePush { side, px: dec(px), sz: dec(sz) }], ..btc() }).await;
    }

    pub async fn oracle(&self, px: &str) {
        self.push(MarketPush { oracle: Some(dec(px)), ..btc() }).await;
    }

    async fn push(&self, push: MarketPush) {
        self.paper.push(push).await.expect("runs").expect("valid");
    }

    pub fn address(&self) -> Address {
        self.key.address()
    }

    pub async fn info(&self, request: Value) -> Value {
        let (status, body) = self.post("/info", &request).await;
        assert_eq!(status, 200, "{request}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// A read about the client's own account.
    pub async fn own(&self, kind: &str) -> Value {
        self.info(json!({ "type": kind, "user": self.address() })).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, String) {
        let response = self.http.post(format!("{}{path}", self.paper.url())).json(body).send().await.expect("answers");
        (response.status().as_u16(), response.text().await.expect("a whole body"))
    }

    /// Signs and posts an action; status and body as they come.
    pub async fn raw(&self, action: Value) -> Result<(u16, String), reqwest::Error> {
        let body = signed(&self.key, action, nonce(), None, Network::Testnet);
        let response = self.http.post(format!("{}/exchange", self.paper.url())).json(&body).send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    /// Signs and posts an action; the JSON answer.
    pub async fn act(&self, action: Value) -> Value {
        let (status, body) = self.raw(action).await.expect("answers");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// Places one BTC order; its status.
    pub async fn place(&self, buys: bool, px: &str, sz: &str, tif: &str) -> Value {
        self.place_as(order(buys, px, sz, tif)).await
    }

    pub async fn place_as(&self, order: Value) -> Value {
        let answer = self.act(json!({ "type": "order", "orders": [order], "grouping": "na" })).await;
        statuses(&answer)[0].clone()
    }

    pub async fn ws(&self) -> Socket {
        Socket::open(&self.paper.ws_url()).await
    }
}

fn btc() -> MarketPush {
    MarketPush { coin: "BTC".into(), ..MarketPush::default() }
}

pub fn client() -> reqwest::Client {
    // every connection is plain HTTP on loopback, but the client is built with TLS and wants a provider
    let installed = rustls::crypto::ring::default_provider().install_default();
    drop(installed);
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client")
}

/// An order of BTC as it is posted.
pub fn order(buys: bool, px: &str, sz: &str, tif: &str) -> Value {
    json!({ "a": 0, "b": buys, "p": px, "s": sz, "r": false, "t": { "limit": { "tif": tif } } })
}

pub fn signed(key: &Key, action: Value, nonce: u64, expires_after: Option<u64>, network: Network) -> Value {
    let action: Action = serde_json::from_value(action).expect("an action");
    let signed = sign(key, action, nonce, None, expires_after, network).expect("signs");
    serde_json::to_value(signed).expect("JSON")
}

pub fn statuses(answer: &Value) -> Vec<Value> {
    let list = answer["response"]["data"]["statuses"].as_array();
    list.unwrap_or_else(|| panic!("no statuses in {answer}")).clone()
}

pub fn oid(status: &Value) -> u64 {
    let inner = if status["resting"].is_object() { &status["resting"] } else { &status["filled"] };
    inner["oid"].as_u64().unwrap_or_else(|| panic!("no oid in {status}"))
}

/// A client's WebSocket.
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub async fn open(url: &str) -> Socket {
        Socket(connect_async(url).await.expect("connects").0)
    }

    pub async fn send(&mut self, frame: Value) {
        self.text(frame.to_string()).await;
    }

    pub async fn text(&mut self, text: String) {
        self.0.send(Message::text(text)).await.expect("sends");
    }

    /// The next JSON message; `None` once the venue closed the socket.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("a message within patience");
            match message {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next message that `wanted` takes.
    pub async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..100_000 {
            let message = self.next().await.expect("an open socket");
            if wanted(&message) {
                return message;
            }
        }
        panic!("the message never came");
    }

    pub async fn channel(&mut self, name: &str) -> Value {
        self.until(|m| m["channel"] == name).await["data"].clone()
    }

    pub async fn subscribe(&mut self, subscription: Value) -> Value {
        self.send(json!({ "method": "subscribe", "subscription": subscription })).await;
        self.channel("subscriptionResponse").await["subscription"].clone()
    }

    /// Sends a ping and returns everything that came before its pong.
    pub async fn drain(&mut self) -> Vec<Value> {
        self.send(json!({ "method": "ping" })).await;
        let mut before = Vec::new();
        loop {
            let message = self.next().await.expect("an open socket");
            if message["channel"] == "pong" {
                return before;
            }
            before.push(message);
        }
    }
}
