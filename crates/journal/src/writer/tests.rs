use std::sync::atomic::AtomicUsize;

use domain::WriteAhead;
use tokio::sync::Semaphore;

use super::*;
use crate::journal::root;
use crate::latch::latch_read;
use crate::store::Sqlite;
use crate::testing::{at, note, scratch};

/// How the store fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// The call fails and does nothing.
    Error,
    /// The disk is full.
    Full,
    /// The call does its work and reports a failure all the same, as a flush may.
    After,
}

/// SQLite with a fault at the `k`-th call that can fail, once or from then on.
struct Faulty {
    inner: Sqlite,
    calls: Arc<AtomicUsize>,
    k: usize,
    fault: Fault,
    sticky: bool,
}

impl Faulty {
    fn step<T>(&mut self, act: impl FnOnce(&mut Sqlite) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let hit = call == self.k || self.sticky && call > self.k;
        match (hit, self.fault) {
            (false, _) => act(&mut self.inner),
            (true, Fault::Error) => Err(StoreError::Failed("injected EIO".into())),
            (true, Fault::Full) => Err(StoreError::Full("injected ENOSPC".into())),
            (true, Fault::After) => act(&mut self.inner).and(Err(StoreError::Failed("injected EIO afterwards".into()))),
        }
    }
}

impl Store for Faulty {
    fn begin(&mut self) -> Result<Epoch, StoreError> {
        self.step(Store::begin)
    }
    fn savepoint(&mut self) -> Result<(), StoreError> {
        self.step(Store::savepoint)
    }
    fn insert(&mut self, row: &Row<'_>) -> Result<(), StoreError> {
        self.step(|s| s.insert(row))
    }
    fn raise(&mut self, name: &str, value: u64) -> Result<(), StoreError> {
        self.step(|s| s.raise(name, value))
    }
    fn undo(&mut self) -> Result<(), StoreError> {
        self.step(Store::undo)
    }
    fn commit(&mut self) -> Result<(), StoreError> {
        self.step(Store::commit)
    }
    fn rollback(&mut self) {
        self.inner.rollback();
    }
    fn checkpoint(&mut self, whole: bool) -> Result<(), StoreError> {
        self.step(|s| s.checkpoint(whole))
    }
    fn hash_at(&mut self, seq: u64) -> Result<Option<Hash>, StoreError> {
        self.step(|s| s.hash_at(seq))
    }
}

const META: &str = r#"{"identity":{"venue":"hyperliquid","network":"paper","account":"0x"},"tag":1}"#;

fn me() -> crate::Identity {
    crate::Identity { venue: domain::Venue::Hyperliquid, network: "paper".into(), account: "0x".into() }
}

/// A writer on a faulty store, without a thread of its own: requests are queued, then served to the end.
struct Bench {
    dir: tempfile::TempDir,
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
    queue: std::sync::mpsc::Sender<Request>,
    requests: Receiver<Request>,
}

impl Bench {
    fn new() -> Bench {
        let dir = scratch();
        latch_clear(dir.path(), None).unwrap();
        let head = Head { seq: 0, hash: root(META) };
        let (queue, requests) = std::sync::mpsc::channel();
        Bench { dir, shared: Arc::new(Shared::new(Epoch(1), head)), places: Arc::new(Semaphore::new(QUEUE_MAX)), queue, requests }
    }

    fn append(&self, entries: &[Stamped]) -> oneshot::Receiver<Result<Receipt, AppendError>> {
        let (reply, answer) = oneshot::channel();
        let place = Arc::clone(&self.places).try_acquire_owned().unwrap();
        assert!(self.queue.send(Request::Append { drafts: Draft::all(entries).unwrap(), reply, place }).is_ok());
        answer
    }

