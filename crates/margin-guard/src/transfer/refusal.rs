//! Why a transfer is refused, with the numbers.

use domain::{EvmAddress, Span, StopLevel, TransferId, Usd, Wei};

/// Why a step of a transfer was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferRefusal {
    /// The daemon is stopped.
    #[error("stopped at {0}: no money moves")]
    Halted(StopLevel),
    /// The books have not been compared with the venue in this tenure (I14).
    #[error("the books are not reconciled with the venue yet")]
    NotReconciled,
    /// The number was used, or the transfer is not known.
    #[error("{0} is not the next transfer, or not known")]
    Number(TransferId),
    /// It was decided on other limits than those in force (I29).
    #[error("decided on treasury limits {asked:x}, in force are {in_force:x}")]
    Limits {
        /// On which.
        asked: u64,
        /// Which are in force.
        in_force: u64,
    },
    /// The amount is zero, negative, or finer than the token counts (F92).
    #[error("{0} is not an amount above 0 with at most 6 decimals")]
    Amount(Usd),
    /// Less than the venue credits (F92): it would be lost.
    #[error("{amount} is below the least of {least} that arrives by a {route} ({arrives} of it would arrive)")]
    BelowMinimum {
        /// How much.
        amount: Usd,
        /// What of it would arrive after fees.
        arrives: Usd,
        /// The least.
        least: Usd,
        /// By which way.
        route: &'static str,
    },
    /// Nothing of it has left, and it was decided too long ago: its reason may be gone.
    #[error("decided {age} ago, of at most {max} until something leaves")]
    Old {
        /// How long ago.
        age: Span,
        /// The most.
        max: Span,
    },
    /// More than one transfer may move.
    #[error("{amount} is more than {max}, the most of one transfer")]
    Cap {
        /// How much.
        amount: Usd,
        /// The most.
        max: Usd,
    },
    /// A budget is spent (I11).
    #[error("{amount} is more than the {room} left of {max} per {window}; {spent} is spent or under way")]
    Budget {
        /// Of which window.
        window: &'static str,
        /// How much.
        amount: Usd,
        /// The budget.
        max: Usd,
        /// What is spent of it or reserved.
        spent: Usd,
        /// What is left.
        room: Usd,
    },
    /// Gas may cost too much.
    #[error("gas may cost {asked} ether, of {max} per transfer")]
    GasCap {
        /// How much.
        asked: Wei,
        /// The most.
        max: Wei,
    },
    /// The day's gas is spent (I11).
    #[error("gas may cost {asked} ether, with {spent} of {max} per day spent or reserved")]
    GasBudget {
        /// How much.
        asked: Wei,
        /// The budget.
        max: Wei,
        /// What is spent or reserved.
        spent: Wei,
    },
    /// Not on the list (I13).
    #[error("{address} is not listed under [treasury.destination] for a {route}")]
    Destination {
        /// Where to.
        address: EvmAddress,
        /// By which way.
        route: &'static str,
    },
    /// Listed too recently (I13).
    #[error("destination {name} is listed for {listed} of the {delay} that it must be before money goes there")]
    DestinationNew {
        /// Its name.
        name: String,
        /// How long it is listed.
        listed: Span,
        /// How long it must be.
        delay: Span,
    },
    /// The venue credits the sender, and the sender is not the account.
    #[error("the wallet {wallet} is not the account {account}: the venue credits the sender")]
    Sender {
        /// Who sends.
        wallet: EvmAddress,
        /// Whose account it is for.
        account: EvmAddress,
    },
    /// Not the wallet, the token or the chain of the configuration.
    #[error("{what} is {asked}, configured is {configured}")]
    Setting {
        /// What.
        what: &'static str,
        /// As asked.
        asked: String,
        /// As configured.
        configured: String,
    },
    /// No wallet is configured.
    #[error("no wallet is configured under [treasury.wallet]")]
    NoWallet,
    /// The wallet has an open nonce (I12).
    #[error("{open} has the wallet's nonce and is {state}")]
    WalletBusy {
        /// Which transfer.
        open: TransferId,
        /// Where it is.
        state: &'static str,
    },
    /// Another transfer to the same account is under way (I12).
    #[error("{open} to the same account is {state}: money on the way is not sent twice")]
    InFlight {
        /// Which transfer.
        open: TransferId,
        /// Where it is.
        state: &'static str,
    },
    /// The wallet was used beside us (F83, F84).
    #[error("the wallet is frozen: {0}")]
    WalletFrozen(String),
    /// The intent's nonce is not the wallet's next.
    #[error("the wallet's next nonce is {expected}, not {asked}")]
    Nonce {
        /// In the intent.
        asked: u64,
        /// The next.
        expected: u64,
    },
    /// A transaction of the wallet is in a block that is not safe yet.
    #[error("the wallet's next nonce is {nonce}, and {safe} in the newest safe block: a transaction could still be taken back")]
    NonceUnsafe {
        /// In the newest block.
        nonce: u64,
        /// In the newest safe block.
        safe: u64,
    },
    /// The wallet is not known, or was last seen too long ago (I34).
    #[error("the wallet is not known: {0}")]
    WalletUnknown(String),
    /// The wallet has too little of the token.
    #[error("the wallet has {has} of the {needs} to be sent")]
    Short {
        /// What it has.
        has: Usd,
        /// What is needed.
        needs: Usd,
    },
    /// The wallet has too little for gas.
    #[error("the wallet has {has} ether of the {needs} that gas may cost")]
    NoGas {
        /// What it has.
        has: Wei,
        /// What may be needed.
        needs: Wei,
    },
    /// A signed transaction is not one that may be sent for this transfer.
    #[error("the signed transaction {0}")]
    Attempt(String),
}
