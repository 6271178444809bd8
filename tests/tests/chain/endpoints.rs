//! Two endpoints that are two processes, one of which fails the wallet: stopped, behind, of another chain, or telling of receipts what is
//! not so (F88). Money goes out by the one that works; nothing is final until both say so.

use std::time::Duration;

use anyhow::{Result, ensure};
use domain::{TransferId, TransferState};
use plimsoll_tests::Node;
use plimsoll_tests::anvil::USDC;

use super::on_chain;
use super::rig::{BRIDGE, Chain, Desk, Liar, Lie};

/// Two endpoints; a stopped one is waited for no longer than this.
const DEADLINE: Duration = Duration::from_millis(400);
/// Facts taken in while nothing may happen: several looks of the wallet.
const LOOKS: u32 = 40;

async fn desk(chain: &Chain, other: &Node) -> Result<Desk> {
    let mut config = Desk::start(chain, &[&other.url]).await?.config();
    config.deadline = DEADLINE;
    // the broken one first: it must not hold the other up
    config.endpoints.reverse();
    Desk::with(chain, config).await
}

/// Mines until its block is as deep as anything is asked for, and shows that it is not called final.
async fn is_not_final(chain: &Chain, desk: &mut Desk, id: TransferId) -> Result<()> {
    chain.mine(100).await?;
    for _ in 0..LOOKS {
        desk.step().await?;
    }
    ensure!(desk.treasury.transfer(id).is_some_and(|t| t.working()), "final on one endpoint's word: {:?}", desk.state(id));
    Ok(())
}

/// Lets the follower have every block while the transfer ends.
async fn finish(chain: &Chain, follower: &Node, desk: &mut Desk, id: TransferId) -> Result<()> {
    for _ in 0..60 {
        if !desk.treasury.transfer(id).is_some_and(|t| t.working()) {
            break;
        }
        chain.mine(15).await?;
        chain.share(follower).await?;
        for _ in 0..6 {
            desk.step().await?;
        }
    }
    ensure!(desk.state(id) == TransferState::Landed, "{:?}, left out {:?}", desk.state(id), desk.left_out());
    Ok(())
}

/// Takes facts in until an endpoint is left out for a reason with `words` in it.
async fn left_out(desk: &mut Desk, at: usize, words: &str) -> Result<()> {
    desk.until(words, |desk| desk.left_out().iter().any(|(n, why)| *n == at && why.contains(words))).await
}

#[test]
fn f88_a_stopped_endpoint_delays_finality_and_nothing_else() {
    on_chain("a stopped endpoint", |chain| async move {
        let follower = chain.follower().await?;
        let mut desk = desk(&chain, &follower).await?;
        let id = desk.deposit(25).await?;
        follower.stall()?;
        desk.reaches(id, "sent").await?;
        left_out(&mut desk, 1, "no answer").await?;
        desk.included(&chain, id).await?;
        ensure!(chain.balance(BRIDGE).await? == 25 * USDC, "it went out by the other");
        is_not_final(&chain, &mut desk, id).await?;
        ensure!(desk.deposit_now(5).await.is_err(), "and nothing new begins");
        follower.go_on()?;
        finish(&chain, &follower, &mut desk, id).await?;
        ensure!((chain.balance(BRIDGE).await?, chain.nonce().await?) == (25 * USDC, 1), "once");
        Ok(())
    });
}

#[test]
fn f88_an_endpoint_that_is_blocks_behind_is_left_out_until_it_has_caught_up() {
    on_chain("a stale endpoint", |chain| async move {
        let follower = chain.follower().await?;
        let mut desk = desk(&chain, &follower).await?;
        let id = desk.deposit(25).await?;
        desk.reaches(id, "sent").await?;
        // within what is tolerated it counts, and says that the transaction is nowhere: not final, not lost
        chain.mine(30).await?;
        for _ in 0..LOOKS {
            desk.step().await?;
        }
        ensure!(desk.left_out().is_empty() && desk.treasury.transfer(id).is_some_and(|t| t.working()), "{:?}", desk.left_out());
        chain.mine(20).await?;
        left_out(&mut desk, 1, "behind").await?;
        is_not_final(&chain, &mut desk, id).await?;
        finish(&chain, &follower, &mut desk, id).await?;
        ensure!((chain.balance(BRIDGE).await?, chain.nonce().await?) == (25 * USDC, 1), "once");
        Ok(())
    });
}

#[test]
fn f88_an_endpoint_of_another_chain_is_refused_at_start_and_left_out_later() {
    on_chain("another chain", |chain| async move {
        let stranger = chain.stranger(1).await?;
        let why = Desk::start(&chain, &[&stranger.url]).await.map(|_| ()).unwrap_err().to_string();
        ensure!(why == "endpoint 2 is of chain 1, configured is 421614", "{why}");
        // a name that points elsewhere from one day to the next
        let liar = Liar::start(&chain).await?;
        let mut desk = Desk::start(&chain, &[&liar.url]).await?;
        let id = desk.deposit(25).await?;
        liar.turn(&stranger.url);
        desk.reaches(id, "sent").await?;
        left_out(&mut desk, 2, "it is of chain 1, not 421614").await?;
        desk.included(&chain, id).await?;
        is_not_final(&chain, &mut desk, id).await?;
        ensure!(
            tokio::task::block_in_place(|| stranger.rpc("txpool_content", serde_json::json!([])))?["pending"]
                == serde_json::json!({}),
            "no bytes for it"
        );
        liar.turn(&chain.url);
        ensure!(desk.finish(&chain, id).await? == TransferState::Landed);
        ensure!((chain.balance(BRIDGE).await?, chain.nonce().await?) == (25 * USDC, 1), "once");
        Ok(())
    });
}

#[test]
fn f88_a_receipt_that_one_endpoint_invents_ends_nothing() {
    on_chain("an invented receipt", |chain| async move {
        let liar = Liar::start(&chain).await?;
        let mut desk = Desk::start(&chain, &[&liar.url]).await?;
        let id = desk.deposit(25).await?;
        desk.reaches(id, "sent").await?;
        // in a block that exists, with the hash that it has: only the other endpoint can tell
        liar.now(Lie::Mined);
        let doubts = desk.doubts;
        for _ in 0..LOOKS {
            desk.step().await?;
        }
        ensure!(desk.doubts > doubts && !desk.told.contains(&"included"), "{:?}", desk.told);
        ensure!(chain.balance(BRIDGE).await? == 0, "nothing is mined");
        liar.now(Lie::Honest);
        ensure!(desk.finish(&chain, id).await? == TransferState::Landed);
        ensure!((chain.balance(BRIDGE).await?, chain.nonce().await?) == (25 * USDC, 1), "once");
        Ok(())
    });
}
