//! Show 6: what may not be sent is refused before anything is signed, and says why wherever an operator looks.

use std::time::Instant;

use anyhow::{Result, ensure};
use plimsoll_tests::anvil::{Arg, SOME_GAS, USDC};
use plimsoll_tests::{Anvil, Daemon, Setup};
use rust_decimal::Decimal;

use super::on_chain;
use super::rig::{BRIDGE, Funded, SOON, Wish, account};

/// An account whose top-up level lies above where it stands: nothing needs to fall.
const CALM: [&str; 4] =
    ["guard.cover.watch=1000", "guard.cover.top_up=2", "treasury.spot=false", "treasury.route.bridge.cost_usd=0.01"];

/// The daemon ends and comes back with other settings, and a top-up level that lies a tenth above where the account stands.
fn again(mut funded: Funded, set: &[&str]) -> Result<Funded> {
    if funded.rig.daemon.is_some() {
        funded.rig.daemon().proc.kill9();
    }
    let cover = funded.cover()?;
    let raised = (cover * Decimal::new(11, 1)).round_dp(2);
    let level =
        [format!("guard.cover.top_up={raised}"), format!("treasury.target={}", (raised * Decimal::new(12, 1)).round_dp(2))];
    funded = funded.with(&level.iter().map(String::as_str).chain(set.iter().copied()).collect::<Vec<_>>());
    funded.rig.spawn()?;
    Ok(funded)
}

/// Waits until `words` stand in `plimsoll treasury` and in the journal, and sees that nothing was signed or sent.
fn refused(funded: &mut Funded, words: &str) -> Result<()> {
    funded.wait(&format!("{words:?} in the treasury"), SOON, |seen| seen.to_string().contains(words))?;
    let shown = funded.rig.ok(&["treasury"])?;
    ensure!(one_line(&shown).contains(words), "{words:?} is not in\n{shown}");
    // what the daemon shows reaches the disk a moment later
    let until = Instant::now() + SOON;
    while !funded.rig.ok(&["export"])?.contains(words) {
        ensure!(Instant::now() < until, "{words:?} is not in the journal");
    }
    ensure!(funded.events()?.iter().all(|(_, event, _)| event != "signed"), "something was signed");
    ensure!(funded.chain.nonce(account())? == 0 && funded.chain.balance(BRIDGE)? == 0, "something was sent");
    Ok(())
}

/// Words that a terminal's width has broken.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What is written under `[treasury]`, and the faults that it must give: path and value, what would be right.
const WRONG: &str = r#"
[treasury]
enabled = "perhaps"
funds_key_file = "nowhere.key"
transfer_max_usd = "-1"
day_max_usd = "1"
gas_day_max_ether = "2"
destination_delay_hours = "soon"
spot_reserve_usd = 1.5
moon = 1
[treasury.sweep]
ceiling = "0.5"
[treasury.route.bridge]
delay = "2d"
[treasury.wallet]
chain_id = 42161
address = "0x12"
token = "0x0000000000000000000000000000000000000000"
key_file = "nowhere.key"
rpc = ["http://rpc.example/secret"]
give_up_after = "1s"
[treasury.destination.cave]
kind = "hole"
address = "somewhere"
"#;
const FAULTS: [(&str, &str); 17] = [
    ("treasury.enabled = perhaps", "true or false"),
    ("treasury.funds_key_file = ", "existing file"),
    ("treasury.transfer_max_usd = -1", "above 0"),
    ("treasury.day_max_usd = 1", "at least hour_max_usd"),
    ("treasury.gas_day_max_ether = 2", "up to 1"),
    ("treasury.destination_delay_hours = soon", "whole number"),
    ("treasury.spot_reserve_usd = 1.5", "quotes"),
    ("treasury.moon = ", "unknown field"),
    ("treasury.sweep.ceiling = 0.5", "above 1"),
    ("treasury.route.bridge.delay = 2d", "1s to 24h"),
    ("treasury.wallet.address = 0x12", "40 hexadecimal digits"),
    ("treasury.wallet.token = 0x0000000000000000000000000000000000000000", "not all zero"),
    ("treasury.wallet.key_file = nowhere.key", "existing file"),
    ("treasury.wallet.rpc[0] = http://rpc.example/…", "https://"),
    ("treasury.wallet.give_up_after = 1s", "to 24h"),
    ("treasury.destination.cave.kind = hole", "bridge, cctp, sub_account or withdrawal"),
    ("treasury.destination.cave.address = somewhere", "40 hexadecimal digits"),
];

