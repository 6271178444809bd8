//! What the desk looks at about once a second, whatever the market does: profit, statistics, the load of each account.

use std::collections::BTreeSet;

use domain::{
    Entry, InstrumentId, LevelChange, MarginLevel, ParentChange, ParentId, ProfitMark, Px, Ratio, Span, Stamp, Stop, StopLevel,
    Trigger, Usd,
};
use margin_guard::{Assessment, Repeating};
use risk::drawdown::Scope;

use crate::deleverage::is_reduction;
use crate::flatten::is_flatten;
use crate::profit::{Drawn, Quotes};
use crate::{Desk, Effect, Severity, Topic};

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
/// The same alarms are told again after this long.
const ALARM_AGAIN: Span = Span::secs(60);
const DAY_MS: u64 = 86_400_000;

/// What the looks remember from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    next: Option<Stamp>,
    profit: Option<Drawn>,
    profit_recorded: Option<Stamp>,
    /// Parents that were paused because they repeated themselves.
    repeating: BTreeSet<ParentId>,
    /// When alarms were told last.
    alarmed: Option<Stamp>,
    standing: Option<Standing>,
    /// When profit was judged last.
    judged: Option<Stamp>,
}

/// Why the account would be stopped at this moment if it were not.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    /// In words.
    pub cause: String,
    /// When that ends.
    pub ends: String,
}

impl Standing {
    fn of(found: &Assessment) -> Option<Standing> {
        let cause = found.stop()?.cause;
        let ends = if let Some(breach) = &found.velocity {
            format!("when it is out of the window, in {} at the latest", breach.limit.within)
        } else if found.exhausted.iter().any(|v| v.is_account() && v.scope == Scope::Peak) {
            "it ends with profit, or with a larger budget in the configuration".to_owned()
        } else {
            "the day's is whole again at midnight UTC".to_owned()
        };
        Some(Standing { cause, ends })
    }
}

impl Watch {
    /// When the next look is due; `None` until the first reconciliation.
    pub fn next(&self) -> Option<Stamp> {
        self.next
    }

    /// The next look is due at `at`.
    pub fn look_at(&mut self, at: Stamp) {
        self.next = Some(at);
    }

    /// What the last look would have stopped the account for.
    pub fn standing(&self) -> Option<&Standing> {
        self.standing.as_ref()
    }

    /// When that was judged on profit that was known.
    pub fn judged(&self) -> Option<Stamp> {
        self.judged
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
        self.forget_silent_clocks(now, out);
        self.draw_profit(now, out);
        self.assess(now, out);
        self.keep_account(now, out);
        self.tend_drills(now, out);
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
        // D12: a mark that nothing bears out would leave a false loss behind, or a false peak for later losses to be counted from
        if self.guard.marks_doubt(now).is_some() {
            return;
        }
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
        self.guard.observe_profit(now, &drawn.mark);
        self.watch.profit = Some(drawn);
    }

    /// Has the guard look, and acts on what it found.
    fn assess(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        let found = self.guard.assess(now);
        for change in &found.levels {
            self.change_level(now, change, out);
        }
        self.watch.standing = Standing::of(&found);
        self.watch.judged = found.drawdown_scale.map(|_| now).or(self.watch.judged);
        if let Some(stop) = found.stop() {
            // while something is held, what shrinks it must pass: blocked, a falling market could only be watched (F87). Once flat
            // a loss can come from trading alone, and then everything stops (C52)
            let held = self.books.positions.values().any(|lots| lots.0 != 0);
            let level = if held { StopLevel::ReduceOnly } else { stop.level };
            self.stop_growth(now, &Stop { level, ..stop }, out);
        }
        self.stop_refused(now, &found.refused, out);
        self.watch.repeating.retain(|id| found.repeating.iter().any(|r| r.parent == *id));
        for Repeating { parent, why } in &found.repeating {
            if !self.watch.repeating.insert(*parent) {
                continue;
            }
            if self.live.get(*parent).is_some_and(|live| is_reduction(&live.spec) || is_flatten(&live.spec)) {
                // nobody would resume it: another one is planned instead
                self.end_reduction(now, *parent, why, out);
                continue;
            }
            // paused in the journal, so that it stays stopped over a restart (I30); one that has just ended needs no pause
            if self.change_parent(now, *parent, &ParentChange::Pause, why, out).is_ok() {
                self.alert(Severity::Act, Topic::Repeats, format!("{parent} is paused: {why}"), out);
            }
        }
        let told = self.watch.alarmed.is_some_and(|at| now.since(at) < ALARM_AGAIN);
        if !found.alarms.is_empty() && !told {
            self.watch.alarmed = Some(now);
            self.alert(Severity::Warn, Topic::Data, found.alarms.join("; "), out);
        }
    }

    fn change_level(&mut self, now: Stamp, change: &LevelChange, out: &mut Vec<Effect>) {
        self.record(now, Entry::Level(change.clone()), out);
        self.holds_due = true;
        let severity = if change.to >= MarginLevel::TopUp { Severity::Act } else { Severity::Warn };
        let text = format!("{}: margin level {}, was {}: {}", change.venue, change.to, change.from, change.why);
        self.alert(severity, Topic::Margin, text, out);
        if change.to >= MarginLevel::Kill {
            let cause = format!("margin level {}: {}", change.to, change.why);
            let stop =
                Stop::all(StopLevel::ReduceOnly, Trigger::Guard, cause).with("venue", change.venue).with("level", change.to);
            let stop = stop.with("equity", change.equity).with("maintenance", change.maintenance);
            self.stop_growth(now, &stop, out);
        }
    }

    /// Latches `stop`, and takes back what rests and could still make a position larger.
    fn stop_growth(&mut self, now: Stamp, stop: &Stop, out: &mut Vec<Effect>) {
        if stop.level <= self.books.stops.level() {
            return;
        }
        self.raise(now, stop, out);
        for venue in self.config.venues.clone() {
            self.cancel_growing(now, venue, out);
        }
    }

    /// The operator has looked at a parent.
    pub(crate) fn touched(&mut self, parent: ParentId) {
        self.guard.touch_parent(parent);
        self.watch.repeating.remove(&parent);
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
