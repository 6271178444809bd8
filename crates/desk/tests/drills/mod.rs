//! Drills against a venue and a chain that answer as a test has them answer.

use std::collections::BTreeMap;

use domain::{
    Attempt, AttemptKind, Command, CommandReply, DepositSeen, DrillCause, DrillOutcome, DrillPath, DrillReceipt, Entry,
    EvmAddress, Fact, Hop, Inclusion, RawTx, Route, Span, Stop, StopLevel, TransferEvent, TransferId, TransferIntent,
    TransferOutcome, Trigger, TxHash, Usd, UsdcRoad, UsdcRoads, WalletView, Wei,
};
use margin_guard::{RawDestination, RawTreasury, RawWallet, TransferStep, TreasuryLimits};
use plimsoll_desk::{DrillPlan, DrillTerms, DrillView, TreasuryPlan, WalletRung};
use risk::scorecard::{Drilled, Question};

use crate::rig::{Rig, VENUE, limits};

const CHAIN: u64 = 31_337;
const ACCOUNT: EvmAddress = EvmAddress([0xA1; 20]);
const TOKEN: EvmAddress = EvmAddress([0xB1; 20]);
const BRIDGE: EvmAddress = EvmAddress([0xC1; 20]);
const SUB: EvmAddress = EvmAddress([0xD1; 20]);
const DAY: Span = Span::secs(86_400);
const EXPECTED: Span = Span::secs(300);

fn days(n: u64) -> Span {
    Span(DAY.0 * n)
}

fn plan(unattended: bool, paths: &[DrillPath]) -> TreasuryPlan {
    let destination = |kind: &str, address: EvmAddress| RawDestination { kind: kind.into(), address: address.to_string() };
    let raw = RawTreasury {
        destination_delay_hours: Some("0".into()),
        wallet: Some(RawWallet {
            chain_id: Some(CHAIN.to_string().as_str().into()),
            address: ACCOUNT.to_string(),
            token: TOKEN.to_string(),
        }),
        destination: [
            ("bridge".to_owned(), destination("bridge", BRIDGE)),
            ("home".to_owned(), destination("withdrawal", ACCOUNT)),
            ("sub".to_owned(), destination("sub_account", SUB)),
        ]
        .into(),
        ..RawTreasury::default()
    };
    let judged = TreasuryLimits::check(&raw).unwrap_or_else(|faults| panic!("{faults:?}"));
    let terms = |path: &DrillPath| {
        let amount = if *path == DrillPath::Chain { Usd::whole(6) } else { Usd::whole(1) };
        (*path, DrillTerms { amount, expected: EXPECTED })
    };
    TreasuryPlan {
        wallet: Some(WalletRung { reserve: Usd::ZERO, gas_reserve: Wei::ZERO, cctp: None }),
        drills: Some(DrillPlan { every: days(30), grace: days(3), unattended, paths: paths.iter().map(terms).collect() }),
        ..TreasuryPlan::new(judged, VENUE, ACCOUNT, limits().cover())
    }
}

/// What the venue and the chain do, and what they have.
struct World {
    rig: Rig,
    wallet: Usd,
    nonce: u64,
    /// Withdrawals wait for this.
    pays: bool,
    /// Deposits wait for this.
    credits: bool,
    /// The venue's answer to what begins there, if it is not yes.
    refusal: Option<TransferOutcome>,
    /// Withdrawn and not paid yet; sent and not credited yet.
    owed: BTreeMap<TransferId, Usd>,
    sent: BTreeMap<TransferId, (Usd, TxHash)>,
    /// What the venue and the chain were asked for, each once.
    asked: BTreeMap<TransferId, TransferIntent>,
    deposits: Vec<DepositSeen>,
}

impl World {
    fn new(unattended: bool, paths: &[DrillPath]) -> World {
        let mut world = World::asleep(unattended, paths);
        world.connect();
        world
    }

    fn asleep(unattended: bool, paths: &[DrillPath]) -> World {
        World {
            rig: Rig::keeping(Some(plan(unattended, paths))),
            wallet: Usd::whole(100),
            nonce: 0,
            pays: true,
            credits: true,
            refusal: None,
            owed: BTreeMap::new(),
            sent: BTreeMap::new(),
            asked: BTreeMap::new(),
            deposits: Vec::new(),
        }
    }

    fn connect(&mut self) {
        self.rig.connect();
        self.tell_wallet();
    }

