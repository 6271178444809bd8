//! The venue's rows as history that can be computed with. What makes no sense is left out and counted; nothing is guessed.

use std::collections::BTreeMap;

use domain::{Bar, Book, FundingRate, Instrument, InstrumentId, Level, Ratio, Span, Stamp};
use rust_decimal::{Decimal, RoundingStrategy};
use wire::hyperliquid::info::{Candle, FundingRate as FundingRow, L2Book, L2Level, PredictedFunding};

pub(super) const HOUR_MS: u64 = 3_600_000;
/// The venue settles a few milliseconds after the hour; a row that lies further from it belongs to no hour.
const SETTLED_WITHIN_MS: u64 = 10 * 60_000;
/// A last look at another venue's prediction counts as what it settled if it was this near the interval's end. The connector
/// looks every quarter of an hour, so one look may fail.
const CLOSING_LOOK_MS: u64 = 40 * 60_000;
/// Longest interval of any venue in hours.
const INTERVAL_HOURS_MAX: u32 = 24;
/// Decimals of an hourly rate; the venue prints ten at most.
const RATE_DECIMALS: u32 = 10;
/// Other venues that are followed per market: the venue names two or three.
const SOURCES_MAX: usize = 8;

/// A span as the venue counts it.
pub(super) const fn millis(span: Span) -> u64 {
    span.0 / 1_000_000
}

/// The closed bars among `rows`, and how many rows were dropped: of another market or length, off their grid of time, unsorted or
/// repeated, without a price, or with prices that contradict each other. The running bar is left out and not counted.
pub(super) fn bars(market: &Instrument, interval: &str, span: Span, rows: &[Candle], now_ms: u64) -> (Vec<Bar>, usize) {
    let length = millis(span).max(1);
    let mut bars: Vec<Bar> = Vec::with_capacity(rows.len());
    let mut dropped = 0;
    for row in rows {
        if row.open_time.saturating_add(length) > now_ms {
            continue;
        }
        let fits = row.coin == market.id.name()
            && row.interval == interval
            && row.open_time.is_multiple_of(length)
            && bars.last().is_none_or(|last| last.start_ms < row.open_time);
        match bar(market, row).filter(|_| fits) {
            Some(bar) => bars.push(bar),
            None => dropped += 1,
        }
    }
    (bars, dropped)
}

fn bar(market: &Instrument, row: &Candle) -> Option<Bar> {
    let px = |value: Decimal| market.px_nearest(value).ok();
    let (open, high) = (px(row.open.get())?, px(row.high.get())?);
    let (low, close) = (px(row.low.get())?, px(row.close.get())?);
    let inside = |px| low <= px && px <= high;
    (inside(open) && inside(close)).then_some(Bar { start_ms: row.open_time, open, high, low, close })
}

/// The book in ticks and lots; `None` if a level is off the grid, out of order, or a side is empty.
pub(super) fn book(market: &Instrument, rows: &L2Book, at: Stamp) -> Option<Book> {
    let side = |rows: &[L2Level], descending: bool| {
        let level =
            |row: &L2Level| Some(Level { px: market.px_exact(row.px.get()).ok()?, qty: market.qty_exact(row.sz.get()).ok()? });
        let levels = rows.iter().map(level).collect::<Option<Vec<Level>>>()?;
        let in_order = |pair: &[Level]| if descending { pair[0].px > pair[1].px } else { pair[0].px < pair[1].px };
        (!levels.is_empty() && levels.windows(2).all(in_order)).then_some(levels)
    };
    let [bids, asks] = &rows.levels;
    let book = Book { instrument: market.id, bids: side(bids, true)?, asks: side(asks, false)?, venue_ms: rows.time, at };
    book.is_sane().then_some(book)
}

