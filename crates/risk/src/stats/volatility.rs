//! Volatility of one market from its closed bars (quant §1.2).
#![expect(clippy::float_arithmetic, reason = "statistics: prices enter as ratios of prices, and what leaves is a decimal")]

mod estimators;

pub use estimators::{PriceBar, ewma_variance, realised_variance};

use std::collections::BTreeMap;

use domain::{Bar, FIVE_MINUTES, HOURLY, Span, VolatilityView};

use super::{CLOCK_SLACK_MS, HOUR_MS, HOURS_PER_YEAR, away_from_zero};

/// λ of the fast average: half-life 22.8 hours.
pub const LAMBDA_FAST: f64 = 0.97;
/// λ of the slow average: half-life 115 hours.
pub const LAMBDA_SLOW: f64 = 0.994;
/// Hourly bars kept: 60 days, after which the slow average has forgotten all but 0.02 % of its seed.
pub const HOURS_KEPT: usize = 1_440;
/// Five-minute bars kept: two days, so that a day of returns survives gaps.
pub const FIVE_MINUTES_KEPT: usize = 577;
/// Five-minute returns of the realised figure: one day. With fewer there is none (quant §1.2).
pub const REALISED_RETURNS: usize = 288;
/// Hourly bars of the range figure: one day, so that it answers as fast as the realised one.
pub const RANGE_BARS: usize = 24;
/// Hourly returns below which there is no forecast: a week, as for funding (quant §1.3).
pub const RETURNS_MIN: usize = 168;
/// Age of the newest hourly bar beyond which there is no forecast: three bars, as for funding (quant §1.3).
pub const AGE_MAX_MS: u64 = 3 * HOUR_MS;

/// What is remembered of a market's prices. At most [`HOURS_KEPT`] and [`FIVE_MINUTES_KEPT`] bars.
#[derive(Clone, Debug)]
pub struct Volatility {
    floor: f64,
    hourly: BTreeMap<u64, Bar>,
    five: BTreeMap<u64, Bar>,
    figures: Figures,
    revision: u64,
}

/// Annualised; computed when a bar changes something, so that a view costs nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    fast: Option<f64>,
    slow: Option<f64>,
    realised: Option<f64>,
    range: Option<f64>,
    returns: usize,
}

impl Volatility {
    /// Nothing known yet. No forecast is below `floor` (annualised; quant: 0.20).
    #[must_use]
    pub fn new(floor: f64) -> Volatility {
        Volatility { floor, hourly: BTreeMap::new(), five: BTreeMap::new(), figures: Figures::default(), revision: 0 }
    }

    /// Takes closed bars of length `span`, in any order. A bar known already changes nothing, one told with other prices
    /// replaces the former. Bars of other lengths, off their grid, not closed at `now_ms` (UTC) or with prices that no market
    /// can have are left out. Returns how many changed something.
    pub fn bars(&mut self, now_ms: u64, span: Span, bars: &[Bar]) -> usize {
        let (ring, kept) = match span {
            HOURLY => (&mut self.hourly, HOURS_KEPT),
            FIVE_MINUTES => (&mut self.five, FIVE_MINUTES_KEPT),
            _ => return 0,
        };
        let length = span.as_millis();
        let Some(latest_start) = now_ms.saturating_add(CLOCK_SLACK_MS).checked_sub(length) else { return 0 };
        let mut changed = 0;
        for bar in bars.iter().filter(|bar| bar.start_ms % length == 0 && bar.start_ms <= latest_start && plausible(bar)) {
            if ring.get(&bar.start_ms) == Some(bar) {
                continue;
            }
            let full = ring.len() >= kept && !ring.contains_key(&bar.start_ms);
            if full && ring.first_key_value().is_some_and(|(oldest, _)| bar.start_ms < *oldest) {
                continue;
            }
            ring.insert(bar.start_ms, *bar);
            if full {
                ring.pop_first();
            }
            changed += 1;
        }
        if changed > 0 {
            self.recompute(span);
        }
        changed
    }

