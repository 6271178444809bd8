use std::collections::BTreeSet;
use std::fs;
use std::path::Path as File;

use margin_guard::{RawMarketLimits, RawNumber};
use serde_json::json;

use super::classes::TABLE;
use super::*;
use crate::config::{self, ConfigError};

/// 2026-10-01.
const TODAY: u32 = 20_727;

fn default_text() -> String {
    let file = File::new(env!("CARGO_MANIFEST_DIR")).join("../../config/default.toml");
    fs::read_to_string(file).unwrap_or_else(|e| panic!("{e}"))
}

/// `text` as a file beside the shipped one, so that what it names is found.
fn load(text: &str) -> Result<config::Checked, ConfigError> {
    let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let file = dir.path().join("plimsoll.toml");
    let tapes = File::new(env!("CARGO_MANIFEST_DIR")).join("../../config/tapes");
    std::os::unix::fs::symlink(tapes, dir.path().join("tapes")).unwrap_or_else(|e| panic!("{e}"));
    fs::write(&file, text).unwrap_or_else(|e| panic!("{e}"));
    config::load(Some(&file), &[], [], TODAY)
}

fn loaded(text: &str) -> config::Checked {
    load(text).unwrap_or_else(|e| panic!("{e}"))
}

fn raw(change: impl FnOnce(&mut RawLimits)) -> Limits {
    let mut raw: RawLimits = serde_json::from_str(loaded(&default_text()).limits.text()).unwrap_or_else(|e| panic!("{e}"));
    change(&mut raw);
    Limits::check(raw).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// Limits in which every key that can be written is written.
fn everything() -> Limits {
    raw(|raw| {
        let number = |text: &str| Some(RawNumber::new(text));
        let market = RawMarketLimits {
            order_size_max: number("5"),
            order_notional_max_usd: number("20000"),
            market_notional_max_usd: number("90000"),
            price_collar: number("0.02"),
            price_collar_reduce: number("0.09"),
            open_orders_per_market_max: number("10"),
            book_age_max_ms: number("1500"),
            tier: number("base"),
            tier_leverage: number("2"),
        };
        raw.market.insert("hyperliquid:ETH".into(), market);
        for questions in raw.scorecard.values_mut() {
            for (name, answer) in questions.iter_mut().filter(|(name, _)| *name == "transparency") {
                assert_eq!(name, "transparency");
                (answer.value, answer.evidence, answer.reviewed) = ("on_chain".into(), "read it".into(), "2026-09-01".into());
            }
        }
    })
}

fn guard_diff(old: &Limits, new: &Limits) -> Diff {
    compare(old, &Keys::new(), new, &Keys::new()).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn lines(diff: &Diff) -> Vec<String> {
    diff.changes.iter().map(|c| format!("{} {}", c.class, c.key)).collect()
}

#[test]
fn every_key_has_a_class_and_every_class_a_key() {
    let limits = everything();
    let mut met = BTreeSet::new();
    for path in leaves(&tree_of(&limits)).into_keys() {
        let mut names = vec!["guard"];
        names.extend(path.iter().map(String::as_str));
        assert!(rule(&names).1, "{} has no line in config/change/classes.rs: is more of it tighter or looser?", key_of(&path));
        met.extend(TABLE.iter().map(|(pattern, _)| *pattern).filter(|pattern| {
            let parts: Vec<&str> = pattern.split('.').collect();
            parts.len() == names.len() && parts.iter().zip(&names).all(|(want, have)| *want == "*" || want == have)
        }));
    }
    // an answer that is unknown is not written
    met.insert("guard.scorecard.*.exit");
    // sections: those of the shipped file, and those that it shows behind a comment sign
    let text = default_text();
    let sections = text.lines().filter_map(|line| line.trim_start_matches(['#', ' ']).strip_prefix('['));
    for name in sections.map(|rest| rest.trim_start_matches('[').split([']', '.']).next().unwrap_or_default()) {
        assert!(name == "guard" || rule(&[name, "x"]).1, "[{name}] has no line in config/change/classes.rs");
    }
    let idle: Vec<_> =
        TABLE.iter().map(|(pattern, _)| *pattern).filter(|p| p.starts_with("guard.") && !met.contains(p)).collect();
    assert!(idle.is_empty(), "no such key: {idle:?}");
}

/// Of every figure: more of it and less of it are one tightening and one loosening, unless its rule says that this cannot be told;
/// and what follows from each are the limits of the file.
#[test]
fn every_figure_tightens_one_way_and_loosens_the_other() {
    let limits = everything();
    let tree = tree_of(&limits);
    let mut judged = 0;
    for (path, value) in leaves(&tree) {
        let Some(figure) = value.as_str().and_then(domain::plain_decimal) else { continue };
        let mut classes = Vec::new();
        for factor in ["1.01", "0.99"].map(|text| domain::plain_decimal(text).unwrap_or_default()) {
            let more = factor > Decimal::ONE;
            let step = match () {
                () if figure.is_zero() && more => Decimal::new(1, 6),
                () if figure.scale() == 0 && more => figure + Decimal::ONE,
                () if figure.scale() == 0 && figure >= Decimal::TWO => figure - Decimal::ONE,
                () => figure * factor,
            };
            if step == figure {
                continue;
            }
            let mut other = tree.clone();
            put(&mut other, &path, Some(&Value::String(step.round_dp(6).normalize().to_string())));
            // one key alone may not be movable: the order of levels, a bound
            let Ok(new) = limits_of(other) else { continue };
            let diff = guard_diff(&limits, &new);
            let [change] = diff.changes.as_slice() else { panic!("{}: {:?}", key_of(&path), diff.changes) };
            assert_eq!(change.key, key_of(&path));
            assert!(
                !change.beyond_double || !change.why.is_empty() || figure <= Decimal::TWO,
                "a little is not double: {change}"
            );
            match change.class {
                ChangeClass::Tighten => assert_eq!(diff.tightened.as_ref(), Some(&new), "{change}"),
                ChangeClass::Loosen => assert_eq!(diff.loosened.as_ref(), Some(&new), "{change}"),
                ChangeClass::Fixed => assert!(diff.tightened.is_none() && diff.loosened.is_none(), "{change}"),
            }
            classes.push((change.class, change.why.is_empty()));
            judged += 1;
        }
        if let [(up, true), (down, true)] = classes.as_slice() {
            assert_ne!(up, down, "{}", key_of(&path));
        }
    }
    assert!(judged > 120, "{judged}");
}

#[test]
fn classes_and_doubling_by_key() {
    use ChangeClass::{Fixed, Loosen, Tighten};
    let base = loaded(&default_text());
    let cases: &[(&str, &str, ChangeClass, bool)] = &[
        ("guard.order_notional_max_usd = \"25000\"", "\"12000\"", Tighten, false),
        ("guard.order_notional_max_usd = \"25000\"", "\"25000.000001\"", Loosen, false),
        ("guard.order_notional_max_usd = \"25000\"", "\"50000\"", Loosen, false),
        ("guard.order_notional_max_usd = \"25000\"", "\"50000.01\"", Loosen, true),
        ("guard.order_notional_max_usd = \"25000\"", "\"25000000\"", Loosen, true),
        ("guard.leverage_max = \"3\"", "\"2.9\"", Tighten, false),
        ("guard.cover_min = \"3\"", "\"2.1\"", Loosen, false),
        ("guard.cover_min = \"3\"", "\"1.9\"", Loosen, true),
        ("guard.book_age_max_ms = 2000", "2", Tighten, false),
        ("guard.book_age_max_ms = 2000", "5000", Loosen, true),
        ("guard.venue_messages_per_min_max = 900", "15", Loosen, true),
        ("guard.sizing.tier = \"base\"", "\"select\"", Loosen, true),
        ("guard.sizing.sigma_floor = \"0.20\"", "\"0.30\"", Fixed, false),
        ("guard.buffer.alpha = \"0.99\"", "\"0.985\"", Loosen, false),
        ("guard.buffer.alpha = \"0.99\"", "\"0.97\"", Loosen, true),
        ("guard.buffer.alpha = \"0.99\"", "\"0.995\"", Tighten, false),
        ("guard.cover.kill = \"1.4\"", "\"1.1\"", Loosen, true),
        ("guard.cover.reduce = \"2\"", "\"2.1\"", Tighten, false),
        ("guard.drawdown.day = \"0.03\"", "\"0.02\"", Tighten, false),
        ("guard.oracle.quarantine_ms = 300000", "0", Loosen, true),
        ("daemon.seed = 1", "2", Fixed, false),
        ("paper.balance_usd = \"2000000\"", "\"2000001\"", Fixed, false),
        ("treasury.enabled = false", "true", Fixed, false),
    ];
    for (key, to, class, double) in cases {
        let (name, from) = key.split_once(" = ").unwrap_or_default();
        let new = loaded(&with_value(&default_text(), name, from, to));
        let diff = compare(&base.limits, &base.keys, &new.limits, &new.keys).unwrap_or_else(|faults| panic!("{key}: {faults:?}"));
        let [change] = diff.changes.as_slice() else { panic!("{key} -> {to}: {:?}", diff.changes) };
        assert_eq!((change.key.as_str(), change.class, change.beyond_double), (name, *class, *double), "{key} -> {to}: {change}");
    }
}

/// `text` with the value of the key at `path` replaced.
fn with_value(text: &str, path: &str, from: &str, to: &str) -> String {
    let (section, name) = path.rsplit_once('.').unwrap_or_default();
    let (mut at, mut done) = (String::new(), 0);
    let out: Vec<String> = text
        .lines()
        .map(|line| {
            if let Some(rest) = line.strip_prefix('[') {
                at = rest.trim_start_matches('[').split(']').next().unwrap_or_default().to_owned();
            }
            let old = format!("{name} = {from}");
            if at == section && line.starts_with(&old) {
                done += 1;
                line.replacen(&old, &format!("{name} = {to}"), 1)
            } else {
                line.to_owned()
            }
        })
        .collect();
    assert_eq!(done, 1, "{path} = {from}");
    out.join("\n")
}

#[test]
fn a_market_that_is_taken_away_goes_at_once_with_all_that_names_it_and_one_that_is_added_waits() {
    let old = everything();
    let swap = |raw: &mut RawLimits| {
        raw.allow = vec!["hyperliquid:BTC".into(), "hyperliquid:SOL".into()];
        raw.market.clear();
        for group in raw.group.values_mut() {
            group.markets = raw.allow.clone();
        }
    };
    let new = raw(swap);
    let diff = guard_diff(&old, &new);
    let told: Vec<_> = diff.changes.iter().filter(|c| c.key == "guard.allow").map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "tighten guard.allow: hyperliquid:BTC, hyperliquid:ETH -> hyperliquid:BTC",
            "loosen guard.allow: hyperliquid:BTC -> hyperliquid:BTC, hyperliquid:SOL (beyond double) (markets are added)"
        ]
    );
    // nothing else: neither the group's list nor ETH's own section is a decision of its own; the answer of the scorecard is
    assert_eq!(
        lines(&diff).iter().filter(|l| !l.ends_with("guard.allow")).collect::<Vec<_>>(),
        ["tighten guard.scorecard.hyperliquid.transparency"]
    );
    let names =
        |limits: Option<&Limits>| limits.map(|l| l.allowed().map(|id| id.to_string()).collect::<Vec<_>>()).unwrap_or_default();
    assert_eq!(names(diff.tightened.as_ref()), ["hyperliquid:BTC"]);
    assert_eq!(names(diff.loosened.as_ref()), ["hyperliquid:BTC", "hyperliquid:SOL"]);
    assert_eq!(diff.loosened, Some(new));
}

