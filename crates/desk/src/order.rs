use domain::{ClientKey, Intent, Lost, OrderOutcome, Qty, Side, Stamp, VenueOrderId};
use serde::Serialize;

/// Where an order stands. Unknown is a state of its own and keeps its margin and its parent's quantity (I05).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Working {
    /// Durable and on its way; no answer yet.
    Sent,
    /// The venue has it.
    Resting,
    /// The venue has it, and we asked to cancel it.
    CancelAsked,
    /// The answer was lost.
    Unknown(Lost),
    /// Over. Late fills are still booked.
    Done(OrderOutcome),
}

impl Working {
    /// Whether an order may go from `self` to `to` (I19).
    #[must_use]
    pub fn may_become(self, to: Working) -> bool {
        use Working::{CancelAsked, Done, Resting, Sent, Unknown};
        matches!(
            (self, to),
            (Sent, Resting | Unknown(_) | CancelAsked | Done(_))
                | (Resting, CancelAsked | Done(_))
                | (CancelAsked, CancelAsked | Done(_))
                | (Unknown(_), Resting | CancelAsked | Done(_))
        )
    }

    /// Whether it is over.
    #[must_use]
    pub const fn is_done(self) -> bool {
        matches!(self, Working::Done(_))
    }

    /// Whether nobody knows if the venue has it.
    #[must_use]
    pub const fn is_unknown(self) -> bool {
        matches!(self, Working::Unknown(_))
    }

    /// Whether no answer to its placement has been read.
    #[must_use]
    pub const fn is_unanswered(self) -> bool {
        matches!(self, Working::Sent | Working::Unknown(_))
    }
}

/// One of our orders: what was sent, where it stands, what has filled.
#[derive(Clone, Debug, Serialize)]
pub struct Order {
    /// What was made durable before it was sent.
    pub intent: Intent,
    /// Where it stands.
    pub state: Working,
    /// The venue's name of it.
    pub order: Option<VenueOrderId>,
    /// Whether the venue ever said that it has it.
    pub acked: bool,
    /// Quantity booked so far.
    pub filled: Qty,
    /// When it entered its state.
    pub since: Stamp,
}

impl Order {
    pub(crate) fn new(intent: Intent, at: Stamp) -> Order {
        Order { intent, state: Working::Sent, order: None, acked: false, filled: Qty::ZERO, since: at }
    }

    /// Our name of it.
    #[must_use]
    pub const fn key(&self) -> ClientKey {
        self.intent.key
    }

    /// What may still fill.
    #[must_use]
    pub fn remaining(&self) -> Qty {
        self.intent.child.qty.minus(self.filled)
    }

    /// Its side.
    #[must_use]
    pub const fn side(&self) -> Side {
        self.intent.child.side
    }

    pub(crate) fn enter(&mut self, at: Stamp, to: Working) {
        assert!(self.state.may_become(to), "invariant I19: order {} may not go from {:?} to {to:?}", self.intent.key, self.state);
        self.state = to;
        self.since = at;
    }
}
