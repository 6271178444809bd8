//! `cargo xtask`: the one door to everything that is done to this repository.
//!
//! `ci` runs every check and then exactly what `test` runs, with each skip forbidden. `tidy` checks what the design states and
//! the compiler cannot see. This crate knows nothing of trading; it depends on `anyhow` and `serde_json` alone so that it is
//! built in seconds.

mod bench;
mod checks;
mod crashes;
mod shell;
mod stops;
mod suite;
mod tidy;
mod tools;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::shell::Ctx;

const USAGE: &str = "\
usage: cargo xtask <command>

  test [ARGS]    provision what the tests need, build once, run them all (ARGS go to the test runner, e.g. a name);
                 a test that misses a tool is skipped with a printed reason, unless PLIMSOLL_NO_SKIP=1.
                 With CI set it is the same as `ci`
  ci             fmt, clippy, tidy, deny, docs, then `test` with every skip forbidden
  provision      only the first step of `test`: the official clients, under target/witness
  tidy           check the rules of the design: edges between crates, purity, marks, paths, sizes, config comments
  deny           check licences, advisories, bans and sources of all dependencies
                 (advisories from the snapshot in xtask/; PLIMSOLL_ADVISORIES=online fetches the newest)
  treasury-crash [N]
                 N runs (500) of a daemon that is killed at every state of a transfer, with every fault of the chain;
                 prints a table. Some of them are made by every `test`
  stop-matrix [N] [WORDS]
                 every trigger, level, scope and fault of a latch's store of a daemon that is stopped, or N of them, or
                 those whose line has all of WORDS, such as `cli cancel market`; prints a line each. Some of them are
                 made by every `test`
  bench [ARGS]   build for release and run the duels (ARGS: names of duels, --json, --rounds N, --list)
  bench kill [ARGS]
                 build for release and stop a daemon with many open orders, again and again, in fair weather and in foul; the
                 official Python SDK beside it (ARGS: --trials N, --orders N, --round-trip-ms N, --sdk N, --lanes N,
                 --json, --strict)
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<()> {
    let Some((command, rest)) = args.split_first() else {
        eprint!("{USAGE}");
        bail!("no command given");
    };
    let started = Instant::now();
    let ctx = Ctx::discover()?;
    let done = match command.as_str() {
        "test" if ctx.ci => ci(&ctx, rest)?,
        "test" => suite::run(&ctx, rest)?,
        "ci" => ci(&ctx.strict(), rest)?,
        "provision" => suite::provision(&ctx).map(|_| "see above".to_owned())?,
        "tidy" => checks::tidy(&ctx)?,
        "deny" => checks::deny(&ctx)?,
        "bench" => bench::run(&ctx, rest)?,
        "treasury-crash" => crashes::run(&ctx, rest)?,
        "stop-matrix" => stops::run(&ctx, rest)?,
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            return Ok(());
        }
        other => {
            eprint!("{USAGE}");
            bail!("unknown command {other:?}");
        }
    };
    println!("cargo xtask {command}: passed in {} s: {done}", started.elapsed().as_secs());
    Ok(())
}

/// Cheap checks first, so that a formatting slip does not cost half an hour.
fn ci(ctx: &Ctx, test_args: &[String]) -> Result<String> {
    if !test_args.is_empty() {
        bail!("ci runs everything: it takes no arguments, but got {test_args:?}");
    }
    let mut done = Vec::new();
    for (name, step) in checks::STEPS {
        step(ctx)?;
        done.push(*name);
    }
    let tests = suite::run(ctx, &[])?;
    Ok(format!("{}, test ({tests})", done.join(", ")))
}
