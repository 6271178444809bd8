use proptest::prelude::*;
use rust_decimal::Decimal;

use super::*;

fn scan(frame: &str) -> Option<FixedBook> {
    scan_l2_book(frame.as_bytes(), &mut FixedBook::default()).cloned()
}

/// The oracle: the scanner gives up, or reads exactly what serde reads.
fn agrees(frame: &[u8]) -> Result<bool, TestCaseError> {
    let mut book = FixedBook { coin: "left over".into(), time: 9, bids: vec![FixedLevel::default()], asks: vec![] };
    let Some(scanned) = scan_l2_book(frame, &mut book) else { return Ok(false) };
    let text = std::str::from_utf8(frame).map_err(|e| TestCaseError::fail(format!("scanned, but not UTF-8: {e}")))?;
    let reference = book_via_serde(text).map_err(|e| TestCaseError::fail(format!("scanned, but serde refuses: {e}: {text}")))?;
    prop_assert_eq!(scanned, &reference, "{}", text);
    Ok(true)
}

fn frame(tail: &str, px: &str, n: &str) -> String {
    format!(
        r#"{{"channel":"l2Book","data":{{"coin":"BTC","time":1763800000000,"levels":[[{{"px":"{px}","sz":"0.5","n":{n}}}],[]]{tail}}}}}"#
    )
}

