//! The one thread that writes: it takes what is queued, writes it as one transaction, flushes once and answers everyone.
//!
//! While a flush runs the queue fills, so the group grows with the load and nobody waits for a timer.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use domain::{Entry, Epoch, Receipt, Stamp, Stamped, StopLevel, StopScope, Trigger};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::disk::Ballast;
use crate::head::Witness;
use crate::latch::{latch_clear, latch_set};
use crate::record::{Unique, chain};
use crate::store::{Row, Store, StoreError};
use crate::{Hash, Head};

/// Requests that may wait; the next caller waits for a place.
pub(crate) const QUEUE_MAX: usize = 1_024;
/// Records in one transaction: keeps the flush, and with it everyone's wait, short.
const GROUP_MAX: usize = 4_096;
/// Records in one append. The largest is a reconciliation after a long absence.
const ENTRIES_MAX: usize = 65_536;
/// Bytes of one record. The largest are limits and instruments, a few kilobytes.
const PAYLOAD_MAX: usize = 1 << 20;
/// Quiet time after which the log is folded into the database.
const QUIET: Duration = Duration::from_millis(200);
/// Bytes of log that are worth folding in a quiet moment, and that are folded even without one (F75).
const LOG_FOLD: u64 = 1 << 20;
const LOG_MAX: u64 = 32 << 20;
/// What a record costs in the log beyond its payload: the pages that its commit rewrites, shared or not.
const COMMIT_BYTES: u64 = 3 * 4_096;

/// Why entries are not promised to be durable. After any of these the journal accepts nothing more (I27): stop, and let
/// the next start read what is on the disk.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// A write, commit or flush failed. Never retried: a kernel may report a failed flush once and forget it (F66).
    #[error("the journal could not be written: {0}")]
    Disk(Arc<str>),
    /// The disk is full. The ballast was given up, and the latch was recorded in the space it left (F67).
    #[error("the disk of the journal is full: {0}")]
    Full(Arc<str>),
    /// Another tenure owns the journal (I24).
    #[error("tenure {mine} may not write: the journal belongs to tenure {current}", mine = mine.0, current = current.0)]
    Stale {
        /// Ours.
        mine: Epoch,
        /// The owner's, or the one that an entry names.
        current: Epoch,
    },
    /// A client key (I02) or a fill (I17) is already in the journal.
    #[error("already in the journal: {0}")]
    Duplicate(Arc<str>),
    /// More entries or bytes in one append than it may carry.
    #[error("too large for one append: {0}")]
    TooLarge(Arc<str>),
    /// An earlier error, or [`crate::Journal::close`], closed the journal.
    #[error("the journal is closed: {0}")]
    Closed(Arc<str>),
}

/// What the writer has done since the journal was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records written.
    pub records: u64,
    /// Commits, each with one flush; `records / commits` is the mean group.
    pub commits: u64,
}

/// An entry made ready by its caller, so that the writer only chains and stores.
#[derive(Debug)]
pub(crate) struct Draft {
    payload: String,
    unique: Unique,
    at: Stamp,
    effect: Effect,
}

/// What an entry means to the journal itself.
#[derive(Debug)]
enum Effect {
    None,
    Latch(domain::Stop),
    Rearm(Option<StopScope>),
    /// It speaks for this tenure.
    Tenure(Epoch),
}

impl Draft {
    /// The drafts of `entries`.
    pub(crate) fn all(entries: &[Stamped]) -> Result<Vec<Draft>, AppendError> {
        if entries.len() > ENTRIES_MAX {
            return Err(AppendError::TooLarge(format!("{} entries; at most {ENTRIES_MAX}", entries.len()).into()));
        }
        entries.iter().map(Draft::of).collect()
    }

    fn of(stamped: &Stamped) -> Result<Draft, AppendError> {
        let payload = serde_json::to_string(stamped).map_err(|e| AppendError::TooLarge(e.to_string().into()))?;
        if payload.len() > PAYLOAD_MAX {
            return Err(AppendError::TooLarge(format!("a record of {} bytes; at most {PAYLOAD_MAX}", payload.len()).into()));
        }
        let effect = if let Entry::Latch(stop) = &stamped.entry {
            Effect::Latch(stop.clone())
        } else if let Entry::Rearm { scope, .. } = &stamped.entry {
            Effect::Rearm(*scope)
        } else if let Entry::Epoch { epoch, .. } | Entry::Reconciled { epoch, .. } = &stamped.entry {
            Effect::Tenure(*epoch)
        } else {
            Effect::None
        };
        Ok(Draft { payload, unique: Unique::of(&stamped.entry), at: stamped.at, effect })
    }
}

