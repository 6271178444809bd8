//! Automatic deleveraging: when an account's cover falls below its reduce level, the desk admits reduce-only parents of its own
//! and lets them work like any other, until cover is back at its target.
//!
//! They are planned from the guard's load line, cancelled when they are no longer needed, and planned anew when the market ran
//! away from them. They are limit-to-market inside a slippage cap: what the time allows to be worked is not dumped.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    EndPolicy, Instrument, InstrumentId, MarginLevel, ParentChange, ParentId, ParentSpec, Placement, Px, Qty, Ratio, Schedule,
    Side, Span, Stamp, StopLevel, Usd, Venue,
};
use margin_guard::{AccountLine, PositionLine};
use risk::deleverage::{Account, Held, Plan};
use risk::sizing::Walk;
use risk::topup::Maintenance;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::{Desk, Effect, Severity, Topic};

/// How the note of every reduction that the desk admits begins. Operators' notes may not.
pub(crate) const NOTE: &str = "deleverage:";
/// Between two plans for one account: long enough for orders of the last one to show in its cover.
const PLAN_EVERY: Span = Span::secs(10);
/// A live reduction is joined by another one when this share more is needed than it still has to do: less is the market's noise.
const MORE_NEEDED: (i64, i64) = (1, 4);
/// One slice per so much of the horizon.
const SLICE: Span = Span::secs(20);
/// A live reduction that has more than so many times the time that is left now must hurry.
const HURRY: u64 = 2;
/// A book older than this has no cost to walk (C17).
const BOOK_AGE: Span = Span::secs(2);
/// Worst distance from the arrival mid at which a reduction may trade: several times the spread of a stressed book …
const SLIPPAGE_BPS: i64 = 150;
/// … and at the kill level, still short of what a liquidation costs.
const SLIPPAGE_KILL_BPS: i64 = 400;
/// When the mid has used up this share of its slippage, a reduction is planned anew from where the market is.
const RAN_AWAY: (i64, i64) = (2, 3);
/// The same trouble is told again after this long.
const TELL_AGAIN: Span = Span::secs(60);

/// Whether the desk itself admitted the parent to bring cover back.
pub(crate) fn is_reduction(spec: &ParentSpec) -> bool {
    spec.reduce_only && spec.note.starts_with(NOTE)
}

/// What is remembered between two looks, per account. Losing it in a crash costs a repeated cancel or an early plan, no more.
#[derive(Debug, Default)]
pub(crate) struct Deleveraging {
    planned: BTreeMap<Venue, Stamp>,
    cancelled: BTreeSet<ParentId>,
    told: BTreeMap<Venue, Stamp>,
}

impl Deleveraging {
    /// Whether a parent of the desk's own was told to end.
    pub fn is_ending(&self, id: ParentId) -> bool {
        self.cancelled.contains(&id)
    }
}

/// A reduction at work.
struct Running {
    id: ParentId,
    instrument: InstrumentId,
    /// What it still has to do.
    left: Qty,
    /// Whether the market has run away from the price that it may trade at.
    stranded: bool,
    /// How much longer it may take.
    time_left: Span,
    start: Stamp,
}

impl Desk {
    /// Plans, re-plans and ends reductions. Called at each look.
    pub(crate) fn deleverage(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        let (cancelled, live) = (&mut self.deleveraging.cancelled, &self.live);
        cancelled.retain(|id| live.get(*id).is_some());
        let lines = self.guard.load_line(now);
        for line in &lines {
            let level = self.books.levels.get(&line.venue).copied().unwrap_or_default();
            // where a top-up does not help, reducing begins at the level at which it should have
            let level = if self.reduces_instead(line.venue) { level.max(MarginLevel::Reduce) } else { level };
            let running = self.running(now, line.venue);
            if running.is_empty() && level < MarginLevel::Reduce {
                continue;
            }
            let target = self.reduce_target(line.venue);
            // nothing to cover is covered
            let restored = line.doubt.is_none() && (line.cover.is_some_and(|c| c >= target) || line.positions.is_empty());
            if restored {
                let cover = line.cover.map_or_else(|| "flat".to_owned(), |c| format!("cover {}", short(c)));
                for reduction in running {
                    self.end_reduction(now, reduction.id, &format!("{NOTE} {cover}, target {}", short(target)), out);
                }
                continue;
            }
            // what is known too badly is not acted on; what runs goes on, and nothing can grow meanwhile
            let may_plan = line.doubt.is_none()
                && self.is_ready()
                && self.books.stops.venue_level(line.venue) < StopLevel::Block
                && !self.draining;
            if level >= MarginLevel::Reduce && may_plan {
                self.cancel_growing(now, line.venue, out);
                if level >= MarginLevel::Kill || !self.help_is_near(now, line) {
                    self.plan(now, line, level, running, out);
                }
            }
        }
    }

