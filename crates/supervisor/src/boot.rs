//! How a daemon comes up, and what it leaves behind: fold the journal, read the latch, ask the venue, reconcile, then trade.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use desk::{Desk, DeskConfig, Effect, Tenure, TreasuryPlan};
use domain::{
    Command, Entry, EvmAddress, Fact, ParentId, Seed, Stamped, Stop, StopLevel, TransferEvent, TransferId, Trigger, Venue,
};
use execution::tca::ReportBuilder;
use journal::{Identity, Journal, OpenError, Opened, Options};
use tokio::sync::mpsc;
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;
use venue_connector::hyperliquid::{Config, Connector, Resume, Started};

use crate::carrier::{Carrier, Keys};
use crate::cli::RunArgs;
use crate::config::{Checked, Endpoint, LogStyle, RawParent, TreasuryPart};
use crate::daemon::{self, Answers, Exit, Parts, Request};
use crate::gate::Gate;
use crate::heartbeat::{self, Heart, Pulse};
use crate::live::{Frame, Live};
use crate::reload::Reloader;
use crate::triggers::{self, Tripwire};
use crate::wall::Wall;
use crate::{Failure, api, deadman, embedded, exit, lookout, reload, sentinel, sweeper, telling, venue};

/// How often the live view is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(250);
/// How often a plan waits for the venue before it gives up: at [`DRAW_EVERY`], one minute.
const PLAN_PATIENCE: u32 = 240;

