use super::*;
use crate::hyperliquid::action::{ApproveAgent, Grouping, Order, OrderKind, OrderRequest, Tif};

const SECRET: &str = "0x0123456789012345678901234567890123456789012345678901234567890123";

fn key() -> Key {
    Key::from_hex(SECRET).unwrap_or_else(|e| panic!("{e}"))
}

fn order(px: &str) -> Action {
    let order = OrderRequest {
        asset: 1,
        is_buy: true,
        px: px.parse().expect("a decimal"),
        sz: "100".parse().expect("a decimal"),
        reduce_only: false,
        kind: OrderKind::Limit { tif: Tif::Gtc },
        cloid: None,
    };
    Action::Order(Order { orders: vec![order], grouping: Grouping::Na, builder: None })
}

#[test]
fn keys_are_read_and_named() {
    assert_eq!(key().address().to_string(), "0x14791697260e4c9a71f18484c9f997b308e59325");
    assert!(Key::from_hex(SECRET.trim_start_matches("0x")).is_ok());
    let zero = "0".repeat(64);
    for bad in ["", "0x", "0x01", "zzsecretzz", &zero] {
        let error = Key::from_hex(bad).err().unwrap_or_else(|| panic!("{bad}")).to_string();
        assert!(bad.len() < 5 || !error.contains(bad), "{error}");
    }
    let above = Zeroizing::new([0xff; 32]);
    assert!(matches!(Key::from_bytes(&above), Err(SignError::Key)));
}

#[test]
fn signatures_are_read_short_and_written_long() {
    let short = r#"{"r":"0xabc","s":"0x1","v":27}"#;
    let signature: Signature = serde_json::from_str(short).expect("a signature");
    assert_eq!((signature.r[30], signature.r[31], signature.s[31]), (0x0a, 0xbc, 1));
    let text = serde_json::to_string(&signature).expect("JSON");
    assert_eq!(text, format!(r#"{{"r":"0x{:0>64}","s":"0x{:0>64}","v":27}}"#, "abc", "1"));
    for bad in [
        r#"{"r":"abc","s":"0x1","v":27}"#,
        r#"{"r":"0x","s":"0x1","v":27}"#,
        r#"{"r":"0xg","s":"0x1","v":27}"#,
        r#"{"r":"0x1","s":"0x1","v":26}"#,
        r#"{"r":"0x1","s":"0x1"}"#,
    ] {
        assert!(serde_json::from_str::<Signature>(bad).is_err(), "{bad}");
    }
    let long = format!(r#"{{"r":"0x{:0>65}","s":"0x1","v":27}}"#, "1");
    assert!(serde_json::from_str::<Signature>(&long).is_err());
}

#[test]
fn the_hot_path_agrees_with_the_plain_one() {
    let mut scratch = Scratch::default();
    for (vault, expires) in [(None, None), (Some(Address([7; 20])), Some(1_763_800_010_000))] {
        for network in [Network::Mainnet, Network::Testnet] {
            let plain = sign(&key(), order("97123.5"), 5, vault, expires, network).expect("signed");
            let body = order_body(&key(), &order("97123.5"), 5, vault, expires, network, &mut scratch).expect("signed");
            assert_eq!(body, serde_json::to_vec(&plain).expect("JSON"));
            let read: Signed = serde_json::from_slice(body).expect("JSON");
            assert_eq!(read.signer(network), Ok(key().address()));
            assert_eq!(read.signers().map(|all| all.iter().filter(|(_, a)| *a == key().address()).count()), Ok(1));
        }
    }
}

/// The venue hashes what it writes back: trailing zeros and checksummed addresses recover a stranger (sheet 2.2, 5.5).
#[test]
fn a_server_hashes_the_canonical_form() {
    let signed = sign(&key(), order("51000"), 5, None, None, Network::Testnet).expect("signed");
    let text = serde_json::to_string(&signed).expect("JSON");
    let extra = text
        .replace(r#""p":"51000""#, r#""p":"51000.0","novelty":{"x":[1]}"#)
        .replace(r#""grouping""#, r#""builder":null,"grouping""#);
    assert_ne!(extra, text);
    let read: Signed = serde_json::from_str(&extra).expect("unknown keys, nulls and zeros are taken");
    assert_eq!(read.signer(Network::Testnet), Ok(key().address()));
    let other = text.replace("51000", "51001");
    let read: Signed = serde_json::from_str(&other).expect("JSON");
    assert_ne!(read.signer(Network::Testnet), Ok(key().address()));
}

#[test]
fn user_signed_actions_name_their_network() {
    let approve = |name: Option<&str>| {
        Action::ApproveAgent(ApproveAgent {
            hyperliquid_chain: Network::Mainnet,
            signature_chain_id: ChainId::ARBITRUM_ONE,
            agent_address: Address([9; 20]),
            agent_name: name.map(str::to_owned),
            nonce: 3,
        })
    };
    let signed = sign(&key(), approve(None), 3, None, None, Network::Testnet).expect("signed");
    assert_eq!(signed.signers(), Ok(vec![(Network::Mainnet, key().address())]));
    // the unnamed agent is signed as an empty name and posted without one, with an empty one, or with a null
    let text = serde_json::to_string(&signed).expect("JSON");
    assert!(!text.contains("agentName") && text.contains(r#""signatureChainId":"0xa4b1""#), "{text}");
    for name in ["\"\"", "null"] {
        let text = text.replace(r#""nonce":3},"#, &format!(r#""nonce":3,"agentName":{name}}},"#));
        let read: Signed = serde_json::from_str(&text).expect("JSON");
        assert_eq!(read.signer(Network::Testnet), Ok(key().address()));
    }
    assert_eq!(sign(&key(), approve(Some("a")), 3, None, Some(1), Network::Mainnet), Err(SignError::UserSigned));
    let mut scratch = Scratch::default();
    assert_eq!(
        order_body(&key(), &approve(None), 3, None, None, Network::Mainnet, &mut scratch).err(),
        Some(SignError::UserSigned)
    );
}

#[test]
fn nonsense_recovers_nobody() {
    let zero = Signature { r: [0; 32], s: [0; 32], v: 27 };
    assert_eq!(zero.recover(&[1; 32]), Err(SignError::Recover));
    let high = Signature { r: [0xff; 32], s: [0xff; 32], v: 28 };
    assert_eq!(high.recover(&[1; 32]), Err(SignError::Recover));
}

#[test]
fn chain_ids() {
    assert_eq!("0x66eee".parse(), Ok(ChainId::ARBITRUM_SEPOLIA));
    assert_eq!(ChainId::ARBITRUM_ONE.to_string(), "0xa4b1");
    for bad in ["66eee", "0x", "0x+1", "0x10000000000000000"] {
        assert!(bad.parse::<ChainId>().is_err(), "{bad}");
    }
}
