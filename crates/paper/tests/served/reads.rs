use serde_json::{Value, json};

use crate::harness::{Venue, key};

/// Every read that clients make at start-up or later answers in the shape that the wire crate reads.
#[tokio::test]
async fn every_read_answers_in_its_shape() {
    use wire::hyperliquid::info as t;
    fn check<T: serde::de::DeserializeOwned>(kind: &str, value: &Value) {
        if let Err(e) = serde_json::from_value::<T>(value.clone()) {
            panic!("{kind}: {e}: {value}");
        }
    }
    macro_rules! reads {
        ($venue:ident: $($request:tt => $type:ty;)*) => {$(
            let request = json!($request);
            check::<$type>(&request.to_string(), &$venue.info(request).await);
        )*};
    }
    let venue = Venue::with_book().await;
    venue.place(true, "60010", "0.2", "Ioc").await;
    venue.place(true, "59000", "0.2", "Gtc").await;
    let user = venue.address();
    reads! { venue:
        {"type": "meta"} => t::Meta;
        {"type": "meta", "dex": ""} => t::Meta;
        {"type": "spotMeta"} => t::SpotMeta;
        {"type": "metaAndAssetCtxs"} => (t::Meta, Vec<t::AssetCtx>);
        {"type": "spotMetaAndAssetCtxs"} => (t::SpotMeta, Vec<t::SpotAssetCtx>);
        {"type": "allPerpMetas"} => Vec<t::Meta>;
        {"type": "perpDexs"} => Vec<Option<t::PerpDex>>;
        {"type": "outcomeMeta"} => t::OutcomeMeta;
        {"type": "allMids", "dex": ""} => t::AllMids;
        {"type": "l2Book", "coin": "BTC", "nSigFigs": null, "mantissa": null} => t::L2Book;
        {"type": "l2Book", "coin": "BTC", "nSigFigs": 3} => t::L2Book;
        {"type": "l2Book", "coin": "DOGE"} => Option<t::L2Book>;
        {"type": "recentTrades", "coin": "BTC"} => Vec<t::Trade>;
        {"type": "candleSnapshot", "req": {"coin": "BTC", "interval": "1m", "startTime": 0}} => Vec<t::Candle>;
        {"type": "fundingHistory", "coin": "BTC", "startTime": 0} => Vec<t::FundingRate>;
        {"type": "predictedFundings"} => Vec<(String, Vec<(String, Option<t::PredictedFunding>)>)>;
        {"type": "perpsAtOpenInterestCap"} => Vec<String>;
        {"type": "marginTable", "id": 56} => t::MarginTable;
        {"type": "marginTable", "id": 20} => t::MarginTable;
        {"type": "maxMarketOrderNtls"} => Vec<(u32, wire::hyperliquid::Num)>;
        {"type": "perpDexStatus", "dex": ""} => t::PerpDexStatus;
        {"type": "clearinghouseState", "user": user} => t::ClearinghouseState;
        {"type": "clearinghouseState", "user": user, "dex": "xyz"} => t::ClearinghouseState;
        {"type": "spotClearinghouseState", "user": user} => t::SpotClearinghouseState;
        {"type": "activeAssetData", "user": user, "coin": "ETH"} => t::ActiveAssetData;
        {"type": "openOrders", "user": user} => Vec<t::OpenOrder>;
        {"type": "frontendOpenOrders", "user": user} => Vec<t::FrontendOrder>;
        {"type": "orderStatus", "user": user, "oid": 999_999} => t::OrderStatus;
        {"type": "historicalOrders", "user": user} => Vec<t::OrderRow>;
        {"type": "userFills", "user": user} => Vec<t::Fill>;
        {"type": "userFills", "user": user, "aggregateByTime": true} => Vec<t::Fill>;
        {"type": "userFillsByTime", "user": user, "startTime": 0} => Vec<t::Fill>;
        {"type": "userFunding", "user": user, "startTime": 0} => Vec<t::UserFunding>;
        {"type": "userNonFundingLedgerUpdates", "user": user} => Vec<t::LedgerUpdate>;
        {"type": "userRateLimit", "user": user} => t::UserRateLimit;
        {"type": "userFees", "user": user} => t::UserFees;
        {"type": "subAccounts", "user": user} => Option<Vec<t::SubAccount>>;
        {"type": "subAccounts2", "user": user} => Option<Vec<t::SubAccount2>>;
        {"type": "userRole", "user": user} => t::UserRole;
        {"type": "extraAgents", "user": user} => Vec<t::ExtraAgent>;
        {"type": "userAbstraction", "user": user} => t::Abstraction;
        {"type": "exchangeStatus"} => t::ExchangeStatus;
        {"type": "usdcRouting"} => t::UsdcRouting;
        {"type": "preTransferCheck", "user": user, "source": user} => t::PreTransferCheck;
        {"type": "maxBuilderFee", "user": user, "builder": user} => u64;
        {"type": "twapHistory", "user": user} => Vec<t::TwapRow>;
        {"type": "userTwapSliceFills", "user": user} => Vec<t::TwapSliceFill>;
        {"type": "portfolio", "user": user} => Vec<(String, t::Portfolio)>;
        {"type": "userVaultEquities", "user": user} => Vec<t::VaultEquity>;
        {"type": "webData2", "user": user} => t::WebData2;
    }
}

