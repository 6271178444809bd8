//! The matrix: where the daemon is killed, and what goes wrong besides.

use domain::{Prng, Seed};

/// The state of the transfer at which the daemon is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// Decided; the trial run is held, so that nothing is signed.
    Intended,
    /// The bytes are durable; they are held on their way to the chain.
    Signed,
    /// Recorded as sent; whether held bytes reach the chain after the kill is left to chance.
    Sending,
    /// The chain has the bytes; the daemon never hears of it.
    Unanswered,
    /// Sent, and in the chain's pool.
    Sent,
    /// The chain forgot it, and the journal says so.
    Dropped,
    /// A second transaction was signed for the nonce.
    Replaced,
    /// In a block.
    Included,
    /// With blocks on top.
    Confirmed,
    /// Its block is gone, and the journal says so.
    Reorged,
    /// Final on the chain, not yet credited.
    Landed,
    /// Credited, not yet final.
    Credited,
    /// Reported as late: fees are above its cap.
    Overdue,
    /// Refused before anything was signed: the token is paused.
    Refused,
    /// Mined and reverted.
    Reverted,
    /// The transaction that makes the nonce useless is signed.
    Burning,
    /// That transaction is final.
    Burnt,
    /// A second tenure has recorded that it goes on.
    Resumed,
    /// A second tenure has begun and has reconciled nothing yet.
    Booting,
    /// Arrived.
    Ended,
    /// Whenever chance says.
    Random,
}

impl Point {
    pub const ALL: [Point; 21] = [
        Point::Intended,
        Point::Signed,
        Point::Sending,
        Point::Unanswered,
        Point::Sent,
        Point::Dropped,
        Point::Replaced,
        Point::Included,
        Point::Confirmed,
        Point::Reorged,
        Point::Landed,
        Point::Credited,
        Point::Overdue,
        Point::Refused,
        Point::Reverted,
        Point::Burning,
        Point::Burnt,
        Point::Resumed,
        Point::Booting,
        Point::Ended,
        Point::Random,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Point::Intended => "intended",
            Point::Signed => "signed",
            Point::Sending => "sending",
            Point::Unanswered => "unanswered",
            Point::Sent => "sent",
            Point::Dropped => "dropped",
            Point::Replaced => "replaced",
            Point::Included => "included",
            Point::Confirmed => "confirmed",
            Point::Reorged => "reorged",
            Point::Landed => "landed",
            Point::Credited => "credited",
            Point::Overdue => "overdue",
            Point::Refused => "refused",
            Point::Reverted => "reverted",
            Point::Burning => "burning",
            Point::Burnt => "burnt",
            Point::Resumed => "resumed",
            Point::Booting => "booting",
            Point::Ended => "ended",
            Point::Random => "random",
        }
    }
}

/// What happens while the daemon is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Nothing.
    None,
    /// The chain's pool forgets everything (F82).
    Dropped,
    /// Blocks become too dear for what was sent, so that a replacement is needed.
    Replacement,
    /// Blocks are undone, 1 to 64 of them (F85).
    Reorg,
    /// Gas costs more than any cap, for a while (F86).
    Spike,
    /// The token is paused for a while: what is mined meanwhile reverts (F89).
    Revert,
    /// The venue credits seconds late (F91).
    Late,
}

impl Fault {
    pub const ALL: [Fault; 7] =
        [Fault::None, Fault::Dropped, Fault::Replacement, Fault::Reorg, Fault::Spike, Fault::Revert, Fault::Late];

    pub const fn name(self) -> &'static str {
        match self {
            Fault::None => "no fault",
            Fault::Dropped => "dropped",
            Fault::Replacement => "replacement",
            Fault::Reorg => "reorg 1-64",
            Fault::Spike => "gas spike",
            Fault::Revert => "revert",
            Fault::Late => "late credit",
        }
    }
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    pub point: Point,
    pub fault: Fault,
}

/// `runs` cells: every point with every fault in turn, in an order of chance, so that a few runs already differ in both.
pub fn matrix(runs: usize, seed: Seed) -> Vec<Cell> {
    let mut chance = seed.fork("matrix");
    let mut all = Vec::with_capacity(runs);
    while all.len() < runs {
        let mut round: Vec<Cell> =
            Point::ALL.iter().flat_map(|point| Fault::ALL.iter().map(|fault| Cell { point: *point, fault: *fault })).collect();
        shuffle(&mut round, &mut chance);
        all.extend(round);
    }
    all.truncate(runs);
    all
}

fn shuffle(cells: &mut [Cell], chance: &mut Prng) {
    for at in (1..cells.len()).rev() {
        let with = usize::try_from(chance.below(at as u64 + 1)).unwrap_or(0);
        cells.swap(at, with);
    }
}
