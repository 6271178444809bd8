//! The sections that hold plain figures. Defaults are those of the quant reference where it has one.

use domain::{Ratio, Span, Usd};

use super::faults::Faults;
use super::number::{Figure, RawNumber, section};

/// How far leverage may go in a market (quant §1.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Up to 3 times, no condition.
    #[default]
    Base,
    /// Up to 5 times, if a hedge at a second venue is proven.
    Select,
    /// Up to 10 times, by explicit choice and for a sliver of the allocation.
    High,
}

impl Tier {
    /// The word in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Tier::Base => "base",
            Tier::Select => "select",
            Tier::High => "high",
        }
    }

    /// The highest leverage that the tier may be given.
    pub(super) const fn leverage_max(self) -> u32 {
        match self {
            Tier::Base => 3,
            Tier::Select => 5,
            Tier::High => 10,
        }
    }
}

impl Figure for Tier {
    fn read(faults: &mut Faults, field: &str, raw: Option<&RawNumber>, _: &str, _: &str, _: &str) -> Tier {
        match raw.map(|r| r.text.as_str()) {
            None | Some("base") => Tier::Base,
            Some("select") => Tier::Select,
            Some("high") => Tier::High,
            Some(other) => {
                faults.add(field, other, "base, select or high");
                Tier::Base
            }
        }
    }

    fn write(&self) -> RawNumber {
        RawNumber::new(self.word())
    }
}

section! {
    /// `[guard.sizing]`: how large a position may be (quant §1.1, §1.2, §1.5 to §1.7).
    RawSizing => Sizing at "sizing" {
        /// Portfolio equity outside the venues, as the operator states it, in quote currency: counts in the total equity.
        other_equity_usd: Usd = "0", "0", "1000000000000";
        /// Ceiling on the Layer-2 share of the portfolio.
        alloc_l2: Ratio = "0.30", "0.000001", "1";
        /// Part of the Layer-2 allocation that one instrument may use.
        share_instrument: Ratio = "0.50", "0.000001", "1";
        /// Most positions at one venue, as a share of the total equity, before its trust scales it (§1.9).
        share_venue: Ratio = "0.40", "0.000001", "100";
        /// How far leverage may go: base, select or high.
        tier: Tier = "base", "base", "high";
        /// Leverage within the tier: at most 3 in base, 5 in select, 10 in high.
        tier_leverage: Ratio = "2.5", "0.1", "10";
        /// Annual volatility at which the rule asks for no reduction, as a share of price.
        sigma_target: Ratio = "0.40", "0.01", "10";
        /// Least annual volatility that is believed.
        sigma_floor: Ratio = "0.20", "0.01", "10";
        /// Least volatility adjuster; also the one taken while volatility is not known.
        v_min: Ratio = "0.25", "0.01", "1";
        /// Greatest volatility adjuster: above 1 only if written.
        v_max: Ratio = "1.0", "0.01", "3";
        /// Planned holding time in hours, over which the loss budget is reckoned.
        holding_hours: u32 = "24", "1", "8760";
        /// How many standard deviations of a move the loss budget must bear.
        k_loss: Ratio = "2.33", "0.000001", "10";
        /// Multiple of the book's slippage that leaving is expected to cost.
        k_slippage: Ratio = "3", "1", "100";
        /// Taker fee, as a share of notional.
        fee_rate: Ratio = "0.00045", "0", "0.05";
        /// Largest position as a share of the book's visible depth.
        depth_share: Ratio = "0.25", "0.000001", "1000000";
        /// Distance from the mid, in basis points, within which depth counts.
        depth_bps: u32 = "25", "1", "10000";
    }
}

