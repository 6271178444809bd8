//! Statistics of each market: history in, a [`Measure`] out to the guard, and into the journal as often as it matters.
//!
//! History itself is not journaled: the venue serves it again. The last measure is, so that a decision can be read back, and a
//! daemon whose venue serves nothing goes on from what was last known, with its age.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{Bar, Entry, FundingRate, InstrumentId, Measure, Ratio, Span, Stamp};
use risk::stats::{Markets, Settings};
use rust_decimal::Decimal;

use crate::{Desk, Effect};

/// Without news a market is measured this often all the same: figures carry their age.
const MEASURE_EVERY: Span = Span::secs(60);
/// A market's measure is journaled at most this often, unless what is known of the market changed: history arrives within
/// seconds of a start, and a decision is explained by the measure that was journaled last before it.
const RECORD_EVERY: Span = Span::secs(60);
/// A forecast of volatility that moved by this share of itself changes sizes by as much.
const FORECAST_STEP_PERCENT: i64 = 5;
/// A quarter of a scale is a twelfth of the way from no effect of funding to its full effect …
const Z_STEP: Ratio2 = (25, 2);
/// … and so, roughly, are these of persistence and instability.
const SHARE_STEP: Ratio2 = (5, 2);
const HOUR_MS: u64 = 3_600_000;

/// A number and its decimals.
type Ratio2 = (i64, u32);

/// What is kept of statistics between two looks.
#[derive(Debug, Default)]
pub(crate) struct Measures {
    stats: Markets,
    markets: BTreeMap<InstrumentId, Seen>,
}

/// What was made of one market's history.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Its history changed since it was measured.
    news: bool,
    /// The venue's rate for the running hour when it was measured.
    predicted: Option<Ratio>,
    measured: Option<Stamp>,
    recorded: Option<Stamp>,
}

impl Measures {
    /// `floor`: least volatility forecast.
    pub fn new(floor: Ratio) -> Measures {
        let stats = Markets::new(Settings { volatility_floor: floor, ..Settings::default() });
        Measures { stats, markets: BTreeMap::new() }
    }
}

impl Desk {
    pub(crate) fn on_bars(&mut self, now: Stamp, instrument: InstrumentId, span: Span, bars: &Arc<[Bar]>) {
        if self.markets.contains_key(&instrument) && self.measures.stats.bars(now.wall_ms, instrument, span, bars) > 0 {
            self.measures.markets.entry(instrument).or_default().news = true;
        }
    }

    pub(crate) fn on_rates(&mut self, now: Stamp, instrument: InstrumentId, source: &str, rates: &Arc<[FundingRate]>) {
        if self.markets.contains_key(&instrument) && self.measures.stats.funding(now.wall_ms, instrument, source, rates) > 0 {
            self.measures.markets.entry(instrument).or_default().news = true;
        }
    }

    /// Measures each market of which there is news, tells the guard, and journals what matters.
    pub(crate) fn measure(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        let mut matter = Vec::new();
        for (id, seen) in &mut self.measures.markets {
            let predicted = self.markets.get(id).and_then(|m| m.funding);
            let old = seen.measured.is_none_or(|at| now.since(at) >= MEASURE_EVERY);
            if !seen.news && !old && seen.predicted == predicted {
                continue;
            }
            let Some(measure) = self.measures.stats.measure(*id, now, predicted) else { continue };
            (seen.news, seen.predicted, seen.measured) = (false, predicted, Some(now));
            self.guard.observe_measure(&measure);
            let due = match seen.recorded {
                None => true,
                Some(at) if now.since(at) < RECORD_EVERY => {
                    self.books.measures.get(id).is_none_or(|last| known(last) != known(&measure))
                }
                Some(_) => self.books.measures.get(id).is_none_or(|last| matters(last, &measure)),
            };
            if due {
                seen.recorded = Some(now);
                matter.push(measure);
            }
        }
        for measure in matter {
            self.record(now, Entry::Measured(measure), out);
        }
    }
}

/// Which figures there are.
fn known(measure: &Measure) -> [bool; 6] {
    let (volatility, funding) = (&measure.volatility, &measure.funding);
    let figures = [volatility.forecast, funding.z, funding.z_cross, funding.persistence, funding.instability, measure.beta];
    figures.map(|figure| figure.is_some())
}

/// Whether `now` would size differently from `then`, or knows of another hour.
fn matters(then: &Measure, now: &Measure) -> bool {
    let hour = |m: &Measure| (m.volatility.newest_ms / HOUR_MS, m.funding.newest_ms / HOUR_MS);
    let apart = |a: Option<Ratio>, b: Option<Ratio>, step: Decimal| match (a, b) {
        (None, None) => false,
        (Some(a), Some(b)) => (a.decimal() - b.decimal()).abs() >= step,
        (Some(_), None) | (None, Some(_)) => true,
    };
    let decimal = |(number, decimals): Ratio2| Decimal::new(number, decimals);
    let forecast = then.volatility.forecast.unwrap_or_default().decimal();
    let step = Decimal::new(FORECAST_STEP_PERCENT, 2).checked_mul(forecast).unwrap_or(Decimal::MAX);
    let (was, is) = (&then.funding, &now.funding);
    hour(then) != hour(now)
        || apart(then.volatility.forecast, now.volatility.forecast, step)
        || apart(was.z, is.z, decimal(Z_STEP))
        || apart(was.z_cross, is.z_cross, decimal(Z_STEP))
        || apart(was.persistence, is.persistence, decimal(SHARE_STEP))
        || apart(was.instability, is.instability, decimal(Z_STEP))
}
