//! The venue's end of a local EVM chain: deposits that reach the bridge, and withdrawals that leave it.
//!
//! One task reads the token's `Transfer` logs to the bridge's address and, with a [`CctpSpec`], the burns that are destined for the
//! venue. A deposit is known by its transaction and its place in it, so a block that is mined again after a reorganisation credits
//! nobody twice. It waits for its confirmations and for its road's delay; if it is gone by then, so is the credit. What becomes of
//! it is the venue's: less than the bridge's minimum is swallowed, as the real one does, and the faults `credit-late`,
//! `credit-never` and `credit-twice` go wrong with it.
//!
//! Withdrawals are plain token transfers signed with the bridge's own key. Both ends speak plain JSON-RPC to a loopback address
//! and to nothing else.

mod cctp;
mod rpc;
mod tx;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::Usd;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use wire::hyperliquid::Address;
use wire::hyperliquid::sign::Key;

pub use self::cctp::CctpSpec;
use self::rpc::{Rpc, RpcError, Seen};
use crate::StartError;
use crate::venue::{Ask, Control};

/// How often the chain is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Blocks behind the newest that are read again at each look: more than any reorganisation of a test chain.
const WINDOW: u64 = 256;
/// Payouts that wait for the chain; more are refused at the venue's door.
pub(crate) const PAYOUTS_MAX: usize = 1_024;
/// How often a payout is tried, a second apart, before it is given up and reported.
const PAYOUT_TRIES: u32 = 120;
const PAYOUT_PAUSE: Duration = Duration::from_secs(1);
/// Longest delay that may be asked for.
const DELAY_MAX: Duration = Duration::from_secs(86_400);

/// A local EVM chain on which the venue's bridge stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainSpec {
    /// JSON-RPC, `http://` and a loopback address.
    pub rpc: String,
    /// The USDC token, 6 decimals.
    pub token: Address,
    /// The bridge: what arrives here is credited to who sent it.
    pub bridge: Address,
    /// Blocks that must lie on a deposit's block; 0 takes the newest.
    pub confirmations: u64,
    /// From there to the credit.
    pub credit_after: Duration,
    /// The bridge's key, with which withdrawals are paid; without it they are debited and never arrive.
    pub key: Option<BridgeKey>,
    /// From a withdrawal to its payment (the real venue's dispute period is minutes).
    pub pay_after: Duration,
    /// Circle's contracts on this chain, if deposits may come by CCTP as well. The bridge goes on in any case, as the real one did.
    pub cctp: Option<CctpSpec>,
}

impl ChainSpec {
    /// A chain whose deposits are credited after two seconds and whose withdrawals are paid after three, if there is a key.
    #[must_use]
    pub fn new(rpc: impl Into<String>, token: Address, bridge: Address) -> ChainSpec {
        ChainSpec {
            rpc: rpc.into(),
            token,
            bridge,
            confirmations: 0,
            credit_after: Duration::from_secs(2),
            key: None,
            pay_after: Duration::from_secs(3),
            cctp: None,
        }
    }

    /// What is wrong with it: the first fault.
    fn check(&self) -> Result<(), StartError> {
        let bad = |text: String| Err(StartError::Spec(text));
        let host = self.rpc.strip_prefix("http://").and_then(|rest| rest.split(['/', '?']).next()).unwrap_or_default();
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_start_matches('[').trim_end_matches(']');
        let is_loopback = name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if !is_loopback {
            return bad(format!("chain.rpc is {:?}: expected http:// and a loopback address", self.rpc));
        }
        if let Some(key) = self.key.as_ref().filter(|k| k.0.address() != self.bridge) {
            return bad(format!("chain.key is of {}: expected the bridge's, {}", key.0.address(), self.bridge));
        }
        let cctp = self.cctp.as_ref();
        let cctp_after = cctp.map_or(Duration::ZERO, |cctp| cctp.credit_after);
        for (name, delay) in
            [("credit_after", self.credit_after), ("pay_after", self.pay_after), ("cctp.credit_after", cctp_after)]
        {
            if delay > DELAY_MAX {
                return bad(format!("chain.{name} is {delay:?}: expected at most {DELAY_MAX:?}"));
            }
        }
        if let Some(fee) = cctp.map(|cctp| cctp.fee).filter(|fee| fee.micros().is_none()) {
            return bad(format!("chain.cctp.fee is {fee}: expected an amount from 0 with at most 6 decimals"));
        }
        Ok(())
    }
}

