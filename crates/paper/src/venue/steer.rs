//! What the control API asks, and faults that need the exchange's help.

use std::collections::{BTreeMap, BTreeSet};

use domain::Ratio;
use exchange::{Asset, Op, OpResult};

use super::{ConnId, Control, Venue, send};
use crate::control::{MarketPush, VenueState};
use crate::fault::{ActiveFault, BadOrder, Fault};

impl Venue {
    pub(super) fn control(&mut self, control: Control) {
        let now = self.now_ms;
        match control {
            Control::Order(orders, reply) => {
                let unknown = orders.iter().find_map(|o| o.coin.as_deref().filter(|c| self.universe.named(c).is_none()));
                let ordered = match unknown {
                    Some(coin) => Err(BadOrder::Value {
                        field: "coin",
                        value: coin.to_owned(),
                        expected: "a market of this venue, such as BTC",
                    }),
                    None => self.faults.order(now, orders),
                };
                for active in ordered.iter().flatten() {
                    tracing::info!(fault = %active.kind, percent = active.order.percent, "fault ordered");
                    self.begin_fault(active);
                }
                self.sync_faults();
                send(reply, ordered);
            }
            Control::List(reply) => send(reply, self.faults.list(now).to_vec()),
            Control::Clear(which, reply) => {
                self.faults.clear(which);
                self.sync_faults();
                send(reply, self.faults.list(now).to_vec());
            }
            Control::Truth(user, reply) => {
                let account = self.account_of(user);
                let render = self.render();
                let fill = |f: &exchange::FillRecord| serde_json::to_value(render.fill(f)).unwrap_or_default();
                send(reply, self.memories.truth(account, user, &self.universe, fill));
            }
            Control::State(reply) => send(reply, self.state()),
            Control::Push(push, reply) => {
                let done = self.push_market(&push);
                send(reply, done);
            }
            Control::Deposit(order, reply) => {
                let account = self.directory.sight(order.user).unwrap_or_else(|| self.directory.adopt(order.user));
                self.credit();
                send(
                    reply,
                    match self.exchange.submit(now, account, Op::Deposit { amount: order.usd }) {
                        OpResult::Refused(text) => Err(text),
                        OpResult::Default | OpResult::Orders(_) | OpResult::Cancels(_) => Ok(()),
                    },
                );
            }
        }
    }

    fn state(&self) -> VenueState {
        VenueState {
            now_ms: self.now_ms,
            up_ms: self.now_ms - self.started_ms,
            sockets: self.conns.len(),
            subscriptions: self.conns.values().map(|c| c.subs.len()).sum(),
            info_requests: self.info_requests,
            exchange_requests: self.exchange_requests,
            tape_pass: self.feed.pass(),
            accounts: self.exchange.accounts().count(),
        }
    }

    pub(super) fn push_market(&mut self, push: &MarketPush) -> Result<(), String> {
        let market = self.universe.named(&push.coin).ok_or_else(|| format!("coin: no market {:?}", push.coin))?;
        let (asset, instrument) = (market.asset, market.instrument.clone());
        let px = |value| instrument.px_exact(value).map_err(|e| format!("px: {e}"));
        let qty = |value| instrument.qty_exact(value).map_err(|e| format!("sz: {e}"));
        let levels = |side: &[(rust_decimal::Decimal, rust_decimal::Decimal)]| -> Result<Vec<exchange::LevelChange>, String> {
            side.iter().map(|(p, q)| Ok(exchange::LevelChange { px: px(*p)?, qty: qty(*q)? })).collect()
        };
        let (bids, asks) = (levels(&push.bids)?, levels(&push.asks)?);
        let mut events = Vec::new();
        for t in &push.trades {
            let trade = exchange::BackgroundEvent::Trade { asset, px: px(t.px)?, qty: qty(t.sz)?, aggressor: t.side };
            events.push(trade);
        }
        if push.replace {
            events.push(exchange::BackgroundEvent::Snapshot { asset, bids, asks });
        } else if !(bids.is_empty() && asks.is_empty()) {
            events.push(exchange::BackgroundEvent::Levels { asset, bids, asks });
        }
        if let Some(oracle) = push.oracle {
            events.push(exchange::BackgroundEvent::Oracle { asset, px: px(oracle)? });
        }
        for event in events {
            self.exchange.background(self.now_ms, event);
        }
        Ok(())
    }

