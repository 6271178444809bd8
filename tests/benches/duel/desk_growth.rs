//! perf goal 12: what a child order costs must not grow with the number of parents that are alive.
//!
//! Buyers of one market (sellers beside them would meet the self-match rule), each with a slice every minute. Two book updates a second; what is placed is
//! acknowledged and filled at once, so that the number of open orders stays small and the parents are what is measured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use desk::{Desk, DeskConfig, Effect, ForeignPolicy, Tenure};
use domain::{
    AccountView, Book, ClientKey, Command, EndPolicy, Entry, Epoch, Fact, Fill, FundingRate, Instrument, InstrumentId, Intent,
    JournalTag, Level, LiquidityRole, Lots, MarketStatus, Marks, OrderReport, ParentId, ParentSpec, Placement, PositionView,
    PriceRule, Px, Qty, Ratio, ReportedState, Schedule, Seed, SendOutcome, Side, Span, Stamp, Stamped, StreamHealth, StreamKind,
    Tif, TradeId, Usd, Venue, VenueOrderId, VenueSnapshot, margin,
};
use margin_guard::{Limits, RawLimits};
use rust_decimal::Decimal;

use crate::harness::{Goal, Outcome, ratios};

const VENUE: Venue = Venue::Hyperliquid;
/// A slice a minute for two hours.
const SLICES: u32 = 120;
const HORIZON: Span = Span::secs(7_200);
/// Between two book updates.
const STEP: Span = Span::millis(500);
/// Steps over which the parents are admitted, so that their slices fall evenly on the minute.
const ADMISSION_STEPS: u32 = 120;
/// Live parents, and minutes that are measured: enough for some hundred children at each size.
const SIZES: [(u32, u32); 3] = [(10, 30), (1_000, 2), (10_000, 1)];

pub fn run(rounds: usize) -> Vec<Outcome> {
    let mut per_child = [const { Vec::new() }; SIZES.len()];
    let mut per_update = [const { Vec::new() }; SIZES.len()];
    for _ in 0..rounds {
        for (at, (parents, minutes)) in SIZES.into_iter().enumerate() {
            let measured = Bench::new(parents).measure(minutes);
            per_child[at].push(measured.took.as_secs_f64() * 1e9 / f64::from(measured.children));
            per_update[at].push(measured.updates_took.as_secs_f64() * 1e9 / f64::from(measured.updates));
        }
    }
    let mut outcomes = vec![Outcome::of(
        "cost of a child with 10,000 live parents / with 10",
        "x",
        Goal::AtMost(1.3),
        ratios(&per_child[2], &per_child[0]),
    )];
    for (at, (parents, _)) in SIZES.into_iter().enumerate() {
        outcomes.push(Outcome::of(format!("cost of a child, {parents} live parents"), "ns", Goal::None, per_child[at].clone()));
        outcomes.push(Outcome::of(format!("one book update, {parents} live parents"), "ns", Goal::None, per_update[at].clone()));
    }
    outcomes
}

struct Measured {
    /// In `apply`, book updates and answers together.
    took: Duration,
    /// In `apply` for book updates alone.
    updates_took: Duration,
    updates: u32,
    children: u32,
}

struct Bench {
    desk: Desk,
    market: InstrumentId,
    now: Stamp,
    parents: u32,
    effects: Vec<Effect>,
    position: Lots,
    orders: u64,
    refused: u32,
}

impl Bench {
    fn new(parents: u32) -> Bench {
        let market = InstrumentId::new(VENUE, "BTC").unwrap();
        let text = |n: u64| Some(n.to_string().as_str().into());
        let limits = Limits::check(RawLimits {
            allow: vec![market.to_string()],
            order_notional_max_usd: text(1_000_000),
            parent_notional_max_usd: text(1_000_000_000),
            parents_per_hour_max_usd: text(1_000_000_000_000),
            market_notional_max_usd: text(1_000_000_000_000),
            venue_notional_max_usd: text(1_000_000_000_000),
            leverage_max: text(100),
            open_orders_per_market_max: text(1_000),
            open_orders_per_venue_max: text(1_000),
            venue_messages_per_min_max: text(60_000),
            venue_burst_max: text(10_000),
            ..RawLimits::wide()
        });
        let config = DeskConfig {
            venues: vec![VENUE],
            instruments: vec![market],
            expires_after_ms: 10_000,
            reconcile_every: Span::secs(15),
            foreign: ForeignPolicy::Freeze,
            unknown_max: 3,
            operators: Vec::new(),
            flatten: desk::FlattenTerms::default(),
            treasury: None,
        };
        let tenure = Tenure { epoch: Epoch(1), tag: JournalTag(1), seed: Seed(7), binary: "bench".into(), config: String::new() };
        let now = Stamp { mono: 1_000_000_000, wall_ms: 1_700_000_000_000 };
        let mut effects = Vec::new();
        let desk = Desk::boot(config, limits.unwrap(), &tenure, now, &[], &mut effects).unwrap();
        let mut bench = Bench { desk, market, now, parents, effects, position: Lots(0), orders: 0, refused: 0 };
        bench.open();
        bench
    }

