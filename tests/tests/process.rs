//! The helpers themselves: a wait that never ends, or a process that outlives its test, would hide every other fault.

use std::process::Command;
use std::time::{Duration, Instant};

use plimsoll_tests::Proc;

const SOON: Duration = Duration::from_secs(20);

fn shell(script: &str) -> Proc {
    Proc::spawn("sh", Command::new("sh").args(["-c", script])).unwrap()
}

#[test]
fn lines_come_in_order_and_only_once() {
    let mut proc = shell("echo a; echo b; echo a; echo last >&2; exit 3");
    assert_eq!(proc.wait_line("b", SOON, |line| line == "b").unwrap(), "b");
    assert_eq!(proc.wait_line("a after b", SOON, |line| line == "a").unwrap(), "a");
    let error = proc.wait_line("a third a", SOON, |line| line == "a").unwrap_err().to_string();
    assert!(error.contains("waited for a third a, but it ended its output"), "{error}");
    assert!(error.contains("| last"), "the error quotes standard error: {error}");
    assert_eq!(proc.wait_exit(SOON).unwrap().code(), Some(3));
    assert_eq!(proc.stdout(), ["a", "b", "a"]);
    assert_eq!(proc.stderr(), ["last"]);
}

#[test]
fn a_wait_ends_by_itself() {
    let mut proc = shell("echo up; exec sleep 600");
    proc.wait_line("up", SOON, |line| line == "up").unwrap();
    let started = Instant::now();
    let error = proc.wait_line("more", Duration::from_millis(50), |_| true).unwrap_err().to_string();
    assert!(error.contains("50ms passed"), "{error}");
    assert!(proc.wait_exit(Duration::from_millis(50)).is_err());
    assert!(started.elapsed() < SOON);
    assert!(proc.ended().is_none());
}

#[test]
fn signals_arrive_and_kill9_is_final() {
    let mut proc = shell("trap 'echo asked; exit 7' TERM; echo up; while :; do sleep 0.01; done");
    proc.wait_line("up", SOON, |line| line == "up").unwrap();
    proc.signal(rustix::process::Signal::TERM);
    proc.wait_line("asked", SOON, |line| line == "asked").unwrap();
    assert_eq!(proc.wait_exit(SOON).unwrap().code(), Some(7));
    proc.signal(rustix::process::Signal::TERM); // to nobody: no error, and no other process is hit

    let mut proc = shell("trap '' TERM; echo up; while :; do sleep 0.01; done");
    proc.wait_line("up", SOON, |line| line == "up").unwrap();
    assert_eq!(proc.kill9().unwrap().code(), None, "ended by the signal, not by itself");
    assert!(proc.ended().is_some());
}

#[test]
fn a_dropped_process_is_gone() {
    let proc = shell("exec sleep 600");
    let path = format!("/proc/{}", proc.pid());
    assert!(!std::path::Path::new("/proc/self").exists() || std::path::Path::new(&path).exists());
    drop(proc);
    assert!(!std::path::Path::new(&path).exists());
}
