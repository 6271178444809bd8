//! What the guard sees, for the operator.

use std::collections::BTreeMap;

use domain::{InstrumentId, Lots, Px, Qty, Ratio, Stamp, StopLevel, Usd, Venue};
use serde::Serialize;

/// One market as the guard sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MarketView {
    /// The booked position in lots; absent while it is not known.
    pub position: Option<Lots>,
    /// Lots of all working buys.
    pub working_long: Qty,
    /// Lots of all working sells.
    pub working_short: Qty,
    /// The position if every buy and no sell fills, and if every sell and no buy fills, in lots.
    pub worst: (Lots, Lots),
    /// Value of the larger of the two at the mark; zero while it cannot be valued.
    pub worst_usd: Usd,
    /// Working orders, foreign ones included.
    pub open_orders: u32,
    /// Reference price in ticks: median of oracle, mark and mid.
    pub reference: Option<Px>,
    /// How many of oracle, mark and mid are fresh.
    pub references_fresh: u8,
    /// Age of the book by receipt.
    pub book_age_ms: Option<u64>,
    /// Age of mark and oracle by receipt.
    pub marks_age_ms: Option<u64>,
    /// Last funding rate per hour that the venue reported.
    pub funding_hourly: Option<Ratio>,
    /// Whether positions may grow here by the allow-list.
    pub allowed: bool,
    /// Whether the market counts in the totals: if not, its rules, marks or position are missing and nothing may grow.
    pub blind: bool,
    /// Why it is frozen.
    pub frozen: Option<String>,
}

/// One account as the guard sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountStatus {
    /// Equity that the venue reports; absent before the first report.
    pub equity: Option<Usd>,
    /// Age of that report.
    pub age_ms: Option<u64>,
    /// Maintenance margin that the venue reports.
    pub maintenance: Option<Usd>,
    /// Maintenance margin of the worst case.
    pub maintenance_worst: Usd,
    /// Value of the worst case of all markets.
    pub worst_usd: Usd,
    /// What would be lost at once, measured at the marks, if orders priced through the mark filled.
    pub adverse_usd: Usd,
    /// Equity after that over maintenance of the worst case; absent when flat or without equity.
    pub cover: Option<Ratio>,
    /// Value of the worst case over equity; absent without equity.
    pub leverage: Option<Ratio>,
    /// Working orders, foreign ones included.
    pub open_orders: u32,
    /// Venue clock minus ours.
    pub clock_offset_ms: Option<i64>,
}

/// Everything the guard sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GuardStatus {
    /// Moment of the view.
    pub at: Stamp,
    /// Stop level in force.
    pub stop: StopLevel,
    /// Whether reconciliation is complete.
    pub ready: bool,
    /// Id of the limits in force.
    pub limits: u64,
    /// Per market that the guard has heard of.
    pub markets: BTreeMap<InstrumentId, MarketView>,
    /// Per venue that has reported an account or has exposure.
    pub accounts: BTreeMap<Venue, AccountStatus>,
    /// Value of all parents admitted in the last hour; absent while the rules of one's market are unknown.
    pub parents_hour_usd: Option<Usd>,
}
