//! The configuration file of a running daemon, mutated in every way that hands and tools slip: nothing is accepted wrongly, each
//! fault is named, and trading goes on by what was in force (F95 to F99, G45).

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::Duration;

use plimsoll_tests::Rig;
use rustix::process::Signal;
use serde_json::Value;

const SOON: Duration = Duration::from_secs(60);

/// What must become of a file, and a word that must be told of it.
#[derive(Clone, Copy, Debug)]
enum Want {
    /// Nothing is taken from it.
    Refused(&'static str),
    /// It is held until an operator applies it.
    Held(&'static str),
    /// It waits for a restart.
    Fixed(&'static str),
}
use Want::{Fixed, Held, Refused};

/// Line by line: what is there, what is there instead.
const SLIPS: &[(&str, &str, Want)] = &[
    // syntax and cut-off files
    ("[guard]", "[guard", Refused("TOML")),
    ("[guard]", "guard]", Refused("TOML")),
    ("[guard]", "[[guard]]", Refused("guard")),
    ("leverage = 20", "leverage = ", Refused("TOML")),
    ("leverage = 20", "leverage 20", Refused("TOML")),
    ("leverage = 20", "leverage = 20 20", Refused("TOML")),
    ("name = \"BTC\"", "name = \"BTC", Refused("TOML")),
    ("name = \"BTC\"", "name = BTC", Refused("TOML")),
    ("log = \"human\"", "log = 'human\"", Refused("TOML")),
    // duplicate, unknown and renamed keys
    ("leverage = 20", "leverage = 20\nleverage = 20", Refused("duplicate")),
    ("[guard]", "[daemon]\n[guard]", Refused("duplicate")),
    ("log = \"human\"", "log = \"human\"\nstate_dir = \"state\"", Refused("duplicate")),
    ("log = \"human\"", "logs = \"human\"", Refused("daemon.logs")),
    ("order_notional_max_usd", "order_notional_max", Refused("guard.order_notional_max")),
    ("order_notional_max_usd", "Order_Notional_Max_Usd", Refused("Order_Notional_Max_Usd")),
    ("parent_notional_max_usd", "parent_notional_usd_max", Refused("guard.parent_notional_usd_max")),
    ("[guard.sizing]", "[guard.size]", Refused("guard.size")),
    ("[guard.sizing]", "[guards.sizing]", Refused("guards")),
    ("[guard]", "bypass = true\n[guard]", Refused("bypass")),
    ("[guard]", "[dydx]\nmode = \"external\"\n[guard]", Refused("dydx")),
    // signs
    (
        "order_notional_max_usd = \"60000\"",
        "order_notional_max_usd = \"-60000\"",
        Refused("guard.order_notional_max_usd = -60000"),
    ),
    ("market_notional_max_usd = \"500000\"", "market_notional_max_usd = \"-0\"", Refused("guard.market_notional_max_usd")),
    ("depth_share = \"1000\"", "depth_share = \"-1000\"", Refused("guard.sizing.depth_share = -1000")),
    ("leverage = 20", "leverage = -20", Refused("leverage = -20")),
    ("other_equity_usd = \"100000000\"", "other_equity_usd = \"-1\"", Refused("guard.sizing.other_equity_usd = -1")),
    // units and forms
    ("order_notional_max_usd = \"60000\"", "order_notional_max_usd = \"60000 USD\"", Refused("60000 USD")),
    ("order_notional_max_usd = \"60000\"", "order_notional_max_usd = \"1 BTC\"", Refused("1 BTC")),
    ("order_notional_max_usd = \"60000\"", "order_notional_max_usd = \"60k\"", Refused("60k")),
    ("order_notional_max_usd = \"60000\"", "order_notional_max_usd = \"60,000\"", Refused("60,000")),
    ("order_notional_max_usd = \"60000\"", "order_notional_max_usd = \"6e4\"", Refused("6e4")),
    ("order_notional_max_usd = \"60000\"", "order_notional_max_usd = 60000.5", Refused("float")),
    ("order_notional_max_usd = \"60000\"", "order_notional_max_usd = true", Refused("order_notional_max_usd")),
    ("order_notional_max_usd = \"60000\"", "order_notional_max_usd = [60000]", Refused("order_notional_max_usd")),
    ("order_notional_max_usd = \"60000\"", "order_notional_max_usd = \"\"", Refused("order_notional_max_usd")),
    ("order_notional_max_usd = \"60000\"", "order_notional_max_usd = \"NaN\"", Refused("NaN")),
    ("order_notional_max_usd = \"60000\"", "order_notional_max_usd = \"0.0000001\"", Refused("order_notional_max_usd")),
    ("log = \"human\"", "log = \"human\"\nexpires_after = \"10\"", Refused("daemon.expires_after = 10")),
    ("log = \"human\"", "log = \"human\"\nexpires_after = \"10m\"", Refused("daemon.expires_after = 10m")),
    ("log = \"human\"", "log = \"human\"\nreconcile_every = 15000", Refused("daemon.reconcile_every = 15000")),
    ("log = \"human\"", "log = \"human\"\nunknown_max = \"3s\"", Refused("daemon.unknown_max = 3s")),
    // lists
    ("allow = [\"hyperliquid:BTC\"]", "allow = \"hyperliquid:BTC\"", Refused("guard.allow")),
    ("allow = [\"hyperliquid:BTC\"]", "allow = []", Refused("guard.allow")),
    ("allow = [\"hyperliquid:BTC\"]", "allow = [\"BTC\"]", Refused("guard.allow")),
    ("allow = [\"hyperliquid:BTC\"]", "allow = [\"hyperliquid:BTC\", \"hyperliquid:BTC\"]", Refused("guard.allow[1]")),
    ("allow = [\"hyperliquid:BTC\"]", "allow = [\"hyperliquid:ETH\"]", Refused("hyperliquid:BTC")),
    ("allow = [\"hyperliquid:BTC\"]", "allow = [\"hyperliquid:BTC\", \"hyperliquid:DOGE\"]", Held("guard.allow")),
    // a thousandfold, in range and out of it
    (
        "order_notional_max_usd = \"60000\"",
        "order_notional_max_usd = \"60000000\"",
        Held("guard.order_notional_max_usd: 60000 -> 60000000"),
    ),
    ("venue_notional_max_usd = \"500000\"", "venue_notional_max_usd = \"500000000\"", Held("guard.venue_notional_max_usd")),
    (
        "parents_per_hour_max_usd = \"2000000\"",
        "parents_per_hour_max_usd = \"2000000000\"",
        Held("guard.parents_per_hour_max_usd"),
    ),
    ("[guard.sizing]", "[guard.buffer]\nexit_minutes = \"1\"\n[guard.sizing]", Held("guard.buffer.exit_minutes")),
    ("[guard.sizing]", "[guard.cover]\nkill = \"1.01\"\n[guard.sizing]", Held("guard.cover.kill: 1.4 -> 1.01 (beyond double)")),
    ("order_notional_max_usd = \"60000\"", "order_notional_max_usd = \"60000000000000\"", Refused("order_notional_max_usd")),
    ("[guard.sizing]", "[guard.drawdown]\nday = \"30\"\n[guard.sizing]", Refused("guard.drawdown.day = 30")),
    ("[guard.sizing]", "leverage_max = \"3000\"\n[guard.sizing]", Refused("guard.leverage_max")),
    // another venue, another network, another account
    ("network = \"testnet\"", "network = \"mainnet\"", Fixed("venue.hyperliquid.network: testnet -> mainnet")),
    ("network = \"testnet\"", "network = \"moon\"", Refused("venue.hyperliquid.network = moon")),
    ("http = \"http://127", "http = \"https://api.hyperliquid.xyz\" # ", Refused("venue.hyperliquid.http")),
    ("http = \"http://127", "http = \"http://10.0.0.1:80\" # ", Refused("venue.hyperliquid.http")),
    (
        "account = \"0x9d8a62f656",
        "account = \"0x00000000000000000000000000000000000000aa\" # ",
        Fixed("venue.hyperliquid.account"),
    ),
    ("account = \"0x9d8a62f656", "account = \"0x9d8a\" # ", Refused("venue.hyperliquid.account = 0x9d8a")),
    ("key_file = \"agent.key\"", "key_file = \"other.key\"", Refused("venue.hyperliquid.key_file")),
    ("mode = \"external\"", "mode = \"embedded\"", Refused("venue.hyperliquid.http")),
    ("leverage = 20", "leverage = 2", Fixed("venue.hyperliquid.markets[0].leverage: 20 -> 2")),
    ("state_dir = \"state\"", "state_dir = \"elsewhere\"", Fixed("daemon.state_dir")),
];

struct Play {
    rig: Rig,
    file: PathBuf,
    text: String,
    limits: Value,
    cases: u32,
}

impl Play {
    /// Has the daemon look at the file, and returns its status after that look.
    fn look(&mut self, what: &str) -> Value {
        let before = self.rig.status().unwrap()["config"]["last"]["at"].as_u64().unwrap_or(0);
        self.rig.daemon().proc.signal(Signal::HUP);
        self.rig.wait(what, SOON, |s| s["config"]["last"]["at"].as_u64().is_some_and(|at| at > before)).unwrap()
    }

    /// Puts `bytes` in place as an editor does, by renaming.
    fn put(&self, bytes: &[u8]) {
        let draft = self.file.with_extension("draft");
        fs::write(&draft, bytes).unwrap();
        fs::rename(draft, &self.file).unwrap();
    }

    /// The daemon as it is now has been told `want`, and does what it did.
    fn check(&mut self, what: &str, want: Want) {
        self.cases += 1;
        let status = self.look(what);
        let config = &status["config"];
        let (outcome, why) = (config["last"]["outcome"].as_str().unwrap(), config["last"]["why"].to_string());
        let told = |list: &str| config[list].as_array().unwrap().iter().any(|c| c.as_str().unwrap().contains(word(want)));
        let good = match want {
            Refused(word) => outcome == "refused" && unquoted(&why).contains(word),
            Held(_) => outcome == "held" && told("held"),
            Fixed(_) => outcome == "held" && told("fixed") && config["held"].as_array().unwrap().is_empty(),
        };
        assert!(good, "{what}\nwanted {want:?}, and the daemon says {config:#}");
        assert_eq!(status["desk"]["guard"]["limits"], self.limits, "{what}: the limits in force changed");
        assert_eq!(status["desk"]["stop"], "run", "{what}");
    }
}

fn word(want: Want) -> &'static str {
    match want {
        Refused(word) | Held(word) | Fixed(word) => word,
    }
}

/// JSON's text of a text, as it was.
fn unquoted(json: &str) -> String {
    json.replace("\\\"", "\"")
}

#[test]
fn g45_no_mutated_file_is_accepted_wrongly_and_each_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path(), &[]).unwrap();
    let status = rig.start().unwrap();
    let file = dir.path().join("daemon.toml");
    let text = fs::read_to_string(&file).unwrap();
    let limits = status["desk"]["guard"]["limits"].clone();
    let mut play = Play { rig, file, text, limits, cases: 0 };
    for (from, to, want) in SLIPS {
        assert!(play.text.contains(from), "{from}");
        play.put(play.text.replacen(from, to, 1).as_bytes());
        play.check(&format!("{from} -> {to}"), *want);
    }
    bytes(&mut play);
    access(&mut play);
    assert!(play.cases >= 75, "{}", play.cases);
    // after all of it the daemon trades as it did
    play.put(play.text.clone().as_bytes());
    assert_eq!(play.look("the file as it was")["config"]["last"]["outcome"], "unchanged");
    let parent = play.rig.submit("buy", "0.01", "3s", &[]).unwrap();
    play.rig.wait_ended(&[parent], SOON).unwrap();
    let audit = play.rig.ok(&["audit"]).unwrap();
    assert!(audit.contains("0 findings"), "{audit}");
    changes(&mut play);
}

