use domain::{Lots, Px, Qty, Ratio, Side, Usd};

use crate::view::OrderView;
use crate::{AccountKey, Asset};

/// Something that happened. Drain them after every call: [`crate::Exchange::drain_events`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An order changed its status.
    Order(OrderUpdate),
    /// One of an account's fills.
    Fill(FillRecord),
    /// A public trade.
    Trade(PublicTrade),
    /// The visible book of a market changed. At most one per market and drain, after everything else.
    Book(Asset),
    /// Mark, oracle or funding estimate of a market changed. At most one per market and drain, after everything else.
    Context(Asset),
    /// An account paid or received funding.
    Funding(FundingPayment),
    /// A ledger row other than funding.
    Ledger(LedgerRow),
    /// An account was liquidated.
    Liquidation(Liquidation),
}

/// An order's new status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderUpdate {
    /// Whose.
    pub account: AccountKey,
    /// The order as it is after the change.
    pub order: OrderView,
    /// The status.
    pub status: OrderStatus,
    /// Since when, UTC milliseconds.
    pub at_ms: u64,
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident => $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// The venue's word.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

words! {
    /// An order's status in the venue's words (fact sheet §3.2).
    OrderStatus {
        /// Resting, or asleep as a trigger.
        Open => "open",
        /// A trigger that fired.
        Triggered => "triggered",
        /// Done with fills.
        Filled => "filled",
        /// Cancelled by its owner, or the dead rest of an immediate-or-cancel.
        Canceled => "canceled",
        /// A maker without margin at the match.
        MarginCanceled => "marginCanceled",
        /// Would have matched its own account's aggressor.
        SelfTradeCanceled => "selfTradeCanceled",
        /// Reduce-only without a position left, or displaced by a younger one.
        ReduceOnlyCanceled => "reduceOnlyCanceled",
        /// The other of take-profit and stop-loss was filled.
        SiblingFilledCanceled => "siblingFilledCanceled",
        /// The account was liquidated.
        LiquidatedCanceled => "liquidatedCanceled",
        /// The dead man's switch fired.
        ScheduledCancel => "scheduledCancel",
        /// Refused without a word of its own.
        Rejected => "rejected",
        /// Off the tick grid.
        TickRejected => "tickRejected",
        /// Below the minimum value.
        MinTradeNtlRejected => "minTradeNtlRejected",
        /// Not enough margin.
        PerpMarginRejected => "perpMarginRejected",
        /// Reduce-only would increase.
        ReduceOnlyRejected => "reduceOnlyRejected",
        /// Post-only would take.
        BadAloPxRejected => "badAloPxRejected",
        /// Nothing to take.
        IocCancelRejected => "iocCancelRejected",
        /// Trigger price invalid.
        BadTriggerPxRejected => "badTriggerPxRejected",
        /// Market order without liquidity.
        MarketOrderNoLiquidityRejected => "marketOrderNoLiquidityRejected",
        /// Open interest at its cap.
        PositionIncreaseAtOpenInterestCapRejected => "positionIncreaseAtOpenInterestCapRejected",
        /// Too far from the reference price.
        OracleRejected => "oracleRejected",
        /// Leverage too high for the position's tier.
        PerpMaxPositionRejected => "perpMaxPositionRejected",
        /// Too many open orders.
        TooManyOpenOrdersRejected => "tooManyOpenOrdersRejected",
    }
}

impl OrderStatus {
    /// Whether the order still lives.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, OrderStatus::Open | OrderStatus::Triggered)
    }
}

words! {
    /// What a fill did to the position (fact sheet §3.3).
    Direction {
        /// Opened or grew a long.
        OpenLong => "Open Long",
        /// Opened or grew a short.
        OpenShort => "Open Short",
        /// Shrank or closed a long.
        CloseLong => "Close Long",
        /// Shrank or closed a short.
        CloseShort => "Close Short",
        /// Turned a long into a short.
        LongToShort => "Long > Short",
        /// Turned a short into a long.
        ShortToLong => "Short > Long",
        /// Closed by automatic deleveraging.
        AutoDeleveraging => "Auto-Deleveraging",
        /// A cross long liquidated.
        LiquidatedCrossLong => "Liquidated Cross Long",
        /// A cross short liquidated.
        LiquidatedCrossShort => "Liquidated Cross Short",
        /// An isolated long liquidated.
        LiquidatedIsolatedLong => "Liquidated Isolated Long",
        /// An isolated short liquidated.
        LiquidatedIsolatedShort => "Liquidated Isolated Short",
    }
}

words! {
    /// How a liquidation was carried out.
    LiquidationMethod {
        /// By market orders on the book.
        Market => "market",
        /// By the liquidator vault.
        Backstop => "backstop",
    }
}

