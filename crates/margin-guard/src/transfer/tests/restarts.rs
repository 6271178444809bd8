//! Other limits, other clocks, other tenures: what was decided before counts on, and what has not left must still be allowed.

use domain::{Stop, Trigger};

use super::*;

/// The same journal under other limits: they are recorded, and a new tenure is reconciled.
fn under(mut treasury: Treasury, now: Stamp, raw: &RawTreasury) -> Treasury {
    treasury.limits = limits(raw);
    let epoch = Epoch(treasury.epoch.0 + 1);
    let begun = Entry::Epoch { epoch, tag: JournalTag(1), seed: Seed(1), binary: String::new(), config: String::new() };
    let record = treasury.record();
    let ready = Entry::Reconciled { epoch, state: String::new(), repairs: 0 };
    for entry in [Some(begun), record, Some(ready)].into_iter().flatten() {
        treasury.fold(now, &entry).unwrap();
    }
    treasury
}

fn intended() -> Treasury {
    let mut treasury = ready();
    let one = deposit(&treasury, "900");
    let _cleared = clear(&mut treasury, at(48), one);
    treasury
}

fn first_bytes(treasury: &Treasury, now: Stamp) -> Result<(), TransferRefusal> {
    treasury.clear_signed(now, TransferId(1), &attempt(AttemptKind::Send, 1, 1)).map(|_| ())
}

#[test]
fn i13_what_was_decided_before_its_destination_left_the_list_is_not_sent() {
    let mut without = raw();
    without.destination.remove("bridge");
    let treasury = under(intended(), at(48), &without);
    // the tenure takes it up, since something may have left; the first bytes then show that nothing has
    let _resumed = treasury.clear_resumed(at(48), TransferId(1)).unwrap();
    assert!(matches!(first_bytes(&treasury, at(48)), Err(TransferRefusal::Destination { .. })));
    // bytes that may have left are followed to their end
    let mut signed = intended();
    let bytes = attempt(AttemptKind::Send, 1, 1);
    tell(&mut signed, at(48), 1, &[TransferEvent::Signed(bytes.clone())]);
    let signed = under(signed, at(48), &without);
    let _again = signed.clear_signed(at(48), TransferId(1), &bytes).unwrap();
}

#[test]
fn what_was_decided_on_wider_limits_is_not_sent_on_narrower_ones() {
    let narrow = |change: fn(&mut RawTreasury)| {
        let mut raw = raw();
        change(&mut raw);
        first_bytes(&under(intended(), at(48), &raw), at(48)).unwrap_err()
    };
    assert!(matches!(narrow(|raw| raw.transfer_max_usd = Some("899".into())), TransferRefusal::Cap { .. }));
    assert!(matches!(narrow(|raw| raw.gas_transfer_max_ether = Some("0.0004".into())), TransferRefusal::GasCap { .. }));
    assert!(matches!(narrow(|raw| raw.wallet = None), TransferRefusal::NoWallet));
    let other = narrow(|raw| {
        if let Some(wallet) = raw.wallet.as_mut() {
            wallet.chain_id = Some("42161".into());
        }
    });
    assert!(matches!(other, TransferRefusal::Setting { what: "the chain", .. }), "{other}");
    assert_eq!(first_bytes(&under(intended(), at(48), &raw()), at(48)), Ok(()), "the same limits allow it still");
}

#[test]
fn what_was_decided_long_ago_is_not_begun() {
    let treasury = intended();
    let late = at(48) + Span::secs(901);
    let why = first_bytes(&treasury, late).unwrap_err().to_string();
    assert_eq!(why, "decided 15m01s ago, of at most 15m00s until something leaves");
}

#[test]
fn a_stopped_daemon_does_not_send_to_the_venue_again() {
    let mut treasury = ready();
    let one = intent(&treasury, Route::IsolatedMargin { instrument: btc() }, "25");
    let _cleared = clear(&mut treasury, at(48), one);
    let _resumed = treasury.clear_resumed(at(48), TransferId(1)).unwrap();
    treasury.fold(at(48), &Entry::Latch(Stop::all(StopLevel::Block, Trigger::Operator, "test"))).unwrap();
    let why = treasury.clear_resumed(at(48), TransferId(1)).map(|_| ()).unwrap_err();
    assert_eq!(why, TransferRefusal::Halted(StopLevel::Block));
    treasury.fold(at(48), &Entry::Rearm { reason: "test".into(), scope: None, by: Vec::new() }).unwrap();
    let mut narrow = raw();
    narrow.inside_transfer_max_usd = Some("24".into());
    let treasury = under(treasury, at(48), &narrow);
    let why = treasury.clear_resumed(at(48), TransferId(1)).map(|_| ()).unwrap_err();
    assert!(matches!(why, TransferRefusal::Cap { .. }), "{why}");
}

