//! `cargo xtask test`: provision, build once, run everything, count the skips.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::shell::{self, Ctx};
use crate::tools;

/// Interpreters that may be there, best first; the scripts need Python 3.10 or newer.
const PYTHONS: [&str; 7] = ["python3", "python3.13", "python3.12", "python3.11", "python3.10", "python3.14", "python"];

/// Provisions, builds, runs; returns a line of counts. `args` are handed to the test runner.
pub fn run(ctx: &Ctx, args: &[String]) -> Result<String> {
    let witness = provision(ctx)?;

    let mut build = ctx.cargo();
    build.args(["build", "--locked", "--workspace", "--tests", "--bins"]);
    let built = executables("build", &mut build)?;
    let daemon = built.get("plimsoll").context("cargo built no binary called plimsoll")?;

    let skips = ctx.under_target("skips.txt");
    if let Some(folder) = skips.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&skips, "")?;
    let with_env = |command: &mut Command| {
        command.env("PLIMSOLL_BIN", daemon).env("PLIMSOLL_SKIPS", &skips);
        command.env("PLIMSOLL_NO_SKIP", if ctx.no_skip { "1" } else { "0" });
        for (name, outcome) in &witness {
            match outcome {
                Ok(path) => command.env(name, path),
                Err(reason) => command.env(format!("{name}_MISSING"), reason),
            };
        }
    };

    let mut tests = match tools::cargo_nextest(ctx)? {
        Some(nextest) => {
            let mut command = ctx.program(nextest);
            command.args(["nextest", "run", "--locked", "--workspace", "--no-fail-fast"]).args(args);
            command
        }
        None => {
            let mut command = ctx.cargo();
            command.args(["test", "--locked", "--workspace", "--tests", "--bins", "--no-fail-fast"]).args(args);
            command
        }
    };
    with_env(&mut tests);
    shell::run("test", &mut tests)?;

    if args.is_empty() {
        let mut docs = ctx.cargo();
        with_env(docs.args(["test", "--locked", "--workspace", "--doc", "--quiet"]));
        shell::run("doc tests", &mut docs)?;
    }

    let text = fs::read_to_string(&skips)?;
    let skipped: Vec<&str> = text.lines().collect();
    for reason in &skipped {
        println!("    skipped: {reason}");
    }
    // The tests themselves fail when skips are forbidden; this catches one that forgot to ask.
    if ctx.no_skip && !skipped.is_empty() {
        bail!("{} tests were skipped, and skips are forbidden here", skipped.len());
    }
    Ok(format!("all tests passed, {} skipped", skipped.len()))
}

/// Runs a `cargo build` and returns the executables it made (or found fresh), by target name.
pub fn executables(step: &str, build: &mut Command) -> Result<BTreeMap<String, PathBuf>> {
    println!("==> {step}");
    let output = build
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .context("could not start cargo")?;
    if !output.status.success() {
        bail!("{step} failed ({})", output.status);
    }
    let mut found = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let (Some(name), Some(path)) = (message["target"]["name"].as_str(), message["executable"].as_str()) else { continue };
        let kind = message["target"]["kind"][0].as_str().unwrap_or_default();
        // A binary's own unit tests carry its name as well: only the plain build counts.
        let test = message["profile"]["test"].as_bool().unwrap_or(false);
        if (kind == "bin" && !test) || kind == "bench" {
            found.insert(name.to_owned(), PathBuf::from(path));
        }
    }
    Ok(found)
}