    /// Everything up, everything known, every parent admitted and past its first minute.
    fn open(&mut self) {
        let mut facts = vec![Fact::Instrument(Arc::new(instrument(self.market))), Fact::ClockOffset(VENUE, 0)];
        facts.extend([StreamKind::Market, StreamKind::Account].map(|kind| Fact::Stream(VENUE, kind, StreamHealth::Up)));
        facts.extend([self.book(), self.marks(), Fact::Account(self.account())]);
        let hour = self.now.wall_ms / 3_600_000;
        let rate = |n: u64| FundingRate { until_ms: (hour - n) * 3_600_000, hours: 1, hourly: Ratio::scaled(125, 7) };
        let rates = (0..720).rev().map(rate).collect();
        facts.push(Fact::FundingRates { instrument: self.market, source: "hyperliquid".into(), rates });
        self.apply(&facts);
        let mut admitted = 0;
        for step in 1..=ADMISSION_STEPS {
            let due = u32::try_from(u64::from(self.parents) * u64::from(step) / u64::from(ADMISSION_STEPS)).unwrap();
            let submits: Vec<Fact> =
                (admitted..due).map(|n| Fact::Command(u64::from(n), Command::Submit(Box::new(parent(self.market, n))))).collect();
            admitted = due;
            self.update(submits);
        }
        let live = self.desk.status(self.now).parents.len();
        assert_eq!(live, self.parents as usize, "every parent was admitted");
        assert!(self.desk.is_ready());
    }

    fn measure(&mut self, minutes: u32) -> Measured {
        let mut sum = Measured { took: Duration::ZERO, updates_took: Duration::ZERO, updates: 0, children: 0 };
        for _ in 0..minutes * 120 {
            let (update, answers, children) = self.update(Vec::new());
            sum.updates_took += update;
            sum.took += update + answers;
            sum.updates += 1;
            sum.children += children;
        }
        // A slice a minute each; jitter moves some across the edge, and a refused one comes later.
        let expected = self.parents * minutes;
        assert!(sum.children >= expected / 2, "{} children of {expected} that were due", sum.children);
        assert!(sum.children <= expected * 12 / 10, "{} children of {expected} that were due", sum.children);
        assert!(self.refused <= expected / 10, "{} refusals beside {} children", self.refused, sum.children);
        sum
    }

    /// One step: a book after `facts`, and the venue's answers to what follows from it. Times of both, and how many orders were placed.
    fn update(&mut self, mut facts: Vec<Fact>) -> (Duration, Duration, u32) {
        self.now.mono += STEP.0;
        self.now.wall_ms += STEP.as_millis();
        if self.now.wall_ms.is_multiple_of(5_000) {
            facts.extend([self.marks(), Fact::Account(self.account())]);
        }
        facts.push(self.book());
        let (update, placed) = self.apply(&facts);
        let mut answers = Duration::ZERO;
        let mut children = 0;
        let mut placed = placed;
        // An answer may let a parent place again at once; it does so in at most a few rounds.
        for _ in 0..8 {
            if placed.is_empty() {
                return (update, answers, children);
            }
            children += u32::try_from(placed.len()).unwrap();
            let facts: Vec<Fact> = placed.iter().flat_map(|intent| self.filled(intent)).collect();
            let (took, more) = self.apply(&facts);
            answers += took;
            placed = more;
        }
        panic!("the desk places without end")
    }

