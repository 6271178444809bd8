//! Rules for orders that can grow a position, read from what the last look left behind (`care`) and from what is watched of
//! oracles, refusals and repetition. The first say whether anything may grow at all, the last how much.

use domain::{Qty, Side};

use super::Ask;
use crate::assess::scope_words;
use crate::care::Sized;
use crate::limits::{Limits, venue_slot};
use crate::money::Money;
use crate::oracle::{OracleTrouble, basis_bps};
use crate::projection::Projection;
use crate::refusal::{Datum, Refusal, Scope};

/// Nothing grows on a look that is too old, or that missed what it needed (I34).
pub(crate) fn looked_lately(_: &Limits, projection: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    if !ask.increasing {
        return Ok(());
    }
    sized(projection, ask).map(|_| ())
}

/// The market's sizes, if the look that worked them out still counts.
fn sized<'a>(projection: &Projection, ask: &Ask<'a>) -> Result<&'a Sized, Refusal> {
    crate::care::usable(&projection.care, &ask.market.care, ask.market.id, ask.at)
}

/// C16: a budget that is spent.
pub(crate) fn budgets_left(_: &Limits, projection: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let spent = projection.care.spent.as_ref().or(ask.market.care.spent.as_ref());
    match spent {
        Some(verdict) if ask.increasing => {
            let (loss, max) = (verdict.loss, verdict.budget);
            Err(Refusal::Drawdown { scope: scope_words(&verdict.scope), loss, max })
        }
        Some(_) | None => Ok(()),
    }
}

/// C15: paying or receiving alike, what stands out this far does not last.
pub(crate) fn funding_calm(_: &Limits, projection: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    if !ask.increasing {
        return Ok(());
    }
    match &sized(projection, ask)?.red {
        Some(why) => Err(Refusal::Funding { instrument: ask.market.id, why: why.clone() }),
        None => Ok(()),
    }
}

/// C18, F37 to F39: by what was watched, and by the oracle as it stands against the mid now.
pub(crate) fn oracle_believed(limits: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    if !ask.increasing {
        return Ok(());
    }
    let instrument = ask.market.id;
    if let Some(doubt) = ask.market.care.oracle.doubt(limits, ask.at) {
        let quarantine_ms = doubt.left.map(|left| left.0.div_ceil(1_000_000));
        return Err(Refusal::Oracle { instrument, trouble: doubt.trouble, quarantine_ms });
    }
    let Some(marks) = &ask.market.marks else {
        return Err(Refusal::Missing { datum: Datum::Marks, of: instrument.to_string() });
    };
    let (basis_bps, max_bps) = (basis_bps(marks, ask.market.book.and_then(|b| b.mid_x2)), limits.oracle().basis_max());
    if basis_bps >= max_bps {
        let trouble = OracleTrouble::Apart { basis_bps, max_bps };
        return Err(Refusal::Oracle { instrument, trouble, quarantine_ms: None });
    }
    Ok(())
}

/// C50.
pub(crate) fn venue_accepts(limits: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    if !ask.increasing {
        return Ok(());
    }
    let child = &ask.intent.child;
    let watched = [(Scope::Market(ask.market.id), &ask.market.care.rejects), (Scope::Parent(child.parent), &ask.parent.rejects)];
    for (scope, watch) in watched {
        if let Some((storm, left)) = watch.storm(limits.rejects(), ask.at) {
            let (refusals, answers) = (storm.refusals, storm.answers);
            return Err(Refusal::RejectStorm { scope, refusals, answers, quiet_ms: left.0.div_ceil(1_000_000) });
        }
    }
    Ok(())
}

/// C08, I30.
pub(crate) fn not_repeating(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    match ask.parent.repeat.latched() {
        Some(repeated) if ask.increasing => Err(Refusal::Repeating { parent: ask.intent.child.parent, why: repeated.words() }),
        Some(_) | None => Ok(()),
    }
}

/// C11, quant §1: the worst case on the order's side within what sizing allows.
pub(crate) fn allowed_size(_: &Limits, projection: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let Some(marks) = ask.market.marks.filter(|_| ask.increasing) else { return Ok(()) };
    let side = ask.intent.child.side;
    let lots = match side {
        Side::Buy => ask.after.long,
        Side::Sell => ask.after.short.saturating_neg(),
    };
    let allowance = sized(projection, ask)?.of(side);
    let would_be = Money::value(marks.mark.0, lots, ask.rules.unit);
    if would_be > allowance.max {
        return Err(Refusal::Sizing {
            instrument: ask.market.id,
            side,
            would_be: would_be.usd(),
            max: allowance.max.usd(),
            cap: allowance.cap,
            why: allowance.why.clone(),
            room: Qty::ZERO,
        });
    }
    Ok(())
}

/// C11, quant §1.8: markets that move together, net in the direction that the order pushes and gross.
pub(crate) fn group_exposure(limits: &Limits, projection: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let Some(index) = ask.market.group.filter(|_| ask.increasing) else { return Ok(()) };
    let sums = projection.groups.get(index).copied().unwrap_or_default();
    let (net_max, gross_max) = projection.care.groups.get(index).copied().unwrap_or_default();
    let after = sums.moved(&ask.market.weighted, &ask.market.weigh(&ask.after));
    let net = after.net(ask.market.beta.direction(ask.intent.child.side));
    for (what, would_be, max) in [("net", net, net_max), ("gross", after.gross(), gross_max)] {
        if would_be > max {
            let group = limits.groups().get(index).map(|g| g.name.clone()).unwrap_or_default();
            let (would_be, max) = (would_be.usd(), max.usd());
            return Err(Refusal::GroupExposure { group, what, would_be, max, room: Qty::ZERO });
        }
    }
    Ok(())
}

/// Quant §1.1: every venue that the program trades is a Layer-2 venue.
pub(crate) fn layer2_share(_: &Limits, projection: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    if !ask.increasing {
        return Ok(());
    }
    let others = ask.after.gross.minus(ask.market.now.gross);
    let would_be = projection.venues().fold(others, |sum, (_, state)| sum.plus(state.gross));
    if would_be > projection.care.layer2 {
        let (would_be, max) = (would_be.usd(), projection.care.layer2.usd());
        return Err(Refusal::Layer2Share { would_be, max, room: Qty::ZERO });
    }
    Ok(())
}

/// Quant §1.9: the less is known of a venue, the less may be held there.
pub(crate) fn venue_trust(_: &Limits, projection: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    if !ask.increasing {
        return Ok(());
    }
    let venue = ask.market.id.venue();
    let (trust, max) = projection.care.venues[venue_slot(venue)];
    let would_be = ask.venue.gross.plus(ask.after.gross).minus(ask.market.now.gross);
    if would_be > max {
        return Err(Refusal::VenueTrust { venue, trust, would_be: would_be.usd(), max: max.usd(), room: Qty::ZERO });
    }
    Ok(())
}
