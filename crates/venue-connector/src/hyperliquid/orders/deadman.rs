//! The venue's own dead-man: at a set time it cancels every order of the account unless the time is moved on before (C24).

use std::time::Duration;

use wire::hyperliquid::action::{Action, Answer, Response, ScheduleCancel};

use super::send_own;
use crate::hyperliquid::Shared;
use crate::hyperliquid::http::Lane;
use crate::hyperliquid::limits::{Purpose, Spent};
use crate::hyperliquid::nonce::NonceAhead;
use crate::port::Next;

/// The venue refuses a time nearer than this (fact sheet §4.5).
pub const DEAD_MAN_LEAD_MIN: Duration = Duration::from_secs(5);

/// Why the venue's dead-man was not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeadManError {
    /// The request budget is spent.
    #[error("not sent: {0}")]
    Throttled(#[from] Spent),
    /// The clock was set back too far to sign anything.
    #[error("not sent")]
    Nonce(#[from] NonceAhead),
    /// No usable answer: it may be set or not.
    #[error("no usable answer: {0}")]
    NoAnswer(String),
    /// The venue refused, in its own words. It does so below 1,000,000 USD of lifetime volume and after ten firings in a day.
    #[error("refused by the venue: {0}")]
    Refused(String),
}

impl DeadManError {
    /// Setting it again is harmless: it moves the time and uses up no firing.
    #[must_use]
    pub fn next(&self) -> Next {
        match self {
            DeadManError::Throttled(spent) => Next::RetryAfter(spent.wait),
            DeadManError::NoAnswer(_) => Next::RetryAfter(Duration::from_secs(1)),
            DeadManError::Nonce(_) | DeadManError::Refused(_) => Next::GiveUp,
        }
    }
}

/// Sets it to fire in `lead` from now by the venue's clock, or clears it. Returns the time, UTC milliseconds.
pub(in crate::hyperliquid) async fn schedule_cancel(
    shared: &Shared,
    lead: Option<Duration>,
) -> Result<Option<u64>, DeadManError> {
    let now = (shared.clock)();
    // what keeps orders from being forgotten is worth as much as the reads that find them
    shared.reads.weight.take(now, 1, Purpose::Recover)?;
    shared.address.cancel(1);
    let lead_ms = lead.map(|lead| u64::try_from(lead.max(DEAD_MAN_LEAD_MIN).as_millis()).unwrap_or(u64::MAX));
    let time = lead_ms.map(|lead_ms| shared.venue_now_ms().saturating_add(lead_ms));
    let nonce = shared.nonces.next(now.wall_ms)?;
    let action = Action::ScheduleCancel(ScheduleCancel { time });
    match send_own(shared, Lane::Cancel, &action, nonce, shared.config.timing.cancel_attempt).await {
        Ok(Answer::Ok(Response::Default)) => Ok(time),
        Ok(Answer::Ok(other)) => Err(DeadManError::NoAnswer(format!("unexpected answer {other:?}"))),
        Ok(Answer::Err(text)) => Err(DeadManError::Refused(text)),
        Err(failure) => Err(DeadManError::NoAnswer(failure.to_string())),
    }
}
