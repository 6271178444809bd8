use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use domain::{Seed, Usd};
use serde::{Deserialize, Serialize};
use wire::hyperliquid::Address;

use crate::chain::ChainSpec;
use crate::tape::Tape;

/// Everything a paper venue is made of. [`PaperSpec::default`] is a complete, synthetic, open venue on a free loopback port.
#[derive(Clone, Debug)]
pub struct PaperSpec {
    /// Where `/info`, `/exchange` and `/ws` are served. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// A second address for the same services: the official Rust SDK speaks to `localhost:3001` alone.
    pub also_listen: Option<SocketAddr>,
    /// A separate address for `/control`. Without it `/control` is served beside the venue's own paths.
    pub control_listen: Option<SocketAddr>,
    /// The root of all chance: synthetic flow and fault draws.
    pub seed: Seed,
    /// Where BTC's background market comes from. All other markets are synthetic.
    pub market: Market,
    /// What the venue says about the time before it began.
    pub history: History,
    /// Who may trade, with how much.
    pub accounts: Accounts,
    /// Request budgets and gates.
    pub limits: VenueLimits,
    /// The local EVM chain on which its bridge stands, if any.
    pub chain: Option<ChainSpec>,
    /// By which roads it says that USDC comes in and goes out.
    pub routing: Routing,
    /// Stop by itself after this long without a connection or a request.
    pub idle_exit: Option<Duration>,
}

impl Default for PaperSpec {
    fn default() -> PaperSpec {
        PaperSpec {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            also_listen: None,
            control_listen: None,
            seed: Seed(1),
            market: Market::Synthetic,
            history: History::default(),
            accounts: Accounts::default(),
            limits: VenueLimits::default(),
            chain: None,
            routing: Routing::default(),
            idle_exit: None,
        }
    }
}

/// A road of USDC between a chain and the venue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UsdcRoad {
    /// Token transfers to and from the venue's bridge.
    #[default]
    Bridge,
    /// Circle's cross-chain transfer.
    Cctp,
}

impl UsdcRoad {
    /// The venue's word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            UsdcRoad::Bridge => "bridge",
            UsdcRoad::Cctp => "cctp",
        }
    }
}

/// What `usdcRouting` answers. It is a recommendation, on the real venue too: a road that exists goes on to work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Routing {
    /// In.
    pub deposit: UsdcRoad,
    /// Out.
    pub withdrawal: UsdcRoad,
}

/// The background market of BTC.
#[derive(Clone, Debug)]
pub enum Market {
    /// The exchange's seeded flow.
    Synthetic,
    /// A recording, replayed in a loop.
    Tape {
        /// The recording.
        tape: Arc<Tape>,
        /// Tape milliseconds per second of real time: 1,000 is the recorded pace. From 1 to 1,000,000.
        pace: u32,
    },
    /// Nothing moves by itself: the book is empty but for what clients place and what the handle puts there. For tests.
    Still,
}

/// What `candleSnapshot`, `fundingHistory` and `predictedFundings` say about the time before the venue began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum History {
    /// Sixty days drawn from the seed: prices that end at the first live price, funding that rests on one value for half of
    /// the time, and the rates of two other venues.
    #[default]
    Synthetic,
    /// Nothing: the venue is as young as it is.
    None,
}

/// Which addresses hold accounts, and how much they start with.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// Balance of any address on first sight; `None` refuses addresses that are not listed.
    pub open: Option<Usd>,
    /// Balances by address, whatever `open` says.
    pub listed: BTreeMap<Address, Usd>,
    /// Agents approved from the start: agent address → master address.
    pub agents: BTreeMap<Address, Address>,
}

impl Default for Accounts {
    fn default() -> Accounts {
        Accounts { open: Some(Usd::whole(100_000)), listed: BTreeMap::new(), agents: BTreeMap::new() }
    }
}

/// Budgets and gates (fact sheet §7, §4.5). The defaults are the venue's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VenueLimits {
    /// REST weight per IP and minute.
    pub ip_weight_per_minute: u32,
    /// WebSocket connections open at once per IP.
    pub ws_connections: usize,
    /// New WebSocket connections per IP and minute.
    pub ws_connects_per_minute: usize,
    /// Subscriptions per IP.
    pub ws_subscriptions: usize,
    /// Different users in user streams per IP.
    pub ws_users: usize,
    /// Messages from clients per IP and minute.
    pub ws_messages_per_minute: usize,
    /// Posts in flight per connection.
    pub ws_posts_in_flight: usize,
    /// Actions per address before volume adds to them.
    pub address_requests: u64,
    /// Lifetime volume that unlocks `scheduleCancel`.
    pub schedule_cancel_volume: Usd,
    /// Silence from the server after which it drops a socket.
    pub ws_idle: Duration,
}

impl Default for VenueLimits {
    fn default() -> VenueLimits {
        VenueLimits {
            ip_weight_per_minute: 1_200,
            ws_connections: 10,
            ws_connects_per_minute: 30,
            ws_subscriptions: 1_000,
            ws_users: 10,
            ws_messages_per_minute: 2_000,
            ws_posts_in_flight: 100,
            address_requests: 10_000,
            schedule_cancel_volume: Usd::whole(1_000_000),
            ws_idle: Duration::from_secs(60),
        }
    }
}

impl VenueLimits {
    /// Budgets so wide that no test meets them by accident.
    #[must_use]
    pub fn unlimited() -> VenueLimits {
        VenueLimits {
            ip_weight_per_minute: u32::MAX,
            ws_connections: 10_000,
            ws_connects_per_minute: 1_000_000,
            ws_subscriptions: 1_000_000,
            ws_users: 100_000,
            ws_messages_per_minute: 100_000_000,
            ws_posts_in_flight: 10_000,
            address_requests: u64::MAX / 4,
            schedule_cancel_volume: Usd::ZERO,
            ws_idle: Duration::from_secs(60),
        }
    }
}