#[test]
fn what_tightens_applies_without_what_loosens_and_what_is_fixed() {
    let old = everything();
    let number = |text: &str| Some(RawNumber::new(text));
    let new = raw(|raw| {
        raw.market = serde_json::from_value(json!({})).unwrap_or_default();
        raw.order_notional_max_usd = number("24000");
        raw.venue_notional_max_usd = number("300000");
        raw.sizing.sigma_floor = number("0.10");
    });
    let diff = guard_diff(&old, &new);
    let (tight, all) = (
        diff.tightened.unwrap_or_else(|| panic!("nothing tightens")),
        diff.loosened.unwrap_or_else(|| panic!("nothing loosens")),
    );
    let of = |limits: &Limits| serde_json::from_str::<Value>(limits.text()).unwrap_or_default();
    assert_eq!(
        (&of(&tight)["order_notional_max_usd"], &of(&tight)["venue_notional_max_usd"]),
        (&json!("24000"), &json!("250000"))
    );
    assert_eq!((&of(&all)["order_notional_max_usd"], &of(&all)["venue_notional_max_usd"]), (&json!("24000"), &json!("300000")));
    assert_eq!(
        (&of(&tight)["sizing"]["sigma_floor"], &of(&all)["sizing"]["sigma_floor"]),
        (&json!("0.2"), &json!("0.2")),
        "fixed"
    );
    // ETH's own limits were tighter than those of all markets: they stay until somebody says otherwise
    assert_eq!(of(&tight)["market"]["hyperliquid:ETH"]["order_notional_max_usd"], json!("20000"));
    assert!(of(&all)["market"]["hyperliquid:ETH"].is_null());
    let own: Vec<_> = diff.changes.iter().filter(|c| c.key.contains("ETH")).map(ToString::to_string).collect();
    assert!(
        own.contains(&"loosen guard.market.\"hyperliquid:ETH\".order_notional_max_usd: 20000 -> 24000".to_owned()),
        "{own:#?}"
    );
    assert!(own.iter().any(|c| c.contains("order_size_max: 5 -> (absent)") && c.starts_with("loosen")), "{own:#?}");
}

