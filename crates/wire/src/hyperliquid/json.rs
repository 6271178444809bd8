//! Small JSON helpers of this module.

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serializer, de};
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
