//! Brings a transfer to the state wanted, does it harm, and sees it to its end.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use plimsoll_tests::Fate;
use plimsoll_tests::anvil::RICH;
use plimsoll_tests::rpc_proxy::SEND;
use serde_json::json;

use super::cell::{Cell, Fault, Point};
use super::tail::{Deal, Tail};
use super::world::{CONFIRMATIONS, CREDIT_DEPTH, LITTLE, NEW, SAFE_DEPTH, SOON, World};

/// The trial run's last call, and the only single one of this name: held, nothing is signed.
const TRIAL: &str = "eth_estimateGas";
/// Gwei per unit of gas: above what a transaction of a calm chain offers, and within its cap.
const DEAR: u64 = 20;
/// Above any cap of the daemon's settings.
const BEYOND: u64 = 1_000;
/// How long dear blocks, and a paused token, last after the kill.
const TROUBLE: Duration = Duration::from_secs(4);
/// Deepest reorganisation.
const REORG_MAX: u64 = 64;
/// Between two steps of the chain.
const BLOCK_EVERY: Duration = Duration::from_millis(120);

fn any(tail: &Tail, id: u64, wanted: impl Fn(&Deal) -> bool) -> bool {
    tail.deals.get(&id).is_some_and(wanted)
}

impl World {
    /// Starts a daemon and brings the next transfer to the point of `cell`; its number. The daemon is to be killed at once.
    pub fn steer(&mut self, cell: Cell, newest: u64) -> Result<u64> {
        match cell.point {
            Point::Intended => self.each(|end| end.set(TRIAL, Fate::Hold)),
            Point::Signed | Point::Sending => self.each(|end| end.set(SEND, Fate::Hold)),
            Point::Unanswered => self.each(|end| end.set(SEND, Fate::Swallow)),
            Point::Refused => self.chain.admin("pause()", &[])?,
            Point::Sent
            | Point::Dropped
            | Point::Replaced
            | Point::Included
            | Point::Confirmed
            | Point::Reorged
            | Point::Landed
            | Point::Credited
            | Point::Overdue
            | Point::Reverted
            | Point::Burning
            | Point::Burnt
            | Point::Resumed
            | Point::Booting
            | Point::Ended
            | Point::Random => {}
        }
        self.need(LITTLE)?;
        self.spawn(&[])?;
        self.until(NEW, |tail| tail.deals.keys().next_back().is_some_and(|id| *id > newest))?;
        let id = self.tail.deals.keys().next_back().copied().unwrap_or(0);
        if cell.fault == Fault::Reorg || cell.point == Point::Reorged {
            self.mark()?;
        }
        self.reach(cell.point, id)?;
        if self.chance.chance(1, 3) {
            sleep(Duration::from_millis(self.chance.below(60)));
        }
        Ok(id)
    }

    fn each(&self, what: impl Fn(&plimsoll_tests::RpcProxy)) {
        self.ends.iter().for_each(what);
    }

    fn event(&mut self, id: u64, name: &'static str) -> Result<()> {
        self.until(name, |tail| any(tail, id, |deal| deal.has(name)))
    }

