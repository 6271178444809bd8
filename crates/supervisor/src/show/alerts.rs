//! Alerts in words.

use alerts::{Light, Listing, Record, TargetHealth};
use domain::{Severity, Stamp};

use super::wrapped;
use crate::telling::age;

/// Alerts that a person is shown; `--json` has them all.
const SHOWN_MAX: usize = 30;

/// The listing, in lines of at most `width`.
#[must_use]
pub fn alerts(listing: &Listing, now: Stamp, width: usize) -> Vec<String> {
    let health = &listing.health;
    let mut lines = vec![match health.light {
        Light::Off => "nobody is being told by this process".to_owned(),
        Light::Green => "alerts arrive".to_owned(),
        Light::Yellow => "alerts: YELLOW".to_owned(),
        Light::Red => "alerts: RED, nobody can be told".to_owned(),
    }];
    lines.extend(health.why.iter().flat_map(|why| indented(why, 2, width)));
    lines.extend(health.targets.iter().map(|t| target(t, now)));
    for record in listing.alerts.iter().take(SHOWN_MAX) {
        lines.push(head(record, now));
        lines.extend(indented(&record.alert.cause, 5, width));
        if record.is_open() && record.alert.severity == Severity::Act {
            lines.extend(indented(&format!("to do: {}", record.alert.todo), 5, width));
        }
    }
    if listing.alerts.len() > SHOWN_MAX {
        lines.push(format!("{} older ones: --json", listing.alerts.len() - SHOWN_MAX));
    }
    if listing.alerts.is_empty() {
        lines.push("no alert is known".to_owned());
    }
    lines
}

fn indented(text: &str, by: usize, width: usize) -> Vec<String> {
    wrapped(text, width - by).into_iter().map(|line| format!("{}{line}", " ".repeat(by))).collect()
}

fn target(target: &TargetHealth, now: Stamp) -> String {
    let since = |ms: u64| age(now, Stamp { mono: 0, wall_ms: ms });
    let state = match (target.failing_since_ms, target.delivered_ms) {
        (Some(ms), _) => format!("FAILS for {}: {}", since(ms), target.words),
        (None, Some(ms)) => format!("took a message {} ago", since(ms)),
        (None, None) => "has had nothing to take".to_owned(),
    };
    let waiting = if target.waiting > 0 { format!("; {} wait", target.waiting) } else { String::new() };
    format!("  {:<16}{state}{waiting}", target.name)
}

fn head(record: &Record, now: Stamp) -> String {
    let alert = &record.alert;
    let told = match record.told.len() {
        0 if record.is_open() => "told nobody yet".to_owned(),
        0 => "told nobody".to_owned(),
        _ => format!("told {}", record.told.keys().cloned().collect::<Vec<_>>().join(", ")),
    };
    let seen = if record.count > 1 { format!(", {} times", record.count) } else { String::new() };
    let end = match (&record.ack, record.expired, alert.severity) {
        (Some(ack), ..) => format!("acknowledged by {}", ack.by),
        (None, true, _) => "too old to be told".to_owned(),
        (None, false, Severity::Act) => "UNACKNOWLEDGED".to_owned(),
        (None, false, Severity::Warn) => String::new(),
    };
    let line = format!(
        "{:<5}{:<5}{:<14}{} ago{seen} · {told} · {end}",
        record.id.to_string(),
        alert.severity,
        alert.topic,
        age(now, record.raised)
    );
    line.trim_end_matches([' ', '·']).to_owned()
}

#[cfg(test)]
mod tests {
    use domain::{Alert, Topic};

    use super::*;

    #[test]
    fn a_listing_names_what_fails_and_what_waits_for_whom() {
        let now = Stamp { mono: 0, wall_ms: 1_790_000_100_000 };
        let raised = Stamp { mono: 0, wall_ms: 1_790_000_010_000 };
        let record = |id: u64, severity, told: serde_json::Value, ack: serde_json::Value| {
            let alert = Alert::new(severity, Topic::Frozen, format!("cause {id}"), None);
            let json = serde_json::json!({
                "id": id, "alert": alert, "raised": raised, "last": raised, "count": id, "told": told, "ack": ack,
            });
            serde_json::from_value::<Record>(json).unwrap()
        };
        let (none, told) = (serde_json::json!({}), serde_json::json!({ "ops": { "at": raised, "times": 1 } }));
        let ack = serde_json::json!({ "at": raised, "by": "ada" });
        let mut listing = Listing {
            alerts: vec![
                record(3, Severity::Act, none, serde_json::Value::Null),
                record(2, Severity::Act, told.clone(), ack),
                record(1, Severity::Warn, told, serde_json::Value::Null),
            ],
            ..Listing::default()
        };
        listing.health.worsen(Light::Red, "no target takes messages".to_owned());
        listing.health.targets.push(TargetHealth {
            name: "ops".to_owned(),
            delivered_ms: None,
            failing_since_ms: Some(raised.wall_ms),
            failures: 3,
            words: "HTTP 503".to_owned(),
            waiting: 1,
        });
        let lines = alerts(&listing, now, 96);
        assert_eq!(
            lines[..5],
            [
                "alerts: RED, nobody can be told",
                "  no target takes messages",
                "  ops             FAILS for 1m30s: HTTP 503; 1 wait",
                "A3   act  frozen        1m30s ago, 3 times · told nobody yet · UNACKNOWLEDGED",
                "     cause 3",
            ]
        );
        assert!(lines[5].starts_with("     to do: compare positions"), "{}", lines[5]);
        assert!(lines.contains(&"A2   act  frozen        1m30s ago, 2 times · told ops · acknowledged by ada".to_owned()));
        assert!(lines.contains(&"A1   warn frozen        1m30s ago · told ops".to_owned()));
        assert!(lines.iter().all(|line| line.chars().count() <= 96), "{lines:#?}");
    }
}
