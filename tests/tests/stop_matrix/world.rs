//! A venue, a daemon that never runs out of orders to place, and the venue's record of what reached it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use domain::StopLevel;
use plimsoll_tests::rig::may_grow;
use plimsoll_tests::{Rig, http};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use tempfile::TempDir;

/// From an act to what must follow of it, on a starved machine.
pub const SOON: Duration = Duration::from_secs(60);
/// A daemon that is stopped and started all the time may spend a minute's request budget on reading; it is there again after a minute.
const FLOW_MAX: Duration = Duration::from_secs(150);
/// Between two looks.
pub const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The market that stops of a market name, and its number at the venue.
pub const MARKET: &str = "hyperliquid:BTC";
pub const ASSET: u64 = 0;
/// The other one, which goes on meanwhile.
const OTHER: &str = "hyperliquid:ETH";
const OTHER_ASSET: u64 = 1;

/// Parents that buy a little more than once a second for longer than any test lasts: market, quantity, slices.
const PARENTS: [(&str, &str, u64); 3] = [(MARKET, "0.576", ASSET), (MARKET, "0.432", ASSET), (OTHER, "11.52", OTHER_ASSET)];
/// What the configuration of every test here says besides.
const MORE: &str = "[[venue.hyperliquid.markets]]\nname = \"ETH\"\nleverage = 10\n[watchdog]\nkey_file = \"watchdog.key\"\n";
/// How it stops, with a place for what a cell says.
const KILL: &str = "[kill]\non_stop = \"cancel\"\nflatten_horizon = \"5s\"\n";
const HORIZON: &str = "24m";
const SLICES: &str = "1440";

/// An order of the daemon's that reached the venue's door.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Place in the order of arrival.
    pub no: u64,
    /// When, on the machine's monotonic clock.
    pub at_ns: u64,
    /// The market's number.
    pub asset: u64,
    /// Tenure of the daemon that sent it.
    pub epoch: u32,
    /// Whose child it is.
    pub parent: u32,
    /// Whether it may increase risk: it does not say that it only reduces.
    pub increases: bool,
}

/// A venue, a daemon on it, and three parents.
pub struct World {
    pub rig: Rig,
    pub dir: TempDir,
    /// The daemon's configuration as it is when nothing is engaged.
    pub base: String,
    /// Two in one market, one in another. The first is the one that stops of a parent name.
    pub parents: Vec<u32>,
    /// All orders of the daemon's that arrived so far.
    pub seen: Vec<Seen>,
    /// What need be shown only once per level.
    pub shown: Shown,
    next: u64,
}

/// Levels at which something was shown already.
#[derive(Debug, Default)]
pub struct Shown {
    /// A re-arm while the venue says something else than the books.
    pub dirty: BTreeSet<StopLevel>,
    /// The venue says something else than the books just now.
    pub differs: bool,
    /// A reduction that passes.
    pub reduced: BTreeSet<StopLevel>,
}

impl World {
    /// A daemon at work in both markets.
    pub fn start() -> Result<World> {
        let dir = tempfile::tempdir()?;
        let rig = Rig::on(dir.path(), &[], &format!("{MORE}{KILL}"), &[])?;
        crate::watchdog::approve(&rig, dir.path());
        let file = dir.path().join("daemon.toml");
        let both = format!("allow = [\"{MARKET}\", \"{OTHER}\"]");
        let base = fs::read_to_string(&file)?.replace(&format!("allow = [\"{MARKET}\"]"), &both);
        ensure!(base.contains(&both), "the configuration of tests has another allow-list: {base}");
        fs::write(&file, &base)?;
        let mut world = World { rig, dir, base, parents: Vec::new(), seen: Vec::new(), shown: Shown::default(), next: 0 };
        world.rig.start()?;
        world.rig.wait("sizes of both markets", SOON, |s| s["sizes"].as_array().is_some_and(|s| s.len() >= 4) && may_grow(s))?;
        world.staff()?;
        Ok(world)
    }

    /// Submits each parent that is not there any more: a flatten ends them.
    pub fn staff(&mut self) -> Result<()> {
        let status = self.rig.status()?;
        let live: Vec<u64> =
            status["desk"]["parents"].as_array().context("parents")?.iter().filter_map(|p| p["spec"]["id"].as_u64()).collect();
        for (at, (instrument, quantity, _)) in PARENTS.into_iter().enumerate() {
            if self.parents.get(at).is_some_and(|parent| live.contains(&u64::from(*parent))) {
                continue;
            }
            let args = ["submit", "--instrument", instrument, "--side", "buy", "--quantity", quantity, "--slices", SLICES];
            let args = [&args[..], &["--horizon", HORIZON, "--slippage-bps", "1000"]].concat();
            let until = Instant::now() + SOON;
            let out = loop {
                // after a stop the sizes may not be worked out yet
                match self.rig.ok(&args) {
                    Ok(out) => break out,
                    Err(error) if Instant::now() >= until => return Err(error),
                    Err(_) => std::thread::sleep(LOOK_EVERY),
                }
            };
            let parent = out.trim().trim_start_matches('P').parse().with_context(|| format!("{out:?}"))?;
            match self.parents.get_mut(at) {
                Some(ended) => *ended = parent,
                None => self.parents.push(parent),
            }
        }
        Ok(())
    }

