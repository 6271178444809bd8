//! An operator's day: each command does what it says, at the venue and in the journal.

use std::time::{Duration, Instant};

use plimsoll_tests::rig::{ended, open_in, progress};
use plimsoll_tests::{Daemon, Rig, Want};
use rustix::process::Signal;
use serde_json::Value;

const SOON: Duration = Duration::from_secs(40);
const PASSIVE: [&str; 4] = ["--slices", "2", "--placement", "passive"];

#[test]
fn pause_cancels_children_and_resume_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path(), &[]).unwrap();
    rig.start().unwrap();
    let parent = rig.submit("buy", "0.2", "8s", &PASSIVE).unwrap();
    rig.wait_venue("a resting child", SOON, |truth| !open_in(truth).is_empty()).unwrap();
    assert_eq!(rig.ok(&["pause", "1"]).unwrap(), "done");
    rig.wait_venue("no child at the venue", SOON, |truth| open_in(truth).is_empty()).unwrap();
    let idle = |s: &Value| progress(s, parent).is_some_and(|p| p["state"] == "paused" && p["live"] == 0 && p["unknown"] == 0);
    let paused = rig.wait("a paused parent without children", SOON, idle).unwrap();
    let sent = paused["connector"]["orders_sent"].clone();
    // its slices fall due meanwhile, and are not sent
    let deep = |s: &Value| progress(s, parent).is_some_and(|p| p["elapsed"].as_u64() > Some(5_000_000_000));
    let status = rig.wait("the second slice's time", SOON, deep).unwrap();
    assert_eq!(status["connector"]["orders_sent"], sent, "a paused parent sends nothing");
    assert_eq!(rig.ok(&["resume", "1"]).unwrap(), "done");
    rig.wait_ended(&[parent], SOON).unwrap();
    rig.settle(&[Want(parent, "buy", "0.2")]).unwrap();
    let wrong = rig.refused(&["pause", "7"]).unwrap();
    assert!(wrong.contains("P7"), "{wrong}");
}

#[test]
fn amend_changes_quantity_and_deadline_and_cancel_ends_early() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path(), &[]).unwrap();
    rig.start().unwrap();
    let grows = rig.submit("buy", "0.1", "60s", &["--slices", "30"]).unwrap();
    let leaves = rig.submit("buy", "0.2", "60s", &PASSIVE).unwrap();
    let begun = |s: &Value| [grows, leaves].iter().all(|p| progress(s, *p).is_some_and(|p| p["live"].as_i64() > Some(0)));
    rig.wait("both at work", SOON, begun).unwrap();
    assert_eq!(rig.ok(&["amend", "1", "--quantity", "0.15", "--horizon", "5s"]).unwrap(), "done");
    let status = rig.status().unwrap();
    let line = progress(&status, grows).expect("still live");
    assert_eq!((&line["quantity"], &line["horizon"]), (&15_000.into(), &5_000_000_000_u64.into()));
    for (args, field) in [
        (vec!["amend", "1", "--quantity", "0.000001"], "quantity = 0.000001: a quantity in steps of 0.00001"),
        (vec!["amend", "1"], "nothing to amend"),
        (vec!["amend", "9", "--quantity", "0.2"], "parent = P9"),
        (vec!["amend", "1", "--quantity", "900"], "at most 200000, which leaves"),
        (vec!["cancel", "9"], "P9"),
    ] {
        let words = rig.refused(&args).unwrap();
        assert!(words.contains(field), "{args:?}: {words}");
    }
    rig.ok(&["cancel", "2"]).unwrap();
    let status = rig.wait_ended(&[leaves], SOON).unwrap();
    let line = ended(&status, leaves).expect("ended");
    assert!(line["outcome"]["canceled"]["residual"].as_i64() > Some(0), "{line}");
    rig.wait_ended(&[grows], SOON).unwrap();
    rig.settle(&[Want(grows, "buy", "0.15")]).unwrap();
}

#[test]
fn what_is_shown_is_what_is_so_and_the_journal_speaks_without_a_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path(), &[]).unwrap();
    rig.start().unwrap();
    let mut watch = Daemon::spawn(dir.path(), &rig.setup.args(&["watch"]), &[]).unwrap();
    let parent = rig.submit("sell", "0.1", "4s", &["--slices", "4", "--note", "for the show"]).unwrap();
    let filling = |s: &Value| progress(s, parent).is_some_and(|p| p["filled"].as_i64() > Some(0));
    rig.wait("a fill", SOON, filling).unwrap();
    let shown = rig.ok(&["status"]).unwrap();
    for word in ["plimsoll epoch 1", "· trading ·", "hyperliquid equity", "market Up account Up", "P1 sell", "0.1 BTC", "% due"]
    {
        assert!(shown.contains(word), "{word:?} in {shown}");
    }
    let json: Value = serde_json::from_str(&rig.ok(&["status", "--json"]).unwrap()).unwrap();
    assert_eq!(json["desk"]["parents"][0]["spec"]["note"], "for the show");
    let status = rig.wait_ended(&[parent], SOON).unwrap();
    assert_eq!(status["desk"]["positions"][0], serde_json::json!(["hyperliquid:BTC", -10_000]));
    let shown = rig.ok(&["status"]).unwrap();
    assert!(shown.contains("100.0% of 100.0% due") && shown.contains("· done"), "{shown}");
    assert!(shown.contains("position hyperliquid:BTC -0.1"), "{shown}");
    let until = Instant::now() + SOON;
    while !watch.proc.stderr().join("\n").contains("· done") {
        assert!(Instant::now() < until, "{}", watch.proc.last_words());
        std::thread::sleep(Duration::from_millis(25));
    }
    rig.daemon().proc.signal(Signal::TERM);
    assert_eq!(rig.daemon().proc.wait_exit(SOON).unwrap().code(), Some(0));
    assert_eq!(watch.proc.wait_exit(SOON).unwrap().code(), Some(0));
    let watched = watch.proc.stderr().join("\n");
    assert!(watched.contains("P1 sell") && watched.contains("the daemon has stopped"), "{watched}");

    // from here on nobody listens
    let words = rig.refused(&["status"]).unwrap();
    assert!(words.contains("plimsoll.sock"), "{words}");
    rig.settle(&[Want(parent, "sell", "0.1")]).unwrap();
    let report = rig.ok(&["report"]).unwrap();
    assert!(report.contains("P1") && report.contains("hyperliquid:BTC"), "{report}");
    assert_eq!(rig.ok(&["report", "--json", "--parent", "2"]).unwrap(), "");
    let lines: Vec<Value> = rig.ok(&["export"]).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let audit: Value = serde_json::from_str(&rig.ok(&["audit", "--json"]).unwrap()).unwrap();
    assert_eq!(audit["records"], lines.len());
    assert_eq!(
        (&audit["ok"], &audit["parents"], &audit["epochs"], &audit["open"]),
        (&true.into(), &1.into(), &1.into(), &0.into())
    );
    let count = |kind: &str| lines.iter().filter(|l| l["record"]["entry"]["kind"] == kind).count();
    assert_eq!(audit["intents"], count("intent"));
    assert_eq!(audit["fills"], count("fill"));
    assert!(lines.iter().zip(1..).all(|(line, seq)| line["seq"] == seq), "gaps");
}
