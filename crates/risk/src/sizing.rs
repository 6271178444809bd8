//! How large a position may be (quant §1.1–1.7): the rule, then the smallest of the caps.
//!
//! `base_risk_cap · volatility_adjuster / funding_risk_multiplier`, scaled by the drawdown. Everything is exact and monotone: a
//! worse input never gives a larger size. A missing one gives the conservative figure, or nothing, and says so. Start with
//! [`size`].

mod caps;
mod funding;
mod params;
mod walk;

use domain::{Instrument, Measure, Px, Qty, Ratio, Side, Span, Usd};
use rust_decimal::Decimal;
use serde::Serialize;

pub use funding::{Multiplier, funding_multiplier};
pub use params::{FundingParams, LeverageTier, Ramp, SizingParams};
pub use walk::{Depth, Walk, WalkStep};

use crate::exact::{allowed, div, mul, ratio};
use caps::Terms;

/// How much is left of a limit that someone else keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Room {
    /// No such limit is configured.
    NoCap,
    /// The position may be worth this much, all that holds now included.
    UpTo(Usd),
    /// There is a limit, but what it needs is not known: nothing is allowed.
    Unknown,
}

/// Proof that a position is hedged: what leverage tier `select` asks for (quant §1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HedgeProof {
    /// Hedged share of the exposure, 0 to 1, from what both venues report.
    pub ratio: Ratio,
    /// Venues that hold a leg.
    pub venues: u32,
}

/// What is known when a size is asked for. `None` is "not known", never "none".
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// Direction of the position.
    pub side: Side,
    /// Now, UTC milliseconds: the age of history is counted against it.
    pub now_ms: u64,
    /// Portfolio equity: all venues and what the operator states besides, after haircuts.
    pub equity_total: Option<Usd>,
    /// Equity of the account at the venue.
    pub equity_venue: Option<Usd>,
    /// Worst-case notional, gross, of the account's positions and orders in the venue's *other* markets.
    pub venue_other: Option<Usd>,
    /// The market's statistics.
    pub measure: Option<&'a Measure>,
    /// Trust in the venue, 0.2 to 1 ([`crate::scorecard`]).
    pub trust: Ratio,
    /// Drawdown scale `g`, the smallest of the scopes that hold for this market ([`crate::drawdown`]).
    pub drawdown_scale: Ratio,
    /// Loss that one trade may make, in money ([`crate::drawdown::DrawdownParams::trade`] of the portfolio).
    pub trade_budget: Option<Usd>,
    /// The side of the book that this position would be closed through.
    pub depth: Option<&'a Depth>,
    /// Room under the caps of the groups that the market belongs to.
    pub group_room: Room,
    /// Largest position that leaves the account above its cover in every scenario (margin after shock, quant §4.4).
    pub margin_room: Room,
    /// Proof of a hedge, for tier `select`.
    pub hedge: Option<HedgeProof>,
    /// The venue's limit of the funding rate per hour (Hyperliquid 0.04).
    pub funding_cap: Ratio,
}

/// One number that went into the rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Factor {
    /// Its name in the formula.
    pub name: &'static str,
    /// Its value.
    pub value: Ratio,
    /// Where it comes from.
    pub why: String,
}

/// One upper bound of the position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cap {
    /// Its name: `rule`, `loss_budget`, `depth`, `leverage`, `group`, `venue`, `margin_after_shock`.
    pub name: &'static str,
    /// The largest notional under it.
    pub usd: Usd,
    /// The numbers it follows from.
    pub why: String,
}

/// The result: every input that mattered, every cap, and the smallest of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sizing {
    /// Factors of the rule, in the order of the formula.
    pub factors: Vec<Factor>,
    /// All caps, the rule first.
    pub caps: Vec<Cap>,
    /// Largest notional of the position on the side asked for.
    pub notional: Usd,
    /// Name of the cap that it is.
    pub binding: &'static str,
    /// Why no position may grow at all (quant §1.3, red flag), whatever `notional` says; empty without a flag.
    pub no_increase: Vec<String>,
}

impl Sizing {
    /// The size in whole lots at `mark`, rounded down.
    #[must_use]
    pub fn lots(&self, instrument: &Instrument, mark: Px) -> Qty {
        let lot = mul(instrument.px_decimal(mark), instrument.lot);
        if lot <= Decimal::ZERO {
            return Qty::ZERO;
        }
        Qty(i64::try_from(div(self.notional.decimal(), lot).floor()).unwrap_or(i64::MAX))
    }

    /// The cap that binds.
    #[must_use]
    pub fn binding_cap(&self) -> Option<&Cap> {
        self.caps.iter().find(|cap| cap.name == self.binding)
    }
}

/// `v = clamp(σ_target/σ_forecast, v_min, v_max)` (quant §1.2). A forecast of zero or less gives `v_min`: it is no forecast.
#[must_use]
pub fn volatility_adjuster(sigma_target: Decimal, sigma_forecast: Decimal, v_min: Decimal, v_max: Decimal) -> Decimal {
    if sigma_forecast <= Decimal::ZERO {
        return v_min;
    }
    div(sigma_target, sigma_forecast).min(v_max).max(v_min)
}

/// `B = E_total · alloc_l2 · share · leverage` (quant §1.1).
#[must_use]
pub fn base_risk_cap(equity_total: Decimal, alloc_l2: Decimal, share: Decimal, leverage: Decimal) -> Decimal {
    mul(mul(mul(equity_total, alloc_l2), share), leverage)
}

/// `max_notional = base · v / m` (quant §1), at full precision. A multiplier below one counts as one.
#[must_use]
pub fn max_notional(base: Decimal, volatility_adjuster: Decimal, funding_multiplier: Decimal) -> Decimal {
    div(mul(base, volatility_adjuster), funding_multiplier.max(Decimal::ONE))
}

/// The largest position that `params` allows for `inputs`, with every factor and cap.
#[must_use]
pub fn size(params: &SizingParams, inputs: &Inputs<'_>) -> Sizing {
    let terms = Terms::of(params, inputs);
    let caps = caps::all(params, inputs, &terms);
    // the first of equals: the rule before the others
    let least = caps.iter().min_by_key(|cap| cap.usd);
    let (notional, binding) = least.map_or((Usd::ZERO, "none"), |cap| (cap.usd, cap.name));
    Sizing { notional, binding, no_increase: terms.multiplier.red.clone(), factors: terms.factors(params, inputs), caps }
}

/// How old history may be before it counts as missing, or a book before its cost is doubled.
fn older_than(now_ms: u64, newest_ms: u64, limit: Span) -> bool {
    newest_ms == 0 || now_ms.saturating_sub(newest_ms) > limit.as_millis()
}

/// A share as a percentage with two decimals, for reasons.
fn percent(value: Decimal) -> String {
    format!("{} %", mul(value, Decimal::ONE_HUNDRED).round_dp(2).normalize())
}

/// An amount with cents, for reasons.
fn cents(value: Decimal) -> String {
    allowed(value).decimal().round_dp(2).normalize().to_string()
}

fn factor(name: &'static str, value: Decimal, why: impl Into<String>) -> Factor {
    Factor { name, value: ratio(value), why: why.into() }
}

#[cfg(test)]
mod tests;
