//! What is streamed, to whom and when (fact sheet §6).

#![expect(clippy::wildcard_enum_match_arm, reason = "each kind of event concerns few of the many streams")]

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::ws::Utf8Bytes;
use exchange::{AccountKey, Event, FillRecord, OrderStatus, OrderUpdate, PublicTrade};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::error::TrySendError;
use wire::hyperliquid::{Address, User, info};

use super::read::{FAST_LEVELS, aggregated};
use super::{ConnId, HOLD_MS, Held, RECENT_MAX, Venue};
use crate::candles::interval_ms;
use crate::fault::Fault;
use crate::render::Grouping;
use crate::streams::Sub;
use crate::universe::Universe;

/// `allMids` of the main dex.
const MIDS_MS: u64 = 2_000;
/// The default book, 20 levels.
const BOOK_MS: u64 = 5_000;
/// The fast book, 5 levels.
const FAST_BOOK_MS: u64 = 500;
/// Lists of asset contexts.
const CONTEXTS_MS: u64 = 3_000;
/// Account states of accounts to which nothing happened.
const ACCOUNTS_MS: u64 = 5_000;
/// Trades in the first message of a trade stream.
const FIRST_TRADES: usize = 30;

fn message(channel: &str, data: &impl Serialize) -> Utf8Bytes {
    #[derive(Serialize)]
    struct Message<'a, T> {
        channel: &'a str,
        data: &'a T,
    }
    serde_json::to_string(&Message { channel, data }).unwrap_or_default().into()
}

/// Whether a stream carries market data, for the faults that silence one kind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Market,
    User,
}

impl Venue {
    /// Streams everything that happened since the last call.
    pub(super) fn publish(&mut self) {
        let events = self.exchange.drain_events();
        let mut orders: BTreeMap<AccountKey, Vec<OrderUpdate>> = BTreeMap::new();
        let mut fills: BTreeMap<AccountKey, Vec<FillRecord>> = BTreeMap::new();
        let mut trades: BTreeMap<exchange::Asset, Vec<PublicTrade>> = BTreeMap::new();
        let mut others = Vec::new();
        for event in events {
            self.memories.note(&event);
            match event {
                Event::Order(update) => orders.entry(update.account).or_default().push(update),
                Event::Fill(fill) => fills.entry(fill.account).or_default().push(fill),
                Event::Trade(trade) => {
                    self.candles.add(&trade);
                    let recent = self.recent.entry(trade.asset).or_default();
                    recent.push_back(trade);
                    if recent.len() > RECENT_MAX {
                        recent.pop_front();
                    }
                    trades.entry(trade.asset).or_default().push(trade);
                }
                Event::Book(asset) => {
                    self.dirty_books.insert(asset);
                }
                Event::Context(asset) => {
                    self.dirty_contexts.insert(asset);
                }
                other @ (Event::Funding(_) | Event::Ledger(_) | Event::Liquidation(_)) => others.push(other),
            }
        }
        self.publish_trades(&trades);
        for (account, updates) in orders {
            self.publish_orders(account, &updates);
        }
        for (account, fills) in fills {
            self.publish_fills(account, &fills);
        }
        for other in others {
            self.publish_other(&other);
        }
        self.publish_books();
        self.publish_contexts();
        for account in std::mem::take(&mut self.touched) {
            self.publish_state(account);
        }
    }

    fn publish_trades(&mut self, trades: &BTreeMap<exchange::Asset, Vec<PublicTrade>>) {
        for (asset, trades) in trades {
            let Some(coin) = self.universe.market(*asset).map(|m| m.name().to_owned()) else { continue };
            let render = self.render();
            let shown: Vec<info::Trade> = trades.iter().filter_map(|t| render.trade(t)).collect();
            self.send_market(&Sub::Trades { coin: coin.clone() }, || message("trades", &shown));
            let wanted: Vec<Sub> = self
                .market_listeners
                .keys()
                .filter(|s| matches!(s, Sub::Candle { coin: c, .. } if *c == coin))
                .cloned()
                .collect();
            for sub in wanted {
                if let Some(candle) = self.candle(&sub) {
                    self.send_market(&sub, || message("candle", &candle));
                }
            }
        }
    }

    fn candle(&mut self, sub: &Sub) -> Option<info::Candle> {
        let Sub::Candle { coin, interval } = sub else { return None };
        let asset = self.universe.named(coin)?.asset;
        let length = interval_ms(interval)?;
        let running = self.candles.running_ms(asset, length)?;
        let candle = self.candles_of(asset, length, running, running).pop()?;
        self.render().candle(asset, interval, length, &candle)
    }