    fn tell_wallet(&mut self) {
        let at = self.rig.now;
        let view = WalletView {
            chain_id: CHAIN,
            wallet: ACCOUNT,
            token: TOKEN,
            balance: self.wallet,
            gas: Wei::gwei(100_000_000),
            nonce: self.nonce,
            nonce_safe: self.nonce,
            base_fee: Wei::gwei(1),
            head: 1_000 + at.mono / 1_000_000_000,
            safe: 1_000,
            at,
        };
        let roads = UsdcRoads { venue: VENUE, deposit: UsdcRoad::Bridge, withdrawal: UsdcRoad::Bridge, at };
        let mut facts = vec![Fact::Wallet(Box::new(view)), Fact::Roads(roads)];
        if !self.deposits.is_empty() {
            facts.push(Fact::Deposits(VENUE, self.deposits.clone().into()));
        }
        self.rig.apply(&facts);
    }

    /// Time passes, and whoever was asked for something does it.
    fn step(&mut self, by: Span) {
        self.rig.tick(by);
        while !self.rig.pulls.is_empty() {
            self.rig.answer_pull(Vec::new(), Vec::new());
        }
        self.tell_wallet();
        self.rig.tick(Span::secs(1));
        for cleared in std::mem::take(&mut self.rig.transfers) {
            match cleared.step().clone() {
                TransferStep::Start(intent) => self.asked_for(intent),
                TransferStep::Resume(transfer) => match transfer.attempts.last() {
                    Some(attempt) => self.mined(transfer.intent.id, attempt.hash),
                    None => self.asked_for(transfer.intent),
                },
                TransferStep::Send { id, attempt } => self.mined(id, attempt.hash),
            }
        }
        if self.pays {
            for amount in std::mem::take(&mut self.owed).into_values() {
                self.wallet += amount;
            }
        }
        if self.credits {
            for (amount, _) in std::mem::take(&mut self.sent).into_values() {
                self.deposits.push(DepositSeen { venue_ms: self.rig.now.wall_ms, amount });
            }
        }
    }

    fn happened(&mut self, id: TransferId, event: TransferEvent) {
        self.rig.apply(&[Fact::Transfer { id, event: Box::new(event) }]);
    }

    fn asked_for(&mut self, intent: TransferIntent) {
        let id = intent.id;
        let again = self.asked.insert(id, intent.clone()).is_some();
        if intent.route.leg().is_some() {
            let mut hash = [0; 32];
            hash[..4].copy_from_slice(&id.0.to_be_bytes());
            let attempt = Attempt {
                kind: AttemptKind::Send,
                hash: TxHash(hash),
                raw: RawTx(vec![1]),
                gas_limit: 100_000,
                fee_max: Wei::gwei(1),
                tip: Wei::ZERO,
            };
            self.happened(id, TransferEvent::Signed(attempt));
            return;
        }
        let refused = matches!(self.refusal, Some(TransferOutcome::Refused { .. }));
        if !refused {
            self.happened(id, TransferEvent::Sent { hash: None });
        }
        if let Some(outcome) = self.refusal.clone() {
            return self.happened(id, TransferEvent::Ended(outcome));
        }
        if matches!(intent.route, Route::Withdrawal { .. }) && !again {
            self.owed.insert(id, intent.amount - Usd::whole(1));
        }
        self.happened(id, TransferEvent::Accepted);
    }

    fn mined(&mut self, id: TransferId, hash: TxHash) {
        let intent = &self.asked[&id];
        if intent.nonce == self.nonce {
            self.nonce += 1;
            self.wallet -= intent.amount;
            self.sent.insert(id, (intent.amount, hash));
        }
        let found = Inclusion { hash, block: 7, block_hash: TxHash([7; 32]), success: true, gas_cost: Wei::gwei(10_000) };
        for event in [TransferEvent::Sent { hash: Some(hash) }, TransferEvent::Included(found), TransferEvent::Final(found)] {
            self.happened(id, event);
        }
    }

    /// Steps until a drill is over; its receipt.
    fn finish(&mut self) -> DrillReceipt {
        let before = self.view().recent.len();
        for _ in 0..200 {
            self.step(Span::secs(5));
            if let Some((_, receipt)) = self.view().recent.get(before) {
                return receipt.clone();
            }
        }
        panic!("no drill ended: {:?}", self.view());
    }

    fn view(&self) -> DrillView {
        self.rig.desk.drill_view(self.rig.now)
    }