    fn running(&self, now: Stamp, venue: Venue) -> Vec<Running> {
        let live = self.live.iter().filter(|l| l.spec.instrument.venue() == venue && is_reduction(&l.spec));
        let live = live.filter(|l| !self.deleveraging.cancelled.contains(&l.id));
        let running = live.map(|l| {
            let (spec, progress) = (&l.spec, l.progress(now));
            let allowed = i128::from(l.arrival_x2).abs() * to_bps(spec.slippage_max) / 10_000;
            let moved = self.mid_x2(spec.instrument).map_or(0, |mid| {
                // against us: up when buying, down when selling
                i128::from(spec.side.sign()) * (i128::from(mid) - i128::from(l.arrival_x2))
            });
            Running {
                id: l.id,
                instrument: spec.instrument,
                left: spec.qty.minus(progress.filled),
                stranded: moved * i128::from(RAN_AWAY.1) > allowed * i128::from(RAN_AWAY.0),
                time_left: Span(spec.horizon.0.saturating_sub(progress.elapsed.0)),
                start: l.start,
            }
        });
        running.collect()
    }

    pub(crate) fn end_reduction(&mut self, now: Stamp, id: ParentId, why: &str, out: &mut Vec<Effect>) {
        self.deleveraging.cancelled.insert(id);
        // it is live, and cancelling has no other condition
        if let Err(faults) = self.change_parent(now, id, &ParentChange::Cancel, why, out) {
            let text = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            self.alert(Severity::Act, Topic::Deleverage, format!("{id} could not be cancelled: {text}"), out);
        }
    }

    /// Cancels what rests and could make a position of the account larger: of parents that are held now, or that have ended.
    pub(crate) fn cancel_growing(&mut self, now: Stamp, venue: Venue, out: &mut Vec<Effect>) {
        let grows = |order: &crate::Order| {
            let child = &order.intent.child;
            let position = self.books.position(child.instrument);
            let against = position.0.signum() == -child.side.sign() && child.qty <= position.abs();
            child.instrument.venue() == venue && !child.reduce_only && !against
        };
        let asked = |order: &&crate::Order| order.state != crate::Working::CancelAsked && !order.state.is_unknown();
        let keys: Vec<_> = self.books.live().filter(asked).filter(|o| grows(o)).map(crate::Order::key).collect();
        for key in keys {
            self.cancel_order(now, key, out);
        }
    }

    fn plan(&mut self, now: Stamp, line: &AccountLine, level: MarginLevel, running: Vec<Running>, out: &mut Vec<Effect>) {
        let Some(equity) = line.equity else { return };
        let horizon = risk::deleverage::horizon(level, line.runway_hours);
        let doing = self.hurry(now, line.level, horizon, running, out);
        if self.deleveraging.planned.get(&line.venue).is_some_and(|at| now.since(*at) < PLAN_EVERY) {
            return;
        }
        self.deleveraging.planned.insert(line.venue, now);
        let plan = self.reductions(now, line, equity, level, self.reduce_target(line.venue));
        let cover = line.cover.map_or_else(|| "flat".to_owned(), |c| format!("cover {}", short(c)));
        let mut troubles = Vec::new();
        if !plan.restores {
            troubles.push("closing every position does not restore it".to_owned());
        }
        for wanted in plan.reductions {
            let Some(rules) = self.books.instruments.get(&wanted.instrument) else { continue };
            let doing = doing.get(&wanted.instrument).copied().unwrap_or_default();
            if !doing.is_zero() && wanted.qty <= doing + Qty(doing.0 / MORE_NEEDED.1 * MORE_NEEDED.0) {
                continue;
            }
            let mark = self.mark(now, wanted.instrument).unwrap_or_default();
            let whole = self.books.position(wanted.instrument).abs();
            let qty = workable(rules, mark, wanted.qty.minus(doing), whole.minus(doing));
            if qty.is_zero() {
                continue;
            }
            let note = format!("{NOTE} {cover}, margin level {}", line.level);
            if let Err(faults) = self.admit(now, &reduction(wanted.instrument, wanted.side, qty, horizon, level, note), out) {
                troubles.extend(faults.iter().map(ToString::to_string));
            }
        }
        if !troubles.is_empty() && self.deleveraging.told.get(&line.venue).is_none_or(|at| now.since(*at) >= TELL_AGAIN) {
            self.deleveraging.told.insert(line.venue, now);
            let text = format!("{}: {cover}, margin level {}: {}", line.venue, line.level, troubles.join("; "));
            self.alert(Severity::Act, Topic::Deleverage, text, out);
        }
    }

    /// The reductions that bring the account to `target`.
    fn reductions(&self, now: Stamp, line: &AccountLine, equity: Usd, level: MarginLevel, target: Ratio) -> Plan {
        let held: Vec<Held<'static>> = line.positions.iter().filter_map(|p| self.held(now, p)).collect();
        let of_held = |p: &&PositionLine| held.iter().any(|h| h.instrument == p.instrument);
        let own: Usd = line.positions.iter().filter(of_held).filter_map(|p| p.maintenance).sum();
        let maintenance_other = line.maintenance - own;
        let account = Account { equity, maintenance_other, target, level, runway_hours: line.runway_hours };
        risk::deleverage::plan(&held, &account)
    }

