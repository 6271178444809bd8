//! perf goal 2: a book frame of 20 levels a side into fixed-point numbers.

use std::fmt::Write as _;
use std::hint::black_box;

use serde::Deserialize;
use wire::hyperliquid::stream::{FixedBook, FixedLevel, scan_l2_book};

use crate::harness::{Case, Goal, Outcome, in_turn, ratios};

/// Different frames, so that no branch predictor learns one by heart.
const FRAMES: usize = 64;

pub fn run(rounds: usize) -> Vec<Outcome> {
    let frames: Vec<String> = (0..FRAMES).map(frame).collect();
    let mut book = FixedBook::default();
    for frame in &frames {
        let scanned = scan_l2_book(frame.as_bytes(), &mut book);
        assert_eq!(scanned, Some(&typed(frame.as_bytes())), "the scanner takes the venue's own shape: {frame}");
    }
    let (mut a, mut b) = (0, 0);
    let mut cases = [
        Case::whole(|| {
            a = (a + 1) % FRAMES;
            black_box(typed(black_box(frames[a].as_bytes())));
        }),
        Case::whole(|| {
            b = (b + 1) % FRAMES;
            assert!(black_box(scan_l2_book(black_box(frames[b].as_bytes()), &mut book)).is_some());
        }),
    ];
    let times = in_turn(rounds, &mut cases);
    vec![
        Outcome::of("typed serde_json / scanner", "x", Goal::AtLeast(3.0), ratios(&times[0], &times[1])),
        Outcome::of("typed serde_json, borrowed texts, to fixed point", "ns", Goal::None, times[0].clone()),
        Outcome::of("scanner to fixed point", "ns", Goal::None, times[1].clone()),
    ]
}

/// The frame as the venue writes it.
fn frame(n: usize) -> String {
    let mut text =
        format!(r#"{{"channel":"l2Book","data":{{"coin":"BTC","time":{},"levels":["#, 1_723_161_600_000_u64 + n as u64);
    for (side, step) in [(0, -1_i64), (1, 1)] {
        text.push_str(if side == 0 { "[" } else { ",[" });
        for level in 0..20_i64 {
            let px = 61_800 + n as i64 + step * (level + 1);
            let sz = (level * 7_919 + n as i64 * 104_729) % 500_000 + 1;
            let comma = if level > 0 { "," } else { "" };
            write!(text, r#"{comma}{{"px":"{px}.0","sz":"{}.{:05}","n":{}}}"#, sz / 100_000, sz % 100_000, level % 9 + 1)
                .unwrap();
        }
        text.push(']');
    }
    text.push_str("]}}");
    text
}

#[derive(Deserialize)]
struct Frame<'a> {
    channel: &'a str,
    #[serde(borrow)]
    data: Book<'a>,
}

#[derive(Deserialize)]
struct Book<'a> {
    coin: &'a str,
    time: u64,
    #[serde(borrow)]
    levels: [Vec<Level<'a>>; 2],
}

#[derive(Deserialize)]
struct Level<'a> {
    px: &'a str,
    sz: &'a str,
    n: u32,
}

/// The fair rival: types of their own, borrowed texts, no tagged enum, and the same integers at the end.
fn typed(frame: &[u8]) -> FixedBook {
    let frame: Frame<'_> = serde_json::from_slice(frame).unwrap();
    assert_eq!(frame.channel, "l2Book");
    let Book { coin, time, levels: [bids, asks] } = frame.data;
    let side = |levels: Vec<Level<'_>>| {
        levels.into_iter().map(|level| FixedLevel { px: fixed(level.px), sz: fixed(level.sz), n: level.n }).collect()
    };
    FixedBook { coin: coin.to_owned(), time, bids: side(bids), asks: side(asks) }
}

/// Units of 10^-8, as the scanner's.
fn fixed(text: &str) -> i64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut value: i64 = whole.parse().unwrap();
    for digit in fraction.bytes().chain(std::iter::repeat(b'0')).take(8) {
        assert!(digit.is_ascii_digit());
        value = value * 10 + i64::from(digit - b'0');
    }
    value
}
