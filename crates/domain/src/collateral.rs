//! Where collateral lies besides an account's perpetuals balance, by which road it comes in, and what was decided about moving it.

use serde::{Deserialize, Serialize};

use crate::{EvmAddress, Stamp, Usd, Venue};

/// A place inside a venue where collateral may lie idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdlePlace {
    /// The account's own spot balance.
    Spot,
    /// A sub-account of the account.
    SubAccount(EvmAddress),
    /// The master of the account, which is itself a sub-account.
    Master,
}

/// What lies idle in one place, as one read found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdleBalance {
    /// At which venue.
    pub venue: Venue,
    /// Where.
    pub place: IdlePlace,
    /// What may be taken from it at once: nothing that an order or a position there needs is in it.
    pub free: Usd,
    /// When the read began.
    pub at: Stamp,
}

/// A road of USDC between a chain and a venue, in the venue's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsdcRoad {
    /// The venue's own bridge contract.
    Bridge,
    /// Circle's cross-chain transfer.
    Cctp,
    /// A word that is not known: nothing is sent by it (I34).
    Unknown,
}

/// By which roads a venue takes and pays USDC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsdcRoads {
    /// Which venue.
    pub venue: Venue,
    /// Into the venue.
    pub deposit: UsdcRoad,
    /// Out of it.
    pub withdrawal: UsdcRoad,
    /// When the read began.
    pub at: Stamp,
}

/// A deposit that a venue credited to the account, as its ledger shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DepositSeen {
    /// When, venue time in UTC milliseconds.
    pub venue_ms: u64,
    /// How much.
    pub amount: Usd,
}

/// What the treasury does about an account, the mildest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TreasuryAction {
    /// Nothing is needed.
    #[default]
    Rest,
    /// Idle collateral goes back down the ladder.
    Sweep,
    /// Money is under way, or an answer is awaited.
    Wait,
    /// Money is moved to the account.
    TopUp,
    /// Something is needed and cannot be done.
    Stuck,
    /// Positions are reduced instead.
    Reduce,
}

impl TreasuryAction {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            TreasuryAction::Rest => "rest",
            TreasuryAction::Sweep => "sweep",
            TreasuryAction::Wait => "wait",
            TreasuryAction::TopUp => "top up",
            TreasuryAction::Stuck => "stuck",
            TreasuryAction::Reduce => "reduce instead",
        }
    }
}

/// A run of top-ups against one fall of the market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cascade {
    /// When its first top-up was decided.
    pub since: Stamp,
    /// The account's equity then, isolated margin included.
    pub equity: Usd,
    /// The fall that the first top-up was meant for: what the worst configured scenario would have cost then.
    pub meant_for: Usd,
}

/// A decision of the treasury about one account. It is recorded when it changes in kind, not when its numbers do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreasuryDecision {
    /// About the account at which venue.
    pub venue: Venue,
    /// What is done.
    pub action: TreasuryAction,
    /// Why, with the numbers.
    pub why: String,
    /// The run of top-ups that it belongs to.
    pub cascade: Option<Cascade>,
}
