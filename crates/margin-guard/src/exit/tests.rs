//! A drill makes the buffer larger or leaves it alone; the trust follows it both ways.

use domain::{Lots, Ratio, Usd, Venue};
use risk::scorecard::{Drill, Drilled, Question};

use crate::world::*;
use crate::{ExitSeen, Guard};

const HL: Venue = Venue::Hyperliquid;
const TODAY: u32 = 20_000;

fn loaded() -> Guard {
    let mut guard = world_with(limits(|_| ()));
    guard.observe_measure(&unmeasured(btc(), t0()));
    guard.set_position(btc(), Lots(10_000));
    guard.observe_account(&account(20_000, &[(btc(), 10_000)], t0()));
    guard
}

fn buffer(guard: &Guard) -> Usd {
    guard.load_line(t0())[0].buffer
}

fn seen(delay_min: u32) -> ExitSeen {
    ExitSeen { delay_min, drilled: None }
}

#[test]
fn i34_a_measured_exit_makes_the_buffer_larger_and_never_smaller() {
    let mut guard = loaded();
    let configured = buffer(&guard);
    for quick in [0, 1, 19, 20] {
        guard.observe_exit(HL, seen(quick));
        assert_eq!(buffer(&guard), configured, "{quick} minutes, 20 are configured");
    }
    guard.observe_exit(HL, seen(80));
    let larger = buffer(&guard);
    // four times the delay is twice the excursion; funding and fees come on top, two hours of funding where it was one
    assert!(larger > configured.times(Ratio::scaled(19, 1)), "{configured} {larger}");
    let why = &guard.load_line(t0())[0].buffer_why;
    assert!(why.iter().any(|why| why == "drills of hyperliquid saw an exit of 80 minutes, 20 are configured"), "{why:?}");
    guard.verify().unwrap_or_else(|drift| panic!("{drift}"));
    guard.observe_exit(HL, seen(u32::MAX));
    assert_eq!(guard.exit_seen(HL).delay_min, crate::EXIT_MINUTES_MAX);
    assert!(buffer(&guard) > larger);
    guard.observe_exit(HL, seen(3));
    assert_eq!(buffer(&guard), configured, "a later drill was quick");
}

#[test]
fn a_market_that_comes_after_the_drill_reckons_with_it_too() {
    let mut late = blank(limits(|_| ()));
    late.observe_exit(HL, seen(80));
    late.set_instrument(&btc_rules());
    late.observe_marks(&marks(btc(), BTC_PX, t0()));
    late.observe_measure(&unmeasured(btc(), t0()));
    late.set_position(btc(), Lots(10_000));
    late.observe_account(&account(20_000, &[(btc(), 10_000)], t0()));
    let mut early = loaded();
    early.observe_exit(HL, seen(80));
    assert_eq!(buffer(&late), buffer(&early));
}

#[test]
fn the_trust_in_a_venue_rests_on_its_last_drill() {
    let mut guard = loaded();
    let exit = |guard: &Guard| {
        let trust = guard.venue_trust(HL, TODAY);
        trust.marks.into_iter().find(|mark| mark.question == Question::Exit).map(|mark| mark.score)
    };
    assert_eq!(exit(&guard), Some(None), "nothing is known");
    let drilled = Some(Drilled::Out(Drill { day: TODAY, took_min: 4, expected_min: 4 }));
    guard.observe_exit(HL, ExitSeen { delay_min: 4, drilled });
    assert_eq!(exit(&guard), Some(Some(Ratio::ONE)));
    guard.observe_exit(HL, ExitSeen { delay_min: 4, drilled: Some(Drilled::Overdue { day: TODAY }) });
    assert_eq!(exit(&guard), Some(None));
    guard.observe_exit(HL, ExitSeen { delay_min: 4, drilled: Some(Drilled::Failed { day: TODAY, why: "late".into() }) });
    assert_eq!(exit(&guard), Some(None));
}
