//! A small world for tests: two markets at one venue, everything fresh, from which each test takes away.

use std::sync::Arc;

use domain::margin::MarginModel;
use domain::{
    AccountView, Book, Child, ChildNo, ClientKey, EndPolicy, Epoch, Expiry, FundingView, Instrument, InstrumentId, Intent,
    JournalTag, Level, Lots, MarketStatus, Marks, Measure, OrderReport, ParentId, ParentSpec, Placement, PositionView, PriceRule,
    ProfitMark, Px, Qty, Ratio, ReportedState, Schedule, Side, Span, Stamp, StreamHealth, StreamKind, Tif, Usd, Venue,
    VenueOrderId, VolatilityView,
};
use rust_decimal::Decimal;

use crate::{Cleared, Guard, Limits, RawLimits, Refusal};

pub(crate) const HL: Venue = Venue::Hyperliquid;
/// Mark of BTC in ticks of 0.1: one lot of 0.00001 is worth 1 dollar.
pub(crate) const BTC_PX: i64 = 1_000_000;
/// Mark of ETH in ticks of 0.01: one lot of 0.0001 is worth 0.2 dollars.
pub(crate) const ETH_PX: i64 = 200_000;

pub(crate) fn btc() -> InstrumentId {
    id("BTC")
}

pub(crate) fn eth() -> InstrumentId {
    id("ETH")
}

pub(crate) fn id(name: &str) -> InstrumentId {
    InstrumentId::new(HL, name).unwrap_or_else(|e| panic!("{e}"))
}

