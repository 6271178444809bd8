//! Margin that comes by itself from inside the venue: a falling market, spot collateral, and a process that dies in between.

use std::path::Path;
use std::time::{Duration, Instant};

use plimsoll_tests::{ACCOUNT, LOADABLE, Rig, http};
use rust_decimal::Decimal;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(40);
/// Of the daemon and of a debug build on a busy machine.
const LONG: Duration = Duration::from_secs(120);
/// What lies in the spot balance.
const SPOT: i64 = 30_000;

/// An account loaded so that a fall of nine hundredths costs most of it, whose usual moves leave it a runway of minutes.
const DEEP: [&str; 4] =
    ["guard.buffer.tail=1", "guard.buffer.exit_minutes=1", "guard.buffer.runway_hours_min=0", "treasury.enabled=true"];

const MORE: &str = "[treasury]\nspot_reserve_usd = \"500\"\n[guard.scenario.crash]\nshock = { \"*\" = \"-0.02\" }\n\
    [guard.scenario.rally]\nshock = { \"*\" = \"0.02\" }\n";

fn decimal(value: &Value) -> Decimal {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("an amount, not {value}"))
}

fn cover(status: &Value) -> Option<Decimal> {
    let account = &status["desk"]["guard"]["accounts"]["hyperliquid"];
    decimal(&account["equity"]).checked_div(decimal(&account["maintenance"]))
}

/// A long position with cover 9.4, and collateral in the spot balance.
fn loaded(dir: &Path) -> Rig {
    let mut rig = Rig::on(dir, &["paper.balance_usd=20000"], MORE, &[&LOADABLE[..], &DEEP[..]].concat()).unwrap();
    let deposit = json!({ "user": ACCOUNT, "usd": SPOT.to_string(), "spot": true });
    let status = rig.start().unwrap();
    http::post(&rig.venue.url(), "/control/deposit", &deposit).unwrap();
    let equity = decimal(&status["desk"]["guard"]["accounts"]["hyperliquid"]["equity"]);
    let price = Decimal::new(status["desk"]["guard"]["markets"]["hyperliquid:BTC"]["reference"].as_i64().unwrap(), 1);
    let quantity = (equity * Decimal::new(845, 2) / price).trunc_with_scale(3).to_string();
    let load = rig.submit("buy", &quantity, "6s", &["--slices", "3"]).unwrap();
    rig.wait_ended(&[load], SOON).unwrap();
    rig
}

fn treasury(rig: &Rig) -> Value {
    serde_json::from_str(&rig.ok(&["treasury", "--json"]).unwrap()).unwrap()
}

/// Looks at the treasury until `wanted` accepts it.
#[track_caller]
fn wait_treasury(rig: &Rig, what: &str, within: Duration, wanted: impl Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + within;
    loop {
        let seen = treasury(rig);
        if wanted(&seen) {
            return seen;
        }
        assert!(Instant::now() < until, "waited for {what}, but {within:?} passed: {seen:#}");
    }
}

/// What the venue's ledger says was moved between spot and perpetuals: amount, and whether it went to perpetuals.
fn moved(rig: &Rig) -> Vec<(Decimal, bool)> {
    let ask = json!({ "type": "userNonFundingLedgerUpdates", "user": ACCOUNT, "startTime": 0 });
    let rows = http::post(&rig.venue.url(), "/info", &ask).unwrap();
    let row = |row: &Value| {
        let delta = &row["delta"];
        (delta["type"] == "accountClassTransfer").then(|| (decimal(&delta["usdc"]), delta["toPerp"] == true))
    };
    let mut rows: Vec<_> = rows.as_array().unwrap().iter().filter_map(row).collect();
    // how the paper venue books a deposit into the spot balance
    assert_eq!(rows.remove(0), (Decimal::from(SPOT), false));
    rows
}

fn spot_left(rig: &Rig) -> Decimal {
    let ask = json!({ "type": "spotClearinghouseState", "user": ACCOUNT });
    let state = http::post(&rig.venue.url(), "/info", &ask).unwrap();
    let usdc = state["balances"].as_array().unwrap().iter().find(|b| b["coin"] == "USDC").unwrap();
    decimal(&usdc["total"])
}

