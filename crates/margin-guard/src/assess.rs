//! The look that the desk asks for about once a second: what only needs working out now and then is worked out here, and what
//! somebody must act on is reported.

use domain::{
    ClientKey, InstrumentId, LevelChange, ParentId, ProfitMark, Ratio, RejectKind, Side, Span, Stamp, Stop, StopLevel, Trigger,
    Usd,
};
use risk::drawdown::{Group, Scope, ScopeVerdict, VelocityBreach, judge, scale_for};
use risk::sizing::{Depth, Inputs, Room, Sizing, Walk, size};
use serde::Serialize;

use crate::Guard;
use crate::care::{Allowance, PortfolioCare, Sized};
use crate::limits::VENUES;
use crate::money::Money;
use crate::projection::Market;
use crate::refusal::Datum;
use crate::rules::shock_room;

/// A wide look at a book counts for so long: a few of them may be missed.
const WIDE_AGE_MAX: Span = Span::secs(45);

/// A parent that repeats itself (C08). It stays stopped until [`crate::Guard::touch_parent`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Repeating {
    /// Which.
    pub parent: ParentId,
    /// In words.
    pub why: String,
}

/// Orders that the venue keeps refusing (C50).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Whose; absent: of all parents of the market together.
    pub parent: Option<ParentId>,
    /// In which market.
    pub instrument: InstrumentId,
    /// Refusals in a row, or within a minute if those are more.
    pub refusals: u32,
    /// Answers they are out of.
    pub answers: u32,
}

/// What a look found that somebody must act on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Assessment {
    /// Margin levels that changed: to be journaled, and acted on from reduce on.
    pub levels: Vec<LevelChange>,
    /// Budgets that are spent at this moment. [`Assessment::stop`] says what follows for the whole account.
    pub exhausted: Vec<ScopeVerdict>,
    /// A loss that ran too fast.
    pub velocity: Option<VelocityBreach>,
    /// Parents that repeat themselves: to be paused, so that they stay stopped over a restart (I30).
    pub repeating: Vec<Repeating>,
    /// Storms of refusals: what stands in one is to be stopped (C50).
    pub refused: Vec<Refused>,
    /// Oracle distances to look at, and data that is missing where it is needed, in words.
    pub alarms: Vec<String>,
    /// The smallest share of an account-wide budget that is left, 0 to 1; nothing without profit figures.
    pub drawdown_scale: Option<Ratio>,
}

impl Assessment {
    /// The stop that must be latched, and why: a loss that runs too fast blocks every order (C52), a spent budget of the whole
    /// account lets positions only shrink (C16).
    #[must_use]
    pub fn stop(&self) -> Option<Stop> {
        if let Some(VelocityBreach { limit, loss, allowed }) = &self.velocity {
            let cause = format!("lost {loss} within {}: {allowed} or more is too fast", limit.within);
            let stop = Stop::all(StopLevel::Block, Trigger::Loss, cause);
            return Some(stop.with("loss", loss).with("within", limit.within).with("allowed", allowed));
        }
        let account = self.exhausted.iter().find(|verdict| verdict.is_account())?;
        let ScopeVerdict { scope, loss, budget, .. } = account;
        let cause = format!("{} has lost {loss}, its budget is {budget}", scope_words(scope));
        Some(Stop::all(StopLevel::ReduceOnly, Trigger::Guard, cause).with("loss", loss).with("budget", budget))
    }
}

pub(crate) fn scope_words(scope: &Scope) -> String {
    match scope {
        Scope::Trade(id) => format!("the position in {id}"),
        Scope::Group(name) => format!("the group {name}"),
        Scope::Day => "the day".into(),
        Scope::Peak => "the account, from its peak,".into(),
    }
}

/// Profit older than this says nothing of what was lost: ten looks of the desk.
const PROFIT_AGE_MAX: Span = Span::secs(10);
const DAY_MS: u64 = 86_400_000;

