//! A wallet takes neither a plain intent nor a verdict that is not durable, and a release only once.
use domain::TransferIntent;
use plimsoll_margin_guard::{ClearedTransfer, ReleasedTransfer};

fn take(_: ReleasedTransfer) {}

fn plain(intent: TransferIntent) {
    take(intent);
}

fn not_durable(cleared: ClearedTransfer) {
    take(cleared);
}

fn twice(released: ReleasedTransfer) {
    take(released);
    take(released);
}

fn main() {}
