//! The daemon's one loop: facts to the desk, effects to the journal, the venue and the operator.
//!
//! ```text
//! signals, operator, account, market ──> desk.apply ──> cancels, pulls ─────────────────> venue
//!                                            └──> group (entries, cleared, replies) ──> journal ──> Released ──> venue
//! ```
//!
//! The desk never waits. Groups are made durable in order by one task, several at a time when they queue up; an order is
//! handed to the connector only as [`margin_guard::Released`], after its group is on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use desk::{Cancel, ConfigView, Desk, DrillView, Effect, Severity};
use domain::{
    Act, Command, CommandReply, DrillPath, Entry, Fact, InstrumentId, Reject, RejectKind, SendOutcome, Side, SpecFault, Stamped,
    Stop, StopLevel, StopScope, TransferId, Trigger, Venue,
};
use journal::Journal;
use margin_guard::{Cleared, ClearedTransfer, release_all};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};
use venue_connector::hyperliquid::Connector;
use venue_connector::{CancelRequest, MarketFeed, OrderPort};
use wire::hyperliquid::sign::Key;

use crate::approval::ToSign;
use crate::carrier::Carrier;
use crate::config::OnStop;
use crate::gate::Gate;
use crate::heartbeat::{Heart, Pulse, Turn};
use crate::show::margin::MarginView;
use crate::show::treasury::TreasuryPage;
use crate::triggers::{self, Leave, Tripwire};
use crate::views::{self, Sized, View};
use crate::wall::Wall;
use crate::{deadman, notify, reload, standing, sweeper, telling, words};

/// Groups waiting for the journal. At one flush of a few milliseconds each this is seconds of work; beyond it the desk waits.
const GROUPS_MAX: usize = 1_024;
/// Groups made durable by one flush.
const GROUPS_PER_FLUSH: usize = 256;
/// Placements under way at once.
const PLACEMENTS_MAX: usize = 64;
/// Facts taken in one step.
const FACTS_PER_STEP: usize = 256;
/// Why the loop ends when its writer does so without a word.
const WRITER_GONE: &str = "the task that writes the journal ended";
/// How often free disk space is looked at.
const DISK_EVERY: Duration = Duration::from_secs(30);
/// How long the last record of the heartbeat may take.
const FAREWELL_MAX: Duration = Duration::from_secs(2);
/// How long a sever waits for the venue to be seen empty before it takes the key that cancels away: one pass of the sweep.
const SEVER_DEADLINE: Duration = sweeper::PASS;
/// How long a stop waits for open orders to be cancelled and answers to arrive.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);
/// After that, or when asked a second time, how long each part is waited for.
const LATE_GRACE: Duration = Duration::from_millis(500);

/// What an operator's connection asks of the loop.
#[derive(Debug)]
pub enum Request {
    /// Change something; answered when it is durable.
    Command(Command, oneshot::Sender<CommandReply>),
    /// Look.
    Status(oneshot::Sender<View>),
    /// How large a position may be, on one side or both; answered with the markets there are, if it is none of them.
    Size(InstrumentId, Option<Side>, oneshot::Sender<Result<Sized, Vec<InstrumentId>>>),
    /// The load line of every account.
    Margin(oneshot::Sender<MarginView>),
    /// Money that moves by itself.
    Treasury(oneshot::Sender<Box<TreasuryPage>>),
    /// The drills.
    Drills(oneshot::Sender<DrillView>),
    /// The configuration in force.
    Config(oneshot::Sender<Box<ConfigView>>),
    /// What an operator signs to approve of an act.
    Challenge(Act, oneshot::Sender<Result<Box<ToSign>, Vec<SpecFault>>>),
    /// Try a way out now, with the operator's own signer if he lends it; answered when its first hop is durable.
    Drill(DrillPath, Option<Box<Signer>>, oneshot::Sender<CommandReply>),
}

/// The operator's own signer on its way to the loop. It prints as nothing.
pub struct Signer(pub Key);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

