//! What must be true before the first order, and what runs afterwards: the streams and the polls.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::{Fact, Instrument, InstrumentId, Prng, Seed, SpecFault, Usd, Venue};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, info, warn};
use wire::hyperliquid::info::{
    Abstraction, ActiveAssetData, ExchangeStatus, ExtraAgent, InfoRequest, Leverage, Meta, UserRateLimit, UserRole,
};
use wire::hyperliquid::sign::Key;
use wire::hyperliquid::{Address, User};

use super::account::{self, AccountReader};
use super::config::{Config, OrderRoute};
use super::gate::Gate;
use super::gauges::Counters;
use super::http::{Http, HttpSetup, Lane};
use super::limits::{AddressBudget, Purpose, WeightWindow};
use super::market::{self, MarketReader, Universe};
use super::nonce::NonceSource;
use super::orders::{self, LeverageError, ProofError};
use super::read::{How, ReadError, Reads};
use super::secret::Secret;
use super::stream::{LinkParts, Pacer};
use super::{Connector, FACTS_MAX, Resume, Shared, Started, history, mode};
use crate::feed::{MarketFeed, market_feed};
use crate::port::{Clock, Next};

/// Clock offsets that are alarming, and that refuse to start: orders expire by the venue's clock, nonces must be near it.
const OFFSET_ALARM_MS: i64 = 250;
const OFFSET_MAX_MS: i64 = 500;
/// The longest round trip that a reading of the clock may take to count.
const CLOCK_TRIP_MAX: Duration = Duration::from_secs(1);
/// Connections for cancels that are kept open: a look and five batches, which is 500 orders.
const WARM_CANCELS: usize = 6;
/// Until a first reading was good enough, the clock is read again this soon: nothing may grow without it.
const CLOCK_AGAIN: Duration = Duration::from_secs(5);
/// Readings of the clock at start; the one with the shortest round trip counts.
const CLOCK_PROBES: usize = 3;
/// With many markets the checks take more weight than one minute has: the next minute has it.
const START_PATIENCE: Duration = Duration::from_secs(75);
/// An agent that ends sooner than this is worth a warning each start.
const AGENT_WARNING_MS: u64 = 7 * 86_400_000;
/// Nonces of an earlier process may lie this far above the venue's clock: its own offset and a burst.
const NONCE_SLACK_MS: u64 = 1_000;

/// What the signing key is to the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// The account's own key, which can also move funds: an agent would be safer.
    Master,
    /// An agent of the account or of its master.
    Agent,
}

/// What the start-up checks found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartReport {
    /// Venue clock minus ours, milliseconds.
    pub clock_offset_ms: i64,
    /// The address of the signing key.
    pub signer: Address,
    /// What it is to the account.
    pub role: Signer,
    /// Until when the venue accepts the agent, UTC milliseconds; absent for an unnamed agent or a master key.
    pub agent_valid_until_ms: Option<u64>,
    /// Things to look at, in words. None of them stops trading.
    pub warnings: Vec<String>,
}