/// A place in the queue, given back when the request is answered.
pub(crate) type Place = OwnedSemaphorePermit;
type Reply<T> = oneshot::Sender<Result<T, AppendError>>;

/// What the writer is asked.
pub(crate) enum Request {
    Append { drafts: Vec<Draft>, reply: Reply<Receipt>, place: Place },
    Raise { name: String, value: u64, reply: Reply<()>, place: Place },
    HashAt { seq: u64, reply: Reply<Option<Hash>>, place: Place },
    Close { reply: Reply<()>, place: Place },
}

/// What handles and writer share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) epoch: Epoch,
    head: Mutex<Head>,
    closed: OnceLock<AppendError>,
    records: AtomicU64,
    commits: AtomicU64,
}

impl Shared {
    pub(crate) fn new(epoch: Epoch, head: Head) -> Shared {
        Shared { epoch, head: Mutex::new(head), closed: OnceLock::new(), records: AtomicU64::new(0), commits: AtomicU64::new(0) }
    }

    pub(crate) fn head(&self) -> Head {
        *self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn closed(&self) -> Option<AppendError> {
        self.closed.get().cloned()
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats { records: self.records.load(Ordering::Relaxed), commits: self.commits.load(Ordering::Relaxed) }
    }

    /// Closes the journal for good; the first reason stays.
    pub(crate) fn close(&self, why: &AppendError) {
        // only one of several reasons can be the first
        if self.closed.set(why.clone()).is_ok() {
            tracing::debug!(why = %why, "journal closed");
        }
    }

    /// The error of everyone who comes after it was closed.
    pub(crate) fn refusal(&self) -> AppendError {
        AppendError::Closed(self.closed.get().map_or_else(|| "its writer is gone".to_owned(), ToString::to_string).into())
    }
}

/// The writer's own side.
pub(crate) struct Writer<S> {
    pub(crate) store: S,
    pub(crate) witness: Witness,
    pub(crate) ballast: Ballast,
    pub(crate) dir: PathBuf,
    pub(crate) shared: Arc<Shared>,
    /// Head of the transaction in progress; equal to the shared one between transactions.
    pub(crate) head: Head,
    pub(crate) last: Stamp,
    /// Estimate of the bytes in the write-ahead log since it was folded.
    pub(crate) log_bytes: u64,
}

/// An append that is part of the transaction in progress.
struct Pending {
    receipt: Receipt,
    reply: Reply<Receipt>,
    place: Place,
}

/// What one transaction gathers besides its rows.
#[derive(Default)]
struct Group {
    appends: Vec<Pending>,
    raises: Vec<(Reply<()>, Place)>,
    records: usize,
    bytes: u64,
    latch: Vec<Effect>,
    at: Stamp,
}

/// Why a transaction, or one append in it, did not come about.
enum Stop {
    /// This append alone is refused; the others go on, and then the journal closes.
    Refuse(AppendError),
    /// Everything stops.
    Fatal(StoreError),
}

impl From<StoreError> for Stop {
    fn from(e: StoreError) -> Stop {
        Stop::Fatal(e)
    }
}

impl<S: Store> Writer<S> {
    /// Serves until it is told to close, nobody can ask any more, or something fails.
    pub(crate) fn run(mut self, requests: &Receiver<Request>) {
        let closing = self.serve(requests);
        let outcome = self.finish();
        let gone = AppendError::Closed("it was closed".into());
        self.shared.close(outcome.as_ref().err().unwrap_or(&gone));
        drop(self);
        if let Some((reply, place)) = closing {
            answer(reply, place, outcome);
        }
    }

    fn serve(&mut self, requests: &Receiver<Request>) -> Option<(Reply<()>, Place)> {
        loop {
            let first = if self.log_bytes > LOG_FOLD && self.shared.closed.get().is_none() {
                match requests.recv_timeout(QUIET) {
                    Ok(request) => request,
                    Err(RecvTimeoutError::Disconnected) => return None,
                    Err(RecvTimeoutError::Timeout) => {
                        self.fold();
                        continue;
                    }
                }
            } else {
                requests.recv().ok()?
            };
            if self.shared.closed.get().is_some() {
                if let Some(closing) = self.refuse(first) {
                    return Some(closing);
                }
                continue;
            }
            if let Some(closing) = self.transact(first, requests) {
                return Some(closing);
            }
            if self.log_bytes > LOG_MAX {
                self.fold();
            }
        }
    }

