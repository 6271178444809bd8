//! One function per rule.

use super::source::{self, Code};
use super::{Fault, Report, Tree};

/// The crates that decide: same inputs, same outputs.
const PURE: [&str; 9] = ["domain", "wire", "risk", "execution", "margin-guard", "ledger", "desk", "exchange", "lab"];

/// Who may name whom inside the workspace, by directory name (design §2). A crate that is not listed may name none.
const EDGES: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("wire", &["domain"]),
    ("execution", &["domain"]),
    ("risk", &["domain"]),
    ("margin-guard", &["risk", "domain"]),
    ("ledger", &["domain"]),
    ("exchange", &["domain"]),
    ("journal", &["domain"]),
    ("alerts", &["domain"]),
    ("desk", &["execution", "margin-guard", "risk", "domain"]),
    ("venue-connector", &["wire", "margin-guard", "domain"]),
    ("chain", &["margin-guard", "domain"]),
    ("paper", &["exchange", "wire", "domain"]),
    ("lab", &["desk", "exchange", "margin-guard", "risk", "ledger", "domain"]),
    ("supervisor", EVERY),
    ("tests", EVERY),
    ("xtask", &[]),
];

/// Stands for every crate of the workspace.
const EVERY: &[&str] = &["*"];

/// What a pure crate may not depend on outside its tests: runtimes, sockets, databases, sources of time and chance.
const IMPURE_PACKAGES: &[&str] = &[
    "tokio",
    "tokio-util",
    "tokio-tungstenite",
    "tungstenite",
    "futures-util",
    "reqwest",
    "hyper",
    "hyper-util",
    "axum",
    "tonic",
    "rusqlite",
    "tokio-postgres",
    "notify",
    "rand",
    "getrandom",
    "fastrand",
    "chrono",
    "time",
    "uuid",
    "rustix",
    "libc",
    "tempfile",
];

/// The generator behind `domain::Prng`; the other pure crates take that one.
const CHANCE_PACKAGES: &[&str] = &["rand_core", "rand_chacha"];

/// Identifiers that bring time, chance or an unstable order into a decision.
const IMPURE_WORDS: &[(&str, &str)] = &[
    ("tokio", "a pure crate has no runtime"),
    ("Instant", "time comes in by the door: take a `domain::Stamp`"),
    ("SystemTime", "time comes in by the door: take a `domain::Stamp`"),
    ("HashMap", "its order differs from run to run: use `BTreeMap`"),
    ("HashSet", "its order differs from run to run: use `BTreeSet`"),
    ("RandomState", "chance comes in by the door: take a `domain::Prng`"),
    ("getrandom", "chance comes in by the door: take a `domain::Prng`"),
    ("thread_rng", "chance comes in by the door: take a `domain::Prng`"),
    ("OsRng", "chance comes in by the door: take a `domain::Prng`"),
];

/// Modules of `std` that do I/O.
const IMPURE_STD: [&str; 6] = ["fs", "net", "env", "process", "thread", "os"];

/// No tracked file is larger.
const BYTES_MAX: u64 = 1 << 20;

fn short(directory: &str) -> &str {
    directory.rsplit('/').next().unwrap_or(directory)
}

fn fault(place: impl Into<String>, rule: &'static str, what: impl Into<String>) -> Fault {
    Fault { place: place.into(), rule, what: what.into() }
}