impl Guard {
    /// Profit and loss as the desk reckons it, about once a second (C16, C52).
    pub fn observe_profit(&mut self, at: Stamp, mark: &ProfitMark) {
        self.velocity.observe(at, mark.profit);
        self.profit = Some((at, mark.clone()));
    }

    /// The venue took an order, or answered it in some other way that is no refusal.
    pub fn acked(&mut self, at: Stamp, key: ClientKey, instrument: InstrumentId) {
        let slot = self.projection.open_slot(&self.limits, instrument);
        self.projection.markets[slot].care.rejects.accepted(at);
        if let Some(parent) = self.projection.parents.get_mut(&key.parent()) {
            parent.rejects.accepted(at);
        }
    }

    /// The venue refused an order (C50).
    pub fn rejected(&mut self, at: Stamp, key: ClientKey, instrument: InstrumentId, kind: RejectKind) {
        let slot = self.projection.open_slot(&self.limits, instrument);
        let rule = self.limits.rejects();
        self.projection.markets[slot].care.rejects.rejected(rule, at, kind);
        if let Some(parent) = self.projection.parents.get_mut(&key.parent()) {
            parent.rejects.rejected(rule, at, kind);
        }
    }

    /// The operator has looked at a parent: what it was stopped for is forgiven (C08, C50), for its market's storm too.
    pub fn touch_parent(&mut self, parent: ParentId) {
        let Some(parent) = self.projection.parents.get_mut(&parent) else { return };
        parent.repeat.touch();
        parent.rejects = Default::default();
        let market = parent.wish.map(|wish| wish.instrument);
        if let Some(slot) = market.and_then(|id| self.projection.slot(id)) {
            self.projection.markets[slot].care.rejects = Default::default();
        }
    }

    /// Looks at everything that is worked out now and then: sizes, budgets, levels. Call it about once a second, after
    /// [`Guard::observe_profit`]: what it leaves behind supports increases for five seconds.
    pub fn assess(&mut self, at: Stamp) -> Assessment {
        let mut found = Assessment::default();
        found.levels = self.follow_levels(at, &mut found.alarms);
        let day = u32::try_from(at.wall_ms / DAY_MS).unwrap_or(u32::MAX);
        let equity = self.equity_total(at);
        let profit = self.profit.as_ref().filter(|(seen, _)| at.since(*seen) <= PROFIT_AGE_MAX).map(|(_, mark)| mark.clone());
        let groups: Vec<(String, Vec<InstrumentId>)> =
            self.limits.groups().iter().map(|g| (g.name.clone(), g.markets.iter().copied().collect())).collect();
        let groups: Vec<Group<'_>> = groups.iter().map(|(name, ids)| (name.as_str(), ids.as_slice())).collect();
        let budgets = self.limits.drawdown_params();
        let other = self.limits.sizing().other_equity_usd;
        let verdicts = profit.as_ref().map(|profit| judge(&budgets, profit, other, &groups)).unwrap_or_default();
        if let Some(profit) = &profit {
            found.velocity = self.velocity.judge(&budgets.velocity, at, profit.equity + other);
            found.drawdown_scale = verdicts.iter().filter(|v| v.is_account()).map(|v| v.scale).min();
        }
        found.exhausted = verdicts.iter().filter(|v| v.scale <= Ratio::ZERO).cloned().collect();
        self.projection.care = self.portfolio(at, day, equity, profit.is_some(), &verdicts);
        for slot in 0..self.projection.markets.len() {
            self.look_at(at, day, slot, equity, profit.is_some(), &verdicts, &groups, &mut found);
        }
        for (id, parent) in &mut self.projection.parents {
            parent.rejects.settle(self.limits.rejects(), at);
            if let Some(((storm, _), wish)) = parent.rejects.storm(self.limits.rejects(), at).zip(parent.wish) {
                let (refusals, answers) = (storm.refusals, storm.answers);
                found.refused.push(Refused { parent: Some(*id), instrument: wish.instrument, refusals, answers });
            }
            if let Some(repeated) = parent.repeat.latched() {
                found.repeating.push(Repeating { parent: *id, why: repeated.words() });
            }
        }
        found
    }