    /// Applies facts; the time it took, and the orders it wants placed. Pulls are answered at once, unmeasured.
    fn apply(&mut self, facts: &[Fact]) -> (Duration, Vec<Intent>) {
        let mut placed = Vec::new();
        let start = Instant::now();
        self.desk.apply(self.now, facts, &mut self.effects);
        let took = start.elapsed();
        for _ in 0..8 {
            let mut pulled = false;
            for effect in std::mem::take(&mut self.effects) {
                match effect {
                    Effect::Place(cleared) => placed.push(*cleared.intent()),
                    Effect::Pull { .. } => pulled = true,
                    // Two sizes may be equal after all; the worker asks again a little later.
                    Effect::Record(Stamped { entry: Entry::Refused { count, .. }, .. }) => self.refused += count,
                    Effect::Reply(_, domain::CommandReply::Refused(faults)) => panic!("refused: {faults:?}"),
                    Effect::Alert(alert) => panic!("{alert}"),
                    Effect::Record(_)
                    | Effect::Cancel(_)
                    | Effect::CancelAll { .. }
                    | Effect::Sever
                    | Effect::Burn { .. }
                    | Effect::Reply(..) => {}
                    Effect::Transfer(_) | Effect::ForgetTransfer(_) | Effect::ReadCollateral(_) => {}
                }
            }
            if !pulled {
                return (took, placed);
            }
            let account = self.account();
            let snapshot = VenueSnapshot {
                venue: VENUE,
                asked: self.now,
                account,
                open: Vec::new(),
                fills: Vec::new(),
                asked_orders: Vec::new(),
            };
            self.desk.apply(self.now, &[Fact::Snapshot(Box::new(snapshot))], &mut self.effects);
        }
        panic!("the desk pulls without end")
    }

    /// What the venue says of an order that fills as it arrives.
    fn filled(&mut self, intent: &Intent) -> [Fact; 3] {
        self.orders += 1;
        let child = intent.child;
        let order = VenueOrderId::Number(self.orders);
        let signed = if child.side == Side::Buy { child.qty.0 } else { -child.qty.0 };
        let before = self.position;
        self.position = Lots(before.0 + signed);
        let key: ClientKey = intent.key;
        let fill = Fill {
            id: TradeId { venue: VENUE, trade: self.orders.to_string(), order: order.clone() },
            key: Some(key),
            instrument: child.instrument,
            side: child.side,
            px: child.px,
            qty: child.qty,
            fee: Usd::ZERO,
            role: if child.tif == Tif::ImmediateOrCancel { LiquidityRole::Taker } else { LiquidityRole::Maker },
            forced: false,
            position_before: Some(before),
            venue_ms: self.now.wall_ms,
        };
        let report = OrderReport {
            key: Some(key),
            order: order.clone(),
            instrument: child.instrument,
            side: child.side,
            px: child.px,
            qty: child.qty,
            remaining: Qty(0),
            reduce_only: child.reduce_only,
            state: ReportedState::Filled,
            status: "filled".into(),
            venue_ms: self.now.wall_ms,
        };
        [
            Fact::Sent { key, outcome: SendOutcome::Acked { order: Some(order), done: false } },
            Fact::Fill(fill),
            Fact::Order(report),
        ]
    }

    fn book(&self) -> Fact {
        // The mid wanders a little, so that books differ.
        let mid = 618_000 + i64::try_from(self.now.wall_ms / 500 % 7).unwrap() * 10;
        let levels = |step: i64| (1..=20).map(|n| Level { px: Px(mid + step * 10 * n), qty: Qty(1_000_000) }).collect();
        Fact::Book(Arc::new(Book {
            instrument: self.market,
            bids: levels(-1),
            asks: levels(1),
            venue_ms: self.now.wall_ms,
            at: self.now,
        }))
    }

    fn marks(&self) -> Fact {
        let px = Px(618_000);
        Fact::Marks(Marks {
            instrument: self.market,
            mark: px,
            oracle: px,
            funding_hourly: None,
            open_interest: None,
            at: self.now,
        })
    }

    fn account(&self) -> AccountView {
        let held =
            PositionView { instrument: self.market, lots: self.position, leverage: 20, leverage_max: 40, isolated_margin: None };
        AccountView {
            venue: VENUE,
            equity: Usd::whole(1_000_000_000),
            maintenance: Usd::whole(1_000),
            initial: Usd::whole(2_000),
            withdrawable: Usd::whole(900_000_000),
            positions: if self.position.0 == 0 { Vec::new() } else { vec![held] },
            venue_ms: self.now.wall_ms,
            at: self.now,
        }
    }
}

/// Buyer number `n`: of a size of its own, since equal orders of different parents are refused as duplicates.
fn parent(instrument: InstrumentId, n: u32) -> ParentSpec {
    ParentSpec {
        id: ParentId(0),
        instrument,
        side: Side::Buy,
        qty: Qty(i64::from(SLICES) * i64::from(100 + 7 * n)),
        schedule: Schedule::Twap { slices: SLICES },
        placement: Placement::Passive,
        display: None,
        horizon: HORIZON,
        limit_px: None,
        slippage_max: Ratio::bps(100),
        end: EndPolicy::Cancel,
        reduce_only: false,
        note: String::new(),
    }
}

fn instrument(id: InstrumentId) -> Instrument {
    Instrument {
        id,
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
