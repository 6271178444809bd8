use domain::{Instrument, Lots, Px, Qty, Ratio, Side, Usd};
use rust_decimal::Decimal;

use crate::{Asset, TimeInForce, Tpsl};

/// One visible level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookLevel {
    /// Price.
    pub px: Px,
    /// Quantity of background and accounts together.
    pub qty: Qty,
    /// Number of orders; the background of a level counts as one.
    pub n: u32,
}

/// The visible book, best levels first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookView {
    /// Bids, highest first.
    pub bids: Vec<BookLevel>,
    /// Asks, lowest first.
    pub asks: Vec<BookLevel>,
    /// Venue time, UTC milliseconds.
    pub at_ms: u64,
}

/// A trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TriggerView {
    /// The mark at which it fires.
    pub px: Px,
    /// Whether it fires as an immediate-or-cancel.
    pub is_market: bool,
    /// Which way it protects.
    pub tpsl: Tpsl,
    /// Whether it already fired.
    pub fired: bool,
}

/// An order as its owner sees it (`frontendOpenOrders`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderView {
    /// The market.
    pub asset: Asset,
    /// The venue's number.
    pub oid: u64,
    /// The client's name.
    pub cloid: Option<u128>,
    /// The side.
    pub side: Side,
    /// Limit price.
    pub px: Px,
    /// Remaining effective size: `sz`.
    pub qty: Qty,
    /// Requested size: `origSz`.
    pub orig_qty: Qty,
    /// When it was placed, UTC milliseconds.
    pub placed_ms: u64,
    /// Whether it may only reduce.
    pub reduce_only: bool,
    /// Lifetime; `None` for triggers.
    pub tif: Option<TimeInForce>,
    /// Its trigger.
    pub trigger: Option<TriggerView>,
    /// Whether its size follows the position.
    pub is_position_tpsl: bool,
    /// Take-profit and stop-loss that wait for it to fill.
    pub children: Vec<OrderView>,
}

impl OrderView {
    /// The venue's `orderType`.
    #[must_use]
    pub const fn order_type(&self) -> &'static str {
        match (&self.trigger, self.tif) {
            (Some(TriggerView { is_market: true, tpsl: Tpsl::Tp, .. }), _) => "Take Profit Market",
            (Some(TriggerView { is_market: false, tpsl: Tpsl::Tp, .. }), _) => "Take Profit Limit",
            (Some(TriggerView { is_market: true, tpsl: Tpsl::Sl, .. }), _) => "Stop Market",
            (Some(TriggerView { is_market: false, tpsl: Tpsl::Sl, .. }), _) => "Stop Limit",
            (None, Some(TimeInForce::FrontendMarket | TimeInForce::LiquidationMarket)) => "Market",
            (None, _) => "Limit",
        }
    }

    /// The venue's `triggerCondition`: `N/A`, `Price above 2200`, `Price below 2200`.
    #[must_use]
    pub fn trigger_condition(&self, instrument: &Instrument) -> String {
        match &self.trigger {
            None => "N/A".to_owned(),
            Some(trigger) => {
                let way = if trigger.fires_above(self.side) { "above" } else { "below" };
                format!("Price {way} {}", instrument.px_decimal(trigger.px).normalize())
            }
        }
    }
}

impl TriggerView {
    /// Whether an order of `side` with this trigger fires when the mark rises to it.
    #[must_use]
    pub const fn fires_above(&self, side: Side) -> bool {
        matches!((self.tpsl, side), (Tpsl::Tp, Side::Sell) | (Tpsl::Sl, Side::Buy))
    }

    /// Whether `mark` fires an order of `side` with this trigger.
    #[must_use]
    pub const fn is_reached(&self, side: Side, mark: Px) -> bool {
        if self.fires_above(side) { mark.0 >= self.px.0 } else { mark.0 <= self.px.0 }
    }
}

/// Leverage setting of an account in one market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeverageSetting {
    /// Cross margin; else isolated.
    pub is_cross: bool,
    /// The leverage.
    pub value: u32,
}

/// Sums over an account, or over its cross part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MarginSummary {
    /// Cash plus signed position values at the mark.
    pub account_value: Usd,
    /// Σ |position value|.
    pub total_ntl_pos: Usd,
    /// Cash minus cost basis: negative for a levered long. Not the balance.
    pub total_raw_usd: Usd,
    /// Σ margin used.
    pub total_margin_used: Usd,
}

