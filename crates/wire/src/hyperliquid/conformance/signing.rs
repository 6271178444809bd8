use domain::plain_decimal;

use super::super::action::{Action, Signed};
use super::super::json::Json;
use super::super::sign::{
    Hash, Key, Network, Scratch, SignError, Signature, connection_id_of, digest, l1_digest, msgpack, order_body, sign,
};
use super::super::{Address, WireDecimal};
use super::eip712;
use super::{CaseResult, Outcome};

/// Checks a file of signing vectors: `{"cases":[…],"wire_decimals":[…],"wire_decimal_errors":[…]}`, or a bare list of cases.
/// A file that cannot be read is one failed case.
#[must_use]
pub fn signing(json_text: &str) -> Outcome {
    let file = match Json::parse(json_text) {
        Ok(file) => file,
        Err(e) => {
            let mut case = CaseResult::new("file");
            case.fault(format!("not JSON: {e}"));
            return Outcome { cases: vec![case] };
        }
    };
    let list = |key: &str| file.get(key).map_or(&[][..], Json::items);
    let cases = if file.has("cases") { list("cases") } else { file.items() };
    let mut outcome = Outcome::default();
    outcome.cases.extend(cases.iter().enumerate().map(|(n, case)| one(n, case)));
    outcome.cases.extend(list("wire_decimals").iter().map(decimal));
    outcome.cases.extend(list("wire_decimal_errors").iter().map(decimal_error));
    outcome
}

fn one(number: usize, case: &Json) -> CaseResult {
    let mut result = CaseResult::new(case.text_at("name").map_or_else(|| format!("case {}", number + 1), str::to_owned));
    let user_signed = match case.text_at("scheme") {
        Some("l1") => false,
        Some("user_signed") => true,
        Some(other) => {
            result.fault(format!("scheme {other:?}; expected \"l1\" or \"user_signed\""));
            return result;
        }
        None => case.has("types") || case.has("primary_type") || case.has("action_posted"),
    };
    let checked = if user_signed { user(case, &mut result) } else { l1(case, &mut result) };
    if let Err(e) = checked {
        result.fault(e);
    }
    result
}

/// The action of a case, which may be given as JSON, as text of JSON, or as both.
fn action_of(case: &Json, key: &str, text_key: &str) -> Result<Json, String> {
    let text = case.text_at(text_key).map(Json::parse).transpose().map_err(|e| format!("{text_key}: not JSON: {e}"))?;
    match (case.present(key), text) {
        (Some(value), Some(text)) if *value != text => Err(format!("{key} and {text_key} are not the same action")),
        (Some(value), _) => Ok(value.clone()),
        (None, Some(text)) => Ok(text),
        (None, None) => Err(format!("neither {key} nor {text_key}")),
    }
}

/// The action as the sheet types it; `None` for a type that it does not know.
fn typed(source: &Json) -> Result<Option<Action>, String> {
    let kind = source.text_at("type").ok_or("the action has no type")?;
    // alone, a type that the sheet knows fails for its missing fields, if at all
    let alone = serde_json::json!({ "type": kind }).to_string();
    if serde_json::from_str::<Action>(&alone).is_err_and(|e| e.to_string().starts_with("unknown variant")) {
        return Ok(None);
    }
    serde_json::from_str(&source.text()).map(Some).map_err(|e| format!("the typed action: {e}"))
}

/// The typed form must write every key of the source, in its order. Values may differ only as the venue's own canonical form
/// does: letter case of hexadecimal, zeros of a decimal.
fn lossless(action: &Action, source: &Json) -> Result<(), String> {
    let written = serde_json::to_string(action).map_err(|e| e.to_string()).and_then(|text| Json::parse(&text))?;
    same_form(&written, source, "action")
}

