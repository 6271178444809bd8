//! What the configuration means: every default, every bound, and the plain words of `plimsoll check`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use desk::ForeignPolicy;
use domain::{ConfigText, InstrumentId, Operator, Seed, Span, SpecFault, Usd, Venue};
use margin_guard::Limits;
use serde_json::json;
use venue_connector::hyperliquid::{Market, Network, OrderRoute};
use wire::hyperliquid::Address;

use super::alerts::AlertsPart;
use super::change::Keys;
use super::file::Origin;
use super::kill::KillPart;
use super::operators;
use super::places::Places;
use super::raw::{Raw, RawDaemon, RawHyperliquid, RawPaper, RawPaperChain, Scalar, Unknown};
use super::treasury::{Around, TreasuryPart};
use super::watchdog::{self, WatchdogPart};
use super::{RawParent, plan_to_spec, shown};

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogStyle {
    /// For a person on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For a person.
    Human,
    /// One JSON object per line.
    Json,
}

/// Where the venue is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// The paper venue that this program starts for itself.
    Embedded,
    /// A venue at these addresses, traded for `account` with the key in `key_file`.
    External {
        /// Base of `/info` and `/exchange`.
        http: String,
        /// WebSocket address.
        ws: String,
        /// The account.
        account: Address,
        /// Whether it is a sub-account or vault.
        sub_account: bool,
        /// Where the agent's key is.
        key_file: PathBuf,
    },
}

/// The embedded venue's market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaperMarket {
    /// A recording.
    Tape {
        /// Where it is.
        file: PathBuf,
        /// How many times faster than recorded.
        speed: u32,
    },
    /// Seeded synthetic flow.
    Synthetic,
}

impl PaperMarket {
    /// The tape's name without its folder, and its speed.
    fn said(&self) -> String {
        match self {
            PaperMarket::Tape { file, speed } => format!("{} {speed}", file.file_name().unwrap_or_default().display()),
            PaperMarket::Synthetic => "synthetic".to_owned(),
        }
    }
}

/// The paper venue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaperPart {
    /// Its market.
    pub market: PaperMarket,
    /// Root of its chance.
    pub seed: Seed,
    /// What every new account starts with.
    pub balance: Usd,
    /// Stop after this long without a client.
    pub idle_exit: std::time::Duration,
    /// Whether the venue's request budgets are enforced.
    pub rate_limits: bool,
    /// What the venue says about the time before it began.
    pub history: paper::History,
    /// The local chain on which its bridge stands.
    pub chain: Option<ChainPart>,
}

/// The paper venue's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainPart {
    /// All but the key.
    pub spec: paper::ChainSpec,
    /// By which roads the venue says that USDC comes in and goes out.
    pub routing: paper::Routing,
    /// Where the bridge's key is.
    pub key_file: Option<PathBuf>,
}

/// A configuration without faults.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Journal, socket, latch.
    pub state_dir: PathBuf,
    /// Operator socket.
    pub socket: PathBuf,
    /// How logs are written.
    pub log: LogStyle,
    /// Root of all chance.
    pub seed: Seed,
    /// What to do about foreign orders.
    pub foreign: ForeignPolicy,
    /// How often the venue is compared with the books.
    pub reconcile_every: Span,
    /// How long the venue may still accept what we signed, milliseconds.
    pub expires_after_ms: u64,
    /// With more unresolved sends than this nothing is proposed.
    pub unknown_max: usize,
    /// Where the venue is.
    pub endpoint: Endpoint,
    /// Mainnet or testnet.
    pub network: Network,
    /// How orders travel.
    pub order_route: OrderRoute,
    /// Which book.
    pub fast_book: bool,
    /// Whether the venue's own dead-man is set while orders rest.
    pub dead_man: bool,
    /// Markets to trade.
    pub markets: Vec<Market>,
    /// The embedded venue.
    pub paper: PaperPart,
    /// The guard's limits.
    pub limits: Limits,
    /// `[watchdog]`
    pub watchdog: WatchdogPart,
    /// `[treasury]`; absent without the section.
    pub treasury: Option<TreasuryPart>,
    /// `[alerts]`; absent if nobody is told.
    pub alerts: Option<AlertsPart>,
    /// `[kill]`
    pub kill: KillPart,
    /// Who may approve.
    pub operators: Vec<Operator>,
    /// The file it was read from.
    pub origin: Origin,
    /// Its keys but the guard's, by path, as they were written.
    pub keys: Keys,
    /// Parents to submit on `--plan`.
    pub plan: Vec<RawParent>,
    /// Hash of all of the above but the places of files and the style of logs.
    pub hash: String,
}

