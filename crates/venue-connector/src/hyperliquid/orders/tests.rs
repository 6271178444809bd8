use std::time::Duration;

use domain::{Child, ChildNo, ClientKey, Epoch, JournalTag, Lost, ParentId, Px, Qty, Side, Tif, Venue};
use serde_json::json;

use super::*;
use crate::hyperliquid::OrderRoute;
use crate::hyperliquid::stub::{self, Answer as Reply, Kind, Rig, Stub, config, wait_account, wall_ms};
use crate::port::{CancelRequest, OrderPort};

fn btc() -> InstrumentId {
    InstrumentId::new(Venue::Hyperliquid, "BTC").unwrap_or_else(|e| panic!("{e}"))
}

fn order_key(no: u32) -> ClientKey {
    ClientKey::derive(JournalTag(7), Epoch(1), ParentId(1), ChildNo(no))
}

fn intent(no: u32, nonce: u64) -> Intent {
    Intent {
        key: order_key(no),
        child: Child {
            parent: ParentId(1),
            no: ChildNo(no),
            instrument: btc(),
            side: Side::Buy,
            qty: Qty(100),
            px: Px(500_000),
            tif: Tif::PostOnly,
            reduce_only: false,
        },
        nonce,
        expiry: Expiry::AtMs(wall_ms() + 10_000),
    }
}

async fn place(started: &Rig, intents: Vec<Intent>) {
    place_intents(&started.connector.shared, intents).await;
}

async fn sent(started: &mut Rig, no: u32) -> SendOutcome {
    let key = order_key(no);
    match wait_account(started, |f| matches!(f, Fact::Sent { key: k, .. } if *k == key)).await.0 {
        Fact::Sent { outcome, .. } => outcome,
        other => panic!("{other:?}"),
    }
}

async fn answered(started: &mut Rig, no: u32) -> bool {
    let key = order_key(no);
    match wait_account(started, |f| matches!(f, Fact::CancelAnswered { key: k, .. } if *k == key)).await.0 {
        Fact::CancelAnswered { gone, .. } => gone,
        other => panic!("{other:?}"),
    }
}

fn cancel_of(no: u32, oid: Option<u64>) -> CancelRequest {
    CancelRequest { key: order_key(no), instrument: btc(), venue_order: oid.map(VenueOrderId::Number) }
}

#[tokio::test]
async fn orders_of_one_nonce_are_one_action_with_the_intents_bytes() {
    let venue = Stub::serve().await;
    let mut started = stub::start(config(&venue)).await;
    let nonce = wall_ms() & !1;
    let mut third = intent(3, nonce + 2);
    third.child.tif = Tif::ImmediateOrCancel;
    third.child.reduce_only = true;
    let orders = vec![intent(1, nonce), intent(2, nonce), third];
    place(&started, orders.clone()).await;
    for no in 1..=3 {
        assert!(matches!(sent(&mut started, no).await, SendOutcome::Acked { order: Some(_), .. }));
    }
    let mut actions = venue.actions();
    actions.sort_by_key(|a| a.signed.nonce);
    assert_eq!(actions.len(), 2);
    let Expiry::AtMs(expiry) = orders[0].expiry else { panic!() };
    assert_eq!((actions[0].signed.nonce, actions[0].signed.expires_after), (nonce, Some(expiry)));
    let body: serde_json::Value = serde_json::from_str(&actions[0].body).unwrap_or_default();
    assert_eq!(
        body["action"],
        json!({"type":"order","orders":[
            {"a":0,"b":true,"p":"50000","s":"0.001","r":false,"t":{"limit":{"tif":"Alo"}},"c":"0x00000007000000010000000100000001"},
            {"a":0,"b":true,"p":"50000","s":"0.001","r":false,"t":{"limit":{"tif":"Alo"}},"c":"0x00000007000000010000000100000002"}],
            "grouping":"na"})
    );
    // I03: the same intents give the same bytes, whenever they are sent
    place(&started, orders[..2].to_vec()).await;
    assert_eq!(sent(&mut started, 1).await, SendOutcome::Unknown(Lost::Unreadable), "its nonce was used: it may have landed");
    let again = venue.actions().pop().unwrap_or_else(|| panic!("no action"));
    assert_eq!(again.body, actions[0].body);
}

