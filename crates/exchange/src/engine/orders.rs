//! Orders and how they end.

use domain::{Px, Qty, Side};
use rust_decimal::{Decimal, RoundingStrategy};

use super::{Exchange, Market};
use crate::event::{Event, OrderStatus, OrderUpdate};
use crate::op::{AccountKey, Asset, TimeInForce};
use crate::view::{OrderView, TriggerView};

/// Ended orders that can still be asked about, over all accounts.
const ENDED_KEPT: usize = 200_000;

/// Where a live order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Crossing the book right now.
    Taking,
    /// In the book.
    Resting,
    /// A trigger that waits for the mark.
    Sleeping,
    /// A child whose parent is not filled.
    WaitingForParent,
    /// Ended.
    Ended,
}

#[derive(Clone, Debug)]
pub(super) struct Order {
    pub oid: u64,
    pub account: AccountKey,
    pub asset: Asset,
    pub side: Side,
    pub px: Px,
    pub orig: Qty,
    pub remaining: Qty,
    pub filled: Qty,
    /// Σ price in ticks × lots of the fills.
    pub filled_value: i128,
    pub reduce_only: bool,
    pub tif: TimeInForce,
    pub trigger: Option<TriggerView>,
    pub position_tpsl: bool,
    pub cloid: Option<u128>,
    pub placed_ms: u64,
    pub stage: Stage,
    pub status: OrderStatus,
    pub status_ms: u64,
    /// Time priority while resting.
    pub seq: u64,
    pub parent: Option<u64>,
    pub children: Vec<u64>,
    /// The other take-profit and stop-loss orders of its group.
    pub siblings: Vec<u64>,
}

impl Order {
    /// Average fill price, 12 decimals.
    pub(super) fn avg_px(&self, market: &Market) -> Decimal {
        Decimal::try_from_i128_with_scale(self.filled_value, 0)
            .ok()
            .and_then(|value| value.checked_div(Decimal::from(self.filled.0)))
            .and_then(|ticks| ticks.checked_mul(market.instrument().tick))
            .map_or(Decimal::ZERO, |px| px.round_dp_with_strategy(12, RoundingStrategy::MidpointAwayFromZero))
    }
}

impl Exchange {
    /// The order as its owner sees it, with children that wait for it.
    pub(super) fn order_view(&self, order: &Order) -> OrderView {
        let waiting = |oid: &u64| self.orders.get(oid).filter(|child| child.stage == Stage::WaitingForParent);
        OrderView {
            asset: order.asset,
            oid: order.oid,
            cloid: order.cloid,
            side: order.side,
            px: order.px,
            qty: order.remaining,
            orig_qty: order.orig,
            placed_ms: order.placed_ms,
            reduce_only: order.reduce_only,
            tif: order.trigger.is_none().then_some(order.tif),
            trigger: order.trigger,
            is_position_tpsl: order.position_tpsl,
            children: order.children.iter().filter_map(waiting).map(|child| self.order_view(child)).collect(),
        }
    }

