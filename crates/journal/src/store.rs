//! SQLite as a log: one connection, write-ahead mode, every commit flushed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use domain::{Epoch, JournalTag, Stamped};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::record::{Unique, chain};
use crate::{Hash, Head, Identity, Record};

/// The database's name.
pub(crate) const NAME: &str = "journal.db";
/// "plim", so that `file` and we can tell a journal from any other SQLite database.
const APPLICATION_ID: i32 = 0x706c_696d;
/// A reader (`plimsoll audit`) may briefly hold the shared-memory lock while it starts; nothing else ever does.
const BUSY: Duration = Duration::from_secs(5);
/// The mark that holds the owner's tenure.
const EPOCH: &str = "epoch";

/// Each step is one transaction together with its number in `user_version`, so a crash in the middle leaves the step before (F74).
/// Steps are only ever added.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE meta (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        text TEXT NOT NULL
    ) STRICT;
    CREATE TABLE mark (
        name TEXT PRIMARY KEY,
        value INTEGER NOT NULL,
        crc32c INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE record (
        seq INTEGER PRIMARY KEY,
        epoch INTEGER NOT NULL,
        key TEXT,
        trade TEXT,
        payload TEXT NOT NULL,
        hash BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX record_key ON record (key) WHERE key IS NOT NULL;
    CREATE UNIQUE INDEX record_trade ON record (trade) WHERE trade IS NOT NULL;
    CREATE TRIGGER record_in_order BEFORE INSERT ON record BEGIN
        SELECT RAISE(ABORT, 'stale epoch') WHERE NEW.epoch IS NOT (SELECT value FROM mark WHERE name = 'epoch');
        SELECT RAISE(ABORT, 'gap') WHERE NEW.seq <> 1 + (SELECT coalesce(max(seq), 0) FROM record);
    END;
    CREATE TRIGGER record_stays BEFORE UPDATE ON record BEGIN SELECT RAISE(ABORT, 'append only'); END;
    CREATE TRIGGER record_remains BEFORE DELETE ON record BEGIN SELECT RAISE(ABORT, 'append only'); END;
    "];

/// The schema that this version writes.
pub(crate) const SCHEMA: u32 = MIGRATIONS.len() as u32;

/// What is written once, at creation. Its hash is the root of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Meta {
    pub(crate) identity: Identity,
    pub(crate) tag: JournalTag,
}

/// A row before it has a place in the chain.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) seq: u64,
    pub(crate) epoch: Epoch,
    pub(crate) unique: &'a Unique,
    pub(crate) payload: &'a str,
    pub(crate) hash: Hash,
}

/// Why a store did not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    /// No space left.
    #[error("{0}")]
    Full(String),
    /// The schema holds this to be unique.
    #[error("{0}")]
    Duplicate(String),
    /// The content is damaged.
    #[error("{0}")]
    Damaged(String),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// What the writer needs of a store. SQLite is the one store; tests wrap it to make every step fail in turn (F66, F67).
pub(crate) trait Store: Send + 'static {
    /// Starts a transaction and says whose the journal is.
    fn begin(&mut self) -> Result<Epoch, StoreError>;
    /// Marks the place to which [`Store::undo`] returns.
    fn savepoint(&mut self) -> Result<(), StoreError>;
    /// Adds a record.
    fn insert(&mut self, row: &Row<'_>) -> Result<(), StoreError>;
    /// Raises a mark.
    fn raise(&mut self, name: &str, value: u64) -> Result<(), StoreError>;
    /// Takes back what was done since the savepoint.
    fn undo(&mut self) -> Result<(), StoreError>;
    /// Makes the transaction durable.
    fn commit(&mut self) -> Result<(), StoreError>;
    /// Drops the transaction, if there is still one.
    fn rollback(&mut self);
    /// Folds the write-ahead log into the database; `whole` empties it, waiting for readers.
    fn checkpoint(&mut self, whole: bool) -> Result<(), StoreError>;
    /// The hash of a durable record.
    fn hash_at(&mut self, seq: u64) -> Result<Option<Hash>, StoreError>;
}

