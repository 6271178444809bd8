//! The treasury of a desk whose venue, wallet and chain say exactly what a test has them say.

use domain::{
    Attempt, AttemptKind, Command, CommandReply, DepositSeen, Entry, EvmAddress, Fact, IdleBalance, IdlePlace, Inclusion, Lots,
    RawTx, Route, Span, Stop, StopLevel, TransferEvent, TransferId, TransferIntent, TransferOutcome, TransferState,
    TreasuryAction, Trigger, TxHash, Usd, UsdcRoad, UsdcRoads, WalletView, Wei,
};
use margin_guard::{RawDestination, RawTreasury, RawWallet, TransferStep, TreasuryLimits};
use plimsoll_desk::{TreasuryPlan, TreasuryView, WalletRung};

use crate::rig::{Rig, VENUE, limits};

const CHAIN: u64 = 412_346;
const ACCOUNT: EvmAddress = EvmAddress([0xA1; 20]);
const TOKEN: EvmAddress = EvmAddress([0xB1; 20]);
const BRIDGE: EvmAddress = EvmAddress([0xC1; 20]);

fn usd(text: &str) -> Usd {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn plan() -> TreasuryPlan {
    let raw = RawTreasury {
        transfer_max_usd: Some("5000".into()),
        hour_max_usd: Some("6000".into()),
        day_max_usd: Some("8000".into()),
        destination_delay_hours: Some("0".into()),
        wallet: Some(RawWallet {
            chain_id: Some(CHAIN.to_string().as_str().into()),
            address: ACCOUNT.to_string(),
            token: TOKEN.to_string(),
        }),
        destination: [("bridge".to_owned(), RawDestination { kind: "bridge".into(), address: BRIDGE.to_string() })].into(),
        ..RawTreasury::default()
    };
    let judged = TreasuryLimits::check(&raw).unwrap_or_else(|faults| panic!("{faults:?}"));
    TreasuryPlan {
        spot_floor: Some(usd("100")),
        wallet: Some(WalletRung { reserve: usd("50"), gas_reserve: Wei::gwei(1_000), cctp: None }),
        ..TreasuryPlan::new(judged, VENUE, ACCOUNT, limits().cover())
    }
}

/// Ten coins with a maintenance of 7,725 and an equity of 22,000: cover 2.84. The target of 3.3 is 25,492.50.
struct World {
    rig: Rig,
    spot: Usd,
    wallet: Usd,
    nonce: u64,
    doubt: bool,
}

impl World {
    fn new(spot: &str, wallet: &str) -> World {
        let mut rig = Rig::keeping(Some(plan()));
        rig.position = Lots(1_000_000);
        rig.maintenance = usd("7725");
        rig.connect();
        rig.pass(Span::secs(2), &[]);
        World { rig, spot: usd(spot), wallet: usd(wallet), nonce: 7, doubt: false }
    }

    fn fall_to(&mut self, equity: &str) {
        self.rig.equity = usd(equity);
        self.pass(4);
    }

    fn wallet_view(&self) -> WalletView {
        WalletView {
            chain_id: CHAIN,
            wallet: ACCOUNT,
            token: TOKEN,
            balance: self.wallet,
            gas: Wei::gwei(100_000_000),
            nonce: self.nonce,
            nonce_safe: self.nonce,
            base_fee: Wei(10_000_000),
            head: 1_000,
            safe: 1_000,
            at: self.rig.now,
        }
    }

    fn tell(&mut self) {
        let at = self.rig.now;
        let idle = IdleBalance { venue: VENUE, place: IdlePlace::Spot, free: self.spot, at };
        let roads = UsdcRoads { venue: VENUE, deposit: UsdcRoad::Bridge, withdrawal: UsdcRoad::Bridge, at };
        let view = self.wallet_view();
        let wallet = if self.doubt { Fact::WalletDoubt("they disagree".into()) } else { Fact::Wallet(Box::new(view)) };
        self.rig.apply(&[Fact::Idle(idle), Fact::Roads(roads), wallet]);
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..2 * seconds {
            self.tell();
            self.rig.pass(Span::millis(500), &[]);
        }
    }

    fn event(&mut self, id: TransferId, event: TransferEvent) {
        self.rig.apply(&[Fact::Transfer { id, event: Box::new(event) }]);
    }

    fn view(&self) -> TreasuryView {
        self.rig.desk.treasury(self.rig.now).unwrap_or_else(|| panic!("a treasury is configured"))
    }

    /// What was begun so far.
    fn begun(&self) -> Vec<TransferIntent> {
        let start = |step: &TransferStep| if let TransferStep::Start(intent) = step { Some(intent.clone()) } else { None };
        self.rig.transfers.iter().filter_map(|c| start(c.step())).collect()
    }

    fn amounts(&self) -> Vec<String> {
        self.begun().iter().map(|i| format!("{} {}", i.route.name(), i.amount)).collect()
    }

    fn decisions(&self) -> Vec<TreasuryAction> {
        let decision = |e: &Entry| if let Entry::TreasuryDecided(d) = e { Some(d.action) } else { None };
        self.rig.log.iter().filter_map(|s| decision(&s.entry)).collect()
    }

    fn reductions(&self) -> usize {
        let parent = |e: &Entry| matches!(e, Entry::Parent { spec, .. } if spec.note.starts_with("deleverage:"));
        self.rig.log.iter().filter(|s| parent(&s.entry)).count()
    }

    fn alerted(&self, words: &str) -> usize {
        self.rig.alerts.iter().filter(|a| a.contains(words)).count()
    }

    /// The wallet signs the newest transfer.
    fn sign(&mut self, id: TransferId, fee: u64) -> Attempt {
        let attempt = attempt(fee);
        self.event(id, TransferEvent::Signed(attempt.clone()));
        attempt
    }

    /// The chain mines it, and finds it safe.
    fn mine(&mut self, id: TransferId, attempt: &Attempt, amount: Usd) {
        let hash = attempt.hash;
        let found = Inclusion { hash, block: 5, block_hash: hash, success: true, gas_cost: Wei::gwei(500) };
        self.event(id, TransferEvent::Sent { hash: Some(hash) });
        self.event(id, TransferEvent::Included(found));
        self.wallet -= amount;
        self.nonce += 1;
        self.event(id, TransferEvent::Final(found));
    }
}

fn attempt(fee: u64) -> Attempt {
    let hash = TxHash([u8::try_from(fee % 251).unwrap_or(0); 32]);
    Attempt {
        kind: AttemptKind::Send,
        hash,
        raw: RawTx(vec![2, 3]),
        gas_limit: 100_000,
        fee_max: Wei::gwei(fee),
        tip: Wei::gwei(1),
    }
}

#[test]
fn a_rearm_gives_back_no_transfer_budget_c33() {
    let mut world = World::new("1100", "4000");
    world.fall_to("22000");
    let first = world.begun()[0].clone();
    world.event(first.id, TransferEvent::Sent { hash: None });
    world.rig.command(Command::Kill(Stop::all(StopLevel::Block, Trigger::Operator, "test")));
    world.pass(2);
    let before = world.view();
    assert!(before.in_flight > Usd::ZERO && before.budgets.inside_day.spent > Usd::ZERO, "{before:?}");
    assert_eq!(world.rig.command(Command::rearm("looked")), CommandReply::Done);
    let after = world.view();
    assert_eq!((after.budgets, after.in_flight, after.open.len()), (before.budgets, before.in_flight, before.open.len()));
}

#[test]
fn a_falling_account_is_restored_by_climbing_the_ladder() {
    let mut world = World::new("1100", "4000");
    assert!(world.amounts().is_empty(), "nothing is needed");
    world.fall_to("22000");
    assert_eq!(world.amounts(), ["spot to perp 1000"], "down to the floor of 100: {}", world.view().why);
    let first = world.begun()[0].clone();
    assert!(first.nonce.is_multiple_of(2) && world.rig.desk.books().nonce >= first.nonce, "ADR 3");
    world.event(first.id, TransferEvent::Sent { hash: None });
    world.event(first.id, TransferEvent::Accepted);
    (world.rig.equity, world.spot) = (usd("23000"), usd("100"));
    world.pass(4);
    assert_eq!(world.amounts(), ["spot to perp 1000", "bridge deposit 2492.5"], "{}", world.view().why);
    let second = world.begun()[1].clone();
    assert_eq!(second.nonce, 7);
    let signed = world.sign(second.id, 1);
    world.mine(second.id, &signed, second.amount);
    world.pass(6);
    let view = world.view();
    assert_eq!((view.action, view.in_flight), (TreasuryAction::Wait, usd("2492.5")), "{}", view.why);
    assert!(world.rig.reads.last().is_some_and(|read| read.deposits_since_ms.is_some()), "the credit is looked for");
    let row = DepositSeen { venue_ms: world.rig.now.wall_ms, amount: usd("2492.5") };
    world.rig.equity = usd("25492.5");
    world.rig.apply(&[Fact::Deposits(VENUE, [row].into())]);
    world.pass(4);
    let view = world.view();
    assert_eq!((view.action, view.in_flight, view.open.len()), (TreasuryAction::Rest, Usd::ZERO, 0), "{}", view.why);
    assert_eq!((view.budgets.hour.spent, view.budgets.inside_day.spent), (usd("2492.5"), usd("1000")));
    assert_eq!(world.decisions().first(), Some(&TreasuryAction::TopUp));
    assert_eq!(world.decisions().last(), Some(&TreasuryAction::Rest));
    assert_eq!(world.reductions(), 0);
    // the same row again is the same credit; another one is a surplus (F91)
    let again = DepositSeen { venue_ms: row.venue_ms + 1, ..row };
    world.rig.apply(&[Fact::Deposits(VENUE, [row, again].into())]);
    assert_eq!((world.view().surplus, world.alerted("another deposit")), (vec![again], 1));
    // and so is one that looks like the first: the venue shows each credit once
    for _ in 0..2 {
        world.rig.apply(&[Fact::Deposits(VENUE, [row, row, again].into())]);
        assert_eq!((world.view().surplus, world.alerted("another deposit")), (vec![again, row], 2));
    }
}

#[test]
fn i34_a_wallet_in_doubt_is_no_help_and_sells_nothing_while_there_is_time() {
    let mut world = World::new("0", "4000");
    world.doubt = true;
    world.fall_to("22000");
    world.pass(8);
    assert_eq!((world.view().action, world.amounts().len()), (TreasuryAction::Stuck, 0), "{}", world.view().why);
    assert!(world.view().why.contains("they disagree"), "{}", world.view().why);
    assert_eq!(world.reductions(), 0, "cover is 2.84, the reduce level 2, and the runway long");
    assert_eq!(world.alerted("stuck"), 1, "a person is told");
    // help comes back
    world.doubt = false;
    world.pass(3);
    assert_eq!((world.view().action, world.amounts().len()), (TreasuryAction::Wait, 1), "{}", world.view().why);
}

#[test]
fn at_the_reduce_level_positions_are_reduced_whatever_the_wallet_does() {
    let mut world = World::new("0", "4000");
    world.doubt = true;
    // cover 1.94
    world.fall_to("15000");
    world.pass(8);
    assert_eq!((world.reductions(), world.amounts().len()), (1, 0), "{}", world.view().why);
}

#[test]
fn collateral_inside_the_venue_comes_before_reducing_and_a_lost_answer_does_not_stop_it() {
    let mut world = World::new("20000", "0");
    // cover 1.94: the reduce level at once, and 10,492.50 would restore the target, of which a transfer may move 10,000
    world.fall_to("15000");
    assert_eq!(world.amounts(), ["spot to perp 10000"]);
    assert_eq!(world.reductions(), 0, "it takes seconds");
    let id = world.begun()[0].id;
    world.event(id, TransferEvent::Overdue { why: "no usable answer".into() });
    world.pass(3);
    assert_eq!(world.reductions(), 1, "not for longer: {}", world.view().why);
}

#[test]
fn i12_a_transfer_of_an_earlier_tenure_is_taken_up_before_anything_new() {
    let mut world = World::new("0", "4000");
    world.fall_to("22000");
    let id = world.begun()[0].id;
    let signed = world.sign(id, 1);
    world.rig.transfers.clear();
    world.rig.crash();
    world.rig.connect();
    world.pass(4);
    let steps: Vec<&TransferStep> = world.rig.transfers.iter().map(|c| c.step()).collect();
    let [TransferStep::Resume(transfer)] = steps.as_slice() else { panic!("{steps:?}") };
    assert_eq!((transfer.intent.id, &transfer.attempts), (id, &vec![signed]));
    assert_eq!(world.view().action, TreasuryAction::Wait, "{}", world.view().why);
}

#[test]
fn signed_bytes_are_judged_once_and_refused_ones_end_the_transfer() {
    let mut world = World::new("0", "4000");
    world.fall_to("22000");
    let id = world.begun()[0].id;
    let signed = world.sign(id, 1);
    world.sign(id, 1);
    let sends = || world.rig.transfers.iter().filter(|c| matches!(c.step(), TransferStep::Send { .. })).count();
    assert_eq!(sends(), 1, "the wallet repeats itself until it hears");
    world.event(id, TransferEvent::Sent { hash: Some(signed.hash) });
    // a replacement that costs more than it may is refused, and the transfer goes on
    world.sign(id, 100_000);
    assert_eq!(world.view().open.len(), 1);
    assert_eq!(world.view().refusals.len(), 1);

    let mut world = World::new("0", "4000");
    world.fall_to("22000");
    let id = world.begun()[0].id;
    world.sign(id, 100_000);
    assert_eq!(world.rig.forgotten, [id]);
    let refused = |e: &Entry| matches!(e, Entry::Transfer { id: of, event: TransferEvent::Ended(TransferOutcome::Refused { .. }) } if *of == id);
    assert!(world.rig.log.iter().any(|s| refused(&s.entry)));
    assert!(world.rig.log.iter().any(|s| matches!(s.entry, Entry::TransferRefused { .. })));
    assert_eq!(world.view().budgets.hour.spent, Usd::ZERO, "nothing left, nothing is spent");
}

#[test]
fn f91_a_credit_that_never_comes_is_told_and_not_sent_again() {
    let mut world = World::new("0", "6000");
    world.fall_to("22000");
    let intent = world.begun()[0].clone();
    let signed = world.sign(intent.id, 1);
    world.mine(intent.id, &signed, intent.amount);
    world.pass(16 * 60);
    assert_eq!(world.amounts().len(), 1, "I12");
    assert!(world.alerted("is overdue") >= 1, "{:?}", world.rig.alerts);
    assert_eq!(world.view().action, TreasuryAction::Reduce, "{}", world.view().why);
    let told = world.alerted("is overdue");
    world.pass(60);
    assert_eq!(world.alerted("is overdue"), told, "rarely");
    // the operator gives it up
    let close = |reason: &str| Command::CloseTransfer { id: intent.id, reason: reason.into() };
    assert!(matches!(world.rig.command(close(" ")), CommandReply::Refused(_)));
    assert_eq!(world.rig.command(close("the venue lost it")), CommandReply::Done);
    assert!(world.view().open.is_empty());
    assert_eq!(world.view().budgets.day.spent, intent.amount, "it may have moved");
}

#[test]
fn impossible_news_changes_nothing_and_is_told_once() {
    let mut world = World::new("0", "4000");
    world.fall_to("22000");
    let id = world.begun()[0].id;
    let records = world.rig.log.len();
    for _ in 0..3 {
        world.event(id, TransferEvent::Accepted);
        world.event(TransferId(99), TransferEvent::Accepted);
    }
    assert_eq!(world.rig.log.len(), records);
    assert_eq!((world.alerted("cannot take"), world.alerted("does not know")), (1, 1));
    let state = world.view().open[0].transfer.state.clone();
    assert_eq!(state, TransferState::Intended);
}

#[test]
fn a_stopped_daemon_moves_no_money() {
    let mut world = World::new("1100", "4000");
    let kill = Command::Kill(Stop::all(StopLevel::Block, Trigger::Operator, "test"));
    assert_eq!(world.rig.command(kill), CommandReply::Done);
    world.fall_to("22000");
    world.pass(10);
    assert!(world.amounts().is_empty(), "{:?}", world.amounts());
}

#[test]
fn f86_a_gas_spike_makes_the_deposit_unavailable() {
    let mut world = World::new("0", "4000");
    world.pass(1);
    world.rig.equity = usd("22000");
    for _ in 0..16 {
        world.tell();
        let view = WalletView { base_fee: Wei::gwei(100), ..world.wallet_view() };
        world.rig.apply(&[Fact::Wallet(Box::new(view))]);
        world.rig.pass(Span::millis(500), &[]);
    }
    assert!(world.amounts().is_empty());
    let view = world.view();
    assert_eq!(view.action, TreasuryAction::Reduce, "{}", view.why);
    assert!(view.why.contains("a deposit would take up to 0.03"), "{}", view.why);
    assert!(matches!(view.sources.last(), Some(line) if line.name == "wallet" && line.skipped.is_some()));
    assert!(
        !world.rig.transfers.iter().any(|c| matches!(c.step(), TransferStep::Start(i) if matches!(i.route, Route::Bridge(_))))
    );
}

#[test]
fn a_nearer_source_is_read_before_it_is_passed_over_and_waited_for_only_so_long() {
    for answers in [true, false] {
        let mut world = World::new("5000", "4000");
        world.pass(2);
        // a minute later what was read of spot is old, and the wallet is told of all the time
        let quiet = |world: &mut World| {
            let at = world.rig.now;
            let roads = UsdcRoads { venue: VENUE, deposit: UsdcRoad::Bridge, withdrawal: UsdcRoad::Bridge, at };
            world.rig.apply(&[Fact::Roads(roads), Fact::Wallet(Box::new(world.wallet_view()))]);
            world.rig.pass(Span::millis(500), &[]);
        };
        for _ in 0..100 {
            quiet(&mut world);
        }
        world.rig.reads.clear();
        world.rig.equity = usd("22000");
        for _ in 0..5 {
            quiet(&mut world);
        }
        let asked = world.rig.reads.iter().any(|read| read.places.contains(&IdlePlace::Spot));
        assert!(asked && world.amounts().is_empty(), "{:?}: {}", world.amounts(), world.view().why);
        assert_eq!(world.view().action, TreasuryAction::Wait);
        if answers {
            world.pass(2);
            assert_eq!(world.amounts(), ["spot to perp 3492.5"], "{}", world.view().why);
        } else {
            for _ in 0..12 {
                quiet(&mut world);
            }
            assert_eq!(world.amounts(), ["bridge deposit 3492.5"], "I34: {}", world.view().why);
        }
    }
}

#[test]
fn the_same_journal_gives_the_same_treasury() {
    // I25, and a cascade outlives the process
    let mut world = World::new("1100", "4000");
    world.fall_to("22000");
    let before = world.view();
    assert!(before.cascade.is_some());
    world.rig.crash();
    let after = world.view();
    assert_eq!((after.cascade, after.open.len()), (before.cascade, 1));
    assert_eq!(after.budgets.inside_day, before.budgets.inside_day);
}
