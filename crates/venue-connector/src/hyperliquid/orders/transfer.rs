//! Transfers that begin at the venue: between its balances, to and from sub-accounts, into isolated positions, and withdrawals.
//!
//! The signed bytes are a function of the intent, nonce included, and the venue executes a nonce at most once: to send a transfer
//! again is safe, and `duplicate nonce` says that it was decided before. How it was decided, the venue's ledger tells.

use domain::{EvmAddress, Fact, Route, TransferEvent, TransferIntent, TransferOutcome, Usd, Venue};
use margin_guard::{ReleasedTransfer, TransferStep};
use wire::hyperliquid::User;
use wire::hyperliquid::action::{SubAccountTransfer, UpdateIsolatedMargin, UsdClassTransfer, Withdraw3};
use wire::hyperliquid::info::{
    ClearinghouseState, InfoRequest, KnownDelta, LedgerDelta, LedgerUpdate, SpotClearinghouseState, UsdcRouting, UserRole,
};
use wire::hyperliquid::sign::{ChainId, Key};

use super::*;
use crate::hyperliquid::read::{How, ReadError};

/// The ledger is searched from so long before the nonce's time on, and believed so long after it: our clock and the venue's differ by
/// less, and a row is there within seconds.
const LEDGER_SLACK_MS: u64 = 60_000;

/// By whom an action is signed.
enum Signing {
    /// The connector's key, which may be an agent's.
    Own(Action),
    /// The account's own key: an agent cannot.
    Funds(Action),
    /// The account's own key, handed over for this transfer. Money leaves the venue: the connector's own key does not do, whosever it is.
    Handed(Action),
}

fn address(of: EvmAddress) -> Address {
    Address(of.0)
}

/// The action of `intent`; in words what forbids it.
fn action(shared: &Shared, intent: &TransferIntent) -> Result<Signing, String> {
    let config = &shared.config;
    if intent.venue != Venue::Hyperliquid || address(intent.account) != config.account {
        return Err(format!("{} at {} is not this connector's account", intent.account, intent.venue.name()));
    }
    let micros = intent.amount.micros().filter(|n| *n > 0).ok_or("the amount must be positive with at most 6 decimals")?;
    let chain = config.network;
    let class_transfer = |to_perp| {
        let amount = intent.amount.decimal().normalize();
        // a sub-account has no key: its master signs and names it
        let amount = if config.sub_account { format!("{amount} subaccount:{}", config.account) } else { amount.to_string() };
        Signing::Funds(Action::UsdClassTransfer(UsdClassTransfer {
            hyperliquid_chain: chain,
            signature_chain_id: ChainId::ARBITRUM_SEPOLIA,
            amount,
            to_perp,
            nonce: intent.nonce,
        }))
    };
    Ok(match &intent.route {
        Route::SpotToPerp => class_transfer(true),
        Route::PerpToSpot => class_transfer(false),
        Route::SubAccount { sub, deposit } => Signing::Own(Action::SubAccountTransfer(SubAccountTransfer {
            sub_account_user: address(*sub),
            is_deposit: *deposit,
            usd: micros,
        })),
        Route::IsolatedMargin { instrument } => {
            let market =
                shared.markets.get(*instrument).ok_or_else(|| format!("{instrument} is not a perpetual of this venue"))?;
            let ntli = i64::try_from(micros).map_err(|_| "the amount is too large".to_owned())?;
            Signing::Own(Action::UpdateIsolatedMargin(UpdateIsolatedMargin { asset: market.venue_asset, is_buy: true, ntli }))
        }
        Route::Withdrawal { destination } => Signing::Handed(Action::Withdraw3(Withdraw3 {
            hyperliquid_chain: chain,
            signature_chain_id: ChainId::ARBITRUM_SEPOLIA,
            destination: address(*destination).to_string(),
            amount: intent.amount.decimal().into(),
            time: intent.nonce,
        })),
        Route::Bridge(_) | Route::Cctp { .. } => return Err("this route begins in a wallet, not at the venue".to_owned()),
    })
}

