use domain::margin::{DydxMargin, MarginTable};
use domain::{Instrument, InstrumentId, MarketStatus, PriceRule, Px, Qty, Ratio, Usd, Venue};
use rust_decimal::Decimal;

/// Everything an exchange is made from.
#[derive(Clone, Debug)]
pub struct ExchangeSpec {
    /// Venue time at which it comes into being, UTC milliseconds.
    pub start_ms: u64,
    /// Its markets, at least one, each with an asset id of its own.
    pub markets: Vec<MarketSpec>,
    /// Trading fees.
    pub fees: Fees,
    /// The venue's other numbers.
    pub rules: VenueRules,
}

impl ExchangeSpec {
    /// dYdX v4's margin rules for these markets, with the fees of the account's tier.
    #[must_use]
    pub fn dydx(start_ms: u64, markets: Vec<MarketSpec>, fees: Fees) -> ExchangeSpec {
        ExchangeSpec { start_ms, markets, fees, rules: VenueRules::dydx() }
    }

    /// Hyperliquid's fees and rules for these markets.
    #[must_use]
    pub fn hyperliquid(start_ms: u64, markets: Vec<MarketSpec>) -> ExchangeSpec {
        ExchangeSpec { start_ms, markets, fees: Fees::default(), rules: VenueRules::default() }
    }
}

/// Fees as shares of the notional; a negative maker fee is a rebate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fees {
    /// Paid by the aggressor.
    pub taker: Ratio,
    /// Paid by the resting order.
    pub maker: Ratio,
}

impl Default for Fees {
    /// The base tier: 0.045 % and 0.015 %.
    fn default() -> Fees {
        Fees { taker: Ratio::scaled(45, 5), maker: Ratio::scaled(15, 5) }
    }
}

/// Numbers that hold for the whole venue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VenueRules {
    /// Lifetime volume before an account may schedule a cancel.
    pub schedule_cancel_volume_min: Usd,
    /// Open orders an account may have before its volume earns it more.
    pub open_orders_max: u32,
    /// Positions above this notional are liquidated one fifth first.
    pub partial_liquidation_above: Usd,
    /// Below this fraction of maintenance (numerator, denominator) the backstop takes what the account has.
    pub backstop: [u32; 2],
    /// Pause after a partial liquidation, milliseconds.
    pub liquidation_cooldown_ms: u64,
    /// Fee of a withdrawal.
    pub withdraw_fee: Usd,
    /// Share of the open notional that a transfer out must leave, initial margin aside (fact sheet §8.1).
    pub withdraw_floor: Ratio,
    /// How often marks, and oracles that follow the book, are recomputed, milliseconds.
    pub mark_every_ms: u64,
    /// How often the funding premium is sampled, milliseconds.
    pub premium_every_ms: u64,
    /// Whether an order is refused while a live order of the account has the same client name.
    pub refuse_live_cloid: bool,
}

impl Default for VenueRules {
    /// Mainnet's (fact sheet §2.3, §4.5, §8.3, §8.4, §9, §11).
    fn default() -> VenueRules {
        VenueRules {
            schedule_cancel_volume_min: Usd::whole(1_000_000),
            open_orders_max: 1_000,
            partial_liquidation_above: Usd::whole(100_000),
            backstop: [2, 3],
            liquidation_cooldown_ms: 30_000,
            withdraw_fee: Usd::whole(1),
            withdraw_floor: Ratio::scaled(10, 2),
            mark_every_ms: 3_000,
            premium_every_ms: 5_000,
            refuse_live_cloid: true,
        }
    }
}

impl VenueRules {
    /// dYdX v4's, as far as margin goes (quant §4.2): a position is liquidated whole as soon as maintenance exceeds equity, and
    /// others bear a loss only once equity is below zero. The rest is as on [`VenueRules::default`].
    #[must_use]
    pub fn dydx() -> VenueRules {
        VenueRules {
            partial_liquidation_above: Usd::whole(i32::MAX),
            backstop: [0, 1],
            liquidation_cooldown_ms: 0,
            withdraw_floor: Ratio::ZERO,
            ..VenueRules::default()
        }
    }
}

/// Which margin modes a market allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MarginMode {
    /// Cross and isolated.
    #[default]
    Normal,
    /// Isolated alone; margin can be removed.
    NoCross,
    /// Isolated alone; margin leaves only by closing.
    StrictIsolated,
}

