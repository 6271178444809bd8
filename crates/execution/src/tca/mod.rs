//! Transaction-cost analysis from the journal alone (quant §2.4).
//!
//! Everything is exact decimal arithmetic on what was recorded. A figure that the record does not support (a markout without
//! later mids, an opportunity cost without a mid at the end) is absent, never zero. Basis points and shares are rounded to four
//! decimals, halves away from zero; positive basis points are costs, except markouts, where positive is good for us.

mod render;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use domain::{
    Arrival, ClientKey, Entry, Fill, Instrument, InstrumentId, LiquidityRole, MarketTrade, OrderOutcome, ParentChange, ParentId,
    ParentOutcome, ParentSpec, Placement, Prng, Ratio, Schedule, Side, Span, Stamp, Stamped, Tif, Usd,
};
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Serialize;

use crate::schedule::{ONE, Shape};

/// Seconds after a fill at which the mid is looked at.
pub const MARKOUT_SECS: [u64; 5] = [1, 5, 30, 60, 300];
/// Fills waiting for their markouts; beyond that the oldest go without.
const PENDING_MAX: usize = 10_000;
/// Participation has no slices of its own: it is reported in as many parts of its horizon.
const PARTS: u32 = 10;
/// From this many parents on, an aggregate is given an interval.
const AGGREGATE_MIN: usize = 30;
const RESAMPLES: usize = 1_000;

/// What implementation shortfall is computed from: prices in money per unit, quantities in units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execution {
    /// Buying or selling.
    pub side: Side,
    /// Q, what was wanted.
    pub quantity: Decimal,
    /// mid₀, the mid at the decision.
    pub decision: Decimal,
    /// mid₁, the mid at the first order; absent if nothing was sent.
    pub arrival: Option<Decimal>,
    /// What was filled.
    pub filled: Decimal,
    /// Σ price · quantity of the fills.
    pub spent: Decimal,
    /// The mid at the end; only needed for what was not filled.
    pub end: Option<Decimal>,
    /// Fees paid.
    pub fees: Decimal,
    /// Funding paid while open, if known.
    pub funding: Option<Decimal>,
}

/// Perold's implementation shortfall in money, positive is cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Shortfall {
    /// s·F·(mid₁ − mid₀): what waiting before the first order cost.
    pub delay: Decimal,
    /// s·F·(P̄ − mid₁): what trading cost.
    pub execution: Decimal,
    /// s·(Q − F)·(mid_end − mid₀): what was missed; absent without a mid at the end.
    pub opportunity: Option<Decimal>,
    /// Fees.
    pub fees: Decimal,
    /// Funding; absent if none was recorded.
    pub funding: Option<Decimal>,
    /// The sum; absent if the opportunity is.
    pub total: Option<Decimal>,
}

impl Execution {
    /// The decomposition. `None` if a product leaves the decimal's range.
    #[must_use]
    pub fn shortfall(&self) -> Option<Shortfall> {
        let s = Decimal::from(self.side.sign());
        let first = self.arrival.unwrap_or(self.decision);
        let delay = s.checked_mul(self.filled)?.checked_mul(first.checked_sub(self.decision)?)?;
        let execution = s.checked_mul(self.spent.checked_sub(self.filled.checked_mul(first)?)?)?;
        let left = self.quantity.checked_sub(self.filled)?;
        let opportunity = match self.end {
            _ if left.is_zero() => Some(Decimal::ZERO),
            Some(end) => Some(s.checked_mul(left)?.checked_mul(end.checked_sub(self.decision)?)?),
            None => None,
        };
        let known = delay.checked_add(execution)?.checked_add(self.fees)?.checked_add(self.funding.unwrap_or_default())?;
        let total = match opportunity {
            Some(missed) => Some(known.checked_add(missed)?),
            None => None,
        };
        Some(Shortfall { delay, execution, opportunity, fees: self.fees, funding: self.funding, total })
    }

    /// `money` in basis points of Q·mid₀, unrounded. `None` if that is zero or out of range.
    #[must_use]
    pub fn bps(&self, money: Decimal) -> Option<Decimal> {
        let notional = self.quantity.checked_mul(self.decision)?;
        money.checked_mul(Decimal::from(10_000))?.checked_div(notional)
    }
}

/// Folds journal entries into reports. Mids and trades of the market may be given besides; they add what needs them.
#[derive(Clone, Debug, Default)]
pub struct ReportBuilder {
    instruments: BTreeMap<InstrumentId, Instrument>,
    parents: BTreeMap<ParentId, Account>,
    now: Stamp,
}

