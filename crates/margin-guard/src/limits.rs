//! Limits: what was written, and what it means.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fmt::Write as _;

use domain::{InstrumentId, Span, SpecFault, Usd, Venue, plain_decimal};
use rust_decimal::Decimal;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::bucket::Rate;
use crate::money::{Money, SHARE_DECIMALS, Share};

/// A number as it was written: a decimal in quotes or a whole number. A float is kept too, so that it is reported with all
/// other faults instead of alone; [`Limits::check`] refuses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawNumber {
    text: String,
    float: bool,
}

impl RawNumber {
    /// The number written as `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> RawNumber {
        RawNumber { text: text.into(), float: false }
    }
}

impl From<&str> for RawNumber {
    fn from(text: &str) -> RawNumber {
        RawNumber::new(text)
    }
}

impl fmt::Display for RawNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for RawNumber {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for RawNumber {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = RawNumber;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal in quotes or a whole number")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<RawNumber, E> {
                Ok(RawNumber::new(text))
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<RawNumber, E> {
                Ok(RawNumber::new(n.to_string()))
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<RawNumber, E> {
                Ok(RawNumber::new(n.to_string()))
            }
            fn visit_i128<E: de::Error>(self, n: i128) -> Result<RawNumber, E> {
                Ok(RawNumber::new(n.to_string()))
            }
            fn visit_u128<E: de::Error>(self, n: u128) -> Result<RawNumber, E> {
                Ok(RawNumber::new(n.to_string()))
            }
            fn visit_f64<E: de::Error>(self, n: f64) -> Result<RawNumber, E> {
                Ok(RawNumber { text: n.to_string(), float: true })
            }
        }
        d.deserialize_any(Written)
    }
}

/// Limits as written under `[guard]`. Every field may be left out except `allow`; [`Limits::check`] names the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLimits {
    /// Markets in which positions may grow, as `hyperliquid:BTC` (C20). At least one.
    pub allow: Vec<String>,
    /// Greatest distance of a limit price from the reference price, as a share of it (C01). Default 0.03.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_collar: Option<RawNumber>,
    /// The same for orders that only shrink a position, which are also judged against stale references. Default 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_collar_reduce: Option<RawNumber>,
    /// Largest value of one order, at the worse of limit and reference price (C04). Default 25,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_notional_max_usd: Option<RawNumber>,
    /// Largest value of one parent at admission (C05). Default 100,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_notional_max_usd: Option<RawNumber>,
    /// Largest value of all parents admitted within one hour (C05). Default 250,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parents_per_hour_max_usd: Option<RawNumber>,
    /// Largest worst-case position value in one market, long or short (C11). Default 100,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub market_notional_max_usd: Option<RawNumber>,
    /// Largest sum of worst-case position values at one venue (C11). Default 250,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub venue_notional_max_usd: Option<RawNumber>,
    /// Largest sum of worst-case position values over all venues, in multiples of equity (C11). Default 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leverage_max: Option<RawNumber>,
    /// Least equity in multiples of maintenance margin in the worst case (C14). Default 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cover_min: Option<RawNumber>,
    /// Most working orders in one market, foreign ones included (C06). Default 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_orders_per_market_max: Option<RawNumber>,
    /// Most working orders at one venue, foreign ones included (C06). Default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_orders_per_venue_max: Option<RawNumber>,
    /// Message budget of one venue, per minute (C07). Default 900: Hyperliquid gives an address 1,200, queries included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub venue_messages_per_min_max: Option<RawNumber>,
    /// Messages that one venue may be sent at once (C07). Default 90.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub venue_burst_max: Option<RawNumber>,
    /// Message budget of one parent, per minute (C07). Default 300: following the best price twice a second takes 240.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_messages_per_min_max: Option<RawNumber>,
    /// Messages that one parent may cause at once (C07). Default 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_burst_max: Option<RawNumber>,
    /// Share of every message budget that only cancels may spend (C07, I10). Default 0.3, which is also the least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel_reserve: Option<RawNumber>,
    /// Further share of it that increases may not spend either, kept for orders that only shrink a position. Default 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reduce_reserve: Option<RawNumber>,
    /// How far apart equal orders of different parents must be (C09). Default 1,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_window_ms: Option<RawNumber>,
    /// Greatest age of a book, by our receipt and by the venue's time (C17). Default 2,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub book_age_max_ms: Option<RawNumber>,
    /// Greatest age of mark and oracle prices, in every market with exposure. Default 10,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marks_age_max_ms: Option<RawNumber>,
    /// Greatest age of the venue's report of the account. Default 60,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_age_max_ms: Option<RawNumber>,
    /// Greatest distance between the venue's clock and ours (F76). Default 500.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_offset_max_ms: Option<RawNumber>,
    /// What differs per market, keyed as in `allow`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub market: BTreeMap<String, RawMarketLimits>,
}

