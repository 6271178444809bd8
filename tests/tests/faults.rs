//! The venue misbehaves while parents run. Each ends with exactly what was asked, in the report and in the venue's own memory.

use std::cell::Cell;
use std::time::Duration;

use plimsoll_tests::rig::progress;
use plimsoll_tests::{Rig, Want};
use serde_json::{Value, json};
use tempfile::TempDir;

/// From an order of a fault to its effect, and from its end to the parents': horizons here are seconds.
const SOON: Duration = Duration::from_secs(40);

/// A daemon with a buying and a selling parent that have begun to work.
struct Scene {
    rig: Rig,
    parents: [u32; 2],
    _dir: TempDir,
}

const BUY: &str = "0.3";
const SELL: &str = "0.12";

impl Scene {
    fn new(horizon: &str) -> Scene {
        Scene::with(horizon, &json!([]), &["--slices", "6"], &["--slices", "4", "--placement", "pegged"])
    }

    /// Children that rest for as long as an answer may take, on a venue with `faults` from the first one on.
    fn patient(faults: &Value) -> Scene {
        let slow = ["--slices", "1", "--placement", "passive"];
        Scene::with("8s", faults, &slow, &slow)
    }

    fn with(horizon: &str, faults: &Value, buyer: &[&str], seller: &[&str]) -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let mut rig = Rig::new(dir.path(), &[]).unwrap();
        rig.start().unwrap();
        rig.fault(faults).unwrap();
        let buys = rig.submit("buy", BUY, horizon, buyer).unwrap();
        let sells = rig.submit("sell", SELL, horizon, seller).unwrap();
        let parents = [buys, sells];
        rig.wait("an order at the venue", SOON, |s| {
            s["connector"]["orders_sent"].as_u64() >= Some(1) && s["desk"]["parents"].as_array().is_some_and(|p| p.len() == 2)
        })
        .unwrap();
        Scene { rig, parents, _dir: dir }
    }

    fn fault(&self, fault: &Value) {
        self.rig.fault(fault).unwrap();
    }

    fn wait(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.rig.wait(what, SOON, wanted).unwrap()
    }

    /// Waits for the end and checks everything; the last status.
    fn finish(mut self) -> Value {
        let status = self.rig.wait_ended(&self.parents, SOON).unwrap();
        let truth = self.rig.settle(&[Want(self.parents[0], "buy", BUY), Want(self.parents[1], "sell", SELL)]).unwrap();
        assert_eq!(truth["net"]["BTC"].as_str().map(|n| n.trim_end_matches('0')), Some("0.18"), "{}", truth["net"]);
        status
    }
}

fn gauge(status: &Value, name: &str) -> u64 {
    status["connector"][name].as_u64().unwrap_or_default()
}

fn unknown_orders(status: &Value) -> Vec<&Value> {
    let orders = status["desk"]["orders"].as_array().map(Vec::as_slice).unwrap_or_default();
    orders.iter().filter(|o| o["state"]["unknown"].is_string()).collect()
}

/// An unknown order is none that may be sent again: its quantity stays its parent's, its margin the guard's (I05, I06).
fn check_reserved(status: &Value, parents: &[u32]) {
    let mut by_parents = 0;
    for line in parents.iter().filter_map(|p| progress(status, *p)) {
        let of = |field: &str| line[field].as_i64().unwrap();
        assert!(of("filled") + of("live") + of("unknown") <= of("quantity"), "I06: {line}");
        assert_eq!(of("filled") + of("live") + of("unknown") + of("remaining"), of("quantity"), "{line}");
        by_parents += of("unknown");
    }
    let unknown: i64 = unknown_orders(status).iter().map(|o| o["qty"].as_i64().unwrap() - o["filled"].as_i64().unwrap()).sum();
    assert_eq!(by_parents, unknown, "what the parents hold back is what the orders may still fill: {}", status["desk"]);
    let market = &status["desk"]["guard"]["markets"]["hyperliquid:BTC"];
    let working = market["working_long"].as_i64().unwrap() + market["working_short"].as_i64().unwrap();
    assert!(working >= unknown, "the guard let go of an unknown order: {market}");
}

/// Looks at orders whose answer was lost while they are unknown, and sees the parents through.
fn see_through(mut scene: Scene) {
    let status = scene.wait("an order whose answer was lost", |s| !unknown_orders(s).is_empty());
    check_reserved(&status, &scene.parents);
    let status = scene.finish();
    assert!(gauge(&status, "orders_unknown") >= 1, "{}", status["connector"]);
}

/// The user stream is silent meanwhile: it would tell of the order before the answer is missed.
fn unheard(fault: &Value, silent_ms: u64) -> Value {
    json!([{ "fault": "stall-user", "for_ms": silent_ms }, fault])
}

#[test]
fn f15_an_answer_that_never_comes() {
    see_through(Scene::patient(&unheard(&json!({ "fault": "timeout-after", "count": 2, "action": "order" }), 6_000)));
}

#[test]
fn f16_server_errors_after_the_order_was_taken() {
    let scene = Scene::new("8s");
    scene.fault(&unheard(&json!({ "fault": "error-after", "count": 2, "action": "order" }), 2_500));
    see_through(scene);
}

#[test]
fn f17_server_errors_before_the_order_was_taken() {
    let scene = Scene::new("8s");
    scene.fault(&unheard(&json!({ "fault": "error-before", "count": 2, "action": "order" }), 2_500));
    see_through(scene);
}

