//! Tells people: what the desk and the supervisor raise as [`domain::Alert`] reaches a webhook, a Telegram chat or a Slack channel,
//! and goes on trying until somebody has it.
//!
//! [`Outbox`] decides (what is told again, to whom, when) and has no I/O and no clock; `store` keeps its records over a crash;
//! `send` speaks HTTP; [`Service`] is the task that joins them. Trading never waits for any of it: [`Service::raise`] puts an alert
//! into a bounded queue and returns. This crate knows nothing of orders, of the journal or of the desk. `docs/adr/0008-alerts.md` says
//! why it has a store of its own.

mod outbox;
mod render;
mod secret;
mod send;
mod service;
mod store;
#[cfg(test)]
mod stub;

pub use outbox::{
    Ack, AlertId, Answer, Delivery, Health, Light, Listing, NoAlert, Outbox, Plan, Record, Target, TargetHealth, Told,
};
pub use secret::{Secret, SecretError};
pub use send::{Channel, Sender, SetupError};
pub use service::{Service, Setup};
pub use store::{StoreError, read};
