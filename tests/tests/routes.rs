//! Transfers that begin at the venue, over real sockets: the connector against the paper venue, and its signed bytes against two
//! clients that somebody else wrote. What moved is read from the venue's own accounts, to the millionth.

mod rig;

use anyhow::{Context as _, Result, ensure};
use domain::{InstrumentId, Route, TransferEvent, TransferOutcome, Venue};
use paper::{Fault, FaultOrder};
use plimsoll_tests::{Client, Witness, skip};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use venue_connector::hyperliquid::Network;

use rig::{AGENT, COLD, Desk, Exchange, FUNDS, STRANGER, agent, dec, funds, master, nonce, signed, text_of};

const SENT: TransferEvent = TransferEvent::Sent { hash: None };

fn run<F: Future<Output = Result<()>>>(test: impl FnOnce() -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test()).unwrap_or_else(|error| panic!("{error:#}"));
}

fn isolated(coin: &str) -> Route {
    Route::IsolatedMargin { instrument: InstrumentId::new(Venue::Hyperliquid, coin).unwrap() }
}

/// Positions to add margin to: one market allows no cross margin, the other no removal either.
async fn positions(venue: &Exchange) -> Result<()> {
    venue.take("PURR", true, "0.172", "10000").await?;
    venue.take("PEOPLE", true, "0.0726", "20000").await
}

fn rejected(why: &str) -> [TransferEvent; 2] {
    [SENT, TransferEvent::Ended(TransferOutcome::Rejected { why: why.to_owned() })]
}

