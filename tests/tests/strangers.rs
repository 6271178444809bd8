//! Orders on the account that the daemon did not send, or does not remember sending.

use std::time::Duration;

use plimsoll_tests::rig::{open_in, progress};
use plimsoll_tests::{Rig, Want};
use serde_json::{Value, json};

use crate::client;

const SOON: Duration = Duration::from_secs(40);
/// The venue is compared with the books this often: a stranger is seen no later. Twice as often would spend the minute's request
/// budget on it where a test lasts longer than usual.
const EVERY: &str = "daemon.reconcile_every=5s";

fn frozen(status: &Value) -> Option<&str> {
    status["desk"]["frozen"][0][1].as_str()
}

fn unfreeze(rig: &mut Rig, parent: u32) {
    let wordless = rig.refused(&["unfreeze", "hyperliquid:BTC", "--reason", ""]).unwrap();
    assert!(wordless.contains("what explains the difference"), "{wordless}");
    let live = rig.refused(&["submit", "--instrument", "hyperliquid:BTC", "--side", "buy", "--quantity", "0.01"]).unwrap();
    assert!(live.contains("a market that is not frozen"), "{live}");
    // its children are cancelled when the market freezes, and only then may it thaw
    rig.wait("no order of ours", SOON, |s| s["desk"]["orders"] == json!([])).unwrap();
    assert_eq!(rig.ok(&["unfreeze", "hyperliquid:BTC", "--reason", "it was me, by hand"]).unwrap(), "unfrozen");
    rig.wait("the parent at work again", SOON, |s| progress(s, parent).is_none_or(|p| p["reason"] == "")).unwrap();
}

#[test]
fn an_order_by_hand_freezes_its_market_until_it_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path(), &[EVERY]).unwrap();
    rig.start().unwrap();
    let parent = rig.submit("buy", "0.1", "10s", &["--slices", "5"]).unwrap();
    let by_hand = client::place(&rig, true, "60000", "0.05", "Gtc", None);
    let oid = by_hand["resting"]["oid"].as_u64().expect("it rests");
    let status = rig.wait("a frozen market", SOON, |s| frozen(s).is_some()).unwrap();
    let why = frozen(&status).unwrap();
    assert!(why.contains("an order that is not ours") && why.contains(&oid.to_string()), "{why}");
    let shown = rig.ok(&["status"]).unwrap();
    assert!(shown.contains("hyperliquid:BTC FROZEN (an order that is not ours"), "{shown}");
    let market = &status["desk"]["guard"]["markets"]["hyperliquid:BTC"];
    assert!(market["working_long"].as_i64() >= Some(5_000), "a foreign order counts in the exposure: {market}");
    let line = rig.wait("a held parent", SOON, |s| progress(s, parent).is_some_and(|p| p["state"] == "paused")).unwrap();
    assert!(progress(&line, parent).unwrap()["reason"].as_str().unwrap().starts_with("market frozen: "), "{line}");
    assert_eq!(open_in(&rig.truth().unwrap()).iter().filter(|o| o["oid"] == oid).count(), 1, "it is not ours to cancel");
    client::cancel(&rig, oid);
    unfreeze(&mut rig, parent);
    rig.wait_ended(&[parent], SOON).unwrap();
    rig.settle(&[Want(parent, "buy", "0.1")]).unwrap();
}

#[test]
fn f32_a_trade_by_hand_freezes_its_market_and_its_position_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path(), &[EVERY]).unwrap();
    rig.start().unwrap();
    let parent = rig.submit("buy", "0.1", "10s", &["--slices", "5"]).unwrap();
    let by_hand = client::place(&rig, false, "61000", "0.03", "Ioc", None);
    assert_eq!(by_hand["filled"]["totalSz"], "0.03", "{by_hand}");
    let status = rig.wait("a frozen market", SOON, |s| frozen(s).is_some()).unwrap();
    assert!(frozen(&status).unwrap().contains("a fill that is not from one of our orders"), "{status}");
    unfreeze(&mut rig, parent);
    let status = rig.wait_ended(&[parent], SOON).unwrap();
    assert_eq!(status["desk"]["positions"][0], json!(["hyperliquid:BTC", 7_000]), "0.1 bought, 0.03 sold by hand");
    rig.settle(&[Want(parent, "buy", "0.1")]).unwrap();
}

#[test]
fn an_order_of_our_key_space_that_the_journal_does_not_know_is_cancelled() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path(), &[EVERY]).unwrap();
    rig.start().unwrap();
    // the journal's mark, from its own first record
    let first: Value = serde_json::from_str(rig.ok(&["export"]).unwrap().lines().next().unwrap()).unwrap();
    let tag = first["record"]["entry"]["tag"].as_u64().expect("a mark");
    let orphan = format!("0x{tag:08x}{:08x}{:08x}{:08x}", 9, 9, 9);
    let placed = client::place(&rig, true, "60000", "0.05", "Gtc", Some(&orphan));
    assert!(placed["resting"]["oid"].is_u64(), "{placed}");
    rig.wait_venue("the orphan's end", SOON, |truth| {
        truth["orders"].as_array().unwrap().iter().any(|o| o["cloid"] == orphan.as_str() && o["status"] == "canceled")
    })
    .unwrap();
    let status = rig.wait("a frozen market", SOON, |s| frozen(s).is_some()).unwrap();
    assert!(frozen(&status).unwrap().contains("an order of our key space that the journal does not know"), "{status}");
    rig.ok(&["unfreeze", "hyperliquid:BTC", "--reason", "a restored backup"]).unwrap();
    let parent = rig.submit("buy", "0.05", "2s", &["--slices", "2"]).unwrap();
    rig.wait_ended(&[parent], SOON).unwrap();
    rig.settle(&[Want(parent, "buy", "0.05")]).unwrap();
}
