use std::collections::BTreeMap;

use domain::{ClientKey, Entry, Intent, Lost, OrderOutcome, Qty, RejectKind, StopLevel, Tif};

use crate::world::World;

/// How far an order has come, as the journal tells it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Sent,
    Unknown,
    Acked,
    CancelAsked,
    Done,
}

struct Seen {
    intent: Intent,
    stage: Stage,
    lost: bool,
    filled: Qty,
}

impl World {
    /// How often each situation that is worth testing came about: a world that was too kind proves little.
    #[must_use]
    pub fn met(&self) -> BTreeMap<&'static str, u32> {
        let mut met = self.seen.clone();
        let mut meet = |what: &'static str| *met.entry(what).or_default() += 1;
        let mut orders: BTreeMap<ClientKey, Seen> = BTreeMap::new();
        let mut reconciled = true;
        for stamped in self.log() {
            match &stamped.entry {
                Entry::Epoch { .. } => {
                    if !reconciled {
                        meet("dies again before it has reconciled");
                    }
                    reconciled = false;
                }
                Entry::Reconciled { .. } => reconciled = true,
                Entry::Intent { intent, .. } => {
                    orders.insert(intent.key, Seen { intent: *intent, stage: Stage::Sent, lost: false, filled: Qty::ZERO });
                }
                Entry::Acked { key, .. } => {
                    if let Some(order) = orders.get_mut(key) {
                        if order.stage == Stage::Unknown {
                            meet("an unknown order is found");
                        }
                        if order.stage == Stage::CancelAsked {
                            meet("a cancel overtakes its order");
                        } else {
                            order.stage = Stage::Acked;
                        }
                    }
                }
                Entry::Unknown { key, cause } => {
                    if *cause == Lost::Restart {
                        meet("a restart finds an order on its way");
                    }
                    if let Some(order) = orders.get_mut(key) {
                        (order.stage, order.lost) = (Stage::Unknown, true);
                    }
                }
                Entry::CancelAsked { key } => {
                    if let Some(order) = orders.get_mut(key) {
                        order.stage = Stage::CancelAsked;
                    }
                }
                Entry::Fill(fill) => {
                    let Some(order) = fill.key.and_then(|key| orders.get_mut(&key)) else {
                        meet("a fill of nobody's order");
                        continue;
                    };
                    order.filled += fill.qty;
                    match order.stage {
                        Stage::Sent => meet("a fill before the acknowledgement"),
                        Stage::Unknown => meet("a fill of an unknown order"),
                        Stage::CancelAsked => meet("a fill after the cancel was asked for"),
                        Stage::Done => meet("a fill after the end"),
                        Stage::Acked => {}
                    }
                }
                Entry::Done { key, outcome, reject } => {
                    let Some(order) = orders.get_mut(key) else { continue };
                    order.stage = Stage::Done;
                    let child = &order.intent.child;
                    if *outcome == OrderOutcome::NeverLanded {
                        let burnt = self.burnt.contains(&order.intent.nonce);
                        meet(if burnt { "an unknown order is burnt" } else { "an unknown order expires" });
                    } else if child.tif == Tif::ImmediateOrCancel && !order.filled.is_zero() && order.filled < child.qty {
                        meet("an immediate-or-cancel fills in part");
                    }
                    match reject.as_ref().map(|r| r.kind) {
                        Some(RejectKind::PostOnlyWindow) => meet("the venue takes post-only orders alone"),
                        Some(RejectKind::WouldTake) => meet("a post-only order would have taken"),
                        Some(RejectKind::NothingToTake) => meet("nothing to take"),
                        Some(RejectKind::ReduceOnly) => meet("nothing to reduce"),
                        Some(_) => meet("another rejection"),
                        None => {}
                    }
                }
                Entry::Frozen { why, .. } => {
                    meet("a market is frozen");
                    if why.contains("our fills make a position") {
                        meet("a position differs");
                    }
                    if why.contains("our key space") {
                        meet("an orphan is cancelled");
                    }
                }
                Entry::Unfrozen { .. } => meet("a market is unfrozen"),
                Entry::Stranger { key: None, .. } => meet("a stranger's order is counted"),
                Entry::Latch(stop) => meet(match stop.level {
                    StopLevel::Run | StopLevel::ReduceOnly => "stopped at reduce-only",
                    StopLevel::Block => "stopped at block",
                    StopLevel::Cancel => "stopped at cancel",
                    StopLevel::Flatten => "stopped at flatten",
                    StopLevel::Sever => "stopped at sever",
                }),
                Entry::Rearm { .. } => meet("re-armed"),
                Entry::Changed { .. } => meet("a parent is changed"),
                Entry::Refused { .. } => meet("the guard refuses"),
                Entry::Stranger { .. }
                | Entry::Limits { .. }
                | Entry::Approved(_)
                | Entry::Instrument(_)
                | Entry::Parent { .. }
                | Entry::Ended { .. }
                | Entry::Funding(_)
                | Entry::Measured(_)
                | Entry::Level(_)
                | Entry::Profit(_)
                | Entry::Treasury { .. }
                | Entry::Reloaded(_)
                | Entry::Transfer { .. }
                | Entry::TransferRefused { .. }
                | Entry::TreasuryDecided(_)
                | Entry::WalletAccepted { .. }
                | Entry::Drill { .. }
                | Entry::Opening { .. } => {}
            }
        }
        met
    }
}