/// The bridge's key on a local test chain. It prints as its address.
#[derive(Clone)]
pub struct BridgeKey(Arc<Key>);

impl From<Key> for BridgeKey {
    fn from(key: Key) -> BridgeKey {
        BridgeKey(Arc::new(key))
    }
}

impl PartialEq for BridgeKey {
    fn eq(&self, other: &BridgeKey) -> bool {
        self.0.address() == other.0.address()
    }
}

impl Eq for BridgeKey {}

impl fmt::Debug for BridgeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BridgeKey({})", self.0.address())
    }
}

/// A deposit that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) user: Address,
    /// What is to be credited: less what the road keeps.
    pub(crate) amount: Usd,
    pub(crate) road: Road,
}

/// By which way a deposit came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Road {
    /// A transfer to the bridge.
    Bridge,
    /// A burn that the forwarder credits, to the spot balance if it says so.
    Cctp { spot: bool },
    /// A burn that nobody forwards.
    Stranded(&'static str),
}

/// A withdrawal to pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Payout {
    pub(crate) to: Address,
    /// Less the fee.
    pub(crate) amount: Usd,
}

/// Where a deposit lies: its transaction, whether it is a burn, and its place among that transaction's deposits of its kind.
type DepositId = ([u8; 32], bool, u32);

struct Waiting {
    arrival: Arrival,
    due: Instant,
}

/// The chain's end of the venue.
pub(crate) struct Bridge {
    spec: ChainSpec,
    rpc: Rpc,
    asks: mpsc::Sender<Ask>,
    payouts: mpsc::Receiver<Payout>,
    stop: CancellationToken,
    /// The block from which deposits count: the newest when the chain was first seen.
    since: Option<u64>,
    waiting: BTreeMap<DepositId, Waiting>,
    /// What was reported, with the chain's height then: a block that is mined again is within [`WINDOW`] of it.
    done: BTreeMap<DepositId, u64>,
    height: u64,
    was_reached: bool,
}

impl Bridge {
    /// A bridge that reports to the venue behind `asks` and pays what comes by `payouts`.
    ///
    /// # Errors
    /// If the specification makes no sense or no HTTP client can be made.
    pub(crate) fn new(
        spec: ChainSpec,
        asks: mpsc::Sender<Ask>,
        payouts: mpsc::Receiver<Payout>,
        stop: CancellationToken,
    ) -> Result<Bridge, StartError> {
        spec.check()?;
        let rpc = Rpc::new(&spec.rpc).map_err(|e| StartError::Spec(format!("chain.rpc: {e}")))?;
        Ok(Bridge {
            spec,
            rpc,
            asks,
            payouts,
            stop,
            since: None,
            waiting: BTreeMap::new(),
            done: BTreeMap::new(),
            height: 0,
            was_reached: true,
        })
    }

