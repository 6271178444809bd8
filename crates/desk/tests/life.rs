//! The life of orders against a venue that says odd things, late, twice, or not at all. Each test began as a failure or guards
//! a rule whose breach costs money.

mod approvals;
mod drills;
mod load;
mod reload;
mod rig;
mod stops;
mod treasury;
mod trips;

use domain::{
    Command, CommandReply, EndPolicy, Entry, Fact, Lost, Lots, OrderOutcome, ParentChange, ParentSpec, Qty, Reject, RejectKind,
    ReportedState, SendOutcome, Side, Span, Stop, StopLevel, StreamHealth, StreamKind, Trigger,
};
use plimsoll_desk::Working;
use rig::{Rig, VENUE, passive};

fn kill() -> Command {
    Command::Kill(Stop::all(StopLevel::Cancel, Trigger::Operator, "test"))
}

fn lost() -> SendOutcome {
    SendOutcome::Unknown(Lost::Timeout)
}

/// An order that was lost, and that two reads after its expiry did not find.
fn never_landed(rig: &mut Rig) -> domain::Intent {
    let intent = rig.place();
    rig.apply(&[Fact::Sent { key: intent.key, outcome: lost() }]);
    rig.pass(Span::secs(20), &[]);
    assert_eq!(rig.state(intent.key), Working::Done(OrderOutcome::NeverLanded));
    intent
}

#[test]
fn equal_journals_hash_alike_and_different_ones_do_not() {
    // I25: a hash of nothing would agree with everything
    let mut rig = Rig::new();
    let before = rig.desk.books().hash();
    let intent = rig.place();
    assert_ne!(before, rig.desk.books().hash());
    let placed = rig.desk.books().hash();
    rig.ack(intent.key, 1);
    assert_ne!(placed, rig.desk.books().hash());
}

#[test]
fn an_order_acknowledged_after_it_was_declared_never_landed_freezes_its_market() {
    let mut rig = Rig::new();
    let intent = never_landed(&mut rig);
    let cancels = rig.cancels.len();
    rig.ack(intent.key, 9);
    assert!(rig.frozen().is_some_and(|why| why.contains("NeverLanded")), "{:?}", rig.frozen());
    assert_eq!(rig.cancels.len(), cancels + 1, "it is cancelled in case it lives");
}

#[test]
fn a_report_or_a_fill_of_an_order_declared_never_landed_freezes_its_market() {
    let mut rig = Rig::new();
    let intent = never_landed(&mut rig);
    rig.apply(&[Fact::Order(rig.report(&intent, 9, ReportedState::Open, 10_000))]);
    assert!(rig.frozen().is_some());
    let mut rig = Rig::new();
    let intent = never_landed(&mut rig);
    rig.filled(&intent, 9, 5);
    assert!(rig.frozen().is_some_and(|why| why.contains("NeverLanded")), "{:?}", rig.frozen());
    assert_eq!(rig.desk.books().position(rig.market), Lots(5), "F25: booked all the same");
}

#[test]
fn a_late_open_report_of_a_cancelled_order_is_no_contradiction() {
    let mut rig = Rig::new();
    let intent = rig.place();
    rig.ack(intent.key, 1);
    rig.apply(&[Fact::Order(rig.report(&intent, 1, ReportedState::Canceled, intent.child.qty.0))]);
    assert_eq!(rig.state(intent.key), Working::Done(OrderOutcome::Canceled));
    rig.apply(&[Fact::Order(rig.report(&intent, 1, ReportedState::Open, intent.child.qty.0))]);
    assert_eq!(rig.frozen(), None);
}

#[test]
fn fills_before_the_acknowledgement_after_the_cancel_and_after_the_end_are_booked() {
    // F20, F25
    let mut rig = Rig::new();
    let intent = rig.place();
    let all = intent.child.qty.0;
    rig.filled(&intent, 1, 100);
    rig.ack(intent.key, 1);
    rig.command(Command::Change(intent.child.parent, ParentChange::Pause));
    assert_eq!(rig.state(intent.key), Working::CancelAsked);
    rig.filled(&intent, 1, 100);
    rig.apply(&[Fact::Order(rig.report(&intent, 1, ReportedState::Canceled, all - 200))]);
    assert_eq!(rig.state(intent.key), Working::Done(OrderOutcome::Canceled));
    rig.filled(&intent, 1, 100);
    assert_eq!(rig.desk.books().position(rig.market), Lots(300));
    let progress = &rig.desk.status(rig.now).parents[0].progress;
    assert_eq!(progress.filled, Qty(300));
    assert_eq!(rig.frozen(), None);
}

