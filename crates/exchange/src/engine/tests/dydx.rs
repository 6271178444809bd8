//! Markets of the dYdX v4 model: margined at the oracle, by open interest, liquidated at maintenance (quant §4.2).

use domain::margin::{DydxMargin, DydxTier};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::spec::Fees;

/// A second market beside [`T`].
const U: Asset = Asset(5);

fn tier(initial_ppm: u32, fraction_ppm: u32, lower: i32, upper: i32) -> DydxMargin {
    DydxMargin::new(DydxTier {
        initial_ppm,
        maintenance_fraction_ppm: fraction_ppm,
        open_interest_lower: Usd::whole(lower),
        open_interest_upper: Usd::whole(upper),
    })
    .unwrap_or_else(|e| panic!("{e}"))
}

/// T: 5 % and 3 %, growing from 100,000 to 1,000,000 of open interest; U: 10 % and 5 %. Both at 1,000, no fees.
fn spec() -> ExchangeSpec {
    let market = |name: &str, asset: Asset, margin| {
        MarketSpec::dydx(name, asset.0, (dec("0.1"), dec("0.001")), margin, Decimal::from(1_000))
            .unwrap_or_else(|e| panic!("{e}"))
    };
    let markets =
        vec![market("T-USD", T, tier(50_000, 600_000, 100_000, 1_000_000)), market("U-USD", U, tier(100_000, 500_000, 0, 0))];
    ExchangeSpec::dydx(START_MS, markets, Fees { taker: Ratio::ZERO, maker: Ratio::ZERO })
}

/// A deep book of ten ticks around `px` in `asset`.
fn deep(w: &mut World, asset: Asset, px: i64) {
    let level = |px| vec![LevelChange { px: Px(px), qty: Qty(1_000_000_000) }];
    w.x.background(w.now, BackgroundEvent::Snapshot { asset, bids: level(px - 5), asks: level(px + 5) });
}

fn oracle(w: &mut World, asset: Asset, px: i64) {
    w.x.background(w.now, BackgroundEvent::Oracle { asset, px: Px(px) });
}

fn world() -> World {
    let mut w = World::empty(spec());
    for asset in [T, U] {
        oracle(&mut w, asset, 10_000);
        deep(&mut w, asset, 10_000);
    }
    w
}

fn trade(w: &mut World, account: AccountKey, asset: Asset, lots: i64) -> Placed {
    let instrument = w.x.instrument(asset).unwrap_or_else(|| panic!("no market"));
    let side = if lots > 0 { Side::Buy } else { Side::Sell };
    let px = w.x.mid_x2(asset).unwrap_or(20_000) / 2 + side.sign() * 100;
    let order = NewOrder::limit(instrument, side, Px(px), Qty(lots.abs()), TimeInForce::Ioc);
    w.place(account, order)
}

#[test]
fn the_mark_is_the_oracle_whatever_the_book_does() {
    let mut w = world();
    deep(&mut w, T, 11_000);
    w.wait(30_000);
    let context = w.x.context(T).unwrap_or_else(|| panic!("no market"));
    assert_eq!((context.mark, context.oracle), (Px(10_000), Px(10_000)));
    oracle(&mut w, T, 10_200);
    assert_eq!(w.x.context(T).map(|c| c.mark), Some(Px(10_200)), "at once");
}

#[test]
fn others_open_interest_blocks_growth_and_withdrawals_and_moves_no_liquidation() {
    let mut w = world();
    trade(&mut w, A, T, 50_000); // 50 units, 50,025 at the book's price
    let before = w.state(A);
    assert_eq!(before.positions[0].margin_used, usd("2500"), "5 % of 50,000");
    assert_eq!(before.cross_maintenance_margin_used, usd("1500"), "3 %");
    assert_eq!(before.withdrawable, usd("7475"), "free collateral, no floor");
    // B and C bring open interest to 550,000: halfway between the bounds, IMF 5 % + 0.5 · 95 %
    w.send(B, Op::Deposit { amount: usd("1000000") });
    w.send(C, Op::Deposit { amount: usd("1000000") });
    trade(&mut w, B, T, 300_000);
    trade(&mut w, C, T, 200_000);
    assert_eq!(w.x.context(T).map(|c| c.open_interest), Some(Qty(550_000)));
    let after = w.state(A);
    assert_eq!(after.positions[0].margin_used, usd("26250"), "52.5 %");
    assert_eq!(after.withdrawable, Usd::ZERO);
    assert_eq!(after.cross_maintenance_margin_used, before.cross_maintenance_margin_used);
    assert_eq!(after.positions[0].liquidation_px, before.positions[0].liquidation_px);
    let refused = trade(&mut w, A, T, 100);
    assert!(matches!(&refused, Placed::Error(why) if why.to_string().contains("margin")), "{refused:?}");
    assert!(matches!(trade(&mut w, A, T, -1_000), Placed::Filled { .. }), "a reduction passes");
    w.check();
}