/// What differs in one market, as written under `[guard.market."hyperliquid:BTC"]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawMarketLimits {
    /// Largest order in base units, whatever it is worth (C03). Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_size_max: Option<RawNumber>,
    /// In place of `order_notional_max_usd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_notional_max_usd: Option<RawNumber>,
    /// In place of `market_notional_max_usd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub market_notional_max_usd: Option<RawNumber>,
    /// In place of `price_collar`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_collar: Option<RawNumber>,
    /// In place of `price_collar_reduce`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_collar_reduce: Option<RawNumber>,
    /// In place of `open_orders_per_market_max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_orders_per_market_max: Option<RawNumber>,
    /// In place of `book_age_max_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub book_age_max_ms: Option<RawNumber>,
}

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
    id: u64,
    text: String,
}

/// Above any account that one process should trade; keeps integer money far from its bounds.
const NOTIONAL_MAX_USD: i64 = 1_000_000_000_000;
/// Base units of one order; no perpetual has a lot worth trading in larger numbers.
const SIZE_MAX: i64 = 1_000_000_000_000;
/// dYdX and Hyperliquid both cap an account near a thousand resting orders.
const OPEN_ORDERS_MAX: u64 = 1_000;
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
            id: 0,
            text: String::new(),
        };
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
                    };
                    (id.to_string(), raw)
                })
                .collect(),
        }
    }

    /// The limits in plain words, one a line, for `plimsoll check`.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut out = String::new();
        let mut line = |text: fmt::Arguments<'_>| {
            // writing to a string cannot fail
            let _written: fmt::Result = writeln!(out, "{text}");
        };
        let names: Vec<_> = self.allow.iter().map(ToString::to_string).collect();
        line(format_args!("positions may grow only in {}", names.join(", ")));
        describe_caps(&mut line, "an order", &self.common);
        for (id, caps) in &self.market {
            describe_caps(&mut line, &format!("an order in {id}"), caps);
        }
        line(format_args!(
            "a parent is worth at most {}, all parents of an hour at most {}",
            self.parent_notional.usd(),
            self.parents_per_hour.usd()
        ));
        line(format_args!(
            "with every working order filled against us, positions at a venue are worth at most {}, those of all venues at \
             most {} times the equity, and equity stays at least {} times the maintenance margin",
            self.venue_notional.usd(),
            self.leverage.ratio(),
            self.cover.ratio()
        ));
        line(format_args!("at most {} orders work at a venue", self.open_orders_per_venue));
        line(format_args!(
            "a venue gets at most {} messages a minute ({} at once), a parent {} ({} at once); of that {} is for cancels \
             alone and {} more for orders that only shrink a position",
            self.venue_messages.0,
            self.venue_messages.1,
            self.parent_messages.0,
            self.parent_messages.1,
            self.cancel_reserve.ratio(),
            self.reduce_reserve.ratio()
        ));
        line(format_args!("equal orders of different parents are at least {} apart", self.duplicate_window));
        line(format_args!(
            "positions grow only on marks at most {} old, an account report at most {} old and clocks at most {} ms apart",
            self.marks_age, self.account_age, self.clock_offset_ms
        ));
        out
    }
}

