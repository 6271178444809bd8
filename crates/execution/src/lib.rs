//! Parents in, child proposals out.
//!
//! A [`Worker`] works one parent: its schedule says how much by when, its placement says how each child is worked from limit
//! to market. It proposes; the desk asks the margin guard, makes the order durable and sends it. The worker learns from
//! [`Worker::placed`], [`Worker::refused`] and [`Worker::event`] what became of a proposal, and from nothing else.
//!
//! This crate does not know limits, margin, wire formats, clocks or sockets. It never proposes a modify (a venue's modify can
//! overfill): to follow a price it cancels, waits until the venue says that the order is gone, and places anew.
//!
//! Start with [`Worker`]; `plan` turns a schedule into slices on the lot grid, [`schedule`] holds the shapes,
//! [`tca`] says afterwards what a parent cost, [`conformance`] runs published cases against the formulas.

pub mod almgren_chriss;
pub mod conformance;
mod grid;
mod plan;
mod proposal;
pub mod schedule;
pub mod stats;
pub mod tca;
mod worker;

pub use proposal::{ChildEvent, Progress, Proposal, State};
pub use worker::Worker;
