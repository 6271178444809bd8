//! What leaves the process: orders, cancels, burns, leverage. And what an answer to them means.

mod cancel;
mod deadman;
mod known;
mod outcome;
mod post;
mod sweep;
mod transfer;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::{Expiry, Fact, InstrumentId, Intent, Reject, RejectKind, SendOutcome, VenueOrderId};
use futures_util::future::join_all;
use margin_guard::Released;
use tracing::{debug, error, warn};
use wire::hyperliquid::action::{
    Action, Answer, BatchModify, Grouping, Order, OrderRef, OrderRequest, Replacement, Response, UpdateLeverage,
};
use wire::hyperliquid::sign::{Scratch, order_body};
use wire::hyperliquid::{Address, classify, rules};

use super::Shared;
use super::config::OrderRoute;
use super::gate::Bound;
use super::gauges::add;
use super::http::Lane;
use super::limits::Purpose;
use super::market::Universe;
use super::nonce::NonceAhead;
use crate::port::Next;
use outcome::{Failure, outcomes};
pub use transfer::Deposit;
pub(super) use transfer::{deposits, master, spot_usdc, transfer, usdc_routing, withdrawable};

pub(super) use cancel::cancel;
pub(super) use deadman::schedule_cancel;
pub use deadman::{DEAD_MAN_LEAD_MIN, DeadManError};
pub(super) use known::Known;
pub(super) use post::{PostReader, Posts, posts};
pub(super) use sweep::{OpenRow, open, sweep};

/// The venue refuses an action with more weighted items (fact sheet §2.2).
const ORDERS_MAX: usize = 200;
/// Burns without an answer that are remembered. Each is a nonce in doubt; more than a few at once is an outage.
const BURNS_LOST_MAX: usize = 1_024;

/// Sends released orders: one action for all that share a nonce, all actions at once.
pub(super) async fn place(shared: &Shared, orders: Vec<Released>) {
    place_intents(shared, orders.into_iter().map(Released::into_intent)).await;
}

async fn place_intents(shared: &Shared, orders: impl IntoIterator<Item = Intent>) {
    let mut actions: Vec<Vec<Intent>> = Vec::new();
    for intent in orders {
        match actions.iter_mut().find(|a| a.first().is_some_and(|first| first.nonce == intent.nonce)) {
            Some(action) => action.push(intent),
            None => actions.push(vec![intent]),
        }
    }
    join_all(actions.into_iter().map(|intents| place_action(shared, intents))).await;
}

async fn place_action(shared: &Shared, intents: Vec<Intent>) {
    let (intents, requests, unfit) = encode(shared, intents);
    if !intents.is_empty() {
        let outcomes = match admit(shared, &intents) {
            Err(reject) => vec![SendOutcome::Rejected(reject); intents.len()],
            Ok(expires) => {
                let action = Action::Order(Order { orders: requests, grouping: Grouping::Na, builder: None });
                send_order(shared, &intents, &action, expires).await
            }
        };
        report(shared, intents.into_iter().zip(outcomes)).await;
    }
    report(shared, unfit).await;
}

/// Replaces a working order.
pub(super) async fn modify(shared: &Shared, order: VenueOrderId, to: Released) {
    replace(shared, order, to.into_intent()).await;
}

async fn replace(shared: &Shared, order: VenueOrderId, to: Intent) {
    let (intents, requests, unfit) = encode(shared, vec![to]);
    report(shared, unfit).await;
    let Some(request) = requests.into_iter().next() else { return };
    let outcomes = match (admit(shared, &intents), order) {
        (Err(reject), _) => vec![SendOutcome::Rejected(reject)],
        (Ok(_), VenueOrderId::Text(text)) => {
            vec![not_sent(RejectKind::Malformed, format!("{text} is not an order number of this venue"))]
        }
        (Ok(expires), VenueOrderId::Number(oid)) => {
            // the batch form answers with the new order's number; the single one does not
            let replacement = Replacement { oid: OrderRef::Oid(oid), order: request };
            let action = Action::BatchModify(BatchModify { modifies: vec![replacement], always_place: false });
            send_order(shared, &intents, &action, expires).await
        }
    };
    report(shared, intents.into_iter().zip(outcomes)).await;
}

