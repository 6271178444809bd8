//! perf goal 8: a clearance must cost nothing beside the signature that follows it, and must not grow with the account.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{
    AccountView, Book, Child, ChildNo, ClientKey, EndPolicy, Epoch, Expiry, Instrument, InstrumentId, Intent, JournalTag, Level,
    Lots, MarketStatus, Marks, ParentId, ParentSpec, Placement, PositionView, PriceRule, Px, Qty, Ratio, Schedule, Side, Span,
    Stamp, StreamHealth, StreamKind, Tif, Usd, Venue, margin,
};
use domain::{FundingView, Measure, ProfitMark, VolatilityView};
use margin_guard::{Guard, Limits, RawLimits, RawScenario};
use rust_decimal::Decimal;
use secp256k1::{Message, Secp256k1, SecretKey};

use crate::harness::{Case, Goal, Outcome, in_turn, ratios};

/// Clearances measured at a time; their orders are freed again outside the measurement.
const CLEARANCES: u32 = 32;
/// Clearances before those that are measured.
const WARMING: u32 = 16;
/// Just under the most that the limits allow at one venue.
const WORKING: u32 = 900;

pub fn run(rounds: usize) -> Vec<Outcome> {
    let mut one = Bench::new(1, 0, 0);
    let mut many = Bench::new(500, 0, 0);
    let mut crowded = Bench::new(1, WORKING, 0);
    let mut shocked = Bench::new(1, 0, EXTRA);
    let mut book = Bench::new(50, 1_000, 0);
    let recomputed = Bench::new(50, 1_000, 0);
    let mut small = Bench::new(50, 10, 0);
    let mut large = Bench::new(50, 9_900, 0);
    let curve = Secp256k1::signing_only();
    let secret = SecretKey::from_byte_array([0x41; 32]).unwrap();
    let mut digest = [7_u8; 32];
    let mut cases = [
        Case::timed(CLEARANCES, || one.clearances()),
        Case::timed(CLEARANCES, || many.clearances()),
        Case::timed(CLEARANCES, || crowded.clearances()),
        Case::whole(|| {
            digest[0] = digest[0].wrapping_add(1);
            black_box(curve.sign_ecdsa_recoverable(Message::from_digest(black_box(digest)), &secret));
        }),
        Case::timed(CLEARANCES, || shocked.clearances()),
        Case::timed(CLEARANCES, || book.clearances()),
        Case::whole(|| recomputed.guard.verify().unwrap()),
        Case::timed(CLEARANCES, || small.clearances()),
        Case::timed(CLEARANCES, || large.clearances()),
    ];
    let times = in_turn(rounds, &mut cases);
    vec![
        Outcome::of("clearance with 1 position", "ns", Goal::AtMost(250.0), times[0].clone()),
        Outcome::of(
            "clearance with 1 position / the signature that follows it",
            "x",
            Goal::AtMost(0.01),
            ratios(&times[0], &times[3]),
        ),
        Outcome::of("clearance with 500 positions / with 1", "x", Goal::AtMost(1.3), ratios(&times[1], &times[0])),
        Outcome::of(
            format!("clearance with {WORKING} working orders / with none"),
            "x",
            Goal::AtMost(1.3),
            ratios(&times[2], &times[0]),
        ),
        Outcome::of("clearance with 8 scenarios / with the 2 that always exist", "x", Goal::None, ratios(&times[4], &times[0])),
        Outcome::of("clearance with 50 positions and 1,000 working orders", "ns", Goal::None, times[5].clone()),
        Outcome::of("the same account added up from scratch", "ns", Goal::None, times[6].clone()),
        Outcome::of("from scratch / incremental", "x", Goal::AtLeast(100.0), ratios(&times[6], &times[5])),
        Outcome::of(
            "clearance with 50 positions and 9,900 working orders / with 10",
            "x",
            Goal::AtMost(1.5),
            ratios(&times[8], &times[7]),
        ),
    ]
}

/// Scenarios beside crash and rally, which always exist: the most that a configuration may have.
const EXTRA: usize = 6;

struct Bench {
    guard: Guard,
    markets: Vec<InstrumentId>,
    now: Stamp,
    child: u32,
}

