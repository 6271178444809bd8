//! A recorded market in our own compact form.
//!
//! A tape is gzip over: the line `plimsoll tape 1`, one line of JSON ([`Header`]), then frames. A frame is the milliseconds
//! since the frame before (varint), a kind (0 book changes, 1 trades, 2 end), and the items. Prices are whole
//! multiples of the header's `tick`, coded as differences from the price before; quantities whole multiples of its `lot`.
//! The first frame of changes is the whole book. The end frame carries the number of frames, so a cut tape is noticed.
//!
//! [`convert()`] makes a tape from a raw capture and says what was lost; [`Player`] plays one in a loop.

mod convert;
mod play;

use std::io::{BufRead, BufReader, Read, Write};

use domain::Side;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

pub use convert::{Conversion, ConvertError, Report, convert};
pub use play::{Beat, Player, Regrid, TapeBook};

const MAGIC: &str = "plimsoll tape 1";
/// Largest tape in memory: a day of changes at ten a second, fifty levels each.
const FRAMES_MAX: usize = 4_000_000;
/// Most changes or trades in one frame: both sides of a whole book.
const ITEMS_MAX: u64 = 100_000;
/// Longest header line.
const HEADER_MAX: u64 = 64 * 1024;

/// What a tape says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The venue and symbol recorded, in the source's words.
    pub source: String,
    /// Venue time of the first frame, UTC milliseconds.
    pub start_ms: u64,
    /// From the first frame to the end.
    pub duration_ms: u64,
    /// Quote currency per price unit.
    pub tick: Decimal,
    /// Base units per quantity unit.
    pub lot: Decimal,
    /// Levels farther than this from the mid are left out, basis points.
    pub band_bps: u32,
    /// Book changes are gathered over this long.
    pub step_ms: u32,
}

/// One moment of a tape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Since the start of the tape.
    pub at_ms: u64,
    /// What happened.
    pub event: Event,
}

/// What happened at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// These levels changed; quantity 0 empties a level.
    Book(Vec<Change>),
    /// These trades printed, in this order.
    Trades(Vec<Print>),
}

/// One level's new quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which side of the book.
    pub side: Side,
    /// Price in the tape's ticks.
    pub px: i64,
    /// Quantity now resting there, in the tape's lots.
    pub qty: i64,
}

/// One trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Print {
    /// The aggressor's side.
    pub side: Side,
    /// Price in the tape's ticks.
    pub px: i64,
    /// Quantity in the tape's lots.
    pub qty: i64,
}

/// A recorded market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tape {
    /// What it says about itself.
    pub header: Header,
    /// Its moments, in order, the first one the whole book.
    pub frames: Vec<Frame>,
}

/// Why a tape could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TapeError {
    /// The file could not be read or written.
    #[error("the tape could not be read or written")]
    Io(#[from] std::io::Error),
    /// It is not a tape of this version.
    #[error("not a tape: expected the line {MAGIC:?} first, inside gzip")]
    NotATape,
    /// The header does not parse or holds impossible numbers.
    #[error("bad tape header: {0}")]
    Header(String),
    /// The frames are damaged.
    #[error("damaged tape after {frames} frames: {what}")]
    Damaged {
        /// Frames read before.
        frames: usize,
        /// What is wrong.
        what: &'static str,
    },
}

impl Tape {
    /// Reads a tape, checking that it is whole and that the book it describes never crosses.
    ///
    /// # Errors
    /// If it cannot be read, is not a tape, or is damaged.
    pub fn read(input: impl Read) -> Result<Tape, TapeError> {
        let mut input = BufReader::new(GzDecoder::new(input));
        let mut line = String::new();
        let read = (&mut input).take(HEADER_MAX).read_line(&mut line);
        if read.is_err() || line.trim_end() != MAGIC {
            return Err(TapeError::NotATape);
        }
        line.clear();
        (&mut input).take(HEADER_MAX).read_line(&mut line)?;
        let header: Header = serde_json::from_str(&line).map_err(|e| TapeError::Header(e.to_string()))?;
        if header.tick <= Decimal::ZERO || header.lot <= Decimal::ZERO || header.duration_ms == 0 {
            return Err(TapeError::Header("tick, lot and duration_ms must be above zero".into()));
        }
        let frames = read_frames(&mut input)?;
        let tape = Tape { header, frames };
        tape.check()?;
        Ok(tape)
    }

    /// Writes it.
    ///
    /// # Errors
    /// If the output refuses.
    pub fn write(&self, output: impl Write) -> Result<(), TapeError> {
        let mut out = GzEncoder::new(output, Compression::best());
        let header = serde_json::to_string(&self.header).map_err(|e| TapeError::Header(e.to_string()))?;
        writeln!(out, "{MAGIC}")?;
        writeln!(out, "{header}")?;
        out.write_all(&encode_frames(&self.frames))?;
        out.finish()?;
        Ok(())
    }

    /// The mid of the first book, in quote currency.
    #[must_use]
    pub fn first_mid(&self) -> Option<Decimal> {
        let Event::Book(changes) = &self.frames.first()?.event else { return None };
        let mut book = TapeBook::default();
        book.apply(changes);
        Some(Decimal::from(book.mid_x2()?) / Decimal::TWO * self.header.tick)
    }