/// The parts that the loop wires together.
pub struct Parts {
    /// The state machine, booted.
    pub desk: Desk,
    /// Effects of the boot.
    pub effects: Vec<Effect>,
    /// The write-ahead log.
    pub journal: Journal,
    /// Its directory.
    pub journal_dir: PathBuf,
    /// Where a file `STOP` may be.
    pub stop_dirs: Vec<PathBuf>,
    /// The configuration file.
    pub config_file: PathBuf,
    /// Venue, network and account, as operators sign for them.
    pub account_name: String,
    /// The venue.
    pub connector: Connector,
    /// Hands for money.
    pub carrier: Carrier,
    /// Market data.
    pub market: MarketFeed,
    /// Account facts.
    pub account: mpsc::Receiver<Fact>,
    /// The clock.
    pub wall: Arc<Wall>,
    /// The venue's own dead-man.
    pub dead_man: deadman::Keeper,
    /// What carries its life signs out of the process, if it can.
    pub heart: Option<Heart>,
    /// Life signs of this loop.
    pub pulse: Pulse,
    /// How long it may stand still before it must take it that a watchdog has acted; nothing without one.
    pub standstill_max: Option<Duration>,
    /// Closed means that nothing may be placed any more, whatever the desk still thinks.
    pub gate: Arc<Gate>,
    /// Requests of operators.
    pub requests: mpsc::Receiver<Request>,
    /// What is pulled from outside the loop.
    pub wire: Arc<Tripwire>,
    /// Requests to stop in an orderly way …
    pub leaves: mpsc::Receiver<Leave>,
    /// … and what that does.
    pub on_stop: OnStop,
    /// Whoever is told of alerts.
    pub alerts: alerts::Service,
    /// Leave when every parent has ended.
    pub exit_when_done: bool,
    /// How many parents must have been admitted before that counts.
    pub expect_parents: Arc<AtomicU32>,
}

/// Where whoever was sent to do something says how it went.
#[derive(Debug)]
pub struct Answers {
    /// To say so.
    pub to: mpsc::Sender<Fact>,
    /// For the loop.
    pub from: mpsc::Receiver<Fact>,
}

impl Default for Answers {
    fn default() -> Answers {
        let (to, from) = mpsc::channel(FACTS_PER_STEP);
        Answers { to, from }
    }
}

/// Why the loop ended.
#[derive(Debug)]
pub enum Exit {
    /// Every parent has ended.
    Done,
    /// Asked to stop; nothing of ours is open at the venue.
    Stopped,
    /// Asked to stop and to leave what rests.
    Left {
        /// Orders that rest.
        orders: usize,
    },
    /// Asked to stop, but some answers were still out at the deadline.
    Late {
        /// Orders not known to be over.
        orders: usize,
    },
    /// Told to sever: the gate is severed for good and the key is about to be forgotten.
    Severed {
        /// The venue was seen empty twice.
        empty: bool,
    },
    /// A task of the connector ended that must not. Everything at the venue was cancelled as far as it answered.
    Connector,
    /// Some task or thread panicked. Everything at the venue was cancelled as far as it answered.
    Panicked(String),
    /// The journal can no longer be written. Everything at the venue was cancelled as far as it answered.
    Journal(String),
}

/// One step's durable part.
#[derive(Debug, Default)]
struct Group {
    entries: Vec<Stamped>,
    cleared: Vec<Cleared>,
    transfers: Vec<ClearedTransfer>,
    /// Transfers that the wallet drops once what was said before of them is durable and handed over.
    forgotten: Vec<TransferId>,
    replies: Vec<(oneshot::Sender<CommandReply>, CommandReply)>,
}

impl Group {
    fn is_empty(&self) -> bool {
        let Group { entries, cleared, transfers, forgotten, replies } = self;
        entries.is_empty() && cleared.is_empty() && transfers.is_empty() && forgotten.is_empty() && replies.is_empty()
    }

    /// As many of `waiting` as one flush may take, in order: a transfer has one step in it, so that each is released by itself.
    fn one_flush(waiting: &mut Vec<Group>) -> Group {
        let mut ids = BTreeSet::new();
        let fits = |group: &&Group| group.transfers.iter().all(|cleared| ids.insert(cleared.step().id()));
        let count = waiting.iter().take_while(fits).count().max(1);
        let mut whole = Group::default();
        for group in waiting.drain(..count.min(waiting.len())) {
            whole.entries.extend(group.entries);
            whole.cleared.extend(group.cleared);
            whole.transfers.extend(group.transfers);
            whole.forgotten.extend(group.forgotten);
            whole.replies.extend(group.replies);
        }
        whole
    }
}

/// What a turn of the loop begins with.
enum Woke {
    Pulled,
    Leave,
    Request(Request),
    Account(usize),
    Fact(Fact),
    Market(usize),
}

