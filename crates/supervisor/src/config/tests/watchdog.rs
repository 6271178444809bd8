use std::time::Duration;

use super::*;

fn beside(text: &str, set: &[&str]) -> Result<Beside, ConfigError> {
    let (_dir, file) = folder(text);
    let set: Vec<String> = set.iter().map(ToString::to_string).collect();
    load_beside(Some(&file), &set, [])
}

#[test]
fn the_section_turns_it_on_and_every_key_has_a_bound() {
    let off = read(EXTERNAL);
    assert!(!off.watchdog.on && off.watchdog.dir == off.state_dir && off.dead_man);
    assert!(off.describe().contains("Watchdog: none is configured"));
    let on = read(&format!("{EXTERNAL}[watchdog]\nlimit = \"4s\"\nfirst_beat = \"1m\"\ndir = \"shared\"\n"));
    assert!(on.watchdog.on && on.watchdog.dir.ends_with("shared"));
    assert_eq!((on.watchdog.limit, on.watchdog.first_beat), (Duration::from_secs(4), Duration::from_secs(60)));
    assert!(on.describe().contains("older than 4s"), "{}", on.describe());
    assert_ne!(on.hash, off.hash, "it changes what the daemon does");
    let bad = format!("{EXTERNAL}[watchdog]\nlimit = \"1s\"\nfirst_beat = \"soon\"\nfile = \"x\"\n");
    assert_eq!(
        faults(read_with(&bad, &["venue.hyperliquid.dead_man=perhaps"], &[])),
        ["venue.hyperliquid.dead_man = perhaps", "watchdog.file = (set)", "watchdog.first_beat = soon", "watchdog.limit = 1s"]
    );
}

#[test]
fn c36_what_is_wrong_elsewhere_keeps_nobody_from_cancelling() {
    let broken = ["guard.leverage_max=1000", "daemon.unknown_max=many", "venue.hyperliquid.fast_book=maybe", "nonsense.key=1"];
    let (dir, file) = folder(EXTERNAL);
    let set: Vec<String> = broken.iter().map(ToString::to_string).collect();
    let read = load_beside(Some(&file), &set, []).unwrap();
    let key_file = Some(dir.path().join("agent.key"));
    let account = "0x00000000000000000000000000000000000000a1".parse().unwrap();
    let http = "https://api.hyperliquid-testnet.xyz".to_owned();
    assert_eq!(read.venue, VenueBeside::External { http, account, sub_account: false, key_file });
    // the daemon's key need not be there, nor its markets
    let bare = EXTERNAL.replace("key_file = \"agent.key\"\n", "").replace("[[venue.hyperliquid.markets]]\nname = \"BTC\"\n", "");
    assert!(matches!(beside(&bare, &[]).unwrap().venue, VenueBeside::External { key_file: None, .. }));
    assert_eq!(beside(EMBEDDED, &[]).unwrap().venue, VenueBeside::Embedded);
}

#[test]
fn what_would_cancel_at_the_wrong_place_is_named() {
    let named = |set: &[&str]| match beside(EXTERNAL, set) {
        Err(ConfigError::Faults { faults, .. }) => faults.into_iter().map(|f| f.field).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(named(&["venue.hyperliquid.account=0x12"]), ["venue.hyperliquid.account"]);
    assert_eq!(named(&["venue.hyperliquid.network=mainnet"]), ["venue.hyperliquid.http"], "F98");
    assert_eq!(named(&["venue.hyperliquid.mode=both"]), ["venue.hyperliquid.mode"]);
    assert_eq!(named(&["watchdog.limit=1h", "guard.leverage_max=1000"]), ["watchdog.limit"]);
}