    /// Records a status, tells it, and forgets what ended long ago.
    pub(super) fn set_status(&mut self, oid: u64, status: OrderStatus) {
        let now = self.now_ms;
        let Some(order) = self.orders.get_mut(&oid) else { return };
        order.status = status;
        order.status_ms = now;
        let account = order.account;
        if !status.is_live() {
            order.stage = Stage::Ended;
            self.ended.push_back(oid);
            if let Some(owner) = self.accounts.get_mut(&account) {
                owner.open.remove(&oid);
            }
        }
        if let Some(order) = self.orders.get(&oid) {
            let update = OrderUpdate { account, order: self.order_view(order), status, at_ms: now };
            if let Some(owner) = self.accounts.get_mut(&account) {
                owner.keep_status(update.clone());
            }
            self.events.push(Event::Order(update));
        }
        while self.ended.len() > ENDED_KEPT {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let gone = self.ended.pop_front().and_then(|oid| self.orders.remove(&oid));
        if let Some(Order { account, cloid: Some(cloid), oid, .. }) = gone
            && let Some(owner) = self.accounts.get_mut(&account)
            && owner.cloids.get(&cloid) == Some(&oid)
        {
            owner.cloids.remove(&cloid);
        }
    }

    /// Puts the order's remainder at the end of its level's queue.
    pub(super) fn rest(&mut self, oid: u64) {
        let seq = self.next_seq;
        self.next_seq += 1;
        let Some(order) = self.orders.get_mut(&oid) else { return };
        let Some(market) = self.markets.get_mut(&order.asset) else { return };
        let Some(account) = self.accounts.get_mut(&order.account) else { return };
        order.stage = Stage::Resting;
        order.seq = seq;
        market.book.rest(order.side, order.px, seq, oid, order.account, order.remaining);
        if order.reduce_only {
            account.reduce_only.entry(order.asset).or_default().insert((seq, oid));
        } else {
            let resting = account.resting.entry((order.asset, order.side)).or_default();
            resting.lots += order.remaining.0;
            resting.value += i128::from(order.px.0) * i128::from(order.remaining.0);
        }
        let (asset, owner, reduce_only) = (order.asset, order.account, order.reduce_only);
        self.changed_books.insert(asset);
        self.set_status(oid, OrderStatus::Open);
        if reduce_only {
            self.keep_reduce_only(owner, asset);
        }
    }

    /// Sets what remains of a resting order, in the book and in every sum; zero takes it out of the book.
    pub(super) fn set_resting(&mut self, oid: u64, remaining: Qty) {
        let Some(order) = self.orders.get_mut(&oid).filter(|o| o.stage == Stage::Resting) else { return };
        let change = remaining.0 - order.remaining.0;
        order.remaining = remaining;
        if let Some(market) = self.markets.get_mut(&order.asset) {
            market.book.set_qty(order.side, order.px, order.seq, remaining);
        }
        if let Some(account) = self.accounts.get_mut(&order.account) {
            if !order.reduce_only {
                let resting = account.resting.entry((order.asset, order.side)).or_default();
                resting.lots += change;
                resting.value += i128::from(order.px.0) * i128::from(change);
            } else if remaining.is_zero()
                && let Some(list) = account.reduce_only.get_mut(&order.asset)
            {
                list.remove(&(order.seq, oid));
            }
        }
        self.changed_books.insert(order.asset);
    }

    /// Makes a trigger wait for the mark.
    pub(super) fn sleep(&mut self, oid: u64) {
        let Some(order) = self.orders.get_mut(&oid) else { return };
        let (Some(trigger), Some(market)) = (order.trigger, self.markets.get_mut(&order.asset)) else { return };
        order.stage = Stage::Sleeping;
        let index = if trigger.fires_above(order.side) { &mut market.above } else { &mut market.below };
        index.insert((trigger.px, oid));
        if let Some(account) = self.accounts.get_mut(&order.account) {
            account.triggers.entry(order.asset).or_default().insert(oid);
        }
        self.set_status(oid, OrderStatus::Open);
    }

    /// Takes a trigger out of the lists of those that wait.
    pub(super) fn wake_trigger(&mut self, oid: u64) {
        let Some(order) = self.orders.get_mut(&oid).filter(|o| o.stage == Stage::Sleeping) else { return };
        order.stage = Stage::Taking;
        if let (Some(trigger), Some(market)) = (order.trigger, self.markets.get_mut(&order.asset)) {
            market.above.remove(&(trigger.px, oid));
            market.below.remove(&(trigger.px, oid));
        }
        if let Some(account) = self.accounts.get_mut(&order.account)
            && let Some(list) = account.triggers.get_mut(&order.asset)
        {
            list.remove(&oid);
        }
    }

    /// Ends a live order with `status`; what still waits for it ends as well.
    pub(super) fn end_order(&mut self, oid: u64, status: OrderStatus) {
        let Some(order) = self.orders.get(&oid).filter(|o| o.stage != Stage::Ended) else { return };
        let (stage, remaining) = (order.stage, order.remaining);
        match stage {
            Stage::Resting => {
                self.set_resting(oid, Qty::ZERO);
                // the report shows what was left
                if let Some(order) = self.orders.get_mut(&oid) {
                    order.remaining = remaining;
                }
            }
            Stage::Sleeping => self.wake_trigger(oid),
            Stage::Taking | Stage::WaitingForParent | Stage::Ended => {}
        }
        self.set_status(oid, status);
        let children = self.orders.get(&oid).map(|o| o.children.clone()).unwrap_or_default();
        for child in children {
            if self.orders.get(&child).is_some_and(|c| c.stage == Stage::WaitingForParent) {
                self.end_order(child, status);
            }
        }
    }

    /// A fully filled order: its children begin to watch the mark.
    pub(super) fn filled(&mut self, oid: u64) {
        self.set_status(oid, OrderStatus::Filled);
        self.wake_children(oid);
    }

    pub(super) fn wake_children(&mut self, oid: u64) {
        let children = self.orders.get(&oid).map(|o| o.children.clone()).unwrap_or_default();
        for child in children {
            if self.orders.get(&child).is_some_and(|c| c.stage == Stage::WaitingForParent) {
                self.sleep(child);
            }
        }
    }

    /// Ends every order of an account, or of one of its markets.
    pub(super) fn end_all(&mut self, account: AccountKey, asset: Option<Asset>, status: OrderStatus) {
        let open: Vec<u64> = self.accounts.get(&account).map(|a| a.open.iter().copied().collect()).unwrap_or_default();
        for oid in open {
            if self.orders.get(&oid).is_some_and(|o| asset.is_none_or(|asset| o.asset == asset)) {
                self.end_order(oid, status);
            }
        }
    }
}