/// Does one step of a transfer at the venue and tells what came of it.
pub(in crate::hyperliquid) async fn transfer(shared: &Shared, released: ReleasedTransfer, funds: Option<&Key>) {
    match released.into_step() {
        TransferStep::Start(intent) => send(shared, &intent, false, funds).await,
        TransferStep::Resume(transfer) => send(shared, &transfer.intent, true, funds).await,
        TransferStep::Send { id, .. } => error!(%id, "signed bytes of a chain came to the venue's connector; nothing was done"),
    }
}

/// `again`: an earlier tenure may have sent it.
pub(super) async fn send(shared: &Shared, intent: &TransferIntent, again: bool, funds: Option<&Key>) {
    let event = match prepare(shared, intent, funds) {
        // what was never sent is over; what may have been sent is not, and the ledger may show it
        Err(why) if again => match landed(shared, intent).await {
            Ok(true) => TransferEvent::Accepted,
            Ok(false) => TransferEvent::Overdue { why },
            Err(e) => TransferEvent::Overdue { why: format!("{why}; the venue's ledger could not be read: {e}") },
        },
        Err(why) => TransferEvent::Ended(TransferOutcome::Refused { why }),
        Ok(body) => {
            tell(shared, intent, TransferEvent::Sent { hash: None }).await;
            let answer = shared.reads.http.exchange(Lane::Order, body, shared.config.timing.place).await;
            read(shared, intent, again, outcome::read_reply(answer)).await
        }
    };
    tell(shared, intent, event).await;
}

/// Signs it and books its budgets.
fn prepare(shared: &Shared, intent: &TransferIntent, funds: Option<&Key>) -> Result<Vec<u8>, String> {
    let signing = action(shared, intent)?;
    if let Some(why) = shared.gate.shut_to_money() {
        return Err(why);
    }
    let now = (shared.clock)();
    let body = match signing {
        Signing::Own(action) => {
            // a lost one cannot land later than this
            let expires = intent.nonce + u64::try_from(shared.config.timing.expiry.as_millis()).unwrap_or(0);
            let of_account = shared.config.sub_account && !matches!(action, Action::SubAccountTransfer(_));
            let vault = of_account.then_some(shared.config.account);
            let mut scratch = Scratch::default();
            let network = shared.config.network;
            let sign = |key: &Key| {
                order_body(key, &action, intent.nonce, vault, Some(expires), network, &mut scratch).map(<[u8]>::to_vec)
            };
            shared.key.with(sign).map_err(|e| e.to_string())?.map_err(|e| e.to_string())?
        }
        Signing::Funds(action) => {
            if let Some(key) = funds {
                user_signed(shared, intent, action, key)?
            } else if shared.signer == shared.config.account {
                shared.key.with(|key| user_signed(shared, intent, action, key)).map_err(|e| e.to_string())??
            } else {
                return Err("it needs the account's own key; an agent cannot sign it".to_owned());
            }
        }
        Signing::Handed(action) => {
            let key = funds.ok_or("it needs the operator's own signer, and none is at hand")?;
            user_signed(shared, intent, action, key)?
        }
    };
    shared.reads.weight.take(now, action_weight(1), Purpose::Place).map_err(|e| e.to_string())?;
    // money that saves the account may trickle like a reduction
    shared.address.place(now, 1, true).map_err(|e| e.to_string())?;
    Ok(body)
}

/// An action that the account's own key signs.
fn user_signed(shared: &Shared, intent: &TransferIntent, action: Action, key: &Key) -> Result<Vec<u8>, String> {
    if !shared.config.sub_account && key.address() != shared.config.account {
        return Err(format!("the key given is of {}, not of the account", key.address()));
    }
    let signed = wire::hyperliquid::sign::sign(key, action, intent.nonce, None, None, shared.config.network);
    let signed = signed.map_err(|e| e.to_string())?;
    serde_json::to_vec(&signed).map_err(|e| e.to_string())
}

