//! The markets of the paper venue and what they publish about themselves.
//!
//! The first seven indices are mainnet's, as are names, size decimals and margin tiers; prices are those of August 2024, the
//! time of the tape. MATIC is delisted and keeps its index, as on the venue: a client that compacts the list trades the wrong asset.

use std::collections::BTreeMap;

use domain::margin::{MarginTable as Margin, Tier};
use domain::{Instrument, Qty, Usd};
use exchange::{Asset, MarketSpec, SyntheticParams};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use wire::hyperliquid::Num;
use wire::hyperliquid::info::{MarginTable, MarginTier, Meta, UniverseEntry};

/// One market with what the exchange does not need to know.
#[derive(Clone, Debug)]
pub(crate) struct MarketInfo {
    pub(crate) asset: Asset,
    pub(crate) instrument: Instrument,
    pub(crate) size_decimals: u32,
    pub(crate) margin_table: u32,
    pub(crate) is_delisted: bool,
    pub(crate) isolated: Isolated,
}

impl MarketInfo {
    /// The venue's name of it.
    pub(crate) fn name(&self) -> &str {
        self.instrument.id.name()
    }
}

/// All markets.
#[derive(Clone, Debug)]
pub(crate) struct Universe {
    markets: Vec<MarketInfo>,
    by_name: BTreeMap<String, usize>,
}

/// One row of the table below.
struct Row {
    name: &'static str,
    size_decimals: u32,
    leverage_max: u32,
    /// Table id, upper bound of the first tier, leverage above it.
    tiers: Option<(u32, i32, u32)>,
    price: (i64, u32),
    /// Typical level and trade in lots.
    size: (i64, i64),
    open_interest_coins: i64,
    is_delisted: bool,
    isolated: Isolated,
}

/// How far a market is confined to isolated margin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolated {
    /// Not at all.
    No,
    /// No cross margin; margin may be taken out again.
    NoCross,
    /// No cross margin, and margin comes out only by closing.
    Strict,
}

impl Isolated {
    /// The venue's word in `meta`.
    const fn word(self) -> Option<&'static str> {
        match self {
            Isolated::No => None,
            Isolated::NoCross => Some("noCross"),
            Isolated::Strict => Some("strictIsolated"),
        }
    }

    const fn mode(self) -> exchange::MarginMode {
        match self {
            Isolated::No => exchange::MarginMode::Normal,
            Isolated::NoCross => exchange::MarginMode::NoCross,
            Isolated::Strict => exchange::MarginMode::StrictIsolated,
        }
    }
}

const fn row(name: &'static str, size_decimals: u32, leverage_max: u32, price: (i64, u32), size: (i64, i64)) -> Row {
    Row {
        name,
        size_decimals,
        leverage_max,
        tiers: None,
        price,
        size,
        open_interest_coins: 1_000_000,
        is_delisted: false,
        isolated: Isolated::No,
    }
}

const ROWS: [Row; 10] = [
    Row { tiers: Some((56, 150_000_000, 20)), open_interest_coins: 12_000, ..row("BTC", 5, 40, (61_800, 0), (80_000, 9_000)) },
    Row { tiers: Some((55, 100_000_000, 15)), open_interest_coins: 180_000, ..row("ETH", 4, 25, (26_805, 1), (150_000, 15_000)) },
    row("ATOM", 2, 5, (53_125, 4), (60_000, 4_000)),
    Row { is_delisted: true, open_interest_coins: 0, ..row("MATIC", 1, 20, (4_105, 4), (0, 0)) },
    row("DYDX", 1, 5, (10_512, 4), (40_000, 3_000)),
    Row { tiers: Some((54, 70_000_000, 10)), open_interest_coins: 2_500_000, ..row("SOL", 2, 20, (15_782, 2), (30_000, 3_000)) },
    Row { tiers: Some((52, 20_000_000, 5)), ..row("AVAX", 2, 10, (24_183, 3), (60_000, 4_000)) },
    Row { tiers: Some((53, 40_000_000, 10)), ..row("XRP", 0, 20, (6_124, 4), (60_000, 4_000)) },
    Row { isolated: Isolated::NoCross, ..row("PURR", 0, 3, (17_125, 5), (90_000, 6_000)) },
    Row { isolated: Isolated::Strict, ..row("PEOPLE", 0, 5, (7_250, 5), (90_000, 6_000)) },
];

/// A market as the exchange and the feed need it.
pub(crate) struct Listed {
    pub(crate) spec: MarketSpec,
    pub(crate) flow: SyntheticParams,
}

/// The table above as exchange markets; `btc` replaces BTC's starting price.
pub(crate) fn listed(btc: Option<Decimal>) -> Result<Vec<Listed>, exchange::BadSpec> {
    let mut out = Vec::new();
    for (asset, row) in (0_u32..).zip(&ROWS) {
        let mut steps = vec![(Usd::ZERO, row.leverage_max)];
        if let Some((_, bound, leverage)) = row.tiers {
            steps.push((Usd::whole(bound), leverage));
        }
        let margin = Margin::new(&steps).unwrap_or_else(|_| Margin::flat(row.leverage_max));
        let price = btc.filter(|_| row.name == "BTC").unwrap_or(Decimal::new(row.price.0, row.price.1));
        let mut spec = MarketSpec::hyperliquid(row.name, asset, row.size_decimals, margin, price)?;
        spec.open_interest_of_others = Qty(row.open_interest_coins * 10_i64.pow(row.size_decimals));
        spec.margin_mode = row.isolated.mode();
        spec.instrument.isolated_only = row.isolated != Isolated::No;
        let flow = SyntheticParams {
            levels: 40,
            half_spread_steps: 1,
            mean_gap_ms: 250,
            trades_per_100: 30,
            level_lots: row.size.0.max(1),
            trade_lots: row.size.1.max(1),
            move_steps_max: 1,
            reversion: 2_000,
        };
        out.push(Listed { spec, flow });
    }
    Ok(out)
}

