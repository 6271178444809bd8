use domain::{
    Arrival, ChildNo, EndPolicy, Lost, ParentSpec, Placement, Ratio, Reject, RejectKind, Schedule, Seed, Side, Span, Trigger,
    Usd, WriteAhead,
};

use super::*;
use crate::testing::{at, btc, fill, intent, key, note, scratch};
use crate::{Identity, Journal, Options};

const TAG: JournalTag = JournalTag(9);

fn stamped(n: u64, entry: Entry) -> Stamped {
    Stamped { at: at(n), entry }
}

fn epoch(n: u64, number: u32) -> Stamped {
    let epoch = Epoch(number);
    stamped(n, Entry::Epoch { epoch, tag: TAG, seed: Seed(1), binary: "0".into(), config: "c".into() })
}

fn reconciled(n: u64, number: u32) -> Stamped {
    stamped(n, Entry::Reconciled { epoch: Epoch(number), state: "s".into(), repairs: 0 })
}

fn limits(n: u64) -> Stamped {
    let text = "{}".to_owned();
    stamped(n, Entry::Limits { id: limits_id(&text), text })
}

fn limits_id(text: &str) -> u64 {
    u64::from_be_bytes(blake3::hash(text.as_bytes()).as_bytes()[..8].try_into().unwrap())
}

fn parent(n: u64, qty: i64) -> Stamped {
    let spec = ParentSpec {
        id: ParentId(1),
        instrument: btc(),
        side: Side::Buy,
        qty: Qty(qty),
        schedule: Schedule::Twap { slices: 2 },
        placement: Placement::Passive,
        display: None,
        horizon: Span::secs(60),
        limit_px: None,
        slippage_max: Ratio::bps(50),
        end: EndPolicy::Cancel,
        reduce_only: false,
        note: String::new(),
    };
    let arrival = Arrival { mid_x2: 1_942_470, spread: 10, tick_lot: Usd::ZERO };
    stamped(n, Entry::Parent { spec, start: at(n), arrival })
}

/// An intent of 2 lots by child `no` in tenure `number`.
fn place(n: u64, number: u32, no: u32) -> Stamped {
    let mut placed = intent(n, key(TAG, Epoch(number), no));
    if let Entry::Intent { basis, .. } = &mut placed.entry {
        basis.limits = limits_id("{}");
    }
    placed
}

fn filled(n: u64, trade: u64, number: u32, no: u32) -> Stamped {
    fill(n, trade, Some(key(TAG, Epoch(number), no)))
}

fn done(n: u64, no: u32, outcome: OrderOutcome) -> Stamped {
    stamped(n, Entry::Done { key: key(TAG, Epoch(1), no), outcome, reject: None })
}

fn acked(n: u64, no: u32, order: u64) -> Stamped {
    stamped(n, Entry::Acked { key: key(TAG, Epoch(1), no), order: Some(VenueOrderId::Number(order)) })
}

/// A tenure that reconciled and has a parent for 4 lots.
fn opened() -> Vec<Stamped> {
    vec![epoch(1, 1), limits(1), reconciled(2, 1), parent(3, 4)]
}

/// The invariants that `more`, after an opened tenure, breaks.
fn breaks(more: Vec<Stamped>) -> Vec<&'static str> {
    let mut all = opened();
    all.extend(more);
    audit_entries(TAG, &all).findings.into_iter().map(|f| f.invariant).collect()
}

#[test]
fn a_correct_history_has_no_findings() {
    let mut all = opened();
    all.extend([
        place(4, 1, 1),
        acked(5, 1, 77),
        filled(6, 1, 1, 1),
        stamped(7, Entry::CancelAsked { key: key(TAG, Epoch(1), 1) }),
        done(8, 1, OrderOutcome::Canceled),
        place(9, 1, 2),
        stamped(10, Entry::Unknown { key: key(TAG, Epoch(1), 2), cause: Lost::Timeout }),
        // the restart
        epoch(11, 2),
        limits(11),
        done(12, 2, OrderOutcome::NeverLanded),
        reconciled(13, 2),
        place(14, 2, 3),
        filled(15, 2, 2, 3),
        filled(15, 3, 2, 3),
        stamped(16, Entry::Done { key: key(TAG, Epoch(2), 3), outcome: OrderOutcome::Filled, reject: None }),
        stamped(
            17,
            Entry::Ended {
                parent: ParentId(1),
                outcome: ParentOutcome::Expired { residual: Qty(1), why: "late".into() },
                mid_x2: None,
            },
        ),
    ]);
    let report = audit_entries(TAG, &all);
    assert_eq!(report.findings, []);
    assert!(report.ok());
    assert_eq!((report.epochs, report.parents, report.intents, report.fills, report.late_fills, report.open), (2, 1, 3, 3, 0, 0));
}

