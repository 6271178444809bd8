//! Decimal arithmetic that saturates instead of panicking, and rounding towards the side that is safe.
//!
//! Amounts and ratios are bounded on entry, but products of several of them are not. A result beyond [`limit`] is cut to it: an
//! amount a thousand times above any account, so that the cut never turns a refusal into an allowance.

use domain::{Ratio, Usd};
use rust_decimal::{Decimal, RoundingStrategy};

/// Decimals of what leaves a formula; [`Usd`] and [`Ratio`] keep as many.
const DECIMALS: u32 = 12;

/// 10^18: three orders above the largest [`Usd`], ten below the end of the decimal's range.
fn limit() -> Decimal {
    Decimal::from(1_000_000_000_000_000_000_i64)
}

fn cut(value: Decimal) -> Decimal {
    value.clamp(-limit(), limit())
}

/// `a + b`, cut.
pub(crate) fn add(a: Decimal, b: Decimal) -> Decimal {
    cut(a.checked_add(b).unwrap_or_else(|| if a.is_sign_negative() { -limit() } else { limit() }))
}

/// `a · b`, cut.
pub(crate) fn mul(a: Decimal, b: Decimal) -> Decimal {
    let negative = a.is_sign_negative() != b.is_sign_negative();
    cut(a.checked_mul(b).unwrap_or_else(|| if negative { -limit() } else { limit() }))
}

/// `a / b`, cut; division by zero gives the limit with the sign of `a`, and zero for zero.
pub(crate) fn div(a: Decimal, b: Decimal) -> Decimal {
    if a.is_zero() {
        return Decimal::ZERO;
    }
    let negative = a.is_sign_negative() != (b.is_sign_negative() && !b.is_zero());
    cut(a.checked_div(b).unwrap_or_else(|| if negative { -limit() } else { limit() }))
}

/// `clamp((x − a)/(b − a), 0, 1)`; a step at `b` if `a` is not below it.
pub(crate) fn ramp(x: Decimal, a: Decimal, b: Decimal) -> Decimal {
    if a >= b {
        return if x >= b { Decimal::ONE } else { Decimal::ZERO };
    }
    div(add(x, -a), add(b, -a)).clamp(Decimal::ZERO, Decimal::ONE)
}

/// The square root of `x`, rounded up at 18 decimals below 100, at 12 below 10^14, at 6 above; zero for what is not positive.
/// In integers: the root of a sum of money must be the same on every machine.
pub(crate) fn sqrt_up(x: Decimal) -> Decimal {
    if x <= Decimal::ZERO {
        return Decimal::ZERO;
    }
    let x = cut(x);
    let digits: u32 = if x < Decimal::ONE_HUNDRED {
        18
    } else if x < Decimal::from(100_000_000_000_000_i64) {
        12
    } else {
        6
    };
    // x·10^(2·digits), rounded up to a whole number; at most 10^38 by the choice of digits
    let mantissa = x.mantissa().unsigned_abs();
    let scaled = match (2 * digits).checked_sub(x.scale()) {
        Some(missing) => mantissa.saturating_mul(10_u128.pow(missing)),
        None => mantissa.div_ceil(10_u128.pow(x.scale() - 2 * digits)),
    };
    let floor = scaled.isqrt();
    let root = if floor * floor == scaled { floor } else { floor + 1 };
    i128::try_from(root).ok().and_then(|root| Decimal::try_from_i128_with_scale(root, digits).ok()).unwrap_or_else(limit)
}

/// A ratio for reading, rounded half away from zero at 12 decimals.
pub(crate) fn ratio(value: Decimal) -> Ratio {
    ratio_by(value, RoundingStrategy::MidpointAwayFromZero)
}

/// A ratio rounded up.
pub(crate) fn ratio_up(value: Decimal) -> Ratio {
    ratio_by(value, RoundingStrategy::ToPositiveInfinity)
}

/// A ratio rounded down.
pub(crate) fn ratio_down(value: Decimal) -> Ratio {
    ratio_by(value, RoundingStrategy::ToNegativeInfinity)
}

fn ratio_by(value: Decimal, strategy: RoundingStrategy) -> Ratio {
    let bound = Decimal::from(1_000_000_000);
    Ratio::new(value.clamp(-bound, bound).round_dp_with_strategy(DECIMALS, strategy)).unwrap_or_default()
}

/// An amount that may be held or used: rounded down, at least nothing.
pub(crate) fn allowed(value: Decimal) -> Usd {
    usd(value.max(Decimal::ZERO).round_dp_with_strategy(DECIMALS, RoundingStrategy::ToNegativeInfinity))
}

/// An amount that is needed or lost: rounded up.
pub(crate) fn needed(value: Decimal) -> Usd {
    usd(value.round_dp_with_strategy(DECIMALS, RoundingStrategy::ToPositiveInfinity))
}

fn usd(value: Decimal) -> Usd {
    let bound = Decimal::from(1_000_000_000_000_000_i64);
    Usd::new(value.clamp(-bound, bound)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
