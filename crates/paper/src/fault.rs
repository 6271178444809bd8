//! Faults that the venue can be told to have.
//!
//! A fault is ordered with a probability, a number of times or a duration, and narrowed to a kind of request. It stays until it has
//! happened often enough, its time is up, or it is cleared. Chance comes from a seeded stream, so the same requests in the
//! same order meet the same faults.

use std::fmt;
use std::str::FromStr;

use domain::{Prng, Seed};
use serde::{Deserialize, Serialize};
use wire::hyperliquid::Address;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// HTTP 429; nothing happens (F18).
    TooManyRequests,
    /// HTTP `status` (500) before anything happens (F17).
    ErrorBefore,
    /// The action happens, the answer is HTTP `status` (502) (F16).
    ErrorAfter,
    /// The action happens, the answer never comes (F15).
    TimeoutAfter,
    /// Nothing happens and no answer ever comes: the request is lost on its way.
    LostRequest,
    /// The action happens at once, the answer comes after `delay_ms` (F19).
    WithheldAck,
    /// The answer is cut in its middle and the connection closed (F09).
    CutAnswer,
    /// The action happens, the answer is an HTML page with status 200 (F13).
    HtmlAnswer,
    /// Refused with HTTP 200 and a text that no allow-list holds (F21). Nothing happens.
    UnknownRefusal,
    /// A batch is answered with one status fewer than it had orders (F22). The batch happens.
    ShortStatuses,
    /// Requests wait `delay_ms` before they reach the venue.
    Latency,
    /// Each fill is streamed twice (F23).
    DuplicateFills,
    /// Fills are streamed in the wrong order (F24).
    ReorderFills,
    /// Market streams go silent; sockets stay open and answer pings (F01, F05).
    StallMarket,
    /// User streams go silent (F04).
    StallUser,
    /// All streams and pongs go silent (F01, F02).
    StallAll,
    /// All sockets are closed now.
    Disconnect,
    /// All sockets are closed every `delay_ms` (F03).
    Flapping,
    /// The oracle keeps its present value (F37).
    StaleOracle,
    /// Funding is `bps` per hour: shown as the current rate and charged at the next hour (F34).
    FundingSpike,
    /// Only post-only orders are taken (F27).
    PostOnly,
    /// The market jumps by `bps` (F38).
    PriceShock,
    /// The venue's clock runs `delay_ms` ahead (F80).
    ClockAhead,
    /// `l2Book` comes crossed (F36).
    CrossedBook,
    /// `l2Book` comes without asks (F36).
    OneSidedBook,
    /// Markets take cancels alone (F28).
    Halt,
    /// The position of `user` in `coin` is closed at the mark by automatic deleveraging (F33).
    AutoDeleverage,
    /// A deposit over the bridge is credited `delay_ms` later than it should be (F91).
    CreditLate,
    /// A deposit over the bridge is never credited (F91).
    CreditNever,
    /// A deposit over the bridge is credited twice (F91).
    CreditTwice,
}

impl Fault {
    /// All faults.
    pub const ALL: [Fault; 30] = [
        Fault::TooManyRequests,
        Fault::ErrorBefore,
        Fault::ErrorAfter,
        Fault::TimeoutAfter,
        Fault::LostRequest,
        Fault::WithheldAck,
        Fault::CutAnswer,
        Fault::HtmlAnswer,
        Fault::UnknownRefusal,
        Fault::ShortStatuses,
        Fault::Latency,
        Fault::DuplicateFills,
        Fault::ReorderFills,
        Fault::StallMarket,
        Fault::StallUser,
        Fault::StallAll,
        Fault::Disconnect,
        Fault::Flapping,
        Fault::StaleOracle,
        Fault::FundingSpike,
        Fault::PostOnly,
        Fault::PriceShock,
        Fault::ClockAhead,
        Fault::CrossedBook,
        Fault::OneSidedBook,
        Fault::Halt,
        Fault::AutoDeleverage,
        Fault::CreditLate,
        Fault::CreditNever,
        Fault::CreditTwice,
    ];

