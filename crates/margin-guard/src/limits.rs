//! Limits: what was written, and what it means. A file per section; every default is beside its key.

mod faults;
mod group;
mod number;
mod params;
mod raw;
mod scenario;
mod scorecard;
mod sections;
mod wide;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use domain::{InstrumentId, Ratio, Span, SpecFault, Usd, Venue};
use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

use crate::bucket::Rate;
use crate::money::{Money, Share};
use faults::Faults;

pub use group::{Group, RawGroup};
pub use number::RawNumber;
pub use raw::{RawLimits, RawMarketLimits};
pub use scenario::{RawScenario, SCENARIOS_MAX, Scenario};
pub use scorecard::RawAnswer;
pub use sections::{
    Buffer, Cover, Drawdown, Funding, Liquidation, Oracle, RawBuffer, RawCover, RawDrawdown, RawFunding, RawLiquidation,
    RawOracle, RawRejects, RawRepeat, RawSizing, RawTrust, Rejects, Repeat, Sizing, Tier, Trust,
};

/// Limits of one market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caps {
    pub(crate) order_size: Option<Decimal>,
    pub(crate) order_notional: Money,
    pub(crate) market_notional: Money,
    pub(crate) price_collar: Share,
    pub(crate) price_collar_reduce: Share,
    pub(crate) open_orders: u32,
    pub(crate) book_age: Span,
    pub(crate) tier: Option<Tier>,
    pub(crate) tier_leverage: Option<domain::Ratio>,
}

/// Checked limits. Made by [`Limits::check`] alone, and never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    pub(crate) allow: BTreeSet<InstrumentId>,
    pub(crate) common: Caps,
    pub(crate) market: BTreeMap<InstrumentId, Caps>,
    pub(crate) parent_notional: Money,
    pub(crate) parents_per_hour: Money,
    pub(crate) venue_notional: Money,
    pub(crate) leverage: Share,
    pub(crate) cover: Share,
    pub(crate) open_orders_per_venue: u32,
    pub(crate) venue_messages: (u32, u32),
    pub(crate) parent_messages: (u32, u32),
    pub(crate) cancel_reserve: Share,
    pub(crate) reduce_reserve: Share,
    pub(crate) duplicate_window: Span,
    pub(crate) marks_age: Span,
    pub(crate) account_age: Span,
    pub(crate) clock_offset_ms: u64,
    pub(crate) venue_rate: Rate,
    pub(crate) parent_rate: Rate,
    sizing: Sizing,
    funding: Funding,
    cover_levels: Cover,
    liquidation: Liquidation,
    scenarios: Vec<Scenario>,
    buffer: Buffer,
    drawdown: Drawdown,
    groups: Vec<Group>,
    oracle: Oracle,
    repeat: Repeat,
    rejects: Rejects,
    trust: Trust,
    scorecards: BTreeMap<Venue, risk::scorecard::Scorecard>,
    /// As written, for [`Limits::text`].
    answers: BTreeMap<String, scorecard::RawCard>,
    id: u64,
    text: String,
}

/// Above any account that one process should trade; keeps integer money far from its bounds.
const NOTIONAL_MAX_USD: i64 = 1_000_000_000_000;
/// Base units of one order; no perpetual has a lot worth trading in larger numbers.
const SIZE_MAX: i64 = 1_000_000_000_000;
/// Twice what Hyperliquid lets its largest accounts keep open (1,000, growing with volume to 5,000).
const OPEN_ORDERS_MAX: u64 = 10_000;
/// A thousand a second is beyond every venue's budget.
const MESSAGES_PER_MIN_MAX: u64 = 60_000;
const BURST_MAX: u64 = 10_000;
/// Ages above ten minutes say that nobody wants the check.
const AGE_MAX_MS: u64 = 600_000;

impl Limits {
    /// What `raw` means, with every default filled in.
    ///
    /// # Errors
    /// All faults at once, each with its path such as `guard.order_notional_max_usd`, its value and what would be right.
    pub fn check(raw: RawLimits) -> Result<Limits, Vec<SpecFault>> {
        Limits::checked(raw, None)
    }

    /// As [`Limits::check`], on the UTC day `today` (counted from 1970-01-01): a review dated later is a fault too.
    ///
    /// # Errors
    /// As [`Limits::check`].
    pub fn check_on(raw: RawLimits, today: u32) -> Result<Limits, Vec<SpecFault>> {
        Limits::checked(raw, Some(today))
    }

