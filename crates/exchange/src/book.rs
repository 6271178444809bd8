//! One market's book: background quantity and orders of accounts in one price-time queue per level.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use domain::{Px, Qty, Side};

use crate::view::BookLevel;
use crate::{AccountKey, LevelChange};

/// A resting order as the book sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Time priority: grows with every order that comes to rest.
    pub seq: u64,
    pub oid: u64,
    pub account: AccountKey,
    pub qty: Qty,
    /// Background lots between the order before it and itself. The queue ahead of an order is the sum of the gaps up to it.
    gap: i64,
}

/// What stands first in the queue of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    Background(Qty),
    Order(Entry),
}

#[derive(Clone, Debug, Default)]
struct Level {
    queue: VecDeque<Entry>,
    /// Background lots behind the last order.
    tail: i64,
    /// All background lots available: gaps and tail.
    background: i64,
    /// What the tape showed last, less what traded since. A tape that shows the same again refreshes nothing.
    shown: i64,
    /// Number of the background event that last named the level.
    named: u64,
    /// Lots of accounts.
    own: i64,
    /// Whether orders joined it below the last level that the tape shows. What stands there is then unknown, and taken to be
    /// ahead of them once it is shown.
    unseen: bool,
}

impl Level {
    fn is_empty(&self) -> bool {
        self.background == 0 && self.own == 0
    }

    fn is_forgettable(&self) -> bool {
        self.is_empty() && self.shown == 0
    }

    fn front(&self) -> Option<Front> {
        match self.queue.front() {
            Some(first) if first.gap > 0 => Some(Front::Background(Qty(first.gap))),
            Some(first) => Some(Front::Order(*first)),
            None if self.tail > 0 => Some(Front::Background(Qty(self.tail))),
            None => None,
        }
    }

    fn take_background(&mut self, qty: i64) {
        let mut left = qty;
        for entry in &mut self.queue {
            let eaten = left.min(entry.gap);
            entry.gap -= eaten;
            left -= eaten;
        }
        let eaten = left.min(self.tail);
        self.tail -= eaten;
        self.background -= qty - (left - eaten);
    }

    fn set_background(&mut self, new: i64) {
        let old = self.background;
        if new >= old {
            self.tail += new - old;
        } else {
            let mut ahead_old = 0_i128;
            let mut ahead_new = 0_i64;
            for entry in &mut self.queue {
                ahead_old += i128::from(entry.gap);
                let scaled = (ahead_old * i128::from(new) + i128::from(old) - 1) / i128::from(old);
                let scaled = i64::try_from(scaled).unwrap_or(new).min(new);
                entry.gap = scaled - ahead_new;
                ahead_new = scaled;
            }
            self.tail = new - ahead_new;
        }
        self.background = new;
    }

    fn position(&self, seq: u64) -> Option<usize> {
        let at = self.queue.partition_point(|e| e.seq < seq);
        self.queue.get(at).filter(|e| e.seq == seq).map(|_| at)
    }

    fn remove(&mut self, at: usize) {
        if let Some(entry) = self.queue.remove(at) {
            self.own -= entry.qty.0;
            match self.queue.get_mut(at) {
                Some(next) => next.gap += entry.gap,
                None => self.tail += entry.gap,
            }
        }
    }
}

/// One side of the book.
#[derive(Clone, Debug)]
pub(crate) struct Half {
    side: Side,
    levels: BTreeMap<Rank, Level>,
}

/// A price as a rank on its side: the best is the lowest, so both sides are walked alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank(i64);

impl Half {
    fn new(side: Side) -> Half {
        Half { side, levels: BTreeMap::new() }
    }

    fn rank(&self, px: Px) -> Rank {
        Rank(-px.0 * self.side.sign())
    }

    fn px(&self, rank: Rank) -> Px {
        Px(-rank.0 * self.side.sign())
    }

