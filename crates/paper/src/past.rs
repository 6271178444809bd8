//! The time before the venue began: a seeded past, so that clients that size by history have one.
//!
//! Prices are a random walk per minute that ends at the first live price, made backwards from there. Markets share a common part,
//! so they are correlated; volatility drifts from hour to hour, and a few minutes jump. Funding follows a premium that comes and
//! goes, through the venue's own formula, so it rests on the interest rate for about half of the hours. The last two days of it
//! are calm: a fresh venue alarms nobody. All in integers: the same seed gives the same past.

use std::collections::BTreeMap;

use domain::{Instrument, Prng, Px, Qty, Ratio, Seed};
use exchange::{Asset, FundingRate};
use rust_decimal::Decimal;

use crate::candles::{Candle, MINUTE_MS};
use crate::universe::Universe;

const HOUR_MS: u64 = 60 * MINUTE_MS;
/// How far the past reaches back.
const DAYS: u64 = 60;
const MINUTES: u64 = DAYS * 24 * 60;
/// Minutes of which single candles are kept: as many as one answer holds. Older ones are merged by five.
const FINE_MINUTES: u64 = 5_000;
const COARSE_MINUTES: u64 = 5;
const COARSE_MS: u64 = COARSE_MINUTES * MINUTE_MS;
/// Returns in billionths.
const GIGA: i128 = 1_000_000_000;
/// Prices in millionths of a tick while they are walked.
const MICRO: i128 = 1_000_000;
/// Standard deviation of a minute's return at an annual volatility of one, in billionths: 10^9/√525,600, less what drifting
/// volatility and jumps add.
const MINUTE_SIGMA: i128 = 1_330_000;
/// Volatility moves between these levels, percent of the usual one.
const LEVELS: [i128; 5] = [70, 85, 100, 115, 130];
/// One minute of so many has a return four times as large.
const JUMP_ONE_IN: u64 = 500;

/// How a market behaves: annual volatility in percent, and the share of its returns that all markets have in common, with the
/// share that it has alone, in thousandths; their squares add up to one.
const BEHAVIOUR: [(&str, i128, (i128, i128)); 4] =
    [("BTC", 50, (1_000, 0)), ("ETH", 62, (800, 600)), ("SOL", 80, (750, 661)), ("", 90, (600, 800))];

/// Premium in ten-billionths: its mean, its hourly shock, and how much of its distance from the mean stays after an hour, in
/// thousandths. With these it lies inside the formula's clamp for somewhat more than half of the hours.
const PREMIUM_MEAN: i128 = 3_000_000;
const PREMIUM_SHOCK: i128 = 2_600_000;
const PREMIUM_STAYS: i128 = 900;
/// The newest hours, whose premium is small.
const CALM_HOURS: u64 = 48;
const CALM_SHOCK: i128 = 200_000;

/// Other venues by the words of `predictedFundings`, with their interval in hours.
const OTHERS: [&str; 2] = ["BinPerp", "BybitPerp"];
const OTHERS_HOURS: u32 = 8;

/// The past of all markets; each is made when it is first asked for.
#[derive(Debug)]
pub(crate) struct Past {
    seed: Seed,
    /// The minute in which the venue began.
    until_ms: u64,
    /// First live prices.
    ends: BTreeMap<Asset, Px>,
    made: BTreeMap<Asset, MarketPast>,
}

#[derive(Debug)]
struct MarketPast {
    /// Five minutes each, oldest first, up to where `fine` begins.
    coarse: Vec<Candle>,
    /// A minute each.
    fine: Vec<Candle>,
    rates: Vec<FundingRate>,
}

impl Past {
    /// A past that ends at `now_ms` with these prices.
    pub(crate) fn new(seed: Seed, now_ms: u64, ends: BTreeMap<Asset, Px>) -> Past {
        Past { seed, until_ms: now_ms - now_ms % MINUTE_MS, ends, made: BTreeMap::new() }
    }

    /// Makes the past of a market, if it has one and was not made before.
    pub(crate) fn make(&mut self, universe: &Universe, asset: Asset) {
        if self.made.contains_key(&asset) {
            return;
        }
        let (Some(market), Some(end)) = (universe.market(asset), self.ends.get(&asset)) else { return };
        let past = MarketPast {
            rates: self.rates(market.name()),
            ..walk(self.seed, &market.instrument, market.name(), *end, self.until_ms)
        };
        self.made.insert(asset, past);
    }

    /// Candles of a market that open at or after `from_ms`, as fine as they are kept, oldest first; those of five minutes are left
    /// out for intervals that they do not fit into.
    pub(crate) fn candles(&self, asset: Asset, length_ms: u64, from_ms: u64) -> impl Iterator<Item = &Candle> {
        let past = self.made.get(&asset);
        let coarse = past.filter(|_| length_ms.is_multiple_of(COARSE_MS)).map(|p| since(&p.coarse, from_ms));
        coarse.unwrap_or_default().iter().chain(past.map(|p| since(&p.fine, from_ms)).unwrap_or_default())
    }

    /// Settled rates of a market, oldest first.
    pub(crate) fn funding(&self, asset: Asset) -> &[FundingRate] {
        self.made.get(&asset).map(|p| p.rates.as_slice()).unwrap_or_default()
    }

