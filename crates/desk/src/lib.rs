//! The one state machine: facts in, effects out.
//!
//! [`Desk::apply`] is called with what happened and answers with what to do. It has no clock, no randomness and no await; the
//! same facts at the same stamps give the same effects. What must outlive the process is an [`domain::Entry`]: the desk folds
//! each one into its [`Books`] at the moment it emits it, and a new desk folds the journal to get the same books.
//!
//! The desk does not know limits (`margin-guard` judges every order), schedules (`execution` proposes), wire formats or
//! sockets. Start with [`Desk::apply`]; `orders` holds the life of an order, `reconcile` what a pull from the venue changes,
//! `stopping` what a stop does and `flatten` how positions are closed by one; `watch` what is looked at once a second: statistics,
//! profit, the load of each account and the way back from too much of it; `treasury` moves collateral to an account that needs it.

mod approvals;
mod books;
mod deleverage;
mod doubts;
mod drill;
mod effect;
mod explain;
mod flatten;
mod holds;
mod measures;
mod operator;
mod order;
mod orders;
mod parents;
mod profit;
mod rearm;
mod reconcile;
mod reload;
mod roster;
mod status;
mod stopping;
mod stops;
#[cfg(test)]
mod tests;
mod treasury;
mod trips;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{
    AccountView, Book, Entry, Epoch, Fact, Instrument, InstrumentId, JournalTag, ParentId, Px, Seed, Span, Stamp, Stamped,
    StreamHealth, StreamKind, Venue, VenueOrderId,
};
use margin_guard::{Guard, Limits};
use serde::{Deserialize, Serialize};

pub use approvals::{APPROVAL_LASTS, Approvals, Challenge, Verdict as ApprovalVerdict};
pub use books::Books;
pub use domain::{Alert, Severity, Topic};
pub use drill::{DrillLine, DrillPlan, DrillTerms, DrillView, Drills, Due, OpenDrill, OpenHop, Seen};
pub use effect::{Cancel, CollateralRead, Effect};
pub use explain::{Asked, Background, Explanation, Fate, Judged, LimitsInForce, NoOrder, NotExplained, Verdict, explain};
pub use flatten::FlattenTerms;
pub use order::{Order, Working};
pub use parents::Ended;
pub use profit::Ledger;
pub use reload::ConfigView;
pub use status::{OrderLine, ParentLine, Status, VenueLine};
pub use stops::StopLine;
pub use treasury::{
    CctpRung, DestinationLine, RefusedTransfer, RouteTerms, SourceLine, Sweep, TransferLine, TreasuryPlan, TreasuryView,
    WalletLine, WalletRung,
};

use doubts::Doubts;
use holds::Holds;
use parents::Wakes;
use reconcile::Pull;
use roster::Roster;

/// What to do about orders at the venue that this daemon did not send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ForeignPolicy {
    /// Count them in the exposure, say so, and freeze their market.
    #[default]
    Freeze,
    /// Count them in the exposure and say so.
    Report,
}

/// What the desk needs to know besides limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeskConfig {
    /// Venues whose reconciliation must be complete before anything trades.
    pub venues: Vec<Venue>,
    /// Markets the desk may trade.
    pub instruments: Vec<InstrumentId>,
    /// How long a venue may still accept what we sign (I33), milliseconds.
    pub expires_after_ms: u64,
    /// How often the venue is compared with the books.
    pub reconcile_every: Span,
    /// What to do about foreign orders.
    pub foreign: ForeignPolicy,
    /// With more unresolved sends than this, no parent proposes anything (F14).
    pub unknown_max: usize,
    /// Who may approve of re-arms and loosened limits. Empty: whoever may open the operator socket.
    pub operators: Vec<domain::Operator>,
    /// How positions are closed at level flatten.
    pub flatten: FlattenTerms,
    /// How collateral is moved to the account by itself; absent: it is not.
    pub treasury: Option<TreasuryPlan>,
}

/// What is known of a market besides the books.
#[derive(Debug, Default)]
struct Market {
    /// Whether the venue told its rules in this tenure.
    confirmed: bool,
    book: Option<Arc<Book>>,
    /// The price that the venue margins with, and when it told.
    mark: Option<(Px, Stamp)>,
    /// The venue's funding rate for the running hour.
    funding: Option<domain::Ratio>,
    /// Live parents, by number.
    parents: Vec<ParentId>,
    /// Those of them that follow the market's volume.
    followers: Vec<ParentId>,
    /// Why its parents may not propose, where they may not.
    holds: Holds,
}

