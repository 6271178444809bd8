//! Shrinkage against its definition written out, and portfolios that can be checked by hand.

use domain::{InstrumentId, Prng, Seed, Usd};
use rust_decimal::prelude::ToPrimitive;

use super::shrinkage::{covariance, ewma_weights, shrink};
use super::*;

fn rows(prng: &mut Prng, count: usize, markets: usize) -> Vec<Vec<f64>> {
    let noise = |prng: &mut Prng| f64::from(i32::try_from(prng.between(-1_000_000, 1_000_000)).unwrap()) / 1e8;
    (0..count)
        .map(|_| {
            let common = noise(prng);
            (0..markets).map(|i| common * (1.0 + f64::from(u32::try_from(i).unwrap())) + noise(prng)).collect()
        })
        .collect()
}

fn near(got: f64, want: f64) {
    assert!((got - want).abs() <= 1e-10 * want.abs().max(1e-12), "{got} is not {want}");
}

#[test]
fn the_published_examples() {
    let returns = [[0.01, 0.012], [-0.02, -0.03], [0.015, 0.02], [-0.005, 0.001], [0.03, 0.045], [-0.01, -0.02]];
    let mut rows: Vec<Vec<f64>> = returns.iter().map(|row| row.to_vec()).collect();
    for column in 0..2 {
        let mean = rows.iter().map(|row| row[column]).sum::<f64>() / 6.0;
        rows.iter_mut().for_each(|row| row[column] -= mean);
    }
    let equal = ewma_weights(6, 1.0);
    let sample = covariance(&rows, &equal);
    assert!((sample[0][0] - 2.8056e-4).abs() < 5e-9 && (sample[0][1] - 4.1194e-4).abs() < 5e-9);
    assert!((sample[1][1] - 6.2322e-4).abs() < 5e-9);
    let shrunk = shrink(&rows, &equal, Target::ScaledIdentity);
    near(shrunk.shrinkage, 0.310_386_041_092_663);
    near(shrunk.matrix[0][1], 0.000_284_082_639_183_216_9);
}

#[test]
fn the_average_by_weights_is_the_recursion() {
    // s ← λs + (1−λ)xy from the first product on gives the first row the weight λ^(n−1) and the others (1−λ)λ^k; weights that
    // fall off by λ throughout differ from it in the first row alone, which 3,000 hours have forgotten
    let rows = rows(&mut Seed(7).fork("rows"), 3_000, 2);
    let s = covariance(&rows, &ewma_weights(rows.len(), 0.994));
    for (i, j) in [(0, 0), (0, 1), (1, 1)] {
        let recursion = rows.iter().skip(1).fold(rows[0][i] * rows[0][j], |s, row| 0.994 * s + 0.006 * row[i] * row[j]);
        assert!((s[i][j] - recursion).abs() < 1e-6 * recursion.abs(), "{i} {j}");
    }
}

/// The papers' formulas by the letter, with one entry at a time: no sums shared, no symmetry used.
#[test]
fn shrinkage_against_brute_force() {
    let rows = rows(&mut Seed(8).fork("rows"), 60, 5);
    let weights = ewma_weights(rows.len(), 0.97);
    let s = |i: usize, j: usize| -> f64 { rows.iter().zip(&weights).map(|(x, w)| w * x[i] * x[j]).sum() };
    let squares: f64 = weights.iter().map(|w| w * w).sum();
    let all = || (0..5).flat_map(|i| (0..5).map(move |j| (i, j)));

    let mean = (0..5).map(|i| s(i, i)).sum::<f64>() / 5.0;
    let goal = |i: usize, j: usize| if i == j { mean } else { 0.0 };
    let d2: f64 = all().map(|(i, j)| (s(i, j) - goal(i, j)).powi(2)).sum();
    let b2: f64 =
        rows.iter().zip(&weights).map(|(x, w)| w * w * all().map(|(i, j)| (x[i] * x[j] - s(i, j)).powi(2)).sum::<f64>()).sum();
    let shrunk = shrink(&rows, &weights, Target::ScaledIdentity);
    near(shrunk.shrinkage, (b2 / d2).min(1.0));
    for (i, j) in all() {
        near(shrunk.matrix[i][j], shrunk.shrinkage * goal(i, j) + (1.0 - shrunk.shrinkage) * s(i, j));
    }

    let rho = |i: usize, j: usize| s(i, j) / (s(i, i) * s(j, j)).sqrt();
    let mean_rho = all().filter(|(i, j)| i < j).map(|(i, j)| rho(i, j)).sum::<f64>() / 10.0;
    let goal = |i: usize, j: usize| if i == j { s(i, i) } else { mean_rho * (s(i, i) * s(j, j)).sqrt() };
    let average = |f: &dyn Fn(&[f64]) -> f64| -> f64 { rows.iter().zip(&weights).map(|(x, w)| w * f(x)).sum() };
    let pi = |i: usize, j: usize| average(&|x| (x[i] * x[j] - s(i, j)).powi(2));
    let theta = |k: usize, i: usize, j: usize| average(&|x| (x[k] * x[k] - s(k, k)) * (x[i] * x[j] - s(i, j)));
    let rho_hat: f64 = (0..5).map(|i| pi(i, i)).sum::<f64>()
        + all()
            .filter(|(i, j)| i != j)
            .map(|(i, j)| {
                mean_rho / 2.0 * ((s(j, j) / s(i, i)).sqrt() * theta(i, i, j) + (s(i, i) / s(j, j)).sqrt() * theta(j, i, j))
            })
            .sum::<f64>();
    let gamma: f64 = all().map(|(i, j)| (goal(i, j) - s(i, j)).powi(2)).sum();
    let pi_sum: f64 = all().map(|(i, j)| pi(i, j)).sum();
    let shrunk = shrink(&rows, &weights, Target::ConstantCorrelation);
    near(shrunk.shrinkage, ((pi_sum - rho_hat) / gamma * squares).clamp(0.0, 1.0));
    assert!(shrunk.shrinkage > 0.01 && shrunk.shrinkage < 0.99, "the case says something: {}", shrunk.shrinkage);
    for (i, j) in all() {
        near(shrunk.matrix[i][j], shrunk.shrinkage * goal(i, j) + (1.0 - shrunk.shrinkage) * s(i, j));
    }
}

