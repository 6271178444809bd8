//! Playing a tape in a loop.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{Instrument, Px, Qty, Side};
use rust_decimal::{Decimal, RoundingStrategy};

use super::{Change, Event, Print, Tape};

/// The visible book of a tape, in the tape's units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TapeBook {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
}

impl TapeBook {
    /// Applies changed levels.
    pub fn apply(&mut self, changes: &[Change]) {
        for c in changes {
            let side = match c.side {
                Side::Buy => &mut self.bids,
                Side::Sell => &mut self.asks,
            };
            if c.qty == 0 {
                side.remove(&c.px);
            } else {
                side.insert(c.px, c.qty);
            }
        }
    }

    /// The best price of one side.
    #[must_use]
    pub fn best(&self, side: Side) -> Option<i64> {
        match side {
            Side::Buy => self.bids.last_key_value().map(|(px, _)| *px),
            Side::Sell => self.asks.first_key_value().map(|(px, _)| *px),
        }
    }

    /// The quantity at one level.
    #[must_use]
    pub fn qty(&self, side: Side, px: i64) -> i64 {
        let levels = match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        };
        levels.get(&px).copied().unwrap_or(0)
    }

    /// Twice the mid price.
    #[must_use]
    pub fn mid_x2(&self) -> Option<i64> {
        Some(self.best(Side::Buy)? + self.best(Side::Sell)?)
    }

    /// Whether the best bid reaches the best ask.
    #[must_use]
    pub fn is_crossed(&self) -> bool {
        matches!((self.best(Side::Buy), self.best(Side::Sell)), (Some(bid), Some(ask)) if bid >= ask)
    }

    /// Levels as (price, quantity), best first.
    pub fn levels(&self, side: Side) -> Box<dyn Iterator<Item = (i64, i64)> + '_> {
        match side {
            Side::Buy => Box::new(self.bids.iter().rev().map(|(px, qty)| (*px, *qty))),
            Side::Sell => Box::new(self.asks.iter().map(|(px, qty)| (*px, *qty))),
        }
    }

    /// The changes that turn this book into `next`, bids first, each side upwards.
    #[must_use]
    pub fn changes_to(&self, next: &TapeBook) -> Vec<Change> {
        let mut changes = Vec::new();
        for (side, old, new) in [(Side::Buy, &self.bids, &next.bids), (Side::Sell, &self.asks, &next.asks)] {
            let mut prices: Vec<i64> = old.keys().chain(new.keys()).copied().collect();
            prices.sort_unstable();
            prices.dedup();
            for px in prices {
                let qty = new.get(&px).copied().unwrap_or(0);
                if old.get(&px).copied().unwrap_or(0) != qty {
                    changes.push(Change { side, px, qty });
                }
            }
        }
        changes
    }
}

/// What one call of [`Player::advance`] found, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beat {
    /// The tape begins anew: the book is now this and nothing else.
    Restart(TapeBook),
    /// These levels changed.
    Book(Vec<Change>),
    /// These trades printed.
    Trades(Vec<Print>),
}

/// Plays a tape in a loop.
///
/// Every second pass is mirrored about the seam: a price `p` plays as `first + last − p` and sides are swapped, so that the pass
/// starts where the one before ended and walks back. The price is continuous over every seam and bounded for ever; a
/// plain restart would jump by the tape's whole drift each time. At a seam the book is replaced as a whole.
#[derive(Clone, Debug)]
pub struct Player {
    tape: Arc<Tape>,
    /// Next frame of the running pass.
    next: usize,
    pass: u64,
    /// Milliseconds of tape played in all passes.
    played_ms: u64,
    /// Sum of the mids at start and end, which mirroring reflects about.
    reflection: i64,
}

