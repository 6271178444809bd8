//! `/info`: every read that clients make (fact sheet §3).

use std::collections::BTreeMap;
use std::net::IpAddr;

use exchange::{AccountKey, Asset, FillRecord};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Value, json};
use wire::hyperliquid::action::OrderRef;
use wire::hyperliquid::info::{self, InfoRequest};
use wire::hyperliquid::{Num, User};

use super::act::spoil;
use super::{Reply, Served, Venue};
use crate::accounts::Role;
use crate::budgets::{answer_weight, info_weight};
use crate::candles::interval_ms;
use crate::fault::Fault;
use crate::render::{Grouping, half};
use crate::universe::{MarketInfo, Universe};

/// Most rows of a time-range read.
const ROWS_MAX: usize = 500;
/// Most fills of one answer, most rows of `historicalOrders`.
const FILLS_MAX: usize = 2_000;
/// Most candles of one answer.
const CANDLES_MAX: usize = 5_000;
/// Levels per side of a book.
pub(super) const LEVELS: usize = 20;
/// Levels looked at when they are gathered into coarser ones.
pub(super) const LEVELS_TO_GROUP: usize = 1_000;
/// Levels per side of a fast book.
pub(super) const FAST_LEVELS: usize = 5;

const HOUR_MS: u64 = 3_600_000;

/// An answer's text with the number of rows that count for its weight.
struct Answer {
    body: String,
    items: usize,
}

fn one(value: &impl Serialize) -> Answer {
    Answer { body: serde_json::to_string(value).unwrap_or_default(), items: 0 }
}

fn rows<T: Serialize>(rows: &[T]) -> Answer {
    Answer { items: rows.len(), ..one(&rows) }
}

impl Venue {
    pub(super) fn serve_read(&mut self, ip: Option<IpAddr>, request: &Value, is_admitted: bool) -> Reply {
        let kind = request.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let met = match self.admit(ip, info_weight(&kind), false, &kind, is_admitted) {
            Ok(met) => met,
            Err(answer) => return answer,
        };
        self.info_requests += 1;
        let Some(answer) = self.read(&kind, request) else {
            return Reply::Served(Served::text(422, "Failed to deserialize the JSON body into the target type"));
        };
        if let Some(ip) = ip {
            let now = self.now_ms;
            self.ips.of(ip).owe(now, answer_weight(&kind, answer.items));
        }
        let mut served = Served { body: answer.body, ..Served::json(&()) };
        spoil(&mut served, &met);
        Reply::Served(served)
    }

    /// The answer to a read; `None` if there is no such read.
    fn read(&mut self, kind: &str, request: &Value) -> Option<Answer> {
        // reads that no client of ours decodes but that others make
        match kind {
            "userToMultiSigSigners" | "vaultDetails" | "spotDeployState" | "blockDetails" => return Some(one(&Value::Null)),
            "userDexAbstraction" | "isVip" => return Some(one(&false)),
            "delegations" | "delegatorHistory" | "delegatorRewards" | "vaultSummaries" | "leadingVaults" | "gossipRootIps" => {
                return Some(one(&Value::Array(Vec::new())));
            }
            "delegatorSummary" => {
                return Some(one(&json!({
                    "delegated": "0.0", "undelegated": "0.0", "totalPendingWithdrawal": "0.0", "nPendingWithdrawals": 0,
                })));
            }
            "referral" => {
                return Some(one(&json!({
                    "referredBy": null, "cumVlm": "0.0", "unclaimedRewards": "0.0", "claimedRewards": "0.0",
                    "builderRewards": "0.0", "tokenToState": [],
                    "referrerState": { "stage": "needToTrade", "data": { "required": "10000.0" } }, "rewardHistory": [],
                })));
            }
            _ => {}
        }
        let mut request = request.clone();
        if matches!(kind, "userFunding" | "userFillsByTime" | "fundingHistory") {
            // clients that want everything leave the start out
            if let Some(fields) = request.as_object_mut() {
                fields.entry("startTime").or_insert_with(|| 0.into());
            }
        }
        let request: InfoRequest = serde_json::from_value(request).ok()?;
        // an agent's address, or anybody's on a closed venue, reads as an account without anything
        let account = request.user().and_then(User::address).map(|a| self.sight(a));
        match account {
            Some(account) => self.read_account(&request, account),
            None if request.user().is_some() => None,
            None => self.read_market(&request),
        }
    }

