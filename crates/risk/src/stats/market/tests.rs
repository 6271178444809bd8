//! Several markets together: slopes, the shared covariance and when it is computed.

use domain::{HOURLY, Px, Seed, Usd};

use super::super::HOUR_MS;
use super::super::covariance::Exposure;
use super::*;

const NOW: u64 = 470_000 * HOUR_MS;

fn id(text: &str) -> InstrumentId {
    text.parse().unwrap()
}

fn stamp(wall_ms: u64) -> Stamp {
    Stamp { mono: 0, wall_ms }
}

/// Hourly bars that close at `prices`, the last at `end_ms`.
fn bars(prices: &[i64], end_ms: u64) -> Vec<Bar> {
    let first = end_ms - u64::try_from(prices.len()).unwrap() * HOUR_MS;
    let starts = (0..).map(|i| first + i * HOUR_MS);
    starts
        .zip(prices)
        .map(|(start_ms, px)| Bar { start_ms, open: Px(*px), high: Px(*px), low: Px(*px), close: Px(*px) })
        .collect()
}

/// Two walks: the second moves by the first's return times `beta`.
fn pair(beta: i32, count: usize) -> (Vec<i64>, Vec<i64>) {
    let mut prng = Seed(5).fork("prices");
    let (mut a, mut b) = (1e12_f64, 1e12_f64);
    (0..count)
        .map(|_| {
            let r = f64::from(i32::try_from(prng.between(-10_000, 10_000)).unwrap()) / 1e6;
            a *= r.exp();
            b *= (r * f64::from(beta)).exp();
            #[expect(clippy::cast_possible_truncation, reason = "ticks of a test")]
            (a as i64, b as i64)
        })
        .unzip()
}

#[test]
fn slope_and_correlation_on_the_venues_btc() {
    let (btc, eth) = (id("hyperliquid:BTC"), id("hyperliquid:ETH"));
    let (prices_btc, prices_eth) = pair(2, 300);
    let mut markets = Markets::new(Settings::default());
    markets.bars(NOW, eth, HOURLY, &bars(&prices_eth, NOW));
    assert_eq!(markets.measure(eth, stamp(NOW), None).unwrap().beta, None, "no BTC to compare with");
    markets.bars(NOW, btc, HOURLY, &bars(&prices_btc, NOW));
    let measure = markets.measure(eth, stamp(NOW), None).unwrap();
    let near = |ratio: Option<Ratio>, want: f64| {
        let got = ratio.unwrap().decimal().to_f64().unwrap();
        assert!((got - want).abs() < 2e-6, "{got} is not {want}");
    };
    near(measure.beta, 2.0);
    near(measure.correlation, 1.0);
    assert!(measure.volatility.forecast.is_some());
    let own = markets.measure(btc, stamp(NOW), None).unwrap();
    near(own.beta, 1.0);
    // another venue's market is compared with that venue's BTC, under its own name
    let (there, usd) = (id("dydx:ETH-USD"), id("dydx:BTC-USD"));
    markets.bars(NOW, there, HOURLY, &bars(&prices_eth, NOW));
    assert_eq!(markets.measure(there, stamp(NOW), None).unwrap().beta, None);
    markets.bars(NOW, usd, HOURLY, &bars(&prices_btc, NOW));
    near(markets.measure(there, stamp(NOW), None).unwrap().beta, 2.0);
    // a shorter shared history says nothing
    markets.bars(NOW, id("hyperliquid:SOL"), HOURLY, &bars(&prices_eth[..100], NOW));
    assert_eq!(markets.measure(id("hyperliquid:SOL"), stamp(NOW), None).unwrap().beta, None);
    assert_eq!(markets.measure(id("hyperliquid:DOGE"), stamp(NOW), None), None);
}

#[test]
fn the_covariance_is_computed_once_an_hour() {
    let (btc, eth) = (id("hyperliquid:BTC"), id("hyperliquid:ETH"));
    let (a, b) = pair(-1, 303);
    let mut markets = Markets::new(Settings::default());
    markets.bars(NOW, btc, HOURLY, &bars(&a[..301], NOW));
    markets.bars(NOW, eth, HOURLY, &bars(&b[..301], NOW));
    let first = markets.covariance().clone();
    assert_eq!((first.hours, first.newest_hour, first.instruments.len()), (300, NOW / HOUR_MS - 1, 2));
    assert!(first.correlation(btc, eth).unwrap() < -0.999);
    // one of them tells of the next hour: the matrix stands until the other has
    let later = NOW + HOUR_MS;
    markets.bars(later, btc, HOURLY, &bars(&a[..302], later));
    assert_eq!(*markets.covariance(), first);
    markets.bars(later, eth, HOURLY, &bars(&b[..302], later));
    let second = markets.covariance().clone();
    assert_eq!((second.hours, second.newest_hour), (301, NOW / HOUR_MS));
    // told again, nothing changes
    assert_eq!(markets.bars(later, eth, HOURLY, &bars(&b[..302], later)), 0);
    assert_eq!(*markets.covariance(), second);
}

#[test]
fn a_market_that_fell_silent_leaves_the_matrix_and_counts_in_full() {
    let (btc, eth) = (id("hyperliquid:BTC"), id("hyperliquid:ETH"));
    let (a, b) = pair(1, 400);
    let mut markets = Markets::new(Settings::default());
    markets.bars(NOW, btc, HOURLY, &bars(&a, NOW));
    markets.bars(NOW, eth, HOURLY, &bars(&b[..375], NOW - 25 * HOUR_MS));
    assert_eq!(markets.covariance().instruments, [btc]);
    let hedged =
        [Exposure { instrument: btc, notional: Usd::whole(1_000) }, Exposure { instrument: eth, notional: Usd::whole(-1_000) }];
    let risk = markets.covariance().portfolio(&hedged);
    assert_eq!(risk.unknown, [eth], "I34: no offset by a market of which nothing new is known");
    assert!(risk.worst() > Usd::whole(2_000));
    assert_eq!(Markets::new(Settings::default()).covariance().instruments, []);
}

#[test]
fn the_venues_own_rates_are_told_by_its_name() {
    let btc = id("hyperliquid:BTC");
    let rate = |hour: u64| FundingRate { until_ms: NOW - hour * HOUR_MS, hours: 1, hourly: Ratio::scaled(125, 7) };
    let rates: Vec<FundingRate> = (0..400).rev().map(rate).collect();
    let mut markets = Markets::new(Settings::default());
    assert_eq!(markets.funding(NOW, btc, "binance", &rates), 400);
    assert_eq!(markets.measure(btc, stamp(NOW), None).unwrap().funding.hours, 0);
    assert_eq!(markets.funding(NOW, btc, "hyperliquid", &rates), 400);
    let view = markets.measure(btc, stamp(NOW), None).unwrap().funding;
    assert_eq!((view.hours, view.z_cross), (400, Some(Ratio::ZERO)));
}

#[test]
fn markets_are_bounded() {
    let mut markets = Markets::new(Settings::default());
    let (prices, _) = pair(1, 3);
    for n in 0..100 {
        markets.bars(NOW, id(&format!("hyperliquid:C{n}")), HOURLY, &bars(&prices, NOW));
    }
    assert_eq!(markets.iter().count(), MARKETS_MAX);
    assert_eq!(markets.bars(NOW, id("hyperliquid:C99"), HOURLY, &bars(&prices, NOW)), 0);
    assert_eq!(markets.measure(id("hyperliquid:C99"), stamp(NOW), None), None);
}
