//! The duels: each of our hot paths against the limit it cannot beat, or against itself at a larger size.
//!
//! Machines differ and drift, so a duel reports ratios: its cases run in turn within one round, the ratio is taken within the
//! round, and the median over the rounds is the result. Goals are printed with it; a miss is reported, not hidden, and makes the
//! exit code 1 only with `--strict`.
//!
//! `cargo xtask bench [NAMES] [--rounds N] [--json] [--strict] [--list]`
#![expect(clippy::float_arithmetic, reason = "statistics of durations; no money here")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot set itself up should stop where it stands")]

mod clearance;
mod decode;
mod desk_growth;
mod durable;
mod harness;
mod live;
mod sign;

use std::process::ExitCode;

use harness::Outcome;

/// Rounds unless told otherwise: odd, so that the median is a measured value.
const ROUNDS: usize = 7;

type Duel = fn(usize) -> Vec<Outcome>;

/// Name, what it says, how it is run.
const DUELS: &[(&str, &str, Duel)] = &[
    ("sign", "typed order to signed body, against one bare libsecp256k1 signature", sign::run),
    ("decode", "l2Book bytes to a fixed-point book, against typed serde_json", decode::run),
    ("guard", "one clearance, and how it grows with positions and working orders", clearance::run),
    ("desk", "what a child order costs with few and with many live parents", desk_growth::run),
    ("journal", "one durable append, against append and fdatasync; 32 writers against one", durable::run),
    ("tick", "book update to order through the whole daemon, against the transport", live::ticks),
    ("memory", "what the daemon holds, idle and with 1,000 live parents", live::memory),
];

fn main() -> ExitCode {
    let mut names = Vec::new();
    let mut rounds = ROUNDS;
    let (mut json, mut strict) = (false, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            // cargo bench adds this
            "--bench" => {}
            "--json" => json = true,
            "--strict" => strict = true,
            "--rounds" => match args.next().and_then(|n| n.parse().ok()).filter(|n| (1..=101).contains(n)) {
                Some(n) => rounds = n,
                None => return usage("--rounds wants a number from 1 to 101"),
            },
            "--list" => {
                for (name, what, _) in DUELS {
                    println!("{name:8} {what}");
                }
                return ExitCode::SUCCESS;
            }
            name if DUELS.iter().any(|(known, ..)| *known == name) => names.push(name.to_owned()),
            other => return usage(&format!("unknown argument {other:?}")),
        }
    }
    let mut outcomes = Vec::new();
    for (name, what, duel) in DUELS {
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        if !json {
            println!("{name}: {what}");
        }
        for outcome in duel(rounds) {
            if !json {
                println!("  {outcome}");
            }
            outcomes.push((*name, outcome));
        }
    }
    let missed = outcomes.iter().filter(|(_, outcome)| outcome.missed()).count();
    if json {
        let all: Vec<_> = outcomes.iter().map(|(duel, outcome)| outcome.json(duel)).collect();
        println!("{}", serde_json::json!({ "rounds": rounds, "outcomes": all, "missed": missed }));
    } else {
        println!("{} results, {missed} goals missed", outcomes.len());
    }
    if strict && missed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn usage(problem: &str) -> ExitCode {
    let names: Vec<_> = DUELS.iter().map(|(name, ..)| *name).collect();
    eprintln!("duel: {problem}\nusage: [{}]... [--rounds N] [--json] [--strict] [--list]", names.join("|"));
    ExitCode::from(2)
}
