//! What the control API asks, and faults that need the exchange's help.

use std::collections::BTreeSet;

use domain::Ratio;
use exchange::Asset;

use super::{ConnId, Control, Glide, Venue, send};
use crate::control::{BridgeState, FundingPush, MarketPush, VenueState};
use crate::fault::{ActiveFault, BadOrder, Fault};

/// Largest move of a market by hand, either way: 95 %.
const SHIFT_BPS_MAX: i64 = 9_500;
/// Longest move: an hour.
const OVER_MS_MAX: u64 = 3_600_000;
/// Highest funding rate per hour, in ten-thousandths (fact sheet §9).
const FUNDING_BPS_MAX: i64 = 400;
/// Most hours that are rewritten at once: a year.
const PAST_HOURS_MAX: u32 = 8_760;

/// What of a move is due after `passed` of `whole` milliseconds.
fn part(ticks: i64, passed: u64, whole: u64) -> i64 {
    let exact = i128::from(ticks) * i128::from(passed) / i128::from(whole.max(1));
    i64::try_from(exact).unwrap_or(ticks)
}

/// The rate that is asked for, if any.
fn checked_funding(push: FundingPush) -> Result<Option<Ratio>, String> {
    if push.past_hours > PAST_HOURS_MAX {
        return Err(format!("funding.past_hours = {}: expected at most {PAST_HOURS_MAX}", push.past_hours));
    }
    let Some(hourly) = push.hourly else {
        let is_free = push.past_hours == 0;
        return if is_free { Ok(None) } else { Err("funding.hourly: needed with past_hours".to_owned()) };
    };
    let bound = Ratio::bps(FUNDING_BPS_MAX).decimal();
    if hourly.abs() > bound {
        return Err(format!("funding.hourly = {hourly}: expected -{bound} to {bound}"));
    }
    Ratio::new(hourly).map(Some).map_err(|e| format!("funding.hourly = {hourly}: {e}"))
}

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
            Control::Truth(user, since_ms, reply) => {
                let account = self.account_of(user);
                let render = self.render();
                let fill = |f: &exchange::FillRecord| serde_json::to_value(render.fill(f)).unwrap_or_default();
                send(reply, self.memories.truth(account, user, since_ms, &self.universe, fill));
            }
            Control::State(reply) => send(reply, self.state()),
            Control::Push(push, reply) => {
                let done = self.push_market(&push);
                send(reply, done);
            }
            Control::Deposit(order, reply) => {
                let done = self.deposit(&order);
                send(reply, done);
            }
            Control::Arrived(arrival, reply) => {
                self.arrived(arrival);
                send(reply, ());
            }
            Control::Route(routing, reply) => {
                self.routing = routing;
                send(reply, ());
            }
            Control::Paid(reply) => {
                self.bridge.paid += 1;
                send(reply, ());
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
            bridge: BridgeState { held: self.late_credits.len(), ..self.bridge },
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
        let funding = push.funding.map(checked_funding).transpose()?;
        let ticks = push.shift_bps.map(|bps| self.ticks(asset, bps)).transpose()?;
        if push.over_ms > OVER_MS_MAX {
            return Err(format!("over_ms = {}: expected at most {OVER_MS_MAX}", push.over_ms));
        }
        for event in events {
            self.exchange.background(self.now_ms, event);
        }
        if let Some(ticks) = ticks {
            // what was under way is finished first: moves add up
            self.finish_glide(asset);
            self.glides.insert(asset, Glide { from_ms: self.now_ms, over_ms: push.over_ms, ticks, done: 0 });
            self.glide();
        }
        if let (Some(set), Some(rate)) = (push.funding, funding) {
            self.set_funding(asset, set, rate);
        }
        Ok(())
    }

    /// So many basis points of the mark, in whole price steps.
    fn ticks(&self, asset: Asset, bps: i64) -> Result<i64, String> {
        if !(-SHIFT_BPS_MAX..=SHIFT_BPS_MAX).contains(&bps) {
            return Err(format!("shift_bps = {bps}: expected -{SHIFT_BPS_MAX} to {SHIFT_BPS_MAX}"));
        }
        let context = self.exchange.context(asset).ok_or("coin: the market has no mark")?;
        let step = self.exchange.instrument(asset).map_or(1, |i| i.step_at(context.mark));
        let exact = i128::from(context.mark.0) * i128::from(bps) / 10_000;
        Ok(i64::try_from(exact).unwrap_or(0) / step * step)
    }

    /// Moves what is under way to where it should be by now.
    pub(super) fn glide(&mut self) {
        let now = self.now_ms;
        let mut moves = Vec::new();
        self.glides.retain(|asset, glide| {
            let passed = now.saturating_sub(glide.from_ms);
            let is_over = passed >= glide.over_ms;
            let due = if is_over { glide.ticks } else { part(glide.ticks, passed, glide.over_ms) };
            moves.push((*asset, due, glide.done));
            glide.done = due;
            !is_over
        });
        for (asset, due, done) in moves {
            self.shift(asset, due - done);
        }
    }

    fn finish_glide(&mut self, asset: Asset) {
        if let Some(glide) = self.glides.remove(&asset) {
            self.shift(asset, glide.ticks - glide.done);
        }
    }

    fn shift(&mut self, asset: Asset, ticks: i64) {
        if ticks != 0 {
            self.exchange.fault(self.now_ms, exchange::Fault::Shift { asset, ticks });
        }
    }

    fn set_funding(&mut self, asset: Asset, push: FundingPush, rate: Option<Ratio>) {
        match rate {
            Some(rate) => self.set_funding.insert(asset, rate),
            None => self.set_funding.remove(&asset),
        };
        self.sync_faults();
        if push.settle {
            self.exchange.fault(self.now_ms, exchange::Fault::SettleFunding { asset });
        }
        let past = usize::try_from(push.past_hours).unwrap_or(usize::MAX);
        if let Some(rate) = rate {
            let newest: Vec<u64> = self.settled_rates(asset).iter().rev().take(past).map(|r| r.at_ms).collect();
            self.rewritten.extend(newest.into_iter().map(|at_ms| ((asset, at_ms), rate)));
        }
    }

    /// Every settled rate of a market that the venue tells, oldest first.
    pub(super) fn settled_rates(&mut self, asset: Asset) -> Vec<exchange::FundingRate> {
        if let Some(past) = &mut self.past {
            past.make(&self.universe, asset);
        }
        let mut rates = self.past.as_ref().map(|past| past.funding(asset).to_vec()).unwrap_or_default();
        rates.extend(self.exchange.funding_rates(asset, 0));
        for row in &mut rates {
            if let Some(rate) = self.rewritten.get(&(asset, row.at_ms)) {
                row.rate = *rate;
            }
        }
        rates
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
        let mut spiked = self.set_funding.clone();
        spiked.extend(
            holding(Fault::FundingSpike)
                .flat_map(|a| self.coins(a).into_iter().map(|c| (c, Ratio::bps(a.order.bps.unwrap_or(100))))),
        );
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
