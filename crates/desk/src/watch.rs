//! What the desk looks at about once a second, whatever the market does: profit, statistics, the load of each account.

use domain::{Entry, InstrumentId, ProfitMark, Px, Ratio, Span, Stamp, Usd};

use crate::profit::{Drawn, Quotes};
use crate::{Desk, Effect};

/// Between two looks. Rules read what was found here; the guard refuses increases when it grows old.
pub(crate) const ASSESS_EVERY: Span = Span::secs(1);
/// A mark older than this values nothing (C18).
const MARK_AGE: Span = Span::secs(60);
/// Profit is journaled at most this often while nothing but its size changes.
const PROFIT_EVERY: Span = Span::secs(10);
/// A peak that rose by this share of equity is worth a record: a hundredth of the smallest budget …
const PEAK_STEP_BPS: i64 = 1;
/// … and so is profit that moved by this share.
const PROFIT_STEP_BPS: i64 = 10;
const DAY_MS: u64 = 86_400_000;

/// What the looks remember from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    next: Option<Stamp>,
    profit: Option<Drawn>,
    profit_recorded: Option<Stamp>,
}

impl Watch {
    /// When the next look is due; `None` until the first reconciliation.
    pub fn next(&self) -> Option<Stamp> {
        self.next
    }

    /// What the journal remembers.
    pub fn resume(&mut self, books: &crate::Books) {
        self.profit = books.ledger.resume();
    }
}

impl Desk {
    /// Looks, if it is time. Nothing is looked at before the first reconciliation of a tenure: nothing is cleared either.
    pub(crate) fn watch_if_due(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        if self.books.reconciled != Some(self.books.epoch) || self.watch.next.is_some_and(|next| next.mono > now.mono) {
            return;
        }
        self.watch.next = Some(now + ASSESS_EVERY);
        self.measure(now, out);
        self.draw_profit(now, out);
        self.deleverage(now, out);
    }

    /// Equity over all venues; `None` until each has told.
    fn equity(&self) -> Option<Usd> {
        self.venues.iter().map(|v| v.view.as_ref().map(|view| view.equity)).sum()
    }

    /// The venue's mark of a market, if it is fresh.
    pub(crate) fn mark(&self, now: Stamp, id: InstrumentId) -> Option<Px> {
        let (px, at) = self.markets.get(&id)?.mark?;
        (now.since(at) <= MARK_AGE).then_some(px)
    }

    fn draw_profit(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        let Some(equity) = self.equity() else { return };
        let day = u32::try_from(now.wall_ms / DAY_MS).unwrap_or(u32::MAX);
        let quotes = Quotes { instruments: &self.books.instruments, mark: &|id| self.mark(now, id), equity, day };
        let Some(drawn) = self.books.ledger.draw(self.watch.profit.as_ref(), &quotes) else { return };
        let since = self.watch.profit_recorded.map(|at| now.since(at));
        let due = worth_recording(&drawn.mark, self.books.ledger.last(), since);
        if due {
            self.watch.profit_recorded = Some(now);
            self.record(now, Entry::Profit(drawn.mark.clone()), out);
        }
        self.watch.profit = Some(drawn);
    }

    /// Journals profit as it is, before the process leaves.
    pub(crate) fn keep_profit(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        if let Some(mark) = self.watch.profit.as_ref().map(|drawn| drawn.mark.clone())
            && self.books.ledger.last() != Some(&mark)
        {
            self.record(now, Entry::Profit(ProfitMark { taken: Vec::new(), ..mark }), out);
        }
    }
}

/// Whether `mark` must outlive the process, `last` being the newest that does, recorded `since` ago (absent: in another tenure).
fn worth_recording(mark: &ProfitMark, last: Option<&ProfitMark>, since: Option<Span>) -> bool {
    let Some(last) = last else { return true };
    let open = |of: &ProfitMark| of.trades.iter().map(|(id, _, _)| *id).collect::<Vec<_>>();
    // what was valued must stay valued so; a trade that ended takes its peak along
    if !mark.taken.is_empty() || mark.day != last.day || open(mark) != open(last) {
        return true;
    }
    if since.is_some_and(|since| since < PROFIT_EVERY) {
        return false;
    }
    let moved = |from: Usd, to: Usd, bps: i64| (to - from).abs() > mark.equity.abs().times(Ratio::bps(bps));
    let peaks = mark.trades.iter().zip(&last.trades).any(|(now, then)| moved(then.2, now.2, PEAK_STEP_BPS));
    peaks || moved(last.peak, mark.peak, PEAK_STEP_BPS) || moved(last.profit, mark.profit, PROFIT_STEP_BPS)
}
