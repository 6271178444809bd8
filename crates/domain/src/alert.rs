//! What a person is told: the cause, the state at that moment, what was done about it, and what is left for the person to do.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::{InstrumentId, MarginLevel, StopLevel, StopScope, Usd, Venue};

/// How much an alert matters. Ordered: later is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Unexpected, nothing lost.
    Warn,
    /// Someone must act, and say so with `plimsoll alerts ack`.
    Act,
}

impl Severity {
    /// The word that configuration and messages use.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Severity::Warn => "warn",
            Severity::Act => "act",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What an alert is about. Each topic says what plimsoll does about it by itself ([`Topic::done`]) and what it leaves to a person
/// ([`Topic::todo`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// The stop level rose.
    Stopped,
    /// A market was frozen: derived and venue position differ, or an order is there that we cannot explain.
    Frozen,
    /// An account's margin level changed.
    Margin,
    /// Reductions cannot be made as they should.
    Deleverage,
    /// A parent repeats itself.
    Repeats,
    /// Market data is missing, old, or contradicts itself.
    Data,
    /// A venue's stream is not up.
    Stream,
    /// A venue cannot be read.
    Reconcile,
    /// An order at the venue is not ours.
    Stranger,
    /// The venue counts more fills of an order than it tells.
    FillsMissing,
    /// An order whose fate the venue has not told for long.
    Unresolved,
    /// Money that moves by itself does not move as it should.
    Treasury,
    /// A way out of the venue does not work as expected, or was not tried for too long.
    Drill,
    /// Positions are not being closed as ordered.
    Flatten,
    /// The configuration file changed.
    Reload,
    /// The daemon itself: its journal, its tasks, its clock, its disk.
    Daemon,
    /// Somebody tries whether alerts arrive.
    Test,
}

