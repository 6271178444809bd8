//! A test that cannot run here says so where it is counted, or fails if skips are forbidden.

use std::io::Write;

/// Something a test needs and this machine lacks: what, and how to get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing(pub String);

/// Notes that `test` does not run because something is missing. `cargo xtask test` counts and prints the notes at the end.
///
/// # Panics
/// If `PLIMSOLL_NO_SKIP` is `1`, as in CI: a missing tool is then a failed test.
pub fn skip(test: &str, missing: &Missing) {
    let Missing(reason) = missing;
    assert!(!forbidden(), "{test} may not be skipped here (PLIMSOLL_NO_SKIP=1): {reason}");
    eprintln!("skipped: {test}: {reason}");
    let Some(path) = std::env::var_os("PLIMSOLL_SKIPS") else { return };
    // One write per line: tests run side by side and each appends its own.
    if let Ok(mut file) = std::fs::OpenOptions::new().append(true).create(true).open(path) {
        file.write_all(format!("{test}: {reason}\n").as_bytes()).ok();
    }
}

fn forbidden() -> bool {
    std::env::var("PLIMSOLL_NO_SKIP").is_ok_and(|value| value == "1")
}
