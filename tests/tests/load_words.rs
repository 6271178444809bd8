//! What the load line says of itself: explanations, figures beside the venue's own, faults of its configuration, published cases.

use std::path::Path;
use std::time::Duration;

use plimsoll_tests::rig::progress;
use plimsoll_tests::{ACCOUNT, Daemon, Rig, Setup, http};
use rust_decimal::Decimal;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(40);

fn decimal(value: &Value) -> Decimal {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("an amount, not {value}"))
}

#[test]
fn margin_agrees_with_the_venue_and_explain_speaks_without_a_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::on(dir.path(), &["paper.balance_usd=20000"], "", &["guard.market_notional_max_usd=40000"]).unwrap();
    rig.start().unwrap();
    let cleared = rig.submit("buy", "0.5", "4s", &["--slices", "2"]).unwrap();
    rig.wait_ended(&[cleared], SOON).unwrap();
    let refused = rig.submit("buy", "0.3", "60s", &["--slices", "1"]).unwrap();
    let turned = |s: &Value| progress(s, refused).is_some_and(|p| p["refusals"].as_i64() > Some(0));
    rig.wait("a refusal", SOON, turned).unwrap();
    agree(&mut rig);
    rig.daemon().proc.kill9();
    let yes = rig.ok(&["explain", &format!("P{cleared}/1")]).unwrap();
    for word in
        ["reference price", "position before", "worst case", "equity", "cover", "limits in force", "volatility", "funding"]
    {
        assert!(yes.contains(word), "{word:?} in {yes}");
    }
    let no = rig.ok(&["explain", &format!("P{refused}")]).unwrap();
    assert!(no.contains("at most 40000") && no.contains("because"), "{no}");
    let told: Value = serde_json::from_str(&rig.ok(&["explain", &format!("P{refused}"), "--json"]).unwrap()).unwrap();
    assert!(told["verdicts"].as_array().is_some_and(|v| !v.is_empty()), "{told}");
    let unknown = rig.refused(&["explain", "P99"]).unwrap();
    assert!(unknown.contains("P99"), "{unknown}");
}

/// Figures of `plimsoll margin` and of the venue's `clearinghouseState`, at a moment when both looked at the same mark.
fn agree(rig: &mut Rig) {
    // the market moves between two looks: they are compared when the venue's position value says the daemon's mark
    const LOOKS: usize = 400;
    for _ in 0..LOOKS {
        let line: Value = serde_json::from_str(&rig.ok(&["margin", "--json"]).unwrap()).unwrap();
        let account = &line["accounts"][0];
        let asked = json!({ "type": "clearinghouseState", "user": ACCOUNT });
        let state = http::post(&rig.venue.url(), "/info", &asked).unwrap();
        let (ours, theirs) = (&account["positions"][0], &state["assetPositions"][0]["position"]);
        if ours["value"].is_null() || decimal(&ours["value"]) != decimal(&theirs["positionValue"]) {
            continue;
        }
        let near = |what: &str, ours: Decimal, theirs: Decimal, within: Decimal| {
            assert!((ours - theirs).abs() <= within, "{what}: {ours}, the venue says {theirs}\n{line}\n{state}");
        };
        // the venue writes dollars to the millionth
        let dust = Decimal::new(1, 2);
        near("maintenance", decimal(&account["maintenance"]), decimal(&state["crossMaintenanceMarginUsed"]), dust);
        let equity = decimal(&state["marginSummary"]["accountValue"]);
        if (decimal(&account["equity"]) - equity).abs() > dust {
            // the daemon's equity is that of its last report, less what was lost since: never above the venue's
            continue;
        }
        near("liquidation price", decimal(&ours["liquidation"]), decimal(&theirs["liquidationPx"]), Decimal::ONE);
        return;
    }
    panic!("the daemon and the venue never looked at the same mark in {LOOKS} looks");
}

/// Sections of a configuration with one fault each.
const BAD: &str = r#"
[guard.scenario.crash]
kind = "fall"
shock = { BTC = "0.15", "*" = "-0.2" }
[guard.drawdown]
day = "-0.03"
[guard.group.crypto]
markets = ["hyperliquid:BTC", "hyperliquid:"]
[guard.buffer]
alpha = "2"
[guard.oracle]
frozen_updates = 0
[guard.scorecard.hyperliquid]
insurance = { value = "share=0.02", evidence = "the venue's site" }
oracle = { value = "good", evidence = "somebody said so", reviewed = "2026-10-01" }
"#;

/// Path, value, and a word of what would be right.
const FAULTS: [[&str; 3]; 7] = [
    ["guard.scenario.crash.shock.\"BTC\"", "= 0.15:", "-0.99 to -0.000001"],
    ["guard.drawdown.day", "= -0.03:", "0.000001 to 1"],
    ["guard.group.crypto.markets[1]", "= hyperliquid::", "listed in guard.allow"],
    ["guard.buffer.alpha", "= 2:", "0.5 to 0.9999"],
    ["guard.oracle.frozen_updates", "= 0:", "2 to 100000"],
    ["guard.scorecard.hyperliquid.insurance.reviewed", "= (nothing):", "YYYY-MM-DD"],
    ["guard.scorecard.hyperliquid.oracle.value", "= good:", "unknown"],
];

#[test]
fn every_fault_of_the_load_line_is_named_with_path_and_value() {
    let dir = tempfile::tempdir().unwrap();
    let check = |more: &str| {
        let dir = dir.path().join(more.len().to_string());
        std::fs::create_dir(&dir).unwrap();
        let setup = Setup::new(&dir, more).unwrap();
        setup.write_daemon("http://127.0.0.1:9").unwrap();
        Daemon::run(&dir, &setup.args(&["check"]), SOON).unwrap()
    };
    let (code, out, err) = check(BAD);
    assert_eq!((code, out.as_str()), (Some(78), ""), "{err}");
    for [path, value, right] in FAULTS {
        let line = err.lines().find(|line| line.contains(path)).unwrap_or_else(|| panic!("{path} in {err}"));
        assert!(line.contains(value) && line.contains(right), "{path}: {value}, {right} in {line}");
    }
    assert!(err.contains(&format!("{} faults in ", FAULTS.len())), "{err}");
    let (code, out, err) = check("");
    assert_eq!(code, Some(0), "{err}");
    for word in ["cover", "shock", "drawdown", "oracle", "funding"] {
        assert!(out.to_lowercase().contains(word), "{word:?} in plain words: {out}");
    }
}

#[test]
fn the_published_cases_pass_with_nothing_skipped() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let dir = tempfile::tempdir().unwrap();
    // the cases name their data set, which is looked for beside them
    for file in ["execution/tests/data/quant_cases.json", "risk/tests/fixtures/multi_venue_2020_2022.csv.gz"] {
        let from = crates.join(file);
        std::fs::copy(&from, dir.path().join(from.file_name().unwrap())).unwrap();
    }
    let (code, out, err) = Daemon::run(dir.path(), &["conformance", "quant", "quant_cases.json"], SOON).unwrap();
    assert_eq!(code, Some(0), "{out}\n{err}");
    assert!(!out.contains("skipped") && !out.contains("FAILED"), "{out}");
    let passed = out.lines().find_map(|line| line.split_once(" passed")).and_then(|(n, _)| n.trim().parse::<usize>().ok());
    assert!(passed >= Some(29), "{out}");
}
