//! `/info`: every read, request and response (sheet 3).
//!
//! Fields that some recordings lack are `Option`; a reader for whom one is essential must treat its absence as missing data.
//! Fields that no decision rests on and whose shape is not settled are kept as JSON.

use std::collections::BTreeMap;

use domain::{ClientKey, Side};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::action::OrderRef;
use super::json;
use super::number::{non_negative, positive};
use super::{Address, LooseNum, Num, User};

/// A read. Each variant names the type of its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum InfoRequest {
    /// [`Meta`].
    Meta {
        /// Absent or empty: the main dex.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dex: Option<String>,
    },
    /// `Vec<Meta>`, one per dex in the order of [`InfoRequest::PerpDexs`].
    AllPerpMetas,
    /// `(Meta, Vec<AssetCtx>)`, in the order of the universe.
    MetaAndAssetCtxs {
        /// Absent or empty: the main dex.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dex: Option<String>,
    },
    /// `Vec<Option<PerpDex>>`; the first is `None`, the main dex.
    PerpDexs,
    /// `Option<PerpDexLimits>`.
    PerpDexLimits {
        /// Which dex.
        dex: String,
    },
    /// [`PerpDexStatus`].
    PerpDexStatus {
        /// Which dex.
        dex: String,
    },
    /// `Vec<String>` of coins.
    PerpsAtOpenInterestCap {
        /// Absent or empty: the main dex.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dex: Option<String>,
    },
    /// [`MarginTable`].
    MarginTable {
        /// As in [`UniverseEntry::margin_table_id`].
        id: u32,
        /// Absent or empty: the main dex.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dex: Option<String>,
    },
    /// `Vec<(u32, Num)>`: highest leverage, notional.
    MaxMarketOrderNtls,
    /// [`AllMids`]. Mids, not marks.
    AllMids {
        /// Absent or empty: the main dex.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dex: Option<String>,
    },
    /// `Option<L2Book>`; `None` for an unknown coin.
    L2Book {
        /// Which coin.
        coin: String,
        /// 2 to 5.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        n_sig_figs: Option<u8>,
        /// 1, 2 or 5, only with 5 figures.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mantissa: Option<u8>,
    },
    /// `Vec<Trade>`, newest first.
    RecentTrades {
        /// Which coin.
        coin: String,
    },
    /// `Vec<Candle>`.
    CandleSnapshot {
        /// What.
        req: CandleRequest,
    },
    /// `Vec<FundingRate>`, oldest first.
    FundingHistory {
        /// Which coin.
        coin: String,
        /// From, milliseconds, inclusive.
        start_time: u64,
        /// To, milliseconds, inclusive.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        end_time: Option<u64>,
    },
    /// `Vec<(String, Vec<(String, Option<PredictedFunding>)>)>`: coin, then venue.
    PredictedFundings,
    /// [`ClearinghouseState`].
    ClearinghouseState {
        /// Master or sub-account, never an agent.
        user: User,
        /// Absent or empty: the main dex.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dex: Option<String>,
    },
    /// [`SpotClearinghouseState`].
    SpotClearinghouseState {
        /// Master or sub-account.
        user: User,
    },
    /// [`ActiveAssetData`].
    ActiveAssetData {
        /// Master or sub-account.
        user: User,
        /// Which coin.
        coin: String,
    },
    /// `Vec<OpenOrder>`. Trigger orders appear as plain limit orders.
    OpenOrders {
        /// Master or sub-account.
        user: User,
        /// Absent or empty: the main dex.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dex: Option<String>,
    },
    /// `Vec<FrontendOrder>`.
    FrontendOpenOrders {
        /// Master or sub-account.
        user: User,
        /// Absent or empty: the main dex.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dex: Option<String>,
    },
    /// [`OrderStatus`].
    OrderStatus {
        /// Master or sub-account.
        user: User,
        /// Number or client id.
        oid: OrderRef,
    },
    /// `Vec<OrderRow>`, newest first, one per change of status.
    HistoricalOrders {
        /// Master or sub-account.
        user: User,
    },
    /// `Vec<Fill>`, newest first.
    UserFills {
        /// Master or sub-account.
        user: User,
        /// Merges partial fills.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        aggregate_by_time: Option<bool>,
    },
    /// `Vec<Fill>`, oldest first unless reversed; at most 2,000.
    UserFillsByTime {
        /// Master or sub-account.
        user: User,
        /// From, milliseconds, inclusive.
        start_time: u64,
        /// To, milliseconds, inclusive.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        end_time: Option<u64>,
        /// Merges partial fills.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        aggregate_by_time: Option<bool>,
        /// Newest first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reversed: Option<bool>,
    },
    /// `Vec<UserFunding>`.
    UserFunding {
        /// Master or sub-account.
        user: User,
        /// From, milliseconds, inclusive.
        start_time: u64,
        /// To, milliseconds, inclusive.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        end_time: Option<u64>,
    },
    /// `Vec<LedgerUpdate>`.
    UserNonFundingLedgerUpdates {
        /// Master or sub-account.
        user: User,
        /// From, milliseconds, inclusive.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        start_time: Option<u64>,
        /// To, milliseconds, inclusive.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        end_time: Option<u64>,
    },
    /// [`UserRateLimit`].
    UserRateLimit {
        /// Master or sub-account.
        user: User,
    },
    /// [`UserFees`].
    UserFees {
        /// Master or sub-account.
        user: User,
    },
    /// `Option<Vec<SubAccount>>`.
    SubAccounts {
        /// Master.
        user: User,
    },
    /// `Option<Vec<SubAccount2>>`.
    SubAccounts2 {
        /// Master.
        user: User,
    },
    /// [`UserRole`].
    UserRole {
        /// Any address.
        user: User,
    },
    /// `Vec<ExtraAgent>`: named agents only.
    ExtraAgents {
        /// Master.
        user: User,
    },
    /// [`Abstraction`].
    UserAbstraction {
        /// Master.
        user: User,
    },
    /// [`ExchangeStatus`].
    ExchangeStatus,
    /// [`UsdcRouting`].
    UsdcRouting,
    /// [`PreTransferCheck`].
    PreTransferCheck {
        /// Recipient.
        user: User,
        /// Sender.
        source: User,
    },
    /// `u64`: tenths of a basis point; 0: not approved.
    MaxBuilderFee {
        /// Master.
        user: User,
        /// Builder.
        builder: User,
    },
    /// `Vec<TwapRow>`.
    TwapHistory {
        /// Master or sub-account.
        user: User,
    },
    /// `Vec<TwapSliceFill>`.
    UserTwapSliceFills {
        /// Master or sub-account.
        user: User,
    },
    /// `Vec<TwapSliceFill>`.
    UserTwapSliceFillsByTime {
        /// Master or sub-account.
        user: User,
        /// From, milliseconds, inclusive.
        start_time: u64,
        /// To, milliseconds, inclusive.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        end_time: Option<u64>,
        /// Merges partial fills.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        aggregate_by_time: Option<bool>,
    },
    /// [`SpotMeta`].
    SpotMeta,
    /// `(SpotMeta, Vec<SpotAssetCtx>)`.
    SpotMetaAndAssetCtxs,
    /// [`OutcomeMeta`].
    OutcomeMeta,
    /// `Vec<(String, Portfolio)>`.
    Portfolio {
        /// Master or sub-account.
        user: User,
    },
    /// `Vec<VaultEquity>`.
    UserVaultEquities {
        /// Master.
        user: User,
    },
    /// `Vec<Value>`: the shape is not confirmed.
    Liquidatable,
    /// [`WebData2`]; deprecated.
    WebData2 {
        /// Master or sub-account.
        user: User,
    },
}