#[test]
fn a_fill_told_twice_is_booked_once_and_an_overfill_freezes() {
    // F23, F26
    let mut rig = Rig::new();
    let intent = rig.place();
    rig.ack(intent.key, 1);
    let fill = rig.fill(&intent, 1, intent.child.qty.0);
    rig.position = Lots(intent.child.qty.0);
    rig.apply(&[Fact::Fill(fill.clone()), Fact::Fill(fill.clone())]);
    rig.pass(Span::secs(20), &[]);
    rig.apply(&[Fact::Fill(fill)]);
    assert_eq!(rig.desk.books().position(rig.market), Lots(intent.child.qty.0));
    assert_eq!(rig.frozen(), None);
    rig.filled(&intent, 1, 1);
    assert!(rig.frozen().is_some());
}

#[test]
fn a_fill_on_the_wrong_side_freezes_and_an_absurd_one_is_not_booked() {
    let mut rig = Rig::new();
    let intent = rig.place();
    rig.ack(intent.key, 1);
    let mut fill = rig.fill(&intent, 1, 5);
    fill.side = Side::Sell;
    rig.apply(&[Fact::Fill(fill)]);
    assert!(rig.frozen().is_some_and(|why| why.contains("Sell")), "{:?}", rig.frozen());
    let mut rig = Rig::new();
    let intent = rig.place();
    for _ in 0..3 {
        let fill = rig.fill(&intent, 1, i64::MAX / 2);
        rig.apply(&[Fact::Fill(fill)]);
    }
    assert!(rig.frozen().is_some());
    assert_eq!(rig.desk.books().position(rig.market), Lots(0));
}

#[test]
fn two_venue_orders_under_one_key_freeze() {
    // I02
    let mut rig = Rig::new();
    let intent = rig.place();
    rig.ack(intent.key, 1);
    rig.apply(&[Fact::Order(rig.report(&intent, 2, ReportedState::Open, 10_000))]);
    assert!(rig.frozen().is_some());
    assert!(rig.cancels.iter().any(|c| c.order == Some(domain::VenueOrderId::Number(2))));
}

#[test]
fn a_rejection_of_an_order_that_the_venue_has_shown_proves_nothing() {
    let mut rig = Rig::new();
    let intent = rig.place();
    rig.apply(&[Fact::Order(rig.report(&intent, 1, ReportedState::Open, 10_000))]);
    let reject = Reject { kind: RejectKind::Other, text: "no".into() };
    rig.apply(&[Fact::Sent { key: intent.key, outcome: SendOutcome::Rejected(reject) }]);
    assert_eq!(rig.state(intent.key), Working::Resting);
}

#[test]
fn a_resting_order_that_a_pull_finds_open_is_not_asked_about_again() {
    // after a restart every live order is in doubt; the venue's weight budget must not pay for it until they end
    let mut rig = Rig::new();
    let intent = rig.place();
    rig.ack(intent.key, 1);
    let open = [rig.report(&intent, 1, ReportedState::Open, intent.child.qty.0)];
    rig.crash();
    rig.connect();
    rig.pass(Span::secs(3), &open);
    let mut pulls = 0;
    for _ in 0..60 {
        rig.tick(Span::millis(500));
        while !rig.pulls.is_empty() {
            pulls += 1;
            rig.answer_pull(open.to_vec(), Vec::new());
        }
    }
    assert!(pulls <= 3, "{pulls} pulls in half a minute; one every 15 s is enough");
}

