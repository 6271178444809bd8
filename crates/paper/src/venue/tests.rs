use domain::Side;
use serde_json::json;
use wire::hyperliquid::action::{Action, Signed};
use wire::hyperliquid::sign::{Key, Network, sign};

use super::*;
use crate::control::TradePush;
use crate::{Market, VenueLimits};

fn venue() -> Venue {
    let spec = PaperSpec { market: Market::Still, limits: VenueLimits::unlimited(), ..PaperSpec::default() };
    let mut venue = Venue::new(spec, None, CancellationToken::new()).expect("valid");
    let level = |px: i64| vec![(rust_decimal::Decimal::from(px), rust_decimal::Decimal::ONE)];
    let book =
        MarketPush { coin: "BTC".into(), bids: level(60_000), asks: level(60_100), replace: true, ..MarketPush::default() };
    venue.push_market(&book).expect("on the grid");
    venue
}

fn signed(key: &Key, nonce: u64, action: Value) -> Signed {
    let action: Action = serde_json::from_value(action).expect("an action");
    sign(key, action, nonce, None, None, Network::Testnet).expect("signs")
}

fn key(n: u8) -> Key {
    Key::from_hex(&format!("{n:02x}").repeat(32)).expect("a key")
}

fn placing(buys: bool, px: &str, tif: &str) -> Value {
    let order = json!({ "a": 0, "b": buys, "p": px, "s": "0.5", "r": false, "t": { "limit": { "tif": tif } } });
    json!({ "type": "order", "orders": [order], "grouping": "na" })
}

/// Serves all actions as one batch; their answers.
fn serve(venue: &mut Venue, posts: Vec<Signed>) -> Vec<Value> {
    let mut answers = Vec::new();
    let mut batch = Vec::new();
    for signed in posts {
        let (reply, answer) = oneshot::channel();
        batch.push(Ask::Act { ip: None, post: Box::new(Post::new(signed)), is_admitted: false, reply });
        answers.push(answer);
    }
    venue.serve(&mut batch);
    let body = |mut answer: oneshot::Receiver<Reply>| match answer.try_recv() {
        Ok(Reply::Served(served)) => serde_json::from_str(&served.body).expect("JSON"),
        Ok(Reply::Wait(_) | Reply::Late(..)) | Err(_) => panic!("every action is answered within its batch"),
    };
    answers.into_iter().map(body).collect()
}

#[test]
fn in_one_block_a_cancel_beats_a_taker_that_came_before_it() {
    let mut venue = venue();
    let (maker, taker) = (key(0x11), key(0x22));
    let now = venue.now_ms;
    let placed = serve(&mut venue, vec![signed(&maker, now, placing(false, "60050", "Alo"))]);
    let oid = &placed[0]["response"]["data"]["statuses"][0]["resting"]["oid"];
    let take = signed(&taker, now, placing(true, "60050", "Ioc"));
    let cancel = signed(&maker, now + 1, json!({ "type": "cancel", "cancels": [{ "a": 0, "o": oid }] }));
    let answers = serve(&mut venue, vec![take, cancel]);
    assert_eq!(answers[1]["response"]["data"]["statuses"], json!(["success"]));
    let missed = "Order could not immediately match against any resting orders. asset=0";
    assert_eq!(answers[0]["response"]["data"]["statuses"][0]["error"], missed);
}

#[test]
fn two_clients_trade_with_each_other_and_share_the_trade() {
    let mut venue = venue();
    let (maker, taker) = (key(0x11), key(0x22));
    let now = venue.now_ms;
    serve(&mut venue, vec![signed(&maker, now, placing(false, "60050", "Alo"))]);
    serve(&mut venue, vec![signed(&taker, now, placing(true, "60050", "Ioc"))]);
    let account = |k: &Key| AccountKey(k.address().0);
    let (sold, bought) = (venue.exchange.fills(account(&maker), 0), venue.exchange.fills(account(&taker), 0));
    assert_eq!((sold.len(), bought.len()), (1, 1));
    assert_eq!(sold[0].tid, bought[0].tid);
    assert_eq!((sold[0].crossed, bought[0].crossed), (false, true));
}

#[test]
fn what_is_pushed_must_lie_on_the_grid() {
    let mut venue = venue();
    let trade = |px: &str| TradePush {
        side: Side::Buy,
        px: rust_decimal::Decimal::from_str_exact(px).expect("a decimal"),
        sz: rust_decimal::Decimal::ONE,
    };
    let push = |coin: &str, px: &str| MarketPush { coin: coin.into(), trades: vec![trade(px)], ..MarketPush::default() };
    assert_eq!(venue.push_market(&push("BTC", "60100")), Ok(()));
    assert_eq!(venue.push_market(&push("DOGE", "1")), Err("coin: no market \"DOGE\"".into()));
    assert!(venue.push_market(&push("BTC", "60100.05")).is_err_and(|e| e.starts_with("px: ")));
}
