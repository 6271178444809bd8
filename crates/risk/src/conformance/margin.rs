//! Margin models and liquidation prices.

use domain::Usd;
use domain::cases::{Figures, Inputs, decimal, figures, float};
use domain::margin::{MarginTable, liquidation_price};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Value, json};

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
fn margin_table(inputs: &Inputs) -> Result<MarginTable, String> {
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
