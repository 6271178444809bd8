//! There is no empty stamp.
use plimsoll_margin_guard::{Cleared, Released};

fn main() {
    let _cleared: Cleared = Default::default();
    let _released: Released = Default::default();
}
