//! The shapes of schedules: which share of a parent is due by when.

use domain::{ParentSpec, Schedule, Span};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::almgren_chriss::Problem;

/// One whole, in the fixed point in which shares are counted: fine enough that 10^12 lots round to the lot.
pub const ONE: u64 = 1 << 40;

const DAY_NS: u128 = 86_400_000_000_000;

/// Cumulative share of a leg over its time, from 0 to [`ONE`], never falling.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A straight line (TWAP, and participation that completes).
    Even,
    /// After a day's volume curve (VWAP).
    Curve {
        /// Smoothed weight before each bucket of the day, and the day's sum last.
        before: Box<[u128]>,
        /// Where in the UTC day the leg starts, in nanoseconds.
        offset_ns: u64,
    },
    /// Almgren–Chriss: the share done at the end of each of equal intervals, the last one [`ONE`].
    Shortfall {
        /// Per interval.
        done: Box<[u64]>,
    },
}

impl Shape {
    /// The shape of `spec` for a leg that starts at UTC `wall_ms`, lasts `horizon` and is worth `notional` at arrival.
    /// `None` for participation, which follows the market instead of the clock.
    #[must_use]
    pub fn of(spec: &ParentSpec, slices: u32, wall_ms: u64, horizon: Span, notional: Decimal) -> Option<Shape> {
        match &spec.schedule {
            Schedule::Twap { .. } => Some(Shape::Even),
            Schedule::Vwap { curve, .. } if curve.is_empty() => Some(Shape::Even),
            Schedule::Vwap { curve, .. } => Some(Shape::curve(curve, wall_ms)),
            Schedule::Shortfall { lambda, sigma_daily, eta, .. } => {
                let parameters = [lambda.decimal(), sigma_daily.decimal(), eta.decimal()];
                Some(Shape::shortfall(parameters, slices, horizon, notional))
            }
            Schedule::Pov { .. } => None,
        }
    }

    /// Share due after `elapsed` of `horizon`.
    #[must_use]
    pub fn share(&self, elapsed: Span, horizon: Span) -> u64 {
        if elapsed >= horizon {
            return ONE;
        }
        match self {
            Shape::Even => fraction(u128::from(elapsed.0), u128::from(horizon.0)),
            Shape::Curve { before, offset_ns } => {
                let start = u128::from(*offset_ns);
                let base = volume_until(before, start);
                let whole = volume_until(before, start + u128::from(horizon.0)) - base;
                fraction_of(volume_until(before, start + u128::from(elapsed.0)) - base, whole)
            }
            Shape::Shortfall { done } => {
                // linear within an interval, as the discrete strategy trades at a constant rate there
                let position = u128::from(elapsed.0) * done.len() as u128;
                let at = (position / u128::from(horizon.0)) as usize;
                let within = position % u128::from(horizon.0);
                let low = if at == 0 { 0 } else { done[at - 1] };
                let high = done[at.min(done.len() - 1)];
                low + (u128::from(high - low) * within / u128::from(horizon.0)) as u64
            }
        }
    }

    /// The curve shrunk by a tenth towards uniform (quant §2.1): a bucket that happened to be empty is not abstained from.
    pub(crate) fn curve(weights: &[u32], wall_ms: u64) -> Shape {
        let buckets = weights.len() as u128;
        let sum: u128 = weights.iter().map(|w| u128::from(*w)).sum();
        let mut before = Vec::with_capacity(weights.len() + 1);
        let mut total = 0;
        for weight in weights {
            before.push(total);
            total += 9 * buckets * u128::from(*weight) + sum;
        }
        before.push(total);
        Shape::Curve { before: before.into(), offset_ns: (wall_ms % 86_400_000) * 1_000_000 }
    }

