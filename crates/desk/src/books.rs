use std::collections::{BTreeMap, BTreeSet, VecDeque};

use domain::{
    ChildNo, ClientKey, Entry, Epoch, Fill, Instrument, InstrumentId, JournalTag, Lots, MarginLevel, Measure, OrderOutcome,
    ParentId, Seed, Stamp, StopScope, Stops, TradeId, TransferEvent, Venue, VenueOrderId,
};
use serde::Serialize;

use crate::approvals::Approvals;
use crate::drill::Drills;
use crate::order::{Order, Working};
use crate::profit::Ledger;

/// Finished orders kept for late fills and for spotting contradictions; older ones are known by their fills alone.
const DONE_KEPT: usize = 4_096;
/// Trade ids are kept this long behind the newest fill, far beyond the ten minutes by which pulls overlap …
const TRADES_KEPT_MS: u64 = 2 * 3_600_000;
/// … the newest so many at any age, since after a long absence the stream may tell of a new fill before the old ones are read …
const TRADES_KEPT_MIN: usize = 8_192;
/// … and no more than so many: half an hour of a hundred fills a second.
const TRADES_KEPT_MAX: usize = 200_000;

/// Everything that the journal determines. It changes by [`Books::fold`] and by nothing else, so the same journal gives the
/// same books (I25).
#[derive(Clone, Debug, Default, Serialize)]
pub struct Books {
    /// Marks our client keys.
    pub tag: Option<JournalTag>,
    /// The tenure in force.
    pub epoch: Epoch,
    /// Root of all chance in this tenure.
    pub seed: Option<Seed>,
    /// When the journal was begun, UTC milliseconds: earlier fills are not ours to book.
    pub begun_ms: u64,
    /// Number of the last admitted parent.
    pub parents: u32,
    /// Market rules in whose units prices and quantities are written.
    pub instruments: BTreeMap<InstrumentId, Instrument>,
    /// Orders that may live, and the latest that do not.
    pub orders: BTreeMap<ClientKey, Order>,
    /// Our positions by our own fills.
    pub positions: BTreeMap<InstrumentId, Lots>,
    /// Since when, in venue time, fills move each position.
    pub opened_ms: BTreeMap<InstrumentId, u64>,
    /// Newest booked fill per venue, UTC milliseconds.
    pub cursor_ms: BTreeMap<Venue, u64>,
    /// What is stopped, and why.
    pub stops: Stops,
    /// Since when what is stopped, is.
    pub stopped_at: BTreeMap<StopScope, Stamp>,
    /// Approvals that wait for their act.
    pub approvals: Approvals,
    /// Frozen markets and why.
    pub frozen: BTreeMap<InstrumentId, String>,
    /// The highest nonce ever put into an intent.
    pub nonce: u64,
    /// Limits in force.
    pub limits: u64,
    /// Hash of the configuration in force.
    pub config: String,
    /// Its keys but the guard's, as JSON: path to value.
    pub config_keys: String,
    /// The last tenure whose reconciliation completed.
    pub reconciled: Option<Epoch>,
    /// Venue orders already reported as not ours.
    pub strangers: BTreeSet<VenueOrderId>,
    /// Money made and lost.
    pub ledger: Ledger,
    /// The newest statistics of each market.
    pub measures: BTreeMap<InstrumentId, Measure>,
    /// How deep each account is loaded.
    pub levels: BTreeMap<Venue, MarginLevel>,
    #[serde(skip)]
    by_order: BTreeMap<VenueOrderId, ClientKey>,
    #[serde(skip)]
    live: BTreeMap<(ParentId, ChildNo), ClientKey>,
    #[serde(skip)]
    unknown: usize,
    #[serde(skip)]
    done: VecDeque<ClientKey>,
    #[serde(skip)]
    trades: BTreeSet<TradeId>,
    /// The same trades by venue time, with what each did to a position.
    #[serde(skip)]
    trade_times: BTreeMap<(u64, TradeId), (InstrumentId, Lots)>,
    /// Venue time of the newest trade that is no longer kept.
    /// Drills: the one under way and what the others showed.
    pub drills: Drills,
    #[serde(skip)]
    forgotten_ms: BTreeMap<Venue, u64>,
    #[serde(skip)]
    fundings: BTreeSet<(u64, InstrumentId)>,
}

