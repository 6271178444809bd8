use std::io::Cursor;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;

fn header() -> Header {
    Header {
        source: "test".into(),
        start_ms: 1_000,
        duration_ms: 1_000,
        tick: Decimal::ONE,
        lot: Decimal::new(1, 5),
        band_bps: 30,
        step_ms: 100,
    }
}

fn level(side: Side, px: i64, qty: i64) -> Change {
    Change { side, px, qty }
}

fn small() -> Tape {
    let frames = vec![
        Frame {
            at_ms: 0,
            event: Event::Book(vec![level(Side::Buy, 100, 5), level(Side::Buy, 99, 7), level(Side::Sell, 101, 3)]),
        },
        Frame {
            at_ms: 40,
            event: Event::Trades(vec![Print { side: Side::Buy, px: 101, qty: 1 }, Print { side: Side::Sell, px: 100, qty: 2 }]),
        },
        Frame {
            at_ms: 100,
            event: Event::Book(vec![level(Side::Buy, 100, 0), level(Side::Sell, 100, 4), level(Side::Sell, 101, 0)]),
        },
    ];
    Tape { header: header(), frames }
}

fn bytes(tape: &Tape) -> Vec<u8> {
    let mut out = Vec::new();
    tape.write(&mut out).expect("memory takes it");
    out
}

#[test]
fn what_is_written_is_read() {
    assert_eq!(Tape::read(Cursor::new(bytes(&small()))).expect("sound"), small());
}

proptest! {
    /// Any tape whose book never crosses is read as it was written, and playing it never crosses either.
    #[test]
    fn any_sound_tape_round_trips_and_plays(
        steps in prop::collection::vec((0_u64..400, -3_i64..=3, 1_i64..1_000_000, any::<bool>()), 1..40),
    ) {
        let mut tape = Tape { header: Header { duration_ms: 20_000, ..header() }, frames: Vec::new() };
        let (mut at_ms, mut mid) = (0, 1_000);
        let mut book = TapeBook::default();
        for (gap, drift, qty, buys) in steps {
            let mut next = TapeBook::default();
            next.apply(&[level(Side::Buy, mid - 1, qty), level(Side::Buy, mid - 5, 3), level(Side::Sell, mid + 1, qty + 1)]);
            tape.frames.push(Frame { at_ms, event: Event::Book(book.changes_to(&next)) });
            let side = if buys { Side::Buy } else { Side::Sell };
            tape.frames.push(Frame { at_ms, event: Event::Trades(vec![Print { side, px: mid, qty }]) });
            book = next;
            (at_ms, mid) = (at_ms + gap, mid + drift);
        }
        prop_assert_eq!(&Tape::read(Cursor::new(bytes(&tape))).expect("sound"), &tape);
        let (mut player, mut played, mut beats) = (Player::new(Arc::new(tape)), TapeBook::default(), Vec::new());
        for until in (0..70_000).step_by(777) {
            player.advance(until, &mut beats);
            follow(&mut played, &beats);
            beats.clear();
        }
    }
}

#[test]
fn damage_is_noticed() {
    let whole = bytes(&small());
    for cut in 0..whole.len() {
        assert!(Tape::read(Cursor::new(&whole[..cut])).is_err(), "cut at {cut}");
    }
    for at in 10..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        assert!(Tape::read(Cursor::new(flipped)).is_err(), "flip at {at}");
    }
    let mut crossed = small();
    crossed.frames.push(Frame { at_ms: 200, event: Event::Book(vec![level(Side::Buy, 100, 1)]) });
    let refusal = Tape::read(Cursor::new(bytes(&crossed))).expect_err("crossed").to_string();
    assert!(refusal.contains("crosses"), "{refusal}");
    assert!(matches!(Tape::read(Cursor::new(b"plain text")), Err(TapeError::NotATape)));
}

