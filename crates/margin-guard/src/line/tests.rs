//! The load line by hand-checked numbers, and the running sums of shocks against plain books.

use std::collections::BTreeMap;

use domain::margin::MarginTable;
use domain::{
    ChildNo, Epoch, InstrumentId, JournalTag, Lots, MarginLevel, ParentId, PositionView, Prng, Px, Qty, Ratio, ReportedState,
    Seed, Side, Usd,
};

use crate::refusal::Refusal;
use crate::scenario::CALM;
use crate::world::*;
use crate::{Guard, RawLimits, RawScenario};

fn ratio(text: &str) -> Ratio {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

/// Nothing in the way but the shocks: a crash of 15 % in BTC and 20 % elsewhere, no funding.
fn wide(raw: &mut RawLimits) {
    calm(raw);
    for field in [&mut raw.order_notional_max_usd, &mut raw.market_notional_max_usd, &mut raw.venue_notional_max_usd] {
        *field = Some("10000000".into());
    }
    raw.leverage_max = Some("100".into());
    raw.cover_min = Some("1".into());
    raw.scenario = [("crash", "-0.15", "-0.20"), ("rally", "0.15", "0.20")]
        .map(|(name, btc, rest)| {
            let shock = [("BTC".to_owned(), btc.into()), ("*".to_owned(), rest.into())].into();
            (name.to_owned(), RawScenario { shock, funding_hours: Some("0".into()), ..RawScenario::default() })
        })
        .into();
    raw.cover.shocked_min = Some("1.4".into());
}

#[test]
fn a_crash_must_leave_the_least_cover() {
    // equity 10,000; N long at 40x loses 0.15 N and needs 1.4 × 0.85 N / 80 = 0.014875 N: 0.164875 N ≤ 10,000
    let mut guard = world_with(limits(wide));
    guard.observe_account(&account(10_000, &[], t0()));
    let refusal = refuse(&mut guard, t0(), child(1, 1, 70_000, BTC_PX));
    let Refusal::Shocked { scenario, equity, maintenance, min, room, .. } = &refusal else { panic!("{refusal}") };
    assert_eq!((scenario.as_str(), *room, *min), ("crash", Qty(60_652), ratio("1.4")));
    // 70,000 · 0.85 / 80, up to the rounding of shares against us
    assert!((maintenance.decimal() - usd("743.75").decimal()).abs() < ratio("0.000001").decimal(), "{maintenance}");
    assert!((equity.decimal() - usd("-500").decimal()).abs() < ratio("0.000001").decimal(), "{equity}");
    drop(allow(&mut guard, t0(), child(1, 1, 60_652, BTC_PX)));

    // a short of ETH gains in a crash, which lets BTC grow; but each market also moves alone, and then nothing helps
    let mut guard = world_with(limits(wide));
    guard.set_position(eth(), Lots(-100_000));
    guard.observe_account(&account(10_000, &[(eth(), -100_000)], t0()));
    let refusal = refuse(&mut guard, t0(), child(1, 1, 70_000, BTC_PX));
    let Refusal::Shocked { scenario, room, .. } = &refusal else { panic!("{refusal}") };
    // 20,000 at 25x needs 1.4 · 20,000 / 50 = 560 while it stands still: 0.164875 N ≤ 9,440
    assert_eq!((scenario.as_str(), *room), ("crash in hyperliquid:BTC alone", Qty(57_255)));
}

#[test]
fn the_room_for_sizing_is_what_the_rule_allows() {
    let mut guard = world_with(limits(wide));
    guard.observe_account(&account(10_000, &[], t0()));
    let room = |guard: &Guard, side: Side| crate::rules::shock_room(&guard.projection, btc(), side).map(|m| m.usd());
    assert_eq!((room(&guard, Side::Buy), room(&guard, Side::Sell)), (Some(usd("60652")), Some(usd("58780"))));
    // what works already is part of it
    drop(allow(&mut guard, t0(), child(1, 1, 60_000, BTC_PX)));
    assert_eq!(room(&guard, Side::Buy), Some(usd("60652")));
    assert_eq!(crate::rules::shock_room(&blank(limits(wide)).projection, btc(), Side::Buy), None);
}

#[test]
fn working_orders_count_against_us_on_both_sides() {
    // a buy and a sell of the same size may each fill alone: the rally threatens the short as the crash does the long
    let mut guard = world_with(limits(wide));
    guard.observe_account(&account(10_000, &[], t0()));
    drop(allow(&mut guard, t0(), child(1, 1, 50_000, BTC_PX - 10)));
    drop(allow(&mut guard, t0(), child(2, 1, 50_000, BTC_PX)));
    // short: 0.15 N + 1.4 · 1.15 N / 80 = 0.170125 N ≤ 10,000
    assert_eq!(refuse(&mut guard, t0(), child(2, 2, 20_000, BTC_PX)).room(), Some(Qty(8_780)));
    // the long end is the one that a further buy moves
    assert_eq!(refuse(&mut guard, t0(), child(1, 2, 20_000, BTC_PX - 10)).room(), Some(Qty(10_652)));
}

#[test]
fn the_liquidation_price_keeps_its_distance() {
    let near = |raw: &mut RawLimits| {
        wide(raw);
        calm_shocks(raw);
        raw.liquidation.distance_min = Some("0.08".into());
    };
    // equity 10,000; long N at 40x: 8 % down leaves 10,000 − 0.08 N against 0.92 N / 80: 0.0915 N ≤ 10,000
    let mut guard = world_with(limits(near));
    guard.observe_account(&account(10_000, &[], t0()));
    let refusal = refuse(&mut guard, t0(), child(1, 1, 200_000, BTC_PX));
    assert_eq!((refusal.kind(), refusal.room()), ("liquidation_near", Some(Qty(109_289))));
    // and so it is: with 109,289 the liquidation price of the position lies 8 % away, one lot more brings it nearer
    for (lots, far) in [(109_289, true), (109_290, false)] {
        guard.set_position(btc(), Lots(lots));
        guard.observe_account(&account(10_000, &[(btc(), lots)], t0()));
        let line = &guard.load_line(t0())[0].positions[0];
        let price = line.liquidation.unwrap_or_default();
        assert_eq!(price <= usd("92000"), far, "{price}");
    }
    // a position elsewhere that would be pulled near counts too
    let mut guard = world_with(limits(near));
    guard.set_position(eth(), Lots(500_000));
    guard.observe_account(&account(10_000, &[(eth(), 500_000)], t0()));
    // 100,000 of ETH at 25x: 8,000 and 0.92 · 2,000 leave 160 for the maintenance of BTC, N / 80
    let refusal = refuse(&mut guard, t0(), child(1, 1, 20_000, BTC_PX));
    assert!(
        matches!(refusal, Refusal::LiquidationNear { instrument, room, .. } if instrument == eth() && room == Qty(12_799)),
        "{refusal}"
    );
}

/// As [`calm`], but for the shocks alone.
fn calm_shocks(raw: &mut RawLimits) {
    let mut still = RawLimits::default();
    calm(&mut still);
    raw.scenario = still.scenario;
    raw.cover.shocked_min = Some("1".into());
}

#[test]
fn the_buffer_and_the_runway_stay() {
    let kept = |raw: &mut RawLimits| {
        wide(raw);
        calm_shocks(raw);
        raw.buffer.tail = Some("1.6".into());
        raw.buffer.unknown_factor = Some("1".into());
        raw.sizing.fee_rate = Some("0".into());
    };
    // nothing is measured: volatility 1.6; 1.6 · 2.5758 · 1.6 · √(20/525,600) = 0.0406766, and one hour of funding at 0.001;
    // with 1/80 of maintenance 0.0541766 N ≤ 10,000
    let mut guard = world_with(limits(kept));
    guard.observe_measure(&unmeasured(btc(), t0()));
    guard.observe_account(&account(10_000, &[], t0()));
    let refusal = refuse(&mut guard, t0(), child(1, 1, 400_000, BTC_PX));
    let room = refusal.room().unwrap_or_default().0;
    assert_eq!(refusal.kind(), "buffer");
    assert!((184_550..184_620).contains(&room), "{room}");
    // a day of it: 0.0406766 · √72 = 0.345150, and 1/80: 27,961
    let mut guard = world_with(limits(|raw| {
        kept(raw);
        raw.buffer.runway_hours_min = Some("24".into());
    }));
    guard.observe_measure(&unmeasured(btc(), t0()));
    guard.observe_account(&account(10_000, &[], t0()));
    let refusal = refuse(&mut guard, t0(), child(1, 1, 100_000, BTC_PX));
    let room = refusal.room().unwrap_or_default().0;
    assert_eq!(refusal.kind(), "runway");
    assert!((27_940..27_980).contains(&room), "{room}");
}

#[test]
fn the_line_of_an_account() {
    let mut guard = world_with(limits(wide));
    guard.set_position(btc(), Lots(50_000));
    guard.set_position(eth(), Lots(-100_000));
    guard.observe_account(&account(20_000, &[(btc(), 50_000), (eth(), -100_000)], t0()));
    let lines = guard.load_line(t0());
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!((line.level, &line.doubt, line.equity), (MarginLevel::Ok, &None, Some(usd("20000"))));
    // 50,000 / 80 and 20,000 / 50
    assert_eq!((line.maintenance, line.cover), (usd("1025"), Some(ratio("19.512195"))));
    assert_eq!(line.free, Some(usd("18565")), "less 1.4 times that");
    // funding 0.0000125 an hour: the long pays 0.625, the short receives 0.25
    assert_eq!(line.funding_hourly, usd("0.625"));
    assert_eq!(line.funding_hours.map(|h| h.decimal().round()), Some(29_704.into()));
    let [long, short] = line.positions.as_slice() else { panic!("{:?}", line.positions) };
    assert_eq!((long.value, long.maintenance, short.funding_hourly), (Some(usd("50000")), Some(usd("625")), Some(usd("-0.25"))));
    // one lot of BTC is 0.00001: x = (400 − 20,000 + 0.5 · 100,000) / (0.5 − 0.5 / 80)
    assert_eq!(long.liquidation.map(|p| p.round(4)), Some(usd("61569.6203")));
    assert_eq!(long.distance, Some(ratio("0.384303")));
    assert_eq!((short.mark, short.funding_hours), (Some(Px(ETH_PX)), None));
    // crash: −7,500 + 4,000; alone: −7,500
    let named: Vec<_> = line.scenarios.iter().map(|s| (s.name.as_str(), s.equity.round(3))).collect();
    assert_eq!(named, [("crash", usd("16500")), ("rally", usd("23500")), ("crash in hyperliquid:BTC alone", usd("12500"))]);
    assert_eq!(line.worst, Some(2));
    // the sheet's own check: at the liquidation price equity equals maintenance
    let x = long.liquidation.unwrap_or_default().decimal();
    let half = ratio("0.5").decimal();
    let equity = usd("20000").decimal() + half * (x - usd("100000").decimal());
    let maintenance = half * x / usd("80").decimal() + usd("400").decimal();
    assert!((equity - maintenance).abs() < ratio("0.00000001").decimal());
}

#[test]
fn i34_an_unknown_rate_is_the_venues_cap() {
    let paid = |raw: &mut RawLimits| {
        wide(raw);
        for one in raw.scenario.values_mut() {
            one.funding_hours = Some("24".into());
        }
    };
    let mut guard = world_with(limits(paid));
    guard.observe_measure(&unmeasured(btc(), t0()));
    guard.observe_account(&account(10_000, &[], t0()));
    let room = |guard: &mut Guard| refuse(guard, t0(), child(1, 1, 900_000, BTC_PX)).room().unwrap_or_default().0;
    // 0.164875 and 24 hours of 0.001
    assert_eq!(room(&mut guard), 52_945);
    guard.observe_marks(&domain::Marks { funding_hourly: Some(ratio("0.005")), ..marks(btc(), BTC_PX, t0()) });
    assert_eq!(room(&mut guard), 35_103, "0.164875 and 0.12");
    guard.observe_marks(&domain::Marks { funding_hourly: None, ..marks(btc(), BTC_PX, t0()) });
    assert_eq!(room(&mut guard), 8_889, "0.164875 and 0.96");
}

// ---- running sums against plain books

const MARKETS: [&str; 6] = ["BTC", "ETH", "SOL", "DOGE", "XRP", "AVAX"];
/// One tick and lot is worth a millionth of a dollar in every market of this test.
const UNIT: i128 = 1_000_000;
const COVER: i128 = 1_400_000;

/// What a bookkeeper would keep.
#[derive(Default)]
struct Plain {
    position: i64,
    mark: i64,
    leverages: Vec<(i64, u32)>,
    /// By key or foreign number: side, lots and price.
    orders: BTreeMap<u64, (Side, i64, i64)>,
}

impl Plain {
    fn ends(&self) -> [i64; 2] {
        let of = |side: Side| self.orders.values().filter(|o| o.0 == side).map(|o| o.1).sum::<i64>();
        [self.position + of(Side::Buy), self.position - of(Side::Sell)]
    }

    /// What is lost at once when orders priced through the mark fill, in 10^-18 of a dollar.
    fn adverse(&self) -> i128 {
        let through = |o: &(Side, i64, i64)| i128::from((o.0.sign() * (o.2 - self.mark)).max(0)) * i128::from(o.1);
        self.orders.values().map(through).sum::<i128>() * UNIT * 1_000_000
    }

    /// Maintenance at the shocked price in its own tier, in 10^-30 of a dollar, and the loss in 10^-12.
    fn burden(&self, lots: i64, shock: i128) -> (i128, i128) {
        let value = i128::from(lots.abs()) * i128::from(self.mark) * UNIT;
        // 10^-18 of a dollar
        let shocked = value * (1_000_000 + shock);
        let (mut rate, mut deduction) = (0, 0);
        for (from, leverage) in &self.leverages {
            let from = i128::from(*from) * 1_000_000_000_000_000_000;
            let next = (1_000_000_000_000 + 2 * i128::from(*leverage) - 1) / (2 * i128::from(*leverage));
            if *leverage > 0 && shocked >= from {
                deduction += from * (next - rate);
                rate = next;
            }
        }
        let toward = if lots < 0 { shock } else { -shock };
        (shocked * rate - deduction, value * toward / 1_000_000)
    }

    /// Loss plus the least cover times maintenance, in 10^-18: of the worse end.
    fn weight(&self, shock: i128) -> i128 {
        let of = |lots: i64| {
            let (maintenance, loss) = self.burden(lots, shock);
            maintenance / 1_000_000_000_000_000_000 * COVER + loss * 1_000_000
        };
        let [long, short] = self.ends();
        of(long).max(of(short))
    }
}

/// Shocks of the scenarios in millionths: calm, crash, rally.
fn shocks(name: &str) -> [i128; 3] {
    if name == "BTC" { [0, -150_000, 150_000] } else { [0, -200_000, 200_000] }
}

/// I04, I28: over random books of orders, positions, marks, tiers and reports, the sums that decisions are made on equal plain
/// sums over all orders, for every scenario and for the worst market alone; what is cleared leaves the least cover by them.
#[test]
fn i28_shock_sums_equal_plain_books_over_a_hundred_thousand_steps() {
    const BOOKS: u64 = 1_000;
    const STEPS: u64 = 105;
    let (mut checked, mut cleared, mut refused) = (0_u64, 0_u64, 0_u64);
    for book in 0..BOOKS {
        let mut chance = Seed(book).fork("books");
        let mut play = Play::new(&mut chance);
        for step in 0..STEPS {
            match play.step(&mut chance) {
                Some(true) => cleared += 1,
                Some(false) => refused += 1,
                None => {}
            }
            play.compare(book, step);
            checked += 1;
        }
        play.guard.verify().unwrap_or_else(|drift| panic!("book {book}: {drift}"));
    }
    println!("{checked} steps compared, {cleared} orders cleared, {refused} refused");
    assert!(checked >= 100_000 && cleared >= 5_000 && refused >= 5_000, "{checked} {cleared} {refused}");
}

struct Play {
    guard: Guard,
    plain: BTreeMap<&'static str, Plain>,
    equity: i32,
    next: u32,
}

impl Play {
    fn new(chance: &mut Prng) -> Play {
        let mut guard = Guard::new(limits(|raw| {
            wide(raw);
            raw.allow = MARKETS.map(|m| format!("hyperliquid:{m}")).to_vec();
            raw.open_orders_per_market_max = Some("1000".into());
            raw.open_orders_per_venue_max = Some("1000".into());
            raw.parents_per_hour_max_usd = Some("1000000000".into());
        }));
        let mut plain = BTreeMap::new();
        for (name, no) in MARKETS.into_iter().zip(1_u32..) {
            guard.set_instrument(&perp(name, 1, 5, 40));
            for (side, base) in [(Side::Buy, 0), (Side::Sell, 100)] {
                guard.register_parent(t0(), &parent(no + base, id(name), side, 1_000_000_000), Px(1));
            }
            plain.insert(name, Plain { leverages: vec![(0, 40)], mark: 1_000_000, ..Plain::default() });
        }
        guard.set_clock_offset(HL, 0);
        guard.set_stream(HL, domain::StreamKind::Market, domain::StreamHealth::Up);
        guard.set_stream(HL, domain::StreamKind::Account, domain::StreamHealth::Up);
        guard.set_ready(true);
        let mut play = Play { guard, plain, equity: 0, next: 0 };
        for name in MARKETS {
            play.mark(name, 1_000_000);
            play.guard.observe_measure(&unmeasured(id(name), t0()));
        }
        // one look, at a far larger account: sizes are wide, so that the shocks speak
        play.guard.observe_account(&account(1_000_000_000, &[], t0()));
        play.guard.observe_profit(t0(), &profit(1_000_000_000));
        play.guard.assess(t0());
        play.report(chance);
        play
    }

    fn mark(&mut self, name: &'static str, px: i64) {
        self.guard.observe_marks(&marks(id(name), px, t0()));
        self.guard.observe_book(&book(id(name), px - 100, px + 100, t0()));
        if let Some(plain) = self.plain.get_mut(name) {
            plain.mark = px;
        }
    }

    fn report(&mut self, chance: &mut Prng) {
        self.equity = i32::try_from(chance.below(60_000)).unwrap_or(0);
        let views = MARKETS.map(|name| PositionView {
            instrument: id(name),
            lots: Lots(0),
            leverage: 5,
            leverage_max: 40,
            isolated_margin: None,
        });
        let listed = account(self.equity, &[], t0());
        self.guard.observe_account(&domain::AccountView { positions: views.to_vec(), ..listed });
        for name in MARKETS {
            let lots = self.plain[name].position;
            self.guard.set_position(id(name), Lots(lots));
        }
    }

    fn intent(&mut self, name: &'static str, side: Side, qty: i64, px: i64) -> domain::Intent {
        self.next += 1;
        let no = u32::try_from(MARKETS.iter().position(|m| *m == name).unwrap_or(0)).unwrap_or(0) + 1;
        let parent = ParentId(if side == Side::Buy { no } else { no + 100 });
        let mut intent = child(1, self.next, qty, px);
        intent.child = domain::Child { parent, instrument: id(name), side, ..intent.child };
        intent.key = domain::ClientKey::derive(JournalTag(7), Epoch(1), parent, ChildNo(self.next));
        intent
    }

    /// One thing that happens; whether an order was cleared, if one was asked for.
    fn step(&mut self, chance: &mut Prng) -> Option<bool> {
        let at = usize::try_from(chance.below(6)).unwrap_or(0);
        let name = MARKETS[at];
        let side = if chance.below(2) == 0 { Side::Buy } else { Side::Sell };
        let qty = 1 + i64::try_from(chance.below(20_000)).unwrap_or(0);
        let mark = self.plain[name].mark;
        // never through the mark, so that what is lost at once is nothing
        let away = side.sign() * 1_000 * (1 + i64::try_from(chance.below(9)).unwrap_or(0));
        let px = (mark - away) / 100 * 100;
        match chance.below(12) {
            0..=4 => {
                let intent = self.intent(name, side, qty, px);
                let verdict = self.guard.clear(t0(), intent).map(drop);
                let cleared = verdict.is_ok();
                if cleared {
                    self.count(name, u64::from(self.next), (side, qty, px));
                } else if let Err(Refusal::Shocked { .. }) = verdict {
                    let (worst, equity) = self.with_order(name, (side, qty, px));
                    assert!(worst > equity - SLACK, "refused without need: {worst} of {equity}");
                }
                if cleared && self.increases(name, side) {
                    let (worst, equity) = (self.worst(), self.left());
                    assert!(worst <= equity, "cleared beyond the least cover: {worst} of {equity}");
                }
                return Some(cleared);
            }
            // in flight or unknown since before a restart; told twice with another quantity, as after an amendment
            5 => {
                let intent = self.intent(name, side, qty, px);
                self.guard.adopt(&intent, Qty(qty));
                self.guard.adopt(&intent, Qty(qty / 2));
                self.count(name, u64::from(self.next), (side, qty / 2, px));
            }
            6 => {
                let order = 1_000_000 + chance.below(8);
                self.guard.adopt_foreign(&foreign(order, id(name), side, px, qty));
                for plain in self.plain.values_mut() {
                    plain.orders.remove(&order);
                }
                self.count(name, order, (side, qty, px));
            }
            7 | 8 => self.fill_or_end(name, chance),
            9 => self.mark(name, 900_000 + 100 * i64::try_from(chance.below(2_000)).unwrap_or(0)),
            10 => self.report(chance),
            _ => {
                let low = 1 + u32::try_from(chance.below(40)).unwrap_or(0);
                let steps = [(Usd::ZERO, 40), (Usd::whole(10_000), low.max(10)), (Usd::whole(50_000), low.min(10))];
                let table = MarginTable::new(&steps).unwrap_or_else(|e| panic!("{e}"));
                self.guard.set_instrument(&domain::Instrument { margin: table.into(), ..perp(name, 1, 5, 40) });
                if let Some(plain) = self.plain.get_mut(name) {
                    plain.leverages = vec![(0, 40), (10_000, low.max(10)), (50_000, low.min(10))];
                }
            }
        }
        None
    }

    fn count(&mut self, name: &'static str, order: u64, of: (Side, i64, i64)) {
        if let Some(plain) = self.plain.get_mut(name) {
            plain.orders.insert(order, of);
        }
    }

    fn fill_or_end(&mut self, name: &'static str, chance: &mut Prng) {
        let Some(plain) = self.plain.get_mut(name) else { return };
        let Some((order, (side, lots, px))) = plain.orders.iter().next().map(|(o, s)| (*o, *s)) else { return };
        if order >= 1_000_000 {
            plain.orders.remove(&order);
            let ended = foreign(order, id(name), side, 1, 0);
            self.guard.adopt_foreign(&domain::OrderReport { state: ReportedState::Canceled, ..ended });
            return;
        }
        let no = u32::try_from(MARKETS.iter().position(|m| *m == name).unwrap_or(0)).unwrap_or(0) + 1;
        let parent = ParentId(if side == Side::Buy { no } else { no + 100 });
        let key = domain::ClientKey::derive(JournalTag(7), Epoch(1), parent, ChildNo(u32::try_from(order).unwrap_or(0)));
        let part = i64::try_from(chance.below(u64::try_from(lots + 1).unwrap_or(1))).unwrap_or(0);
        plain.position += side.sign() * part;
        self.guard.filled(key, Qty(part));
        self.guard.set_position(id(name), Lots(plain.position));
        if part == lots || chance.below(3) == 0 {
            plain.orders.remove(&order);
            self.guard.gone(key);
        } else {
            plain.orders.insert(order, (side, lots - part, px));
        }
    }

    fn increases(&self, name: &str, side: Side) -> bool {
        let [long, short] = self.plain[name].ends();
        match side {
            Side::Buy => long > 0,
            Side::Sell => short < 0,
        }
    }

    /// The heaviest of all scenarios and of each market moving alone, in 10^-18 of a dollar.
    fn worst(&self) -> i128 {
        let weights: Vec<[i128; 3]> = self.plain.iter().map(|(name, p)| shocks(name).map(|s| p.weight(s))).collect();
        let joint = |k: usize| weights.iter().map(|w| w[k]).sum::<i128>();
        let alone = weights.iter().flat_map(|w| w.map(|x| x - w[CALM])).max().unwrap_or(0);
        joint(0).max(joint(1)).max(joint(2)).max(joint(CALM) + alone)
    }

    /// Equity after the worst fills, likewise.
    fn left(&self) -> i128 {
        i128::from(self.equity) * 1_000_000_000_000_000_000 - self.plain.values().map(Plain::adverse).sum::<i128>()
    }

    fn with_order(&mut self, name: &'static str, of: (Side, i64, i64)) -> (i128, i128) {
        self.count(name, u64::MAX, of);
        let worst = (self.worst(), self.left());
        if let Some(plain) = self.plain.get_mut(name) {
            plain.orders.remove(&u64::MAX);
        }
        worst
    }

    fn compare(&self, book: u64, step: u64) {
        let (plan, sums) = (&self.guard.projection.plan, &self.guard.projection.venue(HL).sums);
        let weights: Vec<[i128; 3]> = self.plain.iter().map(|(name, p)| shocks(name).map(|s| p.weight(s))).collect();
        for shock in 0..3 {
            let exact: i128 = weights.iter().map(|w| w[shock]).sum();
            let running = sums.joint.get(shock).copied().unwrap_or_default().weighed(plan.cover);
            assert!((-SLACK..SLACK).contains(&(running - exact)), "book {book} step {step} shock {shock}: {running} {exact}");
        }
        let alone = weights.iter().flat_map(|w| w.map(|x| x - w[CALM])).max().unwrap_or(0);
        let running = sums.alone.max().unwrap_or(0);
        assert!((-SLACK..SLACK).contains(&(running - alone)), "book {book} step {step} alone: {running} {alone}");
    }
}

/// A thousandth of a cent: shares are rounded up at 2^-40 of values below a million dollars.
const SLACK: i128 = 10_000_000_000_000;

#[test]
fn every_account_that_has_something_has_a_line() {
    let guard = Guard::new(limits(|_| ()));
    assert_eq!(guard.load_line(t0()), []);
    let guard = world();
    let lines = guard.load_line(t0());
    assert_eq!(lines.len(), 1);
    assert_eq!((lines[0].cover, lines[0].worst, lines[0].runway_hours, lines[0].buffer), (None, None, None, Usd::ZERO));
    // a market whose position was never booked cannot be valued, and the line says so
    let mut guard = world();
    guard.observe_account(&account(5_000, &[(InstrumentId::new(HL, "DOGE").unwrap_or_else(|e| panic!("{e}")), 5)], t0()));
    assert!(guard.load_line(t0())[0].doubt.as_deref().is_some_and(|why| why.contains("hyperliquid:DOGE")));
}
