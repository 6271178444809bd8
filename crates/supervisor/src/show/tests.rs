use domain::MarginLevel;

use super::hull::{Draught, Mark, draw};
use super::*;

pub fn ratio(text: &str) -> Ratio {
    Ratio::new(text.parse().unwrap()).unwrap()
}

fn ship(now: Option<&str>, worst: Option<&str>) -> Draught {
    let mark = |name: &str, cover: &str| Mark { name: name.to_owned(), cover: ratio(cover), load_line: name == "load line" };
    Draught {
        now: now.map(ratio),
        why: "empty: no position",
        worst: worst.map(ratio),
        marks: vec![mark("watch", "4"), mark("load line", "3"), mark("reduce", "2"), mark("kill", "1.4")],
    }
}

/// Compares with `golden/NAME.txt`; with `PLIMSOLL_GOLDEN=write` in the environment it writes that file instead.
#[track_caller]
pub fn golden(name: &str, lines: &[String]) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/show/golden/{name}.txt"));
    let got = format!("{}\n", lines.join("\n"));
    if std::env::var_os("PLIMSOLL_GOLDEN").is_some_and(|v| v == "write") {
        std::fs::write(&file, &got).unwrap();
    }
    let wanted = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    assert_eq!(got, wanted, "\n{got}");
}

#[track_caller]
pub fn inside(lines: &[String], width: usize) {
    let wide = lines.iter().find(|line| line.chars().count() > width);
    assert_eq!(wide, None, "wider than {width}");
}

#[test]
fn a_hull_shows_the_water_its_marks_and_the_worst_case() {
    golden("hull", &draw(&ship(Some("5.1"), Some("1.9")), 96));
    golden("hull_empty", &draw(&ship(None, None), 80));
    golden("hull_narrow", &draw(&ship(Some("52.25"), Some("0.8")), 50));
    golden("hull_light", &draw(&ship(Some("2500"), Some("-3")), 80));
    for width in WIDTH_MIN..=WIDTH_MAX {
        inside(&draw(&ship(Some("3.01"), Some("2.9")), width), width);
    }
}

#[test]
fn amounts_have_separators_and_keep_their_sign() {
    let money = |text: &str| super::money(text.parse().unwrap());
    assert_eq!(
        ["0", "-0.004", "999.995", "-1234567.8", "1000"].map(money),
        ["0.00", "0.00", "1,000.00", "-1,234,567.80", "1,000.00"]
    );
    assert_eq!(percent(ratio("0.0000125"), 5), "0.00125 %");
    assert_eq!(wrapped("one two  three fourteen", 8), ["one two", "three", "fourteen"]);
    assert!(wrapped("", 8).is_empty());
}

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

fn btc() -> domain::Instrument {
    domain::Instrument {
        id: "hyperliquid:BTC".parse().unwrap(),
        venue_asset: 0,
        tick: Decimal::new(1, 1),
        lot: Decimal::new(1, 5),
        price_rule: domain::PriceRule::SignificantFigures(5),
        qty_min: domain::Qty(1),
        notional_min: Usd::whole(10),
        leverage_max: 40,
        margin: domain::margin::MarginTable::flat(40).into(),
        status: domain::MarketStatus::Open,
        isolated_only: false,
    }
}

/// 2026-11-22 22:00:00.250 UTC.
fn at() -> domain::Stamp {
    domain::Stamp { mono: 5_000_000_000, wall_ms: 1_795_384_800_250 }
}

/// The worked example of quant §1.3, with caps around its rule.
fn sized(side: domain::Side, fixed: &str, no_increase: Vec<String>) -> size::SizeView {
    let factor = |name, value: &str, why: &str| risk::sizing::Factor { name, value: ratio(value), why: why.to_owned() };
    let cap = |name, amount: &str, why: &str| risk::sizing::Cap { name, usd: usd(amount), why: why.to_owned() };
    let sizing = risk::sizing::Sizing {
        factors: vec![
            factor("equity_total", "1000000", "all venues and what is stated besides"),
            factor("base_risk_cap", "375000", "equity_total · alloc_l2 · share_instrument · tier_leverage"),
            factor("volatility_adjuster", "0.666666666667", "sigma_target 0.4 / sigma_forecast, 0.25 to 1"),
            factor("funding_risk_multiplier", "1.85", "z 3.5 adds 0.5; persistence 0.6 adds 0.2; instability 2 adds 0.15"),
        ],
        caps: vec![
            cap("rule", "135135.14", "375000 · 0.6667 / 1.85"),
            cap(
                "loss_budget",
                "151234.5",
                "a loss of 5000: 3.2 % by price, 0.05 % by exit slippage, 0.04 % by fees, of each unit",
            ),
        ],
        notional: usd("135135.14"),
        binding: "rule",
        no_increase,
    };
    let view = size::SizeView {
        at: at(),
        instrument: btc().id,
        side,
        reference: Some(domain::Px(647_060)),
        position: Some(domain::Lots(60_000)),
        worst: domain::Lots(78_000),
        size: None,
        market_notional_max_usd: usd(fixed),
        sizing,
    };
    size::SizeView { size: Some(view.lots(&btc(), domain::Px(647_060))), ..view }
}