/// Plays `beats` on a book and says whether it ever crossed.
fn follow(book: &mut TapeBook, beats: &[Beat]) {
    for beat in beats {
        match beat {
            Beat::Restart(new) => *book = new.clone(),
            Beat::Book(changes) => book.apply(changes),
            Beat::Trades(_) => {}
        }
        assert!(!book.is_crossed(), "{beat:?}");
    }
}

#[test]
fn the_seam_leaves_no_phantom_and_no_jump() {
    let tape = Arc::new(small());
    let mut player = Player::new(Arc::clone(&tape));
    let (mut book, mut beats) = (TapeBook::default(), Vec::new());
    player.advance(999, &mut beats);
    follow(&mut book, &beats);
    let before = book.mid_x2();
    assert_eq!(book.levels(Side::Sell).collect::<Vec<_>>(), [(100, 4)]);
    beats.clear();
    player.advance(1_000, &mut beats);
    let Some(Beat::Restart(new)) = beats.first() else { panic!("the seam restarts the book: {beats:?}") };
    assert_eq!(new.levels(Side::Buy).count() + new.levels(Side::Sell).count(), 3, "only the first frame's levels");
    follow(&mut book, &beats);
    let jump = book.mid_x2().zip(before).map(|(a, b)| (a - b).abs());
    assert!(jump.is_some_and(|j| j <= 1), "at most half a tick of rounding: {jump:?}");
    beats.clear();
    player.advance(1_050, &mut beats);
    assert_eq!(
        beats,
        [Beat::Trades(vec![Print { side: Side::Sell, px: 99, qty: 1 }, Print { side: Side::Buy, px: 100, qty: 2 }])],
        "mirrored: sides swapped, order kept"
    );
    beats.clear();
    player.advance(2_000, &mut beats);
    follow(&mut book, &beats);
    assert_eq!(book.levels(Side::Buy).collect::<Vec<_>>(), [(100, 5), (99, 7)], "the third pass is the first again");
}

#[test]
fn a_player_that_slept_catches_up_to_the_present_book_alone() {
    let mut player = Player::new(Arc::new(small()));
    let mut beats = Vec::new();
    player.advance(1_000_000_050, &mut beats);
    assert!(beats.len() <= 2, "{beats:?}");
    assert!(matches!(beats.first(), Some(Beat::Restart(_))));
}

