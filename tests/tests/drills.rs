//! Drills with every part real: the daemon's binary, its wallet on Anvil with Circle's FiatToken, a paper venue whose bridge takes and
//! pays on that chain.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use domain::EvmAddress;
use plimsoll_tests::anvil::{SOME_GAS, USDC};
use plimsoll_tests::{ACCOUNT, Anvil, AnvilSpec, KEY, Rig, http, skip};
use serde_json::{Value, json};
use tempfile::TempDir;
use wire::hyperliquid::sign::Key;

/// For anything that takes seconds on an idle machine.
const SOON: Duration = Duration::from_secs(90);
/// Arbitrum's test network: what the paper venue's network allows.
const CHAIN: u64 = 421_614;
/// In the wallet from the beginning, dollars: gas it has besides.
const WALLET: u64 = 20;

fn account() -> EvmAddress {
    ACCOUNT.parse().unwrap()
}

fn secret(dir: &Path, name: &str, text: &str) -> Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(dir.join(name))?;
    Ok(file.write_all(text.as_bytes())?)
}

/// Chain, venue and daemon of one test.
struct Drilled {
    chain: Anvil,
    rig: Rig,
    dir: TempDir,
}

impl Drilled {
    /// Everything but the daemon. Withdrawals are paid after `pay_after`; `drill` is the section's own lines.
    fn on(chain: Anvil, pay_after: &str, drill: &str, set: &[&str]) -> Result<Drilled> {
        let dir = tempfile::tempdir()?;
        let bridge_key = "b7".repeat(32);
        let bridge = EvmAddress(Key::from_hex(&bridge_key)?.address().0);
        secret(dir.path(), "bridge.key", &format!("0x{bridge_key}"))?;
        secret(dir.path(), "wallet.key", KEY)?;
        secret(dir.path(), "owner.key", KEY)?;
        secret(dir.path(), "other.key", &format!("0x{}", "c9".repeat(32)))?;
        chain.mint(account(), WALLET * USDC)?;
        chain.mint(bridge, 1_000 * USDC)?;
        chain.set_gas(account(), SOME_GAS)?;
        chain.set_gas(bridge, SOME_GAS)?;
        let venue = [
            format!("paper.chain.rpc={}", chain.url),
            format!("paper.chain.token={}", chain.token),
            format!("paper.chain.bridge={bridge}"),
            "paper.chain.key_file=bridge.key".to_owned(),
            "paper.chain.credit_after=500ms".to_owned(),
            format!("paper.chain.pay_after={pay_after}"),
        ];
        let venue: Vec<&str> = venue.iter().map(String::as_str).collect();
        let treasury = format!(
            "[treasury]\nenabled = true\nfunds_key_file = \"agent.key\"\ndestination_delay_hours = 0\n\
             gas_transfer_max_ether = \"0.01\"\ngas_day_max_ether = \"0.05\"\n\
             [treasury.wallet]\nchain_id = {CHAIN}\naddress = \"{ACCOUNT}\"\ntoken = \"{}\"\nkey_file = \"wallet.key\"\n\
             rpc = [\"{}\"]\nconfirmations = 1\nlook_every = \"200ms\"\n\
             [treasury.destination.bridge]\nkind = \"bridge\"\naddress = \"{bridge}\"\n\
             [treasury.destination.home]\nkind = \"withdrawal\"\naddress = \"{ACCOUNT}\"\n\
             [treasury.drill]\nenabled = true\n{drill}",
            chain.token, chain.url,
        );
        let rig = Rig::on(dir.path(), &venue, &treasury, set)?;
        Ok(Drilled { chain, rig, dir })
    }

    fn view(&self) -> Result<Value> {
        http::get_unix(&self.dir.path().join("state/plimsoll.sock"), "/drills")
    }

