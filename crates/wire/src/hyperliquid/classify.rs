//! What a refusal or a status word means.
//!
//! Refusals are an allow-list: only a text on it proves that the venue does not have the order. Every other text, and every
//! answer of another shape than asked for, leaves the outcome unknown (F21): the order keeps its margin until the venue gives
//! positive evidence. Texts match by prefix in any letter case; the venue appends ` asset=<id>` and its own numbers.

use domain::{Lost, Reject, RejectKind, ReportedState, SendOutcome, VenueOrderId};

use super::action::{Answer, CancelStatus, OrderKind, OrderRequest, OrderStatus, Response, Tif};

/// Refusals of orders (sheet 4.4): beginning of the text, in lower case, and what it means.
const ORDER_REFUSALS: &[(&str, RejectKind)] = &[
    ("price must be divisible by tick size", RejectKind::Malformed),
    ("order has invalid price", RejectKind::Malformed),
    ("order has invalid size", RejectKind::Malformed),
    ("order has zero size", RejectKind::Malformed),
    ("order must have minimum value of", RejectKind::Malformed),
    ("order price cannot be more than", RejectKind::Malformed),
    ("order price too far from oracle", RejectKind::Malformed),
    ("invalid tp/sl price", RejectKind::Malformed),
    ("signed action over weight limit of", RejectKind::Malformed),
    ("insufficient margin to place order", RejectKind::Margin),
    ("order would cause position to exceed margin tier limit", RejectKind::Margin),
    ("order has insufficient spot balance to trade", RejectKind::Margin),
    ("insufficient spot balance", RejectKind::Margin),
    ("reduce only order would increase position", RejectKind::ReduceOnly),
    ("post only order would have immediately matched", RejectKind::WouldTake),
    ("order could not immediately match against any resting orders", RejectKind::NothingToTake),
    ("no liquidity available for market order", RejectKind::NothingToTake),
    ("only post-only orders allowed", RejectKind::PostOnlyWindow),
    ("order would increase open interest while open interest is capped", RejectKind::Other),
    ("order rejected due to price more aggressive than oracle while at open interest cap", RejectKind::Other),
    ("order would increase open interest too quickly", RejectKind::Other),
    ("builder fee has not been approved", RejectKind::Other),
    ("trading is halted", RejectKind::Other),
    ("cannot modify canceled or filled order", RejectKind::Other),
];

/// Refusals of any action as a whole, before anything in it ran. `Invalid nonce: duplicate nonce` is not among them: when the
/// same bytes were sent twice it says that the first copy ran.
const ACTION_REFUSALS: &[(&str, RejectKind)] = &[
    ("too many cumulative requests sent", RejectKind::Throttled),
    ("action already expired", RejectKind::Expired),
    ("user or api wallet", RejectKind::Auth),
    ("must deposit before performing actions", RejectKind::Auth),
    ("vault may not perform this action", RejectKind::Auth),
    ("vault not registered", RejectKind::Auth),
];

/// Refusals of leverage, margin, agents and transfers (sheet 4.4).
const ACCOUNT_REFUSALS: &[&str] = &[
    "invalid leverage value",
    "cannot switch leverage type with open position",
    "cross margin is not allowed for this asset",
    "isolated position does not have sufficient margin available to decrease leverage",
    "cross position does not have sufficient margin available to decrease leverage",
    "position does not use isolated margin",
    "update to isolated margin cannot be zero",
    "cannot update margin for empty position",
    "account does not have sufficient margin available for increase",
    "position does not have sufficient margin for reduction",
    "cannot remove isolated margin for this asset",
    "asset not strict isolated",
    "cannot set scheduled cancel time until enough volume traded",
    "cannot create sub-accounts until enough volume traded",
    "too many sub-accounts",
    "insufficient balance for withdrawal",
    "insufficient balance for token transfer",
    "invalid sub-account transfer",
    "unknown token",
    "invalid number of decimals",
    "action disabled when unified account is active",
    "too many extra agents for cumulative volume traded",
    "extra agent already used",
    "user has pending agent removal",
    "agent valid_until already expired",
    "agent can only send asset to same user or their sub-accounts",
    "twap order value too small",
    "reduce-only twap order would increase position",
    "twap was never placed, already canceled, or filled",
];