#[tokio::test]
async fn lost_answers_are_unknown() {
    let venue = Stub::serve().await;
    let mut started = stub::start(config(&venue)).await;
    let cases = [
        (Reply::Hang, Lost::Timeout),                        // F15, F19
        (Reply::Trickle, Lost::Timeout),                     // F10
        (Reply::Cut, Lost::Disconnected),                    // F09
        (Reply::Status(500, "internal"), Lost::ServerError), // F16, F17
        (Reply::Status(429, "too many"), Lost::Throttled),   // F18
        (Reply::Status(302, ""), Lost::Unreadable),
        (Reply::Status(200, "<html>portal</html>"), Lost::Unreadable), // F13
        (Reply::Flood, Lost::Unreadable),
        (Reply::Json(json!({"status":"err","response":"Never heard of it"})), Lost::Unreadable), // F21
    ];
    for (no, (answer, lost)) in (1..).zip(cases) {
        venue.next(Kind::Order, answer.clone());
        place(&started, vec![intent(no, wall_ms() * 2 + u64::from(no) * 2)]).await;
        assert_eq!(sent(&mut started, no).await, SendOutcome::Unknown(lost), "{answer:?}");
    }
    let gauges = started.connector.gauges();
    assert_eq!((gauges.orders_sent, gauges.orders_unknown, gauges.throttled), (9, 9, 1));
    // a venue that is gone altogether (F08)
    let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await.and_then(|l| l.local_addr()).unwrap_or_else(|e| panic!("{e}"));
    let http = super::super::http::Http::new(&format!("http://{dead}"), &started.connector.shared.config.timing);
    let reply = http.unwrap_or_else(|e| panic!("{e}")).exchange(Lane::Order, Vec::new(), Duration::from_secs(2)).await;
    assert!(matches!(reply, Err(super::super::NoAnswer::Broken(_))), "{reply:?}");
}