    /// First and last frames are where they should be and no frame leaves a crossed book.
    fn check(&self) -> Result<(), TapeError> {
        let damaged = |frames, what| Err(TapeError::Damaged { frames, what });
        let mut book = TapeBook::default();
        let mut last = 0;
        for (n, frame) in self.frames.iter().enumerate() {
            if frame.at_ms < last || frame.at_ms > self.header.duration_ms {
                return damaged(n, "a frame lies outside the tape's duration");
            }
            last = frame.at_ms;
            match &frame.event {
                Event::Book(changes) => {
                    book.apply(changes);
                    if book.is_crossed() {
                        return damaged(n, "the book crosses");
                    }
                }
                Event::Trades(_) if n == 0 => return damaged(n, "the first frame is not a book"),
                Event::Trades(_) => {}
            }
        }
        if book.best(Side::Buy).is_none() || book.best(Side::Sell).is_none() {
            return damaged(self.frames.len(), "the book ends with an empty side");
        }
        Ok(())
    }
}

const BOOK: u8 = 0;
const TRADES: u8 = 1;
const END: u8 = 2;

fn encode_frames(frames: &[Frame]) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut at, mut last_book, mut last_trade) = (0, 0, 0);
    for frame in frames {
        put(&mut out, frame.at_ms - at);
        at = frame.at_ms;
        match &frame.event {
            Event::Book(changes) => {
                out.push(BOOK);
                put(&mut out, changes.len() as u64);
                for c in changes {
                    put_item(&mut out, c.side, c.px - last_book, c.qty);
                    last_book = c.px;
                }
            }
            Event::Trades(prints) => {
                out.push(TRADES);
                put(&mut out, prints.len() as u64);
                for p in prints {
                    put_item(&mut out, p.side, p.px - last_trade, p.qty);
                    last_trade = p.px;
                }
            }
        }
    }
    put(&mut out, 0);
    out.push(END);
    put(&mut out, frames.len() as u64);
    out
}

fn read_frames(input: &mut impl Read) -> Result<Vec<Frame>, TapeError> {
    let mut frames = Vec::new();
    let (mut at_ms, mut last_book, mut last_trade) = (0_u64, 0, 0);
    loop {
        let damaged = |what| TapeError::Damaged { frames: frames.len(), what };
        let step = take(input).ok_or_else(|| damaged("it ends early"))?;
        at_ms = at_ms.checked_add(step).ok_or_else(|| damaged("time overflows"))?;
        let kind = take_byte(input).ok_or_else(|| damaged("it ends early"))?;
        let count = take(input).ok_or_else(|| damaged("it ends early"))?;
        if kind == END {
            if count != frames.len() as u64 {
                return Err(damaged("the number of frames is not the one recorded"));
            }
            // reading to the end makes gzip compare its checksum
            if input.read(&mut [0])? != 0 {
                return Err(damaged("something follows the end"));
            }
            return Ok(frames);
        }
        if count > ITEMS_MAX || frames.len() >= FRAMES_MAX {
            return Err(damaged("it is too large"));
        }
        let event = match kind {
            BOOK => Event::Book(
                take_items(input, count, &mut last_book)
                    .ok_or_else(|| damaged("a level is cut or out of range"))?
                    .into_iter()
                    .map(|(side, px, qty)| Change { side, px, qty })
                    .collect(),
            ),
            TRADES => Event::Trades(
                take_items(input, count, &mut last_trade)
                    .ok_or_else(|| damaged("a trade is cut or out of range"))?
                    .into_iter()
                    .map(|(side, px, qty)| Print { side, px, qty })
                    .collect(),
            ),
            _ => return Err(damaged("an unknown kind of frame")),
        };
        frames.push(Frame { at_ms, event });
    }
}

/// Prices and quantities in a tape stay below this, so that converting them to a venue's grid cannot overflow.
const UNITS_MAX: i64 = 1_000_000_000_000;

fn take_items(input: &mut impl Read, count: u64, last: &mut i64) -> Option<Vec<(Side, i64, i64)>> {
    let mut items = Vec::new();
    for _ in 0..count {
        let head = take(input)?;
        let side = if head & 1 == 0 { Side::Buy } else { Side::Sell };
        let difference = unzigzag(head >> 1);
        let px = last.checked_add(difference).filter(|px| (1..=UNITS_MAX).contains(px))?;
        let qty = i64::try_from(take(input)?).ok().filter(|qty| *qty <= UNITS_MAX)?;
        *last = px;
        items.push((side, px, qty));
    }
    Some(items)
}

fn put_item(out: &mut Vec<u8>, side: Side, difference: i64, qty: i64) {
    let side = match side {
        Side::Buy => 0,
        Side::Sell => 1,
    };
    put(out, zigzag(difference) << 1 | side);
    put(out, qty.unsigned_abs());
}

fn zigzag(n: i64) -> u64 {
    (n.unsigned_abs() << 1) - u64::from(n < 0)
}

fn unzigzag(n: u64) -> i64 {
    let half = (n >> 1) as i64;
    if n & 1 == 0 { half } else { -half - 1 }
}

/// Seven bits a byte, lowest first, the top bit set on all but the last.
fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n as u8 & 0x7f) | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn take(input: &mut impl Read) -> Option<u64> {
    let mut n = 0_u64;
    for shift in (0..63).step_by(7) {
        let byte = take_byte(input)?;
        n |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

fn take_byte(input: &mut impl Read) -> Option<u8> {
    let mut byte = [0];
    input.read_exact(&mut byte).ok()?;
    Some(byte[0])
}

#[cfg(test)]
mod tests;
