//! A socket that stays alive: connect, subscribe, watch, ping, and connect again. What the frames mean is a [`Reader`]'s matter.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{Prng, StreamHealth};
use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::Shared;

/// Largest frame taken. The venue's largest are full snapshots of a busy account, well under one megabyte.
const FRAME_MAX: usize = 4 * 1024 * 1024;
/// A connection that lasted this long was a good one: the next wait starts small again.
const STABLE: Duration = Duration::from_secs(30);
/// Subscriptions are acknowledged within a round trip or two.
const SUBSCRIBE_MAX: Duration = Duration::from_secs(10);
/// A write of some hundred bytes blocks only when the peer is gone and the kernel's buffer is full.
const WRITE_MAX: Duration = Duration::from_secs(1);
/// The venue counts connections by the minute.
const MINUTE: Duration = Duration::from_secs(60);

/// What a frame was to its reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Something subscribed to.
    Data,
    /// A sign of life alone: a pong, a greeting, something counted and skipped.
    Life,
    /// A subscription was accepted.
    Subscribed,
    /// A subscription was refused that can be done without.
    DoneWithout,
    /// The connection is of no use; with the reason.
    Useless(String),
}

/// What one socket is for.
pub(super) trait Reader: Send + 'static {
    /// For logs.
    const NAME: &'static str;

    /// Forgets what belonged to the last connection and says what to subscribe to, as frames.
    fn begin(&mut self) -> Vec<String>;

    /// Takes one text frame.
    fn read(&mut self, frame: &str) -> Heard;

    /// Passes on what `read` gathered. It may wait: the socket waits with it.
    fn deliver(&mut self) -> impl Future<Output = ()> + Send;

    /// The stream's health changed.
    fn health(&mut self, health: StreamHealth) -> impl Future<Output = ()> + Send;

    /// A frame to send, when there is one; pending for ever if this socket only listens. Must be cancel-safe.
    fn outgoing(&mut self) -> impl Future<Output = String> + Send {
        std::future::pending()
    }

    /// Whether silence means that something is wrong: then how long it may last, first until stale, then until reconnecting.
    fn silence(&self) -> Option<(Duration, Duration)> {
        None
    }

    /// Whether something that the stream should have said is missing.
    fn missing(&mut self) -> Option<&'static str> {
        None
    }

    /// The connection ended; what was under way on it is lost.
    fn end(&mut self) {}
}

/// New connections of all sockets together, by the minute.
#[derive(Debug)]
pub(super) struct Pacer {
    per_minute: usize,
    recent: Mutex<VecDeque<Instant>>,
}

impl Pacer {
    pub(super) fn new(per_minute: u32) -> Pacer {
        Pacer { per_minute: usize::try_from(per_minute).unwrap_or(1).max(1), recent: Mutex::new(VecDeque::new()) }
    }

    /// Books a connection now, or says when one may be made.
    fn book(&self, now: Instant) -> Result<(), Instant> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        while recent.front().is_some_and(|t| now.duration_since(*t) >= MINUTE) {
            recent.pop_front();
        }
        match recent.front() {
            Some(oldest) if recent.len() >= self.per_minute => Err(*oldest + MINUTE),
            _ => {
                recent.push_back(now);
                Ok(())
            }
        }
    }

    async fn turn(&self) {
        while let Err(at) = self.book(Instant::now()) {
            tokio::time::sleep_until(at).await;
        }
    }
}

/// The wait before the next connection: none at first, then doubling between half and all of `base·2^n`, so that many daemons
/// that lost the same server do not return together.
pub(super) fn backoff(failures: u32, base: Duration, max: Duration, jitter: &mut Prng) -> Duration {
    if failures == 0 {
        return Duration::ZERO;
    }
    let full = base.saturating_mul(1_u32 << (failures - 1).min(16)).min(max);
    let full = i64::try_from(full.as_micros()).unwrap_or(i64::MAX);
    Duration::from_micros(u64::try_from(jitter.between(full / 2, full)).unwrap_or(0))
}

/// Keeps one socket alive until `stop`.
pub(super) struct Link<R> {
    reader: R,
    shared: Arc<Shared>,
    pacer: Arc<Pacer>,
    jitter: Prng,
    stop: CancellationToken,
}

/// A [`Link`] without its reader.
pub(super) struct LinkParts {
    pub shared: Arc<Shared>,
    pub pacer: Arc<Pacer>,
    pub jitter: Prng,
    pub stop: CancellationToken,
}

impl LinkParts {
    pub(super) fn with<R: Reader>(self, reader: R) -> Link<R> {
        let LinkParts { shared, pacer, jitter, stop } = self;
        Link { reader, shared, pacer, jitter, stop }
    }
}

enum End {
    Stopped,
    Lost(String),
}