/// Why the connector did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration has faults.
    #[error("the configuration has {} faults, the first: {}", .0.len(), .0.first().map(ToString::to_string).unwrap_or_default())]
    Config(Vec<SpecFault>),
    /// No HTTP client.
    #[error("no HTTP client")]
    Http(#[from] HttpSetup),
    /// A read failed.
    #[error("a start-up check could not be made")]
    Read(#[from] ReadError),
    /// The clocks disagree.
    #[error(
        "the venue's clock is {offset_ms} ms from ours; more than {OFFSET_MAX_MS} ms is unsafe: synchronise this host's clock"
    )]
    ClockOffset {
        /// Venue minus ours.
        offset_ms: i64,
    },
    /// The account's mode keeps its balances where this connector does not look (fact sheet §8.5).
    #[error(
        "account {account} is in mode {mode:?}: its perpetual balances are not meaningful there; expected \"default\" or \"disabled\""
    )]
    AccountMode {
        /// The account.
        account: Address,
        /// The venue's word.
        mode: String,
    },
    /// The configured account is not one that holds positions.
    #[error("{account} is {role:?} at the venue; expected {expected}")]
    AccountRole {
        /// The account.
        account: Address,
        /// The venue's word.
        role: String,
        /// What would be right.
        expected: &'static str,
    },
    /// The key is not an agent of the account.
    #[error("key {signer} is not an agent of {account} at the venue (it is {found}); approve it there, or configure its account")]
    NotAgent {
        /// The key's address.
        signer: Address,
        /// Whose agent it should be.
        account: String,
        /// What the venue says that it is.
        found: String,
    },
    /// The agent has ended.
    #[error("agent {signer} ended at {valid_until_ms} (UTC, ms): approve a new one; never approve the same address again")]
    AgentEnded {
        /// The key's address.
        signer: Address,
        /// When it ended.
        valid_until_ms: u64,
    },
    /// A configured market is not there.
    #[error("the venue has no perpetual {name:?}; names are matched exactly{}", near.as_ref().map(|n| format!(" (did you mean {n:?}?)")).unwrap_or_default())]
    NoMarket {
        /// As configured.
        name: String,
        /// A name that differs by letter case alone.
        near: Option<String>,
    },
    /// A configured market's description makes no sense.
    #[error("the venue describes a configured market in a way that cannot be traded: {0}")]
    BadMarket(String),
    /// A market's number is not the pinned one (F31): this may be the wrong network.
    #[error("{name} has number {found}, pinned is {pinned}: is this the right network?")]
    Pinned {
        /// The market.
        name: String,
        /// As configured.
        pinned: u32,
        /// As the venue says.
        found: u32,
    },
    /// The venue refused an action without effect.
    #[error("the venue does not accept what this key signs: {text}")]
    KeyRefused {
        /// The venue's words.
        text: String,
    },
    /// The venue did not answer an action without effect.
    #[error("whether the venue accepts what this key signs could not be found out: {why}")]
    KeyUnproven {
        /// How it failed.
        why: String,
    },
    /// Leverage could not be set.
    #[error("leverage {leverage} could not be set on {name}")]
    Leverage {
        /// The market.
        name: String,
        /// As configured.
        leverage: u32,
        /// Why.
        #[source]
        source: LeverageError,
    },
}

impl StartError {
    /// What may help.
    #[must_use]
    pub fn next(&self) -> Next {
        match self {
            StartError::Read(e) => e.next(),
            StartError::KeyUnproven { .. } => Next::RetryAfter(Duration::from_secs(1)),
            StartError::Leverage { source, .. } => source.next(),
            StartError::Config(_)
            | StartError::Http(_)
            | StartError::ClockOffset { .. }
            | StartError::AccountMode { .. }
            | StartError::AccountRole { .. }
            | StartError::NotAgent { .. }
            | StartError::AgentEnded { .. }
            | StartError::NoMarket { .. }
            | StartError::BadMarket(_)
            | StartError::Pinned { .. }
            | StartError::KeyRefused { .. } => Next::GiveUp,
        }
    }
}

