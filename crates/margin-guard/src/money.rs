//! Money and shares as integers, so that running totals are exact and cheap. Converted from and to the domain's decimals at
//! the edge, without loss: [`Usd`] keeps at most 12 decimals, which is one unit here.

use domain::margin::{MarginTable, Tier};
use domain::{Ratio, Usd};
use rust_decimal::{Decimal, RoundingStrategy};

/// An amount in units of 10^-12 of the quote currency. A domain amount is at most 10^15, so 10^27 units; 128 bits hold
/// 10^38, which leaves room for sums over every market and for one multiplication by a [`Share`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Money(pub(crate) i128);

const DECIMALS: u32 = 12;
/// The domain's largest amount, 10^15, in units. A value above it is cut to it: far above any limit that a configuration
/// may set, so the cut never turns a refusal into an allowance.
const UNITS_MAX: i128 = 1_000_000_000_000_000_000_000_000_000;

impl Money {
    pub(crate) const ZERO: Money = Money(0);
    pub(crate) const MAX: Money = Money(UNITS_MAX);

    pub(crate) fn from_usd(usd: Usd) -> Money {
        let value = usd.decimal();
        match DECIMALS.checked_sub(value.scale()) {
            Some(missing) => Money(value.mantissa() * 10_i128.pow(missing)),
            None => Money(value.round_dp(DECIMALS).mantissa()),
        }
    }

    /// The amount for people and for the margin tables, cut to the domain's range.
    pub(crate) fn usd(self) -> Usd {
        let units = self.0.clamp(-UNITS_MAX, UNITS_MAX);
        let value = Decimal::try_from_i128_with_scale(units, DECIMALS).unwrap_or(Decimal::MAX);
        Usd::new(value).unwrap_or_default()
    }

    /// Value of `lots` at `ticks`, with `unit` units per tick and lot.
    pub(crate) fn value(ticks: i64, lots: i64, unit: i64) -> Money {
        match ticks.checked_mul(lots) {
            // two factors of 64 bits: the usual case, one instruction
            Some(tick_lots) => Money((i128::from(tick_lots) * i128::from(unit)).clamp(-UNITS_MAX, UNITS_MAX)),
            None => Money::sum_of(i128::from(ticks) * i128::from(lots), unit),
        }
    }

    /// A sum of ticks times lots, valued.
    pub(crate) fn sum_of(tick_lots: i128, unit: i64) -> Money {
        let cut = if tick_lots < 0 { -UNITS_MAX } else { UNITS_MAX };
        Money(tick_lots.checked_mul(i128::from(unit)).unwrap_or(cut).clamp(-UNITS_MAX, UNITS_MAX))
    }

    pub(crate) fn plus(self, other: Money) -> Money {
        Money(self.0 + other.0)
    }

    pub(crate) fn minus(self, other: Money) -> Money {
        Money(self.0 - other.0)
    }

    pub(crate) fn at_most_zero(self) -> Money {
        Money(self.0.min(0))
    }

    pub(crate) fn at_least_zero(self) -> Money {
        Money(self.0.max(0))
    }

    /// `share` times this, rounded up.
    pub(crate) fn times_up(self, share: Share) -> Money {
        let product = self.0 * i128::from(share.0);
        Money(product.div_euclid(SHARE_UNIT) + i128::from(product.rem_euclid(SHARE_UNIT) != 0))
    }

    /// Cut to the domain's range.
    pub(crate) fn at_most_max(self) -> Money {
        Money(self.0.clamp(-UNITS_MAX, UNITS_MAX))
    }

    /// Whether this is more than `share` times `base`.
    pub(crate) fn exceeds(self, share: Share, base: Money) -> bool {
        // sums of 10^4 markets stay below 10^31 units, times 10^6
        self.0 * SHARE_UNIT > base.0 * i128::from(share.0)
    }

    /// Whether `share` times this is more than `base`.
    pub(crate) fn exceeds_share_of(self, share: Share, base: Money) -> bool {
        self.0 * i128::from(share.0) > base.0 * SHARE_UNIT
    }

    /// `self / base`, rounded down at 6 decimals; nothing if `base` is zero.
    pub(crate) fn over(self, base: Money) -> Option<Ratio> {
        let quotient = (self.0 * SHARE_UNIT).checked_div(base.0)?;
        let bound = 1_000_000_000_i64 * 1_000_000;
        let parts = i64::try_from(quotient).unwrap_or(if quotient < 0 { -bound } else { bound });
        Some(Ratio::scaled(parts.clamp(-bound, bound), SHARE_DECIMALS))
    }
}

/// A configured ratio in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Share(pub(crate) i64);

pub(crate) const SHARE_DECIMALS: u32 = 6;
pub(crate) const SHARE_UNIT: i128 = 1_000_000;

