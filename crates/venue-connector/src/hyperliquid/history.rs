//! The venue's history of the traded markets: bars and funding, read at start and kept fresh.
//!
//! Nothing waits for it: trading begins without, with the conservative figures that missing history gives. One task plans all
//! reads. Each market has hourly bars, five-minute bars, settled funding and a wide look at its book, whose stream shows a few
//! levels alone; all markets together have the predictions of other venues. A read begins where the last one ended, so a gap after an outage fills itself. Failed reads come again later
//! and are never fatal. What they may take of the request budget is below everything else ([`Purpose::History`]).

mod rows;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::{Bar, Book, FIVE_MINUTES, Fact, FundingRate, HOURLY, Instrument, InstrumentId, Prng, Span, Venue};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use wire::hyperliquid::info::{Candle, CandleRequest, FundingRate as FundingRow, InfoRequest, L2Book};

use self::rows::{Elsewhere, HOUR_MS, Predicted, millis};
use super::Shared;
use super::gauges::add;
use super::http::Lane;
use super::limits::Purpose;
use super::read::{How, ReadError};
use crate::port::Next;

const MINUTE_MS: u64 = 60_000;
/// Reads under way at once: at start several markets' answers come in one round trip, and a slow one holds up no other.
const RUNNING_MAX: usize = 4;
/// The windows of quant §1.2 and §1.3 with a reserve: 30 days of hourly bars, 2 days of five-minute bars, 30 days of funding.
const HOURLY_MS: u64 = 32 * 24 * HOUR_MS;
const FIVE_MINUTES_MS: u64 = 50 * HOUR_MS;
const FUNDING_MS: u64 = 31 * 24 * HOUR_MS;
/// Rows of one page of `fundingHistory` (fact sheet §3), and pages that the longest window can have with one to spare.
const PAGE: usize = 500;
const PAGES_MAX: usize = 3;
/// A bar or a rate is asked for so long after its time: the venue needs a moment, and so do its slower replicas.
const LAG_MS: u64 = 3_000;
/// Reads that are due at the same moment everywhere spread over this long.
const SPREAD_MS: u64 = 12_000;
/// What should be there and is not is looked for again after this long, so many times; then with the next regular read.
const LATE: Duration = Duration::from_secs(20);
const LATE_MAX: u32 = 6;
/// Other venues' predictions are looked at this long before each quarter of an hour, so that one look closes each interval.
const CLOSING_MS: u64 = 75_000;
const QUARTER_MS: u64 = 15 * MINUTE_MS;
/// Waits between failed reads double from the first to the last.
const BACKOFF: Duration = Duration::from_secs(2);
const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// A 429 says that the address's minute is spent, by us or by another program: all history waits this long, so that orders and
/// reconciliation find it free.
const THROTTLED: Duration = Duration::from_secs(45);
/// After a payment of funding the rate it was paid at is read this soon.
const AFTER_PAYMENT: Duration = Duration::from_millis(300);
/// Weight per minute that five-minute bars of all markets may take together in the long run: a tenth of the venue's limit.
const STEADY_WEIGHT: usize = 120;
/// Weight of one short read (fact sheet §7).
const READ_WEIGHT: usize = 20;

/// A wide look at every market's book is taken this often …
const DEPTH_MS: u64 = 10_000;
/// … or as much less often as keeps all markets together below this weight per minute.
const DEPTH_WEIGHT: usize = 60;
/// Weight of one look (fact sheet §7).
const LOOK_WEIGHT: usize = 2;
/// Significant figures of its prices: 20 levels a side then reach 20 to 200 basis points.
const DEPTH_FIGURES: u8 = 4;

/// Which history a job reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bars(Span),
    Funding,
    /// The book in coarse steps.
    Depth,
    /// Predictions of other venues, for all markets in one read.
    Elsewhere,
}

impl Kind {
    fn window_ms(self) -> u64 {
        match self {
            Kind::Bars(HOURLY) => HOURLY_MS,
            Kind::Bars(_) => FIVE_MINUTES_MS,
            Kind::Funding => FUNDING_MS,
            Kind::Depth | Kind::Elsewhere => 0,
        }
    }

    /// The time from one row to the next.
    fn step_ms(self) -> u64 {
        match self {
            Kind::Bars(span) => millis(span),
            Kind::Funding => HOUR_MS,
            Kind::Depth => DEPTH_MS,
            Kind::Elsewhere => QUARTER_MS,
        }
    }
}

/// One thing that is read again and again.
struct Job {
    kind: Kind,
    /// `None` for what one read tells of all markets.
    market: Option<Arc<Instrument>>,
    /// When it is due; `None` while it runs.
    due: Option<Instant>,
    /// Start of the newest bar, or end of the newest rate, that the desk was told.
    told_ms: Option<u64>,
    failures: u32,
    /// Reads in a row that did not bring what should be there.
    late: u32,
}