/// Collects faults under a path.
pub(super) struct Faults(pub(super) Vec<SpecFault>);

impl Faults {
    pub(super) fn add(&mut self, field: impl Into<String>, value: impl ToString, expected: impl Into<String>) {
        self.0.push(SpecFault { field: field.into(), value: shown(&value.to_string()), expected: expected.into() });
    }

    pub(super) fn unknown(&mut self, path: &str, unknown: &Unknown) {
        for key in unknown.keys() {
            let field = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            self.add(field, "(set)", "no such key; see config/default.toml for those that exist");
        }
    }

    /// `default` if it is absent; a fault and `default` if it makes no sense.
    pub(super) fn read<T>(
        &mut self,
        path: &str,
        value: Option<&Scalar>,
        default: T,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> T {
        match value {
            None => default,
            Some(Scalar(text)) => parse(text).unwrap_or_else(|| {
                self.add(path, text, expected);
                default
            }),
        }
    }

    pub(super) fn needed<T>(
        &mut self,
        path: &str,
        value: Option<&Scalar>,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let parsed = value.and_then(|Scalar(text)| parse(text));
        if parsed.is_none() {
            self.add(path, value.map_or("(absent)", |s| &s.0), expected);
        }
        parsed
    }
}

pub(super) fn word<T: Copy>(choices: &'static [(&'static str, T)]) -> impl Fn(&str) -> Option<T> {
    move |text| choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice)
}

pub(super) fn within<T: FromStr + PartialOrd + Copy>(low: T, high: T) -> impl Fn(&str) -> Option<T> {
    move |text| text.parse().ok().filter(|n| (low..=high).contains(n))
}

pub(super) fn duration(low: u64, high: u64) -> impl Fn(&str) -> Option<u64> {
    move |text| {
        let ms = humantime::parse_duration(text).ok().and_then(|d| u64::try_from(d.as_millis()).ok());
        ms.filter(|ms| (low..=high).contains(ms))
    }
}

pub(super) const BOOL: &[(&str, bool)] = &[("true", true), ("false", false)];