impl Books {
    /// Applies one journal entry.
    ///
    /// # Panics
    /// If an entry moves an order along a forbidden edge (I19): such a journal was not written by this program.
    pub fn fold(&mut self, at: Stamp, entry: &Entry) {
        self.drills.fold(at, entry);
        self.approvals.fold(at, entry);
        match entry {
            Entry::Epoch { epoch, tag, seed, config, .. } => {
                self.config.clone_from(config);
                if self.tag.is_none() {
                    self.begun_ms = at.wall_ms;
                }
                self.tag = Some(*tag);
                self.epoch = *epoch;
                self.seed = Some(*seed);
            }
            Entry::Limits { id, .. } => self.limits = *id,
            Entry::Reloaded(reloaded) => {
                self.config.clone_from(&reloaded.config);
                if let Some(keys) = &reloaded.keys {
                    self.config_keys.clone_from(keys);
                }
            }
            Entry::Instrument(instrument) => {
                self.instruments.insert(instrument.id, instrument.clone());
            }
            Entry::Parent { spec, .. } => self.parents = self.parents.max(spec.id.0),
            Entry::Intent { intent, .. } => {
                self.nonce = self.nonce.max(intent.nonce);
                self.live.insert((intent.key.parent(), intent.key.child()), intent.key);
                self.orders.insert(intent.key, Order::new(*intent, at));
            }
            Entry::Acked { key, order } => {
                if self.orders.get(key).is_some_and(|o| matches!(o.state, Working::Sent | Working::Unknown(_))) {
                    self.enter(at, *key, Working::Resting);
                }
                if let Some(known) = self.orders.get_mut(key) {
                    known.acked = true;
                    if let Some(id) = order {
                        known.order = Some(id.clone());
                        self.by_order.insert(id.clone(), *key);
                    }
                }
            }
            Entry::Unknown { key, cause } => self.enter(at, *key, Working::Unknown(*cause)),
            Entry::CancelAsked { key } => self.enter(at, *key, Working::CancelAsked),
            Entry::Done { key, outcome, .. } => self.finish(at, *key, *outcome),
            Entry::Fill(fill) => self.fill(fill),
            Entry::Funding(payment) => {
                if self.fundings.insert((payment.venue_ms, payment.instrument)) {
                    self.ledger.funding(payment);
                }
                while self.fundings.len() > DONE_KEPT {
                    self.fundings.pop_first();
                }
            }
            Entry::Latch(stop) => {
                self.stops.raise(stop);
                self.stopped_at.insert(stop.scope, at);
                // a stop of one scope too many stops everything instead
                self.stopped_at.retain(|scope, _| self.stops.of(*scope).is_some());
                if self.stops.of(stop.scope).is_none() {
                    self.stopped_at.insert(StopScope::All, at);
                }
            }
            Entry::Rearm { scope, .. } => {
                self.stops.clear(*scope);
                self.stopped_at.retain(|scope, _| self.stops.of(*scope).is_some());
            }
            Entry::Frozen { instrument, why } => {
                self.frozen.insert(*instrument, why.clone());
            }
            Entry::Unfrozen { instrument, position, .. } => {
                self.frozen.remove(instrument);
                self.take_over(*instrument, *position);
            }
            Entry::Opening { instrument, position, venue_ms } => {
                self.take_over(*instrument, *position);
                self.opened_ms.insert(*instrument, *venue_ms);
            }
            Entry::Stranger { order, .. } => {
                self.strangers.insert(order.clone());
                while self.strangers.len() > DONE_KEPT {
                    self.strangers.pop_first();
                }
            }
            Entry::Reconciled { epoch, .. } => self.reconciled = Some(*epoch),
            Entry::Measured(measure) => {
                self.measures.insert(measure.instrument, *measure);
            }
            Entry::Level(change) => {
                self.levels.insert(change.venue, change.to);
            }
            Entry::Profit(mark) => self.ledger.mark(mark),
            Entry::Transfer { event: TransferEvent::Intended(intent), .. } => {
                if intent.route.leg().is_none() {
                    self.nonce = self.nonce.max(intent.nonce);
                }
            }
            Entry::Changed { .. }
            | Entry::Ended { .. }
            | Entry::Refused { .. }
            | Entry::Treasury { .. }
            | Entry::Transfer { .. }
            | Entry::TransferRefused { .. }
            | Entry::TreasuryDecided(_)
            | Entry::Approved(_)
            | Entry::WalletAccepted { .. }
            | Entry::Drill { .. } => {}
        }
    }

    /// The position becomes `position` without a fill.
    fn take_over(&mut self, instrument: InstrumentId, position: Lots) {
        let before = self.positions.insert(instrument, position).unwrap_or_default();
        self.ledger.take_over(instrument, position - before);
    }

    fn enter(&mut self, at: Stamp, key: ClientKey, to: Working) {
        if let Some(order) = self.orders.get_mut(&key)
            && !order.state.is_done()
        {
            self.unknown -= usize::from(order.state.is_unknown());
            self.unknown += usize::from(to.is_unknown());
            order.enter(at, to);
        }
    }

