//! The kill path (C31): every open order of the account is cancelled until the venue has shown none, twice.
//!
//! What the streams told of is cancelled at once, beside the first look at the venue. From then on a look decides: whatever it shows
//! is cancelled again once its last cancel has had time for an answer. No answer is waited for before the next look, so that one
//! that never comes delays nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::InstrumentId;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use serde::Deserialize;
use tokio::time::{Instant, sleep_until};
use tracing::info;

use super::cancel::{BATCH_MAX, Name, RETRY_FIRST, RETRY_MAX, Target, Verdict, send_until};
use crate::hyperliquid::Shared;
use crate::hyperliquid::read::{self, ReadError};
use crate::port::{Sweep, SweepError};

/// An order that a look still shows is cancelled again, and a look without an answer made again, after this long: about the 99th
/// percentile of the venue's answers (fact sheet §12).
const AGAIN: Duration = Duration::from_secs(1);
/// Looks under way at once. Each costs the budget twenty; with three lost ones the venue is not there.
const LOOKS_MAX: usize = 3;

/// See [`crate::OrderPort::sweep`].
pub(in crate::hyperliquid) async fn sweep(
    shared: &Shared,
    instruments: &[InstrumentId],
    deadline: Duration,
) -> Result<Sweep, SweepError> {
    let began = Instant::now();
    let mut pass = Pass::new(shared, instruments, began + deadline);
    pass.cancel(began, known(shared, instruments));
    loop {
        let next = pass.next_look.min(pass.end);
        tokio::select! { biased;
            Some(batch) = pass.cancels.next() => pass.answered(batch),
            Some(look) = pass.looks.next() => {
                if pass.looked(look) {
                    let report = pass.report(began);
                    info!(canceled = report.canceled, gone = report.gone, reads = report.reads, "no open orders, seen twice");
                    return Ok(report);
                }
            }
            () = sleep_until(next) => {
                if Instant::now() >= pass.end {
                    return Err(SweepError { left: pass.left, reads: pass.reads, took: began.elapsed(), last: pass.last });
                }
                pass.look();
            }
        }
    }
}

/// How many orders the venue has open that [`sweep`] would cancel.
pub(in crate::hyperliquid) async fn open(shared: &Shared) -> Result<usize, ReadError> {
    let rows = read::open_orders_for_kill(shared, shared.config.timing.read).await?;
    Ok(shown(shared, &[], &rows).len())
}

struct Pass<'a> {
    shared: &'a Shared,
    instruments: &'a [InstrumentId],
    end: Instant,
    /// When each order's cancel was last sent.
    asked: BTreeMap<u64, Instant>,
    cancels: FuturesUnordered<BoxFuture<'a, Batch>>,
    looks: FuturesUnordered<BoxFuture<'a, Look>>,
    next_look: Instant,
    /// When the newest look that was answered began.
    seen: Option<Instant>,
    /// When the venue was first seen empty, with nothing seen since.
    empty: Option<Instant>,
    wait: Duration,
    canceled: BTreeSet<u64>,
    gone: BTreeSet<u64>,
    reads: u32,
    left: u32,
    last: String,
}

/// An answered batch of cancels.
struct Batch {
    ended: Vec<(u64, Verdict)>,
    last_failure: Option<String>,
}

/// An answered look: when it began, and what it showed.
type Look = (Instant, Result<Vec<OpenRow>, ReadError>);

