//! The load line: what the projected account must withstand. Every working order has filled against us, and then the market
//! moves.

use domain::{MarginLevel, Qty, Ratio, Usd};

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

/// The venue's sum under shock number `shock` with the order working.
fn joint(ask: &Ask<'_>, moved: Moved<'_>, shock: usize) -> Burden {
    let sum = ask.venue.sums.joint.get(shock).copied().unwrap_or_default();
    sum.plus(moved.burden(shock)).minus(ask.market.burden(shock))
}

/// Every configured scenario leaves the least cover under a shock, and so does each market moving alone (quant §4.4).
pub(super) fn withstands_shocks(_: &Limits, projection: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    if !ask.increasing {
        return Ok(());
    }
    let (plan, moved) = (&projection.plan, moved(projection, ask));
    let (equity, _) = projected_cover(ask);
    let unexplained = Burden { maintenance: ask.venue.maintenance_unexplained(), loss: Money::ZERO };
    let bears = |burden: Burden| burden.plus(unexplained).weighed(plan.cover) <= equity.0 * SHARE_UNIT;
    let calm = joint(ask, moved, CALM);
    let mut own = 0;
    let weight = moved.burden(CALM).weighed(plan.cover);
    for shock in CALM..plan.names.len() {
        let together = if shock == CALM { calm } else { joint(ask, moved, shock) };
        if !bears(together) {
            return Err(shocked(projection, ask, plan.names[shock].clone(), together));
        }
        own = own.max(moved.burden(shock).weighed(plan.cover) - weight);
    }
    let others = ask.venue.sums.alone.max_without(ask.slot).unwrap_or(0);
    let alone = own.max(others);
    if calm.plus(unexplained).weighed(plan.cover) + alone > equity.0 * SHARE_UNIT {
        let (name, burden) = alone_named(projection, ask, moved, calm);
        return Err(shocked(projection, ask, name, burden));
    }
    Ok(())
}

fn shocked(projection: &Projection, ask: &Ask<'_>, scenario: String, burden: Burden) -> Refusal {
    let (equity, _) = projected_cover(ask);
    let maintenance = burden.maintenance.plus(ask.venue.maintenance_unexplained());
    Refusal::Shocked {
        venue: ask.market.id.venue(),
        scenario,
        equity: equity.minus(burden.loss).usd(),
        maintenance: maintenance.usd(),
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
