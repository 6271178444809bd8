//! Why parents may not propose: one reason for each class of a market's parents, and one for a parent that is stopped by itself.

use domain::{InstrumentId, Lots, MarginLevel, MarketStatus, ParentId, ParentSpec, Stamp, StopLevel, StopScope};

use crate::deleverage::is_reduction;
use crate::flatten::is_flatten;
use crate::{Books, Desk, Market};

/// What a parent does to the position, as far as holding it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Admitted by the desk itself to close a position because it was told to.
    Flatten,
    /// Admitted by the desk itself to bring cover back.
    Reduction,
    /// Can only shrink the position.
    Reducing,
    /// May make it larger, or turn it.
    Growing,
}

impl Class {
    /// The class of a parent while the position is `position`.
    pub fn of(spec: &ParentSpec, position: Lots) -> Class {
        let against = position.0.signum() == -spec.side.sign();
        if is_flatten(spec) {
            Class::Flatten
        } else if is_reduction(spec) {
            Class::Reduction
        } else if spec.reduce_only || (against && spec.qty <= position.abs()) {
            Class::Reducing
        } else {
            Class::Growing
        }
    }
}

/// Per class, why its parents may not propose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holds {
    flatten: Option<String>,
    reduction: Option<String>,
    reducing: Option<String>,
    growing: Option<String>,
}

impl Holds {
    /// The reason for a parent of `class`.
    pub fn of(&self, class: Class) -> Option<&str> {
        match class {
            Class::Flatten => self.flatten.as_deref(),
            Class::Reduction => self.reduction.as_deref(),
            Class::Reducing => self.reducing.as_deref(),
            Class::Growing => self.growing.as_deref(),
        }
    }
}

impl Desk {
    /// Tells the workers whether they may propose, if something changed that decides it.
    pub(crate) fn rehold(&mut self, now: Stamp) {
        if !std::mem::take(&mut self.holds_due) {
            return;
        }
        let afresh = std::mem::take(&mut self.holds_afresh);
        let reasons: Vec<(InstrumentId, Holds)> =
            self.markets.iter().map(|(id, market)| (*id, self.holds(*id, market))).collect();
        for (id, holds) in reasons {
            let position = self.books.position(id);
            let Some(market) = self.markets.get_mut(&id) else { continue };
            // a parent's class changes with the position; that only matters while the classes differ
            if !afresh && market.holds == holds && holds.growing == holds.reducing {
                continue;
            }
            for parent in &market.parents {
                let Some(live) = self.live.get_mut(*parent) else { continue };
                let class = Class::of(&live.spec, position);
                let own = own_stop(&self.books, *parent, class);
                if live.worker.hold(now, own.as_deref().or(holds.of(class))) {
                    self.due.push(*parent);
                }
            }
            market.holds = holds;
        }
    }

    pub(crate) fn holds(&self, instrument: InstrumentId, market: &Market) -> Holds {
        let every = |why: String| Holds {
            flatten: Some(why.clone()),
            reduction: Some(why.clone()),
            reducing: Some(why.clone()),
            growing: Some(why),
        };
        if self.draining {
            return every("the daemon is stopping".to_owned());
        }
        let stop = self.books.stops.market(instrument).filter(|stop| stop.level >= StopLevel::Block);
        let stopped = stop.map(|stop| format!("stopped: {}", stop.cause));
        let flattens = self.flattens_in(instrument);
        if let Some(why) = stopped.as_ref().filter(|_| !flattens) {
            return every(why.clone());
        }
        if let Some(why) = self.unfit(market, instrument) {
            return every(why);
        }
        let unknown = self.books.unknown();
        let waits = (unknown > self.config.unknown_max).then(|| format!("{unknown} orders await the venue's word"));
        if let Some(why) = stopped.or(waits) {
            // what is unknown stays reserved, so closing a position beside it closes too little, never too much
            return Holds { flatten: None, ..every(why) };
        }
        // the guard lets a frozen market shrink as far as both books and venue show a position; the desk's own reductions may
        // need that (F32), and whoever asked for another parent should look first
        let frozen = self.books.frozen.get(&instrument).map(|why| format!("market frozen: {why}"));
        let level = self.books.levels.get(&instrument.venue()).copied().unwrap_or_default();
        let loaded = (level >= MarginLevel::Reduce).then(|| format!("margin level {level}: positions are being reduced"));
        let instead =
            self.reduces_instead(instrument.venue()).then(|| "positions are being reduced instead of a top-up".to_owned());
        Holds { flatten: None, reduction: None, growing: frozen.clone().or(loaded).or(instead), reducing: frozen }
    }

    /// Why nobody can trade a market, stopped or not.
    fn unfit(&self, market: &Market, instrument: InstrumentId) -> Option<String> {
        if !self.is_ready() {
            return Some("reading the venue".to_owned());
        }
        if !market.confirmed {
            return Some("the venue has not confirmed this market's rules".to_owned());
        }
        match self.books.instruments.get(&instrument).map(|i| i.status) {
            Some(MarketStatus::Closed) => Some("the venue has closed this market".to_owned()),
            Some(MarketStatus::CancelOnly) => Some("the venue takes cancels alone".to_owned()),
            Some(MarketStatus::Open | MarketStatus::PostOnly) | None => None,
        }
    }
}

/// Why a parent that is stopped by itself may not propose.
fn own_stop(books: &Books, id: ParentId, class: Class) -> Option<String> {
    let stop = books.stops.of(StopScope::Parent(id))?;
    let held = match class {
        Class::Growing => stop.level >= StopLevel::ReduceOnly,
        Class::Flatten | Class::Reduction | Class::Reducing => stop.level >= StopLevel::Block,
    };
    held.then(|| format!("stopped ({}): {}", stop.scope, stop.cause))
}
