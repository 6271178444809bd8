//! Clients that somebody else wrote, run unmodified by scripts under `tests/witness`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::Proc;
use crate::skip::Missing;

/// A script ends by itself in seconds; importing ccxt alone takes several on a busy machine.
const SCRIPT_MAX: Duration = Duration::from_secs(180);

/// Which interpreter runs the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// The virtual environment under `target/witness/python`.
    Python,
    /// Node, with the packages under `target/witness/node`.
    Node,
}

/// A script with everything it needs in place.
pub struct Witness {
    program: PathBuf,
    script: PathBuf,
}

impl Witness {
    /// Finds interpreter, packages and script, or says what is missing.
    ///
    /// # Errors
    /// [`Missing`] if `cargo xtask test` has not provisioned the client.
    pub fn find(client: Client, script: &str) -> Result<Witness, Missing> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let source = root.join("witness").join(script);
        match client {
            Client::Python => {
                let program = provisioned("PLIMSOLL_PYTHON", &root.join("../target/witness/python/bin/python"))?;
                Ok(Witness { program, script: source })
            }
            Client::Node => {
                let home = provisioned("PLIMSOLL_NODE_DIR", &root.join("../target/witness/node"))?;
                // Node looks for packages beside the script.
                let script = home.join(script);
                std::fs::copy(&source, &script).map_err(|error| Missing(format!("{}: {error}", source.display())))?;
                Ok(Witness { program: "node".into(), script })
            }
        }
    }

    /// Runs the script against the venue at `url`; its standard output, once it has ended with success.
    ///
    /// # Errors
    /// If it fails or takes too long; the error quotes what it wrote.
    pub fn run(&self, url: &str) -> Result<Vec<String>> {
        self.run_on(&[url])
    }

    /// The same with several arguments.
    ///
    /// # Errors
    /// If the script fails or takes too long; the error quotes what it wrote.
    pub fn run_on(&self, args: &[&str]) -> Result<Vec<String>> {
        let name = self.script.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = Command::new(&self.program);
        command.arg(&self.script).args(args).env("PYTHONUNBUFFERED", "1");
        // A proxy of the machine has no business between loopback and loopback.
        for proxy in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        let mut proc = Proc::spawn(&name, &mut command).with_context(|| format!("{name} does not start"))?;
        let status = proc.wait_exit(SCRIPT_MAX)?;
        if !status.success() {
            bail!("{name} found the venue wanting ({status})\n{}", proc.last_words());
        }
        Ok(proc.stdout())
    }
}

/// The folder with the packages of `tests/witness/package.json` under `node_modules`.
///
/// # Errors
/// [`Missing`] if `cargo xtask test` has not provisioned it.
pub fn node_packages() -> Result<PathBuf, Missing> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    provisioned("PLIMSOLL_NODE_DIR", &root.join("../target/witness/node")).map(|home| home.join("node_modules"))
}

/// The path xtask handed over, or the place where it puts it.
fn provisioned(variable: &str, usual: &Path) -> Result<PathBuf, Missing> {
    if let Ok(reason) = std::env::var(format!("{variable}_MISSING")) {
        return Err(Missing(reason));
    }
    let path = std::env::var_os(variable).map_or_else(|| usual.to_owned(), PathBuf::from);
    if path.exists() {
        Ok(path)
    } else {
        Err(Missing("not provisioned: run `cargo xtask test`, or `cargo xtask provision` once".into()))
    }
}