/// What is known of one parent.
#[derive(Clone, Debug)]
struct Account {
    spec: ParentSpec,
    start: Stamp,
    arrival: Arrival,
    ended: Option<(Stamp, ParentOutcome)>,
    end_mid_x2: Option<i64>,
    first_mid_x2: Option<i64>,
    all: Part,
    parts: Vec<Part>,
    refusals: u64,
    rejects: u32,
    cancels: u32,
    fills: u32,
    unknowns: u32,
    amends: u32,
    by_tif: [i128; 3],
    funding: Option<Usd>,
    /// Lifetime and part of each child.
    children: BTreeMap<ClientKey, (Tif, usize)>,
    leg: Leg,
    schedule_error: Option<i128>,
    market: Market,
}

/// Sums over fills, in lots and tick·lots.
#[derive(Clone, Debug, Default)]
struct Part {
    filled: i64,
    value: i128,
    maker_value: i128,
    fees: Usd,
    children: u32,
    first_mid_x2: Option<i64>,
}

/// The schedule in force: from the start or the last amendment.
#[derive(Clone, Debug)]
struct Leg {
    start: Stamp,
    base: i64,
    qty: i64,
    horizon: Span,
    shape: Option<Shape>,
}

/// What was seen of the market while the parent was open.
#[derive(Clone, Debug, Default)]
struct Market {
    /// Last mid (doubled) and since when; Σ mid·ns and Σ ns.
    mid: Option<(u64, i64)>,
    mid_time: i128,
    time: u64,
    volume: i64,
    value: i128,
    /// Fills and when to look: due, which of `MARKOUT_SECS`, price, quantity.
    pending: VecDeque<(u64, usize, i64, i64)>,
    /// Σ s·(mid − price)·2·quantity and Σ price·quantity, per markout.
    markouts: [(i128, i128); MARKOUT_SECS.len()],
}

impl ReportBuilder {
    /// Nothing folded yet.
    #[must_use]
    pub fn new() -> ReportBuilder {
        ReportBuilder::default()
    }

    /// An instrument's units, if the journal does not hold them. Without them prices are in ticks and quantities in lots.
    pub fn instrument(&mut self, instrument: &Instrument) {
        self.instruments.insert(instrument.id, instrument.clone());
    }

    /// Takes one journal entry, in journal order.
    pub fn fold(&mut self, stamped: &Stamped) {
        let at = stamped.at;
        self.now = self.now.max(at);
        match &stamped.entry {
            Entry::Instrument(instrument) => self.instrument(instrument),
            Entry::Parent { spec, start, arrival } => {
                self.parents.insert(spec.id, Account::new(spec, *start, *arrival));
            }
            Entry::Changed { parent, change, .. } => {
                if let Some(account) = self.parents.get_mut(parent) {
                    account.change(at, change);
                }
            }
            Entry::Ended { parent, outcome, mid_x2 } => {
                if let Some(account) = self.parents.get_mut(parent) {
                    account.err(at);
                    account.ended = Some((at, outcome.clone()));
                    account.end_mid_x2 = *mid_x2;
                }
            }
            Entry::Intent { intent, mid_x2, .. } => {
                if let Some(account) = self.parents.get_mut(&intent.child.parent) {
                    let part = account.part(at);
                    account.first_mid_x2 = account.first_mid_x2.or(*mid_x2);
                    account.all.children += 1;
                    account.parts[part].children += 1;
                    account.parts[part].first_mid_x2 = account.parts[part].first_mid_x2.or(*mid_x2);
                    account.children.insert(intent.key, (intent.child.tif, part));
                }
            }
            Entry::Refused { child, count, .. } => {
                if let Some(account) = self.parents.get_mut(&child.parent) {
                    account.refusals += u64::from((*count).max(1));
                }
            }
            Entry::Unknown { key, .. } => self.with(*key, |a| a.unknowns += 1),
            Entry::CancelAsked { key } => self.with(*key, |a| a.cancels += 1),
            Entry::Done { key, outcome, .. } => {
                if *outcome == OrderOutcome::Rejected {
                    self.with(*key, |a| a.rejects += 1);
                }
            }
            Entry::Fill(fill) => {
                if let Some(key) = fill.key {
                    self.with(key, |a| a.fill(at, key, fill));
                }
            }
            Entry::Funding(payment) => {
                for account in self.parents.values_mut().filter(|a| a.open_on(payment.instrument)) {
                    account.fund(payment.amount, payment.position.0);
                }
            }
            Entry::Epoch { .. }
            | Entry::Limits { .. }
            | Entry::Acked { .. }
            | Entry::Latch(_)
            | Entry::Rearm { .. }
            | Entry::Approved(_)
            | Entry::Frozen { .. }
            | Entry::Unfrozen { .. }
            | Entry::Opening { .. }
            | Entry::Stranger { .. }
            | Entry::Measured(_)
            | Entry::Level(_)
            | Entry::Profit(_)
            | Entry::Treasury { .. }
            | Entry::Reloaded(_)
            | Entry::Transfer { .. }
            | Entry::TransferRefused { .. }
            | Entry::TreasuryDecided(_)
            | Entry::WalletAccepted { .. }
            | Entry::Drill { .. }
            | Entry::Reconciled { .. } => {}
        }
    }