/// What is known of a venue besides the books.
#[derive(Debug)]
struct VenueState {
    venue: Venue,
    market: StreamHealth,
    account: StreamHealth,
    /// When the account stream came up last.
    listening_since: Stamp,
    /// Set by the first complete pull begun after the account stream came up; cleared when it goes down.
    trusted: bool,
    pull: Option<Pull>,
    pull_due: Option<Stamp>,
    last_pull: Option<Stamp>,
    /// When the newest pull that was applied began: an older one that comes late says nothing.
    read: Option<Stamp>,
    /// When the newest reading began, if nothing in it differed from the books.
    settled: Option<Stamp>,
    /// Orders that were open in it, whoever's they are.
    open: usize,
    /// Up to when, in venue time, a pull has read all fills. What the stream told since may have gaps.
    fills_read_ms: u64,
    view: Option<AccountView>,
    offset_ms: Option<i64>,
    pull_failures: u32,
}

/// The desk.
#[derive(Debug)]
pub struct Desk {
    config: DeskConfig,
    guard: Guard,
    books: Books,
    markets: BTreeMap<InstrumentId, Market>,
    venues: Vec<VenueState>,
    live: Roster,
    ended: BTreeMap<ParentId, Ended>,
    wakes: Wakes,
    doubts: Doubts,
    doubts_aged: Stamp,
    breaks: BTreeMap<InstrumentId, u32>,
    foreign: BTreeMap<VenueOrderId, Venue>,
    /// Parents that must be looked at in this step.
    due: Vec<ParentId>,
    proposals: Vec<execution::Proposal>,
    draining: bool,
    /// Something changed that decides whether parents may propose.
    holds_due: bool,
    /// … and that of single parents.
    holds_afresh: bool,
    repairs: u32,
    measures: measures::Measures,
    deleveraging: deleverage::Deleveraging,
    flattening: flatten::Flattening,
    watch: watch::Watch,
    alerts: status::RecentAlerts,
    treasurer: Option<Box<treasury::Treasurer>>,
    drilling: drill::Drilling,
    configuration: reload::Configuration,
    trips: trips::Trips,
}

/// Why a journal cannot be folded into a desk.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// A parent in the journal cannot be rebuilt.
    #[error("parent {parent} in the journal cannot be resumed: {}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Parent {
        /// Which.
        parent: ParentId,
        /// Why.
        faults: Vec<domain::SpecFault>,
    },
    /// A parent in the journal trades a market whose rules are not in the journal before it.
    #[error("parent {parent} trades {instrument}, whose rules are not in the journal before it")]
    NoRules {
        /// Which parent.
        parent: ParentId,
        /// Which market.
        instrument: InstrumentId,
    },
    /// The records of transfers in the journal do not follow each other.
    #[error("the ledger of transfers in the journal does not add up")]
    Treasury(#[from] margin_guard::TreasuryFault),
}

/// What a new tenure is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenure {
    /// Its number, above all in the journal.
    pub epoch: Epoch,
    /// The journal's mark.
    pub tag: JournalTag,
    /// Root of all chance.
    pub seed: Seed,
    /// Version of the binary.
    pub binary: String,
    /// Hash of the checked configuration.
    pub config: String,
}

