//! Stops: what each level does, in its scope, and how positions are closed by one.

use domain::{
    Command, CommandReply, Entry, Fact, Intent, Lots, ParentId, ParentSpec, ReportedState, Side, Span, Stamped, Stop, StopLevel,
    StopScope, Trigger,
};
use plimsoll_desk::Working;

use crate::rig::{Rig, VENUE, market, passive};

fn stop(level: StopLevel, scope: StopScope) -> Command {
    Command::Kill(Stop { scope, ..Stop::all(level, Trigger::Operator, "test") })
}

/// Ten coins, and enough margin for them.
fn holding(lots: i64) -> Rig {
    let mut rig = Rig::unconnected();
    rig.position = Lots(lots);
    rig.connect();
    rig.pass(Span::secs(2), &[]);
    rig
}

fn swept(rig: &mut Rig) {
    rig.apply(&[Fact::Swept { venue: VENUE, markets: Vec::new(), empty: true }]);
}

fn flattens(log: &[Stamped]) -> Vec<ParentSpec> {
    let parent = |s: &Stamped| if let Entry::Parent { spec, .. } = &s.entry { Some(spec.clone()) } else { None };
    log.iter().filter_map(parent).filter(|spec| spec.note.starts_with("flatten: ")).collect()
}

fn said(rig: &Rig, words: &str) -> bool {
    rig.alerts.iter().any(|alert| alert.contains(words))
}

/// Fills whatever the desk places for so long, and returns it.
fn fill_all(rig: &mut Rig, time: Span) -> Vec<Intent> {
    let mut placed = Vec::new();
    for _ in 0..time.0.div_ceil(Span::millis(500).0) {
        rig.pass(Span::millis(500), &[]);
        for intent in std::mem::take(&mut rig.placed) {
            let oid = 1_000 + u64::try_from(placed.len()).unwrap_or(0);
            rig.ack(intent.key, oid);
            let fill = rig.fill(&intent, oid, intent.child.qty.0);
            rig.position.0 += intent.child.side.sign() * intent.child.qty.0;
            rig.apply(&[Fact::Fill(fill)]);
            placed.push(intent);
        }
    }
    placed
}

#[test]
fn a_market_that_is_stopped_is_swept_alone_and_takes_no_parent() {
    // C30
    let mut rig = Rig::new();
    let intent = rig.place();
    rig.ack(intent.key, 1);
    rig.sweeps.clear();
    assert_eq!(rig.command(stop(StopLevel::Cancel, StopScope::Market(market()))), CommandReply::Done);
    assert_eq!(rig.sweeps, [vec![market()]]);
    assert_eq!(rig.state(intent.key), Working::CancelAsked);
    assert_eq!(rig.desk.books().stops.level(), StopLevel::Run, "the rest goes on");
    let refused = rig.command(Command::Submit(Box::new(passive(Side::Buy, 10_000))));
    let CommandReply::Refused(faults) = refused else { panic!("{refused:?}") };
    assert!(faults[0].expected.contains("market:hyperliquid:BTC is at level cancel"), "{faults:?}");
}

#[test]
fn a_parent_that_is_stopped_leaves_the_others_alone() {
    let mut rig = Rig::new();
    let (one, other) = (rig.place(), rig.place());
    for (n, intent) in [one, other].iter().enumerate() {
        rig.ack(intent.key, n as u64 + 1);
    }
    let sweeps = rig.sweeps.len();
    rig.command(stop(StopLevel::Cancel, StopScope::Parent(one.child.parent)));
    assert_eq!(rig.sweeps.len(), sweeps, "what is not ours is of no parent");
    assert_eq!((rig.state(one.key), rig.state(other.key)), (Working::CancelAsked, Working::Resting));
    // L4: it is found open after all
    rig.apply(&[Fact::CancelAnswered { key: one.key, gone: true }]);
    let cancels = rig.cancels.len();
    rig.tick(Span::secs(5));
    rig.pass(Span::secs(2), &[rig.report(&one, 1, ReportedState::Open, one.child.qty.0)]);
    assert!(rig.cancels.len() > cancels, "it is cancelled again until the venue does not show it");
}

