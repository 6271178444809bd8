//! What outside the desk speaks against a re-arm: facts of this machine, read at the moment somebody asks (C33).

use std::path::{Path, PathBuf};

use domain::SpecFault;
use journal::Room;

use crate::sentinel;
use crate::triggers::Tripwire;

/// Everything that stands at this moment, in words that say what would be right. What cannot be found out stands.
pub fn causes(journal_dir: &Path, stop_dirs: &[PathBuf], wire: &Tripwire) -> Vec<SpecFault> {
    let mut faults = Vec::new();
    let mut add = |field: &str, value: String, expected: &str| {
        faults.push(SpecFault { field: field.to_owned(), value, expected: expected.to_owned() });
    };
    for stop in stop_dirs.iter().filter_map(|dir| sentinel::read(dir)) {
        add("sentinel", stop.cause, "no such file: remove it once its cause is gone");
    }
    match journal::room(journal_dir) {
        Ok(Room::Ample | Room::Low) => {}
        Ok(Room::Critical) => {
            add("disk", "less than 512 MiB free".to_owned(), "512 MiB or more free where the journal is");
        }
        Err(e) => add("disk", e.to_string(), "a disk that says how much of it is free"),
    }
    if wire.is_pulled() {
        add("stop", "pulled just now".to_owned(), "a moment in which nothing stops: see plimsoll status");
    }
    if let Some(words) = wire.panicked() {
        add("panic", words.to_owned(), "a new start: a part of this daemon failed, and it is leaving");
    }
    faults
}
