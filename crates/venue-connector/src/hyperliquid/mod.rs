//! Hyperliquid (HyperCore) as a client.
//!
//! * `startup`: what must be true before the first order, and the markets' rules.
//! * `orders`: placing, cancelling, the kill path, burning nonces, and what an answer means.
//! * `stream`: sockets that reconnect; market data. `account`: account frames and reads. `history`: bars and past funding.
//! * `gate`: what stands where an order is written. `canceller`: the kill path alone, for a process beside the daemon.
//! * `secret`: the key, until it is forgotten.
//! * `mode`: which orders the venue takes at present.
//! * `http`, `limits`, `nonce`, `config`: one request, budgets, nonces, settings.

mod account;
mod canceller;
mod config;
mod gate;
mod gauges;
mod history;
mod http;
mod limits;
mod market;
mod mode;
mod nonce;
mod orders;
mod read;
mod secret;
mod startup;
mod stream;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::{ClientKey, EvmAddress, Fact, Instrument, InstrumentId, OrderReport, Prng, Usd, VenueOrderId, VenueSnapshot};
use margin_guard::{Released, ReleasedTransfer};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wire::hyperliquid::Address;
use wire::hyperliquid::info::UsdcRouting;
use wire::hyperliquid::sign::Key;

use crate::feed::{MarketFeed, MarketSink};
use crate::port::{CancelRequest, Clock, OrderPort, Sweep, SweepError};

pub use canceller::Canceller;
pub use config::{Config, Market, OrderRoute, Timing};
pub use gate::{Lookout, Pass, Policy};
pub use gauges::Gauges;
pub use http::{HttpSetup, NoAnswer};
pub use limits::{AddressBudget, Purpose, Spent, WeightWindow};
pub use nonce::{NonceAhead, NonceSource};
pub use orders::{BurnError, DEAD_MAN_LEAD_MIN, DeadManError, Deposit, LeverageError};
pub use read::ReadError;
pub use startup::{Signer, StartError, StartReport};
pub use wire::hyperliquid::sign::Network;

/// Account facts that wait for the desk before the socket is held back.
const FACTS_MAX: usize = 4_096;

/// What the journal knows that the connector must go on from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// The highest nonce ever used with this key, or the last moment it may have been used, UTC milliseconds.
    pub nonce_floor: u64,
    /// Funding payments up to this venue time are booked; later ones from the stream's first message are delivered.
    pub fundings_since_ms: u64,
}

/// A running connector and where its facts come out.
#[derive(Debug)]
pub struct Started {
    /// The handle.
    pub connector: Connector,
    /// The markets of the configuration, in its order: these are subscribed.
    pub instruments: Vec<Instrument>,
    /// All other perpetuals of the venue's main dex: positions, orders and fills in them are reported as well.
    pub others: Vec<Instrument>,
    /// Market data and the market stream's health.
    pub market: MarketFeed,
    /// Account facts, outcomes and the account stream's health. The receiver must keep up or the socket waits.
    pub account: mpsc::Receiver<Fact>,
    /// What the start-up checks found.
    pub report: StartReport,
}

/// A handle on one account at Hyperliquid. Clones share everything.
#[derive(Clone, Debug)]
pub struct Connector {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: CancellationToken,
    fallen: watch::Receiver<Option<&'static str>>,
}

pub(crate) struct Shared {
    config: Config,
    key: secret::Secret,
    signer: Address,
    clock: Clock,
    reads: read::Reads,
    markets: market::Universe,
    nonces: NonceSource,
    address: AddressBudget,
    counters: Arc<gauges::Counters>,
    facts: mpsc::Sender<Fact>,
    sink: MarketSink,
    mentions: account::Mentions,
    posts: orders::Posts,
    known: orders::Known,
    landing: orders::Landing,
    gate: Arc<gate::Gate>,
    /// Nonces whose burn got no answer: a later "duplicate" does not say whose it was.
    burns_lost: Mutex<BTreeSet<u64>>,
    mode: mode::Mode,
    /// A payment of funding was seen: an hour is settled.
    funding_paid: Notify,
    /// The newest account that was delivered: when, and of which venue time.
    account_seen: Mutex<Option<account::Seen>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hyperliquid").field("account", &self.config.account).field("signer", &self.signer).finish_non_exhaustive()
    }
}

