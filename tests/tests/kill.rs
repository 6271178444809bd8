//! Stops of a daemon with many open orders, small: what `cargo xtask bench kill` measures is asserted here but for the times.

use std::sync::Mutex;
use std::time::Duration;

use plimsoll_tests::kill::{KillRig, Took, Weather};

/// Enough for several batches of cancels from each side.
const ORDERS: u32 = 130;

fn check(took: Took) {
    assert_eq!(took.left, 0, "{took:?}");
    assert!(took.all.is_some() && took.over.is_some() && took.first < u64::MAX, "each was named by a cancel of ours: {took:?}");
}

#[test]
fn c31_every_order_is_cancelled_in_fair_weather_and_in_foul_and_none_is_placed_after_the_gate() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = KillRig::start(dir.path(), 30, ORDERS - 30, Duration::from_millis(25), &[]).unwrap();
    let alone = Mutex::new(());
    check(rig.trial(Weather::Fair, &alone).unwrap());
    rig.rearm().unwrap();
    check(rig.trial(Weather::Foul, &alone).unwrap());
}
