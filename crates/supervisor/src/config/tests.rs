use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use domain::{
    EndPolicy, Instrument, InstrumentId, MarketStatus, Placement, PriceRule, Px, Qty, Ratio, Schedule, Side, Span, StopLevel,
    Usd, Venue,
};
use rust_decimal::Decimal;
use tempfile::TempDir;

use super::*;

mod alerts;
mod drill;
mod operators;
mod treasury;
mod watchdog;

/// 2026-10-01.
const TODAY: u32 = 20_727;

const EXTERNAL: &str = r#"
[venue.hyperliquid]
mode = "external"
network = "testnet"
http = "https://api.hyperliquid-testnet.xyz"
ws = "wss://api.hyperliquid-testnet.xyz/ws"
account = "0x00000000000000000000000000000000000000a1"
key_file = "agent.key"
[[venue.hyperliquid.markets]]
name = "BTC"
[guard]
allow = ["hyperliquid:BTC"]
"#;

const EMBEDDED: &str = r#"
[venue.hyperliquid]
mode = "embedded"
[[venue.hyperliquid.markets]]
name = "BTC"
[guard]
allow = ["hyperliquid:BTC"]
"#;

const PLAN: &str = r#"
[[plan]]
instrument = "hyperliquid:BTC"
side = "buy"
quantity = "0.5"
schedule = "twap"
placement = "pegged"
horizon = "90s"
"#;

fn folder(text: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("plimsoll.toml");
    fs::write(&file, text).unwrap();
    fs::write(dir.path().join("agent.key"), "k").unwrap();
    (dir, file)
}

fn read_with(text: &str, set: &[&str], environment: &[(&str, &str)]) -> Result<Checked, ConfigError> {
    let (_dir, file) = folder(text);
    let set: Vec<String> = set.iter().map(ToString::to_string).collect();
    load(Some(&file), &set, environment.iter().map(|(k, v)| (k.to_string(), v.to_string())), TODAY)
}

fn read(text: &str) -> Checked {
    read_with(text, &[], &[]).unwrap_or_else(|e| panic!("{e}"))
}

/// The faults as `field = value`, in order of the field.
fn faults(outcome: Result<Checked, ConfigError>) -> Vec<String> {
    match outcome {
        Err(ConfigError::Faults { faults, .. }) => {
            assert!(faults.iter().all(|f| !f.expected.is_empty()), "{faults:?}");
            let mut all: Vec<String> = faults.into_iter().map(|f| format!("{} = {}", f.field, f.value)).collect();
            all.sort();
            all
        }
        Err(other) => panic!("not faults: {other}"),
        Ok(_) => panic!("accepted"),
    }
}

