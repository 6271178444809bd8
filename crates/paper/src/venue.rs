//! The one task that owns the venue: exchange, accounts, budgets, streams, faults. Everything else asks it.
//!
//! Asks are taken in batches. Actions that wait together form a block and run in the venue's order (those that cannot take, cancels,
//! those that can) and what they did is streamed once they are answered; then reads, subscriptions and the control API.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::ws::Utf8Bytes;
use domain::Ratio;
use exchange::{AccountKey, Asset, Exchange, ExchangeSpec, Op, OpResult, PublicTrade};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use wire::hyperliquid::Address;

use crate::accounts::Directory;
use crate::budgets::{AddressBudget, IpBudgets, exchange_weight};
use crate::candles::Candles;
use crate::chain::{Arrival, Payout};
use crate::control::{BridgeState, DepositOrder, MarketPush, VenueState};
use crate::fault::{ActiveFault, BadOrder, Fault, FaultOrder, Faults};
use crate::feed::Feed;
use crate::nonces::Nonces;
use crate::past::Past;
use crate::render::Render;
use crate::spec::{History, PaperSpec, Routing};
use crate::streams::Sub;
use crate::truth::{Memories, Truth};
use crate::universe::{self, Universe};
use crate::{StartError, VenueLimits};

mod act;
mod bridge;
mod push;
mod read;
mod sockets;
mod steer;

pub(crate) use act::{Post, items_of};

/// Between two steps of the background market.
const STEP: Duration = Duration::from_millis(50);
/// Most asks taken at once: one block.
pub(crate) const ASKS_MAX: usize = 256;
/// Messages waiting for one socket; a client that falls farther behind is dropped.
pub(crate) const OUT_MAX: usize = 8_192;
/// Public trades remembered per market.
const RECENT_MAX: usize = 500;
/// Fills held back by [`Fault::ReorderFills`] wait this long for others to overtake them.
const HOLD_MS: u64 = 300;

/// A socket.
pub(crate) type ConnId = u64;

/// What the owner is asked.
pub(crate) enum Ask {
    /// An action; `ip` is charged for it, `None` for a post over a socket.
    Act { ip: Option<IpAddr>, post: Box<Post>, is_admitted: bool, reply: oneshot::Sender<Reply> },
    /// A read.
    Read { ip: Option<IpAddr>, request: Value, is_admitted: bool, reply: oneshot::Sender<Reply> },
    /// A new socket; refused with `None`.
    Connect { ip: IpAddr, out: mpsc::Sender<Utf8Bytes>, reply: oneshot::Sender<Option<ConnId>> },
    /// A socket is gone.
    Gone { conn: ConnId },
    /// A text frame other than a post.
    Frame { conn: ConnId, frame: FrameAsk },
    /// The control API.
    Control(Control),
}

/// A text frame other than a post.
pub(crate) enum FrameAsk {
    Ping,
    Subscribe(Value),
    Unsubscribe(Value),
    /// A post is on its way through [`Ask::Act`] or [`Ask::Read`]; it counts as a message.
    Counted,
    /// Not a frame at all: its text.
    Unreadable(String),
    /// A finished post, to go out in its turn.
    Out(String),
}

/// What the control API asks.
pub(crate) enum Control {
    Order(Vec<FaultOrder>, oneshot::Sender<Result<Vec<ActiveFault>, BadOrder>>),
    List(oneshot::Sender<Vec<ActiveFault>>),
    Clear(Option<Fault>, oneshot::Sender<Vec<ActiveFault>>),
    /// What happened to an account at or after a venue time.
    Truth(Address, u64, oneshot::Sender<Truth>),
    State(oneshot::Sender<VenueState>),
    Push(MarketPush, oneshot::Sender<Result<(), String>>),
    Deposit(DepositOrder, oneshot::Sender<Result<(), String>>),
    /// From the bridge: a deposit is due.
    Arrived(Arrival, oneshot::Sender<()>),
    /// What `usdcRouting` answers from now on.
    Route(Routing, oneshot::Sender<()>),
    /// From the bridge: a payout is mined.
    Paid(oneshot::Sender<()>),
}

/// The answer to a request.
pub(crate) enum Reply {
    Served(Served),
    /// A read: ask again, admitted, after this long.
    Wait(Duration),
    /// An action: ask again, admitted, after this long, with what is handed back.
    Late(Duration, Box<Post>),
}

/// A finished answer and what goes wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) kind: &'static str,
    pub(crate) ending: Ending,
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Whole,
    /// It never comes.
    Never,
    /// It comes after this long.
    Late(Duration),
    /// Half of it comes, then the connection breaks.
    Cut,
}

pub(crate) const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html";

