//! The sizing rule and the buffer.

use domain::cases::{Figures, Inputs, decimal, float};
use domain::{FundingView, InstrumentId, Measure, Ratio, Side, Span, Stamp, Usd, Venue, VolatilityView};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::buffer::{BufferInputs, BufferParams, buffer as buffer_of, excursion, runway_hours};
use crate::sizing::{
    Depth, Inputs as Known, Room, SizingParams, Walk, WalkStep, base_risk_cap, funding_multiplier, max_notional, size as size_of,
    volatility_adjuster,
};
use crate::stats::normal::excursion_quantile;

/// More than any size that is asked for: where a case states no limit, this stands for it.
const NO_LIMIT: Usd = Usd::whole(1_000_000_000);

/// The rule, and with a loss budget (`D_trade`) the caps that follow from it.
pub(super) fn size(inputs: &Inputs) -> Result<Figures, String> {
    let mut params = params(inputs)?;
    let sigma = sigma(inputs, &params)?;
    let view = funding(inputs)?;
    let multiplier = funding_multiplier(&params.funding, Some(&view), 1).value;
    let adjuster =
        volatility_adjuster(params.sigma_target.decimal(), sigma.decimal(), params.v_min.decimal(), params.v_max.decimal());
    let equity = optional(inputs, &["E_total", "equity_total", "equity"])?;
    let base = match (optional(inputs, &["base_risk_cap", "B"])?, equity) {
        (Some(base), _) => base,
        (None, Some(equity)) => base_risk_cap(
            equity,
            params.alloc_l2.decimal(),
            params.share_instrument.decimal(),
            params.leverage(params.tier).decimal(),
        ),
        (None, None) => return Err("inputs.base_risk_cap: missing; or give E_total".into()),
    };
    let mut all = Figures::new();
    all.alias(["base_risk_cap", "B"], &float(base));
    all.alias(["volatility_adjuster", "v"], &float(adjuster));
    all.alias(["funding_risk_multiplier", "m"], &float(multiplier));
    all.alias(["sigma_forecast"], &float(sigma.decimal()));
    let Some(budget) = optional(inputs, &["D_trade", "trade_budget", "loss_budget"])? else {
        let notional = float(max_notional(base, adjuster, multiplier));
        all.alias(["max_notional", "rule", "notional", "size"], &notional);
        return Ok(all);
    };

    // the whole function, with nothing but the rule, the loss budget and the stated depth to limit it
    let equity = equity.unwrap_or_else(|| base.checked_div(per_equity(&params)).unwrap_or(base));
    let book = depth(inputs, &params)?;
    let measure = Measure {
        instrument: InstrumentId::new(Venue::Hyperliquid, "BTC").map_err(|e| e.to_string())?,
        at: Stamp::default(),
        volatility: VolatilityView { forecast: Some(sigma), newest_ms: 1, ..VolatilityView::default() },
        funding: view,
        beta: None,
        correlation: None,
    };
    let (bound, hours) = (optional(inputs, &["funding_bound_share", "funding_share"])?, params.holding_hours);
    if bound.is_none() && view.mean.is_none() {
        params.funding.hourly_unknown = Ratio::ZERO;
    }
    if let (Some(bound), false) = (bound, hours == 0) {
        params.funding.hourly_unknown = ratio(bound.checked_div(Decimal::from(hours)).unwrap_or(bound))?;
    }
    let sized = size_of(
        &params,
        &Known {
            side: Side::Buy,
            now_ms: 1,
            equity_total: Some(usd(equity)?),
            equity_venue: Some(NO_LIMIT),
            venue_other: Some(Usd::ZERO),
            measure: Some(&measure),
            trust: ratio(optional(inputs, &["trust"])?.unwrap_or(Decimal::ONE))?,
            drawdown_scale: ratio(optional(inputs, &["drawdown_scale", "g"])?.unwrap_or(Decimal::ONE))?,
            trade_budget: Some(usd(budget)?),
            depth: Some(&book),
            group_room: Room::NoCap,
            margin_room: Room::NoCap,
            hedge: None,
            funding_cap: Ratio::ONE,
        },
    );
    for factor in &sized.factors {
        if factor.name == "base_drawdown" {
            all.alias(["base_drawdown", "B_dd"], &float(factor.value.decimal()));
        }
    }
    for cap in &sized.caps {
        all.insert(cap.name, float(cap.usd.decimal()));
        if cap.name == "rule" {
            all.insert("max_notional", float(cap.usd.decimal()));
        }
        if cap.name == "loss_budget" {
            all.alias(["loss_cap", "max_notional_loss"], &float(cap.usd.decimal()));
        }
    }
    all.alias(["notional", "size", "final_notional"], &float(sized.notional.decimal()));
    all.insert("binding", json!(sized.binding));
    Ok(all)
}

