//! The statistics on real history (`fixtures/INDEX.md`). Figures are printed beside those of quant §1.3: `--no-capture` shows.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be read is a failed test")]

use std::collections::BTreeMap;
use std::io::Read as _;

use domain::{Bar, FIVE_MINUTES, FundingRate, HOURLY, Px, Ratio};
use plimsoll_risk::stats::funding::{Definition, HourSeries, SCALE_FLOOR, z_at};
use plimsoll_risk::stats::volatility::PriceBar;
use plimsoll_risk::stats::{Funding, HOUR_MS, Volatility};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

fn unpack(packed: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    text
}

/// Rates of `coin` by venue, oldest first, per hour of their interval.
fn rates(coin: &str) -> BTreeMap<String, Vec<FundingRate>> {
    let text = unpack(include_bytes!("fixtures/multi_venue_2020_2022.csv.gz"));
    let mut all: BTreeMap<String, Vec<FundingRate>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        if fields[2] != coin {
            continue;
        }
        let hours: u32 = fields[3].parse().unwrap();
        let rate = Decimal::from_str_exact(fields[4]).or_else(|_| Decimal::from_scientific(fields[4])).unwrap();
        let hourly = Ratio::new(rate / Decimal::from(hours)).unwrap();
        all.entry(fields[1].to_owned()).or_default().push(FundingRate { until_ms: fields[0].parse().unwrap(), hours, hourly });
    }
    all.values_mut().for_each(|rates| rates.sort_by_key(|rate| rate.until_ms));
    all
}

/// Hours since 1970 of midnight before a day of 2022.
fn day_2022(month: usize, day: u64) -> u64 {
    const LENGTHS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    // 2022-01-01 is day 18,993
    (18_993 + LENGTHS[..month - 1].iter().sum::<u64>() + day - 1) * 24
}

fn float(ratio: Option<Ratio>) -> f64 {
    ratio.unwrap().decimal().to_f64().unwrap()
}

fn flagged(view: &domain::FundingView) -> bool {
    float(view.z).abs() >= 5.0 || float(view.persistence) >= 0.9
}

#[test]
fn a_year_hour_by_hour_as_in_the_reference() {
    let all = rates("BTC");
    let year = &all["dydx_v3"];
    let mut funding = Funding::new(SCALE_FLOOR);
    let mut hours: Vec<(u64, f64, bool)> = Vec::new();
    for rate in year {
        funding.rates(rate.until_ms, None, std::slice::from_ref(rate));
        let view = funding.view(None);
        if view.z.is_some() {
            assert!(view.instability.is_some() && view.mean.is_some() && view.phi.is_some() && view.sigma.is_some());
            hours.push((rate.until_ms / HOUR_MS, float(view.z), flagged(&view)));
        }
    }
    let count = hours.len();
    #[expect(clippy::cast_precision_loss, reason = "hours of a year")]
    let share = |pick: &dyn Fn(&(u64, f64, bool)) -> bool| hours.iter().filter(|hour| pick(hour)).count() as f64 / count as f64;
    let (unusual, extreme, red) =
        (share(&|(_, z, _)| z.abs() > 2.0), share(&|(_, z, _)| z.abs() > 5.0), share(&|(_, _, red)| *red));
    let (low_hour, low, _) = hours.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    println!("dYdX v3 BTC 2022      here      quant §1.3");
    println!("hours                 {count}      8585");
    println!("|z| > 2               {:.2} %    4.6 %", unusual * 100.0);
    println!("|z| > 5               {:.2} %    1.5 %", extreme * 100.0);
    println!("lowest z              {low:.2}    -29.47 (10 Nov 04:00)");
    println!("no increase allowed   {:.2} %    -", red * 100.0);
    assert_eq!(count, 8_585);
    assert!((unusual - 0.045_894).abs() < 1e-6 && (extreme - 0.015_376).abs() < 1e-6, "{unusual} {extreme}");
    assert!((low + 29.469_847).abs() < 2e-6, "{low}");
    assert_eq!(*low_hour, day_2022(11, 10) + 4);

    let in_days = |month, from, to| {
        let (first, last) = (day_2022(month, from), day_2022(month, to) + 23);
        hours.iter().filter(move |(hour, _, _)| (first..=last).contains(hour)).map(|(_, _, red)| *red).collect::<Vec<_>>()
    };
    for month in 1..=12 {
        let red = in_days(month, 1, 28);
        println!("2022-{month:02}: {} of {} hours", red.iter().filter(|red| **red).count(), red.len());
    }
    let week = in_days(11, 9, 14);
    assert!(week.iter().filter(|red| **red).count() * 2 > week.len(), "up in most hours of the FTX week");
    for month in [3, 4, 8] {
        assert!(!in_days(month, 1, 28).contains(&true), "down in calm month {month}");
    }
}