struct Loop {
    parts: Parts,
    groups: mpsc::Sender<Group>,
    answers_in: mpsc::Sender<Fact>,
    tasks: TaskTracker,
    askers: BTreeMap<u64, oneshot::Sender<CommandReply>>,
    next_asker: u64,
    /// The operator's own signer is lent until no drill is open.
    lent: bool,
    /// An orderly stop is under way: when it is late.
    leaving: Option<tokio::time::Instant>,
    /// Where the gate lets reduce-only orders pass.
    flattening: BTreeSet<StopScope>,
    /// A sever is under way: when it is late.
    severing: Option<tokio::time::Instant>,
}

/// Runs until something ends it; returns why, and what an operator would see at that moment.
pub async fn run(parts: Parts, answers: Answers) -> (Exit, View) {
    let (groups, group_queue) = mpsc::channel(GROUPS_MAX);
    let Answers { to: answers_in, from: mut answers } = answers;
    let (broken_in, mut broken) = mpsc::channel(1);
    let writer = tokio::spawn(write_groups(WriteHalf {
        queue: group_queue,
        journal: parts.journal.clone(),
        journal_dir: parts.journal_dir.clone(),
        connector: parts.connector.clone(),
        carrier: parts.carrier.clone(),
        gate: Arc::clone(&parts.gate),
        answers: answers_in.clone(),
        broken: broken_in,
        pulse: parts.pulse.clone(),
    }));
    parts.gate.tell(answers_in.clone());
    let room = tokio::spawn(watch_disk(parts.journal_dir.clone(), answers_in.clone()));
    let dead_man = tokio::spawn(parts.dead_man.clone().keep(parts.connector.clone(), parts.pulse.clone()));
    let mut this = Loop {
        parts,
        groups,
        answers_in,
        tasks: TaskTracker::new(),
        askers: BTreeMap::new(),
        next_asker: 0,
        lent: false,
        leaving: None,
        flattening: BTreeSet::new(),
        severing: None,
    };
    let boot = std::mem::take(&mut this.parts.effects);
    this.carry_out(boot).await;
    this.turned();
    let exit = this.turn(&mut answers, &mut broken).await;
    telling::tell_end(&this.parts.alerts, &exit, &this.parts.desk);
    let last = this.view();
    let Loop { groups, tasks, parts, .. } = this;
    room.abort();
    dead_man.abort();
    notify::stopping();
    drop(groups);
    // nobody reads these any more, and whoever is waiting for room in them must not wait for ever
    drop(answers);
    drop(parts.account);
    let mut sweep_grace = DRAIN_DEADLINE;
    // a second request to stop ends the process before this has passed
    let grace = if matches!(exit, Exit::Late { .. }) { LATE_GRACE } else { DRAIN_DEADLINE };
    let failed = match &exit {
        Exit::Journal(why) => {
            let cause = format!("the journal can no longer be written: {why}");
            Some(Stop::all(StopLevel::Cancel, Trigger::Journal, cause))
        }
        Exit::Panicked(words) => Some(triggers::panic_stop(words)),
        Exit::Connector => Some(Stop::all(StopLevel::Cancel, Trigger::Connector, "a task of the venue connector ended")),
        Exit::Done | Exit::Stopped | Exit::Left { .. } | Exit::Late { .. } | Exit::Severed { .. } => None,
    };
    if let Some(stop) = failed {
        parts.gate.close_and_cancel();
        triggers::latch_beside(&parts.journal_dir, stop).await;
        sweep_grace = sweeper::PASS;
    }
    if !matches!(exit, Exit::Journal(_)) && tokio::time::timeout(grace, writer).await.is_err() {
        // one that panicked is no news: the panic itself was noticed
        warn!("some placements were still out at the deadline; the next start settles them");
        // what the journal has not taken by now it may never take
        for stop in parts.desk.books().stops.iter() {
            triggers::latch_beside(&parts.journal_dir, stop.clone()).await;
        }
    }
    tasks.close();
    if tokio::time::timeout(grace, tasks.wait()).await.is_err() {
        warn!(tasks = tasks.len(), "some requests to the venue were still out at the deadline");
    }
    if let Some(sweeper) = parts.gate.sweeper()
        && !sweeper.finish(sweep_grace).await
    {
        warn!("the venue had not been seen empty twice at the deadline; the next start goes on with it");
    }
    let is_over = match &exit {
        Exit::Done | Exit::Stopped | Exit::Left { .. } | Exit::Severed { empty: true } => {
            left_empty(&parts.connector, &parts.dead_man).await
        }
        Exit::Severed { empty: false } | Exit::Late { .. } | Exit::Connector | Exit::Panicked(_) | Exit::Journal(_) => false,
    };
    // its disk may be what is wrong
    if let Some(heart) = parts.heart {
        let (to, said) = oneshot::channel();
        // a thread that nobody waits for, neither here nor when the runtime ends
        let end = move || {
            heart.stop(is_over);
            if to.send(()).is_err() {
                tracing::debug!("nobody waits for the heartbeat's end any more");
            }
        };
        let ends = std::thread::Builder::new().name("heartbeat's end".to_owned()).spawn(end).is_ok();
        if !ends || tokio::time::timeout(FAREWELL_MAX, said).await.is_err() {
            warn!("the heartbeat could not be ended; a watchdog will come after this daemon");
        }
    }
    (exit, last)
}

