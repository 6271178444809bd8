use super::cctp;

const VECTORS: &str = include_str!("../../fixtures/cctp_deposit_vectors.json");

#[test]
fn recorded_deposits_are_reproduced() {
    let outcome = cctp(VECTORS);
    assert_eq!((outcome.passed, outcome.failed), (2, Vec::new()));
}

#[test]
fn a_changed_vector_is_told_by_name() {
    let outcome = cctp(&VECTORS.replacen("\"max_fee\": 240000", "\"max_fee\": 240001", 1));
    assert_eq!((outcome.passed, outcome.failed.len()), (1, 1), "{:?}", outcome.failed);
    assert!(outcome.failed[0].starts_with("arbitrum_one_to_perps: calldata is 0x95878db1"));
    assert!(cctp("[]").failed[0].starts_with("not a file of vectors"));
    assert_eq!(cctp("{\"cases\":[]}").failed, ["no cases: expected a list under \"cases\""]);
}
