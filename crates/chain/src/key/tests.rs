use std::os::unix::fs::PermissionsExt as _;

use domain::{CctpTerms, TransferId, Usd, Venue};

use super::*;

/// A key of known bytes that holds nothing anywhere.
const SECRET: &str = "0x2222222222222222222222222222222222222222222222222222222222222222";

fn key() -> Key {
    Key::from_hex(SECRET).unwrap_or_else(|e| panic!("{e}"))
}

fn leg() -> ChainLeg {
    ChainLeg {
        chain_id: 42_161,
        wallet: key().address(),
        token: EvmAddress([2; 20]),
        contract: EvmAddress([3; 20]),
        gas_cost_max: Wei::gwei(500_000),
    }
}

fn intent(route: Route) -> TransferIntent {
    TransferIntent {
        id: TransferId(1),
        venue: Venue::Hyperliquid,
        account: key().address(),
        route,
        amount: Usd::whole(25),
        fee_max: Usd::ZERO,
        nonce: 5,
        limits: 0,
        cause: "test".into(),
    }
}

fn plan(kind: AttemptKind) -> Plan {
    Plan { kind, gas_limit: 80_000, fee_max: Wei::gwei(2), tip: Wei(10_000_000) }
}

fn routes() -> [Route; 2] {
    let terms = CctpTerms {
        destination_domain: 19,
        forwarder: EvmAddress([9; 20]),
        dex: 0,
        min_finality_threshold: 1_000,
        valid_after_s: 0,
        valid_before_s: 2_000_000_000,
    };
    [Route::Bridge(leg()), Route::Cctp { leg: leg(), terms }]
}

#[test]
fn what_is_signed_is_the_transfer_and_signing_again_gives_the_same_bytes() {
    for route in routes() {
        for kind in [AttemptKind::Send, AttemptKind::Burn] {
            let attempt = key().attempt(&intent(route), plan(kind)).unwrap();
            assert_eq!(attempt.raw.0.first(), Some(&2), "EIP-1559");
            assert_eq!(key().attempt(&intent(route), plan(kind)).unwrap(), attempt);
            key().verify(&intent(route), &attempt).unwrap();
        }
    }
}

#[test]
fn bytes_that_say_something_else_do_not_pass() {
    let good = key().attempt(&intent(Route::Bridge(leg())), plan(AttemptKind::Send)).unwrap();
    let differs = |intent: &TransferIntent, attempt: &Attempt| key().verify(intent, attempt).unwrap_err().to_string();
    let mut more = intent(Route::Bridge(leg()));
    more.amount = Usd::whole(26);
    let mut other_nonce = intent(Route::Bridge(leg()));
    other_nonce.nonce = 6;
    let elsewhere = intent(Route::Bridge(ChainLeg { contract: EvmAddress([4; 20]), ..leg() }));
    let other_chain = intent(Route::Bridge(ChainLeg { chain_id: 1, ..leg() }));
    for intent in [more, other_nonce, elsewhere, other_chain] {
        assert_eq!(differs(&intent, &good), "the signed bytes differ from the transfer in the transaction");
    }
    let own = intent(Route::Bridge(leg()));
    for wrong in [
        Attempt { kind: AttemptKind::Burn, ..good.clone() },
        Attempt { gas_limit: 1, ..good.clone() },
        Attempt { fee_max: Wei(1), ..good.clone() },
        Attempt { tip: Wei(1), ..good.clone() },
    ] {
        assert_eq!(differs(&own, &wrong), "the signed bytes differ from the transfer in the transaction");
    }
    let mut cut = good.clone();
    cut.raw.0.pop();
    assert_eq!(differs(&own, &cut), "the signed bytes differ from the transfer in the hash");
    cut.hash = abi::tx_hash(&cut.raw.0);
    assert_eq!(differs(&own, &cut), "the signed bytes differ from the transfer in their form");
    let stranger = Key::from_hex(&SECRET.replace('2', "3")).unwrap();
    assert!(stranger.attempt(&own, plan(AttemptKind::Send)).unwrap_err().to_string().contains("the key is of"));
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("funds.key");
    fs::write(&path, format!("{SECRET}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let why = Key::from_file(&path).map(|_| ()).unwrap_err().to_string();
    assert!(why.ends_with("has mode 640: others may read it; chmod 600"), "{why}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(Key::from_file(&path).map(|key| key.address()).unwrap(), key().address());
    fs::write(&path, "correct horse").unwrap();
    let why = Key::from_file(&path).map(|_| ()).unwrap_err().to_string();
    assert!(!why.contains("horse"), "a secret is never repeated: {why}");
    assert!(Key::from_file(&dir.path().join("none")).is_err());
}
