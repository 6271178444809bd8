//! The gate that every placement passes, closed from anywhere at once.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use domain::{Fact, InstrumentId, Intent, Stop, StopLevel, StopScope, Stops, Venue};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use tokio::sync::mpsc;
use venue_connector::hyperliquid::{Connector, Pass, Policy};

use crate::sweeper::Sweeper;

/// The one venue that a connector is of.
const VENUE: Venue = Venue::Hyperliquid;

/// Closed by hand, or as open as the stops in force let it be. What it does, it does to the connector's own gate too, which stands
/// where bytes are written: an order that was released a moment ago is not sent any more (I20). Cancels do not pass here.
///
/// Whoever stops the daemon closes it by hand first and tells the desk then. Once the desk has taken the stop in, its policy
/// ([`Gate::follow`]) keeps the same closed, and stands for what was done by hand.
#[derive(Debug, Default)]
pub struct Gate {
    by_hand: AtomicBool,
    severed: AtomicBool,
    policy: Mutex<Policy>,
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
    /// Nothing is placed, or reduce-only orders alone.
    pub closed: bool,
    /// Positions are being closed: reduce-only orders pass.
    pub flattening: bool,
    /// Nothing is placed as long as the process lives.
    pub severed: bool,
    /// Since when, nanoseconds of the machine's monotonic clock, by which other processes can measure.
    pub closed_ns: Option<u64>,
    /// Open orders are being cancelled until the venue has shown none twice.
    pub sweeping: bool,
}