pub(super) async fn start(config: Config, key: Key, clock: Clock, jitter: Prng, resume: Resume) -> Result<Started, StartError> {
    config.check().map_err(StartError::Config)?;
    let counters = Arc::new(Counters::default());
    let reads = Reads {
        http: Http::new(&config.http, &config.timing)?,
        weight: WeightWindow::new(config.weight_per_minute),
        clock: Arc::clone(&clock),
        counters: Arc::clone(&counters),
    };
    let timeout = config.timing.read;
    let how = How { purpose: Purpose::Recover, lane: Lane::Read, timeout, patience: START_PATIENCE };

    let venue = Patient { reads: &reads, how, pause: config.timing.throttled, until: Instant::now() + START_PATIENCE };
    let clock_offset_ms = clock_offset(&venue).await?;
    counters.clock_offset_ms.store(clock_offset_ms, Ordering::Relaxed);
    let mut warnings = Vec::new();
    if clock_offset_ms.abs() > OFFSET_ALARM_MS {
        warnings.push(format!(
            "the venue's clock is {clock_offset_ms} ms from ours; above {OFFSET_MAX_MS} ms the daemon refuses to start"
        ));
    }

    let meta: Meta = venue.read(&InfoRequest::Meta { dex: None }).await?;
    let (traded, others) = split_markets(&config, &meta, &counters)?;
    let signer = key.address();
    let (role, agent_valid_until_ms) = identities(&venue, &config, signer, (clock)().wall_ms, &mut warnings).await?;
    let mode: Abstraction = venue.read(&InfoRequest::UserAbstraction { user: User::from(config.account) }).await?;
    if !mode.separate_balances() {
        return Err(StartError::AccountMode { account: config.account, mode: mode.word().to_owned() });
    }
    let budget: UserRateLimit = venue.read(&InfoRequest::UserRateLimit { user: User::from(config.account) }).await?;

    let venue_now = (clock)().wall_ms.saturating_add_signed(clock_offset_ms);
    let nonces = NonceSource::new(resume.nonce_floor.max(venue_now + NONCE_SLACK_MS));
    let address = AddressBudget::new(budget.n_requests_used, cap(&budget));
    let all: Vec<Instrument> = traded.iter().chain(&others).cloned().collect();
    let (shared, market, account, post_reader) = assemble(config, key, clock, reads, counters, nonces, address, all);
    if shared.config.prove_key {
        prove(&shared, Instant::now() + START_PATIENCE).await?;
    }
    set_leverages(&shared, how).await?;
    for traded in traded.iter().filter(|i| i.status != domain::MarketStatus::Open) {
        warnings.push(format!("{} is {:?}", traded.id, traded.status));
    }
    for warning in &warnings {
        warn!(warning, "start-up check");
    }
    let report = StartReport { clock_offset_ms, signer, role, agent_valid_until_ms, warnings };
    info!(account = %shared.config.account, %signer, ?role, clock_offset_ms, markets = traded.len(), "hyperliquid connector started");
    let connector = spawn(shared, &traded, post_reader, jitter, resume);
    Ok(Started { connector, instruments: traded, others, market, account, report })
}

/// What everything of one account shares, and the ends that whoever runs it reads from.
#[expect(clippy::too_many_arguments, reason = "the parts of one thing, each made in its own way by the two that need it")]
pub(super) fn assemble(
    config: Config,
    key: Key,
    clock: Clock,
    reads: Reads,
    counters: Arc<Counters>,
    nonces: NonceSource,
    address: AddressBudget,
    markets: Vec<Instrument>,
) -> (Arc<Shared>, MarketFeed, mpsc::Receiver<Fact>, orders::PostReader) {
    let (sink, market) = market_feed(Venue::Hyperliquid);
    let (facts, account) = mpsc::channel(FACTS_MAX);
    let gate = Arc::new(Gate::default());
    let (posts, post_reader) = orders::posts(Arc::clone(&counters), Arc::clone(&gate));
    let shared = Arc::new(Shared {
        signer: key.address(),
        key: Secret::new(key),
        clock,
        reads,
        markets: Universe::new(markets),
        nonces,
        address,
        counters,
        facts,
        sink,
        mentions: account::Mentions::default(),
        posts,
        known: orders::Known::default(),
        landing: orders::Landing::default(),
        gate,
        burns_lost: std::sync::Mutex::default(),
        mode: mode::Mode::default(),
        funding_paid: tokio::sync::Notify::new(),
        account_seen: std::sync::Mutex::default(),
        config,
    });
    (shared, market, account, post_reader)
}

/// Every perpetual that the venue describes in a way that makes sense.
pub(super) fn markets(meta: &Meta, counters: &Counters) -> Vec<Instrument> {
    let sound = |(_, found): (String, Result<Instrument, String>)| found.map_err(|why| counters.malformed("meta", why)).ok();
    instruments(meta).filter_map(sound).collect()
}

/// Whether the key may act for the account, and the venue accepts what it signs.
pub(super) async fn prove_signer(shared: &Shared) -> Result<Signer, StartError> {
    let until = Instant::now() + START_PATIENCE;
    let timing = &shared.config.timing;
    let how = How { purpose: Purpose::Recover, lane: Lane::Read, timeout: timing.read, patience: START_PATIENCE };
    let venue = Patient { reads: &shared.reads, how, pause: timing.throttled, until };
    let mut warnings = Vec::new();
    let (role, _) = identities(&venue, &shared.config, shared.signer, (shared.clock)().wall_ms, &mut warnings).await?;
    warnings.iter().for_each(|warning| warn!(warning, "the key"));
    prove(shared, until).await?;
    Ok(role)
}

