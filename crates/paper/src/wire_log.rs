//! What reached the venue's door, in order of arrival: every action that was posted, whatever became of it. [`crate::Truth`] tells
//! of orders that the venue took; this tells of bytes that left a client, refused, throttled and faulted ones included.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use domain::ClientKey;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use wire::hyperliquid::Address;
use wire::hyperliquid::action::{Action, OrderRequest};

use crate::venue::{Post, items_of};

/// Orders and other actions remembered: hours of a busy daemon. Older ones are forgotten, and [`WirePage::first`] says so.
const ITEMS_MAX: usize = 400_000;
/// Actions told at once.
const PAGE_MAX: usize = 20_000;

/// A part of the record, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WirePage {
    /// The arrival that comes next, so that `since` it is what has not been told yet.
    pub next: u64,
    /// The oldest arrival that is remembered.
    pub first: u64,
    /// The venue's monotonic clock now, nanoseconds; other processes of this machine have the same one.
    pub now_ns: u64,
    /// Arrivals from the one asked for, at most 20,000.
    pub arrivals: Vec<Arrived>,
}

/// An action that reached the venue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrived {
    /// Its place in the order of arrival, from 0.
    pub no: u64,
    /// When its last byte had been read and understood, nanoseconds of the machine's monotonic clock.
    pub at_ns: u64,
    /// The action's `type`; `unreadable` if the body was none.
    pub kind: String,
    /// Whose signature it may bear: one address by network.
    pub signers: Vec<Address>,
    /// Its nonce.
    pub nonce: u64,
    /// Orders, cancels or modifications in it.
    pub items: usize,
    /// The orders that it asks for, modified ones included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<OrderArrived>,
}

/// An order that reached the venue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderArrived {
    /// The market's number.
    pub asset: u32,
    /// Whether it buys.
    pub buys: bool,
    /// Whether it may only shrink a position: all others may increase risk.
    pub reduce_only: bool,
    /// Size, in the client's own text.
    pub sz: String,
    /// The client's name.
    pub cloid: Option<ClientKey>,
}

impl From<&OrderRequest> for OrderArrived {
    fn from(order: &OrderRequest) -> OrderArrived {
        OrderArrived {
            asset: order.asset,
            buys: order.is_buy,
            reduce_only: order.reduce_only,
            sz: order.sz.to_string(),
            cloid: order.cloid,
        }
    }
}

/// The record. Whoever reads bodies writes to it, beside the task that owns the venue.
#[derive(Debug, Default)]
pub(crate) struct WireLog {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    arrivals: VecDeque<Arrived>,
    next: u64,
    items: usize,
}

impl Inner {
    fn push(&mut self, mut arrived: Arrived) {
        // stamped under the lock, so that numbers and times have one order
        arrived.no = self.next;
        arrived.at_ns = monotonic_ns();
        self.next += 1;
        self.items += arrived.orders.len().max(1);
        self.arrivals.push_back(arrived);
        while self.items > ITEMS_MAX
            && let Some(old) = self.arrivals.pop_front()
        {
            self.items -= old.orders.len().max(1);
        }
    }
}

impl WireLog {
    /// An action was read.
    pub(crate) fn note(&self, post: &Post) {
        self.push(Arrived {
            no: 0,
            at_ns: 0,
            kind: post.kind().to_owned(),
            signers: post.candidates.iter().map(|(_, address)| *address).collect(),
            nonce: post.signed.nonce,
            items: items_of(&post.signed.action),
            orders: orders_of(&post.signed.action),
        });
    }

    /// Something was read that is no action.
    pub(crate) fn note_unreadable(&self) {
        let kind = "unreadable".to_owned();
        self.push(Arrived { no: 0, at_ns: 0, kind, signers: Vec::new(), nonce: 0, items: 0, orders: Vec::new() });
    }

    fn push(&self, arrived: Arrived) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).push(arrived);
    }

    /// What arrived from number `since` on.
    pub(crate) fn page(&self, since: u64) -> WirePage {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let first = inner.arrivals.front().map_or(inner.next, |oldest| oldest.no);
        let skip = usize::try_from(since.saturating_sub(first)).unwrap_or(usize::MAX);
        let arrivals: Vec<Arrived> = inner.arrivals.iter().skip(skip).take(PAGE_MAX).cloned().collect();
        let next = arrivals.last().map_or(inner.next, |last| last.no + 1);
        WirePage { next, first, now_ns: monotonic_ns(), arrivals }
    }
}

fn orders_of(action: &Action) -> Vec<OrderArrived> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others ask for no order")]
    match action {
        Action::Order(a) => a.orders.iter().map(OrderArrived::from).collect(),
        Action::Modify(a) => vec![OrderArrived::from(&a.order)],
        Action::BatchModify(a) => a.modifies.iter().map(|modify| OrderArrived::from(&modify.order)).collect(),
        _ => Vec::new(),
    }
}

fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0).saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrived(orders: usize) -> Arrived {
        let order = OrderArrived { asset: 0, buys: true, reduce_only: false, sz: "1".into(), cloid: None };
        let orders = vec![order; orders];
        Arrived { no: 0, at_ns: 0, kind: "order".into(), signers: Vec::new(), nonce: 0, items: orders.len(), orders }
    }

    #[test]
    fn pages_go_on_where_they_ended_and_the_oldest_are_forgotten() {
        let log = WireLog::default();
        assert_eq!((log.page(0).next, log.page(0).first), (0, 0));
        for _ in 0..5 {
            log.push(arrived(2));
        }
        let page = log.page(3);
        assert_eq!(page.arrivals.iter().map(|a| a.no).collect::<Vec<_>>(), [3, 4]);
        assert_eq!((page.next, page.first), (5, 0));
        assert!(page.arrivals.is_sorted_by_key(|a| a.at_ns) && page.now_ns >= page.arrivals[1].at_ns);
        assert!(log.page(5).arrivals.is_empty());
        for _ in 0..ITEMS_MAX / 200 {
            log.push(arrived(200));
        }
        let page = log.page(0);
        assert_eq!((page.first, page.arrivals.len()), (5, ITEMS_MAX / 200), "5 small ones had to go");
        assert_eq!(log.page(page.next).next, page.next);
    }
}
