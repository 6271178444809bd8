//! The account as it would be if every working order filled against us, kept up to date one observation at a time.
//!
//! Each market keeps its own worst case; each venue keeps the sum of its markets', so a decision reads the same few numbers
//! whether there is one position or five hundred. [`Projection::from_scratch`] computes the same totals the slow, obvious way
//! (I28).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use domain::margin::MarginTable;
use domain::{
    AccountView, Book, Child, ClientKey, Instrument, InstrumentId, Intent, Lots, MarginLevel, Marks, Measure, OrderReport,
    ParentId, ParentSpec, PositionView, Px, Qty, ReportedState, Side, Span, Stamp, StopLevel, StreamHealth, StreamKind, Usd,
    Venue, VenueOrderId,
};
use serde::Serialize;

use crate::bucket::Bucket;
use crate::care::{MarketCare, PortfolioCare};
use crate::groups::{Beta, GroupSums, Weighted};
use crate::limits::{Caps, Limits, VENUES};
use crate::money::{Money, Tiers, unit_of};
use crate::pace::{RejectWatch, RepeatWatch};

/// What one market adds to its venue's totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contribution {
    /// Lots long if every buy fills and no sell, and short the other way round; signed.
    pub(crate) long: i64,
    pub(crate) short: i64,
    /// Value of the larger of the two at the mark.
    pub(crate) gross: Money,
    /// Its maintenance margin.
    pub(crate) maintenance: Money,
    /// Maintenance margin of the booked position alone.
    pub(crate) maintenance_now: Money,
    /// What is lost at once, measured at the mark, when orders priced through the mark fill.
    pub(crate) adverse: Money,
    /// There is a position or a working order.
    pub(crate) exposed: bool,
    /// It is exposed and cannot be valued: rules, marks or position are missing.
    pub(crate) blind: bool,
}

/// Working orders of one side by price. Never empty levels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ladder {
    levels: BTreeMap<i64, Level>,
    pub(crate) lots: i64,
    /// Of these, lots of our own reduce-only orders.
    pub(crate) reducing: i64,
}

/// Orders are counted apart from lots: an order that may still be filled for nothing more keeps its place until it is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Level {
    lots: i64,
    orders: u32,
}

impl Ladder {
    fn add(&mut self, px: Px, lots: i64) {
        let level = self.levels.entry(px.0).or_default();
        level.lots += lots;
        level.orders += 1;
        self.lots += lots;
    }

    fn shrink(&mut self, px: Px, lots: i64) {
        if let Some(level) = self.levels.get_mut(&px.0) {
            level.lots -= lots;
            self.lots -= lots;
        }
    }

    fn remove(&mut self, px: Px, lots: i64) {
        self.shrink(px, lots);
        if let Some(level) = self.levels.get_mut(&px.0) {
            level.orders -= 1;
            if level.orders == 0 {
                self.levels.remove(&px.0);
            }
        }
    }

    fn lowest(&self) -> Option<Px> {
        self.levels.iter().find(|(_, l)| l.lots > 0).map(|(px, _)| Px(*px))
    }

    fn highest(&self) -> Option<Px> {
        self.levels.iter().rev().find(|(_, l)| l.lots > 0).map(|(px, _)| Px(*px))
    }

    /// Lots times ticks by which buys stand above, or sells below, `mark`. Only those levels are visited.
    fn through(&self, side: Side, mark: Px) -> i128 {
        let sum = |(px, level): (&i64, &Level)| i128::from(px.abs_diff(mark.0)) * i128::from(level.lots);
        match side {
            Side::Buy => self.levels.range(mark.0.saturating_add(1)..).map(sum).sum(),
            Side::Sell => self.levels.range(..mark.0).map(sum).sum(),
        }
    }
}

/// The book as far as the rules ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BookView {
    pub(crate) mid_x2: Option<i64>,
    pub(crate) venue_ms: u64,
    pub(crate) at: Stamp,
}

/// The market's rules, with what is derived from them once.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) instrument: Arc<Instrument>,
    /// Money units per tick and lot.
    pub(crate) unit: i64,
    pub(crate) order_lots_max: Option<Qty>,
    pub(crate) notional_min: Money,
}