/// Reads that wait out a 429: after a few quick restarts the minute's weight is gone, and the next minute has it again.
struct Patient<'a> {
    reads: &'a Reads,
    how: How,
    pause: Duration,
    until: Instant,
}

impl Patient<'_> {
    async fn read<T: DeserializeOwned>(&self, request: &InfoRequest) -> Result<T, ReadError> {
        loop {
            match self.reads.read(request, self.how).await {
                Err(error @ ReadError::Throttled { .. }) if Instant::now() + self.pause < self.until => {
                    warn!(%error, "waiting for the venue's next minute");
                    tokio::time::sleep(self.pause).await;
                }
                done => return done,
            }
        }
    }
}

/// An action without effect, which the venue takes only from this key, for this network, with this nonce.
async fn prove(shared: &Shared, until: Instant) -> Result<(), StartError> {
    loop {
        match orders::prove(shared).await {
            Ok(()) => return Ok(()),
            Err(ProofError::Throttled) if Instant::now() < until => tokio::time::sleep(shared.config.timing.throttled).await,
            Err(ProofError::Throttled) => {
                return Err(StartError::KeyUnproven { why: "too many requests from this address".to_owned() });
            }
            Err(ProofError::Refused(text)) => return Err(StartError::KeyRefused { text }),
            Err(ProofError::NoAnswer(why)) => return Err(StartError::KeyUnproven { why }),
        }
    }
}

/// The reading with the shortest round trip of a few.
async fn clock_offset(venue: &Patient<'_>) -> Result<i64, StartError> {
    // the first read of all: it finds out whether the venue lets us read
    venue.read::<ExchangeStatus>(&InfoRequest::ExchangeStatus).await?;
    let mut best: Option<(i64, Duration)> = None;
    for _ in 0..CLOCK_PROBES {
        let reading = venue.reads.clock_offset(venue.how).await?;
        if best.is_none_or(|(_, shortest)| reading.trip < shortest) {
            best = Some((reading.offset_ms, reading.trip));
        }
    }
    let offset_ms = best.map_or(i64::MAX, |(offset, _)| offset);
    if offset_ms.saturating_abs() > OFFSET_MAX_MS { Err(StartError::ClockOffset { offset_ms }) } else { Ok(offset_ms) }
}

/// The configured markets, in the configuration's order, and all others that make sense.
fn split_markets(config: &Config, meta: &Meta, counters: &Counters) -> Result<(Vec<Instrument>, Vec<Instrument>), StartError> {
    let mut described: BTreeMap<String, Result<Instrument, String>> = BTreeMap::new();
    for (name, instrument) in instruments(meta) {
        described.insert(name, instrument);
    }
    let mut traded = Vec::with_capacity(config.markets.len());
    for wanted in &config.markets {
        let Some(found) = described.remove(&wanted.name) else {
            let near =
                meta.universe.iter().map(|entry| &entry.name).find(|name| name.eq_ignore_ascii_case(&wanted.name)).cloned();
            return Err(StartError::NoMarket { name: wanted.name.clone(), near });
        };
        let instrument = found.map_err(StartError::BadMarket)?;
        if let Some(pinned) = wanted.asset.filter(|pinned| *pinned != instrument.venue_asset) {
            return Err(StartError::Pinned { name: wanted.name.clone(), pinned, found: instrument.venue_asset });
        }
        traded.push(instrument);
    }
    let mut others = Vec::with_capacity(described.len());
    for (_, found) in described {
        match found {
            Ok(instrument) => others.push(instrument),
            Err(why) => counters.malformed("meta", why),
        }
    }
    Ok((traded, others))
}

/// Every perpetual of `meta` by name. An asset's number is its place in the list, delisted ones included (fact sheet §2.1).
fn instruments(meta: &Meta) -> impl Iterator<Item = (String, Result<Instrument, String>)> + '_ {
    meta.universe.iter().enumerate().map(|(place, entry)| {
        let table = entry.margin_table_id.and_then(|id| meta.margin_tables.iter().find(|(known, _)| *known == id));
        let tiers: Option<Result<Vec<(Usd, u32)>, String>> = table.map(|(_, table)| {
            table
                .margin_tiers
                .iter()
                .map(|tier| Ok((Usd::new(tier.lower_bound.get()).map_err(|e| e.to_string())?, tier.max_leverage)))
                .collect()
        });
        let instrument = tiers.transpose().and_then(|tiers| {
            market::instrument(
                &entry.name,
                u32::try_from(place).map_err(|e| e.to_string())?,
                entry.sz_decimals,
                entry.max_leverage,
                tiers.as_deref(),
                entry.isolated_only(),
                entry.is_delisted == Some(true),
            )
        });
        (entry.name.clone(), instrument)
    })
}

