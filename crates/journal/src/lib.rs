//! The write-ahead log: what a daemon promised, in order, on stable storage.
//!
//! This crate makes [`domain::Stamped`] entries durable and gives them back. It decides nothing about them; it only
//! refuses what can never be right: a client key used twice (I02), a fill booked twice (I17), a write by an older
//! tenure (I24), a gap or a break in the hash chain (I25). It knows no clock, no venue and no limits.
//!
//! A journal is a directory:
//!
//! | file | holds |
//! |---|---|
//! | `journal.db` (`-wal`, `-shm`) | the records, append-only, one SQLite row each, chained by blake3 |
//! | `head` | sequence and hash of the last record that was acknowledged, written outside SQLite: it notices lost records |
//! | `LATCH` | the stop level a second time (I21); unreadable or missing counts as set |
//! | `snapshot-*.bin` | folded state up to a sequence number, two generations |
//! | `lock` | held by the daemon that owns the journal; names its process (F62) |
//! | `ballast` | space that is given up once when the disk is full (F67) |
//!
//! Start with [`Journal::open`], then `writer.rs` for group commit, `store.rs` for SQLite, [`audit`] for the checks.

pub mod audit;
mod disk;
mod export;
mod head;
mod identity;
mod journal;
pub mod latch;
mod record;
mod snapshot;
mod store;
#[cfg(test)]
mod testing;
mod writer;

pub use disk::{Room, room};
pub use export::{Export, export};
pub use identity::Identity;
pub use journal::{Damage, Journal, OpenError, Opened, Options};
pub use latch::{latch_clear, latch_read, latch_set};
pub use record::{Hash, Head, Record};
pub use snapshot::Snapshot;
pub use writer::{AppendError, Stats};
