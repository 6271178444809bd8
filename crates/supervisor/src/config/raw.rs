//! What was written, before anything is made of it.
//!
//! Every key is read by itself, values are taken as text, and unknown keys are kept, so that the check that follows can report
//! all faults at once instead of the first one a parser trips over.

use std::collections::BTreeMap;
use std::fmt;

use domain::SpecFault;
use margin_guard::{RawLimits, RawTreasury};
use serde::de::{self, DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::alerts::RawAlerts;
use super::kill::RawKill;
use super::operators::RawOperator;
use super::shown;
use super::treasury::{OWN_KEYS, OWN_WALLET_KEYS};

/// A string, a whole number or a truth value, as it was written. Floats are kept as text too and refused by the check: they
/// would not survive being read and written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar(pub String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Written;
        impl<'de> Visitor<'de> for Written {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a whole number, true or false")
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Scalar, E> {
                Ok(Scalar(v.to_owned()))
            }
            fn visit_bool<E: de::Error>(self, v: bool) -> Result<Scalar, E> {
                Ok(Scalar(v.to_string()))
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Scalar, E> {
                Ok(Scalar(v.to_string()))
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Scalar, E> {
                Ok(Scalar(v.to_string()))
            }
            fn visit_i128<E: de::Error>(self, v: i128) -> Result<Scalar, E> {
                Ok(Scalar(v.to_string()))
            }
            fn visit_u128<E: de::Error>(self, v: u128) -> Result<Scalar, E> {
                Ok(Scalar(v.to_string()))
            }
            fn visit_f64<E: de::Error>(self, v: f64) -> Result<Scalar, E> {
                Ok(Scalar(format!("{v:?} (a float; put it in quotes)")))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Scalar, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar("(a list)".to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Scalar, A::Error> {
                while table.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar("(a table)".to_owned()))
            }
        }
        d.deserialize_any(Written)
    }
}

impl Serialize for Scalar {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl From<&str> for Scalar {
    fn from(text: &str) -> Scalar {
        Scalar(text.to_owned())
    }
}

/// Keys that nobody knows.
pub type Unknown = BTreeMap<String, IgnoredAny>;

/// The whole file.
#[derive(Debug, Default)]
pub struct Raw {
    /// `[daemon]`
    pub daemon: RawDaemon,
    /// `[venue]`
    pub venue: RawVenues,
    /// `[paper]`
    pub paper: RawPaper,
    /// `[guard]`
    pub guard: RawLimits,
    /// `[treasury]`
    pub treasury: Option<RawTreasuryPart>,
    /// `[kill]`
    pub kill: RawKill,
    /// `[watchdog]`
    pub watchdog: Option<RawWatchdog>,
    /// `[alerts]`
    pub alerts: RawAlerts,
    /// `[[operators]]`
    pub operators: Vec<RawOperator>,
    /// `[[plan]]`
    pub plan: Vec<RawParent>,
    /// Anything else.
    pub unknown: Unknown,
}

impl Raw {
    /// Reads the merged sources section by section and key by key, so that a value of the wrong kind is one fault among others.
    pub fn read(tree: Value) -> (Raw, Vec<SpecFault>) {
        let mut faults = Vec::new();
        let mut root = table("", tree, &mut faults);
        let mut venues = table("venue", take(&mut root, "venue"), &mut faults);
        let hyperliquid = venues.remove("hyperliquid").map(|v| read_hyperliquid(v, &mut faults));
        let plan = list("plan", take(&mut root, "plan"), &mut faults);
        let operators = list("operators", take(&mut root, "operators"), &mut faults);
        let raw = Raw {
            daemon: section("daemon", take(&mut root, "daemon"), &mut faults),
            venue: RawVenues { hyperliquid, unknown: unknown(venues) },
            paper: read_paper(take(&mut root, "paper"), &mut faults),
            kill: section("kill", take(&mut root, "kill"), &mut faults),
            guard: nested("guard", take(&mut root, "guard"), &mut faults),
            alerts: super::alerts::read(take(&mut root, "alerts"), &mut faults),
            treasury: root.remove("treasury").map(|v| read_treasury(v, &mut faults)),
            watchdog: root.remove("watchdog").map(|v| section("watchdog", v, &mut faults)),
            operators: operators
                .into_iter()
                .enumerate()
                .map(|(n, v)| section(&format!("operators[{n}]"), v, &mut faults))
                .collect(),
            plan: plan.into_iter().enumerate().map(|(n, v)| section(&format!("plan[{n}]"), v, &mut faults)).collect(),
            unknown: unknown(root),
        };
        (raw, faults)
    }
}

fn read_paper(value: Value, faults: &mut Vec<SpecFault>) -> RawPaper {
    let mut keys = table("paper", value, faults);
    let chain = keys.remove("chain").map(|v| section("paper.chain", v, faults));
    RawPaper { chain, ..section("paper", Value::Object(keys), faults) }
}

/// What the judge of transfers checks is handed on as it stands; the rest is the daemon's.
fn read_treasury(value: Value, faults: &mut Vec<SpecFault>) -> RawTreasuryPart {
    const PATH: &str = "treasury";
    let mut keys = table(PATH, value, faults);
    let own = |keys: &mut Map<String, Value>, names: &[&str]| -> Map<String, Value> {
        names.iter().filter_map(|name| keys.remove(*name).map(|value| ((*name).to_owned(), value))).collect()
    };
    let daemon = own(&mut keys, &OWN_KEYS);
    let mut part = RawTreasuryPart {
        keys: section(PATH, Value::Object(daemon), faults),
        cctp: keys.remove("cctp").map(|v| section("treasury.cctp", v, faults)),
        sweep: keys.remove("sweep").map(|v| section("treasury.sweep", v, faults)),
        drill: keys.remove("drill").map(|v| section("treasury.drill", v, faults)),
        ..RawTreasuryPart::default()
    };
    for (name, route) in table("treasury.route", take(&mut keys, "route"), faults) {
        let path = format!("treasury.route.{}", quoted(&name));
        part.route.insert(name, section(&path, route, faults));
    }
    if let Some(wallet) = keys.remove("wallet") {
        let mut wallet = table("treasury.wallet", wallet, faults);
        let mut daemon = own(&mut wallet, &OWN_WALLET_KEYS);
        let rpc = match daemon.remove("rpc") {
            // from the environment or the command line a list comes as one text
            Some(Value::String(text)) => text.split(',').map(|url| url.trim().to_owned()).collect(),
            Some(other) => section_of_texts("treasury.wallet.rpc", other, faults),
            None => Vec::new(),
        };
        part.wallet = Some(RawWalletPart { rpc, ..section("treasury.wallet", Value::Object(daemon), faults) });
        keys.insert("wallet".to_owned(), Value::Object(wallet));
    }
    part.judged = nested(PATH, Value::Object(keys), faults);
    part
}

/// A list of texts. What is none of it is not shown: it may hold a secret in the wrong place.
fn section_of_texts(path: &str, value: Value, faults: &mut Vec<SpecFault>) -> Vec<String> {
    let texts: Option<Vec<String>> =
        value.as_array().and_then(|list| list.iter().map(|one| one.as_str().map(str::to_owned)).collect());
    texts.unwrap_or_else(|| {
        faults.push(SpecFault {
            field: path.to_owned(),
            value: "(not shown)".into(),
            expected: "a list of texts in quotes".into(),
        });
        Vec::new()
    })
}

fn read_hyperliquid(value: Value, faults: &mut Vec<SpecFault>) -> RawHyperliquid {
    const PATH: &str = "venue.hyperliquid";
    let mut keys = table(PATH, value, faults);
    let markets = list(&format!("{PATH}.markets"), take(&mut keys, "markets"), faults);
    let markets = markets.into_iter().enumerate().map(|(n, v)| section(&format!("{PATH}.markets[{n}]"), v, faults)).collect();
    RawHyperliquid { markets, ..section(PATH, Value::Object(keys), faults) }
}

/// Reads `value` leaf by leaf: each is tried alone inside the sections it stands in, and those that do not fit are faults.
fn nested<T: DeserializeOwned + Default>(path: &str, value: Value, faults: &mut Vec<SpecFault>) -> T {
    let mut good = Map::new();
    let mut rest: Vec<(Vec<String>, Value)> = vec![(Vec::new(), Value::Object(table(path, value, faults)))];
    while let Some((at, value)) = rest.pop() {
        match value {
            Value::Object(keys) if at.is_empty() || !keys.is_empty() => {
                let below = keys.into_iter().rev().map(|(key, value)| ([at.as_slice(), &[key]].concat(), value));
                rest.extend(below);
            }
            leaf @ (Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                let mut alone = Map::new();
                plant(&mut alone, &at, leaf.clone());
                match serde_json::from_value::<T>(Value::Object(alone)) {
                    Ok(_) => plant(&mut good, &at, leaf),
                    Err(e) => {
                        let path = at.iter().fold(path.to_owned(), |path, key| format!("{path}.{}", quoted(key)));
                        let why = e.to_string();
                        let section = why.contains("expected struct") || why.contains("expected a map");
                        let expected = if section { format!("a section: [{path}]") } else { shown(&why) };
                        faults.push(fault(&path, &leaf, expected));
                    }
                }
            }
        }
    }
    together(path, good, faults)
}

/// Puts `leaf` where `path` leads, with the sections on the way.
fn plant(root: &mut Map<String, Value>, path: &[String], leaf: Value) {
    let Some((key, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        root.insert(key.clone(), leaf);
    } else if let Value::Object(section) = root.entry(key.clone()).or_insert_with(|| Value::Object(Map::new())) {
        plant(section, rest, leaf);
    }
}

/// A key as TOML wants it in a path.
pub(super) fn quoted(key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    if bare { key.to_owned() } else { format!("{key:?}") }
}

/// Keys that fit alone fit together, as long as no key's meaning hangs on another's. Should one do so, that is a fault and
/// never a section that is silently empty.
fn together<T: DeserializeOwned + Default>(path: &str, keys: Map<String, Value>, faults: &mut Vec<SpecFault>) -> T {
    let keys = Value::Object(keys);
    serde_json::from_value(keys.clone()).unwrap_or_else(|e| {
        faults.push(fault(path, &keys, shown(&e.to_string())));
        T::default()
    })
}

fn take(from: &mut Map<String, Value>, key: &str) -> Value {
    from.remove(key).unwrap_or(Value::Null)
}

fn unknown(keys: Map<String, Value>) -> Unknown {
    keys.into_iter().map(|(key, _)| (key, IgnoredAny)).collect()
}

fn fault(path: &str, value: &Value, expected: impl Into<String>) -> SpecFault {
    let value = match value {
        Value::String(text) => shown(text),
        Value::Array(_) => "(a list)".to_owned(),
        Value::Object(_) => "(a table)".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    };
    SpecFault { field: path.to_owned(), value, expected: expected.into() }
}

/// The keys of a section; of an absent one, none.
pub(super) fn table(path: &str, value: Value, faults: &mut Vec<SpecFault>) -> Map<String, Value> {
    match value {
        Value::Object(keys) => keys,
        Value::Null => Map::new(),
        other @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            faults.push(fault(path, &other, format!("a section: [{path}]")));
            Map::new()
        }
    }
}

fn list(path: &str, value: Value, faults: &mut Vec<SpecFault>) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        Value::Null => Vec::new(),
        other @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            faults.push(fault(path, &other, format!("sections, one each: [[{path}]]")));
            Vec::new()
        }
    }
}

