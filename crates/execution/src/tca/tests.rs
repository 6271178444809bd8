use domain::margin::MarginModel;
use domain::{
    Basis, Child, ChildNo, EndPolicy, Epoch, Expiry, FundingPayment, Intent, JournalTag, Lots, MarketStatus, PriceRule, Px, Qty,
    TradeId, Venue, VenueOrderId,
};

use super::*;

fn dec(text: &str) -> Decimal {
    Decimal::from_str_exact(text).unwrap()
}

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

fn stamp(secs: u64) -> Stamp {
    Stamp { mono: secs * 1_000_000_000, wall_ms: 1_760_000_000_000 + secs * 1_000 }
}

fn id() -> InstrumentId {
    InstrumentId::new(Venue::Hyperliquid, "T").unwrap()
}

/// Ticks of a cent, lots of one.
fn instrument() -> Instrument {
    Instrument {
        id: id(),
        venue_asset: 0,
        tick: dec("0.01"),
        lot: Decimal::ONE,
        price_rule: PriceRule::Grid,
        qty_min: Qty(1),
        notional_min: Usd::whole(10),
        leverage_max: 10,
        margin: MarginModel::flat(10),
        status: MarketStatus::Open,
        isolated_only: false,
    }
}

fn key(no: u32) -> ClientKey {
    ClientKey::derive(JournalTag(1), Epoch(1), ParentId(1), ChildNo(no))
}

fn parent(id: u32) -> Entry {
    let spec = ParentSpec {
        id: ParentId(id),
        instrument: self::id(),
        side: Side::Buy,
        qty: Qty(1_000),
        schedule: Schedule::Twap { slices: 2 },
        placement: Placement::LimitToMarket,
        display: None,
        horizon: Span::secs(100),
        limit_px: None,
        slippage_max: Ratio::bps(100),
        end: EndPolicy::Cancel,
        reduce_only: false,
        note: String::new(),
    };
    Entry::Parent { spec, start: stamp(0), arrival: Arrival { mid_x2: 2_000, spread: 2, tick_lot: usd("0.01") } }
}

fn intent(no: u32, tif: Tif, mid_x2: i64) -> Entry {
    let child = Child {
        parent: ParentId(1),
        no: ChildNo(no),
        instrument: id(),
        side: Side::Buy,
        qty: Qty(500),
        px: Px(1_007),
        tif,
        reduce_only: false,
    };
    let basis = Basis {
        limits: 0,
        config: 0,
        reference: Px(1_000),
        book_age_ms: 0,
        equity: Usd::ZERO,
        position: Lots::ZERO,
        worst: (Lots::ZERO, Lots::ZERO),
        cover: None,
    };
    let intent = Intent { key: key(no), child, nonce: 1, expiry: Expiry::AtMs(1) };
    Entry::Intent { intent, basis, mid_x2: Some(mid_x2) }
}

fn fill(no: u32, qty: i64, role: LiquidityRole, fee: &str) -> Entry {
    Entry::Fill(Fill {
        id: TradeId { venue: Venue::Hyperliquid, trade: "1".into(), order: VenueOrderId::Number(1) },
        key: Some(key(no)),
        instrument: id(),
        side: Side::Buy,
        px: Px(1_007),
        qty: Qty(qty),
        fee: usd(fee),
        role,
        forced: false,
        position_before: None,
        venue_ms: 0,
    })
}

fn fold(entries: Vec<(u64, Entry)>) -> ReportBuilder {
    let mut builder = ReportBuilder::new();
    for (secs, entry) in entries {
        builder.fold(&Stamped { at: stamp(secs), entry });
    }
    builder
}

/// The worked example of quant §2.4 as a journal: buy 1,000, decision 10.00, first order at 10.05, 700 at 10.07, fee 14, the rest
/// cancelled at 10.08.
fn example() -> Vec<(u64, Entry)> {
    vec![
        (0, Entry::Instrument(instrument())),
        (0, parent(1)),
        (1, intent(1, Tif::PostOnly, 2_010)),
        (10, fill(1, 400, LiquidityRole::Maker, "4")),
        (60, intent(2, Tif::ImmediateOrCancel, 2_012)),
        (61, fill(2, 300, LiquidityRole::Taker, "10")),
        (62, Entry::CancelAsked { key: key(2) }),
        (
            100,
            Entry::Ended {
                parent: ParentId(1),
                outcome: ParentOutcome::Expired { residual: Qty(300), why: "x".into() },
                mid_x2: Some(2_016),
            },
        ),
    ]
}

