use std::fs;
use std::os::unix::fs::FileExt;

use domain::{ChildNo, ClientKey, ParentId, StopLevel, Venue};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::export;
use crate::testing::{at, fill, intent, key, note, scratch};

fn me() -> Identity {
    Identity { venue: Venue::Hyperliquid, network: "paper".into(), account: "0xabc".into() }
}

fn options() -> Options {
    Options { ballast_bytes: 4_096, ..Options::new(7) }
}

fn open(dir: &Path) -> Result<Opened, OpenError> {
    Journal::open(dir, &me(), &options())
}

/// A copy of everything in `dir`, as a crash at this moment would leave it.
fn crash(dir: &Path) -> TempDir {
    let copy = scratch();
    for file in fs::read_dir(dir).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

fn damage(outcome: Result<Opened, OpenError>) -> Damage {
    match outcome {
        Err(OpenError::Damaged { damage, .. }) => damage,
        Err(other) => panic!("not damage: {other}"),
        Ok(opened) => panic!("opened with {} entries", opened.entries.len()),
    }
}

#[tokio::test]
async fn what_was_appended_comes_back_in_the_next_tenure() {
    let dir = scratch();
    let opened = open(dir.path()).unwrap();
    assert!(opened.fresh && opened.entries.is_empty());
    assert_eq!((opened.epoch, opened.first, opened.latch), (Epoch(1), 1, Stops::default()));
    let wrote = vec![intent(1, key(opened.tag, opened.epoch, 1)), fill(2, 5, None)];
    let receipt = opened.journal.append(wrote.clone()).await.unwrap();
    assert_eq!((receipt.first, receipt.last, receipt.epoch), (1, 2, Epoch(1)));
    let nothing = opened.journal.append(Vec::new()).await.unwrap();
    assert_eq!((nothing.first, nothing.last), (3, 2));
    let head = opened.journal.head();
    opened.journal.close().await.unwrap();

    let again = open(dir.path()).unwrap();
    assert!(!again.fresh);
    assert_eq!((again.epoch, again.tag, again.last), (Epoch(2), opened.tag, at(2)));
    assert_eq!((again.entries, again.journal.head()), (wrote, head));
}

#[tokio::test]
async fn an_unclean_end_loses_nothing_that_was_acknowledged_i26() {
    let dir = scratch();
    let opened = open(dir.path()).unwrap();
    for n in 0..20 {
        opened.journal.append(vec![note(n, "x")]).await.unwrap();
        let copy = crash(dir.path());
        let there = open(copy.path()).unwrap();
        assert_eq!(there.journal.head(), opened.journal.head());
    }
}

#[test]
fn a_second_daemon_is_refused_and_told_who_has_it_f62() {
    let dir = scratch();
    let first = open(dir.path()).unwrap();
    let said = open(dir.path()).unwrap_err().to_string();
    assert!(said.contains(&format!("in use by process {}", std::process::id())), "{said}");
    drop(first);
    open(dir.path()).unwrap();
}

#[test]
fn a_foreign_journal_is_refused_naming_both_f72() {
    let dir = scratch();
    drop(open(dir.path()).unwrap());
    let before = fs::read(dir.path().join(store::NAME)).unwrap();
    for other in [
        Identity { network: "mainnet".into(), ..me() },
        Identity { account: "0xdef".into(), ..me() },
        Identity { venue: Venue::Dydx, ..me() },
    ] {
        let said = Journal::open(dir.path(), &other, &options()).unwrap_err().to_string();
        assert!(said.contains(&me().to_string()) && said.contains(&other.to_string()), "{said}");
    }
    assert_eq!(fs::read(dir.path().join(store::NAME)).unwrap(), before);
    assert!(!open(dir.path()).unwrap().latch.is_set());
}

#[tokio::test]
async fn a_stale_tenure_cannot_append_i24_f63() {
    let dir = scratch();
    let old = open(dir.path()).unwrap();
    old.journal.append(vec![note(1, "mine")]).await.unwrap();
    // a successor that the lock did not stop, as on another host
    Sqlite::open(dir.path()).unwrap().claim(Epoch(2)).unwrap();
    let refused = old.journal.append(vec![note(2, "late")]).await.unwrap_err();
    assert!(matches!(refused, AppendError::Stale { mine: Epoch(1), current: Epoch(2) }), "{refused}");
    assert!(matches!(old.journal.append(vec![note(3, "later")]).await, Err(AppendError::Closed(_))));
    assert_eq!(old.journal.head().seq, 1);
}

#[tokio::test]
async fn an_entry_that_speaks_for_another_tenure_is_refused() {
    let dir = scratch();
    let opened = open(dir.path()).unwrap();
    let entry = Entry::Reconciled { epoch: Epoch(9), state: String::new(), repairs: 0 };
    let refused = opened.journal.append(vec![note(1, "x"), Stamped { at: at(1), entry }]).await.unwrap_err();
    assert!(matches!(refused, AppendError::Stale { mine: Epoch(1), current: Epoch(9) }), "{refused}");
    assert_eq!(opened.journal.head().seq, 0);
}

#[tokio::test]
async fn a_key_or_a_trade_is_taken_once_and_then_the_journal_is_closed_i02_i17() {
    for twice in [intent(1, ClientKey::from_bits(5)), fill(1, 5, None)] {
        let dir = scratch();
        let opened = open(dir.path()).unwrap();
        opened.journal.append(vec![twice.clone(), note(1, "x")]).await.unwrap();
        let refused = opened.journal.append(vec![note(2, "before it"), twice.clone()]).await.unwrap_err();
        assert!(matches!(refused, AppendError::Duplicate(_)), "{refused}");
        assert!(matches!(opened.journal.closed(), Some(AppendError::Duplicate(_))));
        assert!(opened.journal.append(vec![note(3, "after it")]).await.is_err());
        drop(opened);
        assert_eq!(open(dir.path()).unwrap().entries.len(), 2, "nothing of the refused group stayed");
    }
}

#[tokio::test]
async fn too_much_at_once_is_refused_before_it_is_queued() {
    let dir = scratch();
    let opened = open(dir.path()).unwrap();
    let refused = opened.journal.append(vec![note(1, &"x".repeat(2 << 20))]).await.unwrap_err();
    assert!(matches!(refused, AppendError::TooLarge(_)), "{refused}");
    assert!(opened.journal.closed().is_some());
    drop(opened);
    let opened = open(dir.path()).unwrap();
    assert!(matches!(opened.journal.append(vec![note(1, ""); 70_000]).await, Err(AppendError::TooLarge(_))));
}

#[tokio::test]
async fn the_latch_lives_in_both_places_and_either_one_holds_i21() {
    let dir = scratch();
    let opened = open(dir.path()).unwrap();
    let latch = Stamped { at: at(1), entry: Entry::Latch(Stop::all(StopLevel::Block, Trigger::Operator, "drawdown")) };
    let mut set = Stops::default();
    assert!(set.raise(&Stop::all(StopLevel::Block, Trigger::Operator, "drawdown")));
    opened.journal.append(vec![latch]).await.unwrap();
    assert_eq!(latch_read(dir.path()), set);
    drop(opened);

    latch_clear(dir.path(), None).unwrap(); // a partial restore
    assert_eq!(open(dir.path()).unwrap().latch, set);
    assert_eq!(latch_read(dir.path()), set, "put right at start");

    let opened = open(dir.path()).unwrap();
    let rearm = Stamped { at: at(2), entry: Entry::Rearm { reason: "checked".into(), scope: None, by: Vec::new() } };
    opened.journal.append(vec![rearm]).await.unwrap();
    drop(opened);
    assert!(!open(dir.path()).unwrap().latch.is_set());

    latch_set(dir.path(), &Stop::all(StopLevel::Cancel, Trigger::Journal, "kill switch with a dead disk")).unwrap();
    assert_eq!(open(dir.path()).unwrap().latch.level(), StopLevel::Cancel);
    fs::remove_file(dir.path().join(latch::NAME)).unwrap();
    assert_eq!(open(dir.path()).unwrap().latch.level(), StopLevel::Cancel, "missing counts as set");
}

#[tokio::test]
async fn a_snapshot_and_its_tail_are_the_whole_and_two_generations_are_kept_i25() {
    let dir = scratch();
    let opened = open(dir.path()).unwrap();
    let all: Vec<Stamped> = (0..30).map(|n| note(n, "x")).collect();
    for (n, part) in (1_u64..).zip(all.chunks(10)) {
        let last = opened.journal.append(part.to_vec()).await.unwrap().last;
        opened.journal.snapshot(last, "hash", vec![n as u8]).await.unwrap();
    }
    assert!(opened.journal.snapshot(31, "hash", Vec::new()).await.is_err(), "not durable yet");
    opened.journal.append(all[..3].to_vec()).await.unwrap();
    drop(opened);

    let tail = Options { use_snapshot: true, ..options() };
    let opened = Journal::open(dir.path(), &me(), &tail).unwrap();
    let snapshot = opened.snapshot.unwrap();
    assert_eq!((snapshot.seq, snapshot.state, opened.first), (30, vec![3], 31));
    assert_eq!(opened.entries, all[..3]);
    drop(opened.journal);
    let opened = open(dir.path()).unwrap();
    assert_eq!((opened.snapshot, opened.first, opened.entries.len()), (None, 1, 33));
    drop(opened.journal);

    // the newest is damaged: the one before serves
    let newest = dir.path().join(format!("snapshot-{:020}.bin", 30));
    fs::write(&newest, b"rubbish").unwrap();
    let opened = Journal::open(dir.path(), &me(), &tail).unwrap();
    assert_eq!((opened.snapshot.unwrap().seq, opened.first, opened.entries.len()), (20, 21, 13));
}

#[tokio::test]
async fn cursors_rise_and_stay_i32() {
    let dir = scratch();
    let opened = open(dir.path()).unwrap();
    for value in [10, 30, 20] {
        opened.journal.advance("hyperliquid.nonce", value).await.unwrap();
    }
    drop(opened);
    let opened = open(dir.path()).unwrap();
    assert_eq!(opened.cursors, BTreeMap::from([("hyperliquid.nonce".to_owned(), 30)]));
    assert!(opened.journal.advance("epoch", 99).await.is_err());
}

#[tokio::test]
async fn the_same_inputs_give_the_same_bytes_i38() {
    let dump = |dir: &Path| export(dir).unwrap().map(|r| r.to_string()).collect::<Vec<_>>();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let dir = scratch();
        let opened = open(dir.path()).unwrap();
        for n in 0..10 {
            opened.journal.append(vec![intent(n, key(opened.tag, opened.epoch, n as u32)), fill(n, n, None)]).await.unwrap();
        }
        let while_open = dump(dir.path());
        let head = opened.journal.head_hash();
        drop(opened);
        assert_eq!(dump(dir.path()), while_open);
        seen.push((while_open, head));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0].0.len(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_appends_share_flushes_and_leave_no_gap() {
    let dir = scratch();
    let opened = open(dir.path()).unwrap();
    let writers = (0..32_u32).map(|w| {
        let journal = opened.journal.clone();
        tokio::spawn(async move {
            let mut places = Vec::new();
            for n in 0..20 {
                let key = ClientKey::derive(JournalTag(1), Epoch(1), ParentId(w), ChildNo(n));
                let receipt = journal.append(vec![intent(1, key), note(1, "x")]).await.unwrap();
                assert_eq!(receipt.last, receipt.first + 1, "a group stays together");
                places.push(receipt.first);
            }
            assert!(places.is_sorted(), "one writer's appends stay in order");
            places
        })
    });
    let mut places = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        places.extend(writer.await.unwrap());
    }
    places.sort_unstable();
    assert_eq!(places, (0..640).map(|n| 2 * n + 1).collect::<Vec<u64>>());
    let Stats { records, commits } = opened.journal.stats();
    assert_eq!(records, 1_280);
    assert!(commits < 640, "{commits} commits for 640 appends: nothing was grouped");
    drop(opened);
    assert_eq!(open(dir.path()).unwrap().entries.len(), 1_280);
}

#[tokio::test]
async fn closing_reaches_every_clone_and_lets_the_next_one_in() {
    let dir = scratch();
    let opened = open(dir.path()).unwrap();
    let clone = opened.journal.clone();
    opened.journal.append(vec![note(1, "x")]).await.unwrap();
    opened.journal.close().await.unwrap();
    assert!(matches!(clone.append(vec![note(2, "x")]).await, Err(AppendError::Closed(_))));
    assert!(clone.snapshot(1, "", Vec::new()).await.is_err());
    assert_eq!(fs::metadata(dir.path().join("journal.db-wal")).map_or(0, |m| m.len()), 0, "the log is folded");
    drop(clone);
    open(dir.path()).unwrap();
}

#[tokio::test]
async fn a_deleted_database_or_witness_is_damage_and_latches_f71() {
    for name in [store::NAME, head::NAME] {
        let dir = scratch();
        let opened = open(dir.path()).unwrap();
        opened.journal.append(vec![note(1, "x")]).await.unwrap();
        drop(opened);
        fs::remove_file(dir.path().join(name)).unwrap();
        let said = open(dir.path()).unwrap_err().to_string();
        assert!(said.contains(name) && said.contains("move it aside"), "{said}");
        assert!(latch_read(dir.path()).is_set());
        assert!(open(dir.path()).is_err(), "trying again does not help");
    }
}

#[tokio::test]
async fn an_older_backup_of_the_database_is_noticed_f71() {
    let dir = scratch();
    let opened = open(dir.path()).unwrap();
    opened.journal.append(vec![note(1, "x")]).await.unwrap();
    drop(opened);
    let old = fs::read(dir.path().join(store::NAME)).unwrap();
    let opened = open(dir.path()).unwrap();
    opened.journal.append(vec![note(2, "x"), note(3, "x")]).await.unwrap();
    drop(opened);
    fs::write(dir.path().join(store::NAME), old).unwrap();
    let damage = damage(open(dir.path()));
    assert_eq!(damage.seq, 2);
    assert!(damage.what.contains("3 records were acknowledged, but only 1"), "{}", damage.what);
}

#[tokio::test]
async fn another_history_of_the_same_length_is_noticed() {
    let (one, other) = (scratch(), scratch());
    for (dir, why) in [(&one, "a"), (&other, "b")] {
        let opened = open(dir.path()).unwrap();
        opened.journal.append(vec![note(1, why), note(2, why)]).await.unwrap();
    }
    fs::copy(other.path().join(store::NAME), one.path().join(store::NAME)).unwrap();
    assert_eq!(damage(open(one.path())).seq, 2);
}

#[test]
fn a_newer_schema_is_refused_f103() {
    let dir = scratch();
    drop(open(dir.path()).unwrap());
    let conn = rusqlite::Connection::open(dir.path().join(store::NAME)).unwrap();
    conn.pragma_update(None, "user_version", SCHEMA + 1).unwrap();
    drop(conn);
    let said = open(dir.path()).unwrap_err().to_string();
    assert!(said.contains("schema 2") && said.contains("up to 1"), "{said}");
}

#[test]
fn creation_that_was_interrupted_anywhere_is_done_again() {
    let whole = scratch();
    drop(open(whole.path()).unwrap());
    let witness = fs::read(whole.path().join(head::NAME)).unwrap();
    for step in 0..3 {
        let dir = scratch();
        latch_clear(dir.path(), None).unwrap();
        if step > 0 {
            fs::write(dir.path().join(head::NAME), &witness).unwrap();
        }
        if step > 1 {
            fs::write(dir.path().join(store::NAME), b"").unwrap();
        }
        let opened = open(dir.path()).unwrap();
        assert!(opened.fresh && !opened.latch.is_set(), "step {step}");
    }
}

/// Flipping `bit` of the byte at `place` of `dir/name` is noticed or changes nothing that was acknowledged.
fn flip(dir: &Path, name: &str, place: u64, bit: u8, whole: &[Stamped], noticed: &mut u32) {
    let copy = crash(dir);
    let file = fs::File::options().read(true).write(true).open(copy.path().join(name)).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).unwrap();
    file.write_all_at(&[byte[0] ^ 1 << bit], place).unwrap();
    drop(file);
    match open(copy.path()) {
        Ok(opened) => assert_eq!(opened.entries, whole, "{name} byte {place} bit {bit}"),
        Err(OpenError::Damaged { .. }) => {
            assert!(latch_read(copy.path()).is_set());
            *noticed += 1;
        }
        Err(OpenError::Newer { .. } | OpenError::Foreign { .. }) => *noticed += 1,
        Err(other) => panic!("{name} byte {place} bit {bit}: {other}"),
    }
}

