//! Matching: who trades with whom, at what price, and what that does to both.

use domain::{Lots, Px, Qty, Side, Usd};

use super::orders::Stage;
use super::{Exchange, VAULT};
use crate::account::CENTS;
use crate::book::{Entry, Front};
use crate::event::{Direction, Event, FillRecord, LiquidationInfo, OrderStatus, PublicTrade};
use crate::op::{AccountKey, Asset};

/// One party of a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Party {
    /// Nobody in particular.
    Background,
    /// The liquidator vault.
    Vault,
    /// An account by one of its orders.
    Order { account: AccountKey, oid: u64, cloid: Option<u128> },
}

impl Party {
    fn account(self) -> Option<AccountKey> {
        match self {
            Party::Background => None,
            Party::Vault => Some(VAULT),
            Party::Order { account, .. } => Some(account),
        }
    }
}

/// Who takes, and why.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aggressor {
    pub side: Side,
    pub party: Party,
    pub liquidation: Option<LiquidationInfo>,
}

impl Aggressor {
    /// Anybody of the background.
    pub(super) fn background(side: Side) -> Aggressor {
        Aggressor { side, party: Party::Background, liquidation: None }
    }
}

/// An account's part in a trade.
struct Part {
    tid: u64,
    account: AccountKey,
    oid: u64,
    cloid: Option<u128>,
    side: Side,
    crossed: bool,
}

/// How a trade came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// On the book.
    Match(Option<LiquidationInfo>),
    /// Taken over by the vault, at the mark, without fee or print.
    Backstop(LiquidationInfo),
    /// Automatic deleveraging, at the mark, without fee or print.
    Deleverage,
}

impl Cause {
    fn liquidation(self) -> Option<LiquidationInfo> {
        match self {
            Cause::Match(info) => info,
            Cause::Backstop(info) => Some(info),
            Cause::Deleverage => None,
        }
    }
}

pub(super) struct Trade {
    pub asset: Asset,
    pub px: Px,
    pub qty: Qty,
    /// The aggressor's side.
    pub side: Side,
    pub taker: Party,
    pub maker: Party,
    pub cause: Cause,
}

impl Exchange {
    /// Lets the order take what its limit allows, in price-time order. Own resting orders in the way are cancelled. The remainder
    /// of a reduce-only order must not exceed the position: its own fills shrink both alike.
    pub(super) fn take(&mut self, oid: u64, liquidation: Option<LiquidationInfo>) {
        let Some(order) = self.orders.get(&oid) else { return };
        let (account, asset, side, limit) = (order.account, order.asset, order.side, order.px);
        let party = Party::Order { account, oid, cloid: order.cloid };
        let aggressor = Aggressor { side, party, liquidation };
        loop {
            let wanted = self.orders.get(&oid).map_or(Qty::ZERO, |o| o.remaining);
            let Some(market) = self.markets.get_mut(&asset) else { return };
            if wanted.is_zero() {
                return;
            }
            let Some((px, front)) = market.book.front(side.flip(), limit) else { return };
            match front {
                Front::Background(there) => {
                    let qty = there.min(wanted);
                    market.book.take_background(side.flip(), px, qty);
                    let cause = Cause::Match(liquidation);
                    self.settle(&Trade { asset, px, qty, side, taker: party, maker: Party::Background, cause });
                }
                Front::Order(entry) => {
                    let qty = self.match_resting(asset, px, entry, wanted, aggressor);
                    if qty.is_zero() {
                        continue;
                    }
                }
            }
            self.sibling_filled(oid);
            self.keep_reduce_only(account, asset);
            self.changed_books.insert(asset);
        }
    }

