//! The bridge, against a chain that is scripted here. That real chains speak like it is shown where one is at hand.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::{Json, Router};
use plimsoll_paper::{ChainSpec, Fault, FaultOrder, PaperSpec};
use serde_json::{Value, json};
use wire::hyperliquid::Address;
use wire::hyperliquid::sign::keccak;

use crate::harness::{PATIENCE, Venue, dec, key, still};

const TOKEN: Address = Address([0x70; 20]);

#[derive(Clone, Debug)]
struct Log {
    block: u64,
    tx: u8,
    from: Address,
    units: u64,
}

#[derive(Debug, Default)]
struct Inner {
    height: u64,
    /// How often its height was read.
    looks: u64,
    logs: Vec<Log>,
    raws: Vec<String>,
    /// Raw transactions that are taken without an answer.
    lost_answers: usize,
    mined: bool,
}

/// A chain of one token.
#[derive(Clone)]
struct Chain {
    inner: Arc<Mutex<Inner>>,
    url: String,
    bridge: Address,
}

fn hex32(hex: &str) -> String {
    format!("0x{hex:0>64}")
}

impl Chain {
    async fn serve(bridge: Address) -> Chain {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let inner = Arc::new(Mutex::new(Inner { height: 10, mined: true, ..Inner::default() }));
        let chain = Chain { inner, url, bridge };
        let router = Router::new().route("/", axum::routing::post(answer)).with_state(chain.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        chain
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Mines one block with a transfer to the bridge.
    fn transfer(&self, tx: u8, from: Address, units: u64) {
        let mut inner = self.lock();
        inner.height += 1;
        let block = inner.height;
        inner.logs.push(Log { block, tx, from, units });
    }

    fn mine(&self, blocks: u64) {
        self.lock().height += blocks;
    }

    fn spec(&self) -> ChainSpec {
        let mut spec = ChainSpec::new(self.url.clone(), TOKEN, self.bridge);
        spec.credit_after = Duration::from_millis(50);
        spec.pay_after = Duration::from_millis(50);
        spec
    }
}

fn quantity(text: &Value) -> u64 {
    u64::from_str_radix(text.as_str().and_then(|t| t.strip_prefix("0x")).expect("a quantity"), 16).expect("a quantity")
}

async fn answer(State(chain): State<Chain>, Json(request): Json<Value>) -> Json<Value> {
    let mut inner = chain.lock();
    let params = &request["params"];
    let result = match request["method"].as_str().expect("a method") {
        "eth_blockNumber" => {
            inner.looks += 1;
            json!(format!("0x{:x}", inner.height))
        }
        "eth_chainId" => json!("0x7a69"),
        "eth_gasPrice" => json!("0x3b9aca00"),
        "eth_getTransactionCount" => {
            assert_eq!(params[0], chain.bridge.to_string());
            json!("0x4")
        }
        "eth_getLogs" => {
            let filter = &params[0];
            assert_eq!(filter["address"], TOKEN.to_string());
            assert_eq!(filter["topics"][0], format!("0x{}", hex::encode(keccak(&[b"Transfer(address,address,uint256)"]))));
            assert_eq!(filter["topics"][2], hex32(&hex::encode(chain.bridge.0)));
            let range = quantity(&filter["fromBlock"])..=quantity(&filter["toBlock"]);
            let logs = inner.logs.iter().filter(|l| range.contains(&l.block)).map(|l| {
                json!({
                    "topics": [filter["topics"][0], hex32(&hex::encode(l.from.0)), filter["topics"][2]],
                    "data": hex32(&format!("{:x}", l.units)), "transactionHash": hex32(&format!("{:x}", l.tx)), "removed": false,
                })
            });
            logs.collect()
        }
        "eth_sendRawTransaction" => {
            let raw = params[0].as_str().expect("raw").to_owned();
            inner.raws.push(raw);
            if inner.lost_answers > 0 {
                inner.lost_answers -= 1;
                return Json(json!("half an answer"));
            }
            json!("0x00")
        }
        "eth_getTransactionReceipt" => {
            let known = inner.raws.iter().any(|raw| {
                let bytes = hex::decode(&raw[2..]).expect("hex");
                params[0] == format!("0x{}", hex::encode(keccak(&[&bytes])))
            });
            if known && inner.mined { json!({ "status": "0x1" }) } else { Value::Null }
        }
        other => panic!("unexpected {other}"),
    };
    Json(json!({ "jsonrpc": "2.0", "id": request["id"], "result": result }))
}

async fn venue_on(chain: &Chain, spec: ChainSpec) -> Venue {
    assert_eq!(chain.bridge, key(0xb1).address());
    let venue = Venue::start(PaperSpec { chain: Some(spec), ..still() }).await;
    // it looks once before anything happens: what came earlier is not its business. A second look has seen the first one's answer
    let looked = async {
        while chain.lock().looks < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looked).await.expect("it looks at its chain");
    venue
}

async fn withdrawable(venue: &Venue) -> rust_decimal::Decimal {
    dec(venue.own("clearinghouseState").await["withdrawable"].as_str().expect("an amount"))
}

async fn until(venue: &Venue, what: &str, done: impl Fn(&plimsoll_paper::control::BridgeState) -> bool) {
    let wait = async {
        while !done(&venue.paper.state().await.expect("runs").bridge) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what}"));
}

fn bridge() -> Address {
    key(0xb1).address()
}

#[tokio::test]
async fn f92_deposits_are_credited_to_their_sender_once_and_small_ones_are_lost() {
    let chain = Chain::serve(bridge()).await;
    chain.transfer(1, key(0x11).address(), 50_000_000);
    let venue = venue_on(&chain, ChainSpec { confirmations: 2, ..chain.spec() }).await;
    let before = withdrawable(&venue).await;
    chain.transfer(2, venue.address(), 100_250_000);
    chain.transfer(3, venue.address(), 4_999_999);
    chain.transfer(4, venue.address(), 70_000_000);
    chain.mine(1);
    // two are deep enough; the third is reorganised away before it is
    until(&venue, "the deposit", |b| b.credited == 1 && b.swallowed == 1).await;
    chain.lock().logs.retain(|l| l.tx != 4);
    chain.mine(5);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(withdrawable(&venue).await - before, dec("100.25"));
    // mined again in another block: the same transaction, the same deposit
    let again = chain.lock().logs.iter().find(|l| l.tx == 2).cloned().expect("there");
    chain.lock().logs.retain(|l| l.tx != 2);
    chain.transfer(again.tx, again.from, again.units);
    chain.mine(5);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(withdrawable(&venue).await - before, dec("100.25"));
    let ledger = venue.info(json!({ "type": "userNonFundingLedgerUpdates", "user": venue.address(), "startTime": 0 })).await;
    let deposits: Vec<&Value> = ledger.as_array().expect("rows").iter().map(|r| &r["delta"]["usdc"]).collect();
    assert_eq!(deposits.last(), Some(&&json!("100.25")), "{ledger}");
}

#[tokio::test]
async fn f91_credits_come_late_never_or_twice() {
    let chain = Chain::serve(bridge()).await;
    let venue = venue_on(&chain, chain.spec()).await;
    let before = withdrawable(&venue).await;
    let order = async |fault| venue.paper.fault(fault).await.expect("runs").expect("valid");
    order(FaultOrder::new(Fault::CreditNever).times(1)).await;
    chain.transfer(1, venue.address(), 10_000_000);
    until(&venue, "the first", |b| b.arrived == 1).await;
    order(FaultOrder::new(Fault::CreditTwice).times(1)).await;
    chain.transfer(2, venue.address(), 20_000_000);
    until(&venue, "the second", |b| b.credited == 2).await;
    order(FaultOrder::new(Fault::CreditLate).times(1).delay_ms(2_000)).await;
    chain.transfer(3, venue.address(), 40_000_000);
    until(&venue, "the third", |b| b.arrived == 3).await;
    assert_eq!(withdrawable(&venue).await - before, dec("40"));
    assert_eq!(venue.paper.state().await.expect("runs").bridge.held, 1);
    until(&venue, "the late credit", |b| b.credited == 3).await;
    assert_eq!(withdrawable(&venue).await - before, dec("80"));
}

#[tokio::test]
async fn a_withdrawal_is_paid_once_from_the_bridge_less_its_fee() {
    let chain = Chain::serve(bridge()).await;
    let venue = venue_on(&chain, ChainSpec { key: Some(key(0xb1).into()), ..chain.spec() }).await;
    let to = Address([0x99; 20]);
    let withdraw = |amount: &str, time: u64| {
        json!({
            "type": "withdraw3", "hyperliquidChain": "Testnet", "signatureChainId": "0x66eee",
            "destination": to, "amount": amount, "time": time,
        })
    };
    chain.lock().lost_answers = 2;
    chain.lock().mined = false;
    let time = crate::harness::nonce();
    let body = crate::harness::signed(&venue.key, withdraw("25.5", time), time, None, wire::hyperliquid::sign::Network::Testnet);
    let (_, answer) = venue.post("/exchange", &body).await;
    assert!(answer.contains(r#""type":"default""#), "{answer}");
    let time = crate::harness::nonce();
    let greedy =
        crate::harness::signed(&venue.key, withdraw("9000000", time), time, None, wire::hyperliquid::sign::Network::Testnet);
    let (_, refused) = venue.post("/exchange", &greedy).await;
    assert!(refused.contains("Insufficient balance for withdrawal"), "{refused}");
    let wait = async {
        while chain.lock().raws.len() < 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it is sent until it is known");
    chain.lock().mined = true;
    until(&venue, "the payment", |b| b.payouts == 1 && b.paid == 1).await;
    let raws = chain.lock().raws.clone();
    assert!(raws.iter().all(|raw| *raw == raws[0]), "the same bytes each time");
    let data = format!("a9059cbb{:0>64}{:0>64x}", hex::encode(to.0), 24_500_000);
    assert!(raws[0].contains(&data), "{}", raws[0]);
}

#[tokio::test]
async fn a_bridge_that_cannot_stand_is_refused() {
    let chain = Chain::serve(bridge()).await;
    drop(crate::harness::client());
    for (spec, field) in [
        (ChainSpec { rpc: "https://rpc.example.org".into(), ..chain.spec() }, "chain.rpc"),
        (ChainSpec { rpc: "http://10.0.0.1:8545".into(), ..chain.spec() }, "chain.rpc"),
        (ChainSpec { key: Some(key(0x22).into()), ..chain.spec() }, "chain.key"),
        (ChainSpec { credit_after: Duration::from_secs(100_000), ..chain.spec() }, "chain.credit_after"),
    ] {
        let refused = plimsoll_paper::Paper::start(PaperSpec { chain: Some(spec), ..still() }).await;
        let text = refused.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(text.contains(field), "{field}: {text}");
    }
}
