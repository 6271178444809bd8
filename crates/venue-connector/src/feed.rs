use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{Book, Fact, Instrument, InstrumentId, MarketTrade, Marks, StreamHealth, StreamKind, Venue};
use tokio::sync::Notify;

/// Trades that wait for the desk. At the venue's busiest seconds (hundreds of trades each) this is some ten seconds of it.
const TRADES_MAX: usize = 8_192;
/// Pieces of history that wait for the desk: bars of two lengths and funding of a few venues, for more markets than a
/// configuration may have. Whoever brings more waits.
const HISTORY_MAX: usize = 2_048;

/// Market data on its way to the desk. Books, marks and rules conflate: the last one of each instrument wins. Trades queue up
/// to a bound; beyond it the oldest are dropped and counted. History queues up to a bound beyond which its reader waits, so
/// none of it is lost. No socket waits for the desk.
#[derive(Debug)]
pub struct MarketFeed {
    shared: Arc<Shared>,
    venue: Venue,
}

/// The writing end of a [`MarketFeed`].
#[derive(Clone, Debug)]
pub(crate) struct MarketSink {
    shared: Arc<Shared>,
}

/// Counters of a [`MarketFeed`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FeedGauges {
    /// Books and marks that a newer one replaced before the desk took them.
    pub conflated: u64,
    /// Trades dropped because the desk did not take them in time.
    pub trades_dropped: u64,
}

#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<Pending>,
    ready: Notify,
    /// The desk took what was there.
    taken: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    health: Option<StreamHealth>,
    rules: BTreeMap<InstrumentId, Arc<Instrument>>,
    marks: BTreeMap<InstrumentId, Marks>,
    books: BTreeMap<InstrumentId, Arc<Book>>,
    trades: VecDeque<MarketTrade>,
    history: VecDeque<Fact>,
    closed: bool,
    conflated: u64,
    trades_dropped: u64,
}

pub(crate) fn market_feed(venue: Venue) -> (MarketSink, MarketFeed) {
    let shared = Arc::new(Shared::default());
    (MarketSink { shared: Arc::clone(&shared) }, MarketFeed { shared, venue })
}

impl Shared {
    /// A writer that panicked between two fields leaves nothing half-written that a reader could misread: every field stands alone.
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MarketSink {
    pub(crate) fn book(&self, book: Arc<Book>) {
        let mut pending = self.shared.lock();
        let replaced = pending.books.insert(book.instrument, book).is_some();
        pending.conflated += u64::from(replaced);
        drop(pending);
        self.shared.ready.notify_one();
    }

    pub(crate) fn marks(&self, marks: Marks) {
        let mut pending = self.shared.lock();
        let replaced = pending.marks.insert(marks.instrument, marks).is_some();
        pending.conflated += u64::from(replaced);
        drop(pending);
        self.shared.ready.notify_one();
    }

    pub(crate) fn rules(&self, instrument: Arc<Instrument>) {
        self.shared.lock().rules.insert(instrument.id, instrument);
        self.shared.ready.notify_one();
    }

    pub(crate) fn trade(&self, trade: MarketTrade) {
        let mut pending = self.shared.lock();
        if pending.trades.len() >= TRADES_MAX {
            pending.trades.pop_front();
            pending.trades_dropped += 1;
        }
        pending.trades.push_back(trade);
        drop(pending);
        self.shared.ready.notify_one();
    }

    /// Hands over a piece of history, waiting while too much of it is under way. Cancel-safe: a dropped call hands over nothing.
    pub(crate) async fn history(&self, mut fact: Fact) {
        loop {
            // taken before looking, so that a desk that empties the queue in between is not missed
            let taken = self.shared.taken.notified();
            match self.try_history(fact) {
                None => return,
                Some(back) => fact = back,
            }
            taken.await;
        }
    }

    /// The fact comes back if there is no room.
    fn try_history(&self, fact: Fact) -> Option<Fact> {
        let mut pending = self.shared.lock();
        if pending.history.len() >= HISTORY_MAX {
            return Some(fact);
        }
        pending.history.push_back(fact);
        drop(pending);
        self.shared.ready.notify_one();
        None
    }

    pub(crate) fn health(&self, health: StreamHealth) {
        self.shared.lock().health = Some(health);
        self.shared.ready.notify_one();
    }

    pub(crate) fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.ready.notify_one();
    }