    fn read_market(&mut self, request: &InfoRequest) -> Option<Answer> {
        let main = |dex: &Option<String>| dex.as_deref().unwrap_or_default().is_empty();
        #[expect(clippy::wildcard_enum_match_arm, reason = "reads of accounts are answered elsewhere")]
        Some(match request {
            InfoRequest::Meta { dex } if main(dex) => one(&self.universe.meta()),
            InfoRequest::AllPerpMetas => one(&[self.universe.meta()]),
            InfoRequest::MetaAndAssetCtxs { dex } if main(dex) => one(&(self.universe.meta(), self.contexts())),
            InfoRequest::Meta { .. } | InfoRequest::MetaAndAssetCtxs { .. } => one(&Value::Null),
            InfoRequest::PerpDexs => one(&[Value::Null]),
            InfoRequest::PerpDexLimits { .. } => one(&Value::Null),
            InfoRequest::PerpDexStatus { .. } => {
                one(&info::PerpDexStatus { total_net_deposit: Num(self.exchange.pools().net_deposits.decimal()) })
            }
            InfoRequest::PerpsAtOpenInterestCap { .. } | InfoRequest::Liquidatable => one(&Value::Array(Vec::new())),
            InfoRequest::MarginTable { id, .. } => one(&self.universe.margin_table(*id)),
            InfoRequest::MaxMarketOrderNtls => one(&self.market_order_limits()),
            InfoRequest::AllMids { dex } if main(dex) => one(&self.mids()),
            InfoRequest::AllMids { .. } => one(&info::AllMids::new()),
            InfoRequest::L2Book { coin, n_sig_figs, mantissa } => {
                let grouping = Grouping::new(*n_sig_figs, *mantissa)?;
                one(&self.l2_book(coin, grouping, false))
            }
            InfoRequest::RecentTrades { coin } => {
                let render = self.render();
                let asset = self.universe.named(coin)?.asset;
                let trades = self.recent.get(&asset).into_iter().flatten().rev();
                rows(&trades.filter_map(|t| render.trade(t)).collect::<Vec<_>>())
            }
            InfoRequest::CandleSnapshot { req } => {
                let asset = self.universe.named(&req.coin)?.asset;
                let length = interval_ms(&req.interval)?;
                let until = req.end_time.unwrap_or(self.now_ms);
                let candles = self.candles_of(asset, length, req.start_time, until);
                let from = candles.len().saturating_sub(CANDLES_MAX);
                let render = self.render();
                let shown = candles[from..].iter().filter_map(|c| render.candle(asset, &req.interval, length, c));
                rows(&shown.collect::<Vec<_>>())
            }
            InfoRequest::FundingHistory { coin, start_time, end_time } => {
                let asset = self.universe.named(coin)?.asset;
                let rates = self.settled_rates(asset);
                let rate = |r: &exchange::FundingRate| info::FundingRate {
                    coin: coin.clone(),
                    funding_rate: Num(r.rate.decimal()),
                    premium: Some(Num(r.premium.decimal())),
                    time: r.at_ms,
                };
                let within = *start_time..=end_time.unwrap_or(u64::MAX);
                rows(&rates.iter().filter(|r| within.contains(&r.at_ms)).take(ROWS_MAX).map(rate).collect::<Vec<_>>())
            }
            InfoRequest::PredictedFundings => one(&self.predicted_fundings()),
            InfoRequest::ExchangeStatus => one(&json!({ "time": self.shown_ms(), "specialStatuses": null })),
            InfoRequest::UsdcRouting => {
                let (deposit_route, withdrawal_route) =
                    (self.routing.deposit.name().into(), self.routing.withdrawal.name().into());
                one(&info::UsdcRouting { deposit_route, withdrawal_route })
            }
            InfoRequest::SpotMeta => one(&Universe::spot_meta()),
            InfoRequest::SpotMetaAndAssetCtxs => one(&Universe::spot_meta_and_contexts()),
            InfoRequest::OutcomeMeta => one(&info::OutcomeMeta::default()),
            _ => return None,
        })
    }

