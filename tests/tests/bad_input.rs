//! Bad input, from the operator and from the venue: named, counted, and never the end.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use plimsoll_tests::rig::progress;
use plimsoll_tests::{Daemon, Rig, Setup, Want};
use serde_json::{Value, json};

use crate::proxy::Proxy;

const SOON: Duration = Duration::from_secs(40);

/// What is made of the configuration, and the fault that it must give: path, value, what would be right.
const FAULTS: [(&str, &str, &str); 16] = [
    ("daemon.seed=many", "daemon.seed = many", "whole number"),
    ("daemon.expires_after=30s", "daemon.expires_after = 30s", "1s to 15s"),
    ("daemon.reconcile_every=1ms", "daemon.reconcile_every = 1ms", "2s to 60s"),
    ("daemon.foreign=ignore", "daemon.foreign = ignore", "freeze or report"),
    ("daemon.colour=red", "daemon.colour = (set)", "no such key"),
    ("venue.hyperliquid.mode=real", "venue.hyperliquid.mode = real", "embedded or external"),
    ("venue.hyperliquid.network=moon", "venue.hyperliquid.network = moon", "mainnet or testnet"),
    ("venue.hyperliquid.http=http://venue.example:1", "venue.hyperliquid.http = http://venue.example:1", "https://"),
    ("venue.hyperliquid.account=0x12", "venue.hyperliquid.account = 0x12", "40 hexadecimal digits"),
    ("venue.hyperliquid.key_file=nowhere.key", "venue.hyperliquid.key_file = nowhere.key", "existing file"),
    ("venue.hyperliquid.order_route=pigeon", "venue.hyperliquid.order_route = pigeon", "http or ws"),
    ("guard.leverage_max=-2", "guard.leverage_max = -2", ""),
    ("guard.cancel_reserve=0.05", "guard.cancel_reserve = 0.05", "0.3"),
    ("guard.order_notional_max_usd=lots", "guard.order_notional_max_usd = lots", ""),
    ("guard.bypass=true", "guard.bypass", ""),
    ("venue.dydx.mode=external", "venue.dydx", "no such key"),
];

#[test]
fn every_configuration_fault_is_named_before_any_socket_opens() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup::new(dir.path(), "").unwrap();
    // somebody listens where the venue should be, and must not hear anything
    let venue = TcpListener::bind("127.0.0.1:0").unwrap();
    venue.set_nonblocking(true).unwrap();
    setup.write_daemon(&format!("http://{}", venue.local_addr().unwrap())).unwrap();
    let run = |pairs: &[&str]| {
        let mut args = setup.args(&[]);
        args.extend(pairs.iter().flat_map(|pair| ["--set".to_owned(), (*pair).to_owned()]));
        args.push("run".to_owned());
        let (code, out, err) = Daemon::run(dir.path(), &args, SOON).unwrap();
        assert_eq!((code, out.as_str()), (Some(78), ""), "{pairs:?}: {err}");
        err
    };
    for (pair, fault, expected) in FAULTS {
        let said = run(&[pair]);
        let line = said.lines().find(|line| line.contains(fault)).unwrap_or_else(|| panic!("{pair}: {said}"));
        let right = line.split_once(fault).unwrap().1;
        assert!(right.len() > 5 && right.contains(expected), "{pair}: says what would be right: {line}");
    }
    // all at once: each is there (the three that change which other keys are read left out)
    let apart = ["venue.hyperliquid.mode", "venue.hyperliquid.network"];
    let together: Vec<_> = FAULTS.iter().filter(|(pair, ..)| !apart.iter().any(|key| pair.starts_with(key))).collect();
    let said = run(&together.iter().map(|(pair, ..)| *pair).collect::<Vec<_>>());
    assert!(said.contains(&format!("{} faults in ", together.len())), "{said}");
    for (pair, fault, _) in together {
        assert!(said.contains(fault), "{pair}: {said}");
    }
    fs::write(dir.path().join("daemon.toml"), "[daemon\nstate_dir = 1").unwrap();
    assert!(run(&[]).contains("daemon.toml"));
    assert!(venue.accept().is_err(), "a socket was opened");
    assert!(!dir.path().join("state").exists(), "nothing was begun");
}