impl Served {
    pub(crate) fn json(body: &impl Serialize) -> Served {
        Served { status: 200, body: serde_json::to_string(body).unwrap_or_default(), kind: JSON, ending: Ending::Whole }
    }

    pub(crate) fn text(status: u16, body: impl Into<String>) -> Served {
        Served { status, body: body.into(), kind: TEXT, ending: Ending::Whole }
    }
}

/// The fields of [`Ask::Act`].
type ActAsk = (Option<IpAddr>, Box<Post>, bool, oneshot::Sender<Reply>);

struct Conn {
    ip: IpAddr,
    out: mpsc::Sender<Utf8Bytes>,
    subs: BTreeSet<Sub>,
}

/// Who listens to one stream.
type Listeners = BTreeMap<Sub, BTreeSet<ConnId>>;

/// A fill message held back.
struct Held {
    due_ms: u64,
    to: BTreeSet<ConnId>,
    channel: &'static str,
    text: Utf8Bytes,
}

/// A move of a market that is under way, in ticks.
struct Glide {
    from_ms: u64,
    over_ms: u64,
    ticks: i64,
    done: i64,
}

/// When periodic streams are due next, UTC milliseconds.
#[derive(Default)]
struct Due {
    mids: u64,
    book: u64,
    fast_book: u64,
    contexts: u64,
    accounts: u64,
    flap: u64,
}

/// The venue.
pub(crate) struct Venue {
    exchange: Exchange,
    universe: Universe,
    directory: Directory,
    nonces: Nonces,
    ips: IpBudgets,
    budgets: AddressBudget,
    limits: VenueLimits,
    feed: Feed,
    faults: Faults,
    frozen: BTreeSet<Asset>,
    halted: BTreeSet<Asset>,
    /// Rates in force instead of what the market makes: by a fault, or put there by hand.
    spiked: BTreeMap<Asset, Ratio>,
    set_funding: BTreeMap<Asset, Ratio>,
    /// Settled rates that were rewritten by hand.
    rewritten: BTreeMap<(Asset, u64), Ratio>,
    glides: BTreeMap<Asset, Glide>,
    /// The road to the chain, if there is one.
    payouts: Option<mpsc::Sender<Payout>>,
    /// Where withdrawals go: account and nonce of the action, with the receiver.
    withdrawals: BTreeMap<(AccountKey, u64), Address>,
    /// Credits that a fault holds back, with the time at which they are due.
    late_credits: Vec<(u64, Arrival)>,
    bridge: BridgeState,
    routing: Routing,
    is_post_only: bool,
    memories: Memories,
    candles: Candles,
    /// The time before the venue began, if it tells of it.
    past: Option<Past>,
    recent: BTreeMap<Asset, VecDeque<PublicTrade>>,
    /// Tape speed beyond 1 never changes the venue's clock: time is the host's, never running backwards.
    now_ms: u64,
    started_ms: u64,
    last_seen_ms: u64,
    idle_exit: Option<Duration>,
    stop: CancellationToken,
    conns: BTreeMap<ConnId, Conn>,
    next_conn: ConnId,
    market_listeners: Listeners,
    user_listeners: BTreeMap<AccountKey, Listeners>,
    /// Accounts whose state streams must be sent again.
    touched: BTreeSet<AccountKey>,
    dirty_books: BTreeSet<Asset>,
    dirty_contexts: BTreeSet<Asset>,
    last_bbo: BTreeMap<Asset, Value>,
    last_fast_contexts: BTreeMap<String, Value>,
    held: Vec<Held>,
    due: Due,
    info_requests: u64,
    exchange_requests: u64,
}

fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

