use domain::{Alert, Severity, Stamp, Topic};

use super::*;
use crate::stub::{Act, Stub, provider};

type Speak = fn(&str) -> Channel;

const TOKEN: &str = "123456:AAbbCCddEE-secret";
const PATIENCE: Duration = Duration::from_millis(400);

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

fn trial() -> Delivery {
    Delivery::trial(0, Alert::new(Severity::Act, Topic::Test, "a trial", None), Stamp::default())
}

async fn sent(channel: impl FnOnce(&str) -> Channel, act: Act) -> (Answer, Vec<crate::stub::Got>) {
    provider();
    let stub = Stub::start(&[act]).await;
    let sender = Sender::new(channel(&stub.url), "desk 1", PATIENCE).unwrap();
    (sender.send(&trial()).await, stub.got())
}

fn webhook(url: &str) -> Channel {
    Channel::Webhook { url: secret(&format!("{url}/hook/s3cr3t-path")), bearer: Some(secret("bearer-s3cr3t")) }
}

fn telegram(url: &str) -> Channel {
    Channel::Telegram { api: format!("{url}/"), token: secret(TOKEN), chat: "-42".into(), thread: None }
}

fn slack(url: &str) -> Channel {
    Channel::Slack { url: secret(&format!("{url}/services/T0/B0/s3cr3t")) }
}

#[tokio::test]
async fn each_kind_of_target_is_spoken_to_in_its_own_way() {
    let (answer, got) = sent(webhook, Act::Say(204, "", "")).await;
    assert_eq!(answer, Answer::Delivered { words: "HTTP 204".into() });
    let head = got[0].head.to_ascii_lowercase();
    assert!(
        head.starts_with("post /hook/s3cr3t-path http/1.1") && head.contains("authorization: bearer bearer-s3cr3t"),
        "{head}"
    );
    assert!(head.contains("content-type: application/json") && head.contains("idempotency-key: desk-1-a0-0"), "{head}");
    assert_eq!(got[0].body["topic"], "test");
    let ok = r#"{"ok":true,"result":{"message_id":1}}"#;
    let (answer, got) = sent(telegram, Act::Say(200, "content-type: application/json\r\n", ok)).await;
    assert!(matches!(answer, Answer::Delivered { .. }), "{answer:?}");
    assert!(got[0].head.starts_with("POST /bot123456:AAbbCCddEE-secret/sendMessage HTTP/1.1"), "{}", got[0].head);
    assert_eq!(got[0].body["chat_id"], -42);
    let (answer, got) = sent(slack, Act::Say(200, "", "ok")).await;
    assert_eq!(answer, Answer::Delivered { words: "HTTP 200: ok".into() });
    assert!(got[0].body["text"].as_str().is_some_and(|t| t.contains("a trial")));
}

#[tokio::test]
async fn answers_mean_what_their_documentation_says() {
    let later = |after: Option<u64>, words: &str| Answer::Later { after: after.map(Span::secs), words: words.into() };
    let refused = |words: &str| Answer::Refused { words: words.into() };
    let flood =
        r#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 34","parameters":{"retry_after":34}}"#;
    let forbidden = r#"{"ok":false,"error_code":403,"description":"Forbidden: bot was blocked by the user"}"#;
    let cases: [(Speak, Act, Answer); 11] = [
        (telegram, Act::Say(429, "retry-after: 34\r\n", flood), later(Some(34), "HTTP 429: Too Many Requests: retry after 34")),
        (telegram, Act::Say(403, "", forbidden), refused("HTTP 403: Forbidden: bot was blocked by the user")),
        // a proxy's page is not Telegram's word
        (telegram, Act::Say(200, "", "<html>hello</html>"), refused("HTTP 200: <html>hello</html>")),
        (slack, Act::Say(429, "Retry-After: 30\r\n", "rate_limited"), later(Some(30), "HTTP 429: rate_limited")),
        (slack, Act::Say(404, "", "no_service"), refused("HTTP 404: no_service")),
        (slack, Act::Say(400, "", "invalid_payload"), refused("HTTP 400: invalid_payload")),
        (webhook, Act::Say(500, "", ""), later(None, "HTTP 500")),
        (webhook, Act::Say(503, "retry-after: Wed, 21 Oct 2026 07:28:00 GMT\r\n", "busy"), later(None, "HTTP 503: busy")),
        (webhook, Act::Say(408, "", ""), later(None, "HTTP 408")),
        // not followed: an address that an operator wrote does not change by itself
        (webhook, Act::Say(302, "location: http://127.0.0.1:1/\r\n", ""), refused("HTTP 302")),
        (webhook, Act::Say(410, "", ""), refused("HTTP 410")),
    ];
    for (channel, act, expected) in cases {
        let (answer, _) = sent(channel, act.clone()).await;
        assert_eq!(answer, expected, "{act:?}");
    }
}