impl Checked {
    /// Checks `raw` on the UTC day `today`. Relative paths are relative to the folder of the file.
    ///
    /// # Errors
    /// Every fault.
    pub fn check(raw: Raw, origin: Origin, keys: Keys, today: u32) -> Result<Checked, Vec<SpecFault>> {
        let base = origin.path.parent().unwrap_or(Path::new("."));
        let mut faults = Faults(Vec::new());
        faults.unknown("", &raw.unknown);
        faults.unknown("venue", &raw.venue.unknown);
        let guard = Limits::check_on(raw.guard.clone(), today).map_err(|more| faults.0.extend(more)).ok();
        let daemon = check_daemon(&mut faults, &raw.daemon, base);
        let watchdog = watchdog::check(&mut faults, raw.watchdog.as_ref(), base, &daemon.state_dir);
        let paper = check_paper(&mut faults, &raw.paper, base);
        let kill = KillPart::check(&mut faults, &raw.kill);
        let operators = operators::check(&mut faults, &raw.operators);
        let venue = match &raw.venue.hyperliquid {
            Some(venue) => Some(check_hyperliquid(&mut faults, venue, base)),
            None => {
                faults.add("venue.hyperliquid", "(absent)", "a section with at least mode and one market");
                None
            }
        };
        let treasury = raw.treasury.as_ref().zip(venue.as_ref()).and_then(|(treasury, venue)| {
            let around =
                Around { endpoint: &venue.endpoint, network: venue.network, base, cover: guard.as_ref().map(Limits::cover) };
            TreasuryPart::check(&mut faults, treasury, &around)
        });
        let alerts = AlertsPart::check(&mut faults, &raw.alerts, base);
        if let (Some(limits), Some(venue)) = (&guard, &venue) {
            check_allowed(&mut faults, limits, &venue.markets);
        }
        for (n, parent) in raw.plan.iter().enumerate() {
            check_plan(&mut faults, n, parent, venue.as_ref().map_or(&[], |v| &v.markets));
        }
        match (guard, venue) {
            (Some(limits), Some(venue)) if faults.0.is_empty() => Ok(Checked {
                hash: String::new(),
                state_dir: daemon.state_dir,
                socket: daemon.socket,
                log: daemon.log,
                seed: daemon.seed,
                foreign: daemon.foreign,
                reconcile_every: daemon.reconcile_every,
                expires_after_ms: daemon.expires_after_ms,
                unknown_max: daemon.unknown_max,
                endpoint: venue.endpoint,
                network: venue.network,
                order_route: venue.order_route,
                fast_book: venue.fast_book,
                dead_man: venue.dead_man,
                watchdog,
                markets: venue.markets,
                paper,
                limits,
                treasury,
                alerts,
                kill,
                operators,
                keys,
                origin,
                plan: raw.plan,
            }
            .sealed()),
            _ => Err(faults.0),
        }
    }

    /// The hash says what the daemon does, whichever file, environment or default said so. Where its files lie and how it logs
    /// change nothing of that.
    fn sealed(mut self) -> Checked {
        let endpoint = match &self.endpoint {
            Endpoint::Embedded => {
                json!({ "embedded": { "seed": self.paper.seed, "balance": self.paper.balance, "market": self.paper.market.said() } })
            }
            Endpoint::External { http, ws, account, sub_account, key_file: _ } => {
                json!({ "http": http, "ws": ws, "account": account.to_string(), "sub_account": sub_account })
            }
        };
        let market = |m: &Market| json!([m.name, m.asset, m.leverage, m.cross]);
        let text = json!({
            "seed": self.seed,
            "foreign": self.foreign,
            "reconcile_every": self.reconcile_every,
            "expires_after_ms": self.expires_after_ms,
            "unknown_max": self.unknown_max,
            "on_stop": self.kill.on_stop,
            "flatten": [
                json!(self.kill.flatten.horizon),
                json!(self.kill.flatten.slippage_max),
                json!(self.kill.flatten.rounds),
            ],
            "operators": self.operators,
            "endpoint": endpoint,
            "network": format!("{:?}", self.network),
            "order_route": format!("{:?}", self.order_route),
            "fast_book": self.fast_book,
            "dead_man": self.dead_man,
            "watchdog": self.watchdog.on.then_some(self.watchdog.limit.as_millis()),
            "markets": self.markets.iter().map(market).collect::<Vec<_>>(),
            "limits": self.limits.text(),
            "plan": self.plan,
            "treasury": self.treasury.as_ref().filter(|t| t.enabled).map(TreasuryPart::said),
            "alerts": self.alerts.as_ref().map(AlertsPart::said),
        });
        self.hash = blake3::hash(text.to_string().as_bytes()).to_hex()[..32].to_owned();
        self
    }

    /// The same with other limits of the guard.
    #[must_use]
    pub fn under(&self, limits: Limits) -> Checked {
        Checked { limits, ..self.clone() }.sealed()
    }

