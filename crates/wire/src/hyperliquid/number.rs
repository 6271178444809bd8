use std::fmt;
use std::str::FromStr;

use domain::{OutOfRange, plain_decimal};
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number in a response: a JSON string that holds a plain decimal, any sign. Written as the server writes it, with at least
/// one decimal (`"97123.0"`). Everything else a parser might be kind about is refused (reliability §8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Num(pub Decimal);

impl Num {
    /// The value.
    #[must_use]
    pub const fn get(self) -> Decimal {
        self.0
    }
}

impl From<Decimal> for Num {
    fn from(value: Decimal) -> Num {
        Num(value)
    }
}

impl fmt::Display for Num {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0.normalize();
        if value.scale() == 0 { write!(f, "{value}.0") } else { write!(f, "{value}") }
    }
}

impl Serialize for Num {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

struct PlainText;

impl de::Visitor<'_> for PlainText {
    type Value = Decimal;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string that holds a plain decimal")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Decimal, E> {
        decimal(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(short(text)), &self))
    }
}

/// [`plain_decimal`], with a short cut for up to 18 digits: nearly every number of a feed, and half the time of decoding it.
fn decimal(text: &str) -> Option<Decimal> {
    const DIGITS_MAX: usize = 18;
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    // the point and one more byte: a text this short cannot overflow 64 bits
    if digits.len() > DIGITS_MAX + 1 {
        return plain_decimal(text);
    }
    let mut units = 0_i64;
    let mut whole = None;
    for (at, byte) in digits.bytes().enumerate() {
        match byte {
            b'0'..=b'9' => units = units.wrapping_mul(10).wrapping_add(i64::from(byte - b'0')),
            b'.' if whole.is_none() && at > 0 => whole = Some(at),
            _ => return None,
        }
    }
    let scale = match whole {
        Some(at) => digits.len() - at - 1,
        None if digits.len() > DIGITS_MAX => return plain_decimal(text),
        None => 0,
    };
    if digits.is_empty() || (whole.is_some() && scale == 0) {
        return None;
    }
    if negative && units == 0 {
        return Some(Decimal::ZERO);
    }
    Some(Decimal::new(if negative { -units } else { units }, u32::try_from(scale).ok()?))
}

/// Enough of a bad number to recognise it in a log.
fn short(text: &str) -> &str {
    text.char_indices().nth(40).map_or(text, |(end, _)| &text[..end])
}

impl<'de> Deserialize<'de> for Num {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Num, D::Error> {
        d.deserialize_str(PlainText).map(Num)
    }
}

/// Refuses prices of zero and below: books and trades.
pub(crate) fn positive<'de, D: Deserializer<'de>>(d: D) -> Result<Num, D::Error> {
    let num = Num::deserialize(d)?;
    if num.0 > Decimal::ZERO { Ok(num) } else { Err(de::Error::custom(format_args!("{num} is not above zero"))) }
}

/// Refuses negative sizes and prices.
pub(crate) fn non_negative<'de, D: Deserializer<'de>>(d: D) -> Result<Num, D::Error> {
    let num = Num::deserialize(d)?;
    if num.0 >= Decimal::ZERO { Ok(num) } else { Err(de::Error::custom(format_args!("{num} is below zero"))) }
}

/// A number that some recordings carry as a JSON number and that may hold float noise: candles and `activeAssetData`. Never a
/// basis for booking. Written as a string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LooseNum(pub Decimal);

impl LooseNum {
    /// The value.
    #[must_use]
    pub const fn get(self) -> Decimal {
        self.0
    }
}

impl Serialize for LooseNum {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        Num(self.0).serialize(s)
    }
}

impl<'de> Deserialize<'de> for LooseNum {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<LooseNum, D::Error> {
        struct Loose;
        impl de::Visitor<'_> for Loose {
            type Value = Decimal;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a plain decimal, as string or number")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Decimal, E> {
                PlainText.visit_str(text)
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Decimal, E> {
                Ok(value.into())
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Decimal, E> {
                Ok(value.into())
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Decimal, E> {
                // the shortest text that reads back as the same float: what the server's float was, as near as it can be known
                plain_decimal(&value.to_string()).ok_or_else(|| E::invalid_value(de::Unexpected::Float(value), &self))
            }
        }
        d.deserialize_any(Loose).map(LooseNum)
    }
}

/// A price or size inside an action, as it is hashed: no exponent, no trailing zeros, at most 8 decimals (sheet 2.2).
///
/// Reading accepts any plain decimal and canonicalises it, as the venue does before hashing: bytes signed over `"51000.0"`
/// therefore recover a stranger's address here as they do there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireDecimal(Decimal);

/// Decimals in an action.
pub(crate) const WIRE_DECIMALS_MAX: u32 = 8;

impl WireDecimal {
    /// The number `value`.
    ///
    /// # Errors
    /// If it needs more than 8 decimals: the wire form never rounds.
    pub fn new(value: Decimal) -> Result<WireDecimal, OutOfRange> {
        let value = value.normalize();
        if value.scale() > WIRE_DECIMALS_MAX {
            return Err(OutOfRange { text: value.to_string(), expected: "a decimal of at most 8 decimals" });
        }
        Ok(WireDecimal(value))
    }

    /// The value.
    #[must_use]
    pub const fn get(self) -> Decimal {
        self.0
    }
}

impl TryFrom<Decimal> for WireDecimal {
    type Error = OutOfRange;
    fn try_from(value: Decimal) -> Result<WireDecimal, OutOfRange> {
        WireDecimal::new(value)
    }
}

impl fmt::Display for WireDecimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for WireDecimal {
    type Err = OutOfRange;
    fn from_str(text: &str) -> Result<WireDecimal, OutOfRange> {
        let value = decimal(text).ok_or_else(|| OutOfRange { text: short(text).to_owned(), expected: "a plain decimal" })?;
        WireDecimal::new(value)
    }
}

impl Serialize for WireDecimal {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WireDecimal {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<WireDecimal, D::Error> {
        WireDecimal::new(d.deserialize_str(PlainText)?).map_err(de::Error::custom)
    }
}

/// A decimal whose very characters are signed (amounts of transfers): checked to be a plain decimal, kept as written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct DecimalText(String);

impl DecimalText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value.
    #[must_use]
    pub fn get(&self) -> Decimal {
        plain_decimal(&self.0).unwrap_or_default()
    }
}

impl FromStr for DecimalText {
    type Err = OutOfRange;
    fn from_str(text: &str) -> Result<DecimalText, OutOfRange> {
        match plain_decimal(text) {
            Some(_) => Ok(DecimalText(text.to_owned())),
            None => Err(OutOfRange { text: short(text).to_owned(), expected: "a plain decimal" }),
        }
    }
}

impl From<Decimal> for DecimalText {
    fn from(value: Decimal) -> DecimalText {
        DecimalText(value.normalize().to_string())
    }
}

impl<'de> Deserialize<'de> for DecimalText {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<DecimalText, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
