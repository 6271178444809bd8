//! From the exchange's views to the venue's payloads.

use domain::{ClientKey, Instrument, Lots, Px, Qty, Side};
use exchange::{
    AccountState, ActiveAsset, Asset, BookLevel, BookView, FillRecord, FundingPayment, LedgerDelta, LedgerRow, LeverageSetting,
    Liquidation, MarketContext, OpResult, OrderUpdate, OrderView, Placed, PositionState, PublicTrade,
};
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Value, json};
use wire::hyperliquid::action::{Answer, CancelStatus, Filled, OrderStatus, Response, Resting};
use wire::hyperliquid::sign::keccak;
use wire::hyperliquid::{Address, LooseNum, Num, User, info};

use crate::accounts::Directory;
use crate::candles::Candle;
use crate::universe::Universe;

/// What rendering needs to know: names and addresses.
#[derive(Clone, Copy)]
pub(crate) struct Render<'a> {
    pub(crate) universe: &'a Universe,
    pub(crate) directory: &'a Directory,
}

/// `B` or `A`.
pub(crate) const fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "B",
        Side::Sell => "A",
    }
}

/// A transaction hash: a pure function of what it names.
fn hash(kind: &str, n: u64) -> String {
    format!("0x{}", hex::encode(keccak(&[kind.as_bytes(), &n.to_be_bytes()])))
}

/// Who trades when nobody of ours does: the anonymous background.
const BACKGROUND: Address = Address([0xbb; 20]);

fn px(instrument: &Instrument, px: Px) -> Num {
    Num(instrument.px_decimal(px))
}

fn qty(instrument: &Instrument, qty: Qty) -> Num {
    Num(instrument.qty_decimal(qty))
}

fn lots(instrument: &Instrument, lots: Lots) -> Num {
    Num(instrument.lots_decimal(lots))
}

