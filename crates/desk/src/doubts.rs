//! Orders that the venue must be asked about, or told again.

use std::collections::{BTreeMap, BTreeSet};

use domain::{ClientKey, OrderOutcome, Qty, Span, Stamp, Venue};

/// Between two questions about the same order, at first.
pub(crate) const ASK_AGAIN: Span = Span::millis(900);
/// After this many questions the time between two doubles, up to sixteen times as long: an order that the venue will not
/// explain must not eat the budget for reads.
const ASKS_BEFORE_SLOWER: u32 = 20;
/// Between two cancels of the same order, at first; after `CANCELS_BEFORE_SLOWER` it doubles as well, up to eight times as long.
const CANCEL_AGAIN: Span = Span::secs(3);
const CANCELS_BEFORE_SLOWER: u32 = 10;

/// What is being found out about an order.
#[derive(Clone, Debug)]
pub(crate) struct Doubt {
    /// Since when.
    pub since: Stamp,
    /// Reads without the order that were begun after it had expired.
    pub clean_reads: u32,
    /// The venue says that it is over, and how much it says was filled.
    pub closing: Option<(OrderOutcome, Qty)>,
    /// Reads that said so.
    pub closing_reads: u32,
    /// Whether its nonce is being burnt, or was.
    pub burn_asked: bool,
    /// Whether a person was told.
    pub alarmed: bool,
    venue: Venue,
    due: Stamp,
    cancel_due: Option<Stamp>,
    asks: u32,
    cancels: u32,
}

impl Doubt {
    /// Whether nothing but the order's existence was in question.
    pub fn is_plain(&self) -> bool {
        self.closing.is_none() && self.cancel_due.is_none()
    }
}

/// All doubts, and which of them is due next.
#[derive(Debug, Default)]
pub(crate) struct Doubts {
    by_key: BTreeMap<ClientKey, Doubt>,
    asks: BTreeSet<(Venue, u64, ClientKey)>,
    cancels: BTreeSet<(u64, ClientKey)>,
}

impl Doubts {
    pub fn get(&self, key: ClientKey) -> Option<&Doubt> {
        self.by_key.get(&key)
    }

    pub fn get_mut(&mut self, key: ClientKey) -> Option<&mut Doubt> {
        self.by_key.get_mut(&key)
    }

    /// Makes sure that `venue` is asked about `key` no later than `due`.
    pub fn raise(&mut self, now: Stamp, venue: Venue, key: ClientKey, due: Stamp) -> &mut Doubt {
        let asks = &mut self.asks;
        let doubt = self.by_key.entry(key).or_insert_with(|| {
            asks.insert((venue, due.mono, key));
            Doubt {
                since: now,
                clean_reads: 0,
                closing: None,
                closing_reads: 0,
                burn_asked: false,
                alarmed: false,
                venue,
                due,
                cancel_due: None,
                asks: 0,
                cancels: 0,
            }
        });
        if due.mono < doubt.due.mono {
            asks.remove(&(venue, doubt.due.mono, key));
            asks.insert((venue, due.mono, key));
            doubt.due = due;
        }
        doubt
    }

    pub fn forget(&mut self, key: ClientKey) {
        if let Some(doubt) = self.by_key.remove(&key) {
            self.asks.remove(&(doubt.venue, doubt.due.mono, key));
            if let Some(due) = doubt.cancel_due {
                self.cancels.remove(&(due.mono, key));
            }
        }
    }

    /// When `venue` is to be asked next.
    pub fn next_ask(&self, venue: Venue) -> Option<Stamp> {
        let (_, _, key) = self.asks.range((venue, 0, ClientKey::from_bits(0))..).next().filter(|(of, _, _)| *of == venue)?;
        self.by_key.get(key).map(|d| d.due)
    }

    /// The doubts that `venue` is to be asked about now, longest due first, at most `max`; each is due again later.
    pub fn take_asks(&mut self, now: Stamp, venue: Venue, max: usize) -> Vec<ClientKey> {
        let due = (venue, 0, ClientKey::from_bits(0))..=(venue, now.mono, ClientKey::from_bits(u128::MAX));
        let taken: Vec<(Venue, u64, ClientKey)> = self.asks.range(due).take(max).copied().collect();
        for slot in &taken {
            self.asks.remove(slot);
            if let Some(doubt) = self.by_key.get_mut(&slot.2) {
                doubt.due = now + ASK_AGAIN.scale(1 << slower(&mut doubt.asks, ASKS_BEFORE_SLOWER, 4), 1);
                self.asks.insert((venue, doubt.due.mono, slot.2));
            }
        }
        taken.into_iter().map(|(_, _, key)| key).collect()
    }

    /// When an order is to be cancelled again.
    pub fn next_cancel(&self) -> Option<Stamp> {
        let (_, key) = self.cancels.first()?;
        self.by_key.get(key)?.cancel_due
    }

    /// The orders that are to be cancelled again now.
    pub fn cancels_due(&self, now: Stamp) -> Vec<ClientKey> {
        self.cancels.iter().take_while(|(due, _)| *due <= now.mono).map(|(_, key)| *key).collect()
    }

    /// A cancel of `key` was sent just now.
    pub fn cancel_sent(&mut self, now: Stamp, key: ClientKey) {
        if let Some(doubt) = self.by_key.get_mut(&key) {
            let wait = CANCEL_AGAIN.scale(1 << slower(&mut doubt.cancels, CANCELS_BEFORE_SLOWER, 3), 1);
            self.cancel_at(key, Some(now + wait));
        }
    }

    /// When `key` is to be cancelled again, if at all.
    pub fn cancel_at(&mut self, key: ClientKey, at: Option<Stamp>) {
        let Some(doubt) = self.by_key.get_mut(&key) else { return };
        if let Some(before) = std::mem::replace(&mut doubt.cancel_due, at) {
            self.cancels.remove(&(before.mono, key));
        }
        if let Some(at) = at {
            self.cancels.insert((at.mono, key));
        }
    }

    /// Orders that have been in doubt for `long`.
    pub fn older_than(&self, now: Stamp, long: Span) -> impl Iterator<Item = (ClientKey, &Doubt)> {
        self.by_key.iter().filter(move |(_, d)| now.since(d.since) >= long).map(|(key, d)| (*key, d))
    }
}

/// Counts one more, and says how often the wait doubles by now.
fn slower(count: &mut u32, before: u32, most: u32) -> u32 {
    let doublings = (*count / before).min(most);
    *count = count.saturating_add(1);
    doublings
}