impl<R: Reader> Link<R> {
    pub(super) async fn run(mut self) {
        let stop = self.stop.clone();
        let mut failures = 0;
        let mut told: Option<StreamHealth> = None;
        while !stop.is_cancelled() {
            let timing = self.shared.config.timing;
            let wait = backoff(failures, timing.backoff, timing.backoff_max, &mut self.jitter);
            let pacer = Arc::clone(&self.pacer);
            tokio::select! {
                () = stop.cancelled() => return,
                () = async { tokio::time::sleep(wait).await; pacer.turn().await } => {}
            }
            let began = Instant::now();
            let end = tokio::select! {
                () = stop.cancelled() => End::Stopped,
                end = self.session(&mut told) => end,
            };
            self.reader.end();
            let End::Lost(why) = end else { return };
            let lasted = began.elapsed();
            failures = if lasted >= STABLE { 1 } else { failures + 1 };
            self.shared.counters.reconnect(R::NAME);
            warn!(stream = R::NAME, why, lasted_ms = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX), "stream lost");
            // a venue that stays away is told once, not at every attempt
            if told != Some(StreamHealth::Down) {
                told = Some(StreamHealth::Down);
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.reader.health(StreamHealth::Down) => {}
                }
            }
        }
    }

    /// One connection, from the handshake to its end.
    async fn session(&mut self, told: &mut Option<StreamHealth>) -> End {
        let timing = self.shared.config.timing;
        let limits = WebSocketConfig::default().max_message_size(Some(FRAME_MAX)).max_frame_size(Some(FRAME_MAX));
        let url = self.shared.config.ws.as_str();
        let connect = tokio_tungstenite::connect_async_with_config(url, Some(limits), true);
        let mut ws = match tokio::time::timeout(timing.connect, connect).await {
            Ok(Ok((ws, _))) => ws,
            Ok(Err(e)) => return End::Lost(format!("connecting failed: {e}")),
            Err(_) => return End::Lost(format!("no connection within {:?}", timing.connect)),
        };
        let subscriptions = self.reader.begin();
        let mut waiting = subscriptions.len();
        for frame in subscriptions {
            if let Err(why) = write(&mut ws, frame).await {
                return End::Lost(why);
            }
        }
        let opened = Instant::now();
        let mut health: Option<StreamHealth> = None;
        let mut heard = opened;
        let mut data = opened;
        let mut pinged: Option<Instant> = None;
        // fine enough that a stale stream is told within 100 ms of the limit (G32)
        let mut tick = tokio::time::interval((timing.ping / 20).clamp(Duration::from_millis(5), Duration::from_millis(100)));
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            // frames first: after a pause of our own (a stopped process, a full channel) what has arrived speaks before the timer
            tokio::select! {
                biased;
                frame = ws.next() => {
                    let now = Instant::now();
                    heard = now;
                    pinged = None;
                    let heard_now = match frame {
                        Some(Ok(Message::Text(text))) => self.reader.read(text.as_str()),
                        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Heard::Life,
                        Some(Ok(Message::Binary(_))) => {
                            self.shared.counters.malformed("binary frame", "text frames alone are expected");
                            Heard::Life
                        }
                        Some(Ok(Message::Close(frame))) => return End::Lost(format!("closed by the venue: {frame:?}")),
                        Some(Err(e)) => return End::Lost(format!("the connection failed: {e}")),
                        None => return End::Lost("the connection ended".to_owned()),
                    };
                    match heard_now {
                        Heard::Data => {
                            data = now;
                            self.reader.deliver().await;
                        }
                        Heard::Life => {}
                        Heard::Subscribed | Heard::DoneWithout => waiting = waiting.saturating_sub(1),
                        Heard::Useless(why) => return End::Lost(why),
                    }
                    let up = match health {
                        None => waiting == 0,
                        // a stream that should speak is well again when it speaks; one that may be silent, when it lives
                        Some(StreamHealth::Stale | StreamHealth::Down) => data == now || self.reader.silence().is_none(),
                        Some(StreamHealth::Up) => false,
                    };
                    if up {
                        info!(stream = R::NAME, "stream up");
                        health = Some(StreamHealth::Up);
                        *told = health;
                        data = now;
                        self.reader.health(StreamHealth::Up).await;
                    }
                }
                frame = self.reader.outgoing(), if waiting == 0 => {
                    if let Err(why) = write(&mut ws, frame).await {
                        return End::Lost(why);
                    }
                }
                _ = tick.tick() => {
                    let now = Instant::now();
                    if waiting > 0 && now.duration_since(opened) > SUBSCRIBE_MAX {
                        return End::Lost(format!("{waiting} subscriptions were not acknowledged within {SUBSCRIBE_MAX:?}"));
                    }
                    let unanswered = pinged.map(|at| now.duration_since(at));
                    if unanswered.is_some_and(|since| since > timing.pong) {
                        return End::Lost(format!("a ping was not answered within {:?}", timing.pong));
                    }
                    let silent = match self.reader.silence() {
                        Some((stale, lost)) => {
                            let silence = now.duration_since(data);
                            if silence > lost {
                                return End::Lost(format!("no data for {lost:?} although it answers pings"));
                            }
                            silence > stale
                        }
                        None => unanswered.is_some_and(|since| since > timing.stale),
                    };
                    let missing = self.reader.missing();
                    if health == Some(StreamHealth::Up) && (silent || missing.is_some()) {
                        debug!(stream = R::NAME, "stream stale");
                        health = Some(StreamHealth::Stale);
                        *told = health;
                        self.reader.health(StreamHealth::Stale).await;
                    }
                    if let Some(what) = missing {
                        return End::Lost(format!("the stream is alive but did not report {what}"));
                    }
                    if pinged.is_none() && now.duration_since(heard) > timing.ping {
                        pinged = Some(now);
                        if let Err(why) = write(&mut ws, PING.to_owned()).await {
                            return End::Lost(why);
                        }
                    }
                }
            }
        }
    }
}

/// The venue's own ping: an application frame, answered by `{"channel":"pong"}`.
const PING: &str = r#"{"method":"ping"}"#;

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn write(ws: &mut Socket, frame: String) -> Result<(), String> {
    match tokio::time::timeout(WRITE_MAX, ws.send(Message::Text(frame.into()))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(e)) => Err(format!("writing failed: {e}")),
        Err(_) => Err(format!("a write did not finish within {WRITE_MAX:?}")),
    }
}
