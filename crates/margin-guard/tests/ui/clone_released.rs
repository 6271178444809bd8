//! One release is one send.
use plimsoll_margin_guard::Released;

fn needs_clone<T: Clone>(_: T) {}

fn twice(released: Released) {
    needs_clone(released);
}

fn main() {}