    fn publish_orders(&mut self, account: AccountKey, updates: &[OrderUpdate]) {
        self.touched.insert(account);
        for (sub, to) in self.listeners(account) {
            let render = self.render();
            let text = match &sub {
                Sub::OrderUpdates { .. } => {
                    message("orderUpdates", &updates.iter().filter_map(|u| render.order_update(u)).collect::<Vec<_>>())
                }
                Sub::UserHistoricalOrders { user } => {
                    let rows: Vec<info::OrderRow> = updates.iter().filter_map(|u| render.order_row(u)).collect();
                    message("userHistoricalOrders", &json!({ "user": user, "orderHistory": rows }))
                }
                Sub::UserEvents { .. } => {
                    let cancels: Vec<Value> = updates
                        .iter()
                        .filter(|u| is_venue_cancel(u.status))
                        .filter_map(|u| Some(json!({ "coin": self.universe.market(u.order.asset)?.name(), "oid": u.order.oid })))
                        .collect();
                    if cancels.is_empty() {
                        continue;
                    }
                    message("user", &json!({ "nonUserCancel": cancels }))
                }
                _ => continue,
            };
            self.send_all(&to, Kind::User, &text);
        }
    }

    fn publish_fills(&mut self, account: AccountKey, fills: &[FillRecord]) {
        self.touched.insert(account);
        let render = self.render();
        let mut shown: Vec<info::Fill> = fills.iter().filter_map(|f| render.fill(f)).collect();
        let now = self.now_ms;
        let is_reordered = self.faults.happens(now, Fault::ReorderFills).is_some();
        if is_reordered {
            shown.reverse();
        }
        let copies = if self.faults.happens(now, Fault::DuplicateFills).is_some() { 2 } else { 1 };
        for (sub, to) in self.listeners(account) {
            let (channel, text) = match &sub {
                Sub::UserEvents { .. } => ("user", message("user", &json!({ "fills": shown }))),
                Sub::UserFills { user, aggregate_by_time } => {
                    let fills = if aggregate_by_time.unwrap_or(false) { aggregated(shown.clone()) } else { shown.clone() };
                    ("userFills", message("userFills", &json!({ "user": user, "fills": fills })))
                }
                _ => continue,
            };
            for _ in 0..copies {
                if is_reordered {
                    self.hold(&to, channel, text.clone());
                } else {
                    self.send_all(&to, Kind::User, &text);
                }
            }
        }
    }

    /// Keeps a fill message back so that the next one overtakes it.
    fn hold(&mut self, to: &BTreeSet<ConnId>, channel: &'static str, text: Utf8Bytes) {
        let waiting = self.held.iter().position(|h| h.channel == channel && h.to == *to);
        match waiting.map(|n| self.held.remove(n)) {
            Some(earlier) => {
                self.send_all(to, Kind::User, &text);
                self.send_all(&earlier.to, Kind::User, &earlier.text);
            }
            None => self.held.push(Held { due_ms: self.now_ms + HOLD_MS, to: to.clone(), channel, text }),
        }
    }

    fn publish_other(&mut self, event: &Event) {
        match event {
            Event::Funding(payment) => {
                self.touched.insert(payment.account);
                for (sub, to) in self.listeners(payment.account) {
                    let Some(row) = self.render().funding(payment) else { continue };
                    let text = match &sub {
                        Sub::UserFundings { user } => message("userFundings", &json!({ "user": user, "fundings": [row] })),
                        Sub::UserEvents { .. } => message("user", &json!({ "funding": row })),
                        _ => continue,
                    };
                    self.send_all(&to, Kind::User, &text);
                }
            }
            Event::Ledger(row) => {
                self.note_withdrawal(row);
                self.touched.insert(row.account);
                for (sub, to) in self.listeners(row.account) {
                    let Sub::UserNonFundingLedgerUpdates { user } = &sub else { continue };
                    let rows = [self.render().ledger(row)];
                    let text = message("userNonFundingLedgerUpdates", &json!({ "user": user, "nonFundingLedgerUpdates": rows }));
                    self.send_all(&to, Kind::User, &text);
                }
            }
            Event::Liquidation(liquidation) => {
                self.touched.insert(liquidation.liquidated_user);
                for (sub, to) in self.listeners(liquidation.liquidated_user) {
                    if matches!(sub, Sub::UserEvents { .. }) {
                        let text = message("user", &json!({ "liquidation": self.render().liquidation(liquidation) }));
                        self.send_all(&to, Kind::User, &text);
                    }
                }
            }
            Event::Order(_) | Event::Fill(_) | Event::Trade(_) | Event::Book(_) | Event::Context(_) => {}
        }
    }

