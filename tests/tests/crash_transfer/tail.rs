//! The journal as a stranger reads it: SQLite rows and JSON, with none of the daemon's own code.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

/// A transfer as the records tell it.
#[derive(Clone, Debug, Default)]
pub struct Deal {
    pub nonce: Option<u64>,
    /// Millionths.
    pub units: u64,
    pub on_chain: bool,
    /// Hash, bytes and kind of every transaction, in order.
    pub attempts: Vec<(String, String, String)>,
    /// Names of the events, in order.
    pub events: Vec<String>,
    /// `arrived`, `reverted`, …
    pub outcome: Option<String>,
    pub is_final: bool,
    pub credited: bool,
    /// The hash that was last seen in a block, and whether it succeeded there.
    pub included: Option<(String, bool)>,
    /// Gas of what is final, in wei.
    pub gas: u128,
}

impl Deal {
    pub fn count(&self, event: &str) -> usize {
        self.events.iter().filter(|one| *one == event).count()
    }

    pub fn has(&self, event: &str) -> bool {
        self.count(event) > 0
    }

    pub fn over(&self) -> bool {
        self.outcome.is_some()
    }
}

/// Everything in the journal that concerns transfers, kept up with the file.
pub struct Tail {
    path: PathBuf,
    conn: Option<Connection>,
    seq: i64,
    pub deals: BTreeMap<u64, Deal>,
    /// Tenures begun, and of the newest one whether it has reconciled.
    pub tenures: usize,
    pub reconciled: bool,
    /// Refusals of the judge, newest last.
    pub refused: Vec<String>,
    /// The planner's newest decision, as it stands in the journal.
    pub decided: Value,
}

/// Opens a journal beside its daemon.
fn open(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    Ok(conn)
}

/// Whether these bytes stand in the journal at `path`.
pub fn holds(path: &Path, raw: &str) -> Result<bool> {
    let sql = "SELECT count(*) FROM record WHERE instr(payload, '\"signed\"') > 0 AND instr(payload, ?1) > 0";
    Ok(open(path)?.query_row(sql, [raw], |row| row.get::<_, i64>(0))? > 0)
}

impl Tail {
    pub fn new(path: PathBuf) -> Tail {
        Tail {
            path,
            conn: None,
            seq: 0,
            deals: BTreeMap::new(),
            tenures: 0,
            reconciled: false,
            refused: Vec::new(),
            decided: Value::Null,
        }
    }

    /// Reads what is new. A journal that is not there yet is empty.
    pub fn read(&mut self) -> Result<()> {
        if self.conn.is_none() {
            if !self.path.exists() {
                return Ok(());
            }
            self.conn = Some(open(&self.path)?);
        }
        let Some(conn) = &self.conn else { return Ok(()) };
        let Ok(mut rows) = conn.prepare_cached("SELECT seq, payload FROM record WHERE seq > ?1 ORDER BY seq") else {
            // created, and not yet filled
            self.conn = None;
            return Ok(());
        };
        let new: Vec<(i64, String)> =
            rows.query_map([self.seq], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        drop(rows);
        for (seq, payload) in new {
            self.seq = seq;
            let record: Value = serde_json::from_str(&payload).context("a record")?;
            self.take(&record["entry"]);
        }
        Ok(())
    }

    fn take(&mut self, entry: &Value) {
        match entry["kind"].as_str().unwrap_or_default() {
            "epoch" => (self.tenures, self.reconciled) = (self.tenures + 1, false),
            "reconciled" => self.reconciled = true,
            "transfer_refused" => self.refused.push(format!("{}: {}", entry["what"], entry["why"])),
            "treasury_decided" => self.decided = entry.clone(),
            "transfer" => self.transfer(entry),
            _ => {}
        }
    }

    fn transfer(&mut self, entry: &Value) {
        let Some(id) = entry["id"].as_u64() else { return };
        let event = &entry["event"];
        let name = event["event"].as_str().unwrap_or_default().to_owned();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let deal = self.deals.entry(id).or_default();
        match name.as_str() {
            "intended" => {
                deal.nonce = event["nonce"].as_u64();
                deal.on_chain = ["bridge", "cctp"].contains(&event["route"]["route"].as_str().unwrap_or_default());
                deal.units = units(event["amount"].as_str().unwrap_or_default());
            }
            "signed" => {
                let hash = text(&event["hash"]);
                if !deal.attempts.iter().any(|one| one.0 == hash) {
                    deal.attempts.push((hash, text(&event["raw"]), text(&event["kind"])));
                }
            }
            "included" => deal.included = Some((text(&event["hash"]), event["success"] == true)),
            "final" => {
                deal.is_final = true;
                deal.gas = text(&event["gas_cost"]).parse().unwrap_or(0);
            }
            "credited" => deal.credited = true,
            "ended" => {
                deal.outcome = Some(text(&event["outcome"]));
            }
            _ => {}
        }
        deal.events.push(name);
        self.settle(id);
    }

    /// What ends a transfer without a record of its own.
    fn settle(&mut self, id: u64) {
        let Some(deal) = self.deals.get_mut(&id) else { return };
        if !deal.is_final || deal.outcome.is_some() {
            return;
        }
        let Some((hash, success)) = &deal.included else { return };
        let kind = deal.attempts.iter().find(|one| one.0 == *hash).map(|one| one.2.as_str());
        deal.outcome = match kind {
            Some("burn") => Some("burnt".into()),
            Some(_) if !success => Some("reverted".into()),
            Some(_) if deal.credited => Some("arrived".into()),
            Some(_) | None => None,
        };
    }
}

/// Millionths in a decimal text.
fn units(text: &str) -> u64 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part: String = part.chars().chain("000000".chars()).take(6).collect();
    format!("{whole}{part}").parse().unwrap_or(0)
}
