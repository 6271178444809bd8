//! The daemon falls silent. Somebody else empties the venue: the watchdog, a person's hand, or the venue itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use plimsoll_tests::rig::open_in;
use plimsoll_tests::{Daemon, Missing, Proc, Rig, http, skip};
use rustix::process::Signal;
use serde_json::{Value, json};
use wire::hyperliquid::action::{Action, ApproveAgent};
use wire::hyperliquid::sign::{Key, Network, sign};

use crate::client;

const SOON: Duration = Duration::from_secs(60);
/// A throw-away key, which the account of the tests approves as the watchdog's.
const WATCHDOG_KEY: &str = "0x5757575757575757575757575757575757575757575757575757575757575757";
const PASSIVE: [&str; 4] = ["--slices", "2", "--placement", "passive"];

/// A venue, and the configuration of a daemon that is watched with a key of the watchdog's own.
fn rig(dir: &Path, watchdog: &str, set: &[&str]) -> Rig {
    let section = format!("[watchdog]\nkey_file = \"watchdog.key\"\n{watchdog}");
    let rig = Rig::on(dir, &[], &section, set).unwrap();
    approve(&rig, dir);
    rig
}

/// Puts the watchdog's key into `dir`, and has the account approve it.
pub fn approve(rig: &Rig, dir: &Path) {
    fs::write(dir.join("watchdog.key"), WATCHDOG_KEY).unwrap();
    fs::set_permissions(dir.join("watchdog.key"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let nonce = u64::try_from(now.as_millis()).unwrap();
    let approval = Action::ApproveAgent(ApproveAgent {
        signature_chain_id: "0x66eee".parse().unwrap(),
        hyperliquid_chain: Network::Testnet,
        agent_address: Key::from_hex(WATCHDOG_KEY).unwrap().address(),
        agent_name: Some("watchdog".to_owned()),
        nonce,
    });
    let master = Key::from_hex(plimsoll_tests::KEY).unwrap();
    let signed = sign(&master, approval, nonce, None, None, Network::Testnet).unwrap();
    let answer = http::post(&rig.venue.url(), "/exchange", &serde_json::to_value(&signed).unwrap()).unwrap();
    assert_eq!(answer["status"], "ok", "{answer}");
}

/// `plimsoll watchdog`, and what it says.
pub struct Watchdog {
    daemon: Daemon,
}

impl Watchdog {
    pub fn start(dir: &Path) -> Watchdog {
        Watchdog::with(dir, "watchdog.first_beat=20s")
    }

    fn with(dir: &Path, set: &str) -> Watchdog {
        Watchdog { daemon: Daemon::spawn(dir, &["--config", "daemon.toml", "--set", set, "watchdog"], &[]).unwrap() }
    }

    pub fn wait(&mut self, words: &str) -> String {
        let until = Instant::now() + SOON;
        loop {
            if let Some(line) = self.daemon.proc.stderr().into_iter().find(|line| line.contains(words)) {
                return line;
            }
            assert!(self.daemon.proc.ended().is_none() && Instant::now() < until, "{words}: {}", self.daemon.proc.last_words());
            std::thread::sleep(Duration::from_millis(25));
        }
    }

    /// Waits until it has said `words` so many times.
    fn wait_times(&mut self, words: &str, times: usize) {
        let until = Instant::now() + SOON;
        while self.daemon.proc.stderr().iter().filter(|line| line.contains(words)).count() < times {
            assert!(self.daemon.proc.ended().is_none() && Instant::now() < until, "{words}: {}", self.daemon.proc.last_words());
            std::thread::sleep(Duration::from_millis(25));
        }
    }

    fn has_said(&self, words: &str) -> bool {
        self.daemon.proc.stderr().iter().any(|line| line.contains(words))
    }
}

fn stop_file(dir: &Path) -> PathBuf {
    dir.join("state/STOP")
}

fn wait_empty(rig: &Rig) -> Value {
    rig.wait_venue("an empty venue", SOON, |truth| open_in(truth).is_empty()).unwrap()
}

/// Orders that reached the venue's door from arrival `since` on.
fn orders_since(rig: &Rig, since: &Value) -> usize {
    let page = http::get(&rig.venue.url(), &format!("/control/wire?since={since}")).unwrap();
    page["arrivals"].as_array().unwrap().iter().filter(|a| a["kind"] == "order" || a["kind"] == "batchModify").count()
}

fn wire_next(rig: &Rig) -> Value {
    http::get(&rig.venue.url(), "/control/wire?since=999999999").unwrap()["next"].clone()
}

/// A resting order that the daemon does not know.
fn strange(rig: &Rig) {
    let placed = client::place(rig, true, "30000", "0.01", "Gtc", None);
    assert!(placed["resting"].is_object(), "{placed}");
}

#[test]
fn c25_f53_a_stopped_daemon_is_cleared_up_after_and_sends_nothing_when_it_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = rig(dir.path(), "limit = \"8s\"\n", &["daemon.foreign=report"]);
    rig.start().unwrap();
    let mut watchdog = Watchdog::start(dir.path());
    watchdog.wait("the venue takes this watchdog's key for the account");
    watchdog.wait("the daemon is alive");
    rig.submit("buy", "0.2", "10m", &PASSIVE).unwrap();
    rig.submit("sell", "0.1", "10m", &["--slices", "60", "--placement", "pegged"]).unwrap();
    rig.wait_venue("a resting order", SOON, |truth| !open_in(truth).is_empty()).unwrap();
    rig.wait("a daemon that knows it is watched", SOON, |s| s["watched"] == true).unwrap();

    // slow is not dead
    for _ in 0..2 {
        rig.daemon().proc.signal(Signal::STOP);
        std::thread::sleep(Duration::from_millis(1_500));
        rig.daemon().proc.signal(Signal::CONT);
        std::thread::sleep(Duration::from_millis(500));
    }
    let status = rig.wait("a daemon that trades", SOON, |s| s["desk"]["stop"] == "run").unwrap();
    assert!(!stop_file(dir.path()).exists() && !watchdog.has_said("silent"), "{}", watchdog.daemon.proc.last_words());
    assert_eq!(status["gate"]["closed"], false);

    strange(&rig);
    rig.daemon().proc.signal(Signal::STOP);
    wait_empty(&rig);
    let stop = fs::read_to_string(stop_file(dir.path())).unwrap();
    assert!(stop.starts_with("cancel the watchdog: the heartbeat is "), "{stop}");
    watchdog.wait("the venue is empty, seen twice");
    // it keeps looking
    strange(&rig);
    wait_empty(&rig);
    watchdog.wait("orders appeared at the venue");

    let next = wire_next(&rig);
    rig.daemon().proc.signal(Signal::CONT);
    let status = rig.wait("a daemon that stays stopped", SOON, |s| s["desk"]["stop"] == "cancel").unwrap();
    assert_eq!(status["gate"]["closed"], true);
    watchdog.wait("the daemon is back and stopped");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(orders_since(&rig, &next), 0, "an order left a daemon that was away");
    assert_eq!(rig.open_orders().unwrap(), Vec::<Value>::new());

    // a person has the last word, and what he says is kept over a restart
    rig.daemon().proc.kill9();
    rig.spawn().unwrap();
    let status = rig.wait("a daemon that starts stopped", SOON, |s| s["desk"]["ready"] == true).unwrap();
    assert_eq!(status["desk"]["stop"], "cancel", "{}", status["desk"]);
    assert_eq!(orders_since(&rig, &next), 0);
}

#[test]
fn c25_g23_a_killed_daemon_is_cleared_up_after_and_one_that_leaves_is_not_chased() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = rig(dir.path(), "limit = \"3s\"\n", &["daemon.foreign=report"]);
    // before there is any heartbeat
    let mut watchdog = Watchdog::start(dir.path());
    watchdog.wait("no fresh heartbeat yet");
    rig.start().unwrap();
    watchdog.wait("the daemon is alive");
    rig.submit("buy", "0.2", "10m", &PASSIVE).unwrap();
    rig.wait_venue("a resting order", SOON, |truth| !open_in(truth).is_empty()).unwrap();
    rig.daemon().proc.signal(Signal::TERM);
    assert_eq!(rig.daemon().proc.wait_exit(SOON).unwrap().code(), Some(0), "{}", rig.daemon().proc.last_words());
    watchdog.wait("the daemon has ended and left nothing open");
    std::thread::sleep(Duration::from_secs(4));
    assert!(!stop_file(dir.path()).exists() && !watchdog.has_said("silent"), "{}", watchdog.daemon.proc.last_words());

    rig.start().unwrap();
    rig.wait_venue("a resting order", SOON, |truth| !open_in(truth).is_empty()).unwrap();
    strange(&rig);
    rig.daemon().proc.kill9();
    wait_empty(&rig);
    assert!(stop_file(dir.path()).exists());
    watchdog.wait("the venue is empty, seen twice");
    let next = wire_next(&rig);
    rig.spawn().unwrap();
    rig.wait("a daemon that starts stopped", SOON, |s| s["desk"]["ready"] == true && s["desk"]["stop"] == "cancel").unwrap();
    assert_eq!(orders_since(&rig, &next), 0);
    watchdog.wait("the daemon is back and stopped");

    // what said farewell is spoilt, so nobody vouches for the account
    rig.daemon().proc.signal(Signal::TERM);
    rig.daemon().proc.wait_exit(SOON).unwrap();
    watchdog.wait_times("the daemon has ended and left nothing open", 2);
    fs::remove_file(stop_file(dir.path())).unwrap();
    fs::write(dir.path().join("state/heartbeat"), "junk").unwrap();
    strange(&rig);
    drop(watchdog);
    let mut watchdog = Watchdog::with(dir.path(), "watchdog.first_beat=2s");
    wait_empty(&rig);
    let line = watchdog.wait("the heartbeat cannot be read");
    assert!(line.contains("no fresh one came within 2.0 s"), "{line}");
    assert!(stop_file(dir.path()).exists());
}

