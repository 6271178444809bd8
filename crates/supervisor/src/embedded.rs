//! The embedded paper venue: this same binary in a process of its own, so that it outlives a daemon that is killed.
//!
//! The first daemon starts it and leaves its addresses in the state directory; a daemon that starts again finds it there. It
//! ends by itself when nobody has talked to it for a while. A venue that is gone takes its account along, so a journal written
//! against it is archived, never continued.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// How long a venue is given to read its tape and listen.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// How often the state directory is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// The file with its trading key, in the state directory.
pub const KEY_FILE: &str = "paper.key";

/// Where a paper venue serves, as it says itself in its ready file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Base of `/info` and `/exchange`.
    pub http: String,
    /// The WebSocket address.
    pub ws: String,
    /// Base of `/control`.
    pub control: String,
    /// Its process.
    pub pid: u32,
    /// A name no other venue has had: what a journal is bound to.
    pub instance: String,
}

/// Why there is no embedded venue.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// A file could not be read or written.
    #[error("{what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The venue's process ended at once.
    #[error("the paper venue did not start; its last words are in {}", log.display())]
    Ended {
        /// Its log.
        log: PathBuf,
    },
    /// The venue's process did not get ready.
    #[error("the paper venue was not ready after {START_DEADLINE:?}; see {}", log.display())]
    Slow {
        /// Its log.
        log: PathBuf,
    },
}

impl Ready {
    /// Writes it so that a reader sees all of it or nothing.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn publish(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_string(self).map_err(io::Error::other)?;
        let temporary = path.with_extension("tmp");
        fs::write(&temporary, text)?;
        fs::rename(&temporary, path)
    }

    fn read(path: &Path) -> Option<Ready> {
        serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
    }

    /// Whether the process that wrote this file still runs: its number may have been given to another one since.
    fn runs(&self, path: &Path) -> bool {
        let Ok(words) = fs::read(format!("/proc/{}/cmdline", self.pid)) else { return false };
        words.split(|byte| *byte == 0).any(|word| word == path.as_os_str().as_encoded_bytes())
    }
}

/// The venue that serves this state directory: the one that runs, or a new one. True if it is new.
///
/// # Errors
/// If it cannot be started.
pub async fn find_or_start(state_dir: &Path, args: &[String]) -> Result<(Ready, bool), EmbeddedError> {
    let ready_file = state_dir.join("paper.json");
    if let Some(ready) = Ready::read(&ready_file)
        && ready.runs(&ready_file)
    {
        return Ok((ready, false));
    }
    let io = |what, path: &Path| {
        let path = path.to_owned();
        move |source| EmbeddedError::Io { what, path, source }
    };
    match fs::remove_file(&ready_file) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io("removing", &ready_file)(e)),
        Ok(()) | Err(_) => {}
    }
    let log_path = state_dir.join("paper.log");
    let log = File::create(&log_path).map_err(io("creating", &log_path))?;
    let log_too = log.try_clone().map_err(io("opening", &log_path))?;
    let program = std::env::current_exe().map_err(io("finding", Path::new("this program")))?;
    let mut child = Command::new(&program)
        .args(args)
        .arg("--ready-file")
        .arg(&ready_file)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(log_too)
        .process_group(0) // a Ctrl-C for the daemon is not one for the venue
        .spawn()
        .map_err(io("starting", &program))?;
    let looks = START_DEADLINE.as_millis() / LOOK_EVERY.as_millis();
    for _ in 0..looks {
        if let Some(ready) = Ready::read(&ready_file) {
            return Ok((ready, true));
        }
        if child.try_wait().is_ok_and(|status| status.is_some()) {
            return Err(EmbeddedError::Ended { log: log_path });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(EmbeddedError::Slow { log: log_path })
}

/// Where the venue of this state directory served when it began. Whether it still does shows when it is spoken to.
#[must_use]
pub fn last(state_dir: &Path) -> Option<Ready> {
    Ready::read(&state_dir.join("paper.json"))
}

/// Ends the venue of this state directory, after a demo that is over.
pub fn stop(state_dir: &Path) {
    let ready_file = state_dir.join("paper.json");
    let Some(ready) = Ready::read(&ready_file).filter(|ready| ready.runs(&ready_file)) else { return };
    if let Some(pid) = i32::try_from(ready.pid).ok().and_then(Pid::from_raw)
        && let Err(e) = kill_process(pid, Signal::TERM)
    {
        tracing::debug!("the paper venue was gone already: {e}");
    }
}

/// A new secret from the operating system, as hexadecimal digits with 0x in front.
///
/// # Errors
/// If the system's source of chance cannot be read.
pub fn new_secret() -> io::Result<zeroize::Zeroizing<String>> {
    let mut bytes = zeroize::Zeroizing::new([0_u8; 32]);
    File::open("/dev/urandom")?.read_exact(bytes.as_mut())?;
    Ok(zeroize::Zeroizing::new(format!("0x{}", hex::encode(bytes.as_ref()))))
}

/// The embedded venue's trading key: read from the state directory, or made there, readable by its owner alone. It is worth
/// nothing anywhere else.
///
/// # Errors
/// If it can neither be read nor made.
pub fn paper_key(state_dir: &Path) -> Result<zeroize::Zeroizing<String>, EmbeddedError> {
    let path = state_dir.join(KEY_FILE);
    let io = |what| {
        let path = path.clone();
        move |source| EmbeddedError::Io { what, path, source }
    };
    match fs::read_to_string(&path) {
        Ok(text) => return Ok(zeroize::Zeroizing::new(text.trim().to_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(io("reading")(e)),
    }
    let secret = new_secret().map_err(io("making a key for"))?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(io("creating"))?;
    file.write_all(secret.as_bytes()).and_then(|()| file.sync_all()).map_err(io("writing"))?;
    Ok(secret)
}

/// Moves a journal that belongs to a venue that is gone out of the way, and says where to.
///
/// # Errors
/// If it cannot be moved.
pub fn archive_journal(journal_dir: &Path, instance: &str) -> Result<Option<PathBuf>, EmbeddedError> {
    if !journal_dir.exists() {
        return Ok(None);
    }
    let mut to = journal_dir.with_file_name(format!("journal-before-{instance}"));
    let mut n = 1_u32;
    while to.exists() {
        n += 1;
        to = journal_dir.with_file_name(format!("journal-before-{instance}-{n}"));
    }
    fs::rename(journal_dir, &to).map_err(|source| EmbeddedError::Io {
        what: "archiving",
        path: journal_dir.to_owned(),
        source,
    })?;
    Ok(Some(to))
}
