//! Funding of one market: how unusual its rates are, for how long, and what they will cost (quant §1.3, §1.4).
#![expect(clippy::float_arithmetic, reason = "statistics: rates are dimensionless, and what leaves is a decimal")]

mod robust;
mod series;

pub use robust::{Location, SCALE_FLOOR, location, mean, quantile, sample_sd};
pub use series::HourSeries;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use domain::{FundingRate, FundingView, Ratio};
use rust_decimal::prelude::ToPrimitive;

use super::{CLOCK_SLACK_MS, HOUR_MS, away_from_zero, nearest};

/// Hours of the window.
pub const WINDOW: u64 = 720;
/// Hours whose mean is held against the window; the window ends where they begin.
pub const RECENT: u64 = 8;
/// Hours over which persistence and the short deviation are taken.
pub const DAY: u64 = 24;
/// Values of the window below which nothing is said.
pub const VALUES_MIN: usize = 168;
/// |z| above which an hour counts as unusual.
pub const UNUSUAL: f64 = 2.0;
/// Hours kept per source: the window behind the oldest hour that persistence looks at.
pub const HOURS_KEPT: usize = 760;
/// Sources kept besides the market's own: the large venues are fewer.
pub const SOURCES_MAX: usize = 8;
/// Longest accrual interval that is believed; venues settle after 1, 4 or 8 hours.
const INTERVAL_HOURS_MAX: u32 = 24;
/// Largest |rate| per hour that is believed: ten times the widest venue limit (4 % per hour).
const RATE_ABS_MAX: f64 = 0.4;
/// Least floor of a scale: what the tenth decimal of a printed rate can tell.
const FLOOR_MIN: f64 = 1e-9;
/// |z| is not told beyond this: it says no more, and it is far inside what a [`Ratio`] holds.
const Z_ABS_MAX: f64 = 1_000_000.0;
/// φ of the fit is kept below this, or the forecast would not come back to its mean within a year.
const PHI_MAX: f64 = 0.999;
/// Age of the newest common hour beyond which another venue's rates say nothing of this one's: three intervals of 8 hours.
const CROSS_AGE_HOURS: u64 = 24;

/// Rates of one market and of the same asset elsewhere. At most [`HOURS_KEPT`] hours for each of [`SOURCES_MAX`] + 1 sources.
#[derive(Clone, Debug)]
pub struct Funding {
    own: HourSeries,
    others: BTreeMap<String, HourSeries>,
    definition: Definition,
    /// z of the last [`DAY`] hours, so that a new hour costs one.
    day: BTreeMap<u64, Option<f64>>,
    figures: Figures,
}

#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    z: Option<f64>,
    persistence: Option<f64>,
    z_cross: Option<f64>,
    instability: Option<f64>,
    fit: Option<Ar1>,
    /// What the running hour would be held against: median and scale, and the sum of the settled hours that join it.
    next: Option<(Location, f64)>,
    hours: usize,
}

/// A mean-reverting rate: f ← μ + φ(f − μ) + ε.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ar1 {
    /// μ, per hour.
    pub mean: f64,
    /// φ in [0, 0.999].
    pub phi: f64,
    /// Standard deviation of ε, per hour.
    pub sigma: f64,
}

impl Funding {
    /// Nothing known yet. No scale is below `floor` per hour (quant: [`SCALE_FLOOR`]); a floor below 1e-9 counts as that, or
    /// a flat stretch would be divided by nothing.
    #[must_use]
    pub fn new(floor: f64) -> Funding {
        let definition = Definition { floor: floor.max(FLOOR_MIN), ..Definition::default() };
        Funding {
            own: HourSeries::default(),
            others: BTreeMap::new(),
            definition,
            day: BTreeMap::new(),
            figures: Figures::default(),
        }
    }

    /// Takes settled rates of the market itself (`source` is `None`) or of another venue, in any order. An interval of several
    /// hours counts for each of them. A rate known already changes nothing, one told anew replaces the former. Rates whose
    /// interval has not ended at `now_ms` (UTC) or that no venue can have settled are left out, and so are further sources
    /// beyond [`SOURCES_MAX`]. Returns how many hours changed.
    pub fn rates(&mut self, now_ms: u64, source: Option<&str>, rates: &[FundingRate]) -> usize {
        let settled: Vec<_> = rates.iter().filter_map(|rate| hours_of(rate, now_ms)).collect();
        let room = self.others.len() < SOURCES_MAX && !settled.is_empty();
        let series = match source {
            None => &mut self.own,
            Some(name) if room || self.others.contains_key(name) => self.others.entry(name.to_owned()).or_default(),
            Some(_) => return 0,
        };
        let (mut changed, mut oldest) = (0, u64::MAX);
        for (hours, hourly) in settled {
            for hour in hours {
                if series.put(hour, hourly) {
                    changed += 1;
                    oldest = oldest.min(hour);
                }
            }
        }
        if changed > 0 {
            if source.is_none() {
                self.day.retain(|hour, _| *hour < oldest);
            }
            self.figures = self.recompute();
        }
        changed
    }

