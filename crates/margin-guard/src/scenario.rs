//! What a shock does to a market, in integers, so that the sums over a venue stay exact and a decision costs a few
//! multiplications.
//!
//! Under a shock `s` a position of `q` lots at the mark `p` needs maintenance at `p·(1+s)`, in the tier where that value lies,
//! and loses `−q·p·s` and the funding of some hours; funding received is not counted. The sum of the maintenance, weighted with
//! the least cover, and the loss is convex in `q`: its largest value over everything that working orders can make of a position
//! is at one of the two ends. That is why a market's worst case is the worse of its longest and its shortest position, and why
//! a larger order is never judged more kindly than a smaller one.
//!
//! Shares are held in units of 2^-40, rounded up against us, so a figure exceeds the exact one by less than one part in 10^11 of
//! the position's value.

use domain::{InstrumentId, Ratio};
use rust_decimal::Decimal;

use crate::limits::Limits;
use crate::money::{Money, SHARE_UNIT, Share, Tiers};

mod peak;
pub(crate) use peak::Peaks;

/// The shock under which prices stand still and only funding is paid; the base of one market moving alone.
pub(crate) const CALM: usize = 0;

/// What an account must withstand, as configured.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Names of the shocks that move every market at once; [`CALM`] first.
    pub(crate) names: Vec<String>,
    /// Least cover under a shock.
    pub(crate) cover: Share,
    /// Least distance of the mark from the liquidation price.
    pub(crate) distance: Ratio,
}

/// What one shock is for one market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shock {
    /// The move of the price, signed.
    pub(crate) shift: Ratio,
    /// Hours of funding paid meanwhile.
    pub(crate) hours: u32,
}

impl Plan {
    pub(crate) fn of(limits: &Limits) -> Plan {
        let calm = std::iter::once("calm".to_owned());
        Plan {
            names: calm.chain(limits.scenarios().iter().map(|s| s.name.clone())).collect(),
            cover: Share::ceil(limits.cover().shocked_min),
            distance: limits.liquidation().distance_min,
        }
    }

    /// The shocks of `market`: those of [`Plan::names`] in their order, then a fall and a rise by the least distance.
    pub(crate) fn shocks(limits: &Limits, market: InstrumentId) -> Vec<Shock> {
        let scenarios = limits.scenarios();
        let hours = scenarios.iter().map(|s| s.funding_hours).max().unwrap_or(0);
        let distance = limits.liquidation().distance_min;
        let fall = Ratio::new(-distance.decimal()).unwrap_or_default();
        let one = |shift, hours| Shock { shift, hours };
        let named = scenarios.iter().map(|s| one(s.shock(market), s.funding_hours));
        std::iter::once(one(Ratio::ZERO, hours)).chain(named).chain([one(fall, 0), one(distance, 0)]).collect()
    }
}

/// What a shock takes from an account in one market.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Burden {
    /// Maintenance margin at the shocked price.
    pub(crate) maintenance: Money,
    /// Loss at the shocked price, funding included; negative if the position gains.
    pub(crate) loss: Money,
}

impl Burden {
    /// Ten trillion dollars, ten times the largest limit that a configuration may set: what no account holds. Burdens are cut to
    /// it, so that ten thousand of them, times a cover of a thousand, stay below 2^127.
    const MOST: i128 = 10_000_000_000_000_000_000_000_000;
    const ABSURD: Burden = Burden { maintenance: Money(Burden::MOST), loss: Money(Burden::MOST) };

    /// Loss plus `cover` times maintenance, in millionths of a unit of money.
    pub(crate) fn weighed(self, cover: Share) -> i128 {
        // bounded by `MOST`: checking would cost more than multiplying
        self.maintenance.0.wrapping_mul(i128::from(cover.0)).wrapping_add(self.loss.0.wrapping_mul(SHARE_UNIT))
    }

    pub(crate) fn plus(self, other: Burden) -> Burden {
        Burden { maintenance: self.maintenance.plus(other.maintenance), loss: self.loss.plus(other.loss) }
    }

    pub(crate) fn minus(self, other: Burden) -> Burden {
        Burden { maintenance: self.maintenance.minus(other.maintenance), loss: self.loss.minus(other.loss) }
    }

    /// The heavier of the two; the first if they weigh the same.
    pub(crate) fn heavier(self, other: Burden, cover: Share) -> Burden {
        if other.weighed(cover) > self.weighed(cover) { other } else { self }
    }
}