/// The SQLite store.
pub(crate) struct Sqlite {
    conn: Connection,
}

impl From<rusqlite::Error> for StoreError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever SQLite says that we do not know is a failure")]
    fn from(e: rusqlite::Error) -> StoreError {
        use rusqlite::ErrorCode as Code;
        let text = e.to_string();
        match &e {
            rusqlite::Error::SqliteFailure(f, _) => match f.code {
                Code::DiskFull => StoreError::Full(text),
                Code::ConstraintViolation if f.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE => {
                    StoreError::Duplicate(text)
                }
                // SQLITE_ERROR: a statement that does not fit a schema which was compared just before
                Code::DatabaseCorrupt | Code::NotADatabase | Code::Unknown => StoreError::Damaged(text),
                _ => StoreError::Failed(format!("{text} (SQLite code {})", f.extended_code)),
            },
            rusqlite::Error::SqlInputError { .. }
            | rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
            | rusqlite::Error::QueryReturnedNoRows => StoreError::Damaged(text),
            _ => StoreError::Failed(text),
        }
    }
}

/// Whether this SQLite has the defect in resetting a write-ahead log (3.7.0 to 3.51.2), or was withdrawn (3.52.0).
pub(crate) const fn unsafe_version(number: i32) -> bool {
    number < 3_051_003 || number == 3_052_000
}

