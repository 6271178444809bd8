//! Drawdown budgets and the speed of a loss (quant §1.8; C16, C52).

use std::collections::VecDeque;

use domain::{InstrumentId, ProfitMark, Ratio, Span, Stamp, Usd};
use rust_decimal::Decimal;
use serde::Serialize;

use crate::exact::{add, div, mul, needed, ratio_down};

/// Budgets as shares of portfolio equity; the defaults are those of quant §1.8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DrawdownParams {
    /// One open position, from its highest profit since flat.
    pub trade: Ratio,
    /// All open positions of a group together.
    pub group: Ratio,
    /// The account within a UTC day.
    pub day: Ratio,
    /// The account from its peak.
    pub peak: Ratio,
    /// Losses within a time at which trading stops, whatever the budgets.
    pub velocity: Vec<VelocityLimit>,
}

/// A loss of `loss` of equity within `within` is too fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct VelocityLimit {
    /// The time, at most [`VELOCITY_WINDOW_MAX`].
    pub within: Span,
    /// Share of equity.
    pub loss: Ratio,
}

impl Default for DrawdownParams {
    /// Velocity: a third of the day's budget in a minute, half of it in five, two thirds in fifteen.
    fn default() -> DrawdownParams {
        let limit = |minutes: u64, loss| VelocityLimit { within: Span::secs(60 * minutes), loss: Ratio::scaled(loss, 3) };
        DrawdownParams {
            trade: Ratio::scaled(5, 3),
            group: Ratio::scaled(15, 3),
            day: Ratio::scaled(3, 2),
            peak: Ratio::scaled(8, 2),
            velocity: vec![limit(1, 10), limit(5, 15), limit(15, 20)],
        }
    }
}

impl DrawdownParams {
    /// `D_trade`: the loss that one trade may make, in money.
    #[must_use]
    pub fn trade_budget(&self, equity_total: Usd) -> Usd {
        crate::exact::allowed(mul(self.trade.decimal(), equity_total.decimal()))
    }
}

/// What a budget is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One market's open position.
    Trade(InstrumentId),
    /// A group of markets.
    Group(String),
    /// The account, today.
    Day,
    /// The account, from its peak.
    Peak,
}

/// How much of a budget is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScopeVerdict {
    /// Which budget.
    pub scope: Scope,
    /// The drawdown, zero or more.
    pub loss: Usd,
    /// The budget.
    pub budget: Usd,
    /// `g = clamp(1 − loss/budget, 0, 1)`: multiplies new size.
    pub scale: Ratio,
}

/// The three answers that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing lost.
    Ok,
    /// New size is scaled down.
    Scaled,
    /// No position in this scope may grow; at account level trading stops but for reductions.
    Exhausted,
}

impl ScopeVerdict {
    /// The answer.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.scale <= Ratio::ZERO {
            Verdict::Exhausted
        } else if self.scale < Ratio::ONE {
            Verdict::Scaled
        } else {
            Verdict::Ok
        }
    }

    /// Whether it concerns the whole account.
    #[must_use]
    pub fn is_account(&self) -> bool {
        match self.scope {
            Scope::Day | Scope::Peak => true,
            Scope::Trade(_) | Scope::Group(_) => false,
        }
    }
}

/// A group as drawdown sees it: a name and its markets.
pub type Group<'a> = (&'a str, &'a [InstrumentId]);

