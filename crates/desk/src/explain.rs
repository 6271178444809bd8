//! Why an order was cleared or refused, from the journal alone.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use domain::{
    Arrival, Basis, Child, ChildNo, ClientKey, Entry, InstrumentId, Intent, LevelChange, Measure, ParentId, ParentSpec,
    ProfitMark, Stamp, Stamped, Stop, Stops, Venue, VenueOrderId,
};
use serde::Serialize;

/// Of one order, no more than this many verdicts and events are told, the first ones: a child that was refused for a day says the
/// same thing each time.
const TOLD_MAX: usize = 200;

/// Which order is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// By its client key.
    Key(ClientKey),
    /// By parent and child number, written `7/3`.
    Child(ParentId, ChildNo),
    /// By the venue's number.
    Venue(VenueOrderId),
    /// All orders of a parent.
    Parent(ParentId),
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Asked::Key(key) => write!(f, "{key}"),
            Asked::Child(parent, no) => write!(f, "{parent}/{}", no.0),
            Asked::Venue(order) => write!(f, "venue order {order}"),
            Asked::Parent(parent) => write!(f, "{parent}"),
        }
    }
}

/// A text that names no order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no order: expected a client key (0x and 32 hexadecimal digits), PARENT/CHILD such as P7/3, a parent such as P7, or the \
     venue's number such as oid:123"
)]
pub struct NoOrder(String);

impl FromStr for Asked {
    type Err = NoOrder;
    fn from_str(text: &str) -> Result<Asked, NoOrder> {
        let bad = || NoOrder(text.chars().take(60).collect());
        if let Ok(key) = text.parse() {
            return Ok(Asked::Key(key));
        }
        if let Some(order) = text.strip_prefix("oid:") {
            let order = order.parse().map_or_else(|_| VenueOrderId::Text(order.to_owned()), VenueOrderId::Number);
            return Ok(Asked::Venue(order));
        }
        if let Some((parent, no)) = text.split_once('/') {
            let parent = parent.parse().map_err(|_| bad())?;
            return no.parse().map(|no| Asked::Child(parent, ChildNo(no))).map_err(|_| bad());
        }
        text.parse().map(Asked::Parent).map_err(|_| bad())
    }
}

/// What the guard said of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was cleared.
    Cleared {
        /// The order.
        intent: Intent,
        /// The numbers that it was cleared on.
        basis: Basis,
    },
    /// It was refused.
    Refused {
        /// The order.
        child: Child,
        /// Why, with the numbers.
        why: String,
        /// How many were refused alike since the last record.
        count: u32,
    },
}

/// One thing that became of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fate {
    /// When.
    pub at: Stamp,
    /// Which order.
    pub key: ClientKey,
    /// The journal's word.
    pub entry: Entry,
}

/// Limits in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LimitsInForce {
    /// First 8 bytes of their hash.
    pub id: u64,
    /// As they were hashed, JSON.
    pub text: String,
}

/// The state that a verdict was given in, as far as the journal tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Background {
    /// Limits in force.
    pub limits: Option<LimitsInForce>,
    /// The highest stop that covered it.
    pub stop: Option<Stop>,
    /// Why the market was frozen, if it was.
    pub frozen: Option<String>,
    /// The newest statistics of its market that were recorded before.
    pub measure: Option<Measure>,
    /// The last change of the account's margin level.
    pub level: Option<LevelChange>,
    /// The last recorded profit.
    pub profit: Option<ProfitMark>,
}

/// A verdict and what it was given in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// When.
    pub at: Stamp,
    /// What.
    pub verdict: Verdict,
    /// In which state.
    pub background: Background,
}

/// Why an order was cleared or refused, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The parent that it belongs to: what was asked.
    pub parent: ParentSpec,
    /// When the parent started.
    pub start: Stamp,
    /// The market then.
    pub arrival: Arrival,
    /// What the guard said, oldest first.
    pub verdicts: Vec<Judged>,
    /// What became of the orders that were cleared, oldest first.
    pub fates: Vec<Fate>,
    /// Whether there was more than is told here.
    pub cut: bool,
}

/// The journal does not know the order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal has no order {asked}; {known}")]
pub struct NotExplained {
    /// What was asked.
    pub asked: String,
    /// What there is instead, in words.
    pub known: String,
}

