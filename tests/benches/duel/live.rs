//! The whole daemon as a process: from the byte of a book update to the byte of the order, and what it holds in memory.
//!
//! Between the daemon and a paper venue stands a relay. It notes when it hands a book update on and when the first byte of the
//! next order comes back, so both ends of the measurement are outside the process that is measured. The floor is measured through
//! the same relay: a client that answers the same update with a ready-made body, without reading or signing anything.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use domain::Seed;
use futures_util::{SinkExt, StreamExt};
use paper::control::MarketPush;
use paper::{Market, Paper, PaperHandle, PaperSpec, VenueLimits};
use plimsoll_tests::{Daemon, Setup};
use rust_decimal::Decimal;
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::Message;

use crate::durable::FlushProbe;
use crate::harness::{Goal, Outcome, median, ratios};

/// Ticks of one case in one round. The venue's own request budget, which the connector keeps, bounds all rounds together.
const TICKS: usize = 30;
/// Warm-up ticks of each case.
const WARM: usize = 10;
/// Quiet before each tick.
const PAUSE: Duration = Duration::from_millis(3);
/// For a daemon to come up, or an order to come or go: a bound, never waited out when all is well.
const PATIENCE: Duration = Duration::from_secs(30);
/// The best bid of the market in which the daemon trades; no other frame holds this text.
const TICK_PX: i64 = 61_989;
/// Parents admitted to see what each holds.
const PARENTS: usize = 1_000;

pub fn ticks(rounds: usize) -> Vec<Outcome> {
    // The floor's client speaks no TLS, but is not made without a provider; one that is there already does as well.
    rustls::crypto::ring::default_provider().install_default().ok();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let memory_root = Path::new("/dev/shm");
    let memory = if memory_root.is_dir() { tempfile::tempdir_in(memory_root) } else { tempfile::tempdir() }.unwrap();
    let mut flush = FlushProbe::open(disk.path());
    let at = |root: &tempfile::TempDir, name: &str| {
        let dir = root.path().join(name);
        fs::create_dir(&dir).unwrap();
        dir
    };
    let mut rigs = [
        Rig::floor(&runtime, Route::Http),
        Rig::daemon(&runtime, &at(&memory, "http"), Route::Http),
        Rig::daemon(&runtime, &at(&disk, "http"), Route::Http),
        Rig::floor(&runtime, Route::Socket),
        Rig::daemon(&runtime, &at(&memory, "ws"), Route::Socket),
    ];
    let mut us: [Vec<f64>; 5] = Default::default();
    let mut flush_us = Vec::new();
    for round in 0..=rounds {
        let wanted = if round == 0 { WARM } else { TICKS };
        for (rig, all) in rigs.iter_mut().zip(&mut us) {
            let measured = rig.ticks(wanted);
            if round > 0 {
                all.push(measured);
            }
        }
        let measured = flush.median_us();
        if round > 0 {
            flush_us.push(measured);
        }
    }
    let [http_floor, http, durable, ws_floor, ws] = us;
    let floor_and_flush: Vec<f64> = http_floor.iter().zip(&flush_us).map(|(a, b)| a + b).collect();
    vec![
        Outcome::of("HTTP, journal in memory / transport floor", "x", Goal::AtMost(1.8), ratios(&http, &http_floor)),
        Outcome::of("WebSocket, journal in memory / transport floor", "x", Goal::AtMost(2.0), ratios(&ws, &ws_floor)),
        Outcome::of(
            "HTTP, intent durable first / (floor + one fdatasync)",
            "x",
            Goal::AtMost(1.15),
            ratios(&durable, &floor_and_flush),
        ),
        Outcome::of("transport floor, HTTP, p50", "us", Goal::None, http_floor),
        Outcome::of("tick to order, HTTP, journal in memory, p50", "us", Goal::None, http),
        Outcome::of("tick to order, HTTP, intent durable first, p50", "us", Goal::None, durable),
        Outcome::of("transport floor, WebSocket, p50", "us", Goal::None, ws_floor),
        Outcome::of("tick to order, WebSocket, journal in memory, p50", "us", Goal::None, ws),
        Outcome::of("append + fdatasync, p50", "us", Goal::None, flush_us),
    ]
}