/// All budgets: peak, day, every group, every open position. `other_equity` is what the portfolio holds outside the venues.
///
/// Trades and groups are measured against equity now, the day against equity when it began, the peak against equity at the
/// peak. A group's loss is the sum of its trades' drawdowns, which is never less than the drawdown of their sum.
#[must_use]
pub fn judge(params: &DrawdownParams, profit: &ProfitMark, other_equity: Usd, groups: &[Group<'_>]) -> Vec<ScopeVerdict> {
    let total = add(profit.equity.decimal(), other_equity.decimal());
    let at_peak = add(profit.peak_equity.decimal(), other_equity.decimal()).max(total);
    let at_start = add(total, add(profit.day_start.decimal(), -profit.profit.decimal()));
    let from = |high: Usd, now: Usd| add(high.decimal(), -now.decimal()).max(Decimal::ZERO);
    let mut verdicts = vec![
        verdict(Scope::Peak, from(profit.peak, profit.profit), params.peak, at_peak),
        verdict(Scope::Day, from(profit.day_start, profit.profit), params.day, at_start),
    ];
    for (name, members) in groups {
        let trades = profit.trades.iter().filter(|(id, _, _)| members.contains(id));
        let loss = trades.fold(Decimal::ZERO, |sum, (_, now, high)| add(sum, from(*high, *now)));
        verdicts.push(verdict(Scope::Group((*name).to_owned()), loss, params.group, total));
    }
    for (id, now, high) in &profit.trades {
        verdicts.push(verdict(Scope::Trade(*id), from(*high, *now), params.trade, total));
    }
    verdicts
}

/// The smallest scale of the scopes that hold for `instrument`, with the scope; one if there is none.
#[must_use]
pub fn scale_for<'v>(
    verdicts: &'v [ScopeVerdict],
    instrument: InstrumentId,
    groups: &[Group<'_>],
) -> (Ratio, Option<&'v ScopeVerdict>) {
    let holds = |verdict: &&ScopeVerdict| match &verdict.scope {
        Scope::Day | Scope::Peak => true,
        Scope::Trade(id) => *id == instrument,
        Scope::Group(name) => groups.iter().any(|(group, members)| group == name && members.contains(&instrument)),
    };
    let least = verdicts.iter().filter(holds).min_by_key(|v| v.scale);
    (least.map_or(Ratio::ONE, |v| v.scale), least)
}

/// A budget of nothing is exhausted: there is no equity to lose a share of.
fn verdict(scope: Scope, loss: Decimal, share: Ratio, equity: Decimal) -> ScopeVerdict {
    let budget = crate::exact::allowed(mul(share.decimal(), equity));
    let left = add(Decimal::ONE, -div(loss, budget.decimal()));
    let scale = if budget <= Usd::ZERO { Ratio::ZERO } else { ratio_down(left.clamp(Decimal::ZERO, Decimal::ONE)) };
    ScopeVerdict { scope, loss: needed(loss), budget, scale }
}

/// Longest time that a velocity limit may span.
pub const VELOCITY_WINDOW_MAX: Span = Span::secs(900);
/// Profit is kept per second: finer tells no more of a loss in a minute.
const VELOCITY_STEP: Span = Span::secs(1);
/// Seconds of the longest window, and the one that is running.
const VELOCITY_KEPT: usize = 901;

/// Recent profit, bounded: the highest value of each second of the last quarter of an hour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Velocity {
    kept: VecDeque<(Stamp, Usd)>,
    now: Usd,
}

/// A loss that was too fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct VelocityBreach {
    /// The limit.
    pub limit: VelocityLimit,
    /// What was lost within its time.
    pub loss: Usd,
    /// What it allows at this equity.
    pub allowed: Usd,
}

impl Velocity {
    /// Notes the profit at `at`. Times that run backwards count as the newest time.
    pub fn observe(&mut self, at: Stamp, profit: Usd) {
        self.now = profit;
        match self.kept.back_mut() {
            Some((from, high)) if at.since(*from) < VELOCITY_STEP => *high = (*high).max(profit),
            Some(_) | None => self.kept.push_back((at, profit)),
        }
        while self.kept.len() > VELOCITY_KEPT {
            self.kept.pop_front();
        }
    }

    /// The loss from the highest profit within `within` before `at` to the newest one.
    #[must_use]
    pub fn loss(&self, at: Stamp, within: Span) -> Usd {
        // a second that began just before the window may hold a high inside it
        let reach = within + VELOCITY_STEP;
        let high = self.kept.iter().rev().take_while(|(from, _)| at.since(*from) <= reach).map(|(_, high)| *high).max();
        high.map_or(Usd::ZERO, |high| (high - self.now).max(Usd::ZERO))
    }

    /// The first limit that the losses break, as a share of `equity`.
    #[must_use]
    pub fn judge(&self, limits: &[VelocityLimit], at: Stamp, equity: Usd) -> Option<VelocityBreach> {
        limits.iter().find_map(|limit| {
            let (loss, allowed) =
                (self.loss(at, limit.within), crate::exact::allowed(mul(limit.loss.decimal(), equity.decimal())));
            (loss > Usd::ZERO && loss >= allowed).then_some(VelocityBreach { limit: *limit, loss, allowed })
        })
    }
}

#[cfg(test)]
mod tests;
