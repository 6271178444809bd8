use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use desk::{BootError, Cancel, CollateralRead, Desk, DeskConfig, Effect, ForeignPolicy, Tenure};
use domain::{
    Alert, ClientKey, Command, CommandReply, Epoch, Expiry, Fact, Instrument, InstrumentId, Intent, JournalTag, Lost, ParentId,
    ParentSpec, Prng, Receipt, Reject, RejectKind, Seed, SendOutcome, Span, SpecFault, Stamp, Stamped, StopLevel, StopScope,
    StreamHealth, StreamKind, TransferIntent, Usd, Venue, VenueSnapshot, WriteAhead,
};
use exchange::{AccountKey, Asset, BadSpec, Event, Exchange, ExchangeSpec, NewOrder, Op, OpResult, OrderRef, TimedEvent};
use margin_guard::{Cleared, ClearedTransfer, Limits, Released, ReleasedTransfer, release_all};

use crate::money::{Money, Outside};
use crate::venue;

/// The venue refuses what is older than this many milliseconds beyond its expiry; the daemon's own deadline for an answer.
pub(crate) const ANSWER_DEADLINE: Span = Span::secs(5);
/// A tenure that no daemon has: of the keys of orphans.
pub(crate) const ORPHAN_EPOCH: Epoch = Epoch(0xFFFF);
/// Before the kill path's first look, and between two.
const SWEEP_FIRST: Span = Span::millis(250);
const SWEEP_AGAIN: Span = Span::secs(1);
/// Steps without virtual time passing that mean that the desk spins.
const STEPS_PER_INSTANT: u32 = 1_000;

/// What may go wrong, each as so many per thousand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A placement reaches the venue, and its answer is lost (F15, F16).
    pub answer_lost: u64,
    /// A placement never reaches the venue (F17).
    pub request_lost: u64,
    /// A placement is held up on its way for up to twenty seconds, long past the deadline for its answer: it lands when nobody
    /// expects it any more, also after its sender died, or arrives expired (F19, F63).
    pub held_up: u64,
    /// A fill or order update is told a second time, later (F23).
    pub told_twice: u64,
    /// A fill or order update arrives up to two seconds late, overtaken by younger ones (F24).
    pub told_late: u64,
    /// A fill or order update is never told by the stream (F04).
    pub not_told: u64,
    /// A cancel never reaches the venue.
    pub cancel_lost: u64,
    /// A read fails.
    pub read_fails: u64,
    /// A read is answered up to eight seconds late, with what was true when the venue read it.
    pub read_late: u64,
    /// The account stream breaks for a few seconds, per second of virtual time (F06).
    pub stream_breaks: u64,
    /// The daemon dies and is booted from its journal soon after, per second of virtual time, and a quarter as often between
    /// an intent and its durability and between that and its sending (F51, F52).
    pub crashes: u64,
    /// A person trades the same account by hand, or leaves an order resting, per second of virtual time (F102).
    pub strangers: u64,
    /// An order of our key space that the journal does not know turns up, per second of virtual time.
    pub orphans: u64,
    /// The venue begins to take post-only orders alone for ten seconds, per second of virtual time (F27).
    pub post_only: u64,
}

impl Faults {
    /// A mix drawn from `seed`: about half of the kinds are off, so that rare combinations are met too.
    #[must_use]
    pub fn draw(seed: Seed) -> Faults {
        let mut prng = seed.fork("lab.faults.mix");
        let mut draw = |most: u64| if prng.chance(1, 2) { prng.below(most) } else { 0 };
        Faults {
            answer_lost: draw(150),
            request_lost: draw(150),
            held_up: draw(150),
            told_twice: draw(300),
            told_late: draw(300),
            not_told: draw(200),
            cancel_lost: draw(200),
            read_fails: draw(200),
            read_late: draw(200),
            stream_breaks: draw(60),
            crashes: draw(80),
            // each of these stops a market until a person has looked
            strangers: draw(20),
            orphans: draw(10),
            post_only: draw(30),
        }
    }
}

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct WorldSpec {
    /// Decides everything that is not given here.
    pub seed: Seed,
    /// The venue.
    pub exchange: ExchangeSpec,
    /// Markets that the desk trades.
    pub markets: Vec<Asset>,
    /// What the account starts with.
    pub balance: Usd,
    /// The guard's limits.
    pub limits: Limits,
    /// One way between daemon and venue, least and most.
    pub latency: (Span, Span),
    /// The venue's clock minus the daemon's, milliseconds (F77).
    pub clock_offset_ms: i64,
    /// What goes wrong.
    pub faults: Faults,
    /// Money besides the perpetuals balance, and who looks after it.
    pub money: Option<Money>,
}

