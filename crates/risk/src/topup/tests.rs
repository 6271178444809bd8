use proptest::prelude::*;

use super::*;

fn usd(text: &str) -> Usd {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

fn dec(text: &str) -> Decimal {
    Decimal::from_str_exact(text).unwrap_or_else(|e| panic!("{e}"))
}

fn rat(text: &str) -> Ratio {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

fn account(equity: &str, target: &str) -> Account {
    Account {
        equity: usd(equity),
        fees: Usd::ZERO,
        reserved: Usd::ZERO,
        target: rat(target),
        transfer_fee: Usd::ZERO,
        transfer_min: usd("5"),
    }
}

fn position<'a>(size: &str, price: &str, oracle: &str, funding: &str, maintenance: Maintenance<'a>) -> Position<'a> {
    Position { size: dec(size), price: dec(price), oracle: dec(oracle), funding_hourly: dec(funding), maintenance }
}

#[test]
fn hyperliquid_by_hand() {
    // quant §4.4
    let (btc, eth) = (MarginTable::flat(40), MarginTable::flat(25));
    let held = [
        position("1", "64706", "64716", "0.0000125", Maintenance::Tiers(&btc)),
        position("-10", "1869.3", "1869.0", "0.0000125", Maintenance::Tiers(&eth)),
    ];
    let shocks = [rat("-0.15"), rat("-0.2")];
    let crash = Scenario { name: "crash", shocks: &shocks, funding_hours: dec("24") };
    let projected = project(&account("8000", "3"), &held, &crash);
    assert_eq!((projected.equity, projected.maintenance), (usd("2013.2852"), usd("986.58925")));
    assert_eq!(projected.shortfall, usd("946.48255"));
    let top = topup(&account("8000", "3"), &held, std::slice::from_ref(&crash));
    assert_eq!((top.scenario.as_str(), top.amount), ("crash", usd("946.49")));
    let with_fee = Account { transfer_fee: usd("1"), ..account("8000", "3") };
    assert_eq!(topup(&with_fee, &held, &[crash]).amount, usd("947.49"));
}

#[test]
fn dydx_by_hand() {
    // quant §4.4: documentation's cross example, ETH +10 %, b 2
    let held = [
        position("-1.5", "3000", "3000", "0", Maintenance::Rate(rat("0.05"))),
        position("1000", "1.75", "1.75", "0", Maintenance::Rate(rat("0.1"))),
    ];
    let up = [rat("0.1")];
    let rally = Scenario { name: "rally", shocks: &up, funding_hours: Decimal::ZERO };
    let projected = project(&account("1000", "2"), &held, &rally);
    assert_eq!((projected.equity, projected.maintenance, projected.shortfall), (usd("550"), usd("422.5"), usd("295")));
}

#[test]
fn the_worst_scenario_counts_and_small_amounts_are_raised_to_the_minimum() {
    let table = MarginTable::flat(40);
    let held = [position("1", "64706", "64706", "0", Maintenance::Tiers(&table))];
    let (down, up) = ([rat("-0.1")], [rat("0.1")]);
    let all = [
        Scenario { name: "up", shocks: &up, funding_hours: Decimal::ZERO },
        Scenario { name: "down", shocks: &down, funding_hours: Decimal::ZERO },
    ];
    // A' = A − 6,470.6, MMR' = 727.9425, b 2: 1,455.885
    let top = topup(&account("7926.48", "2"), &held, &all);
    assert_eq!((top.scenario.as_str(), top.projected.shortfall, top.amount), ("down", usd("0.005"), usd("5")));
    let enough = topup(&account("7926.485", "2"), &held, &all);
    assert_eq!((enough.projected.shortfall, enough.amount), (Usd::ZERO, Usd::ZERO));
    assert_eq!(topup(&account("100", "3"), &held, &[]).scenario, "as it stands");
    assert_eq!(topup(&account("-100", "3"), &[], &[]).amount, usd("100"), "a debt without positions is one still");
}

