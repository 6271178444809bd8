//! Sources whose last transfers failed are left alone, longer each time: what was refused, reverted or burnt a moment ago would be
//! again, and each try is a record, a nonce or gas (F89).

use domain::{IdlePlace, Route, Span, Stamp, Transfer, TransferOutcome, TransferState};

use super::Treasurer;
use super::account::{ISOLATED, SWEEP};
use super::view::place_name;

/// After the first failure …
const FIRST: Span = Span::secs(30);
/// … and at most, however many there were in a row: a token that is paused comes back some time.
const MOST: Span = Span::secs(600);

/// Failures of one source, one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failures {
    in_a_row: u32,
    last: Stamp,
    why: String,
}

impl Treasurer {
    /// The name under which a transfer's source is known.
    fn source_of(&self, route: &Route) -> String {
        match route {
            Route::SpotToPerp => place_name(IdlePlace::Spot),
            Route::SubAccount { sub, deposit: false } => place_name(IdlePlace::SubAccount(*sub)),
            Route::SubAccount { deposit: true, .. } => place_name(IdlePlace::Master),
            Route::Bridge(_) | Route::Cctp { .. } => "wallet".to_owned(),
            Route::IsolatedMargin { .. } => ISOLATED.to_owned(),
            Route::PerpToSpot | Route::Withdrawal { .. } => SWEEP.to_owned(),
        }
    }

    /// Takes note of how a transfer stands, after each of its records.
    pub(super) fn note_failure(&mut self, at: Stamp, transfer: &Transfer) {
        let name = self.source_of(&transfer.intent.route);
        let why = match &transfer.state {
            TransferState::Ended(outcome) => match outcome {
                TransferOutcome::Arrived => {
                    self.failures.remove(&name);
                    return;
                }
                TransferOutcome::Refused { why } => format!("was refused: {why}"),
                TransferOutcome::Rejected { why } => format!("was refused by the venue: {why}"),
                TransferOutcome::Reverted => "reverted".to_owned(),
                TransferOutcome::Burnt => "was burnt".to_owned(),
                // the wallet is frozen, or a person has looked
                TransferOutcome::Foreign | TransferOutcome::WrittenOff { .. } => return,
            },
            TransferState::Landed => {
                self.failures.remove(&name);
                return;
            }
            TransferState::Intended
            | TransferState::Signed
            | TransferState::Sent
            | TransferState::Included(_)
            | TransferState::Confirmed(_) => return,
        };
        let in_a_row = self.failures.get(&name).map_or(0, |known| known.in_a_row).saturating_add(1);
        self.failures.insert(name, Failures { in_a_row, last: at, why: format!("{} {why}", transfer.intent.id) });
    }

    /// Why a source is left alone, if it is.
    pub(super) fn left_alone(&self, now: Stamp, name: &str) -> Option<String> {
        let known = self.failures.get(name)?;
        let pause = Span(FIRST.0.saturating_mul(1 << known.in_a_row.saturating_sub(1).min(16))).min(MOST);
        let left = Span(pause.0.saturating_sub(now.since(known.last).0));
        (left > Span::ZERO).then(|| format!("{}; it is left alone for another {left}", known.why))
    }
}
