//! What must hold after every run, by the chain's own ledger, the venue's, and the journal's records.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use plimsoll_tests::RpcProxy;
use plimsoll_tests::anvil::{Moved, USDC};

use super::tail::Deal;
use super::world::{BRIDGE, MUCH, NEW, SOON, World, wallet};

/// Most that gas may cost in a day, in wei: as configured.
const GAS_DAY: u128 = 90_000_000_000_000_000;

impl World {
    /// After a run, with no daemon alive: how many transfers after `newest` are final.
    pub fn check(&mut self, newest: u64) -> Result<usize> {
        self.tail.read()?;
        let early = self.early.lock().unwrap().clone();
        ensure!(early.is_empty(), "bytes reached an endpoint that the journal did not hold: {early:?}");
        let moved = self.moved()?;
        let deals: Vec<(u64, Deal)> = self.tail.deals.iter().map(|(id, deal)| (*id, deal.clone())).collect();
        let mut of: BTreeMap<String, u64> = BTreeMap::new();
        for (id, deal) in &deals {
            for (hash, ..) in &deal.attempts {
                let other = of.insert(hash.clone(), *id);
                ensure!(other.is_none(), "{hash} is of T{id} and of T{other:?}");
            }
        }
        let raws: Vec<&String> = deals.iter().flat_map(|(_, deal)| deal.attempts.iter().map(|one| &one.1)).collect();
        for raw in self.ends.iter().flat_map(RpcProxy::sent) {
            ensure!(raws.contains(&&raw), "an endpoint saw bytes that are no transfer's: {raw}");
        }
        // at most one final transfer per intent, of its amount
        for one in &moved {
            ensure!(of.contains_key(&one.tx), "the wallet sent {one:?}, which the journal does not know");
        }
        let mut finals = 0;
        for (id, deal) in &deals {
            let own: Vec<&Moved> = moved.iter().filter(|one| of.get(&one.tx) == Some(id)).collect();
            ensure!(own.len() <= 1, "I12: T{id} moved more than once: {own:?}");
            ensure!(own.iter().all(|one| one.units == deal.units), "T{id} of {} moved {own:?}", deal.units);
            let arrived = deal.outcome.as_deref() == Some("arrived");
            if deal.over() {
                ensure!(arrived == (own.len() == 1), "T{id} ended {:?} and moved {own:?}", deal.outcome);
            }
            finals += usize::from(*id > newest && own.len() == 1);
        }
        self.nonces(&deals)?;
        let spent = self.spent()?;
        ensure!(spent <= self.budget * USDC, "I11: {spent} millionths left the wallet, of at most {} USD", self.budget);
        let gas = self.gas_before.saturating_sub(self.gas()?);
        ensure!(gas <= GAS_DAY, "I11: {gas} wei of gas, of at most {GAS_DAY}");
        Ok(finals)
    }

    /// Gap-free: every nonce from the first on was used by exactly one transfer, and nobody else's (I12).
    fn nonces(&self, deals: &[(u64, Deal)]) -> Result<()> {
        let mut used: BTreeMap<u64, u64> = BTreeMap::new();
        for (id, deal) in deals {
            let spent = deal.is_final || matches!(deal.outcome.as_deref(), Some("arrived" | "reverted" | "burnt"));
            if spent {
                let nonce = deal.nonce.with_context(|| format!("T{id} has no nonce"))?;
                let other = used.insert(nonce, *id);
                ensure!(other.is_none(), "nonce {nonce} is of T{id} and of T{other:?}");
            }
        }
        let open = deals.iter().any(|(_, deal)| !deal.over() && !deal.is_final);
        let next = self.chain.nonce(wallet())?;
        let gap_free = used.keys().copied().eq(0..used.len() as u64);
        ensure!(gap_free, "nonces used: {used:?}");
        ensure!(open || next == used.len() as u64, "the chain's next nonce is {next}, and the journal's transfers used {used:?}");
        Ok(())
    }

    fn spent(&self) -> Result<u64> {
        Ok(self.moved()?.iter().map(|one| one.units).sum())
    }

    /// What the wallet has given to the bridge.
    fn moved(&self) -> Result<Vec<Moved>> {
        let all = self.chain.moved()?;
        let other: Vec<_> = all.iter().filter(|one| one.from == wallet() && one.to != BRIDGE).collect();
        ensure!(other.is_empty(), "I13: the wallet gave to others: {other:?}");
        Ok(all.into_iter().filter(|one| one.from == wallet()).collect())
    }

    /// At the end of a world: needs come back until the budget is spent; then nothing moves any more, whatever is needed.
    pub fn spend_all(&mut self) -> Result<()> {
        let deadline = Instant::now() + 5 * SOON;
        loop {
            let (newest, spent) = (self.tail.deals.keys().next_back().copied().unwrap_or(0), self.spent()?);
            // less than the bridge takes
            if self.budget * USDC - spent < 5 * USDC {
                break;
            }
            ensure!(Instant::now() < deadline, "{spent} of {} spent; {}", self.budget, self.story());
            self.need(MUCH)?;
            self.spawn(&[])?;
            self.until(NEW, |tail| tail.deals.keys().next_back().is_some_and(|id| *id > newest))?;
            self.settle(newest + 1, super::cell::Fault::None)?;
            self.kill();
            self.check(newest)?;
        }
        self.need(MUCH)?;
        let newest = self.tail.deals.len();
        self.spawn(&[])?;
        self.until("a tenure that has reconciled", |tail| tail.reconciled)?;
        sleep(Duration::from_secs(4));
        self.tail.read()?;
        ensure!(self.tail.deals.len() == newest, "I11: a transfer beyond the budget; {}", self.story());
        self.kill();
        Ok(())
    }

    /// The last word on a world: chain, venue and journal agree.
    pub fn close(&mut self) -> Result<()> {
        self.check(0)?;
        let (moved, credited) = (self.spent()?, self.credited()? - self.credited_before);
        ensure!(moved == credited, "{moved} millionths left the wallet, and the venue credited {credited}");
        let (code, out, err) = self.command(&["audit"])?;
        ensure!(code == Some(0) && out.contains("0 findings"), "the audit: {out}{err}");
        Ok(())
    }
}
