//! The paper venue over real sockets: raw HTTP and WebSocket, signed with the wire crate's own signer.

mod auth;
mod bridge;
mod budgets;
mod faults;
mod harness;
mod orders;
mod reads;
mod steer;
mod streams;
mod tape;
mod wire_log;
