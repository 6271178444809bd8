//! Keys, hashing, signatures, recovery of the signer (sheet 5).
//!
//! L1 actions: `keccak(msgpack(action) ‖ nonce ‖ vault ‖ expiry)` is the *connection id*; it is signed inside an EIP-712 struct
//! `Agent(string source,bytes32 connectionId)` under a fixed domain. User-signed actions are EIP-712 messages of their own.
//! [`order_body`] is the hot path: action to posted JSON with nothing around the curve but the hash and the text.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{All, Message, PublicKey, Secp256k1, SecretKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha3::{Digest, Keccak256};
use zeroize::Zeroizing;

use super::Address;
use super::action::{Action, Signed};
use super::address::hex_lower;

/// Building its tables takes milliseconds; signing and recovering only read them.
static CURVE: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);

/// A digest or hash.
pub type Hash = [u8; 32];

/// `keccak256` of the parts in sequence.
#[must_use]
pub fn keccak(parts: &[&[u8]]) -> Hash {
    let mut hasher = Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Which network a signature is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Network {
    /// Mainnet: phantom source `a`.
    Mainnet,
    /// Testnet and everything else, paper venues included: phantom source `b`.
    Testnet,
}

impl Network {
    /// `hyperliquidChain` of user-signed actions.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Network::Mainnet => "Mainnet",
            Network::Testnet => "Testnet",
        }
    }

    /// The phantom agent's source: what keeps an L1 signature from being replayed on the other network.
    #[must_use]
    pub const fn source(self) -> &'static str {
        match self {
            Network::Mainnet => "a",
            Network::Testnet => "b",
        }
    }
}

/// A chain id as user-signed actions carry it: a hexadecimal text such as `0x66eee`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChainId(pub u64);

impl ChainId {
    /// Arbitrum Sepolia, what the official Python client names on both networks.
    pub const ARBITRUM_SEPOLIA: ChainId = ChainId(421_614);
    /// Arbitrum One, what browsers name.
    pub const ARBITRUM_ONE: ChainId = ChainId(42_161);
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl FromStr for ChainId {
    type Err = SignError;
    fn from_str(text: &str) -> Result<ChainId, SignError> {
        text.strip_prefix("0x")
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .map(ChainId)
            .ok_or(SignError::Text { what: "a chain id", expected: "0x and hexadecimal digits of at most 64 bits" })
    }
}

impl Serialize for ChainId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ChainId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<ChainId, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

/// Why something could not be signed or recovered. No variant carries secret material.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// A text is not what it should be; the text is not repeated, it may be secret.
    #[error("not {what}: expected {expected}")]
    Text {
        /// What it should be.
        what: &'static str,
        /// Its form.
        expected: &'static str,
    },
    /// The bytes are not a secret key of the curve.
    #[error("not a secp256k1 secret key: expected 32 bytes between 1 and the group order")]
    Key,
    /// The signature is not one of any key.
    #[error("no signer can be recovered from this signature")]
    Recover,
    /// An action that could not be written as MessagePack or JSON.
    #[error("the action cannot be encoded: {0}")]
    Encode(String),
    /// A vault or an expiry with a user-signed action (sheet 4).
    #[error("a user-signed action takes neither vault nor expiry")]
    UserSigned,
}

/// A secret key. Cleared on drop; it has no `Debug`, no `Display`, no `Serialize` and no `Clone`.
///
/// ```compile_fail,E0277
/// fn shown<T: std::fmt::Debug>() {}
/// shown::<plimsoll_wire::hyperliquid::sign::Key>();
/// ```
pub struct Key {
    secret: SecretKey,
    address: Address,
}

impl Drop for Key {
    fn drop(&mut self) {
        self.secret.non_secure_erase();
    }
}

impl Key {
    /// The key with these bytes: from a key file, or from a caller's random source.
    ///
    /// # Errors
    /// [`SignError::Key`] if they are zero or not below the group order (chance 2^-128 for random bytes: draw again).
    pub fn from_bytes(bytes: &Zeroizing<[u8; 32]>) -> Result<Key, SignError> {
        let secret = SecretKey::from_byte_array(**bytes).map_err(|_| SignError::Key)?;
        Ok(Key { address: address_of(&secret.public_key(&CURVE)), secret })
    }