/// The text without the prefixes that some builds put before it.
fn trimmed(text: &str) -> &str {
    ["L1 error: ", "(Spot-only) "].iter().fold(text.trim(), |text, prefix| text.strip_prefix(prefix).unwrap_or(text))
}

fn begins(text: &str, lower_case: &str) -> bool {
    text.get(..lower_case.len()).is_some_and(|start| start.eq_ignore_ascii_case(lower_case))
}

fn find(list: &[(&str, RejectKind)], text: &str) -> Option<RejectKind> {
    list.iter().find(|(prefix, _)| begins(text, prefix)).map(|(_, kind)| *kind)
}

/// What a refusal of an order means; `None`: nothing is proved, the order may live.
#[must_use]
pub fn order(text: &str) -> Option<RejectKind> {
    let text = trimmed(text);
    find(ORDER_REFUSALS, text).or_else(|| find(ACTION_REFUSALS, text))
}

/// What a refusal of any other action (leverage, margin, transfers, agents) means; `None`: nothing is proved.
#[must_use]
pub fn account(text: &str) -> Option<RejectKind> {
    let text = trimmed(text);
    find(ACTION_REFUSALS, text)
        .or_else(|| ACCOUNT_REFUSALS.iter().any(|prefix| begins(text, prefix)).then_some(RejectKind::Other))
}

/// How a cancel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelEnd {
    /// The order is cancelled.
    Done,
    /// The order is not open: never placed, cancelled before, or filled. Which, the venue does not say.
    Gone,
    /// The cancel was refused for a reason of its own; the order is as it was.
    Refused(RejectKind),
    /// Nothing is proved.
    Unknown,
}

/// How a cancel ended.
#[must_use]
pub fn cancel(status: &CancelStatus) -> CancelEnd {
    match status {
        CancelStatus::Success => CancelEnd::Done,
        CancelStatus::Error(text) => cancel_text(text),
        CancelStatus::Unrecognised(_) => CancelEnd::Unknown,
    }
}

fn cancel_text(text: &str) -> CancelEnd {
    let text = trimmed(text);
    if begins(text, "order was never placed, already canceled, or filled") {
        return CancelEnd::Gone;
    }
    let refused = find(ACTION_REFUSALS, text)
        .or_else(|| begins(text, "signed action over weight limit of").then_some(RejectKind::Malformed));
    refused.map_or(CancelEnd::Unknown, CancelEnd::Refused)
}

/// How each of `sent` cancels of one action ended.
#[must_use]
pub fn cancels(answer: &Answer, sent: usize) -> Vec<CancelEnd> {
    match answer {
        Answer::Ok(Response::Cancel(statuses)) if statuses.len() == sent => statuses.iter().map(cancel).collect(),
        Answer::Ok(Response::Cancel(statuses)) => match statuses.as_slice() {
            // one refusal for the whole batch says nothing about any single order
            [CancelStatus::Error(text)] => vec![refused_only(cancel_text(text)); sent],
            _ => vec![CancelEnd::Unknown; sent],
        },
        Answer::Err(text) => vec![refused_only(cancel_text(text)); sent],
        Answer::Ok(
            Response::Default
            | Response::Order(_)
            | Response::TwapOrder(_)
            | Response::TwapCancel(_)
            | Response::Created { .. }
            | Response::Unrecognised { .. },
        ) => vec![CancelEnd::Unknown; sent],
    }
}

fn refused_only(end: CancelEnd) -> CancelEnd {
    match end {
        CancelEnd::Refused(kind) => CancelEnd::Refused(kind),
        CancelEnd::Done | CancelEnd::Gone | CancelEnd::Unknown => CancelEnd::Unknown,
    }
}

/// Whether the text says that this nonce was used before: after a burn, that the burnt action had run.
#[must_use]
pub fn duplicate_nonce(text: &str) -> bool {
    begins(trimmed(text), "invalid nonce: duplicate nonce")
}

/// Longest refusal text that is kept.
const TEXT_CHARS_MAX: usize = 200;