    /// Where the daemon keeps its state.
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// The latch file.
    pub fn latch(&self) -> PathBuf {
        self.rig.journal_dir().join("LATCH")
    }

    /// Writes the daemon's configuration with `more` at the end of `[kill]`, whole or not at all.
    pub fn configure(&self, more: &str) -> Result<()> {
        let draft = self.dir.path().join("daemon.toml.new");
        fs::write(&draft, self.base.replace(KILL, &format!("{KILL}{more}")))?;
        Ok(fs::rename(draft, self.dir.path().join("daemon.toml"))?)
    }

    /// Reads what has arrived since the last time; the number of the next arrival.
    pub fn look(&mut self) -> Result<u64> {
        loop {
            let page = http::get(&self.rig.venue.url(), &format!("/control/wire?since={}", self.next))?;
            let next = page["next"].as_u64().context("a number")?;
            ensure!(page["first"].as_u64() <= Some(self.next), "the venue forgot what arrived");
            let arrivals = page["arrivals"].as_array().context("a list")?;
            for arrival in arrivals {
                let orders = arrival["orders"].as_array().map(Vec::as_slice).unwrap_or_default();
                self.seen.extend(orders.iter().filter_map(|order| seen(arrival, order)));
            }
            let all = arrivals.is_empty() || next == self.next;
            self.next = next;
            if all {
                return Ok(next);
            }
        }
    }

    /// Orders that could increase risk and arrived from number `from` on.
    pub fn increases(&self, from: u64) -> impl Iterator<Item = &Seen> {
        self.seen.iter().rev().take_while(move |order| order.no >= from).filter(|order| order.increases)
    }

    /// Waits until each parent that `which` accepts has had an order at the venue from now on.
    pub fn wait_flow(&mut self, what: &str, which: impl Fn(u64, u32) -> bool) -> Result<()> {
        let from = self.look()?;
        let until = Instant::now() + FLOW_MAX;
        loop {
            self.look()?;
            let missing = self.parents.iter().zip(PARENTS).find(|(parent, (_, _, asset))| {
                which(*asset, **parent) && !self.increases(from).any(|order| order.parent == **parent)
            });
            let Some((parent, _)) = missing else { return Ok(()) };
            if Instant::now() >= until {
                let status = self.rig.status().unwrap_or_default();
                let said = self.rig.daemon.as_ref().map(|d| d.proc.last_words()).unwrap_or_default();
                anyhow::bail!("{what}: P{parent} sends nothing within {FLOW_MAX:?}: {}\n{said}", status["desk"]["parents"]);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Orders open at the venue in market number `asset`, or in both.
    pub fn open(&self, covers: impl Fn(u64, u32) -> bool) -> Result<Vec<Value>> {
        let mut open = self.rig.open_orders()?;
        open.retain(|order| {
            let asset = if order["coin"] == "BTC" { ASSET } else { OTHER_ASSET };
            covers(asset, order["cloid"].as_str().and_then(|name| part(name, 18)).unwrap_or(0))
        });
        Ok(open)
    }

    pub fn last_words(&self) -> String {
        self.rig.daemon.as_ref().map_or_else(String::new, |daemon| daemon.proc.last_words())
    }
}

/// An order of the daemon's: those of others bear no name.
fn seen(arrival: &Value, order: &Value) -> Option<Seen> {
    let name = order["cloid"].as_str()?;
    Some(Seen {
        no: arrival["no"].as_u64()?,
        at_ns: arrival["at_ns"].as_u64()?,
        asset: order["asset"].as_u64()?,
        epoch: part(name, 10)?,
        parent: part(name, 18)?,
        increases: order["reduce_only"] != true,
    })
}

/// Eight digits of a client name: 0x, the journal's mark, the tenure, the parent, the child.
fn part(name: &str, at: usize) -> Option<u32> {
    u32::from_str_radix(name.get(at..at + 8)?, 16).ok()
}

/// The machine's monotonic clock, which the venue stamps arrivals with.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}
