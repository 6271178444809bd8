//! Account algebra, leverage, isolated margin, transfers.

use super::*;
use crate::event::LedgerRow;

/// The venue's published and measured examples; source in `fixtures/NOTICE.md`.
const EXAMPLES: &str = include_str!("../../../fixtures/margin_examples.json");

fn example(name: &str) -> (serde_json::Value, serde_json::Value) {
    let all: serde_json::Value = serde_json::from_str(EXAMPLES).unwrap_or_else(|e| panic!("{e}"));
    let case = all["cases"].as_array().and_then(|cases| cases.iter().find(|c| c["name"] == name)).cloned();
    let case = case.unwrap_or_else(|| panic!("no example {name:?}"));
    (case["inputs"].clone(), case["expect"].clone())
}

fn money(value: &serde_json::Value) -> Usd {
    // inputs may carry float noise beyond the decimals that the venue accounts in
    let text = value.as_str().unwrap_or_else(|| panic!("not a text: {value}"));
    Usd::new(dec(text)).unwrap_or_else(|e| panic!("{e}"))
}

/// Puts a position straight into an account: cash and size as the venue reported them.
fn hold(x: &mut Exchange, account: AccountKey, asset: Asset, szi: i64, cash: Usd, isolated: Option<Usd>) {
    let owner = x.accounts.entry(account).or_insert_with(|| Account::new(account));
    owner.cash = cash;
    let position = owner.positions.entry(asset).or_default();
    position.szi = Lots(szi);
    position.isolated = isolated;
}

#[test]
fn the_recorded_isolated_account() {
    let (inputs, expect) = example("isolated long HYPE, recorded clearinghouseState");
    let market = MarketSpec::hyperliquid("HYPE", 4, 2, MarginTable::flat(10), dec("37.826"));
    let mut x = Exchange::new(ExchangeSpec::hyperliquid(START_MS, vec![market.unwrap_or_else(|e| panic!("{e}"))]), Seed(1))
        .unwrap_or_else(|e| panic!("{e}"));
    hold(&mut x, A, T, 200, usd("75.781884"), Some(money(&inputs["rawUsd"])));
    if let Some(p) = x.accounts.get_mut(&A).and_then(|a| a.positions.get_mut(&T)) {
        p.cost = usd("75.658");
    }
    if let Some(owner) = x.accounts.get_mut(&A) {
        owner.leverage.insert(T, crate::LeverageSetting { is_cross: false, value: 10 });
    }
    let state = x.account_state(A);
    let position = &state.positions[0];
    assert_eq!(position.position_value, money(&inputs["positionValue"]));
    assert_eq!(position.margin_used, money(&expect["marginUsed"]));
    assert_eq!(position.liquidation_px, Some(dec(expect["liquidationPx"].as_str().unwrap_or_default())));
    assert_eq!((position.entry_px, position.unrealized_pnl), (dec("37.829"), usd("-0.006")));
    assert_eq!(position.return_on_equity, dec("-0.0007930424"));
    assert_eq!((state.margin.account_value, state.cross.account_value), (usd("83.307638"), usd("75.781884")));
    assert_eq!((state.margin.total_raw_usd, state.margin.total_margin_used), (usd("7.655638"), usd("7.525754")));
    assert_eq!((state.cross.total_ntl_pos, state.cross.total_margin_used), (Usd::ZERO, Usd::ZERO));
    assert_eq!((state.margin.total_ntl_pos, state.withdrawable), (usd("75.652"), usd("75.781884")));
}

#[test]
fn withdrawable_keeps_a_tenth_of_the_notional() {
    for name in ["withdrawable, 10 percent floor binds", "withdrawable, short, measured"] {
        let (inputs, expect) = example(name);
        let notional = money(&inputs["totalNtlPos"]).round(6);
        let short = name.contains("short");
        // one unit of base worth the whole notional, with ticks of 10^-6, at a leverage whose margin the tenth exceeds
        let mut market =
            MarketSpec::hyperliquid("N", 4, 0, MarginTable::flat(20), notional.decimal()).unwrap_or_else(|e| panic!("{e}"));
        market.oracle = Px(i64::try_from(notional.decimal() * Decimal::from(1_000_000)).unwrap_or_default());
        let mut x = Exchange::new(ExchangeSpec::hyperliquid(START_MS, vec![market]), Seed(1)).unwrap_or_else(|e| panic!("{e}"));
        let value = money(&inputs["accountValue"]);
        let (szi, cash) = if short { (-1, value + notional) } else { (1, value - notional) };
        hold(&mut x, A, T, szi, cash, None);
        let state = x.account_state(A);
        assert_eq!(state.margin.account_value, value, "{name}");
        let off = (state.withdrawable - money(&expect["withdrawable"])).abs();
        assert!(off <= usd("0.000001"), "{name}: {} (the last digit may differ)", state.withdrawable);
        assert_eq!(state.positions[0].liquidation_px.is_some(), short || value < notional, "{name}: null unless a price exists");
    }
}