impl<'a> Pass<'a> {
    fn new(shared: &'a Shared, instruments: &'a [InstrumentId], end: Instant) -> Pass<'a> {
        Pass {
            shared,
            instruments,
            end,
            asked: BTreeMap::new(),
            cancels: FuturesUnordered::new(),
            looks: FuturesUnordered::new(),
            next_look: Instant::now(),
            seen: None,
            empty: None,
            wait: RETRY_FIRST,
            canceled: BTreeSet::new(),
            gone: BTreeSet::new(),
            reads: 0,
            left: 0,
            last: "none".to_owned(),
        }
    }

    /// Sends cancels for those of `orders`, numbers and markets, whose last one is not still waited for.
    fn cancel(&mut self, now: Instant, orders: impl IntoIterator<Item = (u64, u32)>) {
        let mut due: Vec<(u64, u32)> = Vec::new();
        for (oid, asset) in orders {
            if self.asked.get(&oid).is_none_or(|asked| now.duration_since(*asked) >= AGAIN) {
                self.asked.insert(oid, now);
                due.push((oid, asset));
            }
        }
        for batch in due.chunks(BATCH_MAX) {
            let (shared, end, batch) = (self.shared, self.end, batch.to_vec());
            self.cancels.push(Box::pin(async move {
                let targets: Vec<Target> =
                    batch.iter().map(|(oid, asset)| Target { asset: *asset, name: Name::Oid(*oid) }).collect();
                let sent = send_until(shared, &targets, end).await;
                let ended = batch.iter().map(|(oid, _)| *oid).zip(sent.verdicts).collect();
                Batch { ended, last_failure: sent.last_failure }
            }));
        }
    }

    fn answered(&mut self, batch: Batch) {
        for (oid, verdict) in batch.ended {
            match verdict {
                Verdict::Canceled => {
                    self.canceled.insert(oid);
                }
                Verdict::Gone => {
                    self.gone.insert(oid);
                }
                Verdict::Open => {}
            }
        }
        if let Some(why) = batch.last_failure {
            self.last = why;
        }
        if self.cancels.is_empty() && self.empty.is_none() {
            // nothing more to wait for: see what is left
            self.next_look = self.next_look.min(Instant::now());
        }
    }

    fn look(&mut self) {
        let now = Instant::now();
        self.next_look = now + AGAIN;
        if self.looks.len() < LOOKS_MAX {
            let (shared, left) = (self.shared, self.end.saturating_duration_since(now));
            let timeout = left.min(shared.config.timing.read);
            self.looks.push(Box::pin(async move { (now, read::open_orders_for_kill(shared, timeout).await) }));
        }
    }

    /// True once the venue has been seen empty twice.
    fn looked(&mut self, (began, rows): Look) -> bool {
        let now = Instant::now();
        let rows = match rows {
            Ok(rows) => rows,
            Err(e) => {
                self.last = e.to_string();
                self.next_look = self.next_look.min(now + self.wait);
                self.wait = (self.wait * 2).min(RETRY_MAX);
                return false;
            }
        };
        self.reads += 1;
        self.wait = RETRY_FIRST;
        if self.seen.is_some_and(|seen| began < seen) {
            // overtaken by a newer one
            return false;
        }
        self.seen = Some(began);
        let open = shown(self.shared, self.instruments, &rows);
        self.left = u32::try_from(open.len()).unwrap_or(u32::MAX);
        if !open.is_empty() {
            self.empty = None;
            self.next_look = now + AGAIN;
            self.cancel(now, open);
            return false;
        }
        let pause = self.shared.config.timing.sweep_pause;
        let landing = self.shared.landing.at(self.shared.venue_now_ms());
        if landing > 0 {
            // an order that is on its way could be in the book a moment after this look
            self.last = format!("{landing} placements without an answer may still land");
            self.empty = None;
            self.next_look = now + pause;
            return false;
        }
        match self.empty {
            Some(first) if began >= first + pause => true,
            Some(first) => {
                self.next_look = first + pause;
                false
            }
            None => {
                self.empty = Some(now);
                self.next_look = now + pause;
                false
            }
        }
    }

    fn report(&self, began: Instant) -> Sweep {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Sweep {
            canceled: count(self.canceled.len()),
            gone: count(self.gone.difference(&self.canceled).count()),
            reads: self.reads,
            took: began.elapsed(),
        }
    }
}

/// An open order as far as the kill path reads it: nothing else in the row can keep it from being cancelled.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::hyperliquid) struct OpenRow {
    coin: String,
    oid: u64,
}

/// Numbers and markets of what a look shows.
fn shown(shared: &Shared, instruments: &[InstrumentId], rows: &[OpenRow]) -> Vec<(u64, u32)> {
    let wanted = |id: InstrumentId| instruments.is_empty() || instruments.contains(&id);
    rows.iter()
        .filter_map(|row| {
            let market = shared.markets.coin(&row.coin)?;
            wanted(market.id).then_some((row.oid, market.venue_asset))
        })
        .collect()
}

/// Numbers and markets of what the streams told of.
fn known(shared: &Shared, instruments: &[InstrumentId]) -> Vec<(u64, u32)> {
    let assets: Option<BTreeSet<u32>> = (!instruments.is_empty())
        .then(|| instruments.iter().filter_map(|id| Some(shared.markets.get(*id)?.venue_asset)).collect());
    let wanted = |asset: u32| assets.as_ref().is_none_or(|assets| assets.contains(&asset));
    shared.known.all().into_iter().filter(|(_, asset)| wanted(*asset)).collect()
}

#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "a test names what it expects and fails on the rest")]
mod tests;