    /// Watches and pays until the venue stops.
    pub(crate) async fn run(mut self) {
        let (queue, mut due) = (self.queue(), Vec::<(Instant, Payout)>::new());
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                Some(payout) = self.payouts.recv() => due.push((Instant::now() + self.spec.pay_after, payout)),
                _ = looks.tick() => {
                    self.look().await;
                    let now = Instant::now();
                    due.retain(|(at, payout)| {
                        let stays = *at > now;
                        // as many may wait there as may wait here
                        if !stays && queue.try_send(*payout).is_err() {
                            tracing::warn!(to = %payout.to, "a payout found no room and is lost");
                        }
                        stays
                    });
                }
            }
        }
    }

    /// One task pays, in order: the bridge's key has one nonce after another.
    fn queue(&self) -> mpsc::Sender<Payout> {
        let (sender, mut queue) = mpsc::channel::<Payout>(PAYOUTS_MAX);
        let (spec, rpc, stop, asks) = (self.spec.clone(), self.rpc.clone(), self.stop.clone(), self.asks.clone());
        tokio::spawn(async move {
            loop {
                let payout = tokio::select! {
                    () = stop.cancelled() => return,
                    payout = queue.recv() => payout,
                };
                let Some(payout) = payout else { return };
                let paid = tokio::select! {
                    () = stop.cancelled() => return,
                    paid = pay(&spec, &rpc, payout) => paid,
                };
                match paid {
                    Ok(()) => tell(&asks, Control::Paid).await,
                    Err(why) => tracing::warn!(to = %payout.to, amount = %payout.amount, why, "a withdrawal was not paid"),
                }
            }
        });
        sender
    }

    async fn look(&mut self) {
        let seen = match self.read().await {
            Ok(seen) => seen,
            Err(error) => {
                if std::mem::replace(&mut self.was_reached, false) {
                    tracing::warn!(%error, "the chain cannot be read; it is tried again");
                }
                return;
            }
        };
        self.was_reached = true;
        let forgotten = self.height.saturating_sub(2 * WINDOW);
        self.done.retain(|_, at| *at >= forgotten);
        let now = Instant::now();
        // what is no longer there was reorganised away before it counted
        self.waiting.retain(|id, _| seen.contains_key(id));
        for (id, arrival) in seen {
            if !self.done.contains_key(&id) {
                let burnt_after = self.spec.cctp.as_ref().map_or(self.spec.credit_after, |cctp| cctp.credit_after);
                let after = if id.1 { burnt_after } else { self.spec.credit_after };
                self.waiting.entry(id).or_insert(Waiting { arrival, due: now + after });
            }
        }
        let ripe: Vec<(DepositId, Arrival)> =
            self.waiting.iter().filter(|(_, w)| w.due <= now).map(|(id, w)| (*id, w.arrival)).collect();
        for (id, arrival) in ripe {
            self.waiting.remove(&id);
            self.done.insert(id, self.height);
            tell(&self.asks, |reply| Control::Arrived(arrival, reply)).await;
        }
    }

    /// The deposits that lie deep enough in the last blocks.
    async fn read(&mut self) -> Result<BTreeMap<DepositId, Arrival>, RpcError> {
        let newest = self.rpc.block_number().await?;
        self.height = newest;
        let since = *self.since.get_or_insert(newest + 1);
        let Some(to) = newest.checked_sub(self.spec.confirmations).filter(|to| *to >= since) else { return Ok(BTreeMap::new()) };
        let from = since.max(newest.saturating_sub(WINDOW));
        let mut places: BTreeMap<([u8; 32], bool), u32> = BTreeMap::new();
        let mut seen = BTreeMap::new();
        let mut note = |tx: [u8; 32], is_burn: bool, arrival: Arrival| {
            let place = places.entry((tx, is_burn)).or_default();
            seen.insert((tx, is_burn, *place), arrival);
            *place += 1;
        };
        for Seen { tx, from, units } in self.rpc.transfers_to(self.spec.token, self.spec.bridge, from, to).await? {
            note(tx, false, Arrival { user: from, amount: Usd::from_micros(units), road: Road::Bridge });
        }
        if let Some(cctp) = &self.spec.cctp {
            for (tx, burn) in self.rpc.burns(cctp.messenger, self.spec.token, from, to).await? {
                note(tx, true, cctp.arrival(&burn));
            }
        }
        Ok(seen)
    }
}

/// Tells the venue's owner; if it is gone, so is the venue.
async fn tell(asks: &mpsc::Sender<Ask>, make: impl FnOnce(oneshot::Sender<()>) -> Control) {
    let (reply, done) = oneshot::channel();
    if asks.send(Ask::Control(make(reply))).await.is_ok() && done.await.is_err() {
        tracing::debug!("the venue ended before it answered");
    }
}

/// Pays one withdrawal and waits until it is mined. The same bytes are sent until then, so it is paid once.
async fn pay(spec: &ChainSpec, rpc: &Rpc, payout: Payout) -> Result<(), String> {
    let Some(key) = &spec.key else { return Err("the bridge has no key".to_owned()) };
    let units = payout.amount.micros().ok_or("the amount is finer than the token")?;
    let mut signed: Option<tx::SignedTx> = None;
    let mut last = String::new();
    for _ in 0..PAYOUT_TRIES {
        let step = async {
            let sent = match &signed {
                Some(sent) => sent,
                None => {
                    let nonce = rpc.nonce(spec.bridge).await?;
                    let terms = tx::Terms { chain_id: rpc.chain_id().await?, nonce, gas_price: rpc.gas_price().await? };
                    signed.insert(tx::transfer(&key.0, &terms, spec.token, payout.to, units))
                }
            };
            // the chain may know it already; the receipt says
            if let Err(error) = rpc.send_raw(&sent.raw).await {
                tracing::debug!(%error, "a payout was not taken, or is known");
            }
            rpc.receipt(&sent.hash).await
        };
        match step.await {
            Ok(Some(true)) => return Ok(()),
            Ok(Some(false)) => return Err("the token refused it (reverted)".to_owned()),
            Ok(None) => "it is not mined".clone_into(&mut last),
            Err(error) => last = error.to_string(),
        }
        tokio::time::sleep(PAYOUT_PAUSE).await;
    }
    Err(last)
}
