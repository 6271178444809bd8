use domain::{InstrumentId, TransferId};
use serde_json::{Value, json};

use super::*;
use crate::hyperliquid::stub::{ACCOUNT, Answer as Scripted, Kind, Rig, Stub, config, start, wait_account, wall_ms};

/// The account's own key; the connector's is an agent's.
fn funds() -> Key {
    Key::from_hex(&"77".repeat(32)).unwrap_or_else(|e| panic!("{e}"))
}

async fn rig(stub: &Stub) -> Rig {
    let mut config = config(stub);
    config.account = funds().address();
    stub.role(config.account, json!({"role":"user"}));
    stub.role(crate::hyperliquid::stub::key().address(), json!({"role":"agent","data":{"user":config.account.to_string()}}));
    start(config).await
}

static NONCES: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

fn intent(route: Route, amount: &str) -> TransferIntent {
    TransferIntent {
        id: TransferId(1),
        venue: Venue::Hyperliquid,
        account: EvmAddress(funds().address().0),
        route,
        amount: amount.parse().unwrap_or_else(|e| panic!("{e}")),
        fee_max: Usd::ZERO,
        nonce: wall_ms() + NONCES.fetch_add(1, Ordering::SeqCst),
        limits: 0,
        cause: "a test".to_owned(),
    }
}

/// What is told of the transfer, up to its last event.
async fn told(rig: &mut Rig, intent: &TransferIntent, again: bool, funds: Option<&Key>) -> Vec<TransferEvent> {
    let connector = rig.connector.clone();
    send(&connector.shared, intent, again, funds).await;
    let mut events = Vec::new();
    loop {
        let (fact, _) = wait_account(rig, |f| matches!(f, Fact::Transfer { .. })).await;
        let Fact::Transfer { event, .. } = fact else { panic!("a transfer") };
        let is_last = *event != TransferEvent::Sent { hash: None };
        events.push(*event);
        if is_last {
            return events;
        }
    }
}

const SENT: TransferEvent = TransferEvent::Sent { hash: None };

#[tokio::test]
async fn each_route_is_signed_by_the_key_that_may() {
    let stub = Stub::serve().await;
    let mut rig = rig(&stub).await;
    let btc = InstrumentId::new(Venue::Hyperliquid, "BTC").unwrap_or_else(|e| panic!("{e}"));
    let sub = EvmAddress([0x5b; 20]);
    let own = crate::hyperliquid::stub::key().address();
    for (route, kind, signer) in [
        (Route::SpotToPerp, "usdClassTransfer", funds().address()),
        (Route::PerpToSpot, "usdClassTransfer", funds().address()),
        (Route::Withdrawal { destination: sub }, "withdraw3", funds().address()),
        (Route::SubAccount { sub, deposit: true }, "subAccountTransfer", own),
        (Route::IsolatedMargin { instrument: btc }, "updateIsolatedMargin", own),
    ] {
        let intent = intent(route, "12.345678");
        assert_eq!(told(&mut rig, &intent, false, Some(&funds())).await, [SENT, TransferEvent::Accepted], "{kind}");
        let seen = stub.requests().pop().unwrap_or_else(|| panic!("{kind}"));
        assert_eq!(seen.signed.signer(wire::hyperliquid::sign::Network::Testnet), Ok(signer), "{kind}");
        assert_eq!(seen.signed.nonce, intent.nonce);
        let body: Value = serde_json::from_str(&seen.body).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(body["action"]["type"], kind);
        assert!(body["vaultAddress"].is_null());
    }
    let last: Value = serde_json::from_str(&stub.requests().pop().map(|r| r.body).unwrap_or_default()).unwrap_or_default();
    assert_eq!((&last["action"]["ntli"], &last["action"]["isBuy"]), (&json!(12_345_678), &json!(true)));
    let without = told(&mut rig, &intent(Route::SpotToPerp, "1"), false, None).await;
    let why = "it needs the account's own key; an agent cannot sign it".to_owned();
    assert_eq!(without, [TransferEvent::Ended(TransferOutcome::Refused { why })]);
    let sent = stub.requests().len();
    let mut strange = intent(Route::SpotToPerp, "1");
    strange.account = EvmAddress(ACCOUNT.0);
    assert!(matches!(told(&mut rig, &strange, false, Some(&funds())).await[..], [TransferEvent::Ended(_)]));
    assert_eq!(stub.requests().len(), sent, "what is refused here is not sent");
}