#[test]
fn i13_lowering_the_delay_and_restarting_twice_does_not_shorten_it() {
    let mut slow = raw();
    slow.destination_delay_hours = Some("168".into());
    let bridge = slow.destination.remove("bridge").unwrap();
    let mut quick = slow.clone();
    quick.destination_delay_hours = Some("0".into());
    let mut listed = quick.clone();
    listed.destination.insert("bridge".into(), bridge);

    let mut treasury = Treasury::new(limits(&slow));
    start(&mut treasury, at(0));
    let treasury = under(treasury, at(10), &quick);
    let mut treasury = under(treasury, at(11), &listed);
    treasury.observe(view(at(60), 7));
    let soon = deposit(&treasury, "25");
    let why = treasury.clear(at(60), soon.clone()).map(|_| ()).unwrap_err();
    assert!(matches!(why, TransferRefusal::DestinationNew { delay, .. } if delay == Span::secs(168 * 3_600)), "{why}");
    treasury.observe(view(at(179), 7));
    let _cleared = clear(&mut treasury, at(179), soon);

    // when the old delay has passed, the new one counts
    let mut treasury = Treasury::new(limits(&slow));
    start(&mut treasury, at(0));
    let treasury = under(treasury, at(10), &quick);
    let mut treasury = under(treasury, at(179), &listed);
    treasury.observe(view(at(179), 7));
    let soon = deposit(&treasury, "25");
    let _cleared = clear(&mut treasury, at(179), soon);
}

#[test]
fn i13_an_address_listed_for_one_chain_is_new_on_another() {
    let mut real = raw();
    if let Some(wallet) = real.wallet.as_mut() {
        wallet.chain_id = Some("42161".into());
    }
    let mut treasury = under(ready(), at(48), &real);
    treasury.observe(WalletView { chain_id: 42_161, ..view(at(48), 7) });
    let mut one = deposit(&treasury, "25");
    one.route = Route::Bridge(ChainLeg { chain_id: 42_161, ..leg() });
    assert!(matches!(treasury.clear(at(48), one), Err(TransferRefusal::DestinationNew { .. })));
    // a sub-account is the venue's, whatever the wallet is
    let sub = intent(&treasury, Route::SubAccount { sub: address(4), deposit: false }, "25");
    let _cleared = clear(&mut treasury, at(48), sub);
}

#[test]
fn i11_a_transfer_counts_from_its_end_because_its_money_may_have_moved_only_then() {
    let mut treasury = ready();
    let one = deposit(&treasury, "1000");
    let _cleared = clear(&mut treasury, at(48), one);
    // it hangs for two hours, is mined, and is credited
    lands(&mut treasury, at(50), 1, true);
    tell(&mut treasury, at(50), 1, &[TransferEvent::Credited { amount: usd("1000"), venue_ms: 1 }]);
    let hour = |minutes: u64| treasury.budgets(at(50) + Span::secs(60 * minutes)).hour.spent;
    assert_eq!((hour(1), hour(59), hour(60)), (usd("1000"), usd("1000"), Usd::ZERO));
    let gas = |hours: u64| treasury.budgets(at(50 + hours)).gas_spent;
    assert_eq!((gas(23), gas(24)), (Wei::gwei(60_000), Wei::ZERO));
}

#[test]
fn a_withdrawal_that_hangs_keeps_no_deposit_out() {
    let mut treasury = ready();
    let out = intent(&treasury, Route::Withdrawal { destination: address(5) }, "25");
    let _cleared = clear(&mut treasury, at(48), out.clone());
    let again = TransferIntent { id: treasury.next_id(), ..out };
    assert!(matches!(treasury.clear(at(48), again), Err(TransferRefusal::InFlight { .. })));
    let one = deposit(&treasury, "25");
    let _cleared = clear(&mut treasury, at(48), one);
}

#[test]
fn bytes_whose_verdict_was_not_heard_are_cleared_again_and_change_nothing() {
    let mut treasury = intended();
    let bytes = attempt(AttemptKind::Send, 1, 1);
    tell(&mut treasury, at(48), 1, &[TransferEvent::Signed(bytes.clone())]);
    let again = treasury.clear_signed(at(48), TransferId(1), &bytes).unwrap();
    let before = treasury.transfer(TransferId(1)).cloned();
    treasury.fold(at(48), &again.entry()).unwrap();
    assert_eq!(treasury.transfer(TransferId(1)).cloned(), before);
    // other bytes under the same hash are others
    let forged = Attempt { raw: RawTx(vec![9]), ..bytes };
    assert!(matches!(treasury.clear_signed(at(48), TransferId(1), &forged), Err(TransferRefusal::Attempt(_))));
}
