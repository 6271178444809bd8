//! Margin models and liquidation prices.

use domain::Usd;
use domain::cases::{Figures, Inputs, decimal, figures, float};
use domain::margin::{DydxMargin, DydxTier, MarginModel, MarginTable, PPM, liquidation_price};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Value, json};

use super::sizing::usd;

pub(super) fn hyperliquid(inputs: &Inputs) -> Result<Figures, String> {
    let range = || "a product is out of range".to_owned();
    let size = inputs.decimal(&["size", "szi"])?;
    let mark = match inputs.any(&["mark", "price", "px"]) {
        Some(_) => inputs.decimal(&["mark", "price", "px"])?,
        None => inputs.decimal(&["position_value", "notional"])?.checked_div(size.abs()).ok_or("inputs.size = 0")?,
    };
    let table = margin_table(inputs)?;
    let notional = size.abs().checked_mul(mark).and_then(|n| Usd::new(n).ok()).ok_or_else(range)?;
    let own = table.maintenance(notional).decimal();
    let value = inputs.decimal(&["isolated_margin", "margin", "cross_account_value", "account_value", "equity"])?;
    let other = match inputs.any(&["cross_maintenance_used", "maintenance_used"]) {
        Some(_) => inputs.decimal(&["cross_maintenance_used", "maintenance_used"])? - own,
        None => inputs.decimal_or(&["maintenance_other", "mmr_other", "other_maintenance"], Decimal::ZERO)?,
    };
    let price = liquidation_price(&table, size, mark, value, other);
    let tier = table.tiers().iter().position(|t| t == table.tier(notional)).unwrap_or(0);
    Ok(figures([
        ("liq_price", price.map_or(Value::Null, float)),
        ("liquidation_price", price.map_or(Value::Null, float)),
        ("maintenance", float(own)),
        ("maintenance_margin", float(own)),
        ("mmr", float(own)),
        ("tier", json!(tier)),
    ]))
}

/// Tiers as `[[from, leverage], …]` or `[{"lower_bound", "max_leverage"}, …]`, or one leverage for all sizes.
pub(super) fn margin_table(inputs: &Inputs) -> Result<MarginTable, String> {
    let Some(tiers) = inputs.any(&["tiers", "margin_tiers"]).and_then(Value::as_array) else {
        let leverage = inputs.count(&["max_leverage", "leverage_max"])?;
        return MarginTable::new(&[(Usd::ZERO, leverage)]).map_err(|e| e.to_string());
    };
    let steps = tiers.iter().map(|tier| {
        let field = |place: usize, names: [&str; 3]| {
            tier.get(place).or_else(|| names.iter().find_map(|n| tier.get(*n))).and_then(decimal)
        };
        let from = field(0, ["lower_bound", "lowerBound", "from"]).and_then(|d| Usd::new(d).ok());
        let leverage = field(1, ["max_leverage", "maxLeverage", "leverage_max"]).and_then(|d| d.to_u32());
        from.zip(leverage).ok_or_else(|| format!("inputs.tiers: {tier} is not a lower bound and a leverage"))
    });
    MarginTable::new(&steps.collect::<Result<Vec<_>, _>>()?).map_err(|e| e.to_string())
}

