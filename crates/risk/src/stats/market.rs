//! All markets together: histories in, measures and the covariance out.
#![expect(clippy::float_arithmetic, reason = "statistics: what leaves is a decimal")]

use std::collections::BTreeMap;

use domain::{Bar, FundingRate, InstrumentId, Measure, Ratio, Span, Stamp};
use rust_decimal::prelude::ToPrimitive;

use super::covariance::{Covariance, Target, ewma_weights, shrink};
use super::funding::{Funding, SCALE_FLOOR};
use super::volatility::{self, Volatility};
use super::{away_from_zero, nearest};

/// Markets whose history is kept; an account of this program trades a handful.
pub const MARKETS_MAX: usize = 64;
/// λ of the covariance (quant §1.8).
pub const LAMBDA_COVARIANCE: f64 = 0.994;
/// Hours that a market may lie behind the newest and still be part of the covariance.
const BEHIND_MAX_HOURS: u64 = 24;

/// What an operator may choose about the statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Least volatility forecast, annualised (`guard.sizing.sigma_floor`).
    pub volatility_floor: Ratio,
    /// What the covariance is shrunk towards.
    pub target: Target,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { volatility_floor: Ratio::scaled(20, 2), target: Target::default() }
    }
}

/// History and statistics of one market.
#[derive(Clone, Debug)]
pub struct MarketStats {
    instrument: InstrumentId,
    volatility: Volatility,
    funding: Funding,
    beta: Option<Beta>,
}

/// Slope and correlation on BTC, and the revisions of the two histories that they were computed from.
#[derive(Clone, Copy, Debug)]
struct Beta {
    of: (u64, u64),
    pair: Option<(f64, f64)>,
}

impl MarketStats {
    /// Nothing known yet.
    #[must_use]
    pub fn new(instrument: InstrumentId, settings: &Settings) -> MarketStats {
        let floor = settings.volatility_floor.decimal().to_f64().unwrap_or_default().max(0.0);
        MarketStats { instrument, volatility: Volatility::new(floor), funding: Funding::new(SCALE_FLOOR), beta: None }
    }

    /// Takes closed bars; see [`Volatility::bars`].
    pub fn bars(&mut self, now_ms: u64, span: Span, bars: &[Bar]) -> usize {
        self.volatility.bars(now_ms, span, bars)
    }

    /// Takes settled rates of `source`, the name of this market's venue or of another; see [`Funding::rates`].
    pub fn funding(&mut self, now_ms: u64, source: &str, rates: &[FundingRate]) -> usize {
        let other = (source != self.instrument.venue().name()).then_some(source);
        self.funding.rates(now_ms, other, rates)
    }

    /// All but what needs another market: [`Markets::measure`] adds β and correlation. `predicted` is the venue's rate for the
    /// running hour.
    #[must_use]
    pub fn measure(&self, at: Stamp, predicted: Option<Ratio>) -> Measure {
        Measure {
            instrument: self.instrument,
            at,
            volatility: self.volatility.view(at.wall_ms),
            funding: self.funding.view(predicted),
            beta: None,
            correlation: None,
        }
    }

    /// Prices.
    #[must_use]
    pub fn volatility(&self) -> &Volatility {
        &self.volatility
    }
}

/// History and statistics of every market. At most [`MARKETS_MAX`]; of further ones nothing is known.
#[derive(Clone, Debug, Default)]
pub struct Markets {
    settings: Settings,
    markets: BTreeMap<InstrumentId, MarketStats>,
    covariance: Covariance,
    /// What `covariance` was computed from: per market its revision.
    computed: Option<Vec<(InstrumentId, u64)>>,
}

impl Markets {
    /// Nothing known yet.
    #[must_use]
    pub fn new(settings: Settings) -> Markets {
        Markets { settings, ..Markets::default() }
    }

    /// Takes closed bars of `instrument`, in any order and with any overlap; see [`Volatility::bars`]. Returns how many changed
    /// something.
    pub fn bars(&mut self, now_ms: u64, instrument: InstrumentId, span: Span, bars: &[Bar]) -> usize {
        self.market(instrument).map_or(0, |market| market.bars(now_ms, span, bars))
    }

    /// Takes settled funding rates of `instrument` from `source`; see [`Funding::rates`]. Returns how many hours changed.
    pub fn funding(&mut self, now_ms: u64, instrument: InstrumentId, source: &str, rates: &[FundingRate]) -> usize {
        self.market(instrument).map_or(0, |market| market.funding(now_ms, source, rates))
    }

    /// What is known of `instrument` at `at`, β and correlation to the venue's BTC market included. Nothing of a market that was
    /// never told of. Cheap: figures are recomputed when history changes, not when they are asked for.
    pub fn measure(&mut self, instrument: InstrumentId, at: Stamp, predicted: Option<Ratio>) -> Option<Measure> {
        let measure = self.markets.get(&instrument)?.measure(at, predicted);
        let pair = self.beta(instrument);
        Some(Measure {
            beta: pair.and_then(|(beta, _)| away_from_zero(beta, 6)),
            correlation: pair.and_then(|(_, rho)| nearest(rho, 6)),
            ..measure
        })
    }

