//! New orders, cancels, modifications and triggers.

use domain::{Instrument, Px, Qty, Side};
use rust_decimal::Decimal;

use super::orders::{Order, Stage};
use super::{Exchange, Market};
use crate::event::OrderStatus;
use crate::op::{AccountKey, Asset, CancelResult, Grouping, NewOrder, OrderKind, OrderRef, Placed, TimeInForce};
use crate::refusal::{OrderRefusal, OrderRefusalKind as Kind};
use crate::view::TriggerView;

/// The venue's own limit on how many open orders volume can earn, and the volume that earns one (fact sheet §2.3).
const OPEN_ORDERS_CAP: u64 = 5_000;
const VOLUME_PER_OPEN_ORDER: u64 = 5_000_000;
/// How far a limit price may lie from the mark, in percent of it (fact sheet §2.2).
const BAND_PERCENT: i128 = 80;
/// A limit order may be worth this many market orders (fact sheet §2.2).
const LIMIT_PER_MARKET_ORDER: u32 = 10;

/// What an order is to the others of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Stands alone, or is a parent.
    Single,
    /// A child whose parent is filled (`false`) or still rests (`true`).
    Child { parent: u64, waits: bool },
    /// Take-profit or stop-loss of the whole position.
    Position,
}

/// An order whose numbers lie on the grid.
struct Draft {
    asset: Asset,
    side: Side,
    px: Px,
    qty: Qty,
    reduce_only: bool,
    tif: TimeInForce,
    trigger: Option<TriggerView>,
    cloid: Option<u128>,
}

impl Exchange {
    pub(super) fn place_batch(&mut self, account: AccountKey, orders: &[NewOrder], grouping: Grouping) -> Vec<Placed> {
        match grouping {
            Grouping::Na => orders.iter().map(|new| self.place(account, new, Role::Single)).collect(),
            Grouping::PositionTpsl => {
                if !orders.iter().all(|new| is_protective(new) && orders.first().is_some_and(|first| same_way(first, new))) {
                    return refuse_all(orders, Kind::Grouping);
                }
                let placed: Vec<Placed> = orders.iter().map(|new| self.place(account, new, Role::Position)).collect();
                self.make_siblings(&placed);
                placed
            }
            Grouping::NormalTpsl => {
                let Some((first, children)) = orders.split_first() else { return Vec::new() };
                let fits = |child: &NewOrder| is_protective(child) && child.asset == first.asset && child.side != first.side;
                if !matches!(first.kind, OrderKind::Limit(_)) || !children.iter().all(fits) {
                    return refuse_all(orders, Kind::Grouping);
                }
                let parent = self.place(account, first, Role::Single);
                let (oid, waits) = match &parent {
                    Placed::Resting { oid, .. } => (*oid, true),
                    Placed::Filled { oid, .. } => (*oid, false),
                    Placed::Error(refusal) => {
                        return orders.iter().map(|_| Placed::Error(refusal.clone())).collect();
                    }
                    Placed::WaitingForFill { .. } | Placed::WaitingForTrigger { .. } => {
                        return refuse_all(orders, Kind::Grouping);
                    }
                };
                let role = Role::Child { parent: oid, waits };
                let placed: Vec<Placed> = children.iter().map(|child| self.place(account, child, role)).collect();
                self.make_siblings(&placed);
                std::iter::once(parent).chain(placed).collect()
            }
        }
    }

    fn make_siblings(&mut self, placed: &[Placed]) {
        let oids: Vec<u64> = placed
            .iter()
            .filter_map(|p| match p {
                Placed::WaitingForFill { oid } | Placed::WaitingForTrigger { oid } => Some(*oid),
                Placed::Resting { .. } | Placed::Filled { .. } | Placed::Error(_) => None,
            })
            .collect();
        for oid in &oids {
            if let Some(order) = self.orders.get_mut(oid) {
                order.siblings = oids.iter().copied().filter(|other| other != oid).collect();
            }
        }
    }

    fn place(&mut self, account: AccountKey, new: &NewOrder, role: Role) -> Placed {
        match self.draft(new, role) {
            Ok(draft) => self.place_draft(account, &draft, role),
            Err(kind) => Placed::Error(OrderRefusal::new(kind, new.asset)),
        }
    }

