use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use std::str::FromStr;

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A price in whole ticks of its instrument. What a tick is worth stands in [`crate::Instrument::tick`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Px(pub i64);

/// A quantity in whole lots of its instrument, never negative by construction of its users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Qty(pub i64);

/// A signed number of lots: a position (long above zero) or a change of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lots(pub i64);

impl Qty {
    /// Nothing.
    pub const ZERO: Qty = Qty(0);

    /// Whether there is nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// `self - other`, or nothing if `other` is larger.
    #[must_use]
    pub fn minus(self, other: Qty) -> Qty {
        Qty((self.0 - other.0).max(0))
    }
}

impl Add for Qty {
    type Output = Qty;
    fn add(self, other: Qty) -> Qty {
        Qty(self.0 + other.0)
    }
}

impl AddAssign for Qty {
    fn add_assign(&mut self, other: Qty) {
        self.0 += other.0;
    }
}

impl Sum for Qty {
    fn sum<I: Iterator<Item = Qty>>(iter: I) -> Qty {
        iter.fold(Qty::ZERO, Add::add)
    }
}

impl Lots {
    /// Flat.
    pub const ZERO: Lots = Lots(0);

    /// The size without the direction.
    #[must_use]
    pub const fn abs(self) -> Qty {
        Qty(self.0.abs())
    }
}

impl Add for Lots {
    type Output = Lots;
    fn add(self, other: Lots) -> Lots {
        Lots(self.0 + other.0)
    }
}

impl AddAssign for Lots {
    fn add_assign(&mut self, other: Lots) {
        self.0 += other.0;
    }
}

impl Sub for Lots {
    type Output = Lots;
    fn sub(self, other: Lots) -> Lots {
        Lots(self.0 - other.0)
    }
}

impl Neg for Lots {
    type Output = Lots;
    fn neg(self) -> Lots {
        Lots(-self.0)
    }
}

/// A number that does not fit, or that is not a plain decimal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct OutOfRange {
    /// What was given.
    pub text: String,
    /// What would be right.
    pub expected: &'static str,
}

/// The largest amount that enters by [`Usd::new`] or parsing: far above any account, far below where arithmetic could overflow.
const USD_ABS_MAX: i64 = 1_000_000_000_000_000;
/// Decimals kept by multiplication. Venues account in 6; the rest absorbs rates.
const USD_DECIMALS: u32 = 12;

/// An amount of money in the quote currency (USDC). Checked decimal; at most 12 decimals, at most 10^15 on entry, so sums of
/// fewer than 10^13 such amounts cannot overflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(Decimal);

impl Usd {
    /// No money.
    pub const ZERO: Usd = Usd(Decimal::ZERO);

    /// The amount `value`.
    ///
    /// # Errors
    /// If its magnitude exceeds 10^15.
    pub fn new(value: Decimal) -> Result<Usd, OutOfRange> {
        if value.abs() > Decimal::from(USD_ABS_MAX) {
            return Err(OutOfRange { text: value.to_string(), expected: "an amount of at most 10^15" });
        }
        Ok(Usd(trim(value)))
    }

    /// Whole units of the quote currency.
    #[must_use]
    pub const fn whole(units: i32) -> Usd {
        Usd(Decimal::from_parts(units.unsigned_abs(), 0, 0, units < 0, 0))
    }

    /// The amount as a decimal, for display and for venue fields.
    #[must_use]
    pub const fn decimal(self) -> Decimal {
        self.0
    }

    /// This amount times `ratio`, rounded half away from zero at 12 decimals.
    ///
    /// # Panics
    /// If the product leaves the decimal's range, which bounded inputs cannot reach.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a programmer's error: amounts and ratios are bounded on entry")]
    pub fn times(self, ratio: Ratio) -> Usd {
        Usd(trim(self.0.checked_mul(ratio.0).expect("invariant: an amount times a ratio fits")))
    }

    /// `self / other`, or nothing if `other` is zero.
    #[must_use]
    pub fn over(self, other: Usd) -> Option<Ratio> {
        self.0.checked_div(other.0).map(|q| Ratio(trim(q)))
    }

    /// The magnitude.
    #[must_use]
    pub fn abs(self) -> Usd {
        Usd(self.0.abs())
    }

    /// Rounded to `decimals` places, halves away from zero.
    #[must_use]
    pub fn round(self, decimals: u32) -> Usd {
        Usd(self.0.round_dp_with_strategy(decimals, RoundingStrategy::MidpointAwayFromZero))
    }

    /// Rounded up (towards plus infinity) to `decimals` places.
    #[must_use]
    pub fn ceil(self, decimals: u32) -> Usd {
        Usd(self.0.round_dp_with_strategy(decimals, RoundingStrategy::ToPositiveInfinity))
    }

