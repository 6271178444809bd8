use serde::{Deserialize, Serialize};

use crate::{Approval, DrillId, DrillPath, ParentChange, ParentId, ParentSpec, Reload, SpecFault, Stop, StopScope, TransferId};

/// What an operator may ask of the desk. Each is answered with a [`CommandReply`] and recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Admit a parent; its `id` is replaced by the next number.
    Submit(Box<ParentSpec>),
    /// Change a parent.
    Change(ParentId, ParentChange),
    /// Stop something, or stop it further.
    Kill(Stop),
    /// Let what is stopped trade again.
    Rearm {
        /// In whose words. Must not be empty.
        reason: String,
        /// What; absent: all that is stopped.
        #[serde(default)]
        scope: Option<StopScope>,
        /// An operator's approval. Where operators are configured, nothing is re-armed without one.
        #[serde(default)]
        approval: Option<Approval>,
        /// Causes outside the desk that are not cleared: a sentinel file, a full disk, a clock in doubt. Each refuses.
        #[serde(default)]
        standing: Vec<SpecFault>,
    },
    /// Allow trading again in a market frozen by a break.
    Unfreeze {
        /// Which.
        instrument: crate::InstrumentId,
        /// In whose words. Must not be empty.
        reason: String,
    },
    /// Begin a drill, or go on with one that waits for its signer.
    Drill {
        /// By which path.
        path: DrillPath,
        /// Whether the operator's own signer is at hand for as long as it takes.
        signer: bool,
    },
    /// Write a transfer off whose fate cannot be found out: what it moved counts as spent, and its wallet is frozen while its nonce
    /// was open.
    CloseTransfer {
        /// Which.
        id: TransferId,
        /// In whose words. Must not be empty.
        reason: String,
    },
    /// The configuration file was looked at.
    Reload(Reload),
    /// Put in force what a changed configuration file loosens.
    Apply {
        /// Hash of the file whose changes are meant, so that nobody applies what he has not seen.
        file: String,
        /// In whose words. Must not be empty.
        reason: String,
        /// An operator's approval. Where operators are configured, nothing is loosened without one.
        #[serde(default)]
        approval: Option<Approval>,
    },
    /// Accept what was done with the wallet beside us; its next nonce is taken from the chain (F83, F84).
    AcceptWallet {
        /// In whose words. Must not be empty.
        reason: String,
    },
}

impl Command {
    /// A re-arm of all that is stopped, without an approval and with no cause standing outside the desk.
    #[must_use]
    pub fn rearm(reason: impl Into<String>) -> Command {
        Command::Rearm { reason: reason.into(), scope: None, approval: None, standing: Vec::new() }
    }
}

/// The desk's answer to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandReply {
    /// Admitted under this number.
    Accepted(ParentId),
    /// The drill of this number began or goes on.
    Drilling(DrillId),
    /// Done.
    Done,
    /// The approval is kept; others must follow.
    Waiting {
        /// Who has approved, by name.
        have: Vec<String>,
        /// How many different operators must.
        needed: usize,
        /// Until when the first of them stands, UTC milliseconds.
        until_ms: u64,
    },
    /// Refused: every fault.
    Refused(Vec<SpecFault>),
}