impl InfoRequest {
    /// The account that is asked about.
    #[must_use]
    pub fn user(&self) -> Option<&User> {
        match self {
            InfoRequest::ClearinghouseState { user, .. }
            | InfoRequest::SpotClearinghouseState { user }
            | InfoRequest::ActiveAssetData { user, .. }
            | InfoRequest::OpenOrders { user, .. }
            | InfoRequest::FrontendOpenOrders { user, .. }
            | InfoRequest::OrderStatus { user, .. }
            | InfoRequest::HistoricalOrders { user }
            | InfoRequest::UserFills { user, .. }
            | InfoRequest::UserFillsByTime { user, .. }
            | InfoRequest::UserFunding { user, .. }
            | InfoRequest::UserNonFundingLedgerUpdates { user, .. }
            | InfoRequest::UserRateLimit { user }
            | InfoRequest::UserFees { user }
            | InfoRequest::SubAccounts { user }
            | InfoRequest::SubAccounts2 { user }
            | InfoRequest::UserRole { user }
            | InfoRequest::ExtraAgents { user }
            | InfoRequest::UserAbstraction { user }
            | InfoRequest::PreTransferCheck { user, .. }
            | InfoRequest::MaxBuilderFee { user, .. }
            | InfoRequest::TwapHistory { user }
            | InfoRequest::UserTwapSliceFills { user }
            | InfoRequest::UserTwapSliceFillsByTime { user, .. }
            | InfoRequest::Portfolio { user }
            | InfoRequest::UserVaultEquities { user }
            | InfoRequest::WebData2 { user } => Some(user),
            InfoRequest::Meta { .. }
            | InfoRequest::AllPerpMetas
            | InfoRequest::MetaAndAssetCtxs { .. }
            | InfoRequest::PerpDexs
            | InfoRequest::PerpDexLimits { .. }
            | InfoRequest::PerpDexStatus { .. }
            | InfoRequest::PerpsAtOpenInterestCap { .. }
            | InfoRequest::MarginTable { .. }
            | InfoRequest::MaxMarketOrderNtls
            | InfoRequest::AllMids { .. }
            | InfoRequest::L2Book { .. }
            | InfoRequest::RecentTrades { .. }
            | InfoRequest::CandleSnapshot { .. }
            | InfoRequest::FundingHistory { .. }
            | InfoRequest::PredictedFundings
            | InfoRequest::ExchangeStatus
            | InfoRequest::UsdcRouting
            | InfoRequest::SpotMeta
            | InfoRequest::SpotMetaAndAssetCtxs
            | InfoRequest::OutcomeMeta
            | InfoRequest::Liquidatable => None,
        }
    }
}

/// Which candles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CandleRequest {
    /// Which coin.
    pub coin: String,
    /// `1m` to `1M`.
    pub interval: String,
    /// From, milliseconds, inclusive.
    pub start_time: u64,
    /// To, milliseconds, inclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<u64>,
}

