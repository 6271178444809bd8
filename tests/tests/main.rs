//! End to end: the real binary, the paper venue on loopback, and clients that somebody else wrote.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod crash;
mod deployment;
mod process;
mod witness;
