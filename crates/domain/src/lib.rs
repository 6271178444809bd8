//! The words of plimsoll as types.
//!
//! This crate decides nothing. It knows what a price, a quantity, an instrument, an order intent, a fact and a journal
//! entry *are*, how they are written down, and which arithmetic is exact. It does not know venues' wire formats, limits,
//! schedules, clocks or sockets. Start with [`Instrument`], then [`Intent`], [`Fact`] and [`Entry`].

mod alert;
mod approval;
pub mod cases;
mod chance;
mod collateral;
mod command;
mod drill;
mod entry;
mod fact;
mod ids;
mod instrument;
pub mod margin;
mod market;
mod measure;
mod money;
mod order;
mod parent;
mod reload;
mod stop;
mod time;
mod transfer;

pub use alert::{AccountSituation, Alert, Severity, Situation, Topic};
pub use approval::{Act, Approval, Approved, Operator};
pub use chance::{Prng, Seed};
pub use collateral::{Cascade, DepositSeen, IdleBalance, IdlePlace, TreasuryAction, TreasuryDecision, UsdcRoad, UsdcRoads};
pub use command::{Command, CommandReply};
pub use drill::{BadPath, DrillCause, DrillEvent, DrillId, DrillOutcome, DrillPath, DrillReceipt, Hop, HopReceipt};
pub use entry::{Entry, Receipt, Stamped, WriteAhead};
pub use fact::{AccountView, Fact, PositionView, StreamHealth, StreamKind, VenueSnapshot};
pub use ids::{ChildNo, ClientKey, Epoch, InstrumentId, JournalTag, ParentId, TradeId, Venue, VenueOrderId};
pub use instrument::{Instrument, MarketStatus, PriceRule};
pub use market::{Book, Level, MarketTrade, Marks};
pub use measure::{
    Bar, FIVE_MINUTES, FundingRate, FundingView, HOURLY, LevelChange, MarginLevel, Measure, ProfitMark, VolatilityView,
};
pub use money::{Lots, OutOfRange, Px, Qty, Ratio, Usd, plain_decimal};
pub use order::{
    Basis, Child, Expiry, Fill, FundingPayment, Intent, LiquidityRole, Lost, OrderOutcome, OrderReport, Reject, RejectKind,
    ReportedState, SendOutcome, Side, Tif,
};
pub use parent::{Arrival, EndPolicy, ParentChange, ParentOutcome, ParentSpec, Placement, Schedule, SpecFault};
pub use reload::{ChangeClass, ConfigChange, ConfigText, Reload, ReloadOutcome, Reloaded, config_number};
pub use stop::{BadLevel, BadScope, Stop, StopLevel, StopScope, Stops, Trigger};
pub use time::{Span, Stamp};
pub use transfer::{
    Attempt, AttemptKind, BadHex, BadStep, CctpTerms, ChainLeg, EvmAddress, Inclusion, RawTx, Route, Transfer, TransferEvent,
    TransferId, TransferIntent, TransferOutcome, TransferState, TxHash, WalletView, Wei,
};
