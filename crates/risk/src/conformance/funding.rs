//! Funding: the venues' formulas, and z over a series or a data set.
#![expect(clippy::float_arithmetic, reason = "compares published figures within their printed tolerance")]

use std::collections::BTreeMap;

use domain::cases::{Figures, Inputs, figures, float};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::Load;
use crate::stats::HOUR_MS;
use crate::stats::funding::{Definition, HOURS_KEPT, HourSeries, SCALE_FLOOR, z_at};

pub(super) fn hyperliquid(inputs: &Inputs) -> Result<Figures, String> {
    let premium = inputs.decimal(&["premium", "P"])?;
    let interest = inputs.decimal_or(&["interest", "I"], Decimal::new(1, 4))?;
    let clamp = inputs.decimal_or(&["clamp"], Decimal::new(5, 4))?;
    let cap = inputs.decimal_or(&["cap"], Decimal::new(4, 2))?;
    // F = P + clamp(I − P, ±0.0005) is an eight-hour rate, paid by the hour and capped there (quant §3)
    let rate = ((premium + (interest - premium).clamp(-clamp, clamp)) / Decimal::from(8)).clamp(-cap, cap);
    let mut all =
        figures([("rate_hourly", float(rate)), ("hourly_rate", float(rate)), ("rate", float(rate)), ("funding_h", float(rate))]);
    if inputs.any(&["size"]).is_some() && inputs.any(&["oracle"]).is_some() {
        let payment = inputs.decimal(&["size"])?.checked_mul(inputs.decimal(&["oracle"])?).and_then(|n| n.checked_mul(rate));
        all.insert("payment", payment.map_or(Value::Null, float));
    }
    Ok(all)
}

/// z of every hour of a series: `rates` inline, or those of `venue` and `coin` in the data set `dataset`.
pub(super) fn z(inputs: &Inputs, load: Load) -> Result<Figures, String> {
    let length = |names: &[&str], otherwise: u64| match inputs.any(names) {
        Some(_) => inputs.count(names).map(u64::from),
        None => Ok(otherwise),
    };
    let usual = Definition::default();
    let definition = Definition {
        window: length(&["window_h", "window"], usual.window)?,
        recent: length(&["mean_h", "mean"], usual.recent)?,
        lag: length(&["lag_h", "lag"], usual.lag)?,
        values_min: usize::try_from(length(&["min_values"], 168)?).map_err(|e| e.to_string())?,
        floor: inputs.number_or(&["scale_floor", "floor"], SCALE_FLOOR)?,
    };
    let held = u64::try_from(HOURS_KEPT).unwrap_or(u64::MAX);
    if definition.window.saturating_add(definition.lag).saturating_add(definition.recent) > held {
        return Err(format!("inputs.window_h: window, lag and mean together are at most {HOURS_KEPT} hours"));
    }
    let mut series = HourSeries::default();
    let mut by_hour = Vec::new();
    for (hour, rate) in rates(inputs, load)? {
        series.put(hour, rate);
        by_hour.extend(z_at(&series, hour, &definition).map(|z| (hour, z)));
    }
    let mut all = Figures::new();
    all.insert("hours", json!(by_hour.len()));
    if let Some((_, z)) = by_hour.last() {
        all.alias(["z", "z_last"], &json!(z));
    }
    let (mut lowest, mut highest) = (BTreeMap::new(), BTreeMap::new());
    for (hour, z) in &by_hour {
        // an hour belongs to the day in which it ends, as the venue prints it
        let day = date(hour / 24);
        let low = lowest.entry(day.clone()).or_insert(*z);
        *low = z.min(*low);
        let high = highest.entry(day).or_insert(*z);
        *high = z.max(*high);
    }
    let values = || by_hour.iter().map(|(_, z)| *z);
    if !by_hour.is_empty() {
        all.insert("min_z", json!(values().fold(f64::INFINITY, f64::min)));
        all.insert("max_z", json!(values().fold(f64::NEG_INFINITY, f64::max)));
        all.insert("max_abs_z", json!(values().fold(0.0, |most: f64, z| most.max(z.abs()))));
    }
    for threshold in 1..=10_u32 {
        #[expect(clippy::cast_precision_loss, reason = "a count of hours")]
        let share = values().filter(|z| z.abs() > f64::from(threshold)).count() as f64 / by_hour.len().max(1) as f64;
        all.insert(format!("share_abs_z_gt{threshold}"), json!(share));
    }
    lowest.into_iter().for_each(|(day, z)| all.insert(format!("min_z_{day}"), json!(z)));
    highest.into_iter().for_each(|(day, z)| all.insert(format!("max_z_{day}"), json!(z)));
    Ok(all)
}

/// Hours with their rates per hour, oldest first. Inline rates are hourly ones that end at hours 1, 2, …
fn rates(inputs: &Inputs, load: Load) -> Result<Vec<(u64, f64)>, String> {
    if inputs.any(&["rates"]).is_some() {
        let hours = inputs.number_or(&["interval_h"], 1.0)?;
        return Ok((1..).zip(inputs.numbers(&["rates"])?.into_iter().map(|rate| rate / hours)).collect());
    }
    let text = |name: &str| inputs.word(name).ok_or_else(|| format!("inputs.{name}: missing; or give rates inline"));
    let (dataset, venue, coin) = (text("dataset")?, text("venue")?, text("coin")?);
    let file = dataset.rsplit('/').next().unwrap_or(dataset).trim();
    let content = load(file)?;
    let mut lines = content.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let column = |name: &str| {
        header.iter().position(|column| *column == name).ok_or_else(|| format!("{file}: no column {name} in its first line"))
    };
    let (time, of, what) = (column("time_ms")?, column("venue")?, column("coin")?);
    let (interval, rate) = (column("interval_h")?, column("rate")?);
    let mut hourly = BTreeMap::new();
    for (number, line) in lines.enumerate() {
        let fields: Vec<&str> = line.split(',').collect();
        if fields.get(of) != Some(&venue) || fields.get(what) != Some(&coin) {
            continue;
        }
        let number_at = |place: usize| fields.get(place).and_then(|field| field.trim().parse::<f64>().ok());
        let until = fields.get(time).and_then(|field| field.trim().parse::<u64>().ok()).map(|ms| (ms + HOUR_MS / 2) / HOUR_MS);
        let row = until.zip(number_at(interval).filter(|h| (1.0..=24.0).contains(h))).zip(number_at(rate));
        let ((until, hours), rate) = row.ok_or_else(|| format!("{file}, line {}: {line}", number + 2))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 24")]
        let first = (until + 1).saturating_sub(hours as u64);
        hourly.extend((first..=until).map(|hour| (hour, rate / hours)));
    }
    if hourly.is_empty() {
        return Err(format!("{file}: nothing of {venue} {coin}"));
    }
    Ok(hourly.into_iter().collect())
}

/// `YYYY_MM_DD` of a day since 1970 (proleptic Gregorian, by the rule of 400-year eras).
fn date(day: u64) -> String {
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}_{month:02}_{:02}", of_year - (153 * from_march + 2) / 5 + 1)
}
