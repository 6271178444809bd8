//! Telling people: the outbox of alerts, wired to the configuration, the desk and the command line.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use alerts::{Answer, Delivery, Listing, Record, Sender, Service, Setup};
use desk::Desk;
use domain::{Alert, Command, Entry, Epoch, Fact, Severity, Span, Stamp, Stamped, Stop, StopLevel, Topic, Trigger};
use tokio::sync::mpsc;

use crate::config::{AlertsPart, Checked};
use crate::daemon::Exit;
use crate::wall::Wall;
use crate::{Failure, exit};

/// The outbox's file in the state directory.
const STORE: &str = "alerts.log";
/// How long the end of the process waits for what is still to be told.
const CLOSE_MAX: Duration = Duration::from_secs(3);
/// Reports of unattended alerts that wait for the loop: one a minute comes.
const REPORTS_MAX: usize = 4;

/// Where the outbox survives.
fn store(state_dir: &Path) -> PathBuf {
    state_dir.join(STORE)
}

/// The outbox of `config`, begun, and where it reports alerts that reach nobody. `tenure` names its stream of chance.
pub fn start(
    config: &Checked,
    senders: Vec<Sender>,
    tenure: Epoch,
    clock: Arc<dyn Fn() -> Stamp + Send + Sync>,
) -> (Service, mpsc::Receiver<Record>) {
    let (unattended, reports) = mpsc::channel(REPORTS_MAX);
    let Some(part) = &config.alerts else { return (Service::off(), reports) };
    let setup = Setup {
        plan: part.plan(),
        senders,
        store: store(&config.state_dir),
        clock,
        chance: config.seed.fork(&format!("alerts.{}", tenure.0)),
        unattended,
    };
    (Service::start(setup), reports)
}

/// One sender per target; none if nobody is to be told.
///
/// # Errors
/// If a secret of a target cannot be used.
pub fn senders(config: &Checked) -> Result<Vec<Sender>, Failure> {
    config.alerts.as_ref().map_or_else(|| Ok(Vec::new()), AlertsPart::senders).map_err(|faults| Failure {
        code: exit::CONFIG,
        why: format!("targets of [alerts] cannot be used:{}", faults.iter().map(|f| format!("\n  {f}")).collect::<String>()),
    })
}

/// Has positions only shrink for as long as an alert to act on reaches nobody (F105).
pub async fn tighten(mut reports: mpsc::Receiver<Record>, answers: mpsc::Sender<Fact>) {
    while let Some(record) = reports.recv().await {
        let cause = format!("{}, on {}, reaches nobody: no target of [alerts] takes it", record.id, record.alert.topic);
        let stop = Stop::all(StopLevel::ReduceOnly, Trigger::Alerts, cause)
            .with("alert", record.id)
            .with("raised_ms", record.raised.wall_ms)
            .with("topic", record.alert.topic);
        if answers.send(Fact::Command(0, Command::Kill(stop))).await.is_err() {
            return;
        }
    }
}

/// Raises again what lasts since before this start and may not have reached the outbox when the last process died.
pub fn remind(service: &Service, desk: &Desk, entries: &[Stamped]) {
    for (alert, began) in standing(desk, entries) {
        service.remind(alert, began);
    }
}

/// What lasts: stops and frozen markets, and when the journal says that they began.
fn standing(desk: &Desk, entries: &[Stamped]) -> Vec<(Alert, Stamp)> {
    let began = |is_it: &dyn Fn(&Entry) -> bool| entries.iter().rev().find(|s| is_it(&s.entry)).map(|s| s.at).unwrap_or_default();
    let stops = desk.books().stops.iter().map(|stop| {
        let at = began(&|entry| matches!(entry, Entry::Latch(latched) if latched.scope == stop.scope));
        (desk.stop_alert(stop), at)
    });
    let frozen = desk.books().frozen.iter().map(|(id, why)| {
        let at = began(&|entry| matches!(entry, Entry::Frozen { instrument, .. } if instrument == id));
        (desk.frozen_alert(*id, why), at)
    });
    stops.chain(frozen).collect()
}

/// Tells of an end of the loop that nobody asked for.
pub fn tell_end(service: &Service, exit: &Exit, desk: &Desk) {
    let why = match exit {
        Exit::Done | Exit::Stopped | Exit::Left { .. } | Exit::Late { .. } | Exit::Severed { .. } => return,
        Exit::Connector => "a task of the venue connector ended; the daemon leaves".to_owned(),
        Exit::Panicked(words) => format!("the daemon panicked and leaves: {words}"),
        Exit::Journal(why) => format!("the journal can no longer be written; the daemon leaves: {why}"),
    };
    service.raise(Alert::new(Severity::Act, Topic::Daemon, why, Some(desk.situation())));
}

/// Tells of a failure that the desk cannot tell of, and ends the outbox.
pub async fn tell_last(service: &Service, failure: &Failure) {
    service.raise(Alert::new(Severity::Act, Topic::Daemon, failure.why(), None));
    close(service).await;
}

/// Gives what waits a last chance.
pub async fn close(service: &Service) {
    service.close(CLOSE_MAX).await;
}

/// Sends a trial to the target called `only`, or to each, and prints what it answered. True if all have it.
///
/// # Errors
/// If nobody is to be told, there is no such target, or a secret cannot be used.
pub async fn trial(config: &Checked, only: Option<&str>) -> Result<bool, Failure> {
    let Some(part) = &config.alerts else {
        return Err(Failure { code: exit::CONFIG, why: "nobody is told: alerts.enabled = true switches it on".to_owned() });
    };
    let plan = part.plan();
    if let Some(name) = only.filter(|name| plan.targets.iter().all(|t| t.name != **name)) {
        let known: Vec<&str> = plan.targets.iter().map(|t| t.name.as_str()).collect();
        return Err(Failure::other(format!("target = {name}: one of {}", known.join(", "))));
    }
    let now = Wall::resume(Stamp::default()).stamp();
    let mut good = true;
    for (n, (target, sender)) in plan.targets.iter().zip(senders(config)?).enumerate() {
        if only.is_some_and(|name| name != target.name) {
            continue;
        }
        let alert = Alert::new(Severity::Act, Topic::Test, "somebody ran plimsoll alerts test", None);
        let answer = sender.send(&Delivery::trial(n, alert, now)).await;
        let word = match &answer {
            Answer::Delivered { .. } => "has it",
            Answer::Later { .. } => "does not have it, and another time might",
            Answer::Refused { .. } => "will not have it",
        };
        good &= matches!(answer, Answer::Delivered { .. });
        say!("{}: {word} ({})", target.name, answer.words());
    }
    Ok(good)
}

/// What the store says, for when no daemon runs.
///
/// # Errors
/// If it cannot be read.
pub fn stored(config: &Checked) -> Result<Listing, Failure> {
    let (mut alerts, _) = alerts::read(&store(&config.state_dir)).map_err(|e| Failure::new(1, &e))?;
    alerts.reverse();
    Ok(Listing { alerts, ..Listing::default() })
}

/// How long ago `at` was, by wall time: stamps of other tenures count desk time otherwise.
pub fn age(now: Stamp, at: Stamp) -> Span {
    Span::millis(now.wall_ms.saturating_sub(at.wall_ms))
}
