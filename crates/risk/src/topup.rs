//! How much margin must be added so that an account keeps its cover under every scenario (quant §4.4).

use domain::margin::MarginTable;
use domain::{Ratio, Usd};
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Serialize;

use crate::exact::{add, mul, needed};

/// How a position's maintenance margin follows from its notional.
#[derive(Clone, Copy, Debug)]
pub enum Maintenance<'a> {
    /// By tiers: Hyperliquid.
    Tiers(&'a MarginTable),
    /// One rate: dYdX v4, where it does not grow with open interest.
    Rate(Ratio),
}

impl Maintenance<'_> {
    /// Maintenance margin of a position worth `notional`.
    #[must_use]
    pub fn of(&self, notional: Decimal) -> Decimal {
        let notional = notional.abs();
        match self {
            Maintenance::Tiers(table) => {
                let worth = needed(notional);
                let tier = table.tier(worth);
                add(mul(notional, tier.rate.decimal()), -tier.deduction.decimal())
            }
            Maintenance::Rate(rate) => mul(notional, rate.decimal()),
        }
    }
}

/// One position as the projection sees it.
#[derive(Clone, Copy, Debug)]
pub struct Position<'a> {
    /// Signed size in base units.
    pub size: Decimal,
    /// The price that the venue margins with: mark on Hyperliquid, oracle on dYdX.
    pub price: Decimal,
    /// The oracle price, on which funding is paid.
    pub oracle: Decimal,
    /// Expected funding per hour over the scenario; positive: longs pay.
    pub funding_hourly: Decimal,
    /// Its maintenance margin.
    pub maintenance: Maintenance<'a>,
}

/// A scenario: what happens to every position until help arrives.
#[derive(Clone, Debug)]
pub struct Scenario<'a> {
    /// Its name, for the result.
    pub name: &'a str,
    /// Relative price change per position, in the order of the positions; a missing one is zero.
    pub shocks: &'a [Ratio],
    /// Hours of funding that are paid.
    pub funding_hours: Decimal,
}

/// The account and what a transfer costs.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// Equity now.
    pub equity: Usd,
    /// Fees still to be paid.
    pub fees: Usd,
    /// Margin reserved by orders.
    pub reserved: Usd,
    /// Cover `b` to keep: equity over maintenance.
    pub target: Ratio,
    /// Fee of the transfer, taken from what is sent.
    pub transfer_fee: Usd,
    /// The least that the bridge accepts; less is lost on some.
    pub transfer_min: Usd,
}

/// An account after a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Projected {
    /// `A' = A + Σ q·p·s − Σ max(0, q·o·f̄·h) − fees − reserved`.
    pub equity: Usd,
    /// `MMR'` at the shocked prices, each in its own tier.
    pub maintenance: Usd,
    /// `max(0, b·MMR' − A')`, exact.
    pub shortfall: Usd,
}

/// What to send, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopUp {
    /// The scenario that needs most.
    pub scenario: String,
    /// The account after it.
    pub projected: Projected,
    /// To send: the shortfall rounded up to 0.01, plus the fee, at least the minimum; nothing without a shortfall.
    pub amount: Usd,
}

/// An account as it stands or after a scenario, with the cover that it must keep there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Standing<'a> {
    /// The scenario's name.
    pub name: &'a str,
    /// `A'`.
    pub equity: Usd,
    /// `MMR'`.
    pub maintenance: Usd,
    /// `b`.
    pub target: Ratio,
}

impl Standing<'_> {
    /// `b·MMR' − A'`: what the cover is short of; below zero what it has to spare (quant §4.4).
    #[must_use]
    pub fn gap(&self) -> Usd {
        needed(add(mul(self.target.decimal(), self.maintenance.decimal()), -self.equity.decimal()))
    }
}

/// Which of several projections of one account needs most: the largest `T` of quant §4.4, where the projections are made elsewhere.
/// The first of those that need the same.
#[must_use]
pub fn worst<'a, 'b>(standings: &'b [Standing<'a>]) -> Option<&'b Standing<'a>> {
    standings.iter().rev().max_by_key(|standing| standing.gap())
}

/// The account after one scenario. Funding receipts are not counted.
#[must_use]
pub fn project(account: &Account, positions: &[Position<'_>], scenario: &Scenario<'_>) -> Projected {
    let mut equity = account.equity.decimal();
    equity = add(equity, -account.fees.decimal().max(Decimal::ZERO));
    equity = add(equity, -account.reserved.decimal().max(Decimal::ZERO));
    let mut maintenance = Decimal::ZERO;
    for (k, position) in positions.iter().enumerate() {
        // a price does not fall below zero
        let shock = scenario.shocks.get(k).map_or(Decimal::ZERO, |s| s.decimal()).max(Decimal::NEGATIVE_ONE);
        let value = mul(position.size, position.price);
        equity = add(equity, mul(value, shock));
        let funding = mul(mul(mul(position.size, position.oracle), position.funding_hourly), scenario.funding_hours);
        equity = add(equity, -funding.max(Decimal::ZERO));
        maintenance = add(maintenance, position.maintenance.of(mul(value, add(Decimal::ONE, shock))));
    }
    let shortfall = add(mul(account.target.decimal(), maintenance), -equity).max(Decimal::ZERO);
    Projected { equity: -needed(-equity), maintenance: needed(maintenance), shortfall: needed(shortfall) }
}

/// The largest top-up over all scenarios. The account as it stands, without a shock or funding, is always one of them.
#[must_use]
pub fn topup(account: &Account, positions: &[Position<'_>], scenarios: &[Scenario<'_>]) -> TopUp {
    let now = Scenario { name: "as it stands", shocks: &[], funding_hours: Decimal::ZERO };
    let mut worst = (now.name, project(account, positions, &now));
    for scenario in scenarios {
        let projected = project(account, positions, scenario);
        if margin_gap(account, &projected) > margin_gap(account, &worst.1) {
            worst = (scenario.name, projected);
        }
    }
    let (name, projected) = worst;
    TopUp { scenario: name.to_owned(), projected, amount: amount(account, projected.shortfall) }
}

/// `b·MMR' − A'`, below zero where there is slack: orders scenarios of which none falls short.
fn margin_gap(account: &Account, projected: &Projected) -> Decimal {
    add(mul(account.target.decimal(), projected.maintenance.decimal()), -projected.equity.decimal())
}

/// What to send for a shortfall.
fn amount(account: &Account, shortfall: Usd) -> Usd {
    if shortfall <= Usd::ZERO {
        return Usd::ZERO;
    }
    let whole = shortfall.decimal().round_dp_with_strategy(2, RoundingStrategy::ToPositiveInfinity);
    let sent = needed(add(whole, account.transfer_fee.decimal().max(Decimal::ZERO)));
    sent.max(account.transfer_min)
}

#[cfg(test)]
mod tests;
