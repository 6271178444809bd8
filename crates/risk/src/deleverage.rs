//! Which positions to reduce until an account's cover is restored: largest margin relief per cost first (quant §4.3).

use domain::{InstrumentId, Qty, Ratio, Side, Span, Usd};
use domain::{Lots, MarginLevel};
use rust_decimal::Decimal;
use serde::Serialize;

use crate::exact::{add, div, mul, needed, ratio_down};
use crate::topup::Maintenance;

/// One open position.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// Its market.
    pub instrument: InstrumentId,
    /// Signed lots.
    pub lots: Lots,
    /// Value of one lot at the price that the venue margins with.
    pub lot_value: Decimal,
    /// How its maintenance follows from its notional.
    pub maintenance: Maintenance<'a>,
    /// Lots that an order must have at least; less is rounded up to it, or to the whole position.
    pub qty_min: Qty,
    /// Cost of closing it, share of notional: depth walk plus taker fee. `None`: no book, so it goes last.
    pub cost: Option<Ratio>,
}

/// The account.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// Its equity.
    pub equity: Usd,
    /// Its maintenance margin beyond `held`: positions that cannot be reduced here.
    pub maintenance_other: Usd,
    /// The cover to restore.
    pub target: Ratio,
    /// Its level: at [`MarginLevel::Kill`] reductions are quick.
    pub level: MarginLevel,
    /// For how long free margin lasts ([`crate::buffer::runway_hours`]), hours; `None` if nothing is at risk or it is unknown.
    pub runway_hours: Option<Ratio>,
}

/// One reduce-only order to plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Reduction {
    /// The market.
    pub instrument: InstrumentId,
    /// Against the position.
    pub side: Side,
    /// At most the position.
    pub qty: Qty,
    /// Maintenance that it frees.
    pub relief: Usd,
    /// What it costs.
    pub cost: Usd,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// In the order in which they matter; empty if the target holds already.
    pub reductions: Vec<Reduction>,
    /// Cover once all are filled; `None` when nothing is left that needs maintenance.
    pub cover_after: Option<Ratio>,
    /// Time to take for them.
    pub horizon: Span,
    /// Whether the target is reached. Otherwise everything in `held` is closed, and it is still not enough.
    pub restores: bool,
}

/// Assumed cost of closing a position without a book, for the projection: 100 bp, the inner guard of a liquidation.
const COST_UNKNOWN_BPS: i64 = 100;
/// Longest horizon of a reduction: there is no hurry, but the level stands until it is done.
const HORIZON_MAX: Span = Span::secs(1_800);
/// Shortest: three steps of a limit-to-market order.
const HORIZON_MIN: Span = Span::secs(30);
/// Horizon at the kill level at most.
const HORIZON_KILL: Span = Span::secs(60);
/// Part of the runway that a reduction may use.
const RUNWAY_PART: u64 = 4;

/// The time that the runway leaves: a quarter of it, 30 seconds to 30 minutes; at the kill level at most a minute. An unknown
/// runway is a short one.
#[must_use]
pub fn horizon(level: MarginLevel, runway_hours: Option<Ratio>) -> Span {
    let runway = runway_hours.map_or(Decimal::ZERO, |hours| mul(hours.decimal().max(Decimal::ZERO), Decimal::from(3_600)));
    let seconds = u64::try_from(runway.floor()).unwrap_or(u64::MAX / 1_000_000_000) / RUNWAY_PART;
    let longest = match level {
        MarginLevel::Ok | MarginLevel::Watch | MarginLevel::TopUp | MarginLevel::Reduce => HORIZON_MAX,
        MarginLevel::Kill => HORIZON_KILL,
    };
    Span::secs(seconds).clamp(HORIZON_MIN, longest)
}