#[tokio::test]
async fn flipped_bits_are_noticed_or_harmless_g11_f70() {
    let dir = scratch();
    let opened = open(dir.path()).unwrap();
    for n in 0..6 {
        opened.journal.append(vec![intent(n, key(opened.tag, opened.epoch, n as u32)), fill(n, n, None)]).await.unwrap();
    }
    let marker = "m".repeat(200);
    opened.journal.append(vec![note(7, &marker)]).await.unwrap();
    drop(opened);
    let whole = open(dir.path()).unwrap().entries;
    let size = fs::metadata(dir.path().join(store::NAME)).unwrap().len();
    let mut noticed = 0;
    // every page, a different bit and offset in each round; a prime step visits all residues
    for place in (0..size).step_by(23) {
        flip(dir.path(), store::NAME, place, (place % 8) as u8, &whole, &mut noticed);
    }
    let bytes = fs::read(dir.path().join(store::NAME)).unwrap();
    // the last record has one copy alone; older ones leave stale copies in the free space of pages
    let text = bytes.windows(200).position(|w| w == marker.as_bytes()).unwrap() as u64;
    for place in text - 60..text + 235 {
        let before = noticed;
        flip(dir.path(), store::NAME, place, (place % 8) as u8, &whole, &mut noticed);
        assert_eq!(noticed, before + 1, "a record's byte {place} was changed and nobody noticed");
    }
    assert!(noticed > 300, "{noticed}");
}

