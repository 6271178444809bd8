//! Seeded worlds in which money moves by itself: the desk with its treasury, the judge, `chain::machine` on a simulated chain and the
//! simulated venue, in virtual time, with everything going wrong: markets that fall again and again, a daemon that dies between any
//! two steps, answers that are lost, transactions that are dropped, replaced, reorganised or reverted, dear gas, endpoints that lie,
//! credits that come late, never or twice, strangers in the wallet, and an operator who writes off. Afterwards nothing does, and then
//! the ledgers of chain, venue and journal must agree, and the account must be covered where that was possible.
//!
//! A failing seed is printed; put it into `FOUND`, where it stays. `PLIMSOLL_MONEY_SEEDS=0..10000` runs others.

mod onchain;
#[path = "../reckless/mod.rs"]
mod reckless;
mod verdict;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;

use desk::{TreasuryPlan, WalletRung};
use domain::margin::MarginTable;
use domain::{
    Bar, Command, EndPolicy, Entry, EvmAddress, FIVE_MINUTES, Fact, FundingRate, HOURLY, InstrumentId, ParentChange, ParentId,
    ParentSpec, Placement, Prng, Px, Qty, Ratio, Schedule, Seed, Side, Span, Stamp, Stop, StopLevel, Transfer, TransferEvent,
    TransferId, TransferIntent, Trigger, Usd, UsdcRoad, Venue, Wei,
};
use exchange::{Asset, ExchangeSpec, Fault, MarketSpec, SyntheticFlow, SyntheticParams};
use margin_guard::{RawDestination, RawNumber, RawTreasury, RawWallet, TreasuryLimits};
use onchain::{BRIDGE, CHAIN, Chain, Credit, Shared, TOKEN, WALLET};
use plimsoll_lab::{Faults, Money, World, WorldSpec};
use rust_decimal::Decimal;

const START_MS: u64 = 1_790_000_400_000;
const HOUR_MS: u64 = 3_600_000;
const ACCOUNT_USD: i32 = 10_000;
const SUB: EvmAddress = EvmAddress([0x5B; 20]);
const LISTED: [EvmAddress; 2] = [BRIDGE, SUB];
/// Seconds in which the position is built.
const BUILD: u64 = 40;
/// After how long in calm weather everything must have come to its end, seconds.
const CALM: u64 = 900;
/// Maintenance of the market: half of the initial margin at 40 times.
const MAINTENANCE: Decimal = Decimal::from_parts(125, 0, 0, false, 4);
/// Seconds within which the desk must have heard of everything that was filled.
const NEWS: u32 = 30;
/// Seeds that once failed.
const FOUND: &[u64] = &[204, 229, 308, 345, 1061, 5063];

fn n(text: &str) -> Option<RawNumber> {
    Some(RawNumber::new(text))
}

/// What a seed decides about money.
struct Terms {
    treasury: TreasuryLimits,
    spot: u64,
    sub: u64,
    wallet: u64,
    reserve: i32,
    credit: Credit,
}

fn pick<T: Copy>(chance: &mut Prng, of: &[T]) -> T {
    of[usize::try_from(chance.below(of.len() as u64)).unwrap_or(0)]
}

fn terms(chance: &mut Prng) -> Terms {
    let wallet = RawWallet { chain_id: n(&CHAIN.to_string()), address: WALLET.to_string(), token: TOKEN.to_string() };
    let to = |kind: &str, address: EvmAddress| RawDestination { kind: kind.into(), address: address.to_string() };
    let most = pick(chance, &[250_u64, 600, 2_000]);
    let windows = pick(chance, &[1_u64, 2, 5]);
    let raw = RawTreasury {
        transfer_max_usd: n(&most.to_string()),
        hour_max_usd: n(&(most * windows).to_string()),
        day_max_usd: n(&(most * windows * 2).to_string()),
        inside_transfer_max_usd: n("400"),
        inside_day_max_usd: n(pick(chance, &["500", "2000"])),
        week_max_usd: n("100000"),
        destination_delay_hours: n("0"),
        credit_timeout_min: n(pick(chance, &["3", "15"])),
        wallet: Some(wallet),
        destination: [("bridge".to_owned(), to("bridge", BRIDGE)), ("sub".to_owned(), to("sub_account", SUB))].into(),
        ..RawTreasury::default()
    };
    Terms {
        treasury: TreasuryLimits::check(&raw).unwrap_or_else(|faults| panic!("{faults:?}")),
        spot: pick(chance, &[0, 0, 150, 700]),
        sub: pick(chance, &[0, 0, 120, 600]),
        wallet: pick(chance, &[3, 400, 3_000, 20_000]),
        reserve: pick(chance, &[0, 100]),
        credit: pick(chance, &[Credit::Prompt, Credit::Prompt, Credit::Late, Credit::Never, Credit::Twice]),
    }
}