fn params(inputs: &Inputs) -> Result<SizingParams, String> {
    let usual = SizingParams::default();
    let or = |names: &[&str], otherwise: Ratio| optional(inputs, names)?.map_or(Ok(otherwise), ratio);
    let hours = ["h", "holding_hours", "hours_held"];
    Ok(SizingParams {
        alloc_l2: or(&["alloc_l2"], usual.alloc_l2)?,
        share_instrument: or(&["share_instrument"], usual.share_instrument)?,
        base_leverage: or(&["tier_leverage"], usual.base_leverage)?,
        sigma_target: or(&["sigma_target"], usual.sigma_target)?,
        // a stated forecast is taken as it is
        sigma_floor: or(
            &["sigma_floor"],
            if inputs.any(&["sigma_forecast"]).is_some() { Ratio::ZERO } else { usual.sigma_floor },
        )?,
        v_min: or(&["v_min"], usual.v_min)?,
        v_max: or(&["v_max"], usual.v_max)?,
        holding_hours: if inputs.any(&hours).is_some() { inputs.count(&hours)? } else { usual.holding_hours },
        k_loss: or(&["k_loss"], usual.k_loss)?,
        k_slippage: or(&["k_s", "k_slippage"], usual.k_slippage)?,
        fee_rate: or(&["fee_rate", "fees", "fee"], usual.fee_rate)?,
        depth_share: or(&["depth_share"], usual.depth_share)?,
        depth_bps: usual.depth_bps,
        venue_share: or(&["venue_share"], Ratio::scaled(1_000_000, 0))?,
        ..usual
    })
}

/// What one unit of equity gives of the base, so that a stated base can be had from the equity behind it.
fn per_equity(params: &SizingParams) -> Decimal {
    let leverage = params.leverage(params.tier).decimal();
    base_risk_cap(Decimal::ONE, params.alloc_l2.decimal(), params.share(params.tier).decimal(), leverage)
}

fn sigma(inputs: &Inputs, params: &SizingParams) -> Result<Ratio, String> {
    let stated = ["sigma_forecast", "sigma_fast", "sigma_slow", "sigma_realised", "fast", "slow", "realised"];
    let mut largest = None;
    for name in stated {
        largest = largest.max(optional(inputs, &[name])?);
    }
    let largest = largest.ok_or("inputs.sigma_forecast: missing")?;
    ratio(largest.max(params.sigma_floor.decimal()))
}

fn funding(inputs: &Inputs) -> Result<FundingView, String> {
    let or_zero = |names: &[&str]| Ok::<_, String>(Some(ratio(inputs.decimal_or(names, Decimal::ZERO)?)?));
    let stated = |names: &[&str]| optional(inputs, names)?.map(ratio).transpose();
    let hours = ["history_hours", "hours_of_history", "history_h"];
    Ok(FundingView {
        rate: stated(&["f0", "funding_now"])?,
        z: or_zero(&["z"])?,
        persistence: or_zero(&["persist", "p", "persistence"])?,
        z_cross: or_zero(&["z_cross", "z_x"])?,
        instability: or_zero(&["vol_ratio", "rho", "instability"])?,
        mean: stated(&["mu", "funding_mean"])?,
        phi: stated(&["phi"])?,
        sigma: stated(&["sigma_eps", "funding_sigma"])?,
        hours: if inputs.any(&hours).is_some() { inputs.count(&hours)? } else { 720 },
        newest_ms: 1,
    })
}