#[derive(Clone, Debug)]
pub(crate) struct Market {
    pub(crate) id: InstrumentId,
    pub(crate) caps: Caps,
    pub(crate) allowed: bool,
    pub(crate) rules: Option<Rules>,
    /// The margin table that applies to our position, which may have its own leverage.
    table: Option<(MarginTable, Tiers)>,
    pub(crate) book: Option<BookView>,
    /// The whole of it, for walking its depth.
    pub(crate) depth: Option<Arc<Book>>,
    pub(crate) measure: Option<Measure>,
    pub(crate) marks: Option<Marks>,
    booked: Option<Lots>,
    pub(crate) view: Option<PositionView>,
    pub(crate) frozen: Option<String>,
    pub(crate) buys: Ladder,
    pub(crate) sells: Ladder,
    pub(crate) open: u32,
    pub(crate) recent: Recent,
    pub(crate) care: MarketCare,
    /// Which of `Limits::groups` it belongs to, and what it adds to that group.
    pub(crate) group: Option<usize>,
    pub(crate) beta: Beta,
    pub(crate) weighted: Weighted,
    pub(crate) now: Contribution,
    /// Under which time the market stands in its venue's `mark_times`.
    timed: Option<u64>,
}

/// Orders cleared of late, for C09: when and for whom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recent {
    last: BTreeMap<(Px, Qty, Side), (u64, ParentId)>,
    /// Records that are too old are dropped when there are more than this.
    tidy_above: usize,
}

/// Records per market that are kept without looking: a second's worth of most venues' budgets.
const RECENT_MIN: usize = 64;

impl Recent {
    /// When the same order was last cleared, and for whom.
    pub(crate) fn last(&self, side: Side, px: Px, qty: Qty) -> Option<(u64, ParentId)> {
        self.last.get(&(px, qty, side)).copied()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.last.len()
    }

    fn note(&mut self, limits: &Limits, at: Stamp, child: &Child) {
        if self.last.len() > self.tidy_above.max(RECENT_MIN) {
            self.last.retain(|_, (when, _)| at.mono.saturating_sub(*when) < limits.duplicate_window.0);
            // what is left is younger than the window, so the message budget bounds it; doubling makes tidying cheap on average
            self.tidy_above = self.last.len() * 2;
        }
        self.last.insert((child.px, child.qty, child.side), (at.mono, child.parent));
    }
}

/// An order that may still fill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Working {
    slot: usize,
    side: Side,
    px: Px,
    remaining: Qty,
    /// Ours and reduce-only.
    reducing: bool,
}

impl Working {
    fn reducing_lots(&self) -> i64 {
        if self.reducing { self.remaining.0 } else { 0 }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct VenueState {
    pub(crate) account: Option<Account>,
    pub(crate) clock_offset_ms: Option<i64>,
    market_stream: Option<StreamHealth>,
    account_stream: Option<StreamHealth>,
    pub(crate) gross: Money,
    pub(crate) maintenance: Money,
    pub(crate) maintenance_now: Money,
    pub(crate) adverse: Money,
    pub(crate) blind: BTreeSet<usize>,
    /// Receipt time of the marks of every exposed market, oldest first.
    pub(crate) mark_times: BTreeSet<(u64, usize)>,
    pub(crate) open: u32,
    pub(crate) messages: Bucket,
    pub(crate) level: MarginLevel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) equity: Money,
    pub(crate) reported: Usd,
    pub(crate) maintenance: Money,
    pub(crate) at: Stamp,
}

impl VenueState {
    pub(crate) fn stream(&self, kind: StreamKind) -> Option<StreamHealth> {
        match kind {
            StreamKind::Market => self.market_stream,
            StreamKind::Account => self.account_stream,
        }
    }

    /// Maintenance of the account as it stands: the larger of the venue's figure and our own.
    pub(crate) fn maintenance_standing(&self) -> Money {
        self.maintenance_now.plus(self.maintenance_unexplained())
    }

    /// Maintenance that the venue reports beyond what we can explain by our own positions: counted on top.
    pub(crate) fn maintenance_unexplained(&self) -> Money {
        self.account.map_or(Money::ZERO, |a| a.maintenance.minus(self.maintenance_now).at_least_zero())
    }
}

/// One parent as the gate counts it. The slicer's own count plays no part here (C12).
#[derive(Clone, Debug, Default)]
pub(crate) struct Parent {
    /// Absent while only orders of it have been adopted.
    pub(crate) wish: Option<Wish>,
    pub(crate) total: Qty,
    pub(crate) filled: Qty,
    pub(crate) working: Qty,
    live: u32,
    pub(crate) ended: bool,
    pub(crate) messages: Bucket,
    pub(crate) rejects: RejectWatch,
    pub(crate) repeat: RepeatWatch,
    seen: Seen,
}

/// What every child of a parent must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) instrument: InstrumentId,
    pub(crate) side: Side,
    pub(crate) reduce_only: bool,
}

