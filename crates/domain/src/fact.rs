use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    Bar, Book, ClientKey, Command, DepositSeen, Fill, FundingPayment, FundingRate, IdleBalance, Instrument, InstrumentId, Lots,
    MarketTrade, Marks, OrderReport, SendOutcome, Span, Stamp, TransferEvent, TransferId, Usd, UsdcRoads, Venue, WalletView,
};

/// Which stream of a venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamKind {
    /// Books, trades and marks.
    Market,
    /// Orders, fills and balances.
    Account,
}

/// Whether a stream can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamHealth {
    /// Connected and subscribed.
    Up,
    /// Connected but silent for longer than it may be.
    Stale,
    /// Not connected.
    Down,
}

/// One position as the venue reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionView {
    /// The market.
    pub instrument: InstrumentId,
    /// Signed size.
    pub lots: Lots,
    /// The leverage setting.
    pub leverage: u32,
    /// The highest leverage the venue allows this position, which may differ from the market's.
    pub leverage_max: u32,
    /// Whether it is margined alone; then with this much margin.
    pub isolated_margin: Option<Usd>,
}

/// An account as the venue reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountView {
    /// The venue.
    pub venue: Venue,
    /// Cross account value: collateral plus unrealised profit of cross positions.
    pub equity: Usd,
    /// Cross maintenance margin.
    pub maintenance: Usd,
    /// Initial margin in use, cross.
    pub initial: Usd,
    /// What may be withdrawn.
    pub withdrawable: Usd,
    /// All open positions.
    pub positions: Vec<PositionView>,
    /// Venue time, UTC milliseconds.
    pub venue_ms: u64,
    /// When we received it.
    pub at: Stamp,
}

/// Everything a reconciliation reads from a venue, in one pull (§3.5 R4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VenueSnapshot {
    /// The venue.
    pub venue: Venue,
    /// When the pull began: what the streams said later is newer.
    pub asked: Stamp,
    /// The account.
    pub account: AccountView,
    /// All open orders of the account, foreign ones included.
    pub open: Vec<OrderReport>,
    /// Fills since the cursor less its overlap, oldest first.
    pub fills: Vec<Fill>,
    /// Answers for the orders that were asked for by key; `None` means that the venue does not know it.
    pub asked_orders: Vec<(ClientKey, Option<OrderReport>)>,
}

/// Something that happened. Facts are the only input of the desk.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A market's rules, at start and when they change.
    Instrument(Arc<Instrument>),
    /// A book snapshot.
    Book(Arc<Book>),
    /// A wide look at a market's book, gathered into coarser price steps: for how much the market takes, never to price an order.
    Depth(Arc<Book>),
    /// Reference prices and funding.
    Marks(Marks),
    /// A public trade.
    Trade(MarketTrade),
    /// Closed bars of a market's history, oldest first. They may overlap with what was told before.
    Bars {
        /// Which market.
        instrument: InstrumentId,
        /// Length of each bar.
        span: Span,
        /// The bars.
        bars: Arc<[Bar]>,
    },
    /// Settled funding rates, oldest first. They may overlap with what was told before.
    FundingRates {
        /// Which of our markets they are of, or are compared with.
        instrument: InstrumentId,
        /// Who settled them: `hyperliquid`, or another venue such as `binance`.
        source: Arc<str>,
        /// The rates.
        rates: Arc<[FundingRate]>,
    },
    /// How a placement ended.
    Sent {
        /// Which order.
        key: ClientKey,
        /// How.
        outcome: SendOutcome,
    },
    /// A cancel was answered. Only `gone` says anything about the order, and it does not say whether it filled.
    CancelAnswered {
        /// Which order.
        key: ClientKey,
        /// The venue says that the order is no longer open.
        gone: bool,
    },
    /// What the venue says about an order.
    Order(OrderReport),
    /// One of our fills.
    Fill(Fill),
    /// A funding payment.
    Funding(FundingPayment),
    /// The account.
    Account(AccountView),
    /// A whole pull for reconciliation.
    Snapshot(Box<VenueSnapshot>),
    /// A pull failed; the venue and a short reason.
    SnapshotFailed(Venue, String),
    /// A nonce was burnt: the orders signed with it can no longer land (`burnt`), or it had been used before.
    NonceBurnt {
        /// The venue.
        venue: Venue,
        /// Which nonce.
        nonce: u64,
        /// True: this burn used it, so the original never lands. False: it had been used.
        burnt: bool,
    },
    /// A sweep of a venue ended, or a pass of it: everything that was open was cancelled, and the venue was asked.
    Swept {
        /// The venue.
        venue: Venue,
        /// In these markets; none: in all.
        markets: Vec<InstrumentId>,
        /// It has shown no open order there, twice.
        empty: bool,
    },
    /// A stream's health changed.
    Stream(Venue, StreamKind, StreamHealth),
    /// Venue clock minus ours, milliseconds.
    ClockOffset(Venue, i64),
    /// Something happened to a transfer, as its wallet or the venue's connector saw it.
    Transfer {
        /// Which.
        id: TransferId,
        /// What.
        event: Box<TransferEvent>,
    },
    /// A wallet, as all of its endpoints agree on it.
    Wallet(Box<WalletView>),
    /// A wallet's endpoints disagree, are stale or do not answer: nothing is known of it until they do again.
    WalletDoubt(String),
    /// What lies idle in one place of a venue.
    Idle(IdleBalance),
    /// By which roads a venue takes and pays USDC.
    Roads(UsdcRoads),
    /// Deposits that a venue credited to the account, oldest first. They may overlap with what was told before.
    Deposits(Venue, Arc<[DepositSeen]>),
    /// An operator command; the number pairs the reply with the asker.
    Command(u64, Command),
    /// Nothing happened, but time passed.
    Timer,
}
