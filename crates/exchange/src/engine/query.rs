//! What can be asked. Nothing here changes anything.

use domain::margin::MarginModel;
use domain::{Instrument, InstrumentId, Lots, Px, Qty, Side, Usd};
use rust_decimal::{Decimal, RoundingStrategy};

use super::orders::Stage;
use super::{Exchange, Market, Pools, VAULT};
use crate::account::{Account, CENTS, Position};
use crate::event::{FillRecord, FundingPayment, LedgerRow, OrderUpdate};
use crate::op::{AccountKey, Asset, OrderRef};
use crate::reference::micro_px;
use crate::spec::MarketSpec;
use crate::view::{
    AccountState, ActiveAsset, BookView, FundingRate, LeverageSetting, MarginSummary, MarketContext, OrderView, PositionState,
};

/// Decimals of prices and shares that do not lie on a grid.
const LONG: u32 = 10;

impl Exchange {
    /// The exchange's time, UTC milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The markets in the order of the specification.
    #[must_use]
    pub fn markets(&self) -> &[MarketSpec] {
        &self.specs
    }

    /// The instrument of a market.
    #[must_use]
    pub fn instrument(&self, asset: Asset) -> Option<&Instrument> {
        self.markets.get(&asset).map(Market::instrument)
    }

    /// The market called `id`.
    #[must_use]
    pub fn asset(&self, id: &InstrumentId) -> Option<Asset> {
        self.specs.iter().find(|m| m.instrument.id == *id).map(|m| Asset(m.instrument.venue_asset))
    }

    /// The visible book, at most `levels` per side.
    #[must_use]
    pub fn book(&self, asset: Asset, levels: usize) -> Option<BookView> {
        let book = &self.markets.get(&asset)?.book;
        Some(BookView { bids: book.view(Side::Buy, levels), asks: book.view(Side::Sell, levels), at_ms: self.now_ms })
    }

    /// Prices and statistics.
    #[must_use]
    pub fn context(&self, asset: Asset) -> Option<MarketContext> {
        let market = self.markets.get(&asset)?;
        let (reference, instrument) = (&market.reference, market.instrument());
        let (day_notional_volume, day_base_volume, prev_day_px) = reference.day(self.now_ms);
        let impact = reference.impact(&market.book, instrument);
        Some(MarketContext {
            mark: reference.mark,
            oracle: reference.oracle,
            mid_x2: market.book.mid_x2(),
            funding: reference.funding(),
            premium: reference.premium(&market.book, instrument),
            impact_pxs: impact.map(|(bid, ask)| (micro_px(instrument, bid), micro_px(instrument, ask))),
            open_interest: self.open_interest(asset),
            prev_day_px,
            day_notional_volume,
            day_base_volume,
        })
    }

    /// Twice the mid in ticks; the last trade's or the mark's double when a side is empty. `None` for an unknown market.
    #[must_use]
    pub fn mid_x2(&self, asset: Asset) -> Option<i64> {
        let market = self.markets.get(&asset)?;
        let fallback = market.reference.last_trade.unwrap_or(market.mark());
        Some(market.book.mid_x2().unwrap_or(2 * fallback.0))
    }

    /// Settled funding rates from `since_ms` on, oldest first, at most the last 2,000 hours.
    #[must_use]
    pub fn funding_rates(&self, asset: Asset, since_ms: u64) -> Vec<FundingRate> {
        self.markets.get(&asset).map(|m| m.reference.rates(since_ms)).unwrap_or_default()
    }

