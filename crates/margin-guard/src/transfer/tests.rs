//! Money moves inside its limits or not at all.

use domain::{CctpTerms, ChainLeg, Inclusion, InstrumentId, JournalTag, RawTx, Seed, Stamped, Stop, Trigger, TxHash, Venue};

mod restarts;

use super::*;
use crate::{ReleaseError, release_all};

const HOUR_MS: u64 = 3_600_000;

fn at(hours: u64) -> Stamp {
    Stamp::default() + Span::secs(3_600 * hours)
}

fn address(byte: u8) -> EvmAddress {
    EvmAddress([byte; 20])
}

fn usd(text: &str) -> Usd {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

fn raw() -> RawTreasury {
    let wallet = RawWallet { chain_id: Some("421614".into()), address: address(1).to_string(), token: address(2).to_string() };
    let to = |kind: &str, byte| RawDestination { kind: kind.into(), address: address(byte).to_string() };
    let destination = [("bridge", to("bridge", 3)), ("sub", to("sub_account", 4)), ("cold", to("withdrawal", 5))];
    RawTreasury {
        wallet: Some(wallet),
        destination: destination.into_iter().map(|(name, one)| (name.to_owned(), one)).collect(),
        ..RawTreasury::default()
    }
}

fn limits(raw: &RawTreasury) -> TreasuryLimits {
    TreasuryLimits::check(raw).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn view(now: Stamp, nonce: u64) -> WalletView {
    WalletView {
        chain_id: 421_614,
        wallet: address(1),
        token: address(2),
        balance: usd("5000"),
        gas: Wei::gwei(10_000_000),
        nonce,
        nonce_safe: nonce,
        base_fee: Wei::gwei(1),
        head: 100,
        safe: 90,
        at: now,
    }
}

fn start(treasury: &mut Treasury, from: Stamp) {
    let epoch = Entry::Epoch { epoch: Epoch(1), tag: JournalTag(1), seed: Seed(1), binary: String::new(), config: String::new() };
    let listed = treasury.record().unwrap_or_else(|| panic!("nothing to record"));
    let ready = Entry::Reconciled { epoch: Epoch(1), state: String::new(), repairs: 0 };
    for entry in [epoch, listed, ready] {
        treasury.fold(from, &entry).unwrap_or_else(|e| panic!("{e}"));
    }
}

/// A treasury whose destinations have been listed for two days at [`at`] (48).
fn ready() -> Treasury {
    let mut treasury = Treasury::new(limits(&raw()));
    start(&mut treasury, at(0));
    treasury.observe(view(at(48), 7));
    treasury
}

fn leg() -> ChainLeg {
    ChainLeg { chain_id: 421_614, wallet: address(1), token: address(2), contract: address(3), gas_cost_max: Wei::gwei(500_000) }
}

fn intent(treasury: &Treasury, route: Route, amount: &str) -> TransferIntent {
    TransferIntent {
        id: treasury.next_id(),
        venue: Venue::Hyperliquid,
        account: address(1),
        route,
        amount: usd(amount),
        fee_max: Usd::ZERO,
        nonce: 7,
        limits: treasury.limits().id(),
        cause: "cover 2.9 below 3".into(),
    }
}

fn deposit(treasury: &Treasury, amount: &str) -> TransferIntent {
    intent(treasury, Route::Bridge(leg()), amount)
}

fn clear(treasury: &mut Treasury, now: Stamp, intent: TransferIntent) -> ClearedTransfer {
    treasury.clear(now, intent).unwrap_or_else(|e| panic!("{e}"))
}

fn refused(treasury: &mut Treasury, intent: TransferIntent) -> String {
    let before = treasury.budgets(at(48));
    let why = treasury.clear(at(48), intent).map(|_| ()).unwrap_err().to_string();
    assert_eq!(treasury.budgets(at(48)), before, "a refusal reserves nothing");
    why
}

fn attempt(kind: AttemptKind, byte: u8, fee: u64) -> Attempt {
    let (hash, raw) = (TxHash([byte; 32]), RawTx(vec![byte]));
    Attempt { kind, hash, raw, gas_limit: 100_000, fee_max: Wei::gwei(fee), tip: Wei::ZERO }
}

fn inclusion(byte: u8, success: bool) -> Inclusion {
    Inclusion { hash: TxHash([byte; 32]), block: 101, block_hash: TxHash([9; 32]), success, gas_cost: Wei::gwei(60_000) }
}

fn tell(treasury: &mut Treasury, now: Stamp, id: u32, events: &[TransferEvent]) {
    for event in events {
        let entry = Entry::Transfer { id: TransferId(id), event: event.clone() };
        treasury.fold(now, &entry).unwrap_or_else(|e| panic!("{e:?}"));
    }
}

/// From cleared to final on the chain.
fn lands(treasury: &mut Treasury, now: Stamp, id: u32, success: bool) {
    let found = inclusion(1, success);
    let signed = TransferEvent::Signed(attempt(AttemptKind::Send, 1, 1));
    tell(treasury, now, id, &[signed, TransferEvent::Included(found), TransferEvent::Final(found)]);
}

#[test]
fn faults_of_the_configuration_come_all_at_once() {
    let mut bad = raw();
    bad.transfer_max_usd = Some("0".into());
    bad.day_max_usd = Some("1".into());
    bad.destination_delay_hours = Some("900".into());
    if let Some(wallet) = bad.wallet.as_mut() {
        wallet.token = "0x12".into();
    }
    bad.destination.insert("twice".into(), RawDestination { kind: "bridge".into(), address: address(3).to_string() });
    bad.destination.insert("what".into(), RawDestination { kind: "friend".into(), address: address(8).to_string() });
    let faults = TreasuryLimits::check(&bad).map(|_| ()).unwrap_err();
    let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "treasury.wallet.token",
            "treasury.destination_delay_hours",
            "treasury.destination.twice.address",
            "treasury.destination.what.kind",
            "treasury.transfer_max_usd",
            "treasury.day_max_usd",
        ]
    );
}

