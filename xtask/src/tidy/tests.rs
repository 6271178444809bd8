use super::{Dependency, Fault, File, Package, Tree, check};

const MANIFEST: &str = "[package]\nname = \"x\"\nedition.workspace = true\nrust-version.workspace = true\nlicense.workspace = true\n\
                        publish.workspace = true\n\n[lints]\nworkspace = true\n";

/// A tree with the given files and crates; each crate gets a proper manifest unless a file overrides it.
fn tree(files: &[(&str, &str)], packages: &[(&str, &[&str])]) -> Tree {
    let mut tree = Tree::default();
    for (directory, dependencies) in packages {
        let dependencies = dependencies
            .iter()
            .map(|name| match name.strip_prefix("dev:") {
                Some(name) => Dependency { package: name.to_owned(), dev: true },
                None => Dependency { package: (*name).to_owned(), dev: false },
            })
            .collect();
        let name = format!("plimsoll-{}", directory.trim_start_matches("crates/"));
        tree.packages.push(Package { directory: (*directory).to_owned(), name, dependencies });
        add(&mut tree, &format!("{directory}/Cargo.toml"), MANIFEST);
    }
    for (path, text) in files {
        add(&mut tree, path, text);
    }
    tree
}

fn add(tree: &mut Tree, path: &str, text: &str) {
    tree.files.insert(path.to_owned(), File { bytes: text.len() as u64, text: Some(text.to_owned()) });
}

/// The faults as `place: rule`, which is what a reader needs to see that the right one fired.
fn faults(tree: &Tree) -> Vec<String> {
    check(tree).faults.iter().map(|Fault { place, rule, .. }| format!("{place}: {rule}")).collect()
}

fn expect(files: &[(&str, &str)], expected: &[&str]) {
    assert_eq!(faults(&tree(files, &[])), expected);
}

#[test]
fn a_clean_tree_has_no_faults() {
    let clean = tree(
        &[("crates/desk/src/lib.rs", "use std::collections::BTreeMap;\nuse std::time::Duration;\n")],
        &[
            ("crates/domain", &["rand_chacha", "serde"]),
            ("crates/execution", &["plimsoll-domain"]),
            ("crates/margin-guard", &["plimsoll-domain", "dev:tokio"]),
            ("crates/desk", &["plimsoll-domain", "plimsoll-execution", "plimsoll-margin-guard"]),
            ("crates/journal", &["plimsoll-domain", "tokio"]),
            ("crates/supervisor", &["plimsoll-desk", "plimsoll-journal"]),
        ],
    );
    assert_eq!(faults(&clean), Vec::<String>::new());
    assert_eq!(check(&clean).packages, 6);
}

#[test]
fn an_edge_against_the_design_fails() {
    let bad = tree(
        &[],
        &[
            ("crates/domain", &[]),
            ("crates/margin-guard", &[]),
            ("crates/execution", &["plimsoll-domain", "plimsoll-margin-guard"]),
        ],
    );
    assert_eq!(faults(&bad), ["crates/execution: edges"]);
    assert!(check(&bad).faults[0].what.contains("may not depend on margin-guard; allowed: domain"));
}

#[test]
fn an_edge_of_the_tests_alone_is_noted_not_refused() {
    let noted = tree(&[], &[("crates/journal", &[]), ("crates/lab", &["dev:plimsoll-journal"])]);
    assert_eq!(faults(&noted), Vec::<String>::new());
    assert_eq!(check(&noted).notes, ["lab: its tests also use journal"]);
}

#[test]
fn a_crate_the_design_does_not_know_fails() {
    assert_eq!(faults(&tree(&[], &[("crates/utils", &[])])), ["crates/utils: edges"]);
}

#[test]
fn impure_dependencies_fail_in_pure_crates_only() {
    let bad = tree(&[], &[("crates/desk", &["tokio"]), ("crates/exchange", &["rand_chacha"]), ("crates/paper", &["tokio"])]);
    assert_eq!(faults(&bad), ["crates/desk: purity", "crates/exchange: purity"]);
}

#[test]
fn ethers_belongs_to_chain() {
    let bad = tree(&[], &[("crates/chain", &["ethers-core"]), ("crates/supervisor", &["ethers-signers"])]);
    assert_eq!(faults(&bad), ["crates/supervisor: edges"]);
}

#[test]
fn a_manifest_of_its_own_mind_fails() {
    let loose =
        "[package]\nedition = \"2021\"\nrust-version.workspace = true\nlicense.workspace = true\npublish.workspace = true\n";
    let bad = tree(&[("crates/wire/Cargo.toml", loose)], &[("crates/wire", &[])]);
    assert_eq!(faults(&bad), ["crates/wire/Cargo.toml: manifest", "crates/wire/Cargo.toml: manifest"]);
}