/// `text` with the line that begins with `key` replaced by `line`.
fn with(text: &str, key: &str, line: &str) -> String {
    assert!(text.lines().any(|l| l.starts_with(key)), "{key}");
    text.lines().map(|l| if l.starts_with(key) { line } else { l }).collect::<Vec<_>>().join("\n")
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_shipped_demo_is_without_faults_and_says_what_it_does() {
    let checked = load(Some(&repository().join(DEFAULT_FILE)), &[], [], TODAY).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(checked.endpoint, Endpoint::Embedded);
    assert!((2..=3).contains(&checked.plan.len()));
    let text = checked.describe();
    for word in ["paper venue", "no real money", "BTC", "Plan 1", "10000 ms"] {
        assert!(text.contains(word), "{word} in\n{text}");
    }
}

#[test]
fn the_shipped_example_lacks_exactly_what_its_reader_must_fill_in() {
    let outcome = load(Some(&repository().join("config/hyperliquid-testnet.example.toml")), &[], [], TODAY);
    assert_eq!(
        faults(outcome),
        [
            "venue.hyperliquid.account = 0x0000000000000000000000000000000000000000",
            "venue.hyperliquid.key_file = testnet-agent.key"
        ]
    );
}

#[test]
fn file_then_environment_then_flags() {
    let text = format!("[daemon]\nseed = 1\nunknown_max = 1\nlog = \"human\"\n{EXTERNAL}");
    let environment = [("PLIMSOLL__DAEMON__SEED", "2"), ("PLIMSOLL__DAEMON__UNKNOWN_MAX", "2"), ("OTHER__DAEMON__LOG", "json")];
    let checked = read_with(&text, &["daemon.seed=3"], &environment).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((checked.seed.0, checked.unknown_max, checked.log), (3, 2, LogStyle::Human));
    let Endpoint::External { http, .. } =
        read_with(EXTERNAL, &[], &[("PLIMSOLL__VENUE__HYPERLIQUID__HTTP", "http://127.0.0.1:9/")])
            .unwrap_or_else(|e| panic!("{e}"))
            .endpoint
    else {
        panic!("embedded")
    };
    assert_eq!(http, "http://127.0.0.1:9");
}

#[test]
fn defaults_are_safe_and_paths_are_relative_to_the_file() {
    let (dir, file) = folder(EXTERNAL);
    let checked = load(Some(&file), &[], [], TODAY).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((checked.expires_after_ms, checked.reconcile_every, checked.unknown_max), (10_000, Span::secs(15), 3));
    assert_eq!(checked.foreign, desk::ForeignPolicy::Freeze);
    assert!(checked.state_dir.starts_with(dir.path()) && checked.socket.starts_with(&checked.state_dir));
    let Endpoint::External { key_file, sub_account, .. } = checked.endpoint else { panic!("embedded") };
    assert_eq!((key_file, sub_account), (dir.path().join("agent.key"), false));
}

#[test]
fn all_faults_come_at_once_with_path_and_value() {
    let text = r#"
colour = "blue"
[daemon]
seed = -1
foreign = "ignore"
expires_after = "16s"
reconcile_every = 15
unknown_max = 1.5
log = ["json"]
kill = true
[venue.dydx]
x = 1
[venue.hyperliquid]
mode = "embedded"
account = "0x00000000000000000000000000000000000000a1"
fast_book = "yes"
[[venue.hyperliquid.markets]]
name = "BTC"
leverage = 51
[[venue.hyperliquid.markets]]
name = "BTC"
margin = "both"
[paper]
tape = "no.such.tape"
speed = 0
balance_usd = "-5"
history = "real"
[paper.chain]
rpc = "https://rpc.example.org"
token = "0x12"
credit_after = "2d"
key_file = "no.such.key"
deposit_route = "cctp"
withdrawal_route = "swift"
cctp_fee_usd = "-1"
gas = 1
[guard]
allow = "hyperliquid:BTC"
order_notional_max_usd = "1e9"
order_notionnal_max_usd = "1"
[guard.market."hyperliquid:BTC"]
order_sise_max = "1"
[[plan]]
instrument = "hyperliquid:BTC"
side = "buy"
quantity = 0.5
schedule = "twap"
placement = "pegged"
horizon = "90s"
slises = 3
[[plan]]
instrument = "hyperliquid:SOL"
"#;
    let found = faults(read_with(text, &[], &[]));
    for wanted in [
        "colour = (set)",
        "daemon.expires_after = 16s",
        "daemon.foreign = ignore",
        "daemon.kill = (set)",
        "daemon.log = (a list)",
        "daemon.reconcile_every = 15",
        "daemon.seed = -1",
        "daemon.unknown_max = 1.5 (a float; put it in quotes)",
        "guard.allow = hyperliquid:BTC",
        "guard.market.\"hyperliquid:BTC\".order_sise_max = 1",
        "guard.order_notional_max_usd = 1e9",
        "guard.order_notionnal_max_usd = 1",
        "paper.balance_usd = -5",
        "paper.chain.bridge = (absent)",
        "paper.chain.cctp_fee_usd = -1",
        "paper.chain.cctp_forwarder = (absent)",
        "paper.chain.cctp_messenger = (absent)",
        "paper.chain.credit_after = 2d",
        "paper.chain.deposit_route = cctp",
        "paper.chain.gas = (set)",
        "paper.chain.rpc = https://rpc.example.org",
        "paper.chain.token = 0x12",
        "paper.chain.withdrawal_route = swift",
        "paper.history = real",
        "paper.speed = 0",
        "paper.tape = no.such.tape",
        "plan[0].quantity = 0.5",
        "plan[0].slises = 3",
        "plan[1].instrument = hyperliquid:SOL",
        "venue.dydx = (set)",
        "venue.hyperliquid.account = 0x00000000000000000000000000000000000000a1",
        "venue.hyperliquid.fast_book = yes",
        "venue.hyperliquid.markets[0].leverage = 51",
        "venue.hyperliquid.markets[1].margin = both",
        "venue.hyperliquid.markets[1].name = BTC",
    ] {
        assert!(found.iter().any(|f| f == wanted), "{wanted} is not among\n{}", found.join("\n"));
    }
}

#[test]
fn a_hostile_value_is_one_fault_at_its_own_path_g45_f97() {
    let cases: &[(&str, &str, &str)] = &[
        ("mode", "mode = \"live\"", "mode"),
        ("network", "network = \"main\"", "network"),
        ("network", "", "network"),
        ("http", "http = \"ftp://api.hyperliquid-testnet.xyz\"", "http"),
        ("http", "http = \"https://\"", "http"),
        ("http", "http = \"https://user:word@api.hyperliquid-testnet.xyz\"", "http"),
        ("http", "http = \"http://api.hyperliquid-testnet.xyz\"", "http"),
        ("http", "http = \"http://127.0.0.1.example.org\"", "http"),
        ("http", "http = [\"https://api.hyperliquid-testnet.xyz\"]", "http"),
        ("ws", "ws = \"https://api.hyperliquid-testnet.xyz/ws\"", "ws"),
        ("ws", "ws = \"ws://10.0.0.1/ws\"", "ws"),
        ("account", "account = \"0xa1\"", "account"),
        ("account", "account = \"0x0000000000000000000000000000000000000000\"", "account"),
        ("account", "", "account"),
        ("key_file", "key_file = \"gone.key\"", "key_file"),
        ("key_file", "", "key_file"),
        ("key_file", "key_file = \"agent.key\"\nprivate_key = \"x\"", "private_key"),
        ("key_file", "key_file = \"agent.key\"\norder_route = \"WS\"", "order_route"),
        ("key_file", "key_file = \"agent.key\"\nsub_account = 1", "sub_account"),
        ("name", "name = \"\"", "markets[0].name"),
        ("name", "name = \"BTC \"", "markets[0].name"),
        ("name", "name = \"BTC\"\nasset = -1", "markets[0].asset"),
        ("name", "name = \"BTC\"\nleverage = 0", "markets[0].leverage"),
        ("name", "name = \"BTC\"\nleverage = \"3x\"", "markets[0].leverage"),
        ("[[venue.hyperliquid.markets]]", "[[venue.hyperliquid.markets]]\nsize = 1", "markets[0].size"),
    ];
    for (key, line, at) in cases {
        let found = faults(read_with(&with(EXTERNAL, key, line), &[], &[]));
        let path = format!("venue.hyperliquid.{at} = ");
        assert!(found.iter().any(|f| f.starts_with(&path)), "{line}: {found:?}");
        // a name that cannot be one is not in the allow-list either
        let others = found.iter().filter(|f| !f.starts_with(&path) && !f.starts_with("guard.allow")).count();
        assert_eq!(others, 0, "{line}: {found:?}");
    }
}

#[test]
fn swapped_networks_are_refused_f98() {
    let mainnet = with(EXTERNAL, "network", "network = \"mainnet\"");
    assert_eq!(faults(read_with(&mainnet, &[], &[])).len(), 2, "both testnet addresses are wrong for mainnet");
    let swapped = with(EXTERNAL, "http", "http = \"https://api.hyperliquid.xyz\"");
    assert_eq!(faults(read_with(&swapped, &[], &[])), ["venue.hyperliquid.http = https://api.hyperliquid.xyz"]);
    let shouted = with(EXTERNAL, "http", "http = \"https://API.Hyperliquid.xyz\"");
    assert_eq!(faults(read_with(&shouted, &[], &[])), ["venue.hyperliquid.http = https://API.Hyperliquid.xyz"]);
}

#[test]
fn a_key_that_was_pasted_anywhere_is_never_shown_i31() {
    let key = "4f3edf983ac636a65a842ce7c78d9aa706d3b113bce9c46f30d7d21715b23b1d";
    for (line, at) in [("account", "account"), ("key_file", "key_file"), ("http", "http"), ("mode", "mode")] {
        for written in [key.to_owned(), format!("0x{key}"), key.to_uppercase()] {
            let text = with(EXTERNAL, line, &format!("{at} = \"{written}\""));
            let said = read_with(&text, &[], &[]).unwrap_err().to_string();
            assert!(!said.to_lowercase().contains(key) && said.contains("private key"), "{said}");
        }
    }
    let plan = with(PLAN, "side", &format!("side = \"0x{key}\""));
    let said = read_with(&format!("{EMBEDDED}{plan}"), &[], &[]).unwrap_err().to_string();
    assert!(!said.contains(key) && said.contains("plan[0].side"), "{said}");
}

#[test]
fn what_is_no_configuration_at_all_is_said_so_f95_f97() {
    let unreadable = |text: &str| match read_with(text, &[], &[]) {
        Err(ConfigError::Unreadable { why, .. }) => why,
        other => panic!("{other:?}"),
    };
    for text in ["[daemon", "seed = ", "[daemon]\nseed = 1\nseed = 2", "[daemon]\n[daemon]", "\u{0}"] {
        assert!(!unreadable(text).is_empty());
    }
    assert!(unreadable("[daemon]\nseed = 1\nseed = 2").contains("duplicate"));
    for cut in 1..EXTERNAL.len() {
        // a file that was cut off anywhere is never accepted as something else than it was
        if let Ok(checked) = read_with(&EXTERNAL[..cut], &[], &[]) {
            assert_eq!(checked.hash, read(EXTERNAL).hash, "cut at {cut}");
        }
    }
    let (dir, _) = folder("");
    assert!(matches!(load(Some(&dir.path().join("gone.toml")), &[], [], TODAY), Err(ConfigError::Unreadable { .. })));
    assert!(matches!(read_with(EXTERNAL, &["daemon.seed"], &[]), Err(ConfigError::Unreadable { .. })));
    assert!(!faults(read_with("", &[], &[])).is_empty(), "an empty file trades nothing");
}

#[test]
fn a_file_that_others_may_have_written_is_refused_f99_t06() {
    let (dir, file) = folder(EXTERNAL);
    let refused = |origin: Option<&Origin>| match origin {
        None => load(Some(&file), &[], [], TODAY).map(drop),
        Some(origin) => load_again(origin, &[], [], TODAY).map(drop),
    };
    let says = |outcome: Result<(), ConfigError>, words: [&str; 2]| {
        let said = outcome.unwrap_err().to_string();
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    };
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let origin = load(Some(&file), &[], [], TODAY).unwrap_or_else(|e| panic!("{e}")).origin;
    for known in [None, Some(&origin)] {
        mode(&file, 0o666);
        says(refused(known), ["666", "chmod o-w"]);
        mode(&file, 0o644);
        mode(dir.path(), 0o777);
        says(refused(known), ["everyone may replace it", "777"]);
        mode(dir.path(), 0o1777);
        assert!(refused(known).is_ok(), "in a sticky folder nobody replaces what is not his");
        mode(dir.path(), 0o700);
        if fs::metadata(&file).unwrap().uid() == 0 && std::os::unix::fs::chown(&file, None, Some(12_345)).is_ok() {
            mode(&file, 0o664);
            says(refused(known), ["its group 12345", "chmod g-w"]);
            mode(&file, 0o644);
        }
    }
    // the same file by name, and no longer the same file
    let other = Origin { owner: origin.owner + 1, ..origin.clone() };
    says(refused(Some(&other)), ["belonged to", "at start"]);
    fs::rename(&file, dir.path().join("elsewhere.toml")).unwrap();
    says(refused(Some(&origin)), ["plimsoll.toml", "No such file"]);
    std::os::unix::fs::symlink(dir.path().join("elsewhere.toml"), &file).unwrap();
    assert!(refused(None).is_ok(), "a link is no offence at start");
    says(refused(Some(&origin)), ["elsewhere.toml now", "at start"]);
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    says(refused(Some(&origin)), ["plimsoll.toml", "a directory"]);
}

#[test]
fn kill_in_the_file_stops_and_its_words_are_checked() {
    assert_eq!(read(EMBEDDED).kill.engaged, None);
    let with = |lines: &str| read_with(&format!("{EMBEDDED}[kill]\n{lines}"), &[], &[]);
    let level = |lines: &str| with(lines).unwrap_or_else(|e| panic!("{e}")).kill.engaged;
    assert_eq!(level("engaged = true"), Some(StopLevel::Cancel));
    assert_eq!(level("engaged = true\nlevel = \"flatten\""), Some(StopLevel::Flatten));
    assert_eq!(level("level = \"block\""), None);
    assert_eq!(
        faults(with("engaged = \"yes\"\nlevel = \"run\"\nlevle = 1")),
        ["kill.engaged = yes", "kill.level = run", "kill.levle = (set)"]
    );
    // an act and no setting: the configuration is the same
    assert_eq!(with("engaged = true").unwrap_or_else(|e| panic!("{e}")).hash, read(EMBEDDED).hash);
    assert_eq!(with("engaged = true").unwrap_or_else(|e| panic!("{e}")).keys, read(EMBEDDED).keys);
}

#[test]
fn sections_of_the_wrong_shape_are_faults_too() {
    assert_eq!(faults(read_with(&format!("daemon = 5\n{EMBEDDED}"), &[], &[])), ["daemon = 5"]);
    assert_eq!(faults(read_with(&format!("plan = \"all\"\n{EMBEDDED}"), &[], &[])), ["plan = all"]);
    let found = faults(read_with("venue = 1\n[guard]\nallow = [\"hyperliquid:BTC\"]", &[], &[]));
    assert_eq!(found, ["venue = 1", "venue.hyperliquid = (absent)"]);
    let said = read_with(&format!("{EMBEDDED}market = 7"), &[], &[]).unwrap_err().to_string();
    assert!(said.contains("guard.market = 7: a section: [guard.market]"), "{said}");
    let text =
        format!("{EMBEDDED}[guard.market.\"hyperliquid:BTC\"]\nbook_age_max_ms = [2]\norder_size = 1\nprice_collar = \"0.01\"");
    assert_eq!(
        faults(read_with(&text, &[], &[])),
        ["guard.market.\"hyperliquid:BTC\".book_age_max_ms = (a list)", "guard.market.\"hyperliquid:BTC\".order_size = 1"],
        "each leaf of a nested section is a fault of its own"
    );
}

#[test]
fn the_hash_says_what_is_done_not_how_it_was_written() {
    let base = read(EMBEDDED).hash;
    let same = [
        format!("[daemon]\nseed = 1\nexpires_after = \"10000ms\"\n{EMBEDDED}"),
        format!("[daemon]\nlog = \"json\"\nstate_dir = \"elsewhere\"\nsocket = \"s\"\n{EMBEDDED}"),
        format!("# a comment\n{EMBEDDED}"),
    ];
    for text in same {
        assert_eq!(read(&text).hash, base, "{text}");
    }
    let other = [
        format!("[daemon]\nseed = 2\n{EMBEDDED}"),
        format!("{EMBEDDED}cover_min = \"4\""),
        format!("{EMBEDDED}[paper]\nseed = 2"),
        format!("{EMBEDDED}{PLAN}"),
        EXTERNAL.to_owned(),
    ];
    for text in other {
        assert_ne!(read(&text).hash, base, "{text}");
    }
    assert_eq!(base.len(), 32);
}

#[test]
fn market_limits_keep_the_spelling_of_their_market() {
    let text = format!("{EMBEDDED}[guard.market.\"hyperliquid:BTC\"]\norder_size_max = \"1.5\"");
    assert!(read(&text).limits.text().contains("\"hyperliquid:BTC\":{\"order_size_max\":\"1.5\""));
}

fn btc() -> Instrument {
    Instrument {
        id: InstrumentId::new(Venue::Hyperliquid, "BTC").unwrap(),
        venue_asset: 0,
        tick: Decimal::new(1, 1),
        lot: Decimal::new(1, 5),
        price_rule: PriceRule::SignificantFigures(5),
        qty_min: Qty(1),
        notional_min: Usd::whole(10),
        leverage_max: 40,
        margin: domain::margin::MarginModel::flat(40),
        status: MarketStatus::Open,
        isolated_only: false,
    }
}

fn parent() -> RawParent {
    RawParent {
        instrument: "hyperliquid:BTC".into(),
        side: "sell".into(),
        quantity: "0.5".into(),
        schedule: "twap".into(),
        placement: "limit_to_market".into(),
        horizon: "90s".into(),
        ..RawParent::default()
    }
}

#[test]
fn a_plan_becomes_lots_and_ticks() {
    let raw = RawParent {
        slices: Some(12),
        display: Some("0.02".into()),
        limit_price: Some("97123".into()),
        slippage_bps: Some(30),
        end: Some("force".into()),
        note: "why".into(),
        ..parent()
    };
    let spec = plan_to_spec(&raw, &btc()).unwrap();
    assert_eq!((spec.side, spec.qty, spec.display), (Side::Sell, Qty(50_000), Some(Qty(2_000))));
    assert_eq!((spec.schedule, spec.placement), (Schedule::Twap { slices: 12 }, Placement::LimitToMarket));
    assert_eq!((spec.limit_px, spec.slippage_max, spec.end), (Some(Px(971_230)), Ratio::bps(30), EndPolicy::Force));
    assert_eq!((spec.horizon, spec.reduce_only, spec.note.as_str()), (Span::secs(90), false, "why"));
}

#[test]
fn defaults_of_a_plan_leave_a_remainder_rather_than_force_it() {
    let spec = plan_to_spec(&parent(), &btc()).unwrap();
    assert_eq!((spec.end, spec.slippage_max, spec.display, spec.limit_px), (EndPolicy::Cancel, Ratio::bps(50), None, None));
}

/// A field, and a change that makes it wrong.
type Spoilt = (&'static str, fn(&mut RawParent));

#[test]
fn every_field_of_a_plan_is_refused_by_name_and_nothing_is_rounded() {
    let cases: &[Spoilt] = &[
        ("instrument", |p| p.instrument = "hyperliquid:btc".into()),
        ("side", |p| p.side = "Buy".into()),
        ("quantity", |p| p.quantity = "0".into()),
        ("quantity", |p| p.quantity = "-0.5".into()),
        ("quantity", |p| p.quantity = "0.000001".into()),
        ("quantity", |p| p.quantity = "1e3".into()),
        ("quantity", |p| p.quantity = "0,5".into()),
        ("quantity", |p| p.quantity = "0.5 BTC".into()),
        ("quantity", |p| p.quantity = "99999999999999999999".into()),
        ("schedule", |p| p.schedule = "asap".into()),
        ("slices", |p| p.slices = Some(0)),
        ("rate", |p| p.schedule = "pov".into()),
        ("rate", |p| (p.schedule, p.rate) = ("pov".into(), Some("0".into()))),
        ("rate", |p| (p.schedule, p.rate) = ("pov".into(), Some("5%".into()))),
        ("lambda", |p| {
            (p.schedule, p.sigma_daily, p.eta) = ("shortfall".into(), Some("0.03".into()), Some("0.01".into()));
        }),
        ("placement", |p| p.placement = "market".into()),
        ("display", |p| p.display = Some("0.0000001".into())),
        ("horizon", |p| p.horizon = "90".into()),
        ("horizon", |p| p.horizon = "500ms".into()),
        ("horizon", |p| p.horizon = "-5s".into()),
        ("limit_price", |p| p.limit_price = Some("97123.5".into())),
        ("limit_price", |p| p.limit_price = Some("0".into())),
        ("slippage_bps", |p| p.slippage_bps = Some(0)),
        ("slippage_bps", |p| p.slippage_bps = Some(5_000)),
        ("end", |p| p.end = Some("never".into())),
    ];
    for (field, change) in cases {
        let mut raw = parent();
        change(&mut raw);
        let found = plan_to_spec(&raw, &btc()).unwrap_err();
        let fields: Vec<&str> = found.iter().map(|f| f.field.as_str()).collect();
        assert_eq!(fields, [*field], "{raw:?}: {found:?}");
    }
    let all = plan_to_spec(&RawParent::default(), &btc()).unwrap_err();
    assert_eq!(all.len(), 6, "everything that is needed is asked for at once: {all:?}");
}

#[test]
fn fields_of_another_schedule_are_refused_not_ignored() {
    let cases: &[Spoilt] = &[
        ("rate", |p| p.rate = Some("0.05".into())),
        ("complete", |p| p.complete = Some(true)),
        ("curve", |p| p.curve = vec![1, 2]),
        ("lambda", |p| p.lambda = Some("0.1".into())),
        ("slices", |p| (p.schedule, p.rate, p.slices) = ("pov".into(), Some("0.05".into()), Some(3))),
    ];
    for (field, change) in cases {
        let mut raw = parent();
        change(&mut raw);
        let found = plan_to_spec(&raw, &btc()).unwrap_err();
        assert_eq!(found.iter().map(|f| f.field.as_str()).collect::<Vec<_>>(), [*field], "{found:?}");
    }
}

/// Every leaf of `tree` as `path` and value.
fn leaves(path: &str, tree: &serde_json::Value, out: &mut Vec<(String, String)>) {
    if let Some(keys) = tree.as_object() {
        keys.iter().for_each(|(key, below)| leaves(&format!("{path}/{key}"), below, out));
    } else {
        out.push((path.to_owned(), tree.as_str().map_or_else(|| tree.to_string(), str::to_owned)));
    }
}

#[test]
fn the_shipped_file_shows_every_key_of_the_guard_with_its_default() {
    let of = |limits: &margin_guard::Limits| {
        let mut all = Vec::new();
        leaves("", &serde_json::from_str(limits.text()).unwrap(), &mut all);
        all
    };
    let shipped = load(Some(&repository().join(DEFAULT_FILE)), &[], [], TODAY).unwrap_or_else(|e| panic!("{e}"));
    let raw =
        margin_guard::RawLimits { allow: shipped.limits.allowed().map(|id| id.to_string()).collect(), ..Default::default() };
    let (mut shipped, default) = (of(&shipped.limits), of(&margin_guard::Limits::check(raw).unwrap()));
    // where nothing is known, the file says so
    shipped.retain(|(path, value)| {
        assert!(!path.starts_with("/scorecard") || value == "unknown" || path.ends_with("/evidence"), "{path} = {value}");
        !path.starts_with("/scorecard")
    });
    let differing: Vec<_> = shipped.iter().filter(|leaf| !default.contains(leaf)).map(|(path, _)| path.as_str()).collect();
    // those the file itself declares to be the demo's choice
    let declared = ["/group/crypto/gross_max", "/group/crypto/markets", "/group/crypto/net_max", "/parents_per_hour_max_usd"];
    assert_eq!(differing, declared);
    let text = fs::read_to_string(repository().join(DEFAULT_FILE)).unwrap();
    for (path, _) in default.iter().filter(|(path, _)| !path.starts_with("/group/all")) {
        let key = path.rsplit('/').find(|key| !["*", "BTC"].contains(key)).unwrap();
        assert!(text.lines().any(|line| line.starts_with(&format!("{key} = "))), "{path} is not in the file");
    }
}

#[test]
fn bad_input_of_the_load_line_is_listed_at_once_with_path_and_value() {
    let text = format!(
        r#"{EMBEDDED}
[guard.sizing]
tier = "wild"
tier_leverage = "3.5"
alloc_l2 = 0.3
v_mim = "0.2"
[guard.cover]
kill = "2.5"
[guard.drawdown]
day = "-0.03"
peak = "0.01"
[guard.scenario.crash]
shock = {{ "*" = "0.2", "hyperliquid:DOGE" = "-0.5" }}
[guard.scenario.quake]
shock = {{ BTC = "-0.1" }}
[guard.group.memes]
markets = ["hyperliquid:DOGE"]
[guard.market."hyperliquid:ETH"]
tier = "base"
[guard.oracle]
age_max_ms = "soon"
[guard.scorecard.hyperliquid]
settlement = {{ value = "finality_s=1, halts_90d=0", evidence = "explorer" }}
exit = {{ value = "drill=2026-10-02, took_min=5, expected_min=4", evidence = "drill", reviewed = "2026-10-02" }}
insurance = {{ value = "7", evidence = "fund page", reviewed = "2026-09-30" }}
oracle = {{ value = "sources=8, staleness_s=3, deviation_bps=5", reviewed = "2026-09-30" }}
mood = {{ value = "unknown" }}
[guard.scorecard.moonbase]
exit = {{ value = "unknown" }}
[guard.buffer]
tail = ["1.6"]
"#
    );
    let found = faults(read_with(&text, &[], &[]));
    for wanted in [
        "guard.sizing.tier = wild",
        "guard.sizing.tier_leverage = 3.5",
        "guard.sizing.alloc_l2 = 0.3",
        "guard.sizing.v_mim = 0.2",
        "guard.cover.reduce = 2",
        "guard.drawdown.day = -0.03",
        "guard.drawdown.peak = 0.01",
        "guard.scenario.crash.shock.\"*\" = 0.2",
        "guard.scenario.crash.shock.\"hyperliquid:DOGE\" = hyperliquid:DOGE",
        "guard.scenario.quake.kind = (nothing)",
        "guard.scenario.quake.shock = no \"*\"",
        "guard.group.memes.markets[0] = hyperliquid:DOGE",
        "guard.market.\"hyperliquid:ETH\" = hyperliquid:ETH",
        "guard.oracle.age_max_ms = soon",
        "guard.scorecard.hyperliquid.settlement.reviewed = (nothing)",
        "guard.scorecard.hyperliquid.exit.reviewed = 2026-10-02",
        "guard.scorecard.hyperliquid.insurance.value = 7",
        "guard.scorecard.hyperliquid.oracle.evidence = (nothing)",
        "guard.scorecard.hyperliquid.mood = mood",
        "guard.scorecard.moonbase = moonbase",
        "guard.buffer.tail = (a list)",
    ] {
        assert!(found.iter().any(|f| f == wanted), "{wanted} is not among\n{}", found.join("\n"));
    }
    assert_eq!(found.len(), 21, "and nothing else:\n{}", found.join("\n"));
}

#[test]
fn the_scorecard_of_yesterday_is_read_and_a_section_of_the_guard_can_be_set_from_outside() {
    let text = format!(
        "{EMBEDDED}[guard.scorecard.hyperliquid]\nloss_sharing = {{ value = \"never\", evidence = \"news\", reviewed = \"2026-09-30\" }}"
    );
    let checked = read_with(&text, &["guard.cover.watch=5"], &[("PLIMSOLL__GUARD__SIZING__TIER_LEVERAGE", "2")]);
    let limits = checked.unwrap_or_else(|e| panic!("{e}")).limits;
    assert_eq!(limits.scorecard(Venue::Hyperliquid).answers.len(), 1);
    assert_eq!((limits.cover().watch.to_string(), limits.sizing().tier_leverage.to_string()), ("5".into(), "2".into()));
}

#[test]
fn the_paper_venue_may_stand_on_a_chain() {
    let chain = "[paper]\nhistory = \"none\"\n[paper.chain]\nrpc = \"http://127.0.0.1:8545\"\n\
                 token = \"0x00000000000000000000000000000000000000a1\"\nbridge = \"0x00000000000000000000000000000000000000b1\"\n\
                 credit_after = \"500ms\"\n";
    let paper = read(&format!("{EMBEDDED}{chain}")).paper;
    assert_eq!(paper.history, paper::History::None);
    let spec = paper.chain.expect("a chain").spec;
    assert_eq!((spec.credit_after, spec.confirmations), (std::time::Duration::from_millis(500), 0));
    assert_eq!(spec.bridge.to_string(), "0x00000000000000000000000000000000000000b1");
    assert_eq!(spec.cctp, None);
    let more = "deposit_route = \"cctp\"\ncctp_messenger = \"0x00000000000000000000000000000000000000c1\"\n\
                cctp_forwarder = \"0x00000000000000000000000000000000000000f1\"\ncctp_credit_after = \"1s\"\n";
    let part = read(&format!("{EMBEDDED}{chain}{more}")).paper.chain.expect("a chain");
    assert_eq!((part.routing.deposit.name(), part.routing.withdrawal.name()), ("cctp", "bridge"));
    let cctp = part.spec.cctp.expect("CCTP");
    assert_eq!((cctp.fee.to_string(), cctp.credit_after), ("0.2".into(), std::time::Duration::from_secs(1)));
    assert!(read(EMBEDDED).paper.chain.is_none());
}