#[test]
fn limits_are_their_own_text() {
    let checked = limits(&raw());
    let again: RawTreasury = serde_json::from_str(checked.text()).unwrap();
    assert_eq!(limits(&again), checked);
    let words = checked.describe();
    assert!(words.contains("2000 an hour, 5000 a day, 10000 a week") && words.contains("0x03"), "{words}");
}

#[test]
fn on_a_main_network_a_new_destination_waits_a_day() {
    let mut real = raw();
    real.destination_delay_hours = Some("1".into());
    if let Some(wallet) = real.wallet.as_mut() {
        wallet.chain_id = Some("42161".into());
    }
    let faults = TreasuryLimits::check(&real).map(|_| ()).unwrap_err();
    assert_eq!(
        faults.first().map(ToString::to_string).as_deref(),
        Some("treasury.destination_delay_hours = 1: at least 24 on a main network")
    );
}

#[test]
fn i13_money_goes_to_old_entries_of_the_list_alone() {
    let mut treasury = ready();
    let mut elsewhere = deposit(&treasury, "25");
    elsewhere.route = Route::Bridge(ChainLeg { contract: address(66), ..leg() });
    assert!(refused(&mut treasury, elsewhere).contains("is not listed under [treasury.destination] for a bridge deposit"));
    // listed for another way is not listed
    let out = intent(&treasury, Route::Withdrawal { destination: address(3) }, "25");
    assert!(refused(&mut treasury, out).contains("is not listed"));

    let mut fresh = Treasury::new(limits(&raw()));
    start(&mut fresh, at(47));
    fresh.observe(view(at(48), 7));
    let early = deposit(&fresh, "25");
    assert_eq!(
        refused(&mut fresh, early),
        "destination bridge is listed for 60m00s of the 1440m00s that it must be before money goes there"
    );
}