section! {
    /// `[guard.funding]`: what funding does to size, and when it forbids growth (quant §1.3).
    RawFunding => Funding at "funding" {
        /// Red flag: |z| of the funding rate from which nothing may grow (C15).
        z_red: Ratio = "5", "0.1", "1000000";
        /// Red flag: share of the last day that stood out the same way, from which nothing may grow.
        persistence_red: Ratio = "0.9", "0.01", "2";
        /// |z| from which the multiplier rises.
        z_from: Ratio = "2", "0", "1000000";
        /// |z| at which its part of the multiplier is full.
        z_full: Ratio = "5", "0.1", "1000000";
        /// Persistence from which the multiplier rises.
        persistence_from: Ratio = "0.5", "0", "1";
        /// Instability (day over window) from which the multiplier rises.
        instability_from: Ratio = "1.5", "0", "1000000";
        /// Instability at which its part is full.
        instability_full: Ratio = "4", "0.1", "1000000";
        /// Greatest multiplier.
        multiplier_max: Ratio = "4", "1", "100";
        /// Multiplier while there is too little history.
        multiplier_unknown: Ratio = "2", "1", "100";
        /// Hours of history below which it is too little.
        hours_min: u32 = "168", "1", "8760";
        /// Settled intervals, of an hour each, without a newer one after which the data is stale and nothing may grow.
        intervals_stale: u32 = "3", "1", "1000";
    }
}

section! {
    /// `[guard.cover]`: margin levels of an account by cover, equity in multiples of maintenance margin (quant §4.3).
    RawCover => Cover at "cover" {
        /// Below it: watch.
        watch: Ratio = "4", "1", "1000";
        /// Below it: margin should be added.
        top_up: Ratio = "3", "1", "1000";
        /// Below it: positions are reduced.
        reduce: Ratio = "2", "1", "1000";
        /// Below it: trading stops but for reductions.
        kill: Ratio = "1.4", "1", "1000";
        /// How far above its threshold cover must rise before a level is left, as a share of the threshold.
        hysteresis: Ratio = "0.10", "0", "1";
        /// Cover that automatic reduction restores.
        target: Ratio = "3", "1", "1000";
        /// Least cover of the projected account under every scenario.
        shocked_min: Ratio = "1.4", "1", "1000";
    }
}

section! {
    /// `[guard.liquidation]`: distance to the liquidation price (quant §4.1, §4.2).
    RawLiquidation => Liquidation at "liquidation" {
        /// Least distance of the mark from the liquidation price of the projected account, as a share of the mark.
        distance_min: Ratio = "0.08", "0", "1";
    }
}

section! {
    /// `[guard.buffer]`: free collateral that must stay for the time a refill takes (quant §1.10).
    RawBuffer => Buffer at "buffer" {
        /// Confidence of the running adverse excursion.
        alpha: Ratio = "0.99", "0.5", "0.9999";
        /// Fat-tail multiple of the Gaussian excursion.
        tail: Ratio = "1.6", "0", "10";
        /// Minutes until the account can be left or refilled, retries included.
        exit_minutes: u32 = "20", "1", "100000";
        /// Multiple of the buffer while an answer of the venue's scorecard is unknown.
        unknown_factor: Ratio = "1.5", "1", "10";
        /// Least hours that free collateral must last on volatility and funding.
        runway_hours_min: Ratio = "1", "0", "8760";
    }
}

section! {
    /// `[guard.drawdown]`: budgets as shares of the total equity (quant §1.8, C16), and how fast a loss may run (C52).
    RawDrawdown => Drawdown at "drawdown" {
        /// Loss of one position since it was opened.
        trade: Ratio = "0.005", "0.000001", "1";
        /// Loss of the positions of one group.
        group: Ratio = "0.015", "0.000001", "1";
        /// Loss of the account since the UTC day began.
        day: Ratio = "0.03", "0.000001", "1";
        /// Fall of the account from its peak.
        peak: Ratio = "0.08", "0.000001", "1";
        /// Loss within one minute.
        velocity_1m: Ratio = "0.01", "0.000001", "1";
        /// Loss within five minutes.
        velocity_5m: Ratio = "0.015", "0.000001", "1";
        /// Loss within fifteen minutes.
        velocity_15m: Ratio = "0.02", "0.000001", "1";
    }
}

section! {
    /// `[guard.oracle]`: an oracle that stands still or disagrees (C18, F37 to F39, quant §1.11).
    RawOracle => Oracle at "oracle" {
        /// Distance of oracle from mark or mid, in basis points, that is reported.
        basis_alert_bps: Ratio = "50", "1", "10000";
        /// Distance from which nothing may grow.
        basis_max_bps: Ratio = "150", "1", "10000";
        /// Age of the oracle price above which nothing may grow, and after which it must prove itself again.
        age_max_ms: Span = "60000", "1000", "600000";
        /// Updates with the very same oracle price after which it may be frozen.
        frozen_updates: u32 = "10", "2", "100000";
        /// Move of the mid, in basis points, over these updates that makes it frozen.
        frozen_move_bps: Ratio = "25", "1", "10000";
        /// How long a fresh and agreeing oracle must be seen after it was stale, frozen or apart.
        quarantine_ms: Span = "300000", "0", "86400000";
    }
}

