use super::*;

fn beat(at_ns: u64) -> Beat {
    Beat { at_ns, pid: 7, stop: "run".to_owned(), farewell: false }
}

fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited for {what}");
}

#[test]
fn a_record_is_read_as_it_was_written_and_any_flipped_byte_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    assert_eq!(read(&path), Seen::Missing);
    let mut record = Record::open(dir.path()).unwrap();
    assert!(matches!(read(&path), Seen::Garbled(_)), "an empty file is no record");
    for at in [1, u64::MAX, 5] {
        record.write(&beat(at));
        assert_eq!(read(&path), Seen::Beat(beat(at)));
    }
    let good = fs::read(&path).unwrap();
    let text = good.iter().rposition(|b| !b.is_ascii_whitespace()).unwrap();
    for at in 0..=text {
        let mut bad = good.clone();
        bad[at] ^= 0x04;
        assert_eq!(Beat::decode(&bad), None, "byte {at}");
    }
    for bad in [&good[..good.len() - 1], &[good.as_slice(), b" "].concat(), b"", &[0xff; RECORD]] {
        fs::write(&path, bad).unwrap();
        assert!(matches!(read(&path), Seen::Garbled(_)), "{bad:?}");
    }
    // a writer mends what somebody else wrote behind it
    record.write(&beat(9));
    assert_eq!(read(&path), Seen::Beat(beat(9)));
}

#[test]
fn the_file_is_the_groups_to_read_and_nobody_leads_us_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    drop(Record::open(dir.path()).unwrap());
    let path = dir.path().join(NAME);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
    let other = dir.path().join("journal.db");
    fs::rename(&path, &other).unwrap();
    std::os::unix::fs::symlink(&other, &path).unwrap();
    assert!(Record::open(dir.path()).is_err() && matches!(read(&path), Seen::Garbled(_)));
    fs::remove_file(&path).unwrap();
    fs::hard_link(&other, &path).unwrap();
    assert!(Record::open(dir.path()).is_err());
}

#[test]
fn a_beat_is_as_old_as_the_turn_or_the_flush_that_it_tells_of() {
    let pulse = Pulse::new();
    let before = pulse.alive_ns();
    std::thread::sleep(Duration::from_millis(5));
    pulse.turned(&Turn { stop: StopLevel::Run, ready: true, open: 2 });
    let turned = pulse.alive_ns();
    assert!(turned > before && pulse.open_orders() == 2);
    pulse.flush_begins();
    std::thread::sleep(Duration::from_millis(5));
    pulse.turned(&Turn { stop: StopLevel::Cancel, ready: true, open: 0 });
    let stuck = pulse.alive_ns();
    assert!(stuck >= turned && pulse.age() >= Duration::from_millis(5), "the journal does not get on");
    pulse.flush_ended();
    assert!(pulse.alive_ns() > stuck);
    assert!(pulse.beat(false).is_stopped());
}

#[test]
fn levels_that_a_reader_does_not_know_count_as_stopped() {
    for (word, stopped) in [("run", false), ("reduce-only", false), ("block", false), ("cancel", true), ("flatten", true)] {
        assert_eq!(Beat { stop: word.to_owned(), ..beat(1) }.is_stopped(), stopped, "{word}");
    }
}

#[test]
fn the_thread_carries_what_the_loop_says_and_nothing_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    let pulse = Pulse::new();
    let heart = Heart::start(dir.path(), &pulse).unwrap();
    wait("a first record", || matches!(read(&path), Seen::Beat(_)));
    let Seen::Beat(first) = read(&path) else { panic!("no record") };
    assert_eq!(first.at_ns, pulse.alive_ns(), "the thread lives on, the loop has not turned");
    pulse.turned(&Turn { stop: StopLevel::Run, ready: true, open: 0 });
    wait("the next record", || read(&path) == Seen::Beat(Beat { at_ns: pulse.alive_ns(), ..first.clone() }));
    assert!(!pulse.is_watched());
    let mut mark = Mark::default();
    mark.keep(&path);
    wait("the mark", || pulse.is_watched());
    drop(mark);
    wait("its end", || !pulse.is_watched());
    heart.stop(true);
    assert!(matches!(read(&path), Seen::Beat(Beat { farewell: true, .. })));
    // the next daemon leaves the farewell until its own loop has turned
    let record = Record::open(dir.path()).unwrap();
    assert!(matches!(read(&path), Seen::Beat(Beat { farewell: true, .. })));
    drop(record);
    let heart = Heart::start(dir.path(), &pulse).unwrap();
    wait("a beat again", || matches!(read(&path), Seen::Beat(Beat { farewell: false, .. })));
    heart.stop(false);
    assert!(matches!(read(&path), Seen::Beat(Beat { farewell: false, .. })));
}
