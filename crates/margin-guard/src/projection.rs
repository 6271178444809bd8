//! The account as it would be if every working order filled against us, kept up to date one observation at a time.
//!
//! Each market keeps its own worst case; each venue keeps the sum of its markets', so a decision reads the same few numbers
//! whether there is one position or five hundred. [`Projection::from_scratch`] computes the same totals the slow, obvious way
//! (I28).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::bucket::Bucket;
use crate::care::{MarketCare, PortfolioCare};
use crate::exit::ExitSeen;
use crate::groups::{Beta, GroupSums, Weighted};
use crate::limits::{Limits, VENUES, venue_slot};
use crate::money::{Money, unit_of};
use crate::scenario::{Plan, Shape};
use domain::{
    AccountView, Book, ClientKey, Instrument, InstrumentId, Intent, Lots, MarginLevel, Marks, Measure, OrderReport, ParentId,
    ParentSpec, PositionView, Px, Qty, ReportedState, Side, Span, Stamp, Stops, StreamHealth, StreamKind, Usd, Venue,
    VenueOrderId,
};

mod ladder;
mod load;
mod market;
mod parent;
mod recent;
mod replace;
mod totals;

use ladder::Ladder;
pub(crate) use load::Moved;
use load::{Load, Sums};
use market::Stress;
pub(crate) use market::{BookView, Market, Rules};
pub(crate) use parent::{Parent, Wish};
use recent::Recent;
pub use totals::{Drift, Totals};

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
    /// What must stay free for the time that leaving or refilling takes, and what lasts for the least runway (quant §1.10).
    pub(crate) buffer: Money,
    pub(crate) runway: Money,
    /// There is a position or a working order.
    pub(crate) exposed: bool,
    /// It is exposed and cannot be valued: rules, marks or position are missing.
    pub(crate) blind: bool,
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
    pub(crate) buffer: Money,
    pub(crate) runway: Money,
    /// What the reported cross positions have gained since their report, at the marks.
    pub(crate) since_report: Money,
    pub(crate) blind: BTreeSet<usize>,
    /// Receipt time of the marks of every exposed market, oldest first.
    pub(crate) mark_times: BTreeSet<(u64, usize)>,
    pub(crate) open: u32,
    pub(crate) messages: Bucket,
    pub(crate) level: MarginLevel,
    /// What drills say of the way out.
    pub(crate) exit: ExitSeen,
    /// Under the configured shocks.
    pub(crate) sums: Sums,
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

    /// Equity as reported, less what the reported positions have lost since: marks come more often than reports. A gain is not
    /// believed before the venue reports it.
    pub(crate) fn equity_marked(&self) -> Option<Money> {
        Some(self.account?.equity.plus(self.since_report.at_most_zero()))
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

/// What C05 counts of one admission. It is valued when it is read, so that a journal may be folded before the venue has told
/// its markets' rules.
#[derive(Clone, Copy, Debug)]
struct Admission {
    mono: u64,
    instrument: InstrumentId,
    tick_lots: i128,
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
    pub(crate) stops: Stops,
    pub(crate) ready: bool,
    /// What every account must withstand.
    pub(crate) plan: Plan,
}

/// C05 counts parents over this time.
const HOUR: Span = Span::secs(3_600);

/// The domain's bound on prices; what lies outside did not come through it.
const TICKS_MAX: i64 = 1_000_000_000_000_000;

const fn is_price(px: Px) -> bool {
    px.0 > 0 && px.0 <= TICKS_MAX
}

impl Projection {
    pub(crate) fn new(limits: &Limits) -> Projection {
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
            stops: Stops::default(),
            ready: false,
            plan: Plan::of(limits),
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
            wide: None,
            measure: None,
            marks: None,
            booked: None,
            view: None,
            frozen: None,
            buys: Ladder::default(),
            sells: Ladder::default(),
            open: 0,
            recent: Recent::default(),
            reported_at: None,
            since_report: Money::ZERO,
            care: MarketCare::default(),
            group: limits.group_of(id),
            beta: Beta::of(None),
            weighted: Weighted::default(),
            now: Contribution::default(),
            load: Load::new(Shape::new(Plan::shocks(limits, id))),
            stress: Stress::default(),
            doubted: true,
            exit_minutes: self.venues[venue_slot(id.venue())].exit.delay_min,
            faded: false,
            timed: None,
        });
        self.markets[slot].restress(limits);
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
            let before = market.marks.and_then(|m| m.funding_hourly);
            market.marks = Some(*marks);
            if before != marks.funding_hourly {
                market.refund();
            }
            market.reprice();
            self.refresh(slot);
        }
    }

    pub(crate) fn observe_measure(&mut self, limits: &Limits, measure: &Measure) {
        let slot = self.open_slot(limits, measure.instrument);
        let market = &mut self.markets[slot];
        market.measure = Some(*measure);
        market.beta = Beta::of(market.measure.as_ref());
        market.restress(limits);
        market.reprice();
        self.refresh(slot);
    }

    /// Whether a question about `slot`'s venue is open, and whether what was measured of the market has grown too old.
    pub(crate) fn set_doubts(&mut self, limits: &Limits, slot: usize, doubted: bool, faded: bool) {
        let market = &mut self.markets[slot];
        if (market.doubted, market.faded) != (doubted, faded) {
            (market.doubted, market.faded) = (doubted, faded);
            market.restress(limits);
            market.reprice();
            self.refresh(slot);
        }
    }

    /// How long leaving `venue` or refilling it was seen to take.
    pub(crate) fn set_exit(&mut self, limits: &Limits, venue: Venue, minutes: u32) {
        for slot in 0..self.markets.len() {
            let market = &mut self.markets[slot];
            if market.id.venue() == venue && market.exit_minutes != minutes {
                market.exit_minutes = minutes;
                market.restress(limits);
                market.reprice();
                self.refresh(slot);
            }
        }
    }

    pub(crate) fn observe_account(&mut self, limits: &Limits, account: &AccountView) {
        self.venue_mut(account.venue).account = Some(Account {
            equity: Money::from_usd(account.equity),
            reported: account.equity,
            maintenance: Money::from_usd(account.maintenance),
            at: account.at,
        });
        self.venue_mut(account.venue).since_report = Money::ZERO;
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
            market.reported_at = market.marks.map(|m| m.mark);
            market.since_report = Money::ZERO;
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
        [of.buffer, of.runway] = market.load.slopes.cushions(worst);
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
        let market = &mut self.markets[slot];
        let gained = market.gained();
        let before = std::mem::replace(&mut market.since_report, gained);
        let venue = &mut self.venues[venue_slot(market.id.venue())];
        venue.since_report = venue.since_report.plus(gained).minus(before);
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
        market.reload(slot, &mut venue.sums, self.plan.names.len(), self.plan.cover);
        venue.gross = venue.gross.plus(after.gross).minus(before.gross);
        venue.maintenance = venue.maintenance.plus(after.maintenance).minus(before.maintenance);
        venue.maintenance_now = venue.maintenance_now.plus(after.maintenance_now).minus(before.maintenance_now);
        venue.adverse = venue.adverse.plus(after.adverse).minus(before.adverse);
        venue.buffer = venue.buffer.plus(after.buffer).minus(before.buffer);
        venue.runway = venue.runway.plus(after.runway).minus(before.runway);
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
}

#[cfg(test)]
mod tests;