    /// What the desk is told of it.
    #[must_use]
    pub fn text(&self) -> ConfigText {
        let keys = serde_json::to_string(&self.keys).unwrap_or_default();
        ConfigText { hash: self.hash.clone(), limits: self.limits.text().to_owned(), keys }
    }

    /// The markets by their full names.
    #[must_use]
    pub fn instruments(&self) -> Vec<InstrumentId> {
        self.markets.iter().filter_map(|m| InstrumentId::new(Venue::Hyperliquid, &m.name).ok()).collect()
    }

    /// Everything in plain words.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = String::new();
        let mut line = |words: String| {
            if writeln!(text, "{words}").is_err() {
                text.push('?'); // writing to a string cannot fail
            }
        };
        match &self.endpoint {
            Endpoint::Embedded => line(match &self.paper.market {
                PaperMarket::Tape { file, speed } => {
                    format!("Venue: the embedded paper venue on the recording {} at {speed}x; no real money.", file.display())
                }
                PaperMarket::Synthetic => "Venue: the embedded paper venue on synthetic flow; no real money.".to_owned(),
            }),
            Endpoint::External { http, account, key_file, .. } => {
                line(format!(
                    "Venue: Hyperliquid {:?} at {http}, account {account}, key in {}.",
                    self.network,
                    key_file.display()
                ));
            }
        }
        let names: Vec<&str> = self.markets.iter().map(|m| m.name.as_str()).collect();
        line(format!("Markets: {}.", names.join(", ")));
        line(format!("State: {}; operator socket {}.", self.state_dir.display(), self.socket.display()));
        line(format!(
            "What we sign is void after {} ms; the venue is compared with the books every {}; foreign orders: {:?}.",
            self.expires_after_ms, self.reconcile_every, self.foreign
        ));
        line(self.kill.describe().to_owned());
        let flatten = self.kill.flatten;
        line(format!(
            "Flatten: at most {} rounds of {} each, within {} of the mid at the beginning of each.",
            flatten.rounds, flatten.horizon, flatten.slippage_max
        ));
        line(if self.watchdog.on {
            format!(
                "Watchdog: a heartbeat in {} older than {:?} means that this daemon hangs; it holds itself to that, too.",
                self.watchdog.dir.display(),
                self.watchdog.limit
            )
        } else {
            "Watchdog: none is configured; if this process hangs, nobody cancels its orders.".to_owned()
        });
        line(operators::describe(&self.operators));
        line(String::new());
        line(self.limits.describe());
        match &self.treasury {
            Some(treasury) => treasury.describe().into_iter().for_each(&mut line),
            None => line("Treasury: off; no money moves by itself.".to_owned()),
        }
        match &self.alerts {
            Some(alerts) => alerts.describe().into_iter().for_each(&mut line),
            None => line("Alerts: nobody is told; they stand in the log and in plimsoll status.".to_owned()),
        }
        for (n, p) in self.plan.iter().enumerate() {
            let end = p.end.as_deref().unwrap_or("cancel");
            let (side, quantity, what) = (&p.side, &p.quantity, &p.instrument);
            line(format!(
                "Plan {}: {side} {quantity} {what}, {} over {}, {}, then {end}.",
                n + 1,
                p.schedule,
                p.horizon,
                p.placement
            ));
        }
        text
    }
}

pub(super) struct DaemonPart {
    pub(super) state_dir: PathBuf,
    socket: PathBuf,
    pub(super) log: LogStyle,
    seed: Seed,
    foreign: ForeignPolicy,
    reconcile_every: Span,
    pub(super) expires_after_ms: u64,
    unknown_max: usize,
}

