//! What is deployed is checked by the tools that would refuse it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use plimsoll_tests::{Missing, skip};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// `systemd-analyze verify` on a unit with this text. It exits 0 even on values it cannot parse: any word is a fault.
fn verify(name: &str, unit: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    // It insists on a program that exists here.
    fs::write(&path, unit.replace("ExecStart=/usr/bin/plimsoll", "ExecStart=/bin/sh")).unwrap();
    let output = Command::new("systemd-analyze").arg("verify").arg(&path).output().ok()?;
    Some(text(&output))
}

const UNITS: [&str; 2] = ["plimsoll.service", "plimsoll-watchdog.service"];

fn unit(name: &str) -> String {
    fs::read_to_string(root().join("deploy").join(name)).unwrap()
}

/// The values of a unit's key, in order, continued lines as one.
fn values(unit: &str, key: &str) -> Vec<String> {
    let joined = unit.replace("\\\n", " ");
    let lines = joined.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    lines.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn the_systemd_units_are_valid_and_closed() {
    for name in UNITS {
        let unit = unit(name);
        let Some(words) = verify(name, &unit) else {
            return skip("the_systemd_units_are_valid_and_closed", &Missing("no systemd-analyze".into()));
        };
        assert_eq!(words, "", "{name}");
        // The tool does look: a value it cannot read is reported.
        let restart = format!("Restart={}", values(&unit, "Restart")[0]);
        assert_ne!(verify(name, &unit.replace(&restart, "Restart=whenever")).unwrap(), "", "{name}");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, unit).unwrap();
        // Exposure in tenths: 2.0 of 10 is the goal (reliability, host hardening).
        let output =
            Command::new("systemd-analyze").args(["security", "--offline=true", "--threshold=20"]).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }
}

/// What the two services share is one directory, and neither reads the other's key (C25).
#[test]
fn daemon_and_watchdog_share_one_directory_and_nothing_else() {
    let [daemon, watchdog] = UNITS.map(unit);
    for unit in [&daemon, &watchdog] {
        assert_eq!(values(unit, "DynamicUser"), ["yes"]);
        assert_eq!(values(unit, "CapabilityBoundingSet"), [""]);
        assert_eq!(values(unit, "SupplementaryGroups"), ["plimsoll-watch"]);
        assert_eq!(values(unit, "ReadWritePaths"), ["/var/lib/plimsoll-watch"]);
        assert_eq!(values(unit, "Type"), ["notify"]);
        assert_eq!(values(unit, "LoadCredentialEncrypted").len(), 1);
        assert!(values(unit, "ExecStart")[0].contains("--set watchdog.dir=/var/lib/plimsoll-watch"), "{unit}");
    }
    assert_eq!(values(&daemon, "StateDirectory"), ["plimsoll"]);
    assert!(values(&watchdog, "StateDirectory").is_empty());
    assert_ne!(values(&daemon, "LoadCredentialEncrypted"), values(&watchdog, "LoadCredentialEncrypted"));
    // the watchdog has left STOP before the service manager starts another daemon
    let limit = values(&daemon, "WatchdogSec")[0].parse::<u64>().unwrap();
    assert!(limit > 10, "above watchdog.limit's default, {limit}");
    assert!(values(&daemon, "Wants").contains(&"plimsoll-watchdog.service".to_owned()));
    assert!(values(&watchdog, "Restart") == ["always"] && values(&watchdog, "StartLimitIntervalSec") == ["0"]);
}