impl Venue {
    pub(crate) fn new(
        spec: PaperSpec,
        payouts: Option<mpsc::Sender<Payout>>,
        stop: CancellationToken,
    ) -> Result<Venue, StartError> {
        let now_ms = wall_ms();
        let btc = feed_start(&spec);
        let listed = universe::listed(btc).map_err(|e| StartError::Spec(e.to_string()))?;
        let universe = Universe::new(&listed);
        let mut exchange_spec = ExchangeSpec::hyperliquid(now_ms, listed.iter().map(|l| l.spec.clone()).collect());
        exchange_spec.rules.schedule_cancel_volume_min = spec.limits.schedule_cancel_volume;
        let mut exchange = Exchange::new(exchange_spec, spec.seed).map_err(|e| StartError::Spec(e.to_string()))?;
        for market in universe.all().iter().filter(|m| m.is_delisted) {
            exchange.fault(now_ms, exchange::Fault::Halt { asset: market.asset, halted: true });
        }
        let feed = Feed::new(&spec.market, &universe, &listed, spec.seed, now_ms);
        let mut venue = Venue {
            exchange,
            universe,
            directory: Directory::new(spec.accounts),
            nonces: Nonces::default(),
            ips: IpBudgets::default(),
            budgets: AddressBudget::default(),
            limits: spec.limits,
            feed,
            faults: Faults::new(spec.seed),
            frozen: BTreeSet::new(),
            halted: BTreeSet::new(),
            spiked: BTreeMap::new(),
            set_funding: BTreeMap::new(),
            rewritten: BTreeMap::new(),
            glides: BTreeMap::new(),
            payouts,
            withdrawals: BTreeMap::new(),
            late_credits: Vec::new(),
            bridge: BridgeState::default(),
            routing: spec.routing,
            is_post_only: false,
            memories: Memories::default(),
            candles: Candles::default(),
            past: None,
            recent: BTreeMap::new(),
            now_ms,
            started_ms: now_ms,
            last_seen_ms: now_ms,
            idle_exit: spec.idle_exit,
            stop,
            conns: BTreeMap::new(),
            next_conn: 1,
            market_listeners: Listeners::new(),
            user_listeners: BTreeMap::new(),
            touched: BTreeSet::new(),
            dirty_books: BTreeSet::new(),
            dirty_contexts: BTreeSet::new(),
            last_bbo: BTreeMap::new(),
            last_fast_contexts: BTreeMap::new(),
            held: Vec::new(),
            due: Due::default(),
            info_requests: 0,
            exchange_requests: 0,
        };
        venue.credit();
        venue.step();
        if spec.history == History::Synthetic {
            let mark = |m: &universe::MarketInfo| Some((m.asset, venue.exchange.context(m.asset)?.mark));
            let ends = venue.universe.live().filter_map(mark).collect();
            venue.past = Some(Past::new(spec.seed, now_ms, ends));
        }
        Ok(venue)
    }

