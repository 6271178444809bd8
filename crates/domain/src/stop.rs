//! Stopping: how far, where, and why.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{InstrumentId, ParentId, Venue};

/// How far trading is stopped (C30). It rises at once and falls only by a re-arm (I20).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopLevel {
    /// Everything may run.
    #[default]
    Run,
    /// Positions may only shrink.
    ReduceOnly,
    /// No new orders.
    Block,
    /// No new orders, and every open order is cancelled, also those that are not ours.
    Cancel,
    /// As [`StopLevel::Cancel`], and then positions are closed, reduce-only.
    Flatten,
    /// As [`StopLevel::Cancel`], and then sockets are closed, keys are forgotten and the process ends.
    Sever,
}

impl StopLevel {
    /// All, from the mildest.
    pub const ALL: [StopLevel; 6] =
        [StopLevel::Run, StopLevel::ReduceOnly, StopLevel::Block, StopLevel::Cancel, StopLevel::Flatten, StopLevel::Sever];

    /// Its word on the command line, in files and in the journal.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            StopLevel::Run => "run",
            StopLevel::ReduceOnly => "reduce-only",
            StopLevel::Block => "block",
            StopLevel::Cancel => "cancel",
            StopLevel::Flatten => "flatten",
            StopLevel::Sever => "sever",
        }
    }
}

impl fmt::Display for StopLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Not a stop level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLevel {
    text: String,
}

impl fmt::Display for BadLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<&str> = StopLevel::ALL.iter().skip(1).map(|level| level.name()).collect();
        write!(f, "level = {}: one of {}", self.text, known.join(", "))
    }
}

impl std::error::Error for BadLevel {}

impl FromStr for StopLevel {
    type Err = BadLevel;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = StopLevel::ALL.into_iter().find(|level| level.name() == text);
        found.ok_or_else(|| BadLevel { text: text.chars().take(40).collect() })
    }
}

impl StopLevel {
    /// The level called `text` that something can be stopped at: any but `run`, which only a re-arm brings about.
    ///
    /// # Errors
    /// If there is none, with the list of those that there are.
    pub fn to_stop_at(text: &str) -> Result<StopLevel, BadLevel> {
        match text.parse()? {
            StopLevel::Run => Err(BadLevel { text: text.to_owned() }),
            level @ (StopLevel::ReduceOnly | StopLevel::Block | StopLevel::Cancel | StopLevel::Flatten | StopLevel::Sever) => {
                Ok(level)
            }
        }
    }
}

/// What a stop covers. Written `all`, `venue:hyperliquid`, `market:hyperliquid:BTC`, `parent:P7`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopScope {
    /// Everything.
    #[default]
    All,
    /// One venue: its markets and its account.
    Venue(Venue),
    /// One market.
    Market(InstrumentId),
    /// One parent.
    Parent(ParentId),
}

impl StopScope {
    /// Whether it covers a market as a whole.
    #[must_use]
    pub fn covers(self, instrument: InstrumentId) -> bool {
        match self {
            StopScope::All => true,
            StopScope::Venue(venue) => venue == instrument.venue(),
            StopScope::Market(market) => market == instrument,
            StopScope::Parent(_) => false,
        }
    }
}

impl fmt::Display for StopScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StopScope::All => f.write_str("all"),
            StopScope::Venue(venue) => write!(f, "venue:{venue}"),
            StopScope::Market(instrument) => write!(f, "market:{instrument}"),
            StopScope::Parent(id) => write!(f, "parent:{id}"),
        }
    }
}

/// Not a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadScope {
    text: String,
}

impl fmt::Display for BadScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "scope = {}: all, venue:hyperliquid, market:hyperliquid:BTC or parent:P7", self.text)
    }
}

impl std::error::Error for BadScope {}

impl FromStr for StopScope {
    type Err = BadScope;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadScope { text: text.chars().take(80).collect() };
        match text.split_once(':') {
            None if text == "all" => Ok(StopScope::All),
            Some(("venue", "hyperliquid")) => Ok(StopScope::Venue(Venue::Hyperliquid)),
            Some(("venue", "dydx")) => Ok(StopScope::Venue(Venue::Dydx)),
            Some(("market", id)) => id.parse().map(StopScope::Market).map_err(|_| bad()),
            Some(("parent", id)) => id.parse().map(StopScope::Parent).map_err(|_| bad()),
            _ => Err(bad()),
        }
    }
}

