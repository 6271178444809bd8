//! A desk with hand-made facts: the venue says exactly what a test has it say.

#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test names what it expects and fails on the rest")]

use std::sync::Arc;

use domain::{
    AccountView, Book, ClientKey, Command, CommandReply, EndPolicy, Entry, Epoch, Fact, Fill, FundingRate, Instrument,
    InstrumentId, Intent, JournalTag, Level, LiquidityRole, Lots, MarketStatus, Marks, Operator, OrderReport, ParentId,
    ParentSpec, Placement, PositionView, PriceRule, Px, Qty, Ratio, ReportedState, Schedule, Seed, SendOutcome, Side, Span,
    Stamp, Stamped, StreamHealth, StreamKind, TradeId, TransferId, Usd, Venue, VenueOrderId, VenueSnapshot, margin,
};
use margin_guard::{ClearedTransfer, Limits, RawDrawdown, RawLimits, RawSizing};
use plimsoll_desk::{Cancel, CollateralRead, Desk, DeskConfig, Effect, ForeignPolicy, Tenure, TreasuryPlan, Working};
use rust_decimal::Decimal;

pub const VENUE: Venue = Venue::Hyperliquid;
const START_MS: u64 = 1_790_000_000_000;

/// A pull that the desk asked for.
#[derive(Clone, Debug)]
pub struct Pulled {
    pub keys: Vec<ClientKey>,
    pub fills_since_ms: u64,
    pub asked: Stamp,
}

pub struct Rig {
    pub desk: Desk,
    pub market: InstrumentId,
    pub now: Stamp,
    pub log: Vec<Stamped>,
    pub placed: Vec<Intent>,
    pub cancels: Vec<Cancel>,
    pub cancel_alls: u32,
    /// The markets of each sweep that the desk asked for; none: everywhere.
    pub sweeps: Vec<Vec<InstrumentId>>,
    /// The desk asked for the end of the process.
    pub severed: bool,
    pub pulls: Vec<Pulled>,
    pub burns: Vec<u64>,
    pub alerts: Vec<String>,
    pub replies: Vec<CommandReply>,
    /// The venue's position, as snapshots tell it.
    pub position: Lots,
    /// The market's mid, mark and oracle, in ticks.
    pub px: i64,
    /// The venue's word on the account.
    pub equity: Usd,
    pub maintenance: Usd,
    /// Whether the venue serves funding history.
    funding: bool,
    /// How the desk keeps the account, if it does.
    pub plan: Option<TreasuryPlan>,
    /// Who may approve.
    pub operators: Vec<Operator>,
    /// Steps of transfers that the desk let be carried out, oldest first.
    pub transfers: Vec<ClearedTransfer>,
    /// Transfers that the wallet was told to drop.
    pub forgotten: Vec<TransferId>,
    /// What the desk asked for beside the account.
    pub reads: Vec<CollateralRead>,
    trades: u64,
    epoch: u32,
}

pub fn market() -> InstrumentId {
    InstrumentId::new(VENUE, "BTC").unwrap()
}

fn config(treasury: Option<TreasuryPlan>, operators: Vec<Operator>) -> DeskConfig {
    DeskConfig {
        venues: vec![VENUE],
        instruments: vec![market()],
        expires_after_ms: 10_000,
        reconcile_every: Span::secs(15),
        foreign: ForeignPolicy::Freeze,
        unknown_max: 3,
        operators,
        flatten: plimsoll_desk::FlattenTerms::default(),
        treasury,
    }
}

pub fn limits() -> Limits {
    let wide = RawLimits::wide();
    // the account is the portfolio, and its drawdown budgets are those of every account
    let sizing = RawSizing { other_equity_usd: None, tier: None, tier_leverage: Some("3".into()), ..wide.sizing.clone() };
    let allow = vec![market().to_string()];
    Limits::check(RawLimits { allow, sizing, drawdown: RawDrawdown::default(), ..wide }).unwrap()
}

