//! `cargo xtask bench kill`: how long a stop takes with 500 open orders, and what the official Python SDK takes for the same.
//!
//! A daemon keeps within the venue's request budget, so it can be stopped some four times a minute. Several daemons, each with a venue
//! of its own, take turns: their stops are measured one at a time.
//!
//! `cargo xtask bench kill [--trials N] [--orders N] [--round-trip-ms N] [--sdk N] [--lanes N] [--json] [--strict]`

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot set itself up should stop where it stands")]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use plimsoll_tests::kill::{KillRig, Sdk, Took, Weather, sdk_trials};
use serde_json::{Value, json};

const USAGE: &str = "[--trials N] [--orders N] [--round-trip-ms N] [--sdk N] [--lanes N] [--json] [--strict]";
const MS: u64 = 1_000_000;

/// What is measured, and the sizes it is measured at.
struct Plan {
    /// Stops in each weather.
    trials: u32,
    /// Open orders: half of them the daemon's own, half of strangers.
    orders: u32,
    round_trip: Duration,
    /// Runs of the SDK in bulk; one by one, which takes half a minute each, a tenth of it and at least one. None: no SDK.
    sdk: u32,
    /// Daemons that take turns.
    lanes: u32,
    json: bool,
    strict: bool,
}

fn plan() -> Result<Plan, String> {
    let mut plan =
        Plan { trials: 200, orders: 500, round_trip: Duration::from_millis(50), sdk: 20, lanes: 4, json: false, strict: false };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = |from: u32, to: u32| {
            let given = args.next().and_then(|n| n.parse().ok()).filter(|n| (from..=to).contains(n));
            given.ok_or_else(|| format!("{arg} wants a number from {from} to {to}"))
        };
        match arg.as_str() {
            // cargo bench adds this
            "--bench" => {}
            "--trials" => plan.trials = number(1, 10_000)?,
            // the venue lets an account have 1,000 open
            "--orders" => plan.orders = number(2, 1_000)?,
            "--round-trip-ms" => plan.round_trip = Duration::from_millis(number(0, 2_000)?.into()),
            "--sdk" => plan.sdk = number(0, 1_000)?,
            "--lanes" => plan.lanes = number(1, 16)?,
            "--json" => plan.json = true,
            "--strict" => plan.strict = true,
            other => return Err(format!("unknown argument {other:?}")),
        }
    }
    Ok(plan)
}

/// One line: a figure over all trials, and what was aimed at.
struct Figure {
    what: &'static str,
    /// Nanoseconds; none where it did not come to that.
    values: Vec<Option<u64>>,
    p99_goal: Option<u64>,
    max_goal: Option<u64>,
}

impl Figure {
    fn quantile(&self, percent: usize) -> Option<u64> {
        // a trial in which it never came to that counts as the longest
        let mut sorted: Vec<u64> = self.values.iter().map(|value| value.unwrap_or(u64::MAX)).collect();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
        sorted.get(rank).copied().filter(|value| *value != u64::MAX)
    }

    fn missed(&self) -> bool {
        let above = |value: Option<u64>, goal: Option<u64>| goal.is_some_and(|goal| value.is_none_or(|value| value > goal));
        above(self.quantile(99), self.p99_goal) || above(self.quantile(100), self.max_goal)
    }

    fn line(&self) -> String {
        let shown = |value: Option<u64>| value.map_or_else(|| "never".to_owned(), ms);
        let mut line = format!(
            "    {:34} {:>10} {:>10} {:>10}",
            self.what,
            shown(self.quantile(50)),
            shown(self.quantile(99)),
            shown(self.quantile(100))
        );
        let goals: Vec<String> = [("p99", self.p99_goal), ("max", self.max_goal)]
            .iter()
            .filter_map(|(name, goal)| Some(format!("{name} <= {}", ms((*goal)?))))
            .collect();
        if !goals.is_empty() {
            line += &format!("   goal {}: {}", goals.join(", "), if self.missed() { "MISS" } else { "pass" });
        }
        line
    }

    fn json(&self) -> Value {
        json!({
            "what": self.what, "unit": "ns", "trials": self.values.len(), "p50": self.quantile(50), "p99": self.quantile(99),
            "max": self.quantile(100), "p99_goal": self.p99_goal, "max_goal": self.max_goal,
            "passed": (self.p99_goal.is_some() || self.max_goal.is_some()).then(|| !self.missed()),
        })
    }
}

/// Milliseconds with one digit.
fn ms(ns: u64) -> String {
    let tenths = ns.saturating_add(MS / 20) / (MS / 10);
    format!("{}.{} ms", tenths / 10, tenths % 10)
}

/// Goals of one way to stop; none for somebody else's.
#[derive(Default)]
struct Goals {
    gate: Option<(u64, u64)>,
    first: Option<u64>,
    all: Option<u64>,
    over: Option<(u64, u64)>,
}

struct Section {
    name: String,
    figures: Vec<Figure>,
    left: usize,
}

