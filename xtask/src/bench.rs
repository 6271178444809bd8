//! `cargo xtask bench`: one release build of the daemon and the duels, then the duels.

use anyhow::{Context, Result};

use crate::shell::{self, Ctx};
use crate::suite::executables;

/// Builds both in one go, so that they share every dependency's features, and runs the duels with `args`.
pub fn run(ctx: &Ctx, args: &[String]) -> Result<String> {
    let mut build = ctx.cargo();
    build.args(["build", "--locked", "--release", "-p", "plimsoll", "-p", "plimsoll-tests"]);
    build.args(["--bin", "plimsoll", "--bench", "duel"]);
    let built = executables("build", &mut build)?;
    let duel = built.get("duel").context("cargo built no benchmark called duel")?;
    let daemon = built.get("plimsoll").context("cargo built no binary called plimsoll")?;
    shell::run("duel", ctx.program(duel).args(args).env("PLIMSOLL_BIN", daemon))?;
    Ok("duels".into())
}
