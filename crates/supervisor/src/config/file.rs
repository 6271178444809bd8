//! The configuration file itself: whose it is, where it leads, what is in it (F95, F99).

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::ConfigError;

/// A hundred times the shipped one.
pub const BYTES_MAX: u64 = 1 << 20;

const ROOT: u32 = 0;
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// A file that was read, and what it must still be when it is read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Where it was looked for.
    pub path: PathBuf,
    /// Where that leads, links followed.
    pub real: PathBuf,
    /// Whose it is.
    pub owner: u32,
    /// BLAKE3 of its bytes, 32 digits.
    pub hash: String,
}

impl Origin {
    /// Whose it is, if that is neither the user of this process nor root. A container's read-only mount is often so.
    #[must_use]
    pub fn foreign_owner(&self) -> Option<u32> {
        let us = rustix::process::geteuid().as_raw();
        (self.owner != us && self.owner != ROOT).then_some(self.owner)
    }
}

/// A file with its text.
#[derive(Debug)]
pub struct Source {
    /// The file.
    pub origin: Origin,
    /// What is in it.
    pub text: String,
}

/// Reads the file at `path`. If it was read before, it must be the same file to whoever may write to it: the path leads to the same
/// place and its owner has not changed.
///
/// # Errors
/// Why it is not taken.
pub fn read(path: &Path, known: Option<&Origin>) -> Result<Source, ConfigError> {
    let refuse = |why: String| ConfigError::Untrusted { path: path.to_owned(), why };
    let unreadable = |e: std::io::Error| ConfigError::Unreadable { path: path.to_owned(), why: e.to_string() };
    let real = fs::canonicalize(path).map_err(unreadable)?;
    if let Some(known) = known.filter(|known| known.real != real) {
        return Err(refuse(format!("it leads to {} now, and led to {} at start", real.display(), known.real.display())));
    }
    // a pipe in its place would keep whoever opens it waiting
    let mut file = File::options()
        .read(true)
        .custom_flags((rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW).bits().cast_signed())
        .open(&real)
        .map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    trust(&meta, &real, known).map_err(refuse)?;
    let mut bytes = Vec::new();
    file.by_ref().take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let hash = blake3::hash(&bytes).to_hex().split_at(32).0.to_owned();
    let origin = Origin { path: path.to_owned(), real, owner: meta.uid(), hash };
    match text_of(bytes) {
        Ok(text) => Ok(Source { origin, text }),
        Err(why) => Err(ConfigError::Unreadable { path: path.to_owned(), why }),
    }
}

/// Whether nobody but its owner and root can change the file.
fn trust(meta: &Metadata, real: &Path, known: Option<&Origin>) -> Result<(), String> {
    if !meta.is_file() {
        let what = if meta.is_dir() { "a directory" } else { "no regular file" };
        return Err(format!("it is {what}"));
    }
    let mode = meta.permissions().mode() & 0o777;
    if mode & OTHERS_WRITE != 0 {
        return Err(format!("it may be written by everyone (mode {mode:o}): chmod o-w it"));
    }
    // a group that is its owner's alone has the owner's number
    if mode & GROUP_WRITES != 0 && meta.gid() != meta.uid() {
        return Err(format!("it may be written by its group {} (mode {mode:o}): chmod g-w it", meta.gid()));
    }
    if let Some(known) = known.filter(|known| known.owner != meta.uid()) {
        return Err(format!("it belongs to user {} now, and belonged to {} at start", meta.uid(), known.owner));
    }
    let folder = real.parent().unwrap_or(Path::new("/"));
    let folder_mode = fs::metadata(folder).map_err(|e| format!("{}: {e}", folder.display()))?.permissions().mode() & 0o7777;
    if folder_mode & OTHERS_WRITE != 0 && folder_mode & STICKY == 0 {
        return Err(format!(
            "everyone may replace it, since {} may be written by everyone (mode {folder_mode:o})",
            folder.display()
        ));
    }
    Ok(())
}

fn text_of(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.len() as u64 > BYTES_MAX {
        return Err(format!("larger than {BYTES_MAX} bytes"));
    }
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err("it begins with a byte order mark: save it as UTF-8 without one".to_owned());
    }
    let line_of = |at: usize| bytes.iter().take(at).filter(|b| **b == b'\n').count() + 1;
    if let Some(at) = bytes.iter().position(|b| *b == 0) {
        return Err(format!("line {}: a NUL byte", line_of(at)));
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = e.as_bytes().iter().take(at).filter(|b| **b == b'\n').count() + 1;
        format!("line {line}: not UTF-8")
    })
}

/// Whatever can be read of the file at `path`, with no question asked: only to see whether it says stop.
#[must_use]
pub fn peek(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let opened = File::options().read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed()).open(path);
    let read = opened.and_then(|file| {
        // a pipe or device has no end
        if file.metadata()?.is_file() { file.take(BYTES_MAX).read_to_end(&mut bytes) } else { Ok(0) }
    });
    if let Err(e) = read {
        tracing::debug!("nothing to be read of {}: {e}", path.display());
    }
    bytes
}

/// What is looked at once a second: as long as all of it stays, the file has not been touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    place: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    access: (u32, u32, u32),
}

/// How the file at `path` looks from outside; nothing if it is not there.
#[must_use]
pub fn seen(path: &Path) -> Option<Seen> {
    let meta = fs::metadata(path).ok()?;
    Some(Seen {
        place: (meta.dev(), meta.ino()),
        size: meta.size(),
        modified: (meta.mtime(), meta.mtime_nsec()),
        changed: (meta.ctime(), meta.ctime_nsec()),
        access: (meta.mode(), meta.uid(), meta.gid()),
    })
}
