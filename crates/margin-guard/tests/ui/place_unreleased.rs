//! An order port takes neither a plain order nor a verdict that is not durable.
use domain::Intent;
use plimsoll_margin_guard::{Cleared, Released};

fn place(_: Released) {}

fn plain(intent: Intent) {
    place(intent);
}

fn not_durable(cleared: Cleared) {
    place(cleared);
}

fn main() {}
