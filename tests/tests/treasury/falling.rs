//! Show 1: a falling market, the ladder climbed in order, cover back at its target, and three ledgers that agree.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use plimsoll_tests::{LOADABLE, skip};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::on_chain;
use super::rig::{Funded, SOON, Wish, usd};

/// Leverage far beyond what the defaults allow, so that a fall of a twelfth costs most of the account.
const DEEP: [&str; 2] = [
    "guard.cover.target=3.5",
    // the fall is as fast as it is
    "treasury.route.bridge.cost_usd=0.01",
];
const MILD: &str =
    "[guard.scenario.crash]\nshock = { \"*\" = \"-0.02\" }\n[guard.scenario.rally]\nshock = { \"*\" = \"0.02\" }\n";

fn account(status: &Value) -> &Value {
    &status["desk"]["guard"]["accounts"]["hyperliquid"]
}

/// Equity over maintenance as the daemon sees it.
fn cover(status: &Value) -> Option<Decimal> {
    usd(&account(status)["equity"]).ok()?.checked_div(usd(&account(status)["maintenance"]).ok()?)
}

#[test]
fn cover_that_fell_below_its_trigger_is_restored_up_the_ladder_and_all_ledgers_agree() {
    on_chain("a falling market", |chain| {
        let wish = Wish {
            wallet: 5_000,
            spot: 1_000,
            venue: &["paper.balance_usd=20000"],
            more: MILD,
            set: &[&LOADABLE[..], &DEEP[..]].concat(),
            ..Wish::default()
        };
        let mut funded = Funded::on(chain, wish)?;
        let status = funded.rig.start()?;
        let equity = usd(&account(&status)["equity"])?;
        let mark =
            Decimal::new(status["desk"]["guard"]["markets"]["hyperliquid:BTC"]["reference"].as_i64().context("a price")?, 1);
        // 8.45 times the equity: cover is 9.4 now and 2.6 after a fall of 8.9 %
        let quantity = (equity * Decimal::new(845, 2) / mark).trunc_with_scale(3).to_string();
        let load = funded.rig.submit("buy", &quantity, "6s", &["--slices", "3"])?;
        funded.rig.wait_ended(&[load], SOON)?;
        let fills = funded.rig.truth()?["fills"].as_array().context("fills")?.len();
        funded.rig.steer(&json!({ "shift_bps": -890, "over_ms": 12_000 }))?;
        funded.rig.wait("the top-up level", SOON, |s| s["levels"][0][1] == "top_up")?;
        let bridged =
            |t: &Value| t["ended"].as_array().is_some_and(|all| all.iter().any(|one| one["route"]["route"] == "bridge"));
        let rests = |t: &Value| t["action"] == "rest" && t["open"].as_array().is_some_and(Vec::is_empty) && bridged(t);
        funded.wait("the targets reached and nothing under way", Duration::from_secs(90), rests)?;
        let status = funded.rig.status()?;
        ensure!(cover(&status) >= Some(Decimal::new(35, 1)), "cover {:?} of a target of 3.5", cover(&status));
        let agreed = funded.agree()?;
        ensure!(agreed.inside == [Decimal::from(1_000)], "all of the spot balance: {agreed:?}");
        ensure!(!agreed.moved.is_empty(), "then the wallet: {agreed:?}");
        if let Err(missing) = funded.witnessed(&agreed)? {
            skip("the ledgers by viem and nktkas", &missing);
        }
        in_order(&funded)?;
        let after = funded.rig.truth()?["fills"].as_array().context("fills")?.len();
        ensure!(after == fills, "money was moved instead of positions: {} fills since", after - fills);
        let audit = funded.rig.ok(&["audit"])?;
        ensure!(audit.contains(" 0 findings"), "{audit}");
        // the same from the journal alone
        funded.rig.daemon().proc.kill9();
        funded.agree().context("with the daemon down")?;
        Ok(())
    });
}

/// Inside the venue first, and each of the bridge's only when what went before had arrived.
fn in_order(funded: &Funded) -> Result<()> {
    let mut routes = Vec::new();
    let mut open = None;
    for (id, event, body) in funded.events()? {
        match event.as_str() {
            "intended" => {
                ensure!(open.is_none(), "T{id} begins while T{} is under way", open.unwrap_or_default());
                routes.push(body["route"]["route"].as_str().context("a route")?.to_owned());
                open = Some(id);
            }
            "credited" | "accepted" | "ended" => open = open.filter(|one| *one != id),
            _ => {}
        }
    }
    ensure!(routes.first().is_some_and(|one| one == "spot_to_perp"), "{routes:?}");
    ensure!(routes.iter().skip(1).all(|one| one == "bridge") && routes.len() >= 2, "{routes:?}");
    Ok(())
}