#[test]
fn a_size_shows_every_factor_and_marks_the_cap_that_binds() {
    use domain::Side::{Buy, Sell};
    let both = [sized(Buy, "200000", Vec::new()), sized(Sell, "100000", vec!["funding red flag: z 6.1 is beyond 5".to_owned()])];
    golden("size", &size::size(&both, &btc(), 96));
    golden("size_narrow", &size::size(&both[..1], &btc(), 60));
    // 135,135.14 at 64,706 are 2.08844… coins, and a lot more would be above it
    assert_eq!((both[0].size, both[0].least().1), (Some(domain::Qty(208_844)), "rule"));
    assert_eq!((both[1].size, both[1].least().1), (Some(domain::Qty(154_545)), "market_notional_max"));
    let blind = size::SizeView { reference: None, position: None, size: None, ..both[0].clone() };
    let text = size::size(&[blind], &btc(), 96).join(" ");
    assert!(text.contains("price unknown") && text.contains("the position is not known"), "{text}");
    inside(&size::size(&both, &btc(), 72), 72);
}

/// The cross account of quant §4.1: equity 8,000, long 1 BTC at 64,706.
fn account() -> margin_guard::AccountLine {
    let scenario = |name: &str, equity: &str, maintenance: &str, cover: &str, margin: &str| margin_guard::ScenarioLine {
        name: name.to_owned(),
        equity: usd(equity),
        maintenance: usd(maintenance),
        cover: Some(ratio(cover)),
        margin: usd(margin),
    };
    margin_guard::AccountLine {
        level: MarginLevel::Watch,
        equity: Some(usd("8000")),
        maintenance: usd("2200.56"),
        cover: Some(ratio("3.635438252")),
        free: Some(usd("4919.216")),
        buffer: usd("987.06"),
        buffer_why: vec!["exit is unknown: x 1.5".to_owned()],
        runway_hours: Some(ratio("8.379")),
        scenarios: vec![
            scenario("crash", "-1725.31", "1870.48", "-0.92", "-4343.98"),
            scenario("rally", "17705.9", "2530.64", "6.99", "14163"),
        ],
        worst: Some(0),
        funding_hourly: usd("0.80895"),
        funding_hours: Some(ratio("6081.002")),
        positions: vec![margin_guard::PositionLine {
            instrument: btc().id,
            lots: domain::Lots(100_000),
            mark: Some(domain::Px(647_060)),
            value: Some(usd("64706")),
            liquidation: Some(usd("57802.3899")),
            distance: Some(ratio("0.10669196")),
            maintenance: Some(usd("808.825")),
            funding_hourly: Some(usd("0.80895")),
            funding_hours: Some(ratio("6081.002")),
        }],
        ..no_account()
    }
}

fn no_account() -> margin_guard::AccountLine {
    margin_guard::AccountLine {
        venue: domain::Venue::Hyperliquid,
        level: MarginLevel::Ok,
        doubt: None,
        equity: None,
        maintenance: Usd::ZERO,
        cover: None,
        free: None,
        buffer: Usd::ZERO,
        buffer_why: Vec::new(),
        runway_hours: None,
        scenarios: Vec::new(),
        worst: None,
        funding_hourly: Usd::ZERO,
        funding_hours: None,
        positions: Vec::new(),
    }
}

fn load_line(accounts: Vec<margin_guard::AccountLine>) -> margin::MarginView {
    let [watch, top_up, reduce, kill, load_line] = ["4", "3", "2", "1.4", "3"].map(ratio);
    margin::MarginView {
        at: at(),
        stop: domain::StopLevel::Run,
        stop_cause: String::new(),
        stops: Vec::new(),
        levels: margin::Levels { watch, top_up, reduce, kill, load_line },
        accounts,
        instruments: std::collections::BTreeMap::from([(btc().id, btc())]),
    }
}

#[test]
fn a_load_line_is_drawn_with_the_figures_it_follows_from() {
    golden("margin", &margin::margin(&load_line(vec![account()]), 110));
    golden("margin_narrow", &margin::margin(&load_line(vec![account()]), 60));
    for width in 72..=WIDTH_MAX {
        inside(&margin::margin(&load_line(vec![account()]), width), width);
    }
    let doubt = Some("the account has not been reported".to_owned());
    let mut view = load_line(vec![margin_guard::AccountLine { doubt, ..no_account() }]);
    (view.stop, view.stop_cause) = (domain::StopLevel::ReduceOnly, "the day has lost 3100, its budget is 3000".to_owned());
    let stop = |scope: &str, level, trigger, cause: &str| {
        let stop = domain::Stop { scope: scope.parse().unwrap(), ..domain::Stop::all(level, trigger, cause) };
        let next = "see plimsoll margin; then plimsoll rearm --reason …".to_owned();
        desk::StopLine { stop, since_ms: at().wall_ms, next }
    };
    view.stops = vec![
        stop("all", domain::StopLevel::ReduceOnly, domain::Trigger::Guard, &view.stop_cause),
        stop("parent:P7", domain::StopLevel::Block, domain::Trigger::Rejects, "the venue refused 5 of 6 orders of P7"),
    ];
    view.stops[1].stop = view.stops[1].stop.clone().with("refusals", 5).with("answers", 6);
    golden("margin_unknown", &margin::margin(&view, 80));
    assert_eq!(margin::margin(&load_line(Vec::new()), 80), ["no account has been reported, and nothing is held"]);
}