    pub(crate) fn gauges(&self) -> FeedGauges {
        let pending = self.shared.lock();
        FeedGauges { conflated: pending.conflated, trades_dropped: pending.trades_dropped }
    }
}

impl MarketFeed {
    /// Waits for market data and appends all of it to `out`: health first, then rules, history, marks, books and trades. Returns how
    /// many facts were appended; 0 means that the connector has stopped. Cancel-safe: a dropped call loses nothing.
    pub async fn recv_many(&mut self, out: &mut Vec<Fact>) -> usize {
        loop {
            if let Some(n) = self.drain(out) {
                return n;
            }
            self.shared.ready.notified().await;
        }
    }

    /// As [`MarketFeed::recv_many`], without waiting: 0 if nothing is there.
    pub fn try_recv_many(&mut self, out: &mut Vec<Fact>) -> usize {
        self.drain(out).unwrap_or(0)
    }

    fn drain(&mut self, out: &mut Vec<Fact>) -> Option<usize> {
        let before = out.len();
        let mut pending = self.shared.lock();
        if let Some(health) = pending.health.take() {
            out.push(Fact::Stream(self.venue, StreamKind::Market, health));
        }
        while let Some((_, rules)) = pending.rules.pop_first() {
            out.push(Fact::Instrument(rules));
        }
        if !pending.history.is_empty() {
            out.extend(pending.history.drain(..));
            self.shared.taken.notify_waiters();
        }
        while let Some((_, marks)) = pending.marks.pop_first() {
            out.push(Fact::Marks(marks));
        }
        while let Some((_, book)) = pending.books.pop_first() {
            out.push(Fact::Book(book));
        }
        out.extend(pending.trades.drain(..).map(Fact::Trade));
        let n = out.len() - before;
        (n > 0 || pending.closed).then_some(n)
    }
}

#[cfg(test)]
mod tests {
    use domain::{Px, Qty, Side, Stamp};

    use super::*;

    fn trade(n: usize) -> MarketTrade {
        let instrument = InstrumentId::new(Venue::Hyperliquid, "BTC").unwrap_or_else(|e| panic!("{e}"));
        let at = Stamp::default();
        MarketTrade { instrument, side: Side::Buy, px: Px(1), qty: Qty(1), trade: n.to_string(), own: false, venue_ms: 0, at }
    }

    #[tokio::test]
    async fn i35_trades_have_a_bound_and_the_newest_win() {
        let (sink, mut feed) = market_feed(Venue::Hyperliquid);
        for n in 0..TRADES_MAX + 3 {
            sink.trade(trade(n));
        }
        sink.health(StreamHealth::Stale);
        sink.health(StreamHealth::Up);
        let mut facts = Vec::new();
        assert_eq!(feed.recv_many(&mut facts).await, TRADES_MAX + 1);
        assert_eq!(facts[0], Fact::Stream(Venue::Hyperliquid, StreamKind::Market, StreamHealth::Up));
        assert!(matches!(&facts[1], Fact::Trade(t) if t.trade == "3"));
        assert_eq!(sink.gauges().trades_dropped, 3);
        assert_eq!(feed.try_recv_many(&mut facts), 0);
        sink.trade(trade(9));
        sink.close();
        assert_eq!(feed.recv_many(&mut facts).await, 1, "what was there before the end is still delivered");
        assert_eq!(feed.recv_many(&mut facts).await, 0);
    }
}
