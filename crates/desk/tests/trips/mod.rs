//! What trips the desk by itself, and what must not: inputs that are old, missing, or disagree (D12).

use domain::{
    Entry, Fact, Intent, Lots, MarginLevel, Marks, ParentId, Px, Reject, RejectKind, SendOutcome, Side, Span, Stop, StopLevel,
    StopScope, StreamHealth, StreamKind, Trigger, Usd,
};

use crate::rig::{Rig, VENUE, market, passive};

fn stops(rig: &Rig) -> Vec<Stop> {
    rig.log.iter().filter_map(|s| if let Entry::Latch(stop) = &s.entry { Some(stop.clone()) } else { None }).collect()
}

fn input<'a>(stop: &'a Stop, name: &str) -> &'a str {
    stop.inputs.get(name).map_or("", String::as_str)
}

fn refuse(rig: &mut Rig, intent: &Intent, kind: RejectKind) {
    let reject = Reject { kind, text: "by the test".into() };
    rig.apply(&[Fact::Sent { key: intent.key, outcome: SendOutcome::Rejected(reject) }]);
}

/// A parent of one order that the venue refuses `times` over.
fn refused(rig: &mut Rig, kind: RejectKind, times: u32) -> ParentId {
    let parent = rig.submit(passive(Side::Buy, 10_000));
    for _ in 0..times {
        let intent = rig.next_placed();
        assert_eq!(intent.key.parent(), parent);
        refuse(rig, &intent, kind);
    }
    rig.tick(Span::secs(1));
    parent
}

#[test]
fn c50_a_parent_that_is_refused_five_times_is_stopped_and_stays_so() {
    let mut rig = Rig::new();
    let four = refused(&mut rig, RejectKind::Malformed, 4);
    assert_eq!(stops(&rig), []);
    let intent = rig.next_placed();
    refuse(&mut rig, &intent, RejectKind::Malformed);
    rig.tick(Span::secs(1));
    let latched = stops(&rig);
    let [stop] = latched.as_slice() else { panic!("{latched:?}") };
    assert_eq!((stop.level, stop.scope, stop.trigger), (StopLevel::Block, StopScope::Parent(four), Trigger::Rejects));
    assert_eq!((input(stop, "refusals"), input(stop, "answers")), ("5", "5"));
    rig.pass(Span::secs(90), &[]);
    assert_eq!(rig.placed, [], "also after the storm has passed (I20)");
    assert_eq!(stops(&rig).len(), 1, "told once");
    rig.crash();
    assert_eq!(rig.desk.books().stops.of(StopScope::Parent(four)).map(|s| s.level), Some(StopLevel::Block), "I21");
    assert_eq!(rig.desk.books().stops.level(), StopLevel::Run, "nobody else");
}

#[test]
fn c50_what_the_market_answers_and_what_was_never_sent_is_no_storm() {
    let mut rig = Rig::new();
    for kind in [RejectKind::WouldTake, RejectKind::NothingToTake, RejectKind::Throttled, RejectKind::NotSent] {
        let parent = refused(&mut rig, kind, 7);
        assert_eq!(stops(&rig), [], "{kind:?}");
        rig.command(domain::Command::Change(parent, domain::ParentChange::Cancel));
        rig.tick(Span::secs(61));
    }
}

#[test]
fn c50_refusals_of_several_parents_are_their_market_s() {
    let mut rig = Rig::new();
    let parents: Vec<ParentId> = (0..3).map(|_| rig.submit(passive(Side::Buy, 10_000))).collect();
    let mut refusals = 0;
    for _ in 0..100 {
        rig.tick(Span::millis(200));
        while let Some(intent) = rig.placed.pop() {
            refuse(&mut rig, &intent, RejectKind::Auth);
            refusals += 1;
        }
        while !rig.pulls.is_empty() {
            rig.answer_pull(Vec::new(), Vec::new());
        }
    }
    let latched = stops(&rig);
    let [stop] = latched.as_slice() else { panic!("{latched:?}") };
    assert_eq!((stop.level, stop.scope, stop.trigger), (StopLevel::ReduceOnly, StopScope::Market(market()), Trigger::Rejects));
    // those that were on their way when the fifth refusal came
    assert!(refusals <= 5 + parents.len(), "{refusals}");
}

fn offset(rig: &mut Rig, ms: i64) {
    rig.apply(&[Fact::ClockOffset(VENUE, ms)]);
    rig.pass(Span::secs(30), &[]);
}

