use std::fmt;

use domain::{ParentOutcome, Ratio};
use rust_decimal::Decimal;

use super::{ParentReport, Report};

impl Report {
    /// Plain text for a terminal.
    #[must_use]
    pub fn render(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, parent) in self.parents.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{parent}")?;
        }
        if let Some(all) = &self.aggregate {
            let (low, high) = (all.low_bps, all.high_bps);
            writeln!(f, "\n{} parents: slippage {} bps, 95 % interval {low} to {high}", all.parents, all.slippage_bps)?;
        }
        Ok(())
    }
}

impl fmt::Display for ParentReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let placement = match self.placement {
            domain::Placement::Passive => "passive",
            domain::Placement::Pegged => "pegged",
            domain::Placement::LimitToMarket => "limit to market",
        };
        let side = match self.side {
            domain::Side::Buy => "buy",
            domain::Side::Sell => "sell",
        };
        let outcome = match &self.outcome {
            None => "open".to_owned(),
            Some(ParentOutcome::Filled) => "filled".to_owned(),
            Some(ParentOutcome::Expired { why, .. }) => format!("expired: {why}"),
            Some(ParentOutcome::Canceled { .. }) => "cancelled".to_owned(),
        };
        let units = if self.in_units { "" } else { " (lots and ticks: the journal holds no instrument)" };
        writeln!(f, "{} {side} {} {} · {} · {placement}{units}", self.parent, self.quantity, self.instrument, self.schedule)?;
        let seconds = Decimal::new(i64::try_from(self.duration_ms).unwrap_or(i64::MAX), 3);
        writeln!(f, "  {outcome} · {} of {} in {seconds} s", self.filled, self.quantity)?;
        let average = self.average_price.map(|p| p.round_dp(6).normalize());
        let (average, slippage) = (or_dash(average), bps(self.slippage_bps));
        writeln!(f, "  average {average} · arrival {} · slippage {slippage}", self.arrival_price)?;
        write!(f, "  maker {} · fees {}", percent(self.maker_share), self.fees)?;
        if let Some(error) = self.schedule_error {
            write!(f, " · schedule error {}", percent(Some(error)))?;
        }
        writeln!(f)?;
        if let Some(s) = &self.shortfall_bps {
            let parts = [("delay", s.delay), ("execution", s.execution), ("opportunity", s.opportunity), ("fees", s.fees)];
            write!(f, "  shortfall {} =", bps(s.total))?;
            for (i, (name, value)) in parts.into_iter().enumerate() {
                write!(f, "{} {name} {}", if i == 0 { "" } else { " +" }, or_dash(value))?;
            }
            if let Some(funding) = s.funding {
                write!(f, " + funding {funding}")?;
            }
            if let Some(money) = s.total_money {
                write!(f, " · {money} in money")?;
            }
            writeln!(f)?;
        }
        write!(f, "  {} children · {} fills · {} cancels", self.children, self.fills, self.cancels)?;
        writeln!(f, " · {} rejects · {} refusals · {} unknown", self.rejects, self.refusals, self.unknowns)?;
        let lifetimes = [
            ("post-only", self.post_only_share),
            ("good-til-cancel", self.good_til_cancel_share),
            ("immediate", self.immediate_share),
        ];
        if self.post_only_share.is_some() {
            let words: Vec<String> = lifetimes.iter().map(|(name, share)| format!("{name} {}", percent(*share))).collect();
            writeln!(f, "  filled by {}", words.join(" · "))?;
        }
        let market = [("TWAP", self.slippage_vs_twap_bps), ("VWAP", self.slippage_vs_vwap_bps)];
        for (name, value) in market.into_iter().filter(|(_, v)| v.is_some()) {
            writeln!(f, "  against the interval's {name} {}", bps(value))?;
        }
        if let Some(participation) = self.participation {
            writeln!(f, "  participation {}", percent(Some(participation)))?;
        }
        if !self.markouts.is_empty() {
            let words: Vec<String> = self.markouts.iter().map(|m| format!("{} s {}", m.after_secs, m.bps)).collect();
            writeln!(f, "  markout, bps: {}", words.join(" · "))?;
        }
        if self.slices.len() > 1 {
            writeln!(f, "  {:>5} {:>8} {:>14} {:>14} {:>10} {:>8}", "slice", "children", "filled", "average", "bps", "maker")?;
            for s in &self.slices {
                let average = or_dash(s.average_price.map(|p| p.round_dp(6).normalize()));
                let (filled, slippage, maker) = (s.filled.to_string(), or_dash(s.slippage_bps), percent(s.maker_share));
                writeln!(f, "  {:>5} {:>8} {filled:>14} {average:>14} {slippage:>10} {maker:>8}", s.slice, s.children)?;
            }
        }
        Ok(())
    }
}

fn or_dash(value: Option<Decimal>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| v.to_string())
}

fn bps(value: Option<Decimal>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| format!("{v} bps"))
}

fn percent(ratio: Option<Ratio>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |r| format!("{} %", (r.decimal() * Decimal::ONE_HUNDRED).normalize()))
}
