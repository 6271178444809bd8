//! What stops the daemon from outside (C34): the file STOP, signals, the API and the command line, and SIGTERM by policy.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use plimsoll_tests::Rig;
use plimsoll_tests::rig::open_in;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::client;

const SOON: Duration = Duration::from_secs(40);
/// One child that rests for as long as a test lasts.
const PASSIVE: [&str; 4] = ["--slices", "1", "--placement", "passive"];

/// The stop of `scope` in a status.
fn stop<'a>(status: &'a Value, scope: &str) -> Option<&'a Value> {
    status["desk"]["stops"].as_array()?.iter().find(|line| line["scope"] == scope)
}

fn wait_stop(rig: &mut Rig, scope: &str, level: &str, trigger: &str) -> Value {
    let wanted = |s: &Value| stop(s, scope).is_some_and(|line| line["level"] == level && line["trigger"] == trigger);
    rig.wait(&format!("{scope} at {level} by {trigger}"), SOON, wanted).unwrap()
}

fn wait_resting(rig: &Rig, count: usize) {
    rig.wait_venue("resting orders", SOON, |truth| open_in(truth).len() >= count).unwrap();
}

/// The raw answer of the operator socket.
fn ask(socket: &Path, request: &str, body: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    write!(stream, "{request} HTTP/1.0\r\nhost: plimsoll\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn check_refusals(rig: &Rig, socket: &Path) {
    const LEVELS: &str = "one of reduce-only, block, cancel, flatten, sever";
    for bad in ["halt", "run"] {
        let (code, _, err) = rig.run(&["kill", "--level", bad]).unwrap();
        assert!(code == Some(2) && err.contains(LEVELS), "{err}");
        let answer = ask(socket, "POST /kill", &json!({ "level": bad, "cause": "x" }).to_string());
        assert!(answer.contains(" 422 ") && answer.contains(LEVELS), "{answer}");
    }
    let (code, _, err) = rig.run(&["kill", "--scope", "moon"]).unwrap();
    assert!(code == Some(2) && err.contains("parent:P7"), "{err}");
    for (scope, known) in [
        ("parent:P77", "parent:P1"),
        ("market:hyperliquid:NOSUCH", "market:hyperliquid:BTC"),
        ("venue:dydx", "venue:hyperliquid"),
    ] {
        let err = rig.refused(&["kill", "--scope", scope]).unwrap();
        assert!(err.contains(scope) && err.contains(known), "{err}");
    }
    let (code, _, err) = rig.run(&["klll"]).unwrap();
    assert!(code == Some(2) && err.contains("'kill'"), "{err}");
    for request in ["POST /stop", "GET /kill", "DELETE /status"] {
        let answer = ask(socket, request, "");
        assert!(answer.starts_with("HTTP/1.0 40") && answer.contains("POST /kill") && answer.contains("GET /status"), "{answer}");
    }
    assert!(ask(socket, "POST /kill", "{").contains(" 422 "));
    assert_eq!(rig.status().unwrap()["desk"]["stops"], json!([]), "nothing of this stopped anything");
}

#[test]
fn each_way_to_stop_is_latched_with_its_trigger_and_shown_with_what_to_do_c34() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path(), &[]).unwrap();
    rig.start().unwrap();
    let parent = rig.submit("buy", "0.2", "300s", &PASSIVE).unwrap();
    rig.submit("buy", "0.1", "300s", &PASSIVE).unwrap();
    wait_resting(&rig, 2);
    let state = dir.path().join("state");
    check_refusals(&rig, &state.join("plimsoll.sock"));

    // from the mildest: each may only raise
    let scope = format!("parent:P{parent}");
    rig.ok(&["kill", "--level", "block", "--scope", &scope, "--cause", "odd fills"]).unwrap();
    let status = wait_stop(&mut rig, &scope, "block", "operator");
    assert_eq!(status["gate"]["closed"], false, "one parent is not all");
    assert!(stop(&status, &scope).is_some_and(|line| line["since_ms"].as_u64() > Some(1_600_000_000_000)), "{status}");
    fs::write(state.join("STOP"), "reduce-only news at two\n").unwrap();
    wait_stop(&mut rig, "all", "reduce_only", "sentinel");
    fs::write(state.join("STOP"), "block").unwrap();
    let status = wait_stop(&mut rig, "all", "block", "sentinel");
    assert_eq!(status["gate"]["closed"], true);
    assert!(!rig.open_orders().unwrap().is_empty(), "block is not cancel");
    for words in [rig.ok(&["status"]).unwrap(), rig.ok(&["margin"]).unwrap()] {
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("STOPPED all: block by sentinel, since 20"), "{words}");
        assert!(words.contains(&format!("STOPPED {scope}: block by operator")), "{words}");
        assert!(words.contains("next: remove the file STOP; then plimsoll rearm --reason"), "{words}");
        assert!(words.contains(&format!("then plimsoll rearm --reason … --scope {scope}")), "{words}");
    }
    fs::remove_file(state.join("STOP")).unwrap();
    rig.daemon().proc.signal(Signal::USR1);
    wait_stop(&mut rig, "all", "cancel", "signal");
    rig.wait_venue("an empty venue", SOON, |truth| open_in(truth).is_empty()).unwrap();
    rig.daemon().proc.signal(Signal::USR2);
    let status = wait_stop(&mut rig, "all", "flatten", "signal");
    assert_eq!(stop(&status, "all").unwrap()["cause"], "signal SIGUSR2");

    // all of it is in the journal, with its trigger, in this order, and holds over a restart
    let told = rig.ok(&["export"]).unwrap();
    let latched: Vec<String> = told
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["record"].take())
        .filter(|record| record.to_string().contains("\"kind\":\"latch\""))
        .map(|record| record.to_string())
        .collect();
    let order = ["operator", "sentinel", "sentinel", "signal", "signal"];
    assert_eq!(latched.len(), order.len(), "{latched:#?}");
    for (record, trigger) in latched.iter().zip(order) {
        assert!(record.contains(&format!("\"trigger\":\"{trigger}\"")), "{record}");
    }
    rig.daemon().proc.kill9();
    fs::write(state.join("STOP"), [0xFF, 0xFE, 0]).unwrap();
    rig.spawn().unwrap();
    rig.wait("a daemon that has read its venue", SOON, |s| s["desk"]["ready"] == true).unwrap();
    let status = wait_stop(&mut rig, "all", "flatten", "signal");
    assert!(stop(&status, &scope).is_some() && status["gate"]["closed"] == true, "{status}");
}

