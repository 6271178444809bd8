//! Margin: what an account may open, and what happens when it cannot hold what it has.

use domain::margin::MarginModel;
use domain::{Lots, Px, Qty, Side, Usd};

use super::matching::{Cause, Party, Trade};
use super::orders::{Order, Stage};
use super::placing::px_beyond;
use super::{Exchange, Market, VAULT};
use crate::account::{Account, Cooldown, Position, over_leverage};
use crate::event::{Event, LedgerDelta, LedgerRow, Liquidation, LiquidationInfo, LiquidationMethod, OrderStatus};
use crate::op::{AccountKey, Asset, TimeInForce};
use crate::refusal::OrderRefusalKind as Kind;

/// Limit of a liquidation's market order, percent beyond the mark: what finds no buyer there is the backstop's.
const LIQUIDATION_SLIPPAGE_PERCENT: i64 = 10;
/// The part of a large position that is liquidated first: one in so many (fact sheet §8.3).
const PARTIAL_ONE_IN: i64 = 5;
/// Market orders per account and liquidation round; more positions than that wait for the next mark.
const ORDERS_PER_ROUND: usize = 64;

/// Sums over the cross part of an account.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CrossSums {
    pub value: Usd,
    pub notional: Usd,
    /// Initial margin of positions.
    pub initial: Usd,
    pub maintenance: Usd,
    /// Initial margin that resting orders reserve.
    pub reserved: Usd,
}

impl CrossSums {
    /// What new exposure may use.
    pub(super) fn free(&self) -> Usd {
        self.value - self.initial - self.reserved
    }
}

impl Exchange {
    pub(super) fn cross_sums(&self, account: &Account) -> CrossSums {
        let mut sums = CrossSums { value: account.cash, ..CrossSums::default() };
        for (asset, position) in account.held().filter(|(_, p)| p.isolated.is_none()) {
            let Some(market) = self.markets.get(&asset) else { continue };
            let (instrument, mark) = (market.instrument(), market.mark());
            let notional = instrument.notional(mark, position.szi.abs());
            sums.value += instrument.value(mark, position.szi);
            sums.notional += notional;
            let leverage = account.leverage(asset, instrument, market.cross_allowed()).value;
            sums.initial += self.initial_margin(market, notional, leverage);
            sums.maintenance += instrument.margin.maintenance(notional);
        }
        for ((asset, side), resting) in account.resting.iter().filter(|(_, r)| r.lots > 0) {
            let Some(market) = self.markets.get(asset) else { continue };
            let opening = (resting.lots - account.reducible(*asset, *side).0).max(0);
            let value = resting.value * i128::from(opening) / i128::from(resting.lots);
            let leverage = account.leverage(*asset, market.instrument(), market.cross_allowed()).value;
            sums.reserved += self.initial_margin(market, units(market, value), leverage);
        }
        sums
    }

    /// Initial margin of a notional at the account's leverage, 6 decimals, rounded up. On a dYdX market the open interest of all
    /// accounts raises it.
    pub(super) fn initial_margin(&self, market: &Market, notional: Usd, leverage: u32) -> Usd {
        let instrument = market.instrument();
        match &instrument.margin {
            MarginModel::Hyperliquid(_) => over_leverage(notional, leverage),
            MarginModel::Dydx(margin) => {
                let open = self.open_interest(Asset(instrument.venue_asset));
                margin.initial_at(notional, leverage, Some(instrument.notional(market.reference.oracle, open)))
            }
        }
    }

    /// Value and maintenance of an isolated position.
    pub(super) fn isolated_sums(market: &Market, position: &Position) -> (Usd, Usd) {
        let instrument = market.instrument();
        let value = position.isolated.unwrap_or(Usd::ZERO) + instrument.value(market.mark(), position.szi);
        (value, instrument.margin.maintenance(instrument.notional(market.mark(), position.szi.abs())))
    }