/// The book as `levels` of [notional, share away from the mid], or one `slippage` for every size.
fn depth(inputs: &Inputs, params: &SizingParams) -> Result<Depth, String> {
    let steps = match inputs.any(&["levels", "depth_levels"]).and_then(Value::as_array) {
        Some(levels) => levels
            .iter()
            .map(|level| {
                let at = |place: usize| level.get(place).and_then(decimal);
                let pair = at(0).zip(at(1)).ok_or_else(|| format!("inputs.levels: {level} is not [notional, share]"))?;
                Ok(WalkStep { notional: pair.0, offset: pair.1 })
            })
            .collect::<Result<Vec<_>, String>>()?,
        None => {
            let share = match optional(inputs, &["slippage_bps", "s_bps"])? {
                Some(bps) => bps / Decimal::from(10_000),
                None => optional(inputs, &["slippage", "s"])?.unwrap_or(Decimal::ZERO),
            };
            vec![WalkStep { notional: NO_LIMIT.decimal(), offset: share }]
        }
    };
    let walk = Walk::new(steps).ok_or("inputs.levels: no depth")?;
    let near = match optional(inputs, &["depth_25bp", "depth", "depth_usd"])? {
        Some(near) => usd(near)?,
        None if inputs.any(&["levels", "depth_levels"]).is_some() => walk.within(params.depth_bps),
        None => NO_LIMIT,
    };
    Ok(Depth { walk, near, age: Span::ZERO })
}

/// The same-chain buffer and the runway.
pub(super) fn buffer(inputs: &Inputs) -> Result<Figures, String> {
    let usual = BufferParams::default();
    let notional = inputs.decimal(&["notional", "N", "N_net"])?;
    let sigma = inputs.decimal(&["sigma_ann", "sigma", "sigma_annual"])?;
    let alpha = ratio(inputs.decimal_or(&["confidence", "alpha"], usual.alpha.decimal())?)?;
    let tail = ratio(inputs.decimal_or(&["tail_mult", "tail"], Decimal::ONE)?)?;
    let risk = usd(notional.abs().checked_mul(sigma).ok_or("a product is out of range")?)?;
    let params = BufferParams { alpha, tail, unknown_factor: usual.unknown_factor, ..usual };
    let mut all = Figures::new();
    all.alias(["factor", "quantile", "z_factor"], &float(excursion_quantile(alpha).decimal()));
    if let Some(free) = optional(inputs, &["free", "F", "free_margin"])? {
        let hours = runway_hours(&params, usd(free)?, risk).map_or(Value::Null, |hours| float(hours.decimal()));
        all.alias(["runway", "runway_h", "runway_hours", "H_star"], &hours);
    }
    let hours = match (optional(inputs, &["hours", "H"])?, optional(inputs, &["minutes"])?, optional(inputs, &["days"])?) {
        (Some(hours), _, _) => Some(hours),
        (None, Some(minutes), _) => Some(minutes / Decimal::from(60)),
        (None, None, Some(days)) => Some(days * Decimal::from(24)),
        (None, None, None) => None,
    };
    if let Some(hours) = hours {
        let excursion = excursion(risk, hours, alpha, tail);
        let part = |names: &[&str]| usd(inputs.decimal_or(names, Decimal::ZERO)?);
        // the parts are added by the function itself: with no exit delay its own excursion is nothing
        let whole = buffer_of(
            &BufferParams { exit_minutes: 0, ..params },
            &BufferInputs {
                risk,
                scenario_loss: part(&["scenario_loss", "scenario"])?.max(excursion),
                funding_bound: part(&["funding_bound", "funding"])?,
                fees: part(&["fees", "fee"])?,
                unknown: inputs.any(&["unknown", "fuzzy"]).and_then(Value::as_bool).unwrap_or(false),
            },
        );
        all.insert("excursion", float(excursion.decimal()));
        all.alias(["buffer", "A_buf", "required"], &float(whole.required.decimal()));
    }
    if all.is_empty() || (hours.is_none() && inputs.any(&["free", "F", "free_margin"]).is_none()) {
        return Err("inputs.hours: missing; or give free for a runway".into());
    }
    Ok(all)
}

fn optional(inputs: &Inputs, names: &[&str]) -> Result<Option<Decimal>, String> {
    inputs.any(names).is_some().then(|| inputs.decimal(names)).transpose()
}

pub(super) fn ratio(value: Decimal) -> Result<Ratio, String> {
    Ratio::new(value).map_err(|e| e.to_string())
}

pub(super) fn usd(value: Decimal) -> Result<Usd, String> {
    Usd::new(value).map_err(|e| e.to_string())
}