    /// Writes `first` and what else is queued as one group.
    fn transact(&mut self, first: Request, requests: &Receiver<Request>) -> Option<(Reply<()>, Place)> {
        let mut group = Group { at: self.last, ..Group::default() };
        let mut closing = None;
        let mut refused = None;
        let mut next = Some(first);
        let mut begun = false;
        let mut failed = None;
        while let Some(request) = next.take() {
            match request {
                Request::Close { reply, place } => closing = Some((reply, place)),
                Request::HashAt { seq, reply, place } => {
                    let found = if seq > self.shared.head().seq { Ok(None) } else { self.store.hash_at(seq) };
                    answer(reply, place, found.map_err(|e| AppendError::Disk(e.to_string().into())));
                }
                Request::Append { drafts, reply, place } => match self.put(&mut begun, &mut group, &drafts) {
                    Ok(receipt) => group.appends.push(Pending { receipt, reply, place }),
                    Err(Stop::Refuse(why)) => {
                        self.shared.close(&why);
                        refused = Some((reply, place, why));
                    }
                    Err(Stop::Fatal(e)) => {
                        group.appends.push(Pending {
                            receipt: Receipt { first: 0, last: 0, epoch: self.shared.epoch },
                            reply,
                            place,
                        });
                        failed = Some(e);
                    }
                },
                Request::Raise { name, value, reply, place } => match self.raise(&mut begun, &name, value) {
                    Ok(()) => group.raises.push((reply, place)),
                    Err(Stop::Refuse(why)) => {
                        self.shared.close(&why);
                        answer(reply, place, Err(why));
                    }
                    Err(Stop::Fatal(e)) => {
                        group.raises.push((reply, place));
                        failed = Some(e);
                    }
                },
            }
            let more = closing.is_none() && refused.is_none() && failed.is_none() && group.records < GROUP_MAX;
            next = if more && self.shared.closed.get().is_none() { requests.try_recv().ok() } else { None };
        }
        let outcome = match failed {
            Some(e) => Err(e),
            None if begun => self.seal(&group),
            None => Ok(()),
        };
        match outcome {
            Ok(()) => self.settle(group),
            Err(e) => self.fail(group, &e),
        }
        if let Some((reply, place, why)) = refused {
            answer(reply, place, Err(why));
        }
        closing
    }

    fn begin(&mut self, begun: &mut bool) -> Result<(), Stop> {
        if *begun {
            return Ok(());
        }
        let owner = self.store.begin()?;
        *begun = true;
        if owner == self.shared.epoch { Ok(()) } else { Err(self.stale(owner)) }
    }

    fn stale(&self, current: Epoch) -> Stop {
        Stop::Refuse(AppendError::Stale { mine: self.shared.epoch, current })
    }

    fn put(&mut self, begun: &mut bool, group: &mut Group, drafts: &[Draft]) -> Result<Receipt, Stop> {
        let epoch = self.shared.epoch;
        let before = self.head;
        if drafts.is_empty() {
            return Ok(Receipt { first: before.seq + 1, last: before.seq, epoch });
        }
        group.at = drafts.iter().map(|d| d.at).fold(group.at, Stamp::max);
        self.begin(begun)?;
        self.store.savepoint()?;
        for draft in drafts {
            if let Effect::Tenure(other) = draft.effect
                && other != epoch
            {
                self.undo(before)?;
                return Err(self.stale(other));
            }
            let seq = self.head.seq + 1;
            let hash = chain(self.head.hash, seq, epoch, &draft.payload);
            match self.store.insert(&Row { seq, epoch, unique: &draft.unique, payload: &draft.payload, hash }) {
                Ok(()) => self.head = Head { seq, hash },
                Err(StoreError::Duplicate(_)) => {
                    self.undo(before)?;
                    let what = draft.unique.key.as_deref().or(draft.unique.trade.as_deref()).unwrap_or_default();
                    return Err(Stop::Refuse(AppendError::Duplicate(what.into())));
                }
                Err(e) => return Err(Stop::Fatal(e)),
            }
        }
        for draft in drafts {
            group.bytes += draft.payload.len() as u64;
            match &draft.effect {
                Effect::Latch(stop) => group.latch.push(Effect::Latch(stop.clone())),
                Effect::Rearm(scope) => group.latch.push(Effect::Rearm(*scope)),
                Effect::None | Effect::Tenure(_) => {}
            }
        }
        group.records += drafts.len();
        Ok(Receipt { first: before.seq + 1, last: self.head.seq, epoch })
    }

    fn undo(&mut self, to: Head) -> Result<(), StoreError> {
        self.store.undo()?;
        self.head = to;
        Ok(())
    }

    fn raise(&mut self, begun: &mut bool, name: &str, value: u64) -> Result<(), Stop> {
        self.begin(begun)?;
        Ok(self.store.raise(name, value)?)
    }

