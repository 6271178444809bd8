//! Limits as they are written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::group::RawGroup;
use super::number::RawNumber;
use super::scenario::RawScenario;
use super::scorecard::RawCard;
use super::sections::{
    RawBuffer, RawCover, RawDrawdown, RawFunding, RawLiquidation, RawOracle, RawRejects, RawRepeat, RawSizing, RawTrust,
};

/// Limits as written under `[guard]`. Every field may be left out except `allow`; [`crate::Limits::check`] names the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLimits {
    /// Markets in which positions may grow, as `hyperliquid:BTC` (C20). At least one.
    pub allow: Vec<String>,
    /// Greatest distance of a limit price from the reference price, as a share of it (C01). Default 0.03.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_collar: Option<RawNumber>,
    /// The same for orders that only shrink a position, which are also judged against stale references. Default 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_collar_reduce: Option<RawNumber>,
    /// Largest value of one order, at the worse of limit and reference price (C04). Default 25,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_notional_max_usd: Option<RawNumber>,
    /// Largest value of one parent at admission (C05). Default 100,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_notional_max_usd: Option<RawNumber>,
    /// Largest value of all parents admitted within one hour (C05). Default 250,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parents_per_hour_max_usd: Option<RawNumber>,
    /// Largest worst-case position value in one market, long or short (C11). Default 100,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub market_notional_max_usd: Option<RawNumber>,
    /// Largest sum of worst-case position values at one venue (C11). Default 250,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub venue_notional_max_usd: Option<RawNumber>,
    /// Largest sum of worst-case position values over all venues, in multiples of equity (C11). Default 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leverage_max: Option<RawNumber>,
    /// Least equity in multiples of maintenance margin in the worst case (C14). Default 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cover_min: Option<RawNumber>,
    /// Most working orders in one market, foreign ones included (C06). Default 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_orders_per_market_max: Option<RawNumber>,
    /// Most working orders at one venue, foreign ones included (C06). Default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_orders_per_venue_max: Option<RawNumber>,
    /// Message budget of one venue, per minute (C07). Default 900: Hyperliquid gives an address 1,200, queries included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub venue_messages_per_min_max: Option<RawNumber>,
    /// Messages that one venue may be sent at once (C07). Default 90.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub venue_burst_max: Option<RawNumber>,
    /// Message budget of one parent, per minute (C07). Default 300: following the best price twice a second takes 240.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_messages_per_min_max: Option<RawNumber>,
    /// Messages that one parent may cause at once (C07). Default 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_burst_max: Option<RawNumber>,
    /// Share of every message budget that only cancels may spend (C07, I10). Default 0.3, which is also the least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel_reserve: Option<RawNumber>,
    /// Further share of it that increases may not spend either, kept for orders that only shrink a position. Default 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reduce_reserve: Option<RawNumber>,
    /// How far apart equal orders of different parents must be (C09). Default 1,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_window_ms: Option<RawNumber>,
    /// Greatest age of a book, by our receipt and by the venue's time (C17). Default 2,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub book_age_max_ms: Option<RawNumber>,
    /// Greatest age of mark and oracle prices, in every market with exposure. Default 10,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marks_age_max_ms: Option<RawNumber>,
    /// Greatest age of the venue's report of the account. Default 60,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_age_max_ms: Option<RawNumber>,
    /// Greatest distance between the venue's clock and ours (F76). Default 500.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_offset_max_ms: Option<RawNumber>,
    /// How large a position may be.
    pub sizing: RawSizing,
    /// What funding does to size.
    pub funding: RawFunding,
    /// Margin levels by cover.
    pub cover: RawCover,
    /// Distance to the liquidation price.
    pub liquidation: RawLiquidation,
    /// Shocks by name. `crash` and `rally` always exist; writing them changes them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub scenario: BTreeMap<String, RawScenario>,
    /// Free collateral for the time a refill takes.
    pub buffer: RawBuffer,
    /// Drawdown budgets and the speed of losses.
    pub drawdown: RawDrawdown,
    /// Markets that move together, by name. Those in no group form the group `all`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub group: BTreeMap<String, RawGroup>,
    /// When an oracle is not believed.
    pub oracle: RawOracle,
    /// When a parent repeats itself.
    pub repeat: RawRepeat,
    /// When a venue keeps refusing.
    pub rejects: RawRejects,
    /// How scorecards are read.
    pub trust: RawTrust,
    /// What is known of each venue, by its name and by aspect.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub scorecard: BTreeMap<String, RawCard>,
    /// What differs per market, keyed as in `allow`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub market: BTreeMap<String, RawMarketLimits>,
}

/// What differs in one market, as written under `[guard.market."hyperliquid:BTC"]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawMarketLimits {
    /// Largest order in base units, whatever it is worth (C03). Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_size_max: Option<RawNumber>,
    /// In place of `order_notional_max_usd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_notional_max_usd: Option<RawNumber>,
    /// In place of `market_notional_max_usd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub market_notional_max_usd: Option<RawNumber>,
    /// In place of `price_collar`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_collar: Option<RawNumber>,
    /// In place of `price_collar_reduce`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_collar_reduce: Option<RawNumber>,
    /// In place of `open_orders_per_market_max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_orders_per_market_max: Option<RawNumber>,
    /// In place of `book_age_max_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub book_age_max_ms: Option<RawNumber>,
    /// In place of `sizing.tier`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<RawNumber>,
    /// In place of `sizing.tier_leverage`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier_leverage: Option<RawNumber>,
}