impl Connector {
    /// Checks everything that must be true before the first order, then opens the streams.
    ///
    /// `clock` is the process's clock, `jitter` a stream of chance of its own. A TLS provider must be installed (rustls on
    /// ring, by `main`), or every TLS connection fails.
    ///
    /// # Errors
    /// The first check that fails. No stream is open then and no task runs.
    pub async fn start(config: Config, key: Key, clock: Clock, jitter: Prng, resume: Resume) -> Result<Started, StartError> {
        startup::start(config, key, clock, jitter, resume).await
    }

    /// Everything that a reconciliation reads, in one pull: account, open orders, fills since `fills_since_ms` (venue time,
    /// inclusive) and the venue's answer for each of `keys`.
    ///
    /// # Errors
    /// The first read that failed; nothing partial is returned.
    pub async fn snapshot(&self, keys: &[ClientKey], fills_since_ms: u64) -> Result<VenueSnapshot, ReadError> {
        account::snapshot(&self.shared, keys, fills_since_ms).await
    }

    /// What the venue knows of the order `key`; `None` if it does not know it.
    ///
    /// # Errors
    /// If the read failed.
    pub async fn order_status(&self, key: ClientKey) -> Result<Option<OrderReport>, ReadError> {
        account::order_status(&self.shared, key, Purpose::Recover).await
    }

    /// Burns `nonce` by an action without effect, so that nothing else signed with it can land. True: it was free, and now
    /// never lands. False: it had been used before.
    ///
    /// # Errors
    /// If the venue's answer is neither, or did not come; whether it is burnt is not known then.
    pub async fn burn_nonce(&self, nonce: u64) -> Result<bool, BurnError> {
        orders::burn(&self.shared, nonce).await
    }

    /// Replaces a working order by `to`: cancel and place, with a new venue id and without its queue position. `to`'s quantity
    /// is the full new size. The outcome comes back as [`Fact::Sent`] under `to`'s key.
    pub async fn modify(&self, order: VenueOrderId, to: Released) {
        orders::modify(&self.shared, order, to).await;
    }

    /// Sets leverage and margin mode of a market. Repeating it is harmless.
    ///
    /// # Errors
    /// If the venue refused it, or did not answer within the deadline.
    pub async fn set_leverage(&self, instrument: InstrumentId, leverage: u32, cross: bool) -> Result<(), LeverageError> {
        orders::set_leverage(&self.shared, instrument, leverage, cross).await
    }

    /// Does one released step of a transfer that begins at the venue. What comes of it returns as [`Fact::Transfer`]: sent, then
    /// accepted, refused by the venue, or overdue when the answer proves nothing. A step that an earlier tenure may have done is done
    /// again with the same nonce, which moves nothing twice.
    ///
    /// `funds` is the account's own key: moving between spot and perpetuals, and withdrawing, are not an agent's to sign.
    pub async fn transfer(&self, released: ReleasedTransfer, funds: Option<&Key>) {
        orders::transfer(&self.shared, released, funds).await;
    }

    /// Deposits credited to the account from `since_ms` (venue time) on, oldest first.
    ///
    /// # Errors
    /// If the read failed.
    pub async fn deposits(&self, since_ms: u64) -> Result<Vec<Deposit>, ReadError> {
        orders::deposits(&self.shared, since_ms).await
    }

    /// Spot USDC that no order holds.
    ///
    /// # Errors
    /// If the read failed.
    pub async fn spot_usdc(&self) -> Result<Usd, ReadError> {
        orders::spot_usdc(&self.shared).await
    }

    /// What the perpetuals balance of `account`, a sub-account or a master, could give away at once, in the venue's words.
    ///
    /// # Errors
    /// If the read failed.
    pub async fn withdrawable(&self, account: EvmAddress) -> Result<Usd, ReadError> {
        orders::withdrawable(&self.shared, account).await
    }