#[tokio::test]
async fn what_cannot_be_sent_is_rejected_here_and_never_leaves() {
    let venue = Stub::serve().await;
    let mut started = stub::start(config(&venue)).await;
    let nonce = wall_ms() & !1;
    let spoil = |no: u32, change: fn(&mut Intent)| {
        let mut bad = intent(no, nonce + u64::from(no) * 2);
        change(&mut bad);
        bad
    };
    let bad = vec![
        spoil(1, |i| i.child.px = Px(500_001)),
        spoil(2, |i| i.child.qty = Qty(0)),
        spoil(3, |i| i.child.instrument = InstrumentId::new(Venue::Hyperliquid, "NOPE").unwrap_or_else(|e| panic!("{e}"))),
        spoil(4, |i| i.expiry = Expiry::AtMs(wall_ms() - 1)),
        spoil(5, |i| i.expiry = Expiry::AtBlock(5)),
    ];
    place(&started, bad).await;
    for (no, kind) in [
        (1, RejectKind::Malformed),
        (2, RejectKind::Malformed),
        (3, RejectKind::Malformed),
        (4, RejectKind::Expired),
        (5, RejectKind::Malformed),
    ] {
        match sent(&mut started, no).await {
            SendOutcome::Rejected(reject) => {
                assert_eq!(reject.kind, kind, "{reject:?}");
                assert!(reject.text.starts_with("not sent: "), "{reject:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(venue.actions().is_empty());
}

#[tokio::test]
async fn i10_placements_never_spend_the_cancels_reserve() {
    let venue = Stub::serve().await;
    let mut config = config(&venue);
    config.weight_per_minute = 400;
    let mut started = stub::start(config).await;
    let shared = std::sync::Arc::clone(&started.connector.shared);
    while shared.reads.weight.take((shared.clock)(), 1, Purpose::Place).is_ok() {}
    place(&started, vec![intent(1, wall_ms() & !1)]).await;
    match sent(&mut started, 1).await {
        SendOutcome::Rejected(reject) => assert_eq!(reject.kind, RejectKind::Throttled),
        other => panic!("{other:?}"),
    }
    started.connector.cancel(vec![cancel_of(2, Some(55))]).await;
    assert!(answered(&mut started, 2).await);
    assert_eq!(venue.actions().len(), 1, "the cancel alone");
}

#[tokio::test]
async fn f48_a_refusal_for_want_of_budget_stops_placements_but_not_cancels() {
    let venue = Stub::serve().await;
    let mut started = stub::start(config(&venue)).await;
    let text = "Too many cumulative requests sent (10101 > 10100) for cumulative volume traded $100.00.";
    venue.next(Kind::Order, Reply::Json(json!({"status":"err","response":text})));
    for no in 1..=2 {
        place(&started, vec![intent(no, (wall_ms() & !1) + u64::from(no) * 2)]).await;
        match sent(&mut started, no).await {
            SendOutcome::Rejected(reject) => {
                assert_eq!((reject.kind, reject.text.starts_with("not sent")), (RejectKind::Throttled, no == 2))
            }
            other => panic!("{other:?}"),
        }
    }
    let mut reduce = intent(3, (wall_ms() & !1) + 100);
    reduce.child.reduce_only = true;
    place(&started, vec![reduce]).await;
    assert!(matches!(sent(&mut started, 3).await, SendOutcome::Acked { .. }));
    started.connector.cancel(vec![cancel_of(4, None)]).await;
    assert!(answered(&mut started, 4).await);
}

#[tokio::test]
async fn g26_a_cancel_passes_while_placements_hang() {
    let venue = Stub::serve().await;
    let mut config = config(&venue);
    config.timing.place = Duration::from_secs(30);
    let mut started = stub::start(config).await;
    for _ in 0..50 {
        venue.next(Kind::Order, Reply::Hang);
    }
    let connector = started.connector.clone();
    let nonce = wall_ms() & !1;
    let stuck = tokio::spawn(async move {
        place_intents(&connector.shared, (1..=50).map(|no| intent(no, nonce + u64::from(no) * 2))).await;
    });
    stub::until("all placements under way", || venue.actions().len() == 50).await;
    let asked = std::time::Instant::now();
    started.connector.cancel(vec![cancel_of(99, Some(5))]).await;
    assert!(answered(&mut started, 99).await);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert!(!stuck.is_finished());
    stuck.abort();
}

#[tokio::test]
async fn cancels_are_batched_by_name_and_repeated_until_answered() {
    let venue = Stub::serve().await;
    let mut started = stub::start(config(&venue)).await;
    for answer in [Reply::Status(502, "bad gateway"), Reply::Hang, Reply::Cut, Reply::Status(429, "slow down")] {
        venue.next(Kind::Cancel, answer);
    }
    let gone = "Order was never placed, already canceled, or filled. asset=0";
    venue.next(
        Kind::Cancel,
        Reply::Json(json!({"status":"ok","response":{"type":"cancel","data":{"statuses":["success",{"error":gone},{"error":"Never heard of it"}]}}})),
    );
    started.connector.cancel(vec![cancel_of(1, Some(11)), cancel_of(2, Some(12)), cancel_of(3, Some(13))]).await;
    assert!(answered(&mut started, 1).await);
    assert!(answered(&mut started, 2).await);
    assert!(!answered(&mut started, 3).await);
    let actions = venue.actions();
    assert_eq!(actions.len(), 5);
    let nonces: Vec<u64> = actions.iter().map(|a| a.signed.nonce).collect();
    assert!(nonces.windows(2).all(|w| w[0] < w[1]) && nonces.iter().all(|n| n % 2 == 1), "I32: {nonces:?}");
    for action in &actions {
        let ahead = action.signed.expires_after.unwrap_or(u64::MAX).saturating_sub(wall_ms());
        assert!(ahead <= 15_000, "I33: {ahead}");
    }
    // by number and by name do not mix; at most a hundred each
    let many: Vec<CancelRequest> = (100..350).map(|no| cancel_of(no, (no < 250).then_some(u64::from(no)))).collect();
    started.connector.cancel(many).await;
    for no in 100..350 {
        assert!(answered(&mut started, no).await);
    }
    let mut sizes: Vec<usize> = venue.actions()[5..].iter().map(|a| a.signed.action.items()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [50, 100, 100]);
}

#[tokio::test]
async fn f44_a_duplicate_nonce_of_a_cancel_is_replaced_at_once() {
    let venue = Stub::serve().await;
    let mut started = stub::start(config(&venue)).await;
    venue.next(Kind::Cancel, Reply::Json(json!({"status":"err","response":"Invalid nonce: duplicate nonce 77"})));
    started.connector.cancel(vec![cancel_of(1, None)]).await;
    assert!(answered(&mut started, 1).await);
    let actions = venue.actions();
    assert_eq!(actions.len(), 2);
    assert!(actions[0].signed.nonce < actions[1].signed.nonce);
}

#[tokio::test]
async fn a_refused_batch_is_split_so_that_one_bad_cancel_holds_no_other() {
    let venue = Stub::serve().await;
    let mut started = stub::start(config(&venue)).await;
    let refused = || Reply::Json(json!({"status":"err","response":"One of them is wrong"}));
    venue.next(Kind::Cancel, refused()); // all four
    venue.next(Kind::Cancel, refused()); // the first two
    venue.next(Kind::Cancel, refused()); // the first
    started.connector.cancel((1..=4).map(|no| cancel_of(no, Some(u64::from(no)))).collect()).await;
    assert!(!answered(&mut started, 1).await);
    for no in 2..=4 {
        assert!(answered(&mut started, no).await);
    }
}

#[tokio::test]
async fn a_cancel_without_an_answer_ends_at_its_deadline() {
    let venue = Stub::serve().await;
    let mut config = config(&venue);
    config.timing.cancel_deadline = Duration::from_millis(700);
    let mut started = stub::start(config).await;
    for _ in 0..20 {
        venue.next(Kind::Cancel, Reply::Hang);
    }
    let asked = std::time::Instant::now();
    started.connector.cancel(vec![cancel_of(1, None)]).await;
    assert!(!answered(&mut started, 1).await);
    assert!(asked.elapsed() < Duration::from_secs(5));
    assert_eq!(started.connector.gauges().cancels_unanswered, 1);
}

#[tokio::test]
async fn burns() {
    let venue = Stub::serve().await;
    let mut started = stub::start(config(&venue)).await;
    let nonce = wall_ms() & !1;
    assert_eq!(started.connector.burn_nonce(nonce).await, Ok(true));
    assert_eq!(started.connector.burn_nonce(nonce).await, Ok(false), "used before");
    place(&started, vec![intent(1, nonce + 2)]).await;
    assert!(matches!(sent(&mut started, 1).await, SendOutcome::Acked { .. }));
    assert_eq!(started.connector.burn_nonce(nonce + 2).await, Ok(false), "the order landed");
    // a burn whose answer is lost leaves a later duplicate ambiguous
    venue.next(Kind::Noop, Reply::Hang);
    assert!(matches!(started.connector.burn_nonce(nonce + 4).await, Err(BurnError::NoAnswer { .. })));
    venue.next(
        Kind::Noop,
        Reply::Json(json!({"status":"err","response":format!("Invalid nonce: duplicate nonce {}", nonce + 4)})),
    );
    assert_eq!(started.connector.burn_nonce(nonce + 4).await, Err(BurnError::Ambiguous { nonce: nonce + 4 }));
    venue.next(Kind::Noop, Reply::Json(json!({"status":"err","response":"Something new"})));
    assert!(matches!(started.connector.burn_nonce(nonce + 6).await, Err(BurnError::Refused { .. })));
    let noops = venue.requests().iter().filter(|a| a.signed.action == Action::Noop).count();
    assert_eq!(noops, 7, "one at start and six burns: none is repeated by itself");
}

#[tokio::test]
async fn modify_and_leverage() {
    let venue = Stub::serve().await;
    let mut started = stub::start(config(&venue)).await;
    replace(&started.connector.shared, VenueOrderId::Number(42), intent(1, wall_ms() & !1)).await;
    assert!(matches!(sent(&mut started, 1).await, SendOutcome::Acked { order: Some(_), .. }));
    replace(&started.connector.shared, VenueOrderId::Text("x".into()), intent(2, (wall_ms() & !1) + 50)).await;
    assert!(matches!(sent(&mut started, 2).await, SendOutcome::Rejected(_)));
    assert_eq!(started.connector.set_leverage(btc(), 7, false).await, Ok(()));
    venue.next(Kind::Leverage, Reply::Json(json!({"status":"err","response":"Invalid leverage value"})));
    let refused = started.connector.set_leverage(btc(), 900, true).await;
    assert_eq!(refused, Err(LeverageError::Refused("Invalid leverage value".into())));
    let actions = venue.actions();
    assert!(matches!(&actions[0].signed.action, Action::BatchModify(m) if m.modifies[0].oid == OrderRef::Oid(42)));
    let Action::UpdateLeverage(set) = &actions[1].signed.action else { panic!() };
    assert_eq!((set.asset, set.is_cross, set.leverage), (0, false, 7));
}

fn open_row(coin: &str, oid: u64) -> serde_json::Value {
    // nothing but market and number is needed on the kill path
    json!({"coin":coin,"oid":oid,"limitPx":null,"surprise":[1]})
}

#[tokio::test]
async fn c31_a_sweep_cancels_everything_and_looks_twice() {
    let venue = Stub::serve().await;
    let started = stub::start(config(&venue)).await;
    let rows = |from: u64, n: u64| (from..from + n).map(|oid| open_row("BTC", oid)).collect::<Vec<_>>();
    venue.next_info("frontendOpenOrders", Reply::Status(503, "busy"));
    venue.next_info("frontendOpenOrders", Reply::Json(json!(rows(1, 130))));
    venue.next(Kind::Cancel, Reply::Status(500, "oops"));
    venue.next_info("frontendOpenOrders", Reply::Json(json!([])));
    // one more appears between the two looks
    venue.next_info("frontendOpenOrders", Reply::Json(json!([open_row("ETH", 9_001), open_row("@107", 9_002)])));
    let sweep = started.connector.sweep(&[], Duration::from_secs(10)).await.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((sweep.canceled, sweep.gone, sweep.reads), (131, 0, 5));
    let oids: std::collections::BTreeSet<u64> = venue
        .actions()
        .iter()
        .flat_map(|a| match &a.signed.action {
            Action::Cancel(c) => c.cancels.iter().map(|c| c.oid).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(oids.len(), 131);
    assert!(!oids.contains(&9_002), "spot is not swept");
}

#[tokio::test]
async fn a_sweep_that_cannot_finish_says_what_is_left() {
    let venue = Stub::serve().await;
    let started = stub::start(config(&venue)).await;
    venue.info("frontendOpenOrders", json!([open_row("BTC", 5), open_row("ETH", 6)]));
    let eth = InstrumentId::new(Venue::Hyperliquid, "ETH").unwrap_or_else(|e| panic!("{e}"));
    let error = started.connector.sweep(&[eth], Duration::from_millis(500)).await;
    assert!(error.as_ref().is_err_and(|e| e.left == 1 && e.reads > 0), "{error:?}");
    let swept = venue.actions().iter().all(|a| matches!(&a.signed.action, Action::Cancel(c) if c.cancels[0].oid == 6));
    assert!(swept, "other markets are left alone");
}

#[tokio::test]
async fn a_sweep_waits_for_what_may_still_land() {
    let venue = Stub::serve().await;
    let started = stub::start(config(&venue)).await;
    venue.next(Kind::Order, Reply::Status(502, "bad gateway"));
    let mut late = intent(1, wall_ms() & !1);
    late.expiry = Expiry::AtMs(wall_ms() + 30_000);
    place(&started, vec![late]).await;
    // the venue shows nothing, but the order has half a minute left to appear
    let early = started.connector.sweep(&[], Duration::from_millis(500)).await;
    assert!(early.as_ref().is_err_and(|e| e.left == 0 && e.last.contains("may still land")), "{early:?}");
    // once its nonce is burnt it cannot
    assert_eq!(started.connector.burn_nonce(late.nonce).await, Ok(true));
    let swept = started.connector.sweep(&[], Duration::from_secs(10)).await;
    assert!(swept.as_ref().is_ok_and(|s| s.reads >= 2), "{swept:?}");
    // and after its expiry neither
    venue.next(Kind::Order, Reply::Hang);
    let mut short = intent(2, wall_ms() & !1);
    short.expiry = Expiry::AtMs(wall_ms() + 1_200);
    place(&started, vec![short]).await;
    let swept = started.connector.sweep(&[], Duration::from_secs(10)).await;
    assert!(swept.is_ok(), "{swept:?}");
    assert!(wall_ms() > venue.requests().last().and_then(|r| r.signed.expires_after).unwrap_or(u64::MAX));
}

#[tokio::test]
async fn i20_nothing_leaves_through_a_closed_gate_but_cancels() {
    for route in [OrderRoute::Http, OrderRoute::Ws] {
        let venue = Stub::serve().await;
        let mut config = config(&venue);
        config.order_route = route;
        let mut started = stub::start(config).await;
        started.connector.close_gate();
        place(&started, vec![intent(1, wall_ms() & !1)]).await;
        assert!(matches!(sent(&mut started, 1).await, SendOutcome::Rejected(r) if r.text == "not sent: the gate is closed"));
        started.connector.cancel(vec![cancel_of(2, Some(5))]).await;
        assert!(answered(&mut started, 2).await);
        assert_eq!(venue.actions().len(), 1);
        started.connector.open_gate();
        place(&started, vec![intent(3, (wall_ms() & !1) + 2)]).await;
        assert!(matches!(sent(&mut started, 3).await, SendOutcome::Acked { .. }));
    }
}

#[tokio::test]
async fn posts_carry_orders_and_fall_back() {
    let venue = Stub::serve().await;
    let mut config = config(&venue);
    config.order_route = OrderRoute::Ws;
    let mut started = stub::start(config).await;
    stub::until("three sockets", || venue.connections() == 3).await;
    let nonce = wall_ms() & !1;
    let mut no = 0;
    let mut next = || {
        no += 1;
        intent(no, nonce + u64::from(no) * 2)
    };
    // the socket's task may need a moment to see that it is connected
    let first = next();
    place(&started, vec![first]).await;
    assert!(matches!(sent(&mut started, 1).await, SendOutcome::Acked { .. }));
    let second = next();
    place(&started, vec![second]).await;
    assert!(matches!(sent(&mut started, 2).await, SendOutcome::Acked { .. }));
    assert!(venue.actions()[1].posted);
    venue.next(Kind::Order, Reply::Hang);
    let third = next();
    place(&started, vec![third]).await;
    assert_eq!(sent(&mut started, 3).await, SendOutcome::Unknown(Lost::Timeout));
    venue.next(Kind::Order, Reply::Status(0, "Order has zero size."));
    let fourth = next();
    place(&started, vec![fourth]).await;
    assert!(matches!(sent(&mut started, 4).await, SendOutcome::Rejected(r) if r.kind == RejectKind::Malformed));
    // a socket that dies with a post under way
    venue.next(Kind::Order, Reply::Cut);
    let fifth = next();
    place(&started, vec![fifth]).await;
    assert_eq!(sent(&mut started, 5).await, SendOutcome::Unknown(Lost::Disconnected));
    // while it is down, HTTP carries
    let sixth = next();
    place(&started, vec![sixth]).await;
    assert!(matches!(sent(&mut started, 6).await, SendOutcome::Acked { .. }));
}

#[tokio::test]
async fn f53_a_lookout_shuts_the_gate_between_the_signature_and_the_socket() {
    for route in [OrderRoute::Http, OrderRoute::Ws] {
        let venue = Stub::serve().await;
        let mut config = config(&venue);
        config.order_route = route;
        let mut started = stub::start(config).await;
        let sees = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
        let seen = std::sync::Arc::clone(&sees);
        let words = "a file STOP".to_owned();
        started.connector.look_out(std::sync::Arc::new(move || {
            if seen.load(std::sync::atomic::Ordering::SeqCst) { Err(words.clone()) } else { Ok(()) }
        }));
        place(&started, vec![intent(1, wall_ms() & !1)]).await;
        assert!(matches!(sent(&mut started, 1).await, SendOutcome::Rejected(r) if r.text == "not sent: a file STOP"));
        started.connector.cancel(vec![cancel_of(2, Some(5))]).await;
        assert!(answered(&mut started, 2).await, "a cancel asks nobody");
        sees.store(false, std::sync::atomic::Ordering::SeqCst);
        place(&started, vec![intent(3, (wall_ms() & !1) + 2)]).await;
        assert!(matches!(sent(&mut started, 3).await, SendOutcome::Acked { .. }));
    }
}

#[tokio::test]
async fn c24_the_venues_dead_man_is_set_by_its_clock_cleared_and_refused_in_its_words() {
    let venue = Stub::serve().await;
    venue.shift_clock(200);
    let started = stub::start(config(&venue)).await;
    let before = wall_ms();
    let at = started.connector.schedule_cancel(Some(Duration::from_secs(20))).await.unwrap_or_else(|e| panic!("{e}"));
    let at = at.unwrap_or_else(|| panic!("no time"));
    assert!((before + 20_000..before + 30_000).contains(&at), "{at} against {before}");
    // nearer than the venue takes
    started.connector.schedule_cancel(Some(Duration::from_secs(1))).await.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(started.connector.schedule_cancel(None).await, Ok(None));
    let times: Vec<Option<u64>> = venue
        .requests()
        .iter()
        .filter_map(|r| if let Action::ScheduleCancel(set) = &r.signed.action { Some(set.time) } else { None })
        .collect();
    assert!(times.len() == 3 && times[0] == Some(at) && times[1] >= Some(before + 5_000) && times[2].is_none(), "{times:?}");
    let words = "Cannot set scheduled cancel time until enough volume traded. Required: $1000000. Traded: $0.";
    venue.next(Kind::DeadMan, Reply::Json(serde_json::json!({ "status": "err", "response": words })));
    let refused = started.connector.schedule_cancel(Some(Duration::from_secs(20))).await;
    assert_eq!(refused, Err(DeadManError::Refused(words.to_owned())));
    venue.next(Kind::DeadMan, Reply::Status(502, "bad gateway"));
    let lost = started.connector.schedule_cancel(None).await;
    assert!(matches!(lost, Err(DeadManError::NoAnswer(_))), "{lost:?}");
}
