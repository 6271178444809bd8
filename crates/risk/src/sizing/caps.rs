//! The terms of the rule and the caps below it.

use domain::{Side, Usd};
use rust_decimal::Decimal;

use super::{
    Cap, Depth, Factor, Inputs, LeverageTier, Multiplier, Room, SizingParams, base_risk_cap, cents, factor, funding_multiplier,
    max_notional, older_than, percent, volatility_adjuster,
};
use crate::buffer::funding_cost;
use crate::exact::{add, allowed, div, mul, sqrt_up};
use crate::stats::HOURS_PER_YEAR;

/// Halvings of the loss budget's bisection: 10^15 in units of 10^-12 has 90 bits, and the answer is rounded down.
const HALVINGS: u32 = 64;

/// What the rule is made of.
pub(super) struct Terms {
    tier: LeverageTier,
    tier_why: String,
    base: Decimal,
    base_drawdown: Decimal,
    sigma: Decimal,
    sigma_why: String,
    adjuster: Decimal,
    pub(super) multiplier: Multiplier,
    scale: Decimal,
    horizon: Decimal,
}

impl Terms {
    pub(super) fn of(params: &SizingParams, inputs: &Inputs<'_>) -> Terms {
        let (tier, tier_why) = earned_tier(params, inputs);
        let equity = inputs.equity_total.map_or(Decimal::ZERO, |e| e.decimal().max(Decimal::ZERO));
        let base =
            base_risk_cap(equity, params.alloc_l2.decimal(), params.share(tier).decimal(), params.leverage(tier).decimal());
        let horizon = sqrt_up(div(Decimal::from(params.holding_hours), Decimal::from(HOURS_PER_YEAR)));
        let budget = inputs.trade_budget.map_or(Decimal::ZERO, |b| b.decimal().max(Decimal::ZERO));
        let base_drawdown = div(budget, mul(mul(params.k_loss.decimal(), params.sigma_target.decimal()), horizon));
        let (sigma, sigma_why) = sigma(params, inputs);
        let (v_min, v_max) = (params.v_min.decimal(), params.v_max.decimal());
        Terms {
            tier,
            tier_why,
            base,
            base_drawdown,
            adjuster: volatility_adjuster(params.sigma_target.decimal(), sigma, v_min, v_max),
            sigma,
            sigma_why,
            multiplier: funding_multiplier(&params.funding, inputs.measure.map(|m| &m.funding), inputs.now_ms),
            scale: inputs.drawdown_scale.decimal().clamp(Decimal::ZERO, Decimal::ONE),
            horizon,
        }
    }

    fn rule(&self) -> Decimal {
        mul(max_notional(self.base.min(self.base_drawdown), self.adjuster, self.multiplier.value), self.scale)
    }

    pub(super) fn factors(&self, params: &SizingParams, inputs: &Inputs<'_>) -> Vec<Factor> {
        let equity = inputs.equity_total.map_or(Decimal::ZERO, Usd::decimal);
        let equity_why = if inputs.equity_total.is_some() { "all venues and what is stated besides" } else { "not known" };
        vec![
            factor("equity_total", equity, equity_why),
            factor("alloc_l2", params.alloc_l2.decimal(), "share of the portfolio that may be on layer 2"),
            factor("share_instrument", params.share(self.tier).decimal(), "part of that for one instrument"),
            factor("tier_leverage", params.leverage(self.tier).decimal(), self.tier_why.clone()),
            factor("base_risk_cap", self.base, "equity_total · alloc_l2 · share_instrument · tier_leverage"),
            factor(
                "base_drawdown",
                self.base_drawdown,
                format!(
                    "trade budget {} / (k_loss {} · sigma_target {} · √({} h / 8760 h)); the lower of the two bases counts",
                    inputs.trade_budget.map_or_else(|| "not known".into(), |b| cents(b.decimal())),
                    params.k_loss,
                    params.sigma_target,
                    params.holding_hours
                ),
            ),
            factor("sigma_forecast", self.sigma, self.sigma_why.clone()),
            factor(
                "volatility_adjuster",
                self.adjuster,
                format!("sigma_target {} / sigma_forecast, {} to {}", params.sigma_target, params.v_min, params.v_max),
            ),
            factor("funding_risk_multiplier", self.multiplier.value, self.multiplier.why.clone()),
            factor("drawdown_scale", self.scale, "share of the drawdown budgets that is left"),
            factor("trust", inputs.trust.decimal(), "score of the venue"),
        ]
    }
}