/// Why a world came to a halt.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The venue's specification is not one.
    #[error("the world's venue: {0}")]
    Venue(#[from] BadSpec),
    /// The daemon could not boot from its own journal.
    #[error("the daemon could not boot from its journal at {at:?}")]
    Boot {
        /// When.
        at: Stamp,
        /// Why.
        #[source]
        source: BootError,
    },
    /// The guard's proof and the desk's entries disagree.
    #[error("a step of the desk could not be released: {0}")]
    Release(String),
    /// The desk wants to be woken again and again without time passing.
    #[error("the desk does not let time pass at {0:?}")]
    Spinning(Stamp),
}

/// On its way somewhere.
#[derive(Debug)]
pub(crate) enum Travel {
    Fact(Fact),
    /// One action, and whether its answer still finds somebody who waits for it.
    Place(Vec<Intent>, bool),
    Cancel(Cancel),
    Read {
        keys: Vec<ClientKey>,
        fills_since_ms: u64,
        asked: Stamp,
    },
    Burn(u64),
    /// A transfer inside the venue; whether it was sent before, and whether its answer still finds somebody who waits for it.
    Transfer(TransferIntent, bool, bool),
    Collateral(CollateralRead, Stamp),
    StreamBack,
    Restart,
    /// The kill path looks whether the venue is empty in these markets, or everywhere.
    Sweep(Vec<InstrumentId>),
}

/// A daemon and its venue in virtual time.
pub struct World {
    pub(crate) spec: WorldSpec,
    start_ms: u64,
    mono: u64,
    pub(crate) exchange: Exchange,
    pub(crate) account: AccountKey,
    background: Box<dyn Iterator<Item = TimedEvent>>,
    next_background: Option<TimedEvent>,
    pub(crate) desk: Option<Desk>,
    epoch: u32,
    log: Vec<Stamped>,
    travel: BTreeMap<(u64, u64), Travel>,
    travels: u64,
    asked_commands: u64,
    replies: BTreeMap<u64, CommandReply>,
    pub(crate) used_nonces: BTreeSet<u64>,
    stream_up: bool,
    latency: Prng,
    pub(crate) chance: Prng,
    calm: bool,
    /// What the venue tells of the past, to each daemon anew.
    history: Vec<Fact>,
    next_second: u64,
    crashes: u32,
    orphans: u32,
    reads: u64,
    /// Nonces that a burn used up.
    pub(crate) burnt: BTreeSet<u64>,
    /// Whether the transfer with a nonce that was used moved anything.
    pub(crate) moved: BTreeMap<u64, bool>,
    pub(crate) outside: Option<Box<dyn Outside>>,
    /// What happened at the venue that no journal shows.
    pub(crate) seen: BTreeMap<&'static str, u32>,
    /// What left although it should not have.
    pub(crate) passed: Vec<String>,
    told: Vec<Alert>,
}

/// A journal in memory whose appends are always durable at once.
struct Memory<'a>(&'a std::cell::RefCell<Vec<Stamped>>, Epoch);

#[derive(Debug, thiserror::Error)]
#[error("memory does not fail")]
struct Never;

impl WriteAhead for Memory<'_> {
    type Error = Never;
    fn append(&self, entries: Vec<Stamped>) -> impl Future<Output = Result<Receipt, Never>> + Send {
        let mut log = self.0.borrow_mut();
        let first = u64::try_from(log.len()).unwrap_or(u64::MAX) + 1;
        log.extend(entries);
        let last = u64::try_from(log.len()).unwrap_or(u64::MAX);
        std::future::ready(Ok(Receipt { first, last, epoch: self.1 }))
    }
}

impl World {
    /// Marks the daemon's keys.
    pub const TAG: JournalTag = JournalTag(0x4C41_4221);

    /// A world at rest: the daemon has booted over an empty journal and nothing has happened yet.
    ///
    /// # Errors
    /// If the venue's specification is not one.
    pub fn new(spec: WorldSpec, background: impl Iterator<Item = TimedEvent> + 'static) -> Result<World, WorldError> {
        World::with(spec, background, None)
    }

