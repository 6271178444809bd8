//! Worked numbers of quant §1.2, and the ways in which bars may come.

use domain::{Prng, Px, Seed};
use proptest::prelude::*;
use rust_decimal::prelude::ToPrimitive;

use super::*;

const NOW: u64 = 1_700_000_000_000 / HOUR_MS * HOUR_MS;

fn bar(start_ms: u64, open: i64, close: i64) -> Bar {
    Bar { start_ms, open: Px(open), high: Px(open.max(close)), low: Px(open.min(close)), close: Px(close) }
}

/// `count` closed bars of `span` that end at `end_ms`, a random walk of about half a percent a bar.
fn walk(prng: &mut Prng, span: Span, end_ms: u64, count: u64) -> Vec<Bar> {
    let length = span.as_millis();
    let mut price = 1_000_000;
    (0..count)
        .map(|i| {
            let open = price;
            price = (price + prng.between(-10_000, 10_000)).max(1_000);
            bar(end_ms - (count - i) * length, open, price)
        })
        .collect()
}

fn full(prng: &mut Prng) -> Volatility {
    let mut all = Volatility::new(0.20);
    all.bars(NOW, HOURLY, &walk(prng, HOURLY, NOW, 1_000));
    all.bars(NOW, FIVE_MINUTES, &walk(prng, FIVE_MINUTES, NOW, 500));
    all
}

#[test]
fn the_sheets_examples() {
    let s2 = ewma_variance(&[0.01, -0.02, 0.015, -0.005, 0.03], 0.94).unwrap();
    assert!((s2 - 1.653_475_1e-4).abs() < 1e-11, "{s2}");
    assert!(((s2 * 365.0).sqrt() - 0.2457).abs() < 5e-5);
    assert_eq!(ewma_variance(&[], 0.94), None);
    let bar = PriceBar { open: 100.0, high: 103.0, low: 98.0, close: 101.0 };
    assert!((bar.garman_klass() - 0.001_199_857_265_9).abs() < 1e-13);
    assert!((bar.parkinson() - 0.000_893_103_190_4).abs() < 1e-13);
    assert!((bar.rogers_satchell() - 0.001_188_775_933).abs() < 1e-13);
}

#[test]
fn the_figures_are_those_of_the_formulas() {
    let mut prng = Seed(1).fork("bars");
    let (hourly, five) = (walk(&mut prng, HOURLY, NOW, 1_000), walk(&mut prng, FIVE_MINUTES, NOW, 500));
    let mut all = Volatility::new(0.20);
    assert_eq!(all.bars(NOW, HOURLY, &hourly), 1_000);
    assert_eq!(all.bars(NOW, FIVE_MINUTES, &five), 500);
    let returns = |bars: &[Bar]| -> Vec<f64> {
        bars.windows(2).map(|pair| (PriceBar::of(&pair[1]).close / PriceBar::of(&pair[0]).close).ln()).collect()
    };
    let (h, f) = (returns(&hourly), returns(&five));
    let fast = (ewma_variance(&h, 0.97).unwrap() * 8_760.0).sqrt();
    let slow = (ewma_variance(&h, 0.994).unwrap() * 8_760.0).sqrt();
    let realised = (f[f.len() - 288..].iter().map(|r| r * r).sum::<f64>() * 365.0).sqrt();
    let view = all.view(NOW);
    let close = |got: Option<domain::Ratio>, want: f64| {
        let got = got.unwrap().decimal().to_f64().unwrap();
        assert!((0.0..=1e-6).contains(&(got - want)), "{got} is not {want} rounded up");
    };
    close(view.fast, fast);
    close(view.slow, slow);
    close(view.realised, realised);
    close(view.forecast, fast.max(slow).max(realised).max(0.20));
    assert_eq!((view.hours, view.newest_ms), (999, NOW));
}

#[test]
fn a_calm_market_is_held_to_the_floor() {
    let mut all = Volatility::new(0.20);
    let flat: Vec<Bar> = (1..=400).rev().map(|i| bar(NOW - i * HOUR_MS, 500, 500)).collect();
    all.bars(NOW, HOURLY, &flat);
    let view = all.view(NOW);
    assert_eq!(view.fast, Some(domain::Ratio::ZERO));
    assert_eq!(view.forecast, Some(domain::Ratio::scaled(2, 1)));
}

#[test]
fn short_or_old_history_gives_no_forecast() {
    let mut prng = Seed(2).fork("bars");
    let hourly = walk(&mut prng, HOURLY, NOW, 169);
    let mut all = Volatility::new(0.20);
    all.bars(NOW, HOURLY, &hourly[1..]);
    assert_eq!((all.view(NOW).hours, all.view(NOW).forecast), (167, None));
    all.bars(NOW, HOURLY, &hourly[..1]);
    assert_eq!(all.view(NOW).hours, 168);
    assert!(all.view(NOW + AGE_MAX_MS).forecast.is_some());
    assert_eq!(all.view(NOW + AGE_MAX_MS + 1).forecast, None, "I34: three hours without a bar");
    assert_eq!(Volatility::new(0.20).view(NOW).forecast, None);
}

