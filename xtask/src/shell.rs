//! Where we are, and how a command is run: printed first, timed, its failure named.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The repository and how strict to be in it.
#[derive(Clone)]
pub struct Ctx {
    /// The repository's root.
    pub root: PathBuf,
    /// `CI` is set in the environment.
    pub ci: bool,
    /// A skipped test is a failed test.
    pub no_skip: bool,
}

impl Ctx {
    /// Reads the environment. The root is known from where xtask itself was built.
    pub fn discover() -> Result<Ctx> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no parent directory")?.to_owned();
        let ci = flag("CI");
        Ok(Ctx { root, ci, no_skip: ci || flag("PLIMSOLL_NO_SKIP") })
    }

    /// The same place with every skip forbidden.
    pub fn strict(&self) -> Ctx {
        Ctx { no_skip: true, ci: true, ..self.clone() }
    }

    /// A path under `target/` of the repository, whatever `CARGO_TARGET_DIR` says: tools, interpreters and databases live there.
    pub fn under_target(&self, part: &str) -> PathBuf {
        self.root.join("target").join(part)
    }

    /// `cargo` as it called us, in the root.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root);
        command
    }

    /// Any program, in the root.
    pub fn program(&self, name: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(name);
        command.current_dir(&self.root);
        command
    }
}

/// An environment variable counts as set unless it is empty, `0` or `false`.
fn flag(name: &str) -> bool {
    std::env::var(name).is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

/// Between the two tries of a download: longer than a connection that is cut or a mirror that restarts.
const PAUSE: Duration = Duration::from_secs(20);

/// Does something that downloads once more if it fails: of all that CI does, only the network fails by chance. The tools try each
/// file several times themselves; this covers a registry that is away for some seconds.
pub fn downloading<T>(what: &str, attempt: impl FnMut() -> Result<T>) -> Result<T> {
    tried_twice(what, PAUSE, attempt)
}

fn tried_twice<T>(what: &str, pause: Duration, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let error = match attempt() {
        Ok(done) => return Ok(done),
        Err(error) => error,
    };
    println!("    {what}: {error:#}; once more in {} s", pause.as_secs());
    thread::sleep(pause);
    attempt().with_context(|| format!("{what} failed twice: is the network there?"))
}

/// Prints the command, runs it with our own input and output, and fails with its exit status.
pub fn run(step: &str, command: &mut Command) -> Result<()> {
    println!("==> {step}: {}", printed(command));
    let started = Instant::now();
    let status = command.status().with_context(|| format!("{step}: could not start {:?}", command.get_program()))?;
    if !status.success() {
        bail!("{step} failed ({status}) after {} s", started.elapsed().as_secs());
    }
    println!("    {step} passed in {} s", started.elapsed().as_secs());
    Ok(())
}

/// Runs quietly; on failure the error carries the end of what the command wrote.
pub fn capture(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("could not start {:?}", command.get_program()))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let tail: Vec<&str> = text.lines().rev().take(4).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        bail!("{} failed ({}): {}", printed(command), output.status, tail.join(" / "));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn printed(command: &Command) -> String {
    let mut text = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_is_tried_twice_and_no_more() {
        for (failures, expected) in [(0, Ok(1)), (1, Ok(2)), (2, Err("get it failed twice: is the network there?: cut 2"))] {
            let mut tries = 0;
            let done = tried_twice("get it", Duration::ZERO, || {
                tries += 1;
                if tries <= failures {
                    bail!("cut {tries}")
                }
                Ok(tries)
            });
            assert_eq!(done.map_err(|error| format!("{error:#}")), expected.map_err(str::to_owned), "{failures} failures");
            assert!(tries <= 2);
        }
    }
}
