//! Who may let what was stopped trade again, and when (C33, I23, F101).

use domain::{
    Act, Approval, Command, CommandReply, Entry, EvmAddress, Fact, Lost, Operator, OrderReport, ReportedState, SendOutcome, Span,
    SpecFault, Stop, StopLevel, StopScope, Trigger, VenueOrderId,
};
use proptest::prelude::*;

use crate::kill;
use crate::rig::Rig;

fn operator(n: u8) -> Operator {
    let name = ["anna", "bob", "carol"][usize::from(n)].to_owned();
    Operator { name, address: EvmAddress([n + 1; 20]) }
}

fn two() -> Rig {
    Rig::approved_by(&[operator(0), operator(1)])
}

/// What an operator signs at this moment, good for `minutes`.
fn signed(rig: &Rig, scope: Option<StopScope>, by: u8, minutes: u64) -> Approval {
    let challenge = rig.desk.challenge(rig.now, &Act::Rearm { scope }).unwrap_or_else(|faults| panic!("{faults:?}"));
    Approval { by: operator(by), challenge: challenge.id, until_ms: rig.now.wall_ms + minutes * 60_000 }
}

fn rearm_with(approval: Option<Approval>) -> Command {
    Command::Rearm { reason: "looked".into(), scope: None, approval, standing: Vec::new() }
}

/// The reading that follows a stop at once.
fn read(rig: &mut Rig) {
    rig.pass(Span::secs(2), &[]);
}

fn words(reply: CommandReply) -> String {
    match reply {
        CommandReply::Refused(faults) => faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        CommandReply::Done | CommandReply::Waiting { .. } | CommandReply::Accepted(_) | CommandReply::Drilling(_) => {
            panic!("not refused: {reply:?}")
        }
    }
}

#[test]
fn two_operators_must_approve_of_a_cancel_and_one_of_a_block_c33() {
    let mut rig = two();
    rig.command(Command::Kill(Stop::all(StopLevel::Block, Trigger::Operator, "look first")));
    read(&mut rig);
    assert!(words(rig.command(rearm_with(None))).contains("the approval of one of anna, bob"));
    let one = signed(&rig, None, 1, 5);
    assert_eq!(rig.command(rearm_with(Some(one))), CommandReply::Done);

    rig.command(kill());
    read(&mut rig);
    assert!(words(rig.command(rearm_with(None))).contains("approvals of 2 different of anna, bob"));
    let first = signed(&rig, None, 0, 5);
    let until_ms = first.until_ms;
    let waiting = rig.command(rearm_with(Some(first.clone())));
    assert_eq!(waiting, CommandReply::Waiting { have: vec!["anna".into()], needed: 2, until_ms });
    assert!(words(rig.command(rearm_with(None))).contains("so far: anna"));
    assert!(words(rig.command(rearm_with(Some(first)))).contains("operator = anna: another operator"), "the very same");
    let again = signed(&rig, None, 0, 7);
    assert!(words(rig.command(rearm_with(Some(again)))).contains("operator = anna: another operator"), "signed anew");
    let stranger = signed(&rig, None, 2, 5);
    assert!(words(rig.command(rearm_with(Some(stranger)))).contains("operator = carol: one of anna, bob"));
    assert_eq!(rig.desk.books().stops.level(), StopLevel::Cancel);
    let second = signed(&rig, None, 1, 5);
    assert_eq!(rig.command(rearm_with(Some(second))), CommandReply::Done);
    assert!(!rig.desk.books().stops.is_set());
    let Entry::Rearm { by, .. } = &rig.log.last().unwrap().entry else { panic!("{:?}", rig.log.last()) };
    assert_eq!(by, &["anna", "bob"]);
}

