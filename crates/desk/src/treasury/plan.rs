//! What to do next for an account: a function of what it needs, what there is, what is under way and what may be spent.

use domain::{Cascade, Ratio, TreasuryAction, Usd};
use margin_guard::Cover;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Serialize;

/// Decimals of a target that is worked out from others.
const TARGET_DECIMALS: u32 = 4;

/// What to do next, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// What.
    pub action: TreasuryAction,
    /// Why, with the numbers.
    pub why: String,
    /// How much would be moved.
    pub amount: Option<Usd>,
    /// By which way.
    pub by: Option<&'static str>,
    /// The run of top-ups that it belongs to.
    pub cascade: Option<Cascade>,
}

fn raised(ratio: Ratio, cover: &Cover) -> Ratio {
    let value = ratio.decimal() * (Decimal::ONE + cover.hysteresis.decimal());
    Ratio::new(value.round_dp_with_strategy(TARGET_DECIMALS, RoundingStrategy::ToPositiveInfinity)).unwrap_or(ratio)
}

/// The least target at which the top-up level is left.
pub(super) fn target_floor(cover: &Cover) -> Ratio {
    raised(cover.top_up, cover)
}

/// The least ceiling of a sweep: an account at it is neither watched nor about to be topped up.
pub(super) fn sweep_floor(target: Ratio, cover: &Cover) -> Ratio {
    raised(target.max(cover.watch), cover)
}
