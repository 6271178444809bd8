//! What a changed file does to a running daemon: every key that differs, its class, and the limits that follow.
//!
//! Pure: two configurations in, changes and limits out. The guard's limits are compared by what they mean, every default filled
//! in; all other keys as they were written.

mod classes;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use domain::{ChangeClass, ConfigChange, InstrumentId, SpecFault};
use margin_guard::{Limits, RawLimits};
use rust_decimal::Decimal;
use serde_json::{Map, Value};

use classes::{Rule, rule};

/// What a key shows that is not there.
const ABSENT: &str = "(absent)";
/// Longer values are cut in what is told and recorded of a change.
const SHOWN_MAX: usize = 160;

/// Keys but the guard's, by path, as they were written.
pub type Keys = BTreeMap<String, String>;

/// What differs between the configuration in force and another one.
#[derive(Debug, Default)]
pub struct Diff {
    /// Every key, by path.
    pub changes: Vec<ConfigChange>,
    /// The limits in force with what tightens; absent if nothing does.
    pub tightened: Option<Limits>,
    /// With what loosens as well; absent if nothing does.
    pub loosened: Option<Limits>,
}

/// Compares the `limits` and `keys` in force with those of a file.
///
/// # Errors
/// If the file can only be taken together with what waits for a restart.
pub fn compare(limits: &Limits, keys: &Keys, new_limits: &Limits, new_keys: &Keys) -> Result<Diff, Vec<SpecFault>> {
    let mut diff = Diff { changes: guard_changes(limits, new_limits), ..Diff::default() };
    let any = |changes: &[ConfigChange], class| changes.iter().any(|c| c.class == class);
    if any(&diff.changes, ChangeClass::Tighten) {
        match tightened(limits, new_limits, &diff.changes) {
            Ok(limits) => diff.tightened = Some(limits),
            Err(faults) => hold_all(&mut diff.changes, &faults),
        }
    }
    if any(&diff.changes, ChangeClass::Loosen) {
        diff.loosened = Some(without_fixed(limits, new_limits)?);
    }
    let names: BTreeSet<&String> = keys.keys().chain(new_keys.keys()).collect();
    for name in names {
        let (from, to) = (keys.get(name), new_keys.get(name));
        if from != to {
            let path: Vec<&str> = name.split('.').collect();
            // no key outside of the guard is read while the daemon runs
            let why = if let Rule::Fixed(why) = rule(&path).0 { why } else { "read at start alone" };
            diff.changes.push(change(name, from.map(String::as_str), to.map(String::as_str), Verdict::fixed(why)));
        }
    }
    diff.changes.sort_by(|a, b| (a.class, &a.key).cmp(&(b.class, &b.key)));
    Ok(diff)
}

/// What tightens contradicts what stays in force while the rest is held, so it is held as well.
fn hold_all(changes: &mut [ConfigChange], faults: &[SpecFault]) {
    let first = faults.first().map(ToString::to_string).unwrap_or_default();
    for change in changes.iter_mut().filter(|c| c.class == ChangeClass::Tighten) {
        change.class = ChangeClass::Loosen;
        change.why = format!("held with the rest of the file, without which it does not check: {first}");
    }
}

/// The keys of a merged configuration but the guard's, and but `[kill]`'s that are acts and no settings. What looks like a secret is
/// not shown.
pub fn keys_of(tree: &Value) -> Keys {
    let mut keys = Keys::new();
    let Value::Object(root) = tree else { return keys };
    for (name, value) in root {
        if name != "guard" {
            flatten(name, value, &mut keys);
        }
    }
    for act in ["kill.engaged", "kill.level"] {
        keys.remove(act);
    }
    keys
}