    /// Trades up to `wanted` against one resting order and says how much. Nothing means that the order is gone: it belonged to
    /// the aggressor, or had no margin for the match.
    pub(super) fn match_resting(&mut self, asset: Asset, px: Px, entry: Entry, wanted: Qty, aggressor: Aggressor) -> Qty {
        let Some(order) = self.orders.get(&entry.oid) else { return Qty::ZERO };
        let (side, reduce_only, cloid) = (order.side, order.reduce_only, order.cloid);
        if aggressor.party.account() == Some(entry.account) {
            self.end_order(entry.oid, OrderStatus::SelfTradeCanceled);
            return Qty::ZERO;
        }
        let qty = wanted.min(entry.qty);
        if reduce_only {
            let room = self.accounts.get(&entry.account).map_or(Qty::ZERO, |a| a.reducible(asset, side));
            assert!(qty <= room, "invariant: resting reduce-only orders never exceed the position (I07)");
        } else if !self.maker_has_margin(entry.account, asset, side, px, qty) {
            self.end_order(entry.oid, OrderStatus::MarginCanceled);
            return Qty::ZERO;
        }
        let maker = Party::Order { account: entry.account, oid: entry.oid, cloid };
        self.set_resting(entry.oid, entry.qty.minus(qty));
        let Aggressor { side, party: taker, liquidation } = aggressor;
        self.settle(&Trade { asset, px, qty, side, taker, maker, cause: Cause::Match(liquidation) });
        if qty == entry.qty {
            self.filled(entry.oid);
        }
        self.sibling_filled(entry.oid);
        self.keep_reduce_only(entry.account, asset);
        qty
    }

    /// A take-profit or stop-loss that filled ends its siblings.
    pub(super) fn sibling_filled(&mut self, oid: u64) {
        let siblings = self.orders.get(&oid).map(|o| o.siblings.clone()).unwrap_or_default();
        siblings.into_iter().for_each(|sibling| self.end_order(sibling, OrderStatus::SiblingFilledCanceled));
    }

    /// Books a trade on both sides: cash, positions, fees, fills, prints.
    pub(super) fn settle(&mut self, trade: &Trade) {
        let tid = self.tid();
        let Some(market) = self.markets.get_mut(&trade.asset) else { return };
        let notional = market.spec.instrument.notional(trade.px, trade.qty);
        let on_book = matches!(trade.cause, Cause::Match(_));
        if on_book {
            market.reference.traded(trade.px, trade.qty, notional);
            let (buyer, seller) = match trade.side {
                Side::Buy => (trade.taker.account(), trade.maker.account()),
                Side::Sell => (trade.maker.account(), trade.taker.account()),
            };
            let Trade { asset, px, qty, side, .. } = *trade;
            self.events.push(Event::Trade(PublicTrade { asset, px, qty, side, at_ms: self.now_ms, tid, buyer, seller }));
        }
        for (party, side, crossed) in [(trade.taker, trade.side, true), (trade.maker, trade.side.flip(), false)] {
            match party {
                Party::Background => {
                    self.pools.background -= if side == Side::Buy { notional } else { -notional };
                    if let Some(market) = self.markets.get_mut(&trade.asset) {
                        market.background += Lots(side.sign() * trade.qty.0);
                    }
                }
                Party::Vault => {
                    self.book_side(trade, VAULT, side, Usd::ZERO);
                }
                Party::Order { account, oid, cloid } => {
                    self.book_fill(trade, &Part { tid, account, oid, cloid, side, crossed }, notional);
                }
            }
        }
    }

    fn book_side(&mut self, trade: &Trade, account: AccountKey, side: Side, fee: Usd) -> Option<crate::account::Booked> {
        let market = self.markets.get(&trade.asset)?;
        let owner = self.accounts.get_mut(&account)?;
        let setting = owner.leverage(trade.asset, market.instrument(), market.cross_allowed());
        self.touched.insert(account);
        Some(owner.book(market.instrument(), side, trade.px, trade.qty, fee, setting))
    }