/// The perpetuals of one dex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// All assets ever listed, delisted ones included: an asset's id is its place.
    pub universe: Vec<UniverseEntry>,
    /// Tables by id; an id below 50 without a table means one tier of that leverage.
    #[serde(default)]
    pub margin_tables: Vec<(u32, MarginTable)>,
    /// Spot token that margins it; 0 is USDC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collateral_token: Option<u32>,
}

/// One perpetual.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UniverseEntry {
    /// The coin.
    pub name: String,
    /// Decimals of a size.
    pub sz_decimals: u32,
    /// Highest leverage.
    pub max_leverage: u32,
    /// Which margin table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin_table_id: Option<u32>,
    /// No cross margin (deprecated flag).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_isolated: Option<bool>,
    /// No longer trades.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_delisted: Option<bool>,
    /// `strictIsolated` or `noCross`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin_mode: Option<String>,
    /// `enabled`: lower fees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growth_mode: Option<String>,
    /// When that changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_growth_mode_change_time: Option<Value>,
}

impl UniverseEntry {
    /// Whether cross margin is refused for it; any margin mode, known or not, counts as such.
    #[must_use]
    pub fn isolated_only(&self) -> bool {
        self.only_isolated == Some(true) || self.margin_mode.is_some()
    }
}

/// Leverage by notional.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MarginTable {
    /// In words.
    #[serde(default)]
    pub description: String,
    /// Lowest bound first.
    pub margin_tiers: Vec<MarginTier>,
}

/// One tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MarginTier {
    /// Notional at which it begins.
    #[serde(deserialize_with = "non_negative")]
    pub lower_bound: Num,
    /// Highest leverage in it.
    pub max_leverage: u32,
}

/// Reference prices and volumes of a perpetual.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssetCtx {
    /// Current rate per hour; positive: longs pay.
    pub funding: Num,
    /// In coins.
    #[serde(deserialize_with = "non_negative")]
    pub open_interest: Num,
    /// A day ago.
    pub prev_day_px: Num,
    /// Quote volume of the day.
    pub day_ntl_vlm: Num,
    /// Base volume of the day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day_base_vlm: Option<Num>,
    /// Premium over the oracle.
    #[serde(default)]
    pub premium: Option<Num>,
    /// Oracle price.
    #[serde(deserialize_with = "non_negative")]
    pub oracle_px: Num,
    /// Mark price: what margins and triggers.
    #[serde(deserialize_with = "non_negative")]
    pub mark_px: Num,
    /// Mid price.
    #[serde(default)]
    pub mid_px: Option<Num>,
    /// Impact bid and ask.
    #[serde(default)]
    pub impact_pxs: Option<[Num; 2]>,
}

/// A builder-deployed dex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PerpDex {
    /// Prefix of its coins.
    pub name: String,
    /// In words.
    #[serde(default)]
    pub full_name: String,
    /// Who deployed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployer: Option<User>,
    /// Who sets its oracle.
    #[serde(default)]
    pub oracle_updater: Option<User>,
    /// Who gets its fees.
    #[serde(default)]
    pub fee_recipient: Option<User>,
    /// Coin and cap.
    #[serde(default)]
    pub asset_to_streaming_oi_cap: Vec<(String, Num)>,
    /// Function and addresses.
    #[serde(default)]
    pub sub_deployers: Vec<(String, Vec<User>)>,
    /// Deployer's share on top of base fees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployer_fee_scale: Option<Num>,
    /// When that changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_deployer_fee_scale_change_time: Option<Value>,
    /// Coin and multiplier.
    #[serde(default)]
    pub asset_to_funding_multiplier: Vec<(String, Num)>,
    /// Coin and rate.
    #[serde(default)]
    pub asset_to_funding_interest_rate: Vec<(String, Num)>,
}

/// Open-interest limits of a builder dex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PerpDexLimits {
    /// Whole dex, notional.
    pub total_oi_cap: Num,
    /// Per perpetual, size.
    pub oi_sz_cap_per_perp: Num,
    /// Largest transfer.
    pub max_transfer_ntl: Num,
    /// Coin and cap.
    pub coin_to_oi_cap: Vec<(String, Num)>,
}

/// Deposits of a dex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PerpDexStatus {
    /// Sum.
    pub total_net_deposit: Num,
}

/// Mid prices by coin; an empty book falls back to its last trade.
pub type AllMids = BTreeMap<String, Num>;

/// A book snapshot, best levels first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct L2Book {
    /// Which coin.
    pub coin: String,
    /// Venue time, milliseconds.
    pub time: u64,
    /// Bids, asks.
    pub levels: [Vec<L2Level>; 2],
    /// Best ask minus best bid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Num>,
    /// The fast, shallow variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fast: Option<bool>,
}

/// One price level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct L2Level {
    /// Price.
    #[serde(deserialize_with = "positive")]
    pub px: Num,
    /// Size.
    #[serde(deserialize_with = "non_negative")]
    pub sz: Num,
    /// Number of orders.
    pub n: u32,
}