/// A share in units of 2^-40.
type Fixed = i128;
const FRACTION: u32 = 40;
/// The domain's decimals.
const PARTS: i128 = 1_000_000_000_000;

fn parts(ratio: Ratio) -> i128 {
    let value = ratio.decimal().round_dp(12);
    value.mantissa() * 10_i128.pow(12 - value.scale().min(12))
}

/// `num / den` rounded up; `den` above zero.
fn ceil_div(num: i128, den: i128) -> i128 {
    num.div_euclid(den) + i128::from(num.rem_euclid(den) != 0)
}

/// A share of at most 10^9, rounded up.
fn fixed(ratio: Ratio) -> Fixed {
    ceil_div(parts(ratio) << FRACTION, PARTS)
}

fn ceil_shift(product: i128) -> i128 {
    product.saturating_add((1 << FRACTION) - 1) >> FRACTION
}

/// Rate and deduction of a tier at a shocked price, as a share of the value at the mark.
#[derive(Clone, Copy, Debug)]
struct Step {
    rate: Fixed,
    deduction: Money,
}

/// What a market's shocks are before its prices are known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shape {
    shocks: Vec<Shock>,
    /// By shock and tier.
    steps: Vec<Step>,
    tiers: usize,
    /// By shock: what a long loses and what a short loses, as shares of the value at the mark.
    losses: Vec<[Fixed; 2]>,
    /// By shock: funding of a long and of a short, as shares of the value at the oracle price.
    funding: Vec<[Fixed; 2]>,
    cushions: [Fixed; 2],
}

impl Shape {
    pub(crate) fn new(shocks: Vec<Shock>) -> Shape {
        let loss = |shift: Ratio| {
            let shift = parts(shift) << FRACTION;
            [ceil_div(-shift, PARTS), ceil_div(shift, PARTS)]
        };
        let losses = shocks.iter().map(|s| loss(s.shift)).collect();
        let funding = vec![[0; 2]; shocks.len()];
        Shape { shocks, losses, funding, ..Shape::default() }
    }

    /// The margin tiers that apply.
    pub(crate) fn set_tiers(&mut self, tiers: &Tiers) {
        self.tiers = tiers.len();
        self.steps.clear();
        for shock in &self.shocks {
            let after = parts(shock.shift) + PARTS;
            for (num, den, deduction) in tiers.rates() {
                // at most 1.1·10^13 for the price, 10^12 for the rate and 2^40: below 2^127
                let rate = ceil_div((after * num) << FRACTION, PARTS * den);
                self.steps.push(Step { rate, deduction });
            }
        }
    }

    /// The funding to count under each shock: of a long and of a short, as shares of the value at the oracle price.
    pub(crate) fn set_funding(&mut self, of: impl Fn(usize, u32) -> [Ratio; 2]) {
        for (at, (shock, funding)) in self.shocks.iter().zip(&mut self.funding).enumerate() {
            *funding = of(at, shock.hours).map(fixed);
        }
    }

    /// What must stay free for a position, as shares of its value at the mark: for the time that leaving takes, and for the least
    /// runway.
    pub(crate) fn set_cushions(&mut self, shares: [Ratio; 2]) {
        self.cushions = shares.map(fixed);
    }

    /// Fills `out` with the figures per lot, with one lot worth `mark` at the mark and `oracle` at the oracle price.
    pub(crate) fn slopes(&self, mark: Money, oracle: Money, out: &mut Slopes) {
        out.lines.clear();
        out.losses.clear();
        out.lots_max = 0;
        if self.fill(mark, oracle, out).is_none() || self.tiers == 0 {
            return;
        }
        out.tiers = self.tiers;
        let all = out.lines.iter().map(|l| l.rise).chain(out.losses.iter().flatten().copied()).chain(out.cushions);
        let steepest = all.map(i128::abs).max().unwrap_or(0);
        out.lots_max = i64::try_from(PRODUCT_MAX / steepest.max(1)).unwrap_or(i64::MAX);
    }

    /// Nothing if a product leaves its range, which no market's prices do.
    fn fill(&self, mark: Money, oracle: Money, out: &mut Slopes) -> Option<()> {
        for step in &self.steps {
            out.lines.push(Line { rise: mark.0.checked_mul(step.rate)?, deduction: step.deduction });
        }
        for (loss, funding) in self.losses.iter().zip(&self.funding) {
            let of = |side: usize| mark.0.checked_mul(loss[side])?.checked_add(oracle.0.checked_mul(funding[side])?);
            out.losses.push([of(0)?, of(1)?]);
        }
        out.cushions = [mark.0.checked_mul(self.cushions[0])?, mark.0.checked_mul(self.cushions[1])?];
        Some(())
    }

