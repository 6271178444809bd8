//! Lower bounds and look-alikes: a smaller order may be refused where a larger one passes.

use domain::Qty;

use super::Ask;
use crate::limits::Limits;
use crate::projection::Projection;
use crate::refusal::Refusal;

/// C19: the venue's minimum. An order that closes a whole position is exempt from the value, not from the lot.
pub(crate) fn venue_minimum(_: &Limits, projection: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let instrument = &ask.rules.instrument;
    let min = instrument.qty_min.max(Qty(1));
    if ask.qty < min {
        return Err(Refusal::TooSmall { instrument: instrument.id, qty: ask.qty, min });
    }
    let notional = ask.value_at(ask.intent.child.px);
    let held = projection.position(ask.market).unwrap_or_default();
    let closes_whole = !ask.increasing && ask.qty.0 == held.0.saturating_abs();
    if notional < ask.rules.notional_min && !closes_whole {
        let (notional, min) = (notional.usd(), instrument.notional_min);
        return Err(Refusal::NotionalTooSmall { instrument: instrument.id, notional, min });
    }
    Ok(())
}

/// C09: the same order for another parent a moment ago is more likely a mistake than a wish.
pub(crate) fn no_look_alike(limits: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let child = &ask.intent.child;
    let Some((when, other)) = ask.market.recent.last(child.side, child.px, ask.qty) else { return Ok(()) };
    let age = ask.at.mono.saturating_sub(when);
    if other != child.parent && age < limits.duplicate_window.0 {
        let window_ms = limits.duplicate_window.as_millis();
        return Err(Refusal::Duplicate { other, age_ms: age / 1_000_000, window_ms });
    }
    Ok(())
}