    /// A writer whose `k`-th call to the store fails.
    fn writer(&self, k: usize, fault: Fault, sticky: bool) -> Writer<Faulty> {
        let head = self.shared.head();
        let witness = Witness::start(self.dir.path(), head).unwrap();
        let mut inner = Sqlite::open(self.dir.path()).unwrap();
        inner.create(META).unwrap();
        inner.claim(Epoch(1)).unwrap();
        let ballast = Ballast::at(self.dir.path());
        ballast.load(4_096).unwrap();
        let store = Faulty { inner, calls: Arc::default(), k, fault, sticky };
        let (dir, shared) = (self.dir.path().to_owned(), Arc::clone(&self.shared));
        Writer { store, witness, ballast, dir, shared, head, last: Stamp::default(), log_bytes: 0 }
    }

    /// Serves what was queued.
    fn serve(self, writer: Writer<Faulty>) -> tempfile::TempDir {
        drop(self.queue);
        writer.run(&self.requests);
        self.dir
    }
}

/// Three appends, queued together or one after the other: how many calls were made, how many appends acknowledged, and what the
/// next start finds.
fn case(k: usize, fault: Fault, sticky: bool, together: bool) -> (usize, usize, crate::Opened) {
    let bench = Bench::new();
    let parts = [vec![note(1, "a")], vec![note(2, "b"), note(3, "c")], vec![note(4, "d")]];
    let writer = bench.writer(k, fault, sticky);
    let calls = Arc::clone(&writer.store.calls);
    let (dir, outcomes): (_, Vec<_>) = if together {
        let answers = parts.each_ref().map(|p| bench.append(p));
        (bench.serve(writer), answers.into_iter().map(|a| a.blocking_recv().unwrap()).collect())
    } else {
        let (queue, requests) = (bench.queue.clone(), bench.requests);
        let thread = std::thread::spawn(move || writer.run(&requests));
        let bench = Bench { requests: std::sync::mpsc::channel().1, ..bench };
        let outcomes = parts.each_ref().map(|p| bench.append(p).blocking_recv().unwrap()).into();
        drop((queue, bench.queue));
        thread.join().unwrap();
        (bench.dir, outcomes)
    };
    let acknowledged = outcomes.iter().take_while(|o| o.is_ok()).count();
    assert!(outcomes[acknowledged..].iter().all(Result::is_err), "an append succeeded after one had failed (I27)");
    let opened = crate::Journal::open(dir.path(), &me(), &crate::Options { ballast_bytes: 0, ..crate::Options::new(1) }).unwrap();
    let promised: usize = parts[..acknowledged].iter().map(Vec::len).sum();
    let there: Vec<_> = opened.entries.iter().filter(|e| !matches!(e.entry, Entry::Latch(_))).cloned().collect();
    assert!(there.len() >= promised, "an acknowledged record is gone (I26), k = {k}");
    assert_eq!(there, parts.concat()[..there.len()], "k = {k}");
    (calls.load(Ordering::Relaxed), acknowledged, opened)
}

#[test]
fn whichever_call_fails_nothing_acknowledged_is_lost_and_nothing_follows_g10_f66_f67() {
    for together in [true, false] {
        let (calls, acknowledged, opened) = case(usize::MAX, Fault::Error, false, together);
        assert_eq!((acknowledged, opened.entries.len()), (3, 4));
        assert!(!opened.latch.is_set());
        let mut reached = std::collections::BTreeSet::new();
        for fault in [Fault::Error, Fault::Full, Fault::After] {
            for sticky in [false, true] {
                // the last call is the checkpoint at the end, after everyone was answered
                for k in 0..calls - 1 {
                    let (_, acknowledged, opened) = case(k, fault, sticky, together);
                    assert!(acknowledged < 3, "call {k} failed by {fault:?} and nobody was told");
                    assert_eq!(opened.latch.level(), StopLevel::Cancel, "call {k}, {fault:?}");
                    reached.insert(acknowledged);
                }
            }
        }
        assert_eq!(reached.len(), if together { 1 } else { 3 }, "{reached:?}");
    }
}

