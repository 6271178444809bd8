//! The wallet against a real chain: Anvil, with Circle's own USDC contract. What the simulation of `chain::machine` tries ten thousand
//! times is tried here where bytes, receipts and reasons are somebody else's.

mod authorisation;
mod bridge;
mod cctp;
mod endpoints;
mod rig;

use anyhow::Result;
use chain::Key;
use domain::{
    AttemptKind, ChainLeg, EvmAddress, Route, Span, TransferId, TransferIntent, TransferOutcome, TransferState, Usd, Venue, Wei,
};
use plimsoll_tests::anvil::USDC;
use plimsoll_tests::skip;
use serde_json::json;

use rig::{Arg, BRIDGE, CHAIN, Chain, Desk, Liar, Lie, RICH, SECRET};

/// Runs `test` on a fresh chain, or notes that there is none.
fn on_chain<F: Future<Output = Result<()>>>(name: &str, test: impl FnOnce(Chain) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        match Chain::start().await.unwrap() {
            Ok(chain) => test(chain).await.unwrap_or_else(|error| panic!("{error:#}")),
            Err(missing) => skip(name, &missing),
        }
    });
}

fn wallet() -> EvmAddress {
    Key::from_hex(SECRET).unwrap().address()
}

#[test]
fn a_deposit_lands_once_and_is_final_only_when_its_block_is_safe() {
    on_chain("a deposit", |chain| async move {
        let mut desk = Desk::start(&chain, &[&chain.url]).await?;
        let id = desk.deposit(25).await?;
        desk.reaches(id, "sent").await?;
        let have = desk.included(&chain, id).await?;
        assert!(have < 30, "{have} blocks");
        chain.mine(10).await?;
        desk.reaches(id, "confirmed").await?;
        for _ in 0..20 {
            desk.step().await?;
        }
        assert_eq!(desk.state(id).name(), "confirmed", "a few blocks are not safe");
        chain.mine(70).await?;
        desk.reaches(id, "landed").await?;
        assert_eq!(desk.told, ["signed", "sent", "included", "confirmed", "final"]);
        assert_eq!((chain.balance(BRIDGE).await?, chain.nonce().await?), (25 * USDC, 1));
        assert!(desk.deposit(5).await.unwrap_err().to_string().contains("money on the way is not sent twice"));
        desk.credit(id, 25).await?;
        let second = desk.deposit(30).await?;
        assert_eq!(desk.finish(&chain, second).await?, TransferState::Landed);
        assert_eq!((chain.balance(BRIDGE).await?, chain.nonce().await?), (55 * USDC, 2));
        Ok(())
    });
}

#[test]
fn f82_a_dropped_transaction_is_sent_again_with_the_same_bytes() {
    on_chain("dropped", |chain| async move {
        // slow to send again, so that a look comes between the loss and that
        let mut config = Desk::start(&chain, &[]).await.map(|desk| desk.config())?;
        (config.policy.resend, config.policy.stuck) = (Span::secs(3), Span::secs(60));
        let mut desk = Desk::with(&chain, config).await?;
        let id = desk.deposit(25).await?;
        desk.reaches(id, "sent").await?;
        let pending = || chain.rpc("txpool_status", json!([]));
        while pending().await?["pending"] != "0x1" {
            desk.step().await?;
        }
        // the wallet sees it in the pool before it goes
        for _ in 0..10 {
            desk.step().await?;
        }
        chain.rpc("anvil_dropAllTransactions", json!([])).await?;
        desk.until("the loss", |desk| desk.told.contains(&"dropped")).await?;
        assert_eq!(desk.finish(&chain, id).await?, TransferState::Landed);
        assert_eq!((chain.balance(BRIDGE).await?, chain.nonce().await?), (25 * USDC, 1));
        Ok(())
    });
}

#[test]
fn f86_underpriced_is_replaced_at_the_same_nonce_and_given_up_is_burnt() {
    on_chain("replaced and burnt", |chain| async move {
        let mut config = Desk::start(&chain, &[]).await.map(|desk| desk.config())?;
        config.policy.give_up = Span::secs(4);
        let mut desk = Desk::with(&chain, config).await?;
        let id = desk.deposit(25).await?;
        desk.reaches(id, "sent").await?;
        // the block that would have taken it costs ten times as much
        chain.base_fee(20).await?;
        chain.mine(1).await?;
        desk.until("a replacement", |desk| desk.attempts(id) >= 2).await?;
        assert_eq!(desk.finish(&chain, id).await?, TransferState::Landed);
        assert_eq!((chain.balance(BRIDGE).await?, chain.nonce().await?), (25 * USDC, 1));
        desk.credit(id, 25).await?;

        // no block comes: in the end the nonce is burnt
        let id = desk.deposit(30).await?;
        desk.until("a burn", |desk| desk.burns(id) >= 1).await?;
        let burns = |desk: &Desk| desk.burns(id);
        let before = burns(&desk);
        desk.until("the burn to be sent", |desk| desk.state(id).name() == "sent").await?;
        for _ in 0..20 {
            desk.step().await?;
        }
        assert!(burns(&desk) >= before);
        assert_eq!(desk.finish(&chain, id).await?, TransferState::Ended(TransferOutcome::Burnt));
        assert_eq!((chain.balance(BRIDGE).await?, chain.nonce().await?), (25 * USDC, 2), "gap-free, nothing moved");
        Ok(())
    });
}

