//! Entries for tests, of this crate and of its integration tests.
#![allow(dead_code, clippy::unwrap_used, reason = "each user takes what it needs; a test may fail")]

use domain::{
    Basis, Child, ChildNo, ClientKey, Entry, Epoch, Expiry, Fill, InstrumentId, Intent, JournalTag, LiquidityRole, Lots,
    ParentId, Px, Qty, Side, Stamp, Stamped, Tif, TradeId, Usd, Venue, VenueOrderId,
};

/// A directory of its own, in memory where there is such a place: these tests open thousands of journals, and what they prove does
/// not depend on the disk.
pub fn scratch() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.or_else(|_| tempfile::tempdir()).unwrap()
}

/// A moment `n` seconds into the journal.
pub fn at(n: u64) -> Stamp {
    Stamp { mono: n * 1_000_000_000, wall_ms: 1_700_000_000_000 + n * 1_000 }
}

/// The market of all tests.
pub fn btc() -> InstrumentId {
    InstrumentId::new(Venue::Hyperliquid, "BTC").unwrap()
}

/// The key of child `no` of parent 1.
pub fn key(tag: JournalTag, epoch: Epoch, no: u32) -> ClientKey {
    ClientKey::derive(tag, epoch, ParentId(1), ChildNo(no))
}

/// An intent to buy 2 lots.
pub fn intent(n: u64, key: ClientKey) -> Stamped {
    let child = Child {
        parent: key.parent(),
        no: key.child(),
        instrument: btc(),
        side: Side::Buy,
        qty: Qty(2),
        px: Px(971_230),
        tif: Tif::PostOnly,
        reduce_only: false,
    };
    let stamp = at(n);
    let intent = Intent { key, child, nonce: stamp.wall_ms, expiry: Expiry::AtMs(stamp.wall_ms + 10_000) };
    let basis = Basis {
        limits: 7,
        config: 0,
        reference: Px(971_235),
        book_age_ms: 12,
        equity: Usd::whole(10_000),
        position: Lots::ZERO,
        worst: (Lots(2), Lots::ZERO),
        cover: None,
    };
    Stamped { at: stamp, entry: Entry::Intent { intent, basis, mid_x2: Some(1_942_470) } }
}

/// A fill of 1 lot in trade `trade`.
pub fn fill(n: u64, trade: u64, key: Option<ClientKey>) -> Stamped {
    let fill = Fill {
        id: TradeId { venue: Venue::Hyperliquid, trade: trade.to_string(), order: VenueOrderId::Number(77) },
        key,
        instrument: btc(),
        side: Side::Buy,
        px: Px(971_230),
        qty: Qty(1),
        fee: Usd::whole(0),
        role: LiquidityRole::Maker,
        forced: false,
        position_before: None,
        venue_ms: at(n).wall_ms,
    };
    Stamped { at: at(n), entry: Entry::Fill(fill) }
}

/// An entry without consequences.
pub fn note(n: u64, why: &str) -> Stamped {
    Stamped { at: at(n), entry: Entry::Frozen { instrument: btc(), why: why.to_owned() } }
}
