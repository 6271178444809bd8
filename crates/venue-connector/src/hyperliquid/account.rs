//! The account: what its stream says, and what a reconciliation reads. Nothing here is dropped: the stream waits for the desk.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{
    AccountView, ClientKey, Fact, Fill, FundingPayment, Instrument, LiquidityRole, OrderReport, PositionView, Px, Ratio,
    ReportedState, Side, Stamp, StreamHealth, StreamKind, TradeId, Usd, Venue, VenueOrderId, VenueSnapshot,
};
use futures_util::StreamExt;
use tokio::time::Instant;
use tracing::{error, warn};
use wire::hyperliquid::info::{self, ClearinghouseState, FrontendOrder, Leverage, OrderStatus};
use wire::hyperliquid::stream::{self, ClientFrame, OrderUpdate, ServerFrame, Subscription, UserFills, UserFundings};
use wire::hyperliquid::{Num, User, classify};

use super::Shared;
use super::gauges::add;
use super::http::Lane;
use super::limits::Purpose;
use super::read::{How, ReadError};
use super::stream::{Heard, Reader};

/// Acknowledged orders whose mention on the stream is awaited, and numbers mentioned before their acknowledgement arrived.
const MENTIONS_MAX: usize = 1_024;
/// A connection may have been dead for this long before it was noticed, and the clocks differ a little.
const GAP_MARGIN_MS: u64 = 60_000;
/// Order statuses read at a time.
const STATUSES_AT_ONCE: usize = 8;

/// Whether the account stream speaks of the orders that the venue acknowledged (F04): a stream can answer pings and still be
/// deaf.
#[derive(Debug, Default)]
pub(super) struct Mentions {
    state: Mutex<Awaited>,
}

#[derive(Debug, Default)]
struct Awaited {
    since: BTreeMap<u64, Instant>,
    early: BTreeSet<u64>,
    early_order: VecDeque<u64>,
    /// Only a stream that is up can be expected to speak.
    listening: bool,
}

impl Mentions {
    fn lock(&self) -> std::sync::MutexGuard<'_, Awaited> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn acked(&self, oid: u64) {
        let mut state = self.lock();
        if state.listening && !state.early.remove(&oid) && state.since.len() < MENTIONS_MAX {
            state.since.insert(oid, Instant::now());
        }
    }

    fn mentioned(&self, oid: u64) {
        let mut state = self.lock();
        if state.since.remove(&oid).is_some() || !state.early.insert(oid) {
            return;
        }
        state.early_order.push_back(oid);
        if state.early_order.len() > MENTIONS_MAX
            && let Some(oldest) = state.early_order.pop_front()
        {
            state.early.remove(&oldest);
        }
    }

    fn overdue(&self, limit: Duration) -> bool {
        self.lock().since.values().any(|at| at.elapsed() > limit)
    }

    fn listen(&self, listening: bool) {
        let mut state = self.lock();
        state.since.clear();
        state.listening = listening;
    }
}

/// The market of a coin; `None`, counted, for what is not a perpetual of the main dex.
fn market<'a>(shared: &'a Shared, coin: &str) -> Option<&'a Arc<Instrument>> {
    let market = shared.markets.coin(coin);
    if market.is_none() {
        add(&shared.counters.other_coins, 1);
    }
    market
}

fn usd(num: Num, what: &str) -> Result<Usd, String> {
    Usd::new(num.get()).map_err(|e| format!("{what}: {e}"))
}

/// A price that is told to us: on the grid as a rule, but a forced fill or a trigger need not be, and may even be zero.
fn told_px(market: &Instrument, px: Num) -> Px {
    market.px_exact(px.get()).or_else(|_| market.px_nearest(px.get())).unwrap_or(Px(0))
}