    /// The same, with something outside of the venue.
    ///
    /// # Errors
    /// As for [`World::new`].
    pub fn with(
        spec: WorldSpec,
        background: impl Iterator<Item = TimedEvent> + 'static,
        outside: Option<Box<dyn Outside>>,
    ) -> Result<World, WorldError> {
        let start_ms = spec.exchange.start_ms;
        let mut exchange = Exchange::new(spec.exchange.clone(), spec.seed)?;
        let account = AccountKey([0xAC; 20]);
        // funding an account cannot be refused; if it were, the first order would say so
        let funded = exchange.submit(start_ms, account, Op::Deposit { amount: spec.balance });
        assert_eq!(funded, OpResult::Default, "invariant: a deposit into a new world is accepted");
        exchange.drain_events();
        let mut world = World {
            start_ms,
            mono: 0,
            exchange,
            account,
            background: Box::new(background),
            next_background: None,
            desk: None,
            epoch: 0,
            log: Vec::new(),
            travel: BTreeMap::new(),
            travels: 0,
            asked_commands: 0,
            replies: BTreeMap::new(),
            used_nonces: BTreeSet::new(),
            stream_up: false,
            latency: spec.seed.fork("lab.latency"),
            chance: spec.seed.fork("lab.faults"),
            calm: false,
            history: Vec::new(),
            next_second: 1_000_000_000,
            crashes: 0,
            orphans: 0,
            reads: 0,
            burnt: BTreeSet::new(),
            moved: BTreeMap::new(),
            outside,
            seen: BTreeMap::new(),
            passed: Vec::new(),
            told: Vec::new(),
            spec,
        };
        world.fund();
        world.next_background = world.background.next();
        world.boot()?;
        Ok(world)
    }

    /// The stamp of now, by the daemon's clock.
    #[must_use]
    pub fn now(&self) -> Stamp {
        Stamp { mono: self.mono, wall_ms: self.venue_ms().saturating_add_signed(-self.spec.clock_offset_ms) }
    }

    /// Now by the venue's clock, UTC milliseconds.
    pub(crate) fn venue_ms(&self) -> u64 {
        self.start_ms + self.mono / 1_000_000
    }

    pub(crate) fn note(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// Everything that was made durable, in order.
    #[must_use]
    pub fn log(&self) -> &[Stamped] {
        &self.log
    }

    /// The desk, unless the daemon is dead at this moment.
    #[must_use]
    pub fn desk(&self) -> Option<&Desk> {
        self.desk.as_ref()
    }

    /// The venue.
    #[must_use]
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// The daemon's account.
    #[must_use]
    pub fn account(&self) -> AccountKey {
        self.account
    }

    /// What a person was told, oldest first.
    #[must_use]
    pub fn told(&self) -> &[Alert] {
        &self.told
    }

    /// How often the daemon died.
    #[must_use]
    pub fn crashes(&self) -> u32 {
        self.crashes
    }

    /// How often the venue was read.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads
    }

    /// Rules of the market `asset`.
    #[must_use]
    pub fn instrument(&self, asset: Asset) -> Option<&Instrument> {
        self.exchange.instrument(asset)
    }

    /// From here on nothing goes wrong any more, so everything must come to its end (liveness). Strangers take their orders back.
    pub fn calm(&mut self) {
        self.calm = true;
        let open = self.exchange.open_orders(self.account);
        let orders: Vec<_> = open.iter().filter(|o| o.cloid.is_none()).map(|o| (o.asset, o.oid)).collect();
        if !orders.is_empty() {
            self.exchange.submit(self.venue_ms(), self.account, Op::Cancel { orders });
        }
    }

    /// The venue's history, bars and funding rates: told now, and again to every daemon that boots.
    pub fn learn(&mut self, history: Vec<Fact>) {
        for fact in &history {
            self.tell(fact.clone());
        }
        self.history.extend(history);
    }

    /// Something happens to the venue's markets.
    pub fn strike(&mut self, fault: exchange::Fault) {
        self.exchange.fault(self.venue_ms(), fault);
    }

    /// Asks the desk to admit `spec` and returns its number.
    ///
    /// # Errors
    /// Every fault that the desk names; or that the daemon is dead at this moment.
    pub fn submit(&mut self, spec: ParentSpec) -> Result<ParentId, Vec<SpecFault>> {
        match self.command(Command::Submit(Box::new(spec))) {
            Some(CommandReply::Accepted(id)) => Ok(id),
            Some(CommandReply::Refused(faults)) => Err(faults),
            Some(CommandReply::Done | CommandReply::Waiting { .. } | CommandReply::Drilling(_)) | None => {
                Err(vec![SpecFault { field: "daemon".into(), value: "dead".into(), expected: "a running daemon".into() }])
            }
        }
    }

    /// Has the desk carry out `command`; `None` if the daemon is dead at this moment.
    pub fn command(&mut self, command: Command) -> Option<CommandReply> {
        self.asked_commands += 1;
        let asker = self.asked_commands;
        self.deliver(vec![Fact::Command(asker, command)]).ok()?;
        self.replies.remove(&asker)
    }

