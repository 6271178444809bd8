//! Times the two hot paths against what they must be measured by, cases in turn within one run, medians of rounds, as ratios:
//! `cargo run --release -p plimsoll-wire --example duel`.

use std::hint::black_box;
use std::time::Instant;

use plimsoll_wire::hyperliquid::action::{Action, Grouping, Order, OrderKind, OrderRequest, Tif};
use plimsoll_wire::hyperliquid::sign::{Key, Network, Scratch, digest, order_body};
use plimsoll_wire::hyperliquid::stream::{FixedBook, book_via_serde, scan_l2_book};
use serde::Deserialize;

const ROUNDS: usize = 41;

/// Median nanoseconds per call of each case, the cases taken in turn.
fn duel(calls: u32, cases: &mut [(&str, &mut dyn FnMut())]) -> Vec<u64> {
    let mut times = vec![Vec::with_capacity(ROUNDS); cases.len()];
    for _ in 0..ROUNDS {
        for (case, times) in cases.iter_mut().zip(&mut times) {
            let start = Instant::now();
            (0..calls).for_each(|_| (case.1)());
            times.push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX) / u64::from(calls));
        }
    }
    times
        .into_iter()
        .map(|mut times| {
            times.sort_unstable();
            times[ROUNDS / 2]
        })
        .collect()
}

/// Prints each case beside the first.
fn report(cases: &[&str], times: &[u64]) {
    for (case, time) in cases.iter().zip(times) {
        let percent = time * 100 / times[0].max(1);
        println!("{case:55} {time:>8} ns  {}.{:02} x", percent / 100, percent % 100);
    }
}

fn frame() -> String {
    let side = |start: i64, step: i64| {
        (0..20_i64)
            .map(|i| {
                let px = start + step * i;
                format!(r#"{{"px":"{}.{}","sz":"{}.{:05}","n":{}}}"#, px / 10, px % 10, i % 7, i * 4_111 + 17, i % 9 + 1)
            })
            .collect::<Vec<_>>()
            .join(",")
    };
    format!(
        r#"{{"channel":"l2Book","data":{{"coin":"BTC","time":1763800000000,"levels":[[{}],[{}]]}}}}"#,
        side(971_230, -1),
        side(971_231, 1)
    )
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

/// The cheapest typed form that serde offers: borrowed text, no numbers yet.
#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    levels: [Vec<Level<'a>>; 2],
}

#[derive(Deserialize)]
struct Level<'a> {
    px: &'a str,
    sz: &'a str,
    n: u32,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let key = Key::from_hex("0x0123456789012345678901234567890123456789012345678901234567890123")?;
    let order = OrderRequest {
        asset: 0,
        is_buy: true,
        px: "97123".parse()?,
        sz: "0.00123".parse()?,
        reduce_only: false,
        kind: OrderKind::Limit { tif: Tif::Alo },
        cloid: Some("0x000102030405060708090a0b0c0d0e0f".parse()?),
    };
    let action = Action::Order(Order { orders: vec![order], grouping: Grouping::Na, builder: None });
    let ready = digest(&action, 1, None, Some(2), Network::Mainnet)?;
    let mut scratch = Scratch::default();
    let times = duel(
        300,
        &mut [
            ("raw", &mut || {
                black_box(key.sign(black_box(&ready)));
            }),
            ("body", &mut || {
                let body = order_body(&key, black_box(&action), 1, None, Some(2), Network::Mainnet, &mut scratch);
                black_box(body.map(<[u8]>::len).unwrap_or_default());
            }),
        ],
    );
    report(&["libsecp256k1, recoverable signature of a ready digest", "typed order to signed JSON body"], &times);

    let frame = frame();
    let mut book = FixedBook::default();
    let times = duel(
        1_000,
        &mut [
            ("scan", &mut || {
                black_box(scan_l2_book(black_box(frame.as_bytes()), &mut book).is_some());
            }),
            ("borrowed", &mut || {
                let typed: Result<Envelope<'_>, _> = serde_json::from_str(black_box(&frame));
                let sum =
                    typed.map(|e| e.data.levels.iter().flatten().map(|l| l.px.len() + l.sz.len() + l.n as usize).sum::<usize>());
                black_box(sum.unwrap_or_default());
            }),
            ("typed", &mut || {
                black_box(book_via_serde(black_box(&frame)).is_ok());
            }),
        ],
    );
    println!("l2Book, 20 + 20 levels, {} bytes", frame.len());
    report(&["one-pass scanner to fixed point", "serde_json, borrowed text", "serde_json, typed, to fixed point"], &times);
    Ok(())
}
