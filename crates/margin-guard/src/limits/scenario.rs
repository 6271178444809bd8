//! `[guard.scenario.NAME]`: shocks under which the projected account must keep its cover (quant §4.4).

use std::collections::{BTreeMap, BTreeSet};

use domain::{InstrumentId, Ratio};
use serde::{Deserialize, Serialize};

use super::faults::Faults;
use super::group::Group;
use super::number::{Figure, RawNumber};

/// Most scenarios: each costs the guard a sum per venue and a comparison per decision.
pub const SCENARIOS_MAX: usize = 8;

/// A scenario as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawScenario {
    /// `fall`, `rally` or `mixed`: which signs its shocks may have. The scenarios `crash` and `rally` need not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Moves of price as signed shares, keyed by market (`hyperliquid:BTC`), group, coin (`BTC`) or `*` for the rest, in this
    /// order of precedence.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub shock: BTreeMap<String, RawNumber>,
    /// Hours of funding paid meanwhile; receipts are not counted. Default 24; 0 to 720.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub funding_hours: Option<RawNumber>,
}

/// Which way a scenario goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Fall,
    Rally,
    Mixed,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Kind::Fall => "fall",
            Kind::Rally => "rally",
            Kind::Mixed => "mixed",
        }
    }

    fn of(faults: &mut Faults, path: &str, name: &str, raw: &RawScenario) -> Kind {
        let fixed = match name {
            "crash" => Some(Kind::Fall),
            "rally" => Some(Kind::Rally),
            _ => None,
        };
        let written = match raw.kind.as_deref() {
            Some("fall") => Some(Kind::Fall),
            Some("rally") => Some(Kind::Rally),
            Some("mixed") => Some(Kind::Mixed),
            Some(other) => {
                faults.add(&format!("{path}.kind"), other, "fall, rally or mixed");
                return fixed.unwrap_or(Kind::Mixed);
            }
            None => None,
        };
        match (fixed, written) {
            (Some(fixed), Some(written)) if fixed != written => {
                faults.add(&format!("{path}.kind"), written.word(), format!("{}, as its name says", fixed.word()));
                fixed
            }
            (None, None) => {
                faults.add(&format!("{path}.kind"), "(nothing)", "fall, rally or mixed");
                Kind::Mixed
            }
            (fixed, written) => written.or(fixed).unwrap_or(Kind::Mixed),
        }
    }

    const fn range(self) -> (&'static str, &'static str) {
        match self {
            Kind::Fall => ("-0.99", "-0.000001"),
            Kind::Rally => ("0.000001", "10"),
            Kind::Mixed => ("-0.99", "10"),
        }
    }
}

/// A move of all prices at once, with the funding paid meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    kind: Kind,
    shocks: BTreeMap<String, Ratio>,
    /// Hours of funding paid meanwhile.
    pub funding_hours: u32,
    markets: BTreeMap<InstrumentId, Ratio>,
    rest: Ratio,
}

impl Scenario {
    /// Move of `instrument`'s price as a signed share of it.
    #[must_use]
    pub fn shock(&self, instrument: InstrumentId) -> Ratio {
        match self.markets.get(&instrument) {
            Some(shock) => *shock,
            None => self.shocks.get(coin(&instrument)).copied().unwrap_or(self.rest),
        }
    }

    pub(super) fn written(&self) -> RawScenario {
        RawScenario {
            kind: Some(self.kind.word().into()),
            shock: self.shocks.iter().map(|(key, shock)| (key.clone(), shock.write())).collect(),
            funding_hours: Some(self.funding_hours.write()),
        }
    }
}

/// The coin of a market: `BTC` of `hyperliquid:BTC` and of `dydx:BTC-USD`.
fn coin(instrument: &InstrumentId) -> &str {
    let name = instrument.name();
    name.split_once('-').map_or(name, |(coin, _)| coin)
}

/// The scenarios that always exist, unless they are written otherwise: BTC and the rest, a fall and a rally (quant §4.4).
const ALWAYS: [(&str, &str, &str); 2] = [("crash", "-0.15", "-0.20"), ("rally", "0.15", "0.20")];

pub(super) fn read(
    faults: &mut Faults,
    raw: &BTreeMap<String, RawScenario>,
    allow: &BTreeSet<InstrumentId>,
    groups: &[Group],
) -> Vec<Scenario> {
    let mut all = raw.clone();
    for (name, btc, rest) in ALWAYS {
        let one = all.entry(name.to_owned()).or_default();
        if one.shock.is_empty() {
            one.shock.insert("*".into(), rest.into());
            if allow.iter().any(|id| coin(id) == "BTC") {
                one.shock.insert("BTC".into(), btc.into());
            }
        }
    }
    if all.len() > SCENARIOS_MAX {
        let expected = format!("at most {SCENARIOS_MAX} scenarios, crash and rally among them");
        faults.add("scenario", format!("{} scenarios", all.len()), expected);
    }
    all.iter().map(|(name, raw)| one(faults, name, raw, allow, groups)).collect()
}

fn one(faults: &mut Faults, name: &str, raw: &RawScenario, allow: &BTreeSet<InstrumentId>, groups: &[Group]) -> Scenario {
    let path = format!("scenario.{name}");
    let kind = Kind::of(faults, &path, name, raw);
    let (low, high) = kind.range();
    let mut shocks = BTreeMap::new();
    for (key, number) in &raw.shock {
        let field = format!("{path}.shock.{key:?}");
        let market = key.parse::<InstrumentId>();
        let known = match &market {
            Ok(id) => allow.contains(id),
            Err(_) => key == "*" || groups.iter().any(|g| g.name == *key) || allow.iter().any(|id| coin(id) == key),
        };
        if !known {
            faults.add(&field, key, "a market of guard.allow, the coin of one, a group, or *");
        }
        shocks.insert(key.clone(), Ratio::read(faults, &field, Some(number), low, low, high));
    }
    let rest = shocks.get("*").copied();
    if rest.is_none() {
        faults.add(&format!("{path}.shock"), "no \"*\"", "a shock under \"*\" for markets that are not named");
    }
    let of_market = |id: &InstrumentId| {
        let group = groups.iter().find(|g| g.markets.contains(id)).and_then(|g| shocks.get(&g.name));
        let own = shocks.get(&id.to_string()).or(group).or_else(|| shocks.get(coin(id)));
        own.copied().or(rest).unwrap_or_default()
    };
    let markets = allow.iter().map(|id| (*id, of_market(id))).collect();
    let funding_hours = u32::read(faults, &format!("{path}.funding_hours"), raw.funding_hours.as_ref(), "24", "0", "720");
    Scenario { name: name.to_owned(), kind, funding_hours, markets, rest: rest.unwrap_or_default(), shocks }
}