    /// Lets virtual time pass until `until` (nanoseconds since the start), or until `done` says so.
    ///
    /// # Errors
    /// If the world comes to a halt.
    pub fn run(&mut self, until: Span, mut done: impl FnMut(&World) -> bool) -> Result<(), WorldError> {
        let mut at_once = 0;
        while self.mono < until.0 && !done(self) {
            let before = self.mono;
            self.step(until.0)?;
            at_once = if self.mono == before { at_once + 1 } else { 0 };
            if at_once > STEPS_PER_INSTANT {
                return Err(WorldError::Spinning(self.now()));
            }
        }
        Ok(())
    }

    fn step(&mut self, until: u64) -> Result<(), WorldError> {
        let background = self.next_background.as_ref().map(|e| e.at_ms.saturating_sub(self.start_ms) * 1_000_000);
        let travel = self.travel.first_key_value().map(|((at, _), _)| *at);
        let wake = self.desk.as_ref().and_then(Desk::wake).map(|(at, _)| at.mono);
        let venue = self.exchange.wake_ms().saturating_sub(self.start_ms).saturating_mul(1_000_000);
        let next = [background, travel, wake, Some(venue), Some(self.next_second), Some(until)].into_iter().flatten().min();
        self.mono = self.mono.max(next.unwrap_or(until));
        let now_ms = self.venue_ms();
        self.exchange.advance(now_ms);
        let mut facts = vec![Fact::Timer];
        while let Some(event) = self.next_background.take_if(|e| e.at_ms <= now_ms) {
            self.exchange.background(now_ms, event.event);
            self.next_background = self.background.next();
        }
        while let Some(entry) = self.travel.first_entry()
            && entry.key().0 <= self.mono
        {
            let arrived = entry.remove();
            self.arrive(arrived, &mut facts)?;
        }
        self.tell_events();
        if self.mono >= self.next_second {
            self.next_second += 1_000_000_000;
            self.pass_outside(&mut facts);
            self.misfortune();
        }
        self.deliver(facts)
    }

    fn boot(&mut self) -> Result<(), WorldError> {
        self.epoch += 1;
        let config = DeskConfig {
            venues: vec![Venue::Hyperliquid],
            instruments: self.spec.markets.iter().filter_map(|a| venue::id(&self.exchange, *a)).collect(),
            expires_after_ms: 10_000,
            reconcile_every: Span::secs(15),
            foreign: ForeignPolicy::Freeze,
            unknown_max: 3,
            operators: Vec::new(),
            flatten: desk::FlattenTerms::default(),
            treasury: self.spec.money.as_ref().map(|money| money.plan.clone()),
        };
        let tenure = Tenure {
            epoch: Epoch(self.epoch),
            tag: World::TAG,
            seed: self.spec.seed,
            binary: "lab".to_owned(),
            config: "lab".to_owned(),
        };
        let mut effects = Vec::new();
        let now = self.now();
        let desk = Desk::boot(config, self.spec.limits.clone(), &tenure, now, &self.log, &mut effects)
            .map_err(|source| WorldError::Boot { at: now, source })?;
        self.desk = Some(desk);
        self.carry_out(effects)?;
        let rules: Vec<Fact> = self
            .spec
            .markets
            .iter()
            .filter_map(|a| self.exchange.instrument(*a))
            .map(|i| Fact::Instrument(std::sync::Arc::new(i.clone())))
            .collect();
        self.stream_up = true;
        self.deliver(rules)?;
        let up = |kind| Fact::Stream(Venue::Hyperliquid, kind, StreamHealth::Up);
        let facts = vec![
            up(StreamKind::Market),
            up(StreamKind::Account),
            Fact::ClockOffset(Venue::Hyperliquid, self.spec.clock_offset_ms),
        ];
        self.deliver(facts)?;
        for asset in self.spec.markets.clone() {
            self.tell_market(asset);
        }
        for fact in self.history.clone() {
            self.tell(fact);
        }
        Ok(())
    }

    fn misfortune(&mut self) {
        if self.calm || self.desk.is_none() {
            return;
        }
        let faults = self.spec.faults;
        if self.stream_up && self.chance.chance(faults.stream_breaks, 1_000) {
            self.stream_up = false;
            self.post(Span::ZERO, Travel::Fact(Fact::Stream(Venue::Hyperliquid, StreamKind::Account, StreamHealth::Down)));
            let back = Span::millis(500 + self.chance.below(5_000));
            self.post(back, Travel::StreamBack);
        }
        if self.chance.chance(faults.strangers, 1_000) {
            self.stranger();
        }
        if self.chance.chance(faults.orphans, 1_000) {
            self.orphan();
        }
        if self.chance.chance(faults.post_only, 1_000) {
            let until_ms = self.venue_ms() + 10_000;
            self.exchange.fault(self.venue_ms(), exchange::Fault::PostOnlyWindow { until_ms });
        }
        if self.chance.chance(faults.crashes, 1_000) {
            self.crash();
        }
    }

