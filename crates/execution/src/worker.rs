use domain::{Arrival, Book, Child, ChildNo, Instrument, MarketTrade, ParentChange, ParentOutcome, ParentSpec, Qty, Seed, SpecFault, Stamp};

use crate::grid::Grid;
use crate::{ChildEvent, Progress, Proposal};

/// One live parent.
///
/// After a crash the same worker is made by [`Worker::start`] with the journaled spec, start and arrival, and a replay of
/// `placed`, `refused`, `event` and `change` in journal order: its quantities are then exact. How far a child had escalated,
/// the market volume seen and back-offs start anew.
#[derive(Clone, Debug)]
pub struct Worker {
    grid: Grid,
    spec: ParentSpec,
    start: Stamp,
    arrival: Arrival,
    seed: Seed,
}

impl Worker {
    /// A worker for `spec`, whose `id` is set. `start` is when its clock starts, `arrival` the market then, `seed` the root of chance.
    ///
    /// # Errors
    /// Every fault of the spec.
    pub fn start(spec: &ParentSpec, instrument: &Instrument, start: Stamp, arrival: &Arrival, seed: Seed) -> Result<Worker, Vec<SpecFault>> {
        Ok(Worker { grid: Grid::new(instrument), spec: spec.clone(), start, arrival: *arrival, seed })
    }

    /// A public trade in its market: participation follows the volume of others.
    pub fn observe_trade(&mut self, _trade: &MarketTrade) {}

    /// New rules of its market: minimum and price grid. Tick and lot must be the same.
    pub fn set_instrument(&mut self, instrument: &Instrument) {
        self.grid = Grid::new(instrument);
    }

    /// Appends what the worker wants now. May be called at any time; at most one [`Proposal::Place`] a call.
    pub fn step(&mut self, _at: Stamp, _market: Option<&Book>, _out: &mut Vec<Proposal>) {}

    /// The next moment at which `step` could want something without a new book, and why.
    #[must_use]
    pub fn wake(&self) -> Option<(Stamp, &'static str)> {
        None
    }

    /// The guard cleared it; its intent is durable or about to be.
    pub fn placed(&mut self, _at: Stamp, _child: &Child) {}

    /// The guard refused it; `room` is the largest size it would have allowed.
    pub fn refused(&mut self, _at: Stamp, _child: &Child, _kind: &'static str, _room: Option<Qty>) {}

    /// What became of a child. Events of children that are unknown or done change nothing, except fills.
    pub fn event(&mut self, _at: Stamp, _no: ChildNo, _event: ChildEvent) {}

    /// An operator's change.
    ///
    /// # Errors
    /// Every fault of an amendment; then nothing changed.
    pub fn change(&mut self, _at: Stamp, _change: &ParentChange) -> Result<(), Vec<SpecFault>> {
        Ok(())
    }

    /// The desk's own pause: kill latch, frozen market, reconciliation running. `None`: go on.
    pub fn hold(&mut self, _at: Stamp, _why: Option<&str>) {}

    /// The parent ended, as the journal says: nothing is proposed any more. Late fills are still booked.
    pub fn end(&mut self, _at: Stamp, _outcome: &ParentOutcome) {}

    /// Where it stands.
    #[must_use]
    pub fn progress(&self, at: Stamp) -> Progress {
        let _ = (self.start, self.arrival, self.seed, at, self.grid);
        unreachable!("skeleton")
    }
}
