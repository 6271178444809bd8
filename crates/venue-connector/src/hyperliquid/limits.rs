//! The venue's request budgets and our reserve of them for cancels (C07, I10).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::{Span, Stamp};

/// What a request is for, and so how deep into a budget it may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Cancels and everything on the kill path: the whole budget. What must not wait is charged instead of taken.
    Cancel,
    /// Reads that reconciliation waits for: half of the reserve, for without them nothing is known.
    Recover,
    /// Orders: never the reserve.
    Place,
    /// Reads that only freshen what streams deliver as well.
    Refresh,
    /// Bars and past funding: nothing waits for them.
    History,
}

impl Purpose {
    /// The share of a budget, in percent, that must stay free after a request of this kind.
    const fn keeps_percent(self) -> u32 {
        match self {
            Purpose::Cancel => 0,
            Purpose::Recover => RESERVE_PERCENT / 2,
            Purpose::Place => RESERVE_PERCENT,
            Purpose::Refresh => RESERVE_PERCENT + STEP_PERCENT,
            Purpose::History => RESERVE_PERCENT + 2 * STEP_PERCENT,
        }
    }
}

/// Headroom that placements leave to cancels (C07).
const RESERVE_PERCENT: u32 = 30;
/// Headroom that each kind of read leaves to the next more urgent kind: of the venue's limit 120 a minute, which is what polls take.
const STEP_PERCENT: u32 = 10;
/// The venue counts by the minute; so do we, in slots of one second, of which the partly expired one counts in full.
const SLOTS: usize = 61;
const SLOT: Span = Span::secs(1);

/// How long until a budget has room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request budget is spent; room in {} ms", wait.as_millis())]
pub struct Spent {
    /// From now on.
    pub wait: Duration,
}

/// A sliding window of one minute over weights. No burst at a window's edge can exceed the venue's limit, whichever way the
/// venue cuts its minutes.
#[derive(Debug)]
pub struct WeightWindow {
    limit: u32,
    slots: Mutex<Slots>,
}

#[derive(Debug)]
struct Slots {
    used: [u32; SLOTS],
    /// Number of the newest slot since the clock's zero.
    newest: u64,
    total: u32,
}

impl WeightWindow {
    /// At most `limit` weight in any minute.
    #[must_use]
    pub fn new(limit: u32) -> WeightWindow {
        WeightWindow { limit, slots: Mutex::new(Slots { used: [0; SLOTS], newest: 0, total: 0 }) }
    }

    /// Books `weight` for `purpose`.
    ///
    /// # Errors
    /// If that would reach into what is reserved for more urgent requests; with the time until it would not.
    pub fn take(&self, now: Stamp, weight: u32, purpose: Purpose) -> Result<(), Spent> {
        let mut slots = self.lock();
        slots.advance(now);
        let ceiling = self.ceiling(purpose);
        if slots.total + weight <= ceiling {
            slots.add(weight);
            return Ok(());
        }
        // how many of the oldest slots must expire; a weight above the ceiling never fits and waits a whole window
        let mut freed = 0;
        let mut age = SLOTS as u64;
        for back in (0..SLOTS as u64).rev() {
            freed += slots.used[slots.index_back(back)];
            age = SLOTS as u64 - back;
            if slots.total - freed + weight <= ceiling {
                break;
            }
        }
        let boundary = (slots.newest + age) * SLOT.0;
        Err(Spent { wait: Duration::from_nanos(boundary.saturating_sub(now.mono).max(1)) })
    }

    /// Books weight that was learnt of afterwards, such as a surcharge by the number of rows in an answer. It may overdraw.
    pub fn charge(&self, now: Stamp, weight: u32) {
        let mut slots = self.lock();
        slots.advance(now);
        slots.add(weight);
    }

    /// Weight used in the last minute, and the limit.
    #[must_use]
    pub fn used(&self, now: Stamp) -> (u32, u32) {
        let mut slots = self.lock();
        slots.advance(now);
        (slots.total, self.limit)
    }

    fn ceiling(&self, purpose: Purpose) -> u32 {
        self.limit - self.limit * purpose.keeps_percent() / 100
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slots {
    fn advance(&mut self, now: Stamp) {
        let current = now.mono / SLOT.0;
        let steps = current.saturating_sub(self.newest).min(SLOTS as u64);
        self.newest = self.newest.max(current);
        for back in 0..steps {
            let at = self.index_back(back);
            self.total -= self.used[at];
            self.used[at] = 0;
        }
    }

    fn add(&mut self, weight: u32) {
        let at = self.index_back(0);
        self.used[at] = self.used[at].saturating_add(weight);
        self.total = self.used.iter().fold(0, |sum, w| sum.saturating_add(*w));
    }

    fn index_back(&self, back: u64) -> usize {
        let slots = SLOTS as u64;
        usize::try_from((self.newest % slots + slots - back) % slots).unwrap_or(0)
    }
}

/// What the venue still lets one address do (fact sheet §7): a lifetime budget that grows with volume traded. Every order and
/// cancel inside a batch counts. Cancels have a limit of their own above it.
#[derive(Debug)]
pub struct AddressBudget {
    state: Mutex<Address>,
}

#[derive(Debug)]
struct Address {
    used: u64,
    cap: u64,
    /// Last placement that went out while the budget was spent.
    trickle: Option<Stamp>,
}

/// With a spent budget the venue lets one action pass in ten seconds; measured eleven (fact sheet §7).
const TRICKLE: Span = Span::secs(11);
/// The venue's own headroom for cancels: `min(cap + 100,000, 2 cap)`.
const CANCEL_EXTRA_MAX: u64 = 100_000;

impl AddressBudget {
    /// A budget of `cap` of which `used` is gone.
    #[must_use]
    pub fn new(used: u64, cap: u64) -> AddressBudget {
        AddressBudget { state: Mutex::new(Address { used, cap, trickle: None }) }
    }

    /// Takes over the venue's own count.
    pub fn observe(&self, used: u64, cap: u64) {
        let mut state = self.lock();
        state.used = used;
        state.cap = cap;
    }

    /// The venue refused for want of budget: it is spent, whatever we counted.
    pub fn exhausted(&self) {
        let mut state = self.lock();
        state.used = state.used.max(state.cap);
    }

    /// Books `n` placements. While the budget is spent only what reduces a position passes, one action in eleven seconds (F48).
    ///
    /// # Errors
    /// If it is spent; with the time until the next action may pass.
    pub fn place(&self, now: Stamp, n: u64, reduces: bool) -> Result<(), Spent> {
        let mut state = self.lock();
        if state.used.saturating_add(n) <= state.cap {
            state.used += n;
            return Ok(());
        }
        let since = state.trickle.map(|last| now.since(last));
        match since {
            Some(passed) if passed < TRICKLE => Err(Spent { wait: Duration::from_nanos(TRICKLE.0 - passed.0) }),
            _ if !reduces => Err(Spent { wait: Duration::from_nanos(TRICKLE.0) }),
            _ => {
                state.trickle = Some(now);
                state.used = state.used.saturating_add(n);
                Ok(())
            }
        }
    }

    /// Books `n` cancels. They are never refused here: an open order is worse than a refused request.
    pub fn cancel(&self, n: u64) {
        let mut state = self.lock();
        state.used = state.used.saturating_add(n);
    }

    /// Requests used, the cap, and the higher cap of cancels.
    #[must_use]
    pub fn used(&self) -> (u64, u64, u64) {
        let state = self.lock();
        let extra = state.cap.min(CANCEL_EXTRA_MAX);
        (state.used, state.cap, state.cap.saturating_add(extra))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Address> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