#[test]
fn f85_a_reorganisation_of_any_depth_ends_in_one_transfer() {
    on_chain("reorg", |chain| async move {
        let mut desk = Desk::start(&chain, &[]).await?;
        let mut expected = 0;
        for depth in [1_u64, 2, 7, 33, 64] {
            let id = desk.deposit(5).await?;
            desk.reaches(id, "sent").await?;
            let have = desk.included(&chain, id).await?;
            chain.mine(depth.saturating_sub(have)).await?;
            chain.rpc("anvil_reorg", json!([depth.max(have), []])).await?;
            desk.until("the loss of its block", |desk| desk.told.contains(&"reorged")).await?;
            assert_eq!(desk.finish(&chain, id).await?, TransferState::Landed, "depth {depth}");
            expected += 5 * USDC;
            assert_eq!(chain.balance(BRIDGE).await?, expected, "depth {depth}");
            desk.credit(id, 5).await?;
            desk.told.clear();
        }
        assert_eq!(chain.nonce().await?, 5);
        Ok(())
    });
}

#[test]
fn f90_what_cannot_arrive_whole_is_refused_before_anything_is_signed() {
    on_chain("refused", |chain| async move {
        let mut desk = Desk::start(&chain, &[]).await?;
        let refused = |state: TransferState| {
            let TransferState::Ended(TransferOutcome::Refused { why }) = state else { panic!("{state:?}") };
            why
        };
        chain.admin("pause()", &[]).await?;
        let id = desk.deposit(25).await?;
        assert_eq!(refused(desk.finish(&chain, id).await?), "the contract would revert: Pausable: paused");
        chain.admin("unpause()", &[]).await?;
        for who in [wallet(), BRIDGE] {
            chain.admin("blacklist(address)", &[Arg::Address(who)]).await?;
            let id = desk.deposit(25).await?;
            let why = refused(desk.finish(&chain, id).await?);
            assert_eq!(why, "the contract would revert: Blacklistable: account is blacklisted");
            chain.admin("unBlacklist(address)", &[Arg::Address(who)]).await?;
        }
        chain.base_fee(3_000).await?;
        chain.mine(1).await?;
        let id = desk.deposit(25).await?;
        desk.reaches(id, "ended").await?;
        let why = refused(desk.state(id));
        assert!(why.starts_with("gas would cost") && why.ends_with("of at most 0.01"), "{why}");
        chain.base_fee(1).await?;
        chain.mine(80).await?;

        chain.rpc("anvil_setBalance", json!([wallet().to_string(), "0x1"])).await?;
        for _ in 0..10 {
            desk.step().await?;
        }
        let why = desk.deposit(25).await.unwrap_err().to_string();
        assert!(why.contains("ether of the 0.01 that gas may cost"), "{why}");
        chain.rpc("anvil_setBalance", json!([wallet().to_string(), "0x16345785d8a0000"])).await?;

        chain.keeps_a_fee(wallet(), 100 * USDC).await?;
        for _ in 0..10 {
            desk.step().await?;
        }
        let id = desk.deposit(25).await?;
        let why = refused(desk.finish(&chain, id).await?);
        assert_eq!(why, "of 25000000 units of the token 24999999 would arrive: it keeps a fee");
        assert_eq!(chain.nonce().await?, 0, "nothing was ever sent");
        Ok(())
    });
}

#[test]
fn f89_a_transfer_that_reverts_gives_its_amount_back_and_keeps_its_gas() {
    on_chain("revert", |chain| async move {
        let mut desk = Desk::start(&chain, &[]).await?;
        let before = desk.gas_left();
        let id = desk.deposit(25).await?;
        desk.reaches(id, "sent").await?;
        // paused in the same block, by a transaction that pays more and so goes first
        let pause = format!("0x{}", hex::encode(&wire::hyperliquid::sign::keccak(&[b"pause()"])[..4]));
        let tx = json!({
            "from": RICH, "to": chain.token.to_string(), "data": pause,
            "maxFeePerGas": "0x174876e800", "maxPriorityFeePerGas": "0x174876e800", "gas": "0x30d40",
        });
        chain.rpc("eth_sendTransaction", json!([tx])).await?;
        assert_eq!(desk.finish(&chain, id).await?, TransferState::Ended(TransferOutcome::Reverted));
        assert_eq!((chain.balance(BRIDGE).await?, chain.nonce().await?), (0, 1));
        assert!(desk.gas_left() < before && desk.treasury.transfer(id).unwrap().gas > Some(Wei::ZERO));
        Ok(())
    });
}

