use std::future::Future;

use serde::{Deserialize, Serialize};

use crate::{
    Approved, Arrival, Basis, Child, ClientKey, DrillEvent, DrillId, Epoch, EvmAddress, Fill, FundingPayment, Instrument,
    InstrumentId, Intent, JournalTag, LevelChange, Lost, Lots, Measure, OrderOutcome, ParentChange, ParentId, ParentOutcome,
    ParentSpec, ProfitMark, Reject, Reloaded, Seed, Stamp, Stop, StopScope, TransferEvent, TransferId, TreasuryDecision,
    VenueOrderId,
};

/// One journal record: what happened that changes state, or what was decided and on which numbers.
/// Market data is not recorded. Folding all entries gives the state (I25).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// A daemon took over the journal.
    Epoch {
        /// Its tenure.
        epoch: Epoch,
        /// Marks our client keys.
        tag: JournalTag,
        /// Root of all chance in this tenure.
        seed: Seed,
        /// Version of the binary.
        binary: String,
        /// Hash of the checked configuration.
        config: String,
    },
    /// Limits in force from here on, as the text that was hashed.
    Limits {
        /// First 8 bytes of the hash.
        id: u64,
        /// The limits, as JSON.
        text: String,
    },
    /// A market's rules, when first used and when they changed. Prices and quantities in later entries are in its units.
    Instrument(Instrument),
    /// A parent was admitted.
    Parent {
        /// What was asked.
        spec: ParentSpec,
        /// When its clock starts.
        start: Stamp,
        /// The market at that moment.
        arrival: Arrival,
    },
    /// A parent was changed by the operator or the desk.
    Changed {
        /// Which.
        parent: ParentId,
        /// How.
        change: ParentChange,
        /// By whom or why.
        why: String,
    },
    /// A parent ended.
    Ended {
        /// Which.
        parent: ParentId,
        /// How.
        outcome: ParentOutcome,
        /// Twice the mid price in ticks at the end, for the opportunity cost; absent without a book.
        mid_x2: Option<i64>,
    },
    /// An order was cleared and may be sent once this is durable.
    Intent {
        /// The order.
        intent: Intent,
        /// The numbers it was cleared on.
        basis: Basis,
        /// Twice the mid price in ticks when it was decided; absent without a book.
        mid_x2: Option<i64>,
    },
    /// The guard refused an order. Repeats of the same kind within a second are counted, not recorded.
    Refused {
        /// The order.
        child: Child,
        /// The refusal in words, with its numbers.
        why: String,
        /// How many were refused alike since the last such record.
        count: u32,
    },
    /// The venue has the order.
    Acked {
        /// Which.
        key: ClientKey,
        /// The venue's name of it.
        order: Option<VenueOrderId>,
    },
    /// The answer to a placement was lost.
    Unknown {
        /// Which.
        key: ClientKey,
        /// How.
        cause: Lost,
    },
    /// We asked the venue to cancel.
    CancelAsked {
        /// Which.
        key: ClientKey,
    },
    /// A fill was booked.
    Fill(Fill),
    /// A funding payment was booked.
    Funding(FundingPayment),
    /// An order ended. Its fills may still arrive later and are booked then.
    Done {
        /// Which.
        key: ClientKey,
        /// How.
        outcome: OrderOutcome,
        /// The venue's words, if it refused.
        reject: Option<Reject>,
    },
    /// Something was stopped, or stopped further.
    Latch(Stop),
    /// The operator cleared the latch.
    Rearm {
        /// In whose words.
        reason: String,
        /// Of what; absent: all that was stopped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<StopScope>,
        /// The operators who approved it, by name, if any are configured.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        by: Vec<String>,
    },
    /// An operator approved something.
    Approved(Approved),
    /// A market was frozen: derived and venue position differ, or an order is there that we cannot explain.
    Frozen {
        /// Which.
        instrument: InstrumentId,
        /// Why.
        why: String,
    },
    /// The operator let a frozen market trade again; the venue's position is taken over.
    Unfrozen {
        /// Which.
        instrument: InstrumentId,
        /// In whose words.
        reason: String,
        /// The position taken over from the venue.
        position: Lots,
    },
    /// The venue's position was taken as the start of our books, on a fresh journal.
    Opening {
        /// Which.
        instrument: InstrumentId,
        /// The position.
        position: Lots,
        /// Venue time of the reading, UTC milliseconds: fills up to then are in it.
        venue_ms: u64,
    },
    /// A venue order that is not ours, or that our journal does not know.
    Stranger {
        /// The venue's name of it.
        order: VenueOrderId,
        /// Our key, if it is from our key space.
        key: Option<ClientKey>,
        /// The market.
        instrument: InstrumentId,
        /// What was done about it.
        action: String,
    },
    /// Statistics of a market changed by as much as matters for sizing, or an hour has passed.
    Measured(Measure),
    /// An account's margin level changed.
    Level(LevelChange),
    /// Profit, its peaks and the day's start.
    Profit(ProfitMark),
    /// Treasury limits in force from here on, as the text that was hashed. A destination is listed from the record on that first
    /// names it (I13).
    Treasury {
        /// First 8 bytes of the hash.
        id: u64,
        /// The limits, as JSON.
        text: String,
    },
    /// What was decided about a transfer, or happened to it.
    Transfer {
        /// Which.
        id: TransferId,
        /// What.
        event: TransferEvent,
    },
    /// The guard refused a transfer.
    TransferRefused {
        /// What was asked, in words.
        what: String,
        /// The refusal in words, with its numbers.
        why: String,
    },
    /// The treasury's decision about an account changed.
    TreasuryDecided(TreasuryDecision),
    /// The operator accepts what was done with a wallet beside us; its next nonce is taken from the chain (F83, F84).
    WalletAccepted {
        /// Which chain.
        chain_id: u64,
        /// The wallet.
        wallet: EvmAddress,
        /// Its next nonce.
        nonce: u64,
        /// In whose words.
        reason: String,
    },
    /// What was decided about a drill, or happened to it.
    Drill {
        /// Which.
        id: DrillId,
        /// What.
        event: DrillEvent,
    },
    /// The configuration file was looked at. Limits that it puts in force follow as [`Entry::Limits`].
    Reloaded(Reloaded),
    /// Reconciliation with every venue is complete; trading may start (I14).
    Reconciled {
        /// Of which tenure.
        epoch: Epoch,
        /// Hash of the desk's folded state.
        state: String,
        /// Entries that reconciliation itself added.
        repairs: u32,
    },
}

/// An entry and the moment it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped {
    /// When.
    pub at: Stamp,
    /// What.
    pub entry: Entry,
}

/// Proof of a durable append: the sequence numbers it was given, and under which tenure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Sequence number of the first entry.
    pub first: u64,
    /// Sequence number of the last entry.
    pub last: u64,
    /// The tenure that wrote it.
    pub epoch: Epoch,
}

/// Where entries become durable. `append` returns only when all of them are on stable storage, in order, or none is promised.
pub trait WriteAhead {
    /// What can go wrong. After an error the log accepts nothing more (I27).
    type Error: std::error::Error + Send + Sync + 'static;

    /// Makes `entries` durable as one group.
    ///
    /// # Errors
    /// If they may not be durable, or the log has been closed by an earlier error, or a newer epoch exists.
    fn append(&self, entries: Vec<Stamped>) -> impl Future<Output = Result<Receipt, Self::Error>> + Send;
}