const BINANCE: &str = r#"1 {"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":9,"T":999,"s":"BTCUSDT","U":1,"u":5,"pu":0,"b":[["61800.20","9.000"]],"a":[]}}
1 {"lastUpdateId":6,"E":1000,"T":1000,"bids":[["61800.20","1.500"],["61800.10","0.500"],["61000.00","1.000"]],"asks":[["61800.30","2.000"],["61801.00","1.000"]]}
1 {"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":7,"s":"BTCUSDT","b":"61800.20","B":"1.5","a":"61800.30","A":"2","T":1001,"E":1001}}
1 {"stream":"btcusdt@trade","data":{"e":"trade","E":1020,"T":1020,"s":"BTCUSDT","t":1,"p":"61800.30","q":"0.006","X":"MARKET","m":false}}
1 {"stream":"btcusdt@trade","data":{"e":"trade","E":1021,"T":1021,"s":"BTCUSDT","t":2,"p":"61800.20","q":"0.010","X":"MARKET","m":true}}
1 {"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1050,"T":1050,"s":"BTCUSDT","U":6,"u":8,"pu":5,"b":[["61800.20","0.000"]],"a":[["61800.30","1.000"]]}}
1 {"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1160,"T":1160,"s":"BTCUSDT","U":9,"u":9,"pu":8,"b":[["61799.90","4.000"]],"a":[]}}
1 {"stream":"btcusdt@trade","data":{"e":"trade","E":1300,"T":1300,"s":"BTCUSDT","t":3,"p":"61800.10","q":"0.001","X":"MARKET","m":true}}
"#;

#[test]
fn a_capture_becomes_a_tape_on_the_venues_grid() {
    let mut out = Vec::new();
    let report = convert(Cursor::new(BINANCE), &mut out, &Conversion::default()).expect("sound");
    let tape = Tape::read(Cursor::new(out)).expect("sound");
    assert_eq!((report.lines, report.skipped, report.updates, report.trades), (8, 1, 2, 3));
    assert_eq!((tape.header.start_ms, tape.header.duration_ms), (1_000, 300));
    let book = |changes: &[(Side, i64, i64)]| Event::Book(changes.iter().map(|(s, px, q)| level(*s, *px, *q)).collect());
    assert_eq!(
        tape.frames,
        [
            // bids floored, asks raised, levels that meet are added up, 61,000 lies outside 30 bps
            Frame { at_ms: 0, event: book(&[(Side::Buy, 61_800, 200_000), (Side::Sell, 61_801, 300_000)]) },
            Frame { at_ms: 20, event: Event::Trades(vec![Print { side: Side::Buy, px: 61_801, qty: 600 }]) },
            Frame { at_ms: 21, event: Event::Trades(vec![Print { side: Side::Sell, px: 61_800, qty: 1_000 }]) },
            Frame { at_ms: 100, event: book(&[(Side::Buy, 61_800, 50_000), (Side::Sell, 61_801, 200_000)]) },
            Frame { at_ms: 200, event: book(&[(Side::Buy, 61_799, 400_000)]) },
            Frame { at_ms: 300, event: Event::Trades(vec![Print { side: Side::Sell, px: 61_800, qty: 100 }]) },
        ]
    );
}

#[test]
fn a_gap_in_the_source_book_is_an_error() {
    let gap = BINANCE.replace(r#""pu":8"#, r#""pu":7"#);
    let refusal = convert(Cursor::new(gap), Vec::new(), &Conversion::default()).expect_err("gap").to_string();
    assert!(refusal.starts_with("line 7") && refusal.contains("gap"), "{refusal}");
    let refusal = convert(Cursor::new("nonsense\n"), Vec::new(), &Conversion::default()).expect_err("no JSON").to_string();
    assert!(refusal.starts_with("line 1"), "{refusal}");
    assert!(matches!(convert(Cursor::new(""), Vec::new(), &Conversion::default()), Err(ConvertError::Empty)));
}

#[test]
fn the_committed_tapes_are_sound_and_as_described() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/tapes/");
    for (file, seconds, trades) in [("btcusdt-20240808.tape.gz", 344, 21_300), ("hyperliquid-btc-20250126.tape.gz", 25, 30)] {
        let raw = std::fs::read(format!("{folder}{file}")).expect("committed");
        assert!(raw.len() < 1024 * 1024, "{file} takes {} bytes", raw.len());
        let tape = Tape::read(Cursor::new(raw)).expect("sound");
        assert_eq!(tape.header.duration_ms / 1_000, seconds, "{file}");
        let prints: usize = tape.frames.iter().map(|f| if let Event::Trades(t) = &f.event { t.len() } else { 0 }).sum();
        assert!(prints >= trades, "{file}: {prints}");
        let duration_ms = tape.header.duration_ms;
        let (mut player, mut book, mut beats) = (Player::new(Arc::new(tape)), TapeBook::default(), Vec::new());
        let length = seconds * 1_000 + 1_000;
        let mut mids = Vec::new();
        for at in (0..3 * length).step_by(500) {
            player.advance(at, &mut beats);
            follow(&mut book, &beats);
            beats.clear();
            mids.push(book.mid_x2().expect("both sides are always there"));
        }
        // the recording itself moves by up to 11 basis points in half a second; a seam moves by less than one
        let jumps: Vec<i64> = mids.windows(2).map(|w| (w[1] - w[0]).abs() * 10_000 / w[0]).collect();
        assert!(jumps.iter().all(|j| *j <= 15), "{file}: the price jumps");
        let seams: Vec<usize> = (1..3).map(|n| usize::try_from(n * duration_ms / 500).expect("small")).collect();
        assert!(seams.iter().all(|n| jumps[*n] <= 1), "{file}: the price jumps at a seam");
    }
}