/// The state of the journal so far.
#[derive(Default)]
struct Reading {
    limits: Option<LimitsInForce>,
    stops: Stops,
    frozen: BTreeMap<InstrumentId, String>,
    measures: BTreeMap<InstrumentId, Measure>,
    levels: BTreeMap<Venue, LevelChange>,
    profit: Option<ProfitMark>,
}

impl Reading {
    fn fold(&mut self, entry: &Entry) {
        match entry {
            Entry::Limits { id, text } => self.limits = Some(LimitsInForce { id: *id, text: text.clone() }),
            Entry::Latch(stop) => {
                self.stops.raise(stop);
            }
            Entry::Rearm { scope, .. } => self.stops.clear(*scope),
            Entry::Frozen { instrument, why } => {
                self.frozen.insert(*instrument, why.clone());
            }
            Entry::Unfrozen { instrument, .. } => {
                self.frozen.remove(instrument);
            }
            Entry::Measured(measure) => {
                self.measures.insert(measure.instrument, *measure);
            }
            Entry::Level(change) => {
                self.levels.insert(change.venue, change.clone());
            }
            Entry::Profit(mark) => self.profit = Some(mark.clone()),
            Entry::Epoch { .. }
            | Entry::Instrument(_)
            | Entry::Parent { .. }
            | Entry::Changed { .. }
            | Entry::Ended { .. }
            | Entry::Intent { .. }
            | Entry::Refused { .. }
            | Entry::Acked { .. }
            | Entry::Unknown { .. }
            | Entry::CancelAsked { .. }
            | Entry::Fill(_)
            | Entry::Funding(_)
            | Entry::Done { .. }
            | Entry::Opening { .. }
            | Entry::Stranger { .. }
            | Entry::Treasury { .. }
            | Entry::Reloaded(_)
            | Entry::Approved(_)
            | Entry::Transfer { .. }
            | Entry::TransferRefused { .. }
            | Entry::TreasuryDecided(_)
            | Entry::WalletAccepted { .. }
            | Entry::Drill { .. }
            | Entry::Reconciled { .. } => {}
        }
    }

    fn background(&self, parent: ParentId, instrument: InstrumentId) -> Background {
        Background {
            limits: self.limits.clone(),
            stop: self.stops.parent(parent, instrument).cloned(),
            frozen: self.frozen.get(&instrument).cloned(),
            measure: self.measures.get(&instrument).copied(),
            level: self.levels.get(&instrument.venue()).cloned(),
            profit: self.profit.clone(),
        }
    }
}

/// The order that an entry is about, if it is about what became of one.
fn fate_of(entry: &Entry, by_order: &BTreeMap<VenueOrderId, ClientKey>) -> Option<ClientKey> {
    match entry {
        Entry::Acked { key, .. } | Entry::Unknown { key, .. } | Entry::CancelAsked { key } | Entry::Done { key, .. } => {
            Some(*key)
        }
        Entry::Fill(fill) => fill.key.or_else(|| by_order.get(&fill.id.order).copied()),
        Entry::Epoch { .. }
        | Entry::Limits { .. }
        | Entry::Instrument(_)
        | Entry::Parent { .. }
        | Entry::Changed { .. }
        | Entry::Ended { .. }
        | Entry::Intent { .. }
        | Entry::Refused { .. }
        | Entry::Funding(_)
        | Entry::Latch(_)
        | Entry::Approved(_)
        | Entry::Rearm { .. }
        | Entry::Frozen { .. }
        | Entry::Unfrozen { .. }
        | Entry::Opening { .. }
        | Entry::Stranger { .. }
        | Entry::Measured(_)
        | Entry::Level(_)
        | Entry::Profit(_)
        | Entry::Treasury { .. }
        | Entry::Reloaded(_)
        | Entry::Transfer { .. }
        | Entry::TransferRefused { .. }
        | Entry::TreasuryDecided(_)
        | Entry::WalletAccepted { .. }
        | Entry::Drill { .. }
        | Entry::Reconciled { .. } => None,
    }
}

