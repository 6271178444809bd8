//! What must lie free at the venue: the same-chain buffer, the cost of funding, and for how long free margin lasts (quant §1.4,
//! §1.10).

use domain::{FundingView, Ratio, Side, Usd};
use rust_decimal::Decimal;
use serde::Serialize;

use crate::exact::{add, div, mul, needed, ratio_down, ratio_up, sqrt_up};
use crate::sizing::FundingParams;
use crate::stats::HOURS_PER_YEAR;
use crate::stats::normal::excursion_quantile;

/// Longest path of funding that is summed, hours: a year. Beyond it the venue's limit per hour is charged.
const PATH_HOURS_MAX: u32 = 8_760;
/// Longest runway that is told, hours: ten years say "as good as for ever".
const RUNWAY_HOURS_MAX: u32 = 87_600;

/// The buffer's numbers; the defaults are those of quant §1.10.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BufferParams {
    /// Confidence that the buffer holds over the exit delay.
    pub alpha: Ratio,
    /// Factor for tails fatter than the normal distribution's.
    pub tail: Ratio,
    /// Delay of an exit or a refill, retries included, minutes.
    pub exit_minutes: u32,
    /// Factor on the buffer while an answer of the venue's scorecard is unknown.
    pub unknown_factor: Ratio,
    /// Annual volatility assumed of a market without statistics: where the volatility adjuster is at its least.
    pub sigma_unknown: Ratio,
    /// Least runway, hours.
    pub runway_min_hours: Ratio,
    /// Haircut on the stablecoin of an issuer that makes up more than `issuer_share` of the buffer.
    pub issuer_haircut: Ratio,
    /// Share of one issuer above which its haircut applies.
    pub issuer_share: Ratio,
}

impl Default for BufferParams {
    fn default() -> BufferParams {
        BufferParams {
            alpha: Ratio::scaled(99, 2),
            tail: Ratio::scaled(16, 1),
            exit_minutes: 20,
            unknown_factor: Ratio::scaled(15, 1),
            sigma_unknown: Ratio::scaled(16, 1),
            runway_min_hours: Ratio::ONE,
            issuer_haircut: Ratio::scaled(3, 2),
            issuer_share: Ratio::scaled(5, 1),
        }
    }
}

impl BufferParams {
    /// The exit delay in hours.
    #[must_use]
    pub fn exit_hours(&self) -> Decimal {
        div(Decimal::from(self.exit_minutes), Decimal::from(60))
    }

    /// `tail · Φ⁻¹(1 − (1−α)/2)`: standard deviations of the running excursion that the buffer covers.
    #[must_use]
    pub fn deviations(&self) -> Decimal {
        mul(self.tail.decimal(), excursion_quantile(self.alpha).decimal())
    }
}

/// What the buffer of one account is computed from.
#[derive(Clone, Copy, Debug)]
pub struct BufferInputs {
    /// `σ·N` of the account: over markets, the sum of net notional times annual volatility, or less by measured correlation.
    pub risk: Usd,
    /// Loss of the worst configured scenario over the delay, as a positive amount.
    pub scenario_loss: Usd,
    /// Bound on funding over the delay.
    pub funding_bound: Usd,
    /// Fees of the exit.
    pub fees: Usd,
    /// Whether an answer of the venue's scorecard is unknown.
    pub unknown: bool,
}

/// The buffer and its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Buffer {
    /// `tail · z · σN√(H/8760)`.
    pub excursion: Usd,
    /// Loss of the worst scenario.
    pub scenario_loss: Usd,
    /// Bound on funding.
    pub funding: Usd,
    /// Fees.
    pub fees: Usd,
    /// What all of it is multiplied by: above one while an answer is unknown.
    pub factor: Ratio,
    /// `(max(excursion, scenario) + funding + fees) · factor`, rounded up.
    pub required: Usd,
}

/// `N·σ·√(H/8760)·z·tail`, rounded up: how far the account may run against us over `hours` before help arrives.
#[must_use]
pub fn excursion(risk: Usd, hours: Decimal, alpha: Ratio, tail: Ratio) -> Usd {
    let root = sqrt_up(div(hours.max(Decimal::ZERO), Decimal::from(HOURS_PER_YEAR)));
    let deviations = mul(tail.decimal(), excursion_quantile(alpha).decimal());
    needed(mul(mul(risk.decimal().max(Decimal::ZERO), root), deviations))
}

/// `σN` of one market: the magnitude of its notional times its volatility, the assumed one where nothing is known.
#[must_use]
pub fn market_risk(params: &BufferParams, notional: Usd, sigma: Option<Ratio>) -> Usd {
    let sigma = sigma.unwrap_or(params.sigma_unknown).decimal().max(Decimal::ZERO);
    needed(mul(notional.decimal().abs(), sigma))
}

/// The same-chain buffer (quant §1.10).
#[must_use]
pub fn buffer(params: &BufferParams, inputs: &BufferInputs) -> Buffer {
    let not_negative = |usd: Usd| usd.max(Usd::ZERO);
    let excursion = excursion(inputs.risk, params.exit_hours(), params.alpha, params.tail);
    let (scenario_loss, funding, fees) =
        (not_negative(inputs.scenario_loss), not_negative(inputs.funding_bound), not_negative(inputs.fees));
    let factor = if inputs.unknown { params.unknown_factor.max(Ratio::ONE) } else { Ratio::ONE };
    let worst = excursion.max(scenario_loss).decimal();
    let sum = add(add(worst, funding.decimal()), fees.decimal());
    Buffer { excursion, scenario_loss, funding, fees, factor, required: needed(mul(sum, factor.decimal())) }
}

