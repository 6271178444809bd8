use super::*;
use crate::hyperliquid::action::{Filled, Resting};

const LIST: &[(&str, RejectKind)] = &[
    ("Price must be divisible by tick size. asset=4", RejectKind::Malformed),
    ("Order must have minimum value of $10. asset=4", RejectKind::Malformed),
    ("Order must have minimum value of 10 USDH.", RejectKind::Malformed),
    ("Order price cannot be more than 80% away from the reference price", RejectKind::Malformed),
    ("ORDER HAS INVALID SIZE.", RejectKind::Malformed),
    ("Signed action over weight limit of 200.", RejectKind::Malformed),
    ("insufficient margin to place order. asset=0", RejectKind::Margin),
    ("(Spot-only) Order has insufficient spot balance to trade", RejectKind::Margin),
    ("Reduce only order would increase position. asset=4", RejectKind::ReduceOnly),
    ("Post only order would have immediately matched, bbo was 97000@97001. asset=0", RejectKind::WouldTake),
    ("Order could not immediately match against any resting orders. asset=78", RejectKind::NothingToTake),
    ("Only post-only orders allowed immediately after a network upgrade", RejectKind::PostOnlyWindow),
    ("Too many cumulative requests sent (97460 > 97456) for cumulative volume traded $87457.46.", RejectKind::Throttled),
    ("Action already expired", RejectKind::Expired),
    ("L1 error: User or API Wallet 0x0000000000000000000000000000000000000000 does not exist.", RejectKind::Auth),
    ("Must deposit before performing actions. User: 0x0000000000000000000000000000000000000000", RejectKind::Auth),
    ("Vault not registered: 0x0000000000000000000000000000000000000000", RejectKind::Auth),
    ("Order would increase open interest too quickly", RejectKind::Other),
];

#[test]
fn texts_on_the_list_are_rejections() {
    for (text, kind) in LIST {
        assert_eq!(order(text), Some(*kind), "{text}");
    }
}

/// F21: a text that is not on the list proves nothing.
#[test]
fn f21_other_texts_are_unknown() {
    for text in [
        "",
        "Internal error",
        "Something new. asset=4",
        "Request timed out",
        "Invalid nonce: duplicate nonce 1741107452532",
        "The Order has invalid price.",
        "Price must be divisible",
        "Order was never placed, already canceled, or filled.",
        "price müst be divisible by tick size",
    ] {
        assert_eq!(order(text), None, "{text}");
        assert_eq!(outcomes(&Answer::Err(text.into()), &[request(None)]), [SendOutcome::Unknown(Lost::Unreadable)]);
    }
    assert!(duplicate_nonce("Invalid nonce: duplicate nonce 1741107452532"));
    assert!(!duplicate_nonce("Invalid nonce"));
}

fn request(cloid: Option<u128>) -> OrderRequest {
    OrderRequest {
        asset: 0,
        is_buy: true,
        px: "100".parse().expect("a decimal"),
        sz: "2".parse().expect("a decimal"),
        reduce_only: false,
        kind: OrderKind::Limit { tif: Tif::Gtc },
        cloid: cloid.map(domain::ClientKey::from_bits),
    }
}

fn resting(oid: u64, cloid: Option<u128>) -> OrderStatus {
    OrderStatus::Resting(Resting { oid, cloid: cloid.map(domain::ClientKey::from_bits) })
}

fn filled(sz: &str) -> OrderStatus {
    let num = |text: &str| domain::plain_decimal(text).expect("a decimal").into();
    OrderStatus::Filled(Filled { total_sz: num(sz), avg_px: num("100"), oid: 9, cloid: None })
}

fn acked(oid: u64, done: bool) -> SendOutcome {
    SendOutcome::Acked { order: Some(VenueOrderId::Number(oid)), done }
}

fn answered(statuses: Vec<OrderStatus>, sent: &[OrderRequest]) -> Vec<SendOutcome> {
    outcomes(&Answer::Ok(Response::Order(statuses)), sent)
}

