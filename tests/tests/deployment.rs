//! What is deployed is checked by the tools that would refuse it.

use std::fs;
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
fn verify(unit: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plimsoll.service");
    // It insists on a program that exists here.
    fs::write(&path, unit.replace("ExecStart=/usr/bin/plimsoll", "ExecStart=/bin/sh")).unwrap();
    let output = Command::new("systemd-analyze").arg("verify").arg(&path).output().ok()?;
    Some(text(&output))
}

#[test]
fn the_systemd_unit_is_valid_and_closed() {
    let unit = fs::read_to_string(root().join("deploy/plimsoll.service")).unwrap();
    let Some(words) = verify(&unit) else {
        return skip("the_systemd_unit_is_valid_and_closed", &Missing("no systemd-analyze".into()));
    };
    assert_eq!(words, "");
    // The tool does look: a value it cannot read is reported.
    assert_ne!(verify(&unit.replace("Restart=on-failure", "Restart=whenever")).unwrap(), "");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plimsoll.service");
    fs::write(&path, unit).unwrap();
    // Exposure in tenths: 2.0 of 10 is the goal (reliability, host hardening).
    let output =
        Command::new("systemd-analyze").args(["security", "--offline=true", "--threshold=20"]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
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

    let compose = fs::read_to_string(root().join("deploy/compose.yaml")).unwrap();
    for wall in [
        "read_only: true",
        "cap_drop: [ALL]",
        "no-new-privileges:true",
        "pids_limit:",
        "mem_limit:",
        &format!("user: \"{user}\""),
    ] {
        let stands = compose.lines().any(|line| !line.trim_start().starts_with('#') && line.contains(wall));
        assert!(stands, "compose.yaml wants {wall}");
    }
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