    /// Books an account's side of a trade and keeps it as a fill.
    fn book_fill(&mut self, trade: &Trade, part: &Part, notional: Usd) {
        let Part { tid, account, oid, cloid, side, crossed } = *part;
        let rate = if crossed { self.fees.taker } else { self.fees.maker };
        let fee = if matches!(trade.cause, Cause::Match(_)) { notional.times(rate).round(CENTS) } else { Usd::ZERO };
        let position = self.accounts.get(&account).and_then(|a| a.positions.get(&trade.asset));
        let was_isolated = position.is_some_and(|p| p.isolated.is_some());
        let Some(booked) = self.book_side(trade, account, side, fee) else { return };
        self.pools.fees += fee;
        let liquidation = trade.cause.liquidation();
        let own_liquidation = liquidation.is_some_and(|l| l.liquidated_user == account);
        let dir = match (trade.cause, own_liquidation, was_isolated, booked.start.0 > 0) {
            (Cause::Deleverage, ..) => Direction::AutoDeleveraging,
            (_, true, false, true) => Direction::LiquidatedCrossLong,
            (_, true, false, false) => Direction::LiquidatedCrossShort,
            (_, true, true, true) => Direction::LiquidatedIsolatedLong,
            (_, true, true, false) => Direction::LiquidatedIsolatedShort,
            (_, false, ..) => booked.dir,
        };
        let fill = FillRecord {
            account,
            asset: trade.asset,
            px: trade.px,
            qty: trade.qty,
            side,
            at_ms: self.now_ms,
            start_position: booked.start,
            dir,
            closed_pnl: booked.closed_pnl,
            oid,
            cloid,
            crossed,
            fee,
            tid,
            liquidation,
        };
        if let Some(order) = self.orders.get_mut(&oid) {
            order.filled += trade.qty;
            order.filled_value += i128::from(trade.px.0) * i128::from(trade.qty.0);
            if order.stage == Stage::Taking {
                order.remaining = order.remaining.minus(trade.qty);
            }
        }
        if let Some(owner) = self.accounts.get_mut(&account) {
            owner.volume += notional;
            owner.keep_fill(fill.clone());
        }
        self.events.push(Event::Fill(fill));
    }

    /// Keeps what reduce-only promises after a position changed (fact sheet §4.5): resting orders shrink to the position and end
    /// with it; if they exceed it together, the older ones end; protective triggers end with the position.
    pub(super) fn keep_reduce_only(&mut self, account: AccountKey, asset: Asset) {
        let Some(owner) = self.accounts.get(&account) else { return };
        let szi = owner.szi(asset);
        let resting: Vec<u64> =
            owner.reduce_only.get(&asset).map(|list| list.iter().map(|(_, oid)| *oid).collect()).unwrap_or_default();
        let mut kept: Vec<(u64, Qty)> = Vec::new();
        for oid in resting {
            let Some(order) = self.orders.get(&oid) else { continue };
            let closes = szi.0 * order.side.sign() < 0;
            if !closes {
                self.end_order(oid, OrderStatus::ReduceOnlyCanceled);
                continue;
            }
            let remaining = order.remaining.min(szi.abs());
            if remaining != order.remaining {
                self.set_resting(oid, remaining);
            }
            kept.push((oid, remaining));
        }
        let mut total: Qty = kept.iter().map(|(_, qty)| *qty).sum();
        for (oid, qty) in kept {
            if total <= szi.abs() {
                break;
            }
            total = total.minus(qty);
            self.end_order(oid, OrderStatus::ReduceOnlyCanceled);
        }
        let Some(owner) = self.accounts.get(&account) else { return };
        let watching: Vec<u64> = owner.triggers.get(&asset).map(|list| list.iter().copied().collect()).unwrap_or_default();
        for oid in watching {
            let idle = |side: Side| szi.0 * side.sign() >= 0;
            if self.orders.get(&oid).is_some_and(|o| o.reduce_only && idle(o.side)) {
                self.end_order(oid, OrderStatus::ReduceOnlyCanceled);
            }
        }
    }
}