    fn finish(&mut self, at: Stamp, key: ClientKey, outcome: OrderOutcome) {
        self.enter(at, key, Working::Done(outcome));
        if self.live.remove(&(key.parent(), key.child())).is_some() {
            self.done.push_back(key);
        }
        while self.done.len() > DONE_KEPT {
            if let Some(old) = self.done.pop_front()
                && let Some(order) = self.orders.remove(&old)
                && let Some(id) = order.order
            {
                self.by_order.remove(&id);
            }
        }
    }

    fn fill(&mut self, fill: &Fill) {
        if !self.trades.insert(fill.id.clone()) {
            return; // I17: a trade is booked once, whoever tells of it
        }
        let moved = Lots(fill.side.sign() * fill.qty.0);
        self.trade_times.insert((fill.venue_ms, fill.id.clone()), (fill.instrument, moved));
        *self.positions.entry(fill.instrument).or_default() += moved;
        self.ledger.fill(fill);
        let cursor = self.cursor_ms.entry(fill.id.venue).or_default();
        *cursor = (*cursor).max(fill.venue_ms);
        if let Some(key) = self.key_of(fill)
            && let Some(order) = self.orders.get_mut(&key)
        {
            order.filled += fill.qty;
        }
        let horizon = (*self.cursor_ms.get(&fill.id.venue).unwrap_or(&0)).saturating_sub(TRADES_KEPT_MS);
        while let Some(((ms, _), _)) = self.trade_times.first_key_value()
            && (*ms < horizon && self.trade_times.len() > TRADES_KEPT_MIN || self.trade_times.len() > TRADES_KEPT_MAX)
        {
            if let Some(((ms, id), _)) = self.trade_times.pop_first() {
                let forgotten = self.forgotten_ms.entry(id.venue).or_default();
                *forgotten = (*forgotten).max(ms);
                self.trades.remove(&id);
            }
        }
    }

    /// What the position was before each of the newest fills, newest first, back to `since_ms` of venue time.
    pub(crate) fn positions_before(&self, instrument: InstrumentId, since_ms: u64) -> impl Iterator<Item = Lots> {
        let recent = self.trade_times.iter().rev().take_while(move |((ms, _), _)| *ms >= since_ms);
        let here = recent.filter(move |(_, (of, _))| *of == instrument);
        here.scan(self.position(instrument), |position, (_, (_, moved))| {
            *position = *position - *moved;
            Some(*position)
        })
    }

    /// Our key of the order that `fill` belongs to, if it is one of ours.
    #[must_use]
    pub fn key_of(&self, fill: &Fill) -> Option<ClientKey> {
        fill.key.filter(|k| self.is_ours(*k)).or_else(|| self.by_order.get(&fill.id.order).copied())
    }

    /// Our key of the venue's order `id`.
    #[must_use]
    pub fn key_of_order(&self, id: &VenueOrderId) -> Option<ClientKey> {
        self.by_order.get(id).copied()
    }

    /// Whether `key` comes from this journal's key space.
    #[must_use]
    pub fn is_ours(&self, key: ClientKey) -> bool {
        Some(key.tag()) == self.tag
    }

    /// Whether the trade was booked, or is so old that nobody remembers.
    #[must_use]
    pub fn has_trade(&self, fill: &Fill) -> bool {
        let forgotten = self.forgotten_ms.get(&fill.id.venue).is_some_and(|ms| fill.venue_ms <= *ms);
        forgotten || self.trades.contains(&fill.id)
    }

    /// Whether the funding payment was booked.
    #[must_use]
    pub fn has_funding(&self, instrument: InstrumentId, venue_ms: u64) -> bool {
        self.fundings.contains(&(venue_ms, instrument))
    }

    /// Orders that are not over, by parent and child.
    pub fn live(&self) -> impl Iterator<Item = &Order> {
        self.live.values().filter_map(|key| self.orders.get(key))
    }

    /// The key of `parent`'s child `no`, if that is not over.
    #[must_use]
    pub fn live_child(&self, parent: ParentId, no: ChildNo) -> Option<ClientKey> {
        self.live.get(&(parent, no)).copied()
    }

    /// Number of orders whose answer was lost and that are still unresolved.
    #[must_use]
    pub const fn unknown(&self) -> usize {
        self.unknown
    }

    /// The position by our own fills.
    #[must_use]
    pub fn position(&self, instrument: InstrumentId) -> Lots {
        self.positions.get(&instrument).copied().unwrap_or_default()
    }

    /// A hash of everything above: equal books, equal hash.
    #[must_use]
    pub fn hash(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        blake3::hash(&text).to_hex()[..32].to_owned()
    }
}
