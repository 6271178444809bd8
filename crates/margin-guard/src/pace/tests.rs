//! C50 and C08 at their boundaries.

use domain::{Px, RejectKind, Span};

use super::*;
use crate::limits::Limits;
use crate::world::{at, limits};

fn rules() -> Limits {
    limits(|raw| (raw.rejects, raw.repeat) = (crate::RawRejects::default(), crate::RawRepeat::default()))
}

#[test]
fn c50_five_refusals_in_a_row_are_a_storm_until_it_was_quiet() {
    let limits = rules();
    let rule = limits.rejects();
    let mut watch = RejectWatch::default();
    for n in 0..4 {
        watch.rejected(rule, at(n), RejectKind::Margin);
    }
    assert_eq!(watch.storm(rule, at(4)), None);
    let mut broken = watch.clone();
    broken.accepted(at(4));
    broken.rejected(rule, at(5), RejectKind::Margin);
    assert_eq!(broken.storm(rule, at(5)), None, "an order that is taken breaks the row");
    watch.rejected(rule, at(5), RejectKind::Other);
    let (storm, left) = watch.storm(rule, at(5)).unwrap_or_else(|| panic!("a storm"));
    assert_eq!((storm.refusals, left), (5, Span::secs(60)));
    // one more refusal, of a reduction say, begins the quiet time anew
    watch.rejected(rule, at(30_005), RejectKind::Other);
    assert!(watch.storm(rule, at(60_005)).is_some());
    assert!(watch.storm(rule, at(90_004)).is_some());
    assert_eq!(watch.storm(rule, at(90_005)), None);
    watch.settle(rule, at(90_005));
    watch.rejected(rule, at(90_006), RejectKind::Other);
    assert_eq!(watch.storm(rule, at(90_006)), None, "counted afresh");
}

#[test]
fn c50_a_fifth_of_a_minutes_answers() {
    let limits = rules();
    let rule = limits.rejects();
    let told = |accepted: u64, refused: u64| {
        let mut watch = RejectWatch::default();
        for n in 0..accepted {
            watch.accepted(at(n));
        }
        for n in 0..refused {
            watch.rejected(rule, at(1_000 + n), RejectKind::Malformed);
        }
        watch.storm(rule, at(2_000)).is_some()
    };
    assert!(told(8, 2), "2 of 10");
    assert!(!told(7, 2), "9 answers say nothing");
    assert!(!told(12, 2), "2 of 14");
    // a minute later the count begins anew
    let mut watch = RejectWatch::default();
    watch.rejected(rule, at(0), RejectKind::Malformed);
    for n in 0..9 {
        watch.accepted(at(60_000 + n));
    }
    watch.rejected(rule, at(60_010), RejectKind::Malformed);
    assert_eq!(watch.storm(rule, at(60_010)), None);
}

#[test]
fn c50_what_the_market_does_is_no_refusal() {
    let limits = rules();
    let rule = limits.rejects();
    let mut watch = RejectWatch::default();
    for n in 0..1_000 {
        watch.rejected(rule, at(n), if n % 2 == 0 { RejectKind::WouldTake } else { RejectKind::NothingToTake });
    }
    assert_eq!(watch.storm(rule, at(1_000)), None);
}

#[test]
fn c08_the_same_price_again_and_again_latches_until_touched() {
    let limits = rules();
    let rule = limits.repeat();
    let mut watch = RepeatWatch::default();
    for n in 0..100 {
        watch.sent(rule, at(n), Px(10));
    }
    assert_eq!(watch.latched(), None);
    watch.sent(rule, at(100), Px(10));
    assert_eq!(watch.latched(), Some(Repeated::Children(101)));
    // neither time nor progress resets it (I30)
    watch.sent(rule, at(86_400_000), Px(11));
    watch.filled();
    assert_eq!(watch.latched(), Some(Repeated::Children(101)));
    watch.touch();
    watch.sent(rule, at(86_400_001), Px(10));
    assert_eq!(watch.latched(), None);
}

#[test]
fn c08_a_peg_that_follows_the_price_and_one_that_fills_go_on() {
    let limits = rules();
    let rule = limits.repeat();
    let mut watch = RepeatWatch::default();
    // twice a second for an hour, the price moving each time
    for n in 0..7_200_u64 {
        watch.sent(rule, at(n * 500), Px(10 + i64::try_from(n % 2).unwrap_or(0)));
    }
    assert_eq!(watch.latched(), None);
    // at one price, every fiftieth order filled
    for n in 0..7_200_u64 {
        watch.sent(rule, at(3_600_000 + n * 100), Px(10));
        if n % 50 == 0 {
            watch.filled();
        }
    }
    assert_eq!(watch.latched(), None);
}

#[test]
fn c08_fills_beyond_number_latch_the_next_order() {
    let limits = rules();
    let rule = limits.repeat();
    let mut watch = RepeatWatch::default();
    watch.sent(rule, at(0), Px(10));
    for _ in 0..1_001 {
        watch.filled();
    }
    let mut later = watch.clone();
    later.sent(rule, at(60_000), Px(11));
    assert_eq!(later.latched(), None, "over a minute they are no storm");
    watch.sent(rule, at(59_999), Px(11));
    assert_eq!(watch.latched(), Some(Repeated::Fills(1_001)));
}
