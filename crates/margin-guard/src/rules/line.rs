//! The load line: what the projected account must withstand. Every working order has filled against us, and then the market
//! moves.

use domain::{InstrumentId, MarginLevel, Qty, Ratio, Side, Usd};

use super::Ask;
use super::size::projected_cover;
use crate::limits::Limits;
use crate::money::{Money, SHARE_UNIT};
use crate::projection::{Market, Moved, Projection};
use crate::refusal::Refusal;
use crate::scenario::{Burden, CALM};

/// An account that is being reduced does not grow meanwhile (quant §4.3).
pub(super) fn level_allows(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    match ask.venue.level {
        MarginLevel::Ok | MarginLevel::Watch | MarginLevel::TopUp => Ok(()),
        MarginLevel::Reduce | MarginLevel::Kill if !ask.increasing => Ok(()),
        level @ (MarginLevel::Reduce | MarginLevel::Kill) => Err(Refusal::Level { venue: ask.market.id.venue(), level }),
    }
}

fn moved<'a>(projection: &Projection, ask: &Ask<'a>) -> Moved<'a> {
    let ends = (ask.after.long, ask.after.short);
    ask.market.moved(ask.intent.child.side, ends, projection.plan.cover)
}

/// Every configured scenario leaves the least cover under a shock, and so does each market moving alone (quant §4.4).
pub(super) fn withstands_shocks(_: &Limits, projection: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    if !ask.increasing {
        return Ok(());
    }
    let (plan, moved) = (&projection.plan, moved(projection, ask));
    let (equity, _) = projected_cover(ask);
    let unexplained = Burden { maintenance: ask.venue.maintenance_unexplained(), loss: Money::ZERO };
    let left = equity.0 * SHARE_UNIT;
    let (mut calm, mut weight, mut own) = (Burden::default(), 0, 0);
    for shock in CALM..plan.names.len() {
        let part = moved.burden(shock);
        let sum = ask.venue.sums.joint.get(shock).copied().unwrap_or_default();
        let together = sum.plus(part).minus(ask.market.burden(shock)).plus(unexplained);
        if together.weighed(plan.cover) > left {
            return Err(shocked(projection, ask, plan.names[shock].clone(), together));
        }
        let part = part.weighed(plan.cover);
        if shock == CALM {
            (calm, weight) = (together, part);
        }
        own = own.max(part - weight);
    }
    let others = ask.venue.sums.alone.max_without(ask.slot).unwrap_or(0);
    if calm.weighed(plan.cover) + own.max(others) > left {
        let (name, burden) = alone_named(projection, ask, moved, calm);
        return Err(shocked(projection, ask, name, burden));
    }
    Ok(())
}

fn shocked(projection: &Projection, ask: &Ask<'_>, scenario: String, burden: Burden) -> Refusal {
    let (equity, _) = projected_cover(ask);
    Refusal::Shocked {
        venue: ask.market.id.venue(),
        scenario,
        equity: equity.minus(burden.loss).usd(),
        maintenance: burden.maintenance.usd(),
        min: projection.plan.cover.ratio(),
        room: Qty::ZERO,
    }
}

/// The market whose move alone costs most, and the account then. Visits every market: for refusals.
fn alone_named(projection: &Projection, ask: &Ask<'_>, moved: Moved<'_>, calm: Burden) -> (String, Burden) {
    let plan = &projection.plan;
    let mut worst = (String::new(), calm);
    for market in projection.markets.iter().filter(|m| m.id.venue() == ask.market.id.venue()) {
        let of = |shock: usize| if market.id == ask.market.id { moved.burden(shock) } else { market.burden(shock) };
        for shock in 0..plan.names.len() {
            let burden = calm.plus(of(shock)).minus(of(CALM));
            if worst.0.is_empty() || burden.weighed(plan.cover) > worst.1.weighed(plan.cover) {
                worst = (alone_name(market, &plan.names[shock]), burden);
            }
        }
    }
    worst
}

pub(crate) fn alone_name(market: &Market, scenario: &str) -> String {
    format!("{scenario} in {} alone", market.id)
}

