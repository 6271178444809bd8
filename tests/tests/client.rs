//! Another client of the venue with the same key: what a person with a web page open does.

use plimsoll_tests::{Rig, http};
use serde_json::{Value, json};
use wire::hyperliquid::action::Action;
use wire::hyperliquid::sign::{Key, Network, sign};

/// Places one BTC order by hand and returns the venue's status of it.
pub fn place(rig: &Rig, buys: bool, px: &str, sz: &str, tif: &str, cloid: Option<&str>) -> Value {
    let mut order = json!({ "a": 0, "b": buys, "p": px, "s": sz, "r": false, "t": { "limit": { "tif": tif } } });
    if let Some(cloid) = cloid {
        order["c"] = cloid.into();
    }
    let answer = act(rig, json!({ "type": "order", "orders": [order], "grouping": "na" }));
    answer["response"]["data"]["statuses"][0].clone()
}

/// Cancels an order by the venue's number.
pub fn cancel(rig: &Rig, oid: u64) {
    let answer = act(rig, json!({ "type": "cancel", "cancels": [{ "a": 0, "o": oid }] }));
    assert_eq!(answer["response"]["data"]["statuses"], json!(["success"]), "{answer}");
}

fn act(rig: &Rig, action: Value) -> Value {
    let key = Key::from_hex(plimsoll_tests::KEY).unwrap();
    let action: Action = serde_json::from_value(action).unwrap();
    // ahead of the daemon's, which are the present millisecond: both count in the same account
    let nonce = now_ms() + 30_000;
    let signed = sign(&key, action, nonce, None, None, Network::Testnet).unwrap();
    let answer = http::post(&rig.venue.url(), "/exchange", &serde_json::to_value(signed).unwrap()).unwrap();
    assert_eq!(answer["status"], "ok", "{answer}");
    answer
}

/// UTC milliseconds, each given once.
pub fn now_ms() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    LAST.fetch_max(u64::try_from(now.as_millis()).unwrap(), Ordering::SeqCst);
    LAST.fetch_add(1, Ordering::SeqCst)
}