#[test]
fn each_route_moves_exactly_what_it_says() {
    run(|| async {
        let venue = Exchange::start().await?;
        positions(&venue).await?;
        let mut desk = Desk::start(&venue, Network::Testnet, master()).await?;
        let (own, sub) = (funds(), venue.sub);
        let mut was = (venue.money(master()).await?, venue.money(sub).await?);
        // per route: change of the account's cash, its spot balance, the sub-account's cash, collateral of the position named
        for (route, amount, perps, spot, subs, margin) in [
            (Route::PerpToSpot, "1000.123456", "-1000.123456", "1000.123456", "0", None),
            (Route::SpotToPerp, "400.000001", "400.000001", "-400.000001", "0", None),
            (Route::SubAccount { sub, deposit: true }, "250.5", "-250.5", "0", "250.5", None),
            (Route::SubAccount { sub, deposit: false }, "100.25", "100.25", "0", "-100.25", None),
            (isolated("PURR"), "12.345678", "0", "0", "0", Some(("PURR", "12.345678"))),
            (isolated("PEOPLE"), "7", "0", "0", "0", Some(("PEOPLE", "7"))),
            (Route::Withdrawal { destination: COLD }, "41.5", "-41.5", "0", "0", None),
        ] {
            let (intent, events) = desk.transfer(route, amount, Some(&own)).await?;
            ensure!(events == [SENT, TransferEvent::Accepted], "{route:?}: {events:?}");
            let now = (venue.money(master()).await?, venue.money(sub).await?);
            let change = (now.0.perps - was.0.perps, now.0.spot - was.0.spot, now.1.perps - was.1.perps);
            ensure!(change == (dec(perps), dec(spot), dec(subs)), "{route:?}: {change:?}");
            for coin in ["PURR", "PEOPLE"] {
                let expected = margin.filter(|(of, _)| *of == coin).map_or(Decimal::ZERO, |(_, more)| dec(more));
                ensure!(now.0.margin(coin) - was.0.margin(coin) == expected, "{route:?}: {:?} after {:?}", now.0, was.0);
            }
            let post = desk.posted()?;
            ensure!(post["nonce"] == intent.nonce && post["vaultAddress"].is_null(), "{post}");
            was = now;
        }
        let kinds = |rows: &[Value]| {
            rows.iter().map(|row| row["delta"]["type"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
        };
        let rows = venue.ledger(master()).await?;
        let transfers = ["accountClassTransfer", "accountClassTransfer", "subAccountTransfer", "subAccountTransfer", "withdraw"];
        ensure!(kinds(&rows).ends_with(&transfers.map(str::to_owned)), "{:?}", kinds(&rows));
        let last = &rows.last().context("rows")?["delta"];
        ensure!((&last["usdc"], &last["fee"]) == (&json!("41.5"), &json!("1.0")), "{last}");
        let rows = venue.ledger(sub).await?;
        ensure!(kinds(&rows) == ["subAccountTransfer"; 3], "{rows:?}");

        // the other way to add margin names a leverage, so that it cannot be bound to an amount beforehand
        let top_up =
            |asset: usize, leverage: &str| json!({"type": "topUpIsolatedOnlyMargin", "asset": asset, "leverage": leverage});
        let (strict, loose) = (venue.asset("PEOPLE").await?, venue.asset("PURR").await?);
        ensure!(venue.act(&agent(), top_up(strict, "2.5"), None).await?["status"] == "ok");
        let now = venue.money(master()).await?;
        ensure!(now.perps == was.0.perps && now.margin("PEOPLE") > was.0.margin("PEOPLE"), "{now:?}");
        let again = venue.act(&agent(), top_up(strict, "3"), None).await?;
        ensure!(again["status"] == "ok" && venue.money(master()).await? == now, "there is more than that already");
        ensure!(text_of(&venue.act(&agent(), top_up(loose, "2.5"), None).await?) == "Asset not strict isolated");
        let remove = |asset: usize| json!({"type": "updateIsolatedMargin", "asset": asset, "isBuy": true, "ntli": -1_000_000});
        let refused = venue.act(&agent(), remove(strict), None).await?;
        ensure!(text_of(&refused) == "Cannot remove isolated margin for this asset. To remove margin, reduce the position.");
        ensure!(venue.act(&agent(), remove(loose), None).await?["status"] == "ok", "where it may be removed, it is");
        Ok(())
    });
}

#[test]
fn what_cannot_be_done_is_refused_in_the_venues_words_and_moves_nothing() {
    run(|| async {
        let venue = Exchange::start().await?;
        positions(&venue).await?;
        venue.take("BTC", true, "61800", "0.01").await?;
        let mut desk = Desk::start(&venue, Network::Testnet, master()).await?;
        let (own, sub) = (funds(), venue.sub);
        let before = (venue.money(master()).await?, venue.money(sub).await?);
        let stranger = format!("Invalid sub-account transfer from {} to {STRANGER}", master());
        for (route, amount, why) in [
            (Route::SpotToPerp, "1", "Insufficient balance for token transfer"),
            (Route::PerpToSpot, "200000", "Insufficient balance for withdrawal"),
            (Route::SubAccount { sub, deposit: true }, "200000", "Insufficient balance for withdrawal"),
            (Route::SubAccount { sub, deposit: false }, "1000.000001", "Insufficient balance for withdrawal"),
            (Route::SubAccount { sub: STRANGER, deposit: true }, "5", &stranger),
            (isolated("BTC"), "5", "Position does not use isolated margin."),
            (isolated("ETH"), "5", "Cannot update margin for empty position."),
            (isolated("PURR"), "200000", "Account does not have sufficient margin available for increase."),
            (Route::Withdrawal { destination: COLD }, "200000", "Insufficient balance for withdrawal"),
        ] {
            let (_, events) = desk.transfer(route, amount, Some(&own)).await?;
            ensure!(events == rejected(why), "{route:?}: {events:?}");
        }
        // an agent may not: neither does the connector sign with its key, nor would the venue take it
        let posts = desk.posts();
        for (route, why) in [
            (Route::SpotToPerp, "it needs the account's own key; an agent cannot sign it"),
            (Route::Withdrawal { destination: COLD }, "it needs the operator's own signer, and none is at hand"),
        ] {
            let (_, events) = desk.transfer(route, "5", None).await?;
            ensure!(events == [TransferEvent::Ended(TransferOutcome::Refused { why: why.to_owned() })], "{events:?}");
        }
        ensure!(desk.posts() == posts, "nothing was sent");
        let user_signed = |mut action: Value| {
            action["hyperliquidChain"] = json!("Testnet");
            action["signatureChainId"] = json!("0x66eee");
            action
        };
        let class = user_signed(json!({"type": "usdClassTransfer", "amount": "5", "toPerp": false, "nonce": 0}));
        let out = user_signed(json!({"type": "withdraw3", "destination": COLD.to_string(), "amount": "5", "time": 0}));
        for action in [&class, &out] {
            let answer = venue.act(&agent(), action.clone(), None).await?;
            let why = format!("Must deposit before performing actions. User: {}", agent().address());
            ensure!(text_of(&answer) == why, "{answer}");
            // who acts for whom is not part of what is signed here, so nobody may say it beside the signature
            let answer = venue.act(&own, action.clone(), Some(sub)).await?;
            ensure!(text_of(&answer) == "Unable to recover signer.", "{answer}");
        }
        let foreign = user_signed(json!({
            "type": "usdClassTransfer", "amount": format!("5 subaccount:{STRANGER}"), "toPerp": false, "nonce": 0,
        }));
        let answer = venue.act(&own, foreign, None).await?;
        ensure!(text_of(&answer) == format!("Vault not registered: {STRANGER}"), "{answer}");
        ensure!((venue.money(master()).await?, venue.money(sub).await?) == before, "nothing moved");
        Ok(())
    });
}

#[test]
fn a_sub_account_is_served_by_its_masters_keys() {
    run(|| async {
        let venue = Exchange::start().await?;
        let mut desk = Desk::start(&venue, Network::Testnet, venue.sub).await?;
        let (own, sub) = (funds(), venue.sub);
        let before = (venue.money(master()).await?, venue.money(sub).await?);
        for (route, amount) in [(Route::PerpToSpot, "300.5"), (Route::SpotToPerp, "100")] {
            let (_, events) = desk.transfer(route, amount, Some(&own)).await?;
            ensure!(events == [SENT, TransferEvent::Accepted], "{events:?}");
            ensure!(desk.posted()?["action"]["amount"] == format!("{amount} subaccount:{sub}"));
        }
        let now = venue.money(sub).await?;
        ensure!((now.perps - before.1.perps, now.spot - before.1.spot) == (dec("-200.5"), dec("200.5")), "{now:?}");
        // what fills it up comes from the master
        let (_, events) = desk.transfer(Route::SubAccount { sub, deposit: true }, "50", Some(&own)).await?;
        ensure!(events == [SENT, TransferEvent::Accepted] && desk.posted()?["vaultAddress"].is_null(), "{events:?}");
        ensure!(venue.money(sub).await?.perps - now.perps == dec("50"));
        ensure!(before.0.perps - venue.money(master()).await?.perps == dec("50"), "the master gave it and no more");
        let (_, events) = desk.transfer(isolated("BTC"), "5", Some(&own)).await?;
        ensure!(events == rejected("Cannot update margin for empty position."), "{events:?}");
        ensure!(desk.posted()?["vaultAddress"] == sub.to_string(), "the agent acts for it");
        Ok(())
    });
}

#[test]
fn c23_a_lost_answer_is_asked_for_again_with_the_same_bytes_and_moves_nothing_twice() {
    run(|| async {
        let venue = Exchange::start().await?;
        positions(&venue).await?;
        let mut desk = Desk::start(&venue, Network::Testnet, master()).await?;
        let (own, sub) = (funds(), venue.sub);
        let before = (venue.money(master()).await?, venue.money(sub).await?);
        for (route, kind, amount) in [
            (isolated("PURR"), "updateIsolatedMargin", "9.5"),
            (Route::PerpToSpot, "usdClassTransfer", "60"),
            (Route::SubAccount { sub, deposit: true }, "subAccountTransfer", "30"),
            (Route::Withdrawal { destination: COLD }, "withdraw3", "20"),
        ] {
            let lost = FaultOrder::new(Fault::TimeoutAfter).times(1).action(kind);
            venue.paper.fault(lost).await?.map_err(|why| anyhow::anyhow!("{why}"))?;
            let (intent, events) = desk.transfer(route, amount, Some(&own)).await?;
            ensure!(matches!(&events[..], [SENT, TransferEvent::Overdue { .. }]), "{events:?}");
            let first = desk.posted()?;
            let events = desk.resume(intent.id, Some(&own)).await?;
            ensure!(events == [SENT, TransferEvent::Accepted], "{kind}: {events:?}");
            ensure!(desk.posted()? == first, "{kind}: the same bytes");
            if !route.inside() {
                desk.credit(intent.id, intent.amount)?;
            }
        }
        let (own, sub) = (venue.money(master()).await?, venue.money(sub).await?);
        let change = (own.perps - before.0.perps, own.spot - before.0.spot, sub.perps - before.1.perps);
        ensure!(change == (dec("-110"), dec("60"), dec("30")), "{change:?}");
        ensure!(own.margin("PURR") - before.0.margin("PURR") == dec("9.5"), "{own:?}");
        Ok(())
    });
}

/// One action that our code signed, and what to tell another client to get the same.
struct Case {
    call: &'static str,
    arguments: Value,
    key: &'static str,
    network: Network,
    post: Value,
}

/// The connector's actions of every route on both networks, and one that it does not send.
async fn cases() -> Result<(Vec<Case>, Value)> {
    let mut cases = Vec::new();
    let mut markets = Value::Null;
    for network in [Network::Testnet, Network::Mainnet] {
        let venue = Exchange::start().await?;
        positions(&venue).await?;
        let sub = venue.sub;
        let mut desk = Desk::start(&venue, network, master()).await?;
        let mut note = |call, arguments, key, post| cases.push(Case { call, arguments, key, network, post });
        for (route, amount, call, arguments, key) in [
            (Route::PerpToSpot, "1000.123456", "class_transfer", json!({"amount": "1000.123456", "to_perp": false}), FUNDS),
            (Route::SpotToPerp, "400.5", "class_transfer", json!({"amount": "400.5", "to_perp": true}), FUNDS),
            (
                Route::SubAccount { sub, deposit: true },
                "250.5",
                "sub_account_transfer",
                json!({"sub": sub.to_string(), "deposit": true, "micros": 250_500_000}),
                AGENT,
            ),
            (
                Route::SubAccount { sub, deposit: false },
                "0.75",
                "sub_account_transfer",
                json!({"sub": sub.to_string(), "deposit": false, "micros": 750_000}),
                AGENT,
            ),
            (isolated("PURR"), "12.345678", "isolated_margin", json!({"coin": "PURR", "amount": "12.345678"}), AGENT),
            (
                Route::Withdrawal { destination: COLD },
                "41.5",
                "withdraw",
                json!({"amount": "41.5", "destination": COLD.to_string()}),
                FUNDS,
            ),
        ] {
            let (_, events) = desk.transfer(route, amount, Some(&funds())).await?;
            ensure!(events == [SENT, TransferEvent::Accepted], "{route:?}: {events:?}");
            note(call, arguments, key, desk.posted()?);
        }
        let mut of_sub = Desk::start(&venue, network, sub).await?;
        let (_, events) = of_sub.transfer(Route::PerpToSpot, "10.5", Some(&funds())).await?;
        ensure!(events == [SENT, TransferEvent::Accepted], "{events:?}");
        let arguments = json!({"amount": "10.5", "to_perp": false, "sub": sub.to_string()});
        note("class_transfer", arguments, FUNDS, of_sub.posted()?);
        let asset = venue.asset("PEOPLE").await?;
        let action = json!({"type": "topUpIsolatedOnlyMargin", "asset": asset, "leverage": "2.5"});
        let post = signed(&agent(), action, nonce(), network)?;
        ensure!(venue.post("/exchange", &post).await?["status"] == "ok", "the venue takes it");
        note("top_up", json!({"asset": asset, "leverage": "2.5"}), AGENT, post);
        let (perps, spot) =
            (venue.post("/info", &json!({"type": "meta"})).await?, venue.post("/info", &json!({"type": "spotMeta"})).await?);
        markets = json!({"meta": perps, "spot": spot});
    }
    Ok((cases, markets))
}

/// Has `script` sign every case that it knows, and compares. Returns how many it knew.
fn compared(cases: &[Case], markets: &Value, client: Client, script: &str) -> Option<usize> {
    let witness = match Witness::find(client, script) {
        Ok(witness) => witness,
        Err(missing) => {
            skip(script, &missing);
            return None;
        }
    };
    let told: Vec<Value> = cases
        .iter()
        .map(|one| {
            json!({
                "call": one.call, "arguments": one.arguments, "key": format!("0x{}", one.key),
                "mainnet": one.network == Network::Mainnet, "nonce": one.post["nonce"], "expires": one.post["expiresAfter"],
            })
        })
        .collect();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = folder.path().join("cases.json");
    std::fs::write(&file, json!({"cases": told, "markets": markets}).to_string()).unwrap();
    let said = witness.run(&file.display().to_string()).unwrap_or_else(|error| panic!("{error:#}"));
    let theirs: Vec<Value> = said.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(theirs.len(), cases.len(), "{script}: one line for each case");
    let known = cases.iter().zip(&theirs).filter(|(_, theirs)| !theirs.is_null());
    Some(
        known
            .map(|(ours, theirs)| {
                assert_eq!(normal(&ours.post), normal(theirs), "{script}: {} on {:?}", ours.call, ours.network);
            })
            .count(),
    )
}

/// A body without what may be written in more than one way: absent or null, digits padded or not.
fn normal(body: &Value) -> Value {
    let mut body = body.clone();
    for half in ["r", "s"] {
        let digits = body["signature"][half].as_str().unwrap_or_default().trim_start_matches("0x").to_owned();
        body["signature"][half] = json!(format!("{digits:0>64}"));
    }
    for optional in ["vaultAddress", "expiresAfter"] {
        body[optional] = body.get(optional).cloned().unwrap_or_default();
    }
    if let Some(to) = body["action"]["destination"].as_str().map(str::to_lowercase) {
        body["action"]["destination"] = json!(to);
    }
    body
}

#[test]
fn the_signed_bytes_are_those_of_clients_that_we_did_not_write() {
    run(|| async {
        let (cases, markets) = cases().await?;
        ensure!(cases.len() == 16, "{} cases", cases.len());
        let python = compared(&cases, &markets, Client::Python, "sign_transfers.py");
        // it has no call for the other way to add margin
        ensure!(python.is_none_or(|known| known == 14), "{python:?}");
        let node = compared(&cases, &markets, Client::Node, "sign_transfers.mjs");
        ensure!(node.is_none_or(|known| known == 16), "{node:?}");
        Ok(())
    });
}

#[test]
fn the_official_client_moves_money_on_the_paper_venue() {
    let witness = match Witness::find(Client::Python, "python_transfers.py") {
        Ok(witness) => witness,
        Err(missing) => return skip("python_transfers.py", &missing),
    };
    run(|| async {
        let venue = Exchange::start().await?;
        positions(&venue).await?;
        let said = tokio::task::spawn_blocking({
            let url = venue.paper.url();
            move || witness.run(&url)
        });
        let said = said.await??;
        let count = said.last().and_then(|line| line.rsplit_once(": ")).context("a count")?.1;
        ensure!(count.trim_end_matches(" checks").parse::<u32>()? >= 20, "{count}");
        Ok(())
    });
}