    fn checked(raw: RawLimits, today: Option<u32>) -> Result<Limits, Vec<SpecFault>> {
        let mut faults = Faults(Vec::new());
        let allow = faults.allow(&raw.allow);
        let f = &mut faults;
        let common = Caps {
            order_size: None,
            order_notional: f.usd("order_notional_max_usd", raw.order_notional_max_usd.as_ref(), 25_000),
            market_notional: f.usd("market_notional_max_usd", raw.market_notional_max_usd.as_ref(), 100_000),
            price_collar: f.collar("price_collar", raw.price_collar.as_ref(), 30_000),
            price_collar_reduce: f.collar("price_collar_reduce", raw.price_collar_reduce.as_ref(), 100_000),
            open_orders: f.count("open_orders_per_market_max", raw.open_orders_per_market_max.as_ref(), 20, OPEN_ORDERS_MAX),
            book_age: f.span("book_age_max_ms", raw.book_age_max_ms.as_ref(), 2_000),
            tier: None,
            tier_leverage: None,
        };
        f.collars_in_order("", &common);
        let mut market = BTreeMap::new();
        for (name, one) in &raw.market {
            if let Some((id, caps)) = f.market(name, one, &common, &allow) {
                market.insert(id, caps);
            }
        }
        let venue_messages = (
            f.count("venue_messages_per_min_max", raw.venue_messages_per_min_max.as_ref(), 900, MESSAGES_PER_MIN_MAX),
            f.count("venue_burst_max", raw.venue_burst_max.as_ref(), 90, BURST_MAX),
        );
        let parent_messages = (
            f.count("parent_messages_per_min_max", raw.parent_messages_per_min_max.as_ref(), 300, MESSAGES_PER_MIN_MAX),
            f.count("parent_burst_max", raw.parent_burst_max.as_ref(), 30, BURST_MAX),
        );
        let cancel_reserve = f.share("cancel_reserve", raw.cancel_reserve.as_ref(), 300_000, (300_000, 900_000));
        let reduce_reserve = f.share("reduce_reserve", raw.reduce_reserve.as_ref(), 100_000, (0, 500_000));
        for (field, (_, burst)) in [("venue_burst_max", venue_messages), ("parent_burst_max", parent_messages)] {
            let free = 1_000_000 - cancel_reserve.0 - reduce_reserve.0;
            if i64::from(burst).saturating_mul(free) < 1_000_000 {
                f.add(field, burst.to_string(), "large enough that one order is allowed beside both reserves");
            }
        }
        let trust = Trust::read(f, &raw.trust);
        let groups = group::read(f, &raw.group, &allow);
        let scenarios = scenario::read(f, &raw.scenario, &allow, &groups);
        let limits = Limits {
            allow,
            common,
            market,
            parent_notional: f.usd("parent_notional_max_usd", raw.parent_notional_max_usd.as_ref(), 100_000),
            parents_per_hour: f.usd("parents_per_hour_max_usd", raw.parents_per_hour_max_usd.as_ref(), 250_000),
            venue_notional: f.usd("venue_notional_max_usd", raw.venue_notional_max_usd.as_ref(), 250_000),
            leverage: f.share("leverage_max", raw.leverage_max.as_ref(), 3_000_000, (1, 100_000_000)),
            cover: f.share("cover_min", raw.cover_min.as_ref(), 3_000_000, (1_000_000, 1_000_000_000)),
            open_orders_per_venue: f.count(
                "open_orders_per_venue_max",
                raw.open_orders_per_venue_max.as_ref(),
                100,
                OPEN_ORDERS_MAX,
            ),
            venue_messages,
            parent_messages,
            cancel_reserve,
            reduce_reserve,
            duplicate_window: f.span("duplicate_window_ms", raw.duplicate_window_ms.as_ref(), 1_000),
            marks_age: f.span("marks_age_max_ms", raw.marks_age_max_ms.as_ref(), 10_000),
            account_age: f.span("account_age_max_ms", raw.account_age_max_ms.as_ref(), 60_000),
            clock_offset_ms: f.whole("clock_offset_max_ms", raw.clock_offset_max_ms.as_ref(), 500, 2_000),
            venue_rate: Rate::new(venue_messages.0, venue_messages.1, cancel_reserve, reduce_reserve),
            parent_rate: Rate::new(parent_messages.0, parent_messages.1, cancel_reserve, reduce_reserve),
            sizing: Sizing::read(f, &raw.sizing),
            funding: Funding::read(f, &raw.funding),
            cover_levels: Cover::read(f, &raw.cover),
            liquidation: Liquidation::read(f, &raw.liquidation),
            scenarios,
            buffer: Buffer::read(f, &raw.buffer),
            drawdown: Drawdown::read(f, &raw.drawdown),
            groups,
            oracle: Oracle::read(f, &raw.oracle),
            repeat: Repeat::read(f, &raw.repeat),
            rejects: Rejects::read(f, &raw.rejects),
            scorecards: scorecard::read(f, &raw.scorecard, trust.review_days, today),
            answers: raw.scorecard.clone(),
            trust,
            id: 0,
            text: String::new(),
        };
        limits.sizing.consistent(f, "sizing.");
        for id in limits.market.keys() {
            limits.sizing_of(*id).consistent(f, &format!("market.\"{id}\"."));
        }
        limits.funding.consistent(f);
        limits.cover_levels.consistent(f);
        limits.drawdown.consistent(f);
        limits.oracle.consistent(f);
        if faults.0.is_empty() { Ok(limits.sealed()) } else { Err(faults.0) }
    }

