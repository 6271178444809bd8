//! Median and scale of a window, with the floor that keeps z finite (quant §1.3).
#![expect(clippy::float_arithmetic, reason = "statistics: none of these becomes a price or a size")]

/// Least scale, per hour. On Hyperliquid the rate is exactly 0.0000125 for most of a quiet month: every spread measure of such
/// a window is zero, and a division by it says nothing.
pub const SCALE_FLOOR: f64 = 2.5e-6;
/// MAD of a normal distribution is its standard deviation divided by this.
const MAD_TO_SD: f64 = 1.4826;
/// IQR of a normal distribution in standard deviations.
const IQR_TO_SD: f64 = 1.349;
/// Share of the sample deviation that the scale has at least, so that a window with heavy tails is not called tight.
const SD_SHARE: f64 = 0.25;

/// Where a window lies and how wide it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Location {
    /// Its median.
    pub median: f64,
    /// max(1.4826·MAD, IQR/1.349, 0.25·sd, floor).
    pub scale: f64,
}

impl Location {
    /// How far `value` lies from the median, in scales.
    #[must_use]
    pub fn z(&self, value: f64) -> f64 {
        (value - self.median) / self.scale
    }
}

/// Location of `window` with a scale of at least `floor`. Nothing for an empty window.
#[must_use]
pub fn location(mut window: Vec<f64>, floor: f64) -> Option<Location> {
    let deviation = sample_sd(&window).unwrap_or(0.0);
    window.sort_unstable_by(f64::total_cmp);
    let median = quantile(&window, 0.5)?;
    let range = quantile(&window, 0.75)? - quantile(&window, 0.25)?;
    let mad = quantile(&distances(&window, median), 0.5)?;
    let scale = (MAD_TO_SD * mad).max(range / IQR_TO_SD).max(SD_SHARE * deviation).max(floor);
    Some(Location { median, scale })
}

/// |value − centre| of sorted values, sorted: both sides of the centre are sorted already and need only be merged.
fn distances(sorted: &[f64], centre: f64) -> Vec<f64> {
    let (mut below, mut above) = sorted.split_at(sorted.partition_point(|value| *value < centre));
    let mut merged = Vec::with_capacity(sorted.len());
    loop {
        match (below.split_last(), above.split_first()) {
            (Some((low, rest)), Some((high, _))) if centre - low <= high - centre => {
                merged.push(centre - low);
                below = rest;
            }
            (_, Some((high, rest))) => {
                merged.push(high - centre);
                above = rest;
            }
            (Some((low, rest)), None) => {
                merged.push(centre - low);
                below = rest;
            }
            (None, None) => return merged,
        }
    }
}

/// The `p` quantile of sorted values, linear between neighbours. Nothing without values.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index into the slice"
)]
pub fn quantile(sorted: &[f64], p: f64) -> Option<f64> {
    let place = p.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let below = place.floor() as usize;
    let (low, high) = (sorted.get(below)?, sorted.get(below + 1).or(sorted.get(below))?);
    Some(low + (high - low) * (place - below as f64))
}

/// The mean; nothing without values.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a count of values in memory")]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Standard deviation with divisor n − 1; nothing for fewer than two values. Exactly zero for equal values.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a count of values in memory")]
pub fn sample_sd(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let first = *values.first()?;
    // about the first value, so that equal values have no rounding to show
    let shifted = values.iter().map(|v| v - first);
    let mean = shifted.clone().sum::<f64>() / values.len() as f64;
    let squares: f64 = shifted.map(|v| (v - mean) * (v - mean)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}
