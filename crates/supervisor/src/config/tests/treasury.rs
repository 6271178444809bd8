//! `[treasury]`.

use super::*;

const KEYS: &str = r#"
[treasury]
enabled = true
spot_reserve_usd = "25.5"
transfer_max_usd = "200"
destination_delay_hours = 0
[treasury.wallet]
chain_id = 31337
address = "0x00000000000000000000000000000000000000a1"
token = "0x00000000000000000000000000000000000000b1"
key_file = "agent.key"
rpc = ["http://127.0.0.1:8545", "https://rpc.example/v2/0123456789abcdef"]
reserve_usd = "10"
gas_reserve_ether = "0.001"
[treasury.destination.bridge]
kind = "bridge"
address = "0x00000000000000000000000000000000000000c1"
[treasury.destination.spare]
kind = "sub_account"
address = "0x00000000000000000000000000000000000000d1"
"#;

fn treasury(text: &str) -> TreasuryPart {
    read(text).treasury.expect("a section")
}

#[test]
fn without_the_section_or_the_word_no_money_moves() {
    assert!(read(EMBEDDED).treasury.is_none());
    assert!(read(EMBEDDED).describe().contains("Treasury: off; no money moves by itself."));
    let off = read(&format!("{EMBEDDED}{}", with(KEYS, "enabled", "enabled = false")));
    assert!(!off.treasury.as_ref().unwrap().enabled);
    assert_eq!(off.hash, read(EMBEDDED).hash, "what is off changes nothing of what is done");
    assert!(off.describe().contains("Treasury: off"));
}

#[test]
fn what_is_on_is_described_in_plain_words_and_covered_by_the_hash() {
    let on = read(&format!("{EMBEDDED}{KEYS}"));
    let part = on.treasury.clone().unwrap();
    assert!(part.enabled && part.spot && part.isolated && part.sweep.is_none());
    let wallet = part.wallet.as_ref().unwrap();
    assert_eq!((wallet.confirmations, wallet.reserve, wallet.gas_reserve), (20, Usd::whole(10), domain::Wei::gwei(1_000_000)));
    assert_eq!(part.sub_accounts.len(), 1);
    let said = on.describe();
    for words in [
        "from the spot balance, down to 25.5",
        "from the sub-account spare",
        "from the wallet, down to 10 and 0.001 ether",
        "127.0.0.1:8545 and rpc.example",
        "moves at most 200",
        "nothing is ever taken from margin",
    ] {
        assert!(said.contains(words), "{words} in\n{said}");
    }
    let debug = format!("{on:?}");
    assert!(
        !debug.contains("0123456789abcdef") && !said.contains("0123456789abcdef"),
        "a provider's secret is shown nowhere (I31)"
    );
    for (key, line) in [
        ("spot_reserve_usd", "spot_reserve_usd = \"26\""),
        ("transfer_max_usd", "transfer_max_usd = \"201\""),
        ("gas_reserve_ether", "gas_reserve_ether = \"0.002\""),
    ] {
        assert_ne!(read(&format!("{EMBEDDED}{}", with(KEYS, key, line))).hash, on.hash, "{key}");
    }
}

#[test]
fn all_faults_come_at_once_with_path_and_value() {
    let text = format!(
        r#"{EXTERNAL}
[treasury]
enabled = "yes"
funds_key_file = "nowhere.key"
spot_reserve_usd = 1.5
day_max_usd = "1"
moon = 3
[treasury.sweep]
enabled = true
ceiling = "0.5"
[treasury.route.inside]
delay = "2d"
[treasury.route.pigeon]
delay = "5m"
[treasury.wallet]
chain_id = 42161
address = "0x00000000000000000000000000000000000000a2"
token = "0x00000000000000000000000000000000000000b1"
key_file = "lost.key"
rpc = ["http://rpc.example/secret"]
replace_after = "2m"
give_up_after = "90s"
[treasury.destination.bridge]
kind = "bridge"
address = "0x00000000000000000000000000000000000000c1"
[treasury.destination.circle]
kind = "cctp"
address = "0xA95d9c1F655341597C94393fDdc30cf3c08E4fcE"
[treasury.destination.cave]
kind = "hole"
address = "0x01"
"#
    );
    let found = faults(read_with(&text, &[], &[]));
    for wanted in [
        "treasury.enabled = yes",
        "treasury.spot_reserve_usd = 1.5 (a float; put it in quotes)",
        "treasury.day_max_usd = 1",
        "treasury.moon = 3",
        "treasury.sweep.ceiling = 0.5",
        "treasury.route.inside.delay = 2d",
        "treasury.route.pigeon = (set)",
        "treasury.wallet.key_file = lost.key",
        "treasury.wallet.rpc[0] = http://rpc.example/…",
        "treasury.wallet.give_up_after = 1m30s",
        "treasury.destination.cave.kind = hole",
        "treasury.destination.cave.address = 0x01",
    ] {
        assert!(found.iter().any(|f| f.starts_with(wanted)), "{wanted} is not among\n{}", found.join("\n"));
    }
    assert!(found.iter().any(|f| f.starts_with("treasury.funds_key_file = ") && f.ends_with("nowhere.key")), "{found:?}");
    assert!(!found.join("\n").contains("secret"), "what stands behind an endpoint's host is not shown (I31)");
}

