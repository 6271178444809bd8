//! Statistics of a market with bounded memory: what prices and funding did, as the figures of a [`domain::Measure`].
//!
//! [`Markets`] is the whole of it: closed bars and settled funding rates go in, in any order and with any overlap, a measure
//! per instrument and a covariance of all come out. The result is a function of the newest data that fits the memory, not of
//! how it was told. Floats are used here and nowhere else in this crate; what leaves is a decimal, rounded to the side that
//! makes a size smaller, or nothing where there is too little history to say.

pub mod backtest;
pub mod covariance;
pub mod depth;
pub mod funding;
pub mod market;
pub mod normal;
pub mod volatility;

pub use covariance::{Covariance, Exposure, PortfolioRisk, Target};
pub use depth::{DepthRing, SlippageRatio};
pub use funding::Funding;
pub use market::{MarketStats, Markets, Settings};
pub use volatility::Volatility;

use domain::Ratio;
use rust_decimal::prelude::FromPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};

/// Hours of a year, by which volatility is annualised (quant, conventions).
pub const HOURS_PER_YEAR: u32 = 8_760;
/// One hour in milliseconds.
pub const HOUR_MS: u64 = 3_600_000;
/// How far the clock of a venue may run ahead of ours before what it calls past counts as future. NTP keeps both far closer.
const CLOCK_SLACK_MS: u64 = 5_000;

/// `value` at `decimals` places, rounded away from zero; nothing if it is not a number that a [`Ratio`] holds.
fn away_from_zero(value: f64, decimals: u32) -> Option<Ratio> {
    rounded(value, decimals, RoundingStrategy::AwayFromZero)
}

/// `value` at `decimals` places, nearest; nothing if it is not a number that a [`Ratio`] holds.
fn nearest(value: f64, decimals: u32) -> Option<Ratio> {
    rounded(value, decimals, RoundingStrategy::MidpointAwayFromZero)
}

fn rounded(value: f64, decimals: u32, how: RoundingStrategy) -> Option<Ratio> {
    let value = Decimal::from_f64(value).filter(|_| value.is_finite())?;
    Ratio::new(value.round_dp_with_strategy(decimals, how)).ok()
}