    /// The figures, with the venue's prediction for the running hour if it is known. |z| is the larger of that of the settled
    /// hours and that of the hours with the prediction in place of the oldest: a rate that runs away shows before it settles.
    /// Rounded away from zero: rates at 12 decimals, the rest at 6.
    #[must_use]
    pub fn view(&self, predicted: Option<Ratio>) -> FundingView {
        let Figures { z, persistence, z_cross, instability, fit, next, hours } = self.figures;
        let running = predicted.and_then(|p| p.decimal().to_f64()).filter(|f| f.abs() <= RATE_ABS_MAX);
        let ahead = running.zip(next).map(|(f, (location, sum))| location.z((sum + f) / RECENT_VALUES));
        let z = match (z, ahead) {
            (Some(settled), Some(ahead)) => Some(if ahead.abs() > settled.abs() { ahead } else { settled }),
            (settled, _) => settled,
        };
        let settled = self.own.last().and_then(|(_, f)| nearest(f, 12));
        let bounded = |z: Option<f64>| z.and_then(|z| away_from_zero(z.clamp(-Z_ABS_MAX, Z_ABS_MAX), 6));
        FundingView {
            rate: predicted.or(settled),
            z: bounded(z),
            persistence: persistence.and_then(|p| away_from_zero(p, 6)),
            z_cross: bounded(z_cross),
            instability: instability.and_then(|r| away_from_zero(r, 6)),
            mean: fit.and_then(|fit| nearest(fit.mean, 12)),
            phi: fit.and_then(|fit| away_from_zero(fit.phi, 6)),
            sigma: fit.and_then(|fit| away_from_zero(fit.sigma, 12)),
            hours: u32::try_from(hours).unwrap_or(u32::MAX),
            newest_ms: self.newest_ms(),
        }
    }

    /// End of the newest settled interval, UTC milliseconds; 0 without one.
    #[must_use]
    pub fn newest_ms(&self) -> u64 {
        self.own.last().map_or(0, |(hour, _)| hour * HOUR_MS)
    }

    fn recompute(&mut self) -> Figures {
        let Some((newest, _)) = self.own.last() else { return Figures::default() };
        let first = newest.saturating_sub(DAY - 1);
        self.day.retain(|hour, _| *hour >= first);
        for hour in first..=newest {
            self.day.entry(hour).or_insert_with(|| z_at(&self.own, hour, &self.definition));
        }
        let z = self.day.get(&newest).copied().flatten();
        let day: Vec<f64> = self.day.values().copied().flatten().collect();
        #[expect(clippy::cast_precision_loss, reason = "at most 24 of 24")]
        let persistence = z.map(|now| {
            let alike = day.iter().filter(|z| z.signum() == now.signum() && z.abs() > UNUSUAL).count();
            alike as f64 / day.len() as f64
        });
        let window: Vec<f64> = self.own.window(newest, WINDOW).collect();
        let short: Vec<f64> = self.own.window(newest, DAY).collect();
        let enough = window.len() >= VALUES_MIN;
        let instability = sample_sd(&short).zip(sample_sd(&window)).filter(|_| enough);
        Figures {
            z,
            persistence,
            z_cross: self.z_cross(newest),
            // both are zero on a flat stretch: as steady as ever
            instability: instability.map(|(short, long)| if long > 0.0 { short / long } else { 1.0 }),
            fit: enough.then(|| fit(&self.own, newest)).flatten(),
            next: baseline(&self.own, newest + 1, &self.definition).zip(recent_sum(&self.own, newest)),
            hours: window.len(),
        }
    }

