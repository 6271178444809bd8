//! Candles from the trades that the venue has seen since it started.

use std::collections::{BTreeMap, VecDeque};

use domain::{Px, Qty};
use exchange::{Asset, PublicTrade};

pub(crate) const MINUTE_MS: u64 = 60_000;
/// The venue serves the 5,000 most recent.
const KEPT: usize = 5_000;

/// Interval names with their length in minutes; a month is counted as 30 days.
const INTERVALS: [(&str, u64); 14] = [
    ("1m", 1),
    ("3m", 3),
    ("5m", 5),
    ("15m", 15),
    ("30m", 30),
    ("1h", 60),
    ("2h", 120),
    ("4h", 240),
    ("8h", 480),
    ("12h", 720),
    ("1d", 1_440),
    ("3d", 4_320),
    ("1w", 10_080),
    ("1M", 43_200),
];

/// The length of an interval, milliseconds.
pub(crate) fn interval_ms(name: &str) -> Option<u64> {
    INTERVALS.iter().find(|(n, _)| *n == name).map(|(_, minutes)| minutes * MINUTE_MS)
}

/// One candle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candle {
    pub(crate) open_ms: u64,
    pub(crate) open: Px,
    pub(crate) high: Px,
    pub(crate) low: Px,
    pub(crate) close: Px,
    pub(crate) volume: Qty,
    pub(crate) trades: u64,
}

impl Candle {
    /// Takes in the candle that follows.
    pub(crate) fn merge(&mut self, next: &Candle) {
        self.high = self.high.max(next.high);
        self.low = self.low.min(next.low);
        self.close = next.close;
        self.volume += next.volume;
        self.trades += next.trades;
    }
}

/// One-minute candles of all markets.
#[derive(Debug, Default)]
pub(crate) struct Candles {
    minutes: BTreeMap<Asset, VecDeque<Candle>>,
}

impl Candles {
    pub(crate) fn add(&mut self, trade: &PublicTrade) {
        let open_ms = trade.at_ms - trade.at_ms % MINUTE_MS;
        let single =
            Candle { open_ms, open: trade.px, high: trade.px, low: trade.px, close: trade.px, volume: trade.qty, trades: 1 };
        let minutes = self.minutes.entry(trade.asset).or_default();
        match minutes.back_mut() {
            Some(last) if last.open_ms >= open_ms => last.merge(&single),
            _ => minutes.push_back(single),
        }
        if minutes.len() > KEPT {
            minutes.pop_front();
        }
    }

    /// Candles of `length_ms` that overlap `from_ms..=to_ms`, oldest first: of the market's `past` and of what was traded since.
    pub(crate) fn list<'a>(
        &'a self,
        past: impl Iterator<Item = &'a Candle>,
        asset: Asset,
        length_ms: u64,
        from_ms: u64,
        to_ms: u64,
    ) -> Vec<Candle> {
        let mut out: Vec<Candle> = Vec::new();
        for minute in past.chain(self.minutes.get(&asset).into_iter().flatten()) {
            let open_ms = minute.open_ms - minute.open_ms % length_ms;
            if open_ms + length_ms <= from_ms || open_ms > to_ms {
                continue;
            }
            match out.last_mut() {
                Some(last) if last.open_ms == open_ms => last.merge(minute),
                _ => out.push(Candle { open_ms, ..*minute }),
            }
        }
        out
    }

    /// When the running candle of `length_ms` opened.
    pub(crate) fn running_ms(&self, asset: Asset, length_ms: u64) -> Option<u64> {
        let newest = self.minutes.get(&asset)?.back()?.open_ms;
        Some(newest - newest % length_ms)
    }
}

#[cfg(test)]
mod tests {
    use domain::Side;

    use super::*;

    #[test]
    fn minutes_merge_into_longer_candles() {
        let mut candles = Candles::default();
        let mut trade = |minute: u64, px: i64| {
            candles.add(&PublicTrade {
                asset: Asset(0),
                px: Px(px),
                qty: Qty(2),
                side: Side::Buy,
                at_ms: minute * MINUTE_MS + 5,
                tid: 1,
                buyer: None,
                seller: None,
            });
        };
        for (minute, px) in [(9, 50), (10, 7), (10, 9), (11, 3), (14, 8), (15, 40)] {
            trade(minute, px);
        }
        let five = candles.list([].iter(), Asset(0), 5 * MINUTE_MS, 10 * MINUTE_MS, 14 * MINUTE_MS);
        let only = five.first().expect("one candle");
        assert_eq!(five.len(), 1);
        assert_eq!((only.open, only.high, only.low, only.close), (Px(7), Px(9), Px(3), Px(8)));
        assert_eq!((only.volume, only.trades, only.open_ms), (Qty(8), 4, 10 * MINUTE_MS));
        assert_eq!(candles.running_ms(Asset(0), 5 * MINUTE_MS), Some(15 * MINUTE_MS));
        let before = Candle { open_ms: 5 * MINUTE_MS, open: Px(60), high: Px(60), low: Px(60), close: Px(60), ..*only };
        let joined = candles.list([before].iter(), Asset(0), 10 * MINUTE_MS, 0, 9 * MINUTE_MS);
        assert_eq!(joined.len(), 1, "what was before joins the same interval");
        assert_eq!((joined[0].open, joined[0].close, joined[0].low), (Px(60), Px(50), Px(50)));
        assert_eq!(interval_ms("1h"), Some(3_600_000));
        assert_eq!(interval_ms("7m"), None);
    }
}