    fn waits(&self, path: DrillPath) -> String {
        self.view().paths.iter().find(|line| line.path == path).and_then(|line| line.waits.clone()).unwrap_or_default()
    }

    fn alerts(&self, words: &str) -> usize {
        self.rig.alerts.iter().filter(|text| text.contains(words)).count()
    }

    fn trust_in_exit(&self) -> Option<domain::Ratio> {
        let today = u32::try_from(self.rig.now.wall_ms / 86_400_000).unwrap_or(u32::MAX);
        let trust = self.rig.desk.guard().venue_trust(VENUE, today);
        trust.marks.iter().find(|mark| mark.question == Question::Exit).and_then(|mark| mark.score)
    }

    fn routes(&self) -> Vec<&'static str> {
        self.asked.values().map(|intent| intent.route.name()).collect()
    }
}

#[test]
fn a_drill_goes_out_and_back_and_tells_how_long_it_took() {
    let mut world = World::new(true, &[DrillPath::Chain]);
    assert_eq!(world.trust_in_exit(), None);
    world.pays = false;
    for _ in 0..40 {
        world.step(Span::secs(5));
    }
    assert_eq!(world.routes(), ["withdrawal"]);
    world.pays = true;
    let receipt = world.finish();
    assert_eq!((receipt.path, receipt.cause, &receipt.outcome), (DrillPath::Chain, DrillCause::Schedule, &DrillOutcome::Passed));
    let hops: Vec<_> = receipt.hops.iter().map(|hop| (hop.hop, hop.route.as_str(), hop.amount, hop.fee)).collect();
    let expected =
        [(Hop::Out, "withdrawal", Usd::whole(6), Usd::whole(1)), (Hop::Back, "bridge deposit", Usd::whole(5), Usd::ZERO)];
    assert_eq!(hops, expected);
    let (out, delay) = (receipt.out().unwrap(), receipt.delay().unwrap());
    assert!(out == delay && (Span::secs(230)..Span::secs(270)).contains(&out), "{out}");
    assert_eq!(world.wallet, Usd::whole(100), "what came out went back");
    world.step(Span::secs(5));
    let seen = world.rig.desk.guard().exit_seen(VENUE).clone();
    assert_eq!(seen.delay_min, 4 + u32::from(out > Span::secs(240)));
    assert!(matches!(seen.drilled, Some(Drilled::Out(drill)) if drill.expected_min == 5), "{seen:?}");
    assert_eq!(world.trust_in_exit(), Some(domain::Ratio::ONE));
}

#[test]
fn the_next_drill_comes_within_a_month_of_the_last_and_not_soon() {
    let mut world = World::new(true, &[DrillPath::Chain]);
    world.finish();
    let due = |world: &World| world.view().paths[0].due_in_s.unwrap();
    let first = due(&world);
    assert!((26 * 86_400..=30 * 86_400).contains(&first), "{first}");
    world.rig.crash();
    world.connect();
    assert!(first - due(&world) < 60, "chance draws the same after a restart");
    world.step(days(26));
    assert_eq!(world.view().recent.len(), 1);
    world.step(days(4));
    assert_eq!(world.finish().outcome, DrillOutcome::Passed);
    assert_eq!(world.alerts("overdue"), 0);
}

#[test]
fn i12_a_crash_at_any_step_leads_to_one_withdrawal_and_one_deposit() {
    for point in 0..20 {
        let mut world = World::new(true, &[DrillPath::Chain]);
        for _ in 0..point {
            world.step(Span::secs(5));
        }
        world.rig.crash();
        // what was released and not yet asked for died with the process
        world.rig.transfers.clear();
        world.connect();
        let ended = world.view().recent.len();
        let receipt = if ended == 1 { world.view().recent[0].1.clone() } else { world.finish() };
        assert_eq!(receipt.outcome, DrillOutcome::Passed, "crash after {point} steps");
        assert_eq!(world.routes(), ["withdrawal", "bridge deposit"], "crash after {point} steps");
        assert_eq!((world.wallet, world.nonce), (Usd::whole(100), 1), "crash after {point} steps");
    }
}