/// The guard's word, if the entry records one.
fn verdict_in(entry: &Entry) -> Option<Verdict> {
    if let Entry::Intent { intent, basis, .. } = entry {
        Some(Verdict::Cleared { intent: *intent, basis: *basis })
    } else if let Entry::Refused { child, why, count } = entry {
        Some(Verdict::Refused { child: *child, why: why.clone(), count: *count })
    } else {
        None
    }
}

/// Reads `journal` and tells why the order was cleared or refused, with the limits, statistics, level and profit of that moment,
/// and what became of it.
///
/// # Errors
/// If the journal has no such order; the error says which there are.
pub fn explain(journal: &[Stamped], asked: &Asked) -> Result<Explanation, NotExplained> {
    let named = |stamped: &Stamped| {
        if let Entry::Acked { key, order: Some(order) } = &stamped.entry { Some((order.clone(), *key)) } else { None }
    };
    let by_order: BTreeMap<VenueOrderId, ClientKey> = journal.iter().filter_map(named).collect();
    let (parent, child) = match asked {
        Asked::Key(key) => (key.parent(), Some(key.child())),
        Asked::Child(parent, no) => (*parent, Some(*no)),
        Asked::Parent(parent) => (*parent, None),
        Asked::Venue(order) => {
            let key = by_order.get(order).ok_or_else(|| unknown(journal, asked))?;
            (key.parent(), Some(key.child()))
        }
    };
    let exact = if let Asked::Key(key) = asked { Some(*key) } else { None };
    let wanted =
        |key: ClientKey| exact.is_none_or(|e| e == key) && key.parent() == parent && child.is_none_or(|c| c == key.child());
    let mut reading = Reading::default();
    let (mut found, mut verdicts, mut fates, mut cut) = (None, Vec::new(), Vec::new(), false);
    for Stamped { at, entry } in journal {
        reading.fold(entry);
        if let Entry::Parent { spec, start, arrival } = entry
            && spec.id == parent
        {
            found = Some((spec.clone(), *start, *arrival));
        }
        let verdict = verdict_in(entry).filter(|verdict| match verdict {
            Verdict::Cleared { intent, .. } => wanted(intent.key),
            // a child that is refused keeps its number for the next try
            Verdict::Refused { child: of, .. } => of.parent == parent && child.is_none_or(|no| no == of.no),
        });
        if let Some(verdict) = verdict {
            let instrument = match &verdict {
                Verdict::Cleared { intent, .. } => intent.child.instrument,
                Verdict::Refused { child, .. } => child.instrument,
            };
            if verdicts.len() < TOLD_MAX {
                verdicts.push(Judged { at: *at, verdict, background: reading.background(parent, instrument) });
            } else {
                cut = true;
            }
        }
        if let Some(key) = fate_of(entry, &by_order).filter(|key| wanted(*key)) {
            if fates.len() < TOLD_MAX {
                fates.push(Fate { at: *at, key, entry: entry.clone() });
            } else {
                cut = true;
            }
        }
    }
    let Some((spec, start, arrival)) = found.filter(|_| child.is_none() || !verdicts.is_empty()) else {
        return Err(unknown(journal, asked));
    };
    Ok(Explanation { parent: spec, start, arrival, verdicts, fates, cut })
}

fn unknown(journal: &[Stamped], asked: &Asked) -> NotExplained {
    let parents = journal.iter().filter_map(|s| if let Entry::Parent { spec, .. } = &s.entry { Some(spec.id) } else { None });
    let last_child = |of: ParentId| {
        let children = journal.iter().filter_map(|s| match verdict_in(&s.entry)? {
            Verdict::Cleared { intent, .. } => Some((intent.key.parent(), intent.key.child())),
            Verdict::Refused { child, .. } => Some((child.parent, child.no)),
        });
        children.filter(|(parent, _)| *parent == of).map(|(_, no)| no).max()
    };
    let known = match asked {
        Asked::Child(parent, _) => last_child(*parent).map(|no| format!("the last child of {parent} is {parent}/{}", no.0)),
        Asked::Key(_) | Asked::Venue(_) | Asked::Parent(_) => None,
    };
    let known = known.or_else(|| parents.max().map(|id| format!("the last parent is {id}")));
    NotExplained { asked: asked.to_string(), known: known.unwrap_or_else(|| "it has no parents at all".to_owned()) }
}