#[test]
fn i13_taking_an_entry_out_and_back_in_starts_its_delay_again_and_a_shorter_delay_does_not_count() {
    let mut without = raw();
    let bridge = without.destination.remove("bridge").unwrap();
    let mut hasty = raw();
    hasty.destination_delay_hours = Some("0".into());
    hasty.destination.insert("bridge".into(), bridge);
    let mut treasury = ready();
    for (hours, raw) in [(48, &without), (49, &hasty)] {
        treasury.limits = limits(raw);
        let record = treasury.record().unwrap();
        treasury.fold(at(hours), &record).unwrap();
    }
    treasury.observe(view(at(50), 7));
    let soon = deposit(&treasury, "25");
    assert!(matches!(treasury.clear(at(50), soon), Err(TransferRefusal::DestinationNew { .. })));
    treasury.observe(view(at(73), 7));
    let later = deposit(&treasury, "25");
    let _cleared = clear(&mut treasury, at(73), later);
}

#[test]
fn f92_what_would_be_lost_is_refused() {
    let mut treasury = ready();
    for (amount, why) in [
        ("4.999999", "4.999999 is below the least of 5 that arrives by a bridge deposit (4.999999 of it would arrive)"),
        ("0", "0 is not an amount above 0 with at most 6 decimals"),
        ("-6", "-6 is not an amount above 0 with at most 6 decimals"),
        ("5.0000001", "5.0000001 is not an amount above 0 with at most 6 decimals"),
    ] {
        let small = deposit(&treasury, amount);
        assert_eq!(refused(&mut treasury, small), why);
    }
    let terms = CctpTerms {
        destination_domain: 19,
        forwarder: address(9),
        dex: 0,
        min_finality_threshold: 1_000,
        valid_after_s: 0,
        valid_before_s: 1,
    };
    let mut fees = intent(&treasury, Route::Cctp { leg: leg(), terms }, "5.1");
    fees.fee_max = usd("0.2");
    assert!(refused(&mut treasury, fees).contains("4.9 of it would arrive"));
    let out = intent(&treasury, Route::Withdrawal { destination: address(5) }, "1.5");
    assert!(refused(&mut treasury, out).contains("0.5 of it would arrive"));
    let least = deposit(&treasury, "5");
    let _cleared = clear(&mut treasury, at(48), least);
}

#[test]
fn i11_budgets_hold_over_the_windows_and_reserve_what_is_open() {
    let mut treasury = ready();
    let large = deposit(&treasury, "1000.01");
    assert_eq!(refused(&mut treasury, large), "1000.01 is more than 1000, the most of one transfer");
    for (no, minute) in [(1, 0), (2, 10)] {
        let now = at(48) + Span::secs(60 * minute);
        treasury.observe(view(now, 6 + u64::from(no)));
        let mut one = deposit(&treasury, "900");
        one.nonce = 6 + u64::from(no);
        let _cleared = clear(&mut treasury, now, one);
        lands(&mut treasury, now, no, true);
        tell(&mut treasury, now, no, &[TransferEvent::Credited { amount: usd("900"), venue_ms: HOUR_MS }]);
    }
    let now = at(48) + Span::secs(1_200);
    treasury.observe(view(now, 9));
    let mut third = deposit(&treasury, "300");
    third.nonce = 9;
    let why = treasury.clear(now, third.clone()).map(|_| ()).unwrap_err().to_string();
    assert_eq!(why, "300 is more than the 200 left of 2000 per hour; 1800 is spent or under way");
    assert_eq!(treasury.budgets(now).room(), usd("200"));
    // an hour later the first no longer counts for the hour, but for the day
    let now = at(49) + Span::secs(5);
    treasury.observe(view(now, 9));
    let _cleared = clear(&mut treasury, now, third);
    // what is open counts however long ago it was decided
    assert_eq!(treasury.budgets(at(480)).week.spent, usd("300"));
}

#[test]
fn i11_a_revert_gives_the_amount_back_and_keeps_its_gas() {
    let mut treasury = ready();
    let one = deposit(&treasury, "900");
    let _cleared = clear(&mut treasury, at(48), one);
    assert_eq!(treasury.budgets(at(48)).gas_spent, Wei::gwei(500_000), "all that it may cost is reserved");
    lands(&mut treasury, at(48), 1, false);
    let after = treasury.budgets(at(48));
    assert_eq!((after.day.spent, after.gas_spent), (Usd::ZERO, Wei::gwei(60_000)));
    treasury.observe(view(at(48), 8));
    assert_eq!(treasury.next_nonce(at(48)), Ok(8), "the nonce is spent");
}

