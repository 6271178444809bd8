use std::fmt;

use domain::Venue;
use serde::{Deserialize, Serialize};

/// Whose journal this is. Written once at creation, asserted at every open (F72), and the root of the hash chain.
/// Compared exactly: spell addresses in one way, such as lower case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The venue.
    pub venue: Venue,
    /// Which of the venue's networks, such as `mainnet`, `testnet` or `paper`.
    pub network: String,
    /// The account that trades: the master's address, or the vault's or sub-account's where one is used.
    pub account: String,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} account {}", self.venue, self.network, self.account)
    }
}