    /// Kills the daemon at this moment; it boots again within three seconds. What is on its way to the venue still arrives, what
    /// is on its way to the daemon is lost.
    pub fn crash(&mut self) {
        self.desk = None;
        self.crashes += 1;
        self.stream_up = false;
        self.travel.retain(|_, t| {
            matches!(t, Travel::Place(..) | Travel::Cancel(_) | Travel::Burn(_) | Travel::Transfer(..) | Travel::Restart)
        });
        if let Some(outside) = &mut self.outside {
            outside.die();
        }
        let away = Span::millis(200 + self.chance.below(2_800));
        self.post(away, Travel::Restart);
    }

    /// Someone trades by hand, or leaves an order resting 1 % away from the market.
    fn stranger(&mut self) {
        let takes = self.chance.chance(1, 2);
        let tif = if takes { domain::Tif::ImmediateOrCancel } else { domain::Tif::PostOnly };
        let Some(order) = self.order_by_hand(if takes { -1 } else { 1 }, tif) else { return };
        self.exchange.submit(self.venue_ms(), self.account, place(vec![order]));
        self.note(if takes { "a stranger trades" } else { "a stranger's order rests" });
    }

    /// An order that looks like ours and is in no journal, 2 % away from the market.
    fn orphan(&mut self) {
        let Some(order) = self.order_by_hand(2, domain::Tif::PostOnly) else { return };
        self.orphans += 1;
        let key = ClientKey::derive(World::TAG, ORPHAN_EPOCH, ParentId(0), domain::ChildNo(self.orphans));
        self.exchange.submit(self.venue_ms(), self.account, place(vec![order.cloid(key.bits())]));
        self.note("an orphan rests");
    }

    /// An order of a random market and side, `percent` away from the market, or through it if negative.
    fn order_by_hand(&mut self, percent: i64, tif: domain::Tif) -> Option<NewOrder> {
        let asset = *self.spec.markets.get(usize::try_from(self.chance.below(self.spec.markets.len() as u64)).ok()?)?;
        let side = if self.chance.chance(1, 2) { domain::Side::Buy } else { domain::Side::Sell };
        let mid = self.exchange.mid_x2(asset)? / 2;
        let rules = self.exchange.instrument(asset)?;
        let px = rules.floor_px(domain::Px(mid - side.sign() * mid / 100 * percent));
        // a little more than the venue's smallest value
        let lot = rules.notional(px, domain::Qty(1)).decimal();
        let lots = rules.notional_min.decimal().checked_div(lot)? * rust_decimal::Decimal::TWO;
        let lots = domain::Qty(i64::try_from(lots.ceil()).ok()?);
        Some(NewOrder::limit(rules, side, px, lots, tif.into()))
    }

    pub(crate) fn post(&mut self, after: Span, travel: Travel) {
        self.travels += 1;
        self.travel.insert((self.mono + after.0, self.travels), travel);
    }

    pub(crate) fn post_late(&mut self, travel: Travel) {
        let after = self.one_way();
        self.post(after, travel);
    }

    pub(crate) fn one_way(&mut self) -> Span {
        let (least, most) = self.spec.latency;
        Span(least.0 + self.latency.below(most.0.saturating_sub(least.0) + 1))
    }

    pub(crate) fn bad_luck(&mut self, per_thousand: u64) -> bool {
        !self.calm && self.chance.chance(per_thousand, 1_000)
    }

    fn arrive(&mut self, travel: Travel, facts: &mut Vec<Fact>) -> Result<(), WorldError> {
        match travel {
            Travel::Fact(fact) => facts.push(fact),
            Travel::Place(intents, awaited) => self.place_at_venue(&intents, awaited),
            Travel::Cancel(cancel) => self.cancel_at_venue(&cancel),
            Travel::Read { keys, fills_since_ms, asked } => self.read_at_venue(&keys, fills_since_ms, asked),
            Travel::Transfer(intent, is_again, is_awaited) => self.transfer_at_venue(&intent, is_again, is_awaited),
            Travel::Collateral(read, asked) => self.collateral_at_venue(&read, asked),
            Travel::Burn(nonce) => {
                let burnt = self.used_nonces.insert(nonce);
                if burnt {
                    self.burnt.insert(nonce);
                } else {
                    self.note("a burn comes second");
                }
                self.post_late(Travel::Fact(Fact::NonceBurnt { venue: Venue::Hyperliquid, nonce, burnt }));
            }
            Travel::StreamBack => {
                if self.desk.is_some() {
                    self.stream_up = true;
                    facts.push(Fact::Stream(Venue::Hyperliquid, StreamKind::Account, StreamHealth::Up));
                }
            }
            Travel::Restart => self.boot()?,
            Travel::Sweep(markets) => self.sweep_at_venue(markets),
        }
        Ok(())
    }