#[test]
fn a_key_that_others_may_read_or_that_is_none_is_refused_without_showing_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::new(dir.path(), &[]).unwrap();
    let file = dir.path().join("agent.key");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, _, err) = rig.run(&["run"]).unwrap();
    assert!(code == Some(78) && err.contains("agent.key") && err.contains("mode 644") && err.contains("chmod 600"), "{err}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let wrong = &plimsoll_tests::KEY[..60];
    fs::write(&file, wrong).unwrap();
    let (code, _, err) = rig.run(&["run"]).unwrap();
    assert!(code == Some(78) && err.contains("0x and 64 hexadecimal digits"), "{err}");
    assert!(!err.contains(&wrong[2..]), "the secret is shown");
}

#[test]
fn refused_parents_say_field_value_and_room() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path(), &["guard.parents_per_hour_max_usd=250000"]).unwrap();
    rig.start().unwrap();
    let base = [("--instrument", "hyperliquid:BTC"), ("--side", "buy"), ("--quantity", "0.01"), ("--horizon", "30s")];
    let submit = |change: &[(&'static str, &'static str)]| {
        let mut options: BTreeMap<&str, &str> = base.into_iter().collect();
        options.extend(change.iter().copied());
        let mut args = vec!["submit"];
        args.extend(options.iter().flat_map(|(name, value)| [*name, *value]).filter(|word| !word.is_empty()));
        rig.run(&args).unwrap()
    };
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: [Case<'_>; 14] = [
        (&[("--quantity", "0.0000001")], &["quantity = 0.0000001", "a quantity above zero in steps of 0.00001"]),
        (&[("--quantity", "0")], &["quantity = 0", "above zero"]),
        (&[("--quantity", "ten")], &["quantity = ten", "steps of 0.00001"]),
        (&[("--quantity", "50")], &["quantity = 50", "a parent worth 309", "at most 200000", "lots"]),
        (&[("--instrument", "hyperliquid:DOGE")], &["instrument = hyperliquid:DOGE", "one of hyperliquid:BTC"]),
        (&[("--instrument", "BTC")], &["instrument = BTC", "one of hyperliquid:BTC"]),
        (&[("--limit-price", "61800.05")], &["limit_price = 61800.05", "a price above zero in steps of "]),
        (&[("--horizon", "soon")], &["horizon = soon", "such as 90s"]),
        (&[("--slippage-bps", "5000")], &["slippage_bps = 5000", "1 to 1000"]),
        (&[("--schedule", "pov"), ("--slices", "3"), ("--rate", "0.1")], &["slices = (set)", "pov", "rate, complete"]),
        (&[("--schedule", "pov"), ("--rate", "2")], &["rate = "]),
        (&[("--schedule", "shortfall")], &["lambda = (absent)", "sigma_daily = (absent)", "eta = (absent)"]),
        (&[("--slices", "0")], &["slices = 0", "1 to 10000"]),
        (&[("--display", "0.000001")], &["display = 0.000001", "steps of 0.00001"]),
    ];
    for (change, words) in cases {
        let (code, out, err) = submit(change);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{change:?}: {err}");
        assert!(err.starts_with("plimsoll: refused:\n"), "{err}");
        for word in words {
            assert!(err.contains(word), "{change:?}: {word:?} in {err}");
        }
    }
    // words that the command line itself does not know
    for change in [[("--side", "up")], [("--schedule", "soon")], [("--placement", "aggressive")], [("--end", "never")]] {
        let (code, _, err) = submit(&change);
        assert!(code == Some(2) && err.contains("possible values"), "{change:?}: {err}");
    }
    // the room that a refusal names is the room there is
    let (_, _, err) = submit(&[("--quantity", "4")]);
    let lots: i64 = err.split("which leaves ").nth(1).and_then(|t| t.split(' ').next()).and_then(|n| n.parse().ok()).expect(&err);
    let most = rust_decimal::Decimal::new(lots - lots / 500, 5).normalize().to_string();
    let beyond = rust_decimal::Decimal::new(lots + lots / 500, 5).normalize().to_string();
    assert!(rig.submit("buy", &beyond, "60s", &[]).is_err(), "{beyond} is above the room of {lots} lots");
    rig.submit("buy", &most, "60s", &["--slices", "60"]).unwrap();
    let hour = rig.refused(&["submit", "--instrument", "hyperliquid:BTC", "--side", "sell", "--quantity", "2"]).unwrap();
    assert!(hour.contains("parents of the last hour are worth") && hour.contains("above 250000"), "{hour}");
    assert_eq!(
        rig.status().unwrap()["desk"]["parents"].as_array().map(Vec::len),
        Some(1),
        "what was refused left nothing behind"
    );
}

