//! The rules: small functions over one projection, each with its control's id.
//!
//! The first part holds for every order, the second only for orders that can grow a position. Rules of size are monotone: if
//! one allows a size, it allows every smaller size. The last part has lower bounds and look-alikes, which are not.

use domain::{Intent, MarketStatus, Px, Qty, Side, Stamp, StopLevel, StreamHealth, StreamKind, Tif};

use crate::limits::Limits;
use crate::money::{Money, SHARE_UNIT};
use crate::projection::{Contribution, Market, Parent, Projection, Rules, VenueState};
use crate::refusal::{Datum, Refusal, Scope};

/// An order and what would follow from it, worked out once for all rules.
pub(crate) struct Ask<'a> {
    pub(crate) at: Stamp,
    pub(crate) intent: &'a Intent,
    pub(crate) qty: Qty,
    pub(crate) slot: usize,
    pub(crate) market: &'a Market,
    pub(crate) venue: &'a VenueState,
    pub(crate) rules: &'a Rules,
    pub(crate) parent: &'a Parent,
    /// Lots of the position that no working order closes yet and that this order's side would close.
    pub(crate) closable: Qty,
    /// It can grow the position under worst-case fills of all working orders, or flip it.
    pub(crate) increasing: bool,
    /// What the market would contribute with this order working.
    pub(crate) after: Contribution,
    pub(crate) reference: Reference,
}

/// Median of oracle, mark and mid in quarter ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// Of the fresh ones; of those that exist, however old, if fewer than two are fresh.
    pub(crate) x4: Option<i64>,
    pub(crate) fresh: u8,
}

impl Reference {
    pub(crate) fn of(limits: &Limits, market: &Market, at: Stamp) -> Reference {
        let marks = market.marks.map(|m| (at.since(m.at) <= limits.marks_age, m.oracle.0 * 4, m.mark.0 * 4));
        let mid = market.book.and_then(|b| Some((at.since(b.at) <= market.caps.book_age, b.mid_x2? * 2)));
        let fresh = marks.filter(|m| m.0).map_or(0, |_| 2) + mid.filter(|m| m.0).map_or(0, |_| 1);
        let (marks, mid) = if fresh >= 2 { (marks.filter(|m| m.0), mid.filter(|m| m.0)) } else { (marks, mid) };
        let x4 = match (marks, mid) {
            (Some((_, oracle, mark)), Some((_, mid))) => Some(oracle.max(mark).min(oracle.min(mark).max(mid))),
            (Some((_, oracle, mark)), None) => Some(oracle / 2 + mark / 2),
            (None, mid) => mid.map(|m| m.1),
        };
        Reference { x4, fresh }
    }

    /// To the nearest tick.
    pub(crate) fn px(self) -> Option<Px> {
        self.x4.map(|x4| Px((x4 + 2).div_euclid(4)))
    }
}

impl<'a> Ask<'a> {
    /// `intent`, but for `qty` lots.
    pub(crate) fn new(
        limits: &Limits,
        projection: &'a Projection,
        at: Stamp,
        intent: &'a Intent,
        qty: Qty,
    ) -> Result<Ask<'a>, Refusal> {
        let child = &intent.child;
        let unknown = Refusal::UnknownInstrument { instrument: child.instrument };
        let Some(slot) = projection.slot(child.instrument) else { return Err(unknown) };
        let market = &projection.markets[slot];
        let Some(rules) = &market.rules else { return Err(unknown) };
        let parent = projection.parents.get(&child.parent).ok_or(Refusal::UnknownParent { parent: child.parent })?;
        let closable = closable(projection, market, child.side);
        Ok(Ask {
            at,
            intent,
            qty,
            slot,
            market,
            venue: projection.venue(child.instrument.venue()),
            rules,
            parent,
            closable,
            increasing: qty > closable,
            after: market.with_order(child.side, qty, child.px),
            reference: Reference::of(limits, market, at),
        })
    }

    /// The same order of another size.
    pub(crate) fn sized(&self, qty: Qty) -> Ask<'a> {
        let child = &self.intent.child;
        let after = self.market.with_order(child.side, qty, child.px);
        Ask { qty, increasing: qty > self.closable, after, ..*self }
    }

    fn value_at(&self, px: Px) -> Money {
        Money::value(px.0, self.qty.0, self.rules.unit)
    }
}

