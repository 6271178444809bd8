//! Published cases against formulas: files of the form `{"version", "cases": [{"id", "topic", "inputs", "expected", "tol"}]}`.
//!
//! Each crate that computes something says which topics it knows, as a list of [`Topic`]; [`run`] takes them all together. A
//! topic computes every figure it knows from the inputs; every expected key must be among them and agree within its tolerance.
//! A case that expects nothing, or something unknown to its topic, fails: it must not pass for want of being looked at.
#![expect(clippy::float_arithmetic, reason = "compares published figures within their printed tolerance")]

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Map, Value, json};

/// What became of a file of cases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Cases whose every expected figure was reached.
    pub passed: usize,
    /// Cases that were not, with what differed.
    pub failed: Vec<Failure>,
    /// Topics that do not exist here, once each, in alphabetical order.
    pub skipped: Vec<String>,
}

/// One failed case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its id, or its place in the file.
    pub case: String,
    /// What differed.
    pub why: String,
}

/// What a topic computed, by the names that figures go by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures(BTreeMap<Cow<'static, str>, Value>);

impl Figures {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Figures {
        Figures::default()
    }

    /// Adds a figure; the later of two by the same name stands.
    pub fn insert(&mut self, name: impl Into<Cow<'static, str>>, value: Value) {
        self.0.insert(name.into(), value);
    }

