//! The paper venue's bridge on a real chain: what the wallet sends is credited to it once, what is withdrawn arrives.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use domain::{EvmAddress, TransferState};
use paper::control::BridgeState;
use paper::{CctpSpec, ChainSpec, Market, Paper, PaperHandle, PaperSpec, VenueLimits};
use plimsoll_tests::anvil::USDC;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use wire::hyperliquid::Address;
use wire::hyperliquid::action::Action;
use wire::hyperliquid::sign::{Key, Network, sign};

use super::rig::{Arg, BRIDGE, Chain, Desk, SECRET};
use super::{on_chain, wallet};

/// A venue on the chain, once it has looked at it: only what comes afterwards is a deposit.
pub async fn venue_on(chain: &Chain, bridge: EvmAddress, key: Option<Key>, cctp: Option<CctpSpec>) -> Result<PaperHandle> {
    let mut spec = ChainSpec::new(chain.url.clone(), Address(chain.token.0), Address(bridge.0));
    spec.confirmations = 3;
    spec.credit_after = Duration::from_millis(100);
    spec.pay_after = Duration::from_millis(100);
    spec.key = key.map(Into::into);
    spec.cctp = cctp;
    let limits = VenueLimits::unlimited();
    let venue = Paper::start(PaperSpec { market: Market::Still, limits, chain: Some(spec), ..PaperSpec::default() }).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(venue)
}

async fn venue(chain: &Chain, bridge: EvmAddress, key: Option<Key>) -> Result<PaperHandle> {
    venue_on(chain, bridge, key, None).await
}

/// Mines a block at a time until the bridge has done `what`.
pub async fn until(chain: &Chain, venue: &PaperHandle, what: &str, done: impl Fn(&BridgeState) -> bool) -> Result<()> {
    let started = Instant::now();
    loop {
        let state = venue.state().await?.bridge;
        if done(&state) {
            return Ok(());
        }
        ensure!(started.elapsed() < Duration::from_secs(60), "{what}: {state:?}");
        chain.mine(1).await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub async fn post(venue: &PaperHandle, path: &str, body: &Value) -> Result<Value> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    Ok(client.post(format!("{}{path}", venue.url())).json(body).send().await?.json().await?)
}

pub async fn value_of(venue: &PaperHandle, user: EvmAddress) -> Result<Decimal> {
    let state = post(venue, "/info", &json!({"type": "clearinghouseState", "user": user.to_string()})).await?;
    Ok(Decimal::from_str_exact(state["withdrawable"].as_str().context("no amount")?)?)
}

#[test]
fn what_the_wallet_sends_is_credited_to_it_once_over_a_reorganisation() {
    on_chain("the bridge credits", |chain| async move {
        let venue = venue(&chain, BRIDGE, None).await?;
        let before = value_of(&venue, wallet()).await?;
        let mut desk = Desk::start(&chain, &[]).await?;
        let id = desk.deposit(25).await?;
        ensure!(desk.finish(&chain, id).await? == TransferState::Landed, "the deposit landed");
        until(&chain, &venue, "the credit", |b| b.credited == 1).await?;
        ensure!(value_of(&venue, wallet()).await? - before == Decimal::from(25), "all of it");
        desk.credit(id, 25).await?;
        // the next one is mined, undone and mined again before it counts
        let second = desk.deposit(7).await?;
        desk.reaches(second, "sent").await?;
        desk.included(&chain, second).await?;
        chain.rpc("anvil_reorg", json!([2, []])).await?;
        ensure!(desk.finish(&chain, second).await? == TransferState::Landed, "it is sent again");
        until(&chain, &venue, "the second credit", |b| b.credited == 2).await?;
        chain.mine(20).await?;
        tokio::time::sleep(Duration::from_millis(600)).await;
        let state = venue.state().await?.bridge;
        ensure!((state.arrived, state.credited, state.swallowed) == (2, 2, 0), "{state:?}");
        ensure!(value_of(&venue, wallet()).await? - before == Decimal::from(32), "each once");
        ensure!(chain.balance(BRIDGE).await? == 32 * USDC, "and the chain agrees");
        Ok(())
    });
}

#[test]
fn a_withdrawal_arrives_less_its_fee() {
    on_chain("the bridge pays", |chain| async move {
        let bridge_key = Key::from_hex(&"b7".repeat(32))?;
        let bridge = EvmAddress(bridge_key.address().0);
        chain.admin("mint(address,uint256)", &[Arg::Address(bridge), Arg::Number(100 * USDC)]).await?;
        chain.rpc("anvil_setBalance", json!([bridge.to_string(), "0x16345785d8a0000"])).await?;
        let venue = venue(&chain, bridge, Some(bridge_key)).await?;
        let (owner, to) = (Key::from_hex(SECRET)?, EvmAddress([0x99; 20]));
        let before = value_of(&venue, wallet()).await?;
        let time = venue.state().await?.now_ms;
        let action: Action = serde_json::from_value(json!({
            "type": "withdraw3", "hyperliquidChain": "Testnet", "signatureChainId": "0x66eee",
            "destination": to.to_string(), "amount": "41.5", "time": time,
        }))?;
        let signed = serde_json::to_value(sign(&owner, action, time, None, None, Network::Testnet)?)?;
        let answer = post(&venue, "/exchange", &signed).await?;
        ensure!(answer["status"] == "ok", "{answer}");
        until(&chain, &venue, "the payment", |b| b.paid == 1).await?;
        ensure!(chain.balance(to).await? == 40_500_000, "the fee stays");
        ensure!(before - value_of(&venue, wallet()).await? == Decimal::new(415, 1), "debited gross");
        let ledger =
            post(&venue, "/info", &json!({"type": "userNonFundingLedgerUpdates", "user": wallet().to_string(), "startTime": 0}))
                .await?;
        let row = ledger.as_array().and_then(|rows| rows.last()).context("no ledger")?;
        ensure!((row["delta"]["type"] == "withdraw") && row["delta"]["nonce"] == time, "{row}");
        Ok(())
    });
}
