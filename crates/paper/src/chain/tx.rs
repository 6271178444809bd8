//! A token transfer as a signed legacy transaction (EIP-155), the one kind of transaction that the bridge sends.

use wire::hyperliquid::Address;
use wire::hyperliquid::sign::{Key, keccak};

/// More than a token behind a proxy needs.
const GAS: u64 = 150_000;

/// What the chain decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) chain_id: u64,
    pub(crate) nonce: u64,
    /// In wei. Twice as much is offered, so that a rising price does not hold the payment up.
    pub(crate) gas_price: u64,
}

/// Bytes as they are sent, and the hash they are known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignedTx {
    pub(crate) raw: String,
    pub(crate) hash: String,
}

/// One RLP item: a string of bytes.
fn item(bytes: &[u8], out: &mut Vec<u8>) {
    match bytes {
        [single] if *single < 0x80 => out.push(*single),
        _ => {
            head(bytes.len(), 0x80, out);
            out.extend_from_slice(bytes);
        }
    }
}

fn head(length: usize, offset: u8, out: &mut Vec<u8>) {
    let be = (length as u64).to_be_bytes();
    let digits: &[u8] = &be[be.iter().take_while(|b| **b == 0).count()..];
    match u8::try_from(length) {
        Ok(short) if short <= 55 => out.push(offset + short),
        _ => {
            // at most eight digits
            out.push(offset + 55 + u8::try_from(digits.len()).unwrap_or(8));
            out.extend_from_slice(digits);
        }
    }
}

/// A number: its bytes without leading zeros.
fn number(value: u64, out: &mut Vec<u8>) {
    scalar(&value.to_be_bytes(), out);
}

fn scalar(be: &[u8], out: &mut Vec<u8>) {
    item(&be[be.iter().take_while(|b| **b == 0).count()..], out);
}

fn list(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 9);
    head(payload.len(), 0xc0, &mut out);
    out.extend_from_slice(payload);
    out
}

/// `transfer(to, units)` of `token`, signed by `key`.
pub(crate) fn transfer(key: &Key, terms: &Terms, token: Address, to: Address, units: u64) -> SignedTx {
    let mut data = keccak(&[b"transfer(address,uint256)"])[..4].to_vec();
    data.extend_from_slice(&[0; 12]);
    data.extend_from_slice(&to.0);
    data.extend_from_slice(&[0; 24]);
    data.extend_from_slice(&units.to_be_bytes());
    let mut body = Vec::with_capacity(160);
    number(terms.nonce, &mut body);
    number(terms.gas_price.saturating_mul(2), &mut body);
    number(GAS, &mut body);
    item(&token.0, &mut body);
    number(0, &mut body);
    item(&data, &mut body);
    let mut asked = body.clone();
    number(terms.chain_id, &mut asked);
    number(0, &mut asked);
    number(0, &mut asked);
    let signature = key.sign(&keccak(&[&list(&asked)]));
    number(terms.chain_id * 2 + 35 + u64::from(signature.v - 27), &mut body);
    scalar(&signature.r, &mut body);
    scalar(&signature.s, &mut body);
    let raw = list(&body);
    SignedTx { hash: format!("0x{}", hex::encode(keccak(&[&raw]))), raw: format!("0x{}", hex::encode(&raw)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of EIP-155: nonce 9, gas price 20 gwei, gas 21,000, one ether, key 0x46…46, chain 1. Its signing hash covers every
    /// rule of the encoding that a transfer meets but the long strings.
    #[test]
    fn the_encoding_is_that_of_eip_155() {
        let mut body = Vec::new();
        number(9, &mut body);
        number(20_000_000_000, &mut body);
        number(21_000, &mut body);
        item(&[0x35; 20], &mut body);
        number(1_000_000_000_000_000_000, &mut body);
        item(&[], &mut body);
        number(1, &mut body);
        number(0, &mut body);
        number(0, &mut body);
        let hash = keccak(&[&list(&body)]);
        assert_eq!(hex::encode(hash), "daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53");
        let signature = Key::from_hex(&"46".repeat(32)).expect("a key").sign(&hash);
        assert_eq!(hex::encode(signature.r), "28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276");
        assert_eq!(hex::encode(signature.s), "67cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83");
        assert_eq!(signature.v, 27);
    }

    #[test]
    fn long_strings_and_lists_say_their_length_in_digits() {
        let mut out = Vec::new();
        item(&[7; 56], &mut out);
        assert_eq!(out[..3], [0xb8, 56, 7]);
        assert_eq!(list(&[0; 300])[..3], [0xf9, 1, 44]);
        let mut zero = Vec::new();
        number(0, &mut zero);
        assert_eq!(zero, [0x80]);
        let tx = transfer(
            &Key::from_hex(&"46".repeat(32)).expect("a key"),
            &Terms { chain_id: 31_337, nonce: 300, gas_price: 1 },
            Address([1; 20]),
            Address([2; 20]),
            5_000_000,
        );
        assert!(tx.raw.starts_with("0xf8") && tx.raw.contains("a9059cbb"), "{}", tx.raw);
        assert_eq!(tx.hash.len(), 66);
    }
}
