//! `plimsoll watchdog`: the other process, which cancels everything when the daemon falls silent (C25).
//!
//! It shares nothing with the daemon but a heartbeat that it reads and the file STOP that it writes: no journal, no socket, no key.
//! [`judge`] says whether the daemon is alive, [`hands`] get at the venue, [`direct`] is the same by a person's hand.

pub mod direct;
mod hands;
mod judge;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use domain::StopLevel;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;
use venue_connector::hyperliquid::{Canceller, StartError};

use crate::config::{Beside, LogStyle};
use crate::heartbeat::{self, Beat, Mark, Seen};
use crate::wall::boot_ns;
use crate::{Failure, exit, notify, sentinel};
use hands::AtHand;
use judge::{Judge, Verdict};

/// How often the heartbeat is looked at: a small part of the shortest limit (2 s).
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often the open orders are read once everything was cancelled: 20 of the 1,200 weight a minute each (fact sheet §7), twelve times.
const ORDERS_EVERY: Duration = Duration::from_secs(5);
/// One pass of cancelling, after which it is said what is left and the heartbeat is looked at.
const PASS: Duration = Duration::from_secs(15);
/// How long one try to reach the venue may take when orders wait to be cancelled.
const REACH: Duration = Duration::from_secs(5);
/// Between two tries to get ready.
const READY_AGAIN: Duration = Duration::from_secs(15);
/// Markets are listed by the venue without notice: their numbers are learnt anew this often.
const READY_EVERY: Duration = Duration::from_secs(3_600);
/// How long the key's check may hold up the start.
const PROOF_MAX: Duration = Duration::from_secs(10);
/// How often a state that needs a person is said again.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Watches until it is told to end.
///
/// # Errors
/// If it has no key of its own, or the venue says that the key may not act for the account.
pub async fn run(beside: Beside) -> Result<ExitCode, Failure> {
    start_logs(beside.log, "info")?;
    let key_file = hands::own_key(&beside)?;
    let mut term = signal(SignalKind::terminate()).map_err(|e| Failure::other(format!("signals: {e}")))?;
    let mut int = signal(SignalKind::interrupt()).map_err(|e| Failure::other(format!("signals: {e}")))?;
    let watch = Watch::begin(beside, key_file).await?;
    tokio::select! {
        never = watch.keep() => match never {},
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    notify::stopping();
    info!("the watchdog ends: nobody watches the daemon now");
    Ok(ExitCode::SUCCESS)
}

fn start_logs(style: LogStyle, level: &str) -> Result<(), Failure> {
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let filter = EnvFilter::try_from_env("PLIMSOLL_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    let builder = builder.with_writer(std::io::stderr).with_ansi(terminal);
    let human = match style {
        LogStyle::Auto => terminal,
        LogStyle::Human => true,
        LogStyle::Json => false,
    };
    let started = if human { builder.try_init() } else { builder.json().try_init() };
    started.map_err(|e| Failure::other(format!("logs: {e}")))
}

struct Watch {
    beside: Beside,
    key_file: Option<PathBuf>,
    at_hand: AtHand,
    /// What the reading thread saw last. It may hang with its disk; then what it saw grows old.
    seen: Arc<Mutex<Seen>>,
    judge: Judge,
    manager: notify::Manager,
}

/// What was said last, and when.
#[derive(Default)]
struct Said {
    last: Option<(Instant, String)>,
}

impl Said {
    /// Whether `words` of this kind are due: another kind, or the same long ago.
    fn due(&mut self, kind: &str) -> bool {
        let due = self.last.as_ref().is_none_or(|(at, last)| last != kind || at.elapsed() >= SAY_EVERY);
        if due {
            self.last = Some((Instant::now(), kind.to_owned()));
        }
        due
    }
}

impl Watch {
    async fn begin(beside: Beside, key_file: Option<PathBuf>) -> Result<Watch, Failure> {
        let path = beside.watchdog.dir.join(heartbeat::NAME);
        let part = &beside.watchdog;
        info!(heartbeat = %path.display(), limit = ?part.limit, first_beat = ?part.first_beat, "watching");
        let seen = Arc::new(Mutex::new(Seen::Missing));
        read_on(path, Arc::clone(&seen))?;
        let judge = Judge::new(boot_ns(), part.limit, part.first_beat);
        let at_hand = AtHand::default();
        match tokio::time::timeout(PROOF_MAX, ready(&beside, key_file.as_deref())).await {
            Ok(Ok(canceller)) => {
                info!(signer = %canceller.signer(), "the venue takes this watchdog's key for the account");
                at_hand.put(canceller);
            }
            Ok(Err(NotReady::Never(failure))) => return Err(failure),
            Ok(Err(NotReady::Yet(why))) => warn!("not ready yet, going on: {why}"),
            Err(_) => warn!("not ready within {PROOF_MAX:?}, going on"),
        }
        tokio::spawn(keep_ready(beside.clone(), key_file.clone(), at_hand.clone()));
        let mut manager = notify::Manager::from_environment();
        manager.ready();
        Ok(Watch { beside, key_file, at_hand, seen, judge, manager })
    }

    async fn keep(mut self) -> std::convert::Infallible {
        let mut said = Said::default();
        loop {
            let (seen, verdict) = self.look();
            match verdict {
                Verdict::Alive => {
                    if said.due("alive") {
                        info!(pid = pid(&seen), "the daemon is alive");
                    }
                    self.manager.status("the daemon is alive".to_owned());
                }
                Verdict::Away => {
                    if said.due("away") {
                        info!("the daemon has ended and left nothing open; waiting for the next one");
                    }
                    self.manager.status("the daemon has ended in an orderly way".to_owned());
                }
                Verdict::Waiting(left) => {
                    if said.due("waiting") {
                        warn!("no fresh heartbeat yet; without one in {left:?} everything at the venue is cancelled");
                    }
                    self.manager.status("waiting for a first heartbeat".to_owned());
                }
                Verdict::Silent(why) => {
                    self.act(&why).await;
                    said = Said::default();
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn look(&mut self) -> (Seen, Verdict) {
        self.manager.alive();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let verdict = self.judge.look(boot_ns(), &seen);
        (seen, verdict)
    }

    /// Cancels everything, and goes on looking and cancelling until the daemon answers for itself again.
    async fn act(&mut self, why: &str) {
        let began = Instant::now();
        let dir = self.beside.watchdog.dir.clone();
        error!("the daemon is silent: {why}. Cancelling everything at the venue");
        self.manager.status(format!("CANCELLING EVERYTHING: {why}"));
        let cause = format!("the watchdog: {why}");
        let mut stop = self.leave_stop(&dir, &cause).await;
        let mut said = Said::default();
        let mut empty_since: Option<Instant> = None;
        loop {
            if empty_since.is_none() && self.cancel_all(began).await {
                empty_since = Some(Instant::now());
                self.manager.status(format!("cancelled everything, still looking: {why}"));
            }
            let next = Instant::now() + if empty_since.is_some() { ORDERS_EVERY } else { LOOK_EVERY };
            while Instant::now() < next {
                let (seen, verdict) = self.look();
                // a person who removed STOP has decided, whatever this process could see of the venue meanwhile
                let decided = matches!(verdict, Verdict::Alive) && stop && sentinel::read(&dir).is_none();
                if (empty_since.is_some() || decided)
                    && let Some(words) = answers_again(&seen, &verdict, stop, &dir)
                {
                    info!("{words}; watching as before");
                    return;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
            if empty_since.is_none() {
                continue;
            }
            if sentinel::read(&dir).is_none() {
                stop = self.leave_stop(&dir, &cause).await;
            }
            let open = match self.at_hand.get() {
                Some(canceller) => canceller.open_orders().await.map_err(|e| e.to_string()),
                None => Err("the venue was not reached again".to_owned()),
            };
            match open {
                Ok(0) if said.due("empty") => {
                    error!("the daemon is still silent; the venue is empty. A person must look ({why})")
                }
                Ok(0) => {}
                Ok(open) => {
                    error!(open, "orders appeared at the venue; cancelling them");
                    empty_since = None;
                }
                Err(e) => {
                    warn!("the open orders could not be read: {e}");
                    empty_since = None;
                }
            }
        }
    }

    /// One pass; true if the venue was seen empty twice.
    async fn cancel_all(&mut self, began: Instant) -> bool {
        let canceller = match self.at_hand.get() {
            Some(canceller) => canceller,
            None => match reach(&self.beside, self.key_file.as_deref(), REACH).await {
                Ok(canceller) => {
                    self.at_hand.put(canceller.clone());
                    canceller
                }
                Err(e) => {
                    error!("ORDERS MAY BE OPEN and the venue cannot be reached: {}", e.why());
                    return false;
                }
            },
        };
        match canceller.sweep(PASS).await {
            Ok(swept) => {
                let after_ms = began.elapsed().as_millis();
                info!(canceled = swept.canceled, gone = swept.gone, after_ms, "the venue is empty, seen twice");
                true
            }
            Err(e) => {
                error!("ORDERS MAY BE OPEN at the venue: {e}");
                // its address may be another one by now
                self.at_hand.drop_it();
                false
            }
        }
    }

    async fn leave_stop(&mut self, dir: &Path, cause: &str) -> bool {
        match hands::leave_stop(dir, cause).await {
            Ok(()) => true,
            Err(e) => {
                error!("STOP could not be written to {} ({e}); cancelling all the same", dir.display());
                false
            }
        }
    }
}

/// Why the daemon may be left to itself again, if so: it says that it is stopped, or has ended with nothing open, or a person has
/// removed the STOP that was left for it.
fn answers_again(seen: &Seen, verdict: &Verdict, stop_left: bool, dir: &Path) -> Option<&'static str> {
    match (verdict, seen) {
        (Verdict::Away, _) => Some("the daemon has ended and left nothing open"),
        (Verdict::Alive, Seen::Beat(beat)) if beat.is_stopped() => Some("the daemon is back and stopped"),
        (Verdict::Alive, _) if stop_left && sentinel::read(dir).is_none_or(|stop| stop.level < StopLevel::Cancel) => {
            Some("the daemon is back, and a person removed STOP")
        }
        _ => None,
    }
}

fn pid(seen: &Seen) -> Option<u32> {
    match seen {
        Seen::Beat(Beat { pid, .. }) => Some(*pid),
        Seen::Missing | Seen::Garbled(_) => None,
    }
}

/// Reads the heartbeat on a thread of its own, and marks it as watched.
fn read_on(path: PathBuf, seen: Arc<Mutex<Seen>>) -> Result<(), Failure> {
    *seen.lock().unwrap_or_else(PoisonError::into_inner) = heartbeat::read(&path);
    let look = move || {
        let mut mark = Mark::default();
        loop {
            mark.keep(&path);
            let now = heartbeat::read(&path);
            *seen.lock().unwrap_or_else(PoisonError::into_inner) = now;
            std::thread::sleep(LOOK_EVERY);
        }
    };
    let thread = std::thread::Builder::new().name("heartbeat".to_owned()).spawn(look);
    thread.map(drop).map_err(|e| Failure::other(format!("no thread: {e}")))
}

enum NotReady {
    /// The venue says no.
    Never(Failure),
    /// It says nothing, or not this.
    Yet(String),
}

async fn reach(beside: &Beside, key_file: Option<&Path>, patience: Duration) -> Result<Canceller, Failure> {
    let key_file = key_file.map(|file| ("watchdog.key_file", file));
    hands::reach(beside, key_file, patience).await.map(|reached| reached.canceller)
}

/// Reaches the venue and has it say that the key is good.
async fn ready(beside: &Beside, key_file: Option<&Path>) -> Result<Canceller, NotReady> {
    let canceller = reach(beside, key_file, REACH).await.map_err(|failure| match failure.code {
        exit::CONFIG => NotReady::Never(failure),
        _ => NotReady::Yet(failure.why),
    })?;
    match canceller.prove().await {
        Ok(_) => Ok(canceller),
        Err(e @ (StartError::NotAgent { .. } | StartError::AgentEnded { .. } | StartError::KeyRefused { .. })) => {
            Err(NotReady::Never(Failure::new(exit::VENUE, &e)))
        }
        Err(e) => Err(NotReady::Yet(crate::daemon::chain(&e))),
    }
}

/// Keeps a checked canceller at hand.
async fn keep_ready(beside: Beside, key_file: Option<PathBuf>, at_hand: AtHand) {
    loop {
        let wait = if at_hand.get().is_some() { READY_EVERY } else { READY_AGAIN };
        tokio::time::sleep(wait).await;
        match ready(&beside, key_file.as_deref()).await {
            Ok(canceller) => at_hand.put(canceller),
            Err(NotReady::Never(failure)) => error!("this watchdog could cancel nothing: {}", failure.why()),
            Err(NotReady::Yet(why)) => warn!("the venue cannot be reached by this watchdog: {why}"),
        }
    }
}