#[test]
fn without_five_minute_bars_the_range_stands_in() {
    let mut prng = Seed(3).fork("bars");
    let mut all = full(&mut prng);
    let mut hourly = Volatility::new(0.20);
    // the last day swings within its hours and closes where it opened: only its range shows it
    let mut bars = walk(&mut prng, HOURLY, NOW, 400);
    for bar in &mut bars[376..] {
        *bar = Bar { start_ms: bar.start_ms, open: Px(1_000_000), high: Px(1_030_000), low: Px(970_000), close: Px(1_000_000) };
    }
    hourly.bars(NOW, HOURLY, &bars);
    let view = hourly.view(NOW);
    assert_eq!((view.realised, view.forecast), (None, view.garman_klass), "I34: not calmer because less is known");
    // a five-minute stream that stopped hours ago says nothing of now
    assert!(all.view(NOW).realised.is_some());
    let later = NOW + 2 * HOUR_MS;
    all.bars(later, HOURLY, &[bar(NOW, 1_000_000, 1_000_000), bar(NOW + HOUR_MS, 1_000_000, 1_000_000)]);
    assert_eq!(all.view(later).realised, None);
}

#[test]
fn a_gap_breaks_the_chain() {
    let bars = [bar(NOW - 4 * HOUR_MS, 100, 110), bar(NOW - 3 * HOUR_MS, 110, 121), bar(NOW - HOUR_MS, 200, 220)];
    let mut all = Volatility::new(0.0);
    all.bars(NOW, HOURLY, &bars);
    let returns: Vec<_> = all.hourly_returns().collect();
    assert_eq!(returns.len(), 1);
    assert_eq!(returns[0].0, NOW / HOUR_MS - 3);
    assert!((returns[0].1 - 1.1_f64.ln()).abs() < 1e-15);
}

#[test]
fn bars_that_cannot_be_are_left_out() {
    let good = bar(NOW - HOUR_MS, 100, 110);
    let mut all = Volatility::new(0.0);
    for bad in [
        Bar { start_ms: NOW - HOUR_MS + 1, ..good },
        Bar { start_ms: NOW, ..good },
        Bar { start_ms: u64::MAX / HOUR_MS * HOUR_MS, ..good },
        Bar { low: Px(0), ..good },
        Bar { low: Px(-5), ..good },
        Bar { high: Px(105), ..good },
        Bar { low: Px(101), ..good },
        Bar { open: Px(111), ..good },
    ] {
        assert_eq!(all.bars(NOW, HOURLY, &[bad]), 0, "{bad:?}");
    }
    assert_eq!(all.bars(NOW, Span::secs(60), &[good]), 0, "no use for minutes");
    assert_eq!(all.bars(NOW, HOURLY, &[good, good]), 1);
    assert_eq!(all.bars(NOW, HOURLY, &[Bar { close: Px(105), ..good }]), 1, "a corrected bar replaces the former");
    assert_eq!(all.bars(0, HOURLY, &[Bar { start_ms: 0, ..good }]), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn how_it_is_told_does_not_matter(seed: u64, cuts in prop::collection::vec((0_usize..1_700, 0_usize..300), 1..40)) {
        let mut prng = Seed(seed).fork("bars");
        let bars = walk(&mut prng, HOURLY, NOW, 1_700);
        let mut at_once = Volatility::new(0.20);
        at_once.bars(NOW, HOURLY, &bars);
        let mut in_pieces = Volatility::new(0.20);
        for (from, length) in cuts {
            in_pieces.bars(NOW, HOURLY, &bars[from..(from + length).min(bars.len())]);
            prop_assert!(in_pieces.hourly.len() <= HOURS_KEPT);
        }
        for bar in bars.iter().rev() {
            in_pieces.bars(NOW, HOURLY, std::slice::from_ref(bar));
        }
        prop_assert_eq!(at_once.hourly.len(), HOURS_KEPT);
        prop_assert_eq!(at_once.view(NOW), in_pieces.view(NOW));
    }

    #[test]
    fn extreme_prices_give_a_number_or_nothing(prices in prop::collection::vec(1_i64..=i64::MAX, 200..400)) {
        let count = u64::try_from(prices.len()).unwrap();
        let bars: Vec<Bar> = prices.windows(2).zip(0..).map(|(p, i)| bar(NOW - (count - i) * HOUR_MS, p[0], p[1])).collect();
        let mut all = Volatility::new(0.20);
        all.bars(NOW, HOURLY, &bars);
        let view = all.view(NOW);
        prop_assert!(view.fast.is_some() && view.slow.is_some() && view.garman_klass.is_some());
    }
}
