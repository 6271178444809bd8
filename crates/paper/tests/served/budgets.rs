use plimsoll_paper::{PaperSpec, VenueLimits};
use serde_json::json;

use crate::harness::{Venue, order, still};

fn limited(limits: VenueLimits) -> PaperSpec {
    PaperSpec { limits, ..still() }
}

#[tokio::test]
async fn the_ip_budget_ends_in_429() {
    let venue = Venue::start(limited(VenueLimits { ip_weight_per_minute: 45, ..VenueLimits::unlimited() })).await;
    assert_eq!(venue.post("/info", &json!({ "type": "meta" })).await.0, 200);
    assert_eq!(venue.post("/info", &json!({ "type": "meta" })).await.0, 200);
    assert_eq!(venue.post("/info", &json!({ "type": "meta" })).await.0, 429);
    assert_eq!(venue.post("/info", &json!({ "type": "allMids" })).await.0, 200, "cheap reads still fit");
}

#[tokio::test]
async fn a_spent_address_is_told_so_and_may_cancel() {
    let limits = VenueLimits { address_requests: 3, ..VenueLimits::unlimited() };
    let venue = Venue::start(limited(limits)).await;
    venue.book(&[("60000", "1")], &[("60010", "1")]).await;
    let mut oids = Vec::new();
    for px in ["50000", "50001", "50002", "50003"] {
        oids.push(crate::harness::oid(&venue.place(true, px, "0.001", "Gtc").await));
    }
    let answer = venue.act(json!({ "type": "order", "orders": [order(true, "50004", "0.001", "Gtc")], "grouping": "na" })).await;
    let words = "Too many cumulative requests sent (4 > 3) for cumulative volume traded $0. \
                 Place taker orders to free up 1 request per USDC traded.";
    assert_eq!(answer, json!({ "status": "err", "response": words }), "the fourth was the drip of one in ten seconds");
    for oid in &oids[..3] {
        let answer = venue.act(json!({ "type": "cancel", "cancels": [{ "a": 0, "o": oid }] })).await;
        assert_eq!(answer["status"], "ok", "cancels reach twice the limit");
    }
    let limit = venue.own("userRateLimit").await;
    assert_eq!((&limit["nRequestsCap"], &limit["nRequestsUsed"], &limit["cumVlm"]), (&json!(3), &json!(7), &json!("0.0")));
}

#[tokio::test]
async fn sockets_subscriptions_and_users_are_limited_per_ip() {
    let limits = VenueLimits { ws_connections: 1, ws_subscriptions: 3, ws_users: 1, ..VenueLimits::unlimited() };
    let venue = Venue::start(limited(limits)).await;
    let mut socket = venue.ws().await;
    assert!(tokio_tungstenite::connect_async(venue.paper.ws_url()).await.is_err(), "a second socket is refused");
    let user = |n: &str| json!({ "type": "orderUpdates", "user": format!("0x{}", n.repeat(40)) });
    socket.subscribe(user("a")).await;
    socket.send(json!({ "method": "subscribe", "subscription": user("b") })).await;
    assert_eq!(socket.channel("error").await, "Cannot track more than 1 total users.");
    socket.subscribe(json!({ "type": "allMids" })).await;
    socket.subscribe(json!({ "type": "bbo", "coin": "BTC" })).await;
    socket.send(json!({ "method": "subscribe", "subscription": { "type": "bbo", "coin": "ETH" } })).await;
    let refused = socket.channel("error").await;
    assert!(refused.as_str().is_some_and(|t| t.starts_with("Cannot track more than 3")), "{refused}");
    drop(socket);
    // the place is free again once the venue has noticed
    let mut again = false;
    for _ in 0..500 {
        if tokio_tungstenite::connect_async(venue.paper.ws_url()).await.is_ok() {
            again = true;
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(again, "closing a socket frees its place");
}

#[tokio::test]
async fn the_schedule_cancel_gate_names_the_volume() {
    let limits = VenueLimits { schedule_cancel_volume: domain::Usd::whole(1_000_000), ..VenueLimits::unlimited() };
    let venue = Venue::start(limited(limits)).await;
    let answer = venue.act(json!({ "type": "scheduleCancel", "time": crate::harness::now_ms() + 60_000 })).await;
    let words = answer["response"].as_str().unwrap_or_default();
    assert!(
        words.starts_with("Cannot set scheduled cancel time until enough volume traded. Required: $1000000. Traded: $0"),
        "{words}"
    );
}
