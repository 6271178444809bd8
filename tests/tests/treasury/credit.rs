//! Show 5: the venue credits late, never, or twice. What the operator sees, and that nothing is ever sent again.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::on_chain;
use super::rig::{BRIDGE, Funded, SOON, Wish, account, usd};

/// The bridge is the only source, the least that may be waited for a credit, and a top-up level above where the account stands.
const WAITING: [&str; 7] = [
    "guard.cover.watch=1000",
    "guard.cover.top_up=60",
    "treasury.target=70",
    "treasury.spot=false",
    "treasury.credit_timeout_min=1",
    "treasury.route.bridge.cost_usd=0.01",
    "treasury.route.bridge.delay=60s",
];
/// Past the minute that a credit may take.
const OVERDUE: Duration = Duration::from_secs(120);

/// An account that needs a deposit as soon as it holds something, on a venue with `fault`.
fn needy(chain: plimsoll_tests::Anvil, fault: &Value) -> Result<Funded> {
    let wish = Wish { wallet: 8_000, venue: &["paper.balance_usd=20000"], set: &WAITING, ..Wish::default() };
    let mut funded = Funded::on(chain, wish)?;
    funded.rig.fault(fault)?;
    funded.rig.start()?;
    // 24,000 of notional, 300 of maintenance margin at the venue's 1.25 %
    let load = funded.rig.submit("buy", "0.45", "3s", &["--slices", "1"])?;
    funded.rig.wait_ended(&[load], SOON)?;
    Ok(funded)
}

/// The line of the one transfer, open or ended.
fn only(seen: &Value) -> Option<&Value> {
    let of = |name: &str| seen[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut all = of("open").iter().chain(of("ended"));
    all.next().filter(|_| all.next().is_none())
}

fn state(seen: &Value) -> &str {
    only(seen).and_then(|line| line["state"].as_str()).unwrap_or_default()
}

/// Exactly one transaction left the wallet, of `amount`, however often anybody looked.
fn sent_once(funded: &Funded) -> Result<Decimal> {
    let moved: Vec<_> = funded.chain.moved()?.into_iter().filter(|one| one.from == account()).collect();
    ensure!(moved.len() == 1 && funded.chain.nonce(account())? == 1, "{moved:?}");
    let begun = funded.events()?.iter().filter(|(_, event, _)| event == "intended").count();
    ensure!(begun == 1, "{begun} transfers were begun");
    let first = moved.first().context("one")?;
    ensure!(first.to == BRIDGE, "{first:?}");
    Ok(Decimal::from_i128_with_scale(i128::from(first.units), 6).normalize())
}

#[test]
fn f91_a_late_credit_is_reported_overdue_and_taken_in_when_it_comes() {
    on_chain("credited late", |chain| {
        let mut funded = needy(chain, &json!({ "fault": "credit-late", "delay_ms": 80_000 }))?;
        let seen = funded.wait("the deposit on its way", SOON, |t| state(t) == "landed")?;
        let amount = sent_once(&funded)?;
        ensure!(usd(&seen["in_flight"])? == amount, "{seen:#}");
        let late = |t: &Value| only(t).is_some_and(|line| !line["transfer"]["overdue"].is_null());
        funded.wait("the report that it is overdue", OVERDUE, late)?;
        let shown = funded.rig.ok(&["treasury"])?;
        ensure!(shown.to_lowercase().contains("overdue"), "{shown}");
        funded.wait("the credit", OVERDUE, |t| state(t) == "ended")?;
        ensure!(sent_once(&funded)? == amount, "another amount");
        let agreed = funded.agree()?;
        ensure!(agreed.moved == [amount], "{agreed:?}");
        Ok(())
    });
}

#[test]
fn f91_a_credit_that_never_comes_is_not_sent_again_and_can_be_closed_by_the_operator() {
    on_chain("never credited", |chain| {
        let mut funded = needy(chain, &json!({ "fault": "credit-never" }))?;
        funded.wait("the deposit on its way", SOON, |t| state(t) == "landed")?;
        let amount = sent_once(&funded)?;
        // a restart in between forgets nothing
        funded.rig.daemon().proc.kill9();
        funded.rig.spawn()?;
        let late = |t: &Value| only(t).is_some_and(|line| !line["transfer"]["overdue"].is_null());
        let seen = funded.wait("the report that it is overdue", OVERDUE, late)?;
        ensure!(usd(&seen["in_flight"])? == amount && state(&seen) == "landed", "{seen:#}");
        ensure!(sent_once(&funded)? == amount, "another amount");
        let told = funded.rig.ok(&["export"])?;
        ensure!(told.contains(r#""event":"overdue""#), "the journal does not tell");
        // only a person can close it
        let wordless = funded.rig.refused(&["treasury", "write-off", "T1", "--reason", ""])?;
        ensure!(wordless.contains("reason"), "{wordless}");
        funded.rig.ok(&["treasury", "write-off", "T1", "--reason", "the venue lost it; ticket 4711"])?;
        let closed = |t: &Value| {
            let ended = t["ended"].as_array().map(Vec::as_slice).unwrap_or_default();
            ended.iter().any(|line| line["id"] == 1 && line["transfer"].to_string().contains("ticket 4711"))
        };
        let seen = funded.wait("the transfer closed", SOON, closed)?;
        // what left the wallet stays spent
        ensure!(usd(&seen["budgets"]["day"]["spent"])? >= amount, "{seen:#}");
        Ok(())
    });
}

#[test]
fn f91_a_second_credit_is_reported_and_nothing_is_sent_for_it() {
    on_chain("credited twice", |chain| {
        let mut funded = needy(chain, &json!({ "fault": "credit-twice" }))?;
        let seen = funded.wait("a surplus in the treasury", SOON, |t| {
            t["surplus"].as_array().is_some_and(|rows| !rows.is_empty()) && state(t) == "ended"
        })?;
        let amount = sent_once(&funded)?;
        ensure!(usd(&seen["surplus"][0]["amount"])? == amount, "{seen:#}");
        ensure!(usd(&seen["budgets"]["day"]["spent"])? == amount, "spent once: {seen:#}");
        let credited = funded.events()?.iter().filter(|(_, event, _)| event == "credited").count();
        ensure!(credited == 1, "{credited} credits in the journal");
        let shown = funded.rig.ok(&["treasury"])?;
        ensure!(shown.contains("twice") || shown.contains("second"), "{shown}");
        Ok(())
    });
}
