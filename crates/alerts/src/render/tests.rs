use domain::{AccountSituation, Alert, MarginLevel, Situation, Span, StopLevel, Topic, Usd, Venue};
use rust_decimal::Decimal;

use super::*;
use crate::outbox::Delivery;

const FROM: &str = "desk-1";

fn delivery(severity: Severity, cause: &str) -> Delivery {
    let account = AccountSituation {
        venue: Venue::Hyperliquid,
        level: MarginLevel::Watch,
        equity: Usd::new(Decimal::new(99_876_543, 3)).ok(),
        maintenance: Usd::new(Decimal::new(1_200, 0)).ok(),
    };
    let state = Situation {
        stop: StopLevel::Cancel,
        narrower: Vec::new(),
        accounts: vec![account],
        positions: vec![("hyperliquid:BTC".parse().unwrap(), Decimal::new(-60, 2))],
        more_positions: 2,
        orders: 3,
        unknown: 1,
    };
    let mut delivery = Delivery::trial(
        0,
        Alert::new(severity, Topic::Stopped, cause, Some(state)),
        Stamp { mono: 7, wall_ms: 1_790_000_000_000 },
    );
    delivery.record.id = crate::AlertId(12);
    delivery
}

#[test]
fn every_message_names_cause_state_what_was_done_and_what_to_do() {
    let mut delivery = delivery(Severity::Act, "level cancel: <fire & smoke>");
    delivery.before = 2;
    delivery.open_for = Span::secs(1_900);
    delivery.record.count = 4;
    let text = text(FROM, &delivery);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "ACT · stopped · A12 · desk-1");
    assert_eq!(lines[1], "Cause: level cancel: <fire & smoke>");
    assert!(lines[2].starts_with("State: stop level "), "{text}");
    assert!(lines[2].contains("hyperliquid: margin level watch, equity 99876.54 USD, maintenance 1200 USD"), "{text}");
    assert!(lines[2].ends_with("hyperliquid:BTC -0.6 and 2 more; 3 open orders, 1 of them unresolved"), "{text}");
    assert!(lines[3].starts_with("Done: no new order is sent"), "{text}");
    assert!(lines[4].starts_with("To do: ") && lines[4].contains("plimsoll rearm --reason"), "{text}");
    assert_eq!(
        lines[5],
        "Raised 2026-09-21T14:13:20Z, 4 times until 2026-09-21T14:13:20Z. Told 2 times before, unacknowledged for 31m40s. \
         Acknowledge: plimsoll alerts ack A12."
    );
    assert_eq!(lines.len(), 6);
}

#[test]
fn a_webhook_gets_every_part_by_its_name() {
    let body = webhook(FROM, &delivery(Severity::Act, "x"));
    assert_eq!((&body["version"], &body["from"], &body["id"]), (&json!(1), &json!("desk-1"), &json!("A12")));
    assert_eq!((&body["severity"], &body["topic"], &body["cause"]), (&json!("act"), &json!("stopped"), &json!("x")));
    assert_eq!((&body["state"]["stop"], &body["state"]["accounts"][0]["equity"]), (&json!("cancel"), &json!("99876.543")));
    assert_eq!(body["state"]["positions"][0], json!(["hyperliquid:BTC", "-0.60"]));
    assert!(body["done"].is_string() && body["todo"].is_string() && body["text"].as_str().is_some_and(|t| t.contains("To do: ")));
    assert_eq!((&body["raised_at"], &body["told_before"]), (&json!("2026-09-21T14:13:20Z"), &json!(0)));
}

/// Field names and types as the Bot API documents `sendMessage` (core.telegram.org/bots/api#sendmessage).
#[test]
fn telegram_gets_the_parameters_of_send_message() {
    let body = telegram(FROM, "-1001234567890", None, &delivery(Severity::Act, "<b>not markup</b>"));
    assert_eq!(body["chat_id"], json!(-1_001_234_567_890_i64), "an identifier is a number");
    assert!(body["text"].as_str().is_some_and(|t| t.contains("<b>not markup</b>")));
    assert_eq!((&body["disable_notification"], &body["link_preview_options"]), (&json!(false), &json!({ "is_disabled": true })));
    assert!(body.get("parse_mode").is_none() && body.get("message_thread_id").is_none());
    let body = telegram(FROM, "@channel", Some(42), &delivery(Severity::Warn, "x"));
    assert_eq!((&body["chat_id"], &body["message_thread_id"]), (&json!("@channel"), &json!(42)));
    assert_eq!(body["disable_notification"], true, "a warning wakes nobody");
    for filler in ["x", "ä", "🚨", "\n"] {
        let mut long = delivery(Severity::Act, &filler.repeat(5_000));
        long.record.alert.todo = filler.repeat(5_000);
        let text = telegram(FROM, "1", None, &long)["text"].as_str().map(|t| t.encode_utf16().count());
        assert!(text.is_some_and(|n| (1..=4_096).contains(&n)), "{text:?} characters of {filler:?}");
    }
}

/// As documented for incoming webhooks: `text`, with `&`, `<` and `>` escaped.
#[test]
fn slack_gets_escaped_plain_text() {
    let body = slack(FROM, &delivery(Severity::Act, "<!channel> a & b"));
    assert!(body["text"].as_str().is_some_and(|t| t.contains("Cause: &lt;!channel&gt; a &amp; b")), "{body}");
    assert_eq!(body["mrkdwn"], false);
    assert_eq!(body.as_object().map(serde_json::Map::len), Some(2));
}

#[test]
fn a_moment_beyond_all_calendars_is_written_all_the_same() {
    assert_eq!(utc(Stamp { mono: 0, wall_ms: u64::MAX }), "9999-12-31T23:59:59Z");
}
