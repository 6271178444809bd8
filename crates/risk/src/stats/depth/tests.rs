//! The low quantile of the last minute, and what fills paid against quotes.

use super::*;

fn at(ms: u64) -> Stamp {
    Stamp { mono: Span::millis(ms).0, wall_ms: ms }
}

#[test]
fn one_thick_second_raises_nothing() {
    let mut ring = DepthRing::default();
    assert_eq!(ring.low(at(0)), None);
    for second in 0..60 {
        ring.note(at(second * 1_000), Usd::whole(100));
    }
    ring.note(at(60_000), Usd::whole(1_000_000));
    assert_eq!(ring.low(at(60_000)), Some(Usd::whole(100)));
}

#[test]
fn a_thinning_book_shows_within_seconds() {
    let mut ring = DepthRing::default();
    for second in 0..60 {
        let depth = if second < 53 { 1_000 } else { 10 };
        ring.note(at(second * 1_000), Usd::whole(depth));
    }
    assert_eq!(ring.low(at(59_000)), Some(Usd::whole(10)), "a tenth of the minute is enough");
    assert_eq!(ring.low(at(59_000 + 60_000)), Some(Usd::whole(10)));
    assert_eq!(ring.low(at(59_000 + 60_001)), None, "nothing within the minute");
}

#[test]
fn samples_within_a_second_keep_the_smaller_and_the_ring_is_bounded() {
    let mut ring = DepthRing::default();
    for ms in 0..300_000 {
        ring.note(at(ms), Usd::whole(if ms % 1_000 == 500 { 7 } else { 50 }));
        assert!(ring.samples.len() <= DEPTH_SAMPLES);
    }
    assert_eq!(ring.low(at(300_000)), Some(Usd::whole(7)));
}

#[test]
fn what_fills_paid_against_what_was_quoted() {
    let mut ratio = SlippageRatio::default();
    for _ in 0..9 {
        ratio.note(Usd::whole(10), Usd::whole(15));
    }
    assert_eq!(ratio.ratio(), None, "nine are too few");
    // a price improvement is nothing paid, not money back
    ratio.note(Usd::whole(10), Usd::whole(-500));
    assert_eq!(ratio.ratio(), Some(Ratio::scaled(135, 2)));
    for _ in 0..200 {
        ratio.note(Usd::whole(1), Usd::whole(2));
    }
    assert_eq!((ratio.ratio(), ratio.executions.len()), (Some(Ratio::scaled(2, 0)), EXECUTIONS_KEPT));
    let mut free = SlippageRatio::default();
    (0..20).for_each(|_| free.note(Usd::ZERO, Usd::whole(1)));
    assert_eq!(free.ratio(), None, "nothing quoted");
}
