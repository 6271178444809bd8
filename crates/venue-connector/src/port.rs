use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use domain::{ClientKey, InstrumentId, Stamp, VenueOrderId};
use margin_guard::Released;

/// Where the connector gets the time: the supervisor's clock, the only one in the process.
pub type Clock = Arc<dyn Fn() -> Stamp + Send + Sync>;

/// One order to cancel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelRequest {
    /// The client's name of it. The answer comes back under this name.
    pub key: ClientKey,
    /// The market.
    pub instrument: InstrumentId,
    /// The venue's name of it, if known. Without it the order is cancelled by the client's name.
    pub venue_order: Option<VenueOrderId>,
}

/// What to do after an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing helps but a person or another input.
    GiveUp,
    /// The same again, not before this long.
    RetryAfter(Duration),
    /// Whether it happened is not known: ask the venue.
    AskVenue,
}

/// Where orders leave. Outcomes return as facts, never as return values, so that the desk sees them in one order with
/// everything else: [`domain::Fact::Sent`] exactly once for each placed order, [`domain::Fact::CancelAnswered`] exactly once
/// for each cancel request.
///
/// The futures may be spawned and run side by side. Dropping one mid-way loses its facts; a connector that is shutting down
/// lets them end by their own deadlines.
pub trait OrderPort: Send + Sync {
    /// Sends orders. All that share a nonce travel as one action, in the order given.
    fn place(&self, orders: Vec<Released>) -> impl Future<Output = ()> + Send;

    /// Cancels orders, retrying lost requests until a deadline. It shares no budget, connection or lock with placements that
    /// could hold it up.
    fn cancel(&self, orders: Vec<CancelRequest>) -> impl Future<Output = ()> + Send;

    /// The kill path: cancels all open orders of the account, foreign ones included, until the venue shows none twice, at least
    /// two seconds apart, or `deadline` passes. What streams told of is cancelled before anything is read; no lost answer and no
    /// spent budget of our own counting holds a cancel back. A look counts only when no placement is under way and none without an
    /// answer can still land. `instruments` limits it; empty means every market.
    ///
    /// # Errors
    /// If at the deadline the venue has not been seen empty twice. The error says what is left.
    fn sweep(&self, instruments: &[InstrumentId], deadline: Duration) -> impl Future<Output = Result<Sweep, SweepError>> + Send;
}

/// A completed [`OrderPort::sweep`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sweep {
    /// Cancels that the venue confirmed.
    pub canceled: u32,
    /// Orders that were gone already when the cancel arrived.
    pub gone: u32,
    /// Reads of the open orders.
    pub reads: u32,
    /// From the call to the second empty read.
    pub took: Duration,
}

/// A sweep that could not show the account empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "open orders could not be shown gone within {:?}: {left} left at the last successful read ({reads} reads), last failure: {last}",
    took
)]
pub struct SweepError {
    /// Open orders at the last successful read.
    pub left: u32,
    /// Successful reads.
    pub reads: u32,
    /// How long it was tried.
    pub took: Duration,
    /// What failed last, in words; "none" if every request was answered.
    pub last: String,
}

impl SweepError {
    /// Try again: cancels are idempotent and the orders may still be open.
    #[must_use]
    pub fn next(&self) -> Next {
        Next::RetryAfter(Duration::ZERO)
    }
}
