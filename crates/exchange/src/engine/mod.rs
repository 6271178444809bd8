//! The exchange itself: one state machine, fed by time, background, actions and faults.

mod funds;
mod matching;
mod orders;
mod placing;
mod query;
mod risk;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use domain::{Instrument, Lots, MarketStatus, Px, Qty, Ratio, Seed, Side, Usd};

use crate::account::Account;
use crate::book::{Front, OrderBook};
use crate::event::{Event, FundingPayment, PublicTrade};
use crate::op::{AccountKey, Asset, Op, OpResult, Placed};
use crate::reference::{HOUR_MS, Reference};
use crate::spec::{BadSpec, ExchangeSpec, Fees, MarginMode, MarketSpec, VenueRules};
use crate::{BackgroundEvent, LevelChange};
use matching::Aggressor;
use orders::Order;

/// The liquidator vault's address. It is no client's.
const VAULT: AccountKey = AccountKey([0xff; 20]);
/// Undrained events beyond which anonymous public trades are no longer recorded: a caller that never drains loses prints, not
/// the facts of accounts.
const PRINTS_HELD_MAX: usize = 100_000;
/// Longest step of time that is lived through; a longer one only lives its last part. Marks have forgotten everything by then.
const STEP_MS_MAX: u64 = 31 * 24 * HOUR_MS;
/// Largest change of a price shock, either way: below minus one there is no price.
const SHOCK_PERCENT_MAX: i64 = 95;
/// Background and marks beyond this multiple of the specified oracle are a broken feed or a typing error, not a market: they
/// are ignored, so that no position's value can leave the range of money.
const PX_MULTIPLE_MAX: i64 = 1_000;
/// Largest background quantity of a level or trade, lots.
const BACKGROUND_LOTS_MAX: i64 = 1_000_000_000_000;

/// Faults and forced events that a test or an operator of the paper venue may switch on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The oracle stops moving, or moves again.
    FreezeOracle {
        /// The market.
        asset: Asset,
        /// Whether it is frozen.
        frozen: bool,
    },
    /// Funding settles at this hourly rate instead of the computed one, until cleared with `None`.
    FundingOverride {
        /// The market.
        asset: Asset,
        /// Hourly rate, capped at 4 %.
        rate: Option<Ratio>,
    },
    /// The mark is this, until cleared with `None`.
    PinMark {
        /// The market.
        asset: Asset,
        /// The mark.
        mark: Option<Px>,
    },
    /// Only post-only orders are taken, as after a network upgrade.
    PostOnlyWindow {
        /// Until when, UTC milliseconds; 0 ends it.
        until_ms: u64,
    },
    /// No order is taken in the market; cancels work.
    Halt {
        /// The market.
        asset: Asset,
        /// Whether it is halted.
        halted: bool,
    },
    /// Background, oracle and mark jump by this share at once (at most 95 %), and every later background price is shifted by the
    /// same ticks.
    PriceShock {
        /// The market.
        asset: Asset,
        /// −0.1 is ten percent down.
        change: Ratio,
    },
    /// As [`Fault::PriceShock`], by an exact number of ticks.
    Shift {
        /// The market.
        asset: Asset,
        /// How far, in ticks; a move that would leave no sane mark is ignored.
        ticks: i64,
    },
    /// The running hour's funding is settled and paid now; the next hour begins.
    SettleFunding {
        /// The market.
        asset: Asset,
    },
    /// Part of a position is closed at the mark by automatic deleveraging.
    AutoDeleverage {
        /// Whose.
        account: AccountKey,
        /// The market.
        asset: Asset,
        /// How much, at most the position.
        qty: Qty,
    },
}

/// Where all money is, for the conservation law: the sum of all fields but `net_deposits` equals `net_deposits`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pools {
    /// Cash legs of all accounts, cross and isolated, and their spot balances.
    pub accounts: Usd,
    /// Cash leg of the anonymous background.
    pub background: Usd,
    /// Cash leg of the liquidator vault.
    pub vault: Usd,
    /// Trading fees.
    pub fees: Usd,
    /// Withdrawal fees.
    pub withdraw_fees: Usd,
    /// What funding took from accounts and vault beyond what it gave them: the background's share.
    pub funding: Usd,
    /// Deposits minus what left.
    pub net_deposits: Usd,
}

