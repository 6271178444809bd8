//! What may be written, and that every fault is named at once.

use domain::SpecFault;

use crate::world::{limits, raw};
use crate::{Limits, RawAnswer, RawGroup, RawLimits, RawMarketLimits, RawNumber, RawScenario};

fn faults(raw: RawLimits) -> Vec<(String, String)> {
    match Limits::check(raw) {
        Ok(limits) => panic!("accepted: {}", limits.text()),
        Err(faults) => faults.into_iter().map(|SpecFault { field, value, .. }| (field, value)).collect(),
    }
}

fn named(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn defaults_are_filled_in_and_read_back() {
    let limits = Limits::check(RawLimits { allow: vec!["hyperliquid:BTC".into()], ..RawLimits::default() });
    let limits = limits.unwrap_or_else(|faults| panic!("{faults:?}"));
    assert!(limits.text().contains(r#""order_notional_max_usd":"25000""#), "{}", limits.text());
    assert!(limits.text().contains(r#""price_collar":"0.03""#), "{}", limits.text());
    let again: RawLimits = serde_json::from_str(limits.text()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(Limits::check(again), Ok(limits));
}

#[test]
fn the_id_follows_the_meaning_not_the_spelling() {
    let plain = limits(|raw| raw.leverage_max = Some("2".into()));
    assert_eq!(limits(|raw| raw.leverage_max = Some("2.000".into())).id(), plain.id());
    assert_ne!(limits(|raw| raw.leverage_max = Some("2.000001".into())).id(), plain.id());
    let mut swapped = raw();
    swapped.leverage_max = Some("2".into());
    swapped.allow.reverse();
    assert_eq!(Limits::check(swapped).map(|l| l.id()), Ok(plain.id()));
    let hash = blake3::hash(plain.text().as_bytes());
    assert_eq!(plain.id().to_be_bytes(), hash.as_bytes()[..8]);
}

#[test]
fn every_fault_is_reported_at_once_with_path_and_value() {
    let mut bad = raw();
    bad.allow = vec!["BTC".into(), "hyperliquid:BTC".into(), "hyperliquid:BTC".into()];
    bad.price_collar = Some("3%".into());
    bad.price_collar_reduce = Some("0.001".into());
    bad.order_notional_max_usd = Some("-1".into());
    bad.parent_notional_max_usd = Some("1e6".into());
    bad.cover_min = Some("0.5".into());
    bad.leverage_max = Some("2.0000001".into());
    bad.open_orders_per_venue_max = Some("0".into());
    bad.venue_messages_per_min_max = Some("+5".into());
    bad.parent_burst_max = Some("1".into());
    bad.cancel_reserve = Some("0.2".into());
    bad.book_age_max_ms = Some("2.5".into());
    bad.clock_offset_max_ms = Some("99999".into());
    let market =
        RawMarketLimits { order_size_max: Some("0".into()), price_collar: Some("2".into()), ..RawMarketLimits::default() };
    bad.market.insert("hyperliquid:ETH".into(), market);
    let expected = named(&[
        ("guard.allow[0]", "BTC"),
        ("guard.allow[2]", "hyperliquid:BTC"),
        ("guard.order_notional_max_usd", "-1"),
        ("guard.price_collar", "3%"),
        ("guard.book_age_max_ms", "2.5"),
        ("guard.price_collar_reduce", "0.001"),
        ("guard.market.\"hyperliquid:ETH\"", "hyperliquid:ETH"),
        ("guard.market.\"hyperliquid:ETH\".order_size_max", "0"),
        ("guard.market.\"hyperliquid:ETH\".price_collar", "2"),
        ("guard.market.\"hyperliquid:ETH\".price_collar_reduce", "0.001"),
        ("guard.venue_messages_per_min_max", "+5"),
        ("guard.cancel_reserve", "0.2"),
        ("guard.parent_burst_max", "1"),
        ("guard.parent_notional_max_usd", "1e6"),
        ("guard.leverage_max", "2.0000001"),
        ("guard.cover_min", "0.5"),
        ("guard.open_orders_per_venue_max", "0"),
        ("guard.clock_offset_max_ms", "99999"),
    ]);
    assert_eq!(faults(bad), expected);
}

#[test]
fn an_empty_allow_list_is_a_fault() {
    assert_eq!(faults(RawLimits::default()), named(&[("guard.allow", "[]")]));
}

#[test]
fn decimals_are_text_or_whole_numbers() {
    let read = |json: &str| serde_json::from_str::<RawLimits>(json);
    let whole = read(r#"{"allow":["hyperliquid:BTC"],"leverage_max":2,"cover_min":"2.5"}"#).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((whole.leverage_max.clone(), whole.cover_min.clone()), (Some(RawNumber::new("2")), Some("2.5".into())));
    assert!(Limits::check(whole).is_ok());
    // a float is read so that it can be reported beside everything else
    let float =
        read(r#"{"allow":["hyperliquid:BTC"],"leverage_max":2.5,"duplicate_window_ms":1.0}"#).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(faults(float), named(&[("guard.leverage_max", "2.5"), ("guard.duplicate_window_ms", "1")]));
    let unknown = read(r#"{"allow":[],"leverage":2}"#).map_err(|e| e.to_string());
    assert!(unknown.is_err_and(|e| e.contains("unknown field `leverage`")));
    let unknown = read(r#"{"market":{"hyperliquid:BTC":{"size":2}}}"#).map_err(|e| e.to_string());
    assert!(unknown.is_err_and(|e| e.contains("unknown field `size`")));
}

#[test]
fn markets_differ_where_they_say_so() {
    let limits = limits(|raw| {
        let market = RawMarketLimits {
            order_size_max: Some("0.5".into()),
            order_notional_max_usd: Some("1000".into()),
            market_notional_max_usd: Some("2000".into()),
            price_collar: Some("0.01".into()),
            price_collar_reduce: Some("0.02".into()),
            open_orders_per_market_max: Some("3".into()),
            book_age_max_ms: Some("500".into()),
            ..RawMarketLimits::default()
        };
        raw.market.insert("hyperliquid:BTC".into(), market);
    });
    let words = limits.describe();
    assert!(words.contains("positions may grow only in hyperliquid:BTC, hyperliquid:ETH"), "{words}");
    assert!(words.contains("an order is at most 25000 and within 0.03 of the reference price"), "{words}");
    assert!(words.contains("an order in hyperliquid:BTC is at most 0.5 base units and 1000 and within 0.01"), "{words}");
    assert!(words.contains("its working orders at most 3, its book at most 500ms old"), "{words}");
    let again: RawLimits = serde_json::from_str(limits.text()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(Limits::check(again).map(|l| l.id()), Ok(limits.id()));
}

/// Shocks of the wrong sign, negative budgets, unknown markets, reviews without a date, and each section's own order: all at once, with path and value.
#[test]
fn sections_report_every_fault_with_path_and_value() {
    let mut bad = raw();
    bad.scenario.clear();
    let shock = |key: &str, by: &str| RawScenario { shock: [(key.into(), by.into())].into(), ..RawScenario::default() };
    bad.scenario.insert("crash".into(), shock("*", "0.15"));
    bad.scenario.insert("odd".into(), shock("hyperliquid:DOGE", "-0.1"));
    bad.drawdown.day = Some("-0.03".into());
    bad.drawdown.trade = Some("0.5".into());
    bad.drawdown.group = Some("0.4".into());
    bad.cover.kill = Some("2.5".into());
    bad.sizing.tier = Some("select".into());
    bad.sizing.tier_leverage = Some("6".into());
    bad.group.insert("majors".into(), RawGroup { markets: vec!["hyperliquid:SOL".into()], ..RawGroup::default() });
    let answer =
        |value: &str, reviewed: &str| RawAnswer { value: value.into(), evidence: "seen".into(), reviewed: reviewed.into() };
    let card = [("settlement".to_owned(), answer("finality_s=1, halts_90d=0", "")), ("exit".to_owned(), answer("unknown", ""))];
    bad.scorecard.insert("hyperliquid".into(), card.into());
    let found = faults(bad);
    for (field, value) in [
        ("guard.scenario.crash.shock.\"*\"", "0.15"),
        ("guard.scenario.odd.kind", "(nothing)"),
        ("guard.scenario.odd.shock.\"hyperliquid:DOGE\"", "hyperliquid:DOGE"),
        ("guard.scenario.odd.shock", "no \"*\""),
        ("guard.drawdown.day", "-0.03"),
        ("guard.drawdown.group", "0.4"),
        ("guard.cover.reduce", "2"),
        ("guard.sizing.tier_leverage", "6"),
        ("guard.group.majors.markets[0]", "hyperliquid:SOL"),
        ("guard.scorecard.hyperliquid.settlement.reviewed", "(nothing)"),
    ] {
        assert!(found.contains(&(field.to_owned(), value.to_owned())), "{field} {value}: {found:?}");
    }
}

#[test]
fn a_review_of_tomorrow_is_a_fault_today() {
    let mut raw = raw();
    let answer = RawAnswer { value: "never".into(), evidence: "seen".into(), reviewed: "2026-10-02".into() };
    raw.scorecard.insert("hyperliquid".into(), [("loss_sharing".to_owned(), answer)].into());
    assert!(Limits::check_on(raw.clone(), 20_728).is_ok());
    let fault = Limits::check_on(raw, 20_727).err().unwrap_or_default();
    assert_eq!(fault.len(), 1);
    assert_eq!(fault[0].field, "guard.scorecard.hyperliquid.loss_sharing.reviewed");
}

#[test]
fn plain_words_tell_every_section() {
    let words = Limits::check(RawLimits { allow: vec!["hyperliquid:BTC".into()], ..RawLimits::default() })
        .map(|limits| limits.describe())
        .unwrap_or_default();
    for part in
        ["equity × 0.3 on layer 2 × 0.5", "|z| is 5 or more", "reduce below 2 until 3", "crash (hyperliquid:BTC -0.15", "150 bp"]
    {
        assert!(words.contains(part), "{part}: {words}");
    }
}