/// The account in the desk's words.
///
/// # Errors
/// If a figure that margin rests on is missing or off its grid: half an account is no account.
pub(super) fn account_view(shared: &Shared, state: &ClearinghouseState, at: Stamp) -> Result<AccountView, String> {
    let cross = &state.cross_margin_summary;
    let mut positions = Vec::with_capacity(state.asset_positions.len());
    for held in &state.asset_positions {
        let position = &held.position;
        let Some(market) = market(shared, &position.coin) else { continue };
        let name = market.id;
        positions.push(PositionView {
            instrument: market.id,
            lots: market.lots_exact(position.szi.get()).map_err(|e| format!("{name}: szi: {e}"))?,
            leverage: position.leverage.value(),
            leverage_max: position.max_leverage.ok_or_else(|| format!("{name}: maxLeverage is missing"))?,
            isolated_margin: match position.leverage {
                Leverage::Cross { .. } => None,
                Leverage::Isolated { .. } => Some(usd(position.margin_used, "marginUsed")?),
            },
        });
    }
    Ok(AccountView {
        venue: Venue::Hyperliquid,
        equity: usd(cross.account_value, "accountValue")?,
        maintenance: usd(
            state.cross_maintenance_margin_used.ok_or("crossMaintenanceMarginUsed is missing")?,
            "crossMaintenanceMarginUsed",
        )?,
        initial: usd(cross.total_margin_used, "totalMarginUsed")?,
        withdrawable: usd(state.withdrawable, "withdrawable")?,
        positions,
        venue_ms: state.time.ok_or("time is missing")?,
        at,
    })
}

/// An order as two different payloads give it.
struct Told<'a> {
    coin: &'a str,
    side: Side,
    px: Num,
    remaining: Num,
    asked: Option<Num>,
    oid: u64,
    key: Option<ClientKey>,
    reduce_only: bool,
    status: &'a str,
    ms: u64,
}

impl Told<'_> {
    fn report(&self, shared: &Shared) -> Result<Option<OrderReport>, String> {
        let Some(market) = market(shared, self.coin) else { return Ok(None) };
        let qty = |num: Num| market.qty_exact(num.get()).map_err(|e| format!("{}: sz: {e}", market.id));
        let remaining = qty(self.remaining)?;
        Ok(Some(OrderReport {
            key: self.key,
            order: VenueOrderId::Number(self.oid),
            instrument: market.id,
            side: self.side,
            px: told_px(market, self.px),
            qty: self.asked.map_or(Ok(remaining), qty)?,
            remaining,
            reduce_only: self.reduce_only,
            state: classify::state(self.status),
            status: self.status.chars().take(60).collect(),
            venue_ms: self.ms,
        }))
    }
}

fn told<'a>(order: &'a FrontendOrder, status: &'a str, ms: u64) -> Told<'a> {
    Told {
        coin: &order.coin,
        side: order.side,
        px: order.limit_px,
        remaining: order.sz,
        asked: order.orig_sz,
        oid: order.oid,
        key: order.cloid,
        reduce_only: order.reduce_only.unwrap_or(false),
        status,
        ms,
    }
}

/// One of our fills in the desk's words; `None` for another dex's or spot.
fn fill(shared: &Shared, fill: &info::Fill) -> Result<Option<Fill>, String> {
    let Some(market) = market(shared, &fill.coin) else { return Ok(None) };
    let tid = fill.tid.ok_or("tid is missing: a fill without one cannot be booked once")?;
    if let Some(token) = fill.fee_token.as_deref().filter(|t| *t != "USDC") {
        // booked all the same: a fill must not be lost for its fee
        shared.counters.malformed("fill fee token", token);
    }
    Ok(Some(Fill {
        id: TradeId { venue: Venue::Hyperliquid, trade: tid.to_string(), order: VenueOrderId::Number(fill.oid) },
        key: fill.cloid,
        instrument: market.id,
        side: fill.side,
        px: told_px(market, fill.px),
        qty: market.qty_exact(fill.sz.get()).map_err(|e| format!("{}: sz: {e}", market.id))?,
        fee: usd(fill.fee, "fee")?,
        role: if fill.crossed { LiquidityRole::Taker } else { LiquidityRole::Maker },
        forced: fill.forced(shared.config.account),
        position_before: market.lots_exact(fill.start_position.get()).ok(),
        venue_ms: fill.time,
    }))
}