#[test]
fn gas_has_a_cap_and_a_day() {
    let mut treasury = ready();
    let mut dear = deposit(&treasury, "25");
    dear.route = Route::Bridge(ChainLeg { gas_cost_max: Wei::gwei(500_001), ..leg() });
    assert!(refused(&mut treasury, dear).contains("0.000500001 ether, of 0.0005 per transfer"));
    for no in 1..=4 {
        treasury.observe(view(at(48), 6 + u64::from(no)));
        let mut one = deposit(&treasury, "25");
        one.nonce = 6 + u64::from(no);
        let _cleared = clear(&mut treasury, at(48), one);
        let found = Inclusion { gas_cost: Wei::gwei(500_000), ..inclusion(1, false) };
        let signed = TransferEvent::Signed(attempt(AttemptKind::Send, 1, 1));
        tell(&mut treasury, at(48), no, &[signed, TransferEvent::Included(found), TransferEvent::Final(found)]);
    }
    treasury.observe(view(at(48), 11));
    let mut fifth = deposit(&treasury, "25");
    fifth.nonce = 11;
    assert!(refused(&mut treasury, fifth).contains("0.002 of 0.002 per day"));
}

#[test]
fn i12_one_open_nonce_and_nothing_sent_twice() {
    let mut treasury = ready();
    let one = deposit(&treasury, "25");
    let _cleared = clear(&mut treasury, at(48), one.clone());
    let again = deposit(&treasury, "25");
    assert_eq!(refused(&mut treasury, again), "T1 to the same account is intended: money on the way is not sent twice");
    assert!(matches!(treasury.next_nonce(at(48)), Err(TransferRefusal::WalletBusy { open: TransferId(1), .. })));
    assert_eq!(refused(&mut treasury, one), "T1 is not the next transfer, or not known");
    // landed, but not credited: the wallet is free, the account is not (F91)
    lands(&mut treasury, at(48), 1, true);
    treasury.observe(view(at(48), 8));
    assert_eq!(treasury.next_nonce(at(48)), Ok(8));
    let more = deposit(&treasury, "25");
    assert!(refused(&mut treasury, more).contains("T1 to the same account is landed"));
    assert!(treasury.overdue(at(48)).is_empty());
    let late = at(48) + Span::secs(901);
    let (id, why) = treasury.overdue(late).pop().unwrap();
    assert_eq!(why, "landed for 15m01s, of at most 15m00s from decision to credit");
    tell(&mut treasury, late, 1, &[TransferEvent::Overdue { why }]);
    assert!(treasury.overdue(late).is_empty(), "{id} is reported once");
    // inside the venue is another road
    let inside = intent(&treasury, Route::SpotToPerp, "25");
    let _cleared = clear(&mut treasury, at(48), inside);
}

#[test]
fn f83_f84_a_wallet_used_beside_us_is_frozen_until_the_operator_accepts_it() {
    let mut treasury = ready();
    let one = deposit(&treasury, "25");
    let _cleared = clear(&mut treasury, at(48), one);
    tell(&mut treasury, at(48), 1, &[TransferEvent::Ended(TransferOutcome::Foreign)]);
    treasury.observe(view(at(48), 8));
    assert!(treasury.next_nonce(at(48)).unwrap_err().to_string().contains("used by a transaction that is not ours"));
    let accept = Entry::WalletAccepted { chain_id: 421_614, wallet: address(1), nonce: 8, reason: "mine".into() };
    treasury.fold(at(48), &accept).unwrap();
    assert_eq!(treasury.next_nonce(at(48)), Ok(8));
    // used while nothing of ours was open
    treasury.observe(view(at(48), 10));
    assert!(treasury.next_nonce(at(48)).unwrap_err().to_string().contains("its nonce is 10 on the chain and 8 in the journal"));
    // what is not safe can be taken back
    treasury.observe(WalletView { nonce_safe: 7, ..view(at(48), 8) });
    assert_eq!(treasury.next_nonce(at(48)), Err(TransferRefusal::NonceUnsafe { nonce: 8, safe: 7 }));
    // an endpoint that is behind shows an old nonce
    treasury.observe(view(at(48), 7));
    assert_eq!(treasury.next_nonce(at(48)), Err(TransferRefusal::Nonce { asked: 7, expected: 8 }));
}

