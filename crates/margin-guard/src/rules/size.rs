//! Rules of size for orders that can grow a position. All are monotone: what allows a size allows every smaller one.

use domain::{Qty, Side};

use super::Ask;
use crate::limits::Limits;
use crate::money::Money;
use crate::projection::Projection;
use crate::refusal::{Refusal, Scope};

/// C06.
pub(crate) fn open_orders(limits: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let market = (Scope::Market(ask.market.id), ask.market.open, ask.market.caps.open_orders);
    let venue = (Scope::Venue(ask.market.id.venue()), ask.venue.open, limits.open_orders_per_venue);
    for (scope, open, max) in [market, venue] {
        if ask.increasing && open >= max {
            return Err(Refusal::OpenOrders { scope, open, max });
        }
    }
    Ok(())
}

/// C03: absolute, whatever anything is worth.
pub(crate) fn order_size(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    match ask.rules.order_lots_max {
        Some(max) if ask.increasing && ask.qty > max => {
            Err(Refusal::OrderSize { instrument: ask.market.id, asked: ask.qty, max, room: Qty::ZERO })
        }
        Some(_) | None => Ok(()),
    }
}

/// C04.
pub(crate) fn order_notional(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let px = ask.intent.child.px.max(ask.reference.px().unwrap_or_default());
    let (notional, max) = (ask.value_at(px), ask.market.caps.order_notional);
    if ask.increasing && notional > max {
        return Err(Refusal::OrderNotional { notional: notional.usd(), max: max.usd(), room: Qty::ZERO });
    }
    Ok(())
}

/// C11, I04: the side that the order adds to.
pub(crate) fn market_exposure(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let Some(marks) = ask.market.marks.filter(|_| ask.increasing) else { return Ok(()) };
    let side = ask.intent.child.side;
    let lots = match side {
        Side::Buy => ask.after.long,
        Side::Sell => ask.after.short.saturating_neg(),
    };
    let (would_be, max) = (Money::value(marks.mark.0, lots, ask.rules.unit), ask.market.caps.market_notional);
    if would_be > max {
        let (would_be, max) = (would_be.usd(), max.usd());
        return Err(Refusal::MarketExposure { instrument: ask.market.id, side, would_be, max, room: Qty::ZERO });
    }
    Ok(())
}

/// C11.
pub(crate) fn venue_exposure(limits: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let would_be = ask.venue.gross.plus(ask.after.gross).minus(ask.market.now.gross);
    if ask.increasing && would_be > limits.venue_notional {
        return Err(Refusal::VenueExposure {
            venue: ask.market.id.venue(),
            would_be: would_be.usd(),
            max: limits.venue_notional.usd(),
            room: Qty::ZERO,
        });
    }
    Ok(())
}

/// C11: over all venues. A venue whose equity is used up lends nothing to the others.
pub(crate) fn leverage(limits: &Limits, projection: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    if !ask.increasing {
        return Ok(());
    }
    let mut would_be = ask.after.gross.minus(ask.market.now.gross);
    let mut equity = Money::ZERO;
    for (venue, state) in projection.venues() {
        would_be = would_be.plus(state.gross);
        let mut adverse = state.adverse;
        if venue == ask.market.id.venue() {
            adverse = adverse.plus(ask.after.adverse).minus(ask.market.now.adverse);
        }
        let account = state.equity_marked().unwrap_or_default();
        equity = equity.plus(account.minus(adverse).at_least_zero());
    }
    if would_be.exceeds(limits.leverage, equity) {
        let (would_be, equity, max) = (would_be.usd(), equity.usd(), limits.leverage.ratio());
        return Err(Refusal::Leverage { would_be, equity, max, room: Qty::ZERO });
    }
    Ok(())
}

/// Equity after the worst fills and maintenance of the worst case, of the order's venue, with the order working.
///
/// Margin set aside for isolated positions is left out of equity while their maintenance is counted: on the safe side.
pub(crate) fn projected_cover(ask: &Ask<'_>) -> (Money, Money) {
    let (venue, now) = (ask.venue, &ask.market.now);
    let equity = venue.equity_marked().unwrap_or_default();
    let adverse = venue.adverse.plus(ask.after.adverse).minus(now.adverse);
    let maintenance = venue.maintenance.plus(ask.after.maintenance).minus(now.maintenance);
    (equity.minus(adverse), maintenance.plus(venue.maintenance_unexplained()))
}

/// C14.
pub(crate) fn cover(limits: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    if !ask.increasing {
        return Ok(());
    }
    let (equity, maintenance) = projected_cover(ask);
    if maintenance.exceeds_share_of(limits.cover, equity) {
        return Err(Refusal::Cover {
            venue: ask.market.id.venue(),
            equity: equity.usd(),
            maintenance: maintenance.usd(),
            min: limits.cover.ratio(),
            room: Qty::ZERO,
        });
    }
    Ok(())
}

/// C14 for a position that is margined alone. Margin that the venue would move in with the order is not counted, so a larger
/// order never looks safer than a smaller one.
pub(crate) fn isolated_cover(limits: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let Some(margin) = ask.market.view.and_then(|v| v.isolated_margin).filter(|_| ask.increasing) else { return Ok(()) };
    let held = Money::from_usd(margin).minus(ask.after.adverse);
    if ask.after.maintenance.exceeds_share_of(limits.cover, held) {
        return Err(Refusal::IsolatedCover {
            instrument: ask.market.id,
            margin: held.usd(),
            maintenance: ask.after.maintenance.usd(),
            min: limits.cover.ratio(),
            room: Qty::ZERO,
        });
    }
    Ok(())
}