#[tokio::test]
async fn c23_only_a_known_text_ends_a_transfer_and_sending_it_again_asks_the_ledger() {
    let stub = Stub::serve().await;
    let mut rig = rig(&stub).await;
    let intent = intent(Route::SpotToPerp, "50");
    let err = |text: &str| Scripted::Json(json!({"status":"err","response":text}));
    stub.next(Kind::Transfer, err("Insufficient balance for token transfer"));
    let why = "Insufficient balance for token transfer".to_owned();
    assert_eq!(
        told(&mut rig, &intent, false, Some(&funds())).await,
        [SENT, TransferEvent::Ended(TransferOutcome::Rejected { why })]
    );
    for unclear in [err("The moon is in the wrong place."), Scripted::Status(502, "no"), Scripted::Cut, Scripted::Hang] {
        stub.next(Kind::Transfer, unclear);
        let events = told(&mut rig, &intent, false, Some(&funds())).await;
        assert!(matches!(&events[..], [SENT, TransferEvent::Overdue { .. }]), "{events:?}");
    }
    // the same nonce again: the venue says that it was used, and the ledger says what for
    stub.next(Kind::Transfer, err(&format!("Invalid nonce: duplicate nonce {}", intent.nonce)));
    let events = told(&mut rig, &intent, false, Some(&funds())).await;
    assert!(matches!(&events[..], [SENT, TransferEvent::Overdue { .. }]), "never sent before: somebody else's: {events:?}");
    stub.info("userNonFundingLedgerUpdates", json!([]));
    stub.next(Kind::Transfer, err(&format!("Invalid nonce: duplicate nonce {}", intent.nonce)));
    let events = told(&mut rig, &intent, true, Some(&funds())).await;
    assert!(matches!(&events[..], [SENT, TransferEvent::Overdue { .. }]), "{events:?}");
    let row = |to_perp: bool| {
        json!([{"time":wall_ms(),"hash":"0x0","delta":{"type":"accountClassTransfer","usdc":"50.0","toPerp":to_perp}},
               {"time":wall_ms(),"hash":"0x0","delta":{"type":"deposit","usdc":"7.25"}}])
    };
    for (to_perp, is_there) in [(false, false), (true, true)] {
        stub.info("userNonFundingLedgerUpdates", row(to_perp));
        stub.next(Kind::Transfer, err(&format!("Invalid nonce: duplicate nonce {}", intent.nonce)));
        let events = told(&mut rig, &intent, true, Some(&funds())).await;
        assert_eq!(events[1] == TransferEvent::Accepted, is_there, "{events:?}");
    }
    // what moved the money may be why its second copy is refused
    stub.next(Kind::Transfer, err("Insufficient balance for token transfer"));
    assert_eq!(told(&mut rig, &intent, true, Some(&funds())).await, [SENT, TransferEvent::Accepted]);
    // a minute later the ledger's silence says that nothing moved: it must not hold up later transfers for ever
    let old = TransferIntent { nonce: intent.nonce - 61_000, ..intent.clone() };
    for (text, moved) in [("Invalid nonce: duplicate nonce 1", true), ("Invalid nonce: duplicate nonce 1", false)] {
        stub.info("userNonFundingLedgerUpdates", row(moved));
        stub.next(Kind::Transfer, err(text));
        let events = told(&mut rig, &old, true, Some(&funds())).await;
        let over = matches!(&events[1], TransferEvent::Ended(TransferOutcome::Rejected { .. }));
        assert_eq!((events[1] == TransferEvent::Accepted, over), (moved, !moved), "{events:?}");
    }
    stub.info("userNonFundingLedgerUpdates", row(true));
    let deposits = rig.connector.deposits(0).await.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(deposits.iter().map(|d| d.amount.to_string()).collect::<Vec<_>>(), ["7.25"]);
    stub.info(
        "spotClearinghouseState",
        json!({"balances":[{"coin":"USDC","token":0,"total":"30.5","hold":"10.0","entryNtl":"0.0"}]}),
    );
    assert_eq!(rig.connector.spot_usdc().await.map(|u| u.to_string()), Ok("20.5".to_owned()));
    stub.info("usdcRouting", json!({"depositRoute":"cctp","withdrawalRoute":"bridge"}));
    assert_eq!(rig.connector.usdc_routing().await.map(|r| r.deposit_route), Ok("cctp".to_owned()));
    let free = rig.connector.withdrawable(EvmAddress([0x5b; 20])).await;
    assert_eq!(free.map(|u| u.to_string()), Ok("1000".to_owned()));
    assert_eq!(stub.infos("clearinghouseState").last().map(|asked| asked["user"].clone()), Some(json!(EvmAddress([0x5b; 20]))));
    assert_eq!(rig.connector.master().await, Ok(None), "a user has no master");
}

#[tokio::test]
async fn a_withdrawal_needs_the_key_that_is_handed_over_and_one_that_was_sent_is_looked_up_without() {
    let stub = Stub::serve().await;
    // the connector's own key is the account's: it could sign, and must not
    let own = crate::hyperliquid::stub::key().address();
    stub.role(own, json!({"role":"user"}));
    let mut config = config(&stub);
    config.account = own;
    let mut rig = start(config).await;
    let withdrawal = |nonce| {
        let route = Route::Withdrawal { destination: EvmAddress([0x5b; 20]) };
        TransferIntent { account: EvmAddress(own.0), nonce, ..intent(route, "6") }
    };
    let first = withdrawal(wall_ms());
    let sent = stub.requests().len();
    let why = "it needs the operator's own signer, and none is at hand".to_owned();
    assert_eq!(told(&mut rig, &first, false, None).await, [TransferEvent::Ended(TransferOutcome::Refused { why: why.clone() })]);
    stub.info("userNonFundingLedgerUpdates", json!([]));
    assert_eq!(told(&mut rig, &first, true, None).await, [TransferEvent::Overdue { why }]);
    let row =
        |nonce: u64| json!([{"time":wall_ms(),"hash":"0x0","delta":{"type":"withdraw","usdc":"5.0","nonce":nonce,"fee":"1.0"}}]);
    stub.info("userNonFundingLedgerUpdates", row(first.nonce + 1));
    assert!(matches!(told(&mut rig, &first, true, None).await[..], [TransferEvent::Overdue { .. }]), "another one's");
    stub.info("userNonFundingLedgerUpdates", row(first.nonce));
    assert_eq!(told(&mut rig, &first, true, None).await, [TransferEvent::Accepted]);
    assert_eq!(stub.requests().len(), sent, "nothing was sent");
}