/// A daemon and its watchdog on a disk of 4 MiB, which is full before the daemon falls silent.
const ON_A_SMALL_DISK: &str = r#"
mkdir -p state && mount -t tmpfs -o size=4m tmpfs state || exit 99
"$PLIMSOLL" --config daemon.toml --set daemon.socket=op.sock run &
daemon=$!
turns=0
while [ ! -e fill ] && [ $turns -lt 1200 ]; do turns=$((turns + 1)); sleep 0.05; done
"$PLIMSOLL" --config daemon.toml watchdog &
watchdog=$!
while [ ! -e watching ] && [ $turns -lt 2400 ]; do turns=$((turns + 1)); sleep 0.05; done
dd if=/dev/zero of=state/filling bs=4096 2>/dev/null
kill -STOP $daemon
echo filled
while [ ! -e end ] && [ $turns -lt 3600 ]; do turns=$((turns + 1)); sleep 0.05; done
ls -l state/STOP
kill -KILL $daemon $watchdog
"#;

#[test]
fn f66_c25_a_full_disk_keeps_no_watchdog_from_cancelling() {
    let unshare = ["--user", "--map-root-user", "--mount", "sh", "-c"];
    let probe = |script: &str| std::process::Command::new("unshare").args(unshare).arg(script).output();
    if !probe("mount -t tmpfs -o size=4m tmpfs /mnt").is_ok_and(|o| o.status.success()) {
        let why = Missing("no unprivileged user namespace in which to mount a small disk".to_owned());
        return skip("f66_c25_a_full_disk_keeps_no_watchdog_from_cancelling", &why);
    }
    let dir = tempfile::tempdir().unwrap();
    let rig = rig(dir.path(), "limit = \"3s\"\n", &[]);
    let mut command = std::process::Command::new("unshare");
    command.args(unshare).arg(ON_A_SMALL_DISK).current_dir(dir.path());
    command.env("PLIMSOLL", plimsoll_tests::daemon_binary().unwrap()).env("NO_COLOR", "1");
    let mut script = Proc::spawn("a daemon and its watchdog on a small disk", &mut command).unwrap();
    let until = Instant::now() + SOON;
    while !http::get_unix(&dir.path().join("op.sock"), "/status").is_ok_and(|s| s["desk"]["ready"] == true) {
        assert!(Instant::now() < until, "{}", script.last_words());
        std::thread::sleep(Duration::from_millis(25));
    }
    strange(&rig);
    fs::write(dir.path().join("fill"), "").unwrap();
    let said = |script: &Proc, words: &str| script.stderr().iter().any(|line| line.contains(words));
    while !said(&script, "the daemon is alive") {
        assert!(Instant::now() < until, "{}", script.last_words());
        std::thread::sleep(Duration::from_millis(25));
    }
    fs::write(dir.path().join("watching"), "").unwrap();
    script.wait_line("a full disk", SOON, |line| line == "filled").unwrap();
    wait_empty(&rig);
    let until = Instant::now() + SOON;
    while !said(&script, "the venue is empty, seen twice") {
        assert!(Instant::now() < until, "{}", script.last_words());
        std::thread::sleep(Duration::from_millis(25));
    }
    assert!(said(&script, "STOP could not be written") && said(&script, "cancelling all the same"), "{}", script.last_words());
    fs::write(dir.path().join("end"), "").unwrap();
    script.wait_exit(SOON).unwrap();
    assert!(script.stdout().iter().any(|line| line.contains("state/STOP")), "an empty one fits: {}", script.last_words());
}

