//! Levels over falling and rising cover.

use domain::{LevelChange, Lots, MarginLevel, Ratio};

use crate::world::*;
use crate::{Guard, Refusal};

/// A long of 80,000 dollars at 40x: maintenance 1,000.
fn loaded(equity: i32) -> Guard {
    let mut guard = world_with(limits(calm));
    guard.set_position(btc(), Lots(80_000));
    see_equity(&mut guard, equity, 0);
    guard
}

fn see_equity(guard: &mut Guard, equity: i32, ms: u64) {
    see_only(guard, at(ms));
    guard.observe_account(&account(equity, &[(btc(), 80_000)], at(ms)));
}

fn changes(guard: &mut Guard, ms: u64) -> Vec<LevelChange> {
    guard.assess(at(ms)).levels
}

#[test]
fn quant_4_3_levels_worsen_at_once_and_improve_with_hysteresis() {
    let mut guard = loaded(10_000);
    assert_eq!(changes(&mut guard, 0), []);
    // equity in dollars over a maintenance of 1,000, and the level that follows
    let path = [
        (4_000, MarginLevel::Ok),
        (3_999, MarginLevel::Watch),
        (4_000, MarginLevel::Watch),
        (4_399, MarginLevel::Watch),
        (4_400, MarginLevel::Ok),
        (2_999, MarginLevel::TopUp),
        (3_299, MarginLevel::TopUp),
        (3_300, MarginLevel::Watch),
        (1_999, MarginLevel::Reduce),
        (2_199, MarginLevel::Reduce),
        (1_399, MarginLevel::Kill),
        (1_539, MarginLevel::Kill),
        (1_540, MarginLevel::Reduce),
        // reducing ends where its target is restored, not where it would not have begun
        (2_201, MarginLevel::Reduce),
        (2_999, MarginLevel::Reduce),
        (3_000, MarginLevel::TopUp),
        (1_999, MarginLevel::Reduce),
        (9_000, MarginLevel::Ok),
        (-5, MarginLevel::Kill),
    ];
    let mut before = MarginLevel::Ok;
    for (ms, (equity, level)) in (1_u64..).zip(path) {
        see_equity(&mut guard, equity, ms);
        let found = changes(&mut guard, ms);
        assert_eq!(guard.level(HL), level, "at {equity}");
        assert_eq!(
            found.iter().map(|c| (c.from, c.to)).collect::<Vec<_>>(),
            if before == level { vec![] } else { vec![(before, level)] }
        );
        before = level;
    }
    // flat, there is nothing to cover
    guard.set_position(btc(), Lots(0));
    guard.observe_account(&account(50, &[], at(99)));
    let found = changes(&mut guard, 99);
    assert_eq!((found[0].to, found[0].cover), (MarginLevel::Ok, None));
}

#[test]
fn a_change_tells_its_numbers() {
    let mut guard = loaded(1_930);
    let found = changes(&mut guard, 0);
    let [change] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((change.cover, change.equity, change.maintenance), (Some(Ratio::scaled(193, 2)), usd("1930"), usd("1000")));
    assert_eq!(change.why, "cover 1.93 is below 2: reduce");
    see_equity(&mut guard, 3_400, 1);
    assert_eq!(changes(&mut guard, 1)[0].why, "cover 3.4 has reached the target 3: watch");
}

#[test]
fn i34_old_data_changes_no_level_and_says_so() {
    let mut guard = loaded(1_930);
    changes(&mut guard, 0);
    assert_eq!(guard.level(HL), MarginLevel::Reduce);
    // the account report is rich, but the mark behind the maintenance is too old: neither better nor worse
    for equity in [50_000, 1_000] {
        guard.observe_account(&account(equity, &[(btc(), 80_000)], at(20_000)));
        let found = guard.assess(at(20_000));
        assert_eq!((found.levels.len(), guard.level(HL)), (0, MarginLevel::Reduce));
        assert!(found.alarms.iter().any(|a| a.contains("stays reduce") && a.contains("20000 ms old")), "{:?}", found.alarms);
    }
    // a mark that is fresh again
    guard.observe_marks(&marks(btc(), BTC_PX, at(20_000)));
    assert_eq!(changes(&mut guard, 20_000)[0].to, MarginLevel::Kill);
}

#[test]
fn a_restored_level_holds_and_forbids_growth_but_no_reduction() {
    let mut guard = loaded(50_000);
    guard.restore_level(HL, MarginLevel::Reduce);
    assert_eq!(guard.level(HL), MarginLevel::Reduce);
    let refusal = guard.clear(at(0), child(1, 1, 100, BTC_PX)).map(drop);
    assert_eq!(refusal, Err(Refusal::Level { venue: HL, level: MarginLevel::Reduce }));
    drop(allow(&mut guard, at(0), reducing(child(2, 1, 100, BTC_PX))));
    drop(allow(&mut guard, at(0), child(2, 2, 100, BTC_PX)));
}

#[test]
fn a_fall_between_two_account_reports_counts_at_once() {
    let mut guard = loaded(10_000);
    assert_eq!(changes(&mut guard, 0), []);
    // 10 % down: 8,000 of 80,000 lost, and the venue has not said so yet; maintenance 900
    guard.observe_marks(&marks(btc(), BTC_PX * 9 / 10, at(1)));
    let found = changes(&mut guard, 1);
    assert_eq!(found.first().map(|c| (c.to, c.equity, c.maintenance)), Some((MarginLevel::TopUp, usd("2000"), usd("900"))));
    // a rise is not believed before the venue reports it
    guard.observe_marks(&marks(btc(), BTC_PX * 11 / 10, at(2)));
    assert_eq!(changes(&mut guard, 2).first().map(|c| c.equity), Some(usd("10000")));
    guard.verify().unwrap_or_else(|drift| panic!("{drift}"));
}