/// Whether nothing is open at the venue, whoever placed it: then nobody need come after us. What rests is meant to, so the venue's
/// dead-man is taken off.
async fn left_empty(connector: &Connector, dead_man: &deadman::Keeper) -> bool {
    dead_man.clear(connector).await;
    match connector.open_orders().await {
        Ok(0) => true,
        Ok(open) => {
            warn!(open, "orders are left open at the venue, so a watchdog will come after this daemon");
            false
        }
        Err(e) => {
            warn!("whether orders are left open at the venue is not known ({e}), so a watchdog will come after this daemon");
            false
        }
    }
}

impl Loop {
    async fn turn(&mut self, answers: &mut mpsc::Receiver<Fact>, broken: &mut mpsc::Receiver<String>) -> Exit {
        let mut batch: Vec<Fact> = Vec::with_capacity(FACTS_PER_STEP);
        let mut effects: Vec<Effect> = Vec::new();
        let mut account_open = true;
        let (mut account, mut market) = (Vec::new(), Vec::new());
        let connector = self.parts.connector.clone();
        let mut fell = std::pin::pin!(connector.failed());
        let wire = Arc::clone(&self.parts.wire);
        loop {
            let sleep = self.sleep_until_wake();
            // one branch may fill a buffer at a time, so each source has its own
            let woke = tokio::select! { biased;
                // its end of the channel lives as long as the writer does
                why = broken.recv() => return why.map_or_else(|| self.writer_fell(), Exit::Journal),
                _ = &mut fell => return self.connector_fell().await,
                () = wire.rung() => Woke::Pulled,
                Some(Leave) = self.parts.leaves.recv() => Woke::Leave,
                Some(request) = self.parts.requests.recv() => Woke::Request(request),
                n = self.parts.account.recv_many(&mut account, FACTS_PER_STEP), if account_open => Woke::Account(n),
                Some(fact) = answers.recv() => Woke::Fact(fact),
                n = self.parts.market.recv_many(&mut market) => Woke::Market(n),
                () = sleep => Woke::Fact(Fact::Timer),
                () = wait_for(self.leaving) => return self.late(),
                () = wait_for(self.severing) => return Exit::Severed { empty: false },
            };
            batch.extend(self.stood_still());
            match woke {
                Woke::Pulled => {
                    wire.heed();
                    batch.extend(wire.take().iter().map(|stop| Fact::Command(0, Command::Kill(stop.clone()))));
                }
                Woke::Leave if self.leaving.is_none() => self.leave(&mut batch, &mut effects),
                Woke::Leave => return self.late(),
                Woke::Request(request) => batch.extend(self.take_request(request)),
                Woke::Account(n) => account_open = n > 0,
                Woke::Fact(fact) => batch.push(fact),
                // an empty answer means that the connector has stopped: look again with the next timer
                Woke::Market(0) => tokio::time::sleep(Duration::from_millis(10)).await,
                Woke::Market(_) => {}
            }
            batch.append(&mut account);
            batch.append(&mut market);
            // whatever woke the loop, what the account says is not kept waiting
            while batch.len() < FACTS_PER_STEP
                && let Ok(fact) = self.parts.account.try_recv()
            {
                batch.push(fact);
            }
            while batch.len() < FACTS_PER_STEP
                && let Ok(fact) = answers.try_recv()
            {
                batch.push(fact);
            }
            self.parts.market.try_recv_many(&mut batch);
            let now = self.parts.wall.stamp();
            self.parts.desk.apply(now, &batch, &mut effects);
            let is_empty = |fact: &Fact| matches!(fact, Fact::Swept { markets, empty: true, .. } if markets.is_empty());
            if self.severing.is_some() && batch.iter().any(is_empty) {
                return Exit::Severed { empty: true };
            }
            batch.clear();
            self.carry_out(std::mem::take(&mut effects)).await;
            if self.lent && self.parts.desk.books().drills.open().is_none() {
                self.parts.carrier.take_back();
                self.lent = false;
            }
            self.turned();
            if let Some(words) = wire.panicked() {
                return Exit::Panicked(words.to_owned());
            }
            if let Some(exit) = self.has_left() {
                return exit;
            }
            if self.leaving.is_some_and(|at| at <= tokio::time::Instant::now()) {
                // under a flood of facts the timer's turn never comes
                return self.late();
            }
            if self.is_done() {
                return Exit::Done;
            }
        }
    }

