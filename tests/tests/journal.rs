//! The journal as a user may meet it: taken, foreign, damaged, or on a full disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use plimsoll_tests::rig::open_in;
use plimsoll_tests::{Daemon, Missing, Rig, Want, http, skip};
use rustix::process::Signal;
use serde_json::Value;

use crate::client;

const SOON: Duration = Duration::from_secs(40);
const PASSIVE: [&str; 4] = ["--slices", "2", "--placement", "passive"];

fn exchange_requests(rig: &Rig) -> Value {
    http::get(&rig.venue.url(), "/control/state").unwrap()["exchange_requests"].clone()
}

#[test]
fn f62_a_second_daemon_is_told_who_has_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path(), &[]).unwrap();
    rig.start().unwrap();
    let (code, out, err) = rig.run(&["run"]).unwrap();
    let pid = rig.daemon().proc.pid();
    assert_eq!((code, out.as_str()), (Some(73), ""), "{err}");
    assert!(err.contains(&format!("in use by process {pid}")) && err.contains("stop that one first"), "{err}");
    // the first one is none the worse: its socket still answers, and it trades
    let parent = rig.submit("buy", "0.05", "2s", &["--slices", "2"]).unwrap();
    rig.wait_ended(&[parent], SOON).unwrap();
    rig.settle(&[Want(parent, "buy", "0.05")]).unwrap();
}

#[test]
fn f72_a_journal_of_another_account_is_named_with_both() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path(), &[]).unwrap();
    rig.start().unwrap();
    rig.daemon().proc.signal(Signal::TERM);
    rig.daemon().proc.wait_exit(SOON).unwrap();
    let before = exchange_requests(&rig);
    let other = "0x00000000000000000000000000000000000000a1";
    let set = format!("venue.hyperliquid.account={other}");
    let (code, _, err) = rig.run(&["--set", &set, "run"]).unwrap();
    assert_eq!(code, Some(65), "{err}");
    for word in ["testnet", plimsoll_tests::ACCOUNT, other, "use another state directory, or correct the configuration"] {
        assert!(err.contains(word), "{word:?} in {err}");
    }
    assert_eq!(exchange_requests(&rig), before);
}

/// Flips one byte of an intent in `file`, in every copy there: pages leave stale ones behind, and the last may belong to a group
/// that the kill tore before anybody was told that it is durable. Those may change or vanish; an acknowledged one may not.
fn flip(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let text_at =
        |bytes: &[u8], text: &[u8], from: usize| bytes[from..].windows(text.len()).position(|w| w == text).map(|n| from + n);
    // as far as the client name, which makes it one of its kind
    let start = text_at(&bytes, br#""kind":"intent","intent":{"key":"0x"#, 0).expect("an intent in the file");
    let text = bytes[start..start + 67].to_vec();
    let mut from = 0;
    while let Some(at) = text_at(&bytes, &text, from) {
        bytes[at + 9] ^= 0x01;
        from = at + text.len();
    }
    fs::write(file, bytes).unwrap();
}

fn check_refused(rig: &Rig, before: &Value) {
    let (code, _, err) = rig.run(&["run"]).unwrap();
    assert_eq!(code, Some(65), "{err}");
    for word in ["is damaged", "Do not trade on it", "Restore the whole directory from a backup", "move it aside"] {
        assert!(err.contains(word), "{word:?} in {err}");
    }
    assert!(!err.contains("--adopt"), "there is no such option: {err}");
    assert_eq!(exchange_requests(rig), *before, "something was sent on a damaged journal");
    let (code, out, err) = rig.run(&["audit"]).unwrap();
    assert_ne!(code, Some(0), "{out}{err}");
}

#[test]
fn f71_a_flipped_byte_in_the_database_stops_everything() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path(), &[]).unwrap();
    rig.start().unwrap();
    let parent = rig.submit("buy", "0.1", "3s", &["--slices", "6"]).unwrap();
    rig.wait_ended(&[parent], SOON).unwrap();
    rig.daemon().proc.signal(Signal::TERM);
    rig.daemon().proc.wait_exit(SOON).unwrap();
    let before = exchange_requests(&rig);
    flip(&rig.journal_dir().join("journal.db"));
    check_refused(&rig, &before);
}

#[test]
fn f70_a_flipped_byte_in_the_log_of_a_killed_daemon_stops_everything_and_the_advice_works() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path(), &[]).unwrap();
    rig.start().unwrap();
    rig.submit("buy", "0.2", "60s", &PASSIVE).unwrap();
    rig.wait_venue("a resting order", SOON, |truth| !open_in(truth).is_empty()).unwrap();
    rig.daemon().proc.kill9();
    let before = exchange_requests(&rig);
    flip(&rig.journal_dir().join("journal.db-wal"));
    check_refused(&rig, &before);
    // as the message says: aside with it. What the lost journal left at the venue is not ours any more, and freezes its market.
    fs::rename(rig.journal_dir(), dir.path().join("state/journal.damaged")).unwrap();
    rig.spawn().unwrap();
    let frozen = |s: &Value| s["desk"]["ready"] == true && s["desk"]["frozen"] != serde_json::json!([]);
    let status = rig.wait("a frozen market", SOON, frozen).unwrap();
    assert!(
        status["desk"]["frozen"][0][1].as_str().unwrap().contains("an order that is not ours"),
        "{}",
        status["desk"]["frozen"]
    );
    assert_eq!(status["connector"]["orders_sent"], 0);
}

