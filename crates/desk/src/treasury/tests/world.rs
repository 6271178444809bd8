//! A small world for planner and judge: an account that the market moves, places with money, a chain and a venue that answer late,
//! twice or never, and restarts from the log. What is decided is checked by sums of its own.

use domain::{
    Attempt, AttemptKind, Entry, Epoch, Inclusion, JournalTag, MarginLevel, Prng, RawTx, Route, Seed, Stamped, TransferEvent,
    TransferIntent, TransferOutcome, TxHash, UsdcRoad, WalletView,
};
use margin_guard::{ClearedTransfer, RawDestination, RawNumber, RawWallet, TransferStep};

use super::super::account::AccountNow;
use super::super::plan::into;
use super::*;

const HOUR: Span = Span::secs(3_600);
const BRIDGE: u8 = 3;
const SUB: u8 = 4;

/// What happened often enough to have been tried.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Met {
    spot: u32,
    sub: u32,
    bridge: u32,
    isolated: u32,
    sweep: u32,
    wait: u32,
    reduce: u32,
    stuck: u32,
    cascade: u32,
    refused: u32,
    restart: u32,
    credited: u32,
    lost: u32,
    budget_bound: u32,
    restored: u32,
}

impl Met {
    pub(super) fn add(&mut self, other: &Met) {
        let Met {
            spot,
            sub,
            bridge,
            isolated,
            sweep,
            wait,
            reduce,
            stuck,
            cascade,
            refused,
            restart,
            credited,
            lost,
            budget_bound,
            restored,
        } = other;
        self.spot += spot;
        self.sub += sub;
        self.bridge += bridge;
        self.isolated += isolated;
        self.sweep += sweep;
        self.wait += wait;
        self.reduce += reduce;
        self.stuck += stuck;
        self.cascade += cascade;
        self.refused += refused;
        self.restart += restart;
        self.credited += credited;
        self.lost += lost;
        self.budget_bound += budget_bound;
        self.restored += restored;
    }

    pub(super) fn check(&self) {
        let all = format!("{self:?}");
        assert!(!all.contains(": 0,") && !all.ends_with(": 0 }"), "something was never met: {all}");
    }
}

/// A transfer that was cleared.
struct Flight {
    intent: TransferIntent,
    at: Stamp,
    stage: u8,
    /// What becomes of it: 0 to 5 arrives, 6 reverts or is refused, 7 is credited by nobody.
    fate: u64,
    /// Whether its money has reached the account, and when.
    reached: Option<Stamp>,
    /// When it was over, and whether anything may have moved.
    ended: Option<(Stamp, bool)>,
}

pub(super) struct World {
    chance: Prng,
    now: Stamp,
    epoch: u32,
    raw: RawTreasury,
    plan: TreasuryPlan,
    cover: Cover,
    treasurer: Treasurer,
    pub(super) log: Vec<Stamped>,
    equity: Usd,
    maintenance: Usd,
    fall: Usd,
    isolated_short: Usd,
    spot: Usd,
    sub: Usd,
    wallet: Usd,
    mined: u64,
    level: MarginLevel,
    /// The account as it was reported last, and when.
    report: (Usd, Stamp),
    flights: Vec<Flight>,
    nonce: u64,
    pub(super) met: Met,
}

fn some(chance: &mut Prng, most: u64) -> Usd {
    // in cents, so that amounts are those of people
    Usd::from_micros(chance.below(most * 100 + 1) * 10_000)
}

