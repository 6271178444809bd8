use std::collections::BTreeMap;

use super::sim::World;

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