#[test]
fn tiers_as_measured_on_the_testnet() {
    let (inputs, expect) = example("tiered maintenance, testnet BTC table 54 measured");
    let steps: Vec<(Usd, u32)> = inputs["tiers"]
        .as_array()
        .map(|tiers| tiers.iter().map(|t| (money(&t[0]), u32::try_from(t[1].as_u64().unwrap_or(0)).unwrap_or(0))).collect())
        .unwrap_or_default();
    let table = MarginTable::new(&steps).unwrap_or_else(|e| panic!("{e}"));
    let notional = money(&inputs["notional"]);
    let market = MarketSpec::hyperliquid("N", 4, 3, table, notional.decimal()).unwrap_or_else(|e| panic!("{e}"));
    let mut x = Exchange::new(ExchangeSpec::hyperliquid(START_MS, vec![market]), Seed(1)).unwrap_or_else(|e| panic!("{e}"));
    hold(&mut x, A, T, 1_000, Usd::ZERO, None);
    assert_eq!(x.account_state(A).cross_maintenance_margin_used, money(&expect["maintenance"]));
    let (inputs, expect) = example("below first tier, testnet measured");
    x.fault(START_MS, Fault::PinMark { asset: T, mark: Some(Px(5_873_490)) });
    assert_eq!(inputs["notional"], "5873.49");
    assert_eq!(x.account_state(A).cross_maintenance_margin_used, money(&expect["maintenance"]));
}

#[test]
fn account_value_is_cash_plus_signed_values() {
    let (inputs, expect) = example("cross account value of a long account");
    let market = MarketSpec::hyperliquid("N", 4, 2, MarginTable::flat(25), dec("24094.9691"));
    let mut x = Exchange::new(ExchangeSpec::hyperliquid(START_MS, vec![market.unwrap_or_else(|e| panic!("{e}"))]), Seed(1))
        .unwrap_or_else(|e| panic!("{e}"));
    hold(&mut x, A, T, 100, money(&inputs["totalRawUsd"]), None);
    let state = x.account_state(A);
    assert_eq!(state.cross.account_value, money(&expect["accountValue"]));
    assert_eq!(state.margin, state.cross, "without isolated positions");
}

#[test]
fn liquidation_prices_of_quant_4_1() {
    let at = |table: MarginTable, szi: i64, value: &str| {
        let mut market = MarketSpec::hyperliquid("B", 4, 5, table, dec("64706")).unwrap_or_else(|e| panic!("{e}"));
        market.market_order_notional_max = Usd::whole(1_000_000_000);
        let mut x = Exchange::new(ExchangeSpec::hyperliquid(START_MS, vec![market]), Seed(1)).unwrap_or_else(|e| panic!("{e}"));
        let cost = x.instrument(T).map_or(Usd::ZERO, |i| i.value(Px(647_060), Lots(szi)));
        hold(&mut x, A, T, szi, usd(value) - cost, None);
        x.account_state(A).positions[0].liquidation_px.map(|px| px.round_dp(4))
    };
    let mainnet = MarginTable::new(&[(Usd::ZERO, 40), (usd("150000000"), 20)]).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(at(mainnet, 300_000_000, "10000000"), Some(dec("62305.2991")));
    assert_eq!(at(MarginTable::flat(40), 100_000, "200000"), None, "a well collateralised long has none");
    // isolated long 0.0335 ETH worth 100.02765 with margin 4.967826 at 50x; the venue said 2866.26936529
    let market = MarketSpec::hyperliquid("E", 4, 4, MarginTable::flat(50), dec("2985.9")).unwrap_or_else(|e| panic!("{e}"));
    let mut x = Exchange::new(ExchangeSpec::hyperliquid(START_MS, vec![market]), Seed(1)).unwrap_or_else(|e| panic!("{e}"));
    hold(&mut x, A, T, 335, Usd::ZERO, Some(usd("-95.059824")));
    let position = x.account_state(A).positions.remove(0);
    assert_eq!((position.position_value, position.margin_used), (usd("100.02765"), usd("4.967826")));
    assert_eq!(position.liquidation_px.map(|px| px.round_dp(5)), Some(dec("2866.26938")));
}