pub(crate) fn usd(text: &str) -> Usd {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

pub(crate) fn at(ms: u64) -> Stamp {
    Stamp { mono: 3_600_000_000_000 + ms * 1_000_000, wall_ms: 1_700_000_000_000 + ms }
}

/// The moment at which everything in the world was seen.
pub(crate) fn t0() -> Stamp {
    at(0)
}

pub(crate) fn perp(name: &str, tick_decimals: u32, lot_decimals: u32, leverage: u32) -> Instrument {
    Instrument {
        id: id(name),
        venue_asset: 0,
        tick: Decimal::new(1, tick_decimals),
        lot: Decimal::new(1, lot_decimals),
        price_rule: PriceRule::SignificantFigures(5),
        qty_min: Qty(1),
        notional_min: Usd::whole(10),
        leverage_max: leverage,
        margin: MarginModel::flat(leverage),
        status: MarketStatus::Open,
        isolated_only: false,
    }
}

pub(crate) fn btc_rules() -> Instrument {
    perp("BTC", 1, 5, 40)
}

pub(crate) fn eth_rules() -> Instrument {
    perp("ETH", 2, 4, 25)
}

pub(crate) fn book(instrument: InstrumentId, bid: i64, ask: i64, seen: Stamp) -> Arc<Book> {
    let level = |px| vec![Level { px: Px(px), qty: Qty(1_000) }];
    Arc::new(Book { instrument, bids: level(bid), asks: level(ask), venue_ms: seen.wall_ms, at: seen })
}

pub(crate) fn marks(instrument: InstrumentId, px: i64, seen: Stamp) -> Marks {
    let funding_hourly = Some(Ratio::scaled(125, 7));
    Marks { instrument, mark: Px(px), oracle: Px(px), funding_hourly, open_interest: None, at: seen }
}

pub(crate) fn account(equity: i32, positions: &[(InstrumentId, i64)], seen: Stamp) -> AccountView {
    let view = |&(instrument, lots): &(InstrumentId, i64)| PositionView {
        instrument,
        lots: Lots(lots),
        leverage: 5,
        leverage_max: if instrument == btc() { 40 } else { 25 },
        isolated_margin: None,
    };
    AccountView {
        venue: HL,
        equity: Usd::whole(equity),
        maintenance: Usd::ZERO,
        initial: Usd::ZERO,
        withdrawable: Usd::ZERO,
        positions: positions.iter().map(view).collect(),
        venue_ms: seen.wall_ms,
        at: seen,
    }
}

pub(crate) fn raw() -> RawLimits {
    // sizes are wide, and judged by their own tests
    let plain = RawLimits::default();
    RawLimits {
        allow: vec!["hyperliquid:BTC".into(), "hyperliquid:ETH".into()],
        // wide where a test does not look, so that one rule speaks at a time
        venue_messages_per_min_max: Some("60000".into()),
        venue_burst_max: Some("10000".into()),
        parent_messages_per_min_max: Some("60000".into()),
        parent_burst_max: Some("10000".into()),
        scenario: plain.scenario,
        cover: plain.cover,
        liquidation: plain.liquidation,
        buffer: plain.buffer,
        ..RawLimits::wide()
    }
}

pub(crate) fn limits(change: impl FnOnce(&mut RawLimits)) -> Limits {
    let mut raw = raw();
    change(&mut raw);
    Limits::check(raw).unwrap_or_else(|faults| panic!("{faults:?}"))
}

pub(crate) fn parent(no: u32, instrument: InstrumentId, side: Side, qty: i64) -> ParentSpec {
    ParentSpec {
        id: ParentId(no),
        instrument,
        side,
        qty: Qty(qty),
        schedule: Schedule::Twap { slices: 10 },
        placement: Placement::Passive,
        display: None,
        horizon: Span::secs(60),
        limit_px: None,
        slippage_max: Ratio::bps(50),
        end: EndPolicy::Cancel,
        reduce_only: false,
        note: String::new(),
    }
}

/// Parents 1 and 2 buy and sell BTC, 3 and 4 ETH, 5 and 6 BTC again.
pub(crate) const PARENTS: [(u32, &str, Side); 6] = [
    (1, "BTC", Side::Buy),
    (2, "BTC", Side::Sell),
    (3, "ETH", Side::Buy),
    (4, "ETH", Side::Sell),
    (5, "BTC", Side::Buy),
    (6, "BTC", Side::Sell),
];
pub(crate) const PARENT_QTY: i64 = 1_000_000;

/// A guard that has seen nothing but its parents.
pub(crate) fn blank(limits: Limits) -> Guard {
    let mut guard = Guard::new(limits);
    for (no, name, side) in PARENTS {
        guard.register_parent(Stamp::default(), &parent(no, id(name), side, PARENT_QTY), Px(1));
    }
    guard
}

/// A guard that has seen everything at [`t0`]: flat, 100,000 of equity, reconciled.
pub(crate) fn world_with(limits: Limits) -> Guard {
    let mut guard = blank(limits);
    guard.set_instrument(&btc_rules());
    guard.set_instrument(&eth_rules());
    see(&mut guard, t0());
    guard.set_clock_offset(HL, 0);
    guard.set_stream(HL, StreamKind::Market, StreamHealth::Up);
    guard.set_stream(HL, StreamKind::Account, StreamHealth::Up);
    guard.set_ready(true);
    guard
}

pub(crate) fn world() -> Guard {
    world_with(limits(|_| ()))
}

/// Shocks, distances and buffers that ask for next to nothing, for tests of other rules.
pub(crate) fn calm(raw: &mut RawLimits) {
    let still = |shift: &str| crate::RawScenario {
        shock: [("*".to_owned(), shift.into())].into(),
        funding_hours: Some("0".into()),
        ..crate::RawScenario::default()
    };
    raw.scenario = [("crash".to_owned(), still("-0.000001")), ("rally".to_owned(), still("0.000001"))].into();
    raw.cover.shocked_min = Some("1".into());
    raw.liquidation.distance_min = Some("0".into());
    raw.buffer.tail = Some("0".into());
    raw.buffer.runway_hours_min = Some("0".into());
}

/// Fresh books, marks and account, and a look at them.
pub(crate) fn see(guard: &mut Guard, now: Stamp) {
    see_only(guard, now);
    look(guard, now);
}

/// Fresh books, marks and account.
pub(crate) fn see_only(guard: &mut Guard, now: Stamp) {
    guard.observe_book(&book(btc(), BTC_PX - 10, BTC_PX + 10, now));
    guard.observe_book(&book(eth(), ETH_PX - 10, ETH_PX + 10, now));
    guard.observe_marks(&marks(btc(), BTC_PX, now));
    guard.observe_marks(&marks(eth(), ETH_PX, now));
    guard.observe_account(&account(100_000, &[], now));
}

/// Calm history in both markets, profit and a look.
pub(crate) fn look(guard: &mut Guard, now: Stamp) {
    for instrument in [btc(), eth()] {
        guard.observe_measure(&known(instrument, now));
    }
    guard.observe_profit(now, &profit(100_000));
    guard.assess(now);
}

/// A market about which everything is known and nothing stands out.
pub(crate) fn known(instrument: InstrumentId, now: Stamp) -> Measure {
    let ratio = |num, decimals| Some(Ratio::scaled(num, decimals));
    Measure {
        instrument,
        at: now,
        volatility: VolatilityView {
            fast: ratio(40, 2),
            slow: ratio(40, 2),
            realised: ratio(40, 2),
            garman_klass: ratio(40, 2),
            forecast: ratio(40, 2),
            hours: 720,
            newest_ms: now.wall_ms,
        },
        funding: FundingView {
            rate: ratio(125, 7),
            z: ratio(0, 0),
            persistence: ratio(0, 0),
            z_cross: None,
            instability: ratio(1, 0),
            mean: ratio(125, 7),
            phi: ratio(86, 2),
            sigma: ratio(185, 7),
            hours: 720,
            newest_ms: now.wall_ms,
        },
        beta: ratio(1, 0),
        correlation: ratio(1, 0),
    }
}

/// A market of which nothing is known but that its funding has been watched: no flag, and every figure the conservative one.
pub(crate) fn unmeasured(instrument: InstrumentId, now: Stamp) -> Measure {
    let funding = FundingView { hours: 720, newest_ms: now.wall_ms, ..FundingView::default() };
    Measure { volatility: VolatilityView::default(), funding, beta: None, correlation: None, ..known(instrument, now) }
}

/// Nothing won, nothing lost.
pub(crate) fn profit(equity: i32) -> ProfitMark {
    ProfitMark { day: 19_675, equity: Usd::whole(equity), peak_equity: Usd::whole(equity), ..ProfitMark::default() }
}

/// Child `no` of `parent`, with that parent's market and side.
pub(crate) fn child(of: u32, no: u32, qty: i64, px: i64) -> Intent {
    let (_, name, side) = PARENTS.into_iter().find(|p| p.0 == of).unwrap_or_else(|| panic!("no parent {of}"));
    Intent {
        key: ClientKey::derive(JournalTag(7), Epoch(1), ParentId(of), ChildNo(no)),
        child: Child {
            parent: ParentId(of),
            no: ChildNo(no),
            instrument: id(name),
            side,
            qty: Qty(qty),
            px: Px(px),
            tif: Tif::PostOnly,
            reduce_only: false,
        },
        nonce: 1,
        expiry: Expiry::AtMs(0),
    }
}

pub(crate) fn reducing(mut intent: Intent) -> Intent {
    intent.child.reduce_only = true;
    intent
}

/// What the guard says at `now`, keeping the reservation.
pub(crate) fn try_clear(guard: &mut Guard, now: Stamp, intent: Intent) -> Result<Cleared, Refusal> {
    guard.clear(now, intent)
}

#[track_caller]
pub(crate) fn allow(guard: &mut Guard, now: Stamp, intent: Intent) -> Cleared {
    let cleared = guard.clear(now, intent).unwrap_or_else(|refusal| panic!("{refusal}"));
    guard.verify().unwrap_or_else(|drift| panic!("{drift}"));
    cleared
}

#[track_caller]
pub(crate) fn refuse(guard: &mut Guard, now: Stamp, intent: Intent) -> Refusal {
    let before = guard.projection.totals();
    match guard.clear(now, intent) {
        Ok(cleared) => panic!("cleared: {:?}", cleared.intent()),
        Err(refusal) => {
            assert_eq!(before, guard.projection.totals(), "a refusal reserves nothing");
            refusal
        }
    }
}

pub(crate) fn foreign(order: u64, instrument: InstrumentId, side: Side, px: i64, qty: i64) -> OrderReport {
    OrderReport {
        key: None,
        order: VenueOrderId::Number(order),
        instrument,
        side,
        px: Px(px),
        qty: Qty(qty),
        remaining: Qty(qty),
        reduce_only: false,
        state: ReportedState::Open,
        status: "open".into(),
        venue_ms: 0,
    }
}
