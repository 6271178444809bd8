//! The load line as it is shown: what an account holds, what it must hold, and what stands between the two.

use domain::{InstrumentId, Lots, MarginLevel, Px, Ratio, Stamp, Usd, Venue};
use risk::buffer::{funding_hours, market_risk, runway_hours};
use rust_decimal::RoundingStrategy;
use serde::Serialize;

use crate::Guard;
use crate::limits::VENUES;
use crate::money::Money;
use crate::oracle::mark_alone_bps;
use crate::projection::{Market, VenueState};
use crate::rules::alone_name;
use crate::scenario::{Burden, CALM};

/// The load line of one account, as it stands: positions as booked, at the venue's marks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountLine {
    /// Whose.
    pub venue: Venue,
    /// Its level (quant §4.3), with hysteresis. Levels change in [`crate::Guard::assess`] alone.
    pub level: MarginLevel,
    /// Why the figures cannot be relied on: what is missing or too old, in words. The level does not improve meanwhile.
    pub doubt: Option<String>,
    /// Equity that the venue reports, less what the reported positions have lost since; absent before the first report.
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
        let equity = state.equity_marked();
        let maintenance = state.maintenance_standing();
        let free = equity.map(|e| e.minus(maintenance.times_up(self.projection.plan.cover)));
        let markets = || self.projection.markets.iter().filter(|m| m.id.venue() == venue);
        let positions: Vec<_> = markets().filter_map(|m| self.position_line(m, equity, maintenance, free)).collect();
        let (mut buffer, mut risk) = (Money::ZERO, Usd::ZERO);
        let params = self.limits().buffer_params();
        let mut buffer_why = Vec::new();
        for (market, position) in markets().filter_map(|m| Some((m, positions.iter().find(|p| p.instrument == m.id)?))) {
            buffer = buffer.plus(market.standing_buffer(position.lots));
            let (sigma, measured) = market.volatility(params.sigma_unknown);
            if !measured {
                buffer_why.push(format!("the volatility of {} is not known of late: taken as {sigma}", market.id));
            }
            risk += market_risk(&params, position.value.unwrap_or_default(), Some(sigma));
            if market.exit_minutes > params.exit_minutes && !buffer_why.iter().any(|why| why.starts_with("drills")) {
                let (seen, configured) = (market.exit_minutes, params.exit_minutes);
                buffer_why.push(format!("drills of {venue} saw an exit of {seen} minutes, {configured} are configured"));
            }
            if market.doubted && !buffer_why.iter().any(|why| why.starts_with("an answer")) {
                buffer_why.push(format!("an answer about {venue} is unknown: times {}", params.unknown_factor));
            }
        }
        let scenarios = equity.map(|equity| self.scenario_lines(venue, equity)).unwrap_or_default();
        let loaded = maintenance > Money::ZERO;
        let worst = (0..scenarios.len()).filter(|_| loaded).min_by_key(|at| scenarios[*at].margin);
        let paid = |p: &PositionLine| p.funding_hourly.filter(|f| !f.is_negative());
        let funding_hourly = positions.iter().filter_map(paid).sum();
        AccountLine {
            venue,
            level: state.level,
            doubt: self.doubt(at, venue),
            equity: equity.map(Money::usd),
            maintenance: maintenance.usd(),
            cover: equity.and_then(|e| e.over(maintenance)),
            free: free.map(Money::usd),
            buffer: buffer.usd(),
            buffer_why,
            runway_hours: free.and_then(|free| runway_hours(&params, free.usd(), risk)),
            scenarios,
            worst,
            funding_hourly,
            funding_hours: free.and_then(|free| funding_hours(free.usd(), funding_hourly)),
            positions,
        }
    }

    /// The booked positions under every scenario, then the market whose move alone costs most.
    fn scenario_lines(&self, venue: Venue, equity: Money) -> Vec<ScenarioLine> {
        let plan = &self.projection.plan;
        let unexplained = self.projection.venue(venue).maintenance_unexplained();
        let held: Vec<(&Market, i64)> = self
            .projection
            .markets
            .iter()
            .filter(|m| m.id.venue() == venue && !m.now.blind)
            .filter_map(|m| Some((m, self.projection.position(m)?.0)))
            .filter(|(_, lots)| *lots != 0)
            .collect();
        let of = |name: String, burden: Burden| {
            let (equity, maintenance) = (equity.minus(burden.loss), burden.maintenance.plus(unexplained));
            ScenarioLine {
                name,
                equity: equity.usd(),
                maintenance: maintenance.usd(),
                cover: equity.over(maintenance),
                margin: equity.minus(maintenance.times_up(plan.cover)).usd(),
            }
        };
        let joint = |shock: usize| held.iter().fold(Burden::default(), |sum, (m, lots)| sum.plus(m.end(shock, *lots)));
        let named = plan.names.iter().enumerate().skip(CALM + 1);
        let mut lines: Vec<_> = named.clone().map(|(shock, name)| of(name.clone(), joint(shock))).collect();
        let calm = joint(CALM);
        let alone = held.iter().flat_map(|(market, lots)| {
            named.clone().map(|(shock, name)| {
                let burden = calm.plus(market.end(shock, *lots)).minus(market.end(CALM, *lots));
                (alone_name(market, name), burden)
            })
        });
        lines.extend(alone.max_by_key(|(_, burden)| burden.weighed(plan.cover)).map(|(name, burden)| of(name, burden)));
        lines
    }

    fn position_line(&self, market: &Market, equity: Option<Money>, all: Money, free: Option<Money>) -> Option<PositionLine> {
        let lots = self.projection.position(market).filter(|lots| *lots != Lots::ZERO)?;
        let rules = market.rules.as_ref();
        let value_at = |px: Px| rules.map(|rules| rules.instrument.notional(px, lots.abs()));
        let mark = market.marks.map(|m| m.mark);
        let maintenance = mark.filter(|_| rules.is_some() && !market.now.blind).map(|_| market.now.maintenance_now);
        let margin = market.view.and_then(|v| v.isolated_margin);
        let (value, other) = match margin {
            Some(margin) => (Some(Money::from_usd(margin)), Money::ZERO),
            None => (equity, all.minus(maintenance.unwrap_or_default())),
        };
        let liquidation = value.zip(maintenance).and_then(|(value, _)| market.liquidation(lots, value, other));
        let distance = liquidation.zip(mark).zip(rules).and_then(|((liquidation, mark), rules)| {
            let mark = rules.instrument.px_decimal(mark);
            let share = (mark - liquidation.decimal()).abs().checked_div(mark)?;
            Ratio::new(share.round_dp_with_strategy(6, RoundingStrategy::ToZero)).ok()
        });
        let rate = market.marks.and_then(|m| Some((m.oracle, m.funding_hourly?)));
        let funding_hourly = rate.and_then(|(oracle, rate)| {
            let paid = value_at(oracle)?.times(rate);
            Some(if lots.0 < 0 { -paid } else { paid })
        });
        Some(PositionLine {
            instrument: market.id,
            lots,
            mark,
            value: mark.and_then(value_at),
            liquidation,
            distance,
            maintenance: maintenance.map(Money::usd),
            funding_hourly,
            funding_hours: free.zip(funding_hourly).and_then(|(free, hourly)| funding_hours(free.usd(), hourly)),
        })
    }

    /// A mark of an open position that neither the oracle nor a fresh mid bears out, in words (D12). What rests on it trips nothing:
    /// profit is not drawn, which lets nothing grow, and margin levels follow the venue's own report of the account.
    #[must_use]
    pub fn marks_doubt(&self, at: Stamp) -> Option<String> {
        VENUES.into_iter().find_map(|venue| self.mark_doubt(at, venue))
    }

    pub(crate) fn mark_doubt(&self, at: Stamp, venue: Venue) -> Option<String> {
        let max = self.limits().oracle().basis_max();
        self.projection.venue(venue).mark_times.iter().find_map(|(_, slot)| {
            let market = &self.projection.markets[*slot];
            let mid_x2 = market.book.filter(|book| at.since(book.at) <= market.caps.book_age).and_then(|book| book.mid_x2);
            let apart = mark_alone_bps(market.marks.as_ref()?, mid_x2);
            let beside = if mid_x2.is_some() { "the oracle and the mid" } else { "the oracle, and there is no fresh mid" };
            (apart >= max).then(|| format!("the mark of {} is {apart} bp from {beside}, at most {max} are believed", market.id))
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

#[cfg(test)]
mod tests;