    /// A mid price of the market, twice in ticks: for the interval's average and for markouts.
    pub fn observe_mid(&mut self, instrument: InstrumentId, at: Stamp, mid_x2: i64) {
        for account in self.parents.values_mut().filter(|a| a.spec.instrument == instrument) {
            let open = account.ended.is_none();
            account.market.observe_mid(at.mono, mid_x2, account.spec.side.sign(), open);
        }
    }

    /// A public trade: own trades are not market volume.
    pub fn observe_trade(&mut self, trade: &MarketTrade) {
        if trade.own {
            return;
        }
        for account in self.parents.values_mut().filter(|a| a.open_on(trade.instrument)) {
            account.market.volume = account.market.volume.saturating_add(trade.qty.0);
            account.market.value += i128::from(trade.px.0) * i128::from(trade.qty.0);
        }
    }

    /// The reports so far; a parent that is still open is reported as of the last entry.
    #[must_use]
    pub fn report(&self) -> Report {
        let parents: Vec<ParentReport> =
            self.parents.values().map(|a| a.report(self.instruments.get(&a.spec.instrument), self.now)).collect();
        let aggregate = aggregate(&parents);
        Report { parents, aggregate }
    }

    /// The report of one parent.
    #[must_use]
    pub fn parent(&self, id: ParentId) -> Option<ParentReport> {
        let account = self.parents.get(&id)?;
        Some(account.report(self.instruments.get(&account.spec.instrument), self.now))
    }

    fn with(&mut self, key: ClientKey, change: impl FnOnce(&mut Account)) {
        if let Some(account) = self.parents.get_mut(&key.parent()) {
            change(account);
        }
    }
}

impl Account {
    fn new(spec: &ParentSpec, start: Stamp, arrival: Arrival) -> Account {
        let parts = usize::try_from(slices(spec)).unwrap_or(1).max(1);
        Account {
            leg: Leg::new(spec, start, &arrival, 0, spec.horizon),
            spec: spec.clone(),
            start,
            arrival,
            ended: None,
            end_mid_x2: None,
            first_mid_x2: None,
            all: Part::default(),
            parts: vec![Part::default(); parts],
            refusals: 0,
            rejects: 0,
            cancels: 0,
            fills: 0,
            unknowns: 0,
            amends: 0,
            by_tif: [0; 3],
            funding: None,
            children: BTreeMap::new(),
            schedule_error: None,
            market: Market::default(),
        }
    }

    fn open_on(&self, instrument: InstrumentId) -> bool {
        self.ended.is_none() && self.spec.instrument == instrument
    }

    /// Which slice `at` falls into; what comes later belongs to the last.
    fn part(&self, at: Stamp) -> usize {
        let parts = self.parts.len() as u128;
        let slice = u128::from(at.since(self.start).0) * parts / u128::from(self.spec.horizon.0.max(1));
        usize::try_from(slice).unwrap_or(usize::MAX).min(self.parts.len() - 1)
    }

    fn change(&mut self, at: Stamp, change: &ParentChange) {
        if let ParentChange::Amend { qty, horizon } = change {
            self.amends += 1;
            self.err(at);
            self.spec.qty = qty.unwrap_or(self.spec.qty);
            self.spec.horizon = horizon.unwrap_or(self.spec.horizon);
            let left = Span((self.start + self.spec.horizon).mono.saturating_sub(at.mono)).max(Span::secs(1));
            self.leg = Leg::new(&self.spec, at, &self.arrival, self.all.filled, left);
        }
    }