#[test]
fn a_withdrawal_that_is_never_paid_makes_the_buffer_larger_and_keeps_no_help_away() {
    let mut world = World::new(true, &[DrillPath::Chain]);
    world.pays = false;
    for _ in 0..4 {
        world.step(Span::secs(5));
    }
    assert_eq!((world.routes(), world.trust_in_exit()), (vec!["withdrawal"], None));
    for _ in 0..10 {
        world.step(Span::secs(600));
    }
    let seen = world.rig.desk.guard().exit_seen(VENUE).clone();
    assert!(seen.delay_min > 100, "{seen:?}");
    assert!(matches!(&seen.drilled, Some(Drilled::Failed { why, .. }) if why.contains("expected in")), "{seen:?}");
    assert_eq!(world.alerts("the buffer counts the longer time"), 1);
    // somebody else's 1 USDC is not the 5 that are missing
    world.wallet += Usd::whole(1);
    world.step(Span::secs(5));
    assert_eq!(world.view().recent.len(), 0);
    let id = *world.asked.keys().next().unwrap();
    let reply = world.rig.command(Command::CloseTransfer { id, reason: "the bridge is locked".into() });
    assert_eq!(reply, CommandReply::Done);
    world.step(Span::secs(5));
    let view = world.view();
    let (_, receipt) = &view.recent[0];
    assert!(matches!(&receipt.outcome, DrillOutcome::Failed { why } if why.contains("the bridge is locked")), "{receipt:?}");
    assert_eq!((receipt.fees(), receipt.delay(), receipt.out()), (Usd::whole(6), None, None));
    assert_eq!(world.alerts("failed: withdrawal: written off"), 1);
    // the next attempt waits a day, and what was seen counts until it passes
    assert_eq!(view.open, None);
    assert!(world.rig.desk.guard().exit_seen(VENUE).delay_min > 100);
    world.pays = true;
    world.owed.clear();
    world.step(DAY);
    assert_eq!(world.finish().outcome, DrillOutcome::Passed);
    world.step(Span::secs(5));
    assert!(world.rig.desk.guard().exit_seen(VENUE).delay_min < 5);
}

#[test]
fn a_credit_that_comes_late_is_a_long_way_back() {
    let mut world = World::new(true, &[DrillPath::Chain]);
    world.credits = false;
    for _ in 0..10 {
        world.step(Span::secs(300));
    }
    assert_eq!(world.routes(), ["withdrawal", "bridge deposit"]);
    assert!(world.rig.desk.guard().exit_seen(VENUE).delay_min >= 40);
    world.credits = true;
    let receipt = world.finish();
    assert_eq!(receipt.outcome, DrillOutcome::Passed);
    assert!(receipt.delay().unwrap() > Span::secs(2_400) && receipt.out().unwrap() < Span::secs(600), "{receipt:?}");
}

#[test]
fn without_the_operators_signer_nothing_is_withdrawn_and_the_drill_grows_overdue() {
    let mut world = World::new(false, &[DrillPath::Chain]);
    world.step(Span::secs(5));
    assert!(
        world.waits(DrillPath::Chain).contains("plimsoll drill --path chain --signer FILE"),
        "{}",
        world.waits(DrillPath::Chain)
    );
    world.step(days(2));
    assert_eq!((world.alerts("overdue"), world.asked.len()), (0, 0));
    world.step(days(2));
    world.step(Span::secs(5));
    assert_eq!((world.alerts("the drill of chain is overdue"), world.asked.len()), (1, 0));
    assert!(matches!(world.rig.desk.guard().exit_seen(VENUE).drilled, Some(Drilled::Overdue { .. })));
    world.step(DAY);
    assert_eq!(world.alerts("the drill of chain is overdue"), 2, "told again after a day");

    let drill = |signer| Command::Drill { path: DrillPath::Chain, signer };
    let CommandReply::Refused(faults) = world.rig.command(drill(false)) else { panic!("needs a signer") };
    assert!(faults[0].expected.contains("the operator's own signer"), "{faults:?}");
    let CommandReply::Refused(faults) = world.rig.command(Command::Drill { path: DrillPath::Spot, signer: true }) else {
        panic!("not configured")
    };
    assert_eq!((faults[0].value.as_str(), faults[0].expected.as_str()), ("spot", "one of chain"));
    world.tell_wallet();
    let CommandReply::Drilling(id) = world.rig.command(drill(true)) else { panic!("{:?}", world.rig.replies) };
    let receipt = world.finish();
    assert_eq!((receipt.cause, &receipt.outcome), (DrillCause::Operator, &DrillOutcome::Passed));
    assert_eq!(world.rig.desk.drill_receipt(id), Some(&receipt));
    world.step(Span::secs(5));
    assert_eq!(world.trust_in_exit(), Some(domain::Ratio::ONE), "no longer overdue");
}

