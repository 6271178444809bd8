use std::fmt;
use std::str::FromStr;

use domain::{Instrument, Px, Qty, Ratio, Side, Tif, Usd};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::refusal::OrderRefusal;

/// The number by which orders name a market: Hyperliquid's asset id, [`Instrument::venue_asset`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Asset(pub u32);

/// An account's address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountKey(pub [u8; 20]);

impl fmt::Display for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not an account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an account: expected 0x and 40 hexadecimal digits")]
pub struct BadAccount(String);

impl FromStr for AccountKey {
    type Err = BadAccount;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadAccount(text.chars().take(60).collect());
        let digits = text.strip_prefix("0x").filter(|d| d.len() == 40 && d.is_ascii()).ok_or_else(bad)?;
        let mut key = [0; 20];
        for (byte, pair) in key.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let nibble = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
            *byte = nibble(pair[0]).zip(nibble(pair[1])).map(|(high, low)| high << 4 | low).ok_or_else(bad)?;
        }
        Ok(AccountKey(key))
    }
}

/// How long an order works and whether it may take, in the venue's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeInForce {
    /// Post-only: refused if it would take.
    Alo,
    /// Takes what it can; the remainder dies.
    Ioc,
    /// Takes what it can and rests with the remainder.
    Gtc,
    /// The web interface's market order: as [`TimeInForce::Ioc`], with its own refusal text.
    FrontendMarket,
    /// The venue's own liquidation order. Clients cannot send it.
    LiquidationMarket,
}

impl TimeInForce {
    /// The venue's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            TimeInForce::Alo => "Alo",
            TimeInForce::Ioc => "Ioc",
            TimeInForce::Gtc => "Gtc",
            TimeInForce::FrontendMarket => "FrontendMarket",
            TimeInForce::LiquidationMarket => "LiquidationMarket",
        }
    }

    /// Whether an unfilled rest stays in the book.
    #[must_use]
    pub const fn rests(self) -> bool {
        matches!(self, TimeInForce::Alo | TimeInForce::Gtc)
    }
}

impl From<Tif> for TimeInForce {
    fn from(tif: Tif) -> TimeInForce {
        match tif {
            Tif::PostOnly => TimeInForce::Alo,
            Tif::GoodTilCancel => TimeInForce::Gtc,
            Tif::ImmediateOrCancel => TimeInForce::Ioc,
        }
    }
}

/// Which way a trigger protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tpsl {
    /// Take profit: a sell fires at or above its price, a buy at or below.
    Tp,
    /// Stop loss: a sell fires at or below its price, a buy at or above.
    Sl,
}

/// What kind of order is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKind {
    /// Works at once.
    Limit(TimeInForce),
    /// Sleeps until the **mark** price reaches `trigger_px`, then works as an immediate-or-cancel (`is_market`) or
    /// good-til-cancel order at the order's price.
    Trigger {
        /// Whether it fires as an immediate-or-cancel.
        is_market: bool,
        /// The mark at which it fires, as the client wrote it.
        trigger_px: Decimal,
        /// Which way.
        tpsl: Tpsl,
    },
}

/// An order as a client wrote it. Price and size are raw decimals because a venue must refuse what is off its grid with its
/// own words; typed callers use [`NewOrder::limit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// The market.
    pub asset: Asset,
    /// The side.
    pub side: Side,
    /// Limit price in quote currency.
    pub px: Decimal,
    /// Size in base units. Zero is allowed for [`Grouping::PositionTpsl`]: the whole position.
    pub qty: Decimal,
    /// Whether it may only shrink a position.
    pub reduce_only: bool,
    /// Kind and lifetime.
    pub kind: OrderKind,
    /// The client's name of it.
    pub cloid: Option<u128>,
}

impl NewOrder {
    /// A limit order on the grid of `instrument`, not reduce-only and without a client name.
    #[must_use]
    pub fn limit(instrument: &Instrument, side: Side, px: Px, qty: Qty, tif: TimeInForce) -> NewOrder {
        NewOrder {
            asset: Asset(instrument.venue_asset),
            side,
            px: instrument.px_decimal(px),
            qty: instrument.qty_decimal(qty),
            reduce_only: false,
            kind: OrderKind::Limit(tif),
            cloid: None,
        }
    }