    /// Makes the group durable, then known: first the commit, then the witness, then the sentinel.
    fn seal(&mut self, group: &Group) -> Result<(), StoreError> {
        self.store.commit()?;
        self.log_bytes += group.bytes + COMMIT_BYTES;
        self.witness.set(self.head).map_err(|e| StoreError::Failed(format!("{}: {e}", crate::head::NAME)))?;
        for change in &group.latch {
            match change {
                Effect::Latch(stop) => latch_set(&self.dir, stop),
                Effect::Rearm(scope) => latch_clear(&self.dir, *scope),
                Effect::None | Effect::Tenure(_) => Ok(()),
            }
            .map_err(|e| StoreError::Failed(format!("{}: {e}", crate::latch::NAME)))?;
        }
        Ok(())
    }

    fn settle(&mut self, group: Group) {
        self.last = group.at;
        *self.shared.head.lock().unwrap_or_else(PoisonError::into_inner) = self.head;
        self.shared.records.fetch_add(group.records as u64, Ordering::Relaxed);
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        for Pending { receipt, reply, place } in group.appends {
            answer(reply, place, Ok(receipt));
        }
        for (reply, place) in group.raises {
            answer(reply, place, Ok(()));
        }
    }

    /// The end: nothing more is written through this store, except the latch into the ballast's space when the disk is full.
    fn fail(&mut self, group: Group, e: &StoreError) {
        self.store.rollback();
        self.head = self.shared.head();
        let why = match e {
            StoreError::Full(text) => AppendError::Full(text.as_str().into()),
            StoreError::Duplicate(text) | StoreError::Damaged(text) | StoreError::Failed(text) => {
                AppendError::Disk(text.as_str().into())
            }
        };
        self.shared.close(&why);
        let cause = why.to_string();
        tracing::error!(cause, "the journal stops");
        for Pending { reply, place, .. } in group.appends {
            answer(reply, place, Err(why.clone()));
        }
        for (reply, place) in group.raises {
            answer(reply, place, Err(why.clone()));
        }
        let freed = matches!(e, StoreError::Full(_)) && self.ballast.drop();
        if let Err(e) = latch_set(&self.dir, &domain::Stop::all(StopLevel::Cancel, Trigger::Journal, cause.as_str())) {
            tracing::error!(error = %e, "the latch could not be written beside the journal");
        }
        if freed && let Err(e) = self.record_latch(group.at, cause) {
            tracing::error!(error = %e, "the latch could not be recorded in the ballast's space");
        }
    }

    /// A full disk said so before anything was flushed, so this is no retry of a failed flush: it is the one record for which
    /// the ballast was held back.
    fn record_latch(&mut self, at: Stamp, cause: String) -> Result<(), StoreError> {
        let entry = Stamped { at, entry: Entry::Latch(domain::Stop::all(StopLevel::Cancel, Trigger::Journal, cause)) };
        let drafts = Draft::all(&[entry]).map_err(|e| StoreError::Failed(e.to_string()))?;
        let mut group = Group { at, ..Group::default() };
        match self.put(&mut false, &mut group, &drafts) {
            Ok(_) => self.seal(&group)?,
            Err(Stop::Fatal(e)) => return Err(e),
            Err(Stop::Refuse(why)) => return Err(StoreError::Failed(why.to_string())),
        }
        self.settle(group);
        Ok(())
    }

    fn fold(&mut self) {
        match self.store.checkpoint(false) {
            Ok(()) => self.log_bytes = 0,
            Err(e) => {
                let group = Group { at: self.last, ..Group::default() };
                self.fail(group, &e);
            }
        }
    }

    /// Folds the whole log, if everything went well until now.
    fn finish(&mut self) -> Result<(), AppendError> {
        match self.shared.closed() {
            Some(AppendError::Disk(why)) => Err(AppendError::Disk(why)),
            Some(AppendError::Full(why)) => Err(AppendError::Full(why)),
            Some(AppendError::Stale { .. } | AppendError::Duplicate(_) | AppendError::TooLarge(_) | AppendError::Closed(_))
            | None => self.store.checkpoint(true).map_err(|e| AppendError::Disk(e.to_string().into())),
        }
    }

    fn refuse(&self, request: Request) -> Option<(Reply<()>, Place)> {
        let why = self.shared.refusal();
        match request {
            Request::Append { reply, place, .. } => answer(reply, place, Err(why)),
            Request::Raise { reply, place, .. } => answer(reply, place, Err(why)),
            Request::HashAt { reply, place, .. } => answer(reply, place, Err(why)),
            Request::Close { reply, place } => return Some((reply, place)),
        }
        None
    }
}

/// A caller who no longer waits does not need the answer.
fn answer<T>(reply: Reply<T>, place: Place, what: Result<T, AppendError>) {
    drop(place);
    drop(reply.send(what));
}

#[cfg(test)]
mod tests;
