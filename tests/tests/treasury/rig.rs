//! A daemon with a treasury: its wallet on a real chain, its account on a paper venue whose bridge stands on that chain.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use domain::EvmAddress;
use plimsoll_tests::anvil::{SOME_GAS, USDC};
use plimsoll_tests::{ACCOUNT, Anvil, AnvilSpec, Client, KEY, Missing, Rig, Witness, http};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tempfile::TempDir;

/// For anything that takes seconds on an idle machine.
pub const SOON: Duration = Duration::from_secs(60);
/// Arbitrum's test network: what the paper venue's network allows.
const CHAIN: u64 = 421_614;
/// Blocks come every second, and are safe four later: a transfer is final within ten seconds.
const SAFE_DEPTH: u64 = 4;
/// The venue's bridge.
pub const BRIDGE: EvmAddress = EvmAddress([0xb1; 20]);

/// The account at the venue, which is also the wallet.
pub fn account() -> EvmAddress {
    ACCOUNT.parse().unwrap()
}

/// What a test wants of its rig besides the usual.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish<'a> {
    /// Dollars in the wallet.
    pub wallet: u64,
    /// Dollars in the account's spot balance.
    pub spot: u64,
    /// `KEY=VALUE` for the venue.
    pub venue: &'a [&'a str],
    /// Sections of the daemon's configuration.
    pub more: &'a str,
    /// `KEY=VALUE` for the daemon.
    pub set: &'a [&'a str],
    /// What the wallet asks about the chain; absent: the chain itself.
    pub endpoints: Option<&'a [String]>,
}

/// A chain for one test.
pub fn chain() -> Result<Result<Anvil, Missing>> {
    Anvil::start(AnvilSpec { chain_id: CHAIN, safe_depth: SAFE_DEPTH, block_time_s: Some(1) })
}

/// Chain, venue and daemon of one test.
pub struct Funded {
    pub chain: Anvil,
    pub rig: Rig,
    /// What the venue's ledger held before the daemon came.
    before: usize,
    wallet: u64,
    spot: u64,
    _dir: TempDir,
}

impl Funded {
    /// Everything but the daemon, which the test starts.
    pub fn on(chain: Anvil, wish: Wish<'_>) -> Result<Funded> {
        let dir = tempfile::tempdir()?;
        let mut key = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(dir.path().join("wallet.key"))?;
        key.write_all(KEY.as_bytes())?;
        chain.mint(account(), wish.wallet * USDC)?;
        chain.set_gas(account(), SOME_GAS)?;
        let mut venue = vec![
            format!("paper.chain.rpc={}", chain.url),
            format!("paper.chain.token={}", chain.token),
            format!("paper.chain.bridge={BRIDGE}"),
            "paper.chain.credit_after=500ms".to_owned(),
        ];
        venue.extend(wish.venue.iter().map(|pair| (*pair).to_owned()));
        let venue: Vec<&str> = venue.iter().map(String::as_str).collect();
        let own = [chain.url.clone()];
        let endpoints: Vec<String> = wish.endpoints.unwrap_or(&own).iter().map(|url| format!("\"{url}\"")).collect();
        let treasury = format!(
            "{}\n[treasury]\nenabled = true\nfunds_key_file = \"agent.key\"\ndestination_delay_hours = 0\n\
             transfer_max_usd = \"10000\"\nhour_max_usd = \"20000\"\nday_max_usd = \"20000\"\nweek_max_usd = \"20000\"\n\
             gas_transfer_max_ether = \"0.01\"\ngas_day_max_ether = \"0.05\"\n\
             [treasury.wallet]\nchain_id = {CHAIN}\naddress = \"{ACCOUNT}\"\ntoken = \"{}\"\nkey_file = \"wallet.key\"\n\
             rpc = [{}]\nconfirmations = 1\nlook_every = \"200ms\"\n\
             [treasury.route.bridge]\ndelay = \"10s\"\n\
             [treasury.destination.bridge]\nkind = \"bridge\"\naddress = \"{BRIDGE}\"\n",
            wish.more,
            chain.token,
            endpoints.join(", "),
        );
        let rig = Rig::on(dir.path(), &venue, &treasury, wish.set)?;
        if wish.spot > 0 {
            let order = json!({ "user": ACCOUNT, "usd": wish.spot.to_string(), "spot": true });
            http::post(&rig.venue.url(), "/control/deposit", &order)?;
        }
        let mut funded = Funded { chain, rig, before: 0, wallet: wish.wallet, spot: wish.spot, _dir: dir };
        funded.before = funded.rows()?.len();
        Ok(funded)
    }

    /// One read of the venue, as anybody may.
    pub fn info(&self, kind: &str) -> Result<Value> {
        let body = json!({ "type": kind, "user": ACCOUNT, "startTime": 0 });
        http::post(&self.rig.venue.url(), "/info", &body)
    }

