//! Telling people: the real binary and servers that fail, hang and answer.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use plimsoll_tests::{Daemon, Rig};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(60);
const SECRETS: [&str; 4] = ["hook-s3cr3t", "bearer-s3cr3t", "123456:bot-s3cr3t", "services/T0/B0/slack-s3cr3t"];

/// A server at which all three kinds of target end, told apart by their paths.
struct People {
    url: String,
    mode: Arc<AtomicU8>,
    got: Arc<Mutex<Vec<(String, Value)>>>,
}

/// Answers 503 with a body that quotes what it was sent.
const FAIL: u8 = 0;
/// Takes the request and says nothing.
const HANG: u8 = 1;
/// Takes everything.
const TAKE: u8 = 2;

impl People {
    fn start() -> People {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (mode, got) = (Arc::new(AtomicU8::new(FAIL)), Arc::new(Mutex::new(Vec::new())));
        let (their_mode, their_got) = (Arc::clone(&mode), Arc::clone(&got));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (mode, got) = (Arc::clone(&their_mode), Arc::clone(&their_got));
                thread::spawn(move || serve(stream, &mode, &got));
            }
        });
        People { url, mode, got }
    }

    fn turn(&self, mode: u8) {
        self.mode.store(mode, Ordering::SeqCst);
    }

    /// What came whose path contains `path`.
    fn got(&self, path: &str) -> Vec<Value> {
        self.got.lock().unwrap().iter().filter(|(at, _)| at.contains(path)).map(|(_, body)| body.clone()).collect()
    }

    /// Waits until something with `words` in it has come to `path`.
    fn wait(&self, path: &str, words: &str) -> Value {
        let until = Instant::now() + SOON;
        loop {
            if let Some(body) = self.got(path).into_iter().find(|body| body.to_string().contains(words)) {
                return body;
            }
            assert!(Instant::now() < until, "{words:?} never came to {path}: {:?}", self.got.lock().unwrap());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn forget(&self) {
        self.got.lock().unwrap().clear();
    }
}

/// One request per connection.
fn serve(mut stream: TcpStream, mode: &AtomicU8, got: &Mutex<Vec<(String, Value)>>) -> Option<()> {
    let mut bytes = Vec::new();
    let (head, length) = loop {
        let mut chunk = [0; 4_096];
        let n = stream.read(&mut chunk).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&chunk[..n]);
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
            let length = head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            bytes.drain(..at + 4);
            break (head, length.unwrap_or(0));
        }
    };
    while bytes.len() < length {
        let mut chunk = [0; 4_096];
        let n = stream.read(&mut chunk).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&chunk[..n]);
    }
    let path = head.split_whitespace().nth(1)?.to_owned();
    got.lock().unwrap().push((path.clone(), serde_json::from_slice(&bytes).unwrap_or_default()));
    let (status, body) = match mode.load(Ordering::SeqCst) {
        HANG => {
            // until the client leaves
            let _left = stream.read(&mut [0]);
            return None;
        }
        TAKE if path.starts_with("/bot") => (200, r#"{"ok":true,"result":{}}"#.to_owned()),
        TAKE => (200, "ok".to_owned()),
        _ => (503, format!("cannot take {head}")),
    };
    let answer = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).ok()
}