#[test]
fn i34_an_unknown_wallet_sends_nothing() {
    let mut treasury = ready();
    treasury.observe(view(at(47), 7));
    let one = deposit(&treasury, "25");
    assert!(refused(&mut treasury, one.clone()).contains("last seen 60m00s ago, of at most 30.000s"));
    treasury.doubt("the endpoints disagree on the nonce".into());
    assert!(refused(&mut treasury, one.clone()).contains("disagree"));
    treasury.observe(WalletView { balance: usd("24.99"), ..view(at(48), 7) });
    assert_eq!(refused(&mut treasury, one.clone()), "the wallet has 24.99 of the 25 to be sent");
    treasury.observe(WalletView { gas: Wei(5), ..view(at(48), 7) });
    assert!(refused(&mut treasury, one.clone()).contains("ether of the 0.0005 that gas may cost"));
    for (leg, what) in [
        (ChainLeg { chain_id: 1, ..leg() }, "the chain is 1, configured is 421614"),
        (ChainLeg { wallet: address(7), ..leg() }, "the wallet is 0x07"),
        (ChainLeg { token: address(7), ..leg() }, "the token is 0x07"),
    ] {
        let mut other = one.clone();
        other.route = Route::Bridge(leg);
        assert!(refused(&mut treasury, other).contains(what), "{what}");
    }
    let mut other = one;
    other.account = address(7);
    assert!(refused(&mut treasury, other).contains("the venue credits the sender"));
}

#[test]
fn nothing_moves_while_stopped_or_before_reconciliation() {
    let mut treasury = ready();
    let inside = intent(&treasury, Route::IsolatedMargin { instrument: btc() }, "25");
    treasury.fold(at(48), &Entry::Latch(Stop::all(StopLevel::Block, Trigger::Operator, "test"))).unwrap();
    assert!(refused(&mut treasury, inside.clone()).contains("no money moves"));
    treasury.fold(at(48), &Entry::Rearm { reason: "test".into(), scope: None, by: Vec::new() }).unwrap();
    let epoch = Entry::Epoch { epoch: Epoch(2), tag: JournalTag(1), seed: Seed(1), binary: String::new(), config: String::new() };
    treasury.fold(at(48), &epoch).unwrap();
    assert!(refused(&mut treasury, inside.clone()).contains("not reconciled"));
    treasury.fold(at(48), &Entry::Reconciled { epoch: Epoch(2), state: String::new(), repairs: 0 }).unwrap();
    let mut stale = inside.clone();
    stale.limits = 1;
    assert!(refused(&mut treasury, stale).contains("decided on treasury limits 1"));
    let _cleared = clear(&mut treasury, at(48), inside);
}