/// A public trade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trade {
    /// Which coin.
    pub coin: String,
    /// The aggressor's.
    #[serde(with = "super::side")]
    pub side: Side,
    /// Price.
    #[serde(deserialize_with = "positive")]
    pub px: Num,
    /// Size.
    #[serde(deserialize_with = "non_negative")]
    pub sz: Num,
    /// Venue time, milliseconds.
    pub time: u64,
    /// Transaction.
    #[serde(default)]
    pub hash: String,
    /// The trade's number; buyer and seller share it.
    pub tid: u64,
    /// Buyer, seller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<[User; 2]>,
}

/// A candle. Its numbers may carry float noise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candle {
    /// Open time, milliseconds.
    #[serde(rename = "t")]
    pub open_time: u64,
    /// Close time less one millisecond.
    #[serde(rename = "T")]
    pub close_time: u64,
    /// The coin.
    #[serde(rename = "s")]
    pub coin: String,
    /// The interval.
    #[serde(rename = "i")]
    pub interval: String,
    /// First price.
    #[serde(rename = "o")]
    pub open: LooseNum,
    /// Last price.
    #[serde(rename = "c")]
    pub close: LooseNum,
    /// Highest price.
    #[serde(rename = "h")]
    pub high: LooseNum,
    /// Lowest price.
    #[serde(rename = "l")]
    pub low: LooseNum,
    /// Base volume.
    #[serde(rename = "v")]
    pub volume: LooseNum,
    /// Number of trades.
    #[serde(rename = "n")]
    pub trades: u64,
}

/// A past funding rate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FundingRate {
    /// Which coin.
    pub coin: String,
    /// Per hour.
    pub funding_rate: Num,
    /// Premium over the oracle; some rows lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub premium: Option<Num>,
    /// Milliseconds, shortly after the hour.
    pub time: u64,
}

/// A predicted funding rate at one venue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PredictedFunding {
    /// Per that venue's interval.
    pub funding_rate: Num,
    /// Milliseconds.
    pub next_funding_time: u64,
    /// The interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funding_interval_hours: Option<u32>,
}

/// A perpetual account (sheet 3.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClearinghouseState {
    /// Isolated positions included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin_summary: Option<MarginSummary>,
    /// Cross positions alone.
    pub cross_margin_summary: MarginSummary,
    /// Cross positions alone, tiered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cross_maintenance_margin_used: Option<Num>,
    /// What may be withdrawn.
    pub withdrawable: Num,
    /// Open positions.
    pub asset_positions: Vec<AssetPosition>,
    /// Venue time, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
}

/// Sums over positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MarginSummary {
    /// Equity.
    pub account_value: Num,
    /// Σ |size|·mark.
    pub total_ntl_pos: Num,
    /// Cash less cost basis: negative for a levered long. Not the balance.
    pub total_raw_usd: Num,
    /// Initial margin in use.
    pub total_margin_used: Num,
}

/// A position and its mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetPosition {
    /// `oneWay`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The position.
    pub position: Position,
}

/// A position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// Which coin.
    pub coin: String,
    /// Signed size.
    pub szi: Num,
    /// Setting and isolated cash.
    pub leverage: Leverage,
    /// Average entry.
    #[serde(default)]
    pub entry_px: Option<Num>,
    /// |size|·mark.
    #[serde(deserialize_with = "non_negative")]
    pub position_value: Num,
    /// size·(mark − entry).
    pub unrealized_pnl: Num,
    /// On margin.
    pub return_on_equity: Num,
    /// Absent when the computed price is not above zero.
    #[serde(default)]
    pub liquidation_px: Option<Num>,
    /// Cross: value ÷ leverage. Isolated: its own equity.
    pub margin_used: Num,
    /// Highest leverage at its tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_leverage: Option<u32>,
    /// Funding so far, positive = paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cum_funding: Option<CumFunding>,
}

/// A leverage setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum Leverage {
    /// Shares the account's margin.
    Cross {
        /// Multiple.
        value: u32,
    },
    /// Has its own margin.
    Isolated {
        /// Multiple.
        value: u32,
        /// Isolated cash leg; absent without a position.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        raw_usd: Option<Num>,
    },
}

impl Leverage {
    /// The multiple.
    #[must_use]
    pub const fn value(self) -> u32 {
        match self {
            Leverage::Cross { value } | Leverage::Isolated { value, .. } => value,
        }
    }
}

/// Funding of a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CumFunding {
    /// Ever in this coin.
    pub all_time: Num,
    /// Since it was opened.
    pub since_open: Num,
    /// Since its size changed.
    pub since_change: Num,
}

/// A spot account; for unified and portfolio accounts the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpotClearinghouseState {
    /// By token.
    pub balances: Vec<SpotBalance>,
    /// Held by EVM contracts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evm_escrows: Option<Vec<EvmEscrow>>,
    /// Portfolio margin is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub portfolio_margin_enabled: Option<bool>,
    /// Liquidated above 0.95.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub portfolio_margin_ratio: Option<Num>,
    /// By token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_to_portfolio_borrow_ratio: Option<Value>,
    /// By token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_to_portfolio_supply_ratio: Option<Value>,
    /// Token and headroom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_to_available_after_maintenance: Option<Vec<(u32, Num)>>,
}

/// One token's balance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpotBalance {
    /// The token's name.
    pub coin: String,
    /// Its index; outcome rows may lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<u64>,
    /// Negative when borrowed.
    pub total: Num,
    /// Reserved by orders.
    pub hold: Num,
    /// Cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_ntl: Option<Num>,
    /// Reserved by spot orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot_hold: Option<Num>,
    /// Loan to value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ltv: Option<Num>,
    /// Borrowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub borrowed: Option<Num>,
    /// Lent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supplied: Option<Num>,
}