pub(super) fn check_daemon(faults: &mut Faults, raw: &RawDaemon, base: &Path) -> DaemonPart {
    const LOGS: &[(&str, LogStyle)] = &[("auto", LogStyle::Auto), ("human", LogStyle::Human), ("json", LogStyle::Json)];
    const FOREIGN: &[(&str, ForeignPolicy)] = &[("freeze", ForeignPolicy::Freeze), ("report", ForeignPolicy::Report)];
    faults.unknown("daemon", &raw.unknown);
    let written = |value: &Option<Scalar>| value.as_ref().map(|text| text.0.clone());
    let Places { state_dir, socket } = Places::new(base, written(&raw.state_dir), written(&raw.socket));
    DaemonPart {
        socket,
        log: faults.read("daemon.log", raw.log.as_ref(), LogStyle::Auto, "auto, human or json", word(LOGS)),
        seed: Seed(faults.read("daemon.seed", raw.seed.as_ref(), 1, "a whole number from 0", |t| t.parse().ok())),
        foreign: faults.read("daemon.foreign", raw.foreign.as_ref(), ForeignPolicy::Freeze, "freeze or report", word(FOREIGN)),
        reconcile_every: Span::millis(faults.read(
            "daemon.reconcile_every",
            raw.reconcile_every.as_ref(),
            15_000,
            "a duration of 2s to 60s",
            duration(2_000, 60_000),
        )),
        expires_after_ms: faults.read(
            "daemon.expires_after",
            raw.expires_after.as_ref(),
            10_000,
            "a duration of 1s to 15s",
            duration(1_000, 15_000),
        ),
        unknown_max: faults.read("daemon.unknown_max", raw.unknown_max.as_ref(), 3, "0 to 100", within(0, 100)),
        state_dir,
    }
}

fn check_paper(faults: &mut Faults, raw: &RawPaper, base: &Path) -> PaperPart {
    faults.unknown("paper", &raw.unknown);
    let speed = faults.read("paper.speed", raw.speed.as_ref(), 1, "a whole number from 1 to 100", within(1, 100));
    let market = match &raw.tape {
        None => PaperMarket::Synthetic,
        Some(Scalar(name)) => {
            let file = base.join(name);
            if !file.is_file() {
                faults.add("paper.tape", name, format!("an existing file; {} is not there", file.display()));
            }
            PaperMarket::Tape { file, speed }
        }
    };
    let money = |text: &str| text.parse::<Usd>().ok().filter(|u| *u > Usd::ZERO);
    PaperPart {
        market,
        seed: Seed(faults.read("paper.seed", raw.seed.as_ref(), 1, "a whole number from 0", |t| t.parse().ok())),
        balance: faults.read(
            "paper.balance_usd",
            raw.balance_usd.as_ref(),
            Usd::whole(100_000),
            "an amount above 0, in quotes",
            money,
        ),
        rate_limits: faults.read(
            "paper.rate_limits",
            raw.rate_limits.as_ref(),
            true,
            "venue or off",
            word(&[("venue", true), ("off", false)]),
        ),
        history: faults.read(
            "paper.history",
            raw.history.as_ref(),
            paper::History::Synthetic,
            "synthetic or none",
            word(&[("synthetic", paper::History::Synthetic), ("none", paper::History::None)]),
        ),
        chain: raw.chain.as_ref().and_then(|chain| check_chain(faults, chain, base)),
        idle_exit: std::time::Duration::from_millis(faults.read(
            "paper.idle_exit",
            raw.idle_exit.as_ref(),
            180_000,
            "a duration of 1s to 24h",
            duration(1_000, 86_400_000),
        )),
    }
}