    /// Whether an order that is not reduce-only has the margin it may need. Only what would open or grow a position needs any;
    /// what crosses the mark is valued at the mark, the rest at its limit.
    pub(super) fn judge_margin(&self, owner: &Account, market: &Market, side: Side, px: Px, qty: Qty) -> Result<(), Kind> {
        let instrument = market.instrument();
        let asset = Asset(instrument.venue_asset);
        let resting = owner.resting.get(&(asset, side)).map_or(0, |r| r.lots);
        let room = owner.reducible(asset, side);
        let before = (resting - room.0).max(0);
        let after = (resting + qty.0 - room.0).max(0);
        if after == before {
            return Ok(());
        }
        let at = match side {
            Side::Buy => px.min(market.mark()),
            Side::Sell => px.max(market.mark()),
        };
        let setting = owner.leverage(asset, instrument, market.cross_allowed());
        let held = if room.is_zero() { owner.szi(asset).abs() } else { Qty::ZERO };
        let exposure = units(market, i128::from(at.0) * i128::from(held.0 + after));
        if setting.value > instrument.margin.tier(exposure).leverage_max {
            return Err(Kind::MarginTier);
        }
        if market.spec.open_interest_cap.is_some_and(|cap| self.open_interest(asset) + Qty(after - before) > cap) {
            return Err(Kind::OpenInterest);
        }
        let opened = units(market, i128::from(at.0) * i128::from(after - before));
        let needed = self.initial_margin(market, opened, setting.value);
        // an order that closes the position on its way to the other side brings that position's margin along
        let brought = match owner.positions.get(&asset) {
            Some(position) if !room.is_zero() => match position.isolated {
                Some(_) => Exchange::isolated_sums(market, position).0.max(Usd::ZERO),
                None => self.initial_margin(market, instrument.notional(market.mark(), room), setting.value),
            },
            _ => Usd::ZERO,
        };
        if self.cross_sums(owner).free() + brought < needed { Err(Kind::Margin) } else { Ok(()) }
    }

    /// The maker's check at the match (fact sheet §4.5): after the trade its positions must be covered, resting orders aside.
    pub(super) fn maker_has_margin(&self, account: AccountKey, asset: Asset, side: Side, px: Px, qty: Qty) -> bool {
        let (Some(owner), Some(market)) = (self.accounts.get(&account), self.markets.get(&asset)) else { return false };
        let room = owner.reducible(asset, side);
        let opening = qty.minus(room);
        if opening.is_zero() {
            return true;
        }
        let instrument = market.instrument();
        let setting = owner.leverage(asset, instrument, market.cross_allowed());
        let sums = self.cross_sums(owner);
        let position = owner.positions.get(&asset).filter(|p| p.szi != Lots::ZERO);
        let isolated = position.map_or(!setting.is_cross, |p| p.isolated.is_some());
        if isolated {
            let brought = position.filter(|_| !room.is_zero()).map_or(Usd::ZERO, |p| Exchange::isolated_sums(market, p).0);
            let free = sums.value - sums.initial + brought;
            return free >= self.initial_margin(market, instrument.notional(px, opening), setting.value);
        }
        let mark = market.mark();
        let szi = position.map_or(Lots::ZERO, |p| p.szi);
        let then = szi + Lots(side.sign() * qty.0);
        let traded = Lots(side.sign() * qty.0);
        let gain = instrument.value(mark, traded) - instrument.value(px, traded);
        let margin = |szi: Lots| self.initial_margin(market, instrument.notional(mark, szi.abs()), setting.value);
        sums.value + gain >= sums.initial - margin(szi) + margin(then)
    }

    /// Open interest in lots: of others by specification, and our accounts' longs.
    pub(super) fn open_interest(&self, asset: Asset) -> Qty {
        let others = self.markets.get(&asset).map_or(Qty::ZERO, |m| m.spec.open_interest_of_others);
        others + self.accounts.values().map(|a| Qty(a.szi(asset).0.max(0))).sum()
    }

    /// Looks at the margin of every account whose cash, positions or marks changed.
    pub(super) fn liquidate_touched(&mut self) {
        // a liquidation touches its counterparties; each round leaves accounts with less to lose, and the bound is generous
        for _ in 0..8 {
            let accounts = std::mem::take(&mut self.touched);
            if accounts.is_empty() {
                return;
            }
            for account in accounts.into_iter().filter(|a| *a != VAULT) {
                self.liquidate_if_needed(account);
            }
        }
    }

    fn liquidate_if_needed(&mut self, account: AccountKey) {
        let Some(owner) = self.accounts.get(&account) else { return };
        let mut scopes: Vec<Option<Asset>> =
            owner.held().filter(|(_, p)| p.isolated.is_some()).map(|(asset, _)| Some(asset)).collect();
        scopes.push(None);
        for scope in scopes {
            match self.shortfall(account, scope) {
                Shortfall::None => {
                    let now = self.now_ms;
                    if let Some(owner) = self.accounts.get_mut(&account) {
                        owner.cooldowns.retain(|other, pause| *other != scope || now < pause.until_ms);
                    }
                }
                Shortfall::Maintenance => self.liquidate_at_market(account, scope),
                Shortfall::Backstop => self.liquidate_by_backstop(account, scope),
            }
        }
    }

    fn scope_sums(&self, account: AccountKey, scope: Option<Asset>) -> (Usd, Usd) {
        let Some(owner) = self.accounts.get(&account) else { return (Usd::ZERO, Usd::ZERO) };
        match scope {
            None => {
                let sums = self.cross_sums(owner);
                (sums.value, sums.maintenance)
            }
            Some(asset) => match (self.markets.get(&asset), owner.positions.get(&asset)) {
                (Some(market), Some(position)) if position.isolated.is_some() => Exchange::isolated_sums(market, position),
                _ => (Usd::ZERO, Usd::ZERO),
            },
        }
    }

