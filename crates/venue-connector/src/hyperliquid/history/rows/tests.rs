use serde_json::{Value, json};

use super::*;
use crate::hyperliquid::market::instrument;
use domain::HOURLY;

fn btc() -> Instrument {
    instrument("BTC", 0, 5, 40, None, false, false).unwrap_or_else(|e| panic!("{e}"))
}

const T: u64 = 1_763_798_400_000;

fn candle(start: u64, prices: [&str; 4]) -> Value {
    let [o, h, l, c] = prices;
    json!({"t":start,"T":start + HOUR_MS - 1,"s":"BTC","i":"1h","o":o,"h":h,"l":l,"c":c,"v":"1.0","n":3})
}

fn parse<R: serde::de::DeserializeOwned>(rows: Vec<Value>) -> R {
    serde_json::from_value(Value::Array(rows)).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn bars_that_make_no_sense_are_dropped_and_the_open_one_is_left_out() {
    let sound = ["60000.0", "60100.5", "59900.0", "60050.04"];
    let mut other = candle(T + 5 * HOUR_MS, sound);
    other["s"] = json!("ETH");
    let mut short = candle(T + 5 * HOUR_MS, sound);
    short["i"] = json!("5m");
    let rows = vec![
        candle(T, sound),
        candle(T, sound),                                                      // repeated
        candle(T + 2 * HOUR_MS, ["60000", "59999", "60001", "60000"]),         // high < low
        candle(T + 2 * HOUR_MS, ["60000", "60001", "0", "60000"]),             // no price
        candle(T + 2 * HOUR_MS, ["60000", "60001", "59999", "60002"]),         // close above high
        candle(T + 2 * HOUR_MS + 1, sound),                                    // between two hours
        candle(T + HOUR_MS, ["3495670.8399999999", "3495670.85", "1.0", "2"]), // float noise
        candle(T, sound),                                                      // unsorted
        other,
        short,
        candle(T + 6 * HOUR_MS, sound), // still open
    ];
    let (bars, dropped) = bars(&btc(), "1h", HOURLY, &parse::<Vec<Candle>>(rows), T + 6 * HOUR_MS + 1_000);
    assert_eq!(dropped, 8);
    let starts: Vec<u64> = bars.iter().map(|b| b.start_ms - T).collect();
    assert_eq!(starts, [0, HOUR_MS]);
    assert_eq!((bars[0].open.0, bars[0].high.0, bars[0].low.0, bars[0].close.0), (600_000, 601_005, 599_000, 600_500));
    assert_eq!(bars[1].open.0, 34_956_708, "the nearest tick");
}

#[test]
fn f34_rates_are_hours_and_nothing_else() {
    let row = |time: u64, rate: &str| json!({"coin":"BTC","fundingRate":rate,"time":time});
    let rows = vec![
        row(T + 37, "0.0000125"),
        row(T + 40, "0.0000125"), // repeated
        row(T + HOUR_MS + 1_200, "-0.0001"),
        row(T + HOUR_MS + 30 * 60_000, "0.01"), // belongs to no hour
        row(T + 2 * HOUR_MS, "1.5"),            // more than the whole price
        row(T + 9 * HOUR_MS, "0.0001"),         // to come
        json!({"coin":"ETH","fundingRate":"0.1","time":T + 2 * HOUR_MS}),
    ];
    let (rates, dropped) = rates(&btc(), &parse::<Vec<FundingRow>>(rows), T + 3 * HOUR_MS);
    assert_eq!(dropped, 5);
    let told: Vec<_> = rates.iter().map(|r| (r.until_ms - T, r.hours, r.hourly.to_string())).collect();
    assert_eq!(told, [(0, 1, "0.0000125".to_owned()), (HOUR_MS, 1, "-0.0001".to_owned())]);
}

/// quant §1.3: intervals of other venues are of other lengths; only whole ones count, by the hours that they accrued over.
#[test]
fn another_venues_interval_counts_once_it_is_over_and_its_last_prediction_was_near_its_end() {
    let market = btc();
    let coin = |name: &str| (name == "BTC").then_some(&market);
    let end = T - T % (8 * HOUR_MS) + 8 * HOUR_MS;
    let prediction = |rate: &str, next: u64, hours: Option<u32>| {
        let venue = json!({"fundingRate":rate,"nextFundingTime":next,"fundingIntervalHours":hours});
        parse::<Vec<Predicted>>(vec![
            json!(["BTC", [["BinPerp", venue], ["HlPerp", {"fundingRate":"0.1","nextFundingTime":next}], ["BybitPerp", null]]]),
            json!(["DOGE", [["BinPerp", venue]]]),
        ])
    };
    let mut elsewhere = Elsewhere::default();
    let mut look = |rate: &str, next, hours, now| elsewhere.look(&prediction(rate, next, hours), coin, now);
    assert_eq!(look("0.0002", end, Some(8), end - 3 * HOUR_MS), (vec![], 0));
    assert_eq!(look("0.0004", end, Some(8), end - 60_000), (vec![], 0), "the interval is not over");
    let (ended, dropped) = look("0.0001", end + 8 * HOUR_MS, Some(8), end + 60_000);
    let rate = FundingRate { until_ms: end, hours: 8, hourly: Ratio::scaled(5, 5) };
    assert_eq!((ended, dropped), (vec![(market.id, "binance".to_owned(), rate)], 0), "0.0004 over eight hours");
    assert_eq!(look("0.0001", end + 16 * HOUR_MS, Some(8), end + 9 * HOUR_MS), (vec![], 0), "nobody looked near its end");
    assert_eq!(look("0.0001", end + 24 * HOUR_MS, None, end + 10 * HOUR_MS), (vec![], 1), "of unknown length");
    assert_eq!(look("0.0001", end + 400 * HOUR_MS, Some(8), end + 10 * HOUR_MS), (vec![], 1), "an end far away");
}

#[test]
fn a_wide_look_is_a_book_or_nothing() {
    let look = |bids: &[[&str; 2]], asks: &[[&str; 2]]| {
        let level = |[px, sz]: &[&str; 2]| json!({"px":px,"sz":sz,"n":2});
        let rows = json!({"coin":"BTC","time":T,"levels":[bids.iter().map(level).collect::<Vec<_>>(), asks.iter().map(level).collect::<Vec<_>>()]});
        let rows: L2Book = serde_json::from_value(rows).unwrap_or_else(|e| panic!("{e}"));
        book(&btc(), &rows, Stamp::default())
    };
    let sound = look(&[["60000", "1.5"], ["59990", "20"]], &[["60010", "2"], ["60020", "0.00001"]]);
    let sound = sound.unwrap_or_else(|| panic!("a sound book"));
    assert_eq!(sound.bid(), Some(Level { px: domain::Px(600_000), qty: domain::Qty(150_000) }));
    assert_eq!((sound.asks.len(), sound.venue_ms), (2, T));
    // F36: crossed, out of order, one-sided, off the lot
    assert_eq!(look(&[["60010", "1"]], &[["60010", "1"]]), None);
    assert_eq!(look(&[["59990", "1"], ["60000", "1"]], &[["60010", "1"]]), None);
    assert_eq!(look(&[["59990", "1"]], &[]), None);
    assert_eq!(look(&[["59990", "0.000001"]], &[["60010", "1"]]), None);
}
