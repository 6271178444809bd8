//! The real binary: `plimsoll run …` and `plimsoll paper …` as a user starts them.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::Proc;

/// How long the paper venue may take to say where it listens: a debug build on a busy machine, with a margin.
const PAPER_START_MAX: Duration = Duration::from_secs(60);

/// Variables of the caller's shell that would change what the binary does.
const PREFIX: &str = "PLIMSOLL";

/// The binary under test: `PLIMSOLL_BIN` if set (xtask does), else the one beside this test's own executable.
///
/// # Errors
/// If there is none; says how to build it.
pub fn daemon_binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("PLIMSOLL_BIN") {
        return Ok(PathBuf::from(path));
    }
    // target/<profile>/deps/<test>: the binaries of the same profile are one folder up.
    let here = std::env::current_exe().context("the test does not know its own path")?;
    let beside = here.ancestors().skip(1).take(2).map(|folder| folder.join("plimsoll"));
    let found = beside.into_iter().find(|path| path.is_file());
    found.context("no binary `plimsoll` beside this test: run `cargo xtask test`, or `cargo build -p plimsoll` first")
}

/// `plimsoll` with none of the caller's own settings, in `directory`.
fn command(directory: &Path) -> Result<Command> {
    let mut command = Command::new(daemon_binary()?);
    command.current_dir(directory);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with(PREFIX) {
            command.env_remove(name);
        }
    }
    // Output is read by a test: no colours, no live view.
    command.env("NO_COLOR", "1");
    Ok(command)
}

/// The daemon, or any other sub-command, as a child process.
pub struct Daemon {
    /// Its process: wait for lines, signal it, read what it wrote.
    pub proc: Proc,
}

impl Daemon {
    /// Starts `plimsoll ARGS` in `directory` with extra environment.
    ///
    /// # Errors
    /// If the binary is missing or does not start.
    pub fn spawn<A: AsRef<OsStr>>(directory: &Path, args: &[A], env: &[(&str, &str)]) -> Result<Daemon> {
        let mut command = command(directory)?;
        command.args(args).envs(env.iter().copied());
        let name = args.first().map_or_else(String::new, |arg| arg.as_ref().to_string_lossy().into_owned());
        let proc = Proc::spawn(&format!("plimsoll {name}"), &mut command).context("the daemon does not start")?;
        Ok(Daemon { proc })
    }

    /// Runs `plimsoll ARGS` to its end and returns exit code (or `None` if a signal ended it), standard output, standard error.
    ///
    /// # Errors
    /// If the binary is missing, does not start, or does not end in time.
    pub fn run<A: AsRef<OsStr>>(directory: &Path, args: &[A], within: Duration) -> Result<(Option<i32>, String, String)> {
        let mut daemon = Daemon::spawn(directory, args, &[])?;
        let status = daemon.proc.wait_exit(within)?;
        Ok((status.code(), daemon.proc.stdout().join("\n"), daemon.proc.stderr().join("\n")))
    }
}

/// A paper venue in its own process, which outlives the daemons that trade on it.
pub struct PaperProc {
    /// Its process.
    pub proc: Proc,
    /// Where it serves `/info`, `/exchange` and `/ws`.
    pub address: SocketAddr,
}

impl PaperProc {
    /// Starts `plimsoll paper ARGS` in `directory` and waits until it says where it listens.
    ///
    /// # Errors
    /// If it does not start or says nothing in time.
    pub fn spawn<A: AsRef<OsStr>>(directory: &Path, args: &[A]) -> Result<PaperProc> {
        let mut command = command(directory)?;
        command.arg("paper").args(args);
        let mut proc = Proc::spawn("plimsoll paper", &mut command).context("the paper venue does not start")?;
        let line = proc.wait_line("its address", PAPER_START_MAX, |line| loopback_in(line).is_some())?;
        let Some(address) = loopback_in(&line) else { bail!("no address in {line:?}") };
        Ok(PaperProc { proc, address })
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// The first loopback address with a real port in a line of output.
fn loopback_in(line: &str) -> Option<SocketAddr> {
    let from = line.find("127.0.0.1:")?;
    let text: String = line[from..].chars().take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ':')).collect();
    text.parse().ok().filter(|address: &SocketAddr| address.port() != 0)
}

#[cfg(test)]
mod tests {
    use super::loopback_in;

    #[test]
    fn finds_the_address_a_line_announces() {
        let found = |line| loopback_in(line).map(|address| address.port());
        assert_eq!(found("paper venue on http://127.0.0.1:4711 (synthetic)"), Some(4711));
        assert_eq!(found(r#"{"listen":"127.0.0.1:80"}"#), Some(80));
        assert_eq!(found("asked for 127.0.0.1:0"), None);
        assert_eq!(found("127.0.0.1:99999 and no more"), None);
        assert_eq!(found("nothing here"), None);
    }
}