    fn shortfall(&self, account: AccountKey, scope: Option<Asset>) -> Shortfall {
        let (value, maintenance) = self.scope_sums(account, scope);
        let [num, den] = self.rules.backstop.map(|n| domain::Ratio::scaled(i64::from(n), 0));
        if maintenance == Usd::ZERO || value >= maintenance {
            Shortfall::None
        } else if value.times(den) < maintenance.times(num) {
            Shortfall::Backstop
        } else {
            Shortfall::Maintenance
        }
    }

    /// Positions of a scope, the largest first.
    fn scope_positions(&self, account: AccountKey, scope: Option<Asset>) -> Vec<(Asset, Lots)> {
        let Some(owner) = self.accounts.get(&account) else { return Vec::new() };
        let in_scope = |asset: Asset, position: &Position| match scope {
            None => position.isolated.is_none(),
            Some(only) => asset == only && position.isolated.is_some(),
        };
        let mut positions: Vec<(Usd, Asset, Lots)> = owner
            .held()
            .filter(|(asset, position)| in_scope(*asset, position))
            .filter_map(|(asset, p)| {
                self.markets.get(&asset).map(|m| (m.instrument().notional(m.mark(), p.szi.abs()), asset, p.szi))
            })
            .collect();
        positions.sort_by(|a, b| b.cmp(a));
        positions.into_iter().map(|(_, asset, szi)| (asset, szi)).collect()
    }

    /// Step 1 (fact sheet §8.3): market orders on the book, one fifth first for a large position, then a pause.
    fn liquidate_at_market(&mut self, account: AccountKey, scope: Option<Asset>) {
        let cooldown = self.accounts.get(&account).and_then(|a| a.cooldowns.get(&scope)).copied();
        if cooldown.is_some_and(|c| self.now_ms < c.until_ms) {
            return;
        }
        self.end_all(account, scope, OrderStatus::LiquidatedCanceled);
        let before = self.scope_positions(account, scope);
        let (value, _) = self.scope_sums(account, scope);
        let mut traded = false;
        for (asset, szi) in before.iter().copied().take(ORDERS_PER_ROUND) {
            if !matches!(self.shortfall(account, scope), Shortfall::Maintenance) {
                break;
            }
            let Some(market) = self.markets.get(&asset).filter(|m| !m.is_halted()) else { continue };
            let notional = market.instrument().notional(market.mark(), szi.abs());
            let partial = cooldown.is_none() && notional > self.rules.partial_liquidation_above;
            let qty = if partial { Qty((szi.abs().0 / PARTIAL_ONE_IN).max(1)) } else { szi.abs() };
            traded |= self.liquidation_order(account, asset, szi, qty);
            if partial {
                let until_ms = self.now_ms + self.rules.liquidation_cooldown_ms;
                if let Some(owner) = self.accounts.get_mut(&account) {
                    owner.cooldowns.insert(scope, Cooldown { until_ms });
                }
                break;
            }
        }
        if traded {
            self.report_liquidation(account, scope, before, value, account);
        }
    }

    /// Sends the venue's own market order against a position and says whether anything traded.
    fn liquidation_order(&mut self, account: AccountKey, asset: Asset, szi: Lots, qty: Qty) -> bool {
        let Some(market) = self.markets.get(&asset) else { return false };
        let mark = market.mark();
        let side = if szi.0 > 0 { Side::Sell } else { Side::Buy };
        let px = px_beyond(market.instrument(), mark, side, LIQUIDATION_SLIPPAGE_PERCENT);
        if !market.book.would_take(side, px) {
            return false;
        }
        let oid = self.venue_order(account, asset, side, px, qty);
        let info = LiquidationInfo { liquidated_user: account, mark_px: mark, method: LiquidationMethod::Market };
        self.take(oid, Some(info));
        self.end_venue_order(oid)
    }

