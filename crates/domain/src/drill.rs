//! Drills: small transfers out and back that prove that money gets out of a venue, and how long it takes (quant §1.9, §1.10).
//!
//! A drill is a sequence of ordinary transfers: each is judged, recorded and released like any other. What is here only says which
//! transfers belong together, and what was measured.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{EvmAddress, Span, Stamp, TransferId, Usd, Venue};

/// A drill, numbered from 1 within one journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DrillId(pub u32);

impl fmt::Display for DrillId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "D{}", self.0)
    }
}

/// A way by which money leaves an account and comes back. Written `chain`, `spot` or `sub:0x…`, also in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DrillPath {
    /// Withdrawal to the wallet on its chain, and deposit back. The one that says whether money gets out of the venue.
    Chain,
    /// From the perpetuals balance to the spot balance and back.
    Spot,
    /// From the account to a sub-account and back.
    SubAccount(EvmAddress),
}

/// Why a text names no path of a drill.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not chain, spot or sub:0x and 40 hexadecimal digits")]
pub struct BadPath(String);

impl fmt::Display for DrillPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DrillPath::Chain => f.pad("chain"),
            DrillPath::Spot => f.pad("spot"),
            DrillPath::SubAccount(sub) => f.pad(&format!("sub:{sub}")),
        }
    }
}

impl FromStr for DrillPath {
    type Err = BadPath;
    fn from_str(text: &str) -> Result<DrillPath, BadPath> {
        let bad = || BadPath(text.chars().take(80).collect());
        match text {
            "chain" => Ok(DrillPath::Chain),
            "spot" => Ok(DrillPath::Spot),
            _ => {
                let sub = text.strip_prefix("sub:").ok_or_else(bad)?;
                sub.parse().map(DrillPath::SubAccount).map_err(|_| bad())
            }
        }
    }
}

impl Serialize for DrillPath {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DrillPath {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<DrillPath, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

/// Who wanted a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrillCause {
    /// It was due.
    Schedule,
    /// The operator.
    Operator,
}

/// One half of a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hop {
    /// Away from the account.
    Out,
    /// Back to it.
    Back,
}

impl Hop {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Hop::Out => "out",
            Hop::Back => "back",
        }
    }
}

/// What was measured of one hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HopReceipt {
    /// Which half.
    pub hop: Hop,
    /// By which way, as [`crate::Route::name`] says it.
    pub route: String,
    /// The transfer that did it.
    pub transfer: TransferId,
    /// When it was decided.
    pub began: Stamp,
    /// When the money could be used where it arrived, or when the hop failed.
    pub ended: Stamp,
    /// How much left.
    pub amount: Usd,
    /// How much of it did not arrive; nothing, if it is certain that nothing moved.
    pub fee: Usd,
}

impl HopReceipt {
    /// How long it took.
    #[must_use]
    pub fn took(&self) -> Span {
        self.ended.since(self.began)
    }
}

/// How a drill ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum DrillOutcome {
    /// Money went out and came back.
    Passed,
    /// It did not: the path is not proven.
    Failed {
        /// Where it broke, in words.
        why: String,
    },
}

/// The record of a drill that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillReceipt {
    /// Which venue was left.
    pub venue: Venue,
    /// By which path.
    pub path: DrillPath,
    /// Who wanted it.
    pub cause: DrillCause,
    /// When it began.
    pub began: Stamp,
    /// When it ended.
    pub ended: Stamp,
    /// Its hops, in order, as far as they were taken.
    pub hops: Vec<HopReceipt>,
    /// How it ended.
    pub outcome: DrillOutcome,
}

impl DrillReceipt {
    /// Whether money went out and came back.
    #[must_use]
    pub const fn passed(&self) -> bool {
        match self.outcome {
            DrillOutcome::Passed => true,
            DrillOutcome::Failed { .. } => false,
        }
    }

    /// The measured delay of an exit or a refill (`H` of quant §1.10): that of the slower hop. Nothing if it did not pass.
    #[must_use]
    pub fn delay(&self) -> Option<Span> {
        self.hops.iter().map(HopReceipt::took).max().filter(|_| self.passed())
    }

    /// How long the way out took, if money arrived out there.
    #[must_use]
    pub fn out(&self) -> Option<Span> {
        let back = self.hops.iter().any(|one| one.hop == Hop::Back);
        self.hops.iter().find(|one| one.hop == Hop::Out).filter(|_| back || self.passed()).map(HopReceipt::took)
    }

    /// What all of it cost, gas left out.
    #[must_use]
    pub fn fees(&self) -> Usd {
        self.hops.iter().map(|one| one.fee).sum()
    }
}

/// What happened to a drill, or was decided about it. Each is a journal record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum DrillEvent {
    /// It began; no money moves before its first hop.
    Begun {
        /// Which venue is left.
        venue: Venue,
        /// By which path.
        path: DrillPath,
        /// Who wanted it.
        cause: DrillCause,
    },
    /// A transfer does the next hop. Recorded in one group with that transfer's decision.
    Hop {
        /// Which half.
        hop: Hop,
        /// The transfer.
        transfer: TransferId,
        /// By which way, as [`crate::Route::name`] says it.
        route: String,
        /// How much leaves.
        amount: Usd,
        /// What the wallet held when it was decided: the arrival of a withdrawal shows as more than that.
        wallet_before: Option<Usd>,
    },
    /// It is over.
    Ended(DrillReceipt),
}

#[cfg(test)]
mod tests;