/// Held by EVM contracts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvmEscrow {
    /// The token's name.
    pub coin: String,
    /// Its index.
    pub token: u64,
    /// How much.
    pub total: Num,
}

/// What one asset allows an account: the only read of the leverage setting without a position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActiveAssetData {
    /// The account.
    pub user: User,
    /// Which coin.
    pub coin: String,
    /// Setting.
    pub leverage: Leverage,
    /// Largest buy, sell, in base units.
    pub max_trade_szs: [LooseNum; 2],
    /// Margin for a buy, a sell.
    pub available_to_trade: [LooseNum; 2],
    /// Mark price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark_px: Option<LooseNum>,
}

/// A working order, short form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenOrder {
    /// Which coin.
    pub coin: String,
    /// Side.
    #[serde(with = "super::side")]
    pub side: Side,
    /// Limit price.
    #[serde(deserialize_with = "non_negative")]
    pub limit_px: Num,
    /// Remaining size.
    #[serde(deserialize_with = "non_negative")]
    pub sz: Num,
    /// The venue's number.
    pub oid: u64,
    /// When it was placed, milliseconds.
    pub timestamp: u64,
    /// Size asked for; old recordings lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orig_sz: Option<Num>,
    /// The client's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloid: Option<ClientKey>,
    /// Whether it may only reduce.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduce_only: Option<bool>,
}

/// A working or past order, long form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrontendOrder {
    /// Which coin.
    pub coin: String,
    /// Side.
    #[serde(with = "super::side")]
    pub side: Side,
    /// Limit price.
    #[serde(deserialize_with = "non_negative")]
    pub limit_px: Num,
    /// Remaining size.
    #[serde(deserialize_with = "non_negative")]
    pub sz: Num,
    /// The venue's number.
    pub oid: u64,
    /// When it was placed, milliseconds.
    pub timestamp: u64,
    /// `N/A`, or such as `Price above 2200`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger_condition: Option<String>,
    /// Sleeps until triggered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_trigger: Option<bool>,
    /// Zero if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger_px: Option<Num>,
    /// Orders that wait for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub children: Option<Vec<FrontendOrder>>,
    /// Size follows the position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_position_tpsl: Option<bool>,
    /// Whether it may only reduce.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduce_only: Option<bool>,
    /// `Limit`, `Stop Market` and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_type: Option<String>,
    /// Size asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orig_sz: Option<Num>,
    /// `Gtc`, `Ioc`, `Alo`, `FrontendMarket`, `LiquidationMarket`; null for triggers.
    #[serde(default)]
    pub tif: Option<String>,
    /// The client's name.
    #[serde(default)]
    pub cloid: Option<ClientKey>,
}

/// An order with its status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderRow {
    /// The order.
    pub order: FrontendOrder,
    /// A word of sheet 3.2; see [`super::classify::state`].
    pub status: String,
    /// Since when, milliseconds.
    pub status_timestamp: u64,
}

/// What is known about one order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "camelCase")]
pub enum OrderStatus {
    /// The order.
    Order {
        /// With its status.
        order: Box<OrderRow>,
    },
    /// The venue does not know it: never placed, or not yet visible.
    UnknownOid,
}

/// One of the account's fills (sheet 3.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fill {
    /// Which coin.
    pub coin: String,
    /// Price; settlements may be at zero.
    #[serde(deserialize_with = "non_negative")]
    pub px: Num,
    /// Size.
    #[serde(deserialize_with = "non_negative")]
    pub sz: Num,
    /// Our side.
    #[serde(with = "super::side")]
    pub side: Side,
    /// Venue time, milliseconds.
    pub time: u64,
    /// Signed position before it.
    pub start_position: Num,
    /// `Open Long`, `Long > Short`, `Auto-Deleveraging` and so on; an open set.
    pub dir: String,
    /// Gross of fees.
    pub closed_pnl: Num,
    /// Transaction; all zero for TWAP slices and some system fills.
    pub hash: String,
    /// Our order.
    pub oid: u64,
    /// Whether we took.
    pub crossed: bool,
    /// Builder fee included; negative is a rebate.
    pub fee: Num,
    /// The builder's share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builder_fee: Option<Num>,
    /// The trade's number, shared by buyer and seller; old recordings lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tid: Option<u64>,
    /// In which token the fee is; old recordings lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_token: Option<String>,
    /// Fees held back under a trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_trial_escrow: Option<Num>,
    /// Which TWAP.
    #[serde(default)]
    pub twap_id: Option<u64>,
    /// The client's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloid: Option<ClientKey>,
    /// Present on both sides of a liquidation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liquidation: Option<FillLiquidation>,
}

impl Fill {
    /// Whether the venue did this to `own`: liquidation of `own` (not of the counterparty), deleveraging or settlement.
    #[must_use]
    pub fn forced(&self, own: Address) -> bool {
        let liquidated =
            self.liquidation.as_ref().and_then(|l| l.liquidated_user.as_ref()).is_some_and(|user| user.address() == Some(own));
        liquidated || self.dir == "Auto-Deleveraging" || self.dir == "Settlement" || self.dir.starts_with("Liquidated")
    }
}

