//! What pulls the switch from outside the loop (C34): signals, the file `STOP`, the machine's clocks, a panic anywhere.
//!
//! Whoever pulls closes the gate where he stands and then tells the loop, which has the desk record and say it. So nothing here
//! waits for the loop, which may itself be waiting for the disk.

use std::panic;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use domain::{Stop, StopLevel, Stops, Trigger};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::{error, warn};

use crate::clocks::{Clocks, Reading};
use crate::gate::Gate;
use crate::{exit, sentinel};

/// Between two looks at the file `STOP` and the clocks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a second SIGTERM leaves the loop to go by itself before the process ends under it.
const HURRY: Duration = Duration::from_secs(2);
/// How long a disk may take for the latch file.
const LATCH_MAX: Duration = Duration::from_secs(5);
/// Of a panic's words.
const WORDS_MAX: usize = 200;

/// The one wire that every trigger outside the loop pulls. It may be pulled from any thread, and pulling never waits.
#[derive(Debug)]
pub struct Tripwire {
    gate: Arc<Gate>,
    /// What was pulled and the loop has not taken yet: the highest per scope.
    pulled: Mutex<Stops>,
    bell: Notify,
    /// The first panic.
    panicked: OnceLock<String>,
    /// Somebody has dealt with it.
    told: AtomicBool,
    lookout: OnceLock<Thread>,
}

impl Tripwire {
    /// One that closes `gate`.
    #[must_use]
    pub fn new(gate: Arc<Gate>) -> Tripwire {
        Tripwire {
            gate,
            pulled: Mutex::default(),
            bell: Notify::new(),
            panicked: OnceLock::new(),
            told: AtomicBool::new(false),
            lookout: OnceLock::new(),
        }
    }

    /// Closes the gate as far as `stop` asks, and has the loop latch it.
    pub fn pull(&self, stop: &Stop) {
        let mut pulled = self.stops();
        self.gate.obey(stop);
        pulled.raise(stop);
        drop(pulled);
        self.bell.notify_one();
    }

    /// Waits until there is something to [`Tripwire::take`].
    pub async fn rung(&self) {
        self.bell.notified().await;
    }

    /// What was pulled since the last call.
    pub fn take(&self) -> Stops {
        std::mem::take(&mut *self.stops())
    }

    /// Opens the gate after a re-arm, unless something was pulled since by somebody who did not know of it; the loop's next turn says
    /// what he wants. Both hold the lock, so that the gate is at no moment open once it was pulled.
    pub fn reopen(&self) {
        let pulled = self.stops();
        if !pulled.is_set() && self.panicked().is_none() {
            self.gate.open();
        }
    }

    /// Whether something was pulled that the loop has not taken.
    pub fn is_pulled(&self) -> bool {
        self.stops().is_set()
    }

    /// The first panic of the process, if there was one: then it is to end, since nobody knows what else is wrong.
    pub fn panicked(&self) -> Option<&str> {
        self.panicked.get().map(String::as_str)
    }

    /// From here on a panic of any thread or task of the process closes the gate where it happens, before anything unwinds, and is
    /// a stop (F56): there is no list of critical tasks that could be incomplete, and no half-alive daemon.
    pub fn heed_panics(self: &Arc<Self>) {
        let before = panic::take_hook();
        let this = Arc::clone(self);
        panic::set_hook(Box::new(move |info| {
            let thread = thread::current();
            let name = thread.name().unwrap_or("a thread");
            let at = info.location().map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
            let words: String = info.payload_as_str().unwrap_or("no words").chars().take(WORDS_MAX).collect();
            this.fell(format!("{name} panicked{at}: {words}"));
            before(info);
        }));
    }

    /// A part of the process failed without which it is not to go on. Touches flags alone, since the thread that panics may hold
    /// whatever lock there is: the lookout's thread and the loop do the rest.
    pub fn fell(&self, words: String) {
        self.gate.close();
        if self.panicked.set(words).is_err() {
            tracing::trace!("one is enough");
        }
        if let Some(lookout) = self.lookout.get() {
            lookout.unpark();
        }
        self.bell.notify_one();
    }

    /// Makes a stop of a panic that nobody has made one of yet.
    pub fn heed(&self) {
        if let Some(words) = self.panicked()
            && !self.told.swap(true, Ordering::SeqCst)
        {
            self.pull(&panic_stop(words));
        }
    }