/// How many lots an order of `side` could close, counting every working order of that side first (I07).
///
/// In a frozen market the books and the venue disagree: only what both say can be closed counts.
fn closable(projection: &Projection, market: &Market, side: Side) -> Qty {
    let Some(mut position) = projection.position(market) else { return Qty::ZERO };
    if market.frozen.is_some() {
        let reported = market.view.map_or(0, |v| v.lots.0);
        let same_way = reported.signum() == position.0.signum();
        position.0 = match position.0.signum() {
            1 if same_way => position.0.min(reported),
            -1 if same_way => position.0.max(reported),
            _ => 0,
        };
    }
    let (held, working) = match side {
        Side::Buy => (position.0.saturating_neg(), market.buys.lots),
        Side::Sell => (position.0, market.sells.lots),
    };
    Qty(held.saturating_sub(working).max(0))
}

pub(crate) type Rule = fn(&Limits, &Projection, &Ask<'_>) -> Result<(), Refusal>;

/// All rules, in the order in which they are asked: what says most comes first, lower bounds and look-alikes last.
pub(crate) const RULES: &[Rule] = &[
    key_is_new_and_its_own,
    child_is_of_its_parent,
    stop_level,
    price_on_grid,
    market_takes_it,
    reduce_only_is_true,
    reductions_stay_true,
    own_orders_do_not_meet,
    price_near_reference,
    messages_left,
    parent_not_exceeded,
    market_allowed,
    market_not_frozen,
    streams_up,
    clocks_agree,
    book_fresh,
    account_known,
    exposure_known,
    open_orders,
    order_size,
    order_notional,
    market_exposure,
    venue_exposure,
    leverage,
    cover,
    isolated_cover,
    venue_minimum,
    no_look_alike,
];

/// Whether a refusal says that the order is too small or too like another, so that a smaller one proves nothing.
pub(crate) const fn is_pinhole(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::TooSmall { .. } | Refusal::NotionalTooSmall { .. } | Refusal::Duplicate { .. })
}

// ---- every order

/// C09: a key is used once.
fn key_is_new_and_its_own(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let (key, child) = (ask.intent.key, &ask.intent.child);
    if key.parent() != child.parent || key.child() != child.no {
        return Err(Refusal::WrongKey { key, parent: child.parent, no: child.no.0 });
    }
    if ask.parent.has_seen(key) { Err(Refusal::DuplicateKey { key }) } else { Ok(()) }
}

