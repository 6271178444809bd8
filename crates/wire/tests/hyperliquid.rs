//! Recorded payloads and signing vectors of Hyperliquid, and the same broken in every way: `tests/data/hyperliquid/INDEX.md`.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use domain::{SendOutcome, plain_decimal};
use plimsoll_wire::hyperliquid::action::{Answer, OrderKind, OrderRequest, Signed, Tif};
use plimsoll_wire::hyperliquid::conformance::{payload, signing};
use plimsoll_wire::hyperliquid::info::{ClearinghouseState, Fill, FrontendOrder, InfoRequest, Meta, OrderStatus};
use plimsoll_wire::hyperliquid::rules::{Market, check_px, check_sz};
use plimsoll_wire::hyperliquid::stream::{ClientFrame, ServerFrame};
use plimsoll_wire::hyperliquid::{classify, decode};
use proptest::prelude::*;
use proptest::sample::Index;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn data(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/hyperliquid").join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn payloads() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/hyperliquid/payloads");
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("the folder of payloads")
        .map(|entry| entry.expect("a file").file_name().into_string().expect("an ASCII name"))
        .collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), data(&format!("payloads/{name}")))).collect()
}

#[test]
fn every_signing_vector_passes() {
    let outcome = signing(&data("signing_vectors.json"));
    let failed: Vec<_> = outcome.cases.iter().filter(|case| !case.passed()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(outcome.passed(), 66 + 12 + 3);
    assert!(outcome.cases.iter().all(|case| case.ignored.is_empty()), "every action is typed");
}

/// FZ17: one wrong digit anywhere in what a vector states makes it fail.
#[test]
fn every_tampered_signing_vector_fails() {
    let file: Value = serde_json::from_str(&data("signing_vectors.json")).expect("JSON");
    let mut tampered = 0;
    for case in file["cases"].as_array().expect("cases") {
        for field in
            ["/msgpack_hex", "/connection_id", "/signing_digest", "/signature/r", "/signature/s", "/signer", "/private_key"]
        {
            let mut broken = case.clone();
            let Some(Value::String(text)) = broken.pointer_mut(field) else { continue };
            let last = if text.ends_with('0') { '1' } else { '0' };
            text.pop();
            text.push(last);
            assert_fails(&broken, field);
            tampered += 1;
        }
        for (field, value) in [("/signature/v", json!(55 - case["signature"]["v"].as_u64().expect("v"))), ("/nonce", json!(5))] {
            let mut broken = case.clone();
            *broken.pointer_mut(field).expect("a field") = value;
            assert_fails(&broken, field);
            tampered += 1;
        }
    }
    assert!(tampered > 500, "{tampered}");
}

fn assert_fails(case: &Value, what: &str) {
    // serde_json sorts keys; the action's text keeps its order
    let mut case = case.clone();
    let object = case.as_object_mut().expect("a case");
    object.remove("action");
    object.remove("action_posted");
    let outcome = signing(&json!({ "cases": [case] }).to_string());
    assert_eq!((outcome.passed(), outcome.failed()), (0, 1), "{what} of {}", case["name"]);
}

#[test]
fn every_payload_passes_and_what_is_ignored_is_known() {
    let mut ignored = BTreeSet::new();
    for (name, text) in payloads() {
        let result = payload(&name, &text);
        assert!(result.passed(), "{name}: {:?}", result.faults);
        ignored.extend(result.ignored.into_iter().map(|path| path.rsplit('.').next().unwrap_or_default().to_owned()));
    }
    // the first is from 2023; the second is a change of balance of a type that no sheet names
    assert_eq!(ignored.into_iter().collect::<Vec<_>>(), ["maxTradeSzs", "usdc"]);
}

#[test]
fn there_is_a_payload_for_every_channel() {
    let all: String = payloads().into_iter().map(|(_, text)| text).collect::<String>().replace(' ', "");
    for channel in ServerFrame::CHANNELS {
        assert!(all.contains(&format!("\"channel\":\"{channel}\"")), "{channel}");
    }
}

/// Texts and values that a lenient parser might take for a number (reliability §8).
fn hostile() -> Vec<Value> {
    let texts = [
        "NaN",
        "inf",
        "-inf",
        "Infinity",
        "1e3",
        "1E400",
        "1e-3",
        "0x10",
        "+1",
        "",
        " 1",
        "1 ",
        "1_000",
        "1,000",
        "１",
        "٣",
        "1.",
        ".5",
        ".",
        "-",
        "1.2.3",
        "--1",
        "1\u{0}",
        "0.00000000000000000000000000000000001",
        "123456789012345678901234567890",
    ];
    texts.iter().map(|text| json!(text)).chain([json!(true), json!([]), json!({})]).collect()
}

/// Paths of all leaves for which `wanted` holds; of a list only the ends, the middle is alike.
fn leaves(value: &Value, path: &str, wanted: &dyn Fn(&str, &Value) -> bool, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, v)| leaves(v, &format!("{path}/{key}"), wanted, found)),
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate().filter(|(n, _)| *n < 2 || *n + 1 == items.len()) {
                leaves(item, &format!("{path}/{n}"), wanted, found);
            }
        }
        leaf if wanted(path, leaf) => found.push(path.to_owned()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A payload one of whose numbers is malformed is an error, wherever the number stands.
#[test]
fn a_malformed_number_fails_its_payload() {
    let number = |path: &str, v: &Value| {
        let named = path.ends_with("/hash") || path.contains("maxTradeSzs") || path.contains("error");
        v.as_str().is_some_and(|text| plain_decimal(text).is_some()) && !named
    };
    let mut broken_count = 0;
    for (name, text) in payloads().into_iter().filter(|(name, _)| !name.contains("perpsAtOpenInterestCap")) {
        let source: Value = serde_json::from_str(&text).expect("JSON");
        let mut paths = Vec::new();
        leaves(&source, "", &number, &mut paths);
        for path in paths {
            if source.pointer(path.trim_end_matches("/usdc")).is_some_and(|delta| delta["type"] == "somethingNew") {
                continue;
            }
            for value in hostile() {
                let mut broken = source.clone();
                *broken.pointer_mut(&path).expect("a leaf") = value.clone();
                let result = payload(&name, &broken.to_string());
                assert!(!result.passed(), "{name}{path} = {value}");
                broken_count += 1;
            }
        }
    }
    assert!(broken_count > 10_000, "{broken_count}");
}

/// Ids and times are integers of 64 bits, nothing else.
#[test]
fn a_malformed_id_or_time_fails_its_payload() {
    let id = |path: &str, v: &Value| {
        v.is_u64() && ["/oid", "/tid", "/time", "/timestamp", "/statusTimestamp"].iter().any(|k| path.ends_with(k))
    };
    for (name, text) in payloads() {
        let source: Value = serde_json::from_str(&text).expect("JSON");
        let mut paths = Vec::new();
        leaves(&source, "", &id, &mut paths);
        for path in paths {
            for value in [json!(-1), json!(1.5), json!("1"), json!(1e30), json!(true)] {
                let mut broken = source.clone();
                *broken.pointer_mut(&path).expect("a leaf") = value.clone();
                let request = path.contains("/request/oid");
                assert!(request || !payload(&name, &broken.to_string()).passed(), "{name}{path} = {value}");
            }
        }
    }
}

#[test]
fn price_and_size_rules() {
    let rules: Value = serde_json::from_str(&data("number_rules.json")).expect("JSON");
    let decimal = |case: &Value, key: &str| plain_decimal(case[key].as_str().expect("a text")).expect("a decimal");
    let decimals = |case: &Value| u32::try_from(case["sz_decimals"].as_u64().expect("decimals")).expect("few");
    let prices = rules["price_cases"].as_array().expect("cases");
    for case in prices {
        let market = if case["market"] == "spot" { Market::Spot } else { Market::Perp };
        let verdict = check_px(decimal(case, "px"), decimals(case), market);
        assert_eq!(json!(verdict.is_ok()), case["valid"], "{case}: {verdict:?}");
    }
    let sizes = rules["size_cases"].as_array().expect("cases");
    for case in sizes {
        assert_eq!(json!(check_sz(decimal(case, "sz"), decimals(case)).is_ok()), case["valid"], "{case}");
    }
    assert_eq!((prices.len(), sizes.len()), (30, 5));
}

/// A payload with some bytes overwritten, one piece copied elsewhere, and an end cut off.
fn mutated() -> impl Strategy<Value = (String, Vec<u8>)> {
    let edits = prop::collection::vec((any::<Index>(), any::<u8>()), 0..5);
    let splice = any::<Option<(Index, Index, Index)>>();
    let cut = prop::option::weighted(0.3, any::<Index>());
    let files = prop::sample::select(payloads());
    (files, edits, splice, cut).prop_map(|((name, text), edits, splice, cut)| {
        let mut bytes = text.into_bytes();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some((from, len, to)) = splice {
            let from = from.index(bytes.len());
            let piece = bytes[from..from + len.index((bytes.len() - from).min(200))].to_vec();
            let to = to.index(bytes.len());
            bytes.splice(to..to, piece);
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        (name, bytes)
    })
}

/// What decodes at all, encodes and decodes to the same.
fn survives<T: DeserializeOwned + Serialize + PartialEq>(bytes: &[u8]) -> bool {
    decode::<T>(bytes, "payload").map_or(true, |value| {
        let again = serde_json::to_vec(&value).map(|bytes| decode::<T>(&bytes, "payload"));
        again.is_ok_and(|again| again == Ok(value))
    })
}

fn sent() -> Vec<OrderRequest> {
    let order = OrderRequest {
        asset: 0,
        is_buy: true,
        px: "100".parse().expect("a decimal"),
        sz: "1".parse().expect("a decimal"),
        reduce_only: false,
        kind: OrderKind::Limit { tif: Tif::Gtc },
        cloid: None,
    };
    vec![order; 3]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// FZ01, FZ02, FZ03: whatever the bytes, a value or a typed error, and never a rejection without a text for it.
    #[test]
    fn fz01_02_03_mutated_bytes_never_panic((name, bytes) in mutated()) {
        let text = String::from_utf8_lossy(&bytes);
        let result = payload(&name, &text);
        prop_assert!(result.passed() || result.faults.iter().all(|fault| !fault.is_empty()));
        if let Ok(frame) = ServerFrame::decode(&text) {
            prop_assert_eq!(ServerFrame::decode(&frame.encode()), Ok(frame));
        }
        if let Ok(frame) = ClientFrame::decode(&text) {
            prop_assert_eq!(ClientFrame::decode(&frame.encode()), Ok(frame));
        }
        if let Ok(signed) = decode::<Signed>(&bytes, "exchange") {
            // nobody signed it, or somebody whom nobody knows
            prop_assert!(signed.signers().map_or(true, |signers| !signers.is_empty()));
        }
        prop_assert!(survives::<InfoRequest>(&bytes));
        prop_assert!(survives::<Meta>(&bytes));
        prop_assert!(survives::<ClearinghouseState>(&bytes));
        prop_assert!(survives::<Vec<Fill>>(&bytes));
        prop_assert!(survives::<Vec<FrontendOrder>>(&bytes));
        prop_assert!(survives::<OrderStatus>(&bytes));
        if let Ok(answer) = decode::<Answer>(&bytes, "exchange") {
            for outcome in classify::outcomes(&answer, &sent()) {
                if let SendOutcome::Rejected(reject) = outcome {
                    prop_assert!(classify::order(&reject.text) == Some(reject.kind));
                    prop_assert!(matches!(answer, Answer::Err(_)) || text.contains("error"));
                }
            }
        }
    }
}
