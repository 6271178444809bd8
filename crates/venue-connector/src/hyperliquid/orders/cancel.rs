//! Cancels. They use connections, nonces and a share of the budgets that placements cannot touch, and they repeat until the venue
//! has answered or the deadline has passed.

use std::time::Duration;

use domain::{ClientKey, Fact, RejectKind, VenueOrderId};
use futures_util::future::join_all;
use tokio::time::Instant;
use tracing::warn;
use wire::hyperliquid::action::{self, Action, Answer, CancelByCloid, CancelByCloidRequest, CancelStatus, Response};
use wire::hyperliquid::classify::{self, CancelEnd};

use super::outcome::Failure;
use super::{action_weight, send_own};
use crate::hyperliquid::Shared;
use crate::hyperliquid::gauges::add;
use crate::port::CancelRequest;

/// Cancels per action: half of what the venue takes, and small enough that a refused batch is soon split.
pub(super) const BATCH_MAX: usize = 100;
/// Waits between attempts: short at first, for an order that should be gone is exposed until it is.
pub(super) const RETRY_FIRST: Duration = Duration::from_millis(100);
pub(super) const RETRY_MAX: Duration = Duration::from_secs(1);

/// One order on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub asset: u32,
    pub name: Name,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Oid(u64),
    Cloid(ClientKey),
}

/// What the venue said about one cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Canceled,
    /// Never placed, already cancelled, or filled: the venue does not say which.
    Gone,
    /// Refused in other words, or no answer in time.
    Open,
}

/// Cancels and answers for each exactly once.
pub(in crate::hyperliquid) async fn cancel(shared: &Shared, requests: Vec<CancelRequest>) {
    let mut by_oid = Vec::new();
    let mut by_cloid = Vec::new();
    let mut hopeless = Vec::new();
    for request in requests {
        match (shared.markets.get(request.instrument), &request.venue_order) {
            (None, _) => hopeless.push(request.key),
            (Some(market), Some(VenueOrderId::Number(oid))) => {
                by_oid.push((request.key, Target { asset: market.venue_asset, name: Name::Oid(*oid) }));
            }
            (Some(market), Some(VenueOrderId::Text(_)) | None) => {
                by_cloid.push((request.key, Target { asset: market.venue_asset, name: Name::Cloid(request.key) }));
            }
        }
    }
    for key in hopeless {
        warn!(%key, "a cancel names a market that is not one of this venue's perpetuals");
        answer(shared, key, false).await;
    }
    let deadline = Instant::now() + shared.config.timing.cancel_deadline;
    let batches = by_oid.chunks(BATCH_MAX).chain(by_cloid.chunks(BATCH_MAX));
    join_all(batches.map(|batch| async move {
        let targets: Vec<Target> = batch.iter().map(|(_, target)| *target).collect();
        let verdicts = send_until(shared, &targets, deadline).await.verdicts;
        for ((key, _), verdict) in batch.iter().zip(verdicts) {
            answer(shared, *key, verdict != Verdict::Open).await;
        }
    }))
    .await;
}

async fn answer(shared: &Shared, key: ClientKey, gone: bool) {
    if shared.facts.send(Fact::CancelAnswered { key, gone }).await.is_err() {
        warn!(%key, "the answer to a cancel has no receiver");
    }
}

/// What came of one batch.
pub(super) struct Sent {
    pub verdicts: Vec<Verdict>,
    pub last_failure: Option<String>,
}