fn child_is_of_its_parent(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
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

/// Levels above reduce-only stop every order before a rule is asked.
fn stop_level(_: &Limits, projection: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    match projection.stop {
        StopLevel::Run => Ok(()),
        StopLevel::ReduceOnly if !ask.increasing => Ok(()),
        level @ (StopLevel::ReduceOnly | StopLevel::Block | StopLevel::Cancel) => Err(Refusal::Stopped { level }),
    }
}

/// C19: what the venue would refuse anyway.
fn price_on_grid(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let (instrument, px) = (&ask.rules.instrument, ask.intent.child.px);
    if instrument.allows_px(px) {
        return Ok(());
    }
    let step = if px.0 > 0 { instrument.step_at(px) } else { 1 };
    Err(Refusal::OffGrid { instrument: instrument.id, px, step })
}

/// C19, C20, C51: the market's own state.
fn market_takes_it(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
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
fn reduce_only_is_true(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    if ask.intent.child.reduce_only && ask.increasing {
        return Err(Refusal::NotReducing { closable: ask.closable, asked: ask.qty, room: Qty::ZERO });
    }
    Ok(())
}

/// I07 for the reduce-only orders that work already: an order of their side that outgrows the position could fill first and
/// turn them into increases.
fn reductions_stay_true(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
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
fn own_orders_do_not_meet(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
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
fn price_near_reference(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
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
fn messages_left(limits: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
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
fn parent_not_exceeded(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let Parent { total, filled, working, .. } = *ask.parent;
    let after = i128::from(filled.0) + i128::from(working.0) + i128::from(ask.qty.0);
    if after > i128::from(total.0) {
        let parent = ask.intent.child.parent;
        return Err(Refusal::ParentExceeded { parent, total, filled, working, asked: ask.qty, room: Qty::ZERO });
    }
    Ok(())
}

// ---- orders that can grow a position

/// C20.
fn market_allowed(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    if ask.increasing && !ask.market.allowed { Err(Refusal::NotAllowed { instrument: ask.market.id }) } else { Ok(()) }
}

/// C27: a break, or an order that nobody can explain.
fn market_not_frozen(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    match &ask.market.frozen {
        Some(why) if ask.increasing => Err(Refusal::Frozen { instrument: ask.market.id, why: why.clone() }),
        Some(_) | None => Ok(()),
    }
}

/// F01, F04: what is not heard of is not known.
fn streams_up(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
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
fn clocks_agree(limits: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
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
fn book_fresh(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
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

fn account_known(limits: &Limits, projection: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
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
fn exposure_known(limits: &Limits, projection: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
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

fn too_old(limits: &Limits, now: Stamp, mono: u64, market: &Market) -> Result<(), Refusal> {
    let age = now.mono.saturating_sub(mono);
    if age > limits.marks_age.0 {
        let (age_ms, max_ms) = (age / 1_000_000, limits.marks_age.as_millis());
        return Err(Refusal::Stale { datum: Datum::Marks, of: market.id.to_string(), age_ms, max_ms });
    }
    Ok(())
}

fn blind(projection: &Projection, market: &Market) -> Refusal {
    let datum = match () {
        () if market.rules.is_none() => Datum::Instrument,
        () if projection.position(market).is_none() => Datum::Position,
        () => Datum::Marks,
    };
    Refusal::Missing { datum, of: market.id.to_string() }
}

/// C06.
fn open_orders(limits: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
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
fn order_size(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    match ask.rules.order_lots_max {
        Some(max) if ask.increasing && ask.qty > max => {
            Err(Refusal::OrderSize { instrument: ask.market.id, asked: ask.qty, max, room: Qty::ZERO })
        }
        Some(_) | None => Ok(()),
    }
}

/// C04.
fn order_notional(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let px = ask.intent.child.px.max(ask.reference.px().unwrap_or_default());
    let (notional, max) = (ask.value_at(px), ask.market.caps.order_notional);
    if ask.increasing && notional > max {
        return Err(Refusal::OrderNotional { notional: notional.usd(), max: max.usd(), room: Qty::ZERO });
    }
    Ok(())
}

/// C11, I04: the side that the order adds to.
fn market_exposure(_: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
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
fn venue_exposure(limits: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
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
fn leverage(limits: &Limits, projection: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
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
        let account = state.account.map_or(Money::ZERO, |a| a.equity);
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
    let equity = venue.account.map_or(Money::ZERO, |a| a.equity);
    let adverse = venue.adverse.plus(ask.after.adverse).minus(now.adverse);
    let maintenance = venue.maintenance.plus(ask.after.maintenance).minus(now.maintenance);
    (equity.minus(adverse), maintenance.plus(venue.maintenance_unexplained()))
}

/// C14.
fn cover(limits: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
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
fn isolated_cover(limits: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
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

// ---- lower bounds and look-alikes

/// C19: the venue's minimum. An order that closes a whole position is exempt from the value, not from the lot.
fn venue_minimum(_: &Limits, projection: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
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
fn no_look_alike(limits: &Limits, _: &Projection, ask: &Ask<'_>) -> Result<(), Refusal> {
    let child = &ask.intent.child;
    let Some((when, other)) = ask.market.recent.last(child.side, child.px, ask.qty) else { return Ok(()) };
    let age = ask.at.mono.saturating_sub(when);
    if other != child.parent && age < limits.duplicate_window.0 {
        let window_ms = limits.duplicate_window.as_millis();
        return Err(Refusal::Duplicate { other, age_ms: age / 1_000_000, window_ms });
    }
    Ok(())
}