/// One market.
#[derive(Clone, Debug)]
pub struct MarketSpec {
    /// Grid, margin table, minimums; `venue_asset` is the market's [`crate::Asset`].
    pub instrument: Instrument,
    /// Its first oracle price, which is its mark until a book exists.
    pub oracle: Px,
    /// Interest part of the funding rate per 8 h.
    pub funding_interest_8h: Ratio,
    /// Notional whose average execution price is the impact price.
    pub impact_notional: Usd,
    /// Largest value of one market order; limit orders may be ten times larger.
    pub market_order_notional_max: Usd,
    /// Open interest of others, in lots: shown in the market's context.
    pub open_interest_of_others: Qty,
    /// Open interest at which positions may no longer grow.
    pub open_interest_cap: Option<Qty>,
    /// Margin modes.
    pub margin_mode: MarginMode,
}

impl MarketSpec {
    /// A Hyperliquid perpetual with the venue's grid for `size_decimals`, its defaults and one margin tier per entry of `margin`.
    ///
    /// # Errors
    /// If the name is not an instrument's, there are more than 6 size decimals, or `oracle` is not a price on the grid.
    pub fn hyperliquid(
        name: &str,
        asset: u32,
        size_decimals: u32,
        margin: MarginTable,
        oracle: Decimal,
    ) -> Result<MarketSpec, BadSpec> {
        if size_decimals > 6 {
            return Err(BadSpec(format!("market {name}: size_decimals is {size_decimals}, expected 0 to 6")));
        }
        let leverage_max = margin.tiers().first().map_or(1, |tier| tier.leverage_max);
        let instrument = Instrument {
            id: InstrumentId::new(Venue::Hyperliquid, name).map_err(|e| BadSpec(e.to_string()))?,
            venue_asset: asset,
            tick: Decimal::new(1, 6 - size_decimals),
            lot: Decimal::new(1, size_decimals),
            price_rule: PriceRule::SignificantFigures(5),
            qty_min: Qty(1),
            notional_min: Usd::whole(10),
            leverage_max,
            margin: margin.into(),
            status: MarketStatus::Open,
            isolated_only: false,
        };
        let oracle = instrument.px_nearest(oracle).map_err(|e| BadSpec(format!("market {name}: oracle: {e}")))?;
        let majors = matches!(name, "BTC" | "ETH");
        Ok(MarketSpec {
            oracle,
            funding_interest_8h: Ratio::bps(1),
            impact_notional: Usd::whole(if majors { 20_000 } else { 6_000 }),
            market_order_notional_max: match leverage_max {
                25.. => Usd::whole(30_000_000),
                20..25 => Usd::whole(5_000_000),
                10..20 => Usd::whole(2_000_000),
                0..10 => Usd::whole(500_000),
            },
            open_interest_of_others: Qty::ZERO,
            open_interest_cap: None,
            margin_mode: MarginMode::Normal,
            instrument,
        })
    }
}

impl MarketSpec {
    /// A dYdX v4 perpetual: margined at its oracle by its liquidity tier, without an interest part in its funding (cross).
    ///
    /// # Errors
    /// If the name is not an instrument's, a grid step is not positive, or `oracle` is not a price on the grid.
    pub fn dydx(
        name: &str,
        clob_pair: u32,
        (tick, lot): (Decimal, Decimal),
        margin: DydxMargin,
        oracle: Decimal,
    ) -> Result<MarketSpec, BadSpec> {
        if tick <= Decimal::ZERO || lot <= Decimal::ZERO {
            return Err(BadSpec(format!("market {name}: tick {tick} and lot {lot} must be above 0")));
        }
        let leverage_max = margin.table().tiers().first().map_or(1, |tier| tier.leverage_max);
        let instrument = Instrument {
            id: InstrumentId::new(Venue::Dydx, name).map_err(|e| BadSpec(e.to_string()))?,
            venue_asset: clob_pair,
            tick,
            lot,
            price_rule: PriceRule::Grid,
            qty_min: Qty(1),
            notional_min: Usd::ZERO,
            leverage_max,
            margin: margin.into(),
            status: MarketStatus::Open,
            isolated_only: false,
        };
        let oracle = instrument.px_nearest(oracle).map_err(|e| BadSpec(format!("market {name}: oracle: {e}")))?;
        Ok(MarketSpec {
            instrument,
            oracle,
            funding_interest_8h: Ratio::ZERO,
            impact_notional: Usd::whole(10_000),
            market_order_notional_max: Usd::whole(30_000_000),
            open_interest_of_others: Qty::ZERO,
            open_interest_cap: None,
            margin_mode: MarginMode::Normal,
        })
    }
}

/// Why a specification makes no exchange.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid exchange specification: {0}")]
pub struct BadSpec(pub(crate) String);