#[test]
fn an_order_that_the_venue_never_explains_is_asked_about_ever_less_often_and_alarms_once() {
    let mut rig = Rig::new();
    let intent = rig.place();
    rig.ack(intent.key, 1);
    let mut pulls = 0;
    for _ in 0..1_200 {
        rig.tick(Span::millis(500));
        while !rig.pulls.is_empty() {
            pulls += 1;
            rig.answer_pull(Vec::new(), Vec::new());
        }
    }
    assert_eq!(rig.alerts.iter().filter(|a| a.starts_with("unresolved")).count(), 1);
    assert!(pulls < 200, "{pulls} pulls in ten minutes");
    assert!(!rig.state(intent.key).is_done(), "I05: absence proves nothing about an acknowledged order");
}

#[test]
fn a_cancel_that_overtook_its_order_is_sent_again() {
    let mut rig = Rig::new();
    let intent = rig.place();
    rig.command(kill());
    assert_eq!(rig.state(intent.key), Working::CancelAsked);
    rig.apply(&[Fact::CancelAnswered { key: intent.key, gone: true }]);
    let cancels = rig.cancels.len();
    rig.ack(intent.key, 1);
    assert_eq!(rig.cancels.len(), cancels + 1);
}

#[test]
fn an_order_that_is_open_although_its_cancel_was_answered_is_cancelled_again() {
    let mut rig = Rig::new();
    let intent = rig.place();
    rig.ack(intent.key, 1);
    rig.command(kill());
    rig.apply(&[Fact::CancelAnswered { key: intent.key, gone: true }]);
    let cancels = rig.cancels.len();
    let open = [rig.report(&intent, 1, ReportedState::Open, intent.child.qty.0)];
    rig.pass(Span::secs(3), &open);
    assert!(rig.cancels.len() > cancels);
}

#[test]
fn an_order_that_lands_after_the_kill_or_the_drain_is_cancelled() {
    // F100, L4
    for drain in [false, true] {
        let mut rig = Rig::new();
        let intent = rig.place();
        rig.apply(&[Fact::Sent { key: intent.key, outcome: lost() }]);
        if drain {
            let mut out = Vec::new();
            rig.desk.drain(rig.now, &mut out);
        } else {
            rig.command(kill());
        }
        rig.apply(&[Fact::CancelAnswered { key: intent.key, gone: true }]);
        let cancels = rig.cancels.len();
        rig.apply(&[Fact::Order(rig.report(&intent, 1, ReportedState::Open, intent.child.qty.0))]);
        assert_eq!(rig.cancels.len(), cancels + 1, "drain: {drain}");
        assert_eq!(rig.state(intent.key), Working::CancelAsked);
    }
}

#[test]
fn a_kill_that_the_daemon_died_of_is_carried_out_by_the_next() {
    // L4, I21
    let mut rig = Rig::new();
    let intent = rig.place();
    rig.ack(intent.key, 1);
    rig.command(kill());
    let (alls, cancels) = (rig.cancel_alls, rig.cancels.len());
    rig.crash();
    assert_eq!(rig.desk.books().stops.level(), StopLevel::Cancel);
    assert_eq!(rig.cancel_alls, alls + 1);
    assert!(rig.cancels.len() > cancels);
}

#[test]
fn a_pull_begun_before_the_stream_came_back_proves_nothing() {
    // F06
    let mut rig = Rig::new();
    rig.tick(Span::secs(20));
    let old = rig.pulls.remove(0);
    let health = |h| Fact::Stream(VENUE, StreamKind::Account, h);
    rig.tick(Span::secs(1));
    rig.apply(&[health(StreamHealth::Down)]);
    rig.tick(Span::secs(1));
    rig.apply(&[health(StreamHealth::Up)]);
    rig.answer(&old, Vec::new(), Vec::new(), Vec::new());
    assert!(!rig.desk.is_ready());
    rig.tick(Span::millis(500));
    rig.answer_pull(Vec::new(), Vec::new());
    assert!(rig.desk.is_ready());
}

#[test]
fn a_pull_that_was_overtaken_by_a_later_one_changes_nothing() {
    let mut rig = Rig::new();
    rig.tick(Span::secs(20));
    let old = rig.pulls.remove(0);
    rig.tick(Span::secs(31));
    let new = rig.pulls.remove(0);
    rig.answer(&new, Vec::new(), Vec::new(), Vec::new());
    let log = rig.log.len();
    let intent = rig.place();
    let stranger = domain::OrderReport { key: None, ..rig.report(&intent, 77, ReportedState::Open, 1) };
    let records = rig.log.len();
    assert!(records > log);
    rig.answer(&old, vec![stranger], Vec::new(), Vec::new());
    assert_eq!(rig.log.len(), records, "{:?}", rig.log.last());
}