impl Serialize for StopScope {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StopScope {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

/// What pulled the switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A person, by the operator API or the command line.
    #[default]
    Operator,
    /// A signal to the process.
    Signal,
    /// `[kill] engaged` in the configuration.
    Reload,
    /// The file `STOP` in the state directory.
    Sentinel,
    /// The latch of an earlier tenure, which only one of its two stores remembers.
    Latch,
    /// A rule about margin, cover or drawdown.
    Guard,
    /// Money lost too fast (C52).
    Loss,
    /// Orders rejected too often (C50).
    Rejects,
    /// Books and venue differ.
    Reconcile,
    /// A clock cannot be trusted.
    Clock,
    /// The loop stood still for longer than the watchdog waits.
    Watchdog,
    /// The journal cannot be written.
    Journal,
    /// Too little disk space.
    Disk,
    /// A task that must not end ended.
    Panic,
    /// A task of a venue connector ended.
    Connector,
    /// Nobody could be told for too long (F105).
    Alerts,
}

impl Trigger {
    /// Its word in the journal and for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Trigger::Operator => "operator",
            Trigger::Signal => "signal",
            Trigger::Reload => "reload",
            Trigger::Sentinel => "sentinel",
            Trigger::Latch => "latch",
            Trigger::Guard => "guard",
            Trigger::Loss => "loss",
            Trigger::Rejects => "rejects",
            Trigger::Reconcile => "reconcile",
            Trigger::Clock => "clock",
            Trigger::Watchdog => "watchdog",
            Trigger::Journal => "journal",
            Trigger::Disk => "disk",
            Trigger::Panic => "panic",
            Trigger::Connector => "connector",
            Trigger::Alerts => "alerts",
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One act of stopping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// How far.
    pub level: StopLevel,
    /// What.
    #[serde(default)]
    pub scope: StopScope,
    /// What pulled the switch.
    #[serde(default)]
    pub trigger: Trigger,
    /// Why, in words.
    pub cause: String,
    /// The numbers that it was decided on, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, String>,
}

impl Stop {
    /// A stop of everything.
    #[must_use]
    pub fn all(level: StopLevel, trigger: Trigger, cause: impl Into<String>) -> Stop {
        Stop { level, scope: StopScope::All, trigger, cause: cause.into(), inputs: BTreeMap::new() }
    }

    /// With a number that it was decided on.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Stop {
        self.inputs.insert(name.to_owned(), value.to_string());
        self
    }
}

/// Scopes that may be stopped by themselves at once. One more stops everything instead.
const SCOPES_MAX: usize = 128;

/// What is stopped: at most one stop per scope, the highest (I20).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stops {
    stops: Vec<Stop>,
}

impl Stops {
    /// Takes in a stop. True if its scope is stopped further than before. Beyond 128 scopes everything is stopped instead.
    pub fn raise(&mut self, stop: &Stop) -> bool {
        let known = self.stops.iter().position(|s| s.scope == stop.scope);
        if known.is_none() && stop.scope != StopScope::All && self.stops.len() >= SCOPES_MAX {
            return self.raise(&Stop { scope: StopScope::All, ..stop.clone() });
        }
        match known.and_then(|at| self.stops.get_mut(at)) {
            Some(before) if before.level >= stop.level => false,
            Some(before) => {
                before.clone_from(stop);
                true
            }
            None if stop.level == StopLevel::Run => false,
            None => {
                let at = self.stops.partition_point(|s| s.scope < stop.scope);
                self.stops.insert(at, stop.clone());
                true
            }
        }
    }

    /// Ends the stop of `scope`, or all of them.
    pub fn clear(&mut self, scope: Option<StopScope>) {
        self.stops.retain(|s| scope.is_some_and(|scope| s.scope != scope));
    }

    /// Takes in all of `other`.
    pub fn join(&mut self, other: &Stops) {
        for stop in &other.stops {
            self.raise(stop);
        }
    }

    /// The stop of exactly this scope.
    #[must_use]
    pub fn of(&self, scope: StopScope) -> Option<&Stop> {
        self.stops.iter().find(|s| s.scope == scope)
    }

    /// How far everything is stopped.
    #[must_use]
    pub fn level(&self) -> StopLevel {
        self.of(StopScope::All).map_or(StopLevel::Run, |s| s.level)
    }

    /// Why everything is stopped; empty if it is not.
    #[must_use]
    pub fn cause(&self) -> &str {
        self.of(StopScope::All).map_or("", |s| s.cause.as_str())
    }

    /// The highest stop that covers a venue as a whole.
    #[must_use]
    pub fn venue(&self, venue: Venue) -> Option<&Stop> {
        highest([self.of(StopScope::All), self.of(StopScope::Venue(venue))])
    }

    /// The highest stop that covers a market as a whole.
    #[must_use]
    pub fn market(&self, instrument: InstrumentId) -> Option<&Stop> {
        highest([self.venue(instrument.venue()), self.of(StopScope::Market(instrument))])
    }

    /// The highest stop that covers a parent of `instrument`.
    #[must_use]
    pub fn parent(&self, parent: ParentId, instrument: InstrumentId) -> Option<&Stop> {
        highest([self.market(instrument), self.of(StopScope::Parent(parent))])
    }

