//! Margin levels: how deep an account is loaded, by cover, with hysteresis (quant §4.3).

use domain::{LevelChange, MarginLevel, Ratio, Stamp, Usd, Venue};
use rust_decimal::Decimal;

use crate::Guard;
use crate::limits::{Cover, VENUES};

const DAY_MS: u64 = 86_400_000;

/// The levels below ok, mildest first, each with the cover below which it holds.
fn thresholds(cover: &Cover) -> [(MarginLevel, Ratio); 4] {
    [
        (MarginLevel::Watch, cover.watch),
        (MarginLevel::TopUp, cover.top_up),
        (MarginLevel::Reduce, cover.reduce),
        (MarginLevel::Kill, cover.kill),
    ]
}

/// The level at `cover`, with every threshold times `scale`.
fn at(levels: &Cover, cover: Decimal, scale: Decimal) -> MarginLevel {
    let below = |threshold: Ratio| cover < threshold.decimal() * scale;
    thresholds(levels).into_iter().filter(|(_, threshold)| below(*threshold)).map(|(level, _)| level).max().unwrap_or_default()
}

/// The level that follows `now`. It gets worse at its threshold, and better only when cover has risen above the threshold by
/// the hysteresis; reducing goes on until its target is restored, or it would stop half way. Without maintenance there is
/// nothing to cover.
fn follow(levels: &Cover, now: MarginLevel, cover: Option<Ratio>) -> MarginLevel {
    let Some(cover) = cover else { return MarginLevel::Ok };
    let worse = at(levels, cover.decimal(), Decimal::ONE);
    let better = at(levels, cover.decimal(), Decimal::ONE + levels.hysteresis.decimal());
    let reducing = now >= MarginLevel::Reduce && cover < levels.target;
    let better = if reducing { better.max(MarginLevel::Reduce) } else { better };
    worse.max(now.min(better))
}

fn why(levels: &Cover, from: MarginLevel, to: MarginLevel, cover: Option<Ratio>) -> String {
    let Some(cover) = cover else { return "nothing to cover: no maintenance margin is asked".into() };
    let shown = cover.decimal().round_dp(4).normalize();
    let of = |level: MarginLevel| thresholds(levels).into_iter().find(|(l, _)| *l == level).map_or(Ratio::ZERO, |(_, t)| t);
    if to > from {
        format!("cover {shown} is below {}: {to}", of(to))
    } else if from >= MarginLevel::Reduce && to < MarginLevel::Reduce {
        format!("cover {shown} has reached the target {}: {to}", levels.target)
    } else {
        let left = thresholds(levels).into_iter().find(|(level, _)| *level > to).map_or(Ratio::ZERO, |(_, t)| t);
        let hysteresis = levels.hysteresis.decimal() * Decimal::ONE_HUNDRED;
        format!("cover {shown} is above {left} by {} % or more: {to}", hysteresis.normalize())
    }
}

impl Guard {
    /// Brings every account's level up to date and tells what changed. An account that cannot be judged keeps its level: what is
    /// missing is told in `alarms`, and the rules refuse its increases by themselves.
    pub(crate) fn follow_levels(&mut self, now: Stamp, alarms: &mut Vec<String>) -> Vec<LevelChange> {
        self.follow_doubts(now);
        let mut changes = Vec::new();
        for venue in VENUES {
            let state = self.projection.venue(venue);
            if state.account.is_none() && state.blind.is_empty() && state.open == 0 {
                continue;
            }
            if let Some(doubt) = self.doubt(now, venue) {
                alarms.push(format!("{venue}: the margin level stays {}: {doubt}", state.level));
                continue;
            }
            let alone = self.mark_doubt(now, venue);
            if let Some(doubt) = &alone {
                alarms.push(format!("{venue}: the margin level follows the venue's report alone: {doubt}"));
            }
            changes.extend(self.follow_level(venue, alone.is_none()));
        }
        changes
    }

    /// What has expired since the last look: reviews of a venue, and bars that nobody renewed.
    fn follow_doubts(&mut self, now: Stamp) {
        let day = u32::try_from(now.wall_ms / DAY_MS).unwrap_or(u32::MAX);
        let doubted = VENUES.map(|venue| !self.venue_trust(venue, day).unknown_questions().is_empty());
        for slot in 0..self.projection.markets.len() {
            let market = &self.projection.markets[slot];
            let age_max = self.limits.sizing_params(market.id).history_age_max.as_millis();
            let newest_ms = market.measure.map_or(0, |m| m.volatility.newest_ms);
            let faded = market.measure.is_some() && now.wall_ms.saturating_sub(newest_ms) > age_max;
            let doubted = VENUES.iter().zip(doubted).any(|(venue, open)| *venue == market.id.venue() && open);
            self.projection.set_doubts(&self.limits, slot, doubted, faded);
        }
    }

    /// `marked` unless a mark is in doubt: then what the venue reported counts, which is what it would liquidate by.
    fn follow_level(&mut self, venue: Venue, marked: bool) -> Option<LevelChange> {
        let state = self.projection.venue(venue);
        let (equity, maintenance) = if marked {
            (state.equity_marked()?, state.maintenance_standing())
        } else {
            (state.account?.equity, state.account?.maintenance)
        };
        let (cover, levels) = (equity.over(maintenance), self.limits().cover());
        let from = state.level;
        let to = follow(levels, from, cover);
        if from == to {
            return None;
        }
        let why = why(levels, from, to, cover);
        let (equity, maintenance): (Usd, Usd) = (equity.usd(), maintenance.usd());
        self.projection.venue_mut(venue).level = to;
        Some(LevelChange { venue, from, to, cover, equity, maintenance, why })
    }
}

#[cfg(test)]
mod tests;