#[test]
fn the_one_shape_is_read() {
    let book = scan(&frame("", "97123.0", "3")).expect("scanned");
    assert_eq!((book.coin.as_str(), book.time), ("BTC", 1_763_800_000_000));
    assert_eq!(book.bids, [FixedLevel { px: 9_712_300_000_000, sz: 50_000_000, n: 3 }]);
    assert!(book.asks.is_empty());
    assert_eq!(book.bids[0].px_decimal(), Decimal::from(97_123));
    assert!(scan(&frame(r#","spread":"1.0""#, "1", "1")).is_some());
    assert!(scan(&frame(r#","spread":"1.0","fast":true"#, "1", "1")).is_some());
    assert!(scan(&frame("", "0.00000001", "0")).is_some());
}

#[test]
fn every_other_shape_is_left_to_serde() {
    let whole = frame("", "97123.0", "3");
    for other in [
        whole.replace("\"time\"", " \"time\""),
        whole.replace("BTC", "B\\u0054C"),
        whole.replace("BTC", "BTÇ"),
        format!("{whole} "),
        whole.replace("\"coin\":\"BTC\",\"time\":1763800000000", "\"time\":1763800000000,\"coin\":\"BTC\""),
        whole.replace("l2Book", "bbo"),
        frame("", "1", "01"),
        frame("", "1", "-1"),
        frame("", "1", "4294967296"),
        frame(r#","news":1"#, "1", "1"),
        frame(r#","fast":null"#, "1", "1"),
        frame("", "12345678901", "1"),
        String::new(),
    ] {
        assert_eq!(scan(&other), None, "{other}");
    }
    for px in ["0.0", "-1", "+1", "1e5", "1.", ".5", "", " 1", "1.123456789", "NaN", "１"] {
        assert_eq!(scan(&frame("", px, "1")), None, "{px}");
    }
}

#[test]
fn more_levels_than_the_venue_sends_are_left_to_serde() {
    let side = |n: usize| vec![r#"{"px":"1","sz":"1","n":1}"#; n].join(",");
    let frame = |n| format!(r#"{{"channel":"l2Book","data":{{"coin":"X","time":1,"levels":[[{}],[]]}}}}"#, side(n));
    assert!(scan(&frame(LEVELS_MAX)).is_some());
    assert!(scan(&frame(LEVELS_MAX + 1)).is_none());
    assert_eq!(book_via_serde(&frame(LEVELS_MAX + 1)).map(|b| b.bids.len()), Ok(LEVELS_MAX + 1));
}

#[test]
fn serde_refuses_more_than_eight_decimals() {
    assert!(book_via_serde(&frame("", "1.123456789", "1")).is_err());
    assert!(book_via_serde(&frame("", "1.1234567800", "1")).is_ok(), "trailing zeros do not count");
    assert!(book_via_serde(&frame("", "92233720369", "1")).is_err(), "beyond 64 bits");
    assert!(book_via_serde(r#"{"channel":"pong"}"#).is_err());
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => (0_u64..99_999_999, 0_u32..9).prop_map(|(n, scale)| Decimal::new(n.cast_signed(), scale).to_string()),
        1 => (0_u64..u64::MAX).prop_map(|n| n.to_string()),
        1 => "[0-9]{0,12}\\.?[0-9]{0,10}",
        1 => "[-+eE0-9.]{1,6}",
    ]
}

fn side() -> impl Strategy<Value = String> {
    prop::collection::vec((number(), number(), 0_u64..6_000_000_000), 0..24).prop_map(|levels| {
        let levels: Vec<String> = levels.iter().map(|(px, sz, n)| format!(r#"{{"px":"{px}","sz":"{sz}","n":{n}}}"#)).collect();
        format!("[{}]", levels.join(","))
    })
}

fn frames() -> impl Strategy<Value = String> {
    let tail = prop_oneof![3 => Just(String::new()), 1 => number().prop_map(|n| format!(r#","spread":"{n}""#)), 1 => Just(r#","fast":true"#.into())];
    ("[A-Za-z0-9@:/]{0,12}", 0_u64..u64::MAX, side(), side(), tail).prop_map(|(coin, time, bids, asks, tail)| {
        format!(r#"{{"channel":"l2Book","data":{{"coin":"{coin}","time":{time},"levels":[{bids},{asks}]{tail}}}}}"#)
    })
}

fn clean_frames() -> impl Strategy<Value = (String, usize)> {
    let level = (1_i64..99_999_999_999, 0_i64..99_999_999, 0_u32..9, 0_u32..100_000);
    let text = |levels: &[(i64, i64, u32, u32)]| {
        let levels: Vec<String> = levels
            .iter()
            .map(|(px, sz, scale, n)| {
                format!(r#"{{"px":"{}","sz":"{}","n":{n}}}"#, Decimal::new(*px, *scale), Decimal::new(*sz, *scale))
            })
            .collect();
        levels.join(",")
    };
    let levels = prop::collection::vec(level, 0..21);
    (levels.clone(), levels, 0_u64..4_000_000_000_000).prop_map(move |(bids, asks, time)| {
        let frame = format!(
            r#"{{"channel":"l2Book","data":{{"coin":"xyz:NVDA","time":{time},"levels":[[{}],[{}]]}}}}"#,
            text(&bids),
            text(&asks)
        );
        (frame, bids.len() + asks.len())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// What the venue sends is scanned, not merely sometimes.
    #[test]
    fn clean_frames_are_scanned((frame, levels) in clean_frames()) {
        let whole = frame.split("\"px\":\"").skip(1).all(|px| px.split(['.', '"']).next().is_some_and(|w| w.len() <= 10));
        prop_assert_eq!(agrees(frame.as_bytes())?, whole);
        if let Some(book) = scan(&frame) {
            prop_assert_eq!(book.bids.len() + book.asks.len(), levels);
        }
    }

    #[test]
    fn odd_frames_are_scanned_as_serde_reads_them(frame in frames()) {
        agrees(frame.as_bytes())?;
    }

    /// FZ01: truncated, overwritten, spliced.
    #[test]
    fn fz01_mutated_frames(
        frame in prop_oneof![frames(), clean_frames().prop_map(|(frame, _)| frame)],
        cut in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        swap in any::<Option<(prop::sample::Index, prop::sample::Index)>>(),
    ) {
        let mut bytes = frame.into_bytes();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some((a, b)) = swap {
            let (a, b) = (a.index(bytes.len()), b.index(bytes.len()));
            bytes.swap(a, b);
        }
        agrees(&bytes)?;
        agrees(&bytes[..cut.index(bytes.len())])?;
    }

    #[test]
    fn any_bytes_at_all(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        agrees(&bytes)?;
    }
}