    /// The same files and venue with further settings of the daemon, from its next start on.
    pub fn with(mut self, set: &[&str]) -> Funded {
        self.rig = self.rig.beside(set);
        self
    }

    /// Equity over maintenance, by the venue.
    pub fn cover(&self) -> Result<Decimal> {
        let state = self.info("clearinghouseState")?;
        let (equity, maintenance) =
            (usd(&state["crossMarginSummary"]["accountValue"])?, usd(&state["crossMaintenanceMarginUsed"])?);
        equity.checked_div(maintenance).context("a position")
    }

    fn rows(&self) -> Result<Vec<Value>> {
        Ok(self.info("userNonFundingLedgerUpdates")?.as_array().context("rows")?.clone())
    }

    /// `plimsoll treasury --json`, whether a daemon runs or not.
    pub fn treasury(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.rig.ok(&["treasury", "--json"])?)?)
    }

    /// Looks at the treasury until `wanted` accepts it.
    pub fn wait(&mut self, what: &str, within: Duration, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let until = std::time::Instant::now() + within;
        loop {
            // a daemon that is starting answers later
            let seen = self.treasury().unwrap_or_default();
            if wanted(&seen) {
                return Ok(seen);
            }
            if let Some(ended) = self.rig.daemon().proc.ended() {
                anyhow::bail!("waited for {what}, but the daemon ended with {ended}\n{}", self.rig.daemon().proc.last_words());
            }
            ensure!(
                std::time::Instant::now() < until,
                "waited for {what}, but {within:?} passed\nlast: {seen:#}\n{}",
                self.rig.daemon().proc.last_words()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Entries of one kind in the journal, oldest first.
    pub fn entries(&self, kind: &str) -> Result<Vec<Value>> {
        let text = self.rig.ok(&["export"])?;
        let mut found = Vec::new();
        for line in text.lines() {
            let entry = serde_json::from_str::<Value>(line)?["record"]["entry"].clone();
            if entry["kind"] == kind {
                found.push(entry);
            }
        }
        Ok(found)
    }

    /// Events of the transfers in the journal: number, event, all of it.
    pub fn events(&self) -> Result<Vec<(u64, String, Value)>> {
        let event = |entry: Value| {
            let body = entry["event"].clone();
            Ok((entry["id"].as_u64().context("a number")?, body["event"].as_str().context("an event")?.to_owned(), body))
        };
        self.entries("transfer")?.into_iter().map(event).collect()
    }

    /// The three ledgers side by side, each read by somebody else: the chain by viem, the venue by a client of somebody else's, the
    /// journal by the daemon's own command. They must agree to the last unit.
    pub fn agree(&self) -> Result<Agreed> {
        let journal = self.journal()?;
        let rows = self.rows()?.split_off(self.before);
        let row = |kind: &str| rows.iter().map(|r| &r["delta"]).filter(|d| d["type"] == kind).cloned().collect::<Vec<_>>();
        let inside: Vec<Decimal> = row("accountClassTransfer")
            .iter()
            .map(|delta| {
                ensure!(delta["toPerp"] == true, "the wrong way: {delta}");
                usd(&delta["usdc"])
            })
            .collect::<Result<_>>()?;
        ensure!(inside == journal.inside, "inside the venue: {inside:?}, in the journal {:?}", journal.inside);
        let credited: Vec<Decimal> = row("deposit").iter().map(|delta| usd(&delta["usdc"])).collect::<Result<_>>()?;
        ensure!(credited == journal.credited, "credited {credited:?}, in the journal {:?}", journal.credited);
        let moved: Vec<Decimal> = self
            .chain
            .moved()?
            .iter()
            .filter(|one| one.from == account())
            .map(|one| {
                ensure!(one.to == BRIDGE, "to {}", one.to);
                Ok(Decimal::new(i64::try_from(one.units)?, 6).normalize())
            })
            .collect::<Result<_>>()?;
        ensure!(moved == journal.sent, "on the chain {moved:?}, in the journal {:?}", journal.sent);
        let out: Decimal = moved.iter().sum();
        let units = |n: u64| Decimal::from_i128_with_scale(i128::from(n), 6).normalize();
        let (wallet, bridge) = (units(self.chain.balance(account())?), units(self.chain.balance(BRIDGE)?));
        ensure!(
            wallet == (Decimal::from(self.wallet) - out).normalize(),
            "the wallet has {wallet} after {out} of {}",
            self.wallet
        );
        ensure!(bridge == out, "the bridge has {bridge} of {out}");
        ensure!(self.chain.nonce(account())? == moved.len() as u64, "nonces without gaps, one a transfer");
        let spot = self.spot_balance()?;
        let taken: Decimal = inside.iter().sum();
        ensure!(
            spot == (Decimal::from(self.spot) - taken).normalize(),
            "{spot} in the spot balance after {taken} of {}",
            self.spot
        );
        self.treasury_agrees(out, taken)?;
        Ok(Agreed { inside, moved })
    }

    /// What `plimsoll treasury` counts as spent.
    fn treasury_agrees(&self, out: Decimal, inside: Decimal) -> Result<()> {
        let shown = self.treasury()?;
        for (name, amount) in [("hour", out), ("day", out), ("week", out), ("inside_day", inside)] {
            let spent = usd(&shown["budgets"][name]["spent"])?;
            ensure!(spent == amount.normalize(), "{name}: {spent} spent of what was {amount}");
        }
        ensure!(usd(&shown["in_flight"])?.is_zero(), "{} in flight", shown["in_flight"]);
        Ok(())
    }

    /// Dollars in the spot balance, by the venue.
    pub fn spot_balance(&self) -> Result<Decimal> {
        let state = self.info("spotClearinghouseState")?;
        let line = state["balances"].as_array().and_then(|all| all.iter().find(|one| one["coin"] == "USDC").cloned());
        line.map_or(Ok(Decimal::ZERO), |line| usd(&line["total"]))
    }

    fn journal(&self) -> Result<Journal> {
        let events = self.events()?;
        let mut journal = Journal::default();
        for (id, event, body) in &events {
            let amount_of = |id: u64| {
                let intent = events.iter().find(|(n, name, _)| *n == id && name == "intended").context("decided")?;
                usd(&intent.2["amount"])
            };
            match event.as_str() {
                "accepted" => journal.inside.push(amount_of(*id)?),
                "final" => {
                    ensure!(body["success"] == true, "{body}");
                    journal.sent.push(amount_of(*id)?);
                    journal.hashes.push(body["hash"].as_str().context("a hash")?.to_owned());
                    journal.gas.push(body["gas_cost"].as_str().context("gas")?.to_owned());
                }
                "credited" => journal.credited.push(usd(&body["amount"])?),
                _ => {}
            }
        }
        Ok(journal)
    }

    /// The same by the witness, where there is one; false if it is missing.
    pub fn witnessed(&self, agreed: &Agreed) -> Result<Result<(), Missing>> {
        let witness = match Witness::find(Client::Node, "treasury.mjs") {
            Ok(witness) => witness,
            Err(missing) => return Ok(Err(missing)),
        };
        let said = witness.run_on(&[
            &self.rig.venue.url(),
            &self.chain.url,
            &self.chain.token.to_string(),
            &BRIDGE.to_string(),
            ACCOUNT,
        ])?;
        let seen: Value = serde_json::from_str(said.last().context("a line")?)?;
        let journal = self.journal()?;
        let chain = &seen["chain"];
        let moved = chain["moved"].as_array().context("transfers")?;
        let of = |name: &str| moved.iter().map(|one| one[name].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>();
        ensure!(of("hash") == journal.hashes, "{moved:?} and {:?}", journal.hashes);
        ensure!(of("gas") == journal.gas, "{moved:?} and {:?}", journal.gas);
        ensure!(moved.iter().map(|one| usd(&one["usd"])).collect::<Result<Vec<_>>>()? == agreed.moved, "{moved:?}");
        ensure!(of("to").iter().all(|to| *to == BRIDGE.to_string()), "{moved:?}");
        let out: Decimal = agreed.moved.iter().sum();
        ensure!(usd(&chain["bridge"])? == out.normalize() && chain["nonce"] == json!(moved.len()), "{chain}");
        let rows = seen["venue"]["ledger"].as_array().context("rows")?;
        let credited: Decimal =
            rows[self.before..].iter().filter(|row| row["type"] == "deposit").map(|row| usd(&row["usdc"])).sum::<Result<_>>()?;
        ensure!(credited == out, "{credited} credited of {out}: {rows:?}");
        Ok(Ok(()))
    }
}

/// What the journal says of transfers, in its order.
#[derive(Debug, Default)]
struct Journal {
    inside: Vec<Decimal>,
    sent: Vec<Decimal>,
    credited: Vec<Decimal>,
    hashes: Vec<String>,
    gas: Vec<String>,
}

/// What all ledgers say.
#[derive(Debug)]
pub struct Agreed {
    /// From the spot balance to the perpetuals balance.
    pub inside: Vec<Decimal>,
    /// From the wallet to the bridge, and from there to the account.
    pub moved: Vec<Decimal>,
}

/// An amount in quotes, without trailing zeros.
pub fn usd(value: &Value) -> Result<Decimal> {
    let text = value.as_str().with_context(|| format!("an amount in quotes, not {value}"))?;
    Ok(text.parse::<Decimal>().with_context(|| format!("an amount, not {text}"))?.normalize())
}