#[test]
fn an_order_sent_after_a_pull_began_is_not_missing_from_it() {
    let mut rig = Rig::new();
    rig.tick(Span::secs(20));
    let old = rig.pulls.remove(0);
    let intent = rig.place();
    rig.ack(intent.key, 1);
    rig.pulls.clear();
    rig.answer(&old, Vec::new(), Vec::new(), vec![(intent.key, None)]);
    rig.tick(Span::millis(900));
    assert!(rig.pulls.is_empty(), "{:?}", rig.pulls);
    assert_eq!(rig.state(intent.key), Working::Resting);
}

#[test]
fn fills_of_a_long_absence_are_read_although_the_stream_told_of_newer_ones_first() {
    // the cursor of pulls must not follow the stream: what lies between would never be read
    let mut rig = Rig::new();
    let intent = rig.place();
    rig.ack(intent.key, 1);
    rig.filled(&intent, 1, 10);
    let missed = rig.fill(&intent, 1, 20);
    let absent_since = rig.now.wall_ms;
    rig.crash();
    for _ in 0..7 {
        rig.now = rig.now + Span::secs(1_800);
    }
    let up = |kind| Fact::Stream(VENUE, kind, StreamHealth::Up);
    rig.apply(&[up(StreamKind::Market), up(StreamKind::Account)]);
    let pulled = rig.pulls.remove(0);
    assert!(pulled.fills_since_ms < absent_since);
    rig.filled(&intent, 1, 5);
    rig.apply(&[Fact::SnapshotFailed(VENUE, "503".into())]);
    rig.tick(Span::secs(2));
    let pulled = rig.pulls.remove(0);
    assert!(pulled.fills_since_ms < absent_since, "the second pull leaves a gap");
    rig.position += Lots(20);
    rig.answer(&pulled, Vec::new(), vec![missed], Vec::new());
    assert_eq!(rig.desk.books().position(rig.market), Lots(35), "a fill of hours ago is booked after a newer one");
}

#[test]
fn fills_booked_while_the_picture_was_on_its_way_are_no_break() {
    // C27: a busy market fills between any read and its arrival
    let mut rig = Rig::new();
    let intent = rig.place();
    rig.ack(intent.key, 1);
    for _ in 0..6 {
        rig.tick(Span::secs(16));
        let pulled = rig.pulls.remove(0);
        let (before, now) = (rig.position, rig.now);
        rig.now = rig.now + Span::millis(200);
        rig.filled(&intent, 1, 7);
        let after = std::mem::replace(&mut rig.position, before);
        rig.now = now;
        let open = vec![rig.report(&intent, 1, ReportedState::Open, intent.child.qty.0)];
        rig.answer(&pulled, open, Vec::new(), Vec::new());
        rig.position = after;
        assert_eq!(rig.frozen(), None);
        assert!(rig.pulls.is_empty());
    }
}

#[test]
fn a_position_that_differs_for_good_freezes_and_unfreezing_takes_it_over() {
    // I16, C27, F102
    let mut rig = Rig::new();
    rig.position = Lots(123);
    rig.pass(Span::secs(25), &[]);
    assert!(rig.frozen().is_some_and(|why| why.contains("123")), "{:?}", rig.frozen());
    let reply = rig.command(Command::Unfreeze { instrument: rig.market, reason: "traded by hand".into() });
    assert_eq!(reply, CommandReply::Done);
    rig.pass(Span::secs(60), &[]);
    assert_eq!((rig.frozen(), rig.desk.books().position(rig.market)), (None, Lots(123)));
}

#[test]
fn a_break_that_heals_by_itself_freezes_nothing() {
    let mut rig = Rig::new();
    rig.position = Lots(1);
    rig.pass(Span::secs(16), &[]);
    rig.position = Lots(0);
    rig.pass(Span::secs(60), &[]);
    assert_eq!(rig.frozen(), None);
}

