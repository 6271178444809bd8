use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use domain::{Fact, InstrumentId, Venue};
use serde_json::{Value, json};

use super::super::stub::{Answer, Stub, config, launch, start, until, wait_market, wall_ms};
use super::*;

fn candles(interval: &str, length: u64, count: u64) -> Value {
    let now = wall_ms();
    let newest = now - now % length;
    (0..count)
        .rev()
        .map(|back| {
            let t = newest - back * length;
            json!({"t":t,"T":t + length - 1,"s":"BTC","i":interval,"o":"60000","h":"60100","l":"59900","c":"60050","v":"1.0","n":3})
        })
        .collect()
}

/// How many of these candles are told by a read between then and now: those that were over by the time it was answered.
fn over_since(candles: &Value, then_ms: u64) -> RangeInclusive<usize> {
    let rows = candles.as_array().map(Vec::as_slice).unwrap_or_default();
    let over = |at_ms: u64| rows.iter().filter(|row| row["T"].as_u64().is_some_and(|end| end < at_ms)).count();
    over(then_ms)..=over(wall_ms())
}

fn rates(count: u64) -> Value {
    let now = wall_ms();
    let newest = now - now % HOUR_MS;
    (0..count)
        .rev()
        .map(|back| json!({"coin":"BTC","fundingRate":"0.0000125","premium":"0.0","time":newest - back * HOUR_MS + 7}))
        .collect()
}

fn btc() -> InstrumentId {
    InstrumentId::new(Venue::Hyperliquid, "BTC").unwrap_or_else(|e| panic!("{e}"))
}

/// What the desk is told of BTC, until it was told of both lengths of bars and of funding.
#[expect(clippy::wildcard_enum_match_arm, reason = "a test names what it expects and fails on the rest")]
async fn told(rig: &mut super::super::stub::Rig) -> BTreeMap<&'static str, usize> {
    let mut told = BTreeMap::new();
    while told.len() < 3 {
        let is_history =
            |f: &Fact| matches!(f, Fact::Bars { instrument, .. } | Fact::FundingRates { instrument, .. } if *instrument == btc());
        match wait_market(rig, is_history).await.0 {
            Fact::Bars { span: HOURLY, bars, .. } => *told.entry("1h").or_default() += bars.len(),
            Fact::Bars { bars, .. } => *told.entry("5m").or_default() += bars.len(),
            Fact::FundingRates { source, rates, .. } => {
                assert_eq!(&*source, "hyperliquid");
                *told.entry("funding").or_default() += rates.len();
            }
            other => panic!("{other:?}"),
        }
    }
    told
}

#[tokio::test]
async fn history_is_read_at_start_in_pages_and_told_once() {
    let stub = Stub::serve().await;
    stub.info("candleSnapshot", json!([]));
    // hourly bars of BTC, then of ETH, are asked for first
    let began = wall_ms();
    let rows = candles("1h", HOUR_MS, 700);
    stub.next_info("candleSnapshot", Answer::Json(rows.clone()));
    stub.next_info("candleSnapshot", Answer::Json(json!([])));
    stub.next_info("fundingHistory", Answer::Json(rates(500)));
    let mut rig = launch(config(&stub)).await;
    until("the first reads", || stub.infos("candleSnapshot").len() >= 4 && stub.infos("fundingHistory").len() >= 3).await;
    let (first, hourly) = (&stub.infos("fundingHistory")[0], &stub.infos("candleSnapshot")[0]);
    let age = |v: &Value| wall_ms() - v.as_u64().unwrap_or(0);
    assert!(age(&first["startTime"]).abs_diff(FUNDING_MS) < 60_000, "{first}");
    assert!(age(&hourly["req"]["startTime"]).abs_diff(HOURLY_MS) < 60_000, "{hourly}");
    let (fact, _) = wait_market(&mut rig, |f| matches!(f, Fact::Bars { instrument, .. } if *instrument == btc())).await;
    let Fact::Bars { span, bars, .. } = fact else { panic!("bars") };
    assert_eq!(span, HOURLY);
    assert!(over_since(&rows, began).contains(&bars.len()), "the running hour is left out: {}", bars.len());
    let (fact, _) = wait_market(&mut rig, |f| matches!(f, Fact::FundingRates { .. })).await;
    let Fact::FundingRates { rates, .. } = fact else { panic!("rates") };
    assert_eq!(rates.len(), 500);
    // a full page is followed from its last row on; a new hour's rate is asked for from there as well
    let starts = stub.infos("fundingHistory").into_iter().filter(|r| age(&r["startTime"]) < 2 * HOUR_MS);
    let pages: BTreeSet<String> = starts.map(|r| r["startTime"].to_string()).collect();
    assert_eq!(pages.len(), 1, "{pages:?}");
}

#[tokio::test]
async fn errors_are_lived_through_and_stop_nothing() {
    let stub = Stub::serve().await;
    let script = |kind: &str, answers: Vec<Answer>| answers.into_iter().for_each(|a| stub.next_info(kind, a));
    script("candleSnapshot", vec![Answer::Status(500, "no"), Answer::Cut, Answer::Json(json!({"not":"candles"}))]);
    script("predictedFundings", vec![Answer::Status(502, "no")]);
    let began = wall_ms();
    let bars = [("1h", candles("1h", HOUR_MS, 30)), ("5m", candles("5m", 300_000, 20))];
    for (interval, rows) in &bars {
        stub.info(&format!("candleSnapshot {interval}"), rows.clone());
    }
    stub.info("fundingHistory", rates(48));
    let mut rig = start(config(&stub)).await;
    let told = told(&mut rig).await;
    for (interval, rows) in &bars {
        assert!(over_since(rows, began).contains(&told[interval]), "{interval}: {told:?}");
    }
    assert_eq!(told["funding"], 48, "{told:?}");
    assert!(rig.connector.gauges().history_dropped > 0, "the rows of another market are no answer");
}

#[tokio::test]
async fn a_payment_of_funding_is_followed_by_a_read_of_its_rate() {
    let stub = Stub::serve().await;
    stub.info("fundingHistory", rates(24));
    let mut rig = start(config(&stub)).await;
    until("the first reads", || stub.infos("fundingHistory").len() >= 2).await;
    wait_market(&mut rig, |f| matches!(f, Fact::FundingRates { instrument, .. } if *instrument == btc())).await;
    let before = stub.infos("fundingHistory").len();
    let payment = json!({"time":wall_ms(),"coin":"BTC","usdc":"-1.0","szi":"0.1","fundingRate":"0.001","nSamples":null});
    let user = super::super::stub::ACCOUNT.to_string();
    stub.push(&json!({"channel":"userFundings","data":{"user":user,"fundings":[payment]}}));
    until("another read", || stub.infos("fundingHistory").len() >= before + 2).await;
}

#[tokio::test]
async fn c07_a_429_stills_all_history() {
    let stub = Stub::serve().await;
    for _ in 0..4 {
        stub.next_info("candleSnapshot", Answer::Status(429, "Too many requests"));
    }
    let rig = start(config(&stub)).await;
    until("the refusals", || rig.connector.gauges().throttled >= 1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let asked = stub.infos("candleSnapshot").len() + stub.infos("fundingHistory").len();
    assert!(asked <= 2 * RUNNING_MAX, "what was under way ends, nothing begins: {asked}");
}
