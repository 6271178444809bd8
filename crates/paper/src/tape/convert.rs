//! From a raw capture to a tape.

use std::io::{BufRead, Read, Write};

use domain::{Side, plain_decimal};
use flate2::bufread::GzDecoder;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Deserialize;

use super::{Change, Event, Frame, Header, Print, Tape, TapeBook, TapeError};

/// Longest accepted line of a capture: a snapshot of 1,000 levels a side takes about 50 kB.
const LINE_MAX: u64 = 4 * 1024 * 1024;

/// How to convert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// Price grid of the tape, in quote currency: bids are floored to it, asks raised to it, trades by the aggressor's side.
    pub tick: Decimal,
    /// Quantity grid of the tape, in base units, rounded down.
    pub lot: Decimal,
    /// Levels farther than this from the mid are left out, basis points.
    pub band_bps: u32,
    /// Book changes are gathered over this long, milliseconds, above zero.
    pub step_ms: u32,
}

impl Default for Conversion {
    /// Hyperliquid's BTC grid at five-digit prices: whole dollars, 10⁻⁵ BTC; ±30 bps every 100 ms.
    fn default() -> Conversion {
        Conversion { tick: Decimal::ONE, lot: Decimal::new(1, 5), band_bps: 30, step_ms: 100 }
    }
}

/// What a conversion read, wrote and lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Lines read.
    pub lines: u64,
    /// Lines that carried nothing a tape keeps (best-quote streams, which the book repeats).
    pub skipped: u64,
    /// Book updates applied.
    pub updates: u64,
    /// Trades kept.
    pub trades: u64,
    /// Trades dropped: before the first book, or of nothing on the tape's lot grid.
    pub trades_dropped: u64,
    /// Levels removed because an update left the source book crossed.
    pub uncrossed: u64,
    /// Level changes written.
    pub changes: u64,
    /// Duration of the tape.
    pub duration_ms: u64,
}

