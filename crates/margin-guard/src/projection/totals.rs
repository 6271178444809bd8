//! The running totals against a recomputation (I28).

use std::collections::BTreeMap;

use domain::margin::MarginTable;
use domain::{InstrumentId, Lots, ParentId, Px, Qty, Side, Usd, Venue};
use serde::Serialize;

use super::{Market, Projection};
use crate::limits::VENUES;
use crate::money::{Money, SHARE_UNIT, Share, Tiers};
use crate::scenario::{Burden, CALM, Shape, Slopes};

/// One part of a projection, computed in two ways that must agree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Per market: worst-case long and short in lots, and working orders.
    pub markets: BTreeMap<InstrumentId, (Lots, Lots, u32)>,
    /// Per venue: worst-case value, its maintenance, maintenance of the booked positions, loss on orders through the mark.
    pub venues: BTreeMap<Venue, [Usd; 4]>,
    /// Per venue: the buffer that the worst case needs, what lasts for the least runway, and what the reported positions have
    /// gained since.
    pub buffers: BTreeMap<Venue, [Usd; 3]>,
    /// Per venue and shock: maintenance and loss; then what the worst market costs on top if it moves alone, and
    /// if it moves by the least distance from liquidation.
    pub shocks: BTreeMap<Venue, Shown>,
    /// Per parent: lots working.
    pub parents: BTreeMap<ParentId, Qty>,
}

/// The running totals differ from a recomputation: a programmer's error (I28).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the guard's running totals {running:?} differ from the recomputed {recomputed:?}")]
pub struct Drift {
    /// What the guard decides on.
    pub running: Box<Totals>,
    /// What it should be.
    pub recomputed: Box<Totals>,
}

impl Projection {
    /// The totals that decisions are made on.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for market in &self.markets {
            totals.markets.insert(market.id, (Lots(market.now.long), Lots(market.now.short), market.open));
        }
        for (venue, state) in self.venues() {
            let sums = [state.gross, state.maintenance, state.maintenance_now, state.adverse];
            totals.venues.insert(venue, sums.map(Money::usd));
            totals.buffers.insert(venue, [state.buffer.usd(), state.runway.usd(), state.since_report.usd()]);
            let of = &state.sums;
            totals.shocks.insert(venue, shown(of.joint.clone(), self.plan.names.len(), of.alone.max(), of.reach.max()));
        }
        for (id, parent) in &self.parents {
            totals.parents.insert(*id, parent.working);
        }
        totals
    }

    /// The same totals from positions, orders, marks and rules alone, by plain sums in the domain's own decimals (I28).
    #[must_use]
    pub fn from_scratch(&self) -> Totals {
        let mut totals = Totals::default();
        for venue in VENUES {
            totals.venues.insert(venue, [Usd::ZERO; 4]);
        }
        let mut shocked: BTreeMap<Venue, Shocked> = VENUES.iter().map(|v| (*v, Shocked::default())).collect();
        for (slot, market) in self.markets.iter().enumerate() {
            let working = || self.orders.values().chain(self.foreign.values()).filter(|o| o.slot == slot);
            let lots_of = |side: Side| working().filter(|o| o.side == side).map(|o| o.remaining.0).sum::<i64>();
            let held = self.position(market).unwrap_or_default();
            let (long, short) = (held + Lots(lots_of(Side::Buy)), held - Lots(lots_of(Side::Sell)));
            let open = u32::try_from(working().count()).unwrap_or(u32::MAX);
            totals.markets.insert(market.id, (long, short, open));
            if let Some(sums) = shocked.get_mut(&market.id.venue()) {
                sums.buffers[2] += market.gained().usd();
            }
            let unknown = self.position(market).is_none() && market.view.is_some();
            let (Some(rules), Some(marks), Some((table, _)), false) = (&market.rules, market.marks, &market.table, unknown)
            else {
                continue;
            };
            let instrument = &rules.instrument;
            let worst = if long.abs() > short.abs() { long.abs() } else { short.abs() };
            let gross = instrument.notional(marks.mark, worst);
            let mut adverse = Usd::ZERO;
            for order in working() {
                let loss = match order.side {
                    Side::Buy => order.px.0 - marks.mark.0,
                    Side::Sell => marks.mark.0 - order.px.0,
                };
                if loss > 0 {
                    adverse += instrument.notional(Px(loss), order.remaining);
                }
            }
            if let Some(sums) = shocked.get_mut(&market.id.venue()) {
                sums.add(market, table, (long, short), self.plan.cover);
            }
            let maintenance = |value: Usd| if value == Usd::ZERO { Usd::ZERO } else { table.maintenance(value) };
            let now = maintenance(instrument.notional(marks.mark, held.abs()));
            if let Some(sums) = totals.venues.get_mut(&market.id.venue()) {
                for (sum, more) in sums.iter_mut().zip([gross, maintenance(gross), now, adverse]) {
                    *sum += more;
                }
            }
        }
        for (venue, sums) in shocked {
            totals.shocks.insert(venue, shown(sums.joint, self.plan.names.len(), sums.alone, sums.reach));
            totals.buffers.insert(venue, sums.buffers);
        }
        for id in self.parents.keys() {
            let of_parent = self.orders.iter().filter(|(key, _)| key.parent() == *id);
            totals.parents.insert(*id, of_parent.map(|(_, o)| o.remaining).sum());
        }
        totals
    }
}

