//! Oracle, mark and funding of one market.

use std::collections::VecDeque;

use domain::margin::MarginModel;
use domain::{Instrument, Px, Qty, Ratio, Side, Usd};
use rust_decimal::{Decimal, RoundingStrategy};

use crate::book::OrderBook;
use crate::view::FundingRate;

/// Prices are averaged in millionths of a tick.
const MICRO: i128 = 1_000_000;
/// Scale of decay factors and premiums.
const GIGA: i128 = 1_000_000_000;
const TERA: i128 = 1_000_000_000_000;
/// Averaging time of the mid's distance from the oracle (fact sheet §8.4).
const BASIS_TAU_MS: u64 = 150_000;
/// Averaging time of the book price (fact sheet §8.4).
const BOOK_TAU_MS: u64 = 30_000;
/// Settled funding rates kept per market: twelve weeks.
const RATES_KEPT: usize = 2_000;
/// Highest funding rate per hour, either way (fact sheet §9).
const FUNDING_CAP_PERCENT: i64 = 4;

/// The venue's average: `num ← num·e^(−t/τ) + x·t`, `den ← den·e^(−t/τ) + t`, in fixed point.
#[derive(Clone, Debug)]
struct Ema {
    num: i128,
    den: i128,
    /// `e^(−t/τ)` in billionths, for the fixed step `t`.
    decay: i128,
    step_ms: i128,
}

impl Ema {
    fn new(step_ms: u64, tau_ms: u64) -> Ema {
        Ema { num: 0, den: 0, decay: exp_minus(step_ms, tau_ms), step_ms: i128::from(step_ms) }
    }

    fn push(&mut self, x: i128) {
        // the denominator carries millionths of a millisecond, so that its decay does not lose to truncation
        self.num = self.num * self.decay / GIGA + x * self.step_ms;
        self.den = self.den * self.decay / GIGA + self.step_ms * MICRO;
    }

    fn value(&self) -> Option<i128> {
        (self.den > 0).then(|| self.num * MICRO / self.den)
    }

    fn shift(&mut self, by: i128) {
        self.num += by * self.den / MICRO;
    }
}

/// `e^(−t/τ)` in billionths, by the series of `e^(t/τ)`; beyond twenty time constants nothing is left.
fn exp_minus(t: u64, tau: u64) -> i128 {
    if t >= tau.saturating_mul(20) {
        return 0;
    }
    let x = i128::from(t) * TERA / i128::from(tau);
    let (mut sum, mut term) = (TERA, TERA);
    for k in 1..150 {
        term = term * x / (TERA * k);
        sum += term;
    }
    (GIGA * TERA + sum / 2) / sum
}

fn median(mut three: [i128; 3]) -> i128 {
    three.sort_unstable();
    three[1]
}

/// One hour's statistics.
#[derive(Clone, Copy, Debug)]
struct Hour {
    starts_ms: u64,
    notional: Usd,
    lots: Qty,
    mark: Px,
}

/// Hours kept: a day and the running one.
const HOURS_KEPT: usize = 25;
pub(crate) const HOUR_MS: u64 = 3_600_000;

