//! What the treasury knows of idle collateral, roads and credits, and when it asks for them.

use std::collections::{BTreeMap, BTreeSet};

use domain::{DepositSeen, Entry, IdleBalance, IdlePlace, Span, Stamp, Transfer, TransferEvent, TransferId, UsdcRoads, Venue};
use margin_guard::DestinationKind;

use super::Treasurer;
use crate::effect::CollateralRead;
use crate::{Desk, Effect, Severity, Topic};

/// How often idle collateral is read while nothing happens: for the operator's eye.
const READ_CALM: Span = Span::secs(60);
/// How often while the account is watched: a fall may come in one step, and what was read is then at hand …
const READ_WATCH: Span = Span::secs(10);
/// … and how often while a top-up is at work or money is under way.
const READ_BUSY: Span = Span::secs(5);
/// Credits are looked for from this long before the transfer was decided on: our clock and the venue's differ by less.
const CREDIT_SLACK_MS: u64 = 60_000;
/// After a credit the venue's ledger is still read for so long: a bridge that credits twice does so soon (F91).
const TWICE_WITHIN: Span = Span::secs(1_800);
/// Credits remembered, so that none is booked twice: more than a day of transfers under any budget worth the name.
const BOOKED_KEPT: usize = 256;
const SURPLUS_KEPT: usize = 32;

impl Treasurer {
    /// Where collateral may lie that the plan takes from.
    pub(super) fn places(&self) -> Vec<IdlePlace> {
        let spot = self.plan.spot_floor.map(|_| IdlePlace::Spot);
        let listed = |kind| self.plan.limits.destinations().values().filter(move |d| d.kind == kind).map(|d| d.address);
        let subs = self.plan.sub_account_floor.iter().flat_map(|_| {
            // for a sub-account the way in is from its master, under its own name
            listed(DestinationKind::SubAccount)
                .map(|a| if a == self.plan.account { IdlePlace::Master } else { IdlePlace::SubAccount(a) })
        });
        let subs: BTreeSet<IdlePlace> = subs.collect();
        // an account that is a sub-account itself has none
        let subs = if subs.contains(&IdlePlace::Master) { vec![IdlePlace::Master] } else { subs.into_iter().collect() };
        spot.into_iter().chain(subs).collect()
    }

    pub(super) fn on_idle(&mut self, balance: &IdleBalance) {
        // reads may overtake each other
        let newer = self.idle.get(&balance.place).is_none_or(|known| known.at.mono <= balance.at.mono);
        if balance.venue == self.plan.venue && newer && self.places().contains(&balance.place) {
            self.idle.insert(balance.place, *balance);
        }
    }

    pub(super) fn on_roads(&mut self, roads: &UsdcRoads) {
        if roads.venue == self.plan.venue && self.roads.is_none_or(|known| known.at.mono <= roads.at.mono) {
            self.roads = Some(*roads);
        }
    }

    /// Remembers a credit, so that its row of the venue's ledger is not booked again.
    pub(super) fn book(&mut self, row: DepositSeen) {
        if self.booked.contains(&row) {
            return;
        }
        if self.booked.len() == BOOKED_KEPT {
            self.booked.pop_front();
        }
        self.booked.push_back(row);
    }

    /// From when on deposits are of interest, in the venue's milliseconds; nothing if none is expected.
    fn deposits_since_ms(&self, now: Stamp) -> Option<u64> {
        // for a second credit there is no hurry, and the venue's ledger is dear to read
        let calm = self.ledger_asked.is_none_or(|at| now.since(at) >= READ_CALM);
        let of_interest = self.judge.transfers().filter(|t| awaits_credit(t) || calm && credited_of_late(t, now));
        of_interest.map(|t| t.at.wall_ms.saturating_sub(CREDIT_SLACK_MS)).min()
    }

    /// Asks for what is needed, if it is time.
    pub(super) fn ask(&mut self, now: Stamp) -> Option<CollateralRead> {
        let busy = self.begun || self.judge.transfers().any(Transfer::open);
        let every = if busy {
            READ_BUSY
        } else if self.watched {
            READ_WATCH
        } else {
            READ_CALM
        };
        if self.asked.is_some_and(|at| now.since(at) < every) {
            return None;
        }
        let read = CollateralRead {
            venue: self.plan.venue,
            places: self.places(),
            roads: self.plan.wallet.is_some() && self.roads.is_none_or(|roads| now.since(roads.at) >= READ_CALM),
            deposits_since_ms: self.deposits_since_ms(now),
        };
        if read.places.is_empty() && !read.roads && read.deposits_since_ms.is_none() {
            return None;
        }
        self.asked = Some(now);
        if read.deposits_since_ms.is_some() {
            self.ledger_asked = Some(now);
        }
        Some(read)
    }
}

/// Whether the venue is still to credit it.
fn awaits_credit(t: &Transfer) -> bool {
    t.intent.route.leg().is_some() && t.open() && t.credited.is_none() && !t.attempts.is_empty()
}

fn credited_of_late(t: &Transfer, now: Stamp) -> bool {
    t.intent.route.leg().is_some() && t.credited.is_some() && now.since(t.since) < TWICE_WITHIN
}

/// Whether a row of the venue's ledger can be this transfer's credit.
fn fits(t: &Transfer, row: &DepositSeen) -> bool {
    let least = t.intent.amount - t.intent.fee_max;
    row.amount <= t.intent.amount && row.amount >= least && row.venue_ms + CREDIT_SLACK_MS >= t.at.wall_ms
}

impl Desk {
    /// Credits what has arrived. At most one deposit is under way to an account, so that a fitting row is its credit.
    pub(crate) fn on_deposits(&mut self, now: Stamp, venue: Venue, rows: &[DepositSeen], out: &mut Vec<Effect>) {
        // two credits of one moment look alike, and a row that is there twice is two of them
        let mut shown: BTreeMap<DepositSeen, usize> = BTreeMap::new();
        for row in rows {
            let Some(treasurer) = &mut self.treasurer else { return };
            let known = treasurer.booked.iter().chain(&treasurer.surplus).filter(|known| *known == row).count();
            let nth = shown.entry(*row).or_default();
            *nth += 1;
            if venue != treasurer.plan.venue || *nth <= known {
                continue;
            }
            let awaiting = treasurer.judge.transfers().find(|t| awaits_credit(t) && fits(t, row));
            if let Some(id) = awaiting.map(|t| t.intent.id) {
                let event = TransferEvent::Credited { amount: row.amount, venue_ms: row.venue_ms };
                self.record(now, Entry::Transfer { id, event }, out);
                continue;
            }
            let again = treasurer.judge.transfers().find(|t| credited_of_late(t, now) && fits(t, row)).map(|t| t.intent.id);
            if let Some(id) = again {
                self.note_surplus(id, *row, out);
            }
        }
    }

    fn note_surplus(&mut self, id: TransferId, row: DepositSeen, out: &mut Vec<Effect>) {
        let Some(treasurer) = &mut self.treasurer else { return };
        if treasurer.surplus.len() == SURPLUS_KEPT {
            treasurer.surplus.pop_front();
        }
        treasurer.surplus.push_back(row);
        let text = format!(
            "{id} is credited, and the venue shows another deposit of {}: a second credit or somebody else's; it is counted for no \
             transfer, and the venue may take it back",
            row.amount
        );
        self.alert(Severity::Act, Topic::Treasury, text, out);
    }
}