    /// Adds figures.
    pub fn extend<const N: usize>(&mut self, all: [(&'static str, Value); N]) {
        all.into_iter().for_each(|(name, value)| self.insert(name, value));
    }

    /// Adds one figure under each of its names.
    pub fn alias<const N: usize>(&mut self, names: [&'static str; N], value: &Value) {
        names.into_iter().for_each(|name| self.insert(name, value.clone()));
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Computes all figures of a topic, or says which input is missing or wrong.
pub type Compute<'a> = Box<dyn Fn(&Inputs) -> Result<Figures, String> + 'a>;

/// Something that published cases are about.
pub struct Topic<'a> {
    /// Its name in the files.
    pub name: &'static str,
    /// The formulas.
    pub compute: Compute<'a>,
}

impl<'a> Topic<'a> {
    /// The topic `name`.
    pub fn new(name: &'static str, compute: impl Fn(&Inputs) -> Result<Figures, String> + 'a) -> Topic<'a> {
        Topic { name, compute: Box::new(compute) }
    }
}

impl std::fmt::Debug for Topic<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Topic").field(&self.name).finish()
    }
}

/// Tolerance of a case that names none.
const REL_DEFAULT: f64 = 1e-9;

/// Runs every case of `json_text` whose topic is among `topics`. A text that is not such a file is one failure.
#[must_use]
pub fn run(json_text: &str, topics: &[Topic]) -> Outcome {
    let mut outcome = Outcome::default();
    let fail = |case: &str, why: String| Failure { case: case.to_owned(), why };
    let file: Value = match serde_json::from_str(json_text) {
        Ok(file) => file,
        Err(e) => {
            outcome.failed.push(fail("file", format!("not JSON: {e}")));
            return outcome;
        }
    };
    let Some(cases) = file["cases"].as_array() else {
        outcome.failed.push(fail("file", "no array \"cases\"".into()));
        return outcome;
    };
    let mut skipped = BTreeSet::new();
    for (i, case) in cases.iter().enumerate() {
        let id = case["id"].as_str().map_or_else(|| format!("case {}", i + 1), str::to_owned);
        let Some(topic) = case["topic"].as_str() else {
            outcome.failed.push(fail(&id, "no \"topic\"".into()));
            continue;
        };
        let Some(known) = topics.iter().find(|known| known.name == topic) else {
            skipped.insert(topic.to_owned());
            continue;
        };
        match judge(case, &known.compute) {
            Ok(()) => outcome.passed += 1,
            Err(why) => outcome.failed.push(fail(&id, why)),
        }
    }
    outcome.skipped = skipped.into_iter().collect();
    outcome
}

fn judge(case: &Value, compute: &Compute) -> Result<(), String> {
    let inputs = case["inputs"].as_object().ok_or("no object \"inputs\"")?;
    let expected = case["expected"].as_object().filter(|e| !e.is_empty()).ok_or("nothing is expected")?;
    let empty = Map::new();
    let tol = match case.get("tol").filter(|t| !t.is_null()) {
        None => &empty,
        Some(tol) => tol.as_object().ok_or_else(|| format!("\"tol\" is {tol}, not an object"))?,
    };
    let figures = compute(&Inputs(inputs))?;
    let mut faults = Vec::new();
    for (key, want) in expected {
        match figures.0.get(key.as_str()) {
            Some(got) => compare(key, got, want, &Tolerance::of(tol, key), &mut faults),
            None => faults.push(format!("{key}: no such figure here")),
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
}

/// How far a figure may be off: any one of the bounds is enough.
struct Tolerance {
    abs: Option<f64>,
    rel: Option<f64>,
    exact: bool,
}

impl Tolerance {
    /// `<prefix>_abs` and `<prefix>_rel` of the longest prefix of `key` go before `abs`, `rel` and `exact`.
    fn of(tol: &Map<String, Value>, key: &str) -> Tolerance {
        let own = |suffix: &str| {
            tol.iter()
                .filter_map(|(name, value)| Some((name.strip_suffix(suffix)?, value.as_f64()?)))
                .filter(|(prefix, _)| !prefix.is_empty() && key.starts_with(*prefix))
                .max_by_key(|(prefix, _)| prefix.len())
                .map(|(_, value)| value)
        };
        let (abs, rel) = (own("_abs"), own("_rel"));
        if abs.is_some() || rel.is_some() {
            return Tolerance { abs, rel, exact: false };
        }
        let number = |name: &str| tol.get(name).and_then(Value::as_f64);
        let exact = tol.get("exact").and_then(Value::as_bool).unwrap_or(false);
        let (abs, rel) = (number("abs"), number("rel"));
        let rel = if abs.is_none() && rel.is_none() && !exact { Some(REL_DEFAULT) } else { rel };
        Tolerance { abs, rel, exact }
    }

    fn holds(&self, got: f64, want: f64) -> bool {
        let off = (got - want).abs();
        if self.exact {
            return off == 0.0;
        }
        // a hair more than the printed tolerance: the tolerance itself is a rounded binary number
        let within = |bound: Option<f64>| bound.is_some_and(|b| off <= b * (1.0 + 1e-9));
        within(self.abs) || within(self.rel.map(|r| r * want.abs()))
    }
}

fn compare(path: &str, got: &Value, want: &Value, tol: &Tolerance, faults: &mut Vec<String>) {
    match (got, want) {
        (Value::Array(g), Value::Array(w)) if g.len() == w.len() => {
            for (i, (g, w)) in g.iter().zip(w).enumerate() {
                compare(&format!("{path}[{i}]"), g, w, tol, faults);
            }
        }
        (Value::Object(g), Value::Object(w)) => {
            for (key, w) in w {
                let path = format!("{path}.{key}");
                match g.get(key) {
                    Some(g) => compare(&path, g, w, tol, faults),
                    None => faults.push(format!("{path}: no such figure here")),
                }
            }
        }
        (Value::Number(g), Value::Number(w)) => {
            let (g, w) = (g.as_f64().unwrap_or(f64::NAN), w.as_f64().unwrap_or(f64::NAN));
            if !tol.holds(g, w) {
                faults.push(format!("{path} = {g}, expected {w}"));
            }
        }
        _ if got == want => {}
        _ => faults.push(format!("{path} = {got}, expected {want}")),
    }
}

/// The inputs of a case. A figure may go by several names; the first of the list is the one that faults are told with.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a>(&'a Map<String, Value>);

impl<'a> Inputs<'a> {
    /// Inputs for `object`, such as one entry of a list.
    #[must_use]
    pub const fn of(object: &'a Map<String, Value>) -> Inputs<'a> {
        Inputs(object)
    }

    /// The value by any of `names`; null counts as absent.
    #[must_use]
    pub fn any(&self, names: &[&str]) -> Option<&'a Value> {
        names.iter().find_map(|name| self.0.get(*name)).filter(|v| !v.is_null())
    }

    /// A finite number.
    ///
    /// # Errors
    /// If it is missing or none.
    pub fn number(&self, names: &[&str]) -> Result<f64, String> {
        let value = self.any(names).ok_or_else(|| format!("inputs.{}: missing", names[0]))?;
        value.as_f64().filter(|n| n.is_finite()).ok_or_else(|| format!("inputs.{} = {value}: expected a number", names[0]))
    }

    /// A finite number, or `otherwise` if it is missing.
    ///
    /// # Errors
    /// If it is something else.
    pub fn number_or(&self, names: &[&str], otherwise: f64) -> Result<f64, String> {
        if self.any(names).is_some() { self.number(names) } else { Ok(otherwise) }
    }

    /// A whole number from 0 to 1,000,000.
    ///
    /// # Errors
    /// If it is missing or none.
    pub fn count(&self, names: &[&str]) -> Result<u32, String> {
        let n = self.number(names)?;
        let whole = n.to_u32().filter(|w| f64::from(*w) == n && *w <= 1_000_000);
        whole.ok_or_else(|| format!("inputs.{} = {n}: expected a whole number of at most 1,000,000", names[0]))
    }

    /// A decimal as printed, of at most 10^12.
    ///
    /// # Errors
    /// If it is missing or none.
    pub fn decimal(&self, names: &[&str]) -> Result<Decimal, String> {
        let value = self.any(names).ok_or_else(|| format!("inputs.{}: missing", names[0]))?;
        decimal(value).ok_or_else(|| format!("inputs.{} = {value}: expected a decimal number", names[0]))
    }

    /// A decimal as printed, or `otherwise` if it is missing.
    ///
    /// # Errors
    /// If it is something else.
    pub fn decimal_or(&self, names: &[&str], otherwise: Decimal) -> Result<Decimal, String> {
        if self.any(names).is_some() { self.decimal(names) } else { Ok(otherwise) }
    }

    /// A list of numbers.
    ///
    /// # Errors
    /// If it is missing or holds something else.
    pub fn numbers(&self, names: &[&str]) -> Result<Vec<f64>, String> {
        let list = self.any(names).and_then(Value::as_array).ok_or_else(|| format!("inputs.{}: expected a list", names[0]))?;
        list.iter().map(|v| v.as_f64().ok_or_else(|| format!("inputs.{}: {v} is not a number", names[0]))).collect()
    }

    /// A text.
    #[must_use]
    pub fn word(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).and_then(Value::as_str)
    }
}

/// A number as printed: its shortest text, or a text. Nothing beyond 10^12.
#[must_use]
pub fn decimal(value: &Value) -> Option<Decimal> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let value = Decimal::from_str_exact(&text).or_else(|_| Decimal::from_scientific(&text)).ok()?;
    // far beyond any account, and small enough that sums of products stay in range
    (value.abs() <= Decimal::from(1_000_000_000_000_i64)).then_some(value)
}

/// A decimal as a figure.
#[must_use]
pub fn float(value: Decimal) -> Value {
    json!(value.to_f64())
}

/// Figures from pairs.
#[must_use]
pub fn figures<const N: usize>(all: [(&'static str, Value); N]) -> Figures {
    let mut figures = Figures::new();
    figures.extend(all);
    figures
}

#[cfg(test)]
mod tests;
