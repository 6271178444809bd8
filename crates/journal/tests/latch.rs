//! The latch over a thousand restarts, and over every loss and spoiling of one of its two stores (G25, I21).
//!
//! Beside the journal two models are kept: what its records say, and what the file says. Whatever was done to one of the two,
//! a start must find both joined, or refuse to start at all.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail as tests do")]

#[path = "../src/testing.rs"]
mod testing;

use std::fs;
use std::path::Path;

use domain::{Entry, ParentId, Prng, Seed, Stamped, Stop, StopLevel, StopScope, Stops, Trigger, Venue, WriteAhead};
use plimsoll_journal::{Identity, Journal, OpenError, Opened, Options, latch_read};
use tempfile::TempDir;
use testing::{at, btc, note, scratch};

const RESTARTS: u64 = 1_000;
const LATCH: &str = "LATCH";
/// The journal's own store: the database, its log, and the witness of its end.
const STORE: [&str; 3] = ["journal.db", "journal.db-wal", "head"];

fn open(dir: &Path) -> Result<Opened, OpenError> {
    let me = Identity { venue: Venue::Hyperliquid, network: "paper".into(), account: "0xabc".into() };
    Journal::open(dir, &me, &Options { ballast_bytes: 4_096, ..Options::new(7) })
}