/// Any market moving by the least distance against the account still leaves it above maintenance: the same as every position's
/// liquidation price being that far from its mark, all other prices standing still (quant §4.1, §4.2).
pub(super) fn liquidation_is_far(_: &Limits, projection: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    if !ask.increasing {
        return Ok(());
    }
    let moved = moved(projection, ask);
    let (equity, maintenance) = projected_cover(ask);
    let own = moved.pushed() - ask.after.maintenance.0;
    let (free, isolated) = (equity.minus(maintenance).0, ask.market.view.and_then(|v| v.isolated_margin));
    let others = ask.venue.sums.reach.max_without(ask.slot).unwrap_or(0);
    let alone = isolated.map(|margin| Money::from_usd(margin).minus(ask.after.adverse).0 - moved.pushed());
    let own = if isolated.is_some() { 0 } else { own };
    if own.max(others) <= free && alone.is_none_or(|left| left >= 0) {
        return Ok(());
    }
    let near = if own >= others || alone.is_some_and(|left| left < 0) {
        ask.market
    } else {
        let reach = |m: &&Market| m.id.venue() == ask.market.id.venue() && m.id != ask.market.id;
        projection.markets.iter().filter(reach).max_by_key(|m| m.reach()).unwrap_or(ask.market)
    };
    Err(Refusal::LiquidationNear {
        instrument: near.id,
        min: projection.plan.distance,
        equity: equity.usd(),
        maintenance: maintenance.usd(),
        room: Qty::ZERO,
    })
}

/// Collateral that may be lost before cover falls to the least under a shock.
fn free(projection: &Projection, ask: &Ask<'_>) -> Money {
    let (equity, maintenance) = projected_cover(ask);
    equity.minus(maintenance.times_up(projection.plan.cover))
}

/// The same-chain buffer for the time that leaving or refilling takes, and the hours that free collateral lasts (quant §1.10).
pub(super) fn buffer_stays(limits: &Limits, projection: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    if !ask.increasing {
        return Ok(());
    }
    let (venue, free) = (ask.market.id.venue(), free(projection, ask));
    let now = &ask.market.now;
    let required = ask.venue.buffer.plus(ask.after.buffer).minus(now.buffer);
    if required > free {
        return Err(Refusal::Buffer { venue, free: free.usd(), required: required.usd(), room: Qty::ZERO });
    }
    let required = ask.venue.runway.plus(ask.after.runway).minus(now.runway);
    if required > free {
        let hours: Ratio = limits.buffer().runway_hours_min;
        let (free, required): (Usd, Usd) = (free.usd(), required.usd());
        return Err(Refusal::Runway { venue, hours, free, required, room: Qty::ZERO });
    }
    Ok(())
}

/// What a position on `side` in `market` may be worth with every shock withstood, all that works counted: the margin after shock
/// of quant §1.6. Nothing while it cannot be told.
pub(crate) fn shock_room(projection: &Projection, id: InstrumentId, side: Side) -> Option<Money> {
    let slot = projection.slot(id)?;
    let (plan, market) = (&projection.plan, &projection.markets[slot]);
    let venue = projection.venue(market.id.venue());
    let equity = venue.equity_marked()?.minus(venue.adverse).0 * SHARE_UNIT;
    let (lot, _) = market.lot().filter(|_| venue.blind.is_empty())?;
    let others = venue.sums.alone.max_without(slot).unwrap_or(0);
    let unexplained = Burden { maintenance: venue.maintenance_unexplained(), loss: Money::ZERO };
    let fits = |lots: i64| {
        let ends = match side {
            Side::Buy => (lots, market.now.short),
            Side::Sell => (market.now.long, -lots),
        };
        let moved = market.moved(side, ends, plan.cover);
        let joint = |shock: usize| {
            let sum = venue.sums.joint.get(shock).copied().unwrap_or_default().plus(unexplained);
            sum.plus(moved.burden(shock)).minus(market.burden(shock)).weighed(plan.cover)
        };
        let calm = moved.burden(CALM).weighed(plan.cover);
        let own = (0..plan.names.len()).map(|shock| moved.burden(shock).weighed(plan.cover) - calm).max().unwrap_or(0);
        (0..plan.names.len()).all(|shock| joint(shock) <= equity) && joint(CALM) + own.max(others) <= equity
    };
    let (mut low, mut high) = (0, i64::MAX / 2);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if fits(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(Money(lot.0.saturating_mul(i128::from(low))).at_most_max())
}