    /// Its name in orders and listings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Fault::TooManyRequests => "too-many-requests",
            Fault::ErrorBefore => "error-before",
            Fault::ErrorAfter => "error-after",
            Fault::TimeoutAfter => "timeout-after",
            Fault::LostRequest => "lost-request",
            Fault::WithheldAck => "withheld-ack",
            Fault::CutAnswer => "cut-answer",
            Fault::HtmlAnswer => "html-answer",
            Fault::UnknownRefusal => "unknown-refusal",
            Fault::ShortStatuses => "short-statuses",
            Fault::Latency => "latency",
            Fault::DuplicateFills => "duplicate-fills",
            Fault::ReorderFills => "reorder-fills",
            Fault::StallMarket => "stall-market",
            Fault::StallUser => "stall-user",
            Fault::StallAll => "stall-all",
            Fault::Disconnect => "disconnect",
            Fault::Flapping => "flapping",
            Fault::StaleOracle => "stale-oracle",
            Fault::FundingSpike => "funding-spike",
            Fault::PostOnly => "post-only",
            Fault::PriceShock => "price-shock",
            Fault::ClockAhead => "clock-ahead",
            Fault::CrossedBook => "crossed-book",
            Fault::OneSidedBook => "one-sided-book",
            Fault::Halt => "halt",
            Fault::AutoDeleverage => "auto-deleverage",
            Fault::CreditLate => "credit-late",
            Fault::CreditNever => "credit-never",
            Fault::CreditTwice => "credit-twice",
        }
    }

    /// What it does, in one line.
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Fault::TooManyRequests => "HTTP 429, nothing happens",
            Fault::ErrorBefore => "HTTP `status` (500) before the action happens",
            Fault::ErrorAfter => "the action happens, the answer is HTTP `status` (502)",
            Fault::TimeoutAfter => "the action happens, no answer ever comes",
            Fault::LostRequest => "nothing happens, no answer ever comes",
            Fault::WithheldAck => "the action happens, the answer comes after `delay_ms` (5000)",
            Fault::CutAnswer => "the action happens, the answer is cut in its middle",
            Fault::HtmlAnswer => "the action happens, the answer is an HTML page with status 200",
            Fault::UnknownRefusal => "refused with a text nobody has seen before, nothing happens",
            Fault::ShortStatuses => "the batch happens, one status is missing from the answer",
            Fault::Latency => "requests wait `delay_ms` (250) before they arrive",
            Fault::DuplicateFills => "each fill is streamed twice",
            Fault::ReorderFills => "fills are streamed in the wrong order",
            Fault::StallMarket => "market streams go silent, sockets stay open",
            Fault::StallUser => "user streams go silent, sockets stay open",
            Fault::StallAll => "all streams and pongs go silent, sockets stay open",
            Fault::Disconnect => "all sockets are closed now",
            Fault::Flapping => "all sockets are closed every `delay_ms` (2000)",
            Fault::StaleOracle => "the oracle keeps its present value",
            Fault::FundingSpike => "funding is `bps` (100) per hour, charged at the next full hour",
            Fault::PostOnly => "only post-only orders are taken",
            Fault::PriceShock => "the market jumps by `bps` (-100)",
            Fault::ClockAhead => "the venue's clock runs `delay_ms` (60000) ahead",
            Fault::CrossedBook => "l2Book comes crossed",
            Fault::OneSidedBook => "l2Book comes without asks",
            Fault::Halt => "markets take cancels alone",
            Fault::AutoDeleverage => "the position of `user` in `coin` is closed at the mark",
            Fault::CreditLate => "a deposit over the bridge is credited `delay_ms` (60000) late",
            Fault::CreditNever => "a deposit over the bridge is never credited",
            Fault::CreditTwice => "a deposit over the bridge is credited twice",
        }
    }

    /// What `delay_ms` means if the order does not say.
    const fn usual_delay_ms(self) -> u64 {
        match self {
            Fault::WithheldAck => 5_000,
            Fault::Latency => 250,
            Fault::Flapping => 2_000,
            Fault::ClockAhead | Fault::CreditLate => 60_000,
            Fault::TooManyRequests
            | Fault::ErrorBefore
            | Fault::ErrorAfter
            | Fault::TimeoutAfter
            | Fault::LostRequest
            | Fault::CutAnswer
            | Fault::HtmlAnswer
            | Fault::UnknownRefusal
            | Fault::ShortStatuses
            | Fault::DuplicateFills
            | Fault::ReorderFills
            | Fault::StallMarket
            | Fault::StallUser
            | Fault::StallAll
            | Fault::Disconnect
            | Fault::StaleOracle
            | Fault::FundingSpike
            | Fault::PostOnly
            | Fault::PriceShock
            | Fault::CrossedBook
            | Fault::OneSidedBook
            | Fault::Halt
            | Fault::AutoDeleverage
            | Fault::CreditNever
            | Fault::CreditTwice => 0,
        }
    }

    /// Faults that happen once when ordered and leave nothing behind.
    #[must_use]
    pub const fn is_momentary(self) -> bool {
        matches!(self, Fault::Disconnect | Fault::PriceShock | Fault::AutoDeleverage)
    }

    /// Faults drawn for each request when it arrives; latency is drawn before it does.
    pub(crate) const fn touches_requests(self) -> bool {
        matches!(
            self,
            Fault::TooManyRequests
                | Fault::ErrorBefore
                | Fault::ErrorAfter
                | Fault::TimeoutAfter
                | Fault::LostRequest
                | Fault::WithheldAck
                | Fault::CutAnswer
                | Fault::HtmlAnswer
                | Fault::UnknownRefusal
                | Fault::ShortStatuses
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no fault has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown fault {0:?}: there are {all}", all = Fault::ALL.map(Fault::name).join(", "))]
pub struct UnknownFault(pub String);

impl FromStr for Fault {
    type Err = UnknownFault;
    fn from_str(name: &str) -> Result<Fault, UnknownFault> {
        Fault::ALL.into_iter().find(|f| f.name() == name).ok_or_else(|| UnknownFault(name.to_owned()))
    }
}

/// Which requests a request fault meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Actions: `/exchange` and action posts.
    #[default]
    Exchange,
    /// Reads: `/info` and info posts.
    Info,
    /// Both.
    All,
}

/// An order for a fault, as the control API takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultOrder {
    /// Its name.
    pub fault: String,
    /// How often, of 100 chances. Default 100.
    #[serde(default = "always")]
    pub percent: u8,
    /// How many times at most; without it until cleared or timed out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// For how long, milliseconds; without it until cleared or used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// The fault's delay, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// The fault's size, basis points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bps: Option<i64>,
    /// The fault's HTTP status, 500 to 599.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Which market, for faults of markets; without it all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coin: Option<String>,
    /// Whose, for faults of one account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Address>,
    /// Which requests, for faults of requests.
    #[serde(default)]
    pub scope: Scope,
    /// Only actions of this `type`, for faults of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
}

