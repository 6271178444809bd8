//! Where the outbox survives a crash: one file of lines, each a whole record with its checksum, the newest of a number counting.
//!
//! A torn or damaged line is left out; what it said is told again or, at worst, not told twice. The file is written anew when it has
//! grown, so that a target which never answers cannot fill the disk: only raising, telling and acknowledging write, failing does not.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::outbox::{AlertId, Record};

/// The file is written anew beyond this: a few times what the outbox's records can take.
const BYTES_MAX: u64 = 4 << 20;
/// A longer file was not written by us.
const READ_MAX: u64 = 64 << 20;
/// It tells of the account.
const MODE: u32 = 0o600;

/// What is wrong with the store.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct StoreError {
    /// Which file.
    pub path: PathBuf,
    /// What.
    pub source: io::Error,
}

/// The records in the file at `path`, oldest first, and how many lines made no sense. A missing file holds none.
///
/// # Errors
/// If it cannot be read.
pub fn read(path: &Path) -> Result<(Vec<Record>, usize), StoreError> {
    let fail = |source| StoreError { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(READ_MAX).read_to_end(&mut bytes).map_err(fail)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(e) => return Err(fail(e)),
    };
    Ok(parse(&bytes))
}

fn parse(bytes: &[u8]) -> (Vec<Record>, usize) {
    let mut records: BTreeMap<AlertId, Record> = BTreeMap::new();
    let mut damaged = 0;
    for line in bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        match decode(line) {
            Some(record) => {
                records.insert(record.id, record);
            }
            None => damaged += 1,
        }
    }
    (records.into_values().collect(), damaged)
}

fn encode(record: &Record) -> Option<Vec<u8>> {
    let json = serde_json::to_string(record).ok()?;
    Some(format!("{:08x} {json}\n", crc32c::crc32c(json.as_bytes())).into_bytes())
}

fn decode(line: &[u8]) -> Option<Record> {
    let (sum, json) = line.split_at_checked(9)?;
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?.trim_end(), 16).ok()?;
    if crc32c::crc32c(json) != sum {
        return None;
    }
    serde_json::from_slice(json).ok()
}

/// The store, open for writing.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Store {
    /// Opens the file at `path` with `records` in it and nothing else.
    ///
    /// # Errors
    /// If it may not be durable.
    pub fn start(path: &Path, records: &[Record]) -> Result<Store, StoreError> {
        let (file, bytes) = rewrite(path, records).map_err(|source| StoreError { path: path.to_owned(), source })?;
        Ok(Store { path: path.to_owned(), file, bytes })
    }

    /// Makes `records` durable.
    ///
    /// # Errors
    /// If they may not be.
    pub fn append(&mut self, records: &[Record]) -> Result<(), StoreError> {
        // after a write that failed half way a torn line may stand there: it must not swallow the first one of ours
        let mut lines = vec![b'\n'];
        records.iter().filter_map(encode).for_each(|line| lines.extend(line));
        let written = self.file.write_all(&lines).and_then(|()| self.file.sync_data());
        written.map_err(|source| StoreError { path: self.path.clone(), source })?;
        self.bytes += u64::try_from(lines.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    /// Whether it has grown so far that it should be written anew.
    pub fn is_long(&self) -> bool {
        self.bytes > BYTES_MAX
    }
}

/// Replaces the file by one of `records`, so that after a crash either stands there, whole.
fn rewrite(path: &Path, records: &[Record]) -> io::Result<(File, u64)> {
    let fresh = path.with_extension("new");
    match fs::remove_file(&fresh) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().append(true).create_new(true).mode(MODE).open(&fresh)?;
    let lines: Vec<u8> = records.iter().filter_map(encode).flatten().collect();
    file.write_all(&lines)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    if let Some(dir) = path.parent() {
        File::open(dir)?.sync_all()?;
    }
    Ok((file, u64::try_from(lines.len()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests;
