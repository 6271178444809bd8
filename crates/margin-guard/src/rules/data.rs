//! Rules for orders that can grow a position: the market is one where that is wanted, and what is known of it is fresh.

use domain::{Stamp, StreamHealth, StreamKind};

use super::Ask;
use crate::limits::Limits;
use crate::money::Money;
use crate::projection::{Market, Projection};
use crate::refusal::{Datum, Refusal};

/// C20.
pub(crate) fn market_allowed(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    if ask.increasing && !ask.market.allowed { Err(Refusal::NotAllowed { instrument: ask.market.id }) } else { Ok(()) }
}

/// C27: a break, or an order that nobody can explain.
pub(crate) fn market_not_frozen(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    match &ask.market.frozen {
        Some(why) if ask.increasing => Err(Refusal::Frozen { instrument: ask.market.id, why: why.clone() }),
        Some(_) | None => Ok(()),
    }
}

/// F01, F04: what is not heard of is not known.
pub(crate) fn streams_up(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    if !ask.increasing {
        return Ok(());
    }
    for stream in [StreamKind::Market, StreamKind::Account] {
        match ask.venue.stream(stream) {
            Some(StreamHealth::Up) => {}
            Some(StreamHealth::Stale | StreamHealth::Down) | None => {
                return Err(Refusal::StreamDown { venue: ask.market.id.venue(), stream });
            }
        }
    }
    Ok(())
}

/// F76.
pub(crate) fn clocks_agree(limits: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let venue = ask.market.id.venue();
    match ask.venue.clock_offset_ms {
        _ if !ask.increasing => Ok(()),
        None => Err(Refusal::Missing { datum: Datum::ClockOffset, of: venue.to_string() }),
        Some(offset_ms) if offset_ms.unsigned_abs() > limits.clock_offset_ms => {
            Err(Refusal::ClockOffset { venue, offset_ms, max_ms: limits.clock_offset_ms })
        }
        Some(_) => Ok(()),
    }
}

/// C17, G32: by our receipt and by the venue's own time; both sides there and apart.
pub(crate) fn book_fresh(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    if !ask.increasing {
        return Ok(());
    }
    let (instrument, max) = (ask.market.id, ask.market.caps.book_age);
    let Some(book) = &ask.market.book else {
        return Err(Refusal::Missing { datum: Datum::Book, of: instrument.to_string() });
    };
    let stale = |datum, age_ms| Err(Refusal::Stale { datum, of: instrument.to_string(), age_ms, max_ms: max.as_millis() });
    let received = ask.at.since(book.at);
    if received > max {
        return stale(Datum::Book, received.as_millis());
    }
    let venue_now = ask.at.wall_ms.saturating_add_signed(ask.venue.clock_offset_ms.unwrap_or(0));
    let by_venue = venue_now.saturating_sub(book.venue_ms);
    if by_venue > max.as_millis() {
        return stale(Datum::BookVenueTime, by_venue);
    }
    if book.mid_x2.is_none() { Err(Refusal::BadBook { instrument }) } else { Ok(()) }
}

pub(crate) fn account_known(limits: &Limits, projection: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    if !ask.increasing {
        return Ok(());
    }
    for (venue, state) in projection.venues() {
        let matters = venue == ask.market.id.venue() || state.gross > Money::ZERO || !state.blind.is_empty();
        match state.account {
            _ if !matters => {}
            None => return Err(Refusal::Missing { datum: Datum::Account, of: venue.to_string() }),
            Some(account) => {
                let age = ask.at.since(account.at);
                if age > limits.account_age {
                    let (age_ms, max_ms) = (age.as_millis(), limits.account_age.as_millis());
                    return Err(Refusal::Stale { datum: Datum::Account, of: venue.to_string(), age_ms, max_ms });
                }
            }
        }
    }
    Ok(())
}

/// The sums below mean something only if every exposed market can be valued, at marks that are not too old.
pub(crate) fn exposure_known(limits: &Limits, projection: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    if !ask.increasing {
        return Ok(());
    }
    if ask.after.blind {
        return Err(blind(projection, ask.market));
    }
    for (_, state) in projection.venues() {
        if let Some(slot) = state.blind.first() {
            return Err(blind(projection, &projection.markets[*slot]));
        }
        let Some((mono, slot)) = state.mark_times.first() else { continue };
        too_old(limits, ask.at, *mono, &projection.markets[*slot])?;
    }
    match &ask.market.marks {
        Some(marks) => too_old(limits, ask.at, marks.at.mono, ask.market),
        None => Err(blind(projection, ask.market)),
    }
}

pub(crate) fn too_old(limits: &Limits, now: Stamp, mono: u64, market: &Market) -> Result<(), Refusal> {
    let age = now.mono.saturating_sub(mono);
    if age > limits.marks_age.0 {
        let (age_ms, max_ms) = (age / 1_000_000, limits.marks_age.as_millis());
        return Err(Refusal::Stale { datum: Datum::Marks, of: market.id.to_string(), age_ms, max_ms });
    }
    Ok(())
}

pub(crate) fn blind(projection: &Projection, market: &Market) -> Refusal {
    let datum = match () {
        () if market.rules.is_none() => Datum::Instrument,
        () if projection.position(market).is_none() => Datum::Position,
        () => Datum::Marks,
    };
    Refusal::Missing { datum, of: market.id.to_string() }
}