    /// `bbo` where the best levels changed. Books themselves go out at their own cadence.
    fn publish_books(&mut self) {
        for asset in std::mem::take(&mut self.dirty_books) {
            let Some(coin) = self.universe.market(asset).map(|m| m.name().to_owned()) else { continue };
            let sub = Sub::Bbo { coin };
            if !self.market_listeners.contains_key(&sub) {
                continue;
            }
            let Some(bbo) = self.exchange.book(asset, 1).and_then(|b| self.render().bbo(asset, &b)) else { continue };
            if self.last_bbo.get(&asset) != Some(&bbo["bbo"]) {
                self.send_market(&sub, || message("bbo", &bbo));
                self.last_bbo.insert(asset, bbo["bbo"].clone());
            }
        }
    }

    fn publish_contexts(&mut self) {
        for asset in std::mem::take(&mut self.dirty_contexts) {
            let Some(coin) = self.universe.market(asset).map(|m| m.name().to_owned()) else { continue };
            let sub = Sub::ActiveAssetCtx { coin };
            if let Some(context) = self.active_context(&sub) {
                self.send_market(&sub, || message("activeAssetCtx", &context));
            }
        }
    }

    fn active_context(&self, sub: &Sub) -> Option<Value> {
        let Sub::ActiveAssetCtx { coin } = sub else { return None };
        if !self.market_listeners.contains_key(sub) {
            return None;
        }
        let asset = self.universe.named(coin)?.asset;
        let context = self.render().context(asset, &self.exchange.context(asset)?)?;
        Some(json!({ "coin": coin, "ctx": context }))
    }

    /// The full states of an account that is streamed.
    fn publish_state(&mut self, account: AccountKey) {
        for (sub, to) in self.listeners(account) {
            if let Some(text) = self.state_message(&sub, account) {
                self.send_all(&to, Kind::User, &text);
            }
        }
    }

    fn state_message(&self, sub: &Sub, account: AccountKey) -> Option<Utf8Bytes> {
        Some(match sub {
            Sub::ClearinghouseState { user, dex } => {
                let state = self.clearinghouse(account);
                let dex = dex.clone().unwrap_or_default();
                message("clearinghouseState", &json!({ "dex": dex, "user": user, "clearinghouseState": state }))
            }
            Sub::AllDexsClearinghouseState { user } => {
                let states = [(String::new(), self.clearinghouse(account))];
                message("allDexsClearinghouseState", &json!({ "user": user, "clearinghouseStates": states }))
            }
            Sub::OpenOrders { user, dex } => {
                let dex = dex.clone().unwrap_or_default();
                message("openOrders", &json!({ "dex": dex, "user": user, "orders": self.frontend_orders(account) }))
            }
            Sub::SpotState { user } => message("spotState", &json!({ "user": user, "spotState": self.spot_state(account) })),
            Sub::ActiveAssetData { user, coin } => {
                let asset = self.universe.named(coin)?.asset;
                let active = self.exchange.active_asset(account, asset)?;
                message("activeAssetData", &self.render().active_asset(User::from(*user), asset, &active)?)
            }
            Sub::WebData2 { user } => message("webData2", &self.web_data2(account, User::from(*user))),
            Sub::WebData3 { user } => message("webData3", &self.web_data3(*user)),
            _ => return None,
        })
    }

    fn web_data3(&self, user: Address) -> Value {
        json!({
            "userState": {
                "agentAddress": null, "agentValidUntil": null, "cumLedger": "0.0", "serverTime": self.now_ms,
                "isVault": false, "user": user, "abstraction": "default",
            },
            "perpDexStates": [{ "totalVaultEquity": "0.0", "perpsAtOpenInterestCap": [] }],
        })
    }

