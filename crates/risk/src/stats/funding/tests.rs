//! z, persistence, divergence and the fit on series whose answer is known.

use domain::{Prng, Seed};
use proptest::prelude::*;

use super::*;

const NOW: u64 = 480_000 * HOUR_MS;
const HOUR: u64 = 480_000;
/// Where Hyperliquid's rate sits in more than half of all hours.
const FLAT: f64 = 0.000_012_5;

fn rate(hour: u64, hourly: f64) -> FundingRate {
    FundingRate { until_ms: hour * HOUR_MS, hours: 1, hourly: nearest(hourly, 12).unwrap() }
}

/// Hourly rates that end with the hour [`HOUR`].
fn told(rates: &[f64]) -> Vec<FundingRate> {
    let first = HOUR + 1 - u64::try_from(rates.len()).unwrap();
    (first..).zip(rates).map(|(hour, f)| rate(hour, *f)).collect()
}

fn of(rates: &[f64]) -> Funding {
    let mut funding = Funding::new(SCALE_FLOOR);
    funding.rates(NOW, None, &told(rates));
    funding
}

fn float(ratio: Option<Ratio>) -> f64 {
    ratio.unwrap().decimal().to_f64().unwrap()
}

fn near(got: f64, want: f64, tol: f64) {
    assert!((got - want).abs() <= tol, "{got} is not {want} ± {tol}");
}

/// A mean-reverting rate as fitted to a year of BTC (quant §1.4).
fn ar1(prng: &mut Prng, count: usize) -> Vec<f64> {
    let mut f = 2.81e-5;
    (0..count)
        .map(|_| {
            // the sum of twelve uniform numbers less six: normal enough
            let sum: i64 = (0..12).map(|_| prng.between(0, 1_000_000)).sum();
            let noise = f64::from(i32::try_from(sum - 6_000_000).unwrap()) / 1e6;
            f = 2.81e-5 + 0.864 * (f - 2.81e-5) + 1.85e-5 * noise;
            f
        })
        .collect()
}

#[test]
fn a_flat_month_is_calm_and_finite() {
    let view = of(&[FLAT; 760]).view(None);
    near(float(view.z), 0.0, 1e-6);
    assert_eq!((view.persistence, view.instability), (Some(Ratio::ZERO), Some(Ratio::ONE)));
    assert_eq!((view.phi, view.sigma), (Some(Ratio::ZERO), Some(Ratio::ZERO)));
    assert_eq!(view.mean, Some(nearest(FLAT, 12).unwrap()));
    assert_eq!(view.hours, 720);
}

#[test]
fn a_step_out_of_a_flat_month_is_counted_in_scale_floors() {
    // MAD, IQR and deviation of the window are all zero; eight hours at ten times the rate lie 45 floors away
    let mut rates = vec![FLAT; 752];
    rates.extend([FLAT * 10.0; 8]);
    let view = of(&rates).view(None);
    near(float(view.z), FLAT * 9.0 / SCALE_FLOOR, 1e-5);
    // the mean of eight moved by an eighth of that each hour: 5.6, 11.3, … so all eight hours of the 24 were unusual
    near(float(view.persistence), 8.0 / 24.0, 1e-6);
    assert!(float(view.instability) > 4.0);
}

#[test]
fn the_prediction_shows_a_runaway_rate_before_it_settles() {
    let calm = of(&[FLAT; 760]);
    let view = calm.view(Some(nearest(0.001, 12).unwrap()));
    near(float(view.z), (0.001 - FLAT) / 8.0 / SCALE_FLOOR, 1e-4);
    assert_eq!(view.rate, Some(nearest(0.001, 12).unwrap()));
    // it does not make an unusual market look usual
    let mut rates = vec![FLAT; 752];
    rates.extend([FLAT * 10.0; 8]);
    let wild = of(&rates);
    assert_eq!(wild.view(Some(nearest(FLAT, 12).unwrap())).z, wild.view(None).z);
}

#[test]
fn history_counts_from_a_week() {
    let short = of(&[FLAT; 167]).view(None);
    assert_eq!((short.hours, short.z, short.instability, short.mean), (167, None, None, None));
    let week = of(&[FLAT; 168]).view(None);
    assert_eq!((week.hours, week.z, week.mean.is_some()), (168, None, true), "the window ends eight hours ago");
    assert!(of(&[FLAT; 176]).view(None).z.is_some());
    let none = Funding::new(SCALE_FLOOR).view(None);
    assert_eq!(none, FundingView::default());
}