/// Files that are none.
fn bytes(play: &mut Play) {
    let text = play.text.clone();
    let cases: [(&str, Vec<u8>, Want); 9] = [
        ("nothing", Vec::new(), Refused("venue.hyperliquid")),
        ("a byte order mark", [b"\xEF\xBB\xBF".as_slice(), text.as_bytes()].concat(), Refused("byte order mark")),
        ("UTF-16", text.encode_utf16().flat_map(u16::to_le_bytes).collect(), Refused("NUL")),
        ("a NUL byte", text.replacen("20", "2\0", 1).into_bytes(), Refused("NUL")),
        ("Latin-1", [text.as_bytes(), b"# f\xFCr alle\n"].concat(), Refused("UTF-8")),
        ("a megabyte and more", [text.as_bytes(), &b"# and so on\n".repeat(100_000)].concat(), Refused("larger")),
        ("cut off in a section's name", text.as_bytes()[..text.find("[guard.siz").unwrap() + 8].to_vec(), Refused("TOML")),
        ("cut off before the guard", text.as_bytes()[..text.find("[guard]").unwrap()].to_vec(), Refused("guard.allow")),
        ("a log in its place", b"2026-01-01 started\n2026-01-01 stopped\n".to_vec(), Refused("TOML")),
    ];
    for (what, bytes, want) in cases {
        play.put(&bytes);
        play.check(what, want);
    }
}

