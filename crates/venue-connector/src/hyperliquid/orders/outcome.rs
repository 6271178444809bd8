//! What an answer means. The rule of C23: nothing is a rejection but a text on the allow-list; whatever cannot be read, did not
//! come, or does not account for an order leaves that order unknown.

use std::collections::BTreeMap;

use domain::{ClientKey, Intent, Lost, Reject, RejectKind, SendOutcome, Tif, VenueOrderId};
use wire::hyperliquid::action::{Answer, OrderStatus, Response};
use wire::hyperliquid::{classify, decode};

use crate::hyperliquid::http;
use crate::hyperliquid::{NoAnswer, Spent};

/// No answer that says what happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::hyperliquid) enum Failure {
    /// Nothing was sent: it could not be signed.
    #[error("not sent: {0}")]
    NotSent(String),
    /// Nothing was sent: the request budget is spent.
    #[error("not sent: {0}")]
    NoBudget(#[from] Spent),
    /// Sent, or perhaps sent.
    #[error("{detail}")]
    Lost {
        /// In the desk's words.
        lost: Lost,
        /// For logs.
        detail: String,
    },
}

impl Failure {
    pub(super) fn lost(lost: Lost, detail: impl std::fmt::Display) -> Failure {
        Failure::Lost { lost, detail: detail.to_string().chars().take(200).collect() }
    }
}

/// Reads an HTTP answer to an action.
pub(super) fn read_reply(reply: Result<http::Answer, NoAnswer>) -> Result<Answer, Failure> {
    let answer = reply.map_err(|e| match e {
        NoAnswer::Timeout(_) => Failure::lost(Lost::Timeout, e),
        NoAnswer::Broken(_) => Failure::lost(Lost::Disconnected, e),
        NoAnswer::TooLarge => Failure::lost(Lost::Unreadable, e),
    })?;
    match answer.status {
        200 => decode::<Answer>(&answer.body, "exchange").map_err(|e| Failure::lost(Lost::Unreadable, e)),
        429 => Err(Failure::lost(Lost::Throttled, "status 429")),
        // other 4xx carry plain text: it decides, by the same allow-list as any refusal
        400..=499 => Ok(Answer::Err(String::from_utf8_lossy(&answer.body).chars().take(500).collect())),
        500..=599 => Err(Failure::lost(Lost::ServerError, format_args!("status {}", answer.status))),
        status => Err(Failure::lost(Lost::Unreadable, format_args!("status {status}"))),
    }
}

/// One outcome for each of `intents`, which travelled as one action.
pub(super) fn outcomes(intents: &[Intent], reply: Result<Answer, Failure>) -> Vec<SendOutcome> {
    let all = |outcome: SendOutcome| vec![outcome; intents.len()];
    let outcomes = match reply {
        Err(Failure::NotSent(why)) => all(super::not_sent(RejectKind::Auth, why)),
        Err(Failure::NoBudget(spent)) => all(super::not_sent(RejectKind::Throttled, spent.to_string())),
        Err(Failure::Lost { lost, .. }) => all(SendOutcome::Unknown(lost)),
        Ok(Answer::Err(text)) => all(refusal(&text)),
        Ok(Answer::Ok(Response::Order(statuses))) => by_status(intents, &statuses),
        Ok(Answer::Ok(_)) => all(UNREADABLE),
    };
    assert_eq!(intents.len(), outcomes.len(), "invariant: one outcome for each order");
    outcomes
}

const UNREADABLE: SendOutcome = SendOutcome::Unknown(Lost::Unreadable);

fn by_status(intents: &[Intent], statuses: &[OrderStatus]) -> Vec<SendOutcome> {
    let in_order = statuses.len() == intents.len()
        && intents.iter().zip(statuses).all(|(intent, status)| named(status).is_none_or(|key| key == intent.key));
    if in_order {
        return intents.iter().zip(statuses).map(|(intent, status)| one(intent, status)).collect();
    }
    // one refusal for a whole batch: the venue checks some things before it looks at single orders
    if let [OrderStatus::Error(text)] = statuses {
        return vec![refusal(text); intents.len()];
    }
    // anything else is believed only where it names the order (F22)
    let named: BTreeMap<ClientKey, &OrderStatus> = statuses.iter().filter_map(|s| named(s).map(|key| (key, s))).collect();
    intents.iter().map(|intent| named.get(&intent.key).map_or(UNREADABLE, |status| one(intent, status))).collect()
}

fn named(status: &OrderStatus) -> Option<ClientKey> {
    match status {
        OrderStatus::Resting(resting) => resting.cloid,
        OrderStatus::Filled(filled) => filled.cloid,
        OrderStatus::Error(_) | OrderStatus::WaitingForFill | OrderStatus::WaitingForTrigger | OrderStatus::Unrecognised(_) => {
            None
        }
    }
}

fn one(intent: &Intent, status: &OrderStatus) -> SendOutcome {
    match status {
        OrderStatus::Resting(resting) => SendOutcome::Acked { order: Some(VenueOrderId::Number(resting.oid)), done: false },
        // `filled` says nothing of the rest: an immediate-or-cancel has none, any other order may still rest with it
        OrderStatus::Filled(filled) => {
            SendOutcome::Acked { order: Some(VenueOrderId::Number(filled.oid)), done: intent.child.tif == Tif::ImmediateOrCancel }
        }
        OrderStatus::WaitingForFill | OrderStatus::WaitingForTrigger => SendOutcome::Acked { order: None, done: false },
        OrderStatus::Error(text) => refusal(text),
        OrderStatus::Unrecognised(_) => UNREADABLE,
    }
}

/// A refusal that we know, or nothing known. A used nonce is none: these very bytes may have landed before.
fn refusal(text: &str) -> SendOutcome {
    let known = classify::order(text).filter(|_| !classify::duplicate_nonce(text));
    known.map_or(UNREADABLE, |kind| SendOutcome::Rejected(Reject { kind, text: text.chars().take(TEXT_CHARS_MAX).collect() }))
}

/// Longest refusal text that is kept.
const TEXT_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests;