#[test]
fn statuses_pair_with_orders() {
    let sent = [request(Some(1)), request(None)];
    assert_eq!(answered(vec![resting(7, Some(1)), filled("2.0")], &sent), [acked(7, false), acked(9, true)]);
    // a partial fill of a resting order leaves the rest open; one of a taker drops it
    assert_eq!(answered(vec![filled("1.5")], &sent[1..]), [acked(9, false)]);
    let taker = OrderRequest { kind: OrderKind::Limit { tif: Tif::Ioc }, ..request(None) };
    assert_eq!(answered(vec![filled("1.5")], &[taker]), [acked(9, true)]);
    assert_eq!(answered(vec![OrderStatus::WaitingForTrigger], &sent[..1]), [SendOutcome::Acked { order: None, done: false }]);
}

/// FZ03: never a rejection where the answer is ambiguous.
#[test]
fn fz03_ambiguous_answers_are_unknown() {
    let unknown = SendOutcome::Unknown(Lost::Unreadable);
    let sent = [request(Some(1)), request(Some(2))];
    assert_eq!(answered(vec![resting(7, Some(1))], &sent), [unknown.clone(), unknown.clone()], "one status for two orders");
    assert_eq!(answered(vec![], &sent), [unknown.clone(), unknown.clone()]);
    assert_eq!(
        answered(vec![resting(7, Some(2)), resting(8, Some(2))], &sent),
        [unknown.clone(), acked(8, false)],
        "another's id"
    );
    assert_eq!(answered(vec![OrderStatus::Unrecognised("queued".into())], &sent[..1])[0], unknown);
    assert_eq!(outcomes(&Answer::Ok(Response::Default), &sent), [unknown.clone(), unknown.clone()]);
    assert_eq!(outcomes(&Answer::Ok(Response::Cancel(vec![CancelStatus::Success; 2])), &sent), [unknown.clone(), unknown]);
}

#[test]
fn one_refusal_for_a_batch_is_everyones() {
    let sent = [request(None), request(None)];
    let text = "Insufficient margin to place order. asset=0";
    let refused = SendOutcome::Rejected(Reject { kind: RejectKind::Margin, text: text.into() });
    assert_eq!(answered(vec![OrderStatus::Error(text.into())], &sent), [refused.clone(), refused.clone()]);
    assert_eq!(outcomes(&Answer::Err(text.into()), &sent), [refused.clone(), refused]);
}

#[test]
fn cancels_end_as_the_text_says() {
    let gone = CancelStatus::Error("Order was never placed, already canceled, or filled. asset=4".into());
    let answer = Answer::Ok(Response::Cancel(vec![CancelStatus::Success, gone.clone()]));
    assert_eq!(cancels(&answer, 2), [CancelEnd::Done, CancelEnd::Gone]);
    // one status for two cancels does not say whose it is
    assert_eq!(cancels(&Answer::Ok(Response::Cancel(vec![gone])), 2), [CancelEnd::Unknown, CancelEnd::Unknown]);
    let throttled = Answer::Err("Too many cumulative requests sent (2 > 1) for cumulative volume traded $0.".into());
    assert_eq!(cancels(&throttled, 1), [CancelEnd::Refused(RejectKind::Throttled)]);
    assert_eq!(cancels(&Answer::Err("who knows".into()), 1), [CancelEnd::Unknown]);
}

#[test]
fn status_words_sort_by_their_ending() {
    for (word, expected) in [
        ("open", ReportedState::Open),
        ("triggered", ReportedState::Open),
        ("filled", ReportedState::Filled),
        ("canceled", ReportedState::Canceled),
        ("marginCanceled", ReportedState::Canceled),
        ("scheduledCancel", ReportedState::Canceled),
        ("somethingNewCanceled", ReportedState::Canceled),
        ("rejected", ReportedState::Rejected),
        ("iocCancelRejected", ReportedState::Rejected),
        ("somethingNewRejected", ReportedState::Rejected),
        ("paused", ReportedState::Unrecognised),
        ("", ReportedState::Unrecognised),
    ] {
        assert_eq!(state(word), expected, "{word}");
    }
    assert_eq!(status_kind("iocCancelRejected"), Some(RejectKind::NothingToTake));
    assert_eq!(status_kind("somethingNewRejected"), Some(RejectKind::Other));
    assert_eq!(status_kind("canceled"), None);
}

#[test]
fn refusals_of_account_actions() {
    assert_eq!(account("Cannot switch leverage type with open position."), Some(RejectKind::Other));
    assert_eq!(account("Too many cumulative requests sent (2 > 1)"), Some(RejectKind::Throttled));
    assert_eq!(account("Price must be divisible by tick size."), None);
}
