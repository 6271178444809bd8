//! How deep the account lies: margin levels, automatic reductions, drawdown.

use std::time::{Duration, Instant};

use plimsoll_tests::rig::{clear_of_midnight, open_in, progress};
use plimsoll_tests::{LOADABLE, Rig};
use rust_decimal::Decimal;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(40);

fn decimal(value: &Value) -> Decimal {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("an amount, not {value}"))
}

fn factor(size: &Value, name: &str) -> Decimal {
    let factors = size["sizing"]["factors"].as_array().unwrap();
    decimal(&factors.iter().find(|f| f["name"] == name).unwrap_or_else(|| panic!("no {name} in {size}"))["value"])
}

fn reference(status: &Value) -> Decimal {
    // in ticks of 0.1
    Decimal::new(status["desk"]["guard"]["markets"]["hyperliquid:BTC"]["reference"].as_i64().unwrap(), 1)
}

fn level(status: &Value) -> &str {
    status["levels"][0][1].as_str().unwrap_or_default()
}

/// Entries of one kind in the journal, oldest first.
fn entries(rig: &Rig, kind: &str) -> Vec<Value> {
    let text = rig.ok(&["export"]).unwrap();
    let entry = |line: &str| serde_json::from_str::<Value>(line).unwrap()["record"]["entry"].clone();
    text.lines().map(entry).filter(|entry| entry["kind"] == kind).collect()
}

/// An account loaded far beyond what the defaults allow, so that a fall of a tenth costs most of it.
///
/// Normal moves are taken tenfold, so that the runway of such an account is minutes whatever volatility its venue's past happens to
/// have, and a reduction takes the shortest horizon there is. The buffer that this would ask of new orders is for a minute.
const DEEP: [&str; 3] = ["guard.buffer.tail=10", "guard.buffer.exit_minutes=1", "guard.buffer.runway_hours_min=0"];

const MILD: &str =
    "[guard.scenario.crash]\nshock = { \"*\" = \"-0.02\" }\n[guard.scenario.rally]\nshock = { \"*\" = \"0.02\" }\n";

#[test]
fn a_fall_of_a_tenth_goes_through_the_levels_and_is_reduced_back_to_the_target() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::on(dir.path(), &["paper.balance_usd=20000"], MILD, &[&LOADABLE[..], &DEEP[..]].concat()).unwrap();
    let status = rig.start().unwrap();
    let equity = decimal(&status["desk"]["guard"]["accounts"]["hyperliquid"]["equity"]);
    // cover is 9.4 now, and 1.6 after a fall of a tenth: between the reduce and the kill level
    let quantity = (equity * Decimal::new(845, 2) / reference(&status)).trunc_with_scale(3).to_string();
    let load = rig.submit("buy", &quantity, "6s", &["--slices", "3"]).unwrap();
    let status = rig.wait_ended(&[load], SOON).unwrap();
    assert_eq!(level(&status), "ok", "{}", status["levels"]);
    let bought = rig.truth().unwrap()["fills"].as_array().unwrap().len();
    rig.steer(&json!({ "shift_bps": -1_000, "over_ms": 30_000 })).unwrap();
    rig.wait("the reduce level", Duration::from_secs(90), |s| level(s) == "reduce").unwrap();
    // what would grow the position is turned away or held, with the reason
    let grows = ["submit", "--instrument", "hyperliquid:BTC", "--side", "buy", "--quantity", "0.05", "--horizon", "10m"];
    let (code, out, err) = rig.run(&grows).unwrap();
    if code == Some(0) {
        let more: u32 = out.trim().trim_start_matches('P').parse().unwrap();
        let held = |s: &Value| progress(s, more).is_some_and(|p| p["reason"].as_str().is_some_and(|r| r.contains("reduc")));
        rig.wait("a parent that is held", SOON, |s| held(s) || level(s) != "reduce").unwrap();
        rig.ok(&["cancel", &more.to_string()]).unwrap();
    } else {
        assert!(err.contains("sizing allows 0") || err.contains("reduc"), "{err}");
    }
    let target = Decimal::from(3);
    let restored = |s: &Value| {
        let lines = margin_cover(s);
        level(s) != "reduce" && level(s) != "kill" && lines.is_some_and(|cover| cover >= target)
    };
    rig.wait("cover back at its target", Duration::from_secs(400), restored).unwrap();
    rig.wait_venue("nothing of it open", SOON, |truth| open_in(truth).is_empty()).unwrap();
    // every fill since was a sale out of a long position that was larger: never an opposite one (I07)
    let truth = rig.truth().unwrap();
    let since = &truth["fills"].as_array().unwrap()[bought..];
    assert!(!since.is_empty(), "nothing was reduced");
    for fill in since {
        assert!(fill["side"] == "A" && decimal(&fill["startPosition"]) >= decimal(&fill["sz"]), "{fill}");
        assert!(fill["liquidation"].is_null(), "the venue was first: {fill}");
    }
    assert!(decimal(&truth["net"]["BTC"]) > Decimal::ZERO, "{}", truth["net"]);
    let told = entries(&rig, "level");
    let mut down = told.iter().filter_map(|entry| entry["to"].as_str());
    for level in ["watch", "top_up", "reduce"] {
        assert!(down.any(|to| to == level), "{level} in its place among {told:?}");
    }
    let audit = rig.ok(&["audit"]).unwrap();
    assert!(audit.contains(" 0 findings"), "{audit}");
}