fn flatten(path: &str, value: &Value, keys: &mut Keys) {
    let mut leaf = |text: String| {
        keys.insert(path.to_owned(), super::shown(&text));
    };
    match value {
        Value::Object(table) => {
            for (name, value) in table {
                flatten(&format!("{path}.{name}"), value, keys);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (n, item) in items.iter().enumerate() {
                flatten(&format!("{path}[{n}]"), item, keys);
            }
        }
        Value::Array(items) if path == "treasury.wallet.rpc" => leaf(endpoints(items.iter().filter_map(Value::as_str))),
        Value::String(text) if path == "treasury.wallet.rpc" => leaf(endpoints(text.split(',').map(str::trim))),
        Value::Array(items) => leaf(items.iter().map(plain).collect::<Vec<_>>().join(", ")),
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) => leaf(plain(value)),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Addresses of endpoints often carry a secret in their path: the host, and enough of a hash to see that the rest changed.
fn endpoints<'a>(urls: impl Iterator<Item = &'a str>) -> String {
    let one = |url: &str| {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        format!("{host} #{}", blake3::hash(url.as_bytes()).to_hex().split_at(8).0)
    };
    urls.map(one).collect::<Vec<_>>().join(", ")
}

/// A key of the limits: the names on the way to it. A name may contain dots.
type Path = Vec<String>;

/// Limits as a tree, with every default filled in.
fn tree_of(limits: &Limits) -> Map<String, Value> {
    match serde_json::from_str(limits.text()) {
        Ok(Value::Object(tree)) => tree,
        Ok(_) | Err(_) => Map::new(),
    }
}

/// Tables that are one value each: their keys mean something together alone.
fn is_whole(path: &[String]) -> bool {
    match path.first().map(String::as_str) {
        Some("scenario") => path.len() == 3,
        Some("scorecard") => path.len() == 3,
        _ => false,
    }
}

fn leaves(tree: &Map<String, Value>) -> BTreeMap<Path, Value> {
    let mut all = BTreeMap::new();
    let mut rest: Vec<(Path, &Value)> = tree.iter().map(|(name, value)| (vec![name.clone()], value)).collect();
    while let Some((path, value)) = rest.pop() {
        match value {
            Value::Object(table) if !is_whole(&path) => {
                rest.extend(table.iter().map(|(name, value)| ([path.as_slice(), std::slice::from_ref(name)].concat(), value)));
            }
            // an unknown answer is as good as none
            Value::Object(table) if table.get("value").is_some_and(|v| v == "unknown") => {}
            Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                all.insert(path, value.clone());
            }
        }
    }
    all
}

fn put(tree: &mut Map<String, Value>, path: &[String], value: Option<&Value>) {
    let Some((name, rest)) = path.split_first() else { return };
    match (rest.is_empty(), value) {
        (true, Some(value)) => {
            tree.insert(name.clone(), value.clone());
        }
        (true, None) => {
            tree.remove(name);
        }
        (false, _) => {
            let below = tree.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(below) = below {
                put(below, rest, value);
            }
        }
    }
}

/// A key as the file would have it.
fn key_of(path: &[String]) -> String {
    path.iter().fold("guard".to_owned(), |key, name| format!("{key}.{}", super::raw::quoted(name)))
}

/// What a change of one key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdict {
    class: ChangeClass,
    beyond_double: bool,
    why: &'static str,
}

impl Verdict {
    const TIGHTEN: Verdict = Verdict { class: ChangeClass::Tighten, beyond_double: false, why: "" };

    const fn fixed(why: &'static str) -> Verdict {
        Verdict { class: ChangeClass::Fixed, beyond_double: false, why }
    }

    const fn loosen(beyond_double: bool) -> Verdict {
        Verdict { class: ChangeClass::Loosen, beyond_double, why: "" }
    }

    /// Loosens by what cannot be measured.
    const fn unmeasured(why: &'static str) -> Verdict {
        Verdict { class: ChangeClass::Loosen, beyond_double: true, why }
    }
}

fn change(key: &str, from: Option<&str>, to: Option<&str>, verdict: Verdict) -> ConfigChange {
    let shown = |text: Option<&str>| {
        let text = text.unwrap_or(ABSENT);
        let cut: String = text.chars().take(SHOWN_MAX).collect();
        if cut.len() < text.len() { format!("{cut}… #{}", blake3::hash(text.as_bytes()).to_hex().split_at(8).0) } else { cut }
    };
    let Verdict { class, beyond_double, why } = verdict;
    ConfigChange { key: key.to_owned(), from: shown(from), to: shown(to), class, beyond_double, why: why.to_owned() }
}

