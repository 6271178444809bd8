//! Venue payloads and signing bytes: decode and encode, nothing else.
//!
//! This crate knows how a venue writes orders, books, fills and refusals, and which bytes are signed. It holds no sockets, no
//! clocks, no account state, and it decides nothing about orders. The connector speaks these types as a client and the paper
//! venue as a server, so each of them reads and writes. Start with [`hyperliquid`].

pub mod hyperliquid;