/// Runs the daemon until it ends.
///
/// # Errors
/// What kept it from starting, with the exit code that says so.
pub async fn run(config: Checked, args: &RunArgs, set: &[String], file: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let state_dir = &config.state_dir;
    fs::create_dir_all(state_dir).map_err(|e| Failure::other(format!("{}: {e}", state_dir.display())))?;
    let on_screen = args.exit_when_done || std::io::IsTerminal::is_terminal(&std::io::stderr());
    start_logs(&config, on_screen)?;
    if let Some(owner) = config.origin.foreign_owner() {
        warn!(
            "the configuration file belongs to user {owner}, who is neither the daemon's own nor root and decides what is traded"
        );
    }
    let gate = Arc::new(Gate::default());
    let wire = Arc::new(Tripwire::new(Arc::clone(&gate)));
    wire.heed_panics();
    let leaves = triggers::listen(&wire).map_err(|e| Failure::other(format!("signals: {e}")))?;
    triggers::look_out(&wire, stop_dirs(&config)).map_err(|e| Failure::other(format!("the lookout's thread: {e}")))?;
    let senders = telling::senders(&config)?;
    let hangup = reload::listen()?;
    let target = venue::target(&config, set, file.as_ref()).await?;
    if let Some(operator) = config.operators.iter().find(|o| o.address.0 == target.key.address().0) {
        // else the daemon could approve by itself
        let why = format!(
            "operators: {} is the address of the key that this daemon signs orders with; expected a key that it does not have",
            operator.name
        );
        return Err(Failure { code: exit::CONFIG, why });
    }
    let journal_dir = state_dir.join("journal");
    let _unheard = Unheard { wire: Arc::clone(&wire), journal_dir: journal_dir.clone() };
    if let Some(instance) = &target.fresh_venue
        && let Some(to) =
            embedded::archive_journal(&journal_dir, instance).map_err(|e| Failure::new(exit::JOURNAL_UNUSABLE, &e))?
    {
        info!("the paper venue of the last journal is gone; that journal is kept in {}", to.display());
    }
    let identity = Identity { venue: Venue::Hyperliquid, network: target.network.clone(), account: target.account.to_string() };
    let opened = open(&journal_dir, &identity, config.seed)?;
    let wall = Arc::new(Wall::resume(opened.last));
    let clock: venue_connector::Clock = {
        let wall = Arc::clone(&wall);
        Arc::new(move || wall.stamp())
    };
    let funds = treasury_on(&config).map(|part| Keys::read(part, &target)).transpose()?;
    let plan = plan_treasury(&config, funds.as_ref(), &target)?;
    if plan.is_none() {
        warn_of_orphans(&opened.entries);
    }
    let (alerts, unattended) = telling::start(&config, senders, opened.epoch, Arc::clone(&clock));
    let started = match connect(&config, target, Arc::clone(&clock), &opened).await {
        Ok(started) => started,
        Err(failure) => {
            telling::tell_last(&alerts, &failure).await;
            return Err(failure);
        }
    };
    gate.govern(started.connector.clone());
    let (pulse, heart) = begin_heartbeat(&config, &started.connector)?;
    let (desk, effects) = boot_desk(&config, plan, &opened, &started, &wall, &gate)?;
    telling::remind(&alerts, &desk, &opened.entries);
    let answers = Answers::default();
    tokio::spawn(telling::tighten(unattended, answers.to.clone()));
    let carrier = Carrier::start(&config, funds, started.connector.clone(), clock, answers.to.clone());
    let (requests_in, requests) = mpsc::channel(api::REQUESTS_MAX);
    let listener =
        api::bind(&config.socket).map_err(|e| Failure::other(format!("the operator socket {}: {e}", config.socket.display())))?;
    info!(socket = %config.socket.display(), journal = %journal_dir.display(), "operator socket open");
    let serving = api::serve(listener, requests_in.clone(), Arc::clone(&gate), alerts.clone());
    let door = tokio::spawn({
        let wire = Arc::clone(&wire);
        async move {
            // a door that is shut for good is a button that does not work
            let why = serving.await.map_or_else(|e| e.to_string(), |()| "it ended".to_owned());
            wire.fell(format!("the operator socket is not served any more: {why}"));
        }
    });
    let expect = Arc::new(AtomicU32::new(u32::MAX));
    let plan = (args.plan || args.exit_when_done).then(|| {
        let items = remaining_plan(&config.plan, &opened.entries);
        tokio::spawn(submit_plan(items, requests_in.clone(), Arc::clone(&expect)))
    });
    let reloader = Reloader {
        started: config.clone(),
        set: set.to_vec(),
        environment: std::env::vars().collect(),
        requests: requests_in.clone(),
        wire: Arc::clone(&wire),
        gate: Arc::clone(&gate),
    };
    let reloading = tokio::spawn(reloader.watch(hangup));
    let view = on_screen.then(|| tokio::spawn(draw(requests_in.clone(), Live::new())));
    let connector = started.connector.clone();
    let parts = Parts {
        desk,
        effects,
        journal: opened.journal,
        journal_dir: journal_dir.clone(),
        stop_dirs: stop_dirs(&config),
        config_file: config.origin.path.clone(),
        account_name: format!("{} {} {}", identity.venue, identity.network, identity.account),
        connector: started.connector,
        carrier,
        market: started.market,
        account: started.account,
        wall,
        pulse,
        heart,
        dead_man: deadman::Keeper::new(config.dead_man),
        standstill_max: standstill_max(&config),
        gate: Arc::clone(&gate),
        requests,
        wire: Arc::clone(&wire),
        leaves,
        on_stop: config.kill.on_stop,
        alerts: alerts.clone(),
        exit_when_done: args.exit_when_done,
        expect_parents: expect,
    };
    drop(requests_in);
    let ended = match tokio::spawn(daemon::run(parts, answers)).await {
        Ok(ended) => Ok(ended),
        Err(e) => Err(panicked(&e, &wire, &gate, &journal_dir).await),
    };
    match &ended {
        Ok(_) => telling::close(&alerts).await,
        Err(failure) => telling::tell_last(&alerts, failure).await,
    }
    door.abort();
    reloading.abort();
    if let Some(view) = view {
        // it ends by itself now that nobody answers it
        match (view.await, &ended) {
            (Ok(mut live), Ok((_, last))) => {
                live.draw(&Frame::new(last));
                live.close();
            }
            (Ok(live), Err(_)) => live.close(),
            (Err(e), _) => warn!("the live view panicked: {e}"),
        }
    }
    let plan_refused = match plan {
        Some(plan) if plan.is_finished() => plan.await.unwrap_or(0),
        Some(plan) => {
            plan.abort();
            0
        }
        None => 0,
    };
    let severed = matches!(&ended, Ok((Exit::Severed { .. }, _)));
    let in_time =
        if severed { connector.sever(Duration::from_secs(5)).await } else { connector.stop(Duration::from_secs(5)).await };
    if !in_time {
        warn!("the connector's tasks did not end in time");
    }
    if let Err(e) = fs::remove_file(&config.socket) {
        tracing::debug!("the operator socket was gone already: {e}");
    }
    finish(&config, args, ended?.0, &journal_dir, plan_refused)
}