/// A section whose keys are all optional for the parser. Each key is tried alone, and those that do not fit are faults.
pub(super) fn section<T: DeserializeOwned + Default>(path: &str, value: Value, faults: &mut Vec<SpecFault>) -> T {
    let mut good = Map::new();
    for (key, value) in table(path, value, faults) {
        let alone = Value::Object(Map::from_iter([(key.clone(), value.clone())]));
        match serde_json::from_value::<T>(alone) {
            Ok(_) => good.insert(key, value),
            Err(e) => {
                faults.push(fault(&format!("{path}.{key}"), &value, shown(&e.to_string())));
                None
            }
        };
    }
    together(path, good, faults)
}

/// `[daemon]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawDaemon {
    /// Journal, socket, latch and keys of the embedded venue.
    pub state_dir: Option<Scalar>,
    /// Operator socket; absent: `plimsoll.sock` in the state directory.
    pub socket: Option<Scalar>,
    /// `auto`, `human` or `json`.
    pub log: Option<Scalar>,
    /// Root of all chance: slice jitter, reconnect jitter.
    pub seed: Option<Scalar>,
    /// `freeze` or `report`.
    pub foreign: Option<Scalar>,
    /// How often the venue is compared with the books.
    pub reconcile_every: Option<Scalar>,
    /// How long the venue may still accept what we signed.
    pub expires_after: Option<Scalar>,
    /// With more unresolved sends than this nothing is proposed.
    pub unknown_max: Option<Scalar>,
    /// Anything else.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// `[watchdog]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawWatchdog {
    /// Heartbeat and STOP; absent: the state directory.
    pub dir: Option<Scalar>,
    /// The oldest life sign that is one.
    pub limit: Option<Scalar>,
    /// How long a watchdog waits for the first one.
    pub first_beat: Option<Scalar>,
    /// The file with the watchdog's own agent key.
    pub key_file: Option<Scalar>,
    /// Anything else.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// `[venue]`
