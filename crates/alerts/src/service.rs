//! The task that joins outbox, store and senders, and the handle by which alerts come in.

mod keeper;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::{Alert, Prng, Stamp};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info, warn};

use crate::outbox::{AlertId, Answer, Delivery, Health, Light, Listing, NoAlert, Outbox, Plan, Record};
use crate::send::Sender;
use crate::store;
use keeper::Keeper;

/// Alerts on their way to the outbox. Its task takes them within microseconds; more than this at once is a flood, and is counted.
const INBOX_MAX: usize = 256;
/// Answers on their way back: at most one message per target is under way.
const ANSWERS_MAX: usize = 64;
/// The outbox is looked at this often even without news: ages turn lights, and a store that failed is tried again.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// An unattended alert is reported again this often, milliseconds: whoever is told may have been rearmed meanwhile.
const UNATTENDED_AGAIN_MS: u64 = 60_000;

/// What a [`Service`] is made of.
pub struct Setup {
    /// Targets and times.
    pub plan: Plan,
    /// One per target of the plan, in its order.
    pub senders: Vec<Sender>,
    /// The file in which the outbox survives.
    pub store: PathBuf,
    /// Desk time.
    pub clock: Arc<dyn Fn() -> Stamp + Send + Sync>,
    /// Spreads retries.
    pub chance: Prng,
    /// Where an alert is reported that nobody could be told of for [`Plan::unattended_after`] (F105), once a minute while that lasts.
    pub unattended: mpsc::Sender<Record>,
}

enum Order {
    Raise(Box<Alert>, Option<Stamp>),
    Listing(oneshot::Sender<Listing>),
    Acknowledge(AlertId, String, oneshot::Sender<Result<(), NoAlert>>),
    Close(Duration, oneshot::Sender<()>),
}

/// Tells people. Cloning it gives another handle to the same task.
#[derive(Clone, Debug, Default)]
pub struct Service(Option<Handle>);

#[derive(Clone, Debug)]
struct Handle {
    orders: mpsc::Sender<Order>,
    health: watch::Receiver<Health>,
    /// Alerts that found the queue full, since the task looked last.
    overflow: Arc<AtomicU64>,
}

impl Service {
    /// One that tells nobody.
    #[must_use]
    pub fn off() -> Service {
        Service(None)
    }

    /// Reads the store and begins. A store that cannot be read or written is said so and gone without: telling comes first.
    #[must_use]
    pub fn start(setup: Setup) -> Service {
        let (orders, inbox) = mpsc::channel(INBOX_MAX);
        let (health_in, health) = watch::channel(Health { light: Light::Green, ..Health::default() });
        let overflow = Arc::new(AtomicU64::new(0));
        tokio::spawn(run(setup, inbox, health_in, Arc::clone(&overflow)));
        Service(Some(Handle { orders, health, overflow }))
    }

    /// Takes in an alert. Never waits; what finds no room is counted as lost.
    pub fn raise(&self, alert: Alert) {
        self.take(alert, None);
    }

    /// Takes in an alert about what lasts since `began`, unless an earlier tenure did. See [`Outbox::remind`].
    pub fn remind(&self, alert: Alert, began: Stamp) {
        self.take(alert, Some(began));
    }