impl Gate {
    /// From here on it governs `connector` as well.
    pub fn govern(&self, connector: Connector) {
        connector.set_policy(self.policy().clone());
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
            self.sweep(&[]);
        }
    }

    /// No order is handed to the venue any more once this returns.
    pub fn close(&self) {
        self.by_hand.store(true, Ordering::SeqCst);
        if let Some(governed) = self.governed.get() {
            governed.connector.close_gate();
        }
        self.closed_now();
    }

    fn closed_now(&self) {
        if let Err(since) = self.closed_ns.compare_exchange(0, monotonic_ns(), Ordering::SeqCst, Ordering::SeqCst) {
            tracing::trace!(since, "closed again");
        }
    }

    /// Closes for as long as the process lives: nothing opens it again.
    pub fn sever(&self) {
        self.severed.store(true, Ordering::SeqCst);
        if let Some(governed) = self.governed.get() {
            governed.connector.sever_gate();
        }
        self.close();
    }

    /// Closes, and begins to cancel whatever is open at the venue: the first two acts of a stop at level `cancel` and above, which
    /// wait for nothing and need neither the loop nor the journal (C31).
    pub fn close_and_cancel(&self) {
        self.close();
        self.sweep(&[]);
    }

    /// The first two acts of `stop`, as far as it goes. Whoever calls this tells the desk next.
    pub fn obey(&self, stop: &Stop) {
        if stop.level < StopLevel::Block || (stop.level == StopLevel::Sever && stop.scope != StopScope::All) {
            return;
        }
        let mut markets = Vec::new();
        match stop.scope {
            StopScope::All | StopScope::Venue(VENUE) => self.close(),
            // no connector is of another venue
            StopScope::Venue(Venue::Dydx) => return,
            StopScope::Market(id) => {
                self.narrow(|policy| policy.markets.insert(id, Pass::Nothing));
                markets.push(id);
            }
            StopScope::Parent(id) => {
                self.narrow(|policy| policy.parents.insert(id, Pass::Nothing));
                // its orders are known to the desk alone
                return;
            }
        }
        if stop.level >= StopLevel::Cancel {
            self.sweep(&markets);
        }
    }

    /// Lets pass what `stops` leave, and nothing else. In a scope of `flattening` reduce-only orders pass.
    pub fn follow(&self, stops: &Stops, flattening: &BTreeSet<StopScope>) {
        let pass = |stop: Option<&Stop>| match stop.map_or(StopLevel::Run, |s| s.level) {
            StopLevel::Run | StopLevel::ReduceOnly => Pass::All,
            StopLevel::Flatten if stop.is_some_and(|s| flattening.contains(&s.scope)) => Pass::ReducingOnly,
            StopLevel::Block | StopLevel::Cancel | StopLevel::Flatten | StopLevel::Sever => Pass::Nothing,
        };
        let mut policy = Policy { everywhere: pass(stops.venue(VENUE)), ..Policy::default() };
        for stop in stops.iter() {
            match stop.scope {
                StopScope::All | StopScope::Venue(_) => {}
                StopScope::Market(id) => {
                    policy.markets.insert(id, pass(stops.market(id)));
                }
                // what flattens it are parents of their own
                StopScope::Parent(id) if stop.level >= StopLevel::Block => {
                    policy.parents.insert(id, Pass::Nothing);
                }
                StopScope::Parent(_) => {}
            }
        }
        let (closes, reduces) = (policy.everywhere != Pass::All, policy.everywhere == Pass::ReducingOnly);
        let reducing: Vec<InstrumentId> =
            policy.markets.iter().filter(|(_, pass)| **pass == Pass::ReducingOnly).map(|(id, _)| *id).collect();
        self.set_policy(policy);
        if closes {
            self.closed_now();
            // the policy bars everything that it does not mean to pass; a stop that is still on its way to the desk is no stricter
            self.by_hand.store(false, Ordering::SeqCst);
            if let Some(governed) = self.governed.get() {
                governed.connector.open_gate();
            }
        }
        // what closes positions must not be swept away; the desk asks for another sweep when it is done
        if let Some(governed) = self.governed.get() {
            if reduces {
                governed.sweeper.stand_down(&[]);
            } else if !reducing.is_empty() {
                governed.sweeper.stand_down(&reducing);
            }
        }
    }

    /// Changes the policy that is in force, under one lock: between reading it and writing it nobody widens or narrows it.
    fn narrow(&self, change: impl FnOnce(&mut Policy) -> Option<Pass>) {
        let mut known = self.policy();
        if change(&mut known) != Some(Pass::Nothing)
            && let Some(governed) = self.governed.get()
        {
            governed.connector.set_policy(known.clone());
        }
    }

    fn set_policy(&self, policy: Policy) {
        let mut known = self.policy();
        if let Some(governed) = self.governed.get() {
            governed.connector.set_policy(policy.clone());
        }
        *known = policy;
    }

    fn policy(&self) -> MutexGuard<'_, Policy> {
        self.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the order may be handed to the connector, which looks again.
    pub fn passes(&self, intent: &Intent) -> bool {
        if self.by_hand.load(Ordering::SeqCst) || self.severed.load(Ordering::SeqCst) {
            return false;
        }
        match self.policy().of(intent.child.instrument, intent.key.parent()) {
            Pass::All => true,
            Pass::ReducingOnly => intent.child.reduce_only,
            Pass::Nothing => false,
        }
    }

    /// Begins to cancel whatever is open at the venue in `markets`, or in all if there are none.
    pub fn sweep(&self, markets: &[InstrumentId]) {
        match self.governed.get() {
            Some(governed) => governed.sweeper.go(markets),
            None => {
                // before there is a connector nobody asks for one market
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

    /// Orders may pass again as far as the policy says: only a re-arm does this. What is placed from here on is meant, so no sweep
    /// goes on.
    pub fn open(&self) {
        self.sweep_owed.store(false, Ordering::SeqCst);
        self.closed_ns.store(0, Ordering::SeqCst);
        self.by_hand.store(false, Ordering::SeqCst);
        if let Some(governed) = self.governed.get() {
            governed.sweeper.stand_down(&[]);
            governed.connector.open_gate();
        }
    }

    /// Whether it is closed: no money moves then, and no order passes but what [`Gate::passes`] lets.
    pub fn is_closed(&self) -> bool {
        let closed = self.by_hand.load(Ordering::SeqCst) || self.severed.load(Ordering::SeqCst);
        closed || self.policy().everywhere != Pass::All
    }

    /// From here on what comes of a sweep is told to `to`.
    pub fn tell(&self, to: mpsc::Sender<Fact>) {
        if let Some(governed) = self.governed.get() {
            governed.sweeper.tell(to);
        }
    }

    /// For the operator.
    pub fn view(&self) -> GateView {
        let since = self.closed_ns.load(Ordering::SeqCst);
        GateView {
            closed: self.is_closed(),
            flattening: self.policy().everywhere == Pass::ReducingOnly,
            severed: self.severed.load(Ordering::SeqCst),
            closed_ns: (since > 0).then_some(since),
            sweeping: self.sweeper().is_some_and(Sweeper::is_busy),
        }
    }
}

fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0).saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}
