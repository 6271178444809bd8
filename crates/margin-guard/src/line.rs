//! The load line as it is shown: what an account holds, what it must hold, and what stands between the two.

use domain::{InstrumentId, Lots, MarginLevel, Px, Ratio, Stamp, Usd, Venue};
use serde::Serialize;

use crate::Guard;
use crate::money::Money;
use crate::projection::{Market, VenueState};

/// The load line of one account, as it stands: positions as booked, at the venue's marks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountLine {
    /// Whose.
    pub venue: Venue,
    /// Its level (quant §4.3), with hysteresis. Levels change in [`crate::Guard::assess`] alone.
    pub level: MarginLevel,
    /// Why the figures cannot be relied on: what is missing or too old, in words. The level does not improve meanwhile.
    pub doubt: Option<String>,
    /// Equity that the venue reports; absent before the first report.
    pub equity: Option<Usd>,
    /// Maintenance margin: the larger of what the venue reports and what the booked positions need at the marks.
    pub maintenance: Usd,
    /// Equity over maintenance; absent when flat or without equity.
    pub cover: Option<Ratio>,
    /// Collateral that may be lost before cover falls to the kill level; negative if it has.
    pub free: Option<Usd>,
    /// The same-chain buffer that the positions need (quant §1.10).
    pub buffer: Usd,
    /// What raised the buffer beyond its formula, in words: missing volatility, unanswered questions about the venue.
    pub buffer_why: Vec<String>,
    /// Hours until free collateral may be used up by the market moving against every position at once (quant §1.10), rounded
    /// down; absent when flat or without equity.
    pub runway_hours: Option<Ratio>,
    /// Every configured scenario, and the worst market moving alone.
    pub scenarios: Vec<ScenarioLine>,
    /// The one that leaves the least, by index into `scenarios`; absent when flat or without equity.
    pub worst: Option<usize>,
    /// Funding that the paying positions pay per hour at the rates now; what others receive is not counted.
    pub funding_hourly: Usd,
    /// Hours that free collateral lasts on that alone, rounded down; absent when nothing is paid.
    pub funding_hours: Option<Ratio>,
    /// Every open position.
    pub positions: Vec<PositionLine>,
}

/// An account under one scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScenarioLine {
    /// Its name; `alone` with the market for one market moving alone.
    pub name: String,
    /// Equity after the shock and its funding.
    pub equity: Usd,
    /// Maintenance margin at the shocked prices.
    pub maintenance: Usd,
    /// Equity over maintenance, rounded down; absent when flat.
    pub cover: Option<Ratio>,
    /// Equity less the least cover under a shock times maintenance: negative if the scenario is not withstood.
    pub margin: Usd,
}

/// One open position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PositionLine {
    /// The market.
    pub instrument: InstrumentId,
    /// Signed size.
    pub lots: Lots,
    /// The price that the venue margins with; absent while it is not known, and everything below with it.
    pub mark: Option<Px>,
    /// Value at the mark, without sign.
    pub value: Option<Usd>,
    /// Price at which the account (isolated: the position's own margin) would equal maintenance, all other prices standing
    /// still; in quote currency per base unit. Absent if no price does.
    pub liquidation: Option<Usd>,
    /// Distance from the mark to it, as a share of the mark, rounded down.
    pub distance: Option<Ratio>,
    /// Its maintenance margin.
    pub maintenance: Option<Usd>,
    /// Funding per hour at the rate now; positive: we pay.
    pub funding_hourly: Option<Usd>,
    /// Hours that the account's free collateral lasts on this position's funding alone; absent if it pays none.
    pub funding_hours: Option<Ratio>,
}

impl Guard {
    /// The load line of every account that has been reported or has exposure.
    #[must_use]
    pub fn load_line(&self, at: Stamp) -> Vec<AccountLine> {
        let known = |state: &VenueState| state.account.is_some() || state.gross > Money::ZERO || !state.blind.is_empty();
        self.projection.venues().filter(|(_, state)| known(state)).map(|(venue, _)| self.account_line(at, venue)).collect()
    }

    fn account_line(&self, at: Stamp, venue: Venue) -> AccountLine {
        let state = self.projection.venue(venue);
        let equity = state.account.map(|a| a.equity);
        let maintenance = state.maintenance_standing();
        let positions: Vec<_> =
            self.projection.markets.iter().filter(|m| m.id.venue() == venue).filter_map(|m| self.position_line(m)).collect();
        let paid = |p: &PositionLine| p.funding_hourly.filter(|f| !f.is_negative());
        AccountLine {
            venue,
            level: state.level,
            doubt: self.doubt(at, venue),
            equity: equity.map(Money::usd),
            maintenance: maintenance.usd(),
            cover: equity.and_then(|e| e.over(maintenance)),
            free: None,
            buffer: Usd::ZERO,
            buffer_why: Vec::new(),
            runway_hours: None,
            scenarios: Vec::new(),
            worst: None,
            funding_hourly: positions.iter().filter_map(paid).sum(),
            funding_hours: None,
            positions,
        }
    }

    fn position_line(&self, market: &Market) -> Option<PositionLine> {
        let lots = self.projection.position(market).filter(|lots| *lots != Lots::ZERO)?;
        let mark = market.marks.map(|m| m.mark);
        let value = market.rules.as_ref().zip(mark).map(|(rules, mark)| rules.instrument.notional(mark, lots.abs()));
        Some(PositionLine {
            instrument: market.id,
            lots,
            mark,
            value,
            liquidation: None,
            distance: None,
            maintenance: market.rules.is_some().then(|| market.now.maintenance_now.usd()),
            funding_hourly: None,
            funding_hours: None,
        })
    }

    /// What about the account is missing or too old, in words.
    pub(crate) fn doubt(&self, at: Stamp, venue: Venue) -> Option<String> {
        let (state, limits) = (self.projection.venue(venue), self.limits());
        let Some(account) = state.account else { return Some("the account has not been reported".into()) };
        let age = at.since(account.at);
        if age > limits.account_age {
            return Some(format!(
                "the account report is {} ms old, at most {} ms",
                age.as_millis(),
                limits.account_age.as_millis()
            ));
        }
        if let Some(slot) = state.blind.first() {
            return Some(format!("{} cannot be valued", self.projection.markets[*slot].id));
        }
        let (mono, slot) = state.mark_times.first()?;
        let (age, id) = (at.mono.saturating_sub(*mono), self.projection.markets[*slot].id);
        (age > limits.marks_age.0)
            .then(|| format!("the mark of {id} is {} ms old, at most {} ms", age / 1_000_000, limits.marks_age.as_millis()))
    }
}