#[test]
fn scenarios_and_answers_by_what_they_mean() {
    let old = everything();
    let with = |change: fn(&mut RawLimits)| {
        let mut raw: RawLimits = serde_json::from_str(everything().text()).unwrap_or_else(|e| panic!("{e}"));
        change(&mut raw);
        guard_diff(&old, &Limits::check(raw).unwrap_or_else(|faults| panic!("{faults:?}")))
    };
    let squeeze = with(|raw| {
        let one = json!({ "kind": "mixed", "shock": { "*": "0.3" }, "funding_hours": "24" });
        raw.scenario.insert("squeeze".into(), serde_json::from_value(one).unwrap_or_default());
    });
    assert!(
        squeeze.changes.iter().all(|c| c.class == ChangeClass::Tighten) && squeeze.tightened.is_some(),
        "{:?}",
        squeeze.changes
    );
    let deeper = with(|raw| {
        if let Some(crash) = raw.scenario.get_mut("crash") {
            crash.shock.insert("BTC".into(), RawNumber::new("-0.30"));
        }
    });
    assert_eq!(lines(&deeper), ["loosen guard.scenario.crash.shock"], "it lets a hedge gain more");
    let forgotten = with(|raw| raw.scorecard.clear());
    assert_eq!(lines(&forgotten), ["tighten guard.scorecard.hyperliquid.transparency"]);
    let learnt = guard_diff(&raw(|raw| raw.scorecard.clear()), &raw(|_| ()));
    assert!(learnt.changes.is_empty(), "unknown is as good as nothing: {:?}", learnt.changes);
}