/// Chooses reductions: positions by margin relief per cost, each as little as restores the target, and whole while it does not.
#[must_use]
pub fn plan(held: &[Held<'_>], account: &Account) -> Plan {
    let mut state = State::of(held, account);
    let mut order: Vec<&Held<'_>> = held.iter().filter(|h| h.lots.0 != 0).collect();
    order.sort_by(|a, b| merit(b).cmp(&merit(a)).then(a.instrument.cmp(&b.instrument)));
    let mut reductions = Vec::new();
    for position in order {
        if state.holds(Decimal::ZERO, Decimal::ZERO) {
            break;
        }
        let whole = position.lots.abs();
        let qty = least_lots(&state, position).unwrap_or(whole);
        let (relief, cost) = effect(position, qty);
        state.maintenance = add(state.maintenance, -relief).max(Decimal::ZERO);
        state.equity = add(state.equity, -cost);
        reductions.push(Reduction {
            instrument: position.instrument,
            side: if position.lots.0 > 0 { Side::Sell } else { Side::Buy },
            qty,
            relief: crate::exact::allowed(relief),
            cost: needed(cost),
        });
    }
    let cover = (state.maintenance > Decimal::ZERO).then(|| ratio_down(div(state.equity, state.maintenance)));
    let restores = state.holds(Decimal::ZERO, Decimal::ZERO);
    Plan { reductions, cover_after: cover, horizon: horizon(account.level, account.runway_hours), restores }
}

/// Equity, maintenance and target while reductions are chosen.
struct State {
    equity: Decimal,
    maintenance: Decimal,
    target: Decimal,
}

impl State {
    fn of(held: &[Held<'_>], account: &Account) -> State {
        let own = held.iter().fold(Decimal::ZERO, |sum, h| add(sum, h.maintenance.of(value(h, h.lots.abs()))));
        State {
            equity: account.equity.decimal(),
            maintenance: add(own, account.maintenance_other.decimal().max(Decimal::ZERO)),
            target: account.target.decimal(),
        }
    }

    /// Whether the target holds after freeing `relief` at `cost`. Without maintenance there is nothing to cover.
    fn holds(&self, relief: Decimal, cost: Decimal) -> bool {
        let maintenance = add(self.maintenance, -relief);
        maintenance <= Decimal::ZERO || add(self.equity, -cost) >= mul(self.target, maintenance)
    }
}

fn value(held: &Held<'_>, qty: Qty) -> Decimal {
    mul(Decimal::from(qty.0), held.lot_value.max(Decimal::ZERO))
}

fn cost_rate(held: &Held<'_>) -> Decimal {
    held.cost.map_or(Decimal::new(COST_UNKNOWN_BPS, 4), |cost| cost.decimal().max(Decimal::ZERO))
}

/// Relief per cost of closing it whole, positions with a book first.
fn merit(held: &Held<'_>) -> (bool, Decimal) {
    let whole = held.lots.abs();
    let (relief, cost) = effect(held, whole);
    (held.cost.is_some(), div(relief, cost))
}

/// Maintenance freed and cost of reducing by `qty`.
fn effect(held: &Held<'_>, qty: Qty) -> (Decimal, Decimal) {
    let whole = held.lots.abs();
    let after = held.maintenance.of(value(held, whole.minus(qty)));
    let relief = add(held.maintenance.of(value(held, whole)), -after).max(Decimal::ZERO);
    (relief, mul(value(held, qty), cost_rate(held)))
}

/// The fewest lots that restore the target, at least the smallest order; `None` if the whole position does not.
fn least_lots(state: &State, held: &Held<'_>) -> Option<Qty> {
    let enough = |qty: i64| {
        let (relief, cost) = effect(held, Qty(qty));
        state.holds(relief, cost)
    };
    let whole = held.lots.abs().0;
    if !enough(whole) {
        return None;
    }
    // relief is concave in the lots and cost linear, so once enough it stays enough up to the whole position
    let (mut short, mut right) = (0_i64, whole);
    while right - short > 1 {
        let middle = short + (right - short) / 2;
        if enough(middle) { right = middle } else { short = middle }
    }
    Some(Qty(right.max(held.qty_min.0).min(whole)))
}

#[cfg(test)]
mod tests;
