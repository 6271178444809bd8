//! C18 at its boundaries.

use domain::{Marks, Px, Span};

use super::*;
use crate::world::{BTC_PX, at, btc, limits};

fn rules() -> Limits {
    limits(|raw| raw.oracle = crate::RawOracle::default())
}

fn marks(oracle: i64, mark: i64, ms: u64) -> Marks {
    Marks { oracle: Px(oracle), ..crate::world::marks(btc(), mark, at(ms)) }
}

/// Tells `watch` an oracle at `px` every second of `seconds`, with the mid where the oracle is.
fn calm(watch: &mut OracleWatch, limits: &Limits, seconds: std::ops::Range<u64>) {
    for second in seconds {
        // moves a little, as oracles do
        let px = BTC_PX + i64::try_from(second % 7).unwrap_or(0);
        watch.observe(limits, &marks(px, px, second * 1_000), Some(px * 2));
    }
}

#[test]
fn f37_an_oracle_that_stands_while_the_mid_moves_is_frozen() {
    let limits = rules();
    let told = |updates: u64, moved_bps: i64| {
        let mut watch = OracleWatch::default();
        for n in 0..updates {
            let mid = if n + 1 == updates { BTC_PX + BTC_PX / 10_000 * moved_bps } else { BTC_PX };
            watch.observe(&limits, &marks(BTC_PX, mid, n * 1_000), Some(mid * 2));
        }
        watch.doubt(&limits, at(updates * 1_000))
    };
    assert_eq!(told(10, 25).map(|d| d.trouble), Some(OracleTrouble::Frozen { updates: 10, moved_bps: 25 }));
    assert_eq!(told(9, 25), None, "one update fewer");
    assert_eq!(told(10, 24), None, "one basis point less");
    assert_eq!(told(1_000, 0), None, "nothing moves: nothing is frozen");
}

#[test]
fn f38_an_oracle_apart_from_the_mid_or_the_mark_is_not_believed() {
    let limits = rules();
    let told = |mark_bps: i64, mid_bps: i64| {
        let mut watch = OracleWatch::default();
        let of = |bps: i64| BTC_PX + BTC_PX / 10_000 * bps;
        watch.observe(&limits, &marks(BTC_PX, of(mark_bps), 0), Some(of(mid_bps) * 2));
        watch.doubt(&limits, at(0)).map(|d| d.trouble)
    };
    let apart = Some(OracleTrouble::Apart { basis_bps: 150, max_bps: 150 });
    assert_eq!((told(150, 0), told(0, 150), told(-150, 0), told(0, -150)), (apart, apart, apart, apart));
    assert_eq!((told(149, 149), told(-149, -149)), (None, None));
}

#[test]
fn f39_after_a_silence_the_oracle_must_prove_itself_for_the_whole_quarantine() {
    let limits = rules();
    let mut watch = OracleWatch::default();
    calm(&mut watch, &limits, 0..10);
    assert_eq!(watch.doubt(&limits, at(69_000)), None, "60 s old is the limit");
    let silent = OracleTrouble::Silent { gap_ms: 60_001, max_ms: 60_000 };
    assert_eq!(watch.doubt(&limits, at(69_001)), Some(Doubt { trouble: silent, left: None }));
    // eight hours later the chain resumes
    let resumed = 8 * 3_600;
    calm(&mut watch, &limits, resumed..resumed + 300);
    let doubt = watch.doubt(&limits, at((resumed + 299) * 1_000)).unwrap_or_else(|| panic!("quarantined"));
    assert_eq!(doubt.left, Some(Span::secs(1)));
    // trouble within the quarantine begins it anew
    let jump = BTC_PX * 2;
    watch.observe(&limits, &marks(jump, BTC_PX, (resumed + 300) * 1_000), Some(BTC_PX * 2));
    calm(&mut watch, &limits, resumed + 301..resumed + 601);
    assert!(watch.doubt(&limits, at((resumed + 600) * 1_000)).is_some());
    calm(&mut watch, &limits, resumed + 601..resumed + 602);
    assert_eq!(watch.doubt(&limits, at((resumed + 601) * 1_000)), None);
}