    /// What bringing the account to `target` by reducing would cost; `None` if it is not known, or would not do it.
    pub(crate) fn unwinding(&self, now: Stamp, line: &AccountLine, target: Ratio) -> Option<Usd> {
        if line.positions.iter().any(|p| self.held(now, p).is_none_or(|held| held.cost.is_none())) {
            return None;
        }
        let plan = self.reductions(now, line, line.equity?, line.level, target);
        // with the target held there is nothing to reduce, and that does nothing for a scenario that asks for more
        (plan.restores && !plan.reductions.is_empty()).then(|| plan.reductions.iter().map(|r| r.cost).sum())
    }

    /// Ends reductions that the market ran away from, gives those less time that have too much, and says how much the others
    /// are still going to do.
    fn hurry(
        &mut self,
        now: Stamp,
        level: MarginLevel,
        horizon: Span,
        running: Vec<Running>,
        out: &mut Vec<Effect>,
    ) -> BTreeMap<InstrumentId, Qty> {
        let mut doing: BTreeMap<InstrumentId, Qty> = BTreeMap::new();
        for reduction in running {
            if reduction.stranded {
                self.end_reduction(now, reduction.id, &format!("{NOTE} the market ran away; planned anew"), out);
                continue;
            }
            if reduction.time_left > horizon.scale(HURRY, 1) {
                let change = ParentChange::Amend { qty: None, horizon: Some(now.since(reduction.start) + horizon) };
                let why = format!("{NOTE} margin level {level}, {horizon} left");
                if self.change_parent(now, reduction.id, &change, &why, out).is_err() {
                    self.end_reduction(now, reduction.id, &format!("{NOTE} planned anew with less time"), out);
                    continue;
                }
            }
            *doing.entry(reduction.instrument).or_default() += reduction.left;
        }
        doing
    }

    /// A position as the plan needs it; `None` while its value is not known, or while books and guard see different ones.
    fn held(&self, now: Stamp, line: &PositionLine) -> Option<Held<'static>> {
        let (rules, mark) = (self.books.instruments.get(&line.instrument)?, line.mark?);
        let (value, maintenance) = (line.value?, line.maintenance?);
        // a market that is stopped by itself has to be left alone
        let free = self.books.stops.market_level(line.instrument) < StopLevel::Block;
        let known = free && line.lots.0 != 0 && line.lots == self.books.position(line.instrument);
        let side = if line.lots.0 > 0 { Side::Buy } else { Side::Sell };
        let book = self.markets.get(&line.instrument).and_then(|m| m.book.as_deref());
        let walk = book.filter(|book| now.since(book.at) <= BOOK_AGE).and_then(|book| Walk::of(book, rules, side));
        let cost = walk.and_then(|walk| {
            let (slippage, _) = walk.slippage(value);
            Ratio::new(slippage.checked_add(self.guard.limits().sizing().fee_rate.decimal())?).ok()
        });
        known.then_some(Held {
            instrument: line.instrument,
            lots: line.lots,
            lot_value: rules.px_decimal(mark).checked_mul(rules.lot)?,
            // as it stands: a position's own leverage is in it. In a higher tier more would be freed than this says
            maintenance: Maintenance::Rate(maintenance.over(value)?),
            qty_min: smallest(rules, mark),
            cost,
        })
    }
}

/// The smallest order that the venue takes at `mark`, with a tenth to spare, so that a price that moves does not strand it.
fn smallest(rules: &Instrument, mark: Px) -> Qty {
    let lot = rules.notional(mark, Qty(1)).decimal();
    let least = rules.notional_min.decimal().checked_mul(Decimal::new(11, 1)).and_then(|min| min.checked_div(lot));
    Qty(least.and_then(|l| l.ceil().to_i64()).unwrap_or(0)).max(rules.qty_min)
}

/// `wanted` of `whole` lots made into an order that the venue takes, leaving no rest that it would not.
fn workable(rules: &Instrument, mark: Px, wanted: Qty, whole: Qty) -> Qty {
    if wanted.is_zero() {
        return Qty::ZERO;
    }
    let least = smallest(rules, mark);
    let wanted = wanted.max(least).min(whole);
    if whole.minus(wanted) < least { whole } else { wanted }
}

fn reduction(instrument: InstrumentId, side: Side, qty: Qty, horizon: Span, level: MarginLevel, note: String) -> ParentSpec {
    let kill = level >= MarginLevel::Kill;
    let slices = u32::try_from(horizon.0 / SLICE.0).unwrap_or(1).max(1);
    ParentSpec {
        id: ParentId(0),
        instrument,
        side,
        qty,
        schedule: Schedule::Twap { slices },
        placement: Placement::LimitToMarket,
        display: None,
        horizon,
        limit_px: None,
        slippage_max: Ratio::bps(if kill { SLIPPAGE_KILL_BPS } else { SLIPPAGE_BPS }),
        end: EndPolicy::Force,
        reduce_only: true,
        note,
    }
}

fn to_bps(ratio: Ratio) -> i128 {
    ratio.decimal().checked_mul(Decimal::from(10_000)).and_then(|bps| bps.to_i128()).unwrap_or(0)
}

/// At two decimals, cut: for words.
fn short(ratio: Ratio) -> Decimal {
    ratio.decimal().trunc_with_scale(2)
}
