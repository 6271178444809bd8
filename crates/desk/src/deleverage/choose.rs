//! Which positions shrink, and by how much.

use domain::{InstrumentId, Qty, Ratio, Usd};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// One position of the account.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub instrument: InstrumentId,
    /// Size without sign.
    pub lots: Qty,
    /// Value at the mark, without sign.
    pub value: Usd,
    /// Its maintenance margin.
    pub maintenance: Usd,
    /// Cost of trading it, share of value in basis points; absent without a book.
    pub cost_bps: Option<Decimal>,
}

/// Cost of a market whose book is not there: it goes last.
const UNKNOWN_COST_BPS: i64 = 1_000;

/// The reductions that bring `equity / maintenance` to `target`: most margin freed per cost first, each rounded up to lots and
/// never more than the position. If all of it together is not enough, everything.
pub(crate) fn choose(held: &[Held], equity: Usd, maintenance: Usd, target: Ratio) -> Vec<(InstrumentId, Qty)> {
    let ten_thousand = Decimal::from(10_000);
    let cost = |h: &Held| {
        let bps = h.cost_bps.unwrap_or(Decimal::from(UNKNOWN_COST_BPS)).max(Decimal::ZERO);
        h.value.decimal().checked_mul(bps).and_then(|c| c.checked_div(ten_thousand)).unwrap_or(h.value.decimal())
    };
    // maintenance that a position binds less what giving it up costs, per unit of cost; one unit of money keeps it finite
    let worth = |h: &Held| h.maintenance.decimal().checked_div(cost(h) + Decimal::ONE).unwrap_or(Decimal::ZERO);
    let mut order: Vec<&Held> = held.iter().filter(|h| !h.lots.is_zero() && h.maintenance > Usd::ZERO).collect();
    order.sort_by(|a, b| worth(b).cmp(&worth(a)).then(a.instrument.cmp(&b.instrument)));
    let mut short = maintenance.times(target).decimal() - equity.decimal();
    let mut reductions = Vec::new();
    for held in order {
        if short <= Decimal::ZERO {
            break;
        }
        // what giving up all of it brings nearer
        let relief = held.maintenance.times(target).decimal() - cost(held);
        let lots = Decimal::from(held.lots.0);
        let wanted = (relief > Decimal::ZERO && relief > short)
            .then(|| short.checked_div(relief).and_then(|share| share.checked_mul(lots)).and_then(|l| l.ceil().to_i64()))
            .flatten()
            .map_or(held.lots, |l| Qty(l).min(held.lots));
        short -= relief.max(Decimal::ZERO);
        reductions.push((held.instrument, wanted));
    }
    reductions
}
