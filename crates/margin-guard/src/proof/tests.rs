//! Nothing is released that the log did not confirm.

use std::sync::Mutex;

use domain::{Basis, Entry, Epoch, Px, Qty, Receipt, Stamped, WriteAhead};

use super::{Cleared, ReleaseError, release};
use crate::Guard;
use crate::world::{BTC_PX, allow, child, t0, world};

#[derive(Debug, thiserror::Error)]
#[error("disk full")]
struct Full;

/// A log in memory that fails on demand.
#[derive(Default)]
struct Memory {
    groups: Mutex<Vec<Vec<Stamped>>>,
    fails: bool,
    /// How many entries too few it confirms.
    short: u64,
}

impl WriteAhead for Memory {
    type Error = Full;
    async fn append(&self, entries: Vec<Stamped>) -> Result<Receipt, Full> {
        if self.fails {
            return Err(Full);
        }
        let mut groups = self.groups.lock().unwrap_or_else(|e| panic!("{e}"));
        let first = 1 + u64::try_from(groups.iter().map(Vec::len).sum::<usize>()).unwrap_or(0);
        let last = first + u64::try_from(entries.len()).unwrap_or(0) - 1 - self.short;
        groups.push(entries);
        Ok(Receipt { first, last, epoch: Epoch(1) })
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap_or_else(|e| panic!("{e}"));
    runtime.block_on(future)
}

fn entry(cleared: &Cleared) -> Stamped {
    Stamped { at: t0(), entry: Entry::Intent { intent: *cleared.intent(), basis: *cleared.basis(), mid_x2: None } }
}

fn other() -> Stamped {
    Stamped { at: t0(), entry: Entry::Rearm { reason: "test".into(), scope: None, by: Vec::new() } }
}

fn two() -> (Guard, Vec<Cleared>) {
    let mut guard = world();
    let cleared = (1..=2).map(|no| allow(&mut guard, t0(), child(1, no, 100, BTC_PX))).collect();
    (guard, cleared)
}

#[test]
fn one_group_then_one_release_per_verdict() {
    let (_, cleared) = two();
    let log = Memory::default();
    // the desk's order of entries need not be that of the verdicts
    let entries = vec![other(), entry(&cleared[1]), other(), entry(&cleared[0])];
    let released = run(release(cleared, entries.clone(), &log)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(log.groups.into_inner().unwrap_or_default(), vec![entries]);
    let numbers: Vec<_> = released.iter().map(|r| (r.intent().child.no.0, r.receipt().first, r.receipt().last)).collect();
    assert_eq!(numbers, [(1, 1, 4), (2, 1, 4)]);
    assert_eq!(
        released.into_iter().map(|r| r.into_intent()).collect::<Vec<_>>(),
        [child(1, 1, 100, BTC_PX), child(1, 2, 100, BTC_PX)]
    );
}

#[test]
fn entries_without_orders_are_appended_and_nothing_is_nothing() {
    let log = Memory::default();
    assert!(run(release(Vec::new(), vec![other()], &log)).is_ok_and(|r| r.is_empty()));
    assert!(run(release(Vec::new(), Vec::new(), &log)).is_ok_and(|r| r.is_empty()));
    assert_eq!(log.groups.into_inner().unwrap_or_default().len(), 1);
}

#[test]
fn i01_a_failed_append_releases_nothing_and_the_orders_can_be_freed() {
    let (mut guard, cleared) = two();
    let entries = cleared.iter().map(entry).collect();
    let log = Memory { fails: true, ..Memory::default() };
    let error = match run(release(cleared, entries, &log)) {
        Err(error) => error,
        Ok(released) => panic!("released {}", released.len()),
    };
    assert!(matches!(error, ReleaseError::Log { source: Full, .. }), "{error}");
    assert_eq!(error.intents(), [child(1, 1, 100, BTC_PX), child(1, 2, 100, BTC_PX)]);
    let working = |guard: &Guard| guard.projection(t0(), crate::world::btc()).map(|v| v.working_long);
    assert_eq!(working(&guard), Some(Qty(200)), "reserved until the desk frees them");
    for intent in error.intents() {
        guard.gone(intent.key);
    }
    assert_eq!(working(&guard), Some(Qty(0)));
}

#[test]
fn a_receipt_for_less_than_the_group_is_no_receipt() {
    let (_, cleared) = two();
    let entries = cleared.iter().map(entry).collect();
    let log = Memory { short: 1, ..Memory::default() };
    let error = run(release(cleared, entries, &log)).map(|r| r.len());
    assert!(matches!(&error, Err(ReleaseError::Receipt { entries: 2, .. })), "{error:?}");
}

#[test]
fn what_is_recorded_is_what_was_cleared() {
    let check = |change: &dyn Fn(&mut Vec<Stamped>), words: &str| {
        let (_, cleared) = two();
        let mut entries = cleared.iter().map(entry).collect();
        change(&mut entries);
        let log = Memory::default();
        let text = match run(release(cleared, entries, &log)) {
            Err(error @ ReleaseError::Mismatch { .. }) => error.to_string(),
            Err(error) => panic!("{error}"),
            Ok(released) => panic!("{words}: released {}", released.len()),
        };
        assert!(text.contains(words), "{text}");
        assert!(log.groups.into_inner().unwrap_or_default().is_empty(), "{words}: nothing may be appended");
    };
    check(&|entries| drop(entries.pop()), "was cleared but is not to be recorded");
    check(&|entries| entries.push(entries[0].clone()), "is to be recorded but was not cleared, or twice");
    check(
        &|entries| {
            if let Entry::Intent { intent, .. } = &mut entries[0].entry {
                intent.child.px = Px(1);
            }
        },
        "recorded differently",
    );
    check(
        &|entries| {
            if let Entry::Intent { basis, .. } = &mut entries[1].entry {
                *basis = Basis { book_age_ms: 999, ..*basis };
            }
        },
        "on other numbers",
    );
}
