//! The heartbeat: how another process knows that the loop which trades is alive (C25).
//!
//! The loop stamps a [`Pulse`] at the end of each turn, the journal's writer while it waits for the disk. A thread of its own
//! carries the older of the two to a file, so that neither waits for it; the file never says more than the loop did. Time is the
//! machine's since its boot, suspended time included: it does not step, and two processes read the same (I39).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use domain::StopLevel;
use rustix::fs::{FlockOperation, OFlags, flock};
use serde::{Deserialize, Serialize};
use tracing::{error, info, warn};

use crate::notify;
use crate::wall::boot_ns;

/// The file's name in the directory that daemon and watchdog share.
pub const NAME: &str = "heartbeat";
/// How often the thread writes: a small part of the shortest limit (2 s).
const WRITE_EVERY: Duration = Duration::from_millis(250);
/// Every record fills this many bytes, so that one write replaces the whole of the last and needs no new block of a full disk.
const RECORD: usize = 256;
/// A reader that meets a record half-written looks again; it is written in one call of a few microseconds.
const READ_TRIES: u32 = 3;
const READ_AGAIN: Duration = Duration::from_millis(2);
/// Readable by the group too: the watchdog has a user of its own. There is no secret in it.
const MODE: u32 = 0o640;

/// What one record says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beat {
    /// The loop was alive then: nanoseconds since the machine's boot.
    pub at_ns: u64,
    /// The daemon's process.
    pub pid: u32,
    /// The highest stop level that holds for everything, as an operator writes it.
    pub stop: String,
    /// The daemon has ended in an orderly way and left the venue without an open order.
    pub farewell: bool,
}

impl Beat {
    /// Whether the daemon says that it places nothing and cancels everything.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        let below = [StopLevel::Run, StopLevel::ReduceOnly, StopLevel::Block];
        !below.iter().any(|level| level.name() == self.stop)
    }

    fn encode(&self) -> io::Result<[u8; RECORD]> {
        let text = serde_json::to_string(self).map_err(io::Error::other)?;
        let text = format!("{text}\n{}\n", sum(&text));
        let mut record = [b' '; RECORD];
        let long = || io::Error::other("the record is too long");
        record.get_mut(..text.len()).ok_or_else(long)?.copy_from_slice(text.as_bytes());
        record[RECORD - 1] = b'\n';
        Ok(record)
    }

    fn decode(record: &[u8]) -> Option<Beat> {
        let (text, rest) = std::str::from_utf8(record).ok()?.split_once('\n')?;
        if record.len() != RECORD || rest.trim_end() != sum(text) {
            return None;
        }
        serde_json::from_str(text).ok()
    }
}

fn sum(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
}

/// What a look at the file found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// There is none.
    Missing,
    /// There is something that is no record, or it cannot be read: why.
    Garbled(String),
    /// A record.
    Beat(Beat),
}

/// Reads the file at `path`.
#[must_use]
pub fn read(path: &Path) -> Seen {
    let mut why = String::new();
    for attempt in 0..READ_TRIES {
        if attempt > 0 {
            std::thread::sleep(READ_AGAIN);
        }
        match read_once(path) {
            Ok(Some(beat)) => return Seen::Beat(beat),
            Ok(None) => why = "it is no whole record".to_owned(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Seen::Missing,
            Err(e) => why = e.to_string(),
        }
    }
    Seen::Garbled(why)
}

fn read_once(path: &Path) -> io::Result<Option<Beat>> {
    let file = OpenOptions::new().read(true).custom_flags(no_follow()).open(path)?;
    let mut record = [0_u8; RECORD + 1];
    let mut filled = 0;
    while filled < record.len() {
        match file.read_at(&mut record[filled..], u64::try_from(filled).unwrap_or(0))? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(Beat::decode(&record[..filled]))
}

/// Whoever shares the directory must not lead us to another file; nor may a pipe of that name make us wait.
fn no_follow() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()
}

/// A watchdog's mark on the heartbeat that it watches, by which the daemon knows that somebody does.
#[derive(Debug, Default)]
pub struct Mark {
    on: Option<(File, u64)>,
}

impl Mark {
    /// Marks the file that is at `path` now. Called at each look: a new file is marked anew.
    pub fn keep(&mut self, path: &Path) {
        let inode = fs::symlink_metadata(path).ok().map(|meta| meta.ino());
        if inode == self.on.as_ref().map(|(_, marked)| *marked) {
            return;
        }
        self.on = None;
        if let (Ok(file), Some(inode)) = (OpenOptions::new().read(true).custom_flags(no_follow()).open(path), inode)
            && flock(&file, FlockOperation::NonBlockingLockShared).is_ok()
        {
            self.on = Some((file, inode));
        }
    }
}

/// What the loop says of itself at the end of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The stop level that holds for everything.
    pub stop: StopLevel,
    /// The venue has been read and compared with the books.
    pub ready: bool,
    /// Orders that are not known to be over.
    pub open: usize,
}