#[test]
fn f88_an_endpoint_that_lies_is_stale_or_gone_makes_nothing_final() {
    on_chain("endpoints", |chain| async move {
        let liar = Liar::start(&chain).await?;
        let mut desk = Desk::start(&chain, &[&liar.url]).await?;
        let mut expected = 0;
        for lie in [Lie::Down, Lie::NoReceipts, Lie::OtherChain, Lie::OldHead, Lie::Reverted, Lie::OtherBlock] {
            liar.now(Lie::Honest);
            let id = desk.deposit(5).await?;
            desk.reaches(id, "sent").await?;
            liar.now(lie);
            chain.mine(1).await?;
            let doubts = desk.doubts;
            for _ in 0..20 {
                desk.step().await?;
            }
            chain.mine(80).await?;
            for _ in 0..20 {
                desk.step().await?;
            }
            assert!(desk.treasury.transfer(id).unwrap().working(), "nothing is final on one endpoint's word");
            assert!(desk.doubts > doubts);
            liar.now(Lie::Honest);
            assert_eq!(desk.finish(&chain, id).await?, TransferState::Landed);
            expected += 5 * USDC;
            assert_eq!(chain.balance(BRIDGE).await?, expected);
            desk.credit(id, 5).await?;
        }
        let mut wrong = desk.config();
        wrong.chain_id = 1;
        let why = Desk::with(&chain, wrong).await.map(|_| ()).unwrap_err().to_string();
        assert_eq!(why, "endpoint 1 is of chain 421614, configured is 1");
        Ok(())
    });
}

#[test]
fn f84_somebody_else_with_the_key_freezes_the_wallet() {
    on_chain("foreign", |chain| async move {
        let mut desk = Desk::start(&chain, &[]).await?;
        let id = desk.deposit(25).await?;
        desk.reaches(id, "sent").await?;
        let leg = ChainLeg {
            chain_id: CHAIN,
            wallet: wallet(),
            token: chain.token,
            contract: EvmAddress([0x66; 20]),
            gas_cost_max: Wei::gwei(10_000_000),
        };
        let theirs = TransferIntent {
            id: TransferId(99),
            venue: Venue::Hyperliquid,
            account: wallet(),
            route: Route::Bridge(leg),
            amount: Usd::whole(1),
            fee_max: Usd::ZERO,
            nonce: 0,
            limits: 0,
            cause: "theft".into(),
        };
        let plan =
            chain::machine::Plan { kind: AttemptKind::Send, gas_limit: 100_000, fee_max: Wei::gwei(90), tip: Wei::gwei(50) };
        let attempt = Key::from_hex(SECRET)?.attempt(&theirs, plan)?;
        chain.rpc("eth_sendRawTransaction", json!([attempt.raw.to_string()])).await?;
        assert_eq!(desk.finish(&chain, id).await?, TransferState::Ended(TransferOutcome::Foreign));
        assert_eq!(chain.balance(BRIDGE).await?, 0);
        for _ in 0..5 {
            desk.step().await?;
        }
        let why = desk.frozen();
        assert!(why.contains("was used by a transaction that is not ours"), "{why}");
        Ok(())
    });
}

#[test]
fn i12_a_crash_at_any_state_leads_to_one_transfer() {
    on_chain("crashes", |chain| async move {
        let mut desk = Desk::start(&chain, &[]).await?;
        let mut expected = 0;
        // after the decision, and after each of the facts; each with and without a block in between
        for point in 0..6 {
            for blocks in [0, 1, 80] {
                let id = desk.deposit(5).await?;
                desk.told.clear();
                let mut taken = 0;
                while taken < point && desk.treasury.transfer(id).is_some_and(|t| t.working()) {
                    if desk.told.contains(&"sent") {
                        chain.mine(15).await?;
                    }
                    taken += u32::from(desk.step().await?);
                }
                chain.mine(blocks).await?;
                desk.crash().await?;
                assert_eq!(desk.finish(&chain, id).await?, TransferState::Landed, "crash after {point} facts, {blocks} blocks");
                expected += 5 * USDC;
                assert_eq!(chain.balance(BRIDGE).await?, expected, "crash after {point} facts, {blocks} blocks");
                desk.credit(id, 5).await?;
            }
        }
        assert_eq!(chain.nonce().await?, 18, "one nonce a transfer");
        Ok(())
    });
}