/// The script that gives a daemon a disk of its own: 4 MiB, filled when the test says so.
const ON_A_SMALL_DISK: &str = r#"
mkdir -p state && mount -t tmpfs -o size=4m tmpfs state || exit 99
"$PLIMSOLL" --config daemon.toml --set daemon.socket=op.sock run &
daemon=$!
turns=0
while [ ! -e fill ] && [ $turns -lt 1200 ]; do turns=$((turns + 1)); sleep 0.05; done
dd if=/dev/zero of=state/filling bs=4096 2>/dev/null
echo filled
wait $daemon
echo "daemon ended with $?"
{ [ -e state/STOP ] || grep -q '"trigger":"journal"' state/journal/LATCH; } && echo "stopped beside the journal"
rm state/filling
"$PLIMSOLL" --config daemon.toml audit
echo "audit ended with $?"
"#;

fn bare(program: &str, args: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(program);
    command.args(args);
    command
}

#[test]
fn f66_a_full_disk_ends_the_daemon_with_everything_cancelled_and_the_journal_whole() {
    const TEST: &str = "f66_a_full_disk_ends_the_daemon_with_everything_cancelled_and_the_journal_whole";
    let unshare = ["--user", "--map-root-user", "--mount", "sh", "-c"];
    let mut probe = unshare.to_vec();
    probe.push("mount -t tmpfs -o size=4m tmpfs /mnt");
    if !bare("unshare", &probe).output().is_ok_and(|o| o.status.success()) {
        skip(TEST, &Missing("no unprivileged user namespace in which to mount a small disk".to_owned()));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::new(dir.path(), &[]).unwrap();
    // a position to reduce: with so little room nothing else is allowed
    let bought = client::place(&rig, true, "62500", "0.2", "Ioc", None);
    assert!(bought["filled"].is_object(), "{bought}");
    let mut args = unshare.to_vec();
    args.push(ON_A_SMALL_DISK);
    let mut command = bare("unshare", &args);
    command.current_dir(dir.path()).env("PLIMSOLL", plimsoll_tests::daemon_binary().unwrap()).env("NO_COLOR", "1");
    let mut script = plimsoll_tests::Proc::spawn("a daemon on a small disk", &mut command).unwrap();
    let socket: PathBuf = dir.path().join("op.sock");
    let status = wait(&socket, |s| s["desk"]["ready"] == true && s["desk"]["stop"] == "reduce_only");
    assert!(status["desk"]["stop_cause"].as_str().unwrap().contains("512 MiB"), "{}", status["desk"]["stop_cause"]);
    wait(&socket, |s| !s["desk"]["guard"]["markets"]["hyperliquid:BTC"]["book_age_ms"].is_null());
    let sell = ["--instrument", "hyperliquid:BTC", "--side", "sell", "--quantity", "0.1", "--horizon", "60s"];
    let mut submit = vec!["--config", "daemon.toml", "--set", "daemon.socket=op.sock", "submit", "--reduce-only"];
    submit.extend(sell.iter().chain(&PASSIVE));
    let (code, _, err) = Daemon::run(dir.path(), &submit, SOON).unwrap();
    assert_eq!(code, Some(0), "{err}");
    rig.wait_venue("a resting reduction", SOON, |truth| !open_in(truth).is_empty()).unwrap();
    fs::write(dir.path().join("fill"), "").unwrap();
    script.wait_line("a full disk", SOON, |line| line == "filled").unwrap();
    // anything that must be recorded meets the full disk
    let kill = ["--config", "daemon.toml", "--set", "daemon.socket=op.sock", "pause", "1"];
    let until = Instant::now() + SOON;
    while Daemon::run(dir.path(), &kill, SOON).unwrap().0 == Some(0) {
        assert!(Instant::now() < until, "the journal takes records on a full disk");
        let resume = ["--config", "daemon.toml", "--set", "daemon.socket=op.sock", "resume", "1"];
        Daemon::run(dir.path(), &resume, SOON).unwrap();
    }
    let exit = script.wait_exit(SOON).unwrap();
    let said = script.last_words();
    assert!(exit.success() && said.contains("daemon ended with 74") && said.contains("can no longer be written"), "{said}");
    assert!(said.contains("stopped beside the journal"), "the second store is set although the disk is full (I21): {said}");
    assert!(said.contains("; 0 findings") && said.contains("audit ended with 0"), "what was acknowledged is whole: {said}");
    assert_eq!(rig.open_orders().unwrap(), Vec::<Value>::new(), "{said}");
}

fn wait(socket: &Path, wanted: impl Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + SOON;
    loop {
        if let Ok(status) = http::get_unix(socket, "/status")
            && wanted(&status)
        {
            return status;
        }
        assert!(Instant::now() < until, "the daemon on the small disk did not get there");
        std::thread::sleep(Duration::from_millis(25));
    }
}