/// dYdX v4: `target` (or the inputs themselves) and `others`; each position with `mmf`, and with `imf` for collateral. A market
/// alone, by its open interest, gives the effective initial fraction.
pub(super) fn dydx(inputs: &Inputs) -> Result<Figures, String> {
    let range = || "a product is out of range".to_owned();
    let target = inputs.any(&["target"]).and_then(Value::as_object);
    let target = target.map_or(*inputs, Inputs::of);
    let mut all = Figures::new();
    if target.any(&IMF).is_some() {
        let market = market(&target)?;
        let oracle = target.decimal_or(&["oracle"], Decimal::ONE)?;
        let open = match target.any(&["oi_notional", "open_interest_notional"]) {
            Some(_) => target.decimal(&["oi_notional", "open_interest_notional"])?,
            None => target.decimal_or(&["open_interest", "oi"], Decimal::ZERO)?.checked_mul(oracle).ok_or_else(range)?,
        };
        let effective = market.initial_ppm_at(usd(open)?).max(user_ppm(&target)?).min(PPM);
        all.alias(["effective_imf_ppm", "imf_eff_ppm"], &json!(effective));
        all.alias(["effective_imf", "imf_eff"], &float(Decimal::new(i64::from(effective), 6)));
        all.alias(["mmf_ppm", "maintenance_margin_ppm"], &json!(market.maintenance_ppm()));
    }
    let others = inputs.any(&["others", "positions"]).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let others = others.iter().map(|o| o.as_object().map(Inputs::of).ok_or_else(|| format!("inputs.others: {o} is no object")));
    let others = others.collect::<Result<Vec<_>, _>>()?;
    let own = target.any(&["size", "szi"]).is_some().then_some(target);
    let (mut value, mut maintenance, mut initial) = (Decimal::ZERO, Decimal::ZERO, Some(Decimal::ZERO));
    let mut of_others = Decimal::ZERO;
    for (place, position) in own.iter().chain(&others).enumerate() {
        let notional = signed_notional(position)?;
        let (held, worth) = (market(position)?, usd(notional.abs())?);
        value = value.checked_add(notional).ok_or_else(range)?;
        let kept = held.maintenance(worth).decimal();
        maintenance = maintenance.checked_add(kept).ok_or_else(range)?;
        if place > 0 || own.is_none() {
            of_others = of_others.checked_add(kept).ok_or_else(range)?;
        }
        let open = position.any(&["oi_notional"]).is_some().then(|| position.decimal(&["oi_notional"])).transpose()?;
        let open = open.map(usd).transpose()?;
        let asked = held.initial(worth, Some(user_ppm(position)?), open).decimal();
        let known = position.any(&IMF).is_some();
        initial = initial.filter(|_| known).and_then(|sum| sum.checked_add(asked));
    }
    let equity = match inputs.any(&["equity"]) {
        Some(_) => Some(inputs.decimal(&["equity"])?),
        None if inputs.any(&["usdc", "quote", "Q_usdc"]).is_some() => {
            inputs.decimal(&["usdc", "quote", "Q_usdc"])?.checked_add(value)
        }
        None => None,
    };
    if let Some(equity) = equity {
        all.insert("equity", float(equity));
        all.alias(["mmr", "maintenance", "maintenance_margin"], &float(maintenance));
        all.insert("mmr_other", float(of_others));
        all.insert("liquidatable", json!(maintenance > Decimal::ZERO && maintenance > equity));
        if let Some(initial) = initial {
            all.alias(["imr", "initial", "initial_margin"], &float(initial));
            all.insert("free_collateral", float(equity - initial));
        }
        if let Some(own) = own {
            let (size, oracle) = (own.decimal(&["size", "szi"])?, own.decimal(&["oracle", "price"])?);
            let price = MarginModel::from(market(&own)?).liquidation_price(size, oracle, equity, of_others);
            all.alias(["liq_price", "liquidation_price"], &price.map_or(Value::Null, float));
            let moved = price.and_then(|price| price.checked_sub(oracle)).and_then(|by| by.checked_mul(size));
            all.insert("equity_at_liq", moved.map_or(Value::Null, |moved| float(equity + moved)));
        }
    }
    if all.is_empty() { Err("inputs: neither a market with base_imf_ppm nor an account with equity".into()) } else { Ok(all) }
}

/// Names of the base initial fraction: in parts per million, or as a share.
const IMF: [&str; 4] = ["base_imf_ppm", "initial_margin_ppm", "imf", "base_imf"];

fn signed_notional(position: &Inputs) -> Result<Decimal, String> {
    let (size, oracle) = (position.decimal(&["size", "szi"])?, position.decimal(&["oracle", "price"])?);
    size.checked_mul(oracle).ok_or_else(|| "a product is out of range".to_owned())
}

fn ppm(inputs: &Inputs, whole: &[&str], share: &[&str]) -> Result<Option<u32>, String> {
    let value = match (inputs.any(whole), inputs.any(share)) {
        (Some(_), _) => inputs.decimal(whole)?,
        (None, Some(_)) => inputs.decimal(share)? * Decimal::from(PPM),
        (None, None) => return Ok(None),
    };
    value
        .to_u32()
        .filter(|ppm| *ppm <= PPM)
        .map(Some)
        .ok_or_else(|| format!("inputs.{}: {value} is no fraction in ppm", share[0]))
}