    fn fill(&mut self, at: Stamp, key: ClientKey, fill: &Fill) {
        let (tif, part) = self.children.get(&key).copied().unwrap_or((Tif::GoodTilCancel, self.part(at)));
        let value = i128::from(fill.px.0) * i128::from(fill.qty.0);
        for sums in [&mut self.all, &mut self.parts[part]] {
            sums.filled += fill.qty.0;
            sums.value += value;
            sums.fees += fill.fee;
            if fill.role == LiquidityRole::Maker {
                sums.maker_value += value;
            }
        }
        let tif = match tif {
            Tif::PostOnly => 0,
            Tif::GoodTilCancel => 1,
            Tif::ImmediateOrCancel => 2,
        };
        self.by_tif[tif] += value;
        self.fills += 1;
        self.err(at);
        if self.market.mid.is_some() {
            self.market.await_markouts(at.mono, fill.px.0, fill.qty.0);
        }
    }

    /// The parent's part of a payment on the whole position: only if the position is the way the parent trades.
    fn fund(&mut self, amount: Usd, position: i64) {
        let own = self.all.filled.min(position.abs());
        if own == 0 || position.signum() != self.spec.side.sign() {
            return;
        }
        let Some(share) = Usd::new(Decimal::from(own)).ok().zip(Usd::new(Decimal::from(position.abs())).ok()) else { return };
        if let Some(ratio) = share.0.over(share.1) {
            self.funding = Some(self.funding.unwrap_or_default() - amount.times(ratio));
        }
    }

    /// Notes how far filled and scheduled are apart now.
    fn err(&mut self, at: Stamp) {
        let Some(shape) = &self.leg.shape else { return };
        let share = shape.share(at.since(self.leg.start), self.leg.horizon);
        let planned =
            i128::from(self.leg.base) + (i128::from(self.leg.qty) * i128::from(share) + i128::from(ONE / 2)) / i128::from(ONE);
        let apart = (i128::from(self.all.filled) - planned).abs();
        self.schedule_error = Some(self.schedule_error.unwrap_or(0).max(apart));
    }

    fn report(&self, instrument: Option<&Instrument>, now: Stamp) -> ParentReport {
        let (tick, lot) = instrument.map_or((Decimal::ONE, Decimal::ONE), |i| (i.tick, i.lot));
        let half = |x2: i64| Decimal::from(x2) / Decimal::TWO;
        let arrival = half(self.arrival.mid_x2);
        let all = &self.all;
        // in ticks and tick·lots; one factor turns money into the quote currency
        let execution = Execution {
            side: self.spec.side,
            quantity: Decimal::from(self.spec.qty.0),
            decision: arrival,
            arrival: self.first_mid_x2.map(half),
            filled: Decimal::from(all.filled),
            spent: decimal(all.value),
            end: self.end_mid_x2.map(half),
            fees: in_grid(all.fees, self.arrival.tick_lot),
            funding: self.funding.map(|f| in_grid(f, self.arrival.tick_lot)),
        };
        let bps = |money: Decimal| execution.bps(money).map(four);
        let shortfall = execution.shortfall().map(|s| ShortfallBps {
            delay: bps(s.delay),
            execution: bps(s.execution),
            opportunity: s.opportunity.and_then(bps),
            fees: bps(s.fees),
            funding: s.funding.and_then(bps),
            total: s.total.and_then(bps),
            total_money: s.total.and_then(|t| t.checked_mul(self.arrival.tick_lot.decimal())).map(cents),
        });
        let end = self.ended.as_ref().map_or(now, |(at, _)| *at);
        let average = all.average();
        let slippage = |average: Decimal, against: Decimal| self.slippage(average, against);
        let ratio = |part: u64, whole: u64| (whole > 0).then(|| share(i128::from(part), i128::from(whole)));
        let value = all.value;
        let tif_share = |i: usize| (value > 0).then(|| share(self.by_tif[i], value));
        let twap = (self.market.time > 0)
            .then(|| decimal(self.market.mid_time).checked_div(Decimal::from(self.market.time)).map(|x2| x2 / Decimal::TWO))
            .flatten();
        let vwap = (self.market.volume > 0).then(|| decimal(self.market.value) / Decimal::from(self.market.volume));
        ParentReport {
            parent: self.spec.id,
            instrument: self.spec.instrument,
            side: self.spec.side,
            schedule: schedule_word(&self.spec.schedule),
            placement: self.spec.placement,
            quantity: (Decimal::from(self.spec.qty.0) * lot).normalize(),
            filled: (Decimal::from(all.filled) * lot).normalize(),
            average_price: average.map(|a| twelve(a * tick)),
            arrival_price: (arrival * tick).normalize(),
            slippage_bps: average.and_then(|a| slippage(a, arrival)),
            maker_share: (value > 0).then(|| share(all.maker_value, value)),
            children: all.children,
            refusals: self.refusals,
            duration_ms: end.since(self.start).as_millis(),
            outcome: self.ended.as_ref().map(|(_, outcome)| outcome.clone()),
            fees: all.fees,
            shortfall_bps: shortfall,
            slippage_vs_twap_bps: average.zip(twap).and_then(|(a, t)| slippage(a, t)),
            slippage_vs_vwap_bps: average.zip(vwap).and_then(|(a, v)| slippage(a, v)),
            participation: ratio(
                u64::try_from(all.filled).unwrap_or(0),
                u64::try_from(if self.market.volume > 0 { self.market.volume + all.filled } else { 0 }).unwrap_or(0),
            ),
            rejects: self.rejects,
            cancels: self.cancels,
            unknowns: self.unknowns,
            amends: self.amends,
            fills: self.fills,
            reject_ratio: ratio(u64::from(self.rejects), u64::from(all.children)),
            cancel_ratio: ratio(u64::from(self.cancels), u64::from(self.fills)),
            schedule_error: self.schedule_error.map(|e| share(e, i128::from(self.spec.qty.0.max(1)))),
            post_only_share: tif_share(0),
            good_til_cancel_share: tif_share(1),
            immediate_share: tif_share(2),
            markouts: self.market.markouts(),
            slices: self.slices(tick, lot),
            in_units: instrument.is_some(),
        }
    }

