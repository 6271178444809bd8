//! The log, in words for whoever was asleep.

use desk::Books;
use domain::{
    DrillEvent, Entry, InstrumentId, LevelChange, MarginLevel, Qty, Stamped, TransferEvent, TransferId, TreasuryAction,
    TreasuryDecision,
};
use rust_decimal::Decimal;
use tracing::{error, info, warn};

use crate::show;

fn in_base_units(books: &Books, instrument: InstrumentId, qty: Qty) -> Decimal {
    books.instruments.get(&instrument).map(|rules| rules.qty_decimal(qty).normalize()).unwrap_or_default()
}

/// Logs what a person would want to read of an entry.
pub fn note(stamped: &Stamped, books: &Books) {
    match &stamped.entry {
        Entry::Epoch { epoch, .. } => info!(epoch = epoch.0, "a new tenure begins"),
        Entry::Parent { spec, .. } => {
            let quantity = in_base_units(books, spec.instrument, spec.qty);
            info!(parent = %spec.id, instrument = %spec.instrument, side = ?spec.side, %quantity, "parent admitted: {}", spec.note);
        }
        Entry::Changed { parent, change, .. } => info!(%parent, ?change, "parent changed"),
        Entry::Ended { parent, outcome, .. } => info!(%parent, ?outcome, "parent ended"),
        Entry::Intent { intent, .. } => {
            let c = &intent.child;
            tracing::debug!(key = %intent.key, side = ?c.side, lots = c.qty.0, ticks = c.px.0, tif = ?c.tif, "order cleared");
        }
        Entry::Refused { child, why, count } => info!(parent = %child.parent, count, "order refused: {why}"),
        Entry::Unknown { key, cause } => warn!(%key, ?cause, "the answer to an order was lost; its margin stays reserved"),
        Entry::Fill(fill) => {
            info!(order = %fill.id.order, side = ?fill.side, lots = fill.qty.0, ticks = fill.px.0, role = ?fill.role, "filled")
        }
        Entry::Done { key, outcome, reject: Some(reject) } => info!(%key, ?outcome, "order over: {}", reject.text),
        Entry::Done { key, outcome, reject: None } => tracing::debug!(%key, ?outcome, "order over"),
        Entry::Reconciled { epoch, repairs, .. } => {
            info!(epoch = epoch.0, repairs, "the books agree with the venue; trading may start")
        }
        Entry::Rearm { reason, scope, .. } => info!("re-armed ({}): {reason}", scope.unwrap_or_default()),
        Entry::Approved(approved) => {
            info!(by = approved.approval.by.name, "approved: {}: {}", approved.act, approved.reason);
        }
        Entry::Unfrozen { instrument, reason, .. } => info!(%instrument, "market unfrozen: {reason}"),
        Entry::Opening { instrument, position, .. } => {
            info!(%instrument, lots = position.0, "the books start from the venue's position")
        }
        Entry::Funding(payment) => info!(instrument = %payment.instrument, amount = %payment.amount, "funding"),
        Entry::Level(change) => level(change),
        Entry::Measured(measure) => {
            let figures = show::explain::measured(measure, stamped.at);
            info!(instrument = %measure.instrument, "{}", figures.iter().map(|row| row.join(" ")).collect::<Vec<_>>().join("; "));
        }
        Entry::Drill { id, event } => match event {
            DrillEvent::Begun { path, cause, .. } => info!(drill = %id, %path, ?cause, "a way out is tried"),
            DrillEvent::Hop { hop, transfer, route, amount, .. } => {
                info!(drill = %id, %transfer, %amount, "{}: {route}", hop.name());
            }
            // what failed is an alert of the desk
            DrillEvent::Ended(receipt) => info!("{}", show::drill::ended(*id, receipt)),
        },
        Entry::Profit(mark) => tracing::debug!(profit = %mark.profit, peak = %mark.peak, "profit"),
        Entry::Treasury { id, .. } => info!(limits = format!("{id:016x}"), "treasury limits in force"),
        Entry::Transfer { id, event } => moved(*id, event),
        // the desk alerts as well
        Entry::TransferRefused { what, why } => tracing::debug!("transfer refused: {what}: {why}"),
        Entry::TreasuryDecided(decision) => decided(decision),
        Entry::WalletAccepted { wallet, nonce, reason, .. } => {
            warn!(%wallet, nonce, "what was done with the wallet beside us is accepted: {reason}");
        }
        Entry::Reloaded(reloaded) => {
            info!(outcome = reloaded.outcome.word(), config = reloaded.config, keys = reloaded.changes.len(), "configuration")
        }
        Entry::Limits { .. }
        | Entry::Instrument(_)
        | Entry::Acked { .. }
        | Entry::CancelAsked { .. }
        | Entry::Latch(_)
        | Entry::Frozen { .. }
        | Entry::Stranger { .. } => {}
    }
}