/// A fraction that the user set, or what a leverage comes to; zero without either.
fn user_ppm(inputs: &Inputs) -> Result<u32, String> {
    if let Some(own) = ppm(inputs, &["user_imf_ppm", "custom_imf_ppm"], &["user_imf", "custom_imf"])? {
        return Ok(own);
    }
    let names = ["user_leverage", "leverage"];
    let leverage = inputs.any(&names).is_some().then(|| inputs.count(&names)).transpose()?;
    Ok(leverage.map_or(0, |leverage| PPM.div_ceil(leverage.max(1))))
}

/// The market of a position. `mmf` stands where only maintenance is stated.
fn market(inputs: &Inputs) -> Result<DydxMargin, String> {
    let initial = ppm(inputs, &["base_imf_ppm", "initial_margin_ppm"], &["imf", "base_imf"])?;
    let fraction = ppm(inputs, &["maintenance_fraction_ppm"], &["maintenance_fraction"])?;
    let maintenance = ppm(inputs, &["mmf_ppm"], &["mmf"])?;
    let (initial_ppm, maintenance_fraction_ppm) = match (initial, fraction, maintenance) {
        (Some(initial), Some(fraction), _) => (initial, fraction),
        (Some(initial), None, Some(kept)) => {
            // rounded up, so that the product comes back as the stated fraction when it is rounded down
            let fraction = (u64::from(kept) * u64::from(PPM)).div_ceil(u64::from(initial.max(1)));
            (initial, u32::try_from(fraction).map_err(|e| e.to_string())?)
        }
        (Some(initial), None, None) => (initial, PPM),
        (None, _, Some(kept)) => (kept, PPM),
        (None, _, None) => return Err("inputs.mmf: missing; or give base_imf_ppm and maintenance_fraction_ppm".into()),
    };
    let bound = |names: &[&str]| usd(inputs.decimal_or(names, Decimal::ZERO)?);
    let tier = DydxTier {
        initial_ppm,
        maintenance_fraction_ppm,
        open_interest_lower: bound(&["oi_lower_cap", "oi_lower"])?,
        open_interest_upper: bound(&["oi_upper_cap", "oi_upper"])?,
    };
    DydxMargin::new(tier).map_err(|e| e.to_string())
}

/// dYdX v4's funding: the clamp of the 8-hour rate, and the hourly rate `P/8 + interest` within it.
pub(super) fn funding_dydx(inputs: &Inputs) -> Result<Figures, String> {
    let mut all = Figures::new();
    let cap = if inputs.any(&IMF).is_some() {
        let usual = Decimal::from(6_000_000);
        let factor = inputs.decimal_or(&["clamp_factor_ppm"], usual)?;
        let cap = market(inputs)?.funding_cap_8h().decimal() * factor / usual;
        all.alias(["max_abs_8h_rate_ppm", "cap_8h_ppm"], &float(cap * Decimal::from(PPM)));
        all.alias(["max_abs_8h_rate", "cap_8h"], &float(cap));
        all.alias(["max_abs_hourly_rate", "cap_hourly"], &float(cap / Decimal::from(8)));
        Some(cap / Decimal::from(8))
    } else {
        None
    };
    if inputs.any(&["premium", "P"]).is_some() {
        let isolated = inputs.any(&["isolated"]).and_then(Value::as_bool).unwrap_or(false);
        let interest = inputs.decimal_or(&["interest_h", "interest"], Decimal::new(if isolated { 125 } else { 0 }, 7))?;
        let rate = inputs.decimal(&["premium", "P"])? / Decimal::from(8) + interest;
        let rate = cap.map_or(rate, |cap| rate.clamp(-cap, cap));
        all.alias(["rate_hourly", "hourly_rate", "rate", "funding_h"], &float(rate));
        if inputs.any(&["size"]).is_some() && inputs.any(&["oracle"]).is_some() {
            let payment = signed_notional(inputs)?.checked_mul(rate);
            all.insert("payment", payment.map_or(Value::Null, float));
        }
    }
    if all.is_empty() { Err("inputs.premium: missing; or give initial_margin_ppm for the clamp".into()) } else { Ok(all) }
}