impl Share {
    /// `ratio`, rounded up.
    pub(crate) fn ceil(ratio: Ratio) -> Share {
        let value = ratio.decimal().round_dp_with_strategy(SHARE_DECIMALS, RoundingStrategy::ToPositiveInfinity);
        let value = value.checked_mul(Decimal::from(SHARE_UNIT)).unwrap_or(Decimal::MAX);
        Share(i64::try_from(value.trunc()).unwrap_or(i64::MAX))
    }

    pub(crate) fn ratio(self) -> Ratio {
        Ratio::scaled(self.0, SHARE_DECIMALS)
    }
}

/// Units of money per tick and lot, if that is a positive whole number of them.
pub(crate) fn unit_of(tick_lot: Decimal) -> Option<i64> {
    let value = tick_lot.normalize();
    let missing = DECIMALS.checked_sub(value.scale())?;
    let units = value.mantissa().checked_mul(10_i128.pow(missing))?;
    i64::try_from(units).ok().filter(|unit| *unit > 0)
}

/// A margin table in integers: the same figures as [`MarginTable::maintenance`], which [`crate::Guard::verify`] compares.
#[derive(Clone, Debug)]
pub(crate) struct Tiers(Vec<Step>);

#[derive(Clone, Copy, Debug)]
struct Step {
    from: Money,
    deduction: Money,
    /// The rate as a fraction in lowest decimal terms.
    num: i128,
    den: i128,
}

impl Tiers {
    pub(crate) fn of(table: &MarginTable) -> Tiers {
        let step = |tier: &Tier| {
            let rate = tier.rate.decimal().normalize();
            let (from, deduction) = (Money::from_usd(tier.from), Money::from_usd(tier.deduction));
            Step { from, deduction, num: rate.mantissa(), den: 10_i128.pow(rate.scale()) }
        };
        Tiers(table.tiers().iter().map(step).collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Rate as a fraction and deduction of every tier.
    pub(crate) fn rates(&self) -> impl Iterator<Item = (i128, i128, Money)> {
        self.0.iter().map(|s| (s.num, s.den, s.deduction))
    }

    /// Maintenance margin of a position worth `notional`, halves rounded up.
    pub(crate) fn maintenance(&self, notional: Money) -> Money {
        let Some(step) = self.0.iter().rev().find(|s| s.from <= notional) else { return Money::ZERO };
        // above 10^14 the whole value is asked, which no limit lets happen
        let product = notional.0.checked_mul(step.num).and_then(|p| p.checked_add(step.den / 2));
        let margin = product.map_or(notional, |p| Money(divide(p, step.den)));
        margin.minus(step.deduction)
    }
}

/// Both above zero. A division of 128 bits costs ten times one of 64.
fn divide(num: i128, den: i128) -> i128 {
    match (u64::try_from(num), u64::try_from(den)) {
        (Ok(num), Ok(den)) => i128::from(num / den),
        (Ok(_) | Err(_), _) => num / den,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversion_loses_nothing() {
        for text in ["0", "0.000000000001", "-12.5", "999999999999999.999999999999", "1000000000000000"] {
            let usd: Usd = text.parse().unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(Money::from_usd(usd).usd(), usd, "{text}");
        }
        assert_eq!(Money(UNITS_MAX * 7).usd().to_string(), "1000000000000000");
    }

    #[test]
    fn maintenance_equals_the_domains() {
        let of = |text: &str| text.parse::<Usd>().unwrap_or_else(|e| panic!("{e}"));
        for leverages in [[40, 25, 10], [3, 3, 3], [50, 7, 1]] {
            let steps: Vec<_> = ["0", "10000", "50000"].into_iter().map(of).zip(leverages).collect();
            let table = MarginTable::new(&steps).unwrap_or_else(|e| panic!("{e}"));
            let tiers = Tiers::of(&table);
            for notional in ["0", "0.000001", "9999.999999", "10000", "12073.655", "49999.999999", "50000", "123456789.000003"] {
                let expected = if notional == "0" { Usd::ZERO } else { table.maintenance(of(notional)) };
                assert_eq!(tiers.maintenance(Money::from_usd(of(notional))).usd(), expected, "{leverages:?} {notional}");
            }
        }
    }

    #[test]
    fn shares_compare_without_division() {
        let of = |text: &str| Money::from_usd(text.parse().unwrap_or_else(|e| panic!("{e}")));
        let three = Share(3_000_000);
        assert!(!of("300").exceeds(three, of("100")));
        assert!(of("300.000000000001").exceeds(three, of("100")));
        assert_eq!(of("10").over(of("3")).map(|r| r.to_string()), Some("3.333333".into()));
        assert_eq!(of("10").over(Money::ZERO), None);
    }

    #[test]
    fn tick_times_lot_must_be_whole_units() {
        assert_eq!(unit_of(Decimal::new(1, 6)), Some(1_000_000));
        assert_eq!(unit_of(Decimal::new(10, 13)), Some(1));
        assert_eq!(unit_of(Decimal::new(1, 13)), None);
        assert_eq!(unit_of(Decimal::ZERO), None);
    }
}
