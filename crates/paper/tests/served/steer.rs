//! Markets moved by hand, funding set by hand, and the time before the venue began.

use std::time::Duration;

use plimsoll_paper::control::{FundingPush, MarketPush};
use plimsoll_paper::{Fault, FaultOrder, History, PaperSpec};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::harness::{PATIENCE, Venue, clear_of_the_hour, dec, now_ms, still};

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

fn btc() -> MarketPush {
    MarketPush { coin: "BTC".into(), ..MarketPush::default() }
}

async fn push(venue: &Venue, push: MarketPush) {
    venue.paper.push(push).await.expect("runs").expect("valid");
}

/// Mark, oracle and mid of BTC.
async fn prices(venue: &Venue) -> [Decimal; 3] {
    let contexts = venue.info(json!({ "type": "metaAndAssetCtxs" })).await;
    let of = |name: &str| dec(contexts[1][0][name].as_str().expect("a price"));
    [of("markPx"), of("oraclePx"), of("midPx")]
}

fn decimal(value: &Value) -> Decimal {
    dec(value.as_str().unwrap_or_else(|| panic!("{value}")))
}

#[tokio::test]
async fn f38_a_market_falls_over_time_and_stays_there() {
    let venue = Venue::with_book().await;
    let before = prices(&venue).await;
    push(&venue, MarketPush { shift_bps: Some(-1_000), over_ms: 1_000, ..btc() }).await;
    let target: Vec<Decimal> = before.iter().map(|px| px * dec("0.9")).collect();
    let near = |now: &[Decimal; 3]| now.iter().zip(&target).all(|(px, to)| (px - to).abs() <= dec("15"));
    let mut seen_between = false;
    let falls = async {
        loop {
            let now = prices(&venue).await;
            if near(&now) {
                break;
            }
            seen_between |= now[2] < before[2] && now[2] > target[2] + dec("100");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, falls).await.expect("mark, oracle and mid arrive");
    assert!(seen_between, "it falls, it does not jump");
    venue.book(&[("60000", "1")], &[("60010", "1")]).await;
    // the mark is an average that is worked out every three seconds
    tokio::time::sleep(Duration::from_millis(3_200)).await;
    let after = prices(&venue).await;
    assert!(near(&after), "what the background says later is shifted alike: {after:?} {target:?}");
}

#[tokio::test]
async fn f37_the_oracle_stays_behind_while_the_market_moves() {
    let venue = Venue::with_book().await;
    let [_, oracle, mid] = prices(&venue).await;
    venue.paper.fault(FaultOrder::new(Fault::StaleOracle)).await.expect("runs").expect("valid");
    push(&venue, MarketPush { shift_bps: Some(200), ..btc() }).await;
    let [mark, held, moved] = prices(&venue).await;
    assert_eq!(held, oracle);
    assert!(moved > mid * dec("1.019") && mark > oracle, "{moved} {mark}");
}

#[tokio::test]
async fn f34_funding_set_settled_and_rewritten() {
    clear_of_the_hour().await;
    let venue = Venue::with_book().await;
    venue.place(true, "60010", "0.5", "Ioc").await;
    let rows =
        async || venue.info(json!({ "type": "fundingHistory", "coin": "BTC", "startTime": now_ms() - 40 * HOUR_MS })).await;
    let before = rows().await.as_array().map(Vec::len).expect("rows");
    let rate = dec("0.001");
    push(&venue, MarketPush { funding: Some(FundingPush { hourly: Some(rate), past_hours: 10, settle: true }), ..btc() }).await;
    let contexts = venue.info(json!({ "type": "metaAndAssetCtxs" })).await;
    assert_eq!(decimal(&contexts[1][0]["funding"]), rate);
    let after = rows().await;
    let after = after.as_array().expect("rows");
    assert_eq!(after.len(), before + 1, "one hour more is settled");
    let spiked = after.iter().rev().take_while(|r| decimal(&r["fundingRate"]) == rate).count();
    assert_eq!(spiked, 10);
    let paid = venue.info(json!({ "type": "userFunding", "user": venue.address(), "startTime": 0 })).await;
    assert_eq!(paid.as_array().map(Vec::len), Some(1));
    let usdc = decimal(&paid[0]["delta"]["usdc"]);
    assert!((dec("-31")..dec("-29")).contains(&usdc), "half a coin at 60,000 pays a thousandth: {usdc}");
    push(&venue, MarketPush { funding: Some(FundingPush::default()), ..btc() }).await;
    let contexts = venue.info(json!({ "type": "metaAndAssetCtxs" })).await;
    assert_ne!(decimal(&contexts[1][0]["funding"]), rate, "the market's own rate again");
}

#[tokio::test]
async fn what_cannot_be_steered_is_refused_by_field() {
    let venue = Venue::with_book().await;
    let funding = |hourly: &str, past_hours| Some(FundingPush { hourly: Some(dec(hourly)), past_hours, settle: false });
    for (bad, field) in [
        (MarketPush { shift_bps: Some(-10_000), ..btc() }, "shift_bps = -10000"),
        (MarketPush { shift_bps: Some(1), over_ms: 4_000_000, ..btc() }, "over_ms = 4000000"),
        (MarketPush { funding: funding("0.05", 0), ..btc() }, "funding.hourly = 0.05"),
        (MarketPush { funding: funding("0.01", 9_000), ..btc() }, "funding.past_hours = 9000"),
        (
            MarketPush { funding: Some(FundingPush { past_hours: 3, ..FundingPush::default() }), ..btc() },
            "funding.hourly: needed",
        ),
    ] {
        let refused = venue.paper.push(bad).await.expect("runs");
        assert!(refused.as_ref().is_err_and(|e| e.starts_with(field)), "{field}: {refused:?}");
    }
}

/// Without a gap from `from_ms` to the last minute that was over when the venue began. An interval that had just begun then has no
/// trades yet and is not listed.
#[track_caller]
fn assert_gapless(rows: &[Value], length_ms: u64, from_ms: u64, began_ms: u64) {
    let opens: Vec<u64> = rows.iter().filter_map(|row| row["t"].as_u64()).collect();
    let (first, last) = (opens[0], opens[opens.len() - 1]);
    assert!((first..first + length_ms).contains(&from_ms), "{from_ms} lies in the first: {first}");
    assert!(last + length_ms + MINUTE_MS > began_ms, "{last} is the last before {began_ms}");
    assert!(opens.windows(2).all(|pair| pair[1] == pair[0] + length_ms), "{opens:?}");
    assert_eq!(opens.len(), rows.len());
}

#[tokio::test]
async fn a_venue_has_a_past_of_sixty_days() {
    let began = now_ms();
    let venue = Venue::with_book().await;
    let now = now_ms();
    let candles = async |interval: &str, from: u64| {
        let req = json!({ "coin": "BTC", "interval": interval, "startTime": from, "endTime": now });
        let rows = venue.info(json!({ "type": "candleSnapshot", "req": req })).await;
        rows.as_array().cloned().expect("rows")
    };
    let from = now - 32 * 24 * HOUR_MS;
    let hours = candles("1h", from).await;
    assert_gapless(&hours, HOUR_MS, from, began);
    let last = decimal(&hours.last().expect("hours")["c"]);
    let [mark, ..] = prices(&venue).await;
    assert!((last - mark).abs() < mark * dec("0.05"), "it ends where the market began: {last} {mark}");
    let from = now - 50 * HOUR_MS;
    assert_gapless(&candles("5m", from).await, 5 * MINUTE_MS, from, began);
    assert_eq!(candles("1m", 0).await.len(), 5_000, "the venue serves no more");
    let mut settled = Vec::new();
    let from = now - 31 * 24 * HOUR_MS;
    let mut start = from;
    loop {
        let page = venue.info(json!({ "type": "fundingHistory", "coin": "ETH", "startTime": start, "endTime": now })).await;
        let page: Vec<u64> = page.as_array().expect("rows").iter().filter_map(|row| row["time"].as_u64()).collect();
        let Some(newest) = page.last() else { break };
        assert!(page.len() <= 500);
        start = newest + 1;
        settled.extend(page);
    }
    assert!(settled.windows(2).all(|pair| pair[1] == pair[0] + HOUR_MS), "every hour once: {settled:?}");
    assert!(settled[0] - from < HOUR_MS, "from {from} on: {}", settled[0]);
    assert!(start + HOUR_MS > began, "the newest is less than an hour old: {start}");
    let predicted = venue.info(json!({ "type": "predictedFundings" })).await;
    let venues: Vec<&str> = predicted[0][1].as_array().expect("venues").iter().filter_map(|v| v[0].as_str()).collect();
    assert_eq!((predicted[0][0].as_str(), venues), (Some("BTC"), vec!["BinPerp", "HlPerp", "BybitPerp"]));

    let young = Venue::start(PaperSpec { history: History::None, ..still() }).await;
    assert_eq!(young.info(json!({ "type": "fundingHistory", "coin": "BTC", "startTime": 0 })).await, json!([]));
    let req = json!({ "coin": "BTC", "interval": "1h", "startTime": 0 });
    assert_eq!(young.info(json!({ "type": "candleSnapshot", "req": req })).await, json!([]));
}