    /// Begins an orderly stop.
    fn leave(&mut self, batch: &mut Vec<Fact>, effects: &mut Vec<Effect>) {
        self.leaving = Some(tokio::time::Instant::now() + DRAIN_DEADLINE);
        let now = self.parts.wall.stamp();
        match self.parts.on_stop {
            OnStop::Drain => {
                info!("stopping: cancelling what is ours; a restart resumes every parent");
                self.parts.desk.drain(now, effects);
            }
            OnStop::Cancel => {
                info!("stopping: cancelling everything; a restart stays stopped until it is re-armed");
                let stop = Stop::all(StopLevel::Cancel, Trigger::Signal, "asked to stop, and [kill] on_stop is cancel");
                self.parts.gate.obey(&stop);
                batch.push(Fact::Command(0, Command::Kill(stop)));
                self.parts.desk.drain(now, effects);
            }
            OnStop::Leave => {
                warn!("stopping: what rests stays at the venue; a restart takes it up again");
                self.parts.desk.leave(now, effects);
            }
        }
    }

    /// How an orderly stop ended, once it has.
    fn has_left(&self) -> Option<Exit> {
        self.leaving?;
        let desk = &self.parts.desk;
        match self.parts.on_stop {
            OnStop::Drain => desk.is_quiet().then_some(Exit::Stopped),
            OnStop::Cancel => (desk.is_quiet() && !self.parts.gate.view().sweeping).then_some(Exit::Stopped),
            OnStop::Leave => desk.is_settled().then(|| Exit::Left { orders: desk.books().live().count() }),
        }
    }

    fn late(&self) -> Exit {
        Exit::Late { orders: self.parts.desk.books().live().count() }
    }

    /// It ends without a word only if it panicked.
    fn writer_fell(&self) -> Exit {
        Exit::Panicked(self.parts.wire.panicked().unwrap_or(WRITER_GONE).to_owned())
    }

    fn turned(&self) {
        let desk = &self.parts.desk;
        let turn = Turn { stop: desk.books().stops.level(), ready: desk.is_ready(), open: desk.books().live().count() };
        self.parts.pulse.turned(&turn);
    }

    /// A loop that stood still for longer than a watchdog waits must take it that one has acted: what it was about to do was
    /// decided in another time (F53).
    fn stood_still(&mut self) -> Option<Fact> {
        let age = self.parts.pulse.age();
        let max = self.parts.standstill_max.filter(|max| age > *max)?;
        if self.parts.desk.books().stops.level() >= StopLevel::Cancel {
            return None;
        }
        error!("the loop or its journal stood still for {age:?}; a watchdog waits for {max:?}");
        let cause = format!("the loop or its journal stood still for {} ms, longer than watchdog.limit", age.as_millis());
        Some(self.kill(Trigger::Watchdog, &cause))
    }

    /// Without its connector the daemon is blind or mute: latch, and leave (F56).
    async fn connector_fell(&mut self) -> Exit {
        let mut effects = Vec::new();
        let kill = self.kill(Trigger::Connector, "a task of the venue connector ended");
        self.parts.desk.apply(self.parts.wall.stamp(), &[kill], &mut effects);
        self.carry_out(effects).await;
        Exit::Connector
    }

    fn is_done(&self) -> bool {
        let desk = &self.parts.desk;
        self.parts.exit_when_done
            && desk.books().parents >= self.parts.expect_parents.load(Ordering::SeqCst)
            && desk.is_idle()
            && desk.is_quiet()
    }

