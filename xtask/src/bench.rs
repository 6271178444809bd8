//! `cargo xtask bench`: one release build of the daemon and what measures it, then the measuring.

use anyhow::{Context, Result};

use crate::shell::{self, Ctx};
use crate::suite::{self, executables};

/// The benchmark of stops, by its own name; all other names are duels.
const KILL: &str = "kill";

/// Runs the stops with what follows their name in `args`, or the duels with `args`.
pub fn run(ctx: &Ctx, args: &[String]) -> Result<String> {
    match args.split_first() {
        Some((name, rest)) if name == KILL => {
            let witness = suite::provision(ctx)?;
            measure(ctx, KILL, rest, &witness)?;
            Ok("stops".into())
        }
        _ => {
            measure(ctx, "duel", args, &Vec::new())?;
            Ok("duels".into())
        }
    }
}

/// Builds both in one go, so that they share every dependency's features, and runs the benchmark.
fn measure(ctx: &Ctx, bench: &str, args: &[String], witness: &suite::Provisions) -> Result<()> {
    let mut build = ctx.cargo();
    build.args(["build", "--locked", "--release", "-p", "plimsoll", "-p", "plimsoll-tests"]);
    build.args(["--bin", "plimsoll", "--bench", bench]);
    let built = executables("build", &mut build)?;
    let program = built.get(bench).with_context(|| format!("cargo built no benchmark called {bench}"))?;
    let daemon = built.get("plimsoll").context("cargo built no binary called plimsoll")?;
    let mut run = ctx.program(program);
    run.args(args).env("PLIMSOLL_BIN", daemon);
    for (name, outcome) in witness {
        match outcome {
            Ok(path) => run.env(name, path),
            Err(reason) => run.env(format!("{name}_MISSING"), reason),
        };
    }
    shell::run(bench, &mut run)
}