    /// A trigger order on the grid of `instrument`, reduce-only.
    #[must_use]
    pub fn trigger(instrument: &Instrument, side: Side, px: Px, qty: Qty, at: Px, is_market: bool, tpsl: Tpsl) -> NewOrder {
        let kind = OrderKind::Trigger { is_market, trigger_px: instrument.px_decimal(at), tpsl };
        NewOrder { reduce_only: true, kind, ..NewOrder::limit(instrument, side, px, qty, TimeInForce::Gtc) }
    }

    /// The same order, reduce-only.
    #[must_use]
    pub fn reduce_only(self) -> NewOrder {
        NewOrder { reduce_only: true, ..self }
    }

    /// The same order under the client name `cloid`.
    #[must_use]
    pub fn cloid(self, cloid: u128) -> NewOrder {
        NewOrder { cloid: Some(cloid), ..self }
    }
}

/// How the orders of one batch belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grouping {
    /// Not at all.
    #[default]
    Na,
    /// The first order is the parent; the others are its take-profit and stop-loss of fixed size.
    NormalTpsl,
    /// Take-profit and stop-loss whose size follows the position.
    PositionTpsl,
}

/// How an existing order is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderRef {
    /// By the venue's number.
    Oid(u64),
    /// By the client's name; the newest order with it.
    Cloid(u128),
}

/// What an account asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// New orders.
    Place {
        /// At most 200.
        orders: Vec<NewOrder>,
        /// How they belong together.
        grouping: Grouping,
    },
    /// Cancel by the venue's numbers.
    Cancel {
        /// At most 200.
        orders: Vec<(Asset, u64)>,
    },
    /// Cancel by client names.
    CancelByCloid {
        /// At most 200.
        orders: Vec<(Asset, u128)>,
    },
    /// Cancel one order and place another. Answers [`OpResult::Default`] or [`OpResult::Refused`], as the venue does.
    Modify {
        /// The order to replace.
        order: OrderRef,
        /// Its replacement: full new size, new oid, the old client name unless it brings one.
        new: NewOrder,
        /// Place even if the cancel half fails.
        always_place: bool,
    },
    /// Several modifications. Answers [`OpResult::Orders`].
    BatchModify {
        /// At most 200 pairs of order and replacement.
        modifies: Vec<(OrderRef, NewOrder)>,
        /// Place even if the cancel half fails.
        always_place: bool,
    },
    /// Set leverage and margin mode of one market.
    UpdateLeverage {
        /// The market.
        asset: Asset,
        /// Cross margin; else isolated.
        is_cross: bool,
        /// 1 up to the market's highest.
        leverage: u32,
    },
    /// Add margin to an isolated position, or remove it with a negative amount.
    UpdateIsolatedMargin {
        /// The market.
        asset: Asset,
        /// Signed amount.
        amount: Usd,
    },
    /// Add margin to a strictly isolated position until its leverage is at most this.
    TopUpIsolatedOnlyMargin {
        /// The market.
        asset: Asset,
        /// The leverage to reach.
        leverage: Ratio,
    },
    /// Dead man's switch: cancel all orders at a time, or clear it with `None`.
    ScheduleCancel {
        /// UTC milliseconds, at least 5 s ahead.
        at_ms: Option<u64>,
    },
    /// Move USDC between the perpetual and the spot balance.
    ClassTransfer {
        /// Above zero.
        amount: Usd,
        /// From spot to perpetual.
        to_perp: bool,
    },
    /// Send USDC from the perpetual balance to another account, which comes into being if it is new.
    UsdSend {
        /// The receiver.
        destination: AccountKey,
        /// Above zero.
        amount: Usd,
    },
    /// Move USDC between a master (who submits) and its sub-account. Who owns which sub-account is the caller's knowledge.
    SubAccountTransfer {
        /// The sub-account.
        sub_account: AccountKey,
        /// Towards the sub-account.
        is_deposit: bool,
        /// Above zero.
        amount: Usd,
    },
    /// Credit the perpetual balance from outside. The account comes into being if it is new.
    Deposit {
        /// Above zero.
        amount: Usd,
    },
    /// Withdraw to the chain.
    Withdraw {
        /// Gross of the fee.
        amount: Usd,
        /// The action's nonce, kept in the ledger row.
        nonce: u64,
    },
    /// The venue's own TWAP, which this exchange refuses.
    Twap,
    /// Nothing: the caller burns a nonce with it.
    Noop,
}

