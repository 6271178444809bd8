//! An alert as a message: the same four things everywhere (cause, state, what was done, what to do), in each receiver's own form.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use domain::{Severity, Stamp};
use serde_json::{Value, json};

use crate::outbox::Delivery;

/// Telegram takes 4,096 characters, which it counts in UTF-16; Slack advises 4,000. Below both.
const TEXT_MAX: usize = 3_900;

/// Plain text for a person.
pub(crate) fn text(from: &str, delivery: &Delivery) -> String {
    let record = &delivery.record;
    let alert = &record.alert;
    let mut text = format!("{} · {} · {} · {from}\n", alert.severity.word().to_uppercase(), alert.topic, record.id);
    line(&mut text, format_args!("Cause: {}", alert.cause));
    match &alert.state {
        Some(state) => line(&mut text, format_args!("State: {state}")),
        None => line(&mut text, format_args!("State: not known to whoever raised this")),
    }
    line(&mut text, format_args!("Done: {}", alert.done));
    line(&mut text, format_args!("To do: {}", alert.todo));
    line(&mut text, format_args!("{}", footer(delivery)));
    cut_utf16(text.trim_end(), TEXT_MAX)
}

fn footer(delivery: &Delivery) -> String {
    let record = &delivery.record;
    let mut words = format!("Raised {}", utc(record.raised));
    if record.count > 1 {
        words.push_str(&format!(", {} times until {}", record.count, utc(record.last)));
    }
    if record.before > 0 {
        words.push_str(&format!(", and {} times before that were not told", record.before));
    }
    if delivery.before > 0 {
        words.push_str(&format!(". Told {} times before, unacknowledged for {}", delivery.before, delivery.open_for));
    }
    if record.alert.severity == Severity::Act && record.id.0 > 0 {
        words.push_str(&format!(". Acknowledge: plimsoll alerts ack {}", record.id));
    }
    if delivery.lost > 0 {
        words.push_str(&format!(". {} other alerts were lost: plimsoll alerts", delivery.lost));
    }
    words.push('.');
    words
}

/// The body that a webhook gets. Fields are added, never renamed.
pub(crate) fn webhook(from: &str, delivery: &Delivery) -> Value {
    let record = &delivery.record;
    let alert = &record.alert;
    json!({
        "version": 1,
        "from": from,
        "id": record.id.to_string(),
        "severity": alert.severity,
        "topic": alert.topic,
        "cause": alert.cause,
        "state": alert.state,
        "done": alert.done,
        "todo": alert.todo,
        "raised_at": utc(record.raised),
        "last_at": utc(record.last),
        "count": record.count,
        "told_before": delivery.before,
        "open_ms": delivery.open_for.as_millis(),
        "lost": delivery.lost,
        "text": text(from, delivery),
    })
}

/// The parameters of Telegram's `sendMessage`. Without a parse mode nothing in the text is markup.
pub(crate) fn telegram(from: &str, chat: &str, thread: Option<i64>, delivery: &Delivery) -> Value {
    // an identifier is a number, the name of a channel a text
    let chat_id = chat.parse::<i64>().map_or_else(|_| json!(chat), |id| json!(id));
    let mut body = json!({
        "chat_id": chat_id,
        "text": text(from, delivery),
        "disable_notification": delivery.record.alert.severity < Severity::Act,
        "link_preview_options": { "is_disabled": true },
    });
    if let (Some(thread), Some(fields)) = (thread, body.as_object_mut()) {
        fields.insert("message_thread_id".to_owned(), json!(thread));
    }
    body
}

/// The body that Slack's incoming webhooks take. Its three control characters are escaped and the rest is plain.
pub(crate) fn slack(from: &str, delivery: &Delivery) -> Value {
    let escaped = text(from, delivery).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    json!({ "text": escaped, "mrkdwn": false })
}

/// A moment as people write it.
pub(crate) fn utc(at: Stamp) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(at.wall_ms.min(MS_MAX))).to_string()
}

/// The end of year 9999, UTC milliseconds: later moments cannot be written down.
const MS_MAX: u64 = 253_402_300_799_000;

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    if writeln!(text, "{words}").is_err() {
        text.push('?'); // writing to a string cannot fail
    }
}

fn cut_utf16(text: &str, max: usize) -> String {
    let mut units = 0;
    for (at, c) in text.char_indices() {
        units += c.len_utf16();
        if units >= max {
            return format!("{}…", &text[..at]);
        }
    }
    text.to_owned()
}

#[cfg(test)]
mod tests;
