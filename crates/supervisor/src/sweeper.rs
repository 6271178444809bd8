//! The hands of the kill path: they cancel at the venue without waiting for the loop, the desk or the journal (C31).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use domain::{Fact, InstrumentId, Venue};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info};
use venue_connector::OrderPort;
use venue_connector::hyperliquid::Connector;

/// How long one pass tries to see the venue empty before it says that it could not, and the next one begins.
pub const PASS: Duration = Duration::from_secs(30);
/// After so many the venue has been out of reach for half an hour; the desk's own orders go on being cancelled.
const PASSES_MAX: u32 = 60;

/// Cancels every open order of the account, those that the daemon does not know included, again and again until the venue has
/// shown none twice. Clones share everything. Its methods return at once and may be called from any thread.
#[derive(Clone, Debug)]
pub struct Sweeper {
    connector: Connector,
    runtime: Handle,
    tasks: TaskTracker,
    running: Arc<Mutex<Vec<Running>>>,
    last: Arc<AtomicU64>,
    told: Arc<OnceLock<mpsc::Sender<Fact>>>,
}

/// A sweep under way.
#[derive(Debug)]
struct Running {
    no: u64,
    /// Empty: everywhere.
    instruments: Vec<InstrumentId>,
    stop: CancellationToken,
}

impl Running {
    fn covers(&self, instruments: &[InstrumentId]) -> bool {
        self.instruments.is_empty() || (!instruments.is_empty() && instruments.iter().all(|id| self.instruments.contains(id)))
    }
}

impl Sweeper {
    /// One for `connector`, whose tasks run on the present runtime.
    ///
    /// # Panics
    /// Outside a runtime.
    #[must_use]
    pub fn new(connector: Connector) -> Sweeper {
        Sweeper {
            connector,
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
            running: Arc::default(),
            last: Arc::default(),
            told: Arc::default(),
        }
    }

    /// From here on each pass tells what came of it, as [`Fact::Swept`].
    pub fn tell(&self, to: mpsc::Sender<Fact>) {
        if self.told.set(to).is_err() {
            tracing::debug!("what comes of a sweep is told already");
        }
    }

    /// Begins to cancel everything in `instruments`, or everywhere if there are none. A sweep under way that covers them does it
    /// for whoever asks meanwhile.
    pub fn go(&self, instruments: &[InstrumentId]) {
        let mut running = self.running();
        if running.iter().any(|sweep| sweep.covers(instruments)) {
            return;
        }
        let no = self.last.fetch_add(1, Ordering::Relaxed);
        let stop = CancellationToken::new();
        running.push(Running { no, instruments: instruments.to_vec(), stop: stop.clone() });
        drop(running);
        let (this, instruments) = (self.clone(), instruments.to_vec());
        let work = async move {
            info!(markets = instruments.len(), "cancelling everything");
            let passes = async {
                for _ in 0..PASSES_MAX {
                    let empty = sweep(&this.connector, &instruments).await;
                    if empty {
                        // before it is told: whoever asks for a sweep because of that gets another one
                        this.running().retain(|sweep| sweep.no != no);
                    }
                    this.say(&instruments, empty).await;
                    if empty {
                        break;
                    }
                }
            };
            tokio::select! {
                () = passes => {}
                () = stop.cancelled() => info!("the sweep is called off: what is placed from here on is meant"),
            }
            this.running().retain(|sweep| sweep.no != no);
        };
        self.tasks.spawn_on(work, &self.runtime);
    }

    /// Whether a sweep is under way: then what is placed would be cancelled again.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.running().is_empty()
    }

    /// Ends every sweep, for what is placed from here on is meant; or those of `markets` alone, if there are any.
    pub fn stand_down(&self, markets: &[InstrumentId]) {
        let meant = |sweep: &&Running| {
            markets.is_empty() || (!sweep.instruments.is_empty() && sweep.instruments.iter().all(|id| markets.contains(id)))
        };
        let mut running = self.running();
        running.iter().filter(meant).for_each(|sweep| sweep.stop.cancel());
        // whoever asks from here on gets a new one
        running.retain(|sweep| !sweep.stop.is_cancelled());
    }

    async fn say(&self, instruments: &[InstrumentId], empty: bool) {
        let Some(to) = self.told.get() else { return };
        let fact = Fact::Swept { venue: Venue::Hyperliquid, markets: instruments.to_vec(), empty };
        if to.send(fact).await.is_err() {
            tracing::debug!("the loop left before it heard of a sweep");
        }
    }

    /// Waits until no sweep is under way; false if that took longer than `within`.
    pub async fn finish(&self, within: Duration) -> bool {
        self.tasks.close();
        tokio::time::timeout(within, self.tasks.wait()).await.is_ok()
    }

    fn running(&self) -> MutexGuard<'_, Vec<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One pass over `instruments`, or everything, and what the venue said. True if it was seen empty.
async fn sweep(connector: &Connector, instruments: &[InstrumentId]) -> bool {
    let swept = connector.sweep(instruments, PASS).await;
    match &swept {
        Ok(done) => {
            info!(canceled = done.canceled, gone = done.gone, took_ms = done.took.as_millis(), "the venue is empty, seen twice")
        }
        Err(e) => error!("orders may still be open at the venue: {e}"),
    }
    swept.is_ok()
}