/// What cannot be written in the venue's form, answered for.
type Unfit = Vec<(Intent, SendOutcome)>;

fn encode(shared: &Shared, intents: Vec<Intent>) -> (Vec<Intent>, Vec<OrderRequest>, Unfit) {
    let mut good = Vec::with_capacity(intents.len());
    let mut requests = Vec::with_capacity(intents.len());
    let mut unfit = Vec::new();
    for intent in intents {
        match order_request(&shared.markets, &intent) {
            Ok(request) => {
                requests.push(request);
                good.push(intent);
            }
            Err(why) => {
                error!(key = %intent.key, why, "an order cannot be written in the venue's form; it was not sent");
                unfit.push((intent, not_sent(RejectKind::Malformed, why)));
            }
        }
    }
    (good, requests, unfit)
}

/// The wire form of an order: a pure function of the intent and the market's pinned rules.
fn order_request(markets: &Universe, intent: &Intent) -> Result<OrderRequest, String> {
    let child = &intent.child;
    let market = markets.tradable(child.instrument)?;
    if !market.allows_px(child.px) {
        return Err(format!("price of {} ticks of {} is not one the venue takes", child.px.0, market.tick));
    }
    if child.qty.0 <= 0 {
        return Err(format!("quantity of {} lots is not above zero", child.qty.0));
    }
    rules::order_request(intent, market).map_err(|e| e.to_string())
}

/// Checks that need no venue and books the budgets; the expiry of the action, the earliest of its orders'.
fn admit(shared: &Shared, intents: &[Intent]) -> Result<u64, Reject> {
    let now = (shared.clock)();
    let refuse = |kind, text: String| Reject { kind, text: format!("not sent: {text}") };
    if intents.len() > ORDERS_MAX {
        return Err(refuse(RejectKind::Malformed, format!("{} orders in one action; the venue takes 200", intents.len())));
    }
    let mut expires = u64::MAX;
    for intent in intents {
        match intent.expiry {
            Expiry::AtMs(ms) => expires = expires.min(ms),
            Expiry::AtBlock(_) => {
                return Err(refuse(RejectKind::Malformed, "expiry by block; this venue expires by time".into()));
            }
        }
    }
    if expires <= now.wall_ms {
        return Err(refuse(RejectKind::Expired, format!("expired {} ms ago", now.wall_ms - expires)));
    }
    let spent = |spent: super::Spent| refuse(RejectKind::Throttled, spent.to_string());
    shared.reads.weight.take(now, action_weight(intents.len()), Purpose::Place).map_err(spent)?;
    let reduces = intents.iter().all(|i| i.child.reduce_only);
    shared.address.place(now, u64::try_from(intents.len()).unwrap_or(u64::MAX), reduces).map_err(spent)?;
    Ok(expires)
}

/// Request weight of an action with `n` items (fact sheet §7), before there is one.
fn action_weight(n: usize) -> u32 {
    1 + u32::try_from(n / 40).unwrap_or(u32::MAX - 1)
}

fn not_sent(kind: RejectKind, text: String) -> SendOutcome {
    SendOutcome::Rejected(Reject { kind, text: format!("not sent: {text}") })
}

/// What the gate looks at: each of `intents` as `action` writes it.
fn bound(intents: &[Intent], action: &Action) -> Vec<Bound> {
    let requests: Vec<&OrderRequest> = if let Action::Order(order) = action {
        order.orders.iter().collect()
    } else if let Action::BatchModify(batch) = action {
        batch.modifies.iter().map(|to| &to.order).collect()
    } else {
        // nothing else that is sent carries an order
        Vec::new()
    };
    intents.iter().zip(requests).map(|(intent, request)| Bound::of(intent, request)).collect()
}

