use domain::{Alert, ClientKey, CommandReply, IdlePlace, InstrumentId, Stamped, TransferId, Venue, VenueOrderId};
use margin_guard::{Cleared, ClearedTransfer};

/// A request to cancel one order. It needs no permission and no durable record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancel {
    /// Our name of it.
    pub key: ClientKey,
    /// The market.
    pub instrument: InstrumentId,
    /// The venue's name of it, if known.
    pub order: Option<VenueOrderId>,
}

/// A read of collateral that is not in the perpetuals balance. What succeeds comes back as [`domain::Fact::Idle`] per place,
/// [`domain::Fact::Roads`] and [`domain::Fact::Deposits`]; what fails is asked for again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollateralRead {
    /// Which venue.
    pub venue: Venue,
    /// What may be taken from each of these places.
    pub places: Vec<IdlePlace>,
    /// By which roads USDC comes in and goes out.
    pub roads: bool,
    /// Deposits credited to the account from here on, UTC milliseconds; absent: none is expected.
    pub deposits_since_ms: Option<u64>,
}

/// Something to do. Effects are carried out in order, with one exception that the type makes safe: an [`Effect::Place`] and
/// an [`Effect::Transfer`] wait until every [`Effect::Record`] of their step is durable, and nothing else waits.
#[derive(Debug)]
pub enum Effect {
    /// Make this durable.
    Record(Stamped),
    /// Place this once its step is durable.
    Place(Cleared),
    /// Cancel this now.
    Cancel(Cancel),
    /// Cancel everything the venue has, known to us or not, and make sure (kill path). What came of it returns as
    /// [`domain::Fact::Swept`].
    CancelAll {
        /// Which venue.
        venue: Venue,
        /// In these markets; none: in all.
        markets: Vec<InstrumentId>,
    },
    /// Place nothing more as long as the process lives, see the venue empty or be late with it, forget every key and end.
    Sever,
    /// Pull the venue's state.
    Pull {
        /// Which venue.
        venue: Venue,
        /// Orders to ask for by key.
        keys: Vec<ClientKey>,
        /// Fills from here on, UTC milliseconds.
        fills_since_ms: u64,
    },
    /// Use up a nonce so that what was signed with it can no longer land.
    Burn {
        /// Which venue.
        venue: Venue,
        /// Which nonce.
        nonce: u64,
    },
    /// Carry this step of a transfer out once its step is durable: by the wallet if its route has a leg on a chain, by the venue's
    /// connector otherwise.
    Transfer(ClearedTransfer),
    /// Have the wallet drop a transfer: it was refused before anything left, or the operator has closed it.
    ForgetTransfer(TransferId),
    /// Read what lies idle.
    ReadCollateral(CollateralRead),
    /// Answer a command.
    Reply(u64, CommandReply),
    /// Tell a person.
    Alert(Alert),
}