/// The liquidation that a fill belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FillLiquidation {
    /// Who was liquidated; not always the owner of the fill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liquidated_user: Option<User>,
    /// Mark price then.
    pub mark_px: Num,
    /// `market` or `backstop`.
    pub method: String,
}

/// A funding payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserFunding {
    /// Venue time, milliseconds.
    pub time: u64,
    /// Transaction.
    pub hash: String,
    /// The payment.
    pub delta: FundingDelta,
}

/// A funding payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FundingDelta {
    /// `funding`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Which coin.
    pub coin: String,
    /// Negative = paid.
    pub usdc: Num,
    /// Signed position.
    pub szi: Num,
    /// Per hour.
    pub funding_rate: Num,
    /// Samples behind it.
    #[serde(default)]
    pub n_samples: Option<u64>,
}

/// A change of balance other than funding (sheet 3.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerUpdate {
    /// Venue time, milliseconds.
    pub time: u64,
    /// Transaction.
    pub hash: String,
    /// The change.
    pub delta: LedgerDelta,
}

/// A change of balance. Amounts are unsigned; direction follows from user, destination or `to_perp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerDelta {
    /// One that the sheet names.
    Known(Box<KnownDelta>),
    /// One that it does not; holds its type.
    Unrecognised(String),
}

impl Serialize for LedgerDelta {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            LedgerDelta::Known(delta) => delta.serialize(s),
            LedgerDelta::Unrecognised(kind) => json::only_type(s, kind),
        }
    }
}

impl<'de> Deserialize<'de> for LedgerDelta {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<LedgerDelta, D::Error> {
        let (kind, text) = json::peek_type(d)?;
        if KnownDelta::TYPES.contains(&kind.as_str()) {
            serde_json::from_str(text.get()).map(LedgerDelta::Known).map_err(de::Error::custom)
        } else {
            Ok(LedgerDelta::Unrecognised(kind))
        }
    }
}

/// The changes of balance that the sheet names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[expect(missing_docs, reason = "the venue's own names, listed in the sheet; amounts are in the token named, else USDC")]
pub enum KnownDelta {
    AccountClassTransfer {
        usdc: Num,
        to_perp: bool,
    },
    Deposit {
        usdc: Num,
    },
    Withdraw {
        usdc: Num,
        nonce: u64,
        fee: Num,
    },
    InternalTransfer {
        usdc: Num,
        user: User,
        destination: User,
        fee: Num,
    },
    SubAccountTransfer {
        usdc: Num,
        user: User,
        destination: User,
    },
    Send {
        user: User,
        destination: User,
        source_dex: String,
        destination_dex: String,
        token: String,
        amount: Num,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usdc_value: Option<Num>,
        fee: Num,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        native_token_fee: Option<Num>,
        #[serde(default)]
        nonce: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fee_token: Option<String>,
    },
    SpotTransfer {
        token: String,
        amount: Num,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usdc_value: Option<Num>,
        user: User,
        destination: User,
        fee: Num,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        native_token_fee: Option<Num>,
        #[serde(default)]
        nonce: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fee_token: Option<String>,
    },
    Liquidation {
        liquidated_ntl_pos: Num,
        account_value: Num,
        leverage_type: String,
        liquidated_positions: Vec<LiquidatedPosition>,
    },
    VaultCreate {
        vault: User,
        usdc: Num,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fee: Option<Num>,
    },
    VaultDeposit {
        vault: User,
        usdc: Num,
    },
    VaultDistribution {
        vault: User,
        usdc: Num,
    },
    VaultWithdraw {
        vault: User,
        user: User,
        requested_usd: Num,
        commission: Num,
        closing_cost: Num,
        basis: Num,
        net_withdrawn_usd: Num,
    },
    VaultLeaderCommission {
        user: User,
        usdc: Num,
    },
    RewardsClaim {
        amount: Num,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
    },
    BorrowLend {
        token: Value,
        operation: String,
        amount: Num,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interest_amount: Option<Num>,
    },
    CStakingTransfer {
        token: String,
        amount: Num,
        is_deposit: bool,
    },
    ActivateDexAbstraction {
        dex: String,
        token: String,
        amount: Num,
    },
    DeployGasAuction {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        amount: Option<Num>,
    },
    SpotGenesis {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        amount: Option<Num>,
    },
}

impl KnownDelta {
    const TYPES: &'static [&'static str] = &[
        "accountClassTransfer",
        "deposit",
        "withdraw",
        "internalTransfer",
        "subAccountTransfer",
        "send",
        "spotTransfer",
        "liquidation",
        "vaultCreate",
        "vaultDeposit",
        "vaultDistribution",
        "vaultWithdraw",
        "vaultLeaderCommission",
        "rewardsClaim",
        "borrowLend",
        "cStakingTransfer",
        "activateDexAbstraction",
        "deployGasAuction",
        "spotGenesis",
    ];
}

/// A position that was liquidated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiquidatedPosition {
    /// Which coin.
    pub coin: String,
    /// Signed size.
    pub szi: Num,
}