    /// The figures at `now_ms` (UTC). Without [`RETURNS_MIN`] hourly returns, or with a newest hour older than [`AGE_MAX_MS`],
    /// there is no forecast. Rounded up at 6 decimals.
    ///
    /// The forecast is the largest of fast, slow, realised and the floor. Where five-minute bars are missing, Garman–Klass of
    /// the last day takes the place of the realised figure: a market must not look calmer because less is known of it.
    #[must_use]
    pub fn view(&self, now_ms: u64) -> VolatilityView {
        let newest_ms = self.newest_ms();
        let Figures { fast, slow, realised, range, returns } = self.figures;
        let current = self.five.last_key_value().is_some_and(|(start, _)| start + HOUR_MS >= newest_ms);
        let realised = realised.filter(|_| current);
        let fresh = returns >= RETURNS_MIN && now_ms <= newest_ms.saturating_add(AGE_MAX_MS);
        let forecast = fast.zip(slow).filter(|_| fresh).zip(realised.or(range));
        let forecast = forecast.map(|((fast, slow), short)| fast.max(slow).max(short).max(self.floor));
        let decimal = |figure: Option<f64>| figure.and_then(|f| away_from_zero(f, 6));
        VolatilityView {
            fast: decimal(fast),
            slow: decimal(slow),
            realised: decimal(realised),
            garman_klass: decimal(range),
            forecast: decimal(forecast),
            hours: u32::try_from(returns).unwrap_or(u32::MAX),
            newest_ms,
        }
    }

    /// End of the newest hourly bar, UTC milliseconds; 0 without one.
    #[must_use]
    pub fn newest_ms(&self) -> u64 {
        self.hourly.last_key_value().map_or(0, |(start, _)| start + HOUR_MS)
    }

    /// Hourly log returns with the number of the hour that they end in (hours since 1970), oldest first. A gap breaks the chain:
    /// there is no return across it.
    pub fn hourly_returns(&self) -> impl Iterator<Item = (u64, f64)> {
        returns(&self.hourly, HOUR_MS).map(|(start, r)| (start / HOUR_MS, r))
    }

    /// Hourly returns known.
    #[must_use]
    pub fn returns(&self) -> usize {
        self.figures.returns
    }

    /// A number that differs whenever the hourly bars do.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    fn recompute(&mut self, span: Span) {
        let annual = |variance: f64, per_hour: f64| {
            Some((variance * per_hour * f64::from(HOURS_PER_YEAR)).sqrt()).filter(|v| v.is_finite())
        };
        if span == FIVE_MINUTES {
            let all: Vec<f64> = returns(&self.five, FIVE_MINUTES.as_millis()).map(|(_, r)| r).collect();
            let newest = all.len().checked_sub(REALISED_RETURNS).map(|from| &all[from..]);
            #[expect(clippy::cast_precision_loss, reason = "a day of five-minute returns")]
            let mean = newest.map(|newest| realised_variance(newest) / newest.len() as f64);
            self.figures.realised = mean.and_then(|variance| annual(variance, 12.0));
            return;
        }
        self.revision += 1;
        let all: Vec<f64> = self.hourly_returns().map(|(_, r)| r).collect();
        let bars = self.hourly.values().rev().take(RANGE_BARS);
        let range: f64 = bars.map(|bar| PriceBar::of(bar).garman_klass()).sum();
        #[expect(clippy::cast_precision_loss, reason = "a day of hourly bars")]
        let range = (self.hourly.len() >= RANGE_BARS).then_some(range / RANGE_BARS as f64);
        self.figures = Figures {
            fast: ewma_variance(&all, LAMBDA_FAST).and_then(|variance| annual(variance, 1.0)),
            slow: ewma_variance(&all, LAMBDA_SLOW).and_then(|variance| annual(variance, 1.0)),
            realised: self.figures.realised,
            range: range.and_then(|variance| annual(variance, 1.0)),
            returns: all.len(),
        };
    }
}

/// Positive prices, open and close within the range.
fn plausible(bar: &Bar) -> bool {
    let within = |px: domain::Px| bar.low <= px && px <= bar.high;
    bar.low.0 > 0 && within(bar.open) && within(bar.close)
}

fn returns(bars: &BTreeMap<u64, Bar>, length: u64) -> impl Iterator<Item = (u64, f64)> {
    let pairs = bars.iter().zip(bars.iter().skip(1));
    pairs.filter(move |((before, _), (start, _))| *before + length == **start).map(|((_, before), (start, bar))| {
        let (before, close) = (PriceBar::of(before).close, PriceBar::of(bar).close);
        (*start, (close / before).ln())
    })
}

#[cfg(test)]
mod tests;