#[test]
fn an_amendment_that_the_guard_refuses_changes_nothing_even_past_the_deadline() {
    let mut rig = Rig::new();
    let spec = ParentSpec { end: EndPolicy::Force, horizon: Span::secs(20), ..passive(Side::Buy, 10_000) };
    let id = rig.submit(spec);
    rig.pass(Span::secs(25), &[]);
    let before = rig.log.len();
    let amend = ParentChange::Amend { qty: Some(Qty(100_000_000_000)), horizon: Some(Span::secs(3_600)) };
    let reply = rig.command(Command::Change(id, amend));
    assert!(matches!(reply, CommandReply::Refused(_)), "{reply:?}");
    assert!(!rig.log[before..].iter().any(|s| matches!(s.entry, Entry::Changed { .. })));
    assert_eq!(rig.desk.status(rig.now).parents[0].spec.horizon, Span::secs(20));
}

#[test]
fn an_amendment_below_what_is_filled_and_working_is_refused() {
    let mut rig = Rig::new();
    let intent = rig.place();
    let amend = ParentChange::Amend { qty: Some(Qty(intent.child.qty.0 - 1)), horizon: None };
    let reply = rig.command(Command::Change(intent.child.parent, amend));
    assert!(matches!(reply, CommandReply::Refused(_)), "{reply:?}");
}

#[test]
fn without_a_book_a_parent_may_not_grow() {
    // I34: a parent without a price would be worth nothing, and pass any cap (C05)
    let mut rig = Rig::new();
    let intent = rig.place();
    rig.crash();
    rig.apply(&[Fact::Instrument(std::sync::Arc::new(rig::instrument()))]);
    let amend = ParentChange::Amend { qty: Some(Qty(100_000_000_000)), horizon: None };
    let reply = rig.command(Command::Change(intent.child.parent, amend));
    assert!(matches!(reply, CommandReply::Refused(_)), "{reply:?}");
}

#[test]
fn an_answer_that_is_found_at_last_lets_the_parents_go_on() {
    let mut rig = Rig::new();
    let intents: Vec<_> = (0..4)
        .map(|n| {
            rig.submit(passive(Side::Buy, 10_000 + n));
            rig.next_placed()
        })
        .collect();
    let lost: Vec<Fact> = intents.iter().map(|i| Fact::Sent { key: i.key, outcome: lost() }).collect();
    rig.apply(&lost);
    let held = |rig: &Rig| rig.desk.status(rig.now).parents.iter().filter(|p| p.progress.reason.contains("await")).count();
    rig.tick(Span::millis(10));
    assert_eq!((rig.desk.books().unknown(), held(&rig)), (4, 4));
    rig.ack(intents[0].key, 1);
    rig.tick(Span::millis(10));
    assert_eq!((rig.desk.books().unknown(), held(&rig)), (3, 0));
}

#[test]
fn a_crash_between_intent_and_send_twice_over_ends_in_one_burn() {
    // F51, F52, §3.5: INTENT, not SENT, absent
    let mut rig = Rig::new();
    let intent = rig.place();
    rig.crash();
    rig.crash();
    assert_eq!(rig.state(intent.key), Working::Unknown(Lost::Restart));
    rig.connect();
    rig.pass(Span::secs(2), &[]);
    assert_eq!(rig.burns, vec![intent.nonce]);
    rig.apply(&[Fact::NonceBurnt { venue: VENUE, nonce: intent.nonce, burnt: true }]);
    assert_eq!(rig.state(intent.key), Working::Done(OrderOutcome::NeverLanded));
    rig.crash();
    assert_eq!(rig.state(intent.key), Working::Done(OrderOutcome::NeverLanded));
}

#[test]
fn a_burn_that_lost_the_race_waits_for_the_order() {
    let mut rig = Rig::new();
    let intent = rig.place();
    rig.apply(&[Fact::Sent { key: intent.key, outcome: lost() }]);
    rig.pass(Span::secs(2), &[]);
    assert_eq!(rig.burns, vec![intent.nonce]);
    rig.apply(&[Fact::NonceBurnt { venue: VENUE, nonce: intent.nonce, burnt: false }]);
    assert_eq!(rig.state(intent.key), Working::Unknown(Lost::Timeout));
    let open = [rig.report(&intent, 1, ReportedState::Open, intent.child.qty.0)];
    rig.pass(Span::secs(2), &open);
    assert_eq!(rig.state(intent.key), Working::Resting);
}