#[test]
fn paths_inside_the_venue_need_no_signer_and_say_nothing_of_the_way_out() {
    let paths = [DrillPath::Spot, DrillPath::SubAccount(SUB)];
    let mut world = World::new(false, &paths);
    let (first, second) = (world.finish(), world.finish());
    assert_eq!([first.path, second.path], paths);
    assert_eq!(world.routes(), ["perp to spot", "spot to perp", "sub-account", "sub-account"]);
    let deposits: Vec<bool> = world
        .asked
        .values()
        .filter_map(|intent| if let Route::SubAccount { deposit, .. } = intent.route { Some(deposit) } else { None })
        .collect();
    assert_eq!(deposits, [true, false], "out and back");
    world.step(Span::secs(5));
    assert_eq!(world.rig.desk.guard().exit_seen(VENUE).drilled, None);
}

#[test]
fn what_the_venue_refuses_has_failed_and_is_tried_again_after_a_day() {
    let mut world = World::new(true, &[DrillPath::Chain]);
    world.refusal = Some(TransferOutcome::Rejected { why: "Insufficient balance for withdrawal".into() });
    let receipt = world.finish();
    assert!(matches!(&receipt.outcome, DrillOutcome::Failed { why } if why.contains("Insufficient balance")), "{receipt:?}");
    assert_eq!((receipt.hops.len(), receipt.fees()), (1, Usd::ZERO));
    world.refusal = None;
    for _ in 0..20 {
        world.step(Span::secs(600));
    }
    assert_eq!(world.asked.len(), 1);
    world.step(DAY);
    assert_eq!(world.finish().outcome, DrillOutcome::Passed);

    // what was never sent says nothing of the path
    let mut world = World::new(true, &[DrillPath::Chain]);
    world.refusal = Some(TransferOutcome::Refused { why: "the gate is closed".into() });
    let receipt = world.finish();
    assert_eq!((receipt.passed(), receipt.hops.len()), (false, 0));
    world.step(Span::secs(5));
    assert_eq!(world.rig.desk.guard().exit_seen(VENUE).drilled, None);
}

#[test]
fn i13_a_destination_that_is_new_is_asked_for_once_an_hour() {
    let mut strict = plan(true, &[DrillPath::Chain]);
    let raw: RawTreasury = serde_json::from_str(strict.limits.text()).unwrap();
    let raw = RawTreasury { destination_delay_hours: Some("24".into()), ..raw };
    strict.limits = TreasuryLimits::check(&raw).unwrap();
    let mut world = World::asleep(true, &[]);
    world.rig = Rig::keeping(Some(strict));
    world.connect();
    let refusals = |world: &World| world.rig.log.iter().filter(|s| matches!(s.entry, Entry::TransferRefused { .. })).count();
    for _ in 0..30 {
        world.step(Span::secs(60));
    }
    assert_eq!((refusals(&world), world.asked.len()), (1, 0));
    assert!(world.waits(DrillPath::Chain).contains("destination home is listed for"), "{}", world.waits(DrillPath::Chain));
    world.step(Span::secs(24 * 3_600));
    assert_eq!(world.finish().outcome, DrillOutcome::Passed);
}

#[test]
fn no_drill_begins_while_anything_else_is_wrong() {
    let mut world = World::new(true, &[DrillPath::Chain]);
    world.rig.transfers.clear();
    let mut world = {
        // stopped from the first look on
        world.rig.log.retain(|s| !matches!(s.entry, Entry::Drill { .. } | Entry::Transfer { .. }));
        world.rig.crash();
        world
    };
    world.rig.command(Command::Kill(Stop::all(StopLevel::ReduceOnly, Trigger::Operator, "test")));
    world.connect();
    world.step(Span::secs(5));
    assert!(
        world.waits(DrillPath::Chain).contains("trading is stopped (reduce-only): test"),
        "{}",
        world.waits(DrillPath::Chain)
    );
    world.rig.command(Command::rearm("looked"));
    // cover 1,000,000 / 300,000 = 3.3: watched, and nothing more
    world.rig.maintenance = Usd::whole(300_000);
    for _ in 0..3 {
        world.step(Span::secs(1));
    }
    assert_eq!(world.waits(DrillPath::Chain), "the margin level is watch");
    assert_eq!(world.asked.len(), 0);
    world.rig.maintenance = Usd::whole(1_000);
    assert_eq!(world.finish().outcome, DrillOutcome::Passed);
}
