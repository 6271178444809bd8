use proptest::prelude::*;

use super::*;
use crate::hyperliquid::json::Json;
use crate::hyperliquid::sign::msgpack;

fn read(text: &str) -> Result<Action, String> {
    serde_json::from_str(text).map_err(|e| e.to_string())
}

fn round(text: &str) {
    let action = read(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    assert_eq!(serde_json::to_string(&action).ok().as_deref(), Some(text));
}

/// Every action of the sheet that the signing vectors lack, in the sheet's order of keys.
#[test]
fn keys_keep_their_order() {
    const USER: &str = "0x00000000000000000000000000000000000000aa";
    let chain = r#""hyperliquidChain":"Mainnet","signatureChainId":"0x66eee""#;
    for text in [
        format!(
            r#"{{"type":"subAccountSpotTransfer","subAccountUser":"{USER}","isDeposit":true,"token":"HYPE:0x1","amount":"1.50"}}"#
        ),
        format!(r#"{{"type":"subAccountModify","subAccountUser":"{USER}","name":"b"}}"#),
        r#"{"type":"evmUserModify","usingBigBlocks":true}"#.into(),
        r#"{"type":"setReferrer","code":"X"}"#.into(),
        format!(r#"{{"type":"reserveRequestWeight","weight":5,"destination":"{USER}"}}"#),
        r#"{"type":"cancelByCloid","cancels":[{"asset":0,"cloid":"0x00000000000000000000000000000001"}],"f":true}"#.into(),
        r#"{"type":"twapOrder","twap":{"a":0,"b":true,"s":"1","r":false,"m":5,"t":false},"details":{"t":null,"s":"5"}}"#.into(),
        format!(r#"{{"type":"userDexAbstraction",{chain},"user":"{USER}","enabled":true,"nonce":1}}"#),
        format!(r#"{{"type":"userPortfolioMargin",{chain},"user":"{USER}","enabled":false,"nonce":1}}"#),
        format!(r#"{{"type":"cDeposit",{chain},"wei":100,"nonce":1}}"#),
        format!(r#"{{"type":"cWithdraw",{chain},"wei":100,"nonce":1}}"#),
        format!(r#"{{"type":"convertToMultiSigUser",{chain},"signers":"{{}}","nonce":1}}"#),
    ] {
        round(&text);
    }
}

#[test]
fn absent_and_null_are_alike_but_an_explicit_false_is_refused() {
    let cancel = r#"{"type":"cancel","cancels":[{"a":0,"o":1}]}"#;
    assert_eq!(read(&cancel.replace("]}", r#"],"f":null}"#)), read(cancel));
    assert!(read(&cancel.replace("]}", r#"],"f":false}"#)).is_err());
    assert_eq!(read(r#"{"type":"scheduleCancel","time":null}"#), Ok(Action::ScheduleCancel(ScheduleCancel { time: None })));
    assert!(read(r#"{"type":"unheardOf"}"#).is_err());
    assert!(read(r#"{"type":"cancel","cancels":[{"a":0,"o":1,"o":2}]}"#).is_err(), "a repeated key");
}

#[test]
fn addresses_are_written_in_lower_case() {
    let text = r#"{"type":"vaultTransfer","vaultAddress":"0x00000000000000000000000000000000000000AA","isDeposit":true,"usd":1}"#;
    let action = read(text).expect("an action");
    assert_eq!(serde_json::to_string(&action).expect("JSON"), text.replace("AA", "aa"));
}

#[test]
fn strange_answers_are_told_apart() {
    let answer = |text: &str| serde_json::from_str::<Answer>(text).map_err(|e| e.to_string());
    let order =
        |status: &str| answer(&format!(r#"{{"status":"ok","response":{{"type":"order","data":{{"statuses":[{status}]}}}}}}"#));
    let status = |text: &str| match order(text) {
        Ok(Answer::Ok(Response::Order(mut statuses))) => statuses.pop(),
        _ => None,
    };
    assert_eq!(status(r#""queued""#), Some(OrderStatus::Unrecognised("queued".into())));
    assert_eq!(status(r#"{"queued":{}}"#), Some(OrderStatus::Unrecognised("object".into())));
    assert_eq!(status(r#"{"error":"no","resting":{"oid":1}}"#), Some(OrderStatus::Unrecognised("object".into())));
    assert_eq!(status(r#"{"resting":{"oid":1},"note":"x"}"#), Some(OrderStatus::Resting(Resting { oid: 1, cloid: None })));
    assert!(order(r#"{"filled":{"totalSz":"-1.0","avgPx":"1.0","oid":1}}"#).is_err());
    assert!(order(r#"{"filled":{"totalSz":1,"avgPx":"1.0","oid":1}}"#).is_err());
    assert!(order("7").is_err());
    assert_eq!(
        answer(r#"{"status":"ok","response":{"type":"news"}}"#),
        Ok(Answer::Ok(Response::Unrecognised { kind: "news".into() }))
    );
    assert!(answer(r#"{"status":"maybe","response":{}}"#).is_err());
    assert!(answer(r#"{"status":"err","response":{"type":"default"}}"#).is_err());
    assert!(answer(r#"{"status":"ok","response":{"type":"order"}}"#).is_err());
}

fn orders() -> impl Strategy<Value = OrderRequest> {
    let decimal = || (0_i64..10_i64.pow(15), 0_u32..9).prop_map(|(n, s)| WireDecimal::new(rust_decimal::Decimal::new(n, s)));
    let decimal = move || decimal().prop_map(Result::unwrap_or_default);
    let kind = prop_oneof![
        prop_oneof![Just(Tif::Alo), Just(Tif::Ioc), Just(Tif::Gtc), Just(Tif::FrontendMarket)]
            .prop_map(|tif| OrderKind::Limit { tif }),
        (any::<bool>(), decimal(), prop_oneof![Just(Tpsl::Tp), Just(Tpsl::Sl)])
            .prop_map(|(is_market, trigger_px, tpsl)| OrderKind::Trigger { is_market, trigger_px, tpsl }),
    ];
    (any::<u32>(), any::<bool>(), decimal(), decimal(), any::<bool>(), kind, any::<Option<u128>>()).prop_map(
        |(asset, is_buy, px, sz, reduce_only, kind, cloid)| OrderRequest {
            asset,
            is_buy,
            px,
            sz,
            reduce_only,
            kind,
            cloid: cloid.map(ClientKey::from_bits),
        },
    )
}

proptest! {
    /// FZ17: the typed bytes are those of the ordered JSON, and reading back gives the same action.
    #[test]
    fn fz17_typed_bytes_are_the_ordered_jsons(
        orders in prop::collection::vec(orders(), 0..4),
        grouping in prop_oneof![Just(Grouping::Na), Just(Grouping::NormalTpsl), any::<u64>().prop_map(Grouping::Priority)],
        builder in any::<Option<([u8; 20], u32)>>(),
    ) {
        let builder = builder.map(|(address, fee)| Builder { address: Address(address), fee });
        let action = Action::Order(Order { orders, grouping, builder });
        let text = serde_json::to_string(&action).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(read(&text), Ok(action.clone()));
        let (mut typed, mut generic) = (Vec::new(), Vec::new());
        msgpack(&action, &mut typed).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let json = Json::parse(&text).map_err(TestCaseError::fail)?;
        msgpack(&json, &mut generic).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(typed, generic);
    }
}