#[test]
fn every_fault_of_the_treasury_section_is_named_at_once_by_check() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup::new(dir.path(), WRONG).unwrap();
    setup.write_daemon("http://127.0.0.1:9").unwrap();
    let (code, out, err) = Daemon::run(dir.path(), &setup.args(&["check"]), SOON).unwrap();
    assert_eq!((code, out.as_str()), (Some(78), ""), "{err}");
    for (fault, expected) in FAULTS {
        let line = err.lines().find(|line| line.contains(fault)).unwrap_or_else(|| panic!("no {fault} in\n{err}"));
        let right = line.split_once(fault).unwrap().1;
        assert!(right.contains(expected), "{fault}: says what would be right: {line}");
    }
    assert!(!err.contains("secret"), "what stands behind a host may be one: {err}");
    assert!(!dir.path().join("state").exists(), "nothing was begun");
}

/// An account with a position and a wallet, and a daemon that has seen both.
fn held(chain: Anvil) -> Result<Funded> {
    let wish = Wish { wallet: 5_000, venue: &["paper.balance_usd=20000"], set: &CALM, ..Wish::default() };
    let mut funded = Funded::on(chain, wish)?;
    funded.rig.start()?;
    let load = funded.rig.submit("buy", "0.3", "3s", &["--slices", "1"])?;
    funded.rig.wait_ended(&[load], SOON)?;
    Ok(funded)
}

/// What the token does shows in the trial before anything is signed: the transfer ends as refused, in the token's own words.
fn turned_away(chain: Anvil, spoil: impl Fn(&Anvil) -> Result<()>, words: &str) -> Result<()> {
    let mut funded = held(chain)?;
    spoil(&funded.chain)?;
    funded = again(funded, &[])?;
    refused(&mut funded, words)?;
    let audit = funded.rig.ok(&["audit"])?;
    ensure!(audit.contains(" 0 findings"), "{audit}");
    Ok(())
}

#[test]
fn f90_a_paused_token_is_found_out_before_anything_is_signed() {
    on_chain("paused", |chain| turned_away(chain, |chain| chain.admin("pause()", &[]), "Pausable: paused"));
}

#[test]
fn f90_a_blacklisted_wallet_is_found_out_before_anything_is_signed() {
    let spoil = |chain: &Anvil| chain.admin("blacklist(address)", &[Arg::Address(account())]);
    on_chain("blacklisted", |chain| turned_away(chain, spoil, "Blacklistable: account is blacklisted"));
}

#[test]
fn f90_a_token_that_keeps_a_fee_is_found_out_before_anything_is_signed() {
    let spoil = |chain: &Anvil| chain.keeps_a_fee(&[(account(), 5_000 * USDC)]);
    on_chain("a token with a fee", |chain| turned_away(chain, spoil, "it keeps a fee"));
}

#[test]
fn what_may_not_be_sent_is_refused_before_it_is_signed_with_the_reason_in_view() {
    on_chain("bad transfers", |chain| {
        let mut funded = held(chain)?;
        // the wallet has no gas
        funded.chain.set_gas(account(), 0)?;
        funded = again(funded, &[])?;
        refused(&mut funded, "the wallet has 0 ether for gas")?;
        funded.chain.set_gas(account(), SOME_GAS)?;

        // it has less than the bridge credits (F92)
        funded = again(funded, &["treasury.wallet.reserve_usd=4997"])?;
        refused(&mut funded, "at least 5 must be sent")?;

        // the chain is not the configured one
        funded = again(funded, &["treasury.wallet.reserve_usd=0", "treasury.wallet.chain_id=421613"])?;
        refused(&mut funded, "endpoint 1 is of chain 421614, configured is 421613")?;

        // the bridge is not on the list (I13)
        funded = again(funded, &["treasury.wallet.chain_id=421614", "treasury.destination.bridge.kind=withdrawal"])?;
        refused(&mut funded, "no destination of kind Bridge is listed")?;

        // it is, for too short a time
        funded = again(funded, &["treasury.destination.bridge.kind=bridge", "treasury.destination_delay_hours=24"])?;
        refused(&mut funded, "that it must be before money goes there")?;
        let audit = funded.rig.ok(&["audit"])?;
        ensure!(audit.contains(" 0 findings"), "{audit}");
        Ok(())
    });
}