#[derive(Clone, Debug)]
struct Market {
    spec: MarketSpec,
    book: OrderBook,
    reference: Reference,
    /// Sleeping triggers that fire when the mark rises to their price, and when it falls to it.
    above: BTreeSet<(Px, u64)>,
    below: BTreeSet<(Px, u64)>,
    halted: bool,
    /// Ticks by which shocks moved the background.
    shift: i64,
    background: Lots,
}

impl Market {
    fn instrument(&self) -> &Instrument {
        &self.spec.instrument
    }

    fn mark(&self) -> Px {
        self.reference.mark
    }

    fn cross_allowed(&self) -> bool {
        self.spec.margin_mode == MarginMode::Normal && !self.spec.instrument.isolated_only
    }

    fn is_sane(&self, px: Px) -> bool {
        px.0 > 0 && px.0 / PX_MULTIPLE_MAX <= self.spec.oracle.0
    }

    fn is_halted(&self) -> bool {
        self.halted || matches!(self.spec.instrument.status, MarketStatus::CancelOnly | MarketStatus::Closed)
    }
}

/// The exchange. See the crate's documentation.
#[derive(Clone, Debug)]
pub struct Exchange {
    specs: Vec<MarketSpec>,
    markets: BTreeMap<Asset, Market>,
    accounts: BTreeMap<AccountKey, Account>,
    orders: BTreeMap<u64, Order>,
    /// Ended orders, oldest first: beyond a bound they are forgotten.
    ended: VecDeque<u64>,
    /// Scheduled cancels by time.
    schedule: BTreeSet<(u64, AccountKey)>,
    fees: Fees,
    rules: VenueRules,
    now_ms: u64,
    next_mark_ms: u64,
    next_premium_ms: u64,
    next_hour_ms: u64,
    post_only_until_ms: u64,
    next_oid: u64,
    next_tid: u64,
    next_seq: u64,
    next_lid: u64,
    pools: Pools,
    events: Vec<Event>,
    changed_books: BTreeSet<Asset>,
    changed_contexts: BTreeSet<Asset>,
    /// Accounts whose positions or cash changed since their liquidation was last considered.
    touched: BTreeSet<AccountKey>,
}

impl Exchange {
    /// An exchange without accounts and with empty books. The seed moves the first order and trade numbers, so that two
    /// exchanges do not hand out the same ones.
    ///
    /// # Errors
    /// If the specification has no market, an asset twice, an oracle that is no price, or an interval of zero.
    pub fn new(spec: ExchangeSpec, seed: Seed) -> Result<Exchange, BadSpec> {
        let bad = |why: String| Err(BadSpec(why));
        let rules = &spec.rules;
        if rules.mark_every_ms == 0 || rules.premium_every_ms == 0 {
            return bad("mark_every_ms and premium_every_ms must be at least 1".to_owned());
        }
        if spec.markets.is_empty() {
            return bad("there is no market".to_owned());
        }
        let mut markets = BTreeMap::new();
        for market in &spec.markets {
            let (id, oracle) = (market.instrument.id, market.oracle);
            if oracle.0 <= 0 {
                return bad(format!("market {id}: oracle is {} ticks, expected at least 1", oracle.0));
            }
            let reference =
                Reference::new(oracle, rules.mark_every_ms, market.funding_interest_8h, market.impact_notional, spec.start_ms)
                    .in_style(&market.instrument.margin);
            let state = Market {
                spec: market.clone(),
                book: OrderBook::new(),
                reference,
                above: BTreeSet::new(),
                below: BTreeSet::new(),
                halted: false,
                shift: 0,
                background: Lots::ZERO,
            };
            let asset = Asset(market.instrument.venue_asset);
            if markets.insert(asset, state).is_some() {
                return bad(format!("market {id}: asset {} is used twice", asset.0));
            }
        }
        let after = |every: u64| (spec.start_ms / every + 1) * every;
        let mut numbers = seed.fork("exchange.numbers");
        Ok(Exchange {
            markets,
            accounts: BTreeMap::new(),
            orders: BTreeMap::new(),
            ended: VecDeque::new(),
            schedule: BTreeSet::new(),
            now_ms: spec.start_ms,
            next_mark_ms: after(rules.mark_every_ms),
            next_premium_ms: after(rules.premium_every_ms),
            next_hour_ms: after(HOUR_MS),
            post_only_until_ms: 0,
            // below 2^53 for ever, because JSON clients keep numbers as doubles
            next_oid: 10_000_000_000 + numbers.below(10_000_000_000),
            next_tid: 100_000_000_000_000 + numbers.below(100_000_000_000_000),
            next_seq: 1,
            next_lid: 1,
            pools: Pools::default(),
            events: Vec::new(),
            changed_books: BTreeSet::new(),
            changed_contexts: BTreeSet::new(),
            touched: BTreeSet::new(),
            specs: spec.markets,
            fees: spec.fees,
            rules: spec.rules,
        })
    }