/// Sends the cancels of one batch until each is answered or the deadline passes. A batch that is refused whole is split in
/// halves, so that one bad member does not keep the others open.
pub(super) async fn send_until(shared: &Shared, targets: &[Target], deadline: Instant) -> Sent {
    let mut verdicts = vec![Verdict::Open; targets.len()];
    let mut last_failure = None;
    // parts of `targets` still to be answered, from and to; halves of halves: never more than `targets.len()` of them
    let mut open = vec![(0, targets.len())];
    let mut wait = RETRY_FIRST;
    let mut duplicates = 0_u32;
    while let Some((from, to)) = open.pop() {
        if from == to {
            continue;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            add(&shared.counters.cancels_unanswered, to - from);
            continue;
        }
        let batch = &targets[from..to];
        let step = match attempt(shared, batch, left).await {
            Ok(Answer::Ok(Response::Cancel(statuses))) if statuses.len() == batch.len() => {
                for ((verdict, target), status) in verdicts[from..to].iter_mut().zip(batch).zip(&statuses) {
                    *verdict = judge(status);
                    if let (Name::Oid(oid), Verdict::Canceled | Verdict::Gone) = (target.name, *verdict) {
                        shared.known.over(oid);
                    }
                }
                if let Some(CancelStatus::Error(text)) = statuses.iter().find(|s| judge(s) == Verdict::Open) {
                    last_failure = Some(text.clone());
                }
                Step::Answered
            }
            Ok(Answer::Ok(Response::Cancel(statuses))) => match statuses.first() {
                Some(CancelStatus::Error(text)) => refused(text, &mut duplicates),
                _ => Step::Retry(format!("{} statuses for {} cancels", statuses.len(), batch.len())),
            },
            Ok(Answer::Ok(other)) => Step::Retry(format!("unexpected answer {other:?}")),
            Ok(Answer::Err(text)) => refused(&text, &mut duplicates),
            Err(Failure::NotSent(why)) => Step::GiveUp(why),
            Err(Failure::NoBudget(spent)) => Step::Retry(format!("not sent: {spent}")),
            Err(Failure::Lost { lost, detail }) => {
                if lost == domain::Lost::Throttled {
                    add(&shared.counters.throttled, 1);
                }
                Step::Retry(detail)
            }
        };
        match step {
            Step::Answered => wait = RETRY_FIRST,
            Step::Now(why) => {
                last_failure = Some(why);
                open.push((from, to));
            }
            Step::Split(why) if to - from > 1 => {
                last_failure = Some(why);
                let middle = from + (to - from) / 2;
                open.push((middle, to));
                open.push((from, middle));
            }
            Step::Split(why) | Step::GiveUp(why) => {
                warn!(why, "the venue refused a cancel");
                last_failure = Some(why);
            }
            Step::Retry(why) => {
                last_failure = Some(why);
                open.push((from, to));
                tokio::time::sleep(wait.min(left)).await;
                wait = (wait * 2).min(RETRY_MAX);
            }
        }
    }
    Sent { verdicts, last_failure }
}

enum Step {
    Answered,
    /// Again at once.
    Now(String),
    /// Again after a pause.
    Retry(String),
    /// The batch was refused whole; its members may fare better.
    Split(String),
    GiveUp(String),
}

fn refused(text: &str, duplicates: &mut u32) -> Step {
    if classify::duplicate_nonce(text) {
        // a fresh nonce helps at once; if it does not, another process is using this key
        *duplicates += 1;
        return if *duplicates == 1 { Step::Now(text.to_owned()) } else { Step::Retry(text.to_owned()) };
    }
    match classify::account(text) {
        Some(RejectKind::Throttled | RejectKind::Expired) => Step::Retry(text.to_owned()),
        Some(RejectKind::Auth) => Step::GiveUp(text.to_owned()),
        _ => Step::Split(text.to_owned()),
    }
}

fn judge(status: &CancelStatus) -> Verdict {
    match classify::cancel(status) {
        CancelEnd::Done => Verdict::Canceled,
        CancelEnd::Gone => Verdict::Gone,
        CancelEnd::Refused(_) | CancelEnd::Unknown => Verdict::Open,
    }
}

/// One action, signed afresh with a nonce of its own: a cancel is idempotent, and a lost one may have spent its nonce.
async fn attempt(shared: &Shared, batch: &[Target], left: Duration) -> Result<Answer, Failure> {
    let now = (shared.clock)();
    // booked, never refused here: our count may be wrong, the venue's refusal costs nothing, and an open order is worse
    shared.reads.weight.charge(now, action_weight(batch.len()));
    let nonce = shared.nonces.next(now.wall_ms).map_err(|e| Failure::NotSent(e.to_string()))?;
    shared.address.cancel(u64::try_from(batch.len()).unwrap_or(u64::MAX));
    add(&shared.counters.cancels_sent, batch.len());
    let action = action_for(batch);
    let lane = crate::hyperliquid::http::Lane::Cancel;
    send_own(shared, lane, &action, nonce, shared.config.timing.cancel_attempt.min(left)).await
}

/// All members of a batch are named alike.
fn action_for(batch: &[Target]) -> Action {
    let by_oid: Vec<action::CancelRequest> = batch
        .iter()
        .filter_map(|t| match t.name {
            Name::Oid(oid) => Some(action::CancelRequest { asset: t.asset, oid }),
            Name::Cloid(_) => None,
        })
        .collect();
    if by_oid.len() == batch.len() {
        return Action::Cancel(action::Cancel { cancels: by_oid, fast: false });
    }
    let by_cloid: Vec<CancelByCloidRequest> = batch
        .iter()
        .filter_map(|t| match t.name {
            Name::Cloid(cloid) => Some(CancelByCloidRequest { asset: t.asset, cloid }),
            Name::Oid(_) => None,
        })
        .collect();
    assert_eq!(by_cloid.len(), batch.len(), "invariant: a batch of cancels names its orders in one way");
    Action::CancelByCloid(CancelByCloid { cancels: by_cloid, fast: false })
}