#[test]
fn c36_g24_kill_direct_empties_the_venue_of_a_daemon_that_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = rig(dir.path(), "", &["daemon.foreign=report", "daemon.expires_after=3s"]);
    rig.start().unwrap();
    rig.submit("buy", "0.2", "10m", &PASSIVE).unwrap();
    rig.wait_venue("a resting order", SOON, |truth| !open_in(truth).is_empty()).unwrap();
    strange(&rig);
    rig.daemon().proc.signal(Signal::STOP);
    // a configuration that a daemon would refuse keeps nobody from stopping
    let broken = ["--set", "guard.leverage_max=1000", "--set", "daemon.reconcile_every=nonsense", "kill", "--direct"];
    let (code, _, err) = rig.run(&[&broken[..], &["--level", "flatten"]].concat()).unwrap();
    assert!(code == Some(1) && err.contains("level = flatten") && err.contains("expected cancel"), "{err}");
    assert!(!open_in(&rig.truth().unwrap()).is_empty());
    let (code, out, err) = rig.run(&[&broken[..], &["--cause", "it hangs"]].concat()).unwrap();
    assert_eq!(code, Some(0), "{out}\n{err}");
    assert_eq!(rig.open_orders().unwrap(), Vec::<Value>::new());
    let signer = Key::from_hex(WATCHDOG_KEY).unwrap().address().to_string();
    for words in ["STOP is in", plimsoll_tests::ACCOUNT, &signer, "seen empty twice after", "looking again in"] {
        assert!(out.contains(words), "{words:?} in {out}");
    }
    // the daemon's own key does as well, with no file to write to and nothing to cancel
    let set = ["--set", "watchdog.key_file=none", "--set", "watchdog.dir=/proc/nowhere", "kill", "--direct"];
    let (code, out, err) = rig.run(&set).unwrap();
    assert!(code == Some(0) && out.contains(&format!("signed by {}", plimsoll_tests::ACCOUNT)), "{out}\n{err}");
    assert!(err.contains("STOP could not be written") && out.contains("cancelled 0"), "{out}\n{err}");
    let next = wire_next(&rig);
    rig.daemon().proc.signal(Signal::CONT);
    let status = rig.wait("a stopped daemon", SOON, |s| s["desk"]["stop"] == "cancel").unwrap();
    assert_eq!(orders_since(&rig, &next), 0, "{}", status["desk"]);
    // the venue is gone: that is no success
    rig.venue.proc.kill9();
    let (code, out, err) = rig.run(&["kill", "--direct", "--within", "2s"]).unwrap();
    assert!(code == Some(69) && !out.contains("seen empty"), "{code:?} {out}\n{err}");
}

