//! Tools of fixed versions, built into `target/tools` when the machine has none.

use std::path::PathBuf;

use anyhow::Result;

use crate::shell::{self, Ctx};

struct Tool {
    name: &'static str,
    version: &'static str,
}

const DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };
const NEXTEST: Tool = Tool { name: "cargo-nextest", version: "0.9.143" };

/// cargo-deny of the pinned version, built if need be.
pub fn cargo_deny(ctx: &Ctx) -> Result<PathBuf> {
    match find(ctx, &DENY, true) {
        Some(path) => Ok(path),
        None => install(ctx, &DENY),
    }
}

/// cargo-nextest of any version; built only in CI, since `cargo test` does as well on a user's machine.
pub fn cargo_nextest(ctx: &Ctx) -> Result<Option<PathBuf>> {
    match find(ctx, &NEXTEST, false) {
        Some(path) => Ok(Some(path)),
        None if ctx.ci => install(ctx, &NEXTEST).map(Some),
        None => Ok(None),
    }
}

fn find(ctx: &Ctx, tool: &Tool, exact: bool) -> Option<PathBuf> {
    let own = ctx.under_target("tools/bin").join(tool.name);
    let verb = tool.name.strip_prefix("cargo-").unwrap_or(tool.name);
    for candidate in [own, PathBuf::from(tool.name)] {
        // Called directly, a cargo subcommand expects its own name as first argument or accepts --version alone.
        let version = shell::capture(ctx.program(&candidate).args([verb, "--version"]))
            .or_else(|_| shell::capture(ctx.program(&candidate).arg("--version")));
        if version.is_ok_and(|text| !exact || text.contains(tool.version)) {
            return Some(candidate);
        }
    }
    None
}

fn install(ctx: &Ctx, tool: &Tool) -> Result<PathBuf> {
    let home = ctx.under_target("tools");
    let pinned = format!("{}@{}", tool.name, tool.version);
    let mut command = ctx.cargo();
    // Built outside our own target directory, and without our lints in the way.
    command.args(["install", "--locked", &pinned, "--root"]).arg(&home).env("CARGO_TARGET_DIR", home.join("build"));
    shell::downloading(tool.name, || shell::run("install", &mut command))?;
    Ok(home.join("bin").join(tool.name))
}
