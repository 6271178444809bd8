//! Desk and exchange in one virtual world: no sockets, no clock, no disk. A seed decides everything that is not given.
//!
//! A [`World`] carries effects to a simulated venue and facts back, each with a latency of its own, and lets go wrong what
//! goes wrong in life: answers that are lost after the venue accepted, requests that never arrive, fills told twice or late,
//! streams that break, reads that fail, and a daemon that dies at any moment and is booted from its journal. The same seed
//! gives the same journal, entry for entry (I38).
//!
//! It knows no rule of trading. Start with [`World::run`]; [`World::verdict`] compares desk, journal and venue afterwards.

mod met;
mod money;
mod venue;
mod verdict;
mod world;

pub use money::{Money, Outside, Passed};
pub use verdict::Verdict;
pub use world::{Faults, World, WorldError, WorldSpec};