    fn slices(&self, tick: Decimal, lot: Decimal) -> Vec<SliceReport> {
        let slice = |(i, part): (usize, &Part)| {
            let mid = part.first_mid_x2.map(|x2| Decimal::from(x2) / Decimal::TWO);
            let average = part.average();
            SliceReport {
                slice: i + 1,
                children: part.children,
                filled: (Decimal::from(part.filled) * lot).normalize(),
                average_price: average.map(|a| twelve(a * tick)),
                arrival_price: mid.map(|m| (m * tick).normalize()),
                slippage_bps: average.zip(mid).and_then(|(a, m)| self.slippage(a, m)),
                maker_share: (part.value > 0).then(|| share(part.maker_value, part.value)),
                fees: part.fees,
            }
        };
        self.parts.iter().enumerate().filter(|(_, p)| p.children > 0 || p.filled > 0).map(slice).collect()
    }

    /// How much worse than `against` the average is, in basis points of `against`.
    fn slippage(&self, average: Decimal, against: Decimal) -> Option<Decimal> {
        let worse = Decimal::from(self.spec.side.sign()) * (average - against);
        worse.checked_mul(Decimal::from(10_000))?.checked_div(against).map(four)
    }
}

impl Part {
    /// In ticks.
    fn average(&self) -> Option<Decimal> {
        (self.filled > 0).then(|| decimal(self.value) / Decimal::from(self.filled))
    }
}

impl Leg {
    fn new(spec: &ParentSpec, start: Stamp, arrival: &Arrival, base: i64, horizon: Span) -> Leg {
        let qty = (spec.qty.0 - base).max(0);
        let notional = arrival.tick_lot.decimal().checked_mul(Decimal::from(arrival.mid_x2)).unwrap_or_default();
        let notional = notional.checked_mul(Decimal::from(qty)).map_or(Decimal::ZERO, |n| n / Decimal::TWO);
        let shape = Shape::of(spec, slices(spec), start.wall_ms, horizon, notional);
        Leg { start, base, qty, horizon, shape }
    }
}

impl Market {
    fn observe_mid(&mut self, now: u64, mid_x2: i64, sign: i64, open: bool) {
        if let Some((since, last)) = self.mid.filter(|_| open) {
            let passed = now.saturating_sub(since);
            self.mid_time += i128::from(last) * i128::from(passed);
            self.time += passed;
        }
        if open {
            self.mid = Some((now, mid_x2));
        }
        let Market { pending, markouts, .. } = self;
        pending.retain(|&(due, which, px, qty)| {
            if due > now {
                return true;
            }
            let gain_x2 = i128::from(sign) * (i128::from(mid_x2) - 2 * i128::from(px)) * i128::from(qty);
            markouts[which].0 += gain_x2;
            markouts[which].1 += i128::from(px) * i128::from(qty);
            false
        });
    }