/// Keys used, as ranges in order: children are numbered in order, so a parent has few, and the last one grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen(Vec<(u128, u128)>);

impl Seen {
    /// How many ranges begin at or before `bits`.
    fn before(&self, bits: u128) -> usize {
        match self.0.last() {
            Some((start, _)) if *start <= bits => self.0.len(),
            Some(_) | None => self.0.partition_point(|(start, _)| *start <= bits),
        }
    }

    fn contains(&self, bits: u128) -> bool {
        let before = self.before(bits);
        before > 0 && bits <= self.0[before - 1].1
    }

    fn insert(&mut self, bits: u128) {
        let before = self.before(bits);
        if before > 0 && bits <= self.0[before - 1].1 {
            return;
        }
        let follows = before > 0 && self.0[before - 1].1.checked_add(1) == Some(bits);
        let precedes = self.0.get(before).is_some_and(|(start, _)| bits.checked_add(1) == Some(*start));
        match (follows, precedes) {
            (true, true) => self.0[before - 1].1 = self.0.remove(before).1,
            (true, false) => self.0[before - 1].1 = bits,
            (false, true) => self.0[before].0 = bits,
            (false, false) => self.0.insert(before, (bits, bits)),
        }
    }
}

impl Parent {
    /// Whether `key` was used for it before (C09).
    pub(crate) fn has_seen(&self, key: ClientKey) -> bool {
        self.seen.contains(key.bits())
    }
}

/// What C05 counts of one admission. It is valued when it is read, so that a journal may be folded before the venue has told
/// its markets' rules.
#[derive(Clone, Copy, Debug)]
struct Admission {
    mono: u64,
    instrument: InstrumentId,
    tick_lots: i128,
}

/// One part of a projection, computed in two ways that must agree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Per market: worst-case long and short in lots, and working orders.
    pub markets: BTreeMap<InstrumentId, (Lots, Lots, u32)>,
    /// Per venue: worst-case value, its maintenance, maintenance of the booked positions, loss on orders through the mark.
    pub venues: BTreeMap<Venue, [Usd; 4]>,
    /// Per parent: lots working.
    pub parents: BTreeMap<ParentId, Qty>,
}

/// The running totals differ from a recomputation: a programmer's error (I28).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the guard's running totals {running:?} differ from the recomputed {recomputed:?}")]
pub struct Drift {
    /// What the guard decides on.
    pub running: Box<Totals>,
    /// What it should be.
    pub recomputed: Box<Totals>,
}

/// Everything the guard knows about accounts, markets, parents and working orders.
#[derive(Clone, Debug)]
pub struct Projection {
    index: BTreeMap<InstrumentId, usize>,
    pub(crate) markets: Vec<Market>,
    venues: [VenueState; VENUES.len()],
    orders: BTreeMap<ClientKey, Working>,
    foreign: BTreeMap<(Venue, VenueOrderId), Working>,
    pub(crate) parents: BTreeMap<ParentId, Parent>,
    /// Admissions of the last hour, oldest first.
    admitted: VecDeque<Admission>,
    /// Sums of each group, in the order of `Limits::groups`.
    pub(crate) groups: Vec<GroupSums>,
    pub(crate) care: PortfolioCare,
    pub(crate) stop: StopLevel,
    pub(crate) ready: bool,
}

/// C05 counts parents over this time.
const HOUR: Span = Span::secs(3_600);

/// The domain's bound on prices; what lies outside did not come through it.
const TICKS_MAX: i64 = 1_000_000_000_000_000;

const fn is_price(px: Px) -> bool {
    px.0 > 0 && px.0 <= TICKS_MAX
}

const fn venue_slot(venue: Venue) -> usize {
    match venue {
        Venue::Hyperliquid => 0,
        Venue::Dydx => 1,
    }
}

impl Projection {
    pub(crate) fn new() -> Projection {
        Projection {
            index: BTreeMap::new(),
            markets: Vec::new(),
            venues: std::array::from_fn(|_| VenueState::default()),
            orders: BTreeMap::new(),
            foreign: BTreeMap::new(),
            parents: BTreeMap::new(),
            admitted: VecDeque::new(),
            groups: Vec::new(),
            care: PortfolioCare::default(),
            stop: StopLevel::Run,
            ready: false,
        }
    }