    /// Reads the client's numbers onto the market's grid.
    fn draft(&self, new: &NewOrder, role: Role) -> Result<Draft, Kind> {
        let market = self.markets.get(&new.asset).ok_or(Kind::UnknownAsset)?;
        let instrument = market.instrument();
        let px = instrument.px_exact(new.px).map_err(|_| Kind::InvalidPrice)?;
        let whole_position = role == Role::Position && new.qty.is_zero();
        let qty = instrument.qty_exact(new.qty).map_err(|_| Kind::InvalidSize)?;
        if qty.is_zero() && !whole_position {
            return Err(Kind::ZeroSize);
        }
        let (tif, trigger) = match new.kind {
            OrderKind::Limit(TimeInForce::LiquidationMarket) => return Err(Kind::Grouping),
            OrderKind::Limit(tif) => (tif, None),
            OrderKind::Trigger { is_market, trigger_px, tpsl } => {
                let at = instrument.px_exact(trigger_px).ok().filter(|px| instrument.allows_px(*px)).ok_or(Kind::TriggerPrice)?;
                let tif = if is_market { TimeInForce::Ioc } else { TimeInForce::Gtc };
                (tif, Some(TriggerView { px: at, is_market, tpsl, fired: false }))
            }
        };
        let NewOrder { asset, side, reduce_only, cloid, .. } = *new;
        let reduce_only = reduce_only || role != Role::Single;
        Ok(Draft { asset, side, px, qty, reduce_only, tif, trigger, cloid })
    }

    fn place_draft(&mut self, account: AccountKey, draft: &Draft, role: Role) -> Placed {
        let oid = self.next_oid;
        self.next_oid += 1;
        let verdict = self.judge(account, draft, role);
        let effective = match &verdict {
            Ok(qty) => *qty,
            Err(_) => draft.qty,
        };
        if let Err(refusal) = &verdict
            && refusal.kind.status().is_none()
        {
            return Placed::Error(refusal.clone());
        }
        let now = self.now_ms;
        let order = Order {
            oid,
            account,
            asset: draft.asset,
            side: draft.side,
            px: draft.px,
            orig: draft.qty,
            remaining: effective,
            filled: Qty::ZERO,
            filled_value: 0,
            reduce_only: draft.reduce_only,
            tif: draft.tif,
            trigger: draft.trigger,
            position_tpsl: role == Role::Position,
            cloid: draft.cloid,
            placed_ms: now,
            stage: Stage::Taking,
            status: OrderStatus::Open,
            status_ms: now,
            seq: 0,
            parent: None,
            children: Vec::new(),
            siblings: Vec::new(),
        };
        self.orders.insert(oid, order);
        if let Some(owner) = self.accounts.get_mut(&account) {
            owner.open.insert(oid);
            if let Some(cloid) = draft.cloid {
                owner.cloids.insert(cloid, oid);
            }
        }
        if let Err(refusal) = verdict {
            self.set_status(oid, refusal.kind.status().unwrap_or(OrderStatus::Rejected));
            return Placed::Error(refusal);
        }
        match role {
            Role::Child { parent, waits } => {
                if let Some(order) = self.orders.get_mut(&oid) {
                    order.parent = Some(parent);
                }
                if let Some(order) = self.orders.get_mut(&parent) {
                    order.children.push(oid);
                }
                if waits {
                    if let Some(order) = self.orders.get_mut(&oid) {
                        order.stage = Stage::WaitingForParent;
                    }
                    return Placed::WaitingForFill { oid };
                }
                self.sleep(oid);
                Placed::WaitingForTrigger { oid }
            }
            Role::Position => {
                self.sleep(oid);
                Placed::WaitingForTrigger { oid }
            }
            Role::Single if draft.trigger.is_some() => {
                self.sleep(oid);
                Placed::Resting { oid, cloid: draft.cloid }
            }
            Role::Single => {
                self.take(oid, None);
                self.after_taking(oid)
            }
        }
    }

