//! Letting a stopped daemon trade again: two operators, each with a signature for this very stop, over a clean reading (C33, I23,
//! F101). One daemon with two tenures goes through every way of being refused before it trades again.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use plimsoll_tests::rig::open_in;
use plimsoll_tests::{Rig, Want};
use serde_json::{Value, json};
use wire::hyperliquid::sign::{Key, keccak};

use crate::client;

const SOON: Duration = Duration::from_secs(60);

fn key(n: u8) -> Key {
    Key::from_hex(&format!("{n:02x}").repeat(32)).unwrap()
}

fn key_file(dir: &Path, name: &str, n: u8) {
    let path = dir.join(format!("{name}.key"));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    write!(file, "0x{}", format!("{n:02x}").repeat(32)).unwrap();
}

/// What a wallet makes of a text (EIP-191).
fn sign(key: &Key, text: &str) -> String {
    let digest = keccak(&[format!("\x19Ethereum Signed Message:\n{}{text}", text.len()).as_bytes()]);
    let signature = key.sign(&digest);
    format!("0x{}{}{:02x}", hex::encode(signature.r), hex::encode(signature.s), signature.v)
}

/// A text to sign, and how to hand its signature in.
struct Text {
    whole: String,
    until: String,
    challenge: String,
}

impl Text {
    fn of(rig: &Rig, more: &[&str]) -> Text {
        let whole = rig.ok(&[&["rearm", "--reason", "looked", "--challenge"], more].concat()).unwrap();
        let after = |name: &str| whole.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        Text { until: after("until: "), challenge: after("challenge: "), whole }
    }

    fn args<'a>(&'a self, signature: &'a str) -> Vec<&'a str> {
        vec!["rearm", "--reason", "looked", "--until", &self.until, "--of", &self.challenge, "--signature", signature]
    }
}

fn by_key(file: &str) -> Vec<&str> {
    vec!["rearm", "--reason", "looked", "--operator-key", file]
}

/// Repeats a command until the venue has been read since the stop and what was open is over; what it says then.
fn after_reading(rig: &Rig, args: &[&str]) -> (Option<i32>, String) {
    let until = Instant::now() + SOON;
    loop {
        let (code, out, err) = rig.run(args).unwrap();
        let unread = ["reconcile = ", "orders = ", "clock = ", "loss = not known"].iter().any(|field| err.contains(field));
        if !unread || Instant::now() >= until {
            return (code, format!("{out}{err}"));
        }
        thread::sleep(Duration::from_millis(200));
    }
}

fn refused(rig: &Rig, args: &[&str], words: &str) {
    let (code, said) = after_reading(rig, args);
    assert!(code == Some(1) && said.contains(words), "{args:?}: {said}");
}

fn stopped(status: &Value) -> bool {
    status["desk"]["stop"] == "cancel"
}

