//! Approvals of operators at the door: the text that is signed, the signature, and whose it is (C33, F101).
//!
//! A signature is an `EIP-191` personal message, so that a hardware wallet can make it and show what it is for. The daemon writes the
//! text anew from its own state and recovers the signer from that: who signed anything else is a stranger. The desk gets names.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use desk::{APPROVAL_LASTS, Challenge};
use domain::{Act, Approval, EvmAddress, Operator, SpecFault};
use serde::{Deserialize, Serialize};
use wire::hyperliquid::sign::{Hash, Key, Signature, keccak};

use crate::{Failure, venue};

/// Of a line: a reason is at most so long, and a screen of a hardware wallet is small.
const LINE_MAX: usize = 300;

/// What an operator is asked to sign, with all that the text of it needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToSign {
    /// The act in words.
    pub act: String,
    /// What it changes, a line each.
    pub lines: Vec<String>,
    /// The account and its network, so that a signature for one daemon is none for another.
    pub account: String,
    /// The state of things that an approval is for.
    pub challenge: String,
    /// How many different operators must approve.
    pub needed: usize,
    /// Who has, and until when, UTC milliseconds.
    pub have: Vec<(String, u64)>,
    /// Who may.
    pub operators: Vec<Operator>,
    /// The daemon's clock, UTC milliseconds.
    pub now_ms: u64,
}

/// A signature as it is handed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// The challenge that was signed.
    pub challenge: String,
    /// Until when the approval stands, UTC milliseconds; whole seconds.
    pub until_ms: u64,
    /// 65 bytes in hexadecimal, `0x` before them.
    pub signature: String,
}

fn fault(field: &str, value: impl ToString, expected: impl Into<String>) -> SpecFault {
    SpecFault { field: field.to_owned(), value: value.to_string(), expected: expected.into() }
}

impl ToSign {
    /// What the desk asks for `account` at `now_ms`.
    #[must_use]
    pub fn new(challenge: Challenge, account: String, now_ms: u64) -> ToSign {
        let Challenge { act, id, lines, needed, have, operators } = challenge;
        ToSign { act: act.to_string(), lines, account, challenge: id, needed, have, operators, now_ms }
    }

    /// The text that an operator signs, without an end of line after its last line.
    #[must_use]
    pub fn text(&self, reason: &str, until_ms: u64) -> String {
        let mut text = format!("plimsoll: I approve of\n{}\n", one_line(&self.act));
        for line in &self.lines {
            text.push_str(&format!("- {}\n", one_line(line)));
        }
        text.push_str(&format!("account: {}\n", one_line(&self.account)));
        text.push_str(&format!("because: {}\n", one_line(reason)));
        text.push_str(&format!("until: {}\n", utc(until_ms)));
        text.push_str(&format!("challenge: {}", self.challenge));
        text
    }

    /// The approval that `signed` is.
    ///
    /// # Errors
    /// If nobody is configured to give one, or it is not an operator's over exactly this text.
    pub fn verify(&self, reason: &str, signed: &Signed) -> Result<Approval, Vec<SpecFault>> {
        if self.operators.is_empty() {
            return Err(vec![fault(
                "signature",
                "(set)",
                "none: no [[operators]] are configured, and nobody's approval is asked for",
            )]);
        }
        let mut faults = Vec::new();
        if signed.challenge != self.challenge {
            let expected = format!(
                "{}: this one was used, or is for something else that was stopped or changed; sign what --challenge prints now",
                self.challenge
            );
            faults.push(fault("challenge", shown(&signed.challenge), expected));
        }
        let signature = read_signature(&signed.signature);
        if signature.is_none() {
            faults.push(fault("signature", shown(&signed.signature), "65 bytes as 130 hexadecimal digits after 0x"));
        }
        let Some(signature) = signature.filter(|_| faults.is_empty()) else { return Err(faults) };
        let text = self.text(reason, signed.until_ms);
        let signer = signature.recover(&digest(&text)).ok().map(|address| EvmAddress(address.0));
        let by = self.operators.iter().find(|operator| Some(operator.address) == signer);
        by.map(|by| Approval { by: by.clone(), challenge: signed.challenge.clone(), until_ms: signed.until_ms }).ok_or_else(
            || {
                let who = signer.map_or_else(|| "nobody's".to_owned(), |address| format!("by {address}"));
                let names: Vec<String> = self.operators.iter().map(|o| format!("{} {}", o.name, o.address)).collect();
                vec![fault("signature", who, format!("by one of {}, over exactly this text:\n{text}", names.join(", ")))]
            },
        )
    }
}

/// What an EIP-191 personal signature of `text` is over.
fn digest(text: &str) -> Hash {
    keccak(&[format!("\x19Ethereum Signed Message:\n{}", text.len()).as_bytes(), text.as_bytes()])
}