    #[expect(clippy::too_many_lines, reason = "one arm per read of an account")]
    fn read_account(&mut self, request: &InfoRequest, account: AccountKey) -> Option<Answer> {
        let main = |dex: &Option<String>| dex.as_deref().unwrap_or_default().is_empty();
        let user = request.user().and_then(User::address)?;
        let shown = User::from(user);
        #[expect(clippy::wildcard_enum_match_arm, reason = "reads of markets are answered elsewhere")]
        Some(match request {
            InfoRequest::ClearinghouseState { dex, .. } if main(dex) => one(&self.clearinghouse(account)),
            InfoRequest::ClearinghouseState { .. } => one(&self.clearinghouse(NOBODY)),
            InfoRequest::SpotClearinghouseState { .. } => one(&self.spot_state(account)),
            InfoRequest::ActiveAssetData { coin, .. } => {
                let asset = self.universe.named(coin)?.asset;
                let active = self.exchange.active_asset(account, asset)?;
                one(&self.render().active_asset(shown, asset, &active))
            }
            InfoRequest::OpenOrders { dex, .. } => {
                let orders = if main(dex) { self.exchange.open_orders(account) } else { Vec::new() };
                let render = self.render();
                one(&orders.iter().filter_map(|o| render.open_order(o)).collect::<Vec<_>>())
            }
            InfoRequest::FrontendOpenOrders { dex, .. } => {
                one(&if main(dex) { self.frontend_orders(account) } else { Vec::new() })
            }
            InfoRequest::OrderStatus { oid, .. } => {
                let named = match oid {
                    OrderRef::Oid(oid) => exchange::OrderRef::Oid(*oid),
                    OrderRef::Cloid(cloid) => exchange::OrderRef::Cloid(cloid.bits()),
                };
                let row = self.exchange.order_status(account, named).and_then(|u| self.render().order_row(&u));
                one(&row.map_or(info::OrderStatus::UnknownOid, |row| info::OrderStatus::Order { order: Box::new(row) }))
            }
            InfoRequest::HistoricalOrders { .. } => rows(&self.order_rows(account)),
            InfoRequest::UserFills { aggregate_by_time, .. } => {
                rows(&self.newest_fills(account, aggregate_by_time.unwrap_or(false)))
            }
            InfoRequest::UserFillsByTime { start_time, end_time, aggregate_by_time, reversed, .. } => {
                let until = end_time.unwrap_or(u64::MAX);
                let mut fills: Vec<FillRecord> = self.exchange.fills(account, *start_time);
                fills.retain(|f| f.at_ms <= until);
                let is_reversed = reversed.unwrap_or(false);
                if is_reversed {
                    fills.reverse();
                }
                let render = self.render();
                let mut shown: Vec<info::Fill> = fills.iter().take(FILLS_MAX).filter_map(|f| render.fill(f)).collect();
                if aggregate_by_time.unwrap_or(false) {
                    shown = aggregated(shown);
                }
                rows(&shown)
            }
            InfoRequest::UserFunding { start_time, end_time, .. } => {
                let until = end_time.unwrap_or(u64::MAX);
                let payments = self.exchange.fundings(account, *start_time);
                let render = self.render();
                let within = payments.iter().filter(|p| p.at_ms <= until).take(ROWS_MAX);
                rows(&within.filter_map(|p| render.user_funding(p)).collect::<Vec<_>>())
            }
            InfoRequest::UserNonFundingLedgerUpdates { start_time, end_time, .. } => {
                let until = end_time.unwrap_or(u64::MAX);
                let ledger = self.exchange.ledger(account, start_time.unwrap_or(0));
                let render = self.render();
                rows(&ledger.iter().filter(|r| r.at_ms <= until).take(ROWS_MAX).map(|r| render.ledger(r)).collect::<Vec<_>>())
            }
            InfoRequest::UserRateLimit { .. } => {
                let volume = self.exchange.user_volume(account).decimal();
                let (used, cap, surplus) = self.budgets.view(wire::hyperliquid::Address(account.0), volume, &self.limits);
                one(&info::UserRateLimit {
                    cum_vlm: Num(volume),
                    n_requests_used: used,
                    n_requests_cap: cap,
                    n_requests_surplus: Some(surplus),
                })
            }
            InfoRequest::UserFees { .. } => one(&fees()),
            InfoRequest::SubAccounts { .. } => {
                let subs: Vec<info::SubAccount> = self
                    .directory
                    .sub_accounts(account)
                    .into_iter()
                    .map(|(sub, name)| info::SubAccount {
                        name,
                        sub_account_user: User::from(self.directory.shown(sub)),
                        master: shown.clone(),
                        clearinghouse_state: self.clearinghouse(sub),
                        spot_state: self.spot_state(sub),
                    })
                    .collect();
                one(&(!subs.is_empty()).then_some(subs))
            }
            InfoRequest::SubAccounts2 { .. } => {
                let subs: Vec<info::SubAccount2> = self
                    .directory
                    .sub_accounts(account)
                    .into_iter()
                    .map(|(sub, name)| info::SubAccount2 {
                        name,
                        sub_account_user: User::from(self.directory.shown(sub)),
                        master: shown.clone(),
                        dex_to_clearinghouse_state: vec![(String::new(), self.clearinghouse(sub))],
                        spot_state: self.spot_state(sub),
                        abstraction: None,
                    })
                    .collect();
                one(&(!subs.is_empty()).then_some(subs))
            }
            InfoRequest::UserRole { .. } => one(&match self.directory.role(user) {
                Role::Missing => json!({ "role": "missing" }),
                Role::User => json!({ "role": "user" }),
                Role::Agent(master) => json!({ "role": "agent", "data": { "user": master } }),
                Role::SubAccount(master) => json!({ "role": "subAccount", "data": { "master": master } }),
            }),
            InfoRequest::ExtraAgents { .. } => one(&self.directory.extra_agents(account)),
            InfoRequest::UserAbstraction { .. } => one(&info::Abstraction::Default),
            InfoRequest::PreTransferCheck { .. } => {
                let exists = self.exchange.has_account(account);
                let check = info::PreTransferCheck {
                    fee: Num(Decimal::ZERO),
                    is_sanctioned: false,
                    user_exists: exists,
                    user_has_sent_tx: exists,
                };
                one(&check)
            }
            InfoRequest::MaxBuilderFee { builder, .. } => {
                one(&builder.address().map_or(0, |b| self.directory.builder_fee(account, b)))
            }
            InfoRequest::TwapHistory { .. }
            | InfoRequest::UserTwapSliceFills { .. }
            | InfoRequest::UserTwapSliceFillsByTime { .. }
            | InfoRequest::UserVaultEquities { .. } => one(&Value::Array(Vec::new())),
            InfoRequest::Portfolio { .. } => one(&self.portfolio(account)),
            InfoRequest::WebData2 { .. } => one(&self.web_data2(account, shown)),
            _ => return None,
        })
    }