#[test]
fn a_users_own_fraction_counts_if_it_is_higher() {
    let mut w = world();
    assert_eq!(w.leverage(A, true, 4), OpResult::Default);
    trade(&mut w, A, T, 10_000);
    assert_eq!(w.state(A).positions[0].margin_used, usd("2500"), "25 %");
    assert_eq!(w.state(A).cross_maintenance_margin_used, usd("300"));
    assert_eq!(w.leverage(A, true, 21), OpResult::Refused("Invalid leverage value".into()), "1/IMF is 20");
}

#[test]
fn liquidated_whole_one_tick_below_the_price_of_the_formula() {
    let mut w = world();
    trade(&mut w, A, T, 150_000);
    // 10,000 − 75 of spread; p' = (150,000 − 9,925)/(150 · 0.97) = 962.714...
    let price = w.state(A).positions[0].liquidation_px.unwrap_or_default();
    assert_eq!(price.round_dp(3), dec("962.715"));
    deep(&mut w, T, 9_628);
    oracle(&mut w, T, 9_628);
    w.wait(3_000);
    assert_eq!(w.szi(A), 150_000);
    oracle(&mut w, T, 9_627);
    w.wait(3_000);
    assert_eq!(w.szi(A), 0, "144,405 of notional, and not one fifth first");
    assert!(w.state(A).margin.account_value > usd("4000"), "what is left stays: no backstop above zero");
    w.check();
}

#[test]
fn funding_is_an_eighth_of_the_premium_within_the_markets_clamp() {
    use crate::reference::dydx_hourly_rate;
    let cap = tier(50_000, 600_000, 0, 0).funding_cap_hourly();
    let rate = |premium: &str| dydx_hourly_rate(dec(premium), Ratio::ZERO, cap).to_string();
    assert_eq!((rate("0.0008"), rate("-0.0008")), ("0.0001".into(), "-0.0001".into()));
    assert_eq!((rate("0.5"), rate("-0.5")), ("0.015".into(), "-0.015".into()), "6·(5 % − 3 %) in eight hours");
    let mut w = world();
    w.x.fault(w.now, Fault::FundingOverride { asset: T, rate: Some(Ratio::ONE) });
    assert_eq!(w.x.context(T).map(|c| c.funding), Some(cap), "forced, but not beyond the clamp");
}

/// An account by plain sums: cash, and per market lots, oracle in ticks, margin, leverage and open interest in lots.
struct Naive {
    cash: Decimal,
    legs: Vec<(i64, i64, DydxMargin, u32, i64)>,
}

impl Naive {
    /// Equity, initial and maintenance margin by the formulas of quant §4.2 in fractions of whole numbers.
    fn sums(&self) -> (Decimal, Decimal, Decimal) {
        let quantum = |margin: Decimal| (margin * Decimal::from(1_000_000)).ceil() / Decimal::from(1_000_000);
        let million = Decimal::from(1_000_000);
        let (mut equity, mut initial, mut maintenance) = (self.cash, Decimal::ZERO, Decimal::ZERO);
        for (lots, px, margin, leverage, open) in &self.legs {
            let unit = Decimal::new(*px, 4); // ticks of 0.1 times lots of 0.001
            equity += Decimal::from(*lots) * unit;
            let notional = Decimal::from(lots.abs()) * unit;
            let tier = margin.tier();
            let base = Decimal::from(tier.initial_ppm);
            let (lower, upper) = (tier.open_interest_lower.decimal(), tier.open_interest_upper.decimal());
            let above = (Decimal::from(*open) * unit - lower).max(Decimal::ZERO);
            let grown = if upper.is_zero() { Decimal::ZERO } else { (above * (million - base) / (upper - lower)).floor() };
            let ppm = (base + grown).min(million).max((million / Decimal::from(*leverage)).ceil());
            initial += quantum(notional * ppm / million);
            let mmf = (base * Decimal::from(tier.maintenance_fraction_ppm) / million).floor();
            maintenance += quantum(notional * mmf / million);
        }
        (equity, initial, maintenance)
    }
}

