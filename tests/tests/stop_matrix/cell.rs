//! The table: what pulls the switch, how far, what it covers, and what happens to the latch afterwards.

use std::fmt;

use domain::{Prng, StopLevel};

/// What pulls the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trigger {
    /// `plimsoll kill`.
    Cli,
    /// `POST /kill` at the operator's socket.
    Api,
    /// SIGUSR1.
    Usr1,
    /// SIGUSR2.
    Usr2,
    /// SIGTERM with `[kill] on_stop = "cancel"`. The other two policies do not latch; they have a test of their own.
    Term,
    /// The file `STOP` in the state directory.
    Sentinel,
    /// `[kill] engaged` in the configuration, read on SIGHUP.
    Hangup,
    /// The same, noticed by itself.
    FileChange,
    /// The watchdog, which finds the heartbeat missing.
    Watchdog,
}

impl Trigger {
    pub const ALL: [Trigger; 9] = [
        Trigger::Cli,
        Trigger::Api,
        Trigger::Usr1,
        Trigger::Usr2,
        Trigger::Term,
        Trigger::Sentinel,
        Trigger::Hangup,
        Trigger::FileChange,
        Trigger::Watchdog,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Trigger::Cli => "cli",
            Trigger::Api => "api",
            Trigger::Usr1 => "SIGUSR1",
            Trigger::Usr2 => "SIGUSR2",
            Trigger::Term => "SIGTERM",
            Trigger::Sentinel => "STOP file",
            Trigger::Hangup => "SIGHUP",
            Trigger::FileChange => "file change",
            Trigger::Watchdog => "watchdog",
        }
    }
}

/// What the stop covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    All,
    Venue,
    Market,
    Parent,
}

impl Scope {
    pub const ALL: [Scope; 4] = [Scope::All, Scope::Venue, Scope::Market, Scope::Parent];

    /// As it is written. The market is [`super::world::MARKET`], the parent the one given.
    pub fn text(self, parent: u32) -> String {
        match self {
            Scope::All => "all".to_owned(),
            Scope::Venue => "venue:hyperliquid".to_owned(),
            Scope::Market => format!("market:{}", super::world::MARKET),
            Scope::Parent => format!("parent:P{parent}"),
        }
    }

    /// Whether an order of `parent` in asset `asset` is covered.
    pub fn covers(self, asset: u64, parent: u32, stopped: u32) -> bool {
        match self {
            Scope::All | Scope::Venue => true,
            Scope::Market => asset == super::world::ASSET,
            Scope::Parent => parent == stopped,
        }
    }
}

/// What happens to the latch between the stop and the re-arm. Each but the last kills the daemon first (SIGKILL) and starts it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Store {
    /// Nothing but the restart.
    Whole,
    /// The latch file is gone.
    FileGone,
    /// It is empty.
    FileEmpty,
    /// One bit of it is another.
    FileFlipped,
    /// It is the one from before the stop.
    FileOlder,
    /// The journal's database is gone: no start, until it is back.
    DatabaseGone,
    /// A byte of the database is another: no start, until it is back.
    DatabaseFlipped,
    /// The witness of the journal's end is gone: no start, until it is back.
    WitnessGone,
    /// The daemon lives on and reads its configuration again.
    Reload,
}

impl Store {
    pub const ALL: [Store; 9] = [
        Store::Whole,
        Store::FileGone,
        Store::FileEmpty,
        Store::FileFlipped,
        Store::FileOlder,
        Store::DatabaseGone,
        Store::DatabaseFlipped,
        Store::WitnessGone,
        Store::Reload,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Store::Whole => "restart",
            Store::FileGone => "latch file gone",
            Store::FileEmpty => "latch file empty",
            Store::FileFlipped => "latch file flipped",
            Store::FileOlder => "latch file older",
            Store::DatabaseGone => "database gone",
            Store::DatabaseFlipped => "database flipped",
            Store::WitnessGone => "witness gone",
            Store::Reload => "reload",
        }
    }

    /// Those of one class are alike but for the bytes: a small selection takes one of them by chance.
    const fn class(self) -> u8 {
        match self {
            Store::Whole => 0,
            Store::FileGone | Store::FileEmpty | Store::FileFlipped => 1,
            Store::FileOlder => 2,
            Store::DatabaseGone | Store::DatabaseFlipped | Store::WitnessGone => 3,
            Store::Reload => 4,
        }
    }

    /// Whether the latch file counts as unreadable afterwards, which is a stop of everything by itself.
    pub const fn makes_unreadable(self) -> bool {
        match self {
            Store::FileGone | Store::FileEmpty | Store::FileFlipped => true,
            Store::Whole
            | Store::FileOlder
            | Store::DatabaseGone
            | Store::DatabaseFlipped
            | Store::WitnessGone
            | Store::Reload => false,
        }
    }
}