#[test]
fn late_fills_are_counted_and_no_breach_while_the_parent_has_room() {
    let mut all = opened();
    all.extend([place(4, 1, 1), done(5, 1, OrderOutcome::Canceled), filled(6, 1, 1, 1)]);
    let report = audit_entries(TAG, &all);
    assert_eq!((report.findings, report.late_fills), (Vec::new(), 1));
}

#[test]
fn each_breach_is_found_under_its_number() {
    let reject = Some(Reject { kind: RejectKind::Margin, text: String::new() });
    let one = key(TAG, Epoch(1), 1);
    let changed = |mut placed: Stamped, change: fn(&mut Intent)| {
        if let Entry::Intent { intent, .. } = &mut placed.entry {
            change(intent);
        }
        placed
    };
    let cases: Vec<(Vec<Stamped>, &[&str])> = vec![
        (vec![acked(4, 1, 1)], &["I01"]),
        (vec![filled(4, 1, 1, 1)], &["I01"]),
        (vec![stamped(4, Entry::CancelAsked { key: one })], &["I01"]),
        (vec![place(4, 1, 1), place(5, 1, 1)], &["I02"]),
        (vec![changed(place(4, 1, 1), |i| i.child.no = ChildNo(2))], &["I02"]),
        (vec![place(4, 1, 1), place(5, 1, 2), acked(6, 1, 1), acked(7, 2, 1)], &["I02"]),
        (vec![place(4, 1, 1), acked(6, 1, 1), acked(7, 1, 2)], &["I02"]),
        (vec![place(4, 1, 1), done(5, 1, OrderOutcome::NeverLanded), filled(6, 1, 1, 1)], &["I05"]),
        (vec![place(4, 1, 1), place(5, 1, 2), place(6, 1, 3)], &["I06"]),
        (vec![place(4, 1, 1), filled(5, 1, 1, 1), filled(5, 2, 1, 1), filled(5, 3, 1, 1)], &["I06"]),
        (
            vec![
                place(4, 1, 1),
                place(5, 1, 2),
                done(6, 1, OrderOutcome::Canceled),
                place(7, 1, 3),
                filled(8, 1, 1, 1), // late, and its quantity was given to child 3
            ],
            &["I06"],
        ),
        (
            vec![stamped(4, Entry::Ended { parent: ParentId(1), outcome: ParentOutcome::Filled, mid_x2: None }), place(5, 1, 1)],
            &["I06", "I06"],
        ),
        (
            vec![
                place(4, 1, 1),
                place(4, 1, 2),
                stamped(
                    5,
                    Entry::Changed {
                        parent: ParentId(1),
                        change: ParentChange::Amend { qty: Some(Qty(3)), horizon: None },
                        why: String::new(),
                    },
                ),
            ],
            &["I06"],
        ),
        (vec![epoch(4, 2), limits(4), place(5, 2, 1)], &["I14"]),
        (vec![reconciled(4, 7)], &["I14"]),
        (vec![place(4, 1, 1), filled(5, 1, 1, 1), filled(5, 1, 1, 1)], &["I17"]),
        (vec![place(4, 1, 1), done(5, 1, OrderOutcome::Filled), acked(6, 1, 1)], &["I19"]),
        (vec![place(4, 1, 1), done(5, 1, OrderOutcome::Filled), done(6, 1, OrderOutcome::Canceled)], &["I19"]),
        (vec![place(4, 1, 1), acked(5, 1, 1), stamped(6, Entry::Unknown { key: one, cause: Lost::Timeout })], &["I19"]),
        (vec![stamped(4, Entry::Latch(Stop::all(StopLevel::Block, Trigger::Operator, "x"))), place(5, 1, 1)], &["I20"]),
        (
            vec![
                stamped(4, Entry::Latch(Stop::all(StopLevel::Cancel, Trigger::Operator, "x"))),
                stamped(5, Entry::Latch(Stop::all(StopLevel::Block, Trigger::Operator, "x"))),
            ],
            &["I20"],
        ),
        (vec![stamped(4, Entry::Rearm { reason: " ".into(), scope: None, by: Vec::new() })], &["I23"]),
        (vec![approved(4), rearmed_by(5, &["anna"]), rearmed_by(6, &["anna"])], &["I23"]),
        (vec![approved(4), rearmed_by(5, &["anna", "anna"])], &["I23"]),
        (
            vec![
                approved(4),
                stamped(5, Entry::Latch(Stop::all(StopLevel::Block, Trigger::Operator, "x"))),
                rearmed_by(6, &["anna"]),
            ],
            &["I23"],
        ),
        (vec![epoch(4, 1)], &["I24"]),
        (vec![stamped(4, Entry::Limits { id: 1, text: "{}".into() })], &["I29"]),
        (vec![intent(4, one)], &["I29"]),
        (vec![place(5, 1, 1), changed(place(6, 1, 2), |i| i.nonce -= 9_000)], &["I32"]),
        (vec![place(5, 1, 1), changed(place(6, 1, 2), |i| i.nonce -= 1_000)], &["I32"]),
        (vec![changed(place(4, 1, 1), |i| i.expiry = Expiry::AtMs(at(4).wall_ms + 15_001))], &["I33"]),
        (vec![note(2, "x")], &["I39"]),
        (
            vec![
                place(4, 1, 1),
                stamped(5, Entry::Done { key: one, outcome: OrderOutcome::Rejected, reject }),
                filled(6, 1, 1, 1),
            ],
            &["I05"],
        ),
    ];
    for (more, expected) in cases {
        let shown = format!("{more:?}");
        assert_eq!(breaks(more), expected, "{shown}");
    }
}

