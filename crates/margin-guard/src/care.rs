//! What the last look left behind for the rules: allowed sizes, caps in money, exhausted budgets.
//!
//! [`crate::Guard::assess`] works these out about once a second; between two looks a rule only compares. What is older than
//! [`CARE_AGE_MAX`] supports no increase.

use domain::{InstrumentId, Ratio, Side, Span, Stamp};
use risk::drawdown::ScopeVerdict;
use risk::stats::DepthRing;

use crate::limits::VENUES;
use crate::money::Money;
use crate::oracle::OracleWatch;
use crate::pace::RejectWatch;
use crate::refusal::{Datum, Refusal};

/// Five looks: one that is late does not stop trading, a desk that hangs does.
pub(crate) const CARE_AGE_MAX: Span = Span::secs(5);

/// How large a position may be on one side of a market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) max: Money,
    /// The cap that binds, and the numbers that it follows from.
    pub(crate) cap: &'static str,
    pub(crate) why: String,
}

/// A market's sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sized {
    pub(crate) at: Stamp,
    pub(crate) long: Allowance,
    pub(crate) short: Allowance,
    /// Why nothing may grow whatever the size (C15).
    pub(crate) red: Option<String>,
    /// Share of the budgets that is left.
    pub(crate) scale: Ratio,
}

impl Sized {
    pub(crate) const fn of(&self, side: Side) -> &Allowance {
        match side {
            Side::Buy => &self.long,
            Side::Sell => &self.short,
        }
    }
}

/// What is watched of one market.
#[derive(Clone, Debug, Default)]
pub(crate) struct MarketCare {
    pub(crate) sized: Option<Sized>,
    /// The trade's or its group's budget, if it is spent (C16).
    pub(crate) spent: Option<ScopeVerdict>,
    /// Depth near the mid over the last minute, the thinner side.
    pub(crate) depth: DepthRing,
    pub(crate) oracle: OracleWatch,
    pub(crate) rejects: RejectWatch,
}

/// Caps that follow from the total equity.
#[derive(Clone, Debug, Default)]
pub(crate) struct PortfolioCare {
    /// When they were worked out.
    pub(crate) at: Option<Stamp>,
    /// What was not known then, so that nothing may grow.
    pub(crate) missing: Option<Datum>,
    pub(crate) layer2: Money,
    /// Trust in each venue and the cap that follows from it, in the order of `VENUES`.
    pub(crate) venues: [(Ratio, Money); VENUES.len()],
    /// Per group: net and gross.
    pub(crate) groups: Vec<(Money, Money)>,
    /// The day's or the peak's budget, if it is spent.
    pub(crate) spent: Option<ScopeVerdict>,
}

/// The sizes of `market`, if the look that worked them out knew everything and is recent.
///
/// # Errors
/// What is missing or too old.
pub(crate) fn usable<'a>(
    care: &PortfolioCare,
    market: &'a MarketCare,
    id: InstrumentId,
    at: Stamp,
) -> Result<&'a Sized, Refusal> {
    let absent = |datum| Refusal::Missing { datum, of: id.to_string() };
    if let Some(datum) = care.missing {
        return Err(Refusal::Missing { datum, of: "the portfolio".into() });
    }
    let sized = market.sized.as_ref().filter(|_| care.at.is_some()).ok_or_else(|| absent(Datum::Size))?;
    let age = at.since(sized.at);
    if age > CARE_AGE_MAX {
        let (age_ms, max_ms) = (age.as_millis(), CARE_AGE_MAX.as_millis());
        return Err(Refusal::Stale { datum: Datum::Size, of: id.to_string(), age_ms, max_ms });
    }
    Ok(sized)
}

#[cfg(test)]
mod tests;