    fn await_markouts(&mut self, now: u64, px: i64, qty: i64) {
        for (which, secs) in MARKOUT_SECS.iter().enumerate() {
            if self.pending.len() >= PENDING_MAX {
                self.pending.pop_front();
            }
            self.pending.push_back((now.saturating_add(Span::secs(*secs).0), which, px, qty));
        }
    }

    fn markouts(&self) -> Vec<Markout> {
        let markout = |(secs, (gain_x2, value)): (&u64, &(i128, i128))| {
            let bps = decimal(*gain_x2).checked_mul(Decimal::from(5_000))?.checked_div(decimal(*value))?;
            Some(Markout { after_secs: *secs, bps: four(bps) })
        };
        MARKOUT_SECS.iter().zip(&self.markouts).filter_map(markout).collect()
    }
}

/// All parents, in order of admission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// One each.
    pub parents: Vec<ParentReport>,
    /// Over all of them; absent below thirty parents with fills.
    pub aggregate: Option<Aggregate>,
}

/// Mean slippage over parents with fills, and a 95 % bootstrap interval of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Aggregate {
    /// How many parents.
    pub parents: usize,
    /// Mean slippage against arrival.
    pub slippage_bps: Decimal,
    /// Lower bound.
    pub low_bps: Decimal,
    /// Upper bound.
    pub high_bps: Decimal,
}

/// What one parent did and cost. It serializes as the JSON object that `run --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ParentReport {
    /// The parent.
    pub parent: ParentId,
    /// The market.
    pub instrument: InstrumentId,
    /// The side.
    pub side: Side,
    /// `twap`, `vwap`, `pov` or `shortfall`.
    pub schedule: &'static str,
    /// How its children were worked.
    pub placement: Placement,
    /// What was wanted, in base units.
    pub quantity: Decimal,
    /// What was filled, in base units.
    pub filled: Decimal,
    /// Average fill price, 12 decimals; absent without fills.
    pub average_price: Option<Decimal>,
    /// Mid price at admission.
    pub arrival_price: Decimal,
    /// Average against arrival; absent without fills.
    pub slippage_bps: Option<Decimal>,
    /// Maker share of the filled notional; absent without fills.
    pub maker_share: Option<Ratio>,
    /// Orders sent.
    pub children: u32,
    /// Orders that the guard refused, repeats included.
    pub refusals: u64,
    /// From its start to its end, or to the last entry.
    pub duration_ms: u64,
    /// How it ended; absent while it is open.
    pub outcome: Option<ParentOutcome>,
    /// Fees paid.
    pub fees: Usd,
    /// Implementation shortfall; absent if out of range.
    pub shortfall_bps: Option<ShortfallBps>,
    /// Average against the time-weighted mid of its life; absent without mids.
    pub slippage_vs_twap_bps: Option<Decimal>,
    /// Average against the volume-weighted price of others' trades; absent without trades.
    pub slippage_vs_vwap_bps: Option<Decimal>,
    /// Own volume in all volume; absent without trades.
    pub participation: Option<Ratio>,
    /// Orders that the venue refused.
    pub rejects: u32,
    /// Cancels asked for.
    pub cancels: u32,
    /// Sends whose answer was lost.
    pub unknowns: u32,
    /// Amendments by the operator.
    pub amends: u32,
    /// Fills.
    pub fills: u32,
    /// Rejects per child.
    pub reject_ratio: Option<Ratio>,
    /// Cancels per fill.
    pub cancel_ratio: Option<Ratio>,
    /// Largest distance between filled and scheduled, as a share of the quantity; absent for participation.
    pub schedule_error: Option<Ratio>,
    /// Share of the filled notional from orders that could only rest.
    pub post_only_share: Option<Ratio>,
    /// … from orders that took and could rest.
    pub good_til_cancel_share: Option<Ratio>,
    /// … from orders that could only take.
    pub immediate_share: Option<Ratio>,
    /// s·(mid later − price)/price over all fills; empty without later mids.
    pub markouts: Vec<Markout>,
    /// By slice of the horizon, those in which something happened.
    pub slices: Vec<SliceReport>,
    /// Whether prices and quantities are in quote and base units; otherwise in ticks and lots, for want of an instrument.
    pub in_units: bool,
}

