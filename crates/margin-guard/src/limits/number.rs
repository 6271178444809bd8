//! Numbers as they are written, and how each kind of figure is read from them and written back.

use std::fmt;

use domain::{Ratio, Span, Usd, plain_decimal};
use rust_decimal::Decimal;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::faults::Faults;

/// A number as it was written: a decimal in quotes or a whole number. A float is kept too, so that it is reported with all
/// other faults instead of alone; [`crate::Limits::check`] refuses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawNumber {
    pub(super) text: String,
    pub(super) float: bool,
}

impl RawNumber {
    /// The number written as `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> RawNumber {
        RawNumber { text: text.into(), float: false }
    }

    /// Whether it was written as a float, which is not exact.
    pub(crate) const fn is_float(&self) -> bool {
        self.float
    }
}

impl From<&str> for RawNumber {
    fn from(text: &str) -> RawNumber {
        RawNumber::new(text)
    }
}

impl fmt::Display for RawNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for RawNumber {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for RawNumber {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = RawNumber;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal in quotes or a whole number")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<RawNumber, E> {
                Ok(RawNumber::new(text))
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<RawNumber, E> {
                Ok(RawNumber::new(n.to_string()))
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<RawNumber, E> {
                Ok(RawNumber::new(n.to_string()))
            }
            fn visit_i128<E: de::Error>(self, n: i128) -> Result<RawNumber, E> {
                Ok(RawNumber::new(n.to_string()))
            }
            fn visit_u128<E: de::Error>(self, n: u128) -> Result<RawNumber, E> {
                Ok(RawNumber::new(n.to_string()))
            }
            fn visit_f64<E: de::Error>(self, n: f64) -> Result<RawNumber, E> {
                Ok(RawNumber { text: n.to_string(), float: true })
            }
        }
        d.deserialize_any(Written)
    }
}

/// A kind of figure that a section holds.
pub(super) trait Figure: Sized {
    /// Reads `raw`, or `default` if nothing is written; what lies outside `low` to `high` is a fault and the default is taken.
    fn read(faults: &mut Faults, field: &str, raw: Option<&RawNumber>, default: &str, low: &str, high: &str) -> Self;
    fn write(&self) -> RawNumber;
}

/// The bounds and the default of a section are literals of this crate, which its tests read.
fn literal(text: &str) -> Decimal {
    plain_decimal(text).unwrap_or_default()
}

/// Decimals of a configured figure: a funding rate per hour needs seven of them, and nothing needs more than nine.
const DECIMALS_MAX: u32 = 9;

fn bounded(faults: &mut Faults, field: &str, raw: Option<&RawNumber>, [default, low, high]: [&str; 3], decimals: u32) -> Decimal {
    let fallback = literal(default);
    let Some(raw) = raw else { return fallback };
    let words = match decimals {
        0 => format!("a whole number, {low} to {high}"),
        _ => format!("a number from {low} to {high} with at most {decimals} decimals"),
    };
    let Some(value) = faults.decimal(field, raw, &words) else { return fallback };
    if value < literal(low) || value > literal(high) || value.normalize().scale() > decimals {
        faults.add(field, value.to_string(), words);
        return fallback;
    }
    value
}

impl Figure for Ratio {
    fn read(faults: &mut Faults, field: &str, raw: Option<&RawNumber>, default: &str, low: &str, high: &str) -> Ratio {
        let value = bounded(faults, field, raw, [default, low, high], DECIMALS_MAX);
        Ratio::new(value).unwrap_or_default()
    }

    fn write(&self) -> RawNumber {
        RawNumber::new(self.to_string())
    }
}

impl Figure for Usd {
    fn read(faults: &mut Faults, field: &str, raw: Option<&RawNumber>, default: &str, low: &str, high: &str) -> Usd {
        let value = bounded(faults, field, raw, [default, low, high], 6);
        Usd::new(value).unwrap_or_default()
    }

    fn write(&self) -> RawNumber {
        RawNumber::new(self.to_string())
    }
}

impl Figure for u32 {
    fn read(faults: &mut Faults, field: &str, raw: Option<&RawNumber>, default: &str, low: &str, high: &str) -> u32 {
        let value = bounded(faults, field, raw, [default, low, high], 0);
        u32::try_from(value).unwrap_or(u32::MAX)
    }

    fn write(&self) -> RawNumber {
        RawNumber::new(self.to_string())
    }
}

/// In milliseconds, as the field's name says.
impl Figure for Span {
    fn read(faults: &mut Faults, field: &str, raw: Option<&RawNumber>, default: &str, low: &str, high: &str) -> Span {
        let value = bounded(faults, field, raw, [default, low, high], 0);
        Span::millis(u64::try_from(value).unwrap_or_default())
    }

    fn write(&self) -> RawNumber {
        RawNumber::new(self.as_millis().to_string())
    }
}

/// One section of the limits: what may be written, what it means, how the one is read as the other and written back. A line
/// per key: meaning, kind, default, least and greatest value.
macro_rules! section {
    ($(#[$doc:meta])* $raw:ident => $checked:ident at $path:literal {
        $($(#[$field_doc:meta])* $field:ident: $kind:ty = $default:literal, $low:literal, $high:literal;)*
    }) => {
        $(#[$doc])*
        ///
        /// As written: every key may be left out.
        #[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $raw {
            $(
                $(#[$field_doc])*
                #[doc = concat!(" Default ", $default, "; ", $low, " to ", $high, ".")]
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $field: Option<crate::limits::RawNumber>,
            )*
        }

        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $checked {
            $(
                $(#[$field_doc])*
                pub $field: $kind,
            )*
        }

        impl $checked {
            pub(super) fn read(faults: &mut crate::limits::faults::Faults, raw: &$raw) -> $checked {
                use crate::limits::number::Figure;
                $checked {
                    $($field: <$kind as Figure>::read(
                        faults,
                        concat!($path, ".", stringify!($field)),
                        raw.$field.as_ref(),
                        $default,
                        $low,
                        $high,
                    ),)*
                }
            }

            pub(super) fn written(&self) -> $raw {
                use crate::limits::number::Figure;
                $raw { $($field: Some(Figure::write(&self.$field)),)* }
            }
        }
    };
}
pub(super) use section;