#[test]
fn against_other_venues_the_week_stands_out_too() {
    let all = rates("BTC");
    let (from, until) = (day_2022(10, 1) * HOUR_MS, day_2022(11, 15) * HOUR_MS);
    let others = ["binance", "bybit", "gate", "htx", "kucoin", "mexc"];
    let mut funding = Funding::new(SCALE_FLOOR);
    let mut by_hour = BTreeMap::new();
    let mut next = [0_usize; 6];
    for rate in all["dydx_v3"].iter().filter(|rate| (from..until).contains(&rate.until_ms)) {
        for (place, venue) in others.iter().enumerate() {
            let known = &all[*venue];
            let told = known[next[place]..].iter().take_while(|other| other.until_ms <= rate.until_ms).count();
            if told > 0 {
                funding.rates(rate.until_ms, Some(venue), &known[next[place]..next[place] + told]);
                next[place] += told;
            }
        }
        funding.rates(rate.until_ms, None, std::slice::from_ref(rate));
        // the settled hours of the others end where theirs do: every eighth hour is enough to look at
        if (rate.until_ms / HOUR_MS).is_multiple_of(8)
            && let Some(z) = funding.view(None).z_cross
        {
            by_hour.insert(rate.until_ms / HOUR_MS, z.decimal().to_f64().unwrap().abs());
        }
    }
    let most = |month, from, to| {
        let (first, last) = (day_2022(month, from), day_2022(month, to) + 23);
        by_hour.range(first..=last).map(|(_, z)| *z).fold(0.0, f64::max)
    };
    let (calm, wild) = (most(10, 9, 28), most(11, 9, 14));
    println!("divergence of dYdX v3 from the median of six venues: at most {calm:.2} in October, {wild:.2} in the FTX week");
    assert!(wild > 5.0 && wild > 2.0 * calm, "{calm} {wild}");
}

#[test]
fn rates_agree_best_over_the_hours_that_they_accrued_in() {
    // Bybit prints for the coming interval what Binance prints for the elapsed one (quant §1.3)
    let all = rates("BTC");
    let spread = |venue: &str, later_h: u64| {
        let mut hourly = BTreeMap::new();
        for rate in &all[venue] {
            let until = rate.until_ms / HOUR_MS + later_h;
            (0..u64::from(rate.hours)).for_each(|back| {
                hourly.insert(until - back, rate.hourly.decimal().to_f64().unwrap());
            });
        }
        hourly
    };
    let correlation = |a: &BTreeMap<u64, f64>, b: &BTreeMap<u64, f64>| {
        let pairs: Vec<(f64, f64)> = a.iter().filter_map(|(hour, x)| b.get(hour).map(|y| (*x, *y))).collect();
        #[expect(clippy::cast_precision_loss, reason = "hours of three years")]
        let n = pairs.len() as f64;
        let (mx, my) = (pairs.iter().map(|p| p.0).sum::<f64>() / n, pairs.iter().map(|p| p.1).sum::<f64>() / n);
        let sum = |f: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(f).sum::<f64>();
        sum(&|p| (p.0 - mx) * (p.1 - my)) / (sum(&|p| (p.0 - mx).powi(2)) * sum(&|p| (p.1 - my).powi(2))).sqrt()
    };
    for (venue, reference) in [("bybit", 0.83), ("htx", 0.80), ("gate", 0.70)] {
        let theirs = spread(venue, 0);
        let (printed, accrued) = (correlation(&theirs, &spread("binance", 0)), correlation(&theirs, &spread("binance", 8)));
        println!("{venue} with binance: {printed:.2} as printed, {accrued:.2} eight hours earlier (quant: {reference})");
        assert!(accrued > printed && (accrued - reference).abs() < 0.02);
    }
}