#[derive(Debug, Default)]
pub struct RawVenues {
    /// `[venue.hyperliquid]`
    pub hyperliquid: Option<RawHyperliquid>,
    /// Anything else.
    pub unknown: Unknown,
}

/// `[venue.hyperliquid]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawHyperliquid {
    /// `embedded` or `external`.
    pub mode: Option<Scalar>,
    /// `mainnet` or `testnet`.
    pub network: Option<Scalar>,
    /// Base of `/info` and `/exchange`.
    pub http: Option<Scalar>,
    /// WebSocket address.
    pub ws: Option<Scalar>,
    /// The account that is traded.
    pub account: Option<Scalar>,
    /// Whether `account` is a sub-account or vault of the key's master.
    pub sub_account: Option<Scalar>,
    /// The file with the agent's key. The key itself never stands here.
    pub key_file: Option<Scalar>,
    /// `http` or `ws`.
    pub order_route: Option<Scalar>,
    /// The 5-level book twice a second instead of the 20-level one every five seconds.
    pub fast_book: Option<Scalar>,
    /// Whether to set the venue's own dead-man.
    pub dead_man: Option<Scalar>,
    /// Markets to trade.
    #[serde(skip)]
    pub markets: Vec<RawMarket>,
    /// Anything else.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// `[[venue.hyperliquid.markets]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawMarket {
    /// The venue's name, such as `BTC`.
    pub name: Option<Scalar>,
    /// The number it must have.
    pub asset: Option<Scalar>,
    /// Leverage to set at start.
    pub leverage: Option<Scalar>,
    /// `cross` or `isolated`.
    pub margin: Option<Scalar>,
    /// Anything else.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// `[paper]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawPaper {
    /// Recording of BTC's market, relative to this file; absent: seeded synthetic flow.
    pub tape: Option<Scalar>,
    /// How many times faster than recorded.
    pub speed: Option<Scalar>,
    /// Root of its chance.
    pub seed: Option<Scalar>,
    /// What every new account starts with.
    pub balance_usd: Option<Scalar>,
    /// Stop after this long without a client.
    pub idle_exit: Option<Scalar>,
    /// `venue` or `off`: whether the venue's request budgets are enforced.
    pub rate_limits: Option<Scalar>,
    /// `synthetic` or `none`: what the venue says about the time before it began.
    pub history: Option<Scalar>,
    /// `[paper.chain]`
    #[serde(skip)]
    pub chain: Option<RawPaperChain>,
    /// Anything else.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// `[paper.chain]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawPaperChain {
    /// JSON-RPC of a local chain.
    pub rpc: Option<Scalar>,
    /// The USDC token's address.
    pub token: Option<Scalar>,
    /// The bridge's address.
    pub bridge: Option<Scalar>,
    /// Blocks on top of a deposit's before it counts.
    pub confirmations: Option<Scalar>,
    /// From there to the credit.
    pub credit_after: Option<Scalar>,
    /// File with the bridge's key, relative to this file; absent: withdrawals are not paid.
    pub key_file: Option<Scalar>,
    /// From a withdrawal to its payment.
    pub pay_after: Option<Scalar>,
    /// `bridge` or `cctp`: the road by which the venue says that USDC comes in.
    pub deposit_route: Option<Scalar>,
    /// `bridge` or `cctp`: the road by which it says that USDC goes out.
    pub withdrawal_route: Option<Scalar>,
    /// CCTP's token messenger, if deposits may come that way.
    pub cctp_messenger: Option<Scalar>,
    /// The forwarder that such deposits must name.
    pub cctp_forwarder: Option<Scalar>,
    /// What is kept of each.
    pub cctp_fee_usd: Option<Scalar>,
    /// From a burn's confirmations to the credit.
    pub cctp_credit_after: Option<Scalar>,
    /// Anything else.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// `[treasury]`