    fn view(&self) -> View {
        let view = View::new(
            &self.parts.desk,
            &self.parts.connector,
            self.parts.gate.view(),
            (self.parts.dead_man.state(), self.parts.pulse.is_watched()),
            self.parts.journal.head().seq,
            self.parts.wall.stamp(),
        );
        View { alerting: self.parts.alerts.health(), ..view }
    }

    fn kill(&mut self, trigger: Trigger, cause: &str) -> Fact {
        self.parts.gate.close_and_cancel();
        self.next_asker += 1;
        Fact::Command(self.next_asker, Command::Kill(Stop::all(StopLevel::Cancel, trigger, cause)))
    }

    fn sleep_until_wake(&self) -> impl Future<Output = ()> + use<> {
        // without anything due the loop still looks up once a second, so that ages and alarms advance
        let wait = self.parts.desk.wake().map_or(Duration::from_secs(1), |(at, _)| self.parts.wall.until(at));
        tokio::time::sleep(wait.min(Duration::from_secs(1)))
    }

    fn take_request(&mut self, request: Request) -> Option<Fact> {
        match request {
            Request::Command(mut command, reply) => {
                if let Command::Rearm { standing, .. } = &mut command {
                    standing.extend(reload::standing(&self.parts.config_file));
                    standing.extend(standing::causes(&self.parts.journal_dir, &self.parts.stop_dirs, &self.parts.wire));
                }
                self.next_asker += 1;
                self.askers.insert(self.next_asker, reply);
                Some(Fact::Command(self.next_asker, command))
            }
            Request::Status(reply) => {
                if reply.send(self.view()).is_err() {
                    tracing::debug!("an operator left before the status was ready");
                }
                None
            }
            Request::Size(instrument, side, reply) => {
                if reply.send(views::sized(&self.parts.desk, self.parts.wall.stamp(), instrument, side)).is_err() {
                    tracing::debug!("an operator left before the size was ready");
                }
                None
            }
            Request::Config(reply) => {
                if reply.send(Box::new(self.parts.desk.configuration())).is_err() {
                    tracing::debug!("an operator left before the configuration was ready");
                }
                None
            }
            Request::Challenge(act, reply) => {
                let now = self.parts.wall.stamp();
                let asked = self.parts.desk.challenge(now, &act);
                let asked = asked.map(|challenge| Box::new(ToSign::new(challenge, self.parts.account_name.clone(), now.wall_ms)));
                if reply.send(asked).is_err() {
                    tracing::debug!("an operator left before the challenge was ready");
                }
                None
            }
            Request::Drills(reply) => {
                if reply.send(self.parts.desk.drill_view(self.parts.wall.stamp())).is_err() {
                    tracing::debug!("an operator left before the drills were ready");
                }
                None
            }
            Request::Drill(path, signer, reply) => {
                let has_signer = signer.is_some();
                if let Some(signer) = signer
                    && let Err(expected) = self.parts.carrier.lend(signer.0)
                {
                    let fault = SpecFault { field: "signer".into(), value: "another key".into(), expected };
                    if reply.send(CommandReply::Refused(vec![fault])).is_err() {
                        tracing::debug!("an operator left before his signer was refused");
                    }
                    return None;
                }
                self.lent |= has_signer;
                self.next_asker += 1;
                self.askers.insert(self.next_asker, reply);
                Some(Fact::Command(self.next_asker, Command::Drill { path, signer: has_signer }))
            }
            Request::Treasury(reply) => {
                let page = views::treasury(&self.parts.desk, self.parts.carrier.wallet_task(), self.parts.wall.stamp());
                if reply.send(Box::new(page)).is_err() {
                    tracing::debug!("an operator left before the treasury was ready");
                }
                None
            }
            Request::Margin(reply) => {
                if reply.send(views::margin(&self.parts.desk, self.parts.wall.stamp())).is_err() {
                    tracing::debug!("an operator left before the load line was ready");
                }
                None
            }
        }
    }

