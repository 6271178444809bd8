//! Why parents may not propose. What stops all of a market's parents, what stops those that do not reduce, and what stops all but
//! the desk's own reductions are three reasons.

use domain::{InstrumentId, Lots, MarginLevel, MarketStatus, ParentSpec, Stamp, StopLevel};

use crate::deleverage::is_reduction;
use crate::{Desk, Market};

/// What a parent does to the position, as far as holding it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
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
        if is_reduction(spec) {
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
    reduction: Option<String>,
    reducing: Option<String>,
    growing: Option<String>,
}

impl Holds {
    /// The reason for a parent of `class`.
    pub fn of(&self, class: Class) -> Option<&str> {
        match class {
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
        let reasons: Vec<(InstrumentId, Holds)> =
            self.markets.iter().map(|(id, market)| (*id, self.holds(*id, market))).collect();
        for (id, holds) in reasons {
            let position = self.books.position(id);
            let Some(market) = self.markets.get_mut(&id) else { continue };
            // a parent's class changes with the position; that only matters while the classes differ
            if market.holds == holds && holds.growing == holds.reducing {
                continue;
            }
            for parent in &market.parents {
                if let Some(live) = self.live.get_mut(*parent)
                    && live.worker.hold(now, holds.of(Class::of(&live.spec, position)))
                {
                    self.due.push(*parent);
                }
            }
            market.holds = holds;
        }
    }

    fn holds(&self, instrument: InstrumentId, market: &Market) -> Holds {
        if let Some(why) = self.holds_all(instrument, market) {
            return Holds { reduction: Some(why.clone()), reducing: Some(why.clone()), growing: Some(why) };
        }
        // the guard lets a frozen market shrink as far as both books and venue show a position; the desk's own reductions may
        // need that (F32), and whoever asked for another parent should look first
        let frozen = self.books.frozen.get(&instrument).map(|why| format!("market frozen: {why}"));
        let level = self.books.levels.get(&instrument.venue()).copied().unwrap_or_default();
        let loaded = (level >= MarginLevel::Reduce).then(|| format!("margin level {level}: positions are being reduced"));
        let instead =
            self.reduces_instead(instrument.venue()).then(|| "positions are being reduced instead of a top-up".to_owned());
        Holds { reduction: None, growing: frozen.clone().or(loaded).or(instead), reducing: frozen }
    }

    fn holds_all(&self, instrument: InstrumentId, market: &Market) -> Option<String> {
        if self.draining {
            return Some("the daemon is stopping".to_owned());
        }
        if let Some(stop) = self.books.stops.market(instrument).filter(|stop| stop.level >= StopLevel::Block) {
            return Some(format!("stopped: {}", stop.cause));
        }
        if !self.is_ready() {
            return Some("reading the venue".to_owned());
        }
        if !market.confirmed {
            return Some("the venue has not confirmed this market's rules".to_owned());
        }
        match self.books.instruments.get(&instrument).map(|i| i.status) {
            Some(MarketStatus::Closed) => return Some("the venue has closed this market".to_owned()),
            Some(MarketStatus::CancelOnly) => return Some("the venue takes cancels alone".to_owned()),
            Some(MarketStatus::Open | MarketStatus::PostOnly) | None => {}
        }
        let unknown = self.books.unknown();
        (unknown > self.config.unknown_max).then(|| format!("{unknown} orders await the venue's word"))
    }
}