fn plan(terms: &Terms) -> TreasuryPlan {
    let limits = reckless::limits(&["hyperliquid:BTC"]);
    let plan = TreasuryPlan::new(terms.treasury.clone(), Venue::Hyperliquid, WALLET, limits.cover());
    let wallet = WalletRung { reserve: Usd::whole(terms.reserve), gas_reserve: Wei::gwei(1_000_000), cctp: None };
    let plan = TreasuryPlan {
        target_shocked: limits.cover().kill.max(plan.target_shocked),
        spot_floor: Some(Usd::whole(10)),
        sub_account_floor: Some(Usd::ZERO),
        wallet: Some(wallet),
        ..plan
    };
    assert_eq!(plan.faults(limits.cover()), []);
    plan
}

/// Thirty-two days of hourly bars and funding, two days of five-minute bars.
fn history(id: InstrumentId, px: i64) -> Vec<Fact> {
    let mut chance = Seed(7).fork("money.history");
    let mut bars = |count: u64, span: Span, widest: i64| -> Arc<[Bar]> {
        let (mut last, length) = (px, span.as_millis());
        let first = START_MS - START_MS % length - count * length;
        let bar = |at: u64| {
            let open = last;
            last += chance.between(-widest, widest) * px / 10_000 + (px - last) / 20;
            let (high, low) = (Px(open.max(last)), Px(open.min(last)));
            Bar { start_ms: first + at * length, open: Px(open), high, low, close: Px(last) }
        };
        (0..count).map(bar).collect()
    };
    let (hourly, five) = (bars(32 * 24, HOURLY, 60), bars(600, FIVE_MINUTES, 15));
    let hours = START_MS / HOUR_MS - 32 * 24..START_MS / HOUR_MS;
    let rate = |h: u64| FundingRate { until_ms: (h + 1) * HOUR_MS, hours: 1, hourly: Ratio::scaled(125, 7) };
    vec![
        Fact::Bars { instrument: id, span: HOURLY, bars: hourly },
        Fact::Bars { instrument: id, span: FIVE_MINUTES, bars: five },
        Fact::FundingRates { instrument: id, source: Arc::from("hyperliquid"), rates: hours.map(rate).collect() },
    ]
}