#[test]
fn f80_a_clock_that_stays_away_lets_positions_only_shrink_and_one_odd_reading_does_not() {
    let mut rig = Rig::new();
    for ms in [-501, 3, 60_000, 400, 700, 700, -20] {
        offset(&mut rig, ms);
    }
    assert_eq!(stops(&rig), [], "never for a minute on end");
    for _ in 0..4 {
        offset(&mut rig, -60_000);
    }
    let latched = stops(&rig);
    let [stop] = latched.as_slice() else { panic!("{latched:?}") };
    assert_eq!((stop.level, stop.scope, stop.trigger), (StopLevel::ReduceOnly, StopScope::Venue(VENUE), Trigger::Clock));
    assert_eq!((input(stop, "offset_ms"), input(stop, "offset_max_ms"), input(stop, "readings")), ("-60000", "500", "3"));
    offset(&mut rig, 0);
    assert!(rig.desk.books().stops.is_set(), "good again is not re-armed (I23)");
}

/// A position of 10 coins, worth 618,000.
fn loaded() -> Rig {
    let mut rig = Rig::unconnected();
    rig.position = Lots(1_000_000);
    rig.connect();
    rig.pass(Span::secs(2), &[]);
    rig
}

/// Five minutes in which the venue says everything but what `without` names, and one parent would like to buy.
fn five_minutes_without(rig: &mut Rig, without: &str) {
    rig.submit(passive(Side::Buy, 10_000));
    rig.placed.clear();
    for _ in 0..600 {
        rig.now = rig.now + Span::millis(500);
        let all = [
            ("book", rig.book()),
            ("marks", rig.marks_at(rig.px, rig.px)),
            ("account", Fact::Account(rig.account())),
            ("clock", Fact::ClockOffset(VENUE, 0)),
        ];
        let told: Vec<Fact> = all.into_iter().filter(|(what, _)| *what != without).map(|(_, fact)| fact).collect();
        rig.apply(&told);
        while without != "account" && !rig.pulls.is_empty() {
            rig.answer_pull(Vec::new(), Vec::new());
        }
    }
}

#[test]
fn d12_missing_data_trips_nothing_and_lets_nothing_grow() {
    for without in ["book", "marks", "account", "clock"] {
        let mut rig = loaded();
        // asked for while all is well, and due only later
        five_minutes_without(&mut rig, without);
        assert_eq!(stops(&rig), [], "without {without}");
        assert_eq!(rig.desk.books().levels.get(&VENUE), None, "no margin level on a guess, without {without}");
        rig.placed.clear();
        rig.now = rig.now + Span::millis(500);
        let before = rig.placed.len();
        rig.apply(&[Fact::Timer]);
        assert_eq!(rig.placed.len(), before, "without {without}");
        assert!(!rig.alerts.is_empty() || without == "book", "without {without}, and nobody is told");
    }
    let mut rig = loaded();
    for kind in [StreamKind::Market, StreamKind::Account] {
        rig.apply(&[Fact::Stream(VENUE, kind, StreamHealth::Down)]);
    }
    rig.pass(Span::secs(60), &[]);
    assert_eq!(stops(&rig), [], "without streams");
}

#[test]
fn d12_a_mark_that_neither_oracle_nor_mid_bears_out_trips_nothing_and_one_that_they_do_trips_at_once() {
    // half of the mark: a loss of 309,000 of a million, cover far below kill if it were believed
    for bears_out in [false, true] {
        let mut rig = loaded();
        rig.maintenance = Usd::whole(400_000);
        rig.pass(Span::secs(2), &[]);
        let before = rig.desk.books().levels.get(&VENUE).copied().unwrap_or_default();
        let (low, high) = (rig.px / 2, rig.px);
        for _ in 0..20 {
            rig.now = rig.now + Span::millis(500);
            rig.px = if bears_out { low } else { high };
            let book = rig.book();
            let marks = rig.marks_at(low, rig.px);
            // the venue's own report is of before
            rig.apply(&[book, marks]);
        }
        let after = rig.desk.books().levels.get(&VENUE).copied().unwrap_or_default();
        if bears_out {
            assert!(after >= MarginLevel::Reduce, "{after:?}");
            let latched = stops(&rig);
            assert!(latched.iter().all(|s| s.level == StopLevel::ReduceOnly), "while something is held: {latched:?}");
            assert!(latched.iter().any(|s| s.trigger == Trigger::Loss), "{latched:?}");
        } else {
            assert_eq!((stops(&rig), after), (Vec::new(), before));
            let told = rig.alerts.iter().any(|a| a.contains("bp from the oracle and the mid"));
            assert!(told, "{:?}", rig.alerts);
            // a false peak is no better: nothing is lost when it is gone
            for _ in 0..20 {
                rig.now = rig.now + Span::millis(500);
                let (book, marks) = (rig.book(), rig.marks_at(3 * high, high));
                rig.apply(&[book, marks]);
            }
            rig.pass(Span::secs(60), &[]);
            assert_eq!(stops(&rig), []);
        }
    }
}

impl Rig {
    fn marks_at(&self, mark: i64, oracle: i64) -> Fact {
        let (mark, oracle) = (Px(mark), Px(oracle));
        Fact::Marks(Marks { instrument: market(), mark, oracle, funding_hourly: None, open_interest: None, at: self.now })
    }
}