    pub(crate) fn venue(&self, venue: Venue) -> &VenueState {
        &self.venues[venue_slot(venue)]
    }

    pub(crate) fn venue_mut(&mut self, venue: Venue) -> &mut VenueState {
        &mut self.venues[venue_slot(venue)]
    }

    pub(crate) fn venues(&self) -> impl Iterator<Item = (Venue, &VenueState)> {
        VENUES.iter().map(|v| (*v, self.venue(*v)))
    }

    pub(crate) fn slot(&self, id: InstrumentId) -> Option<usize> {
        self.index.get(&id).copied()
    }

    pub(crate) fn market(&self, id: InstrumentId) -> Option<&Market> {
        self.slot(id).map(|slot| &self.markets[slot])
    }

    /// The slot of `id`, made if need be.
    pub(crate) fn open_slot(&mut self, limits: &Limits, id: InstrumentId) -> usize {
        if let Some(slot) = self.slot(id) {
            return slot;
        }
        let slot = self.markets.len();
        self.groups.resize(limits.groups().len(), GroupSums::default());
        self.index.insert(id, slot);
        self.markets.push(Market {
            id,
            caps: limits.caps(id).clone(),
            allowed: limits.allows(id),
            rules: None,
            table: None,
            book: None,
            depth: None,
            measure: None,
            marks: None,
            booked: None,
            view: None,
            frozen: None,
            buys: Ladder::default(),
            sells: Ladder::default(),
            open: 0,
            recent: Recent::default(),
            care: MarketCare::default(),
            group: limits.group_of(id),
            beta: Beta::of(None),
            weighted: Weighted::default(),
            now: Contribution::default(),
            timed: None,
        });
        slot
    }

    pub(crate) fn set_instrument(&mut self, limits: &Limits, instrument: &Instrument) {
        let slot = self.open_slot(limits, instrument.id);
        let market = &mut self.markets[slot];
        // a market whose smallest change in value is no whole unit of money cannot be added up exactly: as good as unknown
        market.rules = unit_of(instrument.tick_lot()).map(|unit| Rules {
            order_lots_max: market.caps.order_size.map(|size| instrument.floor_to_lot(size)),
            notional_min: Money::from_usd(instrument.notional_min),
            instrument: Arc::new(instrument.clone()),
            unit,
        });
        market.choose_table();
        self.refresh(slot);
    }

    pub(crate) fn observe_book(&mut self, limits: &Limits, book: &Arc<Book>) {
        let slot = self.open_slot(limits, book.instrument);
        let priced = book.bid().is_some_and(|bid| is_price(bid.px)) && book.ask().is_some_and(|ask| is_price(ask.px));
        let mid_x2 = if priced && book.is_sane() { book.mid_x2() } else { None };
        let market = &mut self.markets[slot];
        market.book = Some(BookView { mid_x2, venue_ms: book.venue_ms, at: book.at });
        market.depth = Some(Arc::clone(book));
    }

    pub(crate) fn observe_marks(&mut self, limits: &Limits, marks: &Marks) {
        let slot = self.open_slot(limits, marks.instrument);
        // F40: nothing follows from a price that is none
        if is_price(marks.mark) && is_price(marks.oracle) {
            let market = &mut self.markets[slot];
            let mid_x2 = market.book.filter(|book| marks.at.since(book.at) <= market.caps.book_age).and_then(|book| book.mid_x2);
            market.care.oracle.observe(limits, marks, mid_x2);
            market.marks = Some(*marks);
            self.refresh(slot);
        }
    }

    pub(crate) fn observe_measure(&mut self, limits: &Limits, measure: &Measure) {
        let slot = self.open_slot(limits, measure.instrument);
        let market = &mut self.markets[slot];
        market.measure = Some(*measure);
        market.beta = Beta::of(market.measure.as_ref());
        self.refresh(slot);
    }

    pub(crate) fn observe_account(&mut self, limits: &Limits, account: &AccountView) {
        self.venue_mut(account.venue).account = Some(Account {
            equity: Money::from_usd(account.equity),
            reported: account.equity,
            maintenance: Money::from_usd(account.maintenance),
            at: account.at,
        });
        let mut listed: BTreeMap<usize, PositionView> = BTreeMap::new();
        for view in account.positions.iter().filter(|v| v.instrument.venue() == account.venue) {
            listed.insert(self.open_slot(limits, view.instrument), *view);
        }
        for slot in 0..self.markets.len() {
            let market = &mut self.markets[slot];
            if market.id.venue() != account.venue {
                continue;
            }
            let view = listed.get(&slot).copied();
            if view != market.view {
                market.view = view;
                market.choose_table();
                self.refresh(slot);
            }
        }
    }

