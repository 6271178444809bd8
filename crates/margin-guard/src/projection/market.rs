//! One market as the projection keeps it.

use std::sync::Arc;

use domain::margin::{MarginTable, liquidation_price};
use domain::{Book, Instrument, InstrumentId, Lots, Marks, Measure, PositionView, Px, Qty, Ratio, Side, Stamp, Usd};
use risk::buffer::{BufferParams, excursion, funding_cost, market_risk};
use rust_decimal::Decimal;

use super::Contribution;
use super::ladder::Ladder;
use super::load::Load;
use super::recent::Recent;
use crate::care::MarketCare;
use crate::groups::{Beta, Weighted};
use crate::limits::{Caps, Limits};
use crate::money::{Money, Tiers};
use crate::scenario::{FUNDING_CAP, Shape, funding};

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
    /// A wide look at it, in coarser steps.
    pub(crate) wide: Option<Arc<Book>>,
    pub(crate) measure: Option<Measure>,
    pub(crate) marks: Option<Marks>,
    pub(super) booked: Option<Lots>,
    pub(crate) view: Option<PositionView>,
    /// The mark when the account was reported last, and what the position of that report has gained since.
    pub(super) reported_at: Option<Px>,
    pub(super) since_report: Money,
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
    pub(super) stress: Stress,
    /// A question about the venue has no answer that counts.
    pub(crate) doubted: bool,
    /// How long leaving or refilling was seen to take, minutes: counts where it is more than what is configured.
    pub(crate) exit_minutes: u32,
    /// The newest bar behind the measure is too old.
    pub(crate) faded: bool,
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
        [of.buffer, of.runway] = self.load.slopes.cushions(worst);
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

    /// Brings the funding to count, and what must stay free, to the rate now and to what was measured.
    pub(super) fn restress(&mut self, limits: &Limits) {
        self.stress = self.stress(limits);
        self.refund();
    }

    /// Brings the funding to count to the rate now.
    pub(super) fn refund(&mut self) {
        let rate = self.marks.and_then(|m| m.funding_hourly);
        let stress = &self.stress;
        self.load.reshape(|shape| stress.apply(rate, shape));
    }

    /// What statistics say of the funding to come and of the moves to expect; kept until something new is measured.
    pub(super) fn stress(&self, limits: &Limits) -> Stress {
        let buffer = self.buffer_params(limits);
        // funding is settled on the hour: leaving within part of an hour may still pay one
        let (measure, hours) = (self.measure.as_ref(), buffer.exit_minutes.div_ceil(60));
        let view = measure.map(|m| m.funding).filter(|f| f.mean.is_some() && f.phi.is_some() && f.sigma.is_some());
        let params = limits.funding_params();
        let cap = Ratio::new(FUNDING_CAP).unwrap_or(Ratio::ONE);
        let bound = |hours: u32| {
            let view = view?;
            Some([Side::Buy, Side::Sell].map(|side| funding_cost(&params, &view, side, hours, cap).bound_without_receipts))
        };
        let sigma = self.volatility(buffer.sigma_unknown).0;
        let risk = market_risk(&buffer, Usd::whole(1), Some(sigma));
        let over = |hours: Decimal| excursion(risk, hours, buffer.alpha, buffer.tail).decimal();
        let unknown = if self.doubted { buffer.unknown_factor.decimal() } else { Decimal::ONE };
        Stress {
            bounds: self.load.shape.shocks().iter().map(|s| bound(s.hours)).collect(),
            leaving: (over(buffer.exit_hours()) + limits.sizing().fee_rate.decimal(), bound(hours), hours),
            factor: unknown,
            runway: over(buffer.runway_min_hours.decimal()),
        }
    }

    /// The buffer's numbers, with the exit delay that was measured if that is longer.
    pub(crate) fn buffer_params(&self, limits: &Limits) -> BufferParams {
        let own = limits.buffer_params();
        BufferParams { exit_minutes: own.exit_minutes.max(self.exit_minutes), ..own }
    }

    /// The annual volatility to reckon with, and whether it is measured: `unknown` at least, while it is not, or not of late.
    pub(crate) fn volatility(&self, unknown: Ratio) -> (Ratio, bool) {
        match self.measure.and_then(|m| m.volatility.forecast) {
            Some(forecast) if !self.faded => (forecast, true),
            // a forecast that is old and high is believed rather than a default that is lower
            forecast => (forecast.unwrap_or_default().max(unknown), false),
        }
    }

    /// The price at which an account worth `value`, or the position's own margin, would equal maintenance, `other` positions
    /// needing theirs.
    pub(crate) fn liquidation(&self, lots: Lots, value: Money, other: Money) -> Option<Usd> {
        let (rules, _, mark) = self.valuation()?;
        let (table, _) = self.table.as_ref()?;
        let (size, mark) = (rules.instrument.lots_decimal(lots), rules.instrument.px_decimal(mark));
        let price = liquidation_price(table, size, mark, value.usd().decimal(), other.usd().decimal())?;
        Usd::new(price).ok()
    }

    /// What the reported position has gained since its report; nothing if it has margin of its own, which equity leaves out.
    pub(super) fn gained(&self) -> Money {
        let cross = self.view.filter(|v| v.isolated_margin.is_none());
        match (cross, &self.rules, self.marks, self.reported_at) {
            (Some(view), Some(rules), Some(marks), Some(then)) => Money::value(marks.mark.0 - then.0, view.lots.0, rules.unit),
            (Some(_) | None, Some(_) | None, Some(_) | None, Some(_) | None) => Money::ZERO,
        }
    }

    /// What one lot is worth at the mark and at the oracle price.
    pub(crate) fn lot(&self) -> Option<(Money, Money)> {
        let (rules, _, mark) = self.valuation()?;
        let oracle = self.marks.map_or(mark, |m| m.oracle);
        Some((Money::value(mark.0, 1, rules.unit), Money::value(oracle.0, 1, rules.unit)))
    }

    pub(super) fn reprice(&mut self) {
        let lot = self.lot();
        self.load.reprice(lot);
    }
}

/// What statistics say of a market, as shares of a position's value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stress {
    /// By shock: bound on the funding of a long and of a short; nothing without a model of it.
    bounds: Vec<Option<[Ratio; 2]>>,
    /// For the time that leaving takes: adverse move and fee, bound on funding, whole hours.
    leaving: (Decimal, Option<[Ratio; 2]>, u32),
    /// Factor on the buffer while an answer about the venue is unknown.
    factor: Decimal,
    /// Adverse move over the least runway.
    runway: Decimal,
}

impl Stress {
    /// Fills `shape` with it and with the funding rate `now`.
    pub(super) fn apply(&self, now: Option<Ratio>, shape: &mut Shape) {
        shape.set_funding(|shock, hours| funding(now, self.bounds.get(shock).copied().flatten(), hours));
        let (moves, bound, hours) = &self.leaving;
        let paid = funding(now, *bound, *hours).into_iter().max().unwrap_or_default();
        // a share beyond what a ratio holds is beyond what any account holds
        let share = |value: Decimal| Ratio::new(value).unwrap_or(Ratio::scaled(1_000_000_000, 0));
        shape.set_cushions([share((*moves + paid.decimal()) * self.factor), share(self.runway)]);
    }
}