/// Life signs of the loop, shared by all who ask whether it is alive. Clones share everything.
#[derive(Clone, Debug)]
pub struct Pulse {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    turned_ns: AtomicU64,
    /// Since when the journal waits for the disk; 0 while it does not.
    flushing_ns: AtomicU64,
    ready: AtomicBool,
    open: AtomicUsize,
    stop: Mutex<StopLevel>,
    watched: AtomicBool,
}

impl Pulse {
    /// A loop that begins now.
    #[must_use]
    pub fn new() -> Pulse {
        Pulse {
            shared: Arc::new(Shared {
                turned_ns: AtomicU64::new(boot_ns()),
                flushing_ns: AtomicU64::new(0),
                ready: AtomicBool::new(false),
                open: AtomicUsize::new(0),
                stop: Mutex::new(StopLevel::Run),
                watched: AtomicBool::new(false),
            }),
        }
    }

    /// A turn of the loop is complete: what came was decided, recorded and handed on.
    pub fn turned(&self, turn: &Turn) {
        let Turn { stop, ready, open } = turn;
        *self.shared.stop.lock().unwrap_or_else(PoisonError::into_inner) = *stop;
        self.shared.ready.store(*ready, Ordering::Relaxed);
        self.shared.open.store(*open, Ordering::Relaxed);
        self.shared.turned_ns.store(boot_ns(), Ordering::Release);
    }

    /// The journal begins to wait for the disk.
    pub fn flush_begins(&self) {
        self.shared.flushing_ns.store(boot_ns().max(1), Ordering::Release);
    }

    /// It has waited.
    pub fn flush_ended(&self) {
        self.shared.flushing_ns.store(0, Ordering::Release);
    }

    /// Until when what trades was certainly alive: the loop's last turn, or the beginning of a flush that has not ended.
    #[must_use]
    pub fn alive_ns(&self) -> u64 {
        let turned = self.shared.turned_ns.load(Ordering::Acquire);
        match self.shared.flushing_ns.load(Ordering::Acquire) {
            0 => turned,
            since => turned.min(since),
        }
    }

    /// How long ago that was.
    #[must_use]
    pub fn age(&self) -> Duration {
        Duration::from_nanos(boot_ns().saturating_sub(self.alive_ns()))
    }

