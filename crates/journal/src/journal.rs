use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use domain::{Entry, Epoch, JournalTag, Receipt, Stamp, Stamped, Stop, StopLevel, Stops, Trigger, WriteAhead};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::disk::{self, Ballast, Lock, NoLock};
use crate::head::{self, Witness};
use crate::latch::{self, latch_clear, latch_read, latch_set};
use crate::record::{Hash, Head, Record};
use crate::store::{self, Meta, SCHEMA, Sqlite, Store, StoreError, cursors, owner, unsafe_version};
use crate::writer::{Draft, QUEUE_MAX, Request, Shared, Writer};
use crate::{AppendError, Identity, Snapshot, Stats, snapshot};

/// A cursor's name is a word or two.
const CURSOR_NAME_MAX: usize = 64;

/// How a journal is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Chance for the tag of a journal that does not exist yet. Take it from the operating system, or from the run's seed
    /// where runs must repeat.
    pub tag_seed: u64,
    /// Space held back for the day when the disk is full.
    pub ballast_bytes: u64,
    /// Whether to read state from the newest good snapshot and only the entries after it.
    pub use_snapshot: bool,
}

impl Options {
    /// Defaults: 64 MiB of ballast, all entries.
    #[must_use]
    pub fn new(tag_seed: u64) -> Options {
        Options { tag_seed, ballast_bytes: 64 << 20, use_snapshot: false }
    }
}

/// An open journal and what it holds.
#[derive(Debug)]
pub struct Opened {
    /// The handle to append with.
    pub journal: Journal,
    /// All entries in order; those after the snapshot if there is one.
    pub entries: Vec<Stamped>,
    /// Sequence number of the first of `entries`, or the one that comes next.
    pub first: u64,
    /// State up to `first - 1`, if it was asked for and a good one exists.
    pub snapshot: Option<Snapshot>,
    /// Marks our client keys.
    pub tag: JournalTag,
    /// This tenure, already fenced in the store: appends by older handles are refused. Record it as the first entry.
    pub epoch: Epoch,
    /// The last entry's stamp: desk time goes on from here.
    pub last: Stamp,
    /// Whether the journal was created by this call.
    pub fresh: bool,
    /// The higher of what the records and the sentinel say.
    pub latch: Stops,
    /// High-water marks by name.
    pub cursors: BTreeMap<String, u64>,
}

/// Where and how a journal is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The first record that cannot be trusted; 0 if it is not about one.
    pub seq: u64,
    /// What is wrong.
    pub what: String,
}

/// Why a journal cannot be used. Nothing was changed, except that damage also sets the sentinel.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another daemon holds it (F62).
    #[error("the journal {dir} is in use by {holder}: one daemon per journal; stop that one first", dir = dir.display())]
    Locked {
        /// The journal.
        dir: PathBuf,
        /// `process N`, as far as the lock file says.
        holder: String,
    },
    /// It belongs to another account, network or venue (F72).
    #[error("the journal {dir} belongs to {found}, not to {wanted}: use another state directory, or correct the configuration", dir = dir.display())]
    Foreign {
        /// The journal.
        dir: PathBuf,
        /// Whose it is.
        found: Box<Identity>,
        /// Whose it should be.
        wanted: Box<Identity>,
    },
    /// Damage (F70, F71): no trading on it.
    #[error(
        "the journal {dir} is damaged{at}: {what}. Do not trade on it. Restore the whole directory from a backup, or move it aside: \
         a new journal starts from the venue's positions, and what the lost one left open there freezes its market",
        dir = dir.display(), at = if damage.seq == 0 { String::new() } else { format!(" at record {}", damage.seq) }, what = damage.what
    )]
    Damaged {
        /// The journal.
        dir: PathBuf,
        /// Where and how.
        damage: Damage,
    },
    /// Written by a newer version (F103).
    #[error("the journal {dir} has schema {found}; this version knows up to {known}: run the newer plimsoll", dir = dir.display())]
    Newer {
        /// The journal.
        dir: PathBuf,
        /// Its schema.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The linked SQLite can corrupt a log.
    #[error("SQLite {0} can corrupt a write-ahead log; use the bundled one (3.51.3 or later, not 3.52.0)")]
    Sqlite(String),
    /// Reading or writing failed.
    #[error("{what} {path}", path = path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

/// A handle to append with. Cheap to clone; one thread owns the store. When the last clone is dropped, what is queued is
/// written, the files are closed and the lock is released.
#[derive(Clone, Debug)]
pub struct Journal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
    // taken only on drop, so that the writer sees the end of its queue before it is waited for
    requests: Option<Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the journal's writer panicked");
        }
    }
}