    /// Everything a venue checks before it looks at the book's other side. The effective size if nothing is wrong.
    fn judge(&self, account: AccountKey, draft: &Draft, role: Role) -> Result<Qty, OrderRefusal> {
        let refuse = |kind| Err(OrderRefusal::new(kind, draft.asset));
        let (Some(market), Some(owner)) = (self.markets.get(&draft.asset), self.accounts.get(&account)) else {
            return refuse(Kind::UnknownAsset);
        };
        let instrument = market.instrument();
        if market.is_halted() {
            return refuse(Kind::Halted);
        }
        if !instrument.allows_px(draft.px) {
            return refuse(Kind::Tick);
        }
        let mark = market.mark();
        if i128::from(draft.px.0.abs_diff(mark.0)) * 100 > i128::from(mark.0) * BAND_PERCENT {
            return refuse(Kind::PriceBand);
        }
        let post_only = self.now_ms < self.post_only_until_ms || instrument.status == domain::MarketStatus::PostOnly;
        if post_only && draft.trigger.is_none() && draft.tif != TimeInForce::Alo {
            return refuse(Kind::PostOnlyWindow);
        }
        if self.rules.refuse_live_cloid
            && let Some(oid) = draft.cloid.and_then(|cloid| owner.cloids.get(&cloid))
            && owner.open.contains(oid)
        {
            return refuse(Kind::DuplicateCloid);
        }
        let room = owner.reducible(draft.asset, draft.side);
        let needs_position = draft.reduce_only && (draft.trigger.is_none() || role == Role::Position);
        if needs_position && room.is_zero() {
            return refuse(Kind::ReduceOnly);
        }
        let qty = if draft.reduce_only && draft.trigger.is_none() { draft.qty.min(room) } else { draft.qty };
        let units = i128::from(draft.px.0) * i128::from(draft.qty.0);
        let most = market.spec.market_order_notional_max.decimal()
            * if draft.tif.rests() { Decimal::from(LIMIT_PER_MARKET_ORDER) } else { Decimal::ONE };
        if Decimal::try_from_i128_with_scale(units, 0)
            .ok()
            .and_then(|u| u.checked_mul(instrument.tick_lot()))
            .is_none_or(|v| v > most)
        {
            return refuse(Kind::MaxNotional);
        }
        let closes_whole = !room.is_zero() && (draft.qty == room || draft.reduce_only && draft.qty >= room);
        let small = instrument.notional(draft.px, qty) < instrument.notional_min || qty < instrument.qty_min;
        if small && !closes_whole && role == Role::Single {
            return refuse(Kind::MinNotional);
        }
        let open = owner.open.len() as u64;
        let volume = owner.volume.decimal() / Decimal::from(VOLUME_PER_OPEN_ORDER);
        let earned = u64::try_from(volume.floor()).unwrap_or(0);
        let base = u64::from(self.rules.open_orders_max);
        let second_class = draft.reduce_only || draft.trigger.is_some();
        if open >= (base + earned).min(OPEN_ORDERS_CAP.max(base)) || second_class && open >= base {
            return refuse(Kind::TooManyOrders);
        }
        if let Some(trigger) = draft.trigger {
            let reached = trigger.is_reached(draft.side, mark);
            if reached && !matches!(role, Role::Child { waits: true, .. }) {
                return refuse(Kind::TriggerPrice);
            }
            return Ok(qty);
        }
        if !draft.reduce_only {
            self.judge_margin(owner, market, draft.side, draft.px, qty).map_err(|kind| OrderRefusal::new(kind, draft.asset))?;
        }
        if draft.tif == TimeInForce::Alo && market.book.would_take(draft.side, draft.px) {
            let text = format!("Post only order would have immediately matched, bbo was {}.", bbo(market));
            return Err(OrderRefusal::worded(Kind::PostOnly, draft.asset, text));
        }
        Ok(qty)
    }

    /// An order took what it could: it is filled, rests, or dies.
    fn after_taking(&mut self, oid: u64) -> Placed {
        let Some(order) = self.orders.get(&oid) else {
            return Placed::Error(OrderRefusal::new(Kind::UnknownOrder, Asset(0)));
        };
        let (asset, cloid, tif, filled, remaining) = (order.asset, order.cloid, order.tif, order.filled, order.remaining);
        let avg_px = self.markets.get(&asset).map_or(Decimal::ZERO, |market| order.avg_px(market));
        let done = Placed::Filled { oid, cloid, total: filled, avg_px };
        if remaining.is_zero() && !filled.is_zero() {
            self.filled(oid);
            return done;
        }
        if tif.rests() && !remaining.is_zero() {
            self.rest(oid);
            // a younger reduce-only order displaces older ones, never itself
            return Placed::Resting { oid, cloid };
        }
        if !filled.is_zero() {
            self.set_status(oid, OrderStatus::Canceled);
            self.wake_children(oid);
            return done;
        }
        let kind = if tif == TimeInForce::FrontendMarket { Kind::NoLiquidity } else { Kind::NothingToTake };
        self.set_status(oid, kind.status().unwrap_or(OrderStatus::Rejected));
        Placed::Error(OrderRefusal::new(kind, asset))
    }

    pub(super) fn cancel(&mut self, account: AccountKey, asset: Asset, oid: Option<u64>) -> CancelResult {
        let live = oid.filter(|oid| {
            self.orders.get(oid).is_some_and(|o| o.account == account && o.asset == asset && o.stage != Stage::Ended)
        });
        match live {
            Some(oid) => {
                self.end_order(oid, OrderStatus::Canceled);
                Ok(())
            }
            None => Err(OrderRefusal::new(Kind::UnknownOrder, asset)),
        }
    }

