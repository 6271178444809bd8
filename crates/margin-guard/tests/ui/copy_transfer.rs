//! One verdict is one step of a transfer, one release is one signing or one sending: no stamp is copied, made empty, or read.
use plimsoll_margin_guard::{ClearedTransfer, ReleasedTransfer};

fn needs_clone<T: Clone>() {}
fn needs_default<T: Default>() {}
fn needs_deserialize<T: serde::de::DeserializeOwned>() {}

fn main() {
    needs_clone::<ClearedTransfer>();
    needs_clone::<ReleasedTransfer>();
    needs_default::<ClearedTransfer>();
    needs_default::<ReleasedTransfer>();
    needs_deserialize::<ClearedTransfer>();
    needs_deserialize::<ReleasedTransfer>();
}