/// The liquidation to which a fill belongs, on both sides of it: only `liquidated_user` was liquidated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiquidationInfo {
    /// Who was liquidated.
    pub liquidated_user: AccountKey,
    /// The mark then.
    pub mark_px: Px,
    /// How.
    pub method: LiquidationMethod,
}

/// One side of a trade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FillRecord {
    /// Whose.
    pub account: AccountKey,
    /// The market.
    pub asset: Asset,
    /// Price.
    pub px: Px,
    /// Quantity.
    pub qty: Qty,
    /// The account's side.
    pub side: Side,
    /// When, UTC milliseconds.
    pub at_ms: u64,
    /// The position before it.
    pub start_position: Lots,
    /// What it did.
    pub dir: Direction,
    /// Realised profit or loss, gross of fees, 6 decimals.
    pub closed_pnl: Usd,
    /// The order.
    pub oid: u64,
    /// The client's name of the order.
    pub cloid: Option<u128>,
    /// Whether the account was the aggressor.
    pub crossed: bool,
    /// Fee paid, 6 decimals; negative is a rebate.
    pub fee: Usd,
    /// The trade's number, shared by buyer and seller.
    pub tid: u64,
    /// The liquidation it belongs to.
    pub liquidation: Option<LiquidationInfo>,
}

/// A public trade. Self-trades never happen, so the two accounts differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicTrade {
    /// The market.
    pub asset: Asset,
    /// Price.
    pub px: Px,
    /// Quantity.
    pub qty: Qty,
    /// The aggressor's side.
    pub side: Side,
    /// When, UTC milliseconds.
    pub at_ms: u64,
    /// Its number, unique in the exchange.
    pub tid: u64,
    /// The buyer; `None` is the anonymous background.
    pub buyer: Option<AccountKey>,
    /// The seller; `None` is the anonymous background.
    pub seller: Option<AccountKey>,
}

/// One funding payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FundingPayment {
    /// Whose.
    pub account: AccountKey,
    /// The market.
    pub asset: Asset,
    /// Received; negative is paid. 6 decimals.
    pub usdc: Usd,
    /// The position.
    pub szi: Lots,
    /// The hourly rate, 10 decimals.
    pub rate: Ratio,
    /// When, UTC milliseconds.
    pub at_ms: u64,
}

/// A movement of money other than trading and funding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// Whose.
    pub account: AccountKey,
    /// When, UTC milliseconds.
    pub at_ms: u64,
    /// What.
    pub delta: LedgerDelta,
}

/// What a ledger row says (fact sheet §3.4). Amounts are unsigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerDelta {
    /// `accountClassTransfer`.
    AccountClassTransfer {
        /// Amount.
        usdc: Usd,
        /// From spot to perpetual.
        to_perp: bool,
    },
    /// `deposit`.
    Deposit {
        /// Amount.
        usdc: Usd,
    },
    /// `withdraw`.
    Withdraw {
        /// Amount, gross of the fee.
        usdc: Usd,
        /// The action's nonce.
        nonce: u64,
        /// The fee.
        fee: Usd,
    },
    /// `internalTransfer`: the same row for sender and receiver.
    InternalTransfer {
        /// Amount.
        usdc: Usd,
        /// The sender.
        user: AccountKey,
        /// The receiver.
        destination: AccountKey,
    },
    /// `subAccountTransfer`: the same row for both.
    SubAccountTransfer {
        /// Amount.
        usdc: Usd,
        /// The sender.
        user: AccountKey,
        /// The receiver.
        destination: AccountKey,
    },
    /// `liquidation`.
    Liquidation {
        /// Notional of the liquidated positions at the mark.
        liquidated_ntl_pos: Usd,
        /// Account value (isolated: the position's) before.
        account_value: Usd,
        /// `Cross`; else `Isolated`.
        is_cross: bool,
        /// The positions before.
        liquidated_positions: Vec<(Asset, Lots)>,
    },
}

impl LedgerDelta {
    /// The venue's `delta.type`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            LedgerDelta::AccountClassTransfer { .. } => "accountClassTransfer",
            LedgerDelta::Deposit { .. } => "deposit",
            LedgerDelta::Withdraw { .. } => "withdraw",
            LedgerDelta::InternalTransfer { .. } => "internalTransfer",
            LedgerDelta::SubAccountTransfer { .. } => "subAccountTransfer",
            LedgerDelta::Liquidation { .. } => "liquidation",
        }
    }
}

/// A liquidation as `userEvents` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Liquidation {
    /// Its number.
    pub lid: u64,
    /// Who carried it out: the liquidated account itself for market orders, the vault for the backstop.
    pub liquidator: AccountKey,
    /// Who was liquidated.
    pub liquidated_user: AccountKey,
    /// Notional of the liquidated positions at the mark.
    pub liquidated_ntl_pos: Usd,
    /// Account value (isolated: the position's) before.
    pub liquidated_account_value: Usd,
    /// When, UTC milliseconds.
    pub at_ms: u64,
}