    fn stops(&self) -> MutexGuard<'_, Stops> {
        self.pulled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stop that a panic is.
pub fn panic_stop(words: &str) -> Stop {
    Stop::all(StopLevel::Cancel, Trigger::Panic, format!("a part of the daemon failed: {words}"))
}

/// Writes `stop` into the latch's second store, for when the journal may be what failed. If that cannot be written either, the file
/// `STOP` may still fit.
pub async fn latch_beside(journal_dir: &Path, stop: Stop) {
    let (dir, (done, waited)) = (journal_dir.to_owned(), oneshot::channel());
    // in a thread, since the disk may never answer, and nothing waits for this one at the end of the process
    thread::spawn(move || {
        if let Err(e) = journal::latch_set(&dir, &stop) {
            error!("the latch file could not be written: {e}");
            match dir.parent().map(|state_dir| sentinel::write(state_dir, stop.level, &stop.cause)) {
                Some(Ok(())) => error!("the file {} was left instead", sentinel::NAME),
                Some(Err(e)) => error!("nor could the file {}: {e}; the next start may not know of the stop", sentinel::NAME),
                None => {}
            }
        }
        if done.send(()).is_err() {
            tracing::debug!("nobody waits for the latch any more");
        }
    });
    if tokio::time::timeout(LATCH_MAX, waited).await.is_err() {
        error!("the disk does not take the latch file; the next start may not know of the stop");
    }
}

/// Looks at the file `STOP` in each of `dirs`, at the clocks and for panics, four times a second, in a thread of its own that needs
/// neither the loop nor the runtime's threads to be free. It lives as long as the process.
///
/// # Errors
/// If there can be no such thread.
pub fn look_out(wire: &Arc<Tripwire>, dirs: Vec<PathBuf>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Handle::current();
    let looking = Arc::clone(wire);
    let stop_asked = move || dirs.iter().filter_map(|dir| sentinel::read(dir)).max_by_key(|stop| stop.level);
    // the first look is over when this returns, before anything is connected
    let mut seen = stop_asked();
    if let Some(stop) = &seen {
        wire.pull(stop);
    }
    let work = move || {
        let wire = looking;
        // what it sets going runs on the runtime
        let _inside = runtime.enter();
        let mut clocks = Clocks::default();
        loop {
            wire.heed();
            let asked = stop_asked();
            if let Some(stop) = &asked
                && (seen != asked || (stop.level >= StopLevel::Block && !wire.gate.is_closed()))
            {
                wire.pull(stop);
            }
            seen = asked;
            if let Some(stop) = clocks.look(Reading::now()) {
                wire.pull(&stop);
            }
            thread::park_timeout(LOOK_EVERY);
        }
    };
    let lookout = thread::Builder::new().name("lookout".to_owned()).spawn(work)?;
    if wire.lookout.set(lookout.thread().clone()).is_err() {
        warn!("there is a lookout already");
    }
    Ok(())
}

/// An orderly stop was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leave;

/// Listens for signals: SIGUSR1 and SIGUSR2 pull `wire`, SIGTERM and SIGINT are told to whoever has the receiver. Any other signal
/// does what it does to every process, except that `reload` takes SIGHUP.
///
/// # Errors
/// If a signal cannot be listened for.
pub fn listen(wire: &Arc<Tripwire>) -> std::io::Result<mpsc::Receiver<Leave>> {
    for (kind, level, name) in [
        (SignalKind::user_defined1(), StopLevel::Cancel, "SIGUSR1"),
        (SignalKind::user_defined2(), StopLevel::Flatten, "SIGUSR2"),
    ] {
        let (mut stream, wire) = (signal(kind)?, Arc::clone(wire));
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                wire.pull(&Stop::all(level, Trigger::Signal, format!("signal {name}")));
            }
        });
    }
    let (to, leaves) = mpsc::channel(2);
    let gate = Arc::clone(&wire.gate);
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        let mut asked = 0_u32;
        loop {
            tokio::select! {
                Some(()) = term.recv() => {}
                Some(()) = int.recv() => {}
                else => return,
            }
            asked = asked.saturating_add(1);
            // what waits for the journal need not leave any more; a restart goes on with it
            gate.close();
            if let Err(e) = to.try_send(Leave) {
                tracing::debug!("asked to stop once more: {e}");
            }
            if asked == 2 {
                thread::spawn(end_soon);
            }
        }
    });
    Ok(leaves)
}

/// The loop may be waiting for a disk that never answers.
fn end_soon() {
    warn!("asked to stop twice: leaving without waiting for answers");
    thread::sleep(HURRY);
    error!("the loop did not end; the next start settles what is open");
    process::exit(i32::from(exit::LATE));
}

#[cfg(test)]
mod tests;
