//! The rules the design states and the compiler cannot check.
//!
//! A [`Tree`] is the tracked files and the workspace's packages, read once; every rule is a pure function over it, so that the
//! tests feed bad trees from memory and see each rule fail.

mod config;
mod rules;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;

use anyhow::{Context, Result};

use crate::shell::{self, Ctx};

/// One broken rule, at a place.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The file (and line, where there is one), or the crate.
    pub place: String,
    /// Which rule, in one word.
    pub rule: &'static str,
    /// What is wrong and what would be right.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.rule, self.what)
    }
}

/// A tracked file.
pub struct File {
    /// Size in bytes, also of files that are not text.
    pub bytes: u64,
    /// The content, if it is UTF-8.
    pub text: Option<String>,
}

/// A dependency of a package as its manifest states it.
#[derive(Clone)]
pub struct Dependency {
    /// The package's name in its registry or workspace.
    pub package: String,
    /// Only tests see it.
    pub dev: bool,
}

/// A workspace member.
pub struct Package {
    /// The directory below the root: `crates/desk`.
    pub directory: String,
    /// The package's name: `plimsoll-desk`.
    pub name: String,
    /// What its manifest names.
    pub dependencies: Vec<Dependency>,
}

/// Everything the rules look at.
#[derive(Default)]
pub struct Tree {
    /// Tracked files by path below the root, `/` between parts.
    pub files: BTreeMap<String, File>,
    /// The workspace members.
    pub packages: Vec<Package>,
}

/// What was found.
#[derive(Default)]
pub struct Report {
    /// Broken rules, sorted.
    pub faults: Vec<Fault>,
    /// Allowed, but worth a line.
    pub notes: Vec<String>,
    /// How many files were read.
    pub files: usize,
    /// How many crates were judged.
    pub packages: usize,
}

/// Applies every rule.
pub fn check(tree: &Tree) -> Report {
    let mut report = Report { files: tree.files.len(), packages: tree.packages.len(), ..Report::default() };
    rules::edges(tree, &mut report);
    rules::manifests(tree, &mut report.faults);
    rules::purity(tree, &mut report.faults);
    rules::marks(tree, &mut report.faults);
    rules::paths(tree, &mut report.faults);
    rules::sizes(tree, &mut report.faults);
    rules::lock_files(tree, &mut report.faults);
    config::documented(tree, &mut report.faults);
    report.faults.sort();
    report
}

impl Tree {
    /// Reads what git tracks (and what it would track), and what cargo says of the workspace.
    pub fn read(ctx: &Ctx) -> Result<Tree> {
        let listed = shell::capture(ctx.program("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]))
            .context("tidy reads the list of files from git")?;
        let mut files = BTreeMap::new();
        for path in listed.split('\0').filter(|path| !path.is_empty()) {
            let whole = ctx.root.join(path);
            // A file deleted but not yet committed is still listed; a link is judged where it points.
            let Ok(bytes) = fs::read(&whole) else { continue };
            let size = bytes.len() as u64;
            files.insert(path.to_owned(), File { bytes: size, text: String::from_utf8(bytes).ok() });
        }
        let metadata = shell::capture(ctx.cargo().args(["metadata", "--locked", "--no-deps", "--format-version", "1"]))?;
        let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
        let root = metadata["workspace_root"].as_str().context("cargo metadata names no workspace_root")?;
        let mut packages = Vec::new();
        for package in metadata["packages"].as_array().context("cargo metadata lists no packages")? {
            let text = |key: &str| package[key].as_str().with_context(|| format!("cargo metadata: a package without {key}"));
            let manifest = text("manifest_path")?;
            let directory = manifest.trim_start_matches(root).trim_start_matches('/').trim_end_matches("/Cargo.toml").to_owned();
            let mut dependencies = Vec::new();
            for dependency in package["dependencies"].as_array().into_iter().flatten() {
                dependencies.push(Dependency {
                    package: dependency["name"].as_str().unwrap_or_default().to_owned(),
                    dev: dependency["kind"].as_str() == Some("dev"),
                });
            }
            packages.push(Package { directory, name: text("name")?.to_owned(), dependencies });
        }
        Ok(Tree { files, packages })
    }
}
