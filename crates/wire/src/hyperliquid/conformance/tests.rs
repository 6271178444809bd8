use super::*;

fn check(file_name: &str, text: &str, passes: bool) {
    let result = payload(file_name, text);
    assert_eq!(result.passed(), passes, "{text}: {:?}", result.faults);
}

#[test]
fn payloads_are_sorted_by_content() {
    check("anything.json", r#"{"coin":"BTC","time":1,"levels":[[],[]]}"#, true);
    check("anything.json", r#"{"channel":"bbo","data":{"coin":"BTC","time":1,"bbo":[null,null]}}"#, true);
    check("anything.json", r#"{"status":"err","response":"no"}"#, true);
    check("anything.json", r#"{"type":"meta"}"#, true);
    check("anything.json", r#"{"type":"noop"}"#, true);
    check("info_userFills_empty.json", "[]", true);
    check("anything.json", "[]", false);
    check("anything.json", r#"{"weather":"fine"}"#, false);
    check("anything.json", r#"{"channel":"weather","data":{}}"#, false);
    check("anything.json", "", false);
    check("anything.json", r#"[{"case":"c","http_status":422,"body":"Failed to deserialize the JSON body"}]"#, true);
    check("anything.json", r#"[{"case":"c","http_status":429,"body":null}]"#, false);
}

#[test]
fn the_name_does_not_overrule_the_content() {
    // a book under the name of fills is a book, and a malformed book
    check("info_userFills_odd.json", r#"{"coin":"BTC","time":1,"levels":[[{"px":"1.0","sz":"2.0","n":1}],[]]}"#, true);
    check("info_userFills_odd.json", r#"{"coin":"BTC","time":1,"levels":[[{"px":"1,0","sz":"2.0","n":1}],[]]}"#, false);
}

#[test]
fn a_repeated_key_is_a_fault() {
    check("ws_bbo.json", r#"{"channel":"l2Book","data":{"coin":"BTC","time":1,"time":2,"levels":[[],[]]}}"#, false);
}

#[test]
fn numbers_of_books_and_trades_have_a_sign() {
    let book = |px: &str, sz: &str| format!(r#"{{"coin":"BTC","time":1,"levels":[[{{"px":{px},"sz":{sz},"n":1}}],[]]}}"#);
    check("info_l2Book.json", &book(r#""1.5""#, r#""0.0""#), true);
    check("info_l2Book.json", &book(r#""0.0""#, r#""1.0""#), false);
    check("info_l2Book.json", &book(r#""-1.5""#, r#""1.0""#), false);
    check("info_l2Book.json", &book(r#""1.5""#, r#""-1.0""#), false);
    check("info_l2Book.json", &book("1.5", r#""1.0""#), false);
    check("info_l2Book.json", &book(r#""1.5""#, "null"), false);
}

#[test]
fn an_echo_must_name_a_stream_that_was_asked_for() {
    let recording = |echoed: &str| {
        format!(
            r#"{{"client_sends":[{{"method":"subscribe","subscription":{{"type":"bbo","coin":"BTC"}}}}],
                "server_ack":[{{"channel":"subscriptionResponse","data":{{"method":"subscribe","subscription":{echoed}}}}}]}}"#
        )
    };
    check("ws.json", &recording(r#"{"coin":"BTC","type":"bbo","extra":null}"#), true);
    check("ws.json", &recording(r#"{"coin":"ETH","type":"bbo"}"#), false);
}

const CASE: &str = r#"{"name":"n","scheme":"l1","network":"mainnet",
  "private_key":"0x0123456789012345678901234567890123456789012345678901234567890123",
  "action":{"type":"order","orders":[{"a":1,"b":true,"p":"100","s":"100","r":false,"t":{"limit":{"tif":"Gtc"}}}],"grouping":"na"},
  "nonce":0,"vault_address":null,"expires_after":null,
  "signature":{"r":"0xd65369825a9df5d80099e513cce430311d7d26ddf477f5b3a33d2806b100d78e",
               "s":"0x2b54116ff64054968aa237c20ca9ff68000f977c93289157748a3162b6ea940e","v":28}}"#;

fn sign_check(text: &str, passes: bool) {
    let outcome = signing(text);
    assert_eq!(outcome.failed() == 0 && outcome.passed() > 0, passes, "{:?}", outcome.cases);
}

#[test]
fn a_bare_list_of_cases_is_a_file_too() {
    sign_check(&format!("[{CASE}]"), true);
    sign_check("[]", false);
    sign_check("nonsense", false);
}

#[test]
fn the_order_of_keys_is_part_of_the_signature() {
    sign_check(&format!("[{}]", CASE.replace(r#""a":1,"b":true"#, r#""b":true,"a":1"#)), false);
}

#[test]
fn an_action_of_no_sheet_is_checked_by_its_bytes_alone() {
    let unknown = CASE.replace(r#""type":"order""#, r#""type":"newThing""#);
    let outcome = signing(&format!("[{unknown}]"));
    assert_eq!(outcome.cases[0].ignored, ["action type newThing"]);
    assert!(!outcome.cases[0].passed(), "the signature is over other bytes");
    // a known type with an unknown word inside is not an unknown type
    let outcome = signing(&format!("[{}]", CASE.replace("Gtc", "Later")));
    assert!(outcome.cases[0].faults.iter().any(|f| f.contains("typed action")), "{:?}", outcome.cases);
}