    /// Orders that were not known to be over at the last turn.
    #[must_use]
    pub fn open_orders(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// How far everything was stopped at the last turn.
    #[must_use]
    pub fn stop(&self) -> StopLevel {
        *self.shared.stop.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a watchdog had its mark on the heartbeat when that was last looked at.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.shared.watched.load(Ordering::Relaxed)
    }

    fn is_ready(&self) -> bool {
        self.shared.ready.load(Ordering::Relaxed)
    }

    fn beat(&self, farewell: bool) -> Beat {
        let stop = self.stop().name().to_owned();
        Beat { at_ns: self.alive_ns(), pid: std::process::id(), stop, farewell }
    }
}

/// The file, open for writing.
#[derive(Debug)]
struct Record {
    file: File,
    path: PathBuf,
    failing: bool,
    /// A beat of this daemon stands in it.
    ours: bool,
}

impl Record {
    /// Opens or makes the file. What an earlier daemon left in it stays until the first beat: its last life sign, or its farewell.
    fn open(dir: &Path) -> io::Result<Record> {
        let path = dir.join(NAME);
        fs::create_dir_all(dir)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(MODE)
            .custom_flags(no_follow())
            .open(&path)?;
        let meta = file.metadata()?;
        if !meta.is_file() || meta.nlink() != 1 {
            return Err(io::Error::other("it is not a file of its own"));
        }
        if meta.permissions().mode() & 0o777 != MODE
            && let Err(e) = file.set_permissions(fs::Permissions::from_mode(MODE))
        {
            warn!(
                "{}: its mode could not be set to {MODE:o}, so a watchdog of another user may not read it: {e}",
                path.display()
            );
        }
        Ok(Record { file, path, failing: false, ours: false })
    }

    fn write(&mut self, beat: &Beat) {
        let written = beat.encode().and_then(|record| {
            self.file.write_all_at(&record, 0)?;
            if self.file.metadata()?.len() == RECORD as u64 { Ok(()) } else { self.file.set_len(RECORD as u64) }
        });
        match written {
            Ok(()) => {
                self.ours = true;
                if std::mem::take(&mut self.failing) {
                    info!("the heartbeat is written again");
                }
            }
            Err(e) if !self.failing => {
                self.failing = true;
                if !self.ours && fs::remove_file(&self.path).is_err() {
                    warn!("an earlier daemon's farewell may still stand in the heartbeat");
                }
                error!(
                    "{}: the heartbeat cannot be written, so a watchdog will take this daemon for dead: {e}",
                    self.path.display()
                );
            }
            Err(_) => {}
        }
    }

    /// Whether somebody else has a mark on it.
    fn is_marked(&self) -> bool {
        if flock(&self.file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return true;
        }
        if let Err(e) = flock(&self.file, FlockOperation::Unlock) {
            warn!("the heartbeat stays locked: {e}");
        }
        false
    }
}

/// The thread that carries a [`Pulse`] to the file and to the service manager. Dropping it ends it without a farewell.
#[derive(Debug)]
pub struct Heart {
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<Record>>,
    pulse: Pulse,
}

impl Heart {
    /// Begins to carry `pulse` to the heartbeat in `dir`.
    ///
    /// # Errors
    /// If there can be no file or no thread.
    pub fn start(dir: &Path, pulse: &Pulse) -> io::Result<Heart> {
        let mut record = Record::open(dir)?;
        let (end, ended) = mpsc::channel::<()>();
        let carried = pulse.clone();
        let carry = move || {
            let mut manager = notify::Manager::from_environment();
            let mut last_ns = 0;
            loop {
                let beat = carried.beat(false);
                // the same life sign twice is no second one
                if beat.at_ns != last_ns {
                    last_ns = beat.at_ns;
                    record.write(&beat);
                    manager.alive();
                }
                manager.tell(carried.is_ready(), &beat.stop, carried.open_orders());
                carried.shared.watched.store(record.is_marked(), Ordering::Relaxed);
                match ended.recv_timeout(WRITE_EVERY) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return record,
                }
            }
        };
        let thread = std::thread::Builder::new().name("heartbeat".to_owned()).spawn(carry)?;
        Ok(Heart { end: Some(end), thread: Some(thread), pulse: pulse.clone() })
    }

    /// Ends it; with `farewell`, the last record says that nobody need come after this daemon.
    pub fn stop(mut self, farewell: bool) {
        drop(self.end.take());
        let record = self.thread.take().map(JoinHandle::join);
        if let Some(Ok(mut record)) = record
            && farewell
        {
            record.write(&Beat { at_ns: boot_ns(), ..self.pulse.beat(true) });
        }
    }
}

#[cfg(test)]
mod tests;
