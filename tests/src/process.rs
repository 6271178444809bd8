//! A child process whose output is collected line by line and whose every wait has a deadline.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Lines kept of each stream; a test reads hundreds, a runaway process must not eat the machine.
const LINES_MAX: usize = 200_000;
/// Bytes of one line; the rest of a longer one is cut.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// Lines of output an error message quotes.
const LINES_QUOTED: usize = 30;

/// A wait that ended without what it waited for; says what that was and quotes the process's last words.
#[derive(Debug)]
pub struct WaitError(String);

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WaitError {}

/// What the reader threads have seen.
#[derive(Default)]
struct Seen {
    out: Vec<String>,
    err: Vec<String>,
    /// Streams still open: 2, 1, 0.
    open: usize,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

/// A running (or ended) process. Dropping it ends the process with SIGKILL and reaps it.
pub struct Proc {
    name: String,
    child: Child,
    shared: Arc<Shared>,
    /// Lines of standard output already given to [`Proc::wait_line`].
    read: usize,
}

impl Proc {
    /// Starts `command` with its output collected and no input.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn spawn(name: &str, command: &mut Command) -> std::io::Result<Proc> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let shared = Arc::new(Shared::default());
        let streams: [Option<(Box<dyn Read + Send>, bool)>; 2] = [
            child.stdout.take().map(|stream| (Box::new(stream) as Box<dyn Read + Send>, true)),
            child.stderr.take().map(|stream| (Box::new(stream) as Box<dyn Read + Send>, false)),
        ];
        for (stream, is_out) in streams.into_iter().flatten() {
            lock(&shared).open += 1;
            let shared = Arc::clone(&shared);
            thread::spawn(move || collect(stream, is_out, &shared));
        }
        Ok(Proc { name: name.to_owned(), child, shared, read: 0 })
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line of standard output (after those already waited for) that `wanted` accepts. Lines before it are passed over.
    ///
    /// # Errors
    /// If the process closes its output, or `within` passes, first.
    pub fn wait_line(&mut self, what: &str, within: Duration, wanted: impl Fn(&str) -> bool) -> Result<String, WaitError> {
        let deadline = Instant::now() + within;
        let shared = Arc::clone(&self.shared);
        let mut seen = lock(&shared);
        loop {
            while let Some(line) = seen.out.get(self.read) {
                self.read += 1;
                if wanted(line) {
                    return Ok(line.clone());
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if seen.open == 0 || left.is_zero() {
                let why = if seen.open == 0 { "it ended its output".to_owned() } else { format!("{within:?} passed") };
                return Err(self.error(&seen, &format!("waited for {what}, but {why}")));
            }
            seen = shared.changed.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the process to end and its output to be read to the end.
    ///
    /// # Errors
    /// If `within` passes first; the process then still runs.
    pub fn wait_exit(&mut self, within: Duration) -> Result<ExitStatus, WaitError> {
        let deadline = Instant::now() + within;
        let shared = Arc::clone(&self.shared);
        let mut seen = lock(&shared);
        // Closed output is the sign that a process is ending; a poll covers one that closed it early or handed it to a child.
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.child.try_wait() {
                Ok(Some(status)) if seen.open == 0 || left.is_zero() => return Ok(status),
                Ok(_) if left.is_zero() => return Err(self.error(&seen, &format!("still runs after {within:?}"))),
                Ok(_) => {}
                Err(error) => return Err(self.error(&seen, &format!("cannot be waited for: {error}"))),
            }
            let step = left.min(Duration::from_millis(5));
            seen = shared.changed.wait_timeout(seen, step).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The exit status if the process has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends a signal. A process that has already ended is no error.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none()
            && let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            // It may end between the question and the signal; it is ours and not reaped, so the id is still its own.
            kill_process(pid, signal).ok();
        }
    }

    /// SIGKILL and reap: from here on the process has written its last byte.
    pub fn kill9(&mut self) -> Option<ExitStatus> {
        self.child.kill().ok();
        self.child.wait().ok()
    }

    /// All lines of standard output so far.
    #[must_use]
    pub fn stdout(&self) -> Vec<String> {
        lock(&self.shared).out.clone()
    }

    /// All lines of standard error so far.
    #[must_use]
    pub fn stderr(&self) -> Vec<String> {
        lock(&self.shared).err.clone()
    }

    /// The end of both streams, for a failing test's message.
    #[must_use]
    pub fn last_words(&self) -> String {
        quoted(&lock(&self.shared))
    }

    fn error(&self, seen: &Seen, what: &str) -> WaitError {
        WaitError(format!("{} (pid {}): {what}\n{}", self.name, self.child.id(), quoted(seen)))
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
        self.kill9();
    }
}

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, Seen> {
    shared.seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn collect(stream: Box<dyn Read + Send>, is_out: bool, shared: &Shared) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let read = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        let mut seen = lock(shared);
        if !matches!(read, Ok(n) if n > 0) {
            seen.open -= 1;
            shared.changed.notify_all();
            return;
        }
        let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
        let lines = if is_out { &mut seen.out } else { &mut seen.err };
        if lines.len() < LINES_MAX {
            lines.push(text);
        }
        shared.changed.notify_all();
    }
}

fn quoted(seen: &Seen) -> String {
    let tail = |lines: &[String]| {
        let from = lines.len().saturating_sub(LINES_QUOTED);
        lines[from..].iter().map(|line| format!("  | {line}\n")).collect::<String>()
    };
    format!("standard output ends:\n{}standard error ends:\n{}", tail(&seen.out), tail(&seen.err))
}