fn finish(config: &Checked, args: &RunArgs, ended: Exit, journal_dir: &Path, plan_refused: u32) -> Result<ExitCode, Failure> {
    match ended {
        Exit::Done => {
            if config.endpoint == Endpoint::Embedded {
                embedded::stop(&config.state_dir);
            }
            report(journal_dir, args.json, None)?;
            Ok(if plan_refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Exit::Stopped => {
            eprintln!("plimsoll: stopped; nothing of ours is open at the venue. Start again to go on.");
            Ok(ExitCode::SUCCESS)
        }
        Exit::Severed { empty: true } => Err(Failure {
            code: exit::SEVERED,
            why: "severed: the venue was seen empty twice, keys are forgotten, the latch is set. Start it again to look, and \
                  plimsoll rearm --reason … to trade"
                .to_owned(),
        }),
        Exit::Severed { empty: false } => Err(Failure {
            code: exit::SEVERED,
            why: "severed, and the venue was NOT seen empty: orders may still be open there; cancel them at its own site, or \
                  start it again, which goes on cancelling"
                .to_owned(),
        }),
        Exit::Late { orders } => Err(Failure {
            code: exit::LATE,
            why: format!("stopped, but {orders} orders were not known to be over; the next start settles them"),
        }),
        Exit::Left { orders } => {
            eprintln!(
                "plimsoll: stopped; {orders} orders of ours rest at the venue, as [kill] on_stop asks. Start again to go on."
            );
            Ok(ExitCode::SUCCESS)
        }
        Exit::Panicked(words) => Err(panic_failure(&words)),
        Exit::Connector => Err(Failure {
            code: exit::PANIC,
            why: "a task of the venue connector ended; everything was cancelled and the latch is set".to_owned(),
        }),
        Exit::Journal(why) => {
            Err(Failure { code: exit::JOURNAL_BROKEN, why: format!("the journal can no longer be written: {why}") })
        }
    }
}

/// Prints the transaction costs of every parent in the journal.
///
/// # Errors
/// If the journal cannot be read.
pub fn report(journal_dir: &Path, json: bool, only: Option<u32>) -> Result<(), Failure> {
    let mut builder = ReportBuilder::new();
    for record in journal::export(journal_dir).map_err(|e| Failure::new(exit::JOURNAL_UNUSABLE, &e))? {
        builder.fold(&record.decode().map_err(|e| Failure::new(exit::JOURNAL_UNUSABLE, &e))?);
    }
    let mut report = builder.report();
    report.parents.retain(|p| only.is_none_or(|n| p.parent.0 == n));
    if json {
        for parent in &report.parents {
            say!("{}", serde_json::to_string(parent).map_err(|e| Failure::other(e.to_string()))?);
        }
    } else {
        say!("{}", report.render());
    }
    Ok(())
}

fn start_logs(config: &Checked, on_screen: bool) -> Result<(), Failure> {
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let filter = EnvFilter::try_from_env("PLIMSOLL_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    let human = match config.log {
        LogStyle::Auto => terminal || on_screen,
        LogStyle::Human => true,
        LogStyle::Json => false,
    };
    let started = if on_screen {
        // the screen belongs to the live view
        let path = config.state_dir.join("plimsoll.log");
        let file = fs::OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(|e| Failure::other(format!("{}: {e}", path.display())))?;
        let builder = builder.with_writer(std::sync::Mutex::new(file)).with_ansi(false);
        if human { builder.try_init() } else { builder.json().try_init() }
    } else {
        let builder = builder.with_writer(std::io::stderr).with_ansi(terminal);
        if human { builder.try_init() } else { builder.json().try_init() }
    };
    started.map_err(|e| Failure::other(format!("logs: {e}")))
}

fn open(dir: &Path, identity: &Identity, seed: Seed) -> Result<Opened, Failure> {
    // a journal's tag must differ from that of every other journal of the account, whatever the seed
    let chance = embedded::new_secret().map_err(|e| Failure::other(e.to_string()))?;
    let tag_seed = u64::from_str_radix(&chance[2..18], 16).unwrap_or(seed.0);
    Journal::open(dir, identity, &Options::new(tag_seed)).map_err(|e| {
        let code = match &e {
            OpenError::Locked { .. } => exit::LOCKED,
            OpenError::Io { .. } => exit::JOURNAL_BROKEN,
            OpenError::Foreign { .. } | OpenError::Damaged { .. } | OpenError::Newer { .. } | OpenError::Sqlite(_) => {
                exit::JOURNAL_UNUSABLE
            }
        };
        Failure::new(code, &e)
    })
}

async fn connect(
    config: &Checked,
    target: venue::Target,
    clock: venue_connector::Clock,
    opened: &Opened,
) -> Result<Started, Failure> {
    let mut setup = Config::new(config.network, Some(&target.http), target.account, config.markets.clone());
    setup.ws = target.ws;
    setup.sub_account = target.sub_account;
    setup.order_route = config.order_route;
    setup.fast_book = config.fast_book;
    let (mut nonce, mut funding_ms) = (0, None);
    for stamped in &opened.entries {
        if let Entry::Intent { intent, .. } = &stamped.entry {
            nonce = nonce.max(intent.nonce);
        }
        if let Entry::Transfer { event: TransferEvent::Intended(intent), .. } = &stamped.entry
            && intent.route.leg().is_none()
        {
            nonce = nonce.max(intent.nonce);
        }
        if let Entry::Funding(payment) = &stamped.entry {
            funding_ms = funding_ms.max(Some(payment.venue_ms));
        }
    }
    let began_ms = opened.entries.first().map_or(opened.last.wall_ms, |s| s.at.wall_ms);
    let resume = Resume { nonce_floor: nonce.max(opened.last.wall_ms), fundings_since_ms: funding_ms.unwrap_or(began_ms) };
    let jitter = config.seed.fork(&format!("venue.hyperliquid.reconnect.{}", opened.epoch.0));
    Connector::start(setup, target.key, clock, jitter, resume).await.map_err(|e| Failure::new(exit::VENUE, &e))
}

fn treasury_on(config: &Checked) -> Option<&TreasuryPart> {
    config.treasury.as_ref().filter(|part| part.enabled)
}

/// What the desk does with `[treasury]` for the account that was found.
fn plan_treasury(config: &Checked, keys: Option<&Keys>, target: &venue::Target) -> Result<Option<TreasuryPlan>, Failure> {
    let (Some(part), Some(keys)) = (treasury_on(config), keys) else { return Ok(None) };
    if !keys.may_sign && (part.spot || part.sweep.is_some()) {
        warn!("an agent cannot move the account's spot balance: without treasury.funds_key_file it is not used");
    }
    let plan = part.plan(EvmAddress(target.account.0), keys.may_sign, config.limits.cover());
    let faults = plan.faults(config.limits.cover());
    if faults.is_empty() {
        return Ok(Some(plan));
    }
    let faults: String = faults.iter().map(|fault| format!("\n  {fault}")).collect();
    Err(Failure { code: exit::CONFIG, why: format!("the treasury does not fit the account:{faults}") })
}

/// Transfers that an earlier tenure left under way and nobody looks after in this one.
fn warn_of_orphans(entries: &[Stamped]) {
    let mut open: BTreeMap<TransferId, domain::Transfer> = BTreeMap::new();
    for stamped in entries {
        let Entry::Transfer { id, event } = &stamped.entry else { continue };
        if let TransferEvent::Intended(intent) = event {
            open.insert(*id, domain::Transfer::new(intent.clone(), stamped.at));
        } else if let Some(transfer) = open.get_mut(id)
            && let Err(fault) = transfer.apply(stamped.at, event)
        {
            warn!("the ledger of transfers does not add up: {fault}");
        }
    }
    for transfer in open.values().filter(|transfer| transfer.open()) {
        let intent = &transfer.intent;
        error!(
            transfer = %intent.id, route = intent.route.name(), amount = %intent.amount, state = transfer.state.name(),
            "a transfer is under way and [treasury] is off: nobody looks after it"
        );
    }
}

/// Where the file STOP is looked for: a watchdog may have a directory of its own to leave it in.
/// Latches beside the journal what was pulled and no loop has taken when the process goes, be it before there was one or after.
struct Unheard {
    wire: Arc<Tripwire>,
    journal_dir: PathBuf,
}

impl Drop for Unheard {
    fn drop(&mut self) {
        for stop in self.wire.take().iter().filter(|_| self.journal_dir.is_dir()) {
            if let Err(e) = journal::latch_set(&self.journal_dir, stop) {
                error!("{}: {}: the latch could not be written: {e}", stop.level, stop.cause);
            }
        }
    }
}

fn stop_dirs(config: &Checked) -> Vec<PathBuf> {
    let mut dirs = vec![config.state_dir.clone()];
    if config.watchdog.dir != config.state_dir {
        dirs.push(config.watchdog.dir.clone());
    }
    dirs
}

/// With a watchdog, how long the loop may stand still.
fn standstill_max(config: &Checked) -> Option<Duration> {
    config.watchdog.on.then_some(config.watchdog.limit)
}

/// From here on this process has life signs, and every order asks for them before it leaves.
fn begin_heartbeat(config: &Checked, connector: &Connector) -> Result<(Pulse, Option<Heart>), Failure> {
    let pulse = Pulse::new();
    connector.look_out(lookout::over(pulse.clone(), standstill_max(config), stop_dirs(config)));
    match Heart::start(&config.watchdog.dir, &pulse) {
        Ok(heart) => Ok((pulse, Some(heart))),
        Err(e) if config.watchdog.on => {
            let path = config.watchdog.dir.join(heartbeat::NAME);
            Err(Failure::other(format!("the heartbeat {}: {e}; without it the watchdog would cancel everything", path.display())))
        }
        Err(e) => {
            warn!("no heartbeat, so nobody can watch this daemon: {e}");
            Ok((pulse, None))
        }
    }
}

fn boot_desk(
    config: &Checked,
    treasury: Option<TreasuryPlan>,
    opened: &Opened,
    started: &Started,
    wall: &Wall,
    gate: &Gate,
) -> Result<(Desk, Vec<Effect>), Failure> {
    let desk_config = DeskConfig {
        venues: vec![Venue::Hyperliquid],
        instruments: config.instruments(),
        expires_after_ms: config.expires_after_ms,
        reconcile_every: config.reconcile_every,
        foreign: config.foreign,
        unknown_max: config.unknown_max,
        operators: config.operators.clone(),
        flatten: config.kill.flatten,
        treasury,
    };
    let tenure = Tenure {
        epoch: opened.epoch,
        tag: opened.tag,
        seed: config.seed,
        binary: env!("CARGO_PKG_VERSION").to_owned(),
        config: config.hash.clone(),
    };
    let mut effects = Vec::new();
    let mut desk = Desk::boot(desk_config, config.limits.clone(), &tenure, wall.stamp(), &opened.entries, &mut effects)
        .map_err(|e| Failure::new(exit::JOURNAL_UNUSABLE, &e))?;
    let mut facts: Vec<Fact> = started.instruments.iter().map(|i| Fact::Instrument(Arc::new(i.clone()))).collect();
    for stop in opened.latch.iter() {
        if desk.books().stops.of(stop.scope).is_none_or(|known| known.level < stop.level) {
            // one of the two stores says stopped, so stopped it is (I21)
            let cause = format!("latch file: {}", stop.cause);
            facts.push(Fact::Command(0, Command::Kill(Stop { trigger: Trigger::Latch, cause, ..stop.clone() })));
        }
    }
    let asked = stop_dirs(config).into_iter().filter_map(|dir| sentinel::read(&dir));
    facts.extend(asked.map(|stop| Fact::Command(0, Command::Kill(stop))));
    facts.push(Fact::Command(0, Command::Reload(reload::started(config, &opened.entries))));
    if let Some(level) = config.kill.engaged {
        facts.push(Fact::Command(0, Command::Kill(reload::engaged(config, level))));
    }
    desk.apply(wall.stamp(), &facts, &mut effects);
    gate.follow(&desk.books().stops, desk.flattening());
    if desk.books().stops.level() >= StopLevel::Block {
        error!("stopped since before this start ({}): plimsoll rearm --reason … lets it trade again", desk.books().stops.cause());
    }
    Ok((desk, effects))
}

/// What a note of plan item `n` looks like in the journal: how a restart knows what it has already submitted.
fn plan_note(n: usize, note: &str) -> String {
    format!("plan {}: {note}", n + 1).chars().take(64).collect()
}

/// Items of the plan that this round has not admitted yet. A round ends when none of its parents is left.
fn remaining_plan(plan: &[RawParent], entries: &[Stamped]) -> Vec<RawParent> {
    let (mut live, mut admitted): (BTreeSet<ParentId>, BTreeSet<String>) = (BTreeSet::new(), BTreeSet::new());
    for stamped in entries {
        if let Entry::Parent { spec, .. } = &stamped.entry {
            if live.is_empty() {
                admitted.clear();
            }
            live.insert(spec.id);
            admitted.insert(spec.note.clone());
        }
        if let Entry::Ended { parent, .. } = &stamped.entry {
            live.remove(parent);
        }
    }
    if live.is_empty() {
        admitted.clear();
    }
    let noted = plan.iter().enumerate().map(|(n, raw)| RawParent { note: plan_note(n, &raw.note), ..raw.clone() });
    noted.filter(|raw| !admitted.contains(&raw.note)).collect()
}

/// Submits each item once the venue has been read; returns how many were refused for good.
async fn submit_plan(items: Vec<RawParent>, requests: mpsc::Sender<Request>, expect: Arc<AtomicU32>) -> u32 {
    let (mut refused, mut last) = (0, 0);
    for raw in items {
        for attempt in 0..=PLAN_PATIENCE {
            match api::admit(&requests, &raw).await {
                Ok(id) => {
                    last = id.0;
                    break;
                }
                Err(faults) => {
                    // "not yet" is a fault of the daemon or of the market's data, everything else one of the parent
                    let not_yet = faults.iter().all(|f| matches!(f.field.as_str(), "parent" | "instrument" | "daemon"));
                    if not_yet && attempt < PLAN_PATIENCE {
                        tokio::time::sleep(DRAW_EVERY).await;
                        continue;
                    }
                    refused += 1;
                    for fault in faults {
                        error!(note = raw.note, "plan refused: {fault}");
                        eprintln!("plimsoll: {} refused: {fault}", raw.note);
                    }
                    break;
                }
            }
        }
    }
    expect.store(last, Ordering::SeqCst);
    refused
}

async fn draw(requests: mpsc::Sender<Request>, mut live: Live) -> Live {
    while let Some(view) = api::view(&requests).await {
        live.draw(&Frame::new(&view));
        tokio::time::sleep(DRAW_EVERY).await;
    }
    live
}

/// A panic of the loop: nothing may be placed any more, everything is cancelled, and the next start is latched.
async fn panicked(e: &tokio::task::JoinError, wire: &Tripwire, gate: &Gate, journal_dir: &Path) -> Failure {
    // the disk may be what is wrong: the cancels are on their way before the latch is written
    gate.close_and_cancel();
    let words = wire.panicked().map_or_else(|| e.to_string(), str::to_owned);
    error!("the daemon's loop failed: {words}");
    triggers::latch_beside(journal_dir, triggers::panic_stop(&words)).await;
    if let Some(sweeper) = gate.sweeper()
        && !sweeper.finish(sweeper::PASS).await
    {
        error!("the venue was not seen empty twice; the next start goes on with it");
    }
    panic_failure(&words)
}

fn panic_failure(words: &str) -> Failure {
    Failure { code: exit::PANIC, why: format!("{words}; everything was cancelled and the latch is set") }
}