/// Equity over maintenance as the daemon sees the account.
fn margin_cover(status: &Value) -> Option<Decimal> {
    let account = &status["desk"]["guard"]["accounts"]["hyperliquid"];
    let (equity, maintenance) = (decimal(&account["equity"]), decimal(&account["maintenance"]));
    equity.checked_div(maintenance)
}

#[test]
fn c16_a_spent_budget_stays_spent_over_a_kill_and_a_rearm() {
    clear_of_midnight(3 * SOON);
    let dir = tempfile::tempdir().unwrap();
    // losses may be as fast as they like, and small ones count
    let set = [
        "guard.sizing.other_equity_usd=0",
        "guard.sizing.k_loss=1",
        "guard.drawdown.day=0.001",
        "guard.drawdown.trade=0.001",
        "guard.drawdown.group=0.001",
        "guard.drawdown.peak=0.5",
        "guard.drawdown.velocity_1m=0.5",
        "guard.drawdown.velocity_5m=0.5",
        "guard.drawdown.velocity_15m=0.5",
    ];
    let mut rig = Rig::new(dir.path(), &set).unwrap();
    rig.start().unwrap();
    let load = rig.submit("buy", "0.4", "4s", &["--slices", "2"]).unwrap();
    rig.wait_ended(&[load], SOON).unwrap();
    rig.steer(&json!({ "shift_bps": -700 })).unwrap();
    let status = rig.wait("the day's budget spent", SOON, |s| s["desk"]["stop"] == "reduce_only").unwrap();
    assert!(
        status["desk"]["stop_cause"].as_str().is_some_and(|c| c.contains("the day has lost")),
        "{}",
        status["desk"]["stop_cause"]
    );
    // flat: from here on the loss is what it is
    let flat = rig.submit("sell", "0.4", "4s", &["--slices", "2", "--reduce-only"]).unwrap();
    rig.wait_ended(&[flat], SOON).unwrap();
    rig.wait("the account without a position", SOON, |s| s["desk"]["guard"]["accounts"]["hyperliquid"]["maintenance"] == "0")
        .unwrap();
    let before = rig.sizes().unwrap();
    let loss = Decimal::from(1_000_000) - factor(&before[0], "equity_total");
    assert!(loss > Decimal::from(1_000), "{before:?}");
    rig.daemon().proc.kill9();
    rig.spawn().unwrap();
    let sized = |s: &Value| s["desk"]["ready"] == true && s["sizes"].as_array().is_some_and(|l| !l.is_empty());
    let status = rig.wait("a daemon that is stopped still", SOON, sized).unwrap();
    assert_eq!(status["desk"]["stop"], "reduce_only", "{}", status["desk"]["stop_cause"]);
    // the loss is not forgotten, and while it stands nothing is lifted (C33)
    let words = format!("loss = the day has lost {}, its budget is 1000: a loss within its budget", loss.normalize());
    let until = Instant::now() + SOON;
    loop {
        let refused = rig.refused(&["rearm", "--reason", "to see whether the loss is forgotten"]).unwrap();
        if refused.contains(&words) {
            break;
        }
        // a start works profit out within a second or two
        assert!(refused.contains("loss = not known") && Instant::now() < until, "{refused}");
    }
    assert_eq!(rig.status().unwrap()["desk"]["stop"], "reduce_only");
    for (before, after) in before.iter().zip(&rig.sizes().unwrap()) {
        for name in ["equity_total", "drawdown_scale"] {
            assert_eq!(factor(after, name), factor(before, name), "{name}: {after}");
        }
        assert_eq!((&after["sizing"]["notional"], &after["size"]), (&json!("0"), &json!(0)), "{after}");
    }
    let profit = entries(&rig, "profit").pop().expect("the loss was journaled");
    assert_eq!(decimal(&profit["profit"]), -loss, "{profit}");
    let refused = rig.refused(&["submit", "--instrument", "hyperliquid:BTC", "--side", "buy", "--quantity", "0.01"]).unwrap();
    assert!(refused.contains("sizing allows 0"), "{refused}");
}
