use plimsoll_paper::{Accounts, PaperSpec};
use serde_json::{Value, json};
use wire::hyperliquid::sign::Network;

use crate::harness::{Venue, key, nonce, now_ms, order, signed, still};

fn placing(px: &str) -> Value {
    json!({ "type": "order", "orders": [order(true, px, "0.001", "Gtc")], "grouping": "na" })
}

async fn answer(venue: &Venue, body: &Value) -> Value {
    serde_json::from_str(&venue.post("/exchange", body).await.1).expect("JSON")
}

#[tokio::test]
async fn both_phantom_sources_reach_the_same_account() {
    let venue = Venue::with_book().await;
    for network in [Network::Mainnet, Network::Testnet, Network::Mainnet] {
        let body = signed(&venue.key, placing("50000"), nonce(), None, network);
        assert_eq!(answer(&venue, &body).await["status"], "ok");
    }
    assert_eq!(venue.own("openOrders").await.as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn a_closed_venue_names_the_recovered_stranger() {
    let spec = PaperSpec { accounts: Accounts { open: None, ..Accounts::default() }, ..still() };
    let venue = Venue::start(spec).await;
    let body = signed(&venue.key, placing("50000"), nonce(), None, Network::Testnet);
    let text = format!("User or API Wallet {} does not exist.", venue.address());
    assert_eq!(answer(&venue, &body).await, json!({ "status": "err", "response": text }));
}

#[tokio::test]
async fn bytes_other_than_those_signed_are_somebody_elses() {
    let accounts =
        Accounts { open: None, listed: [(key(0x11).address(), domain::Usd::whole(1_000))].into(), ..Accounts::default() };
    let venue = Venue::start(PaperSpec { accounts, ..still() }).await;
    let mut body = signed(&venue.key, placing("50000"), nonce(), None, Network::Testnet);
    body["action"]["orders"][0]["s"] = "0.002".into();
    let refused = answer(&venue, &body).await["response"].as_str().unwrap_or_default().to_owned();
    assert!(refused.starts_with("User or API Wallet 0x") && refused.ends_with(" does not exist."), "{refused}");
    // the venue hashes the canonical form: trailing zeros in the body change nothing, in the signed bytes everything
    let mut body = signed(&venue.key, placing("50000"), nonce(), None, Network::Testnet);
    body["action"]["orders"][0]["p"] = "50000.0".into();
    assert_eq!(answer(&venue, &body).await["status"], "ok");
}

#[tokio::test]
async fn nonces_are_used_once_and_within_the_window() {
    let venue = Venue::with_book().await;
    let n = nonce();
    let body = signed(&venue.key, placing("50000"), n, None, Network::Testnet);
    assert_eq!(answer(&venue, &body).await["status"], "ok");
    assert_eq!(answer(&venue, &body).await["response"], format!("Invalid nonce: duplicate nonce {n}"));
    // a noop burns the nonce of an action that is still on its way
    let m = nonce();
    assert_eq!(answer(&venue, &signed(&venue.key, json!({ "type": "noop" }), m, None, Network::Testnet)).await["status"], "ok");
    let late = signed(&venue.key, placing("50000"), m, None, Network::Testnet);
    assert_eq!(answer(&venue, &late).await["response"], format!("Invalid nonce: duplicate nonce {m}"));
    for far in [now_ms() - 3 * 86_400_000, now_ms() + 2 * 86_400_000] {
        let refused = answer(&venue, &signed(&venue.key, placing("50000"), far, None, Network::Testnet)).await;
        assert!(refused["response"].as_str().is_some_and(|t| t.starts_with("Invalid nonce")), "{refused}");
    }
    assert_eq!(venue.own("openOrders").await.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn expired_actions_are_refused_and_nulls_are_absences() {
    let venue = Venue::with_book().await;
    let body = signed(&venue.key, placing("50000"), nonce(), Some(now_ms() - 1), Network::Testnet);
    assert_eq!(answer(&venue, &body).await["response"], "Action already expired");
    let body = signed(&venue.key, placing("50000"), nonce(), Some(now_ms() + 60_000), Network::Testnet);
    assert_eq!(answer(&venue, &body).await["status"], "ok");
    let mut body = signed(&venue.key, placing("50000"), nonce(), None, Network::Testnet);
    body["vaultAddress"] = Value::Null;
    body["expiresAfter"] = Value::Null;
    body["surprise"] = json!({ "unknown": "keys are tolerated" });
    assert_eq!(answer(&venue, &body).await["status"], "ok");
}

#[tokio::test]
async fn an_agent_trades_for_its_master_and_moves_no_money() {
    let venue = Venue::with_book().await;
    let agent = key(0x22);
    let n = nonce();
    let approve = json!({
        "type": "approveAgent", "agentAddress": agent.address(), "agentName": "bot", "nonce": n,
        "hyperliquidChain": "Testnet", "signatureChainId": "0x66eee",
    });
    assert_eq!(answer(&venue, &signed(&venue.key, approve.clone(), n, None, Network::Testnet)).await["status"], "ok");
    let body = signed(&agent, placing("50000"), nonce(), None, Network::Testnet);
    assert_eq!(answer(&venue, &body).await["status"], "ok");
    assert_eq!(venue.own("openOrders").await.as_array().map(Vec::len), Some(1), "the master's order");
    let orders = venue.info(json!({ "type": "openOrders", "user": agent.address() })).await;
    assert_eq!(orders, json!([]), "an agent's address answers, and is empty");
    let role = venue.info(json!({ "type": "userRole", "user": agent.address() })).await;
    assert_eq!(role, json!({ "role": "agent", "data": { "user": venue.address() } }));
    let agents = venue.own("extraAgents").await;
    assert_eq!((&agents[0]["name"], &agents[0]["address"]), (&json!("bot"), &json!(agent.address())));
    let m = nonce();
    let steal = json!({
        "type": "withdraw3", "destination": agent.address(), "amount": "5", "time": m,
        "hyperliquidChain": "Testnet", "signatureChainId": "0x66eee",
    });
    let text = format!("Must deposit before performing actions. User: {}", agent.address());
    assert_eq!(answer(&venue, &signed(&agent, steal, m, None, Network::Testnet)).await["response"], text);
}

#[tokio::test]
async fn what_is_not_an_action_gets_a_4xx() {
    let venue = Venue::with_book().await;
    assert_eq!(venue.post("/exchange", &json!({ "action": { "type": "dance" }, "nonce": 1 })).await.0, 422);
    assert_eq!(venue.post("/info", &json!({ "type": "weather" })).await.0, 422);
    let response = venue.http.post(format!("{}/exchange", venue.paper.url())).body("{nonsense").send().await.expect("answers");
    assert_eq!(response.status(), 400);
    let vault = json!({ "action": placing("50000"), "nonce": nonce(), "signature": { "r": "0x1", "s": "0x2", "v": 27 },
        "vaultAddress": "0x0000000000000000000000000000000000000042" });
    assert_eq!(venue.post("/exchange", &vault).await.0, 200, "short hex in signatures is read");
}