#[test]
fn an_approval_is_good_for_one_stop_and_once_f101() {
    let mut rig = two();
    rig.command(kill());
    read(&mut rig);
    let (anna, bob) = (signed(&rig, None, 0, 9), signed(&rig, None, 1, 9));
    for approval in [&anna, &bob] {
        rig.command(rearm_with(Some(approval.clone())));
    }
    assert!(!rig.desk.books().stops.is_set());
    assert!(words(rig.command(rearm_with(Some(bob.clone())))).contains("scope = all: something that is stopped"));
    // the same cause, level and scope a moment later are another stop
    rig.command(kill());
    read(&mut rig);
    for approval in [&anna, &bob] {
        assert!(words(rig.command(rearm_with(Some(approval.clone())))).contains("this one was used, or is for something else"));
    }
    // a stop of something else voids what waits
    let anna = signed(&rig, None, 0, 9);
    assert!(matches!(rig.command(rearm_with(Some(anna.clone()))), CommandReply::Waiting { .. }));
    let market = StopScope::Market(rig.market);
    rig.command(Command::Kill(Stop { scope: market, ..Stop::all(StopLevel::Block, Trigger::Operator, "odd") }));
    read(&mut rig);
    let bob = signed(&rig, None, 1, 9);
    assert!(matches!(rig.command(rearm_with(Some(bob))), CommandReply::Waiting { have, .. } if have == ["bob"]));
    // an approval for a market is none for everything
    let narrow = signed(&rig, Some(market), 0, 9);
    assert!(words(rig.command(rearm_with(Some(narrow.clone())))).contains("challenge"));
    let by_scope = Command::Rearm { reason: "looked".into(), scope: Some(market), approval: Some(narrow), standing: Vec::new() };
    assert_eq!(rig.command(by_scope), CommandReply::Done, "one is enough for a block");
    assert_eq!(rig.desk.books().stops.level(), StopLevel::Cancel);
}

#[test]
fn an_approval_ends_by_desk_time_and_by_the_clock_and_survives_a_restart() {
    let mut rig = two();
    rig.command(kill());
    read(&mut rig);
    let long = Approval { until_ms: rig.now.wall_ms + 600_001, ..signed(&rig, None, 0, 1) };
    assert!(words(rig.command(rearm_with(Some(long)))).contains("10m00s from now"));
    let late = Approval { until_ms: rig.now.wall_ms, ..signed(&rig, None, 0, 1) };
    assert!(words(rig.command(rearm_with(Some(late)))).contains("it has expired"));
    let anna = signed(&rig, None, 0, 2);
    rig.command(rearm_with(Some(anna)));
    rig.crash();
    rig.connect();
    let have = rig.desk.challenge(rig.now, &Act::Rearm { scope: None }).unwrap().have;
    assert_eq!(have.len(), 1, "it survives");
    rig.pass(Span::secs(121), &[]);
    let bob = signed(&rig, None, 1, 9);
    assert!(matches!(rig.command(rearm_with(Some(bob))), CommandReply::Waiting { have, .. } if have == ["bob"]), "hers is over");
    // a wall clock that is set back prolongs nothing (I39)
    rig.now.wall_ms -= 3_600_000;
    rig.now.mono += Span::secs(600).0;
    read(&mut rig);
    let anna = signed(&rig, None, 0, 9);
    assert!(matches!(rig.command(rearm_with(Some(anna))), CommandReply::Waiting { have, .. } if have == ["anna"]), "his is over");
    // nobody who is no operator any more counts
    rig.operators = vec![operator(1), operator(2)];
    rig.crash();
    rig.connect();
    assert!(rig.desk.challenge(rig.now, &Act::Rearm { scope: None }).unwrap().have.is_empty());
}