impl Desk {
    /// A desk with the state of `journal`, and the entries that open a new tenure over it.
    ///
    /// Nothing is cleared until the first [`Fact::Snapshot`] of every venue has been reconciled (I14).
    ///
    /// # Errors
    /// If the journal holds a parent that cannot be rebuilt.
    pub fn boot(
        config: DeskConfig,
        limits: Limits,
        tenure: &Tenure,
        now: Stamp,
        journal: &[Stamped],
        out: &mut Vec<Effect>,
    ) -> Result<Desk, BootError> {
        let (limits_id, limits_text) = (limits.id(), limits.text().to_owned());
        let venue = |venue: &Venue| VenueState {
            venue: *venue,
            market: StreamHealth::Down,
            account: StreamHealth::Down,
            listening_since: now,
            trusted: false,
            pull: None,
            pull_due: None,
            last_pull: None,
            read: None,
            settled: None,
            open: 0,
            fills_read_ms: 0,
            view: None,
            offset_ms: None,
            pull_failures: 0,
        };
        let treasurer = config.treasury.clone().map(|plan| Box::new(treasury::Treasurer::new(plan)));
        let mut desk = Desk {
            markets: config.instruments.iter().map(|id| (*id, Market::default())).collect(),
            venues: config.venues.iter().map(venue).collect(),
            config,
            books: Books::default(),
            live: Roster::default(),
            ended: BTreeMap::new(),
            wakes: Wakes::default(),
            doubts: Doubts::default(),
            doubts_aged: now,
            breaks: BTreeMap::new(),
            foreign: BTreeMap::new(),
            due: Vec::new(),
            proposals: Vec::new(),
            draining: false,
            holds_due: true,
            holds_afresh: true,
            repairs: 0,
            measures: measures::Measures::new(limits.sizing().sigma_floor),
            guard: Guard::new(limits),
            deleveraging: deleverage::Deleveraging::default(),
            flattening: flatten::Flattening::default(),
            watch: watch::Watch::default(),
            alerts: status::RecentAlerts::default(),
            treasurer,
            drilling: drill::Drilling::default(),
            configuration: reload::Configuration::default(),
            trips: trips::Trips::default(),
        };
        for stamped in journal {
            desk.fold(stamped.at, &stamped.entry)?;
            if let Some(treasurer) = &mut desk.treasurer {
                treasurer.fold(stamped.at, &stamped.entry)?;
            }
        }
        desk.open_tenure(tenure, limits_id, limits_text, now, out)?;
        Ok(desk)
    }

    fn open_tenure(
        &mut self,
        tenure: &Tenure,
        limits_id: u64,
        limits_text: String,
        now: Stamp,
        out: &mut Vec<Effect>,
    ) -> Result<(), BootError> {
        self.guard.set_ready(false);
        self.watch.resume(&self.books);
        let Tenure { epoch, tag, seed, binary, config } = tenure.clone();
        self.guard.set_config(domain::config_number(&config));
        self.record(now, Entry::Epoch { epoch, tag, seed, binary, config }, out);
        self.record(now, Entry::Limits { id: limits_id, text: limits_text }, out);
        self.open_treasury(now, out);
        self.guard.set_stops(self.books.stops.clone());
        for (venue, level) in &self.books.levels {
            self.guard.restore_level(*venue, *level);
        }
        for measure in self.books.measures.values() {
            self.guard.observe_measure(measure);
        }
        for (id, why) in self.books.frozen.clone() {
            self.guard.freeze(id, &why);
        }
        for (id, lots) in self.books.positions.clone() {
            self.guard.set_position(id, lots);
        }
        let orders: Vec<Order> = self.books.live().cloned().collect();
        for order in orders {
            // R5: what an earlier tenure sent and nobody answered is unknown until the venue says (I05)
            if order.state == Working::Sent {
                self.lose_sight(now, order.key(), domain::Lost::Restart, out);
            }
            self.doubt(now, order.key(), Span::ZERO);
        }
        for state in &mut self.venues {
            state.pull_due = Some(now);
            state.fills_read_ms = self.books.cursor_ms.get(&state.venue).copied().unwrap_or(self.books.begun_ms);
        }
        self.cancel_stopped(now, out);
        Ok(())
    }

    /// Applies `facts`, which all happened no later than `now`, and then lets every parent that is due propose.
    ///
    /// Cost: logarithmic in live orders per fact, and constant per parent of a market whose book changed.
    pub fn apply(&mut self, now: Stamp, facts: &[Fact], out: &mut Vec<Effect>) {
        for fact in facts {
            self.observe(now, fact, out);
        }
        self.resolve_doubts(now, out);
        self.pull_if_due(now, out);
        self.watch_if_due(now, out);
        self.tend_flatten(now, out);
        self.rehold(now);
        self.step_parents(now, out);
    }

