use super::*;
use crate::{Entry, Ratio};

fn at(s: u64) -> Stamp {
    Stamp { mono: s * 1_000_000_000, wall_ms: s * 1_000 }
}

fn hop(hop: Hop, began: u64, ended: u64, fee: Usd) -> HopReceipt {
    let transfer = TransferId(if hop == Hop::Out { 1 } else { 2 });
    HopReceipt { hop, route: "x".into(), transfer, began: at(began), ended: at(ended), amount: Usd::whole(6), fee }
}

fn receipt(hops: Vec<HopReceipt>, outcome: DrillOutcome) -> DrillReceipt {
    DrillReceipt {
        venue: Venue::Hyperliquid,
        path: DrillPath::Chain,
        cause: DrillCause::Schedule,
        began: at(0),
        ended: at(900),
        hops,
        outcome,
    }
}

#[test]
fn a_path_is_written_as_it_is_read() {
    for text in ["chain", "spot", "sub:0x00000000000000000000000000000000000000aa"] {
        let path: DrillPath = text.parse().unwrap();
        assert_eq!(path.to_string(), text);
        assert_eq!(serde_json::from_str::<DrillPath>(&serde_json::to_string(&path).unwrap()).unwrap(), path);
    }
    for bad in ["", "Chain", "sub:", "sub:0x1", "bridge"] {
        let why = bad.parse::<DrillPath>().unwrap_err().to_string();
        assert!(why.contains("is not chain, spot or sub:0x"), "{why}");
    }
}

#[test]
fn the_delay_is_that_of_the_slower_hop_and_only_of_a_drill_that_passed() {
    let one = Usd::whole(1);
    let hops = vec![hop(Hop::Out, 0, 240, one), hop(Hop::Back, 250, 310, Usd::ZERO)];
    let passed = receipt(hops.clone(), DrillOutcome::Passed);
    assert_eq!((passed.delay(), passed.out(), passed.fees()), (Some(Span::secs(240)), Some(Span::secs(240)), one));
    // it broke on the way back: money did get out, but no delay of a refill was measured
    let failed = receipt(hops.clone(), DrillOutcome::Failed { why: "reverted".into() });
    assert_eq!((failed.delay(), failed.out()), (None, Some(Span::secs(240))));
    // it broke on the way out
    let stuck = receipt(hops[..1].to_vec(), DrillOutcome::Failed { why: "never paid".into() });
    assert_eq!((stuck.delay(), stuck.out()), (None, None));
}

#[test]
fn a_record_of_a_drill_is_read_back_as_it_was_written() {
    let hops = vec![hop(Hop::Out, 0, 240, Usd::whole(5).times(Ratio::scaled(1, 1)))];
    for event in [
        DrillEvent::Begun { venue: Venue::Hyperliquid, path: DrillPath::Spot, cause: DrillCause::Operator },
        DrillEvent::Hop {
            hop: Hop::Back,
            transfer: TransferId(7),
            route: "bridge deposit".into(),
            amount: Usd::whole(5),
            wallet_before: Some(Usd::whole(12)),
        },
        DrillEvent::Ended(receipt(hops, DrillOutcome::Failed { why: "written off".into() })),
    ] {
        let entry = Entry::Drill { id: DrillId(3), event };
        let text = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry, "{text}");
    }
}
