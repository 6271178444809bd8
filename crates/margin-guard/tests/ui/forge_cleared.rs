//! A verdict cannot be written down by hand.
use domain::{Basis, Intent};
use plimsoll_margin_guard::Cleared;

fn forge(intent: Intent, basis: Basis) -> Cleared {
    Cleared { intent, basis }
}

fn main() {}
