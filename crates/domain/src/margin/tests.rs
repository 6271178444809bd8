use super::*;

fn usd(text: &str) -> Usd {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

fn dec(text: &str) -> Decimal {
    Decimal::from_str_exact(text).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn tiers_measured_on_the_testnet() {
    // fact sheet §8.2: 12,073.655 under tiers 40x/0, 25x/10,000, 10x/50,000
    let table = MarginTable::new(&[(Usd::ZERO, 40), (usd("10000"), 25), (usd("50000"), 10)]).unwrap_or_else(|e| panic!("{e}"));
    let deductions: Vec<_> = table.tiers().iter().map(|t| t.deduction).collect();
    assert_eq!(deductions, [usd("0"), usd("75"), usd("1575")]);
    assert_eq!(table.maintenance(usd("12073.655")), usd("166.4731"));
    assert_eq!(table.maintenance(usd("5873.49")), usd("73.418625"));
    assert!(MarginTable::new(&[(usd("1"), 40)]).is_err());
    assert!(MarginTable::new(&[(Usd::ZERO, 10), (usd("5"), 20)]).is_err());
}

#[test]
fn liquidation_prices_of_the_sheet() {
    let at = |lev: u32, size: &str, mark: &str, value: &str, other: &str| {
        liquidation_price(&MarginTable::flat(lev), dec(size), dec(mark), dec(value), dec(other)).map(|p| p.round_dp(4))
    };
    assert_eq!(at(10, "1", "100", "20", "0"), Some(dec("84.2105")));
    assert_eq!(at(40, "1", "64706", "8000", "373.86"), Some(dec("57802.3899")));
    assert_eq!(at(10, "1", "100", "200", "0"), None);
    let tiered = MarginTable::new(&[(Usd::ZERO, 40), (usd("150000000"), 20)]).unwrap_or_else(|e| panic!("{e}"));
    let liq = liquidation_price(&tiered, dec("3000"), dec("64706"), dec("10000000"), Decimal::ZERO);
    assert_eq!(liq.map(|p| p.round_dp(4)), Some(dec("62305.2991")));
}

fn dydx(initial_ppm: u32, fraction_ppm: u32, lower: &str, upper: &str) -> DydxMargin {
    DydxMargin::new(DydxTier {
        initial_ppm,
        maintenance_fraction_ppm: fraction_ppm,
        open_interest_lower: usd(lower),
        open_interest_upper: usd(upper),
    })
    .unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn initial_margin_grows_with_open_interest_as_the_chain_computes_it() {
    // dydxprotocol/v4-chain, liquidity tier tests: 20 %, 1 M to 2 M
    let tier = dydx(200_000, 500_000, "1000000", "2000000");
    for (open, ppm) in [
        ("0", 200_000),
        ("1000000", 200_000),
        ("1500000", 600_000),
        ("1234567", 387_653),
        ("2000000", PPM),
        ("1000000000000000", PPM),
    ] {
        assert_eq!(tier.initial_ppm_at(usd(open)), ppm, "{open}");
    }
    // quant §4.2: IMF 5 %, 55 M between 40 M and 100 M
    let mid = dydx(50_000, 600_000, "40000000", "100000000");
    assert_eq!(mid.initial_ppm_at(usd("55000000")), 287_500);
    assert_eq!(mid.initial(usd("1000"), None, Some(usd("55000000"))), usd("287.5"));
    assert_eq!(mid.initial(usd("1000"), Some(400_000), Some(usd("55000000"))), usd("400"), "the user's, if higher");
    assert_eq!(mid.initial(usd("1000"), None, None), usd("1000"), "unknown open interest asks for the whole");
    assert_eq!(mid.initial_at(usd("1000"), 3, Some(Usd::ZERO)), usd("333.334"), "a third is rounded up in ppm");
    assert_eq!(mid.maintenance(usd("1000")), usd("30"), "maintenance does not grow");
    let step = dydx(50_000, 600_000, "5", "5");
    assert_eq!((step.initial_ppm_at(usd("4.999999")), step.initial_ppm_at(usd("5"))), (50_000, PPM));
    assert_eq!(mid.maintenance(usd("0.000001")), usd("0.000001"), "rounded up to a quantum");
    let off = dydx(20_000, 600_000, "0", "0");
    assert_eq!((off.initial_ppm_at(usd("1000000000")), off.maintenance_ppm()), (20_000, 12_000));
    assert_eq!(off.initial(usd("1000"), None, None), usd("20"), "nothing to know where nothing grows");
}

#[test]
fn dydx_maintenance_and_funding_clamp_of_the_tiers() {
    // quant §4.2: MMF/IMF per tier; quant §3: 6·(IMF − MMF)
    for (imf, fraction, mmf, clamp) in [
        (20_000, 600_000, 12_000, "0.048"),
        (50_000, 600_000, 30_000, "0.12"),
        (100_000, 500_000, 50_000, "0.3"),
        (1_000_000, 200_000, 200_000, "4.8"),
        (33_333, 333_333, 11_110, "0.133338"),
    ] {
        let tier = dydx(imf, fraction, "0", "0");
        assert_eq!((tier.maintenance_ppm(), tier.funding_cap_8h().to_string()), (mmf, clamp.to_owned()));
        assert!(tier.funding_cap_hourly().decimal() * Decimal::from(8) >= tier.funding_cap_8h().decimal());
    }
    assert_eq!(MarginModel::flat(10).funding_cap_hourly().to_string(), "0.04");
}

#[test]
fn dydx_liquidation_prices_of_its_documentation() {
    // quant §4.2: short 3 ETH at 3,000, equity 1,000, MMF 5 %; and short 1.5 ETH beside 1,000 STRK at 1.75 (10 %)
    let eth: MarginModel = dydx(100_000, 500_000, "0", "0").into();
    let at = |size: &str, other: &str| {
        eth.liquidation_price(dec(size), dec("3000"), dec("1000"), dec(other)).map(|p| p.round_dp(2).to_string())
    };
    assert_eq!(at("-3", "0"), Some("3174.60".into()));
    assert_eq!(at("-1.5", "175"), Some("3380.95".into()));
}

#[test]
fn tiers_that_are_none() {
    let bad = |initial_ppm, maintenance_fraction_ppm, lower: &str, upper: &str| {
        let (open_interest_lower, open_interest_upper) = (usd(lower), usd(upper));
        DydxMargin::new(DydxTier { initial_ppm, maintenance_fraction_ppm, open_interest_lower, open_interest_upper }).is_err()
    };
    assert!(bad(0, 500_000, "0", "0") && bad(1_000_001, 500_000, "0", "0"));
    assert!(bad(50_000, 0, "0", "0") && bad(50_000, 1_000_001, "0", "0"));
    assert!(bad(50_000, 500_000, "-1", "5") && bad(50_000, 500_000, "6", "5") && bad(50_000, 500_000, "-1", "0"));
    assert!(!bad(50_000, 500_000, "5", "5"), "a step is a tier");
}

#[test]
fn a_table_is_written_as_it_always_was_and_both_models_read_back() {
    let table = MarginTable::new(&[(Usd::ZERO, 40), (usd("150000000"), 20)]).unwrap_or_else(|e| panic!("{e}"));
    let model = MarginModel::from(table.clone());
    let text = serde_json::to_string(&model).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(text, serde_json::to_string(&table).unwrap_or_else(|e| panic!("{e}")), "old journals stay readable");
    for model in [model, dydx(50_000, 600_000, "40000000", "100000000").into()] {
        let text = serde_json::to_string(&model).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(serde_json::from_str::<MarginModel>(&text).unwrap_or_else(|e| panic!("{e}")), model);
    }
    let bad = r#"{"initial_ppm":0,"maintenance_fraction_ppm":1,"open_interest_lower":"0","open_interest_upper":"0"}"#;
    assert!(serde_json::from_str::<MarginModel>(bad).is_err());
}

#[test]
fn a_position_with_its_own_highest_leverage() {
    let table = MarginTable::new(&[(Usd::ZERO, 5), (usd("1000"), 3)]).unwrap_or_else(|e| panic!("{e}"));
    // quant §4.1, trap: the position said 50 where the table said 5
    let own = MarginModel::from(table).table_at(50).unwrap_or_else(|| panic!("no table"));
    assert_eq!(own.tiers().iter().map(|t| t.leverage_max).collect::<Vec<_>>(), [50, 3]);
    let one = MarginModel::from(dydx(50_000, 600_000, "0", "0"));
    assert_eq!(one.table_at(2).as_ref(), Some(one.table()), "dYdX's maintenance knows no leverage");
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    /// One to four tiers with falling leverage, or a dYdX tier.
    fn model() -> impl Strategy<Value = MarginModel> {
        let table = (2_u32..=50, prop::collection::vec((1_i32..200_000, 1_u32..20), 0..4)).prop_map(|(first, steps)| {
            let (mut from, mut leverage, mut out) = (0, first, vec![(Usd::ZERO, first)]);
            for (width, less) in steps {
                from += width;
                leverage = leverage.saturating_sub(less).max(1);
                out.push((Usd::whole(from), leverage));
            }
            MarginModel::from(MarginTable::new(&out).unwrap_or_else(|e| panic!("{e}")))
        });
        let dydx = (10_000_u32..=500_000, 200_000_u32..=900_000).prop_map(|(imf, fraction)| dydx(imf, fraction, "0", "0").into());
        prop_oneof![table, dydx]
    }

    fn near(a: Decimal, b: Decimal) -> bool {
        (a - b).abs() <= dec("0.00000001")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn at_the_liquidation_price_equity_is_maintenance(
            model in model(), cents in 1_i64..10_000_000, milli in 1_i64..100_000, short: bool, equity in 1_i64..500_000, other in 0_i64..50_000
        ) {
            let price = Decimal::new(cents, 2);
            let size = Decimal::new(if short { -milli } else { milli }, 3);
            let (value, other) = (Decimal::from(equity), Decimal::from(other));
            let Some(x) = model.liquidation_price(size, price, value, other) else {
                // a long's loss ends at a price of zero; a short has none only if the others' maintenance is not covered at any price
                prop_assert!(!short || value + size.abs() * price <= other, "{model:?}");
                return Ok(());
            };
            let notional = size.abs() * x;
            let tier = model.tier(Usd::new(notional).unwrap_or_default());
            let maintenance = other + notional * tier.rate.decimal() - tier.deduction.decimal();
            let equity = value + size * (x - price);
            prop_assert!(near(equity, maintenance), "{x} {equity} {maintenance}");
        }

        #[test]
        fn maintenance_is_continuous_over_tier_bounds_and_never_falls(model in model(), a in 0_i32..1_000_000, b in 0_i32..1_000_000) {
            let quantum = dec("0.000001");
            for tier in model.tiers().iter().skip(1) {
                let below = Usd::new(tier.from.decimal() - quantum).unwrap_or_default();
                let step = model.maintenance(tier.from) - model.maintenance(below);
                prop_assert!(step >= Usd::ZERO && step.decimal() <= quantum, "{step}");
            }
            let (low, high) = (Usd::whole(a.min(b)), Usd::whole(a.max(b)));
            prop_assert!(model.maintenance(low) <= model.maintenance(high));
        }

        #[test]
        fn more_open_interest_never_asks_less(
            imf in 1_u32..=PPM, fraction in 1_u32..=PPM, lower in 0_i32..1_000_000, width in 0_i32..1_000_000, a in 0_i32..3_000_000, b in 0_i32..3_000_000
        ) {
            let tier = dydx(imf, fraction, &lower.to_string(), &(i64::from(lower) + i64::from(width)).to_string());
            let at = |open: i32| tier.initial_ppm_at(Usd::whole(open));
            prop_assert!(at(a.min(b)) <= at(a.max(b)));
            prop_assert!((imf..=PPM).contains(&at(a)) && tier.maintenance_ppm() <= imf);
        }
    }
}