/// Everything that a reconciliation reads. The account comes first and the fills last: every fill that the account's figures
/// contain is then in the list.
pub(super) async fn snapshot(shared: &Shared, keys: &[ClientKey], fills_since_ms: u64) -> Result<VenueSnapshot, ReadError> {
    let patience = shared.config.timing.snapshot;
    let how = How { purpose: Purpose::Recover, lane: Lane::Read, timeout: shared.config.timing.read, patience };
    let all = async {
        let user = shared.config.account;
        let asked = (shared.clock)();
        let state = shared.reads.account(user, how).await?;
        let account = account_view(shared, &state, (shared.clock)()).map_err(|e| unusable(shared, "clearinghouseState", e))?;
        let mut open = Vec::new();
        let before = shared.known.now();
        let rows = shared.reads.open_orders(user, how).await?;
        let numbered = |row: &FrontendOrder| Some((row.oid, shared.markets.coin(&row.coin)?.venue_asset));
        shared.known.read(before, rows.iter().filter_map(numbered));
        for row in rows {
            // children of a parent that rests wait in its row and can neither fill nor margin before it does
            let ms = row.timestamp;
            open.extend(told(&row, "open", ms).report(shared).map_err(|e| unusable(shared, "frontendOpenOrders", e))?);
        }
        let mut asked_orders = Vec::with_capacity(keys.len());
        let mut statuses = futures_util::stream::iter(keys.iter().copied())
            .map(|key| async move { status(shared, key, how).await.map(|report| (key, report)) })
            .buffered(STATUSES_AT_ONCE);
        while let Some(status) = statuses.next().await {
            asked_orders.push(status?);
        }
        drop(statuses);
        let mut fills = Vec::new();
        for row in shared.reads.fills(user, fills_since_ms, how).await? {
            fills.extend(fill(shared, &row).map_err(|e| unusable(shared, "userFillsByTime", e))?);
        }
        Ok(VenueSnapshot { venue: Venue::Hyperliquid, asked, account, open, fills, asked_orders })
    };
    let timeout = ReadError::NoAnswer { what: "the snapshot", source: super::NoAnswer::Timeout(patience) };
    tokio::time::timeout(patience, all).await.unwrap_or(Err(timeout))
}

pub(super) async fn order_status(shared: &Shared, key: ClientKey, purpose: Purpose) -> Result<Option<OrderReport>, ReadError> {
    let timeout = shared.config.timing.read;
    status(shared, key, How { purpose, lane: Lane::Read, timeout, patience: timeout }).await
}

async fn status(shared: &Shared, key: ClientKey, how: How) -> Result<Option<OrderReport>, ReadError> {
    match shared.reads.order(shared.config.account, key, how).await? {
        OrderStatus::UnknownOid => Ok(None),
        OrderStatus::Order { order: row } => {
            let report = told(&row.order, &row.status, row.status_timestamp)
                .report(shared)
                .map_err(|e| unusable(shared, "orderStatus", e))?
                .ok_or_else(|| unusable(shared, "orderStatus", format!("{key} is in {:?}", row.order.coin)))?;
            // an answer about another order would resolve the wrong one
            match report.key {
                Some(named) if named == key => Ok(Some(report)),
                other => Err(unusable(shared, "orderStatus", format!("asked for {key}, answered for {other:?}"))),
            }
        }
    }
}

fn unusable(shared: &Shared, what: &'static str, detail: String) -> ReadError {
    shared.counters.malformed(what, &detail);
    ReadError::malformed(what, detail)
}

/// When and how new the last delivered account was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    at: Instant,
    venue_ms: u64,
}

impl Shared {
    /// Since the last account was delivered.
    pub(super) fn account_age(&self) -> Duration {
        let seen = self.account_seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.map_or(Duration::MAX, |seen| seen.at.elapsed())
    }
}