#[test]
fn margin_and_liquidation_equal_plain_sums() {
    let step = (0_usize..3, any::<bool>(), -120_000_i64..120_000, -900_i64..900, 1_u32..=20);
    let liquidations = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() });
    let done = runner.run(&prop::collection::vec(step, 1..25), |steps| {
        let mut w = world();
        let mut px = [10_000_i64, 10_000];
        for (who, second, lots, moved, leverage) in steps {
            let (account, k) = ([A, B, C][who], usize::from(second));
            let asset = [T, U][k];
            w.send(account, Op::UpdateLeverage { asset, is_cross: true, leverage: leverage.min(if second { 10 } else { 20 }) });
            if lots != 0 {
                trade(&mut w, account, asset, lots);
            }
            px[k] = (px[k] + moved).max(2_000);
            deep(&mut w, asset, px[k]);
            oracle(&mut w, asset, px[k]);
            // judged at the new oracle, before the venue looks at it
            let naive = |w: &World, account| {
                let state = w.state(account);
                let leg = |asset: Asset, px: i64| {
                    let lots = state.positions.iter().find(|p| p.asset == asset).map_or(0, |p| p.szi.0);
                    let leverage = w.x.leverage(account, asset).map_or(1, |l| l.value);
                    let MarginModel::Dydx(margin) = &w.x.instrument(asset)?.margin else { return None };
                    Some((lots, px, margin.clone(), leverage, w.x.context(asset)?.open_interest.0))
                };
                let legs = [leg(T, px[0]), leg(U, px[1])].into_iter().flatten().collect();
                Naive { cash: state.margin.total_raw_usd.decimal(), legs }
            };
            let before = [A, B, C].map(|account| {
                let plain = naive(&w, account);
                let (equity, _, maintenance) = plain.sums();
                (plain, maintenance > Decimal::ZERO && maintenance > equity)
            });
            w.wait(3_000);
            for (account, (plain, falls)) in [A, B, C].into_iter().zip(before) {
                let held: Vec<i64> = plain.legs.iter().map(|leg| leg.0).collect();
                let after = naive(&w, account);
                let now: Vec<i64> = after.legs.iter().map(|leg| leg.0).collect();
                if falls {
                    liquidations.set(liquidations.get() + 1);
                    prop_assert!(now.iter().zip(&held).any(|(now, held)| now.abs() < held.abs()), "not liquidated: {:?}", held);
                } else {
                    prop_assert_eq!(&now, &held, "liquidated above maintenance");
                }
                let state = w.state(account);
                let (equity, initial, maintenance) = after.sums();
                let near = |a: Usd, b: Decimal| (a.decimal() - b).abs() <= dec("0.000001");
                prop_assert!(near(state.margin.account_value, equity), "{} {equity}", state.margin.account_value);
                prop_assert!(near(state.margin.total_margin_used, initial), "{} {initial}", state.margin.total_margin_used);
                prop_assert!(near(state.cross_maintenance_margin_used, maintenance));
                for position in &state.positions {
                    let Some(x) = position.liquidation_px else { continue };
                    // at that price of this market alone, equity is maintenance
                    let leg = &after.legs[usize::from(position.asset == U)];
                    let change = (x - Decimal::new(leg.1, 1)) * Decimal::new(position.szi.0, 3);
                    let rate = Decimal::new(i64::from(leg.2.maintenance_ppm()), 6);
                    let own = Decimal::new(position.szi.0.abs(), 3) * rate;
                    let gap = equity + change - (maintenance + own * (x - Decimal::new(leg.1, 1)));
                    prop_assert!(gap.abs() <= dec("0.00001"), "{gap}");
                }
            }
            check(&w.x).map_err(TestCaseError::fail)?;
        }
        Ok(())
    });
    done.unwrap_or_else(|e| panic!("{e}"));
    assert!(liquidations.get() > 100, "only {} liquidations seen", liquidations.get());
}
