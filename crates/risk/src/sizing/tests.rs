use domain::{FundingView, InstrumentId, Stamp, Venue, VolatilityView};
use proptest::prelude::*;

use super::*;

const HOUR_MS: u64 = 3_600_000;
const NOW_MS: u64 = 500_000 * HOUR_MS;

fn usd(text: &str) -> Usd {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

fn rat(text: &str) -> Ratio {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

fn dec(text: &str) -> Decimal {
    Decimal::from_str_exact(text).unwrap_or_else(|e| panic!("{e}"))
}

/// Everything that sizing is asked with, owned, so that a test changes one thing.
#[derive(Clone, Debug)]
struct Case {
    params: SizingParams,
    side: Side,
    equity_total: Option<Usd>,
    equity_venue: Option<Usd>,
    venue_other: Option<Usd>,
    measure: Option<Measure>,
    trust: Ratio,
    scale: Ratio,
    trade_budget: Option<Usd>,
    depth: Option<Depth>,
    group: Room,
    margin: Room,
    hedge: Option<HedgeProof>,
}

impl Case {
    fn size(&self) -> Sizing {
        size(
            &self.params,
            &Inputs {
                side: self.side,
                now_ms: NOW_MS,
                equity_total: self.equity_total,
                equity_venue: self.equity_venue,
                venue_other: self.venue_other,
                measure: self.measure.as_ref(),
                trust: self.trust,
                drawdown_scale: self.scale,
                trade_budget: self.trade_budget,
                depth: self.depth.as_ref(),
                group_room: self.group,
                margin_room: self.margin,
                hedge: self.hedge,
                funding_cap: Ratio::scaled(4, 2),
            },
        )
    }

    fn with(&self, change: impl FnOnce(&mut Case)) -> Case {
        let mut case = self.clone();
        change(&mut case);
        case
    }

    fn funding(&mut self) -> &mut FundingView {
        &mut self.measure.as_mut().unwrap_or_else(|| panic!("no measure")).funding
    }

    fn volatility(&mut self) -> &mut VolatilityView {
        &mut self.measure.as_mut().unwrap_or_else(|| panic!("no measure")).volatility
    }
}

fn cap_of(sizing: &Sizing, name: &str) -> Usd {
    sizing.caps.iter().find(|cap| cap.name == name).map(|cap| cap.usd).unwrap_or_else(|| panic!("no cap {name}"))
}

fn factor_of(sizing: &Sizing, name: &str) -> Ratio {
    sizing.factors.iter().find(|f| f.name == name).map(|f| f.value).unwrap_or_else(|| panic!("no factor {name}"))
}

fn walk(levels: &[(&str, &str)]) -> Walk {
    let steps = levels.iter().map(|(notional, offset)| WalkStep { notional: dec(notional), offset: dec(offset) });
    Walk::new(steps.collect()).unwrap_or_else(|| panic!("no depth"))
}

/// The example of quant §1.3 with a deep book and a large loss budget, so that the rule binds.
fn example() -> Case {
    let funding = FundingView {
        rate: Some(rat("0.0001")),
        z: Some(rat("3.5")),
        persistence: Some(rat("0.6")),
        z_cross: Some(rat("0")),
        instability: Some(rat("2")),
        mean: Some(rat("0.000028")),
        phi: Some(rat("0.864")),
        sigma: Some(rat("0.0000185")),
        hours: 720,
        newest_ms: NOW_MS - HOUR_MS,
    };
    let volatility =
        VolatilityView { forecast: Some(rat("0.6")), hours: 720, newest_ms: NOW_MS - HOUR_MS, ..VolatilityView::default() };
    Case {
        params: SizingParams::default(),
        side: Side::Buy,
        equity_total: Some(usd("1000000")),
        equity_venue: Some(usd("300000")),
        venue_other: Some(Usd::ZERO),
        measure: Some(Measure {
            instrument: InstrumentId::new(Venue::Hyperliquid, "BTC").unwrap_or_else(|e| panic!("{e}")),
            at: Stamp::default(),
            volatility,
            funding,
            beta: Some(Ratio::ONE),
            correlation: Some(Ratio::ONE),
        }),
        trust: Ratio::ONE,
        scale: Ratio::ONE,
        trade_budget: Some(usd("50000")),
        depth: Some(Depth {
            walk: walk(&[("500000", "0.0001"), ("3000000", "0.0005"), ("5000000", "0.001")]),
            near: usd("8000000"),
            age: Span::millis(100),
        }),
        group: Room::NoCap,
        margin: Room::NoCap,
        hedge: None,
    }
}

#[test]
fn the_rule_by_hand() {
    // quant §1.3: B 375,000, v 2/3, m 1.85
    let sizing = example().size();
    assert_eq!(factor_of(&sizing, "base_risk_cap"), rat("375000"));
    assert_eq!(factor_of(&sizing, "volatility_adjuster"), rat("0.666666666667"));
    assert_eq!(factor_of(&sizing, "funding_risk_multiplier"), rat("1.85"));
    assert_eq!((sizing.notional.decimal().round_dp(2), sizing.binding), (dec("135135.14"), "rule"));
    assert!(sizing.no_increase.is_empty());
    // the published case size-rule: z −6, p 0.8, z_x 3.5, ρ 1.2, σ 0.8
    let other = example().with(|case| {
        let f = case.funding();
        (f.z, f.persistence, f.z_cross, f.instability) = (Some(rat("-6")), Some(rat("0.8")), Some(rat("3.5")), Some(rat("1.2")));
        case.volatility().forecast = Some(rat("0.8"));
    });
    let sizing = other.size();
    assert_eq!(factor_of(&sizing, "funding_risk_multiplier"), rat("2.975"));
    assert_eq!(sizing.notional.decimal().round_dp(6), dec("63025.210084"));
    assert_eq!(sizing.no_increase.len(), 1, "{:?}", sizing.no_increase);
    let half = example().with(|case| case.scale = rat("0.5")).size();
    assert_eq!(half.notional.decimal().round_dp(2), dec("67567.57"), "g multiplies");
}

#[test]
fn the_lower_of_the_two_bases_is_enforced() {
    // B_dd = 5,000 / (2.33 · 0.4 · √(24/8760)) = 102,495.17
    let sizing = example().with(|case| case.trade_budget = Some(usd("5000"))).size();
    let base = factor_of(&sizing, "base_drawdown").decimal();
    assert_eq!(base.round_dp(2), dec("102494.49"));
    assert_eq!(cap_of(&sizing, "rule").decimal().round_dp(4), (base / dec("1.5") / dec("1.85")).round_dp(4));
}

#[test]
fn the_loss_budget_is_used_up_and_no_more() {
    let case = example().with(|case| case.trade_budget = Some(usd("5000")));
    let n = cap_of(&case.size(), "loss_budget").decimal();
    let horizon = dec("0.052342392259021370");
    let depth = case.depth.clone().unwrap_or_else(|| panic!("no book"));
    let loss = |n: Decimal| {
        n * (dec("2.33") * dec("0.6") * horizon + dec("0.00045") + dec("0.001971220")) + dec("3") * depth.walk.cost(n).0
    };
    assert!(loss(n) <= dec("5000.001") && loss(n + dec("0.1")) > dec("5000"), "{n} {}", loss(n));
    let old = case.with(|case| case.depth.as_mut().unwrap_or_else(|| panic!("no book")).age = Span::millis(2_001));
    assert!(cap_of(&old.size(), "loss_budget") < cap_of(&case.size(), "loss_budget"), "an old book costs twice");
}

#[test]
fn a_book_is_walked_level_by_level_and_by_the_root_beyond() {
    let book = walk(&[("100", "0.001"), ("300", "0.002")]);
    assert_eq!(book.cost(dec("50")), (dec("0.05"), false));
    assert_eq!(book.cost(dec("200")), (dec("0.3"), false));
    assert_eq!(book.cost(dec("400")), (dec("0.7"), false));
    // s(D) 0.00175, √4 = 2: 1,600 · 0.0035
    assert_eq!(book.cost(dec("1600")), (dec("5.6"), true));
    assert_eq!(book.slippage(usd("1600")), (dec("0.0035"), true));
    assert_eq!(book.within(10), usd("100"));
    assert_eq!(book.within(9), Usd::ZERO);
    assert!(Walk::new(vec![]).is_none());
    // measured at quant §1.5's root beyond the visible depth
    assert_eq!(walk(&[("100", "0.002"), ("100", "0.001")]).cost(dec("200")).0, dec("0.4"), "a level behind a worse one");
}

#[test]
fn each_cap_binds_when_it_is_the_smallest() {
    let bind = |change: fn(&mut Case)| {
        let sizing = example().with(change).size();
        assert_eq!(sizing.binding_cap().map(|cap| cap.usd), Some(sizing.notional));
        (sizing.binding, sizing.notional.decimal().round_dp(2).normalize().to_string())
    };
    assert_eq!(bind(|case| case.group = Room::UpTo(Usd::whole(1_000))), ("group", "1000".into()));
    assert_eq!(bind(|case| case.margin = Room::UpTo(Usd::whole(1_000))), ("margin_after_shock", "1000".into()));
    assert_eq!(bind(|case| case.equity_venue = Some(Usd::whole(1_000))), ("leverage", "2500".into()));
    assert_eq!(bind(|case| case.venue_other = Some(Usd::whole(399_000))), ("venue", "1000".into()));
    // 0.2 · 0.4 · 1,000,000
    assert_eq!(bind(|case| case.trust = Ratio::scaled(2, 1)), ("venue", "80000".into()));
    assert_eq!(bind(|case| case.depth.iter_mut().for_each(|d| d.near = Usd::whole(4_000))), ("depth", "1000".into()));
    // calm, at the target volatility: the loss budget is the drawdown base less fees, slippage and funding
    let calm = |case: &mut Case| {
        case.trade_budget = Some(Usd::whole(5_000));
        case.volatility().forecast = Some(Ratio::scaled(4, 1));
        let f = case.funding();
        (f.z, f.persistence, f.instability) = (Some(Ratio::ZERO), Some(Ratio::ZERO), Some(Ratio::ONE));
    };
    assert_eq!(bind(calm).0, "loss_budget");
    assert_eq!(bind(|case| case.venue_other = Some(Usd::whole(800_000))), ("leverage", "0".into()), "never below nothing");
}

#[test]
fn leverage_above_the_base_must_be_earned() {
    let tier = |tier, hedge| {
        let sizing = example().with(|case| (case.params.tier, case.hedge) = (tier, hedge)).size();
        (factor_of(&sizing, "tier_leverage").to_string(), factor_of(&sizing, "base_risk_cap").to_string())
    };
    let proof = |ratio, venues| Some(HedgeProof { ratio: rat(ratio), venues });
    assert_eq!(tier(LeverageTier::Base, proof("1", 2)), ("2.5".into(), "375000".into()));
    assert_eq!(tier(LeverageTier::Select, proof("0.8", 2)), ("5".into(), "375000".into()), "a quarter of the allocation");
    assert_eq!(tier(LeverageTier::Select, proof("0.799999", 2)).0, "2.5");
    assert_eq!(tier(LeverageTier::Select, proof("1", 1)).0, "2.5", "two venues");
    assert_eq!(tier(LeverageTier::Select, None).0, "2.5");
    assert_eq!(tier(LeverageTier::High, None), ("10".into(), "150000".into()), "a twentieth of it");
    let greedy = SizingParams { base_leverage: rat("9"), high_leverage: rat("50"), ..SizingParams::default() };
    assert_eq!((greedy.leverage(LeverageTier::Base), greedy.leverage(LeverageTier::High)), (rat("3"), rat("10")));
}

#[test]
fn i34_what_is_missing_is_said_and_never_permissive() {
    let whole = example();
    let zero: [(&str, Change); 7] = [
        ("rule", |case| case.equity_total = None),
        ("leverage", |case| case.equity_venue = None),
        ("leverage", |case| case.venue_other = None),
        ("rule", |case| case.trade_budget = None),
        ("loss_budget", |case| case.depth = None),
        ("group", |case| case.group = Room::Unknown),
        ("margin_after_shock", |case| case.margin = Room::Unknown),
    ];
    for (binding, change) in zero {
        let sizing = whole.with(change).size();
        assert_eq!((sizing.notional, sizing.binding), (Usd::ZERO, binding));
    }
    let check = |change: fn(&mut Case), v: &str, m: &str, flags: usize, said: &str| {
        let sizing = whole.with(change).size();
        assert_eq!(
            (factor_of(&sizing, "volatility_adjuster"), factor_of(&sizing, "funding_risk_multiplier")),
            (rat(v), rat(m)),
            "{said}"
        );
        assert_eq!(sizing.no_increase.len(), flags, "{:?}", sizing.no_increase);
        let words: Vec<_> =
            sizing.factors.iter().map(|f| f.why.as_str()).chain(sizing.no_increase.iter().map(String::as_str)).collect();
        assert!(words.iter().any(|w| w.contains(said)), "{said}: {words:?}");
    };
    check(|case| case.measure = None, "0.25", "2", 1, "no funding history");
    check(|case| case.volatility().forecast = None, "0.25", "1.85", 0, "too few");
    check(|case| case.volatility().newest_ms -= 4 * HOUR_MS, "0.25", "1.85", 0, "bars are stale");
    check(|case| case.funding().newest_ms -= 3 * HOUR_MS, "0.666666666667", "2", 1, "4 h old");
}

#[test]
fn funding_terms_that_are_missing() {
    let params = FundingParams::default();
    let view = example().funding().to_owned();
    let m = |view: FundingView| funding_multiplier(&params, Some(&view), NOW_MS).value.normalize().to_string();
    assert_eq!(m(view), "1.85");
    assert_eq!(m(FundingView { hours: 167, ..view }), "2", "fewer than 168 hours");
    assert_eq!(m(FundingView { z: None, ..view }), "2");
    assert_eq!(m(FundingView { instability: None, z: Some(rat("5")), persistence: Some(rat("1")), ..view }), "3");
    assert_eq!(m(FundingView { z_cross: None, ..view }), "1.85", "no other venue is configured");
    let expected = FundingParams { cross_venue: true, ..params.clone() };
    let alone = funding_multiplier(&expected, Some(&FundingView { z_cross: None, ..view }), NOW_MS);
    assert_eq!(alone.value.normalize().to_string(), "2.6", "expected and missing counts in full");
    let worst = FundingView {
        z: Some(rat("99")),
        persistence: Some(rat("1")),
        z_cross: Some(rat("-9")),
        instability: Some(rat("9")),
        ..view
    };
    let worst = funding_multiplier(&params, Some(&worst), NOW_MS);
    assert_eq!((worst.value.normalize().to_string(), worst.red.len()), ("4".into(), 2), "clamped; z and persistence flag");
    let at = |z: &str, p: &str| {
        funding_multiplier(&params, Some(&FundingView { z: Some(rat(z)), persistence: Some(rat(p)), ..view }), NOW_MS).red.len()
    };
    assert_eq!((at("4.999999", "0.899999"), at("5", "0"), at("-5", "0"), at("0", "0.9")), (0, 1, 1, 1));
}

#[test]
fn the_size_in_lots_is_rounded_down() {
    let btc = Instrument {
        id: InstrumentId::new(Venue::Hyperliquid, "BTC").unwrap_or_else(|e| panic!("{e}")),
        venue_asset: 0,
        tick: dec("0.1"),
        lot: dec("0.00001"),
        price_rule: domain::PriceRule::SignificantFigures(5),
        qty_min: Qty(1),
        notional_min: Usd::whole(10),
        leverage_max: 40,
        margin: domain::margin::MarginModel::flat(40),
        status: domain::MarketStatus::Open,
        isolated_only: false,
    };
    let sizing = example().size();
    let lots = sizing.lots(&btc, Px(647_060));
    assert_eq!(lots, Qty(208_844), "135,135.14 at 64,706");
    assert!(btc.notional(Px(647_060), lots) <= sizing.notional && btc.notional(Px(647_060), lots + Qty(1)) > sizing.notional);
    assert_eq!(sizing.lots(&btc, Px(0)), Qty::ZERO);
}

/// Any state of the world, extremes included.
fn any_case() -> impl Strategy<Value = Case> {
    let money = || {
        prop_oneof![
            (0_i64..10_000_000).prop_map(|n| Usd::new(Decimal::new(n, 0)).unwrap_or_default()),
            any::<i64>().prop_map(|n| Usd::new(Decimal::new(n % 1_000_000_000_000_000, 0)).unwrap_or_default())
        ]
    };
    let ratio = || {
        prop_oneof![
            (-100_i64..1_000).prop_map(|n| Ratio::scaled(n, 2)),
            any::<i64>().prop_map(|n| Ratio::scaled(n % 1_000_000_000_000_000, 6))
        ]
    };
    let room = || prop_oneof![Just(Room::NoCap), Just(Room::Unknown), money().prop_map(Room::UpTo)];
    let funding = (
        prop::option::of(ratio()),
        prop::option::of(ratio()),
        prop::option::of(ratio()),
        prop::option::of(ratio()),
        prop::option::of(ratio()),
        (prop::option::of(ratio()), prop::option::of(ratio()), prop::option::of(ratio())),
        0_u32..800,
        0_u64..6,
    )
        .prop_map(|(rate, z, persistence, z_cross, instability, (mean, phi, sigma), hours, age)| FundingView {
            rate,
            z,
            persistence,
            z_cross,
            instability,
            mean,
            phi,
            sigma,
            hours,
            newest_ms: NOW_MS - age * HOUR_MS,
        });
    let volatility = (prop::option::of(ratio()), 0_u64..6).prop_map(|(forecast, age)| VolatilityView {
        forecast,
        newest_ms: NOW_MS - age * HOUR_MS,
        ..VolatilityView::default()
    });
    let depth = (prop::collection::vec((1_i64..1_000_000_000, 0_i64..100_000), 1..6), money(), 0_u64..4_000).prop_map(
        |(levels, near, age)| {
            let mut offset = 0;
            let steps = levels.into_iter().map(|(notional, more)| {
                offset += more;
                WalkStep { notional: Decimal::new(notional, 2), offset: Decimal::new(offset, 7) }
            });
            Walk::new(steps.collect()).map(|walk| Depth { walk, near, age: Span::millis(age) })
        },
    );
    ((money(), money(), money(), money()), (ratio(), ratio()), (funding, volatility), depth, (room(), room()), any::<bool>())
        .prop_map(
            |(
                (equity_total, equity_venue, venue_other, budget),
                (trust, scale),
                (funding, volatility),
                depth,
                (group, margin),
                short,
            )| {
                example().with(|case| {
                    case.side = if short { Side::Sell } else { Side::Buy };
                    (case.equity_total, case.equity_venue, case.venue_other, case.trade_budget) =
                        (Some(equity_total), Some(equity_venue), Some(venue_other), Some(budget));
                    (case.trust, case.scale, case.depth, case.group, case.margin) = (trust, scale, depth, group, margin);
                    *case.funding() = funding;
                    *case.volatility() = volatility;
                })
            },
        )
}

/// How a test changes one thing.
type Change = fn(&mut Case);
/// The same by an amount.
type Worsen = fn(&mut Case, Decimal);

/// One input made worse by a positive `step`.
const WORSE: [(&str, Worsen); 16] = [
    ("equity_total", |case, by| case.equity_total = case.equity_total.map(|e| Usd::new(e.decimal() - by).unwrap_or(e))),
    ("equity_venue", |case, by| case.equity_venue = case.equity_venue.map(|e| Usd::new(e.decimal() - by).unwrap_or(e))),
    ("venue_other", |case, by| case.venue_other = case.venue_other.map(|e| Usd::new(e.decimal() + by).unwrap_or(e))),
    ("trade_budget", |case, by| case.trade_budget = case.trade_budget.map(|e| Usd::new(e.decimal() - by).unwrap_or(e))),
    ("trust", |case, by| case.trust = less(case.trust, by)),
    ("drawdown", |case, by| case.scale = less(case.scale, by)),
    ("volatility", |case, by| case.volatility().forecast = case.volatility().forecast.map(|s| more(s, by))),
    ("z", |case, by| case.funding().z = case.funding().z.map(|z| outward(z, by))),
    ("persistence", |case, by| case.funding().persistence = case.funding().persistence.map(|p| outward(p, by))),
    ("z_cross", |case, by| case.funding().z_cross = case.funding().z_cross.map(|z| outward(z, by))),
    ("instability", |case, by| case.funding().instability = case.funding().instability.map(|z| outward(z, by))),
    ("rate", |case, by| {
        let against = by * Decimal::from(case.side.sign());
        case.funding().rate = case.funding().rate.map(|rate| Ratio::new(rate.decimal() + against).unwrap_or(rate));
    }),
    ("mean", |case, by| {
        let against = by * Decimal::from(case.side.sign());
        case.funding().mean = case.funding().mean.map(|rate| Ratio::new(rate.decimal() + against).unwrap_or(rate));
    }),
    ("depth", |case, by| case.depth.iter_mut().for_each(|d| d.near = Usd::new(d.near.decimal() - by).unwrap_or(d.near))),
    ("book", |case, _| case.depth.iter_mut().for_each(|d| d.age = Span::secs(60))),
    ("rooms", |case, by| {
        for room in [&mut case.group, &mut case.margin] {
            *room = match *room {
                Room::UpTo(usd) => Room::UpTo(Usd::new(usd.decimal() - by).unwrap_or(usd)),
                Room::NoCap | Room::Unknown => Room::Unknown,
            };
        }
    }),
];

fn more(ratio: Ratio, by: Decimal) -> Ratio {
    Ratio::new(ratio.decimal() + by).unwrap_or(ratio)
}

fn less(ratio: Ratio, by: Decimal) -> Ratio {
    Ratio::new(ratio.decimal() - by).unwrap_or(ratio)
}

fn outward(ratio: Ratio, by: Decimal) -> Ratio {
    if ratio < Ratio::ZERO { less(ratio, by) } else { more(ratio, by) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_worse_input_never_gives_a_larger_size(case in any_case(), small in 0_i64..1_000_000, scale in 0_u32..7) {
        let before = case.size();
        prop_assert!(before.notional >= Usd::ZERO && before.notional <= cap_of(&before, "rule"));
        prop_assert!(before.caps.iter().all(|cap| cap.usd >= before.notional));
        let by = Decimal::new(small, scale);
        for (name, worsen) in WORSE {
            let after = case.with(|case| worsen(case, by)).size();
            prop_assert!(after.notional <= before.notional, "{name}: {} > {}", after.notional, before.notional);
            prop_assert!(after.no_increase.len() >= before.no_increase.len(), "{name}: a flag went down");
        }
    }

    #[test]
    fn funding_never_enlarges_a_position(case in any_case()) {
        // the seed's rule: against a world in which funding does not exist
        let none = case.with(|case| {
            let hours = 720;
            let zero = Some(Ratio::ZERO);
            *case.funding() = FundingView { rate: zero, z: zero, persistence: zero, z_cross: zero, instability: zero, mean: zero, phi: zero, sigma: zero, hours, newest_ms: NOW_MS };
        });
        prop_assert!(case.size().notional <= none.size().notional);
        // receiving it is not better than not having it
        let paid = |rate: Ratio| case.with(|case| case.funding().rate = Some(rate)).size().notional;
        let received = Ratio::scaled(-case.side.sign(), 3);
        prop_assert_eq!(paid(received), paid(Ratio::ZERO));
    }

    #[test]
    fn cost_of_leaving_is_convex_enough_to_bisect(levels in prop::collection::vec((1_i64..1_000_000, 0_i64..10_000), 1..8), a in 0_i64..20_000_000, b in 0_i64..20_000_000) {
        let steps = levels.iter().map(|(notional, offset)| WalkStep { notional: Decimal::from(*notional), offset: Decimal::new(*offset, 6) });
        let walk = Walk::new(steps.collect()).unwrap_or_else(|| panic!("no depth"));
        let (low, high) = (walk.cost(Decimal::from(a.min(b))), walk.cost(Decimal::from(a.max(b))));
        prop_assert!(low.0 <= high.0 && low.1 <= high.1);
    }
}
