//! What is durable is what is sent.
use domain::Qty;
use plimsoll_margin_guard::Released;

fn larger(released: Released) {
    released.intent().child.qty = Qty(1_000);
}

fn main() {}
