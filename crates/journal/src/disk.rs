use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The lock file's name.
const LOCK: &str = "lock";
/// The ballast's name.
const BALLAST: &str = "ballast";
/// Files are for the daemon's own user: a journal holds the account's trades.
const MODE: u32 = 0o600;

/// How much room the journal's disk has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Enough.
    Ample,
    /// Below 2 GiB: tell someone.
    Low,
    /// Below 512 MiB: positions may only shrink.
    Critical,
}

impl Room {
    const fn of(free: u64) -> Room {
        match free {
            0..0x2000_0000 => Room::Critical,
            0x2000_0000..0x8000_0000 => Room::Low,
            _ => Room::Ample,
        }
    }
}

/// How much room the disk that holds `dir` has for this user.
///
/// # Errors
/// If the file system does not say.
pub fn room(dir: &Path) -> io::Result<Room> {
    let disk = rustix::fs::statvfs(dir)?;
    Ok(Room::of(disk.f_bavail.saturating_mul(disk.f_frsize)))
}

/// Creates `dir` and its parents, readable by this user alone, and makes the names durable.
pub(crate) fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    dir.parent().filter(|p| !p.as_os_str().is_empty()).map_or(Ok(()), sync_dir)
}

/// Makes the names in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// A file for reading and writing, created if need be.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(MODE).open(path)
}

/// Replaces `dir/name` by `bytes` so that after a crash either the old or the new content stands there, whole.
pub(crate) fn replace(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = dir.join(format!("{name}.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, dir.join(name))?;
    sync_dir(dir)
}

/// Reads `path`, of which no more than `max` bytes are believed.
pub(crate) fn read_bounded(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(max + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > max {
        return Err(io::Error::other(format!("longer than {max} bytes")));
    }
    Ok(bytes)
}

/// Ownership of a journal directory while it lives. The kernel lets go of it when the process dies, however it dies.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Why there is no lock.
pub(crate) enum NoLock {
    /// Someone has it.
    Held(String),
    /// The lock file cannot be used.
    Io(io::Error),
}

impl Lock {
    /// Takes the lock of `dir` or says who has it.
    pub(crate) fn take(dir: &Path) -> Result<Lock, NoLock> {
        let mut file = open(&dir.join(LOCK)).map_err(NoLock::Io)?;
        match file.try_lock() {
            Ok(()) => {
                let mine = format!("{}\n", std::process::id());
                file.set_len(0).and_then(|()| file.write_all(mine.as_bytes())).map_err(NoLock::Io)?;
                Ok(Lock { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // what the holder wrote is only for the message
                let read = (&mut file).take(32).read_to_string(&mut holder);
                let pid = read.ok().and_then(|_| holder.trim().parse::<u32>().ok());
                Err(NoLock::Held(pid.map_or_else(|| "another process".to_owned(), |p| format!("process {p}"))))
            }
            Err(TryLockError::Error(e)) => Err(NoLock::Io(e)),
        }
    }
}

/// Space held back for the day when the disk is full: enough for the latch and the last acknowledgements.
#[derive(Debug)]
pub(crate) struct Ballast(PathBuf);

impl Ballast {
    pub(crate) fn at(dir: &Path) -> Ballast {
        Ballast(dir.join(BALLAST))
    }

    /// Holds `bytes` back, really allocated.
    pub(crate) fn load(&self, bytes: u64) -> io::Result<()> {
        let file = open(&self.0)?;
        if file.metadata()?.len() == bytes {
            return Ok(());
        }
        file.set_len(0)?;
        match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => fill(&file, bytes)?,
            other => other?,
        }
        file.sync_all()
    }

    /// Gives the space up. Whether there was any.
    pub(crate) fn drop(&self) -> bool {
        fs::remove_file(&self.0).is_ok()
    }
}

fn fill(mut file: &File, bytes: u64) -> io::Result<()> {
    let zeros = [0; 1 << 16];
    let mut left = bytes;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(zeros.len()).min(zeros.len());
        file.write_all(&zeros[..part])?;
        left -= u64::try_from(part).unwrap_or(left);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_has_two_thresholds() {
        assert_eq!(Room::of((512 << 20) - 1), Room::Critical);
        assert_eq!(Room::of(512 << 20), Room::Low);
        assert_eq!(Room::of(2 << 30), Room::Ample);
        let dir = tempfile::tempdir().unwrap();
        assert!(room(dir.path()).is_ok());
        assert!(room(&dir.path().join("nothing")).is_err());
    }

    #[test]
    fn ballast_occupies_real_blocks() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::at(dir.path());
        ballast.load(1 << 20).unwrap();
        assert!(fs::metadata(&ballast.0).unwrap().blocks() * 512 >= 1 << 20, "a sparse file holds nothing back");
        assert!(ballast.drop());
        assert!(!ballast.drop());
    }

    #[test]
    fn a_long_file_is_not_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        replace(dir.path(), "f", &[7; 100]).unwrap();
        assert_eq!(read_bounded(&dir.path().join("f"), 100).unwrap().len(), 100);
        assert!(read_bounded(&dir.path().join("f"), 99).is_err());
    }
}