    pub(super) fn contexts(&self) -> Vec<info::AssetCtx> {
        let render = self.render();
        let context = |m: &MarketInfo| render.context(m.asset, &self.exchange.context(m.asset)?);
        self.universe.all().iter().filter_map(context).collect()
    }

    pub(super) fn mids(&self) -> info::AllMids {
        let mid = |m: &MarketInfo| Some((m.name().to_owned(), Num(half(&m.instrument, self.exchange.mid_x2(m.asset)?))));
        self.universe.live().filter_map(mid).collect()
    }

    fn market_order_limits(&self) -> Vec<(u32, Num)> {
        let by_leverage: BTreeMap<u32, Num> = self
            .exchange
            .markets()
            .iter()
            .map(|m| (m.instrument.leverage_max, Num(m.market_order_notional_max.decimal())))
            .collect();
        by_leverage.into_iter().rev().collect()
    }

    /// A book; `None` for an unknown coin.
    pub(super) fn l2_book(&mut self, coin: &str, grouping: Grouping, is_fast: bool) -> Option<info::L2Book> {
        let asset = self.universe.named(coin)?.asset;
        let levels = if is_fast { FAST_LEVELS } else { LEVELS };
        let raw = if grouping.figures.is_some() { LEVELS_TO_GROUP } else { levels };
        let view = self.exchange.book(asset, raw)?;
        let mut book = self.render().book(asset, &view, levels, grouping, is_fast)?;
        book.time = self.shown_ms();
        let [bids, asks] = &mut book.levels;
        if self.spoils_book(Fault::CrossedBook, coin) {
            std::mem::swap(bids, asks);
        }
        if self.spoils_book(Fault::OneSidedBook, coin) {
            asks.clear();
        }
        Some(book)
    }