    /// One look of the kill path: what is open is cancelled, and it looks again until the venue is empty or what is placed is meant.
    fn sweep_at_venue(&mut self, markets: Vec<InstrumentId>) {
        let Some(desk) = &self.desk else { return };
        let meant = |scope: &StopScope| match markets.first() {
            Some(id) => scope.covers(*id),
            None => !matches!(scope, StopScope::Market(_) | StopScope::Parent(_)),
        };
        let stops = &desk.books().stops;
        let level = markets.first().map_or(stops.level(), |id| stops.market_level(*id));
        if level < StopLevel::Cancel || desk.flattening().iter().any(meant) {
            return;
        }
        let covered =
            |asset: Asset| markets.is_empty() || venue::id(&self.exchange, asset).is_some_and(|id| markets.contains(&id));
        let open = self.exchange.open_orders(self.account);
        let orders: Vec<_> = open.iter().filter(|o| covered(o.asset)).map(|o| (o.asset, o.oid)).collect();
        let empty = orders.is_empty();
        if empty {
            self.post_late(Travel::Fact(Fact::Swept { venue: Venue::Hyperliquid, markets, empty }));
        } else {
            self.exchange.submit(self.venue_ms(), self.account, Op::Cancel { orders });
            self.post(SWEEP_AGAIN, Travel::Sweep(markets));
        }
    }

    /// I20: what leaves while it is stopped is what its stop lets pass. Says so otherwise.
    fn judge_sending(&mut self, intent: &Intent) {
        let Some(desk) = &self.desk else { return };
        let (child, parent) = (&intent.child, intent.key.parent());
        let level = desk.books().stops.parent_level(parent, child.instrument);
        let flattens = desk.flattening().iter().any(|scope| scope.covers(child.instrument));
        let passes = match level {
            StopLevel::Run | StopLevel::ReduceOnly => true,
            StopLevel::Flatten => flattens && child.reduce_only,
            StopLevel::Block | StopLevel::Cancel | StopLevel::Sever => false,
        };
        if !passes {
            self.passed.push(format!("I20: {} left at level {level}: {child:?}", intent.key));
        }
    }

    /// One action: all orders share a nonce.
    fn place_at_venue(&mut self, intents: &[Intent], awaited: bool) {
        let now_ms = self.venue_ms();
        let Some(first) = intents.first() else { return };
        let lost = self.bad_luck(self.spec.faults.answer_lost);
        let refuse = |kind, text: &str| SendOutcome::Rejected(Reject { kind, text: text.to_owned() });
        let expired = matches!(first.expiry, Expiry::AtMs(ms) if now_ms > ms);
        let burnt = self.burnt.contains(&first.nonce);
        match (awaited, expired, burnt) {
            (false, true, _) => self.note("a placement arrives expired"),
            (false, false, true) => self.note("a placement arrives burnt"),
            (false, false, false) => self.note("a placement lands when nobody expects it"),
            (true, _, _) => {}
        }
        let outcomes: Vec<SendOutcome> = if expired {
            vec![refuse(RejectKind::Expired, "Action already expired"); intents.len()]
        } else if !self.used_nonces.insert(first.nonce) {
            vec![SendOutcome::Unknown(Lost::Unreadable); intents.len()]
        } else {
            let orders = intents.iter().filter_map(|i| self.order_of(i)).collect();
            match self.exchange.submit(now_ms, self.account, place(orders)) {
                OpResult::Orders(placed) if placed.len() == intents.len() => placed.iter().map(venue::outcome).collect(),
                OpResult::Refused(text) => vec![refuse(RejectKind::Other, &text); intents.len()],
                OpResult::Orders(_) | OpResult::Cancels(_) | OpResult::Default => {
                    vec![SendOutcome::Unknown(Lost::Unreadable); intents.len()]
                }
            }
        };
        for (intent, outcome) in intents.iter().zip(outcomes) {
            if !awaited {
                continue;
            }
            if lost {
                self.post(ANSWER_DEADLINE, Travel::Fact(unanswered(&intent.key)));
            } else {
                self.post_late(Travel::Fact(Fact::Sent { key: intent.key, outcome }));
            }
        }
    }

    fn order_of(&self, intent: &Intent) -> Option<NewOrder> {
        let child = &intent.child;
        let asset = self.exchange.asset(&child.instrument)?;
        let rules = self.exchange.instrument(asset)?;
        let order = NewOrder::limit(rules, child.side, child.px, child.qty, child.tif.into()).cloid(intent.key.bits());
        Some(if child.reduce_only { order.reduce_only() } else { order })
    }