    /// How far a venue as a whole is stopped.
    #[must_use]
    pub fn venue_level(&self, venue: Venue) -> StopLevel {
        self.venue(venue).map_or(StopLevel::Run, |s| s.level)
    }

    /// How far a market as a whole is stopped.
    #[must_use]
    pub fn market_level(&self, instrument: InstrumentId) -> StopLevel {
        self.market(instrument).map_or(StopLevel::Run, |s| s.level)
    }

    /// How far a parent of `instrument` is stopped.
    #[must_use]
    pub fn parent_level(&self, parent: ParentId, instrument: InstrumentId) -> StopLevel {
        self.parent(parent, instrument).map_or(StopLevel::Run, |s| s.level)
    }

    /// The highest of all.
    #[must_use]
    pub fn worst(&self) -> Option<&Stop> {
        self.stops.iter().max_by_key(|s| s.level)
    }

    /// Whether anything is stopped.
    #[must_use]
    pub fn is_set(&self) -> bool {
        !self.stops.is_empty()
    }

    /// All, by scope.
    pub fn iter(&self) -> impl Iterator<Item = &Stop> {
        self.stops.iter()
    }
}

fn highest<const N: usize>(stops: [Option<&Stop>; N]) -> Option<&Stop> {
    // the widest of equals: it is what a person will look for
    stops.into_iter().flatten().reduce(|a, b| if b.level > a.level { b } else { a })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stop(scope: &str, level: StopLevel) -> Stop {
        Stop { scope: scope.parse().unwrap(), ..Stop::all(level, Trigger::Operator, scope) }
    }

    #[test]
    fn the_highest_stop_that_covers_a_thing_counts_i20() {
        let mut stops = Stops::default();
        for (scope, level) in [
            ("market:hyperliquid:BTC", StopLevel::Block),
            ("parent:P7", StopLevel::Flatten),
            ("venue:hyperliquid", StopLevel::ReduceOnly),
        ] {
            assert!(stops.raise(&stop(scope, level)));
        }
        let (btc, eth) = ("hyperliquid:BTC".parse().unwrap(), "hyperliquid:ETH".parse().unwrap());
        let dydx = "dydx:BTC-USD".parse().unwrap();
        let level = |s: Option<&Stop>| s.map_or(StopLevel::Run, |s| s.level);
        assert_eq!(stops.level(), StopLevel::Run);
        assert_eq!(level(stops.market(btc)), StopLevel::Block);
        assert_eq!(level(stops.market(eth)), StopLevel::ReduceOnly);
        assert_eq!(level(stops.market(dydx)), StopLevel::Run);
        assert_eq!(level(stops.parent(ParentId(7), eth)), StopLevel::Flatten);
        assert_eq!(level(stops.parent(ParentId(8), btc)), StopLevel::Block);
        assert!(!stops.raise(&stop("parent:P7", StopLevel::Cancel)), "lower");
        assert_eq!(stops.worst().map(|s| s.level), Some(StopLevel::Flatten));
        stops.clear(Some("parent:P7".parse().unwrap()));
        assert_eq!(level(stops.parent(ParentId(7), eth)), StopLevel::ReduceOnly);
        stops.clear(None);
        assert!(!stops.is_set());
    }

    #[test]
    fn too_many_scopes_stop_everything() {
        let mut stops = Stops::default();
        for n in 1..=128 {
            assert!(stops.raise(&stop(&format!("parent:P{n}"), StopLevel::Block)));
        }
        assert_eq!(stops.level(), StopLevel::Run);
        assert!(stops.raise(&stop("parent:P7", StopLevel::Cancel)), "a scope that is stopped may be stopped further");
        assert!(stops.raise(&stop("all", StopLevel::ReduceOnly)));
        assert!(stops.raise(&stop("parent:P500", StopLevel::Cancel)));
        assert_eq!(stops.level(), StopLevel::Cancel);
    }

    #[test]
    fn words_read_back() {
        for text in ["all", "venue:dydx", "market:hyperliquid:BTC", "parent:P7"] {
            assert_eq!(text.parse::<StopScope>().unwrap().to_string(), text);
        }
        for bad in ["", "every", "venue:", "venue:nyse", "market:BTC", "parent:", "parent:-1"] {
            assert!(bad.parse::<StopScope>().unwrap_err().to_string().contains("parent:P7"), "{bad}");
        }
        for level in StopLevel::ALL {
            assert_eq!(level.name().parse::<StopLevel>().unwrap(), level);
        }
        assert!(StopLevel::to_stop_at("run").is_err(), "only a re-arm lets run");
        assert_eq!(StopLevel::to_stop_at("flatten"), Ok(StopLevel::Flatten));
        let no = "halt".parse::<StopLevel>().unwrap_err().to_string();
        assert_eq!(no, "level = halt: one of reduce-only, block, cancel, flatten, sever");
    }
}
