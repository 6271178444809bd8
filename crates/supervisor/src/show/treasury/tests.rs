use desk::{DrillView, TreasuryPlan};
use domain::{
    Attempt, AttemptKind, ChainLeg, Entry, EvmAddress, Inclusion, RawTx, Route, Stamped, TransferEvent, TransferId,
    TransferIntent, TransferOutcome, TreasuryAction, TreasuryDecision, TxHash, Venue, Wei,
};
use margin_guard::{Limits, RawDestination, RawLimits, RawTreasury, RawWallet, TreasuryLimits};

use super::*;
use crate::show::tests::{golden, inside};
use crate::show::{WIDTH_MAX, WIDTH_MIN};

const ACCOUNT: EvmAddress = EvmAddress([0xa1; 20]);
const TOKEN: EvmAddress = EvmAddress([0xb1; 20]);
const BRIDGE: EvmAddress = EvmAddress([0xc1; 20]);

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

/// `s` seconds after 2026-11-22 22:00:00 UTC.
fn at(s: u64) -> Stamp {
    Stamp { mono: (1_000 + s) * 1_000_000_000, wall_ms: 1_795_384_800_000 + s * 1_000 }
}

fn limits() -> TreasuryLimits {
    let wallet = RawWallet { chain_id: Some("31337".into()), address: ACCOUNT.to_string(), token: TOKEN.to_string() };
    let bridge = RawDestination { kind: "bridge".into(), address: BRIDGE.to_string() };
    let raw = RawTreasury {
        wallet: Some(wallet),
        destination: [("bridge".to_owned(), bridge)].into_iter().collect(),
        ..RawTreasury::default()
    };
    TreasuryLimits::check(&raw).unwrap()
}

fn intent(id: u32, route: Route, amount: &str, nonce: u64) -> TransferIntent {
    TransferIntent {
        id: TransferId(id),
        venue: Venue::Hyperliquid,
        account: ACCOUNT,
        route,
        amount: usd(amount),
        fee_max: Usd::ZERO,
        nonce,
        limits: limits().id(),
        cause: "cover 3.4 is below 4".to_owned(),
    }
}

fn journal() -> Vec<Stamped> {
    let leg =
        ChainLeg { chain_id: 31_337, wallet: ACCOUNT, token: TOKEN, contract: BRIDGE, gas_cost_max: limits().gas_transfer_max() };
    let attempt = Attempt {
        kind: AttemptKind::Send,
        hash: TxHash([0xd1; 32]),
        raw: RawTx(vec![2]),
        gas_limit: 100_000,
        fee_max: Wei::gwei(1),
        tip: Wei::ZERO,
    };
    let found =
        Inclusion { hash: attempt.hash, block: 90, block_hash: TxHash([0xe1; 32]), success: true, gas_cost: Wei::gwei(60_000) };
    let moved = |id: u32, event: TransferEvent| Entry::Transfer { id: TransferId(id), event };
    let decision = TreasuryDecision {
        venue: Venue::Hyperliquid,
        action: TreasuryAction::Wait,
        why: "money is under way: T2, bridge deposit of 250".to_owned(),
        cascade: None,
    };
    let entries = [
        (0, Entry::Treasury { id: limits().id(), text: limits().text().to_owned() }),
        (1, moved(1, TransferEvent::Intended(intent(1, Route::SpotToPerp, "1200.5", 1_795_384_801_000)))),
        (2, moved(1, TransferEvent::Sent { hash: None })),
        (2, moved(1, TransferEvent::Accepted)),
        (10, moved(2, TransferEvent::Intended(intent(2, Route::Bridge(leg), "250", 0)))),
        (11, moved(2, TransferEvent::Signed(attempt.clone()))),
        (11, moved(2, TransferEvent::Sent { hash: Some(attempt.hash) })),
        (12, moved(2, TransferEvent::Included(found))),
        (12, Entry::TreasuryDecided(decision)),
        (14, Entry::TransferRefused { what: "bridge deposit of 3".to_owned(), why: "3 arrives, at least 5 must".to_owned() }),
    ];
    entries.into_iter().map(|(s, entry)| Stamped { at: at(s), entry }).collect()
}

fn view(journal: &[Stamped], now: Stamp) -> TreasuryView {
    let guard = Limits::check(RawLimits { allow: vec!["hyperliquid:BTC".into()], ..Default::default() }).unwrap();
    let plan = TreasuryPlan::new(limits(), Venue::Hyperliquid, ACCOUNT, guard.cover());
    TreasuryView::of_journal(plan, journal, now).unwrap()
}

fn page(view: Option<TreasuryView>) -> TreasuryPage {
    TreasuryPage { live: true, enabled: view.is_some(), treasury: view, wallet_task: None, drills: DrillView::default() }
}

#[test]
fn what_moves_is_shown_with_where_it_is_and_what_may_still_be_spent() {
    let mut live = page(Some(view(&journal(), at(20))));
    live.wallet_task = Some(WalletTask {
        running: true,
        why: None,
        open: Some((TransferId(2), "for 17 more blocks on its own".to_owned())),
        out: vec![(2, "its newest block is 75 s old".to_owned())],
    });
    let shown = live.treasury.as_mut().unwrap();
    shown.equity = Some(usd("12345.678"));
    shown.withdrawable = Some(usd("2000"));
    shown.sources = vec![
        SourceLine {
            name: "spot".into(),
            balance: Some(usd("25.5")),
            floor: usd("25.5"),
            age_s: Some(3),
            skipped: Some("nothing above what stays there".into()),
        },
        SourceLine { name: "wallet".into(), balance: Some(usd("740")), floor: usd("10"), age_s: Some(1), skipped: None },
    ];
    let wallet = shown.wallet.as_mut().unwrap();
    (wallet.balance, wallet.gas, wallet.age_s) = (Some(usd("740")), Some(Wei::gwei(5_000_000)), Some(1));
    wallet.doubt = Some("T2 is open (included)".to_owned());
    golden("treasury", &treasury(&live, 96));
    golden("treasury_narrow", &treasury(&live, 60));
    for width in WIDTH_MIN..=WIDTH_MAX {
        let words_alone = |line: &&String| !line.contains("0x");
        let lines: Vec<String> = treasury(&live, width).iter().filter(words_alone).cloned().collect();
        inside(&lines, width.max(80));
    }
}

#[test]
fn the_journal_alone_knows_ledger_budgets_and_refusals() {
    let mut journal = journal();
    journal.push(Stamped {
        at: at(30),
        entry: Entry::Transfer {
            id: TransferId(2),
            event: TransferEvent::Ended(TransferOutcome::WrittenOff { reason: "the bridge lost it".into() }),
        },
    });
    let mut down = page(Some(view(&journal, at(40))));
    down.live = false;
    golden("treasury_journal", &treasury(&down, 96));
    let json = serde_json::to_value(&down).unwrap();
    assert_eq!((&json["live"], &json["budgets"]["hour"]["spent"]), (&false.into(), &"250".into()), "{json}");
    assert_eq!(json["ended"][0]["transfer"]["state"]["outcome"], "written_off", "{json}");
}

#[test]
fn without_a_treasury_that_is_said() {
    assert_eq!(treasury(&page(None), 96), ["[treasury] is off: no money moves by itself."]);
    let journal_less = TreasuryPage { live: false, ..page(None) };
    assert!(serde_json::to_value(&journal_less).unwrap()["open"].is_null());
}
