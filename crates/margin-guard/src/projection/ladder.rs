//! Working orders of one side of a market.

use std::collections::BTreeMap;

use domain::{Px, Side};

/// Working orders of one side by price. Never empty levels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ladder {
    levels: BTreeMap<i64, Level>,
    pub(crate) lots: i64,
    /// Of these, lots of our own reduce-only orders.
    pub(crate) reducing: i64,
}

/// Orders are counted apart from lots: an order that may still be filled for nothing more keeps its place until it is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Level {
    lots: i64,
    orders: u32,
}

impl Ladder {
    pub(super) fn add(&mut self, px: Px, lots: i64) {
        let level = self.levels.entry(px.0).or_default();
        level.lots += lots;
        level.orders += 1;
        self.lots += lots;
    }

    pub(super) fn shrink(&mut self, px: Px, lots: i64) {
        if let Some(level) = self.levels.get_mut(&px.0) {
            level.lots -= lots;
            self.lots -= lots;
        }
    }

    pub(super) fn remove(&mut self, px: Px, lots: i64) {
        self.shrink(px, lots);
        if let Some(level) = self.levels.get_mut(&px.0) {
            level.orders -= 1;
            if level.orders == 0 {
                self.levels.remove(&px.0);
            }
        }
    }

    pub(super) fn lowest(&self) -> Option<Px> {
        self.levels.iter().find(|(_, l)| l.lots > 0).map(|(px, _)| Px(*px))
    }

    pub(super) fn highest(&self) -> Option<Px> {
        self.levels.iter().rev().find(|(_, l)| l.lots > 0).map(|(px, _)| Px(*px))
    }

    /// Lots times ticks by which buys stand above, or sells below, `mark`. Only those levels are visited.
    pub(super) fn through(&self, side: Side, mark: Px) -> i128 {
        let sum = |(px, level): (&i64, &Level)| i128::from(px.abs_diff(mark.0)) * i128::from(level.lots);
        match side {
            Side::Buy => self.levels.range(mark.0.saturating_add(1)..).map(sum).sum(),
            Side::Sell => self.levels.range(..mark.0).map(sum).sum(),
        }
    }
}