fn btc() -> InstrumentId {
    "hyperliquid:BTC".parse().unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn a_signed_transaction_is_judged_before_it_is_sent() {
    let mut treasury = ready();
    let one = deposit(&treasury, "25");
    let _cleared = clear(&mut treasury, at(48), one);
    let bad = |treasury: &Treasury, one: &Attempt| {
        treasury.clear_signed(at(48), TransferId(1), one).map(|_| ()).unwrap_err().to_string()
    };
    assert!(bad(&treasury, &attempt(AttemptKind::Burn, 1, 1)).contains("burns a nonce for which nothing was signed"));
    assert!(bad(&treasury, &attempt(AttemptKind::Send, 1, 6)).contains("may cost 0.0006 ether in gas, of at most 0.0005"));
    let first = attempt(AttemptKind::Send, 1, 1);
    let step = treasury.clear_signed(at(48), TransferId(1), &first).unwrap();
    assert_eq!(step.step(), &TransferStep::Send { id: TransferId(1), attempt: first.clone() });
    tell(&mut treasury, at(48), 1, &[TransferEvent::Signed(first), TransferEvent::Sent { hash: Some(TxHash([1; 32])) }]);
    let small = Attempt { fee_max: Wei(1_124_999_999), ..attempt(AttemptKind::Send, 2, 1) };
    assert!(bad(&treasury, &small).contains("a replacement needs 1125000000"));
    let burn = attempt(AttemptKind::Burn, 2, 2);
    let _step = treasury.clear_signed(at(48), TransferId(1), &burn).unwrap();
    tell(&mut treasury, at(48), 1, &[TransferEvent::Signed(burn)]);
    assert!(bad(&treasury, &attempt(AttemptKind::Send, 3, 4)).contains("sends what is being burnt"));
}

#[derive(Debug, thiserror::Error)]
#[error("disk full")]
struct Full;

struct Memory(std::sync::Mutex<Vec<Stamped>>);

impl domain::WriteAhead for Memory {
    type Error = Full;
    async fn append(&self, entries: Vec<Stamped>) -> Result<domain::Receipt, Full> {
        let count = u64::try_from(entries.len()).unwrap_or(0);
        let mut all = self.0.lock().unwrap_or_else(|e| panic!("{e}"));
        let first = 1 + u64::try_from(all.len()).unwrap_or(0);
        all.extend(entries);
        Ok(domain::Receipt { first, last: first + count - 1, epoch: Epoch(1) })
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap_or_else(|e| panic!("{e}"));
    runtime.block_on(future)
}

#[test]
fn only_what_was_cleared_and_recorded_is_released() {
    let log = Memory(std::sync::Mutex::new(Vec::new()));
    let stamped = |entry: Entry| Stamped { at: at(48), entry };
    let mut treasury = ready();
    let one = deposit(&treasury, "25");
    let cleared = clear(&mut treasury, at(48), one.clone());
    let entry = cleared.entry();
    let (_, released) = run(release_all(Vec::new(), vec![cleared], vec![stamped(entry.clone())], &log)).unwrap();
    assert_eq!(released.iter().map(|r| r.step().clone()).collect::<Vec<_>>(), [TransferStep::Start(one)]);
    assert_eq!(released[0].receipt().last, 1);

    // recorded without a verdict, by the road of orders or by this one
    let without = run(crate::release(Vec::new(), vec![stamped(entry.clone())], &log)).map(|_| ()).unwrap_err();
    assert!(matches!(without, ReleaseError::Mismatch { .. }), "{without}");
    // a verdict without its record
    let resumed = treasury.clear_resumed(at(48), TransferId(1)).unwrap();
    let missing = run(release_all(Vec::new(), vec![resumed], Vec::new(), &log)).map(|_| ()).unwrap_err();
    assert!(missing.to_string().contains("T1 was cleared but is not to be recorded"), "{missing}");
    // another record than the verdict's
    let resumed = treasury.clear_resumed(at(48), TransferId(1)).unwrap();
    let other = run(release_all(Vec::new(), vec![resumed], vec![stamped(entry)], &log)).map(|_| ()).unwrap_err();
    assert!(other.to_string().contains("differently"), "{other}");
    assert_eq!(log.0.lock().unwrap_or_else(|e| panic!("{e}")).len(), 1, "nothing else was appended");
}

#[test]
fn the_ledger_is_the_fold_of_the_journal() {
    let mut treasury = ready();
    let mut journal = Vec::new();
    let one = deposit(&treasury, "25");
    journal.push(clear(&mut treasury, at(48), one).entry());
    for event in [
        TransferEvent::Signed(attempt(AttemptKind::Send, 1, 1)),
        TransferEvent::Included(inclusion(1, true)),
        TransferEvent::Credited { amount: usd("25"), venue_ms: 1 },
    ] {
        journal.push(Entry::Transfer { id: TransferId(1), event });
    }
    let mut again = ready();
    for entry in &journal {
        treasury.fold(at(48), entry).unwrap();
        again.fold(at(48), entry).unwrap();
    }
    assert_eq!(again.transfers().collect::<Vec<_>>(), treasury.transfers().collect::<Vec<_>>());
    assert_eq!((again.next_id(), again.budgets(at(48))), (treasury.next_id(), treasury.budgets(at(48))));
    let unknown = Entry::Transfer { id: TransferId(9), event: TransferEvent::Accepted };
    assert!(matches!(again.fold(at(48), &unknown), Err(TreasuryFault::Unknown(TransferId(9)))));
}