    /// κ² = λ·σ²·N/η with σ a share of price per √day, N the parent's notional and η the price move, as a share of price,
    /// when the parent's own quantity is traded in one day: Almgren–Chriss in units of the parent and of its price.
    #[expect(clippy::float_arithmetic, reason = "an optimal schedule is a statistic: its shares go back onto the lot grid")]
    pub(crate) fn shortfall(parameters: [Decimal; 3], slices: u32, horizon: Span, notional: Decimal) -> Shape {
        let [lambda, sigma, eta] = parameters.map(|d| d.to_f64().unwrap_or(0.0));
        let problem = Problem {
            quantity: 1.0,
            horizon: horizon.0 as f64 / DAY_NS as f64,
            slices: slices.max(1),
            sigma,
            epsilon: 0.0,
            gamma: 0.0,
            eta,
            lambda: lambda * notional.to_f64().unwrap_or(0.0),
        };
        // parameters without a solution are refused at admission; a straight line is the neutral schedule all the same
        let Some(trajectory) = problem.solve() else { return Shape::Even };
        let mut last = 0;
        let mut done: Vec<u64> = Vec::with_capacity(trajectory.holdings.len());
        for left in &trajectory.holdings[1..] {
            last = (((1.0 - left) * ONE as f64) as u64).clamp(last, ONE);
            done.push(last);
        }
        if let Some(end) = done.last_mut() {
            *end = ONE;
        }
        Shape::Shortfall { done: done.into() }
    }
}

/// `num / den` as a share; `den` must not be zero and `num` not above it.
fn fraction(num: u128, den: u128) -> u64 {
    u64::try_from(num * u128::from(ONE) / den).unwrap_or(ONE).min(ONE)
}

/// The same for numbers too large to be multiplied.
fn fraction_of(num: u128, den: u128) -> u64 {
    if den == 0 {
        return ONE;
    }
    let shift = (128 - den.leading_zeros()).saturating_sub(80);
    fraction(num >> shift, (den >> shift).max(1))
}

/// Volume from 00:00 UTC of the first day until `at_ns`, in weight times nanoseconds.
fn volume_until(before: &[u128], at_ns: u128) -> u128 {
    let buckets = before.len() - 1;
    let (days, within) = (at_ns / DAY_NS, at_ns % DAY_NS);
    let position = within * buckets as u128;
    let at = (position / DAY_NS) as usize;
    let day = before[buckets] * DAY_NS;
    days * day + before[at] * DAY_NS + (before[at + 1] - before[at]) * (position % DAY_NS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Share in millionths after `secs` of `of`.
    fn at(shape: &Shape, secs: u64, of: u64) -> u64 {
        (u128::from(shape.share(Span::secs(secs), Span::secs(of))) * 1_000_000 / u128::from(ONE)) as u64
    }

    #[test]
    fn a_volume_curve_is_followed_over_midnight_and_for_days() {
        let hours = |h: u64| h * 3_600;
        // all volume in the second half of the day, of which a tenth is spread evenly
        let late = Shape::curve(&[0, 1], 0);
        assert_eq!(at(&late, hours(12), hours(24)), 49_999, "0.1 shrunk to uniform: half of it in the first half");
        assert_eq!(at(&late, hours(24), hours(24)), 1_000_000);
        assert_eq!(at(&late, hours(24), hours(48)), 500_000);
        let from_noon = Shape::curve(&[0, 1], 12 * 3_600_000);
        assert_eq!(at(&from_noon, hours(12), hours(24)), 949_999);
        let flat = Shape::curve(&[7; 288], 5 * 3_600_000);
        for part in 0..=10 {
            assert!(at(&flat, part * 360, 3_600).abs_diff(part * 100_000) <= 1);
        }
    }

    #[test]
    fn shortfall_starts_fast_and_without_aversion_is_a_line() {
        let shape = |lambda: &str| {
            let parameters = [lambda, "0.03", "0.001"].map(|t| Decimal::from_str_exact(t).unwrap());
            Shape::shortfall(parameters, 10, Span::secs(86_400), Decimal::from(100_000))
        };
        assert_eq!(at(&shape("0"), 43_200, 86_400), 500_000);
        let urgent = shape("0.001");
        assert!(at(&urgent, 8_640, 86_400) > 550_000, "{}", at(&urgent, 8_640, 86_400));
        for shape in [shape("0"), urgent, shape("1")] {
            let shares: Vec<u64> = (0..=100).map(|i| at(&shape, i * 864, 86_400)).collect();
            assert!(shares.is_sorted() && shares[0] == 0 && shares[100] == 1_000_000);
        }
    }
}