#[test]
fn margin_is_needed_only_for_what_opens_and_resting_orders_reserve_it() {
    let mut w = World::new();
    w.leverage(A, true, 10);
    let first = w.put(A, Side::Buy, 9_990, 90_000); // 89,910 at 10x of 10,000
    assert_eq!(w.state(A).withdrawable, usd("1009"));
    let more = w.order(Side::Buy, 9_990, 11_000, TimeInForce::Gtc);
    assert_eq!(w.refusal(A, more.clone()), "Insufficient margin to place order. asset=4");
    assert_eq!(w.x.historical_orders(A)[0].status.word(), "perpMarginRejected");
    assert_eq!(w.cancel(A, first), Ok(()));
    assert!(matches!(w.place(A, more), Placed::Resting { .. }));
    w.market(B, Side::Buy, 9_000);
    w.leverage(B, true, 1);
    assert_eq!(w.leverage(B, true, 1), OpResult::Default);
    let close = w.order(Side::Sell, 10_100, 9_000, TimeInForce::Gtc);
    assert!(matches!(w.place(B, close), Placed::Resting { .. }), "a closing order reserves nothing");
    let flip = w.order(Side::Sell, 10_200, 9_900, TimeInForce::Gtc);
    assert!(matches!(w.place(B, flip), Placed::Error(_)), "another one opens 10,098 at 1x");
    w.check();
}

#[test]
fn a_flip_brings_the_margin_of_what_it_closes() {
    let mut w = World::new();
    w.leverage(A, true, 1);
    w.market(A, Side::Buy, 9_000);
    let flip = w.order(Side::Sell, 9_990, 17_000, TimeInForce::Gtc);
    let placed = w.place(A, flip);
    assert!(matches!(placed, Placed::Resting { .. }), "{placed:?}");
    assert_eq!(w.szi(A), -1_000, "10,000 of background at 999.0");
    assert_eq!(w.fill_records(A).last().map(|f| f.dir), Some(Direction::LongToShort));
    w.check();
}

#[test]
fn a_maker_without_margin_at_the_match_is_cancelled() {
    let mut w = World::empty(spec_with(MarginTable::flat(10)));
    let bid = w.put(A, Side::Buy, 9_990, 90_000);
    assert_eq!(w.send(A, Op::ClassTransfer { amount: usd("1000"), to_perp: false }), OpResult::Default);
    w.leverage(A, true, 1); // no position: the setting may change although the order was judged at 10x
    let ask = w.put(B, Side::Sell, 9_990, 50_000);
    assert_eq!((w.status(A, bid), w.status(B, ask)), ("marginCanceled", "open"));
    w.check();
}

#[test]
fn leverage_settings() {
    let mut w = World::new();
    assert_eq!(w.x.leverage(A, T), Some(crate::LeverageSetting { is_cross: true, value: 10 }), "min(20, highest)");
    assert_eq!(text(&w.leverage(A, true, 0)), "Invalid leverage value");
    assert_eq!(text(&w.leverage(A, true, 11)), "Invalid leverage value");
    w.market(A, Side::Buy, 9_000);
    assert_eq!(text(&w.leverage(A, false, 5)), "Cannot switch leverage type with open position.");
    assert_eq!(w.leverage(A, true, 2), OpResult::Default);
    assert_eq!(w.state(A).positions[0].margin_used, usd("4500"));
    w.put(A, Side::Buy, 9_900, 5_000);
    assert!(text(&w.leverage(A, true, 1)).starts_with("Cross position does not have sufficient margin available"));
    w.leverage(B, false, 5);
    w.market(B, Side::Buy, 1_000);
    assert!(text(&w.leverage(B, false, 4)).starts_with("Isolated position does not have sufficient margin available"));
    let before = w.state(B).positions[0].raw_usd;
    assert_eq!(w.leverage(B, false, 10), OpResult::Default);
    assert_eq!(w.state(B).positions[0].raw_usd, before, "an open isolated position is never re-margined");
}

#[test]
fn leverage_above_the_tier_of_the_position_is_refused() {
    let table = MarginTable::new(&[(Usd::ZERO, 10), (usd("5000"), 5)]).unwrap_or_else(|e| panic!("{e}"));
    let mut w = World::with(spec_with(table));
    let big = w.order(Side::Buy, 9_990, 6_000, TimeInForce::Gtc);
    assert_eq!(w.refusal(A, big.clone()), "Order would cause position to exceed margin tier limit at current leverage asset=4");
    w.leverage(A, true, 5);
    assert!(matches!(w.place(A, big), Placed::Resting { .. }));
}

#[test]
fn isolated_margin_in_and_out() {
    let mut w = World::new();
    let update =
        |w: &mut World, amount: &str| text(&w.send(A, Op::UpdateIsolatedMargin { asset: T, amount: usd(amount) })).to_owned();
    assert_eq!(update(&mut w, "5"), "Cannot update margin for empty position.");
    w.market(B, Side::Buy, 100);
    w.leverage(A, false, 5);
    w.market(A, Side::Buy, 1_000);
    assert_eq!(update(&mut w, "0"), "Update to isolated margin cannot be zero.");
    assert_eq!(update(&mut w, "99999"), "Account does not have sufficient margin available for increase.");
    assert_eq!(update(&mut w, "-5"), "Position does not have sufficient margin for reduction.");
    assert_eq!(update(&mut w, "100"), "not refused");
    assert_eq!(update(&mut w, "-50"), "not refused");
    let refused = w.send(B, Op::UpdateIsolatedMargin { asset: T, amount: usd("1") });
    assert_eq!(text(&refused), "Position does not use isolated margin.");
    let refused = w.send(A, Op::TopUpIsolatedOnlyMargin { asset: T, leverage: Ratio::scaled(25, 1) });
    assert_eq!(text(&refused), "Asset not strict isolated");
    w.check();
}