    pub(crate) fn set_position(&mut self, limits: &Limits, id: InstrumentId, position: Lots) {
        let slot = self.open_slot(limits, id);
        self.markets[slot].booked = Some(position);
        self.refresh(slot);
    }

    pub(crate) fn set_stream(&mut self, venue: Venue, kind: StreamKind, health: StreamHealth) {
        let state = self.venue_mut(venue);
        match kind {
            StreamKind::Market => state.market_stream = Some(health),
            StreamKind::Account => state.account_stream = Some(health),
        }
    }

    /// The position of the books; flat where neither the books nor the venue's report know of one. `None`: the venue reports
    /// one that the books were never told of, or nothing has been reported yet.
    pub(crate) fn position(&self, market: &Market) -> Option<Lots> {
        match market.booked {
            Some(lots) => Some(lots),
            None if self.venue(market.id.venue()).account.is_some() && market.view.is_none_or(|v| v.lots == Lots::ZERO) => {
                Some(Lots::ZERO)
            }
            None => None,
        }
    }

    /// What `market` contributes as it stands.
    fn contribution(&self, market: &Market) -> Contribution {
        let position = self.position(market);
        let held = position.unwrap_or_default().0;
        let (long, short) = (held.saturating_add(market.buys.lots), held.saturating_sub(market.sells.lots));
        let worst = long.saturating_abs().max(short.saturating_abs());
        let unknown = position.is_none() && market.view.is_some();
        let mut of = Contribution { long, short, exposed: worst > 0 || unknown, ..Contribution::default() };
        if !of.exposed {
            return of;
        }
        let Some((rules, tiers, mark)) = market.valuation().filter(|_| !unknown) else {
            of.blind = true;
            return of;
        };
        of.gross = Money::value(mark.0, worst, rules.unit);
        of.maintenance = tiers.maintenance(of.gross);
        of.maintenance_now = match held.saturating_abs() {
            0 => Money::ZERO,
            same if same == worst => of.maintenance,
            less => tiers.maintenance(Money::value(mark.0, less, rules.unit)),
        };
        let through = market.buys.through(Side::Buy, mark) + market.sells.through(Side::Sell, mark);
        of.adverse = Money::sum_of(through, rules.unit);
        of
    }

    /// Brings the totals up to date after anything about the market changed.
    pub(crate) fn refresh(&mut self, slot: usize) {
        let after = self.contribution(&self.markets[slot]);
        self.apply(slot, after);
    }

    pub(crate) fn apply(&mut self, slot: usize, after: Contribution) {
        let market = &mut self.markets[slot];
        let before = std::mem::replace(&mut market.now, after);
        let time = market.marks.map(|m| m.at.mono);
        if let Some(sums) = market.group.and_then(|group| self.groups.get_mut(group)) {
            let weighted = market.weigh(&after);
            *sums = sums.moved(&market.weighted, &weighted);
            market.weighted = weighted;
        }
        let venue = &mut self.venues[venue_slot(market.id.venue())];
        venue.gross = venue.gross.plus(after.gross).minus(before.gross);
        venue.maintenance = venue.maintenance.plus(after.maintenance).minus(before.maintenance);
        venue.maintenance_now = venue.maintenance_now.plus(after.maintenance_now).minus(before.maintenance_now);
        venue.adverse = venue.adverse.plus(after.adverse).minus(before.adverse);
        if after.blind != before.blind {
            if after.blind {
                venue.blind.insert(slot);
            } else {
                venue.blind.remove(&slot);
            }
        }
        let timed = if after.exposed && !after.blind { time } else { None };
        if market.timed != timed {
            if let Some(old) = market.timed {
                venue.mark_times.remove(&(old, slot));
            }
            if let Some(new) = timed {
                venue.mark_times.insert((new, slot));
            }
            market.timed = timed;
        }
    }

    // ---- parents

    /// Value of all parents admitted in the hour before `at`.
    ///
    /// # Errors
    /// The market whose rules are unknown, so that its parents cannot be valued.
    pub(crate) fn hour_total(&self, at: Stamp) -> Result<Money, InstrumentId> {
        let start = at.mono.saturating_sub(HOUR.0);
        let mut total = Money::ZERO;
        for one in self.admitted.iter().filter(|one| one.mono >= start) {
            let rules = self.market(one.instrument).and_then(|m| m.rules.as_ref()).ok_or(one.instrument)?;
            total = total.plus(Money::sum_of(one.tick_lots, rules.unit));
        }
        Ok(total)
    }

