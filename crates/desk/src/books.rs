use std::collections::{BTreeMap, BTreeSet, VecDeque};

use domain::{
    ClientKey, Entry, Epoch, Fill, Instrument, InstrumentId, JournalTag, Lots, OrderOutcome, ParentId, Qty, Seed, Stamp,
    StopLevel, TradeId, Venue, VenueOrderId,
};
use serde::Serialize;

use crate::order::{Order, Working};

/// Finished orders kept for late fills and for spotting contradictions; older ones are known by their fills alone.
const DONE_KEPT: usize = 4_096;
/// Trade ids are kept this long behind the newest fill, far beyond the ten minutes by which pulls overlap.
const TRADES_KEPT_MS: u64 = 2 * 3_600_000;

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
    /// Stop level.
    pub stop: StopLevel,
    /// Why it is not `run`.
    pub stop_cause: String,
    /// Frozen markets and why.
    pub frozen: BTreeMap<InstrumentId, String>,
    /// The highest nonce ever put into an intent.
    pub nonce: u64,
    /// Limits in force.
    pub limits: u64,
    /// The last tenure whose reconciliation completed.
    pub reconciled: Option<Epoch>,
    /// Venue orders already reported as not ours.
    pub strangers: BTreeSet<VenueOrderId>,
    #[serde(skip)]
    by_order: BTreeMap<VenueOrderId, ClientKey>,
    #[serde(skip)]
    live: BTreeSet<ClientKey>,
    #[serde(skip)]
    done: VecDeque<ClientKey>,
    #[serde(skip)]
    trades: BTreeMap<TradeId, u64>,
    #[serde(skip)]
    trade_times: BTreeSet<(u64, TradeId)>,
    #[serde(skip)]
    fundings: BTreeSet<(InstrumentId, u64)>,
}

impl Books {
    /// Applies one journal entry.
    ///
    /// # Panics
    /// If an entry moves an order along a forbidden edge (I19): such a journal was not written by this program.
    pub fn fold(&mut self, at: Stamp, entry: &Entry) {
        match entry {
            Entry::Epoch { epoch, tag, seed, .. } => {
                if self.tag.is_none() {
                    self.begun_ms = at.wall_ms;
                }
                self.tag = Some(*tag);
                self.epoch = *epoch;
                self.seed = Some(*seed);
            }
            Entry::Limits { id, .. } => self.limits = *id,
            Entry::Instrument(instrument) => {
                self.instruments.insert(instrument.id, instrument.clone());
            }
            Entry::Parent { spec, .. } => self.parents = self.parents.max(spec.id.0),
            Entry::Intent { intent, .. } => {
                self.nonce = self.nonce.max(intent.nonce);
                self.live.insert(intent.key);
                self.orders.insert(intent.key, Order::new(*intent, at));
            }
            Entry::Acked { key, order } => {
                if let Some(known) = self.orders.get_mut(key) {
                    if !matches!(known.state, Working::Resting | Working::CancelAsked | Working::Done(_)) {
                        known.enter(at, Working::Resting);
                    }
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
                self.fundings.insert((payment.instrument, payment.venue_ms));
                while self.fundings.len() > DONE_KEPT {
                    self.fundings.pop_first();
                }
            }
            Entry::Latch { level, cause } => {
                if *level > self.stop {
                    self.stop = *level;
                    self.stop_cause.clone_from(cause);
                }
            }
            Entry::Rearm { .. } => {
                self.stop = StopLevel::Run;
                self.stop_cause.clear();
            }
            Entry::Frozen { instrument, why } => {
                self.frozen.insert(*instrument, why.clone());
            }
            Entry::Unfrozen { instrument, position, .. } => {
                self.frozen.remove(instrument);
                self.positions.insert(*instrument, *position);
            }
            Entry::Opening { instrument, position, venue_ms } => {
                self.positions.insert(*instrument, *position);
                self.opened_ms.insert(*instrument, *venue_ms);
            }
            Entry::Stranger { order, .. } => {
                self.strangers.insert(order.clone());
                while self.strangers.len() > DONE_KEPT {
                    self.strangers.pop_first();
                }
            }
            Entry::Reconciled { epoch, .. } => self.reconciled = Some(*epoch),
            Entry::Changed { .. } | Entry::Ended { .. } | Entry::Refused { .. } => {}
        }
    }

    fn enter(&mut self, at: Stamp, key: ClientKey, to: Working) {
        if let Some(order) = self.orders.get_mut(&key)
            && !order.state.is_done()
        {
            order.enter(at, to);
        }
    }

    fn finish(&mut self, at: Stamp, key: ClientKey, outcome: OrderOutcome) {
        self.enter(at, key, Working::Done(outcome));
        if self.live.remove(&key) {
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
        if self.trades.insert(fill.id.clone(), fill.venue_ms).is_some() {
            return; // I17: a trade is booked once, whoever tells of it
        }
        self.trade_times.insert((fill.venue_ms, fill.id.clone()));
        *self.positions.entry(fill.instrument).or_default() += Lots(fill.side.sign() * fill.qty.0);
        let cursor = self.cursor_ms.entry(fill.id.venue).or_default();
        *cursor = (*cursor).max(fill.venue_ms);
        if let Some(key) = self.key_of(fill)
            && let Some(order) = self.orders.get_mut(&key)
        {
            order.filled += fill.qty;
        }
        let horizon = (*self.cursor_ms.get(&fill.id.venue).unwrap_or(&0)).saturating_sub(TRADES_KEPT_MS);
        while let Some((ms, _)) = self.trade_times.first()
            && *ms < horizon
        {
            if let Some((_, id)) = self.trade_times.pop_first() {
                self.trades.remove(&id);
            }
        }
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

    /// Whether the trade was booked, or is too old to be booked again.
    #[must_use]
    pub fn has_trade(&self, fill: &Fill) -> bool {
        let newest = self.cursor_ms.get(&fill.id.venue).copied().unwrap_or(0);
        self.trades.contains_key(&fill.id) || fill.venue_ms + TRADES_KEPT_MS < newest
    }

    /// Whether the funding payment was booked.
    #[must_use]
    pub fn has_funding(&self, instrument: InstrumentId, venue_ms: u64) -> bool {
        self.fundings.contains(&(instrument, venue_ms))
    }

    /// Orders that are not over, by key.
    pub fn live(&self) -> impl Iterator<Item = &Order> {
        self.live.iter().filter_map(|key| self.orders.get(key))
    }

    /// Number of orders whose answer was lost and that are still unresolved.
    #[must_use]
    pub fn unknown(&self) -> usize {
        self.live().filter(|o| matches!(o.state, Working::Unknown(_))).count()
    }

    /// Quantity of `parent` that may still fill.
    #[must_use]
    pub fn live_of(&self, parent: ParentId) -> Qty {
        self.live().filter(|o| o.intent.child.parent == parent).map(Order::remaining).sum()
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
