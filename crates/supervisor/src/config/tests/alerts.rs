//! `[alerts]`.

use std::os::unix::fs::PermissionsExt as _;

use domain::Severity;

use super::*;

const ALERTS: &str = r#"
[alerts]
enabled = true
name = "desk-1"
dedupe = "1m"
[alerts.target.desk]
kind = "slack"
url_file = "slack.url"
[alerts.target.pager]
kind = "webhook"
url_file = "pager.url"
bearer_file = "pager.token"
severity = "act"
after = "5m"
timeout = "2s"
[alerts.target.phone]
kind = "telegram"
token_file = "phone.token"
chat = -1001234567890
thread = 7
"#;

#[test]
fn whom_to_tell_is_read_and_said_in_plain_words() {
    let checked = read(&format!("{EMBEDDED}{ALERTS}"));
    let plan = checked.alerts.as_ref().unwrap().plan();
    let targets: Vec<(&str, Severity, Span)> = plan.targets.iter().map(|t| (t.name.as_str(), t.least, t.after)).collect();
    let expected =
        [("desk", Severity::Warn, Span::ZERO), ("pager", Severity::Act, Span::secs(300)), ("phone", Severity::Warn, Span::ZERO)];
    assert_eq!(targets, expected);
    assert_eq!((plan.dedupe, plan.repeat_every, plan.unattended_after), (Span::secs(60), Span::secs(900), Span::secs(900)));
    let said = checked.describe();
    for words in [
        "Alerts, as desk-1: the same warning is counted for 1m00s",
        "if it reaches nobody for 15m00s, positions may only shrink",
        "slack.url) is told everything, at once.",
        "is told what is to be acted on and unacknowledged for 5m00s.",
        "Telegram chat -1001234567890 topic 7 by https://api.telegram.org, token in ",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    for off in ["", "[alerts]\nenabled = false\n[alerts.target.x]\nkind = \"slack\"\nurl_file = \"x\"\n"] {
        let off = read(&format!("{EMBEDDED}{off}"));
        assert!(off.alerts.is_none() && off.describe().contains("Alerts: nobody is told"), "{}", off.describe());
    }
}

#[test]
fn faults_of_alerts_come_at_once_and_show_no_secret() {
    let bad = r#"
[alerts]
enabled = true
name = ""
repeat_every = "1s"
loud = true
[alerts.target.a]
kind = "pigeon"
[alerts.target.b]
kind = "slack"
url = "https://hooks.slack.com/services/T/B/s3cr3t"
chat = "1"
after = "-1s"
[alerts.target.c]
kind = "slack"
url_file = "https://hooks.slack.com/services/T/B/s3cr3t"
severity = "loud"
[alerts.target.d]
kind = "telegram"
token = "1:s3cr3t"
chat = "somebody"
api = "http://api.telegram.org"
[alerts.target."e f"]
kind = "webhook"
timeout = "1ms"
"#;
    let outcome = read_with(&format!("{EMBEDDED}{bad}"), &[], &[]);
    let said = outcome.as_ref().unwrap_err().to_string();
    assert!(!said.contains("s3cr3t") && said.contains("belongs into a file, which url_file names"), "{said}");
    assert_eq!(
        faults(outcome),
        [
            "alerts.loud = (set)",
            "alerts.name = ",
            "alerts.repeat_every = 1s",
            "alerts.target.\"e f\" = e f",
            "alerts.target.\"e f\".timeout = 1ms",
            "alerts.target.\"e f\".url_file = (absent)",
            "alerts.target.a.kind = pigeon",
            "alerts.target.b.after = -1s",
            "alerts.target.b.chat = (set)",
            "alerts.target.b.url = (set)",
            "alerts.target.b.url_file = (absent)",
            "alerts.target.c.severity = loud",
            "alerts.target.c.url_file = (not shown)",
            "alerts.target.d.api = http://api.telegram.org",
            "alerts.target.d.chat = somebody",
            "alerts.target.d.token = (set)",
            "alerts.target.d.token_file = (absent)",
        ]
    );
    let alone = |text: &str| faults(read_with(&format!("{EMBEDDED}{text}"), &[], &[]));
    assert_eq!(alone("[alerts]\nenabled = true\n"), ["alerts.target = (absent)"]);
    let late = "[alerts]\nenabled = true\n[alerts.target.x]\nkind = \"slack\"\nurl_file = \"x\"\nafter = \"1m\"\n";
    assert_eq!(alone(late), ["alerts.target = (none)"]);
    let many: String = (0..17).map(|n| format!("[alerts.target.t{n}]\nkind = \"slack\"\nurl_file = \"x\"\n")).collect();
    assert_eq!(alone(&many), ["alerts.target = 17"]);
    assert_eq!(alone("[alerts]\ntarget = 3\n"), ["alerts.target = 3"]);
}

#[test]
fn files_of_secrets_are_their_owners_alone_t05() {
    // what main does; the second test of a process finds it installed
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let (dir, file) = folder(&format!("{EMBEDDED}{ALERTS}"));
    let checked = load(Some(&file), &[], [], TODAY).unwrap_or_else(|e| panic!("{e}"));
    let part = checked.alerts.unwrap();
    let write = |name: &str, text: &str, mode| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let mut missing: Vec<String> = part.senders().unwrap_err().into_iter().map(|f| f.field).collect();
    missing.sort();
    assert_eq!(
        missing,
        ["desk.url_file", "pager.bearer_file", "pager.url_file", "phone.token_file"].map(|f| format!("alerts.target.{f}"))
    );
    write("slack.url", "https://hooks.slack.com/services/T/B/s3cr3t\n", 0o644);
    write("pager.url", "http://pager.example.org/s3cr3t", 0o600);
    write("pager.token", "s3cr3t", 0o600);
    write("phone.token", "1:s3cr3t\n\n2", 0o600);
    let faults = part.senders().unwrap_err();
    let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), 3, "{said:?}");
    assert!(said[0].contains("mode 644: others may read it; chmod 600"), "{said:?}");
    assert!(said[1].contains("(not shown)") && said[1].contains("an https:// address, or http:// on loopback"), "{said:?}");
    assert!(said[2].contains("one line of printable characters") && said.iter().all(|s| !s.contains("s3cr3t")), "{said:?}");
    write("slack.url", "https://hooks.slack.com/services/T/B/s3cr3t\n", 0o600);
    write("pager.url", "https://pager.example.org/s3cr3t", 0o600);
    write("phone.token", "1:s3cr3t\n", 0o600);
    let senders = part.senders().unwrap();
    assert_eq!(senders.len(), 3);
}