    fn spoils_book(&mut self, fault: Fault, coin: &str) -> bool {
        let now = self.now_ms;
        self.faults.holds(now, fault).is_some_and(|f| f.order.coin.as_deref().is_none_or(|c| c == coin))
    }

    fn predicted_fundings(&self) -> Value {
        let next = self.now_ms - self.now_ms % HOUR_MS + HOUR_MS;
        let prediction = |venue: &str, rate: Decimal, next: u64, hours: u32| json!([venue, { "fundingRate": Num(rate), "nextFundingTime": next, "fundingIntervalHours": hours }]);
        let row = |m: &MarketInfo| {
            let own = self.exchange.context(m.asset)?.funding.decimal();
            let others = self.past.iter().flat_map(|past| past.predicted(m.name(), self.now_ms));
            let mut venues: Vec<Value> = others.map(|(venue, rate, at, hours)| prediction(venue, rate, at, hours)).collect();
            venues.insert(venues.len().min(1), prediction("HlPerp", own, next, 1));
            Some(json!([m.name(), venues]))
        };
        self.universe.live().filter_map(row).collect()
    }

    /// Candles of a market, of the time before the venue began too.
    pub(super) fn candles_of(&mut self, asset: Asset, length_ms: u64, from_ms: u64, to_ms: u64) -> Vec<crate::candles::Candle> {
        if let Some(past) = &mut self.past {
            past.make(&self.universe, asset);
        }
        let first = from_ms - from_ms % length_ms;
        let past = self.past.iter().flat_map(|past| past.candles(asset, length_ms, first));
        self.candles.list(past, asset, length_ms, from_ms, to_ms)
    }

    pub(super) fn clearinghouse(&self, account: AccountKey) -> info::ClearinghouseState {
        self.render().clearinghouse(&self.exchange.account_state(account))
    }

    pub(super) fn spot_state(&self, account: AccountKey) -> info::SpotClearinghouseState {
        let total = Num(self.exchange.account_state(account).spot_usdc.decimal());
        let usdc = info::SpotBalance {
            coin: "USDC".into(),
            token: Some(0),
            total,
            hold: Num(Decimal::ZERO),
            entry_ntl: Some(Num(Decimal::ZERO)),
            spot_hold: None,
            ltv: None,
            borrowed: None,
            supplied: None,
        };
        info::SpotClearinghouseState {
            balances: vec![usdc],
            evm_escrows: None,
            portfolio_margin_enabled: None,
            portfolio_margin_ratio: None,
            token_to_portfolio_borrow_ratio: None,
            token_to_portfolio_supply_ratio: None,
            token_to_available_after_maintenance: None,
        }
    }

    pub(super) fn frontend_orders(&self, account: AccountKey) -> Vec<info::FrontendOrder> {
        let render = self.render();
        self.exchange.open_orders(account).iter().filter_map(|o| render.frontend_order(o)).collect()
    }

    pub(super) fn order_rows(&self, account: AccountKey) -> Vec<info::OrderRow> {
        let render = self.render();
        self.exchange.historical_orders(account).iter().take(FILLS_MAX).filter_map(|u| render.order_row(u)).collect()
    }