#[test]
fn what_contradicts_the_rest_is_held_with_it() {
    // the group's cap falls below the net cap in force, which the file lowers as well by taking the group apart
    let old = everything();
    let new = raw(|raw| {
        raw.market.clear();
        raw.cover.target = Some(RawNumber::new("2.3"));
        raw.cover.reduce = Some(RawNumber::new("2.05"));
        raw.cover.hysteresis = Some(RawNumber::new("0.12"));
    });
    let diff = guard_diff(&old, &new);
    let of = |key: &str| diff.changes.iter().find(|c| c.key == key).map(|c| c.class);
    assert_eq!(of("guard.cover.target"), Some(ChangeClass::Loosen));
    assert_eq!(of("guard.cover.reduce"), Some(ChangeClass::Tighten), "alone it fits: {:?}", diff.changes);
    let mut changes = diff.changes.clone();
    hold_all(&mut changes, &[SpecFault { field: "guard.cover.target".into(), value: "2".into(), expected: "more".into() }]);
    assert!(changes.iter().all(|c| c.class != ChangeClass::Tighten));
    assert!(changes.iter().any(|c| c.key == "guard.cover.reduce" && c.why.contains("guard.cover.target")));
}

#[test]
fn secrets_in_addresses_are_not_shown_and_still_seen_to_change() {
    let keys = |url: &str| {
        keys_of(&json!({ "treasury": { "wallet": { "rpc": [url] } }, "guard": { "allow": [] }, "kill": { "engaged": true } }))
    };
    let (one, other) = (keys("https://rpc.example/v2/abcdef"), keys("https://rpc.example/v2/abcdeg"));
    assert_eq!(one.keys().collect::<Vec<_>>(), ["treasury.wallet.rpc"]);
    assert!(one["treasury.wallet.rpc"].starts_with("rpc.example #") && !one["treasury.wallet.rpc"].contains("abcdef"));
    assert_ne!(one, other);
    let pasted = "ab".repeat(32);
    assert!(!keys_of(&json!({ "daemon": { "log": pasted } }))["daemon.log"].contains(&pasted));
}

