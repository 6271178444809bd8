//! The stop level's second home (C32): the file `LATCH` beside the database.
//!
//! The journal says it too; either one set means set (I21), scope by scope. The writer keeps the file in step with `Entry::Latch` and
//! `Entry::Rearm`; [`latch_set`] is for the moment when the journal itself is what failed. Emptying, garbling or deleting
//! the file all mean *latched*, so that no accident and no partial restore clears it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use domain::{Stop, StopLevel, StopScope, Stops, Trigger};
use serde::{Deserialize, Serialize};

use crate::disk;

/// The sentinel's name.
pub(crate) const NAME: &str = "LATCH";
/// Far above any cause we write; a longer file is not ours.
const BYTES_MAX: u64 = 256 << 10;
/// A cause is a sentence. The whole of it is in the journal.
const CAUSE_MAX: usize = 300;

/// The writer thread and a kill switch may both write.
static WRITING: Mutex<()> = Mutex::new(());

/// The sentinel's content: what is stopped, and a checksum so that a flipped bit cannot lower a level.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sentinel {
    stops: Stops,
    crc32c: u32,
}

fn encode(stops: &Stops) -> String {
    // plain fields always serialise; were it otherwise, an empty file still means latched
    let text = serde_json::to_string(stops).unwrap_or_default();
    let sentinel = Sentinel { stops: stops.clone(), crc32c: crc32c::crc32c(text.as_bytes()) };
    serde_json::to_string(&sentinel).unwrap_or_default() + "\n"
}

fn decode(text: &[u8]) -> Result<Stops, String> {
    let Sentinel { stops, .. } = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    if encode(&stops).as_bytes() == text { Ok(stops) } else { Err("its checksum does not fit".to_owned()) }
}

/// Reads the sentinel in the journal directory `dir`. Unreadable, garbled or missing means that everything is cancelled (I21).
#[must_use]
pub fn latch_read(dir: &Path) -> Stops {
    look(dir).unwrap_or_else(|unreadable| unreadable)
}

/// What the sentinel says; an error is what it counts as, since it cannot be read.
fn look(dir: &Path) -> Result<Stops, Stops> {
    let path = dir.join(NAME);
    let read = disk::read_bounded(&path, BYTES_MAX).map_err(|e| e.to_string()).and_then(|text| decode(&text));
    read.map_err(|why| {
        let cause = format!("{} cannot be read, which counts as latched: {why}", path.display());
        let mut stops = Stops::default();
        stops.raise(&Stop::all(StopLevel::Cancel, Trigger::Latch, cause));
        stops
    })
}

/// Writes the sentinel: `stop` and what stands there already, whichever is higher in its scope.
///
/// # Errors
/// If it may not be durable.
pub fn latch_set(dir: &Path, stop: &Stop) -> io::Result<()> {
    let _one = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut stops = latch_read(dir);
    // the whole cause and its numbers are in the journal
    let short = Stop { cause: stop.cause.chars().take(CAUSE_MAX).collect(), inputs: BTreeMap::new(), ..stop.clone() };
    if stops.raise(&short) { write(dir, &stops) } else { Ok(()) }
}

/// Puts a sentinel right that cannot be read: from here on it says what it counts as, and what `stops` says besides. Otherwise the
/// loss of the other store would one day find it missing as well.
pub(crate) fn put_right(dir: &Path, stops: &Stops) {
    let _one = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(mut unreadable) = look(dir) {
        unreadable.join(stops);
        if let Err(e) = write(dir, &unreadable) {
            // as it is it counts as much
            tracing::warn!(error = %e, "the latch file could not be put right");
        }
    }
}

/// Ends the stop of `scope`, or all of them, in the sentinel. Call it after an `Entry::Rearm` is durable, never before; appending
/// that entry does it already.
///
/// # Errors
/// If it may not be durable.
pub fn latch_clear(dir: &Path, scope: Option<StopScope>) -> io::Result<()> {
    let _one = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut stops = if scope.is_some() { latch_read(dir) } else { Stops::default() };
    stops.clear(scope);
    write(dir, &stops)
}