/// The account as a fact, unless it cannot be used or a newer one was delivered.
pub(super) fn account_fact(shared: &Shared, state: &ClearinghouseState) -> Option<Fact> {
    match account_view(shared, state, (shared.clock)()) {
        Ok(view) => {
            let mut seen = shared.account_seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.is_some_and(|seen| seen.venue_ms > view.venue_ms) {
                return None;
            }
            *seen = Some(Seen { at: Instant::now(), venue_ms: view.venue_ms });
            Some(Fact::Account(view))
        }
        Err(why) => {
            shared.counters.malformed("clearinghouseState", why);
            None
        }
    }
}

/// The account stream's frames as facts.
pub(super) struct AccountReader {
    shared: Arc<Shared>,
    /// Facts of the last frame, on their way to the desk.
    gathered: Vec<Fact>,
    /// Funding payments up to this venue time were delivered or booked.
    fundings_since_ms: u64,
    /// When the last connection that was up ended, UTC milliseconds; absent before and while one is up.
    deaf_since_ms: Option<u64>,
    up: bool,
}

impl AccountReader {
    pub(super) fn new(shared: Arc<Shared>, fundings_since_ms: u64) -> AccountReader {
        AccountReader { shared, gathered: Vec::new(), fundings_since_ms, deaf_since_ms: None, up: false }
    }

    fn ours(&self, user: &User) -> bool {
        user.address() == Some(self.shared.config.account)
    }

    fn orders(&mut self, updates: &[OrderUpdate]) {
        for update in updates {
            let order = &update.order;
            self.shared.mentions.mentioned(order.oid);
            let told = Told {
                coin: &order.coin,
                side: order.side,
                px: order.limit_px,
                remaining: order.sz,
                asked: order.orig_sz,
                oid: order.oid,
                key: order.cloid,
                reduce_only: order.reduce_only.unwrap_or(false),
                status: &update.status,
                ms: update.status_timestamp,
            };
            if let Some(market) = self.shared.markets.coin(&order.coin) {
                match classify::state(&update.status) {
                    // a word that nobody knows ends nothing
                    ReportedState::Open | ReportedState::Unrecognised => self.shared.known.open(order.oid, market.venue_asset),
                    ReportedState::Filled | ReportedState::Canceled | ReportedState::Rejected => {
                        self.shared.known.over(order.oid)
                    }
                }
            }
            match told.report(&self.shared) {
                Ok(report) => self.gathered.extend(report.map(Fact::Order)),
                Err(why) => self.shared.counters.malformed("orderUpdates", why),
            }
        }
    }

    fn fills(&mut self, fills: &UserFills) {
        // The first message is history, which the desk reads for itself back to its own cursor when the stream is up. What fell
        // into the gap between two connections is passed on as well: a read made right after it may lag behind (sheet 12).
        let from_ms = match (fills.is_snapshot, self.deaf_since_ms) {
            (Some(true), Some(deaf)) => deaf.saturating_sub(GAP_MARGIN_MS),
            (Some(true), None) => u64::MAX,
            (Some(false) | None, _) => 0,
        };
        for row in &fills.fills {
            self.shared.mentions.mentioned(row.oid);
            if row.time < from_ms {
                continue;
            }
            match fill(&self.shared, row) {
                Ok(fill) => self.gathered.extend(fill.map(Fact::Fill)),
                // the position that the venue reports will differ from the booked one, and the desk freezes the market
                Err(why) => {
                    error!(oid = row.oid, tid = row.tid, why, "a fill cannot be booked");
                    self.shared.counters.malformed("userFills", why);
                }
            }
        }
    }

    /// Unlike fills, payments have no read of their own in a reconciliation, so the history is used as well.
    fn fundings(&mut self, fundings: &UserFundings) {
        let since = self.fundings_since_ms;
        for row in &fundings.fundings {
            if fundings.is_snapshot == Some(true) && row.time <= since {
                continue;
            }
            self.fundings_since_ms = self.fundings_since_ms.max(row.time);
            if fundings.is_snapshot != Some(true) {
                self.shared.funding_paid.notify_one();
            }
            match funding(&self.shared, row) {
                Ok(payment) => self.gathered.extend(payment.map(Fact::Funding)),
                Err(why) => self.shared.counters.malformed("userFundings", why),
            }
        }
    }
}