impl Topic {
    /// A stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Topic::Stopped => "stopped",
            Topic::Frozen => "frozen",
            Topic::Margin => "margin",
            Topic::Deleverage => "deleverage",
            Topic::Repeats => "repeats",
            Topic::Data => "data",
            Topic::Stream => "stream",
            Topic::Reconcile => "reconcile",
            Topic::Stranger => "stranger",
            Topic::FillsMissing => "fills-missing",
            Topic::Unresolved => "unresolved",
            Topic::Treasury => "treasury",
            Topic::Drill => "drill",
            Topic::Flatten => "flatten",
            Topic::Reload => "reload",
            Topic::Daemon => "daemon",
            Topic::Test => "test",
        }
    }

    /// What plimsoll does about it by itself, at stop level `stop`.
    #[must_use]
    pub const fn done(self, stop: StopLevel) -> &'static str {
        match self {
            Topic::Stopped => match stop {
                StopLevel::Run => "nothing is stopped",
                StopLevel::ReduceOnly => {
                    "what could make a position larger is cancelled; only reductions pass, over restarts as well"
                }
                StopLevel::Block => "no new order is sent, over restarts as well; what rests at the venue stays there",
                StopLevel::Cancel => {
                    "no new order is sent, over restarts as well; what is open there is being cancelled until the venue has shown it \
                     empty twice"
                }
                StopLevel::Flatten => {
                    "everything open is being cancelled, and then positions are closed, reduce-only and inside the collar"
                }
                StopLevel::Sever => {
                    "everything open is cancelled as far as the venue answers, keys are forgotten and the process ends"
                }
            },
            Topic::Frozen => "nothing may grow in this market; reductions that books and venue agree on still pass",
            Topic::Margin => {
                "increases are refused as far as the load line says; from level reduce on positions are reduced by themselves"
            }
            Topic::Deleverage => "the reductions that are possible go on, and are planned anew every few seconds",
            Topic::Repeats => "the parent is paused and its orders are cancelled",
            Topic::Data => "missing and old data count as bad: what depends on them may not grow",
            Topic::Stream => "no new risk is taken at this venue until the stream is back and the venue has been read",
            Topic::Reconcile => "the venue is asked again and again; nothing that it has not confirmed counts as ours to use",
            Topic::Stranger => "it counts in the exposure as if it were ours",
            Topic::FillsMissing => {
                "the fills are believed and the order is closed; the next comparison of positions shows the rest"
            }
            Topic::Unresolved => "its quantity and margin stay reserved, and the venue is asked again and again",
            Topic::Treasury => "nothing is sent twice; where money cannot come in time positions are reduced instead",
            Topic::Drill => "the longer of expected and measured time counts in every buffer",
            Topic::Flatten => "what could be closed inside the collar is closed, reduce-only; the rest is left as it is",
            Topic::Reload => "what only tightens is in force; what loosens waits, and a file that is wrong changes nothing",
            Topic::Daemon => "no new risk is taken; as far as the venue answers everything open is cancelled",
            Topic::Test => "nothing",
        }
    }

    /// What is left for a person to do.
    #[must_use]
    pub const fn todo(self) -> &'static str {
        match self {
            Topic::Stopped => {
                "find out whether the cause is gone: plimsoll status, plimsoll margin; then plimsoll rearm --reason …; close at the \
                 venue's own site what must not wait"
            }
            Topic::Frozen => {
                "compare positions and orders with the venue's own site; when the difference is explained: plimsoll unfreeze MARKET \
                 --reason …"
            }
            Topic::Margin => "look at plimsoll margin: add margin or reduce positions, before the level does it for you",
            Topic::Deleverage => "look at plimsoll margin now: add margin, or close positions at the venue's own site",
            Topic::Repeats => {
                "find out what makes it repeat: plimsoll status, plimsoll explain PARENT; then plimsoll resume or cancel"
            }
            Topic::Data => {
                "look whether the venue works: its status page, plimsoll status; if it does, look at this machine's network"
            }
            Topic::Stream => {
                "nothing, if it comes back by itself within minutes; else look at the network and the venue's status page"
            }
            Topic::Reconcile => {
                "look at the network and the venue's status page; positions there are not being compared meanwhile"
            }
            Topic::Stranger => {
                "if nobody of yours placed it, the account's keys are not yours alone: plimsoll kill, then change them"
            }
            Topic::FillsMissing => "compare the order's fills with the venue's own site",
            Topic::Unresolved => "look for the order at the venue's own site; if it works there, cancel it there",
            Topic::Treasury => "look at plimsoll treasury: it names the transfer, where it is, and which command closes it",
            Topic::Drill => "look at plimsoll drill --list and try the way by hand before you need it",
            Topic::Flatten => "look at plimsoll status for what is left, and close it at the venue's own site",
            Topic::Reload => {
                "plimsoll check --diff names what is wrong, waits or needs a restart: correct the file, or plimsoll apply --reason …"
            }
            Topic::Daemon => "look at the daemon's log and the machine (disk, clock, memory) before you start it again",
            Topic::Test => "nothing: you read it, so it works",
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// One account in a [`Situation`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountSituation {
    /// At which venue.
    pub venue: Venue,
    /// How deep it is loaded.
    pub level: MarginLevel,
    /// Its value in USD; absent until the venue has told.
    pub equity: Option<Usd>,
    /// Its maintenance margin in USD; absent until the venue has told.
    pub maintenance: Option<Usd>,
}

/// The state of affairs when an alert was raised, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Situation {
    /// How far everything is stopped.
    pub stop: StopLevel,
    /// What is stopped further than that.
    #[serde(default)]
    pub narrower: Vec<(StopScope, StopLevel)>,
    /// Every account.
    pub accounts: Vec<AccountSituation>,
    /// Positions by our own fills, in base units, at most [`Situation::LINES_MAX`]; positive is long.
    pub positions: Vec<(InstrumentId, Decimal)>,
    /// Positions beyond those.
    pub more_positions: usize,
    /// Orders that are not over.
    pub orders: usize,
    /// Those of them whose fate the venue has not told.
    pub unknown: usize,
}

impl Situation {
    /// A message is read on a telephone: of what has many, so many are named and the rest is counted.
    pub const LINES_MAX: usize = 8;
}