#[test]
fn orders_of_one_step_may_share_a_nonce() {
    assert!(breaks(vec![place(4, 1, 1), place(4, 1, 2)]).is_empty());
}

#[test]
fn a_flood_of_findings_is_bounded() {
    let mut all = vec![epoch(1, 1)];
    all.extend((0..1_500).map(|_| acked(2, 1, 1)));
    let report = audit_entries(TAG, &all);
    assert_eq!((report.findings.len(), report.more, report.ok()), (1_000, 500, false));
}

fn me() -> Identity {
    Identity { venue: domain::Venue::Hyperliquid, network: "paper".into(), account: "0x".into() }
}

async fn wrote(dir: &Path) -> (Journal, JournalTag) {
    let opened = Journal::open(dir, &me(), &Options { ballast_bytes: 0, ..Options::new(1) }).unwrap();
    let tenure = Entry::Epoch { epoch: opened.epoch, tag: opened.tag, seed: Seed(1), binary: "0".into(), config: "c".into() };
    opened.journal.append(vec![stamped(1, tenure), limits(1), note(2, "a"), note(3, "b")]).await.unwrap();
    (opened.journal, opened.tag)
}

#[tokio::test]
async fn files_are_audited_beside_a_running_daemon_and_after_it() {
    let dir = scratch();
    let (journal, _) = wrote(dir.path()).await;
    let beside = audit(dir.path()).unwrap();
    assert_eq!((beside.findings.clone(), beside.records, beside.head), (Vec::new(), 4, journal.head()));
    journal.append(vec![note(4, "the reader did not disturb")]).await.unwrap();
    journal.close().await.unwrap();
    let after = audit(dir.path()).unwrap();
    assert!(after.ok() && after.records == 5, "{after:?}");
    assert!(audit(&dir.path().join("nothing")).is_err());
}

#[tokio::test]
async fn damage_is_a_finding_not_a_failure() {
    let dir = scratch();
    drop(wrote(dir.path()).await);
    let path = dir.path().join(crate::store::NAME);
    let good = std::fs::read(&path).unwrap();
    let place = good.windows(9).position(|w| w == br#""why":"a""#).unwrap() + 7;
    let mut bad = good.clone();
    bad[place] = b'z';
    std::fs::write(&path, &bad).unwrap();
    let report = audit(dir.path()).unwrap();
    assert!(report.findings.iter().any(|f| (f.seq, f.invariant) == (3, "I25")), "{:?}", report.findings);

    std::fs::write(&path, &good).unwrap();
    std::fs::remove_file(dir.path().join(head::NAME)).unwrap();
    let report = audit(dir.path()).unwrap();
    assert_eq!(report.findings.iter().map(|f| f.invariant).collect::<Vec<_>>(), ["I26"]);
}

fn approved(n: u64) -> Stamped {
    let by = domain::Operator { name: "anna".into(), address: domain::EvmAddress([1; 20]) };
    let approval = domain::Approval { by, challenge: "c".into(), until_ms: 0 };
    stamped(n, Entry::Approved(domain::Approved { act: domain::Act::Rearm { scope: None }, approval, reason: "looked".into() }))
}

fn rearmed_by(n: u64, names: &[&str]) -> Stamped {
    let by = names.iter().map(|name| (*name).to_owned()).collect();
    stamped(n, Entry::Rearm { reason: "looked".into(), scope: None, by })
}