/// Funding of one position, from the payer's view: positive is paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CumulativeFunding {
    /// In this market ever.
    pub all_time: Usd,
    /// Since the position was opened.
    pub since_open: Usd,
    /// Since its size last changed.
    pub since_change: Usd,
}

/// One position (`assetPositions[].position`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionState {
    /// The market.
    pub asset: Asset,
    /// Signed size.
    pub szi: Lots,
    /// Leverage and mode.
    pub leverage: LeverageSetting,
    /// Isolated cash leg; `None` for cross.
    pub raw_usd: Option<Usd>,
    /// Average entry price, at most 10 decimals.
    pub entry_px: Decimal,
    /// `|szi|·mark`.
    pub position_value: Usd,
    /// `szi·(mark − entry)`, 6 decimals.
    pub unrealized_pnl: Usd,
    /// Unrealised profit over the entry's initial margin, 10 decimals.
    pub return_on_equity: Decimal,
    /// The mark that liquidates it, 10 decimals; `None` if no positive price does.
    pub liquidation_px: Option<Decimal>,
    /// Cross: value over leverage. Isolated: its equity.
    pub margin_used: Usd,
    /// The market's highest leverage.
    pub max_leverage: u32,
    /// Funding.
    pub cum_funding: CumulativeFunding,
}

/// An account (`clearinghouseState`), algebra of the fact sheet §3.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountState {
    /// The whole account.
    pub margin: MarginSummary,
    /// Without isolated positions.
    pub cross: MarginSummary,
    /// Tiered maintenance of the cross positions.
    pub cross_maintenance_margin_used: Usd,
    /// What could leave: cross value above the initial margin of positions and resting orders, and above a tenth of the notional.
    pub withdrawable: Usd,
    /// Open positions by asset.
    pub positions: Vec<PositionState>,
    /// The spot USDC balance.
    pub spot_usdc: Usd,
    /// Venue time, UTC milliseconds.
    pub at_ms: u64,
}

/// What an account may do in one market (`activeAssetData`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveAsset {
    /// Leverage and mode.
    pub leverage: LeverageSetting,
    /// Cash leg of an open isolated position.
    pub raw_usd: Option<Usd>,
    /// Largest buy and sell.
    pub max_trade: [Qty; 2],
    /// Margin available to buy and to sell.
    pub available_to_trade: [Usd; 2],
    /// The mark.
    pub mark: Px,
}

/// A market's prices and statistics (`metaAndAssetCtxs`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketContext {
    /// The mark: median of (1) oracle plus the 150 s average of mid − oracle, (2) the median of best bid, best ask and last
    /// trade, (3) the 30 s average of (2). The venue's third input, other venues' perpetuals, does not exist here; its own rule
    /// for that case is (3). Recomputed every [`crate::VenueRules::mark_every_ms`]; nearest tick.
    pub mark: Px,
    /// The oracle: the tape's own if it has one, else the background's mid.
    pub oracle: Px,
    /// Twice the mid in ticks; `None` if a side is empty.
    pub mid_x2: Option<i64>,
    /// The hourly rate if the hour ended now, 10 decimals.
    pub funding: Ratio,
    /// The premium now, 10 decimals; `None` if the book is too thin for impact prices.
    pub premium: Option<Ratio>,
    /// Impact bid and ask prices, 10 decimals.
    pub impact_pxs: Option<(Decimal, Decimal)>,
    /// Open interest in lots, of others and of our accounts.
    pub open_interest: Qty,
    /// Mark 24 h ago, or the first known.
    pub prev_day_px: Px,
    /// Notional traded in the last 24 h, in steps of an hour.
    pub day_notional_volume: Usd,
    /// Lots traded in the last 24 h, in steps of an hour.
    pub day_base_volume: Qty,
}

/// One settled funding rate (`fundingHistory`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FundingRate {
    /// When, UTC milliseconds.
    pub at_ms: u64,
    /// Hourly rate, 10 decimals.
    pub rate: Ratio,
    /// The hour's mean premium, 10 decimals.
    pub premium: Ratio,
}
