//! Limits that nobody should have.

use std::collections::BTreeMap;

use margin_guard::{Limits, RawBuffer, RawCover, RawDrawdown, RawLimits, RawLiquidation, RawNumber, RawScenario, RawSizing};

/// Limits under which an account can be loaded far beyond what anybody should: what is tested is the way back.
pub fn limits(allow: &[&str]) -> Limits {
    let n = |text: &str| Some(RawNumber::new(text));
    let shock = |share: &str| RawScenario {
        shock: BTreeMap::from([("*".into(), RawNumber::new(share))]),
        funding_hours: n("0"),
        ..RawScenario::default()
    };
    let raw = RawLimits {
        allow: allow.iter().map(|id| (*id).into()).collect(),
        order_notional_max_usd: n("1000000"),
        parent_notional_max_usd: n("2000000"),
        parents_per_hour_max_usd: n("9000000"),
        market_notional_max_usd: n("2000000"),
        venue_notional_max_usd: n("4000000"),
        leverage_max: n("20"),
        cover_min: n("1"),
        sizing: RawSizing {
            // a portfolio beside which the account is a sliver, so that leverage alone bounds it
            other_equity_usd: n("1000000000"),
            alloc_l2: n("1"),
            share_instrument: n("1"),
            share_venue: n("100"),
            tier: n("high"),
            tier_leverage: n("10"),
            sigma_target: n("10"),
            k_loss: n("0.000001"),
            k_slippage: n("1"),
            depth_share: n("1000000"),
            ..RawSizing::default()
        },
        liquidation: RawLiquidation { distance_min: n("0") },
        scenario: BTreeMap::from([("crash".into(), shock("-0.01")), ("rally".into(), shock("0.01"))]),
        cover: RawCover { shocked_min: n("1"), ..RawCover::default() },
        buffer: RawBuffer { tail: n("0"), runway_hours_min: n("0"), ..RawBuffer::default() },
        drawdown: RawDrawdown {
            trade: n("1"),
            group: n("1"),
            day: n("1"),
            peak: n("1"),
            velocity_1m: n("1"),
            velocity_5m: n("1"),
            velocity_15m: n("1"),
        },
        ..RawLimits::default()
    };
    Limits::check(raw).unwrap_or_else(|faults| panic!("{faults:?}"))
}