const fn always() -> u8 {
    100
}

impl FaultOrder {
    /// `fault`, always, until cleared.
    #[must_use]
    pub fn new(fault: Fault) -> FaultOrder {
        FaultOrder {
            fault: fault.name().into(),
            percent: 100,
            count: None,
            for_ms: None,
            delay_ms: None,
            bps: None,
            status: None,
            coin: None,
            user: None,
            scope: Scope::Exchange,
            action: None,
        }
    }

    /// At most `n` times.
    #[must_use]
    pub fn times(mut self, n: u32) -> FaultOrder {
        self.count = Some(n);
        self
    }

    /// For `ms` milliseconds.
    #[must_use]
    pub fn for_ms(mut self, ms: u64) -> FaultOrder {
        self.for_ms = Some(ms);
        self
    }

    /// With this delay.
    #[must_use]
    pub fn delay_ms(mut self, ms: u64) -> FaultOrder {
        self.delay_ms = Some(ms);
        self
    }

    /// With this size.
    #[must_use]
    pub fn bps(mut self, bps: i64) -> FaultOrder {
        self.bps = Some(bps);
        self
    }

    /// `n` times of 100.
    #[must_use]
    pub fn percent(mut self, n: u8) -> FaultOrder {
        self.percent = n;
        self
    }

    /// Only actions of this type.
    #[must_use]
    pub fn action(mut self, kind: &str) -> FaultOrder {
        self.action = Some(kind.into());
        self
    }

    /// Only this market.
    #[must_use]
    pub fn coin(mut self, coin: &str) -> FaultOrder {
        self.coin = Some(coin.into());
        self
    }

    /// Only this account.
    #[must_use]
    pub fn user(mut self, user: Address) -> FaultOrder {
        self.user = Some(user);
        self
    }

    /// Which requests.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> FaultOrder {
        self.scope = scope;
        self
    }
}

