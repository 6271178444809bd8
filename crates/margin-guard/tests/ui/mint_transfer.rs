//! The judge's own constructors are not for others.
use domain::{Receipt, TransferEvent, TransferIntent};
use plimsoll_margin_guard::{ClearedTransfer, ReleasedTransfer, TransferStep};

fn minted(intent: TransferIntent) -> ClearedTransfer {
    ClearedTransfer::mint(TransferStep::Start(intent.clone()), TransferEvent::Intended(intent))
}

fn stamped(cleared: ClearedTransfer, receipt: Receipt) -> ReleasedTransfer {
    cleared.stamp(receipt)
}

fn main() {}