impl Journal {
    /// Opens the journal in `dir`, or creates it. Every record is verified first; then the journal is taken over for a new
    /// tenure, so that no older handle can append.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(dir: &Path, identity: &Identity, options: &Options) -> Result<Opened, OpenError> {
        if unsafe_version(rusqlite::version_number()) {
            return Err(OpenError::Sqlite(rusqlite::version().to_owned()));
        }
        let io = |what, source| OpenError::Io { what, path: dir.to_owned(), source };
        disk::make_dir(dir).map_err(|e| io("cannot create", e))?;
        let lock = Lock::take(dir).map_err(|e| match e {
            NoLock::Held(holder) => OpenError::Locked { dir: dir.to_owned(), holder },
            NoLock::Io(e) => io("cannot lock", e),
        })?;
        let outcome = Boot { dir, identity, options }.run(lock);
        if let Err(OpenError::Damaged { damage, .. }) = &outcome
            && let Err(e) = latch_set(
                dir,
                &Stop::all(StopLevel::Cancel, Trigger::Journal, format!("the journal is damaged: {}", damage.what)),
            )
        {
            tracing::error!(error = %e, "the latch could not be written");
        }
        outcome
    }

    /// The tenure that this handle writes for.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.inner.shared.epoch
    }

    /// The last durable record.
    #[must_use]
    pub fn head(&self) -> Head {
        self.inner.shared.head()
    }

    /// Hash of the last durable record: it stands for the whole journal.
    #[must_use]
    pub fn head_hash(&self) -> Hash {
        self.head().hash
    }

    /// Why nothing more is accepted, if so (I27).
    #[must_use]
    pub fn closed(&self) -> Option<AppendError> {
        self.inner.shared.closed()
    }

    /// What was written since it was opened.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.shared.stats()
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// Raises the high-water mark `name` to `value` durably, in the same flush as whatever else is queued; a lower value
    /// changes nothing. For the venue's nonces (I32) and read positions.
    ///
    /// # Errors
    /// As for appending; [`AppendError::TooLarge`] if `name` is empty, longer than 64 bytes or `epoch`, or `value` is 2^63 or more.
    pub async fn advance(&self, name: &str, value: u64) -> Result<(), AppendError> {
        if name.is_empty() || name.len() > CURSOR_NAME_MAX || name == "epoch" || i64::try_from(value).is_err() {
            return Err(self.close_with(AppendError::TooLarge(format!("the mark {name:?} = {value}").into())));
        }
        self.ask(|reply, place| Request::Raise { name: name.to_owned(), value, reply, place }).await
    }

    /// Stores the state folded up to record `seq`; the two newest generations are kept.
    ///
    /// # Errors
    /// If `seq` is not durable yet, or the file cannot be written. The journal itself stays usable.
    pub async fn snapshot(&self, seq: u64, state_hash: &str, state: Vec<u8>) -> io::Result<()> {
        let found = self.ask(|reply, place| Request::HashAt { seq, reply, place }).await.map_err(io::Error::other)?;
        let record =
            found.ok_or_else(|| io::Error::other(format!("record {seq} is not durable, so no snapshot can end there")))?;
        let snapshot = Snapshot { seq, record, state_hash: state_hash.to_owned(), state };
        let dir = self.inner.dir.clone();
        let (reply, answer) = oneshot::channel();
        // flushing megabytes would hold up both the async runtime and the writer
        std::thread::Builder::new().name("journal-snapshot".to_owned()).spawn(move || {
            // a caller who no longer waits does not need the answer
            drop(reply.send(snapshot::write(&dir, &snapshot)));
        })?;
        answer.await.map_err(io::Error::other)?
    }

    /// Writes what is queued, folds the write-ahead log into the database and closes. Clones of this handle are closed too.
    ///
    /// # Errors
    /// If that failed, or an earlier error had closed the journal; what was acknowledged is safe nevertheless.
    pub async fn close(self) -> Result<(), AppendError> {
        self.ask(|reply, place| Request::Close { reply, place }).await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, AppendError>>, OwnedSemaphorePermit) -> Request,
    ) -> Result<T, AppendError> {
        let gone = || self.inner.shared.refusal();
        let place = Arc::clone(&self.inner.places).acquire_owned().await.map_err(|_| gone())?;
        let (reply, answer) = oneshot::channel();
        let queue = self.inner.requests.as_ref().ok_or_else(gone)?;
        queue.send(request(reply, place)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    fn close_with(&self, why: AppendError) -> AppendError {
        self.inner.shared.close(&why);
        why
    }
}

impl WriteAhead for Journal {
    type Error = AppendError;

    /// Appends `entries` as one group. If the returned future is dropped before it is ready, they may become durable all the same.
    async fn append(&self, entries: Vec<Stamped>) -> Result<Receipt, AppendError> {
        let drafts = Draft::all(&entries).map_err(|e| self.close_with(e))?;
        self.ask(|reply, place| Request::Append { drafts, reply, place }).await
    }
}

/// Turns a store's words into an error about the journal in `dir`.
pub(crate) fn fail(dir: &Path, what: &'static str, e: StoreError) -> OpenError {
    match e {
        StoreError::Damaged(what) => damaged(dir, 0, what),
        StoreError::Full(text) | StoreError::Duplicate(text) | StoreError::Failed(text) => {
            OpenError::Io { what, path: dir.join(store::NAME), source: io::Error::other(text) }
        }
    }
}

pub(crate) fn damaged(dir: &Path, seq: u64, what: String) -> OpenError {
    OpenError::Damaged { dir: dir.to_owned(), damage: Damage { seq, what } }
}

/// Opening, step by step.
struct Boot<'a> {
    dir: &'a Path,
    identity: &'a Identity,
    options: &'a Options,
}