    fn reach(&mut self, point: Point, id: u64) -> Result<()> {
        match point {
            Point::Intended => self.ends[0].wait_held(TRIAL, SOON),
            Point::Signed => self.event(id, "signed"),
            Point::Sending => {
                self.ends[0].wait_held(SEND, SOON)?;
                self.event(id, "sent")
            }
            Point::Unanswered => {
                self.event(id, "sent")?;
                self.in_pool()
            }
            Point::Sent => self.until_pooled(id),
            Point::Dropped => {
                self.until_pooled(id)?;
                // the wallet has seen it there
                sleep(Duration::from_millis(500));
                self.chain.rpc("anvil_dropAllTransactions", json!([]))?;
                self.event(id, "dropped")
            }
            Point::Replaced => {
                self.until_pooled(id)?;
                self.chain.base_fee(DEAR)?;
                self.chain.mine(1)?;
                self.until("a replacement", |tail| any(tail, id, |deal| deal.attempts.len() >= 2))
            }
            Point::Included => self.until_included(id),
            Point::Confirmed => {
                self.until_included(id)?;
                self.chain.mine(CONFIRMATIONS)?;
                self.event(id, "confirmed")
            }
            Point::Reorged => {
                self.until_included(id)?;
                self.reorg()?;
                self.event(id, "reorged")
            }
            Point::Landed => {
                self.until_included(id)?;
                self.chain.mine(SAFE_DEPTH + 2)?;
                self.event(id, "final")
            }
            Point::Credited => {
                self.until_included(id)?;
                self.chain.mine(CREDIT_DEPTH)?;
                self.event(id, "credited")
            }
            Point::Overdue => {
                self.until_pooled(id)?;
                self.chain.base_fee(BEYOND)?;
                self.chain.mine(1)?;
                self.event(id, "overdue")
            }
            Point::Refused => self.until("the refusal", |tail| any(tail, id, Deal::over)),
            Point::Reverted => {
                self.until_pooled(id)?;
                self.pause_first()?;
                self.until_included(id)?;
                self.chain.mine(SAFE_DEPTH + 2)?;
                self.event(id, "final")
            }
            Point::Burning => self.until_burning(id),
            Point::Burnt => {
                self.until_burning(id)?;
                self.until_included(id)?;
                self.chain.mine(SAFE_DEPTH + 2)?;
                self.until("the burn's end", |tail| any(tail, id, Deal::over))
            }
            Point::Resumed => {
                self.until_pooled(id)?;
                self.spawn(&[])?;
                self.event(id, "resumed")
            }
            Point::Booting => {
                self.until_pooled(id)?;
                let before = self.tail.tenures;
                self.spawn(&[])?;
                self.until("a second tenure", |tail| tail.tenures > before)
            }
            Point::Ended => self.settle(id, Fault::None),
            Point::Random => {
                let until = Instant::now() + Duration::from_millis(self.chance.below(4_000));
                while Instant::now() < until {
                    let blocks = [1, 1, 3, 20][usize::try_from(self.chance.below(4)).unwrap_or(0)];
                    self.chain.mine(blocks)?;
                    sleep(BLOCK_EVERY);
                }
                Ok(())
            }
        }
    }

