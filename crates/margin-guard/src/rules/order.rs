//! Rules for every order: whose it is, whether it may exist at all, and that it does not meet or outgrow our own.

use domain::{MarketStatus, Qty, Side, StopLevel, Tif};

use super::{Ask, Reference};
use crate::limits::Limits;
use crate::money::SHARE_UNIT;
use crate::projection::{Parent, Projection};
use crate::refusal::{Refusal, Scope};

/// C09: a key is used once.
pub(crate) fn key_is_new_and_its_own(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let (key, child) = (ask.intent.key, &ask.intent.child);
    if key.parent() != child.parent || key.child() != child.no {
        return Err(Refusal::WrongKey { key, parent: child.parent, no: child.no.0 });
    }
    if ask.parent.has_seen(key) { Err(Refusal::DuplicateKey { key }) } else { Ok(()) }
}

pub(crate) fn child_is_of_its_parent(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let child = &ask.intent.child;
    let Some(wish) = ask.parent.wish.filter(|_| !ask.parent.ended) else {
        return Err(Refusal::UnknownParent { parent: child.parent });
    };
    let differs = |field| Err(Refusal::NotOfParent { parent: child.parent, field });
    match () {
        () if wish.instrument != child.instrument => differs("instrument"),
        () if wish.side != child.side => differs("side"),
        () if wish.reduce_only && !child.reduce_only => differs("reduce_only"),
        () => Ok(()),
    }
}

/// I20: the highest stop that covers the order. At flatten nothing passes but what the venue itself keeps from growing a position.
pub(crate) fn stop_level(_: &Limits, projection: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let child = &ask.intent.child;
    match projection.stops.parent(child.parent, child.instrument).map_or(StopLevel::Run, |stop| stop.level) {
        StopLevel::Run => Ok(()),
        StopLevel::ReduceOnly if !ask.increasing => Ok(()),
        StopLevel::Flatten if !ask.increasing && child.reduce_only => Ok(()),
        level @ (StopLevel::ReduceOnly | StopLevel::Block | StopLevel::Cancel | StopLevel::Flatten | StopLevel::Sever) => {
            Err(Refusal::Stopped { level })
        }
    }
}

/// C19: what the venue would refuse anyway.
pub(crate) fn price_on_grid(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let (instrument, px) = (&ask.rules.instrument, ask.intent.child.px);
    if instrument.allows_px(px) {
        return Ok(());
    }
    let step = if px.0 > 0 { instrument.step_at(px) } else { 1 };
    Err(Refusal::OffGrid { instrument: instrument.id, px, step })
}

/// C19, C20, C51: the market's own state.
pub(crate) fn market_takes_it(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let instrument = &ask.rules.instrument;
    let takes = match instrument.status {
        MarketStatus::Open => true,
        MarketStatus::PostOnly => ask.intent.child.tif == Tif::PostOnly,
        MarketStatus::CancelOnly => false,
        MarketStatus::Closed => !ask.increasing,
    };
    if takes { Ok(()) } else { Err(Refusal::MarketState { instrument: instrument.id, status: instrument.status }) }
}

/// C13, I07: over all working orders together, or two reductions make a flip.
pub(crate) fn reduce_only_is_true(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    if ask.intent.child.reduce_only && ask.increasing {
        return Err(Refusal::NotReducing { closable: ask.closable, asked: ask.qty, room: Qty::ZERO });
    }
    Ok(())
}

/// I07 for the reduce-only orders that work already: an order of their side that outgrows the position could fill first and
/// turn them into increases.
pub(crate) fn reductions_stay_true(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let reducing = match ask.intent.child.side {
        Side::Buy => ask.market.buys.reducing,
        Side::Sell => ask.market.sells.reducing,
    };
    if ask.increasing && reducing > 0 {
        let (reducing, closable) = (Qty(reducing), ask.closable);
        return Err(Refusal::Overtakes { reducing, closable, asked: ask.qty, room: Qty::ZERO });
    }
    Ok(())
}

/// C10, I08: open, in-flight, unknown, half-cancelled and foreign orders of the account alike.
pub(crate) fn own_orders_do_not_meet(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let (side, px) = (ask.intent.child.side, ask.intent.child.px);
    let Some(own) = ask.market.own_opposite(side) else { return Ok(()) };
    let meets = match side {
        Side::Buy => px >= own,
        Side::Sell => px <= own,
    };
    if meets { Err(Refusal::SelfMatch { side, px, own }) } else { Ok(()) }
}

/// C01. Two fresh references are asked of an increase. A reduction is judged by a wider collar against whatever reference
/// exists, so that a fat finger is caught and a stale feed does not lock a position in.
pub(crate) fn price_near_reference(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let Reference { x4, fresh } = ask.reference;
    let caps = &ask.market.caps;
    if ask.increasing && fresh < 2 {
        return Err(Refusal::NoReference { instrument: ask.market.id, fresh });
    }
    let (Some(x4), Some(reference)) = (x4, ask.reference.px()) else { return Ok(()) };
    let collar = if ask.increasing { caps.price_collar } else { caps.price_collar_reduce };
    let px = ask.intent.child.px;
    let distance = (i128::from(px.0) * 4 - i128::from(x4)).abs();
    if distance * SHARE_UNIT > i128::from(x4) * i128::from(collar.0) {
        return Err(Refusal::Collar { px, reference, collar: collar.ratio() });
    }
    Ok(())
}

/// C07, I10: the cancels' reserve is spent by no placement, and increases leave a further share to reductions.
pub(crate) fn messages_left(limits: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let child = &ask.intent.child;
    let venue = Scope::Venue(child.instrument.venue());
    for (scope, bucket, rate) in
        [(venue, ask.venue.messages, limits.venue_rate), (Scope::Parent(child.parent), ask.parent.messages, limits.parent_rate)]
    {
        if let Err(wait) = bucket.ask(ask.at, rate, ask.increasing) {
            return Err(Refusal::Throttled { scope, retry_ms: wait.0.div_ceil(1_000_000) });
        }
    }
    Ok(())
}

/// C12, I06: the count is the gate's own.
pub(crate) fn parent_not_exceeded(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let Parent { total, filled, working, .. } = *ask.parent;
    let after = i128::from(filled.0) + i128::from(working.0) + i128::from(ask.qty.0);
    if after > i128::from(total.0) {
        let parent = ask.intent.child.parent;
        return Err(Refusal::ParentExceeded { parent, total, filled, working, asked: ask.qty, room: Qty::ZERO });
    }
    Ok(())
}
