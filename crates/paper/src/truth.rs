//! The venue's own memory of an account, for tests: nothing is trimmed or merged as the public reads do.

use std::collections::BTreeMap;

use domain::ClientKey;
use exchange::{AccountKey, Event, FillRecord, NewOrder, OrderUpdate};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use wire::hyperliquid::Address;

use crate::universe::Universe;

/// Most orders remembered per account. A venue that lived longer says so ([`Truth::complete`]).
const ORDERS_MAX: usize = 1_000_000;
/// Most fills remembered per account.
const FILLS_MAX: usize = 1_000_000;

/// Everything that ever happened to one account's orders.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// Whose.
    pub user: String,
    /// False if memory bounds were reached and something is missing.
    pub complete: bool,
    /// Net filled size by coin: bought minus sold.
    pub net: BTreeMap<String, Decimal>,
    /// Bought and sold by coin.
    pub volume: BTreeMap<String, (Decimal, Decimal)>,
    /// All orders by number.
    pub orders: Vec<OrderTruth>,
    /// Every fill, oldest first, in the form of `userFills`.
    pub fills: Vec<serde_json::Value>,
    /// Client names that arrived in more than one new order, refused ones included (I02). Modifications keep their name and
    /// do not count.
    pub duplicate_cloids: Vec<ClientKey>,
    /// Trades that were booked twice to one order; always empty.
    pub duplicate_tids: Vec<u64>,
}

/// One order's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderTruth {
    /// The venue's number.
    pub oid: u64,
    /// The client's name.
    pub cloid: Option<ClientKey>,
    /// The market.
    pub coin: String,
    /// `B` or `A`.
    pub side: String,
    /// Limit price.
    pub px: Decimal,
    /// Requested size.
    pub sz: Decimal,
    /// Filled size.
    pub filled: Decimal,
    /// Last status.
    pub status: String,
    /// Since when, venue time in UTC milliseconds.
    pub at_ms: u64,
}

/// What the venue remembers of one account.
#[derive(Debug, Default)]
struct Memory {
    orders: BTreeMap<u64, OrderUpdate>,
    fills: Vec<FillRecord>,
    arrivals: BTreeMap<u128, u32>,
    lost: bool,
}

/// What the venue remembers of all accounts.
#[derive(Debug, Default)]
pub(crate) struct Memories {
    by_account: BTreeMap<AccountKey, Memory>,
}

impl Memories {
    /// A new order arrived, whatever becomes of it.
    pub(crate) fn arrived(&mut self, account: AccountKey, order: &NewOrder) {
        let Some(cloid) = order.cloid else { return };
        let memory = self.by_account.entry(account).or_default();
        if memory.arrivals.len() < ORDERS_MAX {
            *memory.arrivals.entry(cloid).or_default() += 1;
        } else {
            memory.lost = true;
        }
    }

    pub(crate) fn note(&mut self, event: &Event) {
        match event {
            Event::Order(update) => {
                let memory = self.by_account.entry(update.account).or_default();
                memory.orders.insert(update.order.oid, update.clone());
                if memory.orders.len() > ORDERS_MAX {
                    memory.orders.pop_first();
                    memory.lost = true;
                }
            }
            Event::Fill(fill) => {
                let memory = self.by_account.entry(fill.account).or_default();
                if memory.fills.len() < FILLS_MAX {
                    memory.fills.push(fill.clone());
                } else {
                    memory.lost = true;
                }
            }
            Event::Trade(_)
            | Event::Book(_)
            | Event::Context(_)
            | Event::Funding(_)
            | Event::Ledger(_)
            | Event::Liquidation(_) => {}
        }
    }

    /// Of orders and fills only what changed or happened at `since_ms` or later; sums and names used twice are of all times.
    pub(crate) fn truth(
        &self,
        account: AccountKey,
        user: Address,
        since_ms: u64,
        universe: &Universe,
        fill: impl Fn(&FillRecord) -> serde_json::Value,
    ) -> Truth {
        let mut truth = Truth { user: user.to_string(), complete: true, ..Truth::default() };
        let Some(memory) = self.by_account.get(&account) else { return truth };
        truth.complete = !memory.lost;
        let mut filled: BTreeMap<u64, Decimal> = BTreeMap::new();
        let mut seen = std::collections::BTreeSet::new();
        for record in &memory.fills {
            let Some(market) = universe.market(record.asset) else { continue };
            let sz = market.instrument.qty_decimal(record.qty);
            let coin = market.name().to_owned();
            let signed = sz * Decimal::from(record.side.sign());
            *truth.net.entry(coin.clone()).or_default() += signed;
            let (bought, sold) = truth.volume.entry(coin).or_default();
            if record.side.sign() > 0 {
                *bought += sz
            } else {
                *sold += sz
            }
            *filled.entry(record.oid).or_default() += sz;
            if !seen.insert((record.tid, record.oid)) {
                truth.duplicate_tids.push(record.tid);
            }
            if record.at_ms >= since_ms {
                truth.fills.push(fill(record));
            }
        }
        for update in memory.orders.values().filter(|update| update.at_ms >= since_ms) {
            let Some(market) = universe.market(update.order.asset) else { continue };
            truth.orders.push(OrderTruth {
                oid: update.order.oid,
                cloid: update.order.cloid.map(ClientKey::from_bits),
                coin: market.name().to_owned(),
                side: crate::render::side(update.order.side).to_owned(),
                px: market.instrument.px_decimal(update.order.px),
                sz: market.instrument.qty_decimal(update.order.orig_qty),
                filled: filled.get(&update.order.oid).copied().unwrap_or_default(),
                status: update.status.word().to_owned(),
                at_ms: update.at_ms,
            });
        }
        truth.duplicate_cloids =
            memory.arrivals.iter().filter(|(_, n)| **n > 1).map(|(cloid, _)| ClientKey::from_bits(*cloid)).collect();
        truth
    }
}