    pub(crate) fn count_admission(&mut self, at: Stamp, instrument: InstrumentId, px: Px, qty: Qty) {
        let start = at.mono.saturating_sub(HOUR.0);
        while self.admitted.front().is_some_and(|one| one.mono < start) {
            self.admitted.pop_front();
        }
        let tick_lots = i128::from(px.0) * i128::from(qty.0);
        self.admitted.push_back(Admission { mono: at.mono, instrument, tick_lots });
    }

    /// Registers a parent. Orders of it that were counted before stay counted.
    pub(crate) fn add_parent(&mut self, spec: &ParentSpec) {
        let parent = self.parents.entry(spec.id).or_default();
        let wish = Wish { instrument: spec.instrument, side: spec.side, reduce_only: spec.reduce_only };
        if parent.wish.is_none() {
            parent.total = spec.qty;
        }
        parent.wish.get_or_insert(wish);
    }

    pub(crate) fn is_registered(&self, id: ParentId) -> bool {
        self.parents.get(&id).is_some_and(|p| p.wish.is_some())
    }

    pub(crate) fn end_parent(&mut self, id: ParentId) {
        if let Some(parent) = self.parents.get_mut(&id) {
            parent.ended = true;
        }
        self.forget_parent(id);
    }

    /// An ended parent is forgotten with its last order, so that memory follows live parents.
    fn forget_parent(&mut self, id: ParentId) {
        if self.parents.get(&id).is_some_and(|p| (p.ended || p.wish.is_none()) && p.live == 0) {
            self.parents.remove(&id);
        }
    }

    // ---- orders

    pub(crate) fn is_working(&self, key: ClientKey) -> bool {
        self.orders.contains_key(&key)
    }

    /// Counts an order that may fill by `remaining`, without judging. Counting one again replaces its remaining quantity.
    pub(crate) fn adopt(&mut self, limits: &Limits, intent: &Intent, remaining: Qty) {
        let slot = self.open_slot(limits, intent.child.instrument);
        if let Some(before) = self.release_order(intent.key)
            && before != slot
        {
            self.refresh(before);
        }
        let remaining = Qty(remaining.0.max(0));
        self.count_order(slot, intent, remaining);
        self.count_child(intent, remaining);
        self.refresh(slot);
    }

    /// Counts an order that was just cleared and is not counted yet, whose market then contributes `after`; remembers it for
    /// C09 and spends its message (C07).
    pub(crate) fn reserve(&mut self, limits: &Limits, at: Stamp, slot: usize, intent: &Intent, after: Contribution) {
        let child = &intent.child;
        self.count_order(slot, intent, child.qty);
        self.apply(slot, after);
        self.markets[slot].recent.note(limits, at, child);
        self.venue_mut(child.instrument.venue()).messages.spend(at, limits.venue_rate);
        let parent = self.count_child(intent, child.qty);
        parent.messages.spend(at, limits.parent_rate);
        parent.repeat.sent(limits.repeat(), at, child.px);
    }

    fn count_order(&mut self, slot: usize, intent: &Intent, remaining: Qty) {
        let child = &intent.child;
        let order = Working { slot, side: child.side, px: child.px, remaining, reducing: child.reduce_only };
        self.count(&order);
        self.orders.insert(intent.key, order);
    }

    fn count_child(&mut self, intent: &Intent, remaining: Qty) -> &mut Parent {
        let parent = self.parents.entry(intent.key.parent()).or_default();
        parent.working += remaining;
        parent.live += 1;
        parent.seen.insert(intent.key.bits());
        parent
    }

    pub(crate) fn spend_message(&mut self, limits: &Limits, at: Stamp, venue: Venue, parent: ParentId) {
        self.venue_mut(venue).messages.spend(at, limits.venue_rate);
        if let Some(parent) = self.parents.get_mut(&parent) {
            parent.messages.spend(at, limits.parent_rate);
        }
    }