/// A world, and what its seed decided.
struct Run {
    world: World,
    chain: Rc<RefCell<Chain>>,
    terms: Terms,
    faults: Faults,
    /// The market moves.
    falling: bool,
    seen: usize,
    said: Vec<String>,
    met: BTreeMap<&'static str, u32>,
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut chance = Seed(seed).fork("money.terms");
        let terms = terms(&mut chance);
        // a person who trades the account by hand stops the market, which other worlds are about
        let faults = Faults { strangers: 0, orphans: 0, post_only: 0, ..Faults::draw(Seed(seed)) };
        let market = MarketSpec::hyperliquid("BTC", 0, 5, MarginTable::flat(40), Decimal::from(60_000));
        let market = market.unwrap_or_else(|e| panic!("{e}"));
        let id = market.instrument.id;
        let params = SyntheticParams {
            levels: 8,
            half_spread_steps: 1,
            mean_gap_ms: 1_000,
            trades_per_100: 20,
            level_lots: 400_000,
            trade_lots: 20_000,
            move_steps_max: 1,
            reversion: 100,
        };
        let flow = SyntheticFlow::new(&market.instrument, Px(600_000), START_MS, params, Seed(seed));
        let start = Stamp { mono: 0, wall_ms: START_MS };
        let chain = Rc::new(RefCell::new(Chain::new(Seed(seed), terms.credit, terms.wallet, start)));
        let usd = |units: u64| Usd::from_micros(units * 1_000_000);
        let money = Money { plan: plan(&terms), spot: usd(terms.spot), subs: Vec::new(), road: UsdcRoad::Bridge };
        let subs = if terms.sub > 0 { vec![(SUB, usd(terms.sub))] } else { Vec::new() };
        let spec = WorldSpec {
            seed: Seed(seed),
            exchange: ExchangeSpec::hyperliquid(START_MS, vec![market]),
            markets: vec![Asset(0)],
            balance: Usd::whole(ACCOUNT_USD),
            limits: reckless::limits(&["hyperliquid:BTC"]),
            latency: (Span::millis(5), Span::millis(120)),
            clock_offset_ms: 0,
            faults,
            money: Some(Money { subs, ..money }),
        };
        let outside = Box::new(Shared(Rc::clone(&chain)));
        let mut flow = flow;
        let events = std::iter::from_fn(move || Some(flow.next_event()));
        let mut world = World::with(spec, events, Some(outside)).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        world.learn(history(id, 600_000));
        Run { world, chain, terms, faults, falling: false, seen: 0, said: Vec::new(), met: BTreeMap::new() }
    }

    fn meet(&mut self, what: &'static str) {
        *self.met.entry(what).or_default() += 1;
    }

    fn pass(&mut self, seconds: u64) -> Result<(), String> {
        for _ in 0..seconds {
            let until = Span(self.world.now().mono) + Span::secs(1);
            self.world.run(until, |_| false).map_err(|e| e.to_string())?;
            self.glance();
        }
        Ok(())
    }

    /// Equity and maintenance of the account, by the venue.
    fn standing(&self) -> (Decimal, Decimal) {
        let state = self.world.exchange().account_state(self.world.account());
        (state.cross.account_value.decimal(), state.cross_maintenance_margin_used.decimal())
    }

    /// Looks at what was decided in the last second: nothing may leave the account above its target by more than 5 %.
    fn glance(&mut self) {
        let log = self.world.log();
        let fresh: Vec<TransferIntent> = log[self.seen..]
            .iter()
            .filter_map(|s| {
                if let Entry::Transfer { event: TransferEvent::Intended(i), .. } = &s.entry { Some(i.clone()) } else { None }
            })
            .collect();
        self.seen = log.len();
        // a second credit is in nobody's plan
        if fresh.is_empty() || self.falling || self.terms.credit == Credit::Twice {
            return;
        }
        let now = self.world.now();
        let Some(desk) = self.world.desk() else { return };
        // a reduction that fills within the second lowers the target under what was decided
        if desk.status(now).parents.iter().any(|p| p.spec.note.starts_with("deleverage:")) {
            return;
        }
        let Some(view) = desk.treasury(now) else { return };
        // what moves inside the venue may have arrived within the second, before its answer; a deposit is the account's once the
        // venue has credited it, although the desk has not heard of it yet
        let chain = self.chain.borrow();
        let credited = |t: &desk::TransferLine| t.transfer.attempts.iter().any(|a| chain.credited.contains_key(&a.hash));
        let comes = |t: &&desk::TransferLine| !t.route.inside() && !credited(t);
        let coming: Decimal = view.open.iter().filter(comes).map(|t| t.amount.decimal()).sum();
        let (equity, maintenance) = self.standing();
        // the worst of: as it stands, and a fall of 1 %; 1 % and 5 USDC for what moved within the second
        let plan = plan(&self.terms);
        let position = maintenance / MAINTENANCE;
        let shocked = maintenance * plan.target_shocked.decimal() + position * Decimal::new(1, 2);
        let target = (maintenance * plan.target.decimal()).max(shocked);
        let most = target * Decimal::new(106, 2) + Decimal::from(5);
        if equity + coming > most {
            let ids: Vec<TransferId> = fresh.iter().map(|i| i.id).collect();
            self.said.push(format!("overshoot: after {ids:?} the account has {equity} + {coming} under way, over {most}"));
        }
    }

    /// Loads the account.
    fn build(&mut self, side: Side, lots: i64) -> Result<(), String> {
        let mut lots = lots;
        for _ in 0..60 {
            let spec = ParentSpec {
                id: ParentId(0),
                instrument: InstrumentId::new(Venue::Hyperliquid, "BTC").map_err(|e| e.to_string())?,
                side,
                qty: Qty(lots),
                schedule: Schedule::Twap { slices: 2 },
                placement: Placement::LimitToMarket,
                display: None,
                horizon: Span::secs(20),
                limit_px: None,
                slippage_max: Ratio::bps(200),
                end: EndPolicy::Force,
                reduce_only: false,
                note: String::new(),
            };
            match self.world.submit(spec) {
                Ok(_) => return Ok(()),
                Err(faults) if faults.iter().any(|f| f.field == "quantity") => lots = lots * 3 / 4,
                // dead, or not read yet
                Err(_) => self.pass(1)?,
            }
        }
        Err("nothing was admitted within a minute".to_owned())
    }

    /// Moves the market against the account until its cover is `cover`, within `seconds`.
    fn fall(&mut self, side: Side, cover: Decimal, seconds: u64) -> Result<(), String> {
        let (equity, maintenance) = self.standing();
        let notional = maintenance / MAINTENANCE;
        let keep = cover * maintenance;
        // equity - s x notional = cover x maintenance x (1 - s) for a long, (1 + s) for a short
        let sign = Decimal::from(side.sign());
        let share = (equity - keep).checked_div(notional - sign * keep).unwrap_or_default();
        if share <= Decimal::ZERO {
            return self.pass(seconds);
        }
        let mid = self.world.exchange().mid_x2(Asset(0)).unwrap_or(0) / 2;
        let whole = (Decimal::from(mid) * share * -sign).round();
        let whole = i64::try_from(whole).unwrap_or(0);
        let part = whole / i64::try_from(seconds).unwrap_or(1) / 10 * 10;
        self.falling = true;
        for _ in 0..seconds {
            self.world.strike(Fault::Shift { asset: Asset(0), ticks: part });
            self.pass(1)?;
        }
        self.pass(3)?;
        self.falling = false;
        Ok(())
    }

    fn open(&self) -> Vec<Transfer> {
        let view = self.world.desk().and_then(|d| d.treasury(self.world.now()));
        view.map(|v| v.open.into_iter().map(|t| t.transfer).collect()).unwrap_or_default()
    }

    /// What only a person can do: what is overdue for long is written off, a frozen wallet accepted, a stopped daemon re-armed.
    fn tend(&mut self, patience: Span) {
        let now = self.world.now();
        for transfer in self.open() {
            if transfer.overdue.is_some() && now.since(transfer.at) > patience {
                let reason = "I have looked".to_owned();
                self.world.command(Command::CloseTransfer { id: transfer.intent.id, reason });
                self.meet("the operator writes off");
            }
        }
        let frozen = self
            .world
            .desk()
            .and_then(|d| d.treasury(now))
            .and_then(|v| v.wallet)
            .is_some_and(|w| w.doubt.is_some_and(|why| why.contains("frozen")));
        if frozen {
            self.meet("the operator looks at a frozen wallet");
            self.world.command(Command::AcceptWallet { reason: "it was me".into() });
        }
        let Some(desk) = self.world.desk() else { return };
        if desk.books().stops.is_set() {
            self.world.command(Command::rearm("the market fell"));
        }
        let Some(desk) = self.world.desk() else { return };
        let frozen: Vec<InstrumentId> = desk.books().frozen.keys().copied().collect();
        let parents: Vec<ParentId> =
            desk.status(now).parents.iter().filter(|p| frozen.contains(&p.spec.instrument)).map(|p| p.spec.id).collect();
        for instrument in frozen {
            for (change, after) in [(ParentChange::Pause, false), (ParentChange::Resume, true)] {
                if after {
                    self.world.command(Command::Unfreeze { instrument, reason: "I have looked".into() });
                }
                for id in &parents {
                    self.world.command(Command::Change(*id, change.clone()));
                }
            }
        }
    }

    fn storm(&mut self, chance: &mut Prng) -> Result<(), String> {
        self.pass(5)?;
        let side = if chance.chance(2, 3) { Side::Buy } else { Side::Sell };
        // eight times the account at most, in lots of 0.00001 at 60,000
        let notional = i64::from(ACCOUNT_USD) * chance.between(5, 8);
        self.build(side, notional * 10 / 6)?;
        self.pass(BUILD)?;
        for _ in 0..1 + chance.below(3) {
            let cover = Decimal::new(chance.between(17, 31), 1);
            self.fall(side, cover, 5 + chance.below(40))?;
            for _ in 0..2 + chance.below(8) {
                self.pass(20)?;
                if chance.chance(1, 12) {
                    self.world.command(Command::Kill(Stop::all(StopLevel::Block, Trigger::Operator, "the operator is nervous")));
                }
                if chance.chance(1, 4) {
                    self.tend(Span::secs(60 * chance.below(10)));
                }
            }
        }
        Ok(())
    }

    fn calm(&mut self) -> Result<(), String> {
        self.world.calm();
        self.chain.borrow_mut().calm();
        for _ in 0..CALM / 30 {
            self.tend(Span::secs(240));
            self.pass(30)?;
        }
        self.tend(Span::secs(240));
        self.pass(60)?;
        // a reduction may still be at work: what it filled in the last moment is on its way to the desk
        for _ in 0..NEWS {
            if self.world.verdict().faults.is_empty() {
                break;
            }
            self.pass(1)?;
        }
        Ok(())
    }
}