    fn rates(&self, name: &str) -> Vec<FundingRate> {
        let mut chance = self.seed.fork(&format!("paper.past.funding.{name}"));
        let hours = DAYS * 24;
        let newest = self.until_ms - self.until_ms % HOUR_MS;
        let mut distance = 0_i128;
        let mut rates = Vec::with_capacity(usize::try_from(hours).unwrap_or(0));
        for back in (0..hours).rev() {
            let is_calm = back < CALM_HOURS;
            let shock = if is_calm { CALM_SHOCK } else { PREMIUM_SHOCK };
            distance = distance * PREMIUM_STAYS / 1_000 + shock * gaussian(&mut chance) / GAUSSIAN_ONE;
            let mean = if is_calm { PREMIUM_MEAN / 3 } else { PREMIUM_MEAN };
            if back + 1 == CALM_HOURS {
                distance = 0;
            }
            let premium = Decimal::try_from_i128_with_scale(mean + distance, 10).unwrap_or_default();
            rates.push(FundingRate {
                at_ms: newest - back * HOUR_MS,
                rate: exchange::hourly_rate(premium, Ratio::bps(1)),
                premium: Ratio::new(premium).unwrap_or(Ratio::ZERO),
            });
        }
        rates
    }

    /// What other venues are about to settle for a market: (their name, rate of their interval, its end, its length in hours).
    /// Half of the time it is the usual hundredth of a percent.
    pub(crate) fn predicted(&self, name: &str, now_ms: u64) -> impl Iterator<Item = (&'static str, Decimal, u64, u32)> {
        let length = u64::from(OTHERS_HOURS) * HOUR_MS;
        let interval = now_ms / length;
        OTHERS.into_iter().map(move |venue| {
            let mut chance = self.seed.fork(&format!("paper.past.predicted.{venue}.{name}.{interval}"));
            let usual = Decimal::new(1, 4);
            let other = usual + Decimal::new(chance.between(-60, 60), 6);
            let rate = if chance.chance(1, 2) { usual } else { other };
            (venue, rate, (interval + 1) * length, OTHERS_HOURS)
        })
    }
}

fn since(candles: &[Candle], from_ms: u64) -> &[Candle] {
    candles.get(candles.partition_point(|c| c.open_ms < from_ms)..).unwrap_or_default()
}

/// What a standard deviation of [`gaussian`] is.
const GAUSSIAN_ONE: i128 = 65_536;

/// Roughly normal: twelve uniform numbers of sixteen bits, whose sum has a standard deviation of 2^16.
fn gaussian(chance: &mut Prng) -> i128 {
    let mut sum = -6 * 65_535_i128;
    for _ in 0..3 {
        let draw = chance.next_u64();
        sum += (0..4).map(|part| i128::from(draw >> (part * 16) & 0xffff)).sum::<i128>();
    }
    sum
}

/// Walks a market's prices back from `end`.
fn walk(seed: Seed, instrument: &Instrument, name: &str, end: Px, until_ms: u64) -> MarketPast {
    let (_, volatility, (common, own)) = BEHAVIOUR.into_iter().find(|(n, ..)| *n == name || n.is_empty()).unwrap_or(BEHAVIOUR[0]);
    let mut shared = seed.fork("paper.past.common");
    let mut chance = seed.fork(&format!("paper.past.{name}"));
    let typical_lots = {
        // a few thousand in quote currency per minute and percent of volatility: what it is matters to nobody, that it varies does
        let one = instrument.px_decimal(end);
        instrument.floor_to_lot(Decimal::from(400_000).checked_div(one).unwrap_or(Decimal::ONE)).0.max(100)
    };
    let mut level = LEVELS.len() / 2;
    let mut px = i128::from(end.0) * MICRO;
    let on_grid = |micro: i128| instrument.floor_px(Px(i64::try_from(micro / MICRO).unwrap_or(end.0))).max(Px(1));
    let (mut fine, mut coarse): (Vec<Candle>, Vec<Candle>) = (Vec::new(), Vec::new());
    for back in 1..=MINUTES {
        let open_ms = until_ms - back * MINUTE_MS;
        if open_ms.is_multiple_of(HOUR_MS) {
            level = match shared.below(6) {
                0 => level.saturating_sub(1),
                1 => (level + 1).min(LEVELS.len() - 1),
                _ => level,
            };
        }
        let jump = if shared.chance(1, JUMP_ONE_IN) { 4 } else { 1 };
        let sigma = MINUTE_SIGMA * volatility / 100 * LEVELS[level] / 100;
        let draw = (common * gaussian(&mut shared) + own * gaussian(&mut chance)) / 1_000;
        let change = (sigma * jump * draw / GAUSSIAN_ONE).clamp(-GIGA / 4, GIGA / 4);
        let before = px * GIGA / (GIGA + change);
        // a walk's extremes lie beyond both its ends, each by some two fifths of a deviation
        let beyond = |chance: &mut Prng| px * sigma / GIGA * gaussian(chance).abs() / GAUSSIAN_ONE / 2;
        let high = px.max(before) + beyond(&mut chance);
        let low = px.min(before) - beyond(&mut chance);
        let candle = Candle {
            open_ms,
            open: on_grid(before),
            high: on_grid(high),
            low: on_grid(low),
            close: on_grid(px),
            volume: Qty(typical_lots * chance.between(30, 170) / 100),
            trades: 20 + chance.below(60),
        };
        px = before.max(MICRO);
        // older than the fine ones, and from the last minute of five on
        let is_coarse = !coarse.is_empty() || back > FINE_MINUTES && (open_ms / MINUTE_MS + 1).is_multiple_of(COARSE_MINUTES);
        if !is_coarse {
            fine.push(candle);
        } else {
            match coarse.last_mut() {
                // older minutes join in front
                Some(newer) if newer.open_ms / COARSE_MS == open_ms / COARSE_MS => {
                    let mut whole = candle;
                    whole.merge(newer);
                    *newer = whole;
                }
                _ => coarse.push(candle),
            }
        }
    }
    // the oldest may not be whole
    coarse.retain(|c| c.open_ms.is_multiple_of(COARSE_MS));
    fine.reverse();
    coarse.reverse();
    MarketPast { coarse, fine, rates: Vec::new() }
}

#[cfg(test)]
mod tests;