/// Signs and sends the one action that carries `intents`, by the configured route.
async fn send_order(shared: &Shared, intents: &[Intent], action: &Action, expires: u64) -> Vec<SendOutcome> {
    let Some(nonce) = intents.first().map(|i| i.nonce) else { return Vec::new() };
    let bound = bound(intents, action);
    let shut = || shared.gate.shut(&bound).map(|why| vec![not_sent(RejectKind::NotSent, why); intents.len()]);
    if let Some(outcomes) = shut() {
        return outcomes;
    }
    let mut scratch = Scratch::default();
    let body = match sign(shared, action, nonce, Some(expires), &mut scratch) {
        Ok(body) => body,
        Err(failure) => return outcomes(intents, Err(failure)),
    };
    // the last look before it is handed to a connection (I20)
    if let Some(outcomes) = shut() {
        return outcomes;
    }
    shared.landing.under_way(nonce, expires);
    add(&shared.counters.orders_sent, action.items());
    let deadline = shared.config.timing.place;
    let posted = match shared.config.order_route {
        OrderRoute::Ws => shared.posts.send(body, &bound, deadline).await,
        OrderRoute::Http => None,
    };
    let reply = match posted {
        Some(reply) => reply,
        // the socket may have been tried for a while
        None => match shared.gate.shut(&bound) {
            Some(why) => Err(Failure::NotSent(format!("{why}, before it could be written"))),
            None => outcome::read_reply(shared.reads.http.exchange(Lane::Order, body.to_vec(), deadline).await),
        },
    };
    let outcomes = outcomes(intents, reply);
    if !outcomes.iter().any(|o| matches!(o, SendOutcome::Unknown(_))) {
        shared.landing.settled(nonce);
    }
    outcomes
}

/// Actions that may still put orders into the book: under way, or without a usable answer and not expired. While there are any,
/// an empty book proves nothing.
#[derive(Debug, Default)]
pub(super) struct Landing {
    /// Nonce and expiry.
    open: Mutex<BTreeMap<u64, u64>>,
}

/// Block time may trail the clock that the offset was read from.
const LANDING_SLACK_MS: u64 = 1_000;

impl Landing {
    fn under_way(&self, nonce: u64, expires: u64) {
        self.lock().insert(nonce, expires);
    }

    fn settled(&self, nonce: u64) {
        self.lock().remove(&nonce);
    }

    /// How many there are at this venue time.
    fn at(&self, venue_ms: u64) -> usize {
        let mut open = self.lock();
        open.retain(|_, expires| expires.saturating_add(LANDING_SLACK_MS) >= venue_ms);
        open.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, u64>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// The venue's time by our clock and the last reading of its offset, UTC milliseconds.
    fn venue_now_ms(&self) -> u64 {
        let offset = self.counters.clock_offset_ms.load(Ordering::Relaxed);
        (self.clock)().wall_ms.saturating_add_signed(offset)
    }
}

/// Signs what the connector does of its own accord and sends it.
async fn send_own(shared: &Shared, lane: Lane, action: &Action, nonce: u64, deadline: Duration) -> Result<Answer, Failure> {
    let expires = (shared.clock)().wall_ms + u64::try_from(shared.config.timing.expiry.as_millis()).unwrap_or(0);
    let mut scratch = Scratch::default();
    let body = sign(shared, action, nonce, Some(expires), &mut scratch)?.to_vec();
    outcome::read_reply(shared.reads.http.exchange(lane, body, deadline).await)
}

fn sign<'s>(
    shared: &Shared,
    action: &Action,
    nonce: u64,
    expires: Option<u64>,
    scratch: &'s mut Scratch,
) -> Result<&'s [u8], Failure> {
    let vault: Option<Address> = shared.config.sub_account.then_some(shared.config.account);
    let signed = shared.key.with(|key| order_body(key, action, nonce, vault, expires, shared.config.network, scratch));
    signed.map_err(|e| Failure::NotSent(e.to_string()))?.map_err(|e| Failure::NotSent(e.to_string()))
}