/// Amounts of transfers that arrived.
fn arrived(seen: &Value) -> Vec<Decimal> {
    let ended = seen["ended"].as_array().unwrap();
    ended.iter().filter(|t| t["transfer"]["state"]["outcome"] == "arrived").map(|t| decimal(&t["amount"])).collect()
}

#[test]
fn a_fall_is_met_from_the_spot_balance_before_anything_is_sold() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = loaded(dir.path());
    rig.steer(&json!({ "shift_bps": -880, "over_ms": 20_000 })).unwrap();
    wait_treasury(&rig, "money that arrived", LONG, |t| !arrived(t).is_empty());
    rig.wait("cover above the top-up level", SOON, |s| cover(s).is_some_and(|cover| cover >= Decimal::from(3))).unwrap();
    let seen = wait_treasury(&rig, "rest", LONG, |t| t["action"] == "rest" && t["open"] == json!([]));
    // journal, venue's ledger and balances agree to the cent
    let told: Decimal = arrived(&seen).into_iter().sum();
    let booked = moved(&rig);
    assert!(booked.iter().all(|(_, to_perp)| *to_perp), "{booked:?}");
    assert_eq!(booked.iter().map(|(amount, _)| *amount).sum::<Decimal>(), told, "{booked:?}");
    assert_eq!(spot_left(&rig), Decimal::from(SPOT) - told);
    assert_eq!(decimal(&seen["budgets"]["inside_day"]["spent"]), told);
    // the money came first: no reduction was decided before it
    let journal = rig.ok(&["export"]).unwrap();
    let at = |words: &str| journal.lines().position(|line| line.contains(words));
    let first = at(r#""event":"intended""#).expect("a transfer");
    let parents: Vec<usize> =
        journal.lines().enumerate().filter(|(_, line)| line.contains(r#""kind":"parent""#)).map(|(at, _)| at).collect();
    assert!(parents.iter().skip(1).all(|parent| *parent > first), "{parents:?} and {first}");
    // and the same from the journal alone
    rig.daemon().proc.kill9();
    rig.daemon().proc.wait_exit(SOON).unwrap();
    let down = treasury(&rig);
    assert_eq!((&down["live"], arrived(&down)), (&json!(false), arrived(&seen)), "{down:#}");
    let words = rig.ok(&["treasury"]).unwrap();
    assert!(words.contains("No daemon runs here") && words.contains("spot to perp"), "{words}");
    let audit = rig.ok(&["audit"]).unwrap();
    assert!(audit.contains(" 0 findings"), "{audit}");
}

#[test]
fn i12_killed_while_the_venues_answer_is_out_it_moves_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = loaded(dir.path());
    // the venue moves the money and never says so
    rig.fault(&json!({ "fault": "timeout-after", "count": 1, "action": "usdClassTransfer" })).unwrap();
    rig.steer(&json!({ "shift_bps": -880, "over_ms": 20_000 })).unwrap();
    let seen = wait_treasury(&rig, "a transfer that was sent", LONG, |t| t["open"][0]["state"] == "sent");
    let (id, amount) = (seen["open"][0]["id"].clone(), decimal(&seen["open"][0]["amount"]));
    rig.wait_venue("the money moved", SOON, |_| !moved(&rig).is_empty()).unwrap();
    rig.daemon().proc.kill9();
    assert_eq!(moved(&rig), [(amount, true)]);
    rig.start().unwrap();
    // taken up under its own nonce: the venue knows that one, and its ledger says for what
    let seen =
        wait_treasury(&rig, "its end", LONG, |t| t["ended"].as_array().is_some_and(|ended| ended.iter().any(|t| t["id"] == id)));
    let ended = seen["ended"].as_array().unwrap().iter().find(|t| t["id"] == id).unwrap();
    assert_eq!(ended["transfer"]["state"]["outcome"], "arrived", "{ended}");
    let seen = wait_treasury(&rig, "rest", LONG, |t| t["action"] == "rest" && t["open"] == json!([]));
    let told: Decimal = arrived(&seen).into_iter().sum();
    assert_eq!(moved(&rig).iter().map(|(amount, _)| *amount).sum::<Decimal>(), told);
    assert_eq!(moved(&rig).len(), arrived(&seen).len(), "each transfer moved once");
    assert_eq!(spot_left(&rig), Decimal::from(SPOT) - told);
}