    pub(crate) fn shocks(&self) -> &[Shock] {
        &self.shocks
    }

    /// Where the fall by the least distance stands among the shocks; the rise follows it.
    pub(crate) fn fall(&self) -> usize {
        self.shocks.len().saturating_sub(2)
    }
}

/// Products of lots and slopes stay below this: room for the rounding, and [`Money::MAX`] is 2^90 after the shift by 40.
const PRODUCT_MAX: i128 = 1 << 126;

/// Maintenance of one tier: `lots · rise − deduction`. With tiers that are continuous and get steeper, the maintenance of a
/// position is the largest over all tiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    /// Units of money per lot, times 2^40.
    rise: i128,
    deduction: Money,
}

/// What every shock does to one lot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slopes {
    lines: Vec<Line>,
    tiers: usize,
    losses: Vec<[i128; 2]>,
    cushions: [i128; 2],
    /// Above it the products would leave their range; 0 while nothing is known.
    lots_max: i64,
}

impl Slopes {
    /// What must stay free for a position of `size` lots.
    pub(crate) fn cushions(&self, size: i64) -> [Money; 2] {
        match size {
            0 => [Money::ZERO; 2],
            _ if size > self.lots_max => [Money::MAX; 2],
            _ => self.cushions.map(|slope| Money(ceil_shift(slope.wrapping_mul(i128::from(size)))).at_most_max()),
        }
    }

    /// What shock number `shock` does to a position of `lots`. More lots than can be reckoned with weigh more than any account
    /// holds.
    pub(crate) fn burden(&self, shock: usize, lots: i64) -> Burden {
        let size = lots.saturating_abs();
        if size > self.lots_max {
            return Burden::ABSURD;
        }
        if size == 0 {
            return Burden::default();
        }
        let size = i128::from(size);
        // bounded by `lots_max`: no product leaves its range
        let times = |slope: i128| ceil_shift(slope.wrapping_mul(size));
        let tiers = &self.lines[shock * self.tiers..(shock + 1) * self.tiers];
        let maintenance = tiers.iter().map(|line| times(line.rise) - line.deduction.0).max().unwrap_or(0);
        let loss = times(self.losses[shock][usize::from(lots < 0)]);
        let cut = |value: i128| Money(value.clamp(-Burden::MOST, Burden::MOST));
        Burden { maintenance: cut(maintenance), loss: cut(loss) }
    }
}

/// Funding that no statistic announces: above what ETH paid on Hyperliquid on 10 October 2025 (0.0386 % per hour, quant §5) and
/// far below the venue's cap.
const FUNDING_FLOOR: Decimal = Decimal::from_parts(5, 0, 0, false, 4);
/// Without statistics, twice that, as the multiplier is 2 without history (quant §1.3).
const FUNDING_FLOOR_UNKNOWN: Decimal = Decimal::from_parts(10, 0, 0, false, 4);
/// No venue settles more in an hour (quant §1.4: 4 % on Hyperliquid; dYdX's caps are lower).
pub(crate) const FUNDING_CAP: Decimal = Decimal::from_parts(4, 0, 0, false, 2);

/// What a long and a short may have to pay over `hours`, as shares of the position's value: the worst of the rate `now` kept up,
/// the bound that statistics put on the path to come (quant §1.4), and the floor. Funding received is not counted. Without a rate
/// the venue's cap applies.
pub(crate) fn funding(now: Option<Ratio>, bound: Option<[Ratio; 2]>, hours: u32) -> [Ratio; 2] {
    let hours = Decimal::from(hours);
    let cap = FUNDING_CAP * hours;
    let Some(now) = now else { return [Ratio::new(cap).unwrap_or_default(); 2] };
    let floor = if bound.is_some() { FUNDING_FLOOR } else { FUNDING_FLOOR_UNKNOWN };
    let bound = bound.unwrap_or_default();
    let of = |rate: Decimal, bound: Ratio| {
        let paid = (rate.max(floor) * hours).max(bound.decimal()).min(cap);
        Ratio::new(paid).unwrap_or(Ratio::ONE)
    };
    [of(now.decimal(), bound[0]), of(-now.decimal(), bound[1])]
}

#[cfg(test)]
mod tests;