#[tokio::test]
async fn the_universe_keeps_its_delisted_entry() {
    let venue = Venue::with_book().await;
    let meta = venue.info(json!({ "type": "meta" })).await;
    let names: Vec<&str> = meta["universe"].as_array().expect("a list").iter().filter_map(|u| u["name"].as_str()).collect();
    assert_eq!(names[..6], ["BTC", "ETH", "ATOM", "MATIC", "DYDX", "SOL"]);
    assert_eq!(meta["universe"][3]["isDelisted"], true);
    assert_eq!(meta["universe"][0], json!({ "name": "BTC", "szDecimals": 5, "maxLeverage": 40, "marginTableId": 56 }));
    let tables = meta["marginTables"].as_array().expect("a list");
    let btc = tables.iter().find(|t| t[0] == 56).expect("published");
    assert_eq!(btc[1]["marginTiers"][1], json!({ "lowerBound": "150000000.0", "maxLeverage": 20 }));
    let contexts = venue.info(json!({ "type": "metaAndAssetCtxs" })).await;
    assert_eq!(contexts[1].as_array().map(Vec::len), Some(names.len()), "one context per entry, delisted ones included");
    let mids = venue.info(json!({ "type": "allMids" })).await;
    assert_eq!(mids["BTC"], "60005.0");
    assert_eq!(mids.get("MATIC"), None);
}

#[tokio::test]
async fn addresses_are_read_in_any_case_and_accounts_come_into_being() {
    let venue = Venue::with_book().await;
    let upper = format!("0x{}", key(0x33).address().to_string()[2..].to_uppercase());
    let state = venue.info(json!({ "type": "clearinghouseState", "user": upper })).await;
    assert_eq!((&state["withdrawable"], &state["marginSummary"]["accountValue"]), (&json!("100000.0"), &json!("100000.0")));
    let state = venue.info(json!({ "type": "clearinghouseState", "user": key(0x33).address() })).await;
    assert_eq!(state["withdrawable"], "100000.0", "credited once");
}

#[tokio::test]
async fn books_show_twenty_levels_and_gather_them() {
    let venue = Venue::with_book().await;
    let bids: Vec<(String, &str)> = (0..30).map(|n| ((60_000 - n).to_string(), "1")).collect();
    let bids: Vec<(&str, &str)> = bids.iter().map(|(p, q)| (p.as_str(), *q)).collect();
    venue.book(&bids, &[("60010", "1")]).await;
    let book = venue.info(json!({ "type": "l2Book", "coin": "BTC" })).await;
    assert_eq!(book["levels"][0].as_array().map(Vec::len), Some(20));
    assert_eq!(book["levels"][0][0], json!({ "px": "60000.0", "sz": "1.0", "n": 1 }));
    let book = venue.info(json!({ "type": "l2Book", "coin": "BTC", "nSigFigs": 4 })).await;
    let sizes: Vec<_> = book["levels"][0].as_array().expect("bids").iter().map(|l| l["sz"].clone()).collect();
    assert_eq!(sizes, [json!("1.0"), json!("10.0"), json!("10.0"), json!("9.0")], "60000, then tens");
    assert_eq!(venue.post("/info", &json!({ "type": "l2Book", "coin": "BTC", "nSigFigs": 9 })).await.0, 422);
}
