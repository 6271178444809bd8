//! As much of the contract ABI as the rig needs.

use domain::EvmAddress;
use wire::hyperliquid::sign::keccak;

/// One argument of a contract call.
#[derive(Clone, Copy, Debug)]
pub enum Arg<'a> {
    /// `address`.
    Address(EvmAddress),
    /// Any unsigned integer.
    Number(u64),
    /// `bytes32`.
    Word([u8; 32]),
    /// `string`.
    Text(&'a str),
    /// `address[]` with nothing in it.
    NoAddresses,
}

/// A call's data without the selector, or a constructor's, after its code.
pub(super) fn encoded(arguments: &[Arg<'_>]) -> Vec<u8> {
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    let word = |n: u64| [vec![0; 24], n.to_be_bytes().to_vec()].concat();
    let base = 32 * arguments.len();
    for one in arguments {
        match one {
            Arg::Address(address) => head.extend([vec![0; 12], address.0.to_vec()].concat()),
            Arg::Number(n) => head.extend(word(*n)),
            Arg::Word(bytes) => head.extend(bytes),
            Arg::Text(text) => {
                head.extend(word((base + tail.len()) as u64));
                tail.extend(word(text.len() as u64));
                let mut bytes = text.as_bytes().to_vec();
                bytes.resize(text.len().div_ceil(32) * 32, 0);
                tail.extend(bytes);
            }
            Arg::NoAddresses => {
                head.extend(word((base + tail.len()) as u64));
                tail.extend(word(0));
            }
        }
    }
    [head, tail].concat()
}

/// A call's data.
#[must_use]
pub fn call(signature: &str, arguments: &[Arg<'_>]) -> String {
    let selector = &keccak(&[signature.as_bytes()])[..4];
    format!("0x{}{}", hex::encode(selector), hex::encode(encoded(arguments)))
}

/// The text of `Error(string)`, which a contract reverts with.
pub(super) fn reason(data: &str) -> Option<String> {
    let bytes = hex::decode(data.strip_prefix("0x08c379a0")?).ok()?;
    let length = u64::from_be_bytes(bytes.get(56..64)?.try_into().ok()?);
    String::from_utf8(bytes.get(64..64 + usize::try_from(length).ok()?)?.to_vec()).ok()
}

/// The first topic of an event's logs.
pub(super) fn topic(signature: &str) -> String {
    format!("0x{}", hex::encode(keccak(&[signature.as_bytes()])))
}