#[test]
fn strictly_isolated_markets() {
    let mut spec = spec_with(MarginTable::flat(10));
    spec.markets[0].margin_mode = MarginMode::StrictIsolated;
    let mut w = World::with(spec);
    assert_eq!(w.leverage(A, true, 5), OpResult::Refused("Cross margin is not allowed for this asset.".to_owned()));
    w.market(A, Side::Buy, 1_000);
    assert_eq!(w.state(A).positions[0].leverage, crate::LeverageSetting { is_cross: false, value: 10 });
    let out = Op::UpdateIsolatedMargin { asset: T, amount: usd("-1") };
    let text = "Cannot remove isolated margin for this asset. To remove margin, reduce the position.";
    assert_eq!(w.send(A, out), OpResult::Refused(text.to_owned()));
    assert_eq!(w.send(A, Op::TopUpIsolatedOnlyMargin { asset: T, leverage: Ratio::scaled(25, 1) }), OpResult::Default);
    assert_eq!(w.state(A).positions[0].margin_used, usd("400"), "1,000 at 2.5x");
    w.check();
}

#[test]
fn money_in_out_and_between() {
    let mut w = World::new();
    let refused = |text: &str| OpResult::Refused(text.to_owned());
    assert_eq!(w.send(A, Op::Withdraw { amount: usd("10001"), nonce: 1 }), refused("Insufficient balance for withdrawal"));
    assert_eq!(w.send(A, Op::Withdraw { amount: usd("1"), nonce: 1 }), refused("Insufficient balance for withdrawal"));
    assert_eq!(w.send(A, Op::Withdraw { amount: usd("0.0000001"), nonce: 1 }), refused("Invalid number of decimals"));
    assert_eq!(w.send(A, Op::Withdraw { amount: usd("100"), nonce: 7 }), OpResult::Default);
    let to_spot = |amount: &str| Op::ClassTransfer { amount: usd(amount), to_perp: false };
    assert_eq!(w.send(A, to_spot("400")), OpResult::Default);
    let back = Op::ClassTransfer { amount: usd("401"), to_perp: true };
    assert_eq!(w.send(A, back), refused("Insufficient balance for token transfer"));
    let fresh = AccountKey([0xee; 20]);
    assert_eq!(w.send(A, Op::UsdSend { destination: fresh, amount: usd("500") }), OpResult::Default);
    let sub = AccountKey([0x5b; 20]);
    let deposit = Op::SubAccountTransfer { sub_account: sub, is_deposit: true, amount: usd("1000") };
    assert_eq!(w.send(A, deposit), OpResult::Default);
    let back = Op::SubAccountTransfer { sub_account: sub, is_deposit: false, amount: usd("250") };
    assert_eq!(w.send(A, back), OpResult::Default);
    let (a, spot) = (w.state(A).margin.account_value, w.state(A).spot_usdc);
    assert_eq!((a, spot), (usd("8250"), usd("400")));
    assert_eq!(w.state(fresh).withdrawable, usd("500"));
    let words: Vec<&str> = w.x.ledger(A, 0).iter().map(|row| row.delta.word()).collect();
    let transfer = "subAccountTransfer";
    assert_eq!(words, ["deposit", "withdraw", "accountClassTransfer", "internalTransfer", transfer, transfer]);
    let row = LedgerRow { account: A, at_ms: w.now, delta: LedgerDelta::Withdraw { usdc: usd("100"), nonce: 7, fee: usd("1") } };
    assert_eq!(w.x.ledger(A, 0)[1], row);
    assert_eq!(w.x.pools().withdraw_fees, usd("1"));
    w.check();
}

#[test]
fn active_asset_tells_the_room_to_trade() {
    let mut w = World::new();
    w.pin(10_000);
    let flat = w.x.active_asset(A, T).unwrap_or_else(|| panic!("no market"));
    assert_eq!((flat.max_trade, flat.available_to_trade), ([Qty(100_000); 2], [usd("10000"); 2]));
    w.leverage(A, true, 2);
    w.market(A, Side::Buy, 10_000);
    let long = w.x.active_asset(A, T).unwrap_or_else(|| panic!("no market"));
    assert!(long.max_trade[0] < Qty(10_000) && long.max_trade[1] > Qty(29_000), "{long:?}");
}
