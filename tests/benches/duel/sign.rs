//! perf goal 1: everything around the curve should cost next to nothing.

use std::hint::black_box;
use std::str::FromStr;

use domain::{ChildNo, ClientKey, Epoch, JournalTag, ParentId};
use secp256k1::{Message, Secp256k1, SecretKey};
use wire::hyperliquid::WireDecimal;
use wire::hyperliquid::action::{Action, Grouping, Order, OrderKind, OrderRequest, Tif};
use wire::hyperliquid::sign::{Key, Network, Scratch, keccak, order_body};

use crate::harness::{Case, Goal, Outcome, in_turn, ratios};

const SECRET: [u8; 32] = [0x41; 32];

pub fn run(rounds: usize) -> Vec<Outcome> {
    let curve = Secp256k1::signing_only();
    let secret = SecretKey::from_byte_array(SECRET).unwrap();
    let digest = keccak(&[b"a ready digest"]);
    let key = Key::from_hex(&hex::encode(SECRET)).unwrap();
    let cloid = ClientKey::derive(JournalTag(7), Epoch(1), ParentId(1), ChildNo(1));
    let order = OrderRequest {
        asset: 0,
        is_buy: true,
        px: WireDecimal::from_str("61799").unwrap(),
        sz: WireDecimal::from_str("0.01234").unwrap(),
        reduce_only: false,
        kind: OrderKind::Limit { tif: Tif::Alo },
        cloid: Some(cloid),
    };
    let action = Action::Order(Order { orders: vec![order], grouping: Grouping::Na, builder: None });
    let mut scratch = Scratch::default();
    let mut nonce = 1_700_000_000_000_u64;

    let mut bare_digest = digest;
    let mut cases = [
        Case::whole(|| {
            // A new digest each time, as for us: libsecp256k1's time depends on it.
            bare_digest[0] = bare_digest[0].wrapping_add(1);
            black_box(curve.sign_ecdsa_recoverable(Message::from_digest(black_box(bare_digest)), &secret));
        }),
        Case::whole(|| {
            nonce += 1;
            let body = order_body(&key, black_box(&action), nonce, None, Some(nonce + 10_000), Network::Mainnet, &mut scratch);
            black_box(body.unwrap().len());
        }),
    ];
    let times = in_turn(rounds, &mut cases);
    vec![
        Outcome::of("order to signed body / bare signature", "x", Goal::AtMost(1.15), ratios(&times[1], &times[0])),
        Outcome::of("bare signature of a ready digest", "ns", Goal::None, times[0].clone()),
        Outcome::of("order to signed body", "ns", Goal::None, times[1].clone()),
    ]
}
