//! One verdict is one order.
use plimsoll_margin_guard::Cleared;

fn twice(cleared: &Cleared) -> Cleared {
    cleared.clone()
}

fn main() {}
