//! The rules: small functions over one projection, each with its control's id.
//!
//! The first part holds for every order, the second only for orders that can grow a position. Rules of size are monotone: if
//! one allows a size, it allows every smaller size. The last part has lower bounds and look-alikes, which are not.

mod care;
mod data;
mod line;
mod order;
mod shape;
mod size;

use domain::{Intent, Px, Qty, Side, Stamp};

use crate::limits::Limits;
use crate::money::Money;
use crate::projection::{Contribution, Market, Parent, Projection, Rules, VenueState};
use crate::refusal::Refusal;

pub(crate) use line::{alone_name, shock_room};
pub(crate) use size::projected_cover;

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
    order::key_is_new_and_its_own,
    order::child_is_of_its_parent,
    order::stop_level,
    order::price_on_grid,
    order::market_takes_it,
    order::reduce_only_is_true,
    order::reductions_stay_true,
    order::own_orders_do_not_meet,
    order::price_near_reference,
    order::messages_left,
    order::parent_not_exceeded,
    data::market_allowed,
    data::market_not_frozen,
    data::streams_up,
    data::clocks_agree,
    data::book_fresh,
    data::account_known,
    data::exposure_known,
    care::looked_lately,
    care::budgets_left,
    care::oracle_believed,
    care::funding_calm,
    care::venue_accepts,
    care::not_repeating,
    size::open_orders,
    size::order_size,
    size::order_notional,
    size::market_exposure,
    size::venue_exposure,
    size::leverage,
    size::cover,
    size::isolated_cover,
    line::level_allows,
    line::withstands_shocks,
    line::liquidation_is_far,
    line::buffer_stays,
    care::allowed_size,
    care::group_exposure,
    care::layer2_share,
    care::venue_trust,
    shape::venue_minimum,
    shape::no_look_alike,
];

/// Whether a refusal says that the order is too small or too like another, so that a smaller one proves nothing.
pub(crate) const fn is_pinhole(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::TooSmall { .. } | Refusal::NotionalTooSmall { .. } | Refusal::Duplicate { .. })
}
