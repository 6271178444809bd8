use domain::{Child, ChildNo, Epoch, Expiry, InstrumentId, JournalTag, ParentId, Px, Qty, Side, Venue};
use serde_json::{Value, json};

use super::*;

fn intent(no: u32, tif: Tif) -> Intent {
    let instrument = InstrumentId::new(Venue::Hyperliquid, "BTC").unwrap_or_else(|e| panic!("{e}"));
    Intent {
        key: ClientKey::derive(JournalTag(1), Epoch(1), ParentId(1), ChildNo(no)),
        child: Child {
            parent: ParentId(1),
            no: ChildNo(no),
            instrument,
            side: Side::Buy,
            qty: Qty(100),
            px: Px(500_000),
            tif,
            reduce_only: false,
        },
        nonce: 2,
        expiry: Expiry::AtMs(u64::MAX),
    }
}

fn intents(n: u32) -> Vec<Intent> {
    (1..=n).map(|no| intent(no, Tif::GoodTilCancel)).collect()
}

fn reply(status: u16, body: &str) -> Result<Answer, Failure> {
    read_reply(Ok(http::Answer { status, body: body.as_bytes().to_vec() }))
}

fn ok(statuses: Value) -> Result<Answer, Failure> {
    reply(200, &json!({"status":"ok","response":{"type":"order","data":{"statuses":statuses}}}).to_string())
}

const LOST: fn(Lost) -> SendOutcome = SendOutcome::Unknown;

fn acked(oid: u64, done: bool) -> SendOutcome {
    SendOutcome::Acked { order: Some(VenueOrderId::Number(oid)), done }
}

fn kind(outcome: &SendOutcome) -> Option<RejectKind> {
    match outcome {
        SendOutcome::Rejected(reject) => Some(reject.kind),
        SendOutcome::Acked { .. } | SendOutcome::Unknown(_) => None,
    }
}

#[test]
fn what_is_not_an_answer_is_unknown() {
    let one = intents(1);
    let check = |reply, lost| assert_eq!(outcomes(&one, reply), [LOST(lost)]);
    check(read_reply(Err(NoAnswer::Timeout(std::time::Duration::ZERO))), Lost::Timeout); // F15
    check(read_reply(Err(NoAnswer::Broken("reset".into()))), Lost::Disconnected); // F08, F09
    check(read_reply(Err(NoAnswer::TooLarge)), Lost::Unreadable);
    check(reply(500, "oops"), Lost::ServerError); // F16, F17
    check(reply(502, "<html>"), Lost::ServerError);
    check(reply(429, "null"), Lost::Throttled); // F18
    check(reply(200, "<html>sign in</html>"), Lost::Unreadable); // F13
    check(reply(200, r#"{"status":"ok","response":{"type":"or"#), Lost::Unreadable); // F09
    check(reply(200, r#"{"status":"ok","response":{"type":"default"}}"#), Lost::Unreadable);
    check(reply(200, r#"{"status":"maybe","response":"x"}"#), Lost::Unreadable);
    check(reply(200, "null"), Lost::Unreadable);
    check(reply(302, ""), Lost::Unreadable);
    check(reply(422, "Failed to deserialize the JSON body into the target type"), Lost::Unreadable);
    check(reply(400, "<html>Order has zero size.</html>"), Lost::Unreadable);
}

#[test]
fn f21_only_texts_on_the_list_are_rejections() {
    let one = intents(1);
    let err = |text: &str| outcomes(&one, reply(200, &json!({"status":"err","response":text}).to_string()));
    let status = |text: &str| outcomes(&one, ok(json!([{"error":text}])));
    assert_eq!(kind(&status("Order has zero size. asset=3")[0]), Some(RejectKind::Malformed));
    assert_eq!(
        kind(&status("Post only order would have immediately matched, bbo was 1@2. asset=3")[0]),
        Some(RejectKind::WouldTake)
    );
    assert_eq!(
        kind(&status("Only post-only orders allowed immediately after a network upgrade")[0]),
        Some(RejectKind::PostOnlyWindow)
    );
    assert_eq!(kind(&err("User or API Wallet 0xabc does not exist.")[0]), Some(RejectKind::Auth));
    assert_eq!(kind(&err("Too many cumulative requests sent (2 > 1) for …")[0]), Some(RejectKind::Throttled));
    assert_eq!(kind(&err("Action already expired")[0]), Some(RejectKind::Expired));
    assert_eq!(status("A text that nobody has seen"), [LOST(Lost::Unreadable)]);
    assert_eq!(err("A text that nobody has seen"), [LOST(Lost::Unreadable)]);
    // the first copy of these bytes may have landed
    assert_eq!(err("Invalid nonce: duplicate nonce 2"), [LOST(Lost::Unreadable)]);
}

#[test]
fn acknowledgements() {
    let three = [intent(1, Tif::PostOnly), intent(2, Tif::ImmediateOrCancel), intent(3, Tif::GoodTilCancel)];
    let filled = |oid| json!({"filled":{"totalSz":"0.00001","avgPx":"50000.0","oid":oid}});
    let got = outcomes(&three, ok(json!([{"resting":{"oid":7}}, filled(8), filled(9)])));
    assert_eq!(got, [acked(7, false), acked(8, true), acked(9, false)]);
    let got = outcomes(&three, ok(json!(["waitingForFill", "success", {"error":"Order has zero size."}])));
    assert_eq!(got[0], SendOutcome::Acked { order: None, done: false });
    assert_eq!(got[1], LOST(Lost::Unreadable));
    assert_eq!(kind(&got[2]), Some(RejectKind::Malformed));
}

#[test]
fn f22_another_number_of_statuses() {
    let three = intents(3);
    // one refusal for all, on the list
    let got = outcomes(&three, ok(json!([{"error":"Insufficient margin to place order."}])));
    assert_eq!(got.iter().map(kind).collect::<Vec<_>>(), [Some(RejectKind::Margin); 3]);
    // one refusal for all, not on the list
    assert_eq!(outcomes(&three, ok(json!([{"error":"Something else"}]))), vec![LOST(Lost::Unreadable); 3]);
    // fewer, one of them named: only that one is known
    let key = three[2].key.to_string();
    let got = outcomes(&three, ok(json!([{"resting":{"oid":5,"cloid":key}}, {"resting":{"oid":6}}])));
    assert_eq!(got, [LOST(Lost::Unreadable), LOST(Lost::Unreadable), acked(5, false)]);
    // more, none named
    let got =
        outcomes(&three, ok(json!([{"resting":{"oid":1}},{"resting":{"oid":2}},{"resting":{"oid":3}},{"resting":{"oid":4}}])));
    assert_eq!(got, vec![LOST(Lost::Unreadable); 3]);
    assert_eq!(outcomes(&three, ok(json!([]))), vec![LOST(Lost::Unreadable); 3]);
}

#[test]
fn statuses_in_another_order_are_matched_by_name() {
    let two = intents(2);
    let (first, second) = (two[0].key.to_string(), two[1].key.to_string());
    let got = outcomes(&two, ok(json!([{"resting":{"oid":20,"cloid":second}}, {"resting":{"oid":10,"cloid":first}}])));
    assert_eq!(got, [acked(10, false), acked(20, false)]);
    let got =
        outcomes(&two, ok(json!([{"resting":{"oid":20,"cloid":"0x00000000000000000000000000000bad"}}, {"resting":{"oid":10}}])));
    assert_eq!(got, vec![LOST(Lost::Unreadable); 2], "a stranger among the names: nothing is certain");
}