#[test]
fn positions_without_known_equity_are_no_empty_ship() {
    let account = margin_guard::AccountLine { equity: None, cover: None, ..account() };
    let text = margin::margin(&load_line(vec![account]), 110).join("\n");
    assert!(text.contains("how deep it lies is not known") && !text.contains("empty"), "{text}");
}

/// A parent of 0.5 BTC whose first child was cleared and filled, and whose second was refused 40 times.
fn journal() -> Vec<domain::Stamped> {
    use domain::*;
    let instrument = btc().id;
    let key = ClientKey::derive(JournalTag(7), Epoch(1), ParentId(3), ChildNo(1));
    let child = |no: u32, qty: i64| Child {
        parent: ParentId(3),
        no: ChildNo(no),
        instrument,
        side: Side::Buy,
        qty: Qty(qty),
        px: Px(647_060),
        tif: Tif::PostOnly,
        reduce_only: false,
    };
    let spec = ParentSpec {
        id: ParentId(3),
        instrument,
        side: Side::Buy,
        qty: Qty(50_000),
        schedule: Schedule::Twap { slices: 10 },
        placement: Placement::Passive,
        display: None,
        horizon: Span::secs(600),
        limit_px: None,
        slippage_max: Ratio::bps(50),
        end: EndPolicy::Cancel,
        reduce_only: false,
        note: "morning".to_owned(),
    };
    let view = VolatilityView { forecast: Some(ratio("0.6")), hours: 720, ..VolatilityView::default() };
    let funding = FundingView { rate: Some(ratio("0.0000125")), z: Some(ratio("6.1")), hours: 720, ..FundingView::default() };
    let measure = Measure { instrument, at: at(), volatility: view, funding, beta: None, correlation: None };
    let basis = serde_json::json!({
        "limits": 1, "reference": 647_060, "book_age_ms": 40, "equity": "8000", "position": 0, "worst": [5_000, 0], "cover": "98.9"
    });
    let fill = Fill {
        id: TradeId { venue: Venue::Hyperliquid, trade: "9".to_owned(), order: VenueOrderId::Number(44) },
        key: Some(key),
        instrument,
        side: Side::Buy,
        px: Px(647_060),
        qty: Qty(5_000),
        fee: usd("0.4853"),
        role: LiquidityRole::Maker,
        forced: false,
        position_before: Some(Lots(0)),
        venue_ms: at().wall_ms,
    };
    let intent = Intent { key, child: child(1, 5_000), nonce: 2, expiry: Expiry::AtMs(0) };
    let why = "funding red flag: |z| 6.1 is at or beyond 5 (C15); positions may not grow".to_owned();
    let entries = [
        Entry::Limits { id: 0x0123_4567_89ab_cdef, text: "{}".to_owned() },
        Entry::Instrument(btc()),
        Entry::Parent { spec, start: at(), arrival: Arrival { mid_x2: 1_294_121, spread: 1, tick_lot: usd("0.000001") } },
        Entry::Intent { intent, basis: serde_json::from_value(basis).unwrap(), mid_x2: Some(1_294_121) },
        Entry::Acked { key, order: Some(VenueOrderId::Number(44)) },
        Entry::Fill(fill),
        Entry::Done { key, outcome: OrderOutcome::Filled, reject: None },
        Entry::Measured(measure),
        Entry::Refused { child: child(2, 6_000), why, count: 40 },
    ];
    let later = |n: u64| Stamp { mono: at().mono + n * 1_000_000_000, wall_ms: at().wall_ms + n * 1_000 };
    (0..).zip(entries).map(|(n, entry)| Stamped { at: later(n), entry }).collect()
}

#[test]
fn an_order_is_explained_with_the_numbers_of_its_verdict() {
    let markets = explain::Markets::from([(btc().id, btc())]);
    let told = |order: &str, width: usize| {
        let told = desk::explain(&journal(), &order.parse().unwrap()).unwrap_or_else(|e| panic!("{e}"));
        explain::explain(&told, &markets, width)
    };
    golden("explain_cleared", &told("P3/1", 96));
    golden("explain_refused", &told("P3/2", 96));
    assert_eq!(told("oid:44", 96), told("P3/1", 96));
    inside(&told("P3", 72), 72);
    let known = desk::explain(&journal(), &"P3/9".parse().unwrap()).unwrap_err().to_string();
    assert!(known.contains("P3/9") && known.contains("P3/2"), "{known}");
}