#[test]
fn clocks_maps_chance_and_io_fail_in_a_pure_crate() {
    expect(&[("crates/desk/src/a.rs", "fn f() {\n  let t = std::time::Instant::now();\n}")], &["crates/desk/src/a.rs:2: purity"]);
    expect(&[("crates/wire/src/a.rs", "use std::collections::HashMap;")], &["crates/wire/src/a.rs:1: purity"]);
    expect(
        &[("crates/exchange/src/a.rs", "use std::{fmt, fs::File, collections::{BTreeMap, HashSet}};")],
        &["crates/exchange/src/a.rs:1: purity", "crates/exchange/src/a.rs:1: purity"],
    );
    expect(&[("crates/lab/src/a.rs", "let x = rand::random();")], &["crates/lab/src/a.rs:1: purity"]);
    expect(&[("crates/lab/src/a.rs", "let s = std::net::TcpStream::connect(x);")], &["crates/lab/src/a.rs:1: purity"]);
    // The same in a crate that does I/O is its business.
    expect(&[("crates/paper/src/a.rs", "let t = std::time::Instant::now();")], &[]);
}

#[test]
fn comments_texts_and_tests_are_not_code() {
    let text = r####"
//! tokio and HashMap in a comment
/* nested /* Instant::now() */ SystemTime */
const A: &str = "HashMap \" tokio";
const B: &str = r#"std::fs "quoted" HashSet"#;
const C: char = '"'; const D: &[u8] = b"HashMap"; const E: char = '\''; const F: u8 = b'"';
fn f<'a>(x: &'a str) -> &'a str { x }
#[cfg(test)]
use std::{collections::HashMap, fs};
#[cfg(test)]
#[allow(clippy::disallowed_types)]
mod inline { use std::collections::HashMap; fn g() { std::fs::read("x"); } }
#[cfg(test)]
mod tests;
fn after() { let strand = 1; let operand = strand; }
"####;
    expect(&[("crates/desk/src/order.rs", text), ("crates/desk/src/order/tests.rs", "use std::collections::HashMap;")], &[]);
    // After the tests the file is code again.
    let tail = format!("{text}\nfn late() {{ tokio::spawn(x); }}");
    expect(&[("crates/desk/src/order.rs", &tail)], &["crates/desk/src/order.rs:17: purity"]);
}

#[test]
fn a_test_file_nobody_declared_as_one_is_code() {
    expect(
        &[("crates/desk/src/lib.rs", "mod tests;"), ("crates/desk/src/tests.rs", "use std::fs;")],
        &["crates/desk/src/tests.rs:1: purity"],
    );
    expect(&[("crates/desk/src/lib.rs", "#[cfg(test)] mod tests;"), ("crates/desk/src/tests/deep.rs", "use std::fs;")], &[]);
}

#[test]
fn unfinished_marks_fail_anywhere_in_rust() {
    let unfinished =
        format!("fn f() {{ {}!() }}\n// {}: later\n{}]\n", concat!("to", "do"), concat!("FIX", "ME"), concat!("#[ign", "ore"));
    expect(
        &[("tests/tests/main.rs", &unfinished)],
        &["tests/tests/main.rs:1: marks", "tests/tests/main.rs:2: marks", "tests/tests/main.rs:3: marks"],
    );
    expect(&[("crates/margin-guard/tests/ui/forge.rs", &unfinished), ("notes.md", &unfinished)], &[]);
}

#[test]
fn paths_of_a_machine_fail() {
    let path = concat!("see /wo", "rk/shared and /ho", "me/me/x");
    expect(&[("docs/a.md", path)], &["docs/a.md:1: paths", "docs/a.md:1: paths"]);
    expect(&[("docs/a.md", concat!("https://host/ho", "me/x and net/wo", "rk/x"))], &[]);
}

#[test]
fn large_files_fail() {
    let mut bad = tree(&[], &[]);
    bad.files.insert("config/tape.gz".into(), File { bytes: (1 << 20) + 1, text: None });
    bad.files.insert("config/small.gz".into(), File { bytes: 1 << 20, text: None });
    assert_eq!(faults(&bad), ["config/tape.gz: size"]);
}

#[test]
fn lock_files_name_no_host() {
    expect(&[("tests/witness/package-lock.json", "{\n \"resolved\": \"x\"}")], &["tests/witness/package-lock.json:2: lock"]);
    expect(&[("tests/witness/requirements.txt", "--find-links x\na==1")], &["tests/witness/requirements.txt:1: lock"]);
    expect(&[("Cargo.lock", "source = \"git+ssh://x\"")], &["Cargo.lock:1: lock"]);
    expect(&[("Cargo.lock", "source = \"registry+https://github.com/rust-lang/crates.io-index\"")], &[]);
}

#[test]
fn each_config_key_is_documented_once() {
    let good = "\
# Which venue.
venue = \"paper\" 
# Orders a second; cancels have their own.
[limits]
rate = 3 # orders a second
# Two lines
# of comment.
text = \"\"\"
inner = 1
\"\"\"
# A list.
list = [
  1, # one
  2,
]
[[rows]]
# A name with a # in it.
name = \"a#b\"
[[rows]]
name = \"c\"
";
    expect(&[("config/default.toml", good)], &[]);
    let bad = "# a\na = 1\nb = \"#no comment\"\n\n[t]\na = 2\n# ---\nc = 3\n";
    expect(&[("config/x.toml", bad)], &["config/x.toml:3: config", "config/x.toml:6: config", "config/x.toml:8: config"]);
    expect(&[("elsewhere/x.toml", bad)], &[]);
    // What the reference explains, an example need not.
    expect(
        &[("config/default.toml", good), ("config/x.toml", "venue = 1\n[limits]\nrate = 2\nnew = 3\n")],
        &["config/x.toml:4: config"],
    );
}
