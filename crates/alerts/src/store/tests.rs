use domain::{Alert, Severity, Stamp, Topic};

use super::*;

fn record(id: u64, cause: &str) -> Record {
    let alert = Alert::new(Severity::Act, Topic::Frozen, cause, None);
    let json = serde_json::json!({ "id": id, "alert": alert, "raised": Stamp::default(), "last": Stamp::default(), "count": 1 });
    serde_json::from_value(json).unwrap()
}

#[test]
fn the_newest_line_of_a_number_counts_and_the_file_is_its_owners() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alerts.log");
    assert_eq!(read(&path).unwrap(), (Vec::new(), 0));
    let mut store = Store::start(&path, &[record(1, "a")]).unwrap();
    store.append(&[record(2, "b")]).unwrap();
    store.append(&[record(1, "changed")]).unwrap();
    assert_eq!(read(&path).unwrap(), (vec![record(1, "changed"), record(2, "b")], 0));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    Store::start(&path, &[record(2, "b")]).unwrap();
    assert_eq!(read(&path).unwrap(), (vec![record(2, "b")], 0));
}

#[test]
fn whatever_was_torn_or_flipped_the_rest_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alerts.log");
    let mut store = Store::start(&path, &[record(1, "a"), record(2, "b")]).unwrap();
    let whole = fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        let (records, damaged) = parse(&whole[..cut]);
        assert!(damaged <= 1 && records.iter().all(|r| *r == record(1, "a") || *r == record(2, "b")), "cut at {cut}");
    }
    for bit in 0..whole.len() * 8 {
        let mut bad = whole.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let (records, _) = parse(&bad);
        assert!(records.iter().all(|r| *r == record(1, "a") || *r == record(2, "b")), "bit {bit} made something up");
    }
    // the next append after a torn one is whole
    fs::write(&path, &whole[..whole.len() - 5]).unwrap();
    store.file = OpenOptions::new().append(true).open(&path).unwrap();
    store.append(&[record(3, "c")]).unwrap();
    assert_eq!(read(&path).unwrap(), (vec![record(1, "a"), record(3, "c")], 1));
}

#[test]
fn it_asks_to_be_written_anew_when_it_has_grown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alerts.log");
    let mut store = Store::start(&path, &[]).unwrap();
    let long = record(1, &"x".repeat(1_000));
    let batch: Vec<Record> = std::iter::repeat_n(long.clone(), 1_000).collect();
    for _ in 0..2 {
        store.append(&batch).unwrap();
    }
    assert!(!store.is_long());
    store.append(&batch).unwrap();
    assert!(store.is_long());
    assert!(!Store::start(&path, &[long]).unwrap().is_long());
}

#[test]
fn a_store_that_cannot_be_read_or_written_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("no/such/alerts.log");
    assert!(Store::start(&path, &[]).unwrap_err().to_string().contains("no/such/alerts.log: "));
    assert!(read(dir.path()).unwrap_err().to_string().contains(&dir.path().display().to_string()));
}