fn check_chain(faults: &mut Faults, raw: &RawPaperChain, base: &Path) -> Option<ChainPart> {
    faults.unknown("paper.chain", &raw.unknown);
    let ms = std::time::Duration::from_millis;
    let address = |text: &str| text.parse::<Address>().ok();
    let rpc = faults.needed("paper.chain.rpc", raw.rpc.as_ref(), "http:// and a loopback address", |t| {
        t.starts_with("http://").then(|| t.to_owned())
    });
    let token = faults.needed("paper.chain.token", raw.token.as_ref(), "the token's address", address);
    let bridge = faults.needed("paper.chain.bridge", raw.bridge.as_ref(), "the bridge's address", address);
    let confirmations = faults.read("paper.chain.confirmations", raw.confirmations.as_ref(), 0, "0 to 200", within(0, 200));
    let delay = |faults: &mut Faults, key: &str, value: Option<&Scalar>, usual| {
        ms(faults.read(&format!("paper.chain.{key}"), value, usual, "a duration of 0s to 24h", duration(0, 86_400_000)))
    };
    let credit_after = delay(faults, "credit_after", raw.credit_after.as_ref(), 2_000);
    let pay_after = delay(faults, "pay_after", raw.pay_after.as_ref(), 3_000);
    let key_file = raw.key_file.as_ref().map(|Scalar(name)| base.join(name));
    if let Some(file) = key_file.as_ref().filter(|file| !file.is_file()) {
        faults.add("paper.chain.key_file", file.display().to_string(), "an existing file with the bridge's key");
    }
    let mut road = |key: &str, value: Option<&Scalar>| {
        faults.read(&format!("paper.chain.{key}"), value, paper::UsdcRoad::Bridge, "bridge or cctp", word(ROADS))
    };
    let deposit = road("deposit_route", raw.deposit_route.as_ref());
    let routing = paper::Routing { deposit, withdrawal: road("withdrawal_route", raw.withdrawal_route.as_ref()) };
    let cctp = check_cctp(faults, raw, delay);
    if deposit == paper::UsdcRoad::Cctp && cctp.is_none() {
        faults.add("paper.chain.deposit_route", "cctp", "bridge, or cctp with cctp_messenger and cctp_forwarder");
    }
    let usual = paper::ChainSpec::new(rpc?, token?, bridge?);
    Some(ChainPart { spec: paper::ChainSpec { confirmations, credit_after, pay_after, cctp, ..usual }, key_file, routing })
}

const ROADS: &[(&str, paper::UsdcRoad)] = &[("bridge", paper::UsdcRoad::Bridge), ("cctp", paper::UsdcRoad::Cctp)];

/// CCTP on the paper venue's chain: its messenger turns it on.
fn check_cctp(
    faults: &mut Faults,
    raw: &RawPaperChain,
    delay: impl Fn(&mut Faults, &str, Option<&Scalar>, u64) -> std::time::Duration,
) -> Option<paper::CctpSpec> {
    let address = |text: &str| text.parse::<Address>().ok();
    let is_any = [&raw.cctp_messenger, &raw.cctp_forwarder, &raw.cctp_fee_usd, &raw.cctp_credit_after];
    if is_any.iter().all(|value| value.is_none()) {
        return None;
    }
    let messenger =
        faults.needed("paper.chain.cctp_messenger", raw.cctp_messenger.as_ref(), "the token messenger's address", address);
    let forwarder = faults.needed("paper.chain.cctp_forwarder", raw.cctp_forwarder.as_ref(), "the forwarder's address", address);
    let usual = paper::CctpSpec::new(messenger.unwrap_or(Address::ZERO), forwarder.unwrap_or(Address::ZERO));
    let amount = |text: &str| text.parse::<Usd>().ok().filter(|fee| fee.micros().is_some());
    let fee = faults.read(
        "paper.chain.cctp_fee_usd",
        raw.cctp_fee_usd.as_ref(),
        usual.fee,
        "an amount in quotes, from 0, with at most 6 decimals",
        amount,
    );
    let credit_after = delay(faults, "cctp_credit_after", raw.cctp_credit_after.as_ref(), 2_000);
    Some(paper::CctpSpec { messenger: messenger?, forwarder: forwarder?, fee, credit_after })
}

pub(super) struct VenuePart {
    pub(super) endpoint: Endpoint,
    pub(super) network: Network,
    order_route: OrderRoute,
    fast_book: bool,
    dead_man: bool,
    markets: Vec<Market>,
}

