//! End to end: the real binary, the paper venue on loopback, and clients that somebody else wrote.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod alerts;
mod bad_input;
mod chain;
mod client;
mod crash;
mod crash_transfer;
mod deployment;
mod determinism;
mod drills;
mod faults;
mod journal;
mod load_levels;
mod load_line;
mod load_words;
mod operator;
mod process;
mod proxy;
mod rearm;
mod reload;
mod routes;
mod stop;
mod stop_matrix;
mod strangers;
mod treasury;
mod treasury_inside;
mod triggers;
mod watchdog;
mod witness;
