//! The witness: where the journal's acknowledged end was, kept outside SQLite.
//!
//! SQLite's write-ahead log ends at the first frame whose checksum fails, and that is right for a torn write, but a flipped
//! bit or a cut in an *acknowledged* frame looks just the same and would silently lose records. After each commit and
//! before the acknowledgement, the new end is written here in place, without a flush of its own: a killed process leaves it exact, a
//! power cut leaves it at most too old. So it never claims more than was acknowledged, and a journal that ends before it has lost something.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::disk;
use crate::{Hash, Head};

/// The file's name.
pub(crate) const NAME: &str = "head";
/// Two slots, each in a disk sector of its own, written in turn: a torn write spoils one of them at most.
const SLOT_AT: [u64; 2] = [0, 4096];
const MAGIC: [u8; 8] = *b"plimhead";
const SLOT_BYTES: usize = 8 + 8 + 32 + 4;

/// The open witness file.
#[derive(Debug)]
pub(crate) struct Witness {
    file: File,
    next: usize,
}

impl Witness {
    /// Opens or creates the witness in `dir` with the end `head`, durably.
    pub(crate) fn start(dir: &Path, head: Head) -> io::Result<Witness> {
        let mut witness = Witness { file: disk::open(&dir.join(NAME))?, next: 0 };
        witness.set(head)?;
        witness.set(head)?;
        witness.file.sync_all()?;
        Ok(witness)
    }

    /// Notes that everything up to `head` is durable.
    pub(crate) fn set(&mut self, head: Head) -> io::Result<()> {
        self.file.write_all_at(&encode(head), SLOT_AT[self.next])?;
        self.next = 1 - self.next;
        Ok(())
    }
}

/// What the witness in `dir` says: `Ok(None)` if there is no such file.
///
/// # Errors
/// If it cannot be read, or neither slot is whole.
pub(crate) fn read(dir: &Path) -> io::Result<Option<Head>> {
    let file = match File::open(dir.join(NAME)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let slots = SLOT_AT.iter().filter_map(|at| {
        let mut slot = [0; SLOT_BYTES];
        file.read_exact_at(&mut slot, *at).ok()?;
        decode(&slot)
    });
    slots.max_by_key(|h| h.seq).map(Some).ok_or_else(|| io::Error::other("neither slot is whole"))
}

fn encode(head: Head) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[..8].copy_from_slice(&MAGIC);
    slot[8..16].copy_from_slice(&head.seq.to_be_bytes());
    slot[16..48].copy_from_slice(&head.hash.0);
    let sum = crc32c::crc32c(&slot[..48]);
    slot[48..].copy_from_slice(&sum.to_be_bytes());
    slot
}

fn decode(slot: &[u8; SLOT_BYTES]) -> Option<Head> {
    let (body, sum) = slot.split_at(48);
    if body[..8] != MAGIC || sum != crc32c::crc32c(body).to_be_bytes() {
        return None;
    }
    Some(Head { seq: u64::from_be_bytes(body[8..16].try_into().ok()?), hash: Hash(body[16..48].try_into().ok()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spoilt_slot_leaves_the_older_one_and_two_are_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(dir.path()).unwrap().is_none());
        let at = |seq| Head { seq, hash: Hash([seq as u8; 32]) };
        let mut witness = Witness::start(dir.path(), at(0)).unwrap();
        for seq in 1..=5 {
            witness.set(at(seq)).unwrap();
            assert_eq!(read(dir.path()).unwrap(), Some(at(seq)));
        }
        let newest = SLOT_AT[1 - witness.next];
        for byte in 0..SLOT_BYTES as u64 {
            let mut was = [0];
            witness.file.read_exact_at(&mut was, newest + byte).unwrap();
            witness.file.write_all_at(&[was[0] ^ 0x10], newest + byte).unwrap();
            assert_eq!(read(dir.path()).unwrap(), Some(at(4)), "byte {byte}");
            witness.file.write_all_at(&was, newest + byte).unwrap();
        }
        for slot in SLOT_AT {
            witness.file.write_all_at(&[0; SLOT_BYTES], slot).unwrap();
        }
        assert!(read(dir.path()).is_err());
    }
}
