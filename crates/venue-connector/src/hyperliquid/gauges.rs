use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tracing::warn;

use super::Shared;

/// Kinds of malformed payloads that are told apart. A venue that makes up new ones cannot grow this.
const KINDS_MAX: usize = 64;

/// Counters and budgets of one connector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Gauges {
    /// Orders handed to the venue.
    pub orders_sent: u64,
    /// Orders whose outcome was not known after the send.
    pub orders_unknown: u64,
    /// Orders refused, by the venue or for want of budget here.
    pub orders_rejected: u64,
    /// Cancels handed to the venue, repeats included.
    pub cancels_sent: u64,
    /// Cancels that were given up at their deadline.
    pub cancels_unanswered: u64,
    /// Answers with status 429.
    pub throttled: u64,
    /// Lost connections by stream.
    pub reconnects: BTreeMap<String, u64>,
    /// Payloads that were not what the venue documents, by kind.
    pub malformed: BTreeMap<String, u64>,
    /// Stream entries of markets outside the main dex: spot, outcome tokens, other dexes.
    pub other_coins: u64,
    /// Rows of history that made no sense and were left out.
    pub history_dropped: u64,
    /// Venue clock minus ours at the last reading, milliseconds.
    pub clock_offset_ms: i64,
    /// Request weight used in the last minute, and our limit.
    pub weight: (u32, u32),
    /// Requests of the address used, its cap, and its cap for cancels.
    pub address: (u64, u64, u64),
    /// Books and marks that a newer one replaced before the desk took them.
    pub conflated: u64,
    /// Trades dropped because the desk did not take them in time.
    pub trades_dropped: u64,
    /// Account facts waiting for the desk.
    pub facts_waiting: usize,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub orders_sent: AtomicU64,
    pub orders_unknown: AtomicU64,
    pub orders_rejected: AtomicU64,
    pub cancels_sent: AtomicU64,
    pub cancels_unanswered: AtomicU64,
    pub throttled: AtomicU64,
    pub other_coins: AtomicU64,
    pub history_dropped: AtomicU64,
    pub clock_offset_ms: AtomicI64,
    kinds: Mutex<Kinds>,
}

#[derive(Debug, Default)]
struct Kinds {
    reconnects: BTreeMap<String, u64>,
    malformed: BTreeMap<String, u64>,
}

/// Adds to a counter. Order among counters does not matter, so the weakest ordering will do.
pub(super) fn add(counter: &AtomicU64, n: usize) {
    counter.fetch_add(u64::try_from(n).unwrap_or(u64::MAX), Ordering::Relaxed);
}

impl Counters {
    pub(super) fn reconnect(&self, stream: &str) {
        *self.kinds().reconnects.entry(stream.to_owned()).or_default() += 1;
    }

    /// Counts a malformed payload and logs the first of its kind.
    pub(super) fn malformed(&self, kind: &str, detail: impl std::fmt::Display) {
        let mut kinds = self.kinds();
        let known = kinds.malformed.len();
        let kind = if kinds.malformed.contains_key(kind) || known < KINDS_MAX { kind } else { "more kinds" };
        let count = kinds.malformed.entry(kind.to_owned()).or_default();
        *count += 1;
        let first = *count == 1;
        drop(kinds);
        if first {
            let detail: String = detail.to_string().chars().take(300).collect();
            warn!(kind, detail, "malformed payload; further ones of this kind are only counted");
        }
    }

    fn kinds(&self) -> std::sync::MutexGuard<'_, Kinds> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    pub(super) fn gauges(&self) -> Gauges {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let feed = self.sink.gauges();
        let kinds = self.counters.kinds();
        Gauges {
            orders_sent: get(&self.counters.orders_sent),
            orders_unknown: get(&self.counters.orders_unknown),
            orders_rejected: get(&self.counters.orders_rejected),
            cancels_sent: get(&self.counters.cancels_sent),
            cancels_unanswered: get(&self.counters.cancels_unanswered),
            throttled: get(&self.counters.throttled),
            reconnects: kinds.reconnects.clone(),
            malformed: kinds.malformed.clone(),
            other_coins: get(&self.counters.other_coins),
            history_dropped: get(&self.counters.history_dropped),
            clock_offset_ms: self.counters.clock_offset_ms.load(Ordering::Relaxed),
            weight: self.reads.weight.used((self.clock)()),
            address: self.address.used(),
            conflated: feed.conflated,
            trades_dropped: feed.trades_dropped,
            facts_waiting: self.facts.max_capacity() - self.facts.capacity(),
        }
    }
}
