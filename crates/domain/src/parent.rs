use serde::{Deserialize, Serialize};

use crate::{InstrumentId, ParentId, Px, Qty, Ratio, Side, Span, Usd};

/// How much by when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Evenly over the horizon in this many slices (TWAP).
    Twap {
        /// Number of slices wanted; fewer if they would be below the venue's minimum.
        slices: u32,
    },
    /// After a volume curve: share of the day's volume per bucket of equal length, the first bucket starting at 00:00 UTC (VWAP).
    Vwap {
        /// Number of slices wanted.
        slices: u32,
        /// Weight per bucket, any positive scale; empty means uniform.
        curve: Vec<u32>,
    },
    /// A share of the volume that others trade (POV).
    Pov {
        /// Participation of total volume, 0 < ρ ≤ 0.5.
        rate: Ratio,
        /// Whether to follow an even schedule as well when the market's volume falls behind it, so that the horizon completes.
        complete: bool,
    },
    /// Almgren–Chriss closed form (implementation shortfall).
    Shortfall {
        /// Number of slices wanted.
        slices: u32,
        /// Risk aversion, per quote unit.
        lambda: Ratio,
        /// Volatility over the horizon's unit of one day, as a share of price.
        sigma_daily: Ratio,
        /// Temporary impact: price move, as a share of price, while the parent's own quantity trades at the pace of one a day.
        eta: Ratio,
    },
}

/// How a child is worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// Join the best price, post-only, and stay.
    Passive,
    /// Join the best price, post-only, and follow it.
    Pegged,
    /// Passive, then pegged, then mid, then crossing (quant §2.3).
    LimitToMarket,
}

/// What happens to the remainder at the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndPolicy {
    /// Leave it undone and report it.
    Cancel,
    /// Go on for one more horizon, once; then as `Cancel`.
    Extend,
    /// Cross inside the guard price until done.
    Force,
}

/// What the operator wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentSpec {
    /// Its number, given at admission.
    pub id: ParentId,
    /// The market.
    pub instrument: InstrumentId,
    /// The side.
    pub side: Side,
    /// Total quantity.
    pub qty: Qty,
    /// How much by when.
    pub schedule: Schedule,
    /// How each child is worked.
    pub placement: Placement,
    /// Largest visible quantity of a child; absent shows all of it (iceberg).
    pub display: Option<Qty>,
    /// From start to deadline.
    pub horizon: Span,
    /// Worst price at which any child may trade, absolute; absent leaves the slippage cap alone.
    pub limit_px: Option<Px>,
    /// Worst distance from the arrival mid at which any child may trade.
    pub slippage_max: Ratio,
    /// What happens to the remainder at the deadline.
    pub end: EndPolicy,
    /// Whether every child may only reduce a position.
    pub reduce_only: bool,
    /// Free text, at most 64 characters: who asked and why.
    pub note: String,
}

/// A fault in a parent order: the field, its value and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{field} = {value}: {expected}")]
pub struct SpecFault {
    /// Which field.
    pub field: String,
    /// What was given.
    pub value: String,
    /// What would be right.
    pub expected: String,
}

/// An operator's change to a live parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParentChange {
    /// Cancel its children and wait.
    Pause,
    /// Go on.
    Resume,
    /// New total quantity (not below what is filled and live) or new deadline, measured from the start.
    Amend {
        /// New total.
        qty: Option<Qty>,
        /// New horizon.
        horizon: Option<Span>,
    },
    /// Cancel its children and end.
    Cancel,
}

/// How a parent ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParentOutcome {
    /// All of it.
    Filled,
    /// The deadline passed with a remainder.
    Expired {
        /// What was left undone.
        residual: Qty,
        /// Why it could not be traded.
        why: String,
    },
    /// By the operator or the kill switch.
    Canceled {
        /// What was left undone.
        residual: Qty,
    },
}

/// The market when a parent started: the yardstick of its costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// Twice the mid price in ticks.
    pub mid_x2: i64,
    /// Spread in ticks.
    pub spread: i64,
    /// Money per tick and lot at arrival; copied so that a report needs no instrument.
    pub tick_lot: Usd,
}