#[test]
fn c24_the_venues_dead_man_is_set_where_it_is_allowed_and_its_absence_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path(), &[]).unwrap();
    let status = rig.start().unwrap();
    assert_eq!(status["dead_man"], json!({ "state": "idle" }));
    rig.submit("buy", "0.2", "10m", &PASSIVE).unwrap();
    let status = rig.wait("a dead-man", SOON, |s| s["dead_man"]["state"] == "set").unwrap();
    assert!(status["dead_man"]["fires_ms"].as_u64() > Some(0) && status["watched"] == false, "{status}");
    assert!(rig.ok(&["status"]).unwrap().contains("watchdog: NONE"));
    strange(&rig);
    // nobody else is there: the venue itself does it, twenty seconds after it last heard of us
    rig.daemon().proc.kill9();
    let truth = wait_empty(&rig);
    let ended: Vec<&Value> = truth["orders"].as_array().unwrap().iter().map(|o| &o["status"]).collect();
    assert!(ended.contains(&&json!("scheduledCancel")), "{ended:?}");

    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::on(dir.path(), &["paper.rate_limits=venue"], "", &[]).unwrap();
    rig.start().unwrap();
    rig.submit("buy", "0.05", "10m", &PASSIVE).unwrap();
    let status = rig.wait("a refusal", SOON, |s| s["dead_man"]["state"] == "refused").unwrap();
    let why = status["dead_man"]["why"].as_str().unwrap();
    assert!(why.contains("enough volume traded. Required: $1000000"), "{why}");
    assert!(rig.ok(&["status"]).unwrap().contains("venue's dead-man: NONE, refused by the venue"));
}