#[test]
fn what_is_no_stop_is_refused_with_what_there_is() {
    let mut rig = Rig::new();
    let mut refused = |command: Command| {
        let reply = rig.command(command);
        let CommandReply::Refused(faults) = reply else { panic!("{reply:?}") };
        faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    assert!(refused(stop(StopLevel::Run, StopScope::All)).contains("reduce-only, block, cancel, flatten, sever"));
    let narrow = refused(stop(StopLevel::Sever, StopScope::Market(market())));
    assert!(narrow.contains("reduce-only, block, cancel, flatten"), "{narrow}");
    assert!(refused(stop(StopLevel::Block, "venue:dydx".parse().unwrap())).contains("venue:hyperliquid"));
    assert!(refused(stop(StopLevel::Block, StopScope::Parent(ParentId(9)))).contains("none yet"));
    assert!(!rig.desk.books().stops.is_set() && !rig.severed);
}

#[test]
fn a_sever_ends_the_process_once_and_a_new_one_only_cancels() {
    let mut rig = Rig::new();
    rig.command(stop(StopLevel::Sever, StopScope::All));
    assert!(std::mem::take(&mut rig.severed) && !rig.sweeps.is_empty());
    rig.command(stop(StopLevel::Cancel, StopScope::All));
    assert!(!rig.severed, "F100: a lower one lowers nothing and severs nothing");
    assert_eq!(rig.desk.books().stops.level(), StopLevel::Sever);
    let sweeps = rig.sweeps.len();
    rig.crash();
    rig.connect();
    assert!(!rig.severed && rig.sweeps.len() > sweeps, "it reads and cancels");
    rig.command(stop(StopLevel::Sever, StopScope::All));
    assert!(rig.severed, "who says it again means it");
}

#[test]
fn a_flatten_waits_for_the_sweep_and_closes_the_position_and_no_more() {
    // C30, I07
    for (lots, side) in [(30_000, Side::Sell), (-30_000, Side::Buy)] {
        let mut rig = holding(lots);
        rig.command(stop(StopLevel::Flatten, StopScope::All));
        rig.pass(Span::secs(3), &[]);
        assert!(flattens(&rig.log).is_empty() && rig.desk.flattening().is_empty(), "the venue is not empty yet");
        swept(&mut rig);
        assert!(rig.desk.flattening().contains(&StopScope::All));
        let placed = fill_all(&mut rig, Span::secs(40));
        assert!(placed.iter().all(|i| i.child.reduce_only && i.child.side == side), "{placed:?}");
        assert_eq!(placed.iter().map(|i| i.child.qty.0).sum::<i64>(), 30_000);
        assert_eq!(rig.desk.books().position(market()), Lots(0));
        assert!(said(&rig, "no position is left") && rig.desk.unflattened().is_empty());
        assert!(rig.desk.flattening().is_empty(), "the gate is closed again");
    }
}

#[test]
fn a_flatten_does_not_call_flat_what_books_and_venue_disagree_on() {
    let mut rig = holding(30_000);
    rig.position = Lots(70_000);
    rig.pass(Span::secs(60), &[]);
    assert!(rig.frozen().is_some());
    rig.command(stop(StopLevel::Flatten, StopScope::All));
    swept(&mut rig);
    fill_all(&mut rig, Span::secs(60));
    assert_eq!(rig.desk.books().position(market()), Lots(0));
    assert!(said(&rig, "a person must look") && !said(&rig, "no position is left"), "{:?}", rig.alerts);
}

#[test]
fn a_flatten_does_not_wait_for_ever_and_survives_a_crash() {
    let mut rig = holding(30_000);
    rig.command(stop(StopLevel::Flatten, StopScope::All));
    rig.pass(Span::secs(5), &[]);
    rig.crash();
    rig.connect();
    rig.pass(Span::secs(14), &[]);
    assert!(said(&rig, "was not seen empty"), "{:?}", rig.alerts);
    fill_all(&mut rig, Span::secs(60));
    assert_eq!(rig.desk.books().position(market()), Lots(0));
}

#[test]
fn what_nobody_takes_is_given_up_after_so_many_rounds_and_said() {
    let mut rig = holding(30_000);
    rig.command(stop(StopLevel::Flatten, StopScope::All));
    swept(&mut rig);
    // whatever is placed is answered with nothing
    for _ in 0..1_000 {
        rig.pass(Span::millis(500), &[]);
        for intent in std::mem::take(&mut rig.placed) {
            let reject = domain::Reject { kind: domain::RejectKind::NothingToTake, text: "nobody".to_owned() };
            rig.apply(&[Fact::Sent { key: intent.key, outcome: domain::SendOutcome::Rejected(reject) }]);
        }
    }
    assert_eq!(flattens(&rig.log).len(), 5);
    assert!(said(&rig, "given up with hyperliquid:BTC 0.3 long left"), "{:?}", rig.alerts);
    assert!(rig.desk.flattening().is_empty() && rig.desk.unflattened().is_empty());
    // F100: said again, it is tried again
    rig.command(stop(StopLevel::Flatten, StopScope::All));
    swept(&mut rig);
    fill_all(&mut rig, Span::secs(40));
    assert_eq!(rig.desk.books().position(market()), Lots(0));
}

#[test]
fn a_flatten_of_a_parent_takes_back_what_it_filled_and_ends_it() {
    let mut rig = holding(50_000);
    let intent = rig.place();
    rig.ack(intent.key, 1);
    let filled = intent.child.qty.0;
    let fill = rig.fill(&intent, 1, filled);
    rig.apply(&[Fact::Fill(fill)]);
    let id = intent.child.parent;
    rig.command(stop(StopLevel::Flatten, StopScope::Parent(id)));
    let placed = fill_all(&mut rig, Span::secs(60));
    assert_eq!(placed.iter().map(|i| i.child.qty.0).sum::<i64>(), filled, "{placed:?}");
    assert_eq!(rig.desk.books().position(market()), Lots(50_000));
    assert!(rig.desk.status(rig.now).parents.iter().all(|p| p.spec.id != id), "a re-arm must not build it again");
}
