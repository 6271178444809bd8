//! The stop level's second home (C32): the file `LATCH` beside the database.
//!
//! The journal says it too; either one set means set (I21). The writer keeps the file in step with `Entry::Latch` and
//! `Entry::Rearm`; [`latch_set`] is for the moment when the journal itself is what failed. Emptying, garbling or deleting
//! the file all mean *latched*, so that no accident and no partial restore clears it.

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use domain::StopLevel;
use serde::{Deserialize, Serialize};

use crate::disk;

/// The sentinel's name.
pub(crate) const NAME: &str = "LATCH";
/// Far above any cause we write; a longer file is not ours.
const BYTES_MAX: u64 = 64 << 10;
/// A cause is a sentence. The whole of it is in the journal.
const CAUSE_MAX: usize = 1_000;

/// The writer thread and a kill switch may both write.
static WRITING: Mutex<()> = Mutex::new(());

/// What a store says about the stop level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatchState {
    /// How far stopped. [`StopLevel::Run`] means not latched.
    pub level: StopLevel,
    /// Why; empty when not latched.
    pub cause: String,
}

/// The sentinel's content: the state, and a checksum so that a flipped bit cannot lower the level.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sentinel {
    level: StopLevel,
    cause: String,
    crc32c: u32,
}

impl LatchState {
    /// Not latched.
    #[must_use]
    pub fn clear() -> LatchState {
        LatchState::default()
    }

    /// Whether anything is stopped.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.level > StopLevel::Run
    }

    /// The higher of the two.
    #[must_use]
    pub fn or(self, other: LatchState) -> LatchState {
        if other.level > self.level { other } else { self }
    }

    fn sum(&self) -> u32 {
        crc32c::crc32c(format!("{:?} {}", self.level, self.cause).as_bytes())
    }

    fn encode(&self) -> String {
        let sentinel = Sentinel { level: self.level, cause: self.cause.clone(), crc32c: self.sum() };
        // three plain fields always serialise; were it otherwise, an empty file still means latched
        serde_json::to_string(&sentinel).unwrap_or_default() + "\n"
    }

    fn decode(text: &[u8]) -> Result<LatchState, String> {
        let Sentinel { level, cause, crc32c } = serde_json::from_slice(text).map_err(|e| e.to_string())?;
        let state = LatchState { level, cause };
        if state.encode().as_bytes() != text || state.sum() != crc32c {
            return Err("its checksum does not fit".to_owned());
        }
        Ok(state)
    }
}

/// Reads the sentinel in the journal directory `dir`. Unreadable, garbled or missing is latched at the highest level (I21).
#[must_use]
pub fn latch_read(dir: &Path) -> LatchState {
    let path = dir.join(NAME);
    let why = match disk::read_bounded(&path, BYTES_MAX) {
        Ok(text) => match LatchState::decode(&text) {
            Ok(state) => return state,
            Err(why) => why,
        },
        Err(e) => e.to_string(),
    };
    LatchState { level: StopLevel::Cancel, cause: format!("{} cannot be read, which counts as latched: {why}", path.display()) }
}

/// Writes the sentinel: `level` or what stands there already, whichever is higher.
///
/// # Errors
/// If it may not be durable.
pub fn latch_set(dir: &Path, level: StopLevel, cause: &str) -> io::Result<()> {
    let _one = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = LatchState { level, cause: cause.chars().take(CAUSE_MAX).collect() };
    let stands = latch_read(dir);
    if stands.level >= wanted.level {
        return Ok(());
    }
    write(dir, &wanted)
}

/// Writes the sentinel as not latched. Call it after an `Entry::Rearm` is durable, never before; appending that entry
/// does it already.
///
/// # Errors
/// If it may not be durable.
pub fn latch_clear(dir: &Path) -> io::Result<()> {
    let _one = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    write(dir, &LatchState::clear())
}

fn write(dir: &Path, state: &LatchState) -> io::Result<()> {
    disk::replace(dir, NAME, state.encode().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_empty_garbled_and_every_flipped_bit_are_latched_i21() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(latch_read(dir.path()).level, StopLevel::Cancel, "missing");
        latch_clear(dir.path()).unwrap();
        assert_eq!(latch_read(dir.path()), LatchState::clear());
        let path = dir.path().join(NAME);
        let good = std::fs::read(&path).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bad).unwrap();
            assert!(latch_read(dir.path()).is_set(), "bit {bit}");
        }
        for cut in 0..good.len() {
            std::fs::write(&path, &good[..cut]).unwrap();
            assert!(latch_read(dir.path()).is_set(), "cut at {cut}");
        }
        std::fs::write(&path, vec![b' '; 1 << 20]).unwrap();
        assert!(latch_read(dir.path()).is_set(), "endless");
    }

    #[test]
    fn the_level_only_rises_until_cleared_i20() {
        let dir = tempfile::tempdir().unwrap();
        latch_clear(dir.path()).unwrap();
        latch_set(dir.path(), StopLevel::Block, "drawdown").unwrap();
        latch_set(dir.path(), StopLevel::ReduceOnly, "later and lower").unwrap();
        assert_eq!(latch_read(dir.path()), LatchState { level: StopLevel::Block, cause: "drawdown".into() });
        latch_set(dir.path(), StopLevel::Cancel, "operator \"x\"\n").unwrap();
        assert_eq!(latch_read(dir.path()).level, StopLevel::Cancel);
        latch_clear(dir.path()).unwrap();
        assert!(!latch_read(dir.path()).is_set());
    }
}
