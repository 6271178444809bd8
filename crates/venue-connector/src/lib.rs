//! Sockets to the venues: what leaves the process and what comes back.
//!
//! This crate carries. It signs and sends orders that the guard released, turns frames and answers into [`domain::Fact`]s,
//! keeps connections alive, stays inside the venue's request budgets and keeps a reserve of them for cancels. It decides
//! nothing about orders: it does not know limits, parents, positions or the journal. The one thing it accepts to place is
//! [`margin_guard::Released`]; a cancel needs no permission. Paper and live are the same code: they differ by endpoint and
//! key alone (I40).
//!
//! Start with [`OrderPort`], then [`hyperliquid::Connector::start`]. Market data leaves by a [`MarketFeed`], which
//! conflates; account facts leave by a bounded channel, which holds the socket back instead of dropping anything.

mod feed;
pub mod hyperliquid;
mod port;

pub use feed::MarketFeed;
pub use port::{CancelRequest, Clock, Next, OrderPort, Sweep, SweepError};
