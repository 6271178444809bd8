//! One market as the projection keeps it.

use std::sync::Arc;

use domain::margin::MarginTable;
use domain::{Book, Instrument, InstrumentId, Lots, Marks, Measure, PositionView, Px, Qty, Side, Stamp};

use super::Contribution;
use super::ladder::Ladder;
use super::load::Load;
use super::recent::Recent;
use crate::care::MarketCare;
use crate::groups::{Beta, Weighted};
use crate::limits::Caps;
use crate::money::{Money, Tiers};
use crate::scenario::{self, Stress};

/// The book as far as the rules ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BookView {
    pub(crate) mid_x2: Option<i64>,
    pub(crate) venue_ms: u64,
    pub(crate) at: Stamp,
}

/// The market's rules, with what is derived from them once.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) instrument: Arc<Instrument>,
    /// Money units per tick and lot.
    pub(crate) unit: i64,
    pub(crate) order_lots_max: Option<Qty>,
    pub(crate) notional_min: Money,
}

#[derive(Clone, Debug)]
pub(crate) struct Market {
    pub(crate) id: InstrumentId,
    pub(crate) caps: Caps,
    pub(crate) allowed: bool,
    pub(crate) rules: Option<Rules>,
    /// The margin table that applies to our position, which may have its own leverage.
    pub(super) table: Option<(MarginTable, Tiers)>,
    pub(crate) book: Option<BookView>,
    /// The whole of it, for walking its depth.
    pub(crate) depth: Option<Arc<Book>>,
    pub(crate) measure: Option<Measure>,
    pub(crate) marks: Option<Marks>,
    pub(super) booked: Option<Lots>,
    pub(crate) view: Option<PositionView>,
    pub(crate) frozen: Option<String>,
    pub(crate) buys: Ladder,
    pub(crate) sells: Ladder,
    pub(crate) open: u32,
    pub(crate) recent: Recent,
    pub(crate) care: MarketCare,
    /// Which of `Limits::groups` it belongs to, and what it adds to that group.
    pub(crate) group: Option<usize>,
    pub(crate) beta: Beta,
    pub(crate) weighted: Weighted,
    pub(crate) now: Contribution,
    /// Under the configured shocks.
    pub(crate) load: Load,
    /// Under which time the market stands in its venue's `mark_times`.
    pub(super) timed: Option<u64>,
}

impl Market {
    /// Rules, margin and mark, if all are known.
    pub(super) fn valuation(&self) -> Option<(&Rules, &Tiers, Px)> {
        Some((self.rules.as_ref()?, &self.table.as_ref()?.1, self.marks.as_ref()?.mark))
    }

    /// What `contribution` of this market adds to its group; nothing while it cannot be valued, which stops increases by itself.
    pub(crate) fn weigh(&self, contribution: &Contribution) -> Weighted {
        let Some((rules, _, mark)) = self.valuation().filter(|_| contribution.exposed && !contribution.blind) else {
            return Weighted::default();
        };
        let value = |lots: i64| Money::value(mark.0, lots, rules.unit);
        Weighted::of(self.beta, value(contribution.long), value(contribution.short), contribution.gross)
    }

    /// What the market would contribute with one more order: its present contribution, moved by the order alone.
    pub(crate) fn with_order(&self, side: Side, qty: Qty, px: Px) -> Contribution {
        let mut of = self.now;
        match side {
            Side::Buy => of.long = of.long.saturating_add(qty.0),
            Side::Sell => of.short = of.short.saturating_sub(qty.0),
        }
        let worst = of.long.saturating_abs().max(of.short.saturating_abs());
        of.exposed |= worst > 0;
        let Some((rules, tiers, mark)) = self.valuation().filter(|_| !of.blind) else {
            of.blind = of.exposed;
            return of;
        };
        of.gross = Money::value(mark.0, worst, rules.unit);
        of.maintenance = tiers.maintenance(of.gross);
        let through = px.0.saturating_sub(mark.0).saturating_mul(side.sign());
        if through > 0 {
            of.adverse = of.adverse.plus(Money::value(through, qty.0, rules.unit));
        }
        of
    }

    pub(super) fn ladder(&mut self, side: Side) -> &mut Ladder {
        match side {
            Side::Buy => &mut self.buys,
            Side::Sell => &mut self.sells,
        }
    }

    /// The best price at which an order of `side` could meet one of our own.
    pub(crate) fn own_opposite(&self, side: Side) -> Option<Px> {
        match side {
            Side::Buy => self.sells.lowest(),
            Side::Sell => self.buys.highest(),
        }
    }

    /// An account may have its own highest leverage in a market, reported with the position. It replaces the first tier's and
    /// caps the higher ones. A value that is no leverage is not believed.
    pub(super) fn choose_table(&mut self) {
        let Some(rules) = &self.rules else {
            self.table = None;
            self.reprice();
            return;
        };
        let market = &rules.instrument.margin;
        let own = self.view.map(|v| v.leverage_max).filter(|own| *own != rules.instrument.leverage_max);
        let table = own.and_then(|own| market.table_at(own)).unwrap_or_else(|| market.table().clone());
        let tiers = Tiers::of(&table);
        self.load.reshape(|shape| shape.set_tiers(&tiers));
        self.table = Some((table, tiers));
        self.reprice();
    }

    /// The funding to count under stress, from the rate now and what was measured.
    pub(super) fn restress(&mut self) {
        let stress = self.stress();
        self.load.reshape(|shape| shape.set_stress(stress));
    }

    pub(super) fn stress(&self) -> Stress {
        scenario::stress(self.marks.and_then(|m| m.funding_hourly), None)
    }

    /// What one lot is worth at the mark and at the oracle price.
    pub(super) fn lot(&self) -> Option<(Money, Money)> {
        let (rules, _, mark) = self.valuation()?;
        let oracle = self.marks.map_or(mark, |m| m.oracle);
        Some((Money::value(mark.0, 1, rules.unit), Money::value(oracle.0, 1, rules.unit)))
    }

    pub(super) fn reprice(&mut self) {
        let lot = self.lot();
        self.load.reprice(lot);
    }
}
