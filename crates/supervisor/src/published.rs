//! Published cases of formulas, run against every crate that knows some, and the data sets that they name.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use domain::cases::{self, Outcome};

use crate::Failure;

/// How far below the folder of a case file its data sets are looked for.
const DEPTH_MAX: usize = 4;
/// Folders and files that are looked at in search of one: a wrong folder, such as a home directory, must not be walked for ever.
const ENTRIES_MAX: usize = 20_000;
/// Largest data set in bytes, unpacked: a hundred times that of the published one.
const BYTES_MAX: u64 = 256 << 20;

/// Runs the cases of `file`. A topic is skipped only if no crate knows it.
///
/// # Errors
/// If the file cannot be read.
pub fn quant(file: &Path) -> Result<Outcome, Failure> {
    let text = fs::read_to_string(file).map_err(|e| Failure::other(format!("{}: {e}", file.display())))?;
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let load = |name: &str| data_set(folder, name);
    let mut topics = execution::conformance::topics();
    topics.extend(risk::conformance::topics(&load));
    Ok(cases::run(&text, &topics))
}

/// The text of the data set called `name` in `folder` or up to [`DEPTH_MAX`] levels below it, unpacked if its name says so.
fn data_set(folder: &Path, name: &str) -> Result<String, String> {
    let path = find(folder, name)
        .ok_or_else(|| format!("data set {name} is neither in {} nor up to {DEPTH_MAX} levels below it", folder.display()))?;
    let fail = |e: std::io::Error| format!("{}: {e}", path.display());
    let file = fs::File::open(&path).map_err(fail)?;
    let packed = path.extension().is_some_and(|e| e == "gz");
    let reader: Box<dyn Read> = if packed { Box::new(flate2::read::GzDecoder::new(file)) } else { Box::new(file) };
    let mut text = String::new();
    let read = reader.take(BYTES_MAX + 1).read_to_string(&mut text).map_err(fail)?;
    if u64::try_from(read).is_ok_and(|read| read <= BYTES_MAX) {
        Ok(text)
    } else {
        Err(format!("{}: more than {BYTES_MAX} bytes", path.display()))
    }
}

/// Level by level, so that the nearest of two with one name is taken. Links to folders are not followed.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut level = vec![folder.to_owned()];
    let mut looked_at = 0;
    for _ in 0..=DEPTH_MAX {
        let mut next = Vec::new();
        for folder in level {
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            let mut entries: Vec<_> = entries.flatten().take(ENTRIES_MAX).collect();
            entries.sort_by_key(fs::DirEntry::file_name);
            for entry in entries {
                looked_at += 1;
                if looked_at > ENTRIES_MAX {
                    return None;
                }
                let Ok(kind) = entry.file_type() else { continue };
                if kind.is_dir() {
                    next.push(entry.path());
                } else if entry.file_name() == name {
                    return Some(entry.path());
                }
            }
        }
        level = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(path: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
    }

    #[test]
    fn every_published_case_passes_with_its_data_set_anywhere_near() {
        let dir = tempfile::tempdir().unwrap();
        let cases = dir.path().join("cases.json");
        fs::copy(repository("execution/tests/data/quant_cases.json"), &cases).unwrap();
        let without = quant(&cases).unwrap();
        assert_eq!(without.failed.len(), 1, "{:?}", without.failed);
        assert!(without.failed[0].why.contains("multi_venue_2020_2022.csv.gz"), "{}", without.failed[0].why);

        let name = "multi_venue_2020_2022.csv.gz";
        let deep = dir.path().join("a/b/c/d/e");
        fs::create_dir_all(&deep).unwrap();
        fs::copy(repository("risk/tests/fixtures").join(name), deep.join(name)).unwrap();
        assert_eq!(quant(&cases).unwrap().failed.len(), 1, "five levels below is too far");
        fs::rename(deep.join(name), dir.path().join("a/b/c/d").join(name)).unwrap();
        let all = quant(&cases).unwrap();
        assert_eq!(all.failed, []);
        assert_eq!((all.passed, all.skipped.len()), (29, 0));
    }
}