    /// Runs until stopped.
    pub(crate) async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        // whatever ends this task ends the venue: nobody is left waiting for an owner that died
        let _ended = self.stop.clone().drop_guard();
        let mut steps = tokio::time::interval(STEP);
        steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(ASKS_MAX);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                _ = steps.tick() => self.step(),
                n = asks.recv_many(&mut batch, ASKS_MAX) => {
                    if n == 0 {
                        return;
                    }
                    self.serve(&mut batch);
                }
            }
        }
    }

    fn tick_clock(&mut self) {
        self.now_ms = self.now_ms.max(wall_ms());
    }

    /// The time that the venue claims it is.
    fn shown_ms(&mut self) -> u64 {
        let now = self.now_ms;
        now + self.faults.holds(now, Fault::ClockAhead).map_or(0, ActiveFault::delay_ms)
    }

    fn render(&self) -> Render<'_> {
        Render { universe: &self.universe, directory: &self.directory }
    }

    /// One step of the background market and of everything periodic.
    fn step(&mut self) {
        self.tick_clock();
        self.sync_faults();
        self.glide();
        self.credit_late();
        self.feed.advance(self.now_ms, &mut self.exchange);
        self.exchange.advance(self.now_ms);
        self.publish();
        self.publish_periodic();
        let idle = Duration::from_millis(self.now_ms - self.last_seen_ms);
        if self.conns.is_empty() && self.idle_exit.is_some_and(|limit| idle >= limit) {
            tracing::info!(idle_s = idle.as_secs(), "no client: the paper venue ends");
            self.stop.cancel();
        }
    }

    /// Serves what waits.
    fn serve(&mut self, batch: &mut Vec<Ask>) {
        self.tick_clock();
        self.last_seen_ms = self.now_ms;
        let (mut acts, mut reads, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for ask in batch.drain(..) {
            match ask {
                Ask::Act { ip, post, is_admitted, reply } => acts.push((ip, post, is_admitted, reply)),
                Ask::Read { ip, request, is_admitted, reply } => reads.push((ip, request, is_admitted, reply)),
                other @ (Ask::Connect { .. } | Ask::Gone { .. } | Ask::Frame { .. } | Ask::Control(_)) => rest.push(other),
            }
        }
        if !acts.is_empty() {
            self.serve_acts(acts);
            // what follows sees what the actions did, streams and the venue's memory included
            self.publish();
        }
        for (ip, request, is_admitted, reply) in reads {
            let answer = self.serve_read(ip, &request, is_admitted);
            send(reply, answer);
        }
        for ask in rest {
            match ask {
                Ask::Connect { ip, out, reply } => send(reply, self.connect(ip, out)),
                Ask::Gone { conn } => self.drop_conn(conn),
                Ask::Frame { conn, frame } => self.frame(conn, frame),
                Ask::Control(control) => self.control(control),
                Ask::Act { .. } | Ask::Read { .. } => {}
            }
        }
        self.publish();
    }

    /// Runs the actions that wait together as one block.
    fn serve_acts(&mut self, acts: Vec<ActAsk>) {
        struct Waiting {
            reply: oneshot::Sender<Reply>,
            met: Vec<ActiveFault>,
            assets: Vec<Asset>,
        }
        let (mut ops, mut waiting) = (Vec::new(), Vec::new());
        for (ip, post, is_admitted, reply) in acts {
            let weight = exchange_weight(items_of(&post.signed.action));
            let met = match self.admit(ip, weight, true, post.kind(), is_admitted) {
                Ok(met) => met,
                Err(Reply::Wait(delay)) => {
                    send(reply, Reply::Late(delay, post));
                    continue;
                }
                Err(answer) => {
                    send(reply, answer);
                    continue;
                }
            };
            self.exchange_requests += 1;
            match self.prepare(&post) {
                act::Prepared::Done(answer) => send(reply, Reply::Served(self.spoil(answer, &met))),
                act::Prepared::Op(account, op, assets) => {
                    ops.push((account, op));
                    waiting.push(Waiting { reply, met, assets });
                }
            }
        }
        if ops.is_empty() {
            return;
        }
        let results = if ops.len() == 1 {
            ops.pop().map(|(account, op)| self.exchange.submit(self.now_ms, account, op)).into_iter().collect()
        } else {
            self.exchange.apply_block(self.now_ms, ops)
        };
        for (wait, result) in waiting.into_iter().zip(results) {
            let answer = crate::render::answer(&self.universe, &wait.assets, &result);
            let served = self.spoil(answer, &wait.met);
            send(wait.reply, Reply::Served(served));
        }
    }

    /// Charges the IP and draws the faults that meet a request before it happens; an error is its whole answer.
    fn admit(
        &mut self,
        ip: Option<IpAddr>,
        weight: u64,
        is_action: bool,
        kind: &str,
        is_admitted: bool,
    ) -> Result<Vec<ActiveFault>, Reply> {
        let now = self.now_ms;
        if !is_admitted && ip.is_some_and(|ip| !self.ips.of(ip).weight(now, weight, &self.limits)) {
            return Err(Reply::Served(Served::text(429, "Too many requests")));
        }
        if !is_admitted {
            let late = self.faults.meet(now, is_action, kind, |f| f == Fault::Latency);
            if let Some(delay) = late.iter().map(ActiveFault::delay_ms).max() {
                return Err(Reply::Wait(Duration::from_millis(delay)));
            }
        }
        let met = self.faults.meet(now, is_action, kind, |f| f.touches_requests());
        for fault in &met {
            #[expect(clippy::wildcard_enum_match_arm, reason = "the others happen after the request")]
            match fault.kind {
                Fault::TooManyRequests => return Err(Reply::Served(Served::text(429, "Too many requests"))),
                Fault::ErrorBefore => {
                    let status = fault.order.status.unwrap_or(500);
                    return Err(Reply::Served(Served::text(status, "Internal Server Error")));
                }
                Fault::LostRequest => {
                    let never = Served { ending: Ending::Never, ..Served::text(504, "Gateway Timeout") };
                    return Err(Reply::Served(never));
                }
                Fault::UnknownRefusal if is_action => {
                    let text = "The clearing committee has tabled this request.".to_owned();
                    return Err(Reply::Served(Served::json(&wire::hyperliquid::action::Answer::Err(text))));
                }
                _ => {}
            }
        }
        Ok(met)
    }

    /// The account behind an address; an address without one gets a key that nothing ever happens to.
    fn account_of(&self, user: Address) -> AccountKey {
        self.directory.known(user).unwrap_or(AccountKey(user.0))
    }

    /// The account behind an address that somebody named, which comes into being on an open venue.
    fn sight(&mut self, user: Address) -> AccountKey {
        let account = self.directory.sight(user).unwrap_or(AccountKey(user.0));
        self.credit();
        account
    }

    /// Gives new accounts their balance.
    fn credit(&mut self) {
        for (account, amount) in self.directory.take_due() {
            let result = self.exchange.submit(self.now_ms, account, Op::Deposit { amount });
            debug_assert_eq!(result, OpResult::Default, "a deposit above zero is taken");
        }
    }
}

/// Where a tape starts, so that the first mark is not far from its first book.
fn feed_start(spec: &PaperSpec) -> Option<rust_decimal::Decimal> {
    match &spec.market {
        crate::Market::Tape { tape, .. } => tape.first_mid().map(|mid| mid.round_dp(0)),
        crate::Market::Synthetic | crate::Market::Still => None,
    }
}

/// Answers somebody who may have gone.
pub(crate) fn send<T>(to: oneshot::Sender<T>, answer: T) {
    if to.send(answer).is_err() {
        tracing::debug!("an answer found nobody waiting");
    }
}

#[cfg(test)]
mod tests;