impl Section {
    fn new(name: String, trials: &[Took], goals: Goals) -> Section {
        let figure = |what, values: Vec<Option<u64>>, p99_goal, max_goal| Figure { what, values, p99_goal, max_goal };
        let of = |value: fn(&Took) -> Option<u64>| trials.iter().map(value).collect::<Vec<_>>();
        let mut figures = Vec::new();
        if trials.iter().any(|took| took.gate.is_some()) {
            let (p99, max) = goals.gate.unzip();
            figures.push(figure("gate closed", of(|t| t.gate), p99, max));
        }
        figures.push(figure("first cancel on the wire", of(|t| (t.first != u64::MAX).then_some(t.first)), goals.first, None));
        figures.push(figure("a cancel of each on the wire", of(|t| t.all), goals.all, None));
        let (p99, max) = goals.over.unzip();
        figures.push(figure("all over at the venue", of(|t| t.over), p99, max));
        Section { name, figures, left: trials.iter().map(|took| took.left).sum() }
    }

    fn print(&self) {
        println!("  {}\n    {:34} {:>10} {:>10} {:>10}", self.name, "", "p50", "p99", "max");
        self.figures.iter().for_each(|figure| println!("{}", figure.line()));
        if self.left > 0 {
            println!("    orders left open over all trials: {}", self.left);
        }
    }
}

/// So many stops, by whichever daemon is ready next.
fn stops(rigs: &mut [KillRig], weather: Weather, trials: u32) -> Vec<Took> {
    let (begun, alone, done) = (AtomicU32::new(0), Mutex::new(()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for rig in rigs {
            scope.spawn(|| {
                while begun.fetch_add(1, Ordering::Relaxed) < trials {
                    let took = rig.trial(weather, &alone).and_then(|took| rig.rearm().map(|()| took));
                    let took = took.unwrap_or_else(|e| panic!("{e:#}"));
                    done.lock().unwrap().push(took);
                }
            });
        }
    });
    done.into_inner().unwrap()
}

fn main() -> ExitCode {
    let plan = match plan() {
        Ok(plan) => plan,
        Err(problem) => {
            eprintln!("kill: {problem}\nusage: {USAGE}");
            return ExitCode::from(2);
        }
    };
    let own = plan.orders / 2;
    let dirs: Vec<_> = (0..plan.lanes).map(|_| tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()).collect();
    let start = |dir: &tempfile::TempDir| KillRig::start(dir.path(), own, plan.orders - own, plan.round_trip / 2, &[]);
    let mut rigs: Vec<KillRig> = dirs.iter().map(|dir| start(dir).unwrap_or_else(|e| panic!("{e:#}"))).collect();
    let round_trip = u64::try_from(plan.round_trip.as_millis()).unwrap_or(u64::MAX);
    if !plan.json {
        println!(
            "kill: {} open orders, {own} of the daemon's own and {} of strangers; {round_trip} ms round trip; {} stops by SIGUSR1 in \
             each weather",
            plan.orders,
            plan.orders - own,
            plan.trials
        );
    }
    let mut sections = Vec::new();
    let mut show = |section: Section| {
        if !plan.json {
            section.print();
        }
        sections.push(section);
    };
    let gate = Some((5 * MS, 50 * MS));
    let fair = Goals { gate, first: Some(20 * MS), all: Some(100 * MS), over: Some((500 * MS, 1_000 * MS)) };
    let foul = Goals { gate, over: Some((5_000 * MS, 30_000 * MS)), ..Goals::default() };
    for (weather, name, goals) in [
        (Weather::Fair, "the daemon, without faults (G20, G21)", fair),
        (Weather::Foul, "the daemon, 1 answer in 5 bad and the account's stream stalled (G20, G22)", foul),
    ] {
        let trials = stops(&mut rigs, weather, plan.trials);
        show(Section::new(name.to_owned(), &trials, goals));
    }
    let single = (plan.sdk / 10).max(1);
    for (how, weather, runs, name) in [
        (Sdk::OneByOne, Weather::Fair, single, "Python SDK, one call at a time, without faults"),
        (Sdk::Bulk, Weather::Fair, plan.sdk, "Python SDK, in bulk, without faults"),
        (Sdk::Bulk, Weather::Foul, plan.sdk, "Python SDK, in bulk, 1 answer in 5 bad, a call that raises passed over"),
    ] {
        if plan.sdk == 0 {
            break;
        }
        match sdk_trials(&rigs[0], how, weather, plan.orders, runs) {
            Ok(trials) => show(Section::new(format!("{name}: {runs} runs"), &trials.unwrap(), Goals::default())),
            Err(missing) => eprintln!("{name}: not measured: {}", missing.0),
        }
    }
    let missed = sections.iter().flat_map(|section| &section.figures).filter(|figure| figure.missed()).count();
    if plan.json {
        let all: Vec<Value> = sections
            .iter()
            .map(|s| json!({ "name": s.name, "left": s.left, "figures": s.figures.iter().map(Figure::json).collect::<Vec<_>>() }))
            .collect();
        println!("{}", json!({ "orders": plan.orders, "round_trip_ms": round_trip, "sections": all, "missed": missed }));
    } else {
        println!("{missed} goals missed");
    }
    if plan.strict && missed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