/// Dependencies between crates run in one direction, and only `chain` names ethers.
pub fn edges(tree: &Tree, report: &mut Report) {
    for package in &tree.packages {
        let from = short(&package.directory);
        let listed = EDGES.iter().find(|(name, _)| *name == from);
        let allowed = listed.map_or(&[][..], |(_, to)| *to);
        if listed.is_none() {
            let what = "this crate is not in the design's list of edges: add it there and to xtask's EDGES";
            report.faults.push(fault(&package.directory, "edges", what));
        }
        let pure = PURE.contains(&from);
        let mut only_tests = Vec::new();
        for dependency in &package.dependencies {
            let name = dependency.package.as_str();
            if let Some(target) = tree.packages.iter().find(|p| p.name == name) {
                let to = short(&target.directory);
                if allowed == EVERY || allowed.contains(&to) {
                    continue;
                }
                if dependency.dev {
                    only_tests.push(to);
                } else {
                    let what = format!("may not depend on {to}; allowed: {}", list(allowed));
                    report.faults.push(fault(&package.directory, "edges", what));
                }
                continue;
            }
            if (name == "ethers" || name.starts_with("ethers-")) && from != "chain" {
                report.faults.push(fault(&package.directory, "edges", format!("{name} may be named by chain alone")));
            }
            if dependency.dev || !pure {
                continue;
            }
            if IMPURE_PACKAGES.contains(&name) || (CHANCE_PACKAGES.contains(&name) && from != "domain") {
                report.faults.push(fault(&package.directory, "purity", format!("a pure crate may not depend on {name}")));
            }
        }
        if !only_tests.is_empty() {
            report.notes.push(format!("{from}: its tests also use {}", list(&only_tests)));
        }
    }
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// Every crate takes licence, edition and lints from the workspace and is never published.
pub fn manifests(tree: &Tree, faults: &mut Vec<Fault>) {
    for package in &tree.packages {
        let path = format!("{}/Cargo.toml", package.directory);
        let Some(text) = tree.files.get(&path).and_then(|file| file.text.as_deref()) else {
            faults.push(fault(path, "manifest", "is not tracked"));
            continue;
        };
        for key in ["license", "edition", "rust-version", "publish"] {
            let line = format!("{key}.workspace=true");
            if !text.lines().any(|have| squeezed(have) == line) {
                faults.push(fault(&path, "manifest", format!("wants `{key}.workspace = true`")));
            }
        }
        let mut lines = text.lines().map(squeezed).skip_while(|line| line != "[lints]").skip(1);
        if lines.next().as_deref() != Some("workspace=true") {
            faults.push(fault(&path, "manifest", "wants `[lints]` with `workspace = true`"));
        }
    }
}

fn squeezed(line: &str) -> String {
    line.chars().filter(|c| !c.is_whitespace()).collect()
}

/// No clock, no chance, no I/O and no unstable order in the crates that decide, outside their tests.
pub fn purity(tree: &Tree, faults: &mut Vec<Fault>) {
    for name in PURE {
        let source = format!("crates/{name}/src/");
        let inside = || tree.files.iter().filter(|(path, _)| path.starts_with(&source) && path.ends_with(".rs"));
        let parsed: Vec<(&String, Code)> =
            inside().filter_map(|(path, file)| Some((path, Code::read(file.text.as_deref()?)))).collect();
        let test_roots: Vec<String> = parsed
            .iter()
            .flat_map(|(path, code)| code.test_modules.iter().map(|module| source::module_root(path, module)))
            .collect();
        for (path, code) in &parsed {
            let in_tests = test_roots.iter().any(|root| **path == format!("{root}.rs") || path.starts_with(&format!("{root}/")));
            if !in_tests {
                impure(path, code, faults);
            }
        }
    }
}

fn impure(path: &str, code: &Code, faults: &mut Vec<Fault>) {
    for (at, token) in code.tokens.iter().enumerate() {
        if let Some((word, why)) = IMPURE_WORDS.iter().find(|(word, _)| token.text == *word) {
            faults.push(fault(format!("{path}:{}", token.line), "purity", format!("{word}: {why}")));
        }
        if token.text == "std" {
            for part in code.path_heads_after(at) {
                if IMPURE_STD.contains(&part.text.as_str()) {
                    let what = format!("std::{}: a pure crate does no I/O and reads no environment", part.text);
                    faults.push(fault(format!("{path}:{}", part.line), "purity", what));
                }
            }
        }
        // `rand::…` as a path; a field or variable of that name is nobody's business.
        if token.text == "rand" && code.tokens.get(at + 1).is_some_and(|next| next.text == "::") {
            faults.push(fault(
                format!("{path}:{}", token.line),
                "purity",
                "rand: chance comes in by the door: take a `domain::Prng`",
            ));
        }
    }
}

/// Nothing unfinished is tracked, and no test is switched off.
pub fn marks(tree: &Tree, faults: &mut Vec<Fault>) {
    // Written in halves, so that this file does not hold what it looks for.
    let marks = [
        concat!("to", "do!("),
        concat!("un", "implemented!("),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("#[ign", "ore"),
        concat!("dbg", "!("),
    ];
    for (path, file) in &tree.files {
        // What must not compile may hold anything.
        if !path.ends_with(".rs") || path.contains("/tests/ui/") {
            continue;
        }
        for (number, line) in file.text.as_deref().unwrap_or_default().lines().enumerate() {
            for mark in marks {
                if line.contains(mark) {
                    faults.push(fault(format!("{path}:{}", number + 1), "marks", format!("{mark} may not be committed")));
                }
            }
        }
    }
}

/// No path of the machine someone happened to work on.
pub fn paths(tree: &Tree, faults: &mut Vec<Fault>) {
    let roots = [
        concat!("/wo", "rk/"),
        concat!("/fa", "rm/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
        concat!("/tmp/pl", "im"),
    ];
    for (path, file) in &tree.files {
        for (number, line) in file.text.as_deref().unwrap_or_default().lines().enumerate() {
            for root in roots {
                let own = line.match_indices(root).any(|(at, _)| {
                    // `a/work/b` is a relative path and `https://host/home/x` an address.
                    !line[..at]
                        .ends_with(|before: char| before.is_alphanumeric() || matches!(before, '_' | '.' | '-' | '}' | '*' | '>'))
                });
                if own {
                    faults.push(fault(
                        format!("{path}:{}", number + 1),
                        "paths",
                        format!("{root} is a path of somebody's machine"),
                    ));
                }
            }
        }
    }
}

/// A repository is cloned by strangers: no large file.
pub fn sizes(tree: &Tree, faults: &mut Vec<Fault>) {
    for (path, file) in &tree.files {
        if file.bytes > BYTES_MAX {
            faults.push(fault(path, "size", format!("{} bytes; at most {BYTES_MAX} are tracked", file.bytes)));
        }
    }
}

/// Lock files pin versions and hashes, never the host somebody fetched from.
pub fn lock_files(tree: &Tree, faults: &mut Vec<Fault>) {
    for (path, file) in &tree.files {
        let text = file.text.as_deref().unwrap_or_default();
        let bad: &[&str] = match path.rsplit('/').next().unwrap_or(path) {
            "package-lock.json" => &["\"resolved\":"],
            "requirements.txt" => &["--index-url", "--extra-index-url", "--find-links", "--trusted-host", "://"],
            ".npmrc" => &["registry=", "registry =", "//"],
            "Cargo.lock" => {
                for (number, line) in text.lines().enumerate() {
                    if line.starts_with("source = ") && !line.contains("registry+https://github.com/rust-lang/crates.io-index") {
                        faults.push(fault(format!("{path}:{}", number + 1), "lock", "a source other than crates.io"));
                    }
                }
                continue;
            }
            _ => continue,
        };
        for (number, line) in text.lines().enumerate() {
            if let Some(word) = bad.iter().find(|word| line.contains(**word)) {
                faults.push(fault(format!("{path}:{}", number + 1), "lock", format!("{word} ties the lock file to one host")));
            }
        }
    }
}
