use domain::{ChildNo, Tif};

/// How eagerly a ticket is worked (quant §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Passive,
    Pegged,
    Mid,
    Cross,
}

impl Level {
    pub(super) fn up(self) -> Level {
        match self {
            Level::Passive => Level::Pegged,
            Level::Pegged => Level::Mid,
            Level::Mid | Level::Cross => Level::Cross,
        }
    }
}

/// Where the order of a ticket stands, as far as its quantity is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Proposed in this step; `placed` or `refused` follows.
    Proposed,
    /// On its way.
    Sent,
    /// At the venue.
    Acked,
    /// A cancel was proposed or asked for.
    Leaving,
    /// Its answer was lost.
    Unknown,
    /// Done and filled; the fills have yet to be booked.
    Owed,
}

/// The one order that works a ticket at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub no: ChildNo,
    pub qty: i64,
    pub filled: i64,
    pub px: i64,
    pub tif: Tif,
    /// How eagerly it was priced.
    pub level: Level,
    pub standing: Standing,
    /// When it entered its standing, nanoseconds of desk time.
    pub since: u64,
}

impl Order {
    /// What may still fill.
    pub(super) fn open(&self) -> i64 {
        (self.qty - self.filled).max(0)
    }

    /// Whether cancelling it makes sense now.
    pub(super) fn rests(&self) -> bool {
        self.standing == Standing::Acked && self.tif != Tif::ImmediateOrCancel
    }
}

/// A slice being worked: what of it is left, how eagerly, by which order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    /// Still to be filled, the order's open quantity included.
    pub want: i64,
    pub born: u64,
    pub ends: u64,
    /// Twice the mid when it was born, in ticks; 0 until the first book after a restart.
    pub mid_x2: i64,
    /// The spread then, in ticks.
    pub spread: i64,
    pub level: Level,
    /// The timer was reset once because the price moved in our favour.
    pub reset: bool,
    /// Post-only refusals in a row.
    pub would_take: u8,
    /// Crossings in a row that did not fill it.
    pub misses: u8,
    /// Makes way: dropped when its order is done.
    pub retiring: bool,
    /// Places nothing before.
    pub not_before: u64,
    pub order: Option<Order>,
}

impl Ticket {
    pub(super) fn new(want: i64, (born, ends): (u64, u64), (mid_x2, spread): (i64, i64), level: Level) -> Ticket {
        let (reset, retiring, would_take, misses) = (false, false, 0, 0);
        Ticket { want, born, ends, mid_x2, spread, level, reset, would_take, misses, retiring, not_before: 0, order: None }
    }

    /// What its order may still fill.
    pub(super) fn open(&self) -> i64 {
        self.order.map_or(0, |o| o.open())
    }
}