    /// Streams that go out by the clock.
    pub(super) fn publish_periodic(&mut self) {
        let now = self.now_ms;
        self.release_held(now);
        let mut is_due = |due: fn(&mut super::Due) -> &mut u64, every: u64| {
            let at = due(&mut self.due);
            let fires = now >= *at;
            if fires {
                *at = now + every;
            }
            fires
        };
        let (mids, book) = (is_due(|d| &mut d.mids, MIDS_MS), is_due(|d| &mut d.book, BOOK_MS));
        let fast = is_due(|d| &mut d.fast_book, FAST_BOOK_MS);
        let (contexts, accounts) = (is_due(|d| &mut d.contexts, CONTEXTS_MS), is_due(|d| &mut d.accounts, ACCOUNTS_MS));
        if !(mids || book || fast || contexts || accounts) {
            return;
        }
        let subs: Vec<Sub> = self.market_listeners.keys().cloned().collect();
        for sub in subs {
            let is_wanted = match &sub {
                Sub::AllMids { .. } => mids,
                Sub::L2Book { fast: Some(true), .. } => fast,
                Sub::L2Book { .. } => book,
                Sub::FastAssetCtxs => fast,
                Sub::AssetCtxs { .. } | Sub::AllDexsAssetCtxs | Sub::SpotAssetCtxs => contexts,
                _ => false,
            };
            if let Some(text) = is_wanted.then(|| self.market_message(&sub, false)).flatten() {
                self.send_market(&sub, || text);
            }
        }
        if accounts {
            let accounts: Vec<AccountKey> = self.user_listeners.keys().copied().collect();
            for account in accounts {
                self.publish_state(account);
            }
        }
    }

    fn release_held(&mut self, now: u64) {
        while let Some(n) = self.held.iter().position(|h| h.due_ms <= now) {
            let held = self.held.remove(n);
            self.send_all(&held.to, Kind::User, &held.text);
        }
    }

    /// The present state of a market stream, or `None` if it has none to tell.
    fn market_message(&mut self, sub: &Sub, is_first: bool) -> Option<Utf8Bytes> {
        Some(match sub {
            Sub::AllMids { dex: None } => message("allMids", &json!({ "mids": self.mids() })),
            Sub::AllMids { dex: Some(dex) } => {
                let mids = if dex.is_empty() { self.mids() } else { info::AllMids::new() };
                message("allMids", &json!({ "mids": mids, "dex": dex }))
            }
            Sub::L2Book { coin, n_sig_figs, mantissa, fast } => {
                let grouping = Grouping::new(*n_sig_figs, *mantissa)?;
                message("l2Book", &self.l2_book(coin, grouping, fast.unwrap_or(false))?)
            }
            Sub::FastAssetCtxs => {
                let contexts = self.fast_contexts(is_first);
                if contexts.is_empty() {
                    return None;
                }
                message("fastAssetCtxs", &contexts)
            }
            Sub::AssetCtxs { dex } => {
                let dex = dex.clone().unwrap_or_default();
                message("assetCtxs", &json!({ "dex": dex, "ctxs": self.contexts() }))
            }
            Sub::AllDexsAssetCtxs => message("allDexsAssetCtxs", &json!({ "ctxs": [("", self.contexts())] })),
            Sub::SpotAssetCtxs => message("spotAssetCtxs", &Universe::spot_contexts()),
            Sub::Bbo { coin } => {
                let asset = self.universe.named(coin)?.asset;
                let bbo = self.exchange.book(asset, 1).and_then(|b| self.render().bbo(asset, &b))?;
                message("bbo", &bbo)
            }
            Sub::Trades { coin } => {
                let asset = self.universe.named(coin)?.asset;
                let render = self.render();
                let recent = self.recent.get(&asset).into_iter().flatten().rev().take(FIRST_TRADES);
                let trades: Vec<info::Trade> = recent.filter_map(|t| render.trade(t)).collect();
                message("trades", &trades)
            }
            Sub::Candle { .. } => message("candle", &self.candle(sub)?),
            Sub::ActiveAssetCtx { .. } => message("activeAssetCtx", &self.active_context(sub)?),
            _ => return None,
        })
    }

    /// Marks and mids, all of them or those that changed since they were last sent.
    fn fast_contexts(&mut self, is_full: bool) -> BTreeMap<String, Value> {
        let mut out = BTreeMap::new();
        for market in self.universe.live() {
            let Some(context) = self.exchange.context(market.asset) else { continue };
            let Some(shown) = self.render().context(market.asset, &context) else { continue };
            let value = json!({ "markPx": shown.mark_px, "midPx": shown.mid_px });
            if is_full || self.last_fast_contexts.get(market.name()) != Some(&value) {
                out.insert(market.name().to_owned(), value);
            }
        }
        for (coin, value) in &out {
            self.last_fast_contexts.insert(coin.clone(), value.clone());
        }
        out
    }