#[test]
fn f10_f12_malformed_frames_are_counted_logged_once_per_kind_and_survived() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::new(dir.path(), &[]).unwrap();
    let proxy = Proxy::start(&format!("ws://{}/ws", rig.venue.address));
    let set = format!("venue.hyperliquid.ws={}", proxy.url());
    let mut rig = rig.beside(&[&set]);
    rig.start().unwrap();
    let parent = rig.submit("buy", "0.1", "6s", &["--slices", "6"]).unwrap();
    rig.wait("work", SOON, |s| progress(s, parent).is_some_and(|p| p["filled"].as_i64() > Some(0))).unwrap();
    let frames = [
        "not json".to_owned(),
        "[".repeat(50_000),
        r#"{"channel":"l2Book","data":{"coin":"BTC","levels":"none"}}"#.to_owned(),
        r#"{"channel":"l2Book","data":{"coin":"BTC","time":1,"levels":[[{"px":"cheap","sz":"1","n":1}],[]]}}"#.to_owned(),
        r#"{"channel":"bbo","data":{"coin":"BTC","time":1,"bbo":[{"px":"-1","sz":"1","n":1},null]}}"#.to_owned(),
        r#"{"channel":"trades","data":[{"coin":"BTC"}]}"#.to_owned(),
        r#"{"channel":"userFills","data":{"user":"0x1","fills":[{"coin":"BTC","sz":"1"}]}}"#.to_owned(),
        r#"{"channel":"orderUpdates","data":[{"order":{"coin":"BTC"}}]}"#.to_owned(),
        r#"{"channel":"tomorrow","data":{}}"#.to_owned(),
        "\u{feff}{}".to_owned(),
        String::new(),
    ];
    const TIMES: u64 = 3;
    for _ in 0..TIMES {
        for frame in &frames {
            proxy.inject(frame);
        }
    }
    let counted = |s: &Value| -> BTreeMap<String, u64> {
        let kinds = s["connector"]["malformed"].as_object().cloned().unwrap_or_default();
        kinds.into_iter().filter_map(|(kind, n)| Some((kind, n.as_u64()?))).collect()
    };
    let wanted = TIMES * u64::try_from(frames.len()).unwrap();
    // each socket gets each frame; how many kinds there are is the connector's matter
    let status = rig.wait("all of it counted", SOON, |s| counted(s).values().sum::<u64>() >= wanted).unwrap();
    assert!(counted(&status).len() >= 4, "{}", status["connector"]);
    // a refusal of what was subscribed to makes the connection useless: a new one takes its place
    proxy.inject(r#"{"channel":"error","data":"Invalid subscription"}"#);
    let lost = |s: &Value| s["connector"]["reconnects"].as_object().is_some_and(|streams| !streams.is_empty());
    rig.wait("a new connection, and the books compared again", SOON, |s| lost(s) && s["desk"]["ready"] == true).unwrap();
    let status = rig.wait_ended(&[parent], SOON).unwrap();
    assert_eq!(status["desk"]["frozen"], json!([]), "nothing of it was believed");
    let kinds = counted(&status);
    rig.settle(&[Want(parent, "buy", "0.1")]).unwrap();
    let log = rig.daemon().proc.stderr();
    for kind in kinds.keys() {
        let lines = log.iter().filter(|l| l.contains("malformed payload") && l.contains(&format!("kind={kind:?}"))).count();
        assert_eq!(lines, 1, "{kind} in the log:\n{}", log.join("\n"));
    }
    assert!(log.iter().all(|line| line.len() < 2_000), "a frame was logged whole");
}

#[test]
fn f13_reads_that_answer_nonsense_are_repeated_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path(), &["daemon.reconcile_every=2s"]).unwrap();
    rig.start().unwrap();
    let parent = rig.submit("buy", "0.1", "6s", &["--slices", "6"]).unwrap();
    rig.fault(&json!([
        { "fault": "html-answer", "count": 2, "scope": "info" },
        { "fault": "cut-answer", "count": 2, "scope": "info" },
        { "fault": "error-before", "count": 2, "scope": "info" },
        { "fault": "too-many-requests", "count": 1, "scope": "info" },
    ]))
    .unwrap();
    rig.wait_ended(&[parent], SOON).unwrap();
    rig.wait("the books compared again", SOON, |s| s["desk"]["ready"] == true).unwrap();
    rig.settle(&[Want(parent, "buy", "0.1")]).unwrap();
}
