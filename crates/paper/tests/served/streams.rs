use std::time::Duration;

use domain::Side;
use plimsoll_paper::{PaperSpec, VenueLimits};
use serde_json::{Value, json};
use wire::hyperliquid::sign::Network;

use crate::harness::{Venue, nonce, oid, order, signed, still};

#[tokio::test]
async fn subscribing_is_acknowledged_then_answered_with_a_snapshot() {
    let venue = Venue::with_book().await;
    let mut socket = venue.ws().await;
    let ack = socket.subscribe(json!({ "type": "l2Book", "coin": "BTC", "extra": true })).await;
    assert_eq!(ack, json!({ "type": "l2Book", "coin": "BTC", "nSigFigs": null, "mantissa": null }));
    let next = socket.next().await.expect("open");
    assert_eq!((&next["channel"], &next["data"]["levels"][0][0]["px"]), (&json!("l2Book"), &json!("60000.0")));
    socket.subscribe(json!({ "type": "allMids" })).await;
    let next = socket.next().await.expect("open");
    assert_eq!((&next["channel"], &next["data"]["mids"]["BTC"]), (&json!("allMids"), &json!("60005.0")));
    let user = venue.address();
    for (kind, list) in [
        ("userFills", "fills"),
        ("userFundings", "fundings"),
        ("userNonFundingLedgerUpdates", "nonFundingLedgerUpdates"),
        ("userHistoricalOrders", "orderHistory"),
    ] {
        socket.subscribe(json!({ "type": kind, "user": user })).await;
        let data = socket.channel(kind).await;
        assert_eq!((&data["isSnapshot"], data[list].is_array()), (&json!(true), true), "{kind}");
    }
    for kind in ["clearinghouseState", "openOrders", "spotState", "webData2", "webData3", "twapStates"] {
        socket.subscribe(json!({ "type": kind, "user": user })).await;
        socket.channel(kind).await;
    }
    socket.send(json!({ "method": "subscribe", "subscription": { "type": "l2Book", "coin": "BTC" } })).await;
    let text = socket.channel("error").await;
    assert!(text.as_str().is_some_and(|t| t.starts_with("Already subscribed: {")), "{text}");
    socket.send(json!({ "method": "subscribe", "subscription": { "type": "l2Book", "coin": "DOGE" } })).await;
    assert!(socket.channel("error").await.as_str().is_some_and(|t| t.starts_with("Invalid subscription {")));
    socket.send(json!({ "method": "unsubscribe", "subscription": { "type": "allMids" } })).await;
    assert_eq!(socket.channel("subscriptionResponse").await["method"], "unsubscribe");
    socket.send(json!({ "method": "unsubscribe", "subscription": { "type": "allMids" } })).await;
    assert!(socket.channel("error").await.as_str().is_some_and(|t| t.starts_with("Already unsubscribed: {")));
    socket.text("gibberish".into()).await;
    let text = socket.channel("error").await;
    assert_eq!(text, "Error parsing JSON into valid websocket request: gibberish");
}

#[tokio::test]
async fn fills_and_statuses_are_streamed_to_their_owner_alone() {
    let venue = Venue::with_book().await;
    let (mut own, mut other) = (venue.ws().await, venue.ws().await);
    let user = venue.address();
    for kind in ["orderUpdates", "userEvents", "userFills"] {
        own.subscribe(json!({ "type": kind, "user": user })).await;
        other.subscribe(json!({ "type": kind, "user": format!("0x{}", "9".repeat(40)) })).await;
    }
    own.channel("userFills").await;
    let number = oid(&venue.place(true, "60000", "0.5", "Alo").await);
    let update = own.channel("orderUpdates").await;
    assert_eq!((&update[0]["status"], &update[0]["order"]["oid"]), (&json!("open"), &json!(number)));
    venue.print(Side::Sell, "59990", "2").await;
    let events = own.drain().await;
    let of = |channel: &str| -> Vec<&Value> { events.iter().filter(|m| m["channel"] == channel).map(|m| &m["data"]).collect() };
    assert_eq!(of("user")[0]["fills"][0]["oid"], number);
    assert_eq!((&of("userFills")[0]["fills"][0]["sz"], of("userFills")[0].get("isSnapshot")), (&json!("0.5"), None));
    assert_eq!(of("orderUpdates")[0][0]["status"], "filled");
    let strangers = other.drain().await;
    assert!(strangers.iter().all(|m| m["data"]["isSnapshot"] == true || m["channel"] == "subscriptionResponse"), "{strangers:?}");
}

