//! SIGKILL at random moments, over and over, against a venue that outlives the daemon (F51, F52, F55; I02, I06, I17).

use std::fs;
use std::path::Path;
use std::time::Duration;

use domain::Seed;
use plimsoll_tests::{Daemon, PaperProc, Setup};

/// Kills of one run.
const KILLS: u32 = 110;
/// Parents that are alive meanwhile, as (side, quantity in BTC, schedule lines).
const PARENTS: [(&str, &str, &str); 3] = [
    ("buy", "0.9", "schedule = \"twap\"\nslices = 60\nplacement = \"limit_to_market\""),
    ("sell", "0.4", "schedule = \"twap\"\nslices = 40\nplacement = \"pegged\""),
    ("buy", "0.5", "schedule = \"pov\"\nrate = \"0.2\"\ncomplete = true\nplacement = \"passive\""),
];

fn plan() -> String {
    let parent = |(side, quantity, schedule): &(&str, &str, &str)| {
        format!(
            "[[plan]]\ninstrument = \"hyperliquid:BTC\"\nside = \"{side}\"\nquantity = \"{quantity}\"\n{schedule}\n\
             horizon = \"150s\"\nslippage_bps = 500\nend = \"force\"\n"
        )
    };
    PARENTS.iter().map(parent).collect()
}

#[test]
fn killed_a_hundred_times_it_finishes_with_exactly_the_right_quantity() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup::new(dir.path(), &plan()).unwrap();
    let venue = PaperProc::spawn(dir.path(), &setup.paper_args(&[])).unwrap();
    setup.write_daemon(&venue.url()).unwrap();
    let mut chance = Seed(0x51).fork("kill");
    let mut kills = 0;
    let mut ended_early = 0;
    while kills < KILLS {
        let mut daemon = Daemon::spawn(dir.path(), &setup.run_args(), &[]).unwrap();
        // from before the first connection to deep in the trading
        let alive = Duration::from_millis(100 + chance.below(1_500));
        match daemon.proc.wait_exit(alive) {
            Err(_) => {
                daemon.proc.kill9();
                kills += 1;
            }
            Ok(status) => {
                assert!(status.success(), "the daemon ended by itself with {status}\n{}", daemon.proc.last_words());
                ended_early += 1;
                assert!(ended_early < 20, "the parents were over long before the kills were");
            }
        }
    }
    let (code, out, err) = Daemon::run(dir.path(), &setup.run_args(), Duration::from_secs(300)).unwrap();
    assert_eq!(code, Some(0), "{err}");
    check_reports(&out);
    check_venue(&setup.truth(&venue.url()).unwrap());
    check_journal(dir.path(), &setup);
}

/// One JSON object per parent, last: filled equals quantity for every parent with end policy force.
fn check_reports(out: &str) {
    let reports: Vec<serde_json::Value> =
        out.lines().rev().take(PARENTS.len()).map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(reports.len(), PARENTS.len());
    for (report, (side, quantity, _)) in reports.iter().rev().zip(PARENTS) {
        assert_eq!(report["side"], side, "{report}");
        assert_eq!(report["quantity"], quantity, "{report}");
        assert_eq!(report["filled"], report["quantity"], "{report}");
    }
}

/// The venue's own memory: what filled, per parent, and which client names it saw.
fn check_venue(truth: &serde_json::Value) {
    assert_eq!(truth["complete"], true);
    assert_eq!(truth["duplicate_cloids"].as_array().map(Vec::len), Some(0), "I02: {}", truth["duplicate_cloids"]);
    assert_eq!(
        truth["net"]["BTC"].as_str().map(|n| n.trim_end_matches('0').trim_end_matches('.')),
        Some("1"),
        "{}",
        truth["net"]
    );
    let mut filled = [0_i64; 4];
    for order in truth["orders"].as_array().unwrap() {
        let cloid = order["cloid"].as_str().unwrap();
        let parent = usize::try_from(u32::from_str_radix(&cloid[18..26], 16).unwrap()).unwrap();
        let lots: rust_decimal::Decimal = order["filled"].as_str().unwrap().parse().unwrap();
        filled[parent] += i64::try_from(lots * rust_decimal::Decimal::from(100_000)).unwrap();
    }
    assert_eq!(filled, [0, 90_000, 40_000, 50_000], "filled lots by parent, as the venue remembers");
}

fn check_journal(dir: &Path, setup: &Setup) {
    let (code, out, err) = Daemon::run(dir, &setup.args(&["audit"]), Duration::from_secs(60)).unwrap();
    assert_eq!(code, Some(0), "{out}\n{err}");
    assert!(out.contains("0 findings"), "{out}");
    assert!(fs::metadata(dir.join("state/journal/journal.db")).unwrap().len() > 0);
}