#[test]
fn the_fit_finds_what_made_the_series() {
    let mut prng = Seed(11).fork("rates");
    // over many months the estimates of a month scatter about the truth
    let fits: Vec<Ar1> = (0..40).map(|_| of(&ar1(&mut prng, 720)).figures.fit.unwrap()).collect();
    let average = |part: fn(&Ar1) -> f64| fits.iter().map(part).sum::<f64>() / 40.0;
    near(average(|fit| fit.phi), 0.864, 0.02);
    near(average(|fit| fit.mean), 2.81e-5, 4e-6);
    near(average(|fit| fit.sigma), 1.85e-5, 5e-7);
    // a rate that only ever rises would never come back: φ stays below one
    let rising: Vec<f64> = (0..720).map(|i| f64::from(i) * 1e-6).collect();
    let fit = of(&rising).figures.fit.unwrap();
    assert!(fit.phi <= PHI_MAX && fit.sigma.is_finite());
}

#[test]
fn rates_of_eight_hours_are_spread_over_theirs() {
    let mut funding = Funding::new(SCALE_FLOOR);
    let own: Vec<f64> = vec![FLAT; 760];
    funding.rates(NOW, None, &told(&own));
    assert_eq!(funding.view(None).z_cross, None, "nobody to compare with");
    // elsewhere the same rate until yesterday, then nothing for the last interval
    let eight =
        |until: u64, hourly: f64| FundingRate { until_ms: until * HOUR_MS, hours: 8, hourly: nearest(hourly, 12).unwrap() };
    let elsewhere: Vec<FundingRate> = (0..94).map(|i| eight(HOUR - 8 * i, FLAT)).collect();
    assert_eq!(funding.rates(NOW, Some("binance"), &elsewhere), 752);
    near(float(funding.view(None).z_cross), 0.0, 1e-9);
    // the venue's own rate leaves the others behind: 40 floors from them
    let mut apart = Funding::new(SCALE_FLOOR);
    let mut rates = own.clone();
    rates[759] = FLAT + 40.0 * SCALE_FLOOR;
    apart.rates(NOW, None, &told(&rates));
    apart.rates(NOW, Some("binance"), &elsewhere);
    near(float(apart.view(None).z_cross), 40.0, 1e-4);
    // the median of three: one venue that goes astray says nothing
    apart.rates(NOW, Some("bybit"), &elsewhere);
    apart.rates(NOW, Some("mexc"), &[eight(HOUR, 0.01)]);
    near(float(apart.view(None).z_cross), 40.0, 1e-4);
}

#[test]
fn another_venue_that_fell_silent_is_not_compared() {
    let mut funding = of(&[FLAT; 760]);
    let old: Vec<FundingRate> = (0..700).map(|i| rate(HOUR - 59 + i - 700, FLAT)).collect();
    funding.rates(NOW, Some("binance"), &old);
    assert_eq!(funding.view(None).z_cross, None);
}

#[test]
fn rates_that_cannot_be_are_left_out() {
    let good = rate(HOUR, FLAT);
    let mut funding = Funding::new(SCALE_FLOOR);
    for bad in [
        FundingRate { until_ms: NOW + HOUR_MS, ..good },
        FundingRate { until_ms: u64::MAX, ..good },
        FundingRate { hours: 0, ..good },
        FundingRate { hours: 25, ..good },
        FundingRate { hourly: Ratio::scaled(5, 1), ..good },
        FundingRate { until_ms: HOUR_MS, hours: 8, ..good },
    ] {
        assert_eq!(funding.rates(NOW, None, &[bad]), 0, "{bad:?}");
    }
    // printed a moment late, it is the same hour
    assert_eq!(funding.rates(NOW + 200, None, &[FundingRate { until_ms: NOW + 73, ..good }, good]), 1);
    assert_eq!(funding.newest_ms(), NOW);
    // a source that tells of nothing usable takes no place
    assert_eq!(funding.rates(NOW, Some("nonsense"), &[FundingRate { hours: 0, ..good }]), 0);
    assert_eq!(funding.others.len(), 0);
    for venue in 0..20 {
        funding.rates(NOW, Some(&venue.to_string()), &[good]);
    }
    assert_eq!(funding.others.len(), SOURCES_MAX);
}

