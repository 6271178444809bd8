//! A daemon on a paper venue, both as processes, and what a test asks of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::{Daemon, PaperProc, Setup, http};

/// Between two looks at something that changes by itself.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// For a sub-command that asks the daemon or reads a journal.
const COMMAND_MAX: Duration = Duration::from_secs(60);
/// From an end that the desk knows to one that the journal holds: a few flushes of a busy disk.
const FLUSH_MAX: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
/// After a full hour the venue has settled it.
const TURNED: Duration = Duration::from_secs(1);
/// From the start of the daemon until it has read its venue and has a book.
const READY_MAX: Duration = Duration::from_secs(60);
/// As many looks at the book as a venue serves in this time must have been missed, or growth is forbidden for another reason.
const GROWTH_MAX: Duration = Duration::from_secs(15);

/// Files, venue and daemon of one test.
pub struct Rig {
    dir: PathBuf,
    /// The configurations.
    pub setup: Setup,
    /// The venue, which outlives daemons.
    pub venue: PaperProc,
    /// The daemon, if one runs.
    pub daemon: Option<Daemon>,
    /// `--set` pairs of every daemon and command.
    set: Vec<String>,
}

/// A parent as it should have ended: number, side, quantity in base units.
#[derive(Clone, Copy, Debug)]
pub struct Want<'a>(pub u32, pub &'a str, pub &'a str);

impl Rig {
    /// A venue in `dir` and the configuration of a daemon for it. `set` are `KEY=VALUE` pairs for that configuration.
    ///
    /// # Errors
    /// If a file cannot be written or the venue does not start.
    pub fn new(dir: &Path, set: &[&str]) -> Result<Rig> {
        Rig::on(dir, &[], "", set)
    }

    /// The same, with `KEY=VALUE` pairs for the venue's configuration, too, and TOML for the daemon's.
    ///
    /// # Errors
    /// If a file cannot be written or the venue does not start.
    pub fn on(dir: &Path, venue: &[&str], more: &str, set: &[&str]) -> Result<Rig> {
        let setup = Setup::new(dir, more)?;
        let args = setup.paper_args(venue);
        Rig::with(dir, setup, &args, set)
    }

    /// The same as [`Rig::new`] on a venue whose BTC market stands still.
    ///
    /// # Errors
    /// If a file cannot be written or the venue does not start.
    pub fn still(dir: &Path, set: &[&str]) -> Result<Rig> {
        let setup = Setup::new(dir, "")?;
        let mut args = setup.paper_args(&[]);
        args.push("--still".to_owned());
        Rig::with(dir, setup, &args, set)
    }

    fn with(dir: &Path, setup: Setup, venue: &[String], set: &[&str]) -> Result<Rig> {
        let venue = PaperProc::spawn(dir, venue)?;
        setup.write_daemon(&venue.url())?;
        Ok(Rig { dir: dir.to_owned(), setup, venue, daemon: None, set: set.iter().map(|s| (*s).to_owned()).collect() })
    }

    /// The same venue and files with further `KEY=VALUE` pairs, known only once the venue runs.
    #[must_use]
    pub fn beside(mut self, set: &[&str]) -> Rig {
        self.set.extend(set.iter().map(|s| (*s).to_owned()));
        self
    }

    /// The journal's directory.
    #[must_use]
    pub fn journal_dir(&self) -> PathBuf {
        self.dir.join("state/journal")
    }

    /// Starts `plimsoll run` without waiting for anything.
    ///
    /// # Errors
    /// If it does not start.
    pub fn spawn(&mut self) -> Result<()> {
        self.daemon = None; // an older one must have let go of the journal
        self.daemon = Some(Daemon::spawn(&self.dir, &self.args(&["run"]), &[])?);
        Ok(())
    }

    /// Starts `plimsoll run` and waits until nothing that it needs for an order is missing: it has read its venue and the venue's
    /// clock, knows a price, and has worked out how large a position may be.
    ///
    /// # Errors
    /// If it does not get there.
    pub fn start(&mut self) -> Result<Value> {
        self.spawn()?;
        self.wait("a daemon that has read its venue", READY_MAX, |s| {
            s["desk"]["ready"] == true
                && !s["desk"]["venues"][0]["clock_offset_ms"].is_null()
                && !s["desk"]["guard"]["markets"]["hyperliquid:BTC"]["book_age_ms"].is_null()
                && may_grow(s)
        })
    }