fn funding(shared: &Shared, row: &stream::FundingPayment) -> Result<Option<FundingPayment>, String> {
    let Some(market) = market(shared, &row.coin) else { return Ok(None) };
    Ok(Some(FundingPayment {
        instrument: market.id,
        amount: usd(row.usdc, "usdc")?,
        rate: Ratio::new(row.funding_rate.get()).map_err(|e| format!("fundingRate: {e}"))?,
        position: market.lots_exact(row.szi.get()).map_err(|e| format!("{}: szi: {e}", market.id))?,
        venue_ms: row.time,
    }))
}

impl Reader for AccountReader {
    const NAME: &'static str = "account";

    fn begin(&mut self) -> Vec<String> {
        self.gathered.clear();
        let user = || User::from(self.shared.config.account);
        [
            Subscription::OrderUpdates { user: user() },
            Subscription::UserFills { user: user(), aggregate_by_time: None },
            Subscription::UserFundings { user: user() },
            Subscription::ClearinghouseState { user: user(), dex: None },
        ]
        .map(|subscription| ClientFrame::Subscribe { subscription }.encode())
        .into()
    }

    fn read(&mut self, frame: &str) -> Heard {
        match ServerFrame::decode(frame) {
            Ok(ServerFrame::OrderUpdates(updates)) => self.orders(&updates),
            Ok(ServerFrame::UserFills(fills)) if self.ours(&fills.user) => self.fills(&fills),
            Ok(ServerFrame::UserFundings(fundings)) if self.ours(&fundings.user) => self.fundings(&fundings),
            Ok(ServerFrame::ClearinghouseState(state)) if state.dex.is_empty() && self.ours(&state.user) => {
                let fact = account_fact(&self.shared, &state.clearinghouse_state);
                self.gathered.extend(fact);
            }
            Ok(ServerFrame::Pong | ServerFrame::Greeting(_)) => return Heard::Life,
            Ok(ServerFrame::SubscriptionResponse(_)) => return Heard::Subscribed,
            Ok(ServerFrame::Error(text)) => {
                // the account is polled when no stream delivers it
                let spare = text.contains("clearinghouseState") || text.starts_with("Already subscribed");
                self.shared.counters.malformed("error", &text);
                return if spare { Heard::DoneWithout } else { Heard::Useless(format!("the venue refused: {text}")) };
            }
            Ok(other) => {
                self.shared.counters.malformed("unexpected channel", other.channel());
                return Heard::Life;
            }
            Err(malformed) => {
                self.shared.counters.malformed(&malformed.what, &malformed.detail);
                return Heard::Life;
            }
        }
        Heard::Data
    }

    async fn deliver(&mut self) {
        for fact in self.gathered.drain(..) {
            // the receiver is gone only when the daemon is going down
            if self.shared.facts.send(fact).await.is_err() {
                return;
            }
        }
    }

    async fn health(&mut self, health: StreamHealth) {
        self.up = health == StreamHealth::Up;
        self.shared.mentions.listen(self.up);
        let fact = Fact::Stream(Venue::Hyperliquid, StreamKind::Account, health);
        if self.shared.facts.send(fact).await.is_err() {
            warn!(?health, "the account stream's health has no receiver");
        }
    }

    fn missing(&mut self) -> Option<&'static str> {
        let limit = self.shared.config.timing.mention;
        self.shared.mentions.overdue(limit).then_some("an order that the venue acknowledged")
    }

    fn end(&mut self) {
        self.shared.mentions.listen(false);
        if std::mem::take(&mut self.up) {
            self.deaf_since_ms = Some((self.shared.clock)().wall_ms);
        }
    }
}
