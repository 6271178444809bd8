use domain::{Lost, OrderOutcome};

use crate::Working;

#[test]
fn orders_move_along_allowed_edges_only() {
    // I19: every pair is listed, so a new state must be decided about
    let states = [
        Working::Sent,
        Working::Resting,
        Working::CancelAsked,
        Working::Unknown(Lost::Timeout),
        Working::Done(OrderOutcome::Filled),
    ];
    let allowed = [
        [false, true, true, true, true],
        [false, false, true, false, true],
        [false, false, true, false, true],
        [false, true, true, false, true],
        [false, false, false, false, false],
    ];
    for (from, row) in states.iter().zip(allowed) {
        for (to, may) in states.iter().zip(row) {
            assert_eq!(from.may_become(*to), may, "{from:?} to {to:?}");
        }
    }
}