    /// An order that the venue itself sends for an account.
    fn venue_order(&mut self, account: AccountKey, asset: Asset, side: Side, px: Px, qty: Qty) -> u64 {
        let oid = self.next_oid;
        self.next_oid += 1;
        let now = self.now_ms;
        let order = Order {
            oid,
            account,
            asset,
            side,
            px,
            orig: qty,
            remaining: qty,
            filled: Qty::ZERO,
            filled_value: 0,
            reduce_only: true,
            tif: TimeInForce::LiquidationMarket,
            trigger: None,
            position_tpsl: false,
            cloid: None,
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
        oid
    }

    fn end_venue_order(&mut self, oid: u64) -> bool {
        let Some(order) = self.orders.get(&oid) else { return false };
        let (filled, whole) = (!order.filled.is_zero(), order.remaining.is_zero());
        self.set_status(oid, if whole { OrderStatus::Filled } else { OrderStatus::Canceled });
        filled
    }

    /// Step 2: the vault takes positions at the mark and all that is left of their margin.
    fn liquidate_by_backstop(&mut self, account: AccountKey, scope: Option<Asset>) {
        self.end_all(account, scope, OrderStatus::LiquidatedCanceled);
        let positions = self.scope_positions(account, scope);
        let (value, _) = self.scope_sums(account, scope);
        self.accounts.entry(VAULT).or_insert_with(|| Account::new(VAULT));
        for (asset, szi) in positions.iter().copied() {
            let Some(market) = self.markets.get(&asset) else { continue };
            let mark = market.mark();
            let side = if szi.0 > 0 { Side::Sell } else { Side::Buy };
            let oid = self.venue_order(account, asset, side, mark, szi.abs());
            let info = LiquidationInfo { liquidated_user: account, mark_px: mark, method: LiquidationMethod::Backstop };
            let taker = Party::Order { account, oid, cloid: None };
            let (qty, cause) = (szi.abs(), Cause::Backstop(info));
            self.settle(&Trade { asset, px: mark, qty, side, taker, maker: Party::Vault, cause });
            self.end_venue_order(oid);
            self.keep_reduce_only(account, asset);
        }
        // closed at the mark, the scope's value is now cash of the account; a negative one is the vault's loss
        if let Some(owner) = self.accounts.get_mut(&account) {
            owner.cash -= value;
            owner.cooldowns.remove(&scope);
        }
        if let Some(vault) = self.accounts.get_mut(&VAULT) {
            vault.cash += value;
        }
        self.report_liquidation(account, scope, positions, value, VAULT);
    }

    fn report_liquidation(
        &mut self,
        account: AccountKey,
        scope: Option<Asset>,
        positions: Vec<(Asset, Lots)>,
        account_value: Usd,
        liquidator: AccountKey,
    ) {
        let worth = |(asset, szi): &(Asset, Lots)| {
            self.markets.get(asset).map_or(Usd::ZERO, |m| m.instrument().notional(m.mark(), szi.abs()))
        };
        let liquidated_ntl_pos: Usd = positions.iter().map(worth).sum();
        let lid = self.next_lid;
        self.next_lid += 1;
        self.events.push(Event::Liquidation(Liquidation {
            lid,
            liquidator,
            liquidated_user: account,
            liquidated_ntl_pos,
            liquidated_account_value: account_value,
            at_ms: self.now_ms,
        }));
        let is_cross = scope.is_none();
        self.ledger_row(
            account,
            LedgerDelta::Liquidation { liquidated_ntl_pos, account_value, is_cross, liquidated_positions: positions },
        );
    }

    pub(super) fn ledger_row(&mut self, account: AccountKey, delta: LedgerDelta) {
        let row = LedgerRow { account, at_ms: self.now_ms, delta };
        if let Some(owner) = self.accounts.get_mut(&account) {
            owner.keep_ledger(row.clone());
        }
        self.events.push(Event::Ledger(row));
    }

    /// Closes part of a position at the mark against the background, as automatic deleveraging does to winners.
    pub(super) fn auto_deleverage(&mut self, account: AccountKey, asset: Asset, qty: Qty) {
        let szi = self.accounts.get(&account).map_or(Lots::ZERO, |a| a.szi(asset));
        let qty = qty.min(szi.abs());
        let Some(market) = self.markets.get(&asset).filter(|_| qty.0 > 0) else { return };
        let mark = market.mark();
        let side = if szi.0 > 0 { Side::Sell } else { Side::Buy };
        let oid = self.venue_order(account, asset, side, mark, qty);
        let taker = Party::Order { account, oid, cloid: None };
        self.settle(&Trade { asset, px: mark, qty, side, taker, maker: Party::Background, cause: Cause::Deleverage });
        self.end_venue_order(oid);
        self.keep_reduce_only(account, asset);
    }
}

enum Shortfall {
    None,
    /// Below maintenance.
    Maintenance,
    /// Below the backstop's share of maintenance.
    Backstop,
}

/// Money of a product of ticks and lots.
fn units(market: &Market, value: i128) -> Usd {
    rust_decimal::Decimal::try_from_i128_with_scale(value, 0)
        .ok()
        .and_then(|units| units.checked_mul(market.instrument().tick_lot()))
        .and_then(|money| Usd::new(money).ok())
        .unwrap_or_else(|| Usd::whole(i32::MAX))
}
