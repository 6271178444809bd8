//! The control API: what an operator or a test tells the venue besides trading.
//!
//! | request | does |
//! |---|---|
//! | `GET /control` | this list and the faults that exist |
//! | `GET /control/faults` | faults in force |
//! | `POST /control/faults` | one [`crate::FaultOrder`] or an array of them; answers what is now in force |
//! | `DELETE /control/faults[?fault=NAME]` | clears one fault or all |
//! | `GET /control/fills?user=0x…[&since_ms=N]` | the venue's own truth about an account: [`crate::Truth`] |
//! | `GET /control/wire?since=N` | every action that reached the venue from number N on, whatever became of it: [`crate::WirePage`] |
//! | `GET /control/state` | time, connections, requests, tape pass |
//! | `POST /control/market` | [`MarketPush`]: sets background levels, prints trades, moves a market for good, sets its funding |
//! | `POST /control/deposit` | [`DepositOrder`]: credits an account |
//! | `POST /control/routing` | [`crate::Routing`]: by which roads the venue says that USDC comes in and goes out |

use domain::{Side, Usd};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use wire::hyperliquid::Address;

/// Background levels and trades put into a market by hand, prices and sizes in the venue's own text form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarketPush {
    /// Which market.
    pub coin: String,
    /// Bids as (price, size); size 0 removes a level.
    #[serde(default)]
    pub bids: Vec<(Decimal, Decimal)>,
    /// Asks likewise.
    #[serde(default)]
    pub asks: Vec<(Decimal, Decimal)>,
    /// Whether the levels named are the whole background book.
    #[serde(default)]
    pub replace: bool,
    /// Trades that print first, in order.
    #[serde(default)]
    pub trades: Vec<TradePush>,
    /// The oracle's price from now on.
    #[serde(default)]
    pub oracle: Option<Decimal>,
    /// Moves everything by this much and keeps it there: book, trades to come, oracle and mark, in basis points of the mark.
    /// An oracle held by [`crate::Fault::StaleOracle`] stays behind.
    #[serde(default)]
    pub shift_bps: Option<i64>,
    /// Over how long `shift_bps` happens, evenly; 0 is at once.
    #[serde(default)]
    pub over_ms: u64,
    /// What funding is and has been.
    #[serde(default)]
    pub funding: Option<FundingPush>,
}

/// Funding put into a market by hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FundingPush {
    /// Rate per hour from now on, at most 0.04 either way; absent: what the market makes of it.
    #[serde(default)]
    pub hourly: Option<Decimal>,
    /// So many of the newest hours that are settled say `hourly` in `fundingHistory` too. Nothing is paid for them.
    #[serde(default)]
    pub past_hours: u32,
    /// Whether the running hour is settled now, payments included. The row carries the present time.
    #[serde(default)]
    pub settle: bool,
}

/// A background trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TradePush {
    /// The aggressor's side, `buy` or `sell`.
    pub side: Side,
    /// Price.
    pub px: Decimal,
    /// Size.
    pub sz: Decimal,
}

/// A credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepositOrder {
    /// Whose account.
    pub user: Address,
    /// Amount, above zero.
    pub usd: Usd,
    /// Whether the spot balance is credited instead of the perpetuals balance.
    #[serde(default)]
    pub spot: bool,
}

/// The venue's own figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VenueState {
    /// Venue time, UTC milliseconds.
    pub now_ms: u64,
    /// Since the start, milliseconds.
    pub up_ms: u64,
    /// Sockets open.
    pub sockets: usize,
    /// Subscriptions in force.
    pub subscriptions: usize,
    /// `/info` requests served, posts included.
    pub info_requests: u64,
    /// `/exchange` requests served, posts included.
    pub exchange_requests: u64,
    /// How often the tape has begun anew; `None` without a tape.
    pub tape_pass: Option<u64>,
    /// Accounts in being.
    pub accounts: usize,
    /// What the bridge did.
    pub bridge: BridgeState,
}

/// Counts of the bridge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeState {
    /// Deposits that were due.
    pub arrived: u64,
    /// Credits given.
    pub credited: u64,
    /// Deposits that are lost: below the bridge's minimum, or burnt so that no forwarder credits them.
    pub swallowed: u64,
    /// Credits that a fault holds back.
    pub held: usize,
    /// Withdrawals handed to the chain.
    pub payouts: u64,
    /// Of these, mined.
    pub paid: u64,
}