/// The tier that the inputs earn: `select` without proof of a hedge is `base`.
fn earned_tier(params: &SizingParams, inputs: &Inputs<'_>) -> (LeverageTier, String) {
    match params.tier {
        LeverageTier::Base => (LeverageTier::Base, "tier base".into()),
        LeverageTier::High => (LeverageTier::High, "tier high, by explicit opt-in".into()),
        LeverageTier::Select => match inputs.hedge {
            Some(proof) if proof.ratio >= params.hedge_ratio_min && proof.venues >= params.hedge_venues_min => {
                (LeverageTier::Select, format!("tier select: hedge ratio {} on {} venues", proof.ratio, proof.venues))
            }
            Some(proof) => (
                LeverageTier::Base,
                format!(
                    "tier base: select asks for a hedge ratio of {} on {} venues, there is {} on {}",
                    params.hedge_ratio_min, params.hedge_venues_min, proof.ratio, proof.venues
                ),
            ),
            None => (LeverageTier::Base, "tier base: select asks for proof of a hedge, there is none".into()),
        },
    }
}

/// The volatility forecast, or the one at which the adjuster is at its least.
fn sigma(params: &SizingParams, inputs: &Inputs<'_>) -> (Decimal, String) {
    let unknown = div(params.sigma_target.decimal(), params.v_min.decimal()).max(params.sigma_floor.decimal());
    let Some(view) = inputs.measure.map(|m| m.volatility) else {
        return (unknown, "no statistics of this market: taken as sigma_target / v_min".into());
    };
    let Some(forecast) = view.forecast else {
        return (unknown, format!("{} h of bars are too few: taken as sigma_target / v_min", view.hours));
    };
    let sigma = forecast.decimal().max(params.sigma_floor.decimal());
    if older_than(inputs.now_ms, view.newest_ms, params.history_age_max) {
        return (unknown.max(sigma), "bars are stale: taken as sigma_target / v_min or the last forecast, the larger".into());
    }
    (sigma, "the largest of fast, slow and realised volatility and the floor".into())
}

/// All caps, the rule first.
pub(super) fn all(params: &SizingParams, inputs: &Inputs<'_>, terms: &Terms) -> Vec<Cap> {
    vec![
        cap("rule", terms.rule(), rule_why(terms)),
        loss_budget(params, inputs, terms),
        depth(params, inputs),
        leverage(params, inputs, terms),
        room("group", inputs.group_room, "the group's cap", terms),
        venue(params, inputs),
        room("margin_after_shock", inputs.margin_room, "cover under every scenario", terms),
    ]
}

fn cap(name: &'static str, value: Decimal, why: impl Into<String>) -> Cap {
    Cap { name, usd: allowed(value), why: why.into() }
}

fn rule_why(terms: &Terms) -> String {
    format!(
        "min({}, {}) · {} / {} · {}",
        cents(terms.base),
        cents(terms.base_drawdown),
        terms.adjuster.round_dp(4).normalize(),
        terms.multiplier.value.round_dp(4).normalize(),
        terms.scale.round_dp(4).normalize()
    )
}

/// Largest N with `N·(k_loss·σ·√(h/8760) + fees) + k_s·N·s(N) + N·funding ≤ D_trade`; the left side is convex and grows with N.
fn loss_budget(params: &SizingParams, inputs: &Inputs<'_>, terms: &Terms) -> Cap {
    let name = "loss_budget";
    let Some(budget) = inputs.trade_budget else { return cap(name, Decimal::ZERO, "the trade's loss budget is not known") };
    let Some(book) = inputs.depth else { return cap(name, Decimal::ZERO, "no book: the cost of leaving is not known") };
    let market = mul(mul(params.k_loss.decimal(), terms.sigma), terms.horizon);
    let funding = funding_share(params, inputs);
    let per_unit = add(add(market, params.fee_rate.decimal().max(Decimal::ZERO)), funding);
    let k_slippage = stressed(params, book);
    let loss = |n: Decimal| add(mul(n, per_unit), mul(k_slippage, book.walk.cost(n).0));
    let budget = mul(budget.decimal().max(Decimal::ZERO), terms.scale);
    let (mut low, mut high) = (Decimal::ZERO, div(budget, per_unit));
    if loss(high) <= budget {
        low = high;
    }
    for _ in 0..HALVINGS {
        let middle = div(add(low, high), Decimal::TWO);
        if loss(middle) <= budget { low = middle } else { high = middle }
    }
    let (cost, extrapolated) = book.walk.cost(low);
    let why = format!(
        "a loss of {}: {} by price, {} by exit slippage{}, {} by fees, {} by funding, of each unit",
        cents(budget),
        percent(market),
        percent(div(mul(k_slippage, cost), low)),
        if extrapolated { " (beyond the visible book)" } else { "" },
        percent(params.fee_rate.decimal()),
        percent(funding)
    );
    cap(name, low, why)
}