#[test]
fn a_month_at_one_rate_never_divides_by_nothing() {
    // every rolling window of a series that sits at the venue's floor rate for six hours in ten, as BTC did on Hyperliquid in 2024
    let text = rates("BTC");
    let moving: Vec<f64> = text["dydx_v3"].iter().map(|rate| rate.hourly.decimal().to_f64().unwrap()).collect();
    let mut series = HourSeries::default();
    let mut judged = 0;
    for (hour, rate) in (1..).zip(moving.iter().take(2_500)) {
        series.put(hour, if hour % 10 < 6 { 0.000_012_5 } else { *rate });
        if let Some(z) = z_at(&series, hour, &Definition::default()) {
            assert!(z.is_finite());
            judged += 1;
        }
    }
    assert_eq!(judged, 2_500 - 175);
}

#[test]
fn a_day_of_minutes_as_five_minute_and_hourly_bars() {
    let text = unpack(include_bytes!("fixtures/dydx_v4_btcusd_trade_1m_20260101.csv.gz"));
    let minutes: Vec<(u64, [i64; 4])> = text
        .lines()
        .skip(1)
        .map(|line| {
            let field: Vec<i64> = line.split(',').take(5).map(|text| text.parse().unwrap()).collect();
            (field[0].try_into().unwrap(), [field[1], field[2], field[3], field[4]])
        })
        .collect();
    let bars = |length_ms: u64| -> Vec<Bar> {
        let same = |a: &(u64, [i64; 4]), b: &(u64, [i64; 4])| a.0 / length_ms == b.0 / length_ms;
        minutes
            .chunk_by(same)
            .map(|chunk| Bar {
                start_ms: chunk[0].0 / length_ms * length_ms,
                open: Px(chunk[0].1[0]),
                high: Px(chunk.iter().map(|m| m.1[1]).max().unwrap()),
                low: Px(chunk.iter().map(|m| m.1[2]).min().unwrap()),
                close: Px(chunk[chunk.len() - 1].1[3]),
            })
            .collect()
    };
    let (hourly, five) = (bars(HOUR_MS), bars(HOUR_MS / 12));
    let end = hourly[23].start_ms + HOUR_MS;
    let mut market = Volatility::new(0.20);
    assert_eq!(market.bars(end, HOURLY, &hourly), 24);
    assert_eq!(market.bars(end, FIVE_MINUTES, &five), 288);
    let view = market.view(end);
    let mean = |estimate: fn(&PriceBar) -> f64| {
        let sum: f64 = hourly.iter().map(|bar| estimate(&PriceBar::of(bar))).sum();
        (sum / 24.0 * 8_760.0).sqrt()
    };
    let closes: Vec<f64> = five.iter().map(|bar| PriceBar::of(bar).close).collect();
    let realised: f64 = closes.windows(2).map(|pair| (pair[1] / pair[0]).ln().powi(2)).sum();
    let realised = (realised / 287.0 * 12.0 * 8_760.0).sqrt();
    let (gk, parkinson, rs) = (mean(PriceBar::garman_klass), mean(PriceBar::parkinson), mean(PriceBar::rogers_satchell));
    println!(
        "dYdX v4 BTC, 1 Jan 2026, annual: realised {realised:.3}, Garman-Klass {gk:.3}, Parkinson {parkinson:.3}, Rogers-Satchell {rs:.3}"
    );
    // four estimators of one day agree, and a holiday is calm
    for estimate in [realised, parkinson, rs] {
        assert!((estimate / gk - 1.0).abs() < 0.35, "{estimate} {gk}");
    }
    assert!((float(view.garman_klass) - gk).abs() < 2e-6);
    assert_eq!((view.realised, view.forecast, view.hours), (None, None, 23), "a day is one return short, and no week");
}
