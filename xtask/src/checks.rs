//! The checks that need no running daemon.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::shell::{self, Ctx};
use crate::{tidy, tools};

/// One named check.
pub type Step = fn(&Ctx) -> Result<String>;

/// In the order in which `ci` runs them.
pub const STEPS: &[(&str, Step)] =
    &[("fmt", fmt), ("fetch", fetch), ("tidy", tidy), ("clippy", clippy), ("deny", deny), ("docs", docs)];

fn fmt(ctx: &Ctx) -> Result<String> {
    shell::run("fmt", ctx.cargo().args(["fmt", "--all", "--check"]))?;
    Ok("formatted".into())
}

/// All crates of the lock file, of every platform, since cargo-deny looks at all of them. Nothing after it asks the registry.
fn fetch(ctx: &Ctx) -> Result<String> {
    shell::downloading("the crates of Cargo.lock", || shell::run("fetch", ctx.cargo().args(["fetch", "--locked"])))?;
    Ok("fetched".into())
}

fn clippy(ctx: &Ctx) -> Result<String> {
    shell::run("clippy", ctx.cargo().args(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    Ok("no lint".into())
}

fn docs(ctx: &Ctx) -> Result<String> {
    let mut command = ctx.cargo();
    shell::run("docs", command.args(["doc", "--locked", "--no-deps", "--workspace"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok("documented".into())
}

/// What the design says about the tree, see the module of the same name.
pub fn tidy(ctx: &Ctx) -> Result<String> {
    println!("==> tidy");
    let report = tidy::check(&tidy::Tree::read(ctx)?);
    for note in &report.notes {
        println!("    note: {note}");
    }
    for fault in &report.faults {
        println!("    {fault}");
    }
    if !report.faults.is_empty() {
        bail!("tidy found {} faults", report.faults.len());
    }
    println!("    tidy passed: {} files, {} crates", report.files, report.packages);
    Ok(format!("{} files, {} crates", report.files, report.packages))
}

/// The folder name cargo-deny derives from the advisory database's address: it looks for the clone under this name.
const ADVISORY_FOLDER: &str = "advisory-db-3157b0e258782691";

/// Licences, advisories, bans and sources, without network unless `PLIMSOLL_ADVISORIES=online`.
pub fn deny(ctx: &Ctx) -> Result<String> {
    let online = std::env::var("PLIMSOLL_ADVISORIES").is_ok_and(|v| v == "online");
    let home = ctx.under_target("advisory-db");
    let unpacked = home.join(ADVISORY_FOLDER);
    let snapshot = ctx.root.join("xtask/advisory-db.tgz");
    // The stamp holds the snapshot's size: a newer snapshot, or a clone fetched online, is replaced.
    let stamp = home.join("snapshot");
    let wanted = fs::metadata(&snapshot).context("xtask/advisory-db.tgz is missing")?.len().to_string();
    fetch(ctx)?;
    let mut command = ctx.program(tools::cargo_deny(ctx)?);
    if online {
        if stamp.exists() {
            fs::remove_dir_all(&home)?;
        }
    } else {
        if fs::read_to_string(&stamp).ok().as_deref() != Some(wanted.as_str()) {
            if home.exists() {
                fs::remove_dir_all(&home)?;
            }
            fs::create_dir_all(&unpacked)?;
            shell::capture(
                ctx.program("tar").arg("xzf").arg(&snapshot).arg("-C").arg(&unpacked).args(["--strip-components", "1"]),
            )?;
            // cargo-deny takes the folder for a clone, and its age from this file.
            fs::create_dir_all(unpacked.join(".git"))?;
            fs::write(unpacked.join(".git/FETCH_HEAD"), "")?;
            fs::write(&stamp, &wanted)?;
        }
        command.arg("--offline");
    }
    shell::run("deny", command.args(["--locked", "--workspace", "check"]))?;
    Ok(if online { "newest advisories".into() } else { "advisory snapshot".into() })
}
