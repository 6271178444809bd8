//! Which orders each market takes at present (C51), told as its status: what the venue lists, and what it refuses.
//!
//! The venue announces neither its post-only minutes after an upgrade nor a halt; a refusal is the first sign of both. A refusal
//! holds for [`HOLD`] after the last one. Then the status is told as listed again: the next order finds out. Notices of
//! `exchangeStatus` have no documented words; those that name one of these modes are believed, all others are logged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{Instrument, InstrumentId, MarketStatus, Reject, RejectKind, Span, Stamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Shared;

/// How long a refusal speaks for the orders after it: short against the minutes that such a time lasts, long against the
/// request budget that one probing order in each of them takes.
const HOLD: Span = Span::secs(30);
/// How long a notice speaks for the orders after it: until the clock, which brings it, was read three times more.
const NOTICE_HOLD: Span = Span::secs(90);
/// Without anything that ends, this is soon enough to look.
const IDLE: Duration = Duration::from_secs(3_600);

/// What is known of the venue's mode.
#[derive(Debug, Default)]
pub(super) struct Mode {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Markets whose rules differ from those at start.
    listed: BTreeMap<InstrumentId, Instrument>,
    /// Everywhere (`None`) or in one market: not more than this is taken, until then.
    held: BTreeMap<Option<InstrumentId>, (MarketStatus, Stamp)>,
    /// The notice that was logged last.
    notice: String,
    /// What the desk was told last, where it differs from the rules at start.
    told: BTreeMap<InstrumentId, Instrument>,
}

/// The stricter of two.
fn stricter(a: MarketStatus, b: MarketStatus) -> MarketStatus {
    let rank = |status| match status {
        MarketStatus::Open => 0,
        MarketStatus::PostOnly => 1,
        MarketStatus::CancelOnly => 2,
        MarketStatus::Closed => 3,
    };
    if rank(b) > rank(a) { b } else { a }
}

impl Mode {
    /// Takes the markets whose rules differ from those at start.
    pub(super) fn listed(&self, news: Vec<Instrument>) {
        self.lock().listed = news.into_iter().map(|i| (i.id, i)).collect();
        self.changed.notify_one();
    }

    /// Takes what a refusal of an order says about all orders.
    pub(super) fn refused(&self, instrument: InstrumentId, reject: &Reject, now: Stamp) {
        let held = match reject.kind {
            // an upgrade is the whole venue's
            RejectKind::PostOnlyWindow => (None, MarketStatus::PostOnly),
            RejectKind::Other if halted(&reject.text) => (Some(instrument), MarketStatus::CancelOnly),
            RejectKind::WouldTake
            | RejectKind::NothingToTake
            | RejectKind::Malformed
            | RejectKind::Margin
            | RejectKind::ReduceOnly
            | RejectKind::Throttled
            | RejectKind::Expired
            | RejectKind::Auth
            | RejectKind::NotSent
            | RejectKind::Other => return,
        };
        self.hold(held.0, held.1, now + HOLD, &reject.text);
    }

    /// Takes the venue's own notice.
    pub(super) fn noticed(&self, notice: &str, now: Stamp) {
        let words = notice.to_ascii_lowercase().replace(['-', '_'], " ");
        if words.contains("post only") || words.contains("postonly") {
            self.hold(None, MarketStatus::PostOnly, now + NOTICE_HOLD, notice);
        } else if words.contains("halt") {
            self.hold(None, MarketStatus::CancelOnly, now + NOTICE_HOLD, notice);
        }
        let mut state = self.lock();
        if state.notice != notice {
            notice.clone_into(&mut state.notice);
            drop(state);
            warn!(notice = notice.chars().take(300).collect::<String>(), "the venue has a notice");
        }
    }

    /// A notice and a refusal may both hold: the stricter one does, and of equal ones the longer.
    fn hold(&self, market: Option<InstrumentId>, status: MarketStatus, until: Stamp, text: &str) {
        let mut state = self.lock();
        let old = state.held.get(&market).copied();
        let kept = match old {
            Some((held, end)) if stricter(held, status) != status => (held, end),
            Some((held, end)) if held == status => (status, end.max(until)),
            Some(_) | None => (status, until),
        };
        state.held.insert(market, kept);
        drop(state);
        if old.is_none() {
            warn!(market = market.map(|id| id.to_string()), ?status, text, "the venue takes fewer orders");
        }
        self.changed.notify_one();
    }

