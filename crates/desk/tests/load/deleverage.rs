//! Automatic deleveraging against an account whose every figure the test sets.

use domain::{
    Command, CommandReply, Entry, Lots, MarginLevel, ParentChange, ParentId, ParentSpec, Side, Span, Stamped, Stop, StopLevel,
    Trigger, Usd,
};

use crate::rig::{Rig, passive};

/// Ten coins, worth 618,000, with a maintenance margin of 7,725 at a fortieth; equity as given.
fn loaded(side: i64, equity: i32) -> Rig {
    let mut rig = Rig::unconnected();
    rig.position = Lots(side * 1_000_000);
    rig.maintenance = Usd::whole(7_725);
    rig.connect();
    rig.pass(Span::secs(2), &[]);
    rig.equity = Usd::whole(equity);
    rig.pass(Span::secs(2), &[]);
    rig
}

fn reductions(log: &[Stamped]) -> Vec<ParentSpec> {
    let parent = |s: &Stamped| if let Entry::Parent { spec, .. } = &s.entry { Some(spec.clone()) } else { None };
    log.iter().filter_map(parent).filter(|spec| spec.note.starts_with("deleverage:")).collect()
}

fn level(rig: &Rig) -> MarginLevel {
    rig.desk.books().levels.values().next().copied().unwrap_or_default()
}

fn changes(log: &[Stamped]) -> Vec<(ParentId, ParentChange)> {
    let change =
        |s: &Stamped| if let Entry::Changed { parent, change, .. } = &s.entry { Some((*parent, change.clone())) } else { None };
    log.iter().filter_map(change).collect()
}

#[test]
fn below_the_reduce_level_a_reduce_only_parent_brings_cover_back_to_its_target() {
    for (sign, side) in [(1, Side::Sell), (-1, Side::Buy)] {
        // cover 1.94
        let mut rig = loaded(sign, 15_000);
        assert_eq!(level(&rig), MarginLevel::Reduce);
        let planned = reductions(&rig.log);
        assert_eq!(planned.len(), 1, "{planned:?}");
        let spec = &planned[0];
        // for a cover of 3 with 15,000 a maintenance of 5,000 is left: about a third goes, and what that costs
        assert!(spec.reduce_only && spec.side == side && (340_000..400_000).contains(&spec.qty.0), "{spec:?}");
        assert!(spec.note.starts_with("deleverage: cover 1.94"), "{}", spec.note);
        assert_eq!(rig.desk.books().stops.level(), StopLevel::Run, "nothing is latched at this level");
        rig.pass(Span::secs(40), &[]);
        assert_eq!(reductions(&rig.log).len(), 1, "one is enough while it works");
        let child = rig.placed.first().map(|i| i.child).unwrap_or_else(|| panic!("nothing was placed"));
        assert!(child.reduce_only && child.side == side);
    }
}

#[test]
fn a_reduction_that_is_no_longer_needed_is_cancelled() {
    let mut rig = loaded(1, 15_000);
    let id = reductions(&rig.log)[0].id;
    rig.equity = Usd::whole(20_000);
    rig.pass(Span::secs(3), &[]);
    assert!(changes(&rig.log).is_empty(), "cover 2.6 is above the level and below the target: it goes on");
    rig.equity = Usd::whole(24_000);
    rig.pass(Span::secs(3), &[]);
    assert_eq!(changes(&rig.log), [(id, ParentChange::Cancel)]);
    rig.pass(Span::secs(30), &[]);
    assert_eq!(changes(&rig.log).len(), 1, "once");
}

#[test]
fn what_may_grow_is_held_and_its_orders_are_cancelled_what_shrinks_goes_on() {
    let mut rig = Rig::unconnected();
    // one coin
    rig.position = Lots(100_000);
    rig.connect();
    rig.pass(Span::secs(2), &[]);
    let growing = rig.submit(passive(Side::Buy, 10_000));
    let intent = rig.next_placed();
    rig.ack(intent.key, 1);
    let mut shrinking = passive(Side::Sell, 10_000);
    shrinking.reduce_only = true;
    let shrinking = rig.submit(shrinking);
    (rig.equity, rig.maintenance) = (Usd::whole(1_500), Usd::whole(773));
    rig.tick(Span::secs(1));
    rig.tick(Span::secs(1));
    assert!(rig.cancels.iter().any(|c| c.key == intent.key));
    let status = rig.desk.status(rig.now);
    let reason = |id| status.parents.iter().find(|p| p.spec.id == id).map(|p| p.progress.reason.clone()).unwrap_or_default();
    assert!(reason(growing).contains("reduc"), "{}", reason(growing));
    assert!(!reason(shrinking).contains("positions are being reduced"), "{}", reason(shrinking));
}

#[test]
fn at_the_kill_level_reductions_are_quick_and_positions_may_only_shrink_also_after_a_crash() {
    // cover 1.29
    let mut rig = loaded(1, 10_000);
    assert_eq!(level(&rig), MarginLevel::Kill);
    assert_eq!(rig.desk.books().stops.level(), StopLevel::ReduceOnly, "{}", rig.desk.books().stops.cause());
    let planned = reductions(&rig.log);
    assert!(planned.len() == 1 && planned[0].horizon <= Span::secs(60), "{planned:?}");
    let books = rig.desk.books().levels.clone();
    rig.crash();
    assert_eq!(rig.desk.books().levels, books, "I25");
    rig.connect();
    rig.pass(Span::secs(5), &[]);
    assert_eq!(reductions(&rig.log).len(), 1, "the one of the tenure before goes on");
    assert_eq!(rig.desk.status(rig.now).parents.len(), 1);
}

#[test]
fn a_level_that_worsens_gives_a_reduction_less_time() {
    let mut rig = loaded(1, 15_000);
    let first = reductions(&rig.log).remove(0);
    rig.equity = Usd::whole(10_000);
    rig.pass(Span::secs(20), &[]);
    let hurried = changes(&rig.log).iter().any(|(id, change)| {
        *id == first.id && matches!(change, ParentChange::Amend { horizon: Some(h), .. } if *h < first.horizon)
    });
    assert!(hurried || first.horizon <= Span::secs(120), "{:?} of {first:?}", changes(&rig.log));
    let all: i64 = reductions(&rig.log).iter().map(|r| r.qty.0).sum();
    assert!(reductions(&rig.log).len() > 1 && all <= 1_000_000, "more is needed, never beyond flat: {all}");
}

#[test]
fn a_reduction_that_the_market_ran_away_from_is_planned_anew() {
    let mut rig = loaded(1, 15_000);
    let first = reductions(&rig.log)[0].id;
    // more than two thirds of 150 basis points
    rig.px -= 7_000;
    rig.pass(Span::secs(15), &[]);
    assert!(changes(&rig.log).contains(&(first, ParentChange::Cancel)), "{:?}", changes(&rig.log));
    assert_eq!(reductions(&rig.log).len(), 2);
}

#[test]
fn a_blocked_daemon_plans_nothing() {
    let mut rig = loaded(1, 1_000_000);
    let block = Command::Kill(Stop::all(StopLevel::Block, Trigger::Operator, "test"));
    assert_eq!(rig.command(block), CommandReply::Done);
    rig.equity = Usd::whole(15_000);
    rig.pass(Span::secs(20), &[]);
    assert_eq!(level(&rig), MarginLevel::Reduce, "it is seen");
    assert!(reductions(&rig.log).is_empty() && rig.placed.is_empty());
    rig.command(Command::rearm("test"));
    rig.pass(Span::secs(3), &[]);
    assert_eq!(reductions(&rig.log).len(), 1);
}