    /// The key in this text: 64 hexadecimal digits, `0x` before them or not.
    ///
    /// # Errors
    /// If it is not such a text, or not a key.
    pub fn from_hex(text: &str) -> Result<Key, SignError> {
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut *bytes)
            .map_err(|_| SignError::Text { what: "a secret key", expected: "64 hexadecimal digits, 0x before them or not" })?;
        Key::from_bytes(&bytes)
    }

    /// The address that this key signs for.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Signs a digest, deterministically (RFC 6979).
    #[must_use]
    pub fn sign(&self, digest: &Hash) -> Signature {
        let (id, compact) = CURVE.sign_ecdsa_recoverable(Message::from_digest(*digest), &self.secret).serialize_compact();
        let mut signature = Signature { r: [0; 32], s: [0; 32], v: 27 };
        signature.r.copy_from_slice(&compact[..32]);
        signature.s.copy_from_slice(&compact[32..]);
        // ids 2 and 3 need an x coordinate above the group order: nobody will ever see one
        signature.v += if matches!(id, RecoveryId::One | RecoveryId::Three) { 1 } else { 0 };
        signature
    }
}

fn address_of(key: &PublicKey) -> Address {
    let point = key.serialize_uncompressed();
    let hash = keccak(&[&point[1..]]);
    let mut address = Address::ZERO;
    address.0.copy_from_slice(&hash[12..]);
    address
}

/// A recoverable signature. Read with or without left padding (the official Python client prints none), written with 64 digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Signature {
    /// First half.
    #[serde(with = "scalar")]
    pub r: [u8; 32],
    /// Second half.
    #[serde(with = "scalar")]
    pub s: [u8; 32],
    /// 27 or 28.
    #[serde(deserialize_with = "parity")]
    pub v: u8,
}

fn parity<'de, D: Deserializer<'de>>(d: D) -> Result<u8, D::Error> {
    match u8::deserialize(d)? {
        v @ (27 | 28) => Ok(v),
        other => Err(de::Error::custom(format_args!("v is {other}; expected 27 or 28"))),
    }
}

mod scalar {
    use super::{Deserialize, Deserializer, Serializer, de, hex_lower};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], s: S) -> Result<S::Ok, S::Error> {
        let mut text = *b"0x0000000000000000000000000000000000000000000000000000000000000000";
        hex_lower(bytes, &mut text[2..]);
        s.serialize_str(std::str::from_utf8(&text).unwrap_or_default())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(d)?;
        parse(&text).ok_or_else(|| de::Error::custom("expected 0x and 1 to 64 hexadecimal digits"))
    }

    fn parse(text: &str) -> Option<[u8; 32]> {
        let digits = text.strip_prefix("0x").filter(|d| (1..=64).contains(&d.len()))?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(format!("{digits:0>64}"), &mut bytes).ok()?;
        Some(bytes)
    }
}

impl Signature {
    /// The address whose key signed `digest`.
    ///
    /// # Errors
    /// [`SignError::Recover`] if there is none.
    pub fn recover(&self, digest: &Hash) -> Result<Address, SignError> {
        let mut compact = [0; 64];
        compact[..32].copy_from_slice(&self.r);
        compact[32..].copy_from_slice(&self.s);
        let id = if self.v == 28 { RecoveryId::One } else { RecoveryId::Zero };
        RecoverableSignature::from_compact(&compact, id)
            .and_then(|signature| CURVE.recover_ecdsa(Message::from_digest(*digest), &signature))
            .map(|key| address_of(&key))
            .map_err(|_| SignError::Recover)
    }
}

/// One value of a user-signed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldValue<'a> {
    /// `string`.
    String(&'a str),
    /// `address`.
    Address(Address),
    /// `bool`.
    Bool(bool),
    /// Any unsigned integer of at most 64 bits.
    Uint(u64),
    /// `bytes`.
    Bytes(&'a [u8]),
}

impl FieldValue<'_> {
    fn word(&self) -> Hash {
        let mut word = [0; 32];
        match self {
            FieldValue::String(text) => return keccak(&[text.as_bytes()]),
            FieldValue::Bytes(bytes) => return keccak(&[bytes]),
            FieldValue::Address(address) => word[12..].copy_from_slice(&address.0),
            FieldValue::Bool(flag) => word[31] = u8::from(*flag),
            FieldValue::Uint(n) => word[24..].copy_from_slice(&n.to_be_bytes()),
        }
        word
    }
}