pub fn memory(_rounds: usize) -> Vec<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut rig = Rig::daemon(&runtime, disk.path(), Route::Http);
    let idle = rig.rss_mib();
    for _ in 0..PARENTS {
        // A day long, in a market too thin to trade in: they live and place nothing.
        rig.submit("24h");
    }
    let full = rig.rss_mib();
    vec![
        Outcome::of("resident memory, idle, one venue connected", "MiB", Goal::AtMost(25.0), vec![idle]),
        Outcome::of("resident memory added by 1,000 live parents", "MiB", Goal::AtMost(3.0), vec![full - idle]),
    ]
}

/// A venue, the relay before it, and who trades through it.
struct Rig<'r> {
    runtime: &'r Runtime,
    venue: PaperHandle,
    relay: Relay,
    trader: Trader,
    submitted: u64,
}

/// How orders travel.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Route {
    Http,
    Socket,
}

enum Trader {
    Floor,
    Daemon { process: Daemon, socket: PathBuf },
}

impl<'r> Rig<'r> {
    fn venue(runtime: &'r Runtime) -> (PaperHandle, Relay) {
        let spec = PaperSpec { seed: Seed(3), market: Market::Still, limits: VenueLimits::unlimited(), ..PaperSpec::default() };
        let venue = runtime.block_on(Paper::start(spec)).unwrap();
        let relay = Relay::start(venue.addr);
        (venue, relay)
    }