/// How a venue prices and funds a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// A mark of its own; funding with the interest clamp, at most 4 % per hour.
    Hyperliquid,
    /// Margined at the oracle; funding clamped by the market's margin fractions.
    Dydx {
        /// Per hour.
        funding_cap: Ratio,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Reference {
    pub oracle: Px,
    pub mark: Px,
    pub frozen: bool,
    pub pinned: Option<Px>,
    pub funding_override: Option<Ratio>,
    pub last_trade: Option<Px>,
    /// The venue's way of pricing and of funding.
    style: Style,
    /// Whether the tape brings its own oracle.
    external: bool,
    /// Whether a two-sided book was ever seen; until then the mark is the oracle.
    started: bool,
    basis: Ema,
    book_average: Ema,
    premium_sum: i128,
    premium_samples: i128,
    interest_8h: Ratio,
    impact_notional: Usd,
    rates: VecDeque<FundingRate>,
    hours: VecDeque<Hour>,
}

impl Reference {
    pub(crate) fn new(oracle: Px, mark_every_ms: u64, interest_8h: Ratio, impact_notional: Usd, now_ms: u64) -> Reference {
        let hour = Hour { starts_ms: now_ms - now_ms % HOUR_MS, notional: Usd::ZERO, lots: Qty::ZERO, mark: oracle };
        Reference {
            oracle,
            mark: oracle,
            frozen: false,
            pinned: None,
            funding_override: None,
            last_trade: None,
            style: Style::Hyperliquid,
            external: false,
            started: false,
            basis: Ema::new(mark_every_ms, BASIS_TAU_MS),
            book_average: Ema::new(mark_every_ms, BOOK_TAU_MS),
            premium_sum: 0,
            premium_samples: 0,
            interest_8h,
            impact_notional,
            rates: VecDeque::new(),
            hours: VecDeque::from([hour]),
        }
    }

    /// In the style of the market's margin model.
    pub(crate) fn in_style(mut self, margin: &MarginModel) -> Reference {
        self.style = match margin {
            MarginModel::Hyperliquid(_) => Style::Hyperliquid,
            MarginModel::Dydx(dydx) => Style::Dydx { funding_cap: dydx.funding_cap_hourly() },
        };
        self
    }

    /// The tape's own oracle.
    pub(crate) fn set_oracle(&mut self, px: Px) {
        self.external = true;
        if !self.frozen && px.0 > 0 {
            self.oracle = px;
            self.follow_oracle();
        }
    }

    /// The first two-sided book sets oracle and mark at once, so that a market does not open on a stale guess.
    pub(crate) fn start(&mut self, book: &OrderBook) {
        if !self.started && book.background_mid_x2().is_some() {
            self.started = true;
            self.step(book);
        }
    }

    /// One step of oracle and mark, at the venue's fixed pace.
    pub(crate) fn step(&mut self, book: &OrderBook) {
        if !self.external
            && !self.frozen
            && let Some(mid_x2) = book.background_mid_x2()
        {
            self.oracle = Px(((mid_x2 + 1) / 2).max(1));
        }
        let oracle = i128::from(self.oracle.0) * MICRO;
        if let Some(mid_x2) = book.mid_x2() {
            self.basis.push(i128::from(mid_x2) * MICRO / 2 - oracle);
        }
        let with_basis = oracle + self.basis.value().unwrap_or(0);
        let mark = match self.book_price(book) {
            None => with_basis,
            Some(book_px) => {
                self.book_average.push(book_px);
                median([with_basis, book_px, self.book_average.value().unwrap_or(book_px)])
            }
        };
        let rounded = (mark + MICRO / 2).div_euclid(MICRO);
        self.mark = self.pinned.unwrap_or_else(|| Px(i64::try_from(rounded).unwrap_or(self.mark.0).max(1)));
        self.follow_oracle();
    }

    /// A market of dYdX is margined at the oracle.
    fn follow_oracle(&mut self) {
        match self.style {
            Style::Hyperliquid => {}
            Style::Dydx { .. } => self.mark = self.pinned.unwrap_or(self.oracle),
        }
    }

    /// Median of best bid, best ask and last trade; the mid before the first trade; nothing unless both sides exist.
    fn book_price(&self, book: &OrderBook) -> Option<i128> {
        let (bid, ask) = (book.best(Side::Buy)?, book.best(Side::Sell)?);
        let micro = |px: Px| i128::from(px.0) * MICRO;
        Some(match self.last_trade {
            Some(last) => median([micro(bid), micro(ask), micro(last)]),
            None => (micro(bid) + micro(ask)) / 2,
        })
    }

    /// Everything that remembers prices moves by so many ticks.
    pub(crate) fn shift(&mut self, ticks: i64) {
        let move_px = |px: Px| Px((px.0 + ticks).max(1));
        if !self.frozen {
            self.oracle = move_px(self.oracle);
        }
        self.mark = self.pinned.unwrap_or_else(|| move_px(self.mark));
        self.follow_oracle();
        self.last_trade = self.last_trade.map(move_px);
        self.book_average.shift(i128::from(ticks) * MICRO);
    }

    /// Average prices at which the impact notional executes against bids and asks, in millionths of a tick.
    pub(crate) fn impact(&self, book: &OrderBook, instrument: &Instrument) -> Option<(i128, i128)> {
        let target = self.impact_notional.decimal().checked_div(instrument.tick_lot())?.floor();
        let target = i128::try_from(target).ok().filter(|t| *t > 0)?;
        let walk = |side: Side| -> Option<i128> {
            let (mut left, mut micro_lots) = (target, 0_i128);
            for (px, lots) in book.quantities(side) {
                let (px, lots) = (i128::from(px.0), i128::from(lots));
                if px * lots >= left {
                    micro_lots += left * MICRO / px;
                    return (micro_lots > 0).then(|| target * MICRO * MICRO / micro_lots);
                }
                left -= px * lots;
                micro_lots += lots * MICRO;
            }
            None
        };
        Some((walk(Side::Buy)?, walk(Side::Sell)?))
    }

    /// The premium now in trillionths: how far the impact prices lie beyond the oracle, over the oracle.
    fn premium_now(&self, book: &OrderBook, instrument: &Instrument) -> Option<i128> {
        let (bid, ask) = self.impact(book, instrument)?;
        let oracle = i128::from(self.oracle.0) * MICRO;
        Some(((bid - oracle).max(0) - (oracle - ask).max(0)) * TERA / oracle)
    }

    pub(crate) fn premium(&self, book: &OrderBook, instrument: &Instrument) -> Option<Ratio> {
        self.premium_now(book, instrument).and_then(|p| ratio_10(trillionths(p)))
    }

    /// Takes one premium sample. A book too thin for impact prices gives none.
    pub(crate) fn sample_premium(&mut self, book: &OrderBook, instrument: &Instrument) {
        if let Some(premium) = self.premium_now(book, instrument) {
            self.premium_sum += premium;
            self.premium_samples += 1;
        }
    }

    fn mean_premium(&self) -> Decimal {
        if self.premium_samples == 0 { Decimal::ZERO } else { trillionths(self.premium_sum / self.premium_samples) }
    }

    /// The hourly rate if the hour ended now.
    pub(crate) fn funding(&self) -> Ratio {
        let cap = match self.style {
            Style::Hyperliquid => Ratio::scaled(FUNDING_CAP_PERCENT, 2),
            Style::Dydx { funding_cap } => funding_cap,
        };
        if let Some(forced) = self.funding_override {
            return if forced.abs() <= cap { forced } else { signed(forced, cap) };
        }
        let premium = self.mean_premium();
        match self.style {
            Style::Hyperliquid => hourly_rate(premium, self.interest_8h),
            Style::Dydx { funding_cap } => dydx_hourly_rate(premium, self.interest_8h, funding_cap),
        }
    }

    /// Settles the hour: records its rate and starts the next.
    pub(crate) fn settle(&mut self, at_ms: u64) -> Ratio {
        let rate = self.funding();
        let premium = ratio_10(self.mean_premium()).unwrap_or(Ratio::ZERO);
        if self.rates.len() == RATES_KEPT {
            self.rates.pop_front();
        }
        self.rates.push_back(FundingRate { at_ms, rate, premium });
        (self.premium_sum, self.premium_samples) = (0, 0);
        if self.hours.len() == HOURS_KEPT {
            self.hours.pop_front();
        }
        self.hours.push_back(Hour { starts_ms: at_ms, notional: Usd::ZERO, lots: Qty::ZERO, mark: self.mark });
        rate
    }

    pub(crate) fn rates(&self, since_ms: u64) -> Vec<FundingRate> {
        self.rates.iter().filter(|r| r.at_ms >= since_ms).copied().collect()
    }

    pub(crate) fn traded(&mut self, px: Px, qty: Qty, notional: Usd) {
        self.last_trade = Some(px);
        if let Some(hour) = self.hours.back_mut() {
            hour.notional += notional;
            hour.lots += qty;
        }
    }

    /// Notional and lots of the last day, and the mark at its start.
    pub(crate) fn day(&self, now_ms: u64) -> (Usd, Qty, Px) {
        let since = now_ms.saturating_sub(24 * HOUR_MS);
        let hours = || self.hours.iter().filter(move |h| h.starts_ms + HOUR_MS > since);
        let first = hours().next().map_or(self.mark, |h| h.mark);
        (hours().map(|h| h.notional).sum(), hours().map(|h| h.lots).sum(), first)
    }
}

/// Hyperliquid's hourly funding rate of a mean premium (fact sheet §9): an eighth of `P + clamp(I − P, ±0.0005)`, at most 4 %,
/// 10 decimals.
#[must_use]
pub fn hourly_rate(premium: Decimal, interest_8h: Ratio) -> Ratio {
    let bound = Decimal::new(5, 4);
    let rate = (premium + (interest_8h.decimal() - premium).clamp(-bound, bound)) / Decimal::from(8);
    let cap = Decimal::new(FUNDING_CAP_PERCENT, 2);
    ratio_10(rate.clamp(-cap, cap)).unwrap_or(Ratio::ZERO)
}

/// dYdX v4's hourly funding rate of a mean premium (quant §3): an eighth of premium and interest, within the market's clamp.
pub(crate) fn dydx_hourly_rate(premium: Decimal, interest_8h: Ratio, cap_hourly: Ratio) -> Ratio {
    let rate = (premium + interest_8h.decimal()) / Decimal::from(8);
    ratio_10(rate.clamp(-cap_hourly.decimal(), cap_hourly.decimal())).unwrap_or(Ratio::ZERO)
}

/// `magnitude` with the sign of `of`.
fn signed(of: Ratio, magnitude: Ratio) -> Ratio {
    if of < Ratio::ZERO { Ratio::new(-magnitude.decimal()).unwrap_or(Ratio::ZERO) } else { magnitude }
}

fn trillionths(value: i128) -> Decimal {
    // beyond the decimal's range lies no premium that the caps would not cut anyway
    Decimal::try_from_i128_with_scale(value, 12).unwrap_or(if value < 0 { -Decimal::ONE } else { Decimal::ONE })
}

pub(crate) fn ratio_10(value: Decimal) -> Option<Ratio> {
    Ratio::new(value.round_dp_with_strategy(10, RoundingStrategy::MidpointAwayFromZero)).ok()
}

/// Millionths of a tick as a price, 10 decimals.
pub(crate) fn micro_px(instrument: &Instrument, micro: i128) -> Decimal {
    Decimal::try_from_i128_with_scale(micro, 6)
        .ok()
        .and_then(|ticks| ticks.checked_mul(instrument.tick))
        .map_or(Decimal::ZERO, |px| px.round_dp_with_strategy(10, RoundingStrategy::MidpointAwayFromZero))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LevelChange;

    fn book(bid: i64, ask: i64, lots: i64) -> OrderBook {
        let mut book = OrderBook::new();
        let level = |px| [LevelChange { px: Px(px), qty: Qty(lots) }];
        book.snapshot(&level(bid), &level(ask));
        book
    }

    fn reference() -> Reference {
        Reference::new(Px(1_000), 3_000, Ratio::bps(1), Usd::whole(6_000), 0)
    }

    #[test]
    fn funding_rates_that_the_venue_printed() {
        // quant §3: the venue printed 0.0000617991 for this premium
        let rate = |premium: &str| {
            hourly_rate(Decimal::from_str_exact(premium).unwrap_or_else(|e| panic!("{e}")), Ratio::bps(1)).to_string()
        };
        assert_eq!(rate("0.0009943926"), "0.0000617991");
        assert_eq!(rate("0"), "0.0000125", "the interest alone");
        assert_eq!(rate("0.0006"), "0.0000125", "the clamp swallows premiums up to 6 bp");
        assert_eq!(rate("-0.002"), "-0.0001875");
        assert_eq!(rate("0.9"), "0.04", "4 % per hour at most");
    }

    #[test]
    fn decay_factors() {
        assert_eq!(exp_minus(3_000, 150_000), 980_198_673);
        assert_eq!(exp_minus(3_000, 30_000), 904_837_418);
        assert_eq!(exp_minus(4_000_000, 1_000), 0);
    }

    #[test]
    fn mark_is_a_median_that_one_wild_input_cannot_move() {
        let mut r = reference();
        let calm = book(999, 1_001, 10);
        r.start(&calm);
        assert_eq!((r.oracle, r.mark), (Px(1_000), Px(1_000)));
        r.set_oracle(Px(1_000));
        r.step(&book(1_099, 1_101, 10));
        assert!(r.mark < Px(1_060), "one step of a jumped book moves the averages only partly: {:?}", r.mark);
        for _ in 0..500 {
            r.step(&book(1_099, 1_101, 10));
        }
        assert_eq!(r.mark, Px(1_100), "a lasting basis is followed");
        r.pinned = Some(Px(7));
        r.step(&calm);
        assert_eq!(r.mark, Px(7));
    }

    #[test]
    fn a_frozen_oracle_stays() {
        let mut r = reference();
        r.start(&book(999, 1_001, 10));
        r.frozen = true;
        r.step(&book(1_099, 1_101, 10));
        r.set_oracle(Px(5));
        assert_eq!(r.oracle, Px(1_000));
    }
}
