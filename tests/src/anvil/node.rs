//! One process of Anvil.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{Missing, Proc, http, node_packages};

/// Blocks whose state is kept, in memory: more than any test undoes or asks about.
const STATES: &str = "256";
/// How long Anvil may take to say where it listens.
const START_MAX: Duration = Duration::from_secs(30);

/// A running Anvil with nothing on it, or another's chain. It ends with this value.
pub struct Node {
    proc: Proc,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
}

impl Node {
    /// Starts one whose `safe` block is `safe_depth` behind the newest, with `more` of Anvil's own options.
    ///
    /// # Errors
    /// If Anvil is there and does not start; [`Missing`] if it is not there.
    pub fn start(chain_id: u64, safe_depth: u64, more: &[&str]) -> Result<Result<Node, Missing>> {
        let packages = match node_packages() {
            Ok(packages) => packages,
            Err(missing) => return Ok(Err(missing)),
        };
        let program = packages.join("@foundry-rs/anvil-linux-amd64/bin/anvil");
        if !program.exists() {
            return Ok(Err(Missing("Anvil's package is for Linux on x86-64".into())));
        }
        let mut command = Command::new(program);
        command.args(["--port", "0", "--chain-id", &chain_id.to_string()]);
        command.args(["--slots-in-an-epoch", &safe_depth.to_string()]).args(more);
        // or each older block's state goes to a folder in the user's home, which stays there when the process is killed
        command.args(["--prune-history", STATES]);
        let mut proc = Proc::spawn("anvil", &mut command)?;
        let line = proc.wait_line("the address", START_MAX, |line| line.starts_with("Listening on "))?;
        let url = format!("http://{}", line.trim_start_matches("Listening on ").trim());
        Ok(Ok(Node { proc, url }))
    }

    /// One call; its result.
    ///
    /// # Errors
    /// If the chain does not answer, or answers with an error.
    pub fn rpc(&self, method: &str, params: Value) -> Result<Value> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer = http::post(&self.url, "/", &body).with_context(|| format!("the chain's answer to {method}"))?;
        match answer.get("result") {
            Some(result) => Ok(result.clone()),
            None => bail!("{method}: {answer}"),
        }
    }

    /// Stops the process where it stands: connections are taken and nothing is answered.
    ///
    /// # Errors
    /// If it is gone.
    pub fn stall(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// If it is gone.
    pub fn go_on(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.proc.pid())?).context("a process")?;
        Ok(kill_process(pid, signal)?)
    }
}
