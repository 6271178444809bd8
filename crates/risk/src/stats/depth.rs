//! What a book would charge for leaving a position, in integers (quant §1.5).

use std::collections::VecDeque;

use domain::{Book, Instrument, Level, Ratio, Side, Span, Stamp, Usd};
use rust_decimal::prelude::{FromPrimitive, ToPrimitive};
use rust_decimal::{Decimal, RoundingStrategy};

/// Decimals of a slippage: as many as a [`Ratio`] keeps.
const SCALE: u128 = 1_000_000_000_000;
/// Levels of one side that are read: five times what the venues serve, and far below what sums of 64-bit products could overflow.
const LEVELS_MAX: usize = 500;

/// One side of a book, summed up from the best price, to ask many sizes of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DepthWalk {
    mid_x2: u128,
    /// Value of one lot at the mid.
    lot_value: Decimal,
    steps: Vec<Step>,
}

/// A level with what lies up to and including it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    /// Twice its distance from the mid in ticks.
    away_x2: u128,
    /// Lots up to here.
    lots: u128,
    /// Σ lots × twice the distance up to here.
    paid: u128,
}

/// What filling a size costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slip {
    /// |VWAP/mid − 1|, a share of the notional, rounded up at 12 decimals. The taker's fee comes on top.
    pub share: Ratio,
    /// The size exceeds what is visible: the share is that of the visible depth D times √(N/D).
    pub extrapolated: bool,
}

impl DepthWalk {
    /// The side of `book` that an order of `side` takes. Nothing if the book is one-sided, locked, crossed or makes no sense:
    /// without a book nothing can be said (quant §1.5: refuse).
    #[must_use]
    pub fn of(book: &Book, instrument: &Instrument, side: Side) -> Option<DepthWalk> {
        let mid_x2 = u128::try_from(book.mid_x2().filter(|_| book.is_sane())?).ok().filter(|mid| *mid > 0)?;
        let levels = match side {
            Side::Buy => &book.asks,
            Side::Sell => &book.bids,
        };
        let mut sum = Step { away_x2: 0, lots: 0, paid: 0 };
        let mut steps = Vec::with_capacity(levels.len().min(LEVELS_MAX));
        for Level { px, qty } in levels.iter().take(LEVELS_MAX) {
            let (px_x2, lots) = (u128::try_from(px.0).ok()?.checked_mul(2)?, u128::try_from(qty.0).ok()?);
            let away_x2 = match side {
                Side::Buy => px_x2.checked_sub(mid_x2)?,
                Side::Sell => mid_x2.checked_sub(px_x2)?,
            };
            if away_x2 < sum.away_x2 {
                return None;
            }
            sum = Step { away_x2, lots: sum.lots + lots, paid: lots.checked_mul(away_x2)?.checked_add(sum.paid)? };
            steps.push(sum);
        }
        let lot_value = Decimal::try_from_i128_with_scale(i128::try_from(mid_x2).ok()?, 0).ok()?;
        let lot_value = lot_value.checked_mul(instrument.tick_lot())?.checked_div(Decimal::TWO)?;
        (sum.lots > 0 && lot_value > Decimal::ZERO).then_some(DepthWalk { mid_x2, lot_value, steps })
    }

    /// What filling `notional` (at the mid, made up to whole lots) costs. Nothing if the figure leaves every range.
    #[must_use]
    pub fn slip(&self, notional: Usd) -> Option<Slip> {
        let lots = notional.decimal().abs().checked_div(self.lot_value)?;
        let lots = lots.round_dp_with_strategy(0, RoundingStrategy::ToPositiveInfinity).to_u128()?.max(1);
        let last = self.steps.last()?;
        if lots > last.lots {
            // s(D)·√(N/D), squared in units of 10^-12 so that the root is one of integers
            let share = self.share(last.paid, last.lots)?;
            let squared = share.checked_mul(share)?;
            let squared = squared
                .checked_mul(lots)
                .map_or_else(|| squared.div_ceil(last.lots).checked_mul(lots), |product| Some(product.div_ceil(last.lots)))?;
            return Some(Slip { share: ratio(ceil_sqrt(squared))?, extrapolated: true });
        }
        let reached = self.steps.partition_point(|step| step.lots < lots);
        let step = self.steps.get(reached)?;
        let paid = step.paid - (step.lots - lots) * step.away_x2;
        Some(Slip { share: ratio(self.share(paid, lots)?)?, extrapolated: false })
    }

    /// Everything visible, valued at the mid.
    #[must_use]
    pub fn visible(&self) -> Usd {
        self.value(self.steps.last().map_or(0, |step| step.lots))
    }