fn guard_changes(old: &Limits, new: &Limits) -> Vec<ConfigChange> {
    let trees = [tree_of(old), tree_of(new)];
    let [before, after] = [leaves(&trees[0]), leaves(&trees[1])];
    let shared: BTreeSet<String> = old.allowed().filter(|id| new.allows(*id)).map(|id| id.to_string()).collect();
    let mut changes = allow_changes(old, new);
    let paths: BTreeSet<&Path> = before.keys().chain(after.keys()).collect();
    for path in paths.into_iter().filter(|path| path[0] != "allow") {
        let (from, to) = (value_at(&before, path, &shared), value_at(&after, path, &shared));
        if from == to || is_consequence(path, &shared, [&before, &after]) {
            continue;
        }
        let mut names = vec!["guard"];
        names.extend(path.iter().map(String::as_str));
        let verdict = judge(rule(&names).0, from.as_ref(), to.as_ref());
        let [from, to] = [from, to].map(|value| value.map(|value| text_of(&value)));
        changes.push(change(&key_of(path), from.as_deref(), to.as_deref(), verdict));
    }
    changes
}

/// Markets that no longer may grow, and markets that now may: two changes of one key.
fn allow_changes(old: &Limits, new: &Limits) -> Vec<ConfigChange> {
    let names = |ids: Vec<InstrumentId>| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let [before, after] = [old, new].map(|limits| names(limits.allowed().collect()));
    let shared = names(old.allowed().filter(|id| new.allows(*id)).collect());
    let mut changes = Vec::new();
    if shared != before {
        changes.push(change("guard.allow", Some(&before), Some(&shared), Verdict::TIGHTEN));
    }
    if shared != after {
        let verdict = Verdict::unmeasured("markets are added");
        changes.push(change("guard.allow", Some(&shared), Some(&after), verdict));
    }
    changes
}

/// The value in force at `path`: where a market says nothing of its own, what holds for all.
fn value_at(leaves: &BTreeMap<Path, Value>, path: &Path, shared: &BTreeSet<String>) -> Option<Value> {
    if let Some(value) = leaves.get(path) {
        return Some(match path.first().map(String::as_str) {
            Some("group") if path.len() == 3 && path[2] == "markets" => only(value, shared),
            _ => value.clone(),
        });
    }
    let [section, _, name] = path.as_slice() else { return None };
    match (section.as_str(), name.as_str()) {
        ("market", "tier" | "tier_leverage") => leaves.get(&vec!["sizing".to_owned(), name.clone()]).cloned(),
        ("market", _) => leaves.get(&vec![name.clone()]).cloned(),
        _ => None,
    }
}

/// A list of markets without those that are not in `shared`.
fn only(value: &Value, shared: &BTreeSet<String>) -> Value {
    let Value::Array(items) = value else { return value.clone() };
    Value::Array(items.iter().filter(|v| v.as_str().is_some_and(|name| shared.contains(name))).cloned().collect())
}

/// Whether a key differs only because markets were added to `allow` or taken from it, which is a change of its own.
fn is_consequence(path: &[String], shared: &BTreeSet<String>, sides: [&BTreeMap<Path, Value>; 2]) -> bool {
    let [section, name, ..] = path else { return false };
    match section.as_str() {
        "market" => !shared.contains(name),
        "group" => {
            let markets = vec![section.clone(), name.clone(), "markets".to_owned()];
            let held = |side: &BTreeMap<Path, Value>| side.get(&markets).map(|list| only(list, shared));
            let holds = |list: &Option<Value>| list.as_ref().and_then(Value::as_array).is_some_and(|l| !l.is_empty());
            let [before, after] = sides.map(held);
            !holds(&before) && !holds(&after)
        }
        _ => false,
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Object(table) => {
            table.iter().map(|(name, value)| format!("{name} = {}", text_of(value))).collect::<Vec<_>>().join(", ")
        }
        Value::Array(items) => items.iter().map(text_of).collect::<Vec<_>>().join(", "),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => plain(value),
    }
}

