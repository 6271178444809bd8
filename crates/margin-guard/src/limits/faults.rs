//! Collects the faults of a configuration and reads the plain figures of `[guard]`.

use std::collections::BTreeSet;

use domain::{InstrumentId, Ratio, Span, SpecFault, Usd, plain_decimal};
use rust_decimal::Decimal;

use super::number::{Figure, RawNumber};
use super::raw::RawMarketLimits;
use super::sections::Tier;
use super::{AGE_MAX_MS, Caps, NOTIONAL_MAX_USD, OPEN_ORDERS_MAX, SIZE_MAX};
use crate::money::{Money, SHARE_DECIMALS, Share};

/// Everything that is wrong with what was written, collected before any of it is refused.
pub(super) struct Faults(pub(super) Vec<SpecFault>);

impl Faults {
    pub(super) fn add(&mut self, field: &str, value: impl Into<String>, expected: impl Into<String>) {
        // values come from a file: cut, so that a fault list stays readable
        let value = value.into().chars().take(80).collect();
        self.0.push(SpecFault { field: format!("guard.{field}"), value, expected: expected.into() });
    }

    pub(super) fn allow(&mut self, names: &[String]) -> BTreeSet<InstrumentId> {
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

    pub(super) fn decimal(&mut self, field: &str, raw: &RawNumber, what: &str) -> Option<Decimal> {
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

    pub(super) fn usd(&mut self, field: &str, raw: Option<&RawNumber>, default: i32) -> Money {
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
    pub(super) fn share(&mut self, field: &str, raw: Option<&RawNumber>, default: i64, range: (i64, i64)) -> Share {
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

    pub(super) fn collar(&mut self, field: &str, raw: Option<&RawNumber>, default: i64) -> Share {
        self.share(field, raw, default, (100, 1_000_000))
    }

    pub(super) fn collars_in_order(&mut self, path: &str, caps: &Caps) {
        if caps.price_collar_reduce < caps.price_collar {
            let value = caps.price_collar_reduce.ratio().to_string();
            let least = format!("at least price_collar ({})", caps.price_collar.ratio());
            self.add(&format!("{path}price_collar_reduce"), value, least);
        }
    }

    /// Each of `figures`, named with its key in `path`, must be at least the one before it.
    pub(super) fn in_order(&mut self, path: &str, figures: &[(&str, Ratio)]) {
        for pair in figures.windows(2) {
            if let [(lower, least), (upper, value)] = pair
                && value < least
            {
                self.add(&format!("{path}.{upper}"), value.to_string(), format!("at least {lower} ({least})"));
            }
        }
    }

    pub(super) fn whole(&mut self, field: &str, raw: Option<&RawNumber>, default: u64, max: u64) -> u64 {
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

    pub(super) fn count(&mut self, field: &str, raw: Option<&RawNumber>, default: u64, max: u64) -> u32 {
        u32::try_from(self.whole(field, raw, default, max)).unwrap_or(u32::MAX)
    }

    pub(super) fn span(&mut self, field: &str, raw: Option<&RawNumber>, default: u64) -> Span {
        Span::millis(self.whole(field, raw, default, AGE_MAX_MS))
    }

    pub(super) fn market(
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
        if let raw @ Some(_) = raw.tier.as_ref() {
            caps.tier = Some(Tier::read(self, &at("tier"), raw, "base", "base", "high"));
        }
        if let raw @ Some(_) = raw.tier_leverage.as_ref() {
            caps.tier_leverage = Some(Ratio::read(self, &at("tier_leverage"), raw, "2.5", "0.1", "10"));
        }
        id.map(|id| (id, caps))
    }
}
