use super::*;

const HASH: TxHash = TxHash([7; 32]);

fn address(byte: u8) -> EvmAddress {
    EvmAddress([byte; 20])
}

fn usd(text: &str) -> Usd {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

fn intent(route: Route) -> TransferIntent {
    TransferIntent {
        id: TransferId(1),
        venue: Venue::Hyperliquid,
        account: address(1),
        route,
        amount: usd("25.5"),
        fee_max: Usd::ZERO,
        nonce: 3,
        limits: 9,
        cause: "cover 2.9 below 3".into(),
    }
}

fn bridge() -> Transfer {
    let leg = ChainLeg {
        chain_id: 42_161,
        wallet: address(1),
        token: address(2),
        contract: address(3),
        gas_cost_max: Wei::gwei(100_000),
    };
    Transfer::new(intent(Route::Bridge(leg)), Stamp::default())
}

fn signed(kind: AttemptKind, hash: TxHash) -> TransferEvent {
    let (raw, fee_max, tip) = (RawTx(vec![2, 0xf8]), Wei::gwei(1), Wei::ZERO);
    TransferEvent::Signed(Attempt { kind, hash, raw, gas_limit: 80_000, fee_max, tip })
}

fn found(hash: TxHash, block: u64, success: bool) -> Inclusion {
    Inclusion { hash, block, block_hash: TxHash([9; 32]), success, gas_cost: Wei(5) }
}

fn check(transfer: &mut Transfer, events: &[TransferEvent], expected: &str) {
    for event in events {
        transfer.apply(Stamp::default(), event).unwrap_or_else(|e| panic!("{e}"));
        // a fact that is told twice changes nothing
        let once = transfer.clone();
        if transfer.apply(Stamp::default(), event).is_ok() {
            assert_eq!(*transfer, once, "{event:?}");
        }
    }
    assert_eq!(transfer.state.name(), expected);
}

#[test]
fn a_deposit_arrives_in_either_order_of_safe_and_credit() {
    let credit = TransferEvent::Credited { amount: usd("25.5"), venue_ms: 1 };
    let start = [signed(AttemptKind::Send, HASH), TransferEvent::Sent { hash: Some(HASH) }];
    for late in [true, false] {
        let mut one = bridge();
        check(&mut one, &start, "sent");
        check(&mut one, &[TransferEvent::Included(found(HASH, 5, true))], "included");
        if late {
            check(&mut one, &[TransferEvent::Final(found(HASH, 5, true))], "landed");
            assert!(one.open() && !one.working());
            check(&mut one, std::slice::from_ref(&credit), "ended");
        } else {
            check(&mut one, std::slice::from_ref(&credit), "included");
            check(&mut one, &[TransferEvent::Final(found(HASH, 5, true))], "ended");
        }
        assert_eq!(one.state, TransferState::Ended(TransferOutcome::Arrived));
    }
}

#[test]
fn a_reorganised_block_takes_the_inclusion_back() {
    let mut one = bridge();
    check(&mut one, &[signed(AttemptKind::Send, HASH), TransferEvent::Included(found(HASH, 5, true))], "included");
    let other = TransferEvent::Reorged { hash: HASH, block_hash: TxHash([8; 32]) };
    assert!(one.apply(Stamp::default(), &other).is_err(), "F85: only the block it was in can be lost");
    check(&mut one, &[TransferEvent::Reorged { hash: HASH, block_hash: TxHash([9; 32]) }], "sent");
    assert!(one.apply(Stamp::default(), &TransferEvent::Final(found(HASH, 5, true))).is_err());
}

#[test]
fn what_is_mined_decides_the_outcome() {
    let burn = TxHash([6; 32]);
    for (hash, success, outcome) in [(HASH, false, TransferOutcome::Reverted), (burn, true, TransferOutcome::Burnt)] {
        let mut one = bridge();
        let sent = TransferEvent::Sent { hash: Some(HASH) };
        check(&mut one, &[signed(AttemptKind::Send, HASH), sent, signed(AttemptKind::Burn, burn)], "sent");
        let found = found(hash, 7, success);
        check(&mut one, &[TransferEvent::Included(found), TransferEvent::Final(found)], "ended");
        assert_eq!(one.state, TransferState::Ended(outcome));
    }
}

#[test]
fn nothing_is_refused_once_signed_and_nothing_unknown_is_included() {
    let mut one = bridge();
    assert!(one.apply(Stamp::default(), &TransferEvent::Included(found(HASH, 5, true))).is_err(), "not a transaction of ours");
    check(&mut one, &[signed(AttemptKind::Send, HASH)], "signed");
    let refused = TransferEvent::Ended(TransferOutcome::Refused { why: "no gas".into() });
    assert!(one.apply(Stamp::default(), &refused).is_err(), "signed bytes can still be sent by whoever has them");
}

#[test]
fn inside_the_venue_an_acceptance_is_the_arrival() {
    let mut one = Transfer::new(intent(Route::SpotToPerp), Stamp::default());
    assert!(one.clone().apply(Stamp::default(), &signed(AttemptKind::Send, HASH)).is_err());
    check(&mut one, &[TransferEvent::Sent { hash: None }, TransferEvent::Accepted], "ended");
    let mut out = Transfer::new(intent(Route::Withdrawal { destination: address(4) }), Stamp::default());
    check(&mut out, &[TransferEvent::Sent { hash: None }, TransferEvent::Accepted], "landed");
    check(&mut out, &[TransferEvent::Credited { amount: usd("24.5"), venue_ms: 2 }], "ended");
}

#[test]
fn records_survive_the_journal() {
    let mut one = bridge();
    check(&mut one, &[signed(AttemptKind::Send, HASH), TransferEvent::Included(found(HASH, 5, true))], "included");
    let text = serde_json::to_string(&one).unwrap();
    assert_eq!(serde_json::from_str::<Transfer>(&text).unwrap(), one);
    let entry = crate::Entry::Transfer { id: TransferId(1), event: TransferEvent::Intended(one.intent) };
    let text = serde_json::to_string(&entry).unwrap();
    assert_eq!(serde_json::from_str::<crate::Entry>(&text).unwrap(), entry, "{text}");
}

#[test]
fn units_convert_exactly_or_not_at_all() {
    assert_eq!(usd("5.000001").micros(), Some(5_000_001));
    assert_eq!(usd("5.0000001").micros(), None, "F92: dust is not rounded away");
    assert_eq!(usd("-1").micros(), None);
    assert_eq!(Usd::from_micros(5_000_001), usd("5.000001"));
    assert_eq!(Wei::from_ether("0.000000000000000001".parse().unwrap()), Some(Wei(1)));
    assert_eq!(Wei::from_ether("0.0000000000000000001".parse().unwrap()), None);
    assert_eq!(Wei(1_500_000_000_000_000_000).to_string(), "1.5");
    assert_eq!(
        "0xAF88d065e77c8cC2239327C5EDb3A432268e5831".parse::<EvmAddress>().map(|a| a.to_string()).unwrap(),
        "0xaf88d065e77c8cc2239327c5edb3a432268e5831"
    );
    for bad in ["af88", "0xaf88", "0xzz88d065e77c8cC2239327C5EDb3A432268e5831", ""] {
        assert!(bad.parse::<EvmAddress>().is_err(), "{bad}");
    }
}
