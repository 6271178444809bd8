//! Approvals: which operator agrees to which act.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{EvmAddress, StopScope};

/// Somebody who may approve, as configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// What the journal and people call her.
    pub name: String,
    /// Whose signatures are hers.
    pub address: EvmAddress,
}

/// What can be approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Let what is stopped trade again.
    Rearm {
        /// What; absent: all that is stopped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<StopScope>,
    },
    /// Put in force what a configuration file loosens.
    Apply {
        /// Hash of the file.
        file: String,
    },
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Act::Rearm { scope: None } => f.write_str("rearm everything that is stopped"),
            Act::Rearm { scope: Some(scope) } => write!(f, "rearm {scope}"),
            Act::Apply { file } => write!(f, "apply the configuration file {file}"),
        }
    }
}

/// An approval on its way to the desk. Whoever makes one has verified the signature over exactly this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who signed.
    pub by: Operator,
    /// What she was shown: it names the act and the state of things that it is for, and is good for that one alone.
    pub challenge: String,
    /// Until when she agrees, UTC milliseconds.
    pub until_ms: u64,
}

/// The record of an approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approved {
    /// What was approved.
    pub act: Act,
    /// By whom, for which challenge, until when.
    #[serde(flatten)]
    pub approval: Approval,
    /// In whose words.
    pub reason: String,
}