impl Bench {
    fn new(positions: usize, working: u32, scenarios: usize) -> Bench {
        let markets: Vec<InstrumentId> =
            (0..positions).map(|n| InstrumentId::new(Venue::Hyperliquid, &format!("M{n}")).unwrap()).collect();
        let text = |n: u64| Some(n.to_string().as_str().into());
        let limits = Limits::check(RawLimits {
            allow: markets.iter().map(ToString::to_string).collect(),
            market_notional_max_usd: text(100_000_000),
            venue_notional_max_usd: text(1_000_000_000),
            leverage_max: text(100),
            cover_min: text(1),
            open_orders_per_market_max: text(10_000),
            open_orders_per_venue_max: text(10_000),
            scenario: (0..scenarios).map(|n| (format!("fall_{n}"), scenario())).collect(),
            venue_messages_per_min_max: text(60_000),
            venue_burst_max: text(10_000),
            parent_messages_per_min_max: text(60_000),
            parent_burst_max: text(10_000),
            ..RawLimits::wide()
        });
        let mut guard = Guard::new(limits.unwrap());
        for id in &markets {
            guard.set_instrument(&instrument(*id));
            guard.set_position(*id, Lots(100));
        }
        guard.set_clock_offset(Venue::Hyperliquid, 0);
        for kind in [StreamKind::Market, StreamKind::Account] {
            guard.set_stream(Venue::Hyperliquid, kind, StreamHealth::Up);
        }
        guard.set_ready(true);
        let mut bench = Bench { guard, markets, now: Stamp { mono: 1_000_000_000, wall_ms: 1_700_000_000_000 }, child: 0 };
        bench.observe();
        bench.guard.register_parent(bench.now, &parent(bench.markets[0]), Px(618_000));
        for n in 0..working {
            let mut intent = bench.intent();
            // over every market, at a hundred prices each
            intent.child.instrument = bench.markets[n as usize % bench.markets.len()];
            intent.child.px = Px(617_990 - 10 * i64::from(n % 100));
            bench.guard.adopt(&intent, intent.child.qty);
        }
        bench.guard.verify().unwrap();
        bench
    }

    /// Everything fresh, as the streams would keep it.
    fn observe(&mut self) {
        let at = self.now;
        for id in &self.markets {
            let level = |px| Level { px: Px(px), qty: Qty(1_000_000) };
            let (bids, asks) = (vec![level(617_990)], vec![level(618_010)]);
            self.guard.observe_book(&Arc::new(Book { instrument: *id, bids, asks, venue_ms: at.wall_ms, at }));
            let px = Px(618_000);
            let marks = Marks {
                instrument: *id,
                mark: px,
                oracle: px,
                funding_hourly: Some(Ratio::scaled(125, 7)),
                open_interest: None,
                at,
            };
            self.guard.observe_marks(&marks);
        }
        let positions = self.markets.iter().map(|id| PositionView {
            instrument: *id,
            lots: Lots(100),
            leverage: 20,
            leverage_max: 40,
            isolated_margin: None,
        });
        let account = AccountView {
            venue: Venue::Hyperliquid,
            equity: Usd::whole(100_000_000),
            maintenance: Usd::whole(1_000),
            initial: Usd::whole(2_000),
            withdrawable: Usd::whole(99_000_000),
            positions: positions.collect(),
            venue_ms: at.wall_ms,
            at,
        };
        self.guard.observe_account(&account);
        for id in &self.markets {
            let funding = FundingView { hours: 720, newest_ms: at.wall_ms, ..FundingView::default() };
            let (instrument, volatility) = (*id, VolatilityView::default());
            self.guard.observe_measure(&Measure { instrument, at, volatility, funding, beta: None, correlation: None });
        }
        let (equity, peak_equity) = (account.equity, account.equity);
        self.guard.observe_profit(at, &ProfitMark { equity, peak_equity, ..ProfitMark::default() });
        self.guard.assess(at);
    }

    fn intent(&mut self) -> Intent {
        self.child += 1;
        let (parent, no) = (ParentId(1), ChildNo(self.child));
        let child = Child {
            parent,
            no,
            instrument: self.markets[0],
            side: Side::Buy,
            qty: Qty(100),
            px: Px(617_990),
            tif: Tif::PostOnly,
            reduce_only: false,
        };
        let key = ClientKey::derive(JournalTag(1), Epoch(1), parent, no);
        Intent { key, child, nonce: self.now.wall_ms, expiry: Expiry::AtMs(self.now.wall_ms + 10_000) }
    }

    fn clearances(&mut self) -> Duration {
        // Time for the message budget to refill, then fresh data for the new moment.
        self.now.mono += 100_000_000;
        self.now.wall_ms += 100;
        self.observe();
        // the look at every market leaves cold caches behind; it comes once a second, and what is measured is a clearance
        for _ in 0..WARMING {
            let intent = self.intent();
            let verdict = self.guard.clear(self.now, intent);
            assert!(verdict.is_ok(), "the benchmark's order lies inside its limits: {verdict:?}");
            self.guard.gone(intent.key);
        }
        let intents: Vec<Intent> = (0..CLEARANCES).map(|_| self.intent()).collect();
        let mut cleared = Vec::with_capacity(intents.len());
        let start = Instant::now();
        for intent in &intents {
            cleared.push(black_box(self.guard.clear(self.now, black_box(*intent))));
        }
        let took = start.elapsed();
        for (intent, verdict) in intents.iter().zip(cleared) {
            assert!(verdict.is_ok(), "the benchmark's order lies inside its limits: {verdict:?}");
            self.guard.gone(intent.key);
        }
        took
    }
}

fn scenario() -> RawScenario {
    RawScenario { kind: Some("fall".into()), shock: [("*".into(), "-0.10".into())].into(), ..RawScenario::default() }
}

fn parent(instrument: InstrumentId) -> ParentSpec {
    ParentSpec {
        id: ParentId(1),
        instrument,
        side: Side::Buy,
        qty: Qty(1_000_000),
        schedule: Schedule::Twap { slices: 10 },
        placement: Placement::Passive,
        display: None,
        horizon: Span::secs(3_600),
        limit_px: None,
        slippage_max: Ratio::bps(50),
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