fn describe_caps(line: &mut impl FnMut(fmt::Arguments<'_>), what: &str, caps: &Caps) {
    let size = caps.order_size.map_or(String::new(), |s| format!("{} base units and ", s.normalize()));
    line(format_args!(
        "{what} is at most {size}{} and within {} of the reference price ({} if it only shrinks a position); its market's \
         worst-case position is at most {}, its working orders at most {}, its book at most {} old",
        caps.order_notional.usd(),
        caps.price_collar.ratio(),
        caps.price_collar_reduce.ratio(),
        caps.market_notional.usd(),
        caps.open_orders,
        caps.book_age
    ));
}

impl Serialize for Limits {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.written().serialize(s)
    }
}

struct Faults(Vec<SpecFault>);

impl Faults {
    fn add(&mut self, field: &str, value: impl Into<String>, expected: impl Into<String>) {
        // values come from a file: cut, so that a fault list stays readable
        let value = value.into().chars().take(80).collect();
        self.0.push(SpecFault { field: format!("guard.{field}"), value, expected: expected.into() });
    }

    fn allow(&mut self, names: &[String]) -> BTreeSet<InstrumentId> {
        let mut allow = BTreeSet::new();
        if names.is_empty() {
            self.add("allow", "[]", "at least one market, such as [\"hyperliquid:BTC\"]");
        }
        for (at, name) in names.iter().enumerate() {
            match name.parse::<InstrumentId>() {
                Ok(id) if allow.insert(id) => {}
                Ok(_) => self.add(&format!("allow[{at}]"), name, "a market that is not listed before"),
                Err(_) => self.add(&format!("allow[{at}]"), name, "VENUE:NAME such as hyperliquid:BTC"),
            }
        }
        allow
    }

    fn decimal(&mut self, field: &str, raw: &RawNumber, what: &str) -> Option<Decimal> {
        if raw.float {
            self.add(field, &raw.text, format!("{what}, written in quotes: a float is not exact"));
            return None;
        }
        let value = plain_decimal(&raw.text);
        if value.is_none() {
            self.add(field, &raw.text, what);
        }
        value
    }

    fn usd(&mut self, field: &str, raw: Option<&RawNumber>, default: i32) -> Money {
        let fallback = Money::from_usd(Usd::whole(default));
        let what = "an amount above 0 and up to 10^12 with at most 6 decimals";
        let Some(value) = raw.and_then(|raw| self.decimal(field, raw, what)) else { return fallback };
        let fits = value > Decimal::ZERO && value <= Decimal::from(NOTIONAL_MAX_USD) && value.normalize().scale() <= 6;
        match Usd::new(value) {
            Ok(usd) if fits => Money::from_usd(usd),
            Ok(_) | Err(_) => {
                self.add(field, value.to_string(), what);
                fallback
            }
        }
    }

    /// `default` and `range` in millionths.
    fn share(&mut self, field: &str, raw: Option<&RawNumber>, default: i64, range: (i64, i64)) -> Share {
        let words = format!("{} to {} with at most 6 decimals", Share(range.0).ratio(), Share(range.1).ratio());
        let Some(value) = raw.and_then(|raw| self.decimal(field, raw, &words)) else { return Share(default) };
        let normal = value.normalize();
        let parts = SHARE_DECIMALS
            .checked_sub(normal.scale())
            .and_then(|missing| normal.mantissa().checked_mul(10_i128.pow(missing)))
            .and_then(|parts| i64::try_from(parts).ok())
            .filter(|parts| (range.0..=range.1).contains(parts));
        parts.map_or_else(
            || {
                self.add(field, value.to_string(), words);
                Share(default)
            },
            Share,
        )
    }