impl Render<'_> {
    fn with<T>(&self, asset: Asset, f: impl FnOnce(&Instrument, String) -> T) -> Option<T> {
        let market = self.universe.market(asset)?;
        Some(f(&market.instrument, market.name().to_owned()))
    }

    fn user(&self, account: exchange::AccountKey) -> User {
        User::from(self.directory.shown(account))
    }

    pub(crate) fn frontend_order(&self, order: &OrderView) -> Option<info::FrontendOrder> {
        self.with(order.asset, |i, coin| info::FrontendOrder {
            coin,
            side: order.side,
            limit_px: px(i, order.px),
            sz: qty(i, order.qty),
            oid: order.oid,
            timestamp: order.placed_ms,
            trigger_condition: Some(order.trigger_condition(i)),
            is_trigger: Some(order.trigger.is_some()),
            trigger_px: Some(order.trigger.as_ref().map_or(Num(Decimal::ZERO), |t| px(i, t.px))),
            children: Some(order.children.iter().filter_map(|c| self.frontend_order(c)).collect()),
            is_position_tpsl: Some(order.is_position_tpsl),
            reduce_only: Some(order.reduce_only),
            order_type: Some(order.order_type().to_owned()),
            orig_sz: Some(qty(i, order.orig_qty)),
            tif: order.tif.map(|t| t.word().to_owned()),
            cloid: order.cloid.map(ClientKey::from_bits),
        })
    }

    pub(crate) fn open_order(&self, order: &OrderView) -> Option<info::OpenOrder> {
        self.with(order.asset, |i, coin| info::OpenOrder {
            coin,
            side: order.side,
            limit_px: px(i, order.px),
            sz: qty(i, order.qty),
            oid: order.oid,
            timestamp: order.placed_ms,
            orig_sz: Some(qty(i, order.orig_qty)),
            cloid: order.cloid.map(ClientKey::from_bits),
            reduce_only: order.reduce_only.then_some(true),
        })
    }

    pub(crate) fn order_row(&self, update: &OrderUpdate) -> Option<info::OrderRow> {
        Some(info::OrderRow {
            order: self.frontend_order(&update.order)?,
            status: update.status.word().to_owned(),
            status_timestamp: update.at_ms,
        })
    }

    /// One element of `orderUpdates`.
    pub(crate) fn order_update(&self, update: &OrderUpdate) -> Option<Value> {
        let order = self.open_order(&update.order)?;
        Some(json!({ "order": order, "status": update.status.word(), "statusTimestamp": update.at_ms }))
    }

    pub(crate) fn fill(&self, fill: &FillRecord) -> Option<info::Fill> {
        self.with(fill.asset, |i, coin| info::Fill {
            coin,
            px: px(i, fill.px),
            sz: qty(i, fill.qty),
            side: fill.side,
            time: fill.at_ms,
            start_position: lots(i, fill.start_position),
            dir: fill.dir.word().to_owned(),
            closed_pnl: Num(fill.closed_pnl.decimal()),
            hash: hash("trade", fill.tid),
            oid: fill.oid,
            crossed: fill.crossed,
            fee: Num(fill.fee.decimal()),
            builder_fee: None,
            tid: Some(fill.tid),
            fee_token: Some("USDC".to_owned()),
            fee_trial_escrow: None,
            twap_id: None,
            cloid: fill.cloid.map(ClientKey::from_bits),
            liquidation: fill.liquidation.map(|l| info::FillLiquidation {
                liquidated_user: Some(self.user(l.liquidated_user)),
                mark_px: px(i, l.mark_px),
                method: l.method.word().to_owned(),
            }),
        })
    }

    pub(crate) fn trade(&self, trade: &PublicTrade) -> Option<info::Trade> {
        let user = |key: Option<exchange::AccountKey>| key.map_or(User::from(BACKGROUND), |k| self.user(k));
        self.with(trade.asset, |i, coin| info::Trade {
            coin,
            side: trade.side,
            px: px(i, trade.px),
            sz: qty(i, trade.qty),
            time: trade.at_ms,
            hash: hash("trade", trade.tid),
            tid: trade.tid,
            users: Some([user(trade.buyer), user(trade.seller)]),
        })
    }

    /// One payment as `userFundings` streams it, without the wrapping that `/info` adds.
    pub(crate) fn funding(&self, payment: &FundingPayment) -> Option<Value> {
        self.with(payment.asset, |i, coin| {
            json!({
                "time": payment.at_ms,
                "coin": coin,
                "usdc": Num(payment.usdc.decimal()),
                "szi": lots(i, payment.szi),
                "fundingRate": Num(payment.rate.decimal()),
                "nSamples": null,
            })
        })
    }

    pub(crate) fn user_funding(&self, payment: &FundingPayment) -> Option<info::UserFunding> {
        self.with(payment.asset, |i, coin| info::UserFunding {
            time: payment.at_ms,
            hash: format!("0x{}", "0".repeat(64)),
            delta: info::FundingDelta {
                kind: Some("funding".to_owned()),
                coin,
                usdc: Num(payment.usdc.decimal()),
                szi: lots(i, payment.szi),
                funding_rate: Num(payment.rate.decimal()),
                n_samples: None,
            },
        })
    }

    pub(crate) fn ledger(&self, row: &LedgerRow) -> info::LedgerUpdate {
        use info::KnownDelta as K;
        let num = |u: domain::Usd| Num(u.decimal());
        let delta = match &row.delta {
            LedgerDelta::AccountClassTransfer { usdc, to_perp } => {
                K::AccountClassTransfer { usdc: num(*usdc), to_perp: *to_perp }
            }
            LedgerDelta::Deposit { usdc } => K::Deposit { usdc: num(*usdc) },
            LedgerDelta::Withdraw { usdc, nonce, fee } => K::Withdraw { usdc: num(*usdc), nonce: *nonce, fee: num(*fee) },
            LedgerDelta::InternalTransfer { usdc, user, destination } => K::InternalTransfer {
                usdc: num(*usdc),
                user: self.user(*user),
                destination: self.user(*destination),
                fee: Num(Decimal::ZERO),
            },
            LedgerDelta::SubAccountTransfer { usdc, user, destination } => {
                K::SubAccountTransfer { usdc: num(*usdc), user: self.user(*user), destination: self.user(*destination) }
            }
            LedgerDelta::Liquidation { liquidated_ntl_pos, account_value, is_cross, liquidated_positions } => K::Liquidation {
                liquidated_ntl_pos: num(*liquidated_ntl_pos),
                account_value: num(*account_value),
                leverage_type: if *is_cross { "Cross" } else { "Isolated" }.to_owned(),
                liquidated_positions: liquidated_positions
                    .iter()
                    .filter_map(|(asset, szi)| self.with(*asset, |i, coin| info::LiquidatedPosition { coin, szi: lots(i, *szi) }))
                    .collect(),
            },
        };
        info::LedgerUpdate { time: row.at_ms, hash: hash("ledger", row.at_ms), delta: info::LedgerDelta::Known(Box::new(delta)) }
    }

    /// The `liquidation` of `userEvents`.
    pub(crate) fn liquidation(&self, l: &Liquidation) -> Value {
        json!({
            "lid": l.lid,
            "liquidator": self.user(l.liquidator),
            "liquidated_user": self.user(l.liquidated_user),
            "liquidated_ntl_pos": Num(l.liquidated_ntl_pos.decimal()),
            "liquidated_account_value": Num(l.liquidated_account_value.decimal()),
        })
    }

    pub(crate) fn clearinghouse(&self, state: &AccountState) -> info::ClearinghouseState {
        let summary = |m: &exchange::MarginSummary| info::MarginSummary {
            account_value: Num(m.account_value.decimal()),
            total_ntl_pos: Num(m.total_ntl_pos.decimal()),
            total_raw_usd: Num(m.total_raw_usd.decimal()),
            total_margin_used: Num(m.total_margin_used.decimal()),
        };
        info::ClearinghouseState {
            margin_summary: Some(summary(&state.margin)),
            cross_margin_summary: summary(&state.cross),
            cross_maintenance_margin_used: Some(Num(state.cross_maintenance_margin_used.decimal())),
            withdrawable: Num(state.withdrawable.decimal()),
            asset_positions: state.positions.iter().filter_map(|p| self.position(p)).collect(),
            time: Some(state.at_ms),
        }
    }

    fn position(&self, p: &PositionState) -> Option<info::AssetPosition> {
        let position = self.with(p.asset, |i, coin| info::Position {
            coin,
            szi: lots(i, p.szi),
            leverage: leverage(p.leverage, p.raw_usd),
            entry_px: Some(Num(p.entry_px)),
            position_value: Num(p.position_value.decimal()),
            unrealized_pnl: Num(p.unrealized_pnl.decimal()),
            return_on_equity: Num(p.return_on_equity),
            liquidation_px: p.liquidation_px.map(Num),
            margin_used: Num(p.margin_used.decimal()),
            max_leverage: Some(p.max_leverage),
            cum_funding: Some(info::CumFunding {
                all_time: Num(p.cum_funding.all_time.decimal()),
                since_open: Num(p.cum_funding.since_open.decimal()),
                since_change: Num(p.cum_funding.since_change.decimal()),
            }),
        })?;
        Some(info::AssetPosition { kind: "oneWay".to_owned(), position })
    }

    pub(crate) fn active_asset(&self, user: User, asset: Asset, a: &ActiveAsset) -> Option<info::ActiveAssetData> {
        self.with(asset, |i, coin| info::ActiveAssetData {
            user,
            coin,
            leverage: leverage(a.leverage, a.raw_usd),
            max_trade_szs: a.max_trade.map(|q| LooseNum(i.qty_decimal(q))),
            available_to_trade: a.available_to_trade.map(|u| LooseNum(u.decimal())),
            mark_px: Some(LooseNum(i.px_decimal(a.mark))),
        })
    }

    pub(crate) fn context(&self, asset: Asset, c: &MarketContext) -> Option<info::AssetCtx> {
        self.with(asset, |i, _| info::AssetCtx {
            funding: Num(c.funding.decimal()),
            open_interest: qty(i, c.open_interest),
            prev_day_px: px(i, c.prev_day_px),
            day_ntl_vlm: Num(c.day_notional_volume.decimal()),
            day_base_vlm: Some(qty(i, c.day_base_volume)),
            premium: c.premium.map(|p| Num(p.decimal())),
            oracle_px: px(i, c.oracle),
            mark_px: px(i, c.mark),
            mid_px: c.mid_x2.map(|m| Num(half(i, m))),
            impact_pxs: c.impact_pxs.map(|(bid, ask)| [bid, ask].map(|px| Num(px.round_dp(i.tick.scale())))),
        })
    }

    pub(crate) fn candle(&self, asset: Asset, interval: &str, length_ms: u64, c: &Candle) -> Option<info::Candle> {
        let p = |i: &Instrument, v: Px| LooseNum(i.px_decimal(v));
        self.with(asset, |i, coin| info::Candle {
            open_time: c.open_ms,
            close_time: c.open_ms + length_ms - 1,
            coin,
            interval: interval.to_owned(),
            open: p(i, c.open),
            close: p(i, c.close),
            high: p(i, c.high),
            low: p(i, c.low),
            volume: LooseNum(i.qty_decimal(c.volume)),
            trades: c.trades,
        })
    }

    pub(crate) fn book(
        &self,
        asset: Asset,
        book: &BookView,
        levels: usize,
        grouping: Grouping,
        is_fast: bool,
    ) -> Option<info::L2Book> {
        self.with(asset, |i, coin| info::L2Book {
            coin,
            time: book.at_ms,
            levels: [grouped(i, &book.bids, Side::Buy, levels, grouping), grouped(i, &book.asks, Side::Sell, levels, grouping)],
            spread: match (book.bids.first(), book.asks.first()) {
                (Some(bid), Some(ask)) if grouping.figures.is_none() => Some(Num(i.px_decimal(ask.px) - i.px_decimal(bid.px))),
                _ => None,
            },
            fast: is_fast.then_some(true),
        })
    }

    /// `bbo`.
    pub(crate) fn bbo(&self, asset: Asset, book: &BookView) -> Option<Value> {
        self.with(asset, |i, coin| {
            let best = |levels: &[BookLevel]| levels.first().map(|l| level(i, l));
            json!({ "coin": coin, "time": book.at_ms, "bbo": [best(&book.bids), best(&book.asks)] })
        })
    }
}