/// A user-signed message: what EIP-712 hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedData<'a> {
    /// `HyperliquidTransaction:UsdSend` and its like.
    pub primary_type: &'static str,
    /// The encoded type: primary type and the fields in order.
    pub encode_type: &'static str,
    /// Feeds the domain.
    pub chain_id: ChainId,
    /// In the order of the type.
    pub values: Vec<FieldValue<'a>>,
}

impl TypedData<'_> {
    /// The digest that is signed.
    #[must_use]
    pub fn digest(&self) -> Hash {
        let mut body = Vec::with_capacity(32 * (self.values.len() + 1));
        body.extend_from_slice(&keccak(&[self.encode_type.as_bytes()]));
        for value in &self.values {
            body.extend_from_slice(&value.word());
        }
        let domain = domain_separator("HyperliquidSignTransaction", "1", u256(self.chain_id.0), Address::ZERO);
        eip712_digest(&domain, &keccak(&[&body]))
    }
}

/// An integer as EIP-712 encodes it.
#[must_use]
pub(crate) fn u256(n: u64) -> Hash {
    FieldValue::Uint(n).word()
}

/// The EIP-712 domain separator of a domain with all four fields.
#[must_use]
pub(crate) fn domain_separator(name: &str, version: &str, chain_id: Hash, contract: Address) -> Hash {
    let kind = keccak(&[b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"]);
    let name = keccak(&[name.as_bytes()]);
    let version = keccak(&[version.as_bytes()]);
    keccak(&[&kind, &name, &version, &chain_id, &FieldValue::Address(contract).word()])
}

/// `keccak(0x1901 ‖ domain ‖ struct)`.
#[must_use]
pub(crate) fn eip712_digest(domain: &Hash, structure: &Hash) -> Hash {
    keccak(&[&[0x19, 0x01], domain, structure])
}

/// Everything of an L1 signature that does not change.
struct Phantom {
    domain: Hash,
    kind: Hash,
    mainnet: Hash,
    testnet: Hash,
}

static PHANTOM: LazyLock<Phantom> = LazyLock::new(|| Phantom {
    domain: domain_separator("Exchange", "1", u256(1337), Address::ZERO),
    kind: keccak(&[b"Agent(string source,bytes32 connectionId)"]),
    mainnet: keccak(&[Network::Mainnet.source().as_bytes()]),
    testnet: keccak(&[Network::Testnet.source().as_bytes()]),
});

/// The digest of an L1 action with this connection id.
#[must_use]
pub fn l1_digest(connection_id: &Hash, network: Network) -> Hash {
    let phantom = &*PHANTOM;
    let source = match network {
        Network::Mainnet => &phantom.mainnet,
        Network::Testnet => &phantom.testnet,
    };
    eip712_digest(&phantom.domain, &keccak(&[&phantom.kind, source, connection_id]))
}

/// The connection id over an action's MessagePack bytes.
#[must_use]
pub fn connection_id_of(msgpack: &[u8], nonce: u64, vault: Option<Address>, expires_after: Option<u64>) -> Hash {
    let mut hasher = Keccak256::new();
    hasher.update(msgpack);
    hasher.update(nonce.to_be_bytes());
    match vault {
        None => hasher.update([0]),
        Some(address) => {
            hasher.update([1]);
            hasher.update(address.0);
        }
    }
    if let Some(at) = expires_after {
        hasher.update([0]);
        hasher.update(at.to_be_bytes());
    }
    hasher.finalize().into()
}

/// The connection id of an L1 action.
///
/// # Errors
/// [`SignError::Encode`], which no action of this crate causes.
pub fn connection_id(action: &Action, nonce: u64, vault: Option<Address>, expires_after: Option<u64>) -> Result<Hash, SignError> {
    let mut bytes = Vec::with_capacity(256);
    msgpack(action, &mut bytes)?;
    Ok(connection_id_of(&bytes, nonce, vault, expires_after))
}

/// Appends the MessagePack bytes that are hashed: maps in field order, smallest integers.
///
/// # Errors
/// [`SignError::Encode`], which no action of this crate causes.
pub fn msgpack<T: Serialize + ?Sized>(action: &T, out: &mut Vec<u8>) -> Result<(), SignError> {
    rmp_serde::encode::write_named(out, action).map_err(|e| SignError::Encode(e.to_string()))
}

/// The digest that a signature of `action` is over, L1 or user-signed. `network` is the one of an L1 action; a user-signed one
/// names its own.
///
/// # Errors
/// If a user-signed action comes with vault or expiry.
pub fn digest(
    action: &Action,
    nonce: u64,
    vault: Option<Address>,
    expires_after: Option<u64>,
    network: Network,
) -> Result<Hash, SignError> {
    match action.typed_data() {
        Some(_) if vault.is_some() || expires_after.is_some() => Err(SignError::UserSigned),
        Some(data) => Ok(data.digest()),
        None => connection_id(action, nonce, vault, expires_after).map(|id| l1_digest(&id, network)),
    }
}

/// Signs an action of either kind.
///
/// # Errors
/// If a user-signed action comes with vault or expiry.
pub fn sign(
    key: &Key,
    action: Action,
    nonce: u64,
    vault: Option<Address>,
    expires_after: Option<u64>,
    network: Network,
) -> Result<Signed, SignError> {
    let signature = key.sign(&digest(&action, nonce, vault, expires_after, network)?);
    Ok(Signed { action, nonce, signature, vault_address: vault, expires_after })
}

impl Signed {
    /// Who signed this, if it was signed for `network`. A wrong network gives a stranger's address, not an error.
    ///
    /// # Errors
    /// If the signature is nobody's, or a user-signed action comes with vault or expiry.
    pub fn signer(&self, network: Network) -> Result<Address, SignError> {
        let digest = digest(&self.action, self.nonce, self.vault_address, self.expires_after, network)?;
        self.signature.recover(&digest)
    }

    /// The candidates for the signer: an L1 action under both phantom sources (clients differ in which they use against a
    /// paper venue), a user-signed one under the network that it names.
    ///
    /// # Errors
    /// As [`Signed::signer`].
    pub fn signers(&self) -> Result<Vec<(Network, Address)>, SignError> {
        let networks = match self.action.signed_network() {
            Some(network) => vec![network],
            None => vec![Network::Testnet, Network::Mainnet],
        };
        networks.into_iter().map(|network| Ok((network, self.signer(network)?))).collect()
    }
}

/// Reusable memory of [`order_body`].
#[derive(Default)]
pub struct Scratch {
    msgpack: Vec<u8>,
    json: Vec<u8>,
}

/// Signs an L1 action and writes the body to post: the hot path. It agrees with [`sign`] followed by JSON encoding, but keeps
/// its memory and copies nothing.
///
/// # Errors
/// [`SignError::UserSigned`] for a user-signed action: those are rare and go through [`sign`].
pub fn order_body<'s>(
    key: &Key,
    action: &Action,
    nonce: u64,
    vault: Option<Address>,
    expires_after: Option<u64>,
    network: Network,
    scratch: &'s mut Scratch,
) -> Result<&'s [u8], SignError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<'a> {
        action: &'a Action,
        nonce: u64,
        signature: Signature,
        vault_address: Option<Address>,
        expires_after: Option<u64>,
    }
    if action.signed_network().is_some() {
        return Err(SignError::UserSigned);
    }
    scratch.msgpack.clear();
    msgpack(action, &mut scratch.msgpack)?;
    let id = connection_id_of(&scratch.msgpack, nonce, vault, expires_after);
    let signature = key.sign(&l1_digest(&id, network));
    scratch.json.clear();
    serde_json::to_writer(&mut scratch.json, &Body { action, nonce, signature, vault_address: vault, expires_after })
        .map_err(|e| SignError::Encode(e.to_string()))?;
    Ok(&scratch.json)
}

#[cfg(test)]
mod tests;