    fn floor(runtime: &'r Runtime, route: Route) -> Rig<'r> {
        let (venue, relay) = Rig::venue(runtime);
        let address = relay.address;
        let (ready, is_ready) = mpsc::channel();
        runtime.spawn(floor_client(address, route, ready));
        let rig = Rig { runtime, venue, relay, trader: Trader::Floor, submitted: 0 };
        rig.thin();
        is_ready.recv_timeout(PATIENCE).unwrap();
        rig
    }

    fn daemon(runtime: &'r Runtime, dir: &Path, route: Route) -> Rig<'r> {
        let (venue, relay) = Rig::venue(runtime);
        let setup = Setup::new(dir, "").unwrap();
        setup.write_daemon(&format!("http://{}", relay.address)).unwrap();
        let mut args = setup.args(&[]);
        // Limits that no benchmark should meet.
        for set in [
            "guard.parents_per_hour_max_usd=100000000",
            "guard.venue_messages_per_min_max=60000",
            "guard.venue_burst_max=10000",
            "guard.open_orders_per_market_max=1000",
            // On a venue that stands still the marks do not move either.
            "guard.marks_age_max_ms=600000",
        ] {
            args.extend(["--set".to_owned(), set.to_owned()]);
        }
        if route == Route::Socket {
            args.extend(["--set".to_owned(), "venue.hyperliquid.order_route=ws".to_owned()]);
        }
        args.push("run".to_owned());
        let process = Daemon::spawn(dir, &args, &[("RUST_LOG", "warn")]).unwrap();
        let rig = Rig {
            runtime,
            venue,
            relay,
            trader: Trader::Daemon { process, socket: dir.join("state/plimsoll.sock") },
            submitted: 0,
        };
        rig.thin();
        rig.until("the daemon to be ready", |status| {
            status["desk"]["ready"] == true && !status["desk"]["guard"]["markets"]["hyperliquid:BTC"]["book_age_ms"].is_null()
        });
        rig
    }

    /// The market is too wide to trade in: a parent waits.
    fn thin(&self) {
        self.push(60_000, 64_000);
    }

    fn push(&self, bid: i64, ask: i64) {
        let side = |px: i64| vec![(Decimal::from(px), Decimal::from(50))];
        let push = MarketPush { coin: "BTC".into(), bids: side(bid), asks: side(ask), replace: true, ..MarketPush::default() };
        self.runtime.block_on(self.venue.push(push)).unwrap().unwrap();
    }

    /// Median microseconds from a book update to the order that follows from it.
    fn ticks(&mut self, count: usize) -> f64 {
        let times = (0..count).map(|n| self.tick(n)).collect();
        median(times)
    }

    fn tick(&mut self, n: usize) -> f64 {
        let parent = match self.trader {
            Trader::Floor => None,
            Trader::Daemon { .. } => Some(self.waiting_parent()),
        };
        // Everybody meets a tick with the caches of someone who waited for it.
        thread::sleep(PAUSE);
        let order = self.relay.arm();
        self.push(TICK_PX, TICK_PX + 22);
        let took = order.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no order after tick {n}\n{}", self.words()));
        if let Some(id) = parent {
            self.end(id);
        }
        self.thin();
        took.as_secs_f64() * 1e6
    }

    /// A parent that has placed nothing and waits for a market to trade in.
    fn waiting_parent(&mut self) -> u64 {
        for _ in 0..100 {
            let id = self.submit("1h");
            self.until("the parent to see a thin market", |status| sees_thin(status, id));
            let status = self.ask("GET", "/status", "");
            if parents_in(&status).any(|line| is_parent(line, id) && line["progress"]["children"] == 0) {
                return id;
            }
            // It came before the news that the market is thin: it has traded, and the next one will not.
            self.end(id);
        }
        panic!("every parent finds a market to trade in: {}", self.words())
    }

    fn end(&self, id: u64) {
        self.ask("POST", &format!("/parents/{id}"), "\"cancel\"");
        self.until("the parent's end", |status| !has_live(status, id));
    }

    fn submit(&mut self, horizon: &str) -> u64 {
        // Each of a size of its own: equal orders of different parents are refused as duplicates.
        self.submitted += 1;
        let quantity = format!("0.{:05}", 2_000 + self.submitted % 2_000);
        let parent = serde_json::json!({
            "instrument": "hyperliquid:BTC", "side": "buy", "quantity": quantity, "schedule": "twap", "slices": 1,
            "placement": "passive", "horizon": horizon, "slippage_bps": 500, "end": "cancel",
        });
        let answer = self.ask("POST", "/parents", &parent.to_string());
        let id = &answer["accepted"];
        id.as_u64().or_else(|| id.as_str()?.trim_start_matches('P').parse().ok()).unwrap_or_else(|| panic!("{answer}"))
    }

    fn until(&self, what: &str, wanted: impl Fn(&serde_json::Value) -> bool) {
        let end = Instant::now() + PATIENCE;
        let mut last = serde_json::Value::Null;
        while Instant::now() < end {
            if let Some(status) = self.try_ask("GET", "/status", "") {
                if wanted(&status) {
                    return;
                }
                last = status;
            }
            thread::sleep(Duration::from_millis(2));
        }
        panic!("waited for {what}\n{}\n{}", last["desk"], self.words());
    }

    fn words(&self) -> String {
        match &self.trader {
            Trader::Floor => String::new(),
            Trader::Daemon { process, .. } => process.proc.last_words(),
        }
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> serde_json::Value {
        self.try_ask(method, path, body).unwrap_or_else(|| panic!("{method} {path} {body}: no answer\n{}", self.words()))
    }

    /// The operator's socket; `None` while nobody listens or the answer is no JSON.
    fn try_ask(&self, method: &str, path: &str, body: &str) -> Option<serde_json::Value> {
        let Trader::Daemon { socket, .. } = &self.trader else { return None };
        let mut stream = UnixStream::connect(socket).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let length = body.len();
        // HTTP/1.0: the answer ends where the connection does.
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nhost: plimsoll\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    fn rss_mib(&mut self) -> f64 {
        let Trader::Daemon { process, .. } = &self.trader else { return f64::NAN };
        let status = fs::read_to_string(format!("/proc/{}/status", process.proc.pid())).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().trim_end_matches(" kB").parse::<f64>().ok());
        kib.unwrap_or(f64::NAN) / 1024.0
    }
}

fn parents_in(status: &serde_json::Value) -> impl Iterator<Item = &serde_json::Value> {
    status["desk"]["parents"].as_array().into_iter().flatten()
}

fn is_parent(line: &serde_json::Value, id: u64) -> bool {
    let told = &line["spec"]["id"];
    told.as_u64() == Some(id) || told.as_str() == Some(&format!("P{id}"))
}

fn has_live(status: &serde_json::Value, id: u64) -> bool {
    parents_in(status).any(|line| is_parent(line, id))
}

/// Whether the parent lives and says that the market is thin.
fn sees_thin(status: &serde_json::Value, id: u64) -> bool {
    has_live(status, id)
        && parents_in(status).filter(|line| is_parent(line, id)).all(|line| line["progress"].to_string().contains("thin"))
}

/// Answers each tick with a body of the right size that was made beforehand.
async fn floor_client(relay: SocketAddr, route: Route, ready: mpsc::Sender<()>) {
    let ws = format!("ws://{relay}/ws");
    let (mut market, _) = tokio_tungstenite::connect_async(&ws).await.unwrap();
    let subscribe = r#"{"method":"subscribe","subscription":{"type":"bbo","coin":"BTC"}}"#;
    market.send(Message::text(subscribe)).await.unwrap();
    // Orders have a connection of their own, open before the first tick, as the daemon's have.
    let (mut orders, _) = tokio_tungstenite::connect_async(&ws).await.unwrap();
    let http = reqwest::Client::builder().no_proxy().tcp_nodelay(true).build().unwrap();
    let url = format!("http://{relay}/exchange");
    let action = format!(r#"{{"action":{{"type":"floor","filler":"{}"}},"nonce":1}}"#, "x".repeat(400));
    let post = format!(r#"{{"method":"post","id":1,"request":{{"type":"action","payload":{action}}}}}"#);
    let mark = TICK_PX.to_string();
    let mut is_ready = false;
    loop {
        match route {
            Route::Http => {
                let sent = http.post(&url).header("content-type", "application/json").body(action.clone()).send();
                sent.await.unwrap().bytes().await.unwrap();
            }
            Route::Socket => {
                orders.send(Message::text(post.as_str())).await.unwrap();
                orders.next().await.unwrap().unwrap();
            }
        }
        if !is_ready {
            ready.send(()).unwrap();
            is_ready = true;
        }
        loop {
            let Some(Ok(message)) = market.next().await else { return };
            if message.to_text().is_ok_and(|text| text.contains(&mark)) {
                break;
            }
        }
    }
}

/// Copies bytes between clients and a venue, and times what was armed.
struct Relay {
    address: SocketAddr,
    watch: Arc<Mutex<Watch>>,
}

#[derive(Default)]
struct Watch {
    report: Option<mpsc::Sender<Duration>>,
    tick: Option<Instant>,
}

impl Relay {
    fn start(venue: SocketAddr) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let watch = Arc::new(Mutex::new(Watch::default()));
        let shared = Arc::clone(&watch);
        // Ends with the process; each connection's threads end with the connection.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(upstream) = TcpStream::connect(venue) else { continue };
                for stream in [&client, &upstream] {
                    stream.set_nodelay(true).ok();
                }
                let (Ok(from_client), Ok(to_client)) = (client.try_clone(), client.try_clone()) else { continue };
                let Ok(to_venue) = upstream.try_clone() else { continue };
                let (a, b) = (Arc::clone(&shared), Arc::clone(&shared));
                thread::spawn(move || copy(from_client, to_venue, |bytes| a.lock().unwrap().heard_from_client(bytes)));
                thread::spawn(move || copy(upstream, to_client, |bytes| b.lock().unwrap().heard_from_venue(bytes)));
            }
        });
        Relay { address, watch }
    }

    /// The time from the next tick to the order after it comes out of the channel.
    fn arm(&self) -> mpsc::Receiver<Duration> {
        let (report, out) = mpsc::channel();
        *self.watch.lock().unwrap() = Watch { report: Some(report), tick: None };
        out
    }
}

impl Watch {
    fn heard_from_venue(&mut self, bytes: &[u8]) {
        let mark = TICK_PX.to_string();
        if self.report.is_some() && self.tick.is_none() && bytes.windows(mark.len()).any(|window| window == mark.as_bytes()) {
            self.tick = Some(Instant::now());
        }
    }

    fn heard_from_client(&mut self, bytes: &[u8]) {
        if is_order(bytes)
            && let Some(tick) = self.tick.take()
            && let Some(report) = self.report.take()
        {
            report.send(tick.elapsed()).ok();
        }
    }
}

/// The head of a POST, or of a masked text frame of 126 bytes or more: subscriptions and pings are shorter.
fn is_order(bytes: &[u8]) -> bool {
    bytes.starts_with(b"POST /exchange") || matches!(bytes, [0x81, length, ..] if length & 0x7f >= 126)
}

fn copy(mut from: TcpStream, mut to: TcpStream, mut look: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(n) = from.read(&mut buffer) {
        if n == 0 {
            break;
        }
        look(&buffer[..n]);
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Write).ok();
}
