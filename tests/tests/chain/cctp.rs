//! A deposit by CCTP on a real chain: the wallet authorises and calls, Circle's USDC is burnt, the paper venue credits what is left
//! after the fee. USDC is Circle's own contract; messenger and extension are stand-ins (`tests/contracts`), because no package ships
//! theirs.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use domain::{CctpTerms, EvmAddress, Route, TransferEvent, TransferOutcome, TransferState, Usd};
use paper::control::BridgeState;
use paper::{CctpSpec, Fault, FaultOrder, PaperHandle, Routing, UsdcRoad};
use plimsoll_tests::anvil::USDC;
use rust_decimal::Decimal;
use serde_json::json;
use wire::hyperliquid::Address;

use super::bridge::{post, until, value_of, venue_on};
use super::rig::{BRIDGE, Chain, Desk};
use super::{on_chain, wallet};

const FORWARDER: EvmAddress = EvmAddress([0xf0; 20]);
const PERPS: u32 = 0;
const SPOT: u32 = u32::MAX;

/// A venue that credits burns of `messenger`, less 0.20.
async fn venue(chain: &Chain, messenger: EvmAddress) -> Result<PaperHandle> {
    let mut cctp = CctpSpec::new(Address(messenger.0), Address(FORWARDER.0));
    cctp.credit_after = Duration::from_millis(100);
    venue_on(chain, BRIDGE, None, Some(cctp)).await
}

/// A deposit to this balance of the account, which holds for so many seconds from now.
async fn route(chain: &Chain, desk: &Desk, dex: u32, seconds: i64) -> Result<Route> {
    let now = chain.time().await?;
    let terms = CctpTerms {
        destination_domain: 19,
        forwarder: FORWARDER,
        dex,
        min_finality_threshold: 1_000,
        valid_after_s: now - 3_600,
        valid_before_s: now.saturating_add_signed(seconds),
    };
    Ok(Route::Cctp { leg: desk.leg(chain.extension.context("an extension")?), terms })
}

async fn spot_of(venue: &PaperHandle) -> Result<Decimal> {
    let state = post(venue, "/info", &json!({"type": "spotClearinghouseState", "user": wallet().to_string()})).await?;
    let usdc = state["balances"].as_array().and_then(|all| all.iter().find(|one| one["coin"] == "USDC"));
    Ok(usdc.and_then(|one| one["total"].as_str()).map_or(Ok(Decimal::ZERO), Decimal::from_str_exact)?)
}

#[test]
fn what_is_burnt_is_credited_less_the_fee_to_the_balance_that_was_named() {
    on_chain("CCTP", |mut chain| async move {
        let messenger = chain.cctp().await?;
        let venue = venue(&chain, messenger).await?;
        let mut desk = Desk::start(&chain, &[&chain.url.clone()]).await?;
        let (perps, spot, supply) = (value_of(&venue, wallet()).await?, spot_of(&venue).await?, chain.balance(wallet()).await?);

        // the road is asked for first, and may change while the venue runs
        let asked = json!({"type": "usdcRouting"});
        ensure!(post(&venue, "/info", &asked).await? == json!({"depositRoute": "bridge", "withdrawalRoute": "bridge"}));
        venue.route(Routing { deposit: UsdcRoad::Cctp, withdrawal: UsdcRoad::Bridge }).await?;
        ensure!(post(&venue, "/info", &asked).await? == json!({"depositRoute": "cctp", "withdrawalRoute": "bridge"}));

        let fee = Usd::from_micros(200_000);
        let id = desk.deposit_by(route(&chain, &desk, PERPS, 600).await?, 25, fee).await?;
        ensure!(desk.finish(&chain, id).await? == TransferState::Landed, "it is final: {:?}", desk.state(id));
        until(&chain, &venue, "the credit", |b| b.credited == 1).await?;
        ensure!(value_of(&venue, wallet()).await? - perps == Decimal::new(248, 1), "less 0.20");
        let extension = chain.extension.context("an extension")?;
        ensure!(chain.balance(wallet()).await? == supply - 25 * USDC, "the wallet paid 25");
        ensure!(chain.balance(extension).await? + chain.balance(messenger).await? == 0, "and nobody on the chain has it");
        desk.note(id, TransferEvent::Credited { amount: Usd::from_micros(24_800_000), venue_ms: 1 }).await?;

        // to the spot balance, through a block that is undone
        let id = desk.deposit_by(route(&chain, &desk, SPOT, 600).await?, 30, fee).await?;
        desk.reaches(id, "sent").await?;
        desk.included(&chain, id).await?;
        chain.rpc("anvil_reorg", json!([2, []])).await?;
        ensure!(desk.finish(&chain, id).await? == TransferState::Landed, "it is sent again");
        until(&chain, &venue, "the second credit", |b| b.credited == 2).await?;
        ensure!(spot_of(&venue).await? - spot == Decimal::new(298, 1), "spot");
        desk.note(id, TransferEvent::Credited { amount: Usd::from_micros(29_800_000), venue_ms: 2 }).await?;

        // the bridge goes on beside it
        let id = desk.deposit(7).await?;
        ensure!(desk.finish(&chain, id).await? == TransferState::Landed);
        until(&chain, &venue, "the bridge's credit", |b| b.credited == 3).await?;
        ensure!(value_of(&venue, wallet()).await? - perps == Decimal::new(318, 1), "each once");
        Ok(())
    });
}

#[test]
fn what_the_forwarder_does_not_credit_is_lost_at_the_venue_and_late_or_never_credits_stay_open() {
    on_chain("CCTP goes wrong", |mut chain| async move {
        let messenger = chain.cctp().await?;
        let venue = venue(&chain, messenger).await?;
        let mut desk = Desk::start(&chain, &[]).await?;
        let before = value_of(&venue, wallet()).await?;
        // an authorisation that is over is refused before anything is sent
        let id = desk.deposit_by(route(&chain, &desk, PERPS, -60).await?, 25, Usd::from_micros(200_000)).await?;
        let state = desk.finish(&chain, id).await?;
        let why = "the contract would revert: FiatTokenV2: authorization is expired".to_owned();
        ensure!(state == TransferState::Ended(TransferOutcome::Refused { why }), "{state:?}");
        ensure!(chain.nonce().await? == 0, "nothing was sent");
        // a cap below the fee: burnt, and not forwarded
        let id = desk.deposit_by(route(&chain, &desk, PERPS, 600).await?, 25, Usd::from_micros(199_999)).await?;
        ensure!(desk.finish(&chain, id).await? == TransferState::Landed);
        until(&chain, &venue, "the loss", |b: &BridgeState| b.swallowed == 1).await?;
        let again = desk.deposit_by(route(&chain, &desk, PERPS, 600).await?, 10, Usd::from_micros(200_000)).await;
        ensure!(again.is_err_and(|why| why.to_string().contains("money on the way is not sent twice")), "it is still on its way");
        desk.note(id, TransferEvent::Ended(TransferOutcome::WrittenOff { reason: "burnt below the fee".into() })).await?;
        let id = desk.deposit_by(route(&chain, &desk, PERPS, 600).await?, 10, Usd::from_micros(200_000)).await?;
        venue.fault(FaultOrder::new(Fault::CreditNever).times(1)).await?.map_err(|e| anyhow::anyhow!("{e}"))?;
        ensure!(desk.finish(&chain, id).await? == TransferState::Landed);
        until(&chain, &venue, "its arrival", |b: &BridgeState| b.arrived == 2).await?;
        ensure!(venue.state().await?.bridge.credited == 0 && value_of(&venue, wallet()).await? == before);
        Ok(())
    });
}
