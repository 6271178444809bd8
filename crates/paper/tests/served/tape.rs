use std::sync::Arc;
use std::time::Duration;

use domain::Side;
use plimsoll_paper::tape::{Change, Event, Frame, Header, Print, Tape};
use plimsoll_paper::{Market, Paper, PaperSpec, StartError};
use serde_json::json;

use crate::harness::{Venue, dec, still};

/// One second: a book around 60,005 that climbs by 20 with a trade at each step.
fn climbing() -> Arc<Tape> {
    let header = Header {
        source: "test".into(),
        start_ms: 0,
        duration_ms: 1_000,
        tick: dec("1"),
        lot: dec("0.00001"),
        band_bps: 30,
        step_ms: 100,
    };
    let level = |side, px, qty| Change { side, px, qty };
    let mut frames =
        vec![Frame { at_ms: 0, event: Event::Book(vec![level(Side::Buy, 60_000, 100_000), level(Side::Sell, 60_010, 100_000)]) }];
    for n in 1..=9 {
        let (old, new) = (n - 1, n);
        let px = |n: i64| 60_000 + 2 * n;
        frames.push(Frame {
            at_ms: new as u64 * 100,
            event: Event::Trades(vec![Print { side: Side::Buy, px: px(old) + 10, qty: 1_000 }]),
        });
        frames.push(Frame {
            at_ms: new as u64 * 100,
            event: Event::Book(vec![
                level(Side::Buy, px(old), 0),
                level(Side::Buy, px(new), 100_000),
                level(Side::Sell, px(old) + 10, 0),
                level(Side::Sell, px(new) + 10, 100_000),
            ]),
        });
    }
    Arc::new(Tape { header, frames })
}

#[tokio::test]
async fn the_loop_seam_leaves_one_level_a_side_and_never_crosses() {
    let spec = PaperSpec { market: Market::Tape { tape: climbing(), pace: 4_000 }, ..still() };
    let venue = Venue::start(spec).await;
    let mut socket = venue.ws().await;
    socket.subscribe(json!({ "type": "bbo", "coin": "BTC" })).await;
    let mut seen = 0;
    while venue.paper.state().await.expect("runs").tape_pass.is_some_and(|pass| pass < 6) {
        let book = venue.info(json!({ "type": "l2Book", "coin": "BTC" })).await;
        let px = |side: usize| dec(book["levels"][side][0]["px"].as_str().expect("a level"));
        assert!(px(0) < px(1), "{book}");
        let levels = [0, 1].map(|side: usize| book["levels"][side].as_array().map_or(0, Vec::len));
        assert_eq!(levels, [1, 1], "no level outlives its pass: {book}");
        assert!((dec("59990")..=dec("60040")).contains(&px(0)), "{book}");
        seen += 1;
        socket.channel("bbo").await;
    }
    assert!(seen > 3, "the tape was watched through its seams");
}

#[tokio::test]
async fn a_resting_order_is_filled_by_the_recorded_trades() {
    let spec = PaperSpec { market: Market::Tape { tape: climbing(), pace: 1_000 }, ..still() };
    let venue = Venue::start(spec).await;
    let mut socket = venue.ws().await;
    socket.subscribe(json!({ "type": "userFills", "user": venue.address() })).await;
    socket.channel("userFills").await;
    // the market climbs to 60,028 within the second: an offer at 60,020 is traded through
    let status = venue.place(false, "60020", "0.001", "Gtc").await;
    assert!(status.get("error").is_none(), "{status}");
    let fill = socket.channel("userFills").await;
    assert_eq!(fill["fills"][0]["sz"], "0.001");
}

#[tokio::test]
async fn a_venue_nobody_visits_ends_and_wrong_specifications_do_not_start() {
    let spec = PaperSpec { idle_exit: Some(Duration::from_millis(300)), ..still() };
    let paper = Paper::start(spec).await.expect("starts");
    tokio::time::timeout(crate::harness::PATIENCE, paper.finished()).await.expect("ends by itself");
    let public = PaperSpec { listen: "0.0.0.0:0".parse().expect("an address"), ..still() };
    assert!(matches!(Paper::start(public).await, Err(StartError::NotLoopback(_))));
    let stopped = PaperSpec { market: Market::Tape { tape: climbing(), pace: 0 }, ..still() };
    assert!(matches!(Paper::start(stopped).await, Err(StartError::Spec(text)) if text.contains("pace is 0")));
}

#[tokio::test]
async fn a_second_listener_and_a_separate_control_address_serve() {
    let local = "127.0.0.1:0".parse().expect("an address");
    let spec = PaperSpec { also_listen: Some(local), control_listen: Some(local), ..still() };
    let venue = Venue::start(spec).await;
    let also = venue.paper.also_addr.expect("asked for");
    let answer = venue.http.post(format!("http://{also}/info")).json(&json!({ "type": "meta" })).send().await.expect("answers");
    assert_eq!(answer.status(), 200);
    let hidden = venue.http.get(format!("{}/control/state", venue.paper.url())).send().await.expect("answers");
    assert_eq!(hidden.status(), 404, "control has its own address");
    let state = venue.http.get(format!("{}/state", venue.paper.control_url())).send().await.expect("answers");
    assert_eq!(state.status(), 200);
}
