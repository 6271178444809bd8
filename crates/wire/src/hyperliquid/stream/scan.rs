use domain::plain_decimal;
use rust_decimal::Decimal;

use super::super::Num;
use super::super::info::L2Book;

/// Decimals of the fixed-point numbers: what an action can carry, so what a book can hold.
pub const FIXED_DECIMALS: u32 = 8;

/// Most levels per side that the scanner takes; the venue sends at most 20.
pub const LEVELS_MAX: usize = 64;

/// One level, in units of 10⁻⁸.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FixedLevel {
    /// Price · 10⁸.
    pub px: i64,
    /// Size · 10⁸.
    pub sz: i64,
    /// Number of orders.
    pub n: u32,
}

/// A book snapshot in fixed point. Reuse one: a scan allocates nothing once the vectors have grown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FixedBook {
    /// Which coin.
    pub coin: String,
    /// Venue time, milliseconds.
    pub time: u64,
    /// Best first.
    pub bids: Vec<FixedLevel>,
    /// Best first.
    pub asks: Vec<FixedLevel>,
}

/// Scans (skeleton).
#[must_use]
pub fn scan_l2_book(frame: &[u8], book: &mut FixedBook) -> bool {
    let _ = (frame, book);
    false
}

/// The same by serde: the reference, and the fallback.
#[must_use]
pub fn book_via_serde(book: &L2Book) -> Option<FixedBook> {
    let _ = (book, Num(Decimal::ZERO), plain_decimal("0"));
    None
}
