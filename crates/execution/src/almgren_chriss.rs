//! Almgren–Chriss optimal execution with linear impact, closed form (quant §2.2; Almgren & Chriss 2000).
#![expect(clippy::float_arithmetic, reason = "an optimal schedule is a statistic: only its shares go on, back onto the lot grid")]

/// The problem: sell (or buy) `quantity` within `horizon` in `slices` equal intervals. Any consistent units; the paper's are
/// shares, dollars and days.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Problem {
    /// X, the quantity.
    pub quantity: f64,
    /// T, the time.
    pub horizon: f64,
    /// N, the number of intervals.
    pub slices: u32,
    /// σ, price volatility in money per √time.
    pub sigma: f64,
    /// ε, fixed cost per unit: half the spread plus the fee.
    pub epsilon: f64,
    /// γ, permanent impact in money per unit².
    pub gamma: f64,
    /// η, temporary impact in money per (unit per time).
    pub eta: f64,
    /// λ, risk aversion per money. Negative prefers risk, zero is the straight line.
    pub lambda: f64,
}

/// The solution.
#[derive(Clone, Debug, PartialEq)]
pub struct Trajectory {
    /// κ, the rate at which trading decays, per time. For λ < 0 the rate of the cosine branch.
    pub kappa: f64,
    /// η̃ = η − γτ/2.
    pub eta_tilde: f64,
    /// Quantity left at 0, τ, 2τ … T: `slices + 1` numbers.
    pub holdings: Vec<f64>,
    /// E, expected cost.
    pub cost: f64,
    /// V, variance of the cost.
    pub variance: f64,
}

impl Problem {
    /// The optimal static trajectory. `None` if the problem has none: no slices, no time, η̃ not above zero, a number that is
    /// not finite, or a λ so negative that the sine branch leaves its first half wave.
    #[must_use]
    pub fn solve(&self) -> Option<Trajectory> {
        let tau = self.horizon / f64::from(self.slices);
        let eta_tilde = self.eta - self.gamma * tau / 2.0;
        let y = self.lambda * self.sigma * self.sigma / eta_tilde * tau * tau;
        let usable = self.slices > 0 && self.horizon > 0.0 && eta_tilde > 0.0 && y.is_finite() && self.quantity.is_finite();
        // cosh κτ = 1 + y/2, solved as κτ = 2 arsinh(√y/2), which keeps its digits for small y; likewise cos and arcsin below zero
        let kappa_tau = if y >= 0.0 { 2.0 * (y.sqrt() / 2.0).asinh() } else { 2.0 * ((-y).sqrt() / 2.0).asin() };
        let whole = kappa_tau * f64::from(self.slices);
        if !usable || !kappa_tau.is_finite() || (y < 0.0 && whole >= std::f64::consts::PI) {
            return None;
        }
        let left = |j: u32| {
            let rest = kappa_tau * f64::from(self.slices - j);
            let share = match () {
                () if j == 0 => 1.0,
                () if j == self.slices => 0.0,
                () if y > 0.0 => sinh_ratio(rest, whole),
                () if y < 0.0 => rest.sin() / whole.sin(),
                () => f64::from(self.slices - j) / f64::from(self.slices),
            };
            self.quantity * share
        };
        let holdings: Vec<f64> = (0..=self.slices).map(left).collect();
        let traded = || holdings.windows(2).map(|w| w[0] - w[1]);
        let squares: f64 = traded().map(|n| n * n).sum();
        let cost = self.gamma * self.quantity * self.quantity / 2.0
            + self.epsilon * traded().map(f64::abs).sum::<f64>()
            + eta_tilde / tau * squares;
        let variance = self.sigma * self.sigma * tau * holdings.iter().skip(1).map(|x| x * x).sum::<f64>();
        Some(Trajectory { kappa: kappa_tau / tau, eta_tilde, holdings, cost, variance })
    }
}

impl Trajectory {
    /// n₁ … n_N, what is traded in each interval.
    #[must_use]
    pub fn slices(&self) -> Vec<f64> {
        self.holdings.windows(2).map(|w| w[0] - w[1]).collect()
    }

    /// 1/κ, the trade's natural time constant; `None` for the straight line.
    #[must_use]
    pub fn time_constant(&self) -> Option<f64> {
        (self.kappa > 0.0).then(|| 1.0 / self.kappa)
    }
}