/// What becomes of a transfer. Where somebody must act the desk alerts, so that here it is told without alarm.
fn moved(id: TransferId, event: &TransferEvent) {
    match event {
        TransferEvent::Intended(intent) => {
            info!(transfer = %id, route = intent.route.name(), amount = %intent.amount, nonce = intent.nonce, "transfer decided: {}", intent.cause);
        }
        TransferEvent::Resumed { epoch } => info!(transfer = %id, epoch = epoch.0, "transfer taken up again"),
        TransferEvent::Signed(attempt) => {
            info!(transfer = %id, hash = %attempt.hash, kind = ?attempt.kind, "its transaction is signed");
        }
        TransferEvent::Sent { hash: Some(hash) } => info!(transfer = %id, %hash, "its transaction is sent"),
        TransferEvent::Sent { hash: None } => info!(transfer = %id, "it is sent to the venue"),
        TransferEvent::Dropped { hash } => info!(transfer = %id, %hash, "its transaction is known to no endpoint any more"),
        TransferEvent::Included(found) => {
            info!(transfer = %id, hash = %found.hash, block = found.block, success = found.success, "its transaction is in a block");
        }
        TransferEvent::Confirmed { depth } => info!(transfer = %id, depth, "its transaction is confirmed"),
        TransferEvent::Reorged { hash, .. } => info!(transfer = %id, %hash, "the block of its transaction is gone"),
        TransferEvent::Final(found) => {
            info!(transfer = %id, hash = %found.hash, gas = %found.gas_cost, "its transaction is final")
        }
        TransferEvent::Accepted => info!(transfer = %id, "the venue accepted it"),
        TransferEvent::Credited { amount, .. } => info!(transfer = %id, %amount, "the venue credited it"),
        TransferEvent::Overdue { why } => info!(transfer = %id, "it is overdue: {why}"),
        TransferEvent::Ended(outcome) => {
            info!(transfer = %id, "transfer over: {}", show::treasury::outcome_words(outcome, None));
        }
    }
}

/// Reducing instead of topping up, or being stuck, is worth a look; the rest is news.
fn decided(decision: &TreasuryDecision) {
    let (venue, action) = (decision.venue, decision.action.name());
    match decision.action {
        TreasuryAction::Stuck | TreasuryAction::Reduce => warn!(%venue, action, "treasury: {}", decision.why),
        TreasuryAction::Rest | TreasuryAction::Sweep | TreasuryAction::Wait | TreasuryAction::TopUp => {
            info!(%venue, action, "treasury: {}", decision.why);
        }
    }
}

/// A level that got better is news, one that got worse is a warning, and from reduce on somebody should come.
fn level(change: &LevelChange) {
    match change.to {
        MarginLevel::Reduce | MarginLevel::Kill if change.to > change.from => {
            error!(venue = %change.venue, from = %change.from, to = %change.to, "margin level: {}", change.why);
        }
        MarginLevel::Ok | MarginLevel::Watch | MarginLevel::TopUp | MarginLevel::Reduce | MarginLevel::Kill
            if change.to > change.from =>
        {
            warn!(venue = %change.venue, from = %change.from, to = %change.to, "margin level: {}", change.why);
        }
        MarginLevel::Ok | MarginLevel::Watch | MarginLevel::TopUp | MarginLevel::Reduce | MarginLevel::Kill => {
            info!(venue = %change.venue, from = %change.from, to = %change.to, "margin level: {}", change.why);
        }
    }
}
