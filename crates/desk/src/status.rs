//! What an operator sees. Reading it changes nothing.

use std::collections::VecDeque;

use domain::{
    AccountSituation, ClientKey, Epoch, InstrumentId, Lots, ParentSpec, Px, Qty, Severity, Situation, Stamp, Stop, StopLevel,
    StopScope, StreamHealth, Topic, Usd, Venue,
};
use execution::Progress;
use margin_guard::GuardStatus;
use serde::Serialize;

use crate::order::Working;
use crate::stops::StopLine;
use crate::{Alert, Desk, Ended};

const ALERTS_KEPT: usize = 50;

#[derive(Debug, Default)]
pub(crate) struct RecentAlerts(VecDeque<Alert>);

impl RecentAlerts {
    pub fn push(&mut self, alert: Alert) {
        if self.0.len() == ALERTS_KEPT {
            self.0.pop_front();
        }
        self.0.push_back(alert);
    }
}

/// One venue.
#[derive(Clone, Debug, Serialize)]
pub struct VenueLine {
    /// Which.
    pub venue: Venue,
    /// Its market stream.
    pub market_stream: StreamHealth,
    /// Its account stream.
    pub account_stream: StreamHealth,
    /// Whether the books have been compared with it since the account stream came up.
    pub reconciled: bool,
    /// Its clock minus ours, milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// Cross account value.
    pub equity: Option<Usd>,
    /// Cross maintenance margin.
    pub maintenance: Option<Usd>,
}

/// One order that is not over.
#[derive(Clone, Debug, Serialize)]
pub struct OrderLine {
    /// Our name of it.
    pub key: ClientKey,
    /// The market.
    pub instrument: InstrumentId,
    /// Its side.
    pub side: domain::Side,
    /// Limit price in ticks.
    pub px: Px,
    /// Quantity in lots.
    pub qty: Qty,
    /// Filled, in lots.
    pub filled: Qty,
    /// Where it stands.
    pub state: Working,
}

/// One live parent.
#[derive(Clone, Debug, Serialize)]
pub struct ParentLine {
    /// What was asked.
    pub spec: ParentSpec,
    /// Where it stands.
    pub progress: Progress,
}

/// The whole desk.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// When.
    pub at: Stamp,
    /// Tenure.
    pub epoch: Epoch,
    /// Stop level.
    pub stop: StopLevel,
    /// Why it is not `run`.
    pub stop_cause: String,
    /// All that is stopped, scope by scope.
    pub stops: Vec<StopLine>,
    /// Whether orders can be cleared.
    pub ready: bool,
    /// Venues.
    pub venues: Vec<VenueLine>,
    /// Positions by our own fills, in lots.
    pub positions: Vec<(InstrumentId, Lots)>,
    /// Frozen markets and why.
    pub frozen: Vec<(InstrumentId, String)>,
    /// Live parents.
    pub parents: Vec<ParentLine>,
    /// Ended parents, the latest thousand.
    pub ended: Vec<Ended>,
    /// Orders that are not over.
    pub orders: Vec<OrderLine>,
    /// The guard's view.
    pub guard: GuardStatus,
    /// The latest alerts.
    pub alerts: Vec<Alert>,
}

impl Desk {
    /// The state of affairs in short, as it goes with an alert.
    #[must_use]
    pub fn situation(&self) -> Situation {
        let account = |v: &crate::VenueState| AccountSituation {
            venue: v.venue,
            level: self.books.levels.get(&v.venue).copied().unwrap_or_default(),
            equity: v.view.as_ref().map(|a| a.equity),
            maintenance: v.view.as_ref().map(|a| a.maintenance),
        };
        let held = || self.books.positions.iter().filter(|(_, lots)| lots.0 != 0);
        let quantity = |(id, lots): (&InstrumentId, &Lots)| Some((*id, self.books.instruments.get(id)?.lots_decimal(*lots)));
        Situation {
            stop: self.books.stops.level(),
            narrower: self.books.stops.iter().filter(|s| s.scope != StopScope::All).map(|s| (s.scope, s.level)).collect(),
            accounts: self.venues.iter().map(account).collect(),
            positions: held().filter_map(quantity).take(Situation::LINES_MAX).collect(),
            more_positions: held().count().saturating_sub(Situation::LINES_MAX),
            orders: self.books.live().count(),
            unknown: self.books.unknown(),
        }
    }

    /// What a person is told of a stop.
    #[must_use]
    pub fn stop_alert(&self, stop: &Stop) -> Alert {
        let cause = format!("level {} ({}): {}", stop.level, stop.scope, stop.cause);
        Alert::new(Severity::Act, Topic::Stopped, cause, Some(self.situation())).having(Topic::Stopped.done(stop.level))
    }

    /// What a person is told of a frozen market.
    #[must_use]
    pub fn frozen_alert(&self, instrument: InstrumentId, why: &str) -> Alert {
        Alert::new(Severity::Act, Topic::Frozen, format!("{instrument}: {why}"), Some(self.situation()))
    }

    /// Everything an operator may want to see, at `now`.
    #[must_use]
    pub fn status(&self, now: Stamp) -> Status {
        let order = |o: &crate::Order| OrderLine {
            key: o.key(),
            instrument: o.intent.child.instrument,
            side: o.side(),
            px: o.intent.child.px,
            qty: o.intent.child.qty,
            filled: o.filled,
            state: o.state,
        };
        let venue = |v: &crate::VenueState| VenueLine {
            venue: v.venue,
            market_stream: v.market,
            account_stream: v.account,
            reconciled: v.trusted,
            clock_offset_ms: v.offset_ms,
            equity: v.view.as_ref().map(|a| a.equity),
            maintenance: v.view.as_ref().map(|a| a.maintenance),
        };
        let parent = |live: &crate::parents::Live| ParentLine { spec: (*live.spec).clone(), progress: live.progress(now) };
        Status {
            at: now,
            epoch: self.books.epoch,
            stop: self.books.stops.level(),
            stop_cause: self.books.stops.cause().to_owned(),
            stops: self.stop_lines(),
            ready: self.is_ready(),
            venues: self.venues.iter().map(venue).collect(),
            positions: self.books.positions.iter().map(|(id, lots)| (*id, *lots)).collect(),
            frozen: self.books.frozen.iter().map(|(id, why)| (*id, why.clone())).collect(),
            parents: self.live.iter().map(parent).collect(),
            ended: self.ended.values().cloned().collect(),
            orders: self.books.live().map(order).collect(),
            guard: self.guard.status(now),
            alerts: self.alerts.0.iter().cloned().collect(),
        }
    }

    /// The load line of every account, as the guard draws it.
    #[must_use]
    pub fn load_line(&self, now: Stamp) -> Vec<margin_guard::AccountLine> {
        self.guard.load_line(now)
    }

    /// How large a position in `instrument` may be on `side`, with every factor and cap. `None` for a market that it does not know.
    #[must_use]
    pub fn sizing(&self, now: Stamp, instrument: InstrumentId, side: domain::Side) -> Option<risk::sizing::Sizing> {
        self.guard.sizing(now, instrument, side)
    }
}
