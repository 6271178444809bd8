//! Top-ups under shocks.

use domain::Ratio;
use domain::cases::{Figures, Inputs, decimal, float};
use domain::margin::MarginTable;
use rust_decimal::Decimal;
use serde_json::{Map, Value};

use super::margin::margin_table;
use super::sizing::{ratio, usd};
use crate::topup::{Account, Maintenance, Position, Scenario, topup as topup_of};

/// What must be added so that cover is kept (quant §4.4), for either margin model: a position's maintenance is a rate or tiers.
/// Each position names its own `shock`, or `scenarios` give one list of shocks each; the largest amount counts.
pub(super) fn topup(inputs: &Inputs) -> Result<Figures, String> {
    let range = || "a product is out of range".to_owned();
    let hours = inputs.decimal_or(&["hours", "h"], Decimal::ZERO)?;
    let list = inputs.any(&["positions"]).and_then(Value::as_array).ok_or("inputs.positions: expected a list")?;
    let held = list.iter().map(held).collect::<Result<Vec<_>, _>>()?;
    let mut equity = inputs.decimal(&["equity", "A", "account_value"])?;
    let receipts = inputs.any(&["count_receipts"]).and_then(Value::as_bool).unwrap_or(false);
    if receipts {
        // what is received goes into the equity; the projection itself counts payments alone
        for position in &held {
            let paid = position.size.checked_mul(position.oracle).and_then(|v| v.checked_mul(position.funding));
            let paid = paid.and_then(|v| v.checked_mul(hours)).ok_or_else(range)?;
            equity -= paid.min(Decimal::ZERO);
        }
    }
    let positions: Vec<Position<'_>> = held.iter().map(Held::position).collect();
    let shocks = match inputs.any(&["scenarios"]).and_then(Value::as_array) {
        None => vec![held.iter().map(|position| position.shock).collect()],
        Some(scenarios) => scenarios.iter().map(|scenario| shocks(scenario, &held)).collect::<Result<Vec<_>, String>>()?,
    };
    let scenarios: Vec<Scenario<'_>> =
        shocks.iter().map(|shocks| Scenario { name: "stated", shocks, funding_hours: hours }).collect();
    let part = |names: &[&str]| usd(inputs.decimal_or(names, Decimal::ZERO)?);
    let account = Account {
        equity: usd(equity)?,
        fees: part(&["fees", "fee"])?,
        reserved: part(&["reserved", "reserved_orders", "orders"])?,
        target: ratio(inputs.decimal(&["target_multiple", "b", "target"])?)?,
        transfer_fee: part(&["transfer_fee"])?,
        transfer_min: part(&["transfer_min", "bridge_min", "minimum"])?,
    };
    let needed = topup_of(&account, &positions, &scenarios);
    // the figures of the stated scenarios: the account as it stands is one of the function's own
    let worst = scenarios.iter().map(|scenario| crate::topup::project(&account, &positions, scenario));
    let worst = worst.max_by_key(|projected| projected.shortfall).ok_or("inputs.scenarios: none")?;
    let mut all = Figures::new();
    all.alias(["equity_after", "A_after"], &float(worst.equity.decimal()));
    all.alias(["mmr_after", "maintenance_after"], &float(worst.maintenance.decimal()));
    all.alias(["topup", "shortfall"], &float(worst.shortfall.decimal()));
    all.alias(["amount", "transfer", "topup_rounded"], &float(needed.amount.decimal()));
    all.insert("cover_after", worst.equity.over(worst.maintenance).map_or(Value::Null, |cover| float(cover.decimal())));
    Ok(all)
}

struct Held {
    name: Option<String>,
    size: Decimal,
    price: Decimal,
    oracle: Decimal,
    funding: Decimal,
    shock: Ratio,
    rate: Ratio,
    table: Option<MarginTable>,
}

impl Held {
    fn position(&self) -> Position<'_> {
        Position {
            size: self.size,
            price: self.price,
            oracle: self.oracle,
            funding_hourly: self.funding,
            maintenance: self.table.as_ref().map_or(Maintenance::Rate(self.rate), Maintenance::Tiers),
        }
    }
}

fn held(value: &Value) -> Result<Held, String> {
    let object = value.as_object().ok_or_else(|| format!("inputs.positions: {value} is no object"))?;
    let inputs = Inputs::of(object);
    let tiers = inputs.any(&["tiers", "margin_tiers", "max_leverage", "leverage_max"]).is_some();
    let rate = if tiers { Decimal::ZERO } else { inputs.decimal(&["mmr_rate", "mmf", "maintenance_rate"])? };
    let price = inputs.decimal(&["mark", "oracle", "price"])?;
    Ok(Held {
        name: inputs.word("coin").or_else(|| inputs.word("market")).map(str::to_owned),
        size: inputs.decimal(&["size", "szi"])?,
        price,
        oracle: inputs.decimal_or(&["oracle"], price)?,
        funding: inputs.decimal_or(&["funding_h", "funding_hourly"], Decimal::ZERO)?,
        shock: ratio(inputs.decimal_or(&["shock"], Decimal::ZERO)?)?,
        rate: ratio(rate)?,
        table: if tiers { Some(margin_table(&inputs)?) } else { None },
    })
}

/// A list of shocks in the order of the positions, or an object from market to shock.
fn shocks(scenario: &Value, held: &[Held]) -> Result<Vec<Ratio>, String> {
    let none = Map::new();
    let named = scenario.as_object().unwrap_or(&none);
    let of = |(place, position): (usize, &Held)| {
        let own = position.name.as_ref().and_then(|name| named.get(name));
        let shock = scenario.get(place).or(own).map_or(Some(Decimal::ZERO), decimal);
        shock.ok_or_else(|| format!("inputs.scenarios: {scenario} holds something else than numbers")).and_then(ratio)
    };
    held.iter().enumerate().map(of).collect()
}