#[test]
fn receipts_are_not_counted_and_fees_and_reserves_are() {
    let table = MarginTable::flat(40);
    let short = [position("-1", "1000", "1000", "0.001", Maintenance::Tiers(&table))];
    let day = Scenario { name: "day", shocks: &[], funding_hours: dec("24") };
    assert_eq!(project(&account("100", "2"), &short, &day).equity, usd("100"));
    let long = [Position { size: Decimal::ONE, ..short[0] }];
    assert_eq!(project(&account("100", "2"), &long, &day).equity, usd("76"));
    let burdened = Account { fees: usd("3"), reserved: usd("4"), ..account("100", "2") };
    assert_eq!(project(&burdened, &long, &day).equity, usd("69"));
}

proptest! {
    #[test]
    fn the_amount_restores_the_target_in_every_scenario(
        equity in -10_000_i32..100_000, sizes in prop::collection::vec((-500_i64..500, 1_i64..100_000), 1..5),
        shocks in prop::collection::vec(prop::collection::vec(-99_i64..300, 5), 0..5), target in 1_i64..6, hours in 0_i64..48
    ) {
        let table = MarginTable::new(&[(Usd::ZERO, 20), (Usd::whole(10_000), 10), (Usd::whole(100_000), 3)]).unwrap_or_else(|e| panic!("{e}"));
        let held: Vec<_> = sizes.iter().enumerate().map(|(k, (size, price))| {
            let maintenance = if k % 2 == 0 { Maintenance::Tiers(&table) } else { Maintenance::Rate(Ratio::scaled(5, 2)) };
            let price = Decimal::new(*price, 2);
            Position { size: Decimal::new(*size, 1), price, oracle: price, funding_hourly: Decimal::new(1, 4), maintenance }
        }).collect();
        let shocks: Vec<Vec<Ratio>> = shocks.iter().map(|s| s.iter().map(|p| Ratio::scaled(*p, 2)).collect()).collect();
        let scenarios: Vec<_> = shocks.iter().map(|s| Scenario { name: "s", shocks: s, funding_hours: Decimal::from(hours) }).collect();
        let short = Account { equity: Usd::whole(equity), target: Ratio::scaled(target, 0), transfer_fee: Usd::whole(1), ..account("0", "1") };
        let top = topup(&short, &held, &scenarios);
        let after = Account { equity: short.equity + top.amount - short.transfer_fee, ..short };
        if top.amount > Usd::ZERO {
            for scenario in &scenarios {
                prop_assert_eq!(project(&after, &held, scenario).shortfall, Usd::ZERO);
            }
            let less = Account { equity: after.equity - usd("0.010001"), ..short };
            prop_assert!(top.amount == usd("5") || topup(&less, &held, &scenarios).amount > Usd::ZERO, "no more than needed");
        } else {
            prop_assert!(scenarios.iter().all(|s| project(&short, &held, s).shortfall == Usd::ZERO));
        }
    }
}

#[test]
fn projections_made_elsewhere_need_what_topup_says() {
    // quant §4.4 by hand: 946.48255 under the crash
    let (btc, eth) = (MarginTable::flat(40), MarginTable::flat(25));
    let held = [
        position("1", "64706", "64716", "0.0000125", Maintenance::Tiers(&btc)),
        position("-10", "1869.3", "1869.0", "0.0000125", Maintenance::Tiers(&eth)),
    ];
    let (down, up) = ([rat("-0.15"), rat("-0.2")], [rat("0.15"), rat("0.2")]);
    let scenarios = [
        Scenario { name: "rally", shocks: &up, funding_hours: dec("24") },
        Scenario { name: "crash", shocks: &down, funding_hours: dec("24") },
    ];
    let account = account("8000", "3");
    let mut standings = Vec::new();
    for scenario in &scenarios {
        let Projected { equity, maintenance, .. } = project(&account, &held, scenario);
        standings.push(Standing { name: scenario.name, equity, maintenance, target: account.target });
    }
    let found = worst(&standings).map(|s| (s.name, s.gap()));
    assert_eq!(found, Some(("crash", usd("946.48255"))));
    assert_eq!(topup(&account, &held, &scenarios).projected.shortfall, usd("946.48255"));
    // slack is negative, and of two alike the first is named
    let slack = Standing { name: "calm", equity: usd("400"), maintenance: usd("100"), target: rat("3") };
    assert_eq!(worst(&[slack, Standing { name: "same", ..slack }]).map(|s| (s.name, s.gap())), Some(("calm", usd("-100"))));
    assert_eq!(worst(&[]), None);
}