    /// Lets time pass: marks, triggers, funding on the hour, scheduled cancels, liquidations, in order. Times before the
    /// exchange's own are taken as its own. Every other entry that takes a time does this first.
    pub fn advance(&mut self, now_ms: u64) {
        if now_ms.saturating_sub(self.now_ms) > STEP_MS_MAX {
            let from = now_ms - STEP_MS_MAX;
            let after = |every: u64| (from / every + 1) * every;
            self.next_mark_ms = after(self.rules.mark_every_ms);
            self.next_premium_ms = after(self.rules.premium_every_ms);
            self.next_hour_ms = after(HOUR_MS);
        }
        while self.wake_ms() <= now_ms {
            self.now_ms = self.now_ms.max(self.wake_ms());
            self.live_through_now();
        }
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// The next moment at which [`Exchange::advance`] has something to do, UTC milliseconds.
    #[must_use]
    pub fn wake_ms(&self) -> u64 {
        let cancel = self.schedule.first().map_or(u64::MAX, |(at, _)| *at);
        self.next_mark_ms.min(self.next_premium_ms).min(self.next_hour_ms).min(cancel)
    }

    fn live_through_now(&mut self) {
        let now = self.now_ms;
        if self.next_mark_ms <= now {
            self.next_mark_ms += self.rules.mark_every_ms;
            for (asset, market) in &mut self.markets {
                let before = (market.reference.mark, market.reference.oracle);
                market.reference.step(&market.book);
                if before != (market.reference.mark, market.reference.oracle) {
                    self.changed_contexts.insert(*asset);
                }
            }
            self.after_marks();
        }
        if self.next_premium_ms <= now {
            self.next_premium_ms += self.rules.premium_every_ms;
            for market in self.markets.values_mut() {
                market.reference.sample_premium(&market.book, &market.spec.instrument);
            }
        }
        if self.next_hour_ms <= now {
            self.next_hour_ms += HOUR_MS;
            self.settle_funding();
        }
        while let Some((at, account)) = self.schedule.first().copied()
            && at <= now
        {
            self.schedule.pop_first();
            self.fire_scheduled_cancel(account);
        }
    }

    /// Marks changed: triggers fire, then every account's margin is looked at.
    fn after_marks(&mut self) {
        self.fire_triggers();
        let holders: Vec<AccountKey> = self.accounts.values().filter(|a| a.held().next().is_some()).map(|a| a.key).collect();
        self.touched.extend(holders);
        self.liquidate_touched();
    }

    fn settle_funding(&mut self) {
        let assets: Vec<Asset> = self.markets.keys().copied().collect();
        for asset in assets {
            self.pay_funding(asset);
        }
        self.liquidate_touched();
    }

    fn pay_funding(&mut self, asset: Asset) {
        let Some(market) = self.markets.get_mut(&asset) else { return };
        let at_ms = self.now_ms;
        let rate = market.reference.settle(at_ms);
        let oracle = market.reference.oracle;
        self.changed_contexts.insert(asset);
        for account in self.accounts.values_mut() {
            let szi = account.szi(asset);
            if szi == Lots::ZERO {
                continue;
            }
            let usdc = -market.spec.instrument.value(oracle, szi).times(rate).round(crate::account::CENTS);
            account.fund(asset, usdc);
            self.pools.funding -= usdc;
            self.touched.insert(account.key);
            if account.key != VAULT {
                let row = FundingPayment { account: account.key, asset, usdc, szi, rate, at_ms };
                account.keep_funding(row.clone());
                self.events.push(Event::Funding(row));
            }
        }
    }

    /// One event of the background market. Events of unknown markets are ignored.
    pub fn background(&mut self, now_ms: u64, event: BackgroundEvent) {
        self.advance(now_ms);
        match event {
            BackgroundEvent::Levels { asset, bids, asks } => self.background_book(asset, bids, asks, false),
            BackgroundEvent::Snapshot { asset, bids, asks } => self.background_book(asset, bids, asks, true),
            BackgroundEvent::Trade { asset, px, qty, aggressor } => self.background_trade(asset, px, qty, aggressor),
            BackgroundEvent::Oracle { asset, px } => {
                if let Some(market) = self.markets.get_mut(&asset) {
                    let px = Px(px.0.saturating_add(market.shift));
                    if market.is_sane(px) {
                        market.reference.set_oracle(px);
                        self.changed_contexts.insert(asset);
                    }
                }
            }
        }
        self.liquidate_touched();
    }

    fn background_book(&mut self, asset: Asset, mut bids: Vec<LevelChange>, mut asks: Vec<LevelChange>, whole: bool) {
        let Some(market) = self.markets.get_mut(&asset) else { return };
        for changes in [&mut bids, &mut asks] {
            changes.iter_mut().for_each(|change| change.px.0 = change.px.0.saturating_add(market.shift));
            changes.retain(|change| market.is_sane(change.px) && change.qty.0 <= BACKGROUND_LOTS_MAX);
        }
        if whole {
            market.book.snapshot(&bids, &asks);
        } else {
            market.book.background(&bids, &asks);
        }
        self.changed_books.insert(asset);
        self.trade_crossing_background(asset);
        if let Some(market) = self.markets.get_mut(&asset) {
            market.reference.start(&market.book);
        }
    }

    /// Background that arrived on the far side of resting orders trades against them, best first.
    fn trade_crossing_background(&mut self, asset: Asset) {
        for side in [Side::Buy, Side::Sell] {
            while let Some(market) = self.markets.get(&asset)
                && let Some((px, qty)) = market.book.crossing_background(side)
                && let Some((at, Front::Order(entry))) = market.book.front(side.flip(), px)
            {
                let done = self.match_resting(asset, at, entry, qty, Aggressor::background(side));
                if let Some(market) = self.markets.get_mut(&asset) {
                    market.book.take_background(side, px, done);
                }
            }
        }
    }

    fn background_trade(&mut self, asset: Asset, px: Px, qty: Qty, aggressor: Side) {
        let Some(market) = self.markets.get(&asset) else { return };
        let px = Px(px.0.saturating_add(market.shift));
        if !market.is_sane(px) || !(1..=BACKGROUND_LOTS_MAX).contains(&qty.0) {
            return;
        }
        let resting = aggressor.flip();
        let mut left = qty;
        // the aggressor walked past every better price: our orders there came first
        while !left.is_zero()
            && let Some(market) = self.markets.get(&asset)
            && let Some((at, entry)) = market.book.first_order_better_than(resting, px)
        {
            left = left.minus(self.match_resting(asset, at, entry, left, Aggressor::background(aggressor)));
        }
        let at_level = left;
        while !left.is_zero()
            && let Some(market) = self.markets.get_mut(&asset)
            && let Some(front) = market.book.front_at(resting, px)
        {
            match front {
                Front::Background(there) => {
                    let eaten = there.min(left);
                    market.book.take_background(resting, px, eaten);
                    left = left.minus(eaten);
                    self.print_background(asset, px, eaten, aggressor);
                }
                Front::Order(entry) => {
                    left = left.minus(self.match_resting(asset, px, entry, left, Aggressor::background(aggressor)));
                }
            }
        }
        if let Some(market) = self.markets.get_mut(&asset) {
            market.book.traded(resting, px, at_level);
        }
        if !left.is_zero() {
            self.print_background(asset, px, left, aggressor);
        }
        self.changed_books.insert(asset);
    }

    /// A trade among the background.
    fn print_background(&mut self, asset: Asset, px: Px, qty: Qty, side: Side) {
        let tid = self.tid();
        let Some(market) = self.markets.get_mut(&asset) else { return };
        let notional = market.spec.instrument.notional(px, qty);
        market.reference.traded(px, qty, notional);
        if self.events.len() < PRINTS_HELD_MAX {
            let trade = PublicTrade { asset, px, qty, side, at_ms: self.now_ms, tid, buyer: None, seller: None };
            self.events.push(Event::Trade(trade));
        }
    }

    fn tid(&mut self) -> u64 {
        self.next_tid += 1;
        self.next_tid
    }

    /// One action of one account.
    pub fn submit(&mut self, now_ms: u64, account: AccountKey, op: Op) -> OpResult {
        self.advance(now_ms);
        let answer = self.perform(account, op);
        self.liquidate_touched();
        answer
    }

    /// The actions of one block in the venue's order: those that cannot take, then cancels, then those that can (fact sheet
    /// §4.5). Answers in the order given.
    pub fn apply_block(&mut self, now_ms: u64, ops: Vec<(AccountKey, Op)>) -> Vec<OpResult> {
        let mut turns: Vec<(u8, usize, AccountKey, Op)> =
            ops.into_iter().enumerate().map(|(at, (account, op))| (op.turn(), at, account, op)).collect();
        turns.sort_by_key(|(turn, at, ..)| (*turn, *at));
        let mut answers: Vec<(usize, OpResult)> =
            turns.into_iter().map(|(_, at, account, op)| (at, self.submit(now_ms, account, op))).collect();
        answers.sort_by_key(|(at, _)| *at);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    fn perform(&mut self, account: AccountKey, op: Op) -> OpResult {
        let creates = matches!(op, Op::Deposit { .. } | Op::Noop);
        if account == VAULT || !(creates || self.accounts.contains_key(&account)) {
            return OpResult::Refused(format!("Must deposit before performing actions. User: {account}"));
        }
        if op.weight() > BATCH_MAX {
            return OpResult::Refused(format!("Signed action over weight limit of {BATCH_MAX}."));
        }
        match op {
            Op::Place { orders, grouping } => OpResult::Orders(self.place_batch(account, &orders, grouping)),
            Op::Cancel { orders } => {
                OpResult::Cancels(orders.into_iter().map(|(asset, oid)| self.cancel(account, asset, Some(oid))).collect())
            }
            Op::CancelByCloid { orders } => {
                let mut one = |(asset, cloid)| {
                    let oid = self.accounts.get(&account).and_then(|a| a.cloids.get(&cloid)).copied();
                    self.cancel(account, asset, oid)
                };
                OpResult::Cancels(orders.into_iter().map(&mut one).collect())
            }
            Op::Modify { order, new, always_place } => match self.modify(account, order, &new, always_place) {
                Placed::Error(refusal) => OpResult::Refused(refusal.to_string()),
                Placed::Resting { .. }
                | Placed::Filled { .. }
                | Placed::WaitingForFill { .. }
                | Placed::WaitingForTrigger { .. } => OpResult::Default,
            },
            Op::BatchModify { modifies, always_place } => OpResult::Orders(
                modifies.into_iter().map(|(order, new)| self.modify(account, order, &new, always_place)).collect(),
            ),
            Op::Twap => OpResult::Refused("TWAP orders are not supported by this exchange.".to_owned()),
            Op::Noop => OpResult::Default,
            Op::UpdateLeverage { .. }
            | Op::UpdateIsolatedMargin { .. }
            | Op::TopUpIsolatedOnlyMargin { .. }
            | Op::ScheduleCancel { .. }
            | Op::ClassTransfer { .. }
            | Op::UsdSend { .. }
            | Op::SubAccountTransfer { .. }
            | Op::Deposit { .. }
            | Op::Withdraw { .. } => match self.move_money(account, op) {
                Ok(()) => OpResult::Default,
                Err(text) => OpResult::Refused(text),
            },
        }
    }

    /// Switches a fault or forces an event. Unknown markets and accounts are ignored.
    pub fn fault(&mut self, now_ms: u64, fault: Fault) {
        self.advance(now_ms);
        let market = |asset: Asset, markets: &mut BTreeMap<Asset, Market>, change: &dyn Fn(&mut Market)| {
            markets.get_mut(&asset).into_iter().for_each(change);
        };
        match fault {
            Fault::FreezeOracle { asset, frozen } => market(asset, &mut self.markets, &|m| m.reference.frozen = frozen),
            Fault::FundingOverride { asset, rate } => {
                market(asset, &mut self.markets, &|m| m.reference.funding_override = rate);
                self.changed_contexts.insert(asset);
            }
            Fault::Halt { asset, halted } => market(asset, &mut self.markets, &|m| m.halted = halted),
            Fault::PostOnlyWindow { until_ms } => self.post_only_until_ms = until_ms,
            Fault::PinMark { asset, mark } => {
                market(asset, &mut self.markets, &|m| {
                    m.reference.pinned = mark.filter(|px| m.is_sane(*px));
                    m.reference.mark = m.reference.pinned.unwrap_or(m.reference.mark);
                });
                self.changed_contexts.insert(asset);
                self.after_marks();
            }
            Fault::PriceShock { asset, change } => {
                self.shock(asset, change);
                self.after_marks();
            }
            Fault::Shift { asset, ticks } => {
                self.shift(asset, ticks);
                self.after_marks();
            }
            Fault::SettleFunding { asset } => {
                self.pay_funding(asset);
                self.liquidate_touched();
            }
            Fault::AutoDeleverage { account, asset, qty } => {
                self.auto_deleverage(account, asset, qty);
                self.liquidate_touched();
            }
        }
    }

    fn shock(&mut self, asset: Asset, change: Ratio) {
        let Some(market) = self.markets.get(&asset) else { return };
        let bound = Ratio::scaled(SHOCK_PERCENT_MAX, 2);
        let change = change.clamp(Ratio::scaled(-SHOCK_PERCENT_MAX, 2), bound);
        let mark = market.mark();
        let ticks = (rust_decimal::Decimal::from(mark.0) * change.decimal()).round();
        let step = market.instrument().step_at(mark);
        let ticks = i64::try_from(ticks).unwrap_or(0) / step * step;
        self.shift(asset, ticks);
    }

    fn shift(&mut self, asset: Asset, ticks: i64) {
        let Some(market) = self.markets.get_mut(&asset) else { return };
        if !market.is_sane(Px(market.mark().0.saturating_add(ticks))) {
            return;
        }
        let moved = |side| -> Vec<LevelChange> {
            let levels = market.book.background_levels(side).into_iter();
            levels.map(|level| LevelChange { px: Px(level.px.0 + ticks), ..level }).collect()
        };
        let (bids, asks) = (moved(Side::Buy), moved(Side::Sell));
        market.shift += ticks;
        market.reference.shift(ticks);
        market.book.snapshot(&bids, &asks);
        self.changed_books.insert(asset);
        self.changed_contexts.insert(asset);
        self.trade_crossing_background(asset);
    }

    /// What happened since the last call, in order.
    pub fn drain_events(&mut self) -> Vec<Event> {
        let mut events = std::mem::take(&mut self.events);
        events.extend(std::mem::take(&mut self.changed_books).into_iter().map(Event::Book));
        events.extend(std::mem::take(&mut self.changed_contexts).into_iter().map(Event::Context));
        events
    }
}

/// Largest batch (fact sheet §2.2).
const BATCH_MAX: usize = 200;
