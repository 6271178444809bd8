use std::path::Path;
use std::sync::atomic::AtomicU64;

use domain::{Seed, Severity, Span, Topic};

use super::*;
use crate::outbox::Target;
use crate::send::Channel;
use crate::stub::{Act, Stub, provider};
use crate::{Secret, read};

const OK: Act = Act::Say(200, "", "ok");

/// Wall time from the test's own clock, which can be put forward.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn forward(&self, s: u64) {
        self.0.fetch_add(Span::secs(s).0, Ordering::SeqCst);
    }

    fn reading(&self) -> Arc<dyn Fn() -> Stamp + Send + Sync> {
        let (skipped, began) = (Arc::clone(&self.0), std::time::Instant::now());
        Arc::new(move || {
            let mono = skipped.load(Ordering::SeqCst) + u64::try_from(began.elapsed().as_nanos()).unwrap();
            Stamp { mono: 1 + mono, wall_ms: 1_790_000_000_000 + mono / 1_000_000 }
        })
    }
}

fn setup(dir: &Path, stubs: &[&Stub], clock: &Clock) -> (Setup, mpsc::Receiver<Record>) {
    provider();
    let (unattended, reports) = mpsc::channel(4);
    let target = |n: usize| Target { name: format!("t{n}"), least: Severity::Warn, after: Span::ZERO, pace: Span::ZERO };
    let sender = |stub: &&Stub| {
        let channel = Channel::Webhook { url: Secret::new(&format!("{}/x", stub.url)).unwrap(), bearer: None };
        Sender::new(channel, "desk", Duration::from_millis(500)).unwrap()
    };
    let plan = Plan {
        targets: (0..stubs.len()).map(target).collect(),
        dedupe: Span::secs(300),
        repeat_every: Span::secs(900),
        unattended_after: Span::secs(900),
    };
    let setup = Setup {
        plan,
        senders: stubs.iter().map(sender).collect(),
        store: dir.join("alerts.log"),
        clock: clock.reading(),
        chance: Seed(7).fork("alerts"),
        unattended,
    };
    (setup, reports)
}

fn act(cause: &str) -> Alert {
    Alert::new(Severity::Act, Topic::Frozen, cause, None)
}