    /// Looks at the drills until `wanted` accepts them.
    fn wait(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let until = std::time::Instant::now() + SOON;
        loop {
            // a daemon that is starting answers later
            let seen = self.view().unwrap_or_default();
            if wanted(&seen) {
                return Ok(seen);
            }
            let words = || self.rig.daemon.as_ref().map(|daemon| daemon.proc.last_words()).unwrap_or_default();
            ensure!(std::time::Instant::now() < until, "waited for {what}, but {SOON:?} passed; last: {seen:#}\n{}", words());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Rows of the venue's ledger of one kind, by the venue.
    fn rows(&self, kind: &str) -> Result<Vec<Value>> {
        let body = json!({ "type": "userNonFundingLedgerUpdates", "user": ACCOUNT, "startTime": 0 });
        let rows = http::post(&self.rig.venue.url(), "/info", &body)?;
        let rows = rows.as_array().context("rows")?.iter().map(|row| row["delta"].clone());
        Ok(rows.filter(|delta| delta["type"] == kind).collect())
    }

    /// What all three ledgers say after one drill to the chain: 6 out less 1, and 5 back.
    fn went_out_and_back(&self) -> Result<()> {
        let withdrawn = self.rows("withdraw")?;
        ensure!(withdrawn.len() == 1, "{withdrawn:?}");
        let deposits: Vec<_> =
            self.rows("deposit")?.into_iter().filter(|row| row["usdc"] == "5.0" || row["usdc"] == "5").collect();
        ensure!(deposits.len() == 1, "{:?}", self.rows("deposit")?);
        ensure!(self.chain.balance(account())? == WALLET * USDC, "what came out went back");
        ensure!(self.chain.nonce(account())? == 1, "one transaction of the wallet");
        let audit = self.rig.ok(&["audit"])?;
        ensure!(audit.contains(" 0 findings"), "{audit}");
        Ok(())
    }
}

fn on_chain(name: &str, test: impl FnOnce(Anvil) -> Result<()>) {
    match Anvil::start(AnvilSpec { chain_id: CHAIN, safe_depth: 4, block_time_s: Some(1) }).unwrap() {
        Ok(chain) => test(chain).unwrap_or_else(|error| panic!("{error:#}")),
        Err(missing) => skip(name, &missing),
    }
}

/// The receipt of the last drill of `path`.
fn over<'a>(view: &'a Value, path: &str) -> Option<&'a Value> {
    view["recent"].as_array()?.iter().map(|pair| &pair[1]).rfind(|receipt| receipt["path"] == path)
}

fn buffer(rig: &Rig) -> Result<(rust_decimal::Decimal, String)> {
    let margin: Value = serde_json::from_str(&rig.ok(&["margin", "--json"])?)?;
    let line = &margin["accounts"][0];
    let amount = line["buffer"].as_str().with_context(|| format!("a buffer in {margin}"))?;
    Ok((amount.parse()?, line["buffer_why"].to_string()))
}