/// Whether the account is an account, and the key one that may act for it. Roles are the dearest read of all (weight 60), so
/// only those are read that decide.
async fn identities(
    venue: &Patient<'_>,
    config: &Config,
    signer: Address,
    now_ms: u64,
    warnings: &mut Vec<String>,
) -> Result<(Signer, Option<u64>), StartError> {
    if !config.sub_account && signer != config.account {
        return match agent_of(venue, signer, config.account, now_ms, warnings).await {
            // the account may be what is wrong
            Err(e @ StartError::NotAgent { .. }) => Err(bad_account(&role_of(venue, config.account).await?, config).unwrap_or(e)),
            done => done,
        };
    }
    let account = role_of(venue, config.account).await?;
    if let Some(e) = bad_account(&account, config) {
        return Err(e);
    }
    if account.role == "missing" {
        warnings.push(format!("the venue has not seen account {} yet: it needs a deposit before it can trade", config.account));
    }
    if account.role == "vault" {
        // who leads a vault is not in its role
        warnings.push("the account is a vault: whether the key may act for it shows in the first action".to_owned());
        return Ok((Signer::Master, None));
    }
    let master = match account.data.as_ref().and_then(|d| d.master.as_ref()).and_then(User::address) {
        Some(master) => master,
        None => config.account,
    };
    if signer != master {
        return agent_of(venue, signer, master, now_ms, warnings).await;
    }
    warnings.push("orders are signed with the account's own key, which can also move funds: an agent key cannot".to_owned());
    Ok((Signer::Master, None))
}

async fn role_of(venue: &Patient<'_>, user: Address) -> Result<UserRole, ReadError> {
    venue.read(&InfoRequest::UserRole { user: User::from(user) }).await
}

/// What is wrong with the configured account, if anything.
fn bad_account(account: &UserRole, config: &Config) -> Option<StartError> {
    let has_master = account.data.as_ref().and_then(|d| d.master.as_ref()).and_then(User::address).is_some();
    let expected = match (account.role.as_str(), config.sub_account) {
        ("user" | "missing", false) | ("vault", true) => return None,
        ("subAccount", true) if has_master => return None,
        ("agent", _) => "the account that the agent acts for, not the agent's own address",
        ("subAccount", true) => "a sub-account with a master address",
        ("subAccount" | "vault", false) => "a master account, or sub_account = true",
        (_, true) => "a sub-account or vault, or sub_account = false",
        (_, false) => "a user account",
    };
    Some(StartError::AccountRole { account: config.account, role: account.role.clone(), expected })
}

/// Whether `signer` is an agent of `master`, and until when.
async fn agent_of(
    venue: &Patient<'_>,
    signer: Address,
    master: Address,
    now_ms: u64,
    warnings: &mut Vec<String>,
) -> Result<(Signer, Option<u64>), StartError> {
    let key = role_of(venue, signer).await?;
    let of = key.data.as_ref().and_then(|d| d.user.as_ref());
    if key.role != "agent" || of.and_then(User::address) != Some(master) {
        let found = match of {
            Some(of) => format!("{} of {of}", key.role),
            None => key.role.clone(),
        };
        return Err(StartError::NotAgent { signer, account: master.to_string(), found });
    }
    let agents: Vec<ExtraAgent> = venue.read(&InfoRequest::ExtraAgents { user: User::from(master) }).await?;
    let until = agents.iter().find(|a| a.address.address() == Some(signer)).and_then(|a| a.valid_until);
    match until {
        Some(valid_until_ms) if valid_until_ms <= now_ms => return Err(StartError::AgentEnded { signer, valid_until_ms }),
        Some(valid_until_ms) if valid_until_ms - now_ms < AGENT_WARNING_MS => {
            warnings.push(format!("agent {signer} ends in {} hours: approve a new one", (valid_until_ms - now_ms) / 3_600_000));
        }
        Some(_) => {}
        None => warnings.push(format!("agent {signer} is unnamed or without an end: the venue does not say until when it holds")),
    }
    Ok((Signer::Agent, until))
}