/// Settled hourly rates among `rows`, and how many rows were dropped: of another market, unsorted or repeated, off the hour, in
/// the future, or of more than the whole price per hour.
pub(super) fn rates(market: &Instrument, rows: &[FundingRow], now_ms: u64) -> (Vec<FundingRate>, usize) {
    let mut rates: Vec<FundingRate> = Vec::with_capacity(rows.len());
    let mut dropped = 0;
    for row in rows {
        let until_ms = row.time - row.time % HOUR_MS;
        let fits = row.coin == market.id.name()
            && row.time - until_ms <= SETTLED_WITHIN_MS
            && until_ms <= now_ms
            && rates.last().is_none_or(|last| last.until_ms < until_ms);
        let hourly = Ratio::new(row.funding_rate.get()).ok().filter(|r| r.decimal().abs() <= Decimal::ONE);
        match hourly.filter(|_| fits) {
            Some(hourly) => rates.push(FundingRate { until_ms, hours: 1, hourly }),
            None => dropped += 1,
        }
    }
    (rates, dropped)
}

/// A prediction as it was last seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    until_ms: u64,
    hours: u32,
    hourly: Ratio,
    seen_ms: u64,
}

/// What other venues are about to settle. The venue tells predictions alone and no history, so an interval counts once its
/// last prediction was seen near its end and the next interval has begun.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    seen: BTreeMap<(InstrumentId, String), Seen>,
}

/// One coin of `predictedFundings`.
pub(super) type Predicted = (String, Vec<(String, Option<PredictedFunding>)>);

impl Elsewhere {
    /// Takes one look at all predictions; the intervals that it shows to have ended, by market and venue, and how many rows
    /// were dropped: without an interval, with an end off the hour or far from now, or with a rate that makes no sense.
    pub(super) fn look<'a>(
        &mut self,
        rows: &[Predicted],
        market: impl Fn(&str) -> Option<&'a Instrument>,
        now_ms: u64,
    ) -> (Vec<(InstrumentId, String, FundingRate)>, usize) {
        let (mut ended, mut dropped) = (Vec::new(), 0);
        for (coin, venues) in rows {
            let Some(market) = market(coin) else { continue };
            for (venue, prediction) in venues.iter().take(SOURCES_MAX) {
                let Some(source) = source(venue) else { continue };
                let Some(prediction) = prediction else { continue };
                let Some(fresh) = seen(prediction, now_ms) else {
                    dropped += 1;
                    continue;
                };
                let old = self.seen.insert((market.id, source.clone()), fresh);
                let over = old.filter(|old| old.until_ms < fresh.until_ms && old.until_ms <= now_ms);
                if let Some(old) = over.filter(|old| old.until_ms.saturating_sub(old.seen_ms) <= CLOSING_LOOK_MS) {
                    let rate = FundingRate { until_ms: old.until_ms, hours: old.hours, hourly: old.hourly };
                    ended.push((market.id, source, rate));
                }
            }
        }
        (ended, dropped)
    }
}

fn seen(prediction: &PredictedFunding, now_ms: u64) -> Option<Seen> {
    // without the interval's length the rate says nothing
    let hours = prediction.funding_interval_hours.filter(|h| (1..=INTERVAL_HOURS_MAX).contains(h))?;
    let until_ms = prediction.next_funding_time;
    let near = until_ms <= now_ms + u64::from(hours) * HOUR_MS + SETTLED_WITHIN_MS;
    let hourly = prediction.funding_rate.get().checked_div(Decimal::from(hours))?;
    let hourly = hourly.round_dp_with_strategy(RATE_DECIMALS, RoundingStrategy::MidpointAwayFromZero);
    let hourly = Ratio::new(hourly).ok().filter(|r| r.decimal().abs() <= Decimal::ONE)?;
    (until_ms.is_multiple_of(HOUR_MS) && near).then_some(Seen { until_ms, hours, hourly, seen_ms: now_ms })
}

/// The plain name behind the venue's word for another venue; `None` for its own rate, which has a history.
fn source(venue: &str) -> Option<String> {
    let name = venue.strip_suffix("Perp").unwrap_or(venue).to_lowercase();
    match name.as_str() {
        "" | "hl" => None,
        "bin" => Some("binance".to_owned()),
        _ => Some(name),
    }
}

#[cfg(test)]
mod tests;