/// Signs `text` as a wallet would.
fn sign(key: &Key, text: &str) -> String {
    let Signature { r, s, v } = key.sign(&digest(text));
    format!("0x{}{}{v:02x}", hex::encode(r), hex::encode(s))
}

fn read_signature(text: &str) -> Option<Signature> {
    let mut bytes = [0; 65];
    hex::decode_to_slice(text.strip_prefix("0x")?, &mut bytes).ok()?;
    let (mut r, mut s) = ([0; 32], [0; 32]);
    r.copy_from_slice(&bytes[..32]);
    s.copy_from_slice(&bytes[32..64]);
    // some wallets count from 0
    let v = match bytes[64] {
        v @ (0 | 1) => v + 27,
        v @ (27 | 28) => v,
        _ => return None,
    };
    Some(Signature { r, s, v })
}

/// A signature is public, and a key handed in by mistake is not.
fn shown(text: &str) -> String {
    let cut: String = text.chars().filter(|c| !c.is_control()).take(12).collect();
    if cut.len() < text.len() { format!("{cut}…") } else { cut }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LINE_MAX).collect()
}

/// As people and `--until` write it.
#[must_use]
pub fn utc(ms: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(ms)).to_string()
}

/// How an operator approves from the command line.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ApprovalArgs {
    /// Approve with the key in this file (mode 600), which stays here: only a signature is handed in.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["challenge", "signature"])]
    pub operator_key: Option<PathBuf>,
    /// Do nothing but print the text to sign elsewhere, and how to hand in its signature.
    #[arg(long, conflicts_with = "signature")]
    pub challenge: bool,
    /// A signature made elsewhere over the text of --challenge.
    #[arg(long, value_name = "0x…", requires_all = ["of_challenge", "until"])]
    pub signature: Option<String>,
    /// The challenge that was signed.
    #[arg(long = "of", value_name = "CHALLENGE", requires = "signature")]
    pub of_challenge: Option<String>,
    /// Until when the approval stands, such as 2026-01-31T12:00:00Z; at most ten minutes, which is the default.
    #[arg(long, value_name = "TIME")]
    pub until: Option<humantime::Timestamp>,
}

/// What `ApprovalArgs` come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Approving {
    /// The text was to be printed, and nothing else.
    Print {
        /// What to sign.
        text: String,
        /// What to hand in with the signature.
        hand_in: String,
    },
    /// Hand this in.
    Submit(Option<Signed>),
}

impl ApprovalArgs {
    /// Whether the daemon must be asked what to sign.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.challenge || self.operator_key.is_some()
    }

    /// The signature to hand in, or the text to print. `asked` is what the daemon says, if it was to be asked.
    ///
    /// # Errors
    /// If the key cannot be read, or is nobody's who may approve.
    pub fn carry_out(&self, asked: Option<&ToSign>, reason: &str) -> Result<Approving, Failure> {
        let until_ms = |asked: &ToSign| {
            let most = asked.now_ms.saturating_add(APPROVAL_LASTS.as_millis()) / 1_000 * 1_000;
            self.until.map_or(most, to_ms)
        };
        if let (Some(signature), Some(challenge), Some(until)) = (&self.signature, &self.of_challenge, self.until) {
            let signed = Signed { challenge: challenge.clone(), until_ms: to_ms(until), signature: signature.clone() };
            return Ok(Approving::Submit(Some(signed)));
        }
        let Some(asked) = asked else { return Ok(Approving::Submit(None)) };
        let until_ms = until_ms(asked);
        let text = asked.text(reason, until_ms);
        let Some(file) = &self.operator_key else {
            let hand_in = format!("--until {} --of {} --signature 0x…", utc(until_ms), asked.challenge);
            return Ok(Approving::Print { text, hand_in });
        };
        let key = read_key(file)?;
        let address = EvmAddress(key.address().0);
        if !asked.operators.iter().any(|o| o.address == address) {
            let names: Vec<String> = asked.operators.iter().map(|o| format!("{} {}", o.name, o.address)).collect();
            let who = if names.is_empty() { "nobody, since none is configured".to_owned() } else { names.join(", ") };
            return Err(Failure::other(format!("--operator-key {}: the key of {address}; operators are {who}", file.display())));
        }
        Ok(Approving::Submit(Some(Signed { challenge: asked.challenge.clone(), until_ms, signature: sign(&key, &text) })))
    }
}

fn read_key(file: &Path) -> Result<Key, Failure> {
    venue::read_key("--operator-key", file).map_err(|failure| Failure::other(failure.why()))
}

fn to_ms(at: humantime::Timestamp) -> u64 {
    let since = SystemTime::from(at).duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX) / 1_000 * 1_000
}

/// The query that asks for `act`'s challenge.
#[must_use]
pub fn query(act: &Act) -> String {
    match act {
        Act::Rearm { scope: None } => "/challenge?act=rearm".to_owned(),
        Act::Rearm { scope: Some(scope) } => format!("/challenge?act=rearm&scope={scope}"),
        Act::Apply { file } => format!("/challenge?act=apply&file={file}"),
    }
}

