//! `cargo xtask treasury-crash`: the crash matrix of transfers at its full size. With every test a few of its runs are made.

use anyhow::{Context, Result, bail};

use crate::shell::{self, Ctx};
use crate::suite;

/// Three and more runs of each of the 147 cells.
const RUNS: u32 = 500;
/// Worlds side by side: each is a chain, a venue and a daemon that mostly wait.
const LANES: u32 = 4;
const TEST: &str = "crash_transfer::i12_killed_at_any_state_of_a_transfer_it_is_sent_at_most_once";

/// Provisions, builds and makes the runs; `args`: how many.
pub fn run(ctx: &Ctx, args: &[String]) -> Result<String> {
    let runs = match args {
        [] => RUNS,
        [runs] => runs.parse().with_context(|| format!("{runs:?} is not a number of runs"))?,
        more => bail!("one number of runs at most, but got {more:?}"),
    };
    let witness = suite::provision(ctx)?;
    let mut build = ctx.cargo();
    build.args(["build", "--locked", "-p", "plimsoll", "--bin", "plimsoll"]);
    let built = suite::executables("build", &mut build)?;
    let daemon = built.get("plimsoll").context("cargo built no binary called plimsoll")?;
    let mut test = ctx.cargo();
    test.args(["test", "--locked", "-p", "plimsoll-tests", "--test", "main", "--", "--exact", TEST, "--nocapture"]);
    test.env("PLIMSOLL_BIN", daemon).env("PLIMSOLL_NO_SKIP", "1");
    test.env("PLIMSOLL_TREASURY_CRASHES", runs.to_string()).env("PLIMSOLL_TREASURY_LANES", LANES.to_string());
    for (name, outcome) in &witness {
        match outcome {
            Ok(path) => test.env(name, path),
            Err(reason) => test.env(format!("{name}_MISSING"), reason),
        };
    }
    shell::run("treasury-crash", &mut test)?;
    Ok(format!("{runs} runs"))
}