pub(super) fn check_hyperliquid(faults: &mut Faults, raw: &RawHyperliquid, base: &Path) -> VenuePart {
    const PATH: &str = "venue.hyperliquid";
    const NETWORKS: &[(&str, Network)] = &[("mainnet", Network::Mainnet), ("testnet", Network::Testnet)];
    const ROUTES: &[(&str, OrderRoute)] = &[("http", OrderRoute::Http), ("ws", OrderRoute::Ws)];
    const MODES: &[(&str, bool)] = &[("embedded", true), ("external", false)];
    faults.unknown(PATH, &raw.unknown);
    let at = |key: &str| format!("{PATH}.{key}");
    let embedded =
        faults.needed(&at("mode"), raw.mode.as_ref(), "embedded or external", word(MODES)).unwrap_or(raw.http.is_none());
    let network = if embedded {
        for (key, value) in [("http", &raw.http), ("ws", &raw.ws), ("account", &raw.account), ("key_file", &raw.key_file)] {
            if let Some(Scalar(text)) = value {
                faults.add(at(key), text, "no such key with mode = \"embedded\": the embedded venue has its own");
            }
        }
        faults.read(
            &at("network"),
            raw.network.as_ref(),
            Network::Testnet,
            "testnet: the embedded venue is none of mainnet's",
            |t| (t == "testnet").then_some(Network::Testnet),
        )
    } else {
        faults.needed(&at("network"), raw.network.as_ref(), "mainnet or testnet", word(NETWORKS)).unwrap_or(Network::Testnet)
    };
    let endpoint = if embedded { Endpoint::Embedded } else { check_external(faults, raw, base, network) };
    let mut markets: Vec<Market> = Vec::new();
    if raw.markets.is_empty() {
        faults.add(at("markets"), "(absent)", "at least one [[venue.hyperliquid.markets]] with a name");
    }
    for (n, market) in raw.markets.iter().enumerate() {
        let path = format!("{PATH}.markets[{n}]");
        faults.unknown(&path, &market.unknown);
        let name = faults.needed(&format!("{path}.name"), market.name.as_ref(), "the venue's own name, such as BTC", |t| {
            InstrumentId::new(Venue::Hyperliquid, t).ok().map(|_| t.to_owned())
        });
        let asset = |t: &str| t.parse::<u32>().ok().map(Some);
        let leverage = |t: &str| t.parse::<u32>().ok().filter(|n| (1..=50).contains(n)).map(Some);
        let margin = |t: &str| word(&[("cross", true), ("isolated", false)])(t);
        let checked = Market {
            name: name.unwrap_or_default(),
            asset: faults.read(&format!("{path}.asset"), market.asset.as_ref(), None, "the asset's number at the venue", asset),
            leverage: faults.read(&format!("{path}.leverage"), market.leverage.as_ref(), None, "1 to 50", leverage),
            cross: faults.read(&format!("{path}.margin"), market.margin.as_ref(), true, "cross or isolated", margin),
        };
        if markets.iter().any(|m| m.name == checked.name) {
            faults.add(format!("{path}.name"), &checked.name, "a market that is named once");
        }
        markets.push(checked);
    }
    VenuePart {
        endpoint,
        network,
        order_route: faults.read(&at("order_route"), raw.order_route.as_ref(), OrderRoute::Http, "http or ws", word(ROUTES)),
        fast_book: faults.read(&at("fast_book"), raw.fast_book.as_ref(), true, "true or false", word(BOOL)),
        dead_man: faults.read(&at("dead_man"), raw.dead_man.as_ref(), true, "true or false", word(BOOL)),
        markets,
    }
}