fn leverage(setting: LeverageSetting, raw_usd: Option<domain::Usd>) -> info::Leverage {
    if setting.is_cross {
        info::Leverage::Cross { value: setting.value }
    } else {
        info::Leverage::Isolated { value: setting.value, raw_usd: raw_usd.map(|u| Num(u.decimal())) }
    }
}

/// Half of a doubled price.
pub(crate) fn half(instrument: &Instrument, px_x2: i64) -> Decimal {
    instrument.px_decimal(Px(px_x2)) / Decimal::TWO
}

/// How `l2Book` gathers levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Grouping {
    /// Significant figures, 2 to 5.
    pub(crate) figures: Option<u8>,
    /// 1, 2 or 5, only with 5 figures.
    pub(crate) mantissa: Option<u8>,
}

impl Grouping {
    /// The grouping with these parameters, if the venue takes them.
    pub(crate) fn new(figures: Option<u8>, mantissa: Option<u8>) -> Option<Grouping> {
        let fits = match (figures, mantissa) {
            (None, None) => true,
            (Some(2..=5), None) => true,
            (Some(5), Some(1 | 2 | 5)) => true,
            (None | Some(_), Some(_)) | (Some(_), None) => false,
        };
        fits.then_some(Grouping { figures, mantissa })
    }