    fn collar(&mut self, field: &str, raw: Option<&RawNumber>, default: i64) -> Share {
        self.share(field, raw, default, (100, 1_000_000))
    }

    fn collars_in_order(&mut self, path: &str, caps: &Caps) {
        if caps.price_collar_reduce < caps.price_collar {
            let value = caps.price_collar_reduce.ratio().to_string();
            let least = format!("at least price_collar ({})", caps.price_collar.ratio());
            self.add(&format!("{path}price_collar_reduce"), value, least);
        }
    }

    fn whole(&mut self, field: &str, raw: Option<&RawNumber>, default: u64, max: u64) -> u64 {
        let words = format!("a whole number, 1 to {max}");
        let Some(raw) = raw else { return default };
        if raw.float {
            self.add(field, &raw.text, words);
            return default;
        }
        let digits = raw.text.bytes().all(|b| b.is_ascii_digit());
        match raw.text.parse::<u64>() {
            Ok(n) if digits && (1..=max).contains(&n) => n,
            Ok(_) | Err(_) => {
                self.add(field, &raw.text, words);
                default
            }
        }
    }

    fn count(&mut self, field: &str, raw: Option<&RawNumber>, default: u64, max: u64) -> u32 {
        u32::try_from(self.whole(field, raw, default, max)).unwrap_or(u32::MAX)
    }

    fn span(&mut self, field: &str, raw: Option<&RawNumber>, default: u64) -> Span {
        Span::millis(self.whole(field, raw, default, AGE_MAX_MS))
    }

    fn market(
        &mut self,
        name: &str,
        raw: &RawMarketLimits,
        common: &Caps,
        allow: &BTreeSet<InstrumentId>,
    ) -> Option<(InstrumentId, Caps)> {
        let path = format!("market.{name:?}.");
        let id = name.parse::<InstrumentId>().ok().filter(|id| allow.contains(id));
        if id.is_none() {
            self.add(path.trim_end_matches('.'), name, "a market that guard.allow lists");
        }
        let at = |field: &str| format!("{path}{field}");
        let mut caps = common.clone();
        if let Some(raw) = &raw.order_size_max {
            let what = "a size in base units above 0 and up to 10^12";
            let field = at("order_size_max");
            caps.order_size = self.decimal(&field, raw, what);
            if caps.order_size.is_some_and(|size| size <= Decimal::ZERO || size > Decimal::from(SIZE_MAX)) {
                self.add(&field, &raw.text, what);
            }
        }
        if let raw @ Some(_) = raw.order_notional_max_usd.as_ref() {
            caps.order_notional = self.usd(&at("order_notional_max_usd"), raw, 1);
        }
        if let raw @ Some(_) = raw.market_notional_max_usd.as_ref() {
            caps.market_notional = self.usd(&at("market_notional_max_usd"), raw, 1);
        }
        if let raw @ Some(_) = raw.price_collar.as_ref() {
            caps.price_collar = self.collar(&at("price_collar"), raw, common.price_collar.0);
        }
        if let raw @ Some(_) = raw.price_collar_reduce.as_ref() {
            caps.price_collar_reduce = self.collar(&at("price_collar_reduce"), raw, common.price_collar_reduce.0);
        }
        self.collars_in_order(&path, &caps);
        if let raw @ Some(_) = raw.open_orders_per_market_max.as_ref() {
            caps.open_orders = self.count(&at("open_orders_per_market_max"), raw, 1, OPEN_ORDERS_MAX);
        }
        if let raw @ Some(_) = raw.book_age_max_ms.as_ref() {
            caps.book_age = self.span(&at("book_age_max_ms"), raw, 1);
        }
        id.map(|id| (id, caps))
    }
}

/// Every venue, in the order in which its state is kept.
pub(crate) const VENUES: [Venue; 2] = [Venue::Hyperliquid, Venue::Dydx];

#[cfg(test)]
mod tests;