fn check_external(faults: &mut Faults, raw: &RawHyperliquid, base: &Path, network: Network) -> Endpoint {
    let at = |key: &str| format!("venue.hyperliquid.{key}");
    let url = |schemes: &'static [&'static str]| {
        move |text: &str| {
            let rest = schemes.iter().find_map(|s| text.strip_prefix(s))?;
            let host = rest.split('/').next().unwrap_or_default();
            // a name and password in an address would end up in logs
            let plain = !host.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b"@?#\"".contains(&b));
            plain.then(|| text.trim_end_matches('/').to_owned())
        }
    };
    let http = faults.needed(
        &at("http"),
        raw.http.as_ref(),
        "an address with https:// or, on this machine, http://",
        url(&["https://", "http://"]),
    );
    let ws =
        faults.needed(&at("ws"), raw.ws.as_ref(), "an address with wss:// or, on this machine, ws://", url(&["wss://", "ws://"]));
    for (key, text) in [("http", &http), ("ws", &ws)] {
        let Some(text) = text else { continue };
        let lower = text.to_ascii_lowercase();
        let is_testnet = lower.contains("testnet");
        let is_venue = lower.contains("hyperliquid");
        if is_venue && (network == Network::Mainnet) == is_testnet {
            faults.add(at(key), text, format!("an address of {network:?}, as network says (F98)"));
        }
        let plain = text.starts_with("http://") || text.starts_with("ws://");
        let host = text.split_once("//").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default();
        let name = host.strip_prefix("[::1]").map_or_else(|| host.split(':').next().unwrap_or_default(), |_| "::1");
        let local = name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if plain && !local {
            faults.add(at(key), text, "https:// or wss://: only this machine may be spoken to in the clear");
        }
    }
    let account = faults.needed(
        &at("account"),
        raw.account.as_ref(),
        "the master or sub-account address, 0x and 40 hexadecimal digits",
        |t| t.parse::<Address>().ok().filter(|a| *a != Address([0; 20])),
    );
    let key_file =
        faults.needed(&at("key_file"), raw.key_file.as_ref(), "the path of an existing file with the agent's key", |t| {
            Some(base.join(t)).filter(|path| path.is_file())
        });
    Endpoint::External {
        http: http.unwrap_or_default(),
        ws: ws.unwrap_or_default(),
        account: account.unwrap_or(Address([0; 20])),
        sub_account: faults.read(&at("sub_account"), raw.sub_account.as_ref(), false, "true or false", word(BOOL)),
        key_file: key_file.unwrap_or_default(),
    }
}

/// A market that the guard does not allow could never be traded: say so now.
fn check_allowed(faults: &mut Faults, limits: &Limits, markets: &[Market]) {
    for market in markets {
        let id = InstrumentId::new(Venue::Hyperliquid, &market.name);
        if let Ok(id) = id
            && !limits.allows(id)
        {
            faults.add("guard.allow", "(list)", format!("to hold {id}, which [[venue.hyperliquid.markets]] names"));
        }
    }
}

/// What can be said of a plan without the market's rules: everything but its grid.
fn check_plan(faults: &mut Faults, n: usize, parent: &RawParent, markets: &[Market]) {
    let known = markets.iter().any(|m| format!("hyperliquid:{}", m.name) == parent.instrument);
    if !known {
        let field = format!("plan[{n}].instrument");
        faults.add(field, &parent.instrument, "one of [[venue.hyperliquid.markets]], such as hyperliquid:BTC");
        return;
    }
    // a grid so fine that only true faults show
    let Ok(id) = parent.instrument.parse() else { return };
    let rules = domain::Instrument {
        id,
        venue_asset: 0,
        tick: rust_decimal::Decimal::new(1, 6),
        lot: rust_decimal::Decimal::new(1, 8),
        price_rule: domain::PriceRule::Grid,
        qty_min: domain::Qty(1),
        notional_min: Usd::ZERO,
        leverage_max: 1,
        margin: domain::margin::MarginModel::flat(1),
        status: domain::MarketStatus::Open,
        isolated_only: false,
    };
    if let Err(more) = plan_to_spec(parent, &rules) {
        for fault in more {
            faults.add(format!("plan[{n}].{}", fault.field), fault.value, fault.expected);
        }
    }
}