#[test]
fn a_full_disk_gives_up_the_ballast_and_records_the_latch_in_its_space_f67() {
    let bench = Bench::new();
    let answer = bench.append(&[note(5, "too much")]);
    let writer = bench.writer(2, Fault::Full, false);
    let dir = bench.serve(writer);
    assert!(matches!(answer.blocking_recv().unwrap(), Err(AppendError::Full(_))));
    assert!(!dir.path().join("ballast").exists());
    assert_eq!(latch_read(dir.path()).level(), StopLevel::Cancel);
    let records: Vec<_> = crate::export(dir.path()).unwrap().map(|r| r.decode().unwrap()).collect();
    let [only] = &records[..] else { panic!("{records:?}") };
    assert_eq!(only.at, at(5), "the latch carries the moment of the append that failed");
    assert!(
        matches!(&only.entry, Entry::Latch(stop) if stop.level == StopLevel::Cancel && stop.cause.contains("full")),
        "{only:?}"
    );
}

#[test]
fn a_log_that_grows_without_a_quiet_moment_is_folded_f75() {
    let bench = Bench::new();
    let entries: Vec<_> = (0..1_200).map(|n| note(n, &"x".repeat(40_000))).collect();
    let answers: Vec<_> = entries.chunks(100).map(|part| bench.append(part)).collect();
    let writer = bench.writer(usize::MAX, Fault::Error, false);
    let dir = bench.dir.path().join("journal.db-wal");
    let (queue, requests) = (bench.queue, bench.requests);
    let thread = std::thread::spawn(move || writer.run(&requests));
    for answer in answers {
        assert!(answer.blocking_recv().unwrap().is_ok());
    }
    let (reply, more) = oneshot::channel();
    let place = Arc::clone(&bench.places).try_acquire_owned().unwrap();
    assert!(queue.send(Request::Append { drafts: Draft::all(&[note(9, "x")]).unwrap(), reply, place }).is_ok());
    assert!(more.blocking_recv().unwrap().is_ok());
    let size = std::fs::metadata(dir).unwrap().len();
    assert!(size < 2 * LOG_MAX, "48 MiB were written and the log holds {size} bytes");
    drop(queue);
    thread.join().unwrap();
}

#[test]
fn what_queues_up_together_is_one_commit() {
    let bench = Bench::new();
    let answers: Vec<_> = (0..32).map(|n| bench.append(&[note(n, "x")])).collect();
    let shared = Arc::clone(&bench.shared);
    let writer = bench.writer(usize::MAX, Fault::Error, false);
    bench.serve(writer);
    for (n, answer) in (1..).zip(answers) {
        let receipt = answer.blocking_recv().unwrap().unwrap();
        assert_eq!((receipt.first, receipt.last), (n, n));
    }
    assert_eq!(shared.stats(), Stats { records: 32, commits: 1 });
}

#[tokio::test]
async fn the_queue_is_bounded_and_callers_wait_their_turn_f60() {
    let dir = scratch();
    let opened = crate::Journal::open(dir.path(), &me(), &crate::Options { ballast_bytes: 0, ..crate::Options::new(1) }).unwrap();
    let waiting = (0..3 * QUEUE_MAX as u64).map(|n| opened.journal.append(vec![note(n, "x")]));
    let outcomes = futures(waiting.collect()).await;
    assert_eq!(outcomes, 3 * QUEUE_MAX);
    assert_eq!(opened.journal.stats().records, 3 * QUEUE_MAX as u64);
}

/// Polls all futures until the last is done; gives the number of those that succeeded.
async fn futures<F: Future<Output = Result<Receipt, AppendError>>>(all: Vec<F>) -> usize {
    let mut all: Vec<_> = all.into_iter().map(|f| Some(Box::pin(f))).collect();
    let mut good = 0;
    std::future::poll_fn(|cx| {
        for slot in &mut all {
            if let Some(future) = slot
                && let std::task::Poll::Ready(outcome) = future.as_mut().poll(cx)
            {
                good += usize::from(outcome.is_ok());
                *slot = None;
            }
        }
        if all.iter().all(Option::is_none) { std::task::Poll::Ready(good) } else { std::task::Poll::Pending }
    })
    .await
}