fn boot(
    epoch: u32,
    now: Stamp,
    plan: Option<TreasuryPlan>,
    operators: Vec<Operator>,
    log: &[Stamped],
    out: &mut Vec<Effect>,
) -> Desk {
    let tenure =
        Tenure { epoch: Epoch(epoch), tag: JournalTag(0xDE5C), seed: Seed(7), binary: "test".into(), config: String::new() };
    Desk::boot(config(plan, operators), limits(), &tenure, now, log, out).unwrap()
}

impl Rig {
    /// Booted over an empty journal, connected, reconciled.
    pub fn new() -> Rig {
        let mut rig = Rig::unconnected();
        rig.connect();
        rig
    }

    /// Booted over an empty journal.
    /// As [`Rig::new`], at a venue that serves no history.
    pub fn without_history() -> Rig {
        let mut rig = Rig::unconnected();
        rig.funding = false;
        rig.connect();
        rig
    }

    pub fn unconnected() -> Rig {
        Rig::keeping(None)
    }

    /// Booted over an empty journal, with a treasury if `plan` says how.
    pub fn keeping(plan: Option<TreasuryPlan>) -> Rig {
        Rig::with(plan, Vec::new())
    }

    /// As [`Rig::new`], where `operators` must approve.
    pub fn approved_by(operators: &[Operator]) -> Rig {
        let mut rig = Rig::with(None, operators.to_vec());
        rig.connect();
        rig
    }

    fn with(plan: Option<TreasuryPlan>, operators: Vec<Operator>) -> Rig {
        let now = Stamp { mono: 1_000_000_000, wall_ms: START_MS };
        let mut out = Vec::new();
        let desk = boot(1, now, plan.clone(), operators.clone(), &[], &mut out);
        let mut rig = Rig {
            desk,
            market: market(),
            now,
            log: Vec::new(),
            placed: Vec::new(),
            cancels: Vec::new(),
            cancel_alls: 0,
            sweeps: Vec::new(),
            severed: false,
            pulls: Vec::new(),
            burns: Vec::new(),
            alerts: Vec::new(),
            replies: Vec::new(),
            position: Lots(0),
            px: 618_000,
            equity: Usd::whole(1_000_000),
            maintenance: Usd::whole(1_000),
            funding: true,
            plan,
            operators,
            transfers: Vec::new(),
            forgotten: Vec::new(),
            reads: Vec::new(),
            trades: 0,
            epoch: 1,
        };
        rig.take(out);
        rig
    }

    /// The daemon dies and a new one folds the journal; it is not connected yet.
    pub fn crash(&mut self) {
        self.epoch += 1;
        self.now = self.now + Span::secs(1);
        self.pulls.clear();
        let mut out = Vec::new();
        self.desk = boot(self.epoch, self.now, self.plan.clone(), self.operators.clone(), &self.log, &mut out);
        self.take(out);
        let folded = self.desk.books().clone();
        assert!(self.log.iter().any(|s| matches!(s.entry, Entry::Epoch { .. })));
        let mut again = plimsoll_desk::Books::default();
        for stamped in &self.log {
            again.fold(stamped.at, &stamped.entry);
        }
        assert_eq!(again.hash(), folded.hash(), "I25");
    }

    pub fn connect(&mut self) {
        let up = |kind| Fact::Stream(VENUE, kind, StreamHealth::Up);
        self.apply(&[
            Fact::Instrument(Arc::new(instrument())),
            Fact::ClockOffset(VENUE, 0),
            up(StreamKind::Market),
            up(StreamKind::Account),
        ]);
        if self.funding {
            self.apply(&[self.funding()]);
        }
        self.tick(Span::millis(10));
        for _ in 0..4 {
            if !self.desk.is_ready() {
                self.tick(Span::millis(500));
                self.answer_pull(Vec::new(), Vec::new());
            }
        }
    }

    pub fn apply(&mut self, facts: &[Fact]) {
        let mut out = Vec::new();
        self.desk.apply(self.now, facts, &mut out);
        self.take(out);
    }