/// One world; returns it with every complaint in it.
fn run(seed: u64) -> Run {
    let mut chance = Seed(seed).fork("money.storm");
    let mut run = Run::new(seed);
    let done = run.storm(&mut chance).and_then(|()| run.calm());
    if let Err(why) = done {
        run.said.push(why);
    }
    run.verdict();
    run.count();
    run
}

/// `from..to` of the environment, or the seeds that every run takes.
fn seeds() -> std::ops::Range<u64> {
    let given = std::env::var("PLIMSOLL_MONEY_SEEDS").ok();
    let given = given.as_deref().and_then(|text| text.split_once(".."));
    given.and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?)).unwrap_or(0..16)
}

#[test]
fn g35_money_moves_once_within_its_budgets_and_in_time() {
    let (mut words, mut met) = (String::new(), BTreeMap::<&'static str, u32>::new());
    let mut worlds = 0_u32;
    for seed in FOUND.iter().copied().chain(seeds()) {
        let run = run(seed);
        worlds += 1;
        for text in &run.said {
            writeln!(words, "seed {seed} ({:?}): {text}", run.terms.credit).unwrap_or_else(|e| panic!("{e}"));
        }
        for (what, times) in run.met {
            *met.entry(what).or_default() += times;
        }
    }
    println!("{worlds} worlds: {met:#?}");
    assert!(words.is_empty(), "{words}");
    // a world that was too kind proves little
    let must = [
        "spot to perp",
        "sub-account",
        "bridge deposit",
        "the top-up level",
        "a reduction",
        "a deposit begins",
        "a deposit goes on after a restart",
        "final",
    ];
    let missed: Vec<_> = must.iter().filter(|what| !met.contains_key(*what)).collect();
    assert!(missed.is_empty(), "the worlds were too kind, never met: {missed:?}");
}

#[test]
fn the_same_seed_moves_the_same_money() {
    // I38
    for seed in [3, 4] {
        let (one, two) = (run(seed), run(seed));
        assert!(one.world.log() == two.world.log(), "seed {seed}");
        assert_eq!(one.chain.borrow().balance(), two.chain.borrow().balance(), "seed {seed}");
        assert_eq!(one.faults, two.faults);
    }
}