/// Why a fault order was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOrder {
    /// No such fault.
    #[error(transparent)]
    Unknown(#[from] UnknownFault),
    /// A value out of range.
    #[error("{field} is {value}: expected {expected}")]
    Value {
        /// Which field.
        field: &'static str,
        /// What it was.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
}

/// Most orders in force at once.
const ORDERS_MAX: usize = 256;
/// Longest delay and duration: a day.
const MS_MAX: u64 = 86_400_000;

/// One fault in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ActiveFault {
    /// Which.
    #[serde(skip)]
    pub kind: Fault,
    /// As ordered.
    #[serde(flatten)]
    pub order: FaultOrder,
    /// How often it has happened.
    pub happened: u32,
    /// When it ends, UTC milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
}

impl ActiveFault {
    /// Its delay, as ordered or as usual.
    #[must_use]
    pub fn delay_ms(&self) -> u64 {
        self.order.delay_ms.unwrap_or(self.kind.usual_delay_ms())
    }
}

/// All faults in force.
#[derive(Debug)]
pub(crate) struct Faults {
    active: Vec<ActiveFault>,
    chance: Prng,
}

impl Faults {
    pub(crate) fn new(seed: Seed) -> Faults {
        Faults { active: Vec::new(), chance: seed.fork("paper.faults") }
    }

    /// Checks orders and puts all of them in force or none; momentary faults are returned and not kept.
    pub(crate) fn order(&mut self, now_ms: u64, orders: Vec<FaultOrder>) -> Result<Vec<ActiveFault>, BadOrder> {
        let kinds = orders.iter().map(|o| self.check(o)).collect::<Result<Vec<_>, _>>()?;
        let all: Vec<ActiveFault> = kinds
            .into_iter()
            .zip(orders)
            .map(|(kind, order)| ActiveFault { kind, until_ms: order.for_ms.map(|ms| now_ms + ms), order, happened: 0 })
            .collect();
        self.active.extend(all.iter().filter(|a| !a.kind.is_momentary()).cloned());
        Ok(all)
    }

    fn check(&self, order: &FaultOrder) -> Result<Fault, BadOrder> {
        let kind: Fault = order.fault.parse()?;
        let value = |field, value: &dyn fmt::Display, expected| BadOrder::Value { field, value: value.to_string(), expected };
        if !(1..=100).contains(&order.percent) {
            return Err(value("percent", &order.percent, "1 to 100"));
        }
        if let Some(count) = order.count.filter(|n| *n == 0) {
            return Err(value("count", &count, "1 or more"));
        }
        for (field, ms) in [("for_ms", order.for_ms), ("delay_ms", order.delay_ms)] {
            if let Some(ms) = ms.filter(|ms| !(1..=MS_MAX).contains(ms)) {
                return Err(value(field, &ms, "1 to 86400000"));
            }
        }
        if let Some(bps) = order.bps.filter(|bps| !(-9_000..=9_000).contains(bps) || *bps == 0) {
            return Err(value("bps", &bps, "-9000 to 9000 and not 0"));
        }
        if let Some(status) = order.status.filter(|s| !(500..=599).contains(s)) {
            return Err(value("status", &status, "500 to 599"));
        }
        if kind == Fault::AutoDeleverage && (order.user.is_none() || order.coin.is_none()) {
            return Err(value("user and coin", &"absent", "whose position is closed, and where"));
        }
        if self.active.len() >= ORDERS_MAX {
            return Err(value("orders in force", &self.active.len(), "fewer than 256: clear some first"));
        }
        Ok(kind)
    }

    pub(crate) fn clear(&mut self, which: Option<Fault>) {
        self.active.retain(|a| which.is_some_and(|w| w != a.kind));
    }

    pub(crate) fn list(&mut self, now_ms: u64) -> &[ActiveFault] {
        self.expire(now_ms);
        &self.active
    }

    fn expire(&mut self, now_ms: u64) {
        self.active.retain(|a| a.until_ms.is_none_or(|until| now_ms < until) && a.order.count.is_none_or(|n| a.happened < n));
    }

    /// Whether `kind` holds, without counting it as having happened.
    pub(crate) fn holds(&mut self, now_ms: u64, kind: Fault) -> Option<&ActiveFault> {
        self.expire(now_ms);
        self.active.iter().find(|a| a.kind == kind)
    }

    /// Whether `kind` happens now; counts it.
    pub(crate) fn happens(&mut self, now_ms: u64, kind: Fault) -> Option<ActiveFault> {
        self.draw(now_ms, |a| a.kind == kind)
    }

