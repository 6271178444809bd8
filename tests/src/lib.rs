//! What the end-to-end tests share: real processes with bounded waits, a scratch directory, the official clients, and skips that
//! are counted.
//!
//! Nothing here knows what the daemon decides. A wait always names what it waited for and ends by itself; a process that a test
//! started dies with the value that holds it.

pub mod anvil;
mod daemon;
pub mod http;
pub mod kill;
mod process;
pub mod rig;
pub mod rpc_proxy;
mod setup;
mod skip;
mod slow_wire;
mod witness;

pub use anvil::{Anvil, AnvilSpec, Node};
pub use daemon::{Daemon, PaperProc, daemon_binary};
pub use process::{Proc, WaitError};
pub use rig::{Rig, Want};
pub use rpc_proxy::{Fate, RpcProxy};
pub use setup::{ACCOUNT, KEY, LOADABLE, Setup};
pub use skip::{Missing, skip};
pub use slow_wire::{Action, SlowWire, monotonic_ns};
pub use witness::{Client, Witness, node_packages};