#[test]
fn sigterm_does_what_the_policy_says_and_a_second_one_does_not_wait() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path(), &["kill.on_stop=leave"]).unwrap();
    // a file that is there before the start stops it before anything is connected
    let file = dir.path().join("state/STOP");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "reduce-only not yet").unwrap();
    rig.spawn().unwrap();
    rig.wait("a daemon that has read its venue", SOON, |s| s["desk"]["ready"] == true).unwrap();
    wait_stop(&mut rig, "all", "reduce_only", "sentinel");
    fs::remove_file(&file).unwrap();
    rig.wait("a re-arm", SOON, |_| true).unwrap();
    let until = std::time::Instant::now() + SOON;
    while rig.run(&["rearm", "--reason", "the test has looked"]).unwrap().0 != Some(0) {
        assert!(std::time::Instant::now() < until, "cannot be re-armed");
    }
    rig.submit("buy", "0.2", "300s", &PASSIVE).unwrap();
    wait_resting(&rig, 1);

    // leave: what rests stays and is taken up again
    rig.daemon().proc.signal(Signal::TERM);
    let exit = rig.daemon().proc.wait_exit(SOON).unwrap();
    let words = rig.daemon().proc.last_words();
    assert!(exit.code() == Some(0) && words.contains("rest at the venue, as [kill] on_stop asks"), "{words}");
    let left: Vec<String> = rig.open_orders().unwrap().iter().map(|o| o["oid"].to_string()).collect();
    assert!(!left.is_empty());
    let mut rig = rig.beside(&["kill.on_stop=cancel"]);
    rig.start().unwrap();
    let ours = |s: &Value| s["desk"]["orders"].as_array().is_some_and(|orders| orders.len() == left.len());
    let status = rig.wait("the orders that were left", SOON, ours).unwrap();
    assert_eq!((&status["desk"]["frozen"], &status["desk"]["stops"]), (&json!([]), &json!([])), "{}", status["desk"]);

    // cancel: also what is not ours, and a restart stays stopped
    let stranger = client::place(&rig, true, "50000", "0.01", "Gtc", None);
    assert!(stranger["resting"].is_object(), "{stranger}");
    rig.daemon().proc.signal(Signal::TERM);
    let exit = rig.daemon().proc.wait_exit(SOON).unwrap();
    assert_eq!(exit.code(), Some(0), "{}", rig.daemon().proc.last_words());
    assert_eq!(rig.open_orders().unwrap(), Vec::<Value>::new());
    rig.spawn().unwrap();
    let status = wait_stop(&mut rig, "all", "cancel", "signal");
    assert!(stop(&status, "all").unwrap()["cause"].as_str().unwrap().contains("[kill] on_stop is cancel"));

    // twice: at once, whatever the venue answers
    rig.fault(&json!({ "fault": "timeout-after", "count": 1_000 })).unwrap();
    rig.daemon().proc.signal(Signal::TERM);
    rig.daemon().proc.signal(Signal::INT);
    let exit = rig.daemon().proc.wait_exit(SOON).unwrap();
    assert!(matches!(exit.code(), Some(0 | 75)), "{exit:?} {}", rig.daemon().proc.last_words());
}