impl Universe {
    pub(crate) fn new(listed: &[Listed]) -> Universe {
        let markets: Vec<MarketInfo> = ROWS
            .iter()
            .zip(listed)
            .map(|(row, listed)| MarketInfo {
                asset: Asset(listed.spec.instrument.venue_asset),
                instrument: listed.spec.instrument.clone(),
                size_decimals: row.size_decimals,
                margin_table: row.tiers.map_or(row.leverage_max, |(id, _, _)| id),
                is_delisted: row.is_delisted,
                isolated: row.isolated,
            })
            .collect();
        let by_name = markets.iter().enumerate().map(|(n, m)| (m.name().to_owned(), n)).collect();
        Universe { markets, by_name }
    }

    /// All markets by asset id.
    pub(crate) fn all(&self) -> &[MarketInfo] {
        &self.markets
    }

    /// Markets that trade.
    pub(crate) fn live(&self) -> impl Iterator<Item = &MarketInfo> {
        self.markets.iter().filter(|m| !m.is_delisted)
    }

    pub(crate) fn market(&self, asset: Asset) -> Option<&MarketInfo> {
        self.markets.get(usize::try_from(asset.0).ok()?)
    }

    pub(crate) fn named(&self, coin: &str) -> Option<&MarketInfo> {
        self.by_name.get(coin).and_then(|n| self.markets.get(*n))
    }

    /// `meta`.
    pub(crate) fn meta(&self) -> Meta {
        let entry = |m: &MarketInfo| UniverseEntry {
            name: m.name().to_owned(),
            sz_decimals: m.size_decimals,
            max_leverage: m.instrument.leverage_max,
            margin_table_id: Some(m.margin_table),
            only_isolated: (m.isolated != Isolated::No).then_some(true),
            is_delisted: m.is_delisted.then_some(true),
            margin_mode: m.isolated.word().map(str::to_owned),
            growth_mode: None,
            last_growth_mode_change_time: None,
        };
        let published = self.markets.iter().filter(|m| m.margin_table >= PUBLISHED_TABLES);
        Meta {
            universe: self.markets.iter().map(entry).collect(),
            margin_tables: published.map(|m| (m.margin_table, table_of(m))).collect(),
            collateral_token: Some(0),
        }
    }

    /// `marginTable`: ids below 50 are a single tier of that leverage.
    pub(crate) fn margin_table(&self, id: u32) -> Option<MarginTable> {
        let published = self.markets.iter().find(|m| m.margin_table == id).map(table_of);
        let single = || {
            let tier = MarginTier { lower_bound: Num(Decimal::ZERO), max_leverage: id };
            MarginTable { description: String::new(), margin_tiers: vec![tier] }
        };
        published.or_else(|| (1..PUBLISHED_TABLES).contains(&id).then(single))
    }

    /// `spotMeta`: the tokens and pairs that clients expect to find. Nothing trades there.
    pub(crate) fn spot_meta() -> Value {
        let token = |name: &str, size: u32, wei: u32, index: u32, id: &str, canonical: bool| {
            json!({
                "name": name, "szDecimals": size, "weiDecimals": wei, "index": index, "tokenId": id,
                "isCanonical": canonical, "evmContract": null, "fullName": null, "deployerTradingFeeShare": "0.0",
            })
        };
        json!({
            "tokens": [
                token("USDC", 8, 8, 0, "0x6d1e7cde53ba9467b783cb7c530ce054", true),
                token("PURR", 0, 5, 1, "0xc1fb593aeffbeb02f85e0308e9956a90", true),
                token("HYPE", 2, 8, 2, "0x0d01dc56dcaaca66ad901c959b4011ec", false),
            ],
            "universe": [
                { "tokens": [1, 0], "name": "PURR/USDC", "index": 0, "isCanonical": true },
                { "tokens": [2, 0], "name": "@1", "index": 1, "isCanonical": false },
            ],
        })
    }

    /// `spotMetaAndAssetCtxs`.
    pub(crate) fn spot_meta_and_contexts() -> Value {
        json!([Universe::spot_meta(), Universe::spot_contexts()])
    }

    /// The contexts of the pairs of [`Universe::spot_meta`].
    pub(crate) fn spot_contexts() -> Value {
        let context = |coin: &str, px: &str, supply: &str| {
            json!({
                "coin": coin, "prevDayPx": px, "dayNtlVlm": "0.0", "markPx": px, "midPx": px,
                "circulatingSupply": supply, "totalSupply": supply, "dayBaseVlm": "0.0",
            })
        };
        json!([context("PURR/USDC", "0.17", "600000000.0"), context("@1", "25.0", "1000000000.0")])
    }
}

/// Margin tables with a smaller id are not published: one tier of that leverage.
const PUBLISHED_TABLES: u32 = 50;

fn table_of(market: &MarketInfo) -> MarginTable {
    let tiers = market.instrument.margin.tiers();
    let tier = |t: &Tier| MarginTier { lower_bound: Num(t.from.decimal()), max_leverage: t.leverage_max };
    let description = if tiers.len() > 1 { format!("tiered {}x", market.instrument.leverage_max) } else { String::new() };
    MarginTable { description, margin_tiers: tiers.iter().map(tier).collect() }
}