fn same_form(written: &Json, source: &Json, path: &str) -> Result<(), String> {
    match (written, source) {
        (Json::Map(a), Json::Map(b)) => {
            let keys = |entries: &[(String, Json)]| entries.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
            if keys(a) != keys(b) {
                return Err(format!("{path}: the typed form writes the keys {:?}, the case has {:?}", keys(a), keys(b)));
            }
            a.iter().zip(b).try_for_each(|((key, a), (_, b))| same_form(a, b, &format!("{path}.{key}")))
        }
        (Json::List(a), Json::List(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().try_for_each(|(n, (a, b))| same_form(a, b, &format!("{path}[{n}]")))
        }
        (Json::Text(a), Json::Text(b)) if a == b || a.eq_ignore_ascii_case(b) => Ok(()),
        (Json::Text(a), Json::Text(b)) if plain_decimal(a).is_some() && plain_decimal(a) == plain_decimal(b) => Ok(()),
        (a, b) if a == b => Ok(()),
        (a, b) => Err(format!("{path}: the typed form writes {}, the case has {}", a.text(), b.text())),
    }
}

fn network_of(case: &Json) -> Result<Network, String> {
    let by_name = case.text_at("network").map(|name| match name {
        "mainnet" | "Mainnet" => Ok(Network::Mainnet),
        "testnet" | "Testnet" => Ok(Network::Testnet),
        other => Err(format!("network {other:?}; expected \"mainnet\" or \"testnet\"")),
    });
    let by_source = case.text_at("phantom_source").map(|source| match source {
        "a" => Ok(Network::Mainnet),
        "b" => Ok(Network::Testnet),
        other => Err(format!("phantom_source {other:?}; expected \"a\" or \"b\"")),
    });
    match (by_name.transpose()?, by_source.transpose()?) {
        (Some(name), Some(source)) if name != source => Err("network and phantom_source disagree".into()),
        (Some(network), _) | (None, Some(network)) => Ok(network),
        (None, None) => Err("no network".into()),
    }
}

fn hex0x(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn optional<T: std::str::FromStr<Err: std::fmt::Display>>(case: &Json, key: &str) -> Result<Option<T>, String> {
    case.present(key)
        .map(|value| {
            let text = value.as_text().ok_or_else(|| format!("{key}: not a text"))?;
            text.parse().map_err(|e| format!("{key}: {e}"))
        })
        .transpose()
}

fn l1(case: &Json, result: &mut CaseResult) -> Result<(), String> {
    let source = action_of(case, "action", "action_json")?;
    let nonce = case.u64_at("nonce").ok_or("nonce: missing, or not an integer of 64 bits")?;
    let vault: Option<Address> = optional(case, "vault_address")?;
    let expires = match case.present("expires_after") {
        None => None,
        Some(_) => Some(case.u64_at("expires_after").ok_or("expires_after: not an integer of 64 bits")?),
    };
    let network = network_of(case)?;

    let mut bytes = Vec::new();
    msgpack(&source, &mut bytes).map_err(|e| e.to_string())?;
    let id = connection_id_of(&bytes, nonce, vault, expires);
    let computed = l1_digest(&id, network);
    if let Some(expected) = case.text_at("msgpack_hex") {
        result.same("msgpack_hex", hex::encode(&bytes), expected.trim_start_matches("0x").to_ascii_lowercase());
    }
    if let Some(expected) = case.text_at("connection_id") {
        result.same("connection_id", hex0x(&id), expected.to_ascii_lowercase());
    }

    let action = typed(&source)?;
    match &action {
        None => result.ignored.push(format!("action type {}", source.text_at("type").unwrap_or("?"))),
        Some(action) if action.typed_data().is_some() => return Err("a user-signed action under the scheme l1".into()),
        Some(action) => lossless(action, &source)?,
    }
    // a source that is not in canonical form hashes otherwise at the venue; the vector itself is then over the raw form alone
    let canonical = action.as_ref().filter(|action| serde_json::to_string(action).is_ok_and(|text| text == source.text()));
    if let Some(action) = canonical {
        let typed = digest(action, nonce, vault, expires, network).map_err(|e| e.to_string())?;
        result.same("digest of the typed action", hex0x(&typed), hex0x(&computed));
    }
    let signature = signature_of(case, &computed, result)?;
    if let (Some(action), Some(signature)) = (canonical, signature) {
        posted(action, nonce, vault, expires, network, case, &signature, result)?;
    }
    Ok(())
}

/// The body to post carries the signature, and a server that reads it recovers the signer.
#[expect(clippy::too_many_arguments, reason = "the parts of one envelope")]
fn posted(
    action: &Action,
    nonce: u64,
    vault: Option<Address>,
    expires: Option<u64>,
    network: Network,
    case: &Json,
    signature: &Signature,
    result: &mut CaseResult,
) -> Result<(), String> {
    let Some(key) = key_of(case)? else { return Ok(()) };
    let mut scratch = Scratch::default();
    let body = order_body(&key, action, nonce, vault, expires, network, &mut scratch).map_err(|e| e.to_string())?;
    let read: Signed = serde_json::from_slice(body).map_err(|e| format!("the posted body: {e}"))?;
    if read.signature != *signature {
        result.fault("the posted body carries another signature");
    }
    let signer = read.signer(network).map_err(|e| e.to_string())?;
    result.same("signer recovered from the posted body", signer, key.address());
    Ok(())
}

fn key_of(case: &Json) -> Result<Option<Key>, String> {
    case.text_at("private_key").map(Key::from_hex).transpose().map_err(|e| format!("private_key: {e}"))
}

/// Checks digest, signature, signer and recovery; gives the signature back.
fn signature_of(case: &Json, computed: &Hash, result: &mut CaseResult) -> Result<Option<Signature>, String> {
    let keys = ["msgpack_hex", "connection_id", "signing_digest", "signature"];
    if !keys.iter().any(|key| case.has(key)) {
        return Err(format!("nothing to compare with: expected one of {keys:?}"));
    }
    if let Some(expected) = case.text_at("signing_digest") {
        result.same("signing_digest", hex0x(computed), expected.to_ascii_lowercase());
    }
    let signer: Option<Address> = optional(case, "signer")?;
    let key = key_of(case)?;
    if let (Some(key), Some(signer)) = (&key, signer) {
        result.same("signer", key.address(), signer);
    }
    let ours = key.as_ref().map(|key| key.sign(computed));
    for name in ["signature", "signature_as_sdk_prints"] {
        let Some(source) = case.present(name) else { continue };
        let expected: Signature = serde_json::from_str(&source.text()).map_err(|e| format!("{name}: {e}"))?;
        if let Some(ours) = &ours {
            result.same(&format!("{name}.r"), hex::encode(ours.r), hex::encode(expected.r));
            result.same(&format!("{name}.s"), hex::encode(ours.s), hex::encode(expected.s));
            result.same(&format!("{name}.v"), ours.v, expected.v);
        }
        let recovered = expected.recover(computed).map_err(|e| format!("{name}: {e}"))?;
        if let Some(signer) = signer.or(key.as_ref().map(Key::address)) {
            result.same(&format!("signer recovered from {name}"), recovered, signer);
        }
    }
    Ok(ours)
}

fn user(case: &Json, result: &mut CaseResult) -> Result<(), String> {
    let source = action_of(case, "action_posted", "action_posted_json").or_else(|e| match case.present("action") {
        Some(_) => action_of(case, "action", "action_json"),
        None => Err(e),
    })?;
    let primary = case.text_at("primary_type").ok_or("no primary_type")?;
    let types: Option<Vec<(String, String)>> = case
        .get("types")
        .ok_or("no types")?
        .items()
        .iter()
        .map(|field| Some((field.text_at("name")?.to_owned(), field.text_at("type")?.to_owned())))
        .collect();
    let types = types.filter(|types| !types.is_empty()).ok_or("types: expected a list of {name, type}")?;
    let domain = case.get("domain").ok_or("no domain")?;
    let message = case.get("message").ok_or("no message")?;

    let encoded = eip712::encode_type(primary, &types);
    if let Some(expected) = case.text_at("encode_type") {
        result.same("encode_type", encoded.as_str(), expected);
    }
    let computed = eip712::digest(domain, primary, &types, message)?;
    agree(case, &source, domain, message, &types, result);
    match typed(&source)? {
        None => result.ignored.push(format!("action type {}", source.text_at("type").unwrap_or("?"))),
        Some(action) => {
            lossless(&action, &source)?;
            let data = action.typed_data().ok_or("an L1 action under the scheme user_signed")?;
            result.same("primary type of the typed action", data.primary_type, primary);
            result.same("encoded type of the typed action", data.encode_type, encoded.as_str());
            result.same("digest of the typed action", hex0x(&data.digest()), hex0x(&computed));
            let unsound = digest(&action, 0, Some(Address::ZERO), None, Network::Mainnet);
            if unsound != Err(SignError::UserSigned) {
                result.fault("a vault was accepted on a user-signed action");
            }
        }
    }
    signature_of(case, &computed, result)?;
    if let (Some(action), Some(key)) = (typed(&source)?, key_of(case)?) {
        let nonce = action.signed_nonce().unwrap_or_default();
        let body = sign(&key, action, nonce, None, None, Network::Testnet)
            .map_err(|e| e.to_string())
            .and_then(|signed| serde_json::to_string(&signed).map_err(|e| e.to_string()))?;
        let read: Signed = serde_json::from_str(&body).map_err(|e| format!("the posted body: {e}"))?;
        let signer = read.signer(Network::Testnet).map_err(|e| e.to_string())?;
        result.same("signer recovered from the posted body", signer, key.address());
    }
    Ok(())
}

/// The posted action carries the signed values, its chain id is the domain's, and the outer nonce is the inner one.
fn agree(case: &Json, posted: &Json, domain: &Json, message: &Json, types: &[(String, String)], result: &mut CaseResult) {
    for (name, kind) in types {
        match (posted.present(name), message.get(name)) {
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) if kind == "address" && a.text().eq_ignore_ascii_case(&b.text()) => {}
            // signed as an empty text, posted not at all
            (None, Some(Json::Text(text))) if text.is_empty() => {}
            (a, b) => {
                let show = |value: Option<&Json>| value.map_or_else(|| "nothing".to_owned(), Json::text);
                result.fault(format!("{name}: posted {}, signed {}", show(a), show(b)));
            }
        }
    }
    let chain = posted.text_at("signatureChainId").and_then(|t| u64::from_str_radix(t.strip_prefix("0x")?, 16).ok());
    if chain != domain.u64_at("chainId") {
        result.fault("signatureChainId is not the domain's chainId");
    }
    if let Some(outer) = case.present("nonce") {
        let inner = message.get("nonce").or_else(|| message.get("time"));
        if inner.is_some_and(|inner| inner != outer) {
            result.fault("the outer nonce is not the message's");
        }
    }
}

fn decimal(case: &Json) -> CaseResult {
    let input = shown(case.get("input"));
    let mut result = CaseResult::new(format!("wire decimal {input}"));
    match (input.parse::<WireDecimal>(), case.text_at("wire")) {
        (Ok(value), Some(expected)) => result.same("wire", value.to_string(), expected.to_owned()),
        (Err(e), _) => result.fault(e.to_string()),
        (Ok(_), None) => result.fault("no wire"),
    }
    result
}

fn decimal_error(case: &Json) -> CaseResult {
    let input = shown(case.get("input"));
    let mut result = CaseResult::new(format!("wire decimal refused {input}"));
    if let Ok(value) = input.parse::<WireDecimal>() {
        result.fault(format!("accepted as {value}"));
    }
    result
}

fn shown(value: Option<&Json>) -> String {
    value.map(|v| v.as_text().map_or_else(|| v.text(), str::to_owned)).unwrap_or_default()
}
