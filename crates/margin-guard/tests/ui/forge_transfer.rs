//! Neither stamp of a transfer can be written down by hand.
use domain::{Receipt, TransferEvent, TransferIntent};
use plimsoll_margin_guard::{ClearedTransfer, ReleasedTransfer, TransferStep};

fn cleared(intent: TransferIntent) -> ClearedTransfer {
    ClearedTransfer { step: TransferStep::Start(intent.clone()), event: TransferEvent::Intended(intent) }
}

fn released(intent: TransferIntent, receipt: Receipt) -> ReleasedTransfer {
    ReleasedTransfer { step: TransferStep::Start(intent), receipt }
}

fn main() {}
