use std::collections::BTreeMap;

use desk::{DrillPlan, DrillTerms, Drills};
use domain::{
    DrillCause, DrillEvent, DrillOutcome, DrillPath, Entry, Hop, Seed, Span, TransferEvent, TransferId, TransferOutcome, Usd,
    Venue,
};

use super::*;

fn at(s: u64) -> Stamp {
    Stamp { mono: s * 1_000_000_000, wall_ms: 1_790_000_000_000 + s * 1_000 }
}

fn plan() -> DrillPlan {
    let terms = DrillTerms { amount: Usd::whole(6), expected: Span::secs(600) };
    let paths = BTreeMap::from([(DrillPath::Chain, terms)]);
    DrillPlan { every: Span::secs(30 * 86_400), grace: Span::secs(3 * 86_400), unattended: false, paths }
}

fn shown(drills: &Drills, now: Stamp) -> Vec<String> {
    super::drills(&drills.view(Some((&plan(), Seed(7))), now, |_| Some("it needs the operator's own signer".into())))
}

fn told(drills: &mut Drills, now: Stamp, event: DrillEvent) {
    drills.fold(now, &Entry::Drill { id: DrillId(1), event });
}

#[test]
fn a_drill_in_words_from_never_tried_to_overdue() {
    let mut drills = Drills::default();
    assert_eq!(shown(&drills, at(0)), ["chain  6 USDC out and back; never tried; not due before the treasury runs"]);
    drills.fold(at(0), &Entry::Treasury { id: 1, text: String::new() });
    let waits = "       waits: it needs the operator's own signer";
    assert_eq!(shown(&drills, at(60)), ["chain  6 USDC out and back; never tried; due", waits]);
    assert_eq!(shown(&drills, at(3 * 86_400 + 60)), ["chain  6 USDC out and back; never tried; OVERDUE for 1m", waits]);

    let begun = DrillEvent::Begun { venue: Venue::Hyperliquid, path: DrillPath::Chain, cause: DrillCause::Operator };
    told(&mut drills, at(100), begun);
    let hop = |hop, transfer, amount| DrillEvent::Hop {
        hop,
        transfer: TransferId(transfer),
        route: if hop == Hop::Out { "withdrawal" } else { "bridge deposit" }.into(),
        amount: Usd::whole(amount),
        wallet_before: Some(Usd::ZERO),
    };
    told(&mut drills, at(100), hop(Hop::Out, 1, 6));
    assert_eq!(shown(&drills, at(165))[2], "D1 of chain is under way: out (withdrawal T1 of 6) since 1m05s");
    let credited = TransferEvent::Credited { amount: Usd::whole(5), venue_ms: 0 };
    drills.fold(at(340), &Entry::Transfer { id: TransferId(1), event: credited });
    told(&mut drills, at(341), hop(Hop::Back, 2, 5));
    assert_eq!(shown(&drills, at(345))[3], "  out  withdrawal      T1          6 USDC  fee 1     4m00s");
    drills.fold(at(400), &Entry::Transfer { id: TransferId(2), event: TransferEvent::Ended(TransferOutcome::Reverted) });
    let open = drills.open().cloned().unwrap_or_else(|| panic!("under way"));
    let hops = open.done.clone();
    let outcome = DrillOutcome::Failed { why: "bridge deposit: its transaction reverted".into() };
    let (began, ended, cause) = (open.began, at(401), open.cause);
    let receipt = DrillReceipt { venue: open.venue, path: open.path, cause, began, ended, hops, outcome };
    told(&mut drills, at(401), DrillEvent::Ended(receipt));
    let lines = shown(&drills, at(500));
    assert_eq!(
        lines,
        [
            "chain  6 USDC out and back; FAILED 2026-09-21T14:20:01Z: bridge deposit: its transaction reverted; due in 23h 58m 21s",
            "D1 of chain FAILED after 5m01s: bridge deposit: its transaction reverted",
            "the buffer counts an exit of 4 minutes, or what is configured if that is more",
        ]
    );
}
