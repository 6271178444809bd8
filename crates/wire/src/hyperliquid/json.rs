//! JSON helpers of this module.

use std::fmt;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;

/// The `type` of an object whose set of types is open, and its text, to be read again as what it is. Reading such an object
/// by an untagged enum instead would turn a malformed known type into an unknown one.
pub(crate) fn peek_type<'de, D: Deserializer<'de>>(d: D) -> Result<(String, Box<RawValue>), D::Error> {
    #[derive(Deserialize)]
    struct Peek {
        r#type: String,
    }
    let text = Box::<RawValue>::deserialize(d)?;
    let peek: Peek = serde_json::from_str(text.get()).map_err(de::Error::custom)?;
    Ok((peek.r#type, text))
}

/// `{"type":kind}`.
pub(crate) fn only_type<S: Serializer>(s: S, kind: &str) -> Result<S::Ok, S::Error> {
    let mut map = s.serialize_map(Some(1))?;
    map.serialize_entry("type", kind)?;
    map.end()
}

/// Any JSON with the order of its keys kept: what an action of an unknown type hashes as. A repeated key is an error.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
}

impl Json {
    pub(crate) fn parse(text: &str) -> Result<Json, String> {
        serde_json::from_str(text).map_err(|e| e.to_string())
    }

    /// The same value as JSON text.
    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Json> {
        self.entries().iter().find(|(k, _)| k == key).map(|(_, value)| value)
    }

    /// As [`Json::get`], a null counting as absent.
    pub(crate) fn present(&self, key: &str) -> Option<&Json> {
        self.get(key).filter(|value| **value != Json::Null)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Keys and values; empty for anything but a map.
    pub(crate) fn entries(&self) -> &[(String, Json)] {
        if let Json::Map(entries) = self { entries } else { &[] }
    }

    /// Elements; empty for anything but a list.
    pub(crate) fn items(&self) -> &[Json] {
        if let Json::List(items) = self { items } else { &[] }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        if let Json::Text(text) = self { Some(text) } else { None }
    }

    pub(crate) fn text_at(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_text()
    }

    pub(crate) fn u64_at(&self, key: &str) -> Option<u64> {
        if let Json::Int(n) = self.get(key)? { u64::try_from(*n).ok() } else { None }
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => s.serialize_unit(),
            Json::Bool(flag) => s.serialize_bool(*flag),
            Json::Int(n) => match (u64::try_from(*n), i64::try_from(*n)) {
                (Ok(n), _) => s.serialize_u64(n),
                (_, Ok(n)) => s.serialize_i64(n),
                (Err(_), Err(_)) => Err(serde::ser::Error::custom("an integer beyond 64 bits")),
            },
            Json::Float(x) => s.serialize_f64(*x),
            Json::Text(text) => s.serialize_str(text),
            Json::List(items) => {
                let mut seq = s.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| seq.serialize_element(item))?;
                seq.end()
            }
            Json::Map(entries) => {
                let mut map = s.serialize_map(Some(entries.len()))?;
                entries.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Json, D::Error> {
        struct Any;
        impl<'de> de::Visitor<'de> for Any {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }

            fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Json, E> {
                Ok(Json::Bool(flag))
            }

            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Json, E> {
                Ok(Json::Int(n.into()))
            }

            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Json, E> {
                Ok(Json::Int(n.into()))
            }

            fn visit_f64<E: de::Error>(self, x: f64) -> Result<Json, E> {
                Ok(Json::Float(x))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Json, E> {
                Ok(Json::Text(text.to_owned()))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Json::List(items))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
                let mut entries = Vec::new();
                let mut seen = std::collections::BTreeSet::new();
                while let Some((key, value)) = map.next_entry::<String, Json>()? {
                    if !seen.insert(key.clone()) {
                        return Err(de::Error::custom(format_args!("the key {key:?} twice in one object")));
                    }
                    entries.push((key, value));
                }
                Ok(Json::Map(entries))
            }
        }
        d.deserialize_any(Any)
    }
}