    fn in_pool(&self) -> Result<()> {
        let deadline = Instant::now() + SOON;
        while !self.pooled()? {
            ensure!(Instant::now() < deadline, "nothing came to the chain's pool");
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn until_pooled(&mut self, id: u64) -> Result<()> {
        self.event(id, "sent")?;
        self.in_pool()
    }

    /// One block, and what the daemon says of it. A replacement may have been signed meanwhile, and another block be needed.
    fn until_included(&mut self, id: u64) -> Result<()> {
        self.until_pooled(id)?;
        let before = self.deal(id).count("included");
        let deadline = Instant::now() + SOON;
        loop {
            self.chain.mine(1)?;
            let again = Instant::now() + Duration::from_millis(800);
            while Instant::now() < again {
                self.tail.read()?;
                if self.deal(id).count("included") > before {
                    return Ok(());
                }
                self.alive()?;
                sleep(Duration::from_millis(3));
            }
            ensure!(Instant::now() < deadline, "it comes into no block; {}", self.story());
        }
    }

    /// A second tenure that gives up at once.
    fn until_burning(&mut self, id: u64) -> Result<()> {
        self.until_pooled(id)?;
        self.spawn(&["treasury.wallet.give_up_after=2s"])?;
        let burning = |deal: &Deal| deal.attempts.iter().any(|one| one.2 == "burn");
        self.until("a burn", |tail| any(tail, id, burning))
    }

    /// Undoes the newest blocks; what was in them is forgotten.
    fn undo(&mut self) -> Result<()> {
        let Some((snapshot, height)) = self.mark.take() else { return Ok(()) };
        let depth = self.chain.height()? - height;
        // `anvil_reorg` loses the token on a chain of a thousand blocks
        let done = self.chain.rpc("evm_revert", json!([snapshot]))?;
        ensure!(done == true && depth <= REORG_MAX, "{depth} blocks were not undone: {done}");
        self.chain.mine(depth)
    }

    /// What comes from here on can be undone.
    fn mark(&mut self) -> Result<()> {
        let snapshot = self.chain.rpc("evm_snapshot", json!([]))?.as_str().unwrap_or_default().to_owned();
        self.mark = Some((snapshot, self.chain.height()?));
        Ok(())
    }

    /// Blocks up to so many on top of the mark, then undoes them all.
    fn reorg(&mut self) -> Result<()> {
        let since = |world: &World, mark: &Option<(String, u64)>| -> Result<u64> {
            Ok(mark.as_ref().map_or(u64::MAX, |(_, height)| world.chain.height().unwrap_or(u64::MAX).saturating_sub(*height)))
        };
        if since(self, &self.mark)? > REORG_MAX {
            self.mark()?;
        }
        let (have, depth) = (since(self, &self.mark)?, 1 + self.chance.below(REORG_MAX));
        let more = depth.saturating_sub(have).max(u64::from(have == 0));
        if more > 0 {
            self.chain.mine(more)?;
        }
        self.undo()
    }

    /// The token is paused by a transaction that goes before all others of the next block.
    fn pause_first(&self) -> Result<()> {
        // pause(): 0x8456cb59
        let tx = json!({
            "from": RICH, "to": self.chain.token.to_string(), "data": "0x8456cb59",
            "maxFeePerGas": "0x9184e72a000", "maxPriorityFeePerGas": "0x9184e72a000", "gas": "0x30d40",
        });
        self.chain.rpc("eth_sendTransaction", json!([tx])).map(|_| ())
    }

    /// What happens while nobody looks.
    pub fn strike(&mut self, fault: Fault) -> Result<()> {
        match fault {
            Fault::None | Fault::Late => Ok(()),
            Fault::Dropped => self.chain.rpc("anvil_dropAllTransactions", json!([])).map(|_| ()),
            Fault::Replacement => self.dear(DEAR),
            Fault::Spike => self.dear(BEYOND),
            Fault::Reorg => self.reorg(),
            Fault::Revert => {
                self.pause_first()?;
                self.chain.mine(1)
            }
        }
    }

    fn dear(&self, gwei: u64) -> Result<()> {
        self.chain.base_fee(gwei)?;
        self.chain.mine(1)
    }

    /// Block after block until the transfer is over. Trouble lasts a while and then ends; credits that are late are asked for by a
    /// daemon that is killed and started again, as by one that waits.
    pub fn settle(&mut self, id: u64, fault: Fault) -> Result<()> {
        let started = Instant::now();
        let deadline = started + 3 * SOON;
        let mut next_kill = started + Duration::from_secs(8);
        let mut trouble = matches!(fault, Fault::Replacement | Fault::Spike | Fault::Revert);
        let mut seen = 0;
        loop {
            self.tail.read()?;
            let deal = self.deal(id);
            if deal.over() {
                return Ok(());
            }
            self.alive()?;
            ensure!(Instant::now() < deadline, "T{id} does not end; {}", self.story());
            if trouble && started.elapsed() > TROUBLE {
                trouble = false;
            }
            if !trouble && self.paused()? && self.tail.reconciled {
                self.chain.admin("unpause()", &[])?;
            }
            match fault {
                Fault::Replacement if trouble => self.dear(DEAR)?,
                Fault::Spike if trouble => self.dear(BEYOND)?,
                Fault::None | Fault::Dropped | Fault::Replacement | Fault::Reorg | Fault::Spike | Fault::Revert | Fault::Late => {
                    self.chain.base_fee(1)?;
                    self.chain.mine(if deal.included.is_some() { 15 } else { 1 })?;
                }
            }
            // a word of the daemon brings the next block at once
            let again = Instant::now() + BLOCK_EVERY;
            while Instant::now() < again && self.deal(id).events.len() == seen {
                sleep(Duration::from_millis(3));
                self.tail.read()?;
            }
            seen = self.deal(id).events.len();
            if Instant::now() > next_kill {
                self.spawn(&[])?;
                next_kill = Instant::now() + Duration::from_secs(8);
            }
        }
    }
}
