//! A parent order in human units against the rules of its market.

use domain::{
    EndPolicy, Instrument, InstrumentId, ParentId, ParentSpec, Placement, Qty, Ratio, Schedule, Side, Span, SpecFault,
    plain_decimal,
};

use super::{RawParent, shown};

/// Slices when none are asked for.
const SLICES: u32 = 10;
/// Slippage cap when none is asked for, basis points.
const SLIPPAGE_BPS: u32 = 50;

struct Faults(Vec<SpecFault>);

impl Faults {
    fn add(&mut self, field: &str, value: impl ToString, expected: impl Into<String>) {
        self.0.push(SpecFault { field: field.into(), value: shown(&value.to_string()), expected: expected.into() });
    }

    fn one_of<T: Copy>(&mut self, field: &str, value: &str, choices: &[(&str, T)]) -> Option<T> {
        let found = choices.iter().find(|(word, _)| *word == value).map(|(_, choice)| *choice);
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.add(field, value, format!("one of {}", words.join(", ")));
        }
        found
    }

    fn ratio(&mut self, field: &str, value: Option<&str>, expected: &str) -> Option<Ratio> {
        let ratio = value.and_then(plain_decimal).and_then(|d| Ratio::new(d).ok()).filter(|r| *r > Ratio::ZERO);
        if ratio.is_none() {
            self.add(field, value.unwrap_or("(absent)"), expected);
        }
        ratio
    }
}

/// `raw` in lots and ticks of `rules`. The number of the parent is left at zero: the desk gives it.
///
/// # Errors
/// Every field that is wrong, with its value and what would be right. Off-grid numbers are refused, never rounded.
pub fn plan_to_spec(raw: &RawParent, rules: &Instrument) -> Result<ParentSpec, Vec<SpecFault>> {
    let mut faults = Faults(Vec::new());
    if raw.instrument.parse::<InstrumentId>().ok() != Some(rules.id) {
        faults.add("instrument", &raw.instrument, format!("{}", rules.id));
    }
    let side = faults.one_of("side", &raw.side, &[("buy", Side::Buy), ("sell", Side::Sell)]);
    let qty = quantity(&mut faults, "quantity", &raw.quantity, rules);
    let display = raw.display.as_ref().map(|d| quantity(&mut faults, "display", d, rules));
    let schedule = schedule(&mut faults, raw);
    let placements =
        [("passive", Placement::Passive), ("pegged", Placement::Pegged), ("limit_to_market", Placement::LimitToMarket)];
    let placement = faults.one_of("placement", &raw.placement, &placements);
    let horizon = humantime::parse_duration(&raw.horizon).ok().and_then(|d| u64::try_from(d.as_nanos()).ok()).map(Span);
    if horizon.is_none_or(|h| h < Span::secs(1)) {
        faults.add("horizon", &raw.horizon, "a duration of at least 1s, such as 90s or 2h");
    }
    let limit_px = raw.limit_price.as_ref().map(|text| {
        let px = plain_decimal(text).and_then(|d| rules.px_exact(d).ok()).filter(|px| rules.allows_px(*px));
        if px.is_none() {
            let near = plain_decimal(text).and_then(|d| rules.px_nearest(d).ok());
            let step = near.map_or(rules.tick, |px| rules.tick * rust_decimal::Decimal::from(rules.step_at(px)));
            faults.add("limit_price", text, format!("a price above zero in steps of {}", step.normalize()));
        }
        px.unwrap_or_default()
    });
    let bps = raw.slippage_bps.unwrap_or(SLIPPAGE_BPS);
    if !(1..=1_000).contains(&bps) {
        faults.add("slippage_bps", bps, "1 to 1000 basis points");
    }
    let ends = [("cancel", EndPolicy::Cancel), ("extend", EndPolicy::Extend), ("force", EndPolicy::Force)];
    let end = match raw.end.as_deref() {
        Some(word) => faults.one_of("end", word, &ends),
        None if raw.reduce_only => Some(EndPolicy::Force),
        None => Some(EndPolicy::Cancel),
    };
    match (side, schedule, placement, horizon, end) {
        (Some(side), Some(schedule), Some(placement), Some(horizon), Some(end)) if faults.0.is_empty() => Ok(ParentSpec {
            id: ParentId(0),
            instrument: rules.id,
            side,
            qty,
            schedule,
            placement,
            display,
            horizon,
            limit_px,
            slippage_max: Ratio::bps(i64::from(bps)),
            end,
            reduce_only: raw.reduce_only,
            note: raw.note.clone(),
        }),
        _ => Err(faults.0),
    }
}

fn quantity(faults: &mut Faults, field: &str, text: &str, rules: &Instrument) -> Qty {
    let qty = plain_decimal(text).and_then(|d| rules.qty_exact(d).ok()).filter(|q| *q > Qty::ZERO);
    if qty.is_none() {
        faults.add(field, text, format!("a quantity above zero in steps of {}", rules.lot.normalize()));
    }
    qty.unwrap_or_default()
}

fn schedule(faults: &mut Faults, raw: &RawParent) -> Option<Schedule> {
    // what a schedule does not know, the operator meant for another one
    let known: &[&str] = match raw.schedule.as_str() {
        "twap" => &["slices"],
        "vwap" => &["slices", "curve"],
        "pov" => &["rate", "complete"],
        "shortfall" => &["slices", "lambda", "sigma_daily", "eta"],
        other => {
            faults.add("schedule", other, "one of twap, vwap, pov, shortfall");
            return None;
        }
    };
    let given = [
        ("slices", raw.slices.is_some()),
        ("curve", !raw.curve.is_empty()),
        ("rate", raw.rate.is_some()),
        ("complete", raw.complete.is_some()),
        ("lambda", raw.lambda.is_some()),
        ("sigma_daily", raw.sigma_daily.is_some()),
        ("eta", raw.eta.is_some()),
    ];
    for (field, _) in given.iter().filter(|(field, set)| *set && !known.contains(field)) {
        faults.add(field, "(set)", format!("no such field with schedule = {:?}, which knows {}", raw.schedule, known.join(", ")));
    }
    let slices = raw.slices.unwrap_or(SLICES);
    if !(1..=10_000).contains(&slices) {
        faults.add("slices", slices, "1 to 10000");
        return None;
    }
    match raw.schedule.as_str() {
        "twap" => Some(Schedule::Twap { slices }),
        "vwap" => Some(Schedule::Vwap { slices, curve: raw.curve.clone() }),
        "pov" => {
            let rate = faults.ratio("rate", raw.rate.as_deref(), "a share of total volume, such as \"0.05\"; at most 0.5")?;
            Some(Schedule::Pov { rate, complete: raw.complete.unwrap_or(false) })
        }
        _ => {
            let lambda = faults.ratio("lambda", raw.lambda.as_deref(), "risk aversion per quote unit, such as \"0.000001\"");
            let sigma = faults.ratio("sigma_daily", raw.sigma_daily.as_deref(), "daily volatility as a share, such as \"0.03\"");
            let eta = faults.ratio("eta", raw.eta.as_deref(), "temporary impact as a share of price, such as \"0.01\"");
            Some(Schedule::Shortfall { slices, lambda: lambda?, sigma_daily: sigma?, eta: eta? })
        }
    }
}