/// G45, F95 to F97: every figure of the shipped file mutated in every way that a hand slips. Nothing is accepted wrongly: a file is
/// refused and the key named, or the key is named as a change of the right class.
#[test]
fn g45_no_slip_of_the_hand_is_accepted_wrongly() {
    let text = default_text();
    let base = loaded(&text);
    let (mut at, mut cases, mut refused, mut held, mut tightened) = (String::new(), 0, 0, 0, 0);
    for (n, line) in text.lines().enumerate() {
        if let Some(rest) = line.strip_prefix('[') {
            at = rest.trim_start_matches('[').split(']').next().unwrap_or_default().to_owned();
        }
        let Some((name, rest)) = line.split_once(" = ").filter(|(name, _)| !name.starts_with('#')) else { continue };
        if !at.starts_with("guard") || rest.starts_with(['{', '[']) {
            continue;
        }
        let value = rest.split('#').next().unwrap_or_default().trim();
        let plain = value.trim_matches('"');
        let Some(number) = domain::plain_decimal(plain).filter(|number| !number.is_zero()) else { continue };
        let thousandfold = (number * Decimal::ONE_THOUSAND).normalize();
        let slips = [
            format!("{name} = \"{thousandfold}\""),
            format!("{name} = \"-{plain}\""),
            format!("{name} = \"{plain} USD\""),
            format!("{name} = \"{plain}k\""),
            format!("{name} = {plain}.5e1"),
            format!("{name}s = {value}"),
            format!("{name} = {value}\n{name} = {value}"),
            format!("{name} = \"\""),
        ];
        // a thousandfold of each, and two of the others in turn: reading a file takes its time
        let in_turn = [0, 1 + n % 7, 1 + (n + 3) % 7];
        for (kind, slip) in slips.iter().enumerate().filter(|(kind, _)| in_turn.contains(kind)) {
            let mutated: Vec<&str> = text.lines().enumerate().map(|(m, l)| if m == n { slip.as_str() } else { l }).collect();
            cases += 1;
            match load(&mutated.join("\n")) {
                Err(e) => {
                    refused += 1;
                    // what no longer parses is named by its line
                    let told = e.to_string();
                    assert!(
                        told.contains(name) || told.contains(&format!("line {}", n + 1)) || told.contains("duplicate key"),
                        "{slip}: {told}"
                    );
                }
                Ok(new) => {
                    assert_eq!(kind, 0, "{slip} was accepted");
                    let diff =
                        compare(&base.limits, &base.keys, &new.limits, &new.keys).unwrap_or_else(|e| panic!("{slip}: {e:?}"));
                    let key = format!("{at}.{name}");
                    let change =
                        diff.changes.iter().find(|c| c.key == key).unwrap_or_else(|| panic!("{slip}: {:?}", diff.changes));
                    let path: Vec<&str> = key.split('.').collect();
                    match change.class {
                        ChangeClass::Tighten => {
                            tightened += 1;
                            assert!(
                                matches!(rule(&path).0, Rule::Less(_)) || number.is_zero(),
                                "a thousandfold of {key} tightens"
                            );
                        }
                        ChangeClass::Loosen => {
                            held += 1;
                            assert!(change.beyond_double || path[1] == "buffer", "{change}");
                            assert!(diff.tightened.is_none(), "{change}");
                        }
                        ChangeClass::Fixed => {}
                    }
                }
            }
        }
    }
    assert!(cases > 200 && refused > 150 && held > 10 && tightened > 0, "{cases} {refused} {held} {tightened}");
}