#[test]
fn f09_f13_f21_an_answer_cut_in_its_middle_a_page_of_html_and_a_refusal_nobody_knows() {
    let scene = Scene::new("8s");
    scene.fault(&json!([
        { "fault": "stall-user", "for_ms": 2_500 },
        { "fault": "cut-answer", "count": 1, "action": "order" },
        { "fault": "html-answer", "count": 1, "action": "order" },
        { "fault": "unknown-refusal", "count": 1, "action": "order" },
    ]));
    see_through(scene);
}

#[test]
fn f18_too_many_requests() {
    let mut scene = Scene::new("8s");
    scene.fault(&json!({ "fault": "too-many-requests", "count": 3, "action": "order" }));
    scene.wait("a throttled order", |s| gauge(s, "throttled") >= 1);
    scene.finish();
}

#[test]
fn f19_an_acknowledgement_that_comes_after_the_stream_told_of_the_order() {
    let mut scene = Scene::patient(&json!({ "fault": "withheld-ack", "delay_ms": 1_000, "action": "order" }));
    let known = |o: &Value| o["state"] == "resting";
    let status =
        scene.wait("an order known by the stream", |s| s["desk"]["orders"].as_array().is_some_and(|o| o.iter().any(known)));
    assert!(unknown_orders(&status).is_empty(), "{}", status["desk"]["orders"]);
    scene.finish();
}

#[test]
fn f19_an_acknowledgement_that_comes_after_nobody_waits_any_more() {
    see_through(Scene::patient(&unheard(
        &json!({ "fault": "withheld-ack", "count": 2, "delay_ms": 6_500, "action": "order" }),
        6_000,
    )));
}

#[test]
fn f23_f24_fills_twice_and_in_the_wrong_order() {
    let scene = Scene::new("6s");
    scene.fault(&json!([{ "fault": "duplicate-fills" }, { "fault": "reorder-fills" }]));
    scene.finish();
}

#[test]
fn f01_a_market_stream_that_goes_silent_stops_new_risk() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path(), &[]).unwrap();
    rig.start().unwrap();
    // a buyer alone, from flat: each of its orders is new risk
    let parent = rig.submit("buy", BUY, "8s", &["--slices", "40", "--placement", "pegged"]).unwrap();
    rig.wait("a fill", SOON, |s| progress(s, parent).is_some_and(|p| p["filled"].as_i64() > Some(0))).unwrap();
    rig.fault(&json!({ "fault": "stall-market", "for_ms": 4_500 })).unwrap();
    let is_stale = |s: &Value| s["desk"]["venues"][0]["market_stream"] != "up";
    let stale = rig.wait("a market stream that is not trusted", SOON, is_stale).unwrap();
    // one that was cleared before may still have been on its way at that moment
    let most = gauge(&stale, "orders_sent") + 1;
    let sent = Cell::new(0);
    rig.wait("the stream's return", SOON, |s| {
        sent.set(if is_stale(s) { gauge(s, "orders_sent") } else { sent.get() });
        !is_stale(s)
    })
    .unwrap();
    assert!((1..=most).contains(&sent.get()), "increased on a stale book (C17): {} orders, at most {most}", sent.get());
    rig.wait_ended(&[parent], SOON).unwrap();
    rig.settle(&[Want(parent, "buy", BUY)]).unwrap();
}

#[test]
fn f04_a_user_stream_that_goes_silent_is_noticed_and_read_instead() {
    let mut scene = Scene::new("12s");
    scene.fault(&json!({ "fault": "stall-user" }));
    let status = scene.wait("an account stream that is not trusted", |s| s["desk"]["venues"][0]["account_stream"] != "up");
    assert_eq!(status["desk"]["ready"], false, "nothing new without the account (I14)");
    scene.rig.clear_faults().unwrap();
    scene.wait("the books compared again", |s| s["desk"]["ready"] == true);
    scene.finish();
}

#[test]
fn f06_all_sockets_close_and_the_gap_is_read() {
    let mut scene = Scene::new("8s");
    let before: u64 = reconnects(&scene.rig.status().unwrap());
    // what fills while nobody listens is known by asking alone
    scene.fault(&json!({ "fault": "disconnect" }));
    scene.wait("a reconnect", |s| reconnects(s) > before);
    scene.wait("the books compared again", |s| s["desk"]["ready"] == true);
    scene.fault(&json!({ "fault": "disconnect" }));
    scene.finish();
}

fn reconnects(status: &Value) -> u64 {
    let by_stream = status["connector"]["reconnects"].as_object().cloned().unwrap_or_default();
    by_stream.values().filter_map(Value::as_u64).sum()
}

#[test]
fn f27_a_post_only_window_defers_what_would_take() {
    let mut scene = Scene::new("6s");
    scene.fault(&json!({ "fault": "post-only" }));
    scene.wait("an order refused by the window", |s| gauge(s, "orders_rejected") >= 1);
    // past the horizon the remainder wants to take; the window holds it
    let held = scene.wait("a parent past its horizon", |s| {
        let lines = s["desk"]["parents"].as_array().unwrap();
        lines.iter().any(|p| p["progress"]["elapsed"].as_u64() > p["progress"]["horizon"].as_u64())
    });
    assert!(!held["desk"]["parents"].as_array().unwrap().is_empty());
    scene.rig.clear_faults().unwrap();
    scene.finish();
}

#[test]
fn f37_an_oracle_that_stands_still_while_the_market_moves() {
    let mut scene = Scene::new("6s");
    scene.fault(&json!([{ "fault": "stale-oracle" }, { "fault": "price-shock", "bps": 140 }]));
    // the oracle alone would value the position by yesterday's price: it is one of three
    scene.wait("a reference away from the oracle", |s| {
        let market = &s["desk"]["guard"]["markets"]["hyperliquid:BTC"];
        market["reference"].as_i64() > Some(622_000) && market["references_fresh"] == 3
    });
    scene.finish();
}