#[test]
fn the_worked_example_adds_up() {
    let report = fold(example()).report();
    let p = &report.parents[0];
    let s = p.shortfall_bps.unwrap();
    let parts = [s.delay, s.execution, s.opportunity, s.fees].map(Option::unwrap);
    assert_eq!(parts, [dec("35"), dec("14"), dec("24"), dec("14")]);
    assert_eq!((s.total, s.funding, s.total_money), (Some(dec("87")), None, Some(dec("87"))));
    assert_eq!((p.quantity, p.filled, p.average_price), (dec("1000"), dec("700"), Some(dec("10.07"))));
    assert_eq!(p.slippage_bps, Some(dec("70")));
    assert_eq!(p.maker_share, Some(Ratio::scaled(5714, 4)));
    assert_eq!((p.post_only_share, p.immediate_share), (Some(Ratio::scaled(5714, 4)), Some(Ratio::scaled(4286, 4))));
    assert_eq!((p.children, p.fills, p.cancels, p.duration_ms), (2, 2, 1, 100_000));
    // at 61 s of 100, 610 were due and 700 filled; just before, at 10 s, 400 instead of 100; at the end 700 instead of 1,000
    assert_eq!(p.schedule_error, Some(Ratio::scaled(3, 1)));
    let slices: Vec<_> = p.slices.iter().map(|s| (s.slice, s.filled, s.slippage_bps)).collect();
    assert_eq!(slices, [(1, dec("400"), Some(dec("19.9005"))), (2, dec("300"), Some(dec("9.9404")))]);
    assert!(p.markouts.is_empty() && p.slippage_vs_twap_bps.is_none() && p.participation.is_none(), "absent, never zero");
}

#[test]
fn without_a_mid_at_the_end_what_was_missed_is_absent() {
    let mut entries = example();
    entries.pop();
    let p = fold(entries).report().parents.remove(0);
    let s = p.shortfall_bps.unwrap();
    assert_eq!((s.opportunity, s.total), (None, None));
    assert_eq!((s.delay, p.outcome), (Some(dec("35")), None));
}

#[test]
fn without_an_instrument_it_says_so() {
    let mut entries = example();
    entries.remove(0);
    let p = fold(entries).report().parents.remove(0);
    assert_eq!((p.in_units, p.average_price), (false, Some(dec("1007"))));
    assert_eq!(p.shortfall_bps.unwrap().total_money, Some(dec("87")), "money needs none");
    assert!(p.to_string().contains("no instrument"));
}

#[test]
fn funding_is_shared_by_position() {
    let mut entries = example();
    let payment = |position: i64| {
        Entry::Funding(FundingPayment {
            instrument: id(),
            amount: usd("-14"),
            rate: Ratio::ZERO,
            position: Lots(position),
            venue_ms: 0,
        })
    };
    entries.insert(7, (70, payment(1_400)));
    entries.insert(8, (71, payment(-5)));
    let s = fold(entries).report().parents[0].shortfall_bps.unwrap();
    assert_eq!((s.funding, s.total), (Some(dec("7")), Some(dec("94"))), "half of the position is this parent's; a short is not");
}

#[test]
fn markouts_and_benchmarks_need_the_market() {
    let mut builder = ReportBuilder::new();
    let trade = |px: i64, qty: i64, own: bool| MarketTrade {
        instrument: id(),
        side: Side::Buy,
        px: Px(px),
        qty: Qty(qty),
        trade: String::new(),
        own,
        venue_ms: 0,
        at: stamp(0),
    };
    for (secs, entry) in example() {
        builder.fold(&Stamped { at: stamp(secs), entry });
        if secs == 1 {
            builder.observe_mid(id(), stamp(1), 2_010);
            builder.observe_trade(&trade(1_005, 1_300, false));
            builder.observe_trade(&trade(2_000, 1_300, true));
        }
        if secs == 10 {
            builder.observe_mid(id(), stamp(11), 2_020);
        }
    }
    let p = builder.parent(ParentId(1)).unwrap();
    // one second after 400 at 10.07 the mid was 10.10; 51 s later it stands for the second fill's neighbours too
    assert_eq!(p.markouts.first().map(|m| (m.after_secs, m.bps)), Some((1, dec("29.7915"))));
    assert_eq!(p.participation, Some(Ratio::scaled(35, 2)));
    assert_eq!(p.slippage_vs_vwap_bps, Some(dec("19.9005")));
    assert_eq!(p.slippage_vs_twap_bps, Some(dec("19.9005")), "the mid was 10.05 for as long as it was known");
}

#[test]
fn thirty_parents_have_an_interval() {
    let mut entries = Vec::new();
    for i in 1..=30 {
        entries.push((0, parent(i)));
        let Entry::Fill(mut f) = fill(1, 400, LiquidityRole::Maker, "0") else { unreachable!() };
        f.key = Some(ClientKey::derive(JournalTag(1), Epoch(1), ParentId(i), ChildNo(1)));
        f.px = Px(1_000 + i64::from(i));
        entries.push((1, Entry::Fill(f)));
    }
    let all = fold(entries.clone()).report().aggregate.unwrap();
    assert_eq!((all.parents, all.slippage_bps), (30, dec("155")));
    assert!(
        all.low_bps < dec("140") && all.low_bps > dec("110") && all.high_bps > dec("170") && all.high_bps < dec("200"),
        "{all:?}"
    );
    entries.truncate(58);
    assert_eq!(fold(entries).report().aggregate, None);
}

#[test]
fn the_text_names_every_part() {
    let text = fold(example()).report().to_string();
    for part in [
        "P1 buy 1000 hyperliquid:T",
        "expired",
        "700 of 1000 in 100.000 s",
        "slippage 70 bps",
        "shortfall 87 bps",
        "delay 35",
        "slice",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    let json = serde_json::to_value(&fold(example()).report().parents[0]).unwrap();
    for name in [
        "quantity",
        "filled",
        "average_price",
        "arrival_price",
        "slippage_bps",
        "maker_share",
        "children",
        "refusals",
        "duration_ms",
    ] {
        assert!(!json[name].is_null(), "{name}");
    }
}