fn rejected(text: &str) -> SendOutcome {
    match order(text) {
        Some(kind) => SendOutcome::Rejected(Reject { kind, text: text.chars().take(TEXT_CHARS_MAX).collect() }),
        None => SendOutcome::Unknown(Lost::Unreadable),
    }
}

/// What became of each order of one `order` action, in order. Never a rejection where the answer is ambiguous (FZ03): another
/// number of statuses, another order's client id, a shape or a text that the sheet does not know all mean unknown.
#[must_use]
pub fn outcomes(answer: &Answer, sent: &[OrderRequest]) -> Vec<SendOutcome> {
    let all = |outcome: SendOutcome| vec![outcome; sent.len()];
    match answer {
        Answer::Err(text) => all(rejected(text)),
        Answer::Ok(Response::Order(statuses)) if statuses.len() == sent.len() => {
            statuses.iter().zip(sent).map(|(status, order)| outcome(status, order)).collect()
        }
        // a failed check before the batch runs answers once for all of it
        Answer::Ok(Response::Order(statuses)) => match statuses.as_slice() {
            [OrderStatus::Error(text)] => all(rejected(text)),
            _ => all(SendOutcome::Unknown(Lost::Unreadable)),
        },
        Answer::Ok(
            Response::Default
            | Response::Cancel(_)
            | Response::TwapOrder(_)
            | Response::TwapCancel(_)
            | Response::Created { .. }
            | Response::Unrecognised { .. },
        ) => all(SendOutcome::Unknown(Lost::Unreadable)),
    }
}

fn outcome(status: &OrderStatus, sent: &OrderRequest) -> SendOutcome {
    let (oid, cloid, done) = match status {
        OrderStatus::Resting(resting) => (Some(resting.oid), resting.cloid, false),
        OrderStatus::Filled(filled) => {
            let takes_only = matches!(sent.kind, OrderKind::Limit { tif: Tif::Ioc | Tif::FrontendMarket });
            (Some(filled.oid), filled.cloid, takes_only || filled.total_sz.get() >= sent.sz.get())
        }
        OrderStatus::WaitingForFill | OrderStatus::WaitingForTrigger => (None, None, false),
        OrderStatus::Error(text) => return rejected(text),
        OrderStatus::Unrecognised(_) => return SendOutcome::Unknown(Lost::Unreadable),
    };
    if cloid.is_some() && cloid != sent.cloid {
        return SendOutcome::Unknown(Lost::Unreadable);
    }
    SendOutcome::Acked { order: oid.map(VenueOrderId::Number), done }
}

/// Sorts a status word (sheet 3.2) by its ending; a word of another ending proves nothing.
#[must_use]
pub fn state(word: &str) -> ReportedState {
    match word {
        "open" | "triggered" => ReportedState::Open,
        "filled" => ReportedState::Filled,
        "canceled" => ReportedState::Canceled,
        "rejected" => ReportedState::Rejected,
        _ if word.ends_with("Canceled") || word.ends_with("Cancel") => ReportedState::Canceled,
        _ if word.ends_with("Rejected") => ReportedState::Rejected,
        _ => ReportedState::Unrecognised,
    }
}

/// Why an order was refused, from its status word; `None` if the word is not a refusal.
#[must_use]
pub fn status_kind(word: &str) -> Option<RejectKind> {
    if state(word) != ReportedState::Rejected {
        return None;
    }
    Some(match word {
        "tickRejected" | "minTradeNtlRejected" | "minTradeSpotNtlRejected" | "badTriggerPxRejected" | "oracleRejected" => {
            RejectKind::Malformed
        }
        "perpMarginRejected" | "insufficientSpotBalanceRejected" | "perpMaxPositionRejected" => RejectKind::Margin,
        "reduceOnlyRejected" => RejectKind::ReduceOnly,
        "badAloPxRejected" => RejectKind::WouldTake,
        "iocCancelRejected" | "marketOrderNoLiquidityRejected" => RejectKind::NothingToTake,
        _ => RejectKind::Other,
    })
}

#[cfg(test)]
mod tests;
