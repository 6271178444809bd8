//! Stands between a wallet and its chain: passes JSON-RPC on, holds a method back, loses it, or changes what is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Largest request or answer passed on: a look with receipts is some tens of kilobytes.
const BODY_MAX: usize = 1 << 22;
/// A held request is let go after this long even if the test forgot it, so that no thread outlives its test by much.
const HELD_MAX: Duration = Duration::from_secs(120);
/// For the chain to answer.
const UPSTREAM_MAX: Duration = Duration::from_secs(30);
/// Sent transactions remembered; a test sends hundreds.
const SENDS_MAX: usize = 100_000;

/// The name under which a request of several calls is held or lost. One of a single call goes by its method.
pub const BATCH: &str = "batch";
/// The method that hands over signed bytes.
pub const SEND: &str = "eth_sendRawTransaction";

/// What happens to requests of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It waits until its fate changes.
    Hold,
    /// The connection ends before the chain has seen the request: it never happened.
    Lose,
    /// The chain gets the request, and the connection ends before the answer: it happened, and the caller does not know.
    Swallow,
    /// The caller is told that all is well, and the chain never sees it. Only for [`SEND`].
    Pretend,
}

/// Looks at signed bytes (`0x…`) on their way to the chain, before the chain sees them.
type Watch = Box<dyn Fn(&str) + Send + Sync>;
/// Changes one answer: the method that was asked, and the answer's object with `result` or `error`.
type Twist = Box<dyn Fn(&str, &mut Value) + Send + Sync>;

#[derive(Default)]
struct Rules {
    fate: BTreeMap<String, Fate>,
    /// Names with a request that is held just now, and how many.
    held: BTreeMap<String, usize>,
    sends: Vec<String>,
    upstream: String,
}

struct Shared {
    rules: Mutex<Rules>,
    changed: Condvar,
    watch: Mutex<Option<Watch>>,
    twist: Mutex<Option<Twist>>,
    over: AtomicBool,
}

/// An endpoint that passes everything on to another one, until it is told otherwise. Ends with the value.
pub struct RpcProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Drop for RpcProxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        lock(&self.shared.rules).fate.clear();
        self.shared.changed.notify_all();
        // wakes the thread that accepts
        TcpStream::connect(self.address).ok();
    }
}

