//! A stamp cannot be read from bytes, not even from our own journal.
use plimsoll_margin_guard::{Cleared, Released};

fn needs_deserialize<T: serde::de::DeserializeOwned>() {}

fn main() {
    needs_deserialize::<Cleared>();
    needs_deserialize::<Released>();
}
