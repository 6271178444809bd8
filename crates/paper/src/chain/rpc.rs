//! As much JSON-RPC as a bridge needs.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Value, json};
use wire::hyperliquid::Address;
use wire::hyperliquid::sign::keccak;

use super::cctp::Burn;

/// For one call; the chain is on this machine.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer: the logs of [`super::WINDOW`] full blocks.
const BODY_MAX: usize = 16 * 1024 * 1024;

/// Why a call gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RpcError {
    /// No answer.
    #[error("{method}: no answer: {why}")]
    NoAnswer {
        /// Which call.
        method: &'static str,
        /// How.
        why: String,
    },
    /// The chain says no.
    #[error("{method}: {message}")]
    Refused {
        /// Which call.
        method: &'static str,
        /// In its words.
        message: String,
    },
    /// An answer of another shape.
    #[error("{method}: an answer that cannot be used")]
    Shape {
        /// Which call.
        method: &'static str,
    },
}

/// A transfer of the token to the bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) tx: [u8; 32],
    pub(crate) from: Address,
    /// Millionths.
    pub(crate) units: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Rpc {
    http: reqwest::Client,
    url: String,
}

fn topic_of(address: Address) -> String {
    format!("0x{:0>64}", hex::encode(address.0))
}

fn quantity(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

fn word(value: &Value) -> Option<[u8; 32]> {
    let mut word = [0; 32];
    hex::decode_to_slice(value.as_str()?.strip_prefix("0x")?, &mut word).ok()?;
    Some(word)
}

/// The address in a topic.
fn topic_address(topic: &Value) -> Option<Address> {
    let mut address = Address::ZERO;
    address.0.copy_from_slice(&word(topic)?[12..]);
    Some(address)
}

/// One log of a burn with its transaction; `None` if it is not one or was removed.
fn burn(log: &Value) -> Option<([u8; 32], Burn)> {
    if log["removed"] == true {
        return None;
    }
    let data = hex::decode(log["data"].as_str()?.strip_prefix("0x")?).ok()?;
    Some((word(&log["transactionHash"])?, Burn::read(topic_address(&log["topics"][2])?, &data)?))
}

/// One log of a `Transfer`; `None` if it is not one, was removed, or moves more than 64 bits hold.
fn transfer(log: &Value) -> Option<Seen> {
    if log["removed"] == true {
        return None;
    }
    let (address, amount) = (topic_address(&log["topics"][1])?, word(&log["data"])?);
    let units = amount[..24].iter().all(|b| *b == 0).then(|| u64::from_be_bytes(amount[24..].try_into().unwrap_or_default()))?;
    Some(Seen { tx: word(&log["transactionHash"])?, from: address, units })
}

impl Rpc {
    pub(crate) fn new(url: &str) -> Result<Rpc, String> {
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build().map_err(|e| e.to_string())?;
        Ok(Rpc { http, url: url.to_owned() })
    }

    async fn call(&self, method: &'static str, params: Value) -> Result<Value, RpcError> {
        let no_answer = |why: String| RpcError::NoAnswer { method, why };
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let sent = self.http.post(&self.url).json(&body).send().await;
        let response = sent.map_err(|e| no_answer(e.without_url().to_string()))?;
        let bytes = response.bytes().await.map_err(|e| no_answer(e.without_url().to_string()))?;
        if bytes.len() > BODY_MAX {
            return Err(RpcError::Shape { method });
        }
        let mut answer: Value = serde_json::from_slice(&bytes).map_err(|_| RpcError::Shape { method })?;
        if let Some(message) = answer["error"]["message"].as_str() {
            return Err(RpcError::Refused { method, message: message.chars().take(300).collect() });
        }
        answer.get_mut("result").map(Value::take).ok_or(RpcError::Shape { method })
    }

    async fn number(&self, method: &'static str, params: Value) -> Result<u64, RpcError> {
        quantity(&self.call(method, params).await?).ok_or(RpcError::Shape { method })
    }

    pub(crate) async fn block_number(&self) -> Result<u64, RpcError> {
        self.number("eth_blockNumber", json!([])).await
    }

    pub(crate) async fn chain_id(&self) -> Result<u64, RpcError> {
        self.number("eth_chainId", json!([])).await
    }

    pub(crate) async fn gas_price(&self) -> Result<u64, RpcError> {
        self.number("eth_gasPrice", json!([])).await
    }

    pub(crate) async fn nonce(&self, of: Address) -> Result<u64, RpcError> {
        self.number("eth_getTransactionCount", json!([of, "pending"])).await
    }

    pub(crate) async fn send_raw(&self, raw: &str) -> Result<(), RpcError> {
        self.call("eth_sendRawTransaction", json!([raw])).await.map(drop)
    }

    /// Whether a mined transaction did what it should; `None` while it is not mined.
    pub(crate) async fn receipt(&self, hash: &str) -> Result<Option<bool>, RpcError> {
        let receipt = self.call("eth_getTransactionReceipt", json!([hash])).await?;
        Ok(if receipt.is_null() { None } else { Some(quantity(&receipt["status"]) == Some(1)) })
    }

    /// Logs of `event` that `address` wrote in these blocks, in their order on the chain; `topics` follow the event's own.
    async fn logs(
        &self,
        address: Address,
        event: &[u8],
        topics: [Value; 2],
        blocks: RangeInclusive<u64>,
    ) -> Result<Vec<Value>, RpcError> {
        let method = "eth_getLogs";
        let [first, second] = topics;
        let filter = json!({
            "address": address,
            "topics": [format!("0x{}", hex::encode(keccak(&[event]))), first, second],
            "fromBlock": format!("0x{:x}", blocks.start()),
            "toBlock": format!("0x{:x}", blocks.end()),
        });
        serde_json::from_value(self.call(method, json!([filter])).await?).map_err(|_| RpcError::Shape { method })
    }

    /// Transfers of `token` to `to` in these blocks, in their order on the chain.
    pub(crate) async fn transfers_to(&self, token: Address, to: Address, first: u64, last: u64) -> Result<Vec<Seen>, RpcError> {
        let topics = [Value::Null, json!(topic_of(to))];
        let logs = self.logs(token, b"Transfer(address,address,uint256)", topics, first..=last).await?;
        Ok(logs.iter().filter_map(transfer).collect())
    }

    /// Burns of `token` by `messenger` in these blocks with their transactions, in their order on the chain.
    pub(super) async fn burns(
        &self,
        messenger: Address,
        token: Address,
        first: u64,
        last: u64,
    ) -> Result<Vec<([u8; 32], Burn)>, RpcError> {
        let logs = self.logs(messenger, Burn::EVENT, [json!(topic_of(token)), Value::Null], first..=last).await?;
        Ok(logs.iter().filter_map(burn).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_read_strictly() {
        let pad = |hex: &str| format!("0x{hex:0>64}");
        let log = json!({
            "topics": [pad("aa"), pad("11".repeat(20).as_str()), pad("22".repeat(20).as_str())],
            "data": pad("4c4b40"), "transactionHash": pad("07"), "removed": false,
        });
        let seen = transfer(&log).expect("a transfer");
        assert_eq!((seen.from, seen.units), (Address([0x11; 20]), 5_000_000));
        let with = |field: &str, value: Value| {
            let mut other = log.clone();
            other[field] = value;
            transfer(&other)
        };
        assert_eq!(with("removed", json!(true)), None);
        assert_eq!(with("data", json!("0x")), None);
        assert_eq!(with("data", json!(format!("0x{}", "f".repeat(64)))), None, "more than there is");
        assert_eq!(topic_of(Address([0x22; 20])), pad("22".repeat(20).as_str()));
    }
}
