//! Depth and slippage over time (quant §1.5). What one book would charge is [`crate::sizing::Walk`]'s to say.

use std::collections::VecDeque;

use domain::{Ratio, Span, Stamp, Usd};

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