    pub(super) fn modify(&mut self, account: AccountKey, order: OrderRef, new: &NewOrder, always_place: bool) -> Placed {
        let oid = match order {
            OrderRef::Oid(oid) => Some(oid),
            OrderRef::Cloid(cloid) => self.accounts.get(&account).and_then(|a| a.cloids.get(&cloid)).copied(),
        };
        let old = oid.and_then(|oid| self.orders.get(&oid)).filter(|o| o.account == account && o.stage != Stage::Ended);
        let old = old.filter(|o| o.asset == new.asset).map(|o| (o.oid, o.cloid, o.position_tpsl, o.parent, o.stage));
        let Some((old, old_cloid, position_tpsl, parent, stage)) = old else {
            if always_place {
                return self.place(account, new, Role::Single);
            }
            return Placed::Error(OrderRefusal::new(Kind::CannotModify, new.asset));
        };
        let role = match (is_protective(new), position_tpsl, parent) {
            (true, true, _) => Role::Position,
            (true, false, Some(parent)) => Role::Child { parent, waits: stage == Stage::WaitingForParent },
            _ => Role::Single,
        };
        // an order that no grid could hold does not cost the old one
        let draft = match self.draft(new, role) {
            Ok(draft) => Draft { cloid: new.cloid.or(old_cloid), ..draft },
            Err(kind) => return Placed::Error(OrderRefusal::new(kind, new.asset)),
        };
        let siblings = self.orders.get(&old).map(|o| o.siblings.clone()).unwrap_or_default();
        self.end_order(old, OrderStatus::Canceled);
        let placed = self.place_draft(account, &draft, role);
        if let Placed::WaitingForFill { oid } | Placed::WaitingForTrigger { oid } = placed {
            for sibling in &siblings {
                if let Some(sibling) = self.orders.get_mut(sibling) {
                    sibling.siblings.retain(|other| *other != old);
                    sibling.siblings.push(oid);
                }
            }
            if let Some(order) = self.orders.get_mut(&oid) {
                order.siblings = siblings;
            }
        }
        placed
    }

    /// Fires every trigger that the mark has reached.
    pub(super) fn fire_triggers(&mut self) {
        let assets: Vec<Asset> = self.markets.keys().copied().collect();
        for asset in assets {
            while let Some(oid) = self.reached_trigger(asset) {
                self.fire(oid);
            }
        }
    }

    fn reached_trigger(&self, asset: Asset) -> Option<u64> {
        let market = self.markets.get(&asset).filter(|m| !m.is_halted())?;
        let up = market.above.first().filter(|(px, _)| *px <= market.mark());
        let down = market.below.last().filter(|(px, _)| *px >= market.mark());
        up.or(down).map(|(_, oid)| *oid)
    }

    fn fire(&mut self, oid: u64) {
        self.wake_trigger(oid);
        let Some(order) = self.orders.get_mut(&oid) else { return };
        if let Some(trigger) = &mut order.trigger {
            trigger.fired = true;
        }
        let (account, asset, side, px, reduce_only) = (order.account, order.asset, order.side, order.px, order.reduce_only);
        self.set_status(oid, OrderStatus::Triggered);
        let (Some(owner), Some(market)) = (self.accounts.get(&account), self.markets.get(&asset)) else { return };
        let room = owner.reducible(asset, side);
        if reduce_only && room.is_zero() {
            self.end_order(oid, OrderStatus::ReduceOnlyCanceled);
            return;
        }
        let wanted = self.orders.get(&oid).map_or(Qty::ZERO, |o| o.remaining);
        let wanted = if wanted.is_zero() { room } else { wanted };
        if !reduce_only && self.judge_margin(owner, market, side, px, wanted).is_err() {
            self.end_order(oid, OrderStatus::PerpMarginRejected);
            return;
        }
        if let Some(order) = self.orders.get_mut(&oid) {
            order.remaining = if reduce_only { wanted.min(room) } else { wanted };
        }
        self.take(oid, None);
        self.after_taking(oid);
    }
}

/// The best bid and ask as the venue's refusal prints them; an empty side is 0.
fn bbo(market: &Market) -> String {
    let px = |side| market.book.best(side).map_or(Decimal::ZERO, |px| market.instrument().px_decimal(px).normalize());
    format!("{}@{}", px(Side::Buy), px(Side::Sell))
}

fn is_protective(new: &NewOrder) -> bool {
    matches!(new.kind, OrderKind::Trigger { .. })
}

fn same_way(a: &NewOrder, b: &NewOrder) -> bool {
    a.asset == b.asset && a.side == b.side
}

fn refuse_all(orders: &[NewOrder], kind: Kind) -> Vec<Placed> {
    orders.iter().map(|new| Placed::Error(OrderRefusal::new(kind, new.asset))).collect()
}

/// Acceptable price `percent` of the mark beyond it on the aggressor's side, for orders that the venue itself sends.
pub(super) fn px_beyond(instrument: &Instrument, mark: Px, side: Side, percent: i64) -> Px {
    let distance = mark.0 / 100 * percent;
    match side {
        Side::Buy => instrument.floor_px(Px(mark.0 + distance)),
        Side::Sell => instrument.ceil_px(Px((mark.0 - distance).max(1))),
    }
}