fn config(chance: &mut Prng) -> TreasuryPlan {
    let number = |n: u64| Some(RawNumber::new(n.to_string()));
    let transfer = 5 + chance.below(400);
    let hour = transfer + chance.below(400);
    let day = hour + chance.below(800);
    let inside = 1 + chance.below(500);
    let to = |kind: &str, byte| RawDestination { kind: kind.into(), address: address(byte).to_string() };
    let raw = RawTreasury {
        transfer_max_usd: number(transfer),
        hour_max_usd: number(hour),
        day_max_usd: number(day),
        week_max_usd: number(day + chance.below(500)),
        inside_transfer_max_usd: number(inside),
        inside_day_max_usd: number(inside + chance.below(1_000)),
        destination_delay_hours: number(if chance.chance(1, 8) { 1 } else { 0 }),
        wallet: Some(RawWallet { chain_id: number(412_346), address: address(1).to_string(), token: address(2).to_string() }),
        destination: [("bridge", to("bridge", BRIDGE)), ("sub", to("sub_account", SUB))]
            .into_iter()
            .map(|(name, one)| (name.to_owned(), one))
            .collect(),
        ..RawTreasury::default()
    };
    let mut floor = |odds| chance.chance(odds, 4).then(|| some(chance, 50));
    let (spot_floor, sub_account_floor, reserve) = (floor(3), floor(2), floor(3));
    TreasuryPlan {
        spot_floor,
        sub_account_floor,
        isolated: chance.chance(1, 2),
        wallet: reserve.map(|reserve| WalletRung { reserve, gas_reserve: Wei::gwei(1_000), cctp: None }),
        sweep: chance.chance(1, 4).then(|| Sweep { ceiling: rat("8"), least: usd("10") }),
        ..TreasuryPlan::new(limits(&raw), Venue::Hyperliquid, address(1), &cover())
    }
}

impl World {
    pub(super) fn new(seed: Seed) -> World {
        let mut chance = seed.fork("treasury.world");
        let plan = config(&mut chance);
        let unit = [100, 30, 6][usize::try_from(chance.below(3)).unwrap_or(0)];
        let maintenance = Usd::whole(unit);
        let equity = maintenance.times(rat("3.5"));
        let (fall, spot, sub, wallet) = (
            some(&mut chance, 250).times(equity.over(Usd::whole(350)).unwrap_or_default()),
            some(&mut chance, 300),
            some(&mut chance, 300),
            some(&mut chance, 2_000),
        );
        let mut world = World {
            now: Stamp { mono: 1_000_000_000, wall_ms: 1_790_000_000_000 },
            epoch: 0,
            treasurer: Treasurer::new(plan.clone()),
            raw: serde_json::from_str(plan.limits.text()).unwrap_or_else(|e| panic!("{e}")),
            plan,
            cover: cover(),
            log: Vec::new(),
            equity,
            maintenance,
            fall,
            isolated_short: Usd::ZERO,
            spot,
            sub,
            wallet,
            mined: 0,
            level: MarginLevel::Ok,
            report: (equity, Stamp::default()),
            flights: Vec::new(),
            nonce: 0,
            met: Met::default(),
            chance,
        };
        world.boot();
        world
    }

    fn record(&mut self, entry: Entry) {
        self.treasurer.fold(self.now, &entry).unwrap_or_else(|fault| panic!("{fault}: {entry:?}"));
        self.log.push(Stamped { at: self.now, entry });
    }

    fn event(&mut self, id: TransferId, event: TransferEvent) {
        self.record(Entry::Transfer { id, event });
    }

    /// A tenure begins over the log.
    fn boot(&mut self) {
        self.epoch += 1;
        self.treasurer = Treasurer::new(self.plan.clone());
        for stamped in &self.log {
            self.treasurer.fold(stamped.at, &stamped.entry).unwrap_or_else(|fault| panic!("{fault}"));
        }
        let epoch = Epoch(self.epoch);
        self.record(Entry::Epoch { epoch, tag: JournalTag(1), seed: Seed(1), binary: String::new(), config: String::new() });
        if let Some(entry) = self.treasurer.judge.record() {
            self.record(entry);
        }
        self.record(Entry::Reconciled { epoch, state: String::new(), repairs: 0 });
        let open: Vec<TransferId> = self.treasurer.unresumed().map(|t| t.intent.id).collect();
        for id in open {
            let refused = self.treasurer.clear(self.now, 0, Route::SpotToPerp, Usd::whole(1), Usd::ZERO, "");
            assert!(refused.is_err(), "nothing new before what is open was taken up");
            self.treasurer.resumed.insert(id);
            if let Ok(cleared) = self.treasurer.judge.clear_resumed(self.now, id) {
                self.record(cleared.entry());
            }
        }
    }

