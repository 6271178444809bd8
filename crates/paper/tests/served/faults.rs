use std::time::{Duration, Instant};

use domain::Side;
use plimsoll_paper::{BadOrder, Fault, FaultOrder, Scope};
use serde_json::{Value, json};

use crate::harness::{Venue, dec, oid, order, statuses};

fn placing() -> Value {
    json!({ "type": "order", "orders": [order(true, "50000", "0.001", "Gtc")], "grouping": "na" })
}

async fn break_with(venue: &Venue, order: FaultOrder) {
    venue.paper.fault(order).await.expect("runs").expect("valid");
}

async fn open(venue: &Venue) -> usize {
    venue.own("openOrders").await.as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn f17_f18_refusals_before_acceptance_leave_nothing() {
    let venue = Venue::with_book().await;
    for (fault, status) in [(Fault::TooManyRequests, 429), (Fault::ErrorBefore, 500)] {
        break_with(&venue, FaultOrder::new(fault).times(1)).await;
        assert_eq!(venue.raw(placing()).await.expect("answers").0, status);
        assert_eq!(open(&venue).await, 0, "{fault}");
    }
    let order = FaultOrder { status: Some(503), ..FaultOrder::new(Fault::ErrorBefore).times(1).scope(Scope::Info) };
    break_with(&venue, order).await;
    assert_eq!(venue.post("/info", &json!({ "type": "meta" })).await.0, 503);
    assert_eq!(venue.raw(placing()).await.expect("answers").0, 200, "actions were not meant");
}

#[tokio::test]
async fn f16_f09_f13_the_order_lands_though_the_answer_is_spoilt() {
    let venue = Venue::with_book().await;
    break_with(&venue, FaultOrder::new(Fault::ErrorAfter).times(1)).await;
    assert_eq!(venue.raw(placing()).await.expect("answers").0, 502);
    assert_eq!(open(&venue).await, 1, "F16");
    break_with(&venue, FaultOrder::new(Fault::CutAnswer).times(1)).await;
    assert!(venue.raw(placing()).await.is_err(), "the body breaks off");
    assert_eq!(open(&venue).await, 2, "F09");
    break_with(&venue, FaultOrder::new(Fault::HtmlAnswer).times(1)).await;
    let (status, body) = venue.raw(placing()).await.expect("answers");
    assert!(status == 200 && body.starts_with("<!doctype"), "{body}");
    assert_eq!(open(&venue).await, 3, "F13");
}

#[tokio::test]
async fn f15_a_timeout_after_acceptance_leaves_the_order_alive() {
    let venue = Venue::with_book().await;
    break_with(&venue, FaultOrder::new(Fault::TimeoutAfter).times(1).action("order")).await;
    let hung = tokio::time::timeout(Duration::from_millis(300), venue.raw(placing())).await;
    assert!(hung.is_err(), "no answer comes");
    assert_eq!(open(&venue).await, 1);
}

#[tokio::test]
async fn a_lost_request_does_nothing_and_has_no_answer() {
    let venue = Venue::with_book().await;
    break_with(&venue, FaultOrder::new(Fault::LostRequest).times(1).action("order")).await;
    let hung = tokio::time::timeout(Duration::from_millis(300), venue.raw(placing())).await;
    assert!(hung.is_err(), "no answer comes");
    assert_eq!(open(&venue).await, 0);
}

#[tokio::test]
async fn f19_a_withheld_answer_comes_late_but_the_order_is_there_at_once() {
    let venue = Venue::with_book().await;
    break_with(&venue, FaultOrder::new(Fault::WithheldAck).times(1).delay_ms(2_000)).await;
    let begun = Instant::now();
    let (answer, seen) = tokio::join!(venue.act(placing()), async {
        while open(&venue).await == 0 {
            tokio::task::yield_now().await;
        }
        begun.elapsed()
    });
    assert_eq!(statuses(&answer).len(), 1);
    assert!(begun.elapsed() >= Duration::from_secs(2) && seen < Duration::from_secs(2), "{seen:?}");
}

#[tokio::test]
async fn f21_f22_strange_answers() {
    let venue = Venue::with_book().await;
    break_with(&venue, FaultOrder::new(Fault::UnknownRefusal).times(1)).await;
    let answer = venue.act(placing()).await;
    assert_eq!(answer["status"], "err");
    assert_eq!(open(&venue).await, 0, "F21");
    break_with(&venue, FaultOrder::new(Fault::ShortStatuses).times(1)).await;
    let two = json!({ "type": "order", "grouping": "na",
        "orders": [order(true, "50000", "0.001", "Gtc"), order(true, "50001", "0.001", "Gtc")] });
    assert_eq!(statuses(&venue.act(two).await).len(), 1);
    assert_eq!(open(&venue).await, 2, "F22: both landed");
}

#[tokio::test]
async fn latency_delays_arrival() {
    let venue = Venue::with_book().await;
    break_with(&venue, FaultOrder::new(Fault::Latency).delay_ms(300).scope(Scope::All)).await;
    let begun = Instant::now();
    venue.act(placing()).await;
    assert!(begun.elapsed() >= Duration::from_millis(300));
    venue.paper.clear(Some(Fault::Latency)).await.expect("runs");
    assert_eq!(venue.paper.faults().await.expect("runs"), []);
}

#[tokio::test]
async fn f23_f24_fills_are_streamed_twice_and_out_of_order() {
    let venue = Venue::with_book().await;
    let mut socket = venue.ws().await;
    socket.subscribe(json!({ "type": "userFills", "user": venue.address() })).await;
    socket.channel("userFills").await;
    break_with(&venue, FaultOrder::new(Fault::DuplicateFills).times(1)).await;
    venue.place(true, "60010", "0.1", "Ioc").await;
    let (first, second) = (socket.channel("userFills").await, socket.channel("userFills").await);
    assert_eq!(first, second, "F23");
    break_with(&venue, FaultOrder::new(Fault::ReorderFills).times(2)).await;
    venue.place(true, "60010", "0.2", "Ioc").await;
    venue.place(true, "60010", "0.3", "Ioc").await;
    let sizes = [
        socket.channel("userFills").await["fills"][0]["sz"].clone(),
        socket.channel("userFills").await["fills"][0]["sz"].clone(),
    ];
    assert_eq!(sizes, [json!("0.3"), json!("0.2")], "F24");
    let truth = venue.paper.truth(venue.address()).await.expect("runs");
    assert_eq!((truth.net["BTC"], truth.fills.len()), (dec("0.6"), 3), "the venue itself booked once");
}

#[tokio::test]
async fn f01_f04_f05_streams_go_silent_while_sockets_stay_open() {
    let venue = Venue::with_book().await;
    let mut socket = venue.ws().await;
    let user = venue.address();
    socket.subscribe(json!({ "type": "orderUpdates", "user": user })).await;
    socket.subscribe(json!({ "type": "trades", "coin": "BTC" })).await;
    socket.drain().await;
    let channels = |messages: &[Value]| -> Vec<String> {
        messages.iter().filter_map(|m| m["channel"].as_str().map(str::to_owned)).collect()
    };
    break_with(&venue, FaultOrder::new(Fault::StallUser)).await;
    venue.place(true, "50000", "0.001", "Gtc").await;
    venue.print(Side::Buy, "60010", "0.1").await;
    assert_eq!(channels(&socket.drain().await), ["trades"], "F04");
    venue.paper.clear(None).await.expect("runs");
    break_with(&venue, FaultOrder::new(Fault::StallMarket)).await;
    venue.place(true, "50001", "0.001", "Gtc").await;
    venue.print(Side::Buy, "60010", "0.1").await;
    assert_eq!(channels(&socket.drain().await), ["orderUpdates"], "F05");
    venue.paper.clear(None).await.expect("runs");
    break_with(&venue, FaultOrder::new(Fault::StallAll)).await;
    socket.send(json!({ "method": "ping" })).await;
    venue.place(true, "50002", "0.001", "Gtc").await;
    let silent = tokio::time::timeout(Duration::from_millis(300), socket.next()).await;
    assert!(silent.is_err(), "F01: not even a pong");
}

#[tokio::test]
async fn f03_sockets_are_closed_once_or_again_and_again() {
    let venue = Venue::with_book().await;
    let mut socket = venue.ws().await;
    socket.drain().await;
    break_with(&venue, FaultOrder::new(Fault::Disconnect)).await;
    assert_eq!(socket.next().await, None);
    assert_eq!(venue.paper.faults().await.expect("runs"), [], "a momentary fault leaves nothing behind");
    break_with(&venue, FaultOrder::new(Fault::Flapping).delay_ms(200)).await;
    for _ in 0..3 {
        let mut socket = venue.ws().await;
        assert_eq!(socket.next().await, None);
    }
    assert_eq!(venue.paper.state().await.expect("runs").sockets, 0);
}

#[tokio::test]
async fn f27_a_post_only_window_takes_post_only_orders_alone() {
    let venue = Venue::with_book().await;
    break_with(&venue, FaultOrder::new(Fault::PostOnly)).await;
    let status = venue.place(true, "50000", "0.001", "Gtc").await;
    assert_eq!(status["error"], "Only post-only orders allowed immediately after a network upgrade asset=0");
    oid(&venue.place(true, "50000", "0.001", "Alo").await);
    venue.paper.clear(Some(Fault::PostOnly)).await.expect("runs");
    oid(&venue.place(true, "50000", "0.001", "Gtc").await);
}

#[tokio::test]
async fn f34_f37_funding_and_oracle_faults_show_in_the_contexts() {
    let venue = Venue::with_book().await;
    let context = async |n: usize| venue.info(json!({ "type": "metaAndAssetCtxs" })).await[1][n].clone();
    break_with(&venue, FaultOrder::new(Fault::FundingSpike).bps(250).coin("BTC")).await;
    assert_eq!((context(0).await["funding"].clone(), context(1).await["funding"] == "0.025"), (json!("0.025"), false), "F34");
    let oracle = async |px: &str| {
        venue.oracle(px).await;
        context(0).await["oraclePx"].clone()
    };
    assert_eq!(oracle("61000").await, "61000.0");
    break_with(&venue, FaultOrder::new(Fault::StaleOracle).coin("BTC")).await;
    assert_eq!(oracle("62000").await, "61000.0", "F37");
    venue.paper.clear(None).await.expect("runs");
    assert_eq!(oracle("63000").await, "63000.0");
    assert_ne!(context(0).await["funding"], "0.025", "the spike is over");
}

#[tokio::test]
async fn f38_a_price_shock_moves_the_market_for_good() {
    let venue = Venue::with_book().await;
    break_with(&venue, FaultOrder::new(Fault::PriceShock).bps(-1_000).coin("BTC")).await;
    let mids = venue.info(json!({ "type": "allMids" })).await;
    let shocked = dec(mids["BTC"].as_str().expect("text"));
    assert!((dec("53800")..=dec("54200")).contains(&shocked), "F38: {shocked}");
    venue.book(&[("60000", "1")], &[("60010", "1")]).await;
    let later = venue.info(json!({ "type": "allMids" })).await;
    assert_eq!(later["BTC"], mids["BTC"], "what the background says later is shifted alike");
}

#[tokio::test]
async fn f36_f80_crossed_books_and_a_wrong_clock() {
    let venue = Venue::with_book().await;
    break_with(&venue, FaultOrder::new(Fault::CrossedBook)).await;
    let book = venue.info(json!({ "type": "l2Book", "coin": "BTC" })).await;
    assert_eq!((&book["levels"][0][0]["px"], &book["levels"][1][0]["px"]), (&json!("60010.0"), &json!("60000.0")), "F36");
    break_with(&venue, FaultOrder::new(Fault::ClockAhead).delay_ms(60_000)).await;
    let status = venue.info(json!({ "type": "exchangeStatus" })).await;
    let ahead = status["time"].as_u64().expect("a time") - crate::harness::now_ms();
    assert!((55_000..=60_000).contains(&ahead), "F80: {ahead}");
}

#[tokio::test]
async fn f28_f33_a_halted_market_and_a_deleveraged_position() {
    let venue = Venue::with_book().await;
    venue.place(true, "60010", "0.5", "Ioc").await;
    let resting = oid(&venue.place(true, "50000", "0.001", "Gtc").await);
    break_with(&venue, FaultOrder::new(Fault::AutoDeleverage).user(venue.address()).coin("BTC")).await;
    assert_eq!(venue.own("clearinghouseState").await["assetPositions"], json!([]), "F33");
    assert_eq!(venue.own("userFills").await[0]["dir"], "Auto-Deleveraging");
    break_with(&venue, FaultOrder::new(Fault::Halt)).await;
    assert_eq!(venue.place(true, "50000", "0.001", "Alo").await["error"], "Trading is halted. asset=0", "F28");
    let cancel = venue.act(json!({ "type": "cancel", "cancels": [{ "a": 0, "o": resting }] })).await;
    assert_eq!(statuses(&cancel), [json!("success")]);
    venue.paper.clear(None).await.expect("runs");
    oid(&venue.place(true, "50000", "0.001", "Alo").await);
    break_with(&venue, FaultOrder::new(Fault::OneSidedBook)).await;
    let book = venue.info(json!({ "type": "l2Book", "coin": "BTC" })).await;
    assert_eq!((book["levels"][0].as_array().map(Vec::is_empty), &book["levels"][1]), (Some(false), &json!([])), "F36");
}

#[tokio::test]
async fn the_control_api_orders_lists_and_clears() {
    let venue = Venue::with_book().await;
    let control = venue.paper.control_url();
    let post = async |body: &Value| {
        let response = venue.http.post(format!("{control}/faults")).json(body).send().await.expect("answers");
        (response.status().as_u16(), response.json::<Value>().await.expect("JSON"))
    };
    let (status, body) = post(&json!({ "fault": "meteor" })).await;
    let text = body["error"].as_str().unwrap_or_default();
    assert!(status == 400 && text.starts_with("unknown fault \"meteor\": there are too-many-requests"), "{body}");
    let (status, body) = post(&json!([{ "fault": "latency" }, { "fault": "halt", "coin": "DOGE" }])).await;
    assert!(status == 400 && body["error"].as_str().is_some_and(|t| t.starts_with("coin is DOGE")), "{body}");
    assert_eq!(venue.paper.faults().await.expect("runs"), [], "all or none");
    let (status, body) = post(&json!({ "fault": "latency", "speed": 1 })).await;
    assert!(status == 400 && body["error"].as_str().is_some_and(|t| t.contains("unknown field `speed`")), "{body}");
    let (status, body) =
        post(&json!([{ "fault": "latency", "delay_ms": 5, "for_ms": 60_000 }, { "fault": "stall-user", "count": 3 }])).await;
    assert_eq!((status, body.as_array().map(Vec::len)), (200, Some(2)));
    let get = async |path: &str| {
        let response = venue.http.get(format!("{control}{path}")).send().await.expect("answers");
        response.json::<Value>().await.expect("JSON")
    };
    let listed = get("/faults").await;
    assert_eq!((&listed[0]["fault"], &listed[0]["delay_ms"], &listed[0]["happened"]), (&json!("latency"), &json!(5), &json!(0)));
    assert_eq!(get("").await["faults"].as_array().map(Vec::len), Some(Fault::ALL.len()));
    let left = venue.http.delete(format!("{control}/faults?fault=latency")).send().await.expect("answers");
    assert_eq!(left.json::<Value>().await.expect("JSON").as_array().map(Vec::len), Some(1));
    let truth = get(&format!("/fills?user={}", venue.address())).await;
    assert_eq!((&truth["complete"], &truth["fills"]), (&json!(true), &json!([])));
    assert!(get("/state").await["now_ms"].is_u64());
    let refused = venue.paper.fault(FaultOrder::new(Fault::Latency).percent(0)).await.expect("runs");
    assert!(matches!(refused, Err(BadOrder::Value { field: "percent", .. })));
}