/// Group and directory are made by systemd's own tools, in a root of the test's.
#[test]
fn the_shared_directory_belongs_to_the_group_and_stop_outlives_a_reboot() {
    const TEST: &str = "the_shared_directory_belongs_to_the_group_and_stop_outlives_a_reboot";
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    fs::create_dir_all(at("etc")).unwrap();
    fs::create_dir_all(at("var/lib")).unwrap();
    let run = |program: &str, first: &[&str], file: &str| {
        let root_of = format!("--root={}", folder.path().display());
        Command::new(program).args(first).arg(root_of).arg(root().join("deploy").join(file)).output()
    };
    let Ok(output) = run("systemd-sysusers", &[], "plimsoll.sysusers") else {
        return skip(TEST, &Missing("no systemd-sysusers".into()));
    };
    if !rustix::process::geteuid().is_root() {
        return skip(TEST, &Missing("only root may give a directory to a group".into()));
    }
    assert!(output.status.success(), "{}", text(&output));
    let groups = fs::read_to_string(at("etc/group")).unwrap();
    let line = groups.lines().find(|line| line.starts_with("plimsoll-watch:")).expect("the group");
    let gid: u32 = line.split(':').nth(2).unwrap().parse().unwrap();
    let output = run("systemd-tmpfiles", &["--create"], "plimsoll.tmpfiles").unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let meta = fs::metadata(at("var/lib/plimsoll-watch")).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid()), (0o2770, 0, gid));
    // not in /run, and no age after which it is emptied
    let line = fs::read_to_string(root().join("deploy/plimsoll.tmpfiles")).unwrap();
    let line = line.lines().find(|line| !line.starts_with('#')).unwrap().to_owned();
    assert!(line.starts_with("d /var/lib/") && line.ends_with(" -"), "{line}");
}

#[test]
fn the_dockerfile_lints() {
    let provisioned = root().join("target/witness/python/bin/hadolint");
    let program = if provisioned.exists() { provisioned } else { "hadolint".into() };
    let Ok(output) = Command::new(program).args(["--failure-threshold", "style"]).arg(root().join("Dockerfile")).output() else {
        return skip("the_dockerfile_lints", &Missing("no hadolint: run `cargo xtask test`".into()));
    };
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn the_container_keeps_its_walls() {
    let docker = fs::read_to_string(root().join("Dockerfile")).unwrap();
    let last_stage = docker.rsplit("\nFROM ").next().unwrap();
    let user = last_stage.lines().find_map(|line| line.strip_prefix("USER ")).expect("the last stage names a user");
    let uid: u32 = user.split(':').next().unwrap().parse().expect("by number");
    assert!(uid > 0);
    assert!(docker.contains("\nARG BASE="), "the base image can be swapped");
    assert!(docker.contains("--locked"), "the image holds what Cargo.lock says");

    let volumes = last_stage.lines().find_map(|line| line.strip_prefix("VOLUME ")).expect("what is written to is listed");
    let writable: Vec<String> = serde_json::from_str(volumes).unwrap();
    assert_eq!(writable, ["/var/lib/plimsoll", "/var/lib/plimsoll-watch"]);

    let compose = fs::read_to_string(root().join("deploy/compose.yaml")).unwrap();
    let (daemon, watchdog) = compose.split_once("\n  watchdog:\n").expect("the watchdog runs beside the daemon");
    for (service, mounts) in [
        (daemon, vec!["state:/var/lib/plimsoll", "watch:/var/lib/plimsoll-watch"]),
        (watchdog, vec!["watch:/var/lib/plimsoll-watch", "state:/var/lib/plimsoll:ro"]),
    ] {
        let lines: Vec<&str> = service.lines().map(str::trim).filter(|line| !line.starts_with('#')).collect();
        for wall in [
            "read_only: true",
            "cap_drop: [ALL]",
            "- no-new-privileges:true",
            "pids_limit:",
            "mem_limit:",
            "PLIMSOLL__WATCHDOG__DIR: /var/lib/plimsoll-watch",
            &format!("user: \"{user}\""),
        ] {
            assert!(lines.iter().any(|line| line.starts_with(wall)), "compose.yaml wants {wall}");
        }
        let mounted: Vec<&str> =
            lines.iter().filter_map(|line| line.strip_prefix("- ").filter(|m| m.contains(":/var/"))).collect();
        assert_eq!(mounted, mounts);
    }
    assert!(watchdog.contains("\n    restart: always\n"));
}

/// The build context that .dockerignore lets through must be a workspace that cargo can load.
#[test]
fn the_docker_context_is_a_whole_workspace() {
    let ignore = fs::read_to_string(root().join(".dockerignore")).unwrap();
    assert!(ignore.lines().any(|line| line == "*"), "everything is left out but what is named");
    let context = tempfile::tempdir().unwrap();
    for path in ignore.lines().filter_map(|line| line.strip_prefix('!')) {
        copy(&root().join(path), &context.path().join(path));
    }
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let mut command = Command::new(cargo);
    command.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).current_dir(context.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
}
