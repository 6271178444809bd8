//! The one-pass scanner of book frames, and its reference.
//!
//! Book frames are nearly all of the traffic and have one shape, so they are read straight into fixed point, without text, trees
//! or decimals in between. The scanner knows that one shape, key by key, and gives up on anything else, be it a space; then
//! serde reads the frame. What it does read is what serde would have read, which a fuzz test holds it to.

use rust_decimal::Decimal;

use super::super::info::{L2Book, L2Level};
use super::super::{Malformed, Num};
use super::ServerFrame;

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

impl FixedLevel {
    /// The price as a decimal.
    #[must_use]
    pub fn px_decimal(self) -> Decimal {
        Decimal::new(self.px, FIXED_DECIMALS)
    }

    /// The size as a decimal.
    #[must_use]
    pub fn sz_decimal(self) -> Decimal {
        Decimal::new(self.sz, FIXED_DECIMALS)
    }
}

/// A book snapshot in fixed point. Reuse one: a scan allocates nothing once its memory has grown.
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

impl TryFrom<&L2Book> for FixedBook {
    type Error = Malformed;

    /// # Errors
    /// If a number has more than 8 decimals or leaves the range.
    fn try_from(book: &L2Book) -> Result<FixedBook, Malformed> {
        let side = |levels: &[L2Level]| levels.iter().map(level).collect::<Result<Vec<_>, _>>();
        Ok(FixedBook { coin: book.coin.clone(), time: book.time, bids: side(&book.levels[0])?, asks: side(&book.levels[1])? })
    }
}

fn level(level: &L2Level) -> Result<FixedLevel, Malformed> {
    Ok(FixedLevel { px: fixed(level.px)?, sz: fixed(level.sz)?, n: level.n })
}

fn fixed(num: Num) -> Result<i64, Malformed> {
    let value = num.get();
    // taking zeros off costs more than the rest of a level
    let value = if value.scale() > FIXED_DECIMALS { value.normalize() } else { value };
    FIXED_DECIMALS
        .checked_sub(value.scale())
        .and_then(|zeros| value.mantissa().checked_mul(10_i128.pow(zeros)))
        .and_then(|units| i64::try_from(units).ok())
        .ok_or_else(|| Malformed::new("l2Book", format_args!("{num}: more than 8 decimals, or too large")))
}

/// Reads a book frame by serde: the reference of [`scan_l2_book`], and what to do when it gives up.
///
/// # Errors
/// If the frame is no book, is malformed, or a number does not fit.
pub fn book_via_serde(frame: &str) -> Result<FixedBook, Malformed> {
    let frame = ServerFrame::decode(frame)?;
    let ServerFrame::L2Book(book) = &frame else {
        return Err(Malformed::new("l2Book", format_args!("a frame of channel {:?}", frame.channel())));
    };
    FixedBook::try_from(book)
}

/// Scans a book frame into `book` in one pass. `None`: not the one shape that it knows, read the frame by serde; `book` then
/// holds nothing of meaning.
#[must_use]
pub fn scan_l2_book<'b>(frame: &[u8], book: &'b mut FixedBook) -> Option<&'b FixedBook> {
    let mut at = Cursor { rest: frame };
    at.eat(br#"{"channel":"l2Book","data":{"coin":""#)?;
    book.coin.clear();
    book.coin.push_str(at.plain_text()?);
    at.eat(br#","time":"#)?;
    book.time = at.integer()?;
    at.eat(br#","levels":[["#)?;
    at.side(&mut book.bids)?;
    at.eat(b",[")?;
    at.side(&mut book.asks)?;
    at.eat(b"]")?;
    if at.eat(br#","spread":""#).is_some() {
        at.fixed()?;
    }
    if at.eat(br#","fast":"#).is_some() {
        at.eat(b"true").or_else(|| at.eat(b"false"))?;
    }
    at.eat(b"}}")?;
    at.rest.is_empty().then_some(book)
}

/// Ten digits before the point and eight after it: the product with 10⁸ stays inside 64 bits.
const WHOLE_DIGITS_MAX: usize = 10;

const SCALE: [u64; 9] = [100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];

struct Cursor<'f> {
    rest: &'f [u8],
}

impl<'f> Cursor<'f> {
    fn eat<const N: usize>(&mut self, literal: &[u8; N]) -> Option<()> {
        let (head, tail) = self.rest.split_first_chunk::<N>()?;
        (head == literal).then(|| self.rest = tail)
    }

    /// Text up to its closing quote: printable ASCII without escapes, nothing that would have to be decoded.
    fn plain_text(&mut self) -> Option<&'f str> {
        let end = self.rest.iter().position(|b| *b == b'"')?;
        let (text, tail) = self.rest.split_at(end);
        if !text.iter().all(|b| (b' '..=b'~').contains(b) && *b != b'\\') {
            return None;
        }
        self.rest = &tail[1..];
        std::str::from_utf8(text).ok()
    }

    /// At most `max` digits from the front.
    fn digits(&mut self, max: usize) -> (u64, usize) {
        let mut value = 0_u64;
        let mut len = 0;
        for byte in self.rest.iter().take(max) {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
            len += 1;
        }
        self.rest = &self.rest[len..];
        (value, len)
    }

    /// A JSON integer of at most 18 digits.
    fn integer(&mut self) -> Option<u64> {
        let leading_zero = self.rest.first() == Some(&b'0');
        let (value, len) = self.digits(18);
        (len == 1 || (len > 1 && !leading_zero)).then_some(value)
    }

    /// A plain decimal up to its closing quote, times 10⁸.
    fn fixed(&mut self) -> Option<i64> {
        let (whole, whole_len) = self.digits(WHOLE_DIGITS_MAX);
        if whole_len == 0 {
            return None;
        }
        let mut units = whole.wrapping_mul(SCALE[0]);
        if self.eat(b".").is_some() {
            let (fraction, len) = self.digits(FIXED_DECIMALS as usize);
            if len == 0 {
                return None;
            }
            units = units.wrapping_add(fraction.wrapping_mul(SCALE[len]));
        }
        self.eat(b"\"")?;
        i64::try_from(units).ok()
    }

    /// The levels of one side and the bracket after them.
    fn side(&mut self, levels: &mut Vec<FixedLevel>) -> Option<()> {
        levels.clear();
        if self.eat(b"]").is_some() {
            return Some(());
        }
        while levels.len() < LEVELS_MAX {
            self.eat(br#"{"px":""#)?;
            let px = self.fixed()?;
            self.eat(br#","sz":""#)?;
            let sz = self.fixed()?;
            self.eat(br#","n":"#)?;
            let n = u32::try_from(self.integer()?).ok()?;
            if px == 0 {
                return None;
            }
            levels.push(FixedLevel { px, sz, n });
            let (next, tail) = self.rest.split_first_chunk::<2>()?;
            self.rest = tail;
            match next {
                b"}," => {}
                b"}]" => return Some(()),
                _ => return None,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