/// What is still missing, for the operator who came first.
#[must_use]
pub fn waiting(have: &[String], needed: usize, until_ms: u64) -> String {
    format!(
        "approved by {}; {} of {needed}: another operator must approve before {}, of the same challenge",
        have.join(", "),
        have.len(),
        utc(until_ms)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> Key {
        Key::from_bytes(&zeroize::Zeroizing::new([n; 32])).unwrap()
    }

    fn asked() -> ToSign {
        let operator = |name: &str, n| Operator { name: name.into(), address: EvmAddress(key(n).address().0) };
        ToSign {
            act: "rearm everything that is stopped".into(),
            lines: vec!["all at cancel, by operator".into()],
            account: "hyperliquid testnet 0x00".into(),
            challenge: "00ff".into(),
            needed: 2,
            have: Vec::new(),
            operators: vec![operator("anna", 1), operator("bob", 2)],
            now_ms: 1_800_000_000_000,
        }
    }

    fn signed(n: u8, reason: &str, until_ms: u64) -> Signed {
        let asked = asked();
        Signed { challenge: asked.challenge.clone(), until_ms, signature: sign(&key(n), &asked.text(reason, until_ms)) }
    }

    fn words(asked: &ToSign, reason: &str, signed: &Signed) -> String {
        asked.verify(reason, signed).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn wallets_sign_the_same() {
        // the example of web3.js' documentation of eth.accounts.sign
        let key = Key::from_hex("0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318").unwrap();
        assert_eq!(key.address().to_string(), "0x2c7536e3605d9c16a7a3d7b1898e529396a65c23");
        assert_eq!(hex::encode(digest("Some data")), "1da44b586eb0729ff70a73c326926f6ed5a25f5b056e7f47fbc6e58d86871655");
        let expected = "0xb91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd\
                        6007e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a0291c";
        assert_eq!(sign(&key, "Some data"), expected);
    }

    #[test]
    fn the_text_says_all_that_is_agreed_to() {
        let text = asked().text("the feed\nis back", 1_800_000_060_000);
        let expected = "plimsoll: I approve of\nrearm everything that is stopped\n- all at cancel, by operator\n\
                        account: hyperliquid testnet 0x00\nbecause: the feed is back\nuntil: 2027-01-15T08:01:00Z\nchallenge: 00ff";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_signature_is_good_for_what_was_signed_and_nothing_else_f101() {
        let (asked, until) = (asked(), 1_800_000_060_000);
        let good = signed(2, "looked", until);
        let approval = asked.verify("looked", &good).unwrap();
        assert_eq!((approval.by.name.as_str(), approval.until_ms), ("bob", until));
        let v = u8::from_str_radix(&good.signature[130..], 16).unwrap();
        let from_zero = Signed { signature: format!("{}{:02x}", &good.signature[..130], v - 27), ..good.clone() };
        assert_eq!(asked.verify("looked", &from_zero).unwrap().by.name, "bob");
        let other = |change: &dyn Fn(&mut ToSign)| {
            let mut other = asked.clone();
            change(&mut other);
            words(&other, "looked", &good)
        };
        for said in [
            words(&asked, "looked twice", &good),
            words(&asked, "looked", &Signed { until_ms: until + 1_000, ..good.clone() }),
            words(&asked, "looked", &signed(3, "looked", until)),
            other(&|a| a.act = "rearm market:hyperliquid:BTC".into()),
            other(&|a| a.account = "hyperliquid mainnet 0x00".into()),
            other(&|a| a.lines.push("parent:P7 at flatten, by operator".into())),
        ] {
            assert!(said.starts_with("signature = by 0x") && said.contains("by one of anna 0x"), "{said}");
            assert!(said.contains("over exactly this text:\nplimsoll: I approve of\nrearm "), "{said}");
        }
        assert!(other(&|a| a.challenge = "01".into()).starts_with("challenge = 00ff: 01: this one was used"));
        assert!(other(&|a| a.operators.clear()).contains("no [[operators]] are configured"));
        let zero = format!("0x{}1b", "0".repeat(128));
        assert!(words(&asked, "looked", &Signed { signature: zero, ..good.clone() }).starts_with("signature = nobody's"));
        for junk in ["", "0x", "yes", &good.signature[2..], &good.signature[..130], &format!("{}00", good.signature), "0xzz"] {
            let said = words(&asked, "looked", &Signed { signature: junk.to_owned(), ..good.clone() });
            assert!(said.contains("65 bytes as 130 hexadecimal digits"), "{junk}: {said}");
        }
        // a key in the place of a signature is not repeated
        let key = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
        assert!(!words(&asked, "looked", &Signed { signature: key.into(), ..good }).contains(&key[..20]));
    }
}
