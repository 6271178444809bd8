//! Which prices and sizes the venue takes, how assets are numbered, what requests cost (sheet 2, 7).

use domain::{Instrument, Intent, OutOfRange, Side};
use rust_decimal::{Decimal, RoundingStrategy};

use super::WireDecimal;
use super::action::{Action, OrderKind, OrderRequest};
use super::info::InfoRequest;

/// Significant figures of a price that is not a whole number.
pub const PRICE_FIGURES_MAX: u32 = 5;
/// Most weighted items in one action; 201 are refused whole.
pub const ACTION_ITEMS_MAX: usize = 200;
/// Smallest order value in the quote token; an order that closes a whole position is exempt.
pub const NOTIONAL_MIN: u32 = 10;
/// REST weight per minute and IP address.
pub const IP_WEIGHT_PER_MINUTE: u32 = 1200;

/// Perpetuals and spot differ in the decimals of a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Market {
    /// At most `6 − szDecimals` decimals.
    Perp,
    /// At most `8 − szDecimals` decimals.
    Spot,
}

impl Market {
    /// Decimals that price and size share.
    #[must_use]
    pub const fn decimals(self) -> u32 {
        match self {
            Market::Perp => 6,
            Market::Spot => 8,
        }
    }
}

/// Why a price or size is not one that the venue takes. The text is what the venue would say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleFault {
    /// More decimals than the market allows, or not above zero.
    #[error("Order has invalid price.")]
    Price,
    /// More than five significant figures.
    #[error("Price must be divisible by tick size.")]
    Tick,
    /// More decimals than the asset allows, or negative.
    #[error("Order has invalid size.")]
    Size,
    /// Nothing.
    #[error("Order has zero size.")]
    ZeroSize,
}

/// Whether the venue takes `px` as a price. Trailing zeros do not count; whole numbers are always taken.
///
/// # Errors
/// Which rule it breaks.
pub fn check_px(px: Decimal, sz_decimals: u32, market: Market) -> Result<(), RuleFault> {
    let px = px.normalize();
    if px <= Decimal::ZERO {
        return Err(RuleFault::Price);
    }
    if px.scale() == 0 {
        return Ok(());
    }
    if px.scale() > market.decimals().saturating_sub(sz_decimals) {
        return Err(RuleFault::Price);
    }
    if figures(px) > PRICE_FIGURES_MAX {
        return Err(RuleFault::Tick);
    }
    Ok(())
}

/// Significant figures of a normalised positive number with decimals.
fn figures(px: Decimal) -> u32 {
    px.mantissa().unsigned_abs().checked_ilog10().map_or(0, |log| log + 1)
}

/// Whether the venue takes `sz` as a size.
///
/// # Errors
/// Which rule it breaks.
pub fn check_sz(sz: Decimal, sz_decimals: u32) -> Result<(), RuleFault> {
    let sz = sz.normalize();
    if sz.is_zero() {
        return Err(RuleFault::ZeroSize);
    }
    if sz < Decimal::ZERO || sz.scale() > sz_decimals {
        return Err(RuleFault::Size);
    }
    Ok(())
}

/// Distance between neighbouring acceptable prices at `px`: 1 from 10,000 up.
#[must_use]
pub fn tick_at(px: Decimal, sz_decimals: u32, market: Market) -> Decimal {
    Decimal::new(1, price_decimals(px, sz_decimals, market))
}

fn price_decimals(px: Decimal, sz_decimals: u32, market: Market) -> u32 {
    let grid = market.decimals().saturating_sub(sz_decimals);
    // decimals that leave five figures: 4 below 10, 3 below 100 … and one more for each zero after the point
    let mut figures = PRICE_FIGURES_MAX - 1;
    let mut bound = Decimal::TEN;
    while figures > 0 && px >= bound {
        figures -= 1;
        bound *= Decimal::TEN;
    }
    let mut bound = Decimal::ONE;
    while figures < grid && px < bound {
        figures += 1;
        bound /= Decimal::TEN;
    }
    figures.min(grid)
}