    fn take(&mut self, out: Vec<Effect>) {
        for effect in out {
            match effect {
                Effect::Record(stamped) => self.log.push(stamped),
                Effect::Place(cleared) => self.placed.push(*cleared.intent()),
                Effect::Cancel(cancel) => self.cancels.push(cancel),
                Effect::CancelAll { markets, .. } => {
                    self.cancel_alls += 1;
                    self.sweeps.push(markets);
                }
                Effect::Sever => self.severed = true,
                Effect::Pull { keys, fills_since_ms, .. } => {
                    self.pulls.push(Pulled { keys, fills_since_ms, asked: self.now });
                }
                Effect::Burn { nonce, .. } => self.burns.push(nonce),
                Effect::Reply(_, reply) => self.replies.push(reply),
                Effect::Alert(alert) => self.alerts.push(alert.to_string()),
                Effect::Transfer(cleared) => self.transfers.push(cleared),
                Effect::ForgetTransfer(id) => self.forgotten.push(id),
                Effect::ReadCollateral(read) => self.reads.push(read),
            }
        }
    }

    /// Time passes, and with it comes a fresh book.
    pub fn tick(&mut self, by: Span) {
        self.now = self.now + by;
        self.apply(&[self.book(), self.marks(), Fact::Account(self.account())]);
    }

    /// Time passes in steps of half a second; pulls are answered with the venue as it is, every one of `unknown` being unknown to it.
    pub fn pass(&mut self, time: Span, open: &[OrderReport]) {
        for _ in 0..time.0.div_ceil(Span::millis(500).0) {
            self.tick(Span::millis(500));
            while !self.pulls.is_empty() {
                self.answer_pull(open.to_vec(), Vec::new());
            }
        }
    }

    /// Answers the oldest pull: `open` orders, known by name as well, and `fills`.
    pub fn answer_pull(&mut self, open: Vec<OrderReport>, fills: Vec<Fill>) {
        if self.pulls.is_empty() {
            return;
        }
        let pulled = self.pulls.remove(0);
        let asked_orders =
            pulled.keys.iter().map(|key| (*key, open.iter().find(|r| r.key == Some(*key)).cloned())).collect::<Vec<_>>();
        self.answer(&pulled, open, fills, asked_orders);
    }

    pub fn answer(
        &mut self,
        pulled: &Pulled,
        open: Vec<OrderReport>,
        fills: Vec<Fill>,
        asked_orders: Vec<(ClientKey, Option<OrderReport>)>,
    ) {
        let mut account = self.account();
        account.venue_ms = pulled.asked.wall_ms;
        let open = open.into_iter().filter(|r| r.state == ReportedState::Open).collect();
        let snapshot = VenueSnapshot { venue: VENUE, asked: pulled.asked, account, open, fills, asked_orders };
        self.apply(&[Fact::Snapshot(Box::new(snapshot))]);
    }

    pub fn command(&mut self, command: Command) -> CommandReply {
        self.apply(&[Fact::Command(1, command)]);
        self.replies.pop().unwrap()
    }

    pub fn submit(&mut self, spec: ParentSpec) -> ParentId {
        match self.command(Command::Submit(Box::new(spec))) {
            CommandReply::Accepted(id) => id,
            other => panic!("{other:?}"),
        }
    }

    /// Lets a new passive parent place its first child.
    pub fn place(&mut self) -> Intent {
        self.submit(passive(Side::Buy, 10_000));
        self.next_placed()
    }

    pub fn next_placed(&mut self) -> Intent {
        for _ in 0..200 {
            if !self.placed.is_empty() {
                return self.placed.remove(0);
            }
            self.tick(Span::millis(200));
            while !self.pulls.is_empty() {
                self.answer_pull(Vec::new(), Vec::new());
            }
        }
        panic!("nothing was placed: {:?}", self.desk.status(self.now).parents);
    }

    pub fn ack(&mut self, key: ClientKey, oid: u64) {
        let outcome = SendOutcome::Acked { order: Some(VenueOrderId::Number(oid)), done: false };
        self.apply(&[Fact::Sent { key, outcome }]);
    }

    pub fn fill(&mut self, intent: &Intent, oid: u64, lots: i64) -> Fill {
        self.trades += 1;
        let child = intent.child;
        Fill {
            id: TradeId { venue: VENUE, trade: self.trades.to_string(), order: VenueOrderId::Number(oid) },
            key: Some(intent.key),
            instrument: child.instrument,
            side: child.side,
            px: child.px,
            qty: Qty(lots),
            fee: Usd::ZERO,
            role: LiquidityRole::Maker,
            forced: false,
            position_before: None,
            venue_ms: self.now.wall_ms,
        }
    }