/// Sets what the configuration asks for and the account does not have.
async fn set_leverages(shared: &Shared, how: How) -> Result<(), StartError> {
    for market in &shared.config.markets {
        let (Some(leverage), Some(instrument)) = (market.leverage, shared.markets.coin(&market.name)) else { continue };
        let request = InfoRequest::ActiveAssetData { user: User::from(shared.config.account), coin: market.name.clone() };
        // without a reading the setting is made anew: that is harmless
        let set: Option<ActiveAssetData> = shared.reads.read(&request, how).await.ok();
        let same = set.is_some_and(|set| {
            set.leverage.value() == leverage && matches!(set.leverage, Leverage::Cross { .. }) == market.cross
        });
        if !same {
            orders::set_leverage(shared, instrument.id, leverage, market.cross).await.map_err(|source| StartError::Leverage {
                name: market.name.clone(),
                leverage,
                source,
            })?;
        }
    }
    Ok(())
}

/// The address's cap with what was bought on top.
fn cap(budget: &UserRateLimit) -> u64 {
    budget.n_requests_cap.saturating_add(budget.n_requests_surplus.unwrap_or(0))
}

fn spawn(
    shared: Arc<Shared>,
    traded: &[Instrument],
    post_reader: orders::PostReader,
    mut jitter: Prng,
    resume: Resume,
) -> Connector {
    let (fell, fallen) = watch::channel(None);
    let crew = Crew { tasks: TaskTracker::new(), stop: CancellationToken::new(), fell };
    let pacer = Arc::new(Pacer::new(shared.config.connects_per_minute));
    let mut link = |name| LinkParts {
        shared: Arc::clone(&shared),
        pacer: Arc::clone(&pacer),
        jitter: Seed(jitter.next_u64()).fork(name),
        stop: crew.stop.clone(),
    };
    crew.spawn("market stream", link("market").with(MarketReader::new(Arc::clone(&shared), traded)).run());
    crew.spawn("account stream", link("account").with(AccountReader::new(Arc::clone(&shared), resume.fundings_since_ms)).run());
    if shared.config.order_route == OrderRoute::Ws {
        crew.spawn("posts", link("posts").with(post_reader).run());
    }
    crew.spawn("account poll", poll_account(Arc::clone(&shared), crew.stop.clone()));
    crew.spawn("clock poll", poll_clock(Arc::clone(&shared), crew.stop.clone()));
    crew.spawn("rules poll", poll_rules(Arc::clone(&shared), crew.stop.clone()));
    let ids: Vec<InstrumentId> = traded.iter().map(|i| i.id).collect();
    crew.spawn("venue mode", mode::run(Arc::clone(&shared), ids.clone(), crew.stop.clone()));
    let spread = Seed(jitter.next_u64()).fork("history");
    crew.spawn("history", history::run(Arc::clone(&shared), ids, spread, crew.stop.clone()));
    Connector { shared, tasks: crew.tasks, stop: crew.stop, fallen }
}

/// The connector's tasks. All of them are critical: one that ends unasked raises the alarm.
struct Crew {
    tasks: TaskTracker,
    stop: CancellationToken,
    fell: watch::Sender<Option<&'static str>>,
}

impl Crew {
    fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let alarm = Alarm { name, returned: false, stop: self.stop.clone(), fell: self.fell.clone() };
        self.tasks.spawn(async move {
            task.await;
            alarm.returned();
        });
    }
}

/// Speaks up when its task returns unasked or panics, and not when the whole runtime goes down.
struct Alarm {
    name: &'static str,
    returned: bool,
    stop: CancellationToken,
    fell: watch::Sender<Option<&'static str>>,
}

impl Alarm {
    fn returned(mut self) {
        self.returned = true;
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if (self.returned || std::thread::panicking()) && !self.stop.is_cancelled() {
            error!(task = self.name, "a task of the connector ended unasked");
            self.fell.send_replace(Some(self.name));
        }
    }
}

fn refresh(shared: &Shared, lane: Lane) -> How {
    How { purpose: Purpose::Refresh, lane, timeout: shared.config.timing.read, patience: Duration::ZERO }
}