    /// Levels from the best on, those that only remember what was shown included.
    fn iter(&self) -> impl Iterator<Item = (Px, &Level)> + '_ {
        self.levels.iter().map(|(rank, level)| (self.px(*rank), level))
    }

    fn level(&self, px: Px) -> Option<&Level> {
        self.levels.get(&self.rank(px))
    }

    fn level_mut(&mut self, px: Px) -> Option<&mut Level> {
        let rank = self.rank(px);
        self.levels.get_mut(&rank)
    }

    fn level_or_new(&mut self, px: Px) -> &mut Level {
        let rank = self.rank(px);
        self.levels.entry(rank).or_default()
    }

    /// Whether `px` is at least as good on this side as `than`.
    fn reaches(&self, px: Px, than: Px) -> bool {
        self.rank(px) <= self.rank(than)
    }

    fn best(&self) -> Option<Px> {
        self.iter().find(|(_, level)| !level.is_empty()).map(|(px, _)| px)
    }

    fn best_background(&self) -> Option<Px> {
        self.iter().find(|(_, level)| level.background > 0).map(|(px, _)| px)
    }

    fn forget_if_empty(&mut self, px: Px) {
        if self.level(px).is_some_and(Level::is_forgettable) {
            self.levels.remove(&self.rank(px));
        }
    }

    fn set_background(&mut self, change: LevelChange, event: u64) {
        let level = self.level_or_new(change.px);
        let qty = change.qty.0.max(0);
        level.named = event;
        if level.shown != qty {
            level.shown = qty;
            level.set_background(qty);
            if std::mem::take(&mut level.unseen)
                && let Some(first) = level.queue.front_mut()
            {
                first.gap += std::mem::take(&mut level.tail);
            }
        }
        self.forget_if_empty(change.px);
    }

    fn drop_background(&mut self, px: Px) {
        if let Some(level) = self.level_mut(px) {
            level.set_background(0);
            level.shown = 0;
        }
        self.forget_if_empty(px);
    }
}

/// Both sides.
#[derive(Clone, Debug)]
pub(crate) struct OrderBook {
    bids: Half,
    asks: Half,
    events: u64,
}

impl OrderBook {
    pub(crate) fn new() -> OrderBook {
        OrderBook { bids: Half::new(Side::Buy), asks: Half::new(Side::Sell), events: 0 }
    }

    fn half(&self, side: Side) -> &Half {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn half_mut(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    pub(crate) fn best(&self, side: Side) -> Option<Px> {
        self.half(side).best()
    }

    /// Twice the mid of the background alone: what an oracle may follow, since no account can move it.
    pub(crate) fn background_mid_x2(&self) -> Option<i64> {
        Some(self.bids.best_background()?.0 + self.asks.best_background()?.0)
    }

    pub(crate) fn mid_x2(&self) -> Option<i64> {
        Some(self.bids.best()?.0 + self.asks.best()?.0)
    }

    /// Whether an order of `side` at `px` would take.
    pub(crate) fn would_take(&self, side: Side, px: Px) -> bool {
        self.best(side.flip()).is_some_and(|best| self.half(side.flip()).reaches(best, px))
    }

    /// The first in the queue of the best level of `side`, if that level is within `limit` for the other side's aggressor.
    pub(crate) fn front(&self, side: Side, limit: Px) -> Option<(Px, Front)> {
        let half = self.half(side);
        let (px, level) = half.iter().find(|(_, level)| !level.is_empty())?;
        if !half.reaches(px, limit) {
            return None;
        }
        level.front().map(|front| (px, front))
    }

    /// The first in the queue of one level.
    pub(crate) fn front_at(&self, side: Side, px: Px) -> Option<Front> {
        self.half(side).level(px).and_then(Level::front)
    }

    /// The first order, in price-time order, at a better price of `side` than `px`, whatever background stands before it.
    pub(crate) fn first_order_better_than(&self, side: Side, px: Px) -> Option<(Px, Entry)> {
        let half = self.half(side);
        half.iter()
            .take_while(|(at, _)| *at != px && half.reaches(*at, px))
            .find_map(|(at, level)| level.queue.front().map(|entry| (at, *entry)))
    }

    pub(crate) fn take_background(&mut self, side: Side, px: Px, qty: Qty) {
        let half = self.half_mut(side);
        if let Some(level) = half.level_mut(px) {
            level.take_background(qty.0);
        }
        half.forget_if_empty(px);
    }

    /// Tells that the tape itself will show `qty` less at the level because it traded there.
    pub(crate) fn traded(&mut self, side: Side, px: Px, qty: Qty) {
        let half = self.half_mut(side);
        if let Some(level) = half.level_mut(px) {
            level.shown = (level.shown - qty.0).max(0);
        }
        half.forget_if_empty(px);
    }

    /// Puts an order at the end of its level's queue. `seq` must be larger than any before.
    pub(crate) fn rest(&mut self, side: Side, px: Px, seq: u64, oid: u64, account: AccountKey, qty: Qty) {
        let half = self.half_mut(side);
        let deepest = half.levels.iter().rev().find(|(_, level)| level.background > 0).map(|(rank, _)| *rank);
        let unseen = deepest.is_some_and(|deepest| half.rank(px) > deepest);
        let level = half.level_or_new(px);
        level.unseen |= unseen;
        debug_assert!(level.queue.back().is_none_or(|last| last.seq < seq), "invariant: time priority grows");
        let gap = std::mem::take(&mut level.tail);
        level.queue.push_back(Entry { seq, oid, account, qty, gap });
        level.own += qty.0;
    }

    /// Sets the remaining quantity of a resting order; zero removes it. Its priority stays.
    pub(crate) fn set_qty(&mut self, side: Side, px: Px, seq: u64, qty: Qty) {
        let half = self.half_mut(side);
        if let Some(level) = half.level_mut(px)
            && let Some(at) = level.position(seq)
        {
            if qty.is_zero() {
                level.remove(at);
            } else if let Some(entry) = level.queue.get_mut(at) {
                level.own += qty.0 - entry.qty.0;
                entry.qty = qty;
            }
        }
        half.forget_if_empty(px);
    }

    /// Background lots ahead of a resting order.
    #[cfg(test)]
    pub(crate) fn queue_ahead(&self, side: Side, px: Px, seq: u64) -> Option<i64> {
        let level = self.half(side).level(px)?;
        let at = level.position(seq)?;
        Some(level.queue.iter().take(at + 1).map(|e| e.gap).sum())
    }

    /// Applies new background quantities. Removals first, then of levels that cross each other the older ones are dropped
    /// (both, if the same event named them).
    pub(crate) fn background(&mut self, bids: &[LevelChange], asks: &[LevelChange]) {
        self.events += 1;
        let event = self.events;
        for (half, changes) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            changes.iter().filter(|c| c.px.0 > 0).for_each(|change| half.set_background(*change, event));
        }
        while let (Some(bid), Some(ask)) = (self.bids.best_background(), self.asks.best_background())
            && bid >= ask
        {
            let named = |half: &Half, px| half.level(px).map_or(0, |level| level.named);
            let (bid_named, ask_named) = (named(&self.bids, bid), named(&self.asks, ask));
            if bid_named <= ask_named {
                self.bids.drop_background(bid);
            }
            if ask_named <= bid_named {
                self.asks.drop_background(ask);
            }
        }
    }

    /// Applies a whole background book: levels that are not named are gone.
    pub(crate) fn snapshot(&mut self, bids: &[LevelChange], asks: &[LevelChange]) {
        for (half, changes) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            let named: BTreeSet<Px> = changes.iter().map(|c| c.px).collect();
            let held = half.iter().filter(|(px, level)| level.shown + level.background > 0 && !named.contains(px));
            let gone: Vec<Px> = held.map(|(px, _)| px).collect();
            gone.into_iter().for_each(|px| half.drop_background(px));
        }
        self.background(bids, asks);
    }