/// What an answer says about a transfer. Only a text on the allow-list ends it (C23).
async fn read(shared: &Shared, intent: &TransferIntent, again: bool, reply: Result<Answer, Failure>) -> TransferEvent {
    let unknown = |why: String| TransferEvent::Overdue { why };
    let rejected = |why: String| TransferEvent::Ended(TransferOutcome::Rejected { why: why.chars().take(200).collect() });
    match reply {
        Ok(Answer::Ok(Response::Default)) => TransferEvent::Accepted,
        Ok(Answer::Err(text)) => {
            let known = classify::account(&text);
            let is_used = classify::duplicate_nonce(&text);
            match known {
                // Margin of positions leaves no row to look for. Its nonce was pinned in the journal before anything was signed and
                // nothing else was signed with it, so this is our own first copy; it stays in the budget, and what the position has
                // is read from the account in any case. Left open, it would hold up every later transfer.
                _ if again && is_used && matches!(intent.route, Route::IsolatedMargin { .. }) => TransferEvent::Accepted,
                // an earlier copy was decided, or can no longer be: what it did, the ledger shows
                _ if again && (is_used || known == Some(RejectKind::Expired)) => match landed(shared, intent).await {
                    Ok(true) => TransferEvent::Accepted,
                    // there are no rows to miss: it stays in the budget, and what the position has is read in any case
                    Ok(false) if row_is_due(shared, intent) && matches!(intent.route, Route::IsolatedMargin { .. }) => {
                        TransferEvent::Accepted
                    }
                    // no copy can land any more, and a row would be there by now: nothing moved. Left open, it would hold up every
                    // later transfer
                    Ok(false) if row_is_due(shared, intent) => {
                        rejected(format!("{text}; a minute later the venue's ledger does not show it"))
                    }
                    Ok(false) => unknown(format!("the venue says {text:?} and its ledger does not show the transfer")),
                    Err(e) => unknown(format!("the venue says {text:?} and its ledger could not be read: {e}")),
                },
                // what an earlier copy moved may be the reason for which this one is refused
                Some(_) if again => match landed(shared, intent).await {
                    Ok(true) => TransferEvent::Accepted,
                    Ok(false) => rejected(text),
                    Err(e) => unknown(format!("the venue says {text:?} and its ledger could not be read: {e}")),
                },
                Some(_) => rejected(text),
                None => unknown(format!("the venue's answer proves nothing: {}", text.chars().take(200).collect::<String>())),
            }
        }
        Ok(Answer::Ok(other)) => unknown(format!("unexpected answer {other:?}").chars().take(200).collect()),
        Err(failure) => unknown(format!("no usable answer: {failure}")),
    }
}

/// Whether the ledger would show by now what a copy of the transfer did.
fn row_is_due(shared: &Shared, intent: &TransferIntent) -> bool {
    (shared.clock)().wall_ms > intent.nonce.saturating_add(LEDGER_SLACK_MS)
}

async fn tell(shared: &Shared, intent: &TransferIntent, event: TransferEvent) {
    debug!(id = %intent.id, ?event, "transfer at the venue");
    if shared.facts.send(Fact::Transfer { id: intent.id, event: Box::new(event) }).await.is_err() {
        warn!(id = %intent.id, "what happened to a transfer has no receiver");
    }
}

fn how(shared: &Shared) -> How {
    let timeout = shared.config.timing.read;
    How { purpose: Purpose::Recover, lane: Lane::Read, timeout, patience: timeout }
}

/// Rows of the account's ledger from `since_ms` on, oldest first.
async fn ledger(shared: &Shared, since_ms: u64) -> Result<Vec<LedgerUpdate>, ReadError> {
    let user = User::from(shared.config.account);
    let request = InfoRequest::UserNonFundingLedgerUpdates { user, start_time: Some(since_ms), end_time: None };
    let rows: Vec<LedgerUpdate> = shared.reads.read(&request, how(shared)).await?;
    shared.reads.weight.charge((shared.clock)(), request.weight_of_items(rows.len()));
    Ok(rows)
}