/// What the shocks do to a venue, added up market by market.
#[derive(Default)]
struct Shocked {
    joint: Vec<Burden>,
    alone: Option<i128>,
    reach: Option<i128>,
    buffers: [Usd; 3],
}

impl Shocked {
    /// Adds a market from its rules, marks and measure, with `ends` its longest and shortest position.
    fn add(&mut self, market: &Market, table: &MarginTable, ends: (Lots, Lots), cover: Share) {
        let mut shape = Shape::new(market.load.shape.shocks().to_vec());
        shape.set_tiers(&Tiers::of(table));
        market.stress.apply(market.marks.and_then(|m| m.funding_hourly), &mut shape);
        let mut slopes = Slopes::default();
        if let Some((mark, oracle)) = market.lot() {
            shape.slopes(mark, oracle, &mut slopes);
        }
        let size = ends.0.abs().max(ends.1.abs());
        for (sum, one) in self.buffers.iter_mut().zip(slopes.cushions(size.0)) {
            *sum += one.usd();
        }
        let isolated = market.view.is_some_and(|v| v.isolated_margin.is_some());
        let at = |shock: usize, lots: Lots| {
            let burden = slopes.burden(shock, lots.0);
            let loss = if isolated && burden.loss < Money::ZERO { Money::ZERO } else { burden.loss };
            Burden { loss, ..burden }
        };
        let named = shape.fall();
        self.joint.resize(named, Burden::default());
        let worst: Vec<Burden> = (0..named).map(|shock| at(shock, ends.0).heavier(at(shock, ends.1), cover)).collect();
        for (sum, one) in self.joint.iter_mut().zip(&worst) {
            *sum = sum.plus(*one);
        }
        if ends == (Lots::ZERO, Lots::ZERO) {
            return;
        }
        let weights: Vec<i128> = worst.iter().map(|b| b.weighed(cover)).collect();
        self.alone = self.alone.max(weights.iter().max().map(|w| w - weights[CALM]));
        if !isolated {
            let toward = |lots: Lots| slopes.burden(if lots.0 < 0 { named + 1 } else { named }, lots.0);
            let cost = |burden: Burden| burden.maintenance.plus(burden.loss).0;
            let reach = cost(toward(ends.0)).max(cost(toward(ends.1))) - market.now.maintenance.0;
            self.reach = self.reach.max(Some(reach));
        }
    }
}

/// By shock maintenance and loss; a market alone; a market by the least distance.
pub type Shown = (Vec<[Usd; 2]>, Option<Usd>, Option<Usd>);

fn shown(mut joint: Vec<Burden>, shocks: usize, alone: Option<i128>, reach: Option<i128>) -> Shown {
    joint.resize(shocks, Burden::default());
    let pairs = joint.iter().map(|b| [b.maintenance.usd(), b.loss.usd()]).collect();
    (pairs, alone.map(|a| Money(a / SHARE_UNIT).usd()), reach.map(|r| Money(r).usd()))
}
