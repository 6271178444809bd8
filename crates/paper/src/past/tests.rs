use super::*;
use crate::universe;

const NOW_MS: u64 = 1_763_800_042_000;

fn past(seed: u64) -> (Past, Universe) {
    let listed = universe::listed(None).expect("the table is valid");
    let universe = Universe::new(&listed);
    let end = |m: &universe::MarketInfo| listed.iter().find(|l| l.spec.instrument.id == m.instrument.id).map(|l| l.spec.oracle);
    let ends = universe.live().filter_map(|m| Some((m.asset, end(m)?))).collect();
    let mut past = Past::new(Seed(seed), NOW_MS, ends);
    for market in universe.live() {
        past.make(&universe, market.asset);
    }
    (past, universe)
}

/// Annual volatility in percent by returns over `length_ms`, and the returns.
#[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "a test measures what the walk made")]
fn returns(past: &Past, asset: Asset, length_ms: u64) -> (f64, Vec<f64>) {
    let candles = crate::candles::Candles::default();
    let bars = candles.list(past.candles(asset, length_ms, 0), asset, length_ms, 0, NOW_MS);
    let returns: Vec<f64> = bars.windows(2).map(|w| (w[1].close.0 as f64 / w[0].close.0 as f64).ln()).collect();
    let mean_square = returns.iter().map(|r| r * r).sum::<f64>() / returns.len() as f64;
    let per_year = 365.0 * 86_400_000.0 / length_ms as f64;
    ((mean_square * per_year).sqrt() * 100.0, returns)
}

#[test]
fn sixty_days_of_bars_without_a_hole_that_end_at_the_first_live_price() {
    let (past, universe) = past(1);
    for market in universe.live() {
        let fine: Vec<&Candle> = past.candles(market.asset, MINUTE_MS, 0).collect();
        let last = fine.last().expect("bars");
        assert_eq!(last.open_ms + MINUTE_MS, NOW_MS - NOW_MS % MINUTE_MS);
        let end = past.ends[&market.asset];
        assert_eq!(last.close, market.instrument.floor_px(end), "{}", market.name());
        let all: Vec<&Candle> = past.candles(market.asset, HOUR_MS, 0).collect();
        let boundary = all.iter().position(|c| c.open_ms >= fine[0].open_ms).expect("both kinds");
        for pair in all.windows(2) {
            let step = if pair[1].open_ms < fine[0].open_ms || pair[0].open_ms < fine[0].open_ms { 5 } else { 1 };
            assert_eq!(pair[1].open_ms - pair[0].open_ms, step * MINUTE_MS, "no hole around the boundary {boundary}");
            assert_eq!(pair[0].close, pair[1].open, "one path");
        }
        assert!(all[0].open_ms <= NOW_MS - 59 * 24 * HOUR_MS);
        for c in all {
            assert!(c.low <= c.open.min(c.close) && c.high >= c.open.max(c.close) && c.low.0 > 0);
            assert!(market.instrument.allows_px(c.high) && market.instrument.allows_px(c.low));
        }
    }
}

#[test]
fn volatility_and_correlation_are_those_of_such_markets() {
    for seed in [1, 11] {
        let (past, universe) = past(seed);
        let asset = |name| universe.named(name).expect("listed").asset;
        let (btc, btc_returns) = returns(&past, asset("BTC"), HOUR_MS);
        let (eth, eth_returns) = returns(&past, asset("ETH"), HOUR_MS);
        assert!((38.0..62.0).contains(&btc), "BTC, seed {seed}: {btc}");
        assert!((47.0..77.0).contains(&eth), "ETH, seed {seed}: {eth}");
        let (five, _) = returns(&past, asset("BTC"), COARSE_MS);
        assert!((five / btc - 1.0).abs() < 0.15, "no drift between scales: {five} {btc}");
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let correlation =
            dot(&btc_returns, &eth_returns) / (dot(&btc_returns, &btc_returns) * dot(&eth_returns, &eth_returns)).sqrt();
        assert!((0.7..0.9).contains(&correlation), "seed {seed}: {correlation}");
    }
}

#[test]
fn funding_rests_on_the_interest_for_about_half_of_the_hours_and_is_calm_at_the_end() {
    let (past, universe) = past(1);
    for name in ["BTC", "ETH"] {
        let rates = past.funding(universe.named(name).expect("listed").asset);
        assert_eq!(rates.len(), 1_440);
        assert!(rates.windows(2).all(|w| w[1].at_ms - w[0].at_ms == HOUR_MS));
        assert!(rates.iter().all(|r| r.at_ms.is_multiple_of(HOUR_MS) && r.at_ms <= NOW_MS));
        let rest = Ratio::scaled(125, 7);
        let resting = rates.iter().filter(|r| r.rate == rest).count();
        assert!((600..1_050).contains(&resting), "{name}: {resting} of 1440");
        assert!(rates.iter().rev().take(40).all(|r| r.rate == rest), "{name} is calm at the end");
        assert!(rates.iter().all(|r| r.rate.abs() < Ratio::scaled(5, 4)), "{name}: nothing is beyond what a market shows");
    }
}

#[test]
fn same_seed_same_past() {
    let ((a, universe), (b, _), (c, _)) = (past(5), past(5), past(6));
    let btc = universe.named("BTC").expect("listed").asset;
    let closes = |past: &Past| past.candles(btc, HOUR_MS, 0).map(|c| c.close).collect::<Vec<_>>();
    assert_eq!(closes(&a), closes(&b));
    assert_ne!(closes(&a), closes(&c));
    assert_eq!(a.funding(btc), b.funding(btc));
    let predicted = |past: &Past| past.predicted("BTC", NOW_MS).collect::<Vec<_>>();
    assert_eq!(predicted(&a), predicted(&b));
    for (_, rate, until_ms, hours) in predicted(&a) {
        assert!(until_ms > NOW_MS && until_ms.is_multiple_of(u64::from(hours) * HOUR_MS));
        assert!((Decimal::new(4, 5)..=Decimal::new(16, 5)).contains(&rate));
    }
}