/// A poll that found the budget used by more urgent requests is no news.
fn complain(error: &ReadError, what: &str) {
    match error {
        ReadError::Budget { .. } => debug!(%error, what),
        ReadError::NoAnswer { .. }
        | ReadError::Throttled { .. }
        | ReadError::Status { .. }
        | ReadError::Malformed { .. }
        | ReadError::Endless { .. } => warn!(%error, what),
    }
}

/// Reads the account when no stream delivered it.
async fn poll_account(shared: Arc<Shared>, stop: CancellationToken) {
    let every = shared.config.timing.account_poll;
    while pause(&stop, every).await {
        if shared.account_age() < every {
            continue;
        }
        match shared.reads.account(shared.config.account, refresh(&shared, Lane::Read)).await {
            Ok(state) => {
                let fact = account::account_fact(&shared, &state);
                if let Some(fact) = fact
                    && !deliver(&shared, &stop, fact).await
                {
                    return;
                }
            }
            Err(e) => complain(&e, "the account could not be read"),
        }
    }
}

/// Reads the venue's clock by the connections of orders and of cancels, which keeps them open: those of cancels as many as the kill
/// path uses at once, so that its first requests wait for no handshake. The reading with the shortest round trip counts.
async fn poll_clock(shared: Arc<Shared>, stop: CancellationToken) {
    // the first fact follows at once: the desk trades only with a known offset
    let mut wait = Duration::ZERO;
    let mut told = false;
    while pause(&stop, wait).await {
        let poll = shared.config.timing.clock_poll;
        wait = if told { poll } else { poll.min(CLOCK_AGAIN) };
        let by = |lane| shared.reads.clock_offset(refresh(&shared, lane));
        let lanes = std::iter::once(Lane::Order).chain(std::iter::repeat_n(Lane::Cancel, WARM_CANCELS));
        let readings = futures_util::future::join_all(lanes.map(by)).await;
        let mut best: Option<(i64, Duration)> = None;
        for reading in readings {
            match reading {
                Ok(new) => {
                    if let Some(notice) = &new.notice {
                        shared.mode.noticed(notice, (shared.clock)());
                    }
                    if best.is_none_or(|(_, shortest)| new.trip < shortest) {
                        best = Some((new.offset_ms, new.trip));
                    }
                }
                Err(e) => complain(&e, "the venue's clock could not be read"),
            }
        }
        // a slow answer says little: its reading can be wrong by half the trip
        let Some((offset_ms, _)) = best.filter(|(_, trip)| *trip <= CLOCK_TRIP_MAX) else { continue };
        shared.counters.clock_offset_ms.store(offset_ms, Ordering::Relaxed);
        if offset_ms.abs() > OFFSET_ALARM_MS {
            warn!(offset_ms, "the venue's clock differs from ours");
        }
        if !deliver(&shared, &stop, Fact::ClockOffset(Venue::Hyperliquid, offset_ms)).await {
            return;
        }
        told = true;
        wait = poll;
    }
}

/// Reads the markets' rules and the address's budget.
async fn poll_rules(shared: Arc<Shared>, stop: CancellationToken) {
    while pause(&stop, shared.config.timing.rules_poll).await {
        match shared.reads.read::<Meta>(&InfoRequest::Meta { dex: None }, refresh(&shared, Lane::Read)).await {
            Ok(meta) => {
                let fresh: Vec<Instrument> = instruments(&meta).filter_map(|(_, instrument)| instrument.ok()).collect();
                shared.mode.listed(shared.markets.update(&fresh));
            }
            Err(e) => complain(&e, "the markets' rules could not be read"),
        }
        let request = InfoRequest::UserRateLimit { user: User::from(shared.config.account) };
        match shared.reads.read::<UserRateLimit>(&request, refresh(&shared, Lane::Read)).await {
            Ok(budget) => shared.address.observe(budget.n_requests_used, cap(&budget)),
            Err(e) => complain(&e, "the address's request budget could not be read"),
        }
    }
}

/// False if it is time to stop.
async fn pause(stop: &CancellationToken, wait: Duration) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(wait) => true,
    }
}

/// False if it is time to stop.
async fn deliver(shared: &Shared, stop: &CancellationToken, fact: Fact) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        sent = shared.facts.send(fact) => sent.is_ok(),
    }
}