section! {
    /// `[guard.repeat]`: a parent that repeats itself (C08). It stays stopped until the operator touches it.
    RawRepeat => Repeat at "repeat" {
        /// Window.
        window_ms: Span = "60000", "1000", "3600000";
        /// Orders at one and the same price without a fill in between, within the window.
        children_max: u32 = "100", "2", "100000";
        /// Fills within the window.
        fills_max: u32 = "1000", "2", "1000000";
    }
}

section! {
    /// `[guard.rejects]`: a venue that keeps refusing (C50). Orders that would have taken, or found nothing to take, do not count.
    RawRejects => Rejects at "rejects" {
        /// Refusals in a row from which increases pause.
        consecutive_max: u32 = "5", "1", "1000";
        /// Share of a minute's answers that may be refusals.
        share_max: Ratio = "0.20", "0.01", "1";
        /// Answers in a minute below which the share says nothing.
        answers_min: u32 = "10", "1", "10000";
        /// How long it must be quiet before increases resume.
        quiet_ms: Span = "60000", "1000", "3600000";
    }
}

section! {
    /// `[guard.trust]`: how the scorecard is read (quant §1.9).
    RawTrust => Trust at "trust" {
        /// Days after which a review counts as unknown.
        review_days: u32 = "90", "1", "1000";
    }
}

impl Sizing {
    pub(super) fn consistent(&self, faults: &mut Faults, path: &str) {
        let most = self.tier.leverage_max();
        if self.tier_leverage.decimal() > most.into() {
            let expected = format!("at most {most} in the {} tier", self.tier.word());
            faults.add(&format!("{path}tier_leverage"), self.tier_leverage.to_string(), expected);
        }
        faults.in_order("sizing", &[("v_min", self.v_min), ("v_max", self.v_max)]);
    }
}

impl Funding {
    pub(super) fn consistent(&self, faults: &mut Faults) {
        faults.in_order("funding", &[("z_from", self.z_from), ("z_full", self.z_full)]);
        faults.in_order("funding", &[("instability_from", self.instability_from), ("instability_full", self.instability_full)]);
        faults.in_order("funding", &[("multiplier_unknown", self.multiplier_unknown), ("multiplier_max", self.multiplier_max)]);
    }
}

impl Cover {
    pub(super) fn consistent(&self, faults: &mut Faults) {
        let levels = [("kill", self.kill), ("reduce", self.reduce), ("top_up", self.top_up), ("watch", self.watch)];
        faults.in_order("cover", &levels);
        let least = self.reduce.decimal() * (rust_decimal::Decimal::ONE + self.hysteresis.decimal());
        if self.target.decimal() < least {
            let expected = format!("at least {}, or reducing would never end", least.normalize());
            faults.add("cover.target", self.target.to_string(), expected);
        }
    }
}

impl Drawdown {
    pub(super) fn consistent(&self, faults: &mut Faults) {
        let budgets = [("trade", self.trade), ("group", self.group), ("day", self.day), ("peak", self.peak)];
        faults.in_order("drawdown", &budgets);
        let speeds = [("velocity_1m", self.velocity_1m), ("velocity_5m", self.velocity_5m), ("velocity_15m", self.velocity_15m)];
        faults.in_order("drawdown", &speeds);
    }
}

impl Oracle {
    /// [`Oracle::basis_max_bps`] in whole basis points, rounded down.
    pub(crate) fn basis_max(&self) -> u64 {
        u64::try_from(self.basis_max_bps.decimal().trunc()).unwrap_or_default()
    }

    pub(super) fn consistent(&self, faults: &mut Faults) {
        let bounds = [("basis_alert_bps", self.basis_alert_bps), ("basis_max_bps", self.basis_max_bps)];
        faults.in_order("oracle", &bounds);
    }
}