fn secret(dir: &Path, name: &str, text: &str) {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(dir.join(name)).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Three targets at `url`, as sections of the configuration and files beside it.
fn targets(dir: &Path, url: &str) -> String {
    secret(dir, "hook.url", &format!("{url}/{}\n", SECRETS[0]));
    secret(dir, "hook.token", SECRETS[1]);
    secret(dir, "bot.token", SECRETS[2]);
    secret(dir, "slack.url", &format!("{url}/{}", SECRETS[3]));
    format!(
        "[alerts]\nenabled = true\nname = \"rig\"\nunattended_after = \"2s\"\n\
         [alerts.target.hook]\nkind = \"webhook\"\nurl_file = \"hook.url\"\nbearer_file = \"hook.token\"\n\
         [alerts.target.bot]\nkind = \"telegram\"\ntoken_file = \"bot.token\"\nchat = \"-100\"\napi = \"{url}\"\n\
         [alerts.target.slack]\nkind = \"slack\"\nurl_file = \"slack.url\"\n"
    )
}

/// F105, and SIGKILL between record and delivery: whatever happens to targets and daemon, people hear of it, once, and it ends when
/// somebody acts.
#[test]
fn a_stop_reaches_people_over_failures_and_sigkill_and_ends_when_acknowledged_f105() {
    let dir = tempfile::tempdir().unwrap();
    let people = People::start();
    let mut rig = Rig::on(dir.path(), &[], &targets(dir.path(), &people.url), &[]).unwrap();
    rig.start().unwrap();
    assert_eq!(rig.status().unwrap()["alerting"]["light"], "green");
    rig.ok(&["kill", "--level", "block", "--scope", "market:hyperliquid:BTC", "--cause", "one market"]).unwrap();
    // nobody can be told: positions may only shrink, by itself
    let reduced = |s: &Value| s["desk"]["stop"] == "reduce_only" && s["alerting"]["light"] == "red";
    let status = rig.wait("a stop by silence, and a red light", SOON, reduced).unwrap();
    assert!(status["desk"]["stop_cause"].as_str().is_some_and(|c| c.contains("reaches nobody")), "{}", status["desk"]);
    // the status is a flush ahead of the journal
    let until = Instant::now() + SOON;
    while !rig.ok(&["export"]).unwrap().contains(r#""trigger":"alerts""#) {
        assert!(Instant::now() < until, "the journal does not say what stopped it");
        thread::sleep(Duration::from_millis(50));
    }
    let head = rig.ok(&["status"]).unwrap();
    assert!(head.contains("alerting RED"), "{head}");
    // the messages are under way, or between two tries, when the process dies
    people.forget();
    people.turn(HANG);
    people.wait("hook", "one market");
    let first = rig.daemon().proc.stderr();
    rig.daemon().proc.kill9();
    let listing = rig.ok(&["alerts"]).unwrap();
    assert!(listing.contains("told nobody yet · UNACKNOWLEDGED"), "{listing}");
    people.forget();
    people.turn(TAKE);
    rig.spawn().unwrap();
    for (path, words) in [("hook", "one market"), ("hook", "reaches nobody"), ("/bot", "one market"), ("slack", "reaches nobody")]
    {
        people.wait(path, words);
    }
    let hook = people.wait("hook", "one market");
    assert_eq!(
        (&hook["from"], &hook["severity"], &hook["topic"], &hook["id"]),
        (&"rig".into(), &"act".into(), &"stopped".into(), &"A1".into())
    );
    assert!(
        hook["cause"] == "level block (market:hyperliquid:BTC): one market" && hook["state"]["accounts"][0]["equity"].is_string(),
        "{hook}"
    );
    assert!(hook["done"].as_str().is_some_and(|t| t.starts_with("no new order is sent")), "{hook}");
    assert!(hook["todo"].as_str().is_some_and(|t| t.contains("plimsoll rearm --reason")), "{hook}");
    let bot = people.wait("/bot", "one market");
    assert!(
        bot["chat_id"] == -100 && bot["text"].as_str().is_some_and(|t| t.contains("Acknowledge: plimsoll alerts ack A1")),
        "{bot}"
    );
    rig.wait("a green light", SOON, |s| s["alerting"]["light"] == "green" && s["alerting"]["unacknowledged"] == 2).unwrap();
    assert_eq!(people.got("hook").len(), 2, "told once, not at every start: {:?}", people.got("hook"));
    let unknown = rig.refused(&["alerts", "ack", "A77"]).unwrap();
    assert!(unknown.contains("alert = A77: one of A1, A2"), "{unknown}");
    for id in ["A1", "a2"] {
        rig.ok(&["alerts", "ack", id, "--by", "ada"]).unwrap();
    }
    let listing: Value = serde_json::from_str(&rig.ok(&["alerts", "--json"]).unwrap()).unwrap();
    let acks: Vec<&Value> = listing["alerts"].as_array().unwrap().iter().map(|a| &a["ack"]["by"]).collect();
    assert_eq!(acks, ["ada", "ada"], "{listing}");
    rig.daemon().proc.signal(rustix::process::Signal::TERM);
    rig.daemon().proc.wait_exit(SOON).unwrap();
    let told = rig.ok(&["alerts"]).unwrap();
    assert!(told.contains("acknowledged by ada"), "{told}");
    // I31: not in logs, journal, status, listings or the store
    let mut everything =
        vec![head, told, listing.to_string(), status.to_string(), rig.ok(&["export"]).unwrap(), rig.ok(&["check"]).unwrap()];
    everything.extend(first);
    everything.extend(rig.daemon().proc.stderr());
    everything.push(fs::read_to_string(dir.path().join("state/alerts.log")).unwrap());
    for text in everything {
        assert!(!text.contains("s3cr3t"), "{text}");
    }
}

#[test]
fn a_trial_says_what_each_target_answers_and_bad_targets_are_named_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let people = People::start();
    let config = "[venue.hyperliquid]\nmode = \"embedded\"\n[[venue.hyperliquid.markets]]\nname = \"BTC\"\n[guard]\nallow = [\"hyperliquid:BTC\"]\n";
    let write = |more: &str| fs::write(dir.path().join("a.toml"), format!("{config}{more}")).unwrap();
    let run = |args: &[&str]| {
        let args = [&["--config", "a.toml"], args].concat();
        let (code, out, err) = Daemon::run(dir.path(), &args, SOON).unwrap();
        assert!(!format!("{out}{err}").contains("s3cr3t"), "{out}{err}");
        (code, out, err)
    };
    write("");
    let (code, _, err) = run(&["alerts", "test"]);
    assert!(code == Some(78) && err.contains("alerts.enabled = true switches it on"), "{err}");
    write(&targets(dir.path(), &people.url));
    let (code, out, _) = run(&["alerts", "test"]);
    assert_eq!(code, Some(1), "{out}");
    for name in ["bot", "hook", "slack"] {
        let line = out.lines().find(|l| l.starts_with(name)).unwrap_or_default();
        assert!(line.contains("does not have it, and another time might (HTTP 503: cannot take POST "), "{out}");
    }
    people.turn(TAKE);
    let (code, out, _) = run(&["alerts", "test", "--target", "slack"]);
    assert_eq!((code, out.trim()), (Some(0), "slack: has it (HTTP 200: ok)"));
    assert!(
        people.wait("slack", "somebody ran plimsoll alerts test")["text"]
            .as_str()
            .is_some_and(|t| t.starts_with("ACT · test · A0 · rig"))
    );
    let (code, _, err) = run(&["alerts", "test", "--target", "pigeon"]);
    assert!(code == Some(1) && err.contains("target = pigeon: one of bot, hook, slack"), "{err}");
    let (code, out, _) = run(&["alerts"]);
    assert!(code == Some(0) && out.contains("no alert is known"), "{out}");
    fs::set_permissions(dir.path().join("bot.token"), fs::Permissions::from_mode(0o644)).unwrap();
    for task in [&["run"][..], &["alerts", "test"]] {
        let (code, _, err) = run(task);
        assert!(code == Some(78) && err.contains("alerts.target.bot.token_file") && err.contains("chmod 600"), "{code:?} {err}");
    }
}
