use domain::Side;
use serde_json::json;

use crate::harness::{Venue, dec, oid, order, statuses};

#[tokio::test]
async fn an_order_rests_fills_by_queue_and_leaves_a_position() {
    let venue = Venue::with_book().await;
    let cloid = "0x000000000000000000000000000000a1";
    let mut request = order(true, "60000", "0.5", "Alo");
    request["c"] = cloid.into();
    let status = venue.place_as(request).await;
    assert_eq!(status["resting"]["cloid"], cloid);
    // one coin of the background stands ahead: a trade of 0.9 does not reach us, the next 0.3 fills 0.2
    venue.print(Side::Sell, "60000", "0.9").await;
    assert_eq!(venue.own("userFills").await, json!([]));
    venue.print(Side::Sell, "60000", "0.3").await;
    let fills = venue.own("userFills").await;
    assert_eq!((&fills[0]["sz"], &fills[0]["px"], &fills[0]["crossed"]), (&json!("0.2"), &json!("60000.0"), &json!(false)));
    assert_eq!((&fills[0]["dir"], &fills[0]["cloid"], &fills[0]["fee"]), (&json!("Open Long"), &json!(cloid), &json!("1.8")));
    let state = venue.own("clearinghouseState").await;
    assert_eq!(state["assetPositions"][0]["position"]["szi"], "0.2");
    let open = venue.own("openOrders").await;
    assert_eq!((&open[0]["sz"], &open[0]["origSz"], &open[0]["limitPx"]), (&json!("0.3"), &json!("0.5"), &json!("60000.0")));
    let found = venue.info(json!({ "type": "orderStatus", "user": venue.address(), "oid": cloid })).await;
    assert_eq!((&found["status"], &found["order"]["status"]), (&json!("order"), &json!("open")));
    let cancel = json!({ "type": "cancelByCloid", "cancels": [{ "asset": 0, "cloid": cloid }] });
    assert_eq!(statuses(&venue.act(cancel.clone()).await), [json!("success")]);
    let again = statuses(&venue.act(cancel).await);
    assert_eq!(again, [json!({ "error": "Order was never placed, already canceled, or filled. asset=0" })]);
    let truth = venue.paper.truth(venue.address()).await.expect("runs");
    assert_eq!((truth.net["BTC"], truth.orders.len()), (dec("0.2"), 1));
    assert!(truth.complete && truth.duplicate_cloids.is_empty() && truth.duplicate_tids.is_empty());
}

#[tokio::test]
async fn a_taker_walks_the_book_and_a_partial_ioc_answers_filled() {
    let venue = Venue::with_book().await;
    let status = venue.place(true, "60010", "1.5", "Ioc").await;
    assert_eq!((&status["filled"]["totalSz"], &status["filled"]["avgPx"]), (&json!("1.0"), &json!("60010.0")));
    let status = venue.place(true, "60010", "0.1", "Ioc").await;
    assert_eq!(status["error"], "Order could not immediately match against any resting orders. asset=0");
    let status = venue.place(false, "59990", "2", "Gtc").await;
    assert_eq!((&status["filled"]["totalSz"], &status["filled"]["avgPx"]), (&json!("2.0"), &json!("59995.0")));
    let state = venue.own("clearinghouseState").await;
    assert_eq!(state["assetPositions"][0]["position"]["szi"], "-1.0");
}

#[tokio::test]
async fn modify_gives_a_new_number_and_batch_modify_says_it() {
    let venue = Venue::with_book().await;
    let first = oid(&venue.place(true, "59000", "0.1", "Gtc").await);
    let modify = json!({ "type": "modify", "oid": first, "order": order(true, "59010", "0.2", "Gtc") });
    assert_eq!(venue.act(modify.clone()).await, json!({ "status": "ok", "response": { "type": "default" } }));
    let open = venue.own("openOrders").await;
    let second = open[0]["oid"].as_u64().expect("a number");
    assert!(second != first && open[0]["sz"] == "0.2");
    assert_eq!(venue.act(modify).await["response"], "Cannot modify canceled or filled order asset=0");
    let batch = json!({ "type": "batchModify", "modifies": [{ "oid": second, "order": order(true, "59020", "0.3", "Alo") }] });
    assert!(oid(&statuses(&venue.act(batch).await)[0]) > second);
}