    /// Sizes of BTC, long and short, as `plimsoll size --json` tells them.
    ///
    /// # Errors
    /// If no daemon answers.
    pub fn sizes(&self) -> Result<[Value; 2]> {
        Ok(serde_json::from_str(&self.ok(&["size", "hyperliquid:BTC", "--json"])?)?)
    }

    /// Waits until the journal tells of a refusal of a parent's order with `words` in it.
    ///
    /// # Errors
    /// If `within` passes first; quotes the last refusal.
    pub fn wait_refusal(&self, parent: u32, words: &str, within: Duration) -> Result<()> {
        let until = Instant::now() + within;
        loop {
            let told = self.ok(&["export"])?;
            let refusals: Vec<&str> = told.lines().filter(|line| line.contains(r#""kind":"refused""#)).collect();
            if refusals.iter().any(|line| line.contains(&format!(r#""parent":{parent},"#)) && line.contains(words)) {
                return Ok(());
            }
            ensure!(Instant::now() < until, "waited for {words:?}, but {within:?} passed; the last is {:?}", refusals.last());
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Steers the venue's BTC market: moves, funding, oracle.
    ///
    /// # Errors
    /// If the venue refuses.
    pub fn steer(&self, push: &Value) -> Result<Value> {
        let mut push = push.clone();
        push["coin"] = json!("BTC");
        http::post(&self.venue.url(), "/control/market", &push)
    }

    /// The running daemon.
    ///
    /// # Panics
    /// If there is none.
    pub fn daemon(&mut self) -> &mut Daemon {
        self.daemon.as_mut().expect("the test has started a daemon")
    }

    /// `status --json`, from the daemon's own socket.
    ///
    /// # Errors
    /// If no daemon answers.
    pub fn status(&self) -> Result<Value> {
        http::get_unix(&self.dir.join("state/plimsoll.sock"), "/status")
    }

    /// Looks at the status until `wanted` accepts it, and returns that one.
    ///
    /// # Errors
    /// If the daemon ends or `within` passes first; quotes the last status and the daemon's last words.
    pub fn wait(&mut self, what: &str, within: Duration, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let until = Instant::now() + within;
        let mut last = Value::Null;
        loop {
            if let Ok(status) = self.status() {
                if wanted(&status) {
                    return Ok(status);
                }
                last = status;
            }
            let Some(daemon) = self.daemon.as_mut() else { bail!("waited for {what} without a daemon") };
            if let Some(status) = daemon.proc.ended() {
                bail!("waited for {what}, but the daemon ended with {status}\n{}", daemon.proc.last_words());
            }
            if Instant::now() >= until {
                let words = daemon.proc.last_words();
                bail!("waited for {what}, but {within:?} passed\nlast status: {}\n{words}", last["desk"]);
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Looks at the venue's own memory of the account until `wanted` accepts it, and returns that.
    ///
    /// # Errors
    /// If `within` passes first.
    pub fn wait_venue(&self, what: &str, within: Duration, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let until = Instant::now() + within;
        loop {
            let truth = self.truth()?;
            if wanted(&truth) {
                return Ok(truth);
            }
            ensure!(Instant::now() < until, "waited for {what}, but {within:?} passed; the venue says {truth}");
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Runs a sub-command to its end: exit code, standard output, standard error.
    ///
    /// # Errors
    /// If it does not end in time.
    pub fn run(&self, args: &[&str]) -> Result<(Option<i32>, String, String)> {
        self.run_within(args, COMMAND_MAX)
    }

    /// The same for one that takes its time.
    ///
    /// # Errors
    /// If it does not end `within` that.
    pub fn run_within(&self, args: &[&str], within: Duration) -> Result<(Option<i32>, String, String)> {
        Daemon::run(&self.dir, &self.args(args), within)
    }

    /// Runs a sub-command that must succeed; its standard output.
    ///
    /// # Errors
    /// If it fails or does not end.
    pub fn ok(&self, args: &[&str]) -> Result<String> {
        let (code, out, err) = self.run(args)?;
        ensure!(code == Some(0), "plimsoll {args:?} ended with {code:?}\n{out}\n{err}");
        Ok(out)
    }

    /// Runs a sub-command that must be refused with exit code 1; its words.
    ///
    /// # Errors
    /// If it is not, or does not end.
    pub fn refused(&self, args: &[&str]) -> Result<String> {
        let (code, out, err) = self.run(args)?;
        ensure!(code == Some(1) && out.is_empty(), "plimsoll {args:?} ended with {code:?}\n{out}\n{err}");
        Ok(err)
    }

    /// On a starved machine the newest book can be too old for a moment, and growth is refused until the next one. Where it stays
    /// forbidden the refusal is the caller's to see.
    fn wait_growth(&self) {
        let until = Instant::now() + GROWTH_MAX;
        while !self.status().is_ok_and(|status| may_grow(&status)) && Instant::now() < until {
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Submits a BTC parent that is finished by force at its horizon; its number.
    ///
    /// # Errors
    /// If it is refused.
    pub fn submit(&self, side: &str, quantity: &str, horizon: &str, more: &[&str]) -> Result<u32> {
        let mut args = vec!["submit", "--instrument", "hyperliquid:BTC", "--side", side, "--quantity", quantity];
        args.extend(["--horizon", horizon, "--end", "force", "--slippage-bps", "500"]);
        args.extend(more);
        if !more.contains(&"--reduce-only") {
            self.wait_growth();
        }
        let out = self.ok(&args)?;
        out.trim().trim_start_matches('P').parse().with_context(|| format!("a parent's number, not {out:?}"))
    }

    /// Re-arms as an operator does: again and again until the venue has been read since the stop and what was open is over.
    ///
    /// # Errors
    /// If it is refused for anything else, or still after `within`.
    pub fn rearm(&self, reason: &str, within: Duration) -> Result<String> {
        let until = Instant::now() + within;
        loop {
            let (code, out, err) = self.run(&["rearm", "--reason", reason])?;
            if code == Some(0) {
                return Ok(out);
            }
            let passing = ["reconcile = ", "orders = ", "loss = not known"].iter().any(|word| err.contains(word));
            ensure!(passing && Instant::now() < until, "not re-armed: {err}");
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Orders faults of the venue.
    ///
    /// # Errors
    /// If the venue refuses.
    pub fn fault(&self, orders: &Value) -> Result<Value> {
        http::post(&self.venue.url(), "/control/faults", orders)
    }

    /// Clears all faults of the venue.
    ///
    /// # Errors
    /// If the venue does not answer.
    pub fn clear_faults(&self) -> Result<Value> {
        http::delete(&self.venue.url(), "/control/faults")
    }

    /// What the venue remembers of the account.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn truth(&self) -> Result<Value> {
        self.setup.truth(&self.venue.url())
    }

    /// Orders that the venue has open for the account.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn open_orders(&self) -> Result<Vec<Value>> {
        Ok(open_in(&self.truth()?))
    }

    /// Waits until all of `parents` have ended.
    ///
    /// # Errors
    /// If they do not in time.
    pub fn wait_ended(&mut self, parents: &[u32], within: Duration) -> Result<Value> {
        let all_in = |s: &Value| parents.iter().all(|p| ended(s, *p).is_some());
        self.wait(&format!("the end of parents {parents:?}"), within, all_in)
    }

    /// The last word on a test: for each parent the report and the venue's own memory give exactly the wanted quantity, no client
    /// name was used twice (I02), no trade booked twice (I17), the journal's audit finds nothing, and nothing is open.
    ///
    /// # Errors
    /// Whatever is not so.
    pub fn settle(&self, wants: &[Want<'_>]) -> Result<Value> {
        let truth = self.truth()?;
        ensure!(truth["complete"] == true, "the venue forgot something");
        ensure!(truth["duplicate_cloids"] == json!([]), "I02: {}", truth["duplicate_cloids"]);
        ensure!(truth["duplicate_tids"] == json!([]), "the venue is wrong: {}", truth["duplicate_tids"]);
        ensure!(open_in(&truth).is_empty(), "still open at the venue: {:?}", open_in(&truth));
        let at_venue = filled_by_parent(&truth)?;
        let reports = self.final_reports(wants)?;
        for Want(parent, side, quantity) in wants {
            let report = reports.iter().find(|r| r["parent"] == *parent).with_context(|| format!("no report on P{parent}"))?;
            ensure!(report["side"] == *side && same(&report["quantity"], quantity), "P{parent}: {report}");
            ensure!(same(&report["filled"], quantity), "P{parent} in the report: {report}");
            let filled = at_venue.get(parent).copied().unwrap_or_default();
            ensure!(filled == quantity.parse::<Decimal>()?, "P{parent} at the venue: {filled} of {quantity}");
        }
        let audit = self.ok(&["audit"])?;
        ensure!(audit.contains(" 0 orders open; 0 findings"), "{audit}");
        Ok(truth)
    }

    /// Reports in which every wanted parent has ended: the desk says so a flush before the journal does.
    fn final_reports(&self, wants: &[Want<'_>]) -> Result<Vec<Value>> {
        let deadline = Instant::now() + FLUSH_MAX;
        loop {
            let text = self.ok(&["report", "--json"])?;
            let reports: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
            let ended = |w: &Want<'_>| reports.iter().any(|r| r["parent"] == w.0 && !r["outcome"].is_null());
            if wants.iter().all(ended) || Instant::now() >= deadline {
                return Ok(reports);
            }
        }
    }

    fn args(&self, args: &[&str]) -> Vec<String> {
        let mut all = self.setup.args(&[]);
        for pair in &self.set {
            all.extend(["--set".to_owned(), pair.clone()]);
        }
        all.extend(args.iter().map(|a| (*a).to_owned()));
        all
    }
}

/// Waits, if need be, until no full hour lies within the next `needs`. On the hour the venue settles funding by itself, and its rate
/// stays the newest one for an hour: a test that steers funding would find its own spike there.
pub fn clear_of_the_hour(needs: Duration) {
    clear_of(HOUR, needs);
}

/// Waits, if need be, until no midnight UTC lies within the next `needs`: a new day has lost nothing yet.
pub fn clear_of_midnight(needs: Duration) {
    clear_of(DAY, needs);
}

fn clear_of(period: Duration, needs: Duration) {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let period_ms = period.as_millis();
    let left_ms = u64::try_from(period_ms - since_1970.as_millis() % period_ms).unwrap_or(0);
    let left = Duration::from_millis(left_ms);
    if left < needs {
        thread::sleep(left + TURNED);
    }
}

/// Whether a size was worked out for both sides of BTC, and no flag forbids growth.
#[must_use]
pub fn may_grow(status: &Value) -> bool {
    let sizes = status["sizes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let open = |line: &Value| line["notional"] != "0" && line["no_increase"] == json!([]);
    !sizes.is_empty() && sizes.iter().filter(|line| line["instrument"] == "hyperliquid:BTC").all(open)
}

/// The line of an ended parent.
#[must_use]
pub fn ended(status: &Value, parent: u32) -> Option<&Value> {
    status["desk"]["ended"].as_array()?.iter().find(|e| e["spec"]["id"] == parent)
}

/// The progress of a live parent.
#[must_use]
pub fn progress(status: &Value, parent: u32) -> Option<&Value> {
    let line = status["desk"]["parents"].as_array()?.iter().find(|p| p["spec"]["id"] == parent)?;
    Some(&line["progress"])
}

/// Orders that are open by the venue's memory.
#[must_use]
pub fn open_in(truth: &Value) -> Vec<Value> {
    let orders = truth["orders"].as_array().cloned().unwrap_or_default();
    orders.into_iter().filter(|o| o["status"] == "open").collect()
}

/// What the venue filled for each parent, read from the client names of its orders.
///
/// # Errors
/// If a client name or a quantity is none.
pub fn filled_by_parent(truth: &Value) -> Result<BTreeMap<u32, Decimal>> {
    let mut filled: BTreeMap<u32, Decimal> = BTreeMap::new();
    for order in truth["orders"].as_array().context("orders")? {
        // 0x, eight digits of the journal's mark, eight of the tenure, eight of the parent, eight of the child
        let Some(cloid) = order["cloid"].as_str() else { continue };
        let parent = u32::from_str_radix(cloid.get(18..26).context("a client name")?, 16)?;
        *filled.entry(parent).or_default() += order["filled"].as_str().context("a quantity")?.parse::<Decimal>()?;
    }
    Ok(filled)
}

fn same(value: &Value, quantity: &str) -> bool {
    let parsed = value.as_str().and_then(|v| v.parse::<Decimal>().ok());
    parsed.is_some() && parsed == quantity.parse().ok()
}
