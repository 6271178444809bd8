//! EIP-712 over a type that is given as data, for any atomic type and arrays of them: independent of the typed actions, so that
//! the two can be checked against each other.

use super::super::Address;
use super::super::json::Json;
use super::super::sign::{Hash, eip712_digest, keccak};

/// Fields of the domain in the order that the standard fixes.
const DOMAIN: &[(&str, &str)] =
    &[("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address"), ("salt", "bytes32")];

/// `Primary(type name,…)`.
pub(super) fn encode_type(primary: &str, types: &[(String, String)]) -> String {
    let fields: Vec<String> = types.iter().map(|(name, kind)| format!("{kind} {name}")).collect();
    format!("{primary}({})", fields.join(","))
}

/// The digest of `message`.
pub(super) fn digest(domain: &Json, primary: &str, types: &[(String, String)], message: &Json) -> Result<Hash, String> {
    let present: Vec<(String, String)> =
        DOMAIN.iter().filter(|(name, _)| domain.has(name)).map(|(n, k)| ((*n).to_owned(), (*k).to_owned())).collect();
    let domain = structure("EIP712Domain", &present, domain)?;
    Ok(eip712_digest(&domain, &structure(primary, types, message)?))
}

fn structure(primary: &str, types: &[(String, String)], values: &Json) -> Result<Hash, String> {
    let mut body = keccak(&[encode_type(primary, types).as_bytes()]).to_vec();
    for (name, kind) in types {
        let value = values.get(name).ok_or_else(|| format!("{name}: no value"))?;
        body.extend_from_slice(&word(kind, value).map_err(|e| format!("{name}: {e}"))?);
    }
    Ok(keccak(&[&body]))
}

fn word(kind: &str, value: &Json) -> Result<Hash, String> {
    if let Some(element) = kind.strip_suffix("[]") {
        let Json::List(items) = value else { return Err(format!("not a list: {}", value.text())) };
        let words: Result<Vec<Hash>, String> = items.iter().map(|item| word(element, item)).collect();
        return Ok(keccak(&[&words?.concat()]));
    }
    let bad = || format!("{} is not a {kind}", value.text());
    let mut word = [0; 32];
    match kind {
        "string" => return value.as_text().map(|text| keccak(&[text.as_bytes()])).ok_or_else(bad),
        "bytes" => return value.as_text().and_then(bytes).map(|bytes| keccak(&[&bytes])).ok_or_else(bad),
        "bool" => {
            let Json::Bool(flag) = value else { return Err(bad()) };
            word[31] = u8::from(*flag);
        }
        "address" => {
            let address: Address = value.as_text().and_then(|text| text.parse().ok()).ok_or_else(bad)?;
            word[12..].copy_from_slice(&address.0);
        }
        _ => {
            if let Some(bits) = width(kind, "uint") {
                word = integer(value, bits, false).ok_or_else(bad)?;
            } else if let Some(bits) = width(kind, "int") {
                word = integer(value, bits, true).ok_or_else(bad)?;
            } else if let Some(len) = kind.strip_prefix("bytes").and_then(|n| n.parse::<usize>().ok()) {
                let bytes = value.as_text().and_then(bytes).filter(|b| b.len() == len && len <= 32).ok_or_else(bad)?;
                word[..len].copy_from_slice(&bytes);
            } else {
                return Err(format!("the type {kind:?} is not one of EIP-712"));
            }
        }
    }
    Ok(word)
}

fn width(kind: &str, prefix: &str) -> Option<u32> {
    let digits = kind.strip_prefix(prefix)?;
    let bits = if digits.is_empty() { 256 } else { digits.parse().ok()? };
    (bits % 8 == 0 && (8..=256).contains(&bits)).then_some(bits)
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    hex::decode(text.strip_prefix("0x")?).ok()
}

/// A JSON integer, or a decimal or hexadecimal text, as 32 bytes of two's complement; `None` beyond `bits`.
fn integer(value: &Json, bits: u32, signed: bool) -> Option<Hash> {
    let text = if let Json::Int(n) = value { n.to_string() } else { value.as_text()?.to_owned() };
    let (negative, digits) = text.strip_prefix('-').map_or((false, text.as_str()), |digits| (true, digits));
    let (radix, digits) = digits.strip_prefix("0x").map_or((10, digits), |digits| (16, digits));
    if digits.is_empty() || (negative && !signed) {
        return None;
    }
    let mut word = [0_u8; 32];
    for digit in digits.chars() {
        let mut carry = digit.to_digit(radix)?;
        for byte in word.iter_mut().rev() {
            carry += u32::from(*byte) * radix;
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        if carry != 0 {
            return None;
        }
    }
    if !fits(&word, if signed { bits - 1 } else { bits }) {
        return None;
    }
    if negative {
        word.iter_mut().for_each(|byte| *byte = !*byte);
        for byte in word.iter_mut().rev() {
            let (sum, carried) = byte.overflowing_add(1);
            *byte = sum;
            if !carried {
                break;
            }
        }
    }
    Some(word)
}

fn fits(word: &Hash, bits: u32) -> bool {
    let leading: u32 = word
        .iter()
        .scan(true, |zeros, byte| {
            let counted = if *zeros { byte.leading_zeros() } else { 0 };
            *zeros = *zeros && *byte == 0;
            Some(counted)
        })
        .sum();
    256 - leading <= bits
}