    /// The most recent fills, newest first.
    pub(super) fn newest_fills(&self, account: AccountKey, is_aggregated: bool) -> Vec<info::Fill> {
        let render = self.render();
        let fills = self.exchange.fills(account, 0);
        let shown = fills.iter().rev().take(FILLS_MAX).filter_map(|f| render.fill(f)).collect();
        if is_aggregated { aggregated(shown) } else { shown }
    }

    fn portfolio(&self, account: AccountKey) -> Value {
        let value = Num(self.exchange.account_state(account).margin.account_value.decimal());
        let zero = Num(Decimal::ZERO);
        let volume = Num(self.exchange.user_volume(account).decimal());
        let period = info::Portfolio {
            account_value_history: vec![(self.started_ms, value), (self.now_ms, value)],
            pnl_history: vec![(self.started_ms, zero), (self.now_ms, zero)],
            vlm: volume,
        };
        ["day", "week", "month", "allTime", "perpDay", "perpWeek", "perpMonth", "perpAllTime"]
            .into_iter()
            .map(|name| json!([name, period]))
            .collect()
    }

    pub(super) fn web_data2(&self, account: AccountKey, user: User) -> info::WebData2 {
        info::WebData2 {
            clearinghouse_state: Some(self.clearinghouse(account)),
            open_orders: Some(self.frontend_orders(account)),
            meta: Some(self.universe.meta()),
            asset_ctxs: Some(self.contexts()),
            user: Some(user),
            server_time: Some(self.now_ms),
        }
    }
}

/// An account that nobody has.
const NOBODY: AccountKey = AccountKey([0; 20]);

/// Partial fills of one order at one time, merged: sizes, fees and profits add up, the price is their average.
pub(super) fn aggregated(fills: Vec<info::Fill>) -> Vec<info::Fill> {
    let mut out: Vec<info::Fill> = Vec::new();
    for fill in fills {
        match out.last_mut() {
            Some(last) if last.oid == fill.oid && last.time == fill.time && last.crossed == fill.crossed => {
                let total = last.sz.get() + fill.sz.get();
                if !total.is_zero() {
                    let value = last.px.get() * last.sz.get() + fill.px.get() * fill.sz.get();
                    last.px = Num((value / total).round_dp(8));
                }
                last.sz = Num(total);
                last.fee = Num(last.fee.get() + fill.fee.get());
                last.closed_pnl = Num(last.closed_pnl.get() + fill.closed_pnl.get());
            }
            _ => out.push(fill),
        }
    }
    out
}

/// `userFees` of an account at the base tier.
fn fees() -> Value {
    let vip = |cutoff: &str, cross: &str, add: &str| json!({ "ntlCutoff": cutoff, "cross": cross, "add": add, "spotCross": "0.0007", "spotAdd": "0.0004" });
    json!({
        "dailyUserVlm": [],
        "feeSchedule": {
            "cross": "0.00045", "add": "0.00015", "spotCross": "0.0007", "spotAdd": "0.0004",
            "tiers": {
                "vip": [
                    vip("5000000.0", "0.0004", "0.00012"), vip("25000000.0", "0.00035", "0.00008"),
                    vip("100000000.0", "0.0003", "0.00004"), vip("500000000.0", "0.00028", "0.0"),
                    vip("2000000000.0", "0.00026", "0.0"), vip("7000000000.0", "0.00024", "0.0"),
                ],
                "mm": [
                    { "makerFractionCutoff": "0.005", "add": "-0.00001" },
                    { "makerFractionCutoff": "0.015", "add": "-0.00002" },
                    { "makerFractionCutoff": "0.03", "add": "-0.00003" },
                ],
            },
            "referralDiscount": "0.04",
            "stakingDiscountTiers": [{ "bpsOfMaxSupply": "0.0", "discount": "0.0" }],
        },
        "userCrossRate": "0.00045", "userAddRate": "0.00015",
        "userSpotCrossRate": "0.0007", "userSpotAddRate": "0.0004",
        "activeReferralDiscount": "0.0", "trial": null, "feeTrialEscrow": "0.0", "nextTrialAvailableTimestamp": null,
        "stakingLink": null, "activeStakingDiscount": { "bpsOfMaxSupply": "0.0", "discount": "0.0" },
    })
}