    fn take(&self, alert: Alert, began: Option<Stamp>) {
        let Some(handle) = &self.0 else { return };
        if handle.orders.try_send(Order::Raise(Box::new(alert), began)).is_err() {
            handle.overflow.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How the telling goes.
    #[must_use]
    pub fn health(&self) -> Health {
        self.0.as_ref().map(|handle| handle.health.borrow().clone()).unwrap_or_default()
    }

    /// Everything that the outbox knows; nothing if it is off or has ended.
    pub async fn listing(&self) -> Listing {
        let (to, from) = oneshot::channel();
        self.ask(Order::Listing(to), from).await.unwrap_or_default()
    }

    /// A person, `by` his own name, has seen the alert and acts.
    ///
    /// # Errors
    /// If there is no such alert.
    pub async fn acknowledge(&self, id: AlertId, by: &str) -> Result<(), NoAlert> {
        let (to, from) = oneshot::channel();
        let answer = self.ask(Order::Acknowledge(id, by.to_owned(), to), from).await;
        answer.unwrap_or_else(|| Err(NoAlert { id, open: Vec::new() }))
    }

    /// Ends the task: what waits is tried once more for at most `within`; what could not be told is in the store.
    pub async fn close(&self, within: Duration) {
        let (to, from) = oneshot::channel();
        // twice the time: the store gets some as well
        if tokio::time::timeout(within * 2 + LOOK_EVERY, self.ask(Order::Close(within, to), from)).await.is_err() {
            warn!("the outbox of alerts did not end in time");
        }
    }

    async fn ask<T>(&self, order: Order, from: oneshot::Receiver<T>) -> Option<T> {
        self.0.as_ref()?.orders.send(order).await.ok()?;
        from.await.ok()
    }
}

struct Task {
    outbox: Outbox,
    keeper: Keeper,
    senders: Arc<Vec<Sender>>,
    clock: Arc<dyn Fn() -> Stamp + Send + Sync>,
    answers: mpsc::Sender<(usize, AlertId, Answer)>,
    unattended: mpsc::Sender<Record>,
    reported: Option<Stamp>,
}

async fn run(setup: Setup, mut inbox: mpsc::Receiver<Order>, health: watch::Sender<Health>, overflow: Arc<AtomicU64>) {
    let Setup { plan, senders, store, clock, chance, unattended } = setup;
    let records = store::read(&store).unwrap_or_else(|e| {
        error!("the outbox of alerts cannot be read, so that older ones are not told again: {e}");
        (Vec::new(), 0)
    });
    if records.1 > 0 {
        warn!(lines = records.1, file = %store.display(), "damaged lines in the outbox of alerts were left out");
    }
    let (answers, mut answered) = mpsc::channel(ANSWERS_MAX);
    let outbox = Outbox::resume(plan, chance, clock(), records.0);
    let keeper = Keeper::start(store, outbox.records().cloned().collect());
    let mut this = Task { outbox, keeper, senders: Arc::new(senders), clock, answers, unattended, reported: None };
    let mut closing: Option<(tokio::time::Instant, oneshot::Sender<()>)> = None;
    loop {
        this.turn(overflow.swap(0, Ordering::Relaxed));
        let now = (this.clock)();
        health.send_replace(this.health(now));
        let until = closing.as_ref().map(|(at, _)| *at);
        if until.is_some_and(|at| at <= tokio::time::Instant::now() || this.outbox.is_quiet(now)) {
            break;
        }
        let sleep = this.outbox.wake(now).map_or(LOOK_EVERY, |at| Duration::from_nanos(at.mono.saturating_sub(now.mono)));
        let order = tokio::select! { biased;
            Some((target, id, answer)) = answered.recv() => { this.answered(target, id, &answer); continue }
            order = inbox.recv(), if closing.is_none() => order,
            () = tokio::time::sleep(sleep.min(LOOK_EVERY)) => continue,
        };
        match order {
            Some(Order::Raise(alert, began)) => {
                let now = (this.clock)();
                let taken = match began {
                    Some(began) => this.outbox.remind(now, *alert, began),
                    None => this.outbox.raise(now, *alert),
                };
                if taken.is_none() {
                    error!("an alert was lost: as many as the outbox holds wait for an acknowledgement");
                }
            }
            Some(Order::Listing(to)) => {
                let listing = Listing { health: this.health(now), ..this.outbox.listing(now) };
                if to.send(listing).is_err() {
                    tracing::debug!("an operator left before the alerts were ready");
                }
            }
            Some(Order::Acknowledge(id, by, to)) => {
                let outcome = this.outbox.acknowledge((this.clock)(), id, &by);
                if outcome.is_ok() {
                    info!(%id, by, "an alert is acknowledged");
                }
                if to.send(outcome).is_err() {
                    tracing::debug!("an operator left before his acknowledgement was taken");
                }
            }
            Some(Order::Close(within, done)) => closing = Some((tokio::time::Instant::now() + within, done)),
            // every handle is gone
            None => break,
        }
    }
    this.keeper.close().await;
    if let Some((_, done)) = closing
        && done.send(()).is_err()
    {
        tracing::debug!("nobody waits for the end of the outbox any more");
    }
}

impl Task {
    /// Keeps what changed, sends what is due, reports what nobody could be told.
    fn turn(&mut self, overflow: u64) {
        let now = (self.clock)();
        if overflow > 0 {
            error!(lost = overflow, "alerts were lost: they came faster than they can be taken in");
            self.outbox.lose(overflow);
        }
        let due = self.outbox.due(now);
        self.keeper.keep(self.outbox.take_changed(), || self.outbox.records().cloned().collect());
        for delivery in due {
            self.send(delivery);
        }
        let again = self.reported.is_none_or(|at| now.since(at).as_millis() >= UNATTENDED_AGAIN_MS);
        if let Some(record) = self.outbox.unattended(now).filter(|_| again) {
            error!(id = %record.id, topic = %record.alert.topic, "nobody could be told of this for {}", now.since(record.raised));
            if self.unattended.try_send(record.clone()).is_ok() {
                self.reported = Some(now);
            }
        }
    }

    fn send(&self, delivery: Delivery) {
        let (senders, answers) = (Arc::clone(&self.senders), self.answers.clone());
        let (target, id) = (delivery.target, delivery.record.id);
        tokio::spawn(async move {
            // a task of its own: should it panic, the target is free again
            let sent = tokio::spawn(async move {
                match senders.get(target) {
                    Some(sender) => sender.send(&delivery).await,
                    None => Answer::Refused { words: "no sender for this target".to_owned() },
                }
            });
            let answer = sent.await.unwrap_or_else(|e| Answer::Later { after: None, words: format!("the sender failed: {e}") });
            if answers.send((target, id, answer)).await.is_err() {
                tracing::debug!("the outbox ended before an answer came");
            }
        });
    }

    fn answered(&mut self, target: usize, id: AlertId, answer: &Answer) {
        let now = (self.clock)();
        let name = |health: &Health| health.targets.get(target).map(|t| (t.name.clone(), t.failures)).unwrap_or_default();
        let (name, failures) = name(&self.outbox.health(now));
        match answer {
            Answer::Delivered { .. } if failures > 0 => info!(target = name, %id, "alerts arrive again"),
            Answer::Delivered { .. } => tracing::debug!(target = name, %id, "alert told"),
            // once, not at every try: the light says the rest
            Answer::Later { words, .. } | Answer::Refused { words } if failures == 0 => {
                warn!(target = name, %id, "an alert did not arrive and is tried again: {words}");
            }
            Answer::Later { .. } | Answer::Refused { .. } => {}
        }
        self.outbox.answered(now, target, id, answer);
    }

    fn health(&self, now: Stamp) -> Health {
        let mut health = self.outbox.health(now);
        if let Some(fault) = self.keeper.fault() {
            health.worsen(Light::Yellow, format!("alerts would not survive a crash: {fault}"));
        }
        health
    }
}
