//! Stopping: the kill switch in both of its forms, the latch in both of its homes, and the orderly end.

use std::fs;
use std::path::Path;
use std::time::Duration;

use plimsoll_tests::rig::progress;
use plimsoll_tests::{Rig, Want};
use rustix::process::Signal;
use serde_json::Value;

const SOON: Duration = Duration::from_secs(40);
/// Three parents whose children rest for long enough to be found resting.
const PARENTS: [(&str, &str); 3] = [("buy", "0.2"), ("buy", "0.1"), ("buy", "0.15")];

/// A daemon with several orders resting at the venue.
fn resting(dir: &Path, horizon: &str) -> (Rig, Vec<u32>) {
    let mut rig = Rig::new(dir, &[]).unwrap();
    rig.start().unwrap();
    let more = ["--slices", "2", "--placement", "passive"];
    let parents = PARENTS.iter().map(|(side, quantity)| rig.submit(side, quantity, horizon, &more).unwrap()).collect();
    rig.wait_venue("several resting orders", SOON, |truth| plimsoll_tests::rig::open_in(truth).len() >= 2).unwrap();
    (rig, parents)
}

fn wants(parents: &[u32]) -> Vec<Want<'static>> {
    parents.iter().zip(PARENTS).map(|(n, (side, quantity))| Want(*n, side, quantity)).collect()
}

fn latched(status: &Value) -> bool {
    status["desk"]["stop"] == "cancel"
}

/// The venue is empty, nothing more is sent, and the operator is told so in words.
fn check_stopped(rig: &mut Rig, cause: &str) {
    rig.wait("the latch", SOON, latched).unwrap();
    let empty = |truth: &Value| plimsoll_tests::rig::open_in(truth).is_empty();
    rig.wait_venue("an empty venue", SOON, empty).unwrap();
    let quiet = |s: &Value| s["desk"]["orders"] == serde_json::json!([]);
    let status = rig.wait("no order of ours", SOON, quiet).unwrap();
    assert_eq!(status["desk"]["stop_cause"], cause);
    let head = rig.ok(&["status"]).unwrap();
    assert!(head.contains(&format!("STOPPED (cancel: {cause})")), "{head}");
    let orders = status["connector"]["orders_sent"].as_u64();
    let refused = rig.refused(&["submit", "--instrument", "hyperliquid:BTC", "--side", "buy", "--quantity", "0.01"]).unwrap();
    assert!(refused.contains("a daemon that trades; this one is stopped") && refused.contains(cause), "{refused}");
    assert_eq!(rig.status().unwrap()["connector"]["orders_sent"].as_u64(), orders, "sent although stopped");
}

/// A restart stays stopped; `rearm` needs a reason; then every parent goes on to its exact end.
fn restart_and_rearm(rig: &mut Rig, parents: &[u32], cause: &str) {
    rig.spawn().unwrap();
    let status =
        rig.wait("a latched daemon that has read its venue", SOON, |s| s["desk"]["ready"] == true && latched(s)).unwrap();
    assert!(status["desk"]["stop_cause"].as_str().is_some_and(|c| c.contains(cause)), "{}", status["desk"]["stop_cause"]);
    for parent in parents {
        let line = progress(&status, *parent).expect("the parent is still there");
        assert_eq!(line["state"], "paused", "{line}");
        assert!(line["reason"].as_str().is_some_and(|r| r.starts_with("stopped: ")), "{line}");
    }
    assert_eq!(status["connector"]["orders_sent"], 0);
    let wordless = rig.refused(&["rearm", "--reason", " "]).unwrap();
    assert!(wordless.contains("why it is safe to trade again"), "{wordless}");
    let (code, _, silent) = rig.run(&["rearm"]).unwrap();
    assert!(code == Some(2) && silent.contains("--reason"), "{silent}");
    assert!(latched(&rig.status().unwrap()));
    rig.rearm("the test has looked", SOON).unwrap();
    rig.wait_ended(parents, SOON).unwrap();
    rig.settle(&wants(parents)).unwrap();
}

#[test]
fn kill_empties_the_venue_and_the_latch_holds_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (mut rig, parents) = resting(dir.path(), "12s");
    rig.ok(&["kill", "--cause", "fire drill"]).unwrap();
    check_stopped(&mut rig, "fire drill");
    rig.daemon().proc.kill9();
    restart_and_rearm(&mut rig, &parents, "fire drill");
}

#[test]
fn sigusr1_does_the_same_and_a_deleted_latch_file_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut rig, parents) = resting(dir.path(), "12s");
    rig.daemon().proc.signal(Signal::USR1);
    check_stopped(&mut rig, "signal SIGUSR1");
    rig.daemon().proc.kill9();
    fs::remove_file(rig.journal_dir().join("LATCH")).unwrap();
    restart_and_rearm(&mut rig, &parents, "signal SIGUSR1");
}

#[test]
fn a_latch_file_that_says_run_does_not_outvote_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let (mut rig, parents) = resting(dir.path(), "12s");
    let unlatched = fs::read(rig.journal_dir().join("LATCH")).unwrap();
    rig.ok(&["kill"]).unwrap();
    check_stopped(&mut rig, "operator");
    rig.daemon().proc.kill9();
    fs::write(rig.journal_dir().join("LATCH"), unlatched).unwrap();
    restart_and_rearm(&mut rig, &parents, "operator");
}

#[test]
fn a_corrupted_latch_file_stops_a_daemon_that_was_never_killed_i21() {
    let dir = tempfile::tempdir().unwrap();
    let (mut rig, parents) = resting(dir.path(), "12s");
    rig.daemon().proc.kill9();
    let path = rig.journal_dir().join("LATCH");
    let mut text = fs::read(&path).unwrap();
    text[3] ^= 0x20;
    fs::write(&path, text).unwrap();
    restart_and_rearm(&mut rig, &parents, "cannot be read, which counts as latched");
}

#[test]
fn milder_levels_leave_resting_orders_alone_and_only_rise() {
    let dir = tempfile::tempdir().unwrap();
    let (mut rig, parents) = resting(dir.path(), "60s");
    rig.ok(&["kill", "--level", "block", "--cause", "look first"]).unwrap();
    rig.wait("the level", SOON, |s| s["desk"]["stop"] == "block").unwrap();
    assert!(!rig.open_orders().unwrap().is_empty(), "block is not cancel");
    rig.ok(&["kill", "--level", "reduce-only", "--cause", "lower"]).unwrap();
    let status = rig.status().unwrap();
    assert_eq!((&status["desk"]["stop"], &status["desk"]["stop_cause"]), (&"block".into(), &"look first".into()));
    rig.ok(&["kill"]).unwrap();
    check_stopped(&mut rig, "operator");
    assert_eq!(parents.len(), PARENTS.len());
}

#[test]
fn sigterm_leaves_nothing_open_and_a_restart_finishes_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let (mut rig, parents) = resting(dir.path(), "10s");
    rig.daemon().proc.signal(Signal::TERM);
    let status = rig.daemon().proc.wait_exit(SOON).unwrap();
    assert_eq!(status.code(), Some(0), "{}", rig.daemon().proc.last_words());
    assert!(rig.daemon().proc.last_words().contains("nothing of ours is open at the venue"));
    assert_eq!(rig.open_orders().unwrap(), Vec::<Value>::new());
    let left = rig.truth().unwrap()["orders"].as_array().map(Vec::len);
    rig.start().unwrap();
    rig.wait_ended(&parents, SOON).unwrap();
    let truth = rig.settle(&wants(&parents)).unwrap();
    assert!(truth["orders"].as_array().map(Vec::len) > left, "the second tenure had work to do");
}