    fn cancel_at_venue(&mut self, cancel: &Cancel) {
        let Some(asset) = self.exchange.asset(&cancel.instrument) else { return };
        let now_ms = self.venue_ms();
        let op = Op::CancelByCloid { orders: vec![(asset, cancel.key.bits())] };
        // one that worked and one that came too late are answered alike: the order is not open any more
        self.exchange.submit(now_ms, self.account, op);
        self.post_late(Travel::Fact(Fact::CancelAnswered { key: cancel.key, gone: true }));
    }

    fn read_at_venue(&mut self, keys: &[ClientKey], fills_since_ms: u64, asked: Stamp) {
        self.reads += 1;
        if self.bad_luck(self.spec.faults.read_fails) {
            let fact = Fact::SnapshotFailed(Venue::Hyperliquid, "the world said no".to_owned());
            self.post(ANSWER_DEADLINE, Travel::Fact(fact));
            return;
        }
        let (exchange, account, now) = (&self.exchange, self.account, self.now());
        let report = |key: &ClientKey| {
            let update = exchange.order_status(account, OrderRef::Cloid(key.bits()))?;
            venue::report(exchange, &update)
        };
        let open = exchange.open_orders(account).into_iter().filter_map(|order| {
            let update = exchange.order_status(account, OrderRef::Oid(order.oid))?;
            venue::report(exchange, &update)
        });
        let snapshot = VenueSnapshot {
            venue: Venue::Hyperliquid,
            asked,
            account: venue::account(exchange, account, now),
            open: open.collect(),
            fills: exchange.fills(account, fills_since_ms).iter().filter_map(|f| venue::fill(exchange, f)).collect(),
            asked_orders: keys.iter().map(|k| (*k, report(k))).collect(),
        };
        let late = if self.bad_luck(self.spec.faults.read_late) { Span::millis(self.chance.below(8_000)) } else { Span::ZERO };
        let after = self.one_way() + late;
        self.post(after, Travel::Fact(Fact::Snapshot(Box::new(snapshot))));
    }

    /// Tells the daemon what happened at the venue, as its streams would.
    fn tell_events(&mut self) {
        for event in self.exchange.drain_events() {
            match event {
                Event::Order(update) if update.account == self.account => {
                    if let Some(report) = venue::report(&self.exchange, &update) {
                        self.tell_account(Fact::Order(report));
                    }
                }
                Event::Fill(record) if record.account == self.account => {
                    if let Some(fill) = venue::fill(&self.exchange, &record) {
                        self.tell_account(Fact::Fill(fill));
                    }
                }
                Event::Funding(payment) if payment.account == self.account => {
                    if let Some(payment) = venue::funding(&self.exchange, &payment) {
                        self.tell_account(Fact::Funding(payment));
                    }
                }
                Event::Trade(trade) => {
                    if let Some(trade) = venue::trade(&self.exchange, &trade, self.account, self.now()) {
                        self.tell(Fact::Trade(trade));
                    }
                }
                Event::Book(asset) | Event::Context(asset) if self.spec.markets.contains(&asset) => self.tell_market(asset),
                Event::Order(_)
                | Event::Fill(_)
                | Event::Funding(_)
                | Event::Book(_)
                | Event::Context(_)
                | Event::Ledger(_)
                | Event::Liquidation(_) => {}
            }
        }
    }

    fn tell_market(&mut self, asset: Asset) {
        let now = self.now();
        if let Some(book) = venue::book(&self.exchange, asset, now) {
            self.tell(Fact::Book(std::sync::Arc::new(book)));
        }
        if let Some(marks) = venue::marks(&self.exchange, asset, now) {
            self.tell(Fact::Marks(marks));
        }
        self.tell(Fact::Account(venue::account(&self.exchange, self.account, now)));
    }

    fn tell(&mut self, fact: Fact) {
        if self.desk.is_some() {
            // one way for all market data, so that books never overtake each other
            self.post(self.spec.latency.0, Travel::Fact(fact));
        }
    }

    fn tell_account(&mut self, fact: Fact) {
        let faults = self.spec.faults;
        if !self.stream_up || self.desk.is_none() || self.bad_luck(faults.not_told) {
            return;
        }
        if self.bad_luck(faults.told_twice) {
            let again = Span::millis(self.chance.below(3_000));
            self.post(again, Travel::Fact(fact.clone()));
        }
        let late = if self.bad_luck(faults.told_late) { Span::millis(self.chance.below(2_000)) } else { Span::ZERO };
        let after = self.one_way() + late;
        self.post(after, Travel::Fact(fact));
    }