impl Sqlite {
    /// Opens or creates the database in `dir` for writing. Nothing is written yet, also not on closing.
    pub(crate) fn open(dir: &Path) -> Result<Sqlite, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let conn = Connection::open_with_flags(canonical(dir).join(NAME), flags)?;
        // closing must never write: not before everything is verified, and not after a failed flush
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        conn.busy_timeout(BUSY)?;
        conn.set_prepared_statement_cache_capacity(32);
        for (pragma, value) in [("trusted_schema", "OFF"), ("cell_size_check", "ON"), ("mmap_size", "0"), ("synchronous", "FULL")]
        {
            conn.pragma_update(None, pragma, value)?;
        }
        // checkpoints cost flushes: the writer picks the moment
        conn.pragma_update(None, "wal_autocheckpoint", 0)?;
        Ok(Sqlite { conn })
    }

    /// Opens the database in `dir` for reading alone, beside a daemon if need be.
    pub(crate) fn open_read_only(dir: &Path) -> Result<Sqlite, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let conn = Connection::open_with_flags(canonical(dir).join(NAME), flags)?;
        conn.busy_timeout(BUSY)?;
        for (pragma, value) in [("trusted_schema", "OFF"), ("cell_size_check", "ON"), ("mmap_size", "0"), ("query_only", "ON")] {
            conn.pragma_update(None, pragma, value)?;
        }
        conn.execute_batch("BEGIN")?;
        Ok(Sqlite { conn })
    }

    /// Whether nothing was ever committed here.
    pub(crate) fn is_blank(&self) -> Result<bool, StoreError> {
        let objects: i64 = self.conn.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))?;
        Ok(objects == 0 && self.version()? == 0)
    }

    fn version(&self) -> Result<u32, StoreError> {
        Ok(self.conn.query_row("PRAGMA user_version", [], |r| r.get(0))?)
    }

    /// Creates schema and identity. `meta` is the text whose hash roots the chain.
    pub(crate) fn create(&mut self, meta: &str) -> Result<(), StoreError> {
        let mode: String = self.conn.query_row("PRAGMA journal_mode = WAL", [], |r| r.get(0))?;
        if mode != "wal" {
            return Err(StoreError::Failed(format!("the file system does not support a write-ahead log (journal mode {mode})")));
        }
        let first = self.conn.transaction()?;
        first.pragma_update(None, "application_id", APPLICATION_ID)?;
        apply(&first, 0, &MIGRATIONS)?;
        first.execute("INSERT INTO meta (one, text) VALUES (1, ?1)", [meta])?;
        first.commit()?;
        Ok(())
    }

    /// Brings an older schema up to date, step by step.
    pub(crate) fn migrate(&mut self) -> Result<(), StoreError> {
        migrate(&mut self.conn, &MIGRATIONS)
    }

    /// The schema's number; an error if this is no journal.
    pub(crate) fn schema(&self) -> Result<u32, StoreError> {
        let id: i32 = self.conn.query_row("PRAGMA application_id", [], |r| r.get(0))?;
        if id != APPLICATION_ID {
            return Err(StoreError::Damaged(format!("{NAME} does not carry a journal's mark")));
        }
        self.version()
    }

    /// The text written at creation.
    pub(crate) fn meta(&self) -> Result<String, StoreError> {
        Ok(self.conn.query_row("SELECT text FROM meta", [], |r| r.get(0))?)
    }

    /// Whether SQLite's own structure is whole and the schema is ours, word by word.
    pub(crate) fn check_structure(&self) -> Result<(), StoreError> {
        let said: String = self.conn.query_row("PRAGMA integrity_check(1)", [], |r| r.get(0))?;
        if said != "ok" {
            return Err(StoreError::Damaged(said));
        }
        let mut model = Connection::open_in_memory()?;
        migrate(&mut model, &MIGRATIONS)?;
        if schema_text(&self.conn)? != schema_text(&model)? {
            return Err(StoreError::Damaged("the schema is not the one that was created".to_owned()));
        }
        Ok(())
    }

    /// All marks.
    pub(crate) fn marks(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let mut read = self.conn.prepare("SELECT name, value, crc32c FROM mark ORDER BY name")?;
        let mut rows = read.query([])?;
        let mut marks = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let (name, value, sum): (String, i64, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if sum != mark_sum(&name, value) {
                return Err(StoreError::Damaged(format!("the checksum of the mark {name:?} does not fit")));
            }
            marks.insert(name, value.cast_unsigned());
        }
        Ok(marks)
    }

    /// Calls `visit` with every row in order, and with its entry or the fault that it has by itself or against its predecessor.
    pub(crate) fn scan(
        &self,
        root: Hash,
        mut visit: impl FnMut(Record, Result<Stamped, String>) -> Result<(), StoreError>,
    ) -> Result<Head, StoreError> {
        let mut read = self.conn.prepare("SELECT seq, epoch, key, trade, payload, hash FROM record ORDER BY seq")?;
        let mut rows = read.query([])?;
        let mut end = Head { seq: 0, hash: root };
        while let Some(row) = rows.next()? {
            let stored = Unique { key: row.get(2)?, trade: row.get(3)? };
            let seq: i64 = row.get(0)?;
            let record =
                Record { seq: seq.cast_unsigned(), epoch: Epoch(row.get(1)?), payload: row.get(4)?, hash: Hash(row.get(5)?) };
            let entry = verify(end, &record, &stored);
            end = Head { seq: record.seq, hash: record.hash };
            visit(record, entry)?;
        }
        Ok(end)
    }

    /// Takes the journal over: from now on only `epoch` may append.
    pub(crate) fn claim(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        self.begin()?;
        self.raise(EPOCH, u64::from(epoch.0))?;
        self.commit()
    }
}

/// The tenure that owns a journal with these marks.
pub(crate) fn owner(marks: &BTreeMap<String, u64>) -> Epoch {
    Epoch(marks.get(EPOCH).copied().and_then(|e| u32::try_from(e).ok()).unwrap_or(0))
}

/// The marks that callers set.
pub(crate) fn cursors(mut marks: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    marks.remove(EPOCH);
    marks
}

/// `SQLITE_OPEN_NOFOLLOW` refuses links anywhere in the path; only one in the last place would be foul play.
fn canonical(dir: &Path) -> std::path::PathBuf {
    dir.canonicalize().unwrap_or_else(|_| dir.to_owned())
}

fn verify(before: Head, record: &Record, stored: &Unique) -> Result<Stamped, String> {
    if record.seq != before.seq + 1 {
        return Err(format!("it follows {}, so records are missing", before.seq));
    }
    if record.hash != chain(before.hash, record.seq, record.epoch, &record.payload) {
        return Err("its hash does not fit its content and its predecessor".to_owned());
    }
    let stamped = record.decode().map_err(|e| format!("it is not an entry: {e}"))?;
    if Unique::of(&stamped.entry) != *stored {
        return Err("its indexed columns do not fit its content".to_owned());
    }
    Ok(stamped)
}