    /// The best background level of `side` that crosses resting orders of the other side, and its quantity.
    pub(crate) fn crossing_background(&self, side: Side) -> Option<(Px, Qty)> {
        let (px, level) = self.half(side).iter().find(|(_, level)| level.background > 0)?;
        let other = self.best(side.flip())?;
        self.half(side).reaches(px, other).then_some((px, Qty(level.background)))
    }

    /// All background levels, for moving them.
    pub(crate) fn background_levels(&self, side: Side) -> Vec<LevelChange> {
        self.half(side)
            .iter()
            .filter(|(_, l)| l.background > 0)
            .map(|(px, l)| LevelChange { px, qty: Qty(l.background) })
            .collect()
    }

    /// Visible levels, best first.
    pub(crate) fn view(&self, side: Side, levels: usize) -> Vec<BookLevel> {
        self.depth(side)
            .take(levels)
            .map(|(px, level)| BookLevel {
                px,
                qty: Qty(level.background + level.own),
                n: u32::try_from(level.queue.len()).unwrap_or(u32::MAX).saturating_add(u32::from(level.background > 0)),
            })
            .collect()
    }

    /// Price and quantity of non-empty levels, best first.
    pub(crate) fn quantities(&self, side: Side) -> impl Iterator<Item = (Px, i64)> + '_ {
        self.depth(side).map(|(px, level)| (px, level.background + level.own))
    }

    fn depth(&self, side: Side) -> impl Iterator<Item = (Px, &Level)> + '_ {
        self.half(side).iter().filter(|(_, level)| !level.is_empty())
    }

    /// Checks what must always hold: not crossed, sums right, queues in time order.
    #[cfg(test)]
    pub(crate) fn check(&self) -> Result<(), String> {
        if let (Some(bid), Some(ask)) = (self.bids.best(), self.asks.best())
            && bid >= ask
        {
            return Err(format!("crossed: bid {bid:?} ask {ask:?}"));
        }
        for half in [&self.bids, &self.asks] {
            for (px, level) in half.iter() {
                let gaps: i64 = level.queue.iter().map(|e| e.gap).sum();
                let own: i64 = level.queue.iter().map(|e| e.qty.0).sum();
                let ordered = level.queue.iter().zip(level.queue.iter().skip(1)).all(|(a, b)| a.seq < b.seq);
                let positive = level.tail >= 0 && level.queue.iter().all(|e| e.gap >= 0 && e.qty.0 > 0);
                if gaps + level.tail != level.background || own != level.own || !ordered || !positive {
                    return Err(format!("{:?} level {px:?} is inconsistent: {level:?}", half.side));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: AccountKey = AccountKey([1; 20]);

    fn set(px: i64, qty: i64) -> LevelChange {
        LevelChange { px: Px(px), qty: Qty(qty) }
    }

    fn with_bid(background: i64) -> OrderBook {
        let mut book = OrderBook::new();
        book.background(&[set(100, background)], &[set(110, 50)]);
        book.rest(Side::Buy, Px(100), 1, 11, A, Qty(5));
        book
    }

    fn ahead(book: &OrderBook, seq: u64) -> i64 {
        book.queue_ahead(Side::Buy, Px(100), seq).unwrap_or(-1)
    }

    #[test]
    fn joins_behind_the_displayed_quantity_and_trades_eat_the_front() {
        let mut book = with_bid(30);
        assert_eq!(ahead(&book, 1), 30);
        book.take_background(Side::Buy, Px(100), Qty(12));
        assert_eq!(ahead(&book, 1), 18);
        book.background(&[set(100, 40)], &[]);
        assert_eq!(ahead(&book, 1), 18, "new quantity joins behind");
        book.take_background(Side::Buy, Px(100), Qty(18));
        assert_eq!(book.front_at(Side::Buy, Px(100)).map(|f| matches!(f, Front::Order(e) if e.oid == 11)), Some(true));
    }

    #[test]
    fn a_shrinking_level_shrinks_the_queue_in_proportion_rounded_up() {
        let mut book = with_bid(30);
        book.background(&[set(100, 45)], &[]);
        book.rest(Side::Buy, Px(100), 2, 12, A, Qty(5));
        book.background(&[set(100, 10)], &[]);
        assert_eq!((ahead(&book, 1), ahead(&book, 2)), (7, 10), "30·10/45 = 6.67 up, 45·10/45");
        book.check().unwrap_or_else(|e| panic!("{e}"));
    }

    #[test]
    fn a_cancel_in_the_middle_keeps_the_queue_of_those_behind() {
        let mut book = with_bid(30);
        book.background(&[set(100, 45)], &[]);
        book.rest(Side::Buy, Px(100), 2, 12, A, Qty(5));
        book.set_qty(Side::Buy, Px(100), 1, Qty::ZERO);
        assert_eq!(ahead(&book, 2), 45);
        book.check().unwrap_or_else(|e| panic!("{e}"));
    }

    #[test]
    fn consumed_quantity_returns_only_when_the_tape_shows_another() {
        let mut book = with_bid(30);
        book.take_background(Side::Sell, Px(110), Qty(50));
        assert_eq!(book.best(Side::Sell), None);
        book.background(&[], &[set(110, 50)]);
        assert_eq!(book.best(Side::Sell), None, "the tape shows what it showed before");
        book.background(&[], &[set(110, 49)]);
        assert_eq!(book.best(Side::Sell), Some(Px(110)));
    }

    #[test]
    fn below_the_visible_book_the_queue_is_taken_to_be_ahead_once_it_shows() {
        let mut book = with_bid(30);
        book.rest(Side::Buy, Px(90), 2, 12, A, Qty(5));
        book.rest(Side::Buy, Px(90), 3, 13, A, Qty(5));
        book.rest(Side::Buy, Px(105), 4, 14, A, Qty(5));
        book.snapshot(&[set(105, 8), set(90, 20)], &[set(110, 50)]);
        let ahead = |px, seq| book.queue_ahead(Side::Buy, Px(px), seq);
        assert_eq!((ahead(90, 2), ahead(90, 3)), (Some(20), Some(20)));
        assert_eq!(ahead(105, 4), Some(0), "above the last visible level an absent level was really empty");
        book.check().unwrap_or_else(|e| panic!("{e}"));
    }

    #[test]
    fn of_crossing_background_the_older_goes() {
        let mut book = OrderBook::new();
        book.background(&[set(100, 5), set(99, 5)], &[set(101, 5)]);
        book.background(&[], &[set(100, 7)]);
        assert_eq!((book.best(Side::Buy), book.best(Side::Sell)), (Some(Px(99)), Some(Px(100))));
        book.snapshot(&[set(120, 1)], &[set(121, 1)]);
        assert_eq!((book.best(Side::Buy), book.best(Side::Sell)), (Some(Px(120)), Some(Px(121))));
    }
}
