//! A release is used up by its send.
use plimsoll_margin_guard::Released;

fn place(_: Released) {}

fn twice(released: Released) {
    place(released);
    place(released);
}

fn main() {}