#[test]
fn markets_that_never_move_break_nothing() {
    for target in [Target::ScaledIdentity, Target::ConstantCorrelation] {
        let still = vec![vec![0.0, 0.0, 0.01], vec![0.0, 0.0, -0.01], vec![0.0, 0.0, 0.02]];
        let shrunk = shrink(&still, &ewma_weights(3, 0.994), target);
        assert!(shrunk.matrix.iter().flatten().all(|v| v.is_finite()), "{target:?} {:?}", shrunk.matrix);
        assert!(shrink(&[], &[], target).matrix.is_empty());
    }
}

fn id(name: &str) -> InstrumentId {
    format!("hyperliquid:{name}").parse().unwrap()
}

fn exposure(name: &str, notional: i32) -> Exposure {
    Exposure { instrument: id(name), notional: Usd::whole(notional) }
}

/// Annual volatilities 60 % and 80 %, correlation 0.8.
fn two() -> Covariance {
    let hourly = |a: f64, b: f64, rho: f64| a * b * rho / 8_760.0;
    Covariance {
        instruments: vec![id("BTC"), id("ETH")],
        matrix: vec![vec![hourly(0.6, 0.6, 1.0), hourly(0.6, 0.8, 0.8)], vec![hourly(0.6, 0.8, 0.8), hourly(0.8, 0.8, 1.0)]],
        ..Covariance::default()
    }
}

fn float(usd: Usd) -> f64 {
    usd.decimal().to_f64().unwrap()
}

#[test]
fn portfolios_by_hand() {
    let long = two().portfolio(&[exposure("BTC", 100_000), exposure("ETH", 50_000)]);
    // √(60,000² + 40,000² + 2·0.8·60,000·40,000) = 95,078.9…; with ρ' = 0.95: 98,792.7…
    assert!((float(long.volatility) - 9.04e9_f64.sqrt()).abs() < 0.02, "{}", long.volatility);
    assert!((float(long.stressed) - 9.76e9_f64.sqrt()).abs() < 0.02, "{}", long.stressed);
    assert_eq!(long.worst(), long.stressed);
    let parts: f64 = long.components.iter().map(|(_, usd)| float(*usd)).sum();
    assert!((parts - float(long.volatility)).abs() < 0.05);

    let hedged = two().portfolio(&[exposure("BTC", 80_000), exposure("ETH", -60_000)]);
    assert_eq!(hedged.worst(), hedged.volatility, "stress makes a hedge look better; the worse of both counts");
    assert!(hedged.stressed < hedged.volatility);
    // what is told twice of one market is taken together
    let split = two().portfolio(&[exposure("BTC", 100_000), exposure("BTC", -20_000), exposure("ETH", -60_000)]);
    assert_eq!(split, hedged);
    assert_eq!(two().portfolio(&[]).worst(), Usd::ZERO);
}

#[test]
fn a_market_without_history_counts_in_full() {
    let known = two().portfolio(&[exposure("BTC", 100_000)]);
    let with = two().portfolio(&[exposure("BTC", 100_000), exposure("NEW", -10_000)]);
    assert_eq!(with.unknown, [id("NEW")]);
    assert_eq!(with.volatility, known.volatility + Usd::whole(20_000), "I34: 200 % and nothing offset");
    let none = Covariance::default().portfolio(&[exposure("BTC", 100_000), exposure("ETH", -100_000)]);
    assert_eq!(none.volatility, Usd::whole(400_000));
}