    /// What must be told now, and how long until something ends.
    fn news(&self, markets: &super::market::Universe, traded: &[InstrumentId], now: Stamp) -> (Vec<Instrument>, Duration) {
        let mut state = self.lock();
        state.held.retain(|_, (_, until)| now < *until);
        let everywhere = state.held.get(&None).map_or(MarketStatus::Open, |(status, _)| *status);
        let ids: BTreeSet<InstrumentId> = traded.iter().chain(state.listed.keys()).chain(state.told.keys()).copied().collect();
        let mut news = Vec::new();
        for id in ids {
            let Some(pinned) = markets.get(id) else { continue };
            let mut rules = state.listed.get(&id).unwrap_or(pinned).clone();
            let here = state.held.get(&Some(id)).map_or(MarketStatus::Open, |(status, _)| *status);
            rules.status = stricter(rules.status, stricter(everywhere, here));
            if *state.told.get(&id).unwrap_or(pinned) == rules {
                continue;
            }
            if rules == **pinned {
                // what changed back must be told as well
                state.told.remove(&id);
            } else {
                state.told.insert(id, rules.clone());
            }
            news.push(rules);
        }
        let ends = state.held.values().map(|(_, until)| until.since(now)).min();
        (news, ends.map_or(IDLE, |span| Duration::from_nanos(span.0)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn halted(text: &str) -> bool {
    text.to_ascii_lowercase().starts_with("trading is halted")
}

/// Tells each change until told to stop.
pub(super) async fn run(shared: Arc<Shared>, traded: Vec<InstrumentId>, stop: CancellationToken) {
    loop {
        let (news, wait) = shared.mode.news(&shared.markets, &traded, (shared.clock)());
        for instrument in news {
            warn!(instrument = %instrument.id, status = ?instrument.status, "a market's rules changed");
            shared.sink.rules(Arc::new(instrument));
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = shared.mode.changed.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::market::{Universe, instrument};
    use super::*;

    fn at(ms: u64) -> Stamp {
        Stamp { mono: ms * 1_000_000, wall_ms: ms }
    }

    #[test]
    fn c51_f27_f28_a_refusal_holds_for_a_while_and_what_is_listed_stays() {
        let market = |name, n| instrument(name, n, 5, 40, None, false, false).unwrap_or_else(|e| panic!("{e}"));
        let (btc, eth) = (market("BTC", 0), market("ETH", 1));
        let universe = Universe::new([btc.clone(), eth.clone()]);
        let traded = [btc.id, eth.id];
        let mode = Mode::default();
        let statuses = |ms| {
            let (news, wait) = mode.news(&universe, &traded, at(ms));
            (news.iter().map(|i| (i.id.name().to_owned(), i.status)).collect::<Vec<_>>(), wait)
        };
        let told = |all: &[(&str, MarketStatus)]| all.iter().map(|(n, s)| ((*n).to_owned(), *s)).collect::<Vec<_>>();
        let reject = |kind, text: &str| Reject { kind, text: text.to_owned() };
        assert_eq!(statuses(0), (vec![], IDLE));

        let window = reject(RejectKind::PostOnlyWindow, "Only post-only orders allowed immediately after a network upgrade");
        mode.refused(btc.id, &window, at(1_000));
        let both = [("BTC", MarketStatus::PostOnly), ("ETH", MarketStatus::PostOnly)];
        assert_eq!(statuses(1_000), (told(&both), Duration::from_secs(30)));
        mode.refused(btc.id, &window, at(20_000));
        assert_eq!(statuses(31_000), (vec![], Duration::from_secs(19)), "the last refusal counts; nothing is told twice");

        mode.refused(eth.id, &reject(RejectKind::Other, "Trading is halted. asset=1"), at(40_000));
        assert_eq!(statuses(40_000).0, told(&[("ETH", MarketStatus::CancelOnly)]), "the stricter holds");
        assert_eq!(statuses(50_000).0, told(&[("BTC", MarketStatus::Open)]));
        mode.listed(vec![Instrument { status: MarketStatus::Closed, ..eth.clone() }]);
        assert_eq!(statuses(60_000).0, told(&[("ETH", MarketStatus::Closed)]));
        assert_eq!(statuses(80_000), (vec![], IDLE), "what the venue lists does not lapse");
        mode.listed(vec![]);
        assert_eq!(statuses(81_000).0, told(&[("ETH", MarketStatus::Open)]));

        mode.refused(btc.id, &reject(RejectKind::Other, "Order would increase open interest too quickly"), at(82_000));
        mode.refused(btc.id, &reject(RejectKind::Margin, "Insufficient margin to place order."), at(82_000));
        mode.noticed("scheduled maintenance on Sunday", at(82_000));
        assert_eq!(statuses(82_000), (vec![], IDLE), "one order's own fault says nothing of others, nor do unknown words");
        mode.noticed("Post-only mode", at(83_000));
        assert_eq!(statuses(83_000), (told(&both), Duration::from_secs(90)));
        mode.refused(btc.id, &window, at(84_000));
        assert_eq!(statuses(84_000).1, Duration::from_secs(89), "the longer one holds");
    }
}
