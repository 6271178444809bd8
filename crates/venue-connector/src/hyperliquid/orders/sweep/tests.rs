use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use wire::hyperliquid::action::Action;

use super::super::ORDERS_MAX;
use crate::hyperliquid::limits::Purpose;
use crate::hyperliquid::stub::{self, Answer as Reply, Kind, Rig, Stub, config};
use crate::port::OrderPort;

const LOOK: &str = "frontendOpenOrders";
const LONG: Duration = Duration::from_secs(20);

fn row(oid: u64) -> Value {
    json!({ "coin": "BTC", "oid": oid })
}

/// The numbers that each cancel that has arrived names.
fn cancels(venue: &Stub) -> Vec<Vec<u64>> {
    let named = |action: &Action| match action {
        Action::Cancel(cancel) => Some(cancel.cancels.iter().map(|c| c.oid).collect()),
        _ => None,
    };
    venue.requests().iter().filter_map(|request| named(&request.signed.action)).collect()
}

fn told(venue: &Stub, oid: u64, coin: &str, status: &str) {
    let order = json!({"coin":coin,"side":"B","limitPx":"50000.0","sz":"0.01","oid":oid,"timestamp":5,"origSz":"0.01"});
    venue.push(&json!({"channel":"orderUpdates","data":[{"order":order,"status":status,"statusTimestamp":6}]}));
}

async fn knows(started: &Rig, oids: &[u64]) {
    let shared = Arc::clone(&started.connector.shared);
    stub::until("orders told of", || shared.known.all().iter().map(|(oid, _)| *oid).eq(oids.iter().copied())).await;
}

async fn listening(venue: &Stub) {
    stub::until("an account stream", || venue.subscribed("orderUpdates") > 0).await;
}

#[tokio::test]
async fn c31_what_the_streams_told_of_is_cancelled_without_waiting_for_a_look() {
    let venue = Stub::serve().await;
    let started = stub::start(config(&venue)).await;
    listening(&venue).await;
    // ours or a stranger's: nothing tells them apart here
    told(&venue, 7, "BTC", "open");
    told(&venue, 8, "BTC", "open");
    told(&venue, 9, "ETH", "open");
    told(&venue, 11, "@107", "open");
    told(&venue, 8, "BTC", "filled");
    knows(&started, &[7, 9]).await;
    let looks = venue.infos(LOOK).len();
    venue.next_info(LOOK, Reply::Hang);
    let connector = started.connector.clone();
    let sweep = tokio::spawn(async move { connector.sweep(&[], LONG).await });
    stub::until("the cancels", || cancels(&venue) == [[7, 9]]).await;
    let report = sweep.await.unwrap_or_else(|e| panic!("{e}")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((report.canceled, report.gone, report.reads), (2, 0, 2), "the look that hangs is made again beside it");
    assert!(venue.infos(LOOK).len() >= looks + 3);
    assert_eq!(cancels(&venue), [[7, 9]]);
    knows(&started, &[]).await;
}

#[tokio::test]
async fn a_sweep_of_one_market_leaves_what_it_knows_of_others() {
    let venue = Stub::serve().await;
    let started = stub::start(config(&venue)).await;
    listening(&venue).await;
    told(&venue, 7, "BTC", "open");
    told(&venue, 9, "ETH", "open");
    knows(&started, &[7, 9]).await;
    let eth = domain::InstrumentId::new(domain::Venue::Hyperliquid, "ETH").unwrap_or_else(|e| panic!("{e}"));
    let report = started.connector.sweep(&[eth], LONG).await;
    assert!(report.as_ref().is_ok_and(|r| r.canceled == 1), "{report:?}");
    assert_eq!(cancels(&venue), [[9]]);
}

#[tokio::test]
async fn a_cancel_whose_answer_never_comes_is_sent_again_beside_it() {
    let venue = Stub::serve().await;
    let mut config = config(&venue);
    // longer than the whole test: whoever waits for it is too late
    config.timing.cancel_attempt = Duration::from_secs(60);
    let started = stub::start(config).await;
    venue.next_info(LOOK, Reply::Json(json!([row(5)])));
    venue.next_info(LOOK, Reply::Json(json!([row(5)])));
    venue.next(Kind::Cancel, Reply::Hang);
    let report = started.connector.sweep(&[], LONG).await.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((report.canceled, report.reads), (1, 4), "two looks that show it, two that do not");
    assert_eq!(cancels(&venue), [[5], [5]]);
}

#[tokio::test]
async fn f18_g26_a_sweep_with_a_spent_budget_a_stalled_stream_and_bad_answers() {
    let venue = Stub::serve().await;
    let mut config = config(&venue);
    config.weight_per_minute = 400;
    let started = stub::start(config).await;
    let shared = Arc::clone(&started.connector.shared);
    // nothing is left of the minute, and the address has more than used up its actions
    while shared.reads.weight.take((shared.clock)(), 1, Purpose::Cancel).is_ok() {}
    shared.address.exhausted();
    // no stream tells of these; the look that does is refused at first
    let rows: Vec<Value> = (1..=500).map(row).collect();
    venue.next_info(LOOK, Reply::Status(429, "Too many requests"));
    venue.next_info(LOOK, Reply::Json(json!(rows)));
    for bad in [Reply::Status(429, "Too many requests"), Reply::Status(502, "bad gateway"), Reply::Cut, Reply::Hang] {
        venue.next(Kind::Cancel, bad);
    }
    let text = "Too many cumulative requests sent (10101 > 10100) for cumulative volume traded $100.00.";
    venue.next(Kind::Cancel, Reply::Json(json!({"status":"err","response":text})));
    let report = started.connector.sweep(&[], LONG).await.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((report.canceled, report.gone), (500, 0), "{report:?}");
    let sent = cancels(&venue);
    assert_eq!(sent.iter().flatten().copied().collect::<BTreeSet<u64>>(), (1..=500).collect());
    assert!(sent.iter().all(|batch| batch.len() <= ORDERS_MAX), "the venue refuses larger ones");
}