#[test]
fn a_drill_by_hand_is_timed_journaled_and_makes_the_buffer_as_large_as_it_must_be() {
    on_chain("a drill by hand", |chain| {
        let drill = "every = \"30d\"\ngrace = \"1s\"\n";
        let set = ["guard.buffer.exit_minutes=1", "treasury.spot=false"];
        // more than a minute: the configured exit is shorter than the real one
        let mut drilled = Drilled::on(chain, "62s", drill, &set)?;
        drilled.rig.start()?;
        let load = drilled.rig.submit("buy", "0.5", "2s", &["--slices", "1"])?;
        drilled.rig.wait_ended(&[load], SOON)?;

        // nobody signs by himself: overdue, and the operator is told what to do
        let view = drilled.wait("an overdue drill", |view| view["paths"][0]["overdue_s"].is_u64())?;
        ensure!(view["paths"][0]["path"] == "chain" && view["exit"]["drilled"]["overdue"].is_object(), "{view:#}");
        let words = drilled.rig.ok(&["drill", "--list"])?;
        ensure!(words.contains("never tried; OVERDUE") && words.contains("plimsoll drill --path chain --signer FILE"), "{words}");
        let log = drilled.rig.daemon().proc.stderr().join("\n");
        ensure!(log.contains("the drill of chain is overdue"), "{log}");
        let (before, why) = buffer(&drilled.rig)?;
        ensure!(before > rust_decimal::Decimal::ZERO && !why.contains("drills"), "{before} {why}");

        let said = drilled.rig.refused(&["drill", "--path", "chain"])?;
        ensure!(said.contains("it needs the operator's own signer"), "{said}");
        let said = drilled.rig.refused(&["drill", "--path", "chain", "--signer", "other.key"])?;
        ensure!(said.contains("the key of the account"), "{said}");
        let said = drilled.rig.refused(&["drill", "--path", "spot", "--signer", "owner.key"])?;
        ensure!(said.contains("one of chain"), "{said}");

        drilled.wait("a wallet that was looked at", |view| {
            view["paths"][0]["waits"].as_str().is_some_and(|why| why.contains("signer"))
        })?;
        let (code, out, err) = drilled.rig.run_within(&["drill", "--signer", "owner.key"], Duration::from_secs(180))?;
        ensure!(code == Some(0), "{code:?}\n{out}\n{err}");
        ensure!(
            out.contains("out  withdrawal") && out.contains("back bridge deposit") && out.contains("D1 of chain passed"),
            "{out}"
        );
        drilled.went_out_and_back()?;

        let view = drilled.wait("the exit that was seen", |view| view["exit"]["delay_min"] == json!(2))?;
        ensure!(view["paths"][0]["overdue_s"].is_null() && view["exit"]["drilled"]["out"]["took_min"] == 2, "{view:#}");
        let (after, why) = buffer(&drilled.rig)?;
        ensure!(why.contains("drills of hyperliquid saw an exit of 2 minutes, 1 are configured"), "{why}");
        ensure!(after > before, "{before} {after}");
        let receipt = &view["recent"][0][1];
        ensure!(receipt["outcome"]["outcome"] == "passed" && receipt["hops"][0]["fee"] == "1", "{receipt:#}");
        ensure!(receipt["hops"].as_array().is_some_and(|hops| hops.len() == 2), "{receipt:#}");

        // the same from the journal alone
        drilled.rig.daemon().proc.kill9();
        let words = drilled.rig.ok(&["drill", "--list"])?;
        ensure!(words.contains("chain  6 USDC out and back; passed ") && words.contains("D1 of chain passed"), "{words}");
        Ok(())
    });
}

#[test]
fn i12_a_daemon_that_dies_in_a_drill_of_its_own_ends_it_once() {
    on_chain("a drill over a crash", |chain| {
        let mut drilled = Drilled::on(chain, "8s", "signer_file = \"owner.key\"\n", &[])?;
        drilled.rig.start()?;
        let out = |view: &Value| view["open"][0]["hop"]["hop"] == "out" && view["open"][0]["path"] == "chain";
        drilled.wait("the way out", out)?;
        drilled.rig.daemon().proc.kill9();
        drilled.rig.spawn()?;
        let back = |view: &Value| view["open"][0]["hop"]["hop"] == "back" && view["open"][0]["path"] == "chain";
        drilled.wait("the way back", |view| back(view) || over(view, "chain").is_some())?;
        drilled.rig.daemon().proc.kill9();
        drilled.rig.spawn()?;
        let view = drilled.wait("both ways", |view| over(view, "chain").is_some() && over(view, "spot").is_some())?;
        ensure!(view["recent"].as_array().is_some_and(|all| all.len() == 2), "{view:#}");
        for path in ["chain", "spot"] {
            let receipt = over(&view, path).context("a receipt")?;
            ensure!(receipt["outcome"]["outcome"] == "passed" && receipt["cause"] == "schedule", "{receipt:#}");
        }
        drilled.went_out_and_back()?;
        ensure!(drilled.rows("accountClassTransfer")?.len() == 2, "to the spot balance and back, each once");
        Ok(())
    });
}