/// What the records say.
struct Content {
    tag: JournalTag,
    marks: BTreeMap<String, u64>,
    head: Head,
    snapshot: Option<Snapshot>,
    entries: Vec<Stamped>,
    last: Stamp,
    latch: Stops,
}

impl Boot<'_> {
    fn run(&self, lock: Lock) -> Result<Opened, OpenError> {
        let witness = head::read(self.dir).map_err(|e| self.damage(0, format!("the file {}: {e}", head::NAME)))?;
        let exists = self.dir.join(store::NAME).exists();
        if !exists && let Some(acknowledged) = witness.filter(|w| w.seq > 0) {
            return Err(self.damage(1, format!("{} is missing, but {} records were acknowledged", store::NAME, acknowledged.seq)));
        }
        // a database without a witness cannot come from a crash: the witness is created first
        if exists && witness.is_none() {
            return Err(self.damage(0, format!("the file {} is missing beside {}", head::NAME, store::NAME)));
        }
        let found = if exists { Some(Sqlite::open(self.dir).map_err(|e| self.fail(e))?) } else { None };
        let found = match found {
            // creation was interrupted
            Some(store) if witness.is_some_and(|w| w.seq == 0) && store.is_blank().map_err(|e| self.fail(e))? => None,
            other => other,
        };
        let fresh = found.is_none();
        let mut store = match found {
            Some(store) => store,
            None => self.create()?,
        };
        let content = self.read(&mut store, witness.filter(|_| !fresh))?;
        self.start(lock, store, content, fresh)
    }

    fn fail(&self, e: StoreError) -> OpenError {
        fail(self.dir, "cannot open", e)
    }

    fn damage(&self, seq: u64, what: String) -> OpenError {
        damaged(self.dir, seq, what)
    }

    fn io(&self, what: &'static str, name: &str) -> impl FnOnce(io::Error) -> OpenError {
        let path = self.dir.join(name);
        move |source| OpenError::Io { what, path, source }
    }

    /// A new journal. The sentinel comes first, then the witness, then the database with its identity in one transaction:
    /// a crash anywhere in between leaves something that is created anew.
    fn create(&self) -> Result<Sqlite, OpenError> {
        let digest = blake3::hash(format!("plimsoll journal tag {}", self.options.tag_seed).as_bytes());
        let [a, b, c, d, ..] = *digest.as_bytes();
        let meta = Meta { identity: self.identity.clone(), tag: JournalTag(u32::from_be_bytes([a, b, c, d])) };
        let text = serde_json::to_string(&meta).map_err(|e| self.io("cannot describe", store::NAME)(io::Error::other(e)))?;
        // whatever stands there stays, a link to nowhere too: it counts as latched
        if self.dir.join(latch::NAME).symlink_metadata().is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
            latch_clear(self.dir, None).map_err(self.io("cannot write", latch::NAME))?;
        }
        Witness::start(self.dir, Head { seq: 0, hash: root(&text) }).map_err(self.io("cannot write", head::NAME))?;
        let mut store = Sqlite::open(self.dir).map_err(|e| self.fail(e))?;
        store.create(&text).map_err(|e| self.fail(e))?;
        disk::sync_dir(self.dir).map_err(self.io("cannot flush", "."))?;
        Ok(store)
    }

    /// Verifies everything and changes nothing.
    fn read(&self, store: &mut Sqlite, witness: Option<Head>) -> Result<Content, OpenError> {
        let fail = |e| self.fail(e);
        let found = store.schema().map_err(fail)?;
        if found > SCHEMA {
            return Err(OpenError::Newer { dir: self.dir.to_owned(), found, known: SCHEMA });
        }
        store.migrate().map_err(fail)?;
        store.check_structure().map_err(fail)?;
        let text = store.meta().map_err(fail)?;
        let meta: Meta = serde_json::from_str(&text).map_err(|e| self.damage(0, format!("its identity: {e}")))?;
        if meta.identity != *self.identity {
            let (found, wanted) = (Box::new(meta.identity), Box::new(self.identity.clone()));
            return Err(OpenError::Foreign { dir: self.dir.to_owned(), found, wanted });
        }
        let marks = store.marks().map_err(fail)?;
        let root = root(&text);
        let snapshots = snapshot::read(self.dir).map_err(self.io("cannot list", "."))?;
        let snapshot = if self.options.use_snapshot { snapshots.first().cloned() } else { None };
        let witness = witness.unwrap_or(Head { seq: 0, hash: root });
        let known: Vec<Head> = snapshots.iter().map(Snapshot::head).chain([witness]).collect();
        let mut content = Content {
            tag: meta.tag,
            marks,
            head: Head { seq: 0, hash: root },
            snapshot,
            entries: Vec::new(),
            last: Stamp::default(),
            latch: Stops::default(),
        };
        let mut fault = None;
        let scanned = store.scan(root, |record, entry| {
            let taken = if known.iter().any(|k| k.seq == record.seq && k.hash != record.hash) {
                Err("it is not the record that was acknowledged".to_owned())
            } else {
                entry.and_then(|stamped| content.take(&record, stamped))
            };
            taken.map_err(|what| {
                fault = Some((record.seq, what));
                StoreError::Damaged(String::new())
            })
        });
        if let Some((seq, what)) = fault {
            return Err(self.damage(seq, what));
        }
        content.head = scanned.map_err(fail)?;
        if witness.seq == 0 && witness.hash != root {
            return Err(self.damage(0, "its identity is not the one it was created with".to_owned()));
        }
        let end = content.head.seq;
        if let Some(lost) = known.iter().map(|k| k.seq).max().filter(|k| *k > end) {
            let what = format!(
                "{lost} records were acknowledged, but only {end} are there: it was cut, or restored from an older backup"
            );
            return Err(self.damage(end + 1, what));
        }
        Ok(content)
    }

    /// Takes the journal over and starts the writer.
    fn start(&self, lock: Lock, mut store: Sqlite, content: Content, fresh: bool) -> Result<Opened, OpenError> {
        let Content { tag, marks, head, snapshot, entries, last, latch: recorded } = content;
        let epoch = Epoch(owner(&marks).0.checked_add(1).ok_or_else(|| self.damage(0, "its tenures are used up".to_owned()))?);
        store.claim(epoch).map_err(|e| self.fail(e))?;
        // What an earlier process left in the log may be in memory only, after a flush that failed there. Folding it writes it
        // to the database anew, so that nothing stands on pages which the kernel believes to be clean.
        store.checkpoint(true).map_err(|e| self.fail(e))?;
        let witness = Witness::start(self.dir, head).map_err(self.io("cannot write", head::NAME))?;
        let mut latch = latch_read(self.dir);
        for stop in recorded.iter() {
            if latch.raise(stop) {
                latch_set(self.dir, stop).map_err(self.io("cannot write", latch::NAME))?;
            }
        }
        latch::put_right(self.dir, &latch);
        let ballast = Ballast::at(self.dir);
        if let Err(e) = ballast.load(self.options.ballast_bytes) {
            tracing::warn!(error = %e, bytes = self.options.ballast_bytes, "no room for the journal's ballast");
        }
        disk::sync_dir(self.dir).map_err(self.io("cannot flush", "."))?;
        let shared = Arc::new(Shared::new(epoch, head));
        let (requests, queue) = std::sync::mpsc::channel();
        let writer =
            Writer { store, witness, ballast, dir: self.dir.to_owned(), shared: Arc::clone(&shared), head, last, log_bytes: 0 };
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || {
                writer.run(&queue);
                drop(lock);
            })
            .map_err(self.io("cannot start the writer of", "."))?;
        let first = snapshot.as_ref().map_or(0, |s| s.seq) + 1;
        let inner = Inner {
            dir: self.dir.to_owned(),
            shared,
            places: Arc::new(Semaphore::new(QUEUE_MAX)),
            requests: Some(requests),
            thread: Some(thread),
        };
        let journal = Journal { inner: Arc::new(inner) };
        let cursors = cursors(marks);
        Ok(Opened { journal, entries, first, snapshot, tag, epoch, last, fresh, latch, cursors })
    }
}

impl Content {
    fn take(&mut self, record: &Record, stamped: Stamped) -> Result<(), String> {
        if record.epoch > owner(&self.marks) {
            return Err(format!("it is from tenure {}, but the owner is {}", record.epoch.0, owner(&self.marks).0));
        }
        if let Entry::Latch(stop) = &stamped.entry {
            self.latch.raise(stop);
        } else if let Entry::Rearm { scope, .. } = &stamped.entry {
            self.latch.clear(*scope);
        }
        self.last = self.last.max(stamped.at);
        if self.snapshot.as_ref().is_none_or(|s| record.seq > s.seq) {
            self.entries.push(stamped);
        }
        Ok(())
    }
}

/// The chain's root: the hash of the identity.
pub(crate) fn root(meta: &str) -> Hash {
    Hash(*blake3::hash(meta.as_bytes()).as_bytes())
}

#[cfg(test)]
mod tests;