    pub(crate) fn filled(&mut self, key: ClientKey, qty: Qty) {
        let qty = Qty(qty.0.max(0));
        let mut taken = Qty::ZERO;
        if let Some(order) = self.orders.get_mut(&key) {
            taken = Qty(qty.0.min(order.remaining.0));
            order.remaining = order.remaining.minus(taken);
            let (slot, side, px, reducing) = (order.slot, order.side, order.px, order.reducing);
            let ladder = self.markets[slot].ladder(side);
            ladder.shrink(px, taken.0);
            ladder.reducing -= if reducing { taken.0 } else { 0 };
            self.refresh(slot);
        }
        if let Some(parent) = self.parents.get_mut(&key.parent()) {
            parent.filled += qty;
            parent.working = parent.working.minus(taken);
            if qty > Qty::ZERO {
                parent.repeat.filled();
            }
        }
    }

    pub(crate) fn gone(&mut self, key: ClientKey) {
        if let Some(slot) = self.release_order(key) {
            self.refresh(slot);
            self.forget_parent(key.parent());
        }
    }

    fn release_order(&mut self, key: ClientKey) -> Option<usize> {
        let order = self.orders.remove(&key)?;
        self.uncount(&order);
        if let Some(parent) = self.parents.get_mut(&key.parent()) {
            parent.working = parent.working.minus(order.remaining);
            parent.live = parent.live.saturating_sub(1);
        }
        Some(order.slot)
    }

    pub(crate) fn adopt_foreign(&mut self, limits: &Limits, report: &OrderReport) {
        if report.key.is_some_and(|key| self.is_working(key)) {
            return;
        }
        let venue = report.instrument.venue();
        self.foreign_gone(venue, &report.order);
        let ended = match report.state {
            // nothing follows from a word we do not know, so the order may be working
            ReportedState::Open | ReportedState::Unrecognised => false,
            ReportedState::Filled | ReportedState::Canceled | ReportedState::Rejected => true,
        };
        if ended {
            return;
        }
        let slot = self.open_slot(limits, report.instrument);
        let remaining = Qty(report.remaining.0.max(0));
        let order = Working { slot, side: report.side, px: report.px, remaining, reducing: false };
        self.count(&order);
        self.foreign.insert((venue, report.order.clone()), order);
        self.refresh(slot);
    }

    pub(crate) fn foreign_gone(&mut self, venue: Venue, order: &VenueOrderId) {
        if let Some(order) = self.foreign.remove(&(venue, order.clone())) {
            self.uncount(&order);
            self.refresh(order.slot);
        }
    }

    fn count(&mut self, order: &Working) {
        let market = &mut self.markets[order.slot];
        let ladder = market.ladder(order.side);
        ladder.add(order.px, order.remaining.0);
        ladder.reducing += order.reducing_lots();
        market.open += 1;
        self.venues[venue_slot(market.id.venue())].open += 1;
    }

    fn uncount(&mut self, order: &Working) {
        let market = &mut self.markets[order.slot];
        let ladder = market.ladder(order.side);
        ladder.remove(order.px, order.remaining.0);
        ladder.reducing -= order.reducing_lots();
        market.open -= 1;
        self.venues[venue_slot(market.id.venue())].open -= 1;
    }

    // ---- checks

    /// The totals that decisions are made on.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for market in &self.markets {
            totals.markets.insert(market.id, (Lots(market.now.long), Lots(market.now.short), market.open));
        }
        for (venue, state) in self.venues() {
            let sums = [state.gross, state.maintenance, state.maintenance_now, state.adverse];
            totals.venues.insert(venue, sums.map(Money::usd));
        }
        for (id, parent) in &self.parents {
            totals.parents.insert(*id, parent.working);
        }
        totals
    }

    /// The same totals from positions, orders, marks and rules alone, by plain sums in the domain's own decimals (I28).
    #[must_use]
    pub fn from_scratch(&self) -> Totals {
        let mut totals = Totals::default();
        for venue in VENUES {
            totals.venues.insert(venue, [Usd::ZERO; 4]);
        }
        for (slot, market) in self.markets.iter().enumerate() {
            let working = || self.orders.values().chain(self.foreign.values()).filter(|o| o.slot == slot);
            let lots_of = |side: Side| working().filter(|o| o.side == side).map(|o| o.remaining.0).sum::<i64>();
            let held = self.position(market).unwrap_or_default();
            let (long, short) = (held + Lots(lots_of(Side::Buy)), held - Lots(lots_of(Side::Sell)));
            let open = u32::try_from(working().count()).unwrap_or(u32::MAX);
            totals.markets.insert(market.id, (long, short, open));
            let unknown = self.position(market).is_none() && market.view.is_some();
            let (Some(rules), Some(marks), Some((table, _)), false) = (&market.rules, market.marks, &market.table, unknown)
            else {
                continue;
            };
            let instrument = &rules.instrument;
            let worst = if long.abs() > short.abs() { long.abs() } else { short.abs() };
            let gross = instrument.notional(marks.mark, worst);
            let mut adverse = Usd::ZERO;
            for order in working() {
                let loss = match order.side {
                    Side::Buy => order.px.0 - marks.mark.0,
                    Side::Sell => marks.mark.0 - order.px.0,
                };
                if loss > 0 {
                    adverse += instrument.notional(Px(loss), order.remaining);
                }
            }
            let maintenance = |value: Usd| if value == Usd::ZERO { Usd::ZERO } else { table.maintenance(value) };
            let now = maintenance(instrument.notional(marks.mark, held.abs()));
            if let Some(sums) = totals.venues.get_mut(&market.id.venue()) {
                for (sum, more) in sums.iter_mut().zip([gross, maintenance(gross), now, adverse]) {
                    *sum += more;
                }
            }
        }
        for id in self.parents.keys() {
            let of_parent = self.orders.iter().filter(|(key, _)| key.parent() == *id);
            totals.parents.insert(*id, of_parent.map(|(_, o)| o.remaining).sum());
        }
        totals
    }
}

