//! The file `STOP` in the state directory: while it exists, everything is stopped (C34).
//!
//! It needs no healthy daemon, no socket and no tool: `touch STOP` cancels everything. Its first word may name another level and
//! the rest of its first line a cause, as in `flatten the venue is on fire`. The watchdog writes it before it cancels. Only a
//! person removes it, and `plimsoll rearm` is refused while it is there.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use domain::{Stop, StopLevel, Trigger};

/// Its name in the state directory.
pub const NAME: &str = "STOP";
/// More than a level and a cause; what is beyond it is not read.
const BYTES_MAX: u64 = 4 << 10;
const CAUSE_MAX: usize = 300;

/// Where it is.
#[must_use]
pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(NAME)
}

/// What it asks; `None` only if there certainly is no such file. One that cannot be read or understood asks for
/// [`StopLevel::Cancel`], as an empty one does.
#[must_use]
pub fn read(state_dir: &Path) -> Option<Stop> {
    let path = path(state_dir);
    let mut text = Vec::new();
    let read = File::options().read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed()).open(&path);
    match read.and_then(|file| file.take(BYTES_MAX).read_to_end(&mut text)) {
        Ok(_) => {}
        Err(e)
            if e.kind() == io::ErrorKind::NotFound
                && path.symlink_metadata().is_err_and(|e| e.kind() == io::ErrorKind::NotFound) =>
        {
            return None;
        }
        Err(e) => {
            let cause = format!("{} cannot be read, which counts as cancel: {e}", path.display());
            return Some(Stop::all(StopLevel::Cancel, Trigger::Sentinel, cause));
        }
    }
    Some(parse(&path, &text))
}

fn parse(path: &Path, text: &[u8]) -> Stop {
    let text = String::from_utf8_lossy(text);
    let line = text.lines().next().unwrap_or_default().trim();
    let (word, cause) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let (level, said) = match word.parse::<StopLevel>() {
        Ok(StopLevel::Run) => (StopLevel::Cancel, "run is no level to stop at, which counts as cancel".to_owned()),
        Ok(level) => (level, cause.trim().to_owned()),
        Err(_) if word.is_empty() => (StopLevel::Cancel, String::new()),
        Err(e) => (StopLevel::Cancel, format!("{e}, which counts as cancel")),
    };
    let said: String = said.chars().filter(|c| !c.is_control()).take(CAUSE_MAX).collect();
    let cause = if said.is_empty() { format!("{} exists", path.display()) } else { format!("{}: {said}", path.display()) };
    Stop::all(level, Trigger::Sentinel, cause)
}

/// Writes it, unless one is there that asks for as much.
///
/// # Errors
/// If it may not be on disk.
pub fn write(state_dir: &Path, level: StopLevel, cause: &str) -> io::Result<()> {
    if read(state_dir).is_some_and(|stop| stop.level >= level) {
        return Ok(());
    }
    let draft = state_dir.join(format!(".{NAME}.{}", std::process::id()));
    let written = File::options().write(true).create(true).truncate(true).mode(0o600).open(&draft).and_then(|mut file| {
        writeln!(file, "{level} {}", cause.replace(char::is_control, " "))?;
        file.sync_all()?;
        fs::rename(&draft, path(state_dir))?;
        File::open(state_dir)?.sync_all()
    });
    if written.is_err() {
        // an empty file asks for a cancel, and may fit where a line does not
        File::options().write(true).create(true).truncate(false).mode(0o600).open(path(state_dir)).and(written)
    } else {
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_file_lets_trade_c34() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()), None);
        let said = |text: &[u8]| {
            fs::write(path(dir.path()), text).unwrap();
            let stop = read(dir.path()).unwrap();
            (stop.level, stop.cause.split_once("STOP").unwrap().1.to_owned())
        };
        assert_eq!(said(b""), (StopLevel::Cancel, " exists".into()));
        assert_eq!(said(b"\n\n"), (StopLevel::Cancel, " exists".into()));
        assert_eq!(said(b"flatten\n"), (StopLevel::Flatten, " exists".into()));
        assert_eq!(said(b"reduce-only news at two\nmore"), (StopLevel::ReduceOnly, ": news at two".into()));
        let known = "one of reduce-only, block, cancel, flatten, sever, which counts as cancel";
        assert_eq!(said(b"halt now"), (StopLevel::Cancel, format!(": level = halt: {known}")));
        assert_eq!(said(b"run"), (StopLevel::Cancel, ": run is no level to stop at, which counts as cancel".into()));
        for junk in [&b"\xff\xfe\x00"[..], &[0; 9_000], &[b'x'; 9_000]] {
            assert_eq!(said(junk).0, StopLevel::Cancel);
        }
        fs::remove_file(path(dir.path())).unwrap();
        std::os::unix::fs::symlink("nowhere", path(dir.path())).unwrap();
        assert_eq!(read(dir.path()).unwrap().level, StopLevel::Cancel, "a link to nothing");
        fs::remove_file(path(dir.path())).unwrap();
        fs::create_dir(path(dir.path())).unwrap();
        assert_eq!(read(dir.path()).unwrap().level, StopLevel::Cancel, "a directory");
    }

    #[test]
    fn what_is_written_reads_back_and_never_falls_i20() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), StopLevel::Cancel, "no heartbeat\nfor 11s").unwrap();
        let stop = read(dir.path()).unwrap();
        assert_eq!((stop.level, stop.trigger), (StopLevel::Cancel, Trigger::Sentinel));
        assert!(stop.cause.ends_with("STOP: no heartbeat for 11s"), "{}", stop.cause);
        write(dir.path(), StopLevel::Block, "milder").unwrap();
        assert_eq!(read(dir.path()).unwrap(), stop);
        write(dir.path(), StopLevel::Flatten, "out").unwrap();
        assert_eq!(read(dir.path()).unwrap().level, StopLevel::Flatten);
    }
}
