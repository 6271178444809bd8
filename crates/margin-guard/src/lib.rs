//! The load line: judges every order and mints the proof that it may leave the process.
//!
//! This crate decides whether an order may be sent, from the limits and one projection of the account: every working
//! order (open, in flight, unknown, foreign) filling against us. It answers with [`Cleared`] or with a [`Refusal`] that
//! carries the numbers and the largest size it would allow; it never edits an order. [`release`] makes cleared orders
//! durable and turns them into [`Released`], the only thing that a connector's order port takes. Neither can be made
//! outside this crate.
//!
//! [`Treasury`] does the same for transfers: budgets, destinations, one open nonce; [`ReleasedTransfer`] is what a wallet takes.
//!
//! It deliberately does not know venues, sockets, clocks, schedules or why an order is wanted. Missing or stale data
//! refuses what could grow a position and never what only shrinks one. Start with [`Guard::clear`], then `rules`.

mod assess;
mod bucket;
mod care;
mod exit;
mod groups;
mod guard;
mod level;
mod limits;
mod line;
mod money;
mod oracle;
mod pace;
mod projection;
mod proof;
mod refusal;
mod rules;
mod scenario;
mod status;
mod transfer;
#[cfg(test)]
mod world;

pub use assess::{Assessment, Refused, Repeating};
pub use exit::{EXIT_MINUTES_MAX, ExitSeen};
pub use guard::Guard;
pub use limits::{
    Buffer, Cover, Drawdown, Funding, Group, Limits, Liquidation, Oracle, RawAnswer, RawBuffer, RawCover, RawDrawdown,
    RawFunding, RawGroup, RawLimits, RawLiquidation, RawMarketLimits, RawNumber, RawOracle, RawRejects, RawRepeat, RawScenario,
    RawSizing, RawTrust, Rejects, Repeat, SCENARIOS_MAX, Scenario, Sizing, Tier, Trust,
};
pub use line::{AccountLine, PositionLine, ScenarioLine};
pub use oracle::OracleTrouble;
pub use projection::{Drift, Projection, Totals};
pub use proof::{Cleared, ReleaseError, Released, release, release_all};
pub use refusal::{Datum, Refusal, Scope};
pub use status::{AccountStatus, GuardStatus, MarketView};
pub use transfer::{
    Budgets, ClearedTransfer, Destination, DestinationKind, Minimum, RawDestination, RawTreasury, RawWallet, ReleasedTransfer,
    Spent, TransferRefusal, TransferStep, Treasury, TreasuryFault, TreasuryLimits, WalletLimits, least_deposit, minimum, raised,
    withdrawal_fee,
};
