//! How large a position may be: every input, factor and cap of the sizing rule, and which of them binds.

use domain::{Instrument, InstrumentId, Lots, Px, Qty, Ratio, Side, Stamp, Usd};
use risk::sizing::{Cap, Sizing};
use serde::Serialize;

use super::{Column, grouped, money, table, wrapped};

/// Decimals of a factor: rates are small, and nobody checks a product by hand with fewer.
const FACTOR_DECIMALS: u32 = 6;

/// The rule in the names of its factors (quant §1).
const RULE: &str =
    "rule = min(base_risk_cap, base_drawdown) · volatility_adjuster / funding_risk_multiplier · drawdown_scale, of";

/// What `plimsoll size` shows of one side of one market.
#[derive(Clone, Debug, Serialize)]
pub struct SizeView {
    /// When.
    pub at: Stamp,
    /// The market.
    pub instrument: InstrumentId,
    /// Direction of the position.
    pub side: Side,
    /// Reference price, the median of oracle, mark and mid; absent while none is fresh.
    pub reference: Option<Px>,
    /// The position now.
    pub position: Option<Lots>,
    /// The position on this side if every working order of it fills and none of the other.
    pub worst: Lots,
    /// The largest position in lots, by the sizing rule and the market's fixed cap.
    pub size: Option<Qty>,
    /// `guard.market_notional_max_usd` of this market, which holds whatever the rule says.
    pub market_notional_max_usd: Usd,
    /// Every factor and cap.
    pub sizing: Sizing,
}

/// The largest notional, and what binds: the sizing rule, or the market's fixed cap if that is smaller.
#[must_use]
pub fn least(sizing: &Sizing, fixed: Usd) -> (Usd, &str) {
    if fixed < sizing.notional { (fixed, FIXED) } else { (sizing.notional, sizing.binding) }
}

impl SizeView {
    /// The largest notional, and what binds.
    #[must_use]
    pub fn least(&self) -> (Usd, &str) {
        least(&self.sizing, self.market_notional_max_usd)
    }

    /// The largest position at `px` in whole lots, rounded down.
    #[must_use]
    pub fn lots(&self, rules: &Instrument, px: Px) -> Qty {
        Sizing { notional: self.least().0, ..self.sizing.clone() }.lots(rules, px)
    }

    /// The caps of the rule, and the fixed one after them.
    fn caps(&self) -> Vec<Cap> {
        let fixed = Cap { name: FIXED, usd: self.market_notional_max_usd, why: "fixed in the configuration".to_owned() };
        self.sizing.caps.iter().cloned().chain([fixed]).collect()
    }
}

/// Name of the fixed cap beside those of the rule.
const FIXED: &str = "market_notional_max";

/// `views`, the sides of one market, in lines of at most `width` columns.
#[must_use]
pub fn size(views: &[SizeView], rules: &Instrument, width: usize) -> Vec<String> {
    let Some(first) = views.first() else { return Vec::new() };
    let price = first.reference.map_or_else(|| "unknown".to_owned(), |px| rules.px_decimal(px).normalize().to_string());
    let mut lines =
        vec![format!("{} · price {price} · {} UTC", first.instrument, super::explain::moment(first.at)), String::new()];
    lines.extend(wrapped(RULE, width));
    let factors: Vec<_> = first.sizing.factors.iter().map(|f| vec![f.name.to_owned(), factor(f.value), f.why.clone()]).collect();
    lines.extend(table(&[Column::Left, Column::Right, Column::Rest], &factors, width));
    for view in views {
        lines.extend([String::new(), format!("caps of a {} position, the smallest wins", word(view.side))]);
        let row = |cap: &Cap| {
            let mark = if cap.name == view.least().1 { ">" } else { "" };
            vec![mark.to_owned(), cap.name.to_owned(), money(cap.usd), cap.why.clone()]
        };
        let caps: Vec<_> = view.caps().iter().map(row).collect();
        lines.extend(table(&[Column::Left, Column::Left, Column::Right, Column::Rest], &caps, width));
        lines.extend(wrapped(&result(view, rules), width));
        for why in &view.sizing.no_increase {
            lines.extend(wrapped(&format!("NO INCREASE whatever the size: {why}"), width));
        }
    }
    lines
}

fn factor(value: Ratio) -> String {
    let value = value.decimal();
    if value.abs() >= rust_decimal::Decimal::ONE_HUNDRED {
        return grouped(value, 2);
    }
    value.round_dp(FACTOR_DECIMALS).normalize().to_string()
}

const fn word(side: Side) -> &'static str {
    match side {
        Side::Buy => "long",
        Side::Sell => "short",
    }
}

fn result(view: &SizeView, rules: &Instrument) -> String {
    let name = rules.id.name();
    let most = view.size.map_or_else(
        || "an unknown quantity, as there is no fresh price".to_owned(),
        |qty| format!("{} {name}", rules.qty_decimal(qty).normalize()),
    );
    let held = view.position.map_or_else(
        || "the position is not known".to_owned(),
        |lots| {
            format!(
                "held: {} {name}, with working orders at worst {}",
                rules.lots_decimal(lots).normalize(),
                rules.lots_decimal(view.worst).normalize()
            )
        },
    );
    format!("{} at most {}, which is {most}; {} binds; {held}", word(view.side), money(view.least().0), view.least().1)
}