#[test]
fn nothing_trades_again_on_a_dirty_reconcile_i23() {
    let mut rig = Rig::new();
    let intent = rig.place();
    rig.ack(intent.key, 1);
    let lost = rig.place();
    rig.apply(&[Fact::Sent { key: lost.key, outcome: SendOutcome::Unknown(Lost::Timeout) }]);
    rig.pulls.clear();
    rig.command(kill());
    // the venue has not been read since, and our orders are not over; it is read at once and not at its next turn
    assert_eq!(rig.pulls.len(), 1, "asked for");
    let said = words(rig.command(Command::rearm("looked")));
    for word in ["reconcile = hyperliquid: a reading of the venue begun after the stop", "orders = 1: none of ours"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let open: Vec<OrderReport> = vec![rig.report(&intent, 1, ReportedState::Open, intent.child.qty.0)];
    rig.answer_pull(open, Vec::new());
    let said = words(rig.command(Command::rearm("looked")));
    for word in ["orders = 1: none open at hyperliquid", "orders = 1: no unresolved orders", "orders = 1: none of ours"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    rig.pass(Span::secs(1), &[]);
    rig.apply(&[Fact::Order(rig.report(&intent, 1, ReportedState::Canceled, intent.child.qty.0))]);
    let said = words(rig.command(Command::rearm("looked")));
    assert!(!said.contains("none of ours") && said.contains("orders = 1: no unresolved orders"), "{said}");
    rig.pass(Span::secs(30), &[]);
    // a position that nobody can explain freezes the market
    rig.position = domain::Lots(7);
    rig.pass(Span::secs(30), &[]);
    assert!(rig.frozen().is_some());
    let said = words(rig.command(Command::rearm("looked")));
    assert!(said.contains("frozen = hyperliquid:BTC: a market that is not frozen: plimsoll unfreeze hyperliquid:BTC"), "{said}");
    assert_eq!(rig.command(Command::Unfreeze { instrument: rig.market, reason: "by hand".into() }), CommandReply::Done);
    // facts of the supervisor
    let sentinel = SpecFault { field: "sentinel".into(), value: "STOP".into(), expected: "no such file".into() };
    let standing = Command::Rearm { reason: "a\nb".into(), scope: None, approval: None, standing: vec![sentinel] };
    let said = words(rig.command(standing));
    assert!(said.contains("sentinel = STOP: no such file") && said.contains("reason = ab: why it is safe"), "{said}");
    assert_eq!(rig.command(Command::rearm("looked")), CommandReply::Done);
}

#[test]
fn a_scope_is_judged_by_what_it_covers() {
    let mut rig = Rig::new();
    let stranger = OrderReport {
        key: None,
        order: VenueOrderId::Number(9),
        ..{
            let intent = rig.place();
            rig.ack(intent.key, 1);
            rig.report(&intent, 9, ReportedState::Open, 5)
        }
    };
    let eth: StopScope = "market:hyperliquid:ETH".parse().unwrap();
    for scope in [StopScope::Market(rig.market), eth] {
        rig.command(Command::Kill(Stop { scope, ..Stop::all(StopLevel::Block, Trigger::Operator, "odd") }));
    }
    rig.pass(Span::secs(20), std::slice::from_ref(&stranger));
    assert!(rig.frozen().is_some());
    let of = |scope| Command::Rearm { reason: "looked".into(), scope: Some(scope), approval: None, standing: Vec::new() };
    let said = words(rig.command(of(StopScope::All)));
    assert!(said.contains("scope = all: one of what is stopped: market:hyperliquid:BTC, market:hyperliquid:ETH"), "{said}");
    assert!(words(rig.command(of(StopScope::Market(rig.market)))).contains("frozen"));
    assert_eq!(rig.command(of(eth)), CommandReply::Done, "the frozen market is not in it");
    assert!(rig.desk.books().stops.market(rig.market).is_some());
}

#[test]
fn what_is_being_flattened_is_not_let_go() {
    let mut rig = Rig::unconnected();
    rig.position = domain::Lots(1_000_000);
    rig.connect();
    rig.pass(Span::secs(2), &[]);
    rig.command(Command::Kill(Stop::all(StopLevel::Flatten, Trigger::Operator, "out")));
    read(&mut rig);
    let said = words(rig.command(Command::rearm("looked")));
    assert!(said.contains("flatten = all: a flatten that has come to its end"), "{said}");
    assert_eq!(rig.desk.books().stops.level(), StopLevel::Flatten);
}

#[test]
fn a_flatten_that_a_wider_stop_holds_back_says_which_to_end_first() {
    let mut rig = Rig::unconnected();
    rig.position = domain::Lots(1_000_000);
    rig.connect();
    rig.pass(Span::secs(2), &[]);
    let market = StopScope::Market(rig.market);
    rig.command(Command::Kill(Stop { scope: market, ..Stop::all(StopLevel::Flatten, Trigger::Operator, "out") }));
    rig.command(Command::Kill(Stop::all(StopLevel::Cancel, Trigger::Latch, "the other store")));
    read(&mut rig);
    let said = words(rig.command(Command::rearm("looked")));
    assert!(said.contains(&format!("flatten = {market}: a re-arm of all by itself first")), "{said}");
    let all = Command::Rearm { reason: "looked".into(), scope: Some(StopScope::All), approval: None, standing: Vec::new() };
    assert_eq!(rig.command(all), CommandReply::Done, "and it is let");
}

/// A position of 10 coins that was there when the journal began, and loses `cents` a coin.
fn losing(cents: i64, steps: u32, every: Span) -> Rig {
    let mut rig = Rig::unconnected();
    rig.position = domain::Lots(1_000_000);
    rig.connect();
    rig.pass(Span::secs(2), &[]);
    for _ in 0..steps {
        rig.px -= cents;
        rig.pass(every, &[]);
    }
    assert_eq!(rig.desk.books().stops.level(), StopLevel::ReduceOnly, "{}", rig.desk.books().stops.cause());
    rig
}

#[test]
fn a_loss_that_ran_too_fast_must_have_left_its_window_also_after_a_restart_c52() {
    let mut rig = losing(11_000, 1, Span::secs(2));
    let said = words(rig.command(Command::rearm("it comes back")));
    assert!(said.contains("loss = lost ") && said.contains("when it is out of the window, in 1m00s at the latest"), "{said}");
    rig.crash();
    rig.connect();
    rig.pass(Span::secs(2), &[]);
    let said = words(rig.command(Command::rearm("it comes back")));
    assert!(said.contains("a stop older than the 1m00s within which it was lost") && said.contains("are left"), "{said}");
    rig.pass(Span::secs(60), &[]);
    assert_eq!(rig.command(Command::rearm("it comes back")), CommandReply::Done);
    rig.pass(Span::secs(5), &[]);
    assert!(!rig.desk.books().stops.is_set(), "{}", rig.desk.books().stops.cause());
}

#[test]
fn a_spent_day_trades_again_the_next_day_and_not_before_c16() {
    let mut rig = losing(4_000, 8, Span::secs(240));
    let said = words(rig.command(Command::rearm("I want to go on")));
    assert!(said.contains("the day has lost") && said.contains("whole again at midnight UTC"), "{said}");
    rig.now = rig.now + Span::secs(86_400);
    rig.connect();
    rig.pass(Span::secs(30), &[]);
    assert_eq!(rig.command(Command::rearm("a new day")), CommandReply::Done);
    rig.pass(Span::secs(5), &[]);
    assert!(!rig.desk.books().stops.is_set(), "{}", rig.desk.books().stops.cause());
}

#[test]
fn an_account_at_kill_and_a_clock_in_doubt_keep_it_stopped() {
    let mut rig = Rig::new();
    rig.position = domain::Lots(0);
    rig.command(Command::Kill(Stop::all(StopLevel::ReduceOnly, Trigger::Clock, "the wall clock was set")));
    read(&mut rig);
    rig.apply(&[Fact::ClockOffset(crate::rig::VENUE, 501)]);
    let said = words(rig.command(Command::rearm("looked")));
    assert!(said.contains("clock = 501 ms: within 500 ms of the clock of hyperliquid"), "{said}");
    rig.apply(&[Fact::ClockOffset(crate::rig::VENUE, 12)]);
    rig.maintenance = domain::Usd::whole(990_000);
    rig.pass(Span::secs(5), &[]);
    let said = words(rig.command(Command::rearm("looked")));
    assert!(said.contains("margin = kill at hyperliquid: a level below kill"), "{said}");
    rig.maintenance = domain::Usd::whole(1_000);
    rig.pass(Span::secs(200), &[]);
    assert_eq!(rig.command(Command::rearm("looked")), CommandReply::Done);
}

#[test]
fn a_rearm_resets_no_budget_c33() {
    let mut rig = Rig::new();
    // every count and window has something in it: losses, messages, refusals, parents of the hour, a paused repeater
    let intent = rig.place();
    rig.ack(intent.key, 1);
    rig.filled(&intent, 1, 4_000);
    rig.px -= 2_000;
    rig.pass(Span::secs(20), &[rig.report(&intent, 1, ReportedState::Open, intent.child.qty.0 - 4_000)]);
    rig.command(Command::Change(intent.child.parent, domain::ParentChange::Pause));
    rig.command(kill());
    rig.apply(&[Fact::Order(rig.report(&intent, 1, ReportedState::Canceled, intent.child.qty.0 - 4_000))]);
    rig.pass(Span::secs(10), &[]);
    let budgets = |rig: &Rig| {
        let (books, guard) = (rig.desk.books(), format!("{:?}", rig.desk.guard()));
        let cut = guard.replace(&format!("{:?}", books.stops), "");
        assert_ne!(cut, guard, "the guard's own picture of what is stopped is in it");
        (cut, serde_json::to_string(&books.ledger).unwrap(), books.parents, books.nonce)
    };
    let before = budgets(&rig);
    assert!(rig.desk.guard().status(rig.now).parents_hour_usd.is_some_and(|spent| spent > domain::Usd::ZERO));
    assert_eq!(rig.command(Command::rearm("looked")), CommandReply::Done);
    assert_eq!(budgets(&rig), before);
}

/// What a test does next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Operator so-and-so approves, for so many seconds, of what is asked now or of what was asked first.
    Approve(u8, u64, bool),
    Raise,
    Wait(u64),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3_u8, 1..600_u64, prop::bool::weighted(0.85)).prop_map(|(n, secs, fresh)| Step::Approve(n, secs, fresh)),
        1 => Just(Step::Raise),
        3 => (1..200_u64).prop_map(Step::Wait),
        1 => Just(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    /// Against a list of who signed what when: what is stopped at cancel trades again exactly when two different operators have
    /// signed for that very stop and both signatures still last (I23).
    #[test]
    fn two_signatures_for_the_same_stop_and_nothing_less(steps in prop::collection::vec(step(), 1..40)) {
        let mut rig = Rig::approved_by(&[operator(0), operator(1), operator(2)]);
        rig.command(kill());
        read(&mut rig);
        let old = signed(&rig, None, 0, 9).challenge;
        // name, challenge, end
        let mut given: Vec<(u8, String, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(secs) => {
                    rig.now = rig.now + Span::secs(secs);
                    read(&mut rig);
                }
                Step::Crash => {
                    rig.crash();
                    rig.connect();
                }
                Step::Raise => {
                    let parent = StopScope::Parent(domain::ParentId(u32::try_from(rig.log.len()).unwrap()));
                    rig.command(Command::Kill(Stop { scope: parent, ..Stop::all(StopLevel::Block, Trigger::Operator, "odd") }));
                    read(&mut rig);
                }
                Step::Approve(by, secs, fresh) => {
                    let now = signed(&rig, None, by, 0).challenge;
                    let challenge = if fresh { now.clone() } else { old.clone() };
                    let until_ms = rig.now.wall_ms + secs * 1_000;
                    let approval = Approval { by: operator(by), challenge: challenge.clone(), until_ms };
                    let reply = rig.command(rearm_with(Some(approval)));
                    given.retain(|(_, of, end)| *of == now && *end > rig.now.wall_ms);
                    let refused = challenge != now || given.iter().any(|(who, ..)| *who == by);
                    if refused {
                        prop_assert!(matches!(reply, CommandReply::Refused(_)), "{reply:?}");
                    } else if given.is_empty() {
                        prop_assert!(matches!(reply, CommandReply::Waiting { .. }), "{reply:?}");
                        given.push((by, challenge, until_ms));
                    } else {
                        prop_assert_eq!(reply, CommandReply::Done);
                        prop_assert!(!rig.desk.books().stops.is_set());
                        given.clear();
                        rig.command(kill());
                        read(&mut rig);
                    }
                }
            }
            prop_assert_eq!(rig.desk.books().stops.level(), StopLevel::Cancel);
        }
    }
}
