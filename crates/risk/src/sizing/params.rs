//! What the operator sets of the sizing rule.

use domain::{Ratio, Span, Usd};
use serde::{Deserialize, Serialize};

/// Leverage tiers (quant §1.7), after the trader's rule: leverage above the base must be earned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeverageTier {
    /// 2–3 without condition.
    #[default]
    Base,
    /// 5 with proof of a hedge over two venues, for at most a quarter of the allocation.
    Select,
    /// Above 5, at most 10, by explicit opt-in per instrument, for at most a twentieth of the allocation.
    High,
}

impl LeverageTier {
    /// The name used in configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            LeverageTier::Base => "base",
            LeverageTier::Select => "select",
            LeverageTier::High => "high",
        }
    }
}

/// The sizing rule's numbers; the defaults are those of quant §1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SizingParams {
    /// Portfolio equity outside the venues, as the operator states it. Whoever computes `equity_total` adds it.
    pub other_equity: Usd,
    /// Ceiling on the layer-2 share of the portfolio.
    pub alloc_l2: Ratio,
    /// Part of the allocation that one instrument may use.
    pub share_instrument: Ratio,
    /// Tier of this market.
    pub tier: LeverageTier,
    /// Leverage of tier base, at most 3.
    pub base_leverage: Ratio,
    /// Leverage of tier select, at most 5.
    pub select_leverage: Ratio,
    /// Leverage of tier high, at most 10.
    pub high_leverage: Ratio,
    /// Part of the allocation that tier select may use.
    pub select_share: Ratio,
    /// Part of the allocation that tier high may use.
    pub high_share: Ratio,
    /// Hedge ratio that tier select asks for.
    pub hedge_ratio_min: Ratio,
    /// Venues that a hedge must span.
    pub hedge_venues_min: u32,
    /// Annual volatility at which the base cap holds unscaled.
    pub sigma_target: Ratio,
    /// The least volatility that is believed.
    pub sigma_floor: Ratio,
    /// Smallest volatility adjuster; used as such when volatility is not known.
    pub v_min: Ratio,
    /// Largest volatility adjuster; above 1 only by explicit setting.
    pub v_max: Ratio,
    /// Planned holding time, hours.
    pub holding_hours: u32,
    /// Standard deviations that the loss budget covers.
    pub k_loss: Ratio,
    /// Factor on the measured exit slippage in normal operation.
    pub k_slippage: Ratio,
    /// Taker fee of the exit, share of notional.
    pub fee_rate: Ratio,
    /// Part of the visible depth that a position may reach.
    pub depth_share: Ratio,
    /// Distance from the mid within which depth counts, basis points.
    pub depth_bps: u32,
    /// Age of the book above which exit slippage is doubled.
    pub book_age_max: Span,
    /// Age of the newest bar above which volatility counts as unknown. Hourly bars close hourly; two may be late.
    pub history_age_max: Span,
    /// Share of the portfolio that a fully trusted venue may carry as notional.
    pub venue_share: Ratio,
    /// The funding-risk multiplier.
    pub funding: FundingParams,
}

impl Default for SizingParams {
    fn default() -> SizingParams {
        SizingParams {
            other_equity: Usd::ZERO,
            alloc_l2: Ratio::scaled(30, 2),
            share_instrument: Ratio::scaled(50, 2),
            tier: LeverageTier::Base,
            base_leverage: Ratio::scaled(25, 1),
            select_leverage: Ratio::scaled(5, 0),
            high_leverage: Ratio::scaled(10, 0),
            select_share: Ratio::scaled(25, 2),
            high_share: Ratio::scaled(5, 2),
            hedge_ratio_min: Ratio::scaled(8, 1),
            hedge_venues_min: 2,
            sigma_target: Ratio::scaled(40, 2),
            sigma_floor: Ratio::scaled(20, 2),
            v_min: Ratio::scaled(25, 2),
            v_max: Ratio::ONE,
            holding_hours: 24,
            k_loss: Ratio::scaled(233, 2),
            k_slippage: Ratio::scaled(3, 0),
            fee_rate: Ratio::scaled(45, 5),
            depth_share: Ratio::scaled(25, 2),
            depth_bps: 25,
            book_age_max: Span::secs(2),
            history_age_max: Span::secs(3 * 3_600),
            venue_share: Ratio::scaled(40, 2),
            funding: FundingParams::default(),
        }
    }
}

impl SizingParams {
    /// Leverage of the tier `tier`, cut to what the tier may be at most.
    #[must_use]
    pub fn leverage(&self, tier: LeverageTier) -> Ratio {
        match tier {
            LeverageTier::Base => self.base_leverage.min(Ratio::scaled(3, 0)),
            LeverageTier::Select => self.select_leverage.min(Ratio::scaled(5, 0)),
            LeverageTier::High => self.high_leverage.min(Ratio::scaled(10, 0)),
        }
    }

    /// Part of the allocation that one instrument in `tier` may use.
    #[must_use]
    pub fn share(&self, tier: LeverageTier) -> Ratio {
        match tier {
            LeverageTier::Base => self.share_instrument,
            LeverageTier::Select => self.share_instrument.min(self.select_share),
            LeverageTier::High => self.share_instrument.min(self.high_share),
        }
    }
}

/// The funding-risk multiplier's numbers (quant §1.3): `m = clamp(1 + Σ weight · ramp(x; from, to), 1, max)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FundingParams {
    /// Weight and ramp of |z|.
    pub z: Ramp,
    /// Weight and ramp of the persistence.
    pub persistence: Ramp,
    /// Weight and ramp of |z| against other venues.
    pub z_cross: Ramp,
    /// Weight and ramp of the instability.
    pub instability: Ramp,
    /// Largest multiplier.
    pub max: Ratio,
    /// Least multiplier while history is missing, short or stale.
    pub missing: Ratio,
    /// Hours of history below which it is missing.
    pub hours_min: u32,
    /// |z| from which no position may grow.
    pub z_red: Ratio,
    /// Persistence from which no position may grow.
    pub persistence_red: Ratio,
    /// Age of the newest settled rate above which no position may grow: three intervals.
    pub age_max: Span,
    /// Whether rates of another venue are expected. If they are and none came, the divergence counts in full.
    pub cross_venue: bool,
    /// Standard deviations in the bound on funding cost: 1.645 for 95 %.
    pub bound_z: Ratio,
    /// Rate per hour assumed against the position when there is no model of it: about the worst hour of the large markets in
    /// the stress table (quant §5, 0.0938 %).
    pub hourly_unknown: Ratio,
}

/// One term of the multiplier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Ramp {
    /// What it adds at most.
    pub weight: Ratio,
    /// Where it begins to add.
    pub from: Ratio,
    /// Where it adds everything.
    pub to: Ratio,
}

impl Default for FundingParams {
    fn default() -> FundingParams {
        let ramp =
            |weight, from, to| Ramp { weight: Ratio::scaled(weight, 2), from: Ratio::scaled(from, 1), to: Ratio::scaled(to, 1) };
        FundingParams {
            z: ramp(100, 20, 50),
            persistence: ramp(100, 5, 10),
            z_cross: ramp(75, 20, 50),
            instability: ramp(75, 15, 40),
            max: Ratio::scaled(4, 0),
            missing: Ratio::scaled(2, 0),
            hours_min: 168,
            z_red: Ratio::scaled(5, 0),
            persistence_red: Ratio::scaled(9, 1),
            age_max: Span::secs(3 * 3_600),
            cross_venue: false,
            bound_z: Ratio::scaled(1_645, 3),
            hourly_unknown: Ratio::scaled(1, 3),
        }
    }
}