#[test]
fn where_money_is_real_chain_token_bridge_and_endpoints_must_be_the_venues_own_f98() {
    let real = with(EXTERNAL, "network", "network = \"mainnet\"").replace("hyperliquid-testnet", "hyperliquid");
    let places = |chain: &str, token: &str, bridge: &str, rpc: &str| {
        format!(
            "{real}\n[treasury]\nenabled = true\n[treasury.wallet]\nchain_id = {chain}\naddress = \
             \"0x00000000000000000000000000000000000000a1\"\ntoken = \"{token}\"\nkey_file = \"agent.key\"\nrpc = {rpc}\n\
             [treasury.destination.bridge]\nkind = \"bridge\"\naddress = \"{bridge}\"\n"
        )
    };
    let (usdc, bridge) = ("0xaf88d065e77c8cC2239327C5EDb3A432268e5831", "0x2df1c51e09aecf9cacb7bc98cb1742757f163df7");
    let two = "[\"https://a.example/1\", \"https://b.example/2\"]";
    assert!(treasury(&places("42161", usdc, bridge, two)).enabled);
    let other = "0x00000000000000000000000000000000000000c1";
    let found = faults(read_with(&places("42161", other, other, "[\"https://a.example/1\"]"), &[], &[]));
    let wanted = [
        format!("treasury.destination.bridge.address = {other}"),
        "treasury.wallet.rpc = 1".to_owned(),
        format!("treasury.wallet.token = {other}"),
    ];
    assert_eq!(found, wanted);
    assert_eq!(faults(read_with(&places("421614", usdc, bridge, two), &[], &[])), ["treasury.wallet.chain_id = 421614"]);
    let twice = "[\"https://a.example/1\", \"https://a.example/1\"]";
    assert_eq!(
        faults(read_with(&places("42161", usdc, bridge, twice), &[], &[])),
        ["treasury.wallet.rpc[1] = https://a.example/…"]
    );
}

#[test]
fn the_wallet_must_be_the_account_since_the_venue_credits_the_sender() {
    let text = format!("{EXTERNAL}{}", KEYS.replace("00a1", "00a7"));
    assert_eq!(faults(read_with(&text, &[], &[])), ["treasury.wallet.address = 0x00000000000000000000000000000000000000a7"]);
    let sub = with(EXTERNAL, "key_file", "key_file = \"agent.key\"\nsub_account = true");
    assert_eq!(
        faults(read_with(&format!("{sub}\n{KEYS}"), &[], &[])),
        ["treasury.wallet.address = 0x00000000000000000000000000000000000000a1"]
    );
}

#[test]
fn a_destination_of_circle_wants_its_terms() {
    let listed = format!("{EMBEDDED}{}", KEYS.replace("kind = \"bridge\"", "kind = \"cctp\""));
    assert_eq!(faults(read_with(&listed, &[], &[])), ["treasury.cctp.forwarder = (absent)"]);
    let terms = "[treasury.cctp]\nforwarder = \"0x00000000000000000000000000000000000000f1\"\nvalid_for = \"30m\"\n";
    let cctp = treasury(&format!("{listed}{terms}")).cctp_terms.expect("terms");
    assert_eq!((cctp.destination_domain, cctp.min_finality_threshold, cctp.valid_for), (19, 1_000, Span::secs(1_800)));
}

#[test]
fn endpoints_may_come_from_the_environment_and_the_shipped_file_shows_every_key() {
    let text = format!("{EMBEDDED}{KEYS}");
    let set = ("PLIMSOLL__TREASURY__WALLET__RPC", "http://127.0.0.1:1, http://127.0.0.1:2");
    let part = read_with(&text, &[], &[set]).unwrap_or_else(|e| panic!("{e}")).treasury.unwrap();
    assert_eq!(part.wallet.unwrap().endpoints.hosts(), ["127.0.0.1:1", "127.0.0.1:2"]);

    let shipped = fs::read_to_string(repository().join(DEFAULT_FILE)).unwrap();
    let raw: margin_guard::RawTreasury = serde_json::from_str(treasury(&text).limits.text()).unwrap();
    let mut keys = Vec::new();
    leaves("", &serde_json::to_value(&raw).unwrap(), &mut keys);
    let own =
        super::super::treasury::OWN_KEYS.iter().chain(&super::super::treasury::OWN_WALLET_KEYS).map(|key| (*key).to_owned());
    let judged = keys.iter().filter_map(|(path, _)| path.rsplit('/').next().map(str::to_owned));
    for key in own.chain(judged) {
        let shown = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{key} = "));
        assert!(shipped.lines().any(shown), "{key} is not in the file");
    }
}