    /// The newest difference to the median of the other venues, in scales of that difference (quant §1.3).
    fn z_cross(&self, newest: u64) -> Option<f64> {
        let mut difference = HourSeries::default();
        for (hour, own) in self.own.iter() {
            let mut elsewhere: Vec<f64> = self.others.values().filter_map(|series| series.at(hour)).collect();
            elsewhere.sort_unstable_by(f64::total_cmp);
            if let Some(median) = quantile(&elsewhere, 0.5) {
                difference.put(hour, own - median);
            }
        }
        let (common, now) = difference.last()?;
        let location = baseline(&difference, common, &self.definition).filter(|_| newest - common <= CROSS_AGE_HOURS)?;
        Some(now / location.scale)
    }
}

/// The hours that a rate accrued over, each named by its end, and the rate per hour; nothing if no venue can have settled it by
/// `now_ms`.
fn hours_of(rate: &FundingRate, now_ms: u64) -> Option<(RangeInclusive<u64>, f64)> {
    // venues print the end of an interval some milliseconds late
    let until = rate.until_ms.saturating_add(HOUR_MS / 2) / HOUR_MS;
    let past = rate.until_ms <= now_ms.saturating_add(CLOCK_SLACK_MS);
    let interval = (1..=INTERVAL_HOURS_MAX).contains(&rate.hours) && until >= u64::from(rate.hours);
    let hourly = rate.hourly.decimal().to_f64().filter(|f| past && interval && f.abs() <= RATE_ABS_MAX)?;
    Some((until - u64::from(rate.hours) + 1..=until, hourly))
}

/// [`RECENT`] as a divisor.
const RECENT_VALUES: f64 = 8.0;

/// What z is of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Definition {
    /// Hours of the window.
    pub window: u64,
    /// Hours whose mean is held against it.
    pub recent: u64,
    /// How many hours before now the window ends.
    pub lag: u64,
    /// Values of the window below which there is no z.
    pub values_min: usize,
    /// Least scale, per hour.
    pub floor: f64,
}

impl Default for Definition {
    fn default() -> Definition {
        Definition { window: WINDOW, recent: RECENT, lag: RECENT, values_min: VALUES_MIN, floor: SCALE_FLOOR }
    }
}

/// Median and scale of the window for `hour`; nothing with too few values.
fn baseline(series: &HourSeries, hour: u64, definition: &Definition) -> Option<Location> {
    let window: Vec<f64> = series.window(hour.checked_sub(definition.lag)?, definition.window).collect();
    (window.len() >= definition.values_min).then(|| location(window, definition.floor)).flatten()
}

/// z of `hour` (quant §1.3): how far the mean of the recent hours lies from the median of the window before them.
#[must_use]
pub fn z_at(series: &HourSeries, hour: u64, definition: &Definition) -> Option<f64> {
    series.at(hour)?;
    let recent: Vec<f64> = series.window(hour, definition.recent).collect();
    Some(baseline(series, hour, definition)?.z(mean(&recent)?))
}

/// The settled hours that the running hour joins, as the sum of seven: a missing one counts as the mean of the others.
fn recent_sum(series: &HourSeries, newest: u64) -> Option<f64> {
    let settled: Vec<f64> = series.window(newest, RECENT - 1).collect();
    Some(mean(&settled)? * (RECENT_VALUES - 1.0))
}

/// Moments of the window's hours and of its pairs of neighbours (Yule–Walker): never explosive, whatever the gaps.
fn fit(series: &HourSeries, newest: u64) -> Option<Ar1> {
    let window: Vec<f64> = series.window(newest, WINDOW).collect();
    let mean = mean(&window)?;
    if sample_sd(&window)? == 0.0 {
        return Some(Ar1 { mean, phi: 0.0, sigma: 0.0 });
    }
    let square = |sum: f64, f: f64| sum + (f - mean) * (f - mean);
    #[expect(clippy::cast_precision_loss, reason = "at most a month of hours")]
    let variance = window.iter().copied().fold(0.0, square) / window.len() as f64;
    let from = newest.saturating_sub(WINDOW - 1);
    let pairs = (from + 1..=newest).filter_map(|hour| series.at(hour - 1).zip(series.at(hour)));
    let (sum, count) = pairs.fold((0.0, 0.0), |(sum, n), (a, b)| (sum + (a - mean) * (b - mean), n + 1.0));
    let phi = if variance > 0.0 && count > 0.0 { (sum / count / variance).clamp(0.0, PHI_MAX) } else { 0.0 };
    Some(Ar1 { mean, phi, sigma: (variance * (1.0 - phi * phi)).sqrt() })
}

#[cfg(test)]
mod tests;
