//! What the shocks do to one market, and to all markets of a venue together.

use domain::{Lots, Side};

use super::market::Market;
use crate::money::{Money, Share};
use crate::scenario::{Burden, CALM, Peaks, Shape, Slopes};

/// One market under every shock, at the longest and the shortest that its working orders can make of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Load {
    pub(crate) shape: Shape,
    pub(super) slopes: Slopes,
    /// Longest and shortest position, in lots, that the figures below are for.
    ends: (i64, i64),
    /// The figures do not belong to the slopes any more.
    stale: bool,
    /// By shock of all markets: at either end.
    at: Vec<[Burden; 2]>,
    /// At either end under a move by the least distance against it.
    pushed: [Burden; 2],
    /// By shock: the heavier end.
    worst: Vec<Burden>,
    /// How much more it weighs, of all shocks, to have this market alone shocked; nothing if the market holds nothing.
    alone: Option<i128>,
    /// How much more maintenance and loss a move of this market alone by the least distance costs.
    reach: Option<i128>,
}

/// A market's part with an order in it: what the rules compare.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moved<'a> {
    market: &'a Market,
    side: Side,
    /// The end that the order moves, in lots.
    lots: i64,
    cover: Share,
}

impl Load {
    pub(super) fn new(shape: Shape) -> Load {
        Load { stale: true, shape, ..Load::default() }
    }

    pub(super) fn reshape(&mut self, change: impl FnOnce(&mut Shape)) {
        change(&mut self.shape);
        self.stale = true;
    }

    /// Brings the slopes to new prices: what one lot is worth at the mark and at the oracle price.
    pub(super) fn reprice(&mut self, lot: Option<(Money, Money)>) {
        match lot {
            Some((mark, oracle)) => self.shape.slopes(mark, oracle, &mut self.slopes),
            None => self.slopes = Slopes::default(),
        }
        self.stale = true;
    }
}

/// The sums of one venue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sums {
    /// By shock.
    pub(crate) joint: Vec<Burden>,
    pub(crate) alone: Peaks,
    pub(crate) reach: Peaks,
}

/// A gain on margin of its own does not help the rest of the account.
fn counted(burden: Burden, isolated: bool) -> Burden {
    if isolated { Burden { loss: burden.loss.at_least_zero(), ..burden } } else { burden }
}

impl Market {
    fn isolated(&self) -> bool {
        self.view.is_some_and(|v| v.isolated_margin.is_some())
    }

    /// What shock number `shock` does to a position of `lots`.
    pub(crate) fn end(&self, shock: usize, lots: i64) -> Burden {
        counted(self.load.slopes.burden(shock, lots), self.isolated())
    }

    /// What must stay free for a position of `lots` for the time that leaving takes.
    pub(crate) fn standing_buffer(&self, lots: Lots) -> Money {
        let [buffer, _] = self.load.slopes.cushions(lots.0.saturating_abs());
        if self.now.blind { Money::ZERO } else { buffer }
    }

    /// Under the move by the least distance that a position of `lots` fears.
    fn pushed(&self, lots: i64) -> Burden {
        self.load.slopes.burden(self.load.shape.fall() + usize::from(lots < 0), lots)
    }

    /// The market's part with an order of `side` working, which then reaches `long` and `short`.
    pub(crate) fn moved(&self, side: Side, ends: (i64, i64), cover: Share) -> Moved<'_> {
        let lots = match side {
            Side::Buy => ends.0,
            Side::Sell => ends.1,
        };
        Moved { market: self, side, lots, cover }
    }

    /// The market's part now.
    pub(crate) fn burden(&self, shock: usize) -> Burden {
        self.load.worst.get(shock).copied().unwrap_or_default()
    }

    pub(crate) fn reach(&self) -> Option<i128> {
        self.load.reach
    }

    /// Brings the figures up to date and the venue's sums with them. `shocks` is how many move all markets.
    pub(super) fn reload(&mut self, slot: usize, sums: &mut Sums, shocks: usize, cover: Share) {
        // what cannot be valued is counted nowhere: nothing may grow while it is so
        let ends = if self.now.blind { (0, 0) } else { (self.now.long, self.now.short) };
        let stale = std::mem::take(&mut self.load.stale);
        let moved = [stale || ends.0 != self.load.ends.0, stale || ends.1 != self.load.ends.1];
        if moved == [false, false] && self.load.at.len() == shocks {
            return;
        }
        self.load.ends = ends;
        self.load.at.resize(shocks, [Burden::default(); 2]);
        self.load.worst.resize(shocks, Burden::default());
        sums.joint.resize(shocks, Burden::default());
        for (end, lots) in [ends.0, ends.1].into_iter().enumerate().filter(|(end, _)| moved[*end]) {
            for shock in 0..shocks {
                self.load.at[shock][end] = self.end(shock, lots);
            }
            self.load.pushed[end] = self.pushed(lots);
        }
        for (shock, sum) in sums.joint.iter_mut().enumerate() {
            let [long, short] = self.load.at[shock];
            let worst = long.heavier(short, cover);
            let before = std::mem::replace(&mut self.load.worst[shock], worst);
            *sum = sum.plus(worst).minus(before);
        }
        let held = ends != (0, 0);
        let alone = |worst: &[Burden]| {
            let calm = worst[CALM].weighed(cover);
            worst.iter().map(|b| b.weighed(cover) - calm).max().unwrap_or(0)
        };
        self.load.alone = held.then(|| alone(&self.load.worst));
        let reach = self.load.pushed.map(total).into_iter().max().unwrap_or(0) - self.now.maintenance.0;
        self.load.reach = (held && !self.isolated()).then_some(reach);
        sums.alone.set(slot, self.load.alone);
        sums.reach.set(slot, self.load.reach);
    }
}

fn total(burden: Burden) -> i128 {
    burden.maintenance.0 + burden.loss.0
}

impl Moved<'_> {
    /// Under shock number `shock`, instead of [`Market::burden`].
    pub(crate) fn burden(self, shock: usize) -> Burden {
        let [long, short] = self.market.load.at.get(shock).copied().unwrap_or_default();
        let end = self.market.end(shock, self.lots);
        match self.side {
            Side::Buy => end.heavier(short, self.cover),
            Side::Sell => long.heavier(end, self.cover),
        }
    }

    /// Maintenance and loss of the market under the move by the least distance.
    pub(crate) fn pushed(self) -> i128 {
        let [long, short] = self.market.load.pushed;
        let end = self.market.pushed(self.lots);
        match self.side {
            Side::Buy => total(end).max(total(short)),
            Side::Sell => total(long).max(total(end)),
        }
    }
}
