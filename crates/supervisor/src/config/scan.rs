//! What can be read of a file that is no configuration.

use domain::StopLevel;

use super::kill;

/// What a file asks for as far as it can be read, whatever else is wrong with it.
///
/// Can be read means: there is a line `[kill]`, and a line `engaged = true` below it and above the next line that begins with `[`; or
/// a line `kill.engaged = true`, or `kill = {` with `engaged = true` behind it on the same line, anywhere. Spaces, tabs, quotes around
/// keys and comments do not matter, and neither do quotes around `true`. The level is that of the `level` line in the same place;
/// one that is missing or makes no sense counts as cancel.
#[must_use]
pub fn scan_for_stop(bytes: &[u8]) -> Option<StopLevel> {
    let text = String::from_utf8_lossy(bytes);
    let (mut inside, mut engaged, mut level) = (false, false, None);
    let mut pair = |key: &str, value: &str| match key {
        "engaged" => engaged |= value == "true",
        "level" => level = kill::level(value),
        _ => {}
    };
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        // what is invisible or decoration
        let line: String =
            line.chars().filter(|c| !c.is_whitespace() && !c.is_control() && !"\"'\u{feff}".contains(*c)).collect();
        if line.starts_with('[') {
            inside = line == "[kill]";
            continue;
        }
        if let Some(rest) = line.strip_prefix("kill={") {
            for one in rest.trim_end_matches('}').split(',') {
                let (key, value) = one.split_once('=').unwrap_or_default();
                pair(key, value);
            }
        } else if let Some((key, value)) = line.split_once('=') {
            match key.strip_prefix("kill.") {
                Some(key) => pair(key, value),
                None if inside => pair(key, value),
                None => {}
            }
        }
    }
    engaged.then(|| level.unwrap_or(StopLevel::Cancel))
}

/// A quoted value of `[daemon]`, as far as it can be read, whatever else is wrong with the file: of the last line `key = "…"` below a
/// line `[daemon]` and above the next one that begins with `[`.
pub fn scan_for_daemon(bytes: &[u8], key: &str) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let (mut inside, mut found) = (false, None);
    for line in text.lines().map(|line| line.trim_start_matches('\u{feff}').trim()) {
        if line.starts_with('[') {
            inside = line.split('#').next().unwrap_or_default().trim() == "[daemon]";
            continue;
        }
        let Some((_, value)) = line.split_once('=').filter(|(name, _)| inside && name.trim() == key) else { continue };
        let value = value.trim_start();
        let quoted = value.chars().next().filter(|c| "\"'".contains(*c)).and_then(|quote| value[1..].split_once(quote));
        found = quoted.map(|(value, _)| value.to_owned()).or(found);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_read_whatever_else_is_wrong() {
        let cancel = Some(StopLevel::Cancel);
        let cases: &[(&str, Option<StopLevel>)] = &[
            ("[kill]\nengaged = true\n", cancel),
            ("[kill]\nengaged=true\nlevel = \"flatten\"", Some(StopLevel::Flatten)),
            ("[kill]\nlevel = 'reduce-only' # until noon\n\tengaged = \"true\"", Some(StopLevel::ReduceOnly)),
            ("[kill]\nlevel = \"whatever\"\nengaged = true", cancel),
            ("[guard\nx = = 3\n[kill]\nengaged = true\n\"unclosed", cancel),
            ("\u{feff}[ kill ]\r\nengaged = true\r\n", cancel),
            ("kill.engaged = true", cancel),
            ("kill = { level = \"block\", engaged = true }", Some(StopLevel::Block)),
            ("[kill]\nengaged = true\n[kill]\nengaged = false", cancel),
            ("[kill]\nengaged = false", None),
            ("[kill]\n# engaged = true", None),
            ("[killer]\nengaged = true", None),
            ("[kill]\n[other]\nengaged = true", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(scan_for_stop(text.as_bytes()), *expected, "{text}");
        }
        let mut broken = b"\xff\xfe\x00[guard]\n\x00\n[kill]\nengaged = true\n".to_vec();
        assert_eq!(scan_for_stop(&broken), cancel);
        broken.truncate(20);
        assert_eq!(scan_for_stop(&broken), None, "what is not there cannot be read");
    }

    #[test]
    fn the_daemon_is_found_by_a_file_that_is_no_configuration() {
        let said = |text: &str| scan_for_daemon(text.as_bytes(), "state_dir");
        assert_eq!(said("[guard\nx = = 3\n[daemon] # where\n state_dir = \"/var/a b\" # here\n").as_deref(), Some("/var/a b"));
        assert_eq!(said("\u{feff}[daemon]\r\nstate_dir='x'\r\n[other]\nstate_dir = 'y'").as_deref(), Some("x"));
        assert_eq!(said("[daemon]\nstate_dir = \"/var/a\nstate_dirs = 'z'"), None, "unclosed");
        assert_eq!(said("state_dir = 'x'"), None, "outside");
    }
}