/// Funding per unit of notional over the holding time, at its bound. Receipts are not counted: what is received at best takes
/// nothing off the uncertainty (seed rule: funding never enlarges a position).
fn funding_share(params: &SizingParams, inputs: &Inputs<'_>) -> Decimal {
    let view = inputs.measure.map(|m| m.funding).unwrap_or_default();
    let cost = funding_cost(&params.funding, &view, inputs.side, params.holding_hours, inputs.funding_cap);
    cost.bound_without_receipts.decimal().max(Decimal::ZERO)
}

/// The factor on measured slippage; doubled for an old book.
fn stressed(params: &SizingParams, book: &Depth) -> Decimal {
    let k = params.k_slippage.decimal().max(Decimal::ONE);
    if book.age > params.book_age_max { mul(k, Decimal::TWO) } else { k }
}

fn depth(params: &SizingParams, inputs: &Inputs<'_>) -> Cap {
    let name = "depth";
    let Some(book) = inputs.depth else { return cap(name, Decimal::ZERO, "no book") };
    let side = match inputs.side {
        Side::Buy => "bids",
        Side::Sell => "asks",
    };
    let why = format!("{} of {} in the {side} within {} bp", params.depth_share, cents(book.near.decimal()), params.depth_bps);
    cap(name, mul(params.depth_share.decimal(), book.near.decimal()), why)
}

/// `Σ|N|/E_venue` stays below the tier's leverage.
fn leverage(params: &SizingParams, inputs: &Inputs<'_>, terms: &Terms) -> Cap {
    let name = "leverage";
    let (Some(equity), Some(other)) = (inputs.equity_venue, inputs.venue_other) else {
        return cap(name, Decimal::ZERO, "the venue's equity or its other positions are not known");
    };
    let leverage = params.leverage(terms.tier);
    let room = add(mul(leverage.decimal(), equity.decimal()), -other.decimal().max(Decimal::ZERO));
    let why =
        format!("{leverage}x of {} at the venue, less {} in other markets", cents(equity.decimal()), cents(other.decimal()));
    cap(name, room, why)
}

fn venue(params: &SizingParams, inputs: &Inputs<'_>) -> Cap {
    let name = "venue";
    let (Some(equity), Some(other)) = (inputs.equity_total, inputs.venue_other) else {
        return cap(name, Decimal::ZERO, "the portfolio's equity or the venue's other positions are not known");
    };
    let trust = inputs.trust.decimal().clamp(Decimal::ZERO, Decimal::ONE);
    let limit = mul(mul(trust, params.venue_share.decimal()), equity.decimal());
    let why = format!(
        "trust {} · {} · {}, less {} in other markets",
        trust.round_dp(4).normalize(),
        params.venue_share,
        cents(equity.decimal()),
        cents(other.decimal())
    );
    cap(name, add(limit, -other.decimal().max(Decimal::ZERO)), why)
}

fn room(name: &'static str, room: Room, what: &str, terms: &Terms) -> Cap {
    match room {
        // a limit that does not exist binds nowhere: the rule stands for it
        Room::NoCap => cap(name, terms.rule(), format!("{what} is not configured: the rule alone holds")),
        Room::UpTo(usd) => cap(name, usd.decimal(), format!("{what} leaves this")),
        Room::Unknown => cap(name, Decimal::ZERO, format!("{what} cannot be computed")),
    }
}