/// What the witness tests need: the name of the environment variable that tells them, and the path or why there is none.
pub type Provisions = Vec<(&'static str, Result<PathBuf, String>)>;

/// Makes what the witness tests need, or says why it could not.
pub fn provision(ctx: &Ctx) -> Result<Provisions> {
    println!("==> provision");
    let mut all = Vec::new();
    for (name, made) in [("PLIMSOLL_PYTHON", python(ctx)), ("PLIMSOLL_NODE_DIR", node(ctx))] {
        match &made {
            Ok(path) => println!("    {name}={}", path.display()),
            Err(error) if ctx.no_skip => bail!("{name}: {error:#}; its tests cannot run, and skips are forbidden here"),
            Err(error) => println!("    {name}: {error:#}; its tests will be skipped"),
        }
        all.push((name, made.map_err(|error| format!("{error:#}"))));
    }
    // The unit file's judge; on a machine without systemd its test is skipped.
    if shell::capture(ctx.program("systemd-analyze").arg("--version")).is_err() {
        apt(ctx, &["systemd"])?;
    }
    Ok(all)
}

/// A virtual environment with the pinned clients; its interpreter.
fn python(ctx: &Ctx) -> Result<PathBuf> {
    let source = ctx.root.join("tests/witness");
    let home = ctx.under_target("witness/python");
    let interpreter = home.join("bin/python");
    let locked = source.join("requirements.txt");
    if stamped(&home, &[&locked])? && interpreter.exists() {
        return Ok(interpreter);
    }
    let base = match find_python(ctx) {
        Some(found) => found,
        None => {
            apt(ctx, &["python3", "python3-venv"])?;
            find_python(ctx).context("no Python 3.10 or newer with the venv module")?
        }
    };
    println!("    installing the Python clients");
    if home.exists() {
        fs::remove_dir_all(&home)?;
    }
    shell::capture(ctx.program(base).args(["-m", "venv"]).arg(&home))?;
    let mut pip = ctx.program(&interpreter);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r"]).arg(&locked);
    shell::downloading("the Python clients", || shell::capture(&mut pip))?;
    stamp(&home, &[&locked])?;
    Ok(interpreter)
}

fn find_python(ctx: &Ctx) -> Option<&'static str> {
    const PROBE: &str = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";
    PYTHONS.into_iter().find(|name| shell::capture(ctx.program(name).args(["-c", PROBE])).is_ok())
}

/// A folder with the pinned packages under `node_modules`; scripts are copied into it, since imports resolve from a script's place.
fn node(ctx: &Ctx) -> Result<PathBuf> {
    let source = ctx.root.join("tests/witness");
    let home = ctx.under_target("witness/node");
    let files = ["package.json", "package-lock.json", ".npmrc"];
    let sources: Vec<PathBuf> = files.iter().map(|name| source.join(name)).collect();
    let sources: Vec<&Path> = sources.iter().map(PathBuf::as_path).collect();
    if stamped(&home, &sources)? {
        return Ok(home);
    }
    let there = |name: &str| shell::capture(ctx.program(name).arg("--version")).is_ok();
    if !(there("node") && there("npm")) {
        apt(ctx, &["nodejs", "npm"])?;
    }
    if !(there("node") && there("npm")) {
        bail!("no node with npm");
    }
    println!("    installing the Node clients");
    if home.exists() {
        fs::remove_dir_all(&home)?;
    }
    fs::create_dir_all(&home)?;
    for (name, path) in files.iter().zip(&sources) {
        fs::copy(path, home.join(name))?;
    }
    let mut npm = ctx.program("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&home);
    shell::downloading("the Node clients", || shell::capture(&mut npm))?;
    stamp(&home, &sources)?;
    Ok(home)
}

/// In CI, as root, on a Debian-like machine, the machine's own packages may be installed. Nowhere else.
fn apt(ctx: &Ctx, packages: &[&str]) -> Result<()> {
    let root = shell::capture(ctx.program("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !(ctx.ci && root) {
        return Ok(());
    }
    let mut install = ctx.program("apt-get");
    install.args(["install", "-q", "-y", "--no-install-recommends"]).args(packages).env("DEBIAN_FRONTEND", "noninteractive");
    shell::downloading(&packages.join(" "), || {
        shell::run("apt", ctx.program("apt-get").args(["update", "-q"]))?;
        shell::run("apt", &mut install)
    })
}

/// A folder is up to date if the lock files it was made from are unchanged.
fn stamped(home: &Path, sources: &[&Path]) -> Result<bool> {
    Ok(fs::read(home.join("made-from")).is_ok_and(|was| was == joined(sources).unwrap_or_default()))
}

fn stamp(home: &Path, sources: &[&Path]) -> Result<()> {
    fs::write(home.join("made-from"), joined(sources)?)?;
    Ok(())
}

fn joined(sources: &[&Path]) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    for path in sources {
        all.extend(fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?);
    }
    Ok(all)
}
