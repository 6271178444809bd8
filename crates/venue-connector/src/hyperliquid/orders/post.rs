//! Orders as posts on a WebSocket of their own: no connection to look up, no headers, half the latency of HTTP. A post that is
//! under way when the socket dies has no outcome; one that was not yet written goes by HTTP instead.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{Lost, StreamHealth};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};
use wire::hyperliquid::action::Answer;

use super::outcome::Failure;
use crate::hyperliquid::gate::{Bound, Gate};
use crate::hyperliquid::gauges::Counters;
use crate::hyperliquid::stream::{Heard, Reader};

/// The venue refuses more than 100 posts in flight.
const IN_FLIGHT_MAX: usize = 90;

/// The caller's end.
#[derive(Debug)]
pub(in crate::hyperliquid) struct Posts {
    out: mpsc::Sender<Outgoing>,
    up: Arc<AtomicBool>,
    next: AtomicU64,
}

#[derive(Debug)]
struct Outgoing {
    id: u64,
    frame: String,
    bound: Vec<Bound>,
    reply: oneshot::Sender<Reply>,
}

#[derive(Debug)]
enum Reply {
    Answer(Result<Answer, Failure>),
    /// It was never written to the socket.
    NotWritten,
}

/// The socket's end.
#[derive(Debug)]
pub(in crate::hyperliquid) struct PostReader {
    queue: mpsc::Receiver<Outgoing>,
    waiting: Mutex<BTreeMap<u64, oneshot::Sender<Reply>>>,
    up: Arc<AtomicBool>,
    counters: Arc<Counters>,
    gate: Arc<Gate>,
}

pub(in crate::hyperliquid) fn posts(counters: Arc<Counters>, gate: Arc<Gate>) -> (Posts, PostReader) {
    let (out, queue) = mpsc::channel(IN_FLIGHT_MAX);
    let up = Arc::new(AtomicBool::new(false));
    let posts = Posts { out, up: Arc::clone(&up), next: AtomicU64::new(1) };
    (posts, PostReader { queue, waiting: Mutex::new(BTreeMap::new()), up, counters, gate })
}

impl Posts {
    /// Posts the signed body that carries `bound` and waits for its answer. `None` means that it was not sent: the socket is down or busy.
    pub(super) async fn send(&self, body: &[u8], bound: &[Bound], deadline: Duration) -> Option<Result<Answer, Failure>> {
        if !self.up.load(Ordering::Acquire) {
            return None;
        }
        let body = std::str::from_utf8(body).ok()?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let frame = format!(r#"{{"method":"post","id":{id},"request":{{"type":"action","payload":{body}}}}}"#);
        let (reply, answer) = oneshot::channel();
        self.out.try_send(Outgoing { id, frame, bound: bound.to_vec(), reply }).ok()?;
        match tokio::time::timeout(deadline, answer).await {
            Ok(Ok(Reply::Answer(answer))) => Some(answer),
            Ok(Ok(Reply::NotWritten)) => None,
            Ok(Err(_)) => Some(Err(Failure::lost(Lost::Disconnected, "the socket was lost with the post under way"))),
            Err(_) => Some(Err(Failure::lost(Lost::Timeout, format_args!("no answer to the post within {deadline:?}")))),
        }
    }
}

impl PostReader {
    fn waiting(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, oneshot::Sender<Reply>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Deserialize)]
struct Frame<'a> {
    channel: &'a str,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Posted<'a> {
    id: u64,
    #[serde(borrow)]
    response: Inner<'a>,
}

#[derive(Deserialize)]
struct Inner<'a> {
    r#type: &'a str,
    #[serde(borrow)]
    payload: &'a RawValue,
}

fn answer(inner: &Inner<'_>) -> Result<Answer, Failure> {
    let payload = inner.payload.get();
    let unreadable = |e: &dyn std::fmt::Display| Failure::lost(Lost::Unreadable, e);
    match inner.r#type {
        "action" => serde_json::from_str(payload).map_err(|e| unreadable(&e)),
        "error" => serde_json::from_str(payload).map(Answer::Err).map_err(|e| unreadable(&e)),
        other => Err(unreadable(&format_args!("a post was answered by {other:?}"))),
    }
}

impl Reader for PostReader {
    const NAME: &'static str = "posts";

    fn begin(&mut self) -> Vec<String> {
        self.up.store(true, Ordering::Release);
        Vec::new()
    }

    fn read(&mut self, text: &str) -> Heard {
        let Ok(frame) = serde_json::from_str::<Frame>(text) else {
            // the greeting is plain text
            return Heard::Life;
        };
        if frame.channel != "post" {
            return Heard::Life;
        }
        match frame.data.map(|data| serde_json::from_str::<Posted>(data.get())) {
            Some(Ok(posted)) => {
                // an answer nobody waits for any more was reported as a timeout
                if let Some(reply) = self.waiting().remove(&posted.id) {
                    drop(reply.send(Reply::Answer(answer(&posted.response))));
                }
                Heard::Data
            }
            Some(Err(e)) => {
                self.counters.malformed("post", e);
                Heard::Life
            }
            None => {
                self.counters.malformed("post", "no data");
                Heard::Life
            }
        }
    }

    async fn deliver(&mut self) {}

    async fn health(&mut self, _: StreamHealth) {}

    async fn outgoing(&mut self) -> String {
        loop {
            let Some(out) = self.queue.recv().await else { return std::future::pending().await };
            // its caller gave up and reported it as unknown: it must not go out late
            if out.reply.is_closed() {
                continue;
            }
            let mut waiting = self.waiting();
            waiting.retain(|_, reply| !reply.is_closed());
            if waiting.len() >= IN_FLIGHT_MAX || self.gate.shut(&out.bound).is_some() {
                drop(waiting);
                drop(out.reply.send(Reply::NotWritten));
                continue;
            }
            waiting.insert(out.id, out.reply);
            return out.frame;
        }
    }

    fn end(&mut self) {
        self.up.store(false, Ordering::Release);
        // dropping the senders tells the callers that the outcome is lost
        self.waiting().clear();
        while let Ok(out) = self.queue.try_recv() {
            drop(out.reply.send(Reply::NotWritten));
        }
    }
}