    /// Whether it is below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.0.is_sign_negative() && !self.0.is_zero()
    }
}

fn trim(value: Decimal) -> Decimal {
    if value.scale() > USD_DECIMALS {
        value.round_dp_with_strategy(USD_DECIMALS, RoundingStrategy::MidpointAwayFromZero)
    } else {
        value
    }
}

#[expect(clippy::expect_used, reason = "a programmer's error: amounts are bounded on entry")]
impl Add for Usd {
    type Output = Usd;
    fn add(self, other: Usd) -> Usd {
        Usd(self.0.checked_add(other.0).expect("invariant: a sum of amounts fits"))
    }
}

#[expect(clippy::expect_used, reason = "a programmer's error: amounts are bounded on entry")]
impl Sub for Usd {
    type Output = Usd;
    fn sub(self, other: Usd) -> Usd {
        Usd(self.0.checked_sub(other.0).expect("invariant: a difference of amounts fits"))
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, other: Usd) {
        *self = *self + other;
    }
}

impl SubAssign for Usd {
    fn sub_assign(&mut self, other: Usd) {
        *self = *self - other;
    }
}

impl Neg for Usd {
    type Output = Usd;
    fn neg(self) -> Usd {
        Usd(-self.0)
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Usd>>(iter: I) -> Usd {
        iter.fold(Usd::ZERO, Add::add)
    }
}

/// A dimensionless number: a rate, a share, a leverage, a cover. Exact decimal with at most 12 decimals when computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ratio(Decimal);

impl Ratio {
    /// Zero.
    pub const ZERO: Ratio = Ratio(Decimal::ZERO);
    /// One.
    pub const ONE: Ratio = Ratio(Decimal::ONE);

    /// The ratio `value`.
    ///
    /// # Errors
    /// If its magnitude exceeds 10^9.
    pub fn new(value: Decimal) -> Result<Ratio, OutOfRange> {
        if value.abs() > Decimal::from(1_000_000_000) {
            return Err(OutOfRange { text: value.to_string(), expected: "a ratio of at most 10^9" });
        }
        Ok(Ratio(trim(value)))
    }

    /// `num / 10^decimals`: `Ratio::scaled(25, 4)` is 25 basis points.
    #[must_use]
    pub fn scaled(num: i64, decimals: u32) -> Ratio {
        Ratio(Decimal::new(num, decimals))
    }

    /// `n` basis points (1/10,000).
    #[must_use]
    pub fn bps(n: i64) -> Ratio {
        Ratio::scaled(n, 4)
    }

    /// The ratio as a decimal.
    #[must_use]
    pub const fn decimal(self) -> Decimal {
        self.0
    }

    /// The magnitude.
    #[must_use]
    pub fn abs(self) -> Ratio {
        Ratio(self.0.abs())
    }
}

/// Reads a plain decimal: an optional minus sign, ASCII digits, at most one point with digits on both sides, at most 28
/// significant digits, no exponent. Everything else a parser might be kind about is refused (reliability §8). A negative zero,
/// which venues print for a loss that rounds to nothing, is zero.
#[must_use]
pub fn plain_decimal(text: &str) -> Option<Decimal> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(w, f)| (w, Some(f)));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || fraction.is_some_and(|f| !all_digits(f)) {
        return None;
    }
    let value = Decimal::from_str_exact(text).ok()?;
    (text.starts_with('-') && value.is_zero()).then_some(Decimal::ZERO).or(Some(value))
}

macro_rules! decimal_text {
    ($type:ident, $what:literal) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.normalize(), f)
            }
        }

        impl FromStr for $type {
            type Err = OutOfRange;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let value = plain_decimal(text).ok_or_else(|| OutOfRange {
                    text: text.chars().take(40).collect(),
                    expected: concat!("a plain decimal ", $what),
                })?;
                $type::new(value)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

decimal_text!(Usd, "amount");
decimal_text!(Ratio, "ratio");

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Usd {
        text.parse().unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn arithmetic_is_exact_and_rounding_is_named() {
        assert_eq!(usd("0.1") + usd("0.2"), usd("0.3"));
        assert_eq!(usd("10").times(Ratio::bps(3)), usd("0.003"));
        assert_eq!(usd("1.005").round(2), usd("1.01"));
        assert_eq!(usd("1.001").ceil(2), usd("1.01"));
        assert_eq!(usd("1").over(Usd::ZERO), None);
        assert_eq!(Usd::whole(-3), usd("-3"));
        assert_eq!(usd("5.50").to_string(), "5.5");
    }

    #[test]
    fn hostile_numbers_are_refused() {
        for bad in ["NaN", "inf", "1e3", "0x10", "", " 1", "1_0_", "1,000", "１", "1e400", "10000000000000000"] {
            assert!(bad.parse::<Usd>().is_err(), "{bad}");
        }
    }
}