    /// All accounts, the vault excepted.
    pub fn accounts(&self) -> impl Iterator<Item = AccountKey> + '_ {
        self.accounts.keys().copied().filter(|key| *key != VAULT)
    }

    /// Whether the account exists.
    #[must_use]
    pub fn has_account(&self, account: AccountKey) -> bool {
        account != VAULT && self.accounts.contains_key(&account)
    }

    /// The account's state; that of an account without money if it does not exist.
    #[must_use]
    pub fn account_state(&self, account: AccountKey) -> AccountState {
        let nobody = Account::new(account);
        let owner = self.accounts.get(&account).unwrap_or(&nobody);
        let sums = self.cross_sums(owner);
        let mut cross = MarginSummary {
            account_value: sums.value,
            total_ntl_pos: sums.notional,
            total_raw_usd: owner.cash,
            total_margin_used: Usd::ZERO,
        };
        let mut whole = cross;
        let mut positions = Vec::new();
        for (asset, position) in owner.held() {
            let Some(market) = self.markets.get(&asset) else { continue };
            let other = sums.maintenance - self.own_maintenance(market, position);
            let state = self.position_state(owner, market, asset, position, sums.value, other);
            if let Some(raw) = position.isolated {
                whole.account_value += state.margin_used;
                whole.total_raw_usd += raw;
                whole.total_ntl_pos += state.position_value;
            } else {
                cross.total_margin_used += state.margin_used;
            }
            whole.total_margin_used += state.margin_used;
            positions.push(state);
        }
        AccountState {
            margin: rounded(whole),
            cross: rounded(cross),
            cross_maintenance_margin_used: sums.maintenance.round(CENTS),
            withdrawable: self.withdrawable(account),
            positions,
            spot_usdc: owner.spot,
            at_ms: self.now_ms,
        }
    }

    /// Maintenance that the position adds to the cross account: none if it is isolated.
    fn own_maintenance(&self, market: &Market, position: &Position) -> Usd {
        match position.isolated {
            Some(_) => Usd::ZERO,
            None => market.instrument().margin.maintenance(market.instrument().notional(market.mark(), position.szi.abs())),
        }
    }

    fn position_state(
        &self,
        owner: &Account,
        market: &Market,
        asset: Asset,
        position: &Position,
        cross_value: Usd,
        other_maintenance: Usd,
    ) -> PositionState {
        let (instrument, mark) = (market.instrument(), market.mark());
        let setting = owner.leverage(asset, instrument, market.cross_allowed());
        let leverage = LeverageSetting { is_cross: position.isolated.is_none(), value: setting.value };
        let size = instrument.lots_decimal(position.szi);
        let position_value = instrument.notional(mark, position.szi.abs());
        let unrealized_pnl = (instrument.value(mark, position.szi) - position.cost).round(CENTS);
        let isolated = position.isolated.map(|raw| raw + instrument.value(mark, position.szi));
        let (value, other) = match isolated {
            Some(equity) => (equity, Usd::ZERO),
            None => (cross_value, other_maintenance),
        };
        let liquidation_px =
            instrument.margin.liquidation_price(size, instrument.px_decimal(mark), value.decimal(), other.decimal());
        let at_stake = position.cost.decimal().abs() / Decimal::from(setting.value.max(1));
        PositionState {
            asset,
            szi: position.szi,
            leverage,
            raw_usd: position.isolated.map(|raw| raw.round(CENTS)),
            entry_px: position.cost.decimal().checked_div(size).map_or(Decimal::ZERO, long),
            position_value,
            unrealized_pnl,
            return_on_equity: unrealized_pnl.decimal().checked_div(at_stake).map_or(Decimal::ZERO, long),
            liquidation_px: liquidation_px.map(long).filter(|px| *px > Decimal::ZERO),
            margin_used: isolated
                .map_or_else(|| self.initial_margin(market, position_value, setting.value), |equity| equity.round(CENTS)),
            max_leverage: instrument.leverage_max,
            cum_funding: position.funding,
        }
    }

    /// Leverage, and room to trade, in one market. `None` for an unknown market.
    #[must_use]
    pub fn active_asset(&self, account: AccountKey, asset: Asset) -> Option<ActiveAsset> {
        let market = self.markets.get(&asset)?;
        let nobody = Account::new(account);
        let owner = self.accounts.get(&account).unwrap_or(&nobody);
        let leverage = self.leverage(account, asset)?;
        let free = self.cross_sums(owner).free().max(Usd::ZERO);
        let mark = market.mark();
        let position = owner.positions.get(&asset).filter(|p| p.szi != Lots::ZERO);
        let room = |side: Side| -> (Qty, Usd) {
            let closing = owner.reducible(asset, side);
            let brought = match position {
                Some(p) if !closing.is_zero() => match p.isolated {
                    Some(_) => Exchange::isolated_sums(market, p).0.max(Usd::ZERO),
                    None => self.initial_margin(market, market.instrument().notional(mark, closing), leverage.value),
                },
                _ => Usd::ZERO,
            };
            let available = free + brought;
            let money = available.decimal() * self.reach(market, leverage.value);
            let opening = money.checked_div(market.instrument().px_decimal(mark)).unwrap_or(Decimal::ZERO);
            (closing + market.instrument().floor_to_lot(opening), available.round(CENTS))
        };
        let (buy, sell) = (room(Side::Buy), room(Side::Sell));
        Some(ActiveAsset {
            leverage,
            raw_usd: position.and_then(|p| p.isolated),
            max_trade: [buy.0, sell.0],
            available_to_trade: [buy.1, sell.1],
            mark,
        })
    }

    /// Notional that a unit of initial margin carries.
    fn reach(&self, market: &Market, leverage: u32) -> Decimal {
        match &market.instrument().margin {
            MarginModel::Hyperliquid(_) => Decimal::from(leverage),
            MarginModel::Dydx(_) => {
                let million = Usd::whole(1_000_000);
                let margin = self.initial_margin(market, million, leverage);
                million.decimal().checked_div(margin.decimal()).unwrap_or(Decimal::ONE)
            }
        }
    }

    /// The leverage setting: cross at the lower of 20 and the market's highest until set. `None` for an unknown market.
    #[must_use]
    pub fn leverage(&self, account: AccountKey, asset: Asset) -> Option<LeverageSetting> {
        let market = self.markets.get(&asset)?;
        let nobody = Account::new(account);
        let owner = self.accounts.get(&account).unwrap_or(&nobody);
        Some(owner.leverage(asset, market.instrument(), market.cross_allowed()))
    }

    /// Notional that the account traded in its life.
    #[must_use]
    pub fn user_volume(&self, account: AccountKey) -> Usd {
        self.accounts.get(&account).map_or(Usd::ZERO, |a| a.volume)
    }

    /// Open orders, newest first: resting ones and triggers. Children whose parent rests stand inside their parent.
    #[must_use]
    pub fn open_orders(&self, account: AccountKey) -> Vec<OrderView> {
        let open = self.accounts.get(&account).map(|a| a.open.iter().rev()).into_iter().flatten();
        open.filter_map(|oid| self.orders.get(oid))
            .filter(|order| order.stage != Stage::WaitingForParent)
            .map(|order| self.order_view(order))
            .collect()
    }

    /// One order of the account with its last status; by client name the newest. `None` if unknown or long gone.
    #[must_use]
    pub fn order_status(&self, account: AccountKey, order: OrderRef) -> Option<OrderUpdate> {
        let oid = match order {
            OrderRef::Oid(oid) => oid,
            OrderRef::Cloid(cloid) => *self.accounts.get(&account)?.cloids.get(&cloid)?,
        };
        let order = self.orders.get(&oid).filter(|o| o.account == account)?;
        Some(OrderUpdate { account, order: self.order_view(order), status: order.status, at_ms: order.status_ms })
    }

    /// Status changes, newest first, at most the last 2,000.
    #[must_use]
    pub fn historical_orders(&self, account: AccountKey) -> Vec<OrderUpdate> {
        self.accounts.get(&account).map(|a| a.statuses.iter().rev().cloned().collect()).unwrap_or_default()
    }

    /// Fills from `since_ms` on, oldest first, at most the last 10,000.
    #[must_use]
    pub fn fills(&self, account: AccountKey, since_ms: u64) -> Vec<FillRecord> {
        let rows = self.accounts.get(&account).map(|a| a.fills.iter()).into_iter().flatten();
        rows.filter(|row| row.at_ms >= since_ms).cloned().collect()
    }

    /// Funding payments from `since_ms` on, oldest first, at most the last 10,000.
    #[must_use]
    pub fn fundings(&self, account: AccountKey, since_ms: u64) -> Vec<FundingPayment> {
        let rows = self.accounts.get(&account).map(|a| a.fundings.iter()).into_iter().flatten();
        rows.filter(|row| row.at_ms >= since_ms).cloned().collect()
    }

    /// Ledger rows from `since_ms` on, oldest first, at most the last 10,000.
    #[must_use]
    pub fn ledger(&self, account: AccountKey, since_ms: u64) -> Vec<LedgerRow> {
        let rows = self.accounts.get(&account).map(|a| a.ledger.iter()).into_iter().flatten();
        rows.filter(|row| row.at_ms >= since_ms).cloned().collect()
    }

    /// Where all money is.
    #[must_use]
    pub fn pools(&self) -> Pools {
        let vault = self.accounts.get(&VAULT).map_or(Usd::ZERO, Account::money);
        let accounts = self.accounts.values().filter(|a| a.key != VAULT).map(Account::money).sum();
        Pools { accounts, vault, ..self.pools }
    }

    /// Positions of all accounts, of the vault and of the background in one market: they sum to zero.
    #[must_use]
    pub fn net_position(&self, asset: Asset) -> Lots {
        let ours = self.accounts.values().fold(Lots::ZERO, |sum, a| sum + a.szi(asset));
        ours + self.markets.get(&asset).map_or(Lots::ZERO, |m| m.background)
    }

    /// The last public trade's price.
    #[must_use]
    pub fn last_trade(&self, asset: Asset) -> Option<Px> {
        self.markets.get(&asset)?.reference.last_trade
    }
}

fn rounded(sums: MarginSummary) -> MarginSummary {
    MarginSummary {
        account_value: sums.account_value.round(CENTS),
        total_ntl_pos: sums.total_ntl_pos.round(CENTS),
        total_raw_usd: sums.total_raw_usd.round(CENTS),
        total_margin_used: sums.total_margin_used.round(CENTS),
    }
}

fn long(value: Decimal) -> Decimal {
    value.round_dp_with_strategy(LONG, RoundingStrategy::MidpointAwayFromZero).normalize()
}
