use std::fmt;

use domain::{Entry, Epoch, Stamped};

/// A blake3 hash in the chain.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hash(pub [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The end of a chain: two journals with the same head hold the same records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Sequence number of the last record; 0 in an empty journal.
    pub seq: u64,
    /// Its hash; of an empty journal, the hash of its identity.
    pub hash: Hash,
}

/// One row of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Position, from 1 without gaps.
    pub seq: u64,
    /// The tenure that wrote it.
    pub epoch: Epoch,
    /// Hash over the previous hash, the position, the tenure and the payload.
    pub hash: Hash,
    /// The stamped entry as JSON, byte for byte as it was hashed.
    pub payload: String,
}

impl Record {
    /// The entry.
    ///
    /// # Errors
    /// If the payload is not a stamped entry of this version.
    pub fn decode(&self) -> Result<Stamped, serde_json::Error> {
        serde_json::from_str(&self.payload)
    }
}

/// One line of a dump: `seq epoch hash payload`. Two journals are the same if their dumps are the same bytes (I38).
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.seq, self.epoch.0, self.hash, self.payload)
    }
}

/// The hash of a record on top of `previous`.
pub(crate) fn chain(previous: Hash, seq: u64, epoch: Epoch, payload: &str) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&previous.0);
    hasher.update(&seq.to_be_bytes());
    hasher.update(&epoch.0.to_be_bytes());
    hasher.update(payload.as_bytes());
    Hash(*hasher.finalize().as_bytes())
}

/// What the schema keeps unique about an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unique {
    /// The client key of an intent (I02).
    pub(crate) key: Option<String>,
    /// The trade id of a fill (I17): venue, order, trade. The trade comes last, as it is the one free text.
    pub(crate) trade: Option<String>,
}

impl Unique {
    pub(crate) fn of(entry: &Entry) -> Unique {
        if let Entry::Intent { intent, .. } = entry {
            return Unique { key: Some(intent.key.to_string()), trade: None };
        }
        if let Entry::Fill(fill) = entry {
            let id = &fill.id;
            let order = match &id.order {
                domain::VenueOrderId::Number(n) => format!("#{n}"),
                domain::VenueOrderId::Text(t) => format!("{:?}", t),
            };
            return Unique { key: None, trade: Some(format!("{} {order} {}", id.venue, id.trade)) };
        }
        Unique::default()
    }
}
