//! A state directory, a key, and the two configurations of a test: the paper venue's and the daemon's.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A throw-away key: worth nothing anywhere, the same in every test so that failures can be compared.
pub const KEY: &str = "0x4646464646464646464646464646464646464646464646464646464646464646";
/// The address of [`KEY`].
pub const ACCOUNT: &str = "0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f";
/// What lets an account be loaded far beyond what the defaults allow, so that a fall of a tenth costs most of it.
pub const LOADABLE: [&str; 8] = [
    "guard.leverage_max=12",
    "guard.sizing.tier=high",
    "guard.sizing.tier_leverage=10",
    "guard.cover.shocked_min=1.15",
    "guard.cover.kill=1.15",
    "guard.liquidation.distance_min=0.02",
    "guard.parent_notional_max_usd=200000",
    "guard.order_notional_max_usd=200000",
];

/// Files of one test.
pub struct Setup {
    dir: PathBuf,
    plan: String,
}

impl Setup {
    /// Writes the venue's configuration and the key into `dir`. `plan` is TOML, such as a plan or sections of limits, appended to the daemon's configuration.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn new(dir: &Path, plan: &str) -> Result<Setup> {
        let mut key = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(dir.join("agent.key"))?;
        key.write_all(KEY.as_bytes())?;
        let setup = Setup { dir: dir.to_owned(), plan: plan.to_owned() };
        let paper =
            "[venue.hyperliquid]\nmode = \"embedded\"\n[paper]\nseed = 11\nrate_limits = \"off\"\nbalance_usd = \"1000000\"\n";
        fs::write(dir.join("paper.toml"), format!("{paper}{MARKETS}{GUARD}"))?;
        Ok(setup)
    }

    /// Writes the daemon's configuration for the venue at `url`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_daemon(&self, url: &str) -> Result<()> {
        let ws = url.replacen("http", "ws", 1);
        let venue = format!(
            "[daemon]\nstate_dir = \"state\"\nlog = \"human\"\n[venue.hyperliquid]\nmode = \"external\"\nnetwork = \"testnet\"\n\
             http = \"{url}\"\nws = \"{ws}/ws\"\naccount = \"{ACCOUNT}\"\nkey_file = \"agent.key\"\n"
        );
        fs::write(self.dir.join("daemon.toml"), format!("{venue}{MARKETS}{GUARD}{}", self.plan)).context("daemon.toml")
    }

    /// `plimsoll paper` for this test, with `KEY=VALUE` pairs for its configuration.
    #[must_use]
    pub fn paper_args(&self, set: &[&str]) -> Vec<String> {
        let mut args = ["--config", "paper.toml", "--idle-exit", "10m"].map(str::to_owned).to_vec();
        args.extend(set.iter().flat_map(|pair| ["--set".to_owned(), (*pair).to_owned()]));
        args
    }

    /// `plimsoll run --exit-when-done --json` for this test.
    #[must_use]
    pub fn run_args(&self) -> Vec<String> {
        self.args(&["run", "--exit-when-done", "--json"])
    }

    /// `plimsoll --config daemon.toml ARGS`.
    #[must_use]
    pub fn args(&self, args: &[&str]) -> Vec<String> {
        ["--config", "daemon.toml"].iter().chain(args).map(|a| (*a).to_owned()).collect()
    }

    /// What the venue at `url` remembers of the account.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn truth(&self, url: &str) -> Result<serde_json::Value> {
        crate::http::get(url, &format!("/control/fills?user={ACCOUNT}"))
    }
}

const MARKETS: &str = "[[venue.hyperliquid.markets]]\nname = \"BTC\"\nleverage = 20\n";
/// A portfolio beside which the account is a sliver, and no cap by a book of five levels: tests of orders are about orders. Tests
/// of sizes say otherwise.
const GUARD: &str = "[guard]\nallow = [\"hyperliquid:BTC\"]\norder_notional_max_usd = \"60000\"\nparent_notional_max_usd = \"200000\"\n\
    parents_per_hour_max_usd = \"2000000\"\nmarket_notional_max_usd = \"500000\"\nvenue_notional_max_usd = \"500000\"\n\
    [guard.sizing]\nother_equity_usd = \"100000000\"\ndepth_share = \"1000\"\n";
