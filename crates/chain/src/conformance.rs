//! Recorded vectors of CCTP deposits against our encoding.

use domain::{CctpTerms, EvmAddress};
use serde::Deserialize;

use crate::abi::{self, CctpDeposit};
use crate::key::Key;

/// The file holds a handful of cases; more would not be a file of vectors.
const CASES_MAX: usize = 10_000;

/// How many cases are reproduced, and what differs in the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Cases reproduced.
    pub passed: usize,
    /// The others: name and differences.
    pub failed: Vec<String>,
}

#[derive(Deserialize)]
struct File {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    private_key: String,
    owner: EvmAddress,
    chain_id: u64,
    usdc: String,
    cctp_extension: String,
    cctp_forwarder: String,
    amount: u64,
    max_fee: u64,
    min_finality_threshold: u32,
    destination_domain: u32,
    valid_after: u64,
    valid_before: u64,
    auth_nonce: String,
    destination_dex: u32,
    auth_digest: String,
    auth_signature: Signature,
    hook_data: String,
    selector: String,
    calldata: String,
}

#[derive(Deserialize)]
struct Signature {
    r: String,
    s: String,
    v: u8,
}

/// Encodes and signs every case of `text` and compares digest, signature, hook data and calldata.
#[must_use]
pub fn cctp(text: &str) -> Outcome {
    let file: File = match serde_json::from_str(text) {
        Ok(file) => file,
        Err(error) => return Outcome { passed: 0, failed: vec![format!("not a file of vectors: {error}")] },
    };
    let mut outcome = Outcome::default();
    if file.cases.is_empty() {
        outcome.failed.push("no cases: expected a list under \"cases\"".into());
    }
    for case in file.cases.iter().take(CASES_MAX) {
        match differences(case) {
            Ok(found) if found.is_empty() => outcome.passed += 1,
            Ok(found) => outcome.failed.push(format!("{}: {}", case.name, found.join("; "))),
            Err(fault) => outcome.failed.push(format!("{}: {fault}", case.name)),
        }
    }
    outcome
}

fn differences(case: &Case) -> Result<Vec<String>, String> {
    let address = |text: &str| text.parse::<EvmAddress>().map_err(|e| e.to_string());
    let key = Key::from_hex(&case.private_key).map_err(|e| e.to_string())?;
    let auth_nonce = hex::decode(case.auth_nonce.trim_start_matches("0x")).ok().and_then(|bytes| bytes.try_into().ok());
    let deposit = CctpDeposit {
        owner: case.owner,
        extension: address(&case.cctp_extension)?,
        amount: case.amount,
        max_fee: case.max_fee,
        terms: CctpTerms {
            destination_domain: case.destination_domain,
            forwarder: address(&case.cctp_forwarder)?,
            dex: case.destination_dex,
            min_finality_threshold: case.min_finality_threshold,
            valid_after_s: case.valid_after,
            valid_before_s: case.valid_before,
        },
        auth_nonce: auth_nonce.ok_or("auth_nonce: expected 0x and 64 hexadecimal digits")?,
    };
    let digest = deposit.digest(abi::usdc_domain(case.chain_id, address(&case.usdc)?));
    let signature = key.sign(digest).map_err(|e| e.to_string())?;
    let calldata = deposit.calldata(&signature);
    let text = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
    let pairs = [
        ("owner", key.address().to_string(), case.owner.to_string()),
        ("auth_digest", text(&digest), case.auth_digest.clone()),
        ("auth_signature.r", text(&signature.r), case.auth_signature.r.clone()),
        ("auth_signature.s", text(&signature.s), case.auth_signature.s.clone()),
        ("auth_signature.v", signature.v.to_string(), case.auth_signature.v.to_string()),
        ("hook_data", text(&deposit.hook_data()), case.hook_data.clone()),
        ("selector", text(&calldata[..4]), case.selector.clone()),
        ("calldata", text(&calldata), case.calldata.clone()),
    ];
    let differs = pairs.into_iter().filter(|(_, ours, theirs)| !ours.eq_ignore_ascii_case(theirs));
    Ok(differs.map(|(what, ours, theirs)| format!("{what} is {ours}, recorded {theirs}")).collect())
}

#[cfg(test)]
mod tests;