#[tokio::test]
async fn flipped_bits_in_the_log_and_the_witness_are_noticed_or_harmless_g11() {
    let dir = scratch();
    let opened = open(dir.path()).unwrap();
    for n in 0..4 {
        opened.journal.append(vec![intent(n, key(opened.tag, opened.epoch, n as u32))]).await.unwrap();
    }
    let copy = crash(dir.path());
    drop(opened);
    let whole = open(crash(copy.path()).path()).unwrap().entries;
    for (name, step) in [("journal.db-wal", 61), (head::NAME, 1)] {
        let size = fs::metadata(copy.path().join(name)).unwrap().len().min(20_000);
        let mut noticed = 0;
        let mut tried = 0;
        for place in (0..size).step_by(step).filter(|p| name != head::NAME || *p < 60 || (4_090..4_150).contains(p)) {
            flip(copy.path(), name, place, (place % 8) as u8, &whole, &mut noticed);
            tried += 1;
        }
        // one spoilt slot of the witness leaves the other; the log's flips lose acknowledged records, which is noticed
        assert!(if name == head::NAME { noticed == 0 } else { noticed * 2 > tried }, "{name}: {noticed} of {tried}");
    }
}

#[tokio::test]
async fn a_torn_tail_is_cut_whole_and_a_cut_into_acknowledged_records_is_damage_f69() {
    let dir = scratch();
    let opened = open(dir.path()).unwrap();
    opened.journal.append(vec![note(1, "first")]).await.unwrap();
    let acknowledged = fs::read(dir.path().join(head::NAME)).unwrap();
    let safe = fs::metadata(dir.path().join("journal.db-wal")).unwrap().len();
    opened.journal.append(vec![note(2, "second"), intent(2, key(opened.tag, opened.epoch, 1))]).await.unwrap();
    let copy = crash(dir.path());
    let full = fs::metadata(copy.path().join("journal.db-wal")).unwrap().len();
    assert!(full > safe);
    for cut in (0..full).filter(|c| c % 97 == 0 || c.abs_diff(safe) < 3 || full - c < 3) {
        // the power failed before the second append was acknowledged: the witness knows the first
        let torn = crash(copy.path());
        fs::File::options().write(true).open(torn.path().join("journal.db-wal")).unwrap().set_len(cut).unwrap();
        let late = crash(torn.path());
        fs::write(torn.path().join(head::NAME), &acknowledged).unwrap();
        match open(torn.path()) {
            Ok(opened) => {
                assert!(cut >= safe, "cut at {cut} of {full} lost the first record");
                assert!([1, 3].contains(&opened.entries.len()), "half a group at {cut}");
                assert!(!opened.latch.is_set());
            }
            Err(OpenError::Damaged { .. }) => assert!(cut < safe, "cut at {cut} of {full}, the first ends at {safe}"),
            Err(other) => panic!("{cut}: {other}"),
        }
        // it had been acknowledged
        assert_eq!(damage(open(late.path())).seq, if cut < safe { 1 } else { 2 }, "cut at {cut}");
    }
}