    /// What lies within `bps` of the mid, valued at the mid.
    #[must_use]
    pub fn within(&self, bps: u32) -> Usd {
        let reach = self.mid_x2.saturating_mul(u128::from(bps));
        let reached = self.steps.partition_point(|step| step.away_x2.saturating_mul(10_000) <= reach);
        self.value(reached.checked_sub(1).map_or(0, |last| self.steps[last].lots))
    }

    /// paid / (lots · twice the mid), rounded up, in units of 10^-12.
    fn share(&self, paid: u128, lots: u128) -> Option<u128> {
        Some(paid.checked_mul(SCALE)?.div_ceil(lots.checked_mul(self.mid_x2)?))
    }

    /// Rounded down: less depth is the conservative side. What no amount holds is more than any size asks for.
    fn value(&self, lots: u128) -> Usd {
        let value = Decimal::from_u128(lots).and_then(|lots| lots.checked_mul(self.lot_value));
        let value = value.map(|v| v.round_dp_with_strategy(6, RoundingStrategy::ToZero));
        value.and_then(|v| Usd::new(v).ok()).unwrap_or(DEPTH_MAX)
    }
}

/// More than any market has ever shown; a depth that no amount can hold counts as this.
const DEPTH_MAX: Usd = Usd::whole(2_000_000_000);

fn ratio(scaled: u128) -> Option<Ratio> {
    let scaled = i128::try_from(scaled).ok()?;
    Ratio::new(Decimal::try_from_i128_with_scale(scaled, 12).ok()?).ok()
}

fn ceil_sqrt(value: u128) -> u128 {
    let root = value.isqrt();
    if root * root < value { root + 1 } else { root }
}

/// How long a sample of depth counts.
pub const DEPTH_WINDOW: Span = Span::secs(60);
/// Least time between two samples; what a minute holds at this distance is the bound of the ring.
pub const DEPTH_EVERY: Span = Span::secs(1);
const DEPTH_SAMPLES: usize = 61;

/// The depth of the last minute, once a second. A cap that rests on its low quantile is not raised by one thick second.
#[derive(Clone, Debug, Default)]
pub struct DepthRing {
    samples: VecDeque<(Stamp, Usd)>,
}

impl DepthRing {
    /// Notes the depth at `at`. Within [`DEPTH_EVERY`] of the sample before, the smaller of the two is kept.
    pub fn note(&mut self, at: Stamp, depth: Usd) {
        if let Some((last, kept)) = self.samples.back_mut()
            && at.since(*last) < DEPTH_EVERY
        {
            *kept = (*kept).min(depth);
            return;
        }
        if self.samples.len() == DEPTH_SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back((at, depth));
    }

    /// The sample below which a tenth of the last minute's samples lie, the lowest of fewer than ten. Nothing without a sample
    /// within the minute before `at`.
    #[must_use]
    pub fn low(&self, at: Stamp) -> Option<Usd> {
        let mut recent: Vec<Usd> =
            self.samples.iter().filter(|(noted, _)| at.since(*noted) <= DEPTH_WINDOW).map(|(_, depth)| *depth).collect();
        recent.sort_unstable();
        recent.get(recent.len() / 10).copied()
    }
}

/// Executions behind a ratio of realised to quoted slippage, at most.
const EXECUTIONS_KEPT: usize = 64;
/// Executions below which nothing is said.
pub const EXECUTIONS_MIN: usize = 10;

/// What our executions paid against what the book had quoted for them, weighted by notional.
#[derive(Clone, Debug, Default)]
pub struct SlippageRatio {
    executions: VecDeque<(Usd, Usd)>,
}

impl SlippageRatio {
    /// Notes an execution: what the walk of the book had quoted for it and what it paid against the mid at that moment, both in
    /// quote currency. A price improvement counts as nothing paid.
    pub fn note(&mut self, quoted: Usd, paid: Usd) {
        if self.executions.len() == EXECUTIONS_KEPT {
            self.executions.pop_front();
        }
        self.executions.push_back((quoted.max(Usd::ZERO), paid.max(Usd::ZERO)));
    }

    /// Σ paid ÷ Σ quoted of the last executions. Nothing below [`EXECUTIONS_MIN`] of them or when nothing was quoted.
    #[must_use]
    pub fn ratio(&self) -> Option<Ratio> {
        let sum = |part: fn(&(Usd, Usd)) -> Usd| self.executions.iter().map(part).sum::<Usd>();
        let (quoted, paid) = (sum(|e| e.0), sum(|e| e.1));
        paid.over(quoted).filter(|_| self.executions.len() >= EXECUTIONS_MIN)
    }
}

#[cfg(test)]
mod tests;