#[derive(Debug, Default)]
pub struct RawTreasuryPart {
    /// Keys of the section itself.
    pub keys: RawTreasuryKeys,
    /// The daemon's part of `[treasury.wallet]`.
    pub wallet: Option<RawWalletPart>,
    /// `[treasury.route.NAME]`
    pub route: BTreeMap<String, RawRoutePart>,
    /// `[treasury.cctp]`
    pub cctp: Option<RawCctpPart>,
    /// `[treasury.sweep]`
    pub sweep: Option<RawSweepPart>,
    /// `[treasury.drill]`
    pub drill: Option<RawDrillPart>,
    /// What the judge of transfers checks: budgets, wallet, destinations.
    pub judged: RawTreasury,
}

/// Keys of `[treasury]` itself that are the daemon's.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawTreasuryKeys {
    /// Whether money moves by itself.
    pub enabled: Option<Scalar>,
    /// The file with the account's own key.
    pub funds_key_file: Option<Scalar>,
    /// Whether the spot balance is a source.
    pub spot: Option<Scalar>,
    /// What stays in it.
    pub spot_reserve_usd: Option<Scalar>,
    /// Whether isolated positions get margin.
    pub isolated: Option<Scalar>,
    /// What stays in each sub-account.
    pub sub_account_reserve_usd: Option<Scalar>,
    /// Cover that a top-up restores.
    pub target: Option<Scalar>,
    /// The same under every scenario.
    pub target_shocked: Option<Scalar>,
}

