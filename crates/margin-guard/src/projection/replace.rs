//! Other limits for a projection that is in use.
//!
//! What was observed stays; what was worked out from the limits is worked out again, market by market, so that the running sums
//! are those of a guard that had the limits from the start (I28).

use super::load::Load;
use super::{Market, Projection, Sums};
use crate::care::PortfolioCare;
use crate::groups::{GroupSums, Weighted};
use crate::limits::Limits;
use crate::scenario::{Plan, Shape};

impl Projection {
    /// From here on `limits` apply. Until the next [`crate::Guard::assess`] nothing may grow: sizes and caps of the last look were those
    /// of other limits.
    pub(crate) fn set_limits(&mut self, limits: &Limits) {
        self.plan = Plan::of(limits);
        self.care = PortfolioCare::default();
        self.groups = if self.markets.is_empty() { Vec::new() } else { vec![GroupSums::default(); limits.groups().len()] };
        for venue in &mut self.venues {
            venue.sums = Sums::default();
        }
        for market in &mut self.markets {
            market.set_limits(limits);
        }
        for slot in 0..self.markets.len() {
            self.refresh(slot);
        }
    }
}

impl Market {
    /// Its caps, group and shocks by `limits`; its part of the sums has to be refreshed afterwards.
    fn set_limits(&mut self, limits: &Limits) {
        self.caps = limits.caps(self.id).clone();
        self.allowed = limits.allows(self.id);
        if let Some(rules) = &mut self.rules {
            rules.order_lots_max = self.caps.order_size.map(|size| rules.instrument.floor_to_lot(size));
        }
        self.care.sized = None;
        self.group = limits.group_of(self.id);
        self.weighted = Weighted::default();
        self.load = Load::new(Shape::new(Plan::shocks(limits, self.id)));
        self.choose_table();
        self.restress(limits);
        self.reprice();
    }
}