impl RpcProxy {
    /// In front of the endpoint at `upstream`, such as `http://127.0.0.1:8545`.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn start(upstream: &str) -> Result<RpcProxy> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let rules = Mutex::new(Rules { upstream: upstream.trim_end_matches('/').to_owned(), ..Rules::default() });
        let (changed, over) = (Condvar::new(), AtomicBool::new(false));
        let shared = Arc::new(Shared { rules, changed, watch: Mutex::new(None), twist: Mutex::new(None), over });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let shared = Arc::clone(&accepting);
                // a connection that breaks is the caller's to notice
                thread::spawn(move || serve(stream, &shared).ok());
            }
        });
        Ok(RpcProxy { address, shared })
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From here on requests of this name (a method, or [`BATCH`]) meet `fate`; those that are held meet it at once.
    pub fn set(&self, name: &str, fate: Fate) {
        lock(&self.shared.rules).fate.insert(name.to_owned(), fate);
        self.shared.changed.notify_all();
    }

    /// Requests of this name are passed on again; those that are held go now.
    pub fn pass(&self, name: &str) {
        lock(&self.shared.rules).fate.remove(name);
        self.shared.changed.notify_all();
    }

    /// Everything is passed on again, unchanged.
    pub fn honest(&self) {
        lock(&self.shared.rules).fate.clear();
        *lock(&self.shared.twist) = None;
        self.shared.changed.notify_all();
    }

    /// Every answer is handed to `twist` before it goes back.
    pub fn twist(&self, twist: impl Fn(&str, &mut Value) + Send + Sync + 'static) {
        *lock(&self.shared.twist) = Some(Box::new(twist));
    }

    /// Signed bytes are shown to `watch` before the chain sees them.
    pub fn watch(&self, watch: impl Fn(&str) + Send + Sync + 'static) {
        *lock(&self.shared.watch) = Some(Box::new(watch));
    }

    /// Waits until a request of this name is held.
    ///
    /// # Errors
    /// If `within` passes first.
    pub fn wait_held(&self, name: &str, within: Duration) -> Result<()> {
        let until = Instant::now() + within;
        let mut rules = lock(&self.shared.rules);
        while rules.held.get(name).is_none_or(|held| *held == 0) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("no {name} came within {within:?}");
            }
            rules = self.shared.changed.wait_timeout(rules, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Signed bytes that callers handed over, in order, repeats included, whatever became of them.
    #[must_use]
    pub fn sends(&self) -> Vec<String> {
        lock(&self.shared.rules).sends.clone()
    }

    /// The different ones among them.
    #[must_use]
    pub fn sent(&self) -> BTreeSet<String> {
        lock(&self.shared.rules).sends.iter().cloned().collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection: request after request, as HTTP/1.1 keeps it open.
fn serve(stream: TcpStream, shared: &Shared) -> Result<()> {
    let mut out = stream.try_clone()?;
    let mut from = BufReader::new(stream);
    while let Some(body) = request(&mut from)? {
        let Some(answer) = answered(shared, &body)? else { return Ok(()) };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", answer.len());
        out.write_all(head.as_bytes())?;
        out.write_all(answer.as_bytes())?;
    }
    Ok(())
}

/// The body of the next request; nothing if the caller has closed.
fn request(from: &mut impl BufRead) -> Result<Option<String>> {
    let mut length = None;
    let mut line = String::new();
    loop {
        line.clear();
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = Some(value.trim().parse::<usize>()?);
        }
    }
    let length = length.filter(|n| *n <= BODY_MAX).context("a length that can be served")?;
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(Some(String::from_utf8(body)?))
}

/// The answer, unless the connection is to end without one.
fn answered(shared: &Shared, body: &str) -> Result<Option<String>> {
    let asked: Value = serde_json::from_str(body)?;
    let name = asked["method"].as_str().unwrap_or(BATCH).to_owned();
    let raw = (name == SEND).then(|| asked["params"][0].as_str().unwrap_or_default().to_owned());
    if let Some(raw) = &raw {
        let mut rules = lock(&shared.rules);
        if rules.sends.len() < SENDS_MAX {
            rules.sends.push(raw.clone());
        }
    }
    let fate = settled(shared, &name);
    match fate {
        Some(Fate::Hold | Fate::Lose) => return Ok(None),
        Some(Fate::Pretend) => {
            let known = serde_json::json!({"jsonrpc": "2.0", "id": asked["id"], "result": format!("0x{:064x}", 0)});
            return Ok(Some(known.to_string()));
        }
        Some(Fate::Swallow) | None => {}
    }
    if let (Some(raw), Some(watch)) = (&raw, lock(&shared.watch).as_ref()) {
        watch(raw);
    }
    let upstream = lock(&shared.rules).upstream.clone();
    let text = passed_on(&upstream, body)?;
    if fate.is_some() {
        return Ok(None);
    }
    let twist = lock(&shared.twist);
    let Some(twist) = twist.as_ref() else { return Ok(Some(text)) };
    let mut answers: Value = serde_json::from_str(&text)?;
    match (&asked, &mut answers) {
        (Value::Array(asked), Value::Array(answers)) => {
            for one in answers {
                let method = asked.iter().find(|call| call["id"] == one["id"]).and_then(|call| call["method"].as_str());
                twist(method.unwrap_or_default(), one);
            }
        }
        (_, one) => twist(&name, one),
    }
    Ok(Some(answers.to_string()))
}

/// The fate of a request of this name, once it is not to be held any more.
fn settled(shared: &Shared, name: &str) -> Option<Fate> {
    let until = Instant::now() + HELD_MAX;
    let mut rules = lock(&shared.rules);
    if rules.fate.get(name) == Some(&Fate::Hold) {
        *rules.held.entry(name.to_owned()).or_default() += 1;
        shared.changed.notify_all();
        while rules.fate.get(name) == Some(&Fate::Hold) && Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now());
            rules = shared.changed.wait_timeout(rules, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        if let Some(held) = rules.held.get_mut(name) {
            *held -= 1;
        }
    }
    rules.fate.get(name).copied()
}

fn passed_on(upstream: &str, body: &str) -> Result<String> {
    let host = upstream.strip_prefix("http://").context("an http:// address")?;
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(UPSTREAM_MAX))?;
    // HTTP/1.0: the answer ends where the connection does, and is never chunked
    let length = body.len();
    write!(
        stream,
        "POST / HTTP/1.0\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.take(BODY_MAX as u64).read_to_string(&mut answer)?;
    let (_, text) = answer.split_once("\r\n\r\n").context("an answer with a head")?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