    /// Equity of all venues and what the operator states besides; unknown while a venue with exposure has not told, or what it
    /// told is too old.
    fn equity_total(&self, at: Stamp) -> Option<Usd> {
        let mut total = None;
        for (_, state) in self.projection.venues() {
            match state.account {
                Some(account) if at.since(account.at) <= self.limits.account_age => {
                    total = Some(total.unwrap_or(self.limits.sizing().other_equity_usd) + account.reported);
                }
                Some(_) => return None,
                None if state.gross > Money::ZERO || !state.blind.is_empty() => return None,
                None => {}
            }
        }
        total
    }

    fn portfolio(&self, at: Stamp, day: u32, equity: Option<Usd>, profit: bool, verdicts: &[ScopeVerdict]) -> PortfolioCare {
        let Some(total) = equity.filter(|_| profit) else {
            let missing = if equity.is_none() { Datum::Account } else { Datum::Profit };
            return PortfolioCare { at: Some(at), missing: Some(missing), ..PortfolioCare::default() };
        };
        let sizing = self.limits.sizing();
        let of = |share: Ratio| Money::from_usd(total.times(share)).at_least_zero();
        PortfolioCare {
            at: Some(at),
            missing: None,
            layer2: Money::from_usd(total.times(sizing.alloc_l2).times(sizing.tier_leverage)).at_least_zero(),
            venues: VENUES.map(|venue| {
                let trust = self.venue_trust(venue, day);
                (trust.tau, Money::from_usd(trust.venue_cap(sizing.share_venue, total)))
            }),
            groups: self.limits.groups().iter().map(|g| (of(g.net_max), of(g.gross_max))).collect(),
            spent: verdicts.iter().find(|v| v.is_account() && v.scale <= Ratio::ZERO).cloned(),
        }
    }

