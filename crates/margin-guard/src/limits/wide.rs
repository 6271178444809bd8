//! Limits for simulations.

use super::raw::RawLimits;
use super::sections::{RawBuffer, RawCover, RawDrawdown, RawFunding, RawLiquidation, RawOracle, RawRepeat, RawSizing};
use super::{RawGroup, RawNumber, RawScenario};

impl RawLimits {
    /// Sizing, funding, shocks, groups, trust, drawdown and buffer as wide as they may be written, everything else by default and nothing
    /// allowed yet: for simulated worlds that are about something else. No rule is switched off.
    #[must_use]
    pub fn wide() -> RawLimits {
        let is = |text: &str| Some(RawNumber::new(text));
        let still = |shift: &str| RawScenario {
            shock: [("*".to_owned(), RawNumber::new(shift))].into(),
            funding_hours: is("0"),
            ..RawScenario::default()
        };
        RawLimits {
            sizing: RawSizing {
                // a portfolio beside which every account is a sliver
                other_equity_usd: is("1000000000"),
                tier: is("high"),
                alloc_l2: is("1"),
                share_instrument: is("1"),
                share_venue: is("100"),
                tier_leverage: is("10"),
                sigma_target: is("10"),
                v_min: is("1"),
                v_max: is("3"),
                holding_hours: is("1"),
                k_loss: is("0.000001"),
                k_slippage: is("1"),
                fee_rate: is("0"),
                depth_share: is("1000000"),
                depth_bps: is("10000"),
                ..RawSizing::default()
            },
            funding: RawFunding { multiplier_unknown: is("1"), ..RawFunding::default() },
            cover: RawCover { shocked_min: is("1"), ..RawCover::default() },
            scenario: [("crash".to_owned(), still("-0.000001")), ("rally".to_owned(), still("0.000001"))].into(),
            liquidation: RawLiquidation { distance_min: is("0") },
            buffer: RawBuffer { tail: is("0"), runway_hours_min: is("0"), ..RawBuffer::default() },
            drawdown: RawDrawdown {
                trade: is("1"),
                group: is("1"),
                day: is("1"),
                peak: is("1"),
                velocity_1m: is("1"),
                velocity_5m: is("1"),
                velocity_15m: is("1"),
            },
            group: [("all".to_owned(), RawGroup { markets: Vec::new(), net_max: is("100"), gross_max: is("100") })].into(),
            repeat: RawRepeat { children_max: is("100000"), ..RawRepeat::default() },
            oracle: RawOracle { quarantine_ms: is("0"), ..RawOracle::default() },
            ..RawLimits::default()
        }
    }
}