    /// Covariance of the hourly returns of all markets with enough history, over the hours they share. Recomputed once per
    /// hour: when the newest hour of each has come, or when older history was told.
    pub fn covariance(&mut self) -> &Covariance {
        let newest = self.markets.values().map(|m| m.volatility.newest_ms()).max().unwrap_or(0);
        let behind = BEHIND_MAX_HOURS * super::HOUR_MS;
        let current = self.markets.values().filter(|m| {
            let v = &m.volatility;
            v.newest_ms() + behind >= newest && v.returns() >= volatility::RETURNS_MIN
        });
        let members: Vec<(InstrumentId, u64)> = current.clone().map(|m| (m.instrument, m.volatility.revision())).collect();
        let level = current.clone().map(|m| m.volatility.newest_ms());
        // in the minutes in which some markets have told of an hour and others have not, the former matrix stands
        let waiting = level.clone().min() != level.max()
            && self.computed.as_ref().is_some_and(|c| c.iter().map(|(id, _)| id).eq(members.iter().map(|(id, _)| id)));
        if self.computed.as_ref() != Some(&members) && !waiting {
            self.covariance = joint(&current.collect::<Vec<_>>(), self.settings.target);
            self.computed = Some(members);
        }
        &self.covariance
    }

    /// The markets, by name.
    pub fn iter(&self) -> impl Iterator<Item = &MarketStats> {
        self.markets.values()
    }

    fn market(&mut self, instrument: InstrumentId) -> Option<&mut MarketStats> {
        if !self.markets.contains_key(&instrument) && self.markets.len() >= MARKETS_MAX {
            return None;
        }
        let settings = self.settings;
        Some(self.markets.entry(instrument).or_insert_with(|| MarketStats::new(instrument, &settings)))
    }

    fn beta(&mut self, instrument: InstrumentId) -> Option<(f64, f64)> {
        let btc = self.markets.values().find(|m| m.instrument.venue() == instrument.venue() && is_btc(m.instrument))?;
        let market = self.markets.get(&instrument)?;
        let key = (market.volatility.revision(), btc.volatility.revision());
        if let Some(known) = market.beta.filter(|known| known.of == key) {
            return known.pair;
        }
        let pair = regression(&market.volatility, &btc.volatility);
        self.markets.get_mut(&instrument)?.beta = Some(Beta { of: key, pair });
        pair
    }
}

/// The venue's own spelling of bitcoin: `BTC`, or `BTC-USD` and the like.
fn is_btc(instrument: InstrumentId) -> bool {
    let name = instrument.name();
    name == "BTC" || name.starts_with("BTC-")
}

/// Slope and correlation over the hours that both have, weighted like the covariance.
fn regression(of: &Volatility, on: &Volatility) -> Option<(f64, f64)> {
    let reference: BTreeMap<u64, f64> = on.hourly_returns().collect();
    let rows: Vec<Vec<f64>> = of.hourly_returns().filter_map(|(hour, r)| reference.get(&hour).map(|b| vec![r, *b])).collect();
    if rows.len() < volatility::RETURNS_MIN {
        return None;
    }
    let s = super::covariance::covariance(&rows, &ewma_weights(rows.len(), LAMBDA_COVARIANCE));
    let (beta, rho) = (s[0][1] / s[1][1], s[0][1] / (s[0][0] * s[1][1]).sqrt());
    (beta.is_finite() && rho.is_finite()).then_some((beta, rho.clamp(-1.0, 1.0)))
}

fn joint(markets: &[&MarketStats], target: Target) -> Covariance {
    let mut shared: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for (place, market) in markets.iter().enumerate() {
        for (hour, r) in market.volatility.hourly_returns() {
            if place == 0 {
                shared.insert(hour, vec![r]);
            } else if let Some(row) = shared.get_mut(&hour) {
                row.push(r);
            }
        }
        shared.retain(|_, row| row.len() == place + 1);
    }
    if shared.len() < volatility::RETURNS_MIN {
        return Covariance::default();
    }
    let newest_hour = shared.last_key_value().map_or(0, |(hour, _)| *hour);
    let rows: Vec<Vec<f64>> = shared.into_values().collect();
    let shrunk = shrink(&rows, &ewma_weights(rows.len(), LAMBDA_COVARIANCE), target);
    Covariance {
        instruments: markets.iter().map(|m| m.instrument).collect(),
        matrix: shrunk.matrix,
        shrinkage: shrunk.shrinkage,
        hours: rows.len(),
        newest_hour,
    }
}

#[cfg(test)]
mod tests;
