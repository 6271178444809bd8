//! The guard's own constructor is not for others.
use domain::{Basis, Intent};
use plimsoll_margin_guard::Cleared;

fn forge(intent: Intent, basis: Basis) -> Cleared {
    Cleared::mint(intent, basis)
}

fn main() {}