    async fn carry_out(&mut self, effects: Vec<Effect>) {
        let mut group = Group::default();
        let mut cancels: Vec<CancelRequest> = Vec::new();
        let mut rearmed = false;
        for effect in effects {
            match effect {
                Effect::Record(stamped) => {
                    words::note(&stamped, self.parts.desk.books());
                    rearmed |= matches!(stamped.entry, Entry::Rearm { .. });
                    if matches!(&stamped.entry, Entry::Latch(_) | Entry::Rearm { .. }) {
                        // the desk stops for reasons of its own as well; what waits for the journal must not pass either
                        self.follow_stops();
                    }
                    if matches!(&stamped.entry, Entry::Latch(stop) if stop.level >= StopLevel::Block && stop.scope == StopScope::All)
                    {
                        rearmed = false;
                    }
                    group.entries.push(stamped);
                }
                Effect::Place(cleared) => group.cleared.push(cleared),
                Effect::Cancel(Cancel { key, instrument, order }) => {
                    cancels.push(CancelRequest { key, instrument, venue_order: order });
                }
                Effect::CancelAll { venue: Venue::Hyperliquid, markets } => self.parts.gate.sweep(&markets),
                // no connector is of this venue
                Effect::CancelAll { venue: Venue::Dydx, .. } => {}
                Effect::Sever => self.sever(),
                Effect::Pull { venue, keys, fills_since_ms } => self.pull(venue, keys, fills_since_ms),
                Effect::Burn { venue, nonce } => self.burn(venue, nonce),
                // no plan is configured, so the desk asks for none of these
                Effect::Transfer(cleared) => group.transfers.push(cleared),
                Effect::ForgetTransfer(id) => group.forgotten.push(id),
                Effect::ReadCollateral(read) => {
                    self.tasks.spawn(self.parts.carrier.clone().read(read));
                }
                Effect::Reply(asker, reply) => {
                    if let Some(to) = self.askers.remove(&asker) {
                        group.replies.push((to, reply));
                    }
                }
                Effect::Alert(alert) => {
                    match alert.severity {
                        Severity::Warn => warn!(topic = alert.topic.word(), "{}", alert.cause),
                        Severity::Act => error!(topic = alert.topic.word(), "{}", alert.cause),
                    }
                    self.parts.alerts.raise(alert);
                }
            }
        }
        if !cancels.is_empty() {
            let connector = self.parts.connector.clone();
            self.tasks.spawn(async move { connector.cancel(cancels).await });
        }
        let stopped = self.parts.desk.books().stops.level() >= StopLevel::Block;
        if rearmed && !stopped && self.leaving.is_none() {
            self.parts.wire.reopen();
            // it called every sweep off, that of a market which stays stopped too
            for stop in self.parts.desk.books().stops.iter().filter(|stop| stop.level >= StopLevel::Cancel) {
                if let StopScope::Market(id) = stop.scope {
                    self.parts.gate.sweep(&[id]);
                }
            }
        }
        if self.flattening != *self.parts.desk.flattening() {
            self.follow_stops();
        }
        if !group.is_empty() && self.groups.send(group).await.is_err() {
            // the writer has reported why before it left; the next turn of the loop reads it
            warn!("the journal is closed; nothing more is recorded or placed");
        }
    }

    /// Begins to sever: from here on nothing leaves but cancels, until the venue is empty or the time is up.
    fn sever(&mut self) {
        self.parts.gate.sever();
        if self.severing.is_none() {
            self.severing = Some(tokio::time::Instant::now() + SEVER_DEADLINE);
        }
        // the command that asked for it has begun one; it is asked for again so that what comes of it is told from here on
        self.parts.gate.sweep(&[]);
    }

    /// What passes the gate is what the desk's stops leave.
    fn follow_stops(&mut self) {
        self.flattening.clone_from(self.parts.desk.flattening());
        self.parts.gate.follow(&self.parts.desk.books().stops, &self.flattening);
    }

    fn pull(&self, venue: Venue, keys: Vec<domain::ClientKey>, fills_since_ms: u64) {
        let (connector, answers) = (self.parts.connector.clone(), self.answers_in.clone());
        self.tasks.spawn(async move {
            let fact = match connector.snapshot(&keys, fills_since_ms).await {
                Ok(snapshot) => Fact::Snapshot(Box::new(snapshot)),
                Err(e) => Fact::SnapshotFailed(venue, chain(&e)),
            };
            answer(&answers, fact).await;
        });
    }

    fn burn(&self, venue: Venue, nonce: u64) {
        let (connector, answers) = (self.parts.connector.clone(), self.answers_in.clone());
        self.tasks.spawn(async move {
            match connector.burn_nonce(nonce).await {
                Ok(burnt) => answer(&answers, Fact::NonceBurnt { venue, nonce, burnt }).await,
                // not knowing is the state we were in: the order's expiry settles it
                Err(e) => warn!(nonce, "a nonce could not be burnt: {}", chain(&e)),
            }
        });
    }
}

