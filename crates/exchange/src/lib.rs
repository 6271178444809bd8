//! A simulated perpetuals exchange: price-time matching, accounts, cross and isolated margin, funding, fees, liquidation.
//!
//! It decides what a venue decides, with Hyperliquid's semantics and Hyperliquid's own refusal texts. It does not know
//! sockets, signatures, nonces, rate limits, latency or JSON: `paper` serves it, `lab` drives it in virtual time. It reads no
//! clock; every entry takes the venue's time in UTC milliseconds, and chance comes from a [`domain::Seed`].
//!
//! Start with [`Exchange`]: make one from an [`ExchangeSpec`], feed the market with [`Exchange::background`], trade with
//! [`Exchange::submit`], let time pass with [`Exchange::advance`], and read what happened from [`Exchange::drain_events`].
//!
//! Simplifications, so that nobody takes the model for the venue:
//! - Liquidity of the background market is an anonymous quantity per level. Our queue position behind it is estimated, see
//!   [`BackgroundEvent`].
//! - The mark price has no external perpetuals to look at, see [`MarketContext::mark`].
//! - The liquidator vault keeps what it takes over and is deep enough for any loss; automatic deleveraging happens only when a
//!   test asks for it ([`Fault::AutoDeleverage`]).
//! - A resting order that fills in part tells no new status, only fills. Liquidation orders pay the taker fee. A market trigger's
//!   limit is its own price. Resting orders on both sides reserve margin for what each side could open.
//! - Fees are the base tier's; there are no referrals, builder fees, staking discounts, spot markets or TWAP orders.

mod account;
mod background;
mod book;
mod engine;
mod event;
mod op;
mod reference;
mod refusal;
mod spec;
mod synthetic;
mod view;

pub use background::{BackgroundEvent, LevelChange};
pub use engine::{Exchange, Fault, Pools};
pub use event::{
    Direction, Event, FillRecord, FundingPayment, LedgerDelta, LedgerRow, Liquidation, LiquidationInfo, LiquidationMethod,
    OrderStatus, OrderUpdate, PublicTrade,
};
pub use op::{AccountKey, Asset, CancelResult, Grouping, NewOrder, Op, OpResult, OrderKind, OrderRef, Placed, TimeInForce, Tpsl};
pub use reference::hourly_rate;
pub use refusal::{OrderRefusal, OrderRefusalKind};
pub use spec::{BadSpec, ExchangeSpec, Fees, MarginMode, MarketSpec, VenueRules};
pub use synthetic::{SyntheticFlow, SyntheticParams, TimedEvent};
pub use view::{
    AccountState, ActiveAsset, BookLevel, BookView, CumulativeFunding, FundingRate, LeverageSetting, MarginSummary,
    MarketContext, OrderView, PositionState, TriggerView,
};