    /// What a new subscriber gets right after the acknowledgement.
    pub(super) fn first_message(&mut self, conn: ConnId, sub: &Sub) {
        let Some(user) = sub.user() else {
            if let Some(text) = self.market_message(sub, true) {
                self.send_one(conn, Kind::Market, &text);
            }
            return;
        };
        let account = self.account_of(user);
        let render = self.render();
        let text = match sub {
            Sub::UserFills { aggregate_by_time, .. } => {
                let fills = self.newest_fills(account, aggregate_by_time.unwrap_or(false));
                Some(message("userFills", &json!({ "user": user, "fills": fills, "isSnapshot": true })))
            }
            Sub::UserFundings { .. } => {
                let payments = self.exchange.fundings(account, 0);
                let rows: Vec<Value> = payments.iter().rev().take(500).filter_map(|p| render.funding(p)).collect();
                Some(message("userFundings", &json!({ "user": user, "fundings": rows, "isSnapshot": true })))
            }
            Sub::UserNonFundingLedgerUpdates { .. } => {
                let rows: Vec<info::LedgerUpdate> =
                    self.exchange.ledger(account, 0).iter().rev().take(500).map(|r| render.ledger(r)).collect();
                let data = json!({ "user": user, "nonFundingLedgerUpdates": rows, "isSnapshot": true });
                Some(message("userNonFundingLedgerUpdates", &data))
            }
            Sub::UserHistoricalOrders { .. } => {
                let data = json!({ "user": user, "orderHistory": self.order_rows(account), "isSnapshot": true });
                Some(message("userHistoricalOrders", &data))
            }
            Sub::TwapStates { dex, .. } => {
                let dex = dex.clone().unwrap_or_default();
                Some(message("twapStates", &json!({ "dex": dex, "user": user, "states": [] })))
            }
            Sub::UserTwapHistory { .. } => {
                Some(message("userTwapHistory", &json!({ "user": user, "history": [], "isSnapshot": true })))
            }
            Sub::UserTwapSliceFills { .. } => {
                Some(message("userTwapSliceFills", &json!({ "user": user, "twapSliceFills": [], "isSnapshot": true })))
            }
            _ => self.state_message(sub, account),
        };
        if let Some(text) = text {
            self.send_one(conn, Kind::User, &text);
        }
    }

    fn listeners(&self, account: AccountKey) -> Vec<(Sub, BTreeSet<ConnId>)> {
        let listeners = self.user_listeners.get(&account);
        listeners.into_iter().flatten().map(|(sub, to)| (sub.clone(), to.clone())).collect()
    }

    /// Sends to all who listen to a market stream; the text is made only if there is somebody.
    fn send_market(&mut self, sub: &Sub, text: impl FnOnce() -> Utf8Bytes) {
        if let Some(to) = self.market_listeners.get(sub).cloned() {
            self.send_all(&to, Kind::Market, &text());
        }
    }

    fn send_all(&mut self, to: &BTreeSet<ConnId>, kind: Kind, text: &Utf8Bytes) {
        for conn in to {
            self.send_one(*conn, kind, text);
        }
    }

    fn send_one(&mut self, conn: ConnId, kind: Kind, text: &Utf8Bytes) {
        let stall = match kind {
            Kind::Market => Fault::StallMarket,
            Kind::User => Fault::StallUser,
        };
        if self.faults.holds(self.now_ms, stall).is_none() {
            self.out_text(conn, text.clone());
        }
    }

    pub(super) fn out(&mut self, conn: ConnId, value: &Value) {
        self.out_text(conn, value.to_string().into());
    }

    /// Puts a message into a socket's queue; a socket that does not keep up is dropped.
    pub(super) fn out_text(&mut self, conn: ConnId, text: Utf8Bytes) {
        if self.faults.holds(self.now_ms, Fault::StallAll).is_some() {
            return;
        }
        let Some(c) = self.conns.get(&conn) else { return };
        match c.out.try_send(text) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                tracing::warn!(conn, "a client does not read its stream: the socket is closed");
                self.drop_conn(conn);
            }
            Err(TrySendError::Closed(_)) => self.drop_conn(conn),
        }
    }
}

/// Cancels that the venue decided and reports in `nonUserCancel`; reduce-only shrinkage is not among them.
const fn is_venue_cancel(status: OrderStatus) -> bool {
    matches!(
        status,
        OrderStatus::MarginCanceled
            | OrderStatus::SelfTradeCanceled
            | OrderStatus::SiblingFilledCanceled
            | OrderStatus::LiquidatedCanceled
            | OrderStatus::ScheduledCancel
    )
}

const _: () = assert!(FAST_LEVELS < super::read::LEVELS, "the fast book is the shallow one");