    fn step(self, price: Decimal) -> Option<Decimal> {
        let figures = i32::from(self.figures?);
        // 61,800 has its first digit at 10^4, so five figures are steps of 10^0
        let mut magnitude = 0_i32;
        let mut scaled = price;
        while scaled >= Decimal::TEN {
            scaled /= Decimal::TEN;
            magnitude += 1;
        }
        while scaled < Decimal::ONE && magnitude > -12 {
            scaled *= Decimal::TEN;
            magnitude -= 1;
        }
        let exponent = magnitude - (figures - 1);
        let power = if exponent >= 0 {
            Decimal::from(10_u64.pow(exponent.unsigned_abs()))
        } else {
            Decimal::new(1, exponent.unsigned_abs())
        };
        Some(power * Decimal::from(self.mantissa.unwrap_or(1)))
    }
}

fn level(i: &Instrument, l: &BookLevel) -> info::L2Level {
    info::L2Level { px: px(i, l.px), sz: qty(i, l.qty), n: l.n }
}

fn grouped(i: &Instrument, levels: &[BookLevel], side: Side, most: usize, grouping: Grouping) -> Vec<info::L2Level> {
    let step = levels.first().and_then(|best| grouping.step(i.px_decimal(best.px)));
    let Some(step) = step else { return levels.iter().take(most).map(|l| level(i, l)).collect() };
    let rounding = match side {
        Side::Buy => RoundingStrategy::ToNegativeInfinity,
        Side::Sell => RoundingStrategy::ToPositiveInfinity,
    };
    let mut out: Vec<info::L2Level> = Vec::new();
    for l in levels {
        let steps = (i.px_decimal(l.px) / step).round_dp_with_strategy(0, rounding);
        let bucket = Num(steps * step);
        let gathered = out.len();
        match out.last_mut() {
            Some(last) if last.px == bucket => {
                last.sz = Num(last.sz.get() + i.qty_decimal(l.qty));
                last.n += l.n;
            }
            _ if gathered == most => break,
            _ => out.push(info::L2Level { px: bucket, sz: qty(i, l.qty), n: l.n }),
        }
    }
    out
}