#[tokio::test]
async fn refusals_use_the_venues_words() {
    let venue = Venue::with_book().await;
    for (request, words) in [
        (order(true, "60000.25", "0.1", "Gtc"), "Order has invalid price."),
        (order(true, "60000.5", "0.1", "Gtc"), "Price must be divisible by tick size."),
        (order(true, "60000", "0.000001", "Gtc"), "Order has invalid size."),
        (order(true, "60000", "0", "Gtc"), "Order has zero size."),
        (order(true, "60000", "0.0001", "Gtc"), "Order must have minimum value of $10."),
        (order(true, "60010", "0.1", "Alo"), "Post only order would have immediately matched, bbo was 60000@60010."),
        (order(true, "1000", "0.1", "Gtc"), "Order price cannot be more than 80% away from the reference price"),
        (order(true, "59000", "300", "Gtc"), "Insufficient margin to place order."),
        (
            json!({ "r": true, "a": 0, "b": true, "p": "59000", "s": "0.1", "t": { "limit": { "tif": "Gtc" } } }),
            "Reduce only order would increase position.",
        ),
        (
            json!({ "r": false, "a": 3, "b": true, "p": "0.4", "s": "100", "t": { "limit": { "tif": "Gtc" } } }),
            "Trading is halted.",
        ),
    ] {
        let asset = request["a"].clone();
        let status = venue.place_as(request).await;
        assert_eq!(status["error"], format!("{words} asset={asset}"));
    }
    let many: Vec<_> = (0..201).map(|o| json!({ "a": 0, "o": o })).collect();
    let answer = venue.act(json!({ "type": "cancel", "cancels": many })).await;
    assert_eq!(answer, json!({ "status": "err", "response": "Signed action over weight limit of 200." }));
}

#[tokio::test]
async fn leverage_margin_and_transfers_answer_as_the_venue_does() {
    let venue = Venue::with_book().await;
    let ok = json!({ "status": "ok", "response": { "type": "default" } });
    let leverage = |n: u32, cross: bool| json!({ "type": "updateLeverage", "asset": 0, "isCross": cross, "leverage": n });
    assert_eq!(venue.act(leverage(5, true)).await, ok);
    assert_eq!(venue.act(leverage(41, true)).await["response"], "Invalid leverage value");
    let data = venue.info(json!({ "type": "activeAssetData", "user": venue.address(), "coin": "BTC" })).await;
    assert_eq!(data["leverage"], json!({ "type": "cross", "value": 5 }));
    venue.place(true, "60010", "0.1", "Ioc").await;
    assert_eq!(venue.act(leverage(5, false)).await["response"], "Cannot switch leverage type with open position.");
    let schedule = json!({ "type": "scheduleCancel", "time": crate::harness::now_ms() + 60_000 });
    assert_eq!(venue.act(schedule).await, ok, "this venue has no volume gate");
    let chain = json!({ "hyperliquidChain": "Testnet", "signatureChainId": "0x66eee" });
    let user_signed = |mut action: serde_json::Value, clock: &str, nonce: u64| {
        action[clock] = nonce.into();
        for (k, v) in chain.as_object().expect("an object") {
            action[k] = v.clone();
        }
        crate::harness::signed(&venue.key, action, nonce, None, wire::hyperliquid::sign::Network::Testnet)
    };
    let answer = |body: String| serde_json::from_str::<serde_json::Value>(&body).expect("JSON");
    let n = crate::harness::nonce();
    let transfer = user_signed(json!({ "type": "usdClassTransfer", "amount": "10", "toPerp": false }), "nonce", n);
    assert_eq!(answer(venue.post("/exchange", &transfer).await.1), ok);
    let spot = venue.own("spotClearinghouseState").await;
    assert_eq!((&spot["balances"][0]["coin"], &spot["balances"][0]["total"]), (&json!("USDC"), &json!("10.0")));
    let n = crate::harness::nonce();
    let withdraw = user_signed(json!({ "type": "withdraw3", "destination": venue.address(), "amount": "100" }), "time", n);
    assert_eq!(answer(venue.post("/exchange", &withdraw).await.1), ok);
    let rows = venue.info(json!({ "type": "userNonFundingLedgerUpdates", "user": venue.address(), "startTime": 0 })).await;
    let kinds: Vec<_> = rows.as_array().expect("rows").iter().map(|r| r["delta"]["type"].clone()).collect();
    assert_eq!(kinds, [json!("deposit"), json!("accountClassTransfer"), json!("withdraw")]);
}

#[tokio::test]
async fn five_hundred_orders_open_and_close_in_batches() {
    let venue = Venue::with_book().await;
    let begun = std::time::Instant::now();
    let mut oids = Vec::new();
    for batch in 0..5 {
        let orders: Vec<_> = (0..100).map(|n| order(true, &(50_000 + batch * 100 + n).to_string(), "0.001", "Alo")).collect();
        let answer = venue.act(json!({ "type": "order", "orders": orders, "grouping": "na" })).await;
        oids.extend(statuses(&answer).iter().map(oid));
    }
    assert_eq!(venue.own("openOrders").await.as_array().map(Vec::len), Some(500));
    for chunk in oids.chunks(200) {
        let cancels: Vec<_> = chunk.iter().map(|o| json!({ "a": 0, "o": o })).collect();
        let answer = venue.act(json!({ "type": "cancel", "cancels": cancels })).await;
        assert!(statuses(&answer).iter().all(|s| s == "success"));
    }
    assert_eq!(venue.own("openOrders").await, json!([]));
    eprintln!("500 orders in and out: {:?}", begun.elapsed());
}