/// Whether the ledger shows the transfer. A withdrawal's row carries its nonce; the others are known by amount, direction and
/// time, which is enough as long as one transfer at a time is open. Margin of positions is not in the ledger.
async fn landed(shared: &Shared, intent: &TransferIntent) -> Result<bool, ReadError> {
    let rows = ledger(shared, intent.nonce.saturating_sub(LEDGER_SLACK_MS)).await?;
    let amount = intent.amount.decimal();
    Ok(rows.iter().any(|row| {
        let LedgerDelta::Known(delta) = &row.delta else { return false };
        match (&**delta, &intent.route) {
            (KnownDelta::AccountClassTransfer { usdc, to_perp }, Route::SpotToPerp) => *to_perp && usdc.get() == amount,
            (KnownDelta::AccountClassTransfer { usdc, to_perp }, Route::PerpToSpot) => !*to_perp && usdc.get() == amount,
            (KnownDelta::SubAccountTransfer { usdc, destination, .. }, Route::SubAccount { sub, deposit }) => {
                usdc.get() == amount && (destination.address() == Some(address(*sub))) == *deposit
            }
            (KnownDelta::Withdraw { nonce, .. }, Route::Withdrawal { .. }) => *nonce == intent.nonce,
            _ => false,
        }
    }))
}

/// A deposit that the venue credited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// How much.
    pub amount: Usd,
    /// Venue time, UTC milliseconds.
    pub venue_ms: u64,
}

/// Deposits credited to the account from `since_ms` on, oldest first.
pub(in crate::hyperliquid) async fn deposits(shared: &Shared, since_ms: u64) -> Result<Vec<Deposit>, ReadError> {
    let deposit = |row: &LedgerUpdate| {
        let LedgerDelta::Known(delta) = &row.delta else { return None };
        let KnownDelta::Deposit { usdc } = **delta else { return None };
        let bad = |e| ReadError::malformed("userNonFundingLedgerUpdates", e);
        Some(Usd::new(usdc.get()).map(|amount| Deposit { amount, venue_ms: row.time }).map_err(bad))
    };
    ledger(shared, since_ms).await?.iter().filter_map(deposit).collect()
}

/// Spot USDC that no order holds.
pub(in crate::hyperliquid) async fn spot_usdc(shared: &Shared) -> Result<Usd, ReadError> {
    let request = InfoRequest::SpotClearinghouseState { user: User::from(shared.config.account) };
    let state: SpotClearinghouseState = shared.reads.read(&request, how(shared)).await?;
    let free = state.balances.iter().find(|b| b.coin == "USDC").map(|b| b.total.get() - b.hold.get()).unwrap_or_default();
    Usd::new(free.max(rust_decimal::Decimal::ZERO)).map_err(|e| ReadError::malformed("spotClearinghouseState", e))
}

/// What the perpetuals balance of `account` could give away at once, in the venue's words.
pub(in crate::hyperliquid) async fn withdrawable(shared: &Shared, account: EvmAddress) -> Result<Usd, ReadError> {
    let request = InfoRequest::ClearinghouseState { user: User::from(address(account)), dex: None };
    let state: ClearinghouseState = shared.reads.read(&request, how(shared)).await?;
    Usd::new(state.withdrawable.get()).map_err(|e| ReadError::malformed("clearinghouseState", e))
}

/// Whose sub-account the account is; nothing if it is none.
pub(in crate::hyperliquid) async fn master(shared: &Shared) -> Result<Option<EvmAddress>, ReadError> {
    let role: UserRole =
        shared.reads.read(&InfoRequest::UserRole { user: User::from(shared.config.account) }, how(shared)).await?;
    Ok(role.data.and_then(|data| data.master).as_ref().and_then(User::address).map(|address| EvmAddress(address.0)))
}

/// By which road USDC comes in and goes out, in the venue's words.
pub(in crate::hyperliquid) async fn usdc_routing(shared: &Shared) -> Result<UsdcRouting, ReadError> {
    shared.reads.read(&InfoRequest::UsdcRouting, how(shared)).await
}

#[cfg(test)]
mod tests;
