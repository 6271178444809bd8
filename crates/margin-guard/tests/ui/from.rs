//! Nothing converts into a stamp: not an order, not the weaker stamp.
use domain::Intent;
use plimsoll_margin_guard::{Cleared, Released};

fn from_order(intent: Intent) -> Cleared {
    intent.into()
}

fn without_append(cleared: Cleared) -> Released {
    cleared.into()
}

fn main() {}
