use std::fs;
use std::time::Instant;

use super::*;

fn wire() -> (Arc<Gate>, Arc<Tripwire>) {
    let gate = Arc::new(Gate::default());
    (Arc::clone(&gate), Arc::new(Tripwire::new(gate)))
}

/// Until `done`, or the test has waited for long enough.
fn wait(what: &str, done: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < until, "{what} did not come");
        thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test]
async fn the_gate_is_closed_before_anyone_hears_of_it_and_nothing_pulled_is_lost_i20() {
    let (gate, wire) = wire();
    wire.pull(&Stop::all(StopLevel::ReduceOnly, Trigger::Clock, "first"));
    assert!(!gate.is_closed(), "positions may shrink");
    wire.pull(&Stop { scope: "parent:P7".parse().unwrap(), ..Stop::all(StopLevel::Sever, Trigger::Operator, "one") });
    assert!(!gate.is_closed(), "a narrower scope is the desk's");
    wire.pull(&Stop::all(StopLevel::Block, Trigger::Clock, "second"));
    assert!(gate.is_closed());
    wire.pull(&Stop::all(StopLevel::ReduceOnly, Trigger::Signal, "lower"));
    wire.rung().await;
    let taken = wire.take();
    assert_eq!((taken.level(), taken.cause(), taken.iter().count()), (StopLevel::Block, "second", 2));
    assert!(!wire.is_pulled() && !wire.take().is_set());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_stop_is_seen_without_the_loop_and_again_after_the_gate_was_opened_c34() {
    let dir = tempfile::tempdir().unwrap();
    let (gate, wire) = wire();
    look_out(&wire, vec![dir.path().to_owned()]).unwrap();
    fs::write(sentinel::path(dir.path()), "block fire drill").unwrap();
    wait("the gate", || gate.is_closed());
    wait("the stop", || wire.is_pulled());
    assert!(wire.take().cause().ends_with("STOP: fire drill"));
    gate.open();
    wait("the gate, since the file is still there", || gate.is_closed());
    fs::write(sentinel::path(dir.path()), "flatten").unwrap();
    wait("the higher level", || wire.take().level() == StopLevel::Flatten);
    fs::remove_file(sentinel::path(dir.path())).unwrap();
    thread::sleep(LOOK_EVERY * 2);
    assert!(gate.is_closed(), "its end opens nothing (I23)");
}

#[tokio::test]
async fn a_latch_that_cannot_be_written_leaves_the_file_stop() {
    let state = tempfile::tempdir().unwrap();
    let journal_dir = state.path().join("journal");
    fs::create_dir(&journal_dir).unwrap();
    journal::latch_clear(&journal_dir, None).unwrap();
    latch_beside(&journal_dir, panic_stop("a thread panicked")).await;
    assert_eq!(journal::latch_read(&journal_dir).level(), StopLevel::Cancel);
    assert_eq!(sentinel::read(state.path()), None);
    // a directory in the place of the latch file cannot be replaced by a file
    fs::remove_file(journal_dir.join("LATCH")).unwrap();
    fs::create_dir_all(journal_dir.join("LATCH/x")).unwrap();
    latch_beside(&journal_dir, Stop::all(StopLevel::Flatten, Trigger::Journal, "no space")).await;
    assert_eq!(sentinel::read(state.path()).map(|stop| stop.level), Some(StopLevel::Flatten));
}

#[test]
fn f56_a_panic_of_any_thread_closes_the_gate_where_it_happens() {
    // in a process of its own each, as the test runner has it: the hook stays
    let (gate, wire) = wire();
    wire.heed_panics();
    let asked = Arc::clone(&gate);
    let ended = thread::Builder::new().name("hands".into()).spawn(move || {
        assert!(!asked.is_closed());
        let held = std::panic::catch_unwind(|| panic!("invariant: for this test"));
        assert!(held.is_err() && asked.is_closed(), "closed before anything was unwound, caught or not");
    });
    ended.unwrap().join().unwrap();
    let words = wire.panicked().unwrap().to_owned();
    assert!(words.starts_with("hands panicked at ") && words.ends_with("invariant: for this test"), "{words}");
    wire.heed();
    wire.heed();
    let stops = wire.take();
    let stop = stops.worst().unwrap();
    assert_eq!((stop.level, stop.trigger), (StopLevel::Cancel, Trigger::Panic));
    assert!(!wire.is_pulled(), "made a stop once");
}