impl Op {
    /// Orders, cancels and modifications inside, at least 1: what the venue's limits count.
    #[must_use]
    pub fn weight(&self) -> usize {
        let inside = match self {
            Op::Place { orders, .. } => orders.len(),
            Op::Cancel { orders } => orders.len(),
            Op::CancelByCloid { orders } => orders.len(),
            Op::BatchModify { modifies, .. } => modifies.len(),
            Op::Modify { .. }
            | Op::UpdateLeverage { .. }
            | Op::UpdateIsolatedMargin { .. }
            | Op::TopUpIsolatedOnlyMargin { .. }
            | Op::ScheduleCancel { .. }
            | Op::ClassTransfer { .. }
            | Op::UsdSend { .. }
            | Op::SubAccountTransfer { .. }
            | Op::Deposit { .. }
            | Op::Withdraw { .. }
            | Op::Twap
            | Op::Noop => 1,
        };
        inside.max(1)
    }

    /// When in its block an action runs (fact sheet §4.5): 0 before cancels, 1 with them, 2 after.
    pub(crate) fn turn(&self) -> u8 {
        let takes = |order: &NewOrder| matches!(order.kind, OrderKind::Limit(tif) if tif != TimeInForce::Alo);
        let last = match self {
            Op::Cancel { .. } | Op::CancelByCloid { .. } => return 1,
            Op::Place { orders, .. } => orders.iter().any(takes),
            Op::Modify { new, .. } => takes(new),
            Op::BatchModify { modifies, .. } => modifies.iter().any(|(_, new)| takes(new)),
            Op::UpdateLeverage { .. }
            | Op::UpdateIsolatedMargin { .. }
            | Op::TopUpIsolatedOnlyMargin { .. }
            | Op::ScheduleCancel { .. }
            | Op::ClassTransfer { .. }
            | Op::UsdSend { .. }
            | Op::SubAccountTransfer { .. }
            | Op::Deposit { .. }
            | Op::Withdraw { .. }
            | Op::Twap
            | Op::Noop => false,
        };
        if last { 2 } else { 0 }
    }
}

/// What became of one order of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placed {
    /// In the book (perhaps partly filled), or asleep as a trigger: `{"resting":{..}}`.
    Resting {
        /// The venue's number.
        oid: u64,
        /// The client's name.
        cloid: Option<u128>,
    },
    /// Done at once: `{"filled":{..}}`. An immediate-or-cancel may have filled less than asked.
    Filled {
        /// The venue's number.
        oid: u64,
        /// The client's name.
        cloid: Option<u128>,
        /// Filled quantity.
        total: Qty,
        /// Average price, exact up to 12 decimals.
        avg_px: Decimal,
    },
    /// A child whose parent still rests: `"waitingForFill"`.
    WaitingForFill {
        /// The venue's number, which the venue's answer does not show.
        oid: u64,
    },
    /// A child of a filled parent, or a position's take-profit or stop-loss: `"waitingForTrigger"`.
    WaitingForTrigger {
        /// The venue's number, which the venue's answer does not show.
        oid: u64,
    },
    /// Refused: `{"error":"… asset=N"}`; [`OrderRefusal`] displays as the venue's text.
    Error(OrderRefusal),
}

/// What became of one cancel of a batch: `"success"` or `{"error":".."}`.
pub type CancelResult = Result<(), OrderRefusal>;

/// The answer to an [`Op`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpResult {
    /// `{"type":"order","data":{"statuses":[..]}}`, one per order in the order asked.
    Orders(Vec<Placed>),
    /// `{"type":"cancel","data":{"statuses":[..]}}`, one per cancel in the order asked.
    Cancels(Vec<CancelResult>),
    /// `{"type":"default"}`.
    Default,
    /// The whole action refused: `{"status":"err","response":text}`.
    Refused(String),
}
