//! Exposure of markets that move together (quant §1.8), weighted by beta and kept up to date market by market.

use domain::{Measure, Ratio, Side};
use rust_decimal::{Decimal, RoundingStrategy};

use crate::money::Money;

/// Beta in thousandths, rounded both ways: what adds is rounded up and what offsets is rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beta {
    adds: i64,
    offsets: i64,
    negative: bool,
}

const UNIT: i128 = 1_000;

/// A market whose beta is not known counts for more than BTC does, and offsets nothing. The large alternative coins stand between
/// 1.0 and 1.5 against BTC.
const UNKNOWN: Beta = Beta { adds: 1_500, offsets: 0, negative: false };

/// A beta beyond this is no measurement.
const BETA_MAX: i64 = 10;

impl Beta {
    pub(crate) fn of(measure: Option<&Measure>) -> Beta {
        let Some(beta) = measure.and_then(|m| m.beta).map(Ratio::decimal) else { return UNKNOWN };
        if beta.abs() > Decimal::from(BETA_MAX) {
            return UNKNOWN;
        }
        let thousandths = |strategy| {
            let parts = (beta.abs() * Decimal::ONE_THOUSAND).round_dp_with_strategy(0, strategy);
            i64::try_from(parts).unwrap_or(UNKNOWN.adds)
        };
        Beta {
            adds: thousandths(RoundingStrategy::AwayFromZero),
            offsets: thousandths(RoundingStrategy::ToZero),
            negative: beta.is_sign_negative() && !beta.is_zero(),
        }
    }

    fn weigh(self, value: Money) -> i128 {
        value.0 * i128::from(if value.0 > 0 { self.adds } else { self.offsets })
    }

    /// Which way the group moves when an order of `side` fills.
    pub(crate) const fn direction(self, side: Side) -> Side {
        if self.negative { side.flip() } else { side }
    }

    /// `room` of the group in money of this market, rounded down.
    pub(crate) fn unweigh(self, room: i128) -> Money {
        Money(room.max(0) / i128::from(self.adds.max(1)))
    }
}

/// What one market adds to its group, in thousandths of money units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weighted {
    up: i128,
    down: i128,
    gross: i128,
}

impl Weighted {
    /// `long` and `short` are the signed values of the two worst cases, `gross` that of the larger.
    pub(crate) fn of(beta: Beta, long: Money, short: Money, gross: Money) -> Weighted {
        let short = Money(-short.0);
        let (up, down) = if beta.negative { (short, long) } else { (long, short) };
        Weighted { up: beta.weigh(up), down: beta.weigh(down), gross: beta.weigh(gross) }
    }

    /// The most that Σ position × beta can reach in `direction`.
    const fn net(&self, direction: Side) -> i128 {
        match direction {
            Side::Buy => self.up,
            Side::Sell => self.down,
        }
    }
}

/// One group's sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupSums(Weighted);

impl GroupSums {
    /// With `before` of one market replaced by `after`.
    pub(crate) fn moved(self, before: &Weighted, after: &Weighted) -> GroupSums {
        GroupSums(Weighted {
            up: self.0.up + after.up - before.up,
            down: self.0.down + after.down - before.down,
            gross: self.0.gross + after.gross - before.gross,
        })
    }

    /// |Σ position × beta| in `direction`, rounded up.
    pub(crate) fn net(&self, direction: Side) -> Money {
        Money((self.0.net(direction).max(0) + UNIT - 1) / UNIT)
    }

    /// Σ |position × beta|, rounded up.
    pub(crate) fn gross(&self) -> Money {
        Money((self.0.gross + UNIT - 1) / UNIT)
    }

    /// What is left of the caps for a market that contributes `own`: the largest position of `side` that both allow.
    pub(crate) fn room(&self, beta: Beta, own: &Weighted, side: Side, net_max: Money, gross_max: Money) -> Money {
        let direction = beta.direction(side);
        let net = net_max.0 * UNIT - (self.0.net(direction) - own.net(direction));
        let gross = gross_max.0 * UNIT - (self.0.gross - own.gross);
        beta.unweigh(net.min(gross))
    }
}

#[cfg(test)]
mod tests;