fn judge(rule: Rule, from: Option<&Value>, to: Option<&Value>) -> Verdict {
    let number = |value: &Value| value.as_str().and_then(domain::plain_decimal);
    match rule {
        Rule::More(base) => match (from.map(number), to.map(number)) {
            // no number at all: nothing is limited
            (_, None) => Verdict::unmeasured("the limit is taken away"),
            (None, Some(Some(_))) => Verdict::TIGHTEN,
            (Some(Some(from)), Some(Some(to))) => {
                let [from, to] = [from, to].map(|n| (n - base).abs());
                if to > from { Verdict::loosen(to > from * Decimal::TWO) } else { Verdict::TIGHTEN }
            }
            (Some(None), _) | (_, Some(None)) => Verdict::unmeasured("not a number"),
        },
        Rule::Less(base) => match (from.map(number), to.map(number)) {
            (Some(Some(from)), Some(Some(to))) => {
                let [from, to] = [from, to].map(|n| (n - base).abs());
                if to < from { Verdict::loosen(to * Decimal::TWO < from) } else { Verdict::TIGHTEN }
            }
            (None, Some(Some(_))) => Verdict::TIGHTEN,
            (_, None) => Verdict::unmeasured("the limit is taken away"),
            (Some(None), _) | (_, Some(None)) => Verdict::unmeasured("not a number"),
        },
        Rule::Extra(why) => match (from, to) {
            (None, Some(_)) => Verdict::TIGHTEN,
            (Some(_), None) => Verdict::unmeasured("the scenario is taken away"),
            (Some(_) | None, Some(_) | None) => Verdict::unmeasured(why),
        },
        Rule::Known(why) => match to {
            None => Verdict::TIGHTEN,
            Some(_) => Verdict::unmeasured(why),
        },
        Rule::Names | Rule::Either("") => Verdict::unmeasured(""),
        Rule::Either(why) => Verdict::unmeasured(why),
        Rule::Fixed(why) => Verdict::fixed(why),
    }
}

/// The limits in force with every change that tightens.
fn tightened(old: &Limits, new: &Limits, changes: &[ConfigChange]) -> Result<Limits, Vec<SpecFault>> {
    let (mut tree, after) = (tree_of(old), leaves(&tree_of(new)));
    let tightens = |key: &str| changes.iter().any(|c| c.key == key && c.class == ChangeClass::Tighten);
    let paths: Vec<Path> = leaves(&tree).into_keys().chain(after.keys().cloned()).collect();
    for path in paths.iter().filter(|path| path[0] != "allow" && tightens(&key_of(path))) {
        put(&mut tree, path, after.get(path));
    }
    let shared: BTreeSet<String> = old.allowed().filter(|id| new.allows(*id)).map(|id| id.to_string()).collect();
    if shared.len() < old.allowed().count() {
        prune(&mut tree, &shared);
    }
    limits_of(tree)
}

/// Takes markets that may not grow any more out of everything that names them.
fn prune(tree: &mut Map<String, Value>, allowed: &BTreeSet<String>) {
    tree.insert("allow".to_owned(), Value::Array(allowed.iter().cloned().map(Value::String).collect()));
    if let Some(Value::Object(markets)) = tree.get_mut("market") {
        markets.retain(|name, _| allowed.contains(name));
    }
    let mut names: BTreeSet<String> = allowed.iter().cloned().chain(["*".to_owned()]).collect();
    names.extend(
        allowed.iter().filter_map(|id| id.split_once(':')).map(|(_, name)| name.split('-').next().unwrap_or(name).to_owned()),
    );
    if let Some(Value::Object(groups)) = tree.get_mut("group") {
        for group in groups.values_mut().filter_map(Value::as_object_mut) {
            if let Some(markets) = group.get_mut("markets") {
                *markets = only(markets, allowed);
            }
        }
        groups.retain(|_, group| group["markets"].as_array().is_some_and(|markets| !markets.is_empty()));
        names.extend(groups.keys().cloned());
    }
    if let Some(Value::Object(scenarios)) = tree.get_mut("scenario") {
        for shocks in scenarios.values_mut().filter_map(|one| one.get_mut("shock")).filter_map(Value::as_object_mut) {
            shocks.retain(|name, _| names.contains(name));
        }
    }
}

/// The limits of a file with what only a restart can change left as it is.
fn without_fixed(old: &Limits, new: &Limits) -> Result<Limits, Vec<SpecFault>> {
    let (mut tree, before) = (tree_of(new), leaves(&tree_of(old)));
    for path in leaves(&tree).into_keys() {
        let mut names = vec!["guard"];
        names.extend(path.iter().map(String::as_str));
        if matches!(rule(&names).0, Rule::Fixed(_)) {
            put(&mut tree, &path, before.get(&path));
        }
    }
    limits_of(tree)
}

fn limits_of(tree: Map<String, Value>) -> Result<Limits, Vec<SpecFault>> {
    let unreadable =
        |e: serde_json::Error| vec![SpecFault { field: "guard".into(), value: "(mixed)".into(), expected: e.to_string() }];
    Limits::check(serde_json::from_value::<RawLimits>(Value::Object(tree)).map_err(unreadable)?)
}
