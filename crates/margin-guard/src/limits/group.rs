//! `[guard.group.NAME]`: markets that move together, and what they may amount to (quant §1.8).

use std::collections::{BTreeMap, BTreeSet};

use domain::{InstrumentId, Ratio};
use serde::{Deserialize, Serialize};

use super::faults::Faults;
use super::number::{Figure, RawNumber};

/// A group as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawGroup {
    /// Its markets, each of `guard.allow` and in no other group.
    pub markets: Vec<String>,
    /// Most of |Σ position × beta|, as a multiple of the total equity. Default 0.60.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_max: Option<RawNumber>,
    /// Most of Σ |position × beta|, as a multiple of the total equity. Default 0.75.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gross_max: Option<RawNumber>,
}

/// Markets that move together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its markets.
    pub markets: BTreeSet<InstrumentId>,
    /// Most of |Σ position × beta|, as a multiple of the total equity.
    pub net_max: Ratio,
    /// Most of Σ |position × beta|, as a multiple of the total equity.
    pub gross_max: Ratio,
}

impl Group {
    pub(super) fn written(&self) -> RawGroup {
        RawGroup {
            markets: self.markets.iter().map(ToString::to_string).collect(),
            net_max: Some(self.net_max.write()),
            gross_max: Some(self.gross_max.write()),
        }
    }
}

/// The group of every allowed market that is in no other: crypto falls together, so markets that nobody has told apart are taken
/// to be correlated.
pub(super) const REST: &str = "all";

pub(super) fn read(faults: &mut Faults, raw: &BTreeMap<String, RawGroup>, allow: &BTreeSet<InstrumentId>) -> Vec<Group> {
    let mut taken: BTreeMap<InstrumentId, &str> = BTreeMap::new();
    let mut groups = Vec::new();
    for (name, raw) in raw {
        let path = format!("group.{name}");
        let mut markets = BTreeSet::new();
        if raw.markets.is_empty() && name != REST {
            faults.add(&format!("{path}.markets"), "[]", "at least one market of guard.allow");
        }
        if name == "*" || name.contains(':') {
            faults.add(&path, name, "a name that is neither * nor a market");
        }
        for (at, text) in raw.markets.iter().enumerate() {
            let field = format!("{path}.markets[{at}]");
            match text.parse::<InstrumentId>() {
                Ok(id) if !allow.contains(&id) => faults.add(&field, text, "a market that guard.allow lists"),
                Ok(id) => match taken.insert(id, name) {
                    Some(other) => faults.add(&field, text, format!("a market in one group: it is in {other} too")),
                    None => {
                        markets.insert(id);
                    }
                },
                Err(_) => faults.add(&field, text, "VENUE:NAME such as hyperliquid:BTC, listed in guard.allow"),
            }
        }
        groups.push(one(faults, name, raw, markets));
    }
    let loose: BTreeSet<_> = allow.iter().filter(|id| !taken.contains_key(*id)).copied().collect();
    match groups.iter_mut().find(|g| g.name == REST) {
        Some(group) => group.markets.extend(loose),
        None if loose.is_empty() => {}
        None => groups.push(one(faults, REST, &RawGroup::default(), loose)),
    }
    groups
}

fn one(faults: &mut Faults, name: &str, raw: &RawGroup, markets: BTreeSet<InstrumentId>) -> Group {
    let path = format!("group.{name}");
    let group = Group {
        name: name.to_owned(),
        markets,
        net_max: Ratio::read(faults, &format!("{path}.net_max"), raw.net_max.as_ref(), "0.60", "0.000001", "100"),
        gross_max: Ratio::read(faults, &format!("{path}.gross_max"), raw.gross_max.as_ref(), "0.75", "0.000001", "100"),
    };
    faults.in_order(&path, &[("net_max", group.net_max), ("gross_max", group.gross_max)]);
    group
}
