//! Every key in `config/*.toml` says beside it what it means.

use std::collections::BTreeSet;

use super::{Fault, Tree};

/// The reference: what it explains, the other files need not explain again.
const REFERENCE: &str = "config/default.toml";

/// A key counts as documented if a comment stands on the line above it or at its end, or if the same key of the same table was
/// documented earlier in the file (rows of a list need it once) or in `config/default.toml`.
pub fn documented(tree: &Tree, faults: &mut Vec<Fault>) {
    let text_of = |path: &str| tree.files.get(path).and_then(|file| file.text.as_deref()).unwrap_or_default();
    let mut reference = BTreeSet::new();
    undocumented(text_of(REFERENCE), &mut reference);
    for path in tree.files.keys() {
        if path.starts_with("config/") && path.ends_with(".toml") {
            let mut known = if path == REFERENCE { BTreeSet::new() } else { reference.clone() };
            faults.extend(undocumented(text_of(path), &mut known).into_iter().map(|(line, key)| Fault {
                place: format!("{path}:{line}"),
                rule: "config",
                what: format!("{key} wants a comment above it or beside it: meaning, unit, what happens at the limit"),
            }));
        }
    }
}

/// Line and name of each key without a word about it; adds those with one to `known`.
fn undocumented(text: &str, known: &mut BTreeSet<String>) -> Vec<(usize, String)> {
    let mut missing = Vec::new();
    let mut table = String::new();
    let mut after_comment = false;
    // Inside a value that goes over several lines: open brackets, or a text in triple quotes.
    let mut depth = 0_i64;
    let mut in_text: Option<&str> = None;
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if let Some(quotes) = in_text {
            if trimmed.contains(quotes) {
                in_text = None;
            }
            continue;
        }
        let (bare, comment) = split_comment(trimmed);
        if depth > 0 {
            depth += brackets(bare);
            continue;
        }
        if bare.is_empty() {
            after_comment = comment;
            continue;
        }
        if bare.starts_with('[') {
            table = bare.trim_matches(['[', ']']).trim().to_owned();
        } else if let Some((key, value)) = bare.split_once('=') {
            let whole = if table.is_empty() { key.trim().to_owned() } else { format!("{table}.{}", key.trim()) };
            if after_comment || comment {
                known.insert(whole);
            } else if !known.contains(&whole) {
                missing.push((number + 1, whole));
            }
            for quotes in ["\"\"\"", "'''"] {
                if value.matches(quotes).count() == 1 {
                    in_text = Some(quotes);
                }
            }
            depth = brackets(value);
        }
        after_comment = false;
    }
    missing
}

/// The line without its comment, and whether it had one with words in it. A `#` inside quotes is no comment.
fn split_comment(line: &str) -> (&str, bool) {
    let mut quote = None;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None, '#') => return (line[..at].trim_end(), line[at..].contains(char::is_alphabetic)),
            _ => {}
        }
    }
    (line, false)
}

fn brackets(value: &str) -> i64 {
    let mut depth = 0;
    let mut quote = None;
    for c in value.chars() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth -= 1,
            _ => {}
        }
    }
    depth
}