    pub(super) fn run(&mut self, steps: u32) {
        for _ in 0..steps {
            self.pass();
            self.market();
            for at in 0..self.flights.len() {
                self.travel(at);
            }
            if self.chance.chance(1, 40) {
                self.met.restart += 1;
                self.boot();
            }
            self.tell();
            self.look();
        }
    }

    fn pass(&mut self) {
        let by = match self.chance.below(20) {
            0 => Span(HOUR.0 * self.chance.below(30)),
            1..4 => Span::secs(60 * self.chance.below(30)),
            _ => Span::secs(1 + self.chance.below(10)),
        };
        self.now = self.now + by.max(Span::secs(1));
    }

    fn market(&mut self) {
        let cents = match self.chance.below(12) {
            0 => self.chance.between(-15_000, 0),
            1 => self.chance.between(0, 80_000),
            _ => self.chance.between(-1_500, 1_200),
        };
        let step = self.maintenance.times(Ratio::scaled(cents, 4));
        self.equity = (self.equity + step).max(self.maintenance.times(rat("1.2")));
        if self.chance.chance(1, 10) {
            self.isolated_short = some(&mut self.chance, 20);
        }
        let cover = self.equity.over(self.maintenance).unwrap_or_default();
        let below = |text: &str| cover < rat(text);
        self.level = if below("2") {
            MarginLevel::Reduce
        } else if below("3") || self.level >= MarginLevel::TopUp && below("3.3") {
            MarginLevel::TopUp
        } else if below("4") {
            MarginLevel::Watch
        } else {
            MarginLevel::Ok
        };
    }

    /// What becomes of a transfer under way, one stage at a time.
    fn travel(&mut self, at: usize) {
        let moves = self.chance.chance(2, 3);
        let Some((id, route, amount, stage, fate)) = self
            .flights
            .get(at)
            .filter(|f| f.ended.is_none() && moves)
            .map(|f| (f.intent.id, f.intent.route, f.intent.amount, f.stage, f.fate))
        else {
            return;
        };
        if route.leg().is_some() {
            self.travel_chain(at, id, amount, stage, fate)
        } else {
            self.travel_inside(at, id, stage, fate)
        }
    }

    fn travel_inside(&mut self, at: usize, id: TransferId, stage: u8, fate: u64) {
        match (stage, fate) {
            (0, 6) => {
                self.event(id, TransferEvent::Ended(TransferOutcome::Rejected { why: "no".into() }));
                self.end(at, false);
                return;
            }
            (0, 7) => {
                // it happens, and the answer is lost
                self.event(id, TransferEvent::Sent { hash: None });
                self.arrive(at);
                self.event(id, TransferEvent::Overdue { why: "no usable answer".into() });
                self.met.lost += 1;
            }
            (0, _) => {
                self.event(id, TransferEvent::Sent { hash: None });
                self.arrive(at);
            }
            _ => {
                self.event(id, TransferEvent::Accepted);
                self.end(at, true);
            }
        }
        if let Some(flight) = self.flights.get_mut(at) {
            flight.stage += 1;
        }
    }