/// The address budget (sheet 7). Values exceed 32 bits on big accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserRateLimit {
    /// Lifetime volume.
    #[serde(deserialize_with = "non_negative")]
    pub cum_vlm: Num,
    /// Requests used.
    pub n_requests_used: u64,
    /// Requests allowed.
    pub n_requests_cap: u64,
    /// Bought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_requests_surplus: Option<u64>,
}

/// Fees of an account on the base dex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserFees {
    /// By day.
    pub daily_user_vlm: Vec<DailyVolume>,
    /// The venue's table.
    pub fee_schedule: FeeSchedule,
    /// Perpetuals, taker.
    pub user_cross_rate: Num,
    /// Perpetuals, maker.
    pub user_add_rate: Num,
    /// Spot, taker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_spot_cross_rate: Option<Num>,
    /// Spot, maker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_spot_add_rate: Option<Num>,
    /// Referral discount in force.
    pub active_referral_discount: Num,
    /// Fee trial.
    #[serde(default)]
    pub trial: Value,
    /// Fees held back under a trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_trial_escrow: Option<Num>,
    /// When a trial may begin.
    #[serde(default)]
    pub next_trial_available_timestamp: Value,
    /// Linked staking account.
    #[serde(default)]
    pub staking_link: Value,
    /// Staking discount in force.
    #[serde(default)]
    pub active_staking_discount: Option<StakingTier>,
}

/// Volume of one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DailyVolume {
    /// `2026-11-22`.
    pub date: String,
    /// Own taker volume.
    pub user_cross: Num,
    /// Own maker volume.
    pub user_add: Num,
    /// The venue's volume.
    pub exchange: Num,
}

/// The venue's fee table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FeeSchedule {
    /// Taker.
    pub cross: Num,
    /// Maker.
    pub add: Num,
    /// Spot taker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot_cross: Option<Num>,
    /// Spot maker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot_add: Option<Num>,
    /// By volume and maker share.
    pub tiers: FeeTiers,
    /// For referred users.
    pub referral_discount: Num,
    /// By stake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staking_discount_tiers: Option<Vec<StakingTier>>,
}

/// Fee tiers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeTiers {
    /// By volume.
    pub vip: Vec<VipTier>,
    /// By maker share.
    pub mm: Vec<MakerTier>,
}

/// A tier by volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VipTier {
    /// From this 14-day volume.
    pub ntl_cutoff: Num,
    /// Taker.
    pub cross: Num,
    /// Maker.
    pub add: Num,
    /// Spot taker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot_cross: Option<Num>,
    /// Spot maker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot_add: Option<Num>,
}

/// A tier by maker share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MakerTier {
    /// From this share.
    pub maker_fraction_cutoff: Num,
    /// Maker.
    pub add: Num,
}

/// A discount by stake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StakingTier {
    /// From this share of supply.
    pub bps_of_max_supply: Num,
    /// The discount.
    pub discount: Num,
}

/// A sub-account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubAccount {
    /// Its name.
    pub name: String,
    /// Its address.
    pub sub_account_user: User,
    /// Its master.
    pub master: User,
    /// Perpetuals.
    pub clearinghouse_state: ClearinghouseState,
    /// Spot.
    pub spot_state: SpotClearinghouseState,
}

/// A sub-account with its dexes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubAccount2 {
    /// Its name.
    pub name: String,
    /// Its address.
    pub sub_account_user: User,
    /// Its master.
    pub master: User,
    /// Dex and state.
    pub dex_to_clearinghouse_state: Vec<(String, ClearinghouseState)>,
    /// Spot.
    pub spot_state: SpotClearinghouseState,
    /// Account mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abstraction: Option<Abstraction>,
}

/// What an address is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRole {
    /// `user`, `vault`, `missing`, `agent` or `subAccount`.
    pub role: String,
    /// Whose agent or sub-account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<RoleData>,
}

/// Whose agent or sub-account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleData {
    /// An agent's master.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// A sub-account's master.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<User>,
}

/// A named agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExtraAgent {
    /// Its address.
    pub address: User,
    /// Its name.
    pub name: String,
    /// Until when, milliseconds.
    #[serde(default)]
    pub valid_until: Option<u64>,
}

/// The account mode (sheet 8.5): a bare JSON string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Abstraction {
    /// `default`: separate perpetual and spot balances.
    Default,
    /// `disabled`: the same, chosen.
    Disabled,
    /// `unifiedAccount`: perpetual state is not meaningful.
    Unified,
    /// `portfolioMargin`: perpetual state is not meaningful.
    Portfolio,
    /// `dexAbstraction`: legacy.
    Dex,
    /// A mode that the sheet does not know.
    Unrecognised(String),
}

impl Abstraction {
    /// The venue's word.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Abstraction::Default => "default",
            Abstraction::Disabled => "disabled",
            Abstraction::Unified => "unifiedAccount",
            Abstraction::Portfolio => "portfolioMargin",
            Abstraction::Dex => "dexAbstraction",
            Abstraction::Unrecognised(word) => word,
        }
    }

    /// Whether [`ClearinghouseState`] is the account: true only for the modes known to keep balances apart.
    #[must_use]
    pub const fn separate_balances(&self) -> bool {
        matches!(self, Abstraction::Default | Abstraction::Disabled)
    }
}

impl Serialize for Abstraction {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.word())
    }
}