    /// What a fault does at once.
    fn begin_fault(&mut self, active: &ActiveFault) {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the others are asked for when they matter")]
        match active.kind {
            Fault::Disconnect => self.disconnect_all(),
            Fault::PriceShock => {
                let change = Ratio::bps(active.order.bps.unwrap_or(-100));
                for asset in self.coins(active) {
                    self.exchange.fault(self.now_ms, exchange::Fault::PriceShock { asset, change });
                }
            }
            Fault::AutoDeleverage => {
                let Some(account) = active.order.user.map(|u| self.account_of(u)) else { return };
                for asset in self.coins(active) {
                    let all = domain::Qty(i64::MAX);
                    self.exchange.fault(self.now_ms, exchange::Fault::AutoDeleverage { account, asset, qty: all });
                }
            }
            Fault::Flapping => self.due.flap = self.now_ms + active.delay_ms(),
            _ => {}
        }
    }

    /// The markets that a fault is about.
    fn coins(&self, active: &ActiveFault) -> Vec<Asset> {
        let named = active.order.coin.as_deref();
        self.universe.live().filter(|m| named.is_none_or(|n| n == m.name())).map(|m| m.asset).collect()
    }

    fn disconnect_all(&mut self) {
        let all: Vec<ConnId> = self.conns.keys().copied().collect();
        tracing::info!(sockets = all.len(), "fault: all sockets are closed");
        for conn in all {
            self.drop_conn(conn);
        }
    }

    /// Tells the exchange which of its own faults hold now; called whenever one may have begun or ended.
    pub(super) fn sync_faults(&mut self) {
        let now = self.now_ms;
        let active: Vec<ActiveFault> = self.faults.list(now).to_vec();
        let holding = |kind: Fault| active.iter().filter(move |a| a.kind == kind);
        let frozen: BTreeSet<Asset> = holding(Fault::StaleOracle).flat_map(|a| self.coins(a)).collect();
        for asset in frozen.symmetric_difference(&self.frozen) {
            let fault = exchange::Fault::FreezeOracle { asset: *asset, frozen: frozen.contains(asset) };
            self.exchange.fault(now, fault);
        }
        self.frozen = frozen;
        let halted: BTreeSet<Asset> = holding(Fault::Halt).flat_map(|a| self.coins(a)).collect();
        for asset in halted.symmetric_difference(&self.halted) {
            let fault = exchange::Fault::Halt { asset: *asset, halted: halted.contains(asset) };
            self.exchange.fault(now, fault);
        }
        self.halted = halted;
        let spiked: BTreeMap<Asset, Ratio> = holding(Fault::FundingSpike)
            .flat_map(|a| self.coins(a).into_iter().map(|c| (c, Ratio::bps(a.order.bps.unwrap_or(100)))))
            .collect();
        let either: BTreeSet<Asset> = spiked.keys().chain(self.spiked.keys()).copied().collect();
        for asset in either {
            let rate = spiked.get(&asset).copied();
            if rate != self.spiked.get(&asset).copied() {
                self.exchange.fault(now, exchange::Fault::FundingOverride { asset, rate });
                self.dirty_contexts.insert(asset);
            }
        }
        self.spiked = spiked;
        let is_post_only = holding(Fault::PostOnly).next().is_some();
        if is_post_only != self.is_post_only {
            let until_ms = if is_post_only { u64::MAX } else { 0 };
            self.exchange.fault(now, exchange::Fault::PostOnlyWindow { until_ms });
            self.is_post_only = is_post_only;
        }
        let flapping = holding(Fault::Flapping).next().map(ActiveFault::delay_ms);
        if let Some(every) = flapping.filter(|_| now >= self.due.flap) {
            self.due.flap = now + every;
            self.disconnect_all();
        }
    }
}
