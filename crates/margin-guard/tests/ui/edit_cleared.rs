//! What was cleared is what is released: an order cannot be changed under its stamp.
use domain::Qty;
use plimsoll_margin_guard::Cleared;

fn larger(mut cleared: Cleared) {
    cleared.intent.child.qty = Qty(1_000);
}

fn main() {}
