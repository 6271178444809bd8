//! The funding-risk multiplier (quant §1.3).

use domain::{FundingView, Ratio};
use rust_decimal::Decimal;

use super::older_than;
use super::params::{FundingParams, Ramp};
use crate::exact::{add, mul, ramp};

/// The multiplier, with the reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multiplier {
    /// `m`, 1 to `max`.
    pub value: Decimal,
    /// What it is made of.
    pub why: String,
    /// Why no position may grow; empty without a red flag.
    pub red: Vec<String>,
}

/// `m = clamp(1 + Σ weight · ramp, 1, max)` and the red flag. Magnitudes count: funding that is received at an unusual rate is as
/// much a warning as funding that is paid. Whatever is missing, short or stale keeps `m` at `missing` or above.
#[must_use]
pub fn funding_multiplier(params: &FundingParams, view: Option<&FundingView>, now_ms: u64) -> Multiplier {
    let floor = params.missing.decimal();
    let Some(view) = view.filter(|v| v.newest_ms > 0) else {
        return Multiplier {
            value: floor.max(Decimal::ONE),
            why: "no funding history".into(),
            red: vec!["no funding history".into()],
        };
    };
    let mut red = Vec::new();
    let stale = older_than(now_ms, view.newest_ms, params.age_max);
    if stale {
        let hours = now_ms.saturating_sub(view.newest_ms) / 3_600_000;
        red.push(format!("newest settled funding rate is {hours} h old, more than {}", params.age_max));
    }
    if let Some(z) = view.z.filter(|z| z.abs() >= params.z_red) {
        red.push(format!("funding z is {z}, {} or more in magnitude", params.z_red));
    }
    if let Some(p) = view.persistence.filter(|p| *p >= params.persistence_red) {
        red.push(format!("funding has been far from its median in {p} of the last 24 hours, {} or more", params.persistence_red));
    }
    let mut terms = Vec::new();
    let mut sum = Decimal::ONE;
    let mut missing = Vec::new();
    let mut term = |name: &'static str, ramp: &Ramp, value: Option<Ratio>| match value {
        Some(x) => {
            let part = part(ramp, x.decimal().abs());
            sum = add(sum, part);
            terms.push(format!("{name} {x} adds {}", part.round_dp(3).normalize()));
        }
        None => missing.push(name),
    };
    term("z", &params.z, view.z);
    term("persistence", &params.persistence, view.persistence);
    term("instability", &params.instability, view.instability);
    match view.z_cross {
        Some(_) => term("z_cross", &params.z_cross, view.z_cross),
        None if params.cross_venue => {
            sum = add(sum, params.z_cross.weight.decimal());
            terms.push(format!("no other venue's rates, which are expected, adds {}", params.z_cross.weight));
        }
        None => terms.push("no other venue is compared".into()),
    }
    if view.hours < params.hours_min {
        terms.push(format!("{} h of history, fewer than {}: at least {}", view.hours, params.hours_min, params.missing));
        sum = sum.max(floor);
    }
    if !missing.is_empty() {
        terms.push(format!("without {}: at least {}", missing.join(", "), params.missing));
        sum = sum.max(floor);
    }
    if stale {
        terms.push(format!("stale: at least {}", params.missing));
        sum = sum.max(floor);
    }
    Multiplier { value: sum.min(params.max.decimal()).max(Decimal::ONE), why: terms.join("; "), red }
}

/// `weight · ramp(x; from, to)`.
fn part(term: &Ramp, x: Decimal) -> Decimal {
    mul(term.weight.decimal().max(Decimal::ZERO), ramp(x, term.from.decimal(), term.to.decimal()))
}