/// Why a capture could not be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// The capture could not be read.
    #[error("the capture could not be read")]
    Io(#[from] std::io::Error),
    /// A line is not what captures hold.
    #[error("line {line} of the capture: {what}")]
    Line {
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The capture has no book, or nothing after it.
    #[error("the capture holds no book followed by anything else")]
    Empty,
    /// The tape could not be written or is not sound.
    #[error(transparent)]
    Tape(#[from] TapeError),
}

/// Converts `capture` (plain text or gzip; each line a receive time in nanoseconds, a space, and one JSON message of
/// Binance's futures streams or Hyperliquid's) and writes the tape to `output`.
///
/// # Errors
/// If a line is malformed, the book sequence has a gap, nothing remains, or `output` refuses.
pub fn convert(capture: impl BufRead, output: impl Write, how: &Conversion) -> Result<Report, ConvertError> {
    let (tape, report) = build(capture, how)?;
    tape.write(output)?;
    Ok(report)
}

fn build(mut capture: impl BufRead, how: &Conversion) -> Result<(Tape, Report), ConvertError> {
    if how.tick <= Decimal::ZERO || how.lot <= Decimal::ZERO || how.step_ms == 0 {
        return Err(TapeError::Header("tick, lot and step_ms must be above zero".into()).into());
    }
    let gzip = capture.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    if gzip { Builder::new(how).run(std::io::BufReader::new(GzDecoder::new(capture))) } else { Builder::new(how).run(capture) }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Stream { data: Stream },
    Channel(Channel),
    Snapshot(Snapshot),
}

#[derive(Deserialize)]
#[serde(tag = "e")]
enum Stream {
    #[serde(rename = "depthUpdate")]
    Depth {
        #[serde(rename = "T")]
        time: u64,
        #[serde(rename = "u")]
        last: u64,
        #[serde(rename = "pu")]
        before: u64,
        #[serde(rename = "b")]
        bids: Vec<(String, String)>,
        #[serde(rename = "a")]
        asks: Vec<(String, String)>,
    },
    #[serde(rename = "trade")]
    Trade {
        #[serde(rename = "T")]
        time: u64,
        #[serde(rename = "p")]
        px: String,
        #[serde(rename = "q")]
        qty: String,
        /// Whether the buyer rested, so the aggressor sold.
        #[serde(rename = "m")]
        buyer_made: bool,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Snapshot {
    #[serde(rename = "lastUpdateId")]
    last: u64,
    #[serde(rename = "T")]
    time: u64,
    bids: Vec<(String, String)>,
    asks: Vec<(String, String)>,
}

#[derive(Deserialize)]
#[serde(tag = "channel", content = "data")]
enum Channel {
    #[serde(rename = "l2Book")]
    Book { time: u64, levels: [Vec<ChannelLevel>; 2] },
    #[serde(rename = "trades")]
    Trades(Vec<ChannelTrade>),
}

#[derive(Deserialize)]
struct ChannelLevel {
    px: String,
    sz: String,
}

#[derive(Deserialize)]
struct ChannelTrade {
    time: u64,
    side: String,
    px: String,
    sz: String,
}

/// The source's book at the source's precision.
type Sides = [std::collections::BTreeMap<Decimal, Decimal>; 2];

struct Builder<'a> {
    how: &'a Conversion,
    report: Report,
    source: &'static str,
    book: Option<(u64, Sides)>,
    start_ms: u64,
    /// End of the step being gathered.
    due_ms: u64,
    last_ms: u64,
    written: TapeBook,
    frames: Vec<Frame>,
}

impl<'a> Builder<'a> {
    fn new(how: &'a Conversion) -> Builder<'a> {
        Builder {
            how,
            report: Report::default(),
            source: "",
            book: None,
            start_ms: 0,
            due_ms: 0,
            last_ms: 0,
            written: TapeBook::default(),
            frames: Vec::new(),
        }
    }

    fn run(mut self, mut capture: impl BufRead) -> Result<(Tape, Report), ConvertError> {
        let mut text = String::new();
        loop {
            text.clear();
            if (&mut capture).take(LINE_MAX).read_line(&mut text)? == 0 {
                break;
            }
            self.report.lines += 1;
            let line = self.report.lines;
            let bad = |what: String| ConvertError::Line { line, what };
            let (_, json) =
                text.trim_end().split_once(' ').ok_or_else(|| bad("expected a time, a space and a JSON message".into()))?;
            let message: Line = serde_json::from_str(json).map_err(|e| bad(e.to_string()))?;
            self.take(message).map_err(bad)?;
        }
        if self.book.is_none() || self.last_ms <= self.start_ms {
            return Err(ConvertError::Empty);
        }
        self.flush(self.last_ms);
        let header = Header {
            source: self.source.into(),
            start_ms: self.start_ms,
            duration_ms: self.last_ms - self.start_ms,
            tick: self.how.tick,
            lot: self.how.lot,
            band_bps: self.how.band_bps,
            step_ms: self.how.step_ms,
        };
        self.report.duration_ms = header.duration_ms;
        let tape = Tape { header, frames: self.frames };
        tape.check()?;
        Ok((tape, self.report))
    }

    fn take(&mut self, message: Line) -> Result<(), String> {
        match message {
            Line::Snapshot(s) => {
                if self.book.is_none() {
                    let mut sides = Sides::default();
                    apply(&mut sides[0], pairs(&s.bids)?);
                    apply(&mut sides[1], pairs(&s.asks)?);
                    self.source = "Binance USD-M futures";
                    self.begin(s.time, s.last, sides);
                }
            }
            Line::Stream { data: Stream::Depth { time, last, before, bids, asks } } => {
                let Some((seen, _)) = &self.book else { return Ok(()) };
                if last <= *seen {
                    return Ok(());
                }
                if self.report.updates > 0 && before != *seen {
                    return Err(format!("the book sequence has a gap: update {before} follows {seen}"));
                }
                self.advance(time);
                let (bids, asks) = (pairs(&bids)?, pairs(&asks)?);
                if let Some((seen, sides)) = &mut self.book {
                    *seen = last;
                    apply(&mut sides[0], bids);
                    apply(&mut sides[1], asks);
                    self.report.uncrossed += uncross(sides);
                    self.report.updates += 1;
                }
            }
            Line::Stream { data: Stream::Trade { time, px, qty, buyer_made } } => {
                let side = if buyer_made { Side::Sell } else { Side::Buy };
                self.trade(time, side, number(&px)?, number(&qty)?);
            }
            Line::Stream { data: Stream::Other } => self.report.skipped += 1,
            Line::Channel(Channel::Book { time, levels }) => {
                let mut sides = Sides::default();
                for (side, levels) in sides.iter_mut().zip(levels) {
                    for l in levels {
                        side.insert(number(&l.px)?, number(&l.sz)?);
                    }
                }
                if self.book.is_none() {
                    self.source = "Hyperliquid";
                    self.begin(time, 0, sides);
                } else {
                    self.advance(time);
                    self.book = Some((0, sides));
                    self.report.updates += 1;
                }
            }
            Line::Channel(Channel::Trades(trades)) => {
                for t in trades {
                    let side = if t.side == "B" { Side::Buy } else { Side::Sell };
                    self.trade(t.time, side, number(&t.px)?, number(&t.sz)?);
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, time: u64, last: u64, sides: Sides) {
        self.start_ms = time;
        self.last_ms = time;
        self.due_ms = time;
        self.book = Some((last, sides));
        self.flush(time);
        self.due_ms = time + u64::from(self.how.step_ms);
    }

    /// Writes the book for every step that ended before `time`.
    fn advance(&mut self, time: u64) {
        if time >= self.due_ms {
            self.flush(self.due_ms);
            let step = u64::from(self.how.step_ms);
            self.due_ms += (time - self.due_ms) / step * step + step;
        }
        self.last_ms = self.last_ms.max(time);
    }

    fn trade(&mut self, time: u64, side: Side, px: Decimal, qty: Decimal) {
        let qty = steps(qty, self.how.lot, RoundingStrategy::ToZero);
        if self.book.is_none() || time < self.start_ms || qty <= 0 {
            self.report.trades_dropped += 1;
            return;
        }
        self.advance(time);
        let px = steps(px, self.how.tick, towards(side.flip()));
        let print = Print { side, px, qty };
        self.report.trades += 1;
        // a message that came late keeps its place in the order, never its earlier time
        let at_ms = (time.max(self.last_ms) - self.start_ms).max(self.frames.last().map_or(0, |f| f.at_ms));
        match self.frames.last_mut() {
            Some(Frame { at_ms: last, event: Event::Trades(prints) }) if *last == at_ms => prints.push(print),
            _ => self.frames.push(Frame { at_ms, event: Event::Trades(vec![print]) }),
        }
    }

    fn flush(&mut self, time: u64) {
        let Some((_, sides)) = &self.book else { return };
        let now = regrid(sides, self.how);
        let changes = self.written.changes_to(&now);
        if changes.is_empty() {
            return;
        }
        self.report.changes += changes.len() as u64;
        self.written = now;
        let at_ms = (time - self.start_ms).max(self.frames.last().map_or(0, |f| f.at_ms));
        self.frames.push(Frame { at_ms, event: Event::Book(changes) });
    }
}

/// Bids are floored and asks raised, so that re-gridding never crosses a book.
fn towards(book_side: Side) -> RoundingStrategy {
    match book_side {
        Side::Buy => RoundingStrategy::ToNegativeInfinity,
        Side::Sell => RoundingStrategy::ToPositiveInfinity,
    }
}

fn steps(value: Decimal, step: Decimal, rounding: RoundingStrategy) -> i64 {
    let whole = value.checked_div(step).map(|v| v.round_dp_with_strategy(0, rounding));
    whole.and_then(|v| i64::try_from(v).ok()).unwrap_or(0).clamp(0, super::UNITS_MAX)
}

/// The part of the source's book that a tape keeps, on the tape's grid.
fn regrid(sides: &Sides, how: &Conversion) -> TapeBook {
    let mut out = TapeBook::default();
    let (Some((bid, _)), Some((ask, _))) = (sides[0].last_key_value(), sides[1].first_key_value()) else { return out };
    let mid = (bid + ask) / Decimal::TWO;
    let band = mid * Decimal::new(i64::from(how.band_bps), 4);
    for (side, levels) in [(Side::Buy, sides[0].range(mid - band..)), (Side::Sell, sides[1].range(..=mid + band))] {
        let mut gathered: std::collections::BTreeMap<i64, Decimal> = std::collections::BTreeMap::new();
        for (px, qty) in levels {
            *gathered.entry(steps(*px, how.tick, towards(side))).or_default() += qty;
        }
        out.apply(
            &gathered
                .into_iter()
                .map(|(px, qty)| Change { side, px, qty: steps(qty, how.lot, RoundingStrategy::ToZero) })
                .collect::<Vec<_>>(),
        );
    }
    out
}

fn apply(side: &mut std::collections::BTreeMap<Decimal, Decimal>, levels: Vec<(Decimal, Decimal)>) {
    for (px, qty) in levels {
        if qty.is_zero() {
            side.remove(&px);
        } else {
            side.insert(px, qty);
        }
    }
}

/// Removes the smaller of the two best levels until the book no longer crosses; counts the levels removed.
fn uncross(sides: &mut Sides) -> u64 {
    let mut removed = 0;
    while let (Some((bid, bid_qty)), Some((ask, ask_qty))) = (sides[0].last_key_value(), sides[1].first_key_value()) {
        if bid < ask {
            break;
        }
        let (bid, ask, bids_go) = (*bid, *ask, bid_qty < ask_qty);
        if bids_go {
            sides[0].remove(&bid);
        } else {
            sides[1].remove(&ask);
        }
        removed += 1;
    }
    removed
}

fn number(text: &str) -> Result<Decimal, String> {
    plain_decimal(text).ok_or_else(|| format!("{text:?} is not a plain decimal"))
}

fn pairs(levels: &[(String, String)]) -> Result<Vec<(Decimal, Decimal)>, String> {
    levels.iter().map(|(px, qty)| Ok((number(px)?, number(qty)?))).collect()
}
