//! Clients that we did not write trade on the paper venue, unmodified.
//!
//! Each gets a venue of its own, in this process, on which nothing moves by itself: all numbers on BTC come from the two accounts of
//! the script, and ETH has a standing market to take from. What the scripts assert is in `tests/witness`.

use domain::Seed;
use paper::control::MarketPush;
use paper::{Market, Paper, PaperSpec, VenueLimits};
use plimsoll_tests::{Client, Witness, skip};
use rust_decimal::Decimal;

/// Runs a script and returns how many checks it made: a script that checks nothing proves nothing.
fn checks_of(client: Client, script: &str) -> Option<u32> {
    let witness = match Witness::find(client, script) {
        Ok(witness) => witness,
        Err(missing) => {
            skip(script, &missing);
            return None;
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let spec =
        PaperSpec { seed: Seed(20_240_808), market: Market::Still, limits: VenueLimits::unlimited(), ..PaperSpec::default() };
    let venue = runtime.block_on(Paper::start(spec)).unwrap();
    runtime.block_on(venue.push(standing_market("ETH", 2_680))).unwrap().unwrap();
    let said = witness.run(&venue.url()).unwrap_or_else(|error| panic!("{error:#}"));
    runtime.block_on(venue.shutdown());
    let last = said.last().cloned().unwrap_or_default();
    let (_, count) = last.rsplit_once(": ").unwrap_or_else(|| panic!("{script} ends with its count of checks, not {last:?}"));
    Some(count.trim_end_matches(" checks").parse().unwrap())
}

/// Ten levels of 5 coins a side, one price step apart around `mid`.
fn standing_market(coin: &str, mid: i64) -> MarketPush {
    let side = |step: i64| (1..=10).map(|n| (Decimal::from(mid + step * n), Decimal::from(5))).collect();
    MarketPush { coin: coin.to_owned(), bids: side(-1), asks: side(1), replace: true, ..MarketPush::default() }
}

#[test]
fn the_official_python_sdk() {
    if let Some(checks) = checks_of(Client::Python, "python_sdk.py") {
        assert!(checks >= 100, "{checks} checks");
    }
}

#[test]
fn ccxt_with_streams() {
    if let Some(checks) = checks_of(Client::Python, "ccxt_client.py") {
        assert!(checks >= 30, "{checks} checks");
    }
}

#[test]
fn nktkas_over_http_and_socket() {
    if let Some(checks) = checks_of(Client::Node, "nktkas.mjs") {
        assert!(checks >= 35, "{checks} checks");
    }
}