/// What a read brought.
struct Brought {
    facts: Vec<Fact>,
    newest_ms: Option<u64>,
    predicted: Vec<Predicted>,
}

type Done = (usize, Result<Brought, ReadError>);

/// Reads history until told to stop.
pub(super) async fn run(shared: Arc<Shared>, traded: Vec<InstrumentId>, jitter: Prng, stop: CancellationToken) {
    let mut plan = Plan::new(&shared, &traded, jitter);
    let mut running: FuturesUnordered<BoxFuture<'static, Done>> = FuturesUnordered::new();
    loop {
        let next = plan.next_due().filter(|_| running.len() < RUNNING_MAX);
        tokio::select! {
            () = stop.cancelled() => return,
            () = shared.funding_paid.notified() => plan.hurry_funding(),
            Some((at, result)) = running.next(), if !running.is_empty() => {
                for fact in plan.finished(at, result) {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = shared.sink.history(fact) => {}
                    }
                }
            }
            () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                running.extend(plan.begin_due());
            }
        }
    }
}

struct Plan {
    shared: Arc<Shared>,
    jobs: Vec<Job>,
    jitter: Prng,
    elsewhere: Elsewhere,
    /// Five-minute bars are read every so many of them: with many markets less often, to stay inside [`STEADY_WEIGHT`].
    five_minute_stride: u64,
    /// A look at a book is taken every so many of [`DEPTH_MS`].
    depth_stride: u64,
    /// Whether every job has brought its first history.
    filled: bool,
}

impl Plan {
    /// What decides most comes first: books, hourly bars of all markets, then funding, then five-minute bars.
    fn new(shared: &Arc<Shared>, traded: &[InstrumentId], jitter: Prng) -> Plan {
        let markets: Vec<Arc<Instrument>> = traded.iter().filter_map(|id| shared.markets.get(*id)).cloned().collect();
        let now = Instant::now();
        let job = |kind, market: Option<&Arc<Instrument>>| Job {
            kind,
            market: market.cloned(),
            due: Some(now),
            told_ms: None,
            failures: 0,
            late: 0,
        };
        let of_each = |kind| markets.iter().map(move |m| job(kind, Some(m)));
        let jobs: Vec<Job> = of_each(Kind::Depth)
            .chain(of_each(Kind::Bars(HOURLY)))
            .chain(of_each(Kind::Funding))
            .chain(of_each(Kind::Bars(FIVE_MINUTES)))
            .chain([job(Kind::Elsewhere, None)])
            .collect();
        let stride = (markets.len() * READ_WEIGHT).div_ceil(STEADY_WEIGHT * 5).max(1);
        Plan {
            shared: Arc::clone(shared),
            jobs,
            jitter,
            elsewhere: Elsewhere::default(),
            five_minute_stride: u64::try_from(stride).unwrap_or(1),
            depth_stride: u64::try_from((markets.len() * LOOK_WEIGHT * 6).div_ceil(DEPTH_WEIGHT).max(1)).unwrap_or(1),
            filled: false,
        }
    }

    fn next_due(&self) -> Option<Instant> {
        self.jobs.iter().filter_map(|j| j.due).min()
    }

    /// The venue's time by our clock, UTC milliseconds.
    fn now_ms(&self) -> u64 {
        venue_ms(&self.shared)
    }