/// The daemon's part of `[treasury.wallet]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawWalletPart {
    /// The file with the wallet's key.
    pub key_file: Option<Scalar>,
    /// JSON-RPC endpoints.
    #[serde(skip)]
    pub rpc: Vec<String>,
    /// Blocks on top.
    pub confirmations: Option<Scalar>,
    /// Until a replacement.
    pub replace_after: Option<Scalar>,
    /// Until the nonce is burnt.
    pub give_up_after: Option<Scalar>,
    /// How often the chain is looked at.
    pub look_every: Option<Scalar>,
    /// Tokens that stay.
    pub reserve_usd: Option<Scalar>,
    /// Coin that stays.
    pub gas_reserve_ether: Option<Scalar>,
}

/// `[treasury.route.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawRoutePart {
    /// From decision to credit.
    pub delay: Option<Scalar>,
    /// Fees and gas.
    pub cost_usd: Option<Scalar>,
    /// Anything else.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// `[treasury.cctp]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawCctpPart {
    /// The contract that mints and forwards.
    pub forwarder: Option<Scalar>,
    /// CCTP's number of the destination.
    pub domain: Option<Scalar>,
    /// Finality of the burn.
    pub finality: Option<Scalar>,
    /// Most that Circle may keep.
    pub fee_max_usd: Option<Scalar>,
    /// How long an authorisation holds.
    pub valid_for: Option<Scalar>,
    /// Anything else.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// `[treasury.drill]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawDrillPart {
    /// Whether ways out are tried.
    pub enabled: Option<Scalar>,
    /// How often.
    pub every: Option<Scalar>,
    /// How late is overdue.
    pub grace: Option<Scalar>,
    /// The file with the operator's own signer.
    pub signer_file: Option<Scalar>,
    /// How much goes out to the chain.
    pub chain_usd: Option<Scalar>,
    /// How long each hop should take at most.
    pub chain_expected: Option<Scalar>,
    /// How much moves inside the venue.
    pub inside_usd: Option<Scalar>,
    /// How long each hop should take at most.
    pub inside_expected: Option<Scalar>,
    /// Anything else.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// `[treasury.sweep]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawSweepPart {
    /// Whether margin goes back.
    pub enabled: Option<Scalar>,
    /// Above which cover.
    pub ceiling: Option<Scalar>,
    /// How much at least.
    pub least_usd: Option<Scalar>,
    /// Anything else.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// A parent order in human units: `[[plan]]`, and the body of a submission.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawParent {
    /// Such as `hyperliquid:BTC`.
    pub instrument: String,
    /// `buy` or `sell`.
    pub side: String,
    /// In base units.
    pub quantity: String,
    /// `twap`, `vwap`, `pov` or `shortfall`.
    pub schedule: String,
    /// Slices of a TWAP, VWAP or shortfall.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slices: Option<u32>,
    /// Relative volume per bucket of equal length from 00:00 UTC on (VWAP).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<u32>,
    /// Share of total volume (POV).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// Whether a POV also keeps up with an even schedule, so that it completes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    /// Risk aversion per quote unit (shortfall).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lambda: Option<String>,
    /// Daily volatility as a share of price (shortfall).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigma_daily: Option<String>,
    /// Temporary impact as a share of price (shortfall).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta: Option<String>,
    /// `passive`, `pegged` or `limit_to_market`.
    pub placement: String,
    /// Largest visible quantity of a child.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
    /// Such as `90s`.
    pub horizon: String,
    /// Worst price, absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_price: Option<String>,
    /// Worst distance from the arrival mid, basis points.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slippage_bps: Option<u32>,
    /// `cancel`, `extend` or `force`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// Only shrink a position.
    pub reduce_only: bool,
    /// Free text.
    pub note: String,
}
