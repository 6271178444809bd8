use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk;
use crate::{Hash, Head};

const PREFIX: &str = "snapshot-";
const SUFFIX: &str = ".bin";
const MAGIC: [u8; 8] = *b"plimsnp1";
/// Generations kept: if the newest is damaged, the one before still saves most of the replay.
const KEEP: usize = 2;
/// A desk with ten thousand live parents folds to a few tens of megabytes.
const BYTES_MAX: u64 = 1 << 30;

/// Folded state up to a record. `fold(state, tail) = fold(everything)` is the writer's promise (I25).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The last record folded in.
    pub seq: u64,
    /// That record's hash: a snapshot of another history does not fit.
    pub record: Hash,
    /// The desk's own hash of the state, as in `Entry::Reconciled`.
    pub state_hash: String,
    /// The state, opaque here.
    pub state: Vec<u8>,
}

impl Snapshot {
    /// Where it ends.
    pub(crate) fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.record }
    }

    /// Layout: magic, sequence, record hash, length and bytes of the state hash, state, blake3 of everything before it.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.state.len() + 128);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.seq.to_be_bytes());
        bytes.extend_from_slice(&self.record.0);
        bytes.extend_from_slice(&u64::try_from(self.state_hash.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(self.state_hash.as_bytes());
        bytes.extend_from_slice(&self.state);
        let sum = blake3::hash(&bytes);
        bytes.extend_from_slice(sum.as_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Snapshot> {
        let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
        if blake3::hash(body).as_bytes() != sum {
            return None;
        }
        let body = body.strip_prefix(&MAGIC)?;
        let (seq, body) = body.split_first_chunk()?;
        let (record, body) = body.split_first_chunk()?;
        let (length, body) = body.split_first_chunk()?;
        let (state_hash, state) = body.split_at_checked(usize::try_from(u64::from_be_bytes(*length)).ok()?)?;
        Some(Snapshot {
            seq: u64::from_be_bytes(*seq),
            record: Hash(*record),
            state_hash: std::str::from_utf8(state_hash).ok()?.to_owned(),
            state: state.to_vec(),
        })
    }
}

/// Stores `snapshot` in `dir` and removes all but the newest generations.
pub(crate) fn write(dir: &Path, snapshot: &Snapshot) -> io::Result<()> {
    disk::replace(dir, &format!("{PREFIX}{:020}{SUFFIX}", snapshot.seq), &snapshot.encode())?;
    for (_, old) in files(dir)?.into_iter().skip(KEEP) {
        fs::remove_file(old)?;
    }
    disk::sync_dir(dir)
}

/// The readable snapshots in `dir`, newest first. A damaged one is skipped: the records say everything that it says.
pub(crate) fn read(dir: &Path) -> io::Result<Vec<Snapshot>> {
    let mut found = Vec::new();
    for (seq, path) in files(dir)? {
        match disk::read_bounded(&path, BYTES_MAX).map(|bytes| Snapshot::decode(&bytes)) {
            Ok(Some(snapshot)) if snapshot.seq == seq => found.push(snapshot),
            Ok(_) => tracing::warn!(path = %path.display(), "snapshot damaged, not used"),
            Err(e) => tracing::warn!(path = %path.display(), error = %e, "snapshot unreadable, not used"),
        }
    }
    Ok(found)
}

fn files(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for file in fs::read_dir(dir)? {
        let file = file?;
        let name = file.file_name();
        let digits = name.to_str().and_then(|n| n.strip_prefix(PREFIX)).and_then(|n| n.strip_suffix(SUFFIX));
        if let Some(seq) = digits.and_then(|d| d.parse().ok()) {
            files.push((seq, file.path()));
        }
    }
    files.sort_unstable_by(|a, b| b.cmp(a));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seq: u64) -> Snapshot {
        Snapshot { seq, record: Hash([3; 32]), state_hash: "abc".into(), state: seq.to_string().into_bytes() }
    }

    #[test]
    fn two_generations_are_kept_and_a_damaged_one_is_skipped() {
        let dir = tempfile::tempdir().unwrap();
        for seq in [3, 9, 10, 100] {
            write(dir.path(), &at(seq)).unwrap();
        }
        assert_eq!(read(dir.path()).unwrap(), [at(100), at(10)]);
        let newest = files(dir.path()).unwrap()[0].1.clone();
        let good = fs::read(&newest).unwrap();
        for byte in 0..good.len() {
            let mut bad = good.clone();
            bad[byte] ^= 4;
            fs::write(&newest, &bad).unwrap();
            assert_eq!(read(dir.path()).unwrap(), [at(10)], "byte {byte}");
            fs::write(&newest, &good[..byte]).unwrap();
            assert_eq!(read(dir.path()).unwrap(), [at(10)], "cut at {byte}");
        }
    }
}