    /// Begins the job that is due first.
    fn begin_due(&mut self) -> Option<BoxFuture<'static, Done>> {
        let due = |at: &usize| self.jobs.get(*at).and_then(|j| j.due);
        let at = (0..self.jobs.len()).filter(|at| due(at).is_some()).min_by_key(due)?;
        let job = self.jobs.get_mut(at)?;
        job.due = None;
        let shared = Arc::clone(&self.shared);
        let (kind, market, told_ms) = (job.kind, job.market.clone(), job.told_ms);
        Some(Box::pin(async move { (at, read(&shared, kind, market.as_deref(), told_ms).await) }))
    }

    /// A payment was seen: its rate is there now.
    fn hurry_funding(&mut self) {
        let soon = Instant::now() + AFTER_PAYMENT;
        for job in self.jobs.iter_mut().filter(|j| j.kind == Kind::Funding) {
            // one that runs may have asked too early; it comes again with its lateness
            job.due = job.due.map(|due| due.min(soon));
        }
    }

    /// Books a read's end: what to tell, and when to read again.
    fn finished(&mut self, at: usize, result: Result<Brought, ReadError>) -> Vec<Fact> {
        match result {
            Ok(brought) => {
                let mut facts = brought.facts;
                facts.extend(self.look_elsewhere(&brought.predicted));
                self.reschedule(at, brought.newest_ms);
                self.tell_filled();
                facts
            }
            Err(error) => {
                self.failed(at, &error);
                Vec::new()
            }
        }
    }

    fn reschedule(&mut self, at: usize, newest_ms: Option<u64>) {
        let now = self.now_ms();
        let spread = self.jitter.below(SPREAD_MS);
        let (stride, looks) = (self.five_minute_stride, self.depth_stride);
        let Some(job) = self.jobs.get_mut(at) else { return };
        job.failures = 0;
        job.told_ms = job.told_ms.max(newest_ms).or(Some(0));
        let step = job.kind.step_ms();
        // the newest that should be there: the last bar's start or the last hour's end
        let expected = match job.kind {
            Kind::Bars(_) => Some((now.saturating_sub(LAG_MS) / step).saturating_sub(1) * step),
            Kind::Funding => Some(now.saturating_sub(LAG_MS) / step * step),
            Kind::Depth | Kind::Elsewhere => None,
        };
        if expected > job.told_ms && job.late < LATE_MAX {
            job.late += 1;
            job.due = Some(Instant::now() + LATE);
            return;
        }
        job.late = 0;
        let wait_ms = match job.kind {
            Kind::Bars(FIVE_MINUTES) => next_after(now, step * stride) + LAG_MS + spread,
            Kind::Bars(_) | Kind::Funding => next_after(now, step) + LAG_MS + spread,
            Kind::Depth => step * looks,
            Kind::Elsewhere => next_after(now + CLOSING_MS, step) + spread,
        };
        job.due = Some(Instant::now() + Duration::from_millis(wait_ms));
    }

    fn failed(&mut self, at: usize, error: &ReadError) {
        let spread = Duration::from_millis(self.jitter.below(1_000));
        let now = Instant::now();
        let Some(job) = self.jobs.get_mut(at) else { return };
        let asked = match error.next() {
            Next::RetryAfter(wait) => wait,
            Next::GiveUp | Next::AskVenue => BACKOFF_MAX,
        };
        if let ReadError::Budget { .. } = error {
            // our own budget, which others may use first: no failure
            debug!(%error, kind = ?job.kind, "history waits");
            job.due = Some(now + asked + spread);
            return;
        }
        job.failures += 1;
        let backoff = BACKOFF.saturating_mul(1 << (job.failures - 1).min(8)).min(BACKOFF_MAX);
        job.due = Some(now + asked.max(backoff) + spread);
        // the first failure is told; a venue that is away for hours fills no log with it
        if job.failures == 1 || job.failures.is_multiple_of(16) {
            let market = job.market.as_ref().map(|m| m.id.to_string());
            warn!(%error, kind = ?job.kind, market, failures = job.failures, "history could not be read; it is tried again");
        }
        if let ReadError::Throttled { .. } = error {
            for job in &mut self.jobs {
                job.due = job.due.map(|due| due.max(now + THROTTLED));
            }
        }
    }

    fn look_elsewhere(&mut self, predicted: &[Predicted]) -> Vec<Fact> {
        let now = self.now_ms();
        let shared = Arc::clone(&self.shared);
        let traded: Vec<&Arc<Instrument>> = self.jobs.iter().filter_map(|j| j.market.as_ref()).collect();
        let market = |coin: &str| shared.markets.coin(coin).filter(|m| traded.iter().any(|t| t.id == m.id)).map(Arc::as_ref);
        let (ended, dropped) = self.elsewhere.look(predicted, market, now);
        dropped_rows(&self.shared, "predictedFundings", dropped);
        ended
            .into_iter()
            .map(|(instrument, source, rate)| Fact::FundingRates { instrument, source: source.into(), rates: Arc::new([rate]) })
            .collect()
    }

    fn tell_filled(&mut self) {
        if !self.filled && self.jobs.iter().all(|j| j.told_ms.is_some()) {
            self.filled = true;
            info!(jobs = self.jobs.len(), "the venue's history has been read");
        }
    }
}

/// From `now_ms` to the next multiple of `step_ms`.
fn next_after(now_ms: u64, step_ms: u64) -> u64 {
    step_ms - now_ms % step_ms
}

fn venue_ms(shared: &Shared) -> u64 {
    (shared.clock)().wall_ms.saturating_add_signed(shared.counters.clock_offset_ms.load(Ordering::Relaxed))
}

fn dropped_rows(shared: &Shared, what: &'static str, dropped: usize) {
    if dropped > 0 {
        add(&shared.counters.history_dropped, dropped);
        debug!(what, dropped, "rows of history make no sense");
    }
}

