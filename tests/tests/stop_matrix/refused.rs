//! What no stop can be: the cells of the table that cannot exist are refused where they can be said at all, with the list of what
//! there is, and where a word can be misread it counts as more and never as less.

use std::collections::BTreeMap;
use std::fs;

use domain::StopLevel;
use plimsoll_tests::http;
use rustix::process::Signal;
use serde_json::json;

use super::act::stands;
use super::cell::{Scope, Trigger, impossible};
use super::world::{SOON, World};

/// Every cell that cannot exist has a reason; how many there are of each, by trigger.
pub fn table() -> String {
    let mut lines = String::new();
    for trigger in Trigger::ALL {
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for level in &StopLevel::ALL[1..] {
            for scope in Scope::ALL {
                if let Some(why) = impossible(trigger, *level, scope) {
                    *reasons.entry(why).or_default() += 1;
                }
            }
        }
        for (why, count) in reasons {
            lines.push_str(&format!("{:<11} {count:>2} levels and scopes cannot be: {why}\n", trigger.name()));
        }
    }
    lines
}

#[test]
fn what_no_stop_can_be_is_refused_with_the_list_of_what_there_is() {
    println!("{}", table());
    let mut world = World::start().unwrap();
    let socket = world.state().join("plimsoll.sock");
    let parent = world.parents[0];
    for scope in [Scope::Venue, Scope::Market, Scope::Parent] {
        assert!(impossible(Trigger::Cli, StopLevel::Sever, scope).is_some());
        let scope = scope.text(parent);
        let (code, out, err) = world.rig.run(&["kill", "--level", "sever", "--scope", &scope]).unwrap();
        assert!(code == Some(1) && err.contains("all, since it ends the process"), "{scope}: {code:?} {out}{err}");
        let body = json!({ "level": "sever", "scope": scope, "cause": "the matrix" });
        let words = http::post_unix(&socket, "/kill", &body).unwrap_err().to_string();
        assert!(words.contains(" 422") && words.contains("all"), "{scope}: {words}");
    }
    for (args, list) in [
        (["kill", "--level", "halt"], "reduce-only, block, cancel, flatten, sever"),
        (["kill", "--scope", "moon"], "market:hyperliquid:BTC or parent:P7"),
        (["kill", "--scope", "venue:nyse"], "market:hyperliquid:BTC or parent:P7"),
        (["kill", "--level", "run"], "reduce-only, block, cancel, flatten"),
    ] {
        let (code, out, err) = world.rig.run(&args).unwrap();
        assert!(matches!(code, Some(1 | 2)) && err.contains(list), "{args:?}: {code:?} {out}{err}");
    }
    for body in [
        json!({ "level": "halt", "scope": "all", "cause": "x" }),
        json!({ "level": "run", "scope": "all", "cause": "x" }),
        json!({ "level": "cancel", "scope": "moon", "cause": "x" }),
        json!({ "level": "cancel", "scope": "all", "cause": "x", "force": true }),
        json!({ "scope": "all", "cause": "x" }),
    ] {
        let words = http::post_unix(&socket, "/kill", &body).unwrap_err().to_string();
        assert!(words.contains(" 4"), "{body}: {words}");
    }
    let status = world.rig.status().unwrap();
    assert_eq!(status["desk"]["stops"], json!([]), "a refused stop stops nothing");
    world.wait_flow("after refused stops", |_, _| true).unwrap();

    // a level that makes no sense counts as cancel, a scope where none can be said as a stop of everything
    world.configure("engaged = true\nlevel = \"halt\"\nscope = \"parent:P1\"\n").unwrap();
    world.rig.daemon().proc.signal(Signal::HUP);
    world.rig.wait("a stop of everything", SOON, |s| stands(s, "all", StopLevel::Cancel)).unwrap();
    fs::write(world.state().join("STOP"), "flatten parent:P1\n").unwrap();
    world.rig.wait("a stop of everything", SOON, |s| stands(s, "all", StopLevel::Flatten)).unwrap();
}

/// The two policies of SIGTERM that do not latch: nothing more is sent, and a start goes on by itself.
#[test]
fn sigterm_that_drains_or_leaves_sends_no_more_and_a_start_goes_on() {
    let mut world = World::start().unwrap();
    let stopping = world.base.clone();
    for policy in ["drain", "leave"] {
        world.rig.daemon().proc.kill9();
        world.base = stopping.replace("on_stop = \"cancel\"", &format!("on_stop = \"{policy}\""));
        fs::write(world.dir.path().join("daemon.toml"), &world.base).unwrap();
        world.rig.start().unwrap();
        world.wait_flow(policy, |_, _| true).unwrap();
        world.rig.daemon().proc.signal(Signal::TERM);
        let status = world.rig.daemon().proc.wait_exit(SOON).unwrap();
        assert_eq!(status.code(), Some(0), "{policy}: {}", world.last_words());
        let next = world.look().unwrap();
        let open = world.rig.open_orders().unwrap();
        assert!(policy == "leave" || open.is_empty(), "{policy}: {open:?}");
        world.rig.start().unwrap();
        assert_eq!(world.rig.status().unwrap()["desk"]["stops"], json!([]), "{policy} does not latch");
        let tenure = world.rig.status().unwrap()["desk"]["epoch"].as_u64();
        world.wait_flow(policy, |_, _| true).unwrap();
        let late = world.increases(next).find(|seen| Some(u64::from(seen.epoch)) != tenure);
        assert!(late.is_none(), "{policy}: sent by a daemon that had ended: {late:?}");
    }
}