#[tokio::test]
async fn market_streams_tell_what_changed() {
    let venue = Venue::with_book().await;
    let mut socket = venue.ws().await;
    for kind in ["bbo", "trades", "activeAssetCtx"] {
        socket.subscribe(json!({ "type": kind, "coin": "BTC" })).await;
    }
    socket.subscribe(json!({ "type": "candle", "coin": "BTC", "interval": "1m" })).await;
    socket.drain().await;
    venue.print(Side::Buy, "60010", "0.25").await;
    let trade = socket.channel("trades").await;
    assert_eq!((&trade[0]["px"], &trade[0]["sz"], &trade[0]["side"]), (&json!("60010.0"), &json!("0.25"), &json!("B")));
    let candle = socket.channel("candle").await;
    assert_eq!((&candle["s"], &candle["c"]), (&json!("BTC"), &json!("60010.0")));
    venue.book(&[("60001", "2")], &[("60010", "1")]).await;
    let bbo = socket.until(|m| m["channel"] == "bbo" && m["data"]["bbo"][0]["px"] == "60001.0").await;
    assert_eq!(bbo["data"]["bbo"][1]["px"], "60010.0");
}

#[tokio::test]
async fn the_fast_book_has_five_levels_at_half_a_second() {
    let venue = Venue::with_book().await;
    let asks: Vec<(String, &str)> = (0..9).map(|n| ((60_010 + n).to_string(), "1")).collect();
    let asks: Vec<(&str, &str)> = asks.iter().map(|(p, q)| (p.as_str(), *q)).collect();
    venue.book(&[("60000", "1")], &asks).await;
    let mut socket = venue.ws().await;
    let ack = socket.subscribe(json!({ "type": "l2Book", "coin": "BTC", "fast": true })).await;
    assert_eq!(ack["fast"], true);
    let mut times = Vec::new();
    for _ in 0..4 {
        let book = socket.channel("l2Book").await;
        assert_eq!((&book["fast"], book["levels"][1].as_array().map(Vec::len)), (&json!(true), Some(5)));
        times.push(book["time"].as_u64().expect("a time"));
    }
    // the first comes at once and the second with the clock; from there on half a second, never faster
    assert!(times.windows(2).skip(1).all(|w| w[1] - w[0] >= 500), "{times:?}");
}

#[tokio::test]
async fn posts_read_and_act_over_the_socket() {
    let venue = Venue::with_book().await;
    let mut socket = venue.ws().await;
    let post = |id: u64, kind: &str, payload: Value| json!({ "method": "post", "id": id, "request": { "type": kind, "payload": payload } });
    socket.send(post(7, "info", json!({ "type": "l2Book", "coin": "BTC", "nSigFigs": null, "mantissa": null }))).await;
    let answer = socket.channel("post").await;
    assert_eq!(
        (&answer["id"], &answer["response"]["type"], &answer["response"]["payload"]["type"]),
        (&json!(7), &json!("info"), &json!("l2Book"))
    );
    assert_eq!(answer["response"]["payload"]["data"]["coin"], "BTC");
    let action = json!({ "type": "order", "orders": [order(true, "50000", "0.001", "Gtc")], "grouping": "na" });
    socket.send(post(8, "action", signed(&venue.key, action, nonce(), None, Network::Testnet))).await;
    let answer = socket.channel("post").await;
    assert_eq!((&answer["id"], &answer["response"]["type"]), (&json!(8), &json!("action")));
    assert!(answer["response"]["payload"]["response"]["data"]["statuses"][0]["resting"]["oid"].is_u64());
    socket.send(post(9, "info", json!({ "type": "weather" }))).await;
    let answer = socket.channel("post").await;
    assert_eq!((&answer["id"], &answer["response"]["type"]), (&json!(9), &json!("error")));
}

#[tokio::test]
async fn a_socket_to_which_nothing_is_sent_is_dropped() {
    let limits = VenueLimits { ws_idle: Duration::from_millis(1_500), ..VenueLimits::unlimited() };
    let venue = Venue::start(PaperSpec { limits, ..still() }).await;
    let mut socket = venue.ws().await;
    assert_eq!(socket.drain().await, Vec::<Value>::new(), "a ping is answered");
    assert_eq!(socket.next().await, None, "then silence ends the socket");
}