impl fmt::Display for Situation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stop level {}", self.stop)?;
        for (scope, level) in self.narrower.iter().take(Situation::LINES_MAX) {
            write!(f, ", {scope} {level}")?;
        }
        if self.narrower.len() > Situation::LINES_MAX {
            write!(f, " and {} more", self.narrower.len() - Situation::LINES_MAX)?;
        }
        for account in &self.accounts {
            write!(f, "; {}: margin level {}", account.venue, account.level)?;
            match account.equity {
                Some(equity) => write!(f, ", equity {} USD", equity.round(2))?,
                None => f.write_str(", equity not told")?,
            }
            if let Some(maintenance) = account.maintenance {
                write!(f, ", maintenance {} USD", maintenance.round(2))?;
            }
        }
        f.write_str("; ")?;
        if self.positions.is_empty() {
            f.write_str("no position")?;
        }
        for (n, (instrument, quantity)) in self.positions.iter().enumerate() {
            write!(f, "{}{instrument} {}", if n == 0 { "" } else { ", " }, quantity.normalize())?;
        }
        if self.more_positions > 0 {
            write!(f, " and {} more", self.more_positions)?;
        }
        write!(f, "; {} open orders", self.orders)?;
        if self.unknown > 0 {
            write!(f, ", {} of them unresolved", self.unknown)?;
        }
        Ok(())
    }
}

/// Something a person should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// How much it matters.
    pub severity: Severity,
    /// What it is about.
    pub topic: Topic,
    /// What happened, with its numbers.
    pub cause: String,
    /// The state at that moment; absent where whoever raised it cannot see it.
    pub state: Option<Situation>,
    /// What was done about it.
    pub done: String,
    /// What is left for a person to do.
    pub todo: String,
}

impl Alert {
    /// An alert with its topic's own words for what was done and what is to do.
    #[must_use]
    pub fn new(severity: Severity, topic: Topic, cause: impl Into<String>, state: Option<Situation>) -> Alert {
        let stop = state.as_ref().map_or(StopLevel::Run, |state| state.stop);
        let (done, todo) = (topic.done(stop).to_owned(), topic.todo().to_owned());
        Alert { severity, topic, cause: cause.into(), state, done, todo }
    }

    /// The same, with other words for what was done: `topic`'s own are those of the usual case.
    #[must_use]
    pub fn having(mut self, done: impl Into<String>) -> Alert {
        self.done = done.into();
        self
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.topic, self.cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_says_what_is_done_and_what_is_to_do_and_is_called_alike_everywhere() {
        let all = [
            Topic::Stopped,
            Topic::Frozen,
            Topic::Margin,
            Topic::Deleverage,
            Topic::Repeats,
            Topic::Data,
            Topic::Stream,
            Topic::Reconcile,
            Topic::Stranger,
            Topic::FillsMissing,
            Topic::Unresolved,
            Topic::Treasury,
            Topic::Drill,
            Topic::Flatten,
            Topic::Reload,
            Topic::Daemon,
            Topic::Test,
        ];
        for topic in all {
            assert_eq!(serde_json::to_value(topic).unwrap(), topic.word());
            let done: std::collections::BTreeSet<&str> = StopLevel::ALL.into_iter().map(|level| topic.done(level)).collect();
            assert_eq!(done.len(), if topic == Topic::Stopped { StopLevel::ALL.len() } else { 1 }, "{topic}");
            assert!(!topic.todo().is_empty());
        }
    }

    #[test]
    fn a_situation_reads_in_one_line() {
        let dydx = AccountSituation { venue: Venue::Dydx, level: MarginLevel::Ok, equity: None, maintenance: None };
        let mut state = Situation {
            stop: StopLevel::ReduceOnly,
            narrower: vec![("market:hyperliquid:BTC".parse().unwrap(), StopLevel::Cancel)],
            accounts: vec![dydx],
            positions: Vec::new(),
            more_positions: 0,
            orders: 0,
            unknown: 0,
        };
        let line = "stop level reduce-only, market:hyperliquid:BTC cancel; dydx: margin level ok, equity not told; no position; \
                    0 open orders";
        assert_eq!(state.to_string(), line);
        state.narrower = vec![state.narrower[0]; 10];
        state.positions = vec![("hyperliquid:BTC".parse().unwrap(), Decimal::new(150, 2))];
        assert!(
            state.to_string().ends_with("and 2 more; dydx: margin level ok, equity not told; hyperliquid:BTC 1.5; 0 open orders")
        );
    }
}