    /// Hands facts to the desk and carries out what it answers.
    fn deliver(&mut self, facts: Vec<Fact>) -> Result<(), WorldError> {
        let now = self.now();
        let Some(desk) = self.desk.as_mut() else { return Ok(()) };
        let mut effects = Vec::new();
        desk.apply(now, &facts, &mut effects);
        self.carry_out(effects)
    }

    fn carry_out(&mut self, effects: Vec<Effect>) -> Result<(), WorldError> {
        let (mut entries, mut cleared, mut transfers) = (Vec::new(), Vec::new(), Vec::new());
        let mut severed = false;
        for effect in effects {
            match effect {
                Effect::Record(stamped) => entries.push(stamped),
                Effect::Place(order) => cleared.push(order),
                Effect::Cancel(cancel) => {
                    if !self.bad_luck(self.spec.faults.cancel_lost) {
                        self.post_late(Travel::Cancel(cancel));
                    }
                }
                // the first look after twice the time that its cancels take
                Effect::CancelAll { markets, .. } => self.post(SWEEP_FIRST, Travel::Sweep(markets)),
                Effect::Sever => severed = true,
                Effect::Pull { keys, fills_since_ms, .. } => {
                    let asked = self.now();
                    self.post_late(Travel::Read { keys, fills_since_ms, asked });
                }
                Effect::Burn { nonce, .. } => self.post_late(Travel::Burn(nonce)),
                Effect::Reply(asker, reply) => {
                    self.replies.insert(asker, reply);
                }
                Effect::Transfer(cleared) => transfers.push(cleared),
                Effect::ForgetTransfer(id) => {
                    if let Some(outside) = &mut self.outside {
                        outside.forget(id);
                    }
                }
                Effect::ReadCollateral(read) => {
                    let asked = self.now();
                    self.post_late(Travel::Collateral(read, asked));
                }
                Effect::Alert(alert) => self.told.push(alert),
            }
        }
        if !cleared.is_empty() && self.bad_luck(self.spec.faults.crashes / 4) {
            self.note("dies before an intent is durable");
            self.crash();
            return Ok(());
        }
        if !transfers.is_empty() && self.bad_luck(self.spec.faults.crashes * 2) {
            self.note("dies before a step of a transfer is durable");
            self.crash();
            return Ok(());
        }
        let (released, moving) = self.make_durable(cleared, transfers, entries)?;
        if severed {
            // the process has ended once its cancels are on their way; somebody starts it again
            self.note("severed");
            self.crash();
            return Ok(());
        }
        if !moving.is_empty() && self.bad_luck(self.spec.faults.crashes * 2) {
            self.note("dies between a step of a transfer and its carrying out");
            self.crash();
            return Ok(());
        }
        self.carry_transfers(moving);
        if !released.is_empty() && self.bad_luck(self.spec.faults.crashes / 4) {
            self.note("dies between an intent and its sending");
            self.crash();
            return Ok(());
        }
        let mut actions: BTreeMap<u64, Vec<Intent>> = BTreeMap::new();
        for order in released {
            let intent = order.into_intent();
            self.judge_sending(&intent);
            actions.entry(intent.nonce).or_default().push(intent);
        }
        for intents in actions.into_values() {
            let request_lost = self.bad_luck(self.spec.faults.request_lost);
            let held_up = self.bad_luck(self.spec.faults.held_up);
            if request_lost || held_up {
                for intent in &intents {
                    self.post(ANSWER_DEADLINE, Travel::Fact(unanswered(&intent.key)));
                }
            }
            if held_up {
                let after = ANSWER_DEADLINE + Span::millis(self.chance.below(15_000));
                self.post(after, Travel::Place(intents, false));
            } else if !request_lost {
                self.post_late(Travel::Place(intents, true));
            }
        }
        Ok(())
    }

    fn make_durable(
        &mut self,
        cleared: Vec<Cleared>,
        transfers: Vec<ClearedTransfer>,
        entries: Vec<Stamped>,
    ) -> Result<(Vec<Released>, Vec<ReleasedTransfer>), WorldError> {
        let log = std::cell::RefCell::new(std::mem::take(&mut self.log));
        let memory = Memory(&log, Epoch(self.epoch));
        let result = {
            let future = pin!(release_all(cleared, transfers, entries, &memory));
            match future.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(result) => result.map_err(|e| WorldError::Release(e.to_string())),
                Poll::Pending => Err(WorldError::Release("memory made it wait".to_owned())),
            }
        };
        self.log = log.into_inner();
        result
    }
}

fn place(orders: Vec<NewOrder>) -> Op {
    Op::Place { orders, grouping: exchange::Grouping::Na }
}

fn unanswered(key: &ClientKey) -> Fact {
    Fact::Sent { key: *key, outcome: SendOutcome::Unknown(Lost::Timeout) }
}