    fn sealed(mut self) -> Limits {
        self.text = serde_json::to_string(&self.written()).unwrap_or_default();
        let hash = blake3::hash(self.text.as_bytes());
        self.id = hash.as_bytes().iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte));
        self
    }

    /// The first 8 bytes of the BLAKE3 hash of [`Limits::text`], as a number: recorded with every decision.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// The limits as JSON, every default filled in. Reading it back as [`RawLimits`] and checking it gives the same limits.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether positions in `instrument` may grow (C20).
    #[must_use]
    pub fn allows(&self, instrument: InstrumentId) -> bool {
        self.allow.contains(&instrument)
    }

    /// The markets in which positions may grow.
    pub fn allowed(&self) -> impl Iterator<Item = InstrumentId> + '_ {
        self.allow.iter().copied()
    }

    /// How large a position may be.
    #[must_use]
    pub const fn sizing(&self) -> &Sizing {
        &self.sizing
    }

    /// The same for one market, which may have a leverage tier of its own.
    #[must_use]
    pub fn sizing_of(&self, instrument: InstrumentId) -> Sizing {
        let caps = self.caps(instrument);
        let tier = caps.tier.unwrap_or(self.sizing.tier);
        Sizing { tier, tier_leverage: caps.tier_leverage.unwrap_or(self.sizing.tier_leverage), ..self.sizing.clone() }
    }

    /// What funding does to size.
    #[must_use]
    pub const fn funding(&self) -> &Funding {
        &self.funding
    }

    /// Margin levels by cover.
    #[must_use]
    pub const fn cover(&self) -> &Cover {
        &self.cover_levels
    }

    /// Distance to the liquidation price.
    #[must_use]
    pub const fn liquidation(&self) -> &Liquidation {
        &self.liquidation
    }

    /// The configured shocks, by name. That each market moves alone is not listed: it always counts.
    #[must_use]
    pub fn scenarios(&self) -> &[Scenario] {
        &self.scenarios
    }

    /// Free collateral for the time a refill takes.
    #[must_use]
    pub const fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// Drawdown budgets and the speed of losses.
    #[must_use]
    pub const fn drawdown(&self) -> &Drawdown {
        &self.drawdown
    }

    /// Markets that move together. Every allowed market is in one group.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Which of [`Limits::groups`] a market belongs to. One that is not allowed, and may still be held, counts with those that
    /// nobody has told apart.
    pub(crate) fn group_of(&self, instrument: InstrumentId) -> Option<usize> {
        let member = self.groups.iter().position(|g| g.markets.contains(&instrument));
        member.or_else(|| self.groups.iter().position(|g| g.name == group::REST))
    }

    /// When an oracle is not believed.
    #[must_use]
    pub const fn oracle(&self) -> &Oracle {
        &self.oracle
    }

    /// When a parent repeats itself.
    #[must_use]
    pub const fn repeat(&self) -> &Repeat {
        &self.repeat
    }

    /// How far a venue's clock may be from ours, milliseconds (F76).
    #[must_use]
    pub const fn clock_offset_max_ms(&self) -> u64 {
        self.clock_offset_ms
    }

    /// When a venue keeps refusing.
    #[must_use]
    pub const fn rejects(&self) -> &Rejects {
        &self.rejects
    }

    /// How scorecards are read.
    #[must_use]
    pub const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Least cover of the worst case: the load line, beyond which no order may load an account (C14).
    #[must_use]
    pub fn cover_min(&self) -> Ratio {
        self.cover.ratio()
    }

    /// Most that the worst-case position in `instrument` may be worth, whatever the sizing rule says (C11).
    #[must_use]
    pub fn market_notional_max(&self, instrument: InstrumentId) -> Usd {
        self.caps(instrument).market_notional.usd()
    }

    pub(crate) fn caps(&self, instrument: InstrumentId) -> &Caps {
        self.market.get(&instrument).unwrap_or(&self.common)
    }

    /// Everything as it would be written.
    fn written(&self) -> RawLimits {
        let number = |text: String| Some(RawNumber::new(text));
        let usd = |m: Money| number(m.usd().to_string());
        let share = |s: Share| number(s.ratio().to_string());
        let count = |n: u32| number(n.to_string());
        let ms = |s: Span| number(s.as_millis().to_string());
        RawLimits {
            allow: self.allow.iter().map(ToString::to_string).collect(),
            price_collar: share(self.common.price_collar),
            price_collar_reduce: share(self.common.price_collar_reduce),
            order_notional_max_usd: usd(self.common.order_notional),
            parent_notional_max_usd: usd(self.parent_notional),
            parents_per_hour_max_usd: usd(self.parents_per_hour),
            market_notional_max_usd: usd(self.common.market_notional),
            venue_notional_max_usd: usd(self.venue_notional),
            leverage_max: share(self.leverage),
            cover_min: share(self.cover),
            open_orders_per_market_max: count(self.common.open_orders),
            open_orders_per_venue_max: count(self.open_orders_per_venue),
            venue_messages_per_min_max: count(self.venue_messages.0),
            venue_burst_max: count(self.venue_messages.1),
            parent_messages_per_min_max: count(self.parent_messages.0),
            parent_burst_max: count(self.parent_messages.1),
            cancel_reserve: share(self.cancel_reserve),
            reduce_reserve: share(self.reduce_reserve),
            duplicate_window_ms: ms(self.duplicate_window),
            book_age_max_ms: ms(self.common.book_age),
            marks_age_max_ms: ms(self.marks_age),
            account_age_max_ms: ms(self.account_age),
            clock_offset_max_ms: number(self.clock_offset_ms.to_string()),
            sizing: self.sizing.written(),
            funding: self.funding.written(),
            cover: self.cover_levels.written(),
            liquidation: self.liquidation.written(),
            scenario: self.scenarios.iter().map(|s| (s.name.clone(), s.written())).collect(),
            buffer: self.buffer.written(),
            drawdown: self.drawdown.written(),
            group: self.groups.iter().map(|g| (g.name.clone(), g.written())).collect(),
            oracle: self.oracle.written(),
            repeat: self.repeat.written(),
            rejects: self.rejects.written(),
            trust: self.trust.written(),
            scorecard: self.answers.clone(),
            market: self
                .market
                .iter()
                .map(|(id, caps)| {
                    let raw = RawMarketLimits {
                        order_size_max: caps.order_size.map(|d| RawNumber::new(d.normalize().to_string())),
                        order_notional_max_usd: usd(caps.order_notional),
                        market_notional_max_usd: usd(caps.market_notional),
                        price_collar: share(caps.price_collar),
                        price_collar_reduce: share(caps.price_collar_reduce),
                        open_orders_per_market_max: count(caps.open_orders),
                        book_age_max_ms: ms(caps.book_age),
                        tier: caps.tier.map(|t| number::Figure::write(&t)),
                        tier_leverage: caps.tier_leverage.map(|l| number::Figure::write(&l)),
                    };
                    (id.to_string(), raw)
                })
                .collect(),
        }
    }
}

impl Serialize for Limits {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.written().serialize(s)
    }
}

/// Every venue, in the order in which its state is kept.
pub(crate) const VENUES: [Venue; 2] = [Venue::Hyperliquid, Venue::Dydx];

/// The place of a venue in [`VENUES`].
pub(crate) const fn venue_slot(venue: Venue) -> usize {
    match venue {
        Venue::Hyperliquid => 0,
        Venue::Dydx => 1,
    }
}

#[cfg(test)]
mod tests;