    /// When the desk wants to be called even if nothing happens, and why.
    #[must_use]
    pub fn wake(&self) -> Option<(Stamp, &'static str)> {
        let pulls = self.venues.iter().filter_map(|v| Some((self.next_pull(v)?, "pull")));
        let cancel = self.doubts.next_cancel().map(|at| (at, "cancel again"));
        let watch = self.watch.next().map(|at| (at, "watch"));
        let flatten = self.flattening.next().map(|at| (at, "flatten"));
        pulls.chain(cancel).chain(watch).chain(flatten).chain(self.wakes.first()).min_by_key(|(at, _)| at.mono)
    }

    /// What the journal determines.
    #[must_use]
    pub const fn books(&self) -> &Books {
        &self.books
    }

    /// The guard, to be asked about its view of the account.
    #[must_use]
    pub const fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Whether reconciliation is complete and every venue's account stream can be trusted.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.venues.iter().all(|v| v.trusted) && self.books.reconciled == Some(self.books.epoch)
    }

    /// Whether every parent has ended.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.live.is_empty()
    }

    /// Whether no order of ours can be at a venue.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.books.live().next().is_none()
    }

    /// Stops proposing and cancels what rests, so that the process can leave. A restart resumes every parent.
    pub fn drain(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        self.draining = true;
        self.holds_due = true;
        self.keep_profit(now, out);
        self.cancel_all_ours(now, out);
    }

    /// Stops proposing and leaves what rests, so that the process can leave. A restart takes the orders up again.
    pub fn leave(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        self.draining = true;
        self.holds_due = true;
        self.keep_profit(now, out);
    }

    /// Whether every order of ours that is not over rests at a venue, known to both sides.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.books.live().all(|order| order.state == Working::Resting)
    }

    fn observe(&mut self, now: Stamp, fact: &Fact, out: &mut Vec<Effect>) {
        match fact {
            Fact::Instrument(instrument) => self.on_instrument(now, instrument, out),
            Fact::Book(book) => {
                self.guard.observe_book(book);
                if let Some(market) = self.markets.get_mut(&book.instrument) {
                    market.book = Some(Arc::clone(book));
                    self.due.extend_from_slice(&market.parents);
                }
            }
            Fact::Marks(marks) => {
                self.guard.observe_marks(marks);
                if let Some(market) = self.markets.get_mut(&marks.instrument).filter(|_| marks.mark.0 > 0) {
                    market.mark = Some((marks.mark, marks.at));
                    market.funding = marks.funding_hourly;
                }
            }
            Fact::Trade(trade) => {
                let followers = self.markets.get(&trade.instrument).map_or(&[][..], |m| &m.followers);
                for id in followers {
                    if let Some(live) = self.live.get_mut(*id) {
                        live.worker.observe_trade(trade);
                    }
                }
            }
            Fact::Sent { key, outcome } => self.on_sent(now, *key, outcome, out),
            Fact::CancelAnswered { key, gone } => self.on_cancel_answered(now, *key, *gone),
            Fact::Order(report) => self.on_report(now, report, out),
            Fact::Fill(fill) => self.on_fill(now, fill, out),
            Fact::Funding(payment) => {
                if !self.books.has_funding(payment.instrument, payment.venue_ms)
                    && self.books.opened_ms.get(&payment.instrument).is_some_and(|opened| payment.venue_ms > *opened)
                {
                    self.record(now, Entry::Funding(payment.clone()), out);
                }
            }
            Fact::Account(view) => self.on_account(view),
            Fact::Snapshot(snapshot) => self.on_snapshot(now, snapshot, out),
            Fact::SnapshotFailed(venue, why) => self.on_pull_failed(now, *venue, why, out),
            Fact::NonceBurnt { venue, nonce, burnt } => self.on_burnt(now, *venue, *nonce, *burnt, out),
            Fact::Swept { venue, markets, empty } => self.on_swept(*venue, markets, *empty),
            Fact::Stream(venue, kind, health) => self.on_stream(now, *venue, *kind, *health, out),
            Fact::ClockOffset(venue, ms) => self.on_clock_offset(now, *venue, *ms, out),
            Fact::Command(asker, command) => self.on_command(now, *asker, command, out),
            Fact::Depth(book) => self.guard.observe_depth(book),
            Fact::Bars { instrument, span, bars } => self.on_bars(now, *instrument, *span, bars),
            Fact::FundingRates { instrument, source, rates } => self.on_rates(now, *instrument, source, rates),
            Fact::Transfer { id, event } => self.on_transfer(now, *id, event, out),
            Fact::Deposits(venue, rows) => self.on_deposits(now, *venue, rows, out),
            Fact::Wallet(_) | Fact::WalletDoubt(_) | Fact::Idle(_) | Fact::Roads(_) => {
                if let Some(treasurer) = &mut self.treasurer {
                    treasurer.observe(fact);
                }
            }
            Fact::Timer => {}
        }
    }

    fn on_instrument(&mut self, now: Stamp, instrument: &Arc<Instrument>, out: &mut Vec<Effect>) {
        if !self.markets.contains_key(&instrument.id) {
            return;
        }
        let known = self.books.instruments.get(&instrument.id);
        let same_units =
            known.is_none_or(|k| k.tick == instrument.tick && k.lot == instrument.lot && k.venue_asset == instrument.venue_asset);
        if !same_units {
            // F30, F31: open quantities and prices are written in the old units
            let why =
                "the venue changed its tick, lot or asset id; finish or cancel its parents, then start a new journal".to_owned();
            self.freeze(now, instrument.id, why, out);
            return;
        }
        if known.is_none_or(|k| k != &**instrument) {
            self.record(now, Entry::Instrument((**instrument).clone()), out);
        }
        self.guard.set_instrument(instrument);
        if let Some(market) = self.markets.get_mut(&instrument.id) {
            market.confirmed = true;
            for id in &market.parents {
                if let Some(live) = self.live.get_mut(*id) {
                    live.worker.set_instrument(instrument);
                }
            }
        }
        self.holds_due = true;
    }

    fn on_account(&mut self, view: &AccountView) {
        let Some(state) = self.venues.iter_mut().find(|v| v.venue == view.venue) else { return };
        // a pull takes its time, and the stream may have told of a newer account meanwhile
        if state.view.as_ref().is_none_or(|known| known.at.mono <= view.at.mono) {
            self.guard.observe_account(view);
            state.view = Some(view.clone());
        }
    }

    fn on_stream(&mut self, now: Stamp, venue: Venue, kind: StreamKind, health: StreamHealth, out: &mut Vec<Effect>) {
        self.guard.set_stream(venue, kind, health);
        let Some(state) = self.venues.iter_mut().find(|v| v.venue == venue) else { return };
        let before = match kind {
            StreamKind::Market => std::mem::replace(&mut state.market, health),
            StreamKind::Account => std::mem::replace(&mut state.account, health),
        };
        if before == health {
            return;
        }
        if kind == StreamKind::Account {
            // what happened while we were not listening is only known by asking (F06)
            state.trusted = false;
            if health == StreamHealth::Up {
                state.listening_since = now;
                state.pull = None;
                state.pull_due = Some(now);
            }
            self.guard.set_ready(false);
        }
        if before == StreamHealth::Up {
            let text = format!("{venue} {kind:?} stream is {health:?}; no new risk until it is back and the venue has been read");
            self.alert(Severity::Warn, Topic::Stream, text, out);
        }
        self.holds_due = true;
    }

    /// Emits `entry` and folds it at once.
    fn record(&mut self, at: Stamp, entry: Entry, out: &mut Vec<Effect>) {
        self.books.fold(at, &entry);
        if matches!(entry, Entry::Latch(_) | Entry::Rearm { .. }) {
            self.stops_changed();
        }
        self.fold_treasury(at, &entry, out);
        self.forgive_rearmed(&entry);
        out.push(Effect::Record(Stamped { at, entry }));
    }

    fn alert(&mut self, severity: Severity, topic: Topic, cause: String, out: &mut Vec<Effect>) {
        self.tell(Alert::new(severity, topic, cause, Some(self.situation())), out);
    }

    fn tell(&mut self, alert: Alert, out: &mut Vec<Effect>) {
        self.alerts.push(alert.clone());
        out.push(Effect::Alert(alert));
    }

    fn freeze(&mut self, now: Stamp, instrument: InstrumentId, why: String, out: &mut Vec<Effect>) {
        if self.books.frozen.contains_key(&instrument) {
            return;
        }
        self.tell(self.frozen_alert(instrument, &why), out);
        self.guard.freeze(instrument, &why);
        self.record(now, Entry::Frozen { instrument, why }, out);
        self.holds_due = true;
    }
}