/// The nearest acceptable price that is no worse than `px` for an order of `side`: down when buying, up when selling.
#[must_use]
pub fn round_px(px: Decimal, sz_decimals: u32, market: Market, side: Side) -> Decimal {
    let strategy = match side {
        Side::Buy => RoundingStrategy::ToNegativeInfinity,
        Side::Sell => RoundingStrategy::ToPositiveInfinity,
    };
    px.round_dp_with_strategy(price_decimals(px, sz_decimals, market), strategy).normalize()
}

/// The largest acceptable size that is not above `sz`.
#[must_use]
pub fn round_sz(sz: Decimal, sz_decimals: u32) -> Decimal {
    sz.round_dp_with_strategy(sz_decimals, RoundingStrategy::ToZero).normalize()
}

/// Asset id of the `index`-th perpetual of the `dex`-th dex; dex 0 is the main one. `None` if it does not fit the numbering.
#[must_use]
pub fn perp_asset(dex: u32, index: u32) -> Option<u32> {
    if dex == 0 {
        return (index < 10_000).then_some(index);
    }
    (index < 10_000).then_some(())?;
    dex.checked_mul(10_000)?.checked_add(100_000)?.checked_add(index)
}

/// Asset id of the spot pair with this `universe` index.
#[must_use]
pub fn spot_asset(index: u32) -> Option<u32> {
    (index < 90_000).then_some(10_000 + index)
}

/// The order that an intent asks for: a pure function of it, so sending it again is the same order.
///
/// # Errors
/// If price or quantity cannot be written with 8 decimals, which a Hyperliquid instrument's grid excludes.
pub fn order_request(intent: &Intent, instrument: &Instrument) -> Result<OrderRequest, OutOfRange> {
    let child = &intent.child;
    Ok(OrderRequest {
        asset: instrument.venue_asset,
        is_buy: child.side == Side::Buy,
        px: WireDecimal::new(instrument.px_decimal(child.px))?,
        sz: WireDecimal::new(instrument.qty_decimal(child.qty))?,
        reduce_only: child.reduce_only,
        kind: OrderKind::Limit { tif: child.tif.into() },
        cloid: Some(intent.key),
    })
}

impl InfoRequest {
    /// Weight against the IP budget before the answer is seen (sheet 7).
    #[must_use]
    pub fn weight(&self) -> u32 {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the sheet says: all others 20")]
        match self {
            InfoRequest::L2Book { .. }
            | InfoRequest::AllMids { .. }
            | InfoRequest::ClearinghouseState { .. }
            | InfoRequest::OrderStatus { .. }
            | InfoRequest::SpotClearinghouseState { .. }
            | InfoRequest::ExchangeStatus => 2,
            InfoRequest::UserRole { .. } => 60,
            _ => 20,
        }
    }

    /// Additional weight of an answer with `items` elements.
    #[must_use]
    pub fn weight_of_items(&self, items: usize) -> u32 {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the sheet names those that cost more")]
        let per = match self {
            InfoRequest::RecentTrades { .. }
            | InfoRequest::HistoricalOrders { .. }
            | InfoRequest::UserFills { .. }
            | InfoRequest::UserFillsByTime { .. }
            | InfoRequest::FundingHistory { .. }
            | InfoRequest::UserFunding { .. }
            | InfoRequest::UserNonFundingLedgerUpdates { .. }
            | InfoRequest::TwapHistory { .. }
            | InfoRequest::UserTwapSliceFills { .. }
            | InfoRequest::UserTwapSliceFillsByTime { .. } => 20,
            InfoRequest::CandleSnapshot { .. } => 60,
            _ => return 0,
        };
        u32::try_from(items / per).unwrap_or(u32::MAX)
    }
}

impl Action {
    /// Orders, cancels or replacements in it; other actions count one.
    #[must_use]
    pub fn items(&self) -> usize {
        #[expect(clippy::wildcard_enum_match_arm, reason = "only these carry arrays")]
        match self {
            Action::Order(a) => a.orders.len(),
            Action::Cancel(a) => a.cancels.len(),
            Action::CancelByCloid(a) => a.cancels.len(),
            Action::BatchModify(a) => a.modifies.len(),
            _ => 1,
        }
    }

    /// Weight against the IP budget.
    #[must_use]
    pub fn weight(&self) -> u32 {
        u32::try_from(self.items() / 40).map_or(u32::MAX, |n| n.saturating_add(1))
    }
}

#[cfg(test)]
mod tests;