#[test]
fn a_floor_of_nothing_is_none() {
    let mut funding = Funding::new(0.0);
    funding.rates(NOW, None, &told(&[FLAT; 760]));
    near(float(funding.view(None).z), 0.0, 1e-3);
    assert!(Funding::new(f64::NAN).definition.floor > 0.0);
}

#[test]
fn quantiles_lie_between_neighbours() {
    let sorted = [1.0, 2.0, 4.0, 8.0];
    assert_eq!(quantile(&sorted, 0.0), Some(1.0));
    assert_eq!(quantile(&sorted, 0.5), Some(3.0));
    assert_eq!(quantile(&sorted, 0.25), Some(1.75));
    assert_eq!(quantile(&sorted, 1.0), Some(8.0));
    assert_eq!(quantile(&[], 0.5), None);
    assert_eq!((sample_sd(&[1.0]), sample_sd(&[0.1; 700]), mean(&[])), (None, Some(0.0), None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_scale_is_the_formula(values in prop::collection::vec(-1e-3_f64..1e-3, 2..60)) {
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let median = quantile(&sorted, 0.5).unwrap();
        let mut off: Vec<f64> = values.iter().map(|v| (v - median).abs()).collect();
        off.sort_by(f64::total_cmp);
        let mad = 1.4826 * quantile(&off, 0.5).unwrap();
        let iqr = (quantile(&sorted, 0.75).unwrap() - quantile(&sorted, 0.25).unwrap()) / 1.349;
        let want = mad.max(iqr).max(0.25 * sample_sd(&values).unwrap()).max(SCALE_FLOOR);
        let got = location(values, SCALE_FLOOR).unwrap();
        prop_assert!((got.scale - want).abs() < 1e-15 && got.median == median);
    }

    #[test]
    fn how_it_is_told_does_not_matter(seed: u64, cuts in prop::collection::vec((0_usize..900, 0_usize..200, any::<bool>()), 1..20)) {
        let all = told(&ar1(&mut Seed(seed).fork("rates"), 900));
        let mut at_once = Funding::new(SCALE_FLOOR);
        at_once.rates(NOW, None, &all);
        at_once.rates(NOW, Some("binance"), &all[100..]);
        let mut in_pieces = Funding::new(SCALE_FLOOR);
        for (from, length, own) in cuts {
            let piece = &all[from..(from + length).min(900)];
            if own {
                in_pieces.rates(NOW, None, piece);
            } else {
                in_pieces.rates(NOW, Some("binance"), &piece[100_usize.saturating_sub(from).min(piece.len())..]);
            }
        }
        in_pieces.rates(NOW, Some("binance"), &all[100..]);
        for piece in all.chunks(90).rev() {
            in_pieces.rates(NOW, None, piece);
        }
        prop_assert_eq!(at_once.view(None), in_pieces.view(None));
        prop_assert_eq!(in_pieces.own.iter().count(), HOURS_KEPT);
    }

    #[test]
    fn whatever_comes_a_view_is_numbers(
        rates in prop::collection::vec((0_u64..1_000, 0_u32..30, -1_000_000_000_i64..1_000_000_000), 0..600),
        predicted in prop::option::of(-2_000_000_000_i64..2_000_000_000),
    ) {
        let mut funding = Funding::new(SCALE_FLOOR);
        let rates: Vec<FundingRate> = rates
            .into_iter()
            .map(|(ago, hours, f)| FundingRate { until_ms: (HOUR - ago) * HOUR_MS, hours, hourly: Ratio::scaled(f, 9) })
            .collect();
        funding.rates(NOW, None, &rates);
        funding.rates(NOW, Some("binance"), &rates);
        let view = funding.view(predicted.map(|p| Ratio::scaled(p, 9)));
        // what is not a number has no decimal, and would be missing here
        prop_assert_eq!(view.z.is_some(), funding.figures.z.is_some());
        if view.hours >= 168 {
            prop_assert!(view.mean.is_some() && view.phi.is_some() && view.sigma.is_some());
            // a day with a single rate has no deviation
            let newest = view.newest_ms / HOUR_MS;
            prop_assert_eq!(view.instability.is_some(), funding.own.window(newest, DAY).count() > 1);
        }
        prop_assert!(view.persistence.is_none_or(|p| p >= Ratio::ZERO && p <= Ratio::ONE));
    }
}
