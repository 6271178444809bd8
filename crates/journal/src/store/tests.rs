use super::*;

#[test]
fn versions_with_the_reset_defect_are_refused_and_ours_is_not() {
    for (number, bad) in
        [(3_040_001, true), (3_051_002, true), (3_051_003, false), (3_052_000, true), (3_052_001, false), (3_054_001, false)]
    {
        assert_eq!(unsafe_version(number), bad, "{number}");
    }
    assert!(!unsafe_version(rusqlite::version_number()));
}

fn made() -> (tempfile::TempDir, Sqlite) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(dir.path()).unwrap();
    assert!(store.is_blank().unwrap());
    store.create("root").unwrap();
    store.claim(Epoch(1)).unwrap();
    (dir, store)
}

fn row(seq: u64, epoch: u32, unique: &Unique) -> Row<'_> {
    Row { seq, epoch: Epoch(epoch), unique, payload: "{}", hash: Hash([0; 32]) }
}

#[test]
fn the_database_runs_fully_synchronous_in_write_ahead_mode() {
    let (_dir, store) = made();
    let ask = |pragma: &str| {
        let said = store.conn.query_row(&format!("PRAGMA {pragma}"), [], |r| r.get::<_, rusqlite::types::Value>(0)).unwrap();
        format!("{said:?}")
    };
    assert_eq!(ask("journal_mode"), "Text(\"wal\")");
    assert_eq!(ask("synchronous"), "Integer(2)");
    assert_eq!(ask("wal_autocheckpoint"), "Integer(0)");
}

#[test]
fn the_schema_itself_refuses_gaps_stale_tenures_and_changes_i24_i25() {
    let (_dir, mut store) = made();
    let none = Unique::default();
    assert_eq!(store.begin().unwrap(), Epoch(1));
    store.insert(&row(1, 1, &none)).unwrap();
    for (bad, why) in
        [(row(3, 1, &none), "gap"), (row(1, 1, &none), "gap"), (row(2, 0, &none), "stale"), (row(2, 2, &none), "stale")]
    {
        let said = store.insert(&bad).unwrap_err().to_string();
        assert!(said.contains(why), "{bad:?}: {said}");
    }
    store.commit().unwrap();
    for change in ["UPDATE record SET payload = 'x'", "DELETE FROM record", "INSERT OR REPLACE INTO record SELECT * FROM record"]
    {
        assert!(store.conn.execute_batch(change).is_err(), "{change}");
    }
    assert_eq!(store.hash_at(1).unwrap(), Some(Hash([0; 32])));
}

#[test]
fn the_schema_itself_keeps_keys_and_trades_unique_i02_i17() {
    let (_dir, mut store) = made();
    let key = Unique { key: Some("0xaa".into()), trade: None };
    let trade = Unique { key: None, trade: Some("hyperliquid #1 9".into()) };
    store.begin().unwrap();
    store.insert(&row(1, 1, &key)).unwrap();
    store.insert(&row(2, 1, &trade)).unwrap();
    for bad in [row(3, 1, &key), row(3, 1, &trade)] {
        assert!(matches!(store.insert(&bad), Err(StoreError::Duplicate(_))), "{bad:?}");
    }
    store.insert(&row(3, 1, &Unique::default())).unwrap();
    store.insert(&row(4, 1, &Unique::default())).unwrap();
}

#[test]
fn a_savepoint_takes_back_one_append_and_leaves_the_rest() {
    let (_dir, mut store) = made();
    let none = Unique::default();
    store.begin().unwrap();
    store.savepoint().unwrap();
    store.insert(&row(1, 1, &none)).unwrap();
    store.savepoint().unwrap();
    store.insert(&row(2, 1, &none)).unwrap();
    store.undo().unwrap();
    store.commit().unwrap();
    assert_eq!((store.hash_at(1).unwrap().is_some(), store.hash_at(2).unwrap()), (true, None));
}

#[test]
fn marks_only_rise_and_a_changed_one_is_noticed() {
    let (_dir, mut store) = made();
    for value in [5, 9, 7] {
        store.begin().unwrap();
        store.raise("nonce", value).unwrap();
        store.commit().unwrap();
    }
    assert_eq!(store.marks().unwrap().get("nonce"), Some(&9));
    assert!(store.raise("nonce", u64::MAX).is_err());
    store.conn.execute("UPDATE mark SET value = 8 WHERE name = 'nonce'", []).unwrap();
    assert!(matches!(store.marks(), Err(StoreError::Damaged(_))));
}

#[test]
fn a_migration_that_stops_half_way_leaves_the_step_before_and_goes_on_later_f74() {
    let mut conn = Connection::open_in_memory().unwrap();
    let broken = ["CREATE TABLE a (x);", "CREATE TABLE b (x); CREATE TABLE b (x);", "CREATE TABLE c (x);"];
    let good = ["CREATE TABLE a (x);", "CREATE TABLE b (x);", "CREATE TABLE c (x);"];
    let state = |conn: &Connection| -> (u32, String) {
        let names = "SELECT coalesce(group_concat(name, ' '), '') FROM sqlite_schema";
        let version = conn.query_row("PRAGMA user_version", [], |r| r.get(0)).unwrap();
        (version, conn.query_row(names, [], |r| r.get(0)).unwrap())
    };
    assert!(migrate(&mut conn, &broken).is_err());
    assert_eq!(state(&conn), (1, "a".to_owned()));
    migrate(&mut conn, &good).unwrap();
    assert_eq!(state(&conn), (3, "a b c".to_owned()));
    migrate(&mut conn, &good).unwrap();
    assert_eq!(state(&conn), (3, "a b c".to_owned()));
}
