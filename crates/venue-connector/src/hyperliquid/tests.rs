use std::time::{Duration, Instant};

use domain::{
    Book, ChildNo, Epoch, Fact, JournalTag, Level, LiquidityRole, Lots, MarketStatus, ParentId, Px, Qty, Ratio, ReportedState,
    Side, StreamHealth, StreamKind, Usd, Venue,
};
use serde_json::{Value, json};

use super::stub::{
    self, ACCOUNT, Answer, Manner, Rig, Stub, config, key, state_json, try_start, until, wait_account, wait_market, wall_ms,
};
use super::*;
use crate::port::Next;

fn id(name: &str) -> InstrumentId {
    InstrumentId::new(Venue::Hyperliquid, name).unwrap_or_else(|e| panic!("{e}"))
}

fn usd(text: &str) -> Usd {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

fn account_is(health: StreamHealth) -> impl Fn(&Fact) -> bool {
    move |f| *f == Fact::Stream(Venue::Hyperliquid, StreamKind::Account, health)
}

fn market_is(health: StreamHealth) -> impl Fn(&Fact) -> bool {
    move |f| *f == Fact::Stream(Venue::Hyperliquid, StreamKind::Market, health)
}

// start-up

#[tokio::test]
async fn instruments_come_from_the_venue() {
    let venue = Stub::serve().await;
    let mut config = config(&venue);
    config.markets = vec![Market { asset: Some(3), ..Market::named("HYPE") }, Market::named("OLD"), Market::named("BTC")];
    let started = stub::try_start(config).await.unwrap_or_else(|e| panic!("{e}"));
    let [hype, old, btc] = &started.instruments[..] else { panic!("{:?}", started.instruments) };
    assert_eq!((hype.id, hype.venue_asset, hype.isolated_only), (id("HYPE"), 3, true));
    assert_eq!((hype.tick.to_string().as_str(), hype.lot.to_string().as_str()), ("0.0001", "0.01"));
    assert_eq!((old.status, old.margin.tiers().len()), (MarketStatus::Closed, 1));
    assert_eq!(btc.margin.tiers().iter().map(|t| t.leverage_max).collect::<Vec<_>>(), [40, 20]);
    assert_eq!(started.others.iter().map(|i| i.id).collect::<Vec<_>>(), [id("ETH")]);
    assert_eq!((started.report.role, started.report.signer), (Signer::Agent, key().address()));
    assert!(started.report.warnings.iter().any(|w| w.contains("hyperliquid:OLD is Closed")), "{:?}", started.report.warnings);
    assert!(started.connector.stop(Duration::from_secs(5)).await, "all tasks end");
}

async fn refused(change: impl FnOnce(&Stub, &mut Config)) -> StartError {
    let venue = Stub::serve().await;
    let mut config = config(&venue);
    change(&venue, &mut config);
    match try_start(config).await {
        Err(e) => {
            assert_eq!(venue.connections(), 0, "no stream is opened before the checks are done");
            e
        }
        Ok(_) => panic!("it started"),
    }
}

#[tokio::test]
async fn what_refuses_to_start() {
    let e = refused(|_, c| c.markets.clear()).await;
    assert!(matches!(e, StartError::Config(_)), "{e}");
    // F76: the venue's clock
    let e = refused(|v, _| v.shift_clock(-700)).await;
    assert!(matches!(e, StartError::ClockOffset { offset_ms: -1_500..=-501 }), "{e}");
    for mode in ["unifiedAccount", "portfolioMargin", "dexAbstraction", "somethingNew"] {
        let e = refused(|v, _| v.info("userAbstraction", json!(mode))).await;
        assert!(matches!(&e, StartError::AccountMode { mode: m, .. } if m == mode), "{e}");
    }
    let e = refused(|_, c| c.markets.push(Market::named("btc"))).await;
    assert!(e.to_string().contains("did you mean \"BTC\""), "{e}");
    // F31
    let e = refused(|_, c| c.markets[0].asset = Some(3)).await;
    assert!(matches!(e, StartError::Pinned { pinned: 3, found: 0, .. }), "{e}");
    let e = refused(|v, _| v.role(key().address(), json!({"role":"missing"}))).await;
    assert!(matches!(e, StartError::NotAgent { .. }), "{e}");
    let other = "0x1111111111111111111111111111111111111111";
    let e = refused(|v, _| v.role(key().address(), json!({"role":"agent","data":{"user":other}}))).await;
    assert!(e.to_string().contains(other), "{e}");
    let agents = |until: u64| json!([{"address":key().address().to_string(),"name":"bot","validUntil":until}]);
    let e = refused(|v, _| v.info("extraAgents", agents(wall_ms() - 1))).await;
    assert!(matches!(e, StartError::AgentEnded { .. }), "{e}");
    for role in ["agent", "subAccount", "vault", "somethingNew"] {
        let e = refused(|v, _| {
            v.role(key().address(), json!({"role":"missing"}));
            v.role(ACCOUNT, json!({"role":role,"data":{"user":other,"master":other}}));
        })
        .await;
        assert!(matches!(e, StartError::AccountRole { .. }), "{e}");
    }
    // the agent's own address configured as the account
    let e = refused(|_, c| c.account = key().address()).await;
    assert!(matches!(e, StartError::AccountRole { .. }), "{e}");
    let e = refused(|_, c| c.sub_account = true).await;
    assert!(matches!(e, StartError::AccountRole { .. }), "{e}");
    let err = |text: &str| Answer::Json(json!({"status":"err","response":text}));
    let e = refused(|v, _| v.next(stub::Kind::Noop, err("User or API Wallet 0xabc does not exist."))).await;
    assert!(matches!(&e, StartError::KeyRefused { text } if text.contains("0xabc")), "{e}");
    let e = refused(|v, _| v.next(stub::Kind::Noop, Answer::Cut)).await;
    assert!(matches!(e, StartError::KeyUnproven { .. }) && e.next() != Next::GiveUp, "{e}");
    let e = refused(|v, c| {
        c.markets[0].leverage = Some(39);
        v.next(stub::Kind::Leverage, err("Invalid leverage value"));
    })
    .await;
    assert!(matches!(e, StartError::Leverage { leverage: 39, .. }), "{e}");
    for broken in [Answer::Status(500, "x"), Answer::Json(json!({"universe":"none"})), Answer::Hang] {
        let e = refused(|v, _| v.next_info("meta", broken)).await;
        assert!(matches!(e, StartError::Read(_)) && e.next() != Next::GiveUp, "{e}");
    }
}

#[tokio::test]
async fn warnings_and_leverage_at_start() {
    let venue = Stub::serve().await;
    venue.shift_clock(330);
    let until = wall_ms() + 3 * 86_400_000;
    venue.info("extraAgents", json!([{"address":key().address().to_string(),"name":"bot","validUntil":until}]));
    let mut config = config(&venue);
    // the account's setting is cross 20 for both
    config.markets[0].leverage = Some(20);
    config.markets[1].leverage = Some(3);
    let mut started = stub::launch(config).await;
    assert!((251..=450).contains(&started.report.clock_offset_ms), "{:?}", started.report);
    assert_eq!(started.report.agent_valid_until_ms, Some(until));
    let said = started.report.warnings.join("\n");
    assert!(said.contains("clock") && said.contains("ends in 71 hours"), "{said}");
    let set: Vec<Value> = venue
        .requests()
        .iter()
        .filter_map(|r| serde_json::from_str::<Value>(&r.body).ok())
        .map(|b| b["action"].clone())
        .filter(|a| a["type"] == "updateLeverage")
        .collect();
    assert_eq!(set, [json!({"type":"updateLeverage","asset":1,"isCross":true,"leverage":3})]);
    let (offset, _) = wait_account(&mut started, |f| matches!(f, Fact::ClockOffset(..))).await;
    assert!(matches!(offset, Fact::ClockOffset(Venue::Hyperliquid, 200..=600)), "{offset:?}");
}

#[tokio::test]
async fn f55_a_start_waits_out_a_throttled_minute() {
    let venue = Stub::serve().await;
    for kind in ["exchangeStatus", "meta", "meta", "userRole", "extraAgents", "userAbstraction", "userRateLimit"] {
        venue.next_info(kind, Answer::Status(429, "slow down"));
    }
    venue.next(stub::Kind::Noop, Answer::Status(429, "slow down"));
    let started = stub::launch(config(&venue)).await;
    assert_eq!(started.connector.gauges().throttled, 8);
}

#[tokio::test]
async fn a_sub_account_is_traded_through_its_masters_agent() {
    let venue = Stub::serve().await;
    let master = "0x2222222222222222222222222222222222222222";
    venue.role(ACCOUNT, json!({"role":"subAccount","data":{"master":master}}));
    venue.role(key().address(), json!({"role":"agent","data":{"user":master}}));
    let mut config = config(&venue);
    config.sub_account = true;
    let started = try_start(config).await.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(started.report.role, Signer::Agent);
    assert!(venue.requests().iter().all(|r| r.signed.vault_address == Some(ACCOUNT)));
    assert_eq!(venue.infos("extraAgents")[0]["user"], master);
}

// reads

fn position(coin: &str, szi: &str) -> Value {
    json!({"type":"oneWay","position":{"coin":coin,"szi":szi,"leverage":{"type":"cross","value":10},"entryPx":"50000.0",
        "positionValue":"500.0","unrealizedPnl":"0.0","returnOnEquity":"0.0","liquidationPx":null,"marginUsed":"50.0","maxLeverage":40,
        "cumFunding":{"allTime":"0.0","sinceOpen":"0.0","sinceChange":"0.0"}}})
}

fn fill_row(tid: u64, time: u64) -> Value {
    json!({"coin":"BTC","px":"50000.0","sz":"0.001","side":"B","time":time,"startPosition":"0.01","dir":"Open Long","closedPnl":"0.0",
        "hash":"0x00","oid":70,"crossed":true,"fee":"0.0225","tid":tid,"feeToken":"USDC","twapId":null})
}

fn open_row(coin: &str, oid: u64, key: Option<ClientKey>) -> Value {
    json!({"coin":coin,"side":"A","limitPx":"51000.0","sz":"0.4","oid":oid,"timestamp":5,"triggerCondition":"N/A","isTrigger":false,
        "triggerPx":"0.0","children":[],"isPositionTpsl":false,"reduceOnly":true,"orderType":"Limit","origSz":"1.0","tif":"Gtc","cloid":key})
}

fn client_key(no: u32) -> ClientKey {
    ClientKey::derive(JournalTag(9), Epoch(2), ParentId(3), ChildNo(no))
}

#[tokio::test]
async fn a_snapshot_has_everything() {
    let venue = Stub::serve().await;
    let started = stub::start(config(&venue)).await;
    venue.info("clearinghouseState", state_json("1234.5", json!([position("BTC", "-0.01"), position("xyz:NVDA", "3.0")])));
    venue.info(
        "frontendOpenOrders",
        json!([open_row("BTC", 70, Some(client_key(1))), open_row("@107", 71, None), open_row("ETH", 72, None)]),
    );
    // two full pages that overlap by one millisecond, then a short one
    let page = |from: u64, n: u64| -> Value { (from..from + n).map(|i| fill_row(i, 1_000 + i / 10)).collect() };
    venue.next_info("userFillsByTime", Answer::Json(page(0, 500)));
    venue.next_info("userFillsByTime", Answer::Json(page(490, 500)));
    venue.next_info("userFillsByTime", Answer::Json(page(980, 20)));
    let order = json!({"status":"order","order":{"order":open_row("BTC", 70, Some(client_key(1))),"status":"reduceOnlyCanceled","statusTimestamp":77}});
    venue.next_info("orderStatus", Answer::Json(order));
    let got = started.connector.snapshot(&[client_key(1)], 900).await.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((got.account.equity, got.account.positions.len()), (usd("1234.5"), 1));
    let held = got.account.positions[0];
    assert_eq!((held.instrument, held.lots, held.leverage, held.leverage_max), (id("BTC"), Lots(-1_000), 10, 40));
    assert_eq!(got.open.len(), 2);
    let first = &got.open[0];
    assert_eq!((first.key, first.px, first.qty, first.remaining), (Some(client_key(1)), Px(510_000), Qty(100_000), Qty(40_000)));
    assert!(first.reduce_only && first.state == ReportedState::Open);
    assert_eq!(got.fills.len(), 1_000, "each once");
    assert!(got.fills.is_sorted_by_key(|f| f.venue_ms));
    let (_, status) = &got.asked_orders[0];
    assert_eq!(status.as_ref().map(|s| (s.state, s.venue_ms)), Some((ReportedState::Canceled, 77)));
    let starts: Vec<u64> = venue.infos("userFillsByTime").iter().filter_map(|v| v["startTime"].as_u64()).collect();
    assert_eq!(starts, [900, 1_049, 1_098]);
    assert_eq!(started.connector.order_status(client_key(2)).await, Ok(None));
}

#[tokio::test]
async fn half_an_answer_is_no_snapshot() {
    let venue = Stub::serve().await;
    let started = stub::start(config(&venue)).await;
    let mut state = state_json("1.0", json!([]));
    let whole = state.clone();
    state.as_object_mut().map(|s| s.remove("crossMaintenanceMarginUsed"));
    venue.info("clearinghouseState", state);
    assert!(matches!(started.connector.snapshot(&[], 0).await, Err(ReadError::Malformed { .. })));
    venue.info("clearinghouseState", whole);
    // a fill off the lot grid, one without its number, an order of another name
    for row in [json!([{"sz":"0.0000001"}]), json!([{"tid":null}])] {
        let mut fill = fill_row(1, 1);
        let Some((name, value)) = row[0].as_object().and_then(|o| o.iter().next()) else { panic!() };
        fill[name] = value.clone();
        venue.next_info("userFillsByTime", Answer::Json(json!([fill])));
        assert!(matches!(started.connector.snapshot(&[], 0).await, Err(ReadError::Malformed { .. })));
    }
    let other =
        json!({"status":"order","order":{"order":open_row("BTC", 1, Some(client_key(5))),"status":"open","statusTimestamp":7}});
    venue.next_info("orderStatus", Answer::Json(other));
    assert!(matches!(started.connector.snapshot(&[client_key(4)], 0).await, Err(ReadError::Malformed { .. })));
    for (answer, expected) in [(Answer::Status(429, ""), "too many requests"), (Answer::Status(503, "down"), "status 503")] {
        venue.next_info("frontendOpenOrders", answer);
        let e = started.connector.snapshot(&[], 0).await;
        assert!(e.as_ref().is_err_and(|e| e.to_string().contains(expected)), "{e:?}");
    }
    // a full page that does not move on
    let stuck: Value = (0..500).map(|i| fill_row(i, 5)).collect();
    venue.info("userFillsByTime", stuck);
    assert!(matches!(started.connector.snapshot(&[], 0).await, Err(ReadError::Endless { .. })));
}

// market data

fn depth(time: u64, bids: &[(&str, &str)], asks: &[(&str, &str)]) -> Value {
    let side = |levels: &[(&str, &str)]| levels.iter().map(|(px, sz)| json!({"px":px,"sz":sz,"n":1})).collect::<Value>();
    json!({"channel":"l2Book","data":{"coin":"BTC","time":time,"levels":[side(bids), side(asks)]}})
}

fn best(time: u64, bid: Option<(&str, &str)>, ask: Option<(&str, &str)>) -> Value {
    let level = |l: Option<(&str, &str)>| l.map(|(px, sz)| json!({"px":px,"sz":sz,"n":1}));
    json!({"channel":"bbo","data":{"coin":"BTC","time":time,"bbo":[level(bid), level(ask)]}})
}

async fn next_book(started: &mut Rig, time: u64) -> Arc<Book> {
    match wait_market(started, |f| matches!(f, Fact::Book(b) if b.venue_ms == time)).await.0 {
        Fact::Book(book) => book,
        other => panic!("{other:?}"),
    }
}

fn levels(side: &[Level]) -> Vec<(i64, i64)> {
    side.iter().map(|l| (l.px.0, l.qty.0)).collect()
}

#[tokio::test]
async fn the_best_levels_are_merged_into_the_deep_book() {
    let venue = Stub::serve().await;
    let mut started = stub::start(config(&venue)).await;
    venue.push(&depth(100, &[("50000.0", "1.0"), ("49999.0", "2.0")], &[("50001.0", "3.0"), ("50002.0", "4.0")]));
    let book = next_book(&mut started, 100).await;
    assert_eq!(
        (levels(&book.bids), levels(&book.asks)),
        (vec![(500_000, 100_000), (499_990, 200_000)], vec![(500_010, 300_000), (500_020, 400_000)])
    );
    // up through the old ask: everything that the new best contradicts goes
    venue.push(&best(110, Some(("50001.0", "0.5")), Some(("50002.0", "0.25"))));
    let book = next_book(&mut started, 110).await;
    assert_eq!(levels(&book.bids), [(500_010, 50_000), (500_000, 100_000), (499_990, 200_000)]);
    assert_eq!(levels(&book.asks), [(500_020, 25_000)]);
    assert!(book.is_sane());
    // older depth does not undo it, and an older best does not either
    venue.push(&depth(105, &[("50000.0", "9.0")], &[("50001.0", "9.0"), ("50003.0", "9.0")]));
    venue.push(&best(107, Some(("50000.0", "1.0")), Some(("50001.0", "1.0"))));
    venue.push(&best(111, Some(("50001.0", "0.5")), None));
    let book = next_book(&mut started, 111).await;
    assert_eq!((levels(&book.bids), levels(&book.asks)), (vec![(500_010, 50_000), (500_000, 900_000)], vec![]));
    // newer depth stands alone
    venue.push(&depth(120, &[("50000.0", "1.0")], &[("50001.0", "1.0")]));
    let book = next_book(&mut started, 120).await;
    assert_eq!((levels(&book.bids), levels(&book.asks)), (vec![(500_000, 100_000)], vec![(500_010, 100_000)]));
}

#[tokio::test]
async fn trades_once_own_ones_marked_and_history_left_out() {
    let venue = Stub::serve().await;
    let mut started = stub::start(config(&venue)).await;
    let now = wall_ms() + 10;
    let other = "0x9999999999999999999999999999999999999999";
    let trade = |tid: u64, time: u64, buyer: &str| json!({"coin":"BTC","side":"A","px":"50000.0","sz":"0.5","time":time,"hash":"0x0","tid":tid,"users":[buyer,other]});
    venue.push(&json!({"channel":"trades","data":[trade(3, now, other), trade(1, now - 3_600_000, other)]}));
    venue.push(&json!({"channel":"trades","data":[trade(3, now, other), trade(4, now + 1, &ACCOUNT.to_string().to_uppercase().replace("0X", "0x"))]}));
    let mut seen = Vec::new();
    while seen.len() < 2 {
        if let Fact::Trade(trade) = wait_market(&mut started, |f| matches!(f, Fact::Trade(_))).await.0 {
            seen.push((trade.trade.clone(), trade.own, trade.side, trade.qty));
        }
    }
    assert_eq!(seen, [("3".to_owned(), false, Side::Sell, Qty(50_000)), ("4".to_owned(), true, Side::Sell, Qty(50_000))]);
}

#[tokio::test]
async fn marks() {
    let venue = Stub::serve().await;
    let mut started = stub::start(config(&venue)).await;
    let ctx = json!({"funding":"0.0000125","openInterest":"12.345678","prevDayPx":"49000.0","dayNtlVlm":"1.0","premium":null,
        "oraclePx":"50004.12345678","markPx":"50000.06","midPx":null,"impactPxs":null,"dayBaseVlm":"1.0"});
    venue.push(&json!({"channel":"activeAssetCtx","data":{"coin":"BTC","ctx":ctx}}));
    let (fact, _) = wait_market(&mut started, |f| matches!(f, Fact::Marks(_))).await;
    let Fact::Marks(marks) = fact else { panic!() };
    assert_eq!((marks.mark, marks.oracle), (Px(500_001), Px(500_041)));
    assert_eq!((marks.funding_hourly, marks.open_interest), (Some(Ratio::scaled(125, 7)), Some(Qty(1_234_567))));
}

#[tokio::test]
async fn malformed_frames_are_counted_and_never_fatal() {
    let venue = Stub::serve().await;
    let mut started = stub::start(config(&venue)).await;
    let connections = venue.connections();
    for frame in [
        "not json",
        "{\"channel\":\"l2Book\",\"data\":{\"coin\":\"BTC\"",
        "{\"channel\":\"l2Book\",\"data\":{\"coin\":\"BTC\",\"time\":1,\"levels\":[[{\"px\":\"NaN\",\"sz\":\"1\",\"n\":1}],[]]}}",
        "{\"channel\":\"bbo\",\"data\":7}",
        "{\"channel\":\"brandNew\",\"data\":{}}",
        "[1,2,3]",
        "{}",
        "",
    ] {
        venue.push_text(frame);
        venue.push_text(frame);
    }
    // F40: off the grid, out of order, zero, absurd, a market that nobody asked for
    venue.push(&depth(1, &[("50000.05", "1.0")], &[]));
    venue.push(&depth(1, &[("50000.0", "1.0"), ("50001.0", "1.0")], &[]));
    venue.push(&depth(1, &[("0", "1.0")], &[]));
    venue.push(&depth(1, &[("1000000000000000000000000000000", "1.0")], &[]));
    venue.push(&best(1, Some(("50000.01", "1.0")), None));
    let mut stranger = depth(1, &[], &[]);
    stranger["data"]["coin"] = json!("HYPE");
    venue.push(&stranger);
    venue.push(&depth(500, &[("50000.0", "1.0")], &[("50001.0", "1.0")]));
    let (fact, skipped) = wait_market(&mut started, |f| matches!(f, Fact::Book(_))).await;
    assert!(matches!(&fact, Fact::Book(b) if b.venue_ms == 500), "{fact:?} after {skipped:?}");
    assert_eq!(venue.connections(), connections, "no connection was given up");
    let counted = started.connector.gauges().malformed;
    let of = |kind: &str| counted.get(kind).copied().unwrap_or(0);
    assert!(of("l2Book") >= 4 && of("bbo") >= 2 && of("l2Book levels") >= 2 && of("bbo levels") >= 1, "{counted:?}");
    assert!(of("unexpected channel") >= 2 && of("market not subscribed to") >= 1, "{counted:?}");
}

#[tokio::test]
async fn a_slow_desk_gets_the_newest_book_and_every_trade() {
    let venue = Stub::serve().await;
    let mut started = stub::start(config(&venue)).await;
    for i in 1..=200 {
        venue.push(&depth(i, &[("50000.0", "1.0")], &[("50001.0", "1.0")]));
    }
    let gauges = || started.connector.gauges();
    until("199 books are replaced", || gauges().conflated == 199).await;
    let mut facts = Vec::new();
    assert_eq!(started.market.try_recv_many(&mut facts), 1);
    assert!(matches!(&facts[0], Fact::Book(b) if b.venue_ms == 200));
}

// the account

#[tokio::test]
async fn account_frames_become_facts() {
    let venue = Stub::serve().await;
    let mut started = stub::start(config(&venue)).await;
    let user = ACCOUNT.to_string();
    let order = json!({"coin":"BTC","side":"B","limitPx":"50000.0","sz":"0.3","oid":70,"timestamp":5,"origSz":"1.0","cloid":client_key(1)});
    venue.push(&json!({"channel":"orderUpdates","data":[{"order":order,"status":"open","statusTimestamp":6},
        {"order":{"coin":"@107","side":"B","limitPx":"30.0","sz":"0.49","oid":1,"timestamp":1,"origSz":"0.49"},"status":"open","statusTimestamp":1}]}));
    let (fact, _) = wait_account(&mut started, |f| matches!(f, Fact::Order(_))).await;
    let Fact::Order(report) = fact else { panic!() };
    assert_eq!(
        (report.key, report.remaining, report.state, report.venue_ms),
        (Some(client_key(1)), Qty(30_000), ReportedState::Open, 6)
    );

    // history first, then one that another's liquidation caused, then one that was done to us (F32, F33)
    venue.push(&json!({"channel":"userFills","data":{"user":user,"fills":[fill_row(1, 1)],"isSnapshot":true}}));
    let mut taken = fill_row(2, 2);
    taken["liquidation"] =
        json!({"liquidatedUser":"0x9999999999999999999999999999999999999999","markPx":"50000.0","method":"market"});
    let mut forced = fill_row(3, 3);
    forced["liquidation"] = json!({"liquidatedUser":user,"markPx":"50000.0","method":"market"});
    let mut adl = fill_row(4, 4);
    adl["dir"] = json!("Auto-Deleveraging");
    adl["px"] = json!("50000.123");
    let mut spot = fill_row(5, 5);
    spot["coin"] = json!("PURR/USDC");
    venue.push(&json!({"channel":"userFills","data":{"user":user,"fills":[taken, spot, forced, adl]}}));
    let mut fills = Vec::new();
    while fills.len() < 3 {
        if let Fact::Fill(fill) = wait_account(&mut started, |f| matches!(f, Fact::Fill(_))).await.0 {
            fills.push(fill);
        }
    }
    assert_eq!(
        fills.iter().map(|f| (f.id.trade.as_str(), f.forced)).collect::<Vec<_>>(),
        [("2", false), ("3", true), ("4", true)]
    );
    assert_eq!((fills[0].role, fills[0].fee, fills[0].position_before), (LiquidityRole::Taker, usd("0.0225"), Some(Lots(1_000))));
    assert_eq!(fills[2].px, Px(500_001), "a forced price need not lie on the grid");

    let payment =
        |time: u64| json!({"time":time,"coin":"BTC","usdc":"-0.25","szi":"0.01","fundingRate":"0.0000125","nSamples":null});
    venue.push(&json!({"channel":"userFundings","data":{"user":user,"fundings":[payment(3_600_000)]}}));
    let (fact, _) = wait_account(&mut started, |f| matches!(f, Fact::Funding(_))).await;
    assert!(matches!(&fact, Fact::Funding(p) if p.amount == usd("-0.25") && p.venue_ms == 3_600_000), "{fact:?}");

    venue.push(
        &json!({"channel":"clearinghouseState","data":{"dex":"","user":user,"clearinghouseState":state_json("77.0", json!([]))}}),
    );
    let mut old = state_json("66.0", json!([]));
    old["time"] = json!(5);
    venue.push(&json!({"channel":"clearinghouseState","data":{"dex":"","user":user,"clearinghouseState":old}}));
    venue.push(
        &json!({"channel":"clearinghouseState","data":{"dex":"","user":user,"clearinghouseState":state_json("88.0", json!([]))}}),
    );
    for expected in ["77", "88"] {
        let (fact, _) = wait_account(&mut started, |f| matches!(f, Fact::Account(_))).await;
        assert!(matches!(&fact, Fact::Account(a) if a.equity == usd(expected)), "{fact:?}");
    }
    assert_eq!(started.connector.gauges().other_coins, 2);
}

#[tokio::test]
async fn booked_fundings_are_not_delivered_again() {
    let venue = Stub::serve().await;
    stub::install_tls();
    let resume = Resume { fundings_since_ms: 7_200_000, ..Resume::default() };
    let started = Connector::start(config(&venue), key(), stub::clock(), domain::Seed(1).fork("t"), resume).await;
    let mut started = Rig::from(started.unwrap_or_else(|e| panic!("{e}")));
    wait_account(&mut started, account_is(StreamHealth::Up)).await;
    let payment =
        |time: u64| json!({"time":time,"coin":"BTC","usdc":"-0.25","szi":"0.01","fundingRate":"0.0000125","nSamples":1});
    let history = json!([payment(3_600_000), payment(7_200_000), payment(10_800_000)]);
    venue.push(&json!({"channel":"userFundings","data":{"user":ACCOUNT.to_string(),"fundings":history,"isSnapshot":true}}));
    let (fact, _) = wait_account(&mut started, |f| matches!(f, Fact::Funding(_))).await;
    assert!(matches!(&fact, Fact::Funding(p) if p.venue_ms == 10_800_000), "{fact:?}");
}

#[tokio::test]
async fn the_account_is_polled_while_no_stream_delivers_it() {
    let venue = Stub::serve().await;
    let mut config = config(&venue);
    config.timing.account_poll = Duration::from_millis(50);
    let mut started = stub::start(config).await;
    for _ in 0..2 {
        wait_account(&mut started, |f| matches!(f, Fact::Account(_))).await;
    }
}

#[tokio::test]
async fn account_facts_are_never_dropped() {
    let venue = Stub::serve().await;
    let mut started = stub::start(config(&venue)).await;
    let user = ACCOUNT.to_string();
    // three times what the channel holds, while nobody reads it
    let total = 3 * FACTS_MAX as u64;
    for chunk in (0..total).collect::<Vec<_>>().chunks(500) {
        let fills: Value = chunk.iter().map(|i| fill_row(10 + i, 10 + i)).collect();
        venue.push(&json!({"channel":"userFills","data":{"user":user,"fills":fills}}));
    }
    let gauges = || started.connector.gauges();
    until("the channel is full", || gauges().facts_waiting == FACTS_MAX).await;
    for i in 0..total {
        let (fact, _) = wait_account(&mut started, |f| matches!(f, Fact::Fill(_))).await;
        assert!(matches!(&fact, Fact::Fill(f) if f.venue_ms == 10 + i), "{i}: {fact:?}");
    }
}

// connections

#[tokio::test]
async fn a_lost_socket_is_told_reconnected_and_subscribed_afresh() {
    let venue = Stub::serve().await;
    let mut started = stub::start(config(&venue)).await;
    assert_eq!(venue.subscribed("l2Book"), 2);
    venue.close_all();
    wait_account(&mut started, account_is(StreamHealth::Down)).await;
    wait_account(&mut started, account_is(StreamHealth::Up)).await;
    until("both are back", || venue.connections() == 4 && venue.subscribed("bbo") == 4).await;
    for kind in ["orderUpdates", "userFills", "userFundings", "clearinghouseState"] {
        assert_eq!(venue.subscribed(kind), 2, "{kind}: once a connection (F03)");
    }
    // what an old connection showed is not mixed into the new one's book
    venue.push(&best(5, Some(("50000.0", "1.0")), Some(("50001.0", "1.0"))));
    let book = next_book(&mut started, 5).await;
    assert_eq!((book.bids.len(), book.asks.len()), (1, 1));
    let reconnects = started.connector.gauges().reconnects;
    assert_eq!((reconnects.get("market"), reconnects.get("account")), (Some(&1), Some(&1)));
}

#[tokio::test]
async fn f06_fills_of_the_gap_are_delivered_and_older_history_is_not() {
    let venue = Stub::serve().await;
    let mut started = stub::start(config(&venue)).await;
    let history = |rows: Value| json!({"channel":"userFills","data":{"user":ACCOUNT.to_string(),"fills":rows,"isSnapshot":true}});
    venue.push(&history(json!([fill_row(1, wall_ms())])));
    venue.close_all();
    wait_account(&mut started, account_is(StreamHealth::Down)).await;
    let (_, before) = wait_account(&mut started, account_is(StreamHealth::Up)).await;
    assert!(!before.iter().any(|f| matches!(f, Fact::Fill(_))), "the first connection's history is the desk's to read");
    venue.push(&history(json!([fill_row(1, wall_ms() - 3_600_000), fill_row(2, wall_ms() - 500)])));
    let (fact, _) = wait_account(&mut started, |f| matches!(f, Fact::Fill(_))).await;
    assert!(matches!(&fact, Fact::Fill(f) if f.id.trade == "2"), "{fact:?}");
}

#[tokio::test]
async fn a_venue_that_stays_away_is_told_once() {
    let venue = Stub::serve().await;
    let mut started = stub::start(config(&venue)).await;
    venue.manner(Manner::Refusing);
    venue.close_all();
    wait_account(&mut started, account_is(StreamHealth::Down)).await;
    let before = venue.connections();
    until("four more attempts", || venue.connections() >= before + 4).await;
    venue.manner(Manner::Normal);
    let (_, meanwhile) = wait_account(&mut started, account_is(StreamHealth::Up)).await;
    assert!(!meanwhile.iter().any(account_is(StreamHealth::Down)), "{meanwhile:?}");
}

#[tokio::test]
async fn f02_a_half_open_socket_is_found_by_its_unanswered_ping() {
    let venue = Stub::serve().await;
    let mut config = config(&venue);
    config.timing.pong = Duration::from_millis(800);
    let mut started = stub::start(config).await;
    let began = Instant::now();
    venue.manner(Manner::Mute);
    wait_account(&mut started, account_is(StreamHealth::Stale)).await;
    wait_account(&mut started, account_is(StreamHealth::Down)).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    venue.manner(Manner::Normal);
    wait_account(&mut started, account_is(StreamHealth::Up)).await;
}

#[tokio::test]
async fn f01_a_silent_market_is_stale_and_then_reconnected_although_it_answers_pings() {
    let venue = Stub::serve().await;
    let mut config = config(&venue);
    config.timing.silent = Duration::from_millis(900);
    let mut started = stub::start(config).await;
    venue.push(&depth(1, &[("50000.0", "1.0")], &[("50001.0", "1.0")]));
    next_book(&mut started, 1).await;
    let spoke = Instant::now();
    wait_market(&mut started, market_is(StreamHealth::Stale)).await;
    let stale = spoke.elapsed();
    assert!(stale >= Duration::from_millis(240), "{stale:?}");
    // one frame and it is well again
    venue.push(&depth(2, &[("50000.0", "1.0")], &[("50001.0", "1.0")]));
    wait_market(&mut started, market_is(StreamHealth::Up)).await;
    let before = venue.connections();
    wait_market(&mut started, market_is(StreamHealth::Stale)).await;
    until("it is reconnected", || venue.connections() > before).await;
}

#[tokio::test]
async fn f04_an_account_stream_that_does_not_mention_an_acknowledged_order_is_stale() {
    let venue = Stub::serve().await;
    let mut config = config(&venue);
    config.timing.mention = Duration::from_millis(1_000);
    let mut started = stub::start(config).await;
    let connections = venue.connections();
    // mentioned before its acknowledgement, mentioned after, and never
    let mention = |oid: u64| {
        let order = json!({"coin":"BTC","side":"B","limitPx":"50000.0","sz":"1.0","oid":oid,"timestamp":5,"origSz":"1.0"});
        json!({"channel":"orderUpdates","data":[{"order":order,"status":"open","statusTimestamp":6}]})
    };
    venue.push(&mention(1));
    wait_account(&mut started, |f| matches!(f, Fact::Order(_))).await;
    let shared = Arc::clone(&started.connector.shared);
    shared.mentions.acked(1);
    shared.mentions.acked(2);
    venue.push(&mention(2));
    wait_account(&mut started, |f| matches!(f, Fact::Order(_))).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(venue.connections(), connections);
    shared.mentions.acked(3);
    wait_account(&mut started, account_is(StreamHealth::Stale)).await;
    wait_account(&mut started, account_is(StreamHealth::Down)).await;
    wait_account(&mut started, account_is(StreamHealth::Up)).await;
}

#[tokio::test]
async fn f03_flapping_is_paced() {
    let venue = Stub::serve().await;
    let mut config = config(&venue);
    config.connects_per_minute = 8;
    config.timing.backoff = Duration::from_millis(1);
    config.timing.backoff_max = Duration::from_millis(2);
    venue.manner(Manner::Refusing);
    let started = try_start(config).await.unwrap_or_else(|e| panic!("{e}"));
    until("the minute's connections are spent", || venue.connections() == 8).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(venue.connections(), 8);
    assert!(started.connector.stop(Duration::from_secs(5)).await, "a task that waits for its turn ends as well");
}

#[tokio::test]
async fn a_task_that_ends_unasked_raises_the_alarm() {
    let venue = Stub::serve().await;
    let mut config = config(&venue);
    config.timing.account_poll = Duration::from_millis(20);
    let started = stub::launch(config).await;
    let connector = started.connector.clone();
    // the account poll ends when nobody takes its facts any more: here that is a fault of the test's desk
    drop(started);
    let name = tokio::time::timeout(Duration::from_secs(5), connector.failed()).await;
    assert!(name.as_ref().is_ok_and(|n| n.ends_with("poll")), "{name:?}");
    assert!(connector.stop(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn a_refused_subscription_that_can_be_done_without() {
    let venue = Stub::serve().await;
    let mut started = stub::start(config(&venue)).await;
    // the venue repeats itself; nothing is lost by it
    venue.push(&json!({"channel":"error","data":"Already subscribed: {\"type\":\"userFills\"}"}));
    let connections = venue.connections();
    venue.push(&best(9, Some(("50000.0", "1.0")), None));
    next_book(&mut started, 9).await;
    assert_eq!(venue.connections(), connections);
}

#[test]
fn backoff_doubles_with_jitter_up_to_its_cap() {
    let mut jitter = domain::Seed(3).fork("backoff");
    let (base, max) = (Duration::from_millis(250), Duration::from_secs(30));
    assert_eq!(stream::backoff(0, base, max, &mut jitter), Duration::ZERO);
    for failures in 1..80 {
        let full = base.saturating_mul(1 << (failures - 1).min(16)).min(max);
        let wait = stream::backoff(failures, base, max, &mut jitter);
        assert!(wait >= full / 2 && wait <= full, "{failures}: {wait:?} of {full:?}");
    }
    let waits: std::collections::BTreeSet<Duration> = (0..20).map(|_| stream::backoff(5, base, max, &mut jitter)).collect();
    assert!(waits.len() > 10, "many clients do not return together");
}

// the whole way of an order

struct Memory;

impl domain::WriteAhead for Memory {
    type Error = std::convert::Infallible;
    async fn append(&self, entries: Vec<domain::Stamped>) -> Result<domain::Receipt, Self::Error> {
        Ok(domain::Receipt { first: 1, last: entries.len() as u64, epoch: Epoch(1) })
    }
}

#[tokio::test]
async fn what_the_guard_released_is_placed() {
    use domain::{Child, Entry, Expiry, Intent, Placement, Schedule, SendOutcome, Span, Stamped, Tif};
    use margin_guard::{Guard, Limits, RawLimits, release};

    let venue = Stub::serve().await;
    let mut started = stub::start(config(&venue)).await;
    let limits = Limits::check(RawLimits { allow: vec!["hyperliquid:BTC".into()], ..RawLimits::wide() });
    let mut guard = Guard::new(limits.unwrap_or_else(|e| panic!("{e:?}")));
    guard.set_instrument(&started.instruments[0]);
    guard.set_position(id("BTC"), Lots(0));
    guard.set_ready(true);
    for kind in [StreamKind::Market, StreamKind::Account] {
        guard.set_stream(Venue::Hyperliquid, kind, StreamHealth::Up);
    }
    // everything that the guard looks at comes through the connector
    let ctx = json!({"funding":"0.0","openInterest":"12.0","prevDayPx":"49000.0","dayNtlVlm":"1.0","oraclePx":"50000.0","markPx":"50000.0"});
    venue.push(&json!({"channel":"activeAssetCtx","data":{"coin":"BTC","ctx":ctx}}));
    venue.push(&depth(wall_ms(), &[("50000.0", "1.0")], &[("50001.0", "1.0")]));
    venue.push(&json!({"channel":"clearinghouseState","data":{"dex":"","user":ACCOUNT.to_string(),"clearinghouseState":state_json("10000.0", json!([]))}}));
    let (account, skipped) = wait_account(&mut started, |f| matches!(f, Fact::Account(_))).await;
    let clock = skipped.into_iter().chain([account]);
    for fact in clock {
        match fact {
            Fact::Account(view) => guard.observe_account(&view),
            Fact::ClockOffset(venue, ms) => guard.set_clock_offset(venue, ms),
            _ => {}
        }
    }
    guard.set_clock_offset(Venue::Hyperliquid, 0);
    if let Fact::Marks(marks) = wait_market(&mut started, |f| matches!(f, Fact::Marks(_))).await.0 {
        guard.observe_marks(&marks);
    }
    let book = next_book_any(&mut started).await;
    guard.observe_book(&book);
    let now = (started.connector.shared.clock)();
    // what the desk makes of history and fills, and its look
    let funding = domain::FundingView { hours: 720, newest_ms: now.wall_ms, ..domain::FundingView::default() };
    guard.observe_measure(&domain::Measure {
        instrument: id("BTC"),
        at: now,
        volatility: domain::VolatilityView::default(),
        funding,
        beta: None,
        correlation: None,
    });
    let equity = Usd::whole(10_000);
    guard.observe_profit(now, &domain::ProfitMark { equity, peak_equity: equity, ..domain::ProfitMark::default() });
    guard.assess(now);
    let spec = domain::ParentSpec {
        id: ParentId(1),
        instrument: id("BTC"),
        side: Side::Buy,
        qty: Qty(1_000),
        schedule: Schedule::Twap { slices: 1 },
        placement: Placement::Passive,
        display: None,
        horizon: Span::secs(60),
        limit_px: None,
        slippage_max: Ratio::bps(100),
        end: domain::EndPolicy::Cancel,
        reduce_only: false,
        note: String::new(),
    };
    guard.admit_parent(now, &spec, Px(500_000)).unwrap_or_else(|e| panic!("{e}"));
    let intent = Intent {
        key: ClientKey::derive(JournalTag(1), Epoch(1), ParentId(1), ChildNo(1)),
        child: Child {
            parent: ParentId(1),
            no: ChildNo(1),
            instrument: id("BTC"),
            side: Side::Buy,
            qty: Qty(1_000),
            px: Px(500_000),
            tif: Tif::PostOnly,
            reduce_only: false,
        },
        nonce: wall_ms() & !1,
        expiry: Expiry::AtMs(wall_ms() + 10_000),
    };
    let cleared = guard.clear(now, intent).unwrap_or_else(|e| panic!("{e}"));
    let entry = Entry::Intent { intent: *cleared.intent(), basis: *cleared.basis(), mid_x2: None };
    let released = release(vec![cleared], vec![Stamped { at: now, entry }], &Memory).await.unwrap_or_else(|e| panic!("{e}"));
    started.connector.place(released).await;
    let (sent, _) = wait_account(&mut started, |f| matches!(f, Fact::Sent { .. })).await;
    assert!(matches!(sent, Fact::Sent { key, outcome: SendOutcome::Acked { .. } } if key == intent.key), "{sent:?}");
    assert_eq!(venue.actions().len(), 1);
}

async fn next_book_any(started: &mut Rig) -> Arc<Book> {
    match wait_market(started, |f| matches!(f, Fact::Book(_))).await.0 {
        Fact::Book(book) => book,
        other => panic!("{other:?}"),
    }
}

// rules that change while running

#[tokio::test]
async fn f30_f31_a_market_that_changes_is_closed_here_and_told() {
    let venue = Stub::serve().await;
    let mut config = config(&venue);
    config.timing.rules_poll = Duration::from_millis(50);
    let mut started = stub::start(config).await;
    let meta = |btc: Value, eth: Value| json!({"universe":[btc, eth],"marginTables":[],"collateralToken":0});
    let btc = json!({"name":"BTC","szDecimals":4,"maxLeverage":40,"marginTableId":40});
    let eth = json!({"name":"ETH","szDecimals":4,"maxLeverage":10,"marginTableId":10});
    venue.info("meta", meta(btc, eth));
    let told = |name: &'static str| move |f: &Fact| matches!(f, Fact::Instrument(i) if i.id == id(name));
    let (fact, _) = wait_market(&mut started, told("BTC")).await;
    let Fact::Instrument(changed) = fact else { panic!() };
    assert_eq!((changed.status, changed.lot.to_string().as_str()), (MarketStatus::Closed, "0.00001"), "in the old units");
    let (fact, _) = wait_market(&mut started, told("ETH")).await;
    assert!(matches!(&fact, Fact::Instrument(i) if i.leverage_max == 10 && i.status == MarketStatus::Open), "{fact:?}");
    let markets = &started.connector.shared.markets;
    assert!(markets.tradable(id("BTC")).is_err_and(|why| why.contains("restart")));
    assert!(markets.tradable(id("ETH")).is_ok());
    assert!(markets.get(id("BTC")).is_some(), "its orders can still be cancelled");
    // back as it was: still closed here, while ETH is told open as it was at start
    let btc = json!({"name":"BTC","szDecimals":5,"maxLeverage":40,"marginTableId":40});
    let eth = json!({"name":"ETH","szDecimals":4,"maxLeverage":25,"marginTableId":25});
    venue.info("meta", meta(btc, eth));
    let (fact, skipped) = wait_market(&mut started, told("ETH")).await;
    assert!(matches!(&fact, Fact::Instrument(i) if i.leverage_max == 25), "{fact:?}");
    assert!(!skipped.iter().any(|f| matches!(f, Fact::Instrument(i) if i.id == id("BTC") && i.status == MarketStatus::Open)));
    assert!(started.connector.shared.markets.tradable(id("BTC")).is_err());
}