    fn travel_chain(&mut self, at: usize, id: TransferId, amount: Usd, stage: u8, fate: u64) {
        let hash = TxHash([u8::try_from(id.0 % 251).unwrap_or(0); 32]);
        let found = |block| Inclusion { hash, block, block_hash: hash, success: fate != 6, gas_cost: Wei::gwei(500) };
        match stage {
            0 => {
                let attempt = Attempt {
                    kind: AttemptKind::Send,
                    hash,
                    raw: RawTx(vec![1]),
                    gas_limit: 100_000,
                    fee_max: Wei(10_000_000),
                    tip: Wei(1),
                };
                let Ok(cleared) = self.treasurer.judge.clear_signed(self.now, id, &attempt) else {
                    self.event(id, TransferEvent::Ended(TransferOutcome::Refused { why: "judged again".into() }));
                    self.end(at, false);
                    return;
                };
                self.record(cleared.entry());
                self.event(id, TransferEvent::Sent { hash: Some(hash) });
            }
            1 => {
                self.event(id, TransferEvent::Included(found(u64::from(id.0))));
                self.mined += 1;
                if fate != 6 {
                    self.wallet -= amount;
                }
            }
            2 if fate != 6 && fate != 7 => {
                self.arrive(at);
                let rows = DepositSeen { venue_ms: self.now.wall_ms, amount };
                self.event(id, TransferEvent::Credited { amount: rows.amount, venue_ms: rows.venue_ms });
                self.met.credited += 1;
            }
            2 => self.met.lost += u32::from(fate == 7),
            3 => {
                self.event(id, TransferEvent::Final(found(u64::from(id.0))));
                if fate != 7 {
                    self.end(at, fate != 6);
                }
            }
            4..12 => {}
            _ => {
                // nobody credits it, and the operator gives it up
                self.event(id, TransferEvent::Ended(TransferOutcome::WrittenOff { reason: "lost".into() }));
                self.end(at, true);
            }
        }
        if let Some(flight) = self.flights.get_mut(at) {
            flight.stage += 1;
        }
    }

    /// The money of a flight moves, in truth.
    fn arrive(&mut self, at: usize) {
        let Some(flight) = self.flights.get_mut(at) else { return };
        flight.reached = Some(self.now);
        let amount = flight.intent.amount;
        match flight.intent.route {
            Route::SpotToPerp => (self.spot, self.equity) = (self.spot - amount, self.equity + amount),
            Route::PerpToSpot => (self.spot, self.equity) = (self.spot + amount, self.equity - amount),
            Route::SubAccount { .. } => (self.sub, self.equity) = (self.sub - amount, self.equity + amount),
            Route::IsolatedMargin { .. } => {
                self.equity -= amount;
                self.isolated_short = (self.isolated_short - amount).max(Usd::ZERO);
            }
            Route::Bridge(_) => self.equity += amount,
            Route::Cctp { .. } | Route::Withdrawal { .. } => panic!("not decided here"),
        }
    }

    fn end(&mut self, at: usize, moved: bool) {
        let now = self.now;
        if let Some(flight) = self.flights.get_mut(at) {
            flight.ended = Some((now, moved));
        }
    }

    fn tell(&mut self) {
        let (now, venue) = (self.now, Venue::Hyperliquid);
        if self.chance.chance(4, 5) {
            self.report = (self.equity, now);
        }
        for (place, free) in [(IdlePlace::Spot, self.spot), (IdlePlace::SubAccount(address(SUB)), self.sub)] {
            if self.chance.chance(4, 5) {
                self.treasurer.observe(&Fact::Idle(IdleBalance { venue, place, free, at: now }));
            }
        }
        let deposit = if self.chance.chance(1, 30) { UsdcRoad::Unknown } else { UsdcRoad::Bridge };
        self.treasurer.observe(&Fact::Roads(UsdcRoads { venue, deposit, withdrawal: UsdcRoad::Bridge, at: now }));
        if self.chance.chance(1, 10) {
            self.treasurer.observe(&Fact::WalletDoubt("the endpoints disagree".into()));
        } else {
            let view = WalletView {
                chain_id: 412_346,
                wallet: address(1),
                token: address(2),
                balance: self.wallet,
                gas: Wei::gwei(10_000_000),
                nonce: self.mined,
                nonce_safe: self.mined,
                base_fee: if self.chance.chance(1, 20) { Wei::gwei(1_000) } else { Wei(10_000_000) },
                head: 9,
                safe: 9,
                at: now,
            };
            self.treasurer.observe(&Fact::Wallet(Box::new(view)));
        }
        for (id, why) in self.treasurer.judge.overdue(now) {
            self.event(id, TransferEvent::Overdue { why });
        }
    }