/// sinh a / sinh b for 0 ≤ a ≤ b, without overflow for large and without cancellation for small arguments.
pub(crate) fn sinh_ratio(a: f64, b: f64) -> f64 {
    if b <= 0.0 {
        return 0.0;
    }
    (a - b).exp() * (-2.0 * a).exp_m1() / (-2.0 * b).exp_m1()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAPER: Problem = Problem {
        quantity: 1e6,
        horizon: 5.0,
        slices: 5,
        sigma: 0.95,
        epsilon: 0.0625,
        gamma: 2.5e-7,
        eta: 2.5e-6,
        lambda: 1e-6,
    };

    fn near(got: f64, want: f64, tol: f64) {
        assert!((got - want).abs() <= tol, "{got} is not {want} ± {tol}");
    }

    #[test]
    fn the_papers_table_to_its_printed_digits() {
        let t = PAPER.solve().unwrap();
        near(t.eta_tilde, 2.375e-6, 1e-15);
        near(t.kappa, 0.607_076, 5e-7);
        near(t.kappa * 5.0, 3.035_38, 5e-6);
        near(t.time_constant().unwrap(), 1.647_24, 5e-6);
        for (got, want) in t.holdings.iter().zip([1e6, 541_955.55, 289_854.22, 147_897.49, 62_141.80, 0.0]) {
            near(*got, want, 0.005);
        }
        for (got, want) in t.slices().iter().zip([458_044.45, 252_101.33, 141_956.73, 85_755.69, 62_141.80]) {
            near(*got, want, 0.005);
        }
        near(t.cost, 911_226.99, 0.005);
        near(t.variance, 3.641_286e11, 5e4);
        near(t.variance.sqrt(), 603_430.67, 0.005);
        let straight = Problem { lambda: 0.0, ..PAPER }.solve().unwrap();
        near(straight.cost, 662_500.0, 1e-6);
        near(straight.variance, 1.083e12, 1e3);
        near(straight.variance.sqrt(), 1_040_672.86, 0.005);
        assert_eq!(straight.time_constant(), None);
        let at_once = Problem { slices: 1, eta: 2.5e-6 + 2.5e-7 * 2.0, ..PAPER };
        assert_eq!(at_once.solve().unwrap().variance, 0.0);
    }

    #[test]
    fn one_shot_costs_what_the_paper_says() {
        // all in the first of the five intervals: E = ½γX² + εX + η̃X²/τ
        let t = PAPER.solve().unwrap();
        let cost = 0.5 * 2.5e-7 * 1e12 + 0.0625 * 1e6 + t.eta_tilde * 1e12;
        near(cost, 2_562_500.0, 1e-6);
    }

    #[test]
    fn extreme_risk_aversion_neither_overflows_nor_stalls() {
        for lambda in [1e-3, 1.0, 1e6, 1e12] {
            let p = Problem { lambda, slices: 2_000, horizon: 50.0, ..PAPER };
            let t = p.solve().unwrap();
            assert!(t.kappa * p.horizon > 30.0);
            assert!(t.holdings.iter().all(|x| x.is_finite() && *x >= 0.0));
            assert!(t.holdings.windows(2).all(|w| w[0] >= w[1]), "holdings never rise");
            assert!(t.cost.is_finite() && t.variance.is_finite());
        }
        // κT = 1600: sinh itself is infinite there
        assert!(sinh_ratio(1_599.0, 1_600.0) > 0.36 && sinh_ratio(1_599.0, 1_600.0) < 0.37);
    }

    #[test]
    fn both_sides_of_zero_meet_the_straight_line() {
        let line = Problem { lambda: 0.0, ..PAPER }.solve().unwrap();
        for lambda in [1e-18, -1e-18] {
            let t = Problem { lambda, ..PAPER }.solve().unwrap();
            for (a, b) in t.holdings.iter().zip(&line.holdings) {
                near(*a, *b, 1e-3);
            }
        }
        let late = Problem { lambda: -1e-8, ..PAPER }.solve().unwrap();
        assert!(late.holdings[1] > line.holdings[1], "preferring risk trades later");
        assert_eq!(Problem { lambda: -1e-3, ..PAPER }.solve(), None);
        assert_eq!(Problem { eta: 0.0, ..PAPER }.solve(), None);
        assert_eq!(Problem { slices: 0, ..PAPER }.solve(), None);
    }
}