/// One cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    pub trigger: Trigger,
    pub level: StopLevel,
    pub scope: Scope,
    pub store: Store,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = match self.scope {
            Scope::All => "all",
            Scope::Venue => "venue",
            Scope::Market => "market",
            Scope::Parent => "parent",
        };
        write!(f, "{:<11} {:<11} {scope:<6} {:<18}", self.trigger.name(), self.level.name(), self.store.name())
    }
}

/// Why a trigger cannot ask for this: where it can be said at all it must be refused, and [`super::refused`] says so.
pub fn impossible(trigger: Trigger, level: StopLevel, scope: Scope) -> Option<&'static str> {
    match (trigger, level, scope) {
        (_, StopLevel::Run, _) => Some("run is no stop"),
        (Trigger::Cli | Trigger::Api, StopLevel::Sever, Scope::Venue | Scope::Market | Scope::Parent) => {
            Some("a process ends as a whole: refused")
        }
        (Trigger::Cli | Trigger::Api, _, _) => None,
        (_, _, Scope::Venue | Scope::Market | Scope::Parent) => Some("it has no word for a scope"),
        (Trigger::Usr1 | Trigger::Watchdog | Trigger::Term, level, Scope::All) if level != StopLevel::Cancel => {
            Some("it means cancel")
        }
        (Trigger::Usr2, level, Scope::All) if level != StopLevel::Flatten => Some("it means flatten"),
        (
            Trigger::Usr1
            | Trigger::Usr2
            | Trigger::Term
            | Trigger::Watchdog
            | Trigger::Sentinel
            | Trigger::Hangup
            | Trigger::FileChange,
            _,
            Scope::All,
        ) => None,
    }
}

/// Every cell that can exist.
pub fn all() -> Vec<Cell> {
    let mut cells = Vec::new();
    for trigger in Trigger::ALL {
        for level in StopLevel::ALL {
            for scope in Scope::ALL {
                if impossible(trigger, level, scope).is_none() {
                    cells.extend(Store::ALL.map(|store| Cell { trigger, level, scope, store }));
                }
            }
        }
    }
    // a process that has ended reads nothing again
    cells.retain(|cell| cell.store != Store::Reload || (cell.level != StopLevel::Sever && cell.trigger != Trigger::Term));
    cells
}

/// A pair of values that a small selection must contain once. What the latch survives does not depend on who set it, so that
/// trigger and store are not paired.
type Pair = (u8, u8, u8, u8);

fn pairs(cell: &Cell) -> Vec<Pair> {
    let at = |n: Option<usize>| n.and_then(|n| u8::try_from(n).ok()).unwrap_or(u8::MAX);
    let trigger = at(Trigger::ALL.iter().position(|t| *t == cell.trigger));
    let level = at(StopLevel::ALL.iter().position(|l| *l == cell.level));
    let scope = at(Scope::ALL.iter().position(|s| *s == cell.scope));
    let store = cell.store.class();
    vec![(0, trigger, 1, level), (0, trigger, 2, scope), (1, level, 2, scope), (1, level, 3, store), (2, scope, 3, store)]
}

/// As few cells as a greedy choice finds that contain every possible pair of trigger and level, trigger and scope, level and scope,
/// level and class of store, scope and class of store. In an order of chance, so that neighbours differ.
pub fn pairwise(chance: &mut Prng) -> Vec<Cell> {
    let mut rest = all();
    shuffle(&mut rest, chance);
    let mut missing: std::collections::BTreeSet<Pair> = rest.iter().flat_map(pairs).collect();
    let mut chosen = Vec::new();
    while !missing.is_empty() {
        let gain = |cell: &Cell| pairs(cell).iter().filter(|pair| missing.contains(*pair)).count();
        let Some(best) = rest.iter().copied().max_by_key(gain) else { break };
        missing = &missing - &pairs(&best).into_iter().collect();
        chosen.push(best);
    }
    shuffle(&mut chosen, chance);
    chosen
}

/// All cells in an order of chance.
pub fn shuffled(chance: &mut Prng) -> Vec<Cell> {
    let mut cells = all();
    shuffle(&mut cells, chance);
    cells
}

fn shuffle(cells: &mut [Cell], chance: &mut Prng) {
    for at in (1..cells.len()).rev() {
        let with = usize::try_from(chance.below(at as u64 + 1)).unwrap_or(0);
        cells.swap(at, with);
    }
}

#[test]
fn the_selection_contains_every_pair_and_the_table_every_trigger_level_and_scope() {
    let chosen = pairwise(&mut domain::Seed(1).fork("test"));
    let found: std::collections::BTreeSet<Pair> = chosen.iter().flat_map(pairs).collect();
    let wanted: std::collections::BTreeSet<Pair> = all().iter().flat_map(pairs).collect();
    assert_eq!(found, wanted);
    println!("{} of {} cells", chosen.len(), all().len());
    assert!(chosen.len() < 40, "{}", chosen.len());
    for trigger in Trigger::ALL {
        assert!(all().iter().any(|cell| cell.trigger == trigger));
    }
    for level in &StopLevel::ALL[1..] {
        assert!(all().iter().any(|cell| cell.level == *level));
    }
}