async fn read(shared: &Shared, kind: Kind, market: Option<&Instrument>, told_ms: Option<u64>) -> Result<Brought, ReadError> {
    let now = venue_ms(shared);
    let oldest = now.saturating_sub(kind.window_ms());
    // the newest row told is read again: the venue may have corrected it
    let from = told_ms.map_or(oldest, |told| told.max(oldest));
    let nothing = Brought { facts: Vec::new(), newest_ms: None, predicted: Vec::new() };
    match (kind, market) {
        (Kind::Elsewhere, _) => {
            let predicted = ask(shared, &InfoRequest::PredictedFundings, Vec::len).await?;
            Ok(Brought { predicted, ..nothing })
        }
        (Kind::Bars(span), Some(market)) => {
            let bars = read_bars(shared, market, span, from, now).await?;
            let newest_ms = bars.last().map(|b| b.start_ms);
            let fact = Fact::Bars { instrument: market.id, span, bars: bars.into() };
            Ok(Brought { facts: newest_ms.map(|_| fact).into_iter().collect(), newest_ms, ..nothing })
        }
        (Kind::Funding, Some(market)) => {
            let rates = read_rates(shared, market, from, now).await?;
            let newest_ms = rates.last().map(|r| r.until_ms);
            let source = Venue::Hyperliquid.name().into();
            let fact = Fact::FundingRates { instrument: market.id, source, rates: rates.into() };
            Ok(Brought { facts: newest_ms.map(|_| fact).into_iter().collect(), newest_ms, ..nothing })
        }
        (Kind::Depth, Some(market)) => {
            let book = read_depth(shared, market).await?;
            Ok(Brought { facts: book.map(Fact::Depth).into_iter().collect(), ..nothing })
        }
        (Kind::Bars(_) | Kind::Funding | Kind::Depth, None) => Ok(nothing),
    }
}

/// A book in coarse steps; bids are rounded down and asks up, so what it shows never costs less than the fine one.
async fn read_depth(shared: &Shared, market: &Instrument) -> Result<Option<Arc<Book>>, ReadError> {
    let request = InfoRequest::L2Book { coin: market.id.name().to_owned(), n_sig_figs: Some(DEPTH_FIGURES), mantissa: None };
    let answer: Option<L2Book> = ask(shared, &request, |_| 0).await?;
    let Some(answer) = answer.filter(|book| book.coin == market.id.name()) else { return Ok(None) };
    let book = rows::book(market, &answer, (shared.clock)());
    dropped_rows(shared, "l2Book", usize::from(book.is_none()));
    Ok(book.map(Arc::new))
}

async fn read_bars(shared: &Shared, market: &Instrument, span: Span, from: u64, now: u64) -> Result<Vec<Bar>, ReadError> {
    let interval = if span == HOURLY { "1h" } else { "5m" };
    let req =
        CandleRequest { coin: market.id.name().to_owned(), interval: interval.to_owned(), start_time: from, end_time: Some(now) };
    let rows: Vec<Candle> = ask(shared, &InfoRequest::CandleSnapshot { req }, Vec::len).await?;
    let (bars, dropped) = rows::bars(market, interval, span, &rows, now);
    dropped_rows(shared, "candleSnapshot", dropped);
    Ok(bars)
}

/// All pages from `from` on.
async fn read_rates(shared: &Shared, market: &Instrument, from: u64, now: u64) -> Result<Vec<FundingRate>, ReadError> {
    let mut all: Vec<FundingRow> = Vec::new();
    let mut start_time = from;
    for _ in 0..PAGES_MAX {
        let request = InfoRequest::FundingHistory { coin: market.id.name().to_owned(), start_time, end_time: Some(now) };
        let page: Vec<FundingRow> = ask(shared, &request, Vec::len).await?;
        let is_last = page.len() < PAGE;
        let newest = page.iter().map(|r| r.time).max();
        all.extend(page);
        match newest {
            Some(newest) if !is_last && newest >= start_time => start_time = newest + 1,
            _ => break,
        }
    }
    let (rates, dropped) = rows::rates(market, &all, now);
    dropped_rows(shared, "fundingHistory", dropped);
    Ok(rates)
}

/// One read at the lowest urgency, its surcharge by rows booked.
async fn ask<T: serde::de::DeserializeOwned>(
    shared: &Shared,
    request: &InfoRequest,
    rows: impl Fn(&T) -> usize,
) -> Result<T, ReadError> {
    let how = How { purpose: Purpose::History, lane: Lane::Read, timeout: shared.config.timing.read, patience: Duration::ZERO };
    let answer: T = shared.reads.read(request, how).await?;
    shared.reads.weight.charge((shared.clock)(), request.weight_of_items(rows(&answer)));
    Ok(answer)
}

#[cfg(test)]
mod tests;