    /// Whose sub-account the account is; nothing if it is none.
    ///
    /// # Errors
    /// If the read failed.
    pub async fn master(&self) -> Result<Option<EvmAddress>, ReadError> {
        orders::master(&self.shared).await
    }

    /// By which roads USDC comes in and goes out: `bridge` or `cctp`. To be asked before a deposit (fact sheet §11).
    ///
    /// # Errors
    /// If the read failed.
    pub async fn usdc_routing(&self) -> Result<UsdcRouting, ReadError> {
        orders::usdc_routing(&self.shared).await
    }

    /// Counters and budgets, for status and metrics.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        self.shared.gauges()
    }

    /// Closes the gate: from the moment this returns no order is handed to a connection; each is answered as rejected, "not
    /// sent". What was handed over before is not called back. Cancels, burns and reads go on.
    pub fn close_gate(&self) {
        self.shared.gate.close();
    }

    /// From here on `lookout` is asked before each order is handed to a connection, besides the gate. It is set once.
    pub fn look_out(&self, lookout: Lookout) {
        self.shared.gate.ask(lookout);
    }

    /// Opens the gate again, as far as its policy says.
    pub fn open_gate(&self) {
        self.shared.gate.open();
    }

    /// Which orders pass while the gate is not closed: looked at before they are signed and again before they are handed to a
    /// connection. The others are answered as rejected, "not sent".
    pub fn set_policy(&self, policy: Policy) {
        self.shared.gate.set_policy(policy);
    }

    /// Closes the gate for as long as the process lives: nothing opens it again.
    pub fn sever_gate(&self) {
        self.shared.gate.sever();
    }

    /// Has the venue cancel every order of the account in `lead` from now (at least 5 s), or not at all. Calling it again moves the
    /// time. Returns that time by the venue's clock, UTC milliseconds. It also cancels protective stops.
    ///
    /// # Errors
    /// If the venue refused it, as it does for accounts below 1,000,000 USD of lifetime volume, or gave no usable answer.
    pub async fn schedule_cancel(&self, lead: Option<Duration>) -> Result<Option<u64>, DeadManError> {
        orders::schedule_cancel(&self.shared, lead).await
    }

    /// How many orders are open at the venue, in every perpetual and whoever placed them: what a sweep would cancel.
    ///
    /// # Errors
    /// If the read failed.
    pub async fn open_orders(&self) -> Result<usize, ReadError> {
        orders::open(&self.shared).await
    }

    /// Waits until one of the connector's tasks ends without having been told to, which is a fault of the program: the daemon
    /// must not go on half alive. Pending for ever otherwise. Returns the task's name.
    pub async fn failed(&self) -> &'static str {
        let mut fallen = self.fallen.clone();
        match fallen.wait_for(Option::is_some).await.map(|name| *name) {
            Ok(Some(name)) => name,
            // every task has ended, none of them unasked
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Closes the streams and waits for their tasks. Orders and cancels that are under way are not interrupted: they belong
    /// to whoever called.
    ///
    /// Returns false if a task was still running after `grace`.
    pub async fn stop(&self, grace: Duration) -> bool {
        self.stop.cancel();
        self.tasks.close();
        let in_time = tokio::time::timeout(grace, self.tasks.wait()).await.is_ok();
        self.shared.sink.close();
        in_time
    }

    /// As [`Connector::stop`], with the gate severed and the key erased: this process signs nothing any more, cancels included.
    pub async fn sever(&self, grace: Duration) -> bool {
        self.sever_gate();
        let in_time = self.stop(grace).await;
        self.shared.key.forget();
        in_time
    }
}

impl OrderPort for Connector {
    async fn place(&self, orders: Vec<Released>) {
        orders::place(&self.shared, orders).await;
    }

    async fn cancel(&self, orders: Vec<CancelRequest>) {
        orders::cancel(&self.shared, orders).await;
    }

    async fn sweep(&self, instruments: &[InstrumentId], deadline: Duration) -> Result<Sweep, SweepError> {
        orders::sweep(&self.shared, instruments, deadline).await
    }
}

#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "a test names what it expects and fails on the rest")]
mod stub;
#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "a test names what it expects and fails on the rest")]
mod tests;
