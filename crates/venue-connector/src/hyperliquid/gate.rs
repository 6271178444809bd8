//! The gate that stands where bytes are written. Cancels, burns and reads do not pass it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use domain::{InstrumentId, Intent, ParentId};
use wire::hyperliquid::action::OrderRequest;

/// A last look before an order leaves: why it may not, if so. It is called for every order on the way out, from any thread, and
/// must be quick; it may look at a file.
///
/// It is what a process that was stopped and goes on meets first (F53): whatever it had ready to send was decided before.
pub type Lookout = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Which orders may leave. The strictest comes last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pass {
    /// All.
    #[default]
    All,
    /// Those that the venue itself keeps from making a position larger: `reduceOnly`.
    ReducingOnly,
    /// None.
    Nothing,
}

/// Which orders may leave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// In markets that are not listed. Anything but [`Pass::All`] keeps money from moving too.
    pub everywhere: Pass,
    /// In these markets instead.
    pub markets: BTreeMap<InstrumentId, Pass>,
    /// Of these parents, at most.
    pub parents: BTreeMap<ParentId, Pass>,
}

impl Policy {
    /// What passes of a parent in a market.
    #[must_use]
    pub fn of(&self, instrument: InstrumentId, parent: ParentId) -> Pass {
        let market = self.markets.get(&instrument).copied().unwrap_or(self.everywhere);
        market.max(self.parents.get(&parent).copied().unwrap_or_default())
    }
}

/// An order on its way out, as far as the gate looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    instrument: InstrumentId,
    parent: ParentId,
    reduce_only: bool,
}

impl Bound {
    /// The order that `request` writes for `intent`: whether it is reduce-only is what the bytes say, and the parent is the one
    /// that the key names.
    pub(super) fn of(intent: &Intent, request: &OrderRequest) -> Bound {
        Bound { instrument: intent.child.instrument, parent: intent.key.parent(), reduce_only: request.reduce_only }
    }
}

/// Severed for good, closed by hand, as open as its [`Policy`] says, or shut by what the [`Lookout`] sees at this moment.
#[derive(Default)]
pub(super) struct Gate {
    severed: AtomicBool,
    closed: AtomicBool,
    policy: RwLock<Policy>,
    lookout: OnceLock<Lookout>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Gate { severed, closed, policy, lookout } = self;
        f.debug_struct("Gate")
            .field("severed", severed)
            .field("closed", closed)
            .field("policy", policy)
            .field("lookout", &lookout.get().is_some())
            .finish()
    }
}