/// Stops increases before the disk is full rather than after (reliability §3.1).
async fn watch_disk(dir: PathBuf, answers: mpsc::Sender<Fact>) {
    loop {
        match journal::room(&dir) {
            Ok(journal::Room::Ample) => {}
            Ok(journal::Room::Low) => {
                warn!("less than 2 GiB free under {}; below 512 MiB only reductions are allowed", dir.display())
            }
            Ok(journal::Room::Critical) => {
                let stop = Stop::all(StopLevel::ReduceOnly, Trigger::Disk, "less than 512 MiB free where the journal is");
                answer(&answers, Fact::Command(0, Command::Kill(stop.with("directory", dir.display())))).await;
            }
            Err(e) => warn!("how much of the disk is free is not known: {e}"),
        }
        tokio::time::sleep(DISK_EVERY).await;
    }
}

struct WriteHalf {
    queue: mpsc::Receiver<Group>,
    journal: Journal,
    journal_dir: PathBuf,
    connector: Connector,
    carrier: Carrier,
    gate: Arc<Gate>,
    answers: mpsc::Sender<Fact>,
    broken: mpsc::Sender<String>,
    pulse: Pulse,
}

/// Makes groups durable and hands what they released to the venue.
async fn write_groups(mut this: WriteHalf) {
    let mut waiting: Vec<Group> = Vec::new();
    let placements = Arc::new(Semaphore::new(PLACEMENTS_MAX));
    let tasks = TaskTracker::new();
    while !waiting.is_empty() || this.queue.recv_many(&mut waiting, GROUPS_PER_FLUSH).await > 0 {
        let whole = Group::one_flush(&mut waiting);
        let latches: Vec<Entry> = whole
            .entries
            .iter()
            .map(|e| &e.entry)
            .filter(|e| matches!(e, Entry::Latch(_) | Entry::Rearm { .. }))
            .cloned()
            .collect();
        this.pulse.flush_begins();
        // the sentinel first: whichever of the two stores survives, the latch is set
        for entry in &latches {
            if let Entry::Latch(stop) = entry
                && let Err(e) = journal::latch_set(&this.journal_dir, stop)
            {
                error!("the latch file could not be written: {e}; the journal alone holds the latch");
            }
        }
        let durable = release_all(whole.cleared, whole.transfers, whole.entries, &this.journal).await;
        this.pulse.flush_ended();
        let (released, transfers) = match durable {
            Ok(released) => released,
            Err(e) => {
                // nothing opens it again: what is released can no longer be recorded
                this.gate.sever();
                this.gate.sweep(&[]);
                error!("the journal failed, so nothing more may be placed: {}", chain(&e));
                if this.broken.send(chain(&e)).await.is_err() {
                    warn!("the loop left before it heard of the journal's failure");
                }
                return;
            }
        };
        for (to, reply) in whole.replies {
            if to.send(reply).is_err() {
                tracing::debug!("an operator left before the reply was durable");
            }
        }
        this.carrier.carry(transfers, this.gate.is_closed(), &tasks);
        whole.forgotten.into_iter().for_each(|id| this.carrier.forget(id));
        if released.is_empty() {
            continue;
        }
        let (released, barred): (Vec<_>, Vec<_>) = released.into_iter().partition(|order| this.gate.passes(order.intent()));
        if !barred.is_empty() {
            let answers = this.answers.clone();
            // not awaited: the loop may itself be waiting for room in the group queue
            tasks.spawn(async move {
                for order in barred {
                    let reject = Reject { kind: RejectKind::NotSent, text: "never sent: the gate was closed".to_owned() };
                    answer(&answers, Fact::Sent { key: order.into_intent().key, outcome: SendOutcome::Rejected(reject) }).await;
                }
            });
        }
        if released.is_empty() {
            continue;
        }
        let (connector, placements) = (this.connector.clone(), Arc::clone(&placements));
        // waiting for a place in the task, not here: placements that hang must keep nothing from the journal. The guard's limit
        // on open orders bounds how many wait.
        tasks.spawn(async move {
            let permit = placements.acquire_owned().await;
            connector.place(released).await;
            drop(permit);
        });
    }
    tasks.close();
    tasks.wait().await;
}

async fn answer(to: &mpsc::Sender<Fact>, fact: Fact) {
    if to.send(fact).await.is_err() {
        tracing::debug!("the loop left before an answer arrived");
    }
}

async fn wait_for(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// An error with its causes, once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