#[tokio::test]
async fn silence_a_trickle_and_a_broken_answer_end_at_the_deadline_f10() {
    for act in [Act::Hang, Act::Drip] {
        let began = std::time::Instant::now();
        let (answer, _) = sent(webhook, act).await;
        assert_eq!(answer, Answer::Later { after: None, words: "no complete answer within 400ms".into() });
        assert!(began.elapsed() < PATIENCE * 20, "{:?}", began.elapsed());
    }
    let (answer, _) = sent(webhook, Act::Reset).await;
    assert!(matches!(&answer, Answer::Later { words, .. } if !words.is_empty()), "{answer:?}");
    let (answer, _) = sent(webhook, Act::Flood).await;
    assert!(matches!(&answer, Answer::Delivered { words } if words.len() < 300), "the head said it; the body is not needed");
    provider();
    let nobody = Sender::new(webhook("http://127.0.0.1:9"), "x", PATIENCE).unwrap().send(&trial()).await;
    assert!(matches!(nobody, Answer::Later { .. }), "{nobody:?}");
}

#[tokio::test]
async fn no_secret_is_in_any_word_whatever_a_server_quotes_i31() {
    let quoted = "no: POST /hook/s3cr3t-path with Bearer bearer-s3cr3t to /bot123456:AAbbCCddEE-secret/sendMessage and \
                  /services/T0/B0/s3cr3t";
    for (channel, hidden) in
        [(webhook as Speak, vec!["s3cr3t-path", "bearer-s3cr3t"]), (telegram, vec!["AAbbCCddEE"]), (slack, vec!["B0/s3cr3t"])]
    {
        let mut seen = Vec::new();
        for act in [Act::Say(400, "", quoted), Act::Say(500, "", quoted), Act::Say(200, "", quoted), Act::Reset, Act::Hang] {
            seen.push(sent(channel, act).await.0.words().to_owned());
        }
        provider();
        let sender = Sender::new(channel("http://127.0.0.1:9"), "x", PATIENCE).unwrap();
        seen.push(sender.send(&trial()).await.words().to_owned());
        for words in seen {
            assert!(!words.is_empty() && hidden.iter().all(|h| !words.contains(h)), "{words}");
        }
    }
}

#[test]
fn nothing_travels_in_the_clear_but_on_loopback() {
    provider();
    let with = |url: &str| Sender::new(Channel::Slack { url: secret(url) }, "x", PATIENCE);
    for good in ["https://hooks.example.org/x", "http://127.0.0.1:8080/x", "http://localhost/x", "http://[::1]:1/x"] {
        assert!(with(good).is_ok(), "{good}");
    }
    for bad in ["http://hooks.example.org/x", "ftp://127.0.0.1/x", "hooks.example.org", "https://", "file:///etc/passwd"] {
        let why = with(bad).unwrap_err().to_string();
        assert_eq!(why, "expected an https:// address, or http:// on loopback", "{bad}");
    }
}