/// The answer to an action that the exchange ran.
pub(crate) fn answer(universe: &Universe, assets: &[Asset], result: &OpResult) -> Answer {
    match result {
        OpResult::Default => Answer::Ok(Response::Default),
        OpResult::Refused(text) => Answer::Err(text.clone()),
        OpResult::Cancels(results) => Answer::Ok(Response::Cancel(
            results
                .iter()
                .map(|r| r.as_ref().map_or_else(|e| CancelStatus::Error(e.to_string()), |()| CancelStatus::Success))
                .collect(),
        )),
        OpResult::Orders(placed) => {
            let status = |(n, placed): (usize, &Placed)| match placed {
                Placed::Resting { oid, cloid } => {
                    OrderStatus::Resting(Resting { oid: *oid, cloid: cloid.map(ClientKey::from_bits) })
                }
                Placed::Filled { oid, cloid, total, avg_px } => {
                    let market = assets.get(n).and_then(|a| universe.market(*a));
                    OrderStatus::Filled(Filled {
                        total_sz: Num(market.map_or_else(Decimal::default, |m| m.instrument.qty_decimal(*total))),
                        avg_px: Num(avg_px.round_dp(8)),
                        oid: *oid,
                        cloid: cloid.map(ClientKey::from_bits),
                    })
                }
                Placed::WaitingForFill { .. } => OrderStatus::WaitingForFill,
                Placed::WaitingForTrigger { .. } => OrderStatus::WaitingForTrigger,
                Placed::Error(refusal) => OrderStatus::Error(refusal.to_string()),
            };
            Answer::Ok(Response::Order(placed.iter().enumerate().map(status).collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::universe;

    #[test]
    fn levels_are_gathered_by_significant_figures() {
        let listed = universe::listed(None).expect("the table is valid");
        let universe = Universe::new(&listed);
        let btc = &universe.named("BTC").expect("listed").instrument;
        let side = |prices: &[i64]| -> Vec<BookLevel> {
            prices.iter().map(|p| BookLevel { px: Px(p * 10), qty: Qty(100_000), n: 1 }).collect()
        };
        let check = |prices: &[i64], book_side, figures, mantissa, expected: &[(&str, &str)]| {
            let grouping = Grouping::new(figures, mantissa).expect("valid");
            let out = grouped(btc, &side(prices), book_side, 20, grouping);
            let shown: Vec<(String, String)> = out.iter().map(|l| (l.px.to_string(), l.sz.to_string())).collect();
            let expected: Vec<(String, String)> = expected.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
            assert_eq!(shown, expected);
        };
        check(&[61_803, 61_801, 61_799], Side::Buy, Some(4), None, &[("61800.0", "2.0"), ("61790.0", "1.0")]);
        check(&[61_803, 61_811], Side::Sell, Some(4), None, &[("61810.0", "1.0"), ("61820.0", "1.0")]);
        check(&[61_803, 61_801], Side::Buy, Some(5), Some(5), &[("61800.0", "2.0")]);
        check(&[61_803], Side::Buy, None, None, &[("61803.0", "1.0")]);
        for bad in [(Some(1), None), (Some(6), None), (None, Some(2)), (Some(4), Some(2)), (Some(5), Some(3))] {
            assert_eq!(Grouping::new(bad.0, bad.1), None, "{bad:?}");
        }
    }
}
