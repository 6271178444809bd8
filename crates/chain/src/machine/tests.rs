use std::collections::BTreeMap;

use domain::{ChainLeg, EvmAddress, RawTx, TransferId, Usd, Venue};

use super::sim::World;
use super::*;

/// Ten thousand worlds over four tests, so that they run side by side.
const WORLDS: u64 = 2_500;
/// Steps of storm in each.
const STEPS: u32 = 140;

fn worlds(from: u64) {
    let mut met: BTreeMap<&'static str, u32> = BTreeMap::new();
    for seed in from..from + WORLDS {
        let mut world = World::new(seed);
        world.storm(STEPS);
        world.calm();
        assert!(world.faults.is_empty(), "seed {seed}: {:#?}", world.faults);
        for (what, times) in world.met {
            *met.entry(what).or_default() += times;
        }
    }
    eprintln!("{met:#?}");
    // a storm in which nothing goes wrong proves nothing
    for what in [
        "a crash",
        "a crash right after the decision",
        "a block is reorganised",
        "a transaction is dropped",
        "an endpoint is left out",
        "somebody else uses the wallet",
        "dropped",
        "reorged",
        "refused",
        "foreign",
        "a replacement is signed",
        "a burn is signed",
        "the budget refuses",
        "the wallet is frozen",
        "arrived",
        "reverted",
        "burnt",
        "overdue",
    ] {
        assert!(met.contains_key(what), "never met: {what}");
    }
}

#[test]
fn g35_spend_never_over_budget_one_final_transfer_per_intent_nonces_gap_free_1() {
    worlds(0);
}

#[test]
fn g35_spend_never_over_budget_one_final_transfer_per_intent_nonces_gap_free_2() {
    worlds(WORLDS);
}

#[test]
fn g35_spend_never_over_budget_one_final_transfer_per_intent_nonces_gap_free_3() {
    worlds(2 * WORLDS);
}

#[test]
fn g35_spend_never_over_budget_one_final_transfer_per_intent_nonces_gap_free_4() {
    worlds(3 * WORLDS);
}

fn now(seconds: u64) -> Stamp {
    Stamp { mono: 0, wall_ms: 1_700_000_000_000 } + Span::secs(seconds)
}

fn intent() -> TransferIntent {
    let account = EvmAddress([1; 20]);
    let gas_cost_max = Wei::gwei(500_000);
    let leg = ChainLeg { chain_id: 1, wallet: account, token: EvmAddress([2; 20]), contract: EvmAddress([3; 20]), gas_cost_max };
    TransferIntent {
        id: TransferId(1),
        venue: Venue::Hyperliquid,
        account,
        route: Route::Bridge(leg),
        amount: Usd::whole(25),
        fee_max: Usd::ZERO,
        nonce: 0,
        limits: 0,
        cause: "test".into(),
    }
}

fn look(base_fee: u64, found: Option<Inclusion>) -> Look {
    Look {
        complete: true,
        head: 100,
        safe: Some(30),
        nonce: Some(u64::from(found.is_some())),
        nonce_safe: Some(0),
        base_fee: Wei::gwei(base_fee),
        found: Agreed::Yes(found),
        known: found.is_none(),
        gas: Wei::gwei(1_000_000_000),
        balance: 100_000_000,
        burn_gas: Some(21_000),
        preflight: Some(Preflight::Passed { gas: 60_000, balance: Wei::gwei(1_000_000_000) }),
    }
}

/// The plan that the machine wants signed, as an attempt whose hash tells `n`.
fn signed(moves: &[Move], n: u8) -> Attempt {
    let plan = moves.iter().find_map(|one| if let Move::Sign(plan) = one { Some(*plan) } else { None });
    let Plan { kind, gas_limit, fee_max, tip } = plan.unwrap_or_else(|| panic!("nothing to sign in {moves:?}"));
    Attempt { kind, hash: TxHash([n; 32]), raw: RawTx(vec![n]), gas_limit, fee_max, tip }
}

#[test]
fn what_cannot_be_signed_is_refused_and_does_not_hang() {
    let mut machine = Machine::start(intent(), now(0), Policy::default());
    let moves = machine.look(now(0), &look(1, None));
    assert!(matches!(moves[..], [Move::Sign(_)]), "{moves:?}");
    let moves = machine.unsigned(now(0), "the signer failed");
    let Some(Move::Tell(TransferEvent::Ended(TransferOutcome::Refused { why }))) = moves.first() else { panic!("{moves:?}") };
    assert_eq!(why, "it cannot be signed: the signer failed");
    assert!(machine.done());
}

#[test]
fn f85_a_replacement_released_after_the_first_was_included_counts_when_that_block_goes() {
    let mut machine = Machine::start(intent(), now(0), Policy::default());
    let first = signed(&machine.look(now(0), &look(1, None)), 1);
    machine.signed(now(0), first.clone());
    machine.release(now(0), &first);
    // the price rises: a replacement is signed, and before the journal holds it, the first is in a block after all
    let second = signed(&machine.look(now(40), &look(2, None)), 2);
    machine.signed(now(40), second.clone());
    let inclusion = Inclusion { hash: first.hash, block: 99, block_hash: TxHash([9; 32]), success: true, gas_cost: Wei(1) };
    machine.look(now(41), &look(2, Some(inclusion)));
    assert_eq!(machine.release(now(42), &second), [], "one is enough");
    // the block goes: the newest bytes that the journal holds are sent, not the first ones alone
    let moves = machine.look(now(43), &look(2, None));
    let sent: Vec<TxHash> =
        moves.iter().filter_map(|one| if let Move::Send(one) = one { Some(one.hash) } else { None }).collect();
    assert_eq!(sent, [second.hash], "{moves:?}");
    // and what follows offers more than the second
    let third = signed(&machine.look(now(80), &look(2, None)), 3);
    assert!(third.fee_max >= raised(second.fee_max), "{third:?}");
}