    fn look(&mut self) {
        let mut line = line(self.level, self.report.0, self.maintenance, self.fall);
        if self.chance.chance(1, 20) {
            line.doubt = Some("nobody knows".into());
        }
        if self.chance.chance(1, 10) {
            line.runway_hours = Some(rat("0.01"));
        }
        let needy = plan::Isolated { instrument: btc(), cover: rat("2.5"), short: self.isolated_short };
        let isolated = if self.plan.isolated && self.isolated_short > Usd::ZERO { vec![needy] } else { Vec::new() };
        let account = AccountNow {
            line: &line,
            withdrawable: line.equity,
            reported: Some(self.report.1),
            isolated,
            equity_all: self.report.0,
            unwinding: None,
        };
        let begun = self.treasurer.begun;
        for _ in 0..8 {
            let decision = self.treasurer.decide(self.now, &self.cover, &account);
            let Some(step) = decision.step.clone() else {
                self.adopt(decision, begun);
                return;
            };
            assert!(line.doubt.is_none(), "I34: {}", decision.why);
            let found = self.treasurer.clear(self.now, self.nonce, step.route, step.amount, step.fee_max, &decision.why);
            self.treasurer.note(self.now, &decision, &account, found.as_ref().err());
            match found {
                Ok(cleared) => {
                    self.cleared(&cleared, &line, &decision);
                    self.record(cleared.entry());
                    self.adopt(decision, begun);
                    return;
                }
                Err(_) => self.met.refused += 1,
            }
        }
        panic!("a source that was refused is asked again and again");
    }

    fn adopt(&mut self, decision: Decision, begun: bool) {
        match decision.action {
            TreasuryAction::Rest => self.met.restored += u32::from(begun),
            TreasuryAction::Sweep | TreasuryAction::TopUp => {}
            TreasuryAction::Wait => self.met.wait += 1,
            TreasuryAction::Stuck => self.met.stuck += 1,
            TreasuryAction::Reduce => {
                self.met.reduce += 1;
                self.met.cascade += u32::from(decision.why.contains("no more is sent into it"));
                self.met.budget_bound += u32::from(decision.why.contains("the budgets leave"));
            }
        }
        if let Some(entry) = self.treasurer.adopt(self.now, decision) {
            self.record(entry);
        }
    }

    /// A transfer was cleared: is it one that may be?
    fn cleared(&mut self, cleared: &ClearedTransfer, line: &AccountLine, decision: &Decision) {
        let TransferStep::Start(intent) = cleared.step() else { panic!("a new one: {cleared:?}") };
        let (now, amount) = (self.now, intent.amount);
        let budget = |text: &Option<RawNumber>| text.as_ref().map_or(Usd::ZERO, |n| usd(&n.to_string()));
        let raw = &self.raw;
        let inside = intent.route.inside();
        let spent = |window: Span| -> Usd {
            let counts = |f: &&Flight| {
                let nothing = f.ended.is_some_and(|(_, moved)| !moved);
                f.intent.route.inside() == inside && !nothing && (f.ended.is_none() || now.since(f.at) < window)
            };
            self.flights.iter().filter(counts).map(|f| f.intent.amount).sum::<Usd>() + amount
        };
        let windows = if inside {
            vec![(Span(HOUR.0 * 24), &raw.inside_day_max_usd)]
        } else {
            vec![(HOUR, &raw.hour_max_usd), (Span(HOUR.0 * 24), &raw.day_max_usd), (Span(HOUR.0 * 168), &raw.week_max_usd)]
        };
        for (window, max) in windows {
            assert!(spent(window) <= budget(max), "I11: {} of {max:?} in {window}: {decision:?}", spent(window));
        }
        let max = if inside { &raw.inside_transfer_max_usd } else { &raw.transfer_max_usd };
        assert!(amount <= budget(max), "I11: {decision:?}");
        let open = self.flights.iter().find(|f| f.ended.is_none() && f.intent.route.inside() == inside);
        assert!(open.is_none(), "I12: two at once: {decision:?}");
        self.floors(intent);
        self.within_need(intent, line, decision);
        let fate = self.chance.below(8);
        if inside {
            self.nonce = intent.nonce;
            assert_eq!(intent.nonce % 2, 0, "ADR 3");
        } else {
            assert_eq!(intent.nonce, self.mined, "I12: nonces are gap-free");
        }
        self.flights.push(Flight { intent: intent.clone(), at: now, stage: 0, fate, reached: None, ended: None });
    }