#[test]
fn a_stopped_daemon_trades_again_by_two_signatures_for_this_stop_and_nothing_less_i23() {
    let dir = tempfile::tempdir().unwrap();
    for (name, n) in [("anna", 0x11), ("bob", 0x22), ("eve", 0x33)] {
        key_file(dir.path(), name, n);
    }
    let operators: String = [("anna", 0x11), ("bob", 0x22)]
        .iter()
        .map(|(name, n)| format!("[[operators]]\nname = \"{name}\"\naddress = \"{}\"\n", key(*n).address()))
        .collect();
    let mut rig = Rig::on(dir.path(), &[], &operators, &["daemon.reconcile_every=5s"]).unwrap();
    rig.start().unwrap();
    let parent = rig.submit("buy", "0.1", "20s", &["--slices", "2", "--placement", "passive"]).unwrap();
    rig.wait_venue("a resting order", SOON, |truth| !open_in(truth).is_empty()).unwrap();
    rig.ok(&["kill", "--cause", "fire drill"]).unwrap();
    rig.ok(&["kill", "--level", "block", "--scope", "market:hyperliquid:BTC", "--cause", "odd"]).unwrap();
    rig.wait("the latch", SOON, stopped).unwrap();

    // nobody, a stranger, and nonsense
    refused(&rig, &["rearm", "--reason", "looked"], "approval = (absent): approvals of 2 different of anna, bob");
    refused(&rig, &by_key("eve.key"), "operators are anna 0x");
    refused(&rig, &by_key("nobody.key"), "nobody.key");
    let now = Text::of(&rig, &[]);
    for line in
        ["rearm everything that is stopped", "- all at cancel, by operator", "- market:hyperliquid:BTC at block, by operator"]
    {
        assert!(now.whole.lines().any(|l| l == line), "{line}: {}", now.whole);
    }
    refused(&rig, &now.args("0xdead"), "65 bytes as 130 hexadecimal digits");
    refused(&rig, &now.args(&sign(&key(0x33), &now.whole)), "over exactly this text");
    // an approval for a market, handed in for everything: by its own challenge and by the other's
    let narrow = Text::of(&rig, &["--scope", "market:hyperliquid:BTC"]);
    let signature = sign(&key(0x11), &narrow.whole);
    refused(&rig, &narrow.args(&signature), "this one was used, or is for something else");
    refused(&rig, &Text { challenge: now.challenge.clone(), ..narrow }.args(&signature), "over exactly this text");
    refused(&rig, &[by_key("anna.key"), vec!["--until", "2026-01-01T00:00:00Z"]].concat(), "it has expired");
    refused(&rig, &[by_key("anna.key"), vec!["--until", "2036-01-01T00:00:00Z"]].concat(), "10m00s from now");
    // a cause that stands
    let sentinel = dir.path().join("state/STOP");
    fs::write(&sentinel, "").unwrap();
    refused(&rig, &by_key("anna.key"), "sentinel = ");
    fs::remove_file(&sentinel).unwrap();

    // one is not enough, and one twice is one
    let anna = sign(&key(0x11), &now.whole);
    let (code, said) = after_reading(&rig, &now.args(&anna));
    assert!(code == Some(0) && said.contains("approved by anna; 1 of 2: another operator must approve before"), "{said}");
    refused(&rig, &now.args(&anna), "operator = anna: another operator: she has approved already");
    refused(&rig, &by_key("anna.key"), "operator = anna: another operator: she has approved already");
    assert!(stopped(&rig.status().unwrap()));

    // hers survives the daemon
    rig.daemon().proc.kill9();
    rig.spawn().unwrap();
    rig.wait("a latched daemon that has read its venue", SOON, |s| s["desk"]["ready"] == true && stopped(s)).unwrap();
    rig.wait("an empty venue", SOON, |s| s["gate"]["sweeping"] == false).unwrap();
    refused(&rig, &["rearm", "--reason", "looked"], "so far: anna");

    // an order that nobody can explain: a dirty reading
    let oid = client::place(&rig, true, "60000", "0.05", "Gtc", None)["resting"]["oid"].as_u64().unwrap();
    rig.wait("a frozen market", SOON, |s| s["desk"]["frozen"] != json!([])).unwrap();
    let (code, _, said) = rig.run(&by_key("bob.key")).unwrap();
    assert!(code == Some(1) && said.contains("frozen = hyperliquid:BTC: a market that is not frozen"), "{said}");
    if open_in(&rig.truth().unwrap()).iter().any(|o| o["oid"] == oid) {
        client::cancel(&rig, oid);
    }
    refused(&rig, &by_key("bob.key"), "frozen = hyperliquid:BTC");
    rig.ok(&["unfreeze", "hyperliquid:BTC", "--reason", "it was me"]).unwrap();

    let now = Text::of(&rig, &[]);
    let bob = sign(&key(0x22), &now.whole);
    let (code, said) = after_reading(&rig, &now.args(&bob));
    assert!(code == Some(0) && said.contains("trading"), "{said}");
    rig.wait_ended(&[parent], SOON).unwrap();
    rig.settle(&[Want(parent, "buy", "0.1")]).unwrap();

    // the same bytes once more, for a stop of the same cause and level
    rig.ok(&["kill", "--cause", "fire drill"]).unwrap();
    for signature in [&anna, &bob] {
        refused(&rig, &now.args(signature), "this one was used, or is for something else");
    }
    assert!(stopped(&rig.status().unwrap()));
    // what is stopped below cancel needs one, and lets nothing else go on
    rig.ok(&["kill", "--level", "block", "--scope", "market:hyperliquid:BTC", "--cause", "odd"]).unwrap();
    let args = [by_key("bob.key"), vec!["--scope", "market:hyperliquid:BTC"]].concat();
    let (code, said) = after_reading(&rig, &args);
    assert!(code == Some(0) && said.contains("market:hyperliquid:BTC is no longer stopped by itself"), "{said}");
    assert!(stopped(&rig.status().unwrap()));
    let told = rig.ok(&["export"]).unwrap();
    let names = |kind: &str| told.lines().filter(|line| line.contains(&format!(r#""kind":"{kind}""#))).count();
    assert_eq!((names("approved"), names("rearm")), (3, 2), "anna, bob; bob for the market");
}