impl<'de> Deserialize<'de> for Abstraction {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Abstraction, D::Error> {
        let word = String::deserialize(d)?;
        Ok(match word.as_str() {
            "default" => Abstraction::Default,
            "disabled" => Abstraction::Disabled,
            "unifiedAccount" => Abstraction::Unified,
            "portfolioMargin" => Abstraction::Portfolio,
            "dexAbstraction" => Abstraction::Dex,
            _ => Abstraction::Unrecognised(word),
        })
    }
}

/// The venue's clock and notices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExchangeStatus {
    /// Venue time, milliseconds.
    pub time: u64,
    /// In words.
    #[serde(default)]
    pub special_statuses: Value,
}

/// By which road USDC travels: `bridge` or `cctp`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsdcRouting {
    /// In.
    pub deposit_route: String,
    /// Out.
    pub withdrawal_route: String,
}

/// What a transfer to a user would cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PreTransferCheck {
    /// Activation fee.
    pub fee: Num,
    /// Blocked.
    pub is_sanctioned: bool,
    /// Has an account.
    pub user_exists: bool,
    /// Has acted.
    pub user_has_sent_tx: bool,
}

/// A venue TWAP with its status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TwapRow {
    /// **Seconds**.
    pub time: u64,
    /// The order.
    pub state: TwapState,
    /// Its status.
    pub status: TwapStatus,
    /// Its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twap_id: Option<u64>,
}

/// A venue TWAP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TwapState {
    /// Which coin.
    pub coin: String,
    /// Whose.
    pub user: User,
    /// Side.
    #[serde(with = "super::side")]
    pub side: Side,
    /// Size.
    #[serde(deserialize_with = "non_negative")]
    pub sz: Num,
    /// Done.
    #[serde(deserialize_with = "non_negative")]
    pub executed_sz: Num,
    /// Done, in quote.
    #[serde(deserialize_with = "non_negative")]
    pub executed_ntl: Num,
    /// How long it runs.
    pub minutes: u64,
    /// Whether it may only reduce.
    pub reduce_only: bool,
    /// Whether slice times are randomised.
    pub randomize: bool,
    /// When it was placed, milliseconds.
    pub timestamp: u64,
    /// Stops at this price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_px: Option<Num>,
    /// Starts at a price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Value>,
}

/// Status of a venue TWAP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TwapStatus {
    /// `activated`, `finished`, `terminated`, `waitingForTrigger`, `stopped` or `error`.
    pub status: String,
    /// Of an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A fill of a venue TWAP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TwapSliceFill {
    /// The fill.
    pub fill: Fill,
    /// Which TWAP.
    pub twap_id: u64,
}

/// Spot tokens and pairs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpotMeta {
    /// Tokens.
    pub tokens: Vec<SpotToken>,
    /// Pairs.
    pub universe: Vec<SpotPair>,
}

/// A spot token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpotToken {
    /// Its name.
    pub name: String,
    /// Decimals of a size.
    pub sz_decimals: u32,
    /// Decimals of its smallest unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wei_decimals: Option<u32>,
    /// Its index.
    pub index: u32,
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
    /// Name of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_canonical: Option<bool>,
    /// Its EVM contract.
    #[serde(default)]
    pub evm_contract: Option<EvmContract>,
    /// In words.
    #[serde(default)]
    pub full_name: Option<String>,
    /// The deployer's share of fees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployer_trading_fee_share: Option<Num>,
}

/// An EVM contract of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvmContract {
    /// Where.
    pub address: User,
    /// Difference of decimals.
    pub evm_extra_wei_decimals: i64,
}

/// A spot pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpotPair {
    /// Base, quote token index.
    pub tokens: [u32; 2],
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Name of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_canonical: Option<bool>,
}

/// Prices and volumes of a spot pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpotAssetCtx {
    /// A day ago.
    pub prev_day_px: Num,
    /// Quote volume of the day.
    pub day_ntl_vlm: Num,
    /// Mark price.
    #[serde(deserialize_with = "non_negative")]
    pub mark_px: Num,
    /// Mid price.
    #[serde(default)]
    pub mid_px: Option<Num>,
    /// Tokens in circulation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circulating_supply: Option<Num>,
    /// The pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coin: Option<String>,
    /// Tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_supply: Option<Num>,
    /// Base volume of the day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day_base_vlm: Option<Num>,
}

/// Outcome markets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeMeta {
    /// Outcomes.
    #[serde(default)]
    pub outcomes: Vec<Value>,
    /// Questions.
    #[serde(default)]
    pub questions: Vec<Value>,
}

/// Performance over a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Portfolio {
    /// Milliseconds, value.
    pub account_value_history: Vec<(u64, Num)>,
    /// Milliseconds, profit.
    pub pnl_history: Vec<(u64, Num)>,
    /// Volume.
    pub vlm: Num,
}

/// A share in a vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VaultEquity {
    /// Which vault.
    pub vault_address: User,
    /// Its worth.
    pub equity: Num,
    /// Until when it is locked, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_until_timestamp: Option<u64>,
}

/// The old web application's aggregate; only what overlaps with other reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebData2 {
    /// Perpetuals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clearinghouse_state: Option<ClearinghouseState>,
    /// Orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_orders: Option<Vec<FrontendOrder>>,
    /// Assets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
    /// Reference prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset_ctxs: Option<Vec<AssetCtx>>,
    /// The account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// Venue time, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_time: Option<u64>,
}