#[test]
fn nonces_are_even_rise_and_are_shared_by_one_kind_of_order_alone() {
    // I32
    let mut rig = Rig::new();
    for n in 0..60 {
        rig.submit(passive(Side::Buy, 1_000 + n));
    }
    rig.pass(Span::secs(40), &[]);
    assert!(rig.placed.len() >= 40, "{}", rig.placed.len());
    let mut last = 0;
    for intent in &rig.placed {
        assert!(intent.nonce.is_multiple_of(2) && intent.nonce >= last);
        last = intent.nonce;
    }
}

#[test]
fn a_stranger_in_our_key_space_is_cancelled_and_freezes() {
    // §3.5: unknown to journal, our key space, open
    let mut rig = Rig::new();
    let mut intent = rig.place();
    rig.ack(intent.key, 1);
    let ours = rig.report(&intent, 1, ReportedState::Open, intent.child.qty.0);
    intent.key = domain::ClientKey::from_bits(intent.key.bits() + 1_000);
    let orphan = rig.report(&intent, 5, ReportedState::Open, 10);
    rig.pass(Span::secs(16), &[ours, orphan]);
    assert!(rig.cancels.iter().any(|c| c.key == intent.key));
    assert!(rig.frozen().is_some());
}

#[test]
fn a_second_reconciliation_over_the_same_venue_records_nothing() {
    // I15
    let mut rig = Rig::new();
    let intent = rig.place();
    rig.ack(intent.key, 1);
    let open = [rig.report(&intent, 1, ReportedState::Open, intent.child.qty.0)];
    rig.pass(Span::secs(20), &open);
    let records = rig.log.len();
    rig.pass(Span::secs(60), &open);
    assert_eq!(rig.log.len(), records, "{:?}", rig.log.last());
}

#[test]
fn after_a_rearm_parents_go_on() {
    let mut rig = Rig::new();
    let intent = rig.place();
    rig.ack(intent.key, 1);
    rig.command(kill());
    rig.apply(&[Fact::Order(rig.report(&intent, 1, ReportedState::Canceled, intent.child.qty.0))]);
    rig.pass(Span::secs(5), &[]);
    assert!(rig.placed.is_empty());
    assert!(matches!(rig.command(Command::rearm(" ")), CommandReply::Refused(_)), "I23");
    assert_eq!(rig.command(Command::rearm("looked")), CommandReply::Done);
    let again = rig.next_placed();
    assert_eq!(again.child.parent, intent.child.parent);
    assert_ne!(again.key, intent.key);
}

#[test]
fn a_venue_that_cannot_be_read_during_a_kill_does_not_stop_the_cancels() {
    let mut rig = Rig::new();
    let intent = rig.place();
    rig.ack(intent.key, 1);
    rig.command(kill());
    let cancels = rig.cancels.len();
    for _ in 0..20 {
        rig.tick(Span::millis(500));
        if !rig.pulls.is_empty() {
            rig.pulls.clear();
            rig.apply(&[Fact::SnapshotFailed(VENUE, "down".into())]);
        }
    }
    assert!(rig.cancels.len() >= cancels + 3);
    assert!(matches!(rig.command(Command::rearm("looked")), CommandReply::Done | CommandReply::Refused(_)));
}

#[test]
fn the_desk_does_not_ask_to_be_woken_in_the_past() {
    let mut rig = Rig::new();
    let intent = rig.place();
    rig.apply(&[Fact::Sent { key: intent.key, outcome: lost() }]);
    rig.command(kill());
    let mut wakes = 0;
    let until = rig.now + Span::secs(60);
    while rig.now.mono < until.mono {
        let at = rig.desk.wake().map_or(until, |(at, _)| at);
        rig.now = if at.mono > rig.now.mono { at } else { rig.now + Span(1) };
        rig.apply(&[Fact::Timer]);
        wakes += 1;
        if wakes % 3 == 0 && !rig.pulls.is_empty() {
            rig.answer_pull(Vec::new(), Vec::new());
        }
    }
    assert!(wakes < 1_000, "{wakes} wakes in a minute");
}
