//! Show 1 and 6 with endpoints that are gone, old, or lie: nothing is sent or called final on one endpoint's word (F88).

use std::time::Instant;

use anyhow::{Result, ensure};
use plimsoll_tests::rpc_proxy::BATCH;
use plimsoll_tests::{Fate, RpcProxy};
use serde_json::{Value, json};

use super::on_chain;
use super::rig::{BRIDGE, Funded, SOON, Wish, account};

const CALM: [&str; 5] = [
    "guard.cover.watch=1000",
    "guard.cover.top_up=60",
    "treasury.target=70",
    "treasury.spot=false",
    "treasury.route.bridge.cost_usd=0.01",
];

/// Waits until the wallet is in doubt with `words`, and sees that nothing was begun.
fn in_doubt(funded: &mut Funded, words: &str) -> Result<()> {
    funded.wait(words, SOON, |t| t["wallet"]["doubt"].as_str().is_some_and(|why| why.contains(words)))?;
    ensure!(funded.events()?.is_empty() && funded.chain.nonce(account())? == 0, "something was begun");
    Ok(())
}

#[test]
fn f88_an_endpoint_that_is_gone_old_or_lies_stops_deposits_and_honest_ones_resume_them() {
    on_chain("endpoints", |chain| {
        let proxy = RpcProxy::start(&chain.url)?;
        let endpoints = [chain.url.clone(), proxy.url()];
        let wish = Wish {
            wallet: 8_000,
            venue: &["paper.balance_usd=20000"],
            set: &CALM,
            endpoints: Some(&endpoints),
            ..Wish::default()
        };
        let mut funded = Funded::on(chain, wish)?;
        funded.rig.start()?;
        proxy.set(BATCH, Fate::Lose);
        in_doubt(&mut funded, "endpoint 2")?;
        let load = funded.rig.submit("buy", "0.45", "3s", &["--slices", "1"])?;
        funded.rig.wait_ended(&[load], SOON)?;

        // it is needed, and the second endpoint is of another chain, behind, or rich
        proxy.twist(|method, answer| {
            if method == "eth_chainId" {
                answer["result"] = json!("0x1");
            }
        });
        proxy.pass(BATCH);
        in_doubt(&mut funded, "chain")?;
        proxy.twist(|method, answer| {
            if method == "eth_getBlockByNumber" {
                answer["result"]["timestamp"] = json!("0x65000000");
            }
        });
        in_doubt(&mut funded, "old")?;

        // honest: the deposit goes, and while its receipt is denied by one of them it is not final
        proxy.twist(|method, answer| {
            if method == "eth_getTransactionReceipt" {
                answer["result"] = Value::Null;
            }
        });
        let until = Instant::now() + SOON;
        while funded.chain.balance(BRIDGE)? == 0 {
            ensure!(Instant::now() < until, "no deposit comes: {:#}", funded.treasury()?);
        }
        funded.chain.mine(20)?;
        let looks = |t: &Value| t["wallet"]["doubt"].as_str().is_some_and(|why| why.contains("disagree"));
        funded.wait("a look at a chain in which it is safe", SOON, looks)?;
        let finals = |funded: &Funded| Ok::<_, anyhow::Error>(funded.events()?.iter().filter(|e| e.1 == "final").count());
        ensure!(finals(&funded)? == 0, "final on one endpoint's word");
        proxy.honest();
        let idle = |t: &Value| t["open"].as_array().is_some_and(Vec::is_empty) && t["ended"][0]["state"] == "ended";
        funded.wait("the deposit final and credited", SOON, idle)?;
        ensure!(finals(&funded)? == 1 && funded.chain.nonce(account())? == 1, "once");
        ensure!(proxy.sent().len() <= 1, "other bytes: {:?}", proxy.sent());
        let agreed = funded.agree()?;
        ensure!(agreed.moved.len() == 1, "{agreed:?}");
        Ok(())
    });
}