/// Tells the desk, exactly once for each order.
async fn report(shared: &Shared, outcomes: impl IntoIterator<Item = (Intent, SendOutcome)>) {
    for (intent, outcome) in outcomes {
        match &outcome {
            SendOutcome::Acked { order, done } => {
                if let Some(VenueOrderId::Number(oid)) = order {
                    shared.mentions.acked(*oid);
                    if let Some(market) = shared.markets.get(intent.child.instrument).filter(|_| !done) {
                        shared.known.open(*oid, market.venue_asset);
                    }
                }
                debug!(key = %intent.key, "order acknowledged");
            }
            SendOutcome::Rejected(reject) => {
                add(&shared.counters.orders_rejected, 1);
                if reject.kind == RejectKind::Throttled && !reject.text.starts_with("not sent") {
                    shared.address.exhausted();
                }
                shared.mode.refused(intent.child.instrument, reject, (shared.clock)());
                debug!(key = %intent.key, kind = ?reject.kind, text = reject.text, "order rejected");
            }
            SendOutcome::Unknown(lost) => {
                add(&shared.counters.orders_unknown, 1);
                if *lost == domain::Lost::Throttled {
                    add(&shared.counters.throttled, 1);
                }
                warn!(key = %intent.key, ?lost, "no usable answer to an order; whether the venue has it is not known");
            }
        }
        // the receiver is gone only when the daemon is going down; the journal's intent is resolved at the next boot
        if shared.facts.send(Fact::Sent { key: intent.key, outcome }).await.is_err() {
            warn!(key = %intent.key, "the outcome of an order has no receiver");
        }
    }
}

/// Why a nonce could not be burnt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BurnError {
    /// The request budget is spent.
    #[error("not sent: {0}")]
    Throttled(#[from] super::Spent),
    /// It could not be signed.
    #[error("not sent: {0}")]
    NotSent(String),
    /// No usable answer: it may be burnt or not.
    #[error("no usable answer to the burn of nonce {nonce}: {why}")]
    NoAnswer {
        /// Which.
        nonce: u64,
        /// How the answer was lost.
        why: String,
    },
    /// The venue says that it was used, but an earlier burn of it got no answer, so this does not say by whom.
    #[error("nonce {nonce} was used, by an earlier burn without an answer or by the original")]
    Ambiguous {
        /// Which.
        nonce: u64,
    },
    /// The venue refused in other words.
    #[error("the venue refused the burn of nonce {nonce}: {text}")]
    Refused {
        /// Which.
        nonce: u64,
        /// The venue's words.
        text: String,
    },
}

impl BurnError {
    /// Expiry resolves what a burn cannot: ask the venue after it.
    #[must_use]
    pub fn next(&self) -> Next {
        match self {
            BurnError::Throttled(spent) => Next::RetryAfter(spent.wait),
            BurnError::NotSent(_) => Next::GiveUp,
            BurnError::NoAnswer { .. } | BurnError::Ambiguous { .. } | BurnError::Refused { .. } => Next::AskVenue,
        }
    }
}

/// Posts a `noop` with exactly `nonce`.
pub(super) async fn burn(shared: &Shared, nonce: u64) -> Result<bool, BurnError> {
    shared.reads.weight.take((shared.clock)(), 1, Purpose::Cancel)?;
    shared.address.cancel(1);
    // its own lane of connections: a burn is wanted most when placements hang
    match send_own(shared, Lane::Cancel, &Action::Noop, nonce, shared.config.timing.cancel_attempt).await {
        Ok(Answer::Ok(Response::Default)) => {
            shared.burns_lost().remove(&nonce);
            shared.landing.settled(nonce);
            Ok(true)
        }
        Ok(Answer::Err(text)) if classify::duplicate_nonce(&text) => {
            if shared.burns_lost().contains(&nonce) {
                Err(BurnError::Ambiguous { nonce })
            } else {
                Ok(false)
            }
        }
        Ok(Answer::Err(text)) => Err(BurnError::Refused { nonce, text }),
        Ok(Answer::Ok(other)) => {
            shared.burn_lost(nonce);
            Err(BurnError::NoAnswer { nonce, why: format!("unexpected answer {other:?}") })
        }
        Err(Failure::NotSent(why)) => Err(BurnError::NotSent(why)),
        Err(failure) => {
            shared.burn_lost(nonce);
            Err(BurnError::NoAnswer { nonce, why: failure.to_string() })
        }
    }
}

