//! A wire with a length: it stands between clients and the venue, delays every byte both ways, and notes when each signed action
//! was on it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

/// Pieces on their way in one direction of one connection. A reader that is ahead of its writer by more has a client that sends
/// faster than the machine copies.
const PIECES_MAX: usize = 4_096;
/// Bytes of one piece.
const PIECE: usize = 64 * 1024;
/// Round trips before the first byte of a new connection: one for TCP, one for TLS 1.3, as the real venue's have.
const HANDSHAKE_TRIPS: u32 = 2;
/// Actions remembered; a bench of thousands of stops has tens of thousands.
const ACTIONS_MAX: usize = 1_000_000;
/// An action's request, head and body.
const REQUEST_MAX: usize = 256 * 1024;

/// Nanoseconds of the machine's monotonic clock, which is the same in every process.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0).saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

/// A `POST /exchange` as it was on the wire.
#[derive(Clone, Debug)]
pub struct Action {
    /// When its last byte was handed to the wire, [`monotonic_ns`]; on a new connection not before the handshake.
    pub at_ns: u64,
    /// Its body's `action`.
    pub action: Value,
}

impl Action {
    /// Its `type`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.action["type"].as_str().unwrap_or_default()
    }
}

/// The wire. Dropping it keeps open connections until their ends close; it serves the life of a test or a bench.
pub struct SlowWire {
    address: SocketAddr,
    seen: Log,
}

impl SlowWire {
    /// Before the venue at `venue`, each way taking `one_way`.
    ///
    /// # Errors
    /// If no port is free.
    pub fn start(venue: SocketAddr, one_way: Duration) -> Result<SlowWire> {
        let listener = TcpListener::bind("127.0.0.1:0").context("a loopback port")?;
        let address = listener.local_addr()?;
        let seen = Log::default();
        let log = Arc::clone(&seen);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let ready = Instant::now() + one_way * 2 * HANDSHAKE_TRIPS;
                let Ok(upstream) = TcpStream::connect(venue) else { continue };
                client.set_nodelay(true).ok();
                upstream.set_nodelay(true).ok();
                let (Ok(to_client), Ok(to_venue)) = (client.try_clone(), upstream.try_clone()) else { continue };
                let mut watch = Watch { log: Arc::clone(&log), head: Vec::new(), opaque: false };
                let mut look = move |bytes: &[u8]| watch.heard(bytes, ready);
                thread::spawn(move || delay(client, to_venue, ready, one_way, &mut look));
                thread::spawn(move || delay(upstream, to_client, ready, one_way, &mut |_| {}));
            }
        });
        Ok(SlowWire { address, seen })
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The actions seen since the last call, in the order of their arrival.
    ///
    /// # Errors
    /// If one is no JSON.
    pub fn take(&self) -> Result<Vec<Action>> {
        let seen = std::mem::take(&mut *lock(&self.seen));
        let mut actions: Vec<Action> = seen
            .into_iter()
            .map(|(at_ns, body)| {
                let mut body: Value = serde_json::from_slice(&body).context("a body on the wire")?;
                Ok(Action { at_ns, action: body["action"].take() })
            })
            .collect::<Result<_>>()?;
        actions.sort_by_key(|action| action.at_ns);
        Ok(actions)
    }
}

/// Bodies of actions and when they were on the wire.
type Log = Arc<Mutex<Vec<(u64, Vec<u8>)>>>;

fn lock(seen: &Log) -> MutexGuard<'_, Vec<(u64, Vec<u8>)>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one client says, read as far as a stamp needs it.
struct Watch {
    log: Log,
    /// Of the request under way.
    head: Vec<u8>,
    /// Not HTTP any more: an upgraded connection.
    opaque: bool,
}

impl Watch {
    fn heard(&mut self, bytes: &[u8], ready: Instant) {
        if self.opaque {
            return;
        }
        let waits = ready.saturating_duration_since(Instant::now());
        let at_ns = monotonic_ns().saturating_add(u64::try_from(waits.as_nanos()).unwrap_or(0));
        self.head.extend_from_slice(bytes);
        while let Some((request, length)) = whole_request(&self.head) {
            if request.is_upgrade {
                self.opaque = true;
                self.head = Vec::new();
                return;
            }
            if request.is_action {
                let mut log = lock(&self.log);
                if log.len() < ACTIONS_MAX {
                    log.push((at_ns, self.head[request.body..length].to_vec()));
                }
            }
            self.head.drain(..length);
        }
        if self.head.len() > REQUEST_MAX {
            self.opaque = true;
            self.head = Vec::new();
        }
    }
}

/// A request at the beginning of what was read.
struct Request {
    body: usize,
    is_action: bool,
    is_upgrade: bool,
}

/// The request that `bytes` begin with and its length, if it is there whole.
fn whole_request(bytes: &[u8]) -> Option<(Request, usize)> {
    let body = bytes.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..body]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok()).unwrap_or(0);
    let whole = body.checked_add(length)?;
    let request =
        Request { body, is_action: head.starts_with("post /exchange "), is_upgrade: head.contains("\r\nupgrade: websocket") };
    (bytes.len() >= whole).then_some((request, whole))
}

/// Copies `from` into `to`, each piece as late as the wire is long and none before the connection is `ready`.
fn delay(mut from: TcpStream, to: TcpStream, ready: Instant, one_way: Duration, look: &mut dyn FnMut(&[u8])) {
    let (pieces, arriving): (SyncSender<(Instant, Vec<u8>)>, Receiver<_>) = sync_channel(PIECES_MAX);
    let writer = thread::spawn(move || write(to, &arriving));
    let mut buffer = vec![0; PIECE];
    while let Ok(n) = from.read(&mut buffer) {
        if n == 0 {
            break;
        }
        look(&buffer[..n]);
        let at = Instant::now().max(ready) + one_way;
        if pieces.send((at, buffer[..n].to_vec())).is_err() {
            break;
        }
    }
    drop(pieces);
    writer.join().ok();
    from.shutdown(Shutdown::Read).ok();
}

fn write(mut to: TcpStream, arriving: &Receiver<(Instant, Vec<u8>)>) {
    for (at, bytes) in arriving {
        thread::sleep(at.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Write).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart_in_whatever_pieces_they_come() {
        let log: Log = Arc::default();
        let mut watch = Watch { log: Arc::clone(&log), head: Vec::new(), opaque: false };
        let action = b"POST /exchange HTTP/1.1\r\nHost: x\r\nContent-Length: 21\r\n\r\n{\"action\":{\"type\":1}}";
        let info = b"POST /info HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}";
        let stream: Vec<u8> = [info.as_slice(), action, info, action].concat();
        stream.chunks(7).for_each(|piece| watch.heard(piece, Instant::now()));
        assert_eq!(lock(&log).len(), 2);
        assert!(watch.head.is_empty() && lock(&log).iter().all(|(_, body)| body == b"{\"action\":{\"type\":1}}"));
        watch.heard(b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", Instant::now());
        watch.heard(action, Instant::now());
        assert_eq!(lock(&log).len(), 2, "frames are not read");
    }
}