/// [`Shortfall`] in basis points of Q·mid₀, and its total in money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ShortfallBps {
    /// Delay.
    pub delay: Option<Decimal>,
    /// Execution.
    pub execution: Option<Decimal>,
    /// Opportunity; absent without a mid at the end.
    pub opportunity: Option<Decimal>,
    /// Fees.
    pub fees: Option<Decimal>,
    /// Funding; absent if none was recorded.
    pub funding: Option<Decimal>,
    /// The sum; absent if the opportunity is.
    pub total: Option<Decimal>,
    /// The sum in the quote currency, 6 decimals, halves away from zero.
    pub total_money: Option<Decimal>,
}

/// How fills looked some time later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Markout {
    /// How much later.
    pub after_secs: u64,
    /// Positive: good for us.
    pub bps: Decimal,
}

/// One slice of the horizon: the children first sent in it, and their fills.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SliceReport {
    /// From 1.
    pub slice: usize,
    /// Orders sent in it.
    pub children: u32,
    /// Filled by them, in base units.
    pub filled: Decimal,
    /// Average fill price; absent without fills.
    pub average_price: Option<Decimal>,
    /// Mid price at its first order; absent without one.
    pub arrival_price: Option<Decimal>,
    /// Average against that.
    pub slippage_bps: Option<Decimal>,
    /// Maker share of its filled notional.
    pub maker_share: Option<Ratio>,
    /// Fees paid.
    pub fees: Usd,
}

fn aggregate(parents: &[ParentReport]) -> Option<Aggregate> {
    let all: Vec<Decimal> = parents.iter().filter_map(|p| p.slippage_bps).collect();
    if all.len() < AGGREGATE_MIN {
        return None;
    }
    let mean = |sum: Decimal| four(sum / Decimal::from(all.len()));
    // the stream is fixed: the same journal gives the same report
    let mut chance: Prng = domain::Seed(all.len() as u64).fork("tca.bootstrap");
    let mut means: Vec<Decimal> = (0..RESAMPLES)
        .map(|_| {
            let draw = |_| all[usize::try_from(chance.below(all.len() as u64)).unwrap_or(0)];
            mean((0..all.len()).map(draw).sum())
        })
        .collect();
    means.sort_unstable();
    let (low, high) = (means[RESAMPLES * 25 / 1_000], means[RESAMPLES * 975 / 1_000]);
    Some(Aggregate { parents: all.len(), slippage_bps: mean(all.iter().sum()), low_bps: low, high_bps: high })
}

/// In how many slices the parent's life is reported.
fn slices(spec: &ParentSpec) -> u32 {
    match &spec.schedule {
        Schedule::Twap { slices } | Schedule::Vwap { slices, .. } | Schedule::Shortfall { slices, .. } => {
            (*slices).clamp(1, 1_440)
        }
        Schedule::Pov { .. } => PARTS,
    }
}

fn schedule_word(schedule: &Schedule) -> &'static str {
    match schedule {
        Schedule::Twap { .. } => "twap",
        Schedule::Vwap { .. } => "vwap",
        Schedule::Pov { .. } => "pov",
        Schedule::Shortfall { .. } => "shortfall",
    }
}

fn decimal(value: i128) -> Decimal {
    Decimal::try_from_i128_with_scale(value, 0).unwrap_or(Decimal::MAX)
}

/// Money in tick·lots.
fn in_grid(money: Usd, tick_lot: Usd) -> Decimal {
    money.decimal().checked_div(tick_lot.decimal()).unwrap_or_default()
}

fn four(value: Decimal) -> Decimal {
    value.round_dp_with_strategy(4, RoundingStrategy::MidpointAwayFromZero).normalize()
}

fn cents(value: Decimal) -> Decimal {
    value.round_dp_with_strategy(6, RoundingStrategy::MidpointAwayFromZero).normalize()
}

fn twelve(value: Decimal) -> Decimal {
    value.round_dp_with_strategy(12, RoundingStrategy::MidpointAwayFromZero).normalize()
}

/// `part / whole`, 4 decimals, halves away from zero.
fn share(part: i128, whole: i128) -> Ratio {
    Ratio::scaled(i64::try_from((part * 20_000 + whole) / (whole * 2)).unwrap_or(0), 4)
}