impl Market {
    /// Rules, margin and mark, if all are known.
    fn valuation(&self) -> Option<(&Rules, &Tiers, Px)> {
        Some((self.rules.as_ref()?, &self.table.as_ref()?.1, self.marks.as_ref()?.mark))
    }

    /// What `contribution` of this market adds to its group; nothing while it cannot be valued, which stops increases by itself.
    pub(crate) fn weigh(&self, contribution: &Contribution) -> Weighted {
        let Some((rules, _, mark)) = self.valuation().filter(|_| contribution.exposed && !contribution.blind) else {
            return Weighted::default();
        };
        let value = |lots: i64| Money::value(mark.0, lots, rules.unit);
        Weighted::of(self.beta, value(contribution.long), value(contribution.short), contribution.gross)
    }

    /// What the market would contribute with one more order: its present contribution, moved by the order alone.
    pub(crate) fn with_order(&self, side: Side, qty: Qty, px: Px) -> Contribution {
        let mut of = self.now;
        match side {
            Side::Buy => of.long = of.long.saturating_add(qty.0),
            Side::Sell => of.short = of.short.saturating_sub(qty.0),
        }
        let worst = of.long.saturating_abs().max(of.short.saturating_abs());
        of.exposed |= worst > 0;
        let Some((rules, tiers, mark)) = self.valuation().filter(|_| !of.blind) else {
            of.blind = of.exposed;
            return of;
        };
        of.gross = Money::value(mark.0, worst, rules.unit);
        of.maintenance = tiers.maintenance(of.gross);
        let through = px.0.saturating_sub(mark.0).saturating_mul(side.sign());
        if through > 0 {
            of.adverse = of.adverse.plus(Money::value(through, qty.0, rules.unit));
        }
        of
    }

    fn ladder(&mut self, side: Side) -> &mut Ladder {
        match side {
            Side::Buy => &mut self.buys,
            Side::Sell => &mut self.sells,
        }
    }

    /// The best price at which an order of `side` could meet one of our own.
    pub(crate) fn own_opposite(&self, side: Side) -> Option<Px> {
        match side {
            Side::Buy => self.sells.lowest(),
            Side::Sell => self.buys.highest(),
        }
    }

    /// An account may have its own highest leverage in a market, reported with the position. It replaces the first tier's and
    /// caps the higher ones. A value that is no leverage is not believed.
    fn choose_table(&mut self) {
        let Some(rules) = &self.rules else {
            self.table = None;
            return;
        };
        let market = &rules.instrument.margin;
        let own = self.view.map(|v| v.leverage_max).filter(|own| *own != rules.instrument.leverage_max);
        let adjusted = own.and_then(|own| {
            let steps: Vec<_> = market
                .tiers()
                .iter()
                .enumerate()
                .map(|(k, tier)| (tier.from, if k == 0 { own } else { own.min(tier.leverage_max) }))
                .collect();
            MarginTable::new(&steps).ok()
        });
        let table = adjusted.unwrap_or_else(|| market.clone());
        let tiers = Tiers::of(&table);
        self.table = Some((table, tiers));
    }
}

#[cfg(test)]
mod tests;