/// A copy of everything in `dir`, as a crash at this moment would leave it.
fn copy(dir: &Path) -> TempDir {
    let copy = scratch();
    for file in fs::read_dir(dir).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

fn levels(stops: &Stops) -> Vec<(StopScope, StopLevel)> {
    stops.iter().map(|stop| (stop.scope, stop.level)).collect()
}

fn joined(a: &Stops, b: &Stops) -> Stops {
    let mut both = a.clone();
    both.join(b);
    both
}

/// What a file counts as that cannot be read.
fn unreadable() -> Stops {
    let mut stops = Stops::default();
    stops.raise(&Stop::all(StopLevel::Cancel, Trigger::Latch, "unreadable"));
    stops
}

fn any_stop(chance: &mut Prng) -> Stop {
    let scopes = [
        StopScope::All,
        StopScope::Venue(Venue::Hyperliquid),
        StopScope::Market(btc()),
        StopScope::Parent(ParentId(7)),
        StopScope::Parent(ParentId(8)),
    ];
    let scope = scopes[pick(chance, scopes.len())];
    let level = StopLevel::ALL[1 + pick(chance, StopLevel::ALL.len() - 1)];
    Stop { scope, ..Stop::all(level, Trigger::Operator, format!("round {}", chance.below(1_000))) }
}

fn pick(chance: &mut Prng, of: usize) -> usize {
    usize::try_from(chance.below(of as u64)).unwrap()
}

/// What can happen to the file alone.
#[derive(Clone, Copy, Debug)]
enum FileFault {
    Deleted,
    Emptied,
    Cut,
    Flipped,
    Foreign,
    Directory,
    DanglingLink,
    /// A whole one, of an earlier moment.
    Older,
}

impl FileFault {
    const ALL: [FileFault; 8] = [
        FileFault::Deleted,
        FileFault::Emptied,
        FileFault::Cut,
        FileFault::Flipped,
        FileFault::Foreign,
        FileFault::Directory,
        FileFault::DanglingLink,
        FileFault::Older,
    ];

    /// Does it; what the file says afterwards.
    fn make(self, path: &Path, older: &(Vec<u8>, Stops), chance: &mut Prng) -> Stops {
        let mut bytes = fs::read(path).unwrap();
        match self {
            FileFault::Deleted => fs::remove_file(path).unwrap(),
            FileFault::Emptied => fs::write(path, "").unwrap(),
            FileFault::Cut => fs::write(path, &bytes[..pick(chance, bytes.len())]).unwrap(),
            FileFault::Flipped => {
                let place = pick(chance, bytes.len());
                bytes[place] ^= 1 << pick(chance, 8);
                fs::write(path, bytes).unwrap();
            }
            FileFault::Foreign => fs::write(path, r#"{"stops":[],"crc32c":0}"#).unwrap(),
            FileFault::Directory => {
                fs::remove_file(path).unwrap();
                fs::create_dir(path).unwrap();
            }
            FileFault::DanglingLink => {
                fs::remove_file(path).unwrap();
                std::os::unix::fs::symlink("nowhere", path).unwrap();
            }
            FileFault::Older => {
                fs::write(path, &older.0).unwrap();
                return older.1.clone();
            }
        }
        unreadable()
    }

    /// Undoes what a person has to undo before a file can stand there again.
    fn repair(self, path: &Path) {
        if matches!(self, FileFault::Directory) {
            fs::remove_dir(path).unwrap();
        }
    }
}

/// What can happen to the journal's store alone, in a copy of it: to one of its files, or to all of them at once.
fn spoil_store(dir: &Path, older: &Path, chance: &mut Prng) -> String {
    let name = STORE[pick(chance, STORE.len())];
    let path = dir.join(name);
    let bytes = fs::read(&path).unwrap_or_default();
    match chance.below(6) {
        0 => {
            drop(fs::remove_file(&path));
            format!("{name} deleted")
        }
        1 => {
            fs::write(&path, "").unwrap();
            format!("{name} emptied")
        }
        2 => {
            let length = pick(chance, bytes.len() + 1);
            fs::write(&path, &bytes[..length]).unwrap();
            format!("{name} cut at {length} of {}", bytes.len())
        }
        3 => {
            fs::write(&path, vec![0xa5; bytes.len()]).unwrap();
            format!("{name} overwritten")
        }
        4 => {
            for name in STORE {
                drop(fs::remove_file(dir.join(name)));
            }
            "the whole store deleted".to_owned()
        }
        _ => {
            for name in STORE {
                drop(fs::remove_file(dir.join(name)));
                if let Ok(bytes) = fs::read(older.join(name)) {
                    fs::write(dir.join(name), bytes).unwrap();
                }
            }
            "the whole store restored from an older backup".to_owned()
        }
    }
}

/// What became of starts on a spoilt journal.
#[derive(Debug, Default)]
struct Tally {
    refused: u32,
    opened: u32,
}

fn check_spoilt(dir: &Path, older: &Path, file: &Stops, round: u64, chance: &mut Prng, tally: &mut Tally) {
    let spoilt = copy(dir);
    let what = spoil_store(spoilt.path(), older, chance);
    match open(spoilt.path()) {
        Ok(opened) => {
            // whatever the records still say, the file says it all
            let found = joined(&opened.latch, file);
            assert_eq!(levels(&found), levels(&opened.latch), "round {round}, {what}: a stop is lost");
            tally.opened += 1;
        }
        Err(_) => {
            // nothing trades without a journal; the file holds the stop for whatever comes in its place
            let found = latch_read(spoilt.path());
            assert_eq!(levels(&joined(&found, file)), levels(&found), "round {round}, {what}: a stop is lost");
            assert!(found.level() >= StopLevel::Cancel, "round {round}, {what}: a refused journal latches");
            tally.refused += 1;
        }
    }
}

#[tokio::test]
async fn g25_the_latch_survives_a_thousand_restarts_and_every_fault_of_one_store() {
    let mut chance = Seed(0x1a7c).fork("latch");
    let mut dir = scratch();
    let (mut recorded, mut file) = (Stops::default(), Stops::default());
    let mut older: Option<(TempDir, (Vec<u8>, Stops))> = None;
    let mut tally = Tally::default();
    for round in 0..RESTARTS {
        let opened = open(dir.path()).unwrap();
        let both = joined(&recorded, &file);
        assert_eq!(levels(&opened.latch), levels(&both), "round {round}");
        assert!(levels(&latch_read(dir.path())) == levels(&both), "round {round}: the file was put right");
        // as a daemon does at start: what the file alone says is recorded, and the file is put right with it
        let news: Vec<Stop> =
            opened.latch.iter().filter(|s| recorded.of(s.scope).is_none_or(|r| r.level < s.level)).cloned().collect();
        let mut entries: Vec<Entry> = news.into_iter().map(Entry::Latch).collect();
        recorded = both.clone();
        file = both;
        match chance.below(20) {
            0..=10 => {
                let stop = any_stop(&mut chance);
                recorded.raise(&stop);
                file.raise(&stop);
                entries.push(Entry::Latch(stop));
            }
            11 | 12 => {
                let scope = Some(any_stop(&mut chance).scope);
                recorded.clear(scope);
                file.clear(scope);
                entries.push(Entry::Rearm { reason: "checked".into(), scope, by: Vec::new() });
            }
            13 => {
                recorded.clear(None);
                file.clear(None);
                entries.push(Entry::Rearm { reason: "checked".into(), scope: None, by: Vec::new() });
            }
            _ => {}
        }
        let stamped = entries.into_iter().map(|entry| Stamped { at: at(round + 1), entry });
        opened.journal.append(stamped.chain([note(round + 1, "a record like any other")]).collect()).await.unwrap();
        // half of the ends are orderly; a crash leaves the log as it is
        let crashed = chance.chance(1, 2).then(|| copy(dir.path()));
        drop(opened);
        dir = crashed.unwrap_or(dir);
        let path = dir.path().join(LATCH);
        if let Some((backup, _)) = &older
            && chance.chance(1, 4)
        {
            check_spoilt(dir.path(), backup.path(), &file, round, &mut chance, &mut tally);
        }
        if let Some((_, before)) = &older
            && chance.chance(1, 2)
        {
            let fault = FileFault::ALL[pick(&mut chance, FileFault::ALL.len())];
            file = fault.make(&path, before, &mut chance);
            assert_eq!(levels(&latch_read(dir.path())), levels(&file), "round {round}, {fault:?}");
            fault.repair(&path);
        }
        if chance.chance(1, 20) && path.is_file() {
            // an older one of a moment when it said what the records said
            older = Some((copy(dir.path()), (fs::read(&path).unwrap(), latch_read(dir.path()))));
        }
    }
    assert!(tally.refused > 50 && tally.opened > 50, "both happened: {tally:?}");
}
