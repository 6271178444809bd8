//! Hyperliquid (HyperCore): `/exchange`, `/info`, the WebSocket, and the bytes that are signed.
//!
//! * [`action`]: what is posted to `/exchange` and what comes back.
//! * [`sign`]: keys, hashing, signatures, recovery of the signer.
//! * [`info`]: every read of `/info`, request and response.
//! * [`stream`]: every WebSocket frame, both directions, and a one-pass scanner for book frames.
//! * [`rules`]: which prices and sizes the venue takes, and how they are written.
//! * [`classify`]: what a refusal or a status word means. Unknown texts mean nothing.
//! * [`conformance`]: checks recorded payloads and signing vectors against all of the above.
//!
//! Unknown keys are ignored everywhere. Numbers that carry money are strict decimals ([`Num`], [`WireDecimal`]): a malformed
//! one is a [`Malformed`] error of the whole message, never a guess.

pub mod action;
mod address;
pub mod classify;
pub mod conformance;
pub mod info;
mod json;
mod number;
pub mod rules;
pub mod sign;
pub mod stream;

pub use address::{Address, BadAddress, User};
pub use number::{DecimalText, LooseNum, Num, WireDecimal};

use serde::de::DeserializeOwned;

/// The longest body that [`decode`] looks at: far above the largest answer of `/info` (2,000 fills, about 1 MB).
pub const BODY_BYTES_MAX: usize = 8 << 20;

/// A payload that is not what the venue documents: counted, logged once per kind, never fatal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {what}: {detail}")]
pub struct Malformed {
    /// Which payload: a request type, a channel, or `exchange`.
    pub what: String,
    /// What is wrong with it and where.
    pub detail: String,
}

impl Malformed {
    pub(crate) fn new(what: impl Into<String>, detail: impl std::fmt::Display) -> Malformed {
        Malformed { what: what.into(), detail: detail.to_string().chars().take(DETAIL_CHARS_MAX).collect() }
    }
}

/// Error texts quote the payload; a log line must stay a line.
const DETAIL_CHARS_MAX: usize = 240;

/// Decodes a whole body as `T`; `what` names it in the error.
///
/// # Errors
/// If the body is longer than [`BODY_BYTES_MAX`], is not JSON, or is not a `T`.
pub fn decode<T: DeserializeOwned>(body: &[u8], what: &str) -> Result<T, Malformed> {
    if body.len() > BODY_BYTES_MAX {
        return Err(Malformed::new(what, format_args!("{} bytes; expected at most {BODY_BYTES_MAX}", body.len())));
    }
    serde_json::from_slice(body).map_err(|e| Malformed::new(what, e))
}

/// `"B"` and `"A"`.
pub(crate) mod side {
    use domain::Side;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(side: &Side, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(match side {
            Side::Buy => "B",
            Side::Sell => "A",
        })
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Side, D::Error> {
        #[derive(Deserialize)]
        enum Letter {
            B,
            A,
        }
        match Letter::deserialize(d).map_err(|e| de::Error::custom(format_args!("side: {e}")))? {
            Letter::B => Ok(Side::Buy),
            Letter::A => Ok(Side::Sell),
        }
    }
}
