//! `[treasury.drill]`.

use domain::{DrillPath, EvmAddress};

use super::*;

const TREASURY: &str = r#"
[treasury]
enabled = true
destination_delay_hours = 0
[treasury.wallet]
chain_id = 31337
address = "0x00000000000000000000000000000000000000a1"
token = "0x00000000000000000000000000000000000000b1"
key_file = "agent.key"
rpc = ["http://127.0.0.1:8545"]
[treasury.destination.bridge]
kind = "bridge"
address = "0x00000000000000000000000000000000000000c1"
[treasury.destination.home]
kind = "withdrawal"
address = "0x00000000000000000000000000000000000000a1"
[treasury.destination.spare]
kind = "sub_account"
address = "0x00000000000000000000000000000000000000d1"
[treasury.drill]
enabled = true
"#;

#[test]
fn each_way_that_the_treasury_uses_is_tried() {
    let checked = read(&format!("{EMBEDDED}{TREASURY}"));
    let part = checked.treasury.as_ref().unwrap();
    let drill = part.drill.as_ref().unwrap();
    let mut sub = [0; 20];
    sub[19] = 0xd1;
    let spare = DrillPath::SubAccount(EvmAddress(sub));
    let paths = |may_sign| drill.plan(part, may_sign).paths.into_keys().collect::<Vec<_>>();
    assert_eq!(paths(true), [DrillPath::Chain, DrillPath::Spot, spare]);
    assert_eq!(paths(false), [DrillPath::Chain, spare], "an agent cannot move the spot balance");
    assert!(!drill.plan(part, true).unattended);
    assert_eq!((drill.chain.amount, drill.inside.amount), (Usd::whole(6), Usd::whole(1)));
    let said = checked.describe();
    assert!(said.contains("drills try each way out and back at most 30days apart"), "{said}");
    assert!(said.contains("wait for you: plimsoll drill --path chain --signer FILE"), "{said}");

    let signed = read(&format!("{EMBEDDED}{TREASURY}signer_file = \"agent.key\"\n"));
    assert!(signed.treasury.as_ref().unwrap().drill.as_ref().unwrap().plan(part, true).unattended);
    assert_ne!(signed.hash, checked.hash);
    // a wallet that is not listed for withdrawals is not withdrawn to
    let unlisted = TREASURY.replace("kind = \"withdrawal\"", "kind = \"sub_account\"");
    let unlisted = read(&format!("{EMBEDDED}{unlisted}"));
    assert!(unlisted.describe().contains("the way out to the wallet is not tried"), "{}", unlisted.describe());
    let off =
        read(&format!("{EMBEDDED}{}", TREASURY.replace("[treasury.drill]\nenabled = true", "[treasury.drill]\nenabled = false")));
    assert!(off.treasury.unwrap().drill.is_none());
}

#[test]
fn faults_of_drills_come_at_once_with_path_and_value() {
    let text = format!(
        "{EMBEDDED}{TREASURY}every = \"5m\"\ngrace = \"soon\"\nsigner_file = \"nowhere.key\"\nchain_usd = \"5.5\"\n\
         inside_usd = \"20000\"\nmonthly = true\n"
    );
    let faults = faults(read_with(&text, &[], &[]));
    for (field, value) in [
        ("treasury.drill.every", "5m"),
        ("treasury.drill.grace", "soon"),
        ("treasury.drill.signer_file", "nowhere.key"),
        ("treasury.drill.chain_usd", "5.5"),
        ("treasury.drill.inside_usd", "20000"),
        ("treasury.drill.monthly", "(set)"),
    ] {
        assert!(faults.iter().any(|f| f.contains(field) && f.contains(value)), "{field}: {faults:#?}");
    }
}