    /// The faults of the kinds `wanted` that meet one request, in the order they were ordered. Each is drawn and counted.
    pub(crate) fn meet(
        &mut self,
        now_ms: u64,
        is_action: bool,
        action: &str,
        wanted: impl Fn(Fault) -> bool,
    ) -> Vec<ActiveFault> {
        self.expire(now_ms);
        if self.active.is_empty() {
            return Vec::new();
        }
        let mut met = Vec::new();
        for active in &mut self.active {
            let scoped = match active.order.scope {
                Scope::Exchange => is_action,
                Scope::Info => !is_action,
                Scope::All => true,
            };
            let named = active.order.action.as_deref().is_none_or(|kind| kind == action);
            if wanted(active.kind) && scoped && named && self.chance.chance(u64::from(active.order.percent), 100) {
                active.happened += 1;
                met.push(active.clone());
            }
        }
        met
    }

    fn draw(&mut self, now_ms: u64, wanted: impl Fn(&ActiveFault) -> bool) -> Option<ActiveFault> {
        self.expire(now_ms);
        let active = self.active.iter_mut().find(|a| wanted(a))?;
        if !self.chance.chance(u64::from(active.order.percent), 100) {
            return None;
        }
        active.happened += 1;
        Some(active.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_are_refused_with_the_names_that_exist() {
        let mut faults = Faults::new(Seed(1));
        let order = FaultOrder { fault: "meteor".into(), ..FaultOrder::new(Fault::Latency) };
        let refusal = faults.order(0, vec![order]).expect_err("no such fault").to_string();
        assert!(refusal.starts_with("unknown fault \"meteor\": there are too-many-requests, "), "{refusal}");
        assert!(refusal.contains("stale-oracle"));
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(fault));
            assert_eq!(serde_json::to_value(fault).ok(), Some(fault.name().into()), "serde and name() agree");
        }
    }

    #[test]
    fn count_duration_and_chance_bound_a_fault() {
        let mut faults = Faults::new(Seed(1));
        faults.order(0, vec![FaultOrder::new(Fault::ErrorAfter).times(2)]).expect("valid");
        let hits = (0..5).filter(|_| !faults.meet(0, true, "order", Fault::touches_requests).is_empty()).count();
        assert_eq!(hits, 2);
        faults.order(100, vec![FaultOrder::new(Fault::StallUser).for_ms(50)]).expect("valid");
        assert!(faults.holds(149, Fault::StallUser).is_some());
        assert!(faults.holds(150, Fault::StallUser).is_none());
        faults.order(0, vec![FaultOrder::new(Fault::ErrorBefore).percent(30)]).expect("valid");
        let hits = (0..1_000).filter(|_| !faults.meet(200, true, "order", Fault::touches_requests).is_empty()).count();
        assert!((240..360).contains(&hits), "{hits}");
        faults.clear(None);
        assert!(faults.list(200).is_empty());
    }

    #[test]
    fn scope_and_action_narrow_a_fault() {
        let mut faults = Faults::new(Seed(1));
        faults.order(0, vec![FaultOrder::new(Fault::TimeoutAfter).action("order")]).expect("valid");
        assert!(faults.meet(0, true, "cancel", Fault::touches_requests).is_empty());
        assert!(faults.meet(0, false, "order", Fault::touches_requests).is_empty());
        assert_eq!(faults.meet(0, true, "order", Fault::touches_requests).len(), 1);
    }

    #[test]
    fn values_out_of_range_name_the_field() {
        let mut faults = Faults::new(Seed(1));
        for (order, field) in [
            (FaultOrder::new(Fault::Latency).percent(0), "percent"),
            (FaultOrder::new(Fault::Latency).percent(101), "percent"),
            (FaultOrder::new(Fault::Latency).times(0), "count"),
            (FaultOrder::new(Fault::Latency).delay_ms(0), "delay_ms"),
            (FaultOrder::new(Fault::PriceShock).bps(20_000), "bps"),
            (FaultOrder::new(Fault::AutoDeleverage), "user and coin"),
            (FaultOrder { status: Some(200), ..FaultOrder::new(Fault::ErrorAfter) }, "status"),
        ] {
            let refusal = faults.order(0, vec![order]).expect_err("out of range").to_string();
            assert!(refusal.starts_with(field), "{refusal}");
        }
    }
}