    /// The look at one market.
    #[expect(clippy::too_many_arguments, reason = "what the look has worked out for all markets alike")]
    fn look_at(
        &mut self,
        at: Stamp,
        day: u32,
        slot: usize,
        equity: Option<Usd>,
        profit: bool,
        verdicts: &[ScopeVerdict],
        groups: &[Group<'_>],
        found: &mut Assessment,
    ) {
        let (limits, market) = (&self.limits, &mut self.projection.markets[slot]);
        market.care.rejects.settle(limits.rejects(), at);
        if let Some((storm, _)) = market.care.rejects.storm(limits.rejects(), at) {
            let (refusals, answers) = (storm.refusals, storm.answers);
            found.refused.push(Refused { parent: None, instrument: market.id, refusals, answers });
        }
        if !market.allowed {
            return;
        }
        let (scale, tightest) = scale_for(verdicts, market.id, groups);
        let spent = tightest.filter(|v| v.scale <= Ratio::ZERO).cloned();
        if let Some(walk) = walk_of(at, market, Side::Buy)
            .into_iter()
            .chain(walk_of(at, market, Side::Sell))
            .map(|w| w.within(limits.sizing().depth_bps))
            .min()
        {
            market.care.depth.note(at, walk);
        }
        if let Some(marks) = &market.marks {
            let bps = crate::oracle::basis_bps(marks, market.book.and_then(|b| b.mid_x2));
            let alert = limits.oracle().basis_alert_bps;
            if rust_decimal::Decimal::from(bps) >= alert.decimal() {
                found.alarms.push(format!("{}: oracle is {bps} bp from mark or mid", market.id));
            }
        }
        let scale = if profit { scale } else { Ratio::ZERO };
        let market = &self.projection.markets[slot];
        let trade_budget = equity.map(|total| limits.drawdown_params().trade_budget(total));
        let sized = |side| self.size_of(at, day, market, side, equity, scale, trade_budget);
        let (long, short) = (sized(Side::Buy), sized(Side::Sell));
        let red = (!long.no_increase.is_empty()).then(|| long.no_increase.join("; "));
        let sized = Sized { at, long: allowance(long), short: allowance(short), red, scale };
        let care = &mut self.projection.markets[slot].care;
        care.spent = spent;
        care.sized = Some(sized);
    }

    /// The sizing rule for one side of one market, every factor and cap.
    #[expect(clippy::too_many_arguments, reason = "what the look has worked out for all markets alike")]
    fn size_of(
        &self,
        at: Stamp,
        day: u32,
        market: &Market,
        side: Side,
        equity: Option<Usd>,
        scale: Ratio,
        trade_budget: Option<Usd>,
    ) -> Sizing {
        let params = self.limits.sizing_params(market.id);
        let venue = self.projection.venue(market.id.venue());
        let depth = walk_of(at, market, side).and_then(|walk| {
            let near = market.care.depth.low(at)?;
            let age = at.since(market.book?.at);
            Some(Depth { walk, near, age })
        });
        let group_room = match market
            .group
            .and_then(|g| Some((self.projection.groups.get(g)?, self.projection.care.groups.get(g))))
        {
            None => Room::NoCap,
            Some((_, None)) => Room::Unknown,
            Some((sums, Some((net, gross)))) => Room::UpTo(sums.room(market.beta, &market.weighted, side, *net, *gross).usd()),
        };
        let inputs = Inputs {
            side,
            now_ms: at.wall_ms,
            equity_total: equity,
            equity_venue: venue.account.map(|a| a.reported),
            venue_other: venue.blind.is_empty().then(|| venue.gross.minus(market.now.gross).usd()),
            measure: market.measure.as_ref(),
            trust: self.venue_trust(market.id.venue(), day).tau,
            drawdown_scale: scale,
            trade_budget,
            depth: depth.as_ref(),
            group_room,
            margin_room: shock_room(&self.projection, market.id, side).map_or(Room::Unknown, |room| Room::UpTo(room.usd())),
            hedge: None,
            // a venue whose rules are not known might charge anything
            funding_cap: market.rules.as_ref().map_or(Ratio::ONE, |rules| rules.instrument.margin.funding_cap_hourly()),
        };
        size(&params, &inputs)
    }

    /// How large a position in `instrument` may be on `side`, with every factor and cap: what `plimsoll size` shows. `None` if the
    /// market was never heard of.
    #[must_use]
    pub fn sizing(&self, at: Stamp, instrument: InstrumentId, side: Side) -> Option<Sizing> {
        let market = self.projection.market(instrument)?;
        let day = u32::try_from(at.wall_ms / DAY_MS).unwrap_or(u32::MAX);
        let equity = self.equity_total(at);
        let scale = market.care.sized.as_ref().map_or(Ratio::ZERO, |sized| sized.scale);
        let budget = equity.map(|total| self.limits.drawdown_params().trade_budget(total));
        Some(self.size_of(at, day, market, side, equity, scale, budget))
    }
}

/// The market's book as cost by notional: the wide look while it is fresh, else what the stream shows.
fn walk_of(at: Stamp, market: &Market, side: Side) -> Option<Walk> {
    let rules = market.rules.as_ref()?;
    let wide = market.wide.as_ref().filter(|book| at.since(book.at) <= WIDE_AGE_MAX);
    Walk::of(wide.or(market.depth.as_ref())?, &rules.instrument, side)
}

fn allowance(sizing: Sizing) -> Allowance {
    let why = sizing.binding_cap().map_or_else(String::new, |cap| cap.why.clone());
    Allowance { max: Money::from_usd(sizing.notional), cap: sizing.binding, why }
}