impl Player {
    /// A player at the start of `tape`; the first [`Player::advance`] restarts the book.
    #[must_use]
    pub fn new(tape: Arc<Tape>) -> Player {
        let mut book = TapeBook::default();
        let mut first = 0;
        for frame in &tape.frames {
            if let Event::Book(changes) = &frame.event {
                book.apply(changes);
                if first == 0 {
                    first = book.mid_x2().unwrap_or(0);
                }
            }
        }
        let last = book.mid_x2().unwrap_or(first);
        Player { tape, next: 0, pass: 0, played_ms: 0, reflection: (first + last) / 2 }
    }

    /// Which pass is running, from 0.
    #[must_use]
    pub fn pass(&self) -> u64 {
        self.pass
    }

    /// Plays up to `until_ms` of tape time, counted over all passes, appending what happened to `out`.
    ///
    /// At most one seam is passed per call, so a caller that slept for hours gets the present book, not hours of trades.
    pub fn advance(&mut self, until_ms: u64, out: &mut Vec<Beat>) {
        let length = self.tape.header.duration_ms;
        let pass = until_ms / length;
        if pass > self.pass {
            if pass == self.pass + 1 {
                self.emit_until(length, out);
            }
            self.pass = pass;
            self.next = 0;
        }
        self.emit_until(until_ms - self.pass * length, out);
        self.played_ms = until_ms;
    }

    fn emit_until(&mut self, offset_ms: u64, out: &mut Vec<Beat>) {
        let tape = Arc::clone(&self.tape);
        while let Some(frame) = tape.frames.get(self.next).filter(|f| f.at_ms <= offset_ms) {
            match &frame.event {
                Event::Book(changes) => {
                    let changes: Vec<Change> = changes.iter().map(|c| self.reflect(*c)).collect();
                    if self.next == 0 {
                        let mut book = TapeBook::default();
                        book.apply(&changes);
                        out.push(Beat::Restart(book));
                    } else {
                        out.push(Beat::Book(changes));
                    }
                }
                Event::Trades(prints) => {
                    let prints = prints.iter().map(|p| {
                        let c = self.reflect(Change { side: p.side, px: p.px, qty: p.qty });
                        Print { side: c.side, px: c.px, qty: c.qty }
                    });
                    out.push(Beat::Trades(prints.collect()));
                }
            }
            self.next += 1;
        }
    }

    fn reflect(&self, change: Change) -> Change {
        if self.pass.is_multiple_of(2) {
            return change;
        }
        Change { side: change.side.flip(), px: self.reflection - change.px, qty: change.qty }
    }
}

/// Carries a tape's units onto a venue's grid: bids floored, asks raised, quantities rounded down.
#[derive(Clone, Debug)]
pub struct Regrid {
    px_num: Decimal,
    qty_num: Decimal,
}

impl Regrid {
    /// From the units of `tape` to those of `instrument`.
    #[must_use]
    pub fn new(tape: &Tape, instrument: &Instrument) -> Regrid {
        let ratio = |a: Decimal, b: Decimal| a.checked_div(b).unwrap_or(Decimal::ONE);
        Regrid { px_num: ratio(tape.header.tick, instrument.tick), qty_num: ratio(tape.header.lot, instrument.lot) }
    }

    /// The price of a resting level of `book_side`, on a price the venue allows.
    #[must_use]
    pub fn px(&self, instrument: &Instrument, px: i64, book_side: Side) -> Px {
        let (rounding, exact) = (
            match book_side {
                Side::Buy => RoundingStrategy::ToNegativeInfinity,
                Side::Sell => RoundingStrategy::ToPositiveInfinity,
            },
            Decimal::from(px).checked_mul(self.px_num),
        );
        let ticks = exact.and_then(|v| i64::try_from(v.round_dp_with_strategy(0, rounding)).ok()).unwrap_or(0);
        match book_side {
            Side::Buy => instrument.floor_px(Px(ticks)),
            Side::Sell => instrument.ceil_px(Px(ticks)),
        }
    }

    /// A quantity in the venue's lots.
    #[must_use]
    pub fn qty(&self, qty: i64) -> Qty {
        let exact = Decimal::from(qty).checked_mul(self.qty_num);
        Qty(exact.and_then(|v| i64::try_from(v.floor()).ok()).unwrap_or(0))
    }
}
