//! The limits as the formulas of `risk` take them.

use domain::{InstrumentId, Ratio, Span, Venue};
use risk::buffer::BufferParams;
use risk::drawdown::{DrawdownParams, VelocityLimit};
use risk::scorecard::{Drilled, Scorecard, Trust as VenueTrust};
use risk::sizing::{FundingParams, LeverageTier, Ramp, SizingParams};

use super::{Limits, Tier};

impl From<Tier> for LeverageTier {
    fn from(tier: Tier) -> LeverageTier {
        match tier {
            Tier::Base => LeverageTier::Base,
            Tier::Select => LeverageTier::Select,
            Tier::High => LeverageTier::High,
        }
    }
}

impl Limits {
    /// The sizing rule's numbers in one market.
    #[must_use]
    pub fn sizing_params(&self, instrument: InstrumentId) -> SizingParams {
        let own = self.sizing_of(instrument);
        let standard = SizingParams::default();
        // what a tier is not given keeps the base: select without proof of a hedge is base
        let base_leverage = if own.tier == Tier::Base { own.tier_leverage } else { standard.base_leverage };
        SizingParams {
            other_equity: own.other_equity_usd,
            alloc_l2: own.alloc_l2,
            share_instrument: own.share_instrument,
            tier: own.tier.into(),
            base_leverage,
            select_leverage: own.tier_leverage,
            high_leverage: own.tier_leverage,
            sigma_target: own.sigma_target,
            sigma_floor: own.sigma_floor,
            v_min: own.v_min,
            v_max: own.v_max,
            holding_hours: own.holding_hours,
            k_loss: own.k_loss,
            k_slippage: own.k_slippage,
            fee_rate: own.fee_rate,
            depth_share: own.depth_share,
            depth_bps: own.depth_bps,
            book_age_max: self.caps(instrument).book_age,
            venue_share: own.share_venue,
            funding: self.funding_params(),
            ..standard
        }
    }

    /// The funding-risk multiplier's numbers.
    #[must_use]
    pub fn funding_params(&self) -> FundingParams {
        let own = self.funding();
        let standard = FundingParams::default();
        let ramp = |of: Ramp, from: Ratio, to: Ratio| Ramp { from, to, ..of };
        FundingParams {
            z: ramp(standard.z, own.z_from, own.z_full),
            z_cross: ramp(standard.z_cross, own.z_from, own.z_full),
            persistence: ramp(standard.persistence, own.persistence_from, standard.persistence.to),
            instability: ramp(standard.instability, own.instability_from, own.instability_full),
            max: own.multiplier_max,
            missing: own.multiplier_unknown,
            hours_min: own.hours_min,
            z_red: own.z_red,
            persistence_red: own.persistence_red,
            age_max: Span::secs(u64::from(own.intervals_stale) * 3_600),
            ..standard
        }
    }

    /// Drawdown budgets and the speed of losses.
    #[must_use]
    pub fn drawdown_params(&self) -> DrawdownParams {
        let own = self.drawdown();
        let limit = |minutes: u64, loss| VelocityLimit { within: Span::secs(60 * minutes), loss };
        DrawdownParams {
            trade: own.trade,
            group: own.group,
            day: own.day,
            peak: own.peak,
            velocity: vec![limit(1, own.velocity_1m), limit(5, own.velocity_5m), limit(15, own.velocity_15m)],
        }
    }

    /// The same-chain buffer's numbers.
    #[must_use]
    pub fn buffer_params(&self) -> BufferParams {
        let own = self.buffer();
        BufferParams {
            alpha: own.alpha,
            tail: own.tail,
            exit_minutes: own.exit_minutes,
            unknown_factor: own.unknown_factor,
            runway_min_hours: own.runway_hours_min,
            ..BufferParams::default()
        }
    }

    /// What is known of a venue; nothing, if nothing was written.
    #[must_use]
    pub fn scorecard(&self, venue: Venue) -> &Scorecard {
        static NOTHING: Scorecard = Scorecard { answers: Vec::new(), review_days: 0, drilled: None };
        self.scorecards.get(&venue).unwrap_or(&NOTHING)
    }

    /// Trust in a venue on the UTC day `today`, counted from 1970-01-01, with what our own drills say of the way out: a review
    /// that has expired counts as unknown.
    #[must_use]
    pub fn venue_trust(&self, venue: Venue, today: u32, drilled: Option<&Drilled>) -> VenueTrust {
        let card = self.scorecard(venue);
        match drilled {
            None => card.trust(today),
            Some(drilled) => Scorecard { drilled: Some(drilled.clone()), ..card.clone() }.trust(today),
        }
    }
}