impl Gate {
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub(super) fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
    }

    /// Closes for as long as the process lives.
    pub(super) fn sever(&self) {
        self.severed.store(true, Ordering::SeqCst);
    }

    /// What passes while it is not closed.
    pub(super) fn set_policy(&self, policy: Policy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    /// From here on `lookout` is asked as well. The first one stays.
    pub(super) fn ask(&self, lookout: Lookout) {
        if self.lookout.set(lookout).is_err() {
            tracing::warn!("the gate has a lookout already");
        }
    }

    /// Why the action that carries `orders` may not leave at this moment; nothing if it may (I20). One member that may not keeps
    /// the others back too: they are one signature.
    pub(super) fn shut(&self, orders: &[Bound]) -> Option<String> {
        if let Some(why) = self.barred() {
            return Some(why);
        }
        let policy = self.policy.read().unwrap_or_else(PoisonError::into_inner);
        let refused = orders.iter().find_map(|order| match policy.of(order.instrument, order.parent) {
            Pass::All => None,
            Pass::ReducingOnly if order.reduce_only => None,
            Pass::ReducingOnly => Some("the gate lets reduce-only orders pass alone".to_owned()),
            Pass::Nothing if policy.everywhere == Pass::Nothing => Some("the gate is closed".to_owned()),
            Pass::Nothing => Some(format!("the gate is closed for {} or {}", order.instrument, order.parent)),
        });
        drop(policy);
        refused.or_else(|| self.seen())
    }

    /// Why no money may be moved at this moment; nothing if it may.
    pub(super) fn shut_to_money(&self) -> Option<String> {
        let open = self.policy.read().unwrap_or_else(PoisonError::into_inner).everywhere == Pass::All;
        self.barred().or_else(|| (!open).then(|| "the gate is closed".to_owned())).or_else(|| self.seen())
    }

    fn barred(&self) -> Option<String> {
        if self.severed.load(Ordering::SeqCst) {
            return Some("the gate is severed".to_owned());
        }
        self.closed.load(Ordering::SeqCst).then(|| "the gate is closed".to_owned())
    }

    fn seen(&self) -> Option<String> {
        self.lookout.get().and_then(|look| look().err())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(market: &str, parent: u32, reduce_only: bool) -> Bound {
        Bound { instrument: market.parse().unwrap(), parent: ParentId(parent), reduce_only }
    }

    fn btc() -> [Bound; 1] {
        [order("hyperliquid:BTC", 7, false)]
    }

    #[test]
    fn a_lookout_shuts_what_is_open_and_opens_nothing_that_is_closed() {
        let gate = Gate::default();
        assert_eq!(gate.shut(&btc()), None);
        let seen = Arc::new(AtomicBool::new(false));
        let sees = Arc::clone(&seen);
        gate.ask(Arc::new(move || if sees.load(Ordering::SeqCst) { Err("a STOP file".to_owned()) } else { Ok(()) }));
        assert_eq!(gate.shut(&btc()), None);
        seen.store(true, Ordering::SeqCst);
        assert_eq!(gate.shut(&btc()), Some("a STOP file".to_owned()));
        assert_eq!(gate.shut_to_money(), Some("a STOP file".to_owned()));
        gate.ask(Arc::new(|| Ok(())));
        assert!(gate.shut(&btc()).is_some(), "the first lookout stays");
        seen.store(false, Ordering::SeqCst);
        gate.close();
        assert_eq!(gate.shut(&btc()), Some("the gate is closed".to_owned()));
        gate.open();
        assert_eq!(gate.shut(&btc()), None);
    }

    #[test]
    fn i20_an_order_passes_as_its_market_and_its_parent_let_it() {
        let gate = Gate::default();
        let mut policy = Policy::default();
        policy.markets.insert("hyperliquid:ETH".parse().unwrap(), Pass::Nothing);
        policy.parents.insert(ParentId(8), Pass::ReducingOnly);
        gate.set_policy(policy.clone());
        let passes = |orders: &[Bound]| gate.shut(orders).is_none();
        assert!(passes(&btc()));
        assert!(!passes(&[order("hyperliquid:ETH", 7, true)]));
        assert!(!passes(&[order("hyperliquid:BTC", 8, false)]));
        assert!(passes(&[order("hyperliquid:BTC", 8, true)]));
        assert!(!passes(&[btc()[0], order("hyperliquid:ETH", 7, true)]), "one signature carries both");
        assert_eq!(gate.shut_to_money(), None);
        policy.everywhere = Pass::ReducingOnly;
        gate.set_policy(policy.clone());
        assert!(!passes(&btc()));
        assert!(passes(&[order("hyperliquid:BTC", 7, true)]));
        assert!(!passes(&[order("hyperliquid:ETH", 7, true)]), "its own word counts");
        assert!(gate.shut_to_money().is_some());
        gate.close();
        assert!(!passes(&[order("hyperliquid:BTC", 7, true)]), "closed by hand is closed");
        gate.open();
        policy.everywhere = Pass::Nothing;
        policy.markets.insert("hyperliquid:SOL".parse().unwrap(), Pass::ReducingOnly);
        gate.set_policy(policy);
        assert!(!passes(&[order("hyperliquid:BTC", 7, true)]));
        assert!(passes(&[order("hyperliquid:SOL", 7, true)]), "a market that is flattened while all else is cancelled");
        assert!(!passes(&[order("hyperliquid:SOL", 7, false)]));
    }

    #[test]
    fn what_is_severed_stays_so() {
        let gate = Gate::default();
        gate.sever();
        gate.open();
        gate.set_policy(Policy::default());
        assert_eq!(gate.shut(&btc()), Some("the gate is severed".to_owned()));
        assert_eq!(gate.shut_to_money(), Some("the gate is severed".to_owned()));
    }
}