fn write(dir: &Path, stops: &Stops) -> io::Result<()> {
    disk::replace(dir, NAME, encode(stops).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stop(level: StopLevel, cause: &str) -> Stop {
        Stop::all(level, Trigger::Operator, cause)
    }

    #[test]
    fn missing_empty_garbled_and_every_flipped_bit_are_latched_i21() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(latch_read(dir.path()).level(), StopLevel::Cancel, "missing");
        latch_clear(dir.path(), None).unwrap();
        assert_eq!(latch_read(dir.path()), Stops::default());
        let path = dir.path().join(NAME);
        let clear = std::fs::read(&path).unwrap();
        latch_set(dir.path(), &Stop { scope: "market:hyperliquid:BTC".parse().unwrap(), ..stop(StopLevel::Block, "odd fills") })
            .unwrap();
        let scoped = std::fs::read(&path).unwrap();
        let said = latch_read(dir.path());
        for good in [clear, scoped] {
            for bit in 0..good.len() * 8 {
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                std::fs::write(&path, &bad).unwrap();
                assert_eq!(latch_read(dir.path()).level(), StopLevel::Cancel, "bit {bit}");
            }
            for cut in 0..good.len() {
                std::fs::write(&path, &good[..cut]).unwrap();
                assert_eq!(latch_read(dir.path()).level(), StopLevel::Cancel, "cut at {cut}");
            }
            std::fs::write(&path, &good).unwrap();
        }
        assert_eq!(latch_read(dir.path()), said);
        std::fs::write(&path, vec![b' '; 1 << 20]).unwrap();
        assert_eq!(latch_read(dir.path()).level(), StopLevel::Cancel, "endless");
    }

    #[test]
    fn one_that_could_not_be_read_is_put_right() {
        let dir = tempfile::tempdir().unwrap();
        let scope = "parent:P3".parse().unwrap();
        let mut stops = Stops::default();
        stops.raise(&Stop { scope, ..stop(StopLevel::Flatten, "out") });
        put_right(dir.path(), &stops);
        let said = look(dir.path()).unwrap();
        assert_eq!((said.level(), said.of(scope).map(|s| s.level)), (StopLevel::Cancel, Some(StopLevel::Flatten)));
        latch_clear(dir.path(), None).unwrap();
        put_right(dir.path(), &stops);
        assert_eq!(look(dir.path()).unwrap(), Stops::default(), "one that can be read is left alone");
        std::fs::remove_file(dir.path().join(NAME)).unwrap();
        std::fs::create_dir(dir.path().join(NAME)).unwrap();
        put_right(dir.path(), &stops);
        assert_eq!(latch_read(dir.path()).level(), StopLevel::Cancel, "what cannot be put right still counts");
    }

    #[test]
    fn a_level_only_rises_until_cleared_and_scopes_are_kept_apart_i20() {
        let dir = tempfile::tempdir().unwrap();
        latch_clear(dir.path(), None).unwrap();
        latch_set(dir.path(), &stop(StopLevel::Block, "drawdown")).unwrap();
        latch_set(dir.path(), &stop(StopLevel::ReduceOnly, "later and lower")).unwrap();
        let read = latch_read(dir.path());
        assert_eq!((read.level(), read.cause()), (StopLevel::Block, "drawdown"));
        let scope = "parent:P3".parse().unwrap();
        latch_set(dir.path(), &Stop { scope, ..stop(StopLevel::Cancel, "operator \"x\"\n") }).unwrap();
        assert_eq!(latch_read(dir.path()).level(), StopLevel::Block);
        latch_clear(dir.path(), Some(StopScope::All)).unwrap();
        assert_eq!(latch_read(dir.path()).worst().map(|s| (s.level, s.scope)), Some((StopLevel::Cancel, scope)));
        latch_clear(dir.path(), None).unwrap();
        assert!(!latch_read(dir.path()).is_set());
    }
}
