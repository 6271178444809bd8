use std::time::Duration;

use serde_json::{Value, json};
use wire::hyperliquid::action::Action;
use wire::hyperliquid::sign::Network;

use super::*;
use crate::hyperliquid::stub::{self, ACCOUNT, Answer, Kind, Stub, wall_ms};

fn config(venue: &Stub) -> Config {
    stub::install_tls();
    let mut config = Config::new(Network::Testnet, Some(&venue.base), ACCOUNT, Vec::new());
    config.timing.read = Duration::from_millis(300);
    config.timing.sweep_pause = Duration::from_millis(100);
    config
}

async fn open(venue: &Stub) -> Canceller {
    let opened = Canceller::open(config(venue), stub::key(), stub::clock(), Duration::from_secs(10)).await;
    opened.unwrap_or_else(|e| panic!("{e}"))
}

fn row(coin: &str, oid: u64) -> Value {
    json!({"coin":coin,"side":"B","limitPx":"1","sz":"1","oid":oid,"timestamp":1,"origSz":"1"})
}

#[tokio::test]
async fn c36_a_cold_start_cancels_what_anybody_placed_and_looks_twice() {
    let venue = Stub::serve().await;
    venue.next_info("frontendOpenOrders", Answer::Json(json!([row("BTC", 7), row("ETH", 8), row("OLD", 9)])));
    let canceller = open(&venue).await;
    let swept = canceller.sweep(Duration::from_secs(10)).await.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((swept.canceled, swept.gone), (3, 0));
    assert!(swept.reads >= 3, "{swept:?}");
    let requests = venue.requests();
    assert_eq!(requests.len(), 1, "nothing but the cancels was signed");
    let Action::Cancel(cancel) = &requests[0].signed.action else { panic!("{requests:?}") };
    let mut pairs: Vec<(u32, u64)> = cancel.cancels.iter().map(|c| (c.asset, c.oid)).collect();
    pairs.sort_unstable();
    assert_eq!(pairs, [(0, 7), (1, 8), (2, 9)]);
    assert_eq!(requests[0].signed.nonce % 2, 1, "nonces of orders are even");
    assert_eq!(venue.connections(), 0, "no stream was opened");
    // what a sweep does not see, such as an order on the spot market, must not look like one that appeared
    venue.next_info("frontendOpenOrders", Answer::Json(json!([row("BTC", 7), row("@107", 8)])));
    assert_eq!((canceller.open_orders().await, canceller.open_orders().await), (Ok(1), Ok(0)));
}

#[tokio::test]
async fn a_host_whose_clock_is_an_hour_off_signs_by_the_venues() {
    let venue = Stub::serve().await;
    venue.shift_clock(3_600_000);
    venue.next_info("frontendOpenOrders", Answer::Json(json!([row("BTC", 7)])));
    open(&venue).await.sweep(Duration::from_secs(10)).await.unwrap_or_else(|e| panic!("{e}"));
    let signed = &venue.requests()[0].signed;
    let venue_ms = wall_ms() + 3_600_000;
    assert!(signed.expires_after.is_some_and(|at| at > venue_ms && at < venue_ms + 60_000), "{:?}", signed.expires_after);
    assert!(signed.nonce.abs_diff(venue_ms) < 60_000, "{}", signed.nonce);
}

#[tokio::test]
async fn markets_that_are_not_told_at_first_are_asked_for_again() {
    let venue = Stub::serve().await;
    venue.next_info("meta", Answer::Status(502, "bad gateway"));
    venue.next_info("meta", Answer::Hang);
    venue.next_info("meta", Answer::Status(429, "slow down"));
    open(&venue).await;
    venue.info("meta", json!("nonsense"));
    let never = Canceller::open(config(&venue), stub::key(), stub::clock(), Duration::from_millis(200)).await;
    assert!(matches!(never, Err(StartError::Read(ReadError::Malformed { .. }))), "{never:?}");
}

#[tokio::test]
async fn a_key_that_may_not_act_for_the_account_is_found_before_it_is_needed() {
    let venue = Stub::serve().await;
    let canceller = open(&venue).await;
    assert_eq!(canceller.signer(), stub::key().address());
    let role = canceller.prove().await;
    assert!(matches!(role, Ok(Signer::Agent)), "{role:?}");
    venue.next(Kind::Noop, Answer::Json(json!({"status":"err","response":"User or API Wallet does not exist."})));
    let refused = canceller.prove().await;
    assert!(matches!(refused, Err(StartError::KeyRefused { .. })), "{refused:?}");
    venue.role(stub::key().address(), json!({"role":"agent","data":{"user":Address([9; 20]).to_string()}}));
    let stranger = canceller.prove().await;
    assert!(matches!(stranger, Err(StartError::NotAgent { .. })), "{stranger:?}");
    assert!(
        Canceller::open(
            Config { http: "http://far.example".into(), ..config(&venue) },
            stub::key(),
            stub::clock(),
            Duration::ZERO
        )
        .await
        .is_err()
    );
}