    /// The venue fills and tells.
    pub fn filled(&mut self, intent: &Intent, oid: u64, lots: i64) {
        self.position += Lots(intent.child.side.sign() * lots);
        let fill = self.fill(intent, oid, lots);
        self.apply(&[Fact::Fill(fill)]);
    }

    pub fn report(&self, intent: &Intent, oid: u64, state: ReportedState, remaining: i64) -> OrderReport {
        let child = intent.child;
        let status = match state {
            ReportedState::Open => "open",
            ReportedState::Filled => "filled",
            ReportedState::Canceled => "canceled",
            ReportedState::Rejected => "badAloPxRejected",
            ReportedState::Unrecognised => "sleeping",
        };
        OrderReport {
            key: Some(intent.key),
            order: VenueOrderId::Number(oid),
            instrument: child.instrument,
            side: child.side,
            px: child.px,
            qty: child.qty,
            remaining: Qty(remaining),
            reduce_only: child.reduce_only,
            state,
            status: status.into(),
            venue_ms: self.now.wall_ms,
        }
    }

    pub fn state(&self, key: ClientKey) -> Working {
        self.desk.books().orders.get(&key).unwrap().state
    }

    pub fn frozen(&self) -> Option<&str> {
        self.desk.books().frozen.get(&self.market).map(String::as_str)
    }

    pub fn book(&self) -> Fact {
        let levels = |step: i64| (1..=5).map(|n| Level { px: Px(self.px + step * 10 * n), qty: Qty(1_000_000) }).collect();
        let at = self.now;
        Fact::Book(Arc::new(Book { instrument: self.market, bids: levels(-1), asks: levels(1), venue_ms: at.wall_ms, at }))
    }

    /// Thirty days of funding in which nothing happened.
    fn funding(&self) -> Fact {
        let hour = self.now.wall_ms / 3_600_000;
        let rate = |n: u64| FundingRate { until_ms: (hour - n) * 3_600_000, hours: 1, hourly: Ratio::scaled(125, 7) };
        Fact::FundingRates { instrument: self.market, source: "hyperliquid".into(), rates: (0..720).rev().map(rate).collect() }
    }

    fn marks(&self) -> Fact {
        let px = Px(self.px);
        Fact::Marks(Marks {
            instrument: self.market,
            mark: px,
            oracle: px,
            funding_hourly: None,
            open_interest: None,
            at: self.now,
        })
    }

    pub fn account(&self) -> AccountView {
        let held =
            PositionView { instrument: self.market, lots: self.position, leverage: 20, leverage_max: 40, isolated_margin: None };
        AccountView {
            venue: VENUE,
            equity: self.equity,
            maintenance: self.maintenance,
            initial: Usd::whole(2_000),
            withdrawable: Usd::whole(900_000),
            positions: if self.position.0 == 0 { Vec::new() } else { vec![held] },
            venue_ms: self.now.wall_ms,
            at: self.now,
        }
    }
}

pub fn passive(side: Side, lots: i64) -> ParentSpec {
    ParentSpec {
        id: ParentId(0),
        instrument: market(),
        side,
        qty: Qty(lots),
        schedule: Schedule::Twap { slices: 1 },
        placement: Placement::Passive,
        display: None,
        horizon: Span::secs(600),
        limit_px: None,
        slippage_max: Ratio::bps(100),
        end: EndPolicy::Cancel,
        reduce_only: false,
        note: String::new(),
    }
}

pub fn instrument() -> Instrument {
    Instrument {
        id: market(),
        venue_asset: 0,
        tick: Decimal::new(1, 1),
        lot: Decimal::new(1, 5),
        price_rule: PriceRule::SignificantFigures(5),
        qty_min: Qty(1),
        notional_min: Usd::whole(10),
        leverage_max: 40,
        margin: margin::MarginModel::flat(40),
        status: MarketStatus::Open,
        isolated_only: false,
    }
}