/// Who could have written it, and where it leads (F99).
fn access(play: &mut Play) {
    let (text, file) = (play.text.clone(), play.file.clone());
    let loose = text.replacen("\"60000\"", "\"59000\"", 1);
    play.put(loose.as_bytes());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    play.check("everyone may write it", Refused("everyone"));
    let elsewhere = file.with_file_name("elsewhere.toml");
    fs::write(&elsewhere, &loose).unwrap();
    fs::remove_file(&file).unwrap();
    symlink(&elsewhere, &file).unwrap();
    play.check("a link to another file", Refused("led to"));
    fs::remove_file(&file).unwrap();
    play.check("gone", Refused("No such file"));
    symlink(file.with_file_name("nowhere.toml"), &file).unwrap();
    play.check("a link to nothing", Refused("No such file"));
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    play.check("a directory", Refused("directory"));
    fs::remove_dir(&file).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    play.check("a pipe that nobody writes to", Refused("no regular file"));
    fs::remove_file(&file).unwrap();
}

/// What does change: tightened by the mere change of the file, loosened by an operator, stopped by a file that is broken.
fn changes(play: &mut Play) {
    let mixed = play.text.replacen("order_notional_max_usd = \"60000\"", "order_notional_max_usd = \"50000\"", 1);
    let mixed = mixed.replacen("venue_notional_max_usd = \"500000\"", "venue_notional_max_usd = \"600000\"", 1);
    play.put(mixed.as_bytes());
    let said = play.rig.ok(&["check", "--diff"]).unwrap();
    assert!(said.contains("tighten guard.order_notional_max_usd: 60000 -> 50000"), "{said}");
    // no signal: the change of the file is seen by itself
    let status = play.rig.wait("a tightened limit", SOON, |s| s["config"]["last"]["outcome"] == "tightened").unwrap();
    let (limits, tight) = (play.limits.clone(), status["desk"]["guard"]["limits"].clone());
    assert_ne!(tight, limits);
    assert!(status["config"]["held"][0].as_str().unwrap().contains("guard.venue_notional_max_usd: 500000 -> 600000"));
    let wordless = play.rig.refused(&["apply", "--reason", " "]).unwrap();
    assert!(wordless.contains("why more is allowed"), "{wordless}");
    let another = play.rig.refused(&["apply", "--reason", "larger account", "--file", "00"]).unwrap();
    assert!(another.contains("the file whose changes are held"), "{another}");
    assert_eq!(play.rig.status().unwrap()["desk"]["guard"]["limits"], tight);
    let applied = play.rig.ok(&["apply", "--reason", "larger account"]).unwrap();
    assert!(applied.contains("guard.venue_notional_max_usd"), "{applied}");
    let status = play.rig.status().unwrap();
    assert!(status["desk"]["guard"]["limits"] != tight && status["config"]["held"].as_array().unwrap().is_empty());
    // C32, C34: a file that is broken and says stop stops; the file without it lets nothing go on
    play.put(format!("[kill]\nengaged = true\n{}", mixed.replacen("[guard]", "[guard", 1)).as_bytes());
    let stopped = |s: &Value| s["desk"]["stop"] == "cancel";
    play.rig.wait("a stop by the file", SOON, stopped).unwrap();
    let status = play.look("the broken file");
    assert_eq!((&status["config"]["last"]["outcome"], stopped(&status)), (&Value::from("refused"), true));
    // nor does it keep an operator out
    let (code, said, warned) = play.rig.run(&["kill", "--level", "flatten", "--cause", "the file is broken"]).unwrap();
    assert!(code == Some(0) && said.contains("all: flatten") && warned.contains("all the same"), "{said}{warned}");
    let stopped = |s: &Value| s["desk"]["stop"] == "flatten";
    play.put(mixed.as_bytes());
    let status = play.look("the file without the stop");
    assert!(status["config"]["last"]["outcome"] == "unchanged" && stopped(&status), "{}", status["config"]);
    // a restart with a looser file is an operator's act: applied, told, and still stopped
    play.rig.daemon().proc.kill9();
    play.put(mixed.replacen("\"600000\"", "\"700000\"", 1).as_bytes());
    play.rig.spawn().unwrap();
    let status = play.rig.wait("a daemon that is stopped as before", SOON, |s| s["desk"]["ready"] == true && stopped(s)).unwrap();
    let alerts = status["desk"]["alerts"].to_string();
    assert!(alerts.contains("guard.venue_notional_max_usd: 600000 -> 700000"), "{alerts}");
    let audit = play.rig.ok(&["audit"]).unwrap();
    assert!(audit.contains("0 findings"), "{audit}");
}