/// `H* = 8760·(F/(tail·z·σN))²`: hours for which free margin `free` covers the excursion at the configured confidence, rounded
/// down. `None` when nothing is at risk: the account does not run at all.
#[must_use]
pub fn runway_hours(params: &BufferParams, free: Usd, risk: Usd) -> Option<Ratio> {
    if risk <= Usd::ZERO {
        return None;
    }
    let free = free.decimal().max(Decimal::ZERO);
    let share = div(free, mul(params.deviations(), risk.decimal()));
    let hours = mul(Decimal::from(HOURS_PER_YEAR), mul(share, share));
    Some(ratio_down(hours.min(Decimal::from(RUNWAY_HOURS_MAX))))
}

/// Hours for which free margin `free` pays funding of `per_hour`; `None` when nothing is paid.
#[must_use]
pub fn funding_hours(free: Usd, per_hour: Usd) -> Option<Ratio> {
    if per_hour <= Usd::ZERO {
        return None;
    }
    let hours = div(free.decimal().max(Decimal::ZERO), per_hour.decimal());
    Some(ratio_down(hours.min(Decimal::from(RUNWAY_HOURS_MAX))))
}

/// Funding over some hours per unit of notional, seen from one side: positive is paid (quant §1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FundingCost {
    /// `s·E Σf`.
    pub expected: Ratio,
    /// Standard deviation of `Σf`.
    pub sd: Ratio,
    /// `s·E Σf + z·sd`, at most the venue's limit in every hour. Below zero: received even then.
    pub bound: Ratio,
    /// The same with a rate now and a mean that are received counted as zero: what margin and loss budgets rest on, so that
    /// receiving funding enlarges nothing.
    pub bound_without_receipts: Ratio,
    /// Whether it rests on a fitted model, or on the assumption made where there is none.
    pub fitted: bool,
}

/// Funding over `hours` at an AR(1) path from the newest rate, for a position of `side` (quant §1.4):
/// `E Σf = hμ + (f₀−μ)·Σφ^k`, `Var Σf = σ²·Σ_k (Σ_{j<k} φ^j)²`. Every hour's rate is cut to `cap`.
///
/// Without a model the rate is taken as the worse of the newest one and [`FundingParams::hourly_unknown`], for every hour.
#[must_use]
pub fn funding_cost(params: &FundingParams, view: &FundingView, side: Side, hours: u32, cap: Ratio) -> FundingCost {
    let cap = cap.decimal().abs();
    let limit = mul(Decimal::from(hours), cap);
    let sign = Decimal::from(side.sign());
    let (Some(now), Some(mean), Some(phi), Some(sigma)) = (view.rate, view.mean, view.phi, view.sigma) else {
        let against = view.rate.map_or(Decimal::ZERO, |rate| mul(sign, rate.decimal()));
        let rate = against.max(params.hourly_unknown.decimal()).clamp(Decimal::ZERO, cap);
        let cost = ratio_up(mul(Decimal::from(hours), rate));
        return FundingCost { expected: cost, sd: Ratio::ZERO, bound: cost, bound_without_receipts: cost, fitted: false };
    };
    // a coefficient outside the unit interval is no fit; a negative one would call a high rate now good news for the next hour
    let phi = phi.decimal().clamp(Decimal::ZERO, Decimal::ONE);
    let (now, mean) = (mul(sign, now.decimal()), mul(sign, mean.decimal()));
    let (mut power, mut weight) = (Decimal::ONE, Decimal::ZERO);
    let (mut expected, mut paid, mut variance) = (Decimal::ZERO, Decimal::ZERO, Decimal::ZERO);
    for _ in 0..hours.min(PATH_HOURS_MAX) {
        power = mul(power, phi);
        weight = add(Decimal::ONE, mul(weight, phi));
        let path = |now: Decimal, mean: Decimal| add(mean, mul(add(now, -mean), power)).clamp(-cap, cap);
        expected = add(expected, path(now, mean));
        paid = add(paid, path(now.max(Decimal::ZERO), mean.max(Decimal::ZERO)));
        variance = add(variance, mul(weight, weight));
    }
    let beyond = mul(Decimal::from(hours.saturating_sub(PATH_HOURS_MAX)), cap);
    let sd = mul(sigma.decimal().abs(), sqrt_up(variance));
    let uncertain = mul(params.bound_z.decimal().max(Decimal::ZERO), sd);
    let bound = |from: Decimal| ratio_up(add(add(from, uncertain), beyond).min(limit));
    FundingCost {
        expected: ratio_up(add(expected, beyond)),
        sd: ratio_up(sd),
        bound: bound(expected),
        bound_without_receipts: bound(paid),
        fitted: true,
    }
}

/// `amount` times a cost per unit of notional, rounded up; a receipt is rounded towards zero.
#[must_use]
pub fn funding_amount(notional: Usd, cost: Ratio) -> Usd {
    needed(mul(notional.decimal().abs(), cost.decimal()))
}

/// What stablecoins are worth as a buffer: an issuer that makes up more than `issuer_share` of the whole is cut by
/// `issuer_haircut` (quant §1.10: USDC traded at 0.8997 in March 2023).
#[must_use]
pub fn after_haircut(params: &BufferParams, by_issuer: &[Usd]) -> Usd {
    let held = by_issuer.iter().map(|usd| usd.decimal().max(Decimal::ZERO));
    let total = held.clone().fold(Decimal::ZERO, add);
    let threshold = mul(total, params.issuer_share.decimal());
    let kept = add(Decimal::ONE, -params.issuer_haircut.decimal().clamp(Decimal::ZERO, Decimal::ONE));
    let worth = held.map(|usd| if usd > threshold { mul(usd, kept) } else { usd });
    crate::exact::allowed(worth.fold(Decimal::ZERO, add))
}

#[cfg(test)]
mod tests;
