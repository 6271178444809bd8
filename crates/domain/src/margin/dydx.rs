//! dYdX v4's margin (quant §4.2), in the chain's own arithmetic: parts per million, divisions rounded down, margin rounded up to
//! a quote quantum (6 decimals).

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use super::MarginTable;
use crate::{Ratio, Usd};

/// One whole in parts per million.
pub const PPM: u32 = 1_000_000;
/// Decimals of a quote quantum.
const QUANTUM: u32 = 6;
/// The clamp of the 8-hour funding rate in units of `IMF − MMF`.
const FUNDING_CLAMP: i64 = 6;

/// A liquidity tier as the chain publishes it. Governance changes it: read it from the venue, never hard-code it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DydxTier {
    /// Base initial margin fraction, parts per million.
    pub initial_ppm: u32,
    /// Maintenance fraction of the *base* initial margin, parts per million.
    pub maintenance_fraction_ppm: u32,
    /// Open interest, in money, from which the initial fraction grows.
    pub open_interest_lower: Usd,
    /// Open interest at which it is one; zero turns the growth off.
    pub open_interest_upper: Usd,
}

/// Why a liquidity tier is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "liquidity tier must have an initial margin of 1 to 1000000 ppm, a maintenance fraction of 1 to 1000000 ppm and open interest \
     bounds with 0 <= lower <= upper, upper 0 for none: {0:?}"
)]
pub struct BadTier(DydxTier);

/// The margin of one market.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "DydxTier", into = "DydxTier")]
pub struct DydxMargin {
    tier: DydxTier,
    table: MarginTable,
}

impl TryFrom<DydxTier> for DydxMargin {
    type Error = BadTier;

    fn try_from(tier: DydxTier) -> Result<DydxMargin, BadTier> {
        DydxMargin::new(tier)
    }
}

impl From<DydxMargin> for DydxTier {
    fn from(margin: DydxMargin) -> DydxTier {
        margin.tier
    }
}

impl DydxMargin {
    /// The margin of `tier`.
    ///
    /// # Errors
    /// If a fraction is zero or above one, or the open interest bounds are negative or do not rise.
    pub fn new(tier: DydxTier) -> Result<DydxMargin, BadTier> {
        let fraction = |ppm: u32| (1..=PPM).contains(&ppm);
        let (lower, upper) = (tier.open_interest_lower, tier.open_interest_upper);
        let bounds = upper == Usd::ZERO || (lower >= Usd::ZERO && lower <= upper);
        if !fraction(tier.initial_ppm) || !fraction(tier.maintenance_fraction_ppm) || !bounds || lower.is_negative() {
            return Err(BadTier(tier));
        }
        let rate = Ratio::scaled(i64::from(maintenance_ppm(&tier)), 6);
        Ok(DydxMargin { tier, table: MarginTable::of_rate(PPM / tier.initial_ppm, rate) })
    }

    /// The published numbers.
    #[must_use]
    pub const fn tier(&self) -> &DydxTier {
        &self.tier
    }

    /// Maintenance as a table of one tier; its leverage is the whole part of `1/IMF`.
    #[must_use]
    pub const fn table(&self) -> &MarginTable {
        &self.table
    }

    /// `MMF = IMF · fraction`, parts per million, rounded down. It does not grow with open interest.
    #[must_use]
    pub fn maintenance_ppm(&self) -> u32 {
        maintenance_ppm(&self.tier)
    }

    /// The initial fraction at `open_interest` (in money, at the oracle), parts per million:
    /// `min(1, IMF + max(0, (OI − lower)/(upper − lower))·(1 − IMF))`, rounded down; base without bounds.
    #[must_use]
    pub fn initial_ppm_at(&self, open_interest: Usd) -> u32 {
        let DydxTier { initial_ppm: base, open_interest_lower: lower, open_interest_upper: upper, .. } = self.tier;
        // the upper bound is asked first: where both are the same, the fraction is one from there on
        if upper != Usd::ZERO && open_interest >= upper {
            return PPM;
        }
        if upper == Usd::ZERO || open_interest <= lower {
            return base;
        }
        // both differences are positive here; in whole quanta they have at most 21 digits, times a million fits 128 bits
        let (above, width) = (quanta(open_interest - lower), quanta(upper - lower).max(1));
        let grown = above * u128::from(PPM - base) / width;
        u32::try_from(grown).unwrap_or(PPM).saturating_add(base).min(PPM)
    }

    /// Maintenance margin of a position worth `notional` at the oracle, rounded up to a quantum.
    #[must_use]
    pub fn maintenance(&self, notional: Usd) -> Usd {
        share(notional, self.maintenance_ppm())
    }

    /// Initial margin of a position worth `notional` at the oracle, rounded up to a quantum. An initial fraction that the user
    /// set for himself counts if it is higher than the venue's; an unknown open interest counts as full where it matters.
    #[must_use]
    pub fn initial(&self, notional: Usd, user_ppm: Option<u32>, open_interest: Option<Usd>) -> Usd {
        let venue = match open_interest {
            Some(open_interest) => self.initial_ppm_at(open_interest),
            None if self.tier.open_interest_upper == Usd::ZERO => self.tier.initial_ppm,
            None => PPM,
        };
        share(notional, venue.max(user_ppm.unwrap_or(0)).min(PPM))
    }

    /// [`DydxMargin::initial`] with the user's fraction given as a leverage, rounded up.
    #[must_use]
    pub fn initial_at(&self, notional: Usd, leverage: u32, open_interest: Option<Usd>) -> Usd {
        self.initial(notional, Some(PPM.div_ceil(leverage.max(1))), open_interest)
    }

    /// Limit of the 8-hour funding rate, either way: `6·(IMF − MMF)` (quant §3).
    #[must_use]
    pub fn funding_cap_8h(&self) -> Ratio {
        let width = i64::from(self.tier.initial_ppm) - i64::from(self.maintenance_ppm());
        Ratio::scaled(FUNDING_CLAMP * width, 6)
    }

    /// The same per hour.
    #[must_use]
    pub fn funding_cap_hourly(&self) -> Ratio {
        let hourly = self.funding_cap_8h().decimal() / Decimal::from(8);
        Ratio::new(hourly.round_dp_with_strategy(12, RoundingStrategy::ToPositiveInfinity)).unwrap_or(Ratio::ONE)
    }
}

fn maintenance_ppm(tier: &DydxTier) -> u32 {
    let product = u64::from(tier.initial_ppm) * u64::from(tier.maintenance_fraction_ppm);
    u32::try_from(product / u64::from(PPM)).unwrap_or(PPM)
}

/// Whole quote quanta of an amount of zero or more, rounded down.
fn quanta(amount: Usd) -> u128 {
    let whole = amount.decimal().round_dp_with_strategy(QUANTUM, RoundingStrategy::ToZero);
    let missing = QUANTUM.saturating_sub(whole.scale());
    u128::try_from(whole.mantissa()).unwrap_or(0) * 10_u128.pow(missing)
}

fn share(notional: Usd, ppm: u32) -> Usd {
    notional.abs().times(Ratio::scaled(i64::from(ppm), 6)).ceil(QUANTUM)
}
