//! `cargo xtask stop-matrix`: every cell of the matrix of stops. With every test a selection of them runs.

use anyhow::{Context, Result, bail};

use crate::shell::{self, Ctx};
use crate::suite;

/// Worlds side by side: each is a venue and a daemon, which start anew for most cells.
const LANES: u32 = 2;
const TEST: &str = "stop_matrix::i20_i21_after_any_stop_nothing_grows_and_it_stays_stopped";

/// Builds and runs the cells; `args`: how many of them, in an order of chance, and words that their lines must contain.
pub fn run(ctx: &Ctx, args: &[String]) -> Result<String> {
    let (cells, words) = match args.split_first().map(|(first, rest)| (first.parse::<u32>(), rest)) {
        None => (u32::MAX, &[][..]),
        Some((Ok(0), _)) => bail!("0 cells show nothing"),
        Some((Ok(cells), rest)) => (cells, rest),
        Some((Err(_), _)) => (u32::MAX, args),
    };
    let mut build = ctx.cargo();
    build.args(["build", "--locked", "-p", "plimsoll", "--bin", "plimsoll"]);
    let built = suite::executables("build", &mut build)?;
    let daemon = built.get("plimsoll").context("cargo built no binary called plimsoll")?;
    let mut test = ctx.cargo();
    test.args(["test", "--locked", "-p", "plimsoll-tests", "--test", "main", "--", "--exact", TEST, "--nocapture"]);
    test.env("PLIMSOLL_BIN", daemon).env("PLIMSOLL_NO_SKIP", "1");
    test.env("PLIMSOLL_STOP_CELLS", cells.to_string()).env("PLIMSOLL_STOP_LANES", LANES.to_string());
    test.env("PLIMSOLL_STOP_ONLY", words.join(" "));
    shell::run("stop-matrix", &mut test)?;
    Ok("every cell held".to_owned())
}