/// Looks until `wanted` holds.
async fn until(what: &str, mut wanted: impl AsyncFnMut() -> bool) {
    for _ in 0..3_000 {
        if wanted().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited for {what}");
}

#[tokio::test]
async fn one_stuck_target_keeps_nothing_from_the_others_and_faults_pass() {
    let dir = tempfile::tempdir().unwrap();
    let good = Stub::start(&[OK]).await;
    let stuck = Stub::start(&[Act::Hang]).await;
    let faulty = Stub::start(&[Act::Say(500, "", ""), Act::Reset, Act::Say(429, "retry-after: 1\r\n", ""), OK]).await;
    let (setup, _reports) = setup(dir.path(), &[&good, &stuck, &faulty], &Clock::default());
    let service = Service::start(setup);
    for cause in ["a", "b", "c"] {
        service.raise(act(cause));
    }
    service.raise(act("a"));
    let order: Vec<String> = good.wait(3).await.iter().map(|g| g.body["cause"].as_str().unwrap().to_owned()).collect();
    assert_eq!(order, ["a", "b", "c"]);
    // three failures, then all three
    let tried: Vec<String> = faulty.wait(6).await.iter().map(|g| g.body["cause"].as_str().unwrap().to_owned()).collect();
    assert_eq!(tried, ["a", "a", "a", "a", "b", "c"]);
    until("a light that is yellow", async || service.health().light == Light::Yellow).await;
    let health = service.health();
    assert!(health.why.iter().any(|w| w.starts_with("t1 fails")), "{health:?}");
    assert_eq!((health.targets[1].waiting, health.unacknowledged, good.got().len()), (3, 3, 3), "counted, not repeated");
    let listing = service.listing().await;
    let counts: Vec<(u64, u32)> = listing.alerts.iter().map(|r| (r.id.0, r.count)).collect();
    assert_eq!(counts, [(3, 1), (2, 1), (1, 2)]);
    service.acknowledge(AlertId(2), "ada").await.unwrap();
    assert!(service.acknowledge(AlertId(9), "ada").await.unwrap_err().to_string().ends_with("open: A1, A3"));
    service.close(Duration::from_millis(100)).await;
    let (records, damaged) = read(&dir.path().join("alerts.log")).unwrap();
    assert_eq!((records.len(), damaged), (3, 0));
    assert!(records[1].ack.is_some() && records[0].told.contains_key("t2") && !records[0].told.contains_key("t1"));
}

#[tokio::test]
async fn what_was_not_told_before_the_end_is_told_after_it_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::default();
    let stuck = Stub::start(&[OK, Act::Hang]).await;
    let (first, _reports) = setup(dir.path(), &[&stuck], &clock);
    let service = Service::start(first);
    service.raise(act("told"));
    stuck.wait(1).await;
    service.raise(act("not told"));
    stuck.wait(2).await;
    service.close(Duration::ZERO).await;
    let good = Stub::start(&[OK]).await;
    clock.forward(60);
    let (second, _reports) = setup(dir.path(), &[&good], &clock);
    let service = Service::start(second);
    assert_eq!(good.wait(1).await[0].body["cause"], "not told");
    clock.forward(900);
    let again = good.wait(3).await;
    assert_eq!((again.len(), &again[1].body["told_before"]), (3, &serde_json::json!(1)), "unacknowledged, so told again");
    service.close(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn an_unattended_alert_is_reported_once_a_minute_f105() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::default();
    let stub = Stub::start(&[Act::Say(503, "", "")]).await;
    let (setup, mut reports) = setup(dir.path(), &[&stub], &clock);
    let service = Service::start(setup);
    service.raise(act("cover"));
    stub.wait(1).await;
    clock.forward(899);
    tokio::time::sleep(Duration::from_millis(50)).await;
    clock.forward(60);
    assert_eq!(reports.recv().await.map(|r| r.id), Some(AlertId(1)));
    assert_eq!(service.health().light, Light::Red);
    assert!(reports.try_recv().is_err());
    clock.forward(61);
    assert!(reports.recv().await.is_some());
    service.acknowledge(AlertId(1), "ada").await.unwrap();
    clock.forward(600);
    tokio::time::sleep(LOOK_EVERY * 2).await;
    assert!(reports.try_recv().is_err(), "somebody acts");
    service.close(Duration::ZERO).await;
}

#[tokio::test]
async fn a_store_that_fails_keeps_no_alert_from_being_told_and_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let good = Stub::start(&[OK]).await;
    let (mut setup, _reports) = setup(dir.path(), &[&good], &Clock::default());
    let folder = dir.path().join("not yet");
    setup.store = folder.join("alerts.log");
    let service = Service::start(setup);
    service.raise(act("a"));
    good.wait(1).await;
    until("a fault of the store", async || service.health().why.iter().any(|w| w.contains("would not survive a crash"))).await;
    std::fs::create_dir(&folder).unwrap();
    until("a green light", async || service.health().light == Light::Green).await;
    service.close(Duration::from_secs(1)).await;
    assert_eq!(read(&folder.join("alerts.log")).unwrap().0.len(), 1);
}

#[tokio::test]
async fn raising_never_waits_and_says_what_it_lost() {
    let dir = tempfile::tempdir().unwrap();
    let stuck = Stub::start(&[Act::Hang]).await;
    let (setup, _reports) = setup(dir.path(), &[&stuck], &Clock::default());
    let service = Service::start(setup);
    // on this one thread the task cannot run meanwhile
    for n in 0..1_000 {
        service.raise(act(&format!("P{n}")));
    }
    until("the count of lost ones", async || service.health().lost == 1_000 - INBOX_MAX as u64).await;
    assert!(service.listing().await.alerts.len() == INBOX_MAX);
    service.close(Duration::ZERO).await;
    service.raise(act("after the end"));
    assert!(service.listing().await.alerts.is_empty());
    Service::off().raise(act("nobody"));
    assert_eq!(Service::off().health().light, Light::Off);
}
