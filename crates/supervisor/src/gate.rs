//! The gate that every placement passes, closed from anywhere at once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use domain::{Stop, StopLevel, StopScope};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use venue_connector::hyperliquid::Connector;

use crate::sweeper::Sweeper;

/// Open or closed. Closing it closes the connector's own gate too, which stands where bytes are written: an order that was
/// released a moment ago is not sent any more (I20). Cancels do not pass here.
#[derive(Debug, Default)]
pub struct Gate {
    closed: AtomicBool,
    /// When it was closed; 0 while it is open.
    closed_ns: AtomicU64,
    /// A stop came before there was a connector to cancel with.
    sweep_owed: AtomicBool,
    governed: OnceLock<Governed>,
}

#[derive(Debug)]
struct Governed {
    connector: Connector,
    sweeper: Sweeper,
}

/// The gate as an operator sees it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct GateView {
    /// Nothing is placed.
    pub closed: bool,
    /// Since when, nanoseconds of the machine's monotonic clock, by which other processes can measure.
    pub closed_ns: Option<u64>,
    /// Open orders are being cancelled until the venue has shown none twice.
    pub sweeping: bool,
}

impl Gate {
    /// From here on it governs `connector` as well.
    pub fn govern(&self, connector: Connector) {
        if self.is_closed() {
            connector.close_gate();
        }
        let sweeper = Sweeper::new(connector.clone());
        let governed = self.governed.set(Governed { connector, sweeper });
        debug_assert!(governed.is_ok(), "invariant: a gate governs one connector");
        if self.is_closed() {
            // closed between the two lines above
            self.close();
        }
        if self.sweep_owed.swap(false, Ordering::SeqCst) {
            self.sweep();
        }
    }

    /// No order is handed to the venue any more once this returns.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        if let Some(governed) = self.governed.get() {
            governed.connector.close_gate();
        }
        if let Err(since) = self.closed_ns.compare_exchange(0, monotonic_ns(), Ordering::SeqCst, Ordering::SeqCst) {
            tracing::trace!(since, "closed again");
        }
    }

    /// Closes, and begins to cancel whatever is open at the venue: the first two acts of a stop at level `cancel` and above, which
    /// wait for nothing and need neither the loop nor the journal (C31).
    pub fn close_and_cancel(&self) {
        self.close();
        self.sweep();
    }

    /// Closes as far as `stop` asks. A narrower scope is for the desk and the guard, who know what it covers.
    pub fn obey(&self, stop: &Stop) {
        match (stop.scope, stop.level) {
            (StopScope::Venue(_) | StopScope::Market(_) | StopScope::Parent(_), _)
            | (StopScope::All, StopLevel::Run | StopLevel::ReduceOnly) => {}
            (StopScope::All, StopLevel::Block) => self.close(),
            (StopScope::All, StopLevel::Cancel | StopLevel::Flatten | StopLevel::Sever) => self.close_and_cancel(),
        }
    }

    /// Begins to cancel whatever is open at the venue.
    pub fn sweep(&self) {
        match self.governed.get() {
            Some(governed) => governed.sweeper.go(&[]),
            None => {
                self.sweep_owed.store(true, Ordering::SeqCst);
                // a connector may have come meanwhile
                if let Some(governed) = self.governed.get() {
                    governed.sweeper.go(&[]);
                }
            }
        }
    }

    /// The hands of the kill path, once there is a connector.
    pub fn sweeper(&self) -> Option<&Sweeper> {
        self.governed.get().map(|governed| &governed.sweeper)
    }

    /// Orders may pass again: only a re-arm does this. What is placed from here on is meant, so no sweep goes on.
    pub fn open(&self) {
        self.sweep_owed.store(false, Ordering::SeqCst);
        self.closed_ns.store(0, Ordering::SeqCst);
        self.closed.store(false, Ordering::SeqCst);
        if let Some(governed) = self.governed.get() {
            governed.sweeper.stand_down();
            governed.connector.open_gate();
        }
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// For the operator.
    pub fn view(&self) -> GateView {
        let since = self.closed_ns.load(Ordering::SeqCst);
        GateView {
            closed: self.is_closed(),
            closed_ns: (since > 0).then_some(since),
            sweeping: self.sweeper().is_some_and(Sweeper::is_busy),
        }
    }
}

fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0).saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}
