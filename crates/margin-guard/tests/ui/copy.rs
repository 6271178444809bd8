//! Neither stamp is copied by being looked at.
use plimsoll_margin_guard::{Cleared, Released};

fn needs_copy<T: Copy>() {}

fn main() {
    needs_copy::<Cleared>();
    needs_copy::<Released>();
}