    fn floors(&mut self, intent: &TransferIntent) {
        let (amount, met) = (intent.amount, &mut self.met);
        match intent.route {
            Route::SpotToPerp => {
                met.spot += 1;
                assert!(self.spot - amount >= self.plan.spot_floor.unwrap_or(self.spot), "{} of {}", amount, self.spot);
            }
            Route::SubAccount { sub, deposit } => {
                met.sub += 1;
                assert_eq!((sub, deposit), (address(SUB), false), "I13");
                assert!(self.sub - amount >= self.plan.sub_account_floor.unwrap_or(self.sub), "{} of {}", amount, self.sub);
            }
            Route::Bridge(leg) => {
                met.bridge += 1;
                assert_eq!(leg.contract, address(BRIDGE), "I13");
                assert!(amount >= usd("5"), "F92: {amount}");
                let reserve = self.plan.wallet.as_ref().map_or(self.wallet, |rung| rung.reserve);
                assert!(self.wallet - amount >= reserve, "{} of {}", amount, self.wallet);
            }
            Route::IsolatedMargin { .. } => {
                met.isolated += 1;
                assert!(self.plan.isolated && amount <= self.isolated_short.ceil(2), "{amount}");
            }
            Route::PerpToSpot => {
                met.sweep += 1;
                let ceiling = self.plan.sweep.map_or(Ratio::ZERO, |sweep| sweep.ceiling);
                assert!(self.report.0 - amount >= self.maintenance.times(ceiling), "below the ceiling: {amount}");
            }
            Route::Cctp { .. } | Route::Withdrawal { .. } => panic!("not asked for"),
        }
    }

    /// Never more than 5 % above the target in the scenario that needs most, with all that is still to come.
    fn within_need(&self, intent: &TransferIntent, line: &AccountLine, decision: &Decision) {
        if !into(&intent.route, self.plan.account) {
            return;
        }
        let coming = |f: &&Flight| {
            let comes = into(&f.intent.route, self.plan.account) && f.ended.is_none_or(|(_, moved)| moved) && f.fate != 6;
            // given up, or in the report already
            let over = f.ended.is_some() && f.reached.is_none();
            comes && !over && f.reached.is_none_or(|at| at.mono > self.report.1.mono)
        };
        let coming: Usd = self.flights.iter().filter(coming).map(|f| f.intent.amount).sum();
        let short = if self.plan.isolated { self.isolated_short } else { Usd::ZERO };
        let equity = line.equity.unwrap_or_default() + coming + intent.amount - short;
        let now = equity <= self.maintenance.times(self.plan.target).times(rat("1.05"));
        let shocked = equity - self.fall <= self.maintenance.times(self.plan.target_shocked).times(rat("1.05"));
        let cent = usd("0.01");
        assert!(now || shocked || intent.amount <= cent, "overshoots with {coming} to come: {decision:?}");
    }
}
