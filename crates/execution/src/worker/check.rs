//! What a parent must satisfy to be worked.

use domain::{Arrival, Instrument, ParentSpec, Qty, Ratio, Schedule, Side, Span, SpecFault};
use rust_decimal::Decimal;

/// More slices are a stream of messages, not a schedule; a day in minutes fits.
pub(super) const SLICES_MAX: u32 = 1_440;
/// A volume curve of one-minute buckets fits.
const BUCKETS_MAX: usize = 1_440;
const HORIZON_MIN: Span = Span::secs(1);
/// Thirty days: longer plans belong to whoever decides again tomorrow.
const HORIZON_MAX: Span = Span::secs(30 * 86_400);
const NOTE_MAX: usize = 64;

/// All faults of `spec`, none if it can be worked. `smallest` is the smallest order at arrival.
pub(super) fn faults(spec: &ParentSpec, instrument: &Instrument, arrival: &Arrival, smallest: Qty) -> Vec<SpecFault> {
    let mut faults = Vec::new();
    let mut fault = |field: &str, value: String, expected: String| {
        faults.push(SpecFault { field: field.to_owned(), value, expected });
    };
    if spec.instrument != instrument.id {
        fault("instrument", spec.instrument.to_string(), format!("the instrument whose rules were given, {}", instrument.id));
    }
    if arrival.mid_x2 <= 0 || arrival.spread <= 0 {
        fault("arrival", format!("mid_x2 {} spread {}", arrival.mid_x2, arrival.spread), "a book with two sides".into());
    }
    if let Some(expected) = bad_qty(spec.qty, spec.reduce_only, smallest) {
        fault("qty", format!("{} lots", spec.qty.0), expected);
    }
    if let Some(expected) = bad_horizon(spec.horizon) {
        fault("horizon", spec.horizon.to_string(), expected);
    }
    if let Some(display) = spec.display.filter(|d| d.0 < 2 * smallest.0.min(i64::MAX / 2)) {
        let expected = format!("at least twice the smallest order, {} lots", 2 * smallest.0.min(i64::MAX / 2));
        fault("display", format!("{} lots", display.0), expected);
    }
    if let Some(px) = spec.limit_px.filter(|px| px.0 <= 0) {
        fault("limit_px", format!("{} ticks", px.0), "a price above zero".into());
    }
    if !within(spec.slippage_max, Decimal::ZERO, Decimal::new(5, 1)) {
        fault("slippage_max", spec.slippage_max.to_string(), "0 to 0.5; 0 stands for 25 bp or three spreads".into());
    }
    if spec.note.chars().count() > NOTE_MAX {
        fault("note", format!("{} characters", spec.note.chars().count()), format!("at most {NOTE_MAX} characters"));
    }
    match &spec.schedule {
        Schedule::Twap { slices } | Schedule::Vwap { slices, .. } | Schedule::Shortfall { slices, .. }
            if !(1..=SLICES_MAX).contains(slices) =>
        {
            fault("schedule.slices", slices.to_string(), format!("1 to {SLICES_MAX}"));
        }
        Schedule::Twap { .. } | Schedule::Vwap { .. } | Schedule::Shortfall { .. } | Schedule::Pov { .. } => {}
    }
    match &spec.schedule {
        Schedule::Twap { .. } => {}
        Schedule::Vwap { curve, .. } => {
            if curve.len() > BUCKETS_MAX {
                fault("schedule.curve", format!("{} buckets", curve.len()), format!("at most {BUCKETS_MAX} buckets of one day"));
            }
            if !curve.is_empty() && curve.iter().all(|w| *w == 0) {
                fault("schedule.curve", "all zero".into(), "at least one weight above zero, or no curve at all".into());
            }
        }
        Schedule::Pov { rate, .. } => {
            if rate.decimal() <= Decimal::ZERO || rate.decimal() > Decimal::new(5, 1) {
                fault("schedule.rate", rate.to_string(), "a participation above 0 and at most 0.5".into());
            }
        }
        Schedule::Shortfall { lambda, sigma_daily, eta, .. } => {
            if !within(*lambda, Decimal::ZERO, Decimal::ONE) {
                fault("schedule.lambda", lambda.to_string(), "a risk aversion of 0 to 1 per quote unit".into());
            }
            if !within(*sigma_daily, Decimal::new(1, 6), Decimal::TEN) {
                fault(
                    "schedule.sigma_daily",
                    sigma_daily.to_string(),
                    "a daily volatility of 0.000001 to 10, a share of price".into(),
                );
            }
            if !within(*eta, Decimal::new(1, 9), Decimal::TEN) {
                fault("schedule.eta", eta.to_string(), "a temporary impact of 0.000000001 to 10, a share of price".into());
            }
        }
    }
    let worst = match (spec.side, spec.limit_px) {
        (Side::Buy | Side::Sell, None) => None,
        // a band that the market would have to cross by half is a typing error, not a wish
        (Side::Buy, Some(px)) => (px.0 < arrival.mid_x2 / 4).then_some("at least half the arrival mid when buying"),
        (Side::Sell, Some(px)) => (px.0 > arrival.mid_x2).then_some("at most twice the arrival mid when selling"),
    };
    if let (Some(expected), Some(px)) = (worst, spec.limit_px) {
        fault("limit_px", format!("{} ticks", px.0), expected.into());
    }
    faults
}

/// What is wrong with a total quantity.
pub(super) fn bad_qty(qty: Qty, reduce_only: bool, smallest: Qty) -> Option<String> {
    if qty.0 <= 0 {
        return Some("more than nothing".into());
    }
    // a venue takes a smaller order if it closes a whole position
    (qty < smallest && !reduce_only).then(|| format!("at least the venue's smallest order at this price, {} lots", smallest.0))
}

/// What is wrong with a horizon.
pub(super) fn bad_horizon(horizon: Span) -> Option<String> {
    (!(HORIZON_MIN..=HORIZON_MAX).contains(&horizon)).then(|| format!("{HORIZON_MIN} to {HORIZON_MAX}"))
}

fn within(ratio: Ratio, low: Decimal, high: Decimal) -> bool {
    (low..=high).contains(&ratio.decimal())
}
