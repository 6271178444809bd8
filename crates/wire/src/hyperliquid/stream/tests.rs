use super::*;
use crate::hyperliquid::Address;

#[test]
fn frames_of_no_json_are_greetings() {
    let text = "Websocket connection established.";
    assert_eq!(ServerFrame::decode(text), Ok(ServerFrame::Greeting(text.into())));
    assert_eq!(ServerFrame::Greeting(text.into()).encode(), text);
}

#[test]
fn unknown_channels_are_told_from_malformed_ones() {
    let unknown = ServerFrame::decode(r#"{"channel":"weather","data":{"sun":true}}"#);
    assert_eq!(unknown, Ok(ServerFrame::Unrecognised { channel: "weather".into() }));
    let error = ServerFrame::decode(r#"{"channel":"trades","data":[{"coin":"BTC"}]}"#).expect_err("malformed");
    assert_eq!(error.what, "trades");
    assert!(error.detail.contains("missing field"), "{error}");
    assert!(ServerFrame::decode(r#"{"channel":"trades"}"#).is_err());
    assert!(ServerFrame::decode(r#"{"channel":"trades","data"#).is_err());
    assert!(ServerFrame::decode("{}").is_err());
    assert!(ServerFrame::decode(&format!("{{{}", " ".repeat(FRAME_BYTES_MAX))).is_err());
    assert_eq!(ServerFrame::decode(r#"{"channel":"pong"}"#), Ok(ServerFrame::Pong));
}

/// A log line stays a line, whatever a frame holds.
#[test]
fn errors_are_short() {
    let long = format!(r#"{{"channel":"allMids","data":{{"mids":{{"BTC":"{}"}}}}}}"#, "9".repeat(10_000));
    let error = ServerFrame::decode(&long).expect_err("too many digits");
    assert!(error.to_string().len() < 400, "{error}");
}

#[test]
fn deep_nesting_is_an_error() {
    let deep = format!(r#"{{"channel":"outcomeMetaUpdates","data":{{"updates":[{}{}]}}}}"#, "[".repeat(300), "]".repeat(300));
    assert!(ServerFrame::decode(&deep).is_err());
}

#[test]
fn echoes_are_normalised_and_still_match() {
    let user = Address([0xab; 20]);
    let asked = Subscription::UserFills { user: user.into(), aggregate_by_time: Some(false) };
    let echoed =
        Subscription::UserFills { user: User(user.to_string().to_uppercase().replace("0X", "0x")), aggregate_by_time: None };
    assert!(asked.same_stream(&echoed));
    let book = |coin: &str, fast| Subscription::L2Book { coin: coin.into(), n_sig_figs: None, mantissa: None, fast };
    assert!(book("BTC", None).same_stream(&book("BTC", Some(false))));
    assert!(!book("BTC", None).same_stream(&book("BTC", Some(true))));
    assert!(!book("BTC", None).same_stream(&book("btc", None)), "coins match exactly");
    let mids = |dex: Option<&str>| Subscription::AllMids { dex: dex.map(str::to_owned) };
    assert!(mids(None).same_stream(&mids(Some(""))));
    assert!(!mids(None).same_stream(&Subscription::Bbo { coin: "BTC".into() }));
}

#[test]
fn client_frames_are_read_as_clients_send_them() {
    let python = r#"{"method": "subscribe", "subscription": {"type": "l2Book", "coin": "ETH"}}"#;
    let frame = ClientFrame::decode(python).expect("a frame");
    assert_eq!(frame.encode(), r#"{"method":"subscribe","subscription":{"type":"l2Book","coin":"ETH"}}"#);
    assert_eq!(ClientFrame::decode(r#"{"method":"ping"}"#), Ok(ClientFrame::Ping));
    assert!(ClientFrame::decode(r#"{"method":"dance"}"#).is_err());
}