impl Shared {
    fn burns_lost(&self) -> std::sync::MutexGuard<'_, std::collections::BTreeSet<u64>> {
        self.burns_lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn burn_lost(&self, nonce: u64) {
        let mut lost = self.burns_lost();
        lost.insert(nonce);
        if lost.len() > BURNS_LOST_MAX {
            // the oldest expired long ago
            lost.pop_first();
        }
    }
}

/// Why leverage was not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeverageError {
    /// The market is not one of the venue's perpetuals.
    #[error("{0} is not a perpetual of this venue")]
    NoMarket(InstrumentId),
    /// The request budget is spent.
    #[error("not sent: {0}")]
    Throttled(#[from] super::Spent),
    /// The clock was set back too far to sign anything.
    #[error("not sent")]
    Nonce(#[from] NonceAhead),
    /// No usable answer.
    #[error("no usable answer: {0}")]
    NoAnswer(String),
    /// The venue refused.
    #[error("the venue refused: {0}")]
    Refused(String),
}

impl LeverageError {
    /// Setting leverage again is harmless.
    #[must_use]
    pub fn next(&self) -> Next {
        match self {
            LeverageError::NoMarket(_) | LeverageError::Nonce(_) | LeverageError::Refused(_) => Next::GiveUp,
            LeverageError::Throttled(spent) => Next::RetryAfter(spent.wait),
            LeverageError::NoAnswer(_) => Next::RetryAfter(Duration::from_secs(1)),
        }
    }
}

/// Sets leverage and margin mode.
pub(super) async fn set_leverage(shared: &Shared, id: InstrumentId, leverage: u32, cross: bool) -> Result<(), LeverageError> {
    let market = shared.markets.get(id).ok_or(LeverageError::NoMarket(id))?;
    let now = (shared.clock)();
    shared.reads.weight.take(now, 1, Purpose::Place)?;
    shared.address.cancel(1);
    let action = Action::UpdateLeverage(UpdateLeverage { asset: market.venue_asset, is_cross: cross, leverage });
    let nonce = shared.nonces.next(now.wall_ms)?;
    match send_own(shared, Lane::Order, &action, nonce, shared.config.timing.place).await {
        Ok(Answer::Ok(Response::Default)) => Ok(()),
        Ok(Answer::Ok(other)) => Err(LeverageError::NoAnswer(format!("unexpected answer {other:?}"))),
        Ok(Answer::Err(text)) => Err(LeverageError::Refused(text)),
        Err(failure) => Err(LeverageError::NoAnswer(failure.to_string())),
    }
}

/// Proves at start that key, network and nonce are accepted, by an action without effect.
pub(super) async fn prove(shared: &Shared) -> Result<(), ProofError> {
    let now = (shared.clock)();
    let nonce = shared.nonces.next(now.wall_ms).map_err(|e| ProofError::NoAnswer(e.to_string()))?;
    shared.reads.weight.charge(now, 1);
    shared.address.cancel(1);
    match send_own(shared, Lane::Order, &Action::Noop, nonce, shared.config.timing.place).await {
        Ok(Answer::Ok(Response::Default)) => Ok(()),
        Ok(Answer::Err(text)) => Err(ProofError::Refused(text)),
        Ok(Answer::Ok(other)) => Err(ProofError::NoAnswer(format!("unexpected answer {other:?}"))),
        Err(Failure::Lost { lost: domain::Lost::Throttled, .. }) => {
            add(&shared.counters.throttled, 1);
            Err(ProofError::Throttled)
        }
        Err(failure) => Err(ProofError::NoAnswer(failure.to_string())),
    }
}

/// Why the proof failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ProofError {
    Refused(String),
    Throttled,
    NoAnswer(String),
}

#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "a test names what it expects and fails on the rest")]
mod tests;
