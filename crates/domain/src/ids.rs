use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A trading venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Venue {
    /// Hyperliquid (HyperCore).
    Hyperliquid,
    /// dYdX v4 (dYdX Chain).
    Dydx,
}

impl Venue {
    /// The name used in configuration, journal and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Venue::Hyperliquid => "hyperliquid",
            Venue::Dydx => "dydx",
        }
    }
}

impl fmt::Display for Venue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

const NAME_BYTES: usize = 22;

/// A perpetual at a venue, written `hyperliquid:BTC` or `dydx:BTC-USD`. Matched exactly: no case folding, no trimming.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstrumentId {
    venue: Venue,
    len: u8,
    name: [u8; NAME_BYTES],
}

/// Why a text is not an instrument.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not an instrument: expected VENUE:NAME such as hyperliquid:BTC, the name 1 to 22 printable ASCII characters"
)]
pub struct BadInstrument {
    text: String,
}

impl InstrumentId {
    /// The instrument `name` of `venue`, with the venue's own spelling.
    ///
    /// # Errors
    /// If `name` is empty, longer than 22 bytes or not printable ASCII without spaces.
    pub fn new(venue: Venue, name: &str) -> Result<InstrumentId, BadInstrument> {
        let bytes = name.as_bytes();
        let printable = bytes.iter().all(u8::is_ascii_graphic);
        match (bytes.len(), u8::try_from(bytes.len())) {
            (1..=NAME_BYTES, Ok(len)) if printable => {
                let mut fixed = [0; NAME_BYTES];
                fixed[..bytes.len()].copy_from_slice(bytes);
                Ok(InstrumentId { venue, len, name: fixed })
            }
            _ => Err(BadInstrument { text: format!("{venue}:{name}") }),
        }
    }

    /// The venue.
    #[must_use]
    pub const fn venue(&self) -> Venue {
        self.venue
    }

    /// The venue's own name for it.
    #[must_use]
    pub fn name(&self) -> &str {
        std::str::from_utf8(&self.name[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl fmt::Display for InstrumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.venue, self.name())
    }
}

impl fmt::Debug for InstrumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for InstrumentId {
    type Err = BadInstrument;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadInstrument { text: text.to_owned() };
        let (venue, name) = text.split_once(':').ok_or_else(bad)?;
        let venue = match venue {
            "hyperliquid" => Venue::Hyperliquid,
            "dydx" => Venue::Dydx,
            _ => return Err(bad()),
        };
        InstrumentId::new(venue, name)
    }
}

impl Serialize for InstrumentId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InstrumentId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A parent order, numbered from 1 within one journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ParentId(pub u32);

impl fmt::Display for ParentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P{}", self.0)
    }
}

impl FromStr for ParentId {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix('P').unwrap_or(text).parse().map(ParentId)
    }
}

/// The n-th child of a parent, from 1, never reused within the parent's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChildNo(pub u32);

/// One tenure of a daemon over a journal. It grows by one at each start and each take-over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u32);

/// Marks every client key of one journal, so that our own orders can be told from foreign ones at the venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JournalTag(pub u32);

/// The client's name of an order: a pure function of (journal, epoch, parent, child). Used once in all of history (I02).
///
/// 128 bits, most significant first: journal tag 32, epoch 32, parent 32, child 32. Hyperliquid takes it whole as the
/// `cloid`; dYdX's 32-bit `client_id` is looked up from it by the connector.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientKey(u128);

impl ClientKey {
    /// The key of child `child` of `parent`, issued in `epoch` of the journal marked `tag`.
    #[must_use]
    pub fn derive(tag: JournalTag, epoch: Epoch, parent: ParentId, child: ChildNo) -> ClientKey {
        ClientKey(u128::from(tag.0) << 96 | u128::from(epoch.0) << 64 | u128::from(parent.0) << 32 | u128::from(child.0))
    }

    /// The key with these 128 bits, as read back from a venue.
    #[must_use]
    pub const fn from_bits(bits: u128) -> ClientKey {
        ClientKey(bits)
    }

    /// All 128 bits.
    #[must_use]
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// Which journal issued it.
    #[must_use]
    pub const fn tag(self) -> JournalTag {
        JournalTag((self.0 >> 96) as u32)
    }

    /// In which epoch.
    #[must_use]
    pub const fn epoch(self) -> Epoch {
        Epoch((self.0 >> 64) as u32)
    }

    /// For which parent.
    #[must_use]
    pub const fn parent(self) -> ParentId {
        ParentId((self.0 >> 32) as u32)
    }

    /// For which of its children.
    #[must_use]
    pub const fn child(self) -> ChildNo {
        ChildNo(self.0 as u32)
    }
}

impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:032x}", self.0)
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a client key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a client key: expected 0x and 32 hexadecimal digits")]
pub struct BadClientKey(String);

impl FromStr for ClientKey {
    type Err = BadClientKey;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadClientKey(text.to_owned());
        let digits = text.strip_prefix("0x").ok_or_else(bad)?;
        if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad());
        }
        u128::from_str_radix(digits, 16).map(ClientKey).map_err(|_| bad())
    }
}

impl Serialize for ClientKey {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ClientKey {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// The venue's name of an order: Hyperliquid's `oid`; dYdX derives a UUID, kept as text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum VenueOrderId {
    /// A number, as Hyperliquid gives it.
    Number(u64),
    /// A text, as dYdX's indexer gives it.
    Text(String),
}

impl fmt::Display for VenueOrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VenueOrderId::Number(n) => write!(f, "{n}"),
            VenueOrderId::Text(t) => f.write_str(t),
        }
    }
}

/// One side of one trade at a venue: the key under which a fill is booked exactly once (I17).
///
/// Buyer and seller share Hyperliquid's `tid`, so our order's id is part of the key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TradeId {
    /// The venue.
    pub venue: Venue,
    /// The venue's id of the trade, as text.
    pub trade: String,
    /// Our order in it.
    pub order: VenueOrderId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_key_round_trips_and_splits() {
        let key = ClientKey::derive(JournalTag(0xdead_beef), Epoch(3), ParentId(7), ChildNo(42));
        assert_eq!(key.to_string(), "0xdeadbeef00000003000000070000002a");
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!(
            (key.tag(), key.epoch(), key.parent(), key.child()),
            (JournalTag(0xdead_beef), Epoch(3), ParentId(7), ChildNo(42))
        );
        assert!("0x1".parse::<ClientKey>().is_err());
        assert!("0x+eadbeef00000003000000070000002a".parse::<ClientKey>().is_err());
    }

    #[test]
    fn instruments_match_exactly() {
        let btc: InstrumentId = "hyperliquid:BTC".parse().unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(btc.to_string(), "hyperliquid:BTC");
        assert_eq!(InstrumentId::new(Venue::Hyperliquid, "xyz:NVDA").map(|i| i.to_string()), Ok("hyperliquid:xyz:NVDA".into()));
        for bad in ["BTC", "hyperliquid:", "hyperliquid:BTC ", "binance:BTC", "hyperliquid:ВTC"] {
            assert!(bad.parse::<InstrumentId>().is_err(), "{bad}");
        }
    }
}
