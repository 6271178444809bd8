//! The paper venue: the simulated exchange served on loopback in Hyperliquid's own protocol.
//!
//! It decides nothing about trading; [`exchange`] does. It adds what a venue has around its matching engine: HTTP and WebSocket
//! (`/info`, `/exchange`, `/ws`), signatures, agents, nonces, request budgets, streams with their cadence, a background market
//! from a recorded [`tape`] or from seeded synthetic flow, and faults that can be switched on while it runs.
//!
//! [`Paper::start`] makes a running venue from a [`PaperSpec`]. One task owns the exchange and everything else that changes
//! (`venue`); sockets and HTTP handlers only decode, recover signers, ask that task and write its answers. The control API is in
//! [`control`], the faults in [`Fault`].
//!
//! With a [`ChainSpec`] it also stands on a local EVM chain: transfers to its bridge and burns by CCTP are credited,
//! withdrawals are paid.
//!
//! What it does not do: spot trading, vaults, staking, the venue's own TWAP, multi-signature accounts, builder-deployed dexes,
//! outcome markets. Their reads answer with the empty form, their actions are refused in words.

mod accounts;
mod budgets;
mod candles;
mod chain;
pub mod control;
mod fault;
mod feed;
mod http;
mod nonces;
mod past;
mod render;
mod server;
mod socket;
mod spec;
mod streams;
pub mod tape;
mod truth;
mod universe;
mod venue;
mod wire_log;

pub use chain::{BridgeKey, CctpSpec, ChainSpec};
pub use fault::{ActiveFault, BadOrder, Fault, FaultOrder, Scope, UnknownFault};
pub use server::{Gone, Paper, PaperHandle, StartError};
pub use spec::{Accounts, History, Market, PaperSpec, Routing, UsdcRoad, VenueLimits};
pub use truth::{OrderTruth, Truth};
pub use wire_log::{Arrived, OrderArrived, WirePage};