#[test]
fn arbitrary_bytes_in_place_of_any_file_never_panic_fz13() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(48));
    let dir = scratch();
    drop(open(dir.path()).unwrap());
    let files = [store::NAME, "journal.db-wal", "journal.db-shm", head::NAME, latch::NAME];
    let case = (proptest::sample::select(files.to_vec()), proptest::collection::vec(any::<u8>(), 0..600), any::<bool>());
    let outcome = runner.run(&case, |(name, bytes, over)| {
        let copy = crash(dir.path());
        let path = copy.path().join(name);
        let mut content = if over { fs::read(&path).unwrap_or_default() } else { Vec::new() };
        let n = content.len().min(bytes.len());
        content.splice(..n, bytes);
        fs::write(&path, content).unwrap();
        drop(open(copy.path()));
        Ok(())
    });
    outcome.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any groups, with tenures and crashes between them: everything comes back in order, and the chain holds.
    #[test]
    fn groups_tenures_and_crashes_keep_everything_in_order(plan in proptest::collection::vec((1..5_u64, 0..3_u8), 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut dir = scratch();
        let mut wrote = Vec::new();
        let mut opened = open(dir.path()).unwrap();
        for (size, then) in plan {
            let n = wrote.len() as u64;
            let group: Vec<Stamped> = (n..n + size).map(|i| intent(i, ClientKey::from_bits(u128::from(i)))).collect();
            wrote.extend(group.iter().cloned());
            runtime.block_on(opened.journal.append(group)).unwrap();
            match then {
                0 => {}
                1 => {
                    drop(opened);
                    opened = open(dir.path()).unwrap();
                }
                _ => {
                    let copy = crash(dir.path());
                    drop(opened);
                    dir = copy;
                    opened = open(dir.path()).unwrap();
                }
            }
            prop_assert_eq!(opened.journal.head().seq, wrote.len() as u64);
        }
        drop(opened);
        prop_assert_eq!(open(dir.path()).unwrap().entries, wrote);
    }
}