fn apply(to: &Connection, from: u32, steps: &[&str]) -> rusqlite::Result<()> {
    for (number, step) in (1_u32..).zip(steps).skip(usize::try_from(from).unwrap_or(usize::MAX)) {
        to.execute_batch(step)?;
        to.pragma_update(None, "user_version", number)?;
    }
    Ok(())
}

fn migrate(conn: &mut Connection, steps: &[&str]) -> Result<(), StoreError> {
    loop {
        let step = conn.transaction()?;
        let at: u32 = step.query_row("PRAGMA user_version", [], |r| r.get(0))?;
        let done = usize::try_from(at).unwrap_or(usize::MAX);
        if done >= steps.len() {
            return Ok(());
        }
        apply(&step, at, &steps[..=done])?;
        step.commit()?;
    }
}

fn schema_text(conn: &Connection) -> Result<Vec<(String, Option<String>)>, StoreError> {
    let mut read = conn.prepare("SELECT type || ' ' || name || ' ' || tbl_name, sql FROM sqlite_schema ORDER BY 1")?;
    let rows = read.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn mark_sum(name: &str, value: i64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(name.as_bytes()), &value.to_be_bytes())
}

impl Store for Sqlite {
    fn begin(&mut self) -> Result<Epoch, StoreError> {
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut read = self.conn.prepare_cached("SELECT value FROM mark WHERE name = 'epoch'")?;
        let epoch: Option<u32> = read.query_row([], |r| r.get(0)).optional()?;
        Ok(Epoch(epoch.unwrap_or(0)))
    }

    fn savepoint(&mut self) -> Result<(), StoreError> {
        // a second savepoint of the same name hides the first, which is all that is needed: commit drops them both
        self.conn.prepare_cached("SAVEPOINT one")?.execute([])?;
        Ok(())
    }

    fn insert(&mut self, row: &Row<'_>) -> Result<(), StoreError> {
        let mut insert = self
            .conn
            .prepare_cached("INSERT INTO record (seq, epoch, key, trade, payload, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        let Unique { key, trade } = row.unique;
        insert.execute(params![row.seq.cast_signed(), row.epoch.0, key, trade, row.payload, row.hash.0])?;
        Ok(())
    }

    fn raise(&mut self, name: &str, value: u64) -> Result<(), StoreError> {
        let value = i64::try_from(value).map_err(|_| StoreError::Failed(format!("the mark {name} = {value} is too large")))?;
        let mut raise = self.conn.prepare_cached(
            "INSERT INTO mark (name, value, crc32c) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value, crc32c = excluded.crc32c WHERE excluded.value > value",
        )?;
        raise.execute(params![name, value, mark_sum(name, value)])?;
        Ok(())
    }

    fn undo(&mut self) -> Result<(), StoreError> {
        self.conn.prepare_cached("ROLLBACK TO one")?.execute([])?;
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.conn.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    fn rollback(&mut self) {
        if !self.conn.is_autocommit()
            && let Err(e) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::debug!(error = %e, "rollback after an error failed too");
        }
    }

    fn checkpoint(&mut self, whole: bool) -> Result<(), StoreError> {
        let pragma = if whole { "PRAGMA wal_checkpoint(TRUNCATE)" } else { "PRAGMA wal_checkpoint(PASSIVE)" };
        // busy only means that a reader still needs the log
        let busy: i64 = self.conn.query_row(pragma, [], |r| r.get(0))?;
        if busy != 0 {
            tracing::debug!("a reader keeps the write-ahead log from being folded");
        }
        Ok(())
    }

    fn hash_at(&mut self, seq: u64) -> Result<Option<Hash>, StoreError> {
        let mut read = self.conn.prepare_cached("SELECT hash FROM record WHERE seq = ?1")?;
        Ok(read.query_row([seq.cast_signed()], |r| r.get(0)).optional()?.map(Hash))
    }
}

#[cfg(test)]
mod tests;
