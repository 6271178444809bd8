//! What is measured of a market: its history as facts, and the statistics drawn from it. Statistics are computed in floats by
//! `risk` and kept here as decimals, so that what a decision rested on can be read back exactly.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{InstrumentId, Lots, Px, Ratio, Span, Stamp, Usd, Venue};

/// One closed bar of a market's prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bar {
    /// When it begins, UTC milliseconds; a multiple of its length.
    pub start_ms: u64,
    /// First price.
    pub open: Px,
    /// Highest price.
    pub high: Px,
    /// Lowest price.
    pub low: Px,
    /// Last price.
    pub close: Px,
}

/// The funding rate of one interval that has been settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FundingRate {
    /// End of the accrual interval, UTC milliseconds, on the hour. Rates of different venues are compared by the hours that they
    /// accrued over, not by the moment at which they were printed (quant §1.3).
    pub until_ms: u64,
    /// Length of the interval in hours.
    pub hours: u32,
    /// Rate **per hour** of the interval: the printed rate divided by `hours`. Positive: longs pay.
    pub hourly: Ratio,
}

/// Volatility of one market, annualised on 8,760 hours, as shares of price (quant §1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolatilityView {
    /// EWMA of hourly returns, λ 0.97.
    pub fast: Option<Ratio>,
    /// EWMA of hourly returns, λ 0.994.
    pub slow: Option<Ratio>,
    /// From five-minute returns.
    pub realised: Option<Ratio>,
    /// Garman–Klass over hourly bars.
    pub garman_klass: Option<Ratio>,
    /// The largest of fast, slow, realised and the floor; absent with too little history to say.
    pub forecast: Option<Ratio>,
    /// Hourly returns it rests on.
    pub hours: u32,
    /// End of the newest bar, UTC milliseconds; 0 without one.
    pub newest_ms: u64,
}

/// Funding of one market, per hour (quant §1.3, §1.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FundingView {
    /// The newest rate: the venue's prediction for the running hour, or the last settled one.
    pub rate: Option<Ratio>,
    /// How far the mean of the last 8 hours lies from the window's median, in scales with the floor.
    pub z: Option<Ratio>,
    /// Share of the last 24 hours in which z had the same sign as now and |z| > 2.
    pub persistence: Option<Ratio>,
    /// The same distance for the difference to the median of other venues, hours aligned; absent without another venue.
    pub z_cross: Option<Ratio>,
    /// Standard deviation of the last 24 hours over that of the window.
    pub instability: Option<Ratio>,
    /// AR(1): long-run mean per hour.
    pub mean: Option<Ratio>,
    /// AR(1): coefficient.
    pub phi: Option<Ratio>,
    /// AR(1): standard deviation of the innovation.
    pub sigma: Option<Ratio>,
    /// Hours of history in the window.
    pub hours: u32,
    /// End of the newest settled interval, UTC milliseconds; 0 without one.
    pub newest_ms: u64,
}

/// What is known of a market's behaviour at one moment. Absent figures mean that there is too little history; whoever sizes
/// by them takes the conservative side and says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// The market.
    pub instrument: InstrumentId,
    /// When it was computed.
    pub at: Stamp,
    /// Volatility.
    pub volatility: VolatilityView,
    /// Funding.
    pub funding: FundingView,
    /// Regression slope of its hourly returns on those of the venue's BTC market; absent with too little history.
    pub beta: Option<Ratio>,
    /// Correlation of the two; absent likewise.
    pub correlation: Option<Ratio>,
}

/// How deep an account is loaded (quant §4.3). Ordered: later is worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarginLevel {
    /// Nothing to do.
    #[default]
    Ok,
    /// Worth a look.
    Watch,
    /// Margin should be added.
    TopUp,
    /// Positions are being reduced.
    Reduce,
    /// Trading is stopped but for reductions.
    Kill,
}

impl fmt::Display for MarginLevel {
    /// The word that the configuration and the field use.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            MarginLevel::Ok => "ok",
            MarginLevel::Watch => "watch",
            MarginLevel::TopUp => "top up",
            MarginLevel::Reduce => "reduce",
            MarginLevel::Kill => "kill",
        })
    }
}

/// A change of an account's margin level, with the numbers it followed from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelChange {
    /// Whose account.
    pub venue: Venue,
    /// Before.
    pub from: MarginLevel,
    /// From now on.
    pub to: MarginLevel,
    /// Equity ÷ maintenance of the account as it stands; absent when flat.
    pub cover: Option<Ratio>,
    /// Equity.
    pub equity: Usd,
    /// Maintenance margin.
    pub maintenance: Usd,
    /// In words.
    pub why: String,
}

/// Profit and loss by our own fills, fees and funding, marked at the venue's marks. Deposits and withdrawals are no part of it.
/// Recorded so that peaks and budgets outlive the process (C16).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfitMark {
    /// UTC day, counted from 1970-01-01.
    pub day: u32,
    /// Profit since the journal began.
    pub profit: Usd,
    /// Its value when the day began.
    pub day_start: Usd,
    /// Its highest value so far.
    pub peak: Usd,
    /// Equity over all venues at this moment.
    pub equity: Usd,
    /// Highest equity over all venues while `peak` stood, the base of the drawdown from the peak.
    pub peak_equity: Usd,
    /// Per open position: profit since it was last flat, and the highest value of that.
    pub trades: Vec<(InstrumentId, Usd, Usd)>,
    /// Positions that came without a fill (found at the venue when the journal began, or taken over by the operator) and are
    /// valued from here on, each at the mark of this moment: market, lots, mark.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<(InstrumentId, Lots, Px)>,
}

/// Length of the bars of which hourly statistics are made.
pub const HOURLY: Span = Span::secs(3_600);
/// Length of the bars behind realised volatility.
pub const FIVE_MINUTES: Span = Span::secs(300);
